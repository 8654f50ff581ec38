"""Build the warehouse: run every source, check, write to a temporary folder, then put all of it in place in one step.

A source either arrives whole or leaves its old tables untouched, and what was built appears together: a build that ends
early, however it does, changes nothing. Bytes are deterministic: rows
sorted by key, one row group order, fixed compression, no time stamps. Sources are independent of each
other, so they are built in several processes; the tables do not depend on how many.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import multiprocessing
import os
import pkgutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeAlias

import polars as pl

import ingest
from ingest import _raw
from ingest._ledger import ledger
from ingest._raw import RawFolder, find_raw_directory, read_registry
from ingest._source import Builder, Source, conform
from ingest._stamps import BuildResult, Stamps
from scalingdb._store import (
    MANIFEST,
    commit,
    exclusive,
    listing,
    read_state,
    recover,
    scratch_folder,
    write_manifest,
)
from scalingdb.errors import BuildError, RawFileError, ScalingDBError, WarehouseError, unknown_name
from scalingdb.schema import TABLES

__all__ = [
    "BuildResult",
    "build",
    "compare",
    "load_source",
    "outdated",
    "source_ids",
    "source_tables",
    "tables_from_shipped",
]

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "warehouse" / "tables"
LOCAL = CHECKOUT / "warehouse" / "local"
"""Tables of sources that may not be redistributed: built here, ignored by git and by the package."""


def source_ids() -> list[str]:
    """Names of all source modules, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(ingest.__path__) if not m.name.startswith("_"))


def load_source(source_id: str) -> tuple[Source, Builder]:
    """Declaration and build function of one source.

    Raises
    ------
    UnknownNameError
        If no module of that name exists.
    """
    if source_id not in source_ids():
        raise unknown_name("source", source_id, source_ids())
    module = importlib.import_module(f"ingest.{source_id}")
    return module.SOURCE, module.build


def source_tables(source_id: str, raw: Path | None) -> dict[str, pl.DataFrame]:
    """Checked tables of one source, read from its raw files.

    Raises
    ------
    RawFileError, DataError
        If a raw file is missing or altered, or a table breaks the schema.
    """
    # pandera takes a second to import: only where something is built
    from ingest._check import check_source, check_table

    source, builder = load_source(source_id)
    folder = RawFolder(source, raw)
    # a module that stands for many papers returns their rows of "sources" itself
    tables = {"sources": source.row(len(folder.registry), folder.digest), **builder(folder)}
    if source.published_fits:
        tables["published_fits"] = source.published_fits_frame()
    check_source(source_id, tables)
    if folder.registry:
        tables["raw_files"] = ledger(folder, tables)
        check_table("raw_files", tables["raw_files"], source_id)
    return {name: frame.sort(TABLES[name].key, nulls_last=True, maintain_order=True) for name, frame in tables.items()}


def tables_from_shipped(source_id: str, shipped: Path, local: Path) -> dict[str, pl.DataFrame]:
    """Checked tables of one source, without its raw files: those that are built already, brought up to date.

    What the source's module declares (its row of ``sources``, its published coefficients) is taken from there; a column
    that the schema has gained is null, and one that it has lost goes.

    Raises
    ------
    RawFileError
        If the source has never been built here, so that only its raw files could give its tables.
    DataError
        If a table breaks the schema.
    """
    from ingest._check import check_source, check_table

    source, _ = load_source(source_id)
    registry = read_registry(source_id)
    if not registry:
        return source_tables(source_id, None)
    held = _held(source_id, shipped, local)
    if "raw_files" not in held:
        raise RawFileError(
            f"source {source_id!r} has no tables yet, and its raw files are absent",
            "point --raw (or $SCALINGDB_RAW) at the raw files.",
        )
    tables = {}
    for name, frame in held.items():
        known = [column for column in TABLES[name].columns if column in frame.columns]
        tables[name] = conform(name, frame.select(known), source_id)
    tables["sources"] = source.row(len(registry), RawFolder(source, None).digest)
    if source.published_fits:
        tables["published_fits"] = source.published_fits_frame()
    raw_files = tables.pop("raw_files")
    check_source(source_id, tables)
    check_table("raw_files", raw_files, source_id)
    tables["raw_files"] = raw_files
    return {name: frame.sort(TABLES[name].key, nulls_last=True, maintain_order=True) for name, frame in tables.items()}


def _held(source_id: str, shipped: Path, local: Path) -> dict[str, pl.DataFrame]:
    files = {
        table: file
        for table in TABLES
        for pile in (shipped, local)
        if (file := pile / table / f"{source_id}.parquet").exists()
    }
    return {table: pl.read_parquet(file, glob=False) for table, file in files.items()}


