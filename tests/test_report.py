"""The report: pages that hold everything they show, and a site that a failure leaves alone."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import jinja2
import nbformat
import pytest
from nbformat.v4 import new_code_cell as code
from nbformat.v4 import new_markdown_cell as prose
from nbformat.v4 import new_notebook

from scalingdb.errors import DataError, NotebookError, OutputError, UnknownNameError
from scalingdb.site import report
from scalingdb.site.report import Site, build_report, external_loads, find_notebooks

ANSWER = "Yes: $E + A N^{-\\alpha}$ does, within **0.5 %**. See [more](another.ipynb#x)."


def write(folder: Path, name: str, *cells: nbformat.NotebookNode, **metadata: object) -> Path:
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


@pytest.fixture(scope="session", autouse=True)
def short_source_pages() -> Iterator[None]:
    """Short pages in place of those of all sources and laws, which test_source_pages.py and test_gallery.py make."""

    def render(db: object, environment: jinja2.Environment, *_: object) -> Iterator[tuple[str, str]]:
        template = environment.from_string('{% extends "base.html" %}{% block body %}<p>short</p>{% endblock %}')
        return ((name, template.render()) for name in ("epoch_chinchilla", "kaplan"))

    def gallery(db: object, environment: jinja2.Environment, *_: object) -> str:
        return environment.from_string('{% extends "base.html" %}{% block body %}<p>laws</p>{% endblock %}').render()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "render_source_pages", render)
        patch.setattr(report, "render_gallery", gallery)
        yield


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, list[tuple[str, int, int]]]:
    """Two small notebooks, executed once."""
    folder = tmp_path_factory.mktemp("notebooks")
    write(
        folder,
        "one_law",
        prose("# Does one *law* fit?\n\n" + ANSWER + "\n\nRest."),
        code("import altair as alt, sys, scalingdb as sdb\nalt.renderers.enable('svg')\ndb = sdb.connect()"),
        code("points = db.points('epoch_chinchilla')\npoints.select('run_id', 'loss').head(3)"),
        code("sdb.fit(points, 'chinchilla')"),
        code("chart = alt.Chart(points.select('n_params', 'loss'))"),
        code("chart = chart.mark_point(clip=True).encode(x='n_params', y='loss')\nchart"),
        code("chart"),
        prose("$$L = \\frac{1}{2}$$\n\n![far](https://example.org/far.png)"),
        code("import os\nprint(sys.executable)\nprint(os.getcwd())\nprint(os.environ['SCALINGDB_RENDERER'])"),
        code("print('careful', file=sys.stderr)\n'<b>bold</b>'"),
    )
    write(
        folder,
        "another",
        prose("# Which runs?\n\nMany."),
        code("%load_ext scalingdb"),
        code("%%sql n\nselect source_id, count(*) as n\nfrom runs\ngroup by all"),
        scalingdb={"sources": ["kaplan"]},
    )
    seen: list[tuple[str, int, int]] = []
    site = build_report(
        output=tmp_path_factory.mktemp("out") / "new" / "site",
        notebooks=folder,
        progress=lambda *step: seen.append(step),
    )
    return site, seen


@pytest.fixture(scope="session")
def page(built: tuple[Site, list[tuple[str, int, int]]]) -> str:
    return (built[0].index.parent / "one_law.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def index(built: tuple[Site, list[tuple[str, int, int]]]) -> str:
    return built[0].index.read_text(encoding="utf-8")


def test_files_and_progress(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    site, seen = built
    written = [path.relative_to(site.index.parent).as_posix() for path in site.index.parent.rglob("*.html")]
    sources = ["sources/epoch_chinchilla.html", "sources/kaplan.html"]
    assert sorted(written) == ["another.html", "index.html", "laws.html", "one_law.html", *sources]
    assert [path.relative_to(site.index.parent).as_posix() for path in site.sources] == sources
    assert [path.name for path in site.pages] == ["another.html", "one_law.html"]
    assert site.gallery == site.index.parent / "laws.html"
    for name, total in (("another", 3), ("one_law", 10)):
        steps = [(done, cells) for title, done, cells in seen if title == name]
        assert steps[0] == (0, total)
        assert steps[-1] == (total, total)


def test_pages_load_nothing(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    for path in built[0].index.parent.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert external_loads(text) == []
        # and by a rule that does not share code with the report
        without_links = re.sub(r"<a\b[^>]*>", "", text)
        assert not re.search(r"\b(?:src|href|srcset)\s*=\s*[\"']?(?:https?:)?//", without_links)
        assert not re.search(r"@import|url\(\s*[\"']?(?:https?:)?//|<script|<iframe", text)
        assert "default-src 'none'" in text


def test_prose_formulas_and_links(page: str) -> None:
    assert page.count("<math") >= 3  # inline, display, and the fit's own
    assert 'href="another.html#x"' in page
    assert '<a href="https://example.org/far.png">far</a>' in page


def test_charts_are_drawings_with_ids_of_their_own(page: str) -> None:
    assert page.count('<figure class="chart">') == 2
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    referred = re.findall(r"url\(#([^)]+)\)", page)
    assert referred
    assert set(referred) <= set(ids)


def test_tables_are_aligned_by_type(page: str) -> None:
    table = page[page.index('class="dataframe"') :].partition("</table>")[0]
    assert '<th class="num">loss</th>' in table
    assert "<th>run_id</th>" in table
    assert "<td>epoch_chinchilla/006</td>" in table
    assert "&quot;" not in table


def test_code_is_there_but_folded(page: str) -> None:
    assert page.count('<details class="source">') == 8
    assert "<details open" not in page
    assert '<section class="cell" id="cell-3">' in page


def test_the_kernel_is_this_python_in_the_notebooks_folder(page: str) -> None:
    stream = next(text for text in re.findall(r'<pre class="stream">(.*?)</pre>', page, re.DOTALL) if "svg" in text)
    interpreter, folder, renderer = stream.splitlines()
    assert interpreter == sys.executable
    assert Path(folder).name.startswith("notebooks")
    assert renderer == "svg"


def test_text_output_is_escaped_and_stderr_marked(page: str) -> None:
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert '<pre class="stream warning">careful</pre>' in page


def test_page_ends_with_sources_queries_and_provenance(page: str) -> None:
    end = page[page.index("<footer") :]
    assert "https://arxiv.org/abs/2404.10102" in end
    assert "Licence: " in end
    assert "db.points(&#39;epoch_chinchilla&#39;)" in end
    assert '<a href="#cell-3">cell 3</a>' in end
    for name in ("python", "duckdb", "polars", "numpy", "scipy", "altair"):
        assert re.search(rf"\b{name} \d", end)
    assert re.search(r"<code>[0-9a-f]{64}</code>", end)
    assert "farseer" not in end


def test_declared_sources_win_and_magics_are_queries(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    text = (built[0].index.parent / "another.html").read_text(encoding="utf-8")
    end = text[text.index("<footer") :]
    assert "2001.08361" in end
    assert "2404.10102" not in end
    assert "select source_id, count(*) as n\nfrom runs" in end


def test_index_has_a_card_each_and_the_sources(index: str) -> None:
    card = index[index.index('href="one_law.html"') :].partition("</a>")[0]
    assert "<h3>Does one <em>law</em> fit?</h3>" in card
    assert "within <strong>0.5 %</strong>. See more." in card
    assert "<math" in card
    assert "Rest." not in card
    assert '<a class="name" href="sources/farseer.html">farseer</a>' in index
    assert 'class="card" href="laws.html"' in index


# ---- what goes wrong -------------------------------------------------------------------------


def test_a_failing_cell_is_named_and_the_old_site_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from scalingdb.cli import app

    monkeypatch.setattr(report, "_is_ours", lambda _: True)
    output = tmp_path / "site"
    output.mkdir()
    (output / "index.html").write_text("old")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder, "broken", prose("# Broken"), code("x = 1"), code("1 / 0"))
    result = CliRunner().invoke(app, ["report", "--notebooks", str(folder), "--output", str(output), "--quiet"])
    assert result.exit_code == 1
    assert "notebook 'broken', cell 3: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr
    assert [path.name for path in output.iterdir()] == ["index.html"]
    assert (output / "index.html").read_text() == "old"


MEET = """
import pathlib, time
pathlib.Path("{own}.here").touch()
for _ in range(600):
    if pathlib.Path("{other}.here").exists():
        break
    time.sleep(0.1)
