"""From an optimum to a fit: where it lies, how sure it is, what the data fix."""

from __future__ import annotations

import functools
import hashlib
import math
import platform
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import FitWarning
from scalingdb.fits._bootstrap import resample
from scalingdb.fits._estimate import BoolArray, Estimate, is_on_log_scale
from scalingdb.fits._facts import Reason, Recipe, Verdict
from scalingdb.fits._influence import influential, labels_of, runs_of
from scalingdb.fits._local import Optimum, at_bounds, carried, optimum_of, settle, spread
from scalingdb.fits._problem import Options, Problem
from scalingdb.fits._profile import Question, cutoff, rise_less
from scalingdb.fits._result import Fit
from scalingdb.fits._rows import Data, clusters_of
from scalingdb.fits._tables import printed_intervals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scalingdb.estimation.identifiability import Identifiability
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.search import Found
    from scalingdb.estimation.uncertainty import Linearised

__all__ = ["conclude", "conclude_all", "contradiction", "digest"]

LOOSE = 0.4
"""Standard error of a logarithm beyond which a scale might be nothing at all."""

FEW = 30
"""Degrees of freedom below which a verdict names a run that stands out: larger studies have their tails."""

MOST = 1e150
"""Stands for an infinite variance: its square is still a number."""

DECADES = 2.0
"""Decades that the interval of a scale spans when its size is unknown."""

SAME_OBJECTIVE, SAME = 1e-6, 1e-4
"""Relative differences to which the objective, and what is derived by differences, must follow from rows and
parameters: in 480 fits of the arena they did to 4e-8 and 1e-8."""

ROUNDING = 1e-13
"""Relative change of predictions that may be rounding: a law may meet every row."""

SMALL = 4096
"""Bytes up to which equal arrays of several fits are kept once."""

FEW_DEGREES = 3
"""Degrees of freedom below which the scatter itself is all but unknown."""

BENT = 0.3
"""Half-width of an interval, of a logarithm or as a share, from which on a profile may be flat."""

FLAT = 0.25
"""Share of the cut-off that an objective must rise by at the ends of a robust interval: it is one for a parabola."""


def conclude(problem: Problem, data: Data, found: Found, options: Options, stacklevel: int = 3) -> Fit:
    """Covariance, verdict, bootstrap and recipe of an optimum."""
    return conclude_all([(problem, data, found)], options, stacklevel + 1)[0]


def conclude_all(solved: Sequence[tuple[Problem, Data, Found]], options: Options, stacklevel: int = 3) -> list[Fit]:
    """Fits from many optima; their profiles are looked at together."""
    drafts = [_draft(problem, data, found, options) for problem, data, found in solved]
    fits = []
    # no comprehension: in Python 3.11 it is a frame of its own, which `stacklevel` would count
    for (_, _, found), draft, verdict in zip(solved, drafts, _verdicts(drafts), strict=True):
        fits.append(_fit(draft, found, verdict, options, stacklevel + 1))
    return fits


@dataclass(frozen=True, eq=False)
class _Draft:
    """All of a fit but its verdict.

    Attributes
    ----------
    undetermined : tuple of str
        Parameters that the data leave open.
    """

    data: Data
    status: str
    local: Linearised
    judged: Identifiability
    estimate: Estimate
    undetermined: tuple[str, ...]

    @property
    def has_converged(self) -> bool:
        return self.status != "iteration limit"


def _draft(problem: Problem, data: Data, found: Found, options: Options) -> _Draft:
    form = problem.form
    optimum = settle(problem, found.u, at_bounds(form.model, found.u, found.inputs, problem.y))
    samples, resampled = resample(problem, data.resampled, found, options)
    theta = form.expand(optimum.theta[None])[0]
    return _draft_at(
        problem, replace(data, resampled=resampled), found.status, found.objective, optimum, theta, samples
    )


def _draft_at(
    problem: Problem,
    data: Data,
    status: str,
    objective: float,
    optimum: Optimum,
    theta: FloatArray,
    samples: FloatArray,
) -> _Draft:
    """What follows from an optimum, where all parameters of the law are `theta` (K,)."""
    local, covariance, curvature = spread(problem, optimum)
    judged = _judge(problem, data, optimum, local, covariance)
    transform = carried(problem, optimum)
    carry = problem.form.spread @ transform
    estimate = Estimate(
        problem,
        theta,
        objective,
        _finite(carry @ covariance @ carry.T),
        _finite(carry @ curvature @ carry.T),
        optimum.at_bound,
        samples,
        _unseen(judged, carry, problem.form.spread),
    )
    return _Draft(data, status, local, judged, estimate, _undetermined(problem, optimum, judged, transform))