def _write(frame: pl.DataFrame, path: Path) -> None:
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        frame.to_arrow(compat_level=pl.CompatLevel.oldest()),
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=True,
        row_group_size=250_000,
        store_schema=False,
    )


def _same_bytes(left: Path, right: Path) -> bool:
    return left.exists() and right.exists() and left.read_bytes() == right.read_bytes()


def build(
    only: Iterable[str] = (),
    *,
    raw: Path | None = None,
    shipped: Path = SHIPPED,
    local: Path = LOCAL,
    progress: Callable[[str], None] = lambda _: None,
    finished: Callable[[BuildResult], None] = lambda _: None,
    workers: int | None = None,
    stamps: Path | None = None,
    force: bool = False,
    without_raw: bool = False,
) -> list[BuildResult]:
    """Build the tables of all sources (or of those named in `only`) and put them in place in one step.

    Every table is first written to a temporary folder beside its target; a file is replaced only
    when its bytes differ. A source that fails leaves its old tables as they were and does not stop
    the others.

    Parameters
    ----------
    only : iterable of str
        Sources to build; all by default.
    raw : Path, optional
        Directory with one folder of raw files per source; see :func:`find_raw_directory`.
    shipped, local : Path
        Where the tables go: those of the package, and those of sources that may not be redistributed.
    progress, finished : callable
        Told the name of a source that begins, and the result of one that ended (skipped ones too).
    workers : int, optional
        Processes that build at the same time; one per processor by default. With one, or one source to
        build, everything happens in this process.
    stamps : Path, optional
        Folder that remembers what the tables were made from; sources that are unchanged since are
        skipped. Without it every source is built.
    force : bool
        Build unchanged sources too.
    without_raw : bool
        Read no raw file: bring the tables that were built before up to date with the modules and the schema
        (see :func:`tables_from_shipped`).

    Returns
    -------
    list of BuildResult
        One per source in the order of the names, with its row counts, the files that changed, or its
        error (a raw file, a broken rule, a process that died, a target that cannot be written).

    Raises
    ------
    UnknownNameError
        If `only` names a source that does not exist.
    RawFileError
        If `raw` names a directory that does not exist.
    WarehouseError
        If another build of the same target is at work.
    """
    known = source_ids()
    names = list(dict.fromkeys(only)) or known
    for name in names:
        if name not in known:
            raise unknown_name("source", name, known)
    directory = None if without_raw else find_raw_directory(raw)
    keeper = None if stamps is None or without_raw else Stamps(stamps, shipped=shipped, local=local, raw=directory)
    is_whole = keeper is not None and set(names) == set(known) and shipped.is_dir()
    if is_whole:
        _drop_unreadable_manifest(shipped.parent)
    inputs: dict[str, dict[str, str]] = {}
    results: dict[str, BuildResult] = {}
    for name in names if keeper is not None else ():
        assert keeper is not None
        inputs[name] = keeper.inputs(name)
        recalled = None if force else keeper.recall(name, inputs[name])
        if recalled is not None:
            results[name] = recalled
            finished(recalled)
    waiting = [name for name in names if name not in results]
    built = (
        _build_and_commit(waiting, (directory, shipped, local, without_raw), workers, progress, finished)
        if waiting
        else []
    )
    for result in built:
        results[result.source_id] = result
        if keeper is not None and result.error is None:
            keeper.record(result, inputs[result.source_id])
    if is_whole and not any(result.error for result in results.values()):
        _settle_manifest(shipped.parent)
    return [results[name] for name in names]


def _drop_unreadable_manifest(home: Path) -> None:
    """Remove a manifest that cannot be read, such as one with the marks of a merge: a build of all sources makes it."""
    try:
        read_state(home)
    except WarehouseError:
        (home / MANIFEST).unlink(missing_ok=True)


def _settle_manifest(home: Path) -> None:
    """Let the manifest list what lies there, after every source was found as it was built: a merge leaves it behind."""
    with exclusive(home):
        if read_state(home).entries != listing(home):
            write_manifest(home)


