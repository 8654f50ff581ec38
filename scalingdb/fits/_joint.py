"""Joint fits: one law, many groups, with parameters that all groups share or that are drawn together."""

from __future__ import annotations

import html
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table, number
from scalingdb.display import interval as interval_text
from scalingdb.errors import DataError, FitError, FitWarning, check_level, unknown_name
from scalingdb.fits._form import Form, make_form
from scalingdb.fits._local import Optimum, at_bounds, carried, settle, spread
from scalingdb.fits._problem import Options, Problem, check_options
from scalingdb.fits._rows import COMPARABLE, Data, collect
from scalingdb.law_library import Law, get_law
from scalingdb.reading import as_frame

if TYPE_CHECKING:
    import altair as alt

    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.search import Found, Rows
    from scalingdb.estimation.solver import Penalty

__all__ = ["JointFit", "fit_joint"]

Role = Literal["shared", "pooled"]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

CENTRAL = (0.5, 0.25, 0.75)
"""Quantiles of the separate estimates at which a joint search starts, besides the pooled rows' own estimate."""

NO_WIDTH = 1e-3
"""Width between groups, as a share of the typical error of one group, that stands for none."""


@dataclass(frozen=True, eq=False)
class _JointProblem(Problem):
    """A problem whose priors are those between groups."""

    between: Penalty | None = None

    @property
    def penalty(self) -> Penalty | None:
        return self.between


