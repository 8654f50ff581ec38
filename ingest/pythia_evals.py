"""Harness scores of Pythia along training, and of OPT and BLOOM (arXiv 2304.01373).

One JSON file per model, checkpoint and number of examples in the prompt; 714 files, up to 87 tasks each.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from ingest._hitchhiker_tools import chance_level
from ingest._raw import RawFolder
from ingest._source import Source, conform
from scalingdb.errors import DataError

STEP_TOKENS = 2_097_152
SMALL_BATCH = {"0.25MtokBS": 262_144, "0.5MtokBS": 524_288}
"""Batch sizes of the two variants, whose steps are therefore smaller."""
TOTAL_TOKENS = 143_000 * STEP_TOKENS
SHOTS = {"zero-shot": 0, "five-shot": 5}
N_FILES = {"zero-shot": 432, "five-shot": 269, "opt": 8, "bloom": 5}
N_TASKS = {"zero-shot": 87, "five-shot": 65, "opt": 65, "bloom": 65}
N_RUNS = {"pythia": 18, "opt": 8, "bloom": 5}
N_REPEATING = 16
"""Models whose step 1 repeats step 0 in every score."""
NAMED_FIVE_SHOT = 4
"""Files of pythia-1b-bf16 that say '5shot' in their name but zero-shot in their configuration."""

METRICS = {
    "acc": ("acc", "fraction"),
    "acc_norm": ("acc_norm", "fraction"),
    "ppl": ("perplexity", "perplexity_per_word"),
    "pct_stereotype": ("pct_stereotype", "fraction"),
    "likelihood_difference": ("likelihood_difference", "nats_per_answer"),
}
SCALE = {"m": 1e6, "b": 1e9}

SOURCE = Source(
    source_id="pythia_evals",
    title="Pythia: A Suite for Analyzing Large Language Models Across Training and Scaling",
    authors=(
        "Stella Biderman, Hailey Schoelkopf, Quentin Anthony, Herbie Bradley, Kyle O'Brien, Eric Hallahan, Mohammad "
        "Aflah Khan, Shivanshu Purohit, USVSN Sai Prashanth, Edward Raff, Aviya Skowron, Lintang Sutawika, Oskar van "
        "der Wal"
    ),
    year=2023,
    arxiv_id="2304.01373",
    repository="EleutherAI/pythia",
    upstream_commit="a19eecb807ec2c79a39ebf18108816e6ffffc1d5",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence; shipped as our own table with citation",
    headline_metric="acc",
    headline_eval_set="lambada_openai",
    n_definition="n_params",
    notes=(
        "16 Pythia models (8 sizes, standard and deduplicated Pile; version 1), zero-shot at 27 checkpoints on 87 "
        "tasks and five-shot at 15 checkpoints on 65; two five-shot variants with smaller batches; 8 OPT and 5 BLOOM "
        "models at the end of training, without a step. Shots are those of each file's configuration: four zero-shot "
        "files of pythia-1b-bf16 say '5shot' in their name. The standard 1b model is stored upstream as "
        "pythia-1b-bf16; its model_id is pythia-1b. n_tokens is step x 2,097,152 (143,000 steps: 299.9e9 tokens, about "
        "one epoch of the Pile or 1.5 of the deduplicated one); the variants 0.25MtokBS and 0.5MtokBS take 262,144 and "
        "524,288 tokens per step. n_params are the rounded sizes of the names, embeddings included. LAMBADA perplexity "
        "is per word and reaches 3.5e6 at step 0, which scores the initial weights. All 172 scores of step 1 equal "
        "those of step 0 in all 16 models: flagged, so that initial weights count once. pct_stereotype is a measure of "
        "bias (0.5 is neutral), not an accuracy. MMLU (hendrycksTest) is near chance (0.25) at most sizes, with "
        "standard errors of 0.02 to 0.05 a subject. Learning rates were still high at all checkpoints but the last. "
        "The same scores, without standard errors, stand in source hitchhiker (study pythia_harness), together with "
        "version-0 models and intervention runs: count them once. WinoBias and the term-frequency tables of the "
        "repository are not part of this source."
    ),
    bibtex=(
        "@inproceedings{biderman2023pythia, title={Pythia: A Suite for Analyzing Large Language Models Across Training "
        "and Scaling}, author={Biderman, Stella and Schoelkopf, Hailey and Anthony, Quentin and Bradley, Herbie and "
        "O'Brien, Kyle and Hallahan, Eric and Khan, Mohammad Aflah and Purohit, Shivanshu and Prashanth, USVSN Sai and "
        "Raff, Edward and Skowron, Aviya and Sutawika, Lintang and van der Wal, Oskar}, booktitle={International "
        "Conference on Machine Learning}, pages={2397--2430}, year={2023}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model, one score per file, task and metric."""
    names = raw.files("*.json")
    counts = {group: sum(group in PurePosixPath(name).parts for name in names) for group in N_FILES}
    if counts != N_FILES or len(names) != sum(N_FILES.values()):
        raise DataError(f"pythia_evals: {len(names)} files, by group {counts}, expected {N_FILES}")
    columns: dict[str, list[Any]] = {name: [] for name in COLLECTED}
    for name in names:
        record = json.loads(raw.text(name))
        raw.count(name, len(record["results"]))
        _collect(name, record, columns)
    scores = pl.DataFrame(columns, schema=COLLECTED)
    misnamed = scores.filter(pl.col("raw_file").str.contains("-5shot_") & (pl.col("n_shots") == 0))
    if misnamed["raw_file"].n_unique() != NAMED_FIVE_SHOT:
        raise DataError(f"pythia_evals: {misnamed['raw_file'].n_unique()} zero-shot files are named five-shot")
    repeats = (pl.col("step") == 1) & pl.col("model").is_in(_repeating_step_0(scores))
    runs = _runs(scores)
    batch = runs.select("run_id", "batch_size_tokens")
    scores = scores.with_columns(run_id=pl.format("pythia_evals/{}", "model"))
    evals = (
        scores.join(batch, on="run_id", how="left", maintain_order="left")
        .with_columns(
            n_tokens=pl.col("step") * pl.col("batch_size_tokens"),
            metric=pl.col("field").replace_strict({name: metric for name, (metric, _) in METRICS.items()}),
            unit=pl.col("field").replace_strict({name: unit for name, (_, unit) in METRICS.items()}),
        )
        .with_columns(chance_level=chance_level())
        .select(
            "run_id",
            "step",
            "n_tokens",
            "metric",
            "eval_set",
            "n_shots",
            "value",
            "unit",
            "std_error",
            "chance_level",
            "raw_file",
            "raw_row",
            split=pl.lit("all"),
            value_origin=pl.lit("reported"),
            flag=pl.when(repeats).then(pl.lit("repeats_step_0")),
            flag_reason=pl.when(repeats).then(
                pl.lit("all scores of step 1 equal those of step 0: the two checkpoints have the same weights")
            ),
            raw_field=pl.format("results.{}.{}", "eval_set", "field"),
        )
    )
    return {"runs": conform("runs", runs, "pythia_evals"), "evals": conform("evals", evals, "pythia_evals")}


