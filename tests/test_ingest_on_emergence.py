"""Source `on_emergence`: counts and traps, as the raw files themselves have them."""

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
    check_rows("on_emergence", raw_directory, {"runs": 24, "evals": 36_261}, set_aside=0)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "on_emergence").items() >= {"evaluation_scores.csv": 5_055}.items()


def test_on_emergence_grid(table: Table) -> None:
    evals = table("on_emergence")
    acc = evals.filter(pl.col("metric") == "acc")
    assert acc.height == 5055 - 3
    parts = acc["eval_set"].str.split(":").list
    assert parts.get(0).n_unique() == 23
    assert set(parts.get(1)) == {"closed", "closed-adv", "open"}
    assert set(parts.get(2, null_on_oob=True).drop_nulls()) == {"seed105", "seed2266", "seed86379"}
    assert sorted(acc["n_shots"].unique()) == [0, 2, 4, 5]
    assert acc.filter(pl.col("run_id") == "on_emergence/gpt-4").height == 2


def test_on_emergence_missing_code_is_no_value(table: Table) -> None:
    evals = table("on_emergence")
    assert evals["value"].min() == 0.0
    # ten columns, 5,052 distinct rows, 14,259 cells coded -100
    assert evals.height == 10 * 5052 - 14_259
    assert evals.filter(pl.col("metric").str.contains("n_items"))["unit"].unique().to_list() == ["count"]


def test_on_emergence_base_and_tuned_models(table: Table) -> None:
    runs = table("on_emergence", "runs")
    tuned = set(runs.filter("is_instruct")["model_id"])
    assert {"flan-t5-large", "alpaca-13b", "falcon-40b-instruct", "gpt-jt-6b-v1", "text-davinci-001", "gpt-4"} <= tuned
    assert not tuned & {"gpt3-175b", "code-davinci-002", "llama-7b", "falcon-40b", "t5-large", "gpt-j-6b"}
    # sizes only where the label states one
    assert runs["n_params"].is_not_null().sum() == 10


def test_on_emergence_base_models_gain_from_tuning(table: Table) -> None:
    acc = table("on_emergence").filter((pl.col("metric") == "acc") & (pl.col("n_shots") == 0))
    mean = dict(acc.group_by("run_id").agg(pl.col("value").mean()).rows())
    # zero-shot, over the same tasks and prompts: the tuned twin is ahead
    for base, tuned in [("t5-large", "flan-t5-large"), ("falcon-7b", "falcon-7b-instruct")]:
        assert mean[f"on_emergence/{tuned}"] > mean[f"on_emergence/{base}"]
