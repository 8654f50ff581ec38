"""From a frame to a fit and back: `fit`, `fit_by`, and what they return.

This module checks a frame, hands arrays to :mod:`scalingdb.estimation`, and turns the answer into
frames. The checks refuse what would make a number meaningless: rows that are not comparable,
missing or non-positive values, fewer rows than parameters.
"""

from __future__ import annotations

import functools
import hashlib
import html
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitError, FitWarning, ScalingDBError, unknown_name
from scalingdb.law_library import Law, get_law
from scalingdb.notices import notice
from scalingdb.schema import N_DEFINITIONS

if TYPE_CHECKING:
    import altair as alt

    from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
    from scalingdb.estimation.objectives import Objective
    from scalingdb.estimation.solver import Solution

__all__ = ["Fit", "Fits", "fit", "fit_by"]

N_STARTS = 16
"""Starts that are polished to the end; the search before it looks at several hundred."""

AGREE = 1e-9
"""Relative difference in the objective within which two starts count as the same optimum."""

COMPARABLE = ("metric", "unit", "eval_set", "tokenizer_id")
"""Columns that must hold one value each for two losses to be comparable."""

ZERO_SHARE = 1e-6
"""A scale whose term is below this share of the typical prediction counts as zero."""

MAX_SHOWN = 5


# ---- the frame -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Data:
    """Arrays of one problem, and what was done to get them."""

    frame: pl.DataFrame
    columns: Mapping[str, str]
    output: str
    inputs: list[FloatArray]
    y: FloatArray
    weights: FloatArray
    clusters: np.ndarray[Any, np.dtype[np.int64]]
    resampled: str
    notes: tuple[str, ...]


def as_frame(frame: object) -> pl.DataFrame:
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, pl.DataFrame):
        return frame
    raise DataError(
        f"a Polars frame is needed, not {type(frame).__module__}.{type(frame).__qualname__}",
        "convert it, for example with polars.from_pandas(frame) or polars.DataFrame(mapping).",
    )


def _resolve_inputs(frame: pl.DataFrame, law: Law, given: Mapping[str, str] | None) -> tuple[dict[str, str], list[str]]:
    """Column for every input of the law, and remarks where it is not the one of that name.

    ``n_params`` in a law means N as the data's own headline analysis counts it, which frames from
    the warehouse name in ``n_definition``. The other two counts mean exactly what they say.
    """
    columns, notes = {}, []
    for name in given or {}:
        if name not in law.inputs:
            raise unknown_name("input", name, law.inputs, f"(of law {law.name!r})")
    for name in law.inputs:
        if given and name in given:
            if given[name] not in frame.columns:
                raise unknown_name(
                    "column", given[name], frame.columns, f"(given for input {name!r} of law {law.name!r})"
                )
            columns[name] = given[name]
            continue
        column = name
        if name == "n_params" and "n_definition" in frame.columns:
            definitions = frame["n_definition"].drop_nulls().unique().to_list()
            if len(definitions) == 1 and definitions[0] in frame.columns:
                column = definitions[0]
                if column != name:
                    notes.append(f"N is {column}: that is what the headline analysis of this data counts")
        usable = column in frame.columns and frame[column].null_count() < frame.height
        if not usable and column in N_DEFINITIONS:
            for other in N_DEFINITIONS:
                if other in frame.columns and other != column and frame[other].null_count() == 0 and frame.height:
                    notes.append(f"N is {other}: the data hold no {column}, which law {law.name!r} names")
                    column, usable = other, True
                    break
        if column not in frame.columns:
            raise DataError(
                f"the frame has no column {name!r}, which law {law.name!r} takes (its inputs: {', '.join(law.inputs)})",
                f'add it, or say which column to use: inputs={{"{name}": "<column>"}}.',
            )
        columns[name] = column
    return columns, notes


def _refuse_incomparable(frame: pl.DataFrame, law: Law) -> None:
    """Refuse to pool rows that are measured in different ways (only for laws of a loss)."""
    if law.output != "loss":
        return
    present = [name for name in COMPARABLE if name in frame.columns]
    mixed = [name for name in present if frame[name].n_unique() > 1]
    if not mixed:
        return
    groups = frame.group_by(mixed).len().sort("len", descending=True)
    lines = [
        "  " + ", ".join(f"{name}={row[name]!r}" for name in mixed) + f": {row['len']} rows"
        for row in groups.head(MAX_SHOWN).iter_rows(named=True)
    ]
    if groups.height > MAX_SHOWN:
        lines.append(f"  ... and {groups.height - MAX_SHOWN} more groups")
    raise DataError(
        f"the rows are not comparable: they differ in {', '.join(mixed)}\n" + "\n".join(lines),
        "filter one group, fit each with sdb.fit_by(..., by=...), or pass pool=True if you know that they compare.",
    )


def refuse_bad_values(frame: pl.DataFrame, columns: Sequence[str], needs_positive: Sequence[str]) -> None:
    """Refuse missing, non-finite and (where logarithms are taken) non-positive values, naming rows."""
    faults = []
    for name in dict.fromkeys(columns):
        if not frame[name].dtype.is_numeric():
            raise DataError(f"column {name!r} holds {frame[name].dtype}, not numbers", "cast it to a float first.")
        values = frame[name].cast(pl.Float64)
        bad = values.is_null() | ~values.is_finite().fill_null(False)
        label = "missing or not finite"
        if name in needs_positive:
            bad, label = bad | (values <= 0).fill_null(False), "missing, not finite or not positive"
        if bad.any():
            rows = bad.arg_true().to_list()
            shown = ", ".join(f"row {row}: {values[row]}" for row in rows[:MAX_SHOWN])
            more = f" and {len(rows) - MAX_SHOWN} more" if len(rows) > MAX_SHOWN else ""
            faults.append(f"column {name!r} has {len(rows)} value(s) that are {label} ({shown}{more})")
    if faults:
        raise DataError(
            "\n".join(faults),
            "filter these rows out, so that what is left out is your decision; "
            "a loss may be zero or negative only under an objective without '_log'.",
        )


