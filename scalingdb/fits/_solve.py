"""`fit`: from a frame to a :class:`Fit`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import polars as pl

from scalingdb._arguments import told
from scalingdb.errors import DataError, FitError
from scalingdb.fits._bounded import hints
from scalingdb.fits._conclude import conclude
from scalingdb.fits._facts import Resampling
from scalingdb.fits._joint import JointFit, fit_joint
from scalingdb.fits._problem import N_STARTS, Options, Problem, check_options, state_problem
from scalingdb.fits._result import Fit
from scalingdb.law_library import Law, get_law

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from scalingdb.estimation.objectives import ObjectiveName
    from scalingdb.estimation.search import Found

__all__ = ["fit", "fit_with", "no_start", "own_starts", "refit"]


@overload
def fit(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    *,
    objective: ObjectiveName = ...,
    delta: float = ...,
    bootstrap: int = ...,
    by_run: bool = ...,
    weights: str | Sequence[float] | None = ...,
    fixed: Mapping[str, float] | None = ...,
    rng: int = ...,
    pool: bool = ...,
    inputs: Mapping[str, str] | None = ...,
    output: str | None = ...,
    n_items: str | None = ...,
    asymmetry: float = ...,
    tied: Mapping[str, str] | None = ...,
    bounds: Mapping[str, tuple[float, float]] | None = ...,
    priors: Mapping[str, tuple[float, float]] | None = ...,
    resample: Resampling = ...,
    n_starts: int = ...,
    search_seed: int | None = ...,
    executor: Executor | None = ...,
    by: None = ...,
    shared: None = ...,
) -> Fit: ...


@overload
def fit(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    *,
    objective: ObjectiveName = ...,
    delta: float = ...,
    bootstrap: int = ...,
    by_run: bool = ...,
    weights: str | Sequence[float] | None = ...,
    fixed: Mapping[str, float] | None = ...,
    rng: int = ...,
    pool: bool = ...,
    inputs: Mapping[str, str] | None = ...,
    output: str | None = ...,
    n_items: str | None = ...,
    asymmetry: float = ...,
    tied: Mapping[str, str] | None = ...,
    bounds: Mapping[str, tuple[float, float]] | None = ...,
    priors: Mapping[str, tuple[float, float]] | None = ...,
    resample: Resampling = ...,
    n_starts: int = ...,
    search_seed: int | None = ...,
    executor: Executor | None = ...,
    by: str | Sequence[str],
    shared: str | Sequence[str] | Mapping[str, str],
) -> JointFit: ...


@told
def fit(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    *,
    objective: ObjectiveName = "huber_log",
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
    resample: Resampling = "runs",
    n_starts: int = N_STARTS,
    search_seed: int | None = None,
    executor: Executor | None = None,
    by: str | Sequence[str] | None = None,
    shared: str | Sequence[str] | Mapping[str, str] | None = None,
) -> Fit | JointFit:
    """Fit a law to a frame: at the global optimum, with intervals and a verdict.

    Several hundred structured starts are searched, the best sixteen polished by damped Newton
    steps with the law's exact derivatives.

    Parameters
    ----------
    frame : DataFrame
        One row per observation, as :meth:`Warehouse.points` returns it.
    law : str or Law
        Id of the library, or your own law.
    objective : str
        ``huber_log`` (default), ``mse_log``, ``mae_log``, ``huber``, ``mse``, ``mae``, ``binomial``,
        ``beta_binomial``; always a sum. The last two are for scores between 0 and 1.
    delta : float
        Huber threshold (quadratic to linear).
    bootstrap : int
        Resamples; 0 gives intervals from the robust covariance.
    by_run : bool
        Resample (and cluster) by ``run_id``, so that checkpoints of one run stay together. Without
        such a column, or with False, rows are resampled.
    weights : column name or sequence, optional
        Not negative, one per row.
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
        scatter everywhere), or residuals with random signs, one sign per run (scatter may differ;
        refused for a near-absolute loss, or with fewer than 30 degrees of freedom: too narrow).
    n_starts : int
        Starts polished to the end.
    search_seed : int, optional
        Moves the places where starts are looked for, to see whether the end depends on them.
    executor : concurrent.futures.Executor, optional
        Where the resamples of a bootstrap are solved, in parts of up to 4,096: threads, processes, or Dask's
        ``client.get_executor()``. Every executor gives the numbers of this process.
    by : str or sequence of str, optional
        With `shared`: columns whose values make groups that are fitted together.
    shared : sequence of str or mapping, optional
        Parameters that are one number for all groups; the others are each group's own. In a mapping,
        ``{"alpha": "pooled"}`` draws a parameter of each group from a normal distribution between groups, whose mean
        and width are estimated (of its logarithm for a scale).

    Returns
    -------
    Fit
        Or a :class:`JointFit` with `by` and `shared`; it tests whether the groups may share.

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
    >>> found.verdict.kind, round(found.params["alpha"], 4)
    ('identified', 0.3473)

    Three corpora with one exponent:

    >>> gadre = sdb.connect().points("gadre_overtraining")
    >>> joint = sdb.fit(gadre, "gadre_overtrain", by="family", shared=["eta"])
    >>> joint.keys
    [('c4',), ('redpajama',), ('refinedweb',)]
    """
    if (by is None) != (shared is None):
        raise DataError(
            "by and shared go together",
            "name the parameters that all groups share: shared=['alpha']; fit_by fits groups one by one.",
        )
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
        executor=executor,
    )
    if by is not None and shared is not None:
        return fit_joint(frame, law, by, shared, options)
    return fit_with(frame, get_law(law), options)


def fit_with(frame: pl.DataFrame | pl.LazyFrame, law: Law, options: Options) -> Fit:
    """Read the rows, state the problem, search and solve, and conclude; see :func:`fit`."""
    form, kind = check_options(law, options)
    stated, data = state_problem(frame, form, kind, options)
    problem, found = _solve(stated, options)
    return conclude(problem, data, found, options, stacklevel=5)


def _solve(problem: Problem, options: Options) -> tuple[Problem, Found]:
    """The optimum, and the problem with what had to be estimated first: what its priors weigh, its dispersion."""
    from scalingdb.estimation import uncertainty

    if problem.priors:
        free_of_priors, unpenalised = _search(replace(problem, priors={}), options)
        factor, kind = 1.0, free_of_priors.kind
        if not kind.is_likelihood:
            _, residual = uncertainty.jacobian_at(
                problem.form.model, kind, unpenalised.u, unpenalised.inputs, problem.y
            )
            factor = uncertainty.likelihood_unit(kind, residual, problem.weights, problem.form.model.n_params)
        problem = replace(problem, kind=kind, prior_factor=factor)
    return _search(problem, options)


def _search(problem: Problem, options: Options) -> tuple[Problem, Found]:
    from scalingdb.estimation import search

    form, kind = problem.form, problem.kind
    held = list(form.held.values())
    wanted: dict[str, Any] = {"n_starts": options.n_starts, "seed": options.search_seed, "penalty": problem.penalty}
    wanted["own"] = own_starts(problem, options)
    if kind.name == "beta_binomial":
        found, kind = search.with_dispersion(form.model, kind, problem.rows, held, **wanted)
    else:
        found = search.search(form.model, kind, problem.rows, held, **wanted)
    if found is None:
        raise no_start(problem)
    return replace(problem, kind=kind), found


def own_starts(problem: Problem, options: Options) -> Any:
    """Starts beside those of the compiled formula: the law's own, and where looser fits end."""
    wanted = {"n_starts": options.n_starts, "seed": options.search_seed}
    return hints(
        problem.form,
        problem.kind,
        wanted,
        is_bounded=bool(options.bounds),
        priors=problem.priors or None,
        factor=problem.prior_factor,
    )


def no_start(problem: Problem) -> FitError:
    return FitError(
        f"law {problem.form.law.name!r}: no start gives a finite objective on these {problem.y.size} rows",
        "check the units of the inputs, widen the 'start' ranges of the parameters, or try objective='mse'.",
    )


def refit(fit: Fit) -> Fit:
    """Fit the rows of a fit again, with its options."""
    return fit_with(fit.data, fit.law, replace(Options.of(fit.recipe), weights=fit.own_weights()))
