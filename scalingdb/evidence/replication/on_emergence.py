"""Lu et al.: whether abilities emerge without in-context examples and instruction tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_BASE = {
    "gpt2": "gpt2-xl",
    "t5-small": "t5-large",
    "tiiuae/falcon-7b": "tiiuae/falcon-40b",
}
"""Smallest and largest base model of a family, neither tuned to instructions."""
_TUNED = {
    "t5-large": "google/flan-t5-large",
    "tiiuae/falcon-7b": "tiiuae/falcon-7b-instruct",
    "tiiuae/falcon-40b": "tiiuae/falcon-40b-instruct",
}
"""Base models, and the same models tuned to instructions."""


@replication(
    Figure(
        key="flat_share",
        statement=(
            "Without examples and tuning little emerges: pairs of family and task on which the largest base model "
            "gains less than ten points on the smallest, zero-shot, as a share"
        ),
        place="abstract; tested on the released scores",
        low=0.5,
        unit="fraction",
        why="'most tasks' read as more than half; ten points are ten times the seed noise of a typical task",
        origin="own",
    ),
    Figure(
        key="tuned_share",
        statement="Instruction tuning raises zero-shot scores: share of pairs of base model and task",
        place="abstract; tested on the released scores",
        low=0.5,
        unit="fraction",
        why="more often than not",
        origin="own",
    ),
)
def zero_shot(db: Warehouse) -> dict[str, float]:
    """Mean zero-shot exact match by task, over prompts with the options listed, and seeds."""
    rows = db.sql("""
        select model_name, split_part(eval_set, ':', 1) as task, avg(value) as score
        from evals join runs using (run_id)
        where evals.source_id = 'on_emergence' and metric = 'acc' and n_shots = 0
            and split_part(eval_set, ':', 2) = 'closed'
        group by all
    """)

    def gains(pairs: dict[str, str]) -> pl.Series:
        parts = [
            rows.filter(pl.col("model_name") == first).join(
                rows.filter(pl.col("model_name") == second), on="task", suffix="_second"
            )
            for first, second in pairs.items()
        ]
        both = pl.concat(parts)
        return both["score_second"] - both["score"]

    base, tuned = gains(_BASE), gains(_TUNED)
    return {
        "flat_share": base.filter(base < 0.1).len() / base.len(),
        "tuned_share": tuned.filter(tuned > 0).len() / tuned.len(),
    }


breakthroughness = untestable(
    "on_emergence.breakthroughness",
    Figure(
        key="breakthrough",
        statement="Knowledge tasks improve gradually; breakthroughs come with several steps or brittle metrics",
        place="abstract of arXiv 2206.04615",
        low=0.0,
        why="how sudden the gain of multi-step tasks is, less that of knowledge tasks",
        claim_id="2206.04615/3",
    ),
    because=(
        "How sudden a gain is needs one family at many sizes. Held are at most two sizes of a family whose size is "
        "stated, and no label of tasks as knowledge or multi-step."
    ),
)