def _collect(
    frame: object,
    law: Law,
    objective: Objective,
    *,
    by_run: bool,
    weights: str | Sequence[float] | None,
    fixed: Mapping[str, float],
    inputs: Mapping[str, str] | None,
    output: str | None,
    pool: bool,
) -> _Data:
    table = as_frame(frame)
    if table.is_empty():
        raise DataError("the frame is empty: there is nothing to fit", "check the filters that led to it.")
    columns, notes = _resolve_inputs(table, law, inputs)
    target = output or law.output
    if target not in table.columns:
        raise DataError(
            f"the frame has no column {target!r}, which law {law.name!r} predicts",
            'rename yours, or say which column holds it: output="<column>".',
        )
    if not pool:
        _refuse_incomparable(table, law)
    if weights is None:
        weight_values = np.ones(table.height)
    else:
        if isinstance(weights, str):
            if weights not in table.columns:
                raise unknown_name("column", weights, table.columns, "(given as weights)")
            if not table[weights].dtype.is_numeric():
                raise DataError(f"column {weights!r} (the weights) holds {table[weights].dtype}, not numbers")
            weight_values = table[weights].cast(pl.Float64).to_numpy().astype(float)
        else:
            try:
                weight_values = np.asarray(weights, dtype=float)
            except (TypeError, ValueError) as error:
                raise DataError(f"the weights are not numbers: {error}") from error
        if weight_values.shape != (table.height,) or not np.isfinite(weight_values).all() or (weight_values < 0).any():
            raise DataError(
                f"weights must be {table.height} finite numbers that are not negative, one a row",
                "give a column name or a sequence of that length.",
            )
    refuse_bad_values(table, [*columns.values(), target], [*columns.values(), *([target] if objective.is_log else [])])
    free = len(law.params) - len(fixed)
    used = weight_values > 0
    if used.sum() < free:
        raise FitError(
            f"{int(used.sum())} row(s) cannot fix the {free} free parameters of law {law.name!r}",
            "use more runs, a law with fewer parameters (sdb.laws() lists them), or fix some: fixed={...}.",
        )
    arrays = [table[columns[name]].cast(pl.Float64).to_numpy().astype(float) for name in law.inputs]
    for name, values in zip(law.inputs, arrays, strict=True):
        if not fixed and np.unique(values[used]).size == 1:
            raise FitError(
                f"input {columns[name]!r} has one distinct value ({values[used][0]:g}): "
                f"law {law.name!r} cannot be fitted along it",
                "add runs that vary it, use a law without it (such as power_offset), or fix parameters: fixed={...}.",
            )
    clusters, resampled = _clusters(table, used, free, by_run)
    if clusters.size and "too few" in resampled:
        notes.append(f"intervals are {resampled}: checkpoints of one run are alike, so they are too narrow")
    y = table[target].cast(pl.Float64).to_numpy().astype(float)
    return _Data(table, columns, target, arrays, y, weight_values, clusters, resampled, tuple(notes))


def _clusters(
    table: pl.DataFrame, used: np.ndarray[Any, np.dtype[np.bool_]], free: int, by_run: bool
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], str]:
    """Number of the run that each row belongs to, and how resampling goes, in words.

    With no more runs than parameters, runs say nothing about the scatter; rows stand in for them.
    """
    rows = np.arange(table.height, dtype=np.int64)
    if not by_run or "run_id" not in table.columns:
        return rows, "by row"
    runs = table["run_id"].rank("dense").to_numpy().astype(np.int64) - 1
    count = np.unique(runs[used]).size
    if count <= free and count < used.sum():
        return rows, f"by row ({count} run{'s are' if count > 1 else ' is'} too few)"
    return runs, "by run_id"


# ---- the model of a law ----------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _model(law: Law, fixed: frozenset[str] = frozenset()) -> Model:
    """Compiled form of a law with some parameters fixed; made once a process, in a fraction of a second."""
    from scalingdb.estimation.model import ParamSpec, numeric_model, symbolic_model

    specs = [ParamSpec(name, p.low, p.high, p.start) for name, p in law.params.items()]
    if not law.is_traceable:
        notice(f"law {law.name!r} is fitted with numerical derivatives ({law._traced})", once=True)
        return numeric_model(law.function, specs, sorted(fixed))
    return symbolic_model(
        law.expression,
        [law.symbols[name] for name in law.inputs],
        [law.symbols[name] for name in law.params],
        specs,
        law.linear_params,
        fixed,
    )


def _checked_fixed(law: Law, fixed: Mapping[str, float] | None) -> dict[str, float]:
    """Fixed parameters in the law's order.

    Raises
    ------
    UnknownNameError, DataError
        For a parameter that the law lacks, or a value outside its bounds.
    """
    given = dict(fixed or {})
    for name, value in given.items():
        if name not in law.params:
            raise unknown_name("parameter", name, law.params, f"(of law {law.name!r})")
        low, high = law.params[name].low, law.params[name].high
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise DataError(f"fixed parameter {name}={value!r} is not a number")
        if not (np.isfinite(value) and low <= value <= high):
            raise DataError(f"fixed parameter {name}={value!r} is outside its bounds {low:g} to {high:g}")
    if len(given) == len(law.params):
        raise DataError("every parameter is fixed: there is nothing to fit", "leave at least one of them free.")
    return {name: float(given[name]) for name in law.params if name in given}


