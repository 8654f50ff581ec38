"""From pieces of files, or a frame, to one row per measurement."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from scalingdb.errors import DataError, unknown_name
from scalingdb.notices import argument
from scalingdb.reading import _columns
from scalingdb.reading._columns import COUNT_UNITS, Columns, full_name
from scalingdb.reading._files import RUN, Files, Piece, column_of, read_files
from scalingdb.reading._frames import as_frame, is_frame
from scalingdb.reading._guards import guard
from scalingdb.reading._report import Remark, Report, Unusable, listed
from scalingdb.reading._values import Numbers, as_text, numbers
from scalingdb.schema import COLUMNS, METRICS, N_DEFINITIONS, TABLES, UNITS

__all__ = ["Measured", "Options", "contradictions", "read"]

PLACE = ("raw_file", "raw_row", "raw_field")
LEADING = ("run_id", "model_name", "n_params", "n_tokens", "train_flops", "step")
TRAILING = ("loss", "score", "value", "metric", "unit", "eval_set", "split", "n_shots", "std_error", "n_items")


@dataclass(frozen=True)
class Options:
    """What the caller declares, as for :func:`scalingdb.read_runs`; `keep` are columns to take as they are."""

    mapping: Mapping[str, str]
    unit: str | None
    metric: str
    eval_set: str | None
    scale: Mapping[str, float]
    models: Any
    where: str | None
    tasks: Sequence[str] | None
    tokens_per_step: float | None
    decimal: str | None
    keep: Sequence[str] = ()


class Fault(NamedTuple):
    """A cell that is not a number: its column, named as what it was read, and the row with the text."""

    column: str
    place: str


@dataclass(frozen=True)
class Measured:
    """What was read.

    Attributes
    ----------
    frame : DataFrame
        One row per measurement, flagged ones included.
    items : DataFrame
        Per-item results, where files hold them.
    report : Report
    files : tuple of (str, str)
        Name and SHA-256 of every file that was used.
    """

    frame: pl.DataFrame
    items: pl.DataFrame
    report: Report
    files: tuple[tuple[str, str], ...]


def read(what: Any, options: Options) -> Measured:
    """Read paths or a dataframe into measurements, with every guard applied."""
    _check_options(options)
    report = Report()
    files = _files(what)
    report.skipped += [note for piece in files.pieces for note in piece.notes]
    frames = []
    tables = [piece for piece in files.pieces if piece.table is not None]
    unusable: list[tuple[str, str]] = list(files.skipped)
    for group in _alike(tables):
        try:
            frames.append(_measure(group, options, report))
        except Unusable as fault:
            unusable += [(piece.file, str(fault)) for piece in group]
    evaluated = [piece.results for piece in files.pieces if piece.results is not None]
    rows = [row for results in evaluated for row in results.rows]
    report.unused += [name for results in evaluated for name in results.unused]
    report.converted += dict.fromkeys(note for results in evaluated for note in results.notes)
    if rows:
        _refuse_options_of_tables(options)
        frames.append(_frame_of_rows(rows))
    passed_over = {name for name, _ in unusable}
    for kind, pieces in _grouped(files.pieces).items():
        if names := [piece.file for piece in pieces if piece.file not in passed_over]:
            report.recognised.append(f"{listed(names, 3)}: {kind}")
    for reason in dict.fromkeys(reason for _, reason in unusable):
        report.skipped.append(f"{listed([name for name, why in unusable if why == reason], 3)}: {reason}")
    items = _items([item for results in evaluated for item in results.items], rows, report)
    if not frames:
        if items.height:
            raise DataError("there are per-item results, but no summary", "give the folder that holds both.")
        raise DataError("nothing can be read:\n" + "\n".join(f"  {name}: {reason}" for name, reason in unusable))
    frame = _together(frames)
    frame = _with_models(frame, options, report)
    frame = _finished(frame, report)
    return Measured(frame, items, report, files.hashes)


def _check_options(options: Options) -> None:
    if options.metric not in METRICS:
        raise unknown_name("metric", options.metric, METRICS)
    if options.unit is not None and options.unit != "percent" and options.unit not in UNITS:
        longer = [unit for unit in UNITS if unit.startswith(f"{options.unit}_")]
        raise unknown_name("unit", options.unit, longer or [*UNITS, "percent"])
    for name, factor in options.scale.items():
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < float("inf"):
            raise DataError(
                f"scale of {name!r} is {factor!r}, not a positive factor",
                f"for example {argument(scale={'n_params': 1e9})}.",
            )
    tokens = options.tokens_per_step
    if tokens is not None and not (isinstance(tokens, int | float) and 0 < tokens < float("inf")):
        raise DataError(f"{argument(tokens_per_step=tokens)} is not a positive number of tokens")


def _refuse_options_of_tables(options: Options) -> None:
    given: dict[str, Any] = {"unit": options.unit, "tasks": options.tasks}
    if options.models is None:  # both speak of its columns, too
        given |= {"mapping": options.mapping, "scale": options.scale}
    if useless := [name for name, value in given.items() if value]:
        raise DataError(
            f"{', '.join(useless)}: results of a harness state this themselves", "leave it out, or give a table."
        )


def _files(what: Any) -> Files:
    paths = what if isinstance(what, list | tuple) else [what]
    if any(isinstance(path, str) and not path.strip() for path in paths):
        raise DataError("the path is empty", "give a file or a folder; '.' is the present one.")
    if isinstance(what, str | Path):
        return read_files([Path(what)])
    if isinstance(what, list | tuple) and what and all(isinstance(path, str | Path) for path in what):
        return read_files([Path(path) for path in what])
    if not is_frame(what):
        raise DataError(
            f"{type(what).__module__}.{type(what).__qualname__} is neither a path nor a table",
            "give a file, a folder, a list of files, or any dataframe.",
        )
    table = _flat(as_frame(_exact_lists(what)))
    if table.is_empty():
        raise DataError("the frame is empty: there is nothing to read", "check the filters that led to it.")
    kind = type(what).__module__.partition(".")[0] + " " + type(what).__qualname__
    return Files((Piece(kind.replace("builtins ", ""), "frame", table),), (), ())


def _exact_lists(what: Any) -> Any:
    """Columns and rows in Python's own types, as text where a float would round whole numbers among others."""
    if isinstance(what, list | tuple):
        names = list(dict.fromkeys(str(name) for row in what for name in row))
        what = {name: [row.get(name) for row in what] for name in names}
    if not isinstance(what, Mapping):
        return what
    return {
        name: column_of(name, values)
        if isinstance(values, list | tuple)
        and any(isinstance(v, int) and abs(v) > 2**53 for v in values)
        and all(v is None or isinstance(v, int | float) for v in values)
        else values
        for name, values in what.items()
    }


