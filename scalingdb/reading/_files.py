"""Split files into pieces; the program that wrote a file is identified from its content, never from its name."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from scalingdb.errors import DataError, WarehouseError, path_hint
from scalingdb.reading import _evaluations
from scalingdb.reading._columns import SYNONYMS, plain_name
from scalingdb.reading._evaluations import Results
from scalingdb.reading._json import json_value
from scalingdb.reading._report import Unusable

__all__ = ["Files", "Piece", "column_of", "read_files"]

RUN, STEP = "run_id", "step"
"""Columns that a log's own structure names."""

MOST_BYTES = 2_000_000_000
"""A larger file is refused: reduce it with DuckDB first."""

MOST_ROWS = 5_000_000
"""So is a longer table, which may take little room on disk."""

MOST_COLUMNS = 10_000
"""So is a wider one: each column is looked at by its name."""

MOST_UNPACKED = 1_000_000_000
"""Bytes of JSON in an archive, and of text in a Parquet file: there, repeats of a text take no room on disk."""

MOST_FILES = 50_000
"""Files and folders in a folder of results; a home folder, or the root, has more."""


@dataclass(frozen=True)
class Piece:
    """One table of a file, or the measurements of an evaluation.

    Attributes
    ----------
    kind : str
        What wrote it, in words.
    file : str
        Name to show.
    table : DataFrame, optional
        Columns still to be mapped; cells of text files are text.
    results : Results, optional
        Measurements of an evaluation harness, ready as they are.
    is_log : bool
        Whether the rows are checkpoints of runs.
    semicolons : bool
        Whether they separate its cells.
    ends : mapping
        What the file says about how far each run was planned and went.
    notes : tuple of str
        What was left out of the file.
    """

    kind: str
    file: str
    table: pl.DataFrame | None = None
    results: Results | None = None
    is_log: bool = False
    semicolons: bool = False
    ends: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Files:
    """Everything that a path, a list of paths or a folder holds."""

    pieces: tuple[Piece, ...]
    skipped: tuple[tuple[str, str], ...]
    hashes: tuple[tuple[str, str], ...]


def read_files(paths: Sequence[Path]) -> Files:
    """Pieces of files and folders; what cannot be used is listed with the reason.

    Raises
    ------
    WarehouseError
        If a path does not exist or cannot be read.
    DataError
        If nothing usable was found.
    """
    pieces: list[Piece] = []
    skipped: list[tuple[str, str]] = []
    hashes: list[tuple[str, str]] = []
    for path in paths:
        files, others = _files_of(path)
        home = path if path.is_dir() else path.parent
        skipped += [(_shown(other, home), reason) for other, reason in others]
        for file in files:
            name = _shown(file, home)
            try:
                content = _content(file)
            except OSError as error:
                raise _unreadable(file, error) from error
            except Unusable as reason:
                skipped.append((name, str(reason)))
                continue
            try:
                pieces += _pieces(file, name, content)
                hashes.append((name, hashlib.sha256(content).hexdigest()))
            except Unusable as reason:
                skipped.append((name, str(reason)))
    if not pieces:
        what = ", ".join(repr(str(path)) for path in paths)
        lines = "\n".join(f"  {name}: {reason}" for name, reason in skipped[:20]) or "  the folder is empty"
        raise DataError(
            f"{what} holds nothing that can be read:\n{lines}",
            "known are tables (CSV, Parquet, JSON), W&B, TensorBoard CSV and Trainer logs, and results of "
            "lm-evaluation-harness, Inspect, HELM, OpenCompass and Every Eval Ever.",
        )
    return Files(tuple(pieces), tuple(skipped), tuple(hashes))


def _shown(file: Path, home: Path) -> str:
    return os.fsencode(file.relative_to(home).as_posix()).decode("utf-8", "backslashreplace")


