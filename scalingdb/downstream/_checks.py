"""What every analysis of scores refuses, and how it names the rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalingdb.display import html_table
from scalingdb.errors import DataError, unknown_name
from scalingdb.fits import as_frame
from scalingdb.notices import notice

__all__ = [
    "as_frame",
    "canonical",
    "check_scores",
    "compute_column",
    "default_keys",
    "finite",
    "keys_of",
    "label_rows",
    "need_columns",
    "result_table",
    "say_mixtures",
]

MAX_SHOWN = 4
LABELS = ("source_id", "run_id", "task", "metric", "item_id", "n_tokens")
"""Columns that help a person find a row."""

BY = ("source_id", "family", "task", "metric")
"""Columns that define a group of comparable scores, before the number of shots."""

FloatArray = NDArray[np.float64]


def canonical(frame: pl.DataFrame, first: Sequence[str] = ()) -> pl.DataFrame:
    """The rows in an order that depends on their values alone: by `first`, then by every other column.

    Resampling and averaging over this order gives the same result however the rows were arranged.
    """
    others = [name for name in sorted(frame.columns) if name not in first and not frame[name].dtype.is_nested()]
    order = [*first, *(name for name in others if frame[name].dtype != pl.Object)]
    return frame.sort(order, nulls_last=True) if order else frame


def keys_of(by: str | Sequence[str], frame: pl.DataFrame) -> list[str]:
    """Names of the grouping columns, all of which exist."""
    keys = [by] if isinstance(by, str) else list(by)
    for name in keys:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, "(given in by)")
    return keys


def default_keys(frame: pl.DataFrame) -> list[str]:
    """The grouping of scores by default: 0-shot and 5-shot scores are different quantities."""
    return [*BY, *(["n_shots"] if "n_shots" in frame.columns else [])]


def say_mixtures(frame: pl.DataFrame, keys: list[str]) -> None:
    """Count the groups in which scores with several numbers of shots are mixed."""
    if "n_shots" not in frame.columns or "n_shots" in keys:
        return
    counts = frame.group_by(keys).agg(pl.col("n_shots").n_unique())
    if mixed := int((counts["n_shots"] > 1).sum()):
        notice(f"{mixed} of {counts.height} groups mix several numbers of shots: add 'n_shots' to by to separate them")


def need_columns(frame: pl.DataFrame, columns: Iterable[str], what: str, hint: str) -> None:
    """Refuse a frame without the columns, saying what they are for."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise DataError(f"the frame has no column {', '.join(map(repr, missing))}, which {what} needs", hint)


def label_rows(frame: pl.DataFrame, mask: pl.Series, *columns: str) -> str:
    """The first rows of a mask in words: number, what identifies them, and the values of `columns`."""
    rows = mask.arg_true().to_list()
    shown = []
    for row in rows[:MAX_SHOWN]:
        values = {name: frame[name][row] for name in LABELS if name in frame.columns and name not in columns}
        where = ", ".join(f"{name}={value!r}" for name, value in values.items() if value is not None)
        what = ", ".join(f"{name}={frame[name][row]!r}" for name in columns)
        shown.append(f"  row {row}" + (f" ({where})" if where else "") + f": {what}")
    if len(rows) > MAX_SHOWN:
        shown.append(f"  ... and {len(rows) - MAX_SHOWN} more")
    return "\n".join(shown)


def finite(frame: pl.DataFrame, columns: Iterable[str], what: str, *, positive: bool = False) -> None:
    """Refuse values that are missing, not finite, or (on request) not positive."""
    for name in columns:
        if not frame[name].dtype.is_numeric():
            raise DataError(f"column {name!r} holds {frame[name].dtype}, not numbers", "cast it to a float first.")
        values = frame[name].cast(pl.Float64)
        bad = ~values.is_finite().fill_null(value=False)
        label = "missing or not finite"
        if positive:
            bad, label = bad | (values <= 0).fill_null(value=False), "missing, not finite or not positive"
        if bad.any():
            raise DataError(
                f"{int(bad.sum())} value(s) of {name!r}, which {what} needs, are {label}\n"
                + label_rows(frame, bad, name),
                "filter these rows out, so that what is left out is your decision.",
            )


def check_scores(frame: pl.DataFrame, score: str = "score", what: str = "this analysis") -> None:
    """Refuse scores that are missing, or outside [0, 1] where they are fractions.

    Rows whose ``unit`` is something else than ``fraction`` may hold any finite number; without
    a column ``unit`` all scores are taken for fractions.
    """
    need_columns(frame, [score], what, f'name the column with the scores: score="{frame.columns[0]}".')
    if frame.is_empty():
        raise DataError("the frame is empty: there are no scores", "check the filters that led to it.")
    finite(frame, [score], what)
    values = frame[score].cast(pl.Float64)
    fractions = (
        (frame["unit"] == "fraction").fill_null(value=True)
        if "unit" in frame.columns
        else pl.Series([True]).new_from_index(0, frame.height)
    )
    outside = fractions & ~values.is_between(0, 1)
    if not outside.any():
        return
    bad = values.filter(outside)
    message = f"{bad.len()} score(s) are outside [0, 1]\n{label_rows(frame, outside, score)}"
    if bad.min() > 1 and bad.max() <= 100:  # type: ignore[operator]
        inside = int((fractions & ~outside).sum())
        raise DataError(
            message + (f"\n{inside} other score(s) are fractions: the two are mixed" if inside else ""),
            "these look like percentages: divide them by 100. A percentage below 1 looks like a fraction.",
        )
    raise DataError(message, "a score is a fraction between 0 and 1; name its unit in a column 'unit' if it is not.")


def compute_column(frame: pl.DataFrame, compute: str | None) -> pl.Expr:
    """Training compute of each row: the column given, else 6ND, else what the source reports."""
    if compute is not None:
        if compute not in frame.columns:
            raise unknown_name("column", compute, frame.columns, "(given as compute)")
        return pl.col(compute).cast(pl.Float64)
    present = [name for name in ("train_flops_6nd", "train_flops") if name in frame.columns]
    if not present:
        raise DataError(
            "the frame has neither 'train_flops_6nd' nor 'train_flops'",
            'name the column with training compute: compute="<column>" (parameters or tokens serve too).',
        )
    return pl.coalesce(pl.col(name).cast(pl.Float64) for name in present)


def result_table(frame: pl.DataFrame) -> str:
    """A frame as an HTML table, for the display of a result."""
    return html_table(frame.columns, frame.rows())
