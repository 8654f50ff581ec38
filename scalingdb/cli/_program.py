"""The program: how every command begins and ends, and the options that many share."""

from __future__ import annotations

import functools
import io
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from scalingdb import _interrupts
from scalingdb._interrupts import INTERRUPTED
from scalingdb.errors import FitWarning, NotebookError, ScalingDBError
from scalingdb.notices import shell_syntax

FAILED, WRONG_USE = 1, 2

PACKAGE = Path(__file__).resolve().parents[1]
CHECKOUT = PACKAGE.parent


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report_error(error: ScalingDBError) -> None:
    say(f"Error: {error.fact}")
    if error.hint:
        say(f"Hint: {error.hint}")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    say(f"Warning: {message}")


def _keep_examples(command: Callable[..., None]) -> Callable[..., None]:
    r"""Let the help show the paragraph below a line ``\b`` as it is written: docstrings hold it raw."""
    command.__doc__ = (command.__doc__ or "").replace("\\b\n", "\b\n")
    return command


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors into the two lines that a user can act on, and into an exit code."""
    _keep_examples(command)

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        for stream in (sys.stdout, sys.stderr):  # a terminal or pipe that knows not every character shows its number
            if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
                stream.reconfigure(errors="backslashreplace")
        try:
            _interrupts.heed()
            with warnings.catch_warnings(), shell_syntax():
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
            say("interrupted")
            _leave_stuck_queries()
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # the reader (head, less) has gone
            _write_no_more()
            raise typer.Exit(0) from None
        except OSError as error:
            _say_unwritten(error)
            raise typer.Exit(FAILED) from None

    return run


def _say_unwritten(error: OSError) -> None:
    """A full disk behind the standard output, or none; a file that one may not use; a folder that is no more."""
    _write_no_more()
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd says the same
    except FileNotFoundError:
        say("Error: the current folder was deleted\nHint: change to another one.")
    else:
        if error.filename is None:
            say(f"Error: the output cannot be written: {error}")
        else:
            say(f"Error: a file cannot be read or written: {error}\nHint: see that you may, and that there is room.")


def _write_no_more() -> None:
    """Python's own flush at exit must not complain either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _leave_stuck_queries() -> None:
    """End here and now where DuckDB is inside one function and takes no notice: Python would wait for it."""
    if any(thread.name == "scalingdb-query" for thread in threading.enumerate()):
        sys.stdout.flush()
        os._exit(INTERRUPTED)


app = typer.Typer(
    name="scalingdb",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> None:
    """Entry point of the program ``scalingdb``."""
    _open_closed_streams()
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # the help, too, may meet a full disk
    except BrokenPipeError:
        _write_no_more()
    except OSError as error:
        _say_unwritten(error)
        sys.exit(FAILED)


def _open_closed_streams() -> None:
    """Streams that the shell has closed (``>&-``) are None to Python; what is printed then is an error like others."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            flags = os.O_WRONLY if name == "stderr" else os.O_RDONLY  # writing to the second one fails
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"scalingdb {version('scalingdb')}")
        raise typer.Exit


@app.callback()
@_keep_examples
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

    'scalingdb COMMAND --help' shows examples of each command. After 'scalingdb --install-completion'
    the tab key completes commands, options, sources and laws (bash, zsh, fish, PowerShell).
    """


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, in full precision, for scripts.")]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]
