"""Languini Kitchen: configurations by accelerator hours, and training throughput (arXiv 2309.11197)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

BEST, SPEED = "best_configs_by_compute_class.csv", "throughput.csv"
N_BEST, N_SPEED, N_OOM = 10, 604, 132
SECONDS = 3600
TITLE = "The Languini Kitchen: Enabling Language Modelling Research at Different Scales of Compute"
AUTHORS = "Aleksandar Stani\u0107, Dylan Ashley, Oleg Serikov and others"

SOURCE = Source(
    source_id="languini",
    title=TITLE,
    authors=AUTHORS,
    year=2023,
    arxiv_id="2309.11197",
    repository="languini-kitchen/languini-kitchen",
    upstream_commit="bb7afb4c62596fb42fcff67ae8a02e5eed1a2d68",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence",
    headline_metric="throughput",
    n_definition="n_params",
    not_upstream=(BEST, SPEED),
    notes=(
        "No perplexities: the table of the paper was not found. Study 'best': the best configuration of GPT and "
        "quasi-LSTM for 6 to 96 accelerator hours on the reference card (accelerator_hours = tokens / tokens per "
        "second "
        "/ 3,600, which holds to 0.002 hours). Study 'throughput': tokens per second of 604 configurations on six "
        "cards (family: project and card), the best case of each; 132 did not fit into memory and are flagged, with a "
        "throughput of zero. The corpus of the paper is Languini Books."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2023, "2309.11197"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per configuration."""
    numbers = ("accelerator_hours", "batch_size", "seq_len", "tokens_per_second", "steps", "training_tokens")
    best = raw.csv(
        BEST, {"family": pl.String, "model": pl.String, **dict.fromkeys(numbers, pl.Float64)}, rows=N_BEST, comments=1
    )
    hours = pl.col("training_tokens") / pl.col("tokens_per_second") / SECONDS
    off = (hours - pl.col("accelerator_hours")).abs() > 0.002
    best_rows = best.select(
        "raw_file",
        "raw_row",
        "accelerator_hours",
        run_id=pl.format("languini/best/{}-{}h", slug(pl.col("family")), pl.col("accelerator_hours").cast(pl.Int64)),
        study=pl.lit("best"),
        model_name="model",
        family=slug(pl.col("family")),
        eval_set=pl.lit("reference_card"),
        context_length="seq_len",
        batch_size_samples="batch_size",
        n_steps="steps",
        n_tokens_run="training_tokens",
        value="tokens_per_second",
    )
    text = dict.fromkeys(("project", "config_name", "device", "OOM", "use_flash", "compile"), pl.String)
    counts = ("batch_size", "seq_len", "vocab_size", "n_layers", "h_dim", "number_of_parameters", "tokens_per_second")
    sizes = ("mlp_dim", "number_of_non-embedding_parameters")
    speed = raw.csv(SPEED, {**text, **dict.fromkeys((*counts, *sizes), pl.Float64)}, rows=N_SPEED, comments=1)
    failed = pl.col("OOM") == "True"
    require(
        "languini",
        hours_that_differ=(best.filter(off).height, 0),
        out_of_memory=(speed.filter(failed).height, N_OOM),
    )
    speed_rows = speed.select(
        "raw_file",
        "raw_row",
        "n_layers",
        "vocab_size",
        run_id=pl.format("languini/throughput/{}", "raw_row"),
        study=pl.lit("throughput"),
        model_name="config_name",
        family=pl.format("{}-{}", "project", slug(pl.col("device"))),
        eval_set=slug(pl.col("device")),
        context_length="seq_len",
        batch_size_samples="batch_size",
        d_model="h_dim",
        d_ff="mlp_dim",
        n_params="number_of_parameters",
        n_params_non_embedding="number_of_non-embedding_parameters",
        value=pl.col("tokens_per_second").fill_null(0.0),
        flag=pl.when(failed).then(pl.lit("out_of_memory")),
        flag_reason=pl.when(failed).then(pl.lit("did not fit into the memory of the card: it has no throughput")),
    )
    rows = pl.concat([best_rows, speed_rows], how="diagonal")
    kept = ("raw_file", "raw_row", "eval_set", "value", "flag", "flag_reason", "n_tokens_run")
    runs = rows.drop(kept).with_columns(n_tokens=rows["n_tokens_run"], architecture=pl.lit("decoder"))
    evals = rows.select("run_id", "raw_file", "raw_row", "eval_set", "value", "flag", "flag_reason")
    return {
        "runs": conform("runs", runs, "languini"),
        "evals": measured("languini", evals, metric="throughput", unit="count", raw_field="tokens_per_second"),
    }