def contradiction(fit: Fit, *, derived: bool) -> str | None:
    """The first statement of a fit that does not follow from its rows and parameters, if there is one.

    Without `derived`, of the objective alone. How the search went, and a bootstrap, are taken as stated: these are
    not repeated.
    """
    estimate, recipe = fit._estimate, fit.recipe
    problem = estimate.problem
    again = float(problem.total(estimate.theta[None])[0])
    predicted = problem.predict(estimate.theta[None]) * np.array([[1.0], [1.0 + ROUNDING]])
    rounding = float(abs(np.diff(problem.kind.total(problem.y, predicted, problem.weights))[0]))
    if not math.isclose(again, fit.objective, rel_tol=SAME_OBJECTIVE, abs_tol=rounding):
        return f"the rows give an objective of {again!r}, the file says {fit.objective!r}"
    if not derived or recipe.versions.get("scalingdb") != _versions()["scalingdb"]:
        return None  # another version may judge by other rules
    by_run = recipe.by_run and recipe.resample != "rows"
    clusters, resampled, too_few = clusters_of(fit.data, problem.form.model.n_params, by_run)
    if not np.array_equal(clusters, fit._clusters):
        return "the runs are not those of the rows"
    optimum = optimum_of(estimate)
    data = Data(
        fit.data,
        dict(recipe.columns),
        recipe.output,
        problem.inputs,
        problem.y,
        problem.weights,
        clusters,
        resampled,
        recipe.notes,
        too_few,
    )
    draft = _draft_at(problem, data, fit.status, fit.objective, optimum, estimate.theta, fit.samples)
    for what, found, stated in (
        ("on a bound", at_bounds(problem.form.model, optimum.u, problem.prepared, problem.y), recipe.at_bound),
        ("undetermined", draft.undetermined, recipe.undetermined),
        ("on a log scale", is_on_log_scale(problem.form), recipe.on_log_scale),
    ):
        if found != stated:
            return (
                f"the rows leave {', '.join(found) or 'nothing'} {what}, the file says {', '.join(stated) or 'nothing'}"
            )
    arrays = [
        ("eigenvalues", draft.judged.eigenvalues, fit.eigenvalues),
        ("unseen directions", _projector(draft.estimate.unseen), _projector(fit._unseen)),
    ]
    if draft.judged.verdict.kind != "not_identified" and again > rounding:  # elsewhere rounding decides
        arrays.append(("covariances", draft.estimate.covariance, fit.covariance))
        arrays.append(("curvatures", draft.estimate.curvature, fit._curvature))
    for what, ours, theirs in arrays:
        if ours.shape != theirs.shape or not np.abs(ours - theirs).max(initial=0) <= SAME * np.abs(ours).max(initial=0):
            return f"the {what} do not follow from the rows"
    kind = draft.judged.verdict.kind
    if kind == "identified":  # what weakens it are profiles: computed where the file does not admit one
        kind = "weak" if fit.verdict.kind == "weak" else _verdicts([draft])[0].kind
    return None if kind == fit.verdict.kind else f"the rows make the fit {kind!r}, the file says {fit.verdict.kind!r}"


def _projector(directions: FloatArray) -> FloatArray:
    """The same for all directions (m, K) that span one space."""
    return np.asarray(np.linalg.pinv(directions) @ directions)


def _fit(draft: _Draft, found: Found, verdict: Verdict, options: Options, stacklevel: int) -> Fit:
    estimate, problem = draft.estimate, draft.estimate.problem
    form = problem.form
    if not verdict.converged or verdict.kind in {"not_identified", "at_bound"}:
        warnings.warn(f"law {form.law.name!r}: {verdict}", FitWarning, stacklevel=stacklevel)
    return Fit(
        law=form.law,
        params=MappingProxyType(dict(zip(form.law.params, map(float, estimate.theta), strict=True))),
        objective=found.objective,
        verdict=verdict,
        status=found.status,
        covariance=estimate.covariance,
        samples=_one(estimate.samples),
        n_starts=int(found.totals.size),
        n_agree=int(found.agree.sum()),
        is_certain=found.is_certain,
        agree_digits=_agreeing_digits(form.model.to_natural(found.polished[found.agree], problem.prepared)),
        eigenvalues=draft.judged.eigenvalues,
        weakest=sys.intern(draft.judged.weakest),
        recipe=_recipe(draft, options),
        _table=draft.data.frame,
        _clusters=_one(problem.clusters),
        _weights=_one(problem.weights),
        _curvature=estimate.curvature,
        _unseen=_one(estimate.unseen),
    )


