"""Operators of single results: fronts, floors, flags, rates of theory."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb import trends


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


def test_rates_of_theory_are_lines_in_logarithms() -> None:
    table = trends.theoretical_rates()
    assert table["exponent"].null_count() == 1
    line = trends.theoretical_rates("variance limited", through=(100, 0.5), x=[100, 1000])
    assert line["y"].to_list() == pytest.approx([0.5, 0.05])
    with pytest.raises(sdb.ScalingDBError, match="depends on the data"):
        trends.theoretical_rates("resolution limited, bound", through=(1, 1), x=[1])
