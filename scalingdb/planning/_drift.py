"""What runs are worth when the law itself is not quite right: it drifts away from the truth with distance in scale.

A design for a law that is true everywhere buys the runs with the largest leverage, however far from what one wants to
know. Here the law is true at the target only. Elsewhere the observations drift away from it as a random walk along the
logarithms of the inputs, as fast as the law has missed its own larger rows, so that a run tells the more, the nearer
to the target it is trained; and a plain fit to far runs is biased, which more of them do not cure.

References
----------
Box and Draper, J. Amer. Statist. Assoc. 54 (1959) 622-654, on designs that fear bias as well as variance.
Sacks and Ylvisaker, Ann. Math. Statist. 37 (1966) 66-89, on designs under correlated errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from scalingdb.fits import Fit, drift_of, evaluate_law, log_positions, natural
from scalingdb.planning._curve import FloatArray

__all__ = ["Design", "Field", "IntArray", "Separation", "bought", "field_of"]

IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

STEP = 1e-5
"""Of differences, on the scale of the covariance."""

PRIOR_LOG, PRIOR_PLAIN = 3.0, 1.0
"""Standard deviations of the prior that keeps directions finite that no row has seen: of the logarithm of a scale, and
of an exponent."""

DRIFT = 2.0
"""Standard deviation of the random walk per root of a natural logarithm, over the law's typical miss."""

POWERS = (0.0, 0.5, 1.0)
"""Greedy rules: the most gain; the most gain over the root of the cost; the most gain per cost."""

LEAST_NOISE = 1e-3
"""Scatter of runs below which no fit is believed, as a share of the output."""


@dataclass(frozen=True, eq=False)
class Field:
    """A fit to first order with the drift of its law, at its own rows, at candidates, and at the target.

    Attributes
    ----------
    slopes : array (n + m, k)
        Derivatives of the predictions of rows and candidates, by the parameters in units of their prior.
    drift : array (n + m, n + m)
        Covariance of the drift of rows and candidates.
    target_slopes : array (q, k)
    shared : array (n + m, q)
        Covariance of the drift of rows and candidates with that at the targets.
    own : array (q,)
        Variance of the drift at the targets.
    noise : float
        Standard deviation of a run around the law, of logarithms if the objective takes them.
    n_rows : int
    """

    slopes: FloatArray
    drift: FloatArray
    target_slopes: FloatArray
    shared: FloatArray
    own: FloatArray
    noise: float
    n_rows: int


Functional = Callable[[FloatArray], FloatArray]
"""``functional(theta (P, K)) -> (P, q)``: what is asked, on the scale of its interval."""


def field_of(fit: Fit, candidates: pl.DataFrame, functional: Functional, targets: pl.DataFrame) -> Field:
    """A fit to first order.

    Parameters
    ----------
    candidates, targets : DataFrame
        With the columns that the fit used. The targets are where the law is held to be right.
    functional : callable
        Of all parameters of the law.
    """
    estimate = fit._estimate
    free = np.flatnonzero(~estimate.held)
    prior = np.where(estimate.is_log, PRIOR_LOG, PRIOR_PLAIN)[free]
    rows = pl.concat([frame.select(*fit.recipe.columns.values()) for frame in (fit.data, candidates)], how="diagonal")
    arrays = fit._arrays(rows)
    steps = STEP * np.maximum(np.abs(estimate.centre), 1.0)

    def slopes(function: Functional) -> FloatArray:
        moved = np.repeat(estimate.centre[None], 2 * free.size, axis=0)
        moved[np.arange(free.size), free] += steps[free]
        moved[free.size + np.arange(free.size), free] -= steps[free]
        theta = natural(moved, estimate.is_log)
        for name, source in fit.recipe.tied.items():
            theta[:, estimate.names.index(name)] = theta[:, estimate.names.index(source)]
        values = function(theta)
        change = (values[: free.size] - values[free.size :]) / (2 * steps[free, None])
        return np.asarray(change.T * prior)

    def predicted(theta: FloatArray) -> FloatArray:
        values = evaluate_law(fit.law, theta, arrays)
        return np.asarray(np.log(values) if fit._kind.is_log else values)

    with np.errstate(all="ignore"):
        lever, wanted = slopes(predicted), slopes(functional)
    at = log_positions(fit, rows)
    there = log_positions(fit, targets)
    miss, noise = drift_of(fit)
    everything = np.concatenate([at, there])
    home = there.mean(axis=0)
    walk = (DRIFT * miss) ** 2 * _walk(everything, home)
    n = len(at)
    q = wanted.shape[0]
    if len(there) == q:
        shared, own = walk[:n, n:], np.diag(walk)[n:]
    else:  # one question about several inputs
        shared, own = np.zeros((n, q)), np.zeros(q)
    return Field(lever, walk[:n, :n], wanted, shared, own, max(noise, LEAST_NOISE * _unit(fit)), fit.data.height)


