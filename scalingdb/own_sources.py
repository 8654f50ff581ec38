"""A user's own results beside the curated ones.

What :func:`scalingdb.read_runs` reads is brought into the warehouse's schema, checked row by row against the same
rules as the curated sources, and kept as Parquet outside the repository: below ``$SCALINGDB_LOCAL``, else in the
user's data folder. :func:`scalingdb.connect` without a path shows it beside the rest.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalingdb._arguments import told
from scalingdb._store import commit, exclusive, read_state, recover, scratch_folder
from scalingdb.errors import DataError, ScalingDBError, WarehouseError, unknown_name
from scalingdb.notices import argument, at_the_shell, notice
from scalingdb.reading import Measured, Options, listed, read_measured
from scalingdb.reading._values import MISSING
from scalingdb.schema import COLUMNS, METRICS, N_DEFINITIONS, TABLES, UNITS, polars_schema
from scalingdb.warehouse import connect, local_folder

__all__ = ["LocalSource", "add_source", "remove_source"]

MAX_SHOWN = 20
"""Faults printed in full; the rest is counted."""

MAX_FAULTS = 1000
"""Faults of one rule that are kept: a column of another unit breaks it in every row."""

SMALLEST_LOSS = 1e-12
"""Below this a loss is a missing value or a number that was never measured."""

KNOBS = "knobs"
"""Folder, beside those of the tables, of columns that the schema does not have."""


@dataclass(frozen=True)
class LocalSource:
    """What was added.

    Attributes
    ----------
    source_id : str
    rows : mapping of str to int
        Rows of every table.
    unused : tuple of str
        Columns of the file, or metrics of the harness, that were not taken over.
    folder : Path
        Where the Parquet files lie.
    """

    source_id: str
    rows: Mapping[str, int]
    unused: tuple[str, ...]
    folder: Path


@told
def add_source(
    what: Any,
    source_id: str,
    mapping: Mapping[str, str] | None = None,
    *,
    unit: str | None = None,
    metric: str = "loss",
    eval_set: str | None = None,
    models: Any = None,
    scale: Mapping[str, float] | None = None,
    where: str | None = None,
    tasks: Sequence[str] | None = None,
    tokens_per_step: float | None = None,
    decimal: str | None = None,
    n_definition: str | None = None,
    title: str | None = None,
    licence: str = "own data",
    year: int | None = None,
    replace: bool = False,
    append: bool = False,
) -> LocalSource:
    """Add own results to the warehouse of this user.

    Parameters
    ----------
    what, mapping, unit, metric, eval_set, models, scale, where, tasks, tokens_per_step, decimal
        What to read and how, as for :func:`read_runs`. The unit of a loss is required. Flagged rows are kept with
        their reason and left out by ``points()``, like those of curated sources.
    source_id : str
        Name of the new source: lower-case letters, digits and ``_``.
    n_definition : str, optional
        Which count is N, where several are mapped; ``n_params`` by default.
    title, licence, year
        What the ``sources`` table says about it.
    replace, append : bool
        Whether a source of this name is replaced by the new rows, or gets them in addition.

    Raises
    ------
    UnknownNameError
        For a column, metric or unit that does not exist.
    DataError
        If something required is missing, or values break a rule; rows are named. Nothing is stored.
    WarehouseError
        If a file cannot be read or the data folder cannot be written.

    See Also
    --------
    read_runs : The same rows as a frame, without keeping them.
    remove_source : Take it out again.
    """
    _check_id(source_id, may_exist=replace or append)
    if append and source_id not in (known := [file.stem for file in map(Path, own_files(local_folder()))]):
        hint = f"{argument(append=True)} adds to one; leave it out for a new source."
        raise unknown_name("own source", source_id, known, hint)
    if year is not None and not (type(year) is int and 1900 <= year <= 2200):
        raise DataError(f"year is {year!r}", "give a year such as 2025.")
    if replace and append:
        raise DataError(f"{argument(replace=True)} and {argument(append=True)} are both set", "choose one.")
    if n_definition is not None and n_definition not in N_DEFINITIONS:
        raise unknown_name("n_definition", n_definition, N_DEFINITIONS)
    options = Options(
        dict(mapping or {}), unit, metric, eval_set, dict(scale or {}), models, where, tasks, tokens_per_step, decimal
    )
    measured = read_measured(what, options, curves=True, flagged=True)
    notice(str(measured.report).replace("read_runs:", f"source {source_id!r}:", 1))
    source = {"title": title or source_id, "licence": licence, "year": year, "n_definition": n_definition}
    tables = _tables(measured, source_id, source)
    folder = local_folder()
    _refuse_broken_rules(source_id, tables)
    _install(folder, source_id, tables, may_exist=replace or append, append=append)
    rows = {name: frame.height for name, frame in tables.items() if name != KNOBS}
    return LocalSource(source_id, rows, tuple(dict.fromkeys(measured.report.unused)), folder)


@told
def remove_source(source_id: str) -> None:
    """Take a source that :func:`add_source` added out again.

    Raises
    ------
    UnknownNameError
        If the user's data folder holds no source of this name (a curated one cannot be removed).
    """
    folder = local_folder()
    if not folder.is_dir():
        raise unknown_name("own source", source_id, [], "Curated sources cannot be removed.")
    with _changing(folder):
        known = [file.stem for file in map(Path, own_files(folder))]
        if source_id not in known:
            raise unknown_name("own source", source_id, known, "Curated sources cannot be removed.")
        commit(folder, {_key(table, source_id): None for table in (*TABLES, KNOBS)})


def _check_id(source_id: str, *, may_exist: bool) -> None:
    if not isinstance(source_id, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", source_id):
        raise DataError(
            f"{source_id!r} is not a valid name of a source",
            "use lower-case letters, digits and '_', beginning with a letter.",
        )
    with connect() as db:
        known = db.table("sources").filter(source_id=source_id)
    own = _key("sources", source_id) in own_files(local_folder())
    if known.height and not (own and may_exist):
        raise DataError(
            f"source {source_id!r} exists already: {known['title'][0]}",
            f"{argument(replace=True)} or {argument(append=True)}; "
            f"{argument(remove=source_id) if at_the_shell() else f'remove_source({source_id!r})'} takes it out."
            if own
            else "choose another name.",
        )


# ---- from measurements to tables -----------------------------------------------------------------


def _tables(measured: Measured, source_id: str, source: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Rows of every table, in the shape of the schema."""
    again = pl.col("flag").eq_missing("repeated")  # the same number once more: the key holds it once
    frame = measured.frame.filter(~again).with_columns(run_id=pl.format("{}/{}", pl.lit(source_id), "run_id"))
    _require_units(frame)
    run_columns = [name for name in frame.columns if name in TABLES["runs"].columns]
    shared = [name for name in run_columns if name in TABLES["evals"].columns and name != "run_id"]
    varying = {name for name in run_columns if name != "run_id" and _varies(frame, name)}
    _refuse_faults(source_id, _run_faults(frame, varying - set(shared)))
    runs = frame.group_by("run_id", maintain_order=True).agg(
        pl.col(name).drop_nulls().first() for name in run_columns if name != "run_id" and name not in varying
    )
    for name in ("study", "family"):
        value = pl.col(name).fill_null(source_id) if name in runs.columns else pl.lit(source_id)
        runs = runs.with_columns(value.alias(name))
    constant = {name for name in shared if name not in varying}
    kept = [n for n in frame.columns if n in TABLES["evals"].columns and n not in constant]
    evals = _numbered(frame).select(kept).with_columns(value_origin=pl.lit("reported"))
    knobs = [name for name in frame.columns if name not in COLUMNS and name not in {"loss", "score"}]
    counts = [name for name in N_DEFINITIONS if name in runs.columns and runs[name].count()]
    if source["n_definition"] is not None and source["n_definition"] not in counts:
        raise DataError(
            f"n_definition {source['n_definition']!r}: no column is mapped to it",
            f"map one: {argument(mapping={source['n_definition']: 'COLUMN'})}.",
        )
    metrics = evals["metric"].unique(maintain_order=True).to_list()
    losses = [name for name in metrics if METRICS[name].kind == "loss"]
    headline = (losses or metrics)[0]
    sets = evals.filter(pl.col("metric") == headline)["eval_set"].unique().to_list()
    row = {
        "source_id": source_id,
        "title": source["title"],
        "authors": "own data",
        "year": source["year"] or datetime.datetime.now(tz=datetime.UTC).year,
        "licence": source["licence"],
        "is_shipped": False,
        "redistribution": "added by the user; kept in the user's data folder",
        "headline_metric": headline,
        "headline_eval_set": sets[0] if len(sets) == 1 else None,
        "n_definition": source["n_definition"] or (counts[0] if counts else None),
        "notes": "Added by the user. " + "; ".join([*measured.report.recognised, *measured.report.taken]),
        "bibtex": "",
        "n_raw_files": len(measured.files),
        "raw_sha256": hashlib.sha256(
            "\n".join(sorted(f"{sha}  {name}" for name, sha in measured.files)).encode()
        ).hexdigest(),
    }
    tables = {"sources": pl.DataFrame([row]), "runs": runs, "evals": evals}
    if measured.items.height:
        known = dict(frame.select("model_name", "run_id").iter_rows())
        items = measured.items.with_columns(
            run_id=pl.col("model_name").replace_strict(known, default=None, return_dtype=pl.String)
        ).filter(pl.col("run_id").is_not_null())
        tables["items"] = items.unique(TABLES["items"].key, keep="first", maintain_order=True)
    shaped = {name: _shaped(name, table, source_id) for name, table in tables.items() if table.height}
    if knobs:
        shaped[KNOBS] = frame.group_by("run_id", maintain_order=True).agg(pl.col(knobs).drop_nulls().first())
    return shaped


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """Give flagged rows that state a measurement again an evaluation set of their own: ``name#2``, ``name#3`` ..."""
    keys = [name for name in TABLES["evals"].key if name in frame.columns]
    nth = pl.col("flag").is_not_null().rank("ordinal").over(keys)
    again = pl.col("flag").is_not_null() & (nth > 1)
    return frame.with_columns(eval_set=pl.when(again).then(pl.format("{}#{}", "eval_set", nth)).otherwise("eval_set"))


