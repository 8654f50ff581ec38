"""The explorer's charts (SVG) and text (HTML), made in one place for the live view and for its last state in a file."""

from __future__ import annotations

import html
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import Markup, html_table, interval, magnitude, number, percent, symbol
from scalingdb.errors import DomainWarning, ScalingDBError
from scalingdb.explorer._axes import Axis
from scalingdb.explorer._state import COMPUTE, Answer, Exploration
from scalingdb.explorer._words import change, code, heading
from scalingdb.fits import evaluate_law
from scalingdb.schema import COLUMNS, N_DEFINITIONS

__all__ = ["Drawing", "code_block", "details", "draw", "saved", "side"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]

NARROW = 520
"""Width below which the charts are drawn for a phone."""

N_SHADES = 5
"""Shades of the points, and curves that are drawn for them."""

STEPS = 60
"""Points of a curve."""

SHORT = {
    "n_params": "parameters N",
    "n_params_non_embedding": "parameters N, without embeddings",
    "n_params_active": "active parameters N",
    "n_params_with_head": "parameters N, with head",
    "n_tokens": "tokens D",
    "train_flops": "compute, FLOP",
    "n_examples": "examples",
    COMPUTE: "compute 6ND, FLOP",
    "loss": "loss",
}
SIZES = {"on-wide": 720, "on-narrow": 360}
"""Widths of the charts in a file, where no page can ask for its own."""

FARTHEST = 5
"""Runs that the list of the largest residuals names."""


@dataclass(frozen=True)
class Drawing:
    """Markup of the charts, and what a page needs to find points in it.

    Attributes
    ----------
    svg : str
    x, y, residual : lists of float
        Pixels of every row in the upper and the lower chart.
    """

    svg: str
    x: list[float]
    y: list[float]
    residual: list[float]


def _values(state: Exploration, name: str) -> FloatArray:
    return state.rows.frame[state.rows.columns[name]].cast(pl.Float64).to_numpy().astype(float)


def _along(state: Exploration) -> FloatArray:
    """Where every row lies on the horizontal axis."""
    if state.axis == COMPUTE:
        return 6 * _values(state, state.size_input) * _values(state, "n_tokens")
    return _values(state, state.axis)


def _shade_input(state: Exploration) -> str | None:
    """The input whose values the shades stand for."""
    if state.axis == COMPUTE:
        return state.size_input
    return next((name for name in state.law.inputs if name != state.axis), None)


def _shades(values: FloatArray) -> tuple[np.ndarray[Any, np.dtype[np.int64]], FloatArray]:
    """Shade of every row (n,), and the middle value of each shade."""
    distinct = np.unique(values)
    if distinct.size <= N_SHADES:
        return np.searchsorted(distinct, values), distinct
    cuts = np.quantile(values, np.linspace(0, 1, N_SHADES + 1)[1:-1])
    shade = np.searchsorted(cuts, values, side="left")
    present = np.unique(shade)
    return np.searchsorted(present, shade), np.array([np.median(values[shade == one]) for one in present])


def _evaluated(state: Exploration, params: dict[str, float], inputs: list[FloatArray]) -> FloatArray:
    with np.errstate(all="ignore"):
        return np.asarray(evaluate_law(state.law, np.array([list(params.values())]), inputs)[0])


def _predicted(state: Exploration, params: dict[str, float]) -> FloatArray:
    return _evaluated(state, params, [_values(state, name) for name in state.law.inputs])


def _curve(state: Exploration, params: dict[str, float], x: FloatArray, held: float | None) -> FloatArray:
    """The law along the axis, the shaded input held at a value and any other at its median."""
    shaded = _shade_input(state)
    inputs = []
    for name in state.law.inputs:
        if name == state.axis:
            inputs.append(x)
        elif name == shaded and held is not None:
            inputs.append(np.full(x.size, held))
        elif state.axis == COMPUTE:
            inputs.append(x / 6 / (held if held is not None else 1.0))
        else:
            inputs.append(np.full(x.size, float(np.median(_values(state, name)))))
    return _evaluated(state, params, inputs)


