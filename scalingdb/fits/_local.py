"""An optimum to first order: where it lies, its Jacobian, covariance and curvature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from scalingdb.fits._estimate import BoolArray, Estimate
from scalingdb.fits._problem import Problem

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
    from scalingdb.estimation.uncertainty import Linearised

__all__ = ["Optimum", "at_bounds", "carried", "optimum_of", "settle", "spread"]

ZERO_SHARE = 1e-6
"""A scale whose term is below this share of the typical prediction counts as zero."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a search ended.

    Attributes
    ----------
    u, theta : arrays (k,)
        The free parameters in internal coordinates and in natural units.
    at_bound : dict
        Parameters on a bound, with the bound.
    stretch : array (k,)
        Derivative of the internal coordinates by those that a fit is judged in: scales are judged by
        their logarithm, whatever coordinate they were fitted in.
    """

    u: FloatArray
    theta: FloatArray
    at_bound: dict[str, float]
    inside: BoolArray
    stretch: FloatArray


def settle(problem: Problem, u: FloatArray, at_bound: Mapping[str, float]) -> Optimum:
    """Where the search ended, parameters on a bound put there exactly."""
    model, names = problem.form.model, problem.form.free
    theta = model.to_natural(u[None], problem.prepared)[0]
    for name, bound in at_bound.items():
        theta[names.index(name)] = bound
    # what a vanished term leaves of its exponent shows only where its scale is zero
    scales = [i for i in model.linear if model.is_log[i]]
    zeroed = u.copy()
    zeroed[[i for i in scales if names[i] in at_bound]] = 0.0
    stretch = np.ones(model.n_params)
    stretch[scales] = zeroed[scales]
    return Optimum(u, theta, dict(at_bound), np.array([name not in at_bound for name in names]), stretch)


def optimum_of(estimate: Estimate) -> Optimum:
    """The optimum of an estimate that is known by its parameters."""
    form, problem = estimate.problem.form, estimate.problem
    free = estimate.theta[[estimate.names.index(name) for name in form.free]]
    return settle(problem, form.model.to_internal(free[None], problem.prepared)[0], estimate.at_bound)


def spread(problem: Problem, optimum: Optimum) -> tuple[Linearised, FloatArray, FloatArray]:
    """The fit to first order, its covariance and the inverse curvature of its objective, each (k, k)."""
    from scalingdb.estimation import uncertainty

    model, kind = problem.form.model, problem.kind
    scales = [i for i in model.linear if model.is_log[i]]
    u = optimum.u.copy()
    u[scales] = optimum.stretch[scales]
    jacobian, residual = uncertainty.jacobian_at(model, kind, u, problem.prepared, problem.y)
    local = uncertainty.Linearised(
        jacobian * optimum.stretch[:, None], residual, problem.weights, problem.clusters, optimum.inside
    )
    nothing = np.zeros((model.n_params, model.n_params))
    with np.errstate(all="ignore"):
        size = np.square(local.jacobian).sum()
    if not np.isfinite(size):  # the optimum lies at infinity
        return replace(local, jacobian=np.full_like(local.jacobian, np.nan)), nothing, nothing
    width = small(residual) if kind.is_absolute else kind.delta
    covariance, curvature = uncertainty.sandwich(local, width, kind.asymmetry)
    penalty = problem.penalty
    if penalty is not None:
        curves = [model.natural_curves(optimum.u[None], problem.prepared, i)[1][0] for i, _, _ in penalty.priors]
        slopes = np.where(optimum.inside, np.array(curves) * optimum.stretch, 0.0)
        precisions = np.array([sd**-2 for _, _, sd in penalty.priors])
        covariance, curvature = uncertainty.with_priors(covariance, curvature, slopes, precisions, penalty.factor)
    if not (np.isfinite(covariance).all() and np.isfinite(curvature).all()):
        return replace(local, jacobian=np.full_like(local.jacobian, np.nan)), nothing, nothing
    return local, covariance, curvature


def small(residual: FloatArray) -> float:
    """A delta that makes the Huber loss an absolute value for all but negligible residuals."""
    return 1e-6 * float(np.median(np.abs(residual))) + 1e-300


def at_bounds(model: Model, u: FloatArray, prepared: PreparedInputs, y: FloatArray) -> dict[str, float]:
    """Parameters that ended on a bound, with the bound. A vanishing term means that its scale is 0."""
    at_bound = {}
    typical = float(np.median(np.abs(y)))
    largest = np.abs(model.basis(u[None], prepared)[1][0]).max(1) if model.basis is not None else np.empty(0)
    for i, spec in enumerate(model.params):
        if i in model.linear and spec.is_log:
            # a scale is judged by its term where that is largest: what it counts in is the unit of the inputs,
            # and a steep term that is nothing at the centre may be much at the edge
            if u[i] * largest[model.linear.index(i)] < ZERO_SHARE * typical:
                at_bound[spec.name] = 0.0
            continue
        # where the solver stopped, in its coordinate: a share of a wide range may be most of the parameter
        for at, bound in ((model.low[i], spec.low), (model.high[i], spec.high)):
            near = 1e-9 * min(model.high[i] - model.low[i], max(1.0, abs(at)))
            if np.isfinite(at) and abs(u[i] - at) <= near:
                at_bound[spec.name] = float(bound)
    return at_bound


def carried(problem: Problem, optimum: Optimum) -> FloatArray:
    """Derivatives (k, k) of the natural parameters (logarithms for scales) by the coordinates of the covariance."""
    model, u, stretch, inside = problem.form.model, optimum.u, optimum.stretch, optimum.inside
    k = u.size
    step = 1e-6 * np.maximum(np.abs(u), np.where(stretch != 1.0, 1e-300, 1.0))
    points = np.concatenate([u + np.diag(step), u - np.diag(step)])
    theta = model.to_natural(points, problem.prepared)
    values = np.where(model.is_log, np.log(np.maximum(theta, 1e-300)), theta)
    with np.errstate(invalid="ignore"):  # an optimum at infinity
        transform = (values[:k] - values[k:]).T / (2 * step) * stretch
    return np.where(inside[:, None] & inside & np.isfinite(transform), transform, 0.0)
