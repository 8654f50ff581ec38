"""Reading is all that a connection can do.

First line, DuckDB's own switches (:func:`settings`, :func:`lock`): every query runs in a read-only transaction,
only the folders of the warehouse and those the caller allows can be reached, no extension is loaded or fetched,
Python variables are out of sight, and the configuration is locked. Second line, the syntax tree of the query
(:func:`refuse_writes`): queries only, no statement inside another that writes, and table functions from a list.
The second line is needed for ``with t as (copy ...)``: DuckDB types it as a SELECT, and may write where it may read.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import Any

import duckdb

from scalingdb.errors import DataError, QueryError, ReadOnlyError, WarehouseError, check_path, path_hint

__all__ = ["DEPTH_LIMIT", "allowed_folders", "lock", "quote", "refuse_writes", "settings", "statements_of", "too_deep"]

_READ_STATEMENTS = {"SELECT", "EXPLAIN"}
_GAP = r"(?>\s+|--[^\n]*(?:\n|$)|/\*.*?\*/)*+"  # nothing is tried twice: that could take for ever
_OPTION = r"\s*(?:analyze|format)\b[\w\s]*+"
_EXPLAIN = re.compile(
    rf"{_GAP}explain\b{_GAP}(?P<analyze>analyze\b{_GAP})?(?P<options>\({_OPTION}(?:,{_OPTION})*+\))?",
    re.IGNORECASE | re.DOTALL,
)
"""EXPLAIN ANALYZE runs what it explains, so that too must be a query."""

_READ_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
"""Parts of a syntax tree that only read; every other part whose name ends in ``_NODE`` is refused."""

_TABLE_FUNCTIONS = {
    *("glob", "parquet_scan", "read_blob", "read_csv", "read_csv_auto", "read_parquet", "read_text", "sniff_csv"),
    *("read_json", "read_json_auto", "read_json_objects", "read_json_objects_auto"),
    *("read_ndjson", "read_ndjson_auto", "read_ndjson_objects", "read_ndjson_auto"),
    *("parquet_bloom_probe", "parquet_file_metadata", "parquet_full_metadata"),
    *("parquet_kv_metadata", "parquet_metadata", "parquet_schema"),
    *("generate_series", "histogram", "histogram_values", "json_each", "json_tree", "query_table", "range"),
    *("repeat", "repeat_row", "summary", "unnest"),
    *("duckdb_columns", "duckdb_constraints", "duckdb_databases", "duckdb_extensions", "duckdb_functions"),
    *("duckdb_indexes", "duckdb_keywords", "duckdb_memory", "duckdb_optimizers", "duckdb_schemas", "duckdb_settings"),
    *("duckdb_tables", "duckdb_temporary_files", "duckdb_types", "duckdb_views"),
    *("pragma_database_size", "pragma_show", "pragma_storage_info", "pragma_table_info", "pragma_version"),
    *("icu_calendar_names", "pg_timezone_names"),
}
"""Table functions that a query may call. Left out are those that run SQL given as text (which no syntax tree shows),
change the state of the engine, take addresses in memory, or open databases."""

_REFUSED_FUNCTIONS = {"nextval", "write_log"}
"""Scalar functions with a lasting effect."""

_UNBOUNDED_FUNCTIONS = {
    *("from_json", "from_json_strict", "json_contains", "json_transform", "json_transform_strict"),
    *("json_deserialize_sql", "json_serialize_plan", "json_serialize_sql"),
}
"""Functions that follow a value level by level until the stack ends, and the process with it, or that parse SQL without
its levels being counted. Conversions to VARIANT, and functions of it, do the same."""

_AGGREGATING_FUNCTIONS = {"aggregate", "array_aggr", "array_aggregate", "list_aggr", "list_aggregate"}
"""Functions that take the name of another as text."""

LEVELS = 500
"""Brackets inside brackets, and operators in a row: DuckDB's parser takes time by their square where one stays open."""

WITHS = 5
"""WITH inside WITH: a slip in the innermost of ten lets DuckDB's parser fill the memory."""

DEPTH_LIMIT = re.compile("Max expression depth|memory exhausted at or near")
"""How DuckDB refuses expressions with more than a thousand levels, and how versions before 2.0 did."""

UNIONS, NAME_PARTS = 1000, 50
"""Binding takes time by their square."""

_REMEDY = "select what you need; to change tables, write your own database with 'scalingdb export FILE.duckdb'."


def quote(text: str) -> str:
    """A text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def settings(memory_limit: str | None, spill: Path | None) -> dict[str, Any]:
    """Configuration of a new DuckDB: no extension from outside, no look at Python's variables."""
    config: dict[str, Any] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,
        "temp_directory": "" if spill is None else str(spill),
    }
    if memory_limit is not None:
        if not isinstance(memory_limit, str) or memory_limit.lstrip().startswith("-"):  # which would be no limit
            raise QueryError(f"memory_limit is {memory_limit!r}", "write it as '4GB'.")
        config["memory_limit"] = memory_limit
    return config


