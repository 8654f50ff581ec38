"""Fits of the same runs are wrong together: which runs they share, and draws that know it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import check_seed
from scalingdb.fits import Fit
from scalingdb.fits._estimate import Estimate, natural
from scalingdb.planning._surface import N_DRAWS, BoolArray, FloatArray

__all__ = ["joint_scores", "same_resamples", "same_runs"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]

STEP = 1e-4
"""Standard deviations between the points of a difference, as in :meth:`Fit.propagate`."""

INDEPENDENT_BELOW = 1e-9
"""Share of a variance below which a direction counts as wholly shared: rounding leaves that much."""

RUN = ("source_id", "run_id")


def same_runs(a: Fit, b: Fit) -> tuple[IntArray, IntArray]:
    """Numbers of the runs (rows) behind the rows of each fit; the same run has the same number in both.

    A run is known by its `run_id`, and its source where both frames have one; else a row is known by the
    values of all columns that the frames share, and repeated rows are matched in their order.
    """
    shared = [name for name in a.data.columns if name in b.data.columns]
    is_named = "run_id" in shared and not any(fit.data["run_id"].null_count() for fit in (a, b))
    keys = [name for name in RUN if name in shared] if is_named else shared
    if not keys:
        rows = np.arange(a.data.height + b.data.height, dtype=np.int64)
        return rows[: a.data.height], rows[a.data.height :]
    tables = [fit.data.select(pl.col(keys).cast(pl.String)) for fit in (a, b)]
    if not is_named:
        tables = [table.with_columns(_occurrence=pl.int_range(pl.len()).over(keys).cast(pl.String)) for table in tables]
    number = pl.concat(tables).select(pl.struct(pl.all()).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    return number[: a.data.height], number[a.data.height :]


def same_resamples(a: Fit, b: Fit) -> bool:
    """Whether the resamples of both bootstraps drew the same runs (the same residuals, the same signs)."""
    if not a.samples.shape[0] or a.samples.shape[0] != b.samples.shape[0]:
        return False
    recipes = [(fit.recipe.resample, fit.recipe.by_run, fit.recipe.rng, fit.recipe.resampled) for fit in (a, b)]
    if recipes[0] != recipes[1] or not np.array_equal(a._clusters, b._clusters):
        return False
    return a.data.height == b.data.height and np.array_equal(*same_runs(a, b))


def joint_scores(a: Fit, b: Fit, count: int = N_DRAWS, rng: int = 0) -> tuple[FloatArray, FloatArray, int]:
    """Draws (count, K) along the axes of both fits' covariances, as dependent as their runs make them.

    The estimate of a fit moves by the sum of what each run contributes, its influence. Summed over the
    runs, products of the influences on `a` and on `b` are the covariance between the two fits, as the
    products of one fit's own are its robust covariance.

    Returns
    -------
    scores_a, scores_b
        In standard deviations, for :meth:`Fit.propagate`.
    n_shared : int
        Runs behind both fits.

    References
    ----------
    Hampel, J. Amer. Statist. Assoc. 69 (1974) 383-393, for influence; Weesie, Stata Technical Bulletin
    52 (1999) 34-47, for covariances across estimates of the same observations.
    """
    runs_a, runs_b = same_runs(a, b)
    shared = np.intersect1d(runs_a[a._weights > 0], runs_b[b._weights > 0])
    generator = np.random.default_rng(check_seed(rng))
    # one factor for both: few runs leave the scatter itself uncertain, and they have it in common
    degrees = min(fit._estimate.degrees for fit in (a, b))
    widen = np.sqrt(degrees / generator.chisquare(degrees, (count, 1)))
    scores_a = generator.standard_normal((count, len(a.params)))
    own = generator.standard_normal((count, len(b.params)))
    total = int(max(runs_a.max(), runs_b.max())) + 1
    correlation = _influence(a, runs_a, total) @ _influence(b, runs_b, total).T
    left, common, right = np.linalg.svd(correlation, full_matrices=True)
    size = common.size
    rest = 1 - np.minimum(common, 1.0) ** 2
    apart = np.ones(len(b.params))
    apart[:size] = np.sqrt(np.where(rest < INDEPENDENT_BELOW, 0.0, rest))
    drawn = own * apart
    drawn[:, :size] += scores_a @ left[:, :size] * np.where(rest < INDEPENDENT_BELOW, 1.0, np.minimum(common, 1.0))
    return widen * scores_a, widen * drawn @ right, int(shared.size)


def _influence(fit: Fit, runs: np.ndarray[Any, Any], total: int) -> FloatArray:
    """What each run (K, total) adds to the estimate, along the axes of the covariance in standard deviations."""
    estimate = fit._estimate
    axes = estimate.axes
    length = (axes**2).sum(axis=0)
    known = length > 1e-14 * length.max()
    inverse = np.where(known[:, None], axes.T / np.where(known, length, 1.0)[:, None], 0.0)
    slopes = _slopes(estimate, known)
    # weights and clipped residuals as in the robust covariance itself
    weights, score = estimate.problem.weights, _scores(estimate)
    root = slopes * np.sqrt(weights)
    leverage = np.einsum("in,ij,jn->n", root, np.linalg.pinv(root @ root.T, hermitian=True), root)
    stretched = slopes * weights * score / np.sqrt(1 - np.clip(leverage, 0.0, 0.95))
    rows = inverse @ estimate.curvature @ inverse.T @ stretched
    summed = np.zeros((total, len(fit.params)))
    np.add.at(summed, runs, rows.T)
    if fit.recipe.priors:  # a prior's share of the covariance is no run's
        count = max(np.unique(runs).size, 2)
        return np.asarray(np.sqrt(count / (count - 1)) * summed.T)
    # to unit variance: with other units of resampling (rows for runs) the length differs, the direction counts
    values, vectors = np.linalg.eigh(summed.T @ summed)
    used = values > 1e-10 * max(values.max(), 1e-300)
    white = vectors[:, used] / np.sqrt(values[used]) @ vectors[:, used].T
    return np.asarray(white @ summed.T)


def _slopes(estimate: Estimate, known: BoolArray) -> FloatArray:
    """Change (K, n) of every fitted row per standard deviation along each axis, on the objective's scale."""
    steps = STEP * estimate.axes.T[known]
    points = natural(estimate.centre + np.concatenate([steps, -steps]), estimate.is_log)
    points[:, estimate.held] = estimate.theta[estimate.held]
    values = estimate.problem.predict(points)
    if estimate.problem.kind.is_log:
        values = np.log(values)
    slopes = np.zeros((known.size, values.shape[1]))
    slopes[known] = (values[: len(steps)] - values[len(steps) :]) / (2 * STEP)
    return slopes


def _scores(estimate: Estimate) -> FloatArray:
    """Clipped residual of every row, as the objective weighs it."""
    problem = estimate.problem
    kind = problem.kind
    residual = kind.residual(problem.y, problem.predict(estimate.theta[None])[0])
    delta = 1e-6 * float(np.median(np.abs(residual))) + 1e-300 if kind.is_absolute else kind.delta
    side = 1.0 if kind.asymmetry == 0.5 else np.where(residual > 0, 2 * kind.asymmetry, 2 * (1 - kind.asymmetry))
    return np.asarray(np.clip(residual, -delta, delta) * side)
