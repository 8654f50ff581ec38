"""Read the warehouse: DuckDB over Parquet, results as Polars frames.

Parquet is the truth. :func:`connect` opens an in-memory DuckDB with views over the files, so any
number of readers work at once, nothing needs a lock and nothing can be corrupted. A
:class:`Warehouse` only reads.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from scalingdb._stream import ArrowStream
from scalingdb.errors import DataError, QueryError, ReadOnlyError, WarehouseError, unknown_name
from scalingdb.notices import notice
from scalingdb.published import default_path, table_files
from scalingdb.schema import METRICS, TABLES, UNITS, polars_schema

__all__ = ["Warehouse", "connect", "local_folder"]

_READ_STATEMENTS = {
    duckdb.StatementType.SELECT,
    duckdb.StatementType.EXPLAIN,
    duckdb.StatementType.RELATION,
    duckdb.StatementType.LOGICAL_PLAN,
}
_GAP = r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*"
_EXPLAIN = re.compile(rf"{_GAP}explain\b{_GAP}(?:analyze\b{_GAP})?(?P<options>\([^()]*\))?", re.IGNORECASE | re.DOTALL)
"""EXPLAIN ANALYZE runs what it explains, so that too must be a query."""
_RESTORE = (
    "restore the file with 'git checkout -- warehouse/tables', reinstall the package, "
    "or rebuild it with 'scalingdb build'."
)
_EXPORT = "write it anew with 'scalingdb export FILE.duckdb'."
SQL_TYPES = {
    pl.String: "varchar",
    pl.Float64: "double",
    pl.Int64: "bigint",
    pl.Boolean: "boolean",
    pl.Date: "date",
}
VIEW_ORDER = ("curves", "last_losses", "points", "repeated_points", "scores", "repeated_scores")
"""Views that others build on come first; those of further files follow in alphabetical order."""
KEPT = {
    "last_losses": re.compile(r"\b(?:points|last_losses|repeated_points|points_unique)\b", re.IGNORECASE),
    "repeated_points": re.compile(r"\b(?:repeated_points|points_unique)\b", re.IGNORECASE),
    "repeated_scores": re.compile(r"\b(?:repeated_scores|scores_unique)\b", re.IGNORECASE),
}
"""Costly views, and the queries that need them: the second such query of a connection keeps their rows in memory."""


def local_folder() -> Path:
    """Folder of the sources that this user added: ``$SCALINGDB_LOCAL``, else the user's data folder."""
    named = os.environ.get("SCALINGDB_LOCAL")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_data_dir("scalingdb", appauthor=False))


def _own_sources(path: Path, own: Path | None) -> list[str]:
    """Names of the user's sources that `own` holds and the warehouse does not."""
    if own is None:
        return []
    found = [file.stem for file in sorted((own / "tables" / "sources").glob("*.parquet"))]
    if not found:
        return []
    files = table_files(path, "sources")
    curated = {name for file in files for name in pl.read_parquet(file, columns=["source_id"], glob=False).to_series()}
    if twice := [name for name in found if name in curated]:
        notice(
            f"own source(s) {', '.join(map(repr, twice))} left out: the warehouse now has its own of this name "
            f"(scalingdb add --remove {twice[0]} takes yours out, to be added again under another name)"
        )
    return [name for name in found if name not in curated]


