"""Check a warehouse folder against the schema, without any raw file.

Every Parquet file must be readable and have the columns and types of its table; keys must be unique
over all sources, and every run and source that a row names must exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from scalingdb.errors import WarehouseError
from scalingdb.schema import TABLES

__all__ = ["Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was looked at, and every fault found, as sentences."""

    n_files: int
    n_rows: int
    faults: tuple[str, ...]


def verify(warehouse: Path) -> Verification:
    """Check all tables below ``warehouse/tables`` (and ``warehouse/local``, where it exists).

    Raises
    ------
    WarehouseError
        If there is no warehouse at this place.
    """
    if not (warehouse / "tables").is_dir():
        raise WarehouseError(
            f"no warehouse at {str(warehouse)!r}: it has no folder 'tables'", "reinstall the package, or build it."
        )
    faults: list[str] = []
    frames: dict[str, pl.DataFrame] = {}
    n_files = 0
    for table, spec in TABLES.items():
        parts = []
        for pile in ("tables", "local"):
            for file in sorted((warehouse / pile / table).glob("*.parquet")):
                n_files += 1
                name = file.relative_to(warehouse).as_posix()
                try:
                    part = pl.read_parquet(file)
                except (pl.exceptions.PolarsError, OSError) as error:
                    faults.append(f"{name}: cannot be read: {error}")
                    continue
                differing = _schema_faults(part, spec.polars_schema)
                faults += [f"{name}: {fault}" for fault in differing]
                if not differing:
                    parts.append(part)
        frames[table] = pl.concat(parts) if parts else pl.DataFrame(schema=spec.polars_schema)
    for table, spec in TABLES.items():
        frame, key = frames[table], list(spec.key)
        copies = frame.filter(pl.struct(key).is_duplicated())
        if copies.height:
            faults.append(
                f"table {table!r}: key {', '.join(key)} is not unique ({copies.height} rows, first {copies.row(0)[:3]})"
            )
        for name in spec.required:
            if n_missing := frame[name].null_count():
                faults.append(f"table {table!r}: column {name!r} is required, but {n_missing} row(s) lack it")
        for name, target in (("run_id", "runs"), ("source_id", "sources")):
            if name not in spec.columns or table == target:
                continue
            orphans = frame.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(frames[target][name].implode()))
            if orphans.height:
                faults.append(
                    f"table {table!r}: {orphans.height} row(s) name a {name} that {target!r} does not hold, "
                    f"first {orphans[name][0]!r}"
                )
    return Verification(n_files, sum(frame.height for frame in frames.values()), tuple(faults))


def _schema_faults(frame: pl.DataFrame, expected: dict[str, pl.DataType | type[pl.DataType]]) -> list[str]:
    faults = []
    if absent := [name for name in expected if name not in frame.columns]:
        faults.append(f"missing column(s) {', '.join(absent)}")
    if extra := [name for name in frame.columns if name not in expected]:
        faults.append(f"unknown column(s) {', '.join(extra)}")
    faults += [
        f"column {name!r} holds {frame.schema[name]} where {dtype} is expected"
        for name, dtype in expected.items()
        if name in frame.columns and frame.schema[name] != dtype
    ]
    return faults
