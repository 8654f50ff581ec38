"""NanoGPT speedrun: how fast the record falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_OWN = "earlier recomputation from the table of records"


@replication(
    Figure(
        key="first", statement="Minutes of the first record", place=_OWN, unit="minutes", origin="own", **printed("45")
    ),
    Figure(
        key="last",
        statement="Minutes of the fastest record",
        place=_OWN,
        unit="minutes",
        origin="own",
        **printed("1.23"),
    ),
    Figure(
        key="halving",
        statement="Days in which the record time halves: line through the logarithm on date, first track",
        place=_OWN,
        stated=199,
        unit="days",
        tolerance=5,
        why="which of the repeated timings count moves it by three days",
        origin="own",
        choice="Every timing counts, also the repeated ones of one record.",
    ),
)
def records(db: Warehouse) -> dict[str, float]:
    """First track."""
    rows = evaluations(db, "nanogpt_speedrun", "r.family = 'track_1'").drop_nulls("release_date")
    days = rows["release_date"].cast(pl.Int32).to_numpy()
    minutes = rows["value"].to_numpy()
    slope = np.polyfit(days, np.log2(minutes), 1)[0]
    return {"first": float(minutes.max()), "last": float(minutes.min()), "halving": float(-1 / slope)}