def _repeating_step_0(scores: pl.DataFrame) -> list[str]:
    """Models whose scores at step 1 all equal those at step 0."""
    keys = ["model", "n_shots", "eval_set", "field"]
    early = scores.filter(pl.col("step") <= 1)
    equal = early.group_by(keys).agg(n=pl.len(), values=pl.col("value").n_unique()).filter(pl.col("n") == 2)
    models = equal.group_by("model").agg(pl.col("values").max()).filter(pl.col("values") == 1)["model"].sort().to_list()
    if len(models) != N_REPEATING:
        raise DataError(f"pythia_evals: step 1 repeats step 0 in {len(models)} models, expected {N_REPEATING}")
    return models


COLLECTED = pl.Schema(
    {
        "model": pl.String,
        "step": pl.Float64,
        "n_shots": pl.Int64,
        "eval_set": pl.String,
        "field": pl.String,
        "value": pl.Float64,
        "std_error": pl.Float64,
        "raw_file": pl.String,
        "raw_row": pl.Int64,
    }
)


def _collect(name: str, record: dict[str, Any], columns: dict[str, list[Any]]) -> None:
    """Append the scores of one file to `columns`.

    Raises
    ------
    DataError
        If the number of tasks or of shots is not that of the file's folder, or a metric is unknown.
    """
    path = PurePosixPath(name)
    is_pythia = path.parent.name in SHOTS
    model = path.parent.parent.name if is_pythia else path.stem
    step = float(path.stem.rpartition("_step")[2]) if is_pythia else None
    shots, results = record["config"]["num_fewshot"], record["results"]
    if len(results) != N_TASKS[path.parent.name] or shots != SHOTS.get(path.parent.name, shots):
        raise DataError(f"pythia_evals, {name!r}: {len(results)} tasks, {shots} examples in the prompt")
    for position, (task, numbers) in enumerate(results.items(), start=1):
        fields = [field for field in numbers if not field.endswith("_stderr")]
        unknown = [field for field in fields if field not in METRICS]
        if unknown:
            raise DataError(f"pythia_evals, {name!r}, task {task!r}: unknown metric(s) {unknown}")
        for field in fields:
            row = (model, step, shots, task, field, numbers[field], numbers[f"{field}_stderr"], name, position)
            for column, cell in zip(columns, row, strict=True):
                columns[column].append(cell)


