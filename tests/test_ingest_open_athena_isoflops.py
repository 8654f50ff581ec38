"""Sources `open_athena_isoflops` and `llama3_isoflop`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb


def _points(source_id: str, directory: Path, metric: str | None = None) -> pl.DataFrame:
    """Runs joined with their evaluations."""
    tables = tables_of(source_id, directory)
    evals = tables["evals"] if metric is None else tables["evals"].filter(pl.col("metric") == metric)
    return tables["runs"].join(evals.drop("source_id", "n_tokens"), on="run_id")


def test_rows_and_flags_of_open_athena_isoflops(raw_directory: Path) -> None:
    check_rows(
        "open_athena_isoflops",
        raw_directory,
        {"runs": 273 + 556, "evals": 273 + 556, "claims": 48},
        set_aside={"duplicate_source": 556, "set_aside_by_authors": 19},
    )


def test_records_of_the_raw_files_of_open_athena_isoflops(db: sdb.Warehouse) -> None:
    assert records(db, "open_athena_isoflops").items() >= {"data/isoflops/transform/isoflops.csv": 947}.items()


def test_rows_and_flags_of_llama3_isoflop(raw_directory: Path) -> None:
    check_rows("llama3_isoflop", raw_directory, {"runs": 133, "evals": 133, "claims": 4}, set_aside={})


def test_records_of_the_raw_files_of_llama3_isoflop(db: sdb.Warehouse) -> None:
    assert records(db, "llama3_isoflop").items() >= {"isoflops_points.csv": 133}.items()


def test_open_athena_parts(raw_directory: Path) -> None:
    runs = tables_of("open_athena_isoflops", raw_directory)["runs"]
    assert dict(runs.group_by("study").len().rows()) == {
        "marin": 258,
        "marin_validation_optimal": 15,
        "epochai_chinchilla": 123,
        "ml_scalefit": 124,
        "llama_3": 133,  # one of the two conditions
        "misfitting": 176,
    }
    marin = runs.filter(pl.col("study") == "marin")
    assert dict(marin.group_by("family").len().rows()) == {"marin_comma": 85, "marin_dclm": 85, "marin_nemotron": 88}
    assert set(marin.filter(pl.col("learning_rate").is_null())["family"]) == {"marin_nemotron"}


def test_open_athena_default_rows_are_marin_only(raw_directory: Path) -> None:
    points = _points("open_athena_isoflops", raw_directory)
    kept = points.filter(pl.col("flag").is_null())
    assert set(kept["study"]) == {"marin", "marin_validation_optimal"}
    assert kept.height == 258 - 19 + 15
    assert set(kept.filter(pl.col("study") == "marin")["split"]) == {"fit"}
    assert set(kept.filter(pl.col("study") == "marin_validation_optimal")["split"]) == {"validation"}


def test_open_athena_budget_counts_three_times_the_name(raw_directory: Path) -> None:
    runs = tables_of("open_athena_isoflops", raw_directory)["runs"]
    marin = runs.filter(pl.col("study").str.starts_with("marin"))
    named = marin["model_name"].str.extract(r"-(\de\+\d\d)-").cast(pl.Float64)
    ratio = (marin["train_flops"] / named).round(9)
    assert dict(marin.select("study").with_columns(ratio=ratio).unique().rows()) == {
        "marin": 3.0,
        "marin_validation_optimal": 1.0,
    }
    six = marin["train_flops"] / (6 * marin["n_params"] * marin["n_tokens"])
    assert (1 / six).min() == pytest.approx(0.933, abs=1e-3)
    assert (1 / six).max() == pytest.approx(1.348, abs=1e-3)
    assert (marin["batch_size_tokens"] * marin["n_steps"] == marin["n_tokens"]).all()


@pytest.mark.parametrize("part", ["epochai_chinchilla", "ml_scalefit"])
def test_open_athena_chinchilla_points_are_epochs(part: str, raw_directory: Path) -> None:
    copies = _points("open_athena_isoflops", raw_directory).filter(pl.col("study") == part)
    epoch = _points("epoch_chinchilla", raw_directory)
    n, loss = (copies[name].to_numpy()[:, None] for name in ("n_params", "value"))
    distance = np.abs(np.log(n / epoch["n_params"].to_numpy())) + np.abs(loss - epoch["value"].to_numpy())
    # the first part rounds N to whole parameters, the second repeats both numbers to the last digit
    assert distance.min(axis=1).max() < (1e-8 if part == "epochai_chinchilla" else 1e-15)
    assert len(set(distance.argmin(axis=1))) == (123 if part == "epochai_chinchilla" else 120)


def test_open_athena_llama_points_are_those_of_the_first_hand_source(raw_directory: Path) -> None:
    copies = _points("open_athena_isoflops", raw_directory).filter(pl.col("study") == "llama_3")
    first = _points("llama3_isoflop", raw_directory)
    key = ["n_tokens", "train_flops", "value", "unit"]
    assert copies.select(key).sort(key).equals(first.select(key).sort(key))
    assert set(copies["unit"]) == {"nats_rescaled"}
    assert copies["n_params"].null_count() == first["n_params"].null_count() == 133  # C / 6D is an assumption
    assert set(first["value_origin"]) == {"digitised"}
