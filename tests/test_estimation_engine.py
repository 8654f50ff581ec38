"""The fit engine against published numbers, independent optimisers and its own symmetries."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _synthetic import GOLDEN, TRUTH, chinchilla_loss, huber_sum, noiseless, runs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

import scalingdb as sdb
from scalingdb.errors import FitWarning
from scalingdb.fits._form import make_form


def arrays(frame: pl.DataFrame, *columns: str) -> list[np.ndarray]:
    return [frame[column].cast(pl.Float64).to_numpy() for column in columns]


@pytest.fixture(scope="module")
def epoch(db: sdb.Warehouse) -> pl.DataFrame:
    return db.points("epoch_chinchilla")


@pytest.fixture(scope="module")
def epoch_fit(epoch: pl.DataFrame) -> sdb.Fit:
    return sdb.fit(epoch, "chinchilla")


@pytest.fixture(scope="module")
def noisy() -> pl.DataFrame:
    return runs(6, noise=5e-3)


def test_every_golden_number_says_where_it_stands() -> None:
    file = Path(__file__).parent / "golden" / "published_numbers.csv"
    table = pl.read_csv(file)
    assert table.columns == ["name", "value", "where"]
    assert table["name"].is_unique().all()
    assert (table["where"].str.len_chars() > 20).all()


# ---- Epoch's points from Chinchilla's figure ---------------------------------------------------


def chinchilla_score(frame: pl.DataFrame, **params: float) -> float:
    n, d, y = arrays(frame, "n_params", "n_tokens", "loss")
    return huber_sum(np.log(y) - np.log(sdb.get_law("chinchilla")(n, d, **params)))


@pytest.mark.filterwarnings("ignore::scalingdb.FitWarning")
@pytest.mark.parametrize("gamma", [0.08, 0.17, 0.4])
def test_starts_of_a_law_know_what_is_held(gamma: float) -> None:
    """Kaplan's law as the coupled one with beta = 1: scales for another exponent are off by ten decades."""
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(2e7, 2e9, 8), np.geomspace(4e8, 4e10, 8)))
    truth = {"E": 0.6, "A": 2e10 ** (0.08 / gamma), "B": 3e11, "alpha": 0.08 / gamma, "beta": 1.0, "gamma": gamma}
    loss = sdb.get_law("chinchilla_coupled")(n, d, **truth)
    rows = pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss, "group": np.arange(n.size) % 2})
    rows = rows.with_columns(loss=pl.col("loss") * np.exp(0.02 * np.random.default_rng(0).standard_normal(n.size)))
    form = make_form(sdb.get_law("chinchilla_coupled"), {"beta": 1.0})
    own = form.own_starts()
    assert own is not None
    ones = np.ones(n.size)
    found = form.expand(own([n, d], rows["loss"].to_numpy(), ones))
    errors = [
        np.abs(np.log(rows["loss"].to_numpy() / form.law(n, d, **dict(zip(truth, p, strict=True)))))
        for p in found
        if np.isfinite(p).all()
    ]
    assert len(errors) >= 32
    assert min(error.mean() for error in errors) < 0.02  # the scatter is 0.016 in the mean
    alone = sdb.fit(rows, "chinchilla_coupled", fixed={"beta": 1.0})
    assert alone.objective <= alone.objective_at(truth)
    for one in sdb.fit_by(rows, "chinchilla_coupled", by="group", fixed={"beta": 1.0}).fits.values():
        assert one.objective <= one.objective_at(truth)


