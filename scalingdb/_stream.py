"""A DuckDB result handed to Polars without either remembering the other, and no more of it than memory allows.

Polars caches the type of whatever a frame is made from. A DuckDB type in that cache outlives DuckDB
and is reported as a leak when Python exits, so it gets this one instead; that is why the class has a
module of its own, which must not import DuckDB.

A stream of the Arrow C interface is a struct of functions. To count its batches on their way the one that gives the
next batch is replaced: importing pyarrow for the same would cost a tenth of a second.
"""

from __future__ import annotations

import ctypes
import errno
from dataclasses import dataclass
from typing import Any

__all__ = ["ArrowStream"]


ROWS, BATCHES = 2048, 4
"""After the first batches one in so many rows is looked at, and stands for those before: looking at each costs time."""


class ArrowStream:
    """Whatever has an Arrow C stream, under a type that nobody minds being kept.

    Parameters
    ----------
    result : object
        With a method ``__arrow_c_stream__``.
    limit : int, optional
        Bytes after which the stream ends with an error, by batches.
    """

    def __init__(self, result: Any, limit: int | None = None) -> None:
        self._result = result
        self._limit = limit
        self._callbacks: tuple[Any, ...] = ()
        self._over: list[bool] = []  # apart, so that the callbacks do not hold this object, and it the result

    @property
    def is_over(self) -> bool:
        """Whether the stream ended at its limit."""
        return bool(self._over)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        capsule: object = self._result.__arrow_c_stream__(requested_schema)
        if self._limit is not None:
            self._count(_Stream.from_address(_pointer(capsule, b"arrow_array_stream")), self._limit)
        return capsule

    def _count(self, stream: _Stream, limit: int) -> None:
        schema = _Schema()
        if _GET(stream.get_schema)(ctypes.addressof(stream), ctypes.addressof(schema)):
            return  # whoever reads the stream meets the same error
        kind = _kind(schema)
        _RELEASE(schema.release)(ctypes.addressof(schema))
        original, error = _GET(stream.get_next), _ERROR(stream.get_last_error)
        message = ctypes.create_string_buffer(b"larger than memory allows")
        n_bytes, n_rows, n_batches, over = 0.0, 0, 0, self._over

        def following(this: int, place: int) -> int:
            nonlocal n_bytes, n_rows, n_batches
            code = original(this, place)
            batch = _Array.from_address(place)
            if code or not batch.release:
                return int(code)
            n_rows += batch.length
            n_batches += 1
            if n_rows < ROWS and n_batches > BATCHES:
                return 0
            n_bytes += kind.size(batch) * n_rows / max(batch.length, 1)
            n_rows = 0
            if n_bytes <= limit:
                return 0
            over.append(True)
            _RELEASE(batch.release)(place)
            return errno.ENOMEM

        def reason(this: int) -> int | None:
            return ctypes.addressof(message) if over else error(this)

        self._callbacks = (_GET(following), _ERROR(reason), message)  # as long as the stream
        stream.get_next, stream.get_last_error = (ctypes.cast(one, ctypes.c_void_p) for one in self._callbacks[:2])


_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

_GET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_ERROR = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Stream(ctypes.Structure):
    _fields_ = [(n, ctypes.c_void_p) for n in ("get_schema", "get_next", "get_last_error", "release", "private_data")]


class _Schema(ctypes.Structure):
    pass


_Schema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_void_p),
    ("flags", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("children", ctypes.POINTER(ctypes.POINTER(_Schema))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]


class _Array(ctypes.Structure):
    pass


_Array._fields_ = [
    *((name, ctypes.c_int64) for name in ("length", "null_count", "offset", "n_buffers", "n_children")),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_Array))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]

_WIDTHS = {b"n": 0.0, b"b": 0.125} | dict.fromkeys((b"c", b"C"), 1.0) | dict.fromkeys((b"s", b"S", b"e"), 2.0)
_WIDTHS |= dict.fromkeys((b"i", b"I", b"f", b"tdD", b"tts", b"ttm"), 4.0) | dict.fromkeys((b"+s", b"+w"), 0.0)
_TEXT = {b"u": ctypes.c_int32, b"z": ctypes.c_int32, b"U": ctypes.c_int64, b"Z": ctypes.c_int64}
_VIEW = 16.0
"""Bytes that Polars takes for each text beside its characters."""


@dataclass(frozen=True)
class _Kind:
    """What an array takes: bytes of a row, the type of the offsets of its text, and its parts."""

    width: float
    offsets: Any
    parts: tuple[_Kind, ...]

    def size(self, array: _Array) -> int:
        """Bytes of an array once it is a column of Polars."""
        n_bytes = array.length * self.width
        if self.offsets is not None and array.length and array.buffers[1]:
            place = ctypes.cast(array.buffers[1], ctypes.POINTER(self.offsets))
            n_bytes += place[array.offset + array.length] - place[array.offset]
        return int(n_bytes) + sum(part.size(array.children[i].contents) for i, part in enumerate(self.parts))


def _kind(schema: _Schema) -> _Kind:
    form, _, rest = schema.format.partition(b":")
    parts = tuple(_kind(schema.children[i].contents) for i in range(schema.n_children))
    if form in _TEXT and not schema.dictionary:
        return _Kind(_VIEW, _TEXT[form], parts)
    if form in {b"d", b"vu", b"vz", b"tin"}:
        return _Kind(16.0, None, parts)
    return _Kind(float(rest) if form == b"w" else _WIDTHS.get(form, 8.0), None, parts)
