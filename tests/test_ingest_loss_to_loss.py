"""Source `loss_to_loss`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import loss_to_loss
from ingest._build import load_source
from ingest._raw import RawFolder
from scalingdb.errors import DataError


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "loss_to_loss",
        raw_directory,
        {"runs": 535, "evals": 535 * 62, "claims": 276 * 8, "published_fits": 6 * 5},
        set_aside=0,
    )


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "loss_to_loss").items() >= {"sweep.csv": 529, "extrapolation.csv": 6}.items()


def test_loss_to_loss_grid(table: Table) -> None:
    runs = table("loss_to_loss", "runs")
    sweep, largest = runs.filter(pl.col("train_flops") < 1e20), runs.filter(pl.col("train_flops") > 1e20)
    assert (sweep.height, largest.height) == (529, 6)
    assert dict(sweep.group_by("family").len().rows()) == {
        "fineweb-edu": 91,
        "fineweb": 90,
        "smollm": 89,
        "slimpajama": 89,
        "proof-pile-2": 86,
        "starcoder": 84,
    }
    assert sweep["train_flops"].n_unique() == 8
    assert (sweep["train_flops"].min(), sweep["train_flops"].max()) == (2e17, 4.84e19)
    assert largest["train_flops"].unique().to_list() == [1e21]
    # no run of the sweep may pass for a test of the predictions
    split = table("loss_to_loss").group_by("split").agg(pl.col("run_id").n_unique())
    assert dict(split.rows()) == {"fit": 529, "validation": 6}


def test_loss_to_loss_compute_is_not_the_forward_count(table: Table) -> None:
    runs = table("loss_to_loss", "runs")
    assert ((runs["train_flops"] / (6 * runs["n_params"] * runs["n_tokens"])) - 1).abs().max() < 1e-12
    # the raw column 'flops' is one sequence: millions of times smaller than training, so never train_flops
    assert (runs["train_flops"] / runs["flops_per_sample"]).min() > 1e5
    # total count: 64,000 embedding rows and norms of 4 vectors per layer besides 12 L d^2
    extra = runs["n_params"] - 12 * runs["n_layers"] * runs["d_model"] ** 2
    assert (extra / runs["d_model"]).is_between(64_000, 64_200).mean() > 0.9


def test_loss_to_loss_losses_of_three_kinds_stay_apart(table: Table) -> None:
    counts = dict(table("loss_to_loss").group_by("metric").agg(pl.col("eval_set").n_unique()).rows())
    assert counts == {
        "loss": 8,
        "answer_loss": 19 + 2,
        "context_loss": 7,
        "acc": 4,
        "acc_norm": 15,
        "task_score": 2,
        "train_loss": 1,
        "train_loss_smoothed": 3,
        "train_loss_sd": 1,
    }


def test_loss_to_loss_own_corpus_losses_differ(table: Table) -> None:
    # comparable on one text only: at 1e21 FLOP the own loss of code is far below that of web text
    joined = table("loss_to_loss").join(
        table("loss_to_loss", "runs").select("run_id", "family", "train_flops"), on="run_id"
    )
    largest = joined.filter((pl.col("train_flops") == 1e21) & (pl.col("metric") == "loss"))
    value = {(family, text): v for family, text, v in largest.select("family", "eval_set", "value").rows()}
    assert value["starcoder", "starcoder_val"] < 1.5 < 2.0 < value["fineweb", "fineweb_100b_val"]
    assert value["starcoder", "c4_val"] > value["smollm", "c4_val"]


def test_loss_to_loss_published_extrapolation(table: Table) -> None:
    claims = table("loss_to_loss", "claims").filter(pl.col("quantity") == "predicted_loss")
    value = dict(claims.select("claim_id", "value").rows())
    assert value["2411.12925/smollm/c4_val/chinchilla/predicted_loss"] == pytest.approx(2.729, abs=5e-4)
    # with the declared coefficients, on the run itself: 3.3 % above the measured 2.643
    source, _ = load_source("loss_to_loss")
    (fit,) = (f for f in source.published_fits if f.variant == "loss_to_loss_smollm")
    run = (
        table("loss_to_loss")
        .join(table("loss_to_loss", "runs").drop("n_tokens"), on="run_id")
        .filter((pl.col("split") == "validation") & (pl.col("family") == "smollm") & (pl.col("eval_set") == "c4_val"))
    )
    n, d, measured = run["n_params"][0], run["n_tokens"][0], run["value"][0]
    p = fit.params
    predicted = p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * d ** -p["beta"]
    assert measured == pytest.approx(2.643, abs=5e-4)
    assert predicted / measured - 1 == pytest.approx(0.033, abs=5e-4)


@pytest.mark.parametrize(("form", "median", "largest"), [("chinchilla", 0.0433, 0.729), ("kaplan", 0.0362, 0.741)])
def test_loss_to_loss_extrapolation_errors(form: str, median: float, largest: float, raw_directory: Path) -> None:
    # all 23 losses of all six corpora; half a unit of the last digit quoted
    raw = RawFolder(loss_to_loss.SOURCE, raw_directory)
    fits = raw.csv("opt_params_data.csv", {"kaplan": pl.Boolean, "extrap_pred": pl.Float64, "extrap_loss": pl.Float64})
    fits = fits.filter(pl.col("kaplan") == (form == "kaplan"))
    error = (fits["extrap_pred"] / fits["extrap_loss"] - 1).abs()
    assert error.median() == pytest.approx(median, abs=5e-5)
    assert error.max() == pytest.approx(largest, abs=5e-4)


def test_loss_to_loss_altered_copy_is_refused(raw_directory: Path) -> None:
    points = loss_to_loss._read(RawFolder(loss_to_loss.SOURCE, raw_directory), "sweep.csv", 529)
    loss_to_loss._check(points)
    altered = points.with_columns(val_loss=pl.when(pl.col("raw_row") == 1).then(1.0).otherwise("val_loss"))
    with pytest.raises(DataError, match=r"1 run\(s\) not with val_loss"):
        loss_to_loss._check(altered)
