"""The site: executed notebooks and generated pages, made into one set of pages by Sphinx.

A build writes the source of the site below ``DIR/.site`` and lets Sphinx make all pages in a folder of their own, a
generation. Pages in the output are links that lead through one pointer, ``DIR/.site/pages``, to the generation that is
shown: renaming another pointer into its place shows all new pages at once. Whatever ends a build, and wherever, readers
find the pages of one generation. On Windows, and on file systems without symbolic links, the output has copies: an
error or Ctrl-C brings the old ones back, a kill among them leaves pages of both until the next build begins.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import hashlib
import importlib.util
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from jupyter_core.utils import run_sync

from scalingdb._store import exclusive, scratch_folder, sync_file, sync_folder, write_whole
from scalingdb.errors import NotebookError, OutputError, ScalingDBError, check_path
from scalingdb.site.children import run_sphinx
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

CURRENT = "pages"
"""The pointer to the generation that is shown (``pages-7``): a symbolic link, or a file with its name."""

RECORD = "written.json"
"""What earlier versions wrote, whose pages lay in the output itself: their names."""


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
    folder = None if notebooks is None else check_path(notebooks, "notebooks")
    target = check_path(output, "output")
    asked = find_notebooks(names, folder)
    with _told(target):
        state = _state_folder(target)
    with _told(target), exclusive(state):
        _recover(target, state)
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
        with scratch_folder(target, ".building-") as scratch:
            write_runtime(charts)
            remove_unused(charts, _write_source(source, pages, ready, fresh_links))
            staging = scratch / "html"
            warnings = _sphinx(source, state, staging, progress)
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
        with contextlib.suppress(ValueError, LookupError, TypeError):  # damaged: made again
            known = json.loads(kept.read_text(encoding="utf-8"))
            if known["key"] == key and all((charts / f"{name}.js").exists() for name in known["charts"]):
                links |= known["links"]
                return {**known["pages"], **pages_of_checkout()}, known["front"]
    pages = reference_pages(charts, links, progress)
    front = front_facts(charts) if "laws" in pages else None
    texts = [*pages.values(), front["picture"] if front else ""]
    shown = sorted({name for text in texts for name in CHART.findall(text)})
    made = {"key": key, "pages": pages, "front": front, "links": links, "charts": shown}
    write_whole(kept, json.dumps(made))
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
    if os.path.exists(target) and not os.path.isdir(target):  # noqa: PTH110, PTH112 - a name may be too long
        raise OutputError(f"{str(target)!r} is a file, not a folder", "name a folder with --output DIR.")
    is_ours = any(os.path.lexists(target / STATE / name) for name in (CURRENT, RECORD))
    if os.path.lexists(target / "index.html") and not is_ours:
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
    except (OSError, ValueError) as error:  # of which a name with a null byte is one
        raise _unwritable(target, error) from error
    return state


def _unwritable(target: Path, error: OSError | ValueError) -> OutputError:
    said = getattr(error, "strerror", None) or error
    return OutputError(f"cannot write to {str(target)!r}: {said}", "name a writable folder with --output DIR.")


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
        if not file.exists() or file.read_bytes() != text.encode():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, text)
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
def _told(target: Path) -> Iterator[None]:
    """Errors of the disk, in our words."""
    try:
        yield
    except OSError as error:
        if isinstance(error, ScalingDBError):
            raise
        # of a folder that is copied every file that failed is listed
        said = error.args[0][0][2] if isinstance(error, shutil.Error) and error.args[0] else error
        raise OutputError(
            f"cannot write to {str(target)!r}: {said}", "free some space, or name another folder."
        ) from error


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


def _sphinx(source: Path, state: Path, staging: Path, progress: Progress) -> tuple[str, ...]:
    """Make the pages; those whose source has not changed are taken from the old site."""
    doctrees = state / "doctrees"
    shown = _shown(state)
    if doctrees.exists() and shown:
        shutil.copytree(shown, staging)
    else:
        staging.mkdir()
    progress("pages", 0, 1)
    conf = Path(__file__).parent / "sphinx"
    options = ["-b", "html", "-q", "-j", str(cores()), "-c", str(conf), "-d", str(doctrees)]
    extra = ["-D", f"html_extra_path={(state / 'extra').absolute()}"]  # Sphinx takes others from its settings
    code, said = run_sphinx(
        [*options, *extra, str(source), str(staging)], {**os.environ, "PYTHONWARNINGS": "ignore", "NO_COLOR": "1"}
    )
    if code:
        shutil.rmtree(doctrees, ignore_errors=True)
        if found := _OF_THE_DISK.search(said):
            raise OSError(found[0])
        raise OutputError(f"Sphinx failed: {_reason(said)}", "the old site is unchanged.")
    _remove_stale(source, staging)
    progress("pages", 1, 1)
    return tuple(line for line in said.splitlines() if line.strip())


_OF_THE_DISK = re.compile(
    "|".join(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG))
)


def _reason(said: str) -> str:
    """What Sphinx says of its failure, without the trace that leads to it."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    wrong = [line for line in lines if re.match(r"(?:[\w.]*(?:Error|Exception)\b|.*\bERROR\b|Could not )", line)]
    return "\n".join(dict.fromkeys(wrong[-3:] or lines[-3:])) or "it gave no reason"


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


# ---- which pages are shown -------------------------------------------------------------------


