"""Tables and views of a warehouse folder, as DuckDB sees them."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path

import duckdb
import polars as pl

from scalingdb._store import State, read_state
from scalingdb.errors import QueryError, WarehouseError
from scalingdb.notices import notice
from scalingdb.published import default_path
from scalingdb.schema import METRICS, TABLES, UNITS, polars_schema
from scalingdb.warehouse._guard import quote, refuse_writes, statements_of

__all__ = [
    "ADD_AGAIN",
    "KEPT",
    "RESTORE",
    "Files",
    "define_alone",
    "define_tables",
    "define_views",
    "materialise",
    "remedy",
]

NEW_COLUMN = (
    "a new column of the schema comes into the shipped tables with 'scalingdb build --without-raw'; else restore the "
    "file with 'git checkout -- warehouse' or reinstall the package."
)
RESTORE = (
    "restore the file with 'git checkout -- warehouse', reinstall the package, or rebuild it with 'scalingdb build'."
)
ADD_AGAIN = "add it again: 'scalingdb add --remove {0}', then 'scalingdb add'."
SQL_TYPES = {
    pl.String: "varchar",
    pl.Float64: "double",
    pl.Int64: "bigint",
    pl.Boolean: "boolean",
    pl.Date: "date",
}
MOST_VIEWS = 64
"""Checked texts of view files that a process keeps."""

VIEW_ORDER = ("curves", "last_losses", "points", "repeated_points", "scores", "repeated_scores")
"""Views that others build on come first; those of further files follow in alphabetical order."""
KEPT = {
    "last_losses": re.compile(r"\b(?:points|last_losses|repeated_points|points_unique)\b", re.IGNORECASE),
    "repeated_points": re.compile(r"\b(?:repeated_points|points_unique)\b", re.IGNORECASE),
    "repeated_scores": re.compile(r"\b(?:repeated_scores|scores_unique)\b", re.IGNORECASE),
}
"""Costly views, and the queries that need them: the second such query of a connection keeps their rows in memory."""

ALONE = ("curves", "last_losses", "points")
"""Views whose rows of a source depend on the rows of that source alone, which lie in the tables of :data:`ALONE_IN`."""
ALONE_IN = ("evals", "runs", "sources")

Columns = dict[str, pl.DataType | type[pl.DataType]]


APART = tuple(f"tables/{table}/" for table in ("claims", "published_fits", "raw_files"))
"""Tables whose contents no run or score depends on."""


class Files:
    """The files of a warehouse in the state that they had when it was opened.

    Parameters
    ----------
    path : Path
        Folder of the warehouse, with ``tables/``, ``views/`` and perhaps ``local/``.
    own : Path, optional
        Folder of the user's own sources.
    """

    def __init__(self, path: Path, own: Path | None = None) -> None:
        self.path = path
        self.own = own
        self.shipped = read_state(path)
        self.local = read_state(path / "local")
        self.added = None if own is None else read_state(own)
        self.tokens = [state.token for state in self._states()]

    def _states(self) -> list[State]:
        return [state for state in (self.shipped, self.local, self.added) if state is not None]

    def current(self) -> list[tuple[int, ...]]:
        """Identity of the states that the folders have now; another one, and contents may lie elsewhere."""
        return [state.current_token() if state.token else () for state in self._states()]

    def are_current(self) -> bool:
        """Whether the folders still have the state that they had when they were opened."""
        return all(state.is_current() for state in self._states())

    def fingerprint(self) -> str:
        """Hash of all contents but those that no run or score depends on; empty where a manifest is missing."""
        listed = []
        for state in self._states():
            if not _is_listed(state):
                return ""
            entries = {name: entry.sha256 for name, entry in (state.entries or {}).items()}
            listed.append(sorted(item for item in entries.items() if not item[0].startswith(APART)))
        return hashlib.sha256(repr([part for part in listed if part]).encode()).hexdigest()

    def shipped_fingerprint(self, sources: Collection[str]) -> str:
        """Hash of the views and of what ships of some sources; empty where the manifest is missing."""
        if self.shipped.entries is None:
            return ""
        listed = [
            (name, entry.sha256)
            for name, entry in self.shipped.entries.items()
            if name.startswith("views/") or (Path(name).stem in sources and not name.startswith("tables/raw_files/"))
        ]
        return hashlib.sha256(repr(sorted(listed)).encode()).hexdigest()

    @functools.cached_property
    def is_by_source(self) -> bool:
        """Whether every file holds one source, by its name, and the views are those that ship."""
        if not all(map(_is_listed, self._states())):  # not written by a build
            return False
        shipped = default_path()
        if self.path == shipped:
            return True
        ours, theirs = self.views(), read_state(shipped).files("views/*.sql")
        return all(
            name in ours and ours[name].read_bytes() == theirs[f"views/{name}.sql"].read_bytes() for name in ALONE
        )

    def table(self, name: str, source: str | None = None) -> list[Path]:
        """Files of one table, or of one source in it: shipped ones, and those built locally beside them."""
        pattern = f"{name}/*.parquet"
        found = self.shipped.files(f"tables/{pattern}") | self.local.files(pattern)
        # contents may lie elsewhere under other names: the manifest's count
        return [file for key, file in found.items() if source is None or key.endswith(f"{name}/{source}.parquet")]

    def own_table(self, name: str, source: str | None = None) -> list[Path]:
        """Files of one table that the user's own sources have, and the warehouse has none of this name."""
        if self.added is None:
            return []
        files = self.added.files(f"tables/{name}/*.parquet")
        names = [own for own in self._own_sources if source in {None, own}]
        return [files[key] for own in names if (key := f"tables/{name}/{own}.parquet") in files]

    def own_file(self, name: str, source: str) -> Path | None:
        """File of one table of one of the user's own sources."""
        if self.added is None:
            return None
        return self.added.files(f"tables/{name}/*.parquet").get(f"tables/{name}/{source}.parquet")

    @functools.cached_property
    def _own_sources(self) -> list[str]:
        assert self.added is not None
        found = [Path(name).stem for name in self.added.files("tables/sources/*.parquet")]
        held = self.table("sources")
        if not found or not held:
            return found
        shipped = pl.scan_parquet(held, glob=False, extra_columns="ignore", missing_columns="insert")
        curated = set(shipped.select("source_id").collect().to_series())
        if twice := [name for name in found if name in curated]:
            notice(
                f"own source(s) {', '.join(map(repr, twice))} left out: the warehouse now has its own of this name "
                f"(scalingdb add --remove {twice[0]} takes yours out, to be added again under another name)",
                once=True,
            )
        return [name for name in found if name not in curated]

    def views(self) -> dict[str, Path]:
        """Files of the views by name; those of the shipped warehouse where the folder has none."""
        found = self.shipped.files("views/*.sql")
        if not found:
            found = read_state(default_path()).files("views/*.sql")
        return {Path(name).stem: file for name, file in found.items()}

    def check(self, *, columns: bool = False) -> None:
        """Refuse a file that is missing, has another size than its manifest says, or lacks columns of its table.

        Columns are looked at where no manifest vouches for the files, or where asked.

        Raises
        ------
        WarehouseError
        """
        for state in self._states():
            hint = RESTORE if state is not self.added else ADD_AGAIN
            look, folder = state.has_objects(), str(state.folder)
            now = None if state.is_current() else read_state(state.folder).entries or {}
            for name, entry in (state.entries or {}).items():
                # strings: a Path for each of four hundred files is a fifth of the time to connect
                place = str(state.path(name)) if look else f"{folder}/{name}"
                _check_size(place, f"{folder}/{name}", entry.size, hint.format(Path(name).stem))
                if now is not None and place == f"{folder}/{name}" and now.get(name) != entry:
                    raise WarehouseError(f"file {place!r} holds other rows now", hint.format(Path(name).stem))
        for table in TABLES:
            if columns or self.shipped.entries is None:
                for file in self.table(table):
                    _check_columns(file, polars_schema(table))


