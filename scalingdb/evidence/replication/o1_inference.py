"""Accuracy of o1-mini on thirty problems against the tokens it spends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="accuracy",
        statement="Majority vote at the largest token budget: accuracy on AIME 2024",
        place="release, results_log_majority_vote.json",
        stated=0.70,
        unit="fraction",
        tolerance=0.005,
        why="half a unit of the last digit stated",
        origin="release",
    ),
    Figure(
        key="tokens",
        statement="Majority vote at the largest token budget: tokens used on average for a problem",
        place="release, results_log_majority_vote.json",
        stated=88_448,
        unit="tokens",
        tolerance=0.5,
        why="half a unit of the last digit stated",
        origin="release",
    ),
    Figure(
        key="last_doubling",
        statement="Gains end: change of accuracy over the last doubling of the budget, in problems of the thirty",
        place="finding of the project",
        high=1.0,
        unit="count",
        why="one problem is the resolution of the test",
        origin="release",
    ),
)
def majority_vote(db: Warehouse) -> dict[str, float]:
    """The last points of the vote."""
    rows = db.sql("""
        select metric, split_part(eval_set, ':', 3)::bigint as budget, value from evals
        where source_id = 'o1_inference' and starts_with(eval_set, 'aime_2024:vote') order by budget
    """)
    accuracy, tokens = (rows.filter(pl.col("metric") == name)["value"] for name in ("acc", "tokens_used"))
    return {"accuracy": accuracy[-1], "tokens": tokens[-1], "last_doubling": 30 * (accuracy[-1] - accuracy[-2])}


longer_answers = untestable(
    "o1_inference.longer_answers",
    Figure(
        key="unreliable",
        statement="Spending more tokens does not reliably raise accuracy on hard problems",
        place="abstract of arXiv 2504.00294",
        high=0.0,
        why="within a model, the answers that took more tokens are right no more often",
        claim_id="2504.00294/2",
    ),
    because=(
        "The claim compares answers of many models that each choose their length. Held is one model that was asked for "
        "more tokens, eleven budgets on thirty problems: one fall between two budgets (0.60 to 0.53) is two problems. "
        "Tokens and correctness of single answers would be needed."
    ),
)
