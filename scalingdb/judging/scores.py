"""How good a prediction with its interval is: log score, CRPS, and where the observation fell in it.

The predictive distribution is that of :meth:`Fit.predict`: draws of the parameters (bootstrap, or
the robust covariance), and on each the scatter of the fitted rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import refuse_bad_values

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits import Fit

__all__ = ["LEVELS", "Scores", "how_intervals_are_made", "predicted", "relative_error", "score"]

LEVELS = (0.5, 0.8, 0.95)
"""Coverage of the intervals that are judged."""

TAILS = (2.0, 3.0, 4.0, 6.0, 10.0, 30.0)
"""Degrees of freedom that the density of the scatter may have."""

STEPS = 100


@dataclass(frozen=True)
class Scores:
    """What a fit says about rows that it has not seen, and how that compares with what was observed.

    All arrays are (n,); ``nan`` where the fit has no interval. `how` says how it was made.
    """

    how: str
    prediction: FloatArray
    ends: dict[float, tuple[FloatArray, FloatArray]]
    log_score: FloatArray
    crps: FloatArray
    pit: FloatArray


@dataclass(frozen=True)
class Making:
    """How the intervals of predictions are made, in words, and whether there are any."""

    how: str
    is_possible: bool = True


def how_intervals_are_made(fit: Fit) -> Making:
    """How the predictions of a fit get their intervals; not possible where there is nothing to make them from.

    That is so where rows leave no degree of freedom, and where the covariance is of no use: the
    uncertainty of the law at the rows that it was fitted to is at most that of one row (the mean
    leverage is parameters over rows, below one). A covariance that makes the typical one larger has
    lost its digits in parameters that the data hardly tell apart; it would allow any prediction.
    """
    n_free = int(fit.glance()["n_free"][0])
    rows = fit.data.height
    if rows <= n_free:
        return Making(f"none: {rows} rows for {n_free} parameters", is_possible=False)
    if fit.samples.shape[0] and not np.isfinite(fit.samples).all(1).any():
        return Making(f"none: none of {fit.samples.shape[0]} resamples converged", is_possible=False)
    if not fit.samples.shape[0]:
        from scipy.special import stdtrit

        with np.errstate(all="ignore"):
            law_only = fit.simulate(fit.data, noise=False)
            if fit.recipe.is_log:
                law_only = np.log(law_only)
            low, high = np.quantile(law_only, [0.16, 0.84], axis=0)  # nan where a draw leaves all numbers
            residual = fit.augment()["residual"].to_numpy()
            scatter = np.sqrt(np.square(residual).sum() / (rows - n_free))
            # draws have the tails of Student's t: with few rows their 16 to 84 % are wider than two sd
            wide = float(stdtrit(rows - n_free, 0.84))
            is_usable = bool(np.median((high - low) / 2) <= max(wide * scatter, 1e-12))
        if not is_usable:
            useless = f"none: the covariance of {n_free} parameters from {rows} rows is of no use (try bootstrap=200)"
            return Making(useless, is_possible=False)
    kind = f"bootstrap {fit.samples.shape[0]}" if fit.samples.shape[0] else "robust covariance"
    lost = fit.recipe.undetermined
    return Making(f"{kind}, {fit.recipe.resampled}" + (f", without {', '.join(lost)} (not identified)" if lost else ""))


def predicted(fit: Fit, rows: pl.DataFrame) -> FloatArray:
    """The fitted law (n,) at other rows, without a remark on how far they lie beyond the fitted ones.

    Raises
    ------
    DataError
        If an input is missing or has values that the law cannot take.
    """
    columns = fit.recipe.columns
    signed = {columns[name] for name in fit.law.signed_inputs}
    refuse_bad_values(rows, list(columns.values()), [name for name in columns.values() if name not in signed], fit.law)
    inputs = [rows[columns[name]].cast(pl.Float64).to_numpy() for name in fit.law.inputs]
    with np.errstate(all="ignore"):
        value = np.asarray(fit.law.function(*inputs, **fit.params), dtype=float)
    return np.array(np.broadcast_to(value, (rows.height,)))


def relative_error(prediction: FloatArray, observed: FloatArray) -> FloatArray:
    """Signed error as a fraction of the size of what was observed: above 0 where the prediction is too high."""
    with np.errstate(all="ignore"):
        return np.asarray((prediction - observed) / np.abs(observed))


def score(fit: Fit, rows: pl.DataFrame, rng: int = 0) -> Scores:
    """Judge the predictions of a fit on other rows.

    Parameters
    ----------
    fit : Fit
    rows : DataFrame
        Inputs and observed values.
    rng : int
        Seed of the draws.

    Notes
    -----
    ``log_score`` is the logarithm of the predictive density at the observation: the mean over the
    draws of the parameters of a Student t around the law, whose scale and degrees of freedom (2 to
    30, no more than the rows have left) are most likely for the residuals of the fitted rows. A
    normal would be ruined by the outliers that a Huber loss is there to bear. ``crps`` is the
    continuous ranked probability score of the noisy draws, ``pit`` the share of them below the
    observation. Where all observed values are positive, the first two are those of the logarithm, so
    that they compare between data sets: 0.01 of CRPS is one percent.

    References
    ----------
    Gneiting and Raftery, JASA 102 (2007) 359-378.
    """
    output = fit.recipe.output
    observed = rows[output].cast(pl.Float64).to_numpy()
    prediction = predicted(fit, rows)
    blank = np.full(observed.size, np.nan)
    made = how_intervals_are_made(fit)
    if not made.is_possible:
        return Scores(made.how, prediction, dict.fromkeys(LEVELS, (blank, blank)), blank, blank, blank)
    noisy = fit.simulate(rows, rng=rng)
    law_only = fit.simulate(rows, noise=False, rng=rng)
    ends = {level: interval(noisy, level) for level in LEVELS}
    with np.errstate(all="ignore"):
        present = np.isfinite(noisy)
        count = np.maximum(present.sum(0), 1)
        pit = (((noisy < observed) & present).sum(0) + 0.5 * ((noisy == observed) & present).sum(0)) / count
    in_logs = bool((observed > 0).all())
    is_log = fit.recipe.is_log
    residual = fit.augment()["residual"].to_numpy()
    return Scores(
        made.how,
        prediction,
        ends,
        _log_density(observed, law_only, residual, int(fit.glance()["n_free"][0]), is_log=is_log, in_logs=in_logs),
        _crps(observed, noisy, in_logs=in_logs),
        pit,
    )


def _student(residual: FloatArray, n_free: int) -> tuple[float, float]:
    """Scale and degrees of freedom of the most likely Student t around zero (by EM on the scale)."""
    left = max(residual.size - n_free, 1)
    r = residual * np.sqrt(residual.size / left)
    start = max(float(np.median(np.abs(r))) / 0.6745, 1e-12 + 1e-6 * float(np.abs(r).max()))
    degrees = np.array(sorted({min(tail, float(left)) for tail in TAILS}))[:, None]
    square = np.full((degrees.size, 1), start**2)
    for _ in range(STEPS):
        weight = (degrees + 1) / (degrees + r**2 / square)
        square = np.maximum((weight * r**2).mean(1, keepdims=True), 1e-300)
    likelihood = _log_student(r, np.sqrt(square), degrees).sum(1)
    best = int(likelihood.argmax())
    return float(np.sqrt(square[best, 0])), float(degrees[best, 0])


def _log_student(r: FloatArray, scale: FloatArray | float, degrees: FloatArray | float) -> FloatArray:
    from scipy.special import gammaln

    constant = gammaln((degrees + 1) / 2) - gammaln(np.asarray(degrees) / 2) - 0.5 * np.log(np.pi * np.asarray(degrees))
    return np.asarray(constant - np.log(scale) - (degrees + 1) / 2 * np.log1p((r / scale) ** 2 / degrees))


def _log_density(
    observed: FloatArray, draws: FloatArray, residual: FloatArray, n_free: int, *, is_log: bool, in_logs: bool
) -> FloatArray:
    """Logarithm of the density (n,) at the observations, averaged over draws (m, n) of the law."""
    from scipy.special import logsumexp

    scale, degrees = _student(residual, n_free)
    with np.errstate(all="ignore"):
        off = np.log(observed) - np.log(draws) if is_log else observed - draws
        usable = np.isfinite(off)
        each = np.where(usable, _log_student(np.where(usable, off, 0.0), scale, degrees), -np.inf)
        density = logsumexp(each, axis=0) - np.log(np.maximum(np.isfinite(draws).sum(0), 1))
        if is_log and not in_logs:
            density = density - np.log(observed)
        if in_logs and not is_log:
            density = density + np.log(observed)
    return np.asarray(density)


def _crps(observed: FloatArray, draws: FloatArray, *, in_logs: bool) -> FloatArray:
    """Continuous ranked probability score (n,) of draws (m, n)."""
    with np.errstate(all="ignore"):
        x = np.log(draws) if in_logs else draws
        y = np.log(observed) if in_logs else observed
        x = np.sort(np.where(np.isfinite(x), x, np.nan), axis=0)  # nan at the end
        m = np.isfinite(x).sum(0)
        rank = np.arange(1, x.shape[0] + 1)[:, None]
        spread = np.nansum((2 * rank - m - 1) * x, axis=0) / np.maximum(m, 1) ** 2
        return np.asarray(np.where(m > 0, np.nansum(np.abs(x - y), axis=0) / np.maximum(m, 1) - spread, np.nan))
