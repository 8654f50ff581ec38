"""Build or check the warehouse from raw files: ``python -m ingest build``, ``python -m ingest check``.

Users call ``scalingdb build`` and ``scalingdb check``, which run this module in the checkout.
Results go to stdout, progress and errors to stderr. Exit codes: 0 fine, 1 a source failed or the
tables differ, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from scalingdb.errors import ScalingDBError, WarehouseError

if TYPE_CHECKING:
    from ingest._build import BuildResult

__all__ = ["main"]

NEEDED = ("pandera", "pooch")
"""Packages of the extra ``scalingdb[ingest]``."""

PLAIN_WIDTH = 160
"""Columns of the summary where stdout is no terminal."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ingest", description=__doc__.splitlines()[0] if __doc__ else None)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="build the tables of all sources, or of those named")
    build.add_argument("sources", nargs="*", metavar="SOURCE")
    build.add_argument("--target", type=Path, help="warehouse folder to write (default: that of the checkout)")
    check = commands.add_parser("check", help="rebuild in a temporary folder and compare byte for byte")
    for command in (build, check):
        command.add_argument("--raw", type=Path, help="folder with one folder of raw files per source")
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.add_argument("--quiet", action="store_true", help="show no progress")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(argv)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    try:
        if missing:
            raise WarehouseError(
                f"building needs {' and '.join(missing)}, which the core package does not install",
                "pip install 'scalingdb[ingest]'",
            )
        return _build(options) if options.command == "build" else _check(options)
    except ScalingDBError as error:
        _print_error(error)
        return 2
    except KeyboardInterrupt:
        print("interrupted; tables that were not finished are unchanged", file=sys.stderr)
        return 130


def _print_error(error: ScalingDBError) -> None:
    print(f"Error: {error.fact}", file=sys.stderr)
    if error.hint:
        print(f"Hint: {error.hint}", file=sys.stderr)


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A bar on stderr; the function that it yields is called with a source's name when it begins."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("reading", total=total)
        begun = 0

        def start(name: str) -> None:
            nonlocal begun
            bar.update(task, description=name, completed=begun)
            begun += 1

        yield start
        bar.update(task, completed=total)


def _build(options: argparse.Namespace) -> int:
    from ingest._build import CHECKOUT, build, source_ids

    home = CHECKOUT / "warehouse"
    target = home if options.target is None else options.target.resolve()
    with _progress(len(options.sources or source_ids()), quiet=options.quiet) as progress:
        results = build(
            options.sources,
            raw=options.raw,
            shipped=target / "tables",
            local=target / "local",
            progress=progress,
        )
    extra = _finish(home, target)
    if options.json:
        print(json.dumps({"target": str(target), "sources": [_as_json(result) for result in results]}, indent=2))
    else:
        _print_summary(results, extra)
    failed = [result for result in results if result.error is not None]
    for result in failed:
        assert result.error is not None
        print(f"\nsource {result.source_id!r} failed; its old tables are unchanged", file=sys.stderr)
        _print_error(result.error)
    return 1 if failed else 0


def _finish(home: Path, target: Path) -> list[str]:
    """Bring the views to a target outside the checkout, and the data dictionary up to date."""
    from ingest._dictionary import write_dictionary

    changed = []
    try:
        if target != home:
            shutil.copytree(home / "views", target / "views", dirs_exist_ok=True)
        if write_dictionary(target):
            changed.append("README.md")
    except OSError as error:
        raise WarehouseError(f"cannot write to {target}: {error}", "choose a writable target directory.") from error
    return changed


def _as_json(result: BuildResult) -> dict[str, Any]:
    return {
        "source_id": result.source_id,
        "status": "failed" if result.error else "changed" if result.changed else "unchanged",
        "rows": result.rows,
        "changed": result.changed,
        "error": str(result.error) if result.error else None,
    }


def _print_summary(results: list[BuildResult], extra: list[str]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("source", "rows", "changed files", "status"):
        table.add_column(column, overflow="fold")
    styles = {"failed": "red", "changed": "green", "unchanged": "dim"}
    for result in results:
        status = _as_json(result)["status"]
        table.add_row(
            result.source_id,
            ", ".join(f"{name} {count:,}" for name, count in result.rows.items()),
            escape("\n".join(result.changed)) or "-",
            f"[{styles[status]}]{status}[/]",
        )
    console.print(table)
    for name in extra:
        console.print(f"{name} written anew", highlight=False)


def _check(options: argparse.Namespace) -> int:
    """Rebuild every source in a temporary folder and compare with the shipped tables."""
    from ingest._build import SHIPPED, build, compare, source_ids
    from ingest._raw import find_raw_directory

    raw = find_raw_directory(options.raw)
    errors: dict[str, str] = {}
    differences: list[str] = []
    if raw is not None:
        with (
            tempfile.TemporaryDirectory(prefix="scalingdb-check-") as folder,
            _progress(len(source_ids()), quiet=options.quiet) as progress,
        ):
            built = Path(folder) / "tables"
            results = build(raw=raw, shipped=built, local=Path(folder) / "local", progress=progress)
            errors = {result.source_id: str(result.error) for result in results if result.error is not None}
            differences = [
                sentence
                for sentence in compare(built, SHIPPED)
                # a source that failed to build has nothing to compare: its error says why
                if sentence.split("/")[1].split(".parquet")[0] not in errors
            ]
    if options.json:
        print(json.dumps({"has_raw": raw is not None, "differences": differences, "errors": errors}, indent=2))
    elif raw is None:
        print("raw files are absent, so the rebuild could not be checked")
    else:
        for line in [*differences, *(f"{name}: {text}" for name, text in errors.items())]:
            print(line)
        if not differences and not errors:
            print("every shipped table is rebuilt from the raw files byte for byte")
    return 1 if differences or errors else 0


if __name__ == "__main__":
    sys.exit(main())
