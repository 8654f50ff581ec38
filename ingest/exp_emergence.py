"""Scores by difficulty of the question: nine tasks, cut into 3 or 10 groups, up to 70 models (arXiv 2410.01692)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from ingest._long import melt, require
from ingest._model_ids import model_id
from ingest._raw import RawFolder, read_registry
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

MODELS = "base_llm_benchmark_eval.csv"
N_ROWS, N_MODELS, N_FILES = 114, 109, 30
N_ONLY_LISTED = 5
"""MMLU accuracies that only the list of models holds: four GPT-2 sizes and Llama 3 8B."""
PUBLIC = {
    "MMLU": "mmlu",
    "ARC-C": "arc_challenge",
    "HellaSwag": "hellaswag",
    "Winograd": "winogrande",
    "TruthfulQA": "truthfulqa",
    "GSM8K": "gsm8k",
    "XWinograd": "xwinograd",
    "HumanEval": "humaneval",
}
"""Public benchmark columns, which the authors took from the observational-scaling-laws release."""

FILE = re.compile(
    r"^(?P<prefix>acc_)?(?P<task>.+)_instance_brier_-1000_(?P<threshold>[\d.]+)_(?P<n>\d+)"
    r"_(?P<mode>redist|undist)\.csv$"
)
GROUP = re.compile(r"^(?P<low>\d+)_(?P<high>\d+)_(?P<what>brier|acc|san)$")
BROKEN = "acc_mmlu_instance_brier_-1000_31.622776601683793_10_redist.csv"
"""Its overall ``san`` is 233.97 for every model, a number from elsewhere; the other MMLU files hold the real one."""

N_SCORED = {"arithmetic": 70, "mmlu": 67}
"""Models with scores on a task; on all others there are 65."""

FILES = (MODELS, *(name for name in read_registry("exp_emergence") if name != MODELS))
"""All of them lie in subfolders upstream."""

METRICS = {"brier": ("brier", "unitless"), "acc": ("acc", "fraction"), "san": ("option_mass", "unitless")}
MISNAMED = {("openai-community/gpt2", 0.355): "gpt2-medium", ("openai-community/gpt2-large", 1.5): "gpt2-xl"}
"""Rows of the other two GPT-2 sizes, which carry a name that stands already for another size."""


@dataclass(frozen=True)
class Table:
    """What a file name says: task, difficulty threshold in 1e21 FLOP, number of groups, kind of probability."""

    file: str
    task: str
    partition: str
    mode: str


def _n_scored(name: str) -> int:
    return next((n_models for task, n_models in N_SCORED.items() if task in name), 65)


SOURCE = Source(
    source_id="exp_emergence",
    title="U-shaped and Inverted-U Scaling behind Emergent Abilities of Large Language Models",
    authors="Tung-Yu Wu, Pei-Yu Lo",
    year=2024,
    arxiv_id="2410.01692",
    repository="tony10101105/ExpEmergence",
    upstream_commit="288b731d68fbc0328de28d394af108da71a09d36",
    licence="MIT",
    redistribution="MIT licence; shipped as our own table with citation",
    not_upstream=FILES,
    headline_metric="brier",
    headline_eval_set="mmlu:redist",
    n_definition="n_params",
    notes=(
        "Nine multiple-choice tasks; the questions are ordered from easy to hard and cut into 3 or 10 groups. Metric "
        "brier is the source's targets-only Brier score: LOWER is better (the paper plots minus this number). Eval set "
        "'<task>:redist' is the whole task with probabilities renormalised over the options, ':undist' without; a "
        "group is '<task>:redist:t<threshold>:g<groups>:<low>_<high>', where low and high are question ranks, the "
        "first group is the easiest, and the threshold (1e21 FLOP) is the compute below which a task counts as not yet "
        "emerged and whose models define the difficulty. With 'acc' before the threshold the groups were formed and "
        "scored by accuracy. Groups at different thresholds hold different questions. The difficulty is measured with "
        "the same models whose scores are then grouped, so that extreme groups are selected on noise too. option_mass "
        "is the probability on all options together: near 1 on MMLU only, 1e-6 on HellaSwag, slightly above 1 on "
        "arithmetic, where options share beginnings. n_params, n_tokens and train_flops (= 6 N D by construction, N "
        "total also for mixtures of experts) are the source's rounded values, taken like the eight public scores from "
        "the observational-scaling-laws release: these scores are flagged duplicate_source (source obs_scaling, there "
        "with more digits). release_date has the precision of a month and is set to its first day. Two rows name "
        "another GPT-2 size than they describe (355M as gpt2, 1.5B as gpt2-large); their scores on arithmetic equal "
        "those of 124M and 774M exactly and are flagged exact_duplicate. Shots are not stated in the files. Overall "
        "scores stand in every file of a task and are kept once; the overall option mass of one file (233.97 for "
        "every model) is not used."
    ),
    bibtex=(
        "@inproceedings{wu2025ushaped, title={U-shaped and Inverted-U Scaling behind Emergent Abilities of Large "
        "Language Models}, author={Wu, Tung-Yu and Lo, Pei-Yu}, booktitle={International Conference on Learning "
        "Representations}, year={2025}, note={arXiv:2410.01692}}"
    ),
    set_aside=(
        *(SetAside(name, N_ROWS - N_MODELS, "empty records at the end of the file") for name in FILES),
        *(
            SetAside(name, N_MODELS - _n_scored(name), "models without a score on this task")
            for name in FILES
            if name != MODELS
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, their scores by difficulty group and over all questions, and the public scores they came with."""
    models = _models(raw)
    tables = [_parse(name) for name in raw.files("*_*dist.csv")]
    require("exp_emergence", files=(len(tables), N_FILES))
    parts = [_scores(raw, table, models) for table in tables]
    overall = _overall(pl.concat([part.filter(pl.col("partition") == "") for part in parts]), models)
    groups = pl.concat([part.filter(pl.col("partition") != "") for part in parts])
    own = pl.concat([groups, overall], how="diagonal").with_columns(
        eval_set=pl.concat_str(
            [pl.col("eval_set"), pl.when(pl.col("partition") != "").then("partition")], separator=":", ignore_nulls=True
        ),
    )
    evals = pl.concat([_flag_copies(own, models), _public(models)], how="diagonal").drop("partition")
    evals = evals.join(
        models.select("run_id", n_tokens=pl.col("Pretraining Data Size (T)") * 1e12), on="run_id", how="left"
    )
    evals = evals.with_columns(split=pl.lit("all"), value_origin=pl.lit("reported"))
    return {
        "runs": conform("runs", _runs(models), "exp_emergence"),
        "evals": conform("evals", evals, "exp_emergence"),
    }