# ---- results ---------------------------------------------------------------------------------


def _thawed(mapping: Mapping[Any, Any]) -> dict[Any, Any]:
    """Nested read-only mappings as dicts: the former cannot be pickled."""
    return {key: _thawed(value) if isinstance(value, MappingProxyType) else value for key, value in mapping.items()}


def _frozen(value: Any) -> Any:
    """The reverse of :func:`_thawed`: nested dicts as read-only mappings."""
    return MappingProxyType({k: _frozen(v) for k, v in value.items()}) if isinstance(value, dict) else value


@dataclass(frozen=True, eq=False)
class Fit:
    """One law fitted to one frame. Made by :func:`fit`; never changes.

    Attributes
    ----------
    law : Law
    params : mapping of str to float
        Estimates in full precision and in the law's own units.
    objective : float
        The minimised **sum** over the rows.
    verdict : str
        What the data fix: ``identified``, ``weak: E-alpha trade-off``, ``at bound: E=0``,
        ``not identified: ...``.
    covariance : array (k, k)
        Of the parameters on the scale they are fitted on (logarithm for positive ones), in the
        order of :attr:`params`; cluster-robust. Zero for parameters held fixed.
    samples : array (B, k)
        Bootstrap estimates in natural units; empty without a bootstrap.
    n_starts, n_agree : int
        Starts that were polished, and how many of them ended at the best objective within 1e-9.
    agree_digits : float
        Digits to which the parameters of the agreeing starts are equal.
    eigenvalues : array
        Of the information matrix scaled to unit diagonal, ascending; small means hard to identify.
    weakest : str
        The least identified direction in words.
    recipe : mapping
        All that is needed to repeat the fit: law, columns, rows, objective, fixed parameters, seed,
        hash of the data, versions.
    data : DataFrame
        The rows that were fitted.
    """

    law: Law
    params: Mapping[str, float]
    objective: float
    verdict: str
    status: str
    covariance: FloatArray = field(repr=False)
    samples: FloatArray = field(repr=False)
    n_starts: int
    n_agree: int
    agree_digits: float
    eigenvalues: FloatArray = field(repr=False)
    weakest: str
    recipe: Mapping[str, Any] = field(repr=False)
    data: pl.DataFrame = field(repr=False)
    _clusters: np.ndarray[Any, np.dtype[np.int64]] = field(repr=False)
    _weights: FloatArray = field(repr=False)

    # ---- frames --------------------------------------------------------------------------

    def tidy(self, level: float = 0.95) -> pl.DataFrame:
        """One row a parameter.

        Returns
        -------
        DataFrame
            ``param, estimate, std_error, low, high, interval`` (how the interval was made:
            percentiles of the bootstrap, or the robust covariance; on the logarithmic scale for
            positive parameters). Parameters held fixed or at a bound have no interval.
        """
        from scipy.special import stdtrit  # scipy.stats takes a second to import

        names = list(self.params)
        estimate = np.array([self.params[name] for name in names])
        is_log = self._is_log
        open_ended = np.array([name in self.recipe["undetermined"] for name in names])
        # a bootstrap has something to say about a parameter at its bound, the covariance has not
        known = ~open_ended & (~self._held if not self.samples.shape[0] else ~self._fixed)
        if self.samples.shape[0]:
            from scalingdb.estimation.uncertainty import interval

            low, high = interval(self.samples, level)
            error = self.samples.std(0, ddof=1)
            how = f"bootstrap {self.samples.shape[0]}, {self.recipe['resampled']}"
        else:
            sd = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
            n_clusters = int(self._clusters.max()) + 1
            quantile = stdtrit(max(n_clusters - int(known.sum()), 1), 0.5 + level / 2)
            with np.errstate(over="ignore"):
                low = np.where(is_log, estimate * np.exp(-quantile * sd), estimate - quantile * sd)
                high = np.where(is_log, estimate * np.exp(quantile * sd), estimate + quantile * sd)
            error = np.where(is_log, estimate * sd, sd)
            how = f"robust covariance, {self.recipe['resampled']}"
        blank = np.where(known, 1.0, np.nan)
        return pl.DataFrame(
            {
                "param": names,
                "estimate": estimate,
                "std_error": error * blank,
                "low": low * blank,
                "high": high * blank,
                "interval": [
                    how
                    if ok
                    else "not identified"
                    if unknown
                    else "fixed"
                    if name in self.recipe["fixed"]
                    else "at bound"
                    for name, ok, unknown in zip(names, known, open_ended, strict=True)
                ],
            }
        ).with_columns(pl.col("std_error", "low", "high").fill_nan(None))

    def glance(self) -> pl.DataFrame:
        """One row about the fit as a whole: rows, objective, errors, starts, verdict."""
        rows = self.augment()
        relative = rows["relative_error"].abs()
        y = rows[self.recipe["output"]]
        residual_sum = ((y - rows["prediction"]) ** 2).sum()
        total_sum = ((y - y.mean()) ** 2).sum()
        return pl.DataFrame(
            {
                "law": [self.law.name],
                "n_rows": [rows.height],
                "n_free": [int((~self._held).sum())],
                "objective_name": [self.recipe["objective"]],
                "objective": [self.objective],
                "mean_abs_rel_error": [relative.mean()],
                "median_abs_rel_error": [relative.median()],
                "max_abs_rel_error": [relative.max()],
                "r_squared": [1 - residual_sum / total_sum if total_sum > 0 else None],
                "n_starts": [self.n_starts],
                "n_agree": [self.n_agree],
                "status": [self.status],
                "verdict": [self.verdict],
            },
            schema_overrides={"r_squared": pl.Float64},
        )

    def augment(self) -> pl.DataFrame:
        """The fitted rows with ``prediction``, ``residual`` (on the objective's scale: log or
        plain, observed minus predicted) and ``relative_error`` (predicted over observed, minus 1).
        """
        target = self.recipe["output"]
        prediction = self._evaluate(self.data)
        y = pl.col(target).cast(pl.Float64)
        residual = (
            y.log() - pl.col("prediction").log()
            if self.recipe["objective"].endswith("_log")
            else y - pl.col("prediction")
        )
        return self.data.with_columns(prediction=pl.Series(prediction)).with_columns(
            residual=residual, relative_error=pl.col("prediction") / y - 1
        )

    def predict(
        self, frame: pl.DataFrame, interval: float | None = None, *, noise: bool = True, rng: int = 0
    ) -> pl.DataFrame:
        """Add ``prediction`` to a frame, and ``low``, ``high`` where an interval is asked for.

        Parameters
        ----------
        frame : DataFrame
            With the columns that the fit used as inputs.
        interval : float, optional
            Coverage, for example 0.95.
        noise : bool
            True: the interval is for a new run (uncertain parameters plus the scatter of the fitted
            rows). False: for the law itself.
        rng : int
            Seed of the draws.

        Raises
        ------
        DataError
            If an input column is missing or holds values that are not positive numbers.
        """
        table = as_frame(frame)
        for name, column in self.recipe["columns"].items():
            if column not in table.columns:
                raise DataError(
                    f"the frame has no column {column!r}, which the fit used as {name}",
                    f"columns needed: {', '.join(self.recipe['columns'].values())}.",
                )
        columns = list(self.recipe["columns"].values())
        refuse_bad_values(table, columns, columns)
        result = table.with_columns(prediction=pl.Series(self._evaluate(table), dtype=pl.Float64))
        if interval is None:
            return result
        if not 0 < interval < 1:
            raise DataError(f"interval={interval!r} is not between 0 and 1", "for example interval=0.95.")
        from scalingdb.estimation import uncertainty

        generator = np.random.default_rng(rng)
        draws = self._draws(generator)
        values = self._evaluate_many(draws, table)
        if noise:
            scatter = self.augment()["residual"].to_numpy()
            # the scatter around a fit is smaller than around the truth, by the rows the parameters took
            inflate = np.sqrt(scatter.size / max(scatter.size - int((~self._held).sum()), 1))
            picked = inflate * generator.choice(scatter, size=values.shape)
            values = values * np.exp(picked) if self.recipe["objective"].endswith("_log") else values + picked
        low, high = uncertainty.interval(values, interval)
        return result.with_columns(low=pl.Series(low, dtype=pl.Float64), high=pl.Series(high, dtype=pl.Float64))

    def optimum(self, train_flops: float | Sequence[float], level: float = 0.95) -> pl.DataFrame:
        """Compute-optimal N and D for budgets in FLOP, under ``C = 6 * N * D``.

        Parameters
        ----------
        train_flops : float or sequence of float
        level : float
            Coverage of the intervals; they need a fit with a bootstrap and are null without.

        Returns
        -------
        DataFrame
            One row a budget: ``train_flops, n_params, n_tokens, tokens_per_param, loss`` and, for
            each, ``*_low`` and ``*_high``. N is counted as in the fit (see ``recipe["columns"]``).

        Raises
        ------
        DataError
            If the law is no surface over N and D, or a budget is not positive.
        """
        budgets = np.atleast_1d(np.asarray(train_flops, dtype=float))
        if self.law.output != "loss" or len(self.law.inputs) != 2 or "n_tokens" not in self.law.inputs:
            raise DataError(
                f"law {self.law.name!r} is no loss surface over N and D: there is no trade-off to optimise",
                "fit a surface such as chinchilla or farseer.",
            )
        if not (np.isfinite(budgets).all() and (budgets > 0).all()):
            raise DataError("a budget must be a positive number of FLOP", "for example train_flops=1e24.")
        from scalingdb.estimation.uncertainty import interval

        names = ("n_params", "n_tokens", "tokens_per_param", "loss")
        best = self._optimise(self._theta[None], budgets)
        spread = self._optimise(self.samples, budgets) if self.samples.shape[0] else None
        out: dict[str, Any] = {"train_flops": budgets}
        for i, name in enumerate(names):
            out[name] = best[i][0]
            if spread is not None:
                out[f"{name}_low"], out[f"{name}_high"] = interval(spread[i], level)
            else:
                out[f"{name}_low"] = out[f"{name}_high"] = np.full(budgets.size, np.nan)
        return pl.DataFrame(out).with_columns(pl.selectors.ends_with("_low", "_high").fill_nan(None))

    def _optimise(self, theta: FloatArray, budgets: FloatArray) -> tuple[FloatArray, ...]:
        """N*, D*, D*/N* and loss, each (P, B): a grid in ln N, then golden sections around its best cell."""
        n_first = self.law.inputs[0] != "n_tokens"

        def loss(log_n: FloatArray) -> FloatArray:
            n, d = np.exp(log_n), np.exp(np.log(budgets / 6) - log_n)
            flat = [a.reshape(theta.shape[0], -1) for a in ((n, d) if n_first else (d, n))]
            values = _evaluate_law(self.law, theta, flat).reshape(log_n.shape)
            return np.where(np.isfinite(values), values, np.inf)

        half = 0.5 * np.log(budgets / 6)
        cells = np.linspace(-1.0, 1.0, 81)[:, None] * np.minimum(half, 18.0)  # N from D/e36 to D*e36
        log_n = np.broadcast_to(half + cells, (theta.shape[0], *cells.shape)).copy()
        table = np.stack([loss(log_n[:, i]) for i in range(cells.shape[0])], axis=1)
        pick = np.clip(np.argmin(table, axis=1), 1, cells.shape[0] - 2)
        low = np.take_along_axis(log_n, (pick - 1)[:, None], 1)[:, 0]
        high = np.take_along_axis(log_n, (pick + 1)[:, None], 1)[:, 0]
        ratio = (np.sqrt(5.0) - 1) / 2
        for _ in range(60):
            left, right = high - ratio * (high - low), low + ratio * (high - low)
            shrink = loss(left) < loss(right)
            high, low = np.where(shrink, right, high), np.where(shrink, low, left)
        centre = 0.5 * (low + high)
        n = np.exp(centre)
        d = budgets / 6 / n
        return n, d, d / n, loss(centre)

    def objective_at(self, params: Mapping[str, float] | str) -> float:
        """The fit's objective (a sum over the same rows) with other coefficients.

        Parameters
        ----------
        params : mapping, or the name of a published variant
            Parameters that a mapping leaves out keep their fitted values.

        Raises
        ------
        UnknownNameError
            For an unknown parameter or variant.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> f"{found.objective:.4e}, published: {found.objective_at('epoch'):.4e}"
        '1.0183e-03, published: 1.0228e-03'
        """
        from scalingdb.estimation import objectives

        given = self.law.coefficients(params) if isinstance(params, str) else dict(params)
        for name in given:
            if name not in self.params:
                raise unknown_name("parameter", name, self.params, f"(of law {self.law.name!r})")
        kind = objectives.make_objective(self.recipe["objective"], self.recipe["delta"] or 1e-3)
        prediction = self.law.function(*self._arrays(self.data), **{**self.params, **given})
        y = self.data[self.recipe["output"]].cast(pl.Float64).to_numpy()
        return float(kind.value(kind.residual(y, prediction), self._weights))

    def chart(self) -> alt.HConcatChart:
        """Observed against predicted, and residuals along each input (Altair)."""
        from scalingdb import charts

        return charts.fit_chart(self)

    # ---- internals -----------------------------------------------------------------------

    @property
    def _theta(self) -> FloatArray:
        return np.array(list(self.params.values()), dtype=float)

    @property
    def _is_log(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([p.low == 0.0 and p.high == float("inf") for p in self.law.params.values()])

    @property
    def _fixed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([name in self.recipe["fixed"] for name in self.params])

    @property
    def _held(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        held = {*self.recipe["fixed"], *self.recipe["at_bound"]}
        return np.array([name in held for name in self.params])

    def _arrays(self, frame: pl.DataFrame) -> list[FloatArray]:
        return [
            frame[self.recipe["columns"][name]].cast(pl.Float64).to_numpy().astype(float) for name in self.law.inputs
        ]

    def _evaluate(self, frame: pl.DataFrame) -> FloatArray:
        values = self.law.function(*self._arrays(frame), **self.params)
        return np.asarray(np.broadcast_to(np.asarray(values, dtype=float), (frame.height,)))

    def _evaluate_many(self, theta: FloatArray, frame: pl.DataFrame) -> FloatArray:
        return _evaluate_law(self.law, theta, self._arrays(frame))

    def _draws(self, generator: np.random.Generator, count: int = 1000) -> FloatArray:
        """Parameter vectors: the bootstrap's, or drawn from the robust covariance."""
        if self.samples.shape[0]:
            return self.samples[np.isfinite(self.samples).all(1)]
        is_log = self._is_log
        centre = np.where(is_log, np.log(np.maximum(self._theta, 1e-300)), self._theta)
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        drawn = centre + generator.standard_normal((count, centre.size)) @ root.T
        with np.errstate(over="ignore"):
            return np.asarray(np.where(is_log, np.exp(np.where(is_log, drawn, 0.0)), drawn))

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><i>{html.escape(row['param'])}</i></td><td>{_number(row['estimate'])}</td>"
            f"<td>{_number(row['std_error'])}</td><td>{_number(row['low'])}</td><td>{_number(row['high'])}</td>"
            f"<td>{html.escape(self.law.params[row['param']].meaning)}</td></tr>"
            for row in self.tidy().iter_rows(named=True)
        )
        glance = self.glance().row(0, named=True)
        remarks = "".join(f"<br>{html.escape(note)}." for note in self.recipe["notes"])
        formula = self.law.mathml if self.law.is_traceable else f"<code>{html.escape(self.law.name)}</code>"
        return (
            f'<div class="scalingdb-fit">{formula}'
            "<table><thead><tr><th>parameter</th><th>estimate</th><th>std. error</th><th>2.5 %</th><th>97.5 %</th>"
            f"<th>meaning</th></tr></thead><tbody>{rows}</tbody></table>"
            f"<p><b>{html.escape(self.verdict)}</b>; {glance['n_rows']} rows; {html.escape(self.recipe['objective'])} "
            f"(sum) {self.objective:.7g}; mean error {100 * glance['mean_abs_rel_error']:.2f} %; "
            f"{self.n_agree} of {self.n_starts} starts agree; intervals: {html.escape(self.tidy()['interval'][0])}."
            f"{remarks}</p></div>"
        )

    def __getstate__(self) -> dict[str, Any]:
        return _thawed(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: _frozen(value) for name, value in state.items()})

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.params.items())
        return (
            f"<Fit {self.law.name}: {values}; {self.data.height} rows; objective {self.objective:.8g}; {self.verdict}>"
        )


