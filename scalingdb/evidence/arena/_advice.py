"""Which law for which situation, and the error to expect of one's own run."""

from __future__ import annotations

import html
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalingdb.display import DEFAULT_LEVEL, html_table, percent
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.evidence.arena._contests import N_RESAMPLES, REGULAR, Contests, FloatArray, contests
from scalingdb.evidence.arena._cuts import BANDS
from scalingdb.evidence.arena._field import BASELINES
from scalingdb.evidence.arena._sets import data_sets
from scalingdb.evidence.arena._standings import _coverage, _of, _weighted
from scalingdb.evidence.arena._table import cells
from scalingdb.judging.resampling import multiplicities, percentile_interval
from scalingdb.judging.words import count_of
from scalingdb.law_library import all_laws

__all__ = ["SITUATIONS", "Advice", "Situation", "left_out", "own_interval", "recommend"]


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


SURE = 0.9
"""Share of the resamples in which a law must be the better one, for the difference to be called more than noise."""

TIE = 1.1
"""A law whose expected error is within this factor of the least, and not surely worse, ties with it."""

TAIL = 0.9
"""Part of the hold-outs whose errors are not called the bad tail."""

FEWEST_SOURCES = 3
"""Sources (or data sets) without which nothing can be said of the next one."""


@dataclass(frozen=True, eq=False)
class Advice:
    """A law for a situation, with the error to expect. Made by :func:`recommend`.

    Attributes
    ----------
    situation : str
    law : str
        The law of least expected error among those that are fitted in most hold-outs of the situation; of those that
        tie with it, the one with the fewest parameters.
    error : float
        Absolute relative error to expect: the median over sources (or data sets).
    low, high : float
        Interval of the error of one's own run: of a single hold-out of a source that is not among the measured ones.
        Infinite where there are too few sources.
    tail : float
        Error that one hold-out in ten exceeded.
    worst : float
        The largest error of any hold-out.
    rival : str
        The next best law of the library.
    p_better : float
        Share of the resamples of sources in which the law has the smaller error of the two.
    n_inside, n_left_out : int
        Each source was left out in turn: hold-outs of it that lay inside the interval from the others, of how many.
        The counts are means over the sources' hold-outs, rounded: a source counts once.
    resampled : str
        ``sources``, or ``data sets`` where there are fewer than four sources.
    table : DataFrame
        One row per law, best first: ``law, n_params, error, low, high, median_low, median_high`` (interval of the
        median), ``mean_error, tail, worst, win_rate, coverage, share_fitted, is_considered, n_sets, n_sources``.
    """

    situation: str
    law: str
    error: float
    low: float
    high: float
    tail: float
    worst: float
    rival: str
    p_better: float
    n_inside: int
    n_left_out: int
    band: str | None
    resampled: str
    level: float
    table: pl.DataFrame

    @property
    def sentence(self) -> str:
        """The advice as a person would say it."""
        return _sentence(self)

    def tidy(self) -> pl.DataFrame:
        """One row per law: :attr:`table`."""
        return self.table

    def glance(self) -> pl.DataFrame:
        """One row: the law, its rival, and the error to expect."""
        names = ("situation", "band", "law", "error", "low", "high", "tail", "worst", "rival", "p_better")
        row = {name: getattr(self, name) for name in (*names, "n_inside", "n_left_out", "resampled", "level")}
        return pl.DataFrame([row], schema_overrides={"band": pl.String})

    def __repr__(self) -> str:
        return f"<Advice: {self.sentence}>"

    def _repr_html_(self) -> str:
        own = f"your own run, {100 * self.level:g} % interval"
        head = ["law", "parameters", "typical error", own, "one in ten exceeds", "worst", "in 95 % prediction interval"]
        rows = [
            [
                *(row["law"], row["n_params"] or "none", percent(row["error"])),
                f"{percent(row['low'])} to {percent(row['high'])}",
                *(percent(row["tail"]), percent(row["worst"]), percent(row["coverage"]), row["n_sets"]),
            ]
            for row in self.table.iter_rows(named=True)
        ]
        return f"<p>{html.escape(self.sentence)}</p>{html_table([*head, 'data sets'], rows)}"


