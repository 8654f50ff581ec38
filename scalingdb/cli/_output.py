"""Results as tables or JSON, files that appear whole, and values given on the command line."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from scalingdb._store import check_target, replace_durably, scratch_folder
from scalingdb.cli._program import (
    say,
)
from scalingdb.display import number
from scalingdb.errors import OutputError, ScalingDBError

if TYPE_CHECKING:
    import polars as pl


FORMULA = r"^[=+\-@\t\r]"
"""How a cell begins that a spreadsheet would run."""

TABLE_ROWS = 100
"""Rows of a result that the table view prints unless told otherwise."""


class Format(StrEnum):
    """How rows are written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the table to a .csv, .json or .parquet file."),
]


def plain(value: Any, *, finite: bool = True) -> Any:
    """A value that JSON can hold: bytes in hexadecimal; NaN and infinity, which JSON lacks, as null if `finite`."""
    if isinstance(value, float):
        return value if not finite or math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): plain(item, finite=finite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, finite=finite) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _key(key: Any) -> str:
    known = plain(key, finite=False)
    return known if isinstance(known, str) else json.dumps(known)


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [plain(row) for row in _with_nanoseconds(frame).to_dicts()]


def _with_nanoseconds(frame: pl.DataFrame) -> pl.DataFrame:
    """Times of a nanosecond's precision as text, at any depth: Python's own end at the microsecond."""
    kinds = {name: _without_nanoseconds(kind) for name, kind in frame.schema.items()}
    return frame.with_columns(frame[name].cast(kind) for name, kind in kinds.items() if kind != frame.schema[name])


def _without_nanoseconds(kind: Any) -> Any:
    import polars as pl

    if isinstance(kind, pl.List):
        return pl.List(_without_nanoseconds(kind.inner))
    if isinstance(kind, pl.Array):
        return pl.Array(_without_nanoseconds(kind.inner), kind.size)
    if isinstance(kind, pl.Struct):
        return pl.Struct({field.name: _without_nanoseconds(field.dtype) for field in kind.fields})
    if hasattr(kind, "key"):  # a map, of newer versions
        if (_without_nanoseconds(kind.key), _without_nanoseconds(kind.value)) != (kind.key, kind.value):
            raise OutputError("a map holds times of a nanosecond's precision", "cast them to text: x::varchar.")
        return kind
    return pl.String if kind == pl.Time or getattr(kind, "time_unit", "") == "ns" else kind


def as_json_text(value: Any) -> str:
    knows_all = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")
    return json.dumps(plain(value), indent=2, ensure_ascii=not knows_all)


def _cell(value: Any) -> str:
    """A value as the table view shows it: numbers to six digits, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e7 else f"{value:.6g}"
    if isinstance(value, list | dict):
        return json.dumps(plain(value), ensure_ascii=False)
    if isinstance(value, bytes):
        return value.hex()
    # what moves the cursor or colours the terminal is no part of a table
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", str(value))


def print_frame(frame: pl.DataFrame, *, rows: int = TABLE_ROWS) -> None:
    """Print every column; in a terminal, columns that do not fit beside each other go below.

    Where stdout is no terminal the table is as wide as it needs, so that ``less -S`` can scroll.
    """
    shown = _with_nanoseconds(frame.head(rows) if rows else frame)
    is_terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if is_terminal else sys.maxsize
    columns: list[list[str]] = []
    for name in shown.columns:
        # any column must fit beside the first one, which names the row
        limit = max(room - len(columns[0][0]) - 2, 20) if columns else room
        cells = [cropped(text, limit) for text in [_cell(name), *map(_cell, shown[name].to_list())]]
        width = max(map(len, cells))
        pad = str.rjust if shown.schema[name].is_numeric() else str.ljust
        columns.append([pad(text, width) for text in cells])
    blocks: list[list[list[str]]] = [[]]
    used = 0
    for column in columns:
        width = len(column[0]) + 2
        if blocks[-1] and used + width - 2 > room:
            # the first column names the row, so it leads every block, where it leaves room
            repeated = [columns[0]] if len(columns[0][0]) + width <= room else []
            blocks.append(repeated)
            used = sum(len(lead[0]) + 2 for lead in repeated)
        blocks[-1].append(column)
        used += width
    for i, block in enumerate(blocks):
        header, *lines = ["  ".join(texts).rstrip() for texts in zip(*block, strict=True)] or [""]
        print(("\n" if i else "") + (f"\033[1m{header}\033[0m" if is_terminal else header))
        for line in lines:
            print(line)
    if shown.height < frame.height:
        say(f"{shown.height} of {frame.height} rows shown; --rows 0 shows all, --output FILE.csv keeps them.")


OTHERS = {
    "gpu_hours": "GPU hours",
    "inference_tokens": "served, tokens",
    "total_flops": "with inference, FLOP",
    "n_epochs": "epochs",
    "regret": "regret, loss",
    "share": "share of draws that reach it",
}
"""Headings of what a plan may say beside its split."""


def print_splits(frame: pl.DataFrame, loss_unit: str = "") -> None:
    """Best splits of budgets, each number with its unit in the heading and its interval behind it."""
    import polars as pl

    from scalingdb._frames import SPLIT

    columns: dict[str, list[str]] = {}
    for name, (heading, usual, say_number) in SPLIT.items():
        unit = loss_unit if name == "loss" else usual
        cells = []
        for row in frame.iter_rows(named=True):
            low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
            has_ends = low is not None and high is not None and low != high
            cells.append(say_number(row[name]) + (f" ({say_number(low)} to {say_number(high)})" if has_ends else ""))
        columns[f"{heading}, {unit}" if unit else heading] = cells
    for name, heading in OTHERS.items():
        if name in frame.columns and frame[name].null_count() < frame.height:
            columns[heading] = [number(value, 4) for value in frame[name]]
    if "extrapolation" in frame.columns:
        factors = frame["extrapolation"].to_list()
        columns["fitted range"] = ["inside" if f is None or f <= 1 else f"{f:.2g} times outside" for f in factors]
    print_frame(pl.DataFrame(columns), rows=0)


def cropped(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 3] + "..."


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch path beside `target` that takes its place when the block ends well."""
    check_target(target)
    try:
        with scratch_folder(target.parent, ".writing-") as folder:
            scratch = folder / target.name
            yield scratch
            replace_durably(scratch, target)
    except OSError as error:
        if isinstance(error, ScalingDBError):
            raise
        raise OutputError(f"cannot write {str(target)!r}: {error}", "choose a writable place with room.") from error


