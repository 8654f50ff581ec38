"""The search for a law: what it finds on planted ones, what it refuses, and that it never sees what it must not."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.discovery import _search
from scalingdb.discovery._candidates import beyond, found, is_sound, with_rows
from scalingdb.discovery._cuts import inner_cuts
from scalingdb.discovery._grammar import Form, Term, Valley, children, law_of, seeds, write
from scalingdb.discovery._inputs import read_table
from scalingdb.discovery._intervals import interval_ends
from scalingdb.discovery._ranking import combined
from scalingdb.discovery._solve import Layout, internal, minimise, natural, predict
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.fits._law_error import InnerHoldouts


@pytest.fixture(autouse=True, scope="module")
def _no_clock() -> Iterator[None]:
    """A machine under load must not end a search early: the same seed gives the same result."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_search, "OVERTIME", np.inf)
        patch.setattr(_search, "PATIENCE", np.inf)
        yield


def test_a_search_that_is_late_stops_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_search, "OVERTIME", 0.0)
    budget = _search.Budget.of(5, 60)
    assert not budget.spend(1)
    assert budget.is_late
    monkeypatch.setattr(_search, "OVERTIME", np.inf)
    budget = _search.Budget.of(5, 60)
    assert budget.spend(budget.evaluations)
    assert not budget.spend(1)
    assert not budget.is_late


def surface(noise: float = 0.002, seed: int = 0) -> pl.DataFrame:
    """A grid of eight sizes and eight lengths of Chinchilla's law, with all that is larger than 1e19."""
    rng = np.random.default_rng(seed)
    n, d = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 3e9, 8), np.geomspace(1e9, 1e11, 8)))
    loss = 1.7 + 400 * n**-0.34 + 1100 * d**-0.3
    return pl.DataFrame({"n_params": n, "n_tokens": d, "loss": loss * np.exp(noise * rng.standard_normal(n.size))})


@pytest.fixture(scope="module")
def told() -> sdb.Discovery:
    rows = surface()
    return sdb.discover(rows, "loss", ["n_params", "n_tokens"], holdout=sdb.largest("n_params", distinct=2), budget=2)


def test_the_form_behind_a_surface_leads_and_carries(told: sdb.Discovery) -> None:
    first = told.table.row(0, named=True)
    assert first["test_error"] < 0.004
    assert first["error_fitted"] < 0.003
    names = told.table["law"].to_list()
    assert "chinchilla" in names
    assert "n_params**alpha" in told.table["formula"][names.index("chinchilla")]
    assert told.ranking.order[0].n_params <= 6
    assert "cannot be told apart" in told.sentence or told.ranking.n_alike == 1
    answer = told.predict(surface().filter(pl.col("n_params") > 1.2e9))
    assert answer.select(pl.col("loss").is_between("low", "high").mean()).item() > 0.85
    assert answer["interval"].unique().to_list() == ["law"]
    assert (answer["distance"] > 1).all()


def test_a_law_of_the_library_is_replaced_only_for_a_reason(told: sdb.Discovery) -> None:
    first = told.ranking.order[0]
    best = told.best_of_library()
    assert best is not None
    assert first.is_library or told.ranking.better[best - 1] >= 0.9


def test_rows_that_are_held_out_have_no_part_in_the_search(told: sdb.Discovery) -> None:
    rows = surface()
    spoilt = rows.with_columns(loss=pl.when(pl.col("n_params") > 1.2e9).then(pl.col("loss") * 3).otherwise("loss"))
    again = sdb.discover(
        spoilt, "loss", ["n_params", "n_tokens"], holdout=sdb.largest("n_params", distinct=2), budget=2
    )
    same = ["law", "score", "held_out_error"]
    assert again.table.select(same).equals(told.table.select(same))  # and the same seed gives the same result
    assert again.table["test_error"][0] > 0.5


def test_ranked_laws_are_laws(told: sdb.Discovery) -> None:
    found_ones = [k for k, one in enumerate(told.ranking.order[:12]) if not one.is_library]
    place = min(found_ones, key=lambda k: told.ranking.order[k].n_params)  # tracing a long formula takes seconds
    law = told.laws[place]
    assert law.latex.startswith("L = ")
    assert set(law.inputs) == {"n_params", "n_tokens"}
    fit = told.fit(place + 1)
    assert isinstance(fit, sdb.Fit)
    ours = told.predict(fit.data, None, rank=place + 1)["prediction"].to_numpy()
    assert np.allclose(fit.predict(fit.data)["prediction"].to_numpy(), ours, rtol=2e-3)
    values = told.params(place + 1)
    given = dict(zip(values["param"], values["value"], strict=True))
    assert law(1e9, 2e10, **given) == pytest.approx(
        told.forecast({"n_params": 1e9, "n_tokens": 2e10})["prediction"].item(), rel=0.02
    )
    assert pickle.loads(pickle.dumps(law)).inputs == law.inputs
    assert repr(told).startswith("<Discovery: ")
    assert "<table>" in told._repr_html_()
    assert "1. " in str(told)
    assert told.glance().height == 1
    assert told.inner()["relative_error"].is_finite().all()
    assert told.chart().to_dict()["layer"]


