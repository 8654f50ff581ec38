"""What each run does to a fit: residual, leverage, and the answer without it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError
from scalingdb.fits._bootstrap import solve_all
from scalingdb.fits._estimate import BoolArray, Estimate, natural
from scalingdb.fits._form import evaluate_law
from scalingdb.fits._local import carried, optimum_of, settle, small, spread
from scalingdb.fits._propagate import optimal

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.uncertainty import Linearised
    from scalingdb.fits._result import Fit
    from scalingdb.fits._rows import IntArray

__all__ = ["Runs", "influence", "influential", "labels_of", "runs_of"]

CHANCE = 0.02
"""Probability that the largest residual of a study with normal errors stands out."""

MOST_OUTLIERS = 5
"""Runs that are left out, one at a time, to see whether the answer moves."""

STEP = 1e-4
"""Share of a change by which a quantity is differenced: small against the bend of a law."""


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of a fit, judged by least squares at its optimum.

    Attributes
    ----------
    numbers : array (G,)
        Of the runs, as the problem's clusters count them.
    sizes : array (G,)
        Rows of each.
    residual : array (G,)
        Mean residual of the rows of each, on the scale of the objective.
    leverage : array (G,)
        Sum of the leverages of the rows of each.
    studentised : array (G,)
        Residual of each over the scatter of the others; ``nan`` with too few runs to tell.
    """

    numbers: IntArray
    sizes: IntArray
    residual: FloatArray
    leverage: FloatArray
    studentised: FloatArray

    def outlying(self, n_free: int) -> IntArray:
        """Positions of the runs whose residual stands out, the largest first."""
        from scalingdb.estimation.uncertainty import t_quantile

        count = self.numbers.size
        if count - n_free - 1 < 2:
            return np.empty(0, dtype=np.int64)
        limit = t_quantile(count - n_free - 1, 1 - CHANCE / count)
        found = np.flatnonzero(np.abs(self.studentised) > limit)
        return found[np.argsort(-np.abs(self.studentised[found]))]


def runs_of(local: Linearised) -> Runs:
    """Residual and leverage of every run, by least squares at the optimum."""
    root = np.sqrt(local.weights)
    lever = _lever(local)
    squares = np.linalg.pinv(lever @ lever.T, hermitian=True)
    left = root * local.residual - lever.T @ (squares @ (lever @ (root * local.residual)))
    leverage = np.einsum("in,ij,jn->n", lever, squares, lever)
    numbers, position, sizes = np.unique(local.clusters, return_inverse=True, return_counts=True)

    def summed(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(position, values, numbers.size), dtype=float)

    share = summed(leverage)
    z = summed(left / np.sqrt(np.maximum(1 - leverage, 1e-9))) / sizes
    mean_share = np.minimum(share / sizes, 1.0)
    rest = np.maximum((np.square(z) * (1 - mean_share)).sum() - np.square(z), 0.0)
    degrees = numbers.size - int(local.inside.sum()) - 1
    with np.errstate(all="ignore"):
        studentised = z / np.sqrt(rest / degrees) if degrees > 0 else np.full(z.size, np.nan)
    return Runs(numbers, sizes, summed(local.residual) / sizes, share, studentised)


def _lever(local: Linearised) -> FloatArray:
    """Jacobian (k, n) with the roots of the weights; zero at a bound, and where the optimum is infinite."""
    return np.nan_to_num(local.jacobian * np.sqrt(local.weights)) * local.inside[:, None]


def _shifts(local: Linearised, curvature: FloatArray, delta: float, numbers: IntArray) -> FloatArray:
    """Change (G, k) of the coordinates of the covariance without each run, to first order; exact for squares."""
    root = np.sqrt(local.weights)
    lever = _lever(local)
    squares = np.linalg.pinv(lever @ lever.T, hermitian=True)
    score = root * np.clip(local.residual, -delta, delta)
    shifts = np.empty((numbers.size, lever.shape[0]))
    for g, number in enumerate(numbers):
        own = lever[:, local.clusters == number]
        hat = own.T @ squares @ own
        pull = np.linalg.lstsq(np.eye(hat.shape[0]) - hat, score[local.clusters == number], rcond=1e-9)[0]
        shifts[g] = -curvature @ own @ pull
    return shifts