def _flat(table: pl.DataFrame) -> pl.DataFrame:
    """Columns of records (``summary``, ``config`` of an interface) as one column per entry: ``config.lr``."""
    while nested := {name: dtype for name, dtype in table.schema.items() if isinstance(dtype, pl.Struct)}:
        names = [name for name in table.columns if name not in nested]
        names += [f"{name}.{field.name}" for name, dtype in nested.items() for field in dtype.fields]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(f"two columns are called {twice!r} once records are columns", "give one another name.")
        parts = [table[name].struct.unnest().rename(partial("{}.{}".format, name)) for name in nested]
        table = pl.concat([table.drop(nested), *parts], how="horizontal")
    return table


def _together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Frames below each other; whole numbers in one that floats in another would round stay whole, else become text."""
    if len(frames) == 1:
        return frames[0]
    for name in dict.fromkeys(name for frame in frames for name in frame.columns):
        columns = [frame[name] for frame in frames if name in frame.columns]
        is_large = any(c.dtype.is_integer() and (c.cast(pl.Float64).abs() >= 2.0**53).any() for c in columns)
        if not is_large or not any(c.dtype.is_float() for c in columns):
            continue
        are_whole = all((c == c.floor()).all() and (c.abs() < 2.0**53).all() for c in columns if c.dtype.is_float())
        kind = pl.Int64 if are_whole else pl.String
        frames = [frame.with_columns(frame[name].cast(kind)) if name in frame.columns else frame for frame in frames]
    return pl.concat(frames, how="diagonal_relaxed")


def _grouped(pieces: Sequence[Piece]) -> dict[str, list[Piece]]:
    groups: dict[str, list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.kind, []).append(piece)
    return groups


def _alike(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """Logs of one tool belong together: their columns are mapped once. Other tables stand alone if they differ."""
    groups: dict[Any, list[Piece]] = {}
    for piece in pieces:
        assert piece.table is not None
        key = (piece.kind,) if piece.is_log else (piece.kind, tuple(piece.table.columns))
        groups.setdefault(key, []).append(piece)
    return list(groups.values())


# ---- tables --------------------------------------------------------------------------------------


def _measure(pieces: Sequence[Piece], options: Options, report: Report) -> pl.DataFrame:
    """Measurements of tables that share their columns."""
    parts = []
    for piece in pieces:
        assert piece.table is not None
        own = [name for name in piece.table.columns if name in PLACE]
        table = piece.table.drop(own).with_row_index("raw_row", 1).with_columns(pl.lit(piece.file).alias("raw_file"))
        for name in ("reached", "planned"):
            ends = {run: end.get(name) for run, end in piece.ends.items()}
            if any(isinstance(value, int | float) for value in ends.values()):
                value = pl.col(RUN).replace_strict(ends, default=None, return_dtype=pl.Float64)
                table = table.with_columns(value.alias(name))
        parts.append(table)
    table = _together(parts)
    file = pieces[0].file if len(pieces) == 1 else f"{len(pieces)} files"
    table = _where(table, options.where, file, report)
    if {"name", "state"} <= {column.lower() for column in table.columns}:
        table = _with_ids(table, report)
    names = [name for name in table.columns if name not in {"raw_row", "raw_file", "reached", "planned"}]
    kept = {name: name for name in options.keep if name in names and name not in options.mapping}
    by_definition = all(piece.kind == "Hugging Face Trainer state" for piece in pieces)
    columns = _columns.choose(
        names,
        kept | dict(options.mapping),
        metric=options.metric,
        tasks=options.tasks,
        file=file,
        unit=options.unit,
        training=("loss",) if by_definition else (),
    )
    for name in options.scale if options.models is None else ():
        if full_name(name) not in {*columns.by_name, *columns.measured.values(), "loss", "value"}:
            raise unknown_name("column", name, columns.by_name, "(in scale)")
    report.unused += columns.unused
    decimal = options.decimal or (
        "," if any(piece.semicolons and _has_decimal_commas(piece) for piece in pieces) else None
    )
    wide = _converted(table, columns, options, decimal, report, file)
    wide = _one_row_per_checkpoint(wide, columns)
    return _long(wide, columns, options, report)


def _has_decimal_commas(piece: Piece) -> bool:
    """In a file with semicolons a comma stands before decimals: that is why the semicolons are there."""
    assert piece.table is not None
    return any(
        bool(column.cast(pl.String).str.contains(r"^\s*[+-]?\d*,\d+\s*$").fill_null(False).any())
        for column in piece.table
        if column.dtype == pl.String
    )


def _with_ids(table: pl.DataFrame, report: Report) -> pl.DataFrame:
    """Names of W&B runs are not unique; where two are equal, the run's ID tells them apart."""
    name = next((column for column in ("Name", "name") if column in table.columns), None)
    ids = next((column for column in ("ID", "id", "Id") if column in table.columns), None)
    if name is None or ids is None or not (twice := table[name].is_duplicated() & table[name].is_not_null()).any():
        return table
    report.converted.append(f"{int(twice.sum())} run(s) share their name with another: the ID was added to it")
    both = pl.format("{} ({})", name, ids)
    return table.with_columns(pl.when(twice).then(both).otherwise(pl.col(name).cast(pl.String)).alias(name))


