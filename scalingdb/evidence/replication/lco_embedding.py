"""Language-centric embeddings: printed averages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="averages",
        statement="Printed averages (of ten) that are the mean of their six rows to 0.01",
        place="own check of the table of training strategies",
        stated=9,
        unit="count",
        tolerance=0,
        why="a count is exact",
        origin="own",
    ),
    Figure(
        key="misprint",
        statement="Average of the 7B model under multimodal contrastive training",
        place="arXiv 2510.11693, table of training strategies",
        unit="percent",
        unless="The six rows give 51.68: the printed average is another number.",
        **printed("50.02"),
    ),
)
def averages(db: Warehouse) -> dict[str, float]:
    """Means of six groups of tasks."""
    rows = db.sql("select run_id, eval_set, value from evals where source_id = 'lco_embedding'")
    printed_means = rows.filter(eval_set="average").select("run_id", average="value")
    means = rows.filter(pl.col("eval_set") != "average").group_by("run_id").agg(pl.col("value").mean())
    both = printed_means.join(means, on="run_id")
    off = (both["average"] - both["value"]).abs() > 1e-4
    seven = both.filter(pl.col("run_id").str.contains("7b/clip"))
    return {"averages": int((~off).sum()), "misprint": 100 * seven["value"].item()}
