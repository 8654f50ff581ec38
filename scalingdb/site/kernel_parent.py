"""The process that kernels are forked from: it has imported once what all of them need.

Run as ``python -P -m scalingdb.site.kernel_parent``; :mod:`scalingdb.site.kernels` writes the requests. Each is a line
of JSON with ``argv`` (arguments of the kernel), ``env`` and ``cwd``; the answer is a line with the kernel's process id.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from scalingdb._imports import import_lightly
from scalingdb.site.children import die_with_parent

__all__ = ["IMPORTED", "main"]

IMPORTED = ("ipykernel.kernelapp", "altair", "duckdb", "great_tables", "scipy.optimize", "scipy.stats")
"""Slow imports that start no thread. Polars starts some, which a fork would leave behind; kernels import it."""


def main() -> None:
    """Import, then fork a kernel for each request until there are no more."""
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # kernels end with the process of this id; read by the import
    for name in IMPORTED:
        if _is_alone():
            return
        import_lightly(name)
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        return  # no answer: kernels are then started one by one
    gc.freeze()  # a collection in a kernel would copy the memory that it shares
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system forgets kernels that have ended
    own = os.getpid()
    for line in sys.stdin:
        kernel = os.fork()
        if kernel == 0:
            die_with_parent(own)
            _become_kernel(**json.loads(line))
        print(kernel, flush=True)


def _is_alone() -> bool:
    """Whether whoever writes the requests has gone, however it went."""
    poll = select.poll()
    poll.register(0, select.POLLHUP)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


def _become_kernel(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # answers are no place for what a kernel prints
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    sys.argv = ["ipykernel_launcher", *argv]
    importlib.import_module("ipykernel.kernelapp").launch_new_instance()
    sys.exit()


if __name__ == "__main__":
    main()
