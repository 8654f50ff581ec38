"""Notebooks: found, executed side by side, and made ready to become pages.

An executed notebook is kept under a hash of everything that its outputs depend on, so that a second build runs
what has changed and nothing else.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import hashlib
import html
import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from scalingdb._store import write_whole
from scalingdb.charts import SPEC_MIME
from scalingdb.errors import DataError, NotebookError, UnknownNameError, unknown_name
from scalingdb.published import default_path
from scalingdb.site.figures import figure
from scalingdb.site.kernels import KernelManager, kernels
from scalingdb.site.words import plain
from scalingdb.warehouse import connect, own_folder

__all__ = ["Ready", "execute_all", "find_notebooks", "notebook_folder", "prepare", "world"]

TABLE_MIME = "application/vnd.scalingdb.table+json"
"""Type of an output that hands rows to another page of the site: ``{"name": [row, ...]}``."""

CELL_TIMEOUT = 1800
"""Seconds after which a cell counts as hung."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS")
"""Notebooks run one per core: threads beyond that wait for each other and cost time."""

VERSIONED = ("scalingdb", "duckdb", "polars", "numpy", "scipy", "altair")
"""Packages whose versions a page states."""

QUERY_METHODS = {"sql", "points", "curves", "table"}

Progress = Callable[[str, int, int], None]
Finished = TypeVar("Finished")


@dataclass(frozen=True)
class Ready:
    """A notebook as the site shows it, with what lists of pages say about it."""

    name: str
    title: str
    answer: str
    section: str
    notebook: nbformat.NotebookNode
    tables: Mapping[str, Any]


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
    other = "name another one with --notebooks DIR."
    try:
        there = sorted(path for path in place.iterdir() if path.suffix == ".ipynb" and not path.name.startswith("."))
    except FileNotFoundError as error:
        raise UnknownNameError(f"notebook folder {str(place)!r} does not exist", other) from error
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise NotebookError(f"notebook folder {str(place)!r} cannot be read: {said}", other) from error
    found = {path.stem: path.resolve() for path in there}
    if not found:
        raise UnknownNameError(f"notebook folder {str(place)!r} holds no notebooks", other)
    chosen = [name.removesuffix(".ipynb") for name in names]
    for name in chosen:
        if name not in found:
            raise unknown_name("notebook", name, found)
    return [found[name] for name in dict.fromkeys(chosen)] if chosen else list(found.values())


class FailedCellError(NotebookError):
    """A cell failed; holds the notebook as far as it ran."""

    def __init__(self, name: str, cell: int, reason: str, notebook: nbformat.NotebookNode) -> None:
        super().__init__(f"notebook {name!r}, cell {cell}: {reason}", "the old site is unchanged.")
        self.name = name
        self.notebook = notebook


NEEDS = "needs:"
"""Tag of a cell that works on rows which do not ship, followed by their source."""


def leave_out(notebook: nbformat.NotebookNode, present: Collection[str]) -> nbformat.NotebookNode:
    """The notebook without the cells that need a source which is not here: one note stands for each run of them.

    Parameters
    ----------
    notebook : NotebookNode
    present : collection of str
        Sources with rows in the warehouse.
    """
    kept: list[nbformat.NotebookNode] = []
    said: str | None = None
    for cell in notebook.cells:
        needs = {tag.removeprefix(NEEDS) for tag in cell.metadata.get("tags", []) if tag.startswith(NEEDS)}
        lacking = sorted(needs - set(present))
        if not lacking:
            said = None
            kept.append(cell)
        elif said != lacking[0]:
            said = lacking[0]
            first = cell.source.partition("\n")[0]
            heading = f"{first}\n\n" if cell.cell_type == "markdown" and first.startswith("#") else ""
            note = (
                f"```{{note}}\nThis part works on rows of `{said}`, which do not ship. "
                f"`scalingdb build {said}` adds them from the raw files, and the next report shows it.\n```"
            )
            kept.append(nbformat.v4.new_markdown_cell(heading + note, id=cell.id))
    notebook.cells = kept
    return notebook


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Variables for kernels, which share what they compile also where Python may not keep it beside the modules."""
    own = {**dict.fromkeys(THREADS, "1"), **os.environ, "SCALINGDB_RENDERER": "spec"}
    if not sys.dont_write_bytecode:
        yield own
        return
    with tempfile.TemporaryDirectory(prefix="scalingdb-bytecode-") as folder:
        yield {**own, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": folder}


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ctrl-C and SIGTERM end this process as usual; nbclient would stop its kernel, and end in an error of its own."""

    def refuse(*_: Any) -> NoReturn:
        raise RuntimeError("signals are not for the kernel")  # nbclient goes on without

    loop = asyncio.get_running_loop()
    loop.add_signal_handler = refuse  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        del loop.add_signal_handler


