"""Execute notebooks and write them as a static site that reads offline.

The pages hold everything they show: style, charts (SVG) and formulas (MathML) are part of the file,
there is no script, and a content security policy forbids the browser any request. Each page ends
with the sources it used, its queries, and what is needed to make it again.
"""

from __future__ import annotations

import ast
import asyncio
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
import latex2mathml.converter
import nbformat
import traitlets
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from markupsafe import Markup
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert.filters import ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers.python import PythonLexer
from pygments.lexers.sql import SqlLexer

from scalingdb.errors import DataError, NotebookError, OutputError, UnknownNameError, unknown_name
from scalingdb.site.gallery import FILE as GALLERY
from scalingdb.site.gallery import render_gallery
from scalingdb.site.source_pages import FILTERS, FOLDER, render_source_pages
from scalingdb.warehouse import connect

__all__ = ["Site", "build_report", "external_loads", "find_notebooks", "notebook_folder"]

GENERATOR = "scalingdb report"
"""Marks the files that may be overwritten: a page of ours carries it in its head."""

CELL_TIMEOUT = 1800
"""Seconds after which a cell counts as hung."""

VERSIONED = ("scalingdb", "duckdb", "polars", "numpy", "scipy", "altair")
SECTIONS = (
    "Begin here",
    "Which law?",
    "Published figures",
    "Planning a training run",
    "Downstream scores",
    "Getting worse with scale",
)
"""Order of the index. A notebook names its section in its metadata, under ``scalingdb``: ``section``."""

QUERY_METHODS = {"sql", "points", "curves", "table"}

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Site:
    """What was written."""

    index: Path
    pages: tuple[Path, ...]
    sources: tuple[Path, ...] = ()
    gallery: Path | None = None


@dataclass
class _Page:
    """One notebook on its way to HTML."""

    name: str
    title: Markup
    answer: Markup
    cells: list[_Cell]
    queries: list[_Query]
    source_ids: list[str]
    section: str = ""


@dataclass
class _Cell:
    number: int
    is_code: bool
    body: Markup
    outputs: list[Markup] = field(default_factory=list)


@dataclass(frozen=True)
class _Query:
    cell: int
    text: str


# ---- notebooks -------------------------------------------------------------------------------


def notebook_folder() -> Path:
    """Folder of the project's notebooks: the checkout's, else the installed package's."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "notebooks"
    return checkout if checkout.is_dir() else package / "_shipped" / "notebooks"


def find_notebooks(names: Sequence[str] = (), folder: Path | None = None) -> list[Path]:
    """Notebooks of `folder`: those named (with or without ``.ipynb``), or all, in alphabetical order.

    Raises
    ------
    UnknownNameError
        If the folder does not exist or holds no notebooks, or none of this name.
    """
    place = notebook_folder() if folder is None else folder
    found = {path.stem: path.resolve() for path in sorted(place.glob("*.ipynb"))}
    if not found:
        state = "holds no notebooks" if place.is_dir() else "does not exist"
        raise UnknownNameError(f"notebook folder {str(place)!r} {state}", "name another one with --notebooks DIR.")
    chosen = [name.removesuffix(".ipynb") for name in names]
    for name in chosen:
        if name not in found:
            raise unknown_name("notebook", name, found)
    return [found[name] for name in dict.fromkeys(chosen)] if chosen else list(found.values())


class _ThisInterpreter(KernelSpecManager):
    """Knows one kernel: this Python. An installed kernel called python3 may be another one."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=CRITICAL"],
            display_name="Python",
            language="python",
        )


class _KernelManager(AsyncKernelManager):
    """Starts that kernel. The client makes and owns it, so that it also stops it, whatever happens."""

    @traitlets.default("kernel_spec_manager")
    def _this_interpreter(self) -> KernelSpecManager:
        return _ThisInterpreter(parent=self)


