"""Reinforcement learning on GSM8K for five sizes of one base model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SIZES = {"0.6b": 0.6, "1.7b": 1.7, "4b": 4.0, "8b": 8.0, "14b": 14.0}
_BEFORE, _AFTER = (40.7, 54.8, 80.4, 81.5, 86.3), (68.3, 80.4, 88.5, 89.8, 92.6)
_CONTRADICTED = (
    "The repository's own table contradicts its law: gains fall from 27.6 points at 0.6B to 6.3 at 14B, because large "
    "models start near the top. A power law through the five gains has a negative exponent."
)


@replication(
    *(
        Figure(
            key=f"{when}_{size}",
            statement=f"GSM8K accuracy of Qwen3 {size} {when} reinforcement learning, zero-shot",
            place="README of the repository, table",
            stated=value,
            unit="percent",
            tolerance=0.05,
            why="half a unit of the last printed digit",
            origin="release",
        )
        for when, values in (("before", _BEFORE), ("after", _AFTER))
        for size, value in zip(_SIZES, values, strict=True)
    ),
    Figure(
        key="coefficient",
        statement="Gain in GSM8K accuracy = coefficient x size^exponent, size in billions: coefficient",
        place="README of the repository",
        stated=10.7,
        tolerance=0.05,
        why="half a unit of the last printed digit",
        origin="release",
        claim_id="rl_grpo_qwen3/gain/coefficient",
        unless=_CONTRADICTED,
    ),
    Figure(
        key="exponent",
        statement="Gain in GSM8K accuracy = coefficient x size^exponent, size in billions: exponent",
        place="README of the repository",
        stated=0.194,
        tolerance=5e-4,
        why="half a unit of the last printed digit",
        origin="release",
        claim_id="rl_grpo_qwen3/gain/exponent",
        unless=_CONTRADICTED,
    ),
)
def gains(db: Warehouse) -> dict[str, float]:
    """Scores before and after (the run with the flexible reward), and a power law through their differences."""
    rows = db.sql("""
        select model_name, run_id, eval_set, 100 * value as score from evals join runs using (run_id)
        where evals.source_id = 'rl_grpo_qwen3' and metric = 'acc' and n_shots = 0
            and eval_set in ('gsm8k', 'gsm8k:custom_flexible')
    """)
    before = {run.split("/")[1]: score for _, run, task, score in rows.rows() if task == "gsm8k:custom_flexible"}
    after = {
        run.split("/")[1]: score
        for _, run, task, score in rows.rows()
        if task == "gsm8k" and run.count("flexible-global")
    }
    ours = {f"before_{size}": before[f"qwen3-{size}-base"] for size in _SIZES}
    for size in _SIZES:
        (name,) = (name for name in after if name.startswith(f"qwen3-{size.replace('.', '-')}-grpo"))
        ours[f"after_{size}"] = after[name]
    gain = [ours[f"after_{size}"] - ours[f"before_{size}"] for size in _SIZES]
    exponent, intercept = np.polyfit(np.log(list(_SIZES.values())), np.log(gain), 1)
    return ours | {"coefficient": float(np.exp(intercept)), "exponent": float(exponent)}


learning_efficiency = untestable(
    "rl_grpo_qwen3.learning_efficiency",
    Figure(
        key="learning_efficiency",
        statement="Larger models learn more per unit of compute of reinforcement learning, and per sample",
        place="abstract of arXiv 2509.25300",
        low=0.0,
        why="the rate k(N) at which log loss falls with log compute grows with size",
        claim_id="2509.25300/1",
    ),
    because=(
        "The curves here give accuracy by step; samples and compute a step, and the reward of each curve, are not "
        "stored, and runs of different sizes stop after different numbers of steps. Test loss by compute for each size "
        "would be needed."
    ),
)
