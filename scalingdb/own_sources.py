"""A user's own results beside the curated ones.

What :func:`scalingdb.read_runs` reads is brought into the warehouse's schema, checked row by row against the same
rules as the curated sources, and kept as Parquet outside the repository: below ``$SCALINGDB_LOCAL``, else in the
user's data folder. :func:`scalingdb.connect` without a path shows it beside the rest.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalingdb._arguments import told
from scalingdb._frames import common_types
from scalingdb._store import commit, exclusive, file_entry, read_state, recover, scratch_folder
from scalingdb.errors import DataError, ScalingDBError, WarehouseError, unknown_name
from scalingdb.notices import argument, at_the_shell, notice
from scalingdb.reading import Measured, Options, listed, read_measured
from scalingdb.reading._guards import FROM_ROWS, NOT_FROM_ROWS, guard
from scalingdb.reading._measured import contradictions
from scalingdb.reading._values import MISSING
from scalingdb.schema import COLUMNS, METRICS, N_DEFINITIONS, TABLES, UNITS, polars_schema
from scalingdb.warehouse import connect, local_folder
from scalingdb.warehouse._tables import ADD_AGAIN

__all__ = ["LocalSource", "add_source", "remove_source"]

MAX_SHOWN = 20
"""Faults printed in full; the rest is counted."""

MAX_FAULTS = 1000
"""Faults of one rule that are kept: a column of another unit breaks it in every row."""

SMALLEST_LOSS = 1e-12
"""Below this a loss is a missing value or a number that was never measured."""

KEPT = "added by the user; kept in the user's data folder"
"""What the ``sources`` table says of own sources, and of no other."""

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
    computed = _check_id(source_id, may_exist=replace or append)
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
    source = {
        "title": title or source_id,
        "licence": licence,
        "year": year,
        "n_definition": n_definition,
        "computed": computed,
    }
    folder = local_folder()
    tables = None if append else _tables(measured, source_id, source)
    with _changing(folder), scratch_folder(folder, ".adding-") as scratch:
        if tables is None:
            tables = _appended(_stored(folder, source_id), measured, source_id, source)
        _install(folder, scratch, source_id, tables, may_exist=replace or append)
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
    if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises where a folder above may not be entered
        raise unknown_name("own source", source_id, [], "Curated sources cannot be removed.")
    with _changing(folder):
        known = [file.stem for file in map(Path, own_files(folder))]
        if source_id not in known:
            raise unknown_name("own source", source_id, known, "Curated sources cannot be removed.")
        commit(folder, {_key(table, source_id): None for table in (*TABLES, KNOBS)})


def _check_id(source_id: str, *, may_exist: bool) -> frozenset[str]:
    """Refuse a name that cannot be or is taken; return the columns of the views."""
    if not isinstance(source_id, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", source_id):
        raise DataError(
            f"{source_id!r} is not a valid name of a source",
            "use lower-case letters, digits and '_', beginning with a letter.",
        )
    with connect() as db:
        known = db.table("sources").filter(source_id=source_id)
        computed = [name for view in ("points", "scores") for name in db.sql(f"from {view} limit 0").columns]
    # of the same state, whoever changes the folder now; earlier versions end these words otherwise
    own = bool(known.height) and str(known["redistribution"][0]).startswith(KEPT.partition(";")[0])
    if known.height and not (own and may_exist):
        raise DataError(
            f"source {source_id!r} exists already: {known['title'][0]}",
            f"{argument(replace=True)} or {argument(append=True)}; "
            f"{argument(remove=source_id) if at_the_shell() else f'remove_source({source_id!r})'} takes it out."
            if own
            else "choose another name.",
        )
    return frozenset(computed)


# ---- from measurements to tables -----------------------------------------------------------------


def _tables(measured: Measured, source_id: str, source: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Rows of every table, in the shape of the schema."""
    again = pl.col("flag").eq_missing("repeated")  # the same number once more: the key holds it once
    frame = measured.frame.filter(~again).with_columns(run_id=pl.format("{}/{}", pl.lit(source_id), "run_id"))
    _require_units(frame)
    run_columns = [name for name in frame.columns if name in TABLES["runs"].columns]
    shared = [name for name in run_columns if name in TABLES["evals"].columns and name != "run_id"]
    varying = {name for name in run_columns if name != "run_id" and _varies(frame, name)}
    knobs = [name for name in frame.columns if name not in COLUMNS and name not in {"loss", "score"}]
    held = {*TABLES["runs"].columns, *TABLES["evals"].columns, "loss", "score"}
    if computed := [n for n in frame.columns if n not in held and (n in source["computed"] or n in COLUMNS)]:
        raise DataError(f"{computed[0]!r} is a column that the warehouse computes", "map the column to another name.")
    varying_knobs = {name for name in knobs if _varies(frame, name)}
    _refuse_faults(source_id, _run_faults(frame, varying - set(shared) | varying_knobs))
    runs = frame.group_by("run_id", maintain_order=True).agg(
        pl.col(name).drop_nulls().first() for name in run_columns if name != "run_id" and name not in varying
    )
    for name in ("study", "family"):
        value = pl.col(name).fill_null(source_id) if name in runs.columns else pl.lit(source_id)
        runs = runs.with_columns(value.alias(name))
    # amounts stay with the rows that state them, also where they hold for the whole run: others may follow
    kept = [n for n in frame.columns if n in TABLES["evals"].columns]
    evals = _numbered(frame).select(kept).with_columns(value_origin=pl.lit("reported"))
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
        "redistribution": KEPT,
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