async def _execute(
    path: Path,
    progress: Progress,
    present: Collection[str],
    environment: Mapping[str, str],
    manager: type[KernelManager] = KernelManager,
) -> nbformat.NotebookNode:
    """Run every cell that has its rows in the notebook's folder and return the notebook with its outputs."""
    notebook = leave_out(read(path), present)
    total = len(notebook.cells)
    cell_now = 0

    def note(cell_index: int, **_: Any) -> None:
        nonlocal cell_now
        cell_now = cell_index + 1  # a kernel that dies reports no error: this cell was the one
        progress(path.stem, cell_index, total)

    progress(path.stem, 0, total)
    client = NotebookClient(
        notebook,
        kernel_manager_class=manager,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=note,
    )
    # an empty profile: the start-up files of the user must not change a page
    with tempfile.TemporaryDirectory(prefix="scalingdb-ipython-") as profile:
        try:
            await client.async_execute(env={**environment, "IPYTHONDIR": profile})
        except CellExecutionError as error:
            raise FailedCellError(path.stem, cell_now, f"{error.ename}: {error.evalue}", notebook) from error
        except (CellTimeoutError, DeadKernelError) as error:
            raise FailedCellError(path.stem, cell_now, str(error).strip(), notebook) from error
    progress(path.stem, total, total)
    return notebook


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook as it is stored.

    Raises
    ------
    DataError
        If it is no file, may not be read, or is no notebook.
    """
    try:
        if not path.is_file():  # a pipe would be waited for
            raise FileNotFoundError("there is no file behind this name")
        notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)  # which reading only logs
        nbformat.writes(notebook).encode()  # half of a surrogate pair has no bytes
        own = notebook.metadata.get("scalingdb", {})
        section, sources = own.get("section") or "", own.get("sources")
        texts = [section, *([] if sources is None else sources)]
        if not isinstance(sources, list | None) or not all(isinstance(text, str) for text in texts):
            raise TypeError("metadata 'scalingdb' hold a section and a list of sources, in words")
    except Exception as error:  # nbformat raises JSON, schema and its own errors alike
        raise DataError(
            f"{path.name!r} is not a readable notebook: {error}", "open and save it in JupyterLab."
        ) from error
    return notebook


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


async def execute_all(
    paths: Sequence[Path],
    store: Path,
    progress: Progress,
    finish: Callable[[Path, nbformat.NotebookNode], Finished],
    *,
    fresh: Sequence[str] = (),
) -> list[Finished]:
    """Run notebooks side by side, one per core: each is a process of its own, mostly on one thread.

    Parameters
    ----------
    paths : sequence of Path
    store : Path
        Folder of executed notebooks. One whose content, code and data are those of the last run is taken from there.
    progress : callable
        Called with the notebook's name, the cells done, and the cells in all.
    finish : callable
        Called with the path of each notebook and with what was executed, in one thread beside the others.
    fresh : sequence of str, optional
        Names of notebooks to run in any case.

    Returns
    -------
    list
        What `finish` made of each notebook.

    Raises
    ------
    FailedCellError
        A cell raised an error, ran out of time, or its kernel died. The notebooks beside it are stopped.
    """
    for path in paths:  # a damaged one shows before others run for minutes
        read(path)
    free = asyncio.Semaphore(cores())
    today = world()
    with connect() as db:
        present = set(db.sql("select distinct source_id from evals")["source_id"])

    async def executed(path: Path) -> nbformat.NotebookNode:
        kept = store / f"{path.stem}.ipynb"
        key = hashlib.sha256(today + path.read_bytes()).hexdigest()
        if kept.exists() and path.stem not in fresh:
            with contextlib.suppress(DataError):  # damaged: it is made again
                notebook = read(kept)
                if notebook.metadata.get("scalingdb_key") == key:
                    return notebook
        async with free:
            notebook = await _execute(path, progress, present, environment, manager)
        notebook.metadata["scalingdb_key"] = key
        store.mkdir(parents=True, exist_ok=True)
        write_whole(kept, nbformat.writes(notebook))
        return notebook

    with (
        _own_signals(),
        _environment() as environment,
        kernels(environment) as manager,
        ThreadPoolExecutor(1) as side,
    ):

        async def run(path: Path) -> Finished:
            notebook = await executed(path)
            return await asyncio.get_running_loop().run_in_executor(side, finish, path, notebook)

        # the longest first, as far as their size tells: none is left to run alone at the end
        order = sorted(paths, key=lambda path: path.stat().st_size, reverse=True)
        tasks = {path: asyncio.create_task(run(path)) for path in order}
        try:
            await asyncio.gather(*tasks.values())
            return [tasks[path].result() for path in paths]
        finally:  # after a failure: those not begun need not begin, and kernels that run are stopped
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)


def world() -> bytes:
    """Digest of what outputs depend on beside the notebook: the package, the data, the versions of libraries."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(sys.version.encode())
    for name in VERSIONED:
        digest.update(metadata.version(name).encode())
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".csv"} and "site" not in path.relative_to(package).parts:
            digest.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    for folder in (default_path(), own_folder(), notebook_folder() / "own_runs"):
        for path in sorted(folder.rglob("*") if folder is not None and folder.is_dir() else []):
            if path.is_file():
                state = path.stat()
                digest.update(f"{path} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.digest()


# ---- from outputs to pages -------------------------------------------------------------------


NUMBER = re.compile(r"-?(?:\d[\d_,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?(?: ?%)?|null|NaN|-?inf|&hellip;|…")


def _frame_html(text: str) -> str:
    """A Polars table: numbers to the right, text without quotes, no style of its own."""
    text = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).replace(' border="1"', "")
    # a text that Polars cuts short has no closing quotation mark
    text = re.sub(r"<td>&quot;((?:(?!</td>).)*?)(?:&quot;)?</td>", r"<td>\1</td>", text, flags=re.DOTALL)
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
"""Characters up to which a cell of a table stays on one line."""

