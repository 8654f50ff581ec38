"""What tracing a law gave, kept: in the package for the library, in the user's cache folder for other laws.

An entry is found by the text of the formula, the names and signs of its inputs and parameters, and the code that
traces and prints. Whatever does not fit is traced again; an entry is never corrected and never trusted beyond its hash.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import inspect
import json
import tempfile
import textwrap
import time
import types
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scalingdb._store import read_file, user_folder

__all__ = ["SHIPPED", "Unkeyable", "body_of", "fingerprint", "load", "save"]

SHIPPED = Path(__file__).with_name("traced.zip")
"""Entries of the library's laws; ``python -m scalingdb.fits._ship`` writes them again."""
ENGINE = ("law_library/_trace.py", "estimation/symbolic.py", "estimation/code.py")
MOST_ENTRIES = 1000
STALE_SECONDS = 3600.0
"""Age from which on a file that is not finished will never be."""


class Unkeyable(Exception):  # noqa: N818 - never reaches a caller: the law is traced each time
    """A formula that depends on something without a text of its own."""


@functools.cache
def _engine() -> str:
    package = Path(__file__).parents[1]
    return hashlib.sha256(b"\0".join((package / name).read_bytes() for name in ENGINE)).hexdigest()


def fingerprint(function: Any, *names: Any) -> str:
    """Hash of a formula's text and of all that it refers to, of `names`, and of the code that traces.

    Raises
    ------
    Unkeyable
        If the text cannot be had, as for a lambda, or a value that it uses has none.
    """
    text = json.dumps([_text(function, ()), list(names), _engine()])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def body_of(function: types.FunctionType) -> str:
    """A function as text, without its decorators and its docstring.

    Raises
    ------
    Unkeyable
        If there is no text, or it is not one function.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError, ValueError) as error:
        raise Unkeyable(str(error)) from error
    node = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(node, ast.FunctionDef):
        raise Unkeyable("not a function with a name")
    node.decorator_list, node.returns = [], None
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(node)


def _text(value: Any, seen: tuple[int, ...]) -> Any:
    """A value as something JSON can hold, equal for equal meaning."""
    if id(value) in seen:
        return "again"
    inner = (*seen, id(value))
    if value is None or isinstance(value, bool | int | float | str | np.generic):
        return repr(value)
    if isinstance(value, Mapping):
        return [[_text(key, inner), _text(part, inner)] for key, part in value.items()]
    if isinstance(value, tuple | list):
        return [_text(part, inner) for part in value]
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        # twelve digits: the last ones of a computed table differ between processors
        return [value.dtype.kind, list(value.shape), [f"{number:.12g}" for number in value.ravel().tolist()]]
    if isinstance(value, np.ufunc | types.ModuleType | types.BuiltinFunctionType):
        return value.__name__
    if isinstance(value, types.FunctionType):
        if (value.__module__ or "").partition(".")[0] in ("numpy", "scipy", "builtins"):
            return f"{value.__module__}.{value.__qualname__}"
        used = inspect.getclosurevars(value)
        outside = {**used.globals, **used.nonlocals}
        return [
            body_of(value),
            _text(value.__kwdefaults__, inner),
            [[name, _text(outside[name], inner)] for name in sorted(outside)],
        ]
    if hasattr(value, "function") and hasattr(value, "inputs"):  # a law inside a formula
        return [_text(value.function, inner), list(value.inputs), list(value.params)]
    raise Unkeyable(type(value).__name__)


# ---- where entries are ----------------------------------------------------------------------------


def _folder() -> Path:
    return user_folder("cache") / "laws"


@functools.cache
def _shipped() -> Mapping[str, bytes]:
    """Names of the shipped entries; their contents are read when asked for."""
    try:
        with zipfile.ZipFile(SHIPPED) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile):
        return {}


def load(key: str) -> dict[str, Any] | None:
    """The entry of a key, if there is one that is whole."""
    content = _shipped().get(f"{key}.json")
    if content is None:
        try:
            content = read_file(_folder() / f"{key}.json")
        except OSError:
            return None
    return _unpacked(content)


def packed(entry: Mapping[str, Any]) -> bytes:
    """An entry with its hash in front."""
    body = json.dumps(entry, sort_keys=True).encode()
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def _unpacked(content: bytes) -> dict[str, Any] | None:
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def save(key: str, entry: Mapping[str, Any]) -> None:
    """Keep an entry in the user's cache folder; that it cannot be written is no error."""
    with contextlib.suppress(OSError):
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime))
        for left in folder.glob("*.part"):  # by a process that was killed
            if left.stat().st_mtime < time.time() - STALE_SECONDS:
                left.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False, suffix=".part") as file:
            scratch = Path(file.name)
            try:
                file.write(packed(entry))
                file.close()
                scratch.replace(folder / f"{key}.json")
            except BaseException:
                scratch.unlink(missing_ok=True)
                raise


def _make_room(paths: Sequence[Path]) -> None:
    for path in paths[: max(0, len(paths) + 1 - MOST_ENTRIES)]:
        path.unlink(missing_ok=True)
