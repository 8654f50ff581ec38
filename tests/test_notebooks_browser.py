"""The notebook as a person opens it: JupyterLab in a headless browser, no network beyond this machine."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

ROOT = Path(__file__).resolve().parents[1]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 400
"""Seconds until a hanging browser or kernel is given up; a healthy run takes a fraction of it."""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.ci,
    pytest.mark.skipif(BROWSER is None, reason="no chromium or google-chrome on this machine"),
    # the browser driver's event loop leaves its own sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Address of a JupyterLab that serves a copy of the notebooks; nothing of the user's settings."""
    work = tmp_path / "notebooks"
    shutil.copytree(ROOT / "notebooks", work)
    port = _free_port()
    home = tmp_path / "home"
    home.mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "SCALINGDB_RENDERER"}
    environment |= {"HOME": str(home), "JUPYTER_CONFIG_DIR": str(home / "config"), "IPYTHONDIR": str(home / "ipython")}
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"),
                *("--IdentityProvider.token=", "--ServerApp.password=", "--allow-root"),
                *(
                    "--expose-app-in-browser",
                    "--LabApp.news_url=",
                    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
                ),
                f"--ServerApp.root_dir={work}",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        address = f"http://127.0.0.1:{port}"
        try:
            end = time.monotonic() + 60
            while True:
                try:
                    with urllib.request.urlopen(f"{address}/api/status", timeout=2):
                        break
                except OSError:
                    if time.monotonic() > end or server.poll() is not None:
                        pytest.fail(f"JupyterLab did not start:\n{(tmp_path / 'lab.log').read_text()[-2000:]}")
                    time.sleep(0.3)
            yield address
        finally:
            server.terminate()
            server.wait(timeout=30)


def _brush_the_explorer(page: Any) -> None:
    """Draw a box around points: the fit without them comes on screen, and the notebook's file gets it."""
    cells = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON()")["cells"]
    (index,) = [
        i for i, cell in enumerate(cells) if "sdb.explore(" in "".join(cell["source"]) and cell["cell_type"] == "code"
    ]
    page.evaluate(f"() => {{ window.jupyterapp.shell.currentWidget.content.scrollToItem({index}); }}")
    page.wait_for_selector(".sdbx-live .sdbx-svg .dot", state="attached", timeout=60_000)
    canvas = page.locator(".sdbx-canvas").first
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    before = page.locator(".sdbx-live .head").text_content()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.35 * box["width"], box["y"] + 0.4 * box["height"], steps=3)
    page.mouse.up()
    page.wait_for_function(
        "before => document.querySelector('.sdbx-live .head').textContent !== before && "
        "document.querySelector('.sdbx-live').dataset.stage === 'done'",
        arg=before,
        timeout=60_000,
    )
    active = "window.jupyterapp.shell.currentWidget.content.activeCellIndex"
    cell_before = page.evaluate(active)
    canvas.focus()
    page.keyboard.press("ArrowDown")  # a key of the notebook's command mode
    assert "epoch_chinchilla/" in str(page.locator(".sdbx-status").first.text_content())
    assert page.evaluate(active) == cell_before
    head = str(page.locator(".sdbx-live .head").text_content())
    page.wait_for_timeout(1500)  # the file gets the state after a moment of rest
    cell = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON()")["cells"][index]
    pages = ["".join(out.get("data", {}).get("text/html", "")) for out in cell["outputs"]]
    assert any(head in text for text in pages), head
    assert not page.locator(".sdbx-saved").first.is_visible()


@pytest.mark.parametrize("notebook", ["start_here"])
def test_notebook_runs_in_jupyterlab_without_network(lab: str, tmp_path: Path, notebook: str) -> None:
    from playwright.sync_api import sync_playwright

    n_code = sum(
        cell["cell_type"] == "code"
        for cell in json.loads((ROOT / f"notebooks/{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    )
    foreign: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=BROWSER,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.on(
            "request",
            lambda request: (
                foreign.append(request.url)
                if urlparse(request.url).hostname not in {"127.0.0.1", "localhost", None}
                else None
            ),
        )
        page.goto(f"{lab}/lab/tree/{notebook}.ipynb", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=60_000)
        # a run that is asked for before the kernel has answered is lost
        page.wait_for_function(
            """() => {
                const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
                return kernel?.connectionStatus === 'connected' && kernel?.status === 'idle';
            }""",
            timeout=90_000,
        )
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
        content: dict[str, list[dict[str, Any]]] = {}
        counts: list[object] = []
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and not (counts and all(counts)):
            page.wait_for_timeout(2000)
            content = page.evaluate("window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON()")
            counts = [cell["execution_count"] for cell in content["cells"] if cell["cell_type"] == "code"]
        outputs = [out for cell in content["cells"] for out in cell.get("outputs", [])]
        errors = [out for out in outputs if out["output_type"] == "error"]
        assert not errors, errors[0]["traceback"]
        assert len(counts) == n_code
        assert all(counts), f"after {PATIENCE} s these cells had not run: {counts}"

        # scroll through, so that the windowed notebook draws every chart, and count what a person sees
        charts, shots = 0, Path(os.environ.get("SCALINGDB_SCREENSHOTS", tmp_path))
        page.evaluate("() => { window.jupyterapp.shell.currentWidget.content.scrollToItem(0); }")
        for _ in range(n_code * 4):
            page.mouse.move(700, 600)
            page.mouse.wheel(0, 500)
            page.wait_for_timeout(300)
            drawn = page.locator(".vega-embed svg, .vega-embed canvas").count()
            if drawn > charts:
                page.wait_for_timeout(700)
                page.screenshot(path=shots / f"lab_{notebook}_{drawn}_charts.png")
            charts = max(charts, drawn)
        _brush_the_explorer(page)
        browser.close()
    assert charts >= 1, "no chart is visible in the browser"
    assert not [url for url in foreign if not re.match(r"(data|blob):", url)], foreign
