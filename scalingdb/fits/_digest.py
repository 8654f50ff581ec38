"""A checksum of rows that depends on their values alone, not on chunks, encodings or what lies under a null."""

from __future__ import annotations

import hashlib
import importlib
from typing import Any

import numpy as np

__all__ = ["digest_of_rows"]


def digest_of_rows(table: Any) -> str:
    """SHA-256 of all columns of an Arrow table, in their order."""
    _, types = _modules()

    digest = hashlib.sha256(str(table.num_rows).encode())
    for name, column in zip(table.column_names, table.columns, strict=True):
        digest.update(f"\0{name}\0".encode())
        is_coded = types.is_dictionary(column.type)
        _add(digest, (column.unify_dictionaries() if is_coded else column).combine_chunks())
    return digest.hexdigest()


def _add(digest: Any, array: Any) -> None:
    """Which values are there, then these values in one form per kind of type."""
    from pyarrow import lib

    compute, types = _modules()

    if isinstance(array, lib.ChunkedArray):
        array = array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
    kind = array.type
    digest.update(f"\0{len(array)}\0{array.null_count}\0".encode())
    if array.null_count:
        digest.update(np.packbits(np.asarray(array.is_valid())).tobytes())
        array = array.drop_null()
    if types.is_dictionary(kind):  # codes by first appearance: texts that recur are not repeated
        used = array.indices.unique()
        _add(digest, compute.index_in(array.indices, used))
        _add(digest, array.dictionary.take(used))
    elif types.is_struct(kind):
        for field in array.flatten():
            _add(digest, field)
    elif types.is_fixed_size_list(kind):
        _add(digest, array.flatten())
    elif types.is_nested(kind):
        _add(digest, compute.list_value_length(array))
        _add(digest, array.flatten())
    elif types.is_boolean(kind):
        digest.update(np.packbits(np.asarray(array)).tobytes())
    elif types.is_primitive(kind) or types.is_decimal(kind):
        width = kind.bit_width // 8
        if len(array):
            digest.update(memoryview(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width])
    elif not types.is_null(kind):
        large = array.cast(lib.large_binary() if "binary" in str(kind) else lib.large_string())
        offsets = np.frombuffer(large.buffers()[1], "<i8", len(large) + 1, 8 * large.offset) if len(large) else [0]
        digest.update(np.diff(offsets).astype("<i8").tobytes())
        if offsets[-1] > offsets[0]:
            digest.update(memoryview(large.buffers()[2])[offsets[0] : offsets[-1]])


def _modules() -> tuple[Any, Any]:
    """Of Arrow, untyped: its functions are made on import."""
    return importlib.import_module("pyarrow.compute"), importlib.import_module("pyarrow.types")
