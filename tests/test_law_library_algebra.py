"""Laws made of laws are laws in every respect."""

from __future__ import annotations

import pickle
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from _synthetic import TRUTH, run_macro

import scalingdb as sdb
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.law_library import (
    Law,
    all_laws,
    exp_link,
    fixed,
    logit_link,
    nested,
    pareto_envelope,
    sigmoid,
    substitute,
    tie,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::scalingdb.errors.DomainWarning"),
]

N, D = np.geomspace(1e8, 1e11, 12), np.geomspace(2e9, 3e12, 12)


@pytest.fixture
def chinchilla() -> Law:
    return sdb.get_law("chinchilla")


@pytest.fixture
def low_bits() -> Law:
    """A correction that takes a third input and calls two of its parameters like the surface."""
    return sdb.law(
        "low_bits",
        cite="a test",
        inputs=("n_params", "n_tokens", "bits"),
        output="loss_added",
        params={"k": sdb.positive, "alpha": sdb.exponent, "beta": sdb.exponent, "gamma": sdb.exponent},
        domain={"bits": (2.0, 8.0), "n_tokens": (1e9, 1e11)},
    )(lambda n_params, n_tokens, bits, k, alpha, beta, gamma: k * n_tokens**beta / n_params**alpha * bits**-gamma)


@pytest.fixture
def streams() -> Law:
    """Effective parameters of parallel streams."""
    return sdb.law(
        "stream_params",
        cite="a test",
        inputs=("n_params", "n_streams"),
        output="n_params",
        params={"k": sdb.positive("gain", start=(0.1, 1.0))},
    )(lambda n_params, n_streams, k: n_params * (1 + k * np.log(n_streams)))


@pytest.fixture
def error_of_loss() -> Law:
    return sdb.law(
        "error_of_loss",
        cite="a test",
        inputs=("loss",),
        output="error",
        params={"ceiling": sdb.positive(start=(0.5, 1.0)), "k": sdb.positive, "gamma": sdb.positive(start=(0.3, 2.0))},
    )(lambda loss, ceiling, k, gamma: ceiling - k * np.exp(-gamma * loss))


# ---- sums --------------------------------------------------------------------------------------

CORRECTION = {"k": 0.02, "alpha_low_bits": 0.2, "beta_low_bits": 0.25, "gamma": 2.0}


def test_a_sum_adds_and_keeps_both_sets_of_parameters(chinchilla: Law, low_bits: Law) -> None:
    both = chinchilla + low_bits
    assert both.inputs == ("n_params", "n_tokens", "bits")
    assert list(both.params) == [*chinchilla.params, "k", "alpha_low_bits", "beta_low_bits", "gamma"]
    inside = {"k": 0.02, "alpha": 0.2, "beta": 0.25, "gamma": 2.0}
    found = both(N, D, 4.0, **TRUTH, **CORRECTION)
    assert found == pytest.approx(chinchilla(N, D, **TRUTH) + low_bits(N, D, 4.0, **inside), rel=1e-14)
    assert both.cite == f"{chinchilla.cite}; a test"
    assert both.domain["bits"] == (2.0, 8.0)


def test_a_sum_shows_itself(chinchilla: Law, low_bits: Law) -> None:
    both = chinchilla + low_bits
    assert both.is_traceable
    for piece in ("N^{- \\alpha}", "\\alpha_{low bits}", "L ="):
        assert piece in both.latex
    ElementTree.fromstring(both.mathml)
    assert "alpha_low_bits" in both._repr_html_()
    assert set(both.linear_params) == {"E", "A", "B", "k"}


def test_a_sum_is_fitted(chinchilla: Law, low_bits: Law) -> None:
    both = chinchilla + low_bits
    n, d, bits = (
        a.ravel() for a in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 1e11, 6), [2.0, 4.0, 8.0])
    )
    rows = pl.DataFrame({"n_params": n, "n_tokens": d, "bits": bits, "loss": both(n, d, bits, **TRUTH, **CORRECTION)})
    found = sdb.fit(rows, both)
    assert dict(found.params) == pytest.approx({**TRUTH, **CORRECTION}, rel=1e-6)


