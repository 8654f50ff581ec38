"""Any dataframe as a Polars frame."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import polars as pl

from scalingdb._stream import ArrowStream
from scalingdb.errors import DataError

__all__ = ["as_frame", "is_frame"]

KINDS = "a pandas, Polars or Arrow table, a DuckDB relation, a dict of columns, or a list of dicts"


def is_frame(what: object) -> bool:
    """Whether `what` is some kind of table in memory, as opposed to a path."""
    return (
        isinstance(what, pl.DataFrame | pl.LazyFrame | Mapping)
        or hasattr(what, "__arrow_c_stream__")
        or (isinstance(what, list | tuple) and len(what) > 0 and all(isinstance(row, Mapping) for row in what))
        or type(what).__module__.partition(".")[0] == "pandas"
    )


def as_frame(what: Any) -> pl.DataFrame:
    """Any dataframe as a Polars frame; a Polars frame is returned as it is.

    Parameters
    ----------
    what : Polars DataFrame or LazyFrame, pandas DataFrame, Arrow table, DuckDB relation, dict, list of dicts
        Anything that offers the Arrow C stream interface is taken, too.

    Raises
    ------
    DataError
        If `what` is no table, or its columns cannot be converted.
    """
    if isinstance(what, pl.DataFrame):
        return what
    try:
        _refuse_twice(what)
        if isinstance(what, pl.LazyFrame):
            return what.collect()
        if isinstance(what, Mapping):
            return pl.DataFrame(dict(what), strict=False)
        if isinstance(what, list | tuple) and what and all(isinstance(row, Mapping) for row in what):
            names = list(dict.fromkeys(name for row in what for name in row))
            _refuse_twice(dict.fromkeys(names))
            return pl.DataFrame({str(name): [row.get(name) for row in what] for name in names}, strict=False)
        if type(what).__module__.partition(".")[0] == "pandas" and hasattr(what, "columns"):
            if any(name is not None for name in what.index.names):
                what = what.reset_index()
            # by column: an object column of mixed types would be refused as a whole
            return pl.DataFrame({str(name): _pandas_column(what[name]) for name in what.columns})
        if hasattr(what, "__arrow_c_stream__"):
            return pl.DataFrame(ArrowStream(what))
    except OSError as error:  # a lazy frame over a file that is not there
        raise DataError(
            f"this {type(what).__qualname__} cannot be read: {error}", "see that its files are there and yours to read."
        ) from error
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError, pl.exceptions.PanicException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"this {type(what).__qualname__} cannot become a frame: {error}",
            "give columns of one length and one type each.",
        ) from error
    except Exception as error:  # an Arrow type without a counterpart, a DuckDB relation whose query fails
        if type(error).__module__.partition(".")[0] not in {"pyarrow", "duckdb", "_duckdb"}:
            raise
        raise DataError(f"this {type(what).__qualname__} cannot become a frame: {error}", f"give {KINDS}.") from error
    raise DataError(
        f"a table is needed, not {type(what).__module__}.{type(what).__qualname__}",
        f"give {KINDS}.",
    )


def _refuse_twice(what: Any) -> None:
    """Columns whose names are equal as text would be one, in silence."""
    if isinstance(what, pl.LazyFrame):  # which looks itself, and takes time to say its columns
        return
    given = list(what) if isinstance(what, Mapping) else getattr(what, "columns", getattr(what, "column_names", []))
    if not isinstance(given, Iterable) or not all(isinstance(name, Hashable) for name in given):
        return
    names = [str(name) for name in given]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"two columns are called {twice!r}", "give one of them another name.")


def _pandas_column(column: Any) -> pl.Series:
    """A pandas column as a series; what Arrow cannot type becomes text."""
    try:
        return pl.Series(pl.from_pandas(column))
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError, ImportError):
        return pl.Series(
            [None if value is None or str(value) in {"nan", "NaT", "<NA>"} else str(value) for value in column]
        )