# ---- joining new rows to old ones ----------------------------------------------------------------


def _stored(folder: Path, source_id: str) -> dict[str, pl.DataFrame]:
    """The tables of a source.

    Raises
    ------
    WarehouseError
        If another process has removed it meanwhile, or a file is not what was stored.
    """
    state, old = read_state(folder), {}
    for name in (*TABLES, KNOBS):
        key = _key(name, source_id)
        file = state.files(f"tables/{name}/*.parquet").get(key)
        if file is None:
            continue
        # rows of a damaged file would get a new, right hash
        if state.entries is not None and not (file.is_file() and file_entry(file) == state.entries[key]):
            raise WarehouseError(f"table file {str(file)!r} is damaged: nothing was added", ADD_AGAIN.format(source_id))
        try:
            old[name] = pl.read_parquet(file, glob=False)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise WarehouseError(
                f"table file {str(file)!r} cannot be read: {error}", ADD_AGAIN.format(source_id)
            ) from error
        if name in TABLES:  # may be older than the schema
            absent = {n: d for n, d in polars_schema(name).items() if n not in old[name].columns}
            old[name] = old[name].with_columns(pl.lit(None, dtype=d).alias(n) for n, d in absent.items())
    if "sources" not in old:
        raise WarehouseError(
            f"source {source_id!r} was removed meanwhile: nothing was added",
            f"leave out {argument(append=True)} to add the rows as a new source.",
        )
    if lost := [name for name in ("runs", "evals") if name not in old]:
        raise WarehouseError(f"own source {source_id!r} has no table {lost[0]!r}", ADD_AGAIN.format(source_id))
    return old


def _appended(
    old: Mapping[str, pl.DataFrame], measured: Measured, source_id: str, source: Mapping[str, Any]
) -> dict[str, pl.DataFrame]:
    """Tables of the old and the new rows, as if all had been added at once."""
    before = _measurements(old, source_id)
    after = _numbered(measured.frame.filter(~pl.col("flag").eq_missing("repeated")))
    before, after = common_types([before, after])
    if not any(taken.startswith("run_id =") for taken in measured.report.taken):
        after = _renumbered(before, after)
    head = old["sources"].row(0, named=True)
    says_state = bool(re.search(STATE, "; ".join([head["notes"] or "", *measured.report.taken])))
    tables = _tables(
        dataclasses.replace(measured, frame=_once(source_id, before, after, says_state=says_state)),
        source_id,
        {**source, "n_definition": source["n_definition"] or head["n_definition"]},
    )
    if "items" in old:
        new = tables.get("items", old["items"].clear())
        key = TABLES["items"].key
        _refuse_other(source_id, new.join(old["items"], on=key, suffix=BEFORE, nulls_equal=True), ["value"])
        tables["items"] = pl.concat([old["items"], new], how="diagonal_relaxed").unique(
            key, keep="first", maintain_order=True
        )
    row = tables["sources"].row(0, named=True)
    kept = {name: head[name] for name in ("title", "licence", "year")}
    notes = head["notes"] if row["notes"] in head["notes"] else f"{head['notes']} {row['notes']}"
    sums = {
        "notes": notes,
        "n_raw_files": head["n_raw_files"] + row["n_raw_files"],
        "raw_sha256": hashlib.sha256(f"{head['raw_sha256']}\n{row['raw_sha256']}".encode()).hexdigest(),
    }
    tables["sources"] = pl.DataFrame([{**row, **kept, **sums}], schema=tables["sources"].schema)
    return tables


BEFORE = " before"
STATE = r"(?:^|; |\. )state(?: = |;|$| )"
"""What the notes of a source say, if its runs said how they ended."""
MADE_UP = r"^(?:.* \()?row \d+\)?$"
"""Names that runs without one get from the number of their row."""


