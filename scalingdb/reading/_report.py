"""What a reader recognised, took, converted and left out, in a few lines."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Remark", "Report", "Unusable", "listed"]

MAX_SHOWN = 5


def listed(names: Iterable[object], most: int = MAX_SHOWN) -> str:
    """The first names, and how many more there are."""
    shown = [str(name) for name in names]
    more = f" and {len(shown) - most} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


class Unusable(Exception):  # noqa: N818 - never reaches a caller: it becomes a line of the report
    """A file of no known kind, or of a known kind in which something is missing."""


@dataclass(frozen=True)
class Remark:
    """One guard's finding.

    Attributes
    ----------
    check : str
        Name of the guard, such as ``"crashed"`` or ``"duplicate"``.
    text : str
        What was found, with the rows named.
    rows : tuple of int
        Positions in the frame that was checked.
    flags : bool
        Whether these rows are left out unless the caller asks for flagged rows.
    """

    check: str
    text: str
    rows: tuple[int, ...] = ()
    flags: bool = False


@dataclass
class Report:
    """What happened to the files or frame that were read; ``str(report)`` is what the user sees."""

    recognised: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    converted: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [
            ("read", self.recognised),
            ("took", self.taken),
            ("converted", self.converted),
            ("left out", self.skipped),
            ("not used", [listed(dict.fromkeys(self.unused), 12)] if self.unused else []),
            ("check", [remark.text for remark in self.remarks]),
        ]
        lines = [f"  {label if i == 0 else '':<10}{text}" for label, texts in parts for i, text in enumerate(texts)]
        return "\n".join(["read_runs:", *lines])