def _is_listed(state: State) -> bool:
    """Whether a manifest lists the files, if there are any."""
    return state.entries is not None or next(state.folder.rglob("*.parquet"), None) is None


def remedy(error: Exception | str, damaged: str = RESTORE) -> str:
    """What to do about a file that cannot be read: it need not be `damaged`."""
    text = str(error)
    if os.strerror(errno.EMFILE) in text:
        return "close files that are open, or allow more of them ('ulimit -n')."
    return "see that you may read it." if os.strerror(errno.EACCES) in text else damaged


def _check_size(file: str, named: str, size: int, hint: str) -> None:
    try:
        found = os.stat(file).st_size  # noqa: PTH116 - see above
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise WarehouseError(f"file {str(Path(named))!r} cannot be read: {error}", remedy(error, hint)) from error
        raise WarehouseError(f"file {str(Path(named))!r} is missing", hint) from error
    if found != size:
        raise WarehouseError(f"file {str(Path(named))!r} is damaged: it has {found:,} bytes, not {size:,}", hint)


def _check_columns(file: Path, columns: Columns) -> None:
    """Refuse a table file that is damaged or does not have the columns and types of its table."""
    try:
        with file.open("rb") as content:  # a handle, because Polars reads '*' and '[' in a path as a pattern
            found = pl.read_parquet_schema(content)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise WarehouseError(f"table file {str(file)!r} cannot be read: {error}", remedy(error)) from error
    for name, dtype in columns.items():
        if name not in found:
            raise WarehouseError(f"table file {str(file)!r} has no column {name!r}", NEW_COLUMN)
        if found[name] != dtype:
            raise WarehouseError(
                f"table file {str(file)!r}: column {name!r} has type {found[name]}, not {dtype}", RESTORE
            )


