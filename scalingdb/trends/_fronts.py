"""Pareto fronts of runs over any axes, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, check_seed, check_word
from scalingdb.judging.resampling import percentile_interval

__all__ = ["front_band", "pareto_front"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
Best = Literal["low", "high"]


def pareto_front(
    frame: pl.DataFrame, axes: Mapping[str, Best], *, by: str | Sequence[str] | None = None
) -> pl.DataFrame:
    """Rows that no other row beats: none is at least as good on every axis and better on one.

    Parameters
    ----------
    frame : DataFrame
    axes : mapping of str to {"low", "high"}
        Columns, and whether a small or a large value is better: ``{"n_params": "low", "datastore_tokens": "low",
        "loss": "low"}``.
    by : str or sequence of str, optional
        One front for each group.

    Returns
    -------
    DataFrame
        The rows of the front, in the order of the first axis. Of rows that are alike on all axes the first.

    Raises
    ------
    DataError
        If a column is missing, holds nulls, or no axis is named.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> runs = pl.DataFrame({"n_params": [1, 1, 2, 4], "bits": [4, 8, 4, 4], "loss": [3.0, 2.8, 2.7, 2.9]})
    >>> sdb.trends.pareto_front(runs, {"n_params": "low", "bits": "low", "loss": "low"})["loss"].to_list()
    [3.0, 2.8, 2.7]
    """
    if not axes:
        raise DataError("no axis is named", 'for example {"train_flops": "low", "loss": "low"}.')
    for name, best in axes.items():
        check_word(best, get_args(Best), name)
    _need(frame, axes)
    keys = [by] if isinstance(by, str) else list(by or ())
    parts = frame.partition_by(keys, maintain_order=True) if keys else [frame]
    made = []
    for part in parts:
        points = np.column_stack(
            [(1 if best == "low" else -1) * part[name].cast(pl.Float64).to_numpy() for name, best in axes.items()]
        )
        made.append(part.filter(pl.Series(_unbeaten(points))).sort(next(iter(axes)), maintain_order=True))
    return pl.concat(made) if made else frame.clear()


def _unbeaten(points: FloatArray) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which points (n, d) no other beats, where less is better on every axis."""
    kept = np.ones(len(points), dtype=bool)
    for i, point in enumerate(points):
        no_worse = (points <= point).all(1)
        better = (points < point).any(1)
        twin = no_worse & ~better & (np.arange(len(points)) < i)
        kept[i] = not (no_worse & better).any() and not twin.any()
    return kept


def front_band(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    best: Best = "low",
    run: str | None = "run_id",
    points: int = 60,
    n_resamples: int = 1000,
    level: float = DEFAULT_LEVEL,
    rng: int = 0,
) -> pl.DataFrame:
    """The best `y` that was reached with at most so much `x`, with an interval from resampled runs.

    Parameters
    ----------
    frame : DataFrame
    x, y : str
        Columns: the cost and what it buys.
    best : {"low", "high"}
        Whether a small `y` is better or a large one.
    run : str, optional
        Column of the runs, which are resampled whole; rows are resampled where the frame lacks it.
    points : int
        Values of `x`, spread over its logarithm.
    n_resamples : int
    level : float
    rng : int

    Returns
    -------
    DataFrame
        ``x, y`` under their names, ``low, high``, and ``share`` of the resamples with a run that cheap. An envelope of
        noisy runs is too good by the luck of its best ones: the interval lies mostly on the worse side of it.

    Raises
    ------
    DataError
        If a column is missing, holds nulls, or `x` is not positive.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> runs = sdb.connect().points("gadre_overtraining")
    >>> band = sdb.trends.front_band(runs, "train_flops_6nd", "loss", points=5)
    >>> (band["low"] <= band["loss"]).all()
    True
    """
    check_level(level)
    check_word(best, get_args(Best), "best")
    _need(frame, [x, y])
    cost, value = (frame[name].cast(pl.Float64).to_numpy() for name in (x, y))
    if not (cost > 0).all():
        raise DataError(f"column {x!r} holds {float(cost.min()):.4g}", "the cost must be positive.")
    sign = 1.0 if best == "low" else -1.0
    names = frame[run].cast(pl.String) if run is not None and run in frame.columns else None
    units = np.arange(cost.size) if names is None else names.rank("dense").to_numpy().astype(np.int64) - 1
    grid = np.geomspace(cost.min(), cost.max(), points)
    order = np.argsort(cost, kind="stable")
    reach = np.searchsorted(cost[order], grid * (1 + 1e-12), side="right")
    generator, count = np.random.default_rng(check_seed(rng)), int(units.max()) + 1
    drawn = generator.multinomial(count, np.full(count, 1 / count), size=n_resamples)
    drawn[0] = 1  # the first is the frame itself
    held = np.where(drawn[:, units[order]] > 0, sign * value[order], np.inf)
    envelope = np.minimum.accumulate(held, axis=1)[:, np.maximum(reach - 1, 0)]
    made = np.where(np.isfinite(envelope), sign * envelope, np.nan)
    low, high = percentile_interval(made[1:], level)
    share = np.isfinite(made[1:]).mean(0)
    return pl.DataFrame({x: grid, y: made[0], "low": low, "high": high, "share": share})


def _need(frame: pl.DataFrame, names: Sequence[str] | Mapping[str, Any]) -> None:
    for name in names:
        if name not in frame.columns:
            raise DataError(f"the frame has no column {name!r}", f"it has {', '.join(frame.columns)}.")
        if frame[name].null_count() or frame[name].cast(pl.Float64).is_nan().any():
            raise DataError(f"column {name!r} holds null or NaN", "filter these rows first.")
