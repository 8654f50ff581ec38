"""Build or check the warehouse from raw files: ``python -m ingest build``, ``python -m ingest check``.

Users call ``scalingdb build`` and ``scalingdb check``, which run this module in the checkout.
Results go to stdout, progress and errors to stderr. Exit codes: 0 fine, 1 a source failed or the
tables differ, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from scalingdb._progress import bars
from scalingdb.errors import ScalingDBError, WarehouseError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ingest._stamps import BuildResult

__all__ = ["main"]

NEEDED = ("pandera", "pooch")
"""Packages of the extra ``scalingdb[ingest]``."""

STAMPS = ".stamps"
CODE = Path(__file__).parent
SCHEMA = CODE.parent / "scalingdb" / "schema.py"

PLAIN_WIDTH = 160
"""Columns of the summary where stdout is no terminal."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ingest", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the tables of all sources, or of those named")
    build.add_argument("sources", nargs="*", metavar="SOURCE")
    build.add_argument("--target", type=Path, help="warehouse folder to write (default: that of the checkout)")
    build.add_argument("--force", action="store_true", help="build unchanged sources too")
    build.add_argument(
        "--without-raw", action="store_true", help="bring the tables up to date with code and schema, without raw files"
    )
    build.add_argument(
        "--download",
        action="store_true",
        help="fetch the files of a release that the copy lacks, and say what they hold",
    )
    check = commands.add_parser("check", help="rebuild in a temporary folder and compare byte for byte")
    for command in (build, check):
        command.add_argument("--raw", type=Path, help="folder with one folder of raw files per source")
        command.add_argument("--workers", type=_positive, help="processes at once (default: one per processor)")
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(argv)
    if os.environ.pop("SCALINGDB_PARENT_ON_STDIN", None):
        threading.Thread(target=_end_with_parent, daemon=True).start()
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    try:
        if missing:
            raise WarehouseError(
                f"building needs {' and '.join(missing)}, which the core package does not install",
                "pip install 'scalingdb[ingest]'",
            )
        if options.command == "check":
            return _check(options)
        return _download(options) if options.download else _build(options)
    except ScalingDBError as error:
        _print_error(error)
        return 2
    except KeyboardInterrupt:
        print("interrupted; tables that were not finished are unchanged", file=sys.stderr)
        return 130


def _end_with_parent() -> None:
    """Stop when the program that started this one is gone, which closes our stdin."""
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGINT)  # as Ctrl-C: clean up
    time.sleep(5)
    os._exit(130)


def _print_error(error: ScalingDBError) -> None:
    print(f"Error: {error.fact}", file=sys.stderr)
    if error.hint:
        print(f"Hint: {error.hint}", file=sys.stderr)


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[tuple[Callable[[str], None], Callable[[BuildResult], None]]]:
    """Progress on stderr, as two functions: told the name of a source that begins, the result of one that ended.

    In a terminal, a bar for the whole and a line with its time for each source at work; elsewhere a
    line for each source that was built.
    """
    with bars(quiet=quiet, transient=True) as bar:
        whole = bar.add_task("sources", total=total)
        at_work: dict[str, TaskID] = {}
        n_done = 0

        def start(name: str) -> None:
            at_work[name] = bar.add_task(f"  {name}", total=1)

        def finish(result: BuildResult) -> None:
            nonlocal n_done
            n_done += 1
            if result.source_id in at_work:
                bar.remove_task(at_work.pop(result.source_id))
            bar.update(whole, completed=n_done)
            if not quiet and not bar.console.is_terminal and not result.is_skipped:
                line = f"[{n_done}/{total}] {result.source_id}: {result.status}, {result.seconds:.1f} s"
                print(line, file=sys.stderr, flush=True)

        yield start, finish


def _build(options: argparse.Namespace) -> int:
    from ingest._build import CHECKOUT, build, source_ids

    home = CHECKOUT / "warehouse"
    target = home if options.target is None else options.target.resolve()
    n_sources = len(set(options.sources) or source_ids())
    with _progress(n_sources, quiet=options.quiet) as (start, finish):
        results = build(
            options.sources,
            raw=options.raw,
            shipped=target / "tables",
            local=target / "local",
            progress=start,
            finished=finish,
            workers=options.workers,
            stamps=target / STAMPS,
            force=options.force,
            without_raw=options.without_raw,
        )
    failed = [result for result in results if result.error is not None]
    extra = _finish(home, target, force=options.force, is_whole=not failed)
    if options.json:
        print(json.dumps({"target": str(target), "sources": [_as_json(result) for result in results]}, indent=2))
    else:
        _print_summary(results, extra)
    for result in failed:
        assert result.error is not None
        print(f"\nsource {result.source_id!r} failed; its old tables are unchanged", file=sys.stderr)
        _print_error(result.error)
    return 1 if failed else 0


