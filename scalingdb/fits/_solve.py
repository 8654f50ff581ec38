"""`fit`: from a frame to a :class:`Fit`."""

from __future__ import annotations

import functools
import hashlib
import platform
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitError, FitWarning, check_seed, check_word
from scalingdb.fits._bounded import hints
from scalingdb.fits._facts import Reason, Recipe, Verdict
from scalingdb.fits._form import Form, make_form, make_penalty
from scalingdb.fits._result import Fit
from scalingdb.fits._rows import Data, collect
from scalingdb.law_library import Law, get_law
from scalingdb.notices import notice

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
    from scalingdb.estimation.objectives import Objective
    from scalingdb.estimation.search import Found
    from scalingdb.estimation.solver import Penalty

__all__ = ["N_STARTS", "Options", "check_options", "finish", "fit", "prepare", "refit"]

N_STARTS = 16
"""Starts that are polished to the end; the search before it looks at several hundred."""

LOOSE = 0.4
"""Standard error of a logarithm beyond which a scale might be nothing at all."""

ZERO_SHARE = 1e-6
"""A scale whose term is below this share of the typical prediction counts as zero."""

RESAMPLING = {
    "runs": "by run_id",
    "rows": "by row",
    "residuals": "residuals on the law",
    "wild": "residuals with random signs",
}


@dataclass(frozen=True)
class Options:
    """What :func:`fit` was asked for, beside the frame and the law."""

    objective: str = "huber_log"
    delta: float = 1e-3
    bootstrap: int = 0
    by_run: bool = True
    weights: str | Sequence[float] | None = None
    fixed: Mapping[str, float] | None = None
    rng: int = 0
    pool: bool = False
    inputs: Mapping[str, str] | None = None
    output: str | None = None
    n_items: str | None = None
    asymmetry: float = 0.5
    tied: Mapping[str, str] | None = None
    bounds: Mapping[str, tuple[float, float]] | None = None
    priors: Mapping[str, tuple[float, float]] | None = None
    resample: str = "runs"
    n_starts: int = N_STARTS
    search_seed: int | None = None


def fit(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    *,
    objective: str = "huber_log",
    delta: float = 1e-3,
    bootstrap: int = 0,
    by_run: bool = True,
    weights: str | Sequence[float] | None = None,
    fixed: Mapping[str, float] | None = None,
    rng: int = 0,
    pool: bool = False,
    inputs: Mapping[str, str] | None = None,
    output: str | None = None,
    n_items: str | None = None,
    asymmetry: float = 0.5,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    priors: Mapping[str, tuple[float, float]] | None = None,
    resample: str = "runs",
    n_starts: int = N_STARTS,
    search_seed: int | None = None,
) -> Fit:
    """Fit a law to a frame: at the global optimum, with intervals and a verdict.

    Several hundred structured starts are searched, the best sixteen polished by damped Newton
    steps with the law's exact derivatives.

    Parameters
    ----------
    frame : DataFrame
        One row an observation, as :meth:`Warehouse.points` returns it.
    law : str or Law
        Id of the library, or your own law.
    objective : str
        ``huber_log`` (default), ``mse_log``, ``mae_log``, ``huber``, ``mse``, ``mae``, ``binomial``,
        ``beta_binomial``; always a sum. The last two are for scores between 0 and 1.
    delta : float
        Where the Huber loss turns from square to straight.
    bootstrap : int
        Resamples; 0 gives intervals from the robust covariance.
    by_run : bool
        Resample (and cluster) by ``run_id``, so that checkpoints of one run stay together. Without
        such a column, or with False, rows are resampled.
    weights : column name or sequence, optional
        Not negative, one a row.
    fixed : mapping, optional
        Parameters held at a value.
    rng : int
        Seed of the bootstrap.
    pool : bool
        Fit rows together although they differ in metric, unit, evaluation set or tokenizer.
    inputs : mapping, optional
        Column to use for an input of the law, ``{"n_params": "n_params_non_embedding"}``.
    output : str, optional
        Column with the observed values, if it is not the law's output.
    n_items : str, optional
        Column with the number of items behind a score, for the binomial objectives (``n_items``).
    asymmetry : float
        Weight of rows above the law against rows below it: 0.5 is symmetric; ``mae`` with 0.1
        follows the lower tenth.
    tied : mapping, optional
        ``{"beta": "alpha"}``: the first equals the second.
    bounds : mapping, optional
        ``{"E": (0.5, 2)}``: narrower than the law's own.
    priors : mapping, optional
        ``{"E": (1.69, 0.1)}``: mean and standard deviation of what is known beforehand; a normal
        for parameters of any sign, a log-normal of the same relative error for scales. It weighs as
        much as its likelihood against the scatter of the rows (measured by a fit without it).
    resample : {"runs", "rows", "residuals", "wild"}
        What a bootstrap draws: whole runs (``by_run``), rows, residuals put back on the law (equal
        scatter everywhere), or residuals with random signs, one sign a run (scatter may differ).
    n_starts : int
        Starts polished to the end.
    search_seed : int, optional
        Moves the places where starts are looked for, to see whether the end depends on them.

    Raises
    ------
    DataError
        If rows are not comparable, columns are missing, or values are missing, infinite or (where
        logarithms are taken) not positive.
    FitError
        If there are fewer rows than parameters, an input does not vary, or no start leads anywhere.
    UnknownNameError
        For an unknown law, objective, parameter or column.

    Warns
    -----
    FitWarning
        If a parameter sits at a bound, is not identified, or the search ran out of iterations.

    References
    ----------
    Hoffmann et al., arXiv:2203.15556, section 3.3 (objective); Besiroglu et al., arXiv:2404.10102
    (why the sum); Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432 (variable projection);
    Wu, Ann. Statist. 14 (1986) 1261-1295 (wild bootstrap).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
    >>> found.verdict, round(found.params["alpha"], 4)
    ('identified', 0.3473)
    """
    options = Options(
        objective=objective,
        delta=delta,
        bootstrap=bootstrap,
        by_run=by_run,
        weights=weights,
        fixed=fixed,
        rng=rng,
        pool=pool,
        inputs=inputs,
        output=output,
        n_items=n_items,
        asymmetry=asymmetry,
        tied=tied,
        bounds=bounds,
        priors=priors,
        resample=resample,
        n_starts=n_starts,
        search_seed=search_seed,
    )
    return fit_with(frame, get_law(law), options)