def _build_and_commit(
    names: list[str],
    places: Places,
    workers: int | None,
    progress: Callable[[str], None],
    finished: Callable[[BuildResult], None],
) -> list[BuildResult]:
    """Build sources into a temporary folder, then make all their tables the state of the warehouse."""
    directory, shipped, local, _ = places
    results: list[BuildResult] = []
    n_workers = min(len(names), workers or os.cpu_count() or 1)
    try:
        if shipped.exists() and not shipped.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(shipped))
        with exclusive(shipped.parent), scratch_folder(shipped.parent, ".building-") as staging:
            for folder in (local, shipped.parent):
                recover(folder)
            if n_workers > 1:
                names.sort(key=lambda name: -_raw_bytes(name, directory))  # the longest first: both end together
                ended = _in_parallel(names, places, staging, n_workers, progress)
            else:
                ended = _one_by_one(names, places, staging, progress)
            with contextlib.closing(ended):
                for result in ended:
                    results.append(result)
                    finished(result)
            _commit(results, shipped, local)
    except WarehouseError:
        raise
    except OSError as error:
        failed = WarehouseError(f"cannot write to {shipped.parent}: {error}", "choose a writable target directory.")
        results = [BuildResult(name, error=failed) for name in names]
    return results


def _commit(results: Sequence[BuildResult], shipped: Path, local: Path) -> None:
    """Put in place what was built, or tell each source that it could not be."""
    moves = [move for result in results for move in result.moves]
    home = shipped.parent
    for_local = {name: file for pile, name, file in moves if pile == local}
    for_shipped = {f"{shipped.name}/{name}": file for pile, name, file in moves if pile == shipped}
    try:
        if for_local:
            commit(local, for_local, of=tuple(TABLES))
        if for_shipped or (shipped.is_dir() and not (home / MANIFEST).exists()):
            commit(home, for_shipped, of=(shipped.name, "views"))
    except OSError as error:
        for result in results:
            if result.moves:
                result.changed, result.error = (
                    [],
                    WarehouseError(
                        f"source {result.source_id!r}: writing to {home} failed: {error}",
                        "free some space or choose another target; tables that were already in place are unchanged.",
                    ),
                )
    for result in results:
        result.moves = []


def _raw_bytes(source_id: str, directory: Path | None) -> int:
    if directory is None:
        return 0
    files = (directory / source_id / name for name in read_registry(source_id))
    return sum(file.stat().st_size for file in files if file.is_file())


Places: TypeAlias = tuple[Path | None, Path, Path, bool]
"""Raw directory, folder of shipped tables, folder of local ones, and whether to do without raw files."""

Results: TypeAlias = Generator[BuildResult, None, None]


def _build_one(source_id: str, places: Places, staging: Path) -> BuildResult:
    """Build one source and leave its tables in the folder `staging`; whatever goes wrong is its error."""
    directory, shipped, local, without_raw = places
    result = BuildResult(source_id)
    begun = time.perf_counter()
    try:
        made = tables_from_shipped(source_id, shipped, local) if without_raw else source_tables(source_id, directory)
        held = _held(source_id, shipped, local) if without_raw else {}
        # another version of the Parquet writer makes other bytes from the same rows: those stay as they are
        tables = {name: frame for name, frame in made.items() if not frame.equals(held.get(name, pl.DataFrame()))}
        source, _ = load_source(source_id)
        result.moves = _stage(source_id, tables, made.keys(), places, source.is_shipped, staging)
        result.changed = [_described(move, shipped, source.is_shipped) for move in result.moves]
        result.rows = {table: frame.height for table, frame in made.items()}
    except ScalingDBError as error:
        result.error = error
    except Exception as error:
        result.error = _unexpected(source_id, error)
    result.seconds = time.perf_counter() - begun
    return result


def _unexpected(source_id: str, error: Exception) -> BuildError:
    """An error that no check foresaw, with the line of the source's code that met it."""
    folders = tuple(str(Path(folder)) for folder in ingest.__path__)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folders)]
    own = [frame for frame in frames if Path(frame.filename).stem == source_id] or frames
    where = f" (ingest/{Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return BuildError(
        f"source {source_id!r}: {type(error).__name__}: {error}{where}",
        "a raw file differs from what this line expects, or the line is wrong.",
    )


def _one_by_one(names: Sequence[str], places: Places, staging: Path, progress: Callable[[str], None]) -> Results:
    for name in names:
        progress(name)
        yield _build_one(name, places, staging)


