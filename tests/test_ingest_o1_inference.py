"""Source `o1_inference`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("o1_inference", raw_directory, {"runs": 1, "evals": 2 * 19}, set_aside=2 * 8)


def test_records_of_all_raw_files(db: sdb.Warehouse) -> None:
    assert sum(records(db, "o1_inference").values()) == 19


def test_o1_points_count_once(table: Table) -> None:
    acc = table("o1_inference").filter(pl.col("metric") == "acc")
    assert acc.height == 19
    kept = acc.filter(pl.col("flag").is_null())
    assert kept.height == 11
    assert kept["n_items"].unique().to_list() == [30.0]
    last = table("o1_inference").filter(pl.col("eval_set") == "aime_2024:vote:16384")
    assert sorted(last["value"]) == pytest.approx([0.7, 88_448.43], abs=0.01)
