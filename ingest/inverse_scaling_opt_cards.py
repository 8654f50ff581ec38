"""Seventeen OPT scores on tasks of the Inverse Scaling Prize, read in model cards and a harness port."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Source, conform

FILE = "opt_reported_values.csv"
N_ROWS = 17
KINDS = {"hub_model_card": "card", "prize_paper_value_quoted": "paper", "lm_eval_port": "port"}
"""Kinds of report, the most direct first."""

SOURCE = Source(
    source_id="inverse_scaling_opt_cards",
    title="OPT on Inverse Scaling Prize tasks: values of model cards and of the lm-evaluation-harness port",
    authors="Inverse Scaling Prize organisers; contributors to the lm-evaluation-harness",
    year=2023,
    arxiv_id="2306.09479",
    repository="EleutherAI/lm-evaluation-harness",
    upstream_commit="ed2b90ed38930bea2b2fe79cebc0aeadf2552fa3",
    licence="MIT (harness); other (model cards)",
    redistribution="17 published numbers with citation",
    headline_metric="acc",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "17 values for OPT 125M, 1.3B, 2.7B and 13B, copied by hand: a spot check for other sources, not a curve. An "
        "eval set is '<task>:<kind>', kind being card (a model card on the hub), paper (a value of the prize paper "
        "quoted in a pull request) or port (a re-evaluation with the harness). Where the same model, task and metric "
        "has a value of a more direct kind the others are flagged repeated_report. answer_loss is in nats. Nothing "
        "was taken from a circulating copy of the harness table with altered values (above 1)."
    ),
    bibtex=(
        "@article{mckenzie2023inverse, title={Inverse Scaling: When Bigger Isn't Better}, author={McKenzie, Ian R. and "
        "others}, journal={Transactions on Machine Learning Research}, year={2023}, note={arXiv:2306.09479; values "
        "of model cards and of EleutherAI/lm-evaluation-harness}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Four models and their reported values."""
    text = ["task", "model", "metric", "source_kind"]
    columns: dict[str, type[pl.DataType]] = dict.fromkeys(text, pl.String)
    rows = raw.csv(FILE, columns | dict.fromkeys(["params", "value", "stderr"], pl.Float64), rows=N_ROWS)
    kind = pl.col("source_kind").replace_strict(KINDS)
    order = pl.col("source_kind").replace_strict({name: i for i, name in enumerate(KINDS)}, return_dtype=pl.Int64)
    repeated = order > order.min().over("task", "model", "metric")
    is_loss = pl.col("metric") == "loss"
    run_id = pl.concat_str(pl.lit("inverse_scaling_opt_cards/"), pl.col("model"))
    evals = rows.select(
        "value",
        "raw_file",
        "raw_row",
        run_id=run_id,
        metric=pl.when(is_loss).then(pl.lit("answer_loss")).otherwise(pl.lit("acc")),
        unit=pl.when(is_loss).then(pl.lit("nats_per_answer")).otherwise(pl.lit("fraction")),
        eval_set=pl.concat_str(["task", kind], separator=":"),
        split=pl.lit("all"),
        n_shots=pl.col("task").str.extract(r"_(\d+)shot$").cast(pl.Int64),
        std_error="stderr",
        value_origin=pl.lit("reported"),
        flag=pl.when(repeated).then(pl.lit("repeated_report")),
        flag_reason=pl.when(repeated).then(
            pl.lit("a more direct report of the same model, task and metric is among the rows; set aside here")
        ),
        raw_field=pl.lit("value"),
    )
    runs = rows.unique("model", maintain_order=True).select(
        run_id=run_id,
        study=pl.lit("inverse_scaling_opt_cards"),
        model_name="model",
        model_id="model",
        family=pl.lit("opt"),
        architecture=pl.lit("decoder"),
        n_params="params",
    )
    return {
        "runs": conform("runs", runs, "inverse_scaling_opt_cards"),
        "evals": conform("evals", evals, "inverse_scaling_opt_cards"),
    }
