"""Completion in a notebook: names of laws and sources inside calls, of tables and columns in SQL cells."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalingdb.warehouse import Warehouse

__all__ = ["Offered", "offer"]

SQL_CELL = re.compile(r"\s*%%sql\b[^\n]*\n(?P<query>.*)", re.DOTALL)
SQL_LINE = re.compile(r"(?:^|\n)[^\n]*?%sql\s(?P<query>[^\n]*)$")
WORD = re.compile(r"\w*$")

LAW, SOURCE, TABLE, OBJECTIVE, SITUATION = "law", "source", "table", "objective", "situation"

ARGUMENTS: Mapping[str, Mapping[int | str, str]] = {
    "get_law": {0: LAW, "name": LAW},
    "points": {0: SOURCE, "source": SOURCE},
    "curves": {0: SOURCE, "source": SOURCE},
    "table": {0: TABLE, "name": TABLE},
    "explore": {0: SOURCE, 1: LAW, "law": LAW, "objective": OBJECTIVE},
    "fit": {1: LAW, "law": LAW, "objective": OBJECTIVE},
    "fit_by": {1: LAW, "law": LAW, "objective": OBJECTIVE},
    "compare": {1: LAW, "laws": LAW, "objective": OBJECTIVE},
    "plan": {0: LAW, "law": LAW},
    "solve": {0: LAW, "law": LAW},
    "optimise": {0: LAW, "law": LAW},
    "recommend": {0: SITUATION},
}
"""What an argument names, by function and by position or keyword."""

CLAUSES = (
    *("select", "from", "where", "group by", "order by", "having", "limit", "join", "left join", "using", "on"),
    *("and", "or", "not", "in", "is null", "is not null", "between", "like", "distinct", "as", "with", "qualify"),
    *("count", "sum", "avg", "min", "max", "median", "quantile_cont", "round", "log10", "coalesce", "arg_max"),
)
"""Words of SQL that are offered after tables and columns."""


@dataclass(frozen=True)
class Offered:
    """Names that may stand at the cursor.

    Attributes
    ----------
    fragment : str
        What is written of it already.
    names : list of (str, str)
        Each with its kind.
    """

    fragment: str
    names: list[tuple[str, str]]


def offer(text: str, db: Callable[[], Warehouse], variables: Iterable[str] = (), rest: str = "") -> Offered | None:
    """What may stand between `text` and the `rest` of a cell; None where this package has nothing to say."""
    query = SQL_CELL.fullmatch(text) or SQL_LINE.search(text)
    if query is not None:
        return _in_sql(
            query["query"], db(), variables, rest if text.lstrip().startswith("%%") else rest.partition("\n")[0]
        )
    place = _argument(text)
    if place is None:
        return None
    function, argument, fragment = place
    kind = ARGUMENTS.get(function, {}).get(argument)
    if kind is None:
        return None
    return _matching(fragment, [(name, kind) for name in _names(kind, db)])


def _matching(fragment: str, names: Sequence[tuple[str, str]]) -> Offered | None:
    """Those that begin as written, else those that hold it."""
    written = fragment.lower()
    found = [pair for pair in names if pair[0].lower().startswith(written)]
    found = found or [pair for pair in names if written in pair[0].lower()]
    return Offered(fragment, found) if found else None


def _names(kind: str, db: Callable[[], Warehouse]) -> list[str]:
    if kind == LAW:
        from scalingdb.law_library import all_aliases, all_laws

        return [*all_laws(), *all_aliases()]
    if kind == OBJECTIVE:
        from scalingdb.estimation.objectives import OBJECTIVES

        return list(OBJECTIVES)
    if kind == SITUATION:
        from scalingdb.evidence.arena import SITUATIONS

        return list(SITUATIONS)
    return db().tables() if kind == TABLE else _measured(db())


@functools.lru_cache(maxsize=4)
def _measured(db: Warehouse) -> list[str]:
    """Sources that hold losses."""
    return db.sql("select distinct source_id from points order by 1")["source_id"].to_list()


# ---- Python ------------------------------------------------------------------------------------


def _argument(text: str) -> tuple[str, int | str, str] | None:
    """Function, argument and fragment of the string in which a text ends; None where it ends in none."""
    calls: list[tuple[str, list[str]]] = []  # of each open bracket: the name before it, and the arguments so far
    string = ""
    start = position = 0
    while position < len(text):
        letter = text[position]
        if string:
            if letter == "\\":
                position += 1
            elif text.startswith(string, position):
                position += len(string) - 1
                string = ""
        elif letter in "\"'":
            string = letter * 3 if text.startswith(letter * 3, position) else letter
            position += len(string) - 1
            start = position + 1
        elif letter == "#":
            end = text.find("\n", position)
            if end < 0:
                return None
            position = end
        elif letter in "([{":
            name = re.search(r"(\w+)\s*$", text[:position]) if letter == "(" else None
            calls.append((name[1] if name else letter, [""]))
        elif letter in ")]}":
            if calls:
                calls.pop()
        elif letter == "," and calls:
            calls[-1][1].append("")
        elif calls:
            calls[-1][1][-1] += letter
        elif letter == "\n":
            calls = []
        position += 1
    if not string or "\n" in text[start:] or not calls:
        return None
    if calls[-1][0] == "[" and len(calls) > 1:  # a list of names
        calls.pop()
    function, arguments = calls[-1]
    keyword = re.match(r"\s*(\w+)\s*=\s*$", arguments[-1])
    return function, keyword[1] if keyword else len(arguments) - 1, text[start:]


# ---- SQL ---------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _columns(db: Warehouse) -> dict[str, dict[str, str]]:
    """Type of every column, by table."""
    found: dict[str, dict[str, str]] = {}
    query = "select table_name, column_name, lower(data_type) from duckdb_columns() where not internal"
    for table, column, dtype in db.sql(query).iter_rows():
        found.setdefault(table, {})[column] = dtype
    return {name: found[name] for name in db.tables() if name in found}


def _in_sql(query: str, db: Warehouse, variables: Iterable[str], rest: str) -> Offered | None:
    tables = _columns(db)
    if query.count("'") % 2:
        return _in_literal(query, db)
    match = WORD.search(query)
    fragment = match[0] if match else ""
    before = query[: len(query) - len(fragment)]
    if before.endswith("$"):
        return _matching(fragment, [(name, "variable") for name in variables if not name.startswith("_")])
    named = _tables_of(f"{query} {rest}", tables)
    if before.endswith("."):
        alias = re.search(r"(\w+)\.$", before)
        table = named.get(alias[1].lower()) if alias else None
        return _matching(fragment, _typed(tables[table])) if table else None
    is_table = re.search(r"\b(?:from|join|describe|summarize)\s+$", before, re.IGNORECASE) is not None
    names = [(name, "table") for name in tables]
    if not is_table:
        own = {column: dtype for table in dict.fromkeys(named.values()) for column, dtype in tables[table].items()}
        every = {column: dtype for columns in tables.values() for column, dtype in columns.items()}
        names = [*_typed(own or every), *names, *((word, "keyword") for word in CLAUSES)]
        if fragment.lower().startswith("law"):
            from scalingdb.law_library import all_laws

            names += [(f"law_{name}", "function") for name in all_laws()]
    begins = [pair for pair in names if pair[0].lower().startswith(fragment.lower())]
    return Offered(fragment, begins) if begins else None


def _typed(columns: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, f"column {dtype}") for name, dtype in columns.items()]


def _tables_of(query: str, tables: Mapping[str, Any]) -> dict[str, str]:
    """Table of each name that a query may put before a dot: of the table itself, and of its alias."""
    found = {}
    for name, alias in re.findall(r"\b(?:from|join)\s+(\w+)(?:\s+(?:as\s+)?(\w+))?", query, re.IGNORECASE):
        if name in tables:
            found[name.lower()] = name
            if alias and alias.lower() not in CLAUSES:
                found[alias.lower()] = name
    return found


def _in_literal(query: str, db: Warehouse) -> Offered | None:
    """Values of a column that a text stands beside: sources, laws, metrics."""
    fragment = query.rpartition("'")[2]
    before = query[: -len(fragment) - 1]
    beside = re.search(r"(\w+)\s*(?:=|<>|!=|\bin\s*\((?:\s*'[^']*'\s*,)*)\s*$", before, re.IGNORECASE)
    column = beside[1].lower() if beside else ""
    if column not in {"source_id", "law", "metric"}:
        return None
    table = {"source_id": "sources", "law": "published_fits", "metric": "metrics"}[column]
    values = db.sql(f"select distinct {column} as value from {table} order by 1")["value"].to_list()
    return _matching(fragment, [(str(value), column.removesuffix("_id")) for value in values])
