"""Look at a built site as a reader's browser does: accessibility, errors, requests, and what scrolls sideways.

    python benchmarks/site_audit.py reports            # every page, wide and narrow, light and dark
    python benchmarks/site_audit.py reports 8          # of each folder of generated pages (laws, sources, api), 8

Prints one line per finding and the counts, and whether the questions that readers come with are answered within two
clicks from the front page. Needs chromium and the development packages.
"""

from __future__ import annotations

import asyncio
import random
import re
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright
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

VIEWS = tuple((theme, width) for width in WIDTHS for theme in THEMES)

TABS = 3
"""Pages looked at side by side, each in a process of its own."""

OF_COLOURS = ["color-contrast", "link-in-text-block"]
"""Rules of axe that another theme can break; the others see the same page again."""

STILL = """() => new Promise(done => {
    const drawn = () => [...document.querySelectorAll('.sdb-view.seen')].every(view => view.scalingdbResult || !window.vegaEmbed);
    const end = performance.now() + 10000;
    const look = () => (drawn() || performance.now() > end ? setTimeout(done, 120) : setTimeout(look, 30));
    setTimeout(look, 60);
})"""
"""Resolves when every chart in sight is drawn."""

SWITCH = """theme => {
    for (const view of document.querySelectorAll('.sdb-view')) view.scalingdbResult = null;
    Object.assign(document.documentElement.dataset, {theme, mode: theme});
}"""

SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

HERE = ("file:", "data:", "blob:")
"""Addresses that do not leave the machine."""

WITHOUT_MOTION = "*, *::before, *::after { transition: none !important; animation: none !important }"


def audit(
    site: Path,
    pages: Iterable[str],
    views: Sequence[tuple[str, int]] = VIEWS,
    note: Callable[[Finding], None] = lambda finding: None,
) -> list[Finding]:
    """Open pages of a site from the disk, at each width and in each theme; `note` is told of findings as they come."""
    return asyncio.run(_audit(site, list(pages), views, note))


async def _audit(
    site: Path, pages: Sequence[str], views: Sequence[tuple[str, int]], note: Callable[[Finding], None]
) -> list[Finding]:
    axe = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    found: list[Finding] = []
    widths = dict.fromkeys(width for _, width in views)
    done = 0

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox", "--disable-gpu"],
        )

        async def tab(waiting: Iterator[str], width: int, themes: Sequence[str]) -> None:
            nonlocal done
            context = await browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
            await context.add_init_script(f"localStorage.mode = '{themes[0]}'; localStorage.theme = '{themes[0]}'")
            page, said = await context.new_page(), []
            page.on("console", lambda entry: said.append(f"console: {entry.text}") if entry.type == "error" else None)
            page.on("pageerror", lambda error: said.append(f"script: {error}"))
            page.on(
                "request",
                lambda request: None if request.url.startswith(HERE) else said.append(f"request: {request.url}"),
            )
            for name in waiting:
                async for theme in _looks(page, site / name, axe, themes, said):
                    for what in said:
                        found.append(Finding(name, width, theme, what))
                        note(found[-1])
                    said.clear()
                done += 1
                if done % 50 == 0:
                    print(f"{done} of {len(pages) * len(widths)} pages", file=sys.stderr, flush=True)
            await context.close()

        for width in widths:
            waiting, themes = iter(pages), [theme for theme, other in views if other == width]
            await asyncio.gather(*(tab(waiting, width, themes) for _ in range(TABS)))
        await browser.close()
    return found


async def _looks(page: Any, file: Path, axe: str, themes: Sequence[str], said: list[str]) -> AsyncIterator[str]:
    """Load a page and switch it from theme to theme; add to `said` what is wrong in each."""
    await page.goto(file.absolute().as_uri())
    await page.add_style_tag(content=WITHOUT_MOTION)
    for number, theme in enumerate(themes):
        if number:
            await page.evaluate(SWITCH, theme)
        await page.evaluate(STILL)
        if (over := await page.evaluate(SIDEWAYS)) > 0:
            said.append(f"scrolls sideways by {over} px")
        if not number:
            await page.evaluate(
                f"document.querySelectorAll('tbody tr:nth-child(n+{ROWS})').forEach(row => row.remove())"
            )
            await page.evaluate(axe)
        rules = {"runOnly": {"type": "rule", "values": OF_COLOURS}} if number else {}
        options = {"resultTypes": ["violations"], "preload": False, "elementRef": False, **rules}
        for violation in (await page.evaluate("options => axe.run(document, options)", options))["violations"]:
            if violation["impact"] in WORST:
                nodes = violation["nodes"]
                said.append(f"axe {violation['impact']} {violation['id']}: {len(nodes)} x {nodes[0]['html'][:160]}")
        yield theme


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


def _say(finding: Finding) -> None:
    print(f"{finding.page} ({finding.width} px, {finding.theme}): {finding.what}", flush=True)


def main() -> None:
    """Audit the site named on the command line."""
    site = Path(sys.argv[1])
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html") if ".site" not in path.parts)
    pages = [page for page in pages if not page.startswith("_static")]
    if len(sys.argv) > 2:
        pages = [page for group in _by_folder(pages).values() for page in _sample(group, int(sys.argv[2]))]
    findings = audit(site, pages, note=_say)
    lost = unanswered(site)
    print(f"{len(QUESTIONS) - len(lost)} of {len(QUESTIONS)} questions answered", *lost, sep="\n  ")
    kinds = Counter(" ".join(finding.what.split(":")[0].split()[:3]) for finding in findings)
    print(f"{len(pages)} pages, {len(VIEWS)} views each, {len(findings)} findings")
    for kind, count in kinds.most_common():
        print(f"{count:>6}  {kind}")


if __name__ == "__main__":
    main()
