"""Small tables of READMEs: MLPs, recommenders, image generators, and the best on SuperGPQA."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, slug
from ingest._raw import RawFolder
from ingest._source import Source, conform

MLPS, RECOMMENDERS = "L7_scaling_mlps.csv", "L14_generative_recommenders.csv"
IMAGES, EXAM = "L18_var_zoo.csv", "D12_supergpqa_top.csv"
N_MLPS, N_RECOMMENDERS, N_IMAGES, N_EXAM = 5, 62, 6, 15
SETS = ("CIFAR10", "CIFAR100", "STL10", "TinyImageNet", "ImageNet", "ImageNetReal")
LEVELS = (
    "Overall (sample)",
    "Overall (subfield)",
    "Overall (field)",
    "Overall (discipline)",
    "Easy (sample)",
    "Middle (sample)",
    "Hard (sample)",
)

SOURCE = Source(
    source_id="readme_tables",
    title="Four tables of results printed in READMEs",
    authors="the authors of the repositories named in the notes; collected for scalingdb",
    year=2025,
    licence="as of each repository: none (MLPs, SuperGPQA), Apache-2.0 (recommenders), MIT (image generators)",
    redistribution="printed numbers as our own table of facts with citation",
    headline_metric="task_score",
    n_definition="n_params",
    not_upstream=(MLPS, RECOMMENDERS, IMAGES, EXAM),
    notes=(
        "Study 'scaling_mlps' (gregorbachmann/scaling_mlps, arXiv 2306.13575): MLPs pretrained on ImageNet-21k, "
        "accuracy "
        "after fine-tuning, once with test-time augmentation (family). 'recommenders' (facebookresearch/"
        "generative-recommenders, arXiv 2402.17152): hit rate and NDCG of HSTU and baselines. 'image_generation' "
        "(FoundationVision/VAR, arXiv 2404.02905): Frechet distance of six generators, one at 512 pixels. 'supergpqa' "
        "(SuperGPQA/SuperGPQA, arXiv 2502.14739): the best five of three classes of models, selected by their score, "
        "so "
        "that no trend can be fitted to them; rows other than 'overall (sample)' are means by discipline or difficulty."
    ),
    bibtex=(
        "@misc{readmetables2025, title={Results printed in the READMEs of scaling\\_mlps, generative-recommenders, VAR "
        "and SuperGPQA}, howpublished={GitHub repositories}, year={2025}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Four studies."""
    parts = [_mlps(raw), _recommenders(raw), _images(raw), _exam(raw)]
    rows = pl.concat(parts, how="diagonal").with_columns(
        run_id=pl.format("readme_tables/{}/{}", "study", slug(pl.col("name")))
    )
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id", "study", "family", "n_params", "architecture", model_name="name"
    )
    evals = rows.drop("study", "name", "family", "n_params", "architecture")
    return {
        "runs": conform("runs", runs, "readme_tables"),
        "evals": measured("readme_tables", evals),
    }


def _mlps(raw: RawFolder) -> pl.DataFrame:
    wide = raw.csv(
        MLPS,
        {
            "model": pl.String,
            "n_params": pl.Float64,
            "test_time_augmentation": pl.Int64,
            **dict.fromkeys(SETS, pl.Float64),
        },
        rows=N_MLPS,
        comments=1,
    )
    augmented = pl.col("test_time_augmentation") == 1
    fields = [{"raw_field": name, "eval_set": name.lower()} for name in SETS]
    return melt(wide, ["model", "n_params", "test_time_augmentation", "raw_file", "raw_row"], fields).select(
        "raw_file",
        "raw_row",
        "raw_field",
        "eval_set",
        "n_params",
        study=pl.lit("scaling_mlps"),
        name=pl.when(augmented).then(pl.format("{} augmented", "model")).otherwise("model"),
        family=pl.when(augmented).then(pl.lit("mlp_augmented")).otherwise(pl.lit("mlp")),
        architecture=pl.lit("vision"),
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        value=pl.col("value") / 100,
    )


def _recommenders(raw: RawFolder) -> pl.DataFrame:
    text = dict.fromkeys(("dataset", "method", "metric"), pl.String)
    rows = raw.csv(RECOMMENDERS, {**text, "value": pl.Float64}, rows=N_RECOMMENDERS, comments=1)
    return rows.select(
        "raw_file",
        "raw_row",
        "value",
        study=pl.lit("recommenders"),
        name="method",
        family=slug(pl.col("method").str.replace("-large", "")),
        architecture=pl.lit("other"),
        eval_set=pl.format(
            "{}:{}", slug(pl.col("dataset").str.replace(r" \(.*", "")), pl.col("metric").str.to_lowercase()
        ),
        metric=pl.lit("task_score"),
        unit=pl.lit("fraction"),
        raw_field=pl.lit("value"),
    )


def _images(raw: RawFolder) -> pl.DataFrame:
    numbers = dict.fromkeys(("resolution_px", "fid", "n_params"), pl.Float64)
    rows = raw.csv(IMAGES, {"model": pl.String, **numbers}, rows=N_IMAGES, comments=1)
    plain = ~pl.col("model").str.ends_with("-re") & (pl.col("resolution_px") == 256)
    return rows.select(
        "raw_file",
        "raw_row",
        "n_params",
        study=pl.lit("image_generation"),
        name="model",
        family=pl.when(plain).then(pl.lit("var")).otherwise(slug(pl.col("model"))),
        architecture=pl.lit("vision"),
        eval_set=pl.format("imagenet_{}", pl.col("resolution_px").cast(pl.Int64)),
        metric=pl.lit("frechet_distance"),
        unit=pl.lit("unitless"),
        value="fid",
        raw_field=pl.lit("fid"),
    )


def _exam(raw: RawFolder) -> pl.DataFrame:
    wide = raw.csv(
        EXAM, {"class": pl.String, "Model": pl.String, **dict.fromkeys(LEVELS, pl.Float64)}, rows=N_EXAM, comments=1
    )
    fields = [{"raw_field": name} for name in LEVELS]
    return melt(wide, ["class", "Model", "raw_file", "raw_row"], fields).select(
        "raw_file",
        "raw_row",
        "raw_field",
        study=pl.lit("supergpqa"),
        name="Model",
        family=slug(pl.col("class")),
        architecture=pl.lit("decoder"),
        eval_set=pl.format("supergpqa:{}", slug(pl.col("raw_field"))),
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        value=pl.col("value") / 100,
    )