def _evaluate_law(law: Law, theta: FloatArray, arrays: Sequence[FloatArray]) -> FloatArray:
    """The plain formula at many parameter vectors (P, k): predictions (P, n)."""
    count, n = theta.shape[0], arrays[0].shape[-1]
    params = {name: theta[:, i : i + 1] for i, name in enumerate(law.params)}
    with np.errstate(all="ignore"):
        try:
            return np.array(np.broadcast_to(np.asarray(law.function(*arrays, **params), dtype=float), (count, n)))
        except (TypeError, ValueError):  # a formula that only takes numbers as parameters
            rows = [
                law.function(
                    *(a if a.ndim == 1 else a[i] for a in arrays), **{name: p[i, 0] for name, p in params.items()}
                )
                for i in range(count)
            ]
            return np.array(np.broadcast_to(np.asarray(rows, dtype=float), (count, n)))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"


# ---- fitting ---------------------------------------------------------------------------------


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
        ``huber_log`` (default), ``mse_log``, ``mae_log``, ``huber``, ``mse``, ``mae``; always a sum.
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
    (why the sum); Golub and Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432 (variable projection).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
    >>> found.verdict, round(found.params["alpha"], 4)
    ('identified', 0.3473)
    """
    from scalingdb.estimation import identifiability, objectives, solver, starts, uncertainty

    chosen = get_law(law)
    kind = objectives.make_objective(objective, delta)
    if not isinstance(bootstrap, (int, np.integer)) or bootstrap < 0:
        raise DataError(
            f"bootstrap={bootstrap!r} is not a count of resamples", "give a whole number, for example 1000; 0 for none."
        )
    held = _checked_fixed(chosen, fixed)
    model = _model(chosen, frozenset(held))
    data = _collect(
        frame, chosen, kind, by_run=by_run, weights=weights, fixed=held, inputs=inputs, output=output, pool=pool
    )
    for note in data.notes:
        notice(note, once=True)
    prepared = model.prepare(data.inputs, list(held.values()))

    candidates = _candidates(chosen, model, kind, data, prepared, held)
    if candidates.shape[0] == 0:
        raise FitError(
            f"law {chosen.name!r}: no start gives a finite objective on these {data.y.size} rows",
            "check the units of the inputs, widen the 'start' ranges of the parameters, or try objective='mse'.",
        )
    polished = _polish(model, kind, starts.choose(candidates, N_STARTS), prepared, data)
    totals = solver.objective_value(model, kind, polished.u, prepared, data.y, data.weights)
    best = int(np.argmin(totals))
    u = polished.u[best]
    status = ("converged", "stalled at rounding", "iteration limit")[int(polished.status[best])]
    agree = totals <= totals[best] * (1 + AGREE) + 1e-300
    free_names = [p.name for p in model.params]
    theta = model.to_natural(u[None], prepared)[0]
    digits = _agreeing_digits(model.to_natural(polished.u[agree], prepared))
    at_bound = _at_bounds(model, u, theta, data.y)
    for name, bound in at_bound.items():
        theta[free_names.index(name)] = bound
    inside = np.array([name not in at_bound for name in free_names])

    # what a vanished term leaves of its exponent shows only where its scale is zero
    judged_at = u.copy()
    judged_at[[i for i, name in enumerate(free_names) if name in at_bound and i in model.linear]] = 0.0
    # from here on scales are judged by their logarithm, whatever coordinate they were fitted in
    stretch = np.array([judged_at[i] if i in model.linear else 1.0 for i in range(model.n_params)])
    jacobian, residual = uncertainty.jacobian_at(model, kind, judged_at, prepared, data.y)
    jacobian = jacobian * stretch[:, None]
    width = _small(residual) if kind.is_absolute else kind.delta
    covariance = np.zeros((model.n_params, model.n_params))
    if np.isfinite(jacobian).all():  # it is not where the optimum lies at infinity
        covariance = uncertainty.sandwich(jacobian, residual, data.weights, data.clusters, width, inside)
    logs = {data.columns[name]: log for name, log in zip(chosen.inputs, prepared.logs, strict=True)}
    judged = identifiability.assess(
        free_names,
        theta,
        model.is_log,
        jacobian,
        data.weights,
        covariance,
        inside,
        [f"{name}={value:g}" for name, value in at_bound.items()],
        identifiability.examine(logs, data.y, data.weights, model.n_params),
    )
    verdict = judged.verdict if status != "iteration limit" else f"not converged; {judged.verdict}"
    estimates = {**dict(zip(free_names, map(float, theta), strict=True)), **held}
    where = [list(chosen.params).index(name) for name in free_names]
    full_covariance = np.zeros((len(chosen.params), len(chosen.params)))
    full_covariance[np.ix_(where, where)] = _natural_covariance(model, u, stretch, prepared, covariance, inside)
    samples = np.empty((0, len(chosen.params)))
    if bootstrap:
        generator = np.random.default_rng(rng)
        resampled = uncertainty.cluster_weights(data.clusters, data.weights, bootstrap, generator)
        samples = np.tile(np.array([estimates[name] for name in chosen.params]), (bootstrap, 1))
        others = starts.choose(candidates, 8)
        samples[:, where] = _refit(model, kind, np.vstack([u, others]), prepared, data.y, resampled)
    recipe = MappingProxyType(
        {
            "law": chosen.name,
            "columns": MappingProxyType(dict(data.columns)),
            "output": data.output,
            "objective": objective,
            "delta": delta if objective.startswith("huber") else None,
            "fixed": MappingProxyType(held),
            "at_bound": MappingProxyType(at_bound),
            "undetermined": judged.undetermined,
            "n_rows": data.y.size,
            "resampled": data.resampled,
            "bootstrap": bootstrap,
            "rng": rng,
            "pool": pool,
            "sources": tuple(sorted(data.frame["source_id"].unique())) if "source_id" in data.frame.columns else (),
            "data_sha256": _digest([*data.inputs, data.y, data.weights]),
            "versions": MappingProxyType(_versions()),
            "notes": data.notes,
        }
    )
    result = Fit(
        law=chosen,
        params=MappingProxyType({name: estimates[name] for name in chosen.params}),
        objective=float(totals[best]),
        verdict=verdict,
        status=status,
        covariance=full_covariance,
        samples=samples,
        n_starts=int(totals.size),
        n_agree=int(agree.sum()),
        agree_digits=digits,
        eigenvalues=judged.eigenvalues,
        weakest=judged.weakest,
        recipe=recipe,
        data=data.frame,
        _clusters=data.clusters,
        _weights=data.weights,
    )
    if verdict.startswith(("not converged", "not identified", "at bound")):
        warnings.warn(f"law {chosen.name!r}: {verdict}", FitWarning, stacklevel=2)
    return result


def _small(residual: FloatArray) -> float:
    """A delta that makes the Huber loss an absolute value for all but negligible residuals."""
    return 1e-6 * float(np.median(np.abs(residual))) + 1e-300


def _agreeing_digits(theta: FloatArray) -> float:
    """Digits to which all rows of `theta` (starts that reached one optimum) are equal."""
    if theta.shape[0] < 2:
        return 0.0
    spread = np.max(np.abs(theta - theta[0]) / np.maximum(np.abs(theta[0]), 1e-300))
    return float(np.clip(-np.log10(max(spread, 1e-16)), 0.0, 16.0))


def _candidates(
    law: Law, model: Model, kind: Objective, data: _Data, prepared: PreparedInputs, held: Mapping[str, float]
) -> FloatArray:
    """Starts in internal coordinates, best first: the law's own where it brings some."""
    from scalingdb.estimation import starts

    u = np.empty((0, model.n_params))
    if law.starts is not None:
        with np.errstate(all="ignore"):
            own = np.asarray(law.starts(data.inputs, data.y, data.weights), dtype=float).reshape(-1, len(law.params))
            own = own[:, [i for i, name in enumerate(law.params) if name not in held]]
            u = model.to_internal(own[np.isfinite(own).all(1)], prepared)
    if u.shape[0] == 0:
        u = starts.structured_starts(model, kind, prepared, data.y, data.weights)
    return starts.ranked(model, kind, u, prepared, data.y, data.weights)


