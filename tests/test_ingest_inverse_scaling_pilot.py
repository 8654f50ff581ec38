"""Source `inverse_scaling_pilot`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("inverse_scaling_pilot", raw_directory, {"runs": 15, "evals": 593, "items": 537_976}, set_aside=44)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert (
        records(db, "inverse_scaling_pilot").items()
        >= {"per_example_scores.parquet": 421_288, "task_model_summary.csv": 283}.items()
    )


def test_pilot_recomputed_examples(table: Table) -> None:
    evals = table("inverse_scaling_pilot")

    def curve(experiment: str, metric: str) -> list[float]:
        rows = evals.filter((pl.col("eval_set") == experiment) & (pl.col("metric") == metric))
        value = dict(rows.select("run_id", "value").rows())
        return [value[f"inverse_scaling_pilot/{name}"] for name in ("ada", "babbage", "curie", "davinci")]

    # half a unit of the last quoted digit
    assert curve("conjunction-fallacy-1shot-gpt3", "acc") == pytest.approx([0.471, 0.500, 0.687, 0.347], abs=6e-4)
    assert curve("QA-v1-gpt3-new", "logodds_difference") == pytest.approx([0.071, 0.138, 0.339, 0.753], abs=5e-4)
    assert curve("lambada-1k_gpt3", "answer_loss") == pytest.approx([4.53, 3.67, 3.21, 2.73], abs=5e-3)


def test_pilot_means_follow_from_items(table: Table) -> None:
    items = table("inverse_scaling_pilot", "items")
    mean = items.group_by("run_id", "task", "metric").agg(pl.col("value").mean(), n=pl.len())
    joined = table("inverse_scaling_pilot").join(
        mean, left_on=["run_id", "eval_set", "metric"], right_on=["run_id", "task", "metric"], suffix="_items"
    )
    assert (joined["value"] - joined["value_items"]).abs().max() < 1e-9
    assert (joined["n_items"] == joined["n"]).all()
    # 4,680 records per model upstream, two thirds of them empty
    dice = joined.filter(pl.col("eval_set") == "dice-0shot-gpt2")
    assert set(dice["n_items"]) == {1560.0}


def test_pilot_combined_experiments_count_once(table: Table) -> None:
    evals = table("inverse_scaling_pilot")
    flagged = evals.filter(pl.col("flag") == "exact_duplicate")
    assert set(flagged["eval_set"]) == {"QA-v0-combined", "all_gpt_sentiment_nyu", "lambada_combined"}
    tasks = set(table("inverse_scaling_pilot", "items")["task"])
    assert not tasks & set(flagged["eval_set"])
    bad = evals.filter(pl.col("flag") == "bad_input")["eval_set"].unique().to_list()
    assert bad == ["dice-0shot-gpt3-[bad line endings]"]
    # 75 experiments, two of which hold estimates only
    assert evals["eval_set"].n_unique() == 73


def test_pilot_early_runs_have_no_accuracy(table: Table) -> None:
    metrics = table("inverse_scaling_pilot").group_by("metric").len().sort("metric").rows()
    assert dict(metrics) == {
        "acc": 283 - 102,
        "answer_loss": 283 - 74,
        "logodds_difference": 283 - 261,
        "total_log_likelihood": 283 - 102,
    }
