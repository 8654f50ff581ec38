"""Laws of downstream tasks, inference and reinforcement learning: worked figures, limits, recovery, refits."""

from __future__ import annotations

import doctest
import importlib
import itertools
import types
import warnings

import numpy as np
import polars as pl
import pytest
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution

import scalingdb as sdb
from scalingdb.errors import DataError, FitWarning
from scalingdb.evidence.refits import all_refits, refit
from scalingdb.law_library import Law, all_laws, downstream, inference, reinforcement
from scalingdb.schema import COLUMNS

MODULES = (downstream, inference, reinforcement)
NAMES = [name for name, law in all_laws().items() if law.function.__module__ in {m.__name__ for m in MODULES}]
IDS = {
    "gadre_error": "gadre_error",
    "task_two_step": "task_accuracy",
    "llama3_two_step": "llama3_two_step",
    "passuntil_task": "passuntil_task",
    "cod_accuracy": "cod_accuracy",
    "densing": "densing",
    "exponentiated_power": "exponentiated_power",
    "pass_at_k_mixture": "pass_at_k_mixture",
    "ttspm": "ttspm",
    "rag_compute": "rag_compute",
    "spec_decode_loglinear": "spec_decode_loglinear",
    "vote_reliability": "vote_reliability",
    "horizon": "horizon",
    "rl_sigmoid": "rl_sigmoid",
    "rl_post_power": "rl_post_power",
    "knowledge_capacity": "knowledge_capacity",
}
"""Ids of the catalogue of laws, and the law that carries each."""

every_law = pytest.mark.parametrize("name", NAMES)


# ---- what a law says about itself ----------------------------------------------------------------


@pytest.mark.parametrize(("identifier", "name"), IDS.items())
def test_every_id_of_the_catalogue_has_its_law(identifier: str, name: str) -> None:
    law = all_laws()[name]
    assert law.name == identifier or identifier in law.aliases


@every_law
def test_inputs_and_output_have_a_meaning(name: str) -> None:
    law = all_laws()[name]
    for column in (*law.inputs, law.output):
        assert column in law.meanings or column in COLUMNS, column
    assert set(law.meanings) <= {*law.inputs, law.output}
    assert set(law.domain) <= set(law.inputs)
    assert law.evidence


def test_only_the_law_read_in_an_abstract_is_unchecked() -> None:
    assert [name for name in NAMES if all_laws()[name].evidence_kind == "unchecked"] == ["spec_decode_loglinear"]
    assert not all_laws()["spec_decode_loglinear"].published


def test_what_cannot_be_traced_says_why() -> None:
    untraced = {name: str(all_laws()[name]._traced) for name in NAMES if not all_laws()[name].is_traceable}
    assert set(untraced) == {"pass_at_k_mixture", "pass_at_k_kumaraswamy"}
    for name in untraced:
        assert "numerical derivatives" in all_laws()[name].doc


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module: types.ModuleType) -> None:
    runner = doctest.DocTestRunner()
    for name, value in list(vars(module).items()):
        function = value.function if isinstance(value, Law) else value
        if getattr(function, "__module__", None) != module.__name__ or not isinstance(function, types.FunctionType):
            continue
        found = doctest.DocTestFinder().find(function, name, globs=dict(vars(module)))
        assert not isinstance(value, Law) or any(test.examples for test in found), f"{name} has no example"
        for test in found:
            runner.run(test)
    assert runner.failures == 0
    assert runner.tries > 0


# ---- worked figures ------------------------------------------------------------------------------


def test_llama3_tokens_at_the_flagship_budget() -> None:
    law = sdb.get_law("llama3_tokens")
    # figure 3 of the report prints 0.299 and 0.537, its text 0.29 and 0.53; it states 16.55e12
    assert law(3.8e25, A=0.299, alpha=0.537) == pytest.approx(1.63e13, rel=3e-3)
    assert law(3.8e25, A=0.29, alpha=0.53) == pytest.approx(1.05e13, rel=5e-3)
    assert 3.8e25 / 6 / law(3.8e25, A=0.299, alpha=0.537) == pytest.approx(3.9e11, rel=5e-3)


