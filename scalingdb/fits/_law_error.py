"""Intervals beyond the fitted rows: how wrong a law becomes with distance, learned from the rows themselves.

The scatter of the fitted rows says little about a forecast, because the misses of a law far away are errors that
its rows share. What does tell is the law's own past: fitted to the small rows alone, how far did it miss the
larger ones? The error grows about as ``0.5 + ln(distance)``, so each miss is divided by that. Their root mean
square, drawn towards what laws have missed by on published studies, gives the width; Student's t allows for few
hold-outs; and the interval leans to the side on which the law has missed before.

``benchmarks/forecast_coverage.py`` measures how often such intervals hold, on sources that had no part in the
constants, and ``--calibrate`` writes the constants (``law_error.csv``). On the arena's surfaces and curves 95 %
intervals hold 94 % of the held-out rows (91 % beyond 30 times the fitted scale), where those from the scatter of the
fitted rows hold 71 % (52 %). They fail where the larger rows follow another curve, as after a sudden drop in loss.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits._estimate import Estimate
    from scalingdb.fits._problem import Problem
    from scalingdb.fits._result import Fit
    from scalingdb.law_library import Law

__all__ = [
    "InnerHoldouts",
    "Pooled",
    "drift_of",
    "farthest_axis",
    "growth",
    "inner_holdouts",
    "law_interval",
    "lean_of",
    "log_axes",
    "log_positions",
    "miss_scale",
    "misses",
    "noise",
    "offsets",
    "own_scale",
    "pooled",
    "with_law_error",
]

PARAMS = ("n_params", "n_params_non_embedding", "n_params_active")
TOKENS = ("n_tokens", "n_examples")
SIZES = (*PARAMS, *TOKENS, "train_flops", "x")
"""Inputs along which studies are scaled up."""

STEP = 2.0**0.5
"""Ratio of two neighbouring thresholds of the inner hold-outs."""

MAX_INNER = 20
"""Thresholds that are tried: a factor of a thousand below the largest row."""

MAX_MISS = 5.0
"""Logarithm of the largest miss that counts: a law that is wrong by a factor of 150 has said all it can."""

NOTHING = 1e-9
"""Logarithm of a distance that rounding alone can make."""

CONSTANTS = Path(__file__).with_name("law_error.csv")

BoolArray = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
IntArray = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


@dataclass(frozen=True)
class Pooled:
    """What laws have missed by on the published studies; for laws in one input, and in several.

    Attributes
    ----------
    log_scale, log_scale_alone : float
        Logarithm of a typical miss over ``0.5 + ln(distance)``: beside inner hold-outs, and where there are none
        (the fits to the fewest rows). For fits whose rows scatter by ``exp(-4.5)``.
    noise_power : float
        How that grows with the scatter of the fitted rows.
    log_weight : float
        Logarithm of what one inner hold-out counts: neighbouring ones share most of their rows.
    log_degrees : float
        Logarithm of what the pooled miss counts, and of the degrees of freedom without a hold-out.
    """

    log_scale: float
    log_scale_alone: float
    noise_power: float
    log_weight: float
    log_degrees: float


@dataclass(frozen=True)
class InnerHoldouts:
    """Misses of a fit's own past, each over ``0.5 + ln(distance)``.

    Every hold-out counts by the rows that it left to fit: a fit to few rows errs more than the one to all of them.

    Attributes
    ----------
    n : int
        Inner hold-outs.
    count : float
        Hold-outs of equal weight that they are worth.
    spread, lean : float
        Root mean square and mean of the misses.
    """

    n: int
    count: float
    spread: float
    lean: float


def pooled(n_inputs: int) -> Pooled:
    """Constants for a law with so many inputs."""
    return _constants()["one" if n_inputs == 1 else "several"]


@functools.lru_cache(maxsize=1)
def _constants() -> Mapping[str, Pooled]:
    names = [field.name for field in fields(Pooled)]
    return {
        row["inputs"]: Pooled(**{name: row[name] for name in names})
        for row in pl.read_csv(CONSTANTS, comment_prefix="#").iter_rows(named=True)
    }


def growth(log_distance: FloatArray) -> FloatArray:
    """How the error of a law grows with the logarithm of the distance."""
    return np.asarray(0.5 + log_distance)


def log_axes(law: Law, inputs: Sequence[FloatArray]) -> dict[str, FloatArray]:
    """Logarithms of what an extrapolation can be measured along, from the inputs of a law.

    ``scale`` is the product of parameters and tokens (compute, but for a constant), or the one size that the law
    takes; ``tokens_per_param`` their ratio; any other positive input stands for itself.
    """
    logs = {}
    with np.errstate(all="ignore"):
        for name, values in zip(law.inputs, inputs, strict=True):
            if name not in law.signed_inputs:
                logs[name] = np.log(values)
    sizes = [name for name in logs if name in SIZES] or (list(logs) if len(law.inputs) == 1 else [])
    axes: dict[str, FloatArray] = {}
    if sizes:
        axes["scale"] = np.sum([logs[name] for name in sizes], axis=0)
    n, d = (next((name for name in sizes if name in group), None) for group in (PARAMS, TOKENS))
    if n is not None and d is not None:
        axes["tokens_per_param"] = logs[d] - logs[n]
    return {**axes, **{name: values for name, values in logs.items() if name not in sizes}}


def misses(estimate: Estimate, axis: str, sign: int = 1) -> tuple[FloatArray, FloatArray, IntArray]:
    """Errors of inner fits at fitted rows beyond their thresholds.

    The rows below 1/1.4, 1/2, 1/2.8, ... of the largest value are fitted, from the optimum of all rows and as one
    batch; the rows above are predicted.

    Parameters
    ----------
    axis : str
        A name of :func:`log_axes`.
    sign : {1, -1}
        -1 fits the large rows and predicts the small ones.

    Returns
    -------
    error : array (m,)
        Prediction against observation: of logarithms where the objective takes them, else over the median
        observation.
    log_distance : array (m,)
        Logarithm of how far the row lies beyond the inner fit's range.
    holdout : array (m,)
        Number of the inner hold-out.
    """
    from scalingdb.estimation import solver

    problem = estimate.problem
    form, kind, y, weights = problem.form, problem.kind, problem.y, problem.weights
    along = sign * log_axes(form.law, problem.inputs)[axis]
    used = weights > 0
    thresholds = along[used].max() - np.log(STEP) * np.arange(1, MAX_INNER + 1)
    below = used & (along <= thresholds[:, None] + 1e-9)
    counts, first = np.unique(below.sum(1), return_index=True)
    below = below[first[counts > form.model.n_params]]
    if not below.size:
        return np.empty(0), np.empty(0), np.empty(0, dtype=np.int64)
    names = list(form.law.params)
    free = np.array([[estimate.theta[names.index(name)] for name in form.free]])
    solved = solver.minimise(
        form.model,
        kind,
        np.repeat(form.model.to_internal(free, problem.prepared), len(below), axis=0),
        problem.prepared,
        y,
        weights * below,
        penalty=problem.penalty,
        damping=0.1,
        max_iterations=60,
    )
    with np.errstate(all="ignore"):
        error = -kind.residual(y, form.model.evaluate(solved.u, problem.prepared, 0).value) / _unit(problem)
    top = np.where(below, along, -np.inf).max(1)
    holdout, row = np.nonzero(used & ~below)
    return error[holdout, row], (along - top[:, None])[holdout, row], holdout


def _unit(problem: Problem) -> float:
    """What an error is measured in: logarithms as they are, plain residuals against a typical observation."""
    if problem.kind.is_log:
        return 1.0
    return float(np.median(np.abs(problem.y[problem.weights > 0]))) or 1.0


_RECORDS: WeakKeyDictionary[Estimate, dict[tuple[str, int], InnerHoldouts]] = WeakKeyDictionary()


def inner_holdouts(estimate: Estimate, axis: str = "scale", sign: int = 1) -> InnerHoldouts:
    """What a fit's inner hold-outs along an axis missed by; computed once for each fit."""
    records = _RECORDS.setdefault(estimate, {})
    if (axis, sign) not in records:
        records[axis, sign] = _summary(*misses(estimate, axis, sign), int((estimate.problem.weights > 0).sum()))
    return records[axis, sign]


