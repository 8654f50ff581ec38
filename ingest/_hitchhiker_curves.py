"""Loss curves of language models in the Hitchhiker corpus."""

from __future__ import annotations

import json

import polars as pl

from ingest._hitchhiker_tools import (
    Study,
    count_of,
    expect,
    flag_columns,
    make_study,
    ordinal,
)
from ingest._raw import RawFolder

__all__ = [
    "amber_7b",
    "bimix",
    "gpt3_curves",
    "gzip_curves",
    "mamba_3b",
    "opt_curves",
    "pile_t5",
    "redpajama_incite",
]

BIMIX_STEP_TOKENS = 524_288
MAMBA_STEP_TOKENS = 500e9 / 176_703
"""The model saw 500 billion tokens in 176,703 steps."""
T5_PARAMS = {"base": 247_586_304.0, "large": 783_173_632.0, "xl": 2_849_804_288.0, "xxl": 11_135_426_560.0}
"""The file names the sizes only; these are the parameter counts that the repository's loader gives them."""
T5_STEP_TOKENS = 2048 * 512
"""Batch size times encoder length, both stated in the file's ``config`` column."""
GZIP_STEP_TOKENS = 8192
"""One training loss per optimiser step: the lists are as long as the corpora over 8,192 tokens, within two."""


def bimix(raw: RawFolder) -> Study:
    """BiMix: one 280M model on twelve domain mixtures, validation loss per domain (arXiv 2405.14908).

    Upstream calls the values perplexities, but 1.08 to 3.76 are losses in nats.
    """
    file = "_derived/bimix_domain_losses.csv"
    columns = {
        "corpus": pl.String,
        "mixture": pl.String,
        "global_step": pl.Float64,
        "domain": pl.String,
        "domain_ratio": pl.Float64,
        "loss": pl.Float64,
    }
    cells = raw.csv(file, columns, rows=3720).with_columns(
        run=pl.format("{}-{}", "corpus", "mixture"), family=pl.format("bimix-{}", pl.col("corpus").str.to_lowercase())
    )
    runs = (
        cells.select("run", "family", "corpus", model_name="run")
        .unique("run", keep="first", maintain_order=True)
        .with_columns(
            n_params=pl.lit(280e6), architecture=pl.lit("decoder"), batch_size_tokens=pl.lit(float(BIMIX_STEP_TOKENS))
        )
    )
    evals = cells.select(
        "run",
        "raw_file",
        "raw_row",
        step="global_step",
        n_tokens=pl.col("global_step") * BIMIX_STEP_TOKENS,
        domain_share="domain_ratio",
        metric=pl.lit("loss"),
        eval_set="domain",
        value="loss",
        unit=pl.lit("nats_per_token"),
        raw_field=pl.lit("loss"),
    )
    return make_study("bimix", runs, evals)


def pile_t5(raw: RawFolder) -> Study:
    """Pile-T5: four encoder-decoder models.

    Only ``val_perplexity`` can be used. After step 0 the other metrics are of no use in 800 of 803
    rows (796 negative accuracies, four empty ones, losses down to -8,265), so they are set aside as
    a whole. The perplexity falls from 1.83 to 1.03, which no language model reaches per token: its
    scale is not stated.
    """
    file = "aggregated_eval/t5_pile.csv"
    columns = {
        "model_name": pl.String,
        "steps": pl.Float64,
        "val_perplexity": pl.Float64,
        "accuracy": pl.Float64,
        "config": pl.String,
    }
    points = raw.csv(file, columns, rows=807)
    expect(
        file,
        "rows after step 0 with a negative accuracy",
        points.filter((pl.col("steps") > 0) & (pl.col("accuracy") < 0)).height,
        796,
    )
    shapes = {"d_model": "emb_dim", "d_ff": "mlp_dim", "n_heads": "num_heads", "vocab_size": "vocab_size"}
    config = pl.col("config").drop_nulls().first()
    runs = points.group_by("model_name", maintain_order=True).agg(
        config.str.extract(name + r" = (\d+)").cast(pl.Float64).alias(column) for column, name in shapes.items()
    )
    runs = runs.with_columns(
        run="model_name",
        family=pl.lit("t5-pile"),
        architecture=pl.lit("encoder-decoder"),
        n_params=pl.col("model_name").replace_strict(T5_PARAMS, return_dtype=pl.Float64),
        corpus=pl.lit("The Pile"),
        context_length=pl.lit(512.0),
        batch_size_tokens=pl.lit(float(T5_STEP_TOKENS)),
        model_id=pl.format("pile-t5-{}", "model_name"),
    )
    evals = points.select(
        "raw_file",
        "raw_row",
        run="model_name",
        step="steps",
        n_tokens=pl.col("steps") * T5_STEP_TOKENS,
        metric=pl.lit("perplexity"),
        eval_set=pl.lit("pile-validation"),
        value="val_perplexity",
        unit=pl.lit("unitless"),
        raw_field=pl.lit("val_perplexity"),
        **flag_columns(
            pl.col("steps") == 0, "untrained", "step 0: the value of the initial weights; upstream drops it too"
        ),
    )
    return make_study("pile_t5", runs, evals)


