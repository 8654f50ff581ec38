"""Charts of downstream scores: their course, the metric chain, predictions against what came true."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scalingdb.charts._theme import COUNT, INK, MUTED, PALETTE, POWER, RULE, SOFT, log_x, need, thinned
from scalingdb.errors import DataError

__all__ = [
    "capability_trends",
    "correlation_ccdf",
    "decision_chart",
    "error_parts",
    "pass_curves",
    "predicted_actual",
    "score_panels",
    "task_intervals",
]

MAX_PANELS = 24
MAX_COLORS = len(PALETTE)


def _named(value: str) -> str:
    """Axis title of a column of the table of predictability."""
    plain = {"snr": "signal over noise", "share_rising": "share of steps that rise"}
    return plain.get(value, f"{value.capitalize()} coefficient of score and compute")


def _present(frame: pl.DataFrame) -> pl.DataFrame:
    if frame.is_empty():
        raise DataError("the frame is empty: there is nothing to draw", "check the filters that led to it.")
    return frame


def score_panels(
    frame: pl.DataFrame,
    panel: str = "task",
    *,
    x: str = "train_flops_6nd",
    y: str = "score",
    color: str | None = None,
    columns: int = 4,
    x_title: str = "training compute, FLOP",
    y_title: str = "",
    size: tuple[int, int] = (165, 120),
    shared_y: bool = False,
    order: Sequence[str] | None = None,
) -> alt.VConcatChart:
    """Scores against compute, one panel per task (or metric).

    Parameters
    ----------
    frame : DataFrame
        One row per score: the columns of `panel`, `x`, `y`, `color`; ``chance_level`` draws a line.
    panel, x, y, color : str
    columns : int
        Panels in a row.
    shared_y : bool
        One scale for all panels; metrics of different units need their own.
    order : sequence of str, optional
        Panels to show, in this order; at most 24.
    """
    shown = _present(frame)
    need(shown, [panel, x, y, *([color] if color else [])])
    names = list(order) if order is not None else shown[panel].unique(maintain_order=True).to_list()
    if len(names) > MAX_PANELS:
        raise DataError(f"{len(names)} panels are too many", f"filter to {MAX_PANELS} tasks, or give an order.")
    labels = COUNT if x in {"n_tokens", "n", "n_params"} else POWER
    lows, highs = float(shown[y].min()), float(shown[y].max())  # type: ignore[arg-type]
    domain = alt.Scale(domain=[lows, highs]) if shared_y else alt.Scale(zero=False)
    paint: Any = alt.value(PALETTE[0])
    if color:
        paint = alt.Color(f"{color}:N", title=None, sort=None, legend=alt.Legend(orient="top", columns=7))
    rows = []
    for start in range(0, len(names), columns):
        row = []
        for position, name in enumerate(names[start : start + columns]):
            keep = [x, y, *([color] if color else []), *(["chance_level"] if "chance_level" in shown.columns else [])]
            data = thinned(shown.filter(pl.col(panel) == name).select(list(dict.fromkeys(keep))).drop_nulls([x, y]))
            if data.is_empty():
                continue
            chance = (
                data["chance_level"].drop_nulls() if "chance_level" in data.columns else pl.Series([], dtype=pl.Float64)
            )
            # what no eye can see need not be sent
            data = data.drop("chance_level", strict=False).with_columns(pl.selectors.float().round_sig_figs(5))
            last = start + columns >= len(names)
            base = log_x(data, x, x_title if last else "", labels)
            dots = (
                alt.Chart(data)
                .mark_point(size=14, opacity=0.7)
                .encode(x=base, y=alt.Y(f"{y}:Q", scale=domain, title=y_title if position == 0 else None), color=paint)
            )
            layers: list[Any] = [dots]
            if chance.len():
                level = pl.DataFrame({"level": [float(chance[0])]})
                layers.insert(0, alt.Chart(level).mark_rule(color=MUTED, strokeDash=[3, 3]).encode(y="level:Q"))
            title = alt.Title(str(name), fontSize=11, anchor="start")
            row.append(alt.layer(*layers).properties(width=size[0], height=size[1], title=title))
        if row:
            rows.append(alt.hconcat(*row))
    if not rows:
        raise DataError("no panel has a row with both values", "check the names of the panels.")
    return alt.vconcat(*rows).resolve_scale(color="shared")


def correlation_ccdf(
    table: pl.DataFrame,
    value: str = "spearman",
    color: str = "metric",
    *,
    order: Sequence[str] | None = None,
    size: tuple[int, int] = (460, 260),
) -> alt.Chart:
    """Share of tasks whose correlation with compute is at least x, one line per metric.

    Parameters
    ----------
    table : DataFrame
        As :func:`scalingdb.downstream.ccdf` returns it.
    value, color : str
    order : sequence of str, optional
        Order of the legend.
    """
    need(_present(table), [value, color, "share_above"])
    # lines start at the left edge, where all tasks lie above
    first = table.group_by(color).agg(pl.lit(float(table[value].min())).alias(value), share_above=pl.lit(1.0))  # type: ignore[arg-type]
    shown = pl.concat([table.select(color, value, "share_above"), first.select(color, value, "share_above")])
    return (
        alt.Chart(thinned(shown.sort(color, value)))
        .mark_line(interpolate="step-before", strokeWidth=2)
        .encode(
            x=alt.X(f"{value}:Q", title=_named(value)),
            y=alt.Y("share_above:Q", title="share of tasks at or above", axis=alt.Axis(format="%")),
            color=alt.Color(f"{color}:N", title=None, sort=list(order) if order else None),
        )
        .properties(width=size[0], height=size[1])
    )


def task_intervals(
    table: pl.DataFrame,
    value: str = "spearman",
    *,
    label: str = "task",
    color: str | None = "verdict",
    width: int = 420,
) -> alt.LayerChart:
    """A coefficient with its interval, one row per task, sorted.

    Parameters
    ----------
    table : DataFrame
        As :func:`scalingdb.downstream.predictability` returns it; at most 60 rows.
    """
    need(_present(table), [label, value, f"{value}_low", f"{value}_high", *([color] if color else [])])
    if table.height > 60:
        raise DataError(f"{table.height} rows are too many for one chart", "filter to 60 tasks.")
    shown = table.select(label, *([color] if color else []), value, f"{value}_low", f"{value}_high").sort(
        value, descending=True
    )
    order = shown[label].to_list()
    base = alt.Chart(shown).encode(
        y=alt.Y(f"{label}:N", sort=order, title=None, axis=alt.Axis(labelLimit=260, ticks=False)),
        color=alt.Color(f"{color}:N", title=None, legend=alt.Legend(orient="top")) if color else alt.value(PALETTE[0]),
    )
    x = alt.X(f"{value}_low:Q", title=_named(value), scale=alt.Scale(domain=[-1, 1]))
    return alt.layer(
        base.mark_rule(strokeWidth=1.6).encode(x=x, x2=f"{value}_high:Q"),
        base.mark_point(size=40).encode(
            x=f"{value}:Q", tooltip=[f"{label}:N", alt.Tooltip(f"{value}:Q", format=".3f")]
        ),
    ).properties(width=width, height=alt.Step(15))


def decision_chart(table: pl.DataFrame, *, by: str = "release", title: str = "", width: int = 360) -> alt.LayerChart:
    """Share of pairs of recipes that are put into the right order, a row per way of judging, with its interval.

    Parameters
    ----------
    table : DataFrame
        As :func:`scalingdb.downstream.decision_accuracy` returns it, with a column `by` that names what was ranked and
        ``judged`` that says from what.
    title : str
    """
    need(table, [by, "judged", "method", "accuracy", "low", "high", "n_recipes", "n_pairs"])
    shown = table.select(by, "judged", "method", "accuracy", "low", "high", "n_recipes", "n_pairs").with_columns(
        row=pl.format("{}: {}", by, "judged")
    )
    y = alt.Y("row:N", sort=shown["row"].to_list(), title=None, axis=alt.Axis(labelLimit=400, ticks=False))
    x = alt.X(
        "accuracy:Q",
        title="pairs decided as at the target size",
        axis=alt.Axis(format="%"),
        scale=alt.Scale(domain=[0, 1]),
    )
    color = alt.Color("method:N", title=None, legend=alt.Legend(orient="top"), scale=alt.Scale(range=list(PALETTE)))
    base = alt.Chart(shown).encode(y=y, color=color)
    tooltip = [
        alt.Tooltip("row:N", title="judged"),
        *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("accuracy", "low", "high")),
        *(alt.Tooltip(f"{name}:Q", format=",") for name in ("n_recipes", "n_pairs")),
    ]
    coin = alt.Chart(pl.DataFrame({"x": [0.5]})).mark_rule(color=RULE, strokeDash=[4, 3]).encode(x="x:Q")
    return alt.layer(
        coin,
        base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2="high:Q"),
        base.mark_point(size=50, filled=True).encode(x=x, tooltip=tooltip),
    ).properties(width=width, height=alt.Step(20), **({"title": title} if title else {}))


def predicted_actual(
    predictions: pl.DataFrame,
    *,
    color: str | None = None,
    label: str | None = None,
    title: str = "",
    size: tuple[int, int] = (320, 320),
) -> alt.LayerChart:
    """Predicted against observed scores with the intervals of the predictions; on the line is right.

    Parameters
    ----------
    predictions : DataFrame
        ``observed, prediction``; ``low, high`` where known.
    color, label : str, optional
        Columns for colour, and for text beside the points (few rows only).
    """
    columns = [c for c in (color, label) if c]
    need(_present(predictions), ["observed", "prediction", *columns])
    ends = [c for c in ("low", "high") if c in predictions.columns]
    shown = thinned(predictions.select(list(dict.fromkeys(["observed", "prediction", *ends, *columns]))))
    values = np.concatenate([shown[c].drop_nulls().to_numpy() for c in ("observed", "prediction", *ends)])
    low, high = float(values.min()), float(values.max())
    pad = 0.03 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - pad, high + pad], nice=False)
    line = pl.DataFrame({"observed": [low, high], "prediction": [low, high]})
    diagonal = (
        alt.Chart(line)
        .mark_line(color=RULE)
        .encode(x=alt.X("observed:Q", scale=scale), y=alt.Y("prediction:Q", scale=scale))
    )
    paint: Any = alt.value(PALETTE[0])
    if color:
        paint = alt.Color(f"{color}:N", title=None, sort=None)
    base = alt.Chart(shown).encode(x=alt.X("observed:Q", scale=scale, title="observed score"), color=paint)
    layers: list[Any] = [diagonal]
    if len(ends) == 2:
        layers.append(base.mark_rule(opacity=0.45).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"))
    layers.append(base.mark_point(size=36).encode(y=alt.Y("prediction:Q", scale=scale, title="predicted score")))
    if label:
        layers.append(
            base.mark_text(align="left", dx=6, fontSize=10).encode(
                y="prediction:Q", text=f"{label}:N", color=alt.value(INK)
            )
        )
    return alt.layer(*layers).properties(width=size[0], height=size[1], title=title)


def error_parts(
    errors: pl.DataFrame,
    *,
    label: str = "task",
    parts: Sequence[str] = ("error_of_loss_step", "error_of_link"),
    names: Sequence[str] = ("loss step", "link"),
    total: str = "error",
    width: int = 420,
) -> alt.LayerChart:
    """The error of a chained prediction, split into its steps: bars for the parts, a dot for the sum.

    Parameters
    ----------
    errors : DataFrame
        As :meth:`TwoStep.errors <scalingdb.downstream.TwoStep.errors>` returns it, one row per task.
    """
    need(_present(errors), [label, *parts, total])
    order = errors.sort(pl.col(total).abs(), descending=True)[label].to_list()
    long = (
        errors.select(label, *(pl.col(part).alias(name) for part, name in zip(parts, names, strict=True)))
        .unpivot(list(names), index=label, variable_name="part", value_name="error")
        .with_columns(pl.col("error") * 100)
    )
    y = alt.Y(f"{label}:N", sort=order, title=None, axis=alt.Axis(labelLimit=240, ticks=False))
    bars = (
        alt.Chart(long)
        .mark_bar(height={"band": 0.75})
        .encode(
            y=y,
            yOffset=alt.YOffset("part:N", sort=list(names)),
            x=alt.X("error:Q", title="predicted minus observed, points of the score (dot: both steps together)"),
            color=alt.Color("part:N", title=None, sort=list(names), legend=alt.Legend(orient="top")),
        )
    )
    dots = (
        alt.Chart(errors.select(label, error=pl.col(total) * 100))
        .mark_point(size=60, color=INK, shape="diamond", opacity=1)
        .encode(y=y, x="error:Q")
    )
    return alt.layer(bars, dots).properties(width=width, height=alt.Step(26))


def pass_curves(
    curves: pl.DataFrame,
    fits: pl.DataFrame | None = None,
    *,
    color: str = "model",
    order: Sequence[str] | None = None,
    size: tuple[int, int] = (420, 300),
) -> alt.LayerChart:
    """Minus the logarithm of mean pass@k against k, both axes logarithmic: a power law is a line.

    Parameters
    ----------
    curves : DataFrame
        ``k, neg_log`` and `color`, as :func:`scalingdb.downstream.pass_curve` gives them.
    fits : DataFrame, optional
        ``k, neg_log`` and `color` of fitted laws, drawn as dashes.
    """
    need(_present(curves), ["k", "neg_log", color])
    keep = curves.select("k", "neg_log", color).drop_nulls().filter(pl.col("neg_log") > 0)
    paint = alt.Color(f"{color}:N", title=None, sort=list(order) if order else None)
    x = log_x(_present(keep), "k", "attempts k")
    low = float(keep["neg_log"].min())  # type: ignore[arg-type]
    high = float(keep["neg_log"].max())  # type: ignore[arg-type]
    # few round ticks: the axis spans one to three decades
    ticks = [
        m * 10.0**e for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1) for m in (1, 2, 5)
    ]
    y = alt.Y(
        "neg_log:Q",
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(title="-ln(mean pass@k)", values=[t for t in ticks if low <= t <= high], format="g"),
    )
    layers: list[Any] = [alt.Chart(keep).mark_point(size=20).encode(x=x, y=y, color=paint)]
    if fits is not None:
        need(fits, ["k", "neg_log", color])
        lines = fits.select("k", "neg_log", color).drop_nulls().filter(pl.col("neg_log") > 0)
        layers.append(alt.Chart(lines).mark_line(strokeDash=[5, 3], strokeWidth=1.3).encode(x=x, y=y, color=paint))
    return alt.layer(*layers).properties(width=size[0], height=size[1])


def capability_trends(
    scores: pl.DataFrame,
    trends: pl.DataFrame,
    *,
    component: str = "pc1",
    compute: str = "train_flops",
    highlight: int = 6,
    size: tuple[int, int] = (520, 320),
) -> alt.LayerChart:
    """A capability against compute: every family a line, the largest ones in colour.

    Parameters
    ----------
    scores : DataFrame
        :attr:`Capabilities.scores <scalingdb.downstream.Capabilities>`: ``family``, the component, compute.
    trends : DataFrame
        As :func:`scalingdb.downstream.family_trends` returns it.
    highlight : int
        Families with most models that get a colour of their own.
    """
    need(_present(scores), ["family", component, compute])
    need(_present(trends), ["family", "n_models", "slope", "intercept"])
    highlight = min(highlight, MAX_COLORS - 1)
    named = trends.sort("n_models", "family", descending=[True, False]).head(highlight)["family"].to_list()
    data = (
        scores.filter(pl.col("family").is_in(trends["family"].implode()))
        .drop_nulls([component, compute])
        .select("family", component, compute)
        .with_columns(shown=pl.when(pl.col("family").is_in(named)).then("family").otherwise(pl.lit("others")))
    )
    ends = (
        data.group_by("family", "shown")
        .agg(low=pl.col(compute).min(), high=pl.col(compute).max())
        .unpivot(["low", "high"], index=["family", "shown"], value_name=compute)
        .join(trends, on="family")
        .with_columns((pl.col("intercept") + pl.col("slope") * pl.col(compute).log10()).alias(component))
        .select("family", "shown", compute, component)
    )
    order = [*named, "others"]
    colors = [*PALETTE[: len(named)], SOFT]
    paint = alt.Color("shown:N", title=None, sort=order, scale=alt.Scale(domain=order, range=colors))
    x = log_x(data, compute, "training compute, FLOP", POWER)
    y = alt.Y(f"{component}:Q", title=f"{component} of the benchmarks", scale=alt.Scale(zero=False))
    lines = alt.Chart(ends).mark_line(strokeWidth=1.2).encode(x=x, y=y, color=paint, detail="family:N")
    dots = alt.Chart(data).mark_point(size=26).encode(x=x, y=y, color=paint, tooltip=["family:N"])
    return alt.layer(lines, dots).properties(width=size[0], height=size[1])
