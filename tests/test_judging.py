"""Judging: splits, scores, resampling, the words for them, and tables that move only when they should."""

from __future__ import annotations

from collections.abc import Callable

import _judged
import polars as pl
import pytest

import scalingdb as sdb


@pytest.mark.filterwarnings("ignore::scalingdb.FitWarning")
@pytest.mark.parametrize("tables", [_judged.comparisons, _judged.trials], ids=lambda maker: maker.__name__)
def test_tables_agree_with_our_own_stored_ones(tables: Callable[[sdb.Warehouse], dict[str, pl.DataFrame]]) -> None:
    """Not a published figure: a change here is a change of ours, to be explained and stored again."""
    with sdb.connect() as db:
        _agrees(_judged.long(tables(db)))


def test_standings_agree_with_our_own_stored_ones() -> None:
    _agrees(_judged.long(_judged.standings()))


def _agrees(now: pl.DataFrame) -> None:
    stored = pl.read_csv(_judged.STORED, schema_overrides={"value": pl.Float64})
    both = now.join(stored, on=["table", "row", "column"], how="left", suffix="_stored")
    assert both["value_stored"].null_count() == both["value"].null_count()
    apart = (pl.col("value") - pl.col("value_stored")).abs() / pl.col("value_stored").abs().clip(1e-6)
    moved = both.with_columns(apart=apart).filter(pl.col("apart") > 1e-3)
    assert moved.is_empty(), moved
