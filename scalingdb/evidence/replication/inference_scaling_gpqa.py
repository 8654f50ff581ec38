"""Inference-time scaling: the domains add up to the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="weighted_mean",
        statement="Largest distance of the printed overall accuracy from the mean of the domains, over nine models",
        place="own check of figures 16 and 17",
        high=0.06,
        unit="percentage points",
        why="both are printed to a tenth of a point: rounding moves the mean by half of that and the bar by half",
        origin="own",
    ),
    Figure(
        key="more_tokens",
        statement="Models (of nine) that spend more tokens on chemistry than on physics and are right less often",
        place="arXiv 2504.00294, abstract",
        low=5,
        unit="count",
        why="'does not reliably': it is so for most of the nine",
        claim_id="2504.00294/2",
    ),
)
def domains(db: Warehouse) -> dict[str, float]:
    """Accuracy by domain, weighted by questions."""
    rows = evaluations(db, "inference_scaling_gpqa", "e.metric = 'acc' and e.eval_set like 'gpqa_diamond:%'")
    mean = rows.group_by("run_id").agg(mean=(pl.col("value") * pl.col("n_items")).sum() / pl.col("n_items").sum())
    whole = db.sql("""
        select run_id, value from evals
        where source_id = 'inference_scaling_gpqa' and eval_set = 'gpqa_diamond:all' and metric = 'acc'
    """)
    both = whole.join(mean, on="run_id")
    wide = rows.pivot("eval_set", index="run_id", values=["value", "n_tokens_inference"])
    worse = wide["value_gpqa_diamond:chemistry"] < wide["value_gpqa_diamond:physics"]
    longer = wide["n_tokens_inference_gpqa_diamond:chemistry"] > wide["n_tokens_inference_gpqa_diamond:physics"]
    return {
        "weighted_mean": float(100 * (both["value"] - both["mean"]).abs().to_numpy().max()),
        "more_tokens": int((worse & longer).sum()),
    }
