"""The site: notebooks as pages, and a build that a failure leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell as code
from nbformat.v4 import new_markdown_cell as prose
from nbformat.v4 import new_notebook, new_output

import scalingdb as sdb
from scalingdb._store import exclusive
from scalingdb.charts import SPEC_MIME
from scalingdb.errors import DataError, NotebookError, OutputError, UnknownNameError, WarehouseError
from scalingdb.site import figures, kernels, notebooks, pages, report
from scalingdb.site.extension import mathml
from scalingdb.site.report import Site, build_report, find_notebooks

ANSWER = (
    "Yes: $E + A N^{-\\alpha}$ does, within **0.5 %**, says `kaplan` (arXiv:2001.08361). See [more](another.ipynb)."
)


def write(folder: Path, name: str, *cells: nbformat.NotebookNode, **metadata: object) -> Path:
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=list(cells), metadata=metadata), path)
    return path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Site, list[tuple[str, int, int]]]:
    """Two small notebooks and two pages of the reference, built once."""
    folder = tmp_path_factory.mktemp("notebooks")
    write(
        folder,
        "one_law",
        prose("# Does one *law* fit?\n\n" + ANSWER + "\n\nRest."),
        code("import altair as alt, sys, scalingdb as sdb\ndb = sdb.connect()"),
        code("points = db.points('epoch_chinchilla')\npoints.select('run_id', 'loss').head(3)"),
        code("import scalingdb.charts\nchart = alt.Chart(points.select('n_params', 'loss'), title='Loss falls')"),
        code("chart.mark_point().encode(x='n_params', y='loss')"),
        code("import os\nprint(sys.executable)\nprint(os.getcwd())"),
        prose("## A heading\n\n$$L = \\frac{1}{2}$$"),
    )
    write(
        folder,
        "another",
        prose("# Which runs?\n\nMany. See [the heading](one_law.ipynb#A-heading)."),
        code("%load_ext scalingdb"),
        code("%%sql n\nselect source_id, count(*) as n\nfrom runs\ngroup by all"),
        scalingdb={"sources": ["kaplan"]},
    )
    seen: list[tuple[str, int, int]] = []

    def two_pages(charts: Path, links: dict[str, str], *_: object) -> dict[str, str]:
        links |= {"kaplan": "sources/kaplan", "arXiv:2001.08361": "sources/kaplan"}
        return {"sources": pages._toctree(["sources/kaplan"]), "sources/kaplan": "# Kaplan"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "reference_pages", two_pages)
        patch.chdir(tmp_path_factory.mktemp("out"))  # a relative output, as the shell's default is
        site = build_report(output="new/site", notebooks=folder, progress=lambda *step: seen.append(step))
        site = replace(site, index=site.index.absolute(), pages=tuple(one.absolute() for one in site.pages))
    return site, seen


@pytest.fixture(scope="module")
def page(built: tuple[Site, list[tuple[str, int, int]]]) -> str:
    return (built[0].index.parent / "notebooks" / "one_law.html").read_text(encoding="utf-8")


def test_files_progress_and_no_warning(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    site, seen = built
    written = {path.relative_to(site.index.parent).as_posix() for path in site.index.parent.glob("**/*.html")}
    for name in ("index", "notebooks", "notebooks/one_law", "notebooks/another", "sources/kaplan", "search"):
        assert f"{name}.html" in written
    assert [path.name for path in site.pages] == ["another.html", "one_law.html"]
    assert (site.index.parent / "charts" / "vega.js").is_file()
    assert not [line for line in site.warnings if "toctree" not in line]
    for name, total in (("another", 3), ("one_law", 7)):
        steps = [(done, cells) for title, done, cells in seen if title == name]
        assert steps[0] == (0, total)
        assert steps[-1] == (total, total)


def test_pages_load_nothing_from_elsewhere(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    root = built[0].index.parent
    for path in [root / "index.html", *root.glob("notebooks/*.html")]:
        without_links = re.sub(r"<a\b[^>]*>", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"\b(?:src|href|srcset)\s*=\s*[\"']?(?:https?:)?//", without_links), path


def test_search_reads_a_script_and_fetches_nothing(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    index = (built[0].index.parent / "searchindex.js").read_text(encoding="utf-8")
    assert index.startswith("Search.setIndex(")
    assert "notebooks/one_law" in index
    options = (built[0].index.parent / "_static" / "documentation_options.js").read_text(encoding="utf-8")
    assert re.search(r"SHOW_SEARCH_SUMMARY: false", options)


def test_formulas_links_and_mentions(page: str, built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    assert page.count("<math") == 2
    assert 'href="another.html"' in page
    mention = r'<a class="reference internal" href="../sources/kaplan.html"><code[^>]*>.*?kaplan'
    assert re.search(mention, page)
    assert re.search(r'href="../sources/kaplan.html">arXiv:2001.08361</a>', page)
    another = (built[0].index.parent / "notebooks" / "another.html").read_text(encoding="utf-8")
    assert 'href="one_law.html#a-heading"' in another
    assert 'id="a-heading"' in page


def test_a_chart_has_picture_data_and_words(page: str, built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    assert page.count('<figure class="sdb-chart"') == 1
    name = re.search(r'data-chart="(\w+)"', page)[1]  # type: ignore[index]
    folder = built[0].index.parent / "charts"
    script = (folder / f"{name}.js").read_text(encoding="utf-8")
    spec = json.loads(script.removeprefix(f'scalingdbChart("{name}",').rpartition(",[")[0])
    (rows,) = spec["datasets"].values()
    assert len(rows) == 240
    assert (folder / f"{name}.svg").read_text(encoding="utf-8").startswith("<svg")
    assert 'aria-label="Loss falls. Chart of loss against n_params. 240 rows of data."' in page
    assert {path.name for path in folder.glob("*")} >= {"vega.js", "colors.js"}


def test_tables_are_aligned_by_type(page: str) -> None:
    table = page[page.index('class="dataframe"') :].partition("</table>")[0]
    assert '<th class="num">loss</th>' in table
    assert "<th>run_id</th>" in table
    assert "<td>epoch_chinchilla/006</td>" in table
    assert "&quot;" not in table


def test_the_kernel_is_this_python_in_the_notebooks_folder(page: str) -> None:
    text = re.sub(r"<[^>]+>", "", page)
    assert sys.executable in text
    assert re.search(r"/notebooks\d+\b", text)


def test_a_page_ends_with_its_sources(built: tuple[Site, list[tuple[str, int, int]]], page: str) -> None:
    another = (built[0].index.parent / "notebooks" / "another.html").read_text(encoding="utf-8")
    end = another[another.index('id="sources"') :]
    assert 'href="../sources/kaplan.html"' in end
    assert "select source_id, count(*) as n\nfrom runs" in end
    end = page[page.index('id="sources"') :]
    assert "epoch_chinchilla" in end
    assert "farseer" not in end


def test_a_second_build_runs_only_what_changed(built: tuple[Site, list[tuple[str, int, int]]]) -> None:
    folder = built[0].index.parent / ".site" / "executed"
    kept = nbformat.read(folder / "one_law.ipynb", as_version=4)
    path = folder.parent / "one_law.ipynb"
    assert kept.metadata["scalingdb_key"]

    ran: list[str] = []

    async def execute(path: Path, *_: object) -> nbformat.NotebookNode:
        ran.append(path.stem)
        return notebooks.read(path)

    write(path.parent, "one_law", prose("# Changed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "_execute", execute)

        def run(**options: Any) -> list[nbformat.NotebookNode]:
            return asyncio.run(
                notebooks.execute_all([path], folder, lambda *_: None, lambda _, notebook: notebook, **options)
            )

        (first,) = run()
        run()
        run(fresh=["one_law"])
    assert ran == ["one_law", "one_law"]
    assert first.cells[0].source == "# Changed"


# ---- outputs as the page shows them ------------------------------------------------------------


def _shown(output: dict[str, Any], tmp_path: Path) -> str:
    shown = notebooks._shown(nbformat.from_dict(output), tmp_path)
    assert shown is not None
    return str(shown.get("text") or shown["data"]["text/html"])


def test_a_warning_shows_without_a_place_on_the_machine(tmp_path: Path) -> None:
    text = (
        "/tmp/ipykernel_1/2.py:2: FitWarning: law 'chinchilla': at bound: E=0\n  total = sdb.fit(\n"
        "/opt/x/_core.py:491: DomainWarning: law 'farseer' extrapolates:\nn_params lies outside\n  return optimum(x)\n"
        "and a line of its own\n"
    )
    shown = _shown({"output_type": "stream", "name": "stderr", "text": text}, tmp_path)
    assert ".py" not in shown
    assert "sdb.fit" not in shown
    assert "return optimum" not in shown
    for part in ("FitWarning: law", "at bound", "DomainWarning: law", "n_params lies outside", "and a line of its own"):
        assert part in shown


def test_a_progress_bar_of_a_long_query_is_not_part_of_a_page(tmp_path: Path) -> None:
    data = {
        "text/plain": "FloatProgress(value=0.0, layout=Layout(width='auto'))",
        "application/vnd.jupyter.widget-view+json": {"model_id": "a"},
    }
    bar = nbformat.from_dict({"output_type": "display_data", "data": data, "metadata": {}})
    assert notebooks._shown(bar, tmp_path) is None


def test_rows_for_another_page_are_handed_over_and_not_shown(tmp_path: Path) -> None:
    data = {notebooks.TABLE_MIME: {"ledger": [{"figure": "a"}]}}
    path = write(tmp_path, "a", prose("# A"), code("rows", outputs=[new_output("display_data", data)]))
    ready = notebooks.prepare(path, notebooks.read(path), {}, tmp_path)
    assert ready.tables == {"ledger": [{"figure": "a"}]}
    assert ready.notebook.cells[1].outputs == []


def test_heavy_drawings_become_images_of_dots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "HEAVY", 10)
    spec = {"mark": "point", "data": {"values": [{"x": 1}]}, "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    text = figures.figure(spec, tmp_path)
    assert ".png" in text
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".js", ".png"]
    figures.remove_unused(tmp_path, ["no chart here"])
    assert not list(tmp_path.iterdir())


def test_words_of_a_chart_name_its_panels_and_axes() -> None:
    view = {"mark": "point", "encoding": {"x": {"field": "n", "title": "parameters"}, "y": {"field": "loss"}}}
    spec = {
        "hconcat": [{**view, "title": {"text": "first", "subtitle": ["a", "study"]}}, {**view, "title": "second"}],
        "datasets": {"a": [{"n": 1}] * 3},
    }
    words = figures.describe(spec)
    assert words == "first. a study; second. Chart of loss against parameters. 3 rows of data."
    assert figures.describe({**spec, "description": "What is seen."}) == "What is seen."


def test_code_is_folded_except_in_guides(tmp_path: Path) -> None:
    for section, tags in (("Guides", []), ("Which law?", ["hide-input"])):
        path = write(tmp_path, "a", prose("# A"), code("1"), scalingdb={"section": section})
        ready = notebooks.prepare(path, notebooks.read(path), {}, tmp_path)
        assert ready.notebook.cells[1].metadata["tags"] == tags


def test_malformed_formula_stays_readable() -> None:
    assert mathml("\\frac{", "inline") == "<code>\\frac{</code>"


def test_lists_go_by_section(tmp_path: Path) -> None:
    ready = []
    for name, section in {"a": "Zoo", "b": "Which law?", "c": "", "d": "Guides"}.items():
        path = write(tmp_path, name, prose(f"# Question {name}\n\nAnswer."), scalingdb={"section": section})
        ready.append(notebooks.prepare(path, notebooks.read(path), {}, tmp_path))
    made = pages.list_pages(ready, [])
    text = made["notebooks"]
    order = ["## Which law?", "Question b", "## Zoo", "Question a", "## More notebooks", "Question c"]
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
    assert "Question d" not in text
    assert "Question d" in made["guides"]


# ---- what goes wrong -------------------------------------------------------------------------


def test_a_failing_cell_is_shown_and_the_old_site_stays(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from scalingdb.cli import app

    output = tmp_path / "site"
    (output / ".site").mkdir(parents=True)
    (output / ".site" / "written.json").write_text('["index.html"]')
    (output / "index.html").write_text("old")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder, "broken", prose("# Broken"), code("x = 1"), code("1 / 0"))
    write(folder, "sleeps", code("import time, pathlib\ntime.sleep(300)\npathlib.Path('woke').touch()"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "reference_pages", lambda *_: {})
        result = CliRunner().invoke(app, ["report", "--notebooks", str(folder), "--output", str(output), "--quiet"])
    assert result.exit_code == 1
    assert "notebook 'broken', cell 3: ZeroDivisionError" in result.stderr
    assert "Traceback" not in result.stderr
    assert (output / "index.html").read_text() == "old"
    shown = (output / ".site" / "failed" / "broken.html").read_text(encoding="utf-8")
    assert "ZeroDivisionError" in shown
    assert not (folder / "woke").exists()


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


def test_notebooks_run_side_by_side(tmp_path: Path) -> None:
    if notebooks.cores() < 2:
        pytest.skip("one core: one notebook at a time")
    paths = [
        write(tmp_path, "a", code(MEET.format(own="a", other="b"))),
        write(tmp_path, "b", code(MEET.format(own="b", other="a"))),
    ]
    finished = asyncio.run(notebooks.execute_all(paths, tmp_path / "store", lambda *_: None, lambda path, _: path.stem))
    assert finished == ["a", "b"]


WHO = """
import os, sys, threading
from pathlib import Path
print(os.getpid(), os.getppid(), "polars" in sys.modules, "scipy.stats" in sys.modules, Path.cwd().name, "x" in dir())
x = 1
"""


def _who(folder: Path) -> list[list[str]]:
    """Two kernels, one after the other: process, its parent, what is imported, the folder, and what is defined."""
    paths = [write(folder, name, code(WHO)) for name in "ab"]

    def said(_: Path, notebook: nbformat.NotebookNode) -> list[str]:
        return str(notebook.cells[0].outputs[0].text).split()

    return asyncio.run(notebooks.execute_all(paths, folder / "store", lambda *_: None, said, fresh=["a", "b"]))


@pytest.mark.ci
def test_kernels_have_one_parent_which_imports_for_them_and_nothing_else_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform != "linux":
        pytest.skip("kernels are forked on Linux")
    one, other = _who(tmp_path)
    assert one[1] == other[1] != str(os.getpid())
    assert one[0] != other[0]
    for kernel in (one, other):
        assert kernel[2:] == ["False", "True", tmp_path.name, "False"]
    for number in {int(one[0]), int(other[0]), int(one[1])}:
        assert not Path(f"/proc/{number}").exists()  # they ended with the build
    monkeypatch.setattr(kernels._Parent, "_ask", lambda *_: "")  # where none can be forked, each is started
    for kernel in _who(tmp_path):
        assert kernel[1:] == [str(os.getpid()), "False", "False", tmp_path.name, "False"]


@pytest.mark.ci
def test_a_forked_kernel_that_dies_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, "a", code("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"))
    with pytest.raises(NotebookError, match=r"notebook 'a', cell 1: .*[Kk]ernel died"):
        asyncio.run(notebooks.execute_all([path], tmp_path / "store", lambda *_: None, lambda *_: None))


@pytest.fixture
def unexecuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notebooks as they are stored, and pages as Sphinx would name them."""

    async def read(path: Path, *_: object) -> nbformat.NotebookNode:
        return notebooks.read(path)

    def sphinx(source: Path, state: Path, staging: Path, *_: object) -> tuple[str, ...]:
        for file in source.rglob("*.*"):
            page = staging / file.relative_to(source).with_suffix(".html")
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(file.read_text(encoding="utf-8"))
        return ()

    monkeypatch.setattr(notebooks, "_execute", read)
    monkeypatch.setattr(report, "_sphinx", sphinx)


