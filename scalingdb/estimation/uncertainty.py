"""How sure a fit is: resampled weights, a sandwich covariance, and percentiles of anything derived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
from scalingdb.estimation.objectives import Objective

__all__ = [
    "Linearised",
    "cluster_weights",
    "interval",
    "jacobian_at",
    "likelihood_unit",
    "resampled_residuals",
    "sandwich",
    "with_priors",
]

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Linearised:
    """A fit to first order at its optimum.

    Attributes
    ----------
    jacobian : array (k, n)
        Of the fitted quantity (a logarithm, where the objective takes logarithms).
    residual, weights : arrays (n,)
    clusters : array (n,)
        Number of the run (or other independent unit) of every row.
    inside : array (k,) of bool
        Parameters that are not at a bound.
    """

    jacobian: FloatArray
    residual: FloatArray
    weights: FloatArray
    clusters: IntArray
    inside: BoolArray


def cluster_weights(clusters: IntArray, weights: FloatArray, count: int, rng: np.random.Generator) -> FloatArray:
    """Weights (count, n) of `count` bootstrap resamples that draw whole clusters.

    A resample is a row of multiplicities, not a copy of the data. `clusters` (n,) numbers the run
    (or other unit) that each row belongs to: rows of one run are drawn together, because the
    checkpoints of a run are anything but independent.
    """
    n_clusters = int(clusters.max()) + 1
    drawn = rng.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters), size=count)
    return np.asarray(drawn[:, clusters] * weights, dtype=float)


def resampled_residuals(
    residual: FloatArray,
    weights: FloatArray,
    clusters: IntArray,
    n_free: int,
    count: int,
    rng: np.random.Generator,
    kind: str,
) -> FloatArray:
    """Residuals (count, n) to put on the fitted law.

    ``residuals`` draws from all of them, centred: rows are taken to scatter alike. ``wild`` keeps
    each where it is and draws a sign for every cluster: Rademacher's, or Webb's six values where
    clusters are few. Residuals of a fit are smaller than the errors were, by the rows that the
    parameters took; both are stretched accordingly.

    References
    ----------
    Wu, Ann. Statist. 14 (1986) 1261-1295; Webb, Queen's Economics Department paper 1315 (2013).
    """
    used = weights > 0
    n = int(used.sum())
    stretch = np.sqrt(n / max(n - n_free, 1))
    if kind == "residuals":
        pool = residual[used] - np.average(residual[used], weights=weights[used])
        return np.asarray(stretch * rng.choice(pool, size=(count, residual.size)))
    n_clusters = int(clusters.max()) + 1
    webb = np.sqrt([0.5, 1.0, 1.5])
    values = np.concatenate([-webb, webb]) if n_clusters < 12 else np.array([-1.0, 1.0])
    return np.asarray(stretch * rng.choice(values, size=(count, n_clusters))[:, clusters] * residual)


def jacobian_at(
    model: Model, objective: Objective, u: FloatArray, inputs: PreparedInputs, y: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Jacobian (k, n) of the fitted quantity and residuals (n,) at one internal point `u` (k,).

    Those of a likelihood are scaled so that its score is ``J r`` and its information ``J J'``.
    """
    evaluation = model.evaluate(u[None], inputs, 1)
    assert evaluation.gradient is not None
    prediction, gradient = evaluation.value[0], evaluation.gradient[0]
    if objective.is_likelihood:
        with np.errstate(all="ignore"):
            rows = objective.rows(y, prediction)
            root = np.sqrt(rows.majoriser)
            return gradient * root, -rows.first / root
    return (gradient / prediction if objective.is_log else gradient), objective.residual(y, prediction)


def _density_window(residual: FloatArray, weights: FloatArray, delta: float) -> FloatArray:
    """Derivative of psi for every row (n,), smoothed where delta is far below the residuals (Powell)."""
    if not np.isfinite(delta):
        return np.ones_like(residual)
    used = weights > 0
    spread = float(np.median(np.abs(residual[used]))) * 1.4826
    window = max(delta, 1.06 * spread * used.sum() ** -0.2)
    return np.asarray((np.abs(residual) <= window) * min(1.0, delta / window))


