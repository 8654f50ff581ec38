"""METR: doubling times of the 50 % horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_PLACE = "release, benchmark_results_1_1.yaml, doubling_time_in_days"


@replication(
    *(
        Figure(
            key=name,
            statement=f"Days in which the 50 % horizon of leading models doubles, {label}: line through log2 on date",
            place=_PLACE,
            stated=days,
            unit="days",
            tolerance=5e-4,
            why="half a unit of the last digit stated",
            origin="release",
            claim_id=f"2503.14499/doubling/{name}",
        )
        for name, label, days in (
            ("from_2023_on", "11 models since 2023", 130.801),
            ("all_time_stitched", "all 14 models", 196.475),
        )
    ),
)
def doubling(db: Warehouse) -> dict[str, float]:
    """Least squares of log2 of the horizon on the release date."""
    rows = evaluations(db, "metr_time_horizons", "e.eval_set = 'TH1.1:p50' and r.family = 'state_of_the_art'")
    recent = rows.filter(pl.col("release_date") >= pl.date(2023, 1, 1))

    def days(frame: pl.DataFrame) -> float:
        x = frame["release_date"].cast(pl.Int32).to_numpy()
        return float(1 / np.polyfit(x, np.log2(frame["value"].to_numpy()), 1)[0])

    return {"from_2023_on": days(recent), "all_time_stitched": days(rows)}
