"""Charts of the site: drawn live from their data where scripts run, as a picture where they do not.

A chart is two files named for its content, ``charts/<hash>.js`` (data and drawing instructions, which a page
opened as a file may load as a script) and ``charts/<hash>.svg``. Pages that show the same chart share them.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import vl_convert

from scalingdb._store import write_whole
from scalingdb.charts import DARK

__all__ = ["CHART", "FOLDER", "describe", "figure", "remove_unused", "write_runtime"]

FOLDER = "charts"

CHART = re.compile(r'data-chart=\\?"(\w+)')
"""Name of a chart in the text of a page, which may be the JSON of a notebook."""

Spec = Mapping[str, Any]


def _nodes(spec: Any) -> Iterator[Spec]:
    if isinstance(spec, Mapping):
        yield spec
        for key, value in spec.items():
            if key not in {"data", "datasets", "config"}:
                yield from _nodes(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _nodes(value)


def _text(value: Any) -> str:
    """A title of Vega-Lite, which is a string, lines of one, or an object that holds either."""
    if isinstance(value, Mapping):
        value = value.get("text", "")
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _heading(spec: Spec) -> str:
    """The title of the whole chart with its subtitle, or those of its panels."""
    titles = [node["title"] for node in _nodes(spec) if "title" in node and ("mark" in node or _is_view(node))]
    found = []
    for title in titles:
        subtitle = _text(title.get("subtitle")) if isinstance(title, Mapping) else ""
        found.append(". ".join(part.strip() for part in (_text(title), subtitle) if part.strip()))
    return "; ".join(dict.fromkeys(filter(None, found)))


def _is_view(node: Spec) -> bool:
    return any(key in node for key in ("layer", "hconcat", "vconcat", "concat", "facet", "spec", "repeat"))


def _axes(spec: Spec, channel: str) -> str:
    names = []
    for node in _nodes(spec):
        encoding = node.get("encoding")
        part = encoding.get(channel) if isinstance(encoding, Mapping) else None
        if isinstance(part, Mapping):
            axis = part.get("axis")
            title = part.get("title") or (axis.get("title") if isinstance(axis, Mapping) else None)
            names.append(_text(title or (part.get("field") if "title" not in part else "")))
    return ", ".join(dict.fromkeys(filter(None, names)))


def describe(spec: Spec) -> str:
    """What a chart shows, in words: its own description, else its titles, its axes and how much is drawn.

    Parameters
    ----------
    spec : mapping
        A chart as Vega-Lite.
    """
    if spec.get("description"):
        return str(spec["description"])
    x, y = _axes(spec, "x"), _axes(spec, "y")
    axes = f"{y} against {x}" if x and y else x or y
    rows = sum(len(rows) for rows in spec.get("datasets", {}).values())
    parts = [_heading(spec), f"Chart of {axes}" if axes else "Chart", f"{rows:,} rows of data"]
    return ". ".join(part.rstrip(".") for part in parts if part) + "."


def _content(spec: Spec) -> str:
    return json.dumps(_rounded(spec), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _rounded(value: Any) -> Any:
    """Numbers to seven digits: more cannot be seen, and doubles the size of a page."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def figure(spec: Spec, folder: Path, root: str = "", caption: str = "") -> str:
    """HTML of a chart; writes its files where they are not there yet.

    Parameters
    ----------
    spec : mapping
        A chart as Vega-Lite.
    folder : Path
        Where the files of charts lie.
    root : str
        Way from the page to the top of the site, such as ``"../"``.
    caption : str, optional
        HTML below the chart.
    """
    text = _content(spec)
    name = hashlib.sha256(text.encode()).hexdigest()[:12]
    script = folder / f"{name}.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        size = _draw(json.loads(text), folder / name)
        scratch = folder / f"{name}.{threading.get_ident()}.new"  # another thread may draw the same chart
        scratch.write_text(f'scalingdbChart("{name}",{text},{json.dumps(size)})', encoding="utf-8")
        scratch.replace(script)
    width, height = json.loads("[" + script.read_text(encoding="utf-8").rpartition(",[")[2].rstrip(")"))
    alt = html.escape(describe(spec))
    kind = "svg" if (folder / f"{name}.svg").exists() else "png"
    picture = f"{root}{FOLDER}/{name}.{kind}"
    words = f'<figcaption class="caption">{caption}</figcaption>' if caption else ""
    return (
        f'<figure class="sdb-chart" id="chart-{name}"><div class="sdb-view" data-chart="{name}" '
        f'role="img" aria-label="{alt}" style="min-height:{min(height, 420)}px">'
        f'<img src="{picture}" alt="{alt}" width="{width}" height="{height}" loading="lazy"></div>{words}'
        f'<p class="sdb-tools"><button type="button" class="sdb-data" data-chart="{name}" hidden>Data (CSV)</button>'
        f'<a href="{picture}" download>Image ({kind.upper()})</a> '
        f'<a href="#chart-{name}">Link to this chart</a></p></figure>'
    )


HEAVY = 300_000
"""Characters of a drawing above which the picture consists of dots, not of paths."""


def _draw(spec: dict[str, Any], target: Path) -> tuple[int, int]:
    """Write the picture of a chart and return its width and height in pixels."""
    svg = _compact(vl_convert.vegalite_to_svg(spec))
    if len(svg) > HEAVY:
        target.with_suffix(".png").write_bytes(vl_convert.vegalite_to_png(spec, scale=1.5))
    else:
        target.with_suffix(".svg").write_text(svg, encoding="utf-8")
    return _size(svg[:600])


def _compact(svg: str) -> str:
    """A drawing with coordinates to two decimals."""
    return re.sub(r"(\d+\.\d{2})\d+", r"\1", svg[svg.find("<svg") :])


def _size(svg: str) -> tuple[int, int]:
    width, height = (re.search(rf'\b{side}="([\d.]+)"', svg) for side in ("width", "height"))
    return (round(float(width[1])), round(float(height[1]))) if width and height else (600, 320)


def remove_unused(folder: Path, pages: Iterable[str]) -> None:
    """Remove the files of charts that no page shows."""
    shown = {name for page in pages for name in CHART.findall(page)}
    for file in folder.glob("*.*"):
        if file.stem not in {*shown, "vega", "colors"}:
            file.unlink()


def write_runtime(folder: Path) -> None:
    """Write ``vega.js``, which draws charts, and the colours that replace ours in the dark."""
    target = folder / "vega.js"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # the snippet has a default
        write_whole(target, f"(()=>{{{bundle}}})();")
    write_whole(folder / "colors.js", f"window.scalingdbDark={json.dumps(DARK)};")