def _summary(error: FloatArray, log_distance: FloatArray, holdout: IntArray, n_rows: int) -> InnerHoldouts:
    scaled = np.clip(np.nan_to_num(error, nan=MAX_MISS), -MAX_MISS, MAX_MISS) / growth(log_distance)
    if not scaled.size:
        return InnerHoldouts(0, 0.0, 0.0, 0.0)
    beyond = np.bincount(holdout)
    means, squares = np.bincount(holdout, scaled) / beyond, np.bincount(holdout, scaled**2) / beyond
    share = (n_rows - beyond) / (n_rows - beyond).sum()
    effective = 1.0 / float((share**2).sum())
    return InnerHoldouts(beyond.size, effective, float(np.sqrt(share @ squares)), float(share @ means))


def noise(estimate: Estimate) -> float:
    """Scatter of the fitted rows around the law, for the parameters that it took."""
    problem = estimate.problem
    residual = problem.kind.residual(problem.y, problem.predict(estimate.theta[None])[0])[problem.weights > 0]
    return float(np.sqrt((residual**2).sum() / max(residual.size - estimate.n_free, 1))) / _unit(problem)


def miss_scale(
    constants: Pooled, count: FloatArray, spread: FloatArray, scatter: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Scale of a miss over ``0.5 + ln(distance)``, and its degrees of freedom.

    The squared scale is the mean of the pooled one and of the fit's own hold-outs, weighted by what each counts, as
    with a conjugate prior for a variance. Arguments are numbers or arrays that go together.
    """
    degrees, weight = np.exp(constants.log_degrees), np.exp(constants.log_weight) * count
    log_scale = np.where(count > 0, constants.log_scale, constants.log_scale_alone)
    log_scale = log_scale + constants.noise_power * (np.log(np.maximum(scatter, 1e-5)) + 4.5)
    total = degrees + weight
    return np.sqrt((degrees * np.exp(2 * log_scale) + weight * spread**2) / total), total


def lean_of(constants: Pooled, count: FloatArray, lean: FloatArray) -> FloatArray:
    """By how much an interval is moved, over ``0.5 + ln(distance)``: against the mean of the past misses.

    One hold-out says little about the side, so its mean counts by weight / (weight + 1).
    """
    weight = np.exp(constants.log_weight) * count
    return np.asarray(-lean * weight / (weight + 1.0))


def offsets(
    constants: Pooled, own: InnerHoldouts, scatter: float, log_distance: FloatArray, level: float
) -> tuple[FloatArray, FloatArray]:
    """Ends of an interval around a prediction, in the unit of :func:`misses`."""
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    count, spread, lean = (np.asarray(value, dtype=float) for value in (own.count, own.spread, own.lean))
    scale, degrees = miss_scale(constants, count, spread, np.asarray(scatter))
    half, moved = stdtrit(degrees, 0.5 + level / 2) * scale, lean_of(constants, count, lean)
    far = growth(log_distance)
    return (moved - half) * far, (moved + half) * far


def farthest_axis(problem: Problem, inputs: Sequence[FloatArray]) -> tuple[list[tuple[str, int]], IntArray, FloatArray]:
    """Directions of :func:`log_axes`, which of them each row lies farthest out along, and how far.

    Returns
    -------
    directions : list of (axis, sign)
    which : array (n,)
        Position in `directions`; -1 for a row within the fitted range.
    log_distance : array (n,)
        Logarithm of the distance along that direction; not positive within the range.
    """
    directions, beyond = _beyond(problem, inputs)
    if not directions:
        rows = inputs[0].shape
        return [], np.full(rows, -1), np.zeros(rows)
    log_distance = beyond.max(0)
    return directions, np.where(log_distance > NOTHING, beyond.argmax(0), -1), log_distance


def _beyond(problem: Problem, inputs: Sequence[FloatArray]) -> tuple[list[tuple[str, int]], FloatArray]:
    """Directions, and the logarithm of how far each row lies beyond the fitted rows along each: (directions, n)."""
    law, used = problem.form.law, problem.weights > 0
    fitted, asked = log_axes(law, problem.inputs), log_axes(law, inputs)
    directions = [(axis, sign) for axis in fitted for sign in (1, -1)]
    return directions, np.array([sign * asked[axis] - (sign * fitted[axis][used]).max() for axis, sign in directions])


def _is_tested(estimate: Estimate, inputs: Sequence[FloatArray]) -> BoolArray:
    """Rows with inner hold-outs along every direction in which they lie beyond the fitted range."""
    directions, beyond = _beyond(estimate.problem, inputs)
    tested = np.ones(inputs[0].shape, dtype=bool)
    for direction, distance in zip(directions, beyond, strict=True):
        is_out = distance > NOTHING
        if is_out.any() and not inner_holdouts(estimate, *direction).n:
            tested &= ~is_out
    return tested


def law_interval(
    estimate: Estimate, inputs: Sequence[FloatArray], prediction: FloatArray, level: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Interval of a new observation at inputs beyond the fitted range.

    Parameters
    ----------
    inputs : arrays (n,)
        In the order of the law's inputs.
    prediction : array (n,)
    level : float

    Returns
    -------
    low, high : array (n,)
        ``nan`` where an input lies within the fitted range.
    n_inner : array (n,)
        Inner hold-outs behind each interval: 0 where it rests on the pooled misses alone, -1 within the range.
    """
    low, high = np.full(prediction.shape, np.nan), np.full(prediction.shape, np.nan)
    n_inner, problem = np.full(prediction.shape, -1, dtype=np.int64), estimate.problem
    directions, which, log_distance = farthest_axis(problem, inputs)
    if (which < 0).all():
        return low, high, n_inner
    constants, scatter = pooled(len(inputs)), noise(estimate)
    for i in np.unique(which[which >= 0]):
        rows = which == i
        own = inner_holdouts(estimate, *directions[i])
        below, above = offsets(constants, own, scatter, log_distance[rows], level)
        if problem.kind.is_log:
            with np.errstate(over="ignore"):
                low[rows], high[rows] = prediction[rows] * np.exp(below), prediction[rows] * np.exp(above)
        else:
            unit = _unit(problem)
            low[rows], high[rows] = prediction[rows] + unit * below, prediction[rows] + unit * above
        n_inner[rows] = own.n
    if problem.kind.is_likelihood:
        low, high = np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)
    return low, high, n_inner


