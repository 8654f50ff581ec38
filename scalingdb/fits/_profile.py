"""The profile of an objective along one parameter, and the interval that it cuts off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.errors import DataError, unknown_name
from scalingdb.fits._form import make_form, make_penalty

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits._result import Fit

__all__ = ["profile", "profile_interval"]

WIDEST = 6
"""Times that a curve is made twice as wide before its interval counts as open."""


def _position(fit: Fit, param: str) -> int:
    if param not in fit.params:
        raise unknown_name("parameter", param, fit.params, f"(of law {fit.law.name!r})")
    if param not in fit._form.free:
        raise DataError(f"parameter {param} is fixed or tied: it has no profile", "profile one of the free ones.")
    return list(fit.params).index(param)


def _scaled(values: FloatArray, is_log: bool) -> FloatArray:
    return np.log(np.maximum(values, 1e-300)) if is_log else values


def solve(fit: Fit, param: str, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lowest objective (P,) with one parameter held at each of `values`, and all parameters (P, K)."""
    from scalingdb.estimation import search, solver

    recipe = fit.recipe
    held = {**recipe.fixed, param: fit.params[param]}
    bounds = {name: pair for name, pair in recipe.bounds.items() if name != param}
    tied = recipe.tied
    free_besides = [name for name in fit._form.free if name != param]
    kind, y = fit._kind, fit.data[recipe.output].cast(pl.Float64).to_numpy()
    arrays = fit._arrays(fit.data)
    if not free_besides:
        theta = np.tile(fit._theta, (values.size, 1))
        theta[:, [i for i, name in enumerate(fit.params) if tied.get(name, name) == param]] = values[:, None]
        predicted = np.array([fit.law.function(*arrays, **dict(zip(fit.params, row, strict=True))) for row in theta])
        priors = np.array([fit._prior(dict(zip(fit.params, row, strict=True))) for row in theta])
        return kind.total(y, predicted, fit._weights) + priors, theta
    form = make_form(fit.law, held, tied, bounds)
    constants = [
        values[:, None] if name == param else np.full((values.size, 1), value) for name, value in form.held.items()
    ]
    prepared = form.model.prepare(arrays, constants)
    others = {name: pair for name, pair in recipe.priors.items() if name != param}
    penalty = make_penalty(form, others, recipe.prior_factor)
    start = np.tile([fit.params[name] for name in form.free], (values.size, 1))
    u = form.model.to_internal(start, prepared)
    solved = solver.minimise(form.model, kind, u, prepared, y, fit._weights, penalty=penalty, damping=0.1)
    total = solver.objective_value(form.model, kind, solved.u, prepared, y, fit._weights, penalty)
    u = solved.u
    # a valley that bends away from the optimum is followed from its neighbours, outwards and back
    order = np.argsort(values)
    for path in (order, order[::-1]):
        for here, there in zip(path[1:], path[:-1], strict=True):
            if not np.isfinite(total[there]) or total[here] <= total[there]:
                continue
            trial = solver.minimise(
                form.model,
                kind,
                u[there : there + 1],
                prepared.take(np.array([here])),
                y,
                fit._weights,
                penalty=penalty,
                damping=0.1,
            )
            value = solver.objective_value(
                form.model, kind, trial.u, prepared.take(np.array([here])), y, fit._weights, penalty
            )
            if value[0] < total[here] * (1 - search.AGREE):
                total[here], u[here] = value[0], trial.u[0]
    theta = form.model.to_natural(u, prepared)
    full = np.empty((values.size, len(fit.params)))
    for i, name in enumerate(fit.params):
        source = tied.get(name, name)
        if source == param:
            full[:, i] = values
        elif source in form.held:
            full[:, i] = form.held[source]
        else:
            full[:, i] = theta[:, form.free.index(source)]
    own_prior = {name: pair for name, pair in recipe.priors.items() if name == param}
    if own_prior:
        mine = make_penalty(fit._form, own_prior, recipe.prior_factor)
        assert mine is not None
        (_, mean, sd), is_log = mine.priors[0], bool(fit._form.model.is_log[fit._form.free.index(param)])
        total = total + kind.scale * 0.5 * recipe.prior_factor * ((_scaled(values, is_log) - mean) / sd) ** 2
    return total, full