def _select_own(file: Path, columns: Columns) -> str:
    """SELECT of one table file of a user's own source, which may be older than the schema."""
    hint = ADD_AGAIN.format(file.stem)
    try:
        with file.open("rb") as content:
            found = pl.read_parquet_schema(content)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise WarehouseError(f"table file {str(file)!r} cannot be read: {error}", hint) from error
    for name, dtype in columns.items():
        if found.get(name, dtype) != dtype:
            raise WarehouseError(f"table file {str(file)!r}: column {name!r} has type {found[name]}, not {dtype}", hint)
    chosen = (
        _column(name) if name in found else f"null::{SQL_TYPES[dtype]} as {_column(name)}"  # type: ignore[index]
        for name, dtype in columns.items()
    )
    return f"select {', '.join(chosen)} from {_rows_of([file])}"


def _rows_of(files: list[Path]) -> str:
    """Table files in SQL. A folder above them called 'source_id=x' is no column, as DuckDB would have it."""
    return f"read_parquet([{', '.join(quote(str(file)) for file in files)}], hive_partitioning = false)"


def _column(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def define_views(connection: duckdb.DuckDBPyConnection, files: Files) -> frozenset[str]:
    """Create the views built on the tables; return the names of the table macros that they bring."""
    found = files.views()
    macros: list[str] = []
    for name in [name for name in VIEW_ORDER if name in found] + sorted(set(found) - set(VIEW_ORDER)):
        _define_view(connection, name, found[name], macros)
    return frozenset(macros)


def define_tables(connection: duckdb.DuckDBPyConnection, files: Files, *, materialise: bool) -> None:
    """Create the tables of the schema: as views over the files, or with their rows."""
    kind = "table" if materialise else "view"
    for table in TABLES:
        rows = _select(table, files.table(table), files.own_table(table))
        connection.execute(f"create or replace {kind} {table} as {rows}").fetchall()
    for name, select in (("units", _units()), ("metrics", _metrics())):
        connection.execute(f"create or replace {kind} {name} as {select}").fetchall()


def _select(table: str, held: list[Path], own: list[Path]) -> str:
    """Rows of a table: of files that ship or were built, and of those of the user's own sources."""
    columns = polars_schema(table)
    parts = [f"select {', '.join(map(_column, columns))} from {_rows_of(held)}"] if held else []
    parts += [_select_own(file, columns) for file in own]
    if not parts:
        nothing = ", ".join(f"null::{SQL_TYPES[dtype]} as {_column(name)}" for name, dtype in columns.items())  # type: ignore[index]
        parts.append(f"select {nothing} where false")
    return " union all ".join(parts)


def define_alone(connection: duckdb.DuckDBPyConnection, files: Files, source: str) -> str:
    """Create the views :data:`ALONE` over the files of one source, in a schema of their own; return its name.

    DuckDB looks for what a view names in the schema of the view first. A file is opened for a twentieth of the files.
    """
    schema = _column(f"only {source}")
    connection.execute(f"create schema if not exists {schema}").fetchall()
    for table in ALONE_IN:
        rows = _select(table, files.table(table, source), files.own_table(table, source))
        connection.execute(f"create or replace view {schema}.{table} as {rows}").fetchall()
    views, macros = files.views(), list[str]()
    for name in (name for name in VIEW_ORDER if name in ALONE):
        _define_view(connection, name, views[name], macros, f"{schema}.")
    return schema


def _units() -> str:
    rows = ", ".join(
        f"({quote(u.name)}, {quote(u.meaning)}, {'null' if u.nats_factor is None else repr(u.nats_factor)}::double)"
        for u in UNITS.values()
    )
    return f"select * from (values {rows}) as t(unit, meaning, nats_factor)"


def _metrics() -> str:
    rows = ", ".join(
        f"({quote(m.name)}, {quote(m.kind)}, {quote(m.meaning)}, {str(m.higher_is_better).lower()})"
        for m in METRICS.values()
    )
    return f"select * from (values {rows}) as t(metric, kind, meaning, higher_is_better)"


_DEFINITION = re.compile(
    r"(?>\s+|--[^\n]*\n|/\*.*?\*/)*+(?P<head>create\s+or\s+replace\s+(?:view\s+(?P<view>\w+)|macro\s+(?P<macro>\w+)\([\w\s,]*\))\s+as\b"
    r"(?(view)|\s+table\b))",
    re.IGNORECASE | re.DOTALL,
)
"""How a statement of a view file begins; what follows is the query."""


_checked_views: dict[tuple[str, tuple[str, ...]], list[tuple[re.Match[str], str]]] = {}
"""Definitions in the texts of view files and the macros that these may call, once they were looked at: a program may
connect often."""


def _define_view(
    connection: duckdb.DuckDBPyConnection, name: str, file: Path, macros: list[str], schema: str = ""
) -> None:
    """Create the view and the macros of a file; whatever else the file may ask for does not happen."""
    key = file.read_text(encoding="utf-8"), tuple(macros)
    definitions = _checked_views.get(key)
    views: list[str] = []
    if definitions is None:
        definitions = _definitions(connection, file, *key)
        if len(_checked_views) < MOST_VIEWS:
            _checked_views[key] = definitions
    for found, query in definitions:
        kind = "macro" if found["view"] is None else "view"
        before, after = (
            found.string[found.start("head") : found.start(kind)],
            found.string[found.start(kind) : found.end("head")],
        )
        # no other text than the one that was checked
        connection.execute(f"{before}{schema}{after} {query}").fetchall()
        (macros if kind == "macro" else views).append(found[kind])
    if views != [name]:
        raise WarehouseError(f"view file {str(file)!r} does not create the view {name!r}", RESTORE)


def _definitions(
    connection: duckdb.DuckDBPyConnection, file: Path, text: str, macros: tuple[str, ...]
) -> list[tuple[re.Match[str], str]]:
    """How each definition of a view file begins, and its query, which was checked."""
    try:
        statements = statements_of(text)
    except QueryError as error:
        raise WarehouseError(f"view file {str(file)!r} cannot be read: {error.fact}", RESTORE) from error
    checked = []
    known = set(macros)
    for statement in statements:
        found = _DEFINITION.match(statement.query)
        if found is None:
            raise WarehouseError(f"view file {str(file)!r} does more than create views and table macros", RESTORE)
        checked.append((found, refuse_writes(connection, statement.query[found.end() :], frozenset(known))))
        known |= {found["macro"]} - {None}
    return checked


def materialise(
    connection: duckdb.DuckDBPyConnection, view: str, is_current: Callable[[], bool] = lambda: True
) -> bool:
    """Replace a view by a table of its rows, where there is such a view (a warehouse folder may lack it).

    Returns
    -------
    bool
        False, and nothing has changed, where `is_current` says that the files were others by the end.
    """
    found = "select count(*) from duckdb_views() where not internal and schema_name = 'main' and view_name = ?"
    if connection.execute(found, [view]).fetchall() == [(0,)]:
        return True
    scratch = _column(f"{view} kept")
    connection.execute("begin transaction").fetchall()
    try:
        connection.execute(f"create table {scratch} as from {view}").fetchall()
        if not is_current():
            connection.execute("rollback").fetchall()
            return False
        connection.execute(f"drop view {view}").fetchall()
        connection.execute(f"alter table {scratch} rename to {view}").fetchall()
    except BaseException:
        connection.execute("rollback").fetchall()
        raise
    connection.execute("commit").fetchall()
    return True
