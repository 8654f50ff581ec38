"""Which law for which situation, with the error that it had there."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalingdb.errors import DataError, unknown_name
from scalingdb.evidence.arena._contests import REGULAR, FloatArray, contests, interval_over
from scalingdb.evidence.arena._cuts import BANDS
from scalingdb.evidence.arena._field import BASELINES
from scalingdb.evidence.arena._sets import data_sets
from scalingdb.evidence.arena._standings import _coverage, _of, _weighted
from scalingdb.evidence.arena._table import cells

__all__ = ["SITUATIONS", "Advice", "Situation", "recommend"]


@dataclass(frozen=True)
class Situation:
    """What a reader is about to do, and which cells measure it.

    Attributes
    ----------
    meaning : str
        In words.
    track, axis : str
        Cells that count.
    few_runs : bool
        Whether the fits are to samples of twenty runs.
    distance : str
        What the distance of a prediction is measured in.
    """

    meaning: str
    track: str
    axis: str = "scale"
    few_runs: bool = False
    distance: str = "the largest compute fitted"


SITUATIONS: Mapping[str, Situation] = MappingProxyType(
    {
        "small_grid": Situation("own grid of 20 small runs, one large run to predict", "surface", few_runs=True),
        "large_grid": Situation("all small runs of a published grid, larger runs to predict", "surface"),
        "overtrained": Situation(
            "small model trained on many more tokens per parameter than any run that was fitted",
            "surface",
            "tokens_per_param",
            distance="the most tokens per parameter fitted",
        ),
        "repeated": Situation("data seen several times, more compute to come", "repeated"),
        "more_epochs": Situation(
            "data seen several times, more often than in any run that was fitted",
            "repeated",
            "n_epochs",
            distance="the most epochs fitted",
        ),
        "curve": Situation("one learning curve or one frontier, to be continued", "curve"),
        "score": Situation("a benchmark score of larger models", "score"),
    }
)
"""Situations that :func:`recommend` knows."""


@dataclass(frozen=True, eq=False)
class Advice:
    """A law for a situation, with the error to expect. Made by :func:`recommend`.

    Attributes
    ----------
    situation : str
    law : str
        The law of least expected error among those that are fitted in most hold-outs of the situation.
    error, low, high : float
        Absolute relative error to expect, with a 95 % interval from drawing sources (or data sets) anew.
    rival : str
        The next best law of the library.
    p_better : float
        Share of the resamples in which the law has the smaller error of the two.
    table : DataFrame
        A row a law: ``law, error, low, high, mean_error, win_rate, coverage, share_fitted, is_considered, n_sets,
        n_sources``, best first.
    """

    situation: str
    law: str
    error: float
    low: float
    high: float
    rival: str
    p_better: float
    band: str | None
    resampled: str
    table: pl.DataFrame

    @property
    def sentence(self) -> str:
        """The advice as a person would say it."""
        about = SITUATIONS[self.situation]
        row = self.table.filter(pl.col("law") == self.law).row(0, named=True)
        rival = self.table.filter(pl.col("law") == self.rival).row(0, named=True)
        plain = self.table.filter(pl.col("law").is_in(list(BASELINES))).sort("error").row(0, named=True)
        far = "at any distance" if self.band is None else f"{_far(self.band)} {about.distance}"
        sure = (
            "the difference is no more than noise"
            if self.p_better < 0.9
            else f"{self.law} is the better one in {100 * self.p_better:.0f} % of the resamples"
        )
        return (
            f"{about.meaning[0].upper()}{about.meaning[1:]}: take {self.law}. Expect an error of "
            f"{_percent(self.error)} ({_percent(self.low)} to {_percent(self.high)}) {far}, "
            f"the median over {self.resampled} (the mean is {_percent(row['mean_error'])}), measured on "
            f"{row['n_sets']} data sets of {row['n_sources']} source{'s' if row['n_sources'] > 1 else ''}; "
            f"{self.rival} has {_percent(rival['error'])}, {sure}. "
            f"Without a law: {_percent(plain['error'])} ({plain['law']}). "
            f"The 95 % prediction interval of {self.law} held {100 * row['coverage']:.0f} % of the held-out values."
        )

    def __repr__(self) -> str:
        return f"<Advice: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.table._repr_html_()}"


def _cluster_means(errors: FloatArray, sets: NDArray[Any], clusters: NDArray[np.int64]) -> FloatArray:
    """Mean error of each law in each cluster, every data set of it counted once (clusters, laws)."""
    rows = []
    for cluster in np.unique(clusters):
        names = np.unique(sets[clusters == cluster])
        of_sets = np.array([_weighted(errors[sets == name], np.ones((sets == name).sum())) for name in names])
        rows.append(_weighted(of_sets, np.ones(len(names))))
    return np.array(rows)


def _percent(value: float) -> str:
    return f"{100 * value:.{2 if value < 0.0995 else 1}f} %"


def _far(band: str) -> str:
    edges = {"x2": "up to 2", "x5": "2 to 5", "x10": "5 to 10", "x30": "10 to 30", "beyond x30": "more than 30"}
    return f"{edges[band]} times"


def recommend(situation: str, band: str | None = None, *, table: pl.DataFrame | None = None) -> Advice:
    """The law for a situation, and the error to expect, both from measured cells.

    The expected error is the median over sources (over data sets, where there are fewer than four
    sources) of the mean absolute relative error of held-out rows, on the hold-outs in which all
    considered laws were fitted; errors have a long tail, so the mean stands beside it. A law that
    is refused in more than a fifth of the hold-outs is listed, but not considered.

    Parameters
    ----------
    situation : str
        Of :data:`SITUATIONS`: ``small_grid``, ``overtrained``, ``repeated`` ...
    band : str, optional
        ``x2``, ``x5``, ``x10``, ``x30`` or ``beyond x30``: how far the prediction goes; all by default.

    Raises
    ------
    UnknownNameError
        For another situation or band.
    DataError
        If no cell measures it.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> advice = sdb.arena.recommend("small_grid", "x10")
    >>> advice.low <= advice.error <= advice.high
    True
    """
    if situation not in SITUATIONS:
        raise unknown_name("situation", situation, SITUATIONS)
    if band is not None and band not in BANDS:
        raise unknown_name("band", band, BANDS, "(of distance)")
    about = SITUATIONS[situation]
    chosen = _of(cells() if table is None else table, about.track, about.axis, few_runs=about.few_runs)
    if band is not None:
        chosen = chosen.filter((pl.col("band") == band) | pl.col("failure").is_not_null())
    met = contests(chosen, data_sets())
    common = met.common
    if not common.any():
        raise DataError(f"no hold-out of situation {situation!r} has all laws", "give another band, or none.")
    keys = met.keys.filter(pl.Series(common))
    errors, wins, weights = met.errors[common], met.wins()[common], met.weights[common]
    clusters, unit = met.clusters()
    by_cluster = _cluster_means(errors, keys["data_set"].to_numpy(), clusters[common])

    def medians(times: FloatArray) -> FloatArray:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a law that met none of those drawn
            return np.asarray(np.nanmedian(np.repeat(by_cluster, times.astype(int), axis=0), axis=0))

    low, high, drawn = interval_over(np.arange(len(by_cluster)), medians)
    expected = medians(np.ones(len(by_cluster)))
    regular = met.regular
    laws = pl.DataFrame(
        {
            "law": met.laws,
            "error": expected,
            "low": low,
            "high": high,
            "mean_error": _weighted(by_cluster, np.ones(len(by_cluster))),
            "win_rate": _weighted(wins, weights),
            "share_fitted": (met.weights @ met.present) / met.weights.sum(),
            "is_considered": regular,
            "n_sets": [
                keys.filter(pl.Series(np.isfinite(errors[:, j])))["data_set"].n_unique() for j in range(len(met.laws))
            ],
            "n_sources": [
                keys.filter(pl.Series(np.isfinite(errors[:, j])))["source_id"].n_unique() for j in range(len(met.laws))
            ],
        }
    ).join(_coverage(chosen), on="law", how="left", maintain_order="left")
    ordered = laws.sort(pl.col("is_considered").not_(), "error", nulls_last=True)
    able = ordered.filter("is_considered", ~pl.col("law").is_in(list(BASELINES)))["law"].to_list()
    if len(able) < 2:
        raise DataError(
            f"fewer than two laws were fitted in {100 * REGULAR:.0f} % of the hold-outs of situation {situation!r}",
            "choose another band, or none.",
        )
    first, second = (met.laws.index(name) for name in able[:2])
    better = float((drawn[:, first] < drawn[:, second]).mean())
    row = ordered.filter(pl.col("law") == able[0]).row(0, named=True)
    return Advice(situation, able[0], row["error"], row["low"], row["high"], able[1], better, band, unit, ordered)