def _walk(at: FloatArray, home: FloatArray) -> FloatArray:
    """Covariance (n, n) of a random walk that is nothing at home, between positions (n, axes)."""
    out = np.sqrt(np.square(at - home).sum(1))
    apart = np.sqrt(np.maximum(np.square(at[:, None] - at[None]).sum(-1), 0.0))
    return np.asarray(0.5 * (out[:, None] + out[None] - apart))


def _unit(fit: Fit) -> float:
    return (
        1.0 if fit._kind.is_log else float(np.median(np.abs(fit.data[fit.recipe.output].cast(pl.Float64).to_numpy())))
    )


class Design:
    """Expected squared error of what a plain fit says about the target, as runs are added to it.

    Attributes
    ----------
    error : float
        Mean over the targets, of the rows so far.
    """

    def __init__(self, part: Field) -> None:
        self.part = part
        rows = slice(0, part.n_rows)
        lever = part.slopes[rows]
        k = lever.shape[1]
        self.seen = list(range(part.n_rows))
        self.information = part.noise**2 * np.eye(k) + lever.T @ lever
        self.drifted = lever.T @ part.drift[rows, rows] @ lever
        self.shared = lever.T @ part.shared[rows]
        self.toward = lever.T @ part.drift[rows]
        self.error = self._error()

    def copy(self) -> Design:
        """The same state, which may go its own way."""
        other = object.__new__(Design)
        other.__dict__ = {**self.__dict__, "seen": list(self.seen)}
        return other

    def _error(self) -> float:
        part = self.part
        weights = np.linalg.solve(self.information, part.target_slopes.T)
        spread = self.drifted + part.noise**2 * self.information
        errors = (weights * (spread @ weights)).sum(0) - 2 * (weights * self.shared).sum(0) + part.own
        return float(errors.mean())

    def errors_with(self, runs: IntArray) -> FloatArray:
        """Error (r,) with each of some candidates added alone."""
        part = self.part
        rows = part.n_rows + runs
        lever = part.slopes[rows]
        weights = np.linalg.solve(self.information, part.target_slopes.T)
        turned = np.linalg.solve(self.information, lever.T)
        grown = 1.0 + (lever * turned.T).sum(1)
        moved = weights[None] - turned.T[:, :, None] * ((lever @ weights) / grown[:, None])[:, None, :]
        spread = self.drifted + part.noise**2 * self.information
        by_own = np.einsum("rk,rkq->rq", lever, moved)
        errors = (moved * np.einsum("kl,rlq->rkq", spread, moved)).sum(1)
        errors += 2 * np.einsum("kr,rkq->rq", self.toward[:, rows], moved) * by_own
        errors += (np.diag(part.drift)[rows] + part.noise**2)[:, None] * by_own**2
        errors -= 2 * ((moved * self.shared).sum(1) + by_own * part.shared[rows])
        return np.asarray((errors + part.own).mean(1))

    def add(self, run: int) -> None:
        """Buy a candidate."""
        part, row = self.part, self.part.n_rows + run
        lever, toward = part.slopes[row], self.toward[:, row]
        self.drifted = (
            self.drifted
            + np.outer(toward, lever)
            + np.outer(lever, toward)
            + part.drift[row, row] * np.outer(lever, lever)
        )
        self.information = self.information + np.outer(lever, lever)
        self.shared = self.shared + np.outer(lever, part.shared[row])
        self.toward = self.toward + np.outer(lever, part.drift[row])
        self.seen.append(row)
        self.error = self._error()


