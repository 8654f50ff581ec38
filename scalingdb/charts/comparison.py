"""Charts of runs, laws and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scalingdb.charts._theme import (
    COUNT,
    FAINT,
    INK,
    MAX_ROWS,
    MUTED,
    PALETTE,
    POWER,
    RULE,
    SOFT,
    log_axis,
    log_x,
    need,
    thinned,
)
from scalingdb.errors import DataError


def coverage(
    points: pl.DataFrame, color: str = "split", *, title: str = "", size: tuple[int, int] = (300, 240)
) -> alt.LayerChart:
    """Where the runs lie in the plane of parameters N and tokens D, with lines of equal D/N.

    Parameters
    ----------
    points : DataFrame
        With ``n``, ``n_tokens`` and the column named by `color`.
    """
    need(points, ["n", "n_tokens", color])
    shown = points.select("n", "n_tokens", pl.col(color).cast(pl.String).alias(color)).drop_nulls(["n", "n_tokens"])
    if shown.is_empty():
        raise DataError("no run has both a parameter count and a token count: there is nothing to draw")
    shown = thinned(shown)
    low, high = float(shown["n"].min()) / 1.5, float(shown["n"].max()) * 1.5  # type: ignore[arg-type]
    bottom, top = float(shown["n_tokens"].min()) / 2, float(shown["n_tokens"].max()) * 2  # type: ignore[arg-type]
    lines = pl.DataFrame(
        [
            {"ratio": f"D/N = {ratio:g}", "n": n, "n_tokens": ratio * n}
            for ratio in (1, 20, 400)
            for n in np.geomspace(low, high, 60)
            if bottom <= ratio * n <= top
        ],
        schema={"ratio": pl.String, "n": pl.Float64, "n_tokens": pl.Float64},
    )
    x = alt.X(
        "n:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False), axis=log_axis("parameters N", low, high)
    )
    y = alt.Y(
        "n_tokens:Q",
        scale=alt.Scale(type="log", domain=[bottom, top], nice=False),
        axis=log_axis("tokens D", bottom, top),
    )
    guide = alt.Chart(lines).mark_line(strokeDash=[3, 3], color=SOFT, strokeWidth=1).encode(x, y, detail="ratio:N")
    labels = (
        alt.Chart(lines.group_by("ratio").agg(pl.col("n", "n_tokens").sort_by("n").last()))
        .mark_text(align="right", baseline="bottom", dx=-2, dy=-2, color=MUTED, fontSize=10)
        .encode(x, y, text="ratio:N")
    )
    legend = alt.Legend(orient="top", columns=4) if shown[color].n_unique() > 1 else None
    dots = (
        alt.Chart(shown)
        .mark_point()
        .encode(
            x,
            y,
            color=alt.Color(f"{color}:N", title=None, legend=legend),
            tooltip=[alt.Tooltip("n:Q", format=".3s"), alt.Tooltip("n_tokens:Q", format=".3s"), f"{color}:N"],
        )
    )
    return alt.layer(guide, labels, dots).properties(title=title, width=size[0], height=size[1])


def parameter_intervals(tidy: pl.DataFrame, by: str, params: Sequence[str] | None = None) -> alt.FacetChart:
    """Estimates with their 95 % intervals, one panel per parameter, one row per group.

    Parameters
    ----------
    tidy : DataFrame
        ``param, estimate, low, high`` and the column named by `by`.
    params : sequence of str, optional
        Parameters to show, in this order; all by default.
    """
    need(tidy, [by, "param", "estimate", "low", "high"])
    shown = tidy if params is None else tidy.filter(pl.col("param").is_in(list(params)))
    order = list(params) if params is not None else shown["param"].unique(maintain_order=True).to_list()
    base = alt.Chart(shown.select(by, "param", "estimate", "low", "high")).encode(
        y=alt.Y(f"{by}:N", title=None, sort=None, axis=alt.Axis(labelLimit=260, ticks=False, domain=False)),
        color=alt.Color(f"{by}:N", legend=None, sort=None),
    )
    layers = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q", title=None, scale=alt.Scale(zero=False)), x2="high:Q"),
        base.mark_point(size=60).encode(
            x="estimate:Q", tooltip=[f"{by}:N", alt.Tooltip("estimate:Q", format=".5g"), "low:Q", "high:Q"]
        ),
    ).properties(width=230, height=alt.Step(24))
    return layers.facet(column=alt.Column("param:N", title=None, sort=order)).resolve_scale(x="independent")


def residuals(rows: pl.DataFrame, along: Mapping[str, str], by: str = "law") -> alt.VConcatChart:
    """Relative error of every row along each input: one row of panels per law.

    Parameters
    ----------
    rows : DataFrame
        ``relative_error`` (a fraction), the columns of `along`, and `by`; ``split`` colours the dots
        where it is present.
    along : mapping of column to axis title
    """
    need(rows, [by, "relative_error", *along])
    columns = [by, "relative_error", *along, *(["split"] if "split" in rows.columns else [])]
    limit = float(rows["relative_error"].abs().quantile(0.995) or 0.01) * 100
    shown = thinned(rows.select(columns)).with_columns(error=(pl.col("relative_error") * 100).clip(-limit, limit))
    color: Any = (
        alt.Color("split:N", title=None, legend=alt.Legend(orient="top"))
        if "split" in rows.columns
        else alt.value(PALETTE[0])
    )
    panels = []
    for group in shown[by].unique(maintain_order=True):
        data = shown.filter(pl.col(by) == group)
        row = []
        for position, (column, title) in enumerate(along.items()):
            dots = (
                alt.Chart(data)
                .mark_point(size=16, opacity=0.55)
                .encode(
                    x=log_x(data, column, title),
                    y=alt.Y(
                        "error:Q",
                        title=f"{group}: error, %" if position == 0 else None,
                        scale=alt.Scale(domain=[-limit, limit]),
                    ),
                    color=color,
                )
            )
            zero = alt.Chart(pl.DataFrame({"error": [0.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(y="error:Q")
            row.append(alt.layer(zero, dots).properties(width=330, height=150))
        panels.append(alt.hconcat(*row))
    return alt.vconcat(*panels)


def error_map(rows: pl.DataFrame, by: str = "law", *, size: tuple[int, int] = (300, 240)) -> alt.HConcatChart:
    """Relative error in the plane of N and D, one panel per law: a pattern of colours is misfit, not noise.

    Parameters
    ----------
    rows : DataFrame
        ``n``, ``n_tokens``, ``relative_error`` (a fraction) and `by`.
    """
    need(rows, ["n", "n_tokens", "relative_error", by])
    shown = thinned(rows.select("n", "n_tokens", pl.col(by), error=pl.col("relative_error") * 100))
    limit = float(shown["error"].abs().quantile(0.99) or 1.0)
    color = alt.Color(
        "error:Q",
        title="error, %",
        scale=alt.Scale(domain=[-limit, 0, limit], range=[PALETTE[0], FAINT, PALETTE[3]], clamp=True),
    )
    panels = []
    for group in shown[by].unique(maintain_order=True):
        data = shown.filter(pl.col(by) == group)
        panels.append(
            alt.Chart(data, title=str(group))
            .mark_square(size=90, opacity=1)
            .encode(
                x=log_x(data, "n", "parameters N"),
                y=alt.Y(
                    "n_tokens:Q",
                    scale=alt.Scale(type="log", nice=False, padding=8),
                    axis=log_axis(
                        "tokens D",
                        float(data["n_tokens"].min()),  # type: ignore[arg-type]
                        float(data["n_tokens"].max()),  # type: ignore[arg-type]
                    ),
                ),
                color=color,
                tooltip=[
                    alt.Tooltip("n:Q", format=".3s"),
                    alt.Tooltip("n_tokens:Q", format=".3s"),
                    alt.Tooltip("error:Q", format=".3f"),
                ],
            )
            .properties(width=size[0], height=size[1])
        )
    return alt.hconcat(*panels)


def held_out_errors(held_out: pl.DataFrame, x: str = "train_flops_6nd") -> alt.LayerChart:
    """Relative error of every held-out run against its training compute, one colour per law.

    Parameters
    ----------
    held_out : DataFrame
        ``law``, ``relative_error`` (a fraction) and the column named by `x`, as
        :attr:`Comparison.held_out` has them.
    """
    need(held_out, ["law", "relative_error", x])
    shown = thinned(held_out.select("law", x, error=pl.col("relative_error") * 100))
    named = {
        "train_flops_6nd": "training compute 6ND, FLOP",
        "train_flops": "training compute, FLOP",
        "n": "parameters N",
    }
    title, labels = named.get(x, x), POWER if x.startswith("train_flops") else COUNT
    color = alt.Color("law:N", title=None, sort=None, legend=alt.Legend(orient="right"))
    zero = alt.Chart(pl.DataFrame({"error": [0.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(y="error:Q")
    dots = (
        alt.Chart(shown)
        .mark_point(size=70)
        .encode(
            x=log_x(shown, x, title, labels, padding=20),
            y=alt.Y("error:Q", title="relative error of the prediction, %"),
            color=color,
            tooltip=["law:N", alt.Tooltip("error:Q", format=".3f"), alt.Tooltip(f"{x}:Q", format=".3s")],
        )
    )
    return alt.layer(zero, dots).properties(width=560, height=280)


def fit_chart(frame: pl.DataFrame, columns: Mapping[str, str], output: str, *, title: str = "") -> alt.HConcatChart:
    """Observed against predicted, and the relative error along each input of a law: :meth:`Fit.chart`.

    Parameters
    ----------
    frame : DataFrame
        One row per observation, as :meth:`Fit.augment` returns it.
    columns : mapping
        Column for each input of the law.
    output : str
        Column of the observed values.
    """
    need(frame, [output, "prediction", "relative_error", *columns.values()])
    rows = thinned(frame)
    unit = rows["unit"][0] if "unit" in rows.columns and rows["unit"].n_unique() == 1 else ""
    label = f"{output} ({unit})" if unit else output
    shown = rows.select(
        pl.col(output).alias("observed"),
        pl.col("prediction").alias("predicted"),
        (pl.col("relative_error") * 100).alias("error"),
        *(pl.col(column).alias(name) for name, column in columns.items()),
    )
    ends = [float(shown["observed"].min()), float(shown["observed"].max())]  # type: ignore[arg-type]
    diagonal = (
        alt.Chart(pl.DataFrame({"predicted": ends, "observed": ends}))
        .mark_line(color=RULE)
        .encode(x="predicted:Q", y="observed:Q")
    )
    scale = alt.Scale(zero=False)
    dots = (
        alt.Chart(shown)
        .mark_point(size=18, opacity=0.6)
        .encode(
            x=alt.X("predicted:Q", scale=scale, title=f"predicted {label}"),
            y=alt.Y("observed:Q", scale=scale, title=f"observed {label}"),
        )
        .properties(width=250, height=220)
    )
    panels: list[Any] = [alt.layer(diagonal, dots)]
    for name, column in columns.items():
        zero = alt.Chart(pl.DataFrame({"error": [0.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(y="error:Q")
        along = (
            alt.Chart(shown)
            .mark_point(size=18, opacity=0.6)
            .encode(
                x=log_x(shown, name, column),
                y=alt.Y("error:Q", title="relative error of the prediction, %"),
            )
        )
        panels.append(alt.layer(zero, along).properties(width=250, height=220))
    return alt.hconcat(*panels).properties(title=title)


def loss_curves(curves: pl.DataFrame, color: str = "run_id", x: str = "n_tokens") -> alt.Chart:
    """Loss along training, one line per run. Runs are thinned to 200 points each, fewer if there are many runs.

    Parameters
    ----------
    curves : DataFrame
        As :meth:`Warehouse.curves` returns it: ``run_id``, ``loss``, `x`, `color`.
    """
    need(curves, ["run_id", "loss", x, color])
    n_runs = curves["run_id"].n_unique()
    if n_runs > MAX_ROWS // 4:
        raise DataError(f"{n_runs} runs are too many lines for one chart", "filter some, or aggregate in SQL first.")
    each = min(200, MAX_ROWS // max(n_runs, 1))
    kept = (
        curves.filter(pl.col(x) > 0)
        .sort("run_id", x)
        .filter((pl.int_range(pl.len()).over("run_id") % (1 + pl.len().over("run_id") // each)) == 0)
    )
    return (
        alt.Chart(kept.select("run_id", "loss", x, *({color} - {"run_id"})))
        .mark_line(strokeWidth=1.3)
        .encode(
            x=log_x(kept, x, "tokens D" if x == "n_tokens" else x),
            y=alt.Y("loss:Q", scale=alt.Scale(zero=False), title="loss"),
            color=alt.Color(f"{color}:N", title=None, sort=None),
            detail="run_id:N",
        )
        .properties(width=480, height=280)
    )
