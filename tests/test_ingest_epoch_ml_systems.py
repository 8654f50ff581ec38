"""Source `epoch_ml_systems`: counts and traps, as the raw files themselves have them."""

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
    check_rows("epoch_ml_systems", raw_directory, {"runs": 3861, "evals": 538}, set_aside=0)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "epoch_ml_systems").items() >= {"all_ml_systems_training_cost_repo_trimmed.csv": 1_892}.items()


def test_ml_systems_states(table: Table) -> None:
    runs = table("epoch_ml_systems", "runs")
    known = runs.group_by("study").agg(
        pl.len(),
        pl.col("n_params").count(),
        pl.col("train_flops").count(),
        pl.col("release_date").max().cast(pl.String),
    )
    rows = {row[0]: row[1:] for row in known.rows()}
    assert rows["2025"] == (1892, 1275, 988, "2025-06-10")
    assert rows["2024"] == (1755, 1150, 782, "2024-09-25")
    assert rows["benchmarks"][0] == 132
    both = (
        runs.filter(pl.all_horizontal(pl.col("n_params", "train_flops", "n_datapoints").is_not_null()))
        .group_by("study")
        .len()
    )
    assert dict(both.rows())["2025"] == 717
    assert dict(both.rows())["2024"] == 477


def test_ml_systems_data_are_no_tokens(table: Table) -> None:
    runs = table("epoch_ml_systems", "runs")
    assert runs["n_tokens"].null_count() == runs.height
    assert runs["n_datapoints"].count() > 1700


def test_ml_systems_compute_is_often_six_n_d(table: Table) -> None:
    """The imputation shows: a good part of the language models of study 2025 has C = 6 N D to 5 %."""
    language = table("epoch_ml_systems", "runs").filter((pl.col("study") == "2025") & (pl.col("family") == "language"))
    ratio = (language["train_flops"] / (6 * language["n_params"] * language["n_datapoints"])).drop_nulls()
    assert ratio.is_between(0.95, 1.05).mean() > 0.3


def test_ml_systems_costs(table: Table) -> None:
    costs = table("epoch_ml_systems").filter(pl.col("metric") == "training_cost")
    counts = dict(costs.group_by("eval_set").len().rows())
    assert counts == {"cloud": 35, "hardware_acquisition": 46, "hardware_capex_energy": 82, "updated": 61}
    assert costs["unit"].unique().to_list() == ["usd"]
