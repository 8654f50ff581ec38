"""Fast and slow generation: how often the large model is needed, and by the ratio of sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations, spearman

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="mean",
        statement="Highest mean share of tokens from the large model over the three tasks of the figure, oracle method",
        place="arXiv 2406.12295, abstract",
        high=0.2,
        unit="fraction",
        why="'fewer than 20 %'",
        claim_id="2406.12295/1",
        choice="On average over pairs: single pairs reach 22 % (MMLU-STEM), and other methods more.",
    ),
    Figure(
        key="rank",
        statement="Least rank correlation of the share with the ratio of sizes, over tasks and methods",
        place="arXiv 2406.12295, abstract",
        low=0.6,
        why="the share rises with the ratio in every series",
        claim_id="2406.12295/2",
    ),
)
def collaboration(db: Warehouse) -> dict[str, float]:
    """Pairs of one family, by method and task; MTBench is not in the published figure."""
    rows = evaluations(db, "fast_slow").filter(pl.col("eval_set") != "mtbench")
    oracle = rows.filter(family="oracle").group_by("eval_set").agg(pl.col("value").mean())
    ranks = [spearman(part["size_ratio"], part["value"]) for _, part in rows.group_by("family", "eval_set")]
    return {"mean": float(oracle["value"].to_numpy().max()), "rank": min(ranks)}
