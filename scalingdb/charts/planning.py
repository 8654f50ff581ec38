"""Charts of plans: budgets, IsoFLOP curves, lines of equal loss, and two laws beside each other."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from scalingdb.charts._theme import COUNT, INK, MARK, MUTED, PALETTE, POWER, RAMP, RULE, SOFT, log_axis, need, thinned
from scalingdb.errors import DataError

__all__ = [
    "allocation_chart",
    "allocation_exponents",
    "crossover_chart",
    "multiplier_chart",
    "next_run_map",
    "next_runs_chart",
    "plan_chart",
    "plan_iso_loss",
    "plan_isoflop",
    "repetition_chart",
    "replay_chart",
]

FLOP = "training compute, FLOP"


def _log(values: list[float], title: str, labels: str = COUNT) -> dict[str, Any]:
    """Scale and axis of a logarithmic direction over `values`, with a margin."""
    good = [value for value in values if value is not None and np.isfinite(value) and value > 0]
    if not good:
        raise DataError(f"there is nothing to draw along {title!r}")
    low, high = min(good) / 1.15, max(good) * 1.15
    return {
        "scale": alt.Scale(type="log", domain=[low, high], nice=False, clamp=True),
        "axis": log_axis(title, low, high, labels),
    }


def _drawable(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Infinite ends at the edge of what a logarithmic axis can show: a thousand times the largest value."""
    table = table.filter(pl.col(name).is_finite())
    ends = [column for column in table.columns if column.endswith("_high") and table[column].is_infinite().any()]
    return table.with_columns(
        pl.col(end).clip(upper_bound=1e3 * float(table[end.removesuffix("_high")].max()))  # type: ignore[arg-type]
        for end in ends
    )


def _flop_label(values: pl.Expr) -> pl.Expr:
    return values.map_elements(lambda v: f"{v:.1e} FLOP".replace("e+", "e").replace(".0e", "e"), return_dtype=pl.String)


def plan_chart(table: pl.DataFrame) -> alt.HConcatChart:
    """Best N and D, tokens per parameter and loss against the budget, with their intervals.

    Parameters
    ----------
    table : DataFrame
        A plan for one or more budgets: ``train_flops, n_params, n_tokens, tokens_per_param, loss``, each with
        ``_low`` and ``_high``, as :meth:`scalingdb.planning.Plan.tidy` gives them.
    """
    table = _drawable(table, "train_flops")
    flops = _log(table["train_flops"].to_list(), FLOP, POWER)
    many = table.height > 1

    def panel(columns: dict[str, str], title: str, *, is_log: bool) -> Any:
        rows = pl.concat(
            table.select(
                "train_flops",
                pl.lit(label).alias("what"),
                value=name,
                low=pl.col(f"{name}_low"),
                high=pl.col(f"{name}_high"),
            )
            for name, label in columns.items()
        )
        everything = [v for c in ("value", "low", "high") for v in rows[c].drop_nulls().to_list()]
        y = (
            _log(everything, title)
            if is_log
            else {"scale": alt.Scale(zero=False, nice=True), "axis": alt.Axis(title=title)}
        )
        legend = alt.Legend(orient="top", symbolOpacity=1) if len(columns) > 1 else None
        base = alt.Chart(rows).encode(
            x=alt.X("train_flops:Q", **flops), color=alt.Color("what:N", title=None, legend=legend, sort=None)
        )
        ends = base.transform_filter("isValid(datum.low)").encode(y=alt.Y("low:Q", **y), y2="high:Q")
        band = ends.mark_area(opacity=0.18, line=False) if many else ends.mark_rule(strokeWidth=2)
        line = base.mark_line(strokeWidth=2, interpolate="monotone") if many else base.mark_point(size=80)
        dots = line.encode(
            y=alt.Y("value:Q", **y),
            tooltip=["what:N", alt.Tooltip("train_flops:Q", format=".3~e"), alt.Tooltip("value:Q", format=".4s")],
        )
        return alt.layer(band, dots).properties(width=235, height=220)

    return alt.hconcat(
        panel({"n_params": "parameters N", "n_tokens": "tokens D"}, "count", is_log=True),
        panel({"tokens_per_param": "D/N"}, "tokens per parameter", is_log=True),
        panel({"loss": "loss"}, "loss", is_log=False),
    ).resolve_scale(color="independent")


