"""Items grouped by difficulty: the groups, their laws, the map to all items, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import DataError, FitError

FLOPS = np.geomspace(1e19, 1e22, 6)


def items(kinds: dict[str, np.ndarray], n: int = 10) -> pl.DataFrame:
    return pl.concat(
        pl.DataFrame({"item_id": f"{name}{i}", "train_flops": FLOPS, "score": rates})
        for name, rates in kinds.items()
        for i in range(n)
    )


def curve(a: float) -> np.ndarray:
    return np.asarray(sdb.get_law("cod_accuracy")(FLOPS, g=0.0, a=a, b=0.2, c=0.0))


def test_clusters_hold_items_within_the_diameter_whatever_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    rates = rng.uniform(size=(120, len(FLOPS)))
    frame = pl.DataFrame(
        {"item_id": np.repeat(np.arange(120), len(FLOPS)), "train_flops": np.tile(FLOPS, 120), "score": rates.ravel()}
    )
    found = sdb.downstream.difficulty_clusters(frame, diameter=0.3, min_items=3)
    assert found.equals(
        sdb.downstream.difficulty_clusters(frame.sample(fraction=1, shuffle=True, seed=1), diameter=0.3, min_items=3)
    )
    sizes = found.drop_nulls().group_by("cluster").agg(pl.len(), pl.col("mean").mean()).sort("cluster")
    assert sizes["len"].min() >= 3
    assert sizes["mean"].is_sorted(descending=True)
    for (_,), part in found.drop_nulls().group_by("cluster"):
        inside = rates[part["item_id"].to_numpy()]
        apart = np.sqrt(((inside[:, None] - inside[None]) ** 2).mean(axis=2))
        assert apart.max() <= 0.3 + 1e-12
    assert found["cluster"].null_count() > 0  # items that no cluster of three holds


def test_clusters_that_do_not_rise_are_set_aside_and_the_map_brings_their_items_back() -> None:
    frame = items({"easy": curve(1e4), "stuck": np.full(6, 0.02)})
    clusters = sdb.downstream.difficulty_clusters(frame)
    laws = sdb.downstream.cluster_laws(frame, clusters, 1e24)
    assert laws["is_predictable"].to_list() == [True, False]
    assert laws["reason"].to_list() == [None, "does not rise"]
    made = sdb.downstream.cluster_forecast(frame, 1e24).row(0, named=True)
    truth = float(sdb.get_law("cod_accuracy")(1e24, g=0.0, a=1e4, b=0.2, c=0.0))
    assert made["subset"] == pytest.approx(truth, abs=1e-3)
    assert (made["n_predictable"], made["n_items"]) == (10, 20)
    assert made["prediction"] < made["subset"]
    anchored = sdb.downstream.cluster_forecast(frame, 1e24, anchors=[(truth, truth / 2 + 0.01)])
    assert anchored["prediction"].item() == pytest.approx(truth / 2 + 0.01, abs=0.01)


def test_the_map_rises_goes_through_the_corners_and_stays_close() -> None:
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(size=40))
    y = np.clip(x**2 + rng.normal(0, 0.003, 40), 0, 1)
    grid = np.linspace(0, 1, 101)
    made = sdb.downstream.monotone_map(x, y, grid)
    assert (np.diff(made) >= -1e-12).all()
    assert made[[0, -1]].tolist() == [0.0, 1.0]
    assert np.abs(made - grid**2).max() < 0.02
    assert sdb.downstream.monotone_map([], [], [0.3]).tolist() == [0.3]


def test_bad_rows_are_named() -> None:
    frame = items({"easy": curve(1e4)})
    with pytest.raises(DataError, match="lacks item 'easy0'"):
        sdb.downstream.difficulty_clusters(frame[1:])
    with pytest.raises(DataError, match="twice"):
        sdb.downstream.difficulty_clusters(pl.concat([frame, frame[:1]]))
    with pytest.raises(DataError, match="percentages"):
        sdb.downstream.difficulty_clusters(frame.with_columns(score=2 * pl.col("score") + 1))
    with pytest.raises(FitError, match="can be extrapolated: does not rise"):
        sdb.downstream.cluster_forecast(items({"stuck": np.full(6, 0.3)}), 1e24)
    with pytest.raises(FitError, match="2 budgets"):
        few = frame.filter(pl.col("train_flops") <= FLOPS[1])
        sdb.downstream.cluster_laws(few, sdb.downstream.difficulty_clusters(few), 1e24)
    with pytest.raises(DataError, match="fractions, not percent"):
        sdb.downstream.monotone_map([20.0], [10.0], [0.5])