class _UsageError(ScalingDBError, ValueError):
    """Options that do not go together, or that cannot be read."""


def refuse(fact: str, hint: str) -> NoReturn:
    raise _UsageError(fact, hint)


def pairs_of(given: Sequence[str] | None, option: str, example: str = "E=1.7") -> dict[str, str]:
    """``name=value`` options as a mapping."""
    pairs = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            refuse(f"{option} {text!r} is not of the form name=value", f"for example {option} {example}")
        pairs[name.strip()] = value.strip()
    return pairs


def number_of(text: str) -> int | float | str:
    """A number where the text is one, else the text; quotes keep a number text."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# ---- files ---------------------------------------------------------------------------------


def format_of(file: Path, hint: str = "use .csv, .json or .parquet.") -> Format:
    """The format that the suffix of a file names."""
    suffixes = {f".{kind.value}": kind for kind in (Format.csv, Format.json, Format.parquet)}
    if file.suffix not in suffixes:
        refuse(f"the suffix of {file.name!r} names no format", hint)
    return suffixes[file.suffix]


def write_file(frame: pl.DataFrame, file: Path, kind: Format | None = None) -> None:
    """Write a table to a file that appears whole, and say so."""
    chosen = kind or format_of(file)
    with replacing(file) as scratch:
        _write_frame(frame, scratch, chosen)
    say(f"{frame.height} rows written to {file}")


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """What CSV can hold: lists and structs as JSON, bytes in hexadecimal; what looks like a formula behind a quote."""
    import polars as pl

    words = pl.selectors.by_dtype(pl.Categorical, pl.Enum)
    frame = frame.with_columns(pl.selectors.binary().bin.encode("hex"), words.cast(pl.String))
    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested() or hasattr(dtype, "key")]
    values = _with_nanoseconds(frame.select(nested))
    flat = frame.with_columns(
        pl.Series(
            name,
            [None if value is None else json.dumps(plain(value, finite=False)) for value in values[name].to_list()],
            dtype=pl.String,
        )
        for name in nested
    )
    # a spreadsheet would run such a cell as a formula
    quoted = {name: f"'{name}" for name in flat.columns if re.match(FORMULA, name)}
    if twice := set(quoted.values()) & set(flat.columns):
        raise OutputError(f"two headings would read {min(twice)!r} in CSV", "give one of them another name with AS.")
    flat = flat.rename(quoted)
    return flat.with_columns(
        pl.when(text.str.contains(FORMULA) & text.cast(pl.Float64, strict=False).is_null())
        .then(pl.lit("'") + text)
        .otherwise(text)
        .alias(name)
        for name, dtype in flat.schema.items()
        if dtype == pl.String
        for text in [pl.col(name)]
    )


def _write_frame(frame: pl.DataFrame, path: Path, kind: Format) -> None:
    import polars as pl

    if kind is not Format.json:
        try:
            with path.open("wb") as file:  # of any name: Polars takes those in UTF-8 only
                frame.write_parquet(file) if kind is Format.parquet else flat(frame).write_csv(file)
        except pl.exceptions.PolarsError as error:  # a full disk, among others
            raise OutputError(f"cannot write {path.name!r}: {error}", "choose a writable place with room.") from error
    else:
        path.write_text(as_json_text(rows_of(frame)) + "\n", encoding="utf-8")


# ---- a terminal -----------------------------------------------------------------------------


def _pager() -> list[str] | None:
    """The command that shows long text in a terminal: ``$PAGER``, else ``less``; None where there is neither."""
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        return None
    wanted = os.environ.get("PAGER")
    try:
        command = ["less"] if wanted is None else shlex.split(wanted)
    except ValueError:  # a quote that stays open
        return None
    return command if command and shutil.which(command[0]) else None


@contextmanager
def paged() -> Iterator[None]:
    """What is printed inside goes through a pager where it does not fit into the terminal.

    A pager scrolls sideways, so tables are not folded for it. ``PAGER=cat``, or an empty one, prints as it is.
    """
    command = _pager()
    if command is None or Path(command[0]).name == "cat":
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()) as held:
        yield
    text = held.getvalue()
    size = shutil.get_terminal_size()
    lines = text.splitlines()
    if len(lines) < size.lines and max(map(len, lines), default=0) <= size.columns:
        print(text, end="")
        return
    # -F leaves at once what fits, -R keeps colours, -S scrolls sideways, -X leaves the text on the screen
    environment = {"LESS": "FRSX", **os.environ}
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True, env=environment) as pager:
        assert pager.stdin is not None
        with contextlib.suppress(BrokenPipeError, KeyboardInterrupt), pager.stdin:
            pager.stdin.write(text)
        while True:
            try:
                pager.wait()
                break
            except KeyboardInterrupt:
                continue  # the pager has taken it
