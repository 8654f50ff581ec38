"""Families that studies of several settings need: valleys, free vocabularies, experts, dips, mixtures of any number."""

from __future__ import annotations

import pickle

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.law_library import mixture_law


def test_a_valley_is_lowest_at_the_best_settings_and_its_floor_is_the_surface() -> None:
    law = sdb.get_law("loss_valley")
    given = {
        "E": 1.7,
        "A": 400.0,
        "B": 1100.0,
        "alpha": 0.34,
        "beta": 0.3,
        "c": 0.02,
        "k": 1.79,
        "a": 0.713,
        "b": 0.307,
    }
    given |= {"d": 0.01, "m": 0.58, "q": 0.571}
    n, d = 1e9, 2e10
    rate, batch = 1.79 * n**-0.713 * d**0.307, 0.58 * d**0.571
    surface = sdb.get_law("chinchilla")(n, d, E=1.7, A=400.0, B=1100.0, alpha=0.34, beta=0.3)
    assert law(n, d, rate, batch, **given) == pytest.approx(surface, rel=1e-12)
    for factor in (0.5, 2.0):
        assert law(n, d, factor * rate, batch, **given) / surface == pytest.approx(1 + 0.02 * np.log(2) ** 2)
        assert law(n, d, rate, factor * batch, **given) / surface == pytest.approx(1 + 0.01 * np.log(2) ** 2)


def test_a_vocabulary_term_of_either_sign_is_found() -> None:
    law = sdb.get_law("vocab_free")
    rng = np.random.default_rng(0)
    n, v, d = np.exp(rng.uniform(np.log([1e7, 4e3, 1e9])[:, None], np.log([1e9, 1e5, 1e11])[:, None], (3, 80)))
    for sign in (-1.0, 1.0):
        truth = {"E": -6.0, "A": 300.0, "alpha": 0.33, "G": 8.0 * sign, "gamma": 0.4, "B": 900.0, "beta": 0.31}
        rows = pl.DataFrame(
            {"n_params_non_embedding": n, "vocab_size": v, "n_tokens": d, "loss": law(n, v, d, **truth)}
        )
        fit = sdb.fit(rows, law, objective="huber")
        assert fit.params["G"] == pytest.approx(8.0 * sign, rel=1e-3)
        assert fit.params["gamma"] == pytest.approx(0.4, rel=1e-3)


def test_experts_stop_helping_where_the_coupling_says_so() -> None:
    product, coupled = sdb.get_law("expert_product"), sdb.get_law("expert_coupled")
    one = {"E": 1.0, "A": 30.0, "alpha": 0.16, "gamma": 0.08}
    gains = [1 - (product(n, 64, **one) - 1) / (product(n, 1, **one) - 1) for n in (1e7, 1e9)]
    assert gains[0] == pytest.approx(gains[1])  # the same part of the reducible loss at every size
    two = {"E": 1.0, "A": 30.0, "alpha": 0.2, "B": 0.5, "gamma": 0.5, "g": 0.8}
    gains = [coupled(1e8, many, **two) - coupled(1e8, 2 * many, **two) for many in (1, 16, 256)]
    assert gains[0] > gains[1] > gains[2] > 0


@pytest.mark.parametrize("objective", ["huber_log", "mse_log", "mse"])
def test_a_narrow_dip_at_the_near_end_is_found(objective: str) -> None:
    x = np.linspace(0, 25, 35)
    truth = {"floor": 0.25, "ceiling": 0.9, "slope": 2.0, "middle": 4.0, "depth": 0.15, "place": 2.0, "width": 1.0}
    rows = pl.DataFrame({"capability": x, "task_accuracy": sdb.get_law("dip_and_rise")(x, **truth)})
    assert dict(sdb.fit(rows, "dip_and_rise", objective=objective).params) == pytest.approx(truth, rel=1e-6)


def test_a_score_falls_before_it_rises() -> None:
    law = sdb.get_law("dip_and_rise")
    truth = {"floor": 0.3, "ceiling": 0.92, "slope": 2.0, "middle": 4.5, "depth": 0.12, "place": 2.2, "width": 0.9}
    x = np.linspace(0.0, 7.0, 40)
    y = law(x, **truth)
    assert y.argmin() not in {0, 39}
    assert y[-1] > y[0]
    fit = sdb.fit(pl.DataFrame({"capability": x, "task_accuracy": y}), law, objective="mse")
    assert dict(fit.params) == pytest.approx(truth, rel=1e-4)


@pytest.mark.parametrize("kind", ["exp", "worth"])
@pytest.mark.parametrize("count", [3, 5])
def test_a_mixture_has_as_many_domains_as_it_is_given(kind: str, count: int) -> None:
    names = [f"share_{i}" for i in range(count)]
    law = mixture_law(names, kind)  # type: ignore[arg-type]
    assert law.inputs == tuple(names[:-1] if kind == "exp" else names)  # shares add up to one
    shares = np.random.default_rng(1).dirichlet(np.full(count, 0.5), 60)
    shares[:count] = np.eye(count)  # a share may be zero
    effects = {name: 0.4 * i - 0.9 for i, name in enumerate(p for p in law.params if p.startswith("t"))}
    worths = {name: 0.3 + 0.5 * i for i, name in enumerate(p for p in law.params if p.startswith("v"))}
    truth = {"c": 2.0, "k": 0.8, **effects} if kind == "exp" else {"E": 2.0, **worths, "a": 0.4}
    taken = shares.T[: len(law.inputs)]
    values = law(*taken, **truth)
    fit = sdb.fit(pl.DataFrame({**dict(zip(names, shares.T, strict=True)), "loss": values}), law)
    assert dict(fit.params) == pytest.approx(truth, rel=1e-4)
    again = pickle.loads(pickle.dumps(law))
    assert again(*taken, **truth) == pytest.approx(values)


def test_a_mixture_of_three_is_the_law_of_three_domains() -> None:
    law, known = mixture_law(["web", "code", "books"]), sdb.get_law("data_mixing_exp_3")
    given = {"c": 2.0, "k": 0.8, "t1": -3.0, "t2": 0.5}
    assert law(0.3, 0.2, **given) == pytest.approx(known(0.3, 0.2, **given))


@pytest.mark.parametrize(
    ("names", "kind", "error"),
    [
        (["web"], "exp", DataError),
        (["web", "web"], "exp", DataError),
        (["a", "c"], "exp", DataError),
        (["web", "code"], "power", UnknownNameError),
    ],
)
def test_what_is_no_mixture_is_refused(names: list[str], kind: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        mixture_law(names, kind)  # type: ignore[arg-type]
