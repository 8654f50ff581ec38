"""Tables of comparisons, practices and the arena on shipped rows: ``python tests/_judged.py`` stores them.

The stored figures are our own output. They are there so that moving code shows when it moves a number.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import polars as pl

import scalingdb as sdb
from scalingdb import practices

STORED = Path(__file__).parent / "golden" / "judged_tables.csv"


def comparisons(db: sdb.Warehouse) -> dict[str, pl.DataFrame]:
    """`tidy` and `pairwise` of three comparisons: plain, with refits, and with each corpus left out in turn.

    Laws whose covariance keeps its digits: where it loses them, a score is missing on one machine and not on another.
    """
    chinchilla, gadre = db.points("epoch_chinchilla"), db.points("gadre_overtraining")
    found = {
        "scale": sdb.compare(
            chinchilla, ["chinchilla", "kaplan_lnd", "gadre_overtrain"], sdb.largest("n_params", 0.1), bootstrap=0
        ),
        "refits": sdb.compare(chinchilla, ["chinchilla", "kaplan_lnd"], sdb.largest("n_params", 0.1), bootstrap=60),
        "groups": sdb.compare(gadre, ["chinchilla", "kaplan_lnd"], sdb.holdouts.each("family"), pool=True, bootstrap=0),
    }
    tables = {f"{name} tidy": item.tidy().drop("verdict", "interval") for name, item in found.items()}
    return tables | {f"{name} pairwise": item.pairwise().drop("resampled", "verdict") for name, item in found.items()}


def trials(db: sdb.Warehouse) -> dict[str, pl.DataFrame]:
    """`tidy` of four practices on the curves of the warehouse.

    Two models do not determine the law: where such fits end, and every ratio to them, hangs on the last digits of
    the machine.
    """
    curves = practices.corpus(db).filter(pl.col("unit").is_in(["opt", "gpt3", "routed", "gemstones"]))
    number = practices.small_models(curves, unit="unit", counts=(2, 4), subsets=4, checkpoints=10).tidy()
    number = number.select(pl.exclude("^ratio.*$")).filter(pl.any_horizontal(pl.col(pl.String) == "4 models"))
    return {
        "checkpoints": practices.checkpoints_or_finals(curves, unit="unit", checkpoints=10).tidy(),
        "beginning": practices.drop_first_tokens(curves, unit="unit", cuts=(0, 0.1, 0.3), checkpoints=10).tidy(),
        "number": number,
        "borrowed": practices.borrow(curves, unit="unit", checkpoints=10).tidy(),
    }


def standings() -> dict[str, pl.DataFrame]:
    """Tables of the arena's stored cells."""
    board = sdb.arena.leaderboard().drop("same_curve", "resampled", "origin")
    return {
        "leaderboard": board.with_columns(law=pl.format("{} {}", "track", "law")).drop("track"),
        "distance": sdb.arena.by_distance("surface").with_columns(law=pl.format("{} {}", "law", "band")).drop("band"),
    }


def long(tables: dict[str, pl.DataFrame]) -> pl.DataFrame:
    """``table, row, column, value`` of every number of some tables."""
    parts = []
    for name, table in tables.items():
        keys = [column for column, kind in table.schema.items() if kind == pl.String and column != "finding"]
        numbers = [column for column, kind in table.schema.items() if kind.is_numeric()]
        values = [pl.col(number).cast(pl.Float64) for number in numbers]
        labelled = table.select(pl.concat_str(keys, separator=" / ").alias("row"), *values)
        parts.append(
            labelled.unpivot(numbers, index="row", variable_name="column").select(
                pl.lit(name).alias("table"), "row", "column", pl.col("value").round_sig_figs(6)
            )
        )
    return pl.concat(parts)


def every_table() -> dict[str, pl.DataFrame]:
    with sdb.connect() as db, warnings.catch_warnings():
        warnings.simplefilter("ignore", sdb.FitWarning)
        return comparisons(db) | trials(db) | standings()


if __name__ == "__main__":
    long(every_table()).sort("table", "row", "column").write_csv(STORED)
