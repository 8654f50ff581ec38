"""Mean errors of several laws on the same resamples: what makes a difference more than noise.

Held-out runs are drawn with replacement, whole (the checkpoints of a run are alike), the same ones
for every law. Where the laws were refitted on resampled training runs, each draw takes the refit of
one training resample, the same for every law.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.estimation.model import FloatArray

__all__ = ["FEWEST", "Draws", "ends", "resample"]

FEWEST = 5
"""Held-out runs below which resampling them says nothing."""

MANY = 100
"""Held-out runs from which on fewer resamples do: the percentiles asked for are less extreme."""

IntArray = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class Draws:
    """Mean errors on every resample.

    Attributes
    ----------
    estimate : array (L,)
        Mean error of each law on the held-out rows as they are.
    values : array (L, count)
        The same on each resample; empty where nothing could be resampled.
    n_clusters : int
    how : str
        What was resampled, in words.
    widened : bool
        Whether percentiles are to be widened for few held-out runs.
    """

    estimate: FloatArray
    values: FloatArray
    n_clusters: int
    how: str
    widened: bool


def resample(errors: FloatArray, clusters: IntArray, unit: str, rng: int, refits: FloatArray | None = None) -> Draws:
    """Mean errors of laws on resampled held-out rows.

    Parameters
    ----------
    errors : array (L, n)
        Absolute relative errors of each law on each row.
    clusters : array (n,)
        Number of the run (or other unit) of each row, from 0.
    unit : str
        What a cluster is, for the words.
    rng : int
        Seed.
    refits : array (L, B, n), optional
        Errors of the refits on B training resamples.
    """
    n_clusters = int(clusters.max()) + 1
    estimate = errors.mean(1)
    draws_runs = n_clusters >= FEWEST
    if refits is not None:
        # a resample that left a parameter of any of the laws undetermined counts for none
        refits = refits[:, np.isfinite(refits).all((0, 2))]
        if refits.shape[1] == 0:
            refits = None
    if not draws_runs and refits is None:
        return Draws(estimate, np.empty((errors.shape[0], 0)), n_clusters, "nothing", widened=False)
    if not draws_runs:
        assert refits is not None
        return Draws(estimate, refits.mean(2), n_clusters, "training runs only", widened=False)
    generator = np.random.default_rng(rng)
    count = 10_000 if n_clusters <= MANY else 2_000
    drawn = generator.multinomial(n_clusters, np.full(n_clusters, 1.0 / n_clusters), size=count).astype(float)
    size = drawn @ np.bincount(clusters, minlength=n_clusters)
    if refits is None:
        summed = np.array([np.bincount(clusters, row, minlength=n_clusters) for row in errors])
        return Draws(estimate, summed @ drawn.T / size, n_clusters, f"held-out {unit}", widened=True)
    member = np.zeros((clusters.size, n_clusters))
    member[np.arange(clusters.size), clusters] = 1.0
    picked = np.arange(count) % refits.shape[1]
    values = np.array([((law @ member)[picked] * drawn).sum(1) / size for law in refits])
    return Draws(estimate, values, n_clusters, f"held-out {unit} and training runs", widened=True)


def ends(values: FloatArray, level: float, n_clusters: int, *, widened: bool) -> tuple[float, float]:
    """Percentile interval, widened where few clusters were drawn.

    A percentile interval of a mean of n draws is too short as a normal interval is: by the factor of
    Student's t, and because resampling divides by n where n - 1 is due. The percentiles are moved out
    by both (the "expanded percentile" interval).

    References
    ----------
    Hesterberg, The American Statistician 69 (2015) 371-386.
    """
    from scipy.special import ndtr, stdtrit

    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return float("nan"), float("nan")
    tail = (1 - level) / 2
    if widened:
        tail = float(ndtr(-np.sqrt(n_clusters / (n_clusters - 1)) * stdtrit(n_clusters - 1, 1 - tail)))
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)
