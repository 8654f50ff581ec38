"""Refit every published set and store the results: ``python -m scalingdb.evidence.refits``."""

from __future__ import annotations

import sys

from scalingdb.evidence.refits._core import RESULTS, SCHEMA, refit_table
from scalingdb.warehouse import connect

if __name__ == "__main__":
    with connect() as db:
        table = refit_table(db, lambda done, total: print(f"\r{done}/{total}", end="", file=sys.stderr), recompute=True)
    table.select(list(SCHEMA)).write_csv(RESULTS)
    print(f"\n{RESULTS}: {table.select('law', 'variant', 'source_id').n_unique()} refits", file=sys.stderr)
