"""What follows from the parameters of a fit, as uncertain as they are: draws, quantities, the compute optimum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._frames import OptimumFrame
from scalingdb.errors import DataError, check_level, check_seed
from scalingdb.fits._estimate import NULL_SHARE, BoolArray, Estimate, natural
from scalingdb.fits._form import evaluate_law
from scalingdb.fits._law_error import with_law_error

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits._result import Fit
    from scalingdb.law_library import Law

__all__ = ["derived", "draws", "opened", "optimal", "optimum", "propagate"]

MOST = 10_000_000
"""Draws that may be asked for."""

STEP = 1e-4
"""Standard deviations between the points of a difference: far over the rounding of a quantity that is itself searched
for, far under the bend of a law."""

N_DRAWS = 400
"""Draws behind the interval of an optimum."""


def derived(estimate: Estimate, quantities: Mapping[str, Callable[..., Any]], level: float, rng: int) -> pl.DataFrame:
    """See :meth:`Fit.derived`."""
    check_level(level)
    from scalingdb.estimation.uncertainty import interval

    rows = []
    for name, function in quantities.items():

        def at(theta: FloatArray, function: Callable[..., Any] = function) -> FloatArray:
            values = function(**dict(zip(estimate.names, theta.T, strict=True)))
            return np.broadcast_to(np.asarray(values, dtype=float), theta.shape[:1])

        drawn = propagate(estimate, at, rng=rng)
        low, high = interval(drawn, level)
        how = "not identified" if np.isinf(drawn).any() and estimate.is_open(at) else estimate.method
        rows.append((name, float(at(estimate.theta[None])[0]), float(low), float(high), how))
    return pl.DataFrame(
        rows, schema=["quantity", "estimate", "low", "high", "interval"], orient="row", strict=False
    ).with_columns(pl.col("low", "high").fill_nan(None))


def propagate(
    estimate: Estimate,
    function: Callable[[FloatArray], FloatArray],
    count: int = 1000,
    rng: int = 0,
    scores: FloatArray | None = None,
) -> FloatArray:
    """See :meth:`Fit.propagate`."""
    if scores is None and estimate.samples.shape[0]:
        values = _values(function, estimate.finite_samples())
        return opened(values, estimate.is_open(function), is_positive=(values > 0).all(0))
    steps = STEP * estimate.axes.T
    # along the axes of the covariance, in their own lengths: what cancels in a valley cancels in each difference
    at = estimate.centre + np.concatenate([steps, -steps])
    points = natural(at, estimate.is_log)
    points[:, estimate.held] = estimate.theta[estimate.held]
    values = _values(function, np.concatenate([estimate.theta[None], points]))
    here, up, down = values[0], values[1 : 1 + len(steps)], values[1 + len(steps) :]
    with np.errstate(all="ignore"):
        in_logs = (values > 0).all(0)
        slopes = np.where(in_logs, np.log(up) - np.log(down), up - down) / (2 * STEP)
        along = estimate.scores(np.random.default_rng(check_seed(rng)), count) if scores is None else scores
        change = np.tensordot(along, slopes, axes=1)
        drawn = np.where(in_logs, here * np.exp(change), here + change)
        return opened(drawn, estimate.is_open(function), is_positive=in_logs)


def _values(function: Callable[[FloatArray], FloatArray], theta: FloatArray) -> FloatArray:
    """What a user's function gives for rows of parameters."""
    values = np.asarray(function(theta), dtype=float)
    if values.shape[:1] != (len(theta),):
        raise DataError(
            f"function gives {values.shape[0] if values.ndim else 'one number'} for {len(theta)} parameter sets",
            "it takes an array of rows of parameters and returns a value, or a row, for each.",
        )
    return values


def opened(
    drawn: FloatArray, is_open: BoolArray, *, is_positive: BoolArray | np.bool_ | bool = False, most: float = np.inf
) -> FloatArray:
    """Draws (count, ...) in which those of quantities without an interval lie at the ends of all that is possible."""
    if not is_open.any():
        return drawn
    lowest = np.where(is_positive, 0.0, -np.inf)
    turn = (np.arange(drawn.shape[0]) % 2 == 0).reshape(-1, *[1] * (drawn.ndim - 1))
    return np.asarray(np.where(is_open, np.where(turn, lowest, most), drawn))