MOST_OPERATORS = 200
"""Of a condition: Polars takes time by a power of their number, and ends the process where there are thousands."""

_OPERATOR = re.compile(r"""[-+*/%|<>=!~^(\[]|\b(?:and|or|not|case|between|like|is)\b""", re.IGNORECASE)
_QUOTED = re.compile(r"""'[^']*'|"[^"]*\"""")


_EXPONENT = re.compile(_QUOTED.pattern + r"|(?<![\w.])(?:\d+\.?\d*|\.\d+)e[+-]?\d{1,2}(?!\w)", re.IGNORECASE)


def _without_exponents(condition: str) -> str:
    """Numbers such as 5e8 written out: Polars before 2.0 reads no exponent."""

    def plain(found: re.Match[str]) -> str:
        if found[0][0] in "'\"":
            return found[0]
        digits = format(Decimal(found[0]), "f")
        return digits if "." in digits else f"{digits}.0"

    return _EXPONENT.sub(plain, condition)


def _where(table: pl.DataFrame, where: str | None, file: str, report: Report) -> pl.DataFrame:
    if not where:
        return table
    n_operators = len(_OPERATOR.findall(_QUOTED.sub("", where)))
    if n_operators > MOST_OPERATORS:
        raise DataError(
            f"{argument('where')} has {n_operators:,} operators and brackets, of {MOST_OPERATORS} that are allowed",
            "list values as in \"run in ('a', 'b')\", or filter the frame before.",
        )
    typed = table.with_columns(_typed(table[name]) for name in table.columns if table[name].dtype == pl.String)
    try:
        mask = typed.select(keep=pl.sql_expr(_without_exponents(where))).to_series()
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
        raise DataError(
            f"{argument(where=where)} cannot be applied to {file}: {str(error).splitlines()[0]}",
            f"write a condition on its columns: {listed(map(repr, table.columns), 20)}.",
        ) from error
    if mask.dtype != pl.Boolean or len(mask) not in {1, table.height}:
        raise DataError(f"{argument(where=where)} is not a condition on rows", "for example \"State = 'finished'\".")
    kept = table.filter(mask)
    if kept.is_empty():
        raise DataError(f"no row of {file} meets {argument(where=where)}", "see which values the column has.")
    if kept.height < table.height:
        report.skipped.append(
            f"{table.height - kept.height} of {table.height} row(s) that {argument('where')} excludes"
        )
    return kept


def _typed(column: pl.Series) -> pl.Series:
    """Text that is numbers as numbers: floats, unless these would round it."""
    values = column.cast(pl.Float64, strict=False)
    if values.null_count() > column.null_count():
        return column
    if (values.abs() >= 2.0**53).any():
        whole = column.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == column.null_count() else values
    return values


