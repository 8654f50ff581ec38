"""`track_record`: how forecasts have done, those of the user and those replayed on published studies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import html_table, percent
from scalingdb.errors import DataError
from scalingdb.fits import as_frame
from scalingdb.forecasts._register import read_all
from scalingdb.warehouse import connect

__all__ = ["TrackRecord", "track_record"]

REPLAYED = Path(__file__).with_name("replayed.csv")
"""Written by ``benchmarks/forecast_coverage.py --record``."""

SAME = 1e-3
"""Relative difference within which the inputs of an outcome are those of a forecast: counts are often rounded."""

SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("registered", "law", "inputs", "direction", "interval"), pl.String),
    **dict.fromkeys(("distance", "level", "prediction", "low", "high", "observed"), pl.Float64),
    "is_inside": pl.Boolean,
    **dict.fromkeys(("relative_error", "winkler"), pl.Float64),
    "file": pl.String,
}


@dataclass(frozen=True, eq=False)
class TrackRecord:
    """How forecasts have done. Made by :func:`track_record`.

    Attributes
    ----------
    replayed : DataFrame
        Forecasts replayed on published studies: one row per law and band of distance, ``band = all`` for all of
        them: ``track, law, band, n_sets, n_sources, error`` (median over data sets of the mean absolute relative
        error), ``coverage`` of 95 % intervals, ``width, winkler`` (relative to the observation, at most 10), and
        the same of intervals without the law's own error (``*_noise``). Data sets count equally; the constants of
        the intervals were learned without the source that is predicted.
    """

    replayed: pl.DataFrame
    _registered: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per registered prediction, scored where the outcome is known.

        Returns
        -------
        DataFrame
            ``registered`` (date), ``law, inputs`` (in words), ``direction, interval, distance, level, prediction,
            low, high, observed, is_inside, relative_error`` (predicted over observed, minus 1), ``winkler`` (score
            of the interval in the unit of the output: lower is better) and ``file``.
        """
        return self._registered

    def glance(self) -> pl.DataFrame:
        """One row per law: ``law, n_registered, n_scored, coverage, level, mean_abs_error, winkler``."""
        return (
            self._registered.group_by("law", "level", maintain_order=True)
            .agg(
                n_registered=pl.len().cast(pl.Int64),
                n_scored=pl.col("observed").count().cast(pl.Int64),
                coverage=pl.col("is_inside").mean(),
                mean_abs_error=pl.col("relative_error").abs().mean(),
                winkler=pl.col("winkler").mean(),
            )
            .select("law", "n_registered", "n_scored", "coverage", "level", "mean_abs_error", "winkler")
        )

    def __repr__(self) -> str:
        scored = self._registered["observed"].count()
        return (
            f"<TrackRecord: {self._registered.height} registered, {scored} scored; "
            f"{self.replayed['law'].n_unique()} laws replayed on published studies>"
        )

    def _repr_html_(self) -> str:
        own = [
            (row["law"], row["n_registered"], row["n_scored"], percent(row["coverage"]), percent(row["mean_abs_error"]))
            for row in self.glance().iter_rows(named=True)
        ]
        head = ["law", "registered", "scored", "inside", "mean error"]
        replayed = [
            (row["track"], row["law"], row["n_sets"], percent(row["coverage"]), percent(row["error"]), row["winkler"])
            for row in self.replayed.filter(pl.col("band") == "all").iter_rows(named=True)
        ]
        table = html_table(["track", "law", "data sets", "inside 95 %", "median error", "Winkler"], replayed)
        return f'<div class="scalingdb-record">{html_table(head, own) if own else ""}{table}</div>'


