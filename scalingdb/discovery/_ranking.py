"""Which laws lead, how sure that is, what the winner's score hides, and whether a mean of several does better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalingdb.discovery._candidates import Judged, price
from scalingdb.discovery._cuts import Cut
from scalingdb.fits._law_error import growth
from scalingdb.judging.resampling import multiplicities

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["LISTED", "Ranking", "combined", "held_out_by_distance", "rank"]

LISTED = 12
"""Laws in a table."""
DRAWS = 1000
SURE = 0.9
"""Share of the resamples in which one law must be better than another, for the two to be told apart."""
MOST_MEMBERS = 9
SIZES = (1, 3, 5, 9)
"""How many leading laws may be averaged."""
USUAL = 5
"""Laws that are averaged unless nested hold-outs say plainly otherwise. On the training rows of 25 tasks of
``benchmarks/extrapolation.py`` the median of five missed 6 % less than the winner alone on nested hold-outs."""
PLAINLY = 1.25
"""Times the error that five laws must have against another number of them, for this to be taken."""
REPLACES = 0.9
"""Share of the resamples in which a found law must beat the best of the library to come before it."""
CLOSE = 1.5
"""A law whose error is so many times the best's does not lead, however few the rows."""


@dataclass(frozen=True, eq=False)
class Ranking:
    """The laws in order.

    Attributes
    ----------
    order : tuple of Judged
        The law that predicts, first.
    better : tuple of float
        Share of the resamples of held-out rows in which the first law has the smaller error.
    n_alike : int
        Laws at the head that cannot be told apart.
    members : tuple of int
        Positions of the laws whose median predicts.
    optimism : float
        Error of a winner beyond its own hold-outs over its error on them: the mean over nested hold-outs.
    n_nested : int
        Nested hold-outs behind it.
    gains : dict of int to float
        Error of the median of so many leading laws on nested hold-outs.
    size : int
        The number that was chosen; there are fewer members where fewer laws lead.
    """

    order: tuple[Judged, ...]
    better: tuple[float, ...]
    n_alike: int
    members: tuple[int, ...]
    optimism: float
    n_nested: int
    gains: dict[int, float]
    size: int


def combined(errors: Sequence[FloatArray]) -> FloatArray:
    """Error of the median of several predictions: the median of their errors, as logarithms keep the order."""
    return np.asarray(np.median(np.array(errors), axis=0))


def _row_losses(error: FloatArray, cuts: Sequence[Cut]) -> FloatArray:
    """What each row (n,) adds to the mean square of a law."""
    losses = np.zeros(error.shape[1])
    for number, cut in enumerate(cuts):
        rows = cut.test
        losses[rows] += cut.weight * (error[number, rows] / growth(cut.log_distance[rows])) ** 2 / rows.sum()
    return losses


def rank(judged: Sequence[Judged], cuts: Sequence[Cut], seed: int) -> Ranking:
    """Order laws by score; a found one comes before the best of the library only where resampling says so."""
    order = list(judged)
    held = np.any([cut.test for cut in cuts], axis=0)
    losses = np.array([_row_losses(one.error, cuts)[held] * price_of(one, cuts) ** 2 for one in order])
    drawn = multiplicities(int(held.sum()), DRAWS, seed)
    sums = drawn @ losses.T  # (draws, laws)
    best_of_library = next((k for k, one in enumerate(order) if one.is_library), None)
    first = 0
    if best_of_library not in {None, 0}:
        assert best_of_library is not None
        if float((sums[:, 0] < sums[:, best_of_library]).mean()) < REPLACES:
            first = best_of_library
    places = [first, *(k for k in range(len(order)) if k != first)]
    better = [float((sums[:, first] < sums[:, k]).mean()) if k != first else 1.0 for k in places]
    if best_of_library is not None and places.index(best_of_library) >= LISTED:
        # the best of the library is always among the listed ones
        old = places.index(best_of_library)
        places.insert(LISTED - 1, places.pop(old))
        better.insert(LISTED - 1, better.pop(old))
    order = [order[k] for k in places]
    limit = CLOSE * order[0].score
    alike = 1
    while alike < len(order) and better[alike] < SURE and order[alike].score < limit:
        alike += 1
    optimism, n_nested, gains = _nested(judged, cuts)
    size = USUAL
    if n_nested:
        # a few nested hold-outs say little: another number has to be better by far
        size = min(gains, key=lambda number: gains[number] * (1.0 if number == USUAL else PLAINLY))
    leading = [k for k in range(min(len(order), MOST_MEMBERS)) if order[k].score < 2.0 * order[0].score]
    members = leading[: max(size, 1)]
    known = next((k for k, one in enumerate(order) if one.is_library), None)
    if len(members) > 2 and known is not None and known not in members and order[known].score < 2.0 * order[0].score:
        members[-1] = known  # of several, one has a record outside of these rows
    return Ranking(tuple(order), tuple(better), alike, tuple(members), optimism, n_nested, gains, size)


