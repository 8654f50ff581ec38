"""GPQA by domain and with the tokens spent, for nine models; and a few other tasks (arXiv 2504.00294)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

DOMAINS, OVERALL = "gpqa_by_domain.csv", "overall_named_in_text.csv"
N_DOMAINS, N_OVERALL = 36, 10
TITLE = "Inference-Time Scaling for Complex Tasks: Where We Stand and What Lies Ahead"
AUTHORS = "Vidhisha Balachandran, Jingya Chen, Lingjiao Chen and others"

SOURCE = Source(
    source_id="inference_scaling_gpqa",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2504.00294",
    licence="none stated",
    redistribution="printed numbers as our own table of facts with citation",
    headline_metric="acc",
    not_upstream=(DOMAINS, OVERALL),
    notes=(
        "Accuracy on GPQA Diamond (biology 19, chemistry 93, physics 86 questions), mean of five runs, and the mean "
        "tokens of an answer (tokens_used), read from the labels of figures 16 and 17; the mean of the domains "
        "weighted "
        "by questions equals the printed overall for all nine models, which proves which label belongs to which "
        "model. Ten more accuracies on other tasks are those that the text names with a model. Models have no "
        "published size but one, so that n_definition is null. The other bars of the paper could not be assigned."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2504.00294"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Nine models."""
    domains = raw.csv(
        DOMAINS,
        {
            "model": pl.String,
            "domain": pl.String,
            "n_questions": pl.Float64,
            "accuracy_percent_mean_of_5": pl.Float64,
            "tokens_mean": pl.Float64,
        },
        rows=N_DOMAINS,
        comments=1,
    ).with_columns(
        domain=pl.when(pl.col("domain").str.starts_with("all")).then(pl.lit("all")).otherwise(slug(pl.col("domain")))
    )
    overall = raw.csv(
        OVERALL,
        {"task": pl.String, "model": pl.String, "accuracy_percent": pl.Float64},
        rows=N_OVERALL,
        comments=1,
    )
    require("inference_scaling_gpqa", models=(domains["model"].n_unique(), 9))
    whole = pl.col("domain") == "all"
    accuracy = domains.select(
        "model",
        "raw_file",
        "raw_row",
        eval_set=pl.format("gpqa_diamond:{}", "domain"),
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        value=pl.col("accuracy_percent_mean_of_5") / 100,
        n_items="n_questions",
        n_tokens_inference="tokens_mean",
        raw_field=pl.lit("accuracy_percent_mean_of_5"),
        flag=pl.when(whole).then(pl.lit("aggregate")),
        flag_reason=pl.when(whole).then(pl.lit("mean of the three domains, weighted by questions")),
    )
    tokens = domains.drop_nulls("tokens_mean").select(
        "model",
        "raw_file",
        "raw_row",
        eval_set=pl.format("gpqa_diamond:{}", "domain"),
        metric=pl.lit("tokens_used"),
        unit=pl.lit("count"),
        value="tokens_mean",
        raw_field=pl.lit("tokens_mean"),
    )
    named = overall.select(
        "model",
        "raw_file",
        "raw_row",
        eval_set=slug(pl.col("task")),
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        value=pl.col("accuracy_percent") / 100,
        raw_field=pl.lit("accuracy_percent"),
    )
    evals = pl.concat([accuracy, tokens, named], how="diagonal").with_columns(
        run_id=pl.format("inference_scaling_gpqa/{}", slug(pl.col("model")))
    )
    runs = evals.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        study=pl.lit("inference_scaling_gpqa"),
        model_name="model",
        family=slug(pl.col("model")),
        architecture=pl.lit("decoder"),
        is_instruct=pl.lit(value=True),
    )
    return {
        "runs": conform("runs", runs, "inference_scaling_gpqa"),
        "evals": measured("inference_scaling_gpqa", evals.drop("model")),
    }
