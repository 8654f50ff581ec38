"""How sure a fit is: resampled weights, a sandwich covariance, and percentiles of anything derived."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
from scalingdb.estimation.objectives import Objective

__all__ = ["cluster_weights", "interval", "jacobian_at", "sandwich"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def cluster_weights(clusters: IntArray, weights: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Weights (count, n) of `count` bootstrap resamples that draw whole clusters.

    A resample is a row of multiplicities, not a copy of the data. `clusters` (n,) numbers the run
    (or other unit) that each row belongs to: rows of one run are drawn together, because the
    checkpoints of a run are anything but independent.
    """
    n_clusters = int(clusters.max()) + 1
    drawn = rng.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters), size=count)
    return np.asarray(drawn[:, clusters] * weights, dtype=float)


def jacobian_at(
    model: Model, objective: Objective, u: FloatArray, inputs: PreparedInputs, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Jacobian (k, n) of the fitted quantity and residuals (n,) at one internal point `u` (k,)."""
    evaluation = model.evaluate(u[None], inputs, 1)
    assert evaluation.gradient is not None
    prediction, gradient = evaluation.value[0], evaluation.gradient[0]
    return (gradient / prediction if objective.is_log else gradient), objective.residual(y, prediction)


def sandwich(
    jacobian: FloatArray,
    residual: FloatArray,
    weights: FloatArray,
    clusters: IntArray,
    delta: float,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> FloatArray:
    """Cluster-robust covariance (k, k) of the internal parameters; zero for parameters held fixed.

    The bread of a Huber estimate is the sum of ``J J'`` over the rows within delta. With a delta
    far below the residuals only a handful of rows lie there, so the sum runs over a wider window
    (Silverman's width) and is scaled down by delta over window: Powell's kernel estimate, which
    lets the scatter differ from row to row. The meat sums the scores within each cluster. A factor
    ``G/(G-1) * n/(n-k)`` corrects for few clusters.

    References
    ----------
    Powell (1991), as used for quantile regression in Koenker, Quantile Regression (2005);
    Liang and Zeger, Biometrika 73 (1986) 13-22.
    """
    k = jacobian.shape[0]
    covariance = np.zeros((k, k))
    psi = np.clip(residual, -delta, delta)
    used = weights > 0
    spread = float(np.median(np.abs(residual[used]))) * 1.4826
    window = max(delta, 1.06 * spread * used.sum() ** -0.2)
    inside = (np.abs(residual) <= window) * min(1.0, delta / window) if np.isfinite(delta) else np.ones_like(residual)
    lever = jacobian[free]
    bread = (lever * (weights * inside)) @ lever.T
    scores = lever * (weights * psi)
    n_clusters = int(clusters.max()) + 1
    summed = np.zeros((lever.shape[0], n_clusters))
    np.add.at(summed.T, clusters, scores.T)
    meat = summed @ summed.T
    inverse = np.linalg.pinv(bread, hermitian=True)
    degrees = max(int(used.sum()) - lever.shape[0], 1)
    factor = n_clusters / max(n_clusters - 1, 1) * used.sum() / degrees
    covariance[np.ix_(free, free)] = factor * inverse @ meat @ inverse
    return covariance


def interval(samples: FloatArray, level: float, axis: int = 0) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of bootstrap `samples`, ignoring samples that are not finite."""
    tail = 50.0 * (1.0 - level)
    with np.errstate(all="ignore"):
        clean = np.where(np.isfinite(samples), samples, np.nan)
        low, high = np.nanpercentile(clean, [tail, 100.0 - tail], axis=axis)
    return low, high
