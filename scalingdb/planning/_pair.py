"""Two laws side by side: comparable or refused, and with draws that go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.errors import DataError
from scalingdb.fits import Fit
from scalingdb.law_library import Law, get_law
from scalingdb.notices import argument
from scalingdb.planning._curve import Curve, FloatArray
from scalingdb.planning._dependence import joint_scores, same_resamples
from scalingdb.planning._surface import BUDGETS, Cost, Surface, make_cost, surface_of

__all__ = ["Pair", "SurfacePair", "pair_of", "paired", "refuse_unused"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair:
    """Two curves whose draws go together, row by row.

    Attributes
    ----------
    draws : (array (P, K_a), array (P, K_b)) or None
        Coefficients; None where both are taken to first order.
    scores : (array or None, array or None)
        In place of coefficients: deviations along the axes of a fit's covariance.
    """

    a: Curve
    b: Curve
    interval: str
    draws: tuple[FloatArray | None, FloatArray | None] = (None, None)
    scores: tuple[FloatArray | None, FloatArray | None] = (None, None)

    @property
    def has_interval(self) -> bool:
        return any(part is not None for part in (*self.draws, *self.scores))

    @property
    def open_reason(self) -> str:
        """Which parameters the rows leave open, where they do."""
        reasons = {f"{curve.label}: {curve.open_reason}" for curve in (self.a, self.b) if curve.open_reason}
        return "; ".join(sorted(reasons))

    def spread(self, side: int, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Draws (P, B) of a quantity of one side, of ``function(theta (P, K))``."""
        curve, draws, scores = (self.a, self.b)[side], self.draws[side], self.scores[side]
        if scores is not None:
            return curve.spread(lambda theta: {"value": function(theta)}, scores)["value"]
        assert draws is not None
        return function(draws)


@dataclass(frozen=True, eq=False, kw_only=True)
class SurfacePair(Pair):
    """Two loss surfaces whose draws go together, and what a run costs under each."""

    a: Surface
    b: Surface
    cost_a: Cost
    cost_b: Cost

    def budget_for(self, side: int, wanted: FloatArray, extra: FloatArray) -> FloatArray:
        """Draws (P, B) of the budget whose best split reaches a loss; infinite where a draw never does.

        `extra` are budgets that the interpolation shall meet exactly.
        """
        surface, cost = ((self.a, self.cost_a), (self.b, self.cost_b))[side]
        draws, scores = self.draws[side], self.scores[side]
        if scores is not None:
            grid = np.unique(np.concatenate([BUDGETS, extra]))

            def curve(theta: FloatArray) -> dict[str, FloatArray]:
                return {"loss": surface.best(theta, grid, cost)[2]}

            return surface.reach_along(curve, grid, wanted, scores)["x"]
        assert draws is not None
        budget = surface.budget_for(draws, wanted, cost)
        return np.where(np.isnan(budget) & ~surface.reaches(draws, wanted, cost), np.inf, budget)


def pair_of(
    a: str | Law | Fit, b: str | Law | Fit, given: Mapping[str, float], convention: str, omega: float, *, pool: bool
) -> SurfacePair:
    """Both surfaces, checked to be comparable.

    Raises
    ------
    DataError
        If their losses have different units or were measured on different texts.
    """
    first, second = (surface_of(law, None, _taken(law, given)) for law in (a, b))
    return SurfacePair(
        a=first,
        b=second,
        cost_a=make_cost(convention, first.size, omega),
        cost_b=make_cost(convention, second.size, omega),
        **paired(first, second, pool=pool),
    )


def paired(first: Curve, second: Curve, *, pool: bool) -> dict[str, Any]:
    """Fields of a :class:`Pair`: how the draws of both curves go together.

    Raises
    ------
    DataError
        If their outputs have different units or were measured on different texts.
    """
    a, b = first.fit, second.fit
    if not pool:
        if first.unit is not None and second.unit is not None and first.unit != second.unit:
            raise DataError(
                f"losses of {first.label} are in {first.unit}, of {second.label} in {second.unit}: not comparable",
                f"fit both to losses of one unit; {argument(pool=True)} compares all the same.",
            )
        if a is not None and b is not None:
            for column in ("eval_set", "tokenizer_id"):
                seen = [set(f.data[column].unique().to_list()) if column in f.data.columns else set() for f in (a, b)]
                if all(seen) and not seen[0] & seen[1]:
                    raise DataError(
                        f"the fits' losses differ in {column}: {sorted(map(str, seen[0]))} and "
                        f"{sorted(map(str, seen[1]))}",
                        f"compare on one text and tokenizer; {argument(pool=True)} compares all the same.",
                    )
    for curve in (first, second):
        if not curve.has_interval:
            return {"interval": f"{curve.label}: {curve.interval}"}
    assert a is not None
    assert b is not None
    if same_resamples(a, b):
        return {"interval": "paired: the same resamples of the same runs", "draws": (first.draws, second.draws)}
    scores = joint_scores(a, b)
    words = f"{first.interval}; {second.interval}"
    if scores[2]:
        return {
            "interval": f"joint robust covariance to first order: {scores[2]} runs are behind both fits",
            "scores": scores[:2],
        }
    if first.is_first_order and second.is_first_order:
        return {"interval": f"independent: {words}", "scores": scores[:2]}
    # nothing in common: an order of their own, so that no accident of seeds ties the two together
    size = min(len(first.draws), len(second.draws))
    order = np.random.default_rng(0).permutation(len(second.draws))[:size]
    return {
        "interval": f"independent: {words}",
        "draws": (
            None if first.is_first_order else first.draws[:size],
            None if second.is_first_order else second.draws[order],
        ),
        "scores": (
            scores[0][:size] if first.is_first_order else None,
            scores[1][:size] if second.is_first_order else None,
        ),
    }


def _taken(law: str | Law | Fit, given: Mapping[str, float]) -> dict[str, float]:
    """Of the values given for both laws, those that this one takes as inputs."""
    entry = law.law if isinstance(law, Fit) else get_law(law)
    return {name: value for name, value in given.items() if name in entry.inputs}


def refuse_unused(a: str | Law | Fit, b: str | Law | Fit, given: Mapping[str, float]) -> None:
    unused = [name for name in given if name not in _taken(a, given) and name not in _taken(b, given)]
    if unused:
        raise DataError(f"neither law takes the input {unused[0]!r}", "own coefficients belong to a law or a fit.")
