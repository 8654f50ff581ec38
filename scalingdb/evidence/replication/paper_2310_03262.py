"""Predictable emergence: the predicted pass rate of the 2.4B model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_PREDICTED, _MEASURED = 0.05987, 0.05990


@replication(
    Figure(
        key="humaneval",
        statement="Relative error of the predicted pass rate of the 2.4B model on HumanEval: 0.05987 against 0.05990",
        place="arXiv 2310.03262, abstract and table 1, as notes quote them",
        stated=0.05,
        unit="percent",
        tolerance=0.01,
        why="the two rates are printed to four digits, which leaves a tenth of a permille each",
        claim_id="2310.03262/1",
    ),
)
def prediction(_db: Warehouse) -> dict[str, float]:
    """From the printed rates."""
    return {"humaneval": 100 * abs(_PREDICTED / _MEASURED - 1)}
