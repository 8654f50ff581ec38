"""Source `implicit_reference`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "implicit_reference",
        raw_directory,
        {"runs": 51, "evals": 51, "items": 4567, "claims": 9},
        set_aside={"fragment": 6},
    )


def test_requests_add_up_and_attempts_are_censored(raw_directory: Path) -> None:
    built = tables_of("implicit_reference", raw_directory)
    sums = built["items"].group_by("run_id").agg(pl.col("value").mean())
    both = built["evals"].join(sums, on="run_id")
    assert (both["value"] - both["value_right"]).abs().to_numpy().max() < 1e-12
    assert built["items"]["n_samples"].to_numpy().max() <= 20


def test_the_judge_matters(raw_directory: Path) -> None:
    evals = tables_of("implicit_reference", raw_directory)["evals"]
    small = evals.filter(pl.col("run_id").str.contains("qwen2-0.5b"), pl.col("flag").is_null())
    rates = dict(small.select("eval_set", "value").rows())
    assert rates == {"requests:k4:llama": 0.84, "requests:k4:gpt": 0.35}
