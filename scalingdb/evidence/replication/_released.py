"""Numbers that a release stores in bulk: the rows of `claims`, and how many of them ours meet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["n_met", "stored"]


def stored(db: Warehouse, source_id: str) -> dict[tuple[str, ...], float]:
    """Values of the claims of a source, by the parts of their id after the paper's."""
    rows = db.sql(
        "select claim_id, value from claims where source_id = $source and value is not null", source=source_id
    )
    return {tuple(name.split("/")[1:]): value for name, value in rows.iter_rows()}


def n_met(released: Mapping[tuple[str, ...], float], ours: Mapping[tuple[str, ...], float], tolerance: float) -> int:
    """How many of our numbers differ from the released ones by no more than `tolerance`."""
    return sum(abs(value - released[key]) <= tolerance for key, value in ours.items())
