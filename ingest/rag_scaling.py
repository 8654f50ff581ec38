"""Retrieval with long contexts: best score within a budget of effective context (arXiv 2410.04343)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, arxiv_entry, conform

BUDGETS, CHOICES = "optimal_performance_by_context.csv", "allocation_model_predictions.csv"
COEFFICIENTS, FORMS = "allocation_model_coefficients.csv", "model_form_ablation.csv"
N_BUDGETS, N_CHOICES, N_COEFFICIENTS, N_FORMS = 168, 72, 9, 4
METRICS = {"EM": "exact_match", "F1": "f1", "Acc": "acc"}
TOKENS = {"16k": 16e3, "32k": 32e3, "128k": 128e3, "1M": 1e6, "5M": 5e6}
N_ITEMS = 1200.0
TITLE = "Inference Scaling for Long-Context Retrieval Augmented Generation"
AUTHORS = "Zhenrui Yue, Honglei Zhuang, Aijun Bai and others"

SOURCE = Source(
    source_id="rag_scaling",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2410.04343",
    licence="none stated",
    redistribution="four printed tables as our own table of facts with citation",
    headline_metric="acc",
    not_upstream=(BUDGETS, CHOICES, COEFFICIENTS, FORMS),
    notes=(
        "One model, Gemini 1.5 Flash (no published size, so that n_definition is null), on four question sets of about "
        "1,200 questions. A run is a method: zero-shot and many-shot answering, retrieval (RAG), retrieval with "
        "demonstrations (DRAG) and with iterations (IterDRAG). The eval set names question set and budget "
        "('musique:128k'), n_tokens_inference is the budget of effective context: input tokens over all iterations. "
        "Each score is the best over settings (documents, shots, iterations) within the budget, chosen on the same "
        "questions, and so optimistic. Methods that cannot fill a budget have no row. Study 'allocation' "
        "(tables 3, 4) compares the settings that the authors' model predicts with the best ones and an 8-shot "
        "baseline. The law rag_compute holds the coefficients of table 8: the score is first standardised by question "
        "set and metric, so that they give no raw score, and b_shot is not significant (p = 0.092). Table 8 does not "
        "print the base of the logarithm."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2410.04343"),
    published_fits=(
        PublishedFit(
            law="rag_compute",
            variant="gemini_1p5_flash",
            params={
                "a_doc": 0.325,
                "a_shot": 0.101,
                "a_iter": 0.177,
                "b_doc": -0.067,
                "b_shot": -0.008,
                "c": -0.730,
            },
            where_stated=(
                "arXiv 2410.04343, table 8 (b of iterations fixed at 0; R2 0.903), output map of appendix F; "
                "converted from HTML"
            ),
            evidence="converted",
            output_unit="unitless",
            is_default=True,
        ),
    ),
    set_aside=(
        SetAside(COEFFICIENTS, N_COEFFICIENTS, "read into published_fits: table 8"),
        SetAside(FORMS, N_FORMS, "read into claims: table 2"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Methods and allocations, and what the other forms of the model reached."""
    text = dict.fromkeys(("max_effective_context_tokens", "method", "dataset", "metric"), pl.String)
    budgets = raw.csv(BUDGETS, text | {"score_percent": pl.Float64}, rows=N_BUDGETS, comments=1).select(
        "raw_file",
        "raw_row",
        study=pl.lit("budgets"),
        name="method",
        eval_set=pl.format("{}:{}", slug(pl.col("dataset")), "max_effective_context_tokens"),
        metric=pl.col("metric").replace_strict(METRICS),
        n_tokens_inference=pl.col("max_effective_context_tokens").replace_strict(TOKENS),
        n_items=pl.lit(N_ITEMS),
        value=pl.col("score_percent") / 100,
    )
    text = dict.fromkeys(("table", "split", "choice", "metric"), pl.String)
    target = pl.col("split").str.extract(r"->(\w+)$")
    choices = raw.csv(CHOICES, text | {"score_percent": pl.Float64}, rows=N_CHOICES, comments=1).select(
        "raw_file",
        "raw_row",
        study=pl.lit("allocation"),
        name="choice",
        eval_set=pl.when(target.is_null()).then(slug(pl.col("split"))).otherwise(pl.format("mean_of_four:{}", target)),
        metric=pl.col("metric").replace_strict(METRICS),
        n_tokens_inference=target.replace_strict(TOKENS, default=None),
        value=pl.col("score_percent") / 100,
    )
    rows = pl.concat([budgets, choices], how="diagonal").with_columns(
        run_id=pl.format("rag_scaling/{}/{}", "study", slug(pl.col("name"))), raw_field=pl.lit("score_percent")
    )
    _check_coefficients(raw)
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        "study",
        model_name=pl.format("Gemini 1.5 Flash, {}", "name"),
        family=slug(pl.col("name")),
        is_instruct=pl.lit(value=True),
    )
    return {
        "runs": conform("runs", runs, "rag_scaling"),
        "evals": measured("rag_scaling", rows.drop("study", "name"), unit="fraction"),
        "claims": conform("claims", _claims(raw), "rag_scaling"),
    }


def _check_coefficients(raw: RawFolder) -> None:
    """The published set is what the file prints."""
    printed = dict(
        raw.csv(COEFFICIENTS, {"parameter": pl.String, "value": pl.String}, rows=N_COEFFICIENTS, comments=1)
        .select("parameter", "value")
        .rows()
    )
    (fit,) = SOURCE.published_fits
    require(
        f"rag_scaling, {COEFFICIENTS!r}",
        coefficients=({name: float(printed[name]) for name in fit.params}, dict(fit.params)),
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    forms = raw.csv(FORMS, {"variant": pl.String, "R2": pl.Float64, "MSE": pl.Float64}, rows=N_FORMS, comments=1)
    return forms.unpivot(["R2", "MSE"], index="variant", variable_name="quantity").select(
        "quantity",
        "value",
        claim_id=pl.format("2410.04343/form/{}/{}", slug(pl.col("variant")), "quantity"),
        claim=pl.format("{} of the allocation model, form '{}'", "quantity", "variant"),
        unit=pl.lit("unitless"),
        varies=pl.lit("documents, shots and iterations"),
        law=pl.lit("rag_compute"),
        where_stated=pl.lit("arXiv 2410.04343, table 2"),
    )
