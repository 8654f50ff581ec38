"""Superposition: slopes of the toy model's loss in its width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SLOPES = {"exponential": (-1.00545, 8), "power": (-0.98402, 32), "linear": (-0.88639, 32)}
"""Printed slope, and the smallest width that it covers."""


@replication(
    *(
        Figure(
            key=decay,
            statement=f"Slope of log loss on log width, strong superposition, {decay} decay, widths {start} to 1,024",
            place="release, LLMs/nonlinearfit-3.ipynb, cell 15",
            stated=slope,
            tolerance=5e-5,
            why="losses are read off a figure to 0.1 %, which moves a slope over two decades by less",
            origin="release",
            claim_id=f"2505.10465/slope/{decay}",
        )
        for decay, (slope, start) in _SLOPES.items()
    ),
    Figure(
        key="strong",
        statement="Farthest of the three exponents from 1",
        place="arXiv 2505.10465, abstract",
        high=0.15,
        why="near 1 whatever the decay: the farthest is 0.886",
        claim_id="2505.10465/1",
    ),
    Figure(
        key="weak",
        statement="Largest exponent with weak superposition, widths 32 to 1,024",
        place="arXiv 2505.10465, abstract",
        high=0.5,
        why="that of the features instead: well below 1, and another one for each decay",
        claim_id="2505.10465/2",
    ),
    Figure(
        key="weak_spread",
        statement="Largest exponent with weak superposition over the smallest",
        place="arXiv 2505.10465, abstract",
        low=2.0,
        unit="ratio",
        why="an exponent that is inherited from the features differs between decays, here more than twofold",
        claim_id="2505.10465/2",
    ),
)
def slopes(db: Warehouse) -> dict[str, float]:
    """Least squares of logarithms."""
    rows = evaluations(db, "superposition").sort("d_model")

    def slope(family: str, start: float) -> float:
        series = rows.filter((rows["family"] == family) & (rows["d_model"] >= start))
        return float(np.polyfit(np.log(series["d_model"].to_numpy()), np.log(series["value"].to_numpy()), 1)[0])

    found = {decay: slope(f"strong-{decay}", start) for decay, (_, start) in _SLOPES.items()}
    weak = [-slope(f"weak-{decay}", 32) for decay in _SLOPES]
    return found | {
        "strong": max(abs(value + 1) for value in found.values()),
        "weak": max(weak),
        "weak_spread": max(weak) / min(weak),
    }
