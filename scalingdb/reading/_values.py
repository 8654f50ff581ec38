"""Numbers as people write them: 1.3B, 350,000,000, 45.3 %, n/a."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Literal

import polars as pl

from scalingdb.errors import DataError
from scalingdb.notices import argument
from scalingdb.reading._report import listed

__all__ = ["Conversion", "Numbers", "as_text", "numbers"]

Conversion = Literal["truth", "percent", "thousands", "decimal_comma", "suffix"]

WORDS: dict[Conversion, str] = {
    "truth": "true and false became 1 and 0",
    "percent": "percent signs read as shares",
    "thousands": "separators of thousands removed",
    "decimal_comma": "decimal commas read",
    "suffix": "suffixes read as factors",
}

_EMPTY = ("", "-", "--", "\u2013", "\u2014", ".", "n/a", "na", "nan", "null", "none", "nil", "missing", "<na>")
MISSING = (*_EMPTY, "#n/a", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!")
"""Cells that hold no value, in lower case; those with # are what spreadsheets write for a failed formula."""

SUFFIXES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9}
SUFFIXES |= {"g": 1e9, "t": 1e12, "tn": 1e12, "trillion": 1e12}
"""Factors of counts."""

_MARKS = ",._ \u00a0\u202f'"
"""Characters between groups of digits."""

_THOUSANDS = re.compile(r"[+-]?\d{1,3}(?:[,_ \u00a0\u202f']\d{3})+(?:\.\d+)?")
_GROUPED = re.compile(rf"(?P<number>{_THOUSANDS.pattern})(?P<rest>(?:[eE][+-]?\d+)?\s*[A-Za-z]*)")
_DOTTED_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+(?:,\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_SUFFIXED = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*([A-Za-z]+)")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Numbers:
    """A column as numbers.

    Attributes
    ----------
    values : Series of Float64
        Null where there is no value.
    conversions : mapping
        What was converted, with an example of each kind ("" for truth values).
    not_finite : int
        Cells that said NaN or infinity.
    faults : tuple of (int, str)
        Position and text of cells that are neither numbers nor missing.
    inexact : tuple of (int, str)
        Position and text of whole numbers that `values` rounds: beyond 2 ** 53 a float is not every one.
    whole : Series of Int64, optional
        The column as it stands, where `values` rounds a cell and all are whole and fit.
    """

    values: pl.Series
    conversions: Mapping[Conversion, str]
    not_finite: int
    faults: tuple[tuple[int, str], ...]
    inexact: tuple[tuple[int, str], ...] = ()
    whole: pl.Series | None = None

    @property
    def notes(self) -> list[str]:
        """The conversions in words."""
        return [WORDS[kind] + (f" ({example})" if example else "") for kind, example in self.conversions.items()]


def numbers(
    column: pl.Series, *, is_count: bool, is_share: bool = False, is_knob: bool = False, decimal: str | None = None
) -> Numbers:
    """A column as numbers, with what had to be converted and what could not.

    Parameters
    ----------
    column : Series
        Of any type.
    is_count : bool
        Whether suffixes such as ``B`` are factors (they are for parameters, tokens and FLOP).
    is_share : bool
        Whether a percent sign divides by 100.
    is_knob : bool
        Whether truth values may stand for 1 and 0, as they do for an indicator.
    decimal : {".", ",", None}
        What a comma before three digits means; None refuses a column in which it could be either.

    Raises
    ------
    DataError
        For dates, for truth values that are no indicator, and for an ambiguous comma.
    """
    name = column.name
    if column.dtype.is_numeric():
        return _with_whole(_finite(column.cast(pl.Float64)), column)
    if column.dtype == pl.Boolean:
        if not is_knob:
            raise DataError(f"column {name!r} holds true and false, not numbers", "map another column.")
        return _finite(column.cast(pl.Float64), {"truth": ""})
    if column.dtype.is_temporal() or column.dtype.is_nested():
        raise DataError(f"column {name!r} holds {column.dtype}, not numbers", "map another column.")
    text = as_text(column).str.replace_all("\u2212", "-").str.strip_chars(" \t\r\n\u00a0\"'\ufeff")
    is_missing = text.is_null() | text.str.to_lowercase().is_in(list(MISSING))
    said_nan = int((text.str.to_lowercase() == "nan").sum())
    values = text.cast(pl.Float64, strict=False).set(is_missing, None)
    dots_group = _dots_group_thousands(text.filter(~is_missing).to_list(), decimal)
    if dots_group:
        values = values.set(text.str.contains(".", literal=True).fill_null(False), None)
    rest = (values.is_null() & ~is_missing).arg_true().to_list()
    if not rest:
        return _with_whole(_finite(values, said=said_nan), text)
    cells = {i: text[i] for i in rest}
    comma_is_decimal = _comma_is_decimal(name, text.filter(~is_missing).to_list(), decimal, is_count)
    conversions: dict[Conversion, str] = {}
    faults: list[tuple[int, str]] = []
    parsed: dict[int, float] = {}
    for i, cell in cells.items():
        result = _cell(cell, is_count, is_share, comma_is_decimal, dots_group)
        if result is None:
            faults.append((i, str(column[i])))
            continue
        parsed[i], kind = result
        if kind is not None:
            conversions.setdefault(kind, f"{cell!r} -> {parsed[i]:,.6g}")
    filled = values.to_list()
    for i, value in parsed.items():
        filled[i] = value
    filled_in = _finite(pl.Series(name, filled, dtype=pl.Float64), conversions, tuple(faults), said_nan)
    return _with_whole(filled_in, text)


def as_text(column: pl.Series) -> pl.Series:
    """A column as text.

    Raises
    ------
    DataError
        For lists, and for bytes that are no text.
    """
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"column {column.name!r} holds {column.dtype} that is no text: {str(error).splitlines()[0]}",
            "map another column, or convert it first.",
        ) from error