@pytest.mark.parametrize(
    ("a", "b", "samples", "measured"),
    # arXiv 2407.21787: constants from figure 5, coverage from the text
    [
        (1.74, 0.21, 1, 0.159),
        (1.74, 0.21, 250, 0.56),
        (1.33, 0.43, 100, 0.829),
        (1.33, 0.43, 10_000, 0.9844),
    ],
)
def test_coverage_at_the_constants_of_figure_5(a: float, b: float, samples: int, measured: float) -> None:
    # the figure states mean errors of the fits of up to 0.02
    assert sdb.get_law("exponentiated_power")(samples, a=a, b=b) == pytest.approx(measured, abs=0.02)


def test_density_doubles_in_three_months() -> None:
    days = downstream.doubling_days(0.007)
    assert days / (365.25 / 12) == pytest.approx(3.3, abs=0.05)  # arXiv 2412.04315: "every 3.3 months"
    law = sdb.get_law("densing")
    assert law(100 + days, A=0.007, B=-1.0) == pytest.approx(2 * law(100, A=0.007, B=-1.0), rel=1e-12)


def test_a_7b_model_holds_14e9_bits() -> None:
    assert sdb.get_law("knowledge_capacity")(7e9, R=2.0) == pytest.approx(14e9)


def test_retrieval_sigmoid_by_hand() -> None:
    law = sdb.get_law("rag_compute")
    zero = dict.fromkeys(law.params, 0.0)
    # at x = -0.46 the sigmoid is at half its height: 3.30 / 2 - 2.18
    assert law(1, 1, 1, 0.2, 0.2, **{**zero, "c": -0.46}) == pytest.approx(-0.53)
    # the informativeness enters as a product with the logarithm
    both = law(np.e, 1, 1, 0.5, 0.0, **{**zero, "a_doc": 0.1, "b_doc": 0.4})
    assert both == pytest.approx(law(np.e, 1, 1, 0.0, 0.0, **{**zero, "a_doc": 0.3}))


def test_task_accuracy_between_floor_and_ceiling() -> None:
    law = sdb.get_law("task_accuracy")
    p = {"a": -0.7, "k": 6.0, "L0": 1.1, "b": 0.95}
    assert law(1.1, **p) == pytest.approx(0.95 - 0.35)
    assert law(50.0, **p) == pytest.approx(0.25)
    assert law(-50.0, **p) == pytest.approx(0.95)


# ---- votes, steps, saturation: by hand and by definition ------------------------------------------


@pytest.mark.parametrize(("p", "steps"), [(0.9, 7), (0.99, 69), (0.999, 693)])
def test_horizon_at_half_success(p: float, steps: int) -> None:
    assert inference.horizon_length(0.5, p=p) == steps
    law = sdb.get_law("horizon")
    assert law(steps, p=p) <= 0.5 < law(steps - 1, p=p)


def test_horizon_of_a_whole_number_of_steps_is_that_number() -> None:
    assert inference.horizon_length(0.9**10, p=0.9) == 10


@pytest.mark.parametrize("steps", [1, 20, 1023, 1_048_575])
@pytest.mark.parametrize("p", [0.55, 0.85, 0.998])
@pytest.mark.parametrize("target", [0.5, 0.95, 0.999])
def test_fewest_votes_are_enough_and_fewest(target: float, steps: int, p: float) -> None:
    law = sdb.get_law("vote_reliability")
    votes = inference.votes_needed(target, steps, p=p)
    assert law(votes, steps, p=p) >= target * (1 - 1e-9)
    if votes > 1:
        assert law(votes - 1, steps, p=p) < target


def test_votes_by_simulation_of_the_race() -> None:
    """First to be ahead by k, against the formula of the gambler's ruin."""
    generator = np.random.default_rng(5)
    p, margin, races = 0.7, 3, 20_000
    lead = np.zeros(races, dtype=int)
    running = np.ones(races, dtype=bool)
    while running.any():
        lead[running] += np.where(generator.random(running.sum()) < p, 1, -1)
        running = np.abs(lead) < margin
    expected = sdb.get_law("vote_reliability")(margin, 1, p=p)
    error = np.sqrt(expected * (1 - expected) / races)
    assert (lead == margin).mean() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize(("gain", "ceiling", "p"), [(0.01, 1.0, 0.5), (1e-3, 0.8, 0.1), (0.05, 0.6, 0.02)])
