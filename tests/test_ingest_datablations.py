"""Source `datablations`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import (
    datablations,
)
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _points(source_id: str, directory: Path, metric: str = "loss") -> pl.DataFrame:
    """Rows of `evals` with the columns of their run."""
    tables = tables_of(source_id, directory)
    losses = tables["evals"].filter(pl.col("metric") == metric).rename({"n_tokens": "tokens_here"})
    return losses.join(tables["runs"].drop("source_id"), on="run_id", how="left", maintain_order="left")


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("datablations", raw_directory, {"runs": 307, "evals": 307}, set_aside=0)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "datablations").items() >= {"_derived/c4_val_losses.csv": 307}.items()


def _main_grid(directory: Path) -> pl.DataFrame:
    return _points("datablations", directory).filter(pl.col("family") == "c4")


def test_datablations_families_and_main_grid(raw_directory: Path) -> None:
    points = _points("datablations", raw_directory)
    families = {"c4": 229, "c4-dedup": 12, "c4-seeds": 64, "c4-variants": 2}
    assert dict(points.group_by("family").len().rows()) == families
    main = _main_grid(raw_directory)
    assert main["n_params"].n_unique() == 20
    assert (main["n_params"].min(), main["n_params"].max()) == (7_098_752, 8.67e9)
    assert main.filter(pl.col("n_epochs") == 1).height == 33
    assert main["n_epochs"].max() == 9000
    assert main["seed"].null_count() == 229
    # four seeds of each of sixteen settings
    seeds = points.filter(pl.col("family") == "c4-seeds")
    assert set(seeds["seed"]) == {1, 2, 3, 4}
    assert points.filter("dataset_dedup").height == 12


def test_datablations_sizes_follow_the_map_and_not_the_name(raw_directory: Path) -> None:
    points = _points("datablations", raw_directory)
    sizes = points.select("n_params", prefix=pl.col("model_name").str.extract(r"^(25m|22[01]m)")).drop_nulls().unique()
    assert sorted(sizes.rows()) == [(35.5e6, "25m"), (220.5e6, "220m"), (220.5e6, "221m")]


def test_datablations_a_misread_epoch_or_a_placeholder_loss_is_refused(raw_directory: Path) -> None:
    columns = dict.fromkeys(("params", "tokens", "unique_tokens", "epochs", "c4_val_loss", "seed"), pl.Float64)
    raw = RawFolder(datablations.SOURCE, raw_directory)
    points = raw.csv(datablations.FILE, columns).with_columns(family=pl.lit("c4"))
    with pytest.raises(DataError, match="runs of each family"):
        datablations._check(points)
    counts = [name for name, count in datablations.FAMILIES.items() for _ in range(count)]
    points = points.with_columns(family=pl.Series(counts))
    datablations._check(points)
    unfinished = pl.when(pl.col("raw_row") == 5).then(0.0).otherwise("c4_val_loss")
    with pytest.raises(DataError, match="first 5"):
        datablations._check(points.with_columns(c4_val_loss=unfinished))


def test_datablations_four_epochs_cost_little(raw_directory: Path) -> None:
    loss = dict(_main_grid(raw_directory).select("model_name", "value").rows())
    cost = [
        100 * (loss[repeated] / loss[unique] - 1)
        for repeated, unique in (("2b855b14b", "2b855b55b"), ("4b284b21b", "4b284b84b"), ("2b855b1b25", "2b855b55b"))
    ]
    # percent of loss, to the digits of the losses (seven): four epochs at 2.8B and 4.2B, 44 epochs at 2.8B
    assert cost[:2] == pytest.approx([0.595, 0.604], abs=1e-3)
    assert cost[2] == pytest.approx(33.0, abs=0.1)


def _data_constrained(grid: pl.DataFrame, r_d: float, r_n: float) -> np.ndarray:
    """The paper's law: repeated tokens and excess parameters lose their value exponentially."""
    p = {fit.law: fit.params for fit in datablations.SOURCE.published_fits}["muennighoff_repeat"]
    n, d, unique = (grid[name].to_numpy() for name in ("n_params", "n_tokens", "n_tokens_unique"))
    g = (p["A"] / p["B"]) ** (1 / (2 * p["alpha"]))  # with equal exponents the optimal N is g squared times D
    useful = np.minimum(n, g * g * unique)
    n_effective = useful * (1 + r_n * -np.expm1(-(n / useful - 1) / r_n))
    d_effective = unique * (1 + r_d * -np.expm1(-(d / unique - 1) / r_d))
    return p["E"] + p["A"] * n_effective ** -p["alpha"] + p["B"] * d_effective ** -p["beta"]


def test_datablations_published_law_on_all_points_and_without_the_diverged_corner(raw_directory: Path) -> None:
    main = _main_grid(raw_directory)
    assert main["value"].max() == pytest.approx(11.01838)
    claims = tables_of("datablations", raw_directory)["claims"]
    published = dict(claims.select("quantity", "value").rows())
    loss = main["value"].to_numpy()
    law = _data_constrained(main, published["r_d_star"], published["r_n_star"])
    # three digits of our own recomputation: the diverged corner takes most of the variance
    assert 1 - np.sum((loss - law) ** 2) / np.sum((loss - loss.mean()) ** 2) == pytest.approx(0.365, abs=5e-4)
    assert np.median(np.abs(np.log(law / loss))) == pytest.approx(0.085, abs=5e-4)
    kept, delta = main.filter(pl.col("value") < 4.5), 1e-3
    assert kept.height == 190
    objective = {}
    for pair in ((published["r_d_star"], published["r_n_star"]), (21.1, 2.46)):
        error = np.abs(np.log(_data_constrained(kept, *pair) / kept["value"].to_numpy()))
        objective[pair] = np.where(error < delta, error**2 / 2, delta * (error - delta / 2)).sum()
    # weakly identified: the pair refitted on these rows gains 2 % of the objective
    assert list(objective.values()) == pytest.approx([0.01477, 0.01451], abs=6e-6)


def test_datablations_two_runs_with_one_loss_are_both_kept(raw_directory: Path) -> None:
    twins = _main_grid(raw_directory).filter(pl.col("value").is_duplicated())
    assert sorted(twins["model_name"]) == ["83m32b100m", "83m60b100m"]
    assert "83m60b100m" in datablations.SOURCE.notes
