"""PyTorch Image Models: ImageNet and six shifted test sets for 1,267 pretrained models."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

FOLDER = "results"
SETS = {
    "imagenet1k": "results-imagenet.csv",
    "imagenet_real": "results-imagenet-real.csv",
    "imagenetv2": "results-imagenetv2-matched-frequency.csv",
    "imagenet_sketch": "results-sketch.csv",
    "imagenet-a": "results-imagenet-a.csv",
    "imagenet-a_clean": "results-imagenet-a-clean.csv",
    "imagenet-r": "results-imagenet-r.csv",
    "imagenet-r_clean": "results-imagenet-r-clean.csv",
}
COST, TAGS = "benchmark-infer-amp-nchw-pt291-cu128-4090.csv", "model_metadata-in1k.csv"
N_ROWS, N_COST, N_TAGS, N_MODELS, N_RUNS = 1556, 1627, 521, 1267, 1557
FLOP_PER_GMAC = 2e9

SOURCE = Source(
    source_id="timm",
    title="PyTorch Image Models: results on ImageNet and on shifted test sets",
    authors="Ross Wightman",
    year=2026,
    repository="huggingface/pytorch-image-models",
    upstream_commit="aa4b5850c1543fa488abf260f18390eda46cf85d",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence",
    headline_metric="acc",
    headline_eval_set="imagenet1k",
    n_definition="n_params",
    notes=(
        "One run is a pretrained model at one test resolution (1,556 per set, 1,557 in all, of 1,267 models: the "
        "adversarial set has one model more and lacks another); acc and acc_top5 on ImageNet and "
        "on its relabelled, renewed, sketched, adversarial and rendered test sets. The adversarial one was chosen "
        "against a ResNet-50, so that its scores are no measure of size; the two 'clean' sets have the classes of the "
        "adversarial and rendered ones, from ImageNet. flops_per_sample is one forward pass: the multiply-accumulates "
        "of the table of speeds, measured at that table's resolution and scaled by the square of the resolution here "
        "(nearly right for convolutions, a little low for attention), times two. Nothing is known of training compute. "
        "The family is the architecture; several checkpoints of one architecture differ in their training data, which "
        "stands in the part of the name after the dot."
    ),
    bibtex=(
        "@misc{wightman2019timm, title={PyTorch Image Models}, author={Wightman, Ross}, year={2019}, "
        "howpublished={GitHub repository huggingface/pytorch-image-models}}"
    ),
    set_aside=(
        SetAside(f"{FOLDER}/{COST}", N_COST, "read into runs: multiply-accumulates"),
        SetAside(f"{FOLDER}/{TAGS}", N_TAGS, "tags of the pretraining of older names, which the names now carry"),
        SetAside(f"{FOLDER}/README.md", None, "describes the tables"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models at a resolution, two accuracies on eight sets."""
    columns = {
        "model": pl.String,
        "img_size": pl.Float64,
        "top1": pl.Float64,
        "top5": pl.Float64,
        "param_count": pl.String,
    }
    tables = {name: raw.csv(f"{FOLDER}/{file}", columns, rows=N_ROWS) for name, file in SETS.items()}
    cost = raw.csv(
        f"{FOLDER}/{COST}",
        {"model": pl.String, "infer_img_size": pl.Float64, "infer_gmacs": pl.Float64},
        rows=N_COST,
    )
    raw.csv(f"{FOLDER}/{TAGS}", {"model": pl.String}, rows=N_TAGS)
    fields = [
        {"raw_field": "top1", "metric": "acc", "unit": "fraction"},
        {"raw_field": "top5", "metric": "acc_top5", "unit": "fraction"},
    ]
    evals = pl.concat(
        [
            melt(table.with_columns(run_id=_run_id()), ["run_id", "raw_file", "raw_row"], fields).with_columns(
                pl.col("value") / 100, eval_set=pl.lit(name)
            )
            for name, table in tables.items()
        ]
    )
    every = pl.concat(tables.values()).unique(["model", "img_size"], keep="first", maintain_order=True)
    main = every.with_columns(name=pl.col("model").str.split(".").list.first())
    once = cost.unique("model", keep="first", maintain_order=True).drop("raw_file", "raw_row").rename({"model": "name"})
    joined = main.join(once, on="name", how="left", maintain_order="left")
    require(
        "timm",
        models=(main["model"].n_unique(), N_MODELS),
        models_without_a_cost=(joined["infer_gmacs"].null_count(), 0),
        runs=(evals["run_id"].n_unique(), N_RUNS),
    )
    scale = (pl.col("img_size") / pl.col("infer_img_size")) ** 2
    runs = joined.select(
        run_id=_run_id(),
        study=pl.lit("timm"),
        model_name="model",
        family="name",
        architecture=pl.lit("vision"),
        n_params=pl.col("param_count").str.replace_all(",", "").cast(pl.Float64) * 1e6,
        flops_per_sample=pl.col("infer_gmacs") * scale * FLOP_PER_GMAC,
    )
    return {"runs": conform("runs", runs, "timm"), "evals": measured("timm", evals, n_shots=0)}


def _run_id() -> pl.Expr:
    return pl.format("timm/{}@{}", "model", pl.col("img_size").cast(pl.Int64))