def test_saturation_is_where_the_next_attempt_gains_less(gain: float, ceiling: float, p: float) -> None:
    law = sdb.get_law("ttspm")
    n = inference.ttspm_saturation(gain, F_max=ceiling, p=p)

    def next_gain(at: int) -> float:
        return float(law(at + 1, F_max=ceiling, p=p) - law(at, F_max=ceiling, p=p))

    assert next_gain(n) <= gain
    if n:
        assert next_gain(n - 1) > gain


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: inference.votes_needed(0.95, 100, p=0.5), "p above 1/2"),
        (lambda: inference.votes_needed(1.0, 100, p=0.9), "target in"),
        (lambda: inference.votes_needed(0.9, 0.5, p=0.9), "at least one step"),
        (lambda: inference.horizon_length(0.5, p=1.0), "strictly between"),
        (lambda: inference.horizon_length(0.0, p=0.9), "strictly between"),
        (lambda: inference.ttspm_saturation(0.0, F_max=0.9, p=0.5), "gain > 0"),
        (lambda: inference.ttspm_saturation(0.1, F_max=1.2, p=0.5), r"F_max in \(0, 1\]"),
    ],
)
def test_derived_quantities_refuse_what_has_no_answer(call, said: str) -> None:
    with pytest.raises(DataError, match=said):
        call()


# ---- one law inside another ------------------------------------------------------------------------

COMPUTE = np.geomspace(1e18, 1e25, 30)


def test_one_vote_is_no_vote() -> None:
    steps = np.array([1.0, 10.0, 1e4])
    assert sdb.get_law("vote_reliability")(1, steps, p=0.99) == pytest.approx(
        sdb.get_law("horizon")(steps, p=0.99), rel=1e-10
    )


def test_llama3s_two_steps_are_one_curve_in_compute() -> None:
    slope, intercept, steepness, midpoint = 0.033, 2.1, 30.0, 1.4
    nll = sdb.get_law("llama3_nll")(COMPUTE, slope=slope, intercept=intercept)
    accuracy = sdb.get_law("sigmoid_link")(
        nll, floor=0.25, ceiling=1.0, slope=-steepness, intercept=steepness * midpoint
    )
    direct = sdb.get_law("llama3_two_step")(
        COMPUTE,
        floor=0.25,
        ceiling=1.0,
        C_mid=10 ** ((intercept - midpoint) / slope),
        slope=steepness * slope / np.log(10),
    )
    assert direct == pytest.approx(accuracy, rel=1e-9)


def test_sigmoids_agree_where_they_should() -> None:
    hill = sdb.get_law("llama3_two_step")(COMPUTE, floor=0.2, ceiling=0.9, C_mid=1e21, slope=0.4)
    link = sdb.get_law("sigmoid_link")(
        np.log(COMPUTE), floor=0.2, ceiling=0.9, slope=0.4, intercept=-0.4 * np.log(1e21)
    )
    reward = sdb.get_law("rl_sigmoid")(COMPUTE, R_0=0.2, A=0.9, B=0.4, C_mid=1e21)
    assert link == pytest.approx(hill, rel=1e-10)
    assert reward == pytest.approx(hill, rel=1e-12)
    loss = np.linspace(0.3, 3, 20)
    step = sdb.get_law("task_accuracy")(loss, a=-0.7, k=6.0, L0=1.1, b=0.95)
    same = sdb.get_law("sigmoid_link")(loss, floor=0.25, ceiling=0.95, slope=-6.0, intercept=6.6)
    assert step == pytest.approx(same, rel=1e-12)


def test_skill_model_without_interaction_is_a_link_of_a_sum_of_logs() -> None:
    n, d = np.geomspace(1e8, 1e11, 10), np.geomspace(1e13, 1e10, 10)
    score = sdb.get_law("sloth_score")(n, d, floor=0.25, intercept=-15.0, w_n=0.4, w_d=0.2, w_nd=0.0)
    skill = 0.4 * np.log(n) + 0.2 * np.log(d)
    assert score == pytest.approx(
        sdb.get_law("sigmoid_link")(skill, floor=0.25, ceiling=1.0, slope=1.0, intercept=-15.0), rel=1e-12
    )


