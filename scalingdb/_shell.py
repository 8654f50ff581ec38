"""Where the program ``scalingdb`` begins: Ctrl-C ends it in silence from the first moment on."""

from __future__ import annotations

import os
import signal

__all__ = ["INTERRUPTED", "heed_interrupts", "main"]

INTERRUPTED = 130
"""Exit code."""


def _leave(*_: object) -> None:
    os._exit(INTERRUPTED)


def heed_interrupts() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again, now that a command has begun what may have to be ended."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Load the commands, which takes a few tenths of a second, and run the one that was asked for."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody wants it ignored
        signal.signal(signal.SIGINT, _leave)
    from scalingdb.cli import main as run

    run()
