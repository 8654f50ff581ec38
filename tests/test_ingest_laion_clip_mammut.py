"""Source `laion_clip_mammut`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("laion_clip_mammut", raw_directory, {"runs": 1431, "evals": 5 * 1431 + 850}, set_aside={})


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "laion_clip_mammut").items() >= {"scaling_laws/data/segmentation_results.parquet": 1_431}.items()


@pytest.fixture
def towers(raw_directory: Path) -> pl.DataFrame:
    tables = tables_of("laion_clip_mammut", raw_directory)
    wide = (
        tables["evals"].filter(pl.col("metric").is_in(["acc", "miou"])).pivot("metric", index="run_id", values="value")
    )
    return tables["runs"].join(wide, on="run_id")


def test_laion_runs(towers: pl.DataFrame) -> None:
    assert dict(towers.group_by("family").len().rows()) == {"clip": 581, "mammut": 850}
    assert (towers["model_name"].n_unique(), towers["n_samples_seen"].n_unique()) == (22, 11)
    assert (towers["n_samples_seen"].min(), towers["n_samples_seen"].max()) == (1.28e6, 3.072e9)
    assert (towers["train_flops"] / (towers["flops_per_sample"] * towers["n_samples_seen"]) - 1).abs().max() < 1e-9


def test_laion_accuracy_is_imagenet_and_segmentation_is_ade20k(raw_directory: Path, towers: pl.DataFrame) -> None:
    evals = tables_of("laion_clip_mammut", raw_directory)["evals"]
    assert dict(evals.select("metric", "eval_set").unique().rows()) == {
        "acc": "imagenet",
        "acc_top5": "imagenet",
        "class_recall": "imagenet",
        "miou": "ade20k",
        "contrastive_loss": "train",
        "train_loss": "train_captions",
    }
    captions = evals.filter(pl.col("metric") == "train_loss")["run_id"]
    assert set(towers.filter(pl.col("run_id").is_in(captions.implode()))["family"]) == {"mammut"}
    correlation = np.corrcoef(1 - towers["acc"], 1 - towers["miou"])[0, 1]
    assert correlation == pytest.approx(0.956, abs=5e-4)


@pytest.mark.parametrize(("family", "points", "slope"), [("clip", 113, -0.0587), ("mammut", 118, -0.0648)])
def test_laion_best_runs_scale(family: str, points: int, slope: float, towers: pl.DataFrame) -> None:
    best = (
        towers.filter(pl.col("family") == family)
        .group_by("model_name", "n_samples_seen")
        .agg(pl.col("miou").max(), pl.col("train_flops").first())
    )
    assert best.height == points
    fitted = np.polyfit(np.log10(best["train_flops"]), np.log10(1 - best["miou"]), 1)[0]
    assert fitted == pytest.approx(slope, abs=5e-5)  # printed to four decimals