def test_exponentiated_powers_agree() -> None:
    plain = sdb.get_law("cod_accuracy")(COMPUTE, g=0.0, a=1e4, b=0.2, c=0.0)
    assert sdb.get_law("passuntil_task")(COMPUTE, c=1e4, alpha=0.2) == pytest.approx(plain, rel=1e-12)
    assert sdb.get_law("exponentiated_power")(COMPUTE, a=1e4, b=0.2) == pytest.approx(plain, rel=1e-12)


def test_cluster_accuracy_runs_from_guessing_to_its_ceiling() -> None:
    law = sdb.get_law("cod_accuracy")
    p = {"g": 0.25, "a": 1e4, "b": 0.2, "c": 0.1}
    assert law(1e10, **p) == pytest.approx(0.25, abs=1e-6)
    assert law(1e60, **p) == pytest.approx(0.25 + 0.75 * np.exp(-0.1), rel=1e-6)


def test_reward_starts_rises_by_half_and_ends() -> None:
    law = sdb.get_law("rl_sigmoid")
    p = {"R_0": 0.3, "A": 0.61, "B": 1.7, "C_mid": 2000.0}
    assert [law(c, **p) for c in (1e-6, 2000.0, 1e12)] == pytest.approx([0.3, 0.455, 0.61], rel=1e-6)


def test_slope_of_post_training_error_is_the_learning_efficiency() -> None:
    p = {"K_max": 0.2, "N_0": 5e9}
    law, efficiency = sdb.get_law("rl_post_power"), sdb.get_law("rl_learning_efficiency")
    for n in (5e8, 7e9, 7.2e10):
        low, high = (law(n, c, **p, X_0=50.0, r=1.8) for c in (1e20, 1e21))
        assert np.log10(low / high) == pytest.approx(efficiency(n, **p), rel=1e-9)
    assert efficiency(5e9, **p) == pytest.approx(0.1)


# ---- mixtures of success rates -----------------------------------------------------------------------

ATTEMPTS = (1.0, 7.0, 100.0, 3000.0)
SHAPES = [(0.3, 1.5), (0.5, 0.5), (2.0, 5.0), (0.1, 20.0)]


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_beta_mixture_is_the_mean_over_problems(alpha: float, beta: float) -> None:
    def missed(quantile: float, k: float) -> float:
        return float((1 - beta_distribution.ppf(quantile, alpha, beta)) ** k)

    law = sdb.get_law("pass_at_k_mixture")
    for k in ATTEMPTS:
        cuts = [10.0**-e for e in range(1, 13)]
        mean = sum(
            quad(missed, low, high, args=(k,), limit=200)[0]
            for low, high in zip([0.0, *cuts[::-1]], [*cuts[::-1], 1.0], strict=True)
        )
        assert law(k, alpha=alpha, beta=beta) == pytest.approx(mean, rel=1e-6)
    assert law(1, alpha=alpha, beta=beta) == pytest.approx(beta / (alpha + beta), rel=1e-12)


@pytest.mark.parametrize(("alpha", "beta"), SHAPES)
def test_kumaraswamy_mixture_is_the_mean_over_problems(alpha: float, beta: float) -> None:
    """Against the distribution function: E (1 - p)^k = integral of k (1 - p)^(k - 1) F(p)."""
    law = sdb.get_law("pass_at_k_kumaraswamy")
    for k in ATTEMPTS:
        cuts = [0.0, *(10.0**-e for e in range(12, 0, -1)), 1.0]
        mean = sum(
            quad(lambda p, k=k: k * (1 - p) ** (k - 1) * -np.expm1(beta * np.log1p(-(p**alpha))), low, high, limit=200)[
                0
            ]
            for low, high in itertools.pairwise(cuts)
        )
        assert law(k, alpha=alpha, beta=beta) == pytest.approx(mean, rel=1e-6)


def test_mixtures_agree_where_both_are_elementary() -> None:
    k = np.array(ATTEMPTS)
    for law in (sdb.get_law("pass_at_k_mixture"), sdb.get_law("pass_at_k_kumaraswamy")):
        assert law(k, alpha=1.0, beta=3.0) == pytest.approx(3 / (3 + k), rel=1e-11)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.5])
