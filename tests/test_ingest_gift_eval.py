"""Source `gift_eval`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    """Eleven errors of 97 tasks and 121 models; four cells are empty."""
    check_rows("gift_eval", raw_directory, {"runs": 121, "evals": 121 * 97 * 11 - 4})


def test_leakage_is_kept(raw_directory: Path) -> None:
    evals = tables_of("gift_eval", raw_directory)["evals"]
    per_run = evals.select("run_id", "eval_domain").unique()
    assert dict(per_run.group_by("eval_domain").len().rows()) == {"in": 16, "out": 105}


def test_one_file_has_another_name_and_one_an_empty_record(raw_directory: Path) -> None:
    evals = tables_of("gift_eval", raw_directory)["evals"].filter(metric="forecast_mase")
    tasks = dict(evals.group_by("run_id").len().rows())
    assert set(tasks.values()) == {97}
    assert {"gift_eval/samay", "gift_eval/cleants_65m"} <= set(tasks)
    assert evals.filter(pl.col("value") <= 0).is_empty()  # a geometric mean exists