def _converted(
    table: pl.DataFrame, columns: Columns, options: Options, decimal: str | None, report: Report, file: str
) -> pl.DataFrame:
    """Mapped columns under their names here, measured ones as ``=column``; cells that are not numbers are refused."""
    made: dict[str, pl.Series] = {
        name: table[name] for name in ("raw_row", "raw_file", "reached", "planned") if name in table.columns
    }
    scale = {full_name(name): factor for name, factor in options.scale.items()}
    faults: list[Fault] = []
    for name, column in columns.by_name.items():
        if _columns.is_text(name):
            if name in scale:
                raise DataError(f"column {name!r} cannot be scaled: it holds no numbers", "leave its scale out.")
            made[name] = _as_text(table[column]).alias(name)
            if column != RUN:
                report.taken.append(f"{name} = {column!r}" if name != column else name)
            continue
        is_count = name in COLUMNS and COLUMNS[name].unit in COUNT_UNITS
        is_knob = name not in COLUMNS
        cells = numbers(table[column], is_count=is_count, is_knob=is_knob, decimal=decimal)
        if cells.faults and is_knob:  # a knob may be a word
            made[name] = _as_text(table[column]).alias(name)
            continue
        faults += [_fault(table, column, name, i, text) for i, text in cells.faults]
        stated = _columns.stated_factor(column) if is_count and name not in scale else None
        if stated is not None and "suffix" not in cells.conversions:
            most = {"FLOP": 1e30, "parameters": 1e14}.get(str(COLUMNS[name].unit), 1e17)
            if float(cells.values.median() or 0) * stated > most:  # type: ignore[arg-type]
                raise DataError(
                    f"{column!r} says that it counts in units of {stated:g}, and holds whole counts "
                    f"(their median is {float(cells.values.median()):g})",  # type: ignore[arg-type]
                    f"say which: {argument(scale={name: 1})} takes them as they are.",
                )
            scale[name] = stated
        factor = scale.get(name, 1.0)
        if factor != 1.0 and "suffix" in cells.conversions:
            raise DataError(
                f"{column!r} holds suffixes ({cells.conversions['suffix']}), "
                f"and {argument('scale')} would multiply by {factor:g} once more",
                "leave its scale out.",
            )
        if cells.inexact and factor == 1.0 and (is_knob or name == "step" or COLUMNS[name].dtype == pl.Int64):
            made[name] = _exact(cells, table, column, name)
        else:  # parameters, tokens and FLOP are quantities: 16 digits are enough
            made[name] = (cells.values * factor).alias(name)
        report.converted += [f"{column!r}: {note}" for note in cells.notes]
        if cells.not_finite:
            report.skipped.append(f"{cells.not_finite} cell(s) of {column!r} that are NaN or infinite")
        if factor != 1.0:
            why = ", as the heading says" if stated is not None else ""
            report.converted.append(f"{column!r} times {factor:g} is {name}{why}")
        report.taken.append(f"{name} = {column!r}" if name != column else f"{name}")
    for column, metric in columns.measured.items():
        is_share = "fraction" in METRICS[metric].units
        cells = numbers(table[column], is_count=False, is_share=is_share, decimal=decimal)
        faults += [_fault(table, column, metric, i, text) for i, text in cells.faults]
        factor = scale.get(metric, scale.get("loss", 1.0) if metric == options.metric else 1.0)
        stated_unit = _columns.stated_unit(column)
        if stated_unit and (options.unit or "").split("_")[0] in {"bits", "nats"} - {stated_unit} and factor == 1.0:
            raise DataError(
                f"{options.unit!r} is declared, and the heading {column!r} says {stated_unit}",
                f"say {argument(unit=f'{stated_unit}_per_token')}, or give the factor: "
                f"{argument(scale={'loss': math.log(2) if stated_unit == 'bits' else 1 / math.log(2)})}.",
            )
        if options.unit == "percent" and is_share and "percent" not in cells.conversions:
            _refuse_shares_as_percent(cells.values, table, columns, column)
            factor /= 100
            report.converted.append(f"{column!r}: per cent became shares")
        # 41.5 times .01 is .41500000000000004, which nobody wrote
        scaled = cells.values if factor == 1.0 else (cells.values * factor).round_sig_figs(15)
        made[f"={column}"] = scaled.alias(f"={column}")
        report.converted += [f"{column!r}: {note}" for note in cells.notes]
        report.taken.append(f"{'value' if 'metric' in columns.by_name else metric} = {column!r}")
    report.converted += columns.notes
    report.remarks += [Remark("ambiguous", note) for note in columns.ambiguous]
    _refuse(faults, file)
    return pl.DataFrame(made)


def _refuse_shares_as_percent(values: pl.Series, table: pl.DataFrame, columns: Columns, column: str) -> None:
    """A task whose scores are all at most 1 was not written in per cent like the others."""
    of = table[columns.by_name["eval_set"]] if "eval_set" in columns.by_name else pl.lit(column)
    largest = (
        pl.DataFrame({"value": values})
        .with_columns(task=of)
        .group_by("task", maintain_order=True)
        .agg(pl.col("value").max(), n=pl.col("value").count())
    )
    low = largest.filter((pl.col("value") > 0) & (pl.col("value") <= 1) & (pl.col("n") > 2))
    if low.height:
        raise DataError(
            f"per cent are declared, and no score of {listed(low['task'])} is above 1 (the largest is "
            f"{float(low['value'].to_numpy().max()):g})",
            f"shares have {argument(unit='fraction')}; where some tasks are per cent and some are shares, "
            "convert one kind first.",
        )


def _as_text(column: pl.Series) -> pl.Series:
    text = as_text(column).str.strip_chars()
    return text.set((text == "").fill_null(False), None)


def _exact(cells: Numbers, table: pl.DataFrame, column: str, name: str) -> pl.Series:
    """A column of seeds, steps or the like whose whole numbers a float would round; a knob may be text.

    Raises
    ------
    DataError
        If they cannot be kept as they are.
    """
    if cells.whole is not None and name != "step":  # steps are compared, divided and multiplied
        return cells.whole.alias(name)
    if name not in COLUMNS:
        return _as_text(table[column]).alias(name)
    i, text = cells.inexact[0]
    row = table["raw_row"][i] if "raw_row" in table.columns else i + 1
    own = argument(mapping={f"my_{name}": column})
    raise DataError(
        f"{name} = {column!r}: row {row} says {text}, which would be rounded to {cells.values[i]:.0f}",
        f"a knob of your own keeps it as it stands: {own}.",
    )


def _fault(table: pl.DataFrame, column: str, name: str, i: int, text: str) -> Fault:
    return Fault(f"{name} = {column!r}", f"row {table['raw_row'][i]} says {text!r}")


def _refuse(faults: Sequence[Fault], file: str) -> None:
    """All cells that are not numbers at once, by column, with the first places."""
    if not faults:
        return
    by_column: dict[str, list[str]] = {}
    for column, place in faults:
        by_column.setdefault(column, []).append(place)
    lines = [
        f"  {column}: {len(places)} cell(s) that are not numbers ({listed(places)})"
        for column, places in by_column.items()
    ]
    raise DataError(
        "\n".join([f"{file} cannot be read:", *lines]),
        f"fix these cells, or leave the rows out with {argument('where')}; "
        "empty cells, '-', 'n/a' and 'NaN' count as missing.",
    )


