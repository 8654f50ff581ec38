"""Broken neural scaling laws: four-digit addition, fitted up to a break and carried beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.fits import fit

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_PARAMS = {"a": (0.414, 5e-4), "c1": (5.66, 5e-3), "d1": (612.6, 0.05), "f1": (0.0592, 5e-5)}
_PLACE = "earlier recomputation from the released points; the script stores no coefficients"


@replication(
    *(
        Figure(
            key=name,
            statement=f"One break on the 14 fitted points, least squares of log(y + 1): {name}",
            place=_PLACE,
            stated=value,
            unit="examples" if name == "d1" else "nats_per_token" if name == "a" else "dimensionless",
            tolerance=tolerance,
            why="half a unit of the last digit stated",
            origin="own",
        )
        for name, (value, tolerance) in _PARAMS.items()
    ),
    Figure(
        key="rmsle_fit",
        statement="Root mean square of log(predicted / y) on the 14 fitted points",
        place=_PLACE,
        stated=0.00060,
        tolerance=5e-6,
        why="half a unit of the last digit stated",
        origin="own",
    ),
    Figure(
        key="rmsle_beyond",
        statement="The same on the last three points, which were not fitted",
        place=_PLACE,
        stated=0.0109,
        tolerance=5e-5,
        why="half a unit of the last digit stated",
        origin="own",
    ),
    Figure(
        key="points",
        statement="Points in the authors' script",
        place="release, the script's literals",
        stated=17,
        unit="count",
        tolerance=0,
        why="a count is exact",
        origin="release",
    ),
)
def addition(db: Warehouse) -> dict[str, float]:
    """Adding one to the loss and to the floor makes squares of log(y + 1) squares of a log residual."""
    rows = db.sql("""
        select run_id, n_examples, loss + 1 as loss, split from points where source_id = 'bnsl' order by n_examples
    """)
    found = fit(rows.filter(split="fit"), "bnsl", objective="mse_log")
    params = {**found.params, "a": found.params["a"] - 1}
    done = found.predict(rows).with_columns(error=((pl.col("prediction") - 1) / (pl.col("loss") - 1)).log())

    def spread(part: pl.DataFrame) -> float:
        return float(np.sqrt(np.mean(part["error"].to_numpy() ** 2)))

    return {name: params[name] for name in _PARAMS} | {
        "rmsle_fit": spread(done.filter(split="fit")),
        "rmsle_beyond": spread(done.filter(pl.col("split") != "fit")),
        "points": rows.height,
    }