def opt_curves(raw: RawFolder) -> Study:
    """OPT: validation perplexity along training (arXiv 2212.09803). Tokens and FLOP are stored as log10."""
    file = "aggregated_eval/opt_trajectories.csv"
    columns = {
        "model_size": pl.String,
        "steps": pl.Float64,
        "num_token": pl.Float64,
        "flops": pl.Float64,
        "ppl": pl.Float64,
    }
    points = raw.csv(file, columns, rows=142).with_columns(
        run=pl.format("OPT-{}", "model_size"),
        # the exponents carry about 15 digits: whole tokens come back
        n_tokens=(10.0 ** pl.col("num_token")).round(),
        train_flops=10.0 ** pl.col("flops"),
    )
    runs = (
        points.group_by("run", "model_size", maintain_order=True)
        .agg(pl.col("train_flops").max())
        .select(
            "run",
            "train_flops",
            model_name="run",
            model_id=pl.format("opt-{}", "model_size"),
            family=pl.lit("opt"),
            architecture=pl.lit("decoder"),
            n_params=count_of("model_size"),
        )
    )
    evals = points.select(
        "run",
        "raw_file",
        "raw_row",
        "n_tokens",
        step="steps",
        metric=pl.lit("perplexity"),
        eval_set=pl.lit("validation"),
        value="ppl",
        unit=pl.lit("perplexity"),
        raw_field=pl.lit("ppl"),
    )
    return make_study("opt_curves", runs, evals)


def gpt3_curves(raw: RawFolder) -> Study:
    """GPT-3: training and validation loss, read off the figure (arXiv 2005.14165). ``step`` is billions of tokens."""
    columns = {"model": pl.String, "step": pl.Float64, "train_loss": pl.Float64, "val_loss": pl.Float64}
    points = raw.csv("raw_data/gpt3/extracted.csv", columns, rows=12_097)
    texts = ("num_params", "num_layers", "width", "num_heads", "batch_size", "lr")
    sizes = raw.csv("_derived/gpt3_metadata.csv", {"model_name": pl.String, **dict.fromkeys(texts, pl.String)}, rows=8)
    key = pl.col("model_name").str.extract(r"GPT-3 ([\w.]+)").str.to_lowercase()
    runs = sizes.select(
        "model_name",
        run=key,
        model_id=pl.format("gpt3-{}", key.replace({"small": "125m", "medium": "350m", "large": "760m", "xl": "1.3b"})),
        family=pl.lit("gpt3"),
        architecture=pl.lit("decoder"),
        n_params=count_of("num_params"),
        n_layers=pl.col("num_layers").cast(pl.Float64),
        d_model=pl.col("width").cast(pl.Float64),
        n_heads=pl.col("num_heads").cast(pl.Float64),
        batch_size_tokens=count_of("batch_size"),
        # printed as in a paper, with a typographic multiplication sign and minus
        learning_rate=pl.col("lr").str.replace("\u00d710\u2212", "e-", literal=True).cast(pl.Float64),
    )
    long = points.unpivot(
        on=["train_loss", "val_loss"], index=["model", "step", "raw_file", "raw_row"], variable_name="raw_field"
    ).drop_nulls("value")
    expect(
        "raw_data/gpt3/extracted.csv",
        "losses",
        long["raw_field"].value_counts(sort=True).rows(),
        [("val_loss", 6506), ("train_loss", 5591)],
    )
    is_train = pl.col("raw_field") == "train_loss"
    evals = long.select(
        "raw_file",
        "raw_row",
        "raw_field",
        "value",
        run="model",
        # a digitised line has many points over one pixel column, so tokens repeat: the step is the
        # position on the line, in the order of the file where tokens are equal
        step=ordinal(["step", "raw_row"], ["model", "raw_field"]),
        n_tokens=pl.col("step") * 1e9,
        metric=pl.when(is_train).then(pl.lit("train_loss")).otherwise(pl.lit("loss")),
        eval_set=pl.when(is_train).then(pl.lit("train")).otherwise(pl.lit("validation")),
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("digitised"),
    )
    return make_study("gpt3_curves", runs, evals)


