"""Observational scaling: principal components of public models' scores, and capability against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb import downstream
from scalingdb.evidence.replication._core import Figure, replication, untestable

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_BENCHMARKS = (
    "mmlu",
    "arc_challenge",
    "hellaswag",
    "winogrande",
    "truthfulqa_mc",
    "gsm8k",
    "xwinograd",
    "humaneval",
)
_FAMILIES = (
    "Llama-2",
    "Llama",
    "Llama-3",
    "Qwen1.5",
    "Qwen",
    "Mistral",
    "Mixtral",
    "Yi",
    "Gemma",
    "Falcon",
    "Phi",
    "Pythia",
    "BLOOM",
    "GPT-Neo/J",
    "OPT",
    "MPT",
    "XGLM",
    "CodeLlama",
    "StarCoder",
    "StarCoder2",
    "DeepSeek-Coder",
)
"""The paper's own selection."""

_EARLIER = "earlier recomputation from base_llm_benchmark_eval.csv"
_PAPER = "arXiv 2405.10938, section on principal capabilities"
_DIGIT = "half a unit of the last digit stated"
_COMPLETE = "Models with all eight scores, 74 of the paper's 80; the paper fills in the missing ones."


@replication(
    *(
        Figure(
            key=key,
            statement=statement,
            place=_EARLIER,
            stated=value,
            unit=unit,
            tolerance=tolerance,
            why="a count is exact" if tolerance == 0 else _DIGIT,
            origin="own",
        )
        for key, statement, value, unit, tolerance in (
            ("models", "Base models", 148, "count", 0),
            ("families", "Families of base models", 47, "count", 0),
            ("without_compute", "Base models without training compute", 25, "count", 0),
            ("complete", "Models with all eight scores", 124, "count", 0),
            ("share_1", "Variance of their centred scores on the first component", 0.843, "fraction", 5e-4),
            ("share_2", "Variance on the first two components", 0.943, "fraction", 5e-4),
            ("share_3", "Variance on the first three components", 0.974, "fraction", 5e-4),
            ("paper_models", "Models of the paper's 21 families", 80, "count", 0),
            ("paper_complete", "Those with all eight scores", 74, "count", 0),
            ("paper_share_1", "Their variance on the first component", 0.812, "fraction", 5e-4),
            ("paper_share_2", "Their variance on the first two components", 0.925, "fraction", 5e-4),
            ("paper_share_3", "Their variance on the first three components", 0.969, "fraction", 5e-4),
            ("trends", "Families of three models or more with compute", 20, "count", 0),
            ("r2", "First component against log compute within a family: median R2", 0.970, "fraction", 5e-4),
            ("r2_worst", "The worst of these families, StableLM", 0.075, "fraction", 5e-4),
            ("r2_second", "The second worst, OLMo", 0.511, "fraction", 5e-4),
            ("paper_r2", "Median R2 of the paper's families", 0.973, "fraction", 5e-4),
        )
    ),
    Figure(
        key="printed_1",
        statement="The first principal component explains about 80 % of the variance",
        place=_PAPER,
        stated=80,
        unit="percent",
        tolerance=2.5,
        why="stated as 'about', to the nearest five",
        choice=_COMPLETE,
    ),
    Figure(
        key="printed_3",
        statement="The first three principal components explain about 97 % of the variance",
        place=_PAPER,
        stated=97,
        unit="percent",
        tolerance=0.5,
        why=_DIGIT,
        choice=_COMPLETE,
    ),
)
def components(db: Warehouse) -> dict[str, float]:
    """Principal components of eight benchmarks, and their first against compute."""
    keys = ["run_id", "family", "n_params", "n_tokens", "train_flops"]
    scores = db.sql("""
        select s.run_id, r.family, r.n_params, r.n_tokens, r.train_flops, s.task, s.score
        from scores s join runs r on r.run_id = s.run_id
        where s.source_id = 'obs_scaling' and s.raw_file like '%base_llm_benchmark_eval.csv' order by s.run_id
    """).pivot("task", index=keys, values="score")
    base = db.sql("select family, train_flops from runs where source_id = 'obs_scaling' and study = 'base'")
    complete = scores.drop_nulls(_BENCHMARKS)
    chosen = pl.col("family").is_in(_FAMILIES)
    every = downstream.principal_capabilities(complete, _BENCHMARKS, impute=0)
    paper = downstream.principal_capabilities(complete.filter(chosen), _BENCHMARKS, impute=0)
    trends, paper_trends = downstream.family_trends(every.scores), downstream.family_trends(paper.scores)
    r2 = dict(trends.select("family", "r2").iter_rows())
    shares, paper_shares = np.cumsum(every.explained), np.cumsum(paper.explained)
    return {
        "models": base.height,
        "families": base["family"].n_unique(),
        "without_compute": scores["n_tokens"].null_count(),
        "complete": every.n_fitted,
        "paper_models": scores.filter(chosen).height,
        "paper_complete": paper.n_fitted,
        "trends": trends.height,
        "r2": float(np.median(trends["r2"].to_numpy())),
        "r2_worst": r2["StableLM"],
        "r2_second": r2["OLMo"],
        "paper_r2": float(np.median(paper_trends["r2"].to_numpy())),
        "printed_1": 100 * float(paper_shares[0]),
        "printed_3": 100 * float(paper_shares[2]),
        **{f"share_{i + 1}": float(shares[i]) for i in range(3)},
        **{f"paper_share_{i + 1}": float(paper_shares[i]) for i in range(3)},
    }


big_bench = untestable(
    "obs_scaling.big_bench",
    Figure(
        key="jumps",
        statement="Many BIG-bench tasks improve in a jump at the largest size",
        place="arXiv 2204.02311, abstract",
        low=0.25,
        unit="fraction",
        why="many: a quarter of the tasks",
        claim_id="2204.02311/3",
    ),
    because=(
        "The claim is about three sizes of PaLM on some 150 BIG-bench tasks. The BIG-bench scores here "
        "are seven tasks, chosen "
        "because they emerge, of other models: a share of them says nothing about BIG-bench. PaLM's "
        "scores would be needed."
    ),
)


_DATES = (
    "Density is the size of a reference model of equal score over the model's size. The tables here have "
    "no release dates, and "
    "no reference family of known loss and score on the same benchmarks; both would be needed."
)


density = untestable(
    "obs_scaling.density",
    Figure(
        key="doubling",
        statement="Capacity density of open base models doubles about every 3 months",
        place="arXiv 2412.04315, abstract",
        stated=3,
        unit="months",
        tolerance=0.5,
        why=_DIGIT,
        claim_id="2412.04315/1",
    ),
    Figure(
        key="exponential",
        statement="Capacity density grows exponentially with release date: R2 of log density on date",
        place="arXiv 2412.04315, abstract",
        low=0.9,
        unit="fraction",
        why="a line in logarithms that leaves a tenth of the variance at most",
        claim_id="2412.04315/2",
    ),
    because=_DATES,
)
