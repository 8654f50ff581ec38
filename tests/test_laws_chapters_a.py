"""Chapters 1 to 4 and 9 of the law library: worked figures, limits, recovery, refits."""

from __future__ import annotations

import doctest
import importlib
import warnings

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import FitWarning
from scalingdb.evidence.refits import Refit, refit
from scalingdb.law_library import all_laws
from scalingdb.schema import COLUMNS

CHAPTERS = ("one_variable", "loss_surfaces", "compute_optimal", "data_constrained", "hyperparameters")
MINE = [name for name, law in all_laws().items() if law.function.__module__.rpartition(".")[2] in CHAPTERS]
REFITS: list[Refit] = [
    one for chapter in CHAPTERS for one in importlib.import_module(f"scalingdb.evidence.refits.{chapter}").REFITS
]

every_law = pytest.mark.parametrize("name", MINE)


# ---- what every law of these chapters carries ---------------------------------------------------


@every_law
def test_example_runs(name: str) -> None:
    law = sdb.get_law(name)
    example = doctest.DocTestParser().get_doctest(law.doc, {}, name, None, 0)
    assert example.examples
    said: list[str] = []
    assert doctest.DocTestRunner().run(example, out=said.append).failed == 0, "".join(said)


@every_law
def test_inputs_and_output_are_columns_or_explained(name: str) -> None:
    law = sdb.get_law(name)
    for quantity in (*law.inputs, law.output):
        assert quantity in COLUMNS or quantity in law.meanings or quantity == "loss", quantity
    assert law.evidence
    assert set(law.domain) <= set(law.inputs)
    assert all(0 <= low < high for low, high in law.domain.values())
    # the engine takes logarithms of inputs, but for those that a law says may be zero: a mixture may lack a domain
    assert law.signed_inputs == (law.inputs if name.startswith("data_mixing") else ())


IDS_OF_THE_CATALOGUE = """
power power_offset log_linear hestness_curve henighan_ln_lc henighan_n_opt shifted_power_floor m1_m4 bnsl bahri_regime
width_inverse intrinsic_dim normalised_power kaplan_ln kaplan_ld kaplan_lc kaplan_lnd kaplan_ls kaplan_bcrit su_kaplan
chinchilla_a3 chinchilla_epoch chinchilla_a1 chinchilla_a2 chinchilla_coupled kaplan_chinchilla_map porian_fixes farseer
gadre_overtrain step_law muennighoff_repeat infinite_compute_n infinite_compute_k qqt_filter data_mixing_exp bimix
data_pruning
"""


def test_every_id_of_the_catalogue_is_a_law_or_an_alias() -> None:
    known = {*MINE, *(alias for name in MINE for alias in sdb.get_law(name).aliases)}
    assert set(IDS_OF_THE_CATALOGUE.split()) <= known
    for name in MINE:
        law = sdb.get_law(name)
        assert {variant for variant in law.aliases.values() if variant} <= set(law.published)


# ---- worked figures -----------------------------------------------------------------------------


def test_kaplans_exponent_of_compute_follows_from_the_other_three() -> None:
    """Eq. 1.8: alpha_C = 1 / (1/alpha_S + 1/alpha_B + 1/alpha_N), stated as about 0.054 with measured 0.050."""
    steps, batch = sdb.get_law("kaplan_ls").coefficients(), sdb.get_law("kaplan_bcrit").coefficients()
    predicted = 1 / (1 / steps["alpha_S"] + 1 / batch["alpha_B"] + 1 / steps["alpha_N"])
    assert predicted == pytest.approx(0.0525, abs=5e-4)
    assert sdb.get_law("kaplan_lc").coefficients()["alpha_C"] == pytest.approx(predicted, rel=0.06)


def test_henighans_language_row_is_kaplans_law() -> None:
    """Both describe the same models; the constants differ, the loss at a billion parameters hardly."""
    assert sdb.get_law("henighan_ln_lc")(1e9, variant="language_n") == pytest.approx(
        sdb.get_law("kaplan_ln")(1e9), rel=0.035
    )
    assert sdb.get_law("henighan_ln_lc")(1.0, variant="language_c") == pytest.approx(
        sdb.get_law("kaplan_lc")(8.64e19), rel=0.05
    )


