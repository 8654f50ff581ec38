"""U-PaLM: what UL2R saves, and the averages that the paper prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_PRINTED = {
    "palm": {182: ("62.7", "65.1"), 329: ("63.8", "65.9"), 780: ("66.5", "68.6")},
    "u_palm": {182: ("64.1", "66.5"), 329: ("66.2", "68.3"), 780: ("69.4", "71.3")},
}
"""Average of table 8 by tokens (billions): as printed, and over its 26 rows."""
_EMERGENT = {"palm": ("64.3", "64.2"), "u_palm": ("67.7", "67.7")}
_NOT_ITS_ROWS = (
    "The printed average is not the mean of the 26 rows of its table, for neither model at any number of tokens."
)


@replication(
    *(
        Figure(
            key=f"{model}.{billions}",
            statement=f"Average of the 26 tasks of table 8, {model.replace('_', '-')} at 540B after {billions}B tokens",
            place="arXiv 2210.11399, table 8",
            unit="percent",
            unless=_NOT_ITS_ROWS,
            **printed(average),
        )
        for model, averages in _PRINTED.items()
        for billions, (average, _) in averages.items()
    ),
    *(
        Figure(
            key=f"{model}.{billions}.rows",
            statement=f"Mean of the rows of table 8, {model.replace('_', '-')} at 540B after {billions}B tokens",
            place="earlier recomputation from table 8",
            unit="percent",
            origin="own",
            **printed(mean),
        )
        for model, averages in _PRINTED.items()
        for billions, (_, mean) in averages.items()
    ),
    Figure(
        key="emergent.palm",
        statement="Average of PaLM 540B over the 21 emergent tasks of BIG-bench",
        place="arXiv 2210.11399, table 1",
        unit="percent",
        unless="The mean of the 21 rows is 64.16.",
        **printed("64.3"),
    ),
    Figure(
        key="emergent.u_palm",
        statement="Average of U-PaLM 540B over the 21 emergent tasks of BIG-bench",
        place="arXiv 2210.11399, table 1",
        unit="percent",
        **printed("67.7"),
    ),
    Figure(
        key="multiplier",
        statement=(
            "Tokens at which PaLM 540B has the mean score of U-PaLM after 329B tokens, over 329B (interpolated in the "
            "logarithm of tokens)"
        ),
        place="arXiv 2210.11399, abstract",
        low=1.8,
        high=2.4,
        unit="ratio",
        why="'about half the compute', 'a factor of 2'; the paper's figure gives 2.35 for another set of tasks",
        claim_id="2210.11399/1",
    ),
    Figure(
        key="extra",
        statement="Compute that UL2R adds at 540B",
        place="arXiv 2210.11399, title; tables 4 and 5",
        unit="percent",
        claim_id="2210.11399/3",
        **printed("0.1"),
    ),
)
def averages(db: Warehouse) -> dict[str, float]:
    """Means over tasks, and compute at equal mean score."""
    rows = evaluations(db, "upalm_tables", "r.study in ('tokens', 'emergent')")
    means = {
        (str(study), str(family), tokens): 100 * value
        for study, family, tokens, value in rows.group_by("study", "family", "run_tokens")
        .agg(pl.col("value").mean())
        .iter_rows()
    }
    found: dict[str, float] = {}
    for model, by_tokens in _PRINTED.items():
        for billions in by_tokens:
            found[f"{model}.{billions}"] = means["tokens", model, billions * 1e9]
            found[f"{model}.{billions}.rows"] = found[f"{model}.{billions}"]
        found[f"emergent.{model}"] = means["emergent", model, 780e9]
    tokens = [billions * 1e9 for billions in _PRINTED["palm"]]
    palm = [means["tokens", "palm", value] for value in tokens]
    reached = np.exp(np.interp(means["tokens", "u_palm", 329e9], palm, np.log(tokens)))
    flops = db.sql("""
        select family, any_value(train_flops) as flops from runs
        where source_id = 'upalm_tables' and study = 'compute' and n_params = 540e9 group by family
    """)
    by_family = dict(flops.iter_rows())
    return found | {
        "multiplier": float(reached) / 329e9,
        "extra": 100 * (by_family["u_palm"] / by_family["palm"] - 1),
    }
