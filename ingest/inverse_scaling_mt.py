"""Translating questions: models that answer instead, 221 results of T5, Flan-T5 and the OpenAI API (2023)."""

from __future__ import annotations

import polars as pl

from ingest._long import melt, require
from ingest._raw import RawFolder
from ingest._source import Source, conform

FILE = "results_parsed.csv"
N_ROWS, N_MODELS, N_REPEATED, N_ZERO = 221, 18, 39, 60
PERCENT = 0.01

SOURCE = Source(
    source_id="inverse_scaling_mt",
    title="Inverse scaling in machine translation of questions (MSc project)",
    authors="Szhifan (repository owner)",
    year=2023,
    repository="Szhifan/inverse_scaling_MT",
    upstream_commit="70b9ba3d2b36e56f7ec9d91e9c36f838f5f7fc41",
    licence="none stated",
    redistribution="221 results as our own table of facts with citation",
    headline_metric="bleu",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Questions of TruthfulQA translated between languages. An eval set is '<from>_<to>:<prompt>:<shots>', where "
        "the prompt has a prefix or not (plain) and shots are zero or few (their number is not logged: n_shots is "
        "null). bleu is BLEU divided by 100. question_mark_kept is the share of outputs that keep the question mark: "
        "it falls where a model answers instead of translating, which the project finds to grow with size. "
        "language_acc was logged for a few runs only; 60 of 64 values are 0, a fault of the logging, and flagged. "
        "39 results repeat a key (runs again, or a log that mixes runs): the later ones carry '#2', '#3' ... on the "
        "eval set and are flagged repeated_report. Sizes run from 60M to 2.9B (T5, Flan-T5); sizes of API models are "
        "the usual estimates, not stated by the provider. The table was parsed from 29 logs."
    ),
    bibtex=(
        "@misc{szhifan2023mt, title={Inverse scaling in machine translation}, author={Szhifan}, year={2023}, "
        "howpublished={GitHub repository Szhifan/inverse_scaling_MT}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model; up to three scores per language pair, prompt and number of shots."""
    text: dict[str, type[pl.DataType]] = dict.fromkeys(["family", "model", "lang_pair"], pl.String)
    flags: dict[str, type[pl.DataType]] = dict.fromkeys(["prefix_prompt", "few_shot"], pl.Boolean)
    numbers: dict[str, type[pl.DataType]] = dict.fromkeys(
        ["n_params", "bleu", "question_mark_acc", "language_acc"], pl.Float64
    )
    rows = raw.csv(FILE, text | flags | numbers, rows=N_ROWS)
    nth = pl.int_range(1, pl.len() + 1).over("model", "lang_pair", "prefix_prompt", "few_shot")
    prompt = pl.when("prefix_prompt").then(pl.lit("prefix")).otherwise(pl.lit("plain"))
    shots = pl.when("few_shot").then(pl.lit("few")).otherwise(pl.lit("zero"))
    rows = rows.with_columns(
        pl.col("bleu") * PERCENT,
        nth=nth,
        run_id=pl.concat_str(pl.lit("inverse_scaling_mt/"), "model"),
        n_shots=pl.when(~pl.col("few_shot")).then(0),
        eval_set=pl.concat_str(
            pl.concat_str(["lang_pair", prompt, shots], separator=":"),
            pl.when(nth > 1).then(pl.concat_str(pl.lit("#"), nth)).otherwise(pl.lit("")),
        ),
    )
    require(
        f"inverse_scaling_mt, {FILE!r}",
        models=(rows["model"].n_unique(), N_MODELS),
        results_that_repeat_a_key=(rows.filter(pl.col("nth") > 1).height, N_REPEATED),
        language_accuracies_of_zero=(rows.filter(pl.col("language_acc") == 0).height, N_ZERO),
    )
    fields = [
        {"raw_field": "bleu", "metric": "bleu", "unit": "fraction"},
        {"raw_field": "question_mark_acc", "metric": "question_mark_kept", "unit": "fraction"},
        {"raw_field": "language_acc", "metric": "language_acc", "unit": "fraction"},
    ]
    fault = (pl.col("metric") == "language_acc") & (pl.col("value") == 0)
    later = pl.col("nth") > 1
    evals = (
        melt(rows, ["run_id", "eval_set", "n_shots", "nth", "raw_file", "raw_row"], fields)
        .with_columns(
            split=pl.lit("all"),
            value_origin=pl.lit("reported"),
            flag=pl.when(fault).then(pl.lit("logging_fault")).when(later).then(pl.lit("repeated_report")),
            flag_reason=pl.when(fault)
            .then(pl.lit("a language accuracy of exactly 0 beside a sound BLEU; the logs wrote it without measuring"))
            .when(later)
            .then(
                pl.lit("an earlier record has the same model, languages and prompt; set aside so that it counts once")
            ),
        )
        .drop("nth")
    )
    runs = rows.unique("run_id", maintain_order=True).select(
        "run_id",
        "family",
        "n_params",
        study=pl.lit("inverse_scaling_mt"),
        model_name="model",
        model_id=pl.col("model").replace(
            {"ada": "gpt3-350m", "babbage": "gpt3-1.3b", "curie": "gpt3-6.7b", "davinci": "gpt3-175b"}
        ),
        architecture=pl.when(pl.col("family") == "openai").then(pl.lit("decoder")).otherwise(pl.lit("encoder-decoder")),
        is_instruct=(pl.col("family") == "flan-t5") | pl.col("model").str.starts_with("text-"),
    )
    return {"runs": conform("runs", runs, "inverse_scaling_mt"), "evals": conform("evals", evals, "inverse_scaling_mt")}
