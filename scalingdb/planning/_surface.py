"""A law with coefficients, or a fit, as a loss over N and D: what every plan is made from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from scalingdb import units
from scalingdb.errors import DataError, unknown_name
from scalingdb.fits import Fit, evaluate_law, with_law_error
from scalingdb.law_library import Law, PublishedSet, get_law
from scalingdb.law_library._optimum import TokenFunction, least_loss, tokens_6nd
from scalingdb.published import has_intervals, refitted_sources
from scalingdb.schema import N_DEFINITIONS

__all__ = [
    "BUDGETS",
    "CONVENTIONS",
    "N_DRAWS",
    "BoolArray",
    "Cost",
    "FloatArray",
    "Surface",
    "ends",
    "first_reached",
    "make_cost",
    "root",
    "surface_of",
]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

N_DRAWS = 400
"""Draws from a robust covariance, where a fit has no bootstrap: as in :meth:`Fit.optimum`."""

FAR = 10.0
"""Times beyond the rows of a fit from which a plan warns: as predictions of a fit do."""

CONVENTIONS = ("6nd", "total", "non_embedding")

BUDGETS = np.geomspace(1e8, 1e36, 561)
"""Budgets in FLOP between which a loss is looked for; serving alone costs FLOP, so a small one may lead nowhere."""

NUDGE = 1e-3
"""Share by which an undetermined parameter is moved, to see what depends on it."""

ENDLESS = 1e300
"""Stands for infinity in percentiles, which interpolate."""


@dataclass(frozen=True)
class Cost:
    """What training costs: ``6 * count(N) * D`` FLOP, and ``2 * count(N)`` for each token served.

    Attributes
    ----------
    count : callable
        The parameters that are paid for, from N as the law counts it.
    words : str
        The formula, for the notes of a plan.
    is_plain : bool
        Whether the count is the law's own N.
    """

    count: Callable[[FloatArray], FloatArray]
    words: str
    is_plain: bool

    def tokens(self, served: FloatArray | float = 0.0) -> TokenFunction:
        """Training tokens that a budget leaves, once `served` tokens are paid for."""
        if self.is_plain and not np.any(served):
            return tokens_6nd
        return lambda n, budget: budget / 6 / self.count(n) - np.asarray(served) / 3

    def train(self, n: FloatArray, d: FloatArray) -> FloatArray:
        """FLOP of the training run."""
        return 6 * self.count(n) * d

    def total(self, n: FloatArray, d: FloatArray, served: FloatArray | float) -> FloatArray:
        """FLOP of the training run and of the tokens served."""
        return self.train(n, d) + 2 * self.count(n) * served


def make_cost(convention: str, size: str, omega: float) -> Cost:
    """The cost under a convention, for a law whose N is the input `size`.

    Raises
    ------
    UnknownNameError
        If the convention is none of ours.
    DataError
        If N cannot be converted to the count that the convention pays for.
    """
    if convention not in CONVENTIONS:
        raise unknown_name("flops_convention", convention, CONVENTIONS)
    wanted = {"6nd": size, "total": "n_params", "non_embedding": "n_params_non_embedding"}[convention]
    if wanted == size:
        return Cost(lambda n: n, f"6*N*D, N as the law counts it ({size})", is_plain=True)
    if (wanted, size) == ("n_params", "n_params_non_embedding"):
        words = f"6*N*D with N of all parameters, from those without embeddings (omega = {omega:.5g})"
        return Cost(lambda n: np.asarray(units.n_params_total(n, omega=omega)), words, is_plain=False)
    if (wanted, size) == ("n_params_non_embedding", "n_params"):
        words = f"6*N*D with N without embeddings, from all parameters (omega = {omega:.5g})"
        return Cost(lambda n: np.asarray(units.n_params_non_embedding(n, omega=omega)), words, is_plain=False)
    raise DataError(
        f"flops_convention={convention!r} needs {wanted}, and the law counts {size}",
        "take flops_convention='6nd'.",
    )


@dataclass(frozen=True, eq=False)
class Surface:
    """A loss over N and D with the uncertainty of its coefficients.

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
    size : str
        Input of the law that is N.
    given : mapping
        Values of the inputs other than N and D.
    ranges : mapping of str to (float, float)
        Over which the coefficients were fitted.
    far : float
        Times beyond a range from which a plan warns.
    unit : str or None
        Of the loss.
    fit : Fit or None
        Behind the coefficients. Without a bootstrap its covariance holds to first order only.
    """

    law: Law
    label: str
    estimate: FloatArray = field(repr=False)
    draws: FloatArray = field(repr=False)
    interval: str
    size: str
    given: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    far: float
    unit: str | None
    fit: Fit | None = field(default=None, repr=False)

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

    def loss(self, theta: FloatArray, n: FloatArray, d: FloatArray) -> FloatArray:
        """Loss (P, B) at sizes and tokens (P, B) for coefficients (P, K)."""
        return evaluate_law(self.law, theta, self._inputs(n, d))

    def _inputs(self, n: FloatArray, d: FloatArray) -> list[FloatArray]:
        """Inputs of the law, each (P, B)."""
        n, d = np.broadcast_arrays(np.atleast_2d(n), np.atleast_2d(d))
        inputs = []
        for name in self.law.inputs:
            if name == self.size:
                inputs.append(n)
            elif name == "n_tokens":
                inputs.append(d)
            elif name == "n_tokens_unique":  # data that a run has not seen do not count
                inputs.append(np.minimum(self.given[name], d))
            else:
                inputs.append(np.full(n.shape, self.given[name]))
        return inputs

    def best(
        self, theta: FloatArray, budget: FloatArray, cost: Cost, served: FloatArray | float = 0.0
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Best N and D for budgets and their loss, each (P, B); ``nan`` where there is no best N."""
        count, budgets = theta.shape[0], np.atleast_1d(np.asarray(budget, dtype=float))
        full = (count, budgets.shape[-1])
        if self.law.best_split is not None and cost.is_plain and not np.any(served) and not self.given:
            params = {name: theta[:, i : i + 1] for i, name in enumerate(self.law.params)}
            with np.errstate(all="ignore"):
                n, d = (np.broadcast_to(part, full) for part in self.law.best_split(budgets, **params))
            inside = np.isfinite(n) & np.isfinite(d)
        else:
            n, d, inside = least_loss(lambda n, d: self.loss(theta, n, d), budgets, (count,), cost.tokens(served))
        n, d = np.where(inside, n, np.nan), np.where(inside, d, np.nan)
        return n, d, np.where(inside, self.loss(theta, n, d), np.nan)

    def budget_for(
        self, theta: FloatArray, wanted: FloatArray, cost: Cost, served: FloatArray | float = 0.0, what: str = "loss"
    ) -> FloatArray:
        """Budget (P, B) whose best split reaches a loss, an N or a D; ``nan`` where none does."""
        position = ("n", "d", "loss").index(what)

        def value(log_c: FloatArray) -> FloatArray:
            return self.best(theta, np.exp(log_c), cost, served)[position]

        grid = np.log(BUDGETS[::20])
        return np.exp(root(value, wanted, grid, theta.shape[0]))

    def reaches(self, theta: FloatArray, wanted: FloatArray, cost: Cost, served: FloatArray | float = 0.0) -> BoolArray:
        """Whether the best split of the largest budget looked at is as good as a loss; true where it has none."""
        least = self.best(theta, BUDGETS[-1:], cost, served)[2]
        return np.asarray(~(least > wanted))

    def intervals(self, samples: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Percentiles over draws (P, B), or ``nan`` where the surface has none."""
        if not self.has_interval:
            blank = np.full(samples.shape[-1], np.nan)
            return blank, blank
        return ends(samples, level)

    def allow_for_law_error(
        self, n: FloatArray, d: FloatArray, loss: FloatArray, ends: tuple[FloatArray, FloatArray], level: float
    ) -> tuple[FloatArray, FloatArray]:
        """Ends (B,) of the loss at N and D (B,); beyond the fitted range they allow for the law's own error."""
        if self.fit is None or not self.has_interval:
            return ends
        inputs = [values[0] for values in self._inputs(n, d)]
        low, high, _ = with_law_error(self.fit._estimate, inputs, loss, *ends, level)
        return low, high

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


def ends(samples: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    """Percentiles over draws (P, ...); infinite draws count as such, ``nan`` is left out."""
    finite = np.clip(samples, -ENDLESS, ENDLESS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all draws are nan
        low, high = np.nanpercentile(finite, [50 * (1 - level), 50 * (1 + level)], axis=0)
    low, high = (np.where(np.abs(end) > 1e-50 * ENDLESS, np.copysign(np.inf, end), end) for end in (low, high))
    return low, high


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


def _size_of(law: Law) -> str:
    """The input that is N.

    Raises
    ------
    DataError
        If the law holds no trade-off of N against D, with the reason.
    """
    takes = ", ".join(law.inputs)
    if law.output != "loss":
        raise DataError(
            f"law {law.name!r} yields {law.output}, not a loss: there is nothing to minimise",
            "take a loss surface such as chinchilla or farseer.",
        )
    sizes = [name for name in law.inputs if name in N_DEFINITIONS]
    if not sizes and "n_params_average" in law.inputs:
        sizes = ["n_params_average"]
    if len(sizes) != 1 or "n_tokens" not in law.inputs:
        lacks = "tokens D" if len(sizes) == 1 else "parameters N" if "n_tokens" in law.inputs else "N and D"
        raise DataError(
            f"law {law.name!r} holds no trade-off of parameters against tokens: it takes {takes}, and lacks {lacks}",
            "take a surface over both, such as chinchilla, farseer or muennighoff_repeat.",
        )
    return sizes[0]


def surface_of(
    law: str | Law | Fit, variant: str | None = None, given: Mapping[str, float] = MappingProxyType({})
) -> Surface:
    """The loss surface of a law with published or own coefficients, or of a fit.

    Parameters
    ----------
    law : str, Law or Fit
    variant : str, optional
        Published coefficient set of a law.
    given : mapping
        Values of the inputs other than N and D, and own coefficients of a law.

    Raises
    ------
    DataError
        If there is no trade-off of N against D, or an input has no value.
    UnknownNameError
        For an unknown law, variant, parameter or input.
    """
    if isinstance(law, Fit):
        return _of_fit(law, variant, given)
    entry = get_law(law)
    size = _size_of(entry)
    inputs = _other_inputs(entry, size, given)
    own = {name: float(value) for name, value in given.items() if name in entry.params}
    is_own = len(own) == len(entry.params)
    if not is_own and not entry.published:
        lacking = ", ".join(name for name in entry.params if name not in own)
        raise DataError(
            f"law {entry.name!r} has no published coefficients",
            f"fit it first, or give {lacking}.",
        )
    params = own if is_own else {**entry.coefficients(variant), **own}
    used = None if is_own else (entry.published[variant] if variant is not None else entry.default_set)
    set_name = "own coefficients" if used is None else used.variant + (", changed" if own else "")
    return Surface(
        law=entry,
        label=f"{entry.name} ({set_name})",
        estimate=np.array([[params[name] for name in entry.params]], dtype=float),
        draws=np.empty((0, len(entry.params))),
        interval="no interval: the coefficients were given" if used is None or own else _why_no_interval(entry, used),
        size=size,
        given=MappingProxyType(inputs),
        ranges=MappingProxyType({} if is_own else dict(entry.domain)),
        far=1.0,
        unit=None if used is None else used.output_unit,
    )


def _other_inputs(law: Law, size: str, given: Mapping[str, float]) -> dict[str, float]:
    decided = {size, "n_tokens"}
    for name in given:
        if name in decided:
            raise DataError(f"{name!r} is what a plan decides", "leave it out, or fix it as the budget.")
        if name not in law.params and name not in law.inputs:
            raise unknown_name("input", name, (*law.inputs, *law.params), f"(of law {law.name!r})")
    others = [name for name in law.inputs if name not in decided]
    if missing := [name for name in others if name not in given]:
        raise DataError(
            f"law {law.name!r} also takes {', '.join(missing)}, which the budget does not decide",
            f"give it a value: plan(..., {missing[0]}=...).",
        )
    for name in others:
        value = given[name]
        if not np.isfinite(value) or (value <= 0 and name not in law.signed_inputs):
            raise DataError(f"{name}={value!r} is not a positive number")
    return {name: float(given[name]) for name in others}


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


def _of_fit(fit: Fit, variant: str | None, given: Mapping[str, float]) -> Surface:
    if variant is not None:
        raise DataError(f"variant={variant!r} names published coefficients, and a fit has its own", "leave it out.")
    law, size = fit.law, _size_of(fit.law)
    if own := [name for name in given if name in law.params]:
        raise DataError(f"{own[0]!r} is a parameter that the fit has estimated", "fit again with fixed={...}.")
    columns = fit.recipe.columns
    ranges = {}
    for name in law.inputs:
        seen = fit.data[columns[name]].cast(pl.Float64)
        ranges[name] = (float(seen.min()), float(seen.max()))  # type: ignore[arg-type]
    found = fit.data["unit"].unique().to_list() if "unit" in fit.data.columns else []
    sources = ", ".join(fit.recipe.sources)
    resampled = fit.samples.shape[0]
    return Surface(
        law=law,
        label=f"{law.name} fitted to {fit.data.height} rows{f' of {sources}' if sources else ''}",
        estimate=np.array([list(fit.params.values())], dtype=float),
        draws=fit.samples if resampled else fit.draws(N_DRAWS),
        interval=(f"bootstrap {resampled}" if resampled else "robust covariance, to first order")
        + f", {fit.recipe.resampled}",
        size=size,
        given=MappingProxyType(_other_inputs(law, size, given)),
        ranges=MappingProxyType(ranges),
        far=FAR,
        unit=str(found[0]) if len(found) == 1 and found[0] is not None else None,
        fit=fit,
    )
