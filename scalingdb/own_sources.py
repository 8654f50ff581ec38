"""A user's own results beside the curated ones: a table, or the output of lm-evaluation-harness.

What is added is brought into the warehouse's schema, checked row by row against the same rules as the
curated sources, and kept as Parquet outside the repository: below ``$SCALINGDB_LOCAL``, else in the
user's data folder. :func:`scalingdb.connect` without a path shows it beside the rest.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from scalingdb._store import commit, exclusive, read_state, recover, scratch_folder
from scalingdb.errors import DataError, ScalingDBError, WarehouseError, unknown_name
from scalingdb.notices import notice
from scalingdb.schema import COLUMNS, METRICS, N_DEFINITIONS, TABLES, UNITS, polars_schema
from scalingdb.warehouse import connect, local_folder

__all__ = ["LocalSource", "add_source", "remove_source"]

MAX_ROWS = 5_000_000
"""Rows of a table that is added: a Parquet file of some kilobytes can hold billions of equal ones."""

MAX_FAULTS = 1000
"""Faults of one rule that are kept: a column of another unit breaks it in every row."""

SMALLEST_LOSS = 1e-12
"""Below this a loss is a missing value or a number that was never measured."""

MAX_SHOWN = 20
"""Faults printed in full; the rest is counted."""

FILLED_IN = {"source_id", "metric", "unit", "value_origin", "flag_reason", "raw_file", "raw_row", "raw_field"}
"""Columns that are set here; no column of a user's file is mapped to them."""

FIELDS = ({*TABLES["runs"].columns, *TABLES["evals"].columns, *(m.name for m in METRICS.values())} - FILLED_IN) | {
    "value"
}
"""What a column of a user's file can be mapped to."""

HARNESS_METRICS = {
    "acc": ("acc", "fraction"),
    "acc_norm": ("acc_norm", "fraction"),
    "mc1": ("mc1", "fraction"),
    "mc2": ("mc2", "fraction"),
    "em": ("exact_match", "fraction"),
    "exact_match": ("exact_match", "fraction"),
    "f1": ("f1", "fraction"),
    "pct_stereotype": ("pct_stereotype", "fraction"),
    "likelihood_difference": ("likelihood_difference", "nats_per_answer"),
    "likelihood_diff": ("likelihood_difference", "nats_per_answer"),
    "pass@1": ("pass_at_1", "fraction"),
    "bits_per_byte": ("bits_per_byte", "bits_per_byte"),
    "word_perplexity": ("perplexity", "perplexity_per_word"),
    "perplexity": ("perplexity", "perplexity_per_word"),
    "ppl": ("perplexity", "perplexity_per_word"),
}
"""Metrics of lm-evaluation-harness: name here, and unit (its ``perplexity`` is per target word)."""


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


