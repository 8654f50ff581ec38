"""What the engine can be asked for beyond a plain fit, each against an independent answer."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from _synthetic import noiseless, runs
from scipy import special, stats

import scalingdb as sdb
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.estimation import objectives, solver, uncertainty
from scalingdb.law_library import all_laws
from scalingdb.law_library._core import REGISTRY


@pytest.fixture(scope="module")
def sm() -> Any:
    """Statsmodels: every process collects these tests, but one runs them."""
    return importlib.import_module("statsmodels.api")


@pytest.fixture(scope="module", autouse=True)
def laws_of_this_module() -> Iterator[None]:
    """Laws that this module defines, and their removal."""
    before = dict(all_laws())  # the library is read on the first look-up: it must not count as ours

    @sdb.law(
        "line", cite="test", inputs=("x",), output="y", params={"a": sdb.real, "b": sdb.real}, domain={"x": (-9, 9)}
    )
    def line(x: Any, *, a: Any, b: Any) -> Any:
        return a + b * x

    @sdb.law(
        "logistic", cite="test", inputs=("x",), output="y", params={"a": sdb.real, "b": sdb.real}, domain={"x": (-9, 9)}
    )
    def logistic(x: Any, *, a: Any, b: Any) -> Any:
        return 1 / (1 + np.exp(-(a + b * x)))

    yield
    for name in set(REGISTRY) - set(before):
        del REGISTRY[name]


@pytest.fixture(scope="module")
def noisy() -> pl.DataFrame:
    return runs(6, noise=5e-3)


@pytest.fixture(scope="module")
def found(noisy: pl.DataFrame) -> sdb.Fit:
    return sdb.fit(noisy, "chinchilla")


def straight(n: int = 80, seed: int = 0, spread: float = 0.4) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 3, n)
    return pl.DataFrame({"x": x, "y": 1.5 - 0.7 * x + spread * rng.standard_normal(n)})


def scores(n: int = 60, items: int = 120, correlation: float = 0.0, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-3, 3, n)
    p = 1 / (1 + np.exp(-(0.3 + 0.9 * x)))
    if correlation:
        strength = (1 - correlation) / correlation
        p = rng.beta(p * strength, (1 - p) * strength)
    return pl.DataFrame({"x": x, "y": rng.binomial(items, p) / items, "n_items": [items] * n})


# ---- losses of a row ---------------------------------------------------------------------------


SMOOTH = [("huber", 0.5), ("huber", 0.2), ("huber_log", 0.5), ("huber_log", 0.2), ("mse", 0.5), ("mse", 0.2)]
SMOOTH += [("mse_log", 0.5), ("mse_log", 0.2), ("binomial", 0.5), ("beta_binomial", 0.5)]


@pytest.mark.parametrize(("name", "asymmetry"), SMOOTH)
def test_derivatives_of_every_loss(name: str, asymmetry: float) -> None:
    assert {smooth for smooth, _ in SMOOTH} | {"mae", "mae_log"} == set(objectives.OBJECTIVES)
    y = np.array([0.2, 0.35, 0.8, 0.55])
    kind = objectives.make_objective(name, 0.3, asymmetry, np.array([10.0, 20.0, 30.0, 40.0]))
    if name == "beta_binomial":
        kind = kind.with_dispersion(0.1)
    f = np.array([0.25, 0.3, 0.6, 0.58])
    step = 1e-5
    here, above, below = (kind.rows(y, f + move) for move in (0.0, step, -step))
    np.testing.assert_allclose(here.first, (above.loss - below.loss) / (2 * step), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(here.second, (above.first - below.first) / (2 * step), rtol=1e-6, atol=1e-8)
    assert (here.majoriser > 0).all()
    np.testing.assert_allclose(kind.total(y, f, np.ones(4)), kind.scale * here.loss.sum())


def test_beta_binomial_is_scipys_and_ends_in_the_binomial() -> None:
    y, items, f = np.array([0.2, 0.9]), np.array([10.0, 40.0]), np.array([0.3, 0.8])
    kind = objectives.make_objective("beta_binomial", n_items=items).with_dispersion(0.05)
    strength = 0.95 / 0.05
    expected = stats.betabinom.logpmf(np.round(y * items), items, f * strength, (1 - f) * strength)
    np.testing.assert_allclose(kind.rows(y, f).loss, -expected, rtol=1e-10)
    none = kind.with_dispersion(0.0).rows(y, f).loss
    np.testing.assert_allclose(none, -stats.binom.logpmf(np.round(y * items), items, f), rtol=1e-10)
    np.testing.assert_allclose(none, kind.with_dispersion(1e-7).rows(y, f).loss, rtol=1e-4)


def test_a_binomial_fit_is_a_logistic_regression(sm: Any) -> None:
    frame = scores()
    ours = sdb.fit(frame, "logistic", objective="binomial")
    theirs = sm.GLM(
        np.stack([frame["y"] * 120, 120 - frame["y"] * 120], axis=1),
        sm.add_constant(frame["x"].to_numpy()),
        family=sm.families.Binomial(),
    ).fit()
    assert list(ours.params.values()) == pytest.approx(list(theirs.params), rel=1e-7)
    assert ours.objective == pytest.approx(theirs.deviance, rel=1e-9)


def test_a_beta_binomial_finds_the_correlation_of_items() -> None:
    frame = scores(400, 100, correlation=0.08)
    plain, wide = (sdb.fit(frame, "logistic", objective=name) for name in ("binomial", "beta_binomial"))
    assert wide.recipe.dispersion == pytest.approx(0.08, rel=0.25)  # 400 scores fix it to about 8 %
    assert wide.params["b"] == pytest.approx(0.9, abs=0.1)
    assert sdb.fit(scores(400, 100), "logistic", objective="beta_binomial").recipe.dispersion < 0.005
    assert plain.objective > 3 * frame.height  # a deviance far above its degrees of freedom


def test_scores_that_are_none_are_refused() -> None:
    frame = scores()
    with pytest.raises(DataError, match="no column 'n_items'"):
        sdb.fit(frame.drop("n_items"), "logistic", objective="binomial")
    with pytest.raises(DataError, match=r"60 value\(s\) outside 0 to 1|outside 0 to 1"):
        sdb.fit(frame.with_columns(pl.col("y") * 100), "logistic", objective="binomial")
    with pytest.raises(DataError, match="'n_items' has 1 value"):
        spoiled = frame.with_columns(n_items=pl.when(pl.col("x") == pl.col("x").max()).then(0).otherwise("n_items"))
        sdb.fit(spoiled, "logistic", objective="binomial")
    renamed = sdb.fit(frame.rename({"n_items": "questions"}), "logistic", objective="binomial", n_items="questions")
    assert dict(renamed.params) == dict(sdb.fit(frame, "logistic", objective="binomial").params)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_asymmetric_absolute_errors_are_a_quantile_regression(share: float, sm: Any) -> None:
    frame = straight(151)
    ours = sdb.fit(frame, "line", objective="mae", asymmetry=share)
    theirs = sm.QuantReg(frame["y"].to_numpy(), sm.add_constant(frame["x"].to_numpy())).fit(q=share)
    residual = frame["y"].to_numpy() - theirs.predict()
    best = 2 * np.where(residual > 0, share * residual, (share - 1) * residual).sum()
    assert ours.objective <= best * (1 + 1e-6)
    above = (ours.augment()["residual"] > 0).mean()
    assert above == pytest.approx(1 - share, abs=0.02)


# ---- priors, ties, bounds ----------------------------------------------------------------------


def test_a_prior_is_one_more_observation() -> None:
    """For a straight line the answer is a ridge regression with the variance of the free fit."""
    frame = straight(40)
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    design = np.stack([np.ones_like(x), x], axis=1)
    free = np.linalg.lstsq(design, y, rcond=None)[0]
    variance = ((y - design @ free) ** 2).sum() / (40 - 2)
    mean, sd = -0.4, 0.05
    precision = np.diag([0.0, variance / sd**2])
    expected = np.linalg.solve(design.T @ design + precision, design.T @ y + precision @ [0.0, mean])
    fit = sdb.fit(frame, "line", objective="mse", priors={"b": (mean, sd)})
    assert list(fit.params.values()) == pytest.approx(list(expected), rel=1e-8)
    assert fit.objective_at({}) == pytest.approx(fit.objective, rel=1e-12)
    assert fit.objective_at(dict(zip("ab", free, strict=True))) > fit.objective
    # a tight prior is nearly a fixed parameter, a loose one nearly nothing
    tight = sdb.fit(frame, "line", objective="mse", priors={"b": (mean, 1e-6)})
    assert tight.params["b"] == pytest.approx(mean, abs=1e-6)
    assert tight.tidy().filter(param="b")["std_error"].item() == pytest.approx(1e-6, rel=0.01)
    loose = sdb.fit(frame, "line", objective="mse", priors={"b": (mean, 1e3)})
    assert list(loose.params.values()) == pytest.approx(list(free), rel=1e-6)


def test_a_prior_on_a_scale_pulls_it(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    low = 0.9 * found.params["E"]
    pulled = sdb.fit(noisy, "chinchilla", priors={"E": (low, 0.01)})
    assert low < pulled.params["E"] < found.params["E"]
    assert pulled.n_agree >= 12


def test_tied_parameters(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    tied = sdb.fit(noisy, "chinchilla", tied={"beta": "alpha"}, bootstrap=20)
    assert tied.params["beta"] == tied.params["alpha"]
    assert (tied.samples[:, 3] == tied.samples[:, 4]).all()
    assert tied.objective > found.objective
    assert tied.glance()["n_free"].item() == 4

    @sdb.law(
        "one_exponent",
        cite="test",
        inputs=("n_params", "n_tokens"),
        params={"E": sdb.positive, "A": sdb.positive, "B": sdb.positive, "alpha": sdb.exponent},
    )
    def one_exponent(n_params: Any, n_tokens: Any, *, E: Any, A: Any, B: Any, alpha: Any) -> Any:
        return E + A * n_params**-alpha + B * n_tokens**-alpha

    other = sdb.fit(noisy, one_exponent)
    assert tied.objective == pytest.approx(other.objective, rel=1e-9)
    assert tied.params["alpha"] == pytest.approx(other.params["alpha"], rel=1e-6)
    errors = [f.tidy().filter(param="alpha")["std_error"].item() for f in (tied, other)]
    assert np.diff([f.tidy(method="robust").filter(param="alpha")["std_error"].item() for f in (tied, other)]) == (
        pytest.approx(0, abs=1e-6 * errors[1])
    )


def test_bounds(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    inside = sdb.fit(noisy, "chinchilla", bounds={"E": (1.0, 3.0)})
    assert dict(inside.params) == pytest.approx(dict(found.params), rel=1e-6)
    with pytest.warns(sdb.FitWarning, match="at bound"):
        pressed = sdb.fit(noisy, "chinchilla", bounds={"E": (0.0, 1.5)})
    assert pressed.params["E"] == 1.5
    assert pressed.verdict.kind == "at_bound"
    assert pressed.recipe.at_bound == {"E": 1.5}


WIDE = (1.0, 1e8)
"""Bounds of a scale over eight decades: a thousandth of a millionth of them is still a tenth."""


def ladder(db: sdb.Warehouse, task: str) -> pl.DataFrame:
    """Task entropies of the sixteen small runs of OLMo's ladder, at their ends."""
    frame = db.sql(
        """
        select run_id, n_params_non_embedding as n_params, evals.n_tokens, -value as entropy
        from evals join runs using (run_id)
        where evals.source_id = 'olmo_ladder' and eval_set = $task and metric = 'answer_log_probability'
        qualify row_number() over (partition by run_id order by evals.n_tokens desc, raw_row desc) = 1 order by run_id
        """,
        task=task,
    )
    small = [f"olmo_ladder/{size}-{x}xC" for size in ("190M", "370M", "760M", "1B") for x in (1, 2, 5, 10)]
    return frame.filter(pl.col("run_id").is_in(small))


