"""Retrieval: the large mixed datastore against eleven others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="best",
        statement="Tasks (of six) on which the large mixed datastore is the best of the eleven rows",
        place="own check of table 3",
        stated=5,
        unit="count",
        tolerance=0,
        why="a count is exact",
        origin="own",
    ),
)
def composition(db: Warehouse) -> dict[str, float]:
    """One reader, eleven datastores."""
    rows = evaluations(db, "retrieval_datastore", "r.study = 'datastore'")
    best = 0
    for (_, metric), part in rows.group_by("eval_set", "metric"):
        values = part["value"].to_numpy()
        ours = part.filter(family="massiveds")["value"].item()
        best += ours == (values.min() if metric == "perplexity" else values.max())
    return {"best": best}