def test_a_learning_rate_has_a_best_value_that_moves() -> None:
    rng = np.random.default_rng(1)
    n, lr = (x.ravel() for x in np.meshgrid(np.geomspace(1e7, 1e9, 7), np.geomspace(1e-4, 1e-2, 7)))
    best = 3e-3 * (n / 1e7) ** -0.3
    loss = (1.5 + 300 * n**-0.32) * (1 + 0.02 * np.log(lr / best) ** 2) * np.exp(0.001 * rng.standard_normal(n.size))
    rows = pl.DataFrame({"n_params": n, "learning_rate": lr, "loss": loss})
    told = sdb.discover(rows.filter(pl.col("n_params") < 4e8), "loss", ["n_params", "learning_rate"], budget=1.5)
    test = rows.filter(pl.col("n_params") >= 4e8)
    error = told.predict(test)["prediction"].to_numpy() / test["loss"].to_numpy() - 1
    assert np.abs(error).max() < 0.03
    assert told._table.of_kind("knob") == (1,)


def test_groups_share_exponents_and_have_scales_of_their_own() -> None:
    rng = np.random.default_rng(2)
    parts = []
    for name, floor, scale in (("a", 1.0, 30.0), ("b", 1.6, 60.0), ("c", 2.0, 45.0)):
        d = np.geomspace(1e6, 1e9, 14)
        loss = floor + scale * d**-0.25
        parts.append(
            pl.DataFrame({"corpus": name, "n_tokens": d, "loss": loss * np.exp(2e-3 * rng.standard_normal(14))})
        )
    rows = pl.concat(parts)
    told = sdb.discover(rows.filter(pl.col("n_tokens") < 2e8), "loss", "n_tokens", by="corpus", budget=1)
    test = rows.filter(pl.col("n_tokens") >= 2e8)
    error = told.predict(test)["prediction"].to_numpy() / test["loss"].to_numpy() - 1
    assert np.abs(error).max() < 0.03
    assert told.params()["corpus"].n_unique() == 3
    with pytest.raises(UnknownNameError, match="group"):
        told.predict(test.with_columns(corpus=pl.lit("d")))


def test_shares_of_a_mixture_may_be_zero_and_scores_may_be_negative() -> None:
    rng = np.random.default_rng(3)
    shares = rng.dirichlet([0.6, 0.6, 0.6], 60)
    shares[:10] = np.eye(3)[rng.integers(3, size=10)]
    loss = 2 + np.exp(shares @ [-1.0, 0.3, 0.6]) + 0.002 * rng.standard_normal(60)
    rows = pl.DataFrame({"web": shares[:, 0], "code": shares[:, 1], "books": shares[:, 2], "loss": loss})
    told = sdb.discover(rows, "loss", ["web", "code", "books"], budget=1.5, holdout=sdb.largest("web", 0.15))
    assert told.table["test_error"][0] < 0.02
    assert told._table.of_kind("share") == (0, 1, 2)
    shifted = surface().with_columns(pl.col("loss") - 4)
    other = sdb.discover(
        shifted, "loss", ["n_params", "n_tokens"], holdout=sdb.largest("n_params", distinct=2), budget=1
    )
    assert other.table["test_error"][0] < 0.02
    assert not other._table.is_log


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows.head(6), "too few"),
        (lambda rows: rows.with_columns(n_tokens=pl.lit(1e9)), "does not vary"),
        (
            lambda rows: rows.with_columns(loss=pl.when(pl.int_range(pl.len()) > 10).then(2.0).otherwise("loss")),
            "are 2",
        ),
        (lambda rows: rows.with_columns(loss_unit=pl.Series(["nats", "bits"] * 32)), "several units"),
        (lambda rows: rows.with_columns(n_tokens=pl.col("n_tokens").cast(pl.String)), "not numbers"),
        (lambda rows: rows.clear(), "empty"),
        (
            lambda rows: rows.with_columns(
                n_params=pl.Series([1e8, 2e8] * 32), n_tokens=pl.Series(np.repeat([1e9, 2e9], 32))
            ),
            "3 different values",
        ),
    ],
)
def test_tables_that_cannot_be_searched_are_refused(change: object, said: str) -> None:
    rows = change(surface())  # type: ignore[operator]
    with pytest.raises(DataError, match=said):
        sdb.discover(rows, "loss", ["n_params", "n_tokens"], budget=1)


