"""Rows that a command works on: points of a source, or of a file, under a condition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from scalingdb.cli._output import (
    refuse,
)
from scalingdb.errors import DataError, QueryError

if TYPE_CHECKING:
    import polars as pl


def read_points(source: str, selection: dict[str, str | None], flagged: bool) -> pl.DataFrame:
    """Points of a source of the warehouse, or the rows of a file."""
    import polars as pl

    from scalingdb.warehouse import connect

    path = Path(source)
    if path.suffix not in {".csv", ".parquet"}:
        return connect().points(source, flagged=flagged, **selection)
    given = [f"--{name.replace('_', '-')}" for name, value in selection.items() if value is not None]
    if flagged or given:
        refuse(
            f"{', '.join(given + ['--flagged'] * flagged)} select rows of the warehouse, and {source!r} is a file",
            "choose its rows with --where.",
        )
    if not path.is_file():
        refuse(f"file {source!r} does not exist", "give a path to a .csv or .parquet file, or the name of a source.")
    try:
        # the whole file decides a column's type: a size that turns fractional in row 5,000 is no error
        return pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"file {source!r} cannot be read: {error}", "check that it is a table with a header."
        ) from error


def filtered(frame: pl.DataFrame, condition: str) -> pl.DataFrame:
    """Rows that meet a SQL condition, in DuckDB's dialect (as everywhere else)."""
    import duckdb
    import polars as pl

    from scalingdb._stream import ArrowStream

    with duckdb.connect() as connection:
        connection.register("points", frame)
        try:
            result: pl.DataFrame = pl.DataFrame(
                ArrowStream(connection.sql(f"select * from points where ({condition}\n)"))
            )
        except duckdb.Error as error:
            first, _, rest = str(error).partition("\n")
            raise QueryError(
                f"--where {condition!r}: {first}", rest.strip() or 'for example --where "n_params > 1e8"'
            ) from error
    return result