def lock(connection: duckdb.DuckDBPyConnection, folders: Iterable[Path]) -> None:
    """Take away all files but those below `folders`, and every means to change that."""
    folders = list(folders)
    if odd := [folder for folder in folders if any("\ud800" <= mark <= "\udfff" for mark in str(folder))]:
        raise WarehouseError(f"DuckDB reads no folder whose name is not UTF-8: {str(odd[0])!r}", "rename it.")
    listed = ", ".join(quote(f"{folder}/") for folder in folders)
    connection.execute(f"set allowed_directories = [{listed}]").fetchall()
    connection.execute("set enable_external_access = false").fetchall()
    connection.execute("set lock_configuration = true").fetchall()


def refuse_writes(connection: duckdb.DuckDBPyConnection, query: str, table_macros: frozenset[str] = frozenset()) -> str:
    """Refuse everything that is not one query; return the text to run, which is the one that was checked.

    It may call `table_macros` beside DuckDB's own functions.

    Raises
    ------
    ReadOnlyError
        If the statement, or one inside it, would write or change the connection.
    QueryError
        If it is no SQL, or not exactly one statement.
    """
    statements = statements_of(query)
    if not statements:
        raise QueryError("the query is empty", "write a SELECT, such as 'select * from sources'.")
    if len(statements) > 1:
        raise QueryError(f"{len(statements)} statements in one query", "run them one at a time.")
    kind = _kind(statements[0])
    if kind == "MULTI":
        raise QueryError(
            "PIVOT without a list of values is two statements in one query",
            "name the values: pivot ... on metric in ('loss', 'acc') using ...; or pivot the frame in Polars.",
        )
    if kind not in _READ_STATEMENTS:
        raise ReadOnlyError(f"the warehouse is read-only: a statement of type {kind} cannot run", _REMEDY)
    before, asked = ("", query) if kind == "SELECT" else _explained(statements[0])
    _refuse_parts(_tree(connection, asked), _TABLE_FUNCTIONS | table_macros)
    return before + asked


def too_deep(what: str = "") -> QueryError:
    """Refusal of a query that would keep DuckDB busy before it reads a row."""
    return QueryError(f"the query is nested too deeply{what}", "write it in fewer levels.")


def _refuse_depth(query: str) -> None:
    """Count levels before anything parses them; DuckDB's tokens tell brackets from those in texts and comments."""
    text = query.encode()
    withs = [0]  # for each open bracket: on how many levels up to here there is a WITH
    in_a_row = 0
    for place, kind in duckdb.tokenize(query):
        if kind == duckdb.token_type.comment:
            continue
        mark = text[place : place + 1]
        in_a_row = in_a_row + 1 if kind == duckdb.token_type.operator and mark not in b"()[]{},;" else 0
        if mark in b"([{" and kind == duckdb.token_type.operator:
            withs.append(withs[-1])
        elif mark in b")]}" and kind == duckdb.token_type.operator and len(withs) > 1:
            withs.pop()
        elif kind == duckdb.token_type.keyword and text[place : place + 4].lower() == b"with":
            withs[-1] = (withs[-2] if len(withs) > 1 else 0) + 1
        if len(withs) > LEVELS or in_a_row > LEVELS:
            raise too_deep()
        if withs[-1] > WITHS:
            raise QueryError(
                f"WITH stands inside WITH on more than {WITHS} levels",
                "name them one after another: with a as (...), b as (select ... from a) select ...",
            )


def statements_of(query: str) -> list[duckdb.Statement]:
    """Statements of a text, which is looked at before DuckDB's parser sees it.

    Raises
    ------
    QueryError
        If it is no SQL, or would keep the parser busy.
    """
    if "\0" in query:
        raise QueryError("the query contains a zero byte", "remove it: SQL is text.")
    if not query.isascii() and any("\ud800" <= mark <= "\udfff" for mark in query):
        raise QueryError("the query contains half of a surrogate pair", "remove it: SQL is text.")
    _refuse_depth(query)
    try:
        return duckdb.extract_statements(query)
    except duckdb.Error as error:
        if DEPTH_LIMIT.search(str(error)):
            raise too_deep() from error
        first, _, rest = str(error).partition("\n")
        raise QueryError(first, rest.strip() or "db.tables() lists the tables and views.") from error
    except (RuntimeError, UnicodeError) as error:
        raise QueryError(f"the query cannot be read: {error}", "write one SELECT in DuckDB's dialect.") from error


