"""What every law of the library promises; a law that arrives in a chapter is tested without a new test.

A law that cannot keep a promise is listed below with the reason. The lists are checked: a name that no
law has, or a law that keeps the promise after all, is a failing test.
"""

from __future__ import annotations

import doctest
import functools
import importlib
import inspect
import os
import pickle
import re
import sys
import types
import warnings
import xml.etree.ElementTree as ElementTree
from typing import Any

import latex2mathml.converter
import numpy as np
import polars as pl
import pytest
import sympy as sp
from _synthetic import run_macro

import scalingdb as sdb
from scalingdb.errors import QueryError
from scalingdb.estimation.held import hold, with_value
from scalingdb.estimation.model import Model, ParamSpec
from scalingdb.estimation.symbolic import symbolic_model
from scalingdb.fits import Fit
from scalingdb.fits._form import make_form
from scalingdb.law_library import Law, all_laws
from scalingdb.law_library._ranges import grid_of, middle_of, range_of

pytestmark = [
    pytest.mark.filterwarnings("ignore::scalingdb.errors.DomainWarning"),
    pytest.mark.filterwarnings("ignore::scalingdb.errors.FitWarning"),
    # a trial step from a poor start may overflow; the solver does not take it
    pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning:scalingdb.estimation.solver"),
]

LAWS = list(all_laws())
VARIANTS = [(name, variant) for name, law in all_laws().items() for variant in law.published]

every_law = pytest.mark.parametrize("name", LAWS)


def slow_for(*slow: str, symbolic: bool = False) -> pytest.MarkDecorator:
    """Every law; those whose fits are slow in CI only, while the others show the same everywhere."""
    assert set(slow) <= set(LAWS), slow
    names = [name for name in LAWS if not (symbolic and name in NOT_SYMBOLIC)]
    return pytest.mark.parametrize(
        "name", [pytest.param(name, marks=[pytest.mark.ci] * (name in slow)) for name in names]
    )


POINTS = {1: 40, 2: 9, 3: 5}
"""Values along each axis of the grid; four where there are more inputs than three."""

# ---- what some laws cannot promise ---------------------------------------------------------------

GIVEN: dict[str, tuple[str, ...]] = {
    "precision_ptq": ("b",),  # C_T * exp(b) is one factor: the authors print both
}
"""Parameters that a law has to spare: only a product or a sum with others shows, so their value is given."""

WEAK: dict[str, str] = {}
"""Laws whose own noiseless predictions do not fix all parameters to 1e-6 on the grid used here, and why."""

NOT_SCALED: dict[str, tuple[str, ...]] = {
    "farseer": ("n_tokens",),  # the exponent of D depends on N, so its unit cannot go into a coefficient
    "gstack_timing": ("train_flops",),  # one over the logarithm of C
    "intrinsic_dim": ("n_examples",),  # the slope of ln n depends on the other input, a unit would add to it
    "kaplan_chinchilla_map": ("n_params_non_embedding",),  # N plus its cube root
}
"""Inputs whose unit no parameter of the law can take up."""

COUNTS = re.compile(r"^(n_params|n_tokens|n_examples|n_steps|n_characters|train_flops|batch_size)")
"""Inputs that have a unit: counts in ones, thousands or billions. Shares, bits and numbers of parts have none."""

NOT_SYMBOLIC: dict[str, str] = {
    "m4": "defined by an equation that is solved by bisection: it has no LaTeX, exact derivative or macro of its own",
    "pass_at_k_mixture": "a logarithm of Beta functions, which the compiled formulas and SQL do not have",
    "pass_at_k_kumaraswamy": "an integral, computed by quadrature",
}
"""Laws without a symbolic form, and why."""

symbolic_laws = pytest.mark.parametrize("name", [name for name in LAWS if name not in NOT_SYMBOLIC])

SHOWN_VALUES: dict[str, dict[str, float]] = {
    "rl_sigmoid": {"C_mid": 3e4},  # the middle of the hours on the grid: at 30 hours every point is saturated
}
"""Coefficients to test a law with where the middle of its starting ranges makes no sense."""


def test_exemptions_name_laws_and_their_parts() -> None:
    known = all_laws()
    for name in (*GIVEN, *NOT_SCALED, *WEAK, *NOT_SYMBOLIC, *SHOWN_VALUES):
        assert name in known, name
    for exempted in (GIVEN, NOT_SCALED, SHOWN_VALUES):
        for name, parts in exempted.items():
            if name in known:
                assert set(parts) <= {*known[name].params, *known[name].inputs}, name
    assert all(len(reason) > 20 for reason in (*WEAK.values(), *NOT_SYMBOLIC.values()))
    assert not [name for name in NOT_SYMBOLIC if name in known and known[name].is_traceable]


