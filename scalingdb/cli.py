"""The command line ``scalingdb``: a function a command.

Results go to stdout, everything else (progress, notices, warnings, errors) to stderr. Exit codes:
0 fine, 1 a check, a source, a group or a notebook failed, 2 wrong use or bad input, 130 interrupted.

Heavy modules are imported inside the commands, so that ``scalingdb --help`` answers at once.
"""

from __future__ import annotations

import functools
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from scalingdb.errors import DataError, FitWarning, NotebookError, OutputError, QueryError, ScalingDBError

if TYPE_CHECKING:
    import polars as pl

    from scalingdb.fits import Fit, Fits
    from scalingdb.holdouts import Holdout

__all__ = ["app", "main"]

FAILED, WRONG_USE, INTERRUPTED = 1, 2, 130

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent

TABLE_ROWS = 100
"""Rows of a result that the table view prints unless told otherwise."""


# ---- how every command ends ------------------------------------------------------------------


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report_error(error: ScalingDBError) -> None:
    _say(f"Error: {error.fact}")
    if error.hint:
        _say(f"Hint: {error.hint}")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _say(f"Warning: {message}")


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into the two lines that a user can act on, and into an exit code."""
    # a line of its own that keeps the paragraph below as it is: written so that docstrings stay raw
    command.__doc__ = (command.__doc__ or "").replace("\\b\n", "\b\n")

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with warnings.catch_warnings():
                # only the project's own warnings speak to a user of the shell
                warnings.simplefilter("ignore")
                warnings.simplefilter("always", FitWarning)
                warnings.showwarning = _show_warning
                command(*args, **kwargs)
            sys.stdout.flush()
        except NotebookError as error:
            _report_error(error)
            raise typer.Exit(FAILED) from None
        except ScalingDBError as error:
            _report_error(error)
            raise typer.Exit(WRONG_USE) from None
        except KeyboardInterrupt:
            _say("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader (head, less) has gone: Python's own flush at exit must not complain either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    return run


app = typer.Typer(
    name="scalingdb",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> None:
    """Entry point of the program ``scalingdb``."""
    app()


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"scalingdb {version('scalingdb')}")
        raise typer.Exit


@app.callback()
def program(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    r"""Published scaling-law results in one SQL warehouse, and fits that say how sure they are.

    \b
    Examples:
      scalingdb sources
      scalingdb sql "select family, count(*) as n from runs group by all order by n desc"
      scalingdb fit epoch_chinchilla chinchilla --bootstrap 1000 --train-flops 1e24
      scalingdb lab

    'scalingdb COMMAND --help' shows examples of each command.
    """


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, in full precision, for scripts.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


# ---- printing frames -------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A value that JSON can hold; what is no number in JSON (NaN, infinity) becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in frame.to_dicts()]


def _as_json(value: Any) -> str:
    return json.dumps(_plain(value), indent=2, ensure_ascii=False)


def _cell(value: Any) -> str:
    """A value as the table view shows it: numbers to six digits, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) < 1e7 else f"{value:.6g}"
    if isinstance(value, list | dict):
        return json.dumps(_plain(value), ensure_ascii=False)
    return str(value).replace("\n", " ")


def _print_frame(frame: pl.DataFrame, *, rows: int = TABLE_ROWS) -> None:
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
        cells = [_cropped(text, limit) for text in [name, *map(_cell, shown[name].to_list())]]
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
        _say(f"{shown.height} of {frame.height} rows shown; --rows 0 shows all, --output FILE.csv keeps them.")


def _cropped(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 3] + "..."


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A scratch path beside `target` that takes its place when the block ends well."""
    if not target.parent.is_dir():
        raise OutputError(f"folder {str(target.parent)!r} does not exist", "create it, or choose another one.")
    if target.is_dir():
        raise OutputError(f"{str(target)!r} is a folder", "name a file.")
    try:
        with tempfile.TemporaryDirectory(prefix=".writing-", dir=target.parent) as folder:
            scratch = Path(folder) / target.name
            yield scratch
            scratch.replace(target)
    except OSError as error:
        if isinstance(error, ScalingDBError):
            raise
        raise OutputError(f"cannot write {str(target)!r}: {error}", "choose a writable place with room.") from error


class _UsageError(ScalingDBError, ValueError):
    """Options that do not go together, or that cannot be read."""


def _refuse(fact: str, hint: str) -> NoReturn:
    raise _UsageError(fact, hint)


def _pairs(given: Sequence[str] | None, option: str, example: str = "E=1.7") -> dict[str, str]:
    """``name=value`` options as a mapping."""
    pairs = {}
    for text in given or ():
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            _refuse(f"{option} {text!r} is not of the form name=value", f"for example {option} {example}")
        pairs[name.strip()] = value.strip()
    return pairs


def _number(text: str) -> int | float | str:
    """A number where the text is one, else the text; quotes keep a number text."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


# ---- the warehouse ---------------------------------------------------------------------------


def _ingest_root() -> Path | None:
    """The checkout, if this package runs from one (the ingest code is not part of the wheel)."""
    return CHECKOUT if (CHECKOUT / "ingest" / "_build.py").is_file() else None


