"""How numbers, shares, intervals and tables look."""

from __future__ import annotations

import math

import pytest

from scalingdb.display import Markup, html_table, interval, magnitude, number, percent


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (240.0, "240"),
        (406.40173, "406.4"),
        (1.4e12, "1.4e12"),
        (-0.000012345678, "-1.2346e-5"),
        (9_999_999.0, "9999999"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, ""),
        (math.nan, ""),
        (4.4e-14, "0.00 %"),
        (0.0268, "2.68 %"),
        (0.345, "34.5 %"),
        (1.5, "150 %"),
        (math.inf, "∞ %"),
    ],
)
def test_shares(share: float | None, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (97.18e9, "97.2B"),
        (1.715e12, "1.72T"),
        (512.0, "512"),
        (74e6, "74M"),
        (2.5e3, "2.5K"),
        (3e16, "3e16"),
        (None, ""),
    ],
)
def test_magnitudes(value: float | None, text: str) -> None:
    assert magnitude(value) == text


def test_an_interval_without_an_end_says_so() -> None:
    assert interval(1.2, 3.4) == "1.2 to 3.4"
    assert interval(0.0, math.inf) == "0 to ∞"
    assert interval(None, 3.4) == interval(1.2, math.nan) == ""


def test_a_table_escapes_text_and_keeps_markup() -> None:
    table = html_table(["<a>", "x"], [["<b>", 2.5], [Markup("<i>E</i>"), None]])
    assert table == (
        "<table><thead><tr><th>&lt;a&gt;</th><th>x</th></tr></thead><tbody>"
        "<tr><td>&lt;b&gt;</td><td>2.5</td></tr><tr><td><i>E</i></td><td></td></tr></tbody></table>"
    )
