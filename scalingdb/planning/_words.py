"""Numbers as the field writes them: 70.6B parameters, 1.4T tokens, 5.8e23 FLOP."""

from __future__ import annotations

import numpy as np

__all__ = ["between", "count", "flop", "four", "three", "times"]


def count(value: float | None) -> str:
    """Parameters or tokens to three digits: ``7.31e10`` is ``73.1B``."""
    if value is None or np.isnan(value):
        return "unknown"
    if np.isinf(value):
        return "infinity"
    for limit, letter in ((1e15, ""), (1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= limit:
            return f"{value:.3g}" if not letter else f"{_three(value / limit)}{letter}"
    return _three(value)


def _three(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def flop(value: float | None) -> str:
    """FLOP to three digits: ``5.76e23``."""
    if value is None or np.isnan(value):
        return "unknown"
    if np.isinf(value):
        return "infinity"
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"


def three(value: float | None) -> str:
    """A ratio to three digits."""
    if value is None or np.isnan(value):
        return "unknown"
    if np.isinf(value):
        return "infinity"
    return f"{value:.0f}" if 999.5 <= abs(value) < 1e6 else f"{value:.3g}"


def times(value: float | None) -> str:
    """A ratio near one: ``1.00``, ``0.73``; else three digits."""
    if value is not None and np.isinf(value):
        return "infinity"
    if value is not None and 0.1 <= value < 10:
        return f"{value:.2f}"
    return three(value)


def four(value: float | None) -> str:
    """A loss to four digits."""
    return "unknown" if value is None or not np.isfinite(value) else f"{value:.4g}"


def between(low: str, high: str, level: float) -> str:
    """An interval in words; nothing where it is not known."""
    return "" if "unknown" in (low, high) else f" ({100 * level:g} % interval {low} to {high})"
