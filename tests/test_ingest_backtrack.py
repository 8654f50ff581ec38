"""Source `backtrack`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "backtrack",
        raw_directory,
        {"runs": 43, "evals": 186 + 7 + 25},
        set_aside={"commented_out": 29, "not_a_model": 5},
    )


def test_compute_is_in_flop_and_missing_only_where_the_shape_is(raw_directory: Path) -> None:
    built = tables_of("backtrack", raw_directory)
    evals = built["evals"].join(built["runs"].select("run_id", "n_params", "study"), on="run_id")
    first = evals.filter(run_id="backtrack/countdown/17M/best-of-n-sft", eval_set="countdown:n=1")
    assert first["inference_flops"].item() == pytest.approx(2 * 3.8715e9)  # the file counts multiply-accumulates
    solved = evals.filter(pl.col("study") != "vote")
    assert set(solved.filter(pl.col("inference_flops").is_null())["n_params"]) == {365e6}


def test_every_value_counts_problems(raw_directory: Path) -> None:
    evals = tables_of("backtrack", raw_directory)["evals"]
    solved = evals["value"] * 200
    assert (solved - solved.round()).abs().to_numpy().max() < 1e-9