def without_each(estimate: Estimate, numbers: IntArray) -> tuple[FloatArray, BoolArray]:
    """Internal parameters (G, k) fitted without each run, and whether (G,) that did not converge."""
    problem = estimate.problem
    weights = np.where(problem.clusters == numbers[:, None], 0.0, problem.weights)
    start = optimum_of(estimate).u
    return solve_all(problem, start, np.empty((0, start.size)), problem.y, weights)


def influential(estimate: Estimate, runs: Runs, outlying: IntArray) -> list[int]:
    """Those of the outlying runs that move the answer beyond its interval.

    The answer is anything that depends on the parameters: without the run, some combination of them moves by more
    than the half-width of its interval in the fit that lacks the run.
    """
    problem = estimate.problem
    moving: list[int] = []
    # by squares, which move farther than a robust loss: most outliers could not move an answer if they tried
    share = np.minimum(runs.leverage / runs.sizes, 1 - 1e-9)[outlying]
    outlying = outlying[np.square(runs.studentised[outlying]) * share / (1 - share) > 2.0][:MOST_OUTLIERS]
    numbers = runs.numbers[outlying]
    if not numbers.size:
        return moving
    points, is_lost = without_each(estimate, numbers)
    here = optimum_of(estimate)
    for position, number, u, lost in zip(outlying, numbers, points, is_lost, strict=False):
        if lost:
            continue
        kept = problem.clusters != number
        sub = replace(
            problem,
            inputs=tuple(values[kept] for values in problem.inputs),
            y=problem.y[kept],
            weights=problem.weights[kept],
            clusters=problem.clusters[kept],
            kind=problem.kind.of_rows(kept),
        )
        # coordinates are centred on the rows: the same parameters have others without the run
        theta = problem.form.model.to_natural(u[None], problem.prepared)
        there = settle(sub, sub.form.model.to_internal(theta, sub.prepared)[0], {})
        moved = _on_scale(sub, here.theta) - _on_scale(sub, theta[0])
        transform = carried(sub, there)
        covariance = transform @ spread(sub, there)[1] @ transform.T
        if not (np.isfinite(covariance).all() and np.isfinite(moved).all()):
            continue
        inside = here.inside
        distance = moved[inside] @ np.linalg.pinv(covariance[np.ix_(inside, inside)], hermitian=True) @ moved[inside]
        if float(distance) > 0 and float(distance) ** 0.5 > replace(estimate, problem=sub).t_quantile(0.95):
            moving.append(int(position))
    return moving


def _on_scale(problem: Any, theta: FloatArray) -> FloatArray:
    """Free parameters (k,) on the scale of the covariance."""
    return np.where(problem.form.model.is_log, np.log(np.maximum(theta, 1e-300)), theta)


def labels_of(data: pl.DataFrame, clusters: IntArray, numbers: IntArray) -> list[str]:
    """Names of runs: their ``run_id`` where rows are told apart by it, else the number of the row."""
    firsts = [int(np.flatnonzero(clusters == number)[0]) for number in numbers]
    if "run_id" in data.columns and np.unique(clusters).size == data["run_id"].n_unique():
        return [str(data["run_id"][row]) for row in firsts]
    return [f"row {row}" for row in firsts]


def standing_out(fit: Fit) -> str | None:
    """The run whose residual is largest, if it is larger than chance allows."""
    problem = fit._problem
    if problem.kind.is_likelihood:
        return None
    runs = runs_of(spread(problem, optimum_of(fit._estimate))[0])
    outlying = runs.outlying(fit._estimate.n_free)[:1]
    return labels_of(fit.data, problem.clusters, runs.numbers[outlying])[0] if outlying.size else None


