"""From an optimum to a fit: where it lies, how sure it is, what the data fix."""

from __future__ import annotations

import functools
import hashlib
import platform
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from scalingdb.errors import FitWarning
from scalingdb.fits._bootstrap import resample
from scalingdb.fits._estimate import BoolArray, Estimate, is_on_log_scale
from scalingdb.fits._facts import Reason, Recipe, Verdict
from scalingdb.fits._problem import Options, Problem
from scalingdb.fits._profile import cutoff, solve_at
from scalingdb.fits._result import Fit
from scalingdb.fits._rows import Data
from scalingdb.fits._tables import printed_intervals
from scalingdb.law_library import Law

if TYPE_CHECKING:
    from scalingdb.estimation.identifiability import Identifiability
    from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
    from scalingdb.estimation.search import Found
    from scalingdb.estimation.uncertainty import Linearised

__all__ = ["conclude"]

LOOSE = 0.4
"""Standard error of a logarithm beyond which a scale might be nothing at all."""

DECADES = 2.0
"""Decades that the interval of a scale spans when its size is unknown."""

FEW_DEGREES = 3
"""Degrees of freedom below which the scatter itself is all but unknown."""

FLAT = 0.25
"""Share of the cut-off that an objective must rise by at the ends of a robust interval: it is one for a parabola."""

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


def conclude(problem: Problem, data: Data, found: Found, options: Options, stacklevel: int = 3) -> Fit:
    """Covariance, verdict, bootstrap and recipe of an optimum."""
    optimum = _settle(problem, found)
    local, covariance, curvature = _spread(problem, optimum)
    judged = _judge(problem, data, optimum, local, covariance)
    transform = _to_natural(problem, optimum)
    undetermined = _undetermined(problem, optimum, judged, transform)
    samples, resampled = resample(problem, data.resampled, found, options)
    form = problem.form
    carry = form.spread @ transform
    estimate = Estimate(
        problem,
        form.expand(optimum.theta[None])[0],
        found.objective,
        carry @ covariance @ carry.T,
        carry @ curvature @ carry.T,
        optimum.at_bound,
        samples,
        _unseen(judged, carry, form.spread),
    )
    verdict = _verdict(judged.verdict, estimate, data, has_converged=found.status != "iteration limit")
    if not verdict.converged or verdict.kind in {"not_identified", "at_bound"}:
        warnings.warn(f"law {form.law.name!r}: {verdict}", FitWarning, stacklevel=stacklevel)
    return Fit(
        law=form.law,
        params=MappingProxyType(dict(zip(form.law.params, map(float, estimate.theta), strict=True))),
        objective=found.objective,
        verdict=verdict,
        status=found.status,
        covariance=estimate.covariance,
        samples=samples,
        n_starts=int(found.totals.size),
        n_agree=int(found.agree.sum()),
        agree_digits=_agreeing_digits(form.model.to_natural(found.polished[found.agree], problem.prepared)),
        eigenvalues=judged.eigenvalues,
        weakest=judged.weakest,
        recipe=_recipe(estimate, data, options, undetermined, resampled),
        data=data.frame,
        _clusters=problem.clusters,
        _weights=problem.weights,
        _curvature=estimate.curvature,
        _unseen=estimate.unseen,
    )


def _settle(problem: Problem, found: Found) -> Optimum:
    """Where the search ended, parameters on a bound put there exactly."""
    model, names = problem.form.model, problem.form.free
    theta = model.to_natural(found.u[None], problem.prepared)[0]
    at_bound = _at_bounds(model, found.u, found.inputs, problem.y)
    for name, bound in at_bound.items():
        theta[names.index(name)] = bound
    # what a vanished term leaves of its exponent shows only where its scale is zero
    scales = [i for i in model.linear if model.is_log[i]]
    u = found.u.copy()
    u[[i for i in scales if names[i] in at_bound]] = 0.0
    stretch = np.ones(model.n_params)
    stretch[scales] = u[scales]
    return Optimum(found.u, theta, at_bound, np.array([name not in at_bound for name in names]), stretch)


def _spread(problem: Problem, optimum: Optimum) -> tuple[Linearised, FloatArray, FloatArray]:
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
    if not np.isfinite(local.jacobian).all():  # the optimum lies at infinity
        nothing = np.zeros((model.n_params, model.n_params))
        return local, nothing, nothing
    width = _small(residual) if kind.is_absolute else kind.delta
    covariance, curvature = uncertainty.sandwich(local, width, kind.asymmetry)
    penalty = problem.penalty
    if penalty is not None:
        curves = [model.natural_curves(optimum.u[None], problem.prepared, i)[1][0] for i, _, _ in penalty.priors]
        slopes = np.where(optimum.inside, np.array(curves) * optimum.stretch, 0.0)
        precisions = np.array([sd**-2 for _, _, sd in penalty.priors])
        covariance, curvature = uncertainty.with_priors(covariance, curvature, slopes, precisions, penalty.factor)
    return local, covariance, curvature


