"""The site: executed notebooks and generated pages, made into one set of pages by Sphinx.

A build writes the source of the site below ``DIR/.site``, lets Sphinx make the pages in a folder beside the old
ones, and puts them in their place at the end. What fails leaves the old site as it was.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import run_sync

from scalingdb._store import exclusive, replace_durably, scratch_folder
from scalingdb.errors import NotebookError, OutputError, ScalingDBError
from scalingdb.site.figures import CHART, remove_unused, write_runtime
from scalingdb.site.figures import FOLDER as CHARTS
from scalingdb.site.notebooks import (
    FailedCellError,
    Progress,
    Ready,
    cores,
    execute_all,
    find_notebooks,
    notebook_folder,
    prepare,
    world,
)
from scalingdb.site.pages import front_facts, list_pages, pages_of_checkout, reference_pages
from scalingdb.site.source_pages import source_rows
from scalingdb.warehouse import connect

__all__ = ["Site", "build_report", "find_notebooks", "notebook_folder"]

STATE = ".site"
"""Folder in the output that keeps what a later build takes up again: executed notebooks, sources, Sphinx's own."""

RECORD = "written.json"
"""Lists what a build wrote into the output: nothing else there is ever replaced."""

SWAP, ASIDE = "swap.json", "old"
"""While new pages take the place of old ones: which they are, and where the old ones wait."""


@dataclass(frozen=True)
class Site:
    """What was written.

    Attributes
    ----------
    index : Path
        The front page.
    pages : tuple of Path
        Pages of the notebooks that were asked for.
    warnings : tuple of str
        What Sphinx said while it made the pages.
    """

    index: Path
    pages: tuple[Path, ...]
    warnings: tuple[str, ...] = ()


