"""Over-trained models: 104 language models, 8 losses and 46 tasks each, and 435 grid trials (arXiv 2403.08540)."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Correction, PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

METADATA = "exp_data/eval_metadata.csv"
GRID = "exp_data/grid.json"
N_MODELS, N_LOSSES, N_TASKS, N_TASKS_DESCRIBED, N_GRID = 104, 8, 46, 51, 435
CONTEXT = 2048
"""Tokens of one sequence; batch sizes are given in sequences."""
PLACEHOLDER_BATCH = 1
"""The 6.9B model files say ``global_bs`` 1, which no run of that size can have used."""

FAMILIES = {"c4_original": ("c4", "C4"), "rpj": ("redpajama", "RedPajama"), "rw_original": ("refinedweb", "RefinedWeb")}

CORRECTIONS = (
    Correction(
        file=METADATA,
        row=11,
        field="#datapoints",
        expected=2376.0,
        corrected=1172.0,
        reason=(
            "the row repeats the item count of arc_easy; all 104 accuracies of arc_challenge are multiples of 1/1172, "
            "the size of its test set, and not of 1/2376"
        ),
    ),
)

ARCHITECTURE = {"d_model": r"d=(\d+)_", "n_layers": r"_l=(\d+)_", "n_heads": r"_h=(\d+)-"}
"""Where a model's name states its shape; ``open_lm_1b`` and ``open_lm_7b`` state none."""
TRIAL = (
    r"^d=\d+_l=\d+_h=\d+-(?<unnamed>[^-]+)-(?<learning_rate>[0-9.]+)-(?<weight_decay>[0-9.]+)-(?<batch>\d+)"
    r"-(?<n_tokens>\d+)-(?<n_warmup_steps>\d+)-(?<learning_rate_final>[0-9.]+(?:e-\d+)?)$"
)


def _refit(corpus: str, **params: float) -> PublishedFit:
    return PublishedFit(
        law="gadre_overtrain",
        variant=corpus,
        params=params,
        where_stated=(
            f"least-squares refit of the authors' five small {corpus} runs (sizes 11M, 79M, 154M, 412M at 20 tokens "
            "per parameter, 11M at 320), loss on eval set c4_val; rounds to the values of the paper"
        ),
        evidence="refit",
        output_unit="nats_per_token",
        n_definition="n_params",
        is_default=corpus == "c4",
    )


def _error_refit(corpus: str, **params: float) -> PublishedFit:
    return PublishedFit(
        law="gadre_error",
        variant=corpus,
        params=params,
        where_stated=(
            f"least-squares refit of the mean error of six {corpus} runs (the five of law gadre_overtrain and 1.4B at "
            "20 tokens per parameter) on 17 tasks against the loss on c4_val; the RedPajama set equals the outputs "
            "stored in the repository"
        ),
        evidence="refit",
        output_unit="fraction",
        is_default=corpus == "c4",
    )


