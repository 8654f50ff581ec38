"""Distillation scaling laws: losses of students, read off a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SUPERVISED = {"E": 1.220, "A": 3355.0, "alpha": 0.408, "B": 18186.0, "beta": 0.431, "gamma": 0.452}


supervised = untestable(
    "distillation_scaling.supervised",
    *(
        Figure(
            key=name,
            statement=f"Loss without distillation, (E + (A / N^alpha + B / D^beta)^gamma): {name}",
            place="arXiv 2502.08606, coefficients of the supervised law",
            stated=value,
            tolerance=5e-4 if value < 10 else 0.5,
            why="half a unit of the last printed digit",
            claim_id=f"2502.08606/supervised/{name}",
        )
        for name, value in _SUPERVISED.items()
    ),
    because=(
        "The law holds for models trained without a teacher, and every run in the warehouse is distilled. The "
        "supervised losses by size and tokens, which the paper plots but does not release, would be needed."
    ),
)


@replication(
    *(
        Figure(
            key=key,
            statement=f"Distilled students of the figure: {what}",
            place="earlier count in the digitised table",
            stated=value,
            unit="count",
            tolerance=0,
            why="a count",
            origin="own",
        )
        for key, what, value in (
            ("n_runs", "runs", 354),
            ("n_sizes", "sizes of student", 7),
            ("n_lengths", "numbers of tokens", 17),
        )
    ),
    Figure(
        key="gap",
        statement=(
            "Capacity gap: cells of one size and one number of tokens in which the best teacher's student is worse "
            "than the best student by more than 0.005 nats, as a share"
        ),
        place="abstract and figure of the capacity gap",
        low=0.5,
        unit="fraction",
        why="most cells; 0.005 is a hundred units of the last digit that was read off the figure",
    ),
)
def students(db: Warehouse) -> dict[str, float]:
    """Counts, and how often a better teacher makes a worse student."""
    rows = db.sql("""
        select n_params, runs.n_tokens, teacher_loss, value as loss from runs join evals using (run_id)
        where runs.source_id = 'distillation_scaling' order by n_params, runs.n_tokens, teacher_loss
    """)
    means = rows.group_by("n_params", "n_tokens", "teacher_loss", maintain_order=True).agg(pl.col("loss").mean())
    cells = means.group_by("n_params", "n_tokens").agg(
        n_teachers=pl.len(), excess=pl.col("loss").sort_by("teacher_loss").first() - pl.col("loss").min()
    )
    several = cells.filter(pl.col("n_teachers") > 1)
    return {
        "n_runs": rows.height,
        "n_sizes": rows["n_params"].n_unique(),
        "n_lengths": rows["n_tokens"].n_unique(),
        "gap": several.filter(pl.col("excess") > 0.005).height / several.height,
    }