async def _execute(path: Path, progress: Progress) -> nbformat.NotebookNode:
    """Run every cell in the notebook's folder and return the notebook with its outputs."""
    try:
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises JSON, schema and its own errors alike
        raise DataError(f"{path.name!r} is no readable notebook: {error}", "open and save it in JupyterLab.") from error
    total = len(notebook.cells)
    failed_cell = 0

    def note_failure(cell_index: int, **_: Any) -> None:
        nonlocal failed_cell
        failed_cell = cell_index + 1

    def note_progress(cell_index: int, **_: Any) -> None:
        nonlocal failed_cell
        failed_cell = cell_index + 1  # a kernel that dies reports no error: this cell was the one
        progress(path.stem, cell_index, total)

    progress(path.stem, 0, total)
    client = NotebookClient(
        notebook,
        kernel_manager_class=_KernelManager,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=note_progress,
        on_cell_error=note_failure,
    )
    # an empty profile: the start-up files of the user must not change a report
    with tempfile.TemporaryDirectory(prefix="scalingdb-ipython-") as profile:
        environment = {**os.environ, "SCALINGDB_RENDERER": "svg", "IPYTHONDIR": profile}
        try:
            await client.async_execute(env=environment)
        except CellExecutionError as error:
            reason = f"{error.ename}: {error.evalue}"
            raise NotebookError(
                f"notebook {path.stem!r}, cell {failed_cell}: {reason}",
                "run the notebook in 'scalingdb lab' to see the traceback; the old report is unchanged.",
            ) from error
        except (CellTimeoutError, DeadKernelError) as error:
            raise NotebookError(
                f"notebook {path.stem!r}, cell {failed_cell}: {str(error).strip()}",
                "the kernel ran out of time or memory; the old report is unchanged.",
            ) from error
    progress(path.stem, total, total)
    return notebook


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def _execute_all(paths: Sequence[Path], progress: Progress) -> list[nbformat.NotebookNode]:
    """Run notebooks side by side, one a core: each is a process of its own, mostly on one thread."""
    free = asyncio.Semaphore(_cores())

    async def run(path: Path) -> nbformat.NotebookNode:
        async with free:
            return await _execute(path, progress)

    tasks = [asyncio.create_task(run(path)) for path in paths]
    try:
        return await asyncio.gather(*tasks)
    finally:  # after a failure: those not begun need not begin, and kernels that run are stopped
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


# ---- from cells to HTML ----------------------------------------------------------------------


def _math(tex: str, display: str) -> str:
    """TeX as MathML, which browsers draw themselves; what does not convert stays readable TeX."""
    try:
        return str(latex2mathml.converter.convert(tex.strip(), display=display))
    except Exception:  # the converter raises errors of many kinds on malformed TeX
        return f"<code>{html.escape(tex.strip())}</code>"


class _Markdown(IPythonRenderer):
    """Markdown of a notebook, with formulas as MathML and links between notebooks as pages."""

    def inline_math(self, body: str) -> str:
        return _math(body, "inline")

    def block_math(self, body: str) -> str:
        return _math(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        inner = body if name.startswith(("equation", "displaymath")) else f"\\begin{{{name}}}{body}\\end{{{name}}}"
        return _math(inner, "block")

    def link(self, text: str, url: str, title: str | None = None) -> str:
        is_remote = "://" in url
        return str(super().link(text, url if is_remote else re.sub(r"\.ipynb(?=#|$)", ".html", url), title))

    def image(self, text: str, url: str, title: str | None = None) -> str:
        if "://" in url:  # an image from elsewhere would be a request: the reader may follow it
            return f'<a href="{html.escape(url)}">{text or html.escape(url)}</a>'
        return str(super().image(text, url, title))


def _markdown(source: str, folder: Path, attachments: Mapping[str, Any] | None = None) -> Markup:
    renderer = _Markdown(
        escape=False, embed_images=True, path=str(folder), attachments=dict(attachments or {}), anchor_link_text="#"
    )
    return Markup(MarkdownWithMath(renderer=renderer).render(source))


def _code(source: str) -> Markup:
    lexer = SqlLexer() if source.lstrip().startswith("%%sql") else PythonLexer()
    return Markup(highlight(source, lexer, HtmlFormatter(nowrap=True)))


NUMBER = re.compile(r"-?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?(?: ?%)?|null|NaN|-?inf|&hellip;|…")


def _frame_html(text: str) -> str:
    """A Polars table: numbers to the right, text without quotes, no style of its own."""
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).replace(' border="1"', "")
    text = re.sub(r"<td>&quot;(.*?)&quot;</td>", r"<td>\1</td>", text, flags=re.DOTALL)
    body = text.partition("</thead>")[2]
    rows = [
        re.findall(r"<td>(.*?)</td>", row, flags=re.DOTALL)
        for row in re.findall(r"<tr>.*?</tr>", body, flags=re.DOTALL)
    ]
    # null is a number only in the company of one: a column of nulls stays text
    is_number = [
        all(NUMBER.fullmatch(cell) for cell in column) and any(cell[-1:].isdigit() or "%" in cell for cell in column)
        for column in zip(*rows, strict=False)
    ]

    def align(row: re.Match[str]) -> str:
        columns = iter(is_number)
        return re.sub(
            r"<(t[hd])>", lambda cell: f'<{cell[1]} class="num">' if next(columns, False) else cell[0], row[0]
        )

    return re.sub(r"<tr>.*?</tr>", align, text, flags=re.DOTALL)