SOURCE = Source(
    source_id="gadre_overtraining",
    title="Language models scale reliably with over-training and on downstream tasks",
    authors=(
        "Samir Yitzhak Gadre, Georgios Smyrnis, Vaishaal Shankar, Suchin Gururangan, Mitchell Wortsman, Rulin Shao, "
        "Jean Mercat, Alex Fang, Jeffrey Li, Sedrick Keh, Rui Xin, Marianna Nezhurina, Igor Vasiljevic, Luca Soldaini, "
        "Jenia Jitsev, Alexandros G. Dimakis, Gabriel Ilharco, Pang Wei Koh, Shuran Song, Thomas Kollar, Yair Carmon, "
        "Achal Dave, Reinhard Heckel, Niklas Muennighoff, Ludwig Schmidt"
    ),
    year=2024,
    arxiv_id="2403.08540",
    repository="mlfoundations/scaling",
    upstream_commit="a003c4913793ac2ae7ef87b28ecb562955d026d5",
    licence="MIT",
    redistribution="MIT licence; shipped as our own table with citation",
    headline_metric="loss",
    headline_eval_set="c4_val",
    n_definition="n_params",
    notes=(
        "Study 'gadre_overtraining': 104 models on three corpora (34 C4, 35 RedPajama, 35 RefinedWeb; the C4 grid "
        "lacks 412M at 32 times Chinchilla), D = 20 m N in each, m the Chinchilla multiplier. Losses are validation "
        "losses in nats per GPT-NeoX token on eight sets. low and high are the reported 95 % intervals over sequences; "
        "the intervals over tokens, which upstream reports too, are left out: their width hardly depends on the size "
        "of the set, and they treat neighbouring tokens as independent. n_items of a loss counts "
        "sequences of 2,048 tokens. n_params_with_head is the authors' 'params_no_embed': it leaves out the input "
        "embedding only (50,432 rows) and still counts the output head, so n_params_non_embedding is null. The batch "
        "size of the three 6.9B models is null: their files say 1 as a placeholder, while the stored launch arguments "
        "say 2,048 sequences and contradict the same files in learning rate, weight decay and warm-up. Where file and "
        "arguments differ we carry the file; the seed is taken from the arguments. Scores are top-1 accuracies on 46 "
        "tasks; shots, items and random baseline come from the authors' task table (baselines as they state them: siqa "
        "0.5, commonsense_qa 0.25), with one correction: arc_challenge has 1,172 items, not 2,376. jeopardy, mmlu, "
        "mmlu_zeroshot and bbq are means over categories. Five tasks of that table (agi_eval_sat_math, aqua, gsm8k, "
        "svamp, triviaqa_sm_sub) have no scores. Many small models are at or below chance. Study 'gadre_grid': 435 "
        "hyper-parameter trials with one loss each, whose corpus and evaluation set the file does not state; compare "
        "them among themselves only. Their token counts are 20 N, but the file does not give N; whether their batch is "
        "per device is not stated either, so batch_size_tokens is null there and the number stands in model_name. "
        "The law's default variant is 'c4', because its runs are trained and evaluated on the same corpus. With two "
        "values of tokens per parameter in five points the split between a and b is hardly identified: use the sets to "
        "extrapolate at given tokens per parameter, not to choose an allocation. Law gadre_error, the mean top-1 error "
        "over 17 tasks from the loss L on c4_val: eps - k exp(-gamma L); eps is an asymptote of the fit, not the error "
        "of guessing. The 17 tasks are those that a 154M model of any corpus and token count does at least ten points "
        "above chance."
    ),
    bibtex=(
        "@article{gadre2024language, title={Language models scale reliably with over-training and on downstream "
        "tasks}, author={Gadre, Samir Yitzhak and Smyrnis, Georgios and Shankar, Vaishaal and Gururangan, Suchin and "
        "Wortsman, Mitchell and Shao, Rulin and Mercat, Jean and Fang, Alex and Li, Jeffrey and Keh, Sedrick and Xin, "
        "Rui and Nezhurina, Marianna and Vasiljevic, Igor and Soldaini, Luca and Jitsev, Jenia and Dimakis, Alexandros "
        "G. and Ilharco, Gabriel and Koh, Pang Wei and Song, Shuran and Kollar, Thomas and Carmon, Yair and Dave, "
        "Achal and Heckel, Reinhard and Muennighoff, Niklas and Schmidt, Ludwig}, journal={arXiv preprint "
        "arXiv:2403.08540}, year={2024}}"
    ),
    published_fits=(
        _refit("c4", E=1.5082605221514356, a=141.2772509236466, b=189.51551399733904, eta=0.12123611853862565),
        _refit("redpajama", E=1.8366483620719658, a=212.23610416335336, b=366.68716132005443, eta=0.13642535028703465),
        _refit("refinedweb", E=1.7344620902039487, a=157.1162842635582, b=246.20668712034382, eta=0.12719742237551748),
        _error_refit("c4", eps=0.8497422929481172, k=2.0788991408897597, gamma=0.7561191336459243),
        _error_refit("redpajama", eps=0.8569919072258025, k=2.2064906418413464, gamma=0.7145906620080092),
        _error_refit("refinedweb", eps=0.8652794948137966, k=2.214815868401013, gamma=0.7070487090554164),
    ),
    set_aside=(
        SetAside(METADATA, N_TASKS_DESCRIBED, "shots, items and baselines of the tasks, joined to the evals"),
        SetAside(METADATA, 1, "an empty record at the end of the file"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models with their losses and task scores, and the trials of the hyper-parameter grid."""
    stems = [PurePosixPath(name).stem for name in raw.files("exp_data/models/*.json")]
    if len(stems) != N_MODELS:
        raise DataError(f"gadre_overtraining: {len(stems)} model files where {N_MODELS} are expected")
    models = [_model(raw, stem) for stem in stems]
    runs = pl.DataFrame([run for run, _ in models])
    losses = pl.DataFrame([row for _, rows in models for row in rows])
    _check_models(runs)
    runs = runs.with_columns(
        batch_size_tokens=pl.when(pl.col("batch") != PLACEHOLDER_BATCH).then(pl.col("batch") * CONTEXT),
        **_architecture(),
        tokenizer_id=pl.lit("gpt-neox-20b"),
        context_length=pl.lit(float(CONTEXT)),
        study=pl.lit("gadre_overtraining"),
    )
    trial_runs, trial_losses = _trials(raw)
    runs = pl.concat([runs.drop("batch", "multiplier"), trial_runs], how="diagonal").with_columns(
        architecture=pl.lit("decoder")
    )
    scores = _scores(raw, stems).join(runs.select("run_id", "n_tokens"), on="run_id", how="left")
    evals = pl.concat([losses, scores, trial_losses], how="diagonal").with_columns(
        split=pl.lit("all"), value_origin=pl.lit("reported")
    )
    return {"runs": conform("runs", runs, "gadre_overtraining"), "evals": conform("evals", evals, "gadre_overtraining")}


def _architecture() -> dict[str, pl.Expr]:
    name = pl.col("model_name")
    return {column: name.str.extract(pattern).cast(pl.Float64) for column, pattern in ARCHITECTURE.items()}


def _model(raw: RawFolder, stem: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """One model file: the run, and its eight losses."""
    name = f"exp_data/models/{stem}.json"
    record = json.loads(raw.text(name))
    settings, arguments = record["hyperparameters"], record["open_lm_args"]
    if record["name"] != stem or len(record["results"]) != N_LOSSES:
        raise DataError(f"gadre_overtraining, {name!r}: model {record['name']!r} with {len(record['results'])} losses")
    if record["dataset_name"] not in FAMILIES:
        raise DataError(f"gadre_overtraining, {name!r}: unknown corpus {record['dataset_name']!r}")
    raw.count(name, len(record["results"]))
    family, corpus = FAMILIES[record["dataset_name"]]
    run_id = f"gadre_overtraining/{stem}"
    run = {
        "run_id": run_id,
        "model_name": stem,
        "model_id": f"gadre-{stem}",  # as run_of("gadre", ...) names it
        "family": family,
        "corpus": corpus,
        "n_params": float(settings["params"]),
        "n_params_with_head": float(settings["params_no_embed"]),
        "n_tokens": float(settings["tokens"]),
        "multiplier": float(settings["chinchilla_multiplier"]),
        "learning_rate": float(settings["lr"]),
        "learning_rate_final": float(settings["cd"]),
        "weight_decay": float(settings["wd"]),
        "n_warmup_steps": float(settings["warmup"]),
        "batch": float(settings["global_bs"]),
        "seed": int(arguments[arguments.index("--seed") + 1]),
    }
    losses = []
    for position, result in enumerate(record["results"]):
        if result["tokens"] != result["sequences"] * CONTEXT:
            raise DataError(f"gadre_overtraining, {name!r}, results[{position}]: sequences are not of {CONTEXT} tokens")
        losses.append(
            {
                "run_id": run_id,
                "n_tokens": run["n_tokens"],
                "metric": "loss",
                "eval_set": _eval_set(result["val_data"][0]),
                "value": float(result["loss"]),
                "unit": "nats_per_token",
                "low": float(result["loss_sequences_lower_95"]),
                "high": float(result["loss_sequences_upper_95"]),
                "n_items": float(result["sequences"]),
                "raw_file": name,
                "raw_row": position + 1,
                "raw_field": f"results[{position}].loss",
            }
        )
    return run, losses


def _eval_set(path: str) -> str:
    """Name of a validation set: its folder, but the file's stem for the German set (its folder is a language pair)."""
    file = PurePosixPath(path)
    return file.stem if file.parent.name == "de-en" else file.parent.name


def _check_models(runs: pl.DataFrame) -> None:
    """Check D = 20 m N, and that only the largest models carry the placeholder batch."""
    bad = runs.filter(pl.col("n_tokens") != 20 * pl.col("multiplier") * pl.col("n_params"))
    if bad.height:
        raise DataError(f"gadre_overtraining: D is not 20 m N in {bad.height} model(s), first {bad['model_name'][0]!r}")
    placeholder = runs.filter(pl.col("batch") == PLACEHOLDER_BATCH)["n_params"].to_list()
    if placeholder != [runs["n_params"].max()] * len(FAMILIES):
        raise DataError(f"gadre_overtraining: batch size {PLACEHOLDER_BATCH} in models of {placeholder} parameters")


def _scores(raw: RawFolder, stems: list[str]) -> pl.DataFrame:
    """Top-1 accuracies of every model, with shots, items and baseline of the task table."""
    tasks = (
        raw.correct(
            raw.csv(
                METADATA,
                {"Eval Task": pl.String, "#shots": pl.Int64, "#datapoints": pl.Float64, "Random baseline": pl.Float64},
                rows=N_TASKS_DESCRIBED + 1,  # the file ends in an empty record
            ),
            CORRECTIONS,
        )
        .filter(pl.col("Eval Task").is_not_null())
        .select(
            eval_set="Eval Task",
            n_shots="#shots",
            n_items="#datapoints",
            chance_level=pl.col("Random baseline") / 100,  # stated in percent
        )
    )
    if tasks.height != N_TASKS_DESCRIBED:
        raise DataError(
            f"gadre_overtraining, {METADATA!r}: {tasks.height} tasks where {N_TASKS_DESCRIBED} are expected"
        )
    rows = []
    for stem in stems:
        name = f"exp_data/evals/evaluation_{stem}_heavy.json"
        scores = json.loads(raw.text(name))["eval_metrics"]["icl"]
        if len(scores) != N_TASKS:
            raise DataError(f"gadre_overtraining, {name!r}: {len(scores)} task scores where {N_TASKS} are expected")
        raw.count(name, len(scores))
        rows += [
            {
                "run_id": f"gadre_overtraining/{stem}",
                "eval_set": task,
                "value": float(value),
                "raw_file": name,
                "raw_row": position + 1,
                "raw_field": f"eval_metrics.icl.{task}",
            }
            for position, (task, value) in enumerate(scores.items())
        ]
    scored = pl.DataFrame(rows).join(tasks, on="eval_set", how="left")
    undescribed = scored.filter(pl.col("n_shots").is_null())["eval_set"].unique().sort().to_list()
    if undescribed:
        raise DataError(f"gadre_overtraining, {METADATA!r}: no row for task(s) {undescribed}")
    return scored.with_columns(metric=pl.lit("acc"), unit=pl.lit("fraction"))


def _trials(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The hyper-parameter grid: everything known of a trial stands in its key."""
    grid: dict[str, float] = json.loads(raw.text(GRID))
    raw.count(GRID, len(grid))
    trials = (
        pl.DataFrame({"model_name": list(grid), "value": list(grid.values())})
        .with_row_index("raw_row", offset=1)
        .with_columns(
            pl.col("raw_row").cast(pl.Int64),
            run_id=pl.concat_str(pl.lit("gadre_overtraining/grid/"), pl.col("model_name")),
            parts=pl.col("model_name").str.extract_groups(TRIAL),
        )
        .unnest("parts")
    )
    unread = trials.filter(pl.col("learning_rate").is_null())
    if trials.height != N_GRID or unread.height:
        raise DataError(
            f"gadre_overtraining, {GRID!r}: {trials.height} trials where {N_GRID} are expected, "
            f"{unread.height} with an unreadable key"
        )
    runs = trials.select(
        "run_id",
        "model_name",
        *(
            pl.col(name).cast(pl.Float64)
            for name in ("learning_rate", "weight_decay", "n_tokens", "n_warmup_steps", "learning_rate_final")
        ),
        **_architecture(),
        study=pl.lit("gadre_grid"),
        family=pl.lit("grid"),
    )
    losses = trials.select(
        "run_id",
        "value",
        "raw_row",
        n_tokens=pl.col("n_tokens").cast(pl.Float64),
        metric=pl.lit("loss"),
        eval_set=pl.lit("unstated"),
        unit=pl.lit("nats_per_token"),
        raw_file=pl.lit(GRID),
        raw_field="model_name",
    )
    return runs, losses
