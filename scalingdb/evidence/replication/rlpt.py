"""RL on pre-training data: gains of Qwen3-4B over its cold start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_GAINS = {
    "mmlu": "3.0",
    "mmlu_pro": "5.1",
    "gpqa_diamond": "8.1",
    "supergpqa": "2.0",
    "kor_bench": "6.0",
    "aime24:pass_1": "6.6",
    "aime25:pass_1": "5.3",
}
_CLAIM = {"mmlu": "2509.19249/1", "gpqa_diamond": "2509.19249/1"}


@replication(
    *(
        Figure(
            key=task,
            statement=f"Gain of Qwen3-4B from RL on pre-training data over its cold start, {task}",
            place="arXiv 2509.19249, abstract and section of results",
            unit="percentage points",
            claim_id=_CLAIM.get(task),
            **printed(text),
        )
        for task, text in _GAINS.items()
    ),
)
def gains(db: Warehouse) -> dict[str, float]:
    """Difference of two stages."""
    rows = evaluations(db, "rlpt", "r.base_model = 'Qwen3-4B-Base'")
    wide = rows.pivot("family", index="eval_set", values="value")
    return {
        task: 100 * (after - before)
        for task, before, after in wide.select("eval_set", "cold_start", "rlpt").iter_rows()
        if task in _GAINS
    }
