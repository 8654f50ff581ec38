"""Sloth's tables of public models: what they hold, and how few skills their scores span."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb import downstream
from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_FIRST = ("arc_challenge", "gsm8k", "hellaswag", "mmlu", "truthfulqa_mc", "winogrande")
_SECOND = (
    "leaderboard_bbh",
    "leaderboard_gpqa",
    "leaderboard_ifeval",
    "leaderboard_math_hard",
    "leaderboard_mmlu_pro",
    "leaderboard_musr",
)
_FILES = {"df_full_v1": 168, "df_full_v2": 216, "df_full": 98, "data_v2": 188}


@replication(
    *(
        Figure(
            key=f"rows.{name}",
            statement=f"Rows of {name}.csv",
            place=f"release, data/{name}.csv",
            stated=count,
            unit="count",
            tolerance=0,
            why="a count is exact",
            origin="own",
        )
        for name, count in _FILES.items()
    ),
    Figure(
        key="above_chance",
        statement="Rows of the second leaderboard's file whose scores are normalised so that chance is zero",
        place="release, data/df_full_v2.csv",
        stated=111,
        unit="count",
        tolerance=0,
        why="a count is exact: the file mixes two scales by row",
        origin="own",
    ),
    Figure(
        key="flops",
        statement="train_flops is 6 N D: largest relative difference",
        place="release, all four files",
        high=1e-9,
        unit="fraction",
        why="exact up to rounding in double precision",
        origin="own",
    ),
    Figure(
        key="low_rank",
        statement="Few skills span twelve benchmarks: variance of the centred scores on the first three components",
        place="arXiv 2412.06540, abstract (low-dimensional skills)",
        low=0.9,
        unit="fraction",
        why="three skills, as the paper takes, leave a tenth of the variance of twelve benchmarks at most",
    ),
)
def tables(db: Warehouse) -> dict[str, float]:
    """Counts, and the principal components of the models that both leaderboards hold on raw scales."""
    files = dict(db.sql("select raw_file, n_rows_in from raw_files where source_id = 'sloth'").iter_rows())
    scores = db.sql("""
        select e.run_id, r.family, e.eval_set, e.metric, e.value from evals e join runs r using (run_id)
        where e.source_id = 'sloth' order by e.run_id
    """)
    runs = db.sql("""
        select abs(train_flops / (6 * n_params * n_tokens) - 1) as off from runs
        where source_id = 'sloth' and train_flops is not null
    """)
    wide = scores.filter(
        pl.col("eval_set").is_in((*_FIRST, *_SECOND)) & (pl.col("metric") != "score_above_chance")
    ).pivot("eval_set", index=["run_id", "family"], values="value")
    skills = downstream.principal_capabilities(wide.drop_nulls((*_FIRST, *_SECOND)), (*_FIRST, *_SECOND), impute=0)
    normalised = scores.filter(metric="score_above_chance")["run_id"].n_unique()
    return {f"rows.{name}": files[f"data/{name}.csv"] for name in _FILES} | {
        "above_chance": normalised,
        "flops": float(runs["off"].to_numpy().max()),
        "low_rank": float(np.sum(skills.explained)),
    }


left_out_families = untestable(
    "sloth.left_out_families",
    Figure(
        key="better",
        statement="Sloth predicts the scores of a family left out better than laws of compute alone",
        place="arXiv 2412.06540, abstract",
        high=1.0,
        unit="ratio",
        why="mean error of Sloth over that of the best baseline, below one",
    ),
    because=(
        "The paper's errors by family stand in its figures only, and its baselines and selections are not "
        "part of the files; without them a comparison would be ours, not its."
    ),
)