def _download(options: argparse.Namespace) -> int:
    """Fetch what the copy of each named release lacks; build nothing."""
    from ingest._build import load_source
    from ingest._release import LACKING, fetch

    folder = None if options.target is None else options.target.resolve()
    reports = {name: fetch(load_source(name)[0], folder) for name in options.sources or LACKING}
    if options.json:
        answer = {name: {**asdict(report), "folder": str(report.folder)} for name, report in reports.items()}
        print(json.dumps(answer, indent=2))
        return 0
    for name, report in reports.items():
        for file in report.files:
            models = "no model is named" if file.n_models is None else f"{file.n_models:,} models"
            state = "fetched" if file.is_new else "held"
            print(f"{name}: {file.path}: {state}, {file.n_bytes:,} bytes, {file.n_records:,} records, {models}")
        print(f"{name}: {report.n_reached:,} of {report.n_models:,} models are reached; files in {report.folder}")
    return 0


def _finish(home: Path, target: Path, *, force: bool, is_whole: bool) -> list[str]:
    """Bring the views to a target outside the checkout, and the printed descriptions up to date."""
    from ingest._stamps import Stamps

    printed = [target / "README.md", target / "datapackage.json"]
    stamps = Stamps(target / STAMPS, shipped=target / "tables", local=target / "local", raw=None)
    made_from = [target / "tables", home / "views", CODE, SCHEMA]
    changed = []
    try:
        changed += _bring_views(home, target)
        if force or not stamps.is_current("descriptions", made_from, printed):
            from ingest._datapackage import write_datapackage
            from ingest._dictionary import write_dictionary

            changed += ["README.md"] * write_dictionary(target)
            changed += ["datapackage.json"] * write_datapackage(target)
            stamps.keep_current("descriptions", made_from, printed)
    except ScalingDBError as error:
        if is_whole:
            raise
        # a source that cannot even be imported: its own error is told, the others stand
        print(f"README.md and datapackage.json are not renewed: {error.fact}", file=sys.stderr)
    except OSError as error:
        raise WarehouseError(f"cannot write to {target}: {error}", "choose a writable target directory.") from error
    return changed


def _bring_views(home: Path, target: Path) -> list[str]:
    """Make the views of the checkout part of the state of the target."""
    from scalingdb._store import commit, exclusive, scratch_folder

    with exclusive(target), scratch_folder(target, ".building-views-") as folder:
        files = {file.name: Path(shutil.copy(file, folder)) for file in sorted((home / "views").glob("*.sql"))}
        gone = [file.name for file in (target / "views").glob("*.sql") if file.name not in files]
        return commit(target, {f"views/{name}": files.get(name) for name in [*files, *gone]})


def _as_json(result: BuildResult) -> dict[str, Any]:
    return {
        "source_id": result.source_id,
        "status": result.status,
        "is_skipped": result.is_skipped,
        "seconds": round(result.seconds, 3),
        "rows": result.rows,
        "changed": result.changed,
        "error": str(result.error) if result.error else None,
    }


def _print_summary(results: list[BuildResult], extra: list[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "rows", "changed files", "seconds", "status"):
        table.add_column(column, overflow="fold", justify="right" if column == "seconds" else "left")
    styles = {"failed": "red", "changed": "green", "unchanged": "dim"}
    for result in results:
        table.add_row(
            result.source_id,
            ", ".join(f"{name} {count:,}" for name, count in result.rows.items()),
            escape("\n".join(result.changed)) or "-",
            "" if result.is_skipped else f"{result.seconds:.1f}",
            f"[{styles[result.status]}]{result.status}[/]",
        )
    console.print(table)
    counts = {status: sum(result.status == status for result in results) for status in styles}
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    n_rows = sum(sum(result.rows.values()) for result in results)
    console.print(f"{len(results)} sources, {n_rows:,} rows: {said}", highlight=False)
    for name in extra:
        console.print(f"{name} rewritten", highlight=False)


def _check(options: argparse.Namespace) -> int:
    """Rebuild every source in a temporary folder and compare with the shipped tables."""
    from ingest._build import SHIPPED, build, compare, outdated, source_ids
    from ingest._raw import find_raw_directory

    raw = find_raw_directory(options.raw)
    errors: dict[str, str] = {}
    differences: list[str] = []
    if raw is None:
        for name in source_ids():
            try:
                differences += outdated(name)
            except ScalingDBError as error:
                errors[name] = str(error)
    else:
        with (
            tempfile.TemporaryDirectory(prefix="scalingdb-check-") as folder,
            _progress(len(source_ids()), quiet=options.quiet) as (start, finish),
        ):
            built = Path(folder) / "tables"
            results = build(
                raw=raw,
                shipped=built,
                local=Path(folder) / "local",
                progress=start,
                finished=finish,
                workers=options.workers,
            )
            errors = {result.source_id: str(result.error) for result in results if result.error is not None}
            differences = [
                sentence
                for sentence in compare(built, SHIPPED)
                # a source that failed to build has nothing to compare: its error says why
                if sentence.split("/")[1].split(".parquet")[0] not in errors
            ]
    if options.json:
        print(json.dumps({"has_raw": raw is not None, "differences": differences, "errors": errors}, indent=2))
    else:
        if raw is None:
            print("raw files are absent: only what the code declares was compared with the tables")
        for line in [*differences, *(f"{name}: {text}" for name, text in errors.items())]:
            print(line)
        if raw is not None and not differences and not errors:
            print("every shipped table is rebuilt from the raw files byte for byte")
    return 1 if differences or errors else 0


if __name__ == "__main__":
    sys.exit(main())
