"""Inner hold-outs: always the larger rows, along the scale of the study and along each of its inputs.

These are not a :class:`~scalingdb.judging.holdouts.Holdout`, which takes named columns of a frame and says which rows
are held out. A search works on arrays and needs more than a mask: axes that are no column (the product of the sizes),
a threshold for each group, the distance of every row beyond the fitted ones, and weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.discovery._inputs import Table

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Cut", "axes_of", "inner_cuts"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

MAIN_SHARES = (0.1, 0.2, 0.35, 0.5)
"""Shares of the rows that are held out along the scale."""
OTHER_SHARES = (0.25,)
"""The same along a single input."""
MAIN_WEIGHT = 0.6
"""What the hold-outs along the scale count in all."""
LEAST_TRAIN = 0.35


@dataclass(frozen=True)
class Cut:
    """One inner hold-out.

    Attributes
    ----------
    axis : str
        ``scale``, or the input that it holds out along.
    train, test : arrays (n,) of bool
    log_distance : array (n,)
        How far a row lies beyond the fitted ones along the axis.
    weight : float
        What it counts in a score.
    """

    axis: str
    train: BoolArray
    test: BoolArray
    log_distance: FloatArray
    weight: float


def axes_of(table: Table, x: tuple[FloatArray, ...] | list[FloatArray]) -> dict[str, FloatArray]:
    """Logarithms of what an extrapolation is measured along: the product of the sizes, and each input by itself."""
    logs = [one.log(values) for one, values in zip(table.inputs, x, strict=True)]
    roles = [i for i, one in enumerate(table.inputs) if one.role in {"params", "tokens"}]
    compute = [i for i, one in enumerate(table.inputs) if one.role == "compute"]
    sizes = list(table.of_kind("size"))
    scale = roles or compute[:1] or sizes or list(table.of_kind("count", "open", "signed"))
    axes: dict[str, FloatArray] = {}
    if scale:
        axes["scale"] = np.sum([logs[i] for i in scale], axis=0)
    for i, one in enumerate(table.inputs):
        if one.kind not in {"knob", "share"} and scale != [i]:
            axes[one.name] = logs[i]
    if not axes:  # only knobs or shares: each one's upper end
        axes = {one.name: logs[i] for i, one in enumerate(table.inputs)}
    return axes


def inner_cuts(table: Table, least: int) -> list[Cut]:
    """Hold-outs that leave at least `least` rows to fit, the largest training sides first along each axis.

    A value is never split between the sides. Groups are cut each at its own threshold.
    """
    found: list[Cut] = []
    axes = axes_of(table, table.x)
    others = [name for name in axes if name != "scale"]
    for axis, along in axes.items():
        is_main = axis == "scale" or "scale" not in axes
        shares = MAIN_SHARES if axis == "scale" else OTHER_SHARES if "scale" in axes else (0.15, 0.3)
        mine: list[Cut] = []
        for share in shares:
            train, distance = _below(along, table.group, share)
            test = ~train
            if train.sum() < max(least, LEAST_TRAIN * train.size) or test.sum() < 2:
                continue
            if not _varies(table, train) or any(np.array_equal(train, cut.train) for cut in found + mine):
                continue
            mine.append(Cut(axis, train, test, distance, 1.0))
        total = (
            1.0 if "scale" not in axes or not others else MAIN_WEIGHT if is_main else (1 - MAIN_WEIGHT) / len(others)
        )
        found += [Cut(cut.axis, cut.train, cut.test, cut.log_distance, total / len(mine)) for cut in mine]
    whole = sum(cut.weight for cut in found)
    return [Cut(cut.axis, cut.train, cut.test, cut.log_distance, cut.weight / whole) for cut in found]


def _below(along: FloatArray, group: IntArray, share: float) -> tuple[BoolArray, FloatArray]:
    """Rows below the threshold of their group, and how far the others lie beyond the largest of them."""
    train = np.ones(along.size, dtype=bool)
    distance = np.zeros(along.size)
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        values = np.unique(along[rows])
        if values.size < 2:
            continue
        counts = np.array([(along[rows] >= value).sum() for value in values])
        # the threshold whose share of rows is nearest, of those that leave two values to fit
        allowed = np.arange(min(2, values.size - 1), values.size)
        best = allowed[np.argmin(np.abs(counts[allowed] / rows.size - share))]
        out = along[rows] >= values[best] - 1e-12
        train[rows[out]] = False
        distance[rows] = np.where(out, along[rows] - values[best - 1], 0.0)
    return train, distance


def _varies(table: Table, train: BoolArray) -> bool:
    """Whether every input still has two values among the rows to fit."""
    return all(np.unique(values[train]).size > 1 for values in table.x)
