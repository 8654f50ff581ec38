"""Source `pythia_evals`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, tables_of

from ingest import (
    pythia_evals,
)
from scalingdb.errors import DataError


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "pythia_evals", raw_directory, {"runs": 18 + 8 + 5, "evals": 110_400}, set_aside={"repeats_step_0": 16 * 172}
    )


def test_pythia_grid(raw_directory: Path) -> None:
    evals = tables_of("pythia_evals", raw_directory)["evals"]
    cells = evals.select("run_id", "step", "n_shots").unique()
    zero, five = (cells.filter((pl.col("n_shots") == shots) & pl.col("step").is_not_null()) for shots in (0, 5))
    assert (zero.height, five.height) == (16 * 27, 16 * 15 + 29)
    assert cells.filter(pl.col("step").is_null()).height == 8 + 5
    assert sorted(zero["step"].unique())[:11] == [0, *(2**i for i in range(10))]
    assert evals.group_by("metric").len().sort("metric").rows() == [
        ("acc", 46_410),
        ("acc_norm", 44_268),
        ("likelihood_difference", 9504),
        ("pct_stereotype", 9504),
        ("perplexity", 714),
    ]
    tasks = evals.filter(pl.col("step").is_not_null()).group_by("n_shots").agg(pl.col("eval_set").n_unique())
    assert dict(tasks.rows()) == {0: 87, 5: 65}
    assert evals["std_error"].null_count() == 0


def test_pythia_shots_are_those_of_the_configuration(raw_directory: Path) -> None:
    evals = tables_of("pythia_evals", raw_directory)["evals"]
    misnamed = evals.filter(pl.col("raw_file").str.contains("-5shot_"))
    named_zero = misnamed.filter(pl.col("raw_file").str.contains("/zero-shot/"))
    assert named_zero["raw_file"].n_unique() == 4
    assert named_zero["n_shots"].unique().to_list() == [0]


def test_pythia_small_batches_take_more_steps_to_the_same_tokens(raw_directory: Path) -> None:
    runs = tables_of("pythia_evals", raw_directory)["runs"].filter(pl.col("batch_size_tokens").is_not_null())
    assert (runs["n_steps"] * runs["batch_size_tokens"] == 143_000 * 2_097_152).all()
    small = runs.filter(pl.col("family") == "pythia_small_batch").sort("run_id")
    assert small["n_steps"].to_list() == [572_000, 1_144_000]
    assert small["model_id"].null_count() == 2
    evals = tables_of("pythia_evals", raw_directory)["evals"]
    assert evals["n_tokens"].max() == 143_000 * 2_097_152


def test_pythia_lambada_is_monotone_in_size(raw_directory: Path) -> None:
    runs = tables_of("pythia_evals", raw_directory)["runs"].filter(pl.col("family") == "pythia")
    last = (
        tables_of("pythia_evals", raw_directory)["evals"]
        .filter((pl.col("eval_set") == "lambada_openai") & (pl.col("step") == 143_000) & (pl.col("n_shots") == 0))
        .join(runs.select("run_id", "n_params", "model_id"), on="run_id")
        .sort("n_params")
    )
    accuracy, perplexity = (last.filter(pl.col("metric") == metric)["value"] for metric in ("acc", "perplexity"))
    # printed with four digits
    assert accuracy.to_list() == pytest.approx(
        [0.1846, 0.3284, 0.5162, 0.5620, 0.6161, 0.6472, 0.6728, 0.7046], abs=5e-5
    )
    assert perplexity.to_list() == pytest.approx([142.4, 38.06, 10.83, 7.92, 6.086, 5.036, 4.449, 3.924], rel=1e-3)
    assert last["model_id"].unique(maintain_order=True).to_list()[3] == "pythia-1b"


def test_pythia_untrained_perplexity_and_bias_are_no_accuracy(raw_directory: Path) -> None:
    evals = tables_of("pythia_evals", raw_directory)["evals"]
    step0 = evals.filter((pl.col("metric") == "perplexity") & (pl.col("step") == 0))
    assert step0["value"].min() > 1e6
    assert step0["unit"].unique().to_list() == ["perplexity_per_word"]
    bias = evals.filter(pl.col("eval_set").str.starts_with("crows_pairs"))
    assert set(bias["metric"]) == {"pct_stereotype", "likelihood_difference"}
    assert bias["chance_level"].null_count() == bias.height
    mmlu = evals.filter(pl.col("eval_set").str.starts_with("hendrycksTest") & (pl.col("metric") == "acc"))
    assert mmlu["chance_level"].unique().to_list() == [0.25]


def test_pythia_unknown_metric_is_refused() -> None:
    record = {"config": {"num_fewshot": 0}, "results": {f"task{i}": {"em": 0.1, "em_stderr": 0.0} for i in range(65)}}
    with pytest.raises(DataError, match=r"unknown metric\(s\) \['em'\]"):
        pythia_evals._collect("evals/opt/opt-125m.json", record, {})