@pytest.mark.usefixtures("unexecuted")
def test_named_pages_are_renewed_and_the_others_stay(tmp_path: Path) -> None:
    output = tmp_path / "site"
    for name in ("a", "b"):
        write(tmp_path, name, prose(f"# Title {name}\n\nAnswer {name}."))
    build_report(output=output, notebooks=tmp_path, reference=False)
    (output / "notes.txt").write_text("mine")
    write(tmp_path, "a", prose("# New title"))
    site = build_report(["a"], output, notebooks=tmp_path, reference=False)
    assert [path.name for path in site.pages] == ["a.html"]
    assert "New title" in (output / "notebooks.html").read_text()
    assert "Answer b." in (output / "notebooks.html").read_text()
    (tmp_path / "b.ipynb").unlink()
    build_report(output=output, notebooks=tmp_path, reference=False)
    assert [path.name for path in (output / "notebooks").iterdir()] == ["a.html"]
    assert (output / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("unexecuted")
def test_names_alone_make_a_light_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        write(tmp_path, name, prose(f"# Title {name}"))
    monkeypatch.setattr(report, "reference_pages", lambda *_: pytest.fail("the reference was made"))
    site = build_report(["a"], tmp_path / "site", notebooks=tmp_path)
    assert [path.name for path in (site.index.parent / "notebooks").iterdir()] == ["a.html"]


@pytest.mark.usefixtures("unexecuted")
def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    write(tmp_path, "a", prose("# A"))
    output = tmp_path / "site"
    output.mkdir()
    for name in ("index.html", "notebooks.html"):
        (output / name).write_text("my own page")
        with pytest.raises(OutputError, match="was not written by scalingdb"):
            build_report(output=output, notebooks=tmp_path, reference=False)
        assert (output / name).read_text() == "my own page"
        (output / name).unlink()


def test_without_sphinx_the_hint_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(OutputError, match="sphinx") as caught:
        build_report(output=tmp_path)
    assert "scalingdb[site]" in caught.value.hint


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
        build_report(output=tmp_path / "site", notebooks=tmp_path, reference=False)


def test_unknown_declared_source(tmp_path: Path) -> None:
    path = write(tmp_path, "a", prose("# A"), scalingdb={"sources": ["kaplam"]})
    with pytest.raises(UnknownNameError, match="kaplan"):
        notebooks.prepare(path, notebooks.read(path), {"kaplan": {}}, tmp_path)


TRACE = """Traceback (most recent call last):
  File "builder.py", line 1, in write
    self.write()
{error}
The full traceback has been saved in:
/tmp/sphinx-err-1.log
"""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("sphinx.errors.ThemeError: no theme", "Sphinx failed: sphinx.errors.ThemeError: no theme"),
        ("OSError: [Errno 28] No space left on device", "cannot write to '{site}': No space left on device"),
        pytest.param(
            "OSError: [Errno 122] Disk quota exceeded: 'a'",
            "cannot write to '{site}': Disk quota exceeded",
            marks=pytest.mark.ci,
        ),
        pytest.param("it went away", "Sphinx failed:", marks=pytest.mark.ci),
    ],
)
def test_a_failure_of_sphinx_leaves_the_old_site(
    error: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "run_sphinx", lambda *_: (2, TRACE.format(error=error)))
    write(tmp_path, "a", prose("# A"))
    with pytest.raises(OutputError) as caught:
        build_report(output=tmp_path / "site", notebooks=tmp_path, reference=False)
    assert words.format(site=tmp_path / "site") in caught.value.fact
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 5
    assert [path.name for path in (tmp_path / "site").iterdir()] == [".site"]