def plan_isoflop(curves: pl.DataFrame, table: pl.DataFrame) -> alt.LayerChart:
    """Loss against N for each budget; a dot where it is least, a bar for the interval of that N.

    Parameters
    ----------
    curves : DataFrame
        ``train_flops, n_params, loss, loss_low, loss_high``.
    table : DataFrame
        The plan, as for :func:`plan_chart`.
    """
    curves = curves.with_columns(budget=_flop_label(pl.col("train_flops")))
    table = _drawable(table, "n_params").with_columns(budget=_flop_label(pl.col("train_flops")))
    x = alt.X("n_params:Q", **_log(curves["n_params"].to_list(), "parameters N"))
    top = float(table["loss"].max()) + 0.6 * float(curves["loss"].quantile(0.9) - table["loss"].min())  # type: ignore[operator,arg-type]
    y = alt.Y("loss:Q", scale=alt.Scale(zero=False, domainMax=top, clamp=True), title="loss")
    color = alt.Color("budget:N", title=None, sort=None, legend=alt.Legend(orient="right", symbolOpacity=1))
    clipped = curves.filter(pl.col("loss") <= top)
    base = alt.Chart(clipped).encode(x=x, color=color)
    band = (
        base.transform_filter("isValid(datum.loss_low)")
        .mark_area(opacity=0.15, clip=True)
        .encode(
            y=alt.Y("loss_low:Q", scale=alt.Scale(zero=False, domainMax=top, clamp=True), title="loss"),
            y2="loss_high:Q",
        )
    )
    lines = base.mark_line(strokeWidth=2, clip=True).encode(y=y)
    best = alt.Chart(table).encode(y=y, color=color)
    bars = (
        best.transform_filter("isValid(datum.n_params_low)")
        .mark_rule(strokeWidth=3)
        .encode(x=alt.X("n_params_low:Q", **_log(curves["n_params"].to_list(), "parameters N")), x2="n_params_high:Q")
    )
    dots = best.mark_point(size=90, stroke="white", strokeWidth=1, opacity=1).encode(
        x=x, tooltip=["budget:N", alt.Tooltip("n_params:Q", format=".3s"), alt.Tooltip("loss:Q", format=".4f")]
    )
    return alt.layer(band, lines, bars, dots).properties(width=470, height=300)


def plan_iso_loss(lines: pl.DataFrame, table: pl.DataFrame) -> alt.LayerChart:
    """Lines of equal loss in the plane of N and D, lines of equal compute, and the plan.

    Parameters
    ----------
    lines : DataFrame
        ``loss, n_params, n_tokens``.
    table : DataFrame
        The plan, as for :func:`plan_chart`.
    """
    low, high = (float(end) for end in (lines["n_params"].min(), lines["n_params"].max()))  # type: ignore[arg-type]
    middle = float(np.exp(np.mean(np.log(table["n_tokens"].to_numpy()))))
    bottom = min(middle / 100, float(table["n_tokens"].min()) / 5)  # type: ignore[arg-type]
    top = max(middle * 100, float(table["n_tokens"].max()) * 5)  # type: ignore[arg-type]
    shown = lines.filter(pl.col("n_tokens").is_between(bottom, top)).with_columns(
        level=pl.col("loss").map_elements(lambda v: f"{v:.3f}", return_dtype=pl.String)
    )
    x = alt.X(
        "n_params:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=log_axis("parameters N", low, high),
    )
    y = alt.Y(
        "n_tokens:Q",
        scale=alt.Scale(type="log", domain=[bottom, top], nice=False),
        axis=log_axis("tokens D", bottom, top),
    )
    color = alt.Color(
        "loss:Q", title="loss", scale=alt.Scale(range=[PALETTE[0], RAMP[2]]), legend=alt.Legend(gradientLength=120)
    )
    contours = alt.Chart(shown).mark_line(strokeWidth=1.8).encode(x, y, color, detail="level:N")
    ends = shown.sort("n_params").group_by("level", maintain_order=True).last()
    labels = alt.Chart(ends).mark_text(align="right", dy=-6, fontSize=10, color=MUTED).encode(x, y, text="level:N")
    compute = pl.concat(
        pl.DataFrame({"n_params": np.geomspace(low, high, 40)}).with_columns(
            n_tokens=c / 6 / pl.col("n_params"), budget=pl.lit(f"{c:.0e} FLOP".replace("e+", "e"))
        )
        for c in table["train_flops"].to_list()[:6]
    ).filter(pl.col("n_tokens").is_between(bottom, top))
    isoflop = alt.Chart(compute).mark_line(strokeDash=[4, 3], strokeWidth=1, color=SOFT).encode(x, y, detail="budget:N")
    dots = (
        alt.Chart(table)
        .mark_point(size=90, color=MARK, opacity=1)
        .encode(
            x,
            y,
            tooltip=[alt.Tooltip(f"{c}:Q", format=".3s") for c in ("train_flops", "n_params", "n_tokens")]
            + [alt.Tooltip("loss:Q", format=".4f")],
        )
    )
    return alt.layer(isoflop, contours, labels, dots).properties(width=430, height=330)