def cutoff(fit: Fit, position: int, level: float) -> float:
    """Rise of the objective at the ends of the robust interval, were the objective a parabola."""
    spread, curvature = fit.covariance[position, position], fit._curvature[position, position]
    if curvature <= 0 or not np.isfinite(spread):
        return float("nan")
    return float(0.5 * fit._kind.scale * fit._t_quantile(level) ** 2 * spread / curvature)


def _curve(fit: Fit, param: str, level: float, points: int) -> tuple[pl.DataFrame, float]:
    position = _position(fit, param)
    limit = cutoff(fit, position, level)
    if not np.isfinite(limit):
        raise DataError(
            f"the data do not fix parameter {param}: there is no curvature to measure a profile by",
            "see Fit.verdict for what is missing.",
        )
    is_log = bool(fit._is_log[position])
    spec = fit._form.model.params[fit._form.free.index(param)]
    centre = float(_scaled(np.array([fit.params[param]]), is_log)[0])
    half = max(1.5 * fit._t_quantile(level) * float(np.sqrt(fit.covariance[position, position])), 1e-9)
    low, high = centre - half, centre + half
    for _ in range(WIDEST):
        grid = np.unique(
            np.concatenate([np.linspace(low, centre, points // 2 + 1), np.linspace(centre, high, points // 2 + 1)])
        )
        values = np.exp(np.clip(grid, -690, 690)) if is_log else grid
        values = np.clip(values, spec.low, spec.high)
        if is_log and spec.low == 0.0 and param in {fit._form.free[i] for i in fit._form.model.linear}:
            values = np.concatenate([[0.0], values])  # the bound that a logarithm cannot show
        values = np.unique(values)
        total, theta = solve(fit, param, values)
        rise = total - fit.objective
        centre_value = fit.params[param]
        open_low = not (rise[values < centre_value] > limit).any() and values[0] > spec.low
        open_high = not (rise[values > centre_value] > limit).any() and values[-1] < spec.high
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
            **{name: theta[:, i] for i, name in enumerate(fit.params) if name != param},
        }
    )
    return frame, limit


def profile(fit: Fit, param: str, level: float = 0.95, points: int = 41) -> pl.DataFrame:
    """See :meth:`Fit.profile`."""
    if not 0 < level < 1:
        raise DataError(f"level={level!r} is not between 0 and 1", "for example 0.95.")
    return _curve(fit, param, level, points)[0]


def profile_interval(fit: Fit, param: str, level: float) -> tuple[float, float]:
    """Ends of the interval; infinite (or the bound) on a side where the objective never rises enough."""
    try:
        curve, limit = _curve(fit, param, level, 25)
    except DataError:
        return float("nan"), float("nan")
    position = _position(fit, param)
    spec = fit._form.model.params[fit._form.free.index(param)]
    values, rise = curve["value"].to_numpy(), np.maximum(curve["rise"].to_numpy(), 0.0)
    scale = _scaled(values, bool(fit._is_log[position]))
    here = fit.params[param]
    root, target = np.sqrt(np.where(np.isfinite(rise), rise, 1e300)), np.sqrt(limit)

    def end(side: np.ndarray[tuple[int], np.dtype[np.intp]], limit: float) -> float:
        """First crossing on the way out, by a straight line in the root of the rise."""
        before = int(np.argmin(np.abs(values - here)))
        for i in side:
            if root[i] > target:
                share = (target - root[before]) / max(root[i] - root[before], 1e-300)
                if not np.isfinite(scale[before]) or not np.isfinite(scale[i]) or scale[i] < -680:
                    return float(values[before] + share * (values[i] - values[before]))
                crossing = scale[before] + share * (scale[i] - scale[before])
                return float(np.exp(crossing) if fit._is_log[position] else crossing)
            before = int(i)
        return limit

    below, above = np.flatnonzero(values < here)[::-1], np.flatnonzero(values > here)
    return end(below, spec.low), end(above, spec.high)
