"""What a refit is, and how it is run."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from scalingdb.errors import FitWarning, unknown_name
from scalingdb.fits import Fit, fit
from scalingdb.law_library import Law, get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["RESULTS", "Refit", "all_refits", "digest", "refit", "refit_table"]

RESULTS = Path(__file__).with_name("results.csv")
"""Results of the last run of ``python -m scalingdb.evidence.refits``: all fits together take minutes."""


@dataclass(frozen=True)
class Refit:
    """One published coefficient set, and the query that fetches the rows it was fitted to.

    Attributes
    ----------
    law, variant : str
        Id of the law and of the published set.
    source_id : str
        Source that holds the rows.
    rows : str
        SQL over the views; its columns are named like the law's inputs and its output.
    options : mapping
        For :func:`scalingdb.fit`: the authors' objective, delta, weights, fixed parameters.
    note : str
        What a reader must know: choices that the paper leaves open, and why figures differ.
    bind : callable, optional
        ``bind(db, rows) -> (law, rows)`` for a law that needs more than rows, such as schedules.
    """

    law: str
    variant: str
    source_id: str
    rows: str
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""
    bind: Callable[[Warehouse, pl.DataFrame], tuple[Law, pl.DataFrame]] | None = None


def all_refits() -> list[Refit]:
    """Every refit of the chapters, in their order."""
    package = importlib.import_module("scalingdb.evidence.refits")
    found: list[Refit] = []
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            found += importlib.import_module(f"scalingdb.evidence.refits.{module.name}").REFITS
    return found


def refit(db: Warehouse, one: Refit) -> tuple[Fit, pl.DataFrame]:
    """Fit a law again and set its parameters beside the published ones.

    Returns
    -------
    Fit
    DataFrame
        A row per parameter: ``law, variant, source_id, param, published, estimate, low, high,
        published_objective, objective, excess`` (of the published set, relative), ``verdict, note``.

    Raises
    ------
    UnknownNameError
        If the variant is not published.
    """
    law = get_law(one.law)
    if one.variant not in law.published:
        raise unknown_name("variant", one.variant, law.published, f"(of law {law.name!r})")
    rows = db.sql(one.rows)
    if one.bind is not None:
        law, rows = one.bind(db, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the verdict is a column of the table
        found = fit(rows, law, **{"pool": True, **one.options})
    published = law.coefficients(one.variant)
    theirs = found.objective_at(one.variant)
    table = found.tidy().select(
        pl.lit(one.law).alias("law"),
        pl.lit(one.variant).alias("variant"),
        pl.lit(one.source_id).alias("source_id"),
        "param",
        pl.col("param").replace_strict(published, default=None, return_dtype=pl.Float64).alias("published"),
        "estimate",
        "low",
        "high",
        pl.lit(theirs).alias("published_objective"),
        pl.lit(found.objective).alias("objective"),
        pl.lit(theirs / found.objective - 1 if found.objective else None, dtype=pl.Float64).alias("excess"),
        pl.lit(str(found.verdict)).alias("verdict"),
        pl.lit(one.note).alias("note"),
    )
    return found, table


KEYS = ("law", "variant", "source_id", "digest")
SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(KEYS, pl.String),
    "n_rows": pl.Int64,
    "param": pl.String,
    **dict.fromkeys(("published", "estimate", "low", "high", "published_objective", "objective", "excess"), pl.Float64),
    "verdict": pl.String,
}


def _rows_hash(db: Warehouse, query: str) -> str:
    """Hash of the rows of a query, whatever their order."""
    rows = db.sql(query)
    lines = sorted(rows.select(sorted(rows.columns)).write_csv(float_precision=12).splitlines())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digest(db: Warehouse, one: Refit, hashes: dict[str, str] | None = None) -> str:
    """What a result belongs to: rows, law, options and published coefficients, as one short hash.

    `hashes` keeps those of queries that several refits share.
    """
    known = {} if hashes is None else hashes
    if one.rows not in known:
        known[one.rows] = _rows_hash(db, one.rows)
    law = get_law(one.law)
    content = [
        known[one.rows],
        sorted(f"{key}={value!r}" for key, value in one.options.items()),
        sorted(f"{key}={value!r}" for key, value in law.coefficients(one.variant).items()),
        law.formula_text if law.is_traceable else law.doc,
    ]
    return hashlib.sha256(repr(content).encode()).hexdigest()[:16]


def refit_table(
    db: Warehouse, progress: Callable[[int, int], None] = lambda _done, _total: None, *, recompute: bool = False
) -> pl.DataFrame:
    """Every refit beside its published set, one row per parameter.

    Stored results (:data:`RESULTS`) are used where rows, law, options and published
    coefficients have not changed since; everything else is fitted now.

    Parameters
    ----------
    db : Warehouse
    progress : callable, optional
        Called with the number of refits done and the number of all.
    recompute : bool
        Fit everything, whatever is stored.

    Returns
    -------
    DataFrame
        As the table of :func:`refit`, with ``digest`` and ``n_rows``; ``note`` says what disagreements mean.
    """
    stored = pl.read_csv(RESULTS, schema=SCHEMA) if RESULTS.exists() and not recompute else pl.DataFrame(schema=SCHEMA)
    kept = stored.partition_by(KEYS, as_dict=True, maintain_order=True)
    refits = all_refits()
    hashes: dict[str, str] = {}
    tables = []
    for done, one in enumerate(refits):
        progress(done, len(refits))
        key = (one.law, one.variant, one.source_id, digest(db, one, hashes))
        found = kept.get(key)
        if found is None:
            fitted, table = refit(db, one)
            found = table.with_columns(digest=pl.lit(key[-1]), n_rows=pl.lit(fitted.data.height, dtype=pl.Int64))
            found = found.select(pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
        tables.append(found.with_columns(note=pl.lit(one.note)))
    progress(len(refits), len(refits))
    return pl.concat(tables) if tables else pl.DataFrame(schema={**SCHEMA, "note": pl.String})
