"""Pages of the site in a real browser: no serious violation, no error, no request, nothing that scrolls sideways."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from scalingdb.site import gallery, pages, report, source_pages
from scalingdb.site.report import build_report
from scalingdb.warehouse import Warehouse

ROOT = Path(__file__).resolve().parents[1]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.ci,
    pytest.mark.skipif(
        not (shutil.which("chromium") or shutil.which("google-chrome")), reason="no chromium on this machine"
    ),
    # the browser driver's event loop leaves its own sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

CELLS = """
import polars as pl
import scalingdb as sdb
runs = sdb.connect().points("epoch_chinchilla")
fit = sdb.fit(runs, "chinchilla")
fit
---
fit.chart()
---
runs.select("run_id", "n_params", "n_tokens", "loss").head(5).style
---
runs.head(5)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with one page of each kind."""
    folder = tmp_path_factory.mktemp("notebooks")
    cells = [new_code_cell(source.strip()) for source in CELLS.split("---")]
    notebook = new_notebook(cells=[new_markdown_cell("# Does it fit?\n\nYes, $E + A N^{-\\alpha}$."), *cells])
    nbformat.write(notebook, folder / "first.ipynb")
    laws = [law for law in gallery.library() if law.name in ("chinchilla", "farseer")]
    rows = source_pages.source_rows

    def few(db: Warehouse) -> list[dict[str, Any]]:
        return [row for row in rows(db) if row["source_id"] == "epoch_chinchilla"]

    output = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        for module in (gallery, pages):
            patch.setattr(module, "library", lambda: laws)
        for module in (source_pages, pages, report):
            patch.setattr(module, "source_rows", few)
        patch.setattr(pages, "render_api", lambda: [("api", "# Reference")])
        patch.setattr(pages, "render_sql", lambda db: [("sql", "# SQL")])
        build_report(output=output, notebooks=folder)
    return output


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = ROOT / "benchmarks" / "site_audit.py"
    spec = importlib.util.spec_from_file_location("site_audit", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["site_audit"] = module
    spec.loader.exec_module(module)
    return module


PAGES = ("index", "notebooks/first", "laws", "laws/chinchilla", "sources/epoch_chinchilla")
VIEWS = (("light", 1400), ("dark", 390))


def test_no_page_kind_has_a_finding(site: Path, audit: ModuleType) -> None:
    findings = list(audit.audit(site, [f"{name}.html" for name in PAGES], VIEWS))
    assert findings == []


def test_pages_are_small(site: Path) -> None:
    for page in site.glob("**/*.html"):
        assert page.stat().st_size < 1_500_000, page
    assert report.STATE == ".site"


def test_charts_are_drawn_live_and_search_finds_a_law(site: Path) -> None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.goto((site / "notebooks" / "first.html").as_uri())
        page.locator(".sdb-view").first.scroll_into_view_if_needed()
        page.wait_for_selector(".sdb-view svg.marks", timeout=60_000)
        page.goto(f"{(site / 'search.html').as_uri()}?q=chinchilla")
        page.wait_for_selector("#search-results li a", timeout=60_000)
        addresses = [link.get_attribute("href") for link in page.locator("#search-results li a").all()]
        assert any("laws/chinchilla.html" in str(address) for address in addresses)
        page.goto((site / "laws.html").as_uri())
        page.fill(".sdb-filters input", "farseer")
        assert page.locator("table.sdb-search").first.locator("tbody tr:visible").count() == 1
        browser.close()
