"""The bootstrap of a fit: resamples solved together, each from the optimum of the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import DataError
from scalingdb.fits._problem import Options, Problem
from scalingdb.notices import notice

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.search import Found

__all__ = ["resample", "solve_all"]

FAR = 0.5
"""Share of residuals beyond the Huber threshold from which on a loss counts as near-absolute."""

DRAWN = {"residuals": "residuals on the law", "wild": "residuals with random signs"}


def resample(problem: Problem, resampled: str, found: Found, options: Options) -> tuple[FloatArray, str]:
    """Estimates (B, K) of every resample in natural units, and how they were drawn.

    `resampled` says what counts as independent among the rows.
    """
    if not options.bootstrap:
        return np.empty((0, len(problem.form.law.params))), resampled
    y, weights, how = _draw(problem, resampled, found, options)
    u, is_lost = solve_all(problem, found.u, found.others, y, weights)
    theta = problem.form.model.to_natural(u, problem.prepared)
    theta[is_lost] = np.nan  # a few distinct rows can leave a parameter free
    if is_lost.any():
        notice(
            f"{is_lost.sum()} of {is_lost.size} resamples leave a parameter undetermined; the intervals leave them out"
        )
    return problem.form.expand(theta), how


def _draw(problem: Problem, resampled: str, found: Found, options: Options) -> tuple[FloatArray, FloatArray, str]:
    """Observed values (n,) or (B, n) and weights (B, n) of every resample, and how they were drawn."""
    from scalingdb.estimation import uncertainty

    count = int(options.bootstrap)
    generator = np.random.default_rng(options.rng)
    if options.resample not in DRAWN:
        weights = uncertainty.cluster_weights(problem.clusters, problem.weights, count, generator)
        return problem.y, weights, resampled
    model, kind = problem.form.model, problem.kind
    prediction = model.evaluate(found.u[None], problem.prepared, 0).value[0]
    residual = kind.residual(problem.y, prediction)
    is_near_absolute = kind.is_absolute or (np.abs(residual) > kind.delta).mean() > FAR
    if options.resample == "wild" and is_near_absolute:
        raise DataError(
            f"a wild bootstrap under objective {kind.name!r} gives intervals that are too narrow: most residuals lie "
            "where the loss is an absolute value, and it passes through as many rows as there are parameters",
            'use resample="runs", or an objective of squares: objective="mse_log".',
        )
    if options.resample == "wild" and problem.n_clusters - model.n_params < uncertainty.FEW:
        raise DataError(
            f"a wild bootstrap of {problem.n_clusters} independent runs under {model.n_params} parameters gives "
            "intervals that are too narrow",
            f"leave bootstrap=0: the covariance is corrected for few runs. A wild bootstrap takes {uncertainty.FEW} "
            "more runs than parameters.",
        )
    drawn = uncertainty.resampled_residuals(
        residual, problem.weights, problem.clusters, model.n_params, count, generator, options.resample
    )
    y = prediction * np.exp(drawn) if kind.is_log else prediction + drawn
    how = DRAWN[options.resample] + (f", {resampled}" if options.resample == "wild" else "")
    return y, np.broadcast_to(problem.weights, y.shape), how


def solve_all(
    problem: Problem, start: FloatArray, others: FloatArray, y: FloatArray, weights: FloatArray
) -> tuple[FloatArray, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Internal parameters (B, k) of every resample, and which of them (B,) did not converge.

    All begin at `start` (k,); those that do not converge from there are tried from `others` (R, k) as well.
    """
    from scalingdb.estimation import solver

    def solve(at: FloatArray, rows: Any, damping: float) -> Any:
        own = y if y.ndim == 1 else y[rows]
        starts = np.tile(at, (len(rows), 1))
        taken = problem.prepared.take(rows)
        return solver.minimise(
            problem.form.model,
            problem.kind,
            starts,
            taken,
            own,
            weights[rows],
            penalty=problem.penalty,
            damping=damping,
        )

    warm = solve(start, np.arange(weights.shape[0]), 0.1)
    u, total, status = warm.u, warm.objective, warm.status
    for other in others:
        open_rows = np.flatnonzero(status == solver.ITERATION_LIMIT)
        if open_rows.size == 0:
            break
        again = solve(other, open_rows, 1.0)
        better = (again.status != solver.ITERATION_LIMIT) & (again.objective <= total[open_rows] * (1 + 1e-9))
        taken = open_rows[better]
        u[taken], total[taken], status[taken] = again.u[better], again.objective[better], again.status[better]
    return u, status == solver.ITERATION_LIMIT