def price_of(one: Judged, cuts: Sequence[Cut]) -> float:
    weights = np.array([cut.weight for cut in cuts])
    return one.risk * price(one.n_params, int(weights @ np.array([float(cut.train.sum()) for cut in cuts])))


def _nested(judged: Sequence[Judged], cuts: Sequence[Cut]) -> tuple[float, int, dict[int, float]]:
    """Choose by the smaller hold-outs, judge on the larger rows that these never saw.

    For each hold-out along the first axis: laws are ranked by fits to smaller rows and their errors at rows that the
    hold-out leaves to be fitted; the winner, fitted to these, predicts the rows beyond.
    """
    main = [k for k, cut in enumerate(cuts) if cut.axis == cuts[0].axis]
    ratios: list[float] = []
    errors: dict[int, list[float]] = {size: [] for size in SIZES}
    for outer in main:
        inner = [k for k in main if cuts[k].train.sum() < cuts[outer].train.sum()]
        inside = [k for k in inner if (cuts[k].test & cuts[outer].train).sum() >= 2]
        if not inside or len(judged) < 2:
            continue
        scores = []
        for one in judged:
            parts = []
            for k in inside:
                rows = cuts[k].test & cuts[outer].train
                parts.append(np.sqrt(np.mean((one.error[k, rows] / growth(cuts[k].log_distance[rows])) ** 2)))
            scores.append(float(np.mean(parts)) * one.risk * price(one.n_params, int(cuts[outer].train.sum())))
        ranked = np.argsort(scores, kind="stable")
        test = cuts[outer].test
        far = growth(cuts[outer].log_distance[test])

        held = [one.error[outer, test] / far for one in judged]
        winner = float(np.sqrt(np.mean(held[int(ranked[0])] ** 2)))
        first = judged[int(ranked[0])]
        plain = scores[int(ranked[0])] / price(first.n_params, int(cuts[outer].train.sum())) / first.risk
        ratios.append(winner / max(plain, 1e-12))
        limit = 2.0 * scores[int(ranked[0])]
        leading = [int(k) for k in ranked if scores[int(k)] < limit]
        for size in SIZES:
            errors[size].append(float(np.sqrt(np.mean(combined([held[k] for k in leading[:size]]) ** 2))))
    if not ratios:
        return 1.0, 0, {}
    gains = {size: float(np.exp(np.mean(np.log(np.maximum(values, 1e-12))))) for size, values in errors.items()}
    return float(np.exp(np.mean(np.log(np.maximum(ratios, 1e-6))))), len(ratios), gains


def held_out_by_distance(one: Judged, cuts: Sequence[Cut]) -> dict[str, float]:
    """Root mean square error up to twice the fitted scale, up to eight times, and beyond; ``nan`` where no row is."""
    edges = {"x2": (0.0, np.log(2.0)), "x8": (np.log(2.0), np.log(8.0)), "beyond": (np.log(8.0), np.inf)}
    found = {}
    for name, (low, high) in edges.items():
        parts = []
        for number, cut in enumerate(cuts):
            if cut.axis == cuts[0].axis:
                rows = cut.test & (cut.log_distance > low) & (cut.log_distance <= high)
                parts.append(one.error[number, rows])
        values = np.concatenate(parts) if parts else np.empty(0)
        found[name] = float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
    return found
