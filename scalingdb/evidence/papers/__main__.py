"""Compute the number of every paper and store it: ``python -m scalingdb.evidence.papers``."""

from __future__ import annotations

from scalingdb.evidence.papers._core import RESULTS, store_results
from scalingdb.warehouse import connect

if __name__ == "__main__":
    with connect() as db:
        print(f"{store_results(db)} numbers in {RESULTS.name}")