def add_source(
    path: str | Path,
    source_id: str,
    columns: Mapping[str, str] | None = None,
    *,
    unit: str | None = None,
    metric: str = "loss",
    eval_set: str | None = None,
    scale: Mapping[str, float] | None = None,
    n_definition: str | None = None,
    title: str | None = None,
    licence: str = "own data",
    year: int | None = None,
) -> LocalSource:
    """Add own results to the warehouse of this user.

    Parameters
    ----------
    path : path
        A ``.csv``, ``.tsv`` or ``.parquet`` file with one row a run (or a checkpoint), or the results of
        lm-evaluation-harness: a ``.json`` file, or a folder that holds ``results*.json``.
    source_id : str
        Name of the new source: lower-case letters, digits and ``_``.
    columns : mapping of str to str, optional
        Column of the warehouse to column of the file: ``{"n_params": "Params", "loss": "val_loss"}``.
        Every column of ``runs`` and ``evals`` can be given, and every metric by its name. A column of
        the file that already has such a name maps to itself. ``run_id`` names the run, and is needed
        where a run has several rows (``step``); else every row is a run. A table only.
    unit : str, optional
        Unit of the measured values (see ``select * from units``). Required for losses.
    metric : str
        What the column mapped to ``value`` or ``loss`` measures.
    eval_set : str, optional
        Text that it was measured on; required unless a column is mapped to ``eval_set``.
    scale : mapping of str to float, optional
        Factors that bring a column to the unit of the warehouse: ``{"n_params": 1e9}``.
    n_definition : str, optional
        Which count is N, where several are mapped; ``n_params`` by default.
    title, licence, year
        What the ``sources`` table says about it.

    Raises
    ------
    UnknownNameError
        For a column, metric or unit that does not exist.
    DataError
        If something required is not mapped, or values break a rule; rows are named. Nothing is stored.
    WarehouseError
        If the file cannot be read or the data folder cannot be written.

    See Also
    --------
    remove_source : Take it out again.
    """
    file = Path(path)
    if year is not None and not (type(year) is int and 1900 <= year <= 2200):
        raise DataError(f"year is {year!r}", "give a year such as 2025.")
    _check_id(source_id)
    if not file.exists():
        raise WarehouseError(f"{str(path)!r} does not exist", "give a table, or a folder of harness results.")
    if file.is_dir() or file.suffix == ".json":
        given = {"columns": columns, "unit": unit, "eval_set": eval_set, "scale": scale, "n_definition": n_definition}
        if useless := [name for name, value in given.items() if value]:
            raise DataError(
                f"{', '.join(useless)}: harness results state this themselves", "leave it out, or give a table."
            )
        made = _from_harness(file, source_id)
    else:
        mapping = _Mapping(file, source_id, dict(columns or {}), unit, metric, eval_set, dict(scale or {}))
        made = mapping.read()
    runs, evals = made.runs, made.evals
    if n_definition is not None and n_definition not in N_DEFINITIONS:
        raise unknown_name("n_definition", n_definition, N_DEFINITIONS)
    counts = [name for name in N_DEFINITIONS if name in runs.columns and runs[name].count()]
    if n_definition is not None and n_definition not in counts:
        raise DataError(
            f"n_definition {n_definition!r}: no column is mapped to it", f"map --map {n_definition}=COLUMN."
        )
    metrics = evals["metric"].unique(maintain_order=True).to_list()
    sets = evals["eval_set"].unique().to_list()
    losses = [name for name in metrics if METRICS[name].kind == "loss"]
    source = {
        "source_id": source_id,
        "title": title or source_id,
        "authors": "own data",
        "year": year or datetime.datetime.now(tz=datetime.UTC).year,
        "licence": licence,
        "is_shipped": False,
        "redistribution": "added by the user; lies in the user's data folder",
        "headline_metric": (losses or metrics)[0],
        "headline_eval_set": sets[0] if len(sets) == 1 else None,
        "n_definition": n_definition or (counts[0] if counts else None),
        "notes": made.notes,
        "bibtex": "",
        "n_raw_files": len(made.files),
        "raw_sha256": hashlib.sha256(
            "\n".join(sorted(f"{sha}  {name}" for name, sha in made.files)).encode()
        ).hexdigest(),
    }
    tables = {
        "sources": _shaped("sources", pl.DataFrame([source]), source_id),
        "runs": _shaped("runs", runs, source_id),
        "evals": _shaped("evals", evals, source_id),
    }
    faults = [f"  {table}: {fault}" for table, frame in tables.items() for fault in _row_faults(table, frame)]
    _refuse_faults(file, source_id, faults)
    folder = local_folder()
    _install(folder, source_id, tables)
    if made.unused:
        notice(f"source {source_id!r}: not taken over: {', '.join(made.unused)}")
    return LocalSource(source_id, {name: frame.height for name, frame in tables.items()}, made.unused, folder)


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
        commit(folder, {_key(table, source_id): None for table in TABLES})


