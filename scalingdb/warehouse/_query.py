"""Run one query so that Ctrl-C and a time limit end it, whatever it does."""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import polars as pl

from scalingdb._stream import ArrowStream, TooLargeError, frame_within
from scalingdb.errors import QueryError
from scalingdb.notices import argument

__all__ = ["THREAD", "answer", "interruptible", "refuse_dates"]

THREAD = "scalingdb-query"
"""Name of the threads that queries run in."""

Check = Callable[[duckdb.DuckDBPyConnection, str], str]

ODD_TYPES = {
    name: name.upper()
    for name in ("bignum", "bit", "geometry", "interval", "time with time zone", "uhugeint", "union", "variant")
}
"""UHUGEINT comes as a signed number: its largest value as -1."""

FIRST_DAY, END_DAY = -719_162, 2_932_897
"""1 January of the years 1 and 10000, in days since 1970."""

GRACE = 0.8
"""Seconds that an interrupted query is given to end."""


def refuse_dates(name: str, value: Any) -> None:
    """Refuse dates as a value of a query that would arrive as whole numbers, or cut to the microsecond.

    Raises
    ------
    QueryError
    """
    kind = getattr(value, "dtype", None)
    is_fine = (
        getattr(kind, "time_unit", "") == "ns" or getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0)
    )
    if getattr(kind, "kind", "") in {"m", "M"} or is_fine:
        raise QueryError(
            f"the value of ${name} holds dates or times of NumPy's, or finer than a microsecond",
            "give those of Python's datetime, or text.",
        )