def _nothing(name: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def build_report(
    names: Sequence[str] = (),
    output: str | os.PathLike[str] = "reports",
    *,
    notebooks: str | os.PathLike[str] | None = None,
    progress: Progress = _nothing,
    reference: bool = True,
) -> Site:
    """Execute notebooks and build the site.

    Notebooks whose content, code and data have not changed since the last build into the same folder are not
    executed again, except those in `names`. Nothing in `output` is replaced before every page is made.

    Parameters
    ----------
    names : sequence of str
        Notebooks to execute in any case. Into a folder without a site, only these are built, without the pages of
        laws, sources and functions; into a site, they are renewed and the other pages stay.
    output : path
        Folder of the site, made where it does not exist.
    notebooks : path, optional
        Folder of the notebooks; the project's by default. They run in this folder.
    progress : callable, optional
        Called with a name, the steps done and the steps in all. Notebooks run side by side, so that their
        calls mix.
    reference : bool
        Whether to make the pages of laws, sources, SQL and functions too.

    Raises
    ------
    NotebookError
        If a cell fails (with notebook, cell number and error).
    OutputError
        If `output` cannot be written, holds other files of the same names, or Sphinx is not installed.
    UnknownNameError
        If there is no such notebook.

    Examples
    --------
    >>> from scalingdb.site.report import build_report
    >>> build_report(["compare_laws"]).index  # doctest: +SKIP
    PosixPath('reports/index.html')
    """
    _require_sphinx()
    folder = None if notebooks is None else Path(notebooks)
    asked = find_notebooks(names, folder)
    target = Path(output)
    state = _state_folder(target)
    with exclusive(state):
        _undo_swap(target, state)
        is_first = not (target / "index.html").exists()
        paths = asked if is_first and names else find_notebooks((), folder)
        is_light = not reference or (is_first and bool(names))
        source = state / "source"
        charts = state / "extra" / CHARTS
        fresh_links: dict[str, str] = {}
        with connect() as db:
            sources = {row["source_id"]: row for row in source_rows(db)}
        with ThreadPoolExecutor(1) as side:
            written = None if is_light else side.submit(_reference, state, charts, fresh_links, progress)
            ready = _ready(paths, [path.stem for path in asked] if names else [], state, sources, charts, progress)
            pages, front = written.result() if written else ({}, None)
        pages |= list_pages(ready, list(pages), front)
        write_runtime(charts)
        texts = _write_source(source, pages, ready, fresh_links)
        remove_unused(charts, texts)
        with _staging(target) as staging:
            warnings = _sphinx(source, state, staging, target, progress)
            _swap(staging, target, state)
    return Site(target / "index.html", tuple(target / "notebooks" / f"{path.stem}.html" for path in asked), warnings)


def _reference(
    state: Path, charts: Path, links: dict[str, str], progress: Progress
) -> tuple[dict[str, str], dict[str, Any] | None]:
    """Pages of laws, sources, SQL and functions, and what the front page says of them.

    They are those of the last build where nothing that they show has changed.
    """
    kept = state / "reference.json"
    key = hashlib.sha256(world() + _version_of_site().encode()).hexdigest()
    if kept.exists():
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known["key"] == key and all((charts / f"{name}.js").exists() for name in known["charts"]):
            links |= known["links"]
            return {**known["pages"], **pages_of_checkout()}, known["front"]
    pages = reference_pages(charts, links, progress)
    front = front_facts(charts) if "laws" in pages else None
    texts = [*pages.values(), front["picture"] if front else ""]
    shown = sorted({name for text in texts for name in CHART.findall(text)})
    made = {"key": key, "pages": pages, "front": front, "links": links, "charts": shown}
    kept.write_text(json.dumps(made), encoding="utf-8")
    return {**pages, **pages_of_checkout()}, front


def _require_sphinx() -> None:
    missing = [name for name in ("sphinx", "myst_nb", "pydata_sphinx_theme") if importlib.util.find_spec(name) is None]
    if missing:
        raise OutputError(
            f"the site needs {', '.join(missing)}",
            "install them: pip install 'scalingdb[site]', or in a checkout 'uv run --extra site scalingdb report'.",
        )


def _state_folder(target: Path) -> Path:
    """The folder that builds share, made before anything runs: a place that cannot be written shows now."""
    if target.exists() and not target.is_dir():
        raise OutputError(f"{str(target)!r} is a file, not a folder", "name a folder with --output DIR.")
    if (target / "index.html").exists() and not any((target / STATE / name).exists() for name in (RECORD, SWAP)):
        raise OutputError(
            f"{str(target / 'index.html')!r} was not written by scalingdb; not overwriting it",
            "name another folder with --output DIR.",
        )
    state = target / STATE
    try:
        state.mkdir(parents=True, exist_ok=True)
        (state / ".probe").touch()
        (state / ".probe").unlink()
        _forget_other_versions(state)
    except OSError as error:
        raise OutputError(
            f"cannot write to {str(target)!r}: {error}", "name a writable folder with --output DIR."
        ) from error
    return state


def _ready(
    paths: Sequence[Path],
    fresh: Sequence[str],
    state: Path,
    sources: Mapping[str, Mapping[str, Any]],
    charts: Path,
    progress: Progress,
) -> list[Ready]:
    """Executed notebooks, as pages."""
    failed = state / "failed"
    shutil.rmtree(failed, ignore_errors=True)
    try:
        made: list[Ready] = run_sync(execute_all)(
            paths,
            state / "executed",
            progress,
            lambda path, notebook: prepare(path, notebook, sources, charts),
            fresh=fresh,
        )
    except FailedCellError as error:
        page = _show_failure(error, failed)
        raise NotebookError(error.fact, f"the cell and its traceback: {page}; the old site is unchanged.") from error
    return made


def _show_failure(error: FailedCellError, folder: Path) -> Path:
    """Write the notebook as far as it ran, with the traceback, as a page of its own."""
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(template_name="basic", embed_images=True)
    body, _ = exporter.from_notebook_node(error.notebook)
    folder.mkdir(parents=True, exist_ok=True)
    page = folder / f"{error.name}.html"
    head = f"<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>{error.name} failed</title>"
    page.write_text(f"{head}<body style='max-width:60rem;margin:2rem auto;font-family:sans-serif'>{body}</body></html>")
    return page


# ---- the source of the site ------------------------------------------------------------------


def _write_source(
    folder: Path, pages: Mapping[str, str], ready: Sequence[Ready], links: Mapping[str, str]
) -> list[str]:
    """Write what changed and remove what is gone (Sphinx reads again what has a new time); return what is there."""
    texts = {f"{name}.md": text for name, text in pages.items()}
    texts |= {f"notebooks/{one.name}.ipynb": nbformat.writes(_without_ids(one.notebook)) for one in ready}
    texts["links.json"] = json.dumps(links, sort_keys=True)
    for name, text in texts.items():
        file = folder / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    for file in folder.rglob("*"):
        if file.is_file() and file.relative_to(folder).as_posix() not in texts:
            file.unlink()
    return list(texts.values())


def _without_ids(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Ids of cells are drawn at random where a file has none; a page does not show them."""
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        cell.get("metadata", {}).pop("execution", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


# ---- Sphinx ----------------------------------------------------------------------------------


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder to make pages in, on the same disk as the target."""
    try:
        with scratch_folder(target, ".building-") as folder:
            yield folder / "html"
    except OSError as error:
        if isinstance(error, ScalingDBError):
            raise
        raise OutputError(
            f"cannot write to {str(target)!r}: {error}", "free some space, or name another folder."
        ) from error


def _record(state: Path) -> list[str]:
    file = state / RECORD
    try:
        return list(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else []
    except ValueError as error:
        raise OutputError(f"{str(file)!r} is damaged: {error}", "name another folder with --output DIR.") from error


def _write_json(file: Path, content: Any) -> None:
    scratch = file.with_name(f"{file.name}.new")
    scratch.write_text(json.dumps(content), encoding="utf-8")
    replace_durably(scratch, file)


def _forget_other_versions(state: Path) -> None:
    """Remove pages and charts that another version of this code, or of Sphinx, has made."""
    key = state / "version"
    if not key.exists() or key.read_text() != _version_of_site():
        for name in ("doctrees", "source", "extra"):
            shutil.rmtree(state / name, ignore_errors=True)
        key.write_text(_version_of_site())


def _version_of_site() -> str:
    """Digest of what makes pages beside their source: after a change every page is made again."""
    from importlib.metadata import version

    here = Path(__file__).parent
    digest = hashlib.sha256()
    for name in ("sphinx", "myst-nb", "pydata-sphinx-theme"):
        digest.update(version(name).encode())
    for path in sorted([*here.glob("sphinx/**/*.*"), *here.glob("templates/*"), *here.glob("*.py")]):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _sphinx(source: Path, state: Path, staging: Path, target: Path, progress: Progress) -> tuple[str, ...]:
    """Make the pages; those whose source has not changed are taken from the old site."""
    doctrees = state / "doctrees"
    staging.mkdir()
    if doctrees.exists():
        for name in _record(state):
            old = target / name
            if old.is_dir():
                shutil.copytree(old, staging / name)
            elif old.exists():
                shutil.copy2(old, staging / name)
    progress("pages", 0, 1)
    conf = Path(__file__).parent / "sphinx"
    options = ["-b", "html", "-q", "-j", str(cores()), "-c", str(conf), "-d", str(doctrees)]
    extra = ["-D", f"html_extra_path={(state / 'extra').absolute()}"]  # Sphinx takes others from its settings
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, *extra, str(source), str(staging)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"},
    )
    if done.returncode:
        shutil.rmtree(doctrees, ignore_errors=True)
        raise OutputError(f"Sphinx failed: {done.stderr.strip()[-2000:]}", "the old site is unchanged.")
    _remove_stale(source, staging)
    progress("pages", 1, 1)
    return tuple(line for line in done.stderr.splitlines() if line.strip())


def _remove_stale(source: Path, staging: Path) -> None:
    """Pages whose source is gone go; so does what only a later build would need."""
    docs = {path.relative_to(source).with_suffix(".html").as_posix() for path in source.rglob("*.*")}
    for page in staging.rglob("*.html"):
        name = page.relative_to(staging).as_posix()
        if name not in docs and name not in {"search.html", "genindex.html"} and not name.startswith("_static/"):
            page.unlink()
    shutil.rmtree(staging / "_sources", ignore_errors=True)
    for file in (staging / "_static").rglob("*.map"):  # what only a debugger reads
        file.unlink()
    for name in (".buildinfo", "objects.inv"):
        (staging / name).unlink(missing_ok=True)


def _swap(staging: Path, target: Path, state: Path) -> None:
    """Put the new pages in the place of the old ones; files of others in the folder stay."""
    old = _record(state)
    new = sorted(path.name for path in staging.iterdir())
    for name in new:
        if name not in old and (target / name).exists():
            raise OutputError(
                f"{str(target / name)!r} was not written by scalingdb; not overwriting it",
                "name another folder with --output DIR.",
            )
    aside = state / ASIDE
    aside.mkdir(exist_ok=True)
    _write_json(state / SWAP, {"old": old, "new": new})
    try:
        for name in old:
            if (target / name).exists():
                (target / name).rename(aside / name)
        for name in new:
            (staging / name).rename(target / name)
        _write_json(state / RECORD, new)
    except BaseException:
        _undo_swap(target, state)
        raise
    (state / SWAP).unlink()
    shutil.rmtree(aside, ignore_errors=True)


def _undo_swap(target: Path, state: Path) -> None:
    """Bring the old pages back where a swap ended early: an error, an interrupt, or a run that was killed."""
    aside, journal = state / ASIDE, state / SWAP
    if journal.exists():
        swap = json.loads(journal.read_text(encoding="utf-8"))
        for name in swap["new"]:
            page = target / name
            if name in swap["old"] and not (aside / name).exists():
                continue  # the old one, which had not been moved yet
            if page.is_dir():
                shutil.rmtree(page)
            else:
                page.unlink(missing_ok=True)
        for page in aside.iterdir():
            page.rename(target / page.name)
        _write_json(state / RECORD, swap["old"])
        journal.unlink()
    shutil.rmtree(aside, ignore_errors=True)
