"""What a source module declares about its paper, and how it shapes its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import polars as pl

from scalingdb.errors import DataError
from scalingdb.schema import TABLES

if TYPE_CHECKING:
    from ingest._raw import RawFolder

__all__ = ["Builder", "Correction", "Evidence", "PublishedFit", "SetAside", "Source", "arxiv_entry", "conform"]

Evidence = Literal["read", "second_hand", "refit", "converted"]

Builder = Callable[["RawFolder"], dict[str, pl.DataFrame]]


@dataclass(frozen=True)
class PublishedFit:
    """One published coefficient set of one law.

    Attributes
    ----------
    law, variant : str
        Id of the law and name of this set; the variant becomes part of the SQL macro's name.
    params : mapping of str to float
        Parameters in full printed precision, in the law's own sign convention.
    where_stated : str
        Table, equation or file that holds the numbers; for ``second_hand`` also who quotes it.
    evidence : str
        How the numbers are known, one of ``scalingdb.schema.EVIDENCE``: ``"read"`` at `where_stated`,
        in the paper or its release; ``"second_hand"``, quoted elsewhere; ``"refit"``, our own fit of the
        authors' rows; ``"converted"``, computed from what was read there (exp of a logarithm, another
        unit, a mean) or read in a machine-converted copy. A set of several kinds has the weakest.
    output_unit : str
        Unit of the law's output with these coefficients (a name of ``scalingdb.schema.UNITS``,
        or a plain word such as ``tokens`` for laws whose output is no loss).
    n_definition : str, optional
        Which parameter count the set was fitted with.
    intervals : mapping of str to (low, high)
        95 % intervals where the source prints them.
    is_default : bool
        Whether ``law_<id>()`` in SQL evaluates this set.
    """

    law: str
    variant: str
    params: Mapping[str, float]
    where_stated: str
    evidence: Evidence
    output_unit: str
    n_definition: str | None = None
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=lambda: MappingProxyType({}))
    is_default: bool = False


@dataclass(frozen=True)
class SetAside:
    """Records of a raw file that no table holds row by row, and the reason.

    Attributes
    ----------
    file : str
        Recorded path, or a glob pattern for several files that are alike.
    n_rows : int, optional
        Records set aside in each of these files. None: the file holds no records.
    reason : str
        A fragment of a sentence. It begins with "read into runs" (or "claims", "published_fits")
        where the content stands in a table that does not name raw files.
    """

    file: str
    n_rows: int | None
    reason: str


@dataclass(frozen=True)
class Source:
    """One paper or release. The fields are those of the table ``sources``.

    `notes` says in plain sentences what a user must know: units, gaps, corrections, what cannot be
    reproduced from the files and why. `not_upstream` names raw files that the pinned commit does not
    hold under the same path (joined, parsed or renamed ones): they cannot be downloaded. `set_aside`
    accounts for the records of the raw files that do not land: the build compares it with what it
    counts (see :mod:`ingest._ledger`).
    """

    source_id: str
    title: str
    authors: str
    year: int
    licence: str
    redistribution: str
    bibtex: str
    is_shipped: bool = True
    arxiv_id: str | None = None
    repository: str | None = None
    upstream_commit: str | None = None
    headline_metric: str | None = None
    headline_eval_set: str | None = None
    n_definition: str | None = None
    notes: str = ""
    not_upstream: tuple[str, ...] = ()
    published_fits: Sequence[PublishedFit] = ()
    set_aside: Sequence[SetAside] = ()

    def row(self, n_raw_files: int, raw_sha256: str | None) -> pl.DataFrame:
        """The source as the one row of its ``sources`` table."""
        values = {name: getattr(self, name) for name in TABLES["sources"].columns if hasattr(self, name)}
        values |= {"n_raw_files": n_raw_files, "raw_sha256": raw_sha256}
        return conform("sources", pl.DataFrame([values], infer_schema_length=1), self.source_id)

    def published_fits_frame(self) -> pl.DataFrame:
        """The declared coefficient sets, one row per parameter."""
        rows = [
            {
                "law": fit.law,
                "source_id": self.source_id,
                "variant": fit.variant,
                "is_default": fit.is_default,
                "param": param,
                "value": float(value),
                "low": fit.intervals.get(param, (None, None))[0],
                "high": fit.intervals.get(param, (None, None))[1],
                "n_definition": fit.n_definition,
                "output_unit": fit.output_unit,
                "where_stated": fit.where_stated,
                "evidence": fit.evidence,
            }
            for fit in self.published_fits
            for param, value in fit.params.items()
        ]
        schema = TABLES["published_fits"].polars_schema
        return pl.DataFrame(rows, schema=schema, orient="row")


@dataclass(frozen=True)
class Correction:
    """A declared change of one raw value.

    The correction is applied only while the raw file still holds `expected`; once upstream mends
    the file the build stops and asks for the declaration to be removed.
    """

    file: str
    row: int
    field: str
    expected: object
    corrected: object
    reason: str


def conform(table: str, frame: pl.DataFrame, source_id: str) -> pl.DataFrame:
    """Bring `frame` into the column order and types of `table`.

    Columns that the source does not report are added as nulls and ``source_id`` is filled in. A
    column that the table does not know is an error, never dropped.

    Raises
    ------
    DataError
        If `frame` has a column that the table does not define, or a value that does not convert.
    """
    spec = TABLES[table]
    extra = [name for name in frame.columns if name not in spec.columns]
    if extra:
        raise DataError(
            f"source {source_id!r}, table {table!r}: unknown column(s) {', '.join(map(repr, extra))}",
            "define the column in scalingdb/schema.py and name it in the table, or drop it before conform().",
        )
    if "source_id" in spec.columns and "source_id" not in frame.columns:
        frame = frame.with_columns(source_id=pl.lit(source_id, dtype=pl.String))
    missing = [
        pl.lit(None, dtype=dtype).alias(name) for name, dtype in spec.polars_schema.items() if name not in frame.columns
    ]
    try:
        return frame.with_columns(missing).select(
            pl.col(name).cast(dtype) for name, dtype in spec.polars_schema.items()
        )
    except pl.exceptions.PolarsError as error:
        raise DataError(f"source {source_id!r}, table {table!r}: {error}") from error


def arxiv_entry(title: str, authors: str, year: int, arxiv_id: str) -> str:
    """BibTeX entry of a paper on arXiv; `authors` are separated by commas."""
    names = " and ".join(authors.replace(" and others", ", others").split(", "))
    key = f"{authors.split(',', maxsplit=1)[0].rsplit(maxsplit=1)[-1].lower()}{year}"
    return (
        f"@article{{{key}, title={{{title}}}, author={{{names}}}, journal={{arXiv preprint arXiv:{arxiv_id}}}, "
        f"year={{{year}}}}}"
    )