def test_counting_explains_kaplans_exponent() -> None:
    """In Kaplan's N and C, Chinchilla's optimal size grows as C**0.78 and its loss falls as C**-0.069.

    Over Kaplan's sizes with the replication's coefficients: 0.775 in the notes of source
    pearce_reconcile, 0.79 in the catalogue of laws; the curve is not straight, so the grid matters.
    """
    law, count = sdb.get_law("chinchilla"), sdb.get_law("kaplan_chinchilla_map")
    p = law.coefficients("epoch")
    body = np.geomspace(790, 1.58e9, 20)
    total = count(body)
    slope = 1 + count.coefficients()["g"] / 3 * body ** (-2 / 3)  # of the total, for a parameter more in the body
    # 6 * N_E * D is fixed, so D loses in proportion what N_E gains: the two derivatives are equal at the optimum
    gain = p["alpha"] * p["A"] * total ** (-p["alpha"] - 1) * slope * body
    tokens = (p["beta"] * p["B"] / gain) ** (1 / p["beta"])
    log_c = np.log(6 * body * tokens)
    assert np.polyfit(log_c, np.log(body), 1)[0] == pytest.approx(0.78, abs=0.012)
    assert np.polyfit(log_c, np.log(law(total, tokens, variant="epoch")), 1)[0] == pytest.approx(-0.069, abs=2e-3)


def test_llama_3_exponents_reach_its_budget() -> None:
    """From 1e22 to 3.8e25 FLOP; the report's law gives 16.1T tokens there and 393B parameters."""
    tokens = sdb.get_law("optimal_tokens")
    growth = sdb.get_law("chinchilla_a2")
    assert tokens(3.8e25, G=0.299, b=0.537) == pytest.approx(1.61e13, rel=0.02)
    step = growth(1.0, 3800.0, variant="llama3")
    assert step == pytest.approx(tokens(3.8e25, G=0.299, b=0.537) / tokens(1e22, G=0.299, b=0.537), rel=1e-12)
    assert growth(3800.0, 3800.0, variant="llama3") == pytest.approx(3800.0, rel=1e-12)  # a + b = 1: C = 6 N D


def test_repeat_law_saturates_at_sixteen_times_its_unique_tokens() -> None:
    law, chinchilla = sdb.get_law("muennighoff_repeat"), sdb.get_law("chinchilla")
    p = law.coefficients()
    unique, size = 1e10, 1e8
    endless = law(size, 1e16, unique)
    assert endless == pytest.approx(chinchilla(size, 16.387756 * unique, variant="datablations"), rel=1e-9)
    ratio = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (-2 / (p["alpha"] + p["beta"]))
    assert ratio == pytest.approx(19.6, abs=0.05)  # tokens per parameter at the optimum
    four = law(size, 4 * unique, unique) - law(size, 4 * unique, 4 * unique)
    assert 0 < four < 0.01  # four epochs are nearly as good as new data


def test_every_run_of_one_epoch_is_above_the_published_repeat_law(db: sdb.Warehouse) -> None:
    rows = db.sql(
        "select loss / law_muennighoff_repeat(n_params, n_tokens, n_tokens_unique) as ratio "
        "from points where source_id = 'datablations' and family = 'c4' and n_epochs = 1"
    )
    assert rows.height == 33
    assert rows["ratio"].min() > 1.02


def test_broken_law_extrapolates_the_addition_task(db: sdb.Warehouse) -> None:
    """RMSLE 0.0006 on the fitted points and 0.011 on the three left out (notes of the source)."""
    rows = db.sql("select split, loss, law_bnsl(n_examples) as predicted from points where source_id = 'bnsl'")
    error = rows.group_by("split").agg(rmsle=(pl.col("loss").log() - pl.col("predicted").log()).pow(2).mean().sqrt())
    assert dict(error.iter_rows()) == pytest.approx({"fit": 0.0006, "validation": 0.011}, rel=0.1)


def test_infinite_compute_ends_at_its_asymptote() -> None:
    law = sdb.get_law("infinite_compute_n")
    assert law(1e15) == pytest.approx(3.43, abs=1e-4)
    assert law(1.4e9) == pytest.approx(3.43 + 0.05 * 1.4**-1.02, rel=1e-12)


# ---- limits and nesting -------------------------------------------------------------------------

X = np.geomspace(1e3, 1e8, 30)


def test_broken_laws_are_nested() -> None:
    shape = {"a": 0.3, "b": 20.0, "c0": 0.2}
    one = {"c1": 0.7, "d1": 1e5, "f1": 0.2}
    power, bnsl, two = (sdb.get_law(name) for name in ("power_offset", "bnsl", "bnsl_two_breaks"))
    straight = power(X, E=0.3, A=20.0, alpha=0.2)
    assert bnsl(X, **shape, **{**one, "c1": 0.0}) == pytest.approx(straight, rel=1e-12)
    assert two(X, **shape, **one, c2=0.0, d2=1e7, f2=0.1) == pytest.approx(bnsl(X, **shape, **one), rel=1e-12)
    far = bnsl(np.array([1e12, 1e13]), **{**shape, "a": 0.0}, **one)
    assert np.log10(far[1] / far[0]) == pytest.approx(-(0.2 + 0.7), rel=1e-9)  # slope behind the break
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a sharp break must not overflow
        assert np.isfinite(bnsl(X, **shape, **{**one, "f1": 1e-3})).all()