def _sentence(advice: Advice) -> str:
    about = SITUATIONS[advice.situation]
    rows = {row["law"]: row for row in advice.table.iter_rows(named=True)}
    row, rival = rows[advice.law], rows[advice.rival]
    plain = min((rows[name] for name in BASELINES if name in rows), key=lambda other: other["error"])
    where = "at any distance" if advice.band is None else f"{_far(advice.band)} {about.distance}"
    is_simpler = rival["error"] < row["error"] and row["n_params"] < (rival["n_params"] or 0)
    difference = (
        f"the difference is no more than noise{f', and {advice.law} has fewer parameters' if is_simpler else ''}"
        if advice.p_better < SURE
        else f"{advice.law} is the better one in {100 * advice.p_better:.0f} % of the resamples"
    )
    sources = f"{row['n_sets']} data sets of {count_of(row['n_sources'], 'source')}"
    own = (
        f"too few {advice.resampled} to say how far off your own run may be"
        if np.isinf(advice.high)
        else f"for your own run, {percent(advice.low)} to {percent(advice.high)} ({100 * advice.level:.0f} % interval; "
        f"with each source left out in turn, {advice.n_inside} of {advice.n_left_out} lay inside)"
    )
    return (
        f"{about.meaning[0].upper()}{about.meaning[1:]}: take {advice.law} ({row['n_params']} parameters). "
        f"Its typical error {where} is {percent(advice.error)}; {own}. "
        f"In one hold-out of ten it exceeded {percent(advice.tail)}, at worst {percent(advice.worst)}. "
        f"Measured on {sources}; {advice.rival} has {percent(rival['error'])}, {difference}. "
        f"Without a law: {percent(plain['error'])} ({plain['law']}). "
        f"The 95 % prediction interval of {advice.law} held {percent(row['coverage'])} of the held-out values."
    )


def _far(band: str) -> str:
    edges = {"x2": "up to 2", "x5": "2 to 5", "x10": "5 to 10", "x30": "10 to 30", "beyond x30": "more than 30"}
    return f"{edges[band]} times"


def _cluster_means(errors: FloatArray, sets: NDArray[Any], clusters: NDArray[np.int64]) -> FloatArray:
    """Mean error of each law in each cluster, every data set of it counted once (clusters, laws)."""
    rows = []
    for cluster in np.unique(clusters):
        names = np.unique(sets[clusters == cluster])
        of_sets = np.array([_weighted(errors[sets == name], np.ones((sets == name).sum())) for name in names])
        rows.append(_weighted(of_sets, np.ones(len(names))))
    return np.array(rows)


def own_interval(errors: FloatArray, clusters: NDArray[np.int64], level: float = DEFAULT_LEVEL) -> tuple[float, float]:
    """Interval of the error of one hold-out of a new source, from those of the measured ones.

    Logarithms of errors vary between sources and, within a source, between hold-outs. The next source is one more
    draw of the former and its hold-out one of the latter, so both variances enter, with Student's t of as many degrees
    of freedom as there are sources but one.

    Parameters
    ----------
    errors : array (n,)
        Absolute relative errors of hold-outs; those that are missing are left out.
    clusters : array (n,)
        Number of the source of each.
    level : float
        Coverage.

    Returns
    -------
    low, high : float
        0 and infinity where there are fewer than :data:`FEWEST_SOURCES` sources.
    """
    from scipy.special import stdtrit

    known = np.isfinite(errors)
    logs = np.log(np.maximum(errors[known], 1e-12))
    sources = [logs[clusters[known] == cluster] for cluster in np.unique(clusters[known])]
    if len(sources) < FEWEST_SOURCES:
        return 0.0, float("inf")
    means = np.array([values.mean() for values in sources])
    several = [values.var(ddof=1) for values in sources if values.size > 1]
    within = float(np.mean(several)) if several else 0.0
    # the means vary by what is left of the variance within, too: this is a little wide, never narrow
    spread = np.sqrt(means.var(ddof=1) * (1 + 1 / means.size) + within)
    half = float(stdtrit(means.size - 1, (1 + level) / 2)) * spread
    return float(np.exp(means.mean() - half)), float(np.exp(means.mean() + half))


def left_out(errors: FloatArray, clusters: NDArray[np.int64], level: float = DEFAULT_LEVEL) -> FloatArray:
    """Share of each source's hold-outs inside the interval from the other sources, where these are enough."""
    shares = []
    for cluster in np.unique(clusters[np.isfinite(errors)]):
        low, high = own_interval(errors[clusters != cluster], clusters[clusters != cluster], level)
        own = errors[(clusters == cluster) & np.isfinite(errors)]
        if np.isfinite(high):
            shares.append(((own >= low) & (own <= high)).mean())
    return np.array(shares)


