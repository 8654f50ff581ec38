"""Implicit reference: published success rates, and whether larger models are attacked more often."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations, spearman

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_FOUR = {
    "llama_3_8b": ("llama-3-8b-chat-hf", 77),
    "llama_3_70b": ("llama-3-70b-chat-hf", 84),
    "qwen_2_7b": ("qwen2-7b-instruct", 80),
    "qwen_2_72b": ("qwen2-72b-instruct", 81),
    "gpt_4o_mini": ("gpt-4o-mini", 87),
    "gpt_4o": ("gpt-4o", 95),
    "claude_3.5_sonnet": ("claude-3-5-sonnet-20240620", 93),
}
_SIX = {"llama_3_8b": ("llama-3-8b-chat-hf", 83), "claude_3.5_sonnet": ("claude-3-5-sonnet-20240620", 96)}
_QWEN = {"qwen2-0.5b-instruct": 35, "qwen2-1.5b-instruct": 67, "qwen2-7b-instruct": 80, "qwen2-72b-instruct": 81}
_COUNT = "a count of 100 requests is exact"


@replication(
    *(
        Figure(
            key=f"{name}.k{k}",
            statement=f"Requests (of 100) on which the attack on {model} succeeds, {k} objectives, judged by GPT",
            place="release, README, table of success rates",
            stated=rate,
            unit="percent",
            tolerance=0,
            why=_COUNT,
            origin="release",
            claim_id=f"2410.03857/asr/{name}/k{k}",
        )
        for k, rates in ((4, _FOUR), (6, _SIX))
        for name, (model, rate) in rates.items()
    ),
    *(
        Figure(
            key=f"{model}.counted",
            statement=f"The same for {model}, four objectives",
            place="earlier recomputation from the released outcomes",
            stated=rate,
            unit="percent",
            tolerance=0,
            why=_COUNT,
            origin="own",
        )
        for model, rate in _QWEN.items()
    ),
    Figure(
        key="rising",
        statement="Rank correlation of success with size over four sizes of Qwen2",
        place="arXiv 2410.03857, abstract",
        low=0.999,
        why="the larger the model, the more often the attack succeeds",
        claim_id="2410.03857/2",
    ),
    Figure(
        key="above_90",
        statement=(
            "Share of the seven models of the README's table on which the attack succeeds more than 90 times of 100"
        ),
        place="arXiv 2410.03857, abstract",
        low=0.5,
        unit="fraction",
        why="'most models'",
        claim_id="2410.03857/1",
        unless="The released table has two of seven above 90 %: GPT-4o (95) and Claude 3.5 Sonnet (93).",
    ),
)
def success(db: Warehouse) -> dict[str, float]:
    """Success with the GPT judge and no context model."""
    rows = evaluations(db, "implicit_reference")
    rates = {
        (str(model), k): 100 * value
        for k in (4, 6)
        for model, value in rows.filter(eval_set=f"requests:k{k}:gpt").select("model_name", "value").iter_rows()
    }
    found = {f"{name}.k4": rates[model, 4] for name, (model, _) in _FOUR.items()}
    found |= {f"{name}.k6": rates[model, 6] for name, (model, _) in _SIX.items()}
    found |= {f"{model}.counted": rates[model, 4] for model in _QWEN}
    qwen = rows.filter(pl.col("eval_set") == "requests:k4:gpt", pl.col("family") == "qwen2")
    seven = [rates[model, 4] for model, _ in _FOUR.values()]
    return {name: round(value, 9) for name, value in found.items()} | {
        "rising": spearman(qwen["n_params"], qwen["value"]),
        "above_90": sum(value > 90 for value in seven) / len(seven),
    }