SHORT = 32
"""Characters up to which a cell of a styled table stays on one line."""


def _unbroken(text: str) -> str:
    """A styled table whose short cells do not wrap: an interval is read in one piece."""

    def keep(cell: re.Match[str]) -> str:
        return f'{cell[1]} short">{cell[2]}</td>' if len(html.unescape(cell[2])) <= SHORT else cell[0]

    return re.sub(r'(<td [^>]*class="gt_row[^">]*)">([^<]*)</td>', keep, text)


def _own_ids(svg: str, prefix: str) -> str:
    """Ids of one drawing made unique on the page: every chart calls its clip paths alike."""
    svg = svg[svg.find("<svg") :]
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)


_PLACE_OF_WARNING = re.compile(r"^\S+\.py:\d+: (\w*Warning: .*\n(?:(?!  ).*\n)*?)  .*\n?", re.MULTILINE)
"""A warning as Python prints it: file and line on the machine that made the report, the message, the line of code."""


def _output(output: Mapping[str, Any], folder: Path, prefix: str) -> Markup | None:
    """One output of a cell, in the richest form that needs no script."""
    if output["output_type"] == "stream":
        css = "stream warning" if output["name"] == "stderr" else "stream"
        text = _PLACE_OF_WARNING.sub(r"\1", output["text"])
        return Markup(f'<pre class="{css}">{ansi2html(text.rstrip())}</pre>')
    data = output.get("data", {})
    if "image/svg+xml" in data:
        return Markup(f'<figure class="chart">{_own_ids(data["image/svg+xml"], prefix)}</figure>')
    for kind in ("image/png", "image/jpeg", "image/gif"):
        if kind in data:
            alt = html.escape(data.get("text/plain", ""))
            content = data[kind].replace("\n", "")
            return Markup(f'<figure class="chart"><img src="data:{kind};base64,{content}" alt="{alt}"></figure>')
    if "text/html" in data:
        text = data["text/html"]
        if 'class="dataframe"' in text:
            return Markup(f'<div class="table">{_frame_html(text)}</div>')
        if "gt_table" in text:
            return Markup(f'<div class="table styled">{_unbroken(text)}</div>')
        return Markup(f'<div class="html">{text}</div>')
    if "text/markdown" in data:
        return Markup('<div class="prose">{}</div>').format(_markdown(data["text/markdown"], folder))
    if "text/latex" in data:
        return Markup(f'<div class="html">{_math(data["text/latex"].strip().strip("$"), "block")}</div>')
    if "text/plain" in data:
        return Markup(f'<pre class="plain">{ansi2html(data["text/plain"])}</pre>')
    return None


