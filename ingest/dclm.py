"""DataComp-LM: 450 models on 275 data recipes at three scales, with 53 tasks (arXiv 2406.11794)."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ingest._long import measured, melt, require
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

TABLE, ABLATION = "assets/DCLM_model_database.csv", "assets/architecture_results_mamba.csv"
N_TABLE, N_ABLATION, N_MODELS, N_EVALS, N_NEW_EVALS = 416, 10, 133, 156, 41
SCALES = {411_616_256.0: "412m", 1_439_795_200.0: "1.4b", 6_889_410_560.0: "6.9b"}
AGGREGATES = {
    "aggregated_results": ("task_score", "mean_of_all_tasks"),
    "rw_small": ("task_score", "mean_of_rw_small"),
    "rw_small_centered": ("score_above_chance", "mean_of_rw_small"),
    "95%_CI_above": ("task_score", "mean_of_95_percent_tasks"),
    "95%_CI_above_centered": ("score_above_chance", "mean_of_95_percent_tasks"),
    "99%_CI_above": ("task_score", "mean_of_99_percent_tasks"),
    "99%_CI_above_centered": ("score_above_chance", "mean_of_99_percent_tasks"),
    "low_variance_datasets": ("task_score", "mean_of_low_variance_tasks"),
}
CATEGORIES = (
    "commonsense reasoning",
    "language understanding",
    "reading comprehension",
    "safety",
    "symbolic problem solving",
    "world knowledge",
)
NOT_TASKS = {
    "Model JSON", "Dataset", "model", "params", "tokens", "Core", "Extended", "name", "creation_date", "model_uuid",
    "_filename", "missing tasks", "dataset_uuid", "tokenizer", "eval_metrics.perplexity",
}  # fmt: skip
OUTLIER = 5.0
"""Losses above this (nats per token) are no language models of these sizes: the median is 2.2 to 2.8."""
UNSIZED = "external"
TITLE = "DataComp-LM: In search of the next generation of training sets for language models"
AUTHORS = "Jeffrey Li, Alex Fang, Georgios Smyrnis and others"

SOURCE = Source(
    source_id="dclm",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2406.11794",
    repository="mlfoundations/dclm",
    upstream_commit="361714bdd60bb9b7f4b2d8354cebbf0dec0c329e",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="score_above_chance",
    headline_eval_set="core_v1",
    n_definition="n_params",
    not_upstream=(TABLE, ABLATION),
    notes=(
        "Models trained on 275 data recipes (corpus) at three scales (family: 412m, 1.4b, 6.9b), from the table of "
        "results and the JSON files of single evaluations. Study 'database': the table, one run per evaluated model; "
        "'json': evaluations that the table lacks, among them public models (family 'external'); 'architecture': ten "
        "models with a gated activation. Metric acc is per task. Core and Extended are means of accuracies above "
        "chance (score_above_chance) and exist in two versions that must not be mixed: the table has version 1, the "
        "JSON files both. Other means, over tasks or categories, are flagged aggregate. The columns that the release "
        "calls perplexity are mean negative log-likelihoods: loss on its validation text, answer_loss on a task. "
        "Losses above 5 nats are flagged outlier (no rule of the release). 88 models have no Core, 173 no loss. "
        "n_tokens is the planned number; eight checkpoints of the last stage of a long run carry one plan and are "
        "flagged. One model was evaluated twice and the second is flagged. Tokens of long runs mix data sets "
        "and cooldowns. Hyperparameters and parameters without embeddings are known for runs with a JSON file "
        "(115 of 416). One table name is longer than file systems allow and cut upstream with a hash."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2406.11794"),
    set_aside=(SetAside("exp_data/models/*", None, "read into runs: hyperparameters"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """The table, the evaluations that it lacks, and the second versions of Core and Extended."""
    recipes = _recipes(raw)
    table = _table(raw)
    jsons = _jsons(raw, dict(table.select("model_uuid", "run_id").unique("model_uuid", keep="none").iter_rows()))
    ablation = _ablation(raw)
    parts = [table, jsons, ablation]
    described = ("run_id", "study", "model_uuid", "model", "Dataset", "params", "tokens", "tokenizer")
    runs = pl.concat([part.select(described) for part in parts]).unique("run_id", keep="first", maintain_order=True)
    evals = pl.concat(
        [_scores(table), _table_losses(table), _json_scores(raw, jsons), _scores(ablation, "2")], how="diagonal"
    )
    return {
        "runs": conform("runs", _runs(runs, recipes), "dclm"),
        "evals": measured("dclm", evals),
    }


# ---- the table ------------------------------------------------------------------------------------


def _columns(raw: RawFolder, name: str) -> list[str]:
    return pl.read_csv(raw.text(name).splitlines()[0].encode(), infer_schema=False).columns


def _table(raw: RawFolder) -> pl.DataFrame:
    names = _columns(raw, TABLE)
    text = {"Model JSON", "Dataset", "model", "name", "creation_date", "model_uuid", "_filename", "missing tasks"}
    text |= {"dataset_uuid", "tokenizer"}
    columns = {name: pl.String if name in text else pl.Float64 for name in names}
    table = raw.csv(TABLE, columns, rows=N_TABLE)
    checkpoint = pl.col("Model JSON").str.extract(r"hero_run1_placeholder_epoch_(\d+)\.pt")
    table = table.with_columns(
        study=pl.lit("database"),
        second=pl.int_range(pl.len()).over("model_uuid") > 0,
        checkpoint=checkpoint,
    ).with_columns(
        run_id=pl.when(pl.col("checkpoint").is_not_null())
        .then(pl.format("dclm/{}-epoch-{}", "model_uuid", "checkpoint"))
        .otherwise(pl.format("dclm/{}", "model_uuid")),
    )
    again = table["run_id"].is_duplicated() & ~table["run_id"].is_first_distinct()
    table = table.with_columns(
        again=again, run_id=pl.when(again).then(pl.format("{}-again", "run_id")).otherwise("run_id")
    )
    require(
        f"dclm, {TABLE!r}",
        sizes=(set(table["params"]), set(SCALES)),
        checkpoints=(table["checkpoint"].drop_nulls().len(), 8),
        evaluated_twice=(int(again.sum()), 1),
        runs=(table["run_id"].n_unique(), N_TABLE),
        recipes=(table["Dataset"].n_unique(), 275),
    )
    return table


def _flags(frame: pl.DataFrame, aggregate: pl.Expr) -> pl.DataFrame:
    """Flags of the rows: repeated evaluations, checkpoints under a false number of tokens, means."""
    again, checkpoint = pl.col("again"), pl.col("checkpoint").is_not_null()
    return frame.with_columns(
        flag=pl.when(again)
        .then(pl.lit("evaluated_twice"))
        .when(checkpoint)
        .then(pl.lit("unknown_tokens"))
        .when(aggregate)
        .then(pl.lit("aggregate")),
        flag_reason=pl.when(again)
        .then(pl.lit("second evaluation of one model; the first is kept"))
        .when(checkpoint)
        .then(pl.lit("checkpoint of a long run, listed under the planned tokens of its last stage"))
        .when(aggregate)
        .then(pl.lit("mean over tasks of the same evaluation; set aside here so that they count once")),
    ).drop("again", "checkpoint")


def _scores(table: pl.DataFrame, version: str = "1") -> pl.DataFrame:
    """Accuracies and their means, from a wide table."""
    table = table if "again" in table.columns else table.with_columns(again=pl.lit(value=False), checkpoint=None)
    losses = {name for name in table.columns if name.startswith(("perplexity.", "eval_metrics.perplexity"))}
    known = (
        NOT_TASKS
        | losses
        | set(AGGREGATES)
        | {"run_id", "study", "again", "second", "checkpoint", "raw_file", "raw_row"}
    )
    tasks = [n for n in table.columns if n not in known and not n.startswith("aggregated_task_categories_centered.")]
    fields = [
        {"raw_field": name, "metric": "acc", "eval_set": name, "unit": "fraction", "mean": False} for name in tasks
    ]
    fields += [
        {
            "raw_field": name,
            "metric": metric,
            "eval_set": eval_set,
            "unit": "fraction" if metric == "task_score" else "fraction_above_chance",
            "mean": True,
        }
        for name, (metric, eval_set) in AGGREGATES.items()
        if name in table.columns
    ]
    above = {f"aggregated_task_categories_centered.{name}": (f"category:{name}", True) for name in CATEGORIES}
    above |= {"Core": (f"core_v{version}", False), "Extended": (f"extended_v{version}", False)}
    fields += [
        {
            "raw_field": name,
            "metric": "score_above_chance",
            "eval_set": s,
            "unit": "fraction_above_chance",
            "mean": mean,
        }
        for name, (s, mean) in above.items()
        if name in table.columns
    ]
    long = melt(table, ["run_id", "raw_file", "raw_row", "again", "checkpoint"], fields)
    return _flags(long, pl.col("mean")).drop("mean")


def _table_losses(table: pl.DataFrame) -> pl.DataFrame:
    """Negative log-likelihoods, which the release calls perplexities."""
    fields = [{"raw_field": "eval_metrics.perplexity", "metric": "loss", "eval_set": "open_lm_validation"}]
    fields += [
        {"raw_field": name, "metric": "answer_loss", "eval_set": name.removeprefix("perplexity.")}
        for name in table.columns
        if name.startswith("perplexity.")
    ]
    long = melt(table, ["run_id", "raw_file", "raw_row", "again", "checkpoint"], fields)
    return _outliers(_flags(long, pl.lit(value=False)))


def _outliers(rows: pl.DataFrame) -> pl.DataFrame:
    outlier = (pl.col("metric") == "loss") & (pl.col("value") > OUTLIER)
    return rows.with_columns(
        unit=pl.lit("nats_per_token"),
        flag=pl.when(outlier).then(pl.lit("outlier")).otherwise("flag"),
        flag_reason=pl.when(outlier)
        .then(pl.lit("above 5 nats per token, where the median is 2.2 to 2.8; set aside here, not by the release"))
        .otherwise("flag_reason"),
    )


# ---- single evaluations ----------------------------------------------------------------------------


def _jsons(raw: RawFolder, known: dict[str, str]) -> pl.DataFrame:
    """Evaluations in JSON files: their run is that of the table where the model is in it."""
    rows = []
    listed = {name.rsplit("/", 1)[-1] for name in _table(raw)["Model JSON"]}
    for name in raw.files("exp_data/evals/*.json"):
        content: dict[str, Any] = json.loads(raw.text(name))
        raw.count(name, 1)
        short = name.rsplit("/", 1)[-1]
        uuid = content.get("model_uuid")
        in_table = short in listed
        title = content.get("model_name") or content["model"]
        rows.append(
            {
                "run_id": known[str(uuid)] if in_table else f"dclm/json/{short.removesuffix('.json')}",
                "study": "database" if in_table else "json",
                "model_uuid": uuid,
                "model": title,
                "Dataset": None,
                "params": None,
                "tokens": None,
                "tokenizer": None,
                "in_table": in_table,
                "raw_file": name,
            }
        )
    frame = pl.DataFrame(
        rows,
        infer_schema_length=None,
        schema_overrides={"params": pl.Float64, "tokens": pl.Float64, "Dataset": pl.String, "tokenizer": pl.String},
    )
    require(
        "dclm, evaluations",
        files=(frame.height, N_EVALS),
        not_in_the_table=(frame.filter(~pl.col("in_table")).height, N_NEW_EVALS),
    )
    return frame


def _json_scores(raw: RawFolder, jsons: pl.DataFrame) -> pl.DataFrame:
    """Core and Extended of the second version; everything else where the table lacks the evaluation."""
    rows: list[dict[str, Any]] = []
    for run_id, name, in_table in jsons.select("run_id", "raw_file", "in_table").iter_rows():
        content: dict[str, Any] = json.loads(raw.text(name))
        metrics = content["eval_metrics"]
        above = {f"{part}_v2": f"{part.title()}_v2" for part in ("core", "extended")}
        if not in_table:
            above |= {f"{part}_v1": f"{part.title()}_v1" for part in ("core", "extended")}
        same = {"run_id": run_id, "raw_file": name}
        rows += [
            same | {"metric": "score_above_chance", "eval_set": s, "value": content[f], "raw_field": f}
            for s, f in above.items()
            if not isinstance(content[f], str)  # "N/A due to missing tasks"
        ]
        if in_table:
            continue
        rows += [
            same | {"metric": "acc", "eval_set": task, "value": value, "raw_field": f"eval_metrics.icl.{task}"}
            for task, value in metrics["icl"].items()
        ]
        losses = metrics.get("downstream_perpexity") or {}
        rows += [
            same
            | {
                "metric": "answer_loss",
                "eval_set": t,
                "value": v,
                "raw_field": f"eval_metrics.downstream_perpexity.{t}",
            }
            for t, v in losses.items()
        ]
        if metrics.get("perplexity") is not None:
            field = "eval_metrics.perplexity"
            rows.append(
                same
                | {
                    "metric": "loss",
                    "eval_set": "open_lm_validation",
                    "value": metrics["perplexity"],
                    "raw_field": field,
                }
            )
    units = {"score_above_chance": "fraction_above_chance", "acc": "fraction"}
    return (
        pl.DataFrame(rows, infer_schema_length=None)
        .drop_nulls("value")
        .with_columns(
            raw_row=pl.lit(1, pl.Int64),
            unit=pl.col("metric").replace_strict(units, default="nats_per_token"),
        )
    )


def _ablation(raw: RawFolder) -> pl.DataFrame:
    """Ten models with a gated activation; the file's name speaks of another architecture."""
    names = _columns(raw, ABLATION)
    tasks = [name for name in names if name.startswith("eval_metrics.icl.")]
    text = ("model", "model_uuid", "dataset_name", "tokenizer")
    numbers = [*tasks, *AGGREGATES, "hyperparameters.tokens", "hyperparameters.params"]
    numbers += ["low_variance_datasets_centered", "aggregated_centered_results"]
    numbers += [f"aggregated_task_categories_centered.{name}" for name in CATEGORIES]
    frame = raw.csv(ABLATION, dict.fromkeys(text, pl.String) | dict.fromkeys(numbers, pl.Float64), rows=N_ABLATION)
    renamed = {name: name.removeprefix("eval_metrics.icl.") for name in tasks}
    renamed |= {"low_variance_datasets_centered": "Core", "aggregated_centered_results": "Extended"}
    renamed |= {"dataset_name": "Dataset", "hyperparameters.tokens": "tokens", "hyperparameters.params": "params"}
    return frame.rename(renamed).with_columns(
        study=pl.lit("architecture"), run_id=pl.format("dclm/architecture/{}", "model_uuid")
    )


