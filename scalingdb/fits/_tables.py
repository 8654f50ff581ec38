"""The tables of a fit: parameters, the fit as a whole, its rows, and its page in a notebook."""

from __future__ import annotations

import html
import warnings
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl

from scalingdb.display import html_table, number, percent, symbol
from scalingdb.errors import DataError, check_level, check_word
from scalingdb.fits._estimate import Estimate
from scalingdb.fits._influence import standing_out
from scalingdb.fits._profile import profile_interval

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits._result import Fit

__all__ = [
    "UNCERTAIN",
    "Method",
    "as_html",
    "augment",
    "glance",
    "how_intervals_were_made",
    "printed_intervals",
    "tidy",
]

REACH = 1e20
"""Ratio of the ends of an interval beyond which they are open: no runs tell twenty decades apart."""

RUNAWAY = 100.0
"""Standard deviation of resamples over the width of their middle beyond which it describes outliers only."""

UNCERTAIN = "not certain to be the global optimum"
"""Said of a fit whose objective only one start has reached."""

Method = Literal["auto", "bootstrap", "robust", "profile"]
"""How the intervals of parameters are made."""


def tidy(fit: Fit, level: float, method: Method) -> pl.DataFrame:
    """See :meth:`Fit.tidy`."""
    check_level(level)
    check_word(method, get_args(Method), "method")
    estimate, recipe = fit._estimate, fit.recipe
    has_samples = estimate.samples.shape[0] > 0
    if method == "bootstrap" and not has_samples:
        raise DataError("this fit has no bootstrap", "fit with bootstrap=1000.")
    resampled = method == "bootstrap" or (method == "auto" and has_samples)
    open_ended = np.array([name in recipe.undetermined for name in estimate.names])
    # a bootstrap has something to say about a parameter at its bound, the covariance has not
    known = ~open_ended & (~estimate.fixed if resampled else ~estimate.held)
    error, low, high = _from_bootstrap(estimate, level) if resampled else _from_covariance(estimate, level)
    how = f"bootstrap {estimate.samples.shape[0]}" if resampled else "robust covariance"
    if method == "profile":
        how = "profile"
        ends = [
            profile_interval(estimate, name, level) if ok else (np.nan, np.nan)
            for name, ok in zip(estimate.names, known, strict=True)
        ]
        low, high = np.array(ends).T
    stated = np.select(
        [known, open_ended, estimate.fixed],
        [f"{how}, {recipe.resampled}", "not identified", "fixed"],
        "at bound",
    )
    blank = np.where(known, 1.0, np.nan)
    return pl.DataFrame(
        {
            "param": estimate.names,
            "estimate": estimate.theta,
            "std_error": error * blank,
            "low": low * blank,
            "high": high * blank,
            "interval": stated.tolist(),
            **({"median": _median(estimate) * blank} if resampled else {}),
        }
    ).with_columns(pl.selectors.by_name("std_error", "low", "high", "median", require_all=False).fill_nan(None))


def _median(estimate: Estimate) -> FloatArray:
    """Of the resamples (K,)."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(estimate.samples, axis=0))


def printed_intervals(estimate: Estimate, level: float) -> tuple[FloatArray, FloatArray]:
    """Ends (K,) of the intervals that :meth:`Fit.tidy` shows by default, also of parameters that have none."""
    made = _from_bootstrap if estimate.samples.shape[0] else _from_covariance
    _, low, high = made(estimate, level)
    return low, high


def _from_bootstrap(estimate: Estimate, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standard errors and ends of intervals, each (K,)."""
    from scalingdb.estimation.uncertainty import interval

    samples = estimate.samples
    low, high = interval(samples, level)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no resample converged: nan
        error = np.nanstd(samples, axis=0, ddof=1)
        middle = np.subtract(*interval(samples, 0.6826)[::-1])
        # a few resamples that run away say nothing about the rest: no standard error describes both
        is_sound = np.isfinite(error) & (error <= RUNAWAY * np.maximum(middle, 1e-300))
    return (np.where(is_sound, error, np.nan), *_within_reach(estimate, low, high))


