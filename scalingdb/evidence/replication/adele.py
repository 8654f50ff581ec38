"""ADeLe: the decoded rates are counts, and abilities rise with size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations, spearman

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ABSTRACT = "arXiv 2503.06378, abstract"
_COUNT = "a count is exact"


@replication(
    Figure(
        key="off_integer",
        statement="Largest distance of rate times number of items from an integer, over 1,290 rates read off figures",
        place="own check of the decoded coordinates",
        high=0.015,
        unit="items",
        why="an error of reading that cannot change any count",
        origin="own",
    ),
    Figure(
        key="dimensions",
        statement="Dimensions with an ability score",
        place=_ABSTRACT,
        stated=18,
        unit="count",
        tolerance=0,
        why=_COUNT,
        claim_id="2503.06378/1",
    ),
    Figure(
        key="models",
        statement="Models profiled",
        place=_ABSTRACT,
        stated=15,
        unit="count",
        tolerance=0,
        why=_COUNT,
        claim_id="2503.06378/2",
    ),
    Figure(
        key="falling",
        statement="Least rank correlation of mean ability with size, over the two families that have several sizes",
        place="own check",
        low=0.999,
        why="larger models of one family have higher abilities, without exception",
        origin="own",
    ),
    Figure(
        key="levels",
        statement=(
            "Series of a model and dimension (of 270) in which the rate at the highest level is below that at the "
            "lowest"
        ),
        place="own check",
        low=243,
        unit="count",
        why="nine in ten: a scale of demands has to make items harder",
        origin="own",
    ),
)
def demand_levels(db: Warehouse) -> dict[str, float]:
    """Rates by level, abilities by size."""
    rows = evaluations(db, "adele")
    rates = rows.filter(metric="acc")
    counts = rates["value"] * rates["n_items"]
    abilities = rows.filter(metric="ability")
    mean = abilities.drop_nulls("n_params").group_by("family", "n_params").agg(pl.col("value").mean())
    rising = [spearman(part["n_params"], part["value"]) for _, part in mean.group_by("family")]
    ends = (
        rates.sort("demand_level")
        .with_columns(dimension=pl.col("eval_set").str.split(":").list.first())
        .group_by("run_id", "dimension")
        .agg(first=pl.col("value").first(), last=pl.col("value").last())
    )
    return {
        "off_integer": float((counts - counts.round()).abs().to_numpy().max()),
        "dimensions": abilities["eval_set"].n_unique(),
        "models": rows["run_id"].n_unique(),
        "falling": min(rising),
        "levels": int((ends["last"] < ends["first"]).sum()),
    }
