"""Pilot tasks of the Inverse Scaling Prize on GPT-3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_MODELS = ("ada", "babbage", "curie", "davinci")
_CURVES = {
    ("conjunction-fallacy-1shot-gpt3", "acc"): ("conjunction fallacy: accuracy", (0.471, 0.500, 0.687, 0.347), 5e-4),
    ("QA-v1-gpt3-new", "logodds_difference"): ("question-answer bias: log-odds", (0.071, 0.138, 0.339, 0.753), 5e-4),
    ("lambada-1k_gpt3", "answer_loss"): ("LAMBADA: loss of the last word", (4.53, 3.67, 3.21, 2.73), 5e-3),
}
_UNITS = {"acc": "fraction", "logodds_difference": "nats_per_answer", "answer_loss": "nats_per_answer"}


@replication(
    *(
        Figure(
            key=f"{experiment}_{model}",
            statement=f"GPT-3 {model}, {what}",
            place=f"earlier recomputation from the released scores of experiment {experiment}",
            stated=value,
            unit=_UNITS[metric],
            tolerance=tolerance,
            why="half a unit of the last digit stated",
            origin="own",
        )
        for (experiment, metric), (what, values, tolerance) in _CURVES.items()
        for model, value in zip(_MODELS, values, strict=True)
    ),
    tables=("evals",),
)
def gpt3_curves(db: Warehouse) -> dict[str, float]:
    """Means over the examples of an experiment."""
    rows = db.sql("""
        select eval_set, metric, replace(run_id, 'inverse_scaling_pilot/', '') as model, value
        from evals where source_id = 'inverse_scaling_pilot'
    """)
    values = {(experiment, metric, model): value for experiment, metric, model, value in rows.rows()}
    return {
        f"{experiment}_{model}": values[experiment, metric, model]
        for experiment, metric in _CURVES
        for model in _MODELS
    }
