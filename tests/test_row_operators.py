"""Operators of single results: fronts, floors, flags, stopping at r, gaps, bounds, limits, pools, half runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linprog
from scipy.stats import binom

import scalingdb as sdb
from scalingdb import downstream, planning, practices, trends


def curve(values: Any, x: Any = None, name: str = "loss") -> pl.DataFrame:
    return pl.DataFrame({"n_tokens": np.geomspace(1e3, 1e6, len(values)) if x is None else x, name: values})


def test_front_of_two_axes_is_the_envelope() -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"train_flops": rng.uniform(1, 9, 60), "loss": rng.uniform(1, 9, 60)})
    front = trends.pareto_front(frame, {"train_flops": "low", "loss": "low"})
    assert front.equals(sdb.pareto_envelope(frame, "train_flops", "loss"))
    high = trends.pareto_front(frame, {"train_flops": "low", "loss": "high"})
    assert high.equals(sdb.pareto_envelope(frame, "train_flops", "loss", best="high"))


def test_front_of_three_axes_keeps_what_nothing_beats() -> None:
    rng = np.random.default_rng(1)
    frame = pl.DataFrame(rng.integers(0, 5, (40, 3)).astype(float), schema=["a", "b", "c"])
    kept = set(trends.pareto_front(frame, dict.fromkeys("abc", "low")).rows())  # type: ignore[arg-type]
    rows = frame.rows()
    beaten = {r for r in rows if any(all(p <= q for p, q in zip(o, r, strict=True)) and o != r for o in rows)}
    assert kept == set(rows) - beaten


def test_band_of_a_front_resamples_runs() -> None:
    rng = np.random.default_rng(2)
    x = np.repeat(np.geomspace(1e18, 1e22, 20), 3)
    frame = pl.DataFrame({"run_id": [f"r{i}" for i in range(60)], "c": x, "loss": 3 - 0.1 * np.log10(x / 1e18)})
    frame = frame.with_columns(pl.col("loss") + 0.05 * rng.standard_normal(60))
    band = trends.front_band(frame, "c", "loss", points=9, n_resamples=300)
    assert band["loss"][-1] == frame["loss"].min()
    assert (band["low"] <= band["loss"]).all()
    assert (band["high"] >= band["loss"]).all()
    assert band["loss"].is_sorted(descending=True)
    one = trends.front_band(frame.with_columns(run_id=pl.lit("same")), "c", "loss", points=3, n_resamples=50)
    assert (one["low"] == one["high"]).all()  # one run is always drawn
    with pytest.raises(sdb.ScalingDBError, match="the cost must be positive"):
        trends.front_band(frame.with_columns(c=-pl.col("c")), "c", "loss")


def test_flags_name_a_missing_ceiling_and_a_turn() -> None:
    x = np.geomspace(1e3, 1e6, 8)
    rising = sdb.fit(curve(0.1 * np.log10(x), x, "score"), "log_linear", inputs={"n_examples": "n_tokens"},
                     objective="mse")  # fmt: skip
    row = trends.flags(rising).row(0, named=True)
    assert row["flag"] == "no asymptote"
    assert "1e+10" in row["reason"]  # 0.1 log10 x reaches 1 there
    turned = curve(0.5 - 0.02 * (np.log10(x) - 4.5) ** 2, x, "bleu")
    with_turn = sdb.fit(turned, "log_linear", inputs={"n_examples": "n_tokens"}, output="bleu", objective="mse")
    assert "not monotone" in trends.flags(with_turn)["flag"].to_list()
    assert trends.flags(sdb.fit(curve(2 + 50 / x, x), "power_offset", objective="mse_log")).is_empty()


def test_reducible_loss_takes_the_interval_of_the_floor() -> None:
    x = np.geomspace(1e3, 1e6, 14)
    frame = curve((1.7 + 30 * x**-0.5) * (1 + 1e-3 * np.cos(5 * np.arange(14))), x)
    fitted = sdb.fit(frame, "power_offset", objective="mse_log")
    made = trends.reducible(frame, fitted)
    np.testing.assert_allclose(made["loss_reducible"], frame["loss"] - fitted.params["E"])
    assert (made["loss_reducible_low"].drop_nulls() < made["loss_reducible"][0]).all()
    with pytest.raises(sdb.ScalingDBError, match="at or below the floor"):
        trends.reducible(frame, 99.0)


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


def test_one_pool_is_the_law_and_two_alike_are_one() -> None:
    pool = {"b": 0.2, "tau": 2.0, "n_samples": 1e7}
    seen = np.array([5e6, 1e7, 2.5e7, 9e7])
    law = sdb.get_law("qqt_filter")
    alone = planning.mixed_pools([pool], seen, a=0.02, d=0.1)
    np.testing.assert_allclose(alone, law(seen, np.maximum(seen / 1e7, 1), a=0.02, b=0.2, tau=2.0, d=0.1), rtol=1e-10)
    half = {**pool, "n_samples": 5e6, "tau": 1.0}
    np.testing.assert_allclose(planning.mixed_pools([half, half], seen, a=0.02, d=0.1), alone, rtol=1e-12)
    assert np.isnan(planning.mixed_pools([pool], 2e8, a=0.02, d=0.1)).all()


def test_best_pool_grows_with_compute() -> None:
    pools = {f"p{i}": {"b": 0.2 - 0.02 * i, "tau": 1.5, "n_samples": 1e7} for i in range(4)}
    table = planning.best_pool(pools, [1e7, 3e7, 1e8, 3e8], a=0.02)
    best = table.filter("is_best")["n_pools"].to_list()
    assert best == sorted(best)
    assert best[0] < best[-1]
    with pytest.raises(sdb.ScalingDBError, match="more than ten epochs"):
        planning.best_pool(pools, 1e12, a=0.02)
    with pytest.raises(sdb.ScalingDBError, match="pool 'x' has tau=None"):
        planning.best_pool({"x": {"b": 0.1, "n_samples": 1e6}}, 1e6, a=0.02)


def test_half_of_a_run_says_what_its_end_is() -> None:
    hours = np.geomspace(100, 1e5, 60)
    score = sdb.get_law("rl_sigmoid")(hours, R_0=0.1, A=0.6, B=1.5, C_mid=3000)
    run = pl.DataFrame({"gpu_hours": hours, "pass_rate": score + 0.003 * np.cos(3 * np.arange(60))})
    report = practices.half_run(run)
    row = report.filter(param="A").row(0, named=True)
    assert row["half_low"] < 0.6 < row["half_high"]
    end = report.filter(pl.col("param") == "prediction of the end").row(0, named=True)
    assert end["half"] == pytest.approx(end["whole"], abs=0.02)
    with pytest.raises(sdb.ScalingDBError, match="rows lie in the first 50 %"):
        practices.half_run(run.tail(8))


def test_rates_of_theory_are_lines_in_logarithms() -> None:
    table = trends.theoretical_rates()
    assert table["exponent"].null_count() == 1
    line = trends.theoretical_rates("variance limited", through=(100, 0.5), x=[100, 1000])
    assert line["y"].to_list() == pytest.approx([0.5, 0.05])
    with pytest.raises(sdb.ScalingDBError, match="depends on the data"):
        trends.theoretical_rates("resolution limited, bound", through=(1, 1), x=[1])
