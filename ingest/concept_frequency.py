"""Concept frequency in pretraining data and zero-shot accuracy of CLIP models (arXiv 2404.04125)."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

CURVES, TAIL = "binned_curves.csv", "let_it_wag_ensemble_results.json"
N_CURVES, N_CLASSIFIERS, N_TAIL_MODELS, N_COUNT_FILES = 6680, 21, 40, 770
PROMPTS = ("class", "ensemble", "simple")
TASKS = {"zero_shot_classification": "classification", "retrieval": "retrieval", "t2i": "generation"}
TITLE = 'No "Zero-Shot" Without Exponential Data: Pretraining Concept Frequency Determines Multimodal Model Performance'
AUTHORS = (
    "Vishaal Udandarao, Ameya Prabhu, Adhiraj Ghosh, Yash Sharma, Philip H. S. Torr, Adel Bibi, Samuel Albanie, "
    "Matthias Bethge"
)

SOURCE = Source(
    source_id="concept_frequency",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2404.04125",
    repository="bethgelab/frequency_determines_performance",
    upstream_commit="11ef009f9d0d9c0d190b4ede58e07d378ef79d32",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="acc",
    not_upstream=(CURVES,),
    notes=(
        "Zero-shot CLIP models (backbone and pretraining set; no parameter counts, so that n_definition is null), 24 "
        "text-to-image models, and how often concepts occur in pretraining sets. Table evals has the overall accuracy "
        "per data set and kind of prompt ('imagenet:ensemble'), recall in retrieval ('coco:i2t_k=1'), and the curves "
        "of the paper's figures: mean score of the concepts of a frequency bin, which concept_count gives (eval set "
        "'curve:<task>:<prompt or score>:<count>:<bin>', family 'curve'; curves have 7, 8 or 12 bins). Scores of "
        "generated images are in units of their own (task_score is not defined for them: metric benchmark_value). "
        "Table items has the accuracy of every class and concept, and the counts themselves, for runs 'counts/<set>/"
        "<method>': by text (lemmatized, lowercased), by image tagging (rampp at a threshold) and by both "
        "(integrated). "
        "Classes and counts join on the name, which some sets spell in two ways ('plane', 'airplane' in CIFAR-10) and "
        "which several sets share. The curves pool data sets of different difficulty, and put concepts that were never "
        "counted at 1 or leave them out. The paper also counts names of public persons, which are not held."
    ),
    bibtex=arxiv_entry(TITLE.replace('"', "''"), AUTHORS, 2024, "2404.04125"),
    set_aside=(
        SetAside("misalignment_metrics/*", None, "read into claims: share of pairs whose text and image disagree"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, counters, overall scores, curves, and items."""
    scores, items = _classification(raw)
    recalls, concepts = _retrieval(raw)
    curves = _curves(raw)
    counts = _counts(raw)
    evals = pl.concat([scores, recalls, curves], how="diagonal")
    every = pl.concat([items, concepts, counts], how="diagonal")
    return {
        "runs": conform("runs", _runs(evals, every), "concept_frequency"),
        "evals": measured("concept_frequency", evals),
        "items": conform("items", every, "concept_frequency"),
        "claims": conform("claims", _claims(raw), "concept_frequency"),
    }


def _model(key: str) -> str:
    """'backboneRN50_pretrainedcc3m' is 'rn50-cc3m'."""
    backbone, _, data = key.removeprefix("backbone").partition("_pretrained")
    return f"{backbone}-{data}".lower()


