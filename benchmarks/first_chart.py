"""First chart in JupyterLab, and what ``%%sql`` adds to a query.

    uv run python benchmarks/first_chart.py [--repeats 5]

Opens a notebook in JupyterLab in a headless browser, runs one cell (import, connect, points, fit, chart) in a fresh
kernel, and measures in the page from the command that runs it to the first frame with the chart. The kernel has
started before, as it has for a person who reads the cell. ``%%sql`` is timed in this process: a cell, its display
included, less ``db.sql`` with the same query just before.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from explorer_latency import served, write_notebook

CELL = """import scalingdb as sdb

points = sdb.connect().points("epoch_chinchilla")
fit = sdb.fit(points, "chinchilla")
fit.chart()"""

CONNECTED = """() => {
    const kernel = window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel;
    return kernel?.connectionStatus === 'connected' && kernel?.status === 'idle';
}"""

RUN = """() => new Promise((done) => {
    const began = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    const look = () => {
        const chart = document.querySelector('.jp-OutputArea .vega-embed :is(canvas, svg)');
        if (chart && chart.getBoundingClientRect().height > 50) setTimeout(() => done(performance.now() - began), 0);
        else requestAnimationFrame(look);
    };
    look();
})"""

QUERY = "select source_id, count(*) as n from points group by all order by n desc limit 10"


def first_chart(driver: Any) -> float:
    """Seconds from the run of the cell to its chart, in a JupyterLab of its own."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as temporary, served(Path(temporary)) as address:
        write_notebook(Path(temporary), CELL)
        browser = driver.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1100})
        page.set_default_timeout(180_000)
        page.goto(f"{address}/lab/tree/explore.ipynb", wait_until="domcontentloaded")
        page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell")
        page.wait_for_function(CONNECTED)
        seconds = float(page.evaluate(RUN)) / 1000
        browser.close()
    return seconds


def added_by_magic(repeats: int) -> dict[str, float]:
    """Seconds that a cell of ``%%sql`` with its display takes beyond ``db.sql``, by clock: medians of pairs."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    import scalingdb as sdb

    db, shell = sdb.connect(), InteractiveShell.instance()
    shell.run_line_magic("load_ext", "scalingdb")

    def cell() -> None:
        with capture_output():
            result = shell.run_cell(f"%%sql\n{QUERY}")
            shell.display_formatter.format(result.result)
        assert result.success

    clocks = {"wall": time.perf_counter, "processor": time.process_time}

    def timed(work: Callable[[], object]) -> dict[str, float]:
        began = {name: clock() for name, clock in clocks.items()}
        work()
        return {name: clock() - began[name] for name, clock in clocks.items()}

    cell()
    pairs = [(timed(lambda: db.sql(QUERY)), timed(cell)) for _ in range(repeats)]
    return {name: statistics.median(long[name] - short[name] for short, long in pairs) for name in clocks}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    from playwright.sync_api import sync_playwright

    print(f"load {os.getloadavg()[0]:.1f}, {repeats} repeats")
    added = added_by_magic(10 * repeats)
    print("%%sql adds to the query:", ", ".join(f"{1000 * value:.0f} ms {name}" for name, value in added.items()))
    with sync_playwright() as driver:
        times = [first_chart(driver) for _ in range(repeats)]
    print(f"first chart: {statistics.median(times):.1f} s median, {min(times):.1f} to {max(times):.1f} s")


if __name__ == "__main__":
    main()
