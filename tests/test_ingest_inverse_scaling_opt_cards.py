"""Source `inverse_scaling_opt_cards`: counts and traps, as the raw files themselves have them."""

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
    check_rows("inverse_scaling_opt_cards", raw_directory, {"runs": 4, "evals": 17}, set_aside=4)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "inverse_scaling_opt_cards").items() >= {"opt_reported_values.csv": 17}.items()


def test_opt_cards_hindsight_neglect(table: Table) -> None:
    rows = table("inverse_scaling_opt_cards").filter(
        pl.col("eval_set").str.starts_with("hindsight") & (pl.col("metric") == "acc") & pl.col("flag").is_null()
    )
    value = {run.split("/")[1]: v for run, v in rows.select("run_id", "value").rows()}
    expected = {"opt-125m": 0.505, "opt-1.3b": 0.454, "opt-2.7b": 0.448, "opt-13b": 0.270}
    assert value == pytest.approx(expected, abs=5e-4)
    assert table("inverse_scaling_opt_cards")["value"].max() < 1  # the altered copy had values above 1
