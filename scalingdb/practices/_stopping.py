"""What a search does that stops too early: the same rows, the same start, a sum or a mean as objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy import optimize

from scalingdb.errors import check_seed, unknown_name
from scalingdb.fits import Fit

__all__ = ["stop_early"]

LOOKED_AT = 2000
"""Random points whose objective is looked at; the best are started from, as authors do with a grid."""


def stop_early(
    fit: Fit,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    n_starts: int = 24,
    rng: int = 0,
    tolerance: float = 2.2e-9,
) -> pl.DataFrame:
    """Search again from random starts with a common optimiser at its default tolerances.

    L-BFGS-B stops when the objective falls by less than a tolerance or its slope is below 1e-5.
    Both are meant for objectives near one. A mean of Huber losses of log residuals is near a
    millionth, so the search may stop where it has hardly begun; a sum is as many times larger as there
    are rows. This function shows what that does; :func:`scalingdb.fit` itself does not search so.

    Parameters
    ----------
    fit : Fit
        A fit whose rows, law, columns and Huber width are used, and whose optimum is the reference.
    ranges : mapping, optional
        ``{"A": (1, 1e8)}``: where starts are drawn; the law's own start ranges by default.
    n_starts : int
        Starts: the best of 2,000 random points (logarithms where parameters are positive).
    tolerance : float
        Relative fall of the objective at which the optimiser stops (SciPy's default is 2.2e-9).

    Returns
    -------
    DataFrame
        One row per reduction (``sum``, ``mean``) and start: ``reduction, start, iterations, objective``
        (the sum, whatever was minimised), ``above`` (relative to the global minimum, minus 1), the
        parameters, and ``is_best``: the start that its reduction would report.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> fit = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
    >>> shown = practices.stop_early(fit, n_starts=2)
    >>> shown.filter(pl.col("above") < 0).height  # nothing is below the optimum of the fit
    0
    """
    names = list(fit.params)
    params = [fit.law.params[name] for name in names]
    is_log = np.array([p.low == 0.0 and p.high == float("inf") for p in params])
    for name in ranges or {}:
        if name not in fit.params:
            raise unknown_name("parameter", name, fit.params, f"(of law {fit.law.name!r})")
    ends = np.array([(ranges or {}).get(name, fit.law.params[name].start) for name in names], dtype=float)
    arrays = [fit.data[fit.recipe.columns[name]].cast(pl.Float64).to_numpy() for name in fit.law.inputs]
    y = fit.data[fit.recipe.output].cast(pl.Float64).to_numpy()
    delta = fit.recipe.delta or 1e-3

    def natural(u: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
        with np.errstate(over="ignore"):
            return dict(zip(names, np.where(is_log, np.exp(np.where(is_log, u, 0.0)), u).tolist(), strict=True))

    def total(u: np.ndarray[Any, np.dtype[np.float64]]) -> float:
        with np.errstate(all="ignore"):
            residual = np.abs(np.log(fit.law.function(*arrays, **natural(u))) - np.log(y))
            loss = np.where(residual <= delta, 0.5 * residual**2, delta * (residual - 0.5 * delta)).sum()
        return float(loss) if np.isfinite(loss) else 1e10

    low, high = (np.where(is_log, np.log(np.maximum(ends[:, i], 1e-300)), ends[:, i]) for i in (0, 1))
    drawn = np.random.default_rng(check_seed(rng)).uniform(low, high, size=(LOOKED_AT, len(names)))
    starts = drawn[np.argsort([total(u) for u in drawn], kind="stable")[:n_starts]]
    records = []
    for reduction, divisor in (("sum", 1.0), ("mean", float(y.size))):
        for i, start in enumerate(starts):
            found = optimize.minimize(
                lambda u, divisor=divisor: total(u) / divisor,
                start,
                method="L-BFGS-B",
                jac="3-point",
                options={"ftol": tolerance},
            )
            records.append(
                {
                    "reduction": reduction,
                    "start": i,
                    "iterations": int(found.nit),
                    "objective": total(found.x),
                    **natural(found.x),
                }
            )
    return pl.DataFrame(records).with_columns(
        above=pl.col("objective") / fit.objective - 1,
        is_best=pl.col("objective") == pl.col("objective").min().over("reduction"),
    )
