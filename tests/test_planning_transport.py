"""A mixture of sources predicted from small runs: distances, two stages, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import DataError, FitError

RNG = np.random.default_rng(2)
SOURCES = {"a": RNG.normal(0, 1, (12, 2)), "b": RNG.normal(3, 1, (12, 2))}
TARGET = RNG.normal(0.5, 1, (12, 2))


def runs(shares: np.ndarray, size: float) -> pl.DataFrame:
    """Scores that follow the two stages: linear in distance, then in the logarithm of the size."""
    rows = [dict(zip(SOURCES, row, strict=True)) for row in shares]
    far = np.array([sdb.planning.mixture_distance(SOURCES, row, TARGET) for row in rows])
    score = 0.6 - 0.05 * far + (0.03 - 0.002 * far) * np.log(size / 1e3)
    return pl.DataFrame(rows).with_columns(n_examples=pl.lit(size), score=pl.Series(score))


def test_the_distance_is_least_for_the_source_that_is_the_target() -> None:
    far, near = (sdb.planning.mixture_distance(SOURCES, {"a": 1 - s, "b": s}, SOURCES["a"]) for s in (0.5, 0.0))
    assert near == pytest.approx(0.0, abs=1e-9)
    one_way = {"x": np.array([0.0, 1.0]), "y": np.array([10.0, 11.0])}
    assert sdb.planning.mixture_distance(one_way, {"x": 0.75, "y": 0.25}, one_way["x"]) == pytest.approx(2.5)
    assert far > near


def test_two_stages_give_back_unseen_mixtures_at_larger_sizes() -> None:
    seen = np.array([[1.0, 0.0], [0.7, 0.3], [0.4, 0.6], [0.1, 0.9]])
    pilots = pl.concat([runs(seen, 1e3), runs(seen, 4e3)])
    truth = runs(np.array([[0.85, 0.15], [0.2, 0.8]]), 2e4)
    made = sdb.planning.transport_forecast(pilots, truth.drop("score"), SOURCES, TARGET)
    assert made["prediction"].to_numpy() == pytest.approx(truth["score"].to_numpy(), abs=1e-6)
    assert (made["distance"] > 0).all()


def test_bad_pilots_are_named() -> None:
    pilots = runs(np.array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]), 1e3)
    with pytest.raises(DataError, match="1 different sizes"):
        sdb.planning.transport_forecast(pilots, pilots, SOURCES, TARGET)
    with pytest.raises(FitError, match="2 pilot runs"):
        sdb.planning.transport_forecast(
            pl.concat([pilots, runs(np.array([[1.0, 0.0], [0.0, 1.0]]), 4e3)]), pilots, SOURCES, TARGET
        )
    with pytest.raises(DataError, match="sum to 1"):
        sdb.planning.mixture_distance(SOURCES, {"a": 0.5, "b": 0.6}, TARGET)
    with pytest.raises(DataError, match="no sample of source 'c'"):
        sdb.planning.mixture_distance(SOURCES, {"c": 1.0}, TARGET)
    with pytest.raises(DataError, match="number of features"):
        sdb.planning.mixture_distance(SOURCES, {"a": 1.0}, TARGET[:, 0])