def truth_of(law: Law) -> dict[str, float]:
    return {**middle_of(law), **SHOWN_VALUES.get(law.name, {})}


def columns_of(law: Law) -> dict[str, np.ndarray]:
    count = POINTS.get(len(law.inputs), 4) if law.name not in NOT_SYMBOLIC else 16  # numerical derivatives are slow
    return dict(zip(law.inputs, grid_of(law, [count] * len(law.inputs)), strict=True))


@functools.cache
def rows_of(name: str) -> pl.DataFrame:
    """The law's grid with its own predictions as data."""
    law = sdb.get_law(name)
    columns = columns_of(law)
    return pl.DataFrame({**columns, law.output: law(*columns.values(), **truth_of(law))})


def fitted(name: str, rows: pl.DataFrame) -> Fit:
    law = sdb.get_law(name)
    objective = "huber_log" if rows[law.output].min() > 0 else "huber"
    held = {param: truth_of(law)[param] for param in GIVEN.get(name, ())}
    return sdb.fit(rows, law, objective=objective, fixed=held or None)


@functools.cache
def fit_of(name: str) -> Fit:
    return fitted(name, rows_of(name))


# ---- fits ----------------------------------------------------------------------------------------


MANY = 10
"""Parameters of a law from which on it is held at a value on request only."""


