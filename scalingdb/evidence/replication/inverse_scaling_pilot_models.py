"""Inverse scaling, pilot experiments: losses in the order of sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_LOSSES = {
    "ada": "2.298",
    "babbage": "1.730",
    "curie": "1.383",
    "davinci": "1.097",
    "gpt2": "3.690",
    "gpt2-medium": "2.905",
    "gpt2-large": "2.562",
    "gpt2-xl": "2.364",
}
_OWN = "earlier recomputation from the result files"


@replication(
    *(
        Figure(
            key=model,
            statement=f"Mean loss of {model} on the last words of LAMBADA",
            place=_OWN,
            unit="nats_per_answer",
            origin="own",
            **printed(text),
        )
        for model, text in _LOSSES.items()
    ),
    *(
        Figure(
            key=f"syllogism.{model}",
            statement=f"Share of syllogisms that {model} gets right without an example",
            place=_OWN,
            unit="percent",
            origin="own",
            **printed(text),
        )
        for model, text in (("ada", "2.3"), ("davinci", "100"))
    ),
)
def losses(db: Warehouse) -> dict[str, float]:
    """Two experiments."""
    rows = evaluations(db, "inverse_scaling_pilot_models")
    lambada = rows.filter(rows["eval_set"].is_in(["lambada_gpt2", "lambada_gpt3"]), metric="answer_loss")
    found = dict(lambada.select("model_name", "value").iter_rows())
    right = dict(rows.filter(eval_set="syllogism-0shot-gpt3", metric="acc").select("model_name", "value").iter_rows())
    return {model: found[model] for model in _LOSSES} | {
        f"syllogism.{model}": 100 * right[model] for model in ("ada", "davinci")
    }