def _merged(outputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Outputs with the pieces of one stream joined: the kernel sends them as they come."""
    merged: list[dict[str, Any]] = []
    for output in outputs:
        is_more = merged and output["output_type"] == "stream" == merged[-1]["output_type"]
        if is_more and output["name"] == merged[-1]["name"]:
            merged[-1]["text"] += output["text"]
        else:
            merged.append(dict(output))
    return merged


def _queries(source: str) -> list[str]:
    """Calls in a code cell that read the warehouse, as they are written."""
    code = TransformerManager().transform_cell(source)
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return []
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr in {"run_cell_magic", "run_line_magic"}:
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            if words[:1] == ["sql"]:
                found.append((node.lineno, str(words[-1]).strip()))
        elif node.func.attr in QUERY_METHODS:
            text = ast.get_source_segment(code, node, padded=True)
            found.append((node.lineno, textwrap.dedent(text or "").strip()))
    return [text for _, text in sorted(found)]


def _heading_and_answer(texts: Sequence[str]) -> tuple[str | None, str]:
    """The first heading of the prose, and the first paragraph below it."""
    heading: str | None = None
    for text in texts:
        for block in re.split(r"\n\s*\n", text):
            lines = block.strip().splitlines()
            while lines and lines[0].startswith("#"):
                if heading is None:
                    heading = lines[0].lstrip("#").strip()
                lines = lines[1:]
            if heading is not None and lines:
                return heading, "\n".join(lines)
    return heading, ""


def _page(path: Path, notebook: nbformat.NotebookNode, known: Sequence[str]) -> _Page:
    cells: list[_Cell] = []
    queries: list[_Query] = []
    prose: list[str] = []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            prose.append(cell.source)
            cells.append(_Cell(number, False, _markdown(cell.source, path.parent, cell.get("attachments"))))
        elif cell.cell_type == "code" and cell.source.strip():
            merged = _merged(cell.outputs)
            rendered = [_output(output, path.parent, f"c{number}-{i}") for i, output in enumerate(merged)]
            prose += [output["data"]["text/markdown"] for output in merged if "text/markdown" in output.get("data", {})]
            queries += [_Query(number, text) for text in _queries(cell.source)]
            cells.append(_Cell(number, True, _code(cell.source), [text for text in rendered if text is not None]))
    heading, answer = _heading_and_answer(prose)
    return _Page(
        name=path.stem,
        title=_inline(heading or path.stem.replace("_", " "), path.parent),
        answer=_inline(answer, path.parent),
        cells=cells,
        queries=queries,
        source_ids=_used_sources(notebook, known, bool(queries)),
        section=str(notebook.metadata.get("scalingdb", {}).get("section", "")),
    )


def _inline(source: str, folder: Path) -> Markup:
    """Markdown of one paragraph without the paragraph and without links (it becomes part of one)."""
    return Markup(re.sub(r"</?(?:p|a)\b[^>]*>", "", str(_markdown(source, folder))).strip())


def _used_sources(notebook: nbformat.NotebookNode, known: Sequence[str], has_queries: bool) -> list[str]:
    """Sources that a notebook declares (metadata ``scalingdb.sources``), else those its code names.

    A notebook that queries and names none reads them all.
    """
    declared = notebook.metadata.get("scalingdb", {}).get("sources")
    if declared is not None:
        for name in declared:
            if name not in known:
                raise unknown_name("source", name, known, "(in the notebook's metadata)")
        return sorted(declared)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    named = [name for name in known if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", code)]
    return named or (list(known) if has_queries else [])


# ---- no request, ever ------------------------------------------------------------------------


class _Loads(HTMLParser):
    """Collects what a browser would fetch, or run, when it opens a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        if tag in {"script", "iframe", "object", "embed"}:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            text = (value or "").strip()
            is_address = name in {"src", "srcset", "poster", "data", "background"} or (
                name in {"href", "xlink:href"} and tag not in {"a", "area"}
            )
            if is_address and re.match(r"(?:https?:)?//", text):
                self.found.append(text)
            if name == "style":
                self._look_into_style(text)

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self._look_into_style(data)

    def _look_into_style(self, css: str) -> None:
        self.found += re.findall(r"@import[^;]*|url\(\s*['\"]?(?:https?:)?//[^)]*\)", css)


def external_loads(page: str) -> list[str]:
    """Scripts, frames and addresses that a browser would run or fetch when it opens `page`.

    Links that a reader may follow are no loads. A page of the report has none of these.
    """
    parser = _Loads()
    parser.feed(page)
    return parser.found


def _refuse_loads(name: str, page: str) -> None:
    if loads := external_loads(page):
        shown = ", ".join(load[:80] for load in dict.fromkeys(loads))
        raise NotebookError(
            f"notebook {name!r}: an output needs a script or a network to show ({shown})",
            'draw charts as SVG: import scalingdb before Altair draws, or alt.renderers.enable("svg").',
        )


# ---- provenance ------------------------------------------------------------------------------


def _git(*arguments: str) -> str | None:
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        return None
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def _commit() -> str | None:
    """Commit of the checkout, marked ``-dirty`` where files differ from it; None outside of one."""
    commit = _git("rev-parse", "HEAD")
    return f"{commit}-dirty" if commit and _git("status", "--porcelain") else commit


def _provenance() -> dict[str, str]:
    versions = {"python": ".".join(map(str, sys.version_info[:3]))}
    versions |= {name: metadata.version(name) for name in VERSIONED}
    facts = {"made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")}
    if commit := _commit():
        facts["commit"] = commit
    return {**facts, "versions": ", ".join(f"{name} {version}" for name, version in versions.items())}


