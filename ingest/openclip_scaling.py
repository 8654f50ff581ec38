"""Reproducible scaling of CLIP: 32 models on 41 zero-shot sets, and 29 learning curves (arXiv 2212.07143)."""

from __future__ import annotations

import polars as pl

from ingest._long import melt, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

RESULTS, CURVES = "zeroshot_results.csv", "imagenet_zeroshot_learning_curves.csv"
MODELS, SHAPES = "trained_models_info.csv", "arch_info.csv"
N_RESULTS, N_CURVES, N_MODELS, N_SHAPES, N_RUNS = 1312, 3359, 29, 28, 32
FLOP_PER_GMAC = 2e9
AGGREGATES = ("vtab", "vtab+", "imagenet_robustness")
"""Means over other sets of the table."""

METRICS = {
    "acc1": "acc",
    "acc5": "acc_top5",
    "mean_per_class_recall": "class_recall",
    "image_retrieval_recall@5": "image_recall_at_5",
    "text_retrieval_recall@5": "text_recall_at_5",
    "mean_average_precision": "average_precision",
}
CURVE_METRICS = {"imagenet-zeroshot-val-top1": "acc", "imagenet-zeroshot-val-top5": "acc_top5"}

SOURCE = Source(
    source_id="openclip_scaling",
    title="Reproducible scaling laws for contrastive language-image learning",
    authors=(
        "Mehdi Cherti, Romain Beaumont, Ross Wightman, Mitchell Wortsman, Gabriel Ilharco, Cade Gordon, Christoph "
        "Schuhmann, Ludwig Schmidt, Jenia Jitsev"
    ),
    year=2022,
    arxiv_id="2212.07143",
    repository="LAION-AI/scaling-laws-openclip",
    upstream_commit="652b1e7471f7ccf372277f67cb680de5c9fa139d",
    licence="none stated",
    redistribution="results of 32 models as our own table of facts with citation",
    headline_metric="acc",
    headline_eval_set="imagenet1k",
    n_definition="n_params",
    notes=(
        "29 OpenCLIP models and OpenAI's three (all three are named 'openai' upstream; here the architecture is part "
        "of the name), zero-shot on 41 sets. The family is the data set: LAION-80M, LAION-400M, LAION-2B or CLIP-WIT. "
        "The files count multiply-accumulate operations; flops_per_sample is twice that, for one forward pass of one "
        "image-text pair, and train_flops is flops_per_sample times the pairs seen: the paper's axis (GMAC) in FLOP, "
        "forward passes only. n_params counts both towers. acc is accuracy, missing in the two retrieval sets "
        "(flickr30k, mscoco_captions: recall at 5) and in voc2007_multilabel (average precision). vtab, vtab+ and "
        "imagenet_robustness are means over other sets and flagged aggregate. Rows with a step are the learning "
        "curves on ImageNet: the step is epoch x pairs an epoch / batch (an epoch is a shard of the data in the "
        "largest sets), and n_examples the pairs seen; a few epochs are missing, the curve of L/14 on LAION-2B with "
        "34B pairs lacks 27. They were measured during training, so that their last values differ from the final "
        "results (null step) by up to 0.0013. The paper fits error = b C^a to the Pareto front; over all models of a "
        "data set least squares on logarithms gives a = -0.164 (CLIP-WIT), -0.114 (LAION-2B), -0.097 (LAION-400M) "
        "and -0.059 (LAION-80M)."
    ),
    bibtex=(
        "@inproceedings{cherti2023reproducible, title={Reproducible scaling laws for contrastive language-image "
        "learning}, author={Cherti, Mehdi and Beaumont, Romain and Wightman, Ross and Wortsman, Mitchell and Ilharco, "
        "Gabriel and Gordon, Cade and Schuhmann, Christoph and Schmidt, Ludwig and Jitsev, Jenia}, "
        "booktitle={IEEE/CVF Conference on Computer Vision and Pattern Recognition}, year={2023}, "
        "note={arXiv:2212.07143}}"
    ),
    set_aside=(
        SetAside(MODELS, N_MODELS, "read into runs: recipes of the OpenCLIP models"),
        SetAside(SHAPES, N_SHAPES, "read into runs: sizes of the architectures that were trained"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, final zero-shot results, and learning curves on ImageNet."""
    text = ["name", "arch", "upstream_dataset", "downstream_dataset"]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    numbers = ["samples_seen", "gmacs", "gmacs_total", *METRICS]
    results = raw.csv(RESULTS, columns | dict.fromkeys(numbers, pl.Float64), rows=N_RESULTS).with_columns(
        pl.col("gmacs").round(6),  # one table of the release says 7.399999999999999 for 7.4
        model_name=pl.when(pl.col("name") == "openai")
        .then(pl.concat_str(pl.lit("openai-"), "arch"))
        .otherwise(pl.col("name").str.strip_suffix(".pt")),
    )
    models = _models(raw)
    runs = _runs(raw, results, models)
    aggregate = pl.col("eval_set").is_in(list(AGGREGATES))
    fields = [{"raw_field": column, "metric": metric, "unit": "fraction"} for column, metric in METRICS.items()]
    final = (
        melt(
            results.select("raw_file", "raw_row", *METRICS, run_id=_run_id(), eval_set="downstream_dataset"),
            ["run_id", "eval_set", "raw_file", "raw_row"],
            fields,
        )
        .join(runs.select("run_id", n_examples="n_samples_seen"), on="run_id", how="left")
        .with_columns(
            flag=pl.when(aggregate).then(pl.lit("aggregate")),
            flag_reason=pl.when(aggregate).then(
                pl.lit("mean over other sets of the same table; set aside here so that they count once")
            ),
        )
    )
    evals = pl.concat([final, _curves(raw, models)], how="diagonal").with_columns(
        split=pl.lit("all"), n_shots=pl.lit(0), value_origin=pl.lit("reported")
    )
    return {"runs": conform("runs", runs, "openclip_scaling"), "evals": conform("evals", evals, "openclip_scaling")}


def _run_id() -> pl.Expr:
    return pl.concat_str(pl.lit("openclip_scaling/"), pl.col("model_name"))


def _models(raw: RawFolder) -> pl.DataFrame:
    numbers = ["lr", "warmup", "epochs", "gpus", "samples_per_epoch", "local_bs"]
    frame = raw.csv(MODELS, {"name": pl.String} | dict.fromkeys(numbers, pl.Float64), rows=N_MODELS)
    return frame.with_columns(
        model_name=pl.col("name").str.strip_suffix(".pt"), batch=pl.col("gpus") * pl.col("local_bs")
    )


def _runs(raw: RawFolder, results: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    """The 32 models, with recipe (OpenCLIP only) and size of their architecture."""
    shapes = raw.csv(SHAPES, {"model": pl.String, "mparams": pl.Float64, "gmacs": pl.Float64}, rows=N_SHAPES)
    once = results.unique("model_name", maintain_order=True)
    seen = results.group_by("model_name").agg(pl.col("samples_seen", "gmacs", "arch").n_unique())
    joined = once.join(
        shapes.drop("raw_file", "raw_row"), left_on="arch", right_on="model", how="left", suffix="_shape"
    )
    joined = joined.join(models.drop("raw_file", "raw_row", "name"), on="model_name", how="left")
    total = (pl.col("gmacs") * pl.col("samples_seen") / pl.col("gmacs_total") - 1).abs() > 1e-12
    require(
        f"openclip_scaling, {RESULTS!r}",
        models=(once.height, N_RUNS),
        models_with_two_recipes=(seen.filter(pl.max_horizontal("samples_seen", "gmacs", "arch") > 1).height, 0),
        models_without_a_recipe=(joined["lr"].null_count(), N_RUNS - N_MODELS),
        shapes_that_differ=(joined.filter(pl.col("gmacs").ne_missing(pl.col("gmacs_shape"))).height, 0),
        totals_that_are_not_products=(results.filter(total).height, 0),
    )
    return joined.select(
        "model_name",
        run_id=_run_id(),
        study=pl.lit("openclip_scaling"),
        model_id=pl.when(pl.col("name") == "openai").then(
            pl.concat_str(pl.lit("clip-"), pl.col("arch").str.to_lowercase())
        ),
        family=pl.col("upstream_dataset").str.to_lowercase(),
        architecture=pl.lit("vision"),
        n_params=pl.col("mparams") * 1e6,
        n_samples_seen="samples_seen",
        flops_per_sample=pl.col("gmacs") * FLOP_PER_GMAC,
        train_flops=pl.col("gmacs_total") * FLOP_PER_GMAC,
        corpus="upstream_dataset",
        learning_rate="lr",
        n_warmup_steps="warmup",
        n_steps=(pl.col("samples_seen") / pl.col("batch")).round(),
    )


def _curves(raw: RawFolder, models: pl.DataFrame) -> pl.DataFrame:
    """ImageNet accuracy after each epoch; steps follow from the pairs of an epoch and the batch."""
    curves = raw.csv(
        CURVES, {"name": pl.String, "epoch": pl.Float64} | dict.fromkeys(CURVE_METRICS, pl.Float64), rows=N_CURVES
    ).join(models.select("name", "model_name", "samples_per_epoch", "batch", "epochs"), on="name", how="left")
    require(
        f"openclip_scaling, {CURVES!r}",
        curves=(curves["name"].n_unique(), N_MODELS),
        epochs_beyond_the_run=(
            curves.filter((pl.col("epoch") <= pl.col("epochs")).not_().fill_null(value=True)).height,
            0,
        ),
    )
    pairs = pl.col("epoch") * pl.col("samples_per_epoch")
    fields = [{"raw_field": column, "metric": metric, "unit": "fraction"} for column, metric in CURVE_METRICS.items()]
    wide = curves.with_columns(
        run_id=_run_id(), n_examples=pairs, step=(pairs / pl.col("batch")).round(), eval_set=pl.lit("imagenet1k")
    )
    return melt(wide, ["run_id", "eval_set", "step", "n_examples", "raw_file", "raw_row"], fields)