@functools.lru_cache(256)
def _of_bytes(content: bytes, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.ndarray(shape, kind, content)


def _one(array: NDArray[Any]) -> NDArray[Any]:
    """The array, one for all fits with equal rows where it is small: the groups of ``fit_by`` may be many."""
    return array if array.nbytes > SMALL else _of_bytes(array.tobytes(), array.dtype.str, array.shape)


def _judge(
    problem: Problem, data: Data, optimum: Optimum, local: Linearised, covariance: FloatArray
) -> Identifiability:
    """What the design and the curvature say."""
    from scalingdb.estimation import identifiability

    form, model = problem.form, problem.form.model
    logs = {data.columns[name]: log for name, log in zip(form.law.inputs, problem.prepared.logs, strict=True)}
    is_power = [name in form.law.power_inputs for name in form.law.inputs]
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


def _finite(matrix: FloatArray) -> FloatArray:
    """The matrix, with the largest numbers there are for what is beyond them."""
    return np.nan_to_num(matrix, nan=0.0, posinf=MOST, neginf=-MOST)


def _unseen(judged: Identifiability, carry: FloatArray, spread: FloatArray) -> FloatArray:
    """Directions (m, K) that the data do not see: on the scale of the covariance, their largest component one."""
    directions = judged.unseen @ carry.T
    size = np.abs(directions).max(1, initial=0.0, keepdims=True)
    # at infinity there is no derivative to carry a direction by: the parameter stands for itself
    return np.where(size > 0, directions / np.where(size > 0, size, 1.0), judged.unseen @ spread.T)


def _verdicts(drafts: Sequence[_Draft]) -> list[Verdict]:
    """The verdicts on design and curvature, once degrees of freedom, intervals and profiles are counted in."""
    reasons = {draft: draft.judged.verdict.reasons for draft in drafts}
    for draft in drafts:
        if draft.judged.verdict.kind != "not_identified":
            reasons[draft] = (*reasons[draft], *_shortages(draft))
    fine = [draft for draft in drafts if draft.has_converged and draft.judged.verdict.kind in {"identified", "weak"}]
    unproven = dict(zip(fine, _indistinguishable_from_zero([draft.estimate for draft in fine]), strict=True))
    unnamed = [draft for draft in fine if not _named(reasons[draft]) & set(draft.estimate.problem.form.free)]
    wide = {draft: reason for draft in unnamed if (reason := _wide(draft.estimate))}
    # a profile tells nothing new where a parameter is in doubt already
    plain = [draft for draft in fine if not (_named(reasons[draft]) or draft in wide or unproven[draft])]
    flat = dict(zip(plain, _flat([draft.estimate for draft in plain]), strict=True))
    for draft in fine:
        more = (
            *([wide[draft]] if draft in wide else []),
            *([Reason("indistinguishable_from_zero", unproven[draft])] if unproven[draft] else []),
            *([Reason("flat_profile", flat[draft])] if flat.get(draft) else []),
        )
        reasons[draft] = (*reasons[draft], *more, *_outliers(draft))
    return [_verdict(draft, reasons[draft]) for draft in drafts]


def _named(reasons: Sequence[Reason]) -> set[str]:
    return {name for reason in reasons for name in reason.names}


def _verdict(draft: _Draft, reasons: tuple[Reason, ...]) -> Verdict:
    kind = draft.judged.verdict.kind
    if not draft.has_converged:
        reasons = (Reason("not_converged"), *reasons)
    is_doubtful = any(reason.code != "stands_out" for reason in reasons)
    return Verdict("weak" if is_doubtful and kind == "identified" else kind, reasons)


def _outliers(draft: _Draft) -> Iterator[Reason]:
    """Runs that lie farther off than chance allows, and those of them that decide the answer."""
    estimate, data, problem = draft.estimate, draft.data, draft.estimate.problem
    if problem.kind.is_likelihood:
        return
    runs = runs_of(draft.local)
    outlying = runs.outlying(estimate.n_free)
    moving = influential(estimate, runs, outlying)
    if moving:
        yield Reason("influential", tuple(labels_of(data.frame, problem.clusters, runs.numbers[moving])))
    elif outlying.size and estimate.degrees < FEW:
        first = outlying[:1]
        rows = problem.clusters == runs.numbers[first]
        typical = 1.0 if problem.kind.is_log else float(np.abs(problem.y[rows]).mean())
        label = labels_of(data.frame, problem.clusters, runs.numbers[first])[0]
        yield Reason("stands_out", (label,), float(runs.residual[first][0]) / typical)


def _shortages(draft: _Draft) -> Iterator[Reason]:
    """What there is too little of to trust an interval."""
    estimate, data = draft.estimate, draft.data
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
    has_unit = set(estimate.problem.form.law.inputs) == set(estimate.problem.form.law.power_inputs)
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


def _flat(estimates: Sequence[Estimate]) -> list[tuple[str, ...]]:
    """Parameters of each whose objective rises far less than it should at the ends of their robust interval."""
    return _answered(estimates, _ends_of_intervals)


def _ends_of_intervals(estimate: Estimate) -> Iterator[Question]:
    form = estimate.problem.form
    half = estimate.t_quantile(0.95) * estimate.standard_errors
    for name in form.free:
        i = estimate.names.index(name)
        share = half[i] / (1.0 if estimate.is_log[i] else max(abs(estimate.theta[i]), 1e-300))
        if estimate.held[i] or name in estimate.problem.priors or share < BENT:
            continue
        spec = form.model.params[form.free.index(name)]
        ends = estimate.centre[i] + np.array([-half[i], half[i]])
        ends = np.exp(np.clip(ends, -690, 690)) if estimate.is_log[i] else ends
        for end in ends[(ends > spec.low) & (ends < spec.high)]:
            yield Question(estimate, name, float(end), FLAT * cutoff(estimate, i, 0.95))


def _answered(estimates: Sequence[Estimate], asked: Callable[[Estimate], Iterator[Question]]) -> list[tuple[str, ...]]:
    """Parameters of each estimate for which a question about it is answered with yes."""
    questions = [list(asked(estimate)) for estimate in estimates]
    answers = iter(rise_less([question for own in questions for question in own]))
    return [tuple(dict.fromkeys(question.param for question in own if next(answers))) for own in questions]


def _indistinguishable_from_zero(estimates: Sequence[Estimate]) -> list[tuple[str, ...]]:
    """Loosely known scales of each without which the law fits about as well: a logarithm alone never reaches zero."""
    return _answered(estimates, _without_loose_scales)


def _without_loose_scales(estimate: Estimate) -> Iterator[Question]:
    form = estimate.problem.form
    for i in form.model.linear:
        name = form.free[i]
        position = estimate.names.index(name)
        if not form.model.is_log[i] or name in estimate.at_bound or name in estimate.problem.priors:
            continue
        if estimate.standard_errors[position] > LOOSE:
            yield Question(estimate, name, 0.0, cutoff(estimate, position, 0.95))


def _recipe(draft: _Draft, options: Options) -> Recipe:
    estimate, data = draft.estimate, draft.data
    problem, kind = estimate.problem, estimate.problem.kind
    sources = data.frame["source_id"].unique().to_list() if "source_id" in data.frame.columns else []
    return Recipe.of(
        {
            "law": problem.form.law.name,
            "columns": dict(data.columns),
            "output": data.output,
            "objective": options.objective,
            "delta": options.delta if kind.loss == "huber" else None,
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
            "undetermined": draft.undetermined,
            "on_log_scale": is_on_log_scale(problem.form),
            "n_rows": problem.y.size,
            "resampled": data.resampled,
            "resample": options.resample,
            "by_run": options.by_run,
            "bootstrap": int(options.bootstrap),
            "rng": int(options.rng),
            "n_starts": int(options.n_starts),
            "search_seed": options.search_seed,
            "pool": options.pool,
            "sources": sorted(str(name) for name in sources if name is not None),
            "data_sha256": digest([*problem.inputs, problem.y, problem.weights]),
            "versions": dict(_versions()),
            "notes": data.notes,
        }
    )


def _agreeing_digits(theta: FloatArray) -> float:
    """Digits to which all rows of `theta` (starts that reached one optimum) are equal."""
    if theta.shape[0] < 2:
        return 0.0
    with np.errstate(over="ignore"):  # beside a parameter that is zero, any other is infinitely far
        spread = np.max(np.abs(theta - theta[0]) / np.maximum(np.abs(theta[0]), 1e-300))
    return float(np.clip(-np.log10(max(spread, 1e-16)), 0.0, 16.0))


def digest(arrays: Sequence[FloatArray]) -> str:
    """Hash of some arrays, in their order."""
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays)).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("scalingdb", "numpy", "scipy", "polars")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
