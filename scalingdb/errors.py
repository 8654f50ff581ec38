"""Every error that scalingdb raises on purpose.

A message states the fact (with the offending value and its place), then, after a blank line,
``Hint:`` and the next action. Each class also derives from the builtin that a caller would
expect, so ``except KeyError`` keeps working for an unknown name.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = [
    "BuildError",
    "DataError",
    "DomainWarning",
    "FitError",
    "FitWarning",
    "NotebookError",
    "OutputError",
    "QueryError",
    "RawFileError",
    "ReadOnlyError",
    "ScalingDBError",
    "UnknownNameError",
    "WarehouseError",
    "check_level",
    "check_path",
    "check_seed",
    "check_word",
    "path_hint",
    "unknown_name",
]


class ScalingDBError(Exception):
    """Root of all errors raised on purpose.

    Parameters
    ----------
    fact : str
        What is wrong, with the offending value and where it stands.
    hint : str, optional
        What to do next.
    """

    def __init__(self, fact: str, hint: str | None = None) -> None:
        self.fact = fact
        self.hint = hint
        super().__init__(fact if hint is None else f"{fact}\n\nHint: {hint}")

    def __str__(self) -> str:  # KeyError would show the repr of its argument
        return str(self.args[0])


class UnknownNameError(ScalingDBError, KeyError):
    """A law, source, table, column or variant that does not exist."""


class DataError(ScalingDBError, ValueError):
    """A frame or a table that breaks a rule: missing column, NaN, wrong unit, mixed groups."""


class FitError(ScalingDBError, ValueError):
    """A fit that cannot be used at all."""


class WarehouseError(ScalingDBError, OSError):
    """A warehouse that is missing, truncated or cannot be written."""


class RawFileError(ScalingDBError, OSError):
    """A raw file that is missing or differs from the recorded hash."""


class BuildError(ScalingDBError, RuntimeError):
    """A source whose build ended in a way that no check foresaw."""


class QueryError(ScalingDBError, ValueError):
    """SQL that DuckDB refuses."""


class ReadOnlyError(QueryError, PermissionError):
    """An attempt to write through a read-only connection."""


class NotebookError(ScalingDBError, RuntimeError):
    """A notebook whose execution failed, or whose page would need a network."""


class OutputError(ScalingDBError, OSError):
    """A file or folder that cannot be written, or that must not be replaced."""


class FitWarning(UserWarning):
    """A fit that can be used with care: a bound is active, a parameter is not identified."""


class DomainWarning(UserWarning):
    """A prediction or a plan outside the range of inputs that the coefficients were fitted on."""


def path_hint(path: object, otherwise: str) -> str:
    """Advice for a path that leads nowhere: what looks like a pattern is taken as it stands."""
    if set("*?[") & set(str(path)):
        return "'*', '?' and '[' are no pattern here: name the files one by one, or their folder."
    return otherwise


def unknown_name(kind: str, name: Any, known: Iterable[str], hint: str | None = None) -> UnknownNameError:
    """Build the error for an unknown `name`, with the closest known names as hint.

    Parameters
    ----------
    kind : str
        What the name should have been: ``"law"``, ``"source"``, ``"column"``.
    name : str
        The name as given.
    known : iterable of str
        All valid names.
    hint : str, optional
        Added after the suggestions.
    """
    choices = sorted(set(known))
    if not isinstance(name, str):
        return UnknownNameError(f"{name!r} is not the name of a {kind}", "give its name as text.")
    close = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    if close:
        advice = "did you mean " + " or ".join(repr(c) for c in close) + "?"
    elif len(choices) <= 30:
        plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
        advice = f"known {plural}: " + (", ".join(choices) or "none") + "."
    else:
        advice = f"there are {len(choices)} {kind}s, none of them spelled like this."
    return UnknownNameError(f"unknown {kind} {name!r}", advice if hint is None else f"{advice} {hint}")


def check_path(path: Any, name: str) -> Path:
    """The path of the argument `name`, if it can be one.

    Raises
    ------
    DataError
        For anything but text or a path, and for an empty text, which would be the working folder.
    """
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str) or not os.fspath(path):
        raise DataError(f"{name} is {path!r}, not a path", "give a path as text.")
    return Path(path)


def check_word(value: Any, allowed: Iterable[str], name: str) -> Any:
    """The word itself if it is one of those that the option `name` allows.

    Returned untyped, so that a plain string can become the ``Literal`` of an option.

    Raises
    ------
    UnknownNameError
    """
    words = tuple(allowed)
    if value not in words:
        raise unknown_name("option", str(value), words, f"(for {name})")
    return value


def check_seed(rng: Any, name: str = "rng") -> int:
    """The seed as an int.

    Raises
    ------
    DataError
        For anything but a whole number that is not negative. A generator has no seed that could be
        stored with a result, so the result could not be made again from it.
    """
    if isinstance(rng, bool) or not hasattr(rng, "__index__") or int(rng) < 0:
        raise DataError(f"{name}={rng!r} is not a seed", f"give a whole number that is not negative, such as {name}=0.")
    return int(rng)


def check_level(level: Any) -> float:
    """The coverage of an interval as a float.

    Raises
    ------
    DataError
        For anything but a number between 0 and 1.
    """
    if not hasattr(level, "__float__") or not 0 < level < 1:
        raise DataError(f"level={level!r} is not between 0 and 1", "for example level=0.95.")
    return float(level)