def crossover_chart(
    curves: pl.DataFrame, apart: pl.DataFrame, table: pl.DataFrame, *, axis: str = FLOP, output: str = "least loss"
) -> alt.VConcatChart:
    """Least loss of two laws, and how far apart they are; a grey band is the interval of a crossover.

    Parameters
    ----------
    curves : DataFrame
        ``law, train_flops, loss, loss_low, loss_high``.
    apart : DataFrame
        ``train_flops, percent, low, high``.
    table : DataFrame
        The crossovers: ``train_flops, train_flops_low, train_flops_high, loss``.
    axis, output : str
        Titles of the two directions.
    """
    curves = curves.drop_nulls("loss")
    flops = _log(curves["train_flops"].to_list(), axis, POWER)
    x = alt.X("train_flops:Q", **flops)
    legend = alt.Legend(orient="top", labelLimit=420, columns=1, symbolOpacity=1)
    color = alt.Color("law:N", title=None, sort=None, legend=legend)
    y = alt.Y("loss:Q", title=output, scale=alt.Scale(type="log", zero=False, nice=False, padding=6))
    base = alt.Chart(curves).encode(x=x, color=color)
    band = base.transform_filter("isValid(datum.loss_low)").mark_area(opacity=0.15)
    first = [
        band.encode(y=alt.Y("loss_low:Q", title=output), y2="loss_high:Q"),
        base.mark_line(strokeWidth=2).encode(y=y, strokeDash=alt.StrokeDash("law:N", sort=None, legend=None)),
    ]
    middle = alt.Chart(apart).encode(x=x)
    zero = alt.Chart(pl.DataFrame({"percent": [0.0]})).mark_rule(color=INK, strokeWidth=0.8).encode(y="percent:Q")
    title = "difference, %"
    second = [
        zero,
        middle.transform_filter("isValid(datum.low)")
        .mark_area(opacity=0.18)
        .encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        middle.mark_line(strokeWidth=2).encode(y=alt.Y("percent:Q", title=title)),
    ]
    if not table.is_empty():
        spans = alt.Chart(table).transform_filter("isValid(datum.train_flops_low)").mark_rect(color=RULE, opacity=0.6)
        span = spans.encode(x=alt.X("train_flops_low:Q", **flops), x2="train_flops_high:Q")
        dots = alt.Chart(table).mark_point(size=90, color=INK, opacity=1).encode(x=x)
        first = [span, *first, dots.encode(y=y)]
        second = [span, *second, dots.encode(y=alt.datum(0))]
    return alt.vconcat(
        alt.layer(*first).properties(width=520, height=200), alt.layer(*second).properties(width=520, height=130)
    )