def redpajama_incite(raw: RawFolder) -> Study:
    """RedPajama-INCITE: training loss of two models, read off a figure; x is billions of tokens."""
    points = pl.concat(
        raw.csv(
            f"raw_data/redPajama/{size}.csv", {"x": pl.Float64, "y": pl.Float64}, rows=rows, header=False
        ).with_columns(size=pl.lit(size))
        for size, rows in (("2.4B", 72), ("6.7B", 63))
    )
    runs = points.unique("size", keep="first", maintain_order=True).select(
        run="size",
        model_name="size",
        family=pl.lit("redpajama-incite"),
        architecture=pl.lit("decoder"),
        n_params=count_of("size"),
        corpus=pl.lit("RedPajama"),
    )
    evals = points.select(
        "raw_file",
        "raw_row",
        run="size",
        # the figure has no steps; the step is the position on the curve
        step=ordinal("x", "size"),
        n_tokens=pl.col("x") * 1e9,
        metric=pl.lit("train_loss"),
        eval_set=pl.lit("train"),
        value="y",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("digitised"),
        raw_field=pl.lit("y"),
    )
    return make_study("redpajama_incite", runs, evals)


def mamba_3b(raw: RawFolder) -> Study:
    """LLM360 Mamba 3B: training loss every fourth step, very noisy."""
    columns = {"step": pl.Float64, "loss": pl.Float64, "lr": pl.Float64}
    points = raw.csv("aggregated_eval/llm360Mamba3B.csv", columns, rows=44_174)
    runs = points.select(
        run=pl.lit("Mamba-3B"),
        model_name=pl.lit("Mamba3B"),
        family=pl.lit("llm360-mamba"),
        architecture=pl.lit("state-space"),
        n_params=pl.lit(3e9),
        learning_rate=pl.col("lr").max(),
        learning_rate_final=pl.col("lr").last(),
        n_steps=pl.lit(176_703.0),
    )
    evals = points.select(
        "raw_file",
        "raw_row",
        "step",
        run=pl.lit("Mamba-3B"),
        n_tokens=pl.col("step") * MAMBA_STEP_TOKENS,
        metric=pl.lit("train_loss"),
        eval_set=pl.lit("train"),
        value="loss",
        unit=pl.lit("nats_per_token"),
        raw_field=pl.lit("loss"),
    )
    return make_study("mamba_3b", runs, evals)