def test_a_sum_inherits_published_coefficients(chinchilla: Law) -> None:
    overtrain = sdb.get_law("gadre_overtrain")  # no correction, but it has published coefficients
    both = chinchilla.with_variant("hoffmann") + overtrain
    p = {
        **chinchilla.coefficients("hoffmann"),
        **{f"{k}_gadre_overtrain" if k == "E" else k: v for k, v in overtrain.coefficients().items()},
    }
    assert both.coefficients() == p
    assert both(N, D) == pytest.approx(chinchilla(N, D, variant="hoffmann") + overtrain(N, D), rel=1e-14)
    assert "hoffmann" in both.published["composed"].where_stated


def test_sums_of_different_quantities_are_refused(chinchilla: Law) -> None:
    with pytest.raises(DataError, match="'loss', law 'step_law' yields 'learning_rate': their sum means nothing"):
        chinchilla + sdb.get_law("step_law")
    with pytest.raises(TypeError):
        chinchilla + 1.0


def test_sums_of_coefficients_in_different_units_have_none(chinchilla: Law, notices) -> None:
    both = sdb.get_law("farseer") + chinchilla  # bits per character and nats per token
    assert both.published == {}
    assert any("bits_per_character" in text and "nats_per_token" in text for text in notices())


# ---- composition and substitution --------------------------------------------------------------


def test_composition_replaces_the_input_that_the_inner_law_yields(chinchilla: Law, error_of_loss: Law) -> None:
    score = error_of_loss @ chinchilla
    own = {"ceiling": 0.85, "k": 2.0, "gamma": 0.75}
    assert (score.inputs, score.output) == (("n_params", "n_tokens"), "error")
    assert list(score.params) == [*own, *chinchilla.params]
    assert score(N, D, **own, **TRUTH) == pytest.approx(0.85 - 2 * np.exp(-0.75 * chinchilla(N, D, **TRUTH)), rel=1e-14)
    assert "e^{" in score.latex
    assert "N^{- \\alpha}" in score.latex
    with pytest.raises(DataError, match="takes no 'error'"):
        chinchilla @ error_of_loss


def test_a_chain_of_three(chinchilla: Law, error_of_loss: Law, streams: Law) -> None:
    whole = error_of_loss @ substitute(chinchilla, n_params=streams)
    assert whole.inputs == ("n_params", "n_streams", "n_tokens")
    assert list(whole.params) == ["ceiling", "k", "gamma", *chinchilla.params, "k_chinchilla_of_stream_params"]
    own = {"ceiling": 0.85, "k": 2.0, "gamma": 0.75}
    found = whole(1e9, 8.0, 2e10, **own, **TRUTH, k_chinchilla_of_stream_params=0.35)
    loss = chinchilla(1e9 * (1 + 0.35 * np.log(8)), 2e10, **TRUTH)
    assert found == pytest.approx(0.85 - 2 * np.exp(-0.75 * loss), rel=1e-14)


def test_effective_parameters_enter_a_surface(chinchilla: Law, streams: Law) -> None:
    wide = chinchilla @ streams
    assert wide.inputs == ("n_params", "n_streams", "n_tokens")
    assert wide(1e9, 1.0, 2e10, **TRUTH, k=0.4) == pytest.approx(chinchilla(1e9, 2e10, **TRUTH), rel=1e-14)
    best = wide.optimum(1e21, n_streams=8.0, **TRUTH, k=0.4)
    plain = chinchilla.optimum(1e21, **TRUTH)
    assert best["n_params"].item() < plain["n_params"].item()
    assert best["loss"].item() < plain["loss"].item()


