"""Charts of trends: the gallery of shapes, the surface over training, the scan, metrics side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl

from scalingdb.charts._theme import BAD, COUNT, FAINT, INK, MARK, MUTED, PALETTE, POWER, SOFT, log_x, need, thinned
from scalingdb.errors import DataError

LABEL_COLORS = {
    "improves": PALETTE[0],
    "worsens": BAD,
    "u_shaped": PALETTE[1],
    "inverted_u": PALETTE[3],
    "flat": MUTED,
    "inconclusive": SOFT,
}
"""The same colour for a label in every chart."""

SHORT = "replace(format(datum.value, '.2~s'), 'G', 'B')"
"""Two digits: the tokens of a checkpoint are rarely round."""

LABEL_WORDS = {"u_shaped": "U-shaped", "inverted_u": "inverted U"}


def _label_scale() -> alt.Scale:
    return alt.Scale(domain=list(LABEL_COLORS), range=list(LABEL_COLORS.values()))


def _axis_labels(x: str) -> str:
    return POWER if "flop" in x else COUNT


def trend_gallery(
    curves: pl.DataFrame,
    labels: pl.DataFrame,
    by: str,
    *,
    x_title: str = "parameters N",
    y_title: str = "score",
    columns: int = 4,
    size: tuple[int, int] = (170, 120),
) -> alt.VConcatChart:
    """Small multiples: measured values, the fitted curve with its interval, and the label as title.

    Parameters
    ----------
    curves : DataFrame
        As :func:`scalingdb.trends.curves` returns it.
    labels : DataFrame
        As :func:`scalingdb.trends.classify` returns it, in the order to draw; one row per panel.
    by : str
        Column of both frames that names the panel.
    x_title, y_title : str
    columns : int
        Panels in a row.
    size : tuple of int
        Width and height of a panel.
    """
    need(curves, [by, "x", "kind", "y", "low", "high"])
    need(labels, [by, "label"])
    if labels.height > 60:
        raise DataError(f"{labels.height} panels are too many for one chart", "show the first ones: labels.head(24).")
    panels: list[Any] = []
    for row in labels.iter_rows(named=True):
        data = curves.filter(pl.col(by) == row[by]).select("x", "kind", "y", "low", "high")
        seen, fitted = data.filter(pl.col("kind") == "observed"), data.filter(pl.col("kind") == "fitted")
        color = LABEL_COLORS[row["label"]]
        x = log_x(data, "x", x_title, _axis_labels(x_title.lower()), padding=6)
        values = pl.concat([seen["y"], seen["low"].drop_nulls(), seen["high"].drop_nulls()]).to_numpy()
        low, high = float(values.min()), float(values.max())
        room = max((high - low) * 0.15, 0.02 * max(abs(high), 1e-9))
        scale = alt.Scale(domain=[low - room, high + room], nice=True, zero=False, clamp=True)
        y = alt.Y("y:Q", title=y_title, scale=scale, axis=alt.Axis(tickCount=4))
        layers: list[Any] = []
        if fitted.height:
            layers += [
                alt.Chart(fitted)
                .mark_area(color=color, opacity=0.14, clip=True)
                .encode(x=x, y=alt.Y("low:Q", title=y_title, scale=scale), y2="high:Q"),
                alt.Chart(fitted).mark_line(color=color, strokeWidth=2, clip=True).encode(x=x, y=y),
            ]
        bars = seen.drop_nulls(["low", "high"])
        if bars.height:
            layers.append(
                alt.Chart(bars)
                .mark_rule(color=INK, strokeWidth=0.8, clip=True)
                .encode(x=x, y=alt.Y("low:Q", title=y_title, scale=scale), y2="high:Q")
            )
        layers.append(
            alt.Chart(seen)
            .mark_point(color=INK, size=22, opacity=1)
            .encode(x=x, y=y, tooltip=[alt.Tooltip("x:Q", format=".3s"), alt.Tooltip("y:Q", format=".3f")])
        )
        sure = row.get("probability")
        words = LABEL_WORDS.get(row["label"], row["label"])
        subtitle = words if sure is None else f"{words} ({sure:.2f})"
        title = alt.TitleParams(
            str(row[by]),
            subtitle=subtitle,
            fontSize=11,
            subtitleFontSize=11,
            subtitleColor=color if row["label"] != "inconclusive" else MUTED,
            limit=size[0] + 30,
        )
        panels.append(alt.layer(*layers, title=title).properties(width=size[0], height=size[1]))
    if not panels:
        raise DataError("there is no series to draw")
    return alt.vconcat(*(alt.hconcat(*panels[i : i + columns]) for i in range(0, len(panels), columns)))


def trend_surface(
    rows: pl.DataFrame,
    *,
    x: str = "n_params",
    y: str = "n_tokens",
    value: str = "score",
    by: str = "task",
    order: Sequence[str] | None = None,
    columns: int = 4,
    x_title: str = "parameters N",
    y_title: str = "tokens D",
) -> alt.FacetChart:
    """Score over size and training, one panel per task; colours are shared, so that panels can be compared.

    Parameters
    ----------
    rows : DataFrame
        One row per size, training length and task; a full grid reads best.
    x, y, value, by : str
        Columns of size, training, score, task.
    order : sequence of str, optional
        Tasks in the order to draw.
    columns : int
        Panels in a row.
    """
    need(rows, [x, y, value, by])
    if rows.height > 4000:
        raise DataError(f"{rows.height} cells are too many for one chart", "filter tasks, or aggregate first.")
    data = rows.select(pl.col(x).cast(pl.Float64), pl.col(y).cast(pl.Float64), pl.col(value), pl.col(by))
    cells = (
        alt.Chart(data)
        .mark_rect(stroke="white", strokeWidth=0.5)
        .encode(
            x=alt.X(f"{x}:O", title=x_title, axis=alt.Axis(labelExpr=SHORT, labelAngle=-60, ticks=False, domain=False)),
            y=alt.Y(
                f"{y}:O", title=y_title, sort="descending", axis=alt.Axis(labelExpr=SHORT, ticks=False, domain=False)
            ),
            color=alt.Color(
                f"{value}:Q",
                title=value,
                scale=alt.Scale(range=[BAD, FAINT, PALETTE[0]], domain=[0, 0.5, 1]),
                legend=alt.Legend(orient="right", gradientLength=160),
            ),
            tooltip=[
                f"{by}:N",
                alt.Tooltip(f"{x}:Q", format=".3s"),
                alt.Tooltip(f"{y}:Q", format=".3s"),
                alt.Tooltip(f"{value}:Q", format=".3f"),
            ],
        )
    )
    header = alt.Header(labelFontSize=11, labelLimit=230, title=None)
    return cells.properties(width=150, height=130).facet(
        facet=alt.Facet(f"{by}:N", sort=list(order) if order is not None else None, header=header), columns=columns
    )


def trend_scan(
    found: pl.DataFrame, name: str, *, x_title: str = "change from the smallest to the largest, fraction"
) -> alt.LayerChart:
    """Effects with their intervals, ranked, coloured by label.

    Series that turn are drawn by their arms instead, where the frame has them: an open circle for the change
    up to the turn, a full one for the change after it.

    Parameters
    ----------
    found : DataFrame
        Rows of :func:`scalingdb.trends.scan` or :func:`scalingdb.trends.classify`, in the order to draw.
    name : str
        Column that names a row; names must differ.
    """
    need(found, [name, "label", "effect", "effect_low", "effect_high"])
    arms = [column for column in ("before", "after") if column in found.columns]
    shown = found.select(name, "label", "effect", "effect_low", "effect_high", *arms).drop_nulls("effect")
    if shown.is_empty():
        raise DataError("there is no effect to draw: every series was too short")
    if shown[name].n_unique() < shown.height:
        raise DataError(
            f"column {name!r} names {shown[name].n_unique()} rows of {shown.height}", "add what tells them apart."
        )
    shown = thinned(shown)
    turns = pl.col("label").is_in(["u_shaped", "inverted_u"]) if len(arms) == 2 else pl.lit(value=False)

    def base(rows: pl.DataFrame) -> alt.Chart:
        axis = alt.Axis(labelLimit=520, ticks=False, domain=False, grid=True)
        return alt.Chart(rows).encode(
            y=alt.Y(f"{name}:N", sort=shown[name].to_list(), title=None, axis=axis),
            color=alt.Color("label:N", title=None, scale=_label_scale(), legend=alt.Legend(orient="top", columns=6)),
        )

    straight, bent = base(shown.filter(~turns)), base(shown.filter(turns))
    zero = alt.Chart(pl.DataFrame({"effect": [0.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(x="effect:Q")
    tip = [f"{name}:N", "label:N", alt.Tooltip("effect:Q", format="+.3f")]
    layers: list[Any] = [
        zero,
        straight.mark_rule(strokeWidth=2).encode(x=alt.X("effect_low:Q", title=x_title), x2="effect_high:Q"),
        straight.mark_point(size=60, opacity=1).encode(x="effect:Q", tooltip=tip),
    ]
    if len(arms) == 2:
        layers += [
            bent.mark_rule(strokeWidth=1, strokeDash=[2, 2]).encode(x=alt.X("before:Q", title=x_title), x2="after:Q"),
            bent.mark_point(size=55, opacity=1, filled=False, fill="white", strokeWidth=1.6).encode(x="before:Q"),
            bent.mark_point(size=60, opacity=1).encode(x="after:Q", tooltip=tip),
        ]
    return alt.layer(*layers).properties(width=430, height=alt.Step(17))


def label_matrix(
    table: pl.DataFrame, rows: str, columns: Sequence[str], *, sort: Sequence[str] | None = None
) -> alt.LayerChart:
    """Labels as a table of colours: one row per task, one column per metric (or size, or checkpoint).

    Parameters
    ----------
    table : DataFrame
        As :func:`scalingdb.trends.compare_metrics` returns it: column `rows`, and columns of labels.
    rows : str
        Column that names the rows.
    columns : sequence of str
        Columns of labels, from left to right.
    sort : sequence of str, optional
        Rows from top to bottom.
    """
    need(table, [rows, *columns])
    long = table.unpivot(list(columns), index=rows, variable_name="column", value_name="label").drop_nulls("label")
    if long.is_empty():
        raise DataError("there is no label to draw")
    words = long.with_columns(words=pl.col("label").replace(LABEL_WORDS))
    x = alt.X(
        "column:N", sort=list(columns), title=None, axis=alt.Axis(orient="top", labelAngle=0, ticks=False, domain=False)
    )
    y = alt.Y(
        f"{rows}:N",
        sort=list(sort) if sort is not None else None,
        title=None,
        axis=alt.Axis(labelLimit=300, ticks=False, domain=False),
    )
    base = alt.Chart(words).encode(x=x, y=y)
    return alt.layer(
        base.mark_rect(stroke="white", strokeWidth=2).encode(
            color=alt.Color("label:N", scale=_label_scale(), legend=None)
        ),
        base.mark_text(fontSize=10, color="white").encode(text="words:N"),
    ).properties(width=alt.Step(max(86, 7 * max(map(len, columns)))), height=alt.Step(22))


def unseen_turn(
    rows: pl.DataFrame,
    by: str,
    *,
    x_title: str = "parameters N",
    y_title: str = "score",
    columns: int = 3,
    size: tuple[int, int] = (230, 160),
) -> alt.VConcatChart:
    """What a fit to the sizes before the turn would have predicted, beside what came.

    Parameters
    ----------
    rows : DataFrame
        As :func:`scalingdb.trends.before_the_turn` returns it.
    by : str
        Column that names the panel.
    """
    need(rows, [by, "x", "y", "is_fitted", "predicted", "low", "high"])
    panels = []
    for name in rows[by].unique(maintain_order=True):
        data = rows.filter(pl.col(by) == name).select(
            "x",
            "y",
            "predicted",
            "low",
            "high",
            seen=pl.when("is_fitted").then(pl.lit("fitted")).otherwise(pl.lit("not seen")),
        )
        x = log_x(data, "x", x_title, _axis_labels(x_title.lower()), padding=6)
        every = pl.concat([data["y"], data["predicted"]]).to_numpy()
        low, high = float(every.min()), float(every.max())
        room = 0.12 * max(high - low, 1e-9)
        scale = alt.Scale(domain=[low - room, high + room], zero=False, clamp=True)
        y = alt.Y("predicted:Q", title=y_title, scale=scale)
        layers: list[Any] = []
        band = data.drop_nulls(["low", "high"])
        if band.height:
            layers.append(
                alt.Chart(band)
                .mark_area(color=PALETTE[0], opacity=0.13, clip=True)
                .encode(x=x, y=alt.Y("low:Q", title=y_title, scale=scale), y2="high:Q")
            )
        layers += [
            alt.Chart(data).mark_line(color=PALETTE[0], strokeDash=[4, 3], clip=True).encode(x=x, y=y),
            alt.Chart(data)
            .mark_point(size=48, opacity=1)
            .encode(
                x=x,
                y=alt.Y("y:Q", title=y_title, scale=scale),
                color=alt.Color(
                    "seen:N",
                    title=None,
                    scale=alt.Scale(domain=["fitted", "not seen"], range=[INK, MARK]),
                    legend=alt.Legend(orient="bottom"),
                ),
            ),
        ]
        panels.append(
            alt.layer(*layers, title=alt.TitleParams(str(name), fontSize=12)).properties(width=size[0], height=size[1])
        )
    if not panels:
        raise DataError("there is no series to draw")
    return alt.vconcat(*(alt.hconcat(*panels[i : i + columns]) for i in range(0, len(panels), columns)))