def likelihood_unit(objective: Objective, residual: FloatArray, weights: FloatArray, n_free: int) -> float:
    """What one unit of negative log likelihood is worth in the objective: the variance for squares."""
    delta = 1e-6 * float(np.median(np.abs(residual))) + 1e-300 if objective.is_absolute else objective.delta
    psi = np.clip(residual, -delta, delta)
    slope = (weights * _density_window(residual, weights, delta)).sum()
    n = int((weights > 0).sum())
    unit = float((weights * psi**2).sum() / max(slope, 1e-300) * n / max(n - n_free, 1))
    return unit / delta if objective.is_absolute else unit


def _stretch_by_leverage(lever: FloatArray, weights: FloatArray) -> FloatArray:
    """Factor (n,) that undoes how far each row pulled the fit towards itself (HC2)."""
    root = lever * np.sqrt(weights)
    share = np.einsum("in,ij,jn->n", root, np.linalg.pinv(root @ root.T, hermitian=True), root)
    return np.asarray(1.0 / np.sqrt(1.0 - np.clip(share, 0.0, 0.95)))


def sandwich(local: Linearised, delta: float, asymmetry: float = 0.5) -> tuple[FloatArray, FloatArray]:
    """Cluster-robust covariance (k, k) of the internal parameters; zero for parameters at a bound.

    The bread of a Huber estimate is the sum of ``J J'`` over the rows within delta. With a delta
    far below the residuals only a handful of rows lie there, so the sum runs over a wider window
    (Silverman's width) and is scaled down by delta over window: Powell's kernel estimate, which
    lets the scatter differ from row to row. The meat sums the scores within each cluster, each row's
    stretched by its leverage (HC2: rows at the corners of a small grid pull the fit to themselves),
    with a factor ``G/(G-1)`` for few clusters. Coverage is measured in ``benchmarks/``.

    Returns
    -------
    covariance, and the inverse of the bread: the inverse curvature of the objective

    References
    ----------
    Powell (1991), as used for quantile regression in Koenker, Quantile Regression (2005);
    Liang and Zeger, Biometrika 73 (1986) 13-22; MacKinnon and White, J. Econometrics 29 (1985)
    305-325.
    """
    residual, weights, clusters, free = local.residual, local.weights, local.clusters, local.inside
    covariance, curvature = np.zeros((2, free.size, free.size))
    side = 1.0 if asymmetry == 0.5 else np.where(residual > 0, 2 * asymmetry, 2 * (1 - asymmetry))
    psi = np.clip(residual, -delta, delta) * side
    inside = _density_window(residual, weights, delta) * side
    lever = local.jacobian[free]
    bread = (lever * (weights * inside)) @ lever.T
    scores = lever * (weights * psi) * _stretch_by_leverage(lever, weights)
    n_clusters = int(clusters.max()) + 1
    summed = np.zeros((lever.shape[0], n_clusters))
    np.add.at(summed.T, clusters, scores.T)
    meat = summed @ summed.T
    inverse = np.linalg.pinv(bread, hermitian=True)
    factor = n_clusters / max(n_clusters - 1, 1)
    covariance[np.ix_(free, free)] = factor * inverse @ meat @ inverse
    curvature[np.ix_(free, free)] = inverse
    return covariance, curvature


def with_priors(
    covariance: FloatArray, curvature: FloatArray, slopes: FloatArray, precisions: FloatArray, factor: float
) -> tuple[FloatArray, FloatArray]:
    """Covariance and inverse curvature (k, k) once priors count as further observations.

    Parameters
    ----------
    slopes : array (m, k)
        Of what each prior is about, by the parameters; zero for those at a bound.
    precisions : array (m,)
        One over the variance of each prior.
    factor : float
        What one unit of negative log likelihood is worth in the objective.
    """
    bread = np.linalg.pinv(curvature, hermitian=True)
    meat = bread @ covariance @ bread
    for slope, precision in zip(slopes, precisions, strict=True):
        square = slope[:, None] * slope
        bread = bread + factor * precision * square
        meat = meat + factor**2 * precision * square
    inverse = np.linalg.pinv(bread, hermitian=True)
    return inverse @ meat @ inverse, inverse


def interval(samples: FloatArray, level: float, axis: int = 0) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of bootstrap `samples`, ignoring samples that are not finite."""
    tail = 50.0 * (1.0 - level)
    with np.errstate(all="ignore"):
        clean = np.where(np.isfinite(samples), samples, np.nan)
        low, high = np.nanpercentile(clean, [tail, 100.0 - tail], axis=axis)
    return low, high
