"""Compute stale figures of the ledger and store them: ``python -m scalingdb.evidence.replication [--recompute]``."""

from __future__ import annotations

import argparse
import sys

from scalingdb.evidence.replication._core import RESULTS, store_results
from scalingdb.warehouse import connect

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m scalingdb.evidence.replication", description=__doc__)
    parser.add_argument("--recompute", action="store_true", help="every figure, not only those that are stale")
    recompute = parser.parse_args().recompute
    with connect() as db:
        count = store_results(
            db, lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr), recompute=recompute
        )
    print(f"\n{count} computations; stored in {RESULTS.name}")
