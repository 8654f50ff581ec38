"""Results as tables or JSON, files that appear whole, and values given on the command line."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scalingdb._store import replace_durably, scratch_folder
from scalingdb.cli._program import (
    say,
)
from scalingdb.errors import OutputError, ScalingDBError

if TYPE_CHECKING:
    import polars as pl


TABLE_ROWS = 100
"""Rows of a result that the table view prints unless told otherwise."""


def plain(value: Any) -> Any:
    """A value that JSON can hold; what is no number in JSON (NaN, infinity) becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def rows_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [plain(row) for row in frame.to_dicts()]


def as_json_text(value: Any) -> str:
    return json.dumps(plain(value), indent=2, ensure_ascii=False)


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
    return str(value).replace("\n", " ")


def print_frame(frame: pl.DataFrame, *, rows: int = TABLE_ROWS) -> None:
    """Print every column; in a terminal, columns that do not fit beside each other go below.

    Where stdout is no terminal the table is as wide as it needs, so that ``less -S`` can scroll.
    """
    shown = frame.head(rows) if rows else frame
    is_terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if is_terminal else sys.maxsize
    columns: list[list[str]] = []
    for name in shown.columns:
        # any column must fit beside the first one, which names the row
        limit = max(room - len(columns[0][0]) - 2, 20) if columns else room
        cells = [cropped(text, limit) for text in [name, *map(_cell, shown[name].to_list())]]
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


def cropped(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 3] + "..."


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch path beside `target` that takes its place when the block ends well."""
    if not target.parent.is_dir():
        raise OutputError(f"folder {str(target.parent)!r} does not exist", "create it, or choose another one.")
    if target.is_dir():
        raise OutputError(f"{str(target)!r} is a folder", "name a file.")
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
