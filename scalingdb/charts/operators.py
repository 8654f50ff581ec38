"""Charts of solutions and best inputs of a law along one input."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl

from scalingdb.charts._theme import INK, MARK, PALETTE, RULE, log_axis
from scalingdb.errors import DataError

__all__ = ["optimum_chart", "solution_chart"]


def _along(values: pl.Series, name: str) -> alt.X:
    """An input as the horizontal axis: logarithmic where all values are positive and span a decade."""
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    if low > 0 and high > 10 * low:
        scale = alt.Scale(type="log", domain=[low, high], nice=False, clamp=True)
        return alt.X(f"{name}:Q", scale=scale, axis=log_axis(name, low, high))
    return alt.X(f"{name}:Q", scale=alt.Scale(zero=False, domain=[low, high], clamp=True), title=name)


def solution_chart(curve: pl.DataFrame, table: pl.DataFrame, want: str, label: str) -> alt.LayerChart:
    """A quantity along one input with its interval, the values asked for, and where they are reached.

    Parameters
    ----------
    curve : DataFrame
        The input named `want`, ``value, low, high``.
    table : DataFrame
        Solutions: ``target``, the input, and the ends of its interval, named with ``_low`` and ``_high``.
    want, label : str
        Name of the input, and what the value is.

    Raises
    ------
    DataError
        If there is nothing to draw.
    """
    if curve.is_empty() or not curve["value"].count():
        raise DataError("there is no curve to draw")
    x = _along(curve[want], want)
    table = table.drop_nulls(want)
    title = label if len(label) < 60 else "value"
    base = alt.Chart(curve).encode(x=x)
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False))
    band = base.transform_filter("isValid(datum.low)").mark_area(opacity=0.18, color=PALETTE[0])
    targets = alt.Chart(table).mark_rule(color=INK, strokeDash=[4, 3]).encode(y=alt.Y("target:Q", title=title))
    ends = table.drop_nulls(f"{want}_low").with_columns(
        pl.col(f"{want}_low").clip(lower_bound=float(curve[want].min())),  # type: ignore[arg-type]
        pl.col(f"{want}_high").clip(upper_bound=float(curve[want].max())),  # type: ignore[arg-type]
    )
    spans = (
        alt.Chart(ends)
        .mark_rule(strokeWidth=4, color=MARK)
        .encode(x=_along(curve[want], f"{want}_low"), x2=f"{want}_high:Q", y="target:Q")
    )
    dots = (
        alt.Chart(table)
        .mark_point(size=90, color=MARK, opacity=1)
        .encode(
            x=x, y="target:Q", tooltip=[alt.Tooltip("target:Q", format=".5g"), alt.Tooltip(f"{want}:Q", format=".4s")]
        )
    )
    return alt.layer(
        band.encode(y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False)), y2="high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y),
        targets,
        spans,
        dots,
    ).properties(width=470, height=280)


def optimum_chart(curves: pl.DataFrame, table: pl.DataFrame, output: str) -> alt.HConcatChart:
    """The output along each input that was chosen, all other inputs chosen best, and the best value.

    Parameters
    ----------
    curves : DataFrame
        ``input, x, value``.
    table : DataFrame
        The best values: ``input, best, low, high, value``.
    output : str
        Name of the output.
    """
    panels = []
    for name in table["input"].unique(maintain_order=True):
        rows, best = curves.filter(input=name).drop_nulls("value"), table.filter(input=name)
        if rows.is_empty():
            continue
        x = _along(pl.concat([rows["x"], best["best"]]), "x").title(name)
        y = alt.Y("value:Q", title=output, scale=alt.Scale(zero=False))
        line = alt.Chart(rows).mark_line(strokeWidth=2).encode(x=x, y=y)
        inside = best.drop_nulls("low").with_columns(
            pl.col("low").clip(lower_bound=float(np.min(rows["x"].to_numpy()))),
            pl.col("high").clip(upper_bound=float(np.max(rows["x"].to_numpy()))),
        )
        span = (
            alt.Chart(inside)
            .mark_rect(color=RULE, opacity=0.6)
            .encode(x=_along(pl.concat([rows["x"], best["best"]]), "low").title(name), x2="high:Q")
        )
        dot = alt.Chart(best.rename({"best": "x"})).mark_point(size=90, color=MARK, opacity=1).encode(x=x, y=y)
        panels.append(alt.layer(span, line, dot).properties(width=230, height=220))
    if not panels:
        raise DataError("there is no curve to draw")
    return alt.hconcat(*panels)
