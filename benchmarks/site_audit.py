"""Look at a built site as a reader's browser does: accessibility, errors, requests, and what scrolls sideways.

    python benchmarks/site_audit.py reports            # every page; about a second per page, theme and width
    python benchmarks/site_audit.py reports 8          # of each folder of generated pages (laws, sources, api), 8

Prints one line per finding and the counts, and whether the questions that readers come with are answered within two
clicks from the front page. Needs chromium and the development packages.
"""

from __future__ import annotations

import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

WIDTHS = (1400, 390)
THEMES = ("light", "dark")
ROWS = 60
"""Rows of a table that axe looks at: they are alike, and its time grows faster than their number."""

WORST = {"serious", "critical"}


@dataclass(frozen=True)
class Finding:
    """What is wrong on one page."""

    page: str
    width: int
    theme: str
    what: str


QUESTIONS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("which law for 20 small runs, and with what error", (), r"about twenty small runs.*Typical error .* [\d.]+ %"),
    ("N and D for 1e24 FLOP, with intervals", (), r"24 FLOP.*parameters on .*tokens.*95 % intervals.* to "),
    ("does TruthfulQA get worse with scale", ("Tasks that get worse with scale",), r"(?i)truthfulqa.*(worse|fall)"),
    ("which tasks are predictable", ("Which tasks, and with what error",), r"(?i)predictable"),
    ("which published claims fail and matter", ("The ledger",), r"(?i)does not reproduce"),
)
"""A question, the links to click on from the front page, and what the last page must say."""

VIEWS = tuple((theme, width) for theme in THEMES for width in WIDTHS)


def audit(site: Path, pages: Iterable[str], views: Sequence[tuple[str, int]] = VIEWS) -> Iterator[Finding]:
    """Open pages of a site from the disk, at each width and in each theme."""
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    names = list(pages)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
        for theme, width in views:
            context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
            context.add_init_script(f"localStorage.mode = '{theme}'; localStorage.theme = '{theme}'")
            for name in names:
                for what in _look(context.new_page(), site / name, axe, width):
                    yield Finding(name, width, theme, what)
            context.close()
        browser.close()


def _look(page: Any, file: Path, axe: str, width: int) -> list[str]:
    found: list[str] = []
    page.on("console", lambda message: found.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(f"script: {error}"))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:", "blob:")) else found.append(f"request: {request.url}")
        ),
    )
    page.goto(file.absolute().as_uri())
    page.wait_for_load_state("load")
    page.wait_for_timeout(300)
    sideways = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if sideways > 0:
        found.append(f"scrolls sideways by {sideways} px at {width} px")
    page.evaluate(f"document.querySelectorAll('tbody tr:nth-child(n+{ROWS})').forEach(row => row.remove())")
    page.evaluate(axe)
    result = page.evaluate("axe.run(document, {resultTypes: ['violations'], preload: false})")
    for violation in result["violations"]:
        if violation["impact"] in WORST:
            nodes = violation["nodes"]
            found.append(f"axe {violation['impact']} {violation['id']}: {len(nodes)} x {nodes[0]['html'][:160]}")
    page.close()
    return found


def unanswered(site: Path) -> list[str]:
    """Questions of :data:`QUESTIONS` that the front page, or the page behind its link, does not answer."""
    lost = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        for question, links, answer in QUESTIONS:
            page.goto((site / "index.html").absolute().as_uri())
            for link in links:
                page.locator("main").get_by_role("link", name=link).first.click()
                page.wait_for_load_state("load")
            if not re.search(answer, " ".join(page.locator("main").inner_text().split())):
                lost.append(question)
        browser.close()
    return lost


def _by_folder(pages: Iterable[str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for page in pages:
        groups.setdefault(page.rpartition("/")[0], []).append(page)
    return groups


def _sample(pages: list[str], most: int) -> list[str]:
    """All pages of kinds that are few, or a sample of those that a template makes."""
    made = pages[0].startswith(("laws/", "sources/", "api/"))
    return sorted(random.Random(0).sample(pages, min(most, len(pages)))) if made else pages


def main() -> None:
    """Audit the site named on the command line."""
    site = Path(sys.argv[1])
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if ".site" not in path.parts)
    pages = [page for page in pages if not page.startswith("_static")]
    if len(sys.argv) > 2:
        pages = [page for group in _by_folder(pages).values() for page in _sample(group, int(sys.argv[2]))]
    findings = []
    for finding in audit(site, pages):
        findings.append(finding)
        print(f"{finding.page} ({finding.width} px, {finding.theme}): {finding.what}", flush=True)
    lost = unanswered(site)
    print(f"{len(QUESTIONS) - len(lost)} of {len(QUESTIONS)} questions answered", *lost, sep="\n  ")
    kinds = Counter(" ".join(finding.what.split(":")[0].split()[:3]) for finding in findings)
    print(f"{len(pages)} pages, {len(VIEWS)} views each, {len(findings)} findings")
    for kind, count in kinds.most_common():
        print(f"{count:>6}  {kind}")


if __name__ == "__main__":
    main()
