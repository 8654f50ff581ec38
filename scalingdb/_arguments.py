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
import sys
from collections.abc import Callable, Collection, Mapping, Set
from types import FunctionType, MappingProxyType
from typing import Any, Literal, TypeVar, get_args, get_origin

from scalingdb.errors import DataError, ScalingDBError, unknown_name

__all__ = ["tell", "told"]

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {}
"""Options of ``fit``, which other functions pass on as ``**options``."""

_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")

_WORDS = {"Amount": "a number, a NumPy array, a Polars Series or an expression"}
"""Kinds whose name says little."""


def told(function: Function) -> Function:
    """Let a function, or all public methods of a class, name the argument of a wrong kind that made it fail.

    Only a call that fails with an error that is not ours is looked at, so that no right value can be refused. Where
    all arguments are of the kinds that the signature states, the error is a fault of ours and stays as it is.
    """
    if isinstance(function, type):
        for name, method in list(vars(function).items()):
            if isinstance(method, FunctionType) and not name.startswith("_") and not hasattr(method, "_is_told"):
                setattr(function, name, told(method))
        return function
    if function.__name__ == "fit":
        _OPTIONS.update(inspect.get_annotations(function))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ScalingDBError:
            raise
        except Exception as error:
            wrong = _wrong(function, args, kwargs, error)
            if wrong is None:
                raise
            raise wrong from error

    call._is_told = True  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def tell(module: dict[str, Any]) -> None:
    """Apply :func:`told` to all public functions of a module, given as its ``globals()``, once they are defined.

    They are replaced where they were defined, too: a function is sent to another process by that name.
    """
    for name in module["__all__"]:
        function = module[name]
        if not isinstance(function, FunctionType) or hasattr(function, "_is_told"):
            continue
        module[name] = told(function)
        home = vars(sys.modules[function.__module__])
        if home.get(name) is function:
            home[name] = module[name]