def _kind(statement: duckdb.Statement) -> str:
    """Type of a statement; DuckDB has some that its Python interface cannot name."""
    try:
        return str(statement.type.name)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return "unknown"


def _explained(statement: duckdb.Statement) -> tuple[str, str]:
    """How an EXPLAIN begins, and the query that it explains. Anything in doubt is refused.

    The beginning is written anew. DuckDB's comments nest and end with a carriage return: read by the rule here and run
    as it stands, ``explain analyze /* /* */ select ' */ with t as (copy ...`` would check one query and run another.

    Raises
    ------
    ReadOnlyError
    """
    found = _EXPLAIN.match(statement.query)
    if found is not None:
        explained = statement.query[found.end() :]
        try:
            kinds = [_kind(part) for part in duckdb.extract_statements(explained)]
        except (duckdb.Error, RuntimeError):
            kinds = []
        if kinds == ["SELECT"]:
            analyze = "analyze " if found["analyze"] else ""
            return f"explain {analyze}{found['options'] or ''} ", explained
    raise ReadOnlyError("the warehouse is read-only: only queries can be explained", _REMEDY)


def _tree(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, Any]:
    row = connection.execute("select json_serialize_sql(?::varchar)", [query]).fetchall()[0]
    try:
        tree: dict[str, Any] = json.loads(row[0])
    except RecursionError as error:
        raise too_deep(" to be checked") from error
    if tree.get("error"):
        if "Only SELECT" in str(tree.get("error_message")):
            raise ReadOnlyError("the warehouse is read-only: only a SELECT can run", _REMEDY)
        raise QueryError(str(tree.get("error_message", "the query cannot be parsed")), "write one SELECT.")
    return tree


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _refuse_parts(tree: dict[str, Any], table_functions: Set[str]) -> None:
    n_united = 0
    for part in _parts(tree):
        kind = part.get("type")
        if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _READ_NODES:
            name = kind.removesuffix("_NODE").removesuffix("_QUERY")
            raise ReadOnlyError(f"the warehouse is read-only: {name} inside a query cannot run", _REMEDY)
        if kind == "TABLE_FUNCTION":
            function = str(part.get("function", {}).get("function_name", "")).lower()
            if function not in table_functions:
                raise ReadOnlyError(f"table function {function!r} is not among those a query may call", _REMEDY)
        if kind == "SET_OPERATION_NODE":
            n_united += max(len(part.get("children") or ()), 2) - 1  # versions before 2.0 nest pairs
            if n_united > UNIONS:
                raise QueryError(
                    f"more than {UNIONS:,} UNIONs in one query", "write constants as 'values (...), (...)'."
                )
        if (n_parts := len(part.get("column_names") or ())) > NAME_PARTS:
            raise QueryError(f"one name has {n_parts:,} parts", "write it in fewer levels.")
        if "variant" in {str(part.get(key)).lower() for key in ("type_name", "id")}:
            raise QueryError("a query makes no VARIANT: DuckDB follows it without end", "keep the JSON or text.")
        for name in _called(part):
            if name in _REFUSED_FUNCTIONS:
                raise ReadOnlyError(f"function {name!r} has a lasting effect and cannot run", _REMEDY)
            if name in _UNBOUNDED_FUNCTIONS or name.startswith("variant_"):
                raise QueryError(
                    f"function {name!r} cannot run: DuckDB follows its values without end",
                    "take parts out by their path: x->>'$.a'.",
                )


def _called(part: dict[str, Any]) -> list[str]:
    """Names of the functions that a part of a syntax tree calls."""
    name = str(part.get("function_name", "")).lower()
    texts = _parts(part) if name in _AGGREGATING_FUNCTIONS else ()
    return [name, *(str(found["text"]).lower() for found in texts if found.get("kind") == "STRING")]


def allowed_folders(allow: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Folders that the caller lets queries read, in full.

    Raises
    ------
    DataError
        If one of them is no path.
    WarehouseError
        If one of them is not a folder.
    """
    folders: list[Path] = []
    if not isinstance(allow, str | os.PathLike | Iterable):
        raise DataError(f"allow is {allow!r}", "give a list of folders.")
    for given in [allow] if isinstance(allow, str | os.PathLike) else allow:
        folder = check_path(given, "a folder of allow").absolute()
        try:
            is_folder = folder.is_dir()
        except OSError as error:  # below a folder that is closed to us, or a name that is too long
            raise WarehouseError(f"allow: {str(given)!r} cannot be read: {error}", "name another folder.") from error
        if not is_folder:
            raise WarehouseError(f"allow: {str(given)!r} is not a folder", path_hint(given, "name folders that exist."))
        folders += dict.fromkeys((folder, folder.resolve()))
    return folders