def _from_covariance(estimate: Estimate, level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standard errors and ends of intervals, each (K,); intervals of scales are symmetric in the logarithm."""
    theta, is_log, error = estimate.theta, estimate.is_log, estimate.standard_errors
    half = estimate.t_quantile(level) * error
    with np.errstate(over="ignore", invalid="ignore"):
        low = np.where(is_log, theta * np.exp(-half), theta - half)
        high = np.where(is_log, theta * np.exp(half), theta + half)
        size = np.where(is_log, theta * error, error)
    low, high = _within_reach(estimate, low, high)
    return np.where(np.isfinite(low) & np.isfinite(high) & ~(is_log & (low == 0)), size, np.nan), low, high


def _within_reach(estimate: Estimate, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ends of intervals; open where an end lies farther from the estimate than any runs could tell."""
    size = np.maximum(np.abs(estimate.theta), 1e-300)
    with np.errstate(all="ignore"):
        is_wide = estimate.is_log & (high / np.maximum(low, 1e-300) > REACH)
        low = np.where(is_wide & (low < size / np.sqrt(REACH)), 0.0, low)
        high = np.where(is_wide & (high > size * np.sqrt(REACH)), np.inf, high)
        low = np.where(~estimate.is_log & (low < -REACH * size), -np.inf, low)
        high = np.where(~estimate.is_log & (high > REACH * size), np.inf, high)
    return low, high


def how_intervals_were_made(tidy: pl.DataFrame) -> str:
    """How the intervals of :meth:`Fit.tidy` were made; nothing where no parameter has one."""
    made = tidy.filter(pl.col("low").is_not_null())["interval"]
    return str(made[0]) if made.len() else ""


def glance(fit: Fit) -> pl.DataFrame:
    """See :meth:`Fit.glance`."""
    moving = [name for reason in fit.verdict.because("influential") for name in reason.names]
    rows = fit.augment()
    relative = rows["relative_error"].abs()
    y = rows[fit.recipe.output].cast(pl.Float64).to_numpy()
    residual_sum = ((y - rows["prediction"].to_numpy()) ** 2).sum()
    total_sum = ((y - y.mean()) ** 2).sum()
    return pl.DataFrame(
        {
            "law": [fit.law.name],
            "n_rows": [rows.height],
            "n_free": [fit._estimate.n_free],
            "objective_name": [fit.recipe.objective],
            "objective": [fit.objective],
            "mean_abs_rel_error": [relative.mean()],
            "median_abs_rel_error": [relative.median()],
            "max_abs_rel_error": [relative.max()],
            "r_squared": [1 - residual_sum / total_sum if total_sum > 0 else None],
            "n_starts": [fit.n_starts],
            "n_agree": [fit.n_agree],
            "is_certain": [fit.is_certain],
            "status": [fit.status],
            "stands_out": [standing_out(fit)],
            "influential": [", ".join(moving) or None],
            "verdict": [str(fit.verdict)],
            "verdict_kind": [fit.verdict.kind],
        },
        schema_overrides={"r_squared": pl.Float64, "stands_out": pl.String, "influential": pl.String},
    )


def augment(fit: Fit) -> pl.DataFrame:
    """See :meth:`Fit.augment`."""
    target = fit.recipe.output
    prediction = fit._evaluate(fit.data)
    y = pl.col(target).cast(pl.Float64)
    residual = y.log() - pl.col("prediction").log() if fit._kind.is_log else y - pl.col("prediction")
    return fit.data.with_columns(prediction=pl.Series(prediction)).with_columns(
        residual=residual, relative_error=pl.col("prediction") / y - 1
    )


def as_html(fit: Fit) -> str:
    """A table of the parameters with the formula above and the verdict below."""
    table = fit.tidy()
    head = ("parameter", "estimate", "std. error", "2.5 %", "97.5 %", "meaning")
    rows = (
        (
            symbol(row["param"]),
            *(row[name] for name in ("estimate", "std_error", "low", "high")),
            fit.law.params[row["param"]].meaning,
        )
        for row in table.iter_rows(named=True)
    )
    glance = fit.glance().row(0, named=True)
    formula = fit.law.mathml if fit.law.is_traceable else f"<code>{html.escape(fit.law.name)}</code>"
    made = how_intervals_were_made(table)
    facts = (
        f"{glance['n_rows']} rows",
        f"{fit.recipe.objective} (sum) {number(fit.objective, 7)}",
        f"mean error {percent(glance['mean_abs_rel_error'])}",
        f"{fit.n_agree} of {fit.n_starts} starts agree",
        *([] if fit.is_certain else [UNCERTAIN]),
        *([f"intervals: {made}"] if made else []),
    )
    remarks = "".join(f"<br>{html.escape(note)}." for note in fit.recipe.notes)
    return (
        # JupyterLab cuts what stands above the first line of an output, such as a numerator
        f'<div class="scalingdb-fit"><div style="padding: 0.4em 0">{formula}</div>{html_table(head, rows)}'
        f"<p><b>{html.escape(str(fit.verdict))}</b>; {html.escape('; '.join(facts))}.{remarks}</p></div>"
    )