def test_a_copy_that_fails_is_one_line(tmp_path: Path) -> None:
    failed = [(f"a{i}", f"b{i}", "[Errno 28] No space left on device") for i in range(500)]
    with pytest.raises(OutputError) as caught, report._told(tmp_path):
        raise shutil.Error(failed)
    assert caught.value.fact == f"cannot write to {str(tmp_path)!r}: [Errno 28] No space left on device"


def test_a_chart_that_is_no_chart_of_ours_is_drawn_too(tmp_path: Path) -> None:
    spec = {"mark": "bar", "data": {"values": [{"x": 1}]}, "encoding": {"x": {"field": "x", "type": "quantitative"}}}
    shown = _shown({"output_type": "display_data", "data": {SPEC_MIME: spec}, "metadata": {}}, tmp_path)
    assert 'class="sdb-chart"' in shown


def test_a_failed_cell_is_a_notebook_error() -> None:
    error = notebooks.FailedCellError("a", 3, "ValueError: no", new_notebook())
    assert isinstance(error, NotebookError)
    assert error.fact == "notebook 'a', cell 3: ValueError: no"


# ---- rows that do not ship ---------------------------------------------------------------------


def test_cells_without_their_rows_are_left_out_with_a_note(tmp_path: Path) -> None:
    cells = [prose("# Q\n\nA."), prose("## Attempts\n\nThey fall."), code("1 / 0"), code("2"), prose("## End")]
    for cell in cells[1:3]:
        cell.metadata["tags"] = ["needs:monkey_power_laws"]
    notebook = notebooks.read(write(tmp_path, "n", *cells))
    kept = notebooks.leave_out(notebook, {"epoch_chinchilla"}).cells
    assert [cell.source for cell in kept[2:]] == ["2", "## End"]
    assert kept[1].source.startswith("## Attempts\n\n```{note}\nThis part works on rows of `monkey_power_laws`")
    assert len(notebooks.leave_out(notebooks.read(tmp_path / "n.ipynb"), {"monkey_power_laws"}).cells) == 5


