"""CLIP and MaMMUT trained on DataComp: zero-shot ImageNet accuracy and segmentation (arXiv 2506.04598)."""

from __future__ import annotations

import polars as pl

from ingest._long import melt
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError, RawFileError

RESULTS = "scaling_laws/data/segmentation_results.parquet"
PROFILES = "model_profile.csv"
N_RUNS, N_PROFILES, N_VARIANTS = {"clip": 581, "mammut": 850}, 56, 22
EMPTY = (
    "image_acc",
    "text_acc",
    "acc",
    "image_retrieval_recall@5",
    "text_retrieval_recall@5",
    "cosine_distance",
    "contrastive_loss",
    "caption_loss",
)
# column, metric, eval set, unit
SCORES = (
    ("acc1", "acc", "imagenet", "fraction"),
    ("acc5", "acc_top5", "imagenet", "fraction"),
    ("mean_per_class_recall", "class_recall", "imagenet", "fraction"),
    ("miou", "miou", "ade20k", "fraction"),
    ("train_contrastive_loss", "contrastive_loss", "train", "unitless"),
    ("train_caption_loss", "train_loss", "train_captions", "nats_per_token"),
)

SOURCE = Source(
    source_id="laion_clip_mammut",
    title="Scaling Laws for Robust Comparison of Open Foundation Language-Vision Models and Datasets",
    authors=(
        "Marianna Nezhurina, Tomer Porian, Giovanni Pucceti, Tommie Kerssies, Romain Beaumont, Mehdi Cherti, Jenia "
        "Jitsev"
    ),
    year=2025,
    arxiv_id="2506.04598",
    repository="LAION-AI/scaling-laws-for-comparison",
    upstream_commit="5343917d5712c1ebdcae8d0105f16036fc894795",
    licence="none stated",
    redistribution="results of 1,431 runs as our own table of facts with citation; no file is shipped",
    headline_metric="acc",
    headline_eval_set="imagenet",
    n_definition="n_params",
    notes=(
        "Final checkpoints of 1,431 runs on DataComp-1.4B (581 CLIP, 850 MaMMUT; 22 architectures, 11 budgets of "
        "1.28M to 3.07B image-text pairs). This is a hyper-parameter sweep over learning rate, warm-up and batch: "
        "take the best run of each architecture and budget (113 and 118 points) before fitting; nothing is flagged. "
        "acc is ImageNet zero-shot top-1 accuracy although the file's task column says segmentation; miou is ADE20K. "
        "n_params counts image and text tower. train_flops = flops_per_sample x n_samples_seen exactly, as the "
        "authors count; whether a backward pass is included is not stated. The contrastive loss depends on the batch "
        "size; the caption loss (MaMMUT only) is that of the training batches. Epochs of the logs are portions of a "
        "sample budget, not passes over data, so n_epochs is null. The paper's classification and retrieval table is "
        "not in the repository at this commit. 34 of the 56 profiled architectures have no run. Recomputable: the "
        "slope of log10(1 - miou) on log10 FLOP over best runs is -0.0587 for CLIP and -0.0648 for MaMMUT, which "
        "scales better; 1 - acc and 1 - miou correlate with 0.956. Paths of a cluster in the raw file are not "
        "carried."
    ),
    bibtex=(
        "@article{nezhurina2025scaling, title={Scaling Laws for Robust Comparison of Open Foundation Language-Vision "
        "Models and Datasets}, author={Nezhurina, Marianna and Porian, Tomer and Pucceti, Giovanni and Kerssies, "
        "Tommie and Beaumont, Romain and Cherti, Mehdi and Jitsev, Jenia}, journal={arXiv preprint arXiv:2506.04598}, "
        "year={2025}}"
    ),
    set_aside=(
        SetAside(PROFILES, N_PROFILES, f"architectures: 22 repeat size and compute in {RESULTS}, 34 have no run"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per row, up to six numbers per run."""
    results = _results(raw)
    _check_profiles(raw, results)
    decay = pl.col("name").str.extract(r"_wd([0-9.]+)_").cast(pl.Float64)
    runs = results.select(
        "run_id",
        study=pl.lit("laion_clip_mammut"),
        model_name="model",
        family="namespace",
        architecture=pl.lit("vision"),
        n_params=(pl.col("model_mparams") * 1e6).round(),
        n_samples_seen="samples_seen",
        train_flops=pl.col("gflops") * 1e9,
        flops_per_sample=pl.col("model_gflops") * 1e9,
        corpus=pl.lit("DataComp-1.4B"),
        learning_rate="lr",
        batch_size_samples="global_batch_size",
        n_steps="steps",
        n_warmup_steps="warmup",
        weight_decay=decay,
    )
    fields = [
        {"raw_field": name, "metric": metric, "eval_set": task, "unit": unit} for name, metric, task, unit in SCORES
    ]
    evals = melt(results, ["run_id", "raw_file", "raw_row", "steps"], fields).rename({"steps": "step"})
    evals = evals.with_columns(split=pl.lit("all"), value_origin=pl.lit("reported"))
    return {
        "runs": conform("runs", runs, "laion_clip_mammut"),
        "evals": conform("evals", evals, "laion_clip_mammut"),
    }


def _results(raw: RawFolder) -> pl.DataFrame:
    try:
        results = pl.read_parquet(raw.path(RESULTS))
    except pl.exceptions.PolarsError as error:
        raise RawFileError(f"source 'laion_clip_mammut', raw file {RESULTS!r}: not readable: {error}") from error
    counts = dict(results.group_by("namespace").len().rows())
    full = [name for name in EMPTY if results[name].null_count() < results.height]
    odd = results.filter(
        ((pl.col("gflops") / (pl.col("model_gflops") * pl.col("samples_seen")) - 1).abs() > 1e-9)
        | (pl.col("epoch") != pl.col("total_epochs"))
        | (pl.col("acc1") != pl.col("main_metric_value"))
        | ((pl.col("steps") * pl.col("global_batch_size") / pl.col("samples_seen") - 1).abs() > 1e-4)
    )
    if counts != N_RUNS or full or odd.height or results["name"].is_duplicated().any():
        raise DataError(
            f"laion_clip_mammut, {RESULTS!r}: {counts} runs, values in columns {full} that used to be empty, "
            f"{odd.height} row(s) that contradict themselves"
        )
    raw.count(RESULTS, results.height)
    return results.with_row_index("raw_row", offset=1).with_columns(
        pl.col("raw_row").cast(pl.Int64),
        raw_file=pl.lit(RESULTS),
        run_id=pl.concat_str(pl.lit("laion_clip_mammut/"), "name"),
    )


def _check_profiles(raw: RawFolder, results: pl.DataFrame) -> None:
    """Account for the table of architectures: it repeats size and compute of those that were trained."""
    profiles = raw.csv(
        PROFILES,
        {"model_simple_namespace": pl.String, "mparams": pl.Float64, "gflops": pl.Float64},
        rows=N_PROFILES,
    )
    trained = results.select("model_simple_namespace", "model_mparams", "model_gflops").unique()
    same = trained.join(
        profiles,
        left_on=["model_simple_namespace", "model_mparams", "model_gflops"],
        right_on=["model_simple_namespace", "mparams", "gflops"],
    )
    if (trained.height, same.height) != (N_VARIANTS, N_VARIANTS):
        raise DataError(
            f"laion_clip_mammut: {same.height} of {trained.height} architectures stand in {PROFILES!r} with equal size"
        )