def _check_id(source_id: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", source_id):
        raise DataError(
            f"{source_id!r} is no name for a source", "use lower-case letters, digits and '_', beginning with a letter."
        )
    with connect() as db:
        known = db.table("sources").filter(source_id=source_id)
    if known.height:
        own = _key("sources", source_id) in own_files(local_folder())
        raise DataError(
            f"source {source_id!r} exists already: {known['title'][0]}",
            f"take it out first: scalingdb add --remove {source_id}" if own else "choose another name.",
        )


@dataclass(frozen=True)
class _Made:
    """Rows read from a user's files, before their columns are completed."""

    runs: pl.DataFrame
    evals: pl.DataFrame
    files: list[tuple[str, str]]
    unused: tuple[str, ...]
    notes: str


# ---- a table -------------------------------------------------------------------------------------


class _Mapping:
    """How the columns of one file become columns of the warehouse."""

    def __init__(
        self,
        file: Path,
        source_id: str,
        columns: dict[str, str],
        unit: str | None,
        metric: str,
        eval_set: str | None,
        scale: dict[str, float],
    ) -> None:
        self.file, self.source_id, self.eval_set, self.scale = file, source_id, eval_set, scale
        for name in columns:
            if name not in FIELDS:
                raise unknown_name("column", name, FIELDS, "(left of '=' stands a column or metric of the warehouse)")
        if metric not in METRICS:
            raise unknown_name("metric", metric, METRICS)
        if unit is not None and unit not in UNITS:
            raise unknown_name("unit", unit, UNITS)
        self.table = _read_table(file)
        for name, column in columns.items():
            if column not in self.table.columns:
                raise unknown_name("column", column, self.table.columns, f"({name}={column}, file {file.name!r})")
        taken = set(columns.values())
        same = {name: name for name in self.table.columns if name in FIELDS and name not in taken}
        self.columns = {**same, **columns}
        if {"loss", "value"} <= self.columns.keys():
            raise DataError("'loss' and 'value' are both mapped, and mean the same number", "map one of them.")
        named = {name: metric if name in {"loss", "value"} else name for name in self.columns}
        self.metrics = {name: named[name] for name in self.columns if name == "value" or name in METRICS}
        self._require()
        for name in scale:
            if name not in self.columns:
                raise unknown_name("column", name, self.columns, "(scale)")
        self.units = {name: _unit(kind, unit) for name, kind in self.metrics.items()}

    def _require(self) -> None:
        lacking = []
        if not self.metrics:
            lacking.append("'loss' (or 'value', or a metric such as 'acc'): the measured number")
        if "eval_set" not in self.columns and not self.eval_set:
            lacking.append("'eval_set': the text or task it was measured on")
        if "step" in self.columns and "run_id" not in self.columns:
            lacking.append("'run_id': which rows are one run, since 'step' is mapped")
        if lacking:
            raise DataError(
                "\n".join([f"file {self.file.name!r}: required, but not mapped:", *(f"  {text}" for text in lacking)]),
                f"the file has the columns {', '.join(map(repr, self.table.columns[:30]))}; map them with "
                "columns={'loss': ...} (in the shell: --map loss=COLUMN), and give eval_set.",
            )

    def read(self) -> _Made:
        """Runs and evaluations of the table."""
        wide, faults = self._converted()
        _refuse_faults(self.file, self.source_id, faults)
        run = [name for name in TABLES["runs"].columns if name in wide.columns]
        per_row = {name for name in run if name in TABLES["evals"].columns and name != "run_id"}
        if wide["run_id"].is_duplicated().any():
            # a count that grows along a run is a checkpoint's; one that is the same all along is the run's
            varying = {n for n in run if n != "run_id" and self._varies(wide, n)}
            _refuse_faults(self.file, self.source_id, self._run_faults(wide, varying - per_row))
            kept = [name for name in run if name not in varying]
            runs = wide.unique("run_id", keep="first", maintain_order=True).select(kept)
        else:
            varying, runs = set(), wide.select(run)
        defaults = {name: pl.lit(self.source_id) for name in ("study", "family")}
        runs = runs.with_columns(
            pl.col(name).fill_null(value) if name in runs.columns else value.alias(name)
            for name, value in defaults.items()
        )
        keep = [
            name
            for name in TABLES["evals"].columns
            if name in wide.columns
            and name not in {"raw_row", *self.metrics}
            and (name == "run_id" or name not in run or name in varying)
        ]
        parts = [
            wide.filter(pl.col(f"={name}").is_not_null()).select(
                *keep,
                value=f"={name}",
                metric=pl.lit(kind),
                unit=pl.lit(self.units[name]),
                value_origin=pl.lit("reported"),
                raw_file=pl.lit(self.file.name),
                raw_row="raw_row",
                raw_field=pl.lit(self.columns[name]),
            )
            for name, kind in self.metrics.items()
        ]
        sha = hashlib.sha256(self.file.read_bytes()).hexdigest()
        unused = tuple(sorted(set(self.table.columns) - set(self.columns.values())))
        said = [f"{name} = {column}" for name, column in self.columns.items()]
        said += [f"{name} times {factor:g}" for name, factor in self.scale.items()]
        return _Made(runs, pl.concat(parts), [(self.file.name, sha)], unused, f"Added by the user: {', '.join(said)}.")

    def _converted(self) -> tuple[pl.DataFrame, list[str]]:
        """The mapped columns with their types; measured ones begin with '='. And what does not convert."""
        faults: list[str] = []
        found: dict[str, pl.Series] = {}
        for name, column in self.columns.items():
            measured = name in self.metrics
            dtype = pl.Float64 if measured else COLUMNS[name].dtype
            series, bad = _convert(self.table[column], dtype)
            faults += [f"  row {row}, column {column!r}: {value!r} is no {_kind(dtype)}" for row, value in bad]
            if name in self.scale:
                if dtype != pl.Float64:
                    raise DataError(f"column {name!r} cannot be scaled: it holds no numbers", "leave its scale out.")
                series = series * self.scale[name]
            found[f"={name}" if measured else name] = series
        wide = pl.DataFrame(found).with_row_index("raw_row", offset=1).with_columns(pl.col("raw_row").cast(pl.Int64))
        own = pl.col("run_id") if "run_id" in wide.columns else pl.col("raw_row").cast(pl.String)
        fixed = [pl.format("{}/{}", pl.lit(self.source_id), own).alias("run_id")]
        if "eval_set" not in wide.columns:
            fixed.append(pl.lit(self.eval_set).alias("eval_set"))
        if "split" not in wide.columns:
            fixed.append(pl.lit("all").alias("split"))
        wide = wide.with_columns(fixed)
        empty = wide.filter(pl.all_horizontal(pl.col(f"={name}").is_null() for name in self.metrics))
        if not faults:
            shown = " and ".join(repr(self.columns[name]) for name in self.metrics)
            faults += [f"  row {row}: no value in {shown}" for row in empty["raw_row"]]
            faults += [
                f"  row {row}, column {self.columns.get(name, name)!r}: nothing, where a value is required"
                for name in ("run_id", "eval_set", "split")
                for row in wide.filter(pl.col(name).is_null())["raw_row"]
            ]
            for name in TABLES["runs"].columns:
                if name in wide.columns and name in self.columns:
                    faults += [
                        f"  row {i + 1}, column {self.columns[name]!r}: {fault}"
                        for i, fault in _column_faults(wide, name)
                    ]
        return wide, faults

    @staticmethod
    def _varies(wide: pl.DataFrame, name: str) -> bool:
        return bool((wide.group_by("run_id").agg(pl.col(name).n_unique())[name] > 1).any())

    def _run_faults(self, wide: pl.DataFrame, varying: Iterable[str]) -> list[str]:
        faults = []
        for name in sorted(varying):
            groups = wide.group_by("run_id", maintain_order=True).agg("raw_row", pl.col(name).unique())
            for run_id, rows, values in groups.filter(pl.col(name).list.len() > 1).iter_rows():
                label = str(run_id).partition("/")[2]
                faults.append(
                    f"  rows {', '.join(map(str, rows[:5]))}: run {label!r} has several values of "
                    f"{self.columns.get(name, name)!r}: {', '.join(map(repr, values[:3]))}"
                )
        return faults


def _read_table(file: Path) -> pl.DataFrame:
    hint = "give a .csv, .tsv or .parquet file with a header."
    if file.suffix not in {".csv", ".tsv", ".parquet"}:
        raise DataError(f"{file.name!r} is no table that can be read", hint)
    try:
        if file.suffix == ".parquet":
            with file.open("rb") as content:
                n_rows = pl.scan_parquet(content).select(pl.len()).collect().item()
                if n_rows > MAX_ROWS:
                    raise DataError(
                        f"file {file.name!r} has {n_rows:,} rows; {MAX_ROWS:,} can be added",
                        "add what is measured (one row per run or checkpoint), in several sources if need be.",
                    )
                content.seek(0)
                table = pl.read_parquet(content)
        else:
            file.read_text(encoding="utf-8-sig")
            table = pl.read_csv(file.read_bytes(), separator="\t" if file.suffix == ".tsv" else ",", infer_schema=False)
    except UnicodeDecodeError as error:
        raise DataError(f"file {file.name!r} is not UTF-8 at byte {error.start}", "save it as UTF-8.") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        if isinstance(error, ScalingDBError):
            raise
        raise WarehouseError(f"file {file.name!r} cannot be read: {error}", hint) from error
    except BaseException as error:  # a Rust panic on damaged bytes derives from BaseException
        if type(error).__name__ != "PanicException":
            raise
        raise WarehouseError(f"file {file.name!r} cannot be read: it is damaged", hint) from error
    if table.is_empty():
        raise DataError(f"file {file.name!r} has no rows", hint)
    return table


def _kind(dtype: Any) -> str:
    return {pl.Float64: "number", pl.Int64: "whole number", pl.Boolean: "true or false", pl.Date: "date"}.get(
        dtype, "text"
    )


def _convert(series: pl.Series, dtype: Any) -> tuple[pl.Series, list[tuple[int, Any]]]:
    """A column as `dtype`, and the rows (counted from 1) whose cells do not convert."""
    if series.dtype == pl.String:
        series = series.str.strip_chars().replace("", None)
        if dtype == pl.Boolean:
            words = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}
            made = series.str.to_lowercase().replace_strict(words, default=None, return_dtype=pl.Boolean)
        elif dtype == pl.Date:
            made = series.str.to_date(strict=False)
        else:
            made = series if dtype == pl.String else series.cast(pl.Float64, strict=False)
    elif dtype in {pl.Float64, pl.Int64} and not (series.dtype.is_numeric() or series.dtype == pl.Null):
        made = pl.Series(series.name, [None] * series.len(), dtype=pl.Float64)  # a date or a truth value is no number
    else:
        made = series.cast(pl.Float64 if dtype == pl.Int64 else dtype, strict=False)
    if dtype == pl.Int64:
        whole = made.cast(pl.Int64, strict=False)
        made = pl.select(pl.when(whole.cast(pl.Float64) == made).then(whole)).to_series()
    failed = (series.is_not_null() & made.is_null()).arg_true()
    shown = [(row + 1, series[row]) for row in failed.head(MAX_SHOWN + 1)]
    return made, shown


