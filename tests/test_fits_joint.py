"""Joint fits: parameters shared by all groups, or drawn together, and one object for fits by group."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import least_squares
from scipy.stats import f as f_distribution

import scalingdb as sdb
from scalingdb.estimation import joint as joint_models
from scalingdb.fits._joint import _between_groups

SHARED = ["alpha", "beta"]


def runs(seed: int, slopes: tuple[float, ...] = (0.34,) * 5, n: int = 16, noise: float = 0.01) -> pl.DataFrame:
    rng, frames = np.random.default_rng(seed), []
    for i, alpha in enumerate(slopes):
        size = np.exp(rng.uniform(np.log(2e7), np.log(2e9), n))
        data = size * np.exp(rng.uniform(np.log(5), np.log(100), n))
        scale = 400 * (2e8 ** (alpha - 0.34)) * np.exp(0.2 * rng.standard_normal())
        loss = 1.7 + 0.05 * i + scale * size**-alpha + 410 * data**-0.28
        loss *= np.exp(noise * rng.standard_normal(n))
        frames.append(pl.DataFrame({"optimizer": f"o{i}", "n_params": size, "n_tokens": data, "loss": loss}))
    return pl.concat(frames)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return runs(1)


@pytest.fixture(scope="module")
def fitted(frame: pl.DataFrame) -> sdb.JointFit:
    return sdb.fit(frame, "chinchilla", by="optimizer", shared=SHARED, objective="mse_log")


@pytest.fixture(scope="module")
def apart(frame: pl.DataFrame) -> sdb.Fits:
    return sdb.fit_by(frame, "chinchilla", by="optimizer", objective="mse_log", n_starts=16)


def test_optimum_is_that_of_scipy(frame: pl.DataFrame, fitted: sdb.JointFit) -> None:
    n, d, y = (frame[name].to_numpy() for name in ("n_params", "n_tokens", "loss"))
    group = frame["optimizer"].str.slice(1).cast(pl.Int64).to_numpy()

    def residual(x: Any) -> Any:
        floor, size, data = (np.exp(x[2 + i * 5 : 7 + i * 5])[group] for i in range(3))
        return np.log(y) - np.log(floor + size * (n / 2e8) ** -x[0] + data * (d / 4e9) ** -x[1])

    start = np.concatenate([[0.3, 0.3], np.full(5, 0.5), np.full(5, -0.5), np.full(5, 0.0)])
    found = least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert fitted.objective == pytest.approx(2 * found.cost, rel=1e-9)
    assert fitted["o0"]["alpha"] == pytest.approx(found.x[0], rel=1e-5)
    assert fitted["o3"]["beta"] == fitted["o0"]["beta"]
    assert fitted["o2"]["E"] == pytest.approx(float(np.exp(found.x[4])), rel=1e-5)
    assert fitted.n_agree == fitted.n_starts


def test_test_of_sharing_is_the_f_test(fitted: sdb.JointFit, apart: sdb.Fits) -> None:
    separate = apart.glance()["objective"].sum()
    df, rest = 2 * 4, 80 - 25
    statistic = (fitted.objective - separate) / df / (separate / rest)
    row = fitted.glance().row(0, named=True)
    assert row["f_statistic"] == pytest.approx(statistic, rel=1e-6)
    assert (row["df"], row["df_residual"]) == (df, rest)
    assert row["p_value"] == pytest.approx(f_distribution.sf(statistic, df, rest), rel=1e-6)


def test_sharing_is_tested_by_squares_whatever_the_objective(frame: pl.DataFrame, fitted: sdb.JointFit) -> None:
    huber = sdb.fit(frame, "chinchilla", by="optimizer", shared=SHARED)
    assert huber.sharing is not None
    assert fitted.sharing is not None
    assert huber.sharing["p_value"] == pytest.approx(fitted.sharing["p_value"], rel=1e-4)
    assert huber.sharing["p_value"] > 0.01  # the truth shares


def test_slopes_that_differ_are_not_shared_silently() -> None:
    other = runs(2, slopes=(0.15, 0.15, 0.6, 0.6), noise=0.002)
    joint = sdb.fit(other, "chinchilla", by="optimizer", shared=["alpha"], objective="mse_log")
    assert joint.sharing is not None
    assert joint.sharing["p_value"] < 1e-4
    assert "is refuted" in joint.sentence


def test_intervals_are_narrower_than_those_of_separate_fits(fitted: sdb.JointFit, apart: sdb.Fits) -> None:
    for name in SHARED:
        wide = apart.tidy().filter(pl.col("param") == name).select(pl.col("high") - pl.col("low")).to_series()
        row = fitted.tidy().filter(param=name).row(0, named=True)
        assert row["high"] - row["low"] < 0.7 * float(wide.median())  # type: ignore[arg-type]
        assert row["optimizer"] is None
    table = fitted.tidy()
    assert table.height == 2 + 5 * 3
    assert table["low"].null_count() == 0


def test_verbs_of_a_joint_fit(frame: pl.DataFrame, fitted: sdb.JointFit) -> None:
    rows = fitted.augment()
    assert float((rows["residual"] ** 2).sum()) == pytest.approx(fitted.objective, rel=1e-9)
    made = fitted.predict(frame.head(20).reverse(), level=0.9)
    assert made["prediction"].to_list() == pytest.approx(rows["prediction"].head(20).reverse().to_list())
    assert (made["low"] < made["prediction"]).all()
    assert [key for key, _ in fitted.items()] == fitted.keys == [(f"o{i}",) for i in range(5)]
    json.dumps(fitted.chart().to_dict())
    assert "alpha" in fitted._repr_html_()
    with pytest.raises(sdb.ScalingDBError, match="group 'adam' is none of those fitted"):
        fitted.predict(frame.with_columns(optimizer=pl.lit("adam")))


def test_group_that_is_too_small_alone_is_fitted_with_the_others() -> None:
    whole = runs(3)
    few = pl.concat([whole.filter(optimizer="o0").head(4), whole.filter(pl.col("optimizer") != "o0")])
    joint = sdb.fit(few, "chinchilla", by="optimizer", shared=SHARED, objective="mse_log")
    assert joint["o0"]["A"] > 0
    assert joint.sharing is None
    assert "too few rows for a fit of its own" in joint.sentence


def test_shared_scale_with_exponents_of_each_group() -> None:
    rng = np.random.default_rng(4)
    x = np.tile(np.geomspace(1e3, 1e6, 12), 3)
    group = np.repeat([0, 1, 2], 12)
    y = 50 * x ** -np.array([0.2, 0.3, 0.4])[group] * np.exp(0.01 * rng.standard_normal(36))
    frame = pl.DataFrame({"group": group, "n_tokens": x, "loss": y})
    joint = sdb.fit(frame, "power", by="group", shared=["A"], objective="mse_log")
    # ln y = ln A - alpha_g ln x is linear
    design = np.column_stack([np.ones(36), *(np.where(group == g, -np.log(x), 0.0) for g in range(3))])
    best = np.linalg.lstsq(design, np.log(y), rcond=None)[0]
    assert joint[0]["A"] == pytest.approx(float(np.exp(best[0])), rel=1e-6)
    assert [joint[g]["alpha"] for g in range(3)] == pytest.approx(best[1:].tolist(), rel=1e-6)


def test_derivatives_of_the_joint_model_are_exact() -> None:
    from scalingdb.fits._form import make_form

    base = make_form(sdb.get_law("chinchilla")).model
    group = np.array([0, 1, 0, 1, 1, 0, 1])
    model = joint_models.joint_model(base, group, [3, 4], ["a", "b"])
    rng = np.random.default_rng(0)
    inputs = model.prepare([rng.uniform(1, 9, 7), rng.uniform(1, 9, 7)])
    u = rng.uniform(0.2, 0.8, (2, model.n_params))
    part = model.evaluate(u, inputs, 2)
    assert part.gradient is not None
    assert part.curvature is not None
    step = 1e-5
    second = np.zeros((2, model.n_params, model.n_params, 7))
    for a, b, values in part.curvature:
        second[:, a, b] += values
        if a != b:
            second[:, b, a] += values
    for i in range(model.n_params):
        move = step * (np.arange(model.n_params) == i)
        up, down = model.evaluate(u + move, inputs, 1), model.evaluate(u - move, inputs, 1)
        assert up.gradient is not None
        assert down.gradient is not None
        np.testing.assert_allclose((up.value - down.value) / (2 * step), part.gradient[:, i], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose((up.gradient - down.gradient) / (2 * step), second[:, i], rtol=1e-5, atol=1e-8)


def test_pooled_exponents_are_drawn_towards_their_mean(apart: sdb.Fits) -> None:
    frame = runs(5, slopes=(0.26, 0.30, 0.34, 0.38, 0.42, 0.34), n=24, noise=0.003)
    joint = sdb.fit(
        frame, "chinchilla", by="optimizer", shared={"alpha": "pooled", "beta": "shared"}, objective="mse_log"
    )
    row = joint.between().row(0, named=True)
    assert row["param"] == "alpha"
    assert row["mean"] == pytest.approx(0.34, abs=0.05)
    assert 0.02 < row["sd"] < 0.15
    free = sdb.fit(frame, "chinchilla", by="optimizer", shared=["beta"], objective="mse_log")
    together = [abs(joint[key]["alpha"] - row["mean"]) for key in joint.keys]
    alone = [abs(free[key]["alpha"] - row["mean"]) for key in joint.keys]
    assert sum(together) < sum(alone)
    assert joint.sharing is None


def test_width_between_groups_by_hand() -> None:
    rng = np.random.default_rng(6)
    values = 1.0 + 0.5 * rng.standard_normal(60) + 0.3 * rng.standard_normal(60)
    mean, width = _between_groups(values, 0.09 * np.eye(60))
    assert mean == pytest.approx(values.mean())  # equal errors: the plain mean
    assert width == pytest.approx(np.sqrt(values.var(ddof=1) - 0.09), rel=1e-5)
    assert _between_groups(np.array([1.0, 1.1, 0.9]), np.eye(3))[1] == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shared": ["gamma"]}, "unknown parameter 'gamma'"),
        ({"shared": {"alpha": "mixed"}}, "unknown role 'mixed'"),
        ({"shared": []}, "no parameter is shared"),
        ({"shared": ["E", "A", "B", "alpha", "beta"]}, "all parameters are shared"),
        ({"shared": ["alpha"], "fixed": {"alpha": 0.3}}, "is to be shared but is not free"),
        ({"shared": ["alpha"], "bootstrap": 10}, "takes no bootstrap"),
        ({"shared": ["alpha"], "by": "corpus"}, "unknown column 'corpus'"),
        ({"shared": None}, "by and shared go together"),
    ],
)
def test_bad_questions_are_refused(frame: pl.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises(sdb.ScalingDBError, match=message):
        sdb.fit(frame, "chinchilla", **{"by": "optimizer", **options})


def test_one_group_shares_nothing(frame: pl.DataFrame) -> None:
    with pytest.raises(sdb.ScalingDBError, match="there is one group"):
        sdb.fit(frame.filter(optimizer="o0"), "chinchilla", by="optimizer", shared=SHARED)


def test_fits_by_group_are_one_object(frame: pl.DataFrame, apart: sdb.Fits) -> None:
    assert apart.keys == [key for key, _ in apart.items()]
    made = apart.predict(frame.reverse(), 0.9)
    assert made["n_params"].to_list() == frame.reverse()["n_params"].to_list()
    want = apart["o3"].predict(frame.filter(optimizer="o3"))["prediction"]
    assert made.filter(optimizer="o3").reverse()["prediction"].to_list() == pytest.approx(want.to_list())
    with pytest.raises(sdb.ScalingDBError, match="unknown group"):
        apart.predict(frame.with_columns(optimizer=pl.lit("adam")))
