"""`crossover` and `compute_multiplier` along any axis: hours, samples, dollars, or compute of one-variable laws."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

import scalingdb as sdb

FIRST, SECOND = {"E": 0.2, "A": 30.0, "alpha": 0.30}, {"E": 0.2, "A": 90.0, "alpha": 0.40}


def rows(params: dict[str, float], seed: int, column: str = "gpu_hours", noise: float = 0.01) -> pl.DataFrame:
    x = np.repeat(np.geomspace(1e2, 1e5, 10), 3)
    error = params["E"] + params["A"] * x ** -params["alpha"]
    return pl.DataFrame({column: x, "error": error * np.exp(noise * np.random.default_rng(seed).standard_normal(30))})


def fitted(params: dict[str, float], seed: int, noise: float = 0.01) -> sdb.Fit:
    options = {"inputs": {"n_tokens": "gpu_hours"}, "output": "error", "objective": "mse_log", "bootstrap": 100}
    return sdb.fit(rows(params, seed, noise=noise), "power_offset", **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def pair() -> tuple[sdb.Fit, sdb.Fit]:
    return fitted(FIRST, 1), fitted(SECOND, 2)


def at(fit: sdb.Fit, x: float) -> float:
    return float(fit.params["E"] + fit.params["A"] * x ** -fit.params["alpha"])


def test_crossover_in_hours_is_that_of_scipy(pair: tuple[sdb.Fit, sdb.Fit]) -> None:
    crossed = sdb.crossover(*pair)
    row = crossed.tidy().filter(pl.col("gpu_hours") > 1e3).row(0, named=True)
    want = brentq(lambda x: at(pair[0], np.exp(x)) - at(pair[1], np.exp(x)), np.log(1e4), np.log(3e5), xtol=1e-13)
    assert row["gpu_hours"] == pytest.approx(np.exp(want), rel=1e-8)
    assert row["gpu_hours_low"] < 3.0**10 < row["gpu_hours_high"]  # the true crossover
    assert "gpu_hours" in crossed.sentence
    assert crossed.axis == "gpu_hours"
    assert "better_below" in crossed.tidy().columns
    json.dumps(crossed.chart().to_dict())
    assert "gpu_hours" in crossed._repr_html_()


def test_multiplier_in_hours_is_that_of_scipy(pair: tuple[sdb.Fit, sdb.Fit]) -> None:
    both = sdb.compute_multiplier(*pair, along="gpu_hours", at=1e4)
    row = both.tidy().row(0, named=True)
    loss = at(pair[0], 1e4)
    want = brentq(lambda x: at(pair[1], np.exp(x)) - loss, np.log(1e2), np.log(1e6), xtol=1e-13)
    assert row["gpu_hours_b"] == pytest.approx(np.exp(want), rel=1e-8)
    assert row["multiplier_low"] < row["multiplier"] < row["multiplier_high"]
    assert "times the gpu_hours" in both.sentence
    json.dumps(both.chart().to_dict())
    again = sdb.compute_multiplier(*pair, along="gpu_hours", output=loss).tidy().row(0, named=True)
    assert again["multiplier"] == pytest.approx(row["multiplier"], rel=1e-8)


def test_rising_metric_crosses_the_other_way() -> None:
    laws = [sdb.law_library.fixed(sdb.get_law("log_linear"), a=a, b=b) for a, b in ((0.1, 0.05), (0.02, 0.06))]
    row = sdb.crossover(*laws).tidy().row(0, named=True)
    assert row["n_examples"] == pytest.approx(np.exp(8), rel=1e-8)
    assert row["better_above"].startswith(laws[1].name)
    many = sdb.compute_multiplier(*laws, at=1e3).tidy()["multiplier"].item()
    assert many == pytest.approx(np.exp((0.1 + 0.05 * np.log(1e3) - 0.02) / 0.06) / 1e3, rel=1e-8)


@pytest.mark.filterwarnings("ignore::scalingdb.DomainWarning")
def test_surface_against_a_law_of_compute() -> None:
    chinchilla = sdb.get_law("chinchilla")
    curve = sdb.get_law("kaplan_lc")
    row = (
        sdb.crossover(chinchilla, curve, along="train_flops", between=(1e17, 1e24), pool=True).tidy().row(0, named=True)
    )

    def apart(log_c: float) -> float:
        best = chinchilla.optimum(float(np.exp(log_c)))["loss"].item()
        return float(best - curve(np.exp(log_c)))

    low, high = np.log(row["train_flops"] / 3), np.log(row["train_flops"] * 3)
    assert row["train_flops"] == pytest.approx(np.exp(brentq(apart, low, high, xtol=1e-12)), rel=1e-8)


def test_laws_of_different_axes_are_refused(pair: tuple[sdb.Fit, sdb.Fit]) -> None:
    with pytest.raises(sdb.ScalingDBError, match="one law runs along gpu_hours, the other along train_flops"):
        sdb.crossover(pair[0], "kaplan_lc")
    with pytest.raises(sdb.ScalingDBError, match="unknown axis 'dollars'"):
        sdb.crossover(*pair, along="dollars")
    with pytest.raises(sdb.ScalingDBError, match="not comparable"):
        sdb.crossover("kaplan_lc", "llama3_tokens")
    with pytest.raises(sdb.ScalingDBError, match=r"never has error = 0\.01"):
        sdb.compute_multiplier(*pair, output=0.01)