def draws(estimate: Estimate, count: int, rng: int) -> FloatArray:
    """See :meth:`Fit.draws`."""
    if estimate.samples.shape[0]:
        return estimate.finite_samples()
    if not 0 <= count <= MOST:
        raise DataError(f"count={count!r:.40} is no count of draws", f"give a whole number up to {MOST:,}.")
    drawn = natural(
        estimate.centre + estimate.deviations(np.random.default_rng(check_seed(rng)), count), estimate.is_log
    )
    drawn[:, (np.abs(estimate.unseen) > NULL_SHARE).any(0)] = np.nan
    return drawn


def optimum(fit: Fit, train_flops: float | Sequence[float], level: float) -> pl.DataFrame:
    """See :meth:`Fit.optimum`."""
    check_level(level)
    budgets = _budgets(fit, train_flops)
    from scalingdb.estimation.uncertainty import interval

    names = ("n_params", "n_tokens", "tokens_per_param", "loss")
    best = _optimise(fit.law, fit._estimate.theta[None], budgets)
    if np.isnan(best[0]).any():
        where = float(budgets[np.isnan(best[0][0])][0])
        raise DataError(
            f"this fit of law {fit.law.name!r} has no best N at {where:.3g} FLOP: its loss falls to an end of the "
            "range",
            f"see its verdict: {fit.verdict}.",
        )
    spread = fit.propagate(lambda theta: np.stack(_optimise(fit.law, theta, budgets), axis=1), N_DRAWS)
    out: dict[str, Any] = {"train_flops": budgets}
    for i, name in enumerate(names):
        out[name] = best[i][0]
        out[f"{name}_low"], out[f"{name}_high"] = interval(spread[:, i], level)
    inputs = [out["n_params" if name != "n_tokens" else name] for name in fit.law.inputs]
    ends = (out["loss_low"], out["loss_high"])
    out["loss_low"], out["loss_high"], _ = with_law_error(fit._estimate, inputs, out["loss"], *ends, level)
    return OptimumFrame(pl.DataFrame(out).with_columns(pl.selectors.ends_with("_low", "_high").fill_nan(None)))


def _budgets(fit: Fit, train_flops: float | Sequence[float]) -> FloatArray:
    """Budgets (B,); refuses those that are none, and laws without a trade-off."""
    budgets = np.atleast_1d(np.asarray(train_flops, dtype=float))
    if fit.law.output != "loss" or len(fit.law.inputs) != 2 or "n_tokens" not in fit.law.inputs:
        raise DataError(
            f"law {fit.law.name!r} is not a loss surface over N and D: there is no trade-off to optimise",
            "fit a surface such as chinchilla or farseer.",
        )
    if not (np.isfinite(budgets).all() and (budgets > 0).all()):
        raise DataError("a budget must be a positive number of FLOP", "for example train_flops=1e24.")
    return budgets


def optimal(fit: Fit, train_flops: float) -> Callable[[FloatArray], FloatArray]:
    """N*, D*, D*/N* and loss (P, 4) of one budget, as a function of all parameters (P, K)."""
    budgets = _budgets(fit, train_flops)
    return lambda theta: np.concatenate(_optimise(fit.law, theta, budgets), axis=1)


def _optimise(law: Law, theta: FloatArray, budgets: FloatArray) -> tuple[FloatArray, ...]:
    """N*, D*, D*/N* and loss, each (P, B); ``nan`` where the loss falls to an end of the range."""
    from scalingdb.law_library._optimum import least_loss

    n_first = law.inputs[0] != "n_tokens"

    def loss(n: FloatArray, d: FloatArray) -> FloatArray:
        return evaluate_law(law, theta, [n, d] if n_first else [d, n])

    n, d, is_inside = least_loss(loss, budgets, (theta.shape[0],))
    values = np.where(is_inside, loss(n, d), np.nan)
    n, d = np.where(is_inside, n, np.nan), np.where(is_inside, d, np.nan)
    return n, d, d / n, values
