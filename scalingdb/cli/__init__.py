"""The command line ``scalingdb``: a module for each group of commands.

Results go to stdout, everything else (progress, notices, warnings, errors) to stderr. Exit codes:
0 fine, 1 a check, a source, a group or a notebook failed, 2 wrong use or bad input, 130 interrupted.

Heavy modules are imported inside the commands, so that ``scalingdb --help`` answers at once.
"""

from __future__ import annotations

import importlib

from scalingdb.cli._program import app, main

__all__ = ["app", "main"]

for _part in ("_warehouse", "_laws", "_fits", "_comparisons", "_plans", "_replication", "_notebooks"):
    # a module registers its commands when it is imported: this is their order in the help
    importlib.import_module(f"scalingdb.cli.{_part}")
