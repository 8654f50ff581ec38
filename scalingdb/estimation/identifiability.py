"""What the data can and cannot fix: eigenvalues of the scaled information matrix, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scalingdb.estimation.model import FloatArray

__all__ = ["Identifiability", "assess"]

RANK_TOLERANCE = 1e-10
"""Smallest over largest eigenvalue below which a direction counts as not identified at all."""

WEAK_LOG_ERROR = 1.0
"""Standard error of a logarithm beyond which a scale is known to no better than a factor e."""

WEAK_RELATIVE_ERROR = 0.5
"""Standard error over estimate beyond which an exponent is weak."""

TRADE_OFF = 0.95
"""Correlation beyond which two parameters are said to trade off."""


@dataclass(frozen=True)
class Identifiability:
    """Verdict on a fit.

    Attributes
    ----------
    verdict : str
        ``identified``, ``weak: E-alpha trade-off``, ``at bound: E=0``, ``not identified: ...``.
    eigenvalues : array (k,)
        Of the information matrix scaled to unit diagonal, ascending. 1 means orthogonal
        parameters, 0 a direction that the data do not see.
    weakest : str
        The direction of the smallest eigenvalue, in words.
    """

    verdict: str
    eigenvalues: FloatArray
    weakest: str


def assess(
    names: Sequence[str],
    theta: FloatArray,
    is_log: np.ndarray[tuple[int], np.dtype[np.bool_]],
    jacobian: FloatArray,
    weights: FloatArray,
    covariance: FloatArray,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
    at_bound: Sequence[str],
) -> Identifiability:
    """Judge a fit from its Jacobian and covariance at the optimum.

    Parameters
    ----------
    names, theta, is_log : parameter names, natural estimates (k,), which are fitted as logarithms
    jacobian : array (k, n) in internal coordinates
    weights : array (n,)
    covariance : array (k, k) in internal coordinates
    free : array (k,) of bool
        Parameters that were fitted and are not at a bound.
    at_bound : texts such as ``"E=0"``
    """
    index = np.flatnonzero(free)
    if index.size == 0:
        return Identifiability("at bound: " + ", ".join(at_bound) if at_bound else "nothing fitted", np.empty(0), "")
    information = (jacobian[index] * weights) @ jacobian[index].T
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information / scale / scale[:, None]
    values, vectors = np.linalg.eigh(scaled)
    direction = vectors[:, 0]
    taking_part = [names[index[i]] for i in np.argsort(-np.abs(direction)) if abs(direction[i]) > 0.3]
    weakest = " and ".join(taking_part[:3]) + " trade off" if len(taking_part) > 1 else f"{taking_part[0]} has no effect"

    if at_bound:
        verdict = "at bound: " + ", ".join(at_bound)
    elif not np.isfinite(values).all() or values[0] <= RANK_TOLERANCE * values[-1]:
        verdict = "not identified: " + weakest
    else:
        error = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        weak = [
            i
            for i in index
            if error[i] > (WEAK_LOG_ERROR if is_log[i] else WEAK_RELATIVE_ERROR * max(abs(theta[i]), 1e-12))
        ]
        if not weak:
            verdict = "identified"
        else:
            correlation = covariance / np.maximum(np.outer(error, error), 1e-300)
            first = max(weak, key=lambda i: error[i] / (1.0 if is_log[i] else max(abs(theta[i]), 1e-12)))
            partner = max((j for j in index if j != first), key=lambda j: abs(correlation[first, j]), default=None)
            if partner is not None and abs(correlation[first, partner]) > TRADE_OFF:
                pair = sorted((first, partner))
                verdict = f"weak: {names[pair[0]]}-{names[pair[1]]} trade-off"
            else:
                verdict = "weak: " + ", ".join(names[i] for i in weak)
    return Identifiability(verdict, values, weakest)