def answer(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    params: dict[str, Any],
    time_limit: float | None,
    check: Check | None = None,
    room: int | None = None,
    begun: float | None = None,
) -> pl.DataFrame:
    """Rows of a query, read on a cursor of its own in a read-only transaction.

    DuckDB looks at no signal while it works, so that the main thread only waits: another one asks. `check`
    refuses what may not run, and returns what does. `room` are the bytes that the rows may take. The time limit counts
    from `begun` on (monotonic seconds), by default from now.

    Raises
    ------
    QueryError
        If the time limit ends the query, or its rows take more room.
    KeyboardInterrupt
        If the user does.
    duckdb.Error, polars.exceptions.ComputeError
        What DuckDB reports.
    """
    _wait_if_leaving()
    cursor = connection.cursor()
    _asking.add(cursor)
    try:
        end = None if time_limit is None else (time.monotonic() if begun is None else begun) + time_limit
        return _answer(cursor, query, params, time_limit, end, check, room)
    finally:
        _asking.discard(cursor)
        _wait_if_leaving()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C while DuckDB works in the main thread, as what it is: DuckDB raises a RuntimeError over it.

    Raises
    ------
    KeyboardInterrupt
    """
    try:
        yield
    except RuntimeError as error:
        if "interrupted" not in str(error):
            raise
        raise KeyboardInterrupt from error


_asking: set[duckdb.DuckDBPyConnection] = set()
"""Cursors with a query on the way."""

_leaving = threading.Event()


@atexit.register
def _leave() -> None:
    """End the queries of other threads: Python stops these where they return to it, which aborts inside DuckDB."""
    _leaving.set()
    end = time.monotonic() + GRACE
    while _asking and time.monotonic() < end:
        for cursor in tuple(_asking):
            with contextlib.suppress(duckdb.ConnectionException):
                cursor.interrupt()
        time.sleep(0.01)


def _wait_if_leaving() -> None:
    """Keep a thread that Python will not wait for from beginning anything at its end, and from telling of it."""
    if _leaving.is_set() and threading.current_thread() is not threading.main_thread():
        threading.Event().wait()


def _answer(
    cursor: duckdb.DuckDBPyConnection,
    query: str,
    params: dict[str, Any],
    time_limit: float | None,
    end: float | None,
    check: Check | None,
    room: int | None,
) -> pl.DataFrame:
    if time_limit is None and threading.current_thread() is not threading.main_thread():
        return _read(cursor, query, params, check, room)  # signals reach the main thread only
    outcome: list[pl.DataFrame | BaseException] = []
    done = threading.Event()

    def work() -> None:
        try:
            outcome.append(_read(cursor, query, params, check, room))
        except BaseException as error:
            outcome.append(error)
        finally:
            done.set()

    threading.Thread(target=work, name=THREAD, daemon=True).start()
    try:
        while not done.wait(0.1 if end is None else max(min(0.1, end - time.monotonic()), 0)):
            if end is not None and time.monotonic() >= end:
                _stop(cursor, done)
                raise QueryError(
                    f"the query was stopped after its time limit of {time_limit:g} s",
                    "ask for less, or connect with a longer time_limit.",
                )
    except KeyboardInterrupt:
        _stop(cursor, done)
        raise
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def _stop(cursor: duckdb.DuckDBPyConnection, done: threading.Event) -> None:
    """Interrupt until the query ends: one that is still being planned takes no notice of the first time."""
    end = time.monotonic() + GRACE
    while not done.is_set() and time.monotonic() < end:
        with contextlib.suppress(duckdb.ConnectionException):  # the query ended and closed its cursor just now
            cursor.interrupt()
        done.wait(0.02)


def _read(
    cursor: duckdb.DuckDBPyConnection, query: str, params: dict[str, Any], check: Check | None, room: int | None
) -> pl.DataFrame:
    try:
        if check is not None:
            query = check(cursor, query)
        cursor.execute("begin transaction read only").fetchall()
        relation = cursor.sql(query, params=params or None)
        if relation is None:
            return pl.DataFrame()
        if twice := [name for i, name in enumerate(relation.columns) if name in relation.columns[:i]]:
            raise QueryError(f"two columns of the result are called {twice[0]!r}", "give one another name with AS.")
        for name, kind in zip(relation.columns, relation.types, strict=True):
            if odd := _odd_type(kind):
                raise QueryError(
                    f"column {name!r}: a frame holds no value of type {odd}", "cast it to text or a number: x::varchar."
                )
        # through the Arrow C interface: relation.pl() would import pyarrow, a tenth of a second more
        try:
            frame = pl.DataFrame(ArrowStream(relation)) if room is None else frame_within(relation, room)
        except TooLargeError as error:
            assert room is not None
            raise QueryError(
                f"the rows of the answer take more than {room / 1e9:.3g} GB, half of the memory limit",
                "ask for fewer rows or columns, for an aggregate, or for a part at a time (LIMIT and OFFSET); "
                f"{argument('memory_limit')} sets the limit.",
            ) from error
        except pl.exceptions.PanicException as error:  # no Exception: it would end a program, or a thread unheard
            types = ", ".join(f"{name} {kind}" for name, kind in zip(relation.columns, relation.types, strict=True))
            raise QueryError(f"a frame holds no column of such a type: {types}", "cast it: x::varchar.") from error
        for column in frame.get_columns():
            if any(map(_is_beyond, _innermost(column))):
                raise QueryError(
                    f"column {column.name!r} holds a date outside the years 1 to 9999, or an infinite one",
                    "cast it to text (x::varchar), or leave it out (where isfinite(x)).",
                )
            if any(map(_is_too_long, _innermost(column))):
                raise QueryError(
                    f"column {column.name!r} holds a number of more than 38 digits", "cast it to text: x::varchar."
                )
            if column.dtype == pl.Time and column.null_count() and _lost_times(relation, column):
                raise QueryError(f"column {column.name!r} holds the time 24:00", "cast it to text: x::varchar.")
        return frame.with_columns(_plain_number(frame[name]) for name in frame.select(pl.selectors.decimal()).columns)
    finally:
        cursor.close()


def _odd_type(kind: Any, *, is_inside: bool = False) -> str | None:
    """The type in a type that Polars refuses, or takes for bytes or without its zone."""
    if kind.id in ODD_TYPES:
        return ODD_TYPES[kind.id]
    if is_inside and kind.id in {"time", "time_ns"}:
        return "TIME inside another"
    if kind.id == "map" and kind.children[0][1].id in {"list", "array", "struct", "map"}:
        return "MAP whose keys are of several values"  # Python knows no such keys
    if kind.id in {"list", "array", "struct", "map"}:
        parts = (part for _, part in kind.children if not isinstance(part, int))
        return next(filter(None, (_odd_type(part, is_inside=True) for part in parts)), None)
    return None


def _innermost(values: pl.Series) -> Iterator[pl.Series]:
    """The column, or what lies inside its lists, structs and maps."""
    kind = values.dtype
    if isinstance(kind, pl.List | pl.Array):
        yield from _innermost(values.explode())
    elif isinstance(kind, pl.Struct):
        for field in kind.fields:
            yield from _innermost(values.struct.field(field.name))
    elif hasattr(kind, "key"):  # a map, of newer versions
        yield from _innermost(values.map.keys())
        yield from _innermost(values.map.values())
    else:
        yield values


def _is_beyond(values: pl.Series) -> bool:
    """Whether a date or time is none that Python can show; Polars panics over some of them."""
    kind = values.dtype
    if not isinstance(kind, pl.Date | pl.Datetime):
        return False
    if isinstance(kind, pl.Datetime) and kind.time_unit == "ns":  # they end in the year 2262, with the infinite one
        return bool((values.to_physical().abs() == 2**63 - 1).any())
    per_day = 1 if isinstance(kind, pl.Date) else 86_400 * {"ms": 10**3, "us": 10**6}[kind.time_unit]
    number = values.to_physical()
    return bool(((number < FIRST_DAY * per_day) | (number >= END_DAY * per_day)).any())


def _is_too_long(values: pl.Series) -> bool:
    """Whether a whole number has more digits than a decimal of Polars, which would show others."""
    if not isinstance(values.dtype, pl.Decimal):
        return False
    number = values.to_physical()
    return bool(((number >= 10**38) | (number <= -(10**38))).any())


def _lost_times(relation: duckdb.DuckDBPyRelation, column: pl.Series) -> bool:
    """Whether there are times among the nulls: Polars knows no 24:00."""
    name = '"' + column.name.replace('"', '""') + '"'
    return bool(relation.aggregate(f"count({name})").fetchall() != [(column.count(),)])


def _plain_number(series: pl.Series) -> pl.Series:
    """A decimal column as Int64 where its values are whole and fit, as Float64 where that has all their digits."""
    assert isinstance(series.dtype, pl.Decimal)
    if series.dtype.scale == 0:
        whole = series.cast(pl.Int64, strict=False)
        if whole.null_count() == series.null_count():
            return whole
    number = series.cast(pl.Float64)
    return number if series.equals(number.cast(series.dtype, strict=False)) else series