def _judge(
    problem: Problem, data: Data, optimum: Optimum, local: Linearised, covariance: FloatArray
) -> Identifiability:
    """What the design and the curvature say."""
    from scalingdb.estimation import identifiability

    form, model = problem.form, problem.form.model
    logs = {data.columns[name]: log for name, log in zip(form.law.inputs, problem.prepared.logs, strict=True)}
    is_power = [enters_as_power(form.law, name) for name in form.law.inputs]
    n_unknown = model.n_params - len(problem.priors)
    design = identifiability.examine(logs, problem.y, problem.weights, n_unknown, is_power)
    return identifiability.assess(form.free, optimum.theta, model.is_log, local, covariance, optimum.at_bound, design)


def _undetermined(
    problem: Problem, optimum: Optimum, judged: Identifiability, transform: FloatArray
) -> tuple[str, ...]:
    """Parameters that the data leave open.

    A scale is measured at the centre of the data: its value at one depends on all that the centre depends on.
    """
    names = problem.form.free
    open_ended = np.isin(names, judged.undetermined) & optimum.inside
    carried = optimum.inside & (np.abs(transform[:, open_ended]) > 1e-9).any(1)
    return tuple(name for name, also in zip(names, carried, strict=True) if also or name in judged.undetermined)


def _unseen(judged: Identifiability, carry: FloatArray, spread: FloatArray) -> FloatArray:
    """Directions (m, K) that the data do not see: on the scale of the covariance, their largest component one."""
    directions = judged.unseen @ carry.T
    size = np.abs(directions).max(1, initial=0.0, keepdims=True)
    # at infinity there is no derivative to carry a direction by: the parameter stands for itself
    return np.where(size > 0, directions / np.where(size > 0, size, 1.0), judged.unseen @ spread.T)


def _verdict(judged: Verdict, estimate: Estimate, data: Data, *, has_converged: bool) -> Verdict:
    """The verdict on design and curvature, once degrees of freedom, intervals and profiles are counted in."""
    kind, reasons = judged.kind, judged.reasons
    if kind != "not_identified":
        reasons = (*reasons, *_shortages(estimate, data))
    if has_converged and kind in {"identified", "weak"}:
        named = {name for reason in reasons for name in reason.names}
        wide = None if named & set(estimate.problem.form.free) else _wide(estimate)
        unproven = _indistinguishable_from_zero(estimate)
        flat = () if named or wide or unproven else _flat(estimate)
        reasons = (
            *reasons,
            *([wide] if wide else []),
            *([Reason("indistinguishable_from_zero", unproven)] if unproven else []),
            *([Reason("flat_profile", flat)] if flat else []),
        )
    if not has_converged:
        reasons = (Reason("not_converged"), *reasons)
    return Verdict("weak" if reasons and kind == "identified" else kind, reasons)


def _shortages(estimate: Estimate, data: Data) -> Iterator[Reason]:
    """What there is too little of to trust an interval."""
    left = estimate.problem.n_clusters + len(estimate.problem.priors) - estimate.n_free
    if data.too_few_runs is not None:
        yield Reason("few_runs", value=float(data.too_few_runs))
    elif left < FEW_DEGREES:
        yield Reason("few_degrees", value=float(left))


def _wide(estimate: Estimate) -> Reason | None:
    """Parameters whose interval, as it is printed, holds zero or spans decades."""
    from scalingdb.estimation.identifiability import wide_intervals

    low, high = printed_intervals(estimate, 0.95)
    with np.errstate(all="ignore"):
        decades = np.log10(high / np.maximum(low, 1e-300))
    has_unit = all(enters_as_power(estimate.problem.form.law, name) for name in estimate.problem.form.law.inputs)
    wide = np.where(estimate.is_log, has_unit & (decades > DECADES), (low <= 0) & (high >= 0) & ~_offsets(estimate))
    free = [i for i, name in enumerate(estimate.names) if name in estimate.problem.form.free and not estimate.held[i]]
    weak = [i for i in free if wide[i]]
    return wide_intervals(estimate.names, estimate.covariance, weak) if weak else None


def _offsets(estimate: Estimate) -> BoolArray:
    """Parameters (K,) that shift every row alike on the scale of the residuals: these have no zero of their own."""
    problem, step = estimate.problem, 1e-5
    points = estimate.theta + step * np.concatenate([np.eye(estimate.theta.size), -np.eye(estimate.theta.size)])
    with np.errstate(all="ignore"):
        values = problem.predict(points)
        values = np.log(values) if problem.kind.is_log else values
        slope = values[: estimate.theta.size] - values[estimate.theta.size :]
        return np.asarray(np.ptp(slope, axis=1) <= 1e-4 * np.abs(slope).max(1))


