"""DataComp-LM: the ranking of data recipes at one scale and at the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations, pearson, spearman

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_OWN = "earlier recomputation from the released table"
_PAIRS = {
    "412m": ("412M at 8.2B tokens", "6.9B at 138B tokens", ("0.875", "0.855", 11)),
    "1.4b": ("1.4B at 28.8B tokens", "6.9B at 138B tokens", ("0.799", "0.703", 17)),
}
_TOKENS = {"412m": 8_232_325_120.0, "1.4b": 28_795_904_000.0, "6.9b": 137_788_211_200.0}


def _by_recipe(rows: pl.DataFrame, family: str) -> pl.DataFrame:
    rows = rows.filter(pl.col("family") == family, pl.col("run_tokens") == _TOKENS[family])
    return rows.group_by("corpus").agg(pl.col("value").mean())


@replication(
    *(
        Figure(
            key=f"{small}.{name}",
            statement=f"{label} of Core over recipes trained at {low} and at {high}",
            place=_OWN,
            origin="own",
            **(
                printed(value)
                if isinstance(value, str)
                else {"stated": value, "tolerance": 0, "why": "a count is exact"}
            ),
        )
        for small, (low, high, values) in _PAIRS.items()
        for name, label, value in zip(
            ("pearson", "spearman", "n"),
            ("Pearson correlation", "Rank correlation", "Number of pairs"),
            values,
            strict=True,
        )
    ),
)
def rankings(db: Warehouse) -> dict[str, float]:
    """Mean Core of each recipe at both scales."""
    rows = evaluations(db, "dclm", "r.study = 'database' and e.eval_set = 'core_v1'")
    found: dict[str, float] = {}
    for small in _PAIRS:
        one, other = _by_recipe(rows, small), _by_recipe(rows, "6.9b")
        pairs = one.join(other, on="corpus").sort("corpus")
        found |= {
            f"{small}.pearson": pearson(pairs["value"], pairs["value_right"]),
            f"{small}.spearman": spearman(pairs["value"], pairs["value_right"]),
            f"{small}.n": pairs.height,
        }
    return found
