"""Predictions of a fit and their draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import polars as pl

from scalingdb.errors import DataError, check_level, check_seed, check_word
from scalingdb.fits._estimate import BoolArray, natural
from scalingdb.fits._form import evaluate_law
from scalingdb.fits._law_error import with_law_error
from scalingdb.fits._propagate import opened
from scalingdb.fits._rows import as_frame, refuse_bad_values
from scalingdb.notices import notice

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits._result import Fit

__all__ = ["ErrorModel", "checked", "predict", "simulate"]

ErrorModel = Literal["law", "noise"]
"""What an interval beyond the fitted range allows for."""


def predict(
    fit: Fit, frame: pl.DataFrame, level: float | None, *, error: ErrorModel, noise: bool, rng: int
) -> pl.DataFrame:
    """See :meth:`Fit.predict`."""
    check_word(error, get_args(ErrorModel), "error")
    table = checked(fit, frame)
    _say_if_far(fit, table)
    prediction = fit._evaluate(table)
    result = table.with_columns(prediction=pl.Series(prediction, dtype=pl.Float64))
    if level is None:
        return result
    check_level(level)
    from scalingdb.estimation import uncertainty

    low, high = uncertainty.interval(fit.simulate(table, noise=noise, rng=rng), level)
    allowed_for = np.full(table.height, "noise" if noise else "parameters", dtype=object)
    if noise and error == "law":
        low, high, n_inner = with_law_error(fit._estimate, fit._arrays(table), prediction, low, high, level)
        allowed_for[n_inner >= 0] = np.where(n_inner > 0, "law", "law, pooled")[n_inner >= 0]
    ends = {"low": pl.Series(low, dtype=pl.Float64), "high": pl.Series(high, dtype=pl.Float64)}
    return result.with_columns(**ends, interval=pl.Series(allowed_for.tolist(), dtype=pl.String))


def simulate(fit: Fit, frame: pl.DataFrame, *, noise: bool, rng: int) -> FloatArray:
    """See :meth:`Fit.simulate`."""
    table = checked(fit, frame)
    generator = np.random.default_rng(check_seed(rng))
    if fit.samples.shape[0]:
        values = evaluate_law(fit.law, fit.samples, fit._arrays(table))
    else:
        values = _straightened(fit, fit._estimate.deviations(generator), table)
    if noise:
        picked = _scatter(fit, generator, values.shape)
        values = values * np.exp(picked) if fit._kind.is_log else values + picked
        values = np.clip(values, 0.0, 1.0) if fit._kind.is_likelihood else values
    if not fit._unseen.size:
        return values
    is_positive, most = fit._kind.is_log or fit._kind.is_likelihood, 1.0 if fit._kind.is_likelihood else np.inf
    return opened(values, _is_open(fit, table), is_positive=is_positive, most=most)


def _scatter(fit: Fit, generator: np.random.Generator, shape: tuple[int, ...]) -> FloatArray:
    """Draws of the scatter of a new run, on the scale of the residuals.

    The scatter around a fit is smaller than around the truth, by the rows that the parameters took. With few
    degrees of freedom left, residuals are too few to draw from: a Student t of their size stands in for them.
    """
    from scalingdb.estimation.uncertainty import FEW

    residual, n_free = fit.augment()["residual"].to_numpy(), fit._estimate.n_free
    left = max(residual.size - n_free, 1)
    inflate = np.sqrt(residual.size / left)
    if left < FEW and not fit._kind.is_likelihood:
        return np.asarray(inflate * np.sqrt(np.square(residual).mean()) * generator.standard_t(left, shape))
    return np.asarray(inflate * generator.choice(residual, size=shape))


def _is_open(fit: Fit, table: pl.DataFrame) -> BoolArray:
    """Rows whose prediction depends on what the data leave open."""
    arrays = fit._arrays(table)
    is_open = fit._estimate.is_open(lambda theta: evaluate_law(fit.law, theta, arrays))
    together = fit.verdict.because("move_together")
    return is_open & _beyond_line(fit, table, together[0].names) if together else is_open


def _beyond_line(fit: Fit, table: pl.DataFrame, columns: tuple[str, ...]) -> BoolArray:
    """Rows off the line on which the two inputs of all fitted rows lie: along it, predictions are sound."""
    across, up = (np.log(fit.data[name].cast(pl.Float64).to_numpy()) for name in columns)
    slope, start = np.polyfit(across, up, 1)
    width = max(2 * float(np.abs(up - start - slope * across).max()), 1e-6)
    x, y = (np.log(table[name].cast(pl.Float64).to_numpy()) for name in columns)
    return np.asarray(np.abs(y - start - slope * x) > width)


def checked(fit: Fit, frame: pl.DataFrame) -> pl.DataFrame:
    """A frame that holds what the law takes; refuses others."""
    table = as_frame(frame)
    for name, column in fit.recipe.columns.items():
        if column not in table.columns:
            raise DataError(
                f"the frame has no column {column!r}, which the fit used as {name}",
                f"columns needed: {', '.join(fit.recipe.columns.values())}.",
            )
    columns = list(fit.recipe.columns.values())
    signed = {fit.recipe.columns[name] for name in fit.law.signed_inputs}
    refuse_bad_values(table, columns, [column for column in columns if column not in signed])
    return table


def _say_if_far(fit: Fit, table: pl.DataFrame) -> None:
    """Say how far a prediction lies beyond the rows that were fitted."""
    for column in fit.recipe.columns.values():
        seen, asked = fit.data[column].cast(pl.Float64), table[column].cast(pl.Float64)
        if table.is_empty() or asked.is_null().all():
            continue
        low, high, least, most = (float(v) for v in (seen.min(), seen.max(), asked.min(), asked.max()))  # type: ignore[arg-type]
        if least > 0 and low > 0 and (most > 10 * high or least < low / 10):
            factor = max(most / high, low / least)
            notice(
                f"law {fit.law.name!r} predicts up to {factor:.0f} times beyond the {column} it was fitted to "
                f"({low:.3g} to {high:.3g})",
                once=True,
            )


def _straightened(fit: Fit, deviations: FloatArray, table: pl.DataFrame) -> FloatArray:
    """Predictions (count, rows) for draws around the estimate, to first order.

    A covariance knows the slope of a valley, not its bend: where parameters trade off against
    each other, the law itself at such draws leaves the valley and predicts anything, while its
    tangent stays within what the rows allow. On the scale of the objective's residuals.
    """
    estimate = fit._estimate
    centre, spread = estimate.centre, estimate.standard_errors
    moved = np.flatnonzero(spread > 0)
    step = 6e-6 * np.maximum(np.abs(centre), 1.0)[moved]
    at = np.repeat(centre[None], 2 * moved.size, axis=0)
    at[np.arange(moved.size), moved] += step
    at[moved.size + np.arange(moved.size), moved] -= step
    values = evaluate_law(fit.law, natural(at, estimate.is_log), fit._arrays(table))
    here = fit._evaluate(table)
    with np.errstate(all="ignore"):
        if fit._kind.is_log:
            values, here = np.log(values), np.log(here)
        slope = (values[: moved.size] - values[moved.size :]) / (2 * step[:, None])
        moved_to = here + deviations[:, moved] @ slope
        return np.asarray(np.exp(moved_to) if fit._kind.is_log else moved_to)