def test_epoch_reaches_the_lowest_objective_known(epoch: pl.DataFrame, epoch_fit: sdb.Fit) -> None:
    assert epoch.height == 240
    # the best of all other programs, to 1e-8; never above it
    assert epoch_fit.objective <= GOLDEN["epoch.objective_minimum"] * (1 + 1e-8)
    # what is reported is what the definition gives
    assert chinchilla_score(epoch, **epoch_fit.params) == pytest.approx(epoch_fit.objective, rel=1e-9)
    for name in ("E", "alpha", "beta"):
        # stated with five to six digits by a grid search that stops at 1e-8 of the objective
        assert epoch_fit.params[name] == pytest.approx(GOLDEN[f"epoch.{name}"], abs=5e-5)
    for name in ("A", "B"):
        # the objective is flat along A and B: 5 % in B cost 0.02 %
        assert epoch_fit.params[name] == pytest.approx(GOLDEN[f"epoch.{name}"], rel=1e-3)
    assert epoch_fit.verdict.kind == "identified"


def test_epoch_starts_agree(epoch_fit: sdb.Fit) -> None:
    assert epoch_fit.n_starts == 16
    assert epoch_fit.n_agree >= 12
    assert epoch_fit.agree_digits >= 6  # of parameters; the objective agrees to 1e-9


@pytest.mark.parametrize("variant", ["epoch", "hoffmann", "hoffmann_tex"])
def test_published_coefficients_score_as_catalogued(epoch: pl.DataFrame, epoch_fit: sdb.Fit, variant: str) -> None:
    score = chinchilla_score(epoch, **sdb.get_law("chinchilla").coefficients(variant))
    assert score == pytest.approx(GOLDEN[f"epoch.score_of_{variant}"], rel=1e-4)  # stated with five digits
    assert score > epoch_fit.objective


@pytest.fixture(scope="module")
def epoch_resampled(epoch: pl.DataFrame) -> sdb.Fit:
    return sdb.fit(epoch, "chinchilla", bootstrap=1000)


def test_epoch_bootstrap_errors(epoch_resampled: sdb.Fit) -> None:
    errors = dict(epoch_resampled.tidy().select("param", "std_error").iter_rows())
    # 1,000 resamples fix a standard deviation to 2 %, heavy tails to a few more
    assert errors["alpha"] == pytest.approx(GOLDEN["epoch.bootstrap_sd_alpha"], rel=0.1)
    assert errors["beta"] == pytest.approx(GOLDEN["epoch.bootstrap_sd_beta"], rel=0.1)


# ---- Farseer -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def farseer_rows(db: sdb.Warehouse) -> dict[str, pl.DataFrame]:
    everything = db.points("farseer", flagged=True)
    fitted = everything.filter((pl.col("split") == "fit") & (pl.col("n_params_non_embedding") > 2e8))
    return {"fit": fitted, "validation": everything.filter(pl.col("split") == "validation")}


@pytest.fixture(scope="module")
def chinchilla_on_farseer(farseer_rows: dict[str, pl.DataFrame]) -> sdb.Fit:
    return sdb.fit(farseer_rows["fit"], "chinchilla")


def percent_off(prediction: np.ndarray, frame: pl.DataFrame) -> float:
    return 100 * float(np.abs(prediction / frame["loss"].to_numpy() - 1).mean())


def test_chinchilla_on_farseers_runs(farseer_rows: dict[str, pl.DataFrame], chinchilla_on_farseer: sdb.Fit) -> None:
    fitted, validation = farseer_rows["fit"], farseer_rows["validation"]
    assert fitted.height == 341
    assert fitted.filter(pl.col("flag").is_null()).height == 337
    assert validation.height == 7
    assert chinchilla_on_farseer.recipe.columns["n_params"] == "n_params_non_embedding"
    for name, value in chinchilla_on_farseer.params.items():
        # stated with four to six digits
        assert value == pytest.approx(GOLDEN[f"farseer.chinchilla_{name}"], rel=2e-4)
    predicted = chinchilla_on_farseer.predict(validation)["prediction"].to_numpy()
    assert percent_off(predicted, validation) == pytest.approx(
        GOLDEN["farseer.chinchilla_validation_percent"], abs=5e-4
    )
    inside = 100 * chinchilla_on_farseer.glance()["mean_abs_rel_error"].item()
    assert inside == pytest.approx(GOLDEN["farseer.chinchilla_fit_percent"], abs=5e-4)


