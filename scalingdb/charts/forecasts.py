"""Charts of forecasts: how far beyond the rows, and what the law missed by before."""

from __future__ import annotations

import altair as alt
import polars as pl

from scalingdb.charts._theme import BAD, MUTED, PALETTE, POWER, log_axis, need, thinned
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level

__all__ = ["forecast_chart"]


def forecast_chart(
    fitted: pl.DataFrame, targets: pl.DataFrame, past: pl.DataFrame, level: float = DEFAULT_LEVEL, title: str = ""
) -> alt.HConcatChart:
    """Rows and forecasts along the scale, and past misses by distance with the width of the forecasts.

    Parameters
    ----------
    fitted : DataFrame
        ``scale, value`` of the fitted rows.
    targets : DataFrame
        ``scale, prediction, low, high, distance`` of the forecasts.
    past : DataFrame
        ``holdout, distance, relative_error`` of fits to the smaller rows, as :meth:`Forecast.past` returns them.
    level : float
        Coverage of the intervals, for their label.
    title : str
    """
    check_level(level)
    need(fitted, ["scale", "value"])
    need(targets, ["scale", "prediction", "low", "high", "distance"])
    need(past, ["holdout", "distance", "relative_error"])
    if targets.is_empty():
        raise DataError("there is no forecast to draw")
    low = min(float(fitted["scale"].min()), float(targets["scale"].min())) / 1.3  # type: ignore[arg-type]
    high = max(float(fitted["scale"].max()), float(targets["scale"].max())) * 1.3  # type: ignore[arg-type]
    x = alt.X(
        "scale:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=log_axis("scale: product of the sizes", low, high, labels=POWER),
    )
    y_scale = alt.Scale(zero=False)
    dots = (
        alt.Chart(thinned(fitted))
        .mark_point(color=MUTED, filled=True, opacity=0.5, size=22)
        .encode(x=x, y=alt.Y("value:Q", title=None, scale=y_scale), tooltip=["scale:Q", "value:Q"])
    )
    shown = targets.filter(pl.col("low").is_finite() & pl.col("high").is_finite())
    rules = alt.Chart(shown).mark_rule(color=PALETTE[0], strokeWidth=2).encode(x=x, y="low:Q", y2="high:Q")
    points = (
        alt.Chart(targets)
        .mark_point(color=PALETTE[0], filled=True, size=70, opacity=1)
        .encode(x=x, y=alt.Y("prediction:Q", scale=y_scale), tooltip=["scale:Q", "prediction:Q", "low:Q", "high:Q"])
    )
    left = alt.layer(dots, rules, points).properties(
        width=360, height=260, title=f"{title}, rows and forecasts ({100 * level:g} % intervals)".lstrip(", ")
    )
    return alt.hconcat(left, _misses(targets, past))


def _misses(targets: pl.DataFrame, past: pl.DataFrame) -> alt.LayerChart:
    """Errors of past forecasts against distance; the intervals of the forecasts as rules."""
    far = max(float(targets["distance"].max()), float(past["distance"].max() or 1.0)) * 1.2  # type: ignore[arg-type]
    x = alt.X(
        "distance:Q",
        scale=alt.Scale(type="log", domain=[1.0, far], nice=False),
        axis=log_axis("times beyond the fitted range", 1.0, far, labels="'x' + format(datum.value, '~g')"),
    )
    y = alt.Y("error:Q", title="predicted over observed, minus 1, %")
    errors = past.filter(pl.col("relative_error").is_finite()).select(
        "holdout", "distance", error=100 * pl.col("relative_error")
    )
    dots = alt.Chart(thinned(errors)).mark_point(color=BAD, size=24, opacity=0.6).encode(x=x, y=y)
    widths = targets.filter(pl.col("low") > 0, pl.col("high").is_finite()).select(
        "distance",
        error=100 * (pl.col("prediction") / pl.col("high") - 1),
        upper=100 * (pl.col("prediction") / pl.col("low") - 1),
    )
    rules = alt.Chart(widths).mark_rule(color=PALETTE[0], strokeWidth=2).encode(x=x, y=y, y2="upper:Q")
    return alt.layer(dots, rules).properties(
        width=300, height=260, title="past misses, and what the forecasts allow for"
    )