def test_alabdulmohsins_estimators_are_nested() -> None:
    m1, m2, m3, m4 = (sdb.get_law(name) for name in ("m1", "m2", "m3", "m4"))
    assert m2(X, eps_inf=0.0, beta=9.0, c=0.4) == pytest.approx(m1(X, beta=9.0, c=0.4), rel=1e-14)
    assert m3(X, beta=9.0, gamma=0.0, c=0.4) == pytest.approx(m1(X, beta=9.0, c=0.4), rel=1e-12)
    floor_and_power = m2(X, eps_inf=0.05, beta=9.0, c=0.4)
    cut = np.minimum(floor_and_power, 0.9)
    assert m4(X, eps_inf=0.05, eps_0=0.9, beta=9.0, c=0.4, alpha=0.0) == pytest.approx(cut, rel=1e-12)


@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("beta", [1e-3, 1.0, 1e4])
def test_m4_solves_its_equation(alpha: float, beta: float) -> None:
    p = {"eps_inf": 0.05, "eps_0": 0.9, "beta": beta, "c": 0.6, "alpha": alpha}
    eps = sdb.get_law("m4")(X, **p)
    assert (np.diff(eps) <= 0).all()
    # where a difference of nearly equal numbers does not eat the digits
    inside = (eps - 0.05 > 1e-6) & (0.9 - eps > 1e-6)
    left = (eps[inside] - 0.05) / (0.9 - eps[inside]) ** alpha
    assert left == pytest.approx(beta * X[inside] ** -0.6, rel=1e-7)


def test_surfaces_are_nested() -> None:
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e11, 9), np.geomspace(1e9, 1e13, 9)))
    p = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
    chinchilla, coupled = sdb.get_law("chinchilla"), sdb.get_law("chinchilla_coupled")
    assert coupled(n, d, gamma=1.0, **p) == pytest.approx(chinchilla(n, d, **p), rel=1e-12)
    # Kaplan's joint law is the coupled one without a floor
    k = sdb.get_law("kaplan_lnd").coefficients()
    inner = k["alpha_N"] / k["alpha_D"]
    same = coupled(n, d, E=0.0, A=k["N_c"] ** inner, B=k["D_c"], alpha=inner, beta=1.0, gamma=k["alpha_D"])
    assert sdb.get_law("kaplan_lnd")(n, d) == pytest.approx(same, rel=1e-12)
    assert sdb.get_law("kaplan_ls")(n, 1e300) == pytest.approx(
        sdb.get_law("kaplan_ln")(n, N_c=6.5e13, alpha_N=0.077), rel=1e-12
    )


def test_repeat_law_without_repeats_is_chinchilla() -> None:
    law, chinchilla = sdb.get_law("muennighoff_repeat"), sdb.get_law("chinchilla")
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e10, 9), np.geomspace(1e9, 1e13, 9)))
    small = n < 0.05 * d  # up to the optimal size for D every parameter counts in full
    assert law(n[small], d[small], d[small]) == pytest.approx(
        chinchilla(n[small], d[small], variant="datablations"), rel=1e-13
    )
    assert (law(n, d, d)[~small] > chinchilla(n, d, variant="datablations")[~small]).all()
    endless = law(n[small], d[small], d[small] / 8, rd=1e9, rn=1e9)  # a repeat as good as a new token
    assert endless == pytest.approx(chinchilla(n[small], d[small], variant="datablations"), rel=1e-7)
    # no corner where repetition begins: value and slope agree from both sides
    h = 1e-4
    before, at, after = law(1e8, 1e10 * np.array([1 - h, 1.0, 1 + h]), 1e10)
    assert (at - before) == pytest.approx(after - at, rel=1e-3)


def test_filter_law_in_one_epoch_is_a_power() -> None:
    law = sdb.get_law("qqt_filter")
    p = {"a": 0.02, "b": 0.2, "d": 0.1}
    assert law(X, 1.0, tau=2.0, **p) == pytest.approx(0.1 + (0.02 * X / 1e5) ** -0.2, rel=1e-12)
    # utility that does not decay: only the samples count, not how often they were seen
    assert law(X, np.linspace(1, 10, X.size), tau=1e12, **p) == pytest.approx(law(X, 1.0, tau=2.0, **p), rel=1e-9)
    # the product over epochs, written out for three and a half
    first = 0.02 * 3.5e7 / 3.5 / 1e5
    product = first**-0.2
    for k, growth in ((2, 2.0), (3, 1.5), (4, 3.5 / 3)):
        product *= growth ** (-0.2 * 0.5 ** ((k - 1) / 2.0))
    assert law(3.5e7, 3.5, tau=2.0, **p) == pytest.approx(0.1 + product, rel=1e-12)


