"""From a frame to arrays: which columns, which rows, and what is refused.

The checks refuse what would make a number meaningless: rows that are not comparable, missing or
non-positive values, fewer rows than parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitError, unknown_name
from scalingdb.fits._form import Form
from scalingdb.law_library import Law
from scalingdb.notices import argument, at_the_shell
from scalingdb.reading import as_frame
from scalingdb.schema import N_DEFINITIONS

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import Objective
    from scalingdb.fits._problem import Options

IntArray = np.ndarray[Any, np.dtype[np.int64]]

__all__ = ["Data", "as_frame", "clusters_of", "collect", "columns_of", "refuse_bad_values"]

COMPARABLE = ("metric", "unit", "eval_set", "tokenizer_id")
"""Columns that must hold one value each for two losses to be comparable."""

MAX_SHOWN = 5
"""Rows or groups that an error message lists before it counts the rest."""


@dataclass(frozen=True)
class Data:
    """Arrays of one problem, and what was done to get them."""

    frame: pl.DataFrame
    columns: Mapping[str, str]
    output: str
    inputs: tuple[FloatArray, ...]
    y: FloatArray
    weights: FloatArray
    clusters: IntArray
    resampled: str
    notes: tuple[str, ...]
    too_few_runs: int | None = None
    n_items: FloatArray | None = None


def _resolve_inputs(frame: pl.DataFrame, law: Law, given: Mapping[str, str] | None) -> tuple[dict[str, str], list[str]]:
    """Column for every input of the law, and remarks where it is not the one of that name.

    ``n_params`` in a law means N as the data's own headline analysis counts it, which frames from
    the warehouse name in ``n_definition``. The other two counts mean exactly what they say.
    """
    columns, notes = {}, []
    for name in given or {}:
        if name not in law.inputs:
            raise unknown_name("input", name, law.inputs, f"(of law {law.name!r})")
    for name in law.inputs:
        if given and name in given:
            if given[name] not in frame.columns:
                raise unknown_name(
                    "column", given[name], frame.columns, f"(given for input {name!r} of law {law.name!r})"
                )
            columns[name] = given[name]
            continue
        column = name
        if name == "n_params" and "n_definition" in frame.columns:
            definitions = frame["n_definition"].drop_nulls().unique().to_list()
            if len(definitions) == 1 and definitions[0] in frame.columns:
                column = definitions[0]
                if column != name:
                    notes.append(f"N is {column}: that is what the headline analysis of this data counts")
        usable = column in frame.columns and frame[column].null_count() < frame.height
        if not usable and column in N_DEFINITIONS:
            for other in N_DEFINITIONS:
                if other in frame.columns and other != column and frame[other].null_count() == 0 and frame.height:
                    notes.append(f"N is {other}: the data hold no {column}, which law {law.name!r} names")
                    column, usable = other, True
                    break
        if column not in frame.columns:
            raise DataError(
                f"the frame has no column {name!r}, which law {law.name!r} takes (its inputs: {', '.join(law.inputs)})",
                _hint_of_missing(frame, name),
            )
        columns[name] = column
    return columns, notes


def _laws() -> str:
    return "scalingdb laws" if at_the_shell() else "sdb.laws()"


def _fixed() -> str:
    return "--fix NAME=VALUE" if at_the_shell() else "fixed={...}"


def _hint_of_missing(frame: pl.DataFrame, name: str) -> str:
    """How an input that the frame lacks can be had: by another column, or from N and D."""
    n = next((count for count in N_DEFINITIONS if count in frame.columns), None)
    if name == "n_tokens" and "step" in frame.columns:
        return f"{argument(tokens_per_step='TOKENS' if at_the_shell() else ...)} makes it from the steps."
    if name == "train_flops" and n and "n_tokens" in frame.columns:
        if at_the_shell():
            return f"add a column of the compute to the file and map it: {argument(mapping={'C': 'COLUMN'})}."
        return f'6 N D is a column away: frame.with_columns(train_flops=6 * pl.col("{n}") * pl.col("n_tokens")).'
    if at_the_shell():
        return f"add it, or say which column it is: {argument(mapping={name: 'COLUMN'})}."
    return f'add it, or say which column to use: inputs={{"{name}": "<column>"}}.'


def columns_of(frame: pl.DataFrame, law: Law) -> dict[str, str]:
    """Column of a frame that a fit takes for each input of a law.

    Raises
    ------
    DataError
        If there is none.
    """
    return _resolve_inputs(frame, law, None)[0]


def _refuse_incomparable(frame: pl.DataFrame, law: Law) -> None:
    """Refuse to pool rows that are measured in different ways (only for laws of a loss)."""
    if law.output != "loss":
        return
    present = [name for name in COMPARABLE if name in frame.columns]
    mixed = [name for name in present if frame[name].n_unique() > 1]
    if not mixed:
        return
    groups = frame.group_by(mixed).len().sort("len", descending=True)
    lines = [
        "  " + ", ".join(f"{name}={row[name]!r}" for name in mixed) + f": {row['len']} rows"
        for row in groups.head(MAX_SHOWN).iter_rows(named=True)
    ]
    if groups.height > MAX_SHOWN:
        lines.append(f"  ... and {groups.height - MAX_SHOWN} more groups")
    raise DataError(
        f"the rows are not comparable: they differ in {', '.join(mixed)}\n" + "\n".join(lines),
        f"filter one group with {argument('where')}, or pass {argument(pool=True)} if you know that they compare; "
        f"'scalingdb fit' fits each with {argument(by=mixed[0])}."
        if at_the_shell()
        else "filter one group, fit each with sdb.fit_by(..., by=...), or pass pool=True if you know that they "
        "compare.",
    )


def refuse_bad_values(
    frame: pl.DataFrame, columns: Sequence[str], needs_positive: Sequence[str], law: Law | None = None
) -> None:
    """Refuse missing, non-finite and (where logarithms are taken) non-positive values, naming rows.

    With the law whose inputs are ``columns`` in the law's order, the hint says how an input may be zero.
    """
    faults = []
    inputs_at_zero: dict[str, float] = {}
    for name in dict.fromkeys(columns):
        is_input = law is not None and name in columns[: len(law.inputs)]
        is_indicator = is_input and frame[name].dtype == pl.Boolean
        if not (frame[name].dtype.is_numeric() or is_indicator):
            raise DataError(f"column {name!r} holds {frame[name].dtype}, not numbers", "cast it to a float first.")
        values = frame[name].cast(pl.Float64)
        numbers = values.to_numpy()  # nulls arrive as nan; nearly always all is well
        if np.isfinite(numbers).all() and (name not in needs_positive or (numbers > 0).all()):
            continue
        bad = values.is_null() | ~values.is_finite().fill_null(False)
        label = "missing or not finite"
        if name in needs_positive:
            low = (values <= 0).fill_null(False)
            if low.any():
                label = "missing, not finite or not positive" if bad.any() else "not positive"
            bad = bad | low
            if law is not None and is_input and low.any():
                inputs_at_zero[law.inputs[list(columns).index(name)]] = float(values.filter(low).min())  # type: ignore[arg-type]
        if bad.any():
            rows = bad.arg_true().to_list()
            shown = ", ".join(f"row {row}: {values[row]}" for row in rows[:MAX_SHOWN])
            more = f" and {len(rows) - MAX_SHOWN} more" if len(rows) > MAX_SHOWN else ""
            faults.append(f"column {name!r} has {len(rows)} value(s) that are {label} ({shown}{more})")
    if faults:
        if law is not None and inputs_at_zero:
            raise DataError("\n".join(faults), _hint_of_zero(frame, law, columns, inputs_at_zero))
        raise DataError(
            "\n".join(faults),
            "filter these rows out, so that what is left out is your decision; "
            "a loss may be zero or negative only under an objective without '_log'.",
        )


def _hint_of_zero(frame: pl.DataFrame, law: Law, columns: Sequence[str], lowest: Mapping[str, float]) -> str:
    """Why an input of a law is refused at zero, and the argument that lets it be zero."""
    domain = {}
    for name, low in lowest.items():
        high = float(frame[columns[law.inputs.index(name)]].cast(pl.Float64).max())  # type: ignore[arg-type]
        domain[name] = f'"{name}": ({low:g}, {max(high, low):g})'
    names = " and ".join(map(repr, lowest))
    declared = f"domain={{{', '.join(domain.values())}}}"
    why = f"law {law.name!r} takes {names} as positive, because no domain says otherwise, and may take logarithms"
    if not law.is_own:
        return f"{why}; filter these rows out (checkpoints at step 0 have seen no token)."
    return (
        f"{why}. If the formula holds at zero (an indicator, a share), declare the law with {declared}, as in "
        f'@sdb.law("{law.name}", ..., {declared}); otherwise filter these rows out.'
    )


def collect(frame: object, form: Form, objective: Objective, options: Options) -> Data:
    """Check a frame and take what a fit needs from it.

    Raises
    ------
    DataError, FitError, UnknownNameError
        As :func:`scalingdb.fit` says.
    """
    table, law = as_frame(frame), form.law
    if table.is_empty():
        raise DataError("the frame is empty: there is nothing to fit", "check the filters that led to it.")
    weights = _weights(table, options.weights)
    n_absent = int((weights == 0).sum())
    if n_absent:
        table, weights = table.filter(weights > 0), weights[weights > 0]
    columns, notes = _resolve_inputs(table, law, options.inputs)
    if n_absent:
        notes.append(f"{n_absent} row{'s' if n_absent > 1 else ''} of weight 0 left out")
    target = options.output or law.output
    if target not in table.columns:
        raise DataError(
            f"the frame has no column {target!r}, which law {law.name!r} predicts",
            'rename yours, or say which column holds it: output="<column>".',
        )
    if not options.pool:
        _refuse_incomparable(table, law)
    signed = {columns[name] for name in law.signed_inputs}
    positive = [column for column in columns.values() if column not in signed]
    refuse_bad_values(table, [*columns.values(), target], [*positive, *([target] if objective.is_log else [])], law)
    n_free = form.model.n_params
    if table.height < n_free:
        raise FitError(
            f"{table.height} row(s) cannot fix the {n_free} free parameters of law {law.name!r}",
            f"use more runs, a law with fewer parameters ({_laws()} lists them), or fix some: {_fixed()}.",
        )
    arrays = tuple(_floats(table[columns[name]]) for name in law.inputs)
    if not form.held:  # when parameters are fixed, the rest may still be seen
        _refuse_one_value(law, columns, arrays)
    clusters, resampled, too_few_runs = clusters_of(table, n_free, options.by_run and options.resample != "rows")
    if too_few_runs is not None:
        notes.append(f"intervals are {resampled}: checkpoints of one run are alike, so they are too narrow")
    items = _items(table, target, options.n_items) if objective.is_likelihood else None
    y = _floats(table[target])
    return Data(table, columns, target, arrays, y, weights, clusters, resampled, tuple(notes), too_few_runs, items)


def _floats(values: pl.Series) -> FloatArray:
    return values.cast(pl.Float64).to_numpy().astype(float)


def _weights(table: pl.DataFrame, weights: str | Sequence[float] | None) -> FloatArray:
    """Weight of every row (n,), from a column or a sequence."""
    if weights is None:
        return np.ones(table.height)
    if isinstance(weights, str):
        if weights not in table.columns:
            raise unknown_name("column", weights, table.columns, "(given as weights)")
        if not table[weights].dtype.is_numeric():
            raise DataError(f"column {weights!r} (the weights) holds {table[weights].dtype}, not numbers")
        values = _floats(table[weights])
    else:
        try:
            values = np.asarray(weights, dtype=float)
        except (TypeError, ValueError) as error:
            raise DataError(f"the weights are not numbers: {error}") from error
    if values.shape != (table.height,) or not np.isfinite(values).all() or (values < 0).any():
        raise DataError(
            f"weights must be {table.height} finite numbers that are not negative, one per row",
            "give a column name or a sequence of that length.",
        )
    return values


def _refuse_one_value(law: Law, columns: Mapping[str, str], arrays: Sequence[FloatArray]) -> None:
    for name, values in zip(law.inputs, arrays, strict=True):
        if np.unique(values).size == 1:
            raise FitError(
                f"input {columns[name]!r} has one distinct value ({values[0]:g}): "
                f"law {law.name!r} cannot be fitted along it",
                f"add runs that vary it, use a law without it (such as power_offset), or fix parameters: {_fixed()}.",
            )


def _items(table: pl.DataFrame, target: str, n_items: str | None) -> FloatArray:
    """Number of items behind every score; refuses scores that are no shares."""
    column = n_items or "n_items"
    if column not in table.columns:
        raise DataError(
            f"the frame has no column {column!r}: a binomial likelihood needs the number of items behind each score",
            'add it, name yours with n_items="<column>", or fit with objective="mse".',
        )
    refuse_bad_values(table, [column], [column])
    outside = (~table[target].is_between(0, 1)).arg_true().to_list()
    if outside:
        shown = ", ".join(f"row {row}: {table[target][row]:g}" for row in outside[:MAX_SHOWN])
        raise DataError(
            f"column {target!r} has {len(outside)} value(s) outside 0 to 1 ({shown}): a binomial takes shares",
            "divide percentages by 100; filter what is no score.",
        )
    return np.asarray(table[column].cast(pl.Float64).to_numpy(), dtype=float)


def clusters_of(table: pl.DataFrame, free: int, by_run: bool) -> tuple[IntArray, str, int | None]:
    """Number of the run that each row belongs to, how resampling goes, in words, and how many runs are too few.

    With no more runs than parameters, runs say nothing about the scatter; rows stand in for them.
    """
    rows = np.arange(table.height, dtype=np.int64)
    if not by_run or "run_id" not in table.columns:
        return rows, "by row", None
    if table["run_id"].dtype == pl.Object:
        raise DataError("column 'run_id' holds Python objects", "give the names of runs as text or numbers.")
    runs = table["run_id"].rank("dense").to_numpy().astype(np.int64) - 1
    count = np.unique(runs).size
    if count <= free and count < table.height:
        return rows, f"by row ({count} run{'s are' if count > 1 else ' is'} too few)", count
    return runs, "by run_id", None
