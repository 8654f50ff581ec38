"""Source `epoch_benchmark_stitching`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import epoch_benchmark_stitching


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "epoch_benchmark_stitching",
        raw_directory,
        {"runs": 719, "evals": 5440},
        set_aside={"repeated_report": 441, "repeats_other_score": 7},
    )


def test_records_of_all_raw_files(db: sdb.Warehouse) -> None:
    assert sum(records(db, "epoch_benchmark_stitching").values()) == 3_885


def test_stitching_files_and_records(table: Table, raw_directory: Path) -> None:
    assert len(epoch_benchmark_stitching.FILES) == 37
    # 2,558 records of benchmarks, 541 own runs, 574 versions, 170 distilled, 42 attributes
    assert epoch_benchmark_stitching.N_EXTERNAL + 541 + 574 + 170 + 42 == 3885
    evals = table("epoch_benchmark_stitching")
    own = evals.filter(pl.col("eval_set").str.starts_with("epoch:"))
    assert own.height == 541
    mmlu = evals.filter(pl.col("eval_set").str.contains(r"^mmlu(#|$)"))
    assert mmlu.height == 246


def test_stitching_scores_are_shares_whatever_their_spelling(table: Table) -> None:
    evals = table("epoch_benchmark_stitching")
    value = {(run.split("/", 1)[1], task): v for run, task, v in evals.select("run_id", "eval_set", "value").rows()}
    assert value["gpt-5-2025-08-07_high", "aider_polyglot"] == pytest.approx(0.88)  # "88.0" without a sign
    assert value["o4-mini-2025-04-16_medium", "arc_agi"] == pytest.approx(0.42)  # "42%"
    assert value["claude-3-5-sonnet-20240620", "metr"] == pytest.approx(0.476797)  # a share already
    assert value["gpt-5.1_medium", "epoch:GPQA diamond"] == pytest.approx(0.85)
    shares = evals.filter(pl.col("unit") == "fraction")
    assert shares["value"].is_between(0, 1).all()
    # a share written as a percentage would lie near 0.01: the medians of the large sets do not
    medians = shares.filter(pl.col("flag").is_null()).group_by("eval_set").agg(pl.col("value").median(), n=pl.len())
    large = medians.filter(
        (pl.col("n") > 25) & ~pl.col("eval_set").str.contains("refusal|nethack|minihack|FrontierMath")
    )
    assert large["value"].min() > 0.03


def test_stitching_every_numeric_cell_is_carried(table: Table, raw_directory: Path) -> None:
    evals = table("epoch_benchmark_stitching")
    for name, scores in epoch_benchmark_stitching.FILES.items():
        file = f"external_benchmark_{name}.csv"
        frame = pl.read_csv(raw_directory / "epoch_benchmark_stitching" / file, infer_schema=False)
        cells = sum(frame[score.column].is_not_null().sum() for score in scores)
        assert evals.filter(pl.col("raw_file") == file).height == cells, name


def test_stitching_repeated_reports_are_set_aside(table: Table) -> None:
    evals = table("epoch_benchmark_stitching").with_columns(plain=pl.col("eval_set").str.replace(r"#\d+$", ""))
    kept = evals.filter(pl.col("flag").is_null())
    assert not kept.select("run_id", "metric", "plain", "n_shots").is_duplicated().any()
    assert kept["eval_set"].str.contains("#").sum() == 0
    assert table("epoch_benchmark_stitching", "runs")["n_params"].null_count() == 719
