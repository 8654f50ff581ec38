"""OpenCLIP: 121 models on 38 data sets, retrieval, and retrieval in many languages."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

MAIN, CLASSES = "docs/openclip_results.csv", "docs/openclip_classification_results.csv"
RETRIEVAL, LANGUAGES = "docs/openclip_retrieval_results.csv", "docs/openclip_multilingual_retrieval_results.csv"
PROFILE = "docs/model_profile.csv"
N_MODELS, N_PROFILE = 121, 85
DESCRIBED = ("name", "pretrained", "params (M)", "FLOPs (B)")

SOURCE = Source(
    source_id="openclip_results",
    title="OpenCLIP: results of pretrained models",
    authors="Gabriel Ilharco, Mitchell Wortsman, Ross Wightman and others",
    year=2026,
    repository="mlfoundations/open_clip",
    upstream_commit="89fb801f1e6087880e951fc8354b8a2077b79c6d",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="task_score",
    headline_eval_set="imagenet_1k",
    n_definition="n_params",
    notes=(
        "One run is an architecture and a pretraining set (the family and corpus). task_score is the zero-shot score "
        "on each of 38 sets, and recall or Jaccard score in retrieval ('retrieval:...', 'multilingual:...'); averages "
        "are flagged. n_params counts both towers; flops_per_sample is one forward pass of an image-text pair, as the "
        "table gives it. Samples seen stand in some tags of the pretraining set only. The table of classification "
        "repeats the main one and is not stored again. 29 of these models were also evaluated for source "
        "openclip_scaling, in another way: do not pool."
    ),
    bibtex=(
        "@misc{ilharco2021openclip, title={OpenCLIP}, author={Ilharco, Gabriel and Wortsman, Mitchell and Wightman, "
        "Ross and others}, year={2021}, howpublished={GitHub repository mlfoundations/open_clip}}"
    ),
    set_aside=(
        SetAside(CLASSES, N_MODELS, "repeats the main table on the 35 sets of classification"),
        SetAside(PROFILE, N_PROFILE, "shapes of architectures; size and compute stand in the main table"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, zero-shot scores and retrieval."""
    main, names = _wide(raw, MAIN, DESCRIBED)
    classes, class_names = _wide(raw, CLASSES, DESCRIBED)
    raw.csv(PROFILE, {"model": pl.String}, rows=N_PROFILE)
    shared = [name for name in class_names if name in names]
    both = main.select("run_id", *shared).join(classes.select("run_id", *shared), on="run_id", suffix="_again")
    differ = [name for name in shared if (both[name] != both[f"{name}_again"]).any()]
    require("openclip_results, classification", sets_that_differ=(differ, []), sets=(len(shared), 35))
    retrieval, fields = _wide(raw, RETRIEVAL, DESCRIBED)
    languages, more = _wide(raw, LANGUAGES, ("model", "version"))
    evals = pl.concat(
        [
            _long(main, names, ""),
            _long(retrieval, fields, "retrieval:"),
            _long(languages, more, "multilingual:"),
        ]
    )
    described = pl.concat([main.select("run_id", *DESCRIBED), retrieval.select("run_id", *DESCRIBED)]).unique(
        "run_id", keep="first", maintain_order=True
    )
    runs = pl.concat([described, languages.select("run_id", name="model", pretrained="version")], how="diagonal")
    runs = runs.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        study=pl.lit("openclip_results"),
        model_name=pl.format("{} ({})", "name", "pretrained"),
        family="pretrained",
        architecture=pl.lit("vision"),
        n_params=pl.col("params (M)") * 1e6,
        flops_per_sample=pl.col("FLOPs (B)") * 1e9,
        corpus="pretrained",
    )
    return {
        "runs": conform("runs", runs, "openclip_results"),
        "evals": measured("openclip_results", evals, metric="task_score", unit="fraction", n_shots=0),
    }


def _wide(raw: RawFolder, file: str, described: tuple[str, ...]) -> tuple[pl.DataFrame, list[str]]:
    """A table with its run, and the names of its columns of scores."""
    header = pl.read_csv(raw.text(file).splitlines()[0].encode(), infer_schema=False).columns
    scores = [name for name in header if name not in described]
    text = described[:2]
    columns = {name: pl.String if name in text else pl.Float64 for name in header}
    table = raw.csv(file, columns, rows=N_MODELS if file != LANGUAGES else None)
    run_id = pl.format("openclip_results/{}/{}", slug(pl.col(text[0])), slug(pl.col(text[1])))
    return table.with_columns(run_id=run_id), scores


def _long(table: pl.DataFrame, scores: list[str], prefix: str) -> pl.DataFrame:
    fields = [{"raw_field": name} for name in scores]
    average = pl.col("raw_field").str.to_lowercase().str.contains(r"^average|^avg| avg")
    return melt(table, ["run_id", "raw_file", "raw_row"], fields).with_columns(
        eval_set=pl.concat_str(pl.lit(prefix), slug(pl.col("raw_field"))),
        flag=pl.when(average).then(pl.lit("aggregate")),
        flag_reason=pl.when(average).then(pl.lit("mean over other columns of the same table")),
    )
