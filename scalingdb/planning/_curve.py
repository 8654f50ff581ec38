"""A law with coefficients, or a fit, as a function of its inputs by name: what the operators work on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, unknown_name
from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import Fit, evaluate_law
from scalingdb.law_library import Law, PublishedSet, get_law
from scalingdb.published import has_intervals, refitted_sources
from scalingdb.schema import METRICS

__all__ = [
    "FAR",
    "N_DRAWS",
    "BoolArray",
    "Curve",
    "FloatArray",
    "curve_of",
    "facts_of_fit",
    "facts_of_law",
    "first_reached",
    "input_named",
    "is_better_higher",
    "root",
]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

N_DRAWS = 400
"""Draws from a robust covariance, where a fit has no bootstrap: as in :meth:`Fit.optimum`."""

FAR = 10.0
"""Times beyond the rows of a fit from which a plan warns: as predictions of a fit do."""

NUDGE = 1e-3
"""Share by which an undetermined parameter is moved, to see what depends on it."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """What a law yields, with the uncertainty of its coefficients.

    Attributes
    ----------
    law : Law
    label : str
        Law and coefficients, for sentences and legends.
    estimate : array (1, K)
    draws : array (P, K)
        As uncertain as the coefficients are; no rows where nobody stated that.
    interval : str
        How intervals are made, or why there are none.
    given : mapping
        Values of the inputs that are not open.
    ranges : mapping of str to (float, float)
        Over which the coefficients were fitted.
    far : float
        Times beyond a range from which a plan warns.
    unit : str or None
        Of the output.
    fit : Fit or None
        Behind the coefficients. Without a bootstrap its covariance holds to first order only.
    """

    law: Law
    label: str
    estimate: FloatArray = field(repr=False)
    draws: FloatArray = field(repr=False)
    interval: str
    given: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    far: float
    unit: str | None
    fit: Fit | None = field(default=None, repr=False)

    def value(self, theta: FloatArray, **inputs: FloatArray) -> FloatArray:
        """Output (P, B) for coefficients (P, K), at inputs (B,) or (P, B) by name; the others as given."""
        rows = np.broadcast_arrays(*(np.atleast_2d(values) for values in inputs.values()))
        known = dict(zip(inputs, rows, strict=True))
        blank = rows[0].shape
        arrays = [known[name] if name in known else np.full(blank, self.given[name]) for name in self.law.inputs]
        return evaluate_law(self.law, theta, arrays)

    @property
    def has_interval(self) -> bool:
        """Whether anything is known about how sure the coefficients are."""
        return len(self.draws) > 1

    @property
    def is_first_order(self) -> bool:
        """Whether draws follow the tangent of a quantity, for want of a bootstrap."""
        return self.fit is not None and not self.fit.samples.shape[0]

    def spread(
        self, solve: Callable[[FloatArray], Mapping[str, FloatArray]], scores: FloatArray | None = None
    ) -> dict[str, FloatArray]:
        """Quantities (P, B) as uncertain as the coefficients, of ``solve(theta (P, K)) -> {name: (P, B)}``.

        With `scores` (P, K): to first order at these deviations (see :meth:`Fit.propagate`).
        """
        if self.fit is None or not (self.is_first_order or scores is not None):
            return dict(solve(self.draws))
        names: list[str] = []

        def stacked(theta: FloatArray) -> FloatArray:
            quantities = solve(theta)
            names[:] = quantities
            shape = np.broadcast_shapes((theta.shape[0], 1), *(np.shape(value) for value in quantities.values()))
            return np.stack([np.broadcast_to(value, shape) for value in quantities.values()], axis=1)

        values = self.fit.propagate(stacked, count=N_DRAWS, scores=scores)
        return {name: values[:, i] for i, name in enumerate(names)}

    def reach_along(
        self,
        curves: Callable[[FloatArray], Mapping[str, FloatArray]],
        grid: FloatArray,
        wanted: FloatArray,
        scores: FloatArray | None = None,
    ) -> dict[str, FloatArray]:
        """Where each draw's loss along a path reaches `wanted` (P, B) or (B,), and all else there, to first order.

        The loss along the path is carried over to first order and each draw's curve is inverted: draws that
        level off above the loss never reach it. The slope of the inverse itself knows no floor.

        Parameters
        ----------
        curves : callable
            ``theta -> {name: (P, G)}`` along `grid` (G,), the ``loss`` among them.

        Returns
        -------
        dict
            ``x`` (P, B), infinite where a draw never reaches the loss, and the other curves there.
        """
        here = {name: np.broadcast_to(value, (1, grid.size)) for name, value in curves(self.estimate).items()}
        drawn = self.spread(curves, scores)
        wanted = np.broadcast_to(wanted, (len(drawn["loss"]), np.shape(wanted)[-1]))
        log_x = first_reached(np.log(grid), drawn["loss"], wanted)
        out = {"x": np.exp(log_x)}
        for name in here:
            if name != "loss":
                values = [np.interp(at, np.log(grid), np.log(row)) for at, row in zip(log_x, drawn[name], strict=True)]
                out[name] = np.where(np.isfinite(log_x), np.exp(np.array(values)), np.where(log_x > 0, np.inf, np.nan))
        return out

    def undetermined(self, solve: Callable[[FloatArray], Mapping[str, FloatArray]]) -> dict[str, BoolArray]:
        """Which quantities (B,) depend on parameters that the rows of the fit leave open."""
        open_names = self.fit.recipe.undetermined if self.fit is not None else ()
        if not open_names:
            return {}
        moved = np.repeat(self.estimate, len(open_names) + 1, axis=0)
        for i, name in enumerate(open_names):
            j = list(self.law.params).index(name)
            moved[i + 1, j] = moved[0, j] * (1 + NUDGE) if moved[0, j] else NUDGE
        result = {}
        for name, solved in solve(moved).items():
            values = np.broadcast_to(solved, (len(moved), np.shape(solved)[-1]))
            with np.errstate(all="ignore"):
                still = np.abs(values[1:] / values[0] - 1) < 1e-9
            result[name] = ~still.all(axis=0)
        return result

    @property
    def open_reason(self) -> str:
        """Why some quantities have no interval; empty where the rows determine all parameters."""
        if self.fit is None or not self.fit.recipe.undetermined:
            return ""
        return (
            f"the fit is {self.fit.verdict}: what depends on {', '.join(self.fit.recipe.undetermined)} has no interval"
        )

    def intervals(self, samples: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Percentiles over draws (P, B), or ``nan`` where the surface has none."""
        if not self.has_interval:
            blank = np.full(samples.shape[-1], np.nan)
            return blank, blank
        return interval(samples, level)

    def beyond(self, values: Mapping[str, FloatArray]) -> tuple[FloatArray, list[str]]:
        """How many times outside the fitted ranges (1 inside), and where, in words."""
        worst = np.ones(np.broadcast_shapes(*(np.shape(v) for v in values.values())))
        words = []
        for name, found in values.items():
            if name not in self.ranges:
                continue
            low, high = self.ranges[name]
            if not (low > 0 and np.isfinite(high)):
                continue
            with np.errstate(all="ignore"):
                ratio = np.fmax(np.fmax(found / high, low / found), 1.0)
            worst = np.fmax(worst, ratio)
            at = int(np.nanargmax(ratio))
            if ratio.flat[at] > self.far * (1 + 1e-9):
                side = "above" if np.asarray(found).flat[at] > high else "below"
                words.append(
                    f"{name} = {np.asarray(found).flat[at]:.3g} is {ratio.flat[at]:.3g} times {side} the range "
                    f"{low:.3g} to {high:.3g}"
                )
        return worst, words


