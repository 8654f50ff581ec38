"""The picture of the README, light and dark: ``python -m scalingdb.site.readme_picture`` draws it again."""

from __future__ import annotations

import json
from pathlib import Path

import vl_convert

from scalingdb.charts import DARK
from scalingdb.fits import fit
from scalingdb.site.pages import LAW, SOURCE, front_chart
from scalingdb.warehouse import connect

FOLDER = Path(__file__).resolve().parents[2] / ".github"


def draw() -> dict[str, str]:
    """SVG by file name: the chart of the front page in the colours of a light and of a dark page."""
    with connect() as db:
        runs = db.points(SOURCE)
    light = json.dumps(front_chart(runs, fit(runs, LAW, bootstrap=200)))
    dark = light
    for color, instead in DARK.items():
        dark = dark.replace(f'"{color}"', f'"{instead}"')
    return {name: vl_convert.vegalite_to_svg(spec) for name, spec in (("picture", light), ("picture-dark", dark))}


if __name__ == "__main__":
    for name, svg in draw().items():
        (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8")