def _parse(name: str) -> Table:
    match = FILE.match(name)
    if match is None:
        raise DataError(f"exp_emergence: file name {name!r} does not say task, threshold, groups and mode")
    threshold = f"{float(match['threshold']):.4g}"
    by = "acc:" if match["prefix"] else ""
    return Table(name, match["task"], f"{by}t{threshold}:g{match['n']}", match["mode"])


def _models(raw: RawFolder) -> pl.DataFrame:
    numbers = ["Model Size (B)", "Pretraining Data Size (T)", "FLOPs (1E21)", "MMLU-ours", *PUBLIC]
    text = ["Model", "Model Family", "Company", "Release Date"]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    frame = raw.csv(MODELS, columns | dict.fromkeys(numbers, pl.Float64), rows=N_ROWS).filter(
        pl.col("Model").is_not_null()
    )
    key = pl.struct("Model", "Model Size (B)")
    misnamed = pl.coalesce(
        pl.when((pl.col("Model") == name) & (pl.col("Model Size (B)") == size)).then(pl.lit(real))
        for (name, size), real in MISNAMED.items()
    )
    flops = 6 * pl.col("Model Size (B)") * pl.col("Pretraining Data Size (T)")
    frame = frame.with_columns(
        run_id=pl.concat_str(
            pl.lit("exp_emergence/"), pl.coalesce(pl.concat_str(pl.lit("openai-community/"), misnamed), "Model")
        ),
        misnamed=misnamed,
    )
    require(
        f"exp_emergence, {MODELS!r}",
        named_models=(frame.height, N_MODELS),
        repeated_names_and_sizes=(frame.filter(key.is_duplicated()).height, 0),
        repeated_runs=(frame.filter(pl.col("run_id").is_duplicated()).height, 0),
        flops_that_are_not_6ND=(frame.filter((flops / pl.col("FLOPs (1E21)") - 1).abs() > 1e-9).height, 0),
    )
    return frame


def _runs(models: pl.DataFrame) -> pl.DataFrame:
    return models.select(
        "run_id",
        study=pl.lit("exp_emergence"),
        model_name="Model",
        model_id=model_id(pl.coalesce("misnamed", "Model")),
        family=pl.col("Model Family").str.to_lowercase(),
        n_params=pl.col("Model Size (B)") * 1e9,
        n_tokens=pl.col("Pretraining Data Size (T)") * 1e12,
        train_flops=pl.col("FLOPs (1E21)") * 1e21,
        organisation="Company",
        release_date=pl.concat_str(pl.col("Release Date"), pl.lit("01")).str.to_date("%Y%m%d"),
    )


