"""Charts of comparisons: which law predicts what it has not seen, how far, and how sure it is."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scalingdb.charts._theme import MUTED, PALETTE, RULE, log_axis, need, thinned
from scalingdb.errors import DataError

__all__ = ["calibration", "error_by_distance", "held_out_predictions", "law_errors"]

DISTANCES = {"compute_ratio": "training compute", "n_ratio": "parameters N", "d_ratio": "tokens D"}

MEANS = 6
"""Steps of distance that a line of mean errors has."""

FEW = 3
"""Runs below which a step has no mean."""

MAX_LAWS = 8
"""Panels of one chart."""


def law_errors(table: pl.DataFrame) -> alt.LayerChart:
    """Mean error of every law: a ring on the rows that were fitted, a dot with its interval on those held out.

    Parameters
    ----------
    table : DataFrame
        ``law, error_fit, error_held_out, error_low, error_high``, as :meth:`Comparison.tidy` returns
        them. Laws that could not be judged are left out.
    """
    need(table, ["law", "error_fit", "error_held_out", "error_low", "error_high"])
    columns = ["error_fit", "error_held_out", "error_low", "error_high"]
    shown = table.filter(pl.col("error_held_out").is_finite()).select("law", *(pl.col(name) * 100 for name in columns))
    if shown.is_empty():
        raise DataError("no law has a held-out error: there is nothing to draw", "see the verdicts of tidy().")
    values = shown.select(columns).to_numpy().ravel()
    values = values[np.isfinite(values) & (values > 0)]
    low, high = float(values.min()) / 1.3, float(values.max()) * 1.3
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = log_axis("mean absolute error, %", low, high, labels="format(datum.value, '~g')")
    if high / low > 100:
        axis = alt.Axis(title="mean absolute error, %", labelExpr="format(datum.value, '~g')", tickCount=6)
    order = shown["law"].to_list()
    y = alt.Y("law:N", title=None, sort=order, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    long = shown.unpivot(
        ["error_fit", "error_held_out"], index="law", variable_name="rows", value_name="error"
    ).with_columns(pl.col("rows").replace_strict({"error_fit": "fitted", "error_held_out": "held out, with interval"}))
    what = ["fitted", "held out, with interval"]
    rule = (
        alt.Chart(shown.filter(pl.col("error_low").is_not_null()).with_columns(pl.col("error_low").clip(low)))
        .mark_rule(strokeWidth=2, color=PALETTE[0])
        .encode(x=alt.X("error_low:Q", scale=scale, axis=axis), x2="error_high:Q", y=y)
    )
    color = alt.Color(
        "rows:N",
        title=None,
        scale=alt.Scale(domain=what, range=[PALETTE[3], PALETTE[0]]),
        legend=alt.Legend(orient="top"),
    )
    dots = [
        alt.Chart(long.filter(pl.col("rows") == name))
        .mark_point(size=80, opacity=1, strokeWidth=1.8, filled=is_filled)
        .encode(
            x=alt.X("error:Q", scale=scale, axis=axis),
            y=y,
            color=color,
            tooltip=["law:N", "rows:N", alt.Tooltip("error:Q", format=".3f")],
        )
        for name, is_filled in zip(what, (False, True), strict=True)
    ]
    return alt.layer(rule, *dots).properties(width=480, height=alt.Step(28))


def error_by_distance(held_out: pl.DataFrame, x: str = "compute_ratio") -> alt.LayerChart:
    """Absolute error of every held-out run against how far it lies beyond the largest fitted one.

    Parameters
    ----------
    held_out : DataFrame
        ``law``, ``relative_error`` and `x`, as :attr:`Comparison.held_out` has them.
    x : str
        ``compute_ratio``, ``n_ratio`` or ``d_ratio``. The lines join mean errors of three runs and more.
    """
    need(held_out, ["law", "relative_error", x])
    known = held_out.filter(pl.col(x) > 0, pl.col("relative_error").is_finite())
    if known.is_empty():
        raise DataError(f"no held-out run has a value of {x!r}: there is nothing to draw")
    points = known.select("law", x, error=100 * pl.col("relative_error").abs())
    shown = thinned(points)
    # an error of nearly nothing has no place on a logarithmic scale, and says nothing
    top = float(points["error"].max())  # type: ignore[arg-type]
    bottom = max(float(points["error"].quantile(0.02) or 0.0), top / 300, 1e-6)
    color = alt.Color("law:N", title=None, sort=None, legend=alt.Legend(orient="right", symbolOpacity=1))
    title = f"{DISTANCES.get(x, x)}, times the largest fitted run"
    low, high = float(points[x].min()), float(points[x].max())  # type: ignore[arg-type]
    pad = 1.15
    axis = log_axis(title, low / pad, high * pad, labels="'x' + format(datum.value, '~g')")
    if high / low < 20:
        axis = alt.Axis(title=title, labelExpr="'x' + format(datum.value, '~g')", tickCount=6)
    along = alt.X(f"{x}:Q", scale=alt.Scale(type="log", nice=False, domain=[low / pad, high * pad]), axis=axis)
    up = alt.Y(
        "error:Q",
        scale=alt.Scale(type="log", nice=False, domain=[bottom, 1.15 * max(top, 1.01 * bottom)]),
        axis=log_axis("absolute error, %", bottom, 1.15 * top, labels="format(datum.value, '~g')"),
    )
    tooltip = ["law:N", alt.Tooltip("error:Q", format=".3f"), alt.Tooltip(f"{x}:Q", format=".3g")]
    dots = (
        alt.Chart(shown)
        .mark_point(size=40, opacity=0.5 if shown.height < 150 else 0.25, clip=True)
        .encode(x=along, y=up, color=color, tooltip=tooltip)
    )
    layers: list[Any] = [dots]
    if low < 1 < high:
        edge = alt.Chart(pl.DataFrame({x: [1.0]})).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(x=f"{x}:Q")
        layers.insert(0, edge)
    # means of at least a few runs, over equal steps of the logarithm
    step = max(np.log(high / low) / MEANS, 1e-9)
    part = ((pl.col(x) / low).log() / step).floor().clip(0, MEANS - 1)
    means = (
        points.with_columns(part=part)
        .group_by("law", "part", maintain_order=True)
        .agg(pl.col(x).log().mean().exp(), pl.col("error").mean(), count=pl.len())
        .filter(pl.col("count") >= FEW)
        .drop("part", "count")
    )
    if means.height > means["law"].n_unique():
        layers.append(alt.Chart(means).mark_line(strokeWidth=2.4, clip=True).encode(x=along, y=up, color=color))
    return alt.layer(*layers).properties(width=520, height=280)


def held_out_predictions(
    held_out: pl.DataFrame, output: str = "loss", *, size: int = 165, columns: int = 3
) -> alt.VConcatChart:
    """Predicted against observed on the held-out rows, one panel per law, with the 95 % prediction intervals.

    Parameters
    ----------
    held_out : DataFrame
        ``law, prediction, low, high`` and the observed values, as :attr:`Comparison.held_out` has them.
    output : str
        Column of the observed values.
    size : int
        Width and height of a panel.
    columns : int
        Panels in a row.
    """
    need(held_out, ["law", "prediction", "low", "high", output])
    names = held_out["law"].unique(maintain_order=True).to_list()
    if len(names) > MAX_LAWS:
        raise DataError(f"{len(names)} panels are too many", f"filter the held-out rows to {MAX_LAWS} laws.")
    known = held_out.filter(pl.col("prediction").is_finite()).select(
        "law", "prediction", "low", "high", observed=pl.col(output).cast(pl.Float64)
    )
    if known.is_empty():
        raise DataError("no law predicts a held-out row: there is nothing to draw", "see the verdicts of tidy().")
    ends = [float(known["observed"].min()), float(known["observed"].max())]  # type: ignore[arg-type]
    reach = 0.08 * (ends[1] - ends[0] or abs(ends[0]))
    # one law gone astray must not squeeze all others into a corner
    span = 3 * (ends[1] - ends[0] or abs(ends[0]))
    said = known.select("prediction", "low", "high").to_numpy().ravel()
    said = said[np.isfinite(said)]
    top, bottom = min(float(said.max()), ends[1] + span), max(float(said.min()), ends[0] - span)
    flat = alt.Scale(domain=[ends[0] - reach, ends[1] + reach], nice=False)
    tall = alt.Scale(domain=[min(bottom, ends[0]) - reach, max(top, ends[1]) + reach], nice=False)
    line = pl.DataFrame({"observed": ends, "prediction": ends})
    panels = []
    for position, name in enumerate(names):
        rows = thinned(known.filter(pl.col("law") == name))
        color = PALETTE[position % len(PALETTE)]
        x = alt.X("observed:Q", scale=flat, title=f"observed {output}", axis=alt.Axis(tickCount=3, labelOverlap=True))
        y_title = f"predicted {output}" if position % columns == 0 else None
        diagonal = alt.Chart(line).mark_line(color=RULE).encode(x=x, y=alt.Y("prediction:Q", scale=tall, title=y_title))
        bars = (
            alt.Chart(rows)
            .mark_rule(opacity=0.4, color=color, clip=True)
            .encode(x=x, y=alt.Y("low:Q", scale=tall), y2="high:Q")
        )
        dots = (
            alt.Chart(rows)
            .mark_point(size=34, color=color, clip=True)
            .encode(x=x, y=alt.Y("prediction:Q", scale=tall), tooltip=["observed:Q", "prediction:Q", "low:Q", "high:Q"])
        )
        panels.append(alt.layer(diagonal, bars, dots).properties(title=str(name), width=size, height=size))
    return alt.vconcat(*(alt.hconcat(*panels[i : i + columns]) for i in range(0, len(panels), columns)))


def calibration(held_out: pl.DataFrame) -> alt.LayerChart:
    """How often prediction intervals of every level held what was observed; on the diagonal is right.

    Parameters
    ----------
    held_out : DataFrame
        ``law`` and ``pit`` (share of the predictive distribution below the observation), as
        :attr:`Comparison.held_out` has them. Below the diagonal intervals are too narrow.
    """
    need(held_out, ["law", "pit"])
    known = held_out.drop_nulls("pit").filter(pl.col("pit").is_finite())
    if known.is_empty():
        raise DataError("no law has prediction intervals here: there is nothing to draw", "see the verdicts of tidy().")
    levels = np.linspace(0.0, 1.0, 51)
    curves = pl.concat(
        pl.DataFrame(
            {
                "law": [str(key[0])] * levels.size,
                "level": levels,
                "coverage": (2 * np.abs(rows["pit"].to_numpy()[:, None] - 0.5) <= levels).mean(0),
            }
        )
        for key, rows in known.group_by("law", maintain_order=True)
    )
    percent = alt.Axis(format="%", tickCount=5)
    x = alt.X("level:Q", title="level of the prediction interval", axis=percent)
    y = alt.Y("coverage:Q", title="held-out runs inside it", axis=percent)
    right = (
        alt.Chart(pl.DataFrame({"level": [0.0, 1.0], "coverage": [0.0, 1.0]}))
        .mark_line(color=MUTED, strokeDash=[4, 3])
        .encode(x, y)
    )
    lines = (
        alt.Chart(curves)
        .mark_line(strokeWidth=2, interpolate="step-after")
        .encode(
            x,
            y,
            color=alt.Color("law:N", title=None, sort=None, legend=alt.Legend(orient="right")),
            tooltip=["law:N", alt.Tooltip("level:Q", format=".0%"), alt.Tooltip("coverage:Q", format=".0%")],
        )
    )
    return alt.layer(right, lines).properties(width=280, height=280)
