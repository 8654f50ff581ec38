"""Floating-point quantised training: the critical data sizes of the text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.law_library import get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_FORMATS = {"bf16": (8, 7, "1730"), "fp8_e4m3": (4, 3, "27"), "fp4_e2m1": (2, 1, "0.4")}
_BLOCK = 128


@replication(
    *(
        Figure(
            key=name,
            statement=f"Trillions of tokens beyond which training a 1B model in {name.replace('_', ' ')} gets worse",
            place="arXiv 2501.02423, section 4.3",
            unit="trillion tokens",
            choice="Blocks of 128, which the text does not name.",
            **(printed(text) if name != "bf16" else printed(text) | {"tolerance": 5.0, "why": "printed to the ten"}),
        )
        for name, (_, _, text) in _FORMATS.items()
    ),
)
def critical_data(_db: Warehouse) -> dict[str, float]:
    """Where the derivative of the law by tokens is zero."""
    p = get_law("fp_quant").published["published"].params
    return {
        name: (
            p["d"]
            * p["g"]
            * 1e9 ** p["a"]
            * (exponent + 0.5) ** p["dl"]
            * (mantissa + 0.5) ** p["nu"]
            / math.log2(_BLOCK)
        )
        ** (1 / (2 * p["b"]))
        / 1e12
        for name, (exponent, mantissa, _) in _FORMATS.items()
    }