def test_tail_exponent_is_the_shape_near_zero(alpha: float) -> None:
    mixture, kumaraswamy = sdb.get_law("pass_at_k_mixture"), sdb.get_law("pass_at_k_kumaraswamy")
    k = np.array([1.0, 30.0, 1e3, 1e5, 1e6])
    # with beta = 1 both are the distribution p**alpha
    assert kumaraswamy(k, alpha=alpha, beta=1.0) == pytest.approx(mixture(k, alpha=alpha, beta=1.0), rel=1e-9)
    for law in (mixture, kumaraswamy):
        low, high = (law(at, alpha=alpha, beta=1.0) for at in (1e5, 1e6))
        assert np.log10(low / high) == pytest.approx(alpha, rel=1e-4)


def test_equally_hard_problems_fail_exponentially() -> None:
    k = np.array([1.0, 5.0, 20.0])
    concentrated = sdb.get_law("pass_at_k_mixture")(k, alpha=0.3e8, beta=0.7e8)
    assert concentrated == pytest.approx(0.7**k, rel=1e-4)
    assert 1 - concentrated == pytest.approx(sdb.get_law("ttspm")(k, F_max=1.0, p=0.3), rel=1e-4)


# ---- recovery ---------------------------------------------------------------------------------------

GRID_N, GRID_D = (axis.ravel() for axis in np.meshgrid(np.geomspace(2e8, 7e10, 6), np.geomspace(4e9, 5e12, 6)))
GRID_C = 10 * GRID_N * GRID_D ** np.linspace(1.0, 1.1, GRID_N.size)
RAG = [axis.ravel() for axis in np.meshgrid([1, 5, 50], [1, 8, 64], [1, 3, 5], [0.05, 0.3], [0.02, 0.1])]
VOTES = [axis.ravel() for axis in np.meshgrid([1.0, 2.0, 3.0, 5.0], [1.0, 10.0, 100.0, 1000.0])]
SAMPLES = [np.geomspace(1, 1e4, 40)]
TRUTHS = {
    "gadre_error": ([np.linspace(2.6, 5.4, 20)], {"eps": 0.85, "k": 2.08, "gamma": 0.756}),
    "task_loss": ([GRID_N, GRID_D], {"E": 0.5, "A": 90.0, "B": 1500.0, "alpha": 0.28, "beta": 0.35}),
    "task_accuracy": ([np.linspace(0.3, 3.0, 40)], {"a": -0.7, "k": 6.0, "L0": 0.9, "b": 0.95}),
    "llama3_nll": ([COMPUTE], {"slope": 0.033, "intercept": 2.1}),
    "llama3_two_step": ([COMPUTE], {"floor": 0.25, "ceiling": 0.97, "C_mid": 2e21, "slope": 0.5}),
    "llama3_tokens": ([COMPUTE], {"A": 0.299, "alpha": 0.537}),
    "passuntil_task": ([np.geomspace(3e7, 3e9, 12)], {"c": 2e3, "alpha": 0.31}),
    "cod_accuracy": ([np.geomspace(1e19, 1e25, 30)], {"g": 0.25, "a": 1.3e4, "b": 0.21, "c": 0.08}),
    "sigmoid_link": ([np.linspace(0.5, 9.0, 30)], {"floor": 0.25, "ceiling": 0.93, "slope": 1.3, "intercept": -6.0}),
    "sloth_score": (
        [GRID_N, GRID_D],
        {"floor": 0.25, "intercept": 3.0, "w_n": -0.6, "w_d": -0.5, "w_nd": 0.04},
    ),
    "densing": ([np.linspace(1, 700, 29)], {"A": 0.007, "B": -2.3}),
    "exponentiated_power": (SAMPLES, {"a": 1.74, "b": 0.21}),
    "pass_at_k_mixture": (SAMPLES, {"alpha": 0.35, "beta": 2.2}),
    "pass_at_k_kumaraswamy": (SAMPLES, {"alpha": 0.35, "beta": 2.2}),
    "ttspm": ([np.arange(1.0, 65.0)], {"F_max": 0.83, "p": 0.07}),
    "vote_reliability": (VOTES, {"p": 0.93}),
    "horizon": ([np.geomspace(1, 3000, 20)], {"p": 0.998}),
    "rl_sigmoid": ([np.geomspace(1.5e3, 1e5, 40)], {"R_0": 0.31, "A": 0.61, "B": 1.7, "C_mid": 4e3}),
    "rl_learning_efficiency": ([np.geomspace(5e8, 7.2e10, 7)], {"K_max": 0.12, "N_0": 4e9}),
    "rl_post_power": ([GRID_N, GRID_C], {"K_max": 0.15, "N_0": 4e9, "X_0": 30.0, "r": 1.8}),
    "knowledge_capacity": ([np.geomspace(1e6, 5e8, 10)], {"R": 2.0}),
    "spec_decode_loglinear": ([np.geomspace(1e8, 1e11, 12)], {"alpha": 0.06, "beta": 0.05}),
    "rag_compute": (
        RAG,
        {"a_doc": 0.325, "a_shot": 0.101, "a_iter": 0.177, "b_doc": -0.067, "b_shot": -0.008, "c": -0.73},
    ),
}