def amber_7b(raw: RawFolder) -> Study:
    """LLM360 Amber: perplexity on 18 parts of the Pile and 22 downstream scores per checkpoint.

    The perplexities are means over documents. Upstream maps checkpoint i to 1.25e12 i / 356 tokens;
    checkpoint 0 is trained already, so its count of zero is left out.
    """
    columns = {
        "checkpoint_index": pl.Float64,
        "kind": pl.String,
        "eval_set": pl.String,
        "value": pl.Float64,
        "upstream_file": pl.String,
    }
    cells = raw.csv("_derived/amber_evals_long.csv", columns, rows=7832)
    runs = pl.DataFrame(
        {
            "run": ["Amber"],
            "model_name": ["Amber"],
            "model_id": ["amber-7b"],
            "family": ["llm360-amber"],
            "architecture": ["decoder"],
            "n_params": [6.7e9],
            "corpus": ["LLM360/AmberDatasets"],
        }
    )
    is_score = pl.col("kind") == "downstream"
    evals = cells.select(
        "raw_file",
        "raw_row",
        "eval_set",
        run=pl.lit("Amber"),
        step="checkpoint_index",
        n_tokens=pl.when(pl.col("checkpoint_index") > 0).then(1.25e12 * pl.col("checkpoint_index") / 356),
        metric=pl.when(~is_score)
        .then(pl.lit("perplexity"))
        .when(pl.col("eval_set") == "crowspairs")
        .then(pl.lit("pct_stereotype"))
        .otherwise(pl.lit("task_score")),
        value=pl.when(is_score).then(pl.col("value") / 100).otherwise(pl.col("value")),
        unit=pl.when(is_score).then(pl.lit("fraction")).otherwise(pl.lit("perplexity_per_document")),
        raw_field=pl.when(is_score).then(pl.lit("value (percent)")).otherwise(pl.lit("value")),
    )
    return make_study("amber_7b", runs, evals)


def gzip_curves(raw: RawFolder) -> Study:
    """150 small models on grammars of five compressibilities (arXiv 2405.16684).

    The file gives lists: one training loss per optimiser step, and two or four validation losses.
    These scatter around the last training loss without any trend: they are the batches of one
    evaluation after training, so their mean is the run's validation loss.
    """
    file = "raw_data/gzip/results_new.jsonl"
    lines = [json.loads(line) for line in raw.text(file).splitlines()]
    expect(file, "records", len(lines), 150)
    raw.count(file, len(lines))
    records = pl.DataFrame(lines).with_row_index("raw_row", offset=1)
    records = records.with_columns(
        corpus=pl.col("dataset_name").str.strip_chars_start("/"),
        raw_file=pl.lit(file),
        raw_row=pl.col("raw_row").cast(pl.Int64),
    ).with_columns(run=pl.format("{}/{}-{}", "corpus", "model_size", "token_ct"))
    stats = pl.col("model_stats").struct
    runs = records.select(
        "run",
        "corpus",
        model_name="run",
        family=pl.col("corpus").str.extract(r"^(gzipscale-[\d.]+)"),
        architecture=pl.lit("decoder"),
        n_params="model_size",
        n_tokens="token_ct",
        n_epochs="num_epochs",
        vocab_size=stats.field("vocab_size"),
        d_model=stats.field("hidden_size"),
        d_ff=stats.field("intermediate_size"),
        n_layers=stats.field("num_hidden_layers"),
        n_heads=stats.field("num_attention_heads"),
        context_length=stats.field("max_position_embeddings"),
        gzip_ratio=pl.col("dataset_gzip").list.first(),
    )
    expect(file, "validation losses", records["valid_loss"].list.len().sum(), 540)
    final = records.select(
        "run",
        "raw_file",
        "raw_row",
        value=pl.col("valid_loss").list.mean(),
        step=pl.col("train_loss").list.len().cast(pl.Float64),
        n_tokens=pl.col("token_ct").cast(pl.Float64),
        metric=pl.lit("loss"),
        eval_set=pl.lit("validation"),
        value_origin=pl.lit("derived"),
        raw_field=pl.lit("valid_loss (mean of the list)"),
    )
    steps = records.select(
        "run",
        "raw_file",
        "raw_row",
        "token_ct",
        value="train_loss",
        step=pl.int_ranges(1, pl.col("train_loss").list.len() + 1),
    ).explode("value", "step")
    training = steps.select(
        "run",
        "raw_file",
        "raw_row",
        "value",
        step=pl.col("step").cast(pl.Float64),
        n_tokens=pl.min_horizontal(pl.col("step") * GZIP_STEP_TOKENS, "token_ct").cast(pl.Float64),
        metric=pl.lit("train_loss"),
        eval_set=pl.lit("train"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("train_loss"),
    )
    return make_study("gzip", runs, pl.concat([final, training]).with_columns(unit=pl.lit("nats_per_token")))
