"""Charts of the arena: errors by distance, who meets whom, calibration."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from scalingdb.charts._theme import FAINT, INK, MARK, MORE, MUTED, PALETTE, RAMP, RULE, need
from scalingdb.errors import DataError

__all__ = ["arena_distance", "arena_map", "interval_coverage", "win_rates"]

_PERCENT_TICKS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]

_PERCENT = "datum.value < 0.01 ? format(datum.value, '.1%') : format(datum.value, '.0%')"


def arena_distance(
    errors: pl.DataFrame, bands: Sequence[str], *, laws: Sequence[str] | None = None, title: str = "", width: int = 560
) -> alt.LayerChart:
    """Error of each law against the distance of the prediction, with its interval.

    Parameters
    ----------
    errors : DataFrame
        ``law, band, error, low, high``.
    bands : sequence of str
        Bands from near to far.
    laws : sequence of str, optional
        Laws to show, in the order of the legend; all by default.

    Raises
    ------
    DataError
        If no row is left.
    """
    need(errors, ["law", "band", "error", "low", "high"])
    order = list(laws) if laws is not None else errors["law"].unique(maintain_order=True).to_list()
    shown = errors.filter(pl.col("law").is_in(order), pl.col("error").is_finite())
    if shown.is_empty():
        raise DataError("no law has an error in any band: there is nothing to draw")
    floor, top = 1e-3, 1.0
    shown = shown.select("law", "band", pl.col("error", "low", "high").clip(floor, top), exact=pl.col("error"))
    reach = shown.select(low=pl.col("low").min() / 1.2, high=pl.col("high").max() * 1.2).row(0)
    y = alt.Y(
        "error:Q",
        scale=alt.Scale(type="log", domain=[max(floor, reach[0]), min(top, reach[1])]),
        axis=alt.Axis(title="absolute relative error", values=_PERCENT_TICKS, labelExpr=_PERCENT),
    )
    x = alt.X(
        "band:N",
        sort=list(bands),
        axis=alt.Axis(title="held-out scale / largest fitted scale", labelAngle=0, grid=False),
    )
    offset = alt.XOffset("law:N", sort=order)
    colors = [*PALETTE, *MORE, INK, MUTED]
    color = alt.Color(
        "law:N",
        sort=order,
        scale=alt.Scale(domain=order, range=[colors[i % len(colors)] for i in range(len(order))]),
        legend=alt.Legend(title=None, orient="right", labelLimit=220),
    )
    base = alt.Chart(shown)
    rules = base.mark_rule(opacity=0.45, strokeWidth=2).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), offset, color)
    dots = base.mark_point(size=64, opacity=1).encode(
        x, y, offset, color, tooltip=["law:N", "band:N", alt.Tooltip("exact:Q", format=".2%", title="error")]
    )
    return alt.layer(rules.encode(y=alt.Y("low:Q", title="absolute relative error")), dots).properties(
        title=title, width=width, height=300
    )


def arena_map(
    errors: pl.DataFrame, *, laws: Sequence[str], data_sets: Sequence[str], title: str = "", cell: int = 30
) -> alt.LayerChart:
    """Error of each law on each data set, as a map: darker is worse, a cross where the law was refused.

    Parameters
    ----------
    errors : DataFrame
        ``law, data_set, error``; a null error is a refusal, no row means that the law does not apply.
    """
    need(errors, ["law", "data_set", "error"])
    shown = errors.filter(pl.col("law").is_in(list(laws)), pl.col("data_set").is_in(list(data_sets))).with_columns(
        shade=pl.col("error").clip(0.002, 0.5),
        text=pl.when(pl.col("error").is_null())
        .then(pl.lit("x"))
        .when(pl.col("error") >= 1)
        .then(pl.lit(">100"))
        .otherwise(
            (100 * pl.col("error")).map_elements(
                lambda value: f"{value:.1f}" if value < 9.95 else f"{value:.0f}", pl.String
            )
        ),
    )
    x = alt.X(
        "law:N", sort=list(laws), axis=alt.Axis(title=None, labelAngle=-40, orient="top", labelLimit=160, domain=False)
    )
    y = alt.Y("data_set:N", sort=list(data_sets), axis=alt.Axis(title=None, labelLimit=220, domain=False, ticks=False))
    squares = (
        alt.Chart(shown)
        .mark_rect(stroke="white")
        .encode(
            x,
            y,
            color=alt.condition(
                "isValid(datum.error)",
                alt.Color(
                    "shade:Q",
                    scale=alt.Scale(type="log", domain=[0.002, 0.5], range=[RAMP[0], RAMP[5]]),
                    legend=alt.Legend(
                        title="mean error",
                        orient="bottom",
                        values=[0.002, 0.01, 0.05, 0.2, 0.5],
                        format="~%",
                        gradientLength=220,
                    ),
                ),
                alt.value(FAINT),
            ),
            tooltip=["law:N", "data_set:N", alt.Tooltip("error:Q", format=".2%")],
        )
    )
    numbers = (
        alt.Chart(shown)
        .mark_text(fontSize=10)
        .encode(x, y, text="text:N", color=alt.condition("datum.shade > 0.05", alt.value("white"), alt.value(INK)))
    )
    return alt.layer(squares, numbers).properties(
        title=title, width=cell * 1.5 * len(laws), height=cell * 0.66 * len(data_sets)
    )


def interval_coverage(calibration: pl.DataFrame, *, title: str = "", width: int = 420) -> alt.LayerChart:
    """Coverage of the 95 % prediction interval of each law, with the nominal value as a line.

    Parameters
    ----------
    calibration : DataFrame
        ``law, coverage`` and ``band``.
    """
    need(calibration, ["law", "band", "coverage"])
    order = (
        calibration.group_by("law").agg(pl.col("coverage").mean()).sort("coverage", descending=True)["law"].to_list()
    )
    bands = calibration["band"].unique(maintain_order=True).to_list()
    dots = (
        alt.Chart(calibration)
        .mark_point(size=70, opacity=0.9)
        .encode(
            x=alt.X(
                "coverage:Q",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format="%", title="held-out values inside the interval"),
            ),
            y=alt.Y("law:N", sort=order, axis=alt.Axis(title=None, labelLimit=200)),
            color=alt.Color(
                "band:N",
                sort=bands,
                scale=alt.Scale(domain=bands, range=[*RAMP[2:6], INK]),
                legend=alt.Legend(title="distance", orient="right"),
            ),
            tooltip=["law:N", "band:N", alt.Tooltip("coverage:Q", format=".0%")],
        )
    )
    line = alt.Chart(pl.DataFrame({"nominal": [0.95]})).mark_rule(color=MARK, strokeDash=[4, 3]).encode(x="nominal:Q")
    return alt.layer(line, dots).properties(title=title, width=width, height=22 * len(order))


def win_rates(board: pl.DataFrame, *, title: str = "", width: int = 420) -> alt.LayerChart:
    """Win rate of each law with its interval; unranked laws are grey.

    Parameters
    ----------
    board : DataFrame
        A leaderboard of one track.
    """
    need(board, ["law", "rank", "win_rate", "win_low", "win_high", "n_sets"])
    order = board.sort("win_rate", descending=True)["law"].to_list()
    shown = board.select("law", "win_rate", "win_low", "win_high", "n_sets", ranked=pl.col("rank").is_not_null())
    base = alt.Chart(shown).encode(
        y=alt.Y("law:N", sort=order, axis=alt.Axis(title=None, labelLimit=200)),
        color=alt.condition("datum.ranked", alt.value(PALETTE[0]), alt.value(PALETTE[4])),
    )
    axis = alt.Axis(format="%", title="share of the other laws beaten on the same held-out runs")
    rules = base.mark_rule(strokeWidth=3, opacity=0.4).encode(
        alt.X("win_low:Q", scale=alt.Scale(domain=[0, 1]), axis=axis), alt.X2("win_high:Q")
    )
    dots = base.mark_point(size=80, opacity=1).encode(
        alt.X("win_rate:Q", title=""), tooltip=["law:N", alt.Tooltip("win_rate:Q", format=".0%"), "n_sets:Q"]
    )
    half = alt.Chart(pl.DataFrame({"even": [0.5]})).mark_rule(color=RULE).encode(x="even:Q")
    return alt.layer(half, rules, dots).properties(title=title, width=width, height=24 * len(order))