def _one_row_per_checkpoint(wide: pl.DataFrame, columns: Columns) -> pl.DataFrame:
    """Rows of one run and step joined: tools write training and evaluation values on rows of their own."""
    measured = [f"={column}" for column in columns.measured]
    if len(measured) < 2 or not {"run_id", "step"} <= set(wide.columns):
        return wide
    keys = [name for name in ("run_id", "step", "eval_set", "metric", "split") if name in wide.columns]
    if not wide.select(pl.struct(keys).is_duplicated()).to_series().any():
        return wide
    others = [name for name in wide.columns if name not in keys]
    return wide.group_by(keys, maintain_order=True).agg(pl.col(others).drop_nulls().last())


def _long(wide: pl.DataFrame, columns: Columns, options: Options, report: Report) -> pl.DataFrame:
    """One row per measured value."""
    wide = _named_splits(wide, columns, report)
    if "run_id" not in wide.columns:
        if "step" in wide.columns and "model_name" not in wide.columns and wide["step"].count() > 1:
            raise DataError(
                "'step' is mapped, but not 'run_id': which rows are one run?",
                f"map it: {argument(mapping={'run_id': 'COLUMN'})}.",
            )
        label = pl.col("model_name") if "model_name" in wide.columns else pl.lit(None, dtype=pl.String)
        wide = wide.with_columns(label.fill_null(pl.format("row {}", "raw_row")).alias("run_id"))
        if "step" not in wide.columns and "eval_set" not in wide.columns:
            twice = wide["run_id"].is_duplicated()
            if twice.any():
                numbered = pl.format("{} (row {})", "run_id", "raw_row")
                wide = wide.with_columns(pl.when(twice).then(numbered).otherwise("run_id").alias("run_id"))
    wide = wide.with_columns(pl.col("run_id").fill_null(pl.format("row {}", "raw_row")))
    wide = _told_apart(wide, report)
    if options.tokens_per_step is not None:
        if "step" not in wide.columns:
            raise DataError(
                f"{argument('tokens_per_step')} is given, but no column is the step",
                f"map it: {argument(mapping={'step': 'COLUMN'})}.",
            )
        wide = wide.with_columns(n_tokens=pl.col("step") * options.tokens_per_step)
        report.converted.append(f"n_tokens = step times {options.tokens_per_step:,.0f}")
    others = [name for name in wide.columns if not name.startswith("=") and name != HELD]
    _count_empty(wide, columns, report)
    parts = []
    for column, metric in columns.measured.items():
        has_value = wide.filter(pl.col(f"={column}").is_not_null())
        part = has_value.select(*others, value=f"={column}")
        is_training = "split" in others and metric == "loss" and bool((part["split"] == "train").all()) and part.height
        named = pl.lit("train_loss") if is_training else _metric_names(part, metric)
        parts.append(
            part.with_columns(
                metric=named,
                unit=pl.lit(_unit(metric, options, report), dtype=pl.String),
                split=pl.col("split").fill_null("validation") if "split" in others else pl.lit(_split(metric, column)),
                eval_set=_eval_set(has_value, column, options, report),
                raw_field=pl.lit(column),
                flag=pl.lit(None, dtype=pl.String),
                flag_reason=pl.lit(None, dtype=pl.String),
            )
        )
    if options.eval_set is None and "eval_set" not in columns.by_name and options.tasks is None:
        report.converted.append("evaluation set not declared: each measured column counts as its own")
    return pl.concat(parts)


_SPLITS = {
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "eval", "evaluation", "test"), "validation"),
    **dict.fromkeys(("heldout", "held_out", "held-out"), "validation"),
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("fit", "all"), None),
}

_OWN_SETS = {"test": "test", **dict.fromkeys(("heldout", "held_out", "held-out"), "held-out")}
"""Splits whose rows are a set of their own, whatever splits the other rows are of: others may be appended."""

HELD = " held out"


def _named_splits(wide: pl.DataFrame, columns: Columns, report: Report) -> pl.DataFrame:
    """Splits under one name each; where there are validation rows, those of training are left out."""
    if "split" not in wide.columns:
        return wide
    told = wide["split"].str.to_lowercase().str.strip_chars()
    unknown = told.drop_nulls().filter(~told.drop_nulls().is_in(list(_SPLITS))).unique(maintain_order=True)
    if len(unknown):
        raise DataError(
            f"column {columns.by_name['split']!r} says which split a row is of, and {listed(map(repr, unknown), 5)} "
            "is neither train, validation, test, fit nor all",
            f"rename the values, or map the column to a name of your own: "
            f"{argument(mapping={'my_' + _columns.plain_name(columns.by_name['split']): columns.by_name['split']})}.",
        )
    if "eval_set" not in wide.columns:  # validation and test are two sets, not one said twice
        wide = wide.with_columns(told.replace_strict(_OWN_SETS, default=None, return_dtype=pl.String).alias(HELD))
    names = {key: value or key for key, value in _SPLITS.items()}
    wide = wide.with_columns(split=told.replace_strict(names, default=None, return_dtype=pl.String))
    training = (wide["split"] == "train").fill_null(False)
    if training.any() and not training.all():
        report.skipped.append(
            f"{int(training.sum())} row(s) of training values, as {columns.by_name['split']!r} says: "
            f"{argument(where=_sql_of_training(columns.by_name['split'], told))} keeps them alone"
        )
        wide = wide.filter(~training)
    return wide


def _sql_of_training(column: str, told: pl.Series) -> str:
    value = next(name for name in told.drop_nulls() if _SPLITS[name] == "train")
    return f"{column} = '{value}'"


def _shortest(number: float) -> str:
    """A number in six digits where these are all, so that names made from two numbers differ."""
    short = format(number, "g")
    return short if float(short) == number else repr(number).removesuffix(".0")