def test_an_input_is_renamed_or_set(chinchilla: Law) -> None:
    body = substitute(chinchilla, n_params="n_params_non_embedding")
    assert body.inputs == ("n_params_non_embedding", "n_tokens")
    assert body(1e9, 2e10) == chinchilla(1e9, 2e10)
    assert set(body.published) == set(chinchilla.published)
    assert body.optimum(1e21)["n_params"].item() == chinchilla.optimum(1e21)["n_params"].item()
    at_size = substitute(chinchilla, n_params=1e9)
    assert at_size.inputs == ("n_tokens",)
    assert at_size(2e10, variant="hoffmann") == pytest.approx(chinchilla(1e9, 2e10, variant="hoffmann"), rel=1e-14)
    with pytest.raises(UnknownNameError, match="unknown input 'n_param'"):
        substitute(chinchilla, n_param=1e9)
    with pytest.raises(DataError, match="no input is left"):
        substitute(chinchilla, n_params=1e9, n_tokens=1e10)


def test_the_domain_of_a_substituted_input_is_the_inner_laws(chinchilla: Law, streams: Law) -> None:
    surface = replace(chinchilla, domain={"n_params": (1e8, 1e10), "n_tokens": (1e9, 1e12)})
    inner = replace(streams, domain={"n_streams": (1.0, 8.0)})
    assert dict((surface @ inner).domain) == {"n_tokens": (1e9, 1e12), "n_streams": (1.0, 8.0)}


# ---- links -------------------------------------------------------------------------------------


def test_sigmoid_falls_from_ceiling_to_floor(chinchilla: Law) -> None:
    score = sigmoid(chinchilla, floor=0.25, ceiling=1.0)
    assert score.output == "score"
    loss = chinchilla(N, D, **TRUTH)
    found = score(N, D, **TRUTH, slope=3.0, midpoint=2.2)
    assert found == pytest.approx(0.25 + 0.75 / (1 + np.exp(3.0 * (loss - 2.2))), rel=1e-14)
    assert found.min() > 0.25
    assert found.max() < 1.0
    free = sigmoid(chinchilla)
    assert [name for name in free.params if name not in chinchilla.params] == ["floor", "ceiling", "slope", "midpoint"]


def test_exp_and_logit_links(chinchilla: Law) -> None:
    perplexity = exp_link(chinchilla)
    assert perplexity.output == "perplexity"
    assert perplexity(7e9, 1.4e12) == pytest.approx(np.exp(chinchilla(7e9, 1.4e12)), rel=1e-14)
    power = sdb.get_law("power")
    share = logit_link(power)
    assert share(1e9, A=100.0, alpha=0.2) == pytest.approx(1 / (1 + np.exp(-100 * 1e9**-0.2)), rel=1e-14)
    assert list(share.params) == ["A", "alpha"]


# ---- special cases -----------------------------------------------------------------------------


def test_fixed_parameters_are_constants(chinchilla: Law) -> None:
    reducible = fixed(chinchilla, E=0)
    assert list(reducible.params) == ["A", "B", "alpha", "beta"]
    floor = chinchilla.coefficients("hoffmann")["E"]
    loss = chinchilla(N, D, variant="hoffmann")
    assert reducible(N, D, variant="hoffmann") == pytest.approx(loss - floor, rel=1e-12)
    assert "E" not in reducible.latex
    with pytest.raises(UnknownNameError, match="did you mean 'alpha'"):
        fixed(chinchilla, alpa=1)
    with pytest.raises(DataError, match="not a finite number"):
        fixed(chinchilla, E=float("nan"))


def test_fixed_law_keeps_the_starts_of_its_law() -> None:
    farseer = sdb.get_law("farseer")
    p = farseer.coefficients()
    less = fixed(farseer, gamma=p["gamma"])
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e8, 2e10, 8), np.geomspace(2e9, 5e11, 8)))
    rows = pl.DataFrame({"n_params_non_embedding": n, "n_tokens": d, "loss": farseer(n, d, **p)})
    found = sdb.fit(rows, less)
    assert dict(found.params) == pytest.approx({k: v for k, v in p.items() if k != "gamma"}, rel=1e-6)


