"""PlanSearch: pass@1 and pass@200 of four models under three ways of sampling (arXiv 2409.03733)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "pass_at_k.csv", 52
TOKENS = {"RepeatedSampling": 244.0, "PlanSearch": 1428.0}
"""Tokens of one attempt (appendix D); that of IdeaSearch is not printed."""
TITLE = "Planning In Natural Language Improves LLM Search For Code Generation"
AUTHORS = "Evan Wang, Federico Cassano, Catherine Wu and others"

SOURCE = Source(
    source_id="plansearch",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2409.03733",
    licence="none stated",
    redistribution="52 printed numbers as our own table of facts with citation",
    headline_metric="task_score",
    not_upstream=(FILE,),
    notes=(
        "Table 1 of the paper, read in one machine conversion. A run is a model and a method; the eval set names the "
        "benchmark and k ('livecodebench:k=200'), n_samples is k, and the value is the share of problems that at least "
        "one of k attempts solves. Methods differ in the tokens of an attempt: about 244 for repeated sampling and "
        "1,428 for PlanSearch (n_tokens_inference is k times that; null for IdeaSearch). Curves between k = 1 and 200 "
        "are figures only. Models have no published size, so that n_definition is null."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2409.03733"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model and method."""
    text = dict.fromkeys(("model", "benchmark", "method"), pl.String)
    rows = raw.csv(FILE, {**text, "k": pl.Float64, "pass_at_k_percent": pl.Float64}, rows=N_ROWS, comments=1)
    rows = rows.with_columns(run_id=pl.format("plansearch/{}/{}", slug(pl.col("model")), slug(pl.col("method"))))
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        study=pl.lit("plansearch"),
        model_name="model",
        family=slug(pl.col("method")),
        architecture=pl.lit("decoder"),
        is_instruct=pl.lit(value=True),
    )
    benchmark = slug(pl.col("benchmark").str.replace(r" \(.*", "").str.replace(r"\+$", " plus"))
    evals = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        eval_set=pl.format("{}:k={}", benchmark, pl.col("k").cast(pl.Int64)),
        n_samples="k",
        n_tokens_inference=pl.col("k") * pl.col("method").replace_strict(TOKENS, default=None),
        value=pl.col("pass_at_k_percent") / 100,
        raw_field=pl.lit("pass_at_k_percent"),
    )
    return {
        "runs": conform("runs", runs, "plansearch"),
        "evals": measured("plansearch", evals, metric="task_score", unit="fraction"),
    }