# ---- runs ------------------------------------------------------------------------------------------


def _recipes(raw: RawFolder) -> pl.DataFrame:
    """Hyperparameters of the runs that have a file of their own."""
    rows = []
    for name in raw.files("exp_data/models/*.json"):
        content: dict[str, Any] = json.loads(raw.text(name))
        settings = content["hyperparameters"]
        rows.append(
            {
                "model_uuid": content["uuid"],
                "recipe": content["dataset_name"],
                "n_params_here": float(settings["params"]),
                "n_tokens_here": float(settings["tokens"]),
                "n_params_non_embedding": float(settings["params_no_embed"]),
                "learning_rate": settings["lr"],
                "learning_rate_final": settings["cd"],
                "weight_decay": settings["wd"],
                "n_warmup_steps": float(settings["warmup"]),
                "batch_size_samples": float(settings["global_bs"]),
                "seed": settings.get("seed"),
            }
        )
    frame = pl.DataFrame(rows, infer_schema_length=None)
    require("dclm, models", files=(frame.height, N_MODELS), models=(frame["model_uuid"].n_unique(), N_MODELS))
    return frame


def _runs(runs: pl.DataFrame, recipes: pl.DataFrame) -> pl.DataFrame:
    joined = runs.join(recipes, on="model_uuid", how="left", maintain_order="left").with_columns(
        n=pl.coalesce("params", "n_params_here"), tokens=pl.coalesce("tokens", "n_tokens_here")
    )
    external = pl.col("model").str.contains("/")
    checkpoint = pl.col("run_id").str.contains("-epoch-")
    return joined.select(
        "run_id",
        "study",
        "n_params_non_embedding",
        "learning_rate",
        "learning_rate_final",
        "weight_decay",
        "n_warmup_steps",
        "batch_size_samples",
        "seed",
        model_name="model",
        model_id=pl.when(external).then(model_id(pl.col("model"))),
        family=pl.when(pl.col("n").is_not_null())
        .then(pl.col("n").replace_strict(SCALES, default="other"))
        .when(external)
        .then(pl.lit(UNSIZED))
        .otherwise(pl.lit("unknown_size")),
        architecture=pl.lit("decoder"),
        n_params="n",
        n_tokens=pl.when(~checkpoint).then("tokens"),
        corpus=pl.coalesce("Dataset", "recipe"),
        tokenizer_id="tokenizer",
    )