def _flat(estimate: Estimate) -> tuple[str, ...]:
    """Parameters whose objective rises far less than it should at the ends of their robust interval."""
    form, flat = estimate.problem.form, []
    half = estimate.t_quantile(0.95) * estimate.standard_errors
    for name in form.free:
        i = estimate.names.index(name)
        share = half[i] / (1.0 if estimate.is_log[i] else max(abs(estimate.theta[i]), 1e-300))
        if estimate.held[i] or name in estimate.problem.priors or share < LOOSE:
            continue
        spec = form.model.params[form.free.index(name)]
        ends = estimate.centre[i] + np.array([-half[i], half[i]])
        ends = np.exp(np.clip(ends, -690, 690)) if estimate.is_log[i] else ends
        ends = ends[(ends > spec.low) & (ends < spec.high)]
        if ends.size:
            rise = solve_at(estimate, name, ends)[0] - estimate.objective
            if (rise < FLAT * cutoff(estimate, i, 0.95)).any():
                flat.append(name)
    return tuple(flat)


@functools.cache
def enters_as_power(law: Law, name: str) -> bool:
    """Whether an input enters a law as a power, or a product or sum of powers: only then do its decades mean anything.

    It does not where it may be negative, or stands in an exponent or another function, as a date does. A formula
    that cannot be traced gets the benefit of the doubt.
    """
    if name in law.signed_inputs:
        return False
    if not law.is_traceable:
        return True
    import sympy as sp

    x = law.symbols[name]
    formula = law.expression.xreplace({sp.log(x): sp.Dummy()})
    plain = (sp.log, sp.Max, sp.Min, sp.Piecewise, sp.Abs)
    exponents = [node.exp for node in formula.atoms(sp.Pow)]
    others = [node for node in formula.atoms(sp.Function) if not isinstance(node, plain)]
    return not any(x in part.free_symbols for part in (*exponents, *others))


def _indistinguishable_from_zero(estimate: Estimate) -> tuple[str, ...]:
    """Loosely known scales without which the law fits about as well: a logarithm alone never reaches zero."""
    form = estimate.problem.form
    unproven = []
    for i in form.model.linear:
        name = form.free[i]
        position = estimate.names.index(name)
        if not form.model.is_log[i] or name in estimate.at_bound or name in estimate.problem.priors:
            continue
        if estimate.standard_errors[position] > LOOSE:
            rise = solve_at(estimate, name, np.zeros(1))[0][0] - estimate.objective
            if rise < cutoff(estimate, position, 0.95):
                unproven.append(name)
    return tuple(unproven)


def _recipe(estimate: Estimate, data: Data, options: Options, undetermined: tuple[str, ...], resampled: str) -> Recipe:
    problem, kind = estimate.problem, estimate.problem.kind
    sources = data.frame["source_id"].unique().to_list() if "source_id" in data.frame.columns else []
    return Recipe.of(
        {
            "law": problem.form.law.name,
            "columns": dict(data.columns),
            "output": data.output,
            "objective": options.objective,
            "delta": options.delta if options.objective.startswith("huber") else None,
            "asymmetry": options.asymmetry,
            "dispersion": kind.dispersion,
            "n_items": (options.n_items or "n_items") if kind.is_likelihood else None,
            "weights": options.weights if isinstance(options.weights, str) else None,
            "fixed": dict(problem.form.held),
            "tied": dict(problem.form.tied),
            "bounds": dict(options.bounds or {}),
            "priors": dict(options.priors or {}),
            "prior_factor": problem.prior_factor,
            "at_bound": dict(estimate.at_bound),
            "undetermined": undetermined,
            "on_log_scale": is_on_log_scale(problem.form),
            "n_rows": problem.y.size,
            "resampled": resampled,
            "resample": options.resample,
            "by_run": options.by_run,
            "bootstrap": int(options.bootstrap),
            "rng": int(options.rng),
            "n_starts": int(options.n_starts),
            "search_seed": options.search_seed,
            "pool": options.pool,
            "sources": sorted(sources),
            "data_sha256": digest([*problem.inputs, problem.y, problem.weights]),
            "versions": dict(_versions()),
            "notes": data.notes,
        }
    )


def _small(residual: FloatArray) -> float:
    """A delta that makes the Huber loss an absolute value for all but negligible residuals."""
    return 1e-6 * float(np.median(np.abs(residual))) + 1e-300


def _agreeing_digits(theta: FloatArray) -> float:
    """Digits to which all rows of `theta` (starts that reached one optimum) are equal."""
    if theta.shape[0] < 2:
        return 0.0
    spread = np.max(np.abs(theta - theta[0]) / np.maximum(np.abs(theta[0]), 1e-300))
    return float(np.clip(-np.log10(max(spread, 1e-16)), 0.0, 16.0))


def _at_bounds(model: Model, u: FloatArray, prepared: PreparedInputs, y: FloatArray) -> dict[str, float]:
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


def _to_natural(problem: Problem, optimum: Optimum) -> FloatArray:
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


def digest(arrays: Sequence[FloatArray]) -> str:
    """Hash of some arrays, in their order."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays)).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("scalingdb", "numpy", "scipy", "polars")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
