"""How often a small model needs a large one beside it, by the ratio of their sizes (arXiv 2406.12295)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "collaboration_frequency.csv", 168
TITLE = "Fast and Slow Generating: An Empirical Study on Large and Small Language Models Collaborative Decoding"
AUTHORS = "Kaiyan Zhang, Jianyu Wang, Ning Ding and others"

SOURCE = Source(
    source_id="fast_slow",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2406.12295",
    repository="TsinghuaC3I/FS-GEN",
    upstream_commit="5cf84c786d53c895da1db9dca00f18028aa2361c",
    licence="none stated",
    redistribution="168 numbers of a plotting script as our own table of facts with citation",
    headline_metric="collaboration_frequency",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Pairs of Qwen1.5 models that decode together: collaboration_frequency is the share of tokens at which the "
        "small one needs the large one. n_params is the size of the large model, size_ratio its ratio to the small "
        "one: "
        "the x of the paper. The family is the method (oracle, contrastive, proxy); the eval set is the task. Lists "
        "of pairs differ between tasks. MTBench is not in the "
        "published figure. The numbers of the authors' fit (y = b - a x^-alpha, parameters at least 0.05, "
        "a bound that can bind) are printed in a figure only."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2406.12295"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per pair and method."""
    numbers = ("large_model_params_b", "small_model_params_b", "scale_ratio", "collaboration_frequency")
    rows = raw.csv(
        FILE, {"method": pl.String, "task": pl.String, **dict.fromkeys(numbers, pl.Float64)}, rows=N_ROWS, comments=1
    ).with_columns(run_id=pl.format("fast_slow/{}/{}B-{}B", "method", "large_model_params_b", "small_model_params_b"))
    ratio = pl.col("large_model_params_b") / pl.col("small_model_params_b")
    off = (ratio / pl.col("scale_ratio") - 1).abs() > 0.01
    require(f"fast_slow, {FILE!r}", ratios_that_differ=(rows.filter(off).height, 0))
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        study=pl.lit("fast_slow"),
        model_name=pl.format("Qwen1.5 {}B with {}B", "large_model_params_b", "small_model_params_b"),
        family="method",
        architecture=pl.lit("decoder"),
        n_params=pl.col("large_model_params_b") * 1e9,
        size_ratio=pl.col("large_model_params_b") / pl.col("small_model_params_b"),
    )
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        eval_set=slug(pl.col("task")),
        value="collaboration_frequency",
        raw_field=pl.lit("collaboration_frequency"),
    )
    return {
        "runs": conform("runs", runs, "fast_slow"),
        "evals": measured("fast_slow", evals, metric="collaboration_frequency", unit="fraction"),
    }
