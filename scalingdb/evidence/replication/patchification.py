"""Patchification: accuracy by the number of tokens of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ABSTRACT = "arXiv 2502.03738, abstract"


@replication(
    Figure(
        key="steps_down",
        statement="Steps to a smaller patch, along five series, at which accuracy falls",
        place=_ABSTRACT,
        high=0,
        unit="count",
        why="accuracy keeps improving down to one pixel",
        claim_id="2502.03738/1",
    ),
    Figure(
        key="longest",
        statement="Tokens of the longest sequence",
        place=_ABSTRACT,
        stated=50176,
        unit="tokens",
        tolerance=0,
        why="a count is exact",
        claim_id="2502.03738/2",
    ),
    Figure(
        key="best",
        statement="ImageNet accuracy of the base-sized model with 50,176 tokens per image",
        place=_ABSTRACT,
        unit="percent",
        claim_id="2502.03738/3",
        **printed("84.6"),
    ),
)
def tokens(db: Warehouse) -> dict[str, float]:
    """Five series of patch sizes."""
    rows = evaluations(db, "patchification").sort("family", "tokens_per_sample")
    steps = [np.diff(part["value"].to_numpy()) for _, part in rows.group_by("family")]
    best = rows.filter(family="adventurer_base-224").sort("tokens_per_sample")
    return {
        "steps_down": int(sum((step <= 0).sum() for step in steps)),
        "longest": float(rows["tokens_per_sample"].to_numpy().max()),
        "best": 100 * best["value"][-1],
    }