LONG = 60
"""Characters beyond which a cell keeps room for a line of text, even where the table has to scroll."""

POWER = re.compile(r"(?<=\d)e([+-])0?(?=\d)")


def _as_shown(cell: str) -> str:
    """A cell with nothing for null, and powers of ten as they are written elsewhere: 1e21, 3e-5."""
    return "" if cell == "None" else POWER.sub(lambda power: f"e{power[1].strip('+')}", cell)


def _room(cell: str) -> str:
    """Class of a cell: a number with its unit or interval stays in one piece, a sentence gets room."""
    if len(html.unescape(cell)) <= SHORT and any(map(str.isdigit, cell)):
        return "short"
    return "long" if len(cell) > LONG else ""


def _unbroken(text: str) -> str:
    """A styled table with its cells as the site writes them."""

    def keep(cell: re.Match[str]) -> str:
        shown = _as_shown(cell[2])
        return f'{cell[1]} {_room(shown)}">{shown}</td>'

    return re.sub(r'(<td [^>]*class="gt_row[^">]*)">([^<]*)</td>', keep, text)


_PLACE_OF_WARNING = re.compile(r"^\S+\.py:\d+: (\w*Warning: .*\n(?:(?!  ).*\n)*?)  .*\n?", re.MULTILINE)
"""A warning as Python prints it: file and line on the machine that made the report, the message, the line of code."""


def _figure_output(html_text: str) -> nbformat.NotebookNode:
    output: nbformat.NotebookNode = nbformat.v4.new_output("display_data", {"text/html": html_text})
    return output


def _table(text: str) -> str:
    return f'<div class="sdb-table">{text}</div>'


def _shown(output: nbformat.NotebookNode, charts: Path) -> nbformat.NotebookNode | None:
    """One output of a cell, in the form that the page shows."""
    if output.output_type == "stream":
        output.text = _PLACE_OF_WARNING.sub(r"\1", output.text)
        return output
    data = output.get("data", {})
    if data.get("text/plain", "").startswith("FloatProgress("):
        return None  # DuckDB's bar, which it shows in notebooks when a query takes long
    if SPEC_MIME in data:
        return _figure_output(figure(data[SPEC_MIME], charts, "../"))
    if "text/html" in data:
        text = data["text/html"]
        if 'class="dataframe"' in text:
            return _figure_output(_table(_frame_html(text)))
        if "gt_table" in text:
            return _figure_output(_table(_unbroken(text)))
        return _figure_output(f'<div class="html">{_scrolling(text)}</div>')
    return output if data else None