def _told_apart(wide: pl.DataFrame, report: Report) -> pl.DataFrame:
    """Rows under one name that differ in size or seed are different runs, not contradictions.

    A size that changes from step to step of a log is a fault of the log, which is told elsewhere.
    """
    if "step" in wide.columns and not wide.select(pl.struct("run_id", "step").is_duplicated()).to_series().any():
        return wide
    for name in (*N_DEFINITIONS, "seed"):
        if name not in wide.columns:
            continue
        several = wide.select(pl.col(name).drop_nulls().n_unique().over("run_id") > 1).to_series()
        apart = several & wide[name].is_not_null()
        if apart.any():
            shared = wide["run_id"].filter(apart).unique(maintain_order=True)
            report.converted.append(f"rows under one name with several {name} are runs of their own: {listed(shared)}")
            value = wide[name].map_elements(_shortest, pl.String)
            own = pl.format("{} ({} {})", "run_id", pl.lit(name), value)
            wide = wide.with_columns(pl.when(apart).then(own).otherwise("run_id").alias("run_id"))
    return wide


def _count_empty(wide: pl.DataFrame, columns: Columns, report: Report) -> None:
    """Say which rows (of a log: which runs) hold no value at all."""
    has_value = wide.select(pl.any_horizontal(pl.col(f"={column}").is_not_null() for column in columns.measured))
    wide = wide.with_columns(has_value.to_series().alias("has value"))
    if "step" in wide.columns:
        wide = wide.filter(~pl.col("has value").any().over("run_id")).unique("run_id", maintain_order=True)
    empty = wide.filter(~pl.col("has value"))
    if empty.height:
        state = pl.format("{} ({})", "run_id", "state") if "state" in empty.columns else pl.col("run_id")
        names = empty.select(pl.coalesce(state, "run_id")).to_series()
        what = "run(s)" if "step" in wide.columns else "row(s)"
        report.skipped.append(
            f"{empty.height} {what} without a value in {listed(map(repr, columns.measured), 3)}: {listed(names)}"
        )


def _metric_names(part: pl.DataFrame, metric: str) -> pl.Expr:
    """Metric of each row: the column that says so, in the names of the schema, else the one of the column."""
    if "metric" not in part.columns:
        return pl.lit(metric)
    from scalingdb.reading._evaluations import METRICS as HARNESS

    known = {name: name for name in METRICS} | {name: target for name, (target, _) in HARNESS.items()}
    given = part["metric"].str.to_lowercase().str.strip_chars()
    if unknown := sorted(set(given.drop_nulls().unique()) - known.keys()):
        raise unknown_name("metric", unknown[0], known, "(in the column of metrics)")
    return pl.Series(given.replace_strict(known, default=None)).fill_null(metric).to_frame().to_series()  # type: ignore[return-value]


def _split(metric: str, column: str) -> str:
    is_training = metric.startswith("train_loss") or _columns.is_training(column)
    return "train" if is_training else "all" if METRICS[metric].kind == "score" else "validation"


def _eval_set(wide: pl.DataFrame, column: str, options: Options, report: Report) -> pl.Series:
    name = column if options.eval_set is None or options.tasks is not None else options.eval_set
    if "eval_set" in wide.columns and options.eval_set is not None:
        note = f"{argument(eval_set=options.eval_set)} names rows whose own cell is empty only"
        if note not in report.converted:
            report.converted.append(note)
    if "eval_set" in wide.columns:
        return wide["eval_set"].fill_null(name)
    if HELD in wide.columns:
        return wide.select(pl.format("{} ({})", pl.lit(name), HELD).fill_null(name)).to_series()
    return pl.Series([name]).new_from_index(0, wide.height)


def _unit(metric: str, options: Options, report: Report) -> str | None:
    """Unit of a metric: its only one, the declared one, else none, which is said."""
    allowed = METRICS[metric].units
    unit = "fraction" if options.unit == "percent" else options.unit
    if unit in allowed:
        return unit
    if unit is not None and METRICS[metric].kind == METRICS[options.metric].kind:
        of = next((name for name, other in METRICS.items() if unit in other.units), None)
        other = f"; {unit} is a unit of {argument(metric=of)}" if of else ""
        raise DataError(f"unit {unit!r} does not fit metric {metric!r}", f"it has {', '.join(allowed)}{other}.")
    if len(allowed) == 1:
        return allowed[0]
    remark = f"unit of {metric} not declared; {argument('unit')} takes {', '.join(allowed)}"
    if all(known.text != remark for known in report.remarks):
        report.remarks.append(Remark("unit", remark))
    return None


# ---- evaluations, models, the end ----------------------------------------------------------------


def _frame_of_rows(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    names = list(dict.fromkeys(["flag", "flag_reason", *(name for row in rows for name in row)]))
    types = {name: pl.Float64 if COLUMNS[name].dtype in (pl.Float64, pl.Int64) else pl.String for name in names}
    frame = pl.DataFrame([{n: row.get(n) for n in names} for row in rows], schema=types, strict=False)
    if "n_shots" in names:
        frame = frame.with_columns(pl.col("n_shots").cast(pl.Int64))
    if "raw_row" in names:
        frame = frame.with_columns(pl.col("raw_row").cast(pl.UInt32))
    return frame.with_columns(run_id="model_name")


def _items(items: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], report: Report) -> pl.DataFrame:
    """Per-item results under the names of their models.

    Samples of lm-evaluation-harness do not name the model: it is the one whose results stand in the same folder.
    """
    beside: dict[str, set[str]] = {}
    for row in rows:
        beside.setdefault(str(row.get("raw_file", "")).rpartition("/")[0], set()).add(str(row["model_name"]))
    known = {str(row["model_name"]) for row in rows}
    named: list[dict[str, Any]] = []
    for item in items:
        there = beside.get(str(item["raw_file"]).rpartition("/")[0], set())
        if item["model_name"] not in known and len(there) == 1:
            item = {**item, "model_name": next(iter(there))}  # noqa: PLW2901
        named.append(dict(item))
    lost = dict.fromkeys(str(item["model_name"]) for item in named if item["model_name"] not in known)
    if lost and rows:
        report.skipped.append(f"per-item results of {listed(lost)}: no summary names the model")
    return _items_frame(named)