def _unit(metric: str, unit: str | None) -> str:
    allowed = METRICS[metric].units
    if unit in allowed:
        return str(unit)
    if METRICS[metric].kind == "loss" and unit is None:
        raise DataError(
            f"metric {metric!r} is a loss, and no unit is given", f"give unit (--unit): {' or '.join(allowed)}."
        )
    if len(allowed) == 1 and METRICS[metric].kind == "score":
        return allowed[0]
    raise DataError(f"metric {metric!r} cannot have unit {unit!r}", f"its units are {', '.join(allowed)}.")


# ---- lm-evaluation-harness -----------------------------------------------------------------------


def _from_harness(path: Path, source_id: str) -> _Made:
    """Runs and scores of harness results, old layout (``acc``) and new (``acc,none``)."""
    files = [path] if path.is_file() else sorted(path.rglob("results*.json"))
    if not files:
        raise DataError(f"folder {str(path)!r} holds no results*.json", "give the --output_path of lm_eval.")
    home = path.parent if path.is_file() else path
    runs: dict[str, dict[str, Any]] = {}
    evals: list[dict[str, Any]] = []
    hashes, unused = [], set()
    for file in files:
        name = file.relative_to(home).as_posix()
        content = file.read_bytes()
        hashes.append((name, hashlib.sha256(content).hexdigest()))
        try:
            report = json.loads(content, object_pairs_hook=_without_duplicates)
        except (ValueError, RecursionError) as error:
            raise DataError(f"file {name!r} is no JSON: {error}", "write it anew with lm_eval.") from error
        results = report.get("results") if isinstance(report, dict) else None
        if not isinstance(results, dict) or not all(isinstance(values, dict) for values in results.values()):
            raise DataError(f"file {name!r} has no 'results' of tasks", "give files that lm_eval wrote.")
        try:
            run, step = _harness_run(report, file, source_id)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            raise DataError(f"file {name!r}: 'config' is not as lm_eval writes it: {error}") from error
        known = runs.setdefault(run["run_id"], run)
        known.update({key: value for key, value in run.items() if known.get(key) is None})
        for task, values in results.items():
            try:
                found, unknown = _harness_task(report, task, values)
            except (TypeError, ValueError, OverflowError, AttributeError) as error:
                raise DataError(
                    f"file {name!r}: results of {task!r} are not as lm_eval writes them: {error}"
                ) from error
            unused |= unknown
            evals += [{"run_id": run["run_id"], "step": step, "raw_file": name, **row} for row in found]
    if not evals:
        raise DataError(
            f"{str(path)!r} holds no metric that is known here; it has {', '.join(sorted(unused)) or 'none'}",
            f"known are {', '.join(HARNESS_METRICS)}.",
        )
    return _Made(
        pl.DataFrame(list(runs.values()), infer_schema_length=None),
        pl.DataFrame(evals, infer_schema_length=None),
        hashes,
        tuple(sorted(unused)),
        "Added by the user from results of lm-evaluation-harness.",
    )