else:
    raise TimeoutError("the other notebook never ran at the same time")
"""


def test_a_warning_shows_without_a_place_on_the_machine() -> None:
    text = (
        "/tmp/ipykernel_1/2.py:2: FitWarning: law 'chinchilla': at bound: E=0\n  total = sdb.fit(\n"
        "/opt/x/_core.py:491: DomainWarning: law 'farseer' extrapolates:\nn_params lies outside\n  return optimum(x)\n"
        "and a line of its own\n"
    )
    shown = str(report._output({"output_type": "stream", "name": "stderr", "text": text}, Path(), "c1"))
    assert ".py" not in shown
    assert "sdb.fit" not in shown
    assert "return optimum" not in shown
    for part in ("FitWarning: law", "at bound", "DomainWarning: law", "n_params lies outside", "and a line of its own"):
        assert part in shown


def test_notebooks_run_side_by_side(tmp_path: Path) -> None:
    if report._cores() < 2:
        pytest.skip("one core: one notebook at a time")
    write(tmp_path, "a", code(MEET.format(own="a", other="b")))
    write(tmp_path, "b", code(MEET.format(own="b", other="a")))
    site = build_report(output=tmp_path / "site", notebooks=tmp_path)
    assert [page.name for page in site.pages] == ["a.html", "b.html"]


def test_a_failure_stops_the_notebooks_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "fails", code("raise ValueError('no')"))
    write(tmp_path, "sleeps", code("import time, pathlib\ntime.sleep(300)\npathlib.Path('woke').touch()"))
    with pytest.raises(NotebookError, match="'fails', cell 1: ValueError: no"):
        build_report(output=tmp_path / "site", notebooks=tmp_path)
    assert not (tmp_path / "woke").exists()
    assert not list((tmp_path / "site").iterdir())


def test_the_index_groups_notebooks_by_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_execution(monkeypatch)
    for name, section in {"a": "Zoo", "b": "Which law?", "c": None, "d": "Begin here"}.items():
        write(tmp_path, name, prose(f"# Question {name}\n\nAnswer."), scalingdb={"section": section} if section else {})
    text = build_report(output=tmp_path / "site", notebooks=tmp_path).index.read_text(encoding="utf-8")
    order = [
        text.index(part)
        for part in (
            "<h2>Begin here",
            "Question d",
            "<h2>Which law?",
            "Question b",
            "<h2>Zoo",
            "Question a",
            "<h2>More notebooks",
            "Question c",
            "<h2>Reference",
        )
    ]
    assert order == sorted(order)


def _without_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    async def read(path: Path, _: object) -> nbformat.NotebookNode:
        return nbformat.read(path, as_version=4)

    monkeypatch.setattr(report, "_execute", read)


def test_an_output_that_needs_a_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_execution(monkeypatch)
    data = {"text/html": "<script src='https://cdn.example.org/vega.js'></script>"}
    cell = code("chart", outputs=[nbformat.v4.new_output("display_data", data)])
    write(tmp_path, "online", cell)
    with pytest.raises(NotebookError, match=r"'online'.*cdn\.example\.org"):
        build_report(output=tmp_path / "site", notebooks=tmp_path)
    assert not list((tmp_path / "site").iterdir())


def test_named_pages_are_renewed_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_execution(monkeypatch)
    output = tmp_path / "site"
    for name in ("a", "b"):
        write(tmp_path, name, prose(f"# Title {name}\n\nAnswer {name}."))
    build_report(output=output, notebooks=tmp_path)
    (output / "notes.txt").write_text("mine")
    write(tmp_path, "a", prose("# New title"))
    site = build_report(["a"], output, notebooks=tmp_path)
    assert [path.name for path in site.pages] == ["a.html"]
    index = site.index.read_text()
    assert "New title" in index
    assert "Answer b." in index
    (tmp_path / "b.ipynb").unlink()
    build_report(output=output, notebooks=tmp_path)
    assert sorted(path.name for path in output.iterdir()) == [
        "a.html",
        "index.html",
        "laws.html",
        "notes.txt",
        "sources",
    ]


def test_pages_of_sources_that_are_gone_go_and_files_of_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _without_execution(monkeypatch)
    write(tmp_path, "a", prose("# A"))
    output = tmp_path / "site"
    pages = output / "sources"
    build_report(output=output, notebooks=tmp_path)
    (pages / "kaplan.html").rename(pages / "gone.html")
    (pages / "mine.html").write_text("mine")
    build_report(output=output, notebooks=tmp_path)
    assert sorted(path.name for path in pages.iterdir()) == ["epoch_chinchilla.html", "kaplan.html", "mine.html"]
    (pages / "kaplan.html").write_text("my own page")
    with pytest.raises(OutputError, match="was not written by scalingdb"):
        build_report(output=output, notebooks=tmp_path)
    assert (pages / "kaplan.html").read_text() == "my own page"


def test_files_of_others_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_execution(monkeypatch)
    write(tmp_path, "a", prose("# A"))
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(OutputError, match="was not written by scalingdb"):
        build_report(output=tmp_path, notebooks=tmp_path)
    assert (tmp_path / "index.html").read_text() == "my home page"
    (tmp_path / "index.html").unlink()
    (tmp_path / "laws.html").write_text("my own laws")
    with pytest.raises(OutputError, match="was not written by scalingdb"):
        build_report(output=tmp_path, notebooks=tmp_path)
    assert (tmp_path / "laws.html").read_text() == "my own laws"


def test_a_notebook_cannot_take_the_name_of_a_page_of_the_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_execution(monkeypatch)
    write(tmp_path, "laws", prose("# L"))
    with pytest.raises(OutputError, match="'laws' would replace the site's page of the laws"):
        build_report(output=tmp_path / "site", notebooks=tmp_path)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, "a", prose("# A"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="file"):
            build_report(output=place, notebooks=tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_output(tmp_path: Path) -> None:
    write(tmp_path, "a", prose("# A"))
    place = tmp_path / "locked"
    place.mkdir(mode=0o500)
    with pytest.raises(OutputError, match="cannot write"):
        build_report(output=place, notebooks=tmp_path)


def test_notebooks_are_found_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="holds no notebooks"):
        find_notebooks(folder=tmp_path)
    with pytest.raises(UnknownNameError, match="does not exist"):
        find_notebooks(folder=tmp_path / "nowhere")
    for name in ("compare_laws", "trends"):
        write(tmp_path, name, prose("# A"))
    assert [path.stem for path in find_notebooks(["trends.ipynb", "trends"], tmp_path)] == ["trends"]
    with pytest.raises(UnknownNameError, match="'compare_laws'"):
        find_notebooks(["compare_law"], tmp_path)


def test_a_file_that_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text("{")
    with pytest.raises(DataError, match=r"a\.ipynb"):
        build_report(output=tmp_path / "site", notebooks=tmp_path)


def test_unknown_declared_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _without_execution(monkeypatch)
    write(tmp_path, "a", prose("# A"), scalingdb={"sources": ["kaplam"]})
    with pytest.raises(UnknownNameError, match="kaplan"):
        build_report(output=tmp_path / "site", notebooks=tmp_path)


@pytest.mark.parametrize(
    ("fragment", "n_loads"),
    [
        ('<a href="https://arxiv.org">x</a>', 0),
        ('<img src="data:image/png;base64,AA">', 0),
        ("<p>&lt;script src=https://x.org&gt; and url(https://x.org)</p>", 0),
        ('<svg><use href="#a"/></svg>', 0),
        ('<img src="https://x.org/a.png">', 1),
        ('<img src="//x.org/a.png">', 1),
        ('<link href="http://x.org/a.css">', 1),
        ("<script>1</script>", 1),
        ("<style>@import 'a.css';</style>", 1),
        ("<style>p { background: url('https://x.org/a.png') }</style>", 1),
        ('<p style="background: url(//x.org/a.png)">x</p>', 1),
    ],
)
def test_what_counts_as_a_load(fragment: str, n_loads: int) -> None:
    assert len(external_loads(fragment)) == n_loads


def test_malformed_formula_stays_readable(tmp_path: Path) -> None:
    assert "<code>\\frac{</code>" in report._markdown("$\\frac{$", tmp_path)
