"""Source `xlstm_coefficients`: logarithms are turned into factors."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from _ingest import tables_of


def test_sets_are_the_printed_ones(raw_directory: Path) -> None:
    fits = tables_of("xlstm_coefficients", raw_directory)["published_fits"]
    values = {(variant, param): value for variant, param, value in fits.select("variant", "param", "value").iter_rows()}
    assert fits.height == 2 * 6
    assert math.log(values["beck_xlstm", "A"]) == pytest.approx(15.457385)
    assert values["beck_transformer", "gamma"] == 0.253203
    assert set(fits["evidence"]) == {"converted"}
