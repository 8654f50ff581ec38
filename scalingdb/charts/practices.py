"""Charts of fitting practices, comparability traps and hyper-parameter sweeps."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from scalingdb.charts._theme import FAINT, INK, MARK, MORE, MUTED, PALETTE, RAMP, RULE, log_axis, log_x, need, thinned
from scalingdb.errors import DataError

__all__ = ["answer_shift", "practice_arms", "subset_errors", "sweep_map"]

ARM_HEIGHT = 46
"""Pixels of an arm: its families lie side by side, one row per unit."""

_PERCENT = "datum.value >= 1 ? format(datum.value, '.0f') + ' %' : format(datum.value, '~g') + ' %'"


def practice_arms(
    rows: pl.DataFrame,
    tidy: pl.DataFrame,
    *,
    title: str = "mean absolute relative error on the largest model",
    width: int = 420,
) -> alt.LayerChart:
    """Error of every family, and the mean of each arm with its interval, on a logarithmic axis.

    Parameters
    ----------
    rows, tidy : DataFrame
        ``Practice.rows`` and ``Practice.tidy()``, or frames with the same columns.
    title : str
        Of the axis; values are fractions, shown as percentages.
    """
    need(rows, ["arm", "unit", "error"])
    need(tidy, ["arm", "error", "low", "high"])
    shown = thinned(rows.select("arm", "unit", "family", error=100 * pl.col("error")).filter(pl.col("error") > 0))
    if shown.is_empty():
        raise DataError("no arm has an error: there is nothing to draw")
    means = tidy.drop_nulls("error").select(
        "arm", *((100 * pl.col(name)).alias(name) for name in ("error", "low", "high"))
    )
    order = tidy["arm"].to_list()
    low, high = float(shown["error"].quantile(0.005)), float(shown["error"].max())  # type: ignore[arg-type]
    x = alt.X(
        "error:Q",
        scale=alt.Scale(type="log", domain=[low / 1.2, high * 1.2], nice=False, clamp=True),
        axis=log_axis(title, low, high, _PERCENT),
    )
    y = alt.Y("arm:N", sort=order, title=None, axis=alt.Axis(labelLimit=290, ticks=False, domain=False))
    dots = (
        alt.Chart(shown)
        .mark_point(size=30, opacity=0.45)
        .encode(
            x,
            y,
            color=alt.Color(
                "unit:N",
                title=None,
                scale=alt.Scale(range=[*PALETTE, *MORE]),
                legend=alt.Legend(orient="bottom", columns=5),
            ),
            yOffset=alt.YOffset("unit:N"),
            tooltip=["family:N", "arm:N", alt.Tooltip("error:Q", format=".3f")],
        )
    )
    bars = (
        alt.Chart(means.drop_nulls("low"))
        .mark_rule(color=INK, strokeWidth=2)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y)
    )
    ticks = alt.Chart(means).mark_tick(color=INK, thickness=3, size=20).encode(x="error:Q", y=y)
    return alt.layer(dots, bars, ticks).properties(width=width, height=ARM_HEIGHT * len(order))


def subset_errors(rows: pl.DataFrame, *, size: tuple[int, int] = (170, 170)) -> alt.FacetChart:
    """Error of every subset of small models against how far it lies from its target, a panel per unit.

    Parameters
    ----------
    rows : DataFrame
        ``Practice.rows`` of :func:`scalingdb.practices.small_models`.
    """
    need(rows, ["unit", "n_models", "scale_up", "error"])
    shown = thinned(
        rows.filter(pl.col("error") > 0).select("unit", "n_models", "scale_up", error=100 * pl.col("error"))
    )
    low, high = float(shown["error"].min()), float(shown["error"].max())  # type: ignore[arg-type]
    return (
        alt.Chart(shown)
        .mark_point(size=36, opacity=0.75)
        .encode(
            x=log_x(shown, "scale_up", "target size over largest fitted", "format(datum.value, '~g') + 'x'"),
            y=alt.Y(
                "error:Q",
                scale=alt.Scale(type="log", nice=False, padding=8),
                axis=log_axis("error", low, high, _PERCENT),
            ),
            color=alt.Color(
                "n_models:O",
                title="models fitted",
                scale=alt.Scale(range=list(RAMP[1:])),
                legend=alt.Legend(orient="top"),
            ),
        )
        .properties(width=size[0], height=size[1])
        .facet(facet=alt.Facet("unit:N", title=None), columns=4)
    )


def answer_shift(frame: pl.DataFrame, *, width: int = 430) -> alt.LayerChart:
    """By what factor a wrong reading of the same runs moves an answer, one row per trap.

    Parameters
    ----------
    frame : DataFrame
        ``trap``, ``answer`` (what is asked), ``factor`` (wrong over right).
    """
    need(frame, ["trap", "answer", "factor"])
    shown = frame.with_columns(
        label=pl.format(
            "{}, {} times", "answer", pl.col("factor").map_elements(lambda v: f"{v:.3g}", return_dtype=pl.String)
        ),
        one=pl.lit(1.0),
        right=pl.max_horizontal(pl.col("factor"), 1.0),
    )
    low, high = float(shown["factor"].min()), float(shown["factor"].max())  # type: ignore[arg-type]
    low, high = min(low, 1.0) / 1.3, max(high, 1.0) * 2.5  # room for the labels
    x = alt.X(
        "factor:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=log_axis("wrong answer over right answer", low, high, "format(datum.value, '~g') + 'x'"),
    )
    y = alt.Y(
        "trap:N", sort=frame["trap"].to_list(), title=None, axis=alt.Axis(labelLimit=330, ticks=False, domain=False)
    )
    base = alt.Chart(shown)
    unity = alt.Chart(pl.DataFrame({"factor": [1.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(x=x)
    lines = base.mark_rule(strokeWidth=2, color=RULE).encode(x=alt.X("one:Q"), x2="factor:Q", y=y)
    dots = base.mark_point(size=80, color=MARK, opacity=1).encode(x, y)
    # right of the dot, or of the line at one where the dot lies left of it
    text = base.mark_text(align="left", dx=9, color=MUTED, fontSize=11).encode(x=alt.X("right:Q"), y=y, text="label:N")
    return alt.layer(unity, lines, dots, text).properties(width=width, height=alt.Step(28))


def sweep_map(
    runs: pl.DataFrame,
    marks: pl.DataFrame | None = None,
    *,
    x: str = "learning_rate",
    y: str = "batch_size_tokens",
    cell: str = "cell",
    cells: Sequence[str] | None = None,
    worst: float = 2.0,
    columns: int = 3,
    size: tuple[int, int] = (215, 170),
) -> alt.ConcatChart:
    """Excess loss over a sweep of two knobs, a panel per cell; marks show the best run and what rules say.

    Parameters
    ----------
    runs : DataFrame
        The knobs, `cell` and ``excess`` (loss over the best of the cell, minus 1).
    marks : DataFrame, optional
        The knobs, `cell` and ``mark`` (name of the rule).
    cells : sequence of str, optional
        Which cells, in this order; all by default.
    worst : float
        Percent at which the colours end.
    """
    need(runs, [x, y, cell, "excess"])
    order = list(cells) if cells is not None else runs[cell].unique(maintain_order=True).to_list()
    low_x, high_x = float(runs[x].min()), float(runs[x].max())  # type: ignore[arg-type]
    low_y, high_y = float(runs[y].min()), float(runs[y].max())  # type: ignore[arg-type]
    x_axis = alt.Axis(title="peak learning rate", values=[1e-4, 3e-4, 1e-3, 3e-3, 1e-2], format="~e")
    scale_x = alt.Scale(type="log", domain=[low_x / 1.3, high_x * 1.3], nice=False)
    scale_y = alt.Scale(type="log", domain=[low_y / 1.4, high_y * 1.4], nice=False)
    color = alt.Color(
        "percent:Q",
        title="loss above the best, %",
        scale=alt.Scale(domain=[0, worst / 4, worst], range=[RAMP[4], RAMP[1], FAINT], clamp=True),
        legend=alt.Legend(orient="top", gradientLength=160),
    )
    names = [] if marks is None else marks["mark"].unique(maintain_order=True).to_list()
    shapes = ["circle", "cross", "diamond", "triangle-up", "square"]
    panels = []
    for name in order:
        part = runs.filter(pl.col(cell) == name).select(x, y, percent=100 * pl.col("excess"))
        encoded = (
            alt.X(f"{x}:Q", scale=scale_x, axis=x_axis),
            alt.Y(f"{y}:Q", scale=scale_y, axis=log_axis("batch, tokens", low_y, high_y)),
        )
        layers: list[alt.Chart] = [alt.Chart(part).mark_square(size=110, opacity=1).encode(*encoded, color=color)]
        if marks is not None:
            layers.append(
                alt.Chart(marks.filter(pl.col(cell) == name).select(x, y, "mark"))
                .mark_point(size=70, filled=False, strokeWidth=2, opacity=1)
                .encode(
                    *encoded,
                    shape=alt.Shape("mark:N", title=None, scale=alt.Scale(domain=names, range=shapes[: len(names)])),
                    stroke=alt.Stroke(
                        "mark:N",
                        title=None,
                        scale=alt.Scale(domain=names, range=[INK, *PALETTE[:4]][: len(names)]),
                        legend=alt.Legend(orient="top"),
                    ),
                )
            )
        panels.append(alt.layer(*layers).properties(title=alt.Title(name, fontSize=12), width=size[0], height=size[1]))
    return alt.concat(*panels, columns=columns)
