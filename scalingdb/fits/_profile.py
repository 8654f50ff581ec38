"""The profile of an objective along one parameter, and the interval that it cuts off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits._estimate import NULL_SHARE, BoolArray, Estimate, natural
from scalingdb.fits._problem import Problem

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
    from scalingdb.estimation.solver import Penalty

__all__ = ["Question", "cutoff", "profile", "profile_interval", "rise_less", "solve_at"]

IndexArray = np.ndarray[Any, np.dtype[np.intp]]

MOST_POINTS = 100_000
"""Of a profile; each is a fit."""

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


def solve_at(estimate: Estimate, param: str, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lowest objective (P,) with one parameter held at each of `values`, and all parameters (P, K)."""
    from scalingdb.estimation.held import hold, with_value

    problem, form = estimate.problem, estimate.problem.form
    i = form.free.index(param)
    if len(form.free) == 1:
        theta = form.expand(values[:, None])
        return problem.total(theta), theta
    model, penalty = hold(form.model, i), _penalty_of_others(problem, i)
    prepared = with_value(problem.prepared, values[:, None])
    start = model.to_internal(_others(estimate, param, values), prepared)
    u, total = _follow(problem, model, penalty, prepared, start, np.argsort(values))
    theta = form.expand(np.insert(model.to_natural(u, prepared), i, values, axis=1))
    return total + _own_prior(problem, param, values), theta


def _others(estimate: Estimate, param: str, values: FloatArray) -> FloatArray:
    """The free parameters (P, k - 1) but one, moved to first order to where they are best beside each of its values."""
    free = [estimate.names.index(name) for name in estimate.problem.form.free]
    position = estimate.names.index(param)
    i = free.index(position)
    own = estimate.curvature[position, position]
    slope = estimate.curvature[free, position] / own if own > 0 else np.zeros(len(free))
    step = _scaled(values, bool(estimate.is_log[position])) - estimate.centre[position]
    # a value of zero has no logarithm to step by
    step = np.where(values > 0, step, 0.0) if estimate.is_log[position] else step
    moved = natural(estimate.centre[free] + step[:, None] * slope, estimate.is_log[free])
    specs = estimate.problem.form.model.params
    moved = np.clip(moved, [spec.low for spec in specs], [spec.high for spec in specs])
    moved = np.where(np.isfinite(moved), moved, estimate.theta[free])
    return np.delete(moved, i, axis=1)


def _penalty_of_others(problem: Problem, i: int) -> Penalty | None:
    """What the priors of all free parameters but number `i` weigh once that one is held."""
    penalty = problem.penalty
    if penalty is None:
        return None
    kept = tuple((j - (j > i), mean, sd) for j, mean, sd in penalty.priors if j != i)
    return replace(penalty, priors=kept) if kept else None


def _own_prior(problem: Problem, param: str, values: FloatArray) -> FloatArray:
    """What the prior of one parameter weighs (P,) where it has these values."""
    theta = np.zeros((values.size, len(problem.form.law.params)))
    theta[:, list(problem.form.law.params).index(param)] = values
    return replace(problem, priors={name: pair for name, pair in problem.priors.items() if name == param}).prior(theta)


def _follow(
    problem: Problem,
    model: Model,
    penalty: Penalty | None,
    prepared: PreparedInputs,
    start: FloatArray,
    order: IndexArray,
) -> tuple[FloatArray, FloatArray]:
    """Optima (P, k) and objectives (P,) of problems that differ in a constant, whose `order` makes them neighbours."""
    from scalingdb.estimation import search, solver

    kind, y, weights = problem.kind, problem.y, problem.weights

    def solve(at: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, FloatArray]:
        solved = solver.minimise(model, kind, at, inputs, y, weights, penalty=penalty, damping=0.1)
        return solved.u, solver.objective_value(model, kind, solved.u, inputs, y, weights, penalty)

    u, total = solve(start, prepared)
    # a valley that bends away from the optimum is followed from its neighbours, outwards and back
    for path in (order, order[::-1]):
        for here, there in zip(path[1:], path[:-1], strict=True):
            if not np.isfinite(total[there]) or total[here] <= total[there]:
                continue
            trial, value = solve(u[there : there + 1], prepared.take(np.array([here])))
            if value[0] < total[here] * (1 - search.AGREE):
                total[here], u[here] = value[0], trial[0]
    return u, total


@dataclass(frozen=True, eq=False)
class Question:
    """Whether the objective rises by less than `limit` where a free parameter is held at `value`."""

    estimate: Estimate
    param: str
    value: float
    limit: float


def rise_less(questions: Sequence[Question]) -> BoolArray:
    """Answers (Q,), found together for all problems of one form: each search begins at the optimum alone.

    It may end above the profile: a yes is certain, a no is not.
    """
    answers = np.zeros(len(questions), dtype=bool)
    batches: dict[tuple[int, ...], list[int]] = {}
    for number, question in enumerate(questions):
        problem = question.estimate.problem
        is_alone = problem.penalty is not None or problem.kind.n_items is not None
        alike = (id(problem.form.model), id(problem.kind), id(problem) if is_alone else 0)
        batches.setdefault((*alike, problem.form.free.index(question.param)), []).append(number)
    for numbers in batches.values():
        answers[numbers] = _answers([questions[number] for number in numbers])
    return answers


def _answers(questions: Sequence[Question]) -> BoolArray:
    """Answers (Q,) for one parameter of problems that differ in their rows alone."""
    from scalingdb.estimation import search, solver
    from scalingdb.estimation.held import hold, with_value

    problems = [question.estimate.problem for question in questions]
    first, param = problems[0], questions[0].param
    form, kind, i = first.form, first.kind, first.form.free.index(param)
    values = np.array([question.value for question in questions])
    limits = np.array([question.estimate.objective + question.limit for question in questions])
    if len(form.free) == 1:
        totals = [problem.total(form.expand(values[q : q + 1, None]))[0] for q, problem in enumerate(problems)]
        return np.asarray(totals < limits)
    model, penalty = hold(form.model, i), _penalty_of_others(first, i)
    inputs, y, weights = first.prepared, first.y, first.weights
    if any(problem is not first for problem in problems):
        inputs, y, weights = search.pad(form.model, [problem.rows for problem in problems], list(form.held.values()))
    prepared = with_value(inputs, values[:, None])
    start = np.concatenate([_others(q.estimate, param, values[n : n + 1]) for n, q in enumerate(questions)])
    start = model.to_internal(start, prepared)
    limits = limits - _own_prior(first, param, values)
    goal = limits / kind.scale
    solved = solver.minimise(model, kind, start, prepared, y, weights, penalty=penalty, damping=0.1, goal=goal)
    return solver.objective_value(model, kind, solved.u, prepared, y, weights, penalty) < limits


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
    if not 1 <= points <= MOST_POINTS:
        raise DataError(
            f"points={points!r:.40} is no count of points", f"give a whole number from 1 to {MOST_POINTS:,}."
        )
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
    check_level(level)
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
