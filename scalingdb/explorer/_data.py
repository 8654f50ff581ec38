"""What can be explored: sources that some law fits, the laws that fit a frame, and the rows that they take."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import polars as pl

from scalingdb.errors import DataError, ScalingDBError, unknown_name
from scalingdb.estimation.objectives import ObjectiveName
from scalingdb.fits import suited
from scalingdb.law_library import Law, all_laws
from scalingdb.notices import silence
from scalingdb.schema import N_DEFINITIONS
from scalingdb.warehouse import Warehouse

__all__ = ["EVERY", "MOST_ROWS", "Rows", "families", "laws_of", "read_rows", "sources_of"]

EVERY = "all families"
"""Choice of every family of a source."""

MOST_ROWS = 5000
"""Rows that are drawn and brushed at most."""

HEADLINES = """
select source_id, {columns} from points p join sources s using (source_id)
where p.flag is null and p.metric = s.headline_metric
    and (s.headline_eval_set is null or p.eval_set = s.headline_eval_set)
"""
"""Rows that :meth:`Warehouse.points` gives for each source, all at once."""

COMPARED = ("metric", "unit", "eval_set", "tokenizer_id", "n_definition")
"""Columns that a fit looks at beside those of its law."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one choice that the law takes.

    Attributes
    ----------
    frame : DataFrame
    columns : dict
        Column for each input of the law.
    n_short : int
        Rows left out because they lack one of the law's columns.
    labels : list of str
        A name for every row: its run where rows are runs, else its number.
    by_run : bool
        Whether every row is a run of its own, named by ``run_id``.
    """

    frame: pl.DataFrame
    columns: dict[str, str]
    n_short: int
    labels: list[str]
    by_run: bool

    @functools.cached_property
    def short_labels(self) -> list[str]:
        """Labels without the name of the source, where all of them begin with it."""
        first = f"{self.labels[0].partition('/')[0]}/"
        is_shared = all(label.startswith(first) for label in self.labels)
        return [label.removeprefix(first) for label in self.labels] if is_shared else self.labels

    @functools.cached_property
    def noun(self) -> str:
        return "run" if self.by_run else "row"


def read_rows(frame: pl.DataFrame, law: Law, objective: ObjectiveName) -> Rows:
    """Rows of a frame for a law.

    Raises
    ------
    DataError, FitError, UnknownNameError
        If the law cannot be fitted to them, or there are too many to draw.
    """
    with silence():
        rows, columns = suited(frame, law, objective)
    if rows.height > MOST_ROWS:
        raise DataError(
            f"{rows.height} rows are too many to draw and brush ({MOST_ROWS} at most)",
            "give a part of them, such as one family, or the last point of each run.",
        )
    by_run = "run_id" in rows.columns and rows["run_id"].null_count() == 0 and rows["run_id"].n_unique() == rows.height
    labels = rows["run_id"].to_list() if by_run else [f"row {i}" for i in range(rows.height)]
    return Rows(rows, columns, frame.height - rows.height, list(map(str, labels)), by_run)


def _is_offered(law: Law, frame: pl.DataFrame) -> bool:
    """Whether a law may be offered for a frame; that it fits is another question."""
    return law.output in frame.columns and all(name in frame.columns for name in law.inputs)


def laws_of(frame: pl.DataFrame, objective: ObjectiveName = "huber_log", *, losses_only: bool = False) -> list[str]:
    """Names of the laws that fit a frame, in the order of the library."""
    return [
        law.name
        for law in all_laws().values()
        if _is_offered(law, frame) and (law.output == "loss" or not losses_only) and _fits(frame, law, objective)
    ]


def _fits(frame: pl.DataFrame, law: Law, objective: ObjectiveName) -> bool:
    try:
        read_rows(frame, law, objective)
    except ScalingDBError:
        return False
    return True


def sources_of(db: Warehouse) -> list[str]:
    """Sources whose headline losses some law fits."""
    losses = [law for law in all_laws().values() if law.output == "loss"]
    present = db.sql("from points limit 0").columns
    wanted = {"run_id", "loss", *COMPARED, *N_DEFINITIONS, *(name for law in losses for name in law.inputs)}
    frame = db.sql(HEADLINES.format(columns=", ".join(f"p.{name}" for name in present if name in wanted)))
    found = []
    for (name,), own in frame.group_by("source_id", maintain_order=True):
        rows = own[[column.name for column in own if column.null_count() < own.height]]
        if any(_is_offered(law, rows) and _fits(rows, law, "huber_log") for law in losses):
            found.append(str(name))
    return sorted(found)


def families(frame: pl.DataFrame) -> list[str]:
    """Families of a source among which one can choose: nothing where there is one only."""
    if "family" not in frame.columns:
        return []
    names = frame["family"].drop_nulls().unique().sort().to_list()
    return list(map(str, names)) if len(names) > 1 else []


def choose(kind: str, value: Any, known: list[str]) -> str:
    """A choice that exists.

    Raises
    ------
    UnknownNameError
        If it does not.
    """
    if value not in known:
        raise unknown_name(kind, str(value), known)
    return str(value)