def test_every_law_of_these_chapters_is_recovered_below() -> None:
    assert set(TRUTHS) == set(NAMES)


@pytest.mark.parametrize("name", TRUTHS)
def test_recovers_parameters_of_realistic_size(name: str) -> None:
    law = all_laws()[name]
    inputs, truth = TRUTHS[name]
    values = law(*inputs, **truth)
    rows = pl.DataFrame({column: np.asarray(x, float) for column, x in zip(law.inputs, inputs, strict=True)})
    rows = rows.with_columns(pl.Series(law.output, values))
    with warnings.catch_warnings():
        # short ranges are called weak, rightly; and without noise a numerical gradient never quite vanishes
        warnings.simplefilter("ignore", FitWarning)
        found = sdb.fit(rows, law, objective="mse", pool=True)
    exact = law.is_traceable
    assert dict(found.params) == pytest.approx(truth, rel=1e-5 if exact else 1e-4)
    assert found.objective < 1e-12 * float(np.mean(values**2)) * rows.height


@pytest.mark.parametrize("name", [name for name in NAMES if all_laws()[name].starts is not None])
@pytest.mark.parametrize("level", [1e-9, 0.5, 1.0])
def test_starts_survive_values_that_say_nothing(name: str, level: float) -> None:
    law = all_laws()[name]
    inputs, _ = TRUTHS[name]
    size = np.asarray(inputs[0]).size
    weights = np.ones(size)
    weights[::2] = 0.0
    assert law.starts is not None
    with np.errstate(all="raise", under="ignore"):
        rows = np.asarray(law.starts([np.asarray(x, float) for x in inputs], np.full(size, level), weights))
    assert rows.size % len(law.params) == 0
    assert np.isfinite(rows).all()


# ---- refits -------------------------------------------------------------------------------------------

REFITS = [one for one in all_refits() if one.law in NAMES]
PRINTED = {
    # eps, k, gamma with the three digits of the paper
    "c4": (0.850, 2.08, 0.756),
    "redpajama": (0.857, 2.21, 0.715),
    "refinedweb": (0.865, 2.21, 0.707),
}


def test_every_published_set_of_these_chapters_is_fitted_again() -> None:
    published = {(name, variant) for name in NAMES for variant in all_laws()[name].published}
    assert {(one.law, one.variant) for one in REFITS} == published
    assert published == {("gadre_error", corpus) for corpus in PRINTED} | {
        ("llama3_tokens", variant) for variant in ("figure", "text")
    }


@pytest.mark.parametrize("one", REFITS, ids=lambda one: f"{one.law}-{one.variant}")
def test_refit_is_at_or_below_the_published_objective(db: sdb.Warehouse, one) -> None:
    found, table = refit(db, one)
    # where the published set is itself the least-squares solution the two are equal but for rounding
    assert found.objective <= table["published_objective"][0] * (1 + 1e-9)
    assert table["note"][0]


@pytest.mark.parametrize("one", [one for one in REFITS if one.law == "gadre_error"], ids=lambda one: one.variant)
def test_gadre_error_to_the_digits_of_the_paper(db: sdb.Warehouse, one) -> None:
    found, _ = refit(db, one)
    assert found.data.height == 6
    for (name, value), digits in zip(
        zip(("eps", "k", "gamma"), PRINTED[one.variant], strict=True), (3, 2, 3), strict=True
    ):
        assert found.params[name] == pytest.approx(value, abs=0.5 * 10**-digits), name