@pytest.mark.parametrize(
    "task",
    ["csqa_val_rc", *(pytest.param(x, marks=pytest.mark.ci) for x in ("hellaswag_val_rc", "openbookqa_test_rc"))],
)
@pytest.mark.parametrize("names", ["AB", "ABE"])
@pytest.mark.filterwarnings("ignore::scalingdb.FitWarning")
def test_a_bounded_fit_is_the_best_inside_its_bounds(db: sdb.Warehouse, task: str, names: str) -> None:
    rows = ladder(db, task)
    assert rows.height == 16
    bounds = {name: WIDE if name != "E" else (0.01, 10.0) for name in names}
    bounded = sdb.fit(rows, "chinchilla", output="entropy", bounds=bounds)
    # the objective is that of the parameters shown; bounds are met to rounding only
    assert bounded.objective == pytest.approx(bounded.objective_at(bounded.params), rel=1e-9)
    assert all(low <= bounded.params[name] <= high for name, (low, high) in bounds.items())
    others = [{}, *({name: bounds[name][0]} for name in names), dict.fromkeys("AB", 1.0)]
    for held in others:
        other = sdb.fit(rows, "chinchilla", output="entropy", fixed=held)
        if all(low <= other.params[name] <= high for name, (low, high) in bounds.items()):
            assert bounded.objective <= other.objective * (1 + 1e-9), held
    many = sdb.fit_by(
        pl.concat([rows.with_columns(group=pl.lit(i)) for i in range(2)]),
        "chinchilla", by="group", output="entropy", bounds=bounds,
    )  # fmt: skip
    for group in many:
        assert many[group].objective <= bounded.objective * (1 + 1e-9)