def _frontier(state: Exploration, params: dict[str, float], budgets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Best loss of every budget, and where it lies on the axis; nothing where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DomainWarning)
            best = state.law.optimum([float(budget) for budget in budgets], None, **params)
    except ScalingDBError:
        return np.empty(0), np.empty(0)
    column = {COMPUTE: "train_flops", "n_tokens": "n_tokens"}.get(state.axis, "n_params")
    return best[column].to_numpy(), best["loss"].to_numpy()


def _path(x: FloatArray, y: FloatArray) -> str:
    fine = np.isfinite(x) & np.isfinite(y)
    points = [f"{a:.1f} {b:.1f}" for a, b in zip(x[fine], y[fine], strict=True)]
    return "M" + "L".join(points) if len(points) > 1 else ""


def _dots(x: FloatArray, y: FloatArray) -> str:
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x, y, strict=True))


def _span(best: dict[str, float], name: str) -> tuple[float, float] | None:
    low, high = best.get(f"{name}_low"), best.get(f"{name}_high")
    return None if low is None or high is None else (low, high)


def draw(state: Exploration, width: int = 720) -> Drawing:
    """Both charts of a state, `width` pixels wide."""
    is_narrow = width < NARROW
    left, right, top = (46, 10, 46) if is_narrow else (54, 14, 30)
    upper, lower, gap = (230, 100, 30) if is_narrow else (300, 120, 30)
    bottom = top + upper
    height = bottom + gap + lower + 42
    x, observed = _along(state), state.rows.frame[state.law.output].cast(pl.Float64).to_numpy().astype(float)
    shaded = _shade_input(state)
    shade, middles = (
        _shades(_values(state, shaded)) if shaded else (np.zeros(x.size, dtype=np.int64), np.array([np.nan]))
    )
    whole, answer = state.whole, state.answer
    reference = whole or answer

    # the ranges depend on all rows and their fit alone: what moves is the law, not the paper
    best_whole = reference.best if reference is not None else None
    budgets = np.empty(0)
    reach_x, reach_y = [x], [observed]
    if state.is_surface:
        compute = 6 * _values(state, state.size_input) * _values(state, "n_tokens")
        budgets = np.geomspace(compute.min(), max(compute.max(), state.train_flops), STEPS // 2)
    if best_whole is not None:
        place = {COMPUTE: "train_flops", "n_tokens": "n_tokens"}.get(state.axis, "n_params")
        reach_x.append(np.array([best_whole[place]]))
        reach_y.append(np.array([best_whole["loss"]]))
    all_x, all_y = np.concatenate(reach_x), np.concatenate(reach_y)
    across = Axis.around(all_x, left, width - right, is_log=bool((all_x > 0).all()), margin=0.03)
    if state.axis not in (COMPUTE, "train_flops"):
        across = Axis(across.low, across.high, across.start, across.end, across.is_log, counts=True)
    tall = bool((all_y > 0).all()) and all_y.max() / all_y.min() > 4
    up = Axis.around(all_y, bottom, top, is_log=tall)

    residual = np.zeros(x.size)
    if answer is not None:
        predicted = _predicted(state, answer.params)
        residual = 100 * (observed / predicted - 1) if (all_y > 0).all() else observed - predicted
    of_whole = residual
    if whole is not None and whole is not answer:
        predicted = _predicted(state, whole.params)
        of_whole = 100 * (observed / predicted - 1) if (all_y > 0).all() else observed - predicted
    most = float(np.nanmax(np.abs(of_whole))) or 1.0
    down = Axis(-1.15 * most, 1.15 * most, bottom + gap + lower, bottom + gap, is_log=False)

    parts = [_frames(across, up, down, state, width, is_percent=bool((all_y > 0).all()))]
    px, py, pr = across.at(x), up.at(observed), down.at(residual)
    sheet = f'x="{left}" y="{top}" width="{width - left - right}" height="{upper}"'
    parts.append(f'<clipPath id="sdbx-{width}"><rect {sheet}/></clipPath>')
    parts.append(f'<g clip-path="url(#sdbx-{width})">')
    line = (
        np.geomspace(across.low, across.high, STEPS) if across.is_log else np.linspace(across.low, across.high, STEPS)
    )
    if whole is not None and whole is not answer:
        parts += _curves(
            state, whole, line, across, up, budgets, middles[-1:] if state.is_surface else middles, "before"
        )
    if answer is not None:
        parts += _curves(state, answer, line, across, up, budgets, middles, "now")
    parts.append("</g>")
    kept = state.keep
    for y in (py, pr):
        for number_of, _ in enumerate(middles):
            chosen = kept & (shade == number_of)
            if chosen.any():
                parts.append(
                    f'<path class="dot s{_tone(number_of, len(middles))}" d="{_dots(px[chosen], y[chosen])}"/>'
                )
        if state.out:
            parts.append(f'<path class="gone" d="{_dots(px[~kept], y[~kept])}"/>')
            parts.append(f'<path class="hole" d="{_dots(px[~kept], y[~kept])}"/>')
    if whole is not None and whole is not answer and whole.best is not None:
        parts += _optimum(state, whole.best, across, up, "before")
    if answer is not None and answer.best is not None:
        parts += _optimum(state, answer.best, across, up, "now")
    parts.append(_legend(shaded, middles, width))
    label = html.escape(_alternative(state), quote=True)
    svg = (
        f'<svg class="sdbx-svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{label}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
    rounded = [np.round(values, 1).tolist() for values in (px, py, pr)]
    return Drawing(svg, *rounded)


def _tone(number_of: int, total: int) -> int:
    """Shade 0 to 4 of one among `total`, spread over the scale."""
    return 3 if total == 1 else round(number_of * (N_SHADES - 1) / (total - 1))


def _curves(
    state: Exploration,
    answer: Answer,
    line: FloatArray,
    across: Axis,
    up: Axis,
    budgets: FloatArray,
    middles: FloatArray,
    kind: str,
) -> list[str]:
    parts = []
    if kind == "now" or not state.is_surface:
        for number_of, middle in enumerate(middles):
            held = None if np.isnan(middle) else float(middle)
            path = _path(across.at(line), up.at(_curve(state, answer.params, line, held)))
            parts.append(f'<path class="curve {kind} s{_tone(number_of, len(middles))}" d="{path}"/>')
    if budgets.size:
        x, y = _frontier(state, answer.params, budgets)
        if x.size:
            parts.append(f'<path class="frontier {kind}" d="{_path(across.at(x), up.at(y))}"/>')
    return parts


def _optimum(state: Exploration, best: dict[str, float], across: Axis, up: Axis, kind: str) -> list[str]:
    place = {COMPUTE: "train_flops", "n_tokens": "n_tokens"}.get(state.axis, "n_params")
    x, y = float(across.at(best[place])), float(up.at(best["loss"]))
    parts = []
    if kind == "now":
        span = _span(best, place)
        if span is not None:
            low, high = np.clip(across.at(np.array(span)), across.start, across.end)
            parts.append(f'<path class="bar" d="M{low:.1f} {y:.1f}H{high:.1f}"/>')
        span = _span(best, "loss")
        if span is not None:
            low, high = np.clip(up.at(np.array(span)), up.end, up.start)
            parts.append(f'<path class="bar" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
    parts.append(f'<path class="best {kind}" d="M{x:.1f} {y - 7:.1f}l6 7l-6 7l-6 -7z"/>')
    return parts


def _frames(across: Axis, up: Axis, down: Axis, state: Exploration, width: int, *, is_percent: bool) -> str:
    parts = []
    for axis, room in ((up, 55.0), (down, 28.0)):
        for value, label in axis.ticks(room):
            y = float(axis.at(value))
            zero = " zero" if axis is down and value == 0 else ""
            parts.append(f'<path class="grid{zero}" d="M{across.start} {y:.1f}H{across.end}"/>')
            parts.append(f'<text class="tick" x="{across.start - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for value, label in across.ticks(62.0):
        x = float(across.at(value))
        parts.append(f'<path class="grid" d="M{x:.1f} {up.start}v4M{x:.1f} {down.start}v4"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{down.start + 18}" text-anchor="middle">{label}</text>')
    unit = _unit(state)
    name = html.escape(f"{_short(state.law.output)}{f', {unit}' if unit else ''}")
    below = "residual, % of the law" if is_percent else "residual"
    parts.append(f'<text class="name" x="4" y="14">{name}</text>')
    parts.append(f'<text class="name" x="4" y="{down.end - 9}">{below}</text>')
    title = html.escape(_short(state.axis))
    parts.append(f'<text class="name" x="{width - 12}" y="{down.start + 37}" text-anchor="end">{title}</text>')
    return "".join(parts)


def _legend(shaded: str | None, middles: FloatArray, width: int) -> str:
    """What the shades are: at the top right, on a narrow sheet in a line of its own."""
    if shaded is None:
        return ""
    step, y = (58, 14) if width >= NARROW else (50, 32)
    x = width - 12 - step * len(middles)
    name = html.escape(_letter(shaded))
    parts = [f'<text class="tick" x="{x - 10}" y="{y}" text-anchor="end">{name} =</text>']
    for number_of, value in enumerate(middles):
        at, tone = x + step * number_of, _tone(number_of, len(middles))
        parts.append(f'<path class="dot key s{tone}" d="M{at} {y - 4}h0"/>')
        parts.append(f'<text class="tick" x="{at + 7}" y="{y}">{magnitude(float(value))}</text>')
    return "".join(parts)


def _short(name: str) -> str:
    return SHORT.get(name, name.replace("_", " "))


def _unit(state: Exploration) -> str:
    if "unit" not in state.rows.frame.columns:
        return COLUMNS[state.law.output].unit or "" if state.law.output in COLUMNS else ""
    units = state.rows.frame["unit"].drop_nulls().unique().to_list()
    return str(units[0]).replace("_", " ") if len(units) == 1 else ""


def _alternative(state: Exploration) -> str:
    """What the charts show, in words."""
    text = f"{heading(state)}: {_short(state.law.output)} along {_short(state.axis)}, and residuals below."
    answer = state.answer
    if answer is not None and answer.best is not None:
        text += f" Best split of {number(state.train_flops, 3)} FLOP: D/N {number(answer.best['tokens_per_param'], 3)}."
    return text


def details(state: Exploration) -> list[str]:
    """Inputs and observed value of every row, in words."""
    columns = [(_letter(name), _values(state, name)) for name in state.law.inputs]
    observed = state.rows.frame[state.law.output].cast(pl.Float64).to_list()
    return [
        ", ".join(
            [
                *(f"{letter} {magnitude(float(values[i]))}" for letter, values in columns),
                f"{_short(state.law.output)} {number(value, 4)}",
            ]
        )
        for i, value in enumerate(observed)
    ]


def _letter(name: str) -> str:
    return (
        "D" if name == "n_tokens" else "N" if name in N_DEFINITIONS else "C" if name == "train_flops" else _short(name)
    )


def side(state: Exploration, *, live: bool = True) -> str:
    """Verdict, what changed, optimum, parameters, and the largest residuals."""
    answer = state.answer
    if answer is None:
        fault = state.fault
        fact = html.escape(fault.fact) if fault is not None else "no answer yet"
        hint = f"<br>{html.escape(fault.hint)}" if fault is not None and fault.hint else ""
        return f'<p class="verdict bad"><b>No fit.</b> {fact}{hint}</p>'
    parts = [_verdict(state, answer), f'<p class="change">{html.escape(change(state))}</p>']
    if answer.best is not None:
        parts.append(_best_table(state, answer.best))
    elif state.is_surface:
        parts.append(
            f"<p>No best split at {number(state.train_flops, 3)} FLOP: the loss falls to an end of the range.</p>"
        )
    parts.append(_params_table(state, answer))
    parts.append(_farthest(state, answer, live))
    return "".join(parts)


def _verdict(state: Exploration, answer: Answer) -> str:
    if answer.fit is None:
        return '<p class="verdict wait"><b>Refitted nearby</b>; searching again for the verdict.</p>'
    made = answer.fit
    kind = "good" if made.verdict.kind == "identified" else "bad"
    observed = state.rows.frame[state.law.output].cast(pl.Float64).to_numpy().astype(float)[state.keep]
    with np.errstate(all="ignore"):
        error = percent(float(np.abs(_predicted(state, answer.params)[state.keep] / observed - 1).mean()))
    agree = f"{made.n_agree} of {made.n_starts} starts agree"
    return f'<p class="verdict {kind}"><b>{html.escape(str(made.verdict))}</b>; mean error {error}; {agree}.</p>'


def _best_table(state: Exploration, best: dict[str, float]) -> str:
    rows = []
    for name, label, write in (
        ("n_params", "N, parameters", magnitude),
        ("n_tokens", "D, tokens", magnitude),
        ("tokens_per_param", "D/N, tokens per parameter", lambda value: number(value, 3)),
        ("loss", f"loss, {_unit(state)}".rstrip(", "), lambda value: number(value, 4)),
    ):
        span = _span(best, name)
        ends = "" if span is None else f"{write(span[0])} to {write(span[1])}"
        rows.append([label, Markup(f"<b>{write(best[name])}</b>"), ends or ("…" if live_stage(state) else "")])
    table = html_table([f"best at {number(state.train_flops, 3)} FLOP", "value", "95 % interval"], rows)
    return f'<div class="wide">{table}</div>'


def live_stage(state: Exploration) -> bool:
    """Whether intervals are still on their way."""
    return state.answer is not None and state.answer.stage != "done"


def _params_table(state: Exploration, answer: Answer) -> str:
    whole = state.whole
    compares = whole is not None and whole.params.keys() == answer.params.keys() and bool(state.out)
    spans: dict[str, str] = {}
    if answer.fit is not None:
        for row in answer.fit.tidy().iter_rows(named=True):
            spans[row["param"]] = interval(row["low"], row["high"], 4) or str(row["interval"])
    rows = []
    for name, value in answer.params.items():
        before = [number(whole.params[name], 4)] if compares and whole is not None else []
        rows.append([symbol(name), Markup(f"<b>{number(value, 4)}</b>"), spans.get(name, "…"), *before])
    head = ["parameter", "estimate", "95 % interval", *(["all rows"] if compares else [])]
    return f'<div class="wide">{html_table(head, rows)}</div>'


def _farthest(state: Exploration, answer: Answer, live: bool) -> str:
    """The rows farthest from the law, and those left out, each with a button."""
    observed = state.rows.frame[state.law.output].cast(pl.Float64).to_numpy().astype(float)
    residual = 100 * (observed / _predicted(state, answer.params) - 1)
    residual = np.where(np.isfinite(residual), residual, 0.0)
    kept = state.keep
    order = [int(i) for i in np.argsort(-np.abs(residual)) if kept[i]][:FARTHEST]
    out = sorted(state.out)
    parts = [f"<h4>Farthest from the law</h4><ul class=rows>{_items(state, order, residual, 'leave out', live)}</ul>"]
    if out:
        more = f"<li>and {len(out) - FARTHEST} more</li>" if len(out) > FARTHEST else ""
        items = _items(state, out[:FARTHEST], residual, "put back", live)
        parts.append(f"<h4>Left out ({len(out)})</h4><ul class=rows>{items}{more}</ul>")
    return "".join(parts)


def _items(state: Exploration, rows: list[int], residual: FloatArray, action: str, live: bool) -> str:
    parts = []
    for i in rows:
        label = html.escape(state.rows.short_labels[i])
        full = html.escape(state.rows.labels[i], quote=True)
        button = f'<button type="button" data-row="{i}" aria-label="{action} {full}">{action}</button>' if live else ""
        parts.append(
            f'<li><span title="{full}">{label}</span> <span class="num">{residual[i]:+.2f} %</span>{button}</li>'
        )
    return "".join(parts)


def code_block(state: Exploration, *, live: bool = True) -> str:
    """The code of a view, and a button that copies it."""
    button = '<button type="button" data-do="copy">Copy code</button>' if live else ""
    return (
        f'<div class="code"><h4>Code of this view</h4>{button}'
        f'<pre tabindex="0" aria-label="Code of this view">{html.escape(code(state))}</pre></div>'
    )


def saved(state: Exploration, style: str, name: str) -> str:
    """The state as a page of its own: for exports, where nothing can be chosen."""
    charts = "".join(f'<div class="{kind}">{draw(state, width).svg}</div>' for kind, width in SIZES.items())
    return (
        f'<div class="sdbx sdbx-saved sdbx-saved-{name}"><style>{style}</style>'
        f'<p class="head">{html.escape(heading(state))}</p>'
        f'<div class="sdbx-main"><div class="sdbx-plots">{charts}{code_block(state, live=False)}</div>'
        f'<div class="sdbx-side">{side(state, live=False)}</div></div></div>'
    )
