"""Tolerance of a number as it is printed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["printed"]


def printed(text: str) -> dict[str, Any]:
    """Keywords of a :class:`Figure` for a number that is printed in full: it may be rounded, no more.

    Examples
    --------
    >>> printed("482.01")
    {'stated': 482.01, 'tolerance': 0.005, 'why': 'half a unit of the last digit stated'}
    """
    exponent = Decimal(text).as_tuple().exponent
    return {
        "stated": float(text),
        "tolerance": float(Decimal(5).scaleb(int(exponent) - 1)),
        "why": "half a unit of the last digit stated",
    }
