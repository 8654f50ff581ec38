"""Where the search of a bounded fit begins: the optima of fits that are free, or held at a bound.

A bounded optimum is the free one if that lies inside. Else some bound that the free one violates
holds it: the parameter is fixed there, the rest fitted anew, and so on (branch and bound over the
active bounds). A search from starts inside the box alone may miss both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.fits._form import Form, evaluate_law, make_form, make_penalty

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import Objective

__all__ = ["within_bounds"]

SLACK = 1e-9
"""Share of a bound by which an optimum may lie beyond it and still count as inside."""

MOST = 64
"""Sets of active bounds that are tried."""


def within_bounds(
    form: Form, kind: Objective, priors: Mapping[str, tuple[float, float]] | None, factor: float, wanted: dict[str, Any]
) -> Callable[..., FloatArray]:
    """Starts ``own(inputs, y, weights) -> (S, k)`` inside the bounds of `form`, the best known one among them.

    Parameters
    ----------
    form : Form
        With bounds.
    kind : Objective
    priors, factor : as for :func:`make_penalty`
    wanted : options of the searches: ``n_starts``, ``seed``
    """
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
        own, penalty = sub.own_starts(), make_penalty(sub, others, factor)
        found = search.search(sub.model, kind, rows, list(sub.held.values()), own=own, penalty=penalty, **wanted)
        if found is None:
            return point[:0]
        u = np.concatenate([found.u[None], found.polished[np.argsort(found.totals, kind="stable")], found.others])
        theta = np.repeat(point, len(u), axis=0)
        theta[:, [form.free.index(name) for name in sub.free]] = sub.model.to_natural(u, found.inputs)
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
        total = kind.total(y, evaluate_law(law, form.expand(theta), list(inputs)), weights)
        return np.where(np.isfinite(total), total, np.inf)

    return own
