"""Progress on stderr of what may take over two seconds; nothing where stderr is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["bars", "steps", "working"]

Advance = Callable[[str, int, int], None]


def bars(*, quiet: bool = False, transient: bool = False) -> Progress:
    """Lines of name, bar, steps done of all, time passed and time left; `transient` ones go when the work is done."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=transient, disable=quiet or not console.is_terminal)


@contextmanager
def steps(*, quiet: bool = False) -> Iterator[Advance]:
    """A line for each piece of work, with the time passed and the time left.

    Yields
    ------
    callable
        Takes a name, the steps done and the steps in all.
    """
    tasks: dict[str, TaskID] = {}
    with bars(quiet=quiet) as bar:

        def advance(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bar.add_task(name, total=total)
            bar.update(tasks[name], completed=done, total=total)

        yield advance


@contextmanager
def working(what: str, *, quiet: bool = False) -> Iterator[None]:
    """A moving line with the time passed, for work that is done in one piece; it goes when the work is done."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        bar.add_task(what, total=None)
        yield