def _scrolling(text: str) -> str:
    """Tables of a display, each in a box that scrolls, with its cells as the site writes them."""

    def keep(cell: re.Match[str]) -> str:
        shown = _as_shown(cell[1])
        return f'<td class="{_room(shown)}">{shown}</td>'

    text = re.sub(r"<td>([^<]+)</td>", keep, text)
    return re.sub(r"(<table.*?</table>)", r'<div class="sdb-table">\1</div>', text, flags=re.DOTALL)


UNSPOKEN = re.compile(r"[^\w-]")
ANCHOR = re.compile(r"(\]\([^)\s]*)#([^)\s]+)\)")


def _anchored(source: str) -> str:
    """Links to headings, which JupyterLab spells ``#A-heading``, as this site spells them."""
    return ANCHOR.sub(lambda link: f"{link[1]}#{UNSPOKEN.sub('', link[2].lower())})", source)


def prepare(
    path: Path, notebook: nbformat.NotebookNode, sources: Mapping[str, Mapping[str, Any]], charts: Path
) -> Ready:
    """An executed notebook with outputs as the site shows them, and a foot with sources and queries.

    Parameters
    ----------
    path : Path
        The notebook's file.
    notebook : NotebookNode
        Executed.
    sources : mapping
        Rows of the table ``sources`` by id.
    charts : Path
        Folder that the files of charts go to.

    Raises
    ------
    NotebookError
        If an output claims to be a chart or a table, and is none.
    """
    facts = notebook.metadata.get("scalingdb", {})
    is_guide = facts.get("section") == "Guides"
    prose: list[str] = []
    queries: list[tuple[int, str]] = []
    tables: dict[str, Any] = {}
    cells = []
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "markdown":
            prose.append(cell.source)
            cell.source = _anchored(cell.source)
        elif cell.cell_type == "code":
            if not cell.source.strip():
                continue
            queries += [(number, text) for text in _queries(cell.source)]
            try:
                for data in (item.get("data", {}) for item in cell.outputs):
                    prose += [str(data["text/markdown"])] if "text/markdown" in data else []
                    tables |= data.pop(TABLE_MIME, {})
                cell.outputs = [shown for item in cell.outputs if (shown := _shown(item, charts)) is not None]
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
                raise NotebookError(
                    f"notebook {path.stem!r}, cell {number}: an output that no page can show: {error}",
                    "display a chart of Altair, a frame or text.",
                ) from error
            tags = set(cell.metadata.get("tags", []))
            if not is_guide or "parameters" in tags:
                tags.add("hide-input")
            cell.metadata["tags"] = sorted(tags)
        cells.append(cell)
    used = _used_sources(notebook, list(sources), bool(queries))
    heading, answer = _heading_and_answer(prose)
    if heading is None:
        cells.insert(0, nbformat.v4.new_markdown_cell(f"# {path.stem.replace('_', ' ')}"))
    cells.append(nbformat.v4.new_markdown_cell(_foot(path.name, [sources[name] for name in used], queries)))
    notebook.cells = cells
    notebook.metadata = nbformat.NotebookNode(
        kernelspec={"name": "python3", "display_name": "Python"}, language_info={"name": "python"}
    )
    title = heading or path.stem.replace("_", " ")
    return Ready(path.stem, title, answer, str(facts.get("section") or ""), notebook, tables)


def short_authors(authors: str | None) -> str:
    """Up to six authors, or the first three of more; for a paper that is here for its findings only, none."""
    if authors is None:
        return "Authors: see arXiv"
    names = authors.split(", ")
    return authors if len(names) <= 6 else f"{', '.join(names[:3])} et al."


def _foot(name: str, cited: Sequence[Mapping[str, Any]], queries: Sequence[tuple[int, str]]) -> str:
    """The end of a page, as Markdown: what it read, and the queries that did."""
    lines = []
    if cited:
        lines += ["## Sources", ""]
        lines += [
            f"* {plain(row['title'])}. {plain(short_authors(row['authors']))} ({row['year']}). "
            f"Licence: {plain(row['licence'])}. In the warehouse: `{row['source_id']}`"
            for row in cited
        ]
    if queries:
        shown = "".join(f"<li>cell {cell}<pre>{html.escape(text)}</pre></li>" for cell, text in queries)
        shown = re.sub(r"\n\s*\n", "\n", shown)  # an empty line would end the HTML block
        lines += ["", f'<details class="hide"><summary>Queries of this page</summary><ol>{shown}</ol></details>']
    lines += ["", f"Made from `notebooks/{name}`; [provenance](../provenance.md)."]
    return "\n".join(lines)


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