def _items_frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    names = ("model_name", *TABLES["items"].columns)
    types = {name: pl.Float64 if name == "value" else pl.Int64 if name == "raw_row" else pl.String for name in names}
    return pl.DataFrame([{name: row.get(name) for name in names} for row in rows], schema=types, strict=False)


def _with_models(frame: pl.DataFrame, options: Options, report: Report) -> pl.DataFrame:
    """Sizes, tokens and compute of models from a side table, joined on the model's or the run's name."""
    if options.models is None:
        return frame
    table = _files(options.models).pieces
    if len(table) != 1 or table[0].table is None:
        raise DataError(f"{argument('models')} is not a single table", "give a frame or a CSV with one row per model.")
    side = table[0].table
    chosen = _columns.choose(
        side.columns,
        {k: v for k, v in options.mapping.items() if v in side.columns and not _columns._is_metric(full_name(k))},
        metric="loss",
        tasks=[],
        file="models",
    )
    key = chosen.by_name.get("model_name") or chosen.by_name.get("run_id")
    if key is None:
        raise DataError(
            f"{argument('models')} has no column of names; it has {listed(map(repr, side.columns), 20)}",
            "call it 'model_name'.",
        )
    made = {"model_name": _as_text(side[key])}
    faults = []
    scale = {full_name(name): factor for name, factor in options.scale.items()}
    for name, column in chosen.by_name.items():
        if name in {"model_name", "run_id"}:
            continue
        if _columns.is_text(name):
            made[name] = _as_text(side[column])
            continue
        cells = numbers(
            side[column],
            is_count=COLUMNS[name].unit in COUNT_UNITS if name in COLUMNS else False,
            decimal=options.decimal,
        )
        faults += [Fault(f"{name} = {column!r}", f"row {i + 1} says {text!r}") for i, text in cells.faults]
        factor = 1.0 if column in frame.columns else scale.get(name, 1.0)
        if cells.inexact and factor == 1.0 and (name not in COLUMNS or COLUMNS[name].dtype == pl.Int64):
            made[name] = _exact(cells, side, column, name)
        else:
            made[name] = cells.values * factor
        report.converted += [f"models, {column!r}: {note}" for note in cells.notes]
    _refuse(faults, "models")
    known = pl.DataFrame([series.alias(name) for name, series in made.items()])
    if (twice := known["model_name"].is_duplicated()).any():
        raise DataError(
            f"{argument('models')} names {known['model_name'].filter(twice)[0]!r} twice", "keep one row per model."
        )
    label = "model_name" if "model_name" in frame.columns else "run_id"
    there = set(frame[label].drop_nulls())
    if not there & set(known["model_name"]):
        raise DataError(
            f"{argument('models')} names none of the models ({listed(sorted(there), 3)}); "
            f"it has {listed(known['model_name'], 3)}",
            "the names must be equal.",
        )
    joined = frame.join(
        known, left_on=label, right_on="model_name", how="left", suffix=" of models", maintain_order="left"
    )
    both = [name for name in known.columns if f"{name} of models" in joined.columns]
    for name in both:
        other, own = joined[f"{name} of models"], joined[name]
        differs = ((other / own - 1).abs() > 1e-3) if own.dtype.is_numeric() else other != own
        if differs.fill_null(False).any():
            models = joined[label].filter(differs.fill_null(False)).unique(maintain_order=True)
            report.remarks.append(
                Remark("models", f"{name} of {argument('models')} replaced what the file says of {listed(models)}")
            )
    joined = joined.with_columns(pl.coalesce(f"{name} of models", name).alias(name) for name in both).drop(
        f"{name} of models" for name in both
    )
    lacking = sorted(there - set(known["model_name"]))
    if known.width == 1:
        raise DataError(
            f"{argument('models')} has no column of sizes, tokens or compute that is recognised; it has "
            f"{listed(map(repr, side.columns), 20)}",
            f"map them: {argument(mapping={'N': next((c for c in side.columns if c != key), 'COLUMN')})}.",
        )
    added = listed((name for name in known.columns if name != "model_name"), 12)
    report.taken.append(f"{added} of {len(there) - len(lacking)} model(s) from {argument('models')}")
    if lacking:
        report.remarks.append(Remark("models", f"{argument('models')} lacks {listed(lacking)}"))
    return joined


