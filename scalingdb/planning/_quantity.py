"""What is solved for: a law, the difference or ratio of two, or a derivative of these, along one input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from scalingdb.errors import DataError, check_word, unknown_name
from scalingdb.fits import Fit
from scalingdb.law_library import Law, get_law
from scalingdb.law_library._ranges import range_of
from scalingdb.notices import argument
from scalingdb.planning._curve import BoolArray, Curve, FloatArray, curve_of, input_named
from scalingdb.planning._pair import Pair, paired
from scalingdb.schema import COLUMNS, MOST

__all__ = ["Quantity", "Relation", "crossings", "quantity_of", "refined", "roots_of_draws", "search_grid"]

Relation = Literal["difference", "ratio"]

REACH = 1e12
"""Times beyond the range of an input, on either side, within which a value is looked for."""

GRID = 721
"""Values of the input at which a quantity is looked at, before each change of sign is refined."""

STEP = 1e-3
"""Step of a difference in the logarithm of an input: its error is of the fourth order."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """A quantity along one input.

    Attributes
    ----------
    label : str
        In words.
    want : str
        The input that is open.
    sides : tuple of Curve
        One law, or two.
    names : tuple of (str or None)
        What each side calls the open input; None where it does not take it.
    relation : {"difference", "ratio"}
        Of two sides.
    slope : str or None
        Input by which the derivative is taken.
    pair : Pair or None
        How the draws of two sides go together.
    """

    label: str
    want: str
    sides: tuple[Curve, ...]
    names: tuple[str | None, ...]
    relation: Relation
    slope: str | None
    pair: Pair | None = field(default=None, repr=False)

    @property
    def interval(self) -> str:
        """How intervals are made, or why there are none."""
        return self.open_reason or (self.pair.interval if self.pair is not None else self.sides[0].interval)

    @property
    def open_reason(self) -> str:
        """Which parameters the rows leave open, where they do."""
        return self.pair.open_reason if self.pair is not None else self.sides[0].open_reason

    @property
    def has_interval(self) -> bool:
        known = self.pair.has_interval if self.pair is not None else self.sides[0].has_interval
        return known and not self.open_reason

    @property
    def is_signed(self) -> bool:
        """Whether the open input may be zero or negative."""
        return any(name in side.law.signed_inputs for side, name in zip(self.sides, self.names, strict=True) if name)

    def at(self, x: FloatArray) -> FloatArray:
        """The quantity (B,) at values of the open input (B,); not a number where a law has no value."""
        parts = [self._side(i, x)(side.estimate)[0] for i, side in enumerate(self.sides)]
        return self._joined(parts)

    def drawn(self, x: FloatArray) -> FloatArray:
        """Draws (P, B) of the quantity, as uncertain as the coefficients."""
        if self.pair is None:
            return self.sides[0].spread(lambda theta: {"value": self._side(0, x)(theta)})["value"]
        return self._joined([self.pair.spread(i, self._side(i, x)) for i in range(2)])

    def _joined(self, parts: list[FloatArray]) -> FloatArray:
        if len(parts) == 1:
            return parts[0]
        with np.errstate(all="ignore"):
            return np.asarray(parts[0] - parts[1] if self.relation == "difference" else parts[0] / parts[1])

    def _side(self, i: int, x: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Value or derivative (P, B) of one side, as a function of its coefficients (P, K)."""
        curve, name = self.sides[i], self.names[i]
        inputs: dict[str, FloatArray] = {name: x} if name else {}
        by = self.slope
        if by is None:
            return lambda theta: curve.value(theta, **inputs) if name else self._level(curve, theta, x)
        if by not in curve.law.inputs:
            return lambda theta: np.zeros((theta.shape[0], x.size))
        centre = x if by == name else np.full(x.shape, curve.given[by])
        step = STEP * (np.maximum(np.abs(centre), 1e-6) if by in curve.law.signed_inputs else centre)

        def slope(theta: FloatArray) -> FloatArray:
            near = [curve.value(theta, **{**inputs, by: centre + k * step}) for k in (-2, -1, 1, 2)]
            return np.asarray((near[0] - near[3] + 8 * (near[2] - near[1])) / (12 * step))

        return slope

    @staticmethod
    def _level(curve: Curve, theta: FloatArray, x: FloatArray) -> FloatArray:
        """A side that does not take the open input: one value everywhere."""
        first = curve.law.inputs[0]
        return curve.value(theta, **{first: np.full(x.shape, curve.given[first])})