def _polish(model: Model, kind: Objective, u: FloatArray, prepared: PreparedInputs, data: _Data) -> Solution:
    """Polish all starts, and the best one to the end should it have run out of iterations."""
    from scalingdb.estimation import solver

    polished = solver.minimise(model, kind, u, prepared, data.y, data.weights, max_iterations=80)
    best = int(np.argmin(polished.objective))
    if polished.status[best] == solver.ITERATION_LIMIT:
        again = solver.minimise(
            model, kind, polished.u[best : best + 1], prepared, data.y, data.weights, max_iterations=2000
        )
        for target, source in (
            (polished.u, again.u),
            (polished.objective, again.objective),
            (polished.status, again.status),
        ):
            target[best] = source[0]
    return polished


def _refit(
    model: Model, kind: Objective, starts: FloatArray, prepared: PreparedInputs, y: FloatArray, weights: FloatArray
) -> FloatArray:
    """Refit every resample (B, k), warm from the optimum ``starts[0]``.

    A resample that does not converge from there is tried from the other starts as well. One that
    still does not (a few distinct rows can leave a parameter free) becomes a row of NaN.
    """
    from scalingdb.estimation import solver

    count = weights.shape[0]
    warm = solver.minimise(model, kind, np.tile(starts[0], (count, 1)), prepared, y, weights, damping=0.1)
    u, total, status = warm.u, warm.objective, warm.status
    for start in starts[1:]:
        open_rows = np.flatnonzero(status == solver.ITERATION_LIMIT)
        if open_rows.size == 0:
            break
        again = solver.minimise(model, kind, np.tile(start, (open_rows.size, 1)), prepared, y, weights[open_rows])
        better = (again.status != solver.ITERATION_LIMIT) & (again.objective <= total[open_rows] * (1 + AGREE))
        taken = open_rows[better]
        u[taken], total[taken], status[taken] = again.u[better], again.objective[better], again.status[better]
    theta = model.to_natural(u, prepared)
    lost = status == solver.ITERATION_LIMIT
    theta[lost] = np.nan
    if lost.any():
        notice(f"{lost.sum()} of {count} resamples leave a parameter undetermined; the intervals leave them out")
    return theta


