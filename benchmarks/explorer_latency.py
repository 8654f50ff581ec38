"""From a brush to the new fit on screen: :func:`scalingdb.explore` in JupyterLab in a headless browser.

    uv run python benchmarks/explorer_latency.py [--brushes 30] [--shots DIR]

Opens a notebook with ``sdb.explore("epoch_chinchilla")`` (240 runs), draws boxes around points with the mouse, and
measures in the page, from the release of the button to the first frame drawn after the charts changed (``near``: the
refit from the last optimum) and after the full search was shown (``fit``: verdict and intervals of the parameters;
``done``: intervals of the best split too). The clock does not know the widget: it looks at the document.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CELL = 'import scalingdb as sdb\nexplorer = sdb.explore("epoch_chinchilla")\nexplorer'

WATCH = """() => {
    const root = document.querySelector('.sdbx-live');
    window.seen = {};
    let released = 0;
    const frame = (name) => requestAnimationFrame(() => setTimeout(() => {
        if (window.seen[name] === undefined) window.seen[name] = performance.now() - released;
    }, 0));
    window.addEventListener('pointerup', () => { released = performance.now(); window.seen = {}; }, true);
    new MutationObserver(() => {
        if (!released) return;
        frame('first');
        frame(root.dataset.stage);
    }).observe(root, {subtree: true, childList: true, attributes: true, attributeFilter: ['data-stage', 'data-answers']});
}"""


ANSWERED = """(before) => {
    const {answers, stage} = document.querySelector('.sdbx-live').dataset;
    return answers !== before && (stage === 'done' || stage === 'fault');
}"""

POINTS = """() => {
    const svg = document.querySelector('.sdbx-live .sdbx-svg');
    const {width, height} = svg.viewBox.baseVal;
    const found = [...svg.querySelectorAll('.dot:not(.key)')].flatMap((path) =>
        [...path.getAttribute('d').matchAll(/M([\\d.]+) ([\\d.]+)h0/g)].map(([, x, y]) => [x / width, y / height]));
    return found.filter(([, y]) => y < 0.6);
}"""
"""Places of the points in the upper chart, as shares of the drawing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Address of a JupyterLab that serves a folder, with none of the user's settings."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = folder / ".home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "SCALINGDB_RENDERER"}
    environment |= {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config"), "IPYTHONDIR": str(home / "ipython")}
    with (home / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
                *("--IdentityProvider.token=", "--ServerApp.password=", "--allow-root", "--expose-app-in-browser"),
                *("--LabApp.news_url=", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"),
                f"--ServerApp.root_dir={folder}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    try:
        for _ in range(200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=2):
                    break
            except OSError:
                time.sleep(0.3)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def write_notebook(folder: Path, *cells: str) -> None:
    made = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None, "source": text}
        for i, text in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    text = json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    (folder / "explore.ipynb").write_text(text, encoding="utf-8")


def open_explorer(page: Any, address: str) -> Any:
    """The widget of the notebook, once it is drawn."""
    page.goto(f"{address}/lab/tree/explore.ipynb", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
    page.wait_for_function(
        """() => {
            const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
            return kernel?.connectionStatus === 'connected' && kernel?.status === 'idle';
        }""",
        timeout=90_000,
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_selector(".sdbx-live .sdbx-svg .dot", timeout=90_000)
    page.wait_for_timeout(1500)
    return page.locator(".sdbx-canvas").first


def brush(page: Any, canvas: Any, place: tuple[float, float], size: float) -> None:
    """Draw a box, as shares of the upper chart."""
    box = canvas.bounding_box()
    x, y = box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + size * box["width"] / 2, y + size * box["height"] / 2)
    page.mouse.move(x + size * box["width"], y + size * box["height"])
    page.mouse.up()


def measure(page: Any, canvas: Any, brushes: int) -> dict[str, list[float]]:
    """Milliseconds from the release of the button, by what was on screen."""
    page.evaluate(WATCH)
    times: dict[str, list[float]] = {"first": [], "near": [], "fit": [], "done": []}
    for i in range(brushes):
        before = page.evaluate("document.querySelector('.sdbx-live').dataset.answers")
        canvas.scroll_into_view_if_needed()
        points = page.evaluate(POINTS)
        x, y = points[(7 * i) % len(points)]
        brush(page, canvas, (x - 0.02, y - 0.02), 0.04)
        page.wait_for_function(ANSWERED, arg=before, timeout=20_000)
        page.wait_for_timeout(150)
        for name, value in page.evaluate("window.seen").items():
            times.setdefault(name, []).append(value)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--brushes", type=int, default=30)
    parser.add_argument("--shots", type=Path)
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        folder = Path(temporary)
        write_notebook(folder, CELL)
        with served(folder) as address:
            browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1400, "height": 1100})
            canvas = open_explorer(page, address)
            times = measure(page, canvas, given.brushes)
            if given.shots:
                page.locator(".sdbx-live").first.screenshot(path=given.shots / "explorer.png")
            browser.close()
    for name in ("first", "near", "fit", "done"):
        values = sorted(times[name])
        if values:
            tail = values[int(0.9 * (len(values) - 1))]
            print(f"{name:<6}{statistics.median(values):7.0f} ms median, {tail:.0f} ms 90 %, {len(values)} brushes")


if __name__ == "__main__":
    main()
