"""What the data can and cannot fix: from the design, and from the curvature at the optimum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.estimation.model import FloatArray
from scalingdb.estimation.uncertainty import UNSEEN, Linearised
from scalingdb.estimation.verdicts import Kind, Reason, Verdict

__all__ = ["Design", "Identifiability", "assess", "examine", "wide_intervals"]

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

NULL_SHARE = 0.01
"""Share of a parameter in a direction that the data do not see, beyond which it is undetermined."""

INERT = 1e-9
"""Sensitivity, relative to the most sensitive parameter, below which a parameter has no effect."""

WEAK_LOG_ERROR = 1.0
"""Standard error of a logarithm beyond which a scale is known to no better than a factor e."""

WEAK_RELATIVE_ERROR = 0.5
"""Standard error over estimate beyond which an exponent is weak."""

TRADE_OFF = 0.95
"""Correlation beyond which two parameters are said to trade off."""

CLEAR = 0.3
"""Smallest eigenvalue beyond which no direction deserves to be called the weakest."""

MOVE_TOGETHER = 0.999
"""Correlation of two log inputs beyond which the data lie on a line and cannot tell them apart."""

NARROW_DECADES = 0.5
"""Range of an input below which a floor and an exponent look alike, whatever the curvature says."""


@dataclass(frozen=True)
class Design:
    """What is wrong with the data before any fit: reasons not to trust one, strongest first."""

    fatal: Reason | None = None
    weak: Reason | None = None


@dataclass(frozen=True)
class Identifiability:
    """Verdict on a fit.

    Attributes
    ----------
    verdict : Verdict
    eigenvalues : array
        Of the information matrix scaled to unit diagonal, ascending. 1 means orthogonal
        parameters, 0 a direction that the data do not see.
    weakest : str
        The direction of the smallest eigenvalue, in words.
    undetermined : tuple of str
        Parameters that the data leave open: they have no interval.
    unseen : array (m, k)
        Directions, in the coordinates of the Jacobian, along which the data say nothing: what
        depends on one of them has no interval either.
    """

    verdict: Verdict
    eigenvalues: FloatArray
    weakest: str
    undetermined: tuple[str, ...]
    unseen: FloatArray


def examine(
    logs: Mapping[str, FloatArray], y: FloatArray, weights: FloatArray, n_free: int, is_power: Sequence[bool] = ()
) -> Design:
    """Look at the design alone: rows against parameters, spread of the values, range of the inputs.

    Parameters
    ----------
    logs : mapping of column to natural logarithms (n,)
    y, weights : arrays (n,)
    n_free : int
        Free parameters.
    is_power : sequence of bool
        Inputs that enter as powers; all by default. Decades mean nothing for a date, or a number that may be
        negative: another zero would change them.
    """
    used = weights > 0
    if np.ptp(y[used]) <= 1e-12 * np.abs(y[used]).max():
        return Design(fatal=Reason("equal_values"))
    if used.sum() <= n_free:
        return Design(fatal=Reason("no_freedom", value=float(used.sum() - n_free)))
    names = list(logs)
    for i, first in enumerate(names):
        for second in names[:i]:
            left, right = logs[first][used], logs[second][used]
            if np.ptp(left) > 0 and np.ptp(right) > 0 and abs(np.corrcoef(left, right)[0, 1]) > MOVE_TOGETHER:
                return Design(fatal=Reason("move_together", (second, first)))
    for name in (name for i, name in enumerate(names) if not is_power or is_power[i]):
        decades = float(np.ptp(logs[name][used])) / np.log(10.0)
        if decades < NARROW_DECADES:
            return Design(weak=Reason("narrow_range", (name,), decades))
    return Design()


def assess(
    names: Sequence[str],
    theta: FloatArray,
    is_log: BoolArray,
    local: Linearised,
    covariance: FloatArray,
    at_bound: Mapping[str, float],
    design: Design,
) -> Identifiability:
    """Judge a fit from its Jacobian and covariance at the optimum.

    Parameters
    ----------
    names, theta, is_log : parameter names, natural estimates (k,), which are judged as logarithms
    local : Linearised
    covariance : array (k, k) in the same coordinates as the Jacobian
    at_bound : mapping of parameter to the bound it sits at
    design : Design
    """
    jacobian, weights, inside = local.jacobian, local.weights, local.inside
    jacobian, weights, inside = local.jacobian, local.weights, local.inside
    every = np.eye(len(names))
    bounds = tuple(Reason("at_bound", (name,), value) for name, value in at_bound.items())
    sensitivity = np.sqrt((jacobian**2 * weights).sum(1))
    finite = bool(np.isfinite(jacobian).all() and np.isfinite(theta).all())
    alive = inside & (sensitivity > INERT * sensitivity.max()) if finite else np.zeros_like(inside)
    inert = tuple(name for name, ok, live in zip(names, inside, alive, strict=True) if ok and not live)
    unseen_alone = every[inside & ~alive]
    index = np.flatnonzero(alive)
    if index.size == 0:
        reason = design.fatal or Reason("at_infinity")
        verdict = Verdict("at_bound", bounds) if bounds and not inert else Verdict("not_identified", (*bounds, reason))
        return Identifiability(verdict, np.empty(0), "", inert, unseen_alone)

    information = (jacobian[index] * weights) @ jacobian[index].T
    scale = np.sqrt(np.diag(information))
    values, vectors = np.linalg.eigh(information / scale / scale[:, None])
    weakest = "none"
    if index.size > 1 and values[0] < CLEAR:
        direction = vectors[:, 0]
        taking_part = [names[index[i]] for i in np.argsort(-np.abs(direction)) if abs(direction[i]) > 0.3]
        weakest = " and ".join(taking_part[:3]) + " trade off"
    blind = vectors[:, values <= UNSEEN * values[-1]]
    lost = [names[index[i]] for i in range(index.size) if (np.abs(blind[i]) > NULL_SHARE).any()]
    unseen = np.concatenate([unseen_alone, (blind / scale[:, None]).T @ every[index]])

    def judged(kind: Kind, undetermined: tuple[str, ...], *reasons: Reason | None) -> Identifiability:
        stated = (*bounds, *(reason for reason in reasons if reason is not None))
        directions = every[inside] if design.fatal else unseen
        return Identifiability(Verdict(kind, stated), values, weakest, undetermined, directions)

    if design.fatal:
        return judged("not_identified", tuple(names), design.fatal)
    if lost:
        return judged("not_identified", (*lost, *inert), Reason("undetermined", tuple(lost)))
    if bounds:
        return judged("at_bound", inert, design.weak)
    if inert:  # where no scale has vanished, something else does the same
        return judged("not_identified", inert, Reason("no_effect", inert))
    # a parameter that shifts every row alike has no zero of its own
    moves_all_alike = np.ptp(jacobian, axis=1) <= 1e-9 * np.abs(jacobian).max(1)
    weak = _weak(names, theta, is_log, covariance, np.flatnonzero(alive & ~(moves_all_alike & ~is_log)))
    return judged("weak" if weak or design.weak else "identified", inert, weak, design.weak)


def _weak(
    names: Sequence[str],
    theta: FloatArray,
    is_log: BoolArray,
    covariance: FloatArray,
    index: np.ndarray[Any, np.dtype[np.int64]],
) -> Reason | None:
    """Name the worst-known parameter with the one it trades off with, or nothing if all are well known."""
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    relative = error / np.where(is_log, 1.0, np.maximum(np.abs(theta), 1e-12))
    limit = np.where(is_log, WEAK_LOG_ERROR, WEAK_RELATIVE_ERROR)
    weak = [i for i in index if relative[i] > limit[i]]
    if not weak:
        return None
    return wide_intervals(names, covariance, sorted(weak, key=lambda i: -relative[i]))


def wide_intervals(names: Sequence[str], covariance: FloatArray, weak: Sequence[int]) -> Reason:
    """The reason for wide intervals: the trade-off of the first of `weak` with another parameter, or all of them."""
    error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    first = weak[0]
    correlation = np.abs(covariance[first]) / np.maximum(error[first] * error, 1e-300)
    correlation[first] = 0.0
    partner = int(np.argmax(correlation))
    if correlation[partner] > TRADE_OFF:
        pair = sorted((first, partner))
        return Reason("trade_off", (names[pair[0]], names[pair[1]]))
    return Reason("poorly_known", tuple(names[i] for i in sorted(weak)))
