"""Language-centric embeddings: two backbones under five ways of contrastive training (arXiv 2510.11693)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "training_strategies.csv", 70
SIZES = {"Qwen2.5-VL-3B": 3e9, "Qwen2.5-VL-7B": 7e9}
TITLE = "Scaling Language-Centric Omnimodal Representation Learning"
AUTHORS = "Chenghao Xiao, Hou Pong Chan, Hao Zhang and others"

SOURCE = Source(
    source_id="lco_embedding",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2510.11693",
    repository="LCO-Embedding/LCO-Embedding",
    upstream_commit="80f38fe28da1214620a8d2724aa5c83e1a7ef927",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence; numbers read from an image",
    headline_metric="task_score",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "A table read by eye from an image: six groups of embedding tasks for Qwen2.5-VL 3B and 7B (base_model; sizes "
        "in the names), untrained and under four ways of contrastive training (family), with the hours of one GPU "
        "(accelerator_hours, printed as 'about'). Printed averages are flagged; one of ten differs from the mean of "
        "its rows (7B, multimodal training: 51.68, printed 50.02). Five of the six scores of the two untrained "
        "models coincide, which looks like an error of the paper: those of the 7B model are flagged."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2510.11693"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Ten models."""
    text = dict.fromkeys(("backbone", "strategy", "gpu_hours", "task_group"), pl.String)
    rows = raw.csv(FILE, {**text, "score": pl.Float64}, rows=N_ROWS, comments=1).with_columns(
        run_id=pl.format("lco_embedding/{}/{}", slug(pl.col("backbone")), slug(pl.col("strategy")))
    )
    average = pl.col("task_group") == "Average"
    doubtful = (pl.col("strategy") == "none") & (pl.col("backbone") == "Qwen2.5-VL-7B")
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        eval_set=slug(pl.col("task_group")),
        value=pl.col("score") / 100,
        raw_field=pl.lit("score"),
        flag=pl.when(average).then(pl.lit("aggregate")).when(doubtful).then(pl.lit("looks_copied")),
        flag_reason=pl.when(average)
        .then(pl.lit("printed mean of the six groups"))
        .when(doubtful)
        .then(pl.lit("five of the six scores equal those of the smaller model; set aside here, not by the paper")),
    )
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        study=pl.lit("lco_embedding"),
        model_name=pl.format("{}, {}", "backbone", "strategy"),
        family=slug(pl.col("strategy")),
        base_model="backbone",
        n_params=pl.col("backbone").replace_strict(SIZES),
        accelerator_hours=pl.col("gpu_hours").str.strip_prefix("~").cast(pl.Float64, strict=False),
    )
    return {
        "runs": conform("runs", runs, "lco_embedding"),
        "evals": measured("lco_embedding", evals, metric="task_score", unit="fraction"),
    }