def fit_with(frame: pl.DataFrame | pl.LazyFrame, law: Law, options: Options) -> Fit:
    """Fit with checked options; see :func:`fit`."""
    from scalingdb.estimation import search, uncertainty

    form, kind = check_options(law, options)
    data, kind = prepare(frame, form, kind, options)
    rows = search.Rows(tuple(data.inputs), data.y, data.weights)
    own = own_starts(form, kind, options)
    wanted: dict[str, Any] = {"own": own, "n_starts": options.n_starts, "seed": options.search_seed}
    penalty = None
    if options.priors:
        free_of_priors, kind = _search(form, kind, rows, wanted)
        if free_of_priors is None:
            raise no_start(form, data)
        factor = 1.0
        if not kind.is_likelihood:
            _, residual = uncertainty.jacobian_at(form.model, kind, free_of_priors.u, free_of_priors.inputs, data.y)
            factor = uncertainty.likelihood_unit(kind, residual, data.weights, form.model.n_params)
        penalty = make_penalty(form, options.priors, factor)
        wanted["own"] = own_starts(form, kind, options, factor)
    found, kind = _search(form, kind, rows, {**wanted, "penalty": penalty})
    if found is None:
        raise no_start(form, data)
    return finish(form, kind, data, found, penalty, options, stacklevel=4)


def _search(form: Form, kind: Objective, rows: Any, wanted: dict[str, Any]) -> tuple[Found | None, Objective]:
    from scalingdb.estimation import search

    held = list(form.held.values())
    if kind.name == "beta_binomial":
        return search.with_dispersion(form.model, kind, rows, held, **wanted)
    return search.search(form.model, kind, rows, held, **wanted), kind


def own_starts(form: Form, kind: Objective, options: Options, factor: float | None = None) -> Any:
    """Starts beside those of the compiled formula: the law's own, and where looser fits end.

    `factor` is what the priors weigh; None leaves them out.
    """
    priors = options.priors if factor is not None else None
    wanted = {"n_starts": options.n_starts, "seed": options.search_seed}
    return hints(form, kind, wanted, is_bounded=bool(options.bounds), priors=priors, factor=factor or 1.0)


def no_start(form: Form, data: Data) -> FitError:
    return FitError(
        f"law {form.law.name!r}: no start gives a finite objective on these {data.y.size} rows",
        "check the units of the inputs, widen the 'start' ranges of the parameters, or try objective='mse'.",
    )


