"""Source `rlpt`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("rlpt", raw_directory, {"runs": 11, "evals": 104}, set_aside={"below_guessing": 4})


def test_formatting_failures_are_flagged_and_only_they(raw_directory: Path) -> None:
    flagged = tables_of("rlpt", raw_directory)["evals"].filter(pl.col("flag").is_not_null())
    assert set(flagged["eval_set"]) == {"mmlu", "gpqa_diamond"}
    assert flagged["value"].to_numpy().max() < 0.25
