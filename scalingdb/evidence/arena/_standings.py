"""Who wins: leaderboard, errors by distance, head to head, calibration, and where each law fails."""

from __future__ import annotations

import warnings

import numpy as np
import polars as pl

from scalingdb.errors import unknown_name
from scalingdb.estimation.verdicts import Label
from scalingdb.evidence.arena._contests import SAME_CURVE, Contests, FloatArray, beats, contests, interval_over
from scalingdb.evidence.arena._cuts import BANDS
from scalingdb.evidence.arena._dataset import TRACKS
from scalingdb.evidence.arena._field import BASELINES, TOO_SLOW
from scalingdb.evidence.arena._sets import data_sets
from scalingdb.evidence.arena._table import cells
from scalingdb.law_library import all_laws

__all__ = ["absent", "by_distance", "calibration", "failures", "head_to_head", "leaderboard", "matrix", "worst"]

AT_BOUND: Label = "at bound"

LOST: tuple[Label, ...] = ("not identified", "not converged")
"""Verdicts of a fit that the fitted rows do not fix."""

TIE = 1e-9
"""Win rates closer than this are equal."""


def _weighted(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean of each column over its numbers."""
    known = np.isfinite(values)
    total = weights @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((weights @ np.where(known, values, 0.0)) / total)


def _of(table: pl.DataFrame, track: str, axis: str = "scale", *, few_runs: bool = False) -> pl.DataFrame:
    """Cells of a track and axis; `few_runs` takes the samples of twenty runs instead of all rows."""
    sampled = pl.col("draw").is_not_null() if few_runs else pl.col("draw").is_null()
    return table.filter(pl.col("track") == track, pl.col("axis") == axis, sampled)


def _check_track(track: str) -> None:
    if track not in TRACKS:
        raise unknown_name("track", track, TRACKS)


def leaderboard(track: str | None = None, *, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """Laws ranked within each track by how often they beat the others on rows of more compute.

    A contest is one hold-out of one data set in one band of distance; a law competes in it with
    every other law that was fitted to the same rows. Each data set and band counts once. Laws that
    are another one in other letters are ranked once (``same_curve``). A law that met fewer than half
    of a track's data sets has no rank there: its win rate is against fewer others.

    Parameters
    ----------
    track : str, optional
        Of :data:`TRACKS`; all, one below the other, by default.
    table : DataFrame, optional
        Cells, as :func:`cells` returns them.

    Returns
    -------
    DataFrame
        ``track, rank, law, origin`` (``"published"``, ``"ours"`` where the law's citation says so, ``"baseline"``),
        ``win_rate, win_low, win_high`` (95 %, sources resampled; data sets where a
        track has fewer than four sources, see ``resampled``), ``p_first`` (share of the resamples in
        which it has the highest win rate of the ranked laws; laws of equal rates share one),
        ``mean_rank, times_best`` (geometric mean of its error over that of the best law there), ``error``
        (median over data sets and bands of the mean absolute relative error), one column per band,
        ``coverage`` of the 95 % prediction interval over all held-out rows,
        ``n_sets, n_sources, n_refused`` (hold-outs), ``same_curve``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> board = sdb.arena.leaderboard("surface")
    >>> board["rank"][0], board["win_rate"][0] > board["win_rate"][1]
    (1, True)
    """
    if track is not None:
        _check_track(track)
    held = cells() if table is None else table
    return pl.concat([_board(held, name) for name in ([track] if track else TRACKS)])


def _board(table: pl.DataFrame, track: str) -> pl.DataFrame:
    chosen = _of(table, track)
    met = contests(chosen, data_sets())
    wins, ranks = met.wins(), met.ranks()
    clusters, unit = met.clusters()
    rates = _weighted(wins, met.weights)
    sets = _count_sets(met, "data_set")
    eligible = sets >= 0.5 * met.keys["data_set"].n_unique()
    low, high, drawn = interval_over(clusters, lambda times: _weighted(wins, met.weights * times))
    rivals = np.where(eligible, np.nan_to_num(drawn, nan=-1.0), -2.0)
    # equal rates differ in their last digits, and not in the same way on every machine: they share the place
    first = rivals >= rivals.max(axis=1, keepdims=True) - TIE
    first = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        best = np.nanmin(met.errors, axis=1, keepdims=True)
        ratio = np.exp(_weighted(np.log(met.errors / np.maximum(best, 1e-12)), met.weights))
    refused = chosen.filter(pl.col("failure").is_not_null()).group_by("law").len("n_refused")
    order = np.argsort(np.where(eligible, -rates, 2 - rates))
    places = np.cumsum(eligible[order])
    errors = _by_band(met)
    frame = pl.DataFrame(
        {
            "track": [track] * len(order),
            "rank": [int(place) if eligible[i] else None for place, i in zip(places, order, strict=True)],
            "law": [met.laws[i] for i in order],
            "origin": [_origin(met.laws[i]) for i in order],
            "win_rate": rates[order],
            "win_low": low[order],
            "win_high": high[order],
            "p_first": first[order],
            "mean_rank": _weighted(ranks, met.weights)[order],
            "times_best": ratio[order],
            "n_sets": sets[order],
            "n_sources": _count_sets(met, "source_id")[order],
            "resampled": [unit] * len(order),
        },
        schema_overrides={"rank": pl.Int64},
    )
    same = {law: [alias for alias, other in SAME_CURVE.items() if other == law] for law in met.laws}
    present = set(chosen["law"].unique())
    return (
        frame.join(errors, on="law", how="left", maintain_order="left")
        .join(_coverage(chosen), on="law", how="left", maintain_order="left")
        .join(refused, on="law", how="left", maintain_order="left")
        .with_columns(
            pl.col("n_refused").fill_null(0).cast(pl.Int64),
            same_curve=pl.Series([", ".join(a for a in same[law] if a in present) for law in frame["law"]]),
        )
        .select(
            *(
                "track",
                "rank",
                "law",
                "origin",
                "win_rate",
                "win_low",
                "win_high",
                "p_first",
                "mean_rank",
                "times_best",
                "error",
            ),
            *BANDS,
            *("coverage", "n_sets", "n_sources", "n_refused", "resampled", "same_curve"),
        )
    )


def _origin(name: str) -> str:
    """Whose form a competitor is."""
    law = all_laws().get(name)
    if law is None:
        return "baseline"
    return "ours" if law.cite.startswith("ours:") else "published"


def _count_sets(met: Contests, column: str) -> FloatArray:
    codes = met.keys[column].to_numpy()
    return np.array([np.unique(codes[met.present[:, j]]).size for j in range(len(met.laws))])


def _by_band(met: Contests) -> pl.DataFrame:
    """Median over data sets of each law's error, in all and by band: a column each."""
    long = _long(met).group_by("law", "data_set", "axis", "band").agg(pl.col("error").mean())
    total = long.group_by("law").agg(pl.col("error").median())
    bands = long.group_by("law", "band").agg(pl.col("error").median()).pivot("band", index="law", values="error")
    missing = [pl.lit(None, dtype=pl.Float64).alias(band) for band in BANDS if band not in bands.columns]
    return total.join(bands.with_columns(missing), on="law")


def _long(met: Contests) -> pl.DataFrame:
    frame = met.keys.with_columns(pl.Series(name, met.errors[:, j]) for j, name in enumerate(met.laws))
    return frame.unpivot(met.laws, index=met.keys.columns, variable_name="law", value_name="error").filter(
        pl.col("error").is_finite()
    )


def _coverage(chosen: pl.DataFrame) -> pl.DataFrame:
    """Share of held-out rows inside the interval, every data set counted once."""
    return (
        chosen.filter(pl.col("coverage").is_not_null())
        .group_by("law", "data_set")
        .agg(coverage=(pl.col("coverage") * pl.col("n_held_out")).sum() / pl.col("n_held_out").sum())
        .group_by("law")
        .agg(pl.col("coverage").mean())
    )


def by_distance(
    track: str = "surface", axis: str = "scale", *, few_runs: bool = False, table: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Error of each law by the distance of what it predicts.

    Parameters
    ----------
    track : str
    axis : str
        ``scale`` (compute), ``tokens_per_param`` or ``n_epochs``.
    few_runs : bool
        Fits to samples of twenty runs instead of to all rows below the threshold.

    Returns
    -------
    DataFrame
        ``law, band, error, low, high, coverage, n_sets, n_sources``: the median over data sets of the mean absolute
        relative error, with a 95 % interval from resampling sources (or data sets). Only hold-outs that
        all laws with few refusals were fitted in, so that the laws answer the same questions.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.arena.by_distance("surface")["band"].unique().len()
    5
    """
    _check_track(track)
    chosen = _of(cells() if table is None else table, track, axis, few_runs=few_runs)
    found = []
    for band in BANDS:
        part = chosen.filter(pl.col("band") == band)
        if part.is_empty():
            continue
        met = contests(part, data_sets())
        common = met.common
        if not common.any():
            continue
        keys = met.keys.filter(pl.Series(common))
        rows = met.errors[common]
        places = keys["data_set"].rank("dense").to_numpy().astype(int) - 1
        size = int(places.max()) + 1
        per_set = np.array([_weighted(rows[places == i], np.ones((places == i).sum())) for i in range(size)])
        unit = "source_id" if keys["source_id"].n_unique() >= 4 else "data_set"
        owner = keys.unique("data_set", maintain_order=True).sort("data_set")
        owners = owner[unit].rank("dense").to_numpy().astype(np.int64) - 1

        def median(times: FloatArray, values: FloatArray = per_set) -> FloatArray:
            repeated = np.repeat(values, times.astype(int), axis=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                return np.asarray(np.nanmedian(repeated, axis=0))

        low, high, _ = interval_over(owners, median)
        met_sets = np.isfinite(per_set)
        found.append(
            pl.DataFrame(
                {
                    "law": met.laws,
                    "band": [band] * len(met.laws),
                    "error": median(np.ones(size)),
                    "low": low,
                    "high": high,
                    "n_sets": met_sets.sum(0),
                    "n_sources": [
                        owner.filter(pl.Series(met_sets[:, j]))["source_id"].n_unique() for j in range(len(met.laws))
                    ],
                }
            ).join(_coverage(part), on="law", how="left", maintain_order="left")
        )
    order = ["law", "band", "error", "low", "high", "coverage", "n_sets", "n_sources"]
    if not found:
        return pl.DataFrame(schema={name: pl.String if name in {"law", "band"} else pl.Float64 for name in order})
    return pl.concat(found).filter(pl.col("n_sets") > 0).select(order)


def head_to_head(track: str = "surface", axis: str = "scale", *, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """Each law against each other one, on the hold-outs that both were fitted in.

    Returns
    -------
    DataFrame
        ``law, other, win_rate, n_sets``.
    """
    _check_track(track)
    met = contests(_of(cells() if table is None else table, track, axis), data_sets())
    rows = []
    for i, law in enumerate(met.laws):
        for j, other in enumerate(met.laws):
            both = met.present[:, i] & met.present[:, j]
            if i == j or not both.any():
                continue
            share = np.average(beats(met.errors[both, i], met.errors[both, j]), weights=met.weights[both])
            rows.append((law, other, float(share), met.keys.filter(pl.Series(both))["data_set"].n_unique()))
    return pl.DataFrame(rows, schema=["law", "other", "win_rate", "n_sets"], orient="row")


def calibration(*, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """How often the 95 % prediction interval holds the held-out value, and how wide it is.

    The intervals are those of ``Fit.predict``: beyond the fitted range they allow for an error of the law itself. Their
    constants were learned from the same data sets; ``sdb.track_record()`` leaves each source out in turn.

    Returns
    -------
    DataFrame
        ``track, law, band, coverage, width, error, n_held_out, n_sets``; every data set counts once. Width over the
        prediction is the median over data sets.
    """
    held = cells() if table is None else table
    return (
        held.filter(pl.col("coverage").is_not_null(), pl.col("axis") == "scale", pl.col("draw").is_null())
        .group_by("track", "law", "band", "data_set")
        .agg(
            coverage=(pl.col("coverage") * pl.col("n_held_out")).sum() / pl.col("n_held_out").sum(),
            width=pl.col("width").mean(),
            error=pl.col("error").mean(),
            n_held_out=pl.col("n_held_out").sum(),
        )
        .group_by("track", "law", "band")
        .agg(
            pl.col("coverage").mean(),
            pl.col("width", "error").median(),
            pl.col("n_held_out").sum(),
            n_sets=pl.len().cast(pl.Int64),
        )
        .sort("track", "law", pl.col("band").replace_strict({name: i for i, name in enumerate(BANDS)}))
    )


def failures(*, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """Hold-outs in which a law could not be fitted, and why: one row per law, data set and reason.

    Returns
    -------
    DataFrame
        ``track, law, data_set, failure, n_cells`` and the ``hold_outs`` in words.
    """
    held = cells() if table is None else table
    return (
        held.filter(pl.col("failure").is_not_null())
        .with_columns(cut=pl.format("{} x{}", "axis", "reach"))
        .group_by("track", "law", "data_set", "failure")
        .agg(n_cells=pl.len().cast(pl.Int64), hold_outs=pl.col("cut").unique(maintain_order=True).str.join(", "))
        .sort("track", "law", "data_set", "failure")
    )


def worst(n: int = 3, *, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """The data sets on which each law is furthest behind the best one, with what can be seen of the reason.

    Returns
    -------
    DataFrame
        ``track, law, data_set, error, best_law, best_error, times_best, reason``.
    """
    held = cells() if table is None else table
    chosen = held.filter(
        pl.col("failure").is_null(),
        pl.col("axis") == "scale",
        pl.col("draw").is_null(),
        ~pl.col("law").is_in(list(SAME_CURVE)),
    )
    per_set = chosen.group_by("track", "law", "data_set").agg(
        error=pl.col("error").mean(),
        bias=pl.col("bias").mean(),
        error_fitted=pl.col("error_fitted").mean(),
        n_fitted=pl.col("n_fitted").median(),
        at_bound=(pl.col("verdict") == AT_BOUND).mean(),
        lost=pl.col("verdict").is_in(LOST).mean(),
    )
    best = (
        per_set.sort("error")
        .group_by("data_set", maintain_order=True)
        .agg(best_law=pl.col("law").first(), best_error=pl.col("error").first())
    )
    joined = (
        per_set.join(best, on="data_set")
        .filter(pl.col("law") != pl.col("best_law"))
        .with_columns(times_best=pl.col("error") / pl.col("best_error"))
        .sort("track", "law", "times_best", descending=[False, False, True])
        .group_by("track", "law", maintain_order=True)
        .head(n)
    )
    reasons = [_reason(row) for row in joined.iter_rows(named=True)]
    return joined.with_columns(reason=pl.Series(reasons, dtype=pl.String)).select(
        "track", "law", "data_set", "error", "best_law", "best_error", "times_best", "reason"
    )


def _reason(row: dict[str, float | str]) -> str:
    """What the cells of a law on a data set show, in words."""
    law = all_laws().get(str(row["law"]))
    error, bias, inside = float(row["error"]), float(row["bias"]), float(row["error_fitted"])
    parts = []
    if abs(bias) > 0.8 * error:
        parts.append("too high" if bias > 0 else "too low")
    else:
        parts.append("scatters to both sides")
    if str(row["law"]) in BASELINES:
        return parts[0]
    if inside > 0.5 * error:
        parts.append(f"misses the fitted rows already ({100 * inside:.1f} %): the form does not hold")
    if law is not None and float(row["n_fitted"]) < 4 * len(law.params):
        parts.append(f"{len(law.params)} parameters from {float(row['n_fitted']):.0f} rows")
    if float(row["at_bound"]) >= 0.5:
        parts.append("a term vanishes or a parameter sits at its bound")
    elif float(row["lost"]) >= 0.5:
        parts.append("the fitted range does not identify the law")
    return "; ".join(parts)


def matrix(*, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """How much of the field met: one row per track, and one for all.

    Returns
    -------
    DataFrame
        ``track, n_laws`` (of the library; ``n_curves`` of them different), ``n_baselines, n_data_sets,
        n_sources, n_pairs`` (law and data set), ``n_fitted`` pairs with at least one hold-out fitted,
        ``n_refused`` pairs with none, ``n_cells, n_failed_cells, seconds`` of processor time.
    """
    held = cells() if table is None else table
    rows = []
    for name in (*TRACKS, "all"):
        part = held if name == "all" else held.filter(pl.col("track") == name)
        laws = set(part["law"].unique()) - set(BASELINES)
        pairs = part.group_by("law", "data_set").agg(fitted=pl.col("failure").is_null().any())
        once = part.unique(["law", "data_set", "axis", "reach", "draw"])
        rows.append(
            {
                "track": name,
                "n_laws": len(laws),
                "n_curves": len({SAME_CURVE.get(law, law) for law in laws}),
                "n_baselines": len(BASELINES),
                "n_data_sets": part["data_set"].n_unique(),
                "n_sources": part["source_id"].n_unique(),
                "n_pairs": pairs.height,
                "n_fitted": int(pairs["fitted"].sum()),
                "n_refused": int((~pairs["fitted"]).sum()),
                "n_hold_outs": once.height,
                "n_failed": int(once["failure"].count()),
                "seconds": float(once["seconds"].sum()),
            }
        )
    return pl.DataFrame(rows)


def absent(*, table: pl.DataFrame | None = None) -> pl.DataFrame:
    """Laws of the library that met no data set, and why.

    Returns
    -------
    DataFrame
        ``law, inputs, output, reason``.
    """
    met = set((cells() if table is None else table)["law"].unique())
    rows = [
        (
            name,
            ", ".join(law.inputs),
            law.output,
            TOO_SLOW.get(name, "no data set has these inputs together with this output"),
        )
        for name, law in all_laws().items()
        if not law.is_own and name not in met
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(("law", "inputs", "output", "reason"), pl.String), orient="row")
