"""Stacking: the README's four examples of when to grow a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.law_library import get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_EXAMPLES = {
    "llama3_8b": (8e9, 15e12, "6.58"),
    "llama2_7b": (7e9, 2e12, "11.11"),
    "llama2_13b": (13e9, 2e12, "15.84"),
    "llama2_70b": (70e9, 2e12, "42.48"),
}


@replication(
    *(
        Figure(
            key=name,
            statement=(
                f"Tokens after which to stack, in billions, for {size / 1e9:g}B parameters and {tokens / 1e12:g}T "
                "tokens"
            ),
            place="release, README, table of examples",
            unit="billion tokens",
            origin="release",
            **printed(text),
        )
        for name, (size, tokens, text) in _EXAMPLES.items()
    ),
)
def examples(_db: Warehouse) -> dict[str, float]:
    """The law with its published coefficients, C = 6 N D."""
    law = get_law("gstack_timing")
    return {
        name: float(law(size, 6 * size * tokens, variant="published")) / 1e9
        for name, (size, tokens, _) in _EXAMPLES.items()
    }