def test_bounds_with_a_prior_and_a_bootstrap(noisy: pl.DataFrame) -> None:
    bounds = {"A": (1.0, 300.0), "E": (0.5, 3.0)}
    with pytest.warns(sdb.FitWarning, match="at bound: A=300"):
        pressed = sdb.fit(noisy, "chinchilla", bounds=bounds, priors={"E": (1.7, 0.5)}, bootstrap=50)
    held = sdb.fit(noisy, "chinchilla", fixed={"A": 300.0}, priors={"E": (1.7, 0.5)})
    assert dict(pressed.params) == pytest.approx(dict(held.params), rel=1e-4)  # the prior's weight follows the scatter
    a, e = pressed.samples[:, list(pressed.params).index("A")], pressed.samples[:, list(pressed.params).index("E")]
    assert ((a >= 1 - 1e-9) & (a <= 300 * (1 + 1e-9))).all()
    assert ((e >= 0.5 * (1 - 1e-9)) & (e <= 3 * (1 + 1e-9))).all()


@pytest.mark.parametrize("law", ["m4", "multi_power", "chinchilla"])
def test_one_start_is_enough_to_ask_for(law: str) -> None:
    from scalingdb.estimation import starts

    places = np.random.default_rng(0).normal(size=(20, len(sdb.get_law(law).params)))
    assert np.array_equal(starts.choose(places, 1), places[:1])


def test_a_fit_and_fits_of_one_start(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    alone = sdb.fit(noisy, "chinchilla", n_starts=1)
    assert alone.n_starts == 1
    assert alone.objective == pytest.approx(found.objective, rel=1e-9)
    grouped = pl.concat([noisy.with_columns(group=pl.lit(i)) for i in range(2)])
    for law in ("chinchilla", "chinchilla_coupled"):  # structured starts, and a law's own
        for one in sdb.fit_by(grouped, law, by="group", n_starts=1).fits.values():
            assert one.objective <= found.objective * (1 + 1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tied": {"beta": "gamma"}}, "gamma"),
        ({"tied": {"beta": "alpha", "alpha": "beta"}}, "itself tied"),
        ({"tied": {"beta": "alpha"}, "fixed": {"beta": 0.3}}, "both fixed and tied"),
        ({"bounds": {"E": (2, 1)}}, "low < high"),
        ({"bounds": {"E": (1, 2)}, "fixed": {"E": 1.5}}, "not free"),
        ({"priors": {"E": (1.7, 0)}}, "positive numbers"),
        ({"priors": {"E": 1.7}}, "mean, standard deviation"),
        ({"priors": {"E": (1.7, 0.1)}, "fixed": {"E": 1.5}}, "not free"),
        ({"resample": "jackknife"}, "jackknife"),
        ({"n_starts": 0}, "count of starts"),
        ({"asymmetry": 1.0}, "between 0 and 1"),
        ({"objective": "binomial", "asymmetry": 0.2}, "no asymmetry"),
        ({"objective": "binomial", "resample": "wild"}, "residuals of a likelihood"),
    ],
)
def test_options_that_cannot_be(noisy: pl.DataFrame, options: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, UnknownNameError), match=message):
        sdb.fit(noisy, "chinchilla", **options)


# ---- intervals ---------------------------------------------------------------------------------


def test_profile_of_a_straight_line_is_its_robust_interval() -> None:
    fit = sdb.fit(straight(60), "line", objective="mse")
    robust, profile = (fit.tidy(method=name) for name in ("robust", "profile"))
    for end in ("low", "high"):
        assert profile[end].to_list() == pytest.approx(robust[end].to_list(), rel=1e-6)
    curve = fit.profile("b")
    shape = np.polyfit(curve["value"] - fit.params["b"], curve["rise"], 2)
    np.testing.assert_allclose(np.polyval(shape, curve["value"] - fit.params["b"]), curve["rise"], atol=1e-9)