def _select_own(file: Path, columns: dict[str, pl.DataType | type[pl.DataType]]) -> str:
    """SELECT of one table file of a user's own source, which may be older than the schema."""
    hint = f"add it anew: 'scalingdb add --remove {file.stem}', then 'scalingdb add'."
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
    return f"select {', '.join(chosen)} from read_parquet([{_quote(str(file))}])"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _column(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Warehouse:
    """The curated tables, ready for SQL. Made by :func:`connect`; reads only.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> db = sdb.connect()
    >>> db.sql("select count(*) as n from runs where source_id = $source", source="epoch_chinchilla").item()
    245
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, own: Path | None = None) -> None:
        self._connection = connection
        self._path = path
        self._own = own
        self._laws_installed: dict[str, int] = {}
        self._asked = dict.fromkeys(KEPT, 0)

    def __repr__(self) -> str:
        try:
            names = ", ".join(self.tables())
        except duckdb.Error:
            names = "closed"
        return f"<Warehouse {self._path.name}: {names}>"

    # ---- SQL -------------------------------------------------------------------------------

    def sql(self, query: str, **params: Any) -> pl.DataFrame:
        """Run a query and return its rows.

        Parameters
        ----------
        query : str
            One SELECT (or EXPLAIN) in DuckDB's dialect over tables, views and law macros.
        **params
            Values for ``$name`` placeholders.

        Returns
        -------
        DataFrame
            Whole-number decimals (DuckDB's ``sum`` of integers) arrive as Int64.

        Raises
        ------
        ReadOnlyError
            If the statement would write.
        QueryError
            If DuckDB refuses the query; the message is DuckDB's.
        WarehouseError
            If a Parquet file cannot be read.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> round(sdb.connect().sql("select law_chinchilla(7e9, 1.4e12) as loss").item(), 3)
        2.074
        """
        self._refuse_writes(query)
        if re.search(r"\blaw_\w", query, re.IGNORECASE):
            self.install_laws()
        return self._run(query, params)

    def _refuse_writes(self, query: str) -> None:
        try:
            statements = duckdb.extract_statements(query)
        except duckdb.Error as error:
            raise _query_error(str(error)) from error
        if not statements:
            raise QueryError("the query is empty", "write a SELECT, such as 'select * from sources'.")
        if len(statements) > 1:
            raise QueryError(f"{len(statements)} statements in one query", "run them one at a time.")
        kind = statements[0].type
        if kind == duckdb.StatementType.MULTI:
            raise QueryError(
                "PIVOT without a list of values is two statements in one query",
                "name the values: pivot ... on metric in ('loss', 'acc') using ...; or pivot the frame in Polars.",
            )
        if kind not in _READ_STATEMENTS or not _explains_a_query(statements[0]):
            raise ReadOnlyError(
                f"the warehouse is read-only: a statement of type {kind.name} cannot run",
                "select what you need; to change tables, write an own database with 'scalingdb export FILE.duckdb'.",
            )

    def _run(self, query: str, params: dict[str, Any]) -> pl.DataFrame:
        try:
            self._keep(query)
            relation = self._connection.sql(query, params=params or None)
            if relation is None:
                return pl.DataFrame()
            # through the Arrow C interface: relation.pl() would import pyarrow, a tenth of a second more
            frame = pl.DataFrame(ArrowStream(relation))
        except (duckdb.Error, pl.exceptions.ComputeError) as error:  # Polars passes on what DuckDB meets on the way
            raise self._read_error(str(error).removeprefix("got external error: ")) from error
        return frame.with_columns(_plain_number(frame[name]) for name in frame.select(pl.selectors.decimal()).columns)

    def _keep(self, query: str) -> None:
        """Turn the costly views that a query needs into tables in memory, from its second query on.

        A first question about one source is answered faster by reading that source only; whoever asks again
        will ask more. A file written by :meth:`export` holds these tables already.
        """
        for view, needed in KEPT.items():
            if self._path.is_file() or needed.search(query) is None:
                continue
            self._asked[view] += 1
            if self._asked[view] == 2:
                _materialise(self._connection, view)

    def _read_error(self, text: str) -> Exception:
        try:
            _check_files(self._path)  # a column that a file lost since connect() looks like one that never was
        except WarehouseError as damaged:
            return damaged
        if str(self._path) not in text:  # may be one of the user's own files
            return _query_error(text)
        return WarehouseError(f"a table file cannot be read: {text}", _RESTORE if self._path.is_dir() else _EXPORT)

    def install_laws(self) -> None:
        """Create a SQL macro for every law and published variant (done at the first use of one)."""
        from scalingdb.law_library import all_laws

        for name, entry in all_laws().items():
            if self._laws_installed.get(name) == id(entry):
                continue
            for statement in entry.sql_macros():  # temporary: an exported file is opened read-only
                self._connection.execute(statement.replace("macro", "temp macro", 1)).fetchall()
            self._laws_installed[name] = id(entry)

    # ---- tables ----------------------------------------------------------------------------

    def tables(self) -> list[str]:
        """Names of all tables and views."""
        query = """
            select view_name from duckdb_views() where not internal
            union all select table_name from duckdb_tables() where not internal
            order by 1
        """
        return [row[0] for row in self._connection.sql(query).fetchall()]

    def table(self, name: str) -> pl.DataFrame:
        """A whole table or view.

        Raises
        ------
        UnknownNameError
            If there is none of this name.
        """
        known = self.tables()
        if name not in known:
            raise unknown_name("table", name, known)
        return self._run(f"select * from {_column(name)}", {})

    def sources(self) -> pl.DataFrame:
        """One row a source: what it is, how much of it is here, licence, and whether it ships.

        Sources that hold runs come first; the others are held for their coefficients or findings.

        Returns
        -------
        DataFrame
            Among others ``source_id, title, year, arxiv_id, n_runs, n_evals, n_items, n_flagged``,
            ``n_claims`` (findings that its paper states), ``n_claims_testable`` (findings, of whatever
            paper, that its rows can test: those that `claims.test_source` gives to it), ``licence``
            and ``is_shipped``.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> sources = sdb.connect().sources()
        >>> sources.filter(sources["source_id"] == "gadre_overtraining")["n_claims"].item()
        6
        """
        return self._run(
            """
            select s.source_id, s.title, s.year, s.arxiv_id,
                   coalesce(r.n_runs, 0)::bigint as n_runs, coalesce(e.n_evals, 0)::bigint as n_evals,
                   coalesce(i.n_items, 0)::bigint as n_items, coalesce(e.n_flagged, 0)::bigint as n_flagged,
                   coalesce(c.n_claims, 0)::bigint as n_claims,
                   coalesce(t.n_claims_testable, 0)::bigint as n_claims_testable,
                   s.headline_metric, s.headline_eval_set, s.n_definition, s.licence, s.is_shipped,
                   s.repository, s.upstream_commit, s.notes
            from sources s
            left join (select source_id, count(*) as n_runs from runs group by all) r using (source_id)
            left join (select source_id, count(*) as n_evals, count(flag) as n_flagged from evals group by all) e
                using (source_id)
            left join (select source_id, count(*) as n_items from items group by all) i using (source_id)
            left join (select source_id, count(*) as n_claims from claims group by all) c using (source_id)
            left join (
                select source_id, count(*) as n_claims_testable
                from (select unnest(string_split(test_source, ';')) as source_id from claims)
                group by all
            ) t using (source_id)
            order by n_runs = 0, s.source_id
            """,
            {},
        )

    def points(
        self,
        source: str | Sequence[str],
        metric: str | None = None,
        *,
        eval_set: str | None = None,
        study: str | None = None,
        family: str | None = None,
        split: str | None = None,
        flagged: bool = False,
    ) -> pl.DataFrame:
        """Final loss of every run of a source: one row a run (and evaluation set, where it has several).

        Parameters
        ----------
        source : str or list of str
        metric : str, optional
            The source's headline metric unless given.
        eval_set : str, optional
            The source's headline set unless given; ``"*"`` for all of them.
        study, family : str, optional
            Part of a source, group of runs trained alike.
        split : str, optional
            ``"fit"`` or ``"validation"``, where the source's analysis makes this division.
        flagged : bool
            Keep rows that the authors or we set aside. Left out by default; a notice says how many.

        Returns
        -------
        DataFrame
            Among others ``run_id, source_id, family, n_params, n_params_non_embedding,
            n_params_active, n_tokens, train_flops, train_flops_6nd``, ``loss`` (in `unit`),
            ``loss_nats`` (null where the unit does not convert), ``metric, unit, eval_set, split,
            flag``, and ``n_definition``: which of the counts the source calls N.

        Raises
        ------
        UnknownNameError
            For an unknown source, metric, evaluation set, study or family.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> sdb.connect().points("epoch_chinchilla").height
        240
        """
        return self._losses("points", source, metric, eval_set, study, family, split, flagged)

    def curves(
        self,
        source: str | Sequence[str],
        metric: str | None = None,
        *,
        eval_set: str | None = None,
        study: str | None = None,
        family: str | None = None,
        split: str | None = None,
        flagged: bool = False,
    ) -> pl.DataFrame:
        """Loss at every reported step: as :meth:`points`, with all checkpoints and ``step``."""
        return self._losses("curves", source, metric, eval_set, study, family, split, flagged)

    def _losses(
        self,
        view: str,
        source: str | Sequence[str],
        metric: str | None,
        eval_set: str | None,
        study: str | None,
        family: str | None,
        split: str | None,
        flagged: bool,
    ) -> pl.DataFrame:
        names = [source] if isinstance(source, str) else list(dict.fromkeys(source))
        if not names:
            raise DataError("no source is given", "name at least one: db.sources() lists them.")
        known = {
            row["source_id"]: row
            for row in self._run("select source_id, headline_metric, headline_eval_set from sources", {}).iter_rows(
                named=True
            )
        }
        frames, n_flagged = [], 0
        for name in names:
            if name not in known:
                raise unknown_name("source", name, known)
            kind = metric or known[name]["headline_metric"]
            if kind is None:
                fits = self._run("select 1 from published_fits where source_id = $source limit 1", {"source": name})
                held, table = ("findings", "claims") if fits.is_empty() else ("coefficients", "published_fits")
                raise DataError(
                    f"source {name!r} holds no measurements, only published {held}",
                    f'see db.sql("select * from {table}").',
                )
            if kind in METRICS and METRICS[kind].kind == "score":
                raise DataError(
                    f"metric {kind!r} of source {name!r} is a downstream score, not a loss",
                    f"use db.sql(\"select * from scores where source_id = '{name}'\").",
                )
            headline_set = known[name]["headline_eval_set"] if kind == known[name]["headline_metric"] else None
            wanted_set = eval_set or headline_set
            wanted = {
                "metric": kind,
                "eval_set": None if wanted_set == "*" else wanted_set,
                "study": study,
                "family": family,
                "split": split,
            }
            chosen = {column: value for column, value in wanted.items() if value is not None}
            where = " and ".join(f"{column} = ${column}" for column in chosen)
            frame = self._run(
                f"select * from {view} where source_id = $source and {where} "
                "order by run_id, metric, eval_set, split, n_shots, n_tokens, n_examples, step",
                {"source": name, **chosen},
            )
            if frame.is_empty():
                self._explain_empty(view, name, chosen)
            if not flagged:
                n_flagged += frame["flag"].count()
                frame = frame.filter(pl.col("flag").is_null())
            frames.append(frame)
        result = pl.concat(frames)
        if n_flagged:
            notice(
                f"{view}({', '.join(map(repr, names))}): {result.height} rows; {n_flagged} flagged rows left out "
                "(flagged=True keeps them, column 'flag_reason' says why)"
            )
        return result

    def _explain_empty(self, view: str, source: str, chosen: dict[str, str]) -> None:
        """Name the first condition that no row of the source meets."""
        for column, value in chosen.items():
            choices = self._run(
                f"select distinct {column} as value from {view} where source_id = $source and {column} is not null",
                {"source": source},
            )["value"].to_list()
            if value not in choices:
                raise unknown_name(column, value, choices, f"(of source {source!r})")
        conditions = ", ".join(f"{column}={value!r}" for column, value in chosen.items())
        raise DataError(
            f"source {source!r} has no rows with {conditions} together",
            f'see which go together: db.sql("select distinct metric, eval_set, study, family, split from {view} '
            f"where source_id = '{source}'\").",
        )

    # ---- export ----------------------------------------------------------------------------

    def export(self, file: str | os.PathLike[str]) -> Path:
        """Write a standalone DuckDB file with all tables, views and law macros.

        The file is written beside its target and moved into place when it is complete.

        Raises
        ------
        WarehouseError
            If the target cannot be written.
        """
        target = Path(file)
        if not target.parent.is_dir():
            raise WarehouseError(f"folder {str(target.parent)!r} does not exist", "create it, or choose another one.")
        from scalingdb.law_library import all_laws

        try:
            with tempfile.TemporaryDirectory(prefix=".exporting-", dir=target.parent) as folder:
                scratch = Path(folder) / "export.duckdb"
                if self._path.is_file():
                    shutil.copyfile(self._path, scratch)
                    scratch.replace(target)
                    return target
                with duckdb.connect(str(scratch)) as database:
                    _define_tables(database, self._path, self._own, materialise=True)
                    _define_views(database, self._path)
                    for view in KEPT:
                        _materialise(database, view)
                    for entry in all_laws().values():
                        for statement in entry.sql_macros():
                            database.execute(statement).fetchall()
                scratch.replace(target)
        except WarehouseError:
            raise
        except (OSError, duckdb.Error) as error:
            raise WarehouseError(
                f"cannot write {str(target)!r}: {error}", "choose a writable place with enough room."
            ) from error
        return target

    def close(self) -> None:
        """Close the connection. Frames that were read stay valid."""
        self._connection.close()

    def __enter__(self) -> Warehouse:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _query_error(text: str) -> QueryError:
    first, _, rest = text.partition("\n")
    hint = rest.strip() or "db.tables() lists the tables and views; warehouse/README.md describes every column."
    return QueryError(first, hint)


def _explains_a_query(statement: duckdb.Statement) -> bool:
    """Whether a statement is no EXPLAIN, or explains a SELECT. Anything in doubt counts as no."""
    if statement.type != duckdb.StatementType.EXPLAIN:
        return True
    found = _EXPLAIN.match(statement.query)
    if found is None:
        return False
    start = found.end() if found["options"] is None else found.start("options")
    # 'explain (select 1)' and 'explain (analyze) select 1': parentheses hold the query, or options
    for explained in (statement.query[start:], statement.query[found.end() :]):
        try:
            kinds = [part.type for part in duckdb.extract_statements(explained)]
        except duckdb.Error:
            continue
        if kinds == [duckdb.StatementType.SELECT]:
            return True
    return False


def _plain_number(series: pl.Series) -> pl.Series:
    """A decimal column as Int64 where its values are whole and fit, else as Float64."""
    assert isinstance(series.dtype, pl.Decimal)
    if series.dtype.scale == 0:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return whole
    return series.cast(pl.Float64)


def _check_file(file: Path, columns: dict[str, pl.DataType | type[pl.DataType]]) -> None:
    """Refuse a table file that is damaged or does not have the columns and types of its table."""
    try:
        with file.open("rb") as content:  # a handle, because Polars reads '*' and '[' in a path as a pattern
            found = pl.read_parquet_schema(content)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise WarehouseError(f"table file {str(file)!r} cannot be read: {error}", _RESTORE) from error
    for name, dtype in columns.items():
        if name not in found:
            raise WarehouseError(f"table file {str(file)!r} has no column {name!r}", _RESTORE)
        if found[name] != dtype:
            raise WarehouseError(
                f"table file {str(file)!r}: column {name!r} has type {found[name]}, not {dtype}", _RESTORE
            )


def _check_files(path: Path) -> None:
    """Refuse a warehouse folder that has a damaged table file."""
    for table in TABLES:
        for file in table_files(path, table):
            _check_file(file, polars_schema(table))


def _define_tables(connection: duckdb.DuckDBPyConnection, path: Path, own: Path | None, *, materialise: bool) -> None:
    kind = "table" if materialise else "view"
    _check_files(path)
    added = _own_sources(path, own)
    for table in TABLES:
        columns = polars_schema(table)
        files = table_files(path, table)
        parts = []
        if files:
            listed = ", ".join(_quote(str(file)) for file in files)
            parts.append(f"select {', '.join(map(_column, columns))} from read_parquet([{listed}])")
        if own is not None:
            here = [own / "tables" / table / f"{name}.parquet" for name in added]
            parts += [_select_own(file, columns) for file in here if file.exists()]
        if not parts:
            nothing = ", ".join(f"null::{SQL_TYPES[dtype]} as {_column(name)}" for name, dtype in columns.items())  # type: ignore[index]
            parts.append(f"select {nothing} where false")
        select = " union all ".join(parts)
        connection.execute(f"create {kind} {table} as {select}").fetchall()
    units = ", ".join(
        f"({_quote(u.name)}, {_quote(u.meaning)}, {'null' if u.nats_factor is None else repr(u.nats_factor)}::double)"
        for u in UNITS.values()
    )
    connection.execute(
        f"create {kind} units as select * from (values {units}) as t(unit, meaning, nats_factor)"
    ).fetchall()
    metrics = ", ".join(
        f"({_quote(m.name)}, {_quote(m.kind)}, {_quote(m.meaning)}, {str(m.larger_is_better).lower()})"
        for m in METRICS.values()
    )
    connection.execute(
        f"create {kind} metrics as select * from (values {metrics}) as t(metric, kind, meaning, is_larger_better)"
    ).fetchall()


def _define_views(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    folder = path / "views" if (path / "views").is_dir() else default_path() / "views"
    found = {file.stem: file for file in folder.glob("*.sql")}
    ordered = [name for name in VIEW_ORDER if name in found] + sorted(set(found) - set(VIEW_ORDER))
    for name in ordered:
        connection.execute(found[name].read_text(encoding="utf-8")).fetchall()


def _materialise(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """Replace a view by a table of its rows, where there is such a view (a warehouse folder may lack it)."""
    found = "select count(*) from duckdb_views() where not internal and view_name = ?"
    if connection.execute(found, [view]).fetchall() == [(0,)]:
        return
    scratch = _column(f"{view} kept")
    connection.execute(f"create table {scratch} as from {view}").fetchall()
    connection.execute(f"drop view {view}").fetchall()
    connection.execute(f"alter table {scratch} rename to {view}").fetchall()


def connect(path: str | os.PathLike[str] | None = None) -> Warehouse:
    """Open the warehouse, read-only.

    Files are read when a query needs them. What is costly to find (the last loss of each run, which rows
    repeat others) is kept in memory from the second query on that asks for it, so that later ones answer
    within a tenth of a second; a changed file is then seen by the next connection.

    Parameters
    ----------
    path : path, optional
        Folder with ``tables/`` and ``views/``, or a file written by ``scalingdb export``.
        By default the shipped warehouse, and beside it what the user added (:func:`scalingdb.add_source`).

    Raises
    ------
    WarehouseError
        If there is no warehouse at `path`, or a file of it cannot be read.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> db = sdb.connect()
    >>> "points" in db.tables()
    True
    """
    folder = Path(path) if path is not None else default_path()
    own = local_folder() if path is None else None
    if folder.is_file():
        try:
            return Warehouse(duckdb.connect(str(folder), read_only=True), folder)
        except duckdb.Error as error:
            raise WarehouseError(
                f"{str(folder)!r} is no readable DuckDB file: {error}",
                _EXPORT,
            ) from error
    if not (folder / "tables").is_dir():
        raise WarehouseError(
            f"no warehouse at {str(folder)!r}: it has no folder 'tables'",
            "give connect() the folder that holds tables/ and views/, or nothing for the shipped one.",
        )
    connection = duckdb.connect(":memory:")
    # two hundred files have a footer each: read once and again only where a file changed, half of a small query
    connection.execute("set parquet_metadata_cache = true")
    try:
        _define_tables(connection, folder, own, materialise=False)
        _define_views(connection, folder)
    except WarehouseError:
        connection.close()
        raise
    except duckdb.Error as error:
        connection.close()
        raise WarehouseError(f"the warehouse at {str(folder)!r} cannot be read: {error}", _RESTORE) from error
    return Warehouse(connection, folder, own)