def track_record(outcomes: pl.DataFrame | None = None, path: str | Path | None = None) -> TrackRecord:
    """How registered forecasts did, and how forecasts did when replayed on published studies.

    Parameters
    ----------
    outcomes : DataFrame, optional
        Runs with the columns that the forecasts used, and the output. By default outcomes are looked for in the
        warehouse and among the user's own sources: rows of the sources that a forecast was made from, with the same
        metric, unit, evaluation set and tokenizer, and the same inputs to 0.1 %. Where several rows match, their
        mean counts.
    path : str or Path, optional
        Folder of the registered forecasts; by default that of :meth:`Forecast.register`.

    Returns
    -------
    TrackRecord

    Raises
    ------
    DataError
        If the folder or a file in it cannot be read, is not a registered forecast, or was changed after it was written.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.track_record().replayed.filter(law="chinchilla", band="all")["n_sets"].item() > 10
    True
    """
    table = None if outcomes is None else as_frame(outcomes)
    rows = [row for file, content in read_all(path) for row in _scored(file, content, table)]
    return TrackRecord(replayed=pl.read_csv(REPLAYED, comment_prefix="#"), _registered=pl.DataFrame(rows, SCHEMA))


def _scored(file: Path, content: Mapping[str, Any], outcomes: pl.DataFrame | None) -> list[dict[str, Any]]:
    """Predictions of one file, with their outcomes as far as they are known."""
    known = _from_warehouse(content) if outcomes is None else outcomes
    columns, output = list(content["columns"].values()), content["output"]
    if outcomes is not None:
        for name in (*columns, output):
            if name not in outcomes.columns:
                raise DataError(
                    f"the outcomes have no column {name!r}, which {file.name} predicts or used",
                    f"columns needed: {', '.join((*columns, output))}.",
                )
        known = _alike(outcomes, content["comparable"])
    found = []
    for row in content["forecasts"]:
        observed = _outcome(known, {name: row[name] for name in columns}, output)
        low, high = float(row["low"]), float(row["high"])
        prediction = float(row["prediction"])
        score = None if observed is None else _winkler(observed, low, high, content["level"])
        found.append(
            {
                "registered": content["registered"][:10],
                "law": content["law"],
                "inputs": ", ".join(f"{name}={row[name]:.4g}" for name in columns),
                "level": content["level"],
                **{name: row[name] for name in ("direction", "interval", "distance")},
                **{"prediction": prediction, "low": low, "high": high, "observed": observed},
                "is_inside": None if observed is None else low <= observed <= high,
                "relative_error": None if observed is None else prediction / observed - 1,
                "winkler": score,
                "file": file.name,
            }
        )
    return found


def _winkler(observed: float, low: float, high: float, level: float) -> float:
    """Width of an interval, and what a miss costs: 2 / (1 - level) times how far it lies outside.

    Winkler, J. Amer. Statist. Assoc. 67 (1972) 187-191.
    """
    return high - low + 2 / (1 - level) * max(low - observed, observed - high, 0.0)


def _from_warehouse(content: Mapping[str, Any]) -> pl.DataFrame:
    """Rows of the sources that a forecast was made from."""
    if not content["sources"]:
        return pl.DataFrame()
    with connect() as db:
        rows = db.sql("select * from points where list_contains($sources, source_id)", sources=content["sources"])
    return _alike(rows, content["comparable"])


def _alike(rows: pl.DataFrame, comparable: Mapping[str, Any]) -> pl.DataFrame:
    """Rows that are measured as the forecast's were, as far as they say."""
    for name, value in comparable.items():
        if name in rows.columns:
            rows = rows.filter(pl.col(name).eq_missing(pl.lit(value)))
    return rows


def _outcome(rows: pl.DataFrame, inputs: Mapping[str, float], output: str) -> float | None:
    """Mean output of the rows with these inputs, or None."""
    if any(name not in rows.columns for name in (*inputs, output)):
        return None
    near = [(pl.col(name) / value - 1).abs() <= SAME if value else pl.col(name) == 0 for name, value in inputs.items()]
    values = rows.filter(*near)[output].cast(pl.Float64).drop_nulls()
    return None if values.is_empty() else float(np.mean(values.to_numpy()))
