"""Epoch AI's database of notable models: sizes, data, compute and cost of 1,892 systems (2025), with an older state."""

from __future__ import annotations

from typing import Any

import polars as pl

from ingest._long import melt, require
from ingest._model_ids import printed_name
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

NEW, OLD = "all_ml_systems_training_cost_repo_trimmed.csv", "all_ml_systems_open_model_repo_trimmed.csv"
BENCHMARKS, COSTS, COSTS_UPDATED, PRICES = (
    "benchmarks_with_model_accessibility.csv",
    "model_costs.csv",
    "model_costs_updated.csv",
    "hardware_prices.csv",
)
STATES = {NEW: ("2025", "Model", 1892, (1275, 988, 717)), OLD: ("2024", "System", 1755, (1150, 782, 477))}
"""File: study, column of the name, rows, and rows with parameters, compute, all three of N, D and C."""
N_BENCHMARKS, N_COSTS, N_COSTS_UPDATED, N_PRICES = 132, 82, 61, 591

SIZE, COMPUTE, DATA = "Parameters", "Training compute (FLOP)", "Training dataset size (datapoints)"
SCORES: dict[str, tuple[str, str, str]] = {
    "BBH": ("bbh", "task_score", "fraction"),
    "GPQA": ("gpqa", "acc", "fraction"),
    "MMLU": ("mmlu", "acc", "fraction"),
    "HELM MMLU": ("helm_mmlu", "acc", "fraction"),
    "SEAL Coding": ("seal_coding:elo", "benchmark_value", "unitless"),
    "SEAL Instruction Following": ("seal_instruction_following", "task_score", "fraction"),
    "SEAL Math": ("seal_math", "task_score", "fraction"),
    "LMSys Elo": ("lmsys:elo", "benchmark_value", "unitless"),
}
COST_KINDS = {
    "Cloud_Cost": "cloud",
    "Hardware_Acquisition_Cost": "hardware_acquisition",
    "Hardware_Capex_Energy_Cost": "hardware_capex_energy",
}