def _require_units(frame: pl.DataFrame) -> None:
    bare = frame.filter(pl.col("unit").is_null())["metric"].unique(maintain_order=True).to_list()
    if bare:
        allowed = METRICS[bare[0]].units
        raise DataError(
            f"metric {bare[0]!r} has no unit, and a source states one",
            f"give {argument('unit')}: {' or '.join(allowed)}.",
        )


def _varies(frame: pl.DataFrame, name: str) -> bool:
    return bool((frame.group_by("run_id").agg(pl.col(name).drop_nulls().n_unique())[name] > 1).any())


def _run_faults(frame: pl.DataFrame, varying: set[str]) -> list[str]:
    """Columns that describe a run, but change within one."""
    faults = []
    for name in sorted(varying):
        groups = frame.group_by("run_id", maintain_order=True).agg(
            pl.col("raw_row").unique(maintain_order=True)
            if "raw_row" in frame.columns
            else pl.lit([]).alias("raw_row"),
            pl.col(name).drop_nulls().unique(maintain_order=True),
        )
        for run_id, rows, values in groups.filter(pl.col(name).list.len() > 1).iter_rows():
            label = str(run_id).partition("/")[2]
            faults.append(
                f"  rows {', '.join(map(str, rows[:5]))}: run {label!r} has several values of {name!r}: "
                f"{', '.join(map(repr, values[:3]))}"
            )
    return faults


