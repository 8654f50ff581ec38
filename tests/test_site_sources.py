"""The page of every source: what it says comes from the tables, what it offers to copy runs."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.site import source_pages
from scalingdb.site.paper_pages import render_papers
from scalingdb.site.source_pages import render_source_pages
from scalingdb.site.words import count


@pytest.fixture(scope="module")
def rendered(
    db: sdb.Warehouse, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, str], list[tuple[int, int]], Path]:
    """All pages of the shipped warehouse, made once; the progress; the folder of their charts."""
    steps: list[tuple[int, int]] = []
    charts = tmp_path_factory.mktemp("charts")
    with pytest.MonkeyPatch.context() as patch:  # the specification is what these tests read
        patch.setattr(
            "scalingdb.site.figures._draw", lambda spec, target: (target.with_suffix(".svg").touch(), (1, 1))[1]
        )
        pages = dict(render_source_pages(db, charts, lambda *step: steps.append(step)))
    return pages, steps, charts


@pytest.fixture(scope="module")
def pages(rendered: tuple[dict[str, str], list[tuple[int, int]], Path]) -> dict[str, str]:
    return rendered[0]


def text_of(page: str) -> str:
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", re.sub(r"\\(?=[^\w\s])", "", page))))


def test_every_source_has_a_page(
    db: sdb.Warehouse, rendered: tuple[dict[str, str], list[tuple[int, int]], Path]
) -> None:
    pages, steps, _ = rendered
    assert list(pages) == db.table("sources")["source_id"].sort().to_list()
    assert steps[0] == (0, len(pages))
    assert steps[-1] == (len(pages), len(pages))


def test_every_link_between_pages_leads_to_one(pages: dict[str, str]) -> None:
    laws = {f"../laws/{name}.html" for name in sdb.law_library.all_laws()}
    for name, page in pages.items():
        local = {link for link in re.findall(r'href="([^"#]+\.html)"', page) if "://" not in link}
        assert local <= {*laws, *(f"{other}.html" for other in pages)}, name


def test_html_parts_hold_no_empty_line(pages: dict[str, str]) -> None:
    for name, page in pages.items():
        for block in re.findall(r"<div class=\"sdb-table\">.*?</div>|<dl.*?</dl>", page, re.DOTALL):
            assert "\n\n" not in block, name


def test_a_page_says_what_the_tables_hold(db: sdb.Warehouse, pages: dict[str, str]) -> None:
    for source in db.table("sources").iter_rows(named=True):
        text = text_of(pages[source["source_id"]])
        for part in (source["title"].replace(" -- ", " – "), source["licence"], source["redistribution"]):
            assert " ".join(part.replace("`", "").split()) in text.replace("`", ""), (source["source_id"], part)
        if source["arxiv_id"]:
            assert f"https://arxiv.org/abs/{source['arxiv_id']}" in pages[source["source_id"]]


def test_counts_flags_and_reasons(pages: dict[str, str]) -> None:
    text = text_of(pages["farseer"])
    assert "runs 411" in text
    assert "exact_duplicate 8 " in text
    assert "bits_per_character bits per character 411 411 4 english_validation" in text


def test_published_coefficients_stand_with_their_formula(pages: dict[str, str]) -> None:
    page = pages["epoch_chinchilla"]
    text = text_of(page)
    assert "<math" in page
    assert "A = 482.01" in text
    assert "B = 2085.43" in text


def test_notes_are_paragraphs_with_names_as_code(pages: dict[str, str]) -> None:
    page = pages["hitchhiker"]
    prose = page[page.index("## What to know") :].partition("\n## ")[0]
    assert prose.count("\n\n") > 5
    assert "**Tokens:**" in prose
    assert "`n_tokens`" in prose


def test_a_chart_stands_only_where_both_counts_exist(db: sdb.Warehouse, pages: dict[str, str]) -> None:
    settings = db.sql(
        "select source_id, count(distinct (n, n_tokens)) as n from ("
        "select source_id, n, n_tokens from curves union all select source_id, n, n_tokens from scores) "
        "where n > 0 and n_tokens > 0 group by all"
    )
    drawable = {name for name, n in settings.iter_rows() if n > 1}
    charted = {name for name, page in pages.items() if '<figure class="sdb-chart"' in page}
    assert {"farseer", "epoch_chinchilla", "steplaw", "gadre_overtraining"} <= charted <= drawable


def test_no_chart_holds_more_dots_than_the_limit(
    rendered: tuple[dict[str, str], list[tuple[int, int]], Path],
) -> None:
    pages, _, charts = rendered
    dots = {}
    for name, page in pages.items():
        for chart in re.findall(r'class="sdb-view" data-chart="(\w+)"', page):
            text = (charts / f"{chart}.js").read_text(encoding="utf-8")
            dots[name] = text.count('"n_tokens":')
    assert 0 < max(dots.values()) <= 4_100
    assert dots["farseer"] > 300


@pytest.mark.parametrize("few", [("farseer", "pythia_evals", "kaplan"), pytest.param((), marks=pytest.mark.ci)])
def test_every_query_to_copy_runs_and_finds_rows(
    db: sdb.Warehouse, pages: dict[str, str], few: tuple[str, ...]
) -> None:
    ran = 0
    chosen = few or tuple(pages)
    for name in chosen:
        page = pages[name]
        if "## Query it" not in page:
            continue
        block = page[page.index("## Query it") :]
        code = block.partition("```python\n")[2].partition("```")[0]
        setting, *parts = re.split(r"^# .*$", code, flags=re.MULTILINE)
        assert setting.split() == ["import", "scalingdb", "as", "sdb", "db", "=", "sdb.connect()"]
        for part in parts:
            frame = eval(part.strip(), {"db": db})
            assert isinstance(frame, pl.DataFrame)
            assert frame.height > 0, (name, part)
            ran += 1
    assert ran > len(chosen) / 2


def test_text_of_a_source_is_escaped(make_warehouse: Any, tmp_path: Path) -> None:
    folder: Path = make_warehouse(
        [{"run_id": "toy/a", "n_params": 1e6, "n_tokens": 1e7}],
        [{"run_id": "toy/a", "value": 2.0, "flag": "odd", "flag_reason": "a < b & `n_params`"}],
        title="<script>alert(1)</script>",
        notes="UNITS: x < y. A second sentence.",
    )
    with sdb.connect(folder) as db:
        ((name, page),) = render_source_pages(db, tmp_path)
    assert name == "toy"
    assert r"\<script\>alert(1)\</script\>" in page
    assert "<script>" not in page
    assert "a &lt; b &amp; <code>n_params</code>" in page
    assert r"**Units:** x \< y." in page
    assert "<figure" not in page


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


def test_the_page_of_papers_says_what_can_be_computed_for_each(db: sdb.Warehouse) -> None:
    figures = pl.DataFrame({"source_id": ["epoch_chinchilla"], "good": [7], "n": [9]})
    page = render_papers(db, [("first_fit", "A first fit", ["epoch_chinchilla"])], figures)
    rows = {row.partition("sources/")[2].partition(".html")[0]: row for row in page.splitlines() if "<tr><td>" in row}
    assert set(rows) == set(db.table("sources")["source_id"])
    epoch = rows["epoch_chinchilla"]
    assert "rows and law" in epoch
    assert "7 of 9" in epoch
    assert '<a href="laws/chinchilla.html">chinchilla</a>' in epoch
    assert '<a href="notebooks/first_fit.html">A first fit</a>' in epoch
    runs = set(db.sql("select distinct source_id from runs")["source_id"])
    assert all("findings only" not in rows[name] for name in runs & set(rows))
    none = db.sql("select source_id from claims where source_id not in (select source_id from runs)")["source_id"]
    assert any("findings only" in rows[name] for name in set(none))


def test_the_page_of_papers_shows_a_number_of_each_and_its_code_or_what_was_tried(db: sdb.Warehouse) -> None:
    page = render_papers(db, [])
    rows = {row.partition('"row-')[2].partition('"')[0]: row for row in page.splitlines() if '<tr id="row-' in row}
    assert len(rows) == 86
    votes, drafts = rows["L67"], rows["L47"]
    assert '<a href="laws/vote_reliability.html">vote_reliability</a>' in votes
    assert '<td class="num">3</td><td class="num">3</td>' in votes
    assert 'href="#code-L67"' in votes
    assert "Not checked:" in drafts
    assert '<details id="code-L47">' not in page
    example = page.partition('<details id="code-L67">')[2].partition("</details>")[0]
    assert "def votes(db: Warehouse)" in example
    assert "Here 3; the paper: 3." in example
