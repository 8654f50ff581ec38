"""From wide files to long ones: one row per run and number, each number described once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from ingest._raw import RawFolder
from ingest._source import conform
from scalingdb.errors import DataError, RawFileError

__all__ = ["measured", "melt", "parquet", "require", "slug"]


def parquet(raw: RawFolder, name: str, rows: int) -> pl.DataFrame:
    """Read a raw Parquet file, with ``raw_file`` and ``raw_row`` (records counted from 1).

    Raises
    ------
    RawFileError
        If the file cannot be read or does not hold `rows` records.
    """
    place = f"source {raw.source.source_id!r}, raw file {name!r}"
    try:
        frame = pl.read_parquet(raw.path(name))
    except pl.exceptions.PolarsError as error:
        raise RawFileError(f"{place}: not readable: {error}") from error
    if frame.height != rows:
        raise RawFileError(f"{place}: {frame.height} records where {rows} are expected")
    raw.count(name, frame.height)
    return frame.with_row_index("raw_row", offset=1).with_columns(
        pl.col("raw_row").cast(pl.Int64), raw_file=pl.lit(name)
    )


def melt(frame: pl.DataFrame, keep: Sequence[str], fields: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """One row for every row of `frame` and every number that `fields` describes.

    Parameters
    ----------
    frame : DataFrame
        The wide table.
    keep : sequence of str
        Columns that every long row carries.
    fields : iterable of mapping
        Each names a column of `frame` as ``raw_field`` and gives what is constant about it (metric,
        eval set, unit, shots ...).

    Returns
    -------
    DataFrame
        `keep`, ``raw_field``, ``value``, and the constants; rows without a value are left out,
        because the source measured nothing there.
    """
    described = pl.DataFrame(list(fields), infer_schema_length=None)
    return (
        frame.select(*keep, *described["raw_field"])
        .unpivot(described["raw_field"].to_list(), index=list(keep), variable_name="raw_field", value_name="value")
        .drop_nulls("value")
        .join(described, on="raw_field", how="left")
    )


def require(place: str, **counts: tuple[object, object]) -> None:
    """Compare what was found with what was curated; each argument is ``(found, expected)``.

    Raises
    ------
    DataError
        Naming the file and everything that differs.
    """
    wrong = [
        f"{what.replace('_', ' ')}: {found!r}, expected {expected!r}"
        for what, (found, expected) in counts.items()
        if found != expected
    ]
    if wrong:
        raise DataError(f"{place}: " + "; ".join(wrong))


def measured(source_id: str, rows: pl.DataFrame, **constants: object) -> pl.DataFrame:
    """Rows of ``evals`` as the schema wants them.

    `constants` fill columns that `rows` lacks; the split is ``all`` and the origin ``reported`` unless said otherwise.
    """
    filled = {"split": "all", "value_origin": "reported", **constants}
    missing = {name: value for name, value in filled.items() if name not in rows.columns}
    return conform("evals", rows.with_columns(pl.lit(value).alias(name) for name, value in missing.items()), source_id)


def slug(name: pl.Expr) -> pl.Expr:
    """A name in lower case with underscores: ``"SQuADv2 (EM)"`` becomes ``"squadv2_em"``."""
    return name.str.to_lowercase().str.replace_all(r"[^a-z0-9.]+", "_").str.strip_chars("_")
