"""Source `inverse_scaling_mt`: counts and traps, as the raw files themselves have them."""

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
    check_rows("inverse_scaling_mt", raw_directory, {"runs": 18, "evals": 221 * 2 + 64}, set_aside=138)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "inverse_scaling_mt").items() >= {"results_parsed.csv": 221}.items()


def test_mt_repeats_and_logging_fault(table: Table) -> None:
    evals = table("inverse_scaling_mt")
    flags = dict(evals.filter(pl.col("flag").is_not_null()).group_by("flag").len().rows())
    assert flags == {"logging_fault": 60, "repeated_report": 138 - 60}
    assert evals.filter((pl.col("metric") == "language_acc") & pl.col("flag").is_null())["value"].min() > 0.5
    repeats = evals.filter((pl.col("metric") == "bleu") & (pl.col("flag") == "repeated_report"))
    assert repeats.height == 39
    assert evals.filter(pl.col("metric") == "bleu")["value"].max() == pytest.approx(0.6593)  # 65.93 of 100


def test_mt_larger_models_answer_more_often(table: Table) -> None:
    runs = table("inverse_scaling_mt", "runs").select("run_id", "family", "n_params")
    kept = table("inverse_scaling_mt").filter((pl.col("metric") == "question_mark_kept") & pl.col("flag").is_null())
    means = kept.join(runs, on="run_id").group_by("family", "n_params").agg(pl.col("value").mean())
    openai = means.filter(pl.col("family") == "openai").sort("n_params")
    assert openai["value"].is_between(0, 1).all()
    assert runs["n_params"].max() == 175e9
    assert runs.filter(pl.col("family") != "openai")["n_params"].max() < 3e9