def test_profile_shows_a_bend(found: sdb.Fit) -> None:
    curve = found.profile("E")
    assert curve.columns[:5] == ["value", "objective", "rise", "cutoff", "inside"]
    assert curve["rise"].min() >= -1e-12
    best = curve.filter(pl.col("rise") == curve["rise"].min())["value"].item()
    assert best == pytest.approx(found.params["E"], rel=0.01)
    # every row is a fit of its own with E held there
    row = curve.row(3, named=True)
    alone = sdb.fit(found.data, "chinchilla", fixed={"E": row["value"]})
    assert row["objective"] == pytest.approx(alone.objective, rel=1e-8)
    low, high = found.tidy(method="profile").filter(param="E").select("low", "high").row(0)
    assert low < found.params["E"] < high
    for end in (low, high):
        rise = sdb.fit(found.data, "chinchilla", fixed={"E": end}).objective - found.objective
        assert rise == pytest.approx(curve["cutoff"][0], rel=0.1)  # between two points of the curve


def test_profile_of_a_floor_that_may_be_zero() -> None:
    rng = np.random.default_rng(3)
    x = np.geomspace(1e7, 1e9, 25)
    frame = pl.DataFrame({"x": x, "y": (0.05 + 30 * x**-0.2) * np.exp(0.01 * rng.standard_normal(25))})
    fit = sdb.fit(frame, "power_offset", inputs={sdb.get_law("power_offset").inputs[0]: "x"}, output="y")
    low, high = fit.tidy(method="profile").filter(param="E").select("low", "high").row(0)
    assert low == 0.0
    assert high > fit.params["E"]


