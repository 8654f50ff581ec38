"""A DuckDB result handed to Polars without either remembering the other, and no more of it than memory allows.

Polars caches the type of whatever a frame is made from. A DuckDB type in that cache outlives DuckDB
and is reported as a leak when Python exits, so it gets one of these instead; that is why the classes have a
module of their own, which must not import DuckDB.

Batches are taken from the Arrow C interface one by one: importing pyarrow for the same would cost a tenth of a second,
and a function of Python called from within the stream would end the program with an abort where Python exits meanwhile.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import polars as pl

__all__ = ["ArrowStream", "TooLargeError", "frame_within"]


class TooLargeError(Exception):
    """A stream takes more bytes than it may."""


class ArrowStream:
    """Whatever has an Arrow C stream, under a type that nobody minds being kept."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._result.__arrow_c_stream__(requested_schema)


class _Held(ArrowStream):
    """A stream that is there already."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._result


class _Batch:
    """One batch of a stream, for Polars to take over."""

    def __init__(self, schema: _Schema, array: _Array) -> None:
        self._parts = schema, array

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        schema, array = self._parts
        return _capsule(ctypes.addressof(schema), b"arrow_schema", None), _capsule(
            ctypes.addressof(array), b"arrow_array", None
        )


def frame_within(result: Any, limit: int) -> pl.DataFrame:
    """The rows of a result with an Arrow C stream.

    Raises
    ------
    TooLargeError
        If they take more than `limit` bytes, by batches.
    polars.exceptions.ComputeError
        With the words of the stream, if it fails.
    """
    capsule = result.__arrow_c_stream__(None)
    stream = _Stream.from_address(_pointer(capsule, b"arrow_array_stream"))
    place = ctypes.addressof(stream)
    following, frames, n_bytes = _GET(stream.get_next), [], 0
    kind: _Kind | None = None
    while True:
        array, schema = _Array(), _Schema()
        if following(place, ctypes.addressof(array)) or _GET(stream.get_schema)(place, ctypes.addressof(schema)):
            raise pl.exceptions.ComputeError((_ERROR(stream.get_last_error)(place) or b"").decode(errors="replace"))
        if not array.release:
            _RELEASE(schema.release)(ctypes.addressof(schema))
            break
        kind = kind or _kind(schema)
        n_bytes += kind.size(array)
        if n_bytes > limit:
            for part in (array, schema):
                _RELEASE(part.release)(ctypes.addressof(part))
            raise TooLargeError
        frames.append(pl.DataFrame(_Batch(schema, array)))
    if not frames:
        return pl.DataFrame(_Held(capsule))
    return frames[0] if len(frames) == 1 else pl.concat(frames, rechunk=False)


_capsule = ctypes.pythonapi.PyCapsule_New
_capsule.restype, _capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]

_GET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_ERROR = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_void_p)
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