def first_reached(x: FloatArray, losses: FloatArray, wanted: FloatArray) -> FloatArray:
    """Where falling curves (P, G) along x (G,) first reach a loss (P, B); infinite where they never do.

    ``nan`` where a curve starts below the loss or has no value.
    """
    out = np.full(wanted.shape, np.nan)
    rows = np.arange(len(losses))
    lost = ~np.isfinite(losses)
    filled = np.where(lost, np.inf, losses)
    for j, target in enumerate(wanted.T):
        below = filled <= target[:, None]
        cell = below.argmax(axis=1)
        reached = below.any(axis=1)
        right, left = filled[rows, cell], filled[rows, np.maximum(cell - 1, 0)]
        step = x[cell] - x[np.maximum(cell - 1, 0)]
        with np.errstate(all="ignore"):
            at = x[cell] - step * (target - right) / (left - right)
        out[:, j] = np.where(reached, np.where(np.isfinite(left) & (cell > 0), at, np.nan), np.inf)
        out[lost.all(axis=1) | ~np.isfinite(target), j] = np.nan
    return out


def root(
    value: Callable[[FloatArray], FloatArray], wanted: FloatArray, grid: FloatArray, count: int, steps: int = 60
) -> FloatArray:
    """Where a monotone function of x (P, B) takes a value; ``nan`` where it does not on the grid.

    The cell of the grid is found first, then the end that is kept twice is moved half way (the
    Illinois rule), which doubles the digits without derivatives.
    """
    wanted = np.atleast_1d(np.asarray(wanted, dtype=float))
    shape = (count, wanted.shape[-1])
    table = np.stack([np.broadcast_to(value(np.full(shape, x)), shape) - wanted for x in grid])
    with np.errstate(all="ignore"):
        crosses = np.isfinite(table[:-1]) & np.isfinite(table[1:]) & (table[:-1] * table[1:] <= 0)
    found = crosses.any(axis=0)
    cell = crosses.argmax(axis=0)
    rows = np.indices(shape)
    a, b = grid[cell], grid[cell + 1]
    fa, fb = table[cell, rows[0], rows[1]], table[cell + 1, rows[0], rows[1]]
    fa, fb = np.where(found, fa, 1.0), np.where(found, fb, -1.0)
    for _ in range(steps):
        with np.errstate(all="ignore"):
            x = np.where(fa == fb, 0.5 * (a + b), b - fb * (b - a) / (fb - fa))
        x = np.where(found, x, grid[0])
        fx = np.where(found, np.broadcast_to(value(x), shape) - wanted, 0.0)
        same = np.sign(fx) == np.sign(fb)
        a, fa = np.where(same, a, b), np.where(same, 0.5 * fa, fb)
        moved = np.abs(x - b)
        b, fb = x, fx
        if np.all(~found | (moved < 1e-12) | (fb == 0)):
            break
    return np.where(found, b, np.nan)


