"""Build the warehouse: run every source, check, write to a temporary folder, then swap.

A source either arrives whole or leaves its old tables untouched. Bytes are deterministic: rows
sorted by key, one row group order, fixed compression, no time stamps.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

import ingest
from ingest._check import check_source
from ingest._raw import RawFolder, find_raw_directory
from ingest._source import Builder, Source
from scalingdb.errors import ScalingDBError, WarehouseError, unknown_name
from scalingdb.schema import TABLES

__all__ = ["BuildResult", "build", "compare", "load_source", "source_ids", "source_tables"]

CHECKOUT = Path(__file__).resolve().parents[1]
SHIPPED = CHECKOUT / "warehouse" / "tables"
LOCAL = CHECKOUT / "warehouse" / "local"
"""Tables of sources that may not be redistributed: built here, ignored by git and by the package."""


@dataclass
class BuildResult:
    """What became of one source."""

    source_id: str
    rows: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    error: ScalingDBError | None = None


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
    source, builder = load_source(source_id)
    folder = RawFolder(source, raw)
    tables = {"sources": source.row(len(folder.registry), folder.digest), **builder(folder)}
    if source.published_fits:
        tables["published_fits"] = source.published_fits_frame()
    check_source(source_id, tables)
    return {name: frame.sort(TABLES[name].key, nulls_last=True, maintain_order=True) for name, frame in tables.items()}


def _write(frame: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(  # type: ignore[no-untyped-call]
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
) -> list[BuildResult]:
    """Build the tables of all sources (or of those named in `only`) and swap them in.

    Every table is first written to a temporary folder beside its target; a file is replaced only
    when its bytes differ. A source that fails leaves its old tables as they were and does not stop
    the others.

    Returns
    -------
    list of BuildResult
        One per source, with its row counts, the files that changed, or its error (a raw file, a
        broken rule, a target that cannot be written).

    Raises
    ------
    UnknownNameError
        If `only` names a source that does not exist.
    RawFileError
        If `raw` names a directory that does not exist.
    """
    names = list(only) or source_ids()
    for name in names:
        load_source(name)
    directory = find_raw_directory(raw)
    results = []
    for name in names:
        progress(name)
        result = BuildResult(name)
        try:
            tables = source_tables(name, directory)
            source, _ = load_source(name)
            result.rows = {table: frame.height for table, frame in tables.items()}
            result.changed = _install(name, tables, shipped if source.is_shipped else local)
        except ScalingDBError as error:
            result.error = error
        results.append(result)
    return results


def _install(source_id: str, tables: dict[str, pl.DataFrame], target: Path) -> list[str]:
    """Write `tables` beside `target`, then move each changed file into place: all of them or none."""
    changed = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".building-{source_id}-", dir=target.parent))
    except OSError as error:
        hint = "choose a writable target directory."
        raise WarehouseError(f"cannot write to {target.parent}: {error}", hint) from error
    moved: list[tuple[Path, Path]] = []
    try:
        for table, frame in tables.items():
            _write(frame, staging / table / f"{source_id}.parquet")
        for table in TABLES:
            name = f"{table}/{source_id}.parquet"
            new, old, kept = staging / name, target / name, staging / f"{name}.old"
            if _same_bytes(new, old) or not (new.exists() or old.exists()):
                continue
            old.parent.mkdir(exist_ok=True)
            if old.exists():
                kept.parent.mkdir(exist_ok=True)
                old.replace(kept)
            moved.append((kept, old))
            if new.exists():
                new.replace(old)
            changed.append(name if old.exists() else f"{name} (removed)")
    except BaseException as error:  # an interrupt must not leave half a source behind either
        for kept, old in reversed(moved):
            if kept.exists():
                kept.replace(old)
            else:
                old.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise WarehouseError(
            f"source {source_id!r}: writing to {target} failed: {error}",
            "free some space or choose another target; tables that were already in place are unchanged.",
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return changed


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