def _run_ingest(arguments: Sequence[str], *, capture: bool = False) -> subprocess.CompletedProcess[str]:
    root = _ingest_root()
    assert root is not None
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
    return subprocess.run(
        [sys.executable, "-m", "ingest", *arguments],
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )


RawOption = Annotated[
    Path | None,
    typer.Option(
        "--raw", metavar="DIR", help="Folder with one folder of raw files per source. Default: $SCALINGDB_RAW."
    ),
]


@app.command()
@_guarded
def build(
    sources: Annotated[list[str] | None, typer.Argument(metavar="[SOURCE]...", help="Sources; all by default.")] = None,
    raw: RawOption = None,
    target: Annotated[
        Path | None, typer.Option("--target", metavar="DIR", help="Warehouse folder to write. Default: the checkout's.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build unchanged sources too.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Processes. Default: one a processor.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Build the tables from raw files.

    This needs a checkout of the repository. Every raw file is checked against its recorded hash. A
    source either arrives whole or leaves its old tables untouched; one whose raw files, code and
    tables are those of the last build is skipped.

    \b
    Examples:
      scalingdb build
      scalingdb build farseer steplaw --raw ~/raw --force
      scalingdb build --target /tmp/warehouse --json
    """
    if _ingest_root() is None:
        _refuse(
            "building needs the ingest code, which is not part of the installed package",
            "clone the repository and run 'pip install -e .[ingest]' there; the shipped tables work without.",
        )
    arguments = ["build", *(sources or [])]
    for option, path in (("--raw", raw), ("--target", target)):
        if path is not None:
            arguments += [option, str(path.resolve())]
    arguments += ["--force"] * force + (["--workers", str(workers)] if workers else [])
    arguments += ["--json"] * as_json + ["--quiet"] * quiet
    if code := _run_ingest(arguments).returncode:
        raise typer.Exit(code)


@app.command()
@_guarded
def check(raw: RawOption = None, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    r"""Check the shipped tables.

    Every file must be readable, complete and consistent, and be rebuilt from the raw files byte for
    byte. The rebuild needs raw files and a checkout; where they are absent the rest is checked and the
    command says so.

    \b
    Examples:
      scalingdb check
      scalingdb check --raw ~/raw --json
    """
    from scalingdb.verification import verify
    from scalingdb.warehouse import default_path

    found = verify(default_path())
    rebuild: dict[str, Any] = {"status": "not checked", "reason": None, "differences": [], "errors": {}}
    if _ingest_root() is None:
        rebuild["reason"] = "the ingest code is not part of the installed package"
    else:
        arguments = ["check", "--json", *(["--raw", str(raw.resolve())] if raw else []), *["--quiet"] * quiet]
        done = _run_ingest(arguments, capture=True)
        if not done.stdout:
            raise typer.Exit(done.returncode or FAILED)  # it has said why on stderr
        answer = json.loads(done.stdout)
        if answer["has_raw"]:
            equal = not answer["differences"] and not answer["errors"]
            rebuild |= {key: answer[key] for key in ("differences", "errors")}
            rebuild["status"] = "equal" if equal else "different"
        else:
            rebuild["reason"] = "raw files are absent"
    is_good = not found.faults and rebuild["status"] != "different"
    if as_json:
        summary = {"n_files": found.n_files, "n_rows": found.n_rows, "faults": found.faults, "rebuild": rebuild}
        print(_as_json({"is_good": is_good, **summary}))
    else:
        print(f"{found.n_files} files, {found.n_rows:,} rows: {len(found.faults) or 'no'} fault(s)")
        for fault in found.faults:
            print(f"  {fault}")
        if rebuild["status"] == "equal":
            print("rebuild from raw files: equal byte for byte")
        elif rebuild["status"] == "different":
            print("rebuild from raw files: DIFFERENT")
            for line in [*rebuild["differences"], *(f"{name}: {text}" for name, text in rebuild["errors"].items())]:
                print(f"  {line}")
        else:
            print(f"rebuild from raw files: not checked, {rebuild['reason']}")
    if not is_good:
        raise typer.Exit(FAILED)


@app.command()
@_guarded
def add(
    path: Annotated[
        Path | None, typer.Argument(metavar="[FILE_OR_FOLDER]", help="A .csv, .tsv or .parquet; or harness results.")
    ] = None,
    source_id: Annotated[str | None, typer.Option("--source-id", metavar="NAME", help="Name of the source.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="NAME=COLUMN", help="Column of the warehouse, of the file.")
    ] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Unit of a loss, such as nats_per_token.")] = None,
    metric: Annotated[str, typer.Option("--metric", help="What 'loss' or 'value' measures.")] = "loss",
    eval_set: Annotated[str | None, typer.Option("--eval-set", help="Text that it was measured on.")] = None,
    scale: Annotated[
        list[str] | None, typer.Option("--scale", metavar="NAME=FACTOR", help="Factor to the warehouse's unit.")
    ] = None,
    n_definition: Annotated[str | None, typer.Option("--n-definition", help="Which count is N.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="Title of the source.")] = None,
    licence: Annotated[str, typer.Option("--licence", help="Licence of the data.")] = "own data",
    remove: Annotated[str | None, typer.Option("--remove", metavar="NAME", help="Take a source out again.")] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Add own results beside the curated ones, or take them out.

    A table with one row a run (or checkpoint), or the results of lm-evaluation-harness. They are
    checked like any other source and kept in the user's data folder ($SCALINGDB_LOCAL).

    \b
    Examples:
      scalingdb add runs.csv --source-id mine --map n_params=Params --map loss=val_loss \
          --scale n_params=1e9 --unit nats_per_token --eval-set c4_val
      scalingdb add lm_eval_output --source-id my_models
      scalingdb add --remove mine
    """
    from scalingdb.local_sources import add_source, remove_source

    if remove is not None:
        if path is not None or source_id is not None:
            _refuse("--remove takes a source out; a file and --source-id add one", "do one at a time.")
        remove_source(remove)
        _say(f"source {remove!r} removed")
        return
    if path is None or source_id is None:
        _refuse("a file (or folder) and --source-id are needed", "scalingdb add runs.csv --source-id mine ...")
    factors = {}
    for name, text in _pairs(scale, "--scale", "n_params=1e9").items():
        value = _number(text)
        if isinstance(value, str):
            _refuse(f"--scale {name}={text}: {text!r} is no number", "for example --scale n_params=1e9")
        factors[name] = float(value)
    added = add_source(
        path,
        source_id,
        _pairs(columns, "--map", "loss=val_loss"),
        unit=unit,
        metric=metric,
        eval_set=eval_set,
        scale=factors,
        n_definition=n_definition,
        title=title,
        licence=licence,
    )
    if as_json:
        answer = {"source_id": added.source_id, "rows": added.rows, "unused": added.unused, "folder": added.folder}
        print(_as_json(answer))
    else:
        rows = ", ".join(f"{name} {count:,}" for name, count in added.rows.items() if name != "sources")
        print(f"{added.source_id}: {rows}; kept in {added.folder}")


@app.command()
@_guarded
def sources(as_json: JsonOption = False) -> None:
    r"""List the sources: size, licence, what ships.

    \b
    Examples:
      scalingdb sources
      scalingdb sources --json | jq '.[].source_id'
    """
    from scalingdb.warehouse import connect

    frame = connect().sources()
    if as_json:
        print(_as_json(_rows(frame)))
        return
    _print_frame(
        frame.select(
            source="source_id",
            year="year",
            runs="n_runs",
            evals="n_evals",
            flagged="n_flagged",
            claims="n_claims",
            testable="n_claims_testable",
            arxiv="arxiv_id",
            headline_metric="headline_metric",
            ships="is_shipped",
            licence="licence",
        ),
        rows=0,
    )


class Format(StrEnum):
    """How ``scalingdb sql`` writes rows."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


@app.command()
@_guarded
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="One SELECT; '-' reads it from stdin.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="Value of a $name placeholder.")
    ] = None,
    output_format: Annotated[
        Format | None, typer.Option("--format", help="Default: the suffix of --output, else table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Rows that the table view shows; 0 for all.")] = TABLE_ROWS,
    as_json: JsonOption = False,
) -> None:
    r"""Run a SQL query.

    The dialect is DuckDB's, over tables, views and law macros. 'select * from points' has one row a
    run; numbers given with --param arrive as numbers, unless they are quoted twice.

    \b
    Examples:
      scalingdb sql "select source_id, count(*) as n from runs group by all order by n desc"
      scalingdb sql "select law_chinchilla(7e9, 1.4e12) as loss"
      scalingdb sql 'select * from points where source_id = $s' --param s=farseer -o farseer.csv
      echo "select * from units" | scalingdb sql - --json
    """
    from scalingdb.warehouse import connect

    chosen = _sql_format(output_format, output, as_json)
    if query == "-":
        query = sys.stdin.read()
    params = {name: _number(value) for name, value in _pairs(param, "--param").items()}
    frame = connect().sql(query, **params)
    if output is not None:
        with _replacing(output) as scratch:
            _write_frame(frame, scratch, chosen)
        _say(f"{frame.height} rows written to {output}")
    elif chosen is Format.json:
        print(_as_json(_rows(frame)))
    elif chosen is Format.csv:
        print(_flat(frame).write_csv(), end="")
    else:
        _print_frame(frame, rows=rows)


def _sql_format(given: Format | None, output: Path | None, as_json: bool) -> Format:
    if as_json:
        if given not in {None, Format.json}:
            _refuse("--json and --format ask for different things", "give one of them.")
        return Format.json
    if given is None and output is not None:
        suffixes = {f".{kind.value}": kind for kind in (Format.csv, Format.json, Format.parquet)}
        if output.suffix not in suffixes:
            _refuse(
                f"the suffix of {output.name!r} names no format",
                "use .csv, .json or .parquet, or say which with --format.",
            )
        return suffixes[output.suffix]
    chosen = given or Format.table
    if chosen is Format.parquet and output is None:
        _refuse("Parquet is no text", "name a file: --output FILE.parquet")
    if chosen is Format.table and output is not None:
        _refuse("the table view is for reading, not for files", "write --format csv, json or parquet.")
    return chosen


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and structs as JSON text, which CSV can hold."""
    import polars as pl

    nested = [name for name, dtype in frame.schema.items() if dtype.is_nested()]
    return frame.with_columns(
        pl.Series(name, [None if value is None else json.dumps(_plain(value)) for value in frame[name].to_list()])
        for name in nested
    )


def _write_frame(frame: pl.DataFrame, path: Path, kind: Format) -> None:
    if kind is Format.parquet:
        frame.write_parquet(path)
    elif kind is Format.csv:
        _flat(frame).write_csv(path)
    else:
        path.write_text(_as_json(_rows(frame)) + "\n", encoding="utf-8")


@app.command()
@_guarded
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE.duckdb", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    r"""Write one DuckDB file for other SQL clients.

    It holds the tables, the views and the law macros.

    \b
    Examples:
      scalingdb export scaling.duckdb
      scalingdb export scaling.duckdb --force && duckdb scaling.duckdb
    """
    from scalingdb.warehouse import connect

    if file.is_dir():
        raise OutputError(f"{str(file)!r} is a folder", "name a file, such as scaling.duckdb.")
    if file.exists() and not force:
        raise OutputError(f"{str(file)!r} exists", "choose another name, or replace it with --force.")
    connect().export(file)
    print(file)


# ---- fits ------------------------------------------------------------------------------------


@app.command()
@_guarded
def fit(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Source of the warehouse, or a .csv or .parquet file.")
    ],
    law: Annotated[str, typer.Argument(metavar="LAW", help="Law to fit, such as chinchilla.")],
    metric: Annotated[str | None, typer.Option("--metric", help="Metric; the source's headline by default.")] = None,
    eval_set: Annotated[str | None, typer.Option("--eval-set", help="Evaluation set; '*' for all.")] = None,
    study: Annotated[str | None, typer.Option("--study", help="Part of a source.")] = None,
    family: Annotated[str | None, typer.Option("--family", help="Group of runs trained alike.")] = None,
    split: Annotated[str | None, typer.Option("--split", help="'fit' or 'validation', as the source divides.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="SQL condition on the columns of points.")
    ] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Keep rows that are set aside.")] = False,
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="COLUMN", help="Fit each group of a column. Repeatable.")
    ] = None,
    objective: Annotated[
        str, typer.Option("--objective", help="huber_log, mse_log, mae_log, huber, mse or mae; always a sum.")
    ] = "huber_log",
    delta: Annotated[float, typer.Option("--delta", help="Where the Huber loss turns straight.")] = 1e-3,
    bootstrap: Annotated[int, typer.Option("--bootstrap", metavar="N", help="Resamples for the intervals.")] = 0,
    fix: Annotated[
        list[str] | None, typer.Option("--fix", metavar="NAME=VALUE", help="Hold a parameter. Repeatable.")
    ] = None,
    train_flops: Annotated[
        list[float] | None,
        typer.Option("--train-flops", metavar="FLOP", help="Budget for compute-optimal N and D. Repeatable."),
    ] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Pool rows that are measured in different ways.")] = False,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Draw the fit: .svg, .png or .html.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Fit a law to runs.

    Prints the formula, parameters with intervals, the objective in full precision, and what the data
    cannot tell.

    \b
    Examples:
      scalingdb fit epoch_chinchilla chinchilla --bootstrap 1000 --train-flops 1e24
      scalingdb fit gadre_overtraining gadre_overtrain --by family
      scalingdb fit farseer chinchilla --split fit --where "n_params_non_embedding > 2e8" --flagged
      scalingdb fit runs.csv chinchilla --fix E=1.7 --chart fit.svg --json
    """
    from scalingdb import fits

    held = {}
    for name, text in _pairs(fix, "--fix").items():
        value = _number(text)
        if isinstance(value, str):
            _refuse(f"--fix {name}={text}: {text!r} is no number", "for example --fix E=1.7")
        held[name] = float(value)
    if by and (train_flops or chart):
        _refuse(
            "--by makes many fits; --train-flops and --chart show one", "choose one group with --where or --family."
        )
    if chart is not None and chart.suffix not in {".svg", ".png", ".html"}:
        _refuse(f"cannot draw to {chart.name!r}", "use a file that ends in .svg, .png or .html.")
    selection = {"metric": metric, "eval_set": eval_set, "study": study, "family": family, "split": split}
    frame = _read_points(source, selection, flagged)
    if where is not None:
        frame = _filtered(frame, where)
    options: dict[str, Any] = {
        "objective": objective,
        "delta": delta,
        "bootstrap": bootstrap,
        "fixed": held,
        "pool": pool,
    }
    if by:
        many = fits.fit_by(frame, law, by=by, on_error="record", **options)
        _print_fits(many, as_json)
        return
    found = fits.fit(frame, law, **options)
    if chart is not None:
        with _replacing(chart) as scratch:
            found.chart().save(str(scratch), inline=True)
        _say(f"chart written to {chart}")
    best = found.optimum(train_flops) if train_flops else None
    if as_json:
        answer = {
            "formula": found.law.latex if found.law.is_traceable else None,
            "tidy": _rows(found.tidy()),
            "glance": _rows(found.glance())[0],
            "weakest": found.weakest,
            "recipe": found.recipe,
        }
        print(_as_json(answer if best is None else {**answer, "optimum": _rows(best)}))
    else:
        _print_fit(found, best)


def _read_points(source: str, selection: dict[str, str | None], flagged: bool) -> pl.DataFrame:
    """Points of a source of the warehouse, or the rows of a file."""
    import polars as pl

    from scalingdb.warehouse import connect

    path = Path(source)
    if path.suffix not in {".csv", ".parquet"}:
        return connect().points(source, flagged=flagged, **selection)
    given = [f"--{name.replace('_', '-')}" for name, value in selection.items() if value is not None]
    if flagged or given:
        _refuse(
            f"{', '.join(given + ['--flagged'] * flagged)} select rows of the warehouse, and {source!r} is a file",
            "choose its rows with --where.",
        )
    if not path.is_file():
        _refuse(f"file {source!r} does not exist", "give a path to a .csv or .parquet file, or the name of a source.")
    try:
        # the whole file decides a column's type: a size that turns fractional in row 5,000 is no error
        return pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"file {source!r} cannot be read: {error}", "check that it is a table with a header."
        ) from error


def _filtered(frame: pl.DataFrame, condition: str) -> pl.DataFrame:
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


def _print_fit(found: Fit, best: pl.DataFrame | None) -> None:
    glance = found.glance().row(0, named=True)
    if found.law.is_traceable:
        import sympy as sp

        can_draw = (sys.stdout.encoding or "").lower().startswith("utf")
        left = sp.Symbol("L" if found.law.output == "loss" else found.law.output)
        short = [(symbol, sp.Symbol(_SHORT.get(name, name))) for name, symbol in found.law.symbols.items()]
        equation = sp.Eq(left, found.law.expression.subs(short), evaluate=False)
        print(sp.pretty(equation, use_unicode=can_draw, num_columns=100))
    else:
        print(found.law.name)
    print(f"\n{found.law.cite}\n")
    tidy = found.tidy()
    _print_frame(tidy.drop("interval").with_columns(meaning=_meanings(found)), rows=0)
    intervals = (
        tidy.filter(interval="held").height < tidy.height and tidy.filter(tidy["interval"] != "held")["interval"][0]
    )
    lines = [
        ("intervals", f"95 %, {intervals}" if intervals else ""),
        ("verdict", found.verdict),
        ("weakest", found.weakest),
        ("objective", f"{found.objective!r} ({found.recipe['objective']}, sum)"),
        ("rows", str(glance["n_rows"])),
        ("inputs", ", ".join(f"{name} = {column}" for name, column in found.recipe["columns"].items())),
        ("mean error", f"{100 * glance['mean_abs_rel_error']:.3f} %"),
        ("starts", f"{found.n_agree} of {found.n_starts} agree to {found.agree_digits:.0f} digits; {found.status}"),
    ]
    print()
    for label, text in lines:
        if text:
            print(f"{label:<12}{text}")
    if best is not None:
        print("\ncompute-optimal, C = 6 N D")
        _print_frame(best.select(column for column in best if column.null_count() < best.height), rows=0)


_SHORT = {
    "n_params": "N",
    "n_params_non_embedding": "N",
    "n_params_active": "N",
    "n_tokens": "D",
    "train_flops": "C",
}


def _meanings(found: Fit) -> pl.Series:
    import polars as pl

    return pl.Series("meaning", [found.law.params[name].meaning for name in found.params])


def _print_fits(many: Fits, as_json: bool) -> None:
    errors = {", ".join(map(str, key)): text for key, text in many.errors.items()}
    if as_json:
        recipes = [{**dict(zip(many.by, key, strict=True)), **many.fits[key].recipe} for key in many]
        answer = {"tidy": _rows(many.tidy()), "glance": _rows(many.glance()), "recipes": recipes, "errors": errors}
        print(_as_json(answer))
    else:
        if len(many):
            _print_frame(many.tidy(), rows=0)
            print()
            _print_frame(many.glance(), rows=0)
        for label, text in errors.items():
            _say(f"\ngroup {label}: {text}")
    if errors:
        raise typer.Exit(FAILED)


# ---- comparisons -----------------------------------------------------------------------------


@app.command()
@_guarded
def compare(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="Source of the warehouse, or a .csv or .parquet file.")
    ] = None,
    laws: Annotated[list[str] | None, typer.Argument(metavar="[LAW]...", help="Laws to compare.")] = None,
    holdout: Annotated[
        str,
        typer.Option(
            "--holdout",
            metavar="RULE",
            help="Runs to predict: COLUMN=SHARE (the largest), COLUMN>VALUE, COLUMN:GROUP, or COLUMN (each in turn).",
        ),
    ] = "train_flops_6nd=0.1",
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="SQL condition on the columns of points.")
    ] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Keep rows that are set aside.")] = False,
    bootstrap: Annotated[int, typer.Option("--bootstrap", metavar="N", help="Refits for the intervals.")] = 0,
    pool: Annotated[bool, typer.Option("--pool", help="Pool rows that are measured in different ways.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every law on every data set of the warehouse that has its inputs.")
    ] = False,
    track: Annotated[
        str | None,
        typer.Option("--track", metavar="TRACK", help="Of --all: surface, curve, repeated, architecture or score."),
    ] = None,
    anew: Annotated[bool, typer.Option("--anew", help="Of --all: compute what is stored, too (minutes).")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Of --all: processes. Default: one a processor.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Compare laws by how well they predict runs that they were not fitted to.

    With a source and laws: errors of the held-out runs, and which differences are more than noise. With
    --all: the leaderboard of every law on every data set, by how much more compute the predicted runs
    have (x2, x5, x10, x30). Only what has changed since the last time is fitted.

    \b
    Examples:
      scalingdb compare epoch_chinchilla chinchilla kaplan_lnd --holdout n_params=0.1
      scalingdb compare farseer chinchilla farseer --holdout split:validation --flagged --bootstrap 200
      scalingdb compare runs.csv chinchilla gadre_overtrain --holdout "train_flops>1e21"
      scalingdb compare --all --track surface
    """
    if everything:
        if source is not None:
            _refuse(f"--all takes no source, and {source!r} is given", "name a source and laws, or say --all.")
        _compare_all(track, anew, workers, as_json, quiet)
        return
    if track is not None or anew or workers is not None:
        _refuse("--track, --anew and --workers belong to --all", "add --all, or leave them out.")
    if source is None or not laws:
        _refuse(
            "no source and laws to compare",
            "for example scalingdb compare epoch_chinchilla chinchilla kaplan_lnd, or scalingdb compare --all.",
        )
    from scalingdb.comparison import compare as compare_laws
    from scalingdb.comparison import readable

    frame = _read_points(source, {}, flagged)
    if where is not None:
        frame = _filtered(frame, where)
    found = compare_laws(frame, laws, _holdout(holdout), bootstrap=bootstrap, pool=pool)
    pairs = found.pairwise() if len(laws) > 1 else None
    if as_json:
        answer = {"sentence": found.sentence, "tidy": _rows(found.tidy())}
        print(_as_json(answer if pairs is None else {**answer, "pairwise": _rows(pairs)}))
        return
    print(found.sentence + "\n")
    _print_frame(readable(found.tidy()), rows=0)
    if pairs is not None:
        print()
        _print_frame(pairs.select("law_a", "law_b", "ratio", "ratio_low", "ratio_high", "verdict"), rows=0)


def _holdout(rule: str) -> Holdout:
    """Which runs are held out, from one word of the command line."""
    from scalingdb import holdouts

    for sign in "=>:":
        column, found, text = rule.partition(sign)
        if not found:
            continue
        column, text = column.strip(), text.strip()
        if sign == ":":
            return holdouts.groups(column, *text.split(","))
        value = _number(text)
        if isinstance(value, str):
            _refuse(f"--holdout {rule}: {text!r} is no number", "for example n_params=0.1, or train_flops>1e21.")
        return holdouts.beyond(column, value) if sign == ">" else holdouts.largest(column, value)
    return holdouts.each(rule.strip())


def _compare_all(track: str | None, anew: bool, workers: int | None, as_json: bool, quiet: bool) -> None:
    """The arena: what is missing or stale is computed, then every track's leaderboard is printed."""
    import polars as pl
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from scalingdb import arena
    from scalingdb.errors import unknown_name
    from scalingdb.warehouse import connect

    if track is not None and track not in arena.TRACKS:
        raise unknown_name("track", track, arena.TRACKS)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with connect() as db, Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task("law on data set", total=None)
        held = arena.run(
            db, lambda done, total: bar.update(task, completed=done, total=total), anew=anew, workers=workers
        )
    table = arena.with_groups(held)
    board = arena.leaderboard(track, table=table)
    size = arena.matrix(table=table)
    if as_json:
        print(_as_json({"leaderboard": _rows(board), "matrix": _rows(size)}))
        return
    bands = list(arena.BANDS)
    percent = ["win_rate", "win_low", "win_high", "error", *bands, "coverage"]
    shown = board.with_columns((pl.col(percent) * 100).round_sig_figs(3), pl.col("mean_rank", "times_best").round(2))
    shown = shown.with_columns(
        wins=pl.format("{} ({}-{})", *(pl.col(name).round(0).cast(pl.Int64) for name in percent[:3]))
    )
    for name in [track] if track else arena.TRACKS:
        print(f"\n{name}: {arena.TRACKS[name]}")
        part = shown.filter(pl.col("track") == name)
        _print_frame(
            part.select(
                "rank",
                "law",
                pl.col("wins").alias("wins %"),
                "mean_rank",
                "times_best",
                pl.col("error").alias("error %"),
                *bands,
                pl.col("coverage").alias("in 95 % interval"),
                "n_sets",
                "n_sources",
                "n_refused",
            )
        )
    total = size.filter(pl.col("track") == "all").row(0, named=True)
    _say(
        f"\n{total['n_laws']} laws ({total['n_curves']} different curves) and {total['n_baselines']} baselines on "
        f"{total['n_data_sets']} data sets of {total['n_sources']} sources: {total['n_fitted']} of {total['n_pairs']} "
        f"pairs fitted, {total['n_failed']} of {total['n_hold_outs']} hold-outs refused. "
        "Errors in % by how far the compute of "
        "the held-out runs lies beyond the fitted ones."
    )


# ---- replication -----------------------------------------------------------------------------


@app.command()
@_guarded
def replicate(
    name: Annotated[
        str | None, typer.Argument(metavar="[ID|SOURCE]", help="A computation, or a source; all by default.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Compute published figures again and set ours beside them.

    A figure reproduces where ours lies within its stated tolerance. Which figures do not, and why, is
    part of the ledger; the command fails where a verdict is another one than the ledger says.

    \b
    Examples:
      scalingdb replicate
      scalingdb replicate pythia_evals
      scalingdb replicate pythia_evals.lambada --json
    """
    import polars as pl
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from scalingdb import replication
    from scalingdb.warehouse import connect

    columns = (TextColumn("figures"), BarColumn(), MofNCompleteColumn(), TextColumn("computations"))
    if name is not None and "." in name:
        table = replication.replicate(name, connect())
    else:
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), disable=quiet) as bar:
            task = bar.add_task("figures", total=None)
            table = replication.ledger(
                connect(), name, progress=lambda done, total: bar.update(task, completed=done, total=total)
            )
    changed = table.filter(~pl.col("verdict").is_in([replication.MISSING]), pl.col("verdict") != pl.col("expected"))
    if as_json:
        print(_as_json(_rows(table)))
    else:
        _print_ledger(table)
    for row in changed.iter_rows(named=True):
        _say(f"{row['figure']}: {row['verdict']}, where the ledger says {row['expected']!r}")
    if changed.height:
        raise typer.Exit(FAILED)


def _print_ledger(table: pl.DataFrame) -> None:
    """The figures, then how many of each verdict, then why those that do not reproduce do not."""
    from scalingdb.replication import VERDICTS, readable

    shown = readable(table)
    _print_frame(shown.select("figure", "published", "tolerance", "ours", "verdict"), rows=0)
    print()
    for verdict, count in table["verdict"].value_counts(sort=True).iter_rows():
        print(f"{count:>6}  {verdict}")
    reasons = shown.filter(shown["verdict"].is_in(VERDICTS[1:]), shown["explanation"] != "")
    # figures that share a reason are named together, in the order of the table
    for (verdict, why), group in reasons.group_by("verdict", "explanation", maintain_order=True):
        print(f"\n{verdict}: {', '.join(group['figure'])}")
        print(textwrap.fill(str(why), width=98, initial_indent="  ", subsequent_indent="  "))


# ---- notebooks -------------------------------------------------------------------------------


@app.command()
@_guarded
def report(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Notebooks; all by default.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the site.")] = Path(
        "reports"
    ),
    notebooks: Annotated[
        Path | None, typer.Option("--notebooks", metavar="DIR", help="Folder of the notebooks. Default: the project's.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    r"""Execute notebooks and write an offline site.

    A cell that fails stops the report and leaves the old site as it was. With names, these pages are
    renewed and the others stay.

    \b
    Examples:
      scalingdb report
      scalingdb report compare_laws --output site
      scalingdb report --notebooks my_notebooks --quiet
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from scalingdb.report import build_report

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        site = build_report(names or (), output, notebooks=notebooks, progress=advance)
    if as_json:
        print(_as_json({"index": str(site.index), "pages": [str(page) for page in site.pages]}))
    else:
        print(site.index)


@app.command()
@_guarded
def plan(
    law: Annotated[str, typer.Argument(metavar="LAW", help="Law, such as chinchilla or farseer.")],
    flops: Annotated[
        list[float] | None, typer.Option("--flops", metavar="FLOP", help="Training budget. Repeatable.")
    ] = None,
    gpu_hours: Annotated[
        list[float] | None, typer.Option("--gpu-hours", metavar="HOURS", help="Training budget. Repeatable.")
    ] = None,
    accelerator: Annotated[
        str | None, typer.Option("--accelerator", metavar="NAME", help="Of the hours, such as h100_sxm.")
    ] = None,
    flops_per_second: Annotated[
        float | None, typer.Option("--flops-per-second", metavar="FLOP/S", help="Peak of any other one.")
    ] = None,
    utilisation: Annotated[
        float | None, typer.Option("--utilisation", metavar="SHARE", help="Of the peak that the run reaches.")
    ] = None,
    target_loss: Annotated[
        list[float] | None, typer.Option("--target-loss", metavar="LOSS", help="Least compute for a loss. Repeatable.")
    ] = None,
    n_tokens: Annotated[float | None, typer.Option("--tokens", metavar="D", help="Hold the tokens.")] = None,
    n_params: Annotated[float | None, typer.Option("--params", metavar="N", help="Hold the parameters.")] = None,
    inference_tokens: Annotated[
        float | None,
        typer.Option("--inference-tokens", metavar="T", help="Tokens served: train and serve at least cost."),
    ] = None,
    variant: Annotated[str | None, typer.Option("--variant", metavar="NAME", help="Published coefficients.")] = None,
    source: Annotated[
        str | None, typer.Option("--fit", metavar="SOURCE", help="Fit the law to a source or file first: intervals.")
    ] = None,
    bootstrap: Annotated[int, typer.Option("--bootstrap", metavar="N", help="Resamples of that fit.")] = 1000,
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Other inputs, or own coefficients.")
    ] = None,
    flops_convention: Annotated[
        str, typer.Option("--flops-convention", help="6nd, total or non_embedding: which N the FLOP count.")
    ] = "6nd",
    level: Annotated[float, typer.Option("--level", help="Coverage of the intervals.")] = 0.95,
    chart: Annotated[
        Path | None, typer.Option("--chart", metavar="FILE", help="Draw the plan: .svg, .png or .html.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    r"""Split a budget: best parameters and tokens, with intervals.

    Published coefficients have no interval, because no paper states how they vary together; with
    --fit the law is fitted first, and the plan says how sure it is.

    \b
    Examples:
      scalingdb plan chinchilla --flops 1e23
      scalingdb plan chinchilla --fit epoch_chinchilla --flops 1e22 --flops 1e24
      scalingdb plan chinchilla --gpu-hours 1e5 --accelerator h100_sxm --utilisation 0.4
      scalingdb plan chinchilla --target-loss 2.0 --inference-tokens 1e13
      scalingdb plan muennighoff_repeat --flops 1e22 --set n_tokens_unique=1e10 --json
    """
    from scalingdb import fits, planning

    values = {}
    for name, text in _pairs(given, "--set", "n_tokens_unique=1e10").items():
        value = _number(text)
        if isinstance(value, str):
            _refuse(f"--set {name}={text}: {text!r} is no number", "for example --set n_tokens_unique=1e10")
        values[name] = float(value)
    if chart is not None and chart.suffix not in {".svg", ".png", ".html"}:
        _refuse(f"cannot draw to {chart.name!r}", "use a file that ends in .svg, .png or .html.")
    what: Any = law
    if source is not None:
        what = fits.fit(_read_points(source, {}, flagged=False), law, bootstrap=bootstrap)
    found = planning.plan(
        what,
        variant=variant,
        train_flops=flops or None,
        gpu_hours=gpu_hours or None,
        accelerator=accelerator,
        flops_per_second=flops_per_second,
        utilisation=utilisation,
        target_loss=target_loss or None,
        n_tokens=n_tokens,
        n_params=n_params,
        inference_tokens=inference_tokens,
        flops_convention=flops_convention,
        level=level,
        **values,
    )
    if chart is not None:
        with _replacing(chart) as scratch:
            found.chart().save(str(scratch), inline=True)
        _say(f"chart written to {chart}")
    if as_json:
        answer = {
            "plan": found.label,
            "level": level,
            "interval": found.interval,
            "notes": found.notes,
            "sentence": found.sentence,
            "tidy": _rows(found.tidy()),
        }
        print(_as_json(answer))
        return
    print(found.sentence + "\n")
    table = found.tidy()
    _print_frame(table[[column.name for column in table if column.null_count() < table.height]], rows=0)
    print()
    for note in [found.interval, *found.notes]:
        print(f"  {note}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@_guarded
def lab(
    context: typer.Context,
) -> None:
    r"""Open the notebooks in JupyterLab. Further options go to JupyterLab, after '--'.

    From an installed package the notebooks are first copied to ./scalingdb-notebooks; a notebook
    that is there already is left as it is.

    \b
    Examples:
      scalingdb lab
      scalingdb lab -- --no-browser --port 8890
    """
    folder = _lab_folder()
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={folder}", *context.args]
    with subprocess.Popen(command) as process:
        while True:
            try:
                code = process.wait()
                break
            except KeyboardInterrupt:
                continue  # JupyterLab got it too, and asks before it stops
    if code:
        raise typer.Exit(code)


def _lab_folder() -> Path:
    """The checkout's notebooks, or a copy of the packaged ones in the current directory."""
    from scalingdb.report import notebook_folder

    source = notebook_folder()
    if PACKAGE not in source.parents:
        return source
    target = Path.cwd() / "scalingdb-notebooks"
    try:
        target.mkdir(exist_ok=True)
        for file in sorted(source.glob("*.ipynb")):
            if not (target / file.name).exists():
                (target / file.name).write_bytes(file.read_bytes())
    except OSError as error:
        raise OutputError(f"cannot copy the notebooks to {target}: {error}", "change to a writable folder.") from error
    return target