def quantity_of(
    law: str | Law | Fit,
    against: str | Law | Fit | None,
    want: str,
    relation: Relation,
    slope: str | None,
    variant: str | None,
    given: Mapping[str, float],
    *,
    pool: bool,
) -> Quantity:
    """Check a question and state it.

    Raises
    ------
    DataError
        If two laws yield different quantities, an input has no value, or none of them takes the open input.
    UnknownNameError
        For an unknown law, input, parameter, variant or relation.
    """
    check_word(relation, get_args(Relation), "relation")
    laws = (law,) if against is None else (law, against)
    names = tuple(input_named(one, want) for one in laws)
    entries = [one.law if isinstance(one, Fit) else get_law(one) for one in laws]
    if not any(names):
        known = [name for entry in entries for name in entry.inputs]
        raise unknown_name("input", want, known, f"(of law {entries[0].name!r}, to solve for)")
    for name in given:
        if not any(input_named(one, name) or name in entry.params for one, entry in zip(laws, entries, strict=True)):
            known = [name for entry in entries for name in (*entry.inputs, *entry.params)]
            raise unknown_name("input", name, known, f"(of law {entries[0].name!r})")
    if len(entries) == 2 and entries[0].output != entries[1].output and not pool:
        raise DataError(
            f"law {entries[0].name!r} yields {entries[0].output}, law {entries[1].name!r} yields {entries[1].output}: "
            "not comparable",
            f"compare laws of one output; {argument(pool=True)} compares all the same.",
        )
    sides = []
    for i, (one, opened, entry) in enumerate(zip(laws, names, entries, strict=True)):
        # own coefficients belong to the first law: two laws may call different things alike
        own = {k: v for k, v in given.items() if input_named(one, k) or (i == 0 and k in entry.params)}
        sides.append(curve_of(one, (opened,) if opened else (), own, variant if i == 0 else None))
    if slope is not None:
        named = next((name for name in (input_named(one, slope) for one in laws) if name), None)
        if named is None:
            raise unknown_name("input", slope, entries[0].inputs, f"(of law {entries[0].name!r}, to derive by)")
        slope = named
    pair = None
    if len(sides) == 2:
        pair = Pair(a=sides[0], b=sides[1], **paired(sides[0], sides[1], pool=pool))
    return Quantity(_words(sides, entries[0].output, relation, slope), want, tuple(sides), names, relation, slope, pair)


def _words(sides: list[Curve], output: str, relation: Relation, slope: str | None) -> str:
    text = f"{output} of {sides[0].label}"
    if len(sides) == 2:
        joint = "less" if relation == "difference" else "over"
        text = f"{text} {joint} that of {sides[1].label}"
    return text if slope is None else f"derivative by {slope} of {text}"


def search_grid(quantity: Quantity, between: tuple[float, float] | None) -> FloatArray:
    """Values of the open input at which the quantity is looked at.

    Raises
    ------
    DataError
        If `between` is no range.
    """
    if between is not None:
        low, high = (float(end) for end in between)
        if not (np.isfinite([low, high]).all() and low < high and (low > 0 or quantity.is_signed)):
            raise DataError(
                f"between={between!r} is not a valid range of {quantity.want}", "for example between=(1e6, 1e12)."
            )
        return np.geomspace(low, high, GRID) if low > 0 else np.linspace(low, high, GRID)
    spans = [
        side.ranges.get(name) or range_of(side.law, name)
        for side, name in zip(quantity.sides, quantity.names, strict=True)
        if name
    ]
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    column = COLUMNS.get(quantity.want)
    most = column.maximum if column is not None and column.unit not in MOST and column.maximum is not None else np.inf
    if low <= 0:
        return np.linspace(low, min(high, most), GRID)
    if quantity.is_signed:  # a domain that starts at zero: as far as the law goes
        return np.geomspace(low, min(high * REACH if not np.isfinite(most) else most, most), GRID)
    return np.geomspace(low / REACH, min(high * REACH, most), GRID)


def crossings(difference: FloatArray) -> list[int]:
    """Cells of a sampled difference (G,) in which it changes its sign; a zero counts once."""
    left, right = difference[:-1], difference[1:]
    with np.errstate(all="ignore"):
        is_root = np.isfinite(left) & np.isfinite(right) & ((left * right < 0) | ((left == 0) & (right != 0)))
        if np.isfinite(difference[-1]) and difference[-1] == 0 and left[-1] != 0:
            is_root[-1] = True
    return [int(i) for i in np.flatnonzero(is_root)]


def refined(function: Callable[[FloatArray], FloatArray], low: float, high: float) -> float:
    """The root of a function in a cell at whose ends it has different signs."""
    from scipy.optimize import brentq

    def scalar(x: float) -> float:
        return float(function(np.array([x]))[0])

    ends = scalar(low), scalar(high)
    if ends[0] == 0 or ends[1] == 0:
        return low if ends[0] == 0 else high
    return float(brentq(scalar, low, high, xtol=1e-14 * max(abs(low), abs(high)), rtol=1e-14))


def roots_of_draws(x: FloatArray, drawn: FloatArray, near: float, sign_above: float) -> tuple[FloatArray, BoolArray]:
    """For each draw (P, G), its root nearest to `near`, and whether it has one.

    A draw without a root counts as infinite (or as nothing) on the side on which its root lies: it never leaves
    the sign that the estimate has below the root (above it).
    """
    is_log = x[0] > 0
    scale = np.log(x) if is_log else x
    target = np.log(near) if is_log else near
    out = np.full(len(drawn), np.nan)
    has_root = np.zeros(len(drawn), dtype=bool)
    for i, row in enumerate(drawn):
        cells = crossings(row)
        if cells:
            at = [scale[c] + (scale[c + 1] - scale[c]) * row[c] / (row[c] - row[c + 1]) for c in cells]
            nearest = min(at, key=lambda value: abs(value - target))
            out[i], has_root[i] = np.exp(nearest) if is_log else nearest, True
            continue
        signs = np.sign(row[np.isfinite(row)])
        if signs.size:
            out[i] = (0.0 if is_log else -np.inf) if signs[-1] == sign_above else np.inf
    return out, has_root
