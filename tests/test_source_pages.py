"""The page of every source: what it says comes from the tables, what it offers to copy runs."""

from __future__ import annotations

import html
import re
import time
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.site import report, source_pages
from scalingdb.site.report import external_loads
from scalingdb.site.source_pages import count, render_source_pages

MAX_SECONDS = 20.0
"""CPU time for all pages; about 6 s are usual, half of it drawing."""


@pytest.fixture(scope="module")
def environment() -> jinja2.Environment:
    return report._templates()


@pytest.fixture(scope="module")
def rendered(db: sdb.Warehouse, environment: jinja2.Environment) -> tuple[dict[str, str], float, list[tuple[int, int]]]:
    """All pages of the shipped warehouse, made once; the CPU time; the progress."""
    steps: list[tuple[int, int]] = []
    begun = time.process_time()
    pages = dict(render_source_pages(db, environment, {"made": "today"}, lambda *step: steps.append(step)))
    return pages, time.process_time() - begun, steps


@pytest.fixture(scope="module")
def pages(rendered: tuple[dict[str, str], float, list[tuple[int, int]]]) -> dict[str, str]:
    return rendered[0]


def text_of(page: str) -> str:
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<body>")[2])))


def test_every_source_has_a_page_and_all_are_made_fast(
    db: sdb.Warehouse, rendered: tuple[dict[str, str], float, list[tuple[int, int]]]
) -> None:
    pages, seconds, steps = rendered
    assert list(pages) == db.table("sources")["source_id"].sort().to_list()
    assert seconds < MAX_SECONDS
    assert steps[0] == (0, len(pages))
    assert steps[-1] == (len(pages), len(pages))


def test_pages_load_nothing_and_run_nothing(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        assert external_loads(page) == [], name
        assert "default-src 'none'" in page
        without_links = re.sub(r"<a\b[^>]*>", "", page)
        assert not re.search(r"\b(?:src|href|srcset)\s*=\s*[\"']?(?:https?:)?//", without_links), name
        assert not re.search(r"<script|<iframe|@import", page), name


def test_every_link_between_pages_leads_to_one(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        local = [link for link in re.findall(r'<a\b[^>]*href="([^"]+)"', page) if "://" not in link]
        assert set(local) <= {"../index.html", *(f"{other}.html" for other in pages)}, name


def test_ids_are_unique_on_a_page(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids)), name


def test_a_page_says_what_the_tables_hold(db: sdb.Warehouse, pages: dict[str, str]) -> None:
    for source in db.table("sources").iter_rows(named=True):
        text = text_of(pages[source["source_id"]])
        for part in (source["title"].replace(" -- ", " – "), source["licence"], source["redistribution"]):
            assert " ".join(part.replace("`", "").split()) in text, (source["source_id"], part)
        if source["arxiv_id"]:
            assert f"https://arxiv.org/abs/{source['arxiv_id']}" in pages[source["source_id"]]


def test_counts_flags_and_reasons(pages: dict[str, str]) -> None:
    text = text_of(pages["farseer"])
    assert "runs 411" in text
    assert "exact_duplicate 8 " in text
    assert "bits_per_character bits_per_character 411 411 4 english_validation" in text


def test_published_coefficients_stand_with_their_formula(pages: dict[str, str]) -> None:
    page = pages["epoch_chinchilla"]
    text = text_of(page)
    assert "<math" in page
    assert "A 482.01" in text
    assert "B 2085.43" in text


def test_notes_are_paragraphs_with_names_as_code(pages: dict[str, str]) -> None:
    page = pages["hitchhiker"]
    prose = page[page.index("<h2>What to know</h2>") :].partition("</section>")[0]
    assert prose.count("<p>") > 5
    assert "<b>Tokens:</b>" in prose
    assert "<code>n_tokens</code>" in prose


def test_a_chart_stands_only_where_both_counts_exist(db: sdb.Warehouse, pages: dict[str, str]) -> None:
    settings = db.sql(
        "select source_id, count(distinct (n, n_tokens)) as n from ("
        "select source_id, n, n_tokens from curves union all select source_id, n, n_tokens from scores) "
        "where n > 0 and n_tokens > 0 group by all"
    )
    drawable = {name for name, n in settings.iter_rows() if n > 1}
    charted = {name for name, page in pages.items() if '<figure class="chart"><svg' in page}
    assert {"farseer", "epoch_chinchilla", "steplaw", "gadre_overtraining"} <= charted <= drawable


def test_no_chart_holds_more_dots_than_the_limit(pages: dict[str, str]) -> None:
    dots = {name: page.count('aria-roledescription="point"') for name, page in pages.items()}
    assert 0 < max(dots.values()) <= 4_000
    assert dots["farseer"] > 300


def test_every_query_to_copy_runs_and_finds_rows(db: sdb.Warehouse, pages: dict[str, str]) -> None:
    ran = 0
    for name, page in pages.items():
        if "<h2>Query it</h2>" not in page:
            continue
        block = page[page.index("<h2>Query it</h2>") :]
        code = html.unescape(re.sub(r"<[^>]+>", "", re.search(r'<pre class="code">(.*?)</pre>', block, re.DOTALL)[1]))  # type: ignore[index]
        setting, *parts = re.split(r"^# .*$", code, flags=re.MULTILINE)
        assert setting.split("\n") == ["import scalingdb as sdb", "", "db = sdb.connect()", "", ""]
        for part in parts:
            frame = eval(part.strip(), {"db": db})
            assert isinstance(frame, pl.DataFrame)
            assert frame.height > 0, (name, part)
            ran += 1
    assert ran > len(pages) / 2


def test_text_of_a_source_is_escaped(make_warehouse: Any, environment: jinja2.Environment) -> None:
    folder: Path = make_warehouse(
        [{"run_id": "toy/a", "n_params": 1e6, "n_tokens": 1e7}],
        [{"run_id": "toy/a", "value": 2.0, "flag": "odd", "flag_reason": "a < b & `n_params`"}],
        title="<script>alert(1)</script>",
        notes="UNITS: x < y. A second sentence.",
    )
    with sdb.connect(folder) as db:
        ((name, page),) = render_source_pages(db, environment, {})
    assert name == "toy"
    assert external_loads(page) == []
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a &lt; b &amp; <code>n_params</code>" in page
    assert "<b>Units:</b> x &lt; y." in page
    assert "<svg" not in page


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0, "–"), (950, "950"), (7_098_752, "7.1M"), (1.4e12, "1.4T"), (999_999, "1M"), (5e15, "5000T")],
)
def test_counts_read_as_the_field_writes_them(value: float | None, text: str) -> None:
    assert count(value) == text


def test_findings_beyond_the_limit_are_counted(pages: dict[str, str], db: sdb.Warehouse) -> None:
    name, n = db.sql("select source_id, count(*) as n from claims group by all order by n desc, 1 limit 1").row(0)
    assert n > source_pages.MAX_CLAIMS
    assert f"The first {source_pages.MAX_CLAIMS} of {n:,}" in text_of(pages[name])
