"""Predictive distributions of curves fitted by least squares, from refits to simulated data.

A normal approximation around the best parameters leaves the curved valley of good fits, and with few rows it forgets
that the scatter itself is uncertain. Here the curve is refitted to data simulated around it, with a scatter drawn from
its own distribution (residual degrees of freedom over chi-squared). For a linear curve with normal errors the draws
follow Student's t exactly; for others every draw is a curve that could have been fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalingdb.downstream._checks import FloatArray

__all__ = ["Curve", "Draws", "Refits", "prediction_interval"]

Curve = Callable[[FloatArray], FloatArray]
"""Parameters (B, k) to values (B, n) at fixed inputs."""

MOST_DRAWS, FEWEST_DRAWS = 1000, 200
CELLS = 200_000
"""Simulated values at most, as long as the fewest draws are kept."""
TINY = 1e-12

LEAST_DAMPING = 1e-10
"""Share of the diagonal that is always added to a system of normal equations."""
STEPS = 40
"""Iterations of the batched Levenberg-Marquardt solver; it starts at the fit that is simulated."""


@dataclass(frozen=True, eq=False)
class Draws:
    """Parameters (B, k) of refits, and the scatter (B,) that each was simulated with."""

    params: FloatArray
    scatter: FloatArray

    def repeated(self, count: int) -> Draws:
        """As many draws as another part of a chain has: the same ones in turn."""
        index = np.arange(count) % len(self.scatter)
        return Draws(self.params[index], self.scatter[index])


@dataclass(frozen=True, eq=False)
class Refits:
    """What is needed to simulate and refit a curve.

    Attributes
    ----------
    curve : callable
        At the fitted inputs, anchors last.
    params, low, high : arrays (k,)
        Fitted parameters and their bounds.
    residual : array (n,)
        Of the rows, without anchors, which are simulated without noise.
    scatter : float
        Standard deviation of the error of a new run.
    df : int
        Residual degrees of freedom; with none, nothing can be said about a new run.
    clusters : array (n,), optional
        The run of each row, where runs have several.
    inefficiency : float
        Standard error of the estimator used over that of least squares, with which refits are made.
    rival : (array (k,), float), optional
        Other parameters that fit nearly as well, and the share of the data sets that are simulated around them.
    """

    curve: Curve = field(repr=False)
    params: FloatArray
    low: FloatArray
    high: FloatArray
    residual: FloatArray = field(repr=False)
    scatter: float
    df: int
    clusters: NDArray[np.intp] | None = field(repr=False, default=None)
    inefficiency: float = 1.0
    rival: tuple[FloatArray, float] | None = field(repr=False, default=None)

    def draws(self, generator: np.random.Generator) -> Draws:
        """Refit the curve to 1,000 simulated data sets, to fewer (200 or more) where each is long."""
        count = int(np.clip(CELLS // self.residual.size, FEWEST_DRAWS, MOST_DRAWS))
        if self.df < 1:
            return Draws(np.tile(self.params, (count, 1)), np.full(count, np.inf))
        stretch = np.sqrt(self.df / generator.chisquare(self.df, count))
        errors = self._errors(generator, count) * (self.inefficiency * stretch)[:, None]
        centres = np.tile(self.params, (count, 1))
        if self.rival is not None:
            centres[generator.random(count) < self.rival[1]] = self.rival[0]
        simulated = np.array(self.curve(centres))
        simulated[:, : self.residual.size] += errors
        return Draws(_solve(self.curve, simulated, centres, self.low, self.high), self.scatter * stretch)

    def _errors(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Normal errors for rows that are runs of their own; whole runs with one random factor each otherwise."""
        if self.clusters is None:
            return self.scatter * generator.standard_normal((count, self.residual.size))
        n_runs = int(self.clusters.max()) + 1
        factor = generator.standard_normal((count, n_runs)) * np.sqrt(n_runs / self.df)
        return np.asarray(self.residual * factor[:, self.clusters])