# ---- the site --------------------------------------------------------------------------------


def _sources() -> dict[str, dict[str, Any]]:
    with connect() as db:
        counts = {row["source_id"]: {**row, "n_fits": 0} for row in db.sources().iter_rows(named=True)}
        fits = db.sql("select source_id, count(distinct (law, variant)) as n_fits from published_fits group by all")
        for source_id, n_fits in fits.iter_rows():
            counts[source_id]["n_fits"] = n_fits
        rows = db.table("sources").sort("source_id").iter_rows(named=True)
        return {row["source_id"]: {**counts[row["source_id"]], **row} for row in rows}


def _short_authors(authors: str | None) -> str:
    """Up to six authors, or the first three of more; for a paper that is here for its findings only, none."""
    if authors is None:
        return "Authors: see arXiv"
    names = authors.split(", ")
    return authors if len(names) <= 6 else f"{', '.join(names[:3])} et al."


def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("scalingdb.site"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    light = HtmlFormatter(style="friendly", nobackground=True).get_style_defs(".code")
    dark = HtmlFormatter(style="github-dark", nobackground=True).get_style_defs(".code")
    style = environment.get_template("style.css").render(code_light=Markup(light), code_dark=Markup(dark))
    environment.filters |= {"short_authors": _short_authors, **FILTERS}
    environment.globals |= {"style": Markup(style), "generator": GENERATOR, "Markup": Markup}
    return environment


def _is_ours(path: Path) -> bool:
    return f'<meta name="generator" content="{GENERATOR}">' in path.read_text(encoding="utf-8", errors="replace")[:2000]


@contextmanager
def _staging(output: Path) -> Iterator[Path]:
    """A scratch folder inside `output`. Made before anything runs: a place that cannot be written shows now."""
    if output.exists() and not output.is_dir():
        raise OutputError(f"{str(output)!r} is a file, not a folder", "name a folder with --output DIR.")
    try:
        output.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=".building-", dir=output)
    except OSError as error:
        raise OutputError(
            f"cannot write to {str(output)!r}: {error}", "name a writable folder with --output DIR."
        ) from error
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _cards(pages: Sequence[Path]) -> list[dict[str, Any]]:
    """Title and answer of every page, as it states them in its head."""
    cards = []
    for path in pages:
        head = path.read_text(encoding="utf-8").partition("</head>")[0]
        values = dict(re.findall(r'<meta name="scalingdb:(\w+)" content="([^"]*)">', head))
        cards.append({"file": path.name, **{key: Markup(html.unescape(value)) for key, value in values.items()}})
    return cards


