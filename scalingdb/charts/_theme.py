"""The theme that all charts share, their axes, and where they are drawn.

A person at a notebook gets interactive charts that need no network (Altair's ``jupyter`` renderer,
offline). The site runs notebooks with ``SCALINGDB_RENDERER=spec``: the output then holds the chart itself, and
the site draws it.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Any, TypeVar

import altair as alt
import numpy as np
import polars as pl

from scalingdb.errors import DataError

__all__ = [
    "BAD",
    "COUNT",
    "DARK",
    "FAINT",
    "FONT",
    "INK",
    "MARK",
    "MAX_ROWS",
    "MORE",
    "MUTED",
    "PALETTE",
    "POWER",
    "RAMP",
    "RULE",
    "SOFT",
    "SPEC_MIME",
    "headed",
    "log_axis",
    "log_x",
    "need",
    "thinned",
]

PALETTE = ["#0b6e99", "#448361", "#9065b0", "#c14c8a", "#8a8a8a", "#8a5a44", "#2f4858"]
"""Colours of categories: distinguishable with the common colour-vision deficiencies, and in grey. None is orange."""

BAD = "#d9730d"
"""Orange, in every chart: what fails, misses, or gets worse."""

MARK = "#c14c8a"
"""The place that a chart is about, such as the best split of a budget."""

INK, MUTED, RULE = "#2b2b2b", "#6b6b6b", "#d9d9d6"

RAMP = ("#eef4f6", "#cfe3ec", "#9fc5d6", "#5aa0bd", "#0b6e99", "#084c6b", "#062c40")
"""From little to much."""

SOFT, FAINT = "#b8b8b4", "#f4f1ea"
"""Guides and what is not known; the middle of a scale with two ends, and empty cells."""

MORE = ("#5f5f8c", "#4f8f8f")
"""Categories beyond the palette."""

DARK = {
    "white": "#14181e",
    INK: "#e6e6e3",
    MUTED: "#b0b0ab",
    RULE: "#4a4f57",
    BAD: "#f0994a",
    MARK: "#e58bbb",
    **dict(zip(PALETTE, ("#5bb8e0", "#7fc49c", "#b897dc", "#e58bbb", "#a5a5a0", "#c79a82", "#9fb6c6"), strict=True)),
    "#efefec": "#2a3038",
    # the light end of a scale becomes its dark end
    **dict(zip(RAMP, ("#222a33", "#24485a", "#2f6f8c", "#3f93b8", "#5bb8e0", "#93d4f0", "#cdeaf7"), strict=True)),
    SOFT: "#6d737b",
    FAINT: "#222a33",
    **dict(zip(MORE, ("#9a9ad0", "#83c4c4"), strict=True)),
}
"""What takes the place of each colour on a dark page."""

FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"


@alt.theme.register("scalingdb", enable=True)  # type: ignore[untyped-decorator]
def _theme() -> alt.theme.ThemeConfig:
    axis = {
        "labelColor": MUTED,
        "titleColor": INK,
        "titleFontWeight": "normal",
        "titleFontSize": 12,
        "labelFontSize": 11,
        "gridColor": "#efefec",
        "domainColor": RULE,
        "tickColor": RULE,
        "labelFont": FONT,
        "titleFont": FONT,
    }
    return {
        "config": {
            "background": "white",
            "font": FONT,
            "view": {"stroke": None, "continuousWidth": 300, "continuousHeight": 220},
            "axis": axis,
            "legend": {"labelColor": INK, "titleColor": MUTED, "titleFontWeight": "normal", "symbolSize": 60},
            "header": {"labelColor": INK, "labelFontSize": 12, "labelFontWeight": "bold", "titleColor": MUTED},
            "title": {"color": INK, "anchor": "start", "fontSize": 14, "subtitleColor": MUTED, "subtitleFontSize": 12},
            "range": {"category": PALETTE},
            "mark": {"color": PALETTE[0]},
            "point": {"filled": True, "size": 28, "opacity": 0.8},
        }
    }


SPEC_MIME = "application/vnd.vegalite+json"
"""Type of an output that holds a chart as Vega-Lite."""


def _as_text(spec: dict[str, Any]) -> dict[str, Any]:
    return {"text/plain": str(spec.get("description", "a chart"))}


def _as_spec(spec: dict[str, Any], **_: Any) -> dict[str, Any]:
    return {SPEC_MIME: spec, **_as_text(spec)}


def _as_widget(spec: dict[str, Any], **_: Any) -> Any:
    """Altair's widget, which needs no network, from the specification as it is.

    Altair's own renderer reads the specification back into chart objects and checks it once more, which takes
    seconds for a chart of several panels; only code that listens to selections would need those objects.
    """
    alt.JupyterChart.enable_offline(offline=True)
    widget = alt.JupyterChart(chart=None)
    widget.spec = spec
    bundle, metadata = widget._repr_mimebundle_()
    return {**bundle, **_as_text(spec)}, metadata


def _enable_renderer() -> None:
    alt.renderers.register("spec", _as_spec)
    alt.renderers.register("widget", _as_widget)
    alt.renderers.enable(os.environ.get("SCALINGDB_RENDERER", "") or "widget")


_enable_renderer()

COUNT = "replace(format(datum.value, '~s'), 'G', 'B')"
"""Labels such as 300M and 10B: how the field writes parameters and tokens."""

POWER = "replace(format(datum.value, '~e'), 'e+', 'e')"
"""Labels such as 1e21, for FLOP."""


def log_axis(title: str, low: float, high: float, labels: str = COUNT) -> alt.Axis:
    """Axis of a logarithmic scale with few, round ticks: 1-2-5 within two decades, powers of ten beyond five."""
    decades = np.log10(high / low) if low > 0 else 1.0
    steps: tuple[float, ...] = (1, 2, 5) if decades < 2 else (1, 3) if decades < 4 else (1,)
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    if decades > 8:
        powers = powers[::2]
    ticks = sorted(float(step * power) for power in powers for step in steps)
    return alt.Axis(title=title, labelExpr=labels, values=[tick for tick in ticks if low <= tick <= high])


def log_x(frame: pl.DataFrame, column: str, title: str, labels: str = COUNT, padding: int = 8) -> alt.X:
    values = frame[column].drop_nulls()
    values = values.filter(values > 0)
    if values.is_empty():
        raise DataError(f"no row has a positive value of {column!r}: there is nothing to draw")
    axis = log_axis(title, float(values.min()) / 1.3, float(values.max()) * 1.3, labels)  # type: ignore[arg-type]
    return alt.X(f"{column}:Q", scale=alt.Scale(type="log", nice=False, padding=padding), axis=axis)


_Chart = TypeVar("_Chart", bound=alt.TopLevelMixin)


def headed(chart: _Chart, finding: str, *about: str) -> _Chart:
    """A chart under a title that says what it shows; the same words are its text alternative.

    Parameters
    ----------
    chart : Altair chart
    finding : str
        What a reader should see, computed from the rows that are drawn.
    *about : str
        Lines of the subtitle: study, unit, what N counts, what marks mean. Empty ones are left out.
    """
    lines = [line for text in about if text for line in _lines(text, 105)]
    title = alt.Title(_lines(finding.rstrip("."), 88), subtitle=lines, offset=12)
    words = ". ".join(text.strip().rstrip(".") for text in (finding, *about) if text)
    found: _Chart = chart.properties(title=title, description=f"{words}.")
    return found


def headed_by_sentence(chart: _Chart, sentence: str, *about: str) -> _Chart:
    """A chart under the sentence of its result: the title is what stands before the first semicolon."""
    finding, _, rest = sentence.partition("; ")
    if rest.startswith("the "):  # the name of a law keeps its letters
        rest = f"T{rest[1:]}"
    return headed(chart, finding, rest, *about)


def _lines(text: str, most: int) -> list[str]:
    """A text in lines of about equal length; a number keeps its per cent sign."""
    whole = text.replace(" %", "\u00a0%")
    n_lines = -(-len(whole) // most)
    return textwrap.wrap(whole, max(len(whole) // n_lines + 8, 20)) if n_lines > 1 else [whole]


MAX_ROWS = 4000
"""Rows that a chart embeds at most; Altair itself refuses more than 5,000."""


def thinned(frame: pl.DataFrame) -> pl.DataFrame:
    """A random sample of a frame that is too long to draw, always the same one."""
    return frame if frame.height <= MAX_ROWS else frame.sample(MAX_ROWS, seed=0)


def need(frame: pl.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise DataError(
            f"the frame has no column {', '.join(map(repr, missing))}, which this chart draws",
            "charts take frames of db.points(), Fit.augment() and Comparison.held_out.",
        )