@pytest.mark.parametrize("path", notebooks.find_notebooks(), ids=lambda path: path.stem)
def test_what_works_on_rows_that_do_not_ship_is_tagged(path: Path, db: sdb.Warehouse) -> None:
    away = db.sql("select source_id from sources where not is_shipped")["source_id"].to_list()
    asks = re.compile(rf"""(?:source_id = '|(?:points|curves)\(")({"|".join(away)})""")
    tagged = set()
    for cell in notebooks.read(path).cells:
        needs = {
            tag[len(notebooks.NEEDS) :] for tag in cell.metadata.get("tags", []) if tag.startswith(notebooks.NEEDS)
        }
        assert needs <= set(away)
        tagged |= needs
        if cell.cell_type == "code":
            assert set(asks.findall(cell.source)) <= needs, cell.source
            assert needs or not re.search(r"else \"no data\"", cell.source), cell.source
    if path.stem in {"pass_at_k", "two_step_laws", "inverse_scaling"}:
        assert tagged


def test_cells_of_tables_are_written_as_elsewhere_on_the_site() -> None:
    sentence = "all runs of one corpus that saw each of their tokens once, and no others"
    styled = "".join(
        f'<td class="gt_row gt_left">{cell}</td>' for cell in ("None", "1.3e+16", "7e-05", "0.1 to 0.2", sentence)
    )
    shown = re.findall(r'class="gt_row gt_left ?(\w*)">([^<]*)<', notebooks._unbroken(styled))
    wanted = [("", ""), ("short", "1.3e16"), ("short", "7e-5"), ("short", "0.1 to 0.2"), ("long", sentence)]
    assert shown == wanted
    plain = notebooks._scrolling(f"<table><tr><td>None</td><td>1e+21</td><td>{sentence}</td></tr></table>")
    assert re.findall(r'<td class="(\w*)">([^<]*)<', plain) == [("", ""), ("short", "1e21"), ("long", sentence)]


