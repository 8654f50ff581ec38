"""Source `proteingym`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    n_broken = 2 * 217
    check_rows(
        "proteingym",
        raw_directory,
        {"runs": 97, "evals": 217 * 97 - 17 + 97},
        set_aside={"looks_broken": n_broken, "aggregate": 97},
    )


def test_correlations_may_be_negative(raw_directory: Path) -> None:
    evals = tables_of("proteingym", raw_directory)["evals"]
    assert evals["value"].to_numpy().min() < 0


def test_ladders(raw_directory: Path) -> None:
    runs = tables_of("proteingym", raw_directory)["runs"].drop_nulls("n_params")
    sizes = dict(runs.group_by("family").len().rows())
    assert sizes["esm2"] == 6
    assert sizes["progen2"] == 4  # 'Progen2 Base' has other training data and is no part of it
    assert "proteingym/progen2_base" not in runs["run_id"]
    assert runs.filter(pl.col("family") == "xtrimopglm-clm").height == 4