def multiplier_chart(table: pl.DataFrame, *, axis: str = FLOP) -> alt.LayerChart:
    """How many times the compute the second law needs, against the budget of the first.

    Parameters
    ----------
    table : DataFrame
        ``train_flops, multiplier, multiplier_low, multiplier_high``; rows with an infinite multiplier are not drawn.
    axis : str
        Title of what the laws run along.

    Raises
    ------
    DataError
        If no multiplier is finite.
    """
    table = table.filter(pl.col("multiplier").is_finite())
    if table.is_empty():
        raise DataError("the second law reaches none of these losses: there is nothing to draw")
    clean = table.with_columns(
        pl.col("multiplier_high").clip(upper_bound=1e6), pl.col("multiplier_low").clip(lower_bound=1e-6)
    )
    x = alt.X("train_flops:Q", **_log(clean["train_flops"].to_list(), axis, POWER))
    values = [v for c in ("multiplier", "multiplier_low", "multiplier_high") for v in clean[c].drop_nulls().to_list()]
    scale = _log(
        [*values, 0.9, 1.1],
        "of the second law / of the first" if axis != FLOP else "compute of the second law / compute of the first",
        "format(datum.value, '~g')",
    )
    base = alt.Chart(clean).encode(x=x)
    band = base.transform_filter("isValid(datum.multiplier_low)").encode(
        y=alt.Y("multiplier_low:Q", **scale), y2="multiplier_high:Q"
    )
    ends = band.mark_area(opacity=0.18, color=PALETTE[0]) if clean.height > 1 else band.mark_rule(strokeWidth=2)
    one = alt.Chart(pl.DataFrame({"multiplier": [1.0]})).mark_rule(color=INK, strokeWidth=0.8)
    lines = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=50))
    return alt.layer(
        one.encode(y=alt.Y("multiplier:Q", **scale)), ends, lines.encode(y=alt.Y("multiplier:Q", **scale))
    ).properties(width=480, height=240)


def allocation_chart(
    points: pl.DataFrame, optima: pl.DataFrame, lines: pl.DataFrame, parabolas: pl.DataFrame | None = None
) -> alt.HConcatChart:
    """The runs behind an approach with the optima found, and the power law through them.

    Parameters
    ----------
    points : DataFrame
        Runs: ``train_flops, n_params, n_tokens, loss``, and ``used`` where some were left out.
    optima : DataFrame
        The same columns, for the best size of each budget.
    lines : DataFrame
        ``train_flops``, and ``n_params, n_tokens`` with ``_low`` and ``_high``.
    parabolas : DataFrame, optional
        ``train_flops, n_params, loss``: curves of equal compute, drawn in a panel of their own.
    """
    flops = _log(points["train_flops"].to_list(), FLOP, POWER)
    kept = optima.filter(pl.col("used")) if "used" in optima.columns else optima
    panels = [] if parabolas is None else [_isoflop_panel(points, kept, parabolas)]
    for name, title in (("n_params", "optimal parameters N"), ("n_tokens", "optimal tokens D")):
        ends = [value for end in ("", "_low", "_high") for value in lines[f"{name}{end}"].drop_nulls().to_list()]
        axis = _log([*kept[name].to_list(), *ends], title)
        x = alt.X("train_flops:Q", **flops)
        layers: list[Any] = [
            alt.Chart(lines)
            .transform_filter(f"isValid(datum.{name}_low)")
            .mark_area(opacity=0.18, color=PALETTE[0])
            .encode(x, y=alt.Y(f"{name}_low:Q", **axis), y2=f"{name}_high:Q"),
            alt.Chart(lines).mark_line(strokeWidth=2).encode(x, alt.Y(f"{name}:Q", **axis)),
        ]
        if not kept.is_empty():
            mark = alt.Chart(thinned(kept)).mark_point(size=40, color=MARK, opacity=0.9, shape="diamond")
            layers.append(mark.encode(x, alt.Y(f"{name}:Q", **axis)))
        panels.append(alt.layer(*layers).properties(width=190, height=250))
    return alt.hconcat(*panels)


def _isoflop_panel(points: pl.DataFrame, optima: pl.DataFrame, parabolas: pl.DataFrame) -> alt.LayerChart:
    """Loss against N: runs, the parabola of each budget, and its vertex; runs left out are hollow."""
    shown = thinned(points).with_columns(
        budget=_flop_label(pl.col("train_flops")),
        used=pl.col("used") if "used" in points.columns else pl.lit(value=True),
    )
    # a diverged run would flatten all curves
    seen = shown.filter(pl.col("used"))["loss"]
    low, high = float(seen.min()), float(seen.max())  # type: ignore[arg-type]
    margin = 0.08 * (high - low)
    scale = alt.Scale(domain=[low - margin, high + margin], clamp=True)
    size = alt.X("n_params:Q", **_log(points["n_params"].to_list(), "parameters N"))
    loss = alt.Y("loss:Q", scale=scale, title="loss")
    color = alt.Color("train_flops:Q", scale=alt.Scale(type="log", range=[RAMP[2], PALETTE[0], RAMP[6]]), legend=None)
    dots = alt.Chart(shown).encode(size, loss, color, tooltip=["budget:N", "loss:Q"])
    return alt.layer(
        alt.Chart(parabolas).mark_line(strokeWidth=1.2, clip=True).encode(size, loss, color, detail="train_flops:Q"),
        dots.transform_filter("datum.used").mark_point(size=18, opacity=0.7),
        dots.transform_filter("!datum.used").mark_point(size=26, opacity=0.7, filled=False),
        alt.Chart(optima).mark_point(size=60, color=MARK, opacity=1, shape="diamond").encode(size, loss),
    ).properties(width=270, height=250)


