"""Where the search of a constrained fit begins: at the optima of looser problems.

A law's own starts, and the general search, look for the free optimum. Where a parameter is fixed,
tied, bounded or has a prior, the best place may be far from all of them, so a constrained fit also
begins where looser fits end:

* with parameters fixed or tied, at the free optimum, along a path that moves the fixed values from
  where they are there to where they are wanted;
* with priors, at the optimum for parameters fixed at the prior means;
* with bounds, at the free optimum if that lies inside. Else a bound that it violates is active: the
  parameter is fixed there, the rest fitted again, and so on (branch and bound over the active bounds).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.fits._form import Form, evaluate_law, make_form, make_penalty
from scalingdb.law_library import Law

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import Objective
    from scalingdb.estimation.search import Hints, Rows
    from scalingdb.estimation.solver import Penalty

__all__ = ["hints"]

Starts = Callable[[Sequence["FloatArray"], "FloatArray", "FloatArray"], "FloatArray"]

SLACK = 1e-9
"""Share of a bound by which an optimum may lie beyond it and still count as inside."""

MOST = 64
"""Sets of active bounds that are tried."""

GRIDDED = 2
"""So many non-linear parameters are searched on a full grid, which needs no other starts."""

STEPS = (0.05, 0.2, 0.5, 0.8, 1.0)
"""Shares of the way from the free value of a parameter to its fixed one, at each of which the rest is solved."""

PATHS = 4
"""Ends of the free fit from which such paths set out."""

MOST_KEPT = 4
"""Free fits that are kept for further fits of the same rows."""

_KEPT: dict[Any, tuple[Law, FloatArray]] = {}
_LOCK = threading.Lock()


def hints(
    form: Form,
    objective: Objective,
    wanted: Mapping[str, Any],
    *,
    is_bounded: bool = False,
    priors: Mapping[str, tuple[float, float]] | None = None,
    factor: float = 1.0,
) -> Hints:
    """Where the search for the free parameters of `form` begins, beside the general search.

    Parameters
    ----------
    form : Form
    objective : Objective
    wanted : mapping
        Options of the searches: ``n_starts``, ``seed``.
    is_bounded : bool
        Whether the fit has narrowed the law's bounds.
    priors, factor : as for :func:`make_penalty`
    """
    from scalingdb.estimation.search import Hints

    more = None
    if is_bounded:
        more = _within_bounds(form, objective, priors, factor, wanted)
    elif priors:
        more = _at_prior_means(form, objective, priors, wanted)
    elif (form.held or form.tied) and not _is_gridded(form):
        more = _from_free(form, objective, wanted)
    return Hints(form.own_starts(), more)


def _is_gridded(form: Form) -> bool:
    """Whether the general search covers all that the free parameters can be, and needs no other starts.

    It does on a full grid, unless a fixed scale leaves its exponent a thin strip between the cells.
    """
    law, model = form.law, form.model
    if law.starts is not None or model.basis is None or model.n_params - len(model.linear) > GRIDDED:
        return False
    return not any(set(law.linear_factors[name]) & set(form.free) for name in form.held if name in law.linear_params)


def _ends(
    form: Form,
    objective: Objective,
    rows: Rows,
    own: Hints | Starts | None,
    wanted: Mapping[str, Any],
    penalty: Penalty | None = None,
) -> FloatArray:
    """Free parameters (S, k) of `form` where the starts of a search ended, best first."""
    from scalingdb.estimation import search

    held = list(form.held.values())
    result = search.search(form.model, objective, rows, held, own=own, penalty=penalty, **wanted)
    if result is None:
        return np.empty((0, form.model.n_params))
    u = np.concatenate([result.u[None], result.polished[np.argsort(result.totals, kind="stable")], result.others])
    return form.model.to_natural(u, result.inputs)


def _from_free(form: Form, objective: Objective, wanted: Mapping[str, Any]) -> Starts:
    """Starts from the optimum of the law with nothing fixed or tied, along a path to the values wanted."""

    def starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        from scalingdb.estimation import search, solver

        theta = _free_ends(form.law, objective, search.Rows(tuple(inputs), y, weights), wanted)
        theta = theta[np.isfinite(theta).all(1)]
        if not len(theta):
            return np.empty((0, form.model.n_params))
        names = list(form.law.params)
        kept = [names.index(name) for name in form.free]
        held = {name: names.index(name) for name in form.held}
        found = [theta[:, kept]]
        if held and objective.n_items is None:
            begin = theta[:PATHS, list(held.values())]
            wanted_values = np.array(list(form.held.values()))
            point = theta[:PATHS, kept]
            for share in STEPS:
                values = _between(begin, wanted_values, share)
                prepared = form.model.prepare(inputs, [values[:, i : i + 1] for i in range(len(held))])
                u = form.model.to_internal(point, prepared)
                u = np.where(np.isfinite(u), u, 0.0)
                solved = solver.minimise(form.model, objective, u, prepared, y, weights, damping=0.1, max_iterations=40)
                point = form.model.to_natural(solved.u, prepared)
            found.append(point)
        return np.concatenate(found)

    return starts


def _free_ends(law: Law, objective: Objective, rows: Rows, wanted: Mapping[str, Any]) -> FloatArray:
    """Parameters (S, K) where a fit of the law with nothing fixed ends, best first.

    Fits of the same rows with one parameter fixed after the other share this one; it is kept.
    """

    def solved() -> FloatArray:
        free = make_form(law)
        return _ends(free, objective, rows, free.own_starts(), wanted)

    if objective.n_items is not None:
        return solved()
    facts = (objective.name, objective.delta, objective.asymmetry, objective.dispersion)
    content = tuple(np.ascontiguousarray(array).tobytes() for array in (*rows.inputs, rows.y, rows.weights))
    key = (id(law), facts, content, tuple(sorted(wanted.items())))
    with _LOCK:
        known = _KEPT.get(key)
    if known is None:
        known = (law, solved())
        with _LOCK:
            while len(_KEPT) >= MOST_KEPT:
                del _KEPT[next(iter(_KEPT))]
            _KEPT[key] = known
    return known[1]


def _between(begin: FloatArray, end: FloatArray, share: float) -> FloatArray:
    """Values at a share of the way, geometrically where both ends are positive."""
    is_positive = (begin > 0) & (end > 0)
    safe_begin, safe_end = np.where(is_positive, begin, 1.0), np.where(is_positive, end, 1.0)
    straight = begin + share * (end - begin)
    return np.where(share == 1.0, end, np.where(is_positive, safe_begin * (safe_end / safe_begin) ** share, straight))


def _at_prior_means(
    form: Form, objective: Objective, priors: Mapping[str, tuple[float, float]], wanted: Mapping[str, Any]
) -> Starts:
    """Starts where the parameters with priors are fixed at their means, and where nothing is known of them."""

    def starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        from scalingdb.estimation import search

        means = {
            name: float(np.clip(pair[0], form.law.params[name].low, form.law.params[name].high))
            for name, pair in priors.items()
        }
        point = np.array([[means.get(name, np.nan) for name in form.free]])
        if len(means) == len(form.free):
            return point
        rows = search.Rows(tuple(inputs), y, weights)
        sub = make_form(form.law, {**form.held, **means}, form.tied)
        theta = _ends(sub, objective, rows, hints(sub, objective, wanted), wanted)
        at_means = np.repeat(point, len(theta), axis=0)
        at_means[:, [form.free.index(name) for name in sub.free]] = theta
        return np.concatenate([at_means, _ends(form, objective, rows, form.own_starts(), wanted)])

    return starts


def _within_bounds(
    form: Form,
    objective: Objective,
    priors: Mapping[str, tuple[float, float]] | None,
    factor: float,
    wanted: Mapping[str, Any],
) -> Starts:
    """Starts inside the bounds of `form`, the best known one among them."""
    law, specs = form.law, form.model.params
    low, high = np.array([p.low for p in specs]), np.array([p.high for p in specs])

    def ends(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray, held: dict[str, float]) -> FloatArray:
        """Free parameters (S, k) of `form` where starts ended with some of them held, best first."""
        from scalingdb.estimation import search

        point = np.array([[held.get(name, np.nan) for name in form.free]])
        if len(held) == len(form.free):
            return point
        sub = make_form(law, {**form.held, **held}, form.tied)
        others = {name: pair for name, pair in (priors or {}).items() if name not in held}
        rows = search.Rows(tuple(inputs), y, weights)
        beside = hints(sub, objective, wanted, priors=others)
        sub_ends = _ends(sub, objective, rows, beside, wanted, make_penalty(sub, others, factor))
        theta = np.repeat(point, len(sub_ends), axis=0)
        theta[:, [form.free.index(name) for name in sub.free]] = sub_ends
        return theta

    def own(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        starts, best = [], np.inf
        waiting: list[dict[str, float]] = [{}]
        tried: set[frozenset[tuple[str, float]]] = set()
        while waiting and len(tried) < MOST:
            held = waiting.pop()
            if frozenset(held.items()) in tried:
                continue
            tried.add(frozenset(held.items()))
            theta = ends(inputs, y, weights, held)
            theta = theta[~np.isnan(theta).any(1)]
            if not len(theta):
                continue
            slack = SLACK * np.abs(np.where(np.isfinite([low, high]), [low, high], 0.0))
            below, above = theta < low - slack[0], theta > high + slack[1]
            inside = np.clip(theta, low, high)
            starts.append(inside)
            totals = value(inputs, y, weights, inside)
            # unless nothing that follows can be better: a bound more never lowers an objective
            if priors or value(inputs, y, weights, theta[:1])[0] < best:
                for i in np.flatnonzero(below[0] | above[0]):
                    waiting.append({**held, form.free[i]: float(low[i] if below[0, i] else high[i])})
            best = min(best, float(np.nanmin(np.where((below | above).any(1), np.inf, totals))))
        return np.concatenate(starts) if starts else np.empty((0, len(specs)))

    def value(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray, theta: FloatArray) -> FloatArray:
        """Objective (S,) at natural parameters, without priors; infinite where it is none."""
        total = objective.total(y, evaluate_law(law, form.expand(theta), list(inputs)), weights)
        return np.where(np.isfinite(total), total, np.inf)

    return own