def _why_no_interval(law: Law, used: PublishedSet) -> str:
    """Why published coefficients give no interval, and how to get one."""
    why = (
        "no interval: the source gives one for each coefficient alone, and a plan depends on how they vary together"
        if has_intervals(law.name, used.source_id, used.variant)
        else "no interval: the source gives none"
    )
    if used.source_id in refitted_sources().get(law.name, ()):
        return f"{why}; the rows are in the warehouse: fit {law.name} to {used.source_id!r} and plan with that"
    return why


def facts_of_law(law: Law, variant: str | None, own: Mapping[str, float]) -> dict[str, Any]:
    """Fields of a :class:`Curve` for published coefficients, own ones, or a mixture of both.

    Raises
    ------
    DataError
        If the law has no published coefficients and not all are given.
    UnknownNameError
        For an unknown variant.
    """
    is_own = len(own) == len(law.params)
    if not is_own and not law.published:
        lacking = ", ".join(name for name in law.params if name not in own)
        raise DataError(f"law {law.name!r} has no published coefficients", f"fit it first, or give {lacking}.")
    params = dict(own) if is_own else {**law.coefficients(variant), **own}
    used = None if is_own else (law.published[variant] if variant is not None else law.default_set)
    set_name = "own coefficients" if used is None else used.variant + (", changed" if own else "")
    return {
        "law": law,
        "label": f"{law.name} ({set_name})",
        "estimate": np.array([[params[name] for name in law.params]], dtype=float),
        "draws": np.empty((0, len(law.params))),
        "interval": "no interval: the coefficients were given" if used is None or own else _why_no_interval(law, used),
        "ranges": MappingProxyType({} if is_own else dict(law.domain)),
        "far": 1.0,
        "unit": None if used is None else used.output_unit,
    }


