"""Whether larger models answer a question instead of translating it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_FAMILIES = {
    "t5": ("T5, 60M to 2.9B", ""),
    "flan-t5": (
        "Flan-T5, 77M to 2.9B",
        "The share rises by two points from the smallest to the largest Flan-T5, with a higher value between them.",
    ),
    "openai": (
        "GPT-3 base models, 350M to 175B",
        "The smallest API models translate worst (BLEU 10 against 31 for the largest) and lose the question mark with "
        "the rest, so that the share rises with size whatever answering does. Whether an output answers was not "
        "judged, and the language check of the logs is broken.",
    ),
}


@replication(
    *(
        Figure(
            key=family,
            statement=(
                f"Answering instead of translating grows with size: change of the share of outputs that keep the "
                f"question mark, {name}"
            ),
            place="finding of the project, from its logs",
            high=0.0,
            unit="fraction",
            why="an answer has no question mark, so that the share falls where answering grows",
            origin="release",
            unless=unless,
        )
        for family, (name, unless) in _FAMILIES.items()
    ),
)
def question_marks(db: Warehouse) -> dict[str, float]:
    """Mean over prompts and language pairs, largest model of a family less the smallest."""
    rows = db.sql("""
        select family, n_params, avg(value) as share from evals join runs using (run_id)
        where evals.source_id = 'inverse_scaling_mt' and metric = 'question_mark_kept' and flag is null
            and not starts_with(model_name, 'text-')
        group by all order by n_params
    """)
    return {
        str(family): group["share"][-1] - group["share"][0]
        for (family,), group in rows.group_by("family", maintain_order=True)
    }
