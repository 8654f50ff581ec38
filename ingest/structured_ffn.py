"""Structured feed-forward layers: perplexity by structure at equal training FLOP (arXiv 2406.16450)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

XL, WIDE = "ffn_parametrisation_xl.csv", "wide_structured.csv"
N_XL, N_WIDE = 7, 8
TITLE = "Building on Efficient Foundations: Effectively Training LLMs with Structured Feedforward Layers"
AUTHORS = "Xiuying Wei, Skander Moalla, Razvan Pascanu, Caglar Gulcehre"

SOURCE = Source(
    source_id="structured_ffn",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2406.16450",
    repository="CLAIRE-Labo/StructuredFFN",
    upstream_commit="2442a14c57be177b50bd900f1fba6fcec4c96d93",
    licence="none stated",
    redistribution="15 printed rows as our own table of facts with citation",
    headline_metric="perplexity",
    n_definition="n_params",
    not_upstream=(XL, WIDE),
    notes=(
        "Two tables read by eye from images: study 'ffn_xl' (table 1), seven structures of the feed-forward layers of "
        "one large Transformer on 25.5B tokens, and 'wide' (table 2), wide and structured networks at the training "
        "FLOP "
        "of two dense ones. Perplexity on RefinedWeb, per token. accelerator_hours are on A100. The family is the "
        "structure "
        "without its size. The table of all sizes, on which the paper compares slopes, was not found."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2406.16450"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """15 models."""
    numbers = ("model_params_M", "tokens_B", "train_flops", "train_hours", "val_perplexity")
    xl = raw.csv(XL, {"architecture": pl.String, **dict.fromkeys(numbers, pl.Float64)}, rows=N_XL, comments=1).select(
        "raw_file",
        "raw_row",
        "train_flops",
        "val_perplexity",
        study=pl.lit("ffn_xl"),
        name="architecture",
        family=slug(pl.col("architecture").str.replace(r" \(.*", "")),
        n_params=pl.col("model_params_M") * 1e6,
        n_tokens=pl.col("tokens_B") * 1e9,
        accelerator_hours="train_hours",
    )
    text = dict.fromkeys(("group", "method", "params", "tokens"), pl.String)
    wide = raw.csv(
        WIDE, {**text, "train_flops": pl.Float64, "val_perplexity": pl.Float64}, rows=N_WIDE, comments=1
    ).select(
        "raw_file",
        "raw_row",
        "train_flops",
        "val_perplexity",
        study=pl.lit("wide"),
        name=pl.format("{} {}", "group", "method"),
        family=slug(pl.col("method").str.replace(r"Transformer-[ml]", "Transformer")),
        n_params=pl.col("params").str.strip_suffix("M").cast(pl.Float64) * 1e6,
        n_tokens=pl.col("tokens").str.strip_suffix("B").cast(pl.Float64) * 1e9,
    )
    rows = pl.concat([xl, wide], how="diagonal").with_columns(
        run_id=pl.format("structured_ffn/{}/{}", "study", slug(pl.col("name")))
    )
    runs = rows.select(
        "run_id",
        "study",
        "family",
        "n_params",
        "n_tokens",
        "train_flops",
        "accelerator_hours",
        model_name="name",
        architecture=pl.lit("decoder"),
        corpus=pl.lit("RefinedWeb"),
    )
    evals = rows.select("run_id", "raw_file", "raw_row", value="val_perplexity", raw_field=pl.lit("val_perplexity"))
    return {
        "runs": conform("runs", runs, "structured_ffn"),
        "evals": measured("structured_ffn", evals, metric="perplexity", unit="perplexity", eval_set="refinedweb"),
    }
