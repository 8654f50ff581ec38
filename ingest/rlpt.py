"""Reinforcement learning on pre-training data: scores of three models by stage of training (arXiv 2509.19249)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "scores_by_stage.csv", 104
SIZES = {"Llama-3.2-3B-Base": 3e9, "Qwen3-4B-Base": 4e9, "Qwen3-8B-Base": 8e9}
TITLE = "Reinforcement Learning on Pre-Training Data"
AUTHORS = "Siheng Li, Kejiao Li, Zenan Xu and others"

SOURCE = Source(
    source_id="rlpt",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2509.19249",
    licence="none stated",
    redistribution="104 printed scores as our own table of facts with citation",
    headline_metric="task_score",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Tables 1 and 2: three base models (base_model; sizes in their names) before training, after a cold start, "
        "after "
        "RL on pre-training data, and for Qwen3-4B with RL on verifiable rewards instead or in addition (the family). "
        "pass@1 and pass@8 come from 64 samples; the eval set names them ('aime24:pass_8'). Scores of the untrained "
        "models measure formatting, not ability (MMLU 4 %): they are flagged where they lie below guessing. The curve "
        "against training tokens is a figure."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2509.19249"),
)
GUESSING = {"mmlu": 0.25, "mmlu_pro": 0.1, "gpqa_diamond": 0.25}


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model and stage."""
    text = dict.fromkeys(("base_model", "training_stage", "benchmark", "metric"), pl.String)
    rows = raw.csv(FILE, {**text, "score_percent": pl.Float64}, rows=N_ROWS, comments=1)
    plain = pl.col("metric") == "accuracy"
    rows = rows.with_columns(
        run_id=pl.format("rlpt/{}/{}", slug(pl.col("base_model")), slug(pl.col("training_stage"))),
        benchmark=slug(pl.col("benchmark").str.replace_all("-", "_")),
        passes=pl.col("metric").str.extract(r"(\d+)").cast(pl.Float64),
        is_accuracy=plain,
    )
    below = pl.col("value") < pl.col("eval_set").replace_strict(GUESSING, default=0.0)
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        eval_set=pl.when("is_accuracy")
        .then("benchmark")
        .otherwise(pl.format("{}:pass_{}", "benchmark", pl.col("passes").cast(pl.Int64))),
        n_samples="passes",
        value=pl.col("score_percent") / 100,
        raw_field=pl.lit("score_percent"),
    ).with_columns(
        flag=pl.when(below).then(pl.lit("below_guessing")),
        flag_reason=pl.when(below).then(
            pl.lit("below what guessing gives: the answers could not be read, which says nothing of ability")
        ),
    )
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        "base_model",
        study=pl.lit("rlpt"),
        model_name=pl.format("{}, {}", "base_model", "training_stage"),
        family=slug(pl.col("training_stage")),
        architecture=pl.lit("decoder"),
        n_params=pl.col("base_model").replace_strict(SIZES),
    )
    return {
        "runs": conform("runs", runs, "rlpt"),
        "evals": measured("rlpt", evals, metric="task_score", unit="fraction"),
    }
