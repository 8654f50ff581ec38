"""Source `rl_grpo_qwen3`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl
import pytest
from _ingest import check_rows, tables_of


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("rl_grpo_qwen3", raw_directory, {"runs": 5 + 9 + 5, "evals": 386, "claims": 2}, set_aside=0)


def test_grpo_curves_and_losses(table: Table) -> None:
    evals = table("rl_grpo_qwen3")
    curves = evals.filter(pl.col("step").is_not_null())
    assert curves["run_id"].n_unique() == 5
    assert curves.filter(pl.col("run_id").str.ends_with("14b")).height == 55
    losses = evals.filter(pl.col("metric") == "loss").join(
        table("rl_grpo_qwen3", "runs").select("run_id", "n_params"), on="run_id"
    )
    assert losses.sort("n_params")["value"].to_list() == sorted(losses["value"], reverse=True)
    assert evals.filter(pl.col("metric") == "acc")["value"].is_between(0, 1).all()
