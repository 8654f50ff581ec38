"""Source `metr_time_horizons`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("metr_time_horizons", raw_directory, {"runs": 33 + 17, "evals": 150, "claims": 2})


def test_versions_are_studies_and_intervals_hold_the_horizon(raw_directory: Path) -> None:
    built = tables_of("metr_time_horizons", raw_directory)
    assert dict(built["runs"].group_by("study").len().rows()) == {"TH1.0": 33, "TH1.1": 17}
    horizons = built["evals"].filter(metric="time_horizon")
    assert set(horizons["unit"]) == {"minutes"}
    assert horizons.filter(~pl.col("value").is_between(pl.col("low"), pl.col("high"))).is_empty()
