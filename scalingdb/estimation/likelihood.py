"""The likelihood behind an objective: which density of the residuals has it as its logarithm."""

from __future__ import annotations

import numpy as np

from scalingdb.estimation.model import FloatArray
from scalingdb.estimation.objectives import Objective

__all__ = ["log_likelihood"]

REACH = 3.0
"""Logarithm of the range around its first guess in which the scale is looked for."""


def _log_area(temperature: FloatArray, delta: float, is_absolute: bool) -> FloatArray:
    """Logarithm of the integral of exp(-loss / temperature): of a Huber loss, squares or absolute values."""
    from scipy.special import log_ndtr, logsumexp

    if is_absolute:
        return np.asarray(np.log(2 * temperature))
    normal = 0.5 * np.log(2 * np.pi * temperature)
    if not np.isfinite(delta):
        return np.asarray(normal)
    edge = delta / np.sqrt(temperature)
    # the bell between -delta and delta, and the two straight tails
    bell = normal + np.log(-np.expm1(np.log(2.0) + log_ndtr(-edge)))
    narrow = np.log(2 * delta)  # the same for an edge so small that the difference above is lost
    bell = np.where(edge < 1e-4, narrow, bell)
    tails = np.log(2 * temperature / delta) - 0.5 * edge**2
    return np.asarray(logsumexp(np.stack([bell, tails]), axis=0))


def log_likelihood(objective: Objective, y: FloatArray, prediction: FloatArray, weights: FloatArray) -> float:
    """Largest log likelihood of rows `y` (n,) over the scale of the residuals, as a density of y itself.

    The density of a residual r is ``exp(-loss(r) / t) / Z(t)``, so that the parameters that minimise
    the objective maximise the likelihood at every t; a weight divides t. Rows of weight zero are left
    out. A binomial has no scale: its logarithm follows from the deviance.

    Returns
    -------
    float
        ``inf`` where every residual is zero.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import gammaln, xlogy

    used = weights > 0
    y, prediction, weights = y[used], prediction[used], weights[used]
    total = float(objective.total(y, prediction, weights))
    if objective.name == "beta_binomial":
        return -0.5 * total
    if objective.is_likelihood:
        k = y * weights
        ways = gammaln(weights + 1) - gammaln(k + 1) - gammaln(weights - k + 1)
        saturated = ways + weights * (xlogy(y, y) + xlogy(1 - y, 1 - y))
        return float(saturated.sum() - 0.5 * total)
    # squares are reported without the one half that belongs to the density
    loss = total / objective.scale if not objective.is_absolute else total
    if loss <= 0:
        return float("inf")
    if not np.isfinite(loss):  # squares of values beyond 1e154
        return float("-inf")
    sides = (1.0,) if objective.asymmetry == 0.5 else (2 * objective.asymmetry, 2 * (1 - objective.asymmetry))

    def minus(log_temperature: float) -> float:
        temperature = np.exp(log_temperature) / weights
        # an asymmetric loss is a symmetric one of another temperature on each side
        areas = [_log_area(temperature / side, objective.delta, objective.is_absolute) for side in sides]
        area = areas[0] if len(areas) == 1 else np.logaddexp(*areas) - np.log(2.0)
        return float(loss / np.exp(log_temperature) + area.sum())

    guess = float(np.log(loss / y.size))
    found = minimize_scalar(minus, bounds=(guess - REACH, guess + REACH), method="bounded", options={"xatol": 1e-8})
    change_of_variable = float(np.log(y).sum()) if objective.is_log else 0.0
    return -float(found.fun) - change_of_variable
