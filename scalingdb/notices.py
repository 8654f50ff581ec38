"""Short remarks to the user that are neither results nor warnings.

``points()`` says how many flagged rows it left out, ``fit()`` says which definition of N it used.
They go through the standard logger ``scalingdb``, so
``logging.getLogger("scalingdb").setLevel("WARNING")`` silences them.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["argument", "at_the_shell", "notice", "shell_syntax", "silence"]

LOGGER = logging.getLogger("scalingdb")


class _CurrentStream(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to stdout inside a notebook (stderr is painted red there), else to stderr.

    The stream is looked up at each record, because notebooks and test runners replace it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stdout if "ipykernel" in sys.modules else sys.stderr
        super().emit(record)


_SAID: set[str] = set()


def notice(message: str, *, once: bool = False) -> None:
    """Tell the user `message`, here and now (one line, no timestamp).

    With `once`, a message that this process has already given is not repeated: for choices that
    the result carries anyway.
    """
    if LOGGER.disabled or (once and message in _SAID):
        return
    _SAID.add(message)
    if not LOGGER.handlers and not logging.getLogger().handlers:
        LOGGER.addHandler(_CurrentStream())
        LOGGER.propagate = False
        if LOGGER.level == logging.NOTSET:
            LOGGER.setLevel(logging.INFO)
    LOGGER.info(message)


@contextmanager
def silence() -> Iterator[None]:
    """No remarks inside: for tables of many computations, whose result says what matters."""
    before = LOGGER.disabled
    LOGGER.disabled = True
    try:
        yield
    finally:
        LOGGER.disabled = before


_SHELL = False
_AT_THE_SHELL = {"mapping": "map", "tasks": "task", "fixed": "fix"}
"""Options whose name at the shell is another one."""


def at_the_shell() -> bool:
    """Whether the user reads what is said at the shell rather than in Python."""
    return _SHELL


@contextmanager
def shell_syntax() -> Iterator[None]:
    """Arguments are written as options of the shell inside."""
    global _SHELL
    before, _SHELL = _SHELL, True
    try:
        yield
    finally:
        _SHELL = before


def argument(*names: str, **given: Any) -> str:
    """Arguments as the user writes them, for hints: bare names, and names with their values.

    >>> argument("where"), argument(unit="percent"), argument(mapping={"N": "Params"})
    ('where=', "unit='percent'", "mapping={'N': 'Params'}")
    >>> with shell_syntax():
    ...     argument("where"), argument(unit="percent"), argument(mapping={"N": "Model size"}), argument(append=True)
    ('--where', '--unit percent', "--map 'N=Model size'", '--append')
    """
    if not _SHELL:
        return ", ".join([f"{name}=" for name in names] + [f"{name}={_in_python(v)}" for name, v in given.items()])
    options = [_option(name) for name in names]
    for name, value in given.items():
        if value is True:
            options.append(_option(name))
        elif isinstance(value, Mapping):
            options += [f"{_option(name)} {shlex.quote(f'{key}={_bare(one)}')}" for key, one in value.items()]
        else:
            several = value if isinstance(value, list | tuple) else [value]
            options += [f"{_option(name)} {shlex.quote(_bare(one))}" for one in several]
    return " ".join(options)


def _option(name: str) -> str:
    return "--" + _AT_THE_SHELL.get(name, name).replace("_", "-")


def _bare(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_python(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_in_python(one)}" for key, one in value.items()) + "}"
    return f"{value:g}" if isinstance(value, float) else repr(value)