def _files_of(path: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The file itself, or all files below a folder, except those whose names begin with a dot; and what is none.

    Links to folders are not followed, so that a loop of them has an end.

    Raises
    ------
    WarehouseError
        If the path does not exist, or it or a folder below it may not be read.
    DataError
        If there are more than :data:`MOST_FILES`.
    """
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if stat.S_ISREG(kind):
        return [path], []
    if not stat.S_ISDIR(kind):
        raise WarehouseError(f"{str(path)!r} is neither a file nor a folder", "give a file, a folder, or a dataframe.")

    def refuse(error: OSError) -> NoReturn:
        raise _unreadable(Path(error.filename), error) from error

    found: list[Path] = []
    others: list[tuple[Path, str]] = []
    n_seen = 0
    for folder, below, names in os.walk(path, onerror=refuse):
        below[:] = [name for name in below if not name.startswith(".")]
        n_seen += len(below) + len(names)
        if n_seen > MOST_FILES:
            raise DataError(
                f"{str(path)!r} holds more than {MOST_FILES:,} files and folders, too many to be results of runs",
                "name the folder, or the files, that hold them.",
            )
        found += [Path(folder, name) for name in names if not name.startswith(".")]
        try:
            links = [link for name in sorted(below) if (link := Path(folder, name)).is_symlink()]
        except OSError as error:  # a folder whose names may be read, but not what they stand for
            refuse(error)
        others += [(link, "a link to a folder, which is not followed: name that folder") for link in links]
    try:
        files = sorted(file for file in found if file.is_file())
        for file in sorted(set(found).difference(files)):
            what = "no file but a pipe, a socket or a device" if file.exists() else "a link to what is not there"
            others.append((file, what))
        return files, others
    except OSError as error:
        raise _unreadable(Path(error.filename), error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> WarehouseError:
    """What the system says about a path, with what can be done about it."""
    name = repr(os.fspath(path))
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return WarehouseError(f"{name} does not exist", path_hint(path, "give a file, a folder, or a dataframe."))
    if isinstance(error, PermissionError):
        return WarehouseError(
            f"{name} may not be read: permission denied", "ask its owner for leave to read it, or copy it yourself."
        )
    if isinstance(error, ValueError):  # a name with a null byte
        return WarehouseError(f"{name} is no name of a file: {error}", "give a file, a folder, or a dataframe.")
    return WarehouseError(f"{name} cannot be read: {error.strerror or error}", path_hint(path, "check the path."))


def _content(file: Path) -> bytes:
    size = file.stat().st_size
    if size == 0:
        raise Unusable("the file is empty")
    if size > MOST_BYTES:
        raise Unusable(f"{size / 1e9:.1f} GB is more than is read at once; reduce it to last values first")
    if "tfevents" in file.name:
        raise Unusable("a TensorBoard event file: export its scalars as CSV (one run per file)")
    return file.read_bytes()


def _pieces(file: Path, name: str, content: bytes) -> list[Piece]:
    """What one file holds."""
    if content[:2] == b"\x1f\x8b":
        content = _unzipped(content)
    if content[:4] == b"PAR1":
        _refuse_long(lambda: pl.scan_parquet(io.BytesIO(content)), "Parquet", content)
        _refuse_large_texts(content)
        return [Piece("Parquet table", name, _parse(lambda: pl.read_parquet(io.BytesIO(content)), "Parquet", content))]
    if content[:6] == b"ARROW1":
        _refuse_twice(content)  # before Polars, which panics and prints a trace
        _refuse_long(lambda: pl.scan_ipc(io.BytesIO(content)), "Arrow", content)
        return [Piece("Arrow table", name, _parse(lambda: pl.read_ipc(io.BytesIO(content)), "Arrow", content))]
    if content[:2] == b"PK":
        return _inspect_archive(name, content)
    if b"\0" in content[:4096] and content[:2] not in {b"\xff\xfe", b"\xfe\xff"}:
        raise Unusable("binary data of no known kind")
    text = _decoded(content).lstrip("\r\n")
    start = text.lstrip()[:1]
    if re.match(r"\s*<(?:!doctype|html|head|body|\?xml)", text[:200], flags=re.IGNORECASE):
        raise Unusable("a web page, not data: was the download behind a login?")
    if start and start in "{[":
        return _json_pieces(file, name, text)
    return [_table_piece(file, name, text)]


def _unzipped(content: bytes) -> bytes:
    try:
        if len(content) > MOST_BYTES / 1032:  # no byte stands for more: this one is counted before it is kept
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as archive:
                size = 0
                while size <= MOST_BYTES and (part := archive.read(1 << 20)):
                    size += len(part)
            _refuse_large(size, MOST_BYTES)
        plain = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise Unusable(f"damaged gzip file: {error}") from error
    return plain


def _parse(read: Callable[[], Any], what: str, content: bytes) -> Any:
    try:
        return read()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        _refuse_twice(content)
        raise Unusable(f"damaged {what} file: {_said(error)}") from error


def _refuse_long(scan: Callable[[], pl.LazyFrame], what: str, content: bytes) -> None:
    """Refuse a file of too many rows or cells, which its footer counts: packed, they are a few bytes."""
    height = int(_parse(lambda: scan().select(pl.len()).collect(), what, content).item())
    if height > MOST_ROWS:
        raise Unusable(f"{height:,} rows; {MOST_ROWS:,} can be read at once: reduce them to last values first")
    width = len(_parse(lambda: scan().collect_schema(), what, content))
    _refuse_wide(width)
    _refuse_large(8 * height * width, MOST_BYTES)


def _refuse_large(size: int, most: int) -> None:
    if size > most:
        what = f"unpacked it has more than {most / 1e9:g} GB, which is more than is read at once"
        raise Unusable(f"{what}; reduce it to last values first")


def _refuse_large_texts(content: bytes) -> None:
    """Refuse a Parquet file of too many columns, or of more text than can be read; one text is stored once."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        _refuse_wide(file.metadata.num_columns)
        groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
        packed = (c for c in chunks if c.physical_type == "BYTE_ARRAY" and set(c.encodings) - {"PLAIN", "RLE"})
        texts = list({chunk.path_in_schema for chunk in packed})
        # dictionaries stay dictionaries, so that a repeat takes no room here either
        file = parquet.ParquetFile(io.BytesIO(content), read_dictionary=texts)
        _refuse_large(sum(group.total_byte_size for group in groups), MOST_BYTES)
        size, at_once = 0, max(1_000, file.metadata.num_rows // 100)
        for batch in file.iter_batches(at_once, columns=texts) if texts else ():
            size += sum(map(_unpacked_size, batch.columns))
            _refuse_large(size, MOST_UNPACKED)
    except (pa.lib.ArrowException, ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError):
        return  # damaged, as Polars says


def _unpacked_size(column: Any) -> int:
    """Bytes of an Arrow column once every text is written out."""
    kind = str(column.type)
    if kind.startswith("struct"):
        return sum(map(_unpacked_size, column.flatten()))
    if kind.startswith("map"):
        return _unpacked_size(column.keys) + _unpacked_size(column.items)
    if kind.startswith(("list", "large_list", "fixed_size_list")):
        return _unpacked_size(column.flatten())
    if not kind.startswith("dictionary"):
        return int(column.nbytes)
    lengths = pl.Series(pl.from_arrow(column.dictionary)).cast(pl.Binary).bin.size().cast(pl.Int64)
    return int(lengths.gather(pl.Series(column.indices.drop_null().to_numpy())).sum())


RENAME = "give one of them another name"


def _said(error: BaseException) -> str:
    """The first line of an error that says something."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _refuse_twice(content: bytes) -> None:
    """Refuse a Parquet or Arrow file with two columns of one name, or two fields inside one (``config.lr``)."""
    import pyarrow as pa
    from pyarrow import parquet
    from pyarrow.ipc import open_file

    twice = None
    try:
        is_parquet = content[:4] == b"PAR1"
        place = io.BytesIO(content)
        waiting = [("", list(parquet.read_schema(place) if is_parquet else open_file(place).schema))]
        while waiting and twice is None:
            prefix, inside = waiting.pop()
            names = [one.name for one in inside]
            twice = next((prefix + name for name in names if names.count(name) > 1), None)
            waiting += [
                (f"{prefix}{one.name}.", [one.type.field(i) for i in range(one.type.num_fields)]) for one in inside
            ]
    except (pa.lib.ArrowException, ArithmeticError, LookupError, MemoryError, OSError, TypeError, ValueError):
        return  # damaged, as the caller says
    if twice is not None:
        raise Unusable(f"two columns have one name: {twice!r}; {RENAME}")


def _decoded(content: bytes) -> str:
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unusable(f"text that is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    return text if "\n" in text else text.replace("\r", "\n")  # as old programs end their lines


# ---- JSON ----------------------------------------------------------------------------------------


def _json_pieces(file: Path, name: str, text: str) -> list[Piece]:
    try:
        value = json_value(text)
    except json.JSONDecodeError as error:
        return [_json_lines(file, name, text, error)]
    if isinstance(value, dict):
        if (results := _evaluations.samples([value], file, name)) is not None:
            return [Piece(results.harness, name, results=results)]
        if "log_history" in value:
            return [_trainer_state(file, name, value)]
        if (results := _evaluations.recognise(value, file, name)) is not None:
            return [Piece(results.harness, name, results=results)]
        if value and all(isinstance(column, list) for column in value.values()):
            return [Piece("JSON table", name, _frame_of(value))]
        if re.search(r"\.(?:jsonl|ndjson|jsonlines)(?:\.gz)?$", name):  # of one line, which is no other than JSON
            return [_records(file, name, [value], "JSON lines")]
        if name.endswith("run_spec.json") or {"scenario_spec", "adapter_spec"} & set(value):
            beside = (
                "its numbers are read from stats.json"
                if file.with_name("stats.json").exists()
                else ("its numbers stand in stats.json, which is not there")
            )
            raise Unusable(f"part of a HELM run folder: {beside}")
        raise Unusable(f"JSON of no known kind (top-level keys: {', '.join(list(value)[:8]) or 'none'})")
    if isinstance(value, list):
        if (results := _evaluations.helm(value, file, name)) is not None:
            return [Piece(results.harness, name, results=results)]
        if value and all(isinstance(row, dict) for row in value):
            if isinstance(value[0].get("stats"), list):
                raise Unusable("per-instance statistics of a HELM run: read together with the stats.json beside them")
            return [_records(file, name, value, "JSON records")]
    raise Unusable("JSON that is neither an object nor a list of records")


def _json_lines(file: Path, name: str, text: str, error: json.JSONDecodeError) -> Piece:
    rows = []
    lines = text.splitlines()
    notes: tuple[str, ...] = ()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json_value(line)
        except json.JSONDecodeError as bad:
            if number == 1:
                raise Unusable(f"damaged JSON: {error.msg} at line {error.lineno}") from bad
            if number == len(lines) and not text.endswith("\n"):  # a writer that was killed
                notes = (f"{name}: its last line, which is cut off",)
                break
            raise Unusable(f"damaged JSON at line {number}: {bad.msg}") from bad
        if not isinstance(row, dict):
            raise Unusable(f"line {number} is not a JSON object")
        rows.append(row)
    samples = _evaluations.samples(rows, file, name)
    if samples is not None:
        return Piece(samples.harness, name, results=samples)
    return replace(_records(file, name, rows, "JSON lines"), notes=notes)


def _records(file: Path, name: str, rows: Sequence[Mapping[str, Any]], kind: str) -> Piece:
    flat = [_unique(_flat(row)) for row in rows]
    names = list(dict.fromkeys(key for row in flat for key in row))
    _refuse_wide(len(names))
    if not names:
        raise Unusable("records without a value")
    table = _frame_of({key: [row.get(key) for row in flat] for key in names})
    return _log(file, name, table, kind)


def _refuse_wide(n_columns: int) -> None:
    if n_columns > MOST_COLUMNS:
        raise Unusable(f"{n_columns:,} columns; {MOST_COLUMNS:,} can be read at once: keep those of the runs")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in pairs:
        if key in row:  # {"a.b": 1, "a": {"b": 2}}
            raise Unusable(f"a record has {key!r} twice: as a key, and as one inside another; {RENAME}")
        row[key] = value
    return row


def _flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            yield f"{prefix}{key}", value


def _frame_of(columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    _refuse_wide(len(columns))
    if len({len(values) for values in columns.values()}) > 1:
        raise Unusable("its columns have different lengths")
    return pl.DataFrame({name: column_of(name, values) for name, values in columns.items()})


def column_of(name: str, values: Sequence[Any]) -> pl.Series:
    """Numbers where all are, else text: truth values and nested lists keep their type's name as text.

    Whole numbers that a float would round stay text, too.
    """
    given = [value for value in values if value is not None]
    if given and all(isinstance(value, int | float) and not isinstance(value, bool) for value in given):
        if all(isinstance(value, int) and abs(value) < 2**63 for value in given):
            return pl.Series(name, values, dtype=pl.Int64)
        if all(isinstance(value, float) or abs(value) <= 2**53 for value in given):
            return pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64)
    return pl.Series(name, [None if v is None else str(v) for v in values], dtype=pl.String)


def _trainer_state(file: Path, name: str, state: Mapping[str, Any]) -> Piece:
    """Log of Hugging Face's Trainer: training and evaluation losses in one list."""
    history = state["log_history"]
    if not isinstance(history, list) or not all(isinstance(row, dict) for row in history):
        raise Unusable("a Trainer state whose 'log_history' is no list of records")
    rows = [row for row in history if "step" in row]
    if not any(key.endswith("loss") for row in rows for key in row):
        raise Unusable("a Trainer state whose 'log_history' has no loss: was it saved before the first evaluation?")
    folder = file.parent
    run = folder.parent.name if re.fullmatch(r"checkpoint-\d+", folder.name) else folder.name
    run = run or file.stem
    names = list(dict.fromkeys(key for row in rows for key in row))
    table = _frame_of({key: [row.get(key) for row in rows] for key in names})
    ends = {"reached": state.get("global_step"), "planned": state.get("max_steps")}
    return Piece(
        "Hugging Face Trainer state", name, table.with_columns(pl.lit(run).alias(RUN)), is_log=True, ends={run: ends}
    )


def _inspect_archive(name: str, content: bytes) -> list[Piece]:
    """An Inspect log in its archive form (``.eval``), whose header holds the results."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            inside = set(archive.namelist())
            if "xl/workbook.xml" in inside:
                raise Unusable("an Excel workbook: save its sheet as CSV, or give the frame of polars.read_excel")
            if "header.json" not in inside:
                what = "an Inspect log that did not finish: it has no header.json"
                raise Unusable(what if "_journal/start.json" in inside else "an archive of no known kind")
            read = ["header.json", *(n for n in sorted(inside) if n.startswith("samples/"))]
            # a member that unpacks to more than its entry says is refused by its check sum
            _refuse_large(sum(archive.getinfo(n).file_size for n in read), MOST_UNPACKED)
            header, *samples = (json_value(archive.read(n).decode()) for n in read)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, RuntimeError, zlib.error) as error:
        raise Unusable(f"damaged archive: {error}") from error
    results = _evaluations.recognise({**header, "samples": samples}, Path(name), name)
    if results is None:
        raise Unusable("an archive whose header.json is no Inspect log")
    return [Piece(results.harness, name, results=results)]


# ---- text tables ---------------------------------------------------------------------------------


def _table_piece(file: Path, name: str, text: str) -> Piece:
    header = next((line for line in text.splitlines() if line.strip()), "")
    _refuse_wide(1 + max(_count_outside_quotes(header, mark) for mark in "\t;,"))
    separator = max(("\t", ";", ","), key=lambda mark: _count_outside_quotes(header, mark))
    if (
        _count_outside_quotes(header, separator) == 0
        and len(text.splitlines()) > 1
        and not re.match(r"[\w \"]", header)
    ):
        raise Unusable("text that is no table")
    try:
        width = len(next(csv.reader([header], delimiter=separator)))
        try:
            table = pl.read_csv(io.StringIO(text), separator=separator, infer_schema=False, quote_char='"')
        except pl.exceptions.ComputeError:  # a row too long: refused with its line, unless what is too much is empty
            rows = csv.reader(io.StringIO(text), delimiter=separator)
            for row in rows:
                if len(row) > width and any(cell.strip() for cell in row[width:]):
                    raise Unusable(f"line {rows.line_num} has {len(row)} cells, the header {width}") from None
            table = pl.read_csv(
                io.StringIO(text), separator=separator, infer_schema=False, truncate_ragged_lines=True, quote_char='"'
            )
    except (pl.exceptions.PolarsError, csv.Error) as error:
        raise Unusable(f"a table that cannot be read: {_said(error)}") from error
    plain = {column: column.strip().strip("\ufeff") for column in table.columns}
    if len(set(plain.values())) < len(plain) or any(
        column.endswith(tuple(f"_duplicated_{i}" for i in range(9))) for column in table.columns
    ):
        given = next(csv.reader([header], delimiter=separator))
        twice = next((cell for cell in given if [c.strip() for c in given].count(cell.strip()) > 1), "")
        raise Unusable(f"two columns have one name: {twice.strip()!r}; {RENAME}")
    table = table.rename(plain)
    table = table.filter(~pl.all_horizontal(pl.all().is_null()))
    if table.is_empty():
        raise Unusable("a table without rows")
    if table.width == 1 and ("=" in text or "{" in text or len(header) > 80):
        raise Unusable("text that is no table")
    piece = _log(file, name, table, "table")
    return replace(piece, semicolons=separator == ";")


def _count_outside_quotes(line: str, mark: str) -> int:
    return re.sub(r'"[^"]*"', "", line).count(mark)


def _log(file: Path, name: str, table: pl.DataFrame, kind: str) -> Piece:
    """A table with what its header says about the tool that wrote it."""
    names = set(table.columns)
    if {"Wall time", "Step", "Value"} <= names:
        return _tensorboard(file, name, table)
    if found := _chart_columns(table.columns):
        long = _unpivoted(table, found)
        over = table.columns[0]
        axis = "" if {STEP, over} & set(long.columns) else f" over {over!r}, of which the end of each curve is taken"
        return Piece(f"W&B chart export{axis}", name, long, is_log=True)
    if {"dataset", "version", "metric", "mode"} <= names:
        results = _evaluations.opencompass(table, name)
        if not results.rows:
            raise Unusable("an OpenCompass summary without a value")
        return Piece(results.harness, name, results=results)
    if {"Name", "State"} <= names or {"name", "state"} <= names:
        return Piece("W&B run table", name, table)
    if {"_step", "_runtime"} & names or "_timestamp" in names:
        return Piece("W&B history", name, _with_run(file, table), is_log=True)
    if any(plain_name(column) in SYNONYMS["step"] for column in table.columns):
        return Piece(f"training log ({kind})", name, _with_run(file, table), is_log=True)
    return Piece(kind, name, table)


def _with_run(file: Path, table: pl.DataFrame) -> pl.DataFrame:
    """A log that names no run is one run, called like its file."""
    if any(plain_name(column) in SYNONYMS["run_id"] | SYNONYMS["model_name"] for column in table.columns):
        return table
    generic = file.stem.lower() in {"log", "logs", "history", "metrics", "train_log", "wandb-history", "output"}
    return table.with_columns(pl.lit(file.parent.name if generic and file.parent.name else file.stem).alias(RUN))


def _tensorboard(file: Path, name: str, table: pl.DataFrame) -> Piece:
    """Scalars of one run and tag, as TensorBoard downloads them: the tag stands in the file's name alone."""
    found = re.fullmatch(r"(?:run-)?(.*?)-?tag-(.*)", file.stem)
    found = found or re.fullmatch(r"(.*?)[-_. ]?((?:train|val|valid|validation|eval|test)[-_./ ]?loss|loss)", file.stem)
    run, tag = (found[1].strip("-_. ") or file.parent.name or file.stem, found[2]) if found else (file.stem, "Value")
    table = table.select(pl.lit(run).alias(RUN), pl.col("Step").alias(STEP), pl.col("Value").alias(tag))
    return Piece("TensorBoard CSV", name, table, is_log=True)


_CHART = re.compile(r"(?P<run>.+) - (?P<metric>\S.*)")


def _chart_columns(columns: Sequence[str]) -> list[tuple[str, str, str]]:
    """Column, run and metric of every curve of a W&B chart; its bands (``__MIN``, ``__MAX``) are no curves.

    The first column is the chart's own axis: ``Step``, or whatever the chart was drawn over. Only the bands tell a
    chart over another axis from a table whose headers hold a dash.
    """
    if columns[0] != "Step" and not any(column.endswith("__MIN") for column in columns):
        return []
    found = []
    for column in columns:
        matched = _CHART.fullmatch(column)
        if matched and not column.endswith(("__MIN", "__MAX")):
            found.append((column, matched["run"], matched["metric"]))
    return found


def _unpivoted(table: pl.DataFrame, curves: Sequence[tuple[str, str, str]]) -> pl.DataFrame:
    axis = table.columns[0]
    counted = {"n_tokens", "train_flops"}
    is_count = any(plain_name(axis).removeprefix("train_") in SYNONYMS[name] | {name} for name in counted)
    own = axis if is_count else STEP if re.search(r"step|iter", axis, flags=re.IGNORECASE) else ""
    parts = []
    for column, run, metric in curves:
        if metric == "_step":
            continue
        curve = table.select(
            pl.lit(run).alias(RUN), pl.col(axis).alias(own or axis), pl.col(column).alias(metric)
        ).filter(pl.col(metric).is_not_null() & (pl.col(metric).cast(pl.String).str.strip_chars() != ""))
        # time is neither step nor tokens: what it orders is the curve, of which the end is taken
        parts.append(curve if own else curve.tail(1).drop(axis))
    return pl.concat(parts, how="diagonal")