def _finite(
    values: pl.Series,
    conversions: Mapping[Conversion, str] = MappingProxyType({}),
    faults: tuple[tuple[int, str], ...] = (),
    said: int = 0,
) -> Numbers:
    lost = int((~values.is_finite()).fill_null(False).sum())
    clean = values.set((~values.is_finite()).fill_null(False), None) if lost else values
    return Numbers(clean, conversions, lost + said, faults)


_DIGITS = re.compile(rf"([+-]?\d[\d{_MARKS}]*?)(?:[.,]0*)?")


def _with_whole(found: Numbers, column: pl.Series) -> Numbers:
    """What was read, with the whole numbers that a float rounds; `column` holds numbers, or text."""
    large = (found.values.abs() >= 2.0**53).fill_null(False)
    if not large.any() or column.dtype.is_float():
        return found
    exact: dict[int, int] = {}
    for i in large.arg_true():
        value = float(found.values[i])
        cell = str(column[i])
        if _NUMBER.fullmatch(cell):
            written = Decimal(cell)
        elif digits := _DIGITS.fullmatch(cell):
            written = Decimal(re.sub(f"[{_MARKS}]", "", digits[1]))
        else:
            continue
        if written == written.to_integral_value() and float(written) == value:  # no decimal comma, no factor
            exact[i] = int(written)
    inexact = tuple((i, str(column[i])) for i, number in exact.items() if number != int(found.values[i]))
    if not inexact:
        return found
    values = [None if v is None else exact.get(i, v) for i, v in enumerate(found.values.to_list())]
    is_whole = all(v is None or (v == int(v) and -(2**63) <= v < 2**63) for v in values)
    kept = [None if v is None else int(v) for v in values]
    whole = pl.Series(column.name, kept, dtype=pl.Int64) if is_whole else None
    return replace(found, inexact=inexact, whole=whole)


def _dots_group_thousands(cells: list[str], decimal: str | None) -> bool:
    """Whether dots group thousands, as where a comma begins decimals: 350.000.000, and then 7.100 beside it, too."""
    dotted = [cell for cell in cells if "." in cell]
    if not dotted or not all(_DOTTED_THOUSANDS.fullmatch(cell) for cell in dotted):
        return False
    return decimal == "," or any(cell.count(".") > 1 or "," in cell for cell in dotted)


def _comma_is_decimal(name: str, cells: list[str], decimal: str | None, is_count: bool) -> bool:
    """Whether a comma in this column stands before decimals, by all of its cells."""
    if decimal is not None:
        if decimal not in {".", ","}:
            raise DataError(f"{argument(decimal=decimal)} is neither '.' nor ','")
        return decimal == ","
    with_comma = [cell for cell in cells if "," in cell]
    if not with_comma:
        return False
    bare = [cell.rstrip(" %") for cell in with_comma]
    if is_count:  # 1,1B
        bare = [re.sub(r"\s*[A-Za-z]+$", "", cell) for cell in bare]
    if any(_DECIMAL_COMMA.fullmatch(cell) and not _THOUSANDS.fullmatch(cell) for cell in bare):
        return True
    grouped_twice = any(cell.count(",") > 1 for cell in bare) or any("." in cell for cell in cells)
    zero_led = any(re.fullmatch(r"[+-]?0,\d{3}", cell) for cell in bare)
    if zero_led:
        return True
    if grouped_twice or any(_SUFFIXED.fullmatch(cell.replace(",", "")) for cell in with_comma):
        return False
    raise DataError(
        f"column {name!r}: the comma in {listed(map(repr, with_comma), 3)} may group thousands or begin decimals",
        f"say which: {argument(decimal=',')} for decimals, {argument(decimal='.')} for thousands.",
    )


def _cell(
    cell: str, is_count: bool, is_share: bool, comma_is_decimal: bool, dots_group: bool
) -> tuple[float, Conversion | None] | None:
    """Value of one cell that is not a plain number, and the kind of conversion; None where it is not a number."""
    body, factor = cell, 1.0
    kind: Conversion | None = None
    if body.endswith("%"):
        if not is_share:
            return None
        body, factor, kind = body[:-1].strip(), 0.01, "percent"
    if dots_group and "." in body:
        body, kind = body.replace(".", "").replace(",", "."), kind or "thousands"
    elif comma_is_decimal:
        if "." in (whole := body.partition(",")[0]) and "," in body and not _DOTTED_THOUSANDS.fullmatch(whole):
            return None
        body, kind = body.replace(".", "").replace(",", ".") if "," in body else body, kind or "decimal_comma"
    elif grouped := _GROUPED.fullmatch(body):
        body = re.sub(r"[,_ \u00a0\u202f']", "", grouped["number"]) + grouped["rest"]
        kind = kind or "thousands"
    if is_count and (suffixed := _SUFFIXED.fullmatch(body)):
        unit = suffixed[2].lower()
        if unit not in SUFFIXES:
            return None
        body, factor, kind = suffixed[1], SUFFIXES[unit], "suffix"
    if not _NUMBER.fullmatch(body):
        return None
    value = float(body) * factor
    if factor != 1.0:
        value = float(f"{value:.15g}")  # 45.3 times .01 is .45299999999999996, which nobody wrote
    return (value, kind) if math.isfinite(value) else None
