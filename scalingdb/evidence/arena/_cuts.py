"""Hold-outs of a data set, and how far away the held-out rows are.

Every axis of a data set is held out by one rule (:func:`scalingdb.judging.holdouts.beyond_factor`): rows beyond the
largest value divided by a reach are predicted, the others fitted. A grid is also held out with only twenty of the
other rows fitted. A data set can name further rules; each becomes cells of its own. The distance of a held-out row is
its scale over the largest fitted one. Nothing is drawn at random: neighbours of a fitted run test no extrapolation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from scalingdb.evidence.arena._dataset import DataSet
from scalingdb.judging.holdouts import Split, beyond_factor, few_runs

__all__ = ["BANDS", "CUTS_VERSION", "FEW_RUNS", "Cut", "band_of", "cut_along", "cuts_of"]

CUTS_VERSION = 1
"""Raise this by one when a rule of this module holds out other rows than before: every stored cell is stale then."""

REACHES = (2, 5, 10, 30, 100)
"""Largest value of the scale over the threshold: the farthest row lies about this far out."""

MIN_FITTED = 6
"""Rows below a threshold, without which there is no hold-out."""

FEW_RUNS = 20
"""Runs of somebody's own small grid."""

FEW_DRAWS = 3
"""Systematic samples of that many runs: every k-th by compute, begun at different places."""

BANDS = ("x2", "x5", "x10", "x30", "beyond x30")
"""Bands of the distance of a held-out row, each up to its number."""

_EDGES = (2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True, eq=False)
class Cut:
    """One hold-out of one data set, split into its two sides.

    Attributes
    ----------
    axis : str
        Column along which rows are held out, or the rule in words.
    reach : int or None
        Of :data:`REACHES`; None for another rule.
    draw : int or None
        Number of the sample of :data:`FEW_RUNS` runs; None fits all rows that are not held out.
    split : Split
        Its ``test`` rows have their ``distance`` and ``band``.
    """

    axis: str
    reach: int | None
    draw: int | None
    split: Split

    @property
    def id(self) -> str:
        sample = "" if self.draw is None else f" of {FEW_RUNS} runs, sample {self.draw + 1}"
        return f"{self.axis} x{self.reach}{sample}"


def cut_along(rows: pl.DataFrame, axis: str, reach: int, draw: int | None = None) -> Cut:
    """Rows of a data set held out along an axis; with `draw`, only a sample of the others is fitted."""
    rule = beyond_factor(axis, reach)
    if draw is not None:
        rule = few_runs(rule, FEW_RUNS, draw=draw, draws=FEW_DRAWS, along="scale")
    split = rule.splits(rows, allow_empty=True)[0]
    return Cut(axis, reach, draw, _with_distance(split, axis))


def _with_distance(split: Split, axis: str) -> Split:
    top = split.train[axis].max()
    test = split.test.with_columns(distance=pl.col(axis).cast(pl.Float64) / pl.lit(top, dtype=pl.Float64))
    return Split(split.name, split.train, test.with_columns(band=band_of(pl.col("distance"))))


def band_of(distance: pl.Expr) -> pl.Expr:
    """Name of the band that a distance falls in."""
    band = pl.lit(BANDS[-1])
    for edge, name in reversed(list(zip(_EDGES, BANDS, strict=False))):
        band = pl.when(distance <= edge * (1 + 1e-9)).then(pl.lit(name)).otherwise(band)
    return band


def cuts_of(data_set: DataSet, rows: pl.DataFrame) -> list[Cut]:
    """The hold-outs that a data set's range allows, no two of which fit the same rows, and those of its own rules."""
    cuts, heights = [], set()
    for axis in data_set.axes:
        for reach in REACHES:
            cut = cut_along(rows, axis, reach)
            height = cut.split.train.height
            if height < MIN_FITTED or cut.split.test.is_empty() or (axis, height) in heights:
                continue
            heights.add((axis, height))
            cuts.append(cut)
            if data_set.is_grid and axis == "scale" and height > FEW_RUNS:
                cuts += [cut_along(rows, axis, reach, draw) for draw in range(FEW_DRAWS)]
    return [*cuts, *_cuts_by_rule(data_set, rows)]


def _cuts_by_rule(data_set: DataSet, rows: pl.DataFrame) -> Iterator[Cut]:
    for rule in data_set.holdouts:
        splits = rule.splits(rows, allow_empty=True)
        for split in splits:
            if split.train.height >= MIN_FITTED and not split.test.is_empty():
                name = rule.label if len(splits) == 1 else f"{rule.label}: {split.name}"
                yield Cut(name, None, None, _with_distance(split, "scale"))