def test_a_text_that_is_cut_short_does_not_swallow_its_neighbour() -> None:
    table = "<table><thead></thead><tbody><tr><td>&quot;cut …</td></tr><tr><td>&quot;b&quot;</td></tr></tbody></table>"
    assert "<td>cut …</td></tr><tr><td>b</td>" in notebooks._frame_html(table)


# ---- where the swap of the pages ends early --------------------------------------------------------

OLD_SITE = {"index.html": "old", "a.html": "old", "gone.html": "old", "_static/x.css": "old", "gone/x.css": "old"}
NEW_SITE = {"index.html": "new", "a.html": "new", "more.html": "new", "_static/x.css": "new", "more/x.css": "new"}
STEPS = ("rename", "replace", "unlink", "rmdir", "mkdir", "symlink", "link", "utime", "fsync")


class Crash(BaseException):
    """The process ends here."""


def _put(target: Path, pages: dict[str, str]) -> None:
    state = report._state_folder(target)
    report._recover(target, state)
    staging = target / ".building-1" / "html"
    for name, text in pages.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        (staging / name).write_text(text)
    with report._told(target):
        report._swap(staging, target, state)
    staging.parent.rmdir()


def _as_before(target: Path, pages: dict[str, str]) -> None:
    """A site of an earlier version: pages in the output itself."""
    for name, text in pages.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text)
    (target / ".site").mkdir()
    (target / ".site" / "written.json").write_text(json.dumps(sorted({Path(name).parts[0] for name in pages})))


