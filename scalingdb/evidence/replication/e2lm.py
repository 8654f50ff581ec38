"""Early evaluation: sizes and tokens of the released checkpoints, and which benchmarks carry a signal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations, spearman

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_EARLY = 50e9
_SIGNAL = 0.6


@replication(
    Figure(
        key="smallest",
        statement="Parameters of the smallest model",
        place="arXiv 2506.07731, abstract",
        stated=5e8,
        unit="parameters",
        tolerance=0,
        why="a label is exact",
        claim_id="2506.07731/1",
    ),
    Figure(
        key="largest",
        statement="Parameters of the largest model",
        place="arXiv 2506.07731, abstract",
        stated=3e9,
        unit="parameters",
        tolerance=0,
        why="a label is exact",
        claim_id="2506.07731/1",
    ),
    Figure(
        key="tokens",
        statement="Tokens of the last checkpoint",
        place="arXiv 2506.07731, abstract",
        stated=200e9,
        unit="tokens",
        tolerance=5e9,
        why="a round number",
        claim_id="2506.07731/2",
        unless="The scores that the contest's page draws go on to 239.5 billion tokens.",
    ),
    Figure(
        key="silent",
        statement=(
            "Benchmarks (of 21 on a known scale) whose score has a rank correlation of at most 0.6 with tokens over "
            "the first 50 billion, in the median model"
        ),
        place="arXiv 2506.07731, abstract",
        low=6,
        unit="count",
        why="'often': more than a quarter of the benchmarks",
        claim_id="2506.07731/3",
    ),
    Figure(
        key="hellaswag",
        statement="That rank correlation for HellaSwag",
        place="own check",
        low=0.95,
        why="a benchmark with a signal from the beginning rises at nearly every checkpoint",
        origin="own",
    ),
)
def early_signal(db: Warehouse) -> dict[str, float]:
    """Rank correlation of score and tokens, by model and benchmark."""
    rows = evaluations(db, "e2lm")
    early = rows.filter(rows["n_tokens"] <= _EARLY)
    signals: dict[str, list[float]] = {}
    for (_, benchmark), part in early.group_by("run_id", "eval_set"):
        signals.setdefault(str(benchmark), []).append(spearman(part["n_tokens"], part["value"]))
    median = {name: sorted(values)[len(values) // 2] for name, values in signals.items()}
    sizes, tokens = rows["n_params"].to_numpy(), rows["n_tokens"].to_numpy()
    return {
        "smallest": float(sizes.min()),
        "largest": float(sizes.max()),
        "tokens": float(tokens.max()),
        "silent": sum(value <= _SIGNAL for value in median.values()),
        "hellaswag": median["hellaswag"],
    }
