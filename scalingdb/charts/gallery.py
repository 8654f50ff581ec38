"""Small pictures of laws."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from scalingdb.charts._theme import COUNT, PALETTE, POWER, RAMP, log_axis, need
from scalingdb.errors import DataError

__all__ = ["frontier_chart", "law_picture"]

SHADES = RAMP[2:]
"""From small to large: lightness, so that an order shows without a legend, in grey too."""

PLAIN = "format(datum.value, '~g')"


def law_picture(
    curves: pl.DataFrame,
    *,
    x_title: str,
    y_title: str,
    series_title: str = "",
    is_log_y: bool = False,
    size: tuple[int, int] = (330, 200),
) -> alt.Chart:
    """Curves of a law against one of its inputs, one for each value of another.

    Parameters
    ----------
    curves : DataFrame
        ``x`` (positive), ``y``, ``series`` (a label) and ``rank`` (order of the labels); at most five labels.
    x_title, y_title, series_title : str
        Titles of the axes and of the legend; no legend where there is one curve.
    is_log_y : bool
        Whether y is drawn on a logarithmic scale.
    size : (int, int)
        Width and height in pixels.

    Raises
    ------
    DataError
        If a column is missing, or there are no rows.
    """
    need(curves, ["x", "y", "series", "rank"])
    if curves.is_empty():
        raise DataError("the law has no value in this range: there is nothing to draw")
    low, high = float(curves["x"].min()), float(curves["x"].max())  # type: ignore[arg-type]
    labels = PLAIN if high < 1e4 else POWER if high > 1e15 else COUNT
    if high / low >= 8:
        scale = alt.Scale(type="log", domain=[low, high], nice=False)
        axis = log_axis(x_title, low * (1 - 1e-9), high * (1 + 1e-9), labels)
    else:
        scale = alt.Scale(domain=[low, high], nice=False)
        axis = alt.Axis(title=x_title, labelExpr=labels, tickCount=5)
    order = curves.unique("series").sort("rank")["series"].to_list()
    step = (len(SHADES) - 1) / max(len(order) - 1, 1)
    shades = [SHADES[round(i * step)] for i in range(len(order))] if len(order) > 1 else [SHADES[2]]
    legend = alt.Legend(title=series_title, orient="right", symbolStrokeWidth=3) if len(order) > 1 else None
    bottom, top = float(curves["y"].min()), float(curves["y"].max())  # type: ignore[arg-type]
    y_labels = PLAIN if top < 1e4 else POWER if top > 1e15 else COUNT
    if is_log_y:
        y_scale = alt.Scale(type="log", nice=False, padding=6)
        round_ticks = log_axis(y_title, bottom, top, y_labels)  # too few of them within a decade
        y_axis = round_ticks if top / bottom > 20 else alt.Axis(title=y_title, tickCount=5, labelExpr=y_labels)
    else:
        y_scale = alt.Scale(zero=False, nice=True)
        y_axis = alt.Axis(title=y_title, tickCount=5, labelExpr=y_labels)
    return (
        alt.Chart(curves)
        .mark_line(strokeWidth=2)
        .encode(
            alt.X("x:Q", scale=scale, axis=axis),
            alt.Y("y:Q", scale=y_scale, axis=y_axis),
            color=alt.Color("series:N", sort=order, scale=alt.Scale(domain=order, range=shades), legend=legend),
        )
        .properties(width=size[0], height=size[1])
    )


def frontier_chart(
    runs: pl.DataFrame,
    frontier: pl.DataFrame,
    *,
    title: str = "",
    subtitle: str | Sequence[str] = "",
    size: tuple[int, int] = (680, 300),
) -> alt.LayerChart:
    """Losses of runs against their compute, and the least loss that a fitted law gives each budget.

    Parameters
    ----------
    runs : DataFrame
        ``train_flops, loss, n_params, n_tokens``, one row per run.
    frontier : DataFrame
        ``train_flops, loss, loss_low, loss_high``, one row per budget; drawn dashed beyond the largest run.
    title : str
    subtitle : str or sequence of str
        One string per line.
    size : (int, int)
        Width and height in pixels.

    Raises
    ------
    DataError
        If a column is missing.
    """
    need(runs, ["train_flops", "loss", "n_params", "n_tokens"])
    need(frontier, ["train_flops", "loss", "loss_low", "loss_high"])
    low, high = float(runs["train_flops"].min()), float(frontier["train_flops"].max())  # type: ignore[arg-type]
    last = runs["train_flops"].max()
    shown = frontier.with_columns(
        reach=pl.when(pl.col("train_flops") <= last).then(pl.lit("within the runs")).otherwise(pl.lit("beyond them"))
    )
    x = alt.X(
        "train_flops:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=log_axis("training compute, FLOP", low, high, POWER),
    )
    y = alt.Y("loss:Q", scale=alt.Scale(zero=False), title="loss, nats per token")
    hover = [
        alt.Tooltip("train_flops:Q", format=".2e", title="FLOP"),
        alt.Tooltip("loss:Q", format=".3f"),
    ]
    band = (
        alt.Chart(shown)
        .mark_area(opacity=0.18, color=PALETTE[0])
        .encode(x=x, y=alt.Y("loss_low:Q", scale=alt.Scale(zero=False), title="loss, nats per token"), y2="loss_high:Q")
    )
    line = alt.Chart(shown).encode(x=x, y=y, tooltip=[*hover, alt.Tooltip("loss_low:Q"), alt.Tooltip("loss_high:Q")])
    solid = line.transform_filter("datum.reach == 'within the runs'").mark_line(strokeWidth=2.2, color=PALETTE[0])
    dashed = line.mark_line(strokeWidth=1.8, strokeDash=[5, 4], color=PALETTE[0])
    dots = (
        alt.Chart(runs.select("train_flops", "loss", "n_params", "n_tokens"))
        .mark_point(size=26, filled=True, opacity=0.75)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "n_params:Q",
                scale=alt.Scale(type="log", range=[SHADES[0], SHADES[-1]]),
                legend=alt.Legend(title="parameters", labelExpr=COUNT, orient="right", gradientLength=120),
            ),
            tooltip=[
                *hover,
                alt.Tooltip("n_params:Q", format=".2e", title="parameters"),
                alt.Tooltip("n_tokens:Q", format=".2e", title="tokens"),
            ],
        )
    )
    heading = (
        alt.Title(title, subtitle=subtitle if isinstance(subtitle, str) else list(subtitle)) if subtitle else title
    )
    return alt.layer(band, dots, dashed, solid).properties(width=size[0], height=size[1], title=heading)