def _site(target: Path) -> dict[str, str]:
    files = [path for path in target.rglob("*") if path.is_file() and path.suffix in {".html", ".css"}]
    inside = {path.relative_to(target).as_posix(): path.read_text() for path in files}
    return {name: text for name, text in inside.items() if not name.startswith(".")}


def _end_at(step: int, error: type[BaseException], patch: pytest.MonkeyPatch, look: Any = lambda: None) -> list[int]:
    """Let the `step`-th call to the file system fail; after a crash, all later ones too."""
    calls = [0]
    for name in STEPS:
        real = getattr(os, name) if name != "fsync" else lambda handle: None  # power does not fail here

        def counted(*args: Any, real: Any = real, **options: Any) -> Any:
            calls[0] += 1
            look()
            if calls[0] == step or (error is Crash and calls[0] > step):
                raise error
            return real(*args, **options)

        patch.setattr(os, name, counted)
    return calls


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (Crash, _put),
        *(
            pytest.param(error, make, marks=pytest.mark.ci)
            for error, make in itertools.product((OSError, KeyboardInterrupt, Crash), (_put, _as_before))
            if (error, make) != (Crash, _put)
        ),
    ],
)
def test_wherever_the_swap_ends_the_site_is_whole(
    error: type[BaseException], make: Callable[[Path, dict[str, str]], None], tmp_path: Path
) -> None:
    if os.name == "nt":
        pytest.skip("copies, where a kill tears: the test below")
    make(tmp_path / "counted", OLD_SITE)
    with pytest.MonkeyPatch.context() as patch:
        calls = _end_at(10**9, error, patch)
        _put(tmp_path / "counted", NEW_SITE)
    assert calls[0] > 40
    states = []
    for step in range(1, calls[0] + 1):
        target = tmp_path / str(step)
        make(target, OLD_SITE)
        mine = [target / "mine.txt", *([target / "_static" / "mine.txt"] if make is _put else [])]
        for file in mine:
            file.write_text("mine")
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(OSError, OutputError, KeyboardInterrupt, Crash):
            _end_at(step, error, patch)
            _put(target, NEW_SITE)
        # as it was left: nothing is put right before somebody looks
        assert _site(target) in (OLD_SITE, NEW_SITE), step
        states.append(_site(target) == NEW_SITE)
        shutil.rmtree(target / ".building-1", ignore_errors=True)
        _put(target, NEW_SITE)
        assert _site(target) == NEW_SITE
        outside = {path for path in target.rglob("*") if path.is_file() and ".site" not in path.parts}
        assert outside == {*(target / name for name in NEW_SITE), *mine}
        assert [file.read_text() for file in mine] == ["mine"] * len(mine)
        assert len(list((target / ".site").glob("pages*"))) == 2, list((target / ".site").iterdir())
        assert not (target / ".site" / "written.json").exists()
    assert set(states) == {False, True}


def test_whoever_reads_while_pages_are_swapped_finds_one_state(tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("copies")
    seen = []
    _put(tmp_path, OLD_SITE)
    with pytest.MonkeyPatch.context() as patch:
        _end_at(10**9, Crash, patch, lambda: seen.append(_site(tmp_path)))
        _put(tmp_path, NEW_SITE)
    changes = [i for i, (before, after) in enumerate(itertools.pairwise(seen)) if before != after]
    assert seen[0] == OLD_SITE
    assert seen[-1] == NEW_SITE
    assert len(changes) == 1


@pytest.mark.ci
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, Crash])
def test_a_swap_without_links_is_undone(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_has_links", lambda state: False)
    _put(tmp_path / "counted", OLD_SITE)
    with pytest.MonkeyPatch.context() as patch:
        calls = _end_at(10**9, error, patch)
        _put(tmp_path / "counted", NEW_SITE)
    states = []
    for step in range(1, calls[0] + 1):
        target = tmp_path / str(step)
        _put(target, OLD_SITE)
        (target / "mine.txt").touch()
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(OSError, OutputError, KeyboardInterrupt, Crash):
            _end_at(step, error, patch)
            _put(target, NEW_SITE)
        if error is Crash:  # what a killed process left is put right when the next one begins
            report._recover(target, report._state_folder(target))
        assert not any(path.is_symlink() for path in target.rglob("*"))
        states.append(_site(target))
        assert states[-1] in (OLD_SITE, NEW_SITE), step
        shutil.rmtree(target / ".building-1", ignore_errors=True)
        _put(target, NEW_SITE)
        assert _site(target) == NEW_SITE
        assert (target / "mine.txt").exists()
        assert len(list((target / ".site").glob("pages*"))) == 2
    assert OLD_SITE in states
    assert NEW_SITE in states


@pytest.mark.parametrize("name", ["more.html", "more", "_static/new.css"])
def test_no_swap_replaces_files_of_others(name: str, tmp_path: Path) -> None:
    _put(tmp_path, OLD_SITE)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"{name}' was not written by scalingdb"):
        _put(tmp_path, {**NEW_SITE, "_static/new.css": "new"})
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("name", ["written.json", "pages"])
def test_a_damaged_record_of_a_site_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / ".site").mkdir()
    (tmp_path / ".site" / name).write_text("[")
    with pytest.raises(OutputError, match=rf"{name}' is damaged"):
        _put(tmp_path, NEW_SITE)