def _solve(curve: Curve, y: FloatArray, start: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Bounded least squares for every row of `y` at once, each from its start (projected Levenberg-Marquardt steps).

    Parameters that may take any positive value are moved on a logarithmic scale.
    """
    is_log = (low == 0.0) & np.isposinf(high)
    lower = np.where(is_log, np.log(TINY), low)
    upper = np.where(is_log, 700.0, high)

    def natural(u: FloatArray) -> FloatArray:
        return np.where(is_log, np.exp(np.where(is_log, u, 0.0)), u)

    def residuals(u: FloatArray, rows: NDArray[np.bool_] | slice) -> FloatArray:
        with np.errstate(all="ignore"):
            return np.asarray(curve(natural(u)) - y[rows])

    first = np.where(is_log, np.log(np.maximum(start, TINY)), start)
    u = np.clip(first, lower, upper)
    damping = np.full(len(y), 1e-3)
    r = residuals(u, slice(None))
    cost = np.sum(r**2, axis=1)
    active = np.isfinite(cost)
    for _ in range(STEPS):
        if not active.any():
            break
        rows = active.copy()
        at, rest = u[rows], r[rows]
        jacobian = _jacobian(lambda v, rows=rows: residuals(v, rows), at, rest, upper)  # type: ignore[misc]
        gradient = (jacobian.transpose(0, 2, 1) @ rest[:, :, None])[:, :, 0]
        # a parameter at a bound that the gradient pushes against stays there
        blocked = ((at <= lower) & (gradient > 0)) | ((at >= upper) & (gradient < 0))
        jacobian = np.where(blocked[:, None, :], 0.0, jacobian)
        gradient = np.where(blocked, 0.0, gradient)
        normal = jacobian.transpose(0, 2, 1) @ jacobian
        # to unit diagonal, and never quite without damping: two parameters may do the same to every row
        root = np.sqrt(np.maximum(np.einsum("bkk->bk", normal), TINY))
        least = np.maximum(damping[rows], LEAST_DAMPING)[:, None, None] * np.eye(at.shape[1])
        system = normal / (root[:, :, None] * root[:, None, :]) + least
        step = -np.linalg.solve(system, (gradient / root)[:, :, None])[:, :, 0] / root
        moved = np.clip(at + np.clip(step, -5.0 - np.abs(at), 5.0 + np.abs(at)), lower, upper)
        after = residuals(moved, rows)
        new = np.sum(after**2, axis=1)
        better = np.isfinite(new) & (new < cost[rows])
        index = np.flatnonzero(rows)
        gain = np.where(better, cost[rows] - new, 0.0)
        u[index[better]], r[index[better]], cost[index[better]] = moved[better], after[better], new[better]
        damping[index] = np.where(better, damping[index] / 5, damping[index] * 5)
        settled = (better & (gain <= 1e-9 * cost[index])) | (damping[index] > 1e8) | (cost[index] <= TINY**2)
        active[index[settled]] = False
    return natural(u)


def _jacobian(residuals: Curve, u: FloatArray, here: FloatArray, upper: FloatArray) -> FloatArray:
    """Forward differences from the residuals `here` (backward at an upper bound), shape (B, n, k)."""
    out = np.empty((*here.shape, u.shape[1]))
    for j in range(u.shape[1]):
        width = 1e-6 * np.maximum(np.abs(u[:, j]), 1e-2)
        width = np.where(u[:, j] + width > upper[j], -width, width)
        moved = u.copy()
        moved[:, j] += width
        out[:, :, j] = (residuals(moved) - here) / width[:, None]
    return np.nan_to_num(out, copy=False, posinf=0.0, neginf=0.0)


def prediction_interval(
    values: FloatArray, scatter: FloatArray, level: float, generator: np.random.Generator, ends: Sequence[Any] = (0, 1)
) -> tuple[FloatArray, FloatArray]:
    """Interval of a new run from curve values (B, m) and scatters (B,), within `ends`, to which unknown values go."""
    wide = ~np.isfinite(scatter)
    noise = np.where(wide, 0.0, scatter)[:, None] * generator.standard_normal(values.shape)
    total = values + noise
    bad = wide[:, None] | ~np.isfinite(total)
    low, high = (
        np.quantile(np.where(bad, -np.inf, total), (1 - level) / 2, axis=0, method="lower"),
        np.quantile(np.where(bad, np.inf, total), (1 + level) / 2, axis=0, method="higher"),
    )
    return np.clip(low, *ends), np.clip(high, *ends)
