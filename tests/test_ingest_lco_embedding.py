"""Source `lco_embedding`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "lco_embedding", raw_directory, {"runs": 10, "evals": 70}, set_aside={"aggregate": 10, "looks_copied": 6}
    )


def test_untrained_models_share_five_of_six_scores(raw_directory: Path) -> None:
    evals = tables_of("lco_embedding", raw_directory)["evals"].filter(pl.col("run_id").str.ends_with("/none"))
    wide = evals.filter(pl.col("eval_set") != "average").pivot("run_id", index="eval_set", values="value")
    small, large = wide.drop("eval_set").get_columns()
    assert ((small - large).abs() < 2e-4).sum() == 5
