"""Cells as contests: which laws predicted the same held-out rows, and what resampling sources does to a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError
from scalingdb.judging.resampling import multiplicities, percentile_interval

__all__ = ["REGULAR", "SAME_CURVE", "Contests", "contests", "interval_over"]

SAME_CURVE: dict[str, str] = {
    "m1": "power",
    "kaplan_ld": "power",
    "kaplan_lc": "power",
    "m2": "power_offset",
    "henighan_ln_lc": "power_offset",
    "bahri_regime": "power_offset",
    "infinite_compute_n": "power_offset",
    "kaplan_ln": "power",
    "task_loss": "chinchilla",
    "llama3_two_step": "sigmoid_link",
}
"""Laws that are another one in other letters. They are fitted all the same, as a check, and ranked once."""

KEY = ("data_set", "axis", "reach", "draw", "band")

REGULAR = 0.8
"""Share of the contests of a group that a law must have fitted to be compared by its mean error there."""

MIN_CLUSTERS = 4
"""Sources without which an interval over sources says nothing."""

TIE = 1e-6
"""Relative difference of two errors below which neither law beats the other."""

N_RESAMPLES = 1000

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Contests:
    """Errors of several laws on the same held-out rows.

    Attributes
    ----------
    laws : tuple of str
    errors : array (contests, laws)
        Mean absolute relative error; NaN where the law was not fitted.
    keys : DataFrame
        ``data_set, axis, reach, draw, band, source_id`` of each contest.
    weights : array (contests,)
        Every data set and band counts once, however many hold-outs it has.
    """

    laws: tuple[str, ...]
    errors: FloatArray
    keys: pl.DataFrame
    weights: FloatArray

    @property
    def present(self) -> NDArray[np.bool_]:
        return np.isfinite(self.errors)

    @property
    def regular(self) -> NDArray[np.bool_]:
        """Laws that were fitted in most contests."""
        return np.asarray(self.weights @ self.present >= REGULAR * self.weights.sum())

    @property
    def common(self) -> NDArray[np.bool_]:
        """Contests that all regular laws were fitted in."""
        return np.asarray(self.present[:, self.regular].all(1))

    def wins(self) -> FloatArray:
        """Share of the other laws that each beats, by contest (contests, laws); NaN where there is none."""
        total = np.zeros_like(self.errors)
        for j in range(len(self.laws)):
            total += beats(self.errors, self.errors[:, [j]])
        others = self.present.sum(1, keepdims=True) - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            # a law ties with itself: take that half off
            return np.where(self.present & (others > 0), (total - 0.5) / others, np.nan)

    def ranks(self) -> FloatArray:
        """Rank by error in each contest, 1 the least, ties shared; NaN where the law was not fitted."""
        from scipy.stats import rankdata

        ranked = rankdata(np.where(self.present, self.errors, np.inf), axis=1)
        return np.where(self.present, ranked, np.nan)

    def clusters(self) -> tuple[NDArray[np.int64], str]:
        """What is resampled: sources, or data sets where there are too few sources."""
        unit = "source_id" if self.keys["source_id"].n_unique() >= MIN_CLUSTERS else "data_set"
        codes = self.keys[unit].rank("dense").to_numpy().astype(np.int64) - 1
        return codes, {"source_id": "sources", "data_set": "data sets"}[unit]


def beats(errors: FloatArray, other: FloatArray) -> FloatArray:
    """1 where an error is smaller than another, one half where they are equal, 0 where it is not or one is missing."""
    with np.errstate(invalid="ignore"):
        equal = np.abs(errors - other) <= TIE * np.maximum(np.abs(errors), np.abs(other))
        return np.where(equal, 0.5, (errors < other).astype(float))


def contests(cells: pl.DataFrame, groups: pl.DataFrame, *, laws: Sequence[str] | None = None) -> Contests:
    """Cells as a table of contests.

    Parameters
    ----------
    cells : DataFrame
        Cells of one group; failures may be among them. Laws that are others in other letters are left out.
    groups : DataFrame
        ``data_set, source_id``.
    laws : sequence of str, optional
        Only these.

    Raises
    ------
    DataError
        If no cell is left.
    """
    fitted = cells.filter(pl.col("failure").is_null() & ~pl.col("law").is_in(list(SAME_CURVE)))
    if laws is not None:
        fitted = fitted.filter(pl.col("law").is_in(list(laws)))
    if fitted.is_empty():
        raise DataError("no law was fitted in this group", "widen the choice: sdb.arena.cells() has every cell.")
    wide = (
        fitted.with_columns(pl.col("draw").fill_null(-1))
        .pivot("law", index=KEY, values="error")
        .sort(KEY)
        .join(groups.select("data_set", "source_id"), on="data_set", how="left", maintain_order="left")
    )
    names = tuple(sorted(set(wide.columns) - {*KEY, "source_id"}))
    keys = wide.select(*KEY, "source_id")
    weights = (1 / pl.len().over("data_set", "axis", "band")).alias("weight")
    return Contests(
        names,
        wide.select(names).cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        keys,
        keys.select(weights)["weight"].to_numpy(),
    )


def interval_over(
    clusters: NDArray[np.int64],
    statistic: Callable[[FloatArray], FloatArray],
    *,
    level: float = DEFAULT_LEVEL,
    rng: int = 0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Interval of a statistic of contests, and all its resampled values, when clusters are resampled.

    Parameters
    ----------
    clusters : array (contests,)
    statistic : callable
        Takes the number of times that each contest counts, (contests,), and returns an array.
    """
    drawn = multiplicities(int(clusters.max()) + 1, N_RESAMPLES, rng)
    values = np.array([statistic(times[clusters]) for times in drawn])
    low, high = percentile_interval(values, level)
    return low, high, values