def allocation_exponents(
    table: pl.DataFrame, by: str, exponent: str = "a", *, reference: float | None = 0.5
) -> alt.LayerChart:
    """Exponents of the optimal size with their intervals, one row per data set or approach.

    Parameters
    ----------
    table : DataFrame
        `by`, and `exponent` with ``_low`` and ``_high``.
    by : str
        Column that names the rows.
    exponent : str
    reference : float, optional
        A value to mark by a rule.
    """
    need(table, [by, exponent, f"{exponent}_low", f"{exponent}_high"])
    base = alt.Chart(table).encode(
        y=alt.Y(f"{by}:N", title=None, sort=None, axis=alt.Axis(labelLimit=380, ticks=False, domain=False))
    )
    title = "exponent of the optimal size, N = G * C^a" if exponent == "a" else f"exponent {exponent}"
    scale = alt.Scale(zero=False, nice=True)
    layers: list[Any] = [
        base.mark_rule(strokeWidth=2, color=PALETTE[0]).encode(
            x=alt.X(f"{exponent}_low:Q", title=title, scale=scale), x2=f"{exponent}_high:Q"
        ),
        base.mark_point(size=70, opacity=1).encode(
            x=alt.X(f"{exponent}:Q", title=title, scale=scale),
            tooltip=[f"{by}:N", alt.Tooltip(f"{exponent}:Q", format=".3f")],
        ),
    ]
    if reference is not None:
        mark = alt.Chart(pl.DataFrame({exponent: [reference]})).mark_rule(color=INK, strokeDash=[3, 3], strokeWidth=1)
        layers.insert(0, mark.encode(x=alt.X(f"{exponent}:Q", title=title, scale=scale)))
    return alt.layer(*layers).properties(width=430, height=alt.Step(24))


def next_run_map(ranked: pl.DataFrame, size: str = "n_params", *, title: str = "") -> alt.LayerChart:
    """What each candidate run would take off the interval of a target, in the plane of N and D.

    Parameters
    ----------
    ranked : DataFrame
        From :func:`scalingdb.planning.next_run`: `size`, ``n_tokens``, ``shrink``.
    size : str
        Column that is N.
    """
    need(ranked, [size, "n_tokens", "shrink"])
    shown = thinned(ranked.select(size, "n_tokens", percent=100 * pl.col("shrink")))
    x = alt.X(f"{size}:Q", **_log(shown[size].to_list(), "parameters N"))
    y = alt.Y("n_tokens:Q", **_log(shown["n_tokens"].to_list(), "tokens D"))
    color = alt.Color(
        "percent:Q",
        title="interval narrower by, %",
        scale=alt.Scale(range=[RAMP[0], PALETTE[0]]),
        legend=alt.Legend(gradientLength=120),
    )
    cells = alt.Chart(shown).mark_square(size=120, opacity=1).encode(x, y, color)
    best = alt.Chart(shown.head(1)).mark_point(size=160, color=MARK, opacity=1, shape="diamond").encode(x, y)
    return alt.layer(cells, best).properties(width=430, height=300, title=title)


