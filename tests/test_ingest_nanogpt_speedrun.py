"""Source `nanogpt_speedrun`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("nanogpt_speedrun", raw_directory, {"runs": 91 + 18, "evals": 91 + 18})


def test_hours_and_repeated_records(raw_directory: Path) -> None:
    built = tables_of("nanogpt_speedrun", raw_directory)
    minutes = dict(built["evals"].select("run_id", "value").rows())
    assert minutes["nanogpt_speedrun/track_2/1-1"] == pytest.approx(5.8 * 60)
    assert {f"nanogpt_speedrun/track_1/21-{i}" for i in (1, 2, 3)} <= set(minutes)
    assert built["runs"].filter(pl.col("model_name").str.contains("http")).is_empty()
