"""nanochat: exponents of the optimum under three counts of parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_PRINTED = {
    "kaplan": ("n_params_with_head", "0.54", "0.49", "0.52", "0.48"),
    "chinchilla": ("n_params", "0.37", "0.50", "0.37", "0.49"),
    "transformer": ("n_params_non_embedding", "0.70", "0.41", "0.68", "0.40"),
}
_OTHER = "The four printed optima give {}: the printed exponents must come from another fit of the runs."


@replication(
    *(
        Figure(
            key=f"{family}.{letter}",
            statement=f"Exponent of the optimal {letter} in compute, count '{family}'",
            place="release, dev/LOG.md, 27 January 2026",
            origin="release",
            unless="" if stated == ours else _OTHER.format(ours),
            **printed(stated),
        )
        for family, (_, n, d, n_ours, d_ours) in _PRINTED.items()
        for letter, stated, ours in (("N", n, n_ours), ("D", d, d_ours))
    ),
    *(
        Figure(
            key=f"{family}.{letter}.rows",
            statement=f"The same from the four printed optima: {letter}, count '{family}'",
            place="earlier recomputation from dev/LOG.md",
            origin="own",
            **printed(ours),
        )
        for family, (_, _, _, n_ours, d_ours) in _PRINTED.items()
        for letter, ours in (("N", n_ours), ("D", d_ours))
    ),
)
def exponents(db: Warehouse) -> dict[str, float]:
    """Least squares of logarithms over four budgets."""
    rows = evaluations(db, "nanochat").sort("train_flops")
    found: dict[str, float] = {}
    for family, (column, *_) in _PRINTED.items():
        part = rows.filter(family=family)
        compute = np.log(part["train_flops"].to_numpy())
        for letter, name in (("N", column), ("D", "run_tokens")):
            slope = float(np.polyfit(compute, np.log(part[name].to_numpy()), 1)[0])
            found[f"{family}.{letter}"] = found[f"{family}.{letter}.rows"] = slope
    return found