def with_law_error(
    estimate: Estimate,
    inputs: Sequence[FloatArray],
    prediction: FloatArray,
    low: FloatArray,
    high: FloatArray,
    level: float,
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Ends of intervals with those of :func:`law_interval` beyond the fitted range.

    An interval without an end (the rows do not determine the prediction) is replaced only where the law has been
    tested on just this kind of extrapolation: inner hold-outs along every direction in which the row lies outside.
    """
    below, above, n_inner = law_interval(estimate, inputs, prediction, level)
    is_open = ~(np.isfinite(low) & np.isfinite(high))
    if is_open.any():
        n_inner = np.where(is_open & ~_is_tested(estimate, inputs), -1, n_inner)
    return np.where(n_inner >= 0, below, low), np.where(n_inner >= 0, above, high), n_inner


def own_scale(estimate: Estimate) -> float:
    """Typical miss along the scale over ``0.5 + ln(distance)``: of its inner hold-outs, drawn towards the pooled."""
    own, n_inputs = inner_holdouts(estimate), len(estimate.problem.inputs)
    scale, _ = miss_scale(pooled(n_inputs), *(np.asarray(value) for value in (own.count, own.spread, noise(estimate))))
    return float(scale)


def drift_of(fit: Fit) -> tuple[float, float]:
    """Typical miss of the law over ``0.5 + ln(distance)``, and the scatter of the fitted rows around it.

    Both on the scale of the objective: of logarithms, or in the unit of the output.
    """
    estimate = fit._estimate
    problem = estimate.problem
    axis = next(iter(log_axes(problem.form.law, problem.inputs)), None)
    scatter, unit = noise(estimate), _unit(problem)
    own = InnerHoldouts(0, 0.0, 0.0, 0.0) if axis is None else inner_holdouts(estimate, axis)
    known = (np.asarray(value) for value in (own.count, own.spread, scatter))
    scale, _ = miss_scale(pooled(len(problem.inputs)), *known)
    return float(scale) * unit, scatter * unit


def log_positions(fit: Fit, frame: pl.DataFrame) -> FloatArray:
    """Where rows lie (n, axes): logarithms of what an extrapolation is measured along; see :func:`log_axes`."""
    axes = log_axes(fit.law, fit._arrays(frame))
    return np.stack(list(axes.values()), axis=1) if axes else np.zeros((frame.height, 1))