def facts_of_fit(fit: Fit) -> dict[str, Any]:
    """Fields of a :class:`Curve` for a fit."""
    columns = fit.recipe.columns
    ranges = {}
    for name in fit.law.inputs:
        seen = fit.data[columns[name]].cast(pl.Float64)
        ranges[name] = (float(seen.min()), float(seen.max()))  # type: ignore[arg-type]
    found = fit.data["unit"].unique().to_list() if "unit" in fit.data.columns else []
    sources = ", ".join(fit.recipe.sources)
    resampled = fit.samples.shape[0]
    return {
        "law": fit.law,
        "label": f"{fit.law.name} fitted to {fit.data.height} rows{f' of {sources}' if sources else ''}",
        "estimate": np.array([list(fit.params.values())], dtype=float),
        "draws": fit.samples if resampled else fit.draws(N_DRAWS),
        "interval": (f"bootstrap {resampled}" if resampled else "robust covariance, to first order")
        + f", {fit.recipe.resampled}",
        "ranges": MappingProxyType(ranges),
        "far": FAR,
        "unit": str(found[0]) if len(found) == 1 and found[0] is not None else None,
        "fit": fit,
    }


def input_named(law: str | Law | Fit, name: str) -> str | None:
    """The law's input that goes by `name`: its own name, or the column a fit took for it; else None."""
    entry = law.law if isinstance(law, Fit) else get_law(law)
    if name in entry.inputs:
        return name
    columns = law.recipe.columns if isinstance(law, Fit) else {}
    return next((own for own, column in columns.items() if column == name), None)


def curve_of(
    law: str | Law | Fit,
    open_inputs: Sequence[str],
    given: Mapping[str, float],
    variant: str | None = None,
) -> Curve:
    """A law or fit with values for all inputs but those that stay open.

    Parameters
    ----------
    law : str, Law or Fit
    open_inputs : sequence of str
        Inputs of the law that an operator decides.
    given : mapping
        Values of the other inputs, by their names or a fit's columns, and own coefficients of a law.
    variant : str, optional
        Published coefficient set of a law.

    Raises
    ------
    DataError
        If an input has no value, or a value that it cannot take.
    UnknownNameError
        For an unknown law, variant, parameter or input.
    """
    entry = law.law if isinstance(law, Fit) else get_law(law)
    inputs: dict[str, float] = {}
    own: dict[str, float] = {}
    for name, value in given.items():
        as_input = input_named(law, name)
        if as_input is None and name not in entry.params:
            raise unknown_name("input", name, (*entry.inputs, *entry.params), f"(of law {entry.name!r})")
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
            raise DataError(
                f"{name}={value!r} is not a finite number", "give one number; for several values, call once for each."
            )
        if as_input is None:
            own[name] = float(value)
        elif as_input in open_inputs:
            raise DataError(f"{name!r} is what is asked for", "leave it out of the given values.")
        elif value <= 0 and as_input not in entry.signed_inputs:
            raise DataError(f"{name}={value!r} is not a positive number")
        else:
            inputs[as_input] = float(value)
    if missing := [name for name in entry.inputs if name not in inputs and name not in open_inputs]:
        raise DataError(f"law {entry.name!r} also takes {', '.join(missing)}", f"give it a value: {missing[0]}=...")
    if isinstance(law, Fit):
        if variant is not None:
            raise DataError(f"variant={variant!r} names published coefficients, and a fit has its own", "leave it out.")
        if own:
            name = next(iter(own))
            raise DataError(f"{name!r} is a parameter that the fit has estimated", "fit again with fixed={...}.")
        return Curve(**facts_of_fit(law), given=MappingProxyType(inputs))
    return Curve(**facts_of_law(entry, variant, own), given=MappingProxyType(inputs))


LESS_IS_BETTER = ("loss", "error", "failure", "nll", "perplexity", "gap")
"""Words in the name of an output of which less is better."""


def is_better_higher(output: str) -> bool | None:
    """Whether more of an output is better; None where nothing says so."""
    if output in METRICS:
        return METRICS[output].higher_is_better
    if any(word in output for word in LESS_IS_BETTER):
        return False
    words = ("accuracy", "score", "success", "pass", "acceptance", "bleu", "efficiency", "capability")
    return True if any(word in output for word in words) else None
