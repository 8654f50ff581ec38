"""Densing law: the doubling times that follow from the printed slope."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SLOPE = 0.0073
"""Per day, of the logarithm of the best density (equation 5)."""
_CHIPS = 2.1 * 365.25
"""Days in which chip performance at a fixed price doubles (section 3.4)."""


@replication(
    Figure(
        key="density",
        statement="Days in which the best capability density doubles, from the printed slope 0.0073 a day",
        place="arXiv 2412.04315, section 3.3",
        stated=95,
        unit="days",
        tolerance=0.5,
        why="half a unit of the last digit stated",
    ),
    Figure(
        key="with_chips",
        statement="Days in which the effective size of models at a fixed price of chips doubles: 95 days and 2.1 years",
        place="arXiv 2412.04315, section 3.4",
        stated=88,
        unit="days",
        tolerance=0.5,
        why="half a unit of the last digit stated",
        unless="Rates add up to a doubling in 84.5 days: 88 needs a doubling of the density in 100 days, not in 95.",
    ),
)
def doubling(_db: Warehouse) -> dict[str, float]:
    """Exponential growth: rates add."""
    density = math.log(2) / _SLOPE
    return {"density": density, "with_chips": 1 / (1 / density + 1 / _CHIPS)}