def test_tied_parameters_are_one(chinchilla: Law) -> None:
    one = tie(chinchilla, alpha="beta")
    assert list(one.params) == ["E", "A", "B", "beta"]
    assert one(N, D, E=1.0, A=10.0, B=20.0, beta=0.3) == pytest.approx(1 + 10 * N**-0.3 + 20 * D**-0.3, rel=1e-14)
    assert set(one.published) == {v for v, s in chinchilla.published.items() if s.params["alpha"] == s.params["beta"]}
    with pytest.raises(DataError, match="which is tied away"):
        tie(chinchilla, alpha="beta", beta="A")
    with pytest.raises(UnknownNameError):
        tie(chinchilla, alpha="gamma")


def test_nested_laws(chinchilla: Law) -> None:
    power, offset = sdb.get_law("power"), sdb.get_law("power_offset")
    overtrain = sdb.get_law("gadre_overtrain")
    assert nested(power, offset)  # E = 0
    assert not nested(offset, power)
    assert nested(fixed(chinchilla, E=0), chinchilla)
    assert nested(tie(chinchilla, alpha="beta"), chinchilla)
    assert nested(chinchilla, chinchilla)
    assert not nested(sdb.get_law("kaplan_lnd"), chinchilla)
    assert not nested(overtrain, chinchilla)
    rewritten = {"A": "a*6**-eta", "B": "b*6**-eta", "alpha": "2*eta", "beta": "2*eta"}
    assert nested(overtrain, chinchilla, **rewritten)
    assert not nested(overtrain, chinchilla, **{**rewritten, "alpha": "eta"})
    with pytest.raises(UnknownNameError, match="unknown parameter 'gamma'"):
        nested(overtrain, chinchilla, gamma=1)
    with pytest.raises(UnknownNameError, match="unknown parameter 'e'"):
        nested(overtrain, chinchilla, alpha="2*e")


def test_a_correction_that_vanishes_nests_the_surface(chinchilla: Law, low_bits: Law) -> None:
    assert nested(chinchilla, chinchilla + low_bits, k=0, alpha_low_bits=0, beta_low_bits=0, gamma=0)


# ---- laws in every respect ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sum", "fixed", "tied", "sigmoid", "exp", "renamed", "effective"])
def test_pickles_and_has_a_macro(db: sdb.Warehouse, kind: str, chinchilla: Law) -> None:
    overtrain = sdb.get_law("gadre_overtrain")
    made = {
        "sum": lambda: chinchilla + overtrain,
        "fixed": lambda: fixed(chinchilla, E=0),
        "tied": lambda: tie(chinchilla.with_variant("datablations"), alpha="beta"),
        "sigmoid": lambda: sigmoid(chinchilla, floor=0.25, ceiling=1.0, slope=2.0, midpoint=2.5),
        "exp": lambda: exp_link(chinchilla),
        "renamed": lambda: substitute(chinchilla, n_params="n_params_non_embedding"),
        "effective": lambda: substitute(chinchilla, n_tokens=sdb.get_law("step_law_batch")),
    }[kind]()
    copy = pickle.loads(pickle.dumps(made))
    assert (copy.name, copy.inputs, dict(copy.params)) == (made.name, made.inputs, dict(made.params))
    assert copy.coefficients() == made.coefficients()
    assert copy(N, D) == pytest.approx(made(N, D), rel=0)
    assert copy.latex == made.latex

    law = made.named(f"made_{kind}")
    assert sdb.get_law(f"made_{kind}") is law
    assert f"made_{kind}" in sdb.laws()["law"].to_list()
    assert run_macro(db, f"law_made_{kind}", [N, D]) == pytest.approx(law(N, D), rel=1e-12)
    again = pickle.loads(pickle.dumps(law))
    assert again(N, D) == pytest.approx(law(N, D), rel=0)