def test_farseers_published_coefficients(farseer_rows: dict[str, pl.DataFrame]) -> None:
    law = sdb.get_law("farseer")
    for split, frame in farseer_rows.items():
        predicted = law(*arrays(frame, *law.inputs))
        assert percent_off(predicted, frame) == pytest.approx(GOLDEN[f"farseer.published_{split}_percent"], abs=1e-3)


def test_farseer_refit_is_at_least_as_good_as_published(farseer_rows: dict[str, pl.DataFrame]) -> None:
    fitted = farseer_rows["fit"]
    law = sdb.get_law("farseer")
    found = sdb.fit(fitted, law)
    published = huber_sum(np.log(fitted["loss"].to_numpy()) - np.log(law(*arrays(fitted, *law.inputs))))
    assert found.objective <= published
    # nine parameters on a grid trade off; a fit that called them all identified would overstate
    assert found.verdict.kind == "weak"


# ---- other optimisers --------------------------------------------------------------------------


def chinchilla_residual(theta: np.ndarray, n: np.ndarray, d: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log residuals; scales as logarithms of the term at the centre of the data."""
    e, a, b, alpha, beta = theta
    log_n, log_d = np.log(n) - np.log(n).mean(), np.log(d) - np.log(d).mean()
    return np.log(np.exp(e) + np.exp(a - alpha * log_n) + np.exp(b - beta * log_d)) - np.log(y)


def test_scipys_huber_loss_agrees(epoch: pl.DataFrame, epoch_fit: sdb.Fit) -> None:
    data = arrays(epoch, "n_params", "n_tokens", "loss")
    best = min(
        (
            optimize.least_squares(
                chinchilla_residual, start, args=data, loss="huber", f_scale=1e-3, xtol=1e-15, ftol=1e-15, gtol=1e-15
            )
            for start in ([0.6, -1.5, -1.5, 0.3, 0.3], [0.5, -1.0, -2.0, 0.4, 0.5])
        ),
        key=lambda result: result.cost,
    )
    # SciPy's Huber loss with f_scale = delta is this objective: half of z up to 1, and delta**2 outside
    assert best.cost == pytest.approx(epoch_fit.objective, rel=1e-9)
    assert epoch_fit.objective <= best.cost * (1 + 1e-12)
    assert best.x[3:] == pytest.approx([epoch_fit.params["alpha"], epoch_fit.params["beta"]], abs=1e-5)


def test_lmfit_agrees_on_squares(noisy: pl.DataFrame) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lmfit's own imports
        import lmfit
    data = arrays(noisy, "n_params", "n_tokens", "loss")
    start = lmfit.create_params(e=0.6, a=-1.5, b=-1.5, alpha=0.3, beta=0.3)

    def residual(params: lmfit.Parameters) -> np.ndarray:
        theta = np.array([params[name].value for name in ("e", "a", "b", "alpha", "beta")])
        return chinchilla_residual(theta, *data)

    theirs = lmfit.minimize(residual, start, method="least_squares", xtol=1e-14, ftol=1e-14, gtol=1e-14)
    ours = sdb.fit(noisy, "chinchilla", objective="mse_log")
    # lmfit differentiates numerically; near a minimum the sum of squares is flat to its error squared
    assert ours.objective == pytest.approx(float((theirs.residual**2).sum()), rel=1e-9)
    assert ours.params["alpha"] == pytest.approx(theirs.params["alpha"].value, rel=1e-4)


DEFINITIONS = {
    "huber_log": lambda y, p: huber_sum(np.log(y) - np.log(p), 0.01),
    "huber": lambda y, p: huber_sum(y - p, 0.01),
    "mse_log": lambda y, p: float(((np.log(y) - np.log(p)) ** 2).sum()),
    "mse": lambda y, p: float(((y - p) ** 2).sum()),
    "mae_log": lambda y, p: float(np.abs(np.log(y) - np.log(p)).sum()),
    "mae": lambda y, p: float(np.abs(y - p).sum()),
}


def small_power_data() -> pl.DataFrame:
    x = np.geomspace(1e6, 1e10, 15)
    scatter = np.random.default_rng(5).standard_t(3, x.size) * 0.02
    return pl.DataFrame({"n_tokens": x, "loss": 1.5 + 30 * x**-0.25 * np.exp(scatter)})


@pytest.mark.parametrize("objective", list(DEFINITIONS))
def test_every_objective_against_a_brute_force_search(objective: str) -> None:
    data = small_power_data()
    x, y = arrays(data, "n_tokens", "loss")
    found = sdb.fit(data, "power_offset", objective=objective, delta=0.01)
    score = DEFINITIONS[objective]
    p = found.params
    assert score(y, p["E"] + p["A"] * x ** -p["alpha"]) == pytest.approx(found.objective, rel=1e-9)

    log_x = np.log(x) - np.log(x).mean()

    def total(theta: np.ndarray) -> float:
        return score(y, theta[0] + np.exp(theta[1] - theta[2] * log_x))

    brute = optimize.differential_evolution(
        total, [(0.0, 3.0), (-6.0, 2.0), (0.0, 1.5)], rng=0, tol=1e-12, popsize=15, maxiter=400, polish=True
    )
    brute = optimize.minimize(
        total, brute.x, method="Nelder-Mead", options={"xatol": 1e-12, "fatol": 1e-16, "maxiter": 4000}
    )
    # never worse than the search, which needs no derivative and gets as low to its own accuracy; absolute
    # values are approached through ever narrower Huber losses, which leaves a few parts in 1e8
    assert found.objective <= brute.fun * (1 + (1e-7 if objective.startswith("mae") else 1e-9))
    assert found.objective == pytest.approx(brute.fun, rel=1e-6)


def test_absolute_log_errors_against_linear_programming() -> None:
    """A power law is a line in logarithms, and least absolute deviations of a line is a linear programme."""
    data = small_power_data()
    x, y = arrays(data, "n_tokens", "loss")
    k = x.size
    design = np.stack([np.ones(k), -np.log(x)], axis=1)
    equal = np.hstack([design, np.eye(k), -np.eye(k)])
    exact = optimize.linprog(
        np.r_[0.0, 0.0, np.ones(2 * k)], A_eq=equal, b_eq=np.log(y), bounds=[(None, None)] * 2 + [(0, None)] * (2 * k)
    )
    found = sdb.fit(data, "power", objective="mae_log")
    assert found.objective >= exact.fun * (1 - 1e-12)  # the programme's answer is exact
    assert found.objective == pytest.approx(exact.fun, rel=1e-7)  # as above
    assert found.params["alpha"] == pytest.approx(exact.x[1], rel=1e-5)


# ---- symmetries --------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_of_the_loss_leaves_log_fits_alone(epoch: pl.DataFrame, epoch_fit: sdb.Fit, factor: float) -> None:
    scaled = sdb.fit(epoch.with_columns(pl.col("loss") * factor), "chinchilla")
    assert scaled.objective == pytest.approx(epoch_fit.objective, rel=1e-9)
    for name in ("alpha", "beta"):
        assert abs(scaled.params[name] - epoch_fit.params[name]) < 1e-9
    for name in ("E", "A", "B"):
        assert scaled.params[name] == pytest.approx(factor * epoch_fit.params[name], rel=1e-8)


@pytest.mark.parametrize(("objective", "power"), [("mse", 2), ("huber", 2), ("mae", 1)])
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_of_the_loss_scales_plain_objectives(
    noisy: pl.DataFrame, objective: str, power: int, factor: float
) -> None:
    plain = sdb.fit(noisy, "chinchilla", objective=objective, delta=1e-2)
    scaled = sdb.fit(
        noisy.with_columns(pl.col("loss") * factor), "chinchilla", objective=objective, delta=1e-2 * factor
    )
    assert scaled.objective == pytest.approx(plain.objective * factor**power, rel=1e-9)
    # absolute values have a kink at the optimum, which the solver rounds; squares do not
    assert scaled.params["alpha"] == pytest.approx(plain.params["alpha"], abs=1e-6)


def test_integer_weights_equal_repeated_rows(noisy: pl.DataFrame) -> None:
    weights = np.random.default_rng(0).integers(0, 4, noisy.height)
    weighted = sdb.fit(noisy, "chinchilla", weights=weights.tolist())
    repeated = sdb.fit(noisy[np.repeat(np.arange(noisy.height), weights)], "chinchilla")
    assert weighted.objective == pytest.approx(repeated.objective, rel=1e-9)
    # flat along A and B: parameters agree to the square root of the objective's agreement
    assert dict(weighted.params) == pytest.approx(dict(repeated.params), rel=1e-6)


def test_zero_weight_equals_a_dropped_row(noisy: pl.DataFrame) -> None:
    marked = noisy.with_columns(weight=pl.when(pl.int_range(pl.len()) % 5 == 0).then(0.0).otherwise(1.0))
    spoiled = marked.with_columns(loss=pl.when(pl.col("weight") == 0).then(99.0).otherwise("loss"))
    weighted = sdb.fit(spoiled, "chinchilla", weights="weight")
    dropped = sdb.fit(marked.filter(pl.col("weight") > 0), "chinchilla")
    assert weighted.objective == pytest.approx(dropped.objective, rel=1e-9)
    assert dict(weighted.params) == pytest.approx(dict(dropped.params), rel=1e-6)


def test_weights_multiply_the_objective(
    noisy: pl.DataFrame,
) -> None:
    plain = sdb.fit(noisy, "chinchilla")
    tripled = sdb.fit(noisy, "chinchilla", weights=[3.0] * noisy.height)
    assert tripled.objective == pytest.approx(3 * plain.objective, rel=1e-9)
    assert dict(tripled.params) == pytest.approx(dict(plain.params), rel=1e-6)


# derandomized: the same examples on every machine
few = settings(max_examples=8, deadline=None, derandomize=True, database=None)
seeds = st.integers(0, 10**6)


@few
@given(seed=seeds)
def test_property_row_order(seed: int) -> None:
    rows = runs(5, noise=3e-3, seed=seed)
    first, second = (sdb.fit(f, "chinchilla") for f in (rows, rows.sample(fraction=1.0, shuffle=True, seed=seed)))
    assert second.objective == pytest.approx(first.objective, rel=1e-9)
    assert second.params["alpha"] == pytest.approx(first.params["alpha"], abs=1e-6)


@few
@given(seed=seeds, n_unit=st.floats(-12, 12), d_unit=st.floats(-12, 12))
def test_property_units_keep_exponents(seed: int, n_unit: float, d_unit: float) -> None:
    rows = runs(5, noise=3e-3, seed=seed)
    rescaled = rows.with_columns(pl.col("n_params") * 10**n_unit, pl.col("n_tokens") * 10**d_unit)
    first, second = sdb.fit(rows, "chinchilla"), sdb.fit(rescaled, "chinchilla")
    assert second.objective == pytest.approx(first.objective, rel=1e-9)
    for name in ("E", "alpha", "beta"):
        assert second.params[name] == pytest.approx(first.params[name], rel=1e-6)


@few
@given(
    E=st.floats(0.5, 4.0),
    share_n=st.floats(0.1, 2.0),
    share_d=st.floats(0.1, 2.0),
    alpha=st.floats(0.15, 0.8),
    beta=st.floats(0.15, 0.8),
)
def test_property_noiseless_recovery(E: float, share_n: float, share_d: float, alpha: float, beta: float) -> None:
    """Terms of a tenth to twice the floor at the centre of the grid, exponents in the published range."""
    law = sdb.get_law("chinchilla")
    truth = {"E": E, "A": share_n * E * 1e9**alpha, "B": share_d * E * 4e10**beta, "alpha": alpha, "beta": beta}
    found = sdb.fit(noiseless(law, truth), law)
    assert dict(found.params) == pytest.approx(truth, rel=1e-8)


# ---- bootstrap ---------------------------------------------------------------------------------


def test_bootstrap_follows_its_seed(noisy: pl.DataFrame) -> None:
    first, again, other = (sdb.fit(noisy, "chinchilla", bootstrap=20, rng=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.samples, again.samples)
    assert not np.array_equal(first.samples, other.samples)
    assert dict(first.params) == dict(other.params)
    assert first.samples.shape == (20, 5)


def test_a_resample_is_a_fit_of_its_own(noisy: pl.DataFrame) -> None:
    """Warm starts must not leave resamples short of their optimum."""
    from scalingdb.estimation.uncertainty import cluster_weights

    found = sdb.fit(noisy, "chinchilla", bootstrap=10, rng=7)
    clusters = noisy["run_id"].rank("dense").to_numpy().astype(np.int64) - 1
    weights = cluster_weights(clusters, np.ones(noisy.height), 10, np.random.default_rng(7))
    for row, weight in zip(found.samples, weights, strict=True):
        cold = sdb.fit(noisy, "chinchilla", weights=weight.tolist())
        assert row == pytest.approx(list(cold.params.values()), rel=1e-4)


@pytest.fixture(scope="module")
def checkpoints() -> pl.DataFrame:
    """Twenty runs of six checkpoints, whose errors belong to the run."""
    base = runs(5, noise=0.0).sample(20, seed=3)
    offset = np.random.default_rng(4).normal(0, 0.01, 20)
    stages = [
        base.with_columns(n_tokens=pl.col("n_tokens") * share).with_columns(
            loss=pl.Series(
                chinchilla_loss(base["n_params"].to_numpy(), share * base["n_tokens"].to_numpy()) * np.exp(offset)
            )
        )
        for share in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ]
    return pl.concat(stages)


def test_bootstrap_keeps_the_checkpoints_of_a_run_together(checkpoints: pl.DataFrame) -> None:
    from scalingdb.estimation.uncertainty import cluster_weights

    clusters = checkpoints["run_id"].rank("dense").to_numpy().astype(np.int64) - 1
    drawn = cluster_weights(clusters, np.ones(checkpoints.height), 50, np.random.default_rng(0))
    for cluster in range(20):
        rows = drawn[:, clusters == cluster]
        assert (rows == rows[:, :1]).all()
    assert (drawn.sum(1) == checkpoints.height).all()  # all runs have six checkpoints


@pytest.mark.parametrize("bootstrap", [0, 300])
def test_intervals_by_run_are_wider_than_by_row(checkpoints: pl.DataFrame, bootstrap: int) -> None:
    by_run = sdb.fit(checkpoints, "chinchilla", objective="mse_log", bootstrap=bootstrap)
    by_row = sdb.fit(checkpoints, "chinchilla", objective="mse_log", bootstrap=bootstrap, by_run=False)
    assert by_run.recipe.resampled == "by run_id"
    assert by_row.recipe.resampled == "by row"
    assert dict(by_run.params) == pytest.approx(dict(by_row.params))
    wide, narrow = (f.tidy().filter(param="E")["std_error"].item() for f in (by_run, by_row))
    # six copies of each error: by row the standard error is too small by about the square root of six
    assert wide > 1.5 * narrow


def test_robust_covariance_agrees_with_the_bootstrap(epoch_fit: sdb.Fit, epoch_resampled: sdb.Fit) -> None:
    for name in ("E", "alpha", "beta"):
        quick = epoch_fit.tidy().filter(param=name)["std_error"].item()
        slow = epoch_resampled.tidy().filter(param=name)["std_error"].item()
        # a kernel estimate of the density at zero: good to tens of percent
        assert quick == pytest.approx(slow, rel=0.35)


# ---- fixed parameters --------------------------------------------------------------------------


def test_fixed_parameters_stay_exactly(noisy: pl.DataFrame) -> None:
    free = sdb.fit(noisy, "chinchilla")
    held = sdb.fit(noisy, "chinchilla", fixed={"E": 1.8, "beta": 0.37})
    assert held.params["E"] == 1.8
    assert held.params["beta"] == 0.37
    assert list(held.params) == list(free.params)
    assert held.objective > free.objective
    table = held.tidy().filter(pl.col("param").is_in(["E", "beta"]))
    assert table["interval"].to_list() == ["fixed", "fixed"]
    assert table.select("std_error", "low", "high").null_count().row(0) == (2, 2, 2)
    assert held.glance()["n_free"].item() == 3


def test_fixing_at_the_optimum_changes_nothing(noisy: pl.DataFrame) -> None:
    free = sdb.fit(noisy, "chinchilla")
    held = sdb.fit(noisy, "chinchilla", fixed={"alpha": free.params["alpha"], "A": free.params["A"]})
    assert held.objective == pytest.approx(free.objective, rel=1e-9)
    assert held.params["beta"] == pytest.approx(free.params["beta"], rel=1e-5)


def test_one_free_parameter_is_enough(noisy: pl.DataFrame) -> None:
    for name in TRUTH:
        held = sdb.fit(noisy, "chinchilla", fixed={k: v for k, v in TRUTH.items() if k != name})
        # 36 rows with 0.5 % scatter fix one parameter to a few percent
        assert held.params[name] == pytest.approx(TRUTH[name], rel=0.05)
        assert held.verdict.kind == "identified"


# ---- what the data cannot fix ------------------------------------------------------------------


def single_ray(noise: float) -> pl.DataFrame:
    n = np.geomspace(1e7, 1e11, 60)
    loss = chinchilla_loss(n, 20 * n) * np.exp(np.random.default_rng(0).normal(0, noise, n.size))
    return pl.DataFrame({"n_params": n, "n_tokens": 20 * n, "loss": loss})


def test_one_ratio_of_tokens_to_parameters_is_not_identified() -> None:
    with pytest.warns(FitWarning, match=r"not identified|at bound"):
        surface = sdb.fit(single_ray(3e-3), "chinchilla")
    assert surface.verdict.kind != "identified"
    with pytest.warns(FitWarning, match="not identified: n_params and n_tokens move together"):
        overtrain = sdb.fit(single_ray(3e-3), "gadre_overtrain")
    assert "a" in overtrain.weakest.split()
    assert "b" in overtrain.weakest.split()


def test_two_model_sizes_do_not_fix_a_floor_and_a_power(noisy: pl.DataFrame) -> None:
    sizes = noisy["n_params"].unique().sort()
    with pytest.warns(FitWarning, match="not identified"):
        found = sdb.fit(noisy.filter(pl.col("n_params").is_in(sizes.gather([0, 3]).implode())), "chinchilla")
    # every point of the ridge fits as well, and which of the three move most along it depends on the point
    (reason,) = (reason for reason in found.verdict.reasons if reason.code == "undetermined")
    assert len(reason.names) > 1
    assert {*reason.names} <= {"E", "A", "alpha"}


def test_pure_power_data_put_the_floor_at_its_bound() -> None:
    x = np.geomspace(1e6, 1e10, 30)
    with pytest.warns(FitWarning, match="at bound: E=0"):
        found = sdb.fit(pl.DataFrame({"n_tokens": x, "loss": 50 * x**-0.1}), "power_offset")
    assert str(found.verdict) == "at bound: E=0"
    assert found.params["E"] == 0.0
    assert found.params["alpha"] == pytest.approx(0.1, rel=1e-9)
    floor = found.tidy().filter(param="E")
    assert floor.select("std_error", "low", "high").row(0) == (None, None, None)


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_a_short_range_does_not_fix_the_floor(seed: int) -> None:
    """A factor of two in D: the floor is weak or ends at zero, as the noise will have it."""
    x = np.geomspace(1e8, 2e8, 12)
    scatter = np.exp(np.random.default_rng(seed).normal(0, 3e-3, x.size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        found = sdb.fit(pl.DataFrame({"n_tokens": x, "loss": (1.7 + 50 * x**-0.2) * scatter}), "power_offset")
    assert re.match(r"weak: E|at bound: (E|A)=0|at bound: alpha=", str(found.verdict))


def test_losses_that_do_not_fall_end_at_a_bound() -> None:
    x = np.geomspace(1e6, 1e10, 30)
    for loss in (2 * x**0.05, np.full(x.size, 2.5)):
        frame = pl.DataFrame({"n_tokens": x, "loss": loss})
        with pytest.warns(FitWarning, match="at bound: alpha=0"):
            assert sdb.fit(frame, "power").params["alpha"] == 0.0
        with pytest.warns(FitWarning, match="at bound: A=0"):
            assert sdb.fit(frame, "power_offset").params["A"] == 0.0


def test_equal_losses_determine_their_sum_and_nothing_else() -> None:
    # a floor alone, or terms with an exponent of 0: both meet every row, and rounding chooses
    with pytest.warns(FitWarning, match="not identified: all values are equal"):
        found = sdb.fit(runs(5).with_columns(loss=2.5), "chinchilla")
    assert found.predict(found.data)["prediction"].to_numpy() == pytest.approx(2.5, rel=1e-9)


def test_losses_without_any_trend_are_never_identified() -> None:
    for seed in range(3):
        rows = runs(6).with_columns(loss=pl.Series(np.exp(np.random.default_rng(seed).normal(0.7, 0.1, 36))))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # which one depends on the draw; the verdict is the test
            found = sdb.fit(rows, "chinchilla")
        assert found.verdict.kind != "identified"


def test_absurd_units_change_no_exponent(noisy: pl.DataFrame) -> None:
    plain = sdb.fit(noisy, "chinchilla")
    billions = sdb.fit(noisy.with_columns(pl.col("n_params", "n_tokens") / 1e9), "chinchilla")
    for name in ("E", "alpha", "beta"):
        assert billions.params[name] == pytest.approx(plain.params[name], rel=1e-8)
    assert billions.params["A"] == pytest.approx(plain.params["A"] * 1e9 ** -plain.params["alpha"], rel=1e-6)


def test_one_outlier_does_not_steer_the_default_objective(noisy: pl.DataFrame) -> None:
    plain = sdb.fit(noisy, "chinchilla")
    spoiled = noisy.with_columns(loss=pl.when(pl.int_range(pl.len()) == 5).then(1e6).otherwise("loss"))
    assert sdb.fit(spoiled, "chinchilla").params["E"] == pytest.approx(plain.params["E"], rel=0.01)


def test_information_of_an_identified_fit(epoch_fit: sdb.Fit) -> None:
    values = epoch_fit.eigenvalues
    assert values.size == 5
    assert (np.diff(values) >= 0).all()
    assert values.sum() == pytest.approx(5)  # scaled to unit diagonal
    assert math.isfinite(epoch_fit.covariance.sum())


def test_many_rows_are_searched_on_a_sample_and_solved_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = runs(20, noise=3e-3)
    whole = sdb.fit(frame, "chinchilla")
    monkeypatch.setattr("scalingdb.estimation.search.MANY_ROWS", 300)
    monkeypatch.setattr("scalingdb.estimation.search.SAMPLE_ROWS", 100)
    sampled = sdb.fit(frame, "chinchilla")
    assert frame.height > 300
    assert sampled.objective == pytest.approx(whole.objective, rel=1e-12)
    assert sampled.tidy()["std_error"].to_list() == pytest.approx(whole.tidy()["std_error"].to_list(), rel=1e-6)
    weights = (np.arange(frame.height) % 3 > 0).astype(float)  # a third of the rows do not count
    counted = sdb.fit(frame, "chinchilla", weights=weights.tolist())
    apart = sdb.fit(frame.filter(pl.Series(weights) > 0), "chinchilla")
    assert counted.objective == pytest.approx(apart.objective, rel=1e-9)