def _at_bounds(model: Model, u: FloatArray, theta: FloatArray, y: FloatArray) -> dict[str, float]:
    """Parameters that ended on a bound, with the bound. A vanishing term means that its scale is 0."""
    found = {}
    typical = float(np.median(np.abs(y)))
    for i, spec in enumerate(model.params):
        if i in model.linear and u[i] < ZERO_SHARE * typical:
            found[spec.name] = 0.0
            continue
        for bound in (model.low[i], model.high[i]):
            if np.isfinite(bound) and abs(theta[i] - bound) <= 1e-9 * max(1.0, abs(bound)):
                found[spec.name] = float(bound)
    return found


def _natural_covariance(
    model: Model,
    u: FloatArray,
    stretch: FloatArray,
    prepared: PreparedInputs,
    covariance: FloatArray,
    inside: np.ndarray[Any, np.dtype[np.bool_]],
) -> FloatArray:
    """Covariance of the natural parameters (logarithms for scales), by the delta method.

    `covariance` belongs to the internal coordinates after linear ones were turned into logarithms,
    which multiplies a derivative by `stretch`.
    """
    k = u.size
    step = 1e-6 * np.maximum(np.abs(u), np.where(stretch != 1.0, 1e-300, 1.0))
    points = np.concatenate([u + np.diag(step), u - np.diag(step)])
    theta = model.to_natural(points, prepared)
    values = np.where(model.is_log, np.log(np.maximum(theta, 1e-300)), theta)
    with np.errstate(invalid="ignore"):  # an optimum at infinity
        transform = (values[:k] - values[k:]).T / (2 * step) * stretch
    transform = np.where(inside[:, None] & inside & np.isfinite(transform), transform, 0.0)
    return np.asarray(transform @ covariance @ transform.T)