def test_llama3_tokens_to_the_digits_of_the_figure(db: sdb.Warehouse) -> None:
    one = next(one for one in REFITS if (one.law, one.variant) == ("llama3_tokens", "figure"))
    found, table = refit(db, one)
    assert found.data.height == 10
    assert {name: round(value, 3) for name, value in found.params.items()} == {"A": 0.299, "alpha": 0.537}
    assert table["excess"][0] < 0.01  # of the three digits printed
    # the parabolas of the query against NumPy's
    points = db.sql("select train_flops, n_tokens, loss from points where source_id = 'llama3_isoflop'")
    for (budget,), group in points.group_by("train_flops"):
        c2, c1, _ = np.polyfit(np.log10(group["n_tokens"].to_numpy()), group["loss"].to_numpy(), 2)
        vertex = found.data.filter(pl.col("train_flops") == budget)["n_tokens"].item()
        assert np.log10(vertex) == pytest.approx(-c1 / (2 * c2), rel=1e-6)


def test_gadre_tasks_are_the_seventeen_above_chance(db: sdb.Warehouse) -> None:
    query = REFITS[0].rows
    tasks = db.sql(query[: query.index("), errors")] + ") select task from tasks")
    assert tasks.height == 17
    assert {"hellaswag", "arc_easy", "coqa"} <= set(tasks["task"])
    assert "winogrande" not in set(tasks["task"])  # close to chance at this size


def test_ladder_predicts_the_13b_model_as_its_authors_did(db: sdb.Warehouse) -> None:
    rows = db.sql("""
        select run_id, e.split, e.step, e.n_tokens, n_params_non_embedding,
            any_value(value) filter (metric = 'answer_bits_per_byte') as task_loss,
            any_value(value) filter (metric = 'acc_norm') as task_accuracy
        from evals e join runs using (run_id)
        where e.source_id = 'olmo_ladder' and eval_set = 'hellaswag_val_rc' and flag is null
            and metric in ('answer_bits_per_byte', 'acc_norm')
        group by all order by run_id, step
    """)
    claims = dict(db.sql("select claim_id, value from claims where source_id = 'olmo_ladder'").rows())
    # a run's final value is the mean of its last five rows
    final = rows.group_by("run_id", "split", "n_params_non_embedding", maintain_order=True).agg(
        pl.col("n_tokens").last(), pl.col("task_loss").tail(5).mean()
    )
    fitted = final.filter(split="fit")
    assert fitted.height == 16
    target = final.filter(run_id="olmo_ladder/peteish13").row(0, named=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # sixteen points: A and alpha trade off
        first = sdb.fit(fitted, "task_loss", pool=True)
    predicted = first.law(target["n_params_non_embedding"], target["n_tokens"], **first.params)
    place = "2412.04403/{}/hellaswag_val_5shot/prediction".format
    assert predicted == pytest.approx(claims[place("step1_main")], abs=5e-6)

    # second step: all checkpoints but the first tenth, their losses smoothed over five, and the helper point
    curves = [
        run.with_columns(pl.col("task_loss").rolling_mean(5, min_samples=1))[int(np.ceil(0.1 * run.height)) :]
        for run in rows.filter(split="fit").partition_by("run_id", maintain_order=True)
    ]
    helper = pl.DataFrame({"task_loss": [1e-9], "task_accuracy": [1.0]})
    points = pl.concat([*(curve.select(helper.columns) for curve in curves), helper])
    second = sdb.fit(points, "task_accuracy", objective="mse", pool=True)
    # the authors' smoothing differs in detail at the start of a run, which moves the score by a tenth of a point
    at_13b = second.law(np.array([target["task_loss"], predicted]), **second.params)
    assert at_13b == pytest.approx([claims[place("step2_main")], claims[place("chained_main")]], abs=2e-3)


def test_registry_of_the_chapters_is_imported_by_name() -> None:
    for module in MODULES:
        assert importlib.import_module(module.__name__) is module
        assert (module.__doc__ or "").startswith("Chapter ")
