"""Which pools of data to train on, for how long: quality against repetition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from scalingdb.errors import DataError
from scalingdb.planning._curve import FloatArray

__all__ = ["best_pool", "mixed_pools"]

UNIT = 1e5
"""Samples in which the utility of a pool is counted."""

MOST_EPOCHS = 10.0
"""Epochs beyond which the form adds nothing."""


def mixed_pools(pools: Sequence[Mapping[str, float]], n_seen: FloatArray | float, *, a: float, d: float) -> FloatArray:
    """Error after some samples of a mixture of pools, each with a power `b`, a half-life `tau` and `n_samples`.

    The pools are joined: an epoch passes over all of them. In epoch k the power of the mixture is the mean over the p
    pools of ``b * 0.5**((k-1)/(p*tau))``: a pool that is one of p is seen p times more seldom.

    Parameters
    ----------
    pools : sequence of mapping
        Each with ``b, tau, n_samples``.
    n_seen : array (B,)
        Samples seen, repeats included.
    a, d : float
        Utility of a sample, per 100,000, and the error that remains; common to all pools.

    Returns
    -------
    array (B,)
        ``nan`` beyond ten epochs.

    References
    ----------
    Goyal et al., arXiv:2404.07177, estimate_best_pool.py of the authors' code.
    """
    seen = np.atleast_1d(np.asarray(n_seen, dtype=float))
    count, total = len(pools), sum(pool["n_samples"] for pool in pools)
    epochs = seen / total
    log_error = np.zeros(seen.size)
    for k in range(1, int(MOST_EPOCHS) + 1):
        power = float(np.mean([pool["b"] * 0.5 ** ((k - 1) / (count * pool["tau"])) for pool in pools]))
        reached = np.minimum(epochs, k) * total
        before = (k - 1) * total
        growth = np.log(a * reached / UNIT) if k == 1 else np.log(np.maximum(reached, before) / before)
        log_error -= power * growth
    return np.asarray(np.where(epochs <= MOST_EPOCHS, d + np.exp(log_error), np.nan))


def best_pool(
    pools: Mapping[str, Mapping[str, float]], n_seen: float | Sequence[float], *, a: float, d: float = 0.1
) -> pl.DataFrame:
    """How far down the ranking of pools to go for each budget of samples: filtering depends on compute.

    Parameters
    ----------
    pools : mapping of name to mapping
        From the best pool to the worst, each with its power ``b``, half-life ``tau`` in epochs and ``n_samples``.
    n_seen : float or sequence of float
        Budgets: samples seen in training, repeats included.
    a, d : float
        As in the law ``qqt_filter``: utility of a sample per 100,000, and the error that remains.

    Returns
    -------
    DataFrame
        One row per budget and cut: ``n_seen, pools`` (those that are kept), ``n_pools, n_epochs, error`` (null beyond
        ten epochs, where the form says nothing), and ``is_best``.

    Raises
    ------
    DataError
        If a pool lacks a number, a number is not positive, or no cut stays within ten epochs.

    References
    ----------
    Goyal et al., arXiv:2404.07177.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> pools = {"top": {"b": 0.2, "tau": 2.0, "n_samples": 1e7}, "next": {"b": 0.16, "tau": 2.0, "n_samples": 1e7}}
    >>> table = sdb.planning.best_pool(pools, [1e7, 1e8], a=0.02)
    >>> table.filter(table["is_best"])["pools"].to_list()
    ['top', 'top, next']
    """
    for name, pool in pools.items():
        for key in ("b", "tau", "n_samples"):
            if not (key in pool and np.isfinite(pool[key]) and pool[key] > 0):
                raise DataError(f"pool {name!r} has {key}={pool.get(key)!r}", "give b, tau and n_samples above 0.")
    budgets = np.atleast_1d(np.asarray(n_seen, dtype=float))
    if not pools or not (np.isfinite(budgets).all() and (budgets > 0).all() and a > 0 and d >= 0):
        raise DataError("pools, samples seen and utility must be positive", "for example n_seen=1e8, a=0.02.")
    names, frames = list(pools), []
    for count in range(1, len(names) + 1):
        kept = [pools[name] for name in names[:count]]
        total = sum(pool["n_samples"] for pool in kept)
        frames.append(
            pl.DataFrame(
                {
                    "n_seen": budgets,
                    "pools": [", ".join(names[:count])] * budgets.size,
                    "n_pools": [count] * budgets.size,
                    "n_epochs": budgets / total,
                    "error": mixed_pools(kept, budgets, a=a, d=d),
                }
            )
        )
    table = pl.concat(frames).with_columns(pl.col("error").fill_nan(None))
    table = table.with_columns(is_best=(pl.col("error") == pl.col("error").min().over("n_seen")).fill_null(value=False))
    lost = table.group_by("n_seen").agg(pl.col("error").count()).filter(pl.col("error") == 0)
    if lost.height:
        raise DataError(
            f"{lost['n_seen'][0]:.3g} samples are more than ten epochs over all pools",
            "add pools, or see fewer samples.",
        )
    return table.sort("n_seen", "n_pools")
