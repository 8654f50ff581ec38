"""Source `openclip_scaling`: counts and traps, as the raw files themselves have them."""

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
    check_rows("openclip_scaling", raw_directory, {"runs": 32, "evals": 9672}, set_aside=3 * 32 * 3)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "openclip_scaling").items() >= {"zeroshot_results.csv": 1_312}.items()


def test_openclip_models_and_sets(table: Table) -> None:
    evals = table("openclip_scaling")
    final = evals.filter(pl.col("step").is_null())
    assert final.select("run_id", "eval_set").n_unique() == 1312 == 32 * 41
    families = dict(table("openclip_scaling", "runs").group_by("family").len().rows())
    assert families == {"laion-80m": 9, "laion-400m": 9, "laion-2b": 11, "clip-wit": 3}
    curves = evals.filter(pl.col("step").is_not_null() & (pl.col("metric") == "acc"))
    assert (curves.height, curves["run_id"].n_unique()) == (3359, 29)
    assert evals.filter((pl.col("metric") == "acc_top5") & pl.col("step").is_not_null()).height == 3359 - 758


def test_openclip_multiply_accumulates_are_doubled(table: Table) -> None:
    runs = table("openclip_scaling", "runs")
    # ViT-L/14 needs 87.73 billion multiply-accumulates for a pair
    large = runs.filter(pl.col("model_id") == "clip-vit-l-14")
    assert large["flops_per_sample"].to_list() == pytest.approx([175.46e9])
    assert (runs["train_flops"] / (runs["flops_per_sample"] * runs["n_samples_seen"]) - 1).abs().max() < 1e-9


def test_openclip_aggregates_and_retrieval(table: Table) -> None:
    evals = table("openclip_scaling")
    assert set(evals.filter(pl.col("flag") == "aggregate")["eval_set"]) == {"vtab", "vtab+", "imagenet_robustness"}
    without = evals.filter(pl.col("eval_set").is_in(["flickr30k", "mscoco_captions", "voc2007_multilabel"]))
    assert "acc" not in set(without["metric"])


@pytest.mark.parametrize(
    ("family", "exponent"), [("clip-wit", -0.164), ("laion-2b", -0.114), ("laion-400m", -0.097), ("laion-80m", -0.059)]
)
def test_openclip_exponents(family: str, exponent: float, table: Table) -> None:
    runs = table("openclip_scaling", "runs").filter(pl.col("family") == family).select("run_id", "train_flops")
    points = (
        table("openclip_scaling")
        .join(runs, on="run_id")
        .filter(pl.col("step").is_null() & (pl.col("eval_set") == "imagenet1k") & (pl.col("metric") == "acc"))
    )
    slope = np.polyfit(np.log(points["train_flops"]), np.log(1 - points["value"].to_numpy()), 1)[0]
    assert slope == pytest.approx(exponent, abs=6e-4)  # quoted to three digits


def test_openclip_curves_end_at_the_final_result(table: Table) -> None:
    evals = table("openclip_scaling").filter((pl.col("eval_set") == "imagenet1k") & (pl.col("metric") == "acc"))
    last = evals.drop_nulls("step").sort("step").group_by("run_id").last()
    joined = last.join(evals.filter(pl.col("step").is_null()), on="run_id", suffix="_final")
    assert joined.height == 29
    assert (joined["value"] - joined["value_final"]).abs().max() < 0.0013