def _scores(raw: RawFolder, table: Table, models: pl.DataFrame) -> pl.DataFrame:
    """One file: scores of each group and over all questions (empty partition), for the models that were run."""
    header = raw.text(table.file).split("\n", 1)[0].strip().split(",")
    groups = [match for column in header if (match := GROUP.match(column))]
    whole = [
        column for column in ("acc", "brier", "san") if column in header and (table.file, column) != (BROKEN, "san")
    ]
    fields = [
        {
            "raw_field": match[0],
            "metric": METRICS[match["what"]][0],
            "unit": METRICS[match["what"]][1],
            "partition": f"{table.partition}:{match['low']}_{match['high']}",
            "n_items": float(match["high"]) - float(match["low"]),
        }
        for match in groups
    ]
    n_items = max(float(match["high"]) for match in groups)
    fields += [
        {"raw_field": c, "metric": METRICS[c][0], "unit": METRICS[c][1], "partition": "", "n_items": n_items}
        for c in whole
    ]
    columns: dict[str, type[pl.DataType]] = {"Model": pl.String, "Model Size (B)": pl.Float64}
    frame = raw.csv(table.file, columns | {str(f["raw_field"]): pl.Float64 for f in fields}, rows=N_ROWS)
    # the rows of all files are those of the list of models, in its order
    frame = frame.join(models.select("raw_row", "run_id", listed="Model"), on="raw_row", how="left")
    odd = frame.filter(pl.col("Model").ne_missing(pl.col("listed")))
    if odd.height:
        raise DataError(
            f"exp_emergence, {table.file!r}: record {odd['raw_row'][0]} is not the model of that record of {MODELS!r}"
        )
    return melt(frame.drop_nulls("run_id"), ["run_id", "raw_file", "raw_row"], fields).with_columns(
        eval_set=pl.lit(f"{table.task}:{table.mode}")
    )


def _overall(scores: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    """Scores over all questions, once: every file of a task repeats them.

    Raises
    ------
    DataError
        If two files disagree, or MMLU accuracy differs from the column of the list of models.
    """
    # accuracy does not depend on how the probabilities are scaled
    scores = scores.with_columns(
        eval_set=pl.when(pl.col("metric") == "acc")
        .then(pl.col("eval_set").str.replace(":.*", ""))
        .otherwise("eval_set")
    )
    key = ["run_id", "eval_set", "metric"]
    spread = scores.group_by(key).agg(pl.col("value").max() - pl.col("value").min())
    once = scores.sort("raw_file").unique(key, keep="first", maintain_order=True)
    in_files = once.filter((pl.col("eval_set") == "mmlu") & (pl.col("metric") == "acc"))
    listed = (
        models.drop_nulls("MMLU-ours")
        .select("run_id", "raw_file", "raw_row", listed="MMLU-ours")
        .join(in_files.select("run_id", "value", "eval_set", "metric", "unit"), on="run_id", how="left")
    )
    only_listed = listed.filter(pl.col("value").is_null()).select(
        "run_id",
        "raw_file",
        "raw_row",
        value="listed",
        eval_set=pl.lit("mmlu"),
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        raw_field=pl.lit("MMLU-ours"),
    )
    require(
        "exp_emergence",
        overall_scores_that_differ_between_files=(spread.filter(pl.col("value") > 1e-12).height, 0),
        # nine digits upstream
        mmlu_accuracies_that_differ=(listed.filter((pl.col("listed") - pl.col("value")).abs() > 1e-9).height, 0),
        mmlu_accuracies_only_in_the_list=(only_listed.height, N_ONLY_LISTED),
    )
    return pl.concat([once, only_listed], how="diagonal")


def _flag_copies(scores: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    """Flag the scores of the two misnamed rows where they equal those of the model they are named after."""
    twins = models.join(models.filter(pl.col("misnamed").is_null()), on="Model", suffix="_twin").filter(
        pl.col("misnamed").is_not_null()
    )
    key = ["eval_set", "metric"]
    reference = scores.join(twins.select("run_id_twin", copy="run_id"), left_on="run_id", right_on="run_id_twin")
    joined = scores.join(reference.select(*key, run_id="copy", original="value"), on=["run_id", *key], how="left")
    is_copy = pl.col("original").is_not_null() & (pl.col("original") == pl.col("value"))
    copy_reason = (
        "the row describes another GPT-2 size under the same name, and the score equals that of the named model; "
        "set aside here"
    )
    return joined.with_columns(
        flag=pl.when(is_copy).then(pl.lit("exact_duplicate")), flag_reason=pl.when(is_copy).then(pl.lit(copy_reason))
    ).drop("original")


def _public(models: pl.DataFrame) -> pl.DataFrame:
    fields = [
        {
            "raw_field": column,
            "metric": "task_score" if task == "truthfulqa" else "acc",
            "eval_set": task,
            "unit": "fraction",
        }
        for column, task in PUBLIC.items()
    ]
    return melt(models, ["run_id", "raw_file", "raw_row"], fields).with_columns(
        eval_set=pl.concat_str(pl.lit("public:"), "eval_set"),
        flag=pl.lit("duplicate_source"),
        flag_reason=pl.lit(
            "copied by the authors, rounded to nine digits, from the release that source obs_scaling holds"
        ),
    )