def params_to_hold(law: Law) -> list[str]:
    """Three at most; the test of the compiled formula below holds each. EVERY_PARAMETER=1 in the environment: all."""
    names = [param for param in law.params if param not in GIVEN.get(law.name, ())]
    if len(names) < 2:
        return []
    if len(names) < 4 or os.environ.get("EVERY_PARAMETER"):
        return names
    return [names[0], names[len(names) // 2], names[-1]]


def noisy_rows(name: str) -> pl.DataFrame:
    """A few of the law's own points with one per cent of scatter."""
    law = sdb.get_law(name)
    values = grid_of(law, [{1: 24, 2: 6, 3: 4}.get(len(law.inputs), 3)] * len(law.inputs))
    output = np.asarray(law(*values, **truth_of(law)))
    output = output * np.exp(0.01 * np.random.default_rng(0).standard_normal(output.size))
    rows = pl.DataFrame({**dict(zip(law.inputs, values, strict=True)), law.output: output})
    size = 48 if name not in NOT_SYMBOLIC else 12
    return rows.sample(min(size, rows.height), seed=1)


@slow_for(
    *("m4", "multi_power", "pass_at_k_kumaraswamy"),  # numerical derivatives
    *("bnsl", "bnsl_two_breaks", "dip_and_rise", "farseer", "frantar_sparse", "muennighoff_repeat", "vocab_loss"),
    *("bleu_log", "expert_coupled", "fp_quant", "precision_ptq", "rag_compute", "routing_moe", "sloth_score"),
    *("cod_accuracy", "gstack_timing", "kaplan_lnd", "lr_annealing", "parscale", "pass_at_k_mixture", "qqt_filter"),
    *("rl_sigmoid", "shifted_power_floor", "sigmoid_link", "task_accuracy", "vocab_free"),
)
def test_a_parameter_held_where_it_was_fitted_changes_nothing(name: str) -> None:
    """Nor does a prior that is sure of the value that the rows give."""
    law, rows = sdb.get_law(name), noisy_rows(name)
    if len(law.params) > MANY and not os.environ.get("EVERY_PARAMETER"):
        pytest.skip("dozens of seconds: scatter leaves some of so many parameters open; EVERY_PARAMETER=1 runs it")
    given = {param: truth_of(law)[param] for param in GIVEN.get(name, ())}
    objective = "huber_log" if rows[law.output].min() > 0 else "huber"
    fit = functools.partial(sdb.fit, rows, law, objective=objective)
    free = fit(fixed=given or None)
    # a free search that ran out of iterations may be bettered; nothing may end above it
    is_settled = free.status != "iteration limit"
    for param in params_to_hold(law):
        held = fit(fixed={**given, param: free.params[param]})
        assert held.objective <= free.objective * (1 + 1e-6) + 1e-300, param
        assert not is_settled or held.objective >= free.objective * (1 - 1e-5) - 1e-300, param
    known = next(param for param in law.params if param not in given and free.params[param] != 0)
    sure = (free.params[known], 1e-5 * abs(free.params[known]))
    tight = fit(fixed=given or None, priors={known: sure})
    assert tight.objective <= free.objective * (1 + 1e-6) + 1e-300
    assert abs(tight.params[known] - sure[0]) < sure[1]


@every_law
def test_predictions_are_finite_and_vary(name: str) -> None:
    rows = rows_of(name)
    output = rows[sdb.get_law(name).output].to_numpy()
    assert np.isfinite(output).all()
    assert np.ptp(output) > 1e-9 * np.abs(output).max()


@slow_for("m4", "precision_neff", "loss_valley", "rag_compute")
def test_recovers_its_own_parameters(name: str) -> None:
    truth = truth_of(sdb.get_law(name))
    found = fit_of(name)
    if name in WEAK:
        # what is not fixed is the parameters: the predictions agree all the same
        law = sdb.get_law(name)
        columns = [rows_of(name)[column].to_numpy() for column in law.inputs]
        expected = rows_of(name)[law.output].to_numpy()
        assert law(*columns, **found.params) == pytest.approx(expected, rel=1e-4, abs=1e-4 * np.abs(expected).max())
        return
    assert dict(found.params) == pytest.approx(truth, rel=1e-6, abs=1e-9)


@slow_for("m4", "precision_neff", "loss_valley", "rag_compute")
def test_row_order_and_units_change_nothing(name: str) -> None:
    """The same rows in another order, counts in thousands: the same predictions and exponents."""
    law = sdb.get_law(name)
    rows = rows_of(name)
    scaled = [c for c in law.inputs if COUNTS.match(c) and c not in NOT_SCALED.get(name, ())]
    mixed = rows.sample(fraction=1.0, shuffle=True, seed=2).with_columns(pl.col(c) / 1e3 for c in scaled)
    if name in GIVEN and scaled:
        mixed = rows.sample(fraction=1.0, shuffle=True, seed=2)  # a given value belongs to the unit it was stated in
    found = fitted(name, mixed)
    values = law(*(mixed[column].to_numpy() for column in law.inputs), **found.params)
    observed = mixed[law.output].to_numpy()
    tolerance = 1e-4 if name in WEAK else 1e-6
    assert values == pytest.approx(observed, rel=tolerance, abs=tolerance * np.abs(observed).max())
    if name not in WEAK:
        exponents = [param for param, spec in law.params.items() if spec.kind == "exponent"]
        truth = truth_of(law)
        assert {p: found.params[p] for p in exponents} == pytest.approx({p: truth[p] for p in exponents}, rel=1e-6)


# ---- the compiled formula ------------------------------------------------------------------------


def compiled(law: Law) -> Model:
    specs = [ParamSpec(name, p.low, p.high, p.start) for name, p in law.params.items()]
    symbols = law.symbols
    return symbolic_model(
        law.expression,
        [symbols[name] for name in law.inputs],
        [symbols[name] for name in law.params],
        specs,
        law.linear_params,
    )


@slow_for("loss_valley", "bnsl", "bnsl_two_breaks", "muennighoff_repeat", symbolic=True)
def test_compiled_value_and_jacobian_are_the_formulas(name: str) -> None:
    law = sdb.get_law(name)
    assert law.is_traceable, law.untraceable
    model, columns = compiled(law), columns_of(law)
    inputs = model.prepare(list(columns.values()))
    truth = truth_of(law)
    u = model.to_internal(np.array([list(truth.values())]), inputs)
    exact = model.evaluate(u, inputs, 2)
    expected = np.asarray(law(*columns.values(), **truth))
    scale = np.abs(expected).max()
    # centring turns 1e10**0.35 into sums of logarithms: a few hundred roundings at most
    assert exact.value[0] == pytest.approx(expected, rel=1e-11, abs=1e-13 * scale)
    assert exact.gradient is not None
    assert exact.curvature is not None
    hessian = np.zeros((model.n_params, model.n_params, expected.size))
    for a, b, second in exact.curvature:
        hessian[a, b] = hessian[b, a] = np.broadcast_to(second, (1, expected.size))[0]
    has_cases = law.expression.has(sp.Piecewise)
    for i in range(model.n_params):
        step = np.zeros_like(u)
        step[:, i] = 2e-4 * np.maximum(1e-3, np.abs(u[:, i]))
        near = [model.evaluate(u + k * step, inputs, 1) for k in (-2, -1, 1, 2)]
        for values, derivative in (
            ([e.value[0] for e in near], exact.gradient[0, i]),
            ([e.gradient[0] for e in near if e.gradient is not None], hessian[i]),
        ):
            difference = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * step[0, i])
            # rounding of the values, magnified by the step, is all that a difference cannot see
            largest = np.abs(np.asarray(values)).max()
            floor = 1e-6 * np.abs(derivative).max() + 1e-15 * largest / step[0, i]
            is_close = np.isclose(difference, derivative, rtol=1e-6, atol=floor)
            # a difference that steps over a kink of a formula with cases says nothing
            assert is_close.mean() >= (0.9 if has_cases else 1.0), list(law.params)[i]


@symbolic_laws
def test_a_parameter_is_held_exactly_without_another_compilation(name: str) -> None:
    """Value and derivatives along the other parameters, while the held one keeps its value."""
    law = sdb.get_law(name)
    model, columns = make_form(law).model, columns_of(law)
    truth = np.array([list(truth_of(law).values())])
    expected = np.asarray(law(*columns.values(), **truth_of(law)))
    for i in range(model.n_params if model.n_params > 1 else 0):
        held = hold(model, i)
        inputs = with_value(model.prepare(list(columns.values())), truth[:, i : i + 1])
        others = np.delete(truth, i, axis=1)
        u = held.to_internal(others, inputs)
        exact = held.evaluate(u, inputs, 2)
        assert exact.value[0] == pytest.approx(expected, rel=1e-11, abs=1e-13 * np.abs(expected).max())
        assert exact.gradient is not None
        assert exact.curvature is not None
        size = 1e-5 * np.maximum(1e-3, np.abs(u[0]))
        around = held.evaluate(u + np.concatenate([np.diag(size), -np.diag(size)]), inputs, 1)
        assert around.gradient is not None
        assert held.to_natural(u, inputs) == pytest.approx(others, rel=1e-9)
        up, down = np.split(around.value, 2)
        slopes = (up - down) / (2 * size[:, None])
        steep = np.abs(exact.gradient).max()
        assert np.median(np.abs(slopes - exact.gradient[0])) <= 1e-5 * steep
        hessian = np.zeros((u.size, u.size, expected.size))
        for a, b, second in exact.curvature:
            hessian[a, b] = hessian[b, a] = np.broadcast_to(second, (1, expected.size))[0]
        up, down = np.split(around.gradient, 2)
        bends = (up - down) / (2 * size[:, None, None])
        assert np.median(np.abs(bends - hessian)) <= 1e-5 * np.abs(hessian).max() + 1e-12 * steep


# ---- SQL -----------------------------------------------------------------------------------------


def random_inputs(law: Law, count: int = 50) -> list[np.ndarray]:
    generator = np.random.default_rng(3)
    ends = [np.log(range_of(law, name)) for name in law.inputs]
    return [np.exp(generator.uniform(low, high, count)) for low, high in ends]


SQL_TOLERANCE = 1e-12
"""DuckDB and NumPy use different pow and exp, each right to about one last place."""


def agrees(found: np.ndarray, expected: np.ndarray) -> bool:
    scale = np.abs(expected).max()  # a difference of large terms is as good as the terms are
    return bool(np.allclose(found, expected, rtol=SQL_TOLERANCE, atol=SQL_TOLERANCE * scale))


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_sql_macro_of_every_published_variant(db: sdb.Warehouse, name: str, variant: str) -> None:
    law = sdb.get_law(name)
    inputs = random_inputs(law)
    expected = np.broadcast_to(law(*inputs, variant=variant), inputs[0].shape)
    assert agrees(run_macro(db, f"law_{name}_{variant}", inputs), expected)
    if law.published[variant].is_default:
        assert agrees(run_macro(db, f"law_{name}", inputs), expected)


@symbolic_laws
def test_sql_macro_takes_own_coefficients(db: sdb.Warehouse, name: str) -> None:
    law = sdb.get_law(name)
    inputs = random_inputs(law)
    truth = truth_of(law)
    names = [n.lower() for n in (*law.inputs, *truth)]
    if len(set(names)) < len(names):  # SQL cannot tell A2 from a2: such a law has its published macros only
        with pytest.raises(QueryError):
            run_macro(db, f"law_{name}", inputs, "".join(f", {value!r}" for value in truth.values()))
        return
    if law.default_set is not None:
        first = next(iter(truth))
        truth = {**truth, first: truth[first] * 1.01}
        extra = f', "{first}" := {truth[first]!r}'
    else:
        extra = "".join(f", {value!r}" for value in truth.values())
    expected = np.broadcast_to(law(*inputs, **truth), inputs[0].shape)
    assert agrees(run_macro(db, f"law_{name}", inputs, extra), expected)


# ---- words ---------------------------------------------------------------------------------------


@symbolic_laws
def test_formula_can_be_shown(name: str) -> None:
    law = sdb.get_law(name)
    assert law.latex.count("{") == law.latex.count("}")
    assert law.latex.count(r"\left") == law.latex.count(r"\right")
    converted = latex2mathml.converter.convert(law.latex)
    assert ElementTree.fromstring(converted).tag == "{http://www.w3.org/1998/Math/MathML}math"
    assert "\\" not in re.sub(r"&#x[0-9A-F]+;", "", converted), "a TeX command that did not convert"
    assert "\\" not in law.mathml
    tree = ElementTree.fromstring(law.mathml)  # strict: a name such as &InvisibleTimes; would be an error
    assert tree.tag == "{http://www.w3.org/1998/Math/MathML}math"
    assert law._repr_latex_()


@every_law
def test_cites_its_source_and_explains_itself(name: str) -> None:
    law = sdb.get_law(name)
    assert law.cite.strip()
    assert len(law.doc) > 60
    assert all(spec.meaning for spec in law.params.values())
    for quantity in (*law.inputs, law.output):
        assert law.meaning(quantity), f"{quantity} is no column of the warehouse: say in `meanings` what it is"
    assert set(law.domain) <= set(law.inputs)
    assert all(low < high for low, high in law.domain.values())
    shown = law._repr_html_()
    assert not re.search(r"https?://(?!www\.w3\.org/1998)|src=|<script", shown)


@every_law
def test_examples_run(name: str) -> None:
    law = sdb.get_law(name)
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    source = inspect.getsourcefile(law.function)
    case = parser.get_doctest(law.function.__doc__ or "", {}, name, source, 0)
    assert case.examples, f"{name} has no example"
    report: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sdb.DomainWarning)
        runner.run(case, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("module", sorted({law.function.__module__ for law in all_laws().values()}))
def test_examples_of_other_functions_run(module: str) -> None:
    """What follows from a law, such as votes needed, stands in its module as a plain function."""
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for name, value in vars(importlib.import_module(module)).items():
        if isinstance(value, types.FunctionType) and value.__module__ == module and not name.startswith("_"):
            examples = doctest.DocTestFinder().find(value, name, globs=dict(vars(sys.modules[module])))
            assert any(case.examples for case in examples), f"{name} has no example"
            for case in examples:
                runner.run(case)
    assert runner.failures == 0


@every_law
def test_aliases_name_published_sets(name: str) -> None:
    law = sdb.get_law(name)
    assert {variant for variant in law.aliases.values() if variant} <= set(law.published)


def test_a_mixture_may_lack_a_domain() -> None:
    """The engine takes logarithms of inputs, except of those that a law says may be zero."""
    for name in ("data_mixing_exp", "data_mixing_exp_3"):
        assert sdb.get_law(name).signed_inputs == sdb.get_law(name).inputs


@every_law
def test_can_be_sent_to_another_process(name: str) -> None:
    law = sdb.get_law(name)
    assert pickle.loads(pickle.dumps(law)) is law


def test_published_sets_are_complete_and_at_most_one_is_the_default() -> None:
    for law in all_laws().values():
        for published in law.published.values():
            assert set(published.params) == set(law.params), (law.name, published.variant)
            assert published.where_stated.strip()
        assert sum(s.is_default for s in law.published.values()) <= 1, law.name


def test_a_law_that_nobody_checked_publishes_nothing() -> None:
    for law in all_laws().values():
        assert law.evidence_kind != "unchecked" or not law.published, law.name
        assert law.evidence, law.name


def test_what_others_quote_is_not_said_to_be_read() -> None:
    """The words of the evidence and its kind agree."""
    quoted = re.compile("independent reading|independent notes|was not read|not at hand|notes of the source")
    for law in all_laws().values():
        words = law.evidence.partition(";")[0]
        assert law.evidence_kind != "read" or not quoted.search(words), law.name
        assert law.verified == (law.evidence_kind == "read")


def test_laws_stand_under_their_own_names() -> None:
    """The decorator leaves the law under the function's name, which is how another process finds it."""
    for name, law in all_laws().items():
        module: Any = sys.modules[law.function.__module__]
        assert getattr(module, law.function.__name__) is law, name
        assert law.name == name
