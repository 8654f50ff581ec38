"""Inverse scaling, pilot experiments: mean loss or log-odds of 15 models on 75 experiments (arXiv 2306.09479)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, slug
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE, N_ROWS = "pilot_results_by_model.csv", 279
SIZES = {
    "gpt2": 124e6,
    "gpt2-medium": 355e6,
    "gpt2-large": 774e6,
    "gpt2-xl": 1.5e9,
    "opt-125m": 125e6,
    "opt-350m": 350e6,
    "opt-1.3b": 1.3e9,
}
"""Sizes of published models; GPT-3's by name are not official."""
METRICS = {
    "loss": ("answer_loss", "nats_per_answer"),
    "logodds": ("benchmark_value", "unitless"),
    "logodds_difference": ("logodds_difference", "nats_per_answer"),
    "estimate": ("benchmark_value", "unitless"),
}
TITLE = "Inverse Scaling: When Bigger Isn't Better"
AUTHORS = "Ian R. McKenzie, Alexander Lyzhov, Michael Pieler and others"

SOURCE = Source(
    source_id="inverse_scaling_pilot_models",
    title=f"{TITLE}: pilot experiments by model",
    authors=AUTHORS,
    year=2023,
    arxiv_id="2306.09479",
    repository="naimenz/inverse-scaling-eval-pipeline",
    upstream_commit="34c8c7b066c5134fd26d6658ffa1522d2785d1d4",
    licence="none stated",
    redistribution="means of 279 result files as our own table of facts with citation; no item is held",
    headline_metric="answer_loss",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Pilot runs before the contest, not the tables of its paper: means over items and their standard errors, one "
        "row per experiment and model (the eval set is the experiment's folder). answer_loss is minus the log of the "
        "right option's renormalised probability, or the loss of a word; acc is the share of right answers where the "
        "files have it. Log-odds are differences whose direction depends on the experiment. "
        "Experiments whose names end in 'combined' repeat runs of others and are flagged, as is the one that upstream "
        "marks bad. GPT-3 models have no official size: n_params is null. The single items of some experiments are "
        "source inverse_scaling_pilot: do not count both."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2023, "2306.09479"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model."""
    text = dict.fromkeys(("experiment", "family", "model", "metric"), pl.String)
    numbers = dict.fromkeys(("n_rows", "n_numeric", "mean", "se", "share_correct"), pl.Float64)
    rows = raw.csv(FILE, {**text, **numbers}, rows=N_ROWS, comments=1)
    rows = rows.with_columns(run_id=pl.format("inverse_scaling_pilot_models/{}", slug(pl.col("model"))))
    metrics, units = ({name: pair[i] for name, pair in METRICS.items()} for i in (0, 1))
    repeats = pl.col("experiment").str.contains("combined")
    bad = pl.col("experiment").str.contains("[bad", literal=True)
    common = {
        "eval_set": pl.col("experiment"),
        "flag": pl.when(repeats).then(pl.lit("repeated")).when(bad).then(pl.lit("marked_bad")),
        "flag_reason": pl.when(repeats)
        .then(pl.lit("repeats runs of other experiments, with which it was combined"))
        .when(bad)
        .then(pl.lit("the folder's name marks the experiment as bad")),
    }
    means = rows.drop_nulls("mean").select(
        "run_id",
        "raw_file",
        "raw_row",
        **common,
        metric=pl.col("metric").replace_strict(metrics),
        unit=pl.col("metric").replace_strict(units),
        value="mean",
        std_error="se",
        n_items="n_numeric",
        raw_field=pl.lit("mean"),
    )
    shares = rows.drop_nulls("share_correct").select(
        "run_id",
        "raw_file",
        "raw_row",
        **common,
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        value="share_correct",
        n_items="n_rows",
        raw_field=pl.lit("share_correct"),
    )
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        study=pl.lit("inverse_scaling_pilot_models"),
        model_name="model",
        model_id=pl.when(pl.col("family").is_in(["GPT-2", "OPT"])).then("model"),
        family=slug(pl.col("family")),
        architecture=pl.lit("decoder"),
        n_params=pl.col("model").replace_strict(SIZES, default=None, return_dtype=pl.Float64),
        is_instruct=pl.col("family").str.contains("instruct"),
    )
    return {
        "runs": conform("runs", runs, "inverse_scaling_pilot_models"),
        "evals": measured("inverse_scaling_pilot_models", pl.concat([means, shares], how="diagonal")),
    }