def _measurements(old: Mapping[str, pl.DataFrame], source_id: str) -> pl.DataFrame:
    """Rows of a source as they were measured: each with what is known of its run."""
    runs = old["runs"].drop("source_id")
    if KNOBS in old:
        runs = runs.join(old[KNOBS], on="run_id", how="left")
    frame = old["evals"].drop("source_id", "value_origin").join(runs, on="run_id", how="left", suffix=" of the run")
    twice = [name for name in old["evals"].columns if f"{name} of the run" in frame.columns]
    # a run whose rows state none was stored by an earlier version, which kept amounts of whole runs apart
    none = {name: pl.col(name).count().over("run_id") == 0 for name in twice}
    frame = frame.with_columns(
        pl.when(none[name]).then(f"{name} of the run").otherwise(name).alias(name) for name in twice
    ).drop(f"{name} of the run" for name in twice)
    frame = frame.with_columns(
        pl.col("run_id").str.strip_prefix(f"{source_id}/"), pl.col("study", "family").replace(source_id, None)
    )
    always = {"run_id", "metric", "value", "unit", "eval_set", "split", "flag", "flag_reason"}
    return frame.select(name for name in frame.columns if name in always or frame[name].count())


def _renumbered(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """The new rows; those without a name of their run get the next numbers, unless the source holds them already."""
    held = set(before["run_id"])
    met = after.filter(pl.col("run_id").str.contains(MADE_UP), pl.col("run_id").is_in(held))
    of_run = [n for n in dict.fromkeys([*before.columns, *after.columns]) if _is_of_run(n)]
    facts = []
    for frame in (before.filter(pl.col("run_id").is_in(set(met["run_id"]))), met):
        said = [pl.col(n).drop_nulls().first() if n in frame.columns else pl.lit(None).alias(n) for n in of_run]
        facts.append(frame.group_by("run_id").agg(said))
    both = facts[0].join(facts[1], on="run_id", suffix=BEFORE)
    is_other = both.select(
        pl.any_horizontal(pl.lit(False), *(pl.col(n).ne_missing(pl.col(n + BEFORE)) for n in of_run)).any()
    ).item()
    again = met.join(before, on=_key_of(before, after), suffix=BEFORE, nulls_equal=True)
    if not is_other and again.filter(pl.col("value") != pl.col("value" + BEFORE)).is_empty():
        return after
    numbers = pl.col("run_id").str.extract(r"row (\d+)\)?$").cast(pl.Int64)
    last = before.filter(pl.col("run_id").str.contains(MADE_UP)).select(numbers.max()).item()
    notice(f"rows without a name of their run are numbered from {last + 1} on: those of the source are others")
    head, tail = (pl.col("run_id").str.extract(pattern) for pattern in (r"^(.*row )\d+\)?$", r"row \d+(\)?)$"))
    is_made_up = pl.col("run_id").str.contains(MADE_UP)
    renamed = pl.when(is_made_up).then(pl.concat_str(head, numbers + last, tail)).otherwise("run_id")
    named = ["run_id"]
    if "model_name" in after.columns:  # of a row without any name it is the same text
        named.append("model_name")
    return after.with_columns(
        pl.when(pl.col(name) == pl.col("run_id")).then(renamed).otherwise(name).alias(name) for name in named
    )


def _is_of_run(name: str) -> bool:
    """Whether a column describes a run: one of the table, or a knob."""
    if name in {"run_id", "source_id", "study", "family", "loss", "score"}:
        return False
    return name in TABLES["runs"].columns or name not in COLUMNS


def _key_of(*frames: pl.DataFrame) -> list[str]:
    """Columns that name a measurement, as far as all frames have them."""
    return [name for name in TABLES["evals"].key if all(name in frame.columns for frame in frames)]


def _once(source_id: str, before: pl.DataFrame, after: pl.DataFrame, *, says_state: bool) -> pl.DataFrame:
    """Rows of both, those that are in both once and completed."""
    for name in TABLES["evals"].key:
        if name not in before.columns and name in after.columns:
            before = before.with_columns(pl.lit(None, dtype=after.schema[name]).alias(name))
        elif name not in after.columns and name in before.columns:
            after = after.with_columns(pl.lit(None, dtype=before.schema[name]).alias(name))
    key = _key_of(before, after)
    again = after.join(before, on=key, suffix=BEFORE, nulls_equal=True)
    own = [name for name in TABLES["evals"].columns if name not in key and name + BEFORE in again.columns]
    _refuse_other(source_id, again, [name for name in own if not name.startswith(("raw_", "flag"))])
    both = pl.concat([before, after], how="diagonal")
    if again.height:
        notice(f"{again.height} row(s) of evals were in the source before")
        kept = pl.col("flag", "flag_reason", PLACE).first()
        said = pl.exclude(*key, "flag", "flag_reason", PLACE).drop_nulls().first()
        both = both.with_row_index(PLACE)  # which row is the copy of another goes by their order
        joined = both.join(again, on=key, how="semi", nulls_equal=True).group_by(key, maintain_order=True)
        rest = both.join(again, on=key, how="anti", nulls_equal=True)
        both = pl.concat([joined.agg(said, kept).select(both.columns), rest]).sort(PLACE).drop(PLACE)
    _tell_other_sets(source_id, before, after)
    return _guarded(source_id, both, says_state=says_state)


PLACE = " place"
NUMBERED = r"#\d+$"


def _guarded(source_id: str, both: pl.DataFrame, *, says_state: bool) -> pl.DataFrame:
    """All rows with the flags that they would have had together: those that the rows do not tell are kept."""
    told = {(run, flag) for run, flag in both.select("run_id", "flag").iter_rows() if flag is not None}
    both = _without_numbers(both)
    is_judged = pl.col("flag").is_in(FROM_ROWS) & ~pl.col("flag_reason").str.contains(NOT_FROM_ROWS)
    both = both.with_columns(
        pl.when(~is_judged.fill_null(False)).then(name).alias(name) for name in ("flag", "flag_reason")
    )
    if says_state:  # runs that say how they ended are judged otherwise; what they say is not stored
        both = both.with_columns(state=pl.lit(None, dtype=pl.String))
    for look in (guard, contradictions):
        for remark in look(both):
            is_new = both["flag"].is_null() & pl.Series(range(both.height)).is_in(remark.rows)
            if not (remark.flags and is_new.any()):
                continue
            if any((run, remark.check) not in told for run in both["run_id"].filter(is_new)):
                notice(f"source {source_id!r}: left out: {remark.text}")
            both = both.with_columns(
                flag=pl.when(is_new).then(pl.lit(remark.check)).otherwise("flag"),
                flag_reason=pl.when(is_new).then(pl.lit(remark.text)).otherwise("flag_reason"),
            )
    return both.drop("state", strict=False)


def _without_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows under the evaluation set that they were measured on, which :func:`_numbered` had told apart."""
    others = [name for name in TABLES["evals"].key if name in frame.columns and name != "eval_set"]
    plain = pl.col("eval_set").str.replace(NUMBERED, "")
    numbered = frame.filter(pl.col("flag").is_not_null() & (pl.col("eval_set") != plain)).select(
        *others, "eval_set", plain.alias("plain")
    )
    if numbered.is_empty():
        return frame
    there = frame.select(*others, plain="eval_set").unique()
    numbered = numbered.join(there, on=[*others, "plain"], how="semi", nulls_equal=True).unique()
    frame = frame.join(numbered, on=[*others, "eval_set"], how="left", nulls_equal=True, maintain_order="left")
    is_flagged = pl.col("flag").is_not_null() & pl.col("plain").is_not_null()
    return frame.with_columns(eval_set=pl.when(is_flagged).then("plain").otherwise("eval_set")).drop("plain")


def _refuse_other(source_id: str, again: pl.DataFrame, names: Sequence[str]) -> None:
    """Refuse rows that give a measurement of the source another value, unit or size."""
    for name in names:
        other = again.filter(pl.col(name) != pl.col(name + BEFORE))
        if other.height:
            named = (pl.lit(f"{source_id}/") + pl.col("run_id").str.strip_prefix(f"{source_id}/"), "metric")
            runs = other.select(*named).unique(maintain_order=True).rows()
            raise DataError(
                f"{other.height} measurement(s) are in source {source_id!r} with another {name}: "
                f"{listed(map(str, runs))}",
                f"{argument(replace=True)} takes the new rows instead of the old; nothing was added.",
            )


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
        if frame[name].null_count() < frame.height:  # most columns of a user's own rows are empty
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
    folder: Path, scratch: Path, source_id: str, tables: Mapping[str, pl.DataFrame], *, may_exist: bool
) -> None:
    """Make the tables part of the user's sources, all in one step.

    Raises
    ------
    DataError
        If rows break a rule, or another process has added a source of this name meanwhile.
    """
    if _key("sources", source_id) in own_files(folder) and not may_exist:
        raise DataError(f"source {source_id!r} exists already: it was added meanwhile", "choose another name.")
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
        hint = "choose another folder with $SCALINGDB_LOCAL; nothing was changed."
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            hint = f"move away the file that lies in place of a folder, or {hint}"
        raise WarehouseError(f"cannot write to {folder}: {error}", hint) from error


def _key(table: str, source_id: str) -> str:
    return f"tables/{table}/{source_id}.parquet"


def own_files(folder: Path) -> dict[str, Path]:
    """Files of the ``sources`` table of the user's own sources, by their names in the folder."""
    return read_state(folder).files("tables/sources/*.parquet")
