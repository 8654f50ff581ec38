"""Charts of how a fit came about and how sure it is: objective, starts, profile, verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scalingdb.charts._theme import (
    BAD,
    COUNT,
    FAINT,
    INK,
    MARK,
    MAX_ROWS,
    MUTED,
    PALETTE,
    RAMP,
    log_axis,
    need,
    thinned,
)
from scalingdb.errors import DataError

__all__ = ["estimate_paths", "objective_map", "profile", "verdicts"]

DEEPEST = 0.01
"""Excess over the minimum, in percent, from which on cells of a map look alike."""

HEADROOM = 3.0
"""Height of a profile chart in cut-offs: beyond, the curve says nothing about the interval."""


def estimate_paths(
    frame: pl.DataFrame,
    x: str,
    by: str,
    params: Sequence[str] | None = None,
    *,
    title: str = "",
    size: tuple[int, int] = (290, 220),
) -> alt.HConcatChart:
    """Estimates as something about the fit is varied: one panel per parameter, one line per group.

    Parameters
    ----------
    frame : DataFrame
        ``param, estimate`` as :meth:`Fit.tidy` has them, stacked, with the columns `x` (what was
        varied, a number) and `by`.
    params : sequence of str, optional
        Parameters to show, in this order; all by default.
    title : str
        Of the horizontal axis; the name of the column by default.
    """
    need(frame, [x, by, "param", "estimate"])
    names = list(params) if params is not None else frame["param"].unique(maintain_order=True).to_list()
    shown = frame.filter(pl.col("param").is_in(names)).select(x, by, "param", "estimate").drop_nulls()
    if shown.is_empty():
        raise DataError("no row has an estimate of a parameter that was asked for: there is nothing to draw")
    shown = thinned(shown)
    panels = []
    for name in names:
        lines = (
            alt.Chart(shown.filter(param=name), title=name)
            .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=22))
            .encode(
                x=alt.X(f"{x}:Q", title=title or x, scale=alt.Scale(nice=False, padding=8)),
                y=alt.Y("estimate:Q", title=None, scale=alt.Scale(zero=False)),
                color=alt.Color(f"{by}:N", title=None, sort=None, legend=alt.Legend(orient="right")),
                tooltip=[f"{by}:N", alt.Tooltip(f"{x}:Q", format=".3g"), alt.Tooltip("estimate:Q", format=".5g")],
            )
        )
        panels.append(lines.properties(width=size[0], height=size[1]))
    return alt.hconcat(*panels)


def _edges(values: np.ndarray[Any, np.dtype[np.float64]]) -> dict[float, tuple[float, float]]:
    """Borders of the cells around sorted grid values: halfway to the neighbours."""
    middle = 0.5 * (values[1:] + values[:-1])
    borders = np.concatenate([[2 * values[0] - middle[0]], middle, [2 * values[-1] - middle[-1]]])
    return {float(v): (float(borders[i]), float(borders[i + 1])) for i, v in enumerate(values)}


def objective_map(
    cells: pl.DataFrame,
    x: str,
    y: str,
    *,
    best: Mapping[str, float] | None = None,
    lowest: float | None = None,
    paths: pl.DataFrame | None = None,
    title: str = "",
    size: tuple[int, int] = (330, 300),
) -> alt.LayerChart:
    """The lowest objective in the plane of two parameters: how deep, how narrow, which way it slopes.

    Parameters
    ----------
    cells : DataFrame
        One row per cell of a grid: the columns `x` and `y`, and ``objective`` (not negative), for
        example of a fit with both parameters fixed.
    best : mapping of parameter to value, optional
        Where a cross is drawn: the estimates of a fit.
    lowest : float, optional
        Objective of that fit. Colours show the excess over it, or over the lowest of the cells.
    paths : DataFrame, optional
        Ways through the plane, such as an optimiser's: `x`, `y`, ``path`` (which one) and ``step``
        (its order). A dot marks the last step of each.
    """
    need(cells, [x, y, "objective"])
    grid = cells.select(x, y, "objective").drop_nulls().filter(pl.col("objective").is_finite())
    columns, rows = (np.unique(grid[name].to_numpy().astype(float)) for name in (x, y))
    if min(columns.size, rows.size) < 2:
        raise DataError(f"cells differ in fewer than two values of {x!r} or {y!r}: there is nothing to draw")
    if grid.height > MAX_ROWS:
        raise DataError(f"{grid.height} cells are too many for one chart", f"draw a coarser grid, {MAX_ROWS} at most.")
    floor = float(grid["objective"].min())  # type: ignore[arg-type]
    for name in (x, y):
        if best is not None and name not in best:
            raise DataError(f"the estimates have no parameter {name!r}", f"they have {', '.join(best)}.")
    floor = min(floor, floor if lowest is None else lowest)
    if not floor > 0:
        raise DataError(f"the lowest objective is {floor:g}: an excess over it cannot be a percentage")
    wide, tall = _edges(columns), _edges(rows)
    shown = grid.with_columns(
        excess=(100 * (pl.col("objective") / floor - 1)).clip(lower_bound=DEEPEST),
        left=pl.Series([wide[v][0] for v in grid[x]]),
        right=pl.Series([wide[v][1] for v in grid[x]]),
        bottom=pl.Series([tall[v][0] for v in grid[y]]),
        top=pl.Series([tall[v][1] for v in grid[y]]),
    )
    ends = [float(shown["excess"].min()), float(shown["excess"].max())]  # type: ignore[arg-type]
    x_scale = alt.Scale(domain=[wide[float(columns[0])][0], wide[float(columns[-1])][1]], nice=False)
    y_scale = alt.Scale(domain=[tall[float(rows[0])][0], tall[float(rows[-1])][1]], nice=False)
    layers: list[Any] = [
        alt.Chart(shown)
        .mark_rect(stroke=None)
        .encode(
            x=alt.X("left:Q", title=x, scale=x_scale),
            x2="right:Q",
            y=alt.Y("bottom:Q", title=y, scale=y_scale),
            y2="top:Q",
            color=alt.Color(
                "excess:Q",
                title=["over the", "minimum, %"],
                scale=alt.Scale(type="log", domain=[ends[0], max(ends[1], ends[0] * 1.01)], range=[RAMP[5], FAINT]),
                legend=alt.Legend(format="~g", tickCount=4),
            ),
            tooltip=[x, y, alt.Tooltip("objective:Q", format=".6e"), alt.Tooltip("excess:Q", format=".3g")],
        )
    ]
    if paths is not None:
        need(paths, [x, y, "path", "step"])
        ways = paths.select(x, y, "path", "step").drop_nulls()
        common = {"x": alt.X(f"{x}:Q", scale=x_scale, title=x), "y": alt.Y(f"{y}:Q", scale=y_scale, title=y)}
        layers += [
            alt.Chart(thinned(ways))
            .mark_line(color=BAD, strokeWidth=1.2, clip=True)
            .encode(**common, detail="path:N", order="step:Q"),
            alt.Chart(ways.sort("path", "step").group_by("path", maintain_order=True).last())
            .mark_point(color=BAD, size=42, opacity=1, clip=True, stroke="white", strokeWidth=0.8)
            .encode(**common),
        ]
    if best is not None:
        cross = pl.DataFrame({x: [best[x]], y: [best[y]]})
        layers.append(
            alt.Chart(cross)
            .mark_point(shape="cross", size=130, color="white", stroke=INK, strokeWidth=1.2, opacity=1)
            .encode(x=alt.X(f"{x}:Q", scale=x_scale), y=alt.Y(f"{y}:Q", scale=y_scale))
        )
    return alt.layer(*layers).properties(title=title, width=size[0], height=size[1])


def profile(
    curve: pl.DataFrame,
    intervals: pl.DataFrame,
    *,
    title: str = "",
    size: tuple[int, int] = (310, 230),
) -> alt.LayerChart:
    """The lowest objective for every value of one parameter, beside the parabola of its standard error.

    What :meth:`Fit.profile_chart` draws.

    Between the two upright lines, where the curve lies under the cut-off, is the profile interval;
    the dashed parabola meets the cut-off at the ends of the robust one. Where the two part, a
    standard error is a poor summary.

    Parameters
    ----------
    curve : DataFrame
        ``value, rise, cutoff``, as :meth:`Fit.profile` returns it.
    intervals : DataFrame
        Two rows with ``method`` (``robust`` and ``profile``), ``param, estimate, low, high`` and
        ``is_log`` (whether the robust one is an interval of the logarithm), ``level``.
    """
    need(curve, ["value", "rise", "cutoff"])
    need(intervals, ["method", "param", "estimate", "low", "high", "is_log", "level"])
    robust, cut = (intervals.filter(method=method).row(0, named=True) for method in ("robust", "profile"))
    param = robust["param"]
    cutoff = float(curve["cutoff"][0])
    # fit objectives differ by orders of magnitude: a rise is read against the cut-off, as a multiple of it
    shown = curve.select("value", rise=pl.col("rise") / cutoff).filter(pl.col("rise") <= 2 * HEADROOM)
    reach = shown.filter(pl.col("rise") <= HEADROOM)["value"]
    ends = [float(reach.min()), float(reach.max())]  # type: ignore[arg-type]
    layers: list[Any] = []
    x = alt.X("value:Q", title=param, scale=alt.Scale(domain=ends, nice=False, padding=6))
    y = alt.Y("rise:Q", title="rise of the objective, cut-offs", scale=alt.Scale(domain=[0, HEADROOM], nice=False))
    level_line = alt.Chart(pl.DataFrame({"rise": [1.0]})).mark_rule(color=MUTED, strokeWidth=1).encode(y=y)
    layers.append(level_line)
    limits = [v for v in (cut["low"], cut["high"]) if v is not None and np.isfinite(v) and ends[0] <= v <= ends[1]]
    if limits:
        layers.append(alt.Chart(pl.DataFrame({"value": limits})).mark_rule(color=PALETTE[0], strokeWidth=1).encode(x=x))
    if robust["low"] is not None and robust["high"] is not None:
        on_log = robust["is_log"] and robust["low"] > 0
        values = np.linspace(ends[0], ends[1], 120)
        if on_log:
            values = values[values > 0]
            share = np.log(values / robust["estimate"]) / np.log(robust["high"] / robust["estimate"])
        else:
            share = (values - robust["estimate"]) / (robust["high"] - robust["estimate"])
        parabola = pl.DataFrame({"value": values, "rise": share**2})
        layers.append(
            alt.Chart(parabola).mark_line(color=MARK, strokeDash=[5, 4], strokeWidth=1.6, clip=True).encode(x=x, y=y)
        )
    layers.append(
        alt.Chart(shown)
        .mark_line(color=PALETTE[0], strokeWidth=2.2, clip=True)
        .encode(x=x, y=y, tooltip=[alt.Tooltip("value:Q", format=".5g"), alt.Tooltip("rise:Q", format=".3f")])
    )
    heading = {
        "text": title or f"profile of {param}",
        "subtitle": f"line: profile; dashed: standard error; {100 * robust['level']:g} % cut-off at 1",
    }
    return alt.layer(*layers).properties(title=heading, width=size[0], height=size[1])


def verdicts(
    designs: Mapping[str, tuple[pl.DataFrame, str]], *, columns: int = 3, size: tuple[int, int] = (220, 170)
) -> alt.VConcatChart:
    """Where the runs of several fits lie, each under the verdict that they led to.

    Parameters
    ----------
    designs : mapping of title to (DataFrame, verdict)
        As :meth:`Fit.design` returns it: the frame's first two columns are drawn against each other.
    columns : int
        Panels side by side.
    """
    if not designs:
        raise DataError("no fits were given: there is nothing to draw")
    texts = {
        name: [line for part in str(verdict).split("; ") for line in textwrap.wrap(part, max(size[0] // 6, 12))]
        for name, (_, verdict) in designs.items()
    }
    tallest = max(map(len, texts.values()))
    panels = []
    for name, (frame, _) in designs.items():
        axes = frame.columns[:2]
        rows = thinned(frame.select(pl.col(axis).cast(pl.Float64) for axis in axes)).rename(
            dict(zip(axes, ("across", "up"), strict=True))
        )
        heading = {
            "text": str(name),
            # as many lines everywhere, so that the panels of a row stand side by side
            "subtitle": [*texts[name], *[" "] * (tallest - len(texts[name]))],
            "subtitleColor": INK,
            "frame": "group",
        }
        panels.append(
            alt.Chart(rows)
            .mark_point(size=22)
            .encode(
                x=alt.X("across:Q", **_design_axis(rows["across"], axes[0])),
                y=alt.Y("up:Q", **_design_axis(rows["up"], axes[1])),
            )
            .properties(title=heading, width=size[0], height=size[1])
        )
    lines = [alt.hconcat(*panels[i : i + columns], spacing=28) for i in range(0, len(panels), columns)]
    return alt.vconcat(*lines, spacing=24)


def _design_axis(values: pl.Series, title: str) -> dict[str, Any]:
    """Scale and axis of one column of a design: a decade at least, so that a narrow design looks narrow."""
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    if not low > 0:
        return {"scale": alt.Scale(zero=False), "title": title}
    margin = max(1.5, (12 * low / high) ** 0.5)
    low, high = low / margin, high * margin
    return {"scale": alt.Scale(type="log", domain=[low, high], nice=False), "axis": log_axis(title, low, high, COUNT)}