def _tell_other_sets(source_id: str, before: pl.DataFrame, added: pl.DataFrame) -> None:
    """Rows on another evaluation set are kept, and ``points()`` shows the first set only."""
    for metric in added["metric"].unique(maintain_order=True):
        old, new = (set(frame.filter(metric=metric)["eval_set"].drop_nulls()) for frame in (before, added))
        if old and new and not old & new:
            shown = listed(map(repr, sorted(new)), 3)
            notice(
                f"the new rows of {metric} are on {shown}, the earlier ones on {listed(map(repr, sorted(old)), 3)}: "
                f"points({source_id!r}) shows one of them; {argument(eval_set=sorted(old)[0])} brings them together"
            )


def _appended(folder: Path, source_id: str, tables: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Rows of a source with new ones added.

    What is known of a run is completed; what differs is refused, but for its tokens and characters: these belong to a
    measurement where a run has several.
    """
    state, old = read_state(folder), {}
    for name in (*TABLES, KNOBS):
        file = state.files(f"tables/{name}/*.parquet").get(_key(name, source_id))
        if file is not None:
            old[name] = pl.read_parquet(file, glob=False)
            if name in TABLES:  # may be older than the schema
                absent = {n: d for n, d in polars_schema(name).items() if n not in old[name].columns}
                old[name] = old[name].with_columns(pl.lit(None, dtype=d).alias(n) for n, d in absent.items())
    new = _renumbered(source_id, old, tables)
    _own_amounts(old, new)
    joined = {**new, **old}
    for name in old.keys() & new.keys() - {"sources"}:
        before, added = old[name], new[name]
        if name in {"runs", KNOBS}:
            joined[name] = _completed(source_id, before, added)
            continue
        key = TABLES[name].key
        again = added.join(before, on=key, how="inner", suffix=" before", nulls_equal=True)
        other = again.filter(pl.col("value") != pl.col("value before"))
        if other.height:
            places = listed(map(str, other.select("run_id", "metric").unique(maintain_order=True).rows()))
            raise DataError(
                f"{other.height} measurement(s) are in source {source_id!r} with another value: {places}",
                f"{argument(replace=True)} takes the new rows instead of the old; nothing was added.",
            )
        if again.height:
            notice(f"{again.height} row(s) of {name} were in the source before")
        if name == "evals":
            _tell_other_sets(source_id, before, added)
        joined[name] = pl.concat([before, added], how="diagonal_relaxed").unique(key, keep="first", maintain_order=True)
    return joined


def _renumbered(
    source_id: str, old: Mapping[str, pl.DataFrame], new: Mapping[str, pl.DataFrame]
) -> dict[str, pl.DataFrame]:
    """The new rows; runs called after their row get the next numbers, unless they are those of the source once more."""
    numbers = pl.col("run_id").str.extract(rf"^{source_id}/row (\d+)$").cast(pl.Int64)
    is_other = False
    for name in {"runs", "evals", KNOBS} & old.keys() & new.keys():
        keys = list(TABLES[name].key) if name == "evals" else ["run_id"]
        said = ["value"] if name == "evals" else [n for n in new[name].columns if n not in {*keys, "study", "family"}]
        said = [n for n in said if n in old[name].columns]
        met = new[name].filter(numbers.is_not_null()).join(old[name], on=keys, suffix=" before", nulls_equal=True)
        is_other |= bool(met.select(pl.any_horizontal(pl.col(n) != pl.col(f"{n} before") for n in said).any()).item())
    if not is_other:
        return dict(new)
    last = old["runs"].select(numbers.max()).item()
    notice(f"rows without a name of their run are numbered from {last + 1} on: those of the source are others")
    moved = pl.when(numbers.is_null()).then("run_id").otherwise(pl.format(f"{source_id}/row {{}}", numbers + last))
    return {n: t.with_columns(moved.alias("run_id")) if "run_id" in t.columns else t for n, t in new.items()}


def _own_amounts(old: dict[str, pl.DataFrame], new: dict[str, pl.DataFrame]) -> None:
    """Move amounts that differ between the old and the new rows of a run from the run to its measurements."""
    for name in ("n_tokens", "n_chars"):
        stated = [tables["runs"].select("run_id", name) for tables in (old, new)]
        both = stated[0].join(stated[1], on="run_id", suffix=" new")
        moved = both.filter(pl.col(name).ne_missing(pl.col(f"{name} new")))["run_id"].implode()
        for tables, runs in zip((old, new), stated, strict=True):
            own = runs.filter(pl.col("run_id").is_in(moved)).rename({name: "of the run"})
            tables["evals"] = (
                tables["evals"]
                .join(own, on="run_id", how="left", maintain_order="left")
                .with_columns(pl.coalesce(name, "of the run").alias(name))
                .drop("of the run")
            )
            kept = pl.when(~pl.col("run_id").is_in(moved)).then(name)
            tables["runs"] = tables["runs"].with_columns(kept.alias(name))


def _completed(source_id: str, before: pl.DataFrame, added: pl.DataFrame) -> pl.DataFrame:
    """One row a run, with what either of two tables says of it.

    Raises
    ------
    DataError
        If they say different things.
    """
    both = pl.concat([before, added], how="diagonal_relaxed")
    unsaid = [name for name in ("study", "family") if name in both.columns]
    both = both.with_columns(pl.col(name).replace(source_id, None) for name in unsaid)
    said = both.group_by("run_id", maintain_order=True).agg(pl.all().drop_nulls().unique(maintain_order=True))
    faults = [
        f"  run {str(run_id).partition('/')[2]!r}: {name} is {values[0]!r} in the source, {values[1]!r} in the new rows"
        for name in said.columns
        if name != "run_id"
        for run_id, values in said.filter(pl.col(name).list.len() > 1).select("run_id", name).iter_rows()
    ]
    if faults:
        shown = "\n".join(faults[:5]) + (f"\n  and {len(faults) - 5} more" if len(faults) > 5 else "")
        raise DataError(
            f"the new rows say otherwise of run(s) in source {source_id!r}:\n{shown}",
            f"give other runs other names, or {argument(replace=True)} takes the new rows instead of the old; nothing "
            "was added.",
        )
    found = said.with_columns(pl.exclude("run_id").list.first())
    return found.with_columns(pl.col(name).fill_null(source_id) for name in unsaid).select(both.columns)


# ---- checks --------------------------------------------------------------------------------------


def _shaped(table: str, frame: pl.DataFrame, source_id: str) -> pl.DataFrame:
    """`frame` in the column order and types of `table`; what is not there is null.

    Raises
    ------
    DataError
        If a value is none of the column's type: half a shot, a truth value of another name, a date that is not ISO.
    """
    frame = frame.with_columns(source_id=pl.lit(source_id))
    words = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False, "1.0": True, "0.0": False}
    made = []
    faults: list[str] = []
    for name, dtype in polars_schema(table).items():
        if name not in frame.columns:
            made.append(pl.Series(name, [None] * frame.height, dtype=dtype))
            continue
        given = frame[name]
        if dtype in (pl.Boolean, pl.Date) and given.dtype == pl.String:
            given = given.set(given.str.to_lowercase().is_in(list(MISSING)).fill_null(False), None)
        if dtype == pl.Boolean and given.dtype == pl.String:
            value = given.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
            broken, kind = value.is_null(), "neither true nor false"
        elif dtype == pl.Date and given.dtype == pl.String:
            value = given.str.replace(r"[T ]00:00(:00(\.0+)?)?Z?$", "").str.to_date("%Y-%m-%d", strict=False)
            broken, kind = value.is_null(), "no date such as 2024-12-31"
        elif dtype == pl.Int64 and given.dtype == pl.Float64:
            value = given.cast(pl.Int64, strict=False)
            # from 2 ** 53 on a number that was read is not every whole number
            broken, kind = (value != given).fill_null(True) | (given.abs() >= 2.0**53), "no whole number below 2 ** 53"
        else:
            made.append(given.cast(dtype))
            continue
        faults += [
            f"  {table}: {_place(frame, i)}: {name} = {given[i]!r} is {kind}"
            for i in _rows(broken & given.is_not_null())
        ]
        made.append(value)
    _refuse_faults(source_id, faults)
    return pl.DataFrame(made)


def _column_faults(frame: pl.DataFrame, name: str) -> list[tuple[int, str]]:
    """Positions where a value breaks the rules of its column, and how."""
    column = COLUMNS[name]
    series = frame[name]
    rules: list[tuple[pl.Series, str]] = []
    if series.dtype == pl.Float64:
        rules.append((~series.is_finite(), "is not finite"))
    if column.minimum is not None:
        rules.append((series < column.minimum, f"is below {column.minimum:g} {column.unit}".rstrip()))
    if column.maximum is not None:
        rules.append((series > column.maximum, f"is above {column.maximum:g} {column.unit}".rstrip()))
    if column.choices is not None:
        known = pl.Series(column.choices, dtype=pl.String)
        rules.append((~series.is_in(known.implode()), f"is none of {', '.join(column.choices[:20])}"))
    return [(i, f"{name} = {series[i]!r} {rule}") for broken, rule in rules for i in _rows(broken)]


def _row_faults(table: str, frame: pl.DataFrame) -> list[str]:
    """Every broken rule of a table: what is required, bounds, choices, units, keys."""
    spec = TABLES[table]
    faults = []
    for name in dict.fromkeys((*spec.key[:1], *spec.required)):
        faults += [f"{_place(frame, i)}: {name} is required" for i in _rows(frame[name].is_null())]
    for name in spec.columns:
        faults += [f"{_place(frame, i)}: {fault}" for i, fault in _column_faults(frame, name)]
    for i in _rows(pl.select(pl.struct(frame.select(spec.key).get_columns()).is_duplicated()).to_series()):
        key = ", ".join(str(value) for value in frame.select(spec.key).row(i))
        faults.append(f"{_place(frame, i)}: key ({key}) is not unique")
    if table == "runs":
        for name in (*N_DEFINITIONS, "n_tokens", "train_flops"):
            faults += [
                f"{_place(frame, i)}: {name} = {frame[name][i]!r} is not positive" for i in _rows(frame[name] <= 0)
            ]
    if table == "evals":
        faults += _value_faults(frame)
    return faults


def _value_faults(frame: pl.DataFrame) -> list[str]:
    """Values outside the bounds of their unit, and losses that no training reaches."""
    faults = []
    value = frame["value"]
    for unit in frame["unit"].unique(maintain_order=True).drop_nulls():
        low, high = UNITS[unit].minimum, UNITS[unit].maximum
        outside = (value < (-math.inf if low is None else low)) | (value > (math.inf if high is None else high))
        faults += [
            f"{_place(frame, i)}: value {value[i]!r} is outside {low} to {high} of unit {unit!r}"
            for i in _rows(outside & (frame["unit"] == unit))
        ]
    losses = [name for name, metric in METRICS.items() if metric.kind == "loss"]
    is_loss = frame["metric"].is_in(pl.Series(losses, dtype=pl.String).implode())
    faults += [
        f"{_place(frame, i)}: value {value[i]!r} is not a measured loss"
        for i in _rows(is_loss & (value >= 0) & (value < SMALLEST_LOSS))
    ]
    return faults


def _rows(broken: pl.Series) -> list[int]:
    """Positions of the first rows that break a rule."""
    positions: list[int] = broken.fill_null(False).arg_true().head(MAX_FAULTS).to_list()
    return positions


def _place(frame: pl.DataFrame, i: int) -> str:
    row = frame.row(i, named=True)
    if row.get("raw_row") is not None:
        return f"row {row['raw_row']}, {row['raw_field']!r}"
    if row.get("raw_file") is not None:
        return f"file {row['raw_file']!r}, {row['raw_field']!r}"
    return f"{row.get('run_id') or row.get('source_id')}"


def _refuse_broken_rules(source_id: str, tables: Mapping[str, pl.DataFrame]) -> None:
    ruled = {table: frame for table, frame in tables.items() if table != KNOBS}
    _refuse_faults(
        source_id, [f"  {table}: {fault}" for table, frame in ruled.items() for fault in _row_faults(table, frame)]
    )


def _refuse_faults(source_id: str, faults: Sequence[str]) -> None:
    if faults:
        shown = list(faults[:MAX_SHOWN]) + (
            [f"  ... and {len(faults) - MAX_SHOWN} more"] if len(faults) > MAX_SHOWN else []
        )
        raise DataError(
            "\n".join([f"these rows cannot become source {source_id!r}: {len(faults)} fault(s)", *shown]),
            "fix these rows, or declare another unit, mapping or scale; nothing was added.",
        )


# ---- files ---------------------------------------------------------------------------------------


def _install(
    folder: Path, source_id: str, tables: Mapping[str, pl.DataFrame], *, may_exist: bool, append: bool
) -> None:
    """Make the tables part of the user's sources, all in one step.

    Raises
    ------
    DataError
        If another process has added a source of this name meanwhile.
    WarehouseError
        If the folder cannot be written.
    """
    with _changing(folder), scratch_folder(folder, ".adding-") as scratch:
        if _key("sources", source_id) in own_files(folder) and not may_exist:
            raise DataError(f"source {source_id!r} exists already: it was added meanwhile", "choose another name.")
        if append:
            tables = _appended(folder, source_id, tables)
            _refuse_broken_rules(source_id, tables)
        for table, frame in tables.items():
            frame.write_parquet(scratch / f"{table}.parquet", compression="zstd")
        new: dict[str, Path | None] = {_key(table, source_id): None for table in (*TABLES, KNOBS)}
        commit(folder, new | {_key(table, source_id): scratch / f"{table}.parquet" for table in tables})


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """The user's folder, changed by nobody else; errors are reported as problems with this folder."""
    try:
        with exclusive(folder, wait=60.0):
            recover(folder)
            yield
    except (OSError, pl.exceptions.PolarsError) as error:
        if isinstance(error, ScalingDBError):
            raise
        raise WarehouseError(
            f"cannot write to {folder}: {error}", "choose another folder with $SCALINGDB_LOCAL; nothing was changed."
        ) from error


def _key(table: str, source_id: str) -> str:
    return f"tables/{table}/{source_id}.parquet"


def own_files(folder: Path) -> dict[str, Path]:
    """Files of the ``sources`` table of the user's own sources, by their names in the folder."""
    return read_state(folder).files("tables/sources/*.parquet")
