"""Where the program ``scalingdb`` begins."""

from __future__ import annotations

from scalingdb._interrupts import end_at_once

__all__ = ["main"]


def main() -> None:
    """Load the commands, which takes a few tenths of a second, and run the one that was asked for."""
    end_at_once()
    from scalingdb.cli import main as run

    run()
