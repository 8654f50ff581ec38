"""`solve`: the input at which a law, or a difference, ratio or derivative of two, reaches a value."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

import scalingdb as sdb
from scalingdb.law_library import all_laws, inverse
from scalingdb.law_library._ranges import grid_of, middle_of


@pytest.fixture(scope="module")
def fitted() -> sdb.Fit:
    rng = np.random.default_rng(3)
    law = sdb.get_law("chinchilla")
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 2e10, 9), np.geomspace(1e9, 4e11, 9)))
    loss = law(n, d, variant="epoch") * np.exp(0.004 * rng.standard_normal(n.size))
    return sdb.fit(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss}), "chinchilla", bootstrap=60)


def test_solution_is_that_of_scipy() -> None:
    law = sdb.get_law("chinchilla")
    want = brentq(lambda x: law(7e9, np.exp(x)) - 2.2, np.log(1e9), np.log(1e12), xtol=1e-13)
    solution = sdb.solve("chinchilla", want="n_tokens", output=2.2, n_params=7e9)
    assert solution.value == pytest.approx(np.exp(want), rel=1e-10)
    assert solution.tidy()["n_tokens_low"].item() is None
    assert "no interval" in solution.interval


def test_solution_of_a_law_without_closed_form_is_that_of_scipy() -> None:
    law = sdb.get_law("gadre_overtrain")
    target = law(4e8, 8e9)
    want = brentq(lambda x: law.function(4e8, np.exp(x), **law.coefficients()) - target, np.log(1e9), np.log(1e11))
    assert sdb.solve(law, want="n_tokens", output=target, n_params=4e8).value == pytest.approx(np.exp(want), rel=1e-8)


@pytest.mark.filterwarnings("ignore::scalingdb.DomainWarning")
def test_all_solutions_are_returned_in_order() -> None:
    hoffmann = sdb.get_law("chinchilla").with_variant("hoffmann")
    table = sdb.solve("chinchilla", want="n_tokens", against=hoffmann, n_params=7e9).tidy()
    assert table.height == 2
    assert table["n_tokens"].is_sorted()
    law = sdb.get_law("chinchilla")
    for tokens in table["n_tokens"]:
        both = [law.function(7e9, tokens, **law.coefficients(variant)) for variant in ("epoch", "hoffmann")]
        assert both[0] == pytest.approx(both[1], rel=1e-12)


def test_derivative_by_hand() -> None:
    values = sdb.get_law("chinchilla").coefficients()
    tokens = (values["B"] * values["beta"] / 1e-12) ** (1 / (1 + values["beta"]))
    found = sdb.solve("chinchilla", want="n_tokens", derivative="n_tokens", output=-1e-12, n_params=7e9)
    assert found.value == pytest.approx(tokens, rel=1e-8)


def test_ratio_of_two_sets_reaches_its_value() -> None:
    a = sdb.get_law("chinchilla")
    solved = sdb.solve(
        a,
        want="n_params",
        against=sdb.get_law("chinchilla").with_variant("hoffmann"),
        relation="ratio",
        output=1.001,
        n_tokens=1e11,
        between=(1e6, 1e13),
    )
    for n in solved.tidy()["n_params"]:
        assert a(n, 1e11) / a(n, 1e11, variant="hoffmann") == pytest.approx(1.001, rel=1e-10)


def test_interval_of_a_bootstrap_is_that_of_its_draws(fitted: sdb.Fit) -> None:
    solution = sdb.solve(fitted, want="n_tokens", output=2.3, n_params=7e9)
    row = solution.tidy().row(0, named=True)
    e, a, b, alpha, beta = fitted.samples.T
    with np.errstate(invalid="ignore"):
        tokens = ((2.3 - e - a * 7e9**-alpha) / b) ** (-1 / beta)
    low, high = np.percentile(tokens, [2.5, 97.5])
    assert row["share"] == 1.0
    assert [row["n_tokens_low"], row["n_tokens_high"]] == pytest.approx([low, high], rel=1e-4)
    assert "95 % interval" in solution.sentence


def test_draws_that_never_reach_the_value_count_as_infinite(fitted: sdb.Fit) -> None:
    floor = float(fitted.params["E"] + fitted.params["A"] * 7e9 ** -fitted.params["alpha"])
    solution = sdb.solve(fitted, want="n_tokens", output=floor + 5e-3, n_params=7e9, between=(1e9, 1e25))
    row = solution.tidy().row(0, named=True)
    assert 0 < row["share"] < 1
    assert np.isinf(row["n_tokens_high"])
    assert "of the draws never reach it" in solution.sentence
    json.dumps(solution.chart().to_dict())


def test_value_that_is_never_reached_is_refused_with_what_is() -> None:
    with pytest.raises(sdb.ScalingDBError, match=r"never reaches 1\.5: for n_tokens from .* it lies between 1\.998"):
        sdb.solve("chinchilla", want="n_tokens", output=1.5, n_params=7e9)
    table = sdb.solve("chinchilla", want="n_tokens", output=[2.2, 1.5], n_params=7e9).tidy()
    assert table["n_tokens"].null_count() == 1
    assert "never reaches 1.5" in table["reason"][1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"want": "tokens", "output": 2.2}, "unknown input 'tokens'"),
        ({"want": "n_tokens", "output": 2.2}, "also takes n_params"),
        ({"want": "n_tokens", "n_params": 7e9}, "the value to reach is missing"),
        ({"want": "n_tokens", "output": float("nan"), "n_params": 7e9}, "not a finite number"),
        ({"want": "n_tokens", "output": 2.2, "n_params": -1}, "not a positive number"),
        ({"want": "n_tokens", "output": 2.2, "n_params": 7e9, "n_tokens": 1e9}, "is what is asked for"),
        ({"want": "n_tokens", "output": 2.2, "n_params": 7e9, "between": (5, 1)}, "is not a valid range"),
        ({"want": "n_tokens", "output": 2.2, "n_params": 7e9, "against": "qid"}, "not comparable"),
        ({"want": "n_tokens", "output": 2.2, "n_params": 7e9, "nonsense": 1}, "unknown input 'nonsense'"),
    ],
)
def test_bad_questions_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(sdb.ScalingDBError, match=message):
        sdb.solve("chinchilla", **options)  # type: ignore[arg-type]


def test_closed_form_in_sql_gives_the_same_number() -> None:
    solution = sdb.solve("chinchilla", want="n_tokens", output=2.2, n_params=7e9)
    with sdb.connect() as db:
        found = db.sql(f"select {solution.sql} as n from (select 2.2::double as loss, 7e9::double as n_params)")
    assert found["n"].item() == pytest.approx(solution.value, rel=1e-9)
    with pytest.raises(sdb.ScalingDBError, match="no closed form"):
        _ = sdb.solve("gadre_overtrain", want="n_tokens", output=3.0, n_params=4e8).sql


INVERTIBLE = [
    (name, want) for name, law in all_laws().items() if law.is_traceable and not law.is_own for want in law.inputs
]


@pytest.mark.parametrize("name", sorted({name for name, _ in INVERTIBLE}))
def test_inverse_undoes_the_law(name: str) -> None:
    law = sdb.get_law(name)
    params, inputs = middle_of(law), grid_of(law, [3] * len(law.inputs))
    with np.errstate(all="ignore"):
        output = np.asarray(law.function(*inputs, **params))
    checked = 0
    for i, want in enumerate(law.inputs):
        try:
            turned = inverse(law, want)
        except sdb.ScalingDBError:  # its refusal is tested with `sql`
            continue
        with np.errstate(all="ignore"):
            values = turned.function(output, *(x for j, x in enumerate(inputs) if j != i), **params)
            again = law.function(*(values if j == i else x for j, x in enumerate(inputs)), **params)
        usable = np.isfinite(values) & np.isfinite(again)
        np.testing.assert_allclose(np.asarray(again)[usable], output[usable], rtol=1e-6)
        checked += int(usable.sum())
    assert checked or law.name in {
        "hestness_curve",
        "bnsl",
        "bnsl_two_breaks",
        "dip_and_rise",
        "gadre_overtrain",
        "kaplan_chinchilla_map",
        "muennighoff_repeat",
        "routing_moe",
        "sloth_score",
    }