def _digest(arrays: Sequence[FloatArray]) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(a, dtype="<f8").tobytes() for a in arrays)).hexdigest()


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("scalingdb", "numpy", "scipy", "polars")
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


# ---- many fits -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Fits:
    """One law fitted to every group of a frame. The verbs of :class:`Fit`, with the keys in front.

    Attributes
    ----------
    by : tuple of str
    fits : mapping of key tuple to Fit
    errors : mapping of key tuple to str
        Groups that could not be fitted (only with ``on_error="record"``).
    """

    by: tuple[str, ...]
    fits: Mapping[tuple[Any, ...], Fit]
    errors: Mapping[tuple[Any, ...], str]

    def __len__(self) -> int:
        return len(self.fits)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fits)

    def __getitem__(self, key: Any) -> Fit:
        wanted = key if isinstance(key, tuple) else (key,)
        if wanted not in self.fits:
            raise unknown_name("group", str(wanted), map(str, self.fits), self.errors.get(wanted))
        return self.fits[wanted]

    def _stack(self, part: Callable[[Fit], pl.DataFrame]) -> pl.DataFrame:
        frames = []
        for key, item in self.fits.items():
            frame = part(item)
            labels = [pl.lit(value).alias(name) for name, value in zip(self.by, key, strict=True)]
            frames.append(frame.select(*labels, pl.exclude(self.by)))
        return pl.concat(frames, how="vertical_relaxed") if frames else pl.DataFrame()

    def tidy(self, level: float = 0.95) -> pl.DataFrame:
        """One row a group and parameter."""
        return self._stack(lambda item: item.tidy(level))

    def glance(self) -> pl.DataFrame:
        """One row a group."""
        return self._stack(Fit.glance)

    def augment(self) -> pl.DataFrame:
        """One row an observation."""
        return self._stack(Fit.augment)

    def __getstate__(self) -> dict[str, Any]:
        return _thawed(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: _frozen(value) for name, value in state.items()})

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<Fits by {', '.join(self.by)}: {len(self.fits)} groups{failed}>"

    def _repr_html_(self) -> str:
        return str(self.glance()._repr_html_())