def test_two_reports_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    write(tmp_path / "notebooks", "one", prose("# One\n\nYes."))
    state = report._state_folder(tmp_path / "site")
    with exclusive(state), pytest.raises(WarehouseError, match="another process is changing"):
        build_report(output=tmp_path / "site", notebooks=tmp_path / "notebooks", reference=False)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("cells", 0, "source"), None),
        (("cells", 0, "source"), "\ud800"),
        (("cells", 0, "cell_type"), "other"),
        (("cells", 0, "id"), -1),
        (("cells", 0, "metadata", "tags"), 1.5),
        (("cells", 0, "metadata", "tags"), [1]),
        (("cells",), {}),
        (("metadata", "scalingdb"), "x"),
        (("metadata", "scalingdb"), {"section": 1}),
        (("metadata", "scalingdb"), {"sources": 1}),
        (("metadata", "scalingdb"), {"sources": [1]}),
        (("metadata", "scalingdb"), {"sources": 0}),
        (("metadata", "scalingdb"), {"sources": "kaplan"}),
    ],
)
def test_a_notebook_that_breaks_its_format_is_named(tmp_path: Path, place: tuple[Any, ...], value: Any) -> None:
    path = write(tmp_path, "one", prose("# One\n\nYes."))
    content = json.loads(path.read_text())
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"'one\.ipynb' is not a readable notebook"):
        notebooks.read(path)


# ---- a build that is killed --------------------------------------------------------------------


def _runs(pid: int) -> bool:
    """Whether a process is there and no mere entry of one that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(until: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not until() and time.monotonic() < end:
        time.sleep(0.02)
    assert until()


def _pids(folder: Path) -> list[int]:
    return [int(path.name) for path in folder.iterdir()]


SLEEPY = """
import os, pathlib, time
def read(app, name, source):
    pathlib.Path({place!r}, str(os.getpid())).touch()
    time.sleep(60)
def setup(app):
    pathlib.Path({place!r}, str(os.getpid())).touch()
    app.connect("source-read", read)
    return dict(parallel_read_safe=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("victim", ["the build", "Sphinx"])
def test_sphinx_and_its_workers_end_with_the_build(number: signal.Signals, victim: str, tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "pids"
    source.mkdir()
    place.mkdir()
    (source / "conf.py").write_text(SLEEPY.format(place=str(place)))
    for i in range(12):  # Sphinx starts workers from six pages on
        (source / f"{'index' if i == 0 else i}.rst").write_text("Title\n=====\n")
    arguments = ["-q", "-j", "2", str(source), str(tmp_path / "html")]
    code = f"import os; from scalingdb.site.children import run_sphinx; run_sphinx({arguments!r}, os.environ)"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as build:
        _wait(lambda: len(_pids(place)) == 3)
        sphinx = [pid for pid in _pids(place) if Path(f"/proc/{pid}/stat").read_text().split()[3] == str(build.pid)]
        os.kill(build.pid if victim == "the build" else sphinx[0], number)
        build.wait(30)
    _wait(lambda: not any(map(_runs, _pids(place))), 10)
    assert len(_pids(place)) == 3  # none was started later


@pytest.mark.ci
@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_kernels_end_with_the_build_and_the_next_one_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    place, site = tmp_path / "pids", tmp_path / "site"
    place.mkdir()
    busy = (
        "import os, pathlib, time\n"
        f"place = pathlib.Path({str(place)!r})\n"
        "is_first = not list(place.iterdir())\n"
        "(place / str(os.getpid())).touch()\n"
        "while is_first:\n    pass"
    )
    folder = tmp_path / "notebooks"
    folder.mkdir()
    write(folder, "busy", prose("# A"), code(busy))
    arguments = f"output={str(site)!r}, notebooks={str(folder)!r}, reference=False"
    command = [sys.executable, "-c", f"from scalingdb.site.report import build_report; build_report({arguments})"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as build:
        _wait(lambda: _pids(place))
        build.send_signal(number)
        assert build.wait(30) == -number
    _wait(lambda: not any(map(_runs, _pids(place))), 10)
    for name in ("executed/busy.ipynb", "reference.json", "source/index.md", "extra/charts/.vega.js.new"):
        torn = site / ".site" / name  # as a kill between two writes of earlier versions left it
        torn.parent.mkdir(parents=True, exist_ok=True)
        torn.write_bytes(b'{"half": "\xc3')
    report.build_report(output=site, notebooks=folder, reference=False)
    assert (site / "notebooks" / "busy.html").exists()
    left = {path.name for path in site.rglob("*") if path.name.startswith(".") or path.suffix == ".new"}
    assert left <= {".site", ".lock", ".doctrees"}
    assert len(list((site / ".site").glob("pages-*"))) == 1


# ---- damaged notebooks -------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    "",
    "text",
    "\ud800",
    "\0",
    [],
    [[]],
    [None],
    ["a", 1],
    {},
    {"a": None},
]


def _sound() -> dict[str, Any]:
    made = new_notebook(
        cells=[
            prose("# Which?\n\nThis `kaplan` one.", metadata={"tags": ["needs:kaplan"]}),
            code(
                "%%sql n\nselect 1",
                metadata={"tags": ["parameters"], "jupyter": {"source_hidden": True}},
                outputs=[
                    new_output("stream", name="stdout", text="a.py:1: UserWarning: b\n  code\n"),
                    new_output("display_data", {"text/html": "<table><td>1e+21</td></table>", "text/plain": "x"}),
                    new_output("execute_result", {SPEC_MIME: {"mark": "bar"}, "text/markdown": "# H"}),
                    new_output("display_data", {notebooks.TABLE_MIME: {"rows": [{"a": 1}]}}),
                    new_output("error", ename="E", evalue="e", traceback=["t"]),
                ],
            ),
            nbformat.v4.new_raw_cell("raw"),
            code("db.sql('select 1')"),
        ],
        metadata={
            "scalingdb": {"section": "Guides", "sources": ["kaplan"]},
            "kernelspec": {"name": "julia", "display_name": "J"},
        },
    )
    return json.loads(nbformat.writes(made))  # type: ignore[no-any-return]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a document with each key that it has."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inside for place in ((value, key), *_places(part))]


def _mutant(rng: random.Random) -> bytes:
    document = _sound()
    for _ in range(rng.choice((1, 1, 2))):
        container, key = rng.choice(_places(document))
        match rng.randrange(5):
            case 0:
                del container[key]
            case 1 if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))  # ids twice
            case 2 if isinstance(container[key], str) and len(container[key]) < 1_000:
                container[key] = container[key] * 20_000
            case _:
                container[key] = copy.deepcopy(rng.choice(ODD))
    content = json.dumps(document).encode()
    if rng.random() < 0.25:
        at = rng.randrange(len(content))
        damage = [content[:at], content[:at] + b"\xff" + content[at:], content[:at] + content[at + 1 :], content * 2]
        content = rng.choice(damage)
    return content


