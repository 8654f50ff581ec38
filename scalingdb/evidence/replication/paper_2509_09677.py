"""Long horizons: success over many steps from the accuracy of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    *(
        Figure(
            key=f"p{100 * p:g}",
            statement=f"Success over 100 steps of accuracy {p}",
            place="arXiv 2509.09677, section on the horizon, as notes quote it",
            unit="percent",
            **printed(text),
        )
        for p, text in ((0.95, "0.6"), (0.99, "36.6"))
    ),
)
def hundred_steps(_db: Warehouse) -> dict[str, float]:
    """Independent steps multiply."""
    return {f"p{100 * p:g}": 100 * p**100 for p in (0.95, 0.99)}