SOURCE = Source(
    source_id="epoch_ml_systems",
    title="Epoch AI database of notable and large-scale AI models (exports of two repositories)",
    authors="Epoch AI",
    year=2025,
    repository="epoch-research/training-cost-trends",
    upstream_commit="263c40a159307e917213d1dc433c617e47d55bfe",
    licence="none in the repositories; Epoch publishes the database as CC BY 4.0",
    redistribution="CC BY 4.0 (Epoch AI database): shipped as our own table with citation",
    n_definition="n_params",
    not_upstream=(NEW, OLD, BENCHMARKS, PRICES),
    notes=(
        "Study '2025' is the export of June 2025 (1,892 systems: 1,275 with parameters, 988 with compute, 717 with "
        "parameters, data size and compute); study '2024' is the state of September 2024 (1,755 systems) and a check "
        "of what changed: use one of them, never both, since most systems are in both. It comes from "
        "epoch-research/open-model-trends at a72b3e93b358ba653a775a41f3e9e5d3984709fd. Columns of prose were removed "
        "before. train_flops is often imputed as 6 N D: compute_method names how (study '2025'), and a law fitted "
        "to N, D and C of such rows finds the imputation again. n_datapoints counts words, tokens, images or other "
        "units, which the export does not state, so n_tokens is null. n_params is the total also for mixtures of "
        "experts. Systems enter the database by prominence, not at random. training_cost_usd and metric training_cost "
        "are in dollars of 2023; study 'costs' has the estimates of the cost paper by kind (cloud rent, buying the "
        "hardware, amortised hardware with energy), eval set 'updated' a later set of one kind the file does not "
        "name. Study 'benchmarks' has 132 models with scores (fractions; elo ratings as benchmark_value). "
        "Systems of one name share a model_id across studies and with other sources. Prices of hardware (591 rows), "
        "hardware, power, citations and country are left out. Fine-tuning compute is left out because small integers "
        "stand among its values."
    ),
    bibtex=(
        "@misc{epoch2025systems, title={Data on {AI} models}, author={{Epoch AI}}, year={2025}, "
        "howpublished={epoch.ai/data, exports in epoch-research/training-cost-trends and "
        "epoch-research/open-model-trends}}"
    ),
    set_aside=(
        *(
            SetAside(file, rows, f"read into runs: one system per record, study '{study}'")
            for file, (study, _, rows, _) in STATES.items()
        ),
        SetAside(BENCHMARKS, 2, "read into runs: models without a score"),
        SetAside(PRICES, N_PRICES, "prices of hardware, no property of a model"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Systems of both states, models with benchmark scores, and cost estimates."""
    benchmarks, scores = _benchmarks(raw)
    costs, estimates = _costs(raw)
    prices = raw.csv(PRICES, {"Hardware model": pl.String}, rows=N_PRICES)
    require(f"epoch_ml_systems, {PRICES!r}", hardware_models=(prices["Hardware model"].n_unique(), 82))
    runs = pl.concat([*(_systems(raw, name) for name in STATES), benchmarks, costs], how="diagonal")
    evals = pl.concat([scores, estimates], how="diagonal").with_columns(split=pl.lit("all"))
    return {"runs": conform("runs", runs, "epoch_ml_systems"), "evals": conform("evals", evals, "epoch_ml_systems")}


def _systems(raw: RawFolder, file: str) -> pl.DataFrame:
    study, name, rows, counts = STATES[file]
    text = [name, "Domain", "Organization", "Confidence", "Publication date", "Training dataset"]
    text += ["Training compute estimation method", "Training compute cost (2023 USD)"]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    frame = raw.csv(file, columns | dict.fromkeys([SIZE, COMPUTE, DATA, "Epochs"], pl.Float64), rows=rows)
    known = [pl.col(column).is_not_null() for column in (SIZE, COMPUTE, DATA)]
    found = frame.select(
        known[0].sum().alias("n"), known[1].sum().alias("c"), pl.all_horizontal(known).sum().alias("all")
    )
    require(f"epoch_ml_systems, {file!r}", rows_with_parameters_compute_and_all_three=(found.row(0), counts))
    repeated = pl.int_range(1, pl.len() + 1).over(name)
    domain = pl.col("Domain").str.split(",").list.first().str.to_lowercase()
    return frame.select(
        run_id=pl.concat_str(
            pl.lit(f"epoch_ml_systems/{study}/"),
            pl.col(name).str.strip_chars(),
            pl.when(repeated > 1).then(pl.concat_str(pl.lit("#"), repeated)).otherwise(pl.lit("")),
        ),
        study=pl.lit(study),
        model_name=name,
        # two entries of one name are two systems: which of them another list means is not known
        model_id=pl.when(pl.len().over(name) == 1).then(printed_name(pl.col(name))),
        family=domain.fill_null("unstated"),
        n_params=SIZE,
        n_epochs="Epochs",
        train_flops=COMPUTE,
        n_datapoints=DATA,
        corpus="Training dataset",
        organisation="Organization",
        task_domain="Domain",
        release_date=pl.col("Publication date").str.to_date("%Y-%m-%d"),
        training_cost_usd=pl.col("Training compute cost (2023 USD)").str.strip_prefix("$").cast(pl.Float64),
        confidence="Confidence",
        compute_method="Training compute estimation method",
    )


def _benchmarks(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """132 models and their scores."""
    text = ["System", "Date", "Active Parameters"]
    numbers = ["Model size (parameters)", "Dataset size", COMPUTE, *SCORES]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    frame = raw.csv(BENCHMARKS, columns | dict.fromkeys(numbers, pl.Float64), rows=N_BENCHMARKS).with_columns(
        run_id=pl.concat_str(pl.lit("epoch_ml_systems/benchmarks/"), "System")
    )
    runs = frame.select(
        "run_id",
        study=pl.lit("benchmarks"),
        model_name="System",
        model_id=pl.when(pl.col("System") != "Random chance").then(printed_name(pl.col("System"))),
        family=pl.lit("language"),
        n_params="Model size (parameters)",
        n_params_active=pl.col("Active Parameters").str.replace_all(",", "").cast(pl.Float64),
        n_datapoints="Dataset size",
        train_flops=COMPUTE,
        release_date=pl.col("Date").str.to_date("%Y-%m-%d"),
    )
    fields: list[dict[str, Any]] = [
        {"raw_field": column, "eval_set": eval_set, "metric": metric, "unit": unit}
        for column, (eval_set, metric, unit) in SCORES.items()
    ]
    evals = melt(frame, ["run_id", "raw_file", "raw_row"], fields).with_columns(value_origin=pl.lit("reported"))
    return runs, evals


def _costs(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Estimated costs of training, by kind."""
    kinds = raw.csv(COSTS, {"Model": pl.String} | dict.fromkeys(COST_KINDS, pl.Float64), rows=N_COSTS)
    updated = raw.csv(COSTS_UPDATED, {"Model": pl.String, "Cost": pl.Float64}, rows=N_COSTS_UPDATED)
    keep = ["Model", "raw_file", "raw_row"]
    fields = [{"raw_field": column, "eval_set": kind} for column, kind in COST_KINDS.items()]
    both = pl.concat(
        [melt(kinds, keep, fields), melt(updated, keep, [{"raw_field": "Cost", "eval_set": "updated"}])]
    ).with_columns(
        run_id=pl.concat_str(pl.lit("epoch_ml_systems/costs/"), "Model"),
        metric=pl.lit("training_cost"),
        unit=pl.lit("usd"),
        value_origin=pl.lit("reported"),
    )
    runs = (
        both.select("run_id", model_name="Model", model_id=printed_name(pl.col("Model")))
        .unique(maintain_order=True)
        .with_columns(study=pl.lit("costs"), family=pl.lit("unstated"))
    )
    return runs, both.drop("Model")
