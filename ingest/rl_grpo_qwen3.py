"""Reinforcement learning (GRPO) of five Qwen3 base models on GSM8K: scores before, during and after (2025)."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ingest._long import melt, require
from ingest._raw import RawFolder
from ingest._source import Source, conform

SIZES = {"0.6b": 0.6e9, "1.7b": 1.7e9, "4b": 4e9, "8b": 8e9, "14b": 14e9}
CURVES, LOSSES = "export.csv", "val_losses.json"
N_TUNED, N_STEPS, N_TRUNCATED = 9, 55, 19
"""Tuned checkpoints; steps of the curves; counts of correct answers that are one too low."""
TOLERANCE = 1e-9

SOURCE = Source(
    source_id="rl_grpo_qwen3",
    title="Scaling of reinforcement learning with verifiable rewards on Qwen3 base models",
    authors="josancamon19 (repository owner)",
    year=2025,
    repository="josancamon19/rl-scaling-laws",
    upstream_commit="cc6c4ee76f276f6ad1da50e84ad5feaa7f83b9ef",
    licence="none stated",
    redistribution="results of one project as our own table of facts with citation",
    not_upstream=(*(f"{size}.json" for size in SIZES), CURVES, LOSSES),
    headline_metric="acc",
    n_definition="n_params",
    notes=(
        "Five base models (0.6B to 14B, nominal sizes) and nine checkpoints after GRPO, scored on MMLU, GSM8K and MATH "
        "(with its seven subjects), greedy. Accuracies are per cent upstream and fractions here. Eval sets of base "
        "models end in the method that reads the answer (strict, flexible, custom_flexible): it changes the result by "
        "up to 80 points, since base models write on after the answer, so compare like with like. The name of a tuned "
        "run ends in the reward it was trained with and its step; its files do not name the reading method. Runs "
        "'curve/...' are GSM8K accuracy by step of reinforcement learning; which reward they used is not stated, and "
        "their first value is no score of the base table. Metric loss on wikitext2_validation is that of the base "
        "models (blocks of 1,024 tokens). In 19 results the count of correct answers is one too low for the accuracy "
        "(upstream truncated it); the accuracy is stored. The README's law, gain = 10.7 size^0.194, contradicts its "
        "own table, in which gains fall with size: a negative example, kept as claims."
    ),
    bibtex=(
        "@misc{josancamon2025rl, title={rl-scaling-laws}, author={josancamon19}, year={2025}, "
        "howpublished={GitHub repository josancamon19/rl-scaling-laws}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Base models, tuned checkpoints and training curves with their scores."""
    scores = pl.DataFrame([row for size in SIZES for row in _scores(raw, size)], infer_schema_length=None)
    missing = (pl.col("value") * pl.col("n_items") - pl.col("correct")).abs()
    off = scores.filter(missing > TOLERANCE * pl.col("n_items"))
    by_one = off.filter((missing - 1).abs() < TOLERANCE * pl.col("n_items"))
    tuned = scores.filter(~pl.col("run").str.ends_with("-base"))["run"].n_unique()
    require(
        "rl_grpo_qwen3",
        tuned_checkpoints=(tuned, N_TUNED),
        counts_that_differ=(off.height, N_TRUNCATED),
        counts_one_too_low=(by_one.height, N_TRUNCATED),
    )
    evals = pl.concat([scores.drop("size", "correct"), _curves(raw), _losses(raw)], how="diagonal").with_columns(
        run_id=pl.concat_str(pl.lit("rl_grpo_qwen3/"), "run"), split=pl.lit("all"), value_origin=pl.lit("reported")
    )
    sizes = pl.concat(
        [
            scores.select("run", "size"),
            pl.DataFrame({"run": [f"curve/qwen3-{size}" for size in SIZES], "size": list(SIZES)}),
        ]
    ).unique(maintain_order=True)
    is_base = pl.col("run").str.ends_with("-base")
    runs = sizes.select(
        run_id=pl.concat_str(pl.lit("rl_grpo_qwen3/"), "run"),
        study=pl.when(is_base)
        .then(pl.lit("base"))
        .when(pl.col("run").str.starts_with("curve/"))
        .then(pl.lit("curve"))
        .otherwise(pl.lit("tuned")),
        model_name="run",
        model_id=pl.when(is_base).then(pl.col("run")),
        family=pl.lit("qwen3"),
        architecture=pl.lit("decoder"),
        n_params=pl.col("size").replace_strict(SIZES),
        is_instruct=pl.lit(value=False),
    )
    return {
        "runs": conform("runs", runs, "rl_grpo_qwen3"),
        "evals": conform("evals", evals.drop("run"), "rl_grpo_qwen3"),
        "claims": conform("claims", _claims(), "rl_grpo_qwen3"),
    }