def _sections(cards: Sequence[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Cards by section: the known ones in their order, others by name, those of none at the end."""
    names = {str(card.get("section", "")) for card in cards}
    order = [*(name for name in SECTIONS if name in names), *sorted(names - {*SECTIONS, ""}), *(names & {""})]
    return [(name, [card for card in cards if str(card.get("section", "")) == name]) for name in order]


def _write_source_pages(folder: Path, environment: jinja2.Environment, progress: Progress) -> list[str]:
    """Write the page of every source into `folder` and return the file names."""
    folder.mkdir()
    names = []
    with connect() as db:
        pages = render_source_pages(db, environment, _provenance(), lambda done, total: progress(FOLDER, done, total))
        for source_id, text in pages:
            _refuse_loads(source_id, text)
            names.append(f"{source_id}.html")
            (folder / names[-1]).write_text(text, encoding="utf-8")
    return names


def _gallery(environment: jinja2.Environment, progress: Progress) -> str:
    """The page of the laws."""
    with connect() as db:
        text = render_gallery(db, environment, _provenance(), lambda done, total: progress("laws", done, total))
    _refuse_loads("laws", text)
    return text


def _move_source_pages(staged: Path, target: Path) -> None:
    """Put new pages in place of old ones, and take away those of sources that are gone."""
    target.mkdir(exist_ok=True)
    fresh = {path.name for path in staged.glob("*.html")}
    for path in target.glob("*.html"):
        if path.name not in fresh and _is_ours(path):
            path.unlink()
    for name in sorted(fresh):
        (staged / name).replace(target / name)


def _nothing(name: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def build_report(
    names: Sequence[str] = (),
    output: str | os.PathLike[str] = "reports",
    *,
    notebooks: str | os.PathLike[str] | None = None,
    progress: Progress = _nothing,
) -> Site:
    """Execute notebooks and write one page each, one page a source, the gallery of laws, and ``index.html``.

    Nothing is written to `output` before every notebook has run. The gallery, and the pages of the sources
    in a folder of their own, are always renewed. Named pages are renewed and the
    others stay; without names, pages of notebooks that are gone are removed.

    Parameters
    ----------
    names : sequence of str
        Notebooks; all of the folder by default.
    output : path
        Folder of the site, made where it does not exist.
    notebooks : path, optional
        Folder of the notebooks; the project's by default. They run in this folder.
    progress : callable, optional
        Called with the notebook's name, the cells done, and the cells in all;
        notebooks run side by side, one a core, so that their calls mix.

    Raises
    ------
    NotebookError
        If a cell fails (with notebook, cell number and error), or an output needs a network to show.
    OutputError
        If `output` cannot be written, or holds other files of these names.
    UnknownNameError
        If there is no such notebook.

    Examples
    --------
    >>> from scalingdb.site.report import build_report
    >>> build_report(["compare_laws"]).index  # doctest: +SKIP
    PosixPath('reports/index.html')
    """
    paths = find_notebooks(names, None if notebooks is None else Path(notebooks))
    target = Path(output)
    sources = _sources()
    environment = _templates()
    with _staging(target) as staging:
        own = {"index": "index page", GALLERY.removesuffix(".html"): "page of the laws"}
        for name in (*own, *(path.stem for path in paths)):
            old = target / f"{name}.html"
            if name in own and any(path.stem == name for path in paths):
                raise OutputError(f"a notebook called {name!r} would replace the site's {own[name]}", "rename it.")
            if old.exists() and not _is_ours(old):
                raise OutputError(
                    f"{str(old)!r} was not written by scalingdb; not overwriting it",
                    "name another folder with --output DIR.",
                )
        sheets = _write_source_pages(staging / FOLDER, environment, progress)
        for name in sheets:
            old = target / FOLDER / name
            if old.exists() and not _is_ours(old):
                raise OutputError(
                    f"{str(old)!r} was not written by scalingdb; not overwriting it",
                    "name another folder with --output DIR.",
                )
        gallery = _gallery(environment, progress)
        for path, notebook in zip(paths, run_sync(_execute_all)(paths, progress), strict=True):
            page = _page(path, notebook, list(sources))
            text = environment.get_template("notebook.html").render(
                page=page,
                cited=[sources[name] for name in page.source_ids],
                provenance=_provenance(),
                notebook=path.name,
            )
            _refuse_loads(path.stem, text)
            (staging / f"{path.stem}.html").write_text(text, encoding="utf-8")
        fresh = {path.name for path in staging.glob("*.html")}
        old_pages = [
            path
            for path in target.glob("*.html")
            if path.name not in {*fresh, "index.html", GALLERY} and _is_ours(path)
        ]
        kept = old_pages if names else []
        listed = sorted([*staging.glob("*.html"), *kept], key=lambda path: path.name)
        index = environment.get_template("index.html").render(
            sections=_sections(_cards(listed)), sources=list(sources.values()), provenance=_provenance()
        )
        (staging / "index.html").write_text(index, encoding="utf-8")
        (staging / GALLERY).write_text(gallery, encoding="utf-8")
        try:
            for name in [*sorted(fresh), GALLERY, "index.html"]:
                (staging / name).replace(target / name)
            for path in old_pages:
                if path not in kept:
                    path.unlink()
            _move_source_pages(staging / FOLDER, target / FOLDER)
        except OSError as error:
            raise OutputError(
                f"cannot write to {str(target)!r}: {error}", "free some space, or name another folder."
            ) from error
    return Site(
        target / "index.html",
        tuple(target / name for name in sorted(fresh)),
        tuple(target / FOLDER / name for name in sheets),
        target / GALLERY,
    )