def _classification(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Overall and per-class accuracy, in percent, of 19 sets x 3 prompts and of the tail set."""
    files = {
        name: name.split("/")[1].removesuffix("_results.json") for name in raw.files("zero_shot_evaluations/*.json")
    }
    files[TAIL] = "let_it_wag_ensemble"
    overall, classes = [], []
    for name, label in files.items():
        content: dict[str, Any] = json.loads(raw.text(name))
        task = ":".join(label.rsplit("_", 1))
        n_models = N_TAIL_MODELS if name == TAIL else N_CLASSIFIERS
        require(
            f"concept_frequency, {name!r}",
            models=(len(content), n_models),
            prompt=(task.rsplit(":", 1)[1] in PROMPTS, True),
        )
        overall += [
            {"run_id": _model(key), "eval_set": task, "value": one["full"] / 100, "raw_file": name, "raw_field": key}
            for key, one in content.items()
        ]
        part = [(_model(key), c, v / 100) for key, one in content.items() for c, v in one["classwise"].items()]
        frame = pl.DataFrame(
            part, schema={"run_id": pl.String, "item_id": pl.String, "value": pl.Float64}, orient="row"
        )
        raw.count(name, frame.height)
        classes.append(frame.with_columns(task=pl.lit(task), raw_file=pl.lit(name)))
    return _as_evals(overall, "acc"), _as_items(pl.concat(classes), "acc")


def _retrieval(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Recall at k, over all and by concept."""
    overall, concepts = [], []
    for name in raw.files("retrieval_evaluations/*.json"):
        content: dict[str, Any] = json.loads(raw.text(name))
        require(f"concept_frequency, {name!r}", models=(len(content), N_CLASSIFIERS))
        task = ":".join(name.split("/")[1].removesuffix("_results.json").split("_", 1))
        overall += [
            {"run_id": _model(key), "eval_set": task, "value": one["full"], "raw_file": name, "raw_field": key}
            for key, one in content.items()
        ]
        part = [(_model(key), c, v) for key, one in content.items() for c, v in one["conceptwise"].items()]
        frame = pl.DataFrame(
            part, schema={"run_id": pl.String, "item_id": pl.String, "value": pl.Float64}, orient="row"
        )
        raw.count(name, frame.height)
        concepts.append(frame.with_columns(task=pl.lit(task), raw_file=pl.lit(name)))
    return _as_evals(overall, "task_score"), _as_items(pl.concat(concepts), "task_score")


def _as_evals(rows: list[dict[str, Any]], metric: str) -> pl.DataFrame:
    return pl.DataFrame(rows).with_columns(
        run_id=pl.format("concept_frequency/{}", "run_id"), metric=pl.lit(metric), unit=pl.lit("fraction")
    )


def _as_items(rows: pl.DataFrame, metric: str) -> pl.DataFrame:
    return rows.with_columns(
        run_id=pl.format("concept_frequency/{}", "run_id"), metric=pl.lit(metric), unit=pl.lit("fraction")
    )


def _curves(raw: RawFolder) -> pl.DataFrame:
    text = ("count_type", "prompt_type", "pretrain_dataset", "model", "task")
    curves = raw.csv(
        CURVES,
        dict.fromkeys(text, pl.String)
        | {"bin_index": pl.Int64, "concept_frequency_bin": pl.Float64, "mean_score_percent": pl.Float64},
        rows=N_CURVES,
        comments=1,
    )
    require(f"concept_frequency, {CURVES!r}", tasks=(set(curves["task"]), set(TASKS)))
    generated = pl.col("task") == "t2i"
    return curves.select(
        "raw_file",
        "raw_row",
        run_id=pl.when(generated)
        .then(pl.format("concept_frequency/t2i/{}", slug(pl.col("model"))))
        .otherwise(pl.format("concept_frequency/{}-{}", pl.col("model").str.to_lowercase(), "pretrain_dataset")),
        metric=pl.when(generated)
        .then(pl.lit("benchmark_value"))
        .when(pl.col("task") == "retrieval")
        .then(pl.lit("task_score"))
        .otherwise(pl.lit("acc")),
        unit=pl.when(generated).then(pl.lit("unitless")).otherwise(pl.lit("fraction")),
        eval_set=pl.format(
            "curve:{}:{}:{}:{}", pl.col("task").replace_strict(TASKS), "prompt_type", "count_type", "bin_index"
        ),
        concept_count="concept_frequency_bin",
        value=pl.when(generated).then("mean_score_percent").otherwise(pl.col("mean_score_percent") / 100),
        raw_field=pl.lit("mean_score_percent"),
    )


def _counts(raw: RawFolder) -> pl.DataFrame:
    """How often each concept of a data set occurs in a pretraining set."""
    parts = []
    files = raw.files("search_counts/*.json")
    require("concept_frequency, search counts", files=(len(files), N_COUNT_FILES))
    for name in files:
        content: dict[str, float] = json.loads(raw.text(name))
        raw.count(name, len(content))
        task, _, rest = name.split("/")[1].removesuffix("_search_counts.json").partition("_")
        pretraining, method = _counter(rest)
        frame = pl.DataFrame(list(content.items()), schema={"item_id": pl.String, "value": pl.Float64}, orient="row")
        parts.append(
            frame.with_columns(
                run_id=pl.lit(f"concept_frequency/counts/{pretraining}/{method}"),
                task=pl.lit(task),
                metric=pl.lit("concept_count"),
                unit=pl.lit("count"),
                raw_file=pl.lit(name),
            )
        )
    return pl.concat(parts)


def _counter(rest: str) -> tuple[str, str]:
    """'cc3m_integrated_tlemmatized_i0.7' is counted in cc3m, by 'integrated_tlemmatized_i0.7'."""
    for method in ("integrated", "rampp", "lemmatized", "lowercased"):
        at = rest.find(f"_{method}")
        if at > 0:
            return rest[:at], rest[at + 1 :]
    require("concept_frequency, search counts", method=(rest, "integrated, rampp, lemmatized or lowercased"))
    return rest, ""


def _runs(evals: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    names = pl.concat([evals["run_id"], items["run_id"]]).unique().sort().to_frame()
    parts = pl.col("run_id").str.split("/")
    counter, generator = parts.list.get(1) == "counts", parts.list.get(1) == "t2i"
    clip = ~counter & ~generator
    data = pl.col("run_id").str.extract(r"-([a-z0-9_.]+)$")
    return names.select(
        "run_id",
        study=pl.when(counter)
        .then(pl.lit("counts"))
        .when(generator)
        .then(pl.lit("generation"))
        .otherwise(pl.lit("clip")),
        model_name=parts.list.last(),
        family=pl.when(counter)
        .then(parts.list.get(2, null_on_oob=True))
        .when(generator)
        .then(pl.lit("text_to_image"))
        .otherwise(data.fill_null("other")),
        architecture=pl.when(clip).then(pl.lit("vision")),
        corpus=pl.when(counter).then(parts.list.get(2, null_on_oob=True)).when(clip).then(data),
    )


def _claims(raw: RawFolder) -> pl.DataFrame:
    rows = []
    for name in raw.files("misalignment_metrics/*.json"):
        content: dict[str, float] = json.loads(raw.text(name))
        data = name.split("/")[1].removesuffix("_misalignment_degree.json")
        value = content["misalignment_degree (percent); extracted dataset size"]
        rows.append(
            {
                "claim_id": f"2404.04125/misalignment/{data}",
                "claim": f"share of the image-text pairs of {data} whose text and image name different concepts (the "
                "file calls it a percentage; it is a share)",
                "quantity": "misalignment",
                "value": value,
                "unit": "fraction",
                "varies": "pretraining set",
                "where_stated": f"{name}, over the pairs that were extracted",
            }
        )
    return pl.DataFrame(rows)