def _in_parallel(
    names: Sequence[str], places: Places, staging: Path, workers: int, progress: Callable[[str], None]
) -> Results:
    """Build in `workers` processes; results as they come.

    Each process has an executor of its own, so that one that dies takes no other source with it and
    it is known which source it was.
    """
    waiting = list(reversed(names))
    idle: list[ProcessPoolExecutor] = []
    running: dict[Future[BuildResult], tuple[str, ProcessPoolExecutor]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                name = waiting.pop()
                executor = idle.pop() if idle else _new_process()
                progress(name)
                running[executor.submit(_build_in_process, name, places, staging)] = (name, executor)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name, executor = running.pop(future)
                try:
                    result = future.result()
                    idle.append(executor)
                except BrokenProcessPool:
                    executor.shutdown()
                    result = BuildResult(name, error=_died(name))
                yield result
    finally:
        for executor in [*idle, *(executor for _, executor in running.values())]:
            executor.shutdown(cancel_futures=True)


def _new_process() -> ProcessPoolExecutor:
    # spawn: a forked child of a process with Polars' threads may hang
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(
        1, mp_context=context, initializer=_prepare_process, initargs=(list(ingest.__path__), _raw.HASHES)
    )


def _prepare_process(folders: list[str], hashes: Path) -> None:
    """See the sources and hashes that the parent sees, and leave Ctrl-C between two sources to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ingest.__path__[:] = folders
    _raw.HASHES = hashes


def _end_with_parent() -> None:
    """A killed build takes its processes with it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _build_in_process(source_id: str, places: Places, staging: Path) -> BuildResult:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return _build_one(source_id, places, staging)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _died(source_id: str) -> BuildError:
    return BuildError(
        f"source {source_id!r}: its process ended without an answer (killed, out of memory, or a crash)",
        f"build it alone to see more: scalingdb build {source_id} --workers 1",
    )


FACTS = frozenset({"sources", "claims", "published_fits", "raw_files"})
"""Tables that ship for every source, also for one whose measurements may not: what it is, which
findings and coefficients it states, and what its raw files are."""


Move: TypeAlias = tuple[Path, str, Path | None]
"""Pile, file in it, its new content; None removes it."""


def _stage(
    source_id: str,
    tables: dict[str, pl.DataFrame],
    names: Collection[str],
    places: Places,
    is_shipped: bool,
    staging: Path,
) -> list[Move]:
    """Write `tables` to the folder `staging`; return what has to move where.

    :data:`FACTS` go to the shipped tables, measurements too where the source ships. What the source has in the other
    pile (it began or ceased to ship), or beyond the tables `names`, goes in the same step.
    """
    _, shipped, local, _ = places
    target = shipped if is_shipped else local
    moves: list[Move] = []
    try:
        for table, frame in tables.items():
            _write(frame, staging / table / f"{source_id}.parquet")
        for pile in dict.fromkeys((shipped, local)):
            for table in TABLES:
                name = f"{table}/{source_id}.parquet"
                is_home = pile == (shipped if table in FACTS else target)
                old = pile / name
                if not is_home or table not in names:
                    moves += [(pile, name, None)] * old.exists()
                elif table in tables and not _same_bytes(staging / name, old):
                    moves.append((pile, name, staging / name))
    except OSError as error:
        raise WarehouseError(
            f"source {source_id!r}: writing to {staging.parent} failed: {error}",
            "free some space or choose another target; tables that were already in place are unchanged.",
        ) from error
    return moves


def _described(move: Move, shipped: Path, is_shipped: bool) -> str:
    pile, name, content = move
    is_home = (pile == shipped) is (is_shipped or name.split("/")[0] in FACTS)
    return name if content is not None else f"{name} (removed)" if is_home else f"{name} (removed from {pile.name})"


def outdated(source_id: str, shipped: Path = SHIPPED, local: Path = LOCAL) -> list[str]:
    """Tables of a source that differ from what its module declares and the schema asks for, as sentences."""
    made, held = tables_from_shipped(source_id, shipped, local), _held(source_id, shipped, local)
    return [
        f"{name}/{source_id}.parquet: not what ingest/{source_id}.py and the schema say; scalingdb build --without-raw"
        for name, frame in made.items()
        if name in held and not frame.equals(held[name])
    ]


def compare(built: Path, shipped: Path = SHIPPED) -> list[str]:
    """Differences between two table folders, as sentences; empty where they are equal byte for byte.

    Where bytes differ but the rows are equal the sentence says so: another version of the Parquet
    writer makes other bytes from the same rows.
    """
    faults = []
    left = {p.relative_to(built).as_posix(): p for p in built.rglob("*.parquet")}
    right = {p.relative_to(shipped).as_posix(): p for p in shipped.rglob("*.parquet")}
    for name in sorted(left.keys() | right.keys()):
        if name not in right:
            faults.append(f"{name}: built from raw, but not among the shipped tables")
        elif name not in left:
            faults.append(f"{name}: shipped, but no source builds it")
        elif not _same_bytes(left[name], right[name]):
            equal = pl.read_parquet(left[name], glob=False).equals(pl.read_parquet(right[name], glob=False))
            detail = "same rows, other bytes (another Parquet writer?)" if equal else "the rows differ"
            faults.append(f"{name}: {detail}; built {_sha(left[name])[:12]}, shipped {_sha(right[name])[:12]}")
    return faults


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
