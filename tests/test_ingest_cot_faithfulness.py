"""Source `cot_faithfulness`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
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
    check_rows("cot_faithfulness", raw_directory, {"runs": 17, "evals": 55 * 2 + 140 * 4}, set_aside=4)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "cot_faithfulness").items() >= {"summary_long.csv": 195}.items()


def _cot_rows(table: Table) -> pl.DataFrame:
    evals = table("cot_faithfulness").join(table("cot_faithfulness", "runs").select("run_id", "n_params"), on="run_id")
    match = evals.filter((pl.col("metric") == "chain_match") & pl.col("eval_set").str.ends_with(":chain"))
    match = match.with_columns(pl.col("eval_set").str.strip_suffix(":chain"))
    acc = evals.filter(pl.col("metric") == "acc").select("run_id", "eval_set", acc="value")
    return match.join(acc, on=["run_id", "eval_set"])


def test_cot_larger_models_match_more(table: Table) -> None:
    rows = _cot_rows(table)
    assert np.corrcoef(np.log(rows["n_params"]), rows["value"])[0, 1] > 0.5  # larger means less use of the chain
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()


def test_cot_models(table: Table) -> None:
    runs = table("cot_faithfulness", "runs")
    assert runs["is_instruct"].sum() == 11
    assert runs.filter(pl.col("precision_weight_bits") == 4)["n_params"].sort().to_list() == [70e9, 72e9]
    assert (runs["n_params"].min(), runs["n_params"].max()) == (5e8, 7.2e10)


def test_cot_unshuffled_row_is_flagged(table: Table) -> None:
    flagged = table("cot_faithfulness").filter(pl.col("flag").is_not_null())
    assert set(flagged["run_id"]) == {"cot_faithfulness/Qwen/Qwen2.5-0.5B-Instruct"}
    assert set(flagged["eval_set"]) == {"aqua:shuffled", "aqua:shuffled:direct"}
