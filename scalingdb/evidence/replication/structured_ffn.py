"""Structured feed-forward layers: lower loss with fewer parameters at equal FLOP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    *(
        Figure(
            key=f"{size}.{name}",
            statement=f"{label} of the wide structured network over the dense one at the same FLOP, group {size}",
            place="arXiv 2406.16450, abstract and table 2",
            high=high,
            unit="ratio",
            why=why,
            claim_id="2406.16450/2",
        )
        for size in ("m", "l")
        for name, label, high, why in (
            ("perplexity", "Perplexity", 0.999, "lower, by more than half a unit of the last digit"),
            ("parameters", "Parameters", 0.7, "fewer: about two thirds"),
        )
    ),
    Figure(
        key="flops",
        statement="Largest printed FLOP over 6 N D of the seven models of table 1",
        place="own check of table 1",
        low=1.0,
        high=1.2,
        unit="ratio",
        why="attention adds a tenth",
        origin="own",
    ),
)
def equal_flops(db: Warehouse) -> dict[str, float]:
    """Wide and structured against dense, by group."""
    rows = evaluations(db, "structured_ffn")
    wide = rows.filter(study="wide")
    found = {}
    for size in ("m", "l"):
        dense = wide.filter(model_name=f"{size} Transformer-{size}")
        ours = wide.filter(model_name=f"{size} Ours (LowRank FFN + GQA)")
        found[f"{size}.perplexity"] = ours["value"].item() / dense["value"].item()
        found[f"{size}.parameters"] = ours["n_params"].item() / dense["n_params"].item()
    table = rows.filter(study="ffn_xl").select(
        ratio=pl.col("train_flops") / (6 * pl.col("n_params") * pl.col("run_tokens"))
    )
    return found | {"flops": float(table["ratio"].to_numpy().max())}