def check_options(law: Law, options: Options) -> tuple[Form, Objective]:
    """Refuse what cannot be, before any row is looked at."""
    from scalingdb.estimation import objectives

    kind = objectives.make_objective(options.objective, options.delta, options.asymmetry)
    if not isinstance(options.bootstrap, (int, np.integer)) or options.bootstrap < 0:
        raise DataError(
            f"bootstrap={options.bootstrap!r} is not a count of resamples",
            "give a whole number, for example 1000; 0 for none.",
        )
    check_word(options.resample, RESAMPLING, "resample")
    check_seed(options.rng)
    if options.search_seed is not None:
        check_seed(options.search_seed, "search_seed")
    if options.resample in {"residuals", "wild"} and kind.is_likelihood:
        raise DataError("the residuals of a likelihood cannot be put on other rows", 'use resample="runs" or "rows".')
    if not isinstance(options.n_starts, (int, np.integer)) or options.n_starts < 1:
        raise DataError(f"n_starts={options.n_starts!r} is not a count of starts", "16 is the default.")
    form = make_form(law, options.fixed, options.tied, options.bounds)
    make_penalty(form, options.priors)
    return form, kind


def prepare(
    frame: pl.DataFrame | pl.LazyFrame, form: Form, kind: Objective, options: Options
) -> tuple[Data, Objective]:
    """Arrays of a frame, and the objective with the items that it may need."""
    data = collect(
        frame,
        form.law,
        kind,
        by_run=options.by_run and options.resample != "rows",
        weights=options.weights,
        n_free=form.model.n_params,
        one_value_is_fine=bool(form.held),
        inputs=options.inputs,
        output=options.output,
        n_items=options.n_items,
        pool=options.pool,
    )
    for note in data.notes:
        notice(note, once=True)
    if kind.name == "binomial":
        assert data.n_items is not None
        data = replace(data, weights=data.weights * data.n_items)
    if kind.name == "beta_binomial":
        kind = replace(kind, n_items=data.n_items)
    return data, kind


