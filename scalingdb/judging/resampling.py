"""Resampling that several laws share, and the resulting interval.

Units (runs, groups, sources) are drawn whole and with replacement, and the same draws serve every law: only then
does the spread of a difference say whether it is more than noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.estimation.model import FloatArray
from scalingdb.estimation.uncertainty import interval

__all__ = ["FEWEST", "Draws", "drawn_units", "multiplicities", "percentile_interval", "resample"]

FEWEST = 5
"""Held-out runs below which resampling them says nothing."""

MANY = 100
"""Held-out runs from which on fewer resamples do: the percentiles asked for are less extreme."""

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def drawn_units(n_units: int, count: int, rng: int) -> IntArray:
    """Numbers (count, n_units) of the units in each of `count` resamples."""
    return np.random.default_rng(rng).integers(n_units, size=(count, n_units))


def multiplicities(n_units: int, count: int, rng: int) -> FloatArray:
    """How often (count, n_units) each unit is drawn, in the resamples of :func:`drawn_units`."""
    drawn = drawn_units(n_units, count, rng)
    flat = (drawn + n_units * np.arange(count)[:, None]).ravel()
    return np.bincount(flat, minlength=count * n_units).reshape(count, n_units).astype(float)


def percentile_interval(
    values: FloatArray, level: float, *, axis: int = 0, n_units: int | None = None, share: float = 1.0
) -> tuple[FloatArray, FloatArray]:
    """Percentile interval of resampled values; those that are not finite are left out.

    Parameters
    ----------
    values : array
        Resamples along `axis`.
    level : float
        Coverage.
    n_units : int, optional
        Number of units that were drawn. Percentiles of a mean of n draws are too narrow as a normal interval is: by
        the factor of Student's t, and because resampling divides by n where n - 1 is due. With `n_units` they are
        moved out by both (the "expanded percentile" interval).
    share : float
        Share of the variance of the values that comes from drawing the units: the rest needs neither correction
        (Welch and Satterthwaite's degrees of freedom).

    References
    ----------
    Hesterberg, The American Statistician 69 (2015) 371-386; Satterthwaite, Biometrics Bulletin 2 (1946) 110-114.
    """
    if n_units is not None and n_units > 1 and share > 0:
        from scipy.special import ndtr, stdtrit

        tail, total = (1 - level) / 2, 1 + share / (n_units - 1)
        of_units = share * n_units / (n_units - 1) / total
        half = np.sqrt(total) * stdtrit((n_units - 1) / of_units**2, 1 - tail)
        level = 1 - 2 * float(ndtr(-half))
    with np.errstate(all="ignore"):
        known = np.isfinite(values).any(axis=axis)
        low, high = interval(np.where(np.expand_dims(known, axis), values, 0.0), level, axis=axis)
        return np.where(known, low, np.nan), np.where(known, high, np.nan)


@dataclass(frozen=True)
class Draws:
    """Mean errors of several laws on every resample.

    Attributes
    ----------
    estimate : array (L,)
        Mean error of each law on the held-out rows as they are.
    values : array (L, count)
        The same on each resample; empty where nothing could be resampled.
    of_units : array (L, count)
        The same where held-out units are drawn and the fits stay as they are; empty where units are not drawn.
    n_units : int
        Held-out runs, or groups, that are drawn from.
    draws_units : bool
        Whether held-out units were drawn: below :data:`FEWEST` they are not.
    draws_refits : bool
        Whether every draw takes a refit to resampled training runs.
    """

    estimate: FloatArray
    values: FloatArray
    of_units: FloatArray
    n_units: int
    draws_units: bool
    draws_refits: bool

    def interval(self, quantity: Callable[[FloatArray], FloatArray], level: float) -> tuple[float, float]:
        """Interval of a quantity (count,) of the mean errors (L, count), wider where few units were drawn.

        Refits of resampled runs err more than the fit itself, so that all of them may lie beside it: the interval
        reaches from them to the estimate.
        """
        values = quantity(self.values)
        if not self.draws_units:
            low, high = percentile_interval(values, level)
        else:
            both, alone = float(np.nanvar(values)), float(np.nanvar(quantity(self.of_units)))
            share = min(alone / both, 1.0) if both > 0 else 1.0
            low, high = percentile_interval(values, level, n_units=self.n_units, share=share)
        estimate = float(quantity(self.estimate[:, None])[0])
        if np.isfinite(estimate):  # ends that are not known stay so
            low, high = np.minimum(low, estimate), np.maximum(high, estimate)
        return float(low), float(high)


def resample(errors: FloatArray, units: IntArray, rng: int, refits: FloatArray | None = None) -> Draws:
    """Mean errors of laws on resampled held-out rows.

    Parameters
    ----------
    errors : array (L, n)
        Absolute relative errors of each law on each row.
    units : array (n,)
        Number of the run (or other unit) of each row, from 0: rows of one unit are drawn together.
    rng : int
        Seed.
    refits : array (L, B, n), optional
        Errors of the refits on B training resamples, which all laws share. Each draw takes one of them.
    """
    n_units = int(units.max()) + 1
    estimate = errors.mean(1)
    draws_units = n_units >= FEWEST
    if refits is not None:
        # a resample that left a parameter of any of the laws undetermined counts for none
        refits = refits[:, np.isfinite(refits).all((0, 2))]
        if refits.shape[1] == 0:
            refits = None
    nothing = np.empty((errors.shape[0], 0))
    if not draws_units:
        values = nothing if refits is None else refits.mean(2)
        return Draws(estimate, values, nothing, n_units, draws_units=False, draws_refits=refits is not None)
    count = 10_000 if n_units <= MANY else 2_000
    drawn = multiplicities(n_units, count, rng)
    size = drawn @ np.bincount(units, minlength=n_units)
    summed = np.array([np.bincount(units, row, minlength=n_units) for row in errors])
    of_units = summed @ drawn.T / size
    if refits is None:
        return Draws(estimate, of_units, of_units, n_units, draws_units=True, draws_refits=False)
    member = np.zeros((units.size, n_units))
    member[np.arange(units.size), units] = 1.0
    picked = np.arange(count) % refits.shape[1]
    values = np.array([((law @ member)[picked] * drawn).sum(1) / size for law in refits])
    return Draws(estimate, values, of_units, n_units, draws_units=True, draws_refits=True)
