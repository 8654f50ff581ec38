"""`optimise`: the best inputs of a law under any cost."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

import scalingdb as sdb

BITS = {"n_params_non_embedding": 1e9, "n_tokens": 1e11, "block_size": 128}


def test_chinchilla_is_its_closed_form() -> None:
    budgets = [5.76e21, 1e24]
    with pytest.warns(sdb.DomainWarning, match="the optimum by chinchilla"):
        table = sdb.optimise("chinchilla", over=["n_params", "n_tokens"], cost="6nd", budget=budgets).tidy()
    with pytest.warns(sdb.DomainWarning):
        exact = sdb.get_law("chinchilla").optimum(budgets)
    np.testing.assert_allclose(table["n_params"], exact["n_params"], rtol=1e-9)
    np.testing.assert_allclose(table["cost"], budgets, rtol=1e-9)
    assert table["at_bound"].null_count() == 2
    assert not table["budget_left"].any()


@pytest.mark.filterwarnings("ignore::scalingdb.DomainWarning")
def test_three_inputs_are_those_of_scipy() -> None:
    law = sdb.get_law("vocab_loss")
    params = law.coefficients()
    budget = 1e20

    def loss(z: Any) -> float:
        n, v = np.exp(z)
        return float(law.function(n, v, budget / 6 / (n + v), **params))

    found = minimize(loss, np.log([3e8, 3e7]), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-14})
    over = ["n_params_non_embedding", "n_params_vocabulary", "n_tokens"]
    best = sdb.optimise(law, over=over, cost=lambda **x: 6 * (x[over[0]] + x[over[1]]) * x[over[2]], budget=budget)
    assert best.tidy().row(0, named=True)[over[1]] == pytest.approx(np.exp(found.x[1]), rel=1e-5)
    assert best.tidy()["loss"].item() == pytest.approx(found.fun, abs=1e-12)
    json.dumps(best.chart().to_dict())


def test_encoder_and_decoder_split_in_the_ratio_of_their_exponents() -> None:
    own = {"alpha": 2.0, "p_e": 0.3, "p_d": 0.2, "L_inf": 1.0}
    best = sdb.optimise(
        "nmt_encdec",
        over=["n_params_encoder", "n_params_decoder"],
        cost=lambda n_params_encoder, n_params_decoder: n_params_encoder + n_params_decoder,
        budget=5e8,
        **own,
    ).tidy()
    assert best["n_params_encoder"].item() == pytest.approx(3e8, rel=1e-6)
    assert best["n_params_decoder"].item() == pytest.approx(2e8, rel=1e-6)


def test_whole_numbers_are_those_of_a_search_by_hand() -> None:
    law = sdb.get_law("fp_quant")
    options: dict[str, Any] = {
        "whole": ["exponent_bits", "mantissa_bits"],
        "between": {"exponent_bits": (1, 12), "mantissa_bits": (1, 12)},
    }
    best = sdb.optimise(
        law,
        over=["exponent_bits", "mantissa_bits"],
        cost=lambda exponent_bits, mantissa_bits: 1 + exponent_bits + mantissa_bits,
        budget=8,
        **options,
        **BITS,
    ).tidy()
    by_hand = min(
        (float(law.function(1e9, 1e11, e, m, 128, **law.coefficients())), e, m)
        for e in range(1, 13)
        for m in range(1, 13)
        if 1 + e + m <= 8
    )
    assert best.select("loss", "exponent_bits", "mantissa_bits").row(0) == pytest.approx(by_hand)


def test_budget_that_makes_it_worse_is_not_spent() -> None:
    law = sdb.get_law("fp_quant")
    given = {"n_params_non_embedding": 1e9, "exponent_bits": 4, "mantissa_bits": 3, "block_size": 128}
    best = sdb.optimise(law, over=["n_tokens"], cost=lambda n_tokens: n_tokens, budget=1e15, **given)
    critical = sdb.solve(law, want="n_tokens", derivative="n_tokens", **given).value
    row = best.tidy().row(0, named=True)
    assert row["budget_left"]
    assert row["n_tokens"] == pytest.approx(critical, rel=1e-6)
    assert "spending more makes it worse" in best.sentence


def test_optimum_at_a_bound_is_said() -> None:
    best = sdb.optimise(
        "chinchilla", over=["n_params", "n_tokens"], cost="6nd", budget=1e21, between={"n_tokens": (1e9, 1e10)}
    )
    assert best.tidy()["at_bound"].item() == "n_tokens at its upper bound 1e10"
    free = sdb.optimise("chinchilla", over=["n_params"], n_tokens=1e11, between={"n_params": (1e8, 1e10)})
    assert free.tidy()["n_params"].item() == pytest.approx(1e10)
    assert "no optimum inside" in free.sentence


def test_interval_is_that_of_the_closed_form_of_every_draw() -> None:
    rng = np.random.default_rng(5)
    law = sdb.get_law("chinchilla")
    n, d = (axis.ravel() for axis in np.meshgrid(np.geomspace(5e7, 2e10, 7), np.geomspace(1e9, 4e11, 7)))
    loss = law(n, d, variant="epoch") * np.exp(0.005 * rng.standard_normal(n.size))
    fitted = sdb.fit(pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss}), law, bootstrap=40)
    row = sdb.optimise(fitted, over=["n_params", "n_tokens"], cost="6nd", budget=1e22).tidy().row(0, named=True)
    assert law.best_split is not None
    exact = law.best_split(1e22, **dict(zip(law.params, fitted.samples.T, strict=True)))[0]
    ends = np.percentile(exact, [2.5, 97.5])
    assert [row["n_params_low"], row["n_params_high"]] == pytest.approx(ends.tolist(), rel=1e-6)
    assert row["share"] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost": lambda n_params, n_tokens: n_params - n_tokens, "budget": 1.0}, r"the cost is .* at n_params="),
        ({"cost": lambda n_params, n_tokens: 1 / n_params + 1 / n_tokens, "budget": 1.0}, "does not rise with any"),
        ({"cost": "6nd", "budget": -1}, "not a positive number"),
        ({"cost": "6nd"}, "the budget is missing"),
        ({"budget": 1e21}, "the cost is missing"),
        ({"cost": "8nd", "budget": 1e21}, "unknown cost '8nd'"),
        ({"cost": lambda batch: batch, "budget": 1e21}, "unknown input 'batch'"),
        ({"cost": "6nd", "budget": 1e-9}, r"no value inside the bounds that costs at most 1e-09"),
        ({"whole": ["n_params"], "cost": "6nd", "budget": 1e21}, "too many to try"),
        ({"whole": ["width"], "cost": "6nd", "budget": 1e21}, "unknown input 'width'"),
    ],
)
def test_bad_questions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(sdb.ScalingDBError, match=message):
        sdb.optimise("chinchilla", over=["n_params", "n_tokens"], **options)


def test_direction_that_is_not_known_is_asked_for() -> None:
    law = sdb.law("own_output", cite="test", inputs=("x",), output="gadgets", params={"a": sdb.positive})(
        lambda x, a: a * x / (1 + x**2)
    )
    with pytest.raises(sdb.ScalingDBError, match="not known whether a higher gadgets is better"):
        sdb.optimise(law, over=["x"], a=1.0)
    best = sdb.optimise(law, over=["x"], a=1.0, higher_is_better=True, between={"x": (1e-3, 1e3)})
    assert best.tidy()["x"].item() == pytest.approx(1.0, rel=1e-8)