def finish(
    form: Form,
    kind: Objective,
    data: Data,
    found: Found,
    penalty: Penalty | None,
    options: Options,
    stacklevel: int = 3,
) -> Fit:
    """From the optimum to covariance, verdict, bootstrap and recipe."""
    from scalingdb.estimation import identifiability, uncertainty

    law, model, prepared, u = form.law, form.model, found.inputs, found.u
    free_names = form.free
    theta = model.to_natural(u[None], prepared)[0]
    digits = _agreeing_digits(model.to_natural(found.polished[found.agree], prepared))
    at_bound = _at_bounds(model, u, prepared, data.y)
    for name, bound in at_bound.items():
        theta[free_names.index(name)] = bound
    inside = np.array([name not in at_bound for name in free_names])

    # what a vanished term leaves of its exponent shows only where its scale is zero
    scales = [i for i in model.linear if model.is_log[i]]
    judged_at = u.copy()
    judged_at[[i for i in scales if free_names[i] in at_bound]] = 0.0
    # from here on scales are judged by their logarithm, whatever coordinate they were fitted in
    stretch = np.ones(model.n_params)
    stretch[scales] = judged_at[scales]
    jacobian, residual = uncertainty.jacobian_at(model, kind, judged_at, prepared, data.y)
    jacobian = jacobian * stretch[:, None]
    bread = covariance = np.zeros((model.n_params, model.n_params))
    if np.isfinite(jacobian).all():  # it is not where the optimum lies at infinity
        width = _small(residual) if kind.is_absolute else kind.delta
        covariance, bread = uncertainty.sandwich(
            jacobian, residual, data.weights, data.clusters, width, inside, kind.asymmetry
        )
        if penalty is not None:
            covariance, bread = uncertainty.with_priors(covariance, bread, penalty, model, u, prepared, stretch, inside)
    logs = {data.columns[name]: log for name, log in zip(law.inputs, prepared.logs, strict=True)}
    judged = identifiability.assess(
        free_names,
        theta,
        model.is_log,
        jacobian,
        data.weights,
        covariance,
        inside,
        at_bound,
        identifiability.examine(logs, data.y, data.weights, model.n_params, model.signed),
    )
    verdict = judged.verdict if found.status != "iteration limit" else unconverged(judged.verdict)
    estimates = dict(zip(law.params, map(float, form.expand(theta[None])[0]), strict=True))
    spread = form.spread
    transform = _to_natural(model, u, stretch, prepared, inside)
    natural = [transform @ matrix @ transform.T for matrix in (covariance, bread)]
    # a scale is measured at the centre of the data: its value at one depends on all that the centre depends on
    open_ended = np.isin(free_names, judged.undetermined) & inside
    carried = [
        name for i, name in enumerate(free_names) if inside[i] and (np.abs(transform[i, open_ended]) > 1e-9).any()
    ]
    undetermined = tuple(name for name in free_names if name in {*judged.undetermined, *carried})
    samples = np.empty((0, len(law.params)))
    resampled = data.resampled
    if options.bootstrap:
        samples, resampled = _bootstrap(form, kind, data, found, penalty, options)
    recipe = {
        "law": law.name,
        "columns": dict(data.columns),
        "output": data.output,
        "objective": options.objective,
        "delta": options.delta if options.objective.startswith("huber") else None,
        "asymmetry": options.asymmetry,
        "dispersion": kind.dispersion,
        "n_items": (options.n_items or "n_items") if kind.is_likelihood else None,
        "weights": options.weights if isinstance(options.weights, str) else None,
        "fixed": dict(form.held),
        "tied": dict(form.tied),
        "bounds": {name: list(pair) for name, pair in (options.bounds or {}).items()},
        "priors": {name: list(pair) for name, pair in (options.priors or {}).items()},
        "prior_factor": penalty.factor if penalty is not None else 1.0,
        "at_bound": at_bound,
        "undetermined": undetermined,
        "on_log_scale": tuple(name for name in law.params if _is_log(form, form.tied.get(name, name))),
        "n_rows": data.y.size,
        "resampled": resampled,
        "resample": options.resample,
        "by_run": options.by_run,
        "bootstrap": int(options.bootstrap),
        "rng": int(options.rng),
        "n_starts": int(options.n_starts),
        "search_seed": options.search_seed,
        "pool": options.pool,
        "sources": tuple(sorted(data.frame["source_id"].unique())) if "source_id" in data.frame.columns else (),
        "data_sha256": _digest([*data.inputs, data.y, data.weights]),
        "versions": _versions(),
        "notes": data.notes,
    }
    result = Fit(
        law=law,
        params=MappingProxyType(estimates),
        objective=found.objective,
        verdict=verdict,
        status=found.status,
        covariance=spread @ natural[0] @ spread.T,
        samples=samples,
        n_starts=int(found.totals.size),
        n_agree=int(found.agree.sum()),
        agree_digits=digits,
        eigenvalues=judged.eigenvalues,
        weakest=judged.weakest,
        recipe=Recipe.of(recipe),
        data=data.frame,
        _clusters=data.clusters,
        _weights=data.weights,
        _curvature=spread @ natural[1] @ spread.T,
    )
    if verdict.converged and verdict.kind in {"identified", "weak"}:
        unproven = _indistinguishable_from_zero(result, form)
        if unproven:
            reason = Reason("indistinguishable_from_zero", tuple(unproven))
            verdict = Verdict("weak", (*verdict.reasons, reason))
            result = replace(result, verdict=verdict)
    if not verdict.converged or verdict.kind in {"not_identified", "at_bound"}:
        warnings.warn(f"law {law.name!r}: {verdict}", FitWarning, stacklevel=stacklevel)
    return result


def unconverged(verdict: Verdict) -> Verdict:
    """The verdict on a point at which the search ran out of iterations."""
    kind = "weak" if verdict.kind == "identified" else verdict.kind
    return Verdict(kind, (Reason("not_converged"), *verdict.reasons))


def _indistinguishable_from_zero(fit: Fit, form: Form) -> list[str]:
    """Loosely known scales without which the law fits about as well: a logarithm alone never reaches zero."""
    from scalingdb.fits._profile import cutoff, solve

    found = []
    for i in form.model.linear:
        name = form.free[i]
        position = list(fit.params).index(name)
        if not form.model.is_log[i] or name in fit.recipe.at_bound or name in fit.recipe.priors:
            continue
        if np.sqrt(fit.covariance[position, position]) > LOOSE:
            rise = solve(fit, name, np.zeros(1))[0][0] - fit.objective
            if rise < cutoff(fit, position, 0.95):
                found.append(name)
    return found


def _is_log(form: Form, name: str) -> bool:
    if name in form.free:
        return bool(form.model.is_log[form.free.index(name)])
    return form.law.params[name].low == 0.0 and form.law.params[name].high == float("inf")


def refit(fit: Fit) -> Fit:
    """Fit the rows of a fit again, with its options."""
    recipe = fit.recipe
    names = ("objective", "bootstrap", "by_run", "fixed", "rng", "pool", "output", "n_items", "asymmetry", "tied")
    more = ("priors", "resample", "n_starts", "search_seed")
    options = Options(
        **{name: getattr(recipe, name) for name in (*names, *more)},
        delta=recipe.delta or 1e-3,
        inputs=recipe.columns,
        bounds=recipe.bounds,
        weights=fit._own_weights,
    )
    return fit_with(fit.data, fit.law, options)


