"""Checks of a table before it is written: types, bounds, keys, references. Every fault is reported.

The rules come from ``scalingdb/schema.py``; pandera runs them and collects all failures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandera.errors
import pandera.polars as pa
import polars as pl

from scalingdb.errors import DataError
from scalingdb.schema import COLUMNS, FLOPS_PER_6ND, METRICS, N_DEFINITIONS, TABLES, UNITS

__all__ = ["check_source", "check_table"]

MAX_SHOWN = 20


def _column_schema(table: str, name: str) -> pa.Column:
    column = COLUMNS[name]
    spec = TABLES[table]
    checks = []
    if column.minimum is not None:
        checks.append(pa.Check.ge(column.minimum))
    if column.maximum is not None:
        checks.append(pa.Check.le(column.maximum))
    if column.choices is not None and not (table in {"published_fits", "claims"} and name == "unit"):
        checks.append(pa.Check.isin(list(column.choices)))
    if column.dtype == pl.Float64:
        checks.append(pa.Check(_is_finite, error="finite"))
    return pa.Column(
        column.dtype,
        checks=checks,
        nullable=name not in spec.required and name not in spec.key[:1],
        unique=spec.key == (name,),
    )


def _is_finite(data: Any) -> pl.LazyFrame:
    frame: pl.LazyFrame = data.lazyframe.select(pl.col(data.key).is_finite())
    return frame


def check_table(table: str, frame: pl.DataFrame, source_id: str) -> None:
    """Check one table of one source against the schema.

    Raises
    ------
    DataError
        Naming every rule that is broken and the rows that break it (with the raw file and record
        where the table carries them).
    """
    faults: list[str] = []
    columns = {name: _column_schema(table, name) for name in TABLES[table].columns}
    schema = pa.DataFrameSchema(columns, strict=True, ordered=True)
    try:
        schema.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases
        for case in cases.iter_rows(named=True):
            fact = f"{case['column']} = {case['failure_case']!r} breaks {case['check']}"
            faults.append(_describe(frame, case.get("index"), fact))
    if not faults:
        faults += _key_faults(table, frame)
        if table in {"evals", "items"}:
            faults += _value_faults(frame)
    _report(source_id, table, faults)


def _report(source_id: str, table: str, faults: list[str]) -> None:
    if faults:
        shown = faults[:MAX_SHOWN] + ([f"  ... and {len(faults) - MAX_SHOWN} more"] if len(faults) > MAX_SHOWN else [])
        raise DataError("\n".join([f"source {source_id!r}, table {table!r}: {len(faults)} fault(s)", *shown]))


def _describe(frame: pl.DataFrame, index: int | None, fact: str) -> str:
    if index is None:
        return f"  {fact}"
    row = frame.row(index, named=True)
    where = f"row {index + 1}"
    if row.get("raw_file"):
        where += f" ({row['raw_file']}, record {row.get('raw_row')})"
    return f"  {where}: {fact}"


def _key_faults(table: str, frame: pl.DataFrame) -> list[str]:
    key = list(TABLES[table].key)
    copies = frame.with_row_index("row").filter(pl.struct(key).is_duplicated())
    return [
        _describe(frame, row["row"], f"key {tuple(row[name] for name in key)} is not unique")
        for row in copies.iter_rows(named=True)
    ]


def _value_faults(frame: pl.DataFrame) -> list[str]:
    """Values outside the bounds of their unit, and units that their metric does not allow."""
    faults = []
    indexed = frame.with_row_index("row")
    for (metric, unit), group in indexed.group_by("metric", "unit", maintain_order=True):
        if unit not in METRICS[str(metric)].units:
            fact = f"metric {metric!r} cannot have unit {unit!r}"
            faults += [_describe(frame, row, fact) for row in group["row"]]
            continue
        low, high = UNITS[str(unit)].minimum, UNITS[str(unit)].maximum
        outside = group.filter(
            (pl.col("value") < (-float("inf") if low is None else low))
            | (pl.col("value") > (float("inf") if high is None else high))
        )
        faults += [
            _describe(frame, row["row"], f"value {row['value']!r} is outside {low} to {high} of unit {unit!r}")
            for row in outside.iter_rows(named=True)
        ]
    return faults


def _compute_faults(runs: pl.DataFrame) -> list[str]:
    """Runs whose compute, size and tokens cannot all be right, whichever count is N."""
    ratios = pl.concat_list(pl.col("train_flops") / (6 * pl.col(name) * pl.col("n_tokens")) for name in N_DEFINITIONS)
    low, high = FLOPS_PER_6ND
    found = runs.with_row_index("row").with_columns(ratios=ratios.list.drop_nulls())
    wrong = found.filter(
        pl.col("ratios").list.len() > 0,
        ~pl.col("ratios").list.eval(pl.element().is_between(low, high)).list.any(),
    )
    return [
        _describe(
            runs,
            row,
            f"run {run_id!r}: train_flops / (6 n_params n_tokens) is {ratio[0]:.3g}, outside {low} to {high}: "
            "one of the three has another unit",
        )
        for row, run_id, ratio in wrong.select("row", "run_id", "ratios").iter_rows()
    ]


def check_source(source_id: str, tables: Mapping[str, pl.DataFrame]) -> None:
    """Check all tables of one source, and that every row refers to a run that exists.

    Raises
    ------
    DataError
        With every fault of the first table that has any.
    """
    for table, frame in tables.items():
        check_table(table, frame, source_id)
    runs = tables.get("runs")
    for table, frame in tables.items():
        if "run_id" not in frame.columns or table == "runs":
            continue
        known = pl.Series([], dtype=pl.String) if runs is None else runs["run_id"]
        orphans = frame.with_row_index("row").filter(~pl.col("run_id").is_in(known.implode()))
        faults = [
            _describe(frame, row, f"run {run_id!r} is not in table 'runs'")
            for row, run_id in orphans.select("row", "run_id").iter_rows()
        ]
        _report(source_id, table, faults)
    if runs is not None:
        _report(source_id, "runs", _compute_faults(runs))
        misnamed = runs["run_id"].filter(~runs["run_id"].str.starts_with(f"{source_id}/"))
        _report(source_id, "runs", [f"  run_id {name!r} does not start with '{source_id}/'" for name in misnamed])