def _runs(scores: pl.DataFrame) -> pl.DataFrame:
    """Sizes, corpora and batches from the names of the models."""
    name = pl.col("model")
    suite = name.str.extract(r"^([a-z]+)-")
    is_pythia = suite == "pythia"
    is_deduped = name.str.ends_with("-deduped")
    batch = name.str.extract(r"-([0-9.]+MtokBS)$")
    # BLOOM writes 7b1 for 7.1b
    size = name.str.extract(r"^[a-z]+-([0-9.]+[mb][0-9]*)").str.replace(r"^(\d+)b(\d+)$", "$1.${2}b")
    number = size.str.head(-1).cast(pl.Float64) * size.str.tail(1).replace_strict(SCALE, return_dtype=pl.Float64)
    deduped = pl.when(is_deduped).then(pl.lit("deduped"))
    runs = (
        scores.unique("model", maintain_order=True)
        .sort("model")
        .select(
            run_id=pl.format("pythia_evals/{}", name),
            study=pl.lit("pythia_evals"),
            model_name=name,
            model_id=pl.when(batch.is_null()).then(
                pl.concat_str(suite, size, deduped, separator="-", ignore_nulls=True)
            ),
            family=pl.concat_str(
                suite,
                deduped,
                pl.when(batch.is_not_null()).then(pl.lit("small_batch")),
                separator="_",
                ignore_nulls=True,
            ),
            architecture=pl.lit("decoder"),
            n_params=number.round(),
            n_tokens=pl.when(is_pythia).then(float(TOTAL_TOKENS)),
            corpus=pl.when(is_deduped).then(pl.lit("The Pile, deduplicated")).when(is_pythia).then(pl.lit("The Pile")),
            dataset_dedup=pl.when(is_pythia).then(is_deduped),
            batch_size_tokens=pl.when(is_pythia).then(
                batch.replace_strict(SMALL_BATCH, default=STEP_TOKENS, return_dtype=pl.Float64)
            ),
        )
        .with_columns(n_steps=pl.col("n_tokens") / pl.col("batch_size_tokens"))
    )
    counts = dict(runs.group_by(pl.col("run_id").str.extract(r"/([a-z]+)-")).len().rows())
    if counts != N_RUNS:
        raise DataError(f"pythia_evals: models of each suite {counts}, expected {N_RUNS}")
    return runs
