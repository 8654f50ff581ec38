"""Pilot tasks of the Inverse Scaling Prize: 75 experiments on GPT-2, GPT-3, OPT, example by example (2022)."""

from __future__ import annotations

import polars as pl

from ingest._long import melt, parquet, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform
from scalingdb.errors import DataError

SUMMARY, EXAMPLES = "task_model_summary.csv", "per_example_scores.parquet"
N_SUMMARY, N_EXAMPLES, N_EXPERIMENTS = 283, 421_288, 75
N_EMPTY_EXAMPLES, N_EMPTY_PAIRS, N_WITHOUT_VALUE = 25_153, 4, 8
"""Examples without any number; model and experiment pairs without examples; pairs whose only column is an estimate."""

N_COMBINED = 48_391
"""Examples of the combined experiments."""

COMBINED = {
    "QA-v0-combined": ("QA-v0-gpt2", "QA-v0-gpt3"),
    "all_gpt_sentiment_nyu": ("gpt2_sentiment_nyu", "gpt3_sentiment_nyu"),
    "lambada_combined": ("lambada_gpt2", "lambada_gpt3"),
}
"""Experiments that put the rows of two others into one folder."""
BAD_INPUT = "dice-0shot-gpt3-[bad line endings]"
INSTRUCT = "InstructGPT"

METRICS = {
    "loss": ("answer_loss", "nats_per_answer"),
    "correct": ("acc", "fraction"),
    "total_logprob": ("total_log_likelihood", "nats_per_answer"),
    "logodds_difference": ("logodds_difference", "nats_per_answer"),
}
MEANS = {
    "loss": ("mean_loss", "sem_loss"),
    "correct": ("accuracy", None),
    "total_logprob": ("mean_total_logprob", "sem_total_logprob"),
    "logodds_difference": ("mean_logodds_difference", "sem_logodds_difference"),
}
"""Column of the examples: its mean and standard error in the summary."""

PER_ITEM = ("loss", "correct", "logodds_difference")
"""Columns stored item by item; the mass on all options is a check of the prompt, kept as a mean only."""

MODEL_IDS = {"ada": "gpt3-350m", "babbage": "gpt3-1.3b", "curie": "gpt3-6.7b", "davinci": "gpt3-175b"}
"""Models of the API by the sizes that are usually ascribed to them."""