@told
@dataclass(frozen=True, eq=False)
class JointFit:
    """One law fitted to all groups of a frame at once. Made by :func:`fit` with ``by=`` and ``shared=``.

    Attributes
    ----------
    law : Law
    by : tuple of str
    shared, pooled : tuple of str
        Parameters that are one number for all groups, and those drawn from a normal distribution between groups.
    groups : mapping of key tuple to mapping of str to float
        All parameters of each group.
    widths : mapping of str to (float, float)
        Mean and standard deviation between groups of each pooled parameter, of its logarithm for a scale.
    objective : float
        The minimised sum over all rows.
    sharing : mapping of str to float, or None
        Test of whether the groups may share: ``statistic``, ``df``, ``df_residual``, ``p_value``; None where
        `sharing_note` says why there is none.
    at_bound : mapping of str to float
        Parameters that ended on a bound, with the bound.
    n_starts, n_agree : int
    data : DataFrame
        The rows that were fitted.
    """

    law: Law
    by: tuple[str, ...]
    shared: tuple[str, ...]
    pooled: tuple[str, ...]
    groups: Mapping[tuple[Any, ...], Mapping[str, float]]
    widths: Mapping[str, tuple[float, float]]
    objective: float
    sharing: Mapping[str, float] | None
    sharing_note: str
    at_bound: Mapping[str, float]
    n_starts: int
    n_agree: int
    data: pl.DataFrame = field(repr=False)
    _options: Options = field(repr=False)
    _columns: Mapping[str, str] = field(repr=False)
    _output: str = field(repr=False)
    _names: tuple[str, ...] = field(repr=False)  # of the joint problem
    _centre: FloatArray = field(repr=False)  # on the scale of the covariance
    _covariance: FloatArray = field(repr=False)
    _is_log: np.ndarray[Any, np.dtype[np.bool_]] = field(repr=False)
    _places: IntArray = field(repr=False)  # (G, k) of the free parameters
    _form: Form = field(repr=False)
    _degrees: int = field(repr=False)

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        """The groups."""
        return list(self.groups)

    def items(self) -> Iterator[tuple[tuple[Any, ...], Mapping[str, float]]]:
        """Groups and their parameters."""
        yield from self.groups.items()

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, key: Any) -> Mapping[str, float]:
        wanted = key if isinstance(key, tuple) else (key,)
        if wanted not in self.groups:
            raise unknown_name("group", str(wanted), map(str, self.groups))
        return self.groups[wanted]

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per shared parameter, and one per group for the others.

        Returns
        -------
        DataFrame
            The columns of `by` (null for a shared parameter), ``param, role`` (``shared``, ``pooled`` or ``own``),
            ``estimate, std_error, low, high``. Intervals come from the cluster-robust covariance of all parameters
            together, on the logarithm for scales. Parameters on a bound or held fixed have none. Those of a pooled
            parameter take the width between groups as known.
        """
        check_level(level)
        from scipy.special import stdtrit

        reach = float(stdtrit(self._degrees, 0.5 + level / 2))
        rows: list[dict[str, Any]] = []
        for g, key in enumerate(self.groups):
            for j, name in enumerate(self._form.free):
                role = "shared" if name in self.shared else "pooled" if name in self.pooled else "own"
                if role == "shared" and g:
                    continue
                at = int(self._places[g, j])
                labels = dict.fromkeys(self.by) if role == "shared" else dict(zip(self.by, key, strict=True))
                estimate, error = self.groups[key][name], float(np.sqrt(max(self._covariance[at, at], 0.0)))
                row = {**labels, "param": name, "role": role, "estimate": estimate}
                if self._names[at] in self.at_bound or not np.isfinite(error) or error == 0:
                    rows.append({**row, "std_error": None, "low": None, "high": None})
                    continue
                ends = self._centre[at] + reach * error * np.array([-1.0, 1.0])
                if self._is_log[at]:
                    with np.errstate(over="ignore"):
                        ends, error = np.exp(ends), estimate * error
                rows.append({**row, "std_error": error, "low": float(ends[0]), "high": float(ends[1])})
        table = pl.DataFrame(rows, infer_schema_length=None).sort(pl.col("role") != "shared", maintain_order=True)
        return table.with_columns(pl.col("estimate", "std_error", "low", "high").cast(pl.Float64))

    def glance(self) -> pl.DataFrame:
        """One row: law, groups, rows, objective, and the test of sharing.

        Returns
        -------
        DataFrame
            ``law, by, shared, pooled, n_groups, n_rows, n_params, objective, f_statistic, df, df_residual, p_value,
            sharing`` (in words), ``n_starts, n_agree``. ``p_value`` is the chance of groups that differ at least as
            much although they share, by least squares of the same residuals for every objective but counts; null where
            the test cannot be made.
        """
        test = self.sharing or {}
        return pl.DataFrame(
            {
                "law": [self.law.name],
                "by": [", ".join(self.by)],
                "shared": [", ".join(self.shared)],
                "pooled": [", ".join(self.pooled)],
                "n_groups": [len(self.groups)],
                "n_rows": [self.data.height],
                "n_params": [self._centre.size],
                "objective": [self.objective],
                "f_statistic": [test.get("statistic")],
                "df": [test.get("df")],
                "df_residual": [test.get("df_residual")],
                "p_value": [test.get("p_value")],
                "sharing": [self._sharing_words()],
                "n_starts": [self.n_starts],
                "n_agree": [self.n_agree],
            },
            schema_overrides=dict.fromkeys(("f_statistic", "df", "df_residual", "p_value"), pl.Float64),
        )

    def between(self) -> pl.DataFrame:
        """One row per pooled parameter: ``param, mean, sd`` between groups, and ``scale`` (``log`` or ``plain``)."""
        logs = dict(zip(self._form.free, self._form.model.is_log, strict=True))
        rows = [(name, mean, sd, "log" if logs[name] else "plain") for name, (mean, sd) in self.widths.items()]
        schema = {"param": pl.String, "mean": pl.Float64, "sd": pl.Float64, "scale": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def augment(self) -> pl.DataFrame:
        """The fitted rows with ``prediction``, ``residual`` (on the objective's scale) and ``relative_error``."""
        from scalingdb.estimation.objectives import OBJECTIVES

        frame = self.predict(self.data)
        observed, made = pl.col(self._output), pl.col("prediction")
        is_log = OBJECTIVES[self._options.objective].is_log
        residual = observed.log() - made.log() if is_log else observed - made
        return frame.with_columns(residual=residual, relative_error=made / observed - 1)

    def predict(self, frame: pl.DataFrame, level: float | None = None) -> pl.DataFrame:
        """Add ``prediction`` to a frame with the columns of `by`; with a level also ``low`` and ``high``.

        The interval is that of the law's own value, from uncertain parameters alone.

        Raises
        ------
        DataError
            If a column is missing, or a row belongs to none of the groups.
        """
        if level is not None:
            check_level(level)
        for name in (*self.by, *self._columns.values()):
            if name not in frame.columns:
                raise DataError(f"the frame has no column {name!r}, which the fit takes", "add it or rename yours.")
        group = self._group_of(frame)
        arrays = [frame[self._columns[name]].cast(pl.Float64).to_numpy() for name in self.law.inputs]
        columns = [_natural_of(self._centre, self._is_log)]
        if level is not None:
            steps = _axes(self._covariance) * STEP
            columns += [_natural_of(self._centre + sign * step, self._is_log) for step in steps.T for sign in (1, -1)]
        values = np.stack([self._values(theta, group, arrays) for theta in columns])
        made = frame.with_columns(prediction=pl.Series(values[0], dtype=pl.Float64))
        if level is None:
            return made
        from scipy.special import stdtrit

        with np.errstate(all="ignore"):
            slopes = (np.log(values[1::2]) - np.log(values[2::2])) / (2 * STEP)
        half = float(stdtrit(self._degrees, 0.5 + level / 2)) * np.sqrt(np.square(slopes).sum(0))
        return made.with_columns(low=pl.Series(values[0] * np.exp(-half)), high=pl.Series(values[0] * np.exp(half)))

    def _group_of(self, frame: pl.DataFrame) -> IntArray:
        numbers = {key: g for g, key in enumerate(self.groups)}
        keys = list(zip(*(frame[name].to_list() for name in self.by), strict=True))
        for key in keys:
            if key not in numbers:
                raise DataError(
                    f"group {', '.join(map(repr, key))} is none of those fitted",
                    f"there are {', '.join(map(str, list(numbers)[:5]))}.",
                )
        return np.array([numbers[key] for key in keys], dtype=np.int64)

    def _values(self, theta: FloatArray, group: IntArray, arrays: Sequence[FloatArray]) -> FloatArray:
        """Predictions (n,) at natural parameters (K,) of the joint problem."""
        own = self._form.expand(theta[self._places])[group]
        params = {name: own[:, i] for i, name in enumerate(self.law.params)}
        return np.asarray(np.broadcast_to(np.asarray(self.law.function(*arrays, **params), dtype=float), group.shape))

    def _sharing_words(self) -> str:
        if self.sharing is None:
            return self.sharing_note
        verdict = "is not refuted" if self.sharing["p_value"] >= 0.05 else "is refuted"
        return f"that all groups share {', '.join(self.shared)} {verdict} (p = {self.sharing['p_value']:.2g})"

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        table = self.tidy().filter(pl.col("role") == "shared")
        parts = []
        for row in table.iter_rows(named=True):
            span = interval_text(row["low"], row["high"], 3)
            parts.append(
                f"{row['param']} = {number(row['estimate'], 4)}" + (f" (95 % interval {span})" if span else "")
            )
        parts += [
            f"{name} {number(mean, 4)} ± {number(sd, 2)} between groups" for name, (mean, sd) in self.widths.items()
        ]
        head = f"{self.law.name} for {len(self.groups)} groups by {', '.join(self.by)}"
        return f"{head}: {', '.join(parts)}; {self._sharing_words()}."

    def chart(self) -> alt.FacetChart:
        """Parameters that are each group's own, with their intervals (Altair)."""
        from scalingdb import charts

        table = self.tidy().filter(pl.col("role") != "shared")
        label = pl.concat_str([pl.col(name).cast(pl.String) for name in self.by], separator=", ")
        drawn = charts.parameter_intervals(table.with_columns(group=label), "group")
        return charts.headed_by_sentence(drawn, self.sentence)

    def __repr__(self) -> str:
        return f"<JointFit: {self.sentence}>"

    def _repr_html_(self) -> str:
        table = self.tidy()
        rows = [list(row) for row in table.iter_rows()]
        return f"<p>{html.escape(self.sentence)}</p>{html_table(table.columns, rows)}"


STEP = 1e-4
"""Standard deviations between the points of a difference, as in :meth:`Fit.propagate`."""


def _axes(covariance: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def _natural_of(point: FloatArray, is_log: Any) -> FloatArray:
    with np.errstate(over="ignore"):
        return np.asarray(np.where(is_log, np.exp(np.where(is_log, point, 0.0)), point))


# ---- from a frame to the fit -----------------------------------------------------------------------


def fit_joint(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    by: str | Sequence[str],
    shared: str | Sequence[str] | Mapping[str, str],
    options: Options,
) -> JointFit:
    """Fit all groups together; see :func:`fit`."""
    chosen = get_law(law)
    _, kind = check_options(chosen, options)
    for name in ("bootstrap", "priors"):
        if getattr(options, name):
            raise DataError(f"a joint fit takes no {name}", "leave it out; its intervals are cluster-robust.")
    if kind.name == "beta_binomial":
        raise DataError("a joint fit takes no beta_binomial objective", 'use "binomial".')
    roles = _roles(chosen, shared, options)
    base = _shared_form(chosen, roles, options)
    table, keys = as_frame(frame), (by,) if isinstance(by, str) else tuple(by)
    for name in keys:
        if name not in table.columns:
            raise unknown_name("column", name, table.columns, "(given in by)")
    if table.select(pl.any_horizontal(pl.col(keys).is_null())).to_series().any():
        raise DataError(f"a column of by={list(keys)} is null in some rows", "filter these rows, or fill the column.")
    table = table.sort(keys, maintain_order=True)
    weights = options.weights
    if weights is not None and not isinstance(weights, str):
        raise DataError("the weights of a joint fit must be a column", 'give its name: weights="<column>".')
    loose = replace(options, pool=options.pool or any(name in COMPARABLE for name in keys))
    data = collect(table, base, kind, loose)
    labels, group = _numbered(data.frame, keys)
    return _solved(chosen, base, kind, data, keys, labels, group, roles, options)


def _roles(law: Law, shared: str | Sequence[str] | Mapping[str, str], options: Options) -> dict[str, Role]:
    """What becomes of each parameter that is not each group's own."""
    wanted = (
        dict(shared)
        if isinstance(shared, Mapping)
        else dict.fromkeys([shared] if isinstance(shared, str) else shared, "shared")
    )
    for name, role in wanted.items():
        if name not in law.params:
            raise unknown_name("parameter", name, law.params, f"(of law {law.name!r}, in shared)")
        if role not in ("shared", "pooled"):
            raise unknown_name("role", str(role), ("shared", "pooled"), f"(of {name}, in shared)")
        if name in (options.fixed or {}) or name in (options.tied or {}):
            raise DataError(f"parameter {name} is to be shared but is not free", "leave it out of shared.")
    if not wanted:
        raise DataError("no parameter is shared", "name some: shared=['alpha']; fit_by fits groups one by one.")
    free = [name for name in law.params if name not in (options.fixed or {}) and name not in (options.tied or {})]
    if all(wanted.get(name) == "shared" for name in free):
        raise DataError("all parameters are shared: the groups do not differ", "fit the frame without by.")
    return {name: wanted[name] for name in law.params if name in wanted}  # type: ignore[misc]


def _shared_form(law: Law, roles: Mapping[str, Role], options: Options) -> Form:
    """The law of one group, with coordinates of shared parameters that mean the same in every group."""
    from scalingdb.estimation.joint import shares_its_coordinate
    from scalingdb.estimation.model import PreparedInputs

    form = make_form(law, options.fixed, options.tied, options.bounds)
    free = form.free
    centres = tuple(np.array([0.7]) for _ in law.inputs) + tuple(np.array([v]) for v in form.held.values())
    inputs = PreparedInputs(tuple(np.zeros(1) for _ in law.inputs), centres)
    own = [j for j, name in enumerate(free) if roles.get(name) != "shared"]
    extra = {
        name: (1e-300, 1e300) if law.params[name].low >= 0 else (-1e300, 1e300)
        for name, role in roles.items()
        if role == "shared" and not shares_its_coordinate(form.model, free.index(name), own, inputs)
    }
    return make_form(law, options.fixed, options.tied, {**(options.bounds or {}), **extra}) if extra else form


def _numbered(frame: pl.DataFrame, keys: Sequence[str]) -> tuple[list[tuple[Any, ...]], IntArray]:
    """Groups in their order, and the number of each row's."""
    rows = list(frame.select(keys).iter_rows())
    labels = list(dict.fromkeys(rows))
    if len(labels) < 2:
        raise DataError(f"there is one group by {', '.join(keys)}: nothing is shared", "fit the frame without by.")
    numbers = {key: g for g, key in enumerate(labels)}
    return labels, np.array([numbers[row] for row in rows], dtype=np.int64)


def _solved(
    law: Law,
    base: Form,
    kind: Any,
    data: Data,
    keys: tuple[str, ...],
    labels: list[tuple[Any, ...]],
    group: IntArray,
    roles: Mapping[str, Role],
    options: Options,
) -> JointFit:
    """Search, solve, judge, and put together."""
    from scalingdb.estimation import joint

    free = base.free
    shared = [free.index(name) for name, role in roles.items() if role == "shared"]
    pooled = [free.index(name) for name, role in roles.items() if role == "pooled"]
    names = [", ".join(map(str, key)) for key in labels]
    model = joint.joint_model(base.model, group, shared, names)
    form = replace(base, model=model)
    problem = _JointProblem(
        form, kind, data.inputs, data.y, data.weights * (1.0 if data.n_items is None else data.n_items), data.clusters
    )
    table = joint.places(len(labels), len(free), shared)
    rows = _rows_of(problem, group, len(labels))
    separate = _separate(law, kind, rows, options)
    starts = _starts(law, base, kind, rows, separate, problem, table, [*shared, *pooled], options)
    penalty: Penalty | None = None
    widths: dict[str, tuple[float, float]] = {}
    if pooled:
        problem, u, totals, widths = _pooled(problem, starts, table, pooled, free)
        penalty = problem.between
    else:
        u, totals = _polished(problem, starts)
    best = u[int(np.argmin(totals))]
    optimum = settle(problem, best, at_bounds(model, best, problem.prepared, problem.y))
    _, covariance, _ = spread(problem, optimum)
    transform = carried(problem, optimum)
    objective = float(np.min(totals)) if penalty is None else _without(problem, best)
    test, note = _sharing(law, problem, best, objective, separate, rows, len(shared), options, pooled=bool(pooled))
    if optimum.at_bound:
        warnings.warn(
            f"law {law.name!r}: at a bound: {', '.join(f'{k}={v:g}' for k, v in optimum.at_bound.items())}",
            FitWarning,
            stacklevel=5,
        )
    return JointFit(
        law=law,
        by=keys,
        shared=tuple(name for name, role in roles.items() if role == "shared"),
        pooled=tuple(name for name, role in roles.items() if role == "pooled"),
        groups=MappingProxyType(_by_group(base, optimum, table, labels)),
        widths=MappingProxyType(widths),
        objective=objective,
        sharing=test,
        sharing_note=note,
        at_bound=MappingProxyType(dict(optimum.at_bound)),
        n_starts=len(totals),
        n_agree=int((totals <= totals.min() * (1 + 1e-9) + 1e-300).sum()),
        data=data.frame,
        _options=options,
        _columns=MappingProxyType(dict(data.columns)),
        _output=data.output,
        _names=tuple(form.free),
        _centre=np.where(model.is_log, np.log(np.maximum(optimum.theta, 1e-300)), optimum.theta),
        _covariance=transform @ covariance @ transform.T,
        _is_log=model.is_log,
        _places=table,
        _form=base,
        _degrees=max(problem.n_clusters - int(optimum.inside.sum()), 1),
    )


def _by_group(
    base: Form, optimum: Optimum, table: IntArray, labels: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], Mapping[str, float]]:
    full = base.expand(optimum.theta[table])
    return {
        key: MappingProxyType(dict(zip(base.law.params, map(float, row), strict=True)))
        for key, row in zip(labels, full, strict=True)
    }


def _rows_of(problem: Problem, group: IntArray, count: int) -> list[Rows]:
    from scalingdb.estimation.search import Rows

    return [
        Rows(tuple(a[group == g] for a in problem.inputs), problem.y[group == g], problem.weights[group == g])
        for g in range(count)
    ]


def _separate(law: Law, kind: Any, rows: Sequence[Rows], options: Options) -> list[Found] | None:
    """Every group on its own; None where one is too small for that."""
    from scalingdb.estimation import search

    form = make_form(law, options.fixed, options.tied, options.bounds)
    if min(one.y.size for one in rows) <= form.model.n_params:
        return None
    found = search.search_many(
        form.model, kind, rows, list(form.held.values()), own=form.own_starts(), n_starts=4, seed=options.search_seed
    )
    return [one for one in found if one is not None] if all(one is not None for one in found) else None


def _starts(
    law: Law,
    base: Form,
    kind: Any,
    rows: Sequence[Rows],
    separate: Sequence[Found] | None,
    problem: Problem,
    table: IntArray,
    common: Sequence[int],
    options: Options,
) -> FloatArray:
    """Internal starts (S, K): common parameters at central values of what groups say, the others fitted to these."""
    from scalingdb.estimation import search

    free, form = base.free, make_form(law, options.fixed, options.tied, options.bounds)
    if separate is not None:
        each = np.array([form.model.to_natural(one.u[None], one.inputs)[0] for one in separate])
        guesses = [np.quantile(each[:, common], q, axis=0) for q in CENTRAL]
    else:
        whole = search.search(form.model, kind, problem.rows, list(form.held.values()), own=form.own_starts())
        if whole is None:
            raise FitError(f"law {law.name!r}: no start gives a finite objective", "check the units of the inputs.")
        guesses = [form.model.to_natural(whole.u[None], whole.inputs)[0][list(common)]]
    starts = []
    for guess in guesses:
        fixed = {**dict(options.fixed or {})}
        for j, value in zip(common, guess, strict=True):
            spec = base.model.params[j]
            fixed[free[j]] = float(np.clip(value, max(spec.low, 1e-12 if spec.is_log else spec.low), spec.high))
        limits = {name: ends for name, ends in (options.bounds or {}).items() if name not in fixed}
        narrowed = make_form(law, fixed, options.tied, limits)
        found = search.search_many(narrowed.model, kind, rows, list(narrowed.held.values()), n_starts=4)
        if any(one is None for one in found):
            continue
        theta = np.empty(int(table.max()) + 1)
        for g, one in enumerate(found):
            assert one is not None
            own = dict(zip(narrowed.free, narrowed.model.to_natural(one.u[None], one.inputs)[0], strict=True))
            for j, name in enumerate(free):
                theta[table[g, j]] = fixed[name] if name in fixed else own[name]
        starts.append(theta)
    if not starts:
        raise FitError(f"law {law.name!r}: no start gives a finite objective", "check the units of the inputs.")
    return np.asarray(problem.form.model.to_internal(np.array(starts), problem.prepared))


def _polished(problem: Problem, starts: FloatArray, damping: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Where the starts end, and the objectives there."""
    from scalingdb.estimation import solver

    model, kind, prepared = problem.form.model, problem.kind, problem.prepared
    rows = (prepared, problem.y, problem.weights)
    u = solver.minimise(model, kind, starts, *rows, penalty=problem.penalty, damping=damping).u
    return u, solver.objective_value(model, kind, u, *rows, problem.penalty)


def _without(problem: _JointProblem, u: FloatArray) -> float:
    """The objective of the rows alone."""
    from scalingdb.estimation import solver

    rows = (problem.prepared, problem.y, problem.weights)
    return float(solver.objective_value(problem.form.model, problem.kind, u[None], *rows)[0])


def _unit(problem: Problem, u: FloatArray) -> float:
    """What one unit of negative log likelihood is worth in the objective."""
    from scalingdb.estimation import uncertainty

    if problem.kind.is_likelihood:
        return 1.0
    _, residual = uncertainty.jacobian_at(problem.form.model, problem.kind, u, problem.prepared, problem.y)
    return uncertainty.likelihood_unit(problem.kind, residual, problem.weights, problem.form.model.n_params)


def _pooled(
    problem: _JointProblem, starts: FloatArray, table: IntArray, pooled: Sequence[int], free: Sequence[str]
) -> tuple[_JointProblem, FloatArray, FloatArray, dict[str, tuple[float, float]]]:
    """Means and widths between groups, and the fit under them.

    A fit in which every group has its own value gives estimates with their covariance. Mean and width of the normal
    distribution behind them are those of restricted maximum likelihood, and become the prior of the fit that is
    returned.

    References
    ----------
    Patterson and Thompson, Biometrika 58 (1971) 545-554 (restricted maximum likelihood); DerSimonian and Laird,
    Controlled Clinical Trials 7 (1986) 177-188 (estimates with known errors).
    """
    from scalingdb.estimation.solver import Penalty

    u, totals = _polished(problem, starts)
    best = u[int(np.argmin(totals))]
    optimum = settle(problem, best, at_bounds(problem.form.model, best, problem.prepared, problem.y))
    _, covariance, _ = spread(problem, optimum)
    transform = carried(problem, optimum)
    errors = transform @ covariance @ transform.T
    widths, entries = {}, []
    for j in pooled:
        at = table[:, j]
        seen = at[np.diag(errors)[at] > 0]
        if seen.size < 3:
            raise FitError(
                f"{seen.size} group(s) determine {free[j]}: too few for a width between groups",
                "share it instead: shared=[...].",
            )
        mean, sd = _between_groups(_values_of(problem, best[None], seen), errors[np.ix_(seen, seen)])
        typical = float(np.sqrt(np.median(np.diag(errors)[seen])))
        entries += [(int(i), mean, max(sd, NO_WIDTH * typical)) for i in at]
        widths[free[j]] = (mean, sd)
    problem = replace(problem, between=Penalty(tuple(entries), _unit(problem, best)))
    u, totals = _polished(problem, np.concatenate([best[None], starts]))
    return problem, u, totals, widths


def _between_groups(values: FloatArray, errors: FloatArray) -> tuple[float, float]:
    """Mean and standard deviation of the normal distribution behind estimates (G,) with a covariance (G, G)."""
    from scipy.optimize import minimize_scalar

    ones = np.ones(values.size)

    def centre(width: float) -> tuple[float, float]:
        """The mean for a width, and minus twice the restricted log likelihood."""
        matrix = errors + width**2 * np.eye(values.size)
        solved = np.linalg.solve(matrix, np.stack([ones, values], axis=1))
        weight = float(ones @ solved[:, 0])
        mean = float(ones @ solved[:, 1]) / weight
        off = values - mean
        return mean, float(np.linalg.slogdet(matrix)[1] + np.log(weight) + off @ np.linalg.solve(matrix, off))

    typical = float(np.sqrt(np.median(np.diag(errors))))
    low, high = np.log(1e-3 * typical), np.log(1e3 * max(typical, float(np.std(values))))
    grid = np.linspace(low, high, 61)
    start = grid[int(np.argmin([centre(float(np.exp(x)))[1] for x in grid]))]
    step = grid[1] - grid[0]
    found = minimize_scalar(
        lambda x: centre(float(np.exp(x)))[1], bounds=(start - step, start + step), method="bounded"
    )
    width = float(np.exp(found.x))
    if centre(0.0)[1] <= centre(width)[1] + 1e-9:
        width = 0.0
    return centre(width)[0], width


def _values_of(problem: Problem, u: FloatArray, at: IntArray) -> FloatArray:
    """Parameters on the scale of their distribution: logarithms of scales."""
    theta = problem.form.model.to_natural(u, problem.prepared)[0][at]
    is_log = problem.form.model.is_log[at]
    return np.asarray(np.where(is_log, np.log(np.maximum(theta, 1e-300)), theta))


def _sharing(
    law: Law,
    problem: Problem,
    u: FloatArray,
    objective: float,
    separate: Sequence[Found] | None,
    rows: Sequence[Rows],
    n_shared: int,
    options: Options,
    *,
    pooled: bool,
) -> tuple[dict[str, float] | None, str]:
    """Test of common against separate parameters: likelihood ratio of counts, else F of squares.

    Squares are compared whatever the objective: separate fits of a near-absolute loss pass through as many rows as
    they have parameters, and the rise of such an objective follows no known distribution in small groups (sharing
    that was true was refuted in 60 % of simulations; ``benchmarks/joint_fits.py``).
    """
    from scipy.special import chdtrc, fdtrc

    from scalingdb.estimation.objectives import make_objective

    if pooled or not n_shared:
        return None, "no test of sharing: parameters are drawn together, not equal"
    if separate is None:
        return None, "no test of sharing: a group has too few rows for a fit of its own"
    if problem.n_clusters < int((problem.weights > 0).sum()):
        return None, "no test of sharing: rows of one run are not independent"
    n_groups, kind = len(rows), problem.kind
    df, rest = n_shared * (n_groups - 1), problem.y.size - n_groups * separate[0].u.size
    if kind.is_likelihood:
        statistic = max(objective - sum(one.objective for one in separate), 0.0) / kind.scale * 2
        values = (statistic / df, np.inf, float(chdtrc(df, statistic)))
    elif rest < 1:
        return None, "no test of sharing: separate fits leave no degrees of freedom"
    else:
        squares = make_objective("mse_log" if kind.is_log else "mse")
        if kind.name != squares.name:
            separate = _separate(law, squares, rows, options)
            objective = float(_polished(replace(problem, kind=squares), u[None])[1][0])
        if separate is None:
            return None, "no test of sharing: a group cannot be fitted alone"
        apart = sum(one.objective for one in separate)
        statistic = max(objective - apart, 0.0) / df / max(apart / rest, 1e-300)
        values = (statistic, float(rest), float(fdtrc(df, rest, statistic)))
    return dict(zip(("statistic", "df_residual", "p_value"), values, strict=True)) | {"df": float(df)}, ""