def _shots(given: Any) -> int | None:
    if not isinstance(given, int | float) or isinstance(given, bool):
        return None
    if not 0 <= given <= 1e6:
        raise ValueError(f"{given!r:.20} shots")
    return int(given)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return found


def _harness_run(report: Mapping[str, Any], file: Path, source_id: str) -> tuple[dict[str, Any], float | None]:
    config = report.get("config") or {}
    arguments = config.get("model_args") or {}
    if isinstance(arguments, str):
        pairs = (part.partition("=") for part in arguments.split(","))
        arguments = {key.strip(): value.strip() for key, _, value in pairs}
    named = arguments.get("pretrained") or arguments.get("model") or report.get("model_name") or config.get("model")
    model = str(named or file.parent.name or file.stem)
    revision = arguments.get("revision")
    step = re.fullmatch(r"step[-_]?(\d+)", str(revision or ""))
    label = model if step or revision in {None, "", "main"} else f"{model}@{revision}"
    n_params = config.get("model_num_parameters")
    run = {
        "run_id": f"{source_id}/{label}",
        "study": source_id,
        "family": source_id,
        "model_name": model,
        "n_params": float(n_params) if isinstance(n_params, int | float) and n_params > 0 else None,
    }
    return run, float(step[1]) if step else None


def _harness_task(
    report: Mapping[str, Any], task: str, values: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], set[str]]:
    """Rows of one task, and the metrics that are not known here."""
    config = report.get("config") or {}
    shots = (report.get("n-shot") or {}).get(task, config.get("num_fewshot"))
    n_items = (report.get("n-samples") or {}).get(task)
    limit = config.get("limit")
    rows, unknown = [], set()
    for key, value in values.items():
        metric, _, chosen = key.partition(",")
        if metric.endswith("_stderr") or not isinstance(value, int | float) or isinstance(value, bool):
            continue
        if metric not in HARNESS_METRICS:
            unknown.add(metric)
            continue
        name, unit = HARNESS_METRICS[metric]
        error = values.get(f"{metric}_stderr,{chosen}" if chosen else f"{metric}_stderr")
        rows.append(
            {
                "metric": name,
                "eval_set": task if chosen in {"", "none"} else f"{task} ({chosen})",
                "split": "all",
                "n_shots": _shots(shots),
                "value": float(value),
                "unit": unit,
                "std_error": float(error) if isinstance(error, int | float) else None,
                "n_items": float(n_items["effective"])
                if isinstance(n_items, dict) and "effective" in n_items
                else None,
                "value_origin": "reported",
                "flag": "limited" if limit else None,
                "flag_reason": f"the harness ran with --limit {limit}: a part of the task" if limit else None,
                "raw_field": f"results/{task}/{key}",
            }
        )
    return rows, unknown