@pytest.mark.parametrize("budget", [0, -1, "soon", "0s", True, float("nan"), "1.2.3s"])
def test_a_budget_of_nothing_is_refused(budget: object) -> None:
    with pytest.raises(DataError, match="budget"):
        sdb.discover(surface(), "loss", ["n_params", "n_tokens"], budget=budget)  # type: ignore[arg-type]


def test_a_budget_that_buys_too_little_says_what_would_do() -> None:
    with pytest.raises(DataError, match="12 are the least"):
        sdb.discover(surface(), "loss", ["n_params", "n_tokens"], budget="0.1s")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(UnknownNameError, match="n_token"):
        sdb.discover(surface(), "loss", ["n_params", "n_token"], budget=1)


# ---- parts -------------------------------------------------------------------------------------


def test_fast_code_and_plain_formula_agree() -> None:
    rng = np.random.default_rng(4)
    rows = surface().with_columns(lr=pl.Series(rng.uniform(1e-4, 1e-2, 64)), experts=pl.Series(rng.integers(1, 9, 64)))
    table = read_table(rows, "loss", ["n_params", "n_tokens", "lr", "experts"], [])
    forms = seeds(table)
    forms += [child for form in forms[:4] for child in children(form, table)]
    logs = with_rows(table, 0.01).logs
    for form in forms:
        written = write(form, table)
        theta = [np.array([[spec.start[0] + 0.3 * (spec.start[1] - spec.start[0])]]) for spec in written.specs]
        fast = np.broadcast_to(written.function(table.x, logs, theta), (1, 64))[0]
        law = law_of(form, table, "tried")
        given = {spec.name: float(value[0, 0]) for spec, value in zip(written.specs, theta, strict=True)}
        plain = law.function(*(rows[name].to_numpy() for name in law.inputs), **given)
        assert np.allclose(fast, plain, rtol=1e-8), form


def test_the_order_of_parts_makes_no_other_form() -> None:
    a, b = Term("A", inputs=(0,)), Term("B", inputs=(1,))
    assert Form((), (a, b)).key == Form((), (Term("C", inputs=(1,)), Term("D", inputs=(0,)))).key
    assert Form((), (a, b)).key != Form((), (a, b), coupled=True).key
    assert Form((), (a,), valleys=(Valley(1, (0, 2)),)).key == Form((), (a,), valleys=(Valley(1, (2, 0)),)).key


def test_the_solver_finds_planted_parameters_of_groups() -> None:
    rows = pl.concat(
        [surface(0.0).with_columns(g=pl.lit("a")), surface(0.0).with_columns(pl.col("loss") + 0.5, g=pl.lit("b"))]
    )
    table = read_table(rows, "loss", ["n_params", "n_tokens"], ["g"])
    candidate = found(Form((), (Term("A", inputs=(0,)), Term("B", inputs=(1,)))), table, "shared")
    layout = candidate.layout(2)
    assert layout.n_params == 2 * 3 + 2
    data = with_rows(table, 0.01)
    start = np.zeros((1, layout.n_params))
    start[0, layout.table] = internal(candidate.specs, np.tile([1.0, 0.5, 0.3, 0.5, 0.3], (2, 1)))
    end, total = minimise(candidate.function, candidate.specs, layout, start, data, np.ones((1, 128)), 100)
    theta = natural(candidate.specs, end[0, layout.table])
    names = [spec.name for spec in candidate.specs]
    assert np.allclose(theta[:, names.index("E")], [1.7, 2.2], atol=0.01)
    assert np.allclose(theta[:, names.index("a1")], 0.34, atol=0.01)
    assert total[0] < 1e-8
    value = predict(candidate.function, candidate.specs, Layout(layout.table), end, data)
    assert np.allclose(value, table.y, rtol=1e-4)


def test_a_law_that_turns_beyond_the_rows_is_not_sound() -> None:
    table = read_table(surface(), "loss", ["n_params", "n_tokens"], [])
    rows = with_rows(table, 0.01)
    ahead = beyond(table, rows)
    candidate = found(Form(None, (Term("A", inputs=(0, 1), cross=((0, 0),)),)), table)
    names = [spec.name for spec in candidate.specs]
    theta = {"A": 3.0, "a1": 0.1, "a11": 0.0, "a2": 0.1}
    u = internal(candidate.specs, np.array([[theta[name] for name in names]]))[0]
    assert is_sound(candidate, u, ahead, 1)
    theta["a11"] = -0.05  # a parabola that rises again
    u = internal(candidate.specs, np.array([[theta[name] for name in names]]))[0]
    assert not is_sound(candidate, u, ahead, 1)