def _shown(state: Path) -> Path | None:
    """The generation that the pointer names."""
    pointer = state / CURRENT
    if not os.path.lexists(pointer):
        return None
    try:
        folder = state / (pointer.readlink() if pointer.is_symlink() else pointer.read_text(encoding="utf-8"))
        if folder.parent == state and folder.is_dir():
            return folder
        fact = "it names no pages"
    except (OSError, ValueError) as error:
        fact = str(error)
    raise OutputError(f"{str(pointer)!r} is damaged: {fact}", "name another folder with --output DIR.")


def _point(state: Path, folder: Path | None) -> None:
    """Show another generation: one rename."""
    if folder is None:
        (state / CURRENT).unlink(missing_ok=True)
        return
    scratch = state / f"{CURRENT}.new"
    scratch.unlink(missing_ok=True)
    if _has_links(state):
        scratch.symlink_to(folder.name)
    else:
        scratch.write_text(folder.name, encoding="utf-8")
        sync_file(scratch)
    scratch.replace(state / CURRENT)
    sync_folder(state)


def _has_links(state: Path) -> bool:
    """Whether the output has links; a new one has, where a link can be made and replaced in one step."""
    if os.path.lexists(state / CURRENT):
        return (state / CURRENT).is_symlink()
    if os.name == "nt":
        return False
    probe = state / ".probe"
    probe.unlink(missing_ok=True)
    try:
        probe.symlink_to(STATE)
        probe.unlink()
    except OSError:
        return False
    return True


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _link(name: str) -> str:
    """Where the link of a page leads, seen from its own folder."""
    return "../" * (len(PurePosixPath(name).parts) - 1) + f"{STATE}/{CURRENT}/{name}"


def _place(folder: Path, names: Iterable[str], target: Path, state: Path) -> None:
    """Give the pages of a generation their names in the output; each appears whole."""
    has_links = _has_links(state)
    scratch = state / "page.new"
    for name in sorted(names):
        page = target / name
        if has_links and page.is_symlink() and page.readlink() == Path(_link(name)):
            continue
        if not has_links and page.exists() and filecmp.cmp(page, folder / name):
            continue
        page.parent.mkdir(parents=True, exist_ok=True)
        scratch.unlink(missing_ok=True)
        if has_links:
            scratch.symlink_to(_link(name))
        else:
            shutil.copy2(folder / name, scratch)
        scratch.replace(page)


def _take_away(target: Path, state: Path) -> list[Path]:
    """Remove names from the output that only other generations have; return these generations."""
    shown = _shown(state)
    names = _names(shown) if shown else set()
    has_links = _has_links(state)
    others = [folder for folder in state.glob(f"{CURRENT}-*") if folder != shown]
    for folder in others:
        for name in _names(folder) - names:
            page = target / name
            if page.is_symlink() or not has_links:
                page.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not empty
                for parent in list(PurePosixPath(name).parents)[:-1]:
                    (target / parent).rmdir()
    return others


def _swap(staging: Path, target: Path, state: Path) -> None:
    """Show new pages instead of the old ones; files of others in the folder stay."""
    shown = _shown(state)
    old, new = _names(shown) if shown else set(), _names(staging)
    ours = {PurePosixPath(name).parts[0] for name in old}
    for name in sorted(new - old):
        top = PurePosixPath(name).parts[0]
        place = target / (name if top in ours else top)
        if os.path.lexists(place):
            raise OutputError(
                f"{str(place)!r} was not written by scalingdb; not overwriting it",
                "name another folder with --output DIR.",
            )
    for name in new:
        sync_file(staging / name)
    number = max((int(path.name.partition("-")[2]) for path in state.glob(f"{CURRENT}-*")), default=0) + 1
    folder = state / f"{CURRENT}-{number}"
    has_links = _has_links(state)
    try:
        staging.rename(folder)
        if has_links:  # new names lead nowhere until the pointer changes
            _place(folder, new, target, state)
        _point(state, folder)
        if not has_links:
            _place(folder, new, target, state)
        others = _take_away(target, state)
    except BaseException:
        if not has_links:
            _point(state, shown)
        _recover(target, state)
        raise
    for other in others:
        shutil.rmtree(other)


def _recover(target: Path, state: Path) -> None:
    """Finish or undo what a build that ended early began; adopt the pages of an earlier version."""
    record = state / RECORD
    if record.exists():
        _adopt(record, target, state)
    shown = _shown(state)
    if shown:
        _place(shown, _names(shown), target, state)
    for other in _take_away(target, state):
        shutil.rmtree(other)
    record.unlink(missing_ok=True)
    for folder in (state, state / "executed", state / "extra" / CHARTS):
        for file in folder.glob("*.new"):
            file.unlink()


def _adopt(record: Path, target: Path, state: Path) -> None:
    """Make a generation of pages that lie in the output itself."""
    if _shown(state):
        return
    try:
        names = list(json.loads(record.read_text(encoding="utf-8")))
    except ValueError as error:
        raise OutputError(f"{str(record)!r} is damaged: {error}", "name another folder with --output DIR.") from error
    folder = state / f"{CURRENT}-1"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in names:
        page = target / name
        if page.is_dir():
            shutil.copytree(page, folder / name)
        elif page.exists():
            shutil.copy2(page, folder / name)
    _point(state, folder)
