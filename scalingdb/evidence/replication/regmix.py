"""RegMix: a linear regression on small runs ranks mixtures at all sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations, spearman

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_RANKS = {"1m": "0.902", "60m": "0.893", "1b": "0.877"}


@replication(
    *(
        Figure(
            key=size,
            statement=(
                f"Rank correlation of predicted and measured loss on Pile-CC over the test mixtures at {size}: linear "
                "regression on the shares, fitted to the 512 runs of 1M parameters"
            ),
            place="earlier recomputation from the released runs",
            origin="own",
            **printed(text),
        )
        for size, text in _RANKS.items()
    ),
    tables=("mixtures",),
)
def linear(db: Warehouse) -> dict[str, float]:
    """Least squares with a constant; the shares add up to one only nearly."""
    losses = evaluations(db, "regmix", "e.eval_set = 'pile_cc'").select("run_id", "family", "split", "value")
    shares = db.sql("select run_id, domain, share from mixtures where source_id = 'regmix'").pivot(
        "domain", index="run_id", values="share"
    )
    rows = losses.join(shares, on="run_id").sort("run_id")
    domains = sorted(set(shares.columns) - {"run_id"})

    def design(frame: pl.DataFrame) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.column_stack([np.ones(frame.height), frame.select(domains).to_numpy()])

    seen = rows.filter(split="fit")
    weights = np.linalg.lstsq(design(seen), seen["value"].to_numpy(), rcond=None)[0]
    found = {}
    for size in _RANKS:
        test = rows.filter(split="validation", family=size)
        found[size] = spearman(pl.Series(design(test) @ weights), test["value"])
    return found