SOURCE = Source(
    source_id="inverse_scaling_pilot",
    title="Inverse Scaling: When Bigger Isn't Better (evaluation pipeline of the prize, pilot tasks of 2022)",
    authors="Ian R. McKenzie, Alexander Lyzhov, Michael Pieler, Alicia Parrish, Aaron Mueller, Ameya Prabhu and others",
    year=2023,
    arxiv_id="2306.09479",
    repository="naimenz/inverse-scaling-eval-pipeline",
    upstream_commit="34c8c7b066c5134fd26d6658ffa1522d2785d1d4",
    licence="none stated",
    is_shipped=False,
    redistribution=(
        "538,000 per-example scores under no stated licence: built locally from the raw files, not shipped"
    ),
    headline_metric="answer_loss",
    n_definition="n_params",
    not_upstream=(SUMMARY, EXAMPLES),
    notes=(
        "Pilot and candidate tasks of the prize's organisers (anchoring, scope neglect, conjunction fallacy, "
        "syllogisms, question-answer bias, dice, sentiment, LAMBADA, ANLI, BoolQ, RTE, SNLI), NOT the eleven prize "
        "tasks; some runs were exploratory. An eval set is an experiment: a task with one prompt format and usually "
        "one family of models. Both raw files were assembled from the repository's per-model files. answer_loss is "
        "minus the log-probability of the right answer, renormalised over the options in classification tasks, per "
        "answer word in LAMBADA. total_log_likelihood is the log of the probability on all options, kept as a mean "
        "only; in experiment ids-gpt3-seq it is above 0, which no probability allows. logodds_difference is the bias "
        "score of the question-answer tasks: larger is a stronger bias. Three combined experiments repeat the rows of "
        "two others: their evals are flagged exact_duplicate and their examples are stored once. The experiment that "
        "says [bad line endings] is flagged bad_input. Empty examples (25,153, nearly all of them in the dice prompts "
        "on GPT-2) are left out and n_items counts the others, while n_examples upstream counts all. The derived files "
        "dropped the free-form estimates of the two anchoring experiments and the log-odds of the oldest "
        "question-answer runs, of which accuracy and mass remain. Four pairs of model and experiment have no example. "
        "Early runs have no accuracy. n_params of the API models (350M, 1.3B, 6.7B, 175B) are the usual estimates, "
        "not stated by the provider."
    ),
    bibtex=(
        "@article{mckenzie2023inverse, title={Inverse Scaling: When Bigger Isn't Better}, author={McKenzie, Ian R. and "
        "Lyzhov, Alexander and Pieler, Michael and Parrish, Alicia and Mueller, Aaron and Prabhu, Ameya and others}, "
        "journal={Transactions on Machine Learning Research}, year={2023}, note={arXiv:2306.09479}}"
    ),
    set_aside=(
        SetAside(SUMMARY, N_EMPTY_PAIRS, "pairs of model and experiment without an example"),
        SetAside(
            SUMMARY, N_WITHOUT_VALUE, "pairs whose only number is a free-form estimate, which the raw files dropped"
        ),
        SetAside(EXAMPLES, N_EMPTY_EXAMPLES, "examples without any number"),
        SetAside(EXAMPLES, N_COMBINED, "examples of the combined experiments, equal to those of their two parts"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, means over examples as released, and the examples."""
    summary = _summary(raw)
    examples = _examples(raw)
    evals = _evals(summary, examples)
    items = examples.filter(~pl.col("experiment").is_in(list(COMBINED)))
    fields = [{"raw_field": n, "metric": METRICS[n][0], "unit": METRICS[n][1]} for n in PER_ITEM]
    items = melt(
        items.select("raw_file", *PER_ITEM, run_id=_run_id(), task="experiment", item_id=_item_id()),
        ["run_id", "task", "item_id", "raw_file"],  # experiment, model and index name the record; its number adds 1 MB
        fields,
    )
    model = pl.col("model")
    runs = summary.unique("model", maintain_order=True).select(
        run_id=_run_id(),
        study=pl.lit("inverse_scaling_pilot"),
        model_name="model",
        model_id=model.replace(MODEL_IDS),
        family=pl.col("family").str.to_lowercase(),
        architecture=pl.lit("decoder"),
        n_params="params",
        is_instruct=pl.col("family") == INSTRUCT,
    )
    measured = pl.concat([evals["run_id"], items["run_id"]]).unique()
    unmeasured = runs.filter(~pl.col("run_id").is_in(measured.implode()))["run_id"].to_list()
    require("inverse_scaling_pilot", runs_without_numbers=(unmeasured, ["inverse_scaling_pilot/opt-2.7b"]))
    return {
        "runs": conform("runs", runs.filter(pl.col("run_id").is_in(measured.implode())), "inverse_scaling_pilot"),
        "evals": conform("evals", evals, "inverse_scaling_pilot"),
        "items": conform("items", items, "inverse_scaling_pilot"),
    }


def _run_id() -> pl.Expr:
    return pl.concat_str(pl.lit("inverse_scaling_pilot/"), pl.col("model"))


def _item_id() -> pl.Expr:
    return pl.col("index").cast(pl.String).str.zfill(4)


def _summary(raw: RawFolder) -> pl.DataFrame:
    text: dict[str, type[pl.DataType]] = dict.fromkeys(
        ["experiment", "task_type", "model", "family", "columns"], pl.String
    )
    numbers = ["params", "n_examples", *(name for pair in MEANS.values() for name in pair if name)]
    frame = raw.csv(SUMMARY, text | dict.fromkeys(numbers, pl.Float64), rows=N_SUMMARY)
    require(
        f"inverse_scaling_pilot, {SUMMARY!r}",
        experiments=(frame["experiment"].n_unique(), N_EXPERIMENTS),
        pairs_without_examples=(frame.filter(pl.col("n_examples") == 0).height, N_EMPTY_PAIRS),
        pairs_with_estimates_only=(frame.filter(pl.col("columns") == "index|estimate").height, N_WITHOUT_VALUE),
    )
    return frame


def _examples(raw: RawFolder) -> pl.DataFrame:
    """The examples that hold a number; empty ones are counted.

    Raises
    ------
    DataError
        If the number of empty examples differs, or a combined experiment has rows that its parts lack.
    """
    frame = parquet(raw, EXAMPLES, N_EXAMPLES)
    empty = pl.all_horizontal(pl.col(name).is_null() for name in METRICS)
    full = frame.filter(~empty)
    key = ["experiment", "model", "index"]
    require(
        f"inverse_scaling_pilot, {EXAMPLES!r}",
        empty_examples=(frame.height - full.height, N_EMPTY_EXAMPLES),
        repeated_examples=(full.filter(pl.struct(key).is_duplicated()).height, 0),
    )
    for whole, parts in COMBINED.items():
        part = full.filter(pl.col("experiment").is_in(list(parts))).drop("experiment", "raw_row")
        combined = full.filter(pl.col("experiment") == whole).drop("experiment", "raw_row")
        if not combined.sort("model", "index").equals(part.sort("model", "index")):
            raise DataError(f"inverse_scaling_pilot, {EXAMPLES!r}: {whole!r} is not the union of {' and '.join(parts)}")
    return full


def _evals(summary: pl.DataFrame, examples: pl.DataFrame) -> pl.DataFrame:
    """Released means; each must be the mean of its examples."""
    fields = [
        {"raw_field": mean, "column": column, "metric": METRICS[column][0], "unit": METRICS[column][1]}
        for column, (mean, _) in MEANS.items()
    ]
    rows = melt(summary, ["experiment", "model", "raw_file", "raw_row"], fields)
    errors = summary.select(
        "experiment", "model", **{column: pl.col(error) for column, (_, error) in MEANS.items() if error}
    ).unpivot(index=["experiment", "model"], variable_name="column", value_name="std_error")
    counted = examples.unpivot(list(METRICS), index=["experiment", "model"], variable_name="column").drop_nulls("value")
    counted = counted.group_by("experiment", "model", "column").agg(
        mean=pl.col("value").mean(), n_items=pl.len().cast(pl.Float64)
    )
    key = ["experiment", "model", "column"]
    rows = rows.join(errors, on=key, how="left").join(counted, on=key, how="left")
    differ = ((pl.col("mean") - pl.col("value")).abs() > 1e-9).fill_null(value=True)
    require(f"inverse_scaling_pilot, {SUMMARY!r}", means_that_do_not_follow=(rows.filter(differ).height, 0))
    combined = pl.col("experiment").is_in(list(COMBINED))
    bad = pl.col("experiment") == BAD_INPUT
    return rows.select(
        "metric",
        "value",
        "unit",
        "std_error",
        "n_items",
        "raw_file",
        "raw_row",
        "raw_field",
        run_id=_run_id(),
        eval_set="experiment",
        split=pl.lit("all"),
        n_shots=pl.col("experiment").str.extract(r"-(\d)shot").cast(pl.Int64),
        value_origin=pl.lit("reported"),
        flag=pl.when(combined).then(pl.lit("exact_duplicate")).when(bad).then(pl.lit("bad_input")),
        flag_reason=pl.when(combined)
        .then(
            pl.lit(
                "the experiment repeats the rows of two others in one folder; set aside here so that they count once"
            )
        )
        .when(bad)
        .then(pl.lit("the experiment's name says that its input had bad line endings; it was run again without them")),
    )
