"""What the tests of single sources share: tables built once per process, and what every source must keep."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import polars as pl

import scalingdb as sdb
from ingest._build import source_tables


@cache
def tables_of(source_id: str, directory: Path) -> dict[str, pl.DataFrame]:
    """Tables of one source, built from its raw files once."""
    return source_tables(source_id, directory)


def records(db: sdb.Warehouse, source_id: str) -> dict[str, int]:
    """Records of each raw file of a source, as the shipped ledger counts them."""
    return dict(db.sql("select raw_file, n_rows_in from raw_files where source_id = $source", source=source_id).rows())


def check_rows(
    source_id: str, directory: Path, rows: Mapping[str, int], *, set_aside: int | Mapping[str, int] = 0
) -> None:
    """Assert rows of each table named, and how many evaluations carry a flag (in all, or by flag)."""
    built = tables_of(source_id, directory)
    assert {name: built[name].height for name in rows} == dict(rows)
    flagged = built["evals"].filter(pl.col("flag").is_not_null()) if "evals" in built else pl.DataFrame({"flag": []})
    if isinstance(set_aside, Mapping):
        assert dict(flagged["flag"].value_counts().rows()) == dict(set_aside)
    else:
        assert flagged.height == set_aside
