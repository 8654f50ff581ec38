"""What the studies of the Hitchhiker corpus share: shapes, names, counts, checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import polars as pl

from ingest._raw import RawFolder
from ingest._source import conform
from scalingdb.errors import DataError

SOURCE_ID = "hitchhiker"

__all__ = [
    "SOURCE_ID",
    "Study",
    "chance_level",
    "count_of",
    "expect",
    "flag_columns",
    "header_of",
    "long_form",
    "make_study",
    "ordinal",
]

SUFFIXES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}

CHANCE = {
    "blimp": 0.5,
    "copa": 0.5,
    "hellaswag": 0.25,
    "hendryckstest": 0.25,
    "logiqa": 0.25,
    "medmcqa": 0.25,
    "mmlu": 0.25,
    "openbook_qa": 0.25,
    "openbookqa": 0.25,
    "piqa": 0.5,
    "race": 0.25,
    "race_high": 0.25,
    "sciq": 0.25,
    "winogrande": 0.5,
}
"""Guessing rate of tasks whose every item has the same number of options."""


class Study(NamedTuple):
    """The tables of one data set of the corpus."""

    runs: pl.DataFrame
    evals: pl.DataFrame


def expect(place: str, what: str, found: object, expected: object) -> None:
    """Stop the build where a count or a value is not the one that was reviewed.

    Raises
    ------
    DataError
        Naming the file, what was counted, and both numbers.
    """
    if found != expected:
        raise DataError(
            f"source {SOURCE_ID!r}, {place}: {what}: found {found!r}, expected {expected!r}",
            "the raw file or its handling changed; review it before changing the expectation.",
        )


def count_of(column: str) -> pl.Expr:
    """Number written as ``2.8B``, ``125m``, ``1b7`` (1.7e9), ``16.7B`` or ``1T``; null where it is none."""
    text = pl.col(column).str.strip_chars().str.to_uppercase()
    pattern = r"^(\d+(?:\.\d+)?)([KMBT])(\d*)$"
    digits = pl.format("{}.{}", text.str.extract(pattern, 1), text.str.extract(pattern, 3))
    # "2.8" + "" gives "2.8." and "1" + "7" gives "1.7": only a trailing point has to go
    number = digits.str.strip_chars_end(".").cast(pl.Float64)
    factor = text.str.extract(pattern, 2).replace_strict(SUFFIXES, default=None, return_dtype=pl.Float64)
    return (number * factor).round()


def ordinal(order: str | Sequence[str], over: str | Sequence[str]) -> pl.Expr:
    """Position 1, 2, ... of a row within its group: stands in for a step that the source does not give."""
    return pl.struct(order).rank("ordinal").over(over).cast(pl.Float64)


def long_form(frame: pl.DataFrame, columns: Sequence[str], keep: Iterable[str]) -> pl.DataFrame:
    """One row per filled cell of `columns`: its column name in ``raw_field``, its number in ``value``."""
    index = ["raw_file", "raw_row", *keep]
    return frame.unpivot(on=list(columns), index=index, variable_name="raw_field", value_name="value").drop_nulls(
        "value"
    )


def header_of(raw: RawFolder, name: str) -> list[str]:
    """Column names of a delimited file."""
    return pl.read_csv(raw.path(name), n_rows=0).columns


def flag_columns(condition: pl.Expr, flag: str, reason: str) -> dict[str, pl.Expr]:
    """The columns ``flag`` and ``flag_reason``, filled where `condition` holds."""
    return {"flag": pl.when(condition).then(pl.lit(flag)), "flag_reason": pl.when(condition).then(pl.lit(reason))}


def chance_level() -> pl.Expr:
    """Guessing rate of the task in ``eval_set``, for accuracies; null where options vary or are not known."""
    task = pl.col("eval_set").str.split("/").list.last().str.to_lowercase()
    name = (
        pl.when(task.str.starts_with("blimp_") | task.str.starts_with("hendryckstest-"))
        .then(task.str.extract(r"^([a-z]+)"))
        .otherwise(task)
    )
    rate = name.replace_strict(CHANCE, default=None, return_dtype=pl.Float64)
    return pl.when(pl.col("metric").is_in(["acc", "acc_norm", "task_score"])).then(rate)


def make_study(name: str, runs: pl.DataFrame, evals: pl.DataFrame) -> Study:
    """Complete and shape the tables of the study `name`.

    Both frames carry ``run``, the readable name of the run within the study. Runs without a token
    count of their own get the largest one of their evaluations.
    """
    run_id = pl.format(SOURCE_ID + "/" + name + "/{}", pl.col("run"))
    if "n_tokens" not in runs.columns and "n_tokens" in evals.columns:
        runs = runs.join(
            evals.group_by("run").agg(pl.col("n_tokens").max()), on="run", how="left", maintain_order="left"
        )
    defaults = {"split": "all", "value_origin": "reported"}
    evals = evals.with_columns(
        pl.lit(value).alias(column) for column, value in defaults.items() if column not in evals.columns
    )
    if "chance_level" not in evals.columns:
        evals = evals.with_columns(chance_level=chance_level())
    return Study(
        conform("runs", runs.with_columns(run_id=run_id, study=pl.lit(name)).drop("run"), SOURCE_ID),
        conform("evals", evals.with_columns(run_id=run_id).drop("run"), SOURCE_ID),
    )
