"""Source `matbench_discovery`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("matbench_discovery", raw_directory, {"runs": 62, "evals": 486})


def test_an_unknown_size_is_null_and_no_address_is_held(raw_directory: Path) -> None:
    runs = tables_of("matbench_discovery", raw_directory)["runs"]
    assert runs.drop_nulls("n_params")["n_params"].to_numpy().min() > 1
    text = runs.select(pl.col(pl.String).str.contains("@").any())
    assert not any(value for value in text.row(0))
