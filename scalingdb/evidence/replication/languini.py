"""Languini Kitchen: hours are tokens over throughput; no perplexities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="hours",
        statement=(
            "Largest distance of tokens / tokens per second from the class of accelerator hours, ten configurations"
        ),
        place="own check of the READMEs' tables",
        high=0.002,
        unit="hours",
        why="steps are whole: a step lasts about a second",
        origin="own",
    ),
)
def classes(db: Warehouse) -> dict[str, float]:
    """Best configurations of both architectures."""
    rows = evaluations(db, "languini", "r.study = 'best'")
    hours = rows.select(off=(pl.col("run_tokens") / pl.col("value") / 3600 - pl.col("accelerator_hours")).abs())
    return {"hours": float(hours["off"].to_numpy().max())}
