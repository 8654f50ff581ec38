"""Compute the whole arena again and store its cells: ``python -m scalingdb.evidence.arena``.

With ``--restamp`` the stored numbers stay, a random sample of them is checked, and they count as today's: for a
change that moves no number, such as a formula written in another way.
"""

from __future__ import annotations

import sys
import time

from scalingdb.evidence.arena._store import restamp, run
from scalingdb.warehouse import connect

if __name__ == "__main__":
    began = time.perf_counter()
    with connect() as db:
        if "--restamp" in sys.argv[1:]:
            print(restamp(db))
            sys.exit()
        cells = run(db, lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr), recompute=True)
    spent = time.perf_counter() - began
    print(
        f"\n{cells.height} cells of {cells['law'].n_unique()} laws on {cells['data_set'].n_unique()} data sets: "
        f"{spent:.0f} s",
        file=sys.stderr,
    )