def influence(fit: Fit, quantity: Callable[..., Any] | None, at: dict[str, float], *, exact: bool) -> pl.DataFrame:
    """See :meth:`Fit.influence`."""
    estimate = fit._estimate
    names, function = _quantity(fit, quantity, at)
    local, _, curvature = spread(estimate.problem, optimum_of(estimate))
    runs = runs_of(local)
    if exact:
        points, is_lost = without_each(estimate, runs.numbers)
        model = estimate.problem.form.model
        theta = estimate.problem.form.expand(model.to_natural(points, estimate.problem.prepared))
        theta[is_lost] = np.nan
        change = np.asarray(function(theta), dtype=float) - function(estimate.theta[None])
    else:
        kind = estimate.problem.kind
        delta = small(local.residual) if kind.is_absolute else kind.delta
        change = _first_order(estimate, _shifts(local, curvature, delta, runs.numbers), function)
    outlying = np.isin(np.arange(runs.numbers.size), runs.outlying(estimate.n_free))
    return pl.DataFrame(
        {
            "run": labels_of(fit.data, estimate.problem.clusters, runs.numbers),
            "n_rows": runs.sizes,
            "residual": runs.residual,
            "studentised": runs.studentised,
            "stands_out": outlying,
            "leverage": runs.leverage,
            **{f"{name}_change": change[:, i] for i, name in enumerate(names)},
        }
    ).with_columns(pl.selectors.float().fill_nan(None))


def _first_order(estimate: Estimate, shifts: FloatArray, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Changes (G, Q) along the slope at the estimate, in logarithms where a quantity is positive."""
    form = estimate.problem.form
    moved = shifts @ (form.spread @ carried(estimate.problem, optimum_of(estimate))).T
    if function is _parameters:
        return natural(estimate.centre + moved, estimate.is_log) - estimate.theta
    steps = STEP * moved
    points = natural(estimate.centre + np.concatenate([steps, -steps]), estimate.is_log)
    points[:, estimate.held] = estimate.theta[estimate.held]
    values = np.asarray(function(np.concatenate([estimate.theta[None], points])), dtype=float)
    here, up, down = values[0], values[1 : 1 + len(steps)], values[1 + len(steps) :]
    with np.errstate(all="ignore"):
        in_logs = (values > 0).all(0)
        slope = np.where(in_logs, np.log(up) - np.log(down), up - down) / (2 * STEP)
        return np.asarray(np.where(in_logs, here * np.expm1(slope), slope))


def _quantity(
    fit: Fit, quantity: Callable[..., Any] | None, at: dict[str, float]
) -> tuple[list[str], Callable[[FloatArray], FloatArray]]:
    """What is asked for, as names and one function of all parameters (P, K) -> (P, Q)."""
    if quantity is not None and at:
        raise DataError("influence takes a quantity, or a place to predict at, not both")
    names = list(fit.params)
    if quantity is not None:

        def derived(theta: FloatArray) -> FloatArray:
            values = np.asarray(quantity(**dict(zip(names, theta.T, strict=True))), dtype=float)
            return np.broadcast_to(values, theta.shape[:1])[:, None]

        return ["quantity"], derived
    if set(at) == {"train_flops"} and set(fit.law.inputs) != {"train_flops"}:
        return ["n_params", "n_tokens", "tokens_per_param", "loss"], optimal(fit, at["train_flops"])
    if at:
        if set(at) != set(fit.law.inputs):
            raise DataError(
                f"law {fit.law.name!r} is predicted at {', '.join(fit.law.inputs)}, not at {', '.join(at)}",
                "give each of its inputs a value, or train_flops=... for the compute-optimal run.",
            )
        place = [np.array([float(at[name])]) for name in fit.law.inputs]
        return ["prediction"], lambda theta: evaluate_law(fit.law, theta, place)
    return names, _parameters


def _parameters(theta: FloatArray) -> FloatArray:
    return theta