def test_library_law_under_another_name(db: sdb.Warehouse, chinchilla: Law) -> None:
    mine = chinchilla.named("mine")
    assert mine(7e9, 1.4e12, variant="hoffmann") == chinchilla(7e9, 1.4e12, variant="hoffmann")
    assert pickle.loads(pickle.dumps(mine))(7e9, 1.4e12) == chinchilla(7e9, 1.4e12)
    assert db.sql("select law_mine(7e9, 1.4e12) = law_chinchilla(7e9, 1.4e12) as same").item()
    with pytest.raises(DataError, match="not a lower-case identifier"):
        chinchilla.named("Mine")


@pytest.mark.parametrize(
    ("outer", "inner"),
    [("chinchilla", "qat_error"), ("chinchilla", "precision_ptq"), ("chinchilla", "qid")],
)
def test_corrections_of_the_library(outer: str, inner: str) -> None:
    if inner not in all_laws():
        pytest.skip(f"the library has no law {inner!r} yet")
    both = sdb.get_law(outer) + sdb.get_law(inner)
    assert both.latex.startswith("L = ")
    assert both.output == "loss"
    added = sdb.get_law(inner)
    values = {name: np.full(3, 1e9 if name.startswith("n_") else 4.0) for name in both.inputs}
    surface = sdb.get_law(outer)(values["n_params"], values["n_tokens"])
    expected = surface + added(*(values[name] for name in added.inputs))
    assert both(*values.values()) == pytest.approx(expected, rel=1e-14)
    assert len(both.params) == len(sdb.get_law(outer).params) + len(sdb.get_law(inner).params)


def test_downstream_error_of_the_library() -> None:
    if "gadre_error" not in all_laws():
        pytest.skip("the library has no law 'gadre_error' yet")
    surface, error = sdb.get_law("chinchilla"), sdb.get_law("gadre_error")
    score = error @ surface
    assert score(1e9, 2e10) == pytest.approx(error(surface(1e9, 2e10)), rel=1e-14)
    assert "e^{" in score.latex


# ---- the envelope ------------------------------------------------------------------------------


def test_envelope_keeps_what_nothing_beats() -> None:
    generator = np.random.default_rng(0)
    frame = pl.DataFrame({"x": generator.integers(1, 40, 300), "y": generator.normal(size=300), "run": range(300)})
    kept = pareto_envelope(frame, "x", "y")
    x, y = frame["x"].to_numpy(), frame["y"].to_numpy()
    expected = {i for i in range(300) if not np.any((x <= x[i]) & (y <= y[i]) & ((x < x[i]) | (y < y[i])))}
    assert set(kept["run"].to_list()) == expected
    assert kept["x"].is_sorted()
    assert kept.columns == frame.columns
    high = pareto_envelope(frame.with_columns(-pl.col("y")), "x", "y", best="high")
    assert high["run"].to_list() == kept["run"].to_list()


def test_envelope_of_groups_and_ties() -> None:
    frame = pl.DataFrame({"g": ["a", "a", "b", "b", "b"], "x": [1, 2, 1, 1, 2], "y": [3.0, 3.0, 5.0, 5.0, 4.0]})
    kept = sdb.pareto_envelope(frame, "x", "y", by="g")
    assert kept.rows() == [("a", 1, 3.0), ("b", 1, 5.0), ("b", 2, 4.0)]
    assert pareto_envelope(frame.clear(), "x", "y").height == 0


def test_envelope_refuses_gaps() -> None:
    frame = pl.DataFrame({"x": [1.0, None, 3.0], "y": [1.0, 2.0, float("nan")]})
    with pytest.raises(DataError, match="'x' is null or NaN in 1 of 3 rows"):
        pareto_envelope(frame, "x", "y")
    with pytest.raises(DataError, match="'y' is null or NaN in 1 of 3 rows"):
        pareto_envelope(frame.fill_null(2.0), "x", "y")
    with pytest.raises(UnknownNameError, match="unknown column 'z'"):
        pareto_envelope(frame, "x", "z")
    with pytest.raises(DataError, match="neither 'low' nor 'high'"):
        pareto_envelope(frame, "x", "y", best="max")