def _fit_group(frame: pl.DataFrame, law: Law, options: dict[str, Any]) -> Fit | str:
    """Fit one group; an error comes back as text, so that it crosses process borders intact."""
    try:
        return fit(frame, law, **options)
    except ScalingDBError as error:
        return str(error)


def fit_by(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    *,
    by: str | Sequence[str],
    executor: Executor | None = None,
    on_error: str = "raise",
    **options: Any,
) -> Fits:
    """Fit a law to every group of a frame.

    Parameters
    ----------
    by : str or sequence of str
        Columns whose values make the groups.
    executor : concurrent.futures.Executor, optional
        Where the groups are fitted; in this process by default.
    on_error : {"raise", "record"}
        Stop at the first group that cannot be fitted, or keep its message in ``Fits.errors``.
    **options
        As for :func:`fit`.

    Raises
    ------
    FitError
        With ``on_error="raise"``, naming the group.
    UnknownNameError
        If a column of `by` does not exist.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> points = sdb.connect().points("gadre_overtraining")
    >>> sorted(sdb.fit_by(points, "gadre_overtrain", by="family"))
    [('c4',), ('redpajama',), ('refinedweb',)]
    """
    if on_error not in {"raise", "record"}:
        raise unknown_name("option", on_error, ("raise", "record"), "(for on_error)")
    table = as_frame(frame)
    keys = (by,) if isinstance(by, str) else tuple(by)
    for name in keys:
        if name not in table.columns:
            raise unknown_name("column", name, table.columns, "(given in by)")
    chosen = get_law(law)
    groups = dict(table.sort(keys, maintain_order=True).group_by(keys, maintain_order=True))
    if not groups:
        raise DataError("the frame is empty: there are no groups to fit", "check the filters that led to it.")
    if executor is None:
        results = [_fit_group(group, chosen, options) for group in groups.values()]
    else:
        futures = [executor.submit(_fit_group, group, chosen, options) for group in groups.values()]
        results = [future.result() for future in futures]
    fits, errors = {}, {}
    for key, result in zip(groups, results, strict=True):
        if isinstance(result, Fit):
            fits[key] = result
            continue
        label = ", ".join(f"{name}={value!r}" for name, value in zip(keys, key, strict=True))
        if on_error == "raise":
            raise FitError(
                f"group {label}: {result}", 'on_error="record" fits the other groups and keeps this message.'
            )
        errors[key] = result
    return Fits(keys, MappingProxyType(fits), MappingProxyType(errors))
