"""Compute the arena and store its cells: ``python -m scalingdb.evidence.arena [--missing | --restamp]``."""

from __future__ import annotations

import argparse
import sys
import time

from scalingdb.evidence.arena._store import renew_rows, restamp, run
from scalingdb.published import default_path
from scalingdb.warehouse import connect

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m scalingdb.evidence.arena", description="Compute the whole arena.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--missing", action="store_true", help="compute only cells that are missing or stale")
    choice.add_argument(
        "--restamp",
        action="store_true",
        help="keep the stored numbers, check a random sample of them, and let them count as today's: for a change "
        "that moves no number, such as a formula written in another way",
    )
    given = parser.parse_args()
    began = time.perf_counter()
    with connect(default_path()) as db:
        renew_rows(db)
        if given.restamp:
            print(restamp(db))
            sys.exit()
        cells = run(
            db, lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr), recompute=not given.missing
        )
    spent = time.perf_counter() - began
    print(
        f"\n{cells.height} cells of {cells['law'].n_unique()} laws on {cells['data_set'].n_unique()} data sets: "
        f"{spent:.0f} s",
        file=sys.stderr,
    )