class Separation:
    """How far apart two laws lie on the same rows, once each has bent towards the other as far as it can.

    Attributes
    ----------
    error : float
        The squared distance in standard deviations of the scatter, negative: less is better, as for a design.
    """

    def __init__(self, parts: tuple[Field, Field], gap: FloatArray) -> None:
        noise = max(part.noise for part in parts)
        self.noise = noise
        self.spread = [part.slopes @ part.slopes.T for part in parts]
        self.left = [gap.copy(), gap.copy()]
        self.total = 0.0
        self.n_rows = parts[0].n_rows
        for row in range(self.n_rows):
            self._take(row)

    @property
    def error(self) -> float:
        return -self.total

    def copy(self) -> Separation:
        """The same state, which may go its own way."""
        other = object.__new__(Separation)
        other.__dict__ = {**self.__dict__, "spread": list(self.spread), "left": list(self.left)}
        return other

    def errors_with(self, runs: IntArray) -> FloatArray:
        """Error (r,) with each of some candidates added alone."""
        rows = self.n_rows + runs
        gain = [
            left[rows] ** 2 / (np.diag(spread)[rows] + self.noise**2)
            for left, spread in zip(self.left, self.spread, strict=True)
        ]
        return np.asarray(-self.total - np.mean(gain, axis=0))

    def add(self, run: int) -> None:
        """Buy a candidate."""
        self._take(self.n_rows + run)

    def _take(self, row: int) -> None:
        for i in range(2):
            spread, left = self.spread[i], self.left[i]
            whole = spread[row, row] + self.noise**2
            self.total += 0.5 * float(left[row] ** 2 / whole)
            self.left[i] = left - spread[:, row] * (left[row] / whole)
            self.spread[i] = spread - np.outer(spread[:, row], spread[row]) / whole


@dataclass(frozen=True, eq=False)
class Purchase:
    """Runs in the order in which they are bought, and the error after each.

    Attributes
    ----------
    runs : list of (part, run)
    errors : list of float
    """

    runs: list[tuple[int, int]] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)


State = Design | Separation


def bought(states: list[State], costs: FloatArray, budget: float, most: int | None = None) -> Purchase:
    """The best set of runs that a budget pays for, by greedy purchase under three rules.

    Parameters
    ----------
    states : list
        One for each fit; errors add up. Every candidate may be bought once for each.
    costs : array (len(states), m)
        Infinite where a candidate is not for that fit.
    budget : float
    most : int, optional
        Runs at most.
    """
    return min((_greedy(states, costs, budget, power, most) for power in POWERS), key=_last)


def _last(purchase: Purchase) -> float:
    return purchase.errors[-1] if purchase.errors else np.inf


def _greedy(states: list[State], costs: FloatArray, budget: float, power: float, most: int | None) -> Purchase:
    """Buy on until the money is gone; keep the runs up to where the error was least."""
    states = [state.copy() for state in states]
    left = budget
    runs: list[tuple[int, int]] = []
    errors: list[float] = []
    is_free = np.isfinite(costs)
    while most is None or len(runs) < most:
        open_ = is_free & (costs <= left * (1 + 1e-12))
        if not open_.any():
            break
        best: tuple[float, int, int] | None = None
        for part, state in enumerate(states):
            candidates = np.flatnonzero(open_[part])
            if not candidates.size:
                continue
            gain = state.error - state.errors_with(candidates)
            price = costs[part, candidates] ** power
            worth = np.where(gain > 0, gain / price, gain * price)  # a loss is the worse, the dearer it is
            i = int(worth.argmax())
            if best is None or worth[i] > best[0]:
                best = (float(worth[i]), part, int(candidates[i]))
        assert best is not None
        _, part, run = best
        states[part].add(run)
        is_free[part, run] = False
        left -= float(costs[part, run])
        runs.append((part, run))
        errors.append(sum(state.error for state in states))
    if not runs:
        return Purchase()
    stop = int(np.argmin(errors)) + 1
    return Purchase(runs[:stop], errors[:stop])
