"""Axes of the explorer's charts: positions in pixels, ticks and their labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.display import magnitude, number

__all__ = ["Axis"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Axis:
    """A scale from values to pixels.

    Attributes
    ----------
    low, high : float
        Ends of the range of values.
    start, end : float
        Pixels at these ends.
    is_log : bool
    counts : bool
        Whether labels are counts (300M, 10B) below a quadrillion.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool
    counts: bool = False

    @staticmethod
    def around(values: FloatArray, start: float, end: float, *, is_log: bool, margin: float = 0.05) -> Axis:
        """A scale that holds all finite values, with a margin (share of the range) at both ends."""
        finite = values[np.isfinite(values) & ((values > 0) | (not is_log))]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (1.0, 10.0)
        if is_log:
            low, high = math.log(low), math.log(high)
        room = margin * (high - low) or max(abs(low) * 0.1, 0.1)
        low, high = low - room, high + room
        return Axis(math.exp(low) if is_log else low, math.exp(high) if is_log else high, start, end, is_log)

    def at(self, values: Any) -> FloatArray:
        """Pixels of values, kept near the drawing where they leave it."""
        with np.errstate(all="ignore"):
            x = np.asarray(values, dtype=float)
            ends = (self.low, self.high)
            if self.is_log:
                x, ends = np.log(np.maximum(x, 1e-300)), (math.log(self.low), math.log(self.high))
            share = np.clip((x - ends[0]) / (ends[1] - ends[0]), -3.0, 4.0)
            return np.asarray(self.start + share * (self.end - self.start))

    def ticks(self, room: float = 70.0) -> list[tuple[float, str]]:
        """Round values and their labels, about one for every `room` pixels."""
        wanted = max(2, int(abs(self.end - self.start) / room))
        decades = math.log10(self.high / self.low) if self.is_log else 0.0
        if self.is_log and decades >= 1.0:
            steps: tuple[float, ...] = (1,)
            stride = max(1, math.ceil(decades / wanted))
            if decades * 3 <= wanted:
                steps = (1, 2, 5)
            elif decades * 2 <= wanted:
                steps = (1, 3)
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            powers = [p for p in range(first, last + 1) if p % stride == 0]
            found = [step * 10.0**power for power in powers for step in steps]
        else:
            raw = (self.high - self.low) / wanted
            size = 10.0 ** math.floor(math.log10(raw))
            step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw)
            first, last = math.ceil(self.low / step), math.floor(self.high / step)
            found = [i * step for i in range(first, last + 1)]
        return [(value, self._label(value)) for value in found if self.low <= value <= self.high]

    def _label(self, value: float) -> str:
        if self.counts and abs(value) < 1e15:
            return magnitude(value)
        if self.is_log and (value >= 1e5 or value < 1e-3):
            power = math.floor(math.log10(value) + 1e-9)
            factor = value / 10.0**power
            return ("" if abs(factor - 1) < 1e-6 else f"{factor:.3g}·") + "10" + str(power).translate(SUPERSCRIPT)
        return number(float(f"{value:.6g}"))
