"""Hold-outs: which rows are fitted, which are predicted, and how far away the latter are.

One rule for all data sets. A threshold is set at the largest value of the scale divided by a reach;
rows at or below it are fitted, rows beyond it predicted. The distance of a held-out row is its scale
over the largest fitted one. Nothing is drawn at random: neighbours of a fitted run test no extrapolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from scalingdb.evidence.arena._dataset import DataSet

__all__ = ["BANDS", "FEW_RUNS", "Cut", "band_of", "cuts_of", "split"]

CUTS_VERSION = 1
"""Raise this by one when a rule of this module holds out other rows than before: every stored cell is stale then."""

REACHES = (2, 5, 10, 30, 100)
"""Largest value of the scale over the threshold: the farthest row lies about this far out."""

MIN_FITTED = 6
"""Rows below a threshold, without which it is no cut at all."""

FEW_RUNS = 20
"""Runs of somebody's own small grid."""

FEW_DRAWS = 3
"""Systematic samples of that many runs: every k-th by compute, begun at different places."""

BANDS = ("x2", "x5", "x10", "x30", "beyond x30")
"""Bands of the distance of a held-out row, each up to its number; rows at the same scale or less are none."""

_EDGES = (2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class Cut:
    """One hold-out of one data set.

    Attributes
    ----------
    axis : str
        Column along which rows are held out.
    reach : int
        Of :data:`REACHES`.
    draw : int or None
        Number of the sample of :data:`FEW_RUNS` runs; None fits all rows below the threshold.
    """

    axis: str
    reach: int
    draw: int | None = None

    @property
    def id(self) -> str:
        sample = "" if self.draw is None else f" of {FEW_RUNS} runs, sample {self.draw + 1}"
        return f"{self.axis} x{self.reach}{sample}"


def split(rows: pl.DataFrame, cut: Cut) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to fit, and rows to predict with their ``distance`` and ``band``."""
    values = rows[cut.axis]
    threshold = float(values.max()) / cut.reach  # type: ignore[arg-type]
    train = rows.filter(values <= threshold * (1 + 1e-9))
    if cut.draw is not None and train.height > FEW_RUNS:
        train = train.sort("scale", *(name for name in ("n_params", "run_id") if name in rows.columns))
        step = train.height / FEW_RUNS
        start = (cut.draw + 0.5) / FEW_DRAWS * step
        train = train[np.unique(np.floor(start + step * np.arange(FEW_RUNS)).astype(int)).tolist()]
    if train.is_empty():
        return train, rows.clear()
    top = float(train[cut.axis].max())  # type: ignore[arg-type]
    test = rows.filter(values > threshold * (1 + 1e-9)).with_columns(distance=pl.col(cut.axis) / top)
    return train, test.with_columns(band=band_of(pl.col("distance")))


def band_of(distance: pl.Expr) -> pl.Expr:
    """Name of the band that a distance lies in."""
    found = pl.lit(BANDS[-1])
    for edge, name in reversed(list(zip(_EDGES, BANDS, strict=False))):
        found = pl.when(distance <= edge * (1 + 1e-9)).then(pl.lit(name)).otherwise(found)
    return found


def cuts_of(one: DataSet, rows: pl.DataFrame) -> list[Cut]:
    """The hold-outs that a data set's range allows, no two of which fit the same rows."""
    found, heights = [], set()
    for axis in one.axes:
        for reach in REACHES:
            cut = Cut(axis, reach)
            train, test = split(rows, cut)
            if train.height >= MIN_FITTED and not test.is_empty() and (axis, train.height) not in heights:
                heights.add((axis, train.height))
                found.append(cut)
                if one.is_grid and axis == "scale" and train.height > FEW_RUNS:
                    found += [Cut(axis, reach, draw) for draw in range(FEW_DRAWS)]
    return found