def test_profile_refuses(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    with pytest.raises(UnknownNameError, match="gamma"):
        found.profile("gamma")
    with pytest.raises(DataError, match="no profile"):
        sdb.fit(noisy, "chinchilla", fixed={"E": 1.8}).profile("E")
    with pytest.raises(UnknownNameError, match="guess"):
        found.tidy(method="guess")
    with pytest.raises(DataError, match="no bootstrap"):
        found.tidy(method="bootstrap")


@pytest.mark.parametrize("resample", ["rows", "residuals", "wild"])
def test_every_bootstrap_of_a_straight_line(resample: str, sm: Any) -> None:
    frame = straight(120)
    fit = sdb.fit(frame, "line", objective="mse", bootstrap=2000, resample=resample)
    ols = sm.OLS(frame["y"].to_numpy(), sm.add_constant(frame["x"].to_numpy())).fit()
    assert fit.tidy()["std_error"].to_list() == pytest.approx(list(ols.bse), rel=0.12)
    assert resample == fit.recipe.resample


def test_only_the_wild_bootstrap_and_rows_see_scatter_that_grows(sm: Any) -> None:
    rng = np.random.default_rng(1)
    x = np.linspace(-3, 3, 200)
    frame = pl.DataFrame({"x": x, "y": 1 + x + 0.05 * (1 + x**2) * rng.standard_normal(200)})
    robust = sm.OLS(frame["y"].to_numpy(), sm.add_constant(x)).fit(cov_type="HC1").bse[1]
    errors = {
        name: sdb.fit(frame, "line", objective="mse", bootstrap=2000, resample=name).tidy()["std_error"][1]
        for name in ("rows", "residuals", "wild")
    }
    assert errors["wild"] == pytest.approx(robust, rel=0.1)
    assert errors["rows"] == pytest.approx(robust, rel=0.1)
    assert errors["residuals"] < 0.8 * robust


def test_derived_quantities(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    resampled = sdb.fit(noisy, "chinchilla", bootstrap=300)
    share = resampled.derived({"a": lambda alpha, beta, **rest: beta / (alpha + beta), "floor": lambda E, **rest: E})
    assert share["quantity"].to_list() == ["a", "floor"]
    assert (share["low"] < share["estimate"]).all()
    assert (share["estimate"] < share["high"]).all()
    floor = resampled.tidy().filter(param="E")
    assert share.filter(quantity="floor").select("low", "high").row(0) == pytest.approx(
        floor.select("low", "high").row(0)
    )
    optimum = found.optimum(train_flops=1e22)
    assert optimum["n_params_low"].item() < optimum["n_params"].item() < optimum["n_params_high"].item()


def test_without_a_bootstrap_quantities_are_first_order(noisy: pl.DataFrame, found: sdb.Fit) -> None:
    """Intervals of a parameter, a ratio, something negative and a constant, against the delta method by hand."""
    table = found.derived(
        {
            "A": lambda A, **rest: A,
            "share": lambda alpha, beta, **rest: beta / (alpha + beta),
            "minus": lambda E, **rest: -E,
            "three": lambda **rest: 3.0,
        },
        level=0.95,
    )
    ends = {row["quantity"]: row for row in table.iter_rows(named=True)}
    robust = {row["param"]: row for row in found.tidy(0.95, method="robust").iter_rows(named=True)}
    # 1000 draws know the 2.5 % to about a tenth of a standard deviation
    for name, sign in (("A", 1), ("E", -1)):
        mine, theirs = ends["A" if sign > 0 else "minus"], robust[name]
        reach = 0.15 * theirs["std_error"]
        assert sorted((sign * mine["low"], sign * mine["high"])) == pytest.approx(
            [theirs["low"], theirs["high"]], abs=reach
        )
    alpha, beta = found.params["alpha"], found.params["beta"]
    index = [list(found.params).index(name) for name in ("alpha", "beta")]
    slope = np.array([-beta, alpha]) / (alpha + beta) ** 2
    error = np.sqrt(slope @ found.covariance[np.ix_(index, index)] @ slope)
    share = ends["share"]
    assert (share["high"] - share["low"]) / 2 == pytest.approx(found._estimate.t_quantile(0.95) * error, rel=0.1)
    assert ends["three"]["low"] == ends["three"]["high"] == 3.0


def test_a_curved_valley_does_not_lose_its_optimum(db: sdb.Warehouse) -> None:
    """Nine parameters of Farseer's law trade off: the law at draws from their covariance leaves the valley."""
    fitted = sdb.fit(db.points("farseer", split="fit"), "farseer")
    robust = fitted.optimum([1e20, 1e21, 1e24])
    resampled = sdb.fit(fitted.data, "farseer", bootstrap=200).optimum([1e20, 1e21, 1e24])
    for name in ("n_params", "n_tokens", "tokens_per_param", "loss"):
        assert (robust[f"{name}_low"] < robust[name]).all()
        assert (robust[name] < robust[f"{name}_high"]).all()
        widths = [(table[f"{name}_high"] - table[f"{name}_low"]).to_numpy() for table in (robust, resampled)]
        # 200 resamples know a width to about a tenth; robust and resampled errors differ besides
        assert widths[0] == pytest.approx(widths[1], rel=0.4)


# ---- where starts are looked for ---------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_end_does_not_depend_on_the_search(noisy: pl.DataFrame, found: sdb.Fit, seed: int) -> None:
    other = sdb.fit(noisy, "chinchilla", search_seed=seed)
    assert other.objective == pytest.approx(found.objective, rel=1e-9)


def test_few_starts_are_hints() -> None:
    """A law with one start, three orders of magnitude off, is still fitted."""

    @sdb.law(
        "hinted",
        cite="test",
        inputs=("x",),
        output="y",
        params={"a": sdb.real, "b": sdb.real, "c": sdb.real},
        domain={"x": (0, 100)},
        starts=lambda inputs, y, weights: np.array([[1.0, 1.0, 400.0]]),
    )
    def hinted(x: Any, *, a: Any, b: Any, c: Any) -> Any:
        return a + b * np.exp(-c * x)

    x = np.linspace(0, 10, 30)
    fit = sdb.fit(pl.DataFrame({"x": x, "y": 2 + 3 * np.exp(-0.4 * x)}), hinted, objective="mse")
    assert list(fit.params.values()) == pytest.approx([2, 3, 0.4], rel=1e-6)


# ---- groups ------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["chinchilla", "farseer", "kaplan_lnd"])
def test_groups_of_different_sizes_are_fitted_as_if_alone(law: str) -> None:
    chosen = sdb.get_law(law)
    rng = np.random.default_rng(0)
    whole = noiseless(chosen)
    frames = [
        whole.sample(size, seed=i).with_columns(
            pl.col(chosen.output) * np.exp(0.003 * rng.standard_normal(size)), group=pl.lit(i)
        )
        for i, size in enumerate((30, 75, 50))
    ]
    together = sdb.fit_by(pl.concat(frames), law, by="group", n_starts=16)
    for i, frame in enumerate(frames):
        alone = sdb.fit(frame, law)
        assert together[i].objective <= alone.objective * (1 + 1e-8)
        assert together[i].data.height == frame.height


def test_groups_take_every_option(noisy: pl.DataFrame) -> None:
    frame = pl.concat([noisy.with_columns(group=pl.lit(name)) for name in "ab"])
    for options in ({"priors": {"E": (1.7, 0.05)}}, {"tied": {"beta": "alpha"}}, {"objective": "mae_log"}):
        both = sdb.fit_by(frame, "chinchilla", by="group", **options)
        alone = sdb.fit(noisy, "chinchilla", **options)
        assert both["a"].objective == pytest.approx(alone.objective, rel=1e-6)
    with pytest.raises(UnknownNameError, match="bootstraps"):
        sdb.fit_by(frame, "chinchilla", by="group", bootstraps=10)
    with pytest.raises(DataError, match="must be a column"):
        sdb.fit_by(frame, "chinchilla", by="group", weights=[1.0] * frame.height)


def test_groups_of_scores_have_their_own_items() -> None:
    frame = pl.concat([scores(40, items, seed=items).with_columns(task=pl.lit(str(items))) for items in (50, 500)])
    both = sdb.fit_by(frame, "logistic", by="task", objective="binomial")
    for name in ("50", "500"):
        alone = sdb.fit(frame.filter(task=name), "logistic", objective="binomial")
        assert both[name].objective == pytest.approx(alone.objective, rel=1e-9)


def test_dask_gives_what_one_process_gives() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")
    groups = pl.concat([runs(5, noise=3e-3, seed=i).with_columns(group=pl.lit(i)) for i in range(12)])
    here = sdb.fit_by(groups, "chinchilla", by="group", bootstrap=5)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        there = sdb.fit_by(groups, "chinchilla", by="group", bootstrap=5, executor=client.get_executor())
    assert there.tidy().equals(here.tidy())
    assert there.glance().equals(here.glance())


# ---- one file ----------------------------------------------------------------------------------


def test_a_fit_in_a_file(noisy: pl.DataFrame, tmp_path: Path) -> None:
    fit = sdb.fit(
        noisy,
        "chinchilla",
        bootstrap=20,
        tied={"beta": "alpha"},
        priors={"E": (1.8, 0.5)},
        weights=[1.5] * noisy.height,
    )
    path = fit.save(tmp_path / "fit.parquet")
    assert pl.read_parquet(path).equals(noisy)  # the rows are a table like any other
    back = sdb.Fit.load(path)
    assert dict(back.params) == dict(fit.params)
    assert back.recipe == fit.recipe
    assert back.tidy().equals(fit.tidy())
    assert back.glance().equals(fit.glance())
    assert back.tidy(method="profile").equals(fit.tidy(method="profile"))
    assert back.refit().objective == pytest.approx(fit.objective, rel=1e-9)
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_fit(noisy: pl.DataFrame, found: sdb.Fit, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read a fit"):
        sdb.Fit.load(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(DataError, match="cannot read a fit"):
        sdb.Fit.load(tmp_path / "text.parquet")
    noisy.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="holds no fit"):
        sdb.Fit.load(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match="cannot write"):
        found.save(tmp_path / "no" / "folder" / "fit.parquet")

    table = pq.read_table(found.save(tmp_path / "fit.parquet"))
    spoiled = noisy.with_columns(pl.col("loss") * 1.001).to_arrow().replace_schema_metadata(table.schema.metadata)
    pq.write_table(spoiled, tmp_path / "fit.parquet")
    with pytest.raises(DataError, match=r"(data|rows)_sha256 differs"):
        sdb.Fit.load(tmp_path / "fit.parquet")


# ---- what the data leave open --------------------------------------------------------------------


def losses_at(values: dict[float, float]) -> pl.DataFrame:
    return pl.DataFrame(
        {"n_tokens": list(values), "loss": list(values.values())},
        schema_overrides=dict.fromkeys(("n_tokens", "loss"), pl.Float64),
    )


def steps(count: int, noise: float, seed: int = 0) -> pl.DataFrame:
    """Runs of a power law with an offset over two and a half decades."""
    d = np.geomspace(1e9, 3e11, count)
    loss = (1.8172 + 2085.43 * d**-0.3658) * np.exp(noise * np.random.default_rng(seed).standard_normal(count))
    return pl.DataFrame({"n_tokens": d, "loss": loss})


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
@pytest.mark.parametrize("bootstrap", [0, 20])
def test_without_degrees_of_freedom_nothing_is_claimed(bootstrap: int) -> None:
    fit = sdb.fit(losses_at({2.19e17: 3.7404, 1.7e18: 3.3834, 9e18: 3.1230}), "power_offset", bootstrap=bootstrap)
    assert fit.verdict.kind == "not_identified"
    assert fit.verdict.because("no_freedom")[0].value == 0
    row = fit.predict(losses_at({2.83e19: 0.0}), 0.95).row(0, named=True)
    assert (row["low"], row["high"]) == (0.0, np.inf)
    share = fit.derived({"floor": lambda E, **rest: E, "sum": lambda E, A, alpha: E + A - A - E + 1})
    assert share["low"].to_list() == pytest.approx([0.0, 1.0])  # the second depends on nothing
    assert share["high"].to_list() == pytest.approx([np.inf, 1.0])
    assert share["interval"][0] == "not identified"
    assert fit.tidy()["low"].null_count() == 3
    with pytest.raises(DataError, match="do not fix parameter E"):
        fit.profile("E")


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
def test_runs_on_one_ray_say_nothing_beside_it() -> None:
    n = np.geomspace(1e8, 3e9, 8)
    law = sdb.get_law("chinchilla")
    noise = np.exp(0.003 * np.random.default_rng(0).standard_normal(8))
    frame = pl.DataFrame({"n_params": n, "n_tokens": 20 * n, "loss": law(n, 20 * n, variant="epoch") * noise})
    fit = sdb.fit(frame, "chinchilla")
    assert fit.verdict.because("move_together")[0].names == ("n_params", "n_tokens")
    places = pl.DataFrame({"n_params": [7e9, 1e9], "n_tokens": [2e12, 2e10]})
    beside, along = fit.predict(places, 0.95).select("low", "high").rows()
    assert beside == (0.0, np.inf)
    assert along[0] < law(1e9, 2e10, variant="epoch") < along[1] < 3
    assert np.isnan(fit.draws()).all()


# ---- verdicts and the intervals beside them ------------------------------------------------------


def test_few_degrees_of_freedom_are_weak() -> None:
    fit = sdb.fit(losses_at({1e18: 3.522, 3e18: 3.339, 1e19: 3.154, 3e19: 3.0}), "power_offset")
    assert fit.verdict.kind == "weak"
    assert str(fit.verdict) == "weak: 1 degree of freedom"


def test_an_interval_that_holds_zero_or_spans_decades_is_weak() -> None:
    """Six runs of twenty checkpoints, whose errors belong to the run."""
    rng = np.random.default_rng(5)
    d = np.geomspace(1e9, 1e11, 20)
    frame = pl.concat(
        pl.DataFrame(
            {
                "run_id": f"r{i}",
                "n_tokens": d,
                "loss": (1.8 + 2085 * d**-0.3658)
                * np.exp(0.05 * rng.standard_normal() * np.linspace(1, -1, 20) + 0.03 * rng.standard_normal()),
            }
        )
        for i in range(6)
    )
    fit = sdb.fit(frame, "power_offset")
    table = fit.tidy()
    spans = table.filter((pl.col("low") <= 0) | (pl.col("high") / pl.col("low") > 100))
    assert spans.height > 0
    assert fit.verdict.kind == "weak"


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
def test_no_more_runs_than_parameters_is_weak() -> None:
    one = steps(40, 0.002).with_columns(
        run_id=pl.when(pl.col("n_tokens") < 2e10).then(pl.lit("a")).otherwise(pl.lit("b"))
    )
    fit = sdb.fit(one, "power_offset")
    assert fit.verdict.because("few_runs")[0].value == 2
    assert "2 independent runs are too few" in str(fit.verdict)


@pytest.mark.parametrize("shift", [0, 365, 3000, 19000])
def test_a_verdict_does_not_depend_on_day_zero(shift: int) -> None:
    rng = np.random.default_rng(1)
    days = np.sort(rng.uniform(1, 700, 25))
    density = np.exp(0.006 * days - 1 + 0.3 * rng.standard_normal(25))
    fit = sdb.fit(pl.DataFrame({"days": days + shift, "capability_density": density}), "densing")
    assert str(fit.verdict) == "identified"


# ---- rows of weight zero, runs written twice, small studies -----------------------------------


def test_rows_of_weight_zero_are_absent_everywhere() -> None:
    frame = steps(20, 0.005)
    marked = pl.concat([frame, losses_at({5e9: 6.5, 5e10: 0.7})]).with_columns(
        weight=pl.when(pl.int_range(22) < 20).then(1.0).otherwise(0.0)
    )
    all_rows, used = sdb.fit(marked, "power_offset", weights="weight"), sdb.fit(frame, "power_offset")
    target = losses_at({1e12: 1.0})
    assert all_rows.predict(target, 0.95).equals(used.predict(target, 0.95))
    assert np.array_equal(all_rows.simulate(target), used.simulate(target))
    assert all_rows.glance().equals(used.glance())
    assert all_rows.information().equals(used.information())
    assert all_rows.recipe.notes == ("2 rows of weight 0 left out",)


@pytest.mark.parametrize("objective", ["huber_log", "mae_log", "mse_log"])
@pytest.mark.parametrize("count", [12, 60])
def test_rows_written_twice_inside_their_run_add_nothing(objective: str, count: int) -> None:
    runs_of_two = steps(count, 0.01).with_row_index("run_id").with_columns(pl.col("run_id").cast(pl.String))
    once = sdb.fit(runs_of_two, "power_offset", objective=objective)
    twice = sdb.fit(pl.concat([runs_of_two, runs_of_two]), "power_offset", objective=objective)
    assert dict(twice.params) == pytest.approx(dict(once.params), rel=1e-6)
    assert twice.tidy()["std_error"].to_list() == pytest.approx(once.tidy()["std_error"].to_list(), rel=1e-4)


def test_cluster_robust_covariance_is_that_of_bell_and_mccaffrey(sm: Any) -> None:
    from scalingdb.estimation.uncertainty import Linearised, sandwich

    rng = np.random.default_rng(2)
    clusters = np.repeat(np.arange(9), [1, 2, 5, 3, 4, 1, 6, 2, 3]).astype(np.int64)
    x = np.stack([np.ones(clusters.size), rng.standard_normal(clusters.size)])
    y = x.sum(0) + rng.standard_normal(9)[clusters] + 0.3 * rng.standard_normal(clusters.size)
    inverse = np.linalg.inv(x @ x.T)
    residual = y - x.T @ (inverse @ (x @ y))
    meat = np.zeros((2, 2))
    for g in range(9):
        own = x[:, clusters == g]
        values, vectors = np.linalg.eigh(np.eye(own.shape[1]) - own.T @ inverse @ own)
        score = own @ (vectors @ ((vectors.T @ residual[clusters == g]) / np.sqrt(values)))
        meat += np.outer(score, score)
    inside = np.ones(2, dtype=bool)
    ours, _ = sandwich(Linearised(x, residual, np.ones(y.size), clusters, inside), np.inf)
    assert ours == pytest.approx(9 / 8 * inverse @ meat @ inverse, rel=1e-9)
    singles = np.arange(y.size, dtype=np.int64)
    alone, _ = sandwich(Linearised(x, residual, np.ones(y.size), singles, inside), np.inf)
    hc2 = sm.OLS(y, x.T).fit(cov_type="HC2").cov_params()
    assert alone == pytest.approx(y.size / (y.size - 1) * hc2, rel=1e-9)


def test_intervals_of_a_small_study_hold_the_truth() -> None:
    """Eight runs with normal errors under the near-absolute default: 150 studies, nominal 95 %."""
    studies = pl.concat(steps(8, 0.01, seed).with_columns(study=pl.lit(seed)) for seed in range(150))
    fits = sdb.fit_by(studies, "power_offset", by="study")
    truth = {"E": 1.8172, "A": 2085.43, "alpha": 0.3658}
    table = fits.tidy(level=0.95).with_columns(truth=pl.col("param").replace_strict(truth, return_dtype=pl.Float64))
    held = table.group_by("param").agg(
        ((pl.col("low") <= pl.col("truth")) & (pl.col("truth") <= pl.col("high"))).mean().alias("share")
    )
    assert held["share"].min() > 0.89  # three standard deviations of Monte Carlo below 0.95


# ---- wild bootstrap, runaway resamples -----------------------------------------------------------


@pytest.mark.parametrize("objective", ["huber_log", "mae_log"])
def test_no_wild_bootstrap_of_a_near_absolute_loss(objective: str) -> None:
    with pytest.raises(DataError, match=r"wild bootstrap .* too narrow"):
        sdb.fit(steps(60, 0.01), "power_offset", objective=objective, bootstrap=20, resample="wild")


def test_no_wild_bootstrap_of_few_runs() -> None:
    options = {"objective": "mse_log", "bootstrap": 20, "resample": "wild"}
    with pytest.raises(DataError, match=r"wild bootstrap of 20 independent runs"):
        sdb.fit(steps(20, 0.01), "power_offset", **options)  # type: ignore[arg-type]
    assert sdb.fit(steps(60, 0.01), "power_offset", **options).samples.shape == (20, 3)  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning")
def test_runaway_resamples_leave_no_number_that_says_nothing() -> None:
    """A wide scatter and few runs: some resamples put a scale tens of decades off."""
    fit = sdb.fit(steps(7, 0.1, seed=1), "power_offset", bootstrap=200)
    table = fit.tidy()
    assert table.columns == ["param", "estimate", "std_error", "low", "high", "interval", "median"]
    finite = table.filter(pl.col("high").is_finite() & (pl.col("low") > 0))
    assert (finite["high"] / finite["low"]).max() < 1e20
    assert table.filter(pl.col("std_error") > 1e6 * pl.col("median").abs()).is_empty()


# ---- influence -----------------------------------------------------------------------------------


def test_influence_of_squares_is_that_of_statsmodels(sm: Any) -> None:
    frame = straight(30)
    fit = sdb.fit(frame, "line", objective="mse")
    theirs = sm.OLS(frame["y"].to_numpy(), sm.add_constant(frame["x"].to_numpy())).fit().get_influence()
    for exact in (False, True):
        table = fit.influence(exact=exact)
        assert table["leverage"].to_list() == pytest.approx(list(theirs.hat_matrix_diag))
        assert table["studentised"].to_list() == pytest.approx(list(theirs.resid_studentized_external))
        refits = [
            sm.OLS(part["y"].to_numpy(), sm.add_constant(part["x"].to_numpy())).fit().params
            for part in (frame.filter(pl.int_range(30) != i) for i in range(30))
        ]
        expected = np.array(refits) - list(fit.params.values())
        ours = table.select(f"{name}_change" for name in fit.params).to_numpy()
        assert ours == pytest.approx(expected, rel=1e-4, abs=1e-9)


def test_a_crashed_run_is_named() -> None:
    """Twenty-four clean runs and one that crashed, at the end of the grid."""
    law, rng = sdb.get_law("chinchilla"), np.random.default_rng(0)
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 3e9, 6), np.geomspace(1e9, 1e11, 4)))
    n, d = np.append(n, 5e9), np.append(d, 1e11)
    loss = law(n, d, variant="epoch") * np.exp(0.003 * rng.standard_normal(25))
    clean = pl.DataFrame({"run_id": [f"run-{i}" for i in range(25)], "n_params": n, "n_tokens": d, "loss": loss})
    crashed = clean.with_columns(
        loss=pl.when(pl.col("run_id") == "run-24").then(1.2 * pl.col("loss")).otherwise("loss")
    )
    sound, fit = (sdb.fit(rows, "chinchilla", objective="mse_log") for rows in (clean, crashed))
    assert sound.glance().select("stands_out", "influential").row(0) == (None, None)
    assert fit.glance().select("stands_out", "influential").row(0) == ("run-24", "run-24")
    assert fit.verdict.kind == "weak"
    assert "the answer rests on run-24" in str(fit.verdict)
    alone = sdb.fit(crashed.filter(pl.col("run_id") != "run-24"), "chinchilla", objective="mse_log")
    change = fit.influence(train_flops=1e24, exact=True).filter(run="run-24")
    ratios = [item.optimum(1e24)["tokens_per_param"].item() for item in (alone, fit)]
    assert change["tokens_per_param_change"].item() == pytest.approx(ratios[0] - ratios[1], rel=1e-3)
    place = {"n_params": 7e9, "n_tokens": 2e12}
    moved = fit.influence(exact=True, **place).filter(run="run-24")["prediction_change"].item()
    assert moved == pytest.approx(law(*place.values(), **alone.params) - law(*place.values(), **fit.params), rel=1e-3)
    assert fit.influence(lambda alpha, beta, **rest: alpha / beta).columns[-1] == "quantity_change"
    robust = sdb.fit(crashed, "chinchilla")
    assert robust.verdict.because("stands_out")[0].names == ("run-24",)


