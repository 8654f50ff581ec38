"""One open warehouse: the DuckDB behind it, the state that it reads, and what it keeps in memory."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from scalingdb._store import OBJECTS, scratch_folder
from scalingdb.errors import QueryError, WarehouseError
from scalingdb.published import default_path
from scalingdb.warehouse._guard import DEPTH_LIMIT, allowed_folders, lock, quote, refuse_writes, settings, too_deep
from scalingdb.warehouse._query import answer, interruptible
from scalingdb.warehouse._tables import (
    ADD_AGAIN,
    KEPT,
    Files,
    define_alone,
    define_tables,
    define_views,
    materialise,
    remedy,
)

__all__ = ["TRIES", "Session"]

EXPORT_AGAIN = "write it again with 'scalingdb export FILE.duckdb'."

NAMED_ALONE = re.compile(r'"only (?:[^"]|"")*"\.\w+')
"""A view that reads one source only: see :meth:`Session.alone`."""

TRIES = 20
"""Times that a query is asked again because a build moved the files under it."""


class Session:
    """What :class:`scalingdb.Warehouse` reads through.

    Parameters
    ----------
    path : Path
        Folder of a warehouse, or a file written by ``scalingdb export``.
    own : Path, optional
        Folder of the user's own sources.
    allow : iterable of path
        Further folders whose files a query may read.
    memory_limit : str, optional
        As DuckDB writes it: ``"4GB"``.
    time_limit : float, optional
        Seconds that a query may take.
    """

    @interruptible()
    def __init__(
        self,
        path: Path,
        own: Path | None,
        allow: Iterable[str | os.PathLike[str]],
        memory_limit: str | None,
        time_limit: float | None,
    ) -> None:
        self.path = path
        self.own = own
        self.time_limit = time_limit
        self.files = None if path.is_file() else Files(path, own)
        self._changing = threading.RLock()
        self._process = os.getpid()
        self._asked = dict.fromkeys(KEPT, 0)
        self._laws: dict[str, int] = {}
        self._waits = False
        self._alone: dict[str, str] = {}
        self._heads: tuple[list[tuple[int, ...]], pl.DataFrame] | None = None
        self._macros: frozenset[str] = frozenset()
        folders = allowed_folders(allow)
        self._scratch = contextlib.ExitStack()
        weakref.finalize(self, self._scratch.close)
        try:
            self._connection = duckdb.connect(":memory:", config=settings(memory_limit, self._spill_folder()))
        except duckdb.Error as error:
            self._scratch.close()
            raise QueryError(f"memory_limit {memory_limit!r}: {error}", "write it as '4GB'.") from error
        self._room = _half_of_memory(self._connection)
        try:
            self._open(folders)
        except WarehouseError:
            self.close()
            raise
        except (duckdb.Error, OSError) as error:
            self.close()
            if self.files is None:
                raise WarehouseError(f"{str(path)!r} is not a readable DuckDB file: {error}", EXPORT_AGAIN) from error
            raise WarehouseError(f"the warehouse at {str(path)!r} cannot be read: {error}", remedy(error)) from error

    def _spill_folder(self) -> Path | None:
        """Where DuckDB may put what memory does not hold; what dead processes left there goes first."""
        with contextlib.suppress(OSError):  # no place to write
            place = Path(tempfile.gettempdir())
            return self._scratch.enter_context(scratch_folder(place, ".scalingdb-spill-")) / "duckdb"
        return None

    def _open(self, folders: list[Path]) -> None:
        # two hundred files have a footer each: read once and again only where a file changed, half of a small query
        self._connection.execute("set parquet_metadata_cache = true").fetchall()
        if self.files is None:
            self._show_exported()
            lock(self._connection, folders)
            return
        homes = [self.path, *([] if self.own is None else [self.own])]
        parts = [home / part for home in homes for part in ("tables", "local", OBJECTS)]
        views = [part for part in parts if part.parent.resolve() != part.parent]
        lock(self._connection, [*parts, *(part.parent.resolve() / part.name for part in views), *folders])
        self._define()

    def _define(self) -> None:
        """Point the views to where the contents of this state lie."""
        assert self.files is not None
        for _ in range(TRIES):
            before = self.files.current()
            try:
                self.files.check()
                define_tables(self._connection, self.files, materialise=False)
                # those that ship are as good as this code: they wait until they are asked for, a fifth of the time
                self._waits = self.path == default_path()
                if not self._waits:
                    self._macros = define_views(self._connection, self.files)
            except (WarehouseError, duckdb.Error):
                if before != self.files.current():
                    continue
                self.files.check(columns=True)
                raise
            self.files.tokens = before
            return
        raise WarehouseError(f"the warehouse at {str(self.path)!r} is being rebuilt all the time", "try again later.")

    def _define_waiting(self) -> None:
        """Create the views that nothing has asked for until now."""
        with self._changing:
            if self._waits and self.files is not None:
                self._macros = define_views(self._connection, self.files)
                self._waits = False

    def _show_exported(self) -> None:
        """Views of the tables and views of an exported file, which is open for reading only."""
        self._connection.execute(f"attach {quote(str(self.path))} as exported (read_only)").fetchall()
        found = self._connection.execute(
            "select view_name from duckdb_views() where not internal and database_name = 'exported' "
            "union all select table_name from duckdb_tables() where not internal and database_name = 'exported'"
        ).fetchall()
        for (name,) in found:
            column = '"' + name.replace('"', '""') + '"'
            self._connection.execute(f"create view {column} as from exported.main.{column}").fetchall()

    # ---- reading ---------------------------------------------------------------------------------

    @property
    def state(self) -> tuple[Any, ...]:
        """Folders and the manifests that they hold; empty for an exported file."""
        return () if self.files is None else (self.path, self.own, *self._follow())

    @interruptible()
    def alone(self, source: str) -> str:
        """Prefix of the names of ``points`` and ``curves`` that read this source only; empty where there are none."""
        self._refuse_forks()
        with self._changing:
            if self.files is None or not self.files.is_by_source:
                return ""
            for _ in range(TRIES):
                if source in self._alone:
                    break
                tokens = self._follow()
                try:
                    self._alone[source] = define_alone(self._connection, self.files, source)
                except (WarehouseError, duckdb.Error) as error:
                    if not self._moved_since(tokens):
                        raise error if isinstance(error, WarehouseError) else self.read_error(str(error)) from error
            return f"{self._alone[source]}."

    def heads(self) -> pl.DataFrame:
        """Headline metric and evaluation set of every source; asked once for each state of the folders."""
        self._refuse_forks()
        tokens = self._follow()
        if self._heads is None or self._heads[0] != tokens:
            query = "select source_id, headline_metric, headline_eval_set from sources"
            self._heads = tokens, self.rows(query, of_tables=True)
        return self._heads[1]

    @interruptible()
    def rows(
        self,
        query: str,
        params: dict[str, Any] | None = None,
        *,
        check: bool = False,
        begun: float | None = None,
        of_tables: bool = False,
    ) -> pl.DataFrame:
        """Rows of a query; with `check`, of one that a user wrote. The time limit counts from `begun` on.

        One `of_tables`, or of :meth:`alone`, needs no view of the whole warehouse.

        A build may replace files while they are read: then the query is asked again, of the contents that this session
        opened.
        """
        self._refuse_forks()
        for attempt in range(TRIES):
            tokens = self._follow()
            try:
                if not of_tables:
                    self._define_waiting()
                self._keep(query, tokens)
                refuse = self._refuse if check else None
                frame = answer(self._connection, query, params or {}, self.time_limit, refuse, self._room, begun)
            except (duckdb.Error, pl.exceptions.ComputeError) as error:  # Polars passes on what DuckDB meets on the way
                if self._moved_since(tokens):
                    continue
                text = str(error).removeprefix("got external error: ")
                if OBJECTS in text and attempt == 0 and self.files is not None:
                    self._define_again()  # the content has its own name by now
                    continue
                raise self.read_error(text) from error
            except RecursionError as error:
                raise QueryError("a value for the query is nested too deeply", "give fewer levels.") from error
            if not self._moved_since(tokens):
                return frame
        raise WarehouseError(f"the warehouse at {str(self.path)!r} is being rebuilt all the time", "try again later.")

    def _refuse_forks(self) -> None:
        """Threads of DuckDB and Polars do not come along into a fork: what asks them there may wait for ever."""
        if os.getpid() != self._process:
            raise WarehouseError(
                "this warehouse was opened by the process that this one was forked from",
                "start processes with multiprocessing's 'spawn': Polars and DuckDB do not work on in a fork.",
            )

    def own_rows(self, table: str, source: str) -> pl.DataFrame | None:
        """Rows of a file of one of the user's own sources, in the state that was opened; None where there is none."""
        if self.files is None:
            return None
        for _ in range(TRIES):
            tokens = self._follow()
            if not self.files.are_current():  # what was replaced is kept for a while only
                self.files.check()
            file = self.files.own_file(table, source)
            try:
                frame = None if file is None else pl.read_parquet(file, glob=False)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
                if self._moved_since(tokens):
                    continue
                self.files.check()
                raise WarehouseError(
                    f"table file {str(file)!r} cannot be read: {error}", ADD_AGAIN.format(source)
                ) from error
            if not self._moved_since(tokens):
                return frame
        raise WarehouseError(f"the warehouse at {str(self.path)!r} is being rebuilt all the time", "try again later.")

    def _refuse(self, cursor: duckdb.DuckDBPyConnection, query: str) -> str:
        return refuse_writes(cursor, query, self._macros)

    def _moved_since(self, tokens: list[tuple[int, ...]]) -> bool:
        return self.files is not None and self.files.current() != tokens

    def _follow(self) -> list[tuple[int, ...]]:
        """Find the contents of this state again where a build has moved them."""
        if self.files is None:
            return []
        with self._changing:
            if self.files.current() != self.files.tokens:
                self._define_again()
            return self.files.tokens

    def _define_again(self) -> None:
        assert self.files is not None
        for _ in range(TRIES):
            tokens = self.files.current()
            try:
                self.files.check()
                define_tables(self._connection, self.files, materialise=False)
                for source in self._alone:
                    define_alone(self._connection, self.files, source)
            except (WarehouseError, duckdb.Error) as error:
                if tokens != self.files.current():
                    continue
                if isinstance(error, duckdb.Error):
                    raise self.read_error(str(error)) from error
                raise WarehouseError(
                    f"files were replaced meanwhile, and the rows opened here are gone: {error.fact}",
                    "connect again to read the present ones.",
                ) from error
            self.files.tokens = tokens
            return
        raise WarehouseError(f"the warehouse at {str(self.path)!r} is being rebuilt all the time", "try again later.")

    def _keep(self, query: str, tokens: list[tuple[int, ...]]) -> None:
        """Turn the costly views that a query needs into tables in memory, from its second query on.

        A first question about one source is answered faster by reading that source only (those of :meth:`alone` read
        nothing else); whoever asks again will ask more. A file written by :meth:`Warehouse.export` holds these tables
        already.
        """
        if self.files is None:
            return
        query = NAMED_ALONE.sub("", query)
        for view, needed in KEPT.items():
            if self._asked[view] > 1 or needed.search(query) is None:
                continue
            with self._changing:
                self._asked[view] += 1
                # files of another state than that of `tokens`: with the next query
                if self._asked[view] == 2 and not materialise(
                    self._connection, view, lambda: not self._moved_since(tokens)
                ):
                    self._asked[view] = 1

    def read_error(self, text: str) -> Exception:
        """What DuckDB reported of a query, as an error of ours."""
        if DEPTH_LIMIT.search(text):
            return too_deep()
        if self.files is not None:
            try:
                self.files.check(
                    columns=True
                )  # a column that a file lost since connect() looks like one that never was
            except WarehouseError as damaged:
                return damaged
        if str(self.path) not in text:  # may be one of the user's own files
            first, _, rest = text.partition("\n")
            if "file system operations are disabled" in first:
                return QueryError(
                    first,
                    "a query reads the files of the warehouse only; allow others with connect(allow=[FOLDER]) "
                    "or 'scalingdb sql --allow FOLDER'.",
                )
            hint = rest.strip() or "db.tables() lists the tables and views; warehouse/README.md describes every column."
            return QueryError(first, hint)
        hint = EXPORT_AGAIN if self.files is None else remedy(text)
        return WarehouseError(f"a table file cannot be read: {text}", hint)

    # ---- laws ------------------------------------------------------------------------------------

    @interruptible()
    def install_laws(self) -> None:
        """Create a SQL macro for every law and every coefficient set that this warehouse has of it."""
        from scalingdb.law_library import all_laws

        with self._changing:
            laws = {name: law for name, law in all_laws().items() if self._laws.get(name) != id(law)}
            if not laws:
                return
            for statement in self.macros(list(laws.values())):
                self._connection.execute(statement).fetchall()
            self._laws |= {name: id(law) for name, law in laws.items()}

    def macros(self, laws: Iterable[Any]) -> list[str]:
        """Statements that create the macros of `laws`, with the coefficients of this warehouse."""
        from scalingdb.law_library import macro_statements, published_sets_from

        rows = self.rows("select * from published_fits")
        return [text for law in laws for text in macro_statements(law, published_sets_from(rows, law))]

    # ---- the rest --------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """Names of all tables and views."""
        query = """
            select view_name from duckdb_views()
            where not internal and database_name = 'memory' and schema_name = 'main'
            union all select table_name from duckdb_tables() where not internal and database_name = 'memory'
            order by 1
        """
        return self.rows(query)["view_name"].to_list()

    def close(self) -> None:
        """Close the connection and remove what it put on the disk while memory was short.

        Raises
        ------
        WarehouseError
            If another thread keeps the connection busy for five seconds.
        """
        if os.getpid() != self._process:  # a fork: the connection is its parent's
            return
        for left in range(500, -1, -1):
            try:
                self._connection.close()
                break
            except duckdb.Error as error:  # another thread is about to begin a query
                if not left:
                    raise WarehouseError(f"cannot be closed: {error}", "end the queries of other threads.") from error
                time.sleep(0.01)
        self._scratch.close()


def _half_of_memory(connection: duckdb.DuckDBPyConnection) -> int | None:
    """Bytes that the rows of an answer may take: DuckDB's limit is for its own tables, and rows may be copied once."""
    ((text,),) = connection.execute("select current_setting('memory_limit')").fetchall()
    found = re.fullmatch(r"([\d.]+) (bytes|[KMGTP]iB)", str(text))
    return int(float(found[1]) * 1024 ** "bKMGTP".index(found[2][0]) / 2) if found else None


WORD = re.compile(r"\blaw_\w", re.IGNORECASE)
"""A query that may need the macros of the laws."""
