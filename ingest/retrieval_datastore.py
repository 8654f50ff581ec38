"""Retrieval from 11 datastores: one reader, six tasks (arXiv 2407.12854)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

STORES, RETRIEVERS = "datastore_composition.csv", "retriever_ablation.csv"
N_STORES, N_RETRIEVERS = 66, 3
METRICS = {
    "exact match %": ("exact_match", "fraction"),
    "accuracy %": ("acc", "fraction"),
    "perplexity": ("perplexity", "unitless"),
}
TITLE = "Scaling Retrieval-Based Language Models with a Trillion-Token Datastore"
AUTHORS = "Rulin Shao, Jacqueline He, Akari Asai and others"

SOURCE = Source(
    source_id="retrieval_datastore",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2407.12854",
    licence="none stated",
    redistribution="69 printed rows as our own table of facts with citation",
    headline_metric="exact_match",
    n_definition="n_params",
    not_upstream=(STORES, RETRIEVERS),
    notes=(
        "Tables 3 and 6. Study 'datastore': Llama-2 7B without retrieval (family lm_only) and with each of ten "
        "datastores, three documents and five examples; 'retriever': three retrievers on a tenth of the large "
        "datastore. The rows vary what is in the datastore, not how much: the curves against its tokens are figures. "
        "Table 3 prints percent, table 6 fractions; both are shares here. The perplexity's unit is not stated. The "
        "columns of the converted table have two headers, whose order we took as printed."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2407.12854"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per datastore or retriever."""
    text = dict.fromkeys(("reader", "datastore", "task", "unit"), pl.String)
    stores = raw.csv(STORES, {**text, "value": pl.Float64}, rows=N_STORES, comments=1)
    metrics, units = ({name: pair[i] for name, pair in METRICS.items()} for i in (0, 1))
    percent = pl.col("unit").str.ends_with("%")
    first = stores.select(
        "raw_file",
        "raw_row",
        study=pl.lit("datastore"),
        name="datastore",
        eval_set=slug(pl.col("task")),
        n_shots=pl.lit(5, pl.Int64),
        metric=pl.col("unit").replace_strict(metrics),
        value=pl.when(percent).then(pl.col("value") / 100).otherwise("value"),
        unit=pl.col("unit").replace_strict(units),
        raw_field=pl.lit("value"),
    )
    fields = [
        {"raw_field": "redpajama_perplexity", "eval_set": "redpajama", "metric": "perplexity", "unit": "unitless"},
        {
            "raw_field": "natural_questions",
            "eval_set": "natural_questions",
            "metric": "exact_match",
            "unit": "fraction",
        },
        {"raw_field": "mmlu", "eval_set": "mmlu", "metric": "acc", "unit": "fraction"},
    ]
    columns = dict.fromkeys([str(field["raw_field"]) for field in fields], pl.Float64)
    second = melt(
        raw.csv(RETRIEVERS, {"retriever": pl.String, **columns}, rows=N_RETRIEVERS, comments=1),
        ["retriever", "raw_file", "raw_row"],
        fields,
    ).with_columns(study=pl.lit("retriever"), name=pl.col("retriever"))
    rows = pl.concat([first, second.drop("retriever")], how="diagonal").with_columns(
        run_id=pl.format("retrieval_datastore/{}/{}", "study", slug(pl.col("name")))
    )
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        "study",
        model_name=pl.format("Llama-2 7B, {}", "name"),
        model_id=pl.when(pl.col("name") == "LM-Only").then(pl.lit("llama-2-7b")),
        family=slug(pl.col("name")),
        architecture=pl.lit("decoder"),
        n_params=pl.lit(7e9),
    )
    return {
        "runs": conform("runs", runs, "retrieval_datastore"),
        "evals": measured("retrieval_datastore", rows.drop("study", "name")),
    }