def next_runs_chart(candidates: pl.DataFrame) -> alt.LayerChart:
    """What each candidate would take off the interval of a target alone, against its cost; the chosen ones marked.

    Parameters
    ----------
    candidates : DataFrame
        ``cost, chosen``, and ``shrink_alone`` (or ``separation_alone``, for two laws), as
        :meth:`scalingdb.planning.NextRuns.candidates` gives them.
    """
    is_choice = "separation_alone" in candidates.columns
    column = "separation_alone" if is_choice else "shrink_alone"
    need(candidates, ["cost", "chosen", column])
    shown = candidates.select(
        "cost",
        worth=pl.col(column) * (1 if is_choice else 100),
        what=pl.when("chosen").then(pl.lit("chosen")).otherwise(pl.lit("not chosen")),
    )
    what = "two laws farther apart by, standard deviations" if is_choice else "interval narrower by, %"
    color = alt.Color("what:N", title=None, scale=alt.Scale(domain=["chosen", "not chosen"], range=[PALETTE[0], MUTED]))
    dots = (
        alt.Chart(shown)
        .mark_point(filled=True, size=50, opacity=0.8)
        .encode(
            x=alt.X("cost:Q", **_log(shown["cost"].to_list(), "cost of the run", POWER)),
            y=alt.Y("worth:Q", title=f"{what} (the run alone)"),
            color=color,
            tooltip=[alt.Tooltip("cost:Q", format=".3~e"), alt.Tooltip("worth:Q", format=".3f"), "what:N"],
        )
    )
    rule = alt.Chart(pl.DataFrame({"worth": [0.0]})).mark_rule(color=RULE).encode(y="worth:Q")
    return alt.layer(rule, dots).properties(width=430, height=280)


def replay_chart(table: pl.DataFrame) -> alt.LayerChart:
    """Error at the target rows against the share of a study's cost, a line for each way to choose runs.

    Parameters
    ----------
    table : DataFrame
        ``strategy, share, error, all_runs``, as :meth:`scalingdb.planning.RunsReplay.glance` gives them.
    """
    need(table, ["strategy", "share", "error", "all_runs"])
    shown = table.with_columns(percent=100 * pl.col("share"))
    label = "format(datum.value, '~g') + ' %'"
    x = alt.X("percent:Q", **_log(shown["percent"].to_list(), "share of the cost of all runs", label))
    errors = [*shown["error"], float(shown["all_runs"][0])]
    y = alt.Y("error:Q", **_log(errors, "error at the largest runs", "format(datum.value, '~g')"))
    color = alt.Color("strategy:N", title=None, sort=None, legend=alt.Legend(orient="top", symbolOpacity=1))
    base = alt.Chart(shown).encode(x=x, y=y, color=color)
    lines = base.mark_line(strokeWidth=2)
    dots = base.mark_point(size=60, filled=True).encode(
        tooltip=["strategy:N", alt.Tooltip("percent:Q"), alt.Tooltip("error:Q", format=".3g")]
    )
    rule = alt.Chart(shown.head(1)).mark_rule(color=INK, strokeDash=[4, 3]).encode(y=alt.Y("all_runs:Q"))
    return alt.layer(rule, lines, dots).properties(width=430, height=280)


def repetition_chart(
    curves: pl.DataFrame,
    observed: pl.DataFrame | None = None,
    *,
    x: str = "n_epochs",
    y: str = "excess",
    by: str = "law",
) -> alt.LayerChart:
    """What repeating data costs: one curve per law against the number of epochs, and runs as dots.

    Parameters
    ----------
    curves : DataFrame
        `x`, `y` (in percent) and `by`.
    observed : DataFrame, optional
        Runs, with the same columns.
    """
    need(curves, [x, y, by])
    scale = _log(curves[x].to_list(), "epochs over the unique tokens", "format(datum.value, '~g')")
    color = alt.Color(f"{by}:N", title=None, sort=None, legend=alt.Legend(orient="top", columns=2, labelLimit=320))
    vertical = alt.Y(f"{y}:Q", title="excess loss over fresh data, %", scale=alt.Scale(zero=True))
    layers = [alt.Chart(curves).mark_line(strokeWidth=2).encode(alt.X(f"{x}:Q", **scale), vertical, color)]
    if observed is not None:
        need(observed, [x, y, by])
        layers.append(
            alt.Chart(observed)
            .mark_point(size=55, opacity=0.9)
            .encode(
                alt.X(f"{x}:Q", **scale),
                vertical,
                color,
                tooltip=[f"{by}:N", f"{x}:Q", alt.Tooltip(f"{y}:Q", format=".3f")],
            )
        )
    return alt.layer(*layers).properties(width=520, height=280)
