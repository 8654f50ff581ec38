"""Predictions of many tasks at once, on models or checkpoints held out by scale, and one table to judge them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import stdtrit

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    canonical,
    check_scores,
    compute_column,
    default_keys,
    keys_of,
    need_columns,
    say_mixtures,
)
from scalingdb.downstream.task_laws import one_step
from scalingdb.errors import DataError, ScalingDBError, check_level, unknown_name
from scalingdb.notices import notice

__all__ = ["early_to_final", "forecast", "roles_by_compute", "score_table"]

METHODS = ("largest", "line", "logistic", "power", "backtest")
INNER = 3.0
"""Factor of compute that ``backtest`` holds out of the fitted rows to choose a method."""
PREDICTION = ("method", "observed", "prediction", "low", "high", "compute_ratio")


def roles_by_compute(
    frame: pl.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    factor: float = 10.0,
    compute: str | None = None,
) -> pl.DataFrame:
    """Say which rows to learn from if the largest model had not been trained yet.

    In each group, rows up to a `factor` below the largest compute are ``fit``, rows at least a `factor`
    above all of those ``test``; what lies between is ``unused``, so that every forecast reaches as far as
    it claims.

    Returns
    -------
    DataFrame
        With ``role`` and ``compute``; rows without compute are left out and counted in a notice.
    """
    if not factor > 1:
        raise DataError(f"factor={factor!r} is not above 1", "for example 10.")
    table = as_frame(frame)
    keys = keys_of(default_keys(table) if by is None else by, table)
    say_mixtures(table, keys)
    known = table.with_columns(compute=compute_column(table, compute)).filter(pl.col("compute") > 0)
    if known.height < table.height:
        notice(f"{table.height - known.height} of {table.height} rows have no compute and are left out")
    top = pl.col("compute").max().over(keys) / factor
    seen = pl.when(pl.col("compute") <= top * (1 + 1e-9)).then(pl.col("compute")).max().over(keys)
    return known.with_columns(
        role=pl.when(pl.col("compute") <= top * (1 + 1e-9))
        .then(pl.lit("fit"))
        .when(pl.col("compute") >= factor * seen * (1 - 1e-9))
        .then(pl.lit("test"))
        .otherwise(pl.lit("unused"))
    )


def forecast(
    frame: pl.DataFrame,
    methods: Sequence[str] = ("largest", "logistic"),
    *,
    by: str | Sequence[str] | None = None,
    score: str = "score",
    chance: float | None = None,
    level: float = DEFAULT_LEVEL,
) -> pl.DataFrame:
    """Predict held-out models of every group by simple laws of compute.

    Parameters
    ----------
    frame : DataFrame
        Scores with ``role`` (``fit``, ``test``) and ``compute``, as :func:`roles_by_compute` gives them.
    methods : sequence of str
        ``largest``: the score of the largest model fitted (no change; the baseline that a law has to beat).
        ``line``: straight in log compute, by ordinary least squares. ``logistic`` and ``power`` as in
        :func:`one_step`. ``backtest``: for each group, whichever of the other methods asked for did best
        when the fitted models within a factor of three of the largest (with few models: the largest alone)
        were held out of its own fit; no change, where even that leaves too few.
    by : str or sequence of str, optional
        As for :func:`predictability`.
    score : str
    chance : float, optional
        For ``logistic``, where the rows have no ``chance_level``. Without either, groups are left out with a notice.
    level : float
        Coverage of the intervals for a new model. They use Student's t with the residual degrees of freedom, and hold
        if the method has the right form.

    Returns
    -------
    DataFrame
        One row per held-out score and method: the keys, ``run_id`` where present, ``observed, prediction,
        low, high``, ``compute_ratio`` (of the target over the largest model fitted).
    """
    check_level(level)
    for name in methods:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
    table = as_frame(frame)
    keys = keys_of(default_keys(table) if by is None else by, table)
    say_mixtures(table, keys)
    need_columns(table, ["role", "compute"], "a forecast", "use roles_by_compute(frame) first.")
    check_scores(table, score, "a forecast")
    out: list[pl.DataFrame] = []
    skipped: dict[str, int] = {}
    for key, group in canonical(table, [*keys, "compute"]).group_by(keys, maintain_order=True):
        seen, target = group.filter(role="fit"), group.filter(role="test")
        if seen["compute"].n_unique() < 3 or target.is_empty():
            skipped["fewer than three budgets to fit, or none to test"] = (
                skipped.get("fewer than three budgets to fit, or none to test", 0) + 1
            )
            continue
        labels = {**dict(zip(keys, key, strict=True))}
        ratio = target["compute"] / seen["compute"].max()
        made: dict[str, tuple[FloatArray, FloatArray, FloatArray]] = {}
        for name in methods:
            try:
                chosen = name
                if name == "backtest":
                    chosen = _backtested([m for m in methods if m != "backtest"], seen, score, chance)
                if chosen not in made:
                    made[chosen] = _by_method(chosen, seen, target, score, chance, level)
                values = made[chosen]
            except ScalingDBError as error:
                reason = f"{name}: " + re.sub(r"\d[\d.]*", "#", error.fact.splitlines()[0])
                skipped[reason] = skipped.get(reason, 0) + 1
                continue
            part = pl.DataFrame(
                {
                    "method": [name] * target.height,
                    "observed": target[score].cast(pl.Float64),
                    "prediction": values[0],
                    "low": values[1],
                    "high": values[2],
                    "compute_ratio": ratio,
                }
            ).with_columns(pl.lit(value).alias(column) for column, value in labels.items())
            if "run_id" in target.columns:
                part = part.with_columns(run_id=target["run_id"])
            out.append(part)
    for reason, count in skipped.items():
        notice(f"{count} group(s) without a forecast: {reason}", once=True)
    if not out:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.items())
        raise DataError(f"no group can be forecast ({reasons})", "check the roles, the chance level and the scores.")
    order = [*keys, *(["run_id"] if "run_id" in table.columns else []), *PREDICTION]
    return pl.concat(out, how="vertical_relaxed").select(order)


def _backtested(methods: Sequence[str], seen: pl.DataFrame, score: str, chance: float | None) -> str:
    """The method that would have predicted the largest of the fitted models best; else no change."""
    top = seen["compute"].max()
    inner = seen.filter(pl.col("compute") <= top / INNER)  # type: ignore[operator]
    if inner["compute"].n_unique() < 3:  # too few for a gap: only the largest budget is held out
        inner = seen.filter(pl.col("compute") < top)
    outer = seen.filter(pl.col("compute") > inner["compute"].max())
    errors: dict[str, float] = {}
    if inner["compute"].n_unique() >= 3 and not outer.is_empty():
        for name in methods:
            try:
                predicted = _by_method(name, inner, outer, score, chance, None)[0]
            except ScalingDBError:
                continue
            errors[name] = float(np.mean(np.abs(predicted - outer[score].to_numpy())))
    return min(errors, key=lambda name: errors[name]) if errors else "largest"


def _by_method(
    name: str, seen: pl.DataFrame, target: pl.DataFrame, score: str, chance: float | None, level: float | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    x, y = np.log10(seen["compute"].to_numpy()), seen[score].cast(pl.Float64).to_numpy().astype(float)
    at = np.log10(target["compute"].to_numpy())
    if name in {"largest", "line"}:
        design = np.column_stack([np.ones_like(x), x - x.mean()])
        inverse = np.linalg.inv(design.T @ design)
        params = inverse @ design.T @ y
        df = y.size - 2
        spread = float(np.sqrt(np.sum((design @ params - y) ** 2) / df))
        half = float(stdtrit(df, (1 + level) / 2)) * spread if level is not None else np.nan
        if name == "line":
            there = np.column_stack([np.ones_like(at), at - x.mean()])
            middle = there @ params
            width = half * np.sqrt(1 + np.einsum("ij,jk,ik->i", there, inverse, there))
        else:
            # a score that stays: the scatter around the line, and that of the mean of the largest models
            largest = y[x == x.max()]
            middle = np.full(at.size, float(largest.mean()))
            width = half * np.sqrt(1 + 1 / largest.size)
        return tuple(np.clip(values, 0, 1) for values in (middle, middle - width, middle + width))
    law = one_step(seen, name, score=score, compute="compute", chance=chance if name == "logistic" else None)
    if level is None:
        unknown = np.full(at.size, np.nan)
        return law.expected(target), unknown, unknown
    done = law.predict(target, level)
    return tuple(done[c].to_numpy().astype(float) for c in ("prediction", "low", "high"))  # type: ignore[return-value]


def early_to_final(
    frame: pl.DataFrame,
    fraction: float = 0.25,
    *,
    by: str | Sequence[str] = ("task", "metric"),
    score: str = "score",
    last: int = 3,
) -> pl.DataFrame:
    """Predict the end of each training run from its beginning.

    Parameters
    ----------
    frame : DataFrame
        Checkpoints: ``run_id``, ``n_tokens``, the score, the columns of `by`.
    fraction : float
        Share of a run's tokens that is seen.
    by : str or sequence of str
        What makes a task; runs of one task lend each other their errors.
    score : str
    last : int
        Evaluations that are averaged at the cut and at the end.

    Returns
    -------
    DataFrame
        One row per run, task and method: ``observed`` (mean of the last evaluations), ``prediction``, ``low,
        high``, ``compute_ratio`` (1 / fraction), ``early``, ``n_seen``. Methods: ``stays`` (the score at the cut),
        ``line`` (straight in log tokens over what was seen), ``peers`` (final score as a line in the early
        one, learnt from the other runs of the task). Intervals are the spread of the same method's errors
        on the other runs; null with fewer than four.

    Raises
    ------
    DataError
        For scores outside [0, 1], missing columns, or if no run has three evaluations before the cut.
    """
    if not 0 < fraction < 1:
        raise DataError(f"fraction={fraction!r} is not between 0 and 1", "for example 0.25.")
    table = as_frame(frame)
    keys = keys_of(by, table)
    need_columns(table, ["run_id", "n_tokens"], "the course of a run", "give checkpoints.")
    check_scores(table, score, "the course of a run")
    rows = (
        canonical(table.filter(pl.col("n_tokens") > 0), ["n_tokens"])
        .with_columns(_y=pl.col(score).cast(pl.Float64), _x=pl.col("n_tokens").log())
        .with_columns(_end=pl.col("n_tokens").max().over("run_id", *keys))
    )
    seen = rows.filter(pl.col("n_tokens") <= fraction * pl.col("_end"))
    mx, my = pl.col("_x") - pl.col("_x").mean(), pl.col("_y") - pl.col("_y").mean()
    early = seen.group_by("run_id", *keys, maintain_order=True).agg(
        n_seen=pl.len().cast(pl.Int64),
        early=pl.col("_y").tail(last).mean(),
        slope=(mx * my).sum() / mx.pow(2).sum(),
        mean_x=pl.col("_x").mean(),
        mean_y=pl.col("_y").mean(),
    )
    final = rows.group_by("run_id", *keys).agg(observed=pl.col("_y").tail(last).mean(), end=pl.col("_x").max())
    both = early.filter(pl.col("n_seen") >= 3).join(final, on=["run_id", *keys], nulls_equal=True)
    if both.is_empty():
        raise DataError(
            f"no run has three evaluations within the first {100 * fraction:g} % of its tokens",
            "raise the fraction, or give denser checkpoints.",
        )
    short = early.height - both.height
    if short:
        notice(f"{short} run(s) and tasks have fewer than three evaluations before the cut and are left out")
    both = both.with_columns(
        stays=pl.col("early"), line=(pl.col("mean_y") + pl.col("slope") * (pl.col("end") - pl.col("mean_x"))).clip(0, 1)
    )
    parts = []
    for _, group in both.group_by(keys, maintain_order=True):
        e, f = group["early"].to_numpy(), group["observed"].to_numpy()
        parts.append(group.with_columns(peers=pl.Series(_leave_one_out(e, f), dtype=pl.Float64).fill_nan(None)))
    wide = pl.concat(parts)
    long = wide.unpivot(
        ["stays", "line", "peers"],
        index=["run_id", *keys, "observed", "early", "n_seen"],
        variable_name="method",
        value_name="prediction",
    ).drop_nulls("prediction")
    error2 = (pl.col("prediction") - pl.col("observed")) ** 2
    count = pl.len().over(*keys, "method")
    others = ((error2.sum().over(*keys, "method") - error2) / (count - 1)).sqrt()
    t = {n: float(stdtrit(n - 1, 0.975)) for n in long.select(count).to_series().unique() if n >= 4}
    width = pl.when(count >= 4).then(count.replace_strict(t, default=None, return_dtype=pl.Float64) * others)
    return long.with_columns(
        low=(pl.col("prediction") - width).clip(0, 1),
        high=(pl.col("prediction") + width).clip(0, 1),
        compute_ratio=pl.lit(1 / fraction),
    ).select("run_id", *keys, *PREDICTION, "early", "n_seen")


def _leave_one_out(x: FloatArray, y: FloatArray) -> FloatArray:
    """Each y from the line through all other points; missing with fewer than four, or a constant x."""
    n = x.size
    out = np.full(n, np.nan)
    if n < 4:
        return out
    for i in range(n):
        keep = np.arange(n) != i
        if np.ptp(x[keep]) > 0:
            slope, intercept = np.polyfit(x[keep], y[keep], 1)
            out[i] = np.clip(intercept + slope * x[i], 0, 1)
    return out


def score_table(
    predictions: pl.DataFrame,
    by: str | Sequence[str] = ("source_id", "method"),
    *,
    baseline: str | None = "largest",
) -> pl.DataFrame:
    """Judge predictions on held-out models: one row per data set and method.

    Parameters
    ----------
    predictions : DataFrame
        ``observed, prediction``, the columns of `by`; ``low, high, task, compute_ratio`` where known.
    by : str or sequence of str
    baseline : str, optional
        Method whose error the others are compared with, in groups that have it.

    Returns
    -------
    DataFrame
        ``n_predictions, n_tasks``, ``mean_abs_error``, ``median_abs_error``, ``max_abs_error``, ``bias``
        (prediction minus observed) in units of the score, ``mean_relative_error``, ``coverage`` (share
        inside the 95 % interval), ``median_compute_ratio``, and ``error_over_baseline``.

    Raises
    ------
    DataError
        If values are missing.
    """
    table = as_frame(predictions)
    keys = keys_of(by, table)
    need_columns(table, ["observed", "prediction"], "a score table", "give predictions of held-out models.")
    lacking = table.filter(pl.any_horizontal(pl.col("observed", "prediction").is_null()))
    if lacking.height:
        raise DataError(
            f"{lacking.height} of {table.height} predictions lack a value",
            "filter them, so that what is left out is your decision.",
        )

    def known(column: str, expression: pl.Expr, dtype: pl.DataType) -> pl.Expr:
        return expression if column in table.columns else pl.lit(None, dtype)

    error = pl.col("prediction") - pl.col("observed")
    relative = pl.when(pl.col("observed").abs() > 0).then(error.abs() / pl.col("observed").abs())
    inside = pl.col("observed").is_between(pl.col("low"), pl.col("high")).mean()
    out = table.group_by(keys, maintain_order=True).agg(
        n_predictions=pl.len().cast(pl.Int64),
        n_tasks=known("task", pl.col("task").n_unique().cast(pl.Int64), pl.Int64()),
        mean_abs_error=error.abs().mean(),
        median_abs_error=error.abs().median(),
        max_abs_error=error.abs().max(),
        bias=error.mean(),
        mean_relative_error=relative.mean(),
        coverage=known("low", inside, pl.Float64()),
        median_compute_ratio=known("compute_ratio", pl.col("compute_ratio").median(), pl.Float64()),
    )
    if baseline is None or "method" not in keys or not (out["method"] == baseline).any():
        return out.with_columns(error_over_baseline=pl.lit(None, pl.Float64)).sort(keys)
    rest = [k for k in keys if k != "method"]
    reference = out.filter(pl.col("method") == baseline).select(*rest, _base="mean_abs_error")
    joined = (
        out.join(reference, on=rest, how="left", nulls_equal=True)
        if rest
        else out.with_columns(_base=reference["_base"][0])
    )
    return joined.with_columns(error_over_baseline=pl.col("mean_abs_error") / pl.col("_base")).drop("_base").sort(keys)
