"""A DuckDB result handed to Polars without either remembering the other.

Polars caches the type of whatever a frame is made from. A DuckDB type in that cache outlives DuckDB
and is reported as a leak when Python exits, so it gets this one instead; that is why the class has a
module of its own, which must not import DuckDB.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ArrowStream"]


class ArrowStream:
    """Whatever has an Arrow C stream, under a type that nobody minds being kept."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._result.__arrow_c_stream__(requested_schema)
