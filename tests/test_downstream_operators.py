"""Operators of single results: stopping at r, upper bounds, nested limits, gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog
from scipy.stats import binom

import scalingdb as sdb
from scalingdb import downstream


def curve(values: Any, x: Any = None, name: str = "loss") -> pl.DataFrame:
    return pl.DataFrame({"n_tokens": np.geomspace(1e3, 1e6, len(values)) if x is None else x, name: values})


def test_stopping_at_r_has_exact_ends() -> None:
    table = downstream.stop_at_r([50, 1000, 200], [2, 0, 1], r=2)
    low, high = table["low"][0], table["high"][0]
    # at the ends the observation or a more extreme one has a chance of 2.5 %
    assert binom.sf(1, 50, low) == pytest.approx(0.025)
    assert binom.cdf(1, 49, high) == pytest.approx(0.025)
    assert table["unbiased"][0] == pytest.approx(1 / 49)
    assert table["censored"].to_list() == [False, True, True]
    assert table["low"][1] == 0.0
    assert table["high"][1] == pytest.approx(1 - 0.025 ** (1 / 1000))
    with pytest.raises(sdb.ScalingDBError, match="sampling stops at the r-th pass"):
        downstream.stop_at_r([5], [3], r=2)


def test_stopping_at_r_is_unbiased() -> None:
    rng = np.random.default_rng(4)
    drawn = rng.negative_binomial(3, 0.05, 4000) + 3
    table = downstream.stop_at_r(drawn, r=3)
    assert table["unbiased"].mean() == pytest.approx(0.05, rel=0.03)
    assert table["pass_rate"].mean() > 0.055  # r/K is too large on average
    inside = ((table["low"] <= 0.05) & (table["high"] >= 0.05)).mean()
    assert inside >= 0.94  # type: ignore[operator]


def test_upper_bound_is_the_quantile_line_of_a_linear_program() -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, 30)
    y = x * rng.uniform(0, 1, 30)
    row = downstream.upper_bound(pl.DataFrame({"x": x, "y": y}), "x", "y", n_resamples=50).row(0, named=True)
    # min q'u + (1-q)'v  with  y = a + b x + u - v
    design = np.column_stack([np.ones(30), x, np.eye(30), -np.eye(30)])
    cost = np.concatenate([[0, 0], np.full(30, 0.9), np.full(30, 0.1)])
    best = linprog(cost, A_eq=design, b_eq=y, bounds=[(None, None)] * 2 + [(0, None)] * 60).x
    assert [row["intercept"], row["slope"]] == pytest.approx(best[:2].tolist(), abs=1e-8)
    assert row["share_above"] <= 0.1
    with pytest.raises(sdb.ScalingDBError, match="do not show a bound"):
        downstream.upper_bound(pl.DataFrame({"x": [1.0, 2.0], "y": [1.0, 2.0]}), "x", "y")


def test_nested_limit_carries_its_error() -> None:
    floors = pl.DataFrame({"k": [1.0, 2, 4, 8], "estimate": [3.4, 3.3, 3.25, 3.225], "std_error": [0.02] * 4})
    row = downstream.nested_limit(floors).row(0, named=True)
    design = np.column_stack([np.ones(4), 1 / floors["k"].to_numpy()])
    error = 0.02 * np.sqrt(np.linalg.inv(design.T @ design)[0, 0])
    assert row["limit"] == pytest.approx(3.2)
    assert row["high"] - row["low"] == pytest.approx(2 * 1.96 * error, rel=0.05)
    assert row["chi_square"] == pytest.approx(0, abs=1e-9)
    with pytest.raises(sdb.ScalingDBError, match="have no limit"):
        downstream.nested_limit(floors.head(2))


def test_gap_of_one_language_is_that_to_the_curve() -> None:
    law = sdb.law(
        "own_languages",
        cite="test",
        inputs=("n_languages",),
        output="gain",
        params={"A": sdb.positive, "alpha": sdb.exponent},
    )(lambda n_languages, A, alpha: A * n_languages**alpha)
    x = np.arange(2.0, 9)
    frame = pl.DataFrame({"n_languages": x, "gain": 2 * x**0.3 * (1 + 0.01 * np.cos(x))})
    row = downstream.monolingual_gap(sdb.fit(frame, law, objective="mse_log"), 1.5).row(0, named=True)
    assert row["gap"] == pytest.approx(0.5, abs=0.03)
    assert row["gap_low"] < row["gap"] < row["gap_high"]
    with pytest.raises(sdb.ScalingDBError, match="at or below 2"):
        downstream.monolingual_gap(sdb.fit(frame, law, objective="mse_log"), 1.5, at=2.0)