def test_mixtures_agree_where_one_domain_is_absent() -> None:
    share = np.linspace(0.05, 0.95, 7)
    three = sdb.get_law("data_mixing_exp_3")(share, 0.0 * share, c=2.0, k=0.8, t1=-3.0, t2=1.0)
    assert three == pytest.approx(sdb.get_law("data_mixing_exp")(share, c=2.0, k=0.8, t=-3.0), rel=1e-14)
    # a mixture may lack a domain: the law is defined there, and fitted with such rows
    shares = pl.DataFrame({"domain_share": np.linspace(0, 1, 9)})
    rows = shares.with_columns(
        loss=pl.Series(sdb.get_law("data_mixing_exp")(np.linspace(0, 1, 9), c=2.0, k=0.8, t=-3.0))
    )
    found = sdb.fit(rows, "data_mixing_exp", objective="mse").params
    assert found == pytest.approx({"c": 2.0, "k": 0.8, "t": -3.0}, rel=1e-4)
    bimix = sdb.get_law("bimix")
    assert bimix(1e4, 1.0, B=20.0, beta=0.4, C=2.0, alpha=0.1) == pytest.approx(2.0 + 20.0 * 1e4**-0.4, rel=1e-14)


# ---- recovery -----------------------------------------------------------------------------------


def refitted(name: str, rows: pl.DataFrame, truth: dict[str, float]) -> sdb.Fit:
    """Fit of a law's own values on given inputs."""
    law = sdb.get_law(name)
    values = law(*(rows[column].to_numpy() for column in law.inputs), **truth)
    return sdb.fit(rows.with_columns(pl.Series(law.output, values)), law)