def recommend(
    situation: str, band: str | None = None, *, level: float = DEFAULT_LEVEL, table: pl.DataFrame | None = None
) -> Advice:
    """The law for a situation, and the error to expect of your own run, both from measured cells.

    The expected error is the median over sources (over data sets, where there are fewer than four sources) of the
    mean absolute relative error of held-out rows, on the hold-outs in which all considered laws were fitted. Its
    interval is that of a single hold-out of a source that is not among the measured ones. A law that is refused in
    more than a fifth of the hold-outs is listed, but not considered. Where laws tie, the one with the fewest
    parameters is taken.

    Parameters
    ----------
    situation : str
        Of :data:`SITUATIONS`: ``small_grid``, ``overtrained``, ``repeated`` ...
    band : str, optional
        ``x2``, ``x5``, ``x10``, ``x30`` or ``beyond x30``: how far the prediction goes; all by default.
    level : float
        Coverage of the interval.
    table : DataFrame, optional
        Cells, as :func:`cells` returns them.

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
    >>> advice.low <= advice.error <= advice.high <= 1
    True
    """
    check_level(level)
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
    clusters, unit = met.clusters()
    clusters = clusters[common]
    by_cluster = _cluster_means(met.errors[common], met.keys.filter(pl.Series(common))["data_set"].to_numpy(), clusters)
    drawn = _medians(by_cluster, multiplicities(len(by_cluster), N_RESAMPLES, 0))
    low, high = percentile_interval(drawn, DEFAULT_LEVEL)
    laws = _table_of(met, by_cluster, clusters, level).with_columns(
        median_low=pl.Series(low), median_high=pl.Series(high)
    )
    laws = laws.join(_coverage(chosen), on="law", how="left", maintain_order="left").select(TABLE)
    ordered = laws.sort(pl.col("is_considered").not_(), "error", "n_params", "law", nulls_last=True)
    able = ordered.filter("is_considered", ~pl.col("law").is_in(list(BASELINES)))
    if able.height < 2:
        raise DataError(
            f"fewer than two laws were fitted in {100 * REGULAR:.0f} % of the hold-outs of situation {situation!r}",
            "choose another band, or none.",
        )
    law = _of_the_tied(able, met.laws, drawn)
    rival = next(name for name in able["law"] if name != law)
    best, other = met.laws.index(law), met.laws.index(rival)
    row = ordered.row(by_predicate=pl.col("law") == law, named=True)
    shares = left_out(met.errors[common][:, best], clusters, level)
    return Advice(
        situation,
        law,
        **{name: row[name] for name in ("error", "low", "high", "tail", "worst")},
        rival=rival,
        p_better=float((drawn[:, best] < drawn[:, other]).mean()),
        n_inside=round(float(shares.sum())),
        n_left_out=len(shares),
        band=band,
        resampled=unit,
        level=level,
        table=ordered,
    )


TABLE = (
    *("law", "n_params", "error", "low", "high", "median_low", "median_high", "mean_error", "tail", "worst"),
    *("win_rate", "coverage", "share_fitted", "is_considered", "n_sets", "n_sources"),
)


def _medians(by_cluster: FloatArray, times: FloatArray) -> FloatArray:
    """Median error of each law over clusters, each counted so many times; (..., clusters) gives (..., laws)."""
    order = np.argsort(by_cluster, axis=0)  # NaN last
    ordered = np.take_along_axis(by_cluster, order, axis=0)
    medians = np.empty((*times.shape[:-1], by_cluster.shape[1]))
    for j in range(by_cluster.shape[1]):
        counted = np.cumsum(times[..., order[:, j]] * np.isfinite(ordered[:, j]), axis=-1)
        total = counted[..., -1:]
        # the two in the middle, counted from 0: one and the same where the total is odd
        middle = [(counted <= np.floor(rank)).sum(axis=-1) for rank in ((total - 1) / 2, total / 2)]
        padded = np.append(ordered[:, j], np.nan)  # a law that met none of those drawn
        medians[..., j] = (padded[middle[0]] + padded[middle[1]]) / 2
    return medians


def _table_of(met: Contests, by_cluster: FloatArray, clusters: NDArray[np.int64], level: float) -> pl.DataFrame:
    """One row per law, on the hold-outs that all considered laws share."""
    common = met.common
    keys = met.keys.filter(pl.Series(common))
    errors, wins = met.errors[common], met.wins()[common]
    library = all_laws()
    fitted = [keys.filter(pl.Series(np.isfinite(errors[:, j]))) for j in range(len(met.laws))]
    ends = [own_interval(errors[:, j], clusters, level) for j in range(len(met.laws))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a law that was fitted in none of them
        tail, worst = np.nanquantile(errors, TAIL, axis=0), np.nanmax(errors, axis=0)
    return pl.DataFrame(
        {
            "law": met.laws,
            "n_params": [len(library[name].params) if name in library else None for name in met.laws],
            "error": _medians(by_cluster, np.ones(len(by_cluster))),
            "low": [low for low, _ in ends],
            "high": [high for _, high in ends],
            "mean_error": _weighted(by_cluster, np.ones(len(by_cluster))),
            "tail": tail,
            "worst": worst,
            "win_rate": _weighted(wins, met.weights[common]),
            "share_fitted": (met.weights @ met.present) / met.weights.sum(),
            "is_considered": met.regular,
            "n_sets": [rows["data_set"].n_unique() for rows in fitted],
            "n_sources": [rows["source_id"].n_unique() for rows in fitted],
        },
        schema_overrides={"n_params": pl.Int64},
    )


def _of_the_tied(able: pl.DataFrame, laws: Sequence[str], drawn: FloatArray) -> str:
    """The law with the fewest parameters of those that tie with the one of least error."""
    first = able["law"][0]
    place = laws.index(first)

    def ties(name: str) -> bool:
        return name == first or float((drawn[:, place] < drawn[:, laws.index(name)]).mean()) < SURE

    near = able.filter(pl.col("error") <= TIE * able["error"][0])
    tied = near.filter(pl.Series([ties(name) for name in near["law"]]))
    return str(tied.sort("n_params", "error", maintain_order=True)["law"][0])