def test_influence_refuses_half_a_place(found: sdb.Fit) -> None:
    with pytest.raises(DataError, match="predicted at n_params, n_tokens"):
        found.influence(n_params=7e9)
    with pytest.raises(DataError, match="not both"):
        found.influence(lambda E, **rest: E, n_params=7e9)


# ---- stored fits ---------------------------------------------------------------------------------


def rewritten(path: Path, frame: pl.DataFrame | None = None, **changes: object) -> Path:
    """A stored fit with other rows, or other content."""
    table = pq.read_table(path)
    metadata = dict(table.schema.metadata)
    content = {**json.loads(metadata[b"scalingdb.fit"]), **changes}
    metadata[b"scalingdb.fit"] = json.dumps(content).encode()
    rows = table if frame is None else frame.to_arrow()
    pq.write_table(rows.replace_schema_metadata(metadata), path)
    return path


def test_a_file_whose_rows_or_content_were_changed_is_refused(found: sdb.Fit, tmp_path: Path) -> None:
    path = found.save(tmp_path / "fit.parquet")
    other = found.data.with_columns(n_params=pl.col("n_params") * (1 + 1e-14 * pl.int_range(pl.len())))
    with pytest.raises(DataError, match=r"(data|rows)_sha256 differs"):
        sdb.Fit.load(rewritten(path, other))
    found.save(path)
    with pytest.raises(DataError, match="was changed"):
        sdb.Fit.load(rewritten(path, n_agree=1))
    old = Path(__file__).parent / "golden" / "fit_format_1.fit"
    copied = tmp_path / "old.parquet"
    copied.write_bytes(old.read_bytes())
    with pytest.raises(DataError, match="incomplete"):
        sdb.Fit.load(rewritten(copied, covariance="none"))


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 17, 30, 235, 2000, 2001, 10**6])
def test_students_quantile_is_scipys(degrees: int) -> None:
    for level in (0.01, 0.5, 0.9, 0.95, 0.9999):
        wanted = special.stdtrit(degrees, 0.5 + level / 2)
        assert uncertainty.t_quantile(degrees, level) == pytest.approx(wanted, rel=1e-11)


def test_systems_are_solved_alike_however_many_there_are() -> None:
    generator = np.random.default_rng(2)
    for k in (1, 2, 5):
        roots = generator.standard_normal((2 * solver.SMALL_BATCH, k, k + 2))
        matrix, right = roots @ roots.transpose(0, 2, 1), generator.standard_normal((2 * solver.SMALL_BATCH, k))
        matrix[7] *= -1.0
        kept = matrix.copy(), right.copy()
        solution, good = solver.solve_spd(matrix, right)
        assert np.flatnonzero(~good).tolist() == [7]
        np.testing.assert_allclose(solution[good], np.linalg.solve(matrix[good], right[good][:, :, None])[:, :, 0])
        few, _ = solver.solve_spd(matrix[:5], right[:5])
        np.testing.assert_allclose(solution[:5], few)
        assert (matrix == kept[0]).all()
        assert (right == kept[1]).all()
