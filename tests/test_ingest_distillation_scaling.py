"""Sources `distillation_scaling` and `sae_scaling`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import sae_scaling


def _points(source_id: str, directory: Path, metric: str | None = None) -> pl.DataFrame:
    """Runs joined with their evaluations."""
    tables = tables_of(source_id, directory)
    evals = tables["evals"] if metric is None else tables["evals"].filter(pl.col("metric") == metric)
    return tables["runs"].join(evals.drop("source_id", "n_tokens"), on="run_id")


def test_rows_and_flags_of_distillation_scaling(raw_directory: Path) -> None:
    check_rows("distillation_scaling", raw_directory, {"runs": 354, "evals": 354, "claims": 6}, set_aside={})


def test_records_of_the_raw_files_of_distillation_scaling(db: sdb.Warehouse) -> None:
    assert records(db, "distillation_scaling").items() >= {"all_data.parquet": 354}.items()


def test_rows_and_flags_of_sae_scaling(raw_directory: Path) -> None:
    check_rows("sae_scaling", raw_directory, {"runs": 45, "evals": 45}, set_aside={})


def test_records_of_the_raw_files_of_sae_scaling(db: sdb.Warehouse) -> None:
    assert records(db, "sae_scaling").items() >= {"all_data.parquet": 45}.items()


def test_distillation_grid(raw_directory: Path) -> None:
    points = _points("distillation_scaling", raw_directory)
    assert (points["n_params"].n_unique(), points["n_tokens"].n_unique()) == (7, 17)
    assert (points["n_params"].min(), points["n_params"].max()) == (1.43e8, 7.75e9)
    assert (points["n_tokens"].min(), points["n_tokens"].max()) == (3.7e9, 5.149e11)
    assert (points["teacher_loss"].min(), points["teacher_loss"].max()) == (1.8953, 2.7545)
    # the same cell with another loss: kept, numbered
    repeated = points.filter(pl.struct("n_params", "n_tokens", "teacher_loss").is_duplicated())
    assert (repeated.height, repeated["value"].n_unique()) == (8, 8)
    assert repeated["run_id"].str.contains(r"-[12]$").all()
    assert points["flag"].null_count() == points.height
    assert set(points["value_origin"]) == {"digitised"}


def test_distillation_supervised_law_is_a_claim_only(raw_directory: Path) -> None:
    tables = tables_of("distillation_scaling", raw_directory)
    claims = dict(tables["claims"].select("quantity", "value").rows())
    assert claims == {"E": 1.220, "A": 3355.0, "alpha": 0.408, "B": 18186.0, "beta": 0.431, "gamma": 0.452}
    assert "published_fits" not in tables
    # with the exponent outside the sum the law is near the losses; inside out it would be far off (loss near 1.2)
    points = _points("distillation_scaling", raw_directory)
    terms = 3355 / points["n_params"] ** 0.408 + 18186 / points["n_tokens"] ** 0.431
    assert (1.220 + terms**0.452 - points["value"]).abs().median() < 0.15


def test_sae_grid(raw_directory: Path) -> None:
    points = _points("sae_scaling", raw_directory)
    assert points.select("n_latents", "n_latents_active").n_unique() == 45
    assert sorted(points["n_latents"].unique()) == [float(n) for n in sae_scaling.LATENTS]
    assert sorted(points["n_latents_active"].unique()) == [32.0, 64.0, 128.0, 256.0, 512.0]
    assert set(points["unit"]) == {"unitless"}
    # more latents, or more of them active, reconstruct better
    table = points.pivot("n_latents_active", index="n_latents", values="value").sort("n_latents").to_numpy()[:, 1:]
    order = np.argsort([float(k) for k in points["n_latents_active"].unique(maintain_order=True)])
    assert (np.diff(table, axis=0) < 0).all()
    assert (np.diff(table[:, order], axis=1) < 0).all()
