"""Check a warehouse folder in full, without any raw file.

Every file of the manifest must be there with its SHA-256, and none besides; every table file must have the columns and
types of its table and be readable by DuckDB, which reads it in use; numbers must be finite and within the bounds of
their column and unit; a file of runs or evaluations must hold the source that it is called after; keys must be unique
over all sources, every run and source that a row names must exist, and every view must answer. The user's own sources
are checked in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from scalingdb._store import MANIFEST, OBJECTS, State, file_entry, read_state
from scalingdb.errors import WarehouseError, path_hint
from scalingdb.schema import COLUMNS, METRICS, NAMED_BY_SOURCE, TABLES, UNITS

__all__ = ["Verification", "file_faults", "verify"]


@dataclass(frozen=True)
class Verification:
    """What was looked at, and every fault found, as sentences."""

    n_files: int
    n_rows: int
    faults: tuple[str, ...]


def verify(warehouse: Path, own: Path | None = None) -> Verification:
    """Check all tables below ``warehouse/tables`` (and ``warehouse/local``, where it exists), and those of `own`.

    Parameters
    ----------
    warehouse : Path
    own : Path, optional
        Folder of the user's own sources.

    Raises
    ------
    WarehouseError
        If there is no warehouse at this place.
    """
    if not (warehouse / "tables").is_dir():
        raise WarehouseError(
            f"no warehouse at {str(warehouse)!r}: it has no folder 'tables'",
            path_hint(warehouse, "reinstall the package, or build it."),
        )
    faults: list[str] = []
    frames: dict[str, list[pl.DataFrame]] = {table: [] for table in TABLES}
    n_files = 0
    homes = [(warehouse, "tables/", True), (warehouse / "local", "", False)]
    if own is not None and (own / "tables").is_dir():
        homes.append((own, "tables/", False))
    connection = duckdb.connect()
    for folder, prefix, needs_manifest in homes:
        try:
            state = read_state(folder)
        except WarehouseError as error:
            faults.append(error.fact)
            state = State(folder, None, ())
        else:
            faults += file_faults(state, prefix, needs_manifest=needs_manifest)
        for table in TABLES:
            for name, file in state.files(f"{prefix}{table}/*.parquet").items():
                n_files += 1
                frame, wrong = _read(connection, name, file, table, is_own=folder == own)
                label = name if folder == warehouse else f"{folder.name}/{name}"
                faults += [f"{label}: {fault}" for fault in wrong]
                frames[table] += [] if frame is None else [frame]
        if folder == own:  # what the user mapped beside the schema
            for name, file in state.files("tables/knobs/*.parquet").items():
                n_files += 1
                faults += [f"{folder.name}/{name}: {fault}" for fault in _knob_faults(file, frames["runs"])]
    connection.close()
    whole = {
        table: pl.concat(parts) if parts else pl.DataFrame(schema=TABLES[table].polars_schema)
        for table, parts in frames.items()
    }
    for table, frame in whole.items():
        faults += [f"table {table!r}: {fault}" for fault in _row_faults(table, frame, whole)]
    return Verification(n_files, sum(frame.height for frame in whole.values()), tuple(faults))


def file_faults(state: State, prefix: str, *, needs_manifest: bool) -> Iterator[str]:
    """Files that differ from the manifest, lack, or are not in it."""
    folders = [prefix.rstrip("/"), "views"] if prefix else list(TABLES)
    if state.entries is None:
        if needs_manifest or any(next((state.folder / part).rglob("*.parquet"), None) for part in folders):
            whose = "" if needs_manifest else f"{state.folder.name}/"
            yield f"{whose}{MANIFEST} is missing: nothing says which files belong here"
        return
    for name, entry in state.entries.items():
        # after a swap the content that is read may lie elsewhere than under its own name
        for file in dict.fromkeys((state.folder / name, state.path(name))):
            what = file.relative_to(state.folder).as_posix()
            try:
                found = file_entry(file)
            except FileNotFoundError:
                yield f"{what}: missing"
                continue
            except OSError as error:
                yield f"{what}: cannot be read ({error.strerror})"
                continue
            if found != entry:
                yield f"{what}: damaged (SHA-256 {found.sha256[:12]}, not {entry.sha256[:12]})"
    for folder in folders:
        for file in sorted((state.folder / folder).rglob("*")):
            name = file.relative_to(state.folder).as_posix()
            if file.is_file() and file.suffix in {".parquet", ".sql"} and name not in state.entries:
                yield f"{name}: not in {MANIFEST}"
    if (state.folder / OBJECTS / "incoming").is_dir():
        yield "a build was interrupted while it put its files in place: run it again"


def _read(
    connection: duckdb.DuckDBPyConnection, name: str, file: Path, table: str, *, is_own: bool
) -> tuple[pl.DataFrame | None, list[str]]:
    """Rows of the table file `name` as Polars reads them, where DuckDB reads the same."""
    expected = TABLES[table].polars_schema
    try:
        with file.open("rb") as content:
            frame = pl.read_parquet(content)
        # reads every value: a page that does not decompress is no fault of the footer
        columns = ", ".join(f'count("{name}")' for name in frame.columns)
        rows = "read_parquet(?, hive_partitioning = false)"
        counts = connection.execute(f"select count(*), {columns} from {rows}", [[str(file)]]).fetchall()[0]
    except (pl.exceptions.PolarsError, duckdb.Error, OSError) as error:
        return None, [f"cannot be read: {str(error).splitlines()[0]}"]
    except BaseException as error:  # a Rust panic on damaged bytes derives from BaseException
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        return None, [f"cannot be read: {error}"]
    if counts != (frame.height, *(frame.height - n for n in frame.null_count().row(0))):
        return None, ["Polars and DuckDB read different rows"]
    if is_own:  # may be older than the schema
        added = [pl.lit(None, dtype=dtype).alias(name) for name, dtype in expected.items() if name not in frame.columns]
        frame = frame.with_columns(added).select(list(expected))
    if wrong := _schema_faults(frame, expected):
        return None, wrong
    if table in NAMED_BY_SOURCE:  # a build replaces a source by its files
        others = frame.filter(pl.col("source_id") != Path(name).stem)["source_id"]
        if others.len():
            return frame, [f"{others.len()} row(s) belong to another source, first {others[0]!r}"]
    return frame, []


def _knob_faults(file: Path, runs: list[pl.DataFrame]) -> Iterator[str]:
    """What is wrong with further columns of the runs of an own source."""
    try:
        frame = pl.read_parquet(file, glob=False)
    except BaseException as error:  # as above
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        yield f"cannot be read: {str(error).splitlines()[0]}"
        return
    if "run_id" not in frame.columns or frame["run_id"].is_duplicated().any():
        yield "it has not one row for each run"
        return
    known = pl.concat(part["run_id"] for part in runs) if runs else pl.Series(dtype=pl.String)
    orphans = frame.filter(~pl.col("run_id").is_in(known.implode()))
    if orphans.height:
        yield f"{orphans.height} row(s) name a run that 'runs' does not hold, first {orphans['run_id'][0]!r}"


def _row_faults(table: str, frame: pl.DataFrame, whole: dict[str, pl.DataFrame]) -> Iterator[str]:
    spec = TABLES[table]
    key = list(spec.key)
    copies = frame.filter(pl.struct(key).is_duplicated())
    if copies.height:
        yield f"key {', '.join(key)} is not unique ({copies.height} rows, first {copies.row(0)[:3]})"
    for name in dict.fromkeys((key[0], *spec.required)):
        if n_missing := frame[name].null_count():
            yield f"column {name!r} is required, but {n_missing} row(s) lack it"
    for name, target in (("run_id", "runs"), ("source_id", "sources")):
        if name not in spec.columns or table == target:
            continue
        orphans = frame.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(whole[target][name].implode()))
        if orphans.height:
            yield f"{orphans.height} row(s) name a {name} that {target!r} does not hold, first {orphans[name][0]!r}"
    for name in spec.columns:
        yield from _bound_faults(table, frame[name])
    if table in {"evals", "items"}:
        yield from _unit_faults(frame)


def _bound_faults(table: str, series: pl.Series) -> Iterator[str]:
    """Values of one column that its rules exclude."""
    column = COLUMNS[series.name]
    rules: list[tuple[pl.Series, str]] = []
    if series.dtype == pl.Float64:
        rules.append((~series.is_finite(), "not finite"))
    if column.minimum is not None:
        rules.append((series < column.minimum, f"below {column.minimum:g}"))
    if column.maximum is not None:
        rules.append((series > column.maximum, f"above {column.maximum:g}"))
    if column.choices is not None and not (table in {"published_fits", "claims"} and series.name == "unit"):
        rules.append((~series.is_in(pl.Series(column.choices, dtype=pl.String).implode()), "not among the choices"))
    for broken, rule in rules:
        bad = series.filter(broken.fill_null(False))
        if bad.len():
            yield f"column {series.name!r}: {bad.len()} value(s) {rule}, first {bad[0]!r}"


def _unit_faults(frame: pl.DataFrame) -> Iterator[str]:
    """Measured values outside the bounds of their unit, and units that their metric does not have."""
    ranges = frame.group_by("metric", "unit", maintain_order=True).agg(
        low=pl.col("value").min(), high=pl.col("value").max()
    )
    for metric, unit, low, high in ranges.iter_rows():
        if metric not in METRICS or unit not in METRICS[metric].units:
            yield f"metric {metric!r} cannot have unit {unit!r}"
            continue
        allowed = UNITS[unit]
        if (allowed.minimum is not None and low is not None and low < allowed.minimum) or (
            allowed.maximum is not None and high is not None and high > allowed.maximum
        ):
            limits = f"{allowed.minimum} to {allowed.maximum}"
            yield f"{metric!r} in {unit!r} runs from {low!r} to {high!r}, outside {limits}"


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