BROKEN = {
    "sharp fall": {"a": 0.41, "b": 2.28, "c0": 0.055, "c1": 5.66, "d1": 2e5, "f1": 0.059},
    "broad turn": {"a": 0.0, "b": 50.0, "c0": 0.05, "c1": 0.6, "d1": 3e5, "f1": 0.8},
    "plateau": {"a": 0.5, "b": 20.0, "c0": 0.4, "c1": -0.35, "d1": 1e5, "f1": 0.2},
    "rise": {"a": 0.2, "b": 30.0, "c0": 0.3, "c1": -0.6, "d1": 1e6, "f1": 0.3},
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_law_is_recovered(case: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # a floor of zero is a bound
        found = refitted("bnsl", pl.DataFrame({"n_examples": np.geomspace(1e3, 1e8, 40)}), BROKEN[case])
    assert dict(found.params) == pytest.approx(BROKEN[case], rel=1e-6, abs=1e-9)
    assert found.objective < 1e-18


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", BROKEN)
def test_noisy_broken_law_is_fitted_at_least_as_well_as_the_truth(case: str, seed: int) -> None:
    law = sdb.get_law("bnsl")
    x = np.geomspace(1e3, 1e8, 40)
    noise = np.exp(np.random.default_rng(seed).normal(0, 0.01, x.size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # a floor of zero is a bound
        found = sdb.fit(pl.DataFrame({"n_examples": x, "loss": law(x, **BROKEN[case]) * noise}), law)
    assert found.objective <= found.objective_at(BROKEN[case])


def test_law_with_two_breaks_is_recovered() -> None:
    truth = {"a": 0.1, "b": 40.0, "c0": 0.05, "c1": 0.8, "d1": 3e4, "f1": 0.3, "c2": -0.6, "d2": 3e6, "f2": 0.2}
    found = refitted("bnsl_two_breaks", pl.DataFrame({"n_examples": np.geomspace(1e3, 1e8, 60)}), truth)
    assert dict(found.params) == pytest.approx(truth, rel=1e-6)


def test_repeat_law_is_recovered_on_the_authors_grid(db: sdb.Warehouse) -> None:
    rows = db.sql(
        "select n_params, n_tokens, n_tokens_unique from points "
        "where source_id = 'datablations' and family = 'c4' and loss < 4.5"
    )
    truth = sdb.get_law("muennighoff_repeat").coefficients() | {"alpha": 0.33, "beta": 0.37, "rd": 12.0, "rn": 4.0}
    found = refitted("muennighoff_repeat", rows, truth)
    assert dict(found.params) == pytest.approx(truth, rel=1e-6)


def test_m4_is_recovered_with_numerical_derivatives() -> None:
    truth = {"eps_inf": 0.07, "eps_0": 0.95, "beta": 300.0, "c": 0.6, "alpha": 0.8}
    found = refitted("m4", pl.DataFrame({"n_examples": np.geomspace(1e2, 1e8, 25)}), truth)
    assert dict(found.params) == pytest.approx(truth, rel=1e-6)


def test_hestness_curve_finds_its_corner_in_noise() -> None:
    truth = {"eps_guess": 6.0, "alpha": 90.0, "beta": 0.45, "gamma": 0.6}
    law, x = sdb.get_law("hestness_curve"), np.geomspace(10, 1e8, 60)
    noise = np.exp(np.random.default_rng(4).normal(0, 0.01, x.size))
    found = sdb.fit(pl.DataFrame({"n_examples": x, "loss": law(x, **truth) * noise}), law)
    assert found.objective <= found.objective_at(truth)
    assert found.params["beta"] == pytest.approx(0.45, rel=0.05)
    plain = sdb.fit(pl.DataFrame({"n_tokens": x, "loss": law(x, **truth) * noise}), "power_offset")
    assert plain.params["alpha"] < 0.8 * found.params["beta"]  # the plateau flattens a plain power


def test_outer_exponent_is_told_apart_from_the_inner_ones() -> None:
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(1e7, 1e11, 10), np.geomspace(1e9, 1e13, 10)))
    truth = {"E": 1.7, "A": 2e4, "B": 3e4, "alpha": 0.55, "beta": 0.5, "gamma": 0.6}
    found = refitted("chinchilla_coupled", pl.DataFrame({"n_params": n, "n_tokens": d}), truth)
    assert dict(found.params) == pytest.approx(truth, rel=1e-6)


# ---- published sets against our own fit ---------------------------------------------------------

OURS = {
    # (excess of the published objective, a parameter of ours); measured here, None where nothing is pinned
    "chinchilla:epoch": (0.00449, {"B": 2143.4}),
    "chinchilla:hoffmann": (3.047, {}),
    "chinchilla:hoffmann_tex": (0.209, {}),
    "chinchilla:robustness_model_size": (0.00036, {}),
    "chinchilla:gemstones_hot_100b": (1.6e-6, {"beta": 0.5895}),
    "chinchilla:gemstones_hot_100b_no_embeds": (1.2e-7, {"beta": 0.6100}),
    "chinchilla:datablations": (4.85, {}),
    "gadre_overtrain:c4": (0.0, {"eta": 0.12124}),
    "gadre_overtrain:redpajama": (0.0, {"eta": 0.13643}),
    "gadre_overtrain:refinedweb": (0.0, {"eta": 0.1272}),
    "farseer:published": (1.13, {}),
    "farseer:printed": (339.0, {}),
    "muennighoff_repeat:datablations": (0.0175, {"rd": 21.12, "rn": 2.459}),
    "bnsl:four_digit_addition": (0.00173, {"d1": 612.1}),
    "chinchilla_a2:llama3": (1.8e-5, {"b": 0.5368}),
    "kaplan_chinchilla_map:vocabulary_32k": (3.35, {"g": 52960.0}),
    "step_law:published": (0.136, {"a": 0.766, "b": 0.197}),
    "step_law:bootstrap_mean": (0.118, {"a": 0.766, "b": 0.197}),
    "step_law_batch:published": (0.0143, {"b": 0.6125}),
    "step_law_batch:bootstrap_mean": (0.0143, {"b": 0.6125}),
}


@pytest.mark.parametrize("one", REFITS, ids=lambda one: f"{one.law}:{one.variant}")
def test_refit_is_at_or_below_the_published_objective(db: sdb.Warehouse, one: Refit) -> None:
    found, table = refit(db, one)
    excess, params = OURS[f"{one.law}:{one.variant}"]
    row = table.row(0, named=True)
    assert found.objective <= row["published_objective"] * (1 + 1e-9)
    # two digits of an excess; a set that is the optimum has none beyond rounding
    assert row["excess"] == pytest.approx(excess, rel=0.05, abs=1e-9)
    assert {name: found.params[name] for name in params} == pytest.approx(params, rel=1e-3)
    assert len(one.note) > 40
    assert table["source_id"].unique().to_list() == [one.source_id]


def test_every_refit_is_measured() -> None:
    assert {f"{one.law}:{one.variant}" for one in REFITS} == set(OURS)
