"""Short remarks to the user that are neither results nor warnings.

``points()`` says how many flagged rows it left out, ``fit()`` says which definition of N it used.
They go through the standard logger ``scalingdb``, so
``logging.getLogger("scalingdb").setLevel("WARNING")`` silences them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["notice", "silence"]

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
