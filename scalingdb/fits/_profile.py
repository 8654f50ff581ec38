"""The profile of an objective along one parameter, and the interval that it cuts off."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, unknown_name
from scalingdb.fits._estimate import NULL_SHARE, Estimate
from scalingdb.fits._form import make_form
from scalingdb.fits._problem import Problem

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray, PreparedInputs

__all__ = ["profile", "profile_interval"]

IndexArray = np.ndarray[Any, np.dtype[np.intp]]

WIDEST = 6
"""Times that a curve is made twice as wide before its interval counts as open."""


def _position(estimate: Estimate, param: str) -> int:
    form = estimate.problem.form
    if param not in form.law.params:
        raise unknown_name("parameter", param, form.law.params, f"(of law {form.law.name!r})")
    if param not in form.free:
        raise DataError(f"parameter {param} is fixed or tied: it has no profile", "profile one of the free ones.")
    return estimate.names.index(param)


def _scaled(values: FloatArray, is_log: bool) -> FloatArray:
    return np.log(np.maximum(values, 1e-300)) if is_log else values


def solve_at(
    estimate: Estimate, param: str, values: FloatArray, *, thorough: bool = True
) -> tuple[FloatArray, FloatArray]:
    """Lowest objective (P,) with one parameter held at each of `values`, and all parameters (P, K).

    Unless `thorough`, each is looked for from the optimum alone, and may lie lower.
    """
    problem, form = estimate.problem, estimate.problem.form
    theta = np.tile(estimate.theta, (values.size, 1))
    if len(form.free) == 1:
        theta[:, [i for i, name in enumerate(estimate.names) if form.tied.get(name, name) == param]] = values[:, None]
        return problem.total(theta), theta
    narrower = {name: pair for name, pair in form.bounds.items() if name != param}
    held = make_form(form.law, {**form.held, param: estimate.theta[_position(estimate, param)]}, form.tied, narrower)
    others = {name: pair for name, pair in problem.priors.items() if name != param}
    sub = replace(problem, form=held, priors=others)
    constants = [
        values[:, None] if name == param else np.full((values.size, 1), value) for name, value in held.held.items()
    ]
    prepared = held.model.prepare(list(problem.inputs), constants)
    start = theta[:, [estimate.names.index(name) for name in held.free]]
    u, total = _follow(sub, prepared, held.model.to_internal(start, prepared), np.argsort(values) if thorough else None)
    free = held.model.to_natural(u, prepared)
    for i, name in enumerate(estimate.names):
        source = form.tied.get(name, name)
        theta[:, i] = values if source == param else held.held.get(source, 0.0)
        if source in held.free:
            theta[:, i] = free[:, held.free.index(source)]
    own = {name: pair for name, pair in problem.priors.items() if name == param}
    return total + replace(problem, priors=own).prior(theta), theta


def _follow(
    problem: Problem, prepared: PreparedInputs, start: FloatArray, order: IndexArray | None
) -> tuple[FloatArray, FloatArray]:
    """Optima (P, k) and objectives (P,) of problems that differ in a constant, whose `order` makes them neighbours."""
    from scalingdb.estimation import search, solver

    model, kind, y, weights = problem.form.model, problem.kind, problem.y, problem.weights
    penalty = problem.penalty

    def solve(at: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, FloatArray]:
        solved = solver.minimise(model, kind, at, inputs, y, weights, penalty=penalty, damping=0.1)
        return solved.u, solver.objective_value(model, kind, solved.u, inputs, y, weights, penalty)

    u, total = solve(start, prepared)
    # a valley that bends away from the optimum is followed from its neighbours, outwards and back
    for path in (order, order[::-1]) if order is not None else ():
        for here, there in zip(path[1:], path[:-1], strict=True):
            if not np.isfinite(total[there]) or total[here] <= total[there]:
                continue
            trial, value = solve(u[there : there + 1], prepared.take(np.array([here])))
            if value[0] < total[here] * (1 - search.AGREE):
                total[here], u[here] = value[0], trial[0]
    return u, total


def cutoff(estimate: Estimate, position: int, level: float) -> float:
    """Rise of the objective at the ends of the robust interval, were the objective a parabola."""
    spread, curvature = estimate.covariance[position, position], estimate.curvature[position, position]
    if curvature <= 0 or not np.isfinite(spread):
        return float("nan")
    return float(0.5 * estimate.problem.kind.scale * estimate.t_quantile(level) ** 2 * spread / curvature)


def _curve(estimate: Estimate, param: str, level: float, points: int) -> tuple[pl.DataFrame, float]:
    position, form = _position(estimate, param), estimate.problem.form
    limit = cutoff(estimate, position, level)
    if not np.isfinite(limit) or (np.abs(estimate.unseen[:, position]) > NULL_SHARE).any():
        raise DataError(
            f"the data do not fix parameter {param}: there is no curvature to measure a profile by",
            "see Fit.verdict for what is missing.",
        )
    is_log = bool(estimate.is_log[position])
    i = form.free.index(param)
    spec, best = form.model.params[i], float(estimate.theta[position])
    has_zero = is_log and spec.low == 0.0 and i in form.model.linear  # the bound that a logarithm cannot show
    centre = float(estimate.centre[position])
    half = max(1.5 * estimate.t_quantile(level) * float(estimate.standard_errors[position]), 1e-9)
    low, high = centre - half, centre + half
    for _ in range(WIDEST):
        grid = np.concatenate([np.linspace(low, centre, points // 2 + 1), np.linspace(centre, high, points // 2 + 1)])
        values = np.clip(np.exp(np.clip(grid, -690, 690)) if is_log else grid, spec.low, spec.high)
        values = np.unique(np.append(values, 0.0) if has_zero else values)
        total, theta = solve_at(estimate, param, values)
        rise = total - estimate.objective
        open_low = not (rise[values < best] > limit).any() and values[0] > spec.low
        open_high = not (rise[values > best] > limit).any() and values[-1] < spec.high
        if not (open_low or open_high):
            break
        low = centre - 2 * (centre - low) if open_low else low
        high = centre + 2 * (high - centre) if open_high else high
    frame = pl.DataFrame(
        {
            "value": values,
            "objective": total,
            "rise": rise,
            "cutoff": np.full(values.size, limit),
            "inside": rise <= limit,
            **{name: theta[:, i] for i, name in enumerate(estimate.names) if name != param},
        }
    )
    return frame, limit


def profile(estimate: Estimate, param: str, level: float = DEFAULT_LEVEL, points: int = 41) -> pl.DataFrame:
    """See :meth:`Fit.profile`."""
    if not 0 < level < 1:
        raise DataError(f"level={level!r} is not between 0 and 1", "for example 0.95.")
    return _curve(estimate, param, level, points)[0]


def profile_interval(estimate: Estimate, param: str, level: float) -> tuple[float, float]:
    """Ends of the interval; infinite (or the bound) on a side where the objective never rises enough."""
    try:
        curve, limit = _curve(estimate, param, level, 25)
    except DataError:
        return float("nan"), float("nan")
    position, form = _position(estimate, param), estimate.problem.form
    spec, is_log = form.model.params[form.free.index(param)], bool(estimate.is_log[position])
    values, rise = curve["value"].to_numpy(), np.maximum(curve["rise"].to_numpy(), 0.0)
    scale = _scaled(values, is_log)
    here = estimate.theta[position]
    root, target = np.sqrt(np.where(np.isfinite(rise), rise, 1e300)), np.sqrt(limit)

    def end(side: IndexArray, limit: float) -> float:
        """First crossing on the way out, by a straight line in the root of the rise."""
        before = int(np.argmin(np.abs(values - here)))
        for i in side:
            if root[i] > target:
                share = (target - root[before]) / max(root[i] - root[before], 1e-300)
                if not np.isfinite(scale[before]) or not np.isfinite(scale[i]) or scale[i] < -680:
                    return float(values[before] + share * (values[i] - values[before]))
                crossing = scale[before] + share * (scale[i] - scale[before])
                return float(np.exp(crossing) if is_log else crossing)
            before = int(i)
        return limit

    below, above = np.flatnonzero(values < here)[::-1], np.flatnonzero(values > here)
    return end(below, spec.low), end(above, spec.high)