def _as_far_as_the_page(path: Path, charts: Path) -> None:
    """What a report does with a notebook, apart from running it: stored outputs stand for what a kernel sends."""
    notebook = notebooks.leave_out(notebooks.read(path), {"kaplan"})
    sources = {"kaplan": {"title": "T", "authors": None, "year": 2020, "licence": "none", "source_id": "kaplan"}}
    ready = notebooks.prepare(path, notebook, sources, charts)
    pages.list_pages([ready], [], None)
    nbformat.writes(report._without_ids(ready.notebook)).encode()


@pytest.mark.parametrize("data", [{SPEC_MIME: 3}, {SPEC_MIME: {"mark": "none"}}, {notebooks.TABLE_MIME: 3}])
def test_an_output_that_is_not_what_it_says_is_named(data: dict[str, Any], tmp_path: Path) -> None:
    cell = code("1", outputs=[nbformat.from_dict({"output_type": "display_data", "data": data, "metadata": {}})])
    with pytest.raises(NotebookError, match="notebook 'a', cell 2: an output that no page can show"):
        notebooks.prepare(tmp_path / "a.ipynb", new_notebook(cells=[prose("# A"), cell]), {}, tmp_path / "charts")


@pytest.mark.filterwarnings("ignore")
def test_damaged_notebooks_are_read_or_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_draw", lambda *_: (1, 1))
    rng = random.Random(int(os.environ.get("SEED", "0")))
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps(_sound()))
    _as_far_as_the_page(path, tmp_path / "charts")
    refused = 0
    for _ in range(int(os.environ.get("MUTANTS", "150"))):
        path.write_bytes(_mutant(rng))
        try:
            _as_far_as_the_page(path, tmp_path / "charts")
        except (DataError, NotebookError, UnknownNameError):
            refused += 1
        except BaseException:
            (tmp_path / "found.ipynb").write_bytes(path.read_bytes())
            raise
    assert refused


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 300, "File name too long"),
        ("/".join(["y" * 200] * 25), "File name too long"),
        ("file/site", "Not a directory"),
        ("file", "is a file, not a folder"),
        ("a\0b", "null byte"),
    ],
)
def test_places_where_no_site_can_be_are_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=words) as caught:
        report._state_folder(tmp_path / name)
    assert "name a" in str(caught.value.hint)


def test_folders_of_notebooks_that_cannot_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotebookError, match="cannot be read: File name too long"):
        find_notebooks(folder=tmp_path / ("x" * 300))

    def closed(self: Path) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "iterdir", closed)
    with pytest.raises(NotebookError, match="cannot be read: Permission denied"):
        find_notebooks(folder=tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no such files there")
def test_what_is_no_file_is_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "folder.ipynb").mkdir()
    (tmp_path / "nowhere.ipynb").symlink_to("gone")
    os.mkfifo(tmp_path / "pipe.ipynb")
    for path in find_notebooks(folder=tmp_path):
        with pytest.raises(DataError, match="is not a readable notebook: there is no file"):
            notebooks.read(path)
