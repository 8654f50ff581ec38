"""The bootstrap of a fit: resamples solved together, each from the optimum of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import DataError
from scalingdb.fits._elsewhere import answers_of
from scalingdb.fits._problem import Options, Problem
from scalingdb.notices import notice

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import Objective
    from scalingdb.estimation.search import Found

__all__ = ["resample", "solve_all"]

FAR = 0.5
"""Share of residuals beyond the Huber threshold from which on a loss counts as near-absolute."""

PART = 4096
"""Most resamples that are solved together."""

PART_ELEMENTS = 1 << 26
"""Most resamples times rows that are solved together: what bounds the memory, 0.5 GB for an array of weights."""

DRAWN = {"residuals": "residuals on the law", "wild": "residuals with random signs"}


def resample(problem: Problem, resampled: str, found: Found, options: Options) -> tuple[FloatArray, str]:
    """Estimates (B, K) of every resample in natural units, and how they were drawn.

    `resampled` says what counts as independent among the rows. Parts depend on the counts of rows and resamples alone,
    so that every executor gives the numbers of this process.
    """
    if not options.bootstrap:
        return np.empty((0, len(problem.form.law.params))), resampled
    if options.resample == "wild":
        _refuse_narrow(problem, _residuals(problem, found)[1])
    parts = [
        replace(options, bootstrap=size, rng=seed, executor=None) for size, seed in _parts(problem.y.size, options)
    ]
    if options.executor is None:
        estimates = [_estimates(problem, found, part) for part in parts]
    else:
        estimates = list(answers_of(options.executor, _estimates, [(problem, found, part) for part in parts]))
    theta = np.concatenate(estimates)
    n_lost = int(np.isnan(theta).all(1).sum())
    if n_lost:
        notice(f"{n_lost} of {len(theta)} resamples leave a parameter undetermined; the intervals leave them out")
    if options.resample not in DRAWN:
        how = resampled
    else:
        how = DRAWN[options.resample] + (f", {resampled}" if options.resample == "wild" else "")
    return problem.form.expand(theta), how


def _parts(n_rows: int, options: Options) -> Iterator[tuple[int, Any]]:
    """Size of each part and the seed of its draws; the first draws as if it were the only one."""
    most = min(PART, max(1, PART_ELEMENTS // max(n_rows, 1)))
    for i, begin in enumerate(range(0, int(options.bootstrap), most)):
        yield min(most, int(options.bootstrap) - begin), [options.rng, i] if i else options.rng


def _estimates(problem: Problem, found: Found, options: Options) -> FloatArray:
    """Free natural parameters (B, k) of one part; a row of nan where a few distinct rows leave a parameter free."""
    y, weights = _draw(problem, found, options)
    u, is_lost = solve_all(problem, found.u, found.others, y, weights)
    theta = problem.form.model.to_natural(u, problem.prepared)
    theta[is_lost] = np.nan
    return theta


def _residuals(problem: Problem, found: Found) -> tuple[FloatArray, FloatArray]:
    """Predictions and residuals (n,) at the optimum."""
    prediction = problem.form.model.evaluate(found.u[None], problem.prepared, 0).value[0]
    return prediction, problem.kind.residual(problem.y, prediction)


def _draw(problem: Problem, found: Found, options: Options) -> tuple[FloatArray, FloatArray]:
    """Observed values (n,) or (B, n) and weights (B, n) of every resample."""
    from scalingdb.estimation import uncertainty

    count = int(options.bootstrap)
    generator = np.random.default_rng(options.rng)
    if options.resample not in DRAWN:
        return problem.y, uncertainty.cluster_weights(problem.clusters, problem.weights, count, generator)
    prediction, residual = _residuals(problem, found)
    drawn = uncertainty.resampled_residuals(
        residual,
        problem.weights,
        problem.clusters,
        problem.form.model.n_params,
        count,
        generator,
        options.resample,
    )
    y = prediction * np.exp(drawn) if problem.kind.is_log else prediction + drawn
    return y, np.broadcast_to(problem.weights, y.shape)


def _refuse_narrow(problem: Problem, residual: FloatArray) -> None:
    """Refuse a wild bootstrap whose intervals are known to be too narrow."""
    from scalingdb.estimation import uncertainty

    kind: Objective = problem.kind
    n_params = problem.form.model.n_params
    if kind.is_absolute or (np.abs(residual) > kind.delta).mean() > FAR:
        raise DataError(
            f"a wild bootstrap under objective {kind.name!r} gives intervals that are too narrow: most residuals lie "
            "where the loss is an absolute value, and it passes through as many rows as there are parameters",
            'use resample="runs", or an objective of squares: objective="mse_log".',
        )
    if problem.n_clusters - n_params < uncertainty.FEW:
        raise DataError(
            f"a wild bootstrap of {problem.n_clusters} independent runs under {n_params} parameters gives "
            "intervals that are too narrow",
            f"leave bootstrap=0: the covariance is corrected for few runs. A wild bootstrap takes {uncertainty.FEW} "
            "more runs than parameters.",
        )


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
