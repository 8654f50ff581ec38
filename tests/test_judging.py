"""Judging: splits, scores, resampling, the words for them, and tables that move only when they should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _judged
import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.judging.fitting import fact_of, fit_sides


@pytest.mark.filterwarnings("ignore::scalingdb.FitWarning")
@pytest.mark.parametrize(
    "tables",
    [_judged.comparisons, pytest.param(_judged.trials, marks=pytest.mark.ci)],
    ids=lambda maker: maker.__name__,
)
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


def test_an_error_of_a_law_keeps_its_class_and_takes_no_other_group_along() -> None:
    @sdb.law(
        "for_small_runs",
        cite="none",
        inputs=("n_tokens",),
        params={"A": sdb.positive, "alpha": sdb.exponent},
    )
    def law(n_tokens: Any, *, A: Any, alpha: Any) -> Any:
        if np.size(n_tokens) and np.max(n_tokens) > 1e11:
            raise TypeError("made for small runs")
        return A / n_tokens**alpha

    x = np.geomspace(1e8, 1e9, 12)
    rows = pl.concat(
        pl.DataFrame({"side": [side] * 12, "n_tokens": scale * x, "loss": 90 / x**0.2 + 0.001 * np.cos(x)})
        for side, scale in (("small", 1.0), ("large", 1000.0))
    )
    fits, errors = fit_sides(rows, law, ["side"])
    assert list(fits) == [("small",)]
    assert type(errors[("large",)]) is TypeError
    assert fact_of(errors[("large",)]) == "TypeError: made for small runs"