# ---- checks --------------------------------------------------------------------------------------


def _shaped(table: str, frame: pl.DataFrame, source_id: str) -> pl.DataFrame:
    """`frame` in the column order and types of `table`; what is not there is null."""
    frame = frame.with_columns(source_id=pl.lit(source_id))
    return frame.select(
        pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype=dtype).alias(name)
        for name, dtype in polars_schema(table).items()
    )


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
        f"{_place(frame, i)}: value {value[i]!r} is no loss that was measured"
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


def _refuse_faults(file: Path, source_id: str, faults: list[str]) -> None:
    if faults:
        shown = faults[:MAX_SHOWN] + ([f"  ... and {len(faults) - MAX_SHOWN} more"] if len(faults) > MAX_SHOWN else [])
        raise DataError(
            "\n".join([f"{file.name!r} cannot become source {source_id!r}: {len(faults)} fault(s)", *shown]),
            "fix these rows, or declare another unit, mapping or scale; nothing was added.",
        )


# ---- files ---------------------------------------------------------------------------------------


def _install(folder: Path, source_id: str, tables: Mapping[str, pl.DataFrame]) -> None:
    """Make the tables part of the user's sources, all in one step.

    Raises
    ------
    DataError
        If another process has added a source of this name meanwhile.
    WarehouseError
        If the folder cannot be written.
    """
    with _changing(folder), scratch_folder(folder, ".adding-") as scratch:
        if _key("sources", source_id) in own_files(folder):
            raise DataError(f"source {source_id!r} exists already: it was added meanwhile", "choose another name.")
        for table, frame in tables.items():
            frame.write_parquet(scratch / f"{table}.parquet", compression="zstd")
        commit(folder, {_key(table, source_id): scratch / f"{table}.parquet" for table in tables})


@contextlib.contextmanager
def _changing(folder: Path) -> Iterator[None]:
    """The user's folder, changed by nobody else; what goes wrong with it is told as such."""
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
