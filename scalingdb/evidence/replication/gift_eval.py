"""GIFT-Eval: geometric mean of the scaled error by size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_LADDERS = {
    "toto-2.0": ("1.0575", "1.0048", "0.9825", "0.9774", "0.9724"),
    "yinglong": ("1.2304", "1.1496", "1.1312", "1.1157"),
    "kairos": ("1.0521", "1.0456", "1.0375"),
    "moirai": ("1.3225", "1.2595", "1.2229"),
}


@replication(
    *(
        Figure(
            key=f"{family}.{i}",
            statement=f"Geometric mean over 97 tasks of the mean absolute scaled error, family {family}, size {i}",
            place="earlier recomputation from the submitted results",
            unit="ratio",
            origin="own",
            **printed(text),
        )
        for family, means in _LADDERS.items()
        for i, text in enumerate(means, 1)
    ),
)
def ladders(db: Warehouse) -> dict[str, float]:
    """Means by size, not divided by the seasonal naive forecast."""
    rows = evaluations(db, "gift_eval", "e.metric = 'forecast_mase' and r.n_params is not null")
    means = rows.group_by("family", "n_params").agg(mean=pl.col("value").log().mean().exp()).sort("family", "n_params")
    return {
        f"{family}.{i}": value for family in _LADDERS for i, value in enumerate(means.filter(family=family)["mean"], 1)
    }