def test_hold_outs_take_the_larger_rows_and_split_no_value() -> None:
    table = read_table(surface(), "loss", ["n_params", "n_tokens"], [])
    cuts = inner_cuts(table, 6)
    assert sum(cut.weight for cut in cuts) == pytest.approx(1)
    scale = table.x[0] * table.x[1]
    for cut in cuts:
        along = scale if cut.axis == "scale" else table.x[[one.name for one in table.inputs].index(cut.axis)]
        assert along[cut.train].max() < along[cut.test].min()
        assert np.exp(cut.log_distance[cut.test]).min() > 1
    assert {cut.axis for cut in cuts} == {"scale", "n_params", "n_tokens"}


def test_the_error_of_a_median_is_the_median_of_errors() -> None:
    rng = np.random.default_rng(5)
    predicted, y = rng.uniform(1, 3, (3, 20)), rng.uniform(1, 3, 20)
    errors = np.log(predicted) - np.log(y)
    assert np.allclose(combined(list(errors)), np.log(np.median(predicted, axis=0) / y))


def test_intervals_grow_with_distance_and_with_optimism() -> None:
    own = InnerHoldouts(4, 3.0, 0.02, 0.0)
    far = np.log([0.5, 1.5, 8.0])
    low, high = interval_ends(own, 0.002, 5, 60, far, 2, 1.0, 0.95)
    assert (np.diff(high - low) > 0).all()
    wide_low, wide_high = interval_ends(own, 0.002, 5, 60, far, 2, 2.0, 0.95)
    assert wide_high[2] - wide_low[2] > high[2] - low[2]


def test_a_longer_search_says_how_far_it_is(caplog: pytest.LogCaptureFixture) -> None:
    table = read_table(surface(), "loss", ["n_params", "n_tokens"], [])
    budget = _search.Budget(60.0, 24)
    with caplog.at_level("INFO", logger="scalingdb"):
        logger = logging.getLogger("scalingdb")
        before, logger.propagate = logger.propagate, True
        try:
            _search.search(table, inner_cuts(table, 6), budget, 0, 0.01)
        finally:
            logger.propagate = before
    assert "of 24 evaluations" in caplog.text


def test_a_table_without_nested_hold_outs_has_a_result_all_the_same() -> None:
    x = np.repeat([1e6, 1e7, 1e8, 1e9], 6)
    rows = pl.DataFrame({"n_tokens": x, "loss": 1 + 30 * x**-0.2 + 0.001 * np.tile(np.arange(6), 4)})
    told = sdb.discover(rows, "loss", "n_tokens", budget=1)
    assert told.glance()["n_nested"].item() == told.ranking.n_nested
    assert told.glance().height == 1
    assert 0 < told.forecast({"n_tokens": 1e10})["prediction"].item() < 3


def test_a_best_value_is_seen_in_the_rows_where_the_name_says_nothing() -> None:
    rng = np.random.default_rng(3)
    n, d, rate = (
        np.exp(rng.uniform(np.log(low), np.log(high), 60)) for low, high in ((2e7, 2e9), (1e9, 4e11), (2e-4, 5e-3))
    )
    valley = 1 + 0.02 * np.log(rate / (1e-3 * (n / 1e8) ** -0.3)) ** 2
    loss = (1.8 + 300 * n**-0.33 + 500 * d**-0.29) * valley * (1 + 0.004 * rng.standard_normal(60))
    frame = pl.DataFrame({"params": n, "toks": d, "rate": rate, "loss": loss})
    kinds = {one.name: (one.kind, one.role) for one in read_table(frame, "loss", ["params", "toks", "rate"], ()).inputs}
    assert kinds == {"params": ("size", "params"), "toks": ("size", "tokens"), "rate": ("knob", "")}
    flat = frame.with_columns(loss=pl.Series(1.8 + 300 * n**-0.33 + 500 * d**-0.29 + rate**-0.1))
    assert read_table(flat, "loss", ["params", "toks", "rate"], ()).inputs[2].kind == "size"


def test_a_valley_and_a_term_in_one_input_have_parameters_of_their_own() -> None:
    rows = surface().with_columns(x=pl.Series(np.random.default_rng(6).uniform(1, 9, 64)))
    table = read_table(rows, "loss", ["n_params", "n_tokens", "x"], [])
    terms = tuple(Term(tag, inputs=(i,)) for i, tag in enumerate("ABC"))
    names = [spec.name for spec in write(Form((), terms, valleys=(Valley(2, (0, 1)),)), table).specs]
    assert len(names) == len(set(names)) == 1 + 3 + 3 + 4  # floor, scales, exponents; width, middle and its two moves
