"""Ctrl-C before a command has begun anything: it ends the program in silence."""

from __future__ import annotations

import os
import signal

__all__ = ["INTERRUPTED", "end_at_once", "heed"]

INTERRUPTED = 130
"""Exit code."""


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


def end_at_once() -> None:
    """Have Ctrl-C end the process here and now, unless somebody wants it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def heed() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, now that a command begins what may have to be ended."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