def _finished(frame: pl.DataFrame, report: Report) -> pl.DataFrame:
    """Guards applied, columns in a reader's order."""
    if "model_name" not in frame.columns:
        frame = frame.with_columns(model_name="run_id")
    for flag, reason in dict.fromkeys(frame.filter(pl.col("flag").is_not_null()).select("flag", "flag_reason").rows()):
        of = frame.select((pl.col("flag_reason") == reason).fill_null(False)).to_series()
        sets = frame["eval_set"].filter(of).unique(maintain_order=True)
        report.remarks.append(Remark(flag, f"{of.sum()} row(s), {reason}: {listed(sets)}", flags=True))
    for look in (_repeats, _guarded, contradictions):  # a row that is flagged already does not contradict another
        remarks = look(frame)
        report.remarks += remarks
        for remark in remarks:
            if not remark.flags:
                continue
            rows = pl.Series(range(frame.height)).is_in(remark.rows)
            frame = frame.with_columns(
                flag=pl.when(rows & pl.col("flag").is_null()).then(pl.lit(remark.check)).otherwise("flag"),
                flag_reason=pl.when(rows & pl.col("flag_reason").is_null())
                .then(pl.lit(remark.text))
                .otherwise("flag_reason"),
            )
    kinds = pl.col("metric").replace_strict({m.name: m.kind for m in METRICS.values()}, default=None)
    frame = frame.with_columns(
        loss=pl.when(kinds == "loss").then("value"), score=pl.when(kinds != "loss").then("value")
    )
    frame = frame.drop(name for name in ("loss", "score") if frame[name].null_count() == frame.height)
    frame = frame.drop(name for name in ("state", "reached", "planned") if name in frame.columns)
    there = set(frame.columns)
    if "loss" in there and "train_flops" not in there:
        for symbol, what, names in (
            ("N", "number of parameters", {*N_DEFINITIONS, "n_params_active"}),
            ("D", "number of tokens", {"n_tokens", "step"}),
        ):
            if not names & there:
                part = {"N": "param", "D": "token"}[symbol]
                like = next((name for name in report.unused if _may_be(part, name)), "COLUMN")
                side = f", or {argument('models')} with one row per model" if symbol == "N" else ""
                report.remarks.append(
                    Remark("inputs", f"no {what} recognised: {argument(mapping={symbol: like})} names it{side}")
                )
    last = ("flag", "flag_reason", *PLACE)
    named = {*LEADING, *TRAILING, *last}
    knobs = [name for name in frame.columns if name not in named]
    return frame.select(name for name in (*LEADING, *knobs, *TRAILING, *last) if name in frame.columns)


def _may_be(part: str, column: str) -> bool:
    """Whether a column that was not taken may be a count: no ratio, and no logarithm."""
    return part in column.lower() and not re.search(r"per|log|ratio|_ln|^ln", column.lower())


def _repeats(frame: pl.DataFrame) -> list[Remark]:
    """Rows that say in every column what an earlier one says."""
    again = ~frame.select(pl.struct(pl.exclude(PLACE)).is_first_distinct()).to_series()
    return [_restated(frame, again, "repeated", SAME)] if again.any() else []


def _guarded(frame: pl.DataFrame) -> list[Remark]:
    """What guards say of rows that are no repeats, which own sources do not keep: they would count twice here alone."""
    kept = frame.select(pl.col("flag").ne_missing("repeated").arg_true()).to_series()
    return [replace(remark, rows=tuple(kept.gather(list(remark.rows)))) for remark in guard(frame[kept])]


SAME = "row(s) state a measurement again, with the same value"


def _restated(frame: pl.DataFrame, mask: pl.Series, check: str, text: str) -> Remark:
    named = frame.filter(mask).select(pl.format("{} on {}", "run_id", "eval_set")).to_series()
    return Remark(
        check, f"{mask.sum()} {text}: {listed(named.unique(maintain_order=True))}", tuple(mask.arg_true()), flags=True
    )


def contradictions(frame: pl.DataFrame) -> list[Remark]:
    """The same measurement twice: the first one counts.

    Raises
    ------
    DataError
        If most runs state many values that nothing orders: which one is the run's?
    """
    order = "step" if "step" in frame.columns else "n_tokens"
    keys = [name for name in ("run_id", order, "metric", "eval_set", "split", "n_shots") if name in frame.columns]
    good = frame["flag"].is_null()
    groups = frame.select(pl.struct(keys), good=good).select(pl.struct(pl.all()))
    again = good & ~groups.to_series().is_first_distinct()
    differs = (
        good & frame.select(pl.col("value").filter(pl.col("flag").is_null()).n_unique().over(keys) > 1).to_series()
    )
    several = frame.filter(good & differs).group_by("run_id", maintain_order=True).len().filter(pl.col("len") >= 5)
    if "step" not in frame.columns and 2 * several.height > frame["run_id"].n_unique():
        raise DataError(
            f"{several.height} run(s) state many values each ({listed(several['run_id'])}), and no column orders them: "
            "which one is the run's?",
            f"map the step, or what tells them apart: {argument(mapping={'step': 'COLUMN'})}, "
            f"{argument(mapping={'seed': 'COLUMN'})}.",
        )
    other = "row(s) state another value for a measurement that an earlier row states"
    found = ((again & ~differs, "repeated", SAME), (again & differs, "contradiction", other))
    return [_restated(frame, mask, check, text) for mask, check, text in found if mask.any()]


def last_rows(frame: pl.DataFrame) -> pl.DataFrame:
    """The last measurement of every run, metric, evaluation set, split and number of shots."""
    order = next((name for name in ("step", "n_tokens") if name in frame.columns), None)
    keys = [name for name in ("run_id", "metric", "eval_set", "split", "n_shots") if name in frame.columns]
    if order is None or not frame.select(pl.struct(keys).is_duplicated()).to_series().any():
        return frame
    at = frame.with_row_index(" row").sort(order, maintain_order=True)  # nulls first
    return at.unique(keys, keep="last", maintain_order=True).sort(" row").drop(" row")


def without_flagged(measured: Measured) -> Measured:
    """Unflagged rows alone; the report says how many were left out and why."""
    report = measured.report
    report.skipped += [
        f"{remark.text} ({argument(flagged=True)} keeps them)" for remark in report.remarks if remark.flags
    ]
    report.remarks = [remark for remark in report.remarks if not remark.flags]
    return replace(measured, frame=measured.frame.filter(pl.col("flag").is_null()))
