"""ProteinGym: mean correlation by size, and the turn of ESM-2 assay by assay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import stats

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_LADDERS = {
    "esm2": ("0.206", "0.319", "0.401", "0.438", "0.432", "0.425"),
    "rita": ("0.310", "0.362", "0.377", "0.384"),
    "progen2": ("0.344", "0.392", "0.392", "0.406"),
    "progen3": ("0.272", "0.318", "0.349", "0.375", "0.402", "0.411"),
    "carp": ("0.092", "0.270", "0.326", "0.390"),
    "xtrimopglm-mlm": ("0.397", "0.427", "0.422"),
}
_OWN = "earlier recomputation from the released table of assays"


@replication(
    *(
        Figure(
            key=f"{family}.{i}",
            statement=f"Mean Spearman correlation over 217 assays, family {family}, size {i} of {len(means)}",
            place=_OWN,
            origin="own",
            **printed(text),
        )
        for family, means in _LADDERS.items()
        for i, text in enumerate(means, 1)
    ),
    Figure(
        key="worse",
        statement="Assays (of 217) on which ESM-2 of 15B scores below that of 650M",
        place=_OWN,
        stated=116,
        unit="count",
        tolerance=0,
        why="a count is exact",
        origin="own",
    ),
    Figure(
        key="rise",
        statement="Paired t of ESM-2 at 650M against 8M, one mean difference per protein",
        place="own check",
        low=3.0,
        why="a rise beyond doubt",
        origin="own",
    ),
    Figure(
        key="fall",
        statement="Paired t of ESM-2 at 15B against 650M, one mean difference per protein",
        place="own check",
        high=-1.96,
        why="a fall at the level of 5 %",
        origin="own",
        unless=(
            "Assays of one protein are not independent. With one mean difference per protein the fall is 1.1 standard "
            "errors: the turn is a matter of assays, not established for proteins."
        ),
    ),
    Figure(
        key="fall_by_assay",
        statement="p of Wilcoxon's signed-rank test that ESM-2 of 15B differs from 650M, paired by assay (217)",
        place="own check",
        high=0.05,
        why="paired by assay the fall is distinguishable from chance: with the rise before it, an inverted U",
        origin="own",
    ),
)
def ladders(db: Warehouse) -> dict[str, float]:
    """Means by size; the turn paired by protein, because assays of one protein are not independent."""
    rows = evaluations(db, "proteingym", "e.eval_set != 'average' and r.n_params is not null")
    found: dict[str, float] = {}
    for family in _LADDERS:
        means = rows.filter(family=family).group_by("n_params").agg(pl.col("value").mean()).sort("n_params")
        found |= {f"{family}.{i}": value for i, value in enumerate(means["value"], 1)}
    esm = rows.filter(family="esm2").pivot("n_params", index="eval_set", values="value")
    small, peak, large = (esm[str(size)] for size in (8e6, 650e6, 15e9))
    proteins = pl.DataFrame(
        {
            "protein": esm["eval_set"].str.split("_").list.head(2).list.join("_"),
            "rise": peak - small,
            "fall": large - peak,
        }
    )
    by_protein = proteins.group_by("protein").agg(pl.col("rise", "fall").mean())
    t = {name: float(stats.ttest_1samp(by_protein[name].to_numpy(), 0.0).statistic) for name in ("rise", "fall")}
    fall = (large - peak).to_numpy()
    return found | {
        "worse": int(np.sum(fall < 0)),
        "fall_by_assay": float(stats.wilcoxon(fall).pvalue),
        **t,
    }
