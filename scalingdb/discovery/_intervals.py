"""Forecast intervals of a search's result: what its laws missed by on the inner hold-outs, and how that grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from scalingdb.discovery._cuts import Cut, axes_of
from scalingdb.discovery._inputs import Table
from scalingdb.fits._law_error import NOTHING, InnerHoldouts, _summary, offsets, pooled

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["coverage_of", "distances", "holdouts_of", "interval_ends"]


def holdouts_of(error: FloatArray, cuts: Sequence[Cut], n_rows: int, *, but: int | None = None) -> InnerHoldouts:
    """Misses (C, n) of a predictor along the first axis, over their growth with distance; one may be left out."""
    errors, distances_, numbers, count = [], [], [], 0
    for number, cut in enumerate(cuts):
        if cut.axis != cuts[0].axis or number == but:
            continue
        errors.append(error[number, cut.test])
        distances_.append(cut.log_distance[cut.test])
        numbers.append(np.full(int(cut.test.sum()), count))
        count += 1
    if not errors:
        return InnerHoldouts(0, 0.0, 0.0, 0.0)
    return _summary(np.concatenate(errors), np.concatenate(distances_), np.concatenate(numbers), n_rows)


def distances(table: Table, x: Sequence[FloatArray], group: FloatArray) -> tuple[FloatArray, list[str]]:
    """Logarithm of how far rows lie beyond the largest of their group, and along which axis they are farthest out."""
    there, here = axes_of(table, list(x)), axes_of(table, table.x)
    farthest = np.zeros(len(group))
    which = np.full(len(group), "", dtype=object)
    for axis, along in there.items():
        for sign in (1.0, -1.0):
            top = np.full(len(table.groups), -np.inf)
            np.maximum.at(top, table.group, sign * here[axis])
            beyond = sign * along - top[np.asarray(group, dtype=np.int64)]
            more = beyond > np.maximum(farthest, NOTHING)
            farthest = np.where(more, beyond, farthest)
            which = np.where(more, axis, which)
    return farthest, [str(name) for name in which]


def interval_ends(
    own: InnerHoldouts,
    scatter: float,
    n_params: int,
    n_rows: int,
    log_distance: FloatArray,
    n_inputs: int,
    optimism: float,
    level: float,
) -> tuple[FloatArray, FloatArray]:
    """Ends of intervals around predictions, in the unit of the errors: scatter inside, the law's error beyond.

    The spread of past misses is widened by the optimism of having chosen the winner by them.
    """
    from scipy.special import stdtrit

    widened = replace(own, spread=own.spread * max(optimism, 1.0))
    below, above = offsets(pooled(n_inputs), widened, scatter, np.maximum(log_distance, 0.0), level)
    half = float(stdtrit(max(n_rows - n_params, 1), 0.5 + level / 2)) * scatter
    half *= float(np.sqrt(1.0 + n_params / n_rows))
    inside = log_distance <= NOTHING
    return (
        np.where(inside, -half, np.minimum(below, -0.5 * half)),
        np.where(inside, half, np.maximum(above, 0.5 * half)),
    )


def coverage_of(
    error: FloatArray,
    cuts: Sequence[Cut],
    scatter: float,
    n_params: int,
    n_inputs: int,
    level: float,
) -> float:
    """Share of held-out rows inside the interval that the other hold-outs give; ``nan`` where there are too few."""
    inside, count = 0.0, 0
    for number, cut in enumerate(cuts):
        if cut.axis != cuts[0].axis:
            continue
        own = holdouts_of(error, cuts, error.shape[1], but=number)
        below, above = interval_ends(
            own, scatter, n_params, error.shape[1], cut.log_distance[cut.test], n_inputs, 1.0, level
        )
        miss = -error[number, cut.test]  # observation against prediction
        inside += float(((miss >= below) & (miss <= above)).mean())
        count += 1
    return inside / count if count else float("nan")
