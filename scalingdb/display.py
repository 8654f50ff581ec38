"""How a number, a share, an interval and a table look, wherever a result is displayed."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["DEFAULT_LEVEL", "Markup", "html_table", "interval", "magnitude", "number", "percent", "symbol"]

DEFAULT_LEVEL = 0.95
"""Coverage of an interval unless `level` says otherwise."""


GREEK = {
    **{"alpha": "\u03b1", "beta": "\u03b2", "gamma": "\u03b3", "delta": "\u03b4", "epsilon": "\u03b5", "eta": "\u03b7"},
    **{"theta": "\u03b8", "kappa": "\u03ba", "lambda": "\u03bb", "mu": "\u03bc", "nu": "\u03bd", "rho": "\u03c1"},
    **{"sigma": "\u03c3", "tau": "\u03c4", "phi": "\u03c6", "omega": "\u03c9", "eps": "\u03b5", "inf": "\u221e"},
}


class Markup(str):
    """Text that is HTML already, such as a formula: :func:`html_table` does not escape it."""

    __slots__ = ()


def symbol(name: str) -> Markup:
    """A parameter as it is printed, in HTML: Greek letters, and what follows an underscore below the line.

    Examples
    --------
    >>> symbol("E"), symbol("L_inf")
    ('<i>E</i>', '<i>L</i><sub>∞</sub>')
    """
    head, *below = (html.escape(GREEK.get(part, part)) for part in name.split("_"))
    return Markup(f"<i>{head}</i>" + (f"<sub>{' '.join(below)}</sub>" if below else ""))


def number(value: float | None, digits: int = 5) -> str:
    """A number to `digits` significant digits; nothing for null, the sign for infinity.

    Whole numbers below ten million are written in full, larger ones with a power of ten.

    Examples
    --------
    >>> number(406.4017), number(1.4e12), number(240.0), number(None), number(float("inf"))
    ('406.4', '1.4e12', '240', '', '∞')
    """
    if value is None or math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if float(value).is_integer() and abs(value) < 1e7:
        return f"{value:.0f}"
    mantissa, _, power = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(power)}" if power else mantissa


def magnitude(value: float | None, digits: int = 3) -> str:
    """A count of parameters or tokens as the field writes it; powers of ten from a quadrillion on.

    Examples
    --------
    >>> magnitude(97.18e9), magnitude(1.7155e12), magnitude(512.0), magnitude(3e16), magnitude(None)
    ('97.2B', '1.72T', '512', '3e16', '')
    """
    if value is not None and abs(value) < 1e15:
        for letter, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
            if abs(value) >= size:
                return number(float(f"{value / size:.{digits}g}"), digits) + letter
    return number(value, digits)


def percent(share: float | None) -> str:
    """A share in per cent: two decimals below 10 %, one below 100 %, none above; nothing for null.

    Examples
    --------
    >>> percent(0.0268), percent(0.345), percent(1.5), percent(None)
    ('2.68 %', '34.5 %', '150 %', '')
    """
    if share is None or math.isnan(share):
        return ""
    if math.isinf(share):
        return f"{number(share)} %"
    value = 100 * share
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:z.{decimals}f} %"


def interval(low: float | None, high: float | None, digits: int = 5) -> str:
    """``low to high``; nothing where there is no interval.

    Examples
    --------
    >>> interval(1.2, 3.4), interval(1.2, float("inf")), interval(None, None)
    ('1.2 to 3.4', '1.2 to ∞', '')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"{number(low, digits)} to {number(high, digits)}"


def html_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table; floats appear as :func:`number` writes them, null as nothing, text escaped."""
    names = "".join(f"<th>{_cell(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    if isinstance(value, Markup):
        return value
    if isinstance(value, float):
        return number(value)
    return "" if value is None else html.escape(str(value))
