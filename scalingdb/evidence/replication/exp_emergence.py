"""Wu and Lo: easy questions follow an inverted U, hard ones a U, and the mean stays flat until both rise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.downstream import difficulty_shapes
from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_COURSES = {
    "easy": ("Brier score of the easiest tenth (lower is better)", (0.363, 0.491, 0.541, 0.483, 0.462, 0.283)),
    "hard": ("Brier score of the hardest tenth (lower is better)", (0.758, 0.656, 0.613, 0.604, 0.571, 0.481)),
    "acc": ("accuracy over all questions", (0.269, 0.268, 0.272, 0.336, 0.383, 0.596)),
}
"""Means over sextiles of training compute, lowest compute first."""


@replication(
    *(
        Figure(
            key=f"{name}_{sextile}",
            statement=f"MMLU, models of compute sextile {sextile + 1} of 6: mean {what}",
            place="earlier recomputation from the released tables (ten groups)",
            stated=value,
            unit="fraction",
            tolerance=5e-4,
            why="half a unit of the last digit stated",
            origin="own",
        )
        for name, (what, values) in _COURSES.items()
        for sextile, value in enumerate(values)
    ),
    Figure(
        key="easy_worst",
        statement="MMLU: sextile at which the easiest tenth is worst, counted from 0: worse at first, then better",
        place="abstract (easy questions follow an inverted U followed by steady improvement)",
        low=1,
        high=4,
        unit="count",
        why="the worst is neither at the smallest nor at the largest compute",
    ),
    Figure(
        key="hard_falls",
        statement="MMLU: largest change of the Brier score of the hardest tenth between neighbouring sextiles",
        place="abstract (hard questions follow a U)",
        low=0.0,
        unit="fraction",
        why="a U of performance means that the Brier score rises somewhere before it falls",
        unless=(
            "On MMLU the hardest tenth improves from sextile to sextile and shows no U: its worst models are the "
            "smallest ones. The paper reads the U from several tasks together, and from a finer curve."
        ),
    ),
    Figure(
        key="easy_shape",
        statement="MMLU: the easiest tenth is first worse, then better (shape found by quadratic fits, 1 for yes)",
        place="abstract",
        low=1,
        unit="count",
        why="yes or no",
    ),
)
def mmlu_groups(db: Warehouse) -> dict[str, float]:
    """Means between the sextiles of log 6ND of the 65 models; the shape is found on all models at once."""
    rows = db.sql("""
        select task, metric, score, train_flops_6nd, run_id
        from scores
        where source_id = 'exp_emergence' and flag is null and train_flops_6nd is not null
            and (metric = 'brier' and task like 'mmlu:redist:t31.62:g10:%' or metric = 'acc' and task = 'mmlu')
    """)
    groups = {"easy": "mmlu:redist:t31.62:g10:0_1404", "hard": "mmlu:redist:t31.62:g10:12637_14042", "acc": "mmlu"}
    models = rows.filter(pl.col("task") == groups["easy"]).select("run_id", x=pl.col("train_flops_6nd").log10())
    edges = np.quantile(models["x"].to_numpy(), np.arange(1, 6) / 6)
    models = models.with_columns(sextile=pl.Series(np.digitize(models["x"].to_numpy(), edges, right=True)))
    ours: dict[str, float] = {}
    means = {}
    for name, task in groups.items():
        part = rows.filter(pl.col("task") == task).join(models, on="run_id")
        means[name] = part.group_by("sextile").agg(pl.col("score").mean()).sort("sextile")["score"].to_list()
        ours |= {f"{name}_{sextile}": mean for sextile, mean in enumerate(means[name])}
    tenths = rows.filter(pl.col("metric") == "brier").with_columns(
        first=pl.col("task").str.extract(r"(\d+)_\d+$").cast(pl.Int64)
    )
    shapes = dict(difficulty_shapes(tenths, "first").select("first", "shape").rows())
    return ours | {
        "easy_worst": means["easy"].index(max(means["easy"])),
        "hard_falls": max(later - earlier for earlier, later in zip(means["hard"], means["hard"][1:], strict=False)),
        "easy_shape": shapes[0] == "U",
    }


clustering = untestable(
    "exp_emergence.clustering",
    Figure(
        key="prediction",
        statement="Grouping items by difficulty and dropping groups that do not scale improves predictions",
        place="abstract of arXiv 2502.17262",
        low=0.0,
        why="the error with the dropped groups left in, less the error without them, is positive",
        claim_id="2502.17262/2",
    ),
    because=(
        "The paper clusters single test items by how their pass rates change within one family of models, and predicts "
        "a larger model of that family. Held are mean scores of groups cut by difficulty, over public models of many "
        "families; pass rates of single items for the sizes of one family would be needed."
    ),
)
