"""Arguments of a wrong kind, told by name.

A public function checks what can be wrong with a value where it uses it. What is left are values of another kind, such
as a list for a number; :func:`told` looks for one of these where a call ends in an error that is not ours.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import re
from collections.abc import Callable, Collection, Mapping, Set
from typing import Any, TypeVar

import numpy as np
import polars as pl

from scalingdb.errors import DataError, ScalingDBError

__all__ = ["told"]

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {}
"""Options of ``fit``, which other functions pass on as ``**options``."""


def told(function: Function) -> Function:
    """Let a function name the argument of a wrong kind that made it fail.

    Only a call that fails with an error that is not ours is looked at, so that no right value can be refused. Where
    all arguments are of the kinds that the signature states, the error is a fault of ours and stays as it is.
    """
    if function.__name__ == "fit":
        _OPTIONS.update(inspect.get_annotations(function))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ScalingDBError:
            raise
        except Exception as error:
            wrong = _wrong(function, args, kwargs)
            if wrong is None:
                raise
            raise wrong from error

    return call  # type: ignore[return-value]


def _wrong(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> DataError | None:
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:  # one argument too many or too few: Python says which
        return None
    kinds = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    values = dict(given)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and (more := values.pop(name, None)):
            values |= more
            known = _OPTIONS if kinds[name] == "Any" else {}
            kinds |= {option: known.get(option, kinds[name]) for option in more}
    for name, value in values.items():
        if not _is(value, str(kinds[name])):
            return DataError(f"{name} is {_short(value)}", f"{function.__name__}() takes {kinds[name]}.")
    return None


def _short(value: Any) -> str:
    with contextlib.suppress(Exception):
        text = " ".join(repr(value).split())
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"a {type(value).__name__}"


def _is(value: Any, kind: str) -> bool:
    """Whether a value is of a kind, as an annotation writes it; what is not known here counts as fitting."""
    if len(parts := _split(kind, "|")) > 1:
        return any(_is(value, part) for part in parts)
    name, _, inside = kind.partition("[")
    inner = _split(inside.removesuffix("]"), ",")
    if name in _KINDS:
        return _KINDS[name](value)
    if name in {"Sequence", "Collection"}:
        return _is_collection(value) and all(_is(part, inner[0]) for part in value)
    if name == "tuple":
        return _is_collection(value) and len(value) == len(inner) and all(map(_is, value, inner))
    if name == "Mapping":
        return isinstance(value, Mapping) and all(_is(k, inner[0]) and _is(v, inner[1]) for k, v in value.items())
    return True


def _split(kind: str, mark: str) -> list[str]:
    """Parts of an annotation between marks that stand in no bracket."""
    return [part.strip() for part in re.split(rf"\{mark}(?![^\[]*\])", kind)]


def _is_collection(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping | Set) and not _is_table(value)


def _is_table(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    if isinstance(value, pl.DataFrame | pl.LazyFrame | Mapping):
        return True
    is_column = isinstance(value, pl.Series)
    return not is_column and (hasattr(value, "__arrow_c_stream__") or type(value).__module__.startswith("pandas"))


def _is_number(value: Any) -> bool:
    if isinstance(value, str | bool) or not hasattr(value, "__float__") or np.ndim(value):
        return False
    with contextlib.suppress(ArithmeticError, TypeError, ValueError):
        float(value)
        return True
    return False


def _is_path(value: Any) -> bool:
    return isinstance(value, os.PathLike) or (isinstance(value, str) and "\0" not in value)


def _of_class(name: str) -> Callable[[Any], bool]:
    return lambda value: any(known.__name__ == name for known in type(value).__mro__)


_TEXTS = ("str", "ObjectiveName", "Resampling", "Relation", "Whole", "Method", "ErrorModel", "OnError")
_KINDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXTS, lambda value: isinstance(value, str)),
    **{name: _of_class(name.rpartition(".")[2]) for name in ("Law", "Fit", "Holdout", "Warehouse", "pl.Expr")},
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool | np.bool_),
    "int": lambda value: isinstance(value, int | np.integer) and not isinstance(value, bool),
    "float": _is_number,
    "Path": _is_path,
    "Callable": callable,
    "CostFunction": callable,
    "Budget": lambda value: _is(value, "float | Sequence[float]"),
    "Executor": lambda value: hasattr(value, "submit"),
    "FloatArray": lambda value: isinstance(value, np.ndarray),
    "pl.DataFrame": _is_table,
    "pl.LazyFrame": _is_table,
}