def _wrong(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> ScalingDBError | None:
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:  # one argument too many or too few: Python says which
        return None
    kinds = {name: parameter.annotation for name, parameter in signature.parameters.items()}
    values = dict(given)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and (more := values.pop(name, None)):
            unknown = _UNEXPECTED.search(str(error))
            if isinstance(error, TypeError) and unknown and unknown[1] in more:
                return unknown_name("option", unknown[1], _OPTIONS)
            values |= more
            known = _OPTIONS if kinds[name] == "Any" else {}
            kinds |= {option: known.get(option, kinds[name]) for option in more}
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            kinds[name] = f"Sequence[{kinds[name]}]"
    for is_kind in (_is, _is_strictly):
        for name, value in values.items():
            kind = str(kinds[name])
            if not is_kind(value, kind, function.__globals__):
                wanted = _WORDS.get(kind, kind)
                if isinstance(value, int) and _is(value, kind):
                    wanted += "; write so large a number with a point or an exponent"
                return DataError(f"{name} is {_short(value)}", f"{function.__name__}() takes {wanted}.")
    return _of_frames(function.__name__, {name: values[name] for name in values if _is_table(values[name])}, error)


def _of_frames(function: str, frames: dict[str, Any], error: Exception) -> DataError | None:
    """What Polars says of the columns of a frame that was given."""
    if not frames:
        return None
    if isinstance(error, KeyError) and error.args and isinstance(column := error.args[0], str):
        lacking = [name for name, frame in frames.items() if column not in getattr(frame, "columns", (column,))]
        return DataError(f"{lacking[0]} has no column {column!r}", f"{function}() needs it.") if lacking else None
    if not type(error).__module__.startswith("polars"):
        return None
    why = str(error).strip().partition("\n")[0]
    return DataError(f"{function}() cannot use {' and '.join(frames)}: {why}", "look at its columns and their types.")


def _short(value: Any) -> str:
    with contextlib.suppress(Exception):
        text = " ".join(repr(value).split())
        return text if len(text) <= 60 else f"{text[:57]}..."
    return f"a {type(value).__name__}"


def _is(value: Any, kind: str, names: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Whether a value is of a kind, as an annotation writes it; what is not known here counts as fitting.

    `names` are those of the module that the annotation stands in.
    """
    return _fits(value, kind, names, _KINDS)


def _is_strictly(value: Any, kind: str, names: Mapping[str, Any]) -> bool:
    """The same without what only some functions take: whole numbers of any size, tables of any library."""
    return _fits(value, kind, names, _STRICT)


def _fits(value: Any, kind: str, names: Mapping[str, Any], known: Mapping[str, Callable[[Any], bool]]) -> bool:
    if len(parts := _split(kind, "|")) > 1:
        return any(_fits(value, part, names, known) for part in parts)
    name, _, inside = kind.partition("[")
    inner = _split(inside.removesuffix("]"), ",")
    if name in known:
        return known[name](value)
    if name == "Literal":
        return isinstance(value, str) and value in {word.strip("'\"") for word in inner}
    if name in {"Sequence", "Collection"}:
        return _is_collection(value) and all(_fits(part, inner[0], names, known) for part in value)
    if name == "tuple":
        ends_open = inner[-1] == "..."
        kinds = inner[:1] * len(value) if ends_open and _is_collection(value) else inner
        return (
            _is_collection(value)
            and len(value) == len(kinds)
            and all(_fits(one, of, names, known) for one, of in zip(value, kinds, strict=True))
        )
    if name == "Mapping":
        return isinstance(value, Mapping) and all(
            _fits(k, inner[0], names, known) and _fits(v, inner[1], names, known) for k, v in value.items()
        )
    return _is_of(value, names.get(name))


def _is_of(value: Any, named: Any) -> bool:
    """Whether a value is of a class, or one of the words, that a module has a name for."""
    if get_origin(named) is Literal:
        return isinstance(value, str) and value in get_args(named)
    named = getattr(named, "__bound__", None) or named  # of a type variable
    if isinstance(named, type) and named not in {Any, object}:
        with contextlib.suppress(TypeError):  # a protocol that is none at run time
            return isinstance(value, named)
    return True


def _split(kind: str, mark: str) -> list[str]:
    """Parts of an annotation between marks that stand in no bracket."""
    return [part.strip() for part in re.split(rf"\{mark}(?![^\[]*\])", kind)]


def _is_collection(value: Any) -> bool:
    return isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping | Set) and not _is_table(value)


def _is_table(value: Any) -> bool:
    import polars as pl

    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(row, Mapping) for row in value)
    if isinstance(value, pl.DataFrame | pl.LazyFrame | Mapping):
        return True
    is_column = isinstance(value, pl.Series)
    return not is_column and (hasattr(value, "__arrow_c_stream__") or type(value).__module__.startswith("pandas"))


def _is_amount(value: Any) -> bool:
    """A number, or numbers in an array, a Series or an expression."""
    import numpy as np
    import polars as pl

    if isinstance(value, np.ndarray):
        return value.dtype.kind in "iuf"

    if isinstance(value, pl.Series):
        return value.dtype.is_numeric()
    return _is_number(value) or isinstance(value, pl.Expr)


def _is_number(value: Any) -> bool:
    import numpy as np  # not before something is wrong: what asks tables only does without

    if isinstance(value, str | bool) or not hasattr(value, "__float__") or np.ndim(value):
        return False
    with contextlib.suppress(ArithmeticError, TypeError, ValueError):
        float(value)
        return True
    return False


def _is_path(value: Any) -> bool:
    return isinstance(value, os.PathLike) or (isinstance(value, str) and "\0" not in value)


def _is_of_numpy(value: Any, name: str) -> bool:
    import numpy as np

    return isinstance(value, getattr(np, name))


def _is_of_polars(value: Any, name: str) -> bool:
    import polars as pl

    return isinstance(value, getattr(pl, name))


def _of_class(name: str) -> Callable[[Any], bool]:
    return lambda value: any(known.__name__ == name for known in type(value).__mro__)


_TEXTS = ("str", "ObjectiveName", "Resampling", "Relation", "Whole", "Method", "ErrorModel", "OnError")
_KINDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(_TEXTS, lambda value: isinstance(value, str)),
    **{name: _of_class(name.rpartition(".")[2]) for name in ("Law", "Fit", "Holdout", "Warehouse", "pl.Expr")},
    "None": lambda value: value is None,
    "bool": lambda value: isinstance(value, bool) or _is_of_numpy(value, "bool_"),
    "int": lambda value: (isinstance(value, int) and not isinstance(value, bool)) or _is_of_numpy(value, "integer"),
    "float": _is_number,
    "Path": _is_path,
    "Callable": callable,
    "CostFunction": callable,
    "Budget": lambda value: _is(value, "float | Sequence[float]"),
    "os.PathLike": _is_path,
    "Amount": _is_amount,
    "Executor": lambda value: hasattr(value, "submit"),
    "FloatArray": lambda value: _is_of_numpy(value, "ndarray"),
    "pl.DataFrame": _is_table,
    "pl.LazyFrame": _is_table,
}

_STRICT: dict[str, Callable[[Any], bool]] = {
    **_KINDS,
    "int": lambda value: _KINDS["int"](value) and -(2**63) <= value < 2**63,
    "float": lambda value: _is_number(value) and not (isinstance(value, int) and abs(value) >= 2**63),
    "Amount": lambda value: _is_amount(value) and not (isinstance(value, int) and abs(value) >= 2**63),
    "pl.DataFrame": lambda value: _is_of_polars(value, "DataFrame"),  # pandas has a class of this name
    "pl.LazyFrame": lambda value: _is_of_polars(value, "LazyFrame"),
}
