"""Rows that a command works on: points of a source, or of a user's file, under a condition."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalingdb.cli._output import number_of, pairs_of, refuse
from scalingdb.errors import QueryError, path_hint

if TYPE_CHECKING:
    import polars as pl

MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="NAME=COLUMN", help="Name here (or N, D, C, L), column of the file. Repeatable."),
]
UnitOption = Annotated[str | None, typer.Option("--unit", help="Unit, such as nats_per_token or percent.")]
ScaleOption = Annotated[
    list[str] | None, typer.Option("--scale", metavar="NAME=FACTOR", help="Factor to the unit here. Repeatable.")
]
ModelsOption = Annotated[str | None, typer.Option("--models", help="Table of sizes and tokens by model.")]
TaskOption = Annotated[
    list[str] | None, typer.Option("--task", metavar="COLUMN", help="Column of scores of a task. Repeatable.")
]
TokensPerStepOption = Annotated[float | None, typer.Option("--tokens-per-step", help="Batch size in tokens.")]
DecimalOption = Annotated[str | None, typer.Option("--decimal", help="'.' or ',', where both are possible.")]
CurvesOption = Annotated[bool, typer.Option("--curves", help="All checkpoints of a file, not the last of each run.")]
WhereOption = Annotated[str | None, typer.Option("--where", metavar="CONDITION", help="SQL condition on the columns.")]


@dataclass(frozen=True)
class Declared:
    """What the shell says about a file."""

    mapping: Mapping[str, str]
    unit: str | None
    scale: Mapping[str, float]
    models: str | None = None
    tasks: Sequence[str] | None = None
    tokens_per_step: float | None = None
    decimal: str | None = None
    curves: bool = False

    @property
    def options(self) -> list[str]:
        """Names of the options that were given."""
        names = {"mapping": "--map", "tasks": "--task"}
        given = [name for name in vars(self) if getattr(self, name)]
        return [names.get(name, "--" + name.replace("_", "-")) for name in given]


def declared(mapping: Sequence[str] | None, unit: str | None, scale: Sequence[str] | None, **others: Any) -> Declared:
    """Options of a file as values; `others` are fields of :class:`Declared` that need no reading."""
    factors = {}
    for name, text in pairs_of(list(scale or ()), "--scale", "n_params=1e9").items():
        value = number_of(text)
        if isinstance(value, str):
            refuse(f"--scale {name}={text}: {text!r} is not a number", "for example --scale n_params=1e9")
        factors[name] = float(value)
    return Declared(pairs_of(list(mapping or ()), "--map", "loss=val_loss"), unit, factors, **others)


def is_file(source: str) -> bool:
    """Whether an argument means a file or folder, not a source of the warehouse."""
    path = Path(source)
    return path.suffix != "" or "/" in source or os.path.exists(path)  # noqa: PTH110 - a name may be too long


def read_points(
    source: str,
    selection: dict[str, str | None],
    flagged: bool,
    where: str | None = None,
    *,
    file: Declared | None = None,
    inputs: Sequence[str] = (),
) -> pl.DataFrame:
    """Points of a source of the warehouse, or the rows of a user's file, under a SQL condition.

    `inputs` are columns of a file that the law takes, whatever their names. Of `selection`, the metric and the
    evaluation set say of a file what its values are; the rest chooses rows of the warehouse only.
    """
    told = file or Declared({}, None, {})
    from scalingdb.warehouse import connect

    if not is_file(source):
        if told.options:
            refuse(f"{', '.join(told.options)}: for files only, and {source!r} is a source", "leave it out.")
        frame = connect().points(source, flagged=flagged, **selection)
        return frame if where is None else filtered(frame, where)
    rows_only = {name: value for name, value in selection.items() if name not in {"metric", "eval_set"}}
    given = [f"--{name.replace('_', '-')}" for name, value in rows_only.items() if value is not None]
    if given:
        refuse(
            f"{', '.join(given)}: for sources of the warehouse only, and {source!r} is a file",
            "choose its rows with --where.",
        )
    try:
        is_there = Path(source).exists()
    except (OSError, ValueError):  # closed to us, or a name that is too long: told by who reads it
        is_there = True
    if not is_there:
        refuse(f"file {source!r} does not exist", path_hint(source, "give a path, or the name of a source."))
    from scalingdb.notices import notice
    from scalingdb.reading import Options, read_measured

    options = Options(
        told.mapping,
        told.unit,
        selection.get("metric") or "loss",
        selection.get("eval_set"),
        told.scale,
        told.models,
        where,
        told.tasks,
        told.tokens_per_step,
        told.decimal,
        keep=tuple(inputs),
    )
    measured = read_measured(source, options, curves=told.curves, flagged=flagged)
    notice(str(measured.report))
    return measured.frame


def filtered(frame: pl.DataFrame, condition: str) -> pl.DataFrame:
    """Rows that meet a SQL condition, in DuckDB's dialect (as everywhere else)."""
    import duckdb
    import polars as pl

    from scalingdb._stream import ArrowStream

    with duckdb.connect() as connection:
        connection.register("points", frame)
        try:
            result: pl.DataFrame = pl.DataFrame(
                ArrowStream(connection.sql(f"select * from points where ({condition}\n)"))
            )
        except duckdb.Error as error:
            first, _, rest = str(error).partition("\n")
            raise QueryError(
                f"--where {condition!r}: {first}", rest.strip() or 'for example --where "n_params > 1e8"'
            ) from error
    return result