def _bootstrap(
    form: Form, kind: Objective, data: Data, found: Found, penalty: Penalty | None, options: Options
) -> tuple[FloatArray, str]:
    """Estimates of every resample (B, K) in natural units, and how they were drawn."""
    from scalingdb.estimation import solver, uncertainty

    model, prepared = form.model, found.inputs
    generator = np.random.default_rng(options.rng)
    y, weights, how = data.y, data.weights, data.resampled
    if options.resample in {"residuals", "wild"}:
        prediction = model.evaluate(found.u[None], prepared, 0).value[0]
        residual = kind.residual(data.y, prediction)
        drawn = uncertainty.resampled_residuals(
            residual, data.weights, data.clusters, model.n_params, options.bootstrap, generator, options.resample
        )
        y = prediction * np.exp(drawn) if kind.is_log else prediction + drawn
        weights = np.broadcast_to(data.weights, y.shape)
        how = RESAMPLING[options.resample] + (f", {how}" if options.resample == "wild" else "")
    else:
        weights = uncertainty.cluster_weights(data.clusters, data.weights, options.bootstrap, generator)
    count = int(options.bootstrap)

    def solve(start: FloatArray, rows: Any, damping: float) -> Any:
        own = y if y.ndim == 1 else y[rows]
        starts = np.tile(start, (len(rows), 1))
        taken = prepared.take(rows)
        return solver.minimise(model, kind, starts, taken, own, weights[rows], penalty=penalty, damping=damping)

    every = np.arange(count)
    warm = solve(found.u, every, 0.1)
    u, total, status = warm.u, warm.objective, warm.status
    for start in found.others:
        # a resample that does not converge from the optimum is tried from the other starts as well
        open_rows = np.flatnonzero(status == solver.ITERATION_LIMIT)
        if open_rows.size == 0:
            break
        again = solve(start, open_rows, 1.0)
        better = (again.status != solver.ITERATION_LIMIT) & (again.objective <= total[open_rows] * (1 + 1e-9))
        taken = open_rows[better]
        u[taken], total[taken], status[taken] = again.u[better], again.objective[better], again.status[better]
    theta = model.to_natural(u, prepared)
    lost = status == solver.ITERATION_LIMIT
    theta[lost] = np.nan  # a few distinct rows can leave a parameter free
    if lost.any():
        notice(f"{lost.sum()} of {count} resamples leave a parameter undetermined; the intervals leave them out")
    return form.expand(theta), how


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
    found = {}
    typical = float(np.median(np.abs(y)))
    largest = np.abs(model.basis(u[None], prepared)[1][0]).max(1) if model.basis is not None else np.empty(0)
    for i, spec in enumerate(model.params):
        if i in model.linear and spec.is_log:
            # a scale is judged by its term where that is largest: what it counts in is the unit of the inputs,
            # and a steep term that is nothing at the centre may be much at the edge
            if u[i] * largest[model.linear.index(i)] < ZERO_SHARE * typical:
                found[spec.name] = 0.0
            continue
        # where the solver stopped, in its coordinate: a share of a wide range may be most of the parameter
        for at, bound in ((model.low[i], spec.low), (model.high[i], spec.high)):
            near = 1e-9 * min(model.high[i] - model.low[i], max(1.0, abs(at)))
            if np.isfinite(at) and abs(u[i] - at) <= near:
                found[spec.name] = float(bound)
    return found


def _to_natural(
    model: Model,
    u: FloatArray,
    stretch: FloatArray,
    prepared: PreparedInputs,
    inside: np.ndarray[Any, np.dtype[np.bool_]],
) -> FloatArray:
    """Derivatives (k, k) of the natural parameters (logarithms for scales) by the internal coordinates.

    The latter after linear scales were turned into logarithms, which multiplies a derivative by `stretch`.
    """
    k = u.size
    step = 1e-6 * np.maximum(np.abs(u), np.where(stretch != 1.0, 1e-300, 1.0))
    points = np.concatenate([u + np.diag(step), u - np.diag(step)])
    theta = model.to_natural(points, prepared)
    values = np.where(model.is_log, np.log(np.maximum(theta, 1e-300)), theta)
    with np.errstate(invalid="ignore"):  # an optimum at infinity
        transform = (values[:k] - values[k:]).T / (2 * step) * stretch
    return np.where(inside[:, None] & inside & np.isfinite(transform), transform, 0.0)


def _digest(arrays: Sequence[FloatArray]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays)).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("scalingdb", "numpy", "scipy", "polars")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