def _scores(raw: RawFolder, size: str) -> list[dict[str, Any]]:
    """All accuracies of one file: by model, benchmark, shots, and subject where given."""
    name = f"{size}.json"
    rows: list[dict[str, Any]] = []
    models = json.loads(raw.text(name))["models"]
    raw.count(name, len(models))
    for position, model in enumerate(models):
        method = model["metadata"].get("evaluation_method")
        run = f"qwen3-{size}-base" if method else model["model"].split("/")[-1]
        for benchmark, results in model["benchmarks"].items():
            for shots, result in results.get("by_shot", {}).items():
                common = {
                    "run": run,
                    "size": size,
                    "metric": "acc",
                    "unit": "fraction",
                    "n_shots": int(shots),
                    "raw_file": name,
                    "raw_row": position + 1,
                }
                suffix = f":{method}" if method else ""
                field = f"models[{position}].benchmarks.{benchmark}.by_shot.{shots}"
                rows.append(
                    common
                    | {
                        "eval_set": f"{benchmark}{suffix}",
                        "value": result["accuracy"] / 100,
                        "correct": float(result["correct"]),
                        "n_items": float(result["total"]),
                        "raw_field": f"{field}.accuracy",
                    }
                )
                rows += [
                    common
                    | {
                        "eval_set": f"{benchmark}:{subject.lower().replace(' & ', '_').replace(' ', '_')}{suffix}",
                        "value": counts["correct"] / counts["total"],
                        "correct": float(counts["correct"]),
                        "n_items": float(counts["total"]),
                        "raw_field": f"{field}.subject_stats.{subject}",
                    }
                    for subject, counts in result.get("subject_stats", {}).items()
                ]
    return rows


def _curves(raw: RawFolder) -> pl.DataFrame:
    frame = raw.csv(CURVES, dict.fromkeys(["Step", *SIZES], pl.Float64), rows=N_STEPS).rename({"Step": "step"})
    fields = [{"raw_field": size, "run": f"curve/qwen3-{size}"} for size in SIZES]
    return melt(frame, ["step", "raw_file", "raw_row"], fields).with_columns(
        metric=pl.lit("acc"), eval_set=pl.lit("gsm8k:during_training"), unit=pl.lit("fraction")
    )


def _losses(raw: RawFolder) -> pl.DataFrame:
    rows = pl.DataFrame(json.loads(raw.text(LOSSES))).with_row_index("raw_row", offset=1)
    raw.count(LOSSES, rows.height)
    odd = rows.filter((pl.col("loss").exp() / pl.col("perplexity") - 1).abs() > TOLERANCE)
    require(f"rl_grpo_qwen3, {LOSSES!r}", models=(rows.height, len(SIZES)), perplexities_that_differ=(odd.height, 0))
    return rows.select(
        "loss",
        pl.col("raw_row").cast(pl.Int64),
        run=pl.col("model").str.to_lowercase().str.strip_prefix("qwen/"),
        metric=pl.lit("loss"),
        eval_set=pl.lit("wikitext2_validation"),
        unit=pl.lit("nats_per_token"),
        raw_file=pl.lit(LOSSES),
        raw_field=pl.lit("loss"),
    ).rename({"loss": "value"})


def _claims() -> pl.DataFrame:
    """The law of the README, which its own table contradicts."""
    return pl.DataFrame(
        [
            {
                "claim_id": f"rl_grpo_qwen3/gain/{quantity}",
                "claim": "gain in GSM8K accuracy (points) by GRPO = 10.7 size^0.194, size in billions of parameters",
                "quantity": quantity,
                "value": value,
                "unit": "unitless",
                "varies": "model size",
                "where_stated": "README of the repository",
                "test_source": "rl_grpo_qwen3",
            }
            for quantity, value in (("coefficient", 10.7), ("exponent", 0.194))
        ]
    )
