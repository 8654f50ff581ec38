"""Charts of the replication ledger: how many figures reproduce, and how close ours come."""

from __future__ import annotations

import altair as alt
import polars as pl

from scalingdb.charts._theme import BAD, INK, MUTED, PALETTE, RAMP, RULE, SOFT, need
from scalingdb.errors import DataError
from scalingdb.schema import LEDGER_VERDICTS, NEEDS_LOCAL_ROWS

__all__ = ["VERDICT_COLORS", "stated_distances", "verdict_shares"]

VERDICT_COLORS = dict(zip((*LEDGER_VERDICTS, NEEDS_LOCAL_ROWS), (PALETTE[0], RAMP[2], BAD, SOFT, RULE), strict=True))
"""Colour of each verdict: blue for what reproduces, orange for what does not, grey for what nobody could test."""

NEAREST, FARTHEST = 1e-3, 1e3
"""Distances, in tolerances, between which the dots of a chart lie; nearer and farther ones sit on its edges."""


def _color(verdicts: pl.Series) -> alt.Color:
    """Colours of the verdicts that occur, in the order of the ledger."""
    present = {verdict: color for verdict, color in VERDICT_COLORS.items() if (verdicts == verdict).any()}
    return alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=list(present), range=list(present.values())),
        legend=alt.Legend(orient="top", columns=3, labelLimit=320),
    )


def verdict_shares(table: pl.DataFrame, by: str = "source_id", *, width: int = 420) -> alt.LayerChart:
    """Verdicts as shares of the figures, one bar per source; the number of figures stands at the right.

    Parameters
    ----------
    table : DataFrame
        ``verdict`` and the column named by `by`, one row per figure, as the ledger has them.
    """
    need(table, [by, "verdict"])
    if table.is_empty():
        raise DataError("the ledger has no figure: there is nothing to draw")
    order = {verdict: rank for rank, verdict in enumerate(VERDICT_COLORS)}
    counts = (
        table.group_by(by, "verdict")
        .len("count")
        .with_columns(
            rank=pl.col("verdict").replace_strict(order, return_dtype=pl.Int64),
            n=pl.col("count").sum().over(by),
        )
        .with_columns(share=pl.col("count") / pl.col("n"))
        .sort(by, "rank")
    )
    y = alt.Y(f"{by}:N", title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False))
    bars = (
        alt.Chart(counts)
        .mark_bar(height={"band": 0.72})
        .encode(
            x=alt.X(
                "share:Q",
                title="share of the figures",
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", tickCount=5),
            ),
            y=y,
            color=_color(counts["verdict"]),
            order=alt.Order("rank:Q"),
            tooltip=[f"{by}:N", "verdict:N", "count:Q"],
        )
    )
    totals = (
        alt.Chart(counts.unique(by, maintain_order=True).select(by, "n"))
        .mark_text(align="left", dx=6, color=MUTED, fontSize=11)
        .encode(x=alt.value(width), y=y, text="n:Q")
    )
    return alt.layer(bars, totals).properties(width=width, height=alt.Step(20))


def stated_distances(table: pl.DataFrame, by: str = "source_id", *, width: int = 420) -> alt.LayerChart:
    """Distance of ours from each stated number, in units of its tolerance: left of the line reproduces.

    Parameters
    ----------
    table : DataFrame
        ``figure, stated, ours, tolerance, verdict`` and the column named by `by`, as
        :func:`scalingdb.evidence.replication.ledger` has them. Figures without a stated number or
        without ours have no dot.
    """
    need(table, [by, "figure", "stated", "ours", "tolerance", "verdict"])
    away = (pl.col("ours") - pl.col("stated")).abs()
    shown = (
        table.drop_nulls(["stated", "ours", "tolerance"])
        .with_columns(
            # a tolerance of zero, as counts have, is met exactly or not at all
            distance=pl.when(away == 0)
            .then(NEAREST)
            .when(pl.col("tolerance") == 0)
            .then(FARTHEST)
            .otherwise(away / pl.col("tolerance"))
            .clip(NEAREST, FARTHEST),
            lane=pl.int_range(pl.len()).over(by) * 7 % 11,  # neighbours of the table lie apart
        )
        .select(by, "figure", "stated", "ours", "distance", "lane", "verdict")
    )
    if shown.is_empty():
        raise DataError("no figure has both a stated number and ours: there is nothing to draw")
    x = alt.X(
        "distance:Q",
        title="distance of ours from the stated number / tolerance",
        scale=alt.Scale(type="log", domain=[NEAREST, FARTHEST], padding=6),
        axis=alt.Axis(
            values=[NEAREST, 0.01, 0.1, 1, 10, 100, FARTHEST],
            labelExpr=(
                f"datum.value <= {NEAREST} ? '≤ {NEAREST:g}' : datum.value >= {FARTHEST} ? '≥ {FARTHEST:g}' : "
                "format(datum.value, '~g')"
            ),
        ),
    )
    dots = (
        alt.Chart(shown)
        .mark_point(size=22, opacity=0.6)
        .encode(
            x=x,
            y=alt.Y(f"{by}:N", title=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False, grid=True)),
            yOffset=alt.YOffset("lane:Q", scale=alt.Scale(domain=[-2, 12])),
            color=_color(shown["verdict"]),
            tooltip=["figure:N", alt.Tooltip("stated:Q", format=".5g"), alt.Tooltip("ours:Q", format=".5g")],
        )
    )
    line = alt.Chart(pl.DataFrame({"distance": [1.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(x=x)
    return alt.layer(line, dots).properties(width=width, height=alt.Step(24, **{"for": "position"}))
