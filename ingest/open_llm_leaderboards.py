"""Open LLM Leaderboards: 7,169 and 2,929 submitted models on six benchmarks each."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require, slug
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

OLD, NEW = "data/open-llm-leaderboard_old.csv", "data/open-llm-leaderboard_new.csv"
BASE = {"data/df_full_v1.csv": 168, "data/df_full_v2.csv": 216}
N_OLD, N_NEW, N_FLAGGED = 7169, 2929, {OLD: 109, NEW: 1}
OLD_SCORES = {
    "ARC": "arc_challenge",
    "HellaSwag": "hellaswag",
    "MMLU": "mmlu",
    "TruthfulQA": "truthfulqa",
    "Winogrande": "winogrande",
    "GSM8K": "gsm8k",
}
NEW_SCORES = {
    "IFEval": "ifeval",
    "BBH": "bbh",
    "MATH Lvl 5": "math_lvl_5",
    "GPQA": "gpqa",
    "MUSR": "musr",
    "MMLU-PRO": "mmlu_pro",
}
QUANTISED = r"gptq|awq|gguf|4bit|8bit|int4|int8"

SOURCE = Source(
    source_id="open_llm_leaderboards",
    title="Open LLM Leaderboards of Hugging Face, versions 1 and 2, as archived with a study of scaling laws",
    authors="Hugging Face; archived by Felipe Maia Polo and others",
    year=2024,
    repository="felipemaiapolo/statistical-scaling-law",
    upstream_commit="ec189676fb1ff21115536651f46bf9d279578cb8",
    licence="MIT (repository)",
    redistribution="MIT licence",
    headline_metric="task_score",
    n_definition="n_params",
    notes=(
        "One run per submission (study v1, v2); family is its kind (pretrained, continuously_pretrained, chat_models, "
        "fine_tuned, merges), so that only 'pretrained' holds models that no other submission was made from; "
        "base_model "
        "names the origin in v2. Scores of v1 are percent upstream and shares here; v2 has raw scores (task_score) and "
        "scores above chance (score_above_chance). In v1 the columns Flagged, Merged and MoE say the opposite of their "
        "names (a model called 'contaminated_proof' is 'False', nearly all others 'True'): read so here. Models "
        "that the leaderboard flagged are flagged. Sizes are as submitted: those of quantised models are wrong "
        "(n_params "
        "is null where precision or name say so), and zero is null. No tokens are known: "
        "the two tables of base models with tokens are those of source sloth and not stored again."
    ),
    bibtex=(
        "@misc{openllmleaderboard2024, title={Open LLM Leaderboard}, author={Fourrier, Clementine and Habib, Nathan "
        "and "
        "Lozovskaya, Alina and Szafer, Konrad and Wolf, Thomas}, year={2024}, howpublished={Hugging Face}}"
    ),
    set_aside=tuple(
        SetAside(name, n, "base models with tokens: the tables of source sloth") for name, n in BASE.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Submissions of both versions."""
    for name, n_rows in BASE.items():
        raw.csv(name, {"model": pl.String}, rows=n_rows)
    parts = [_old(raw), _new(raw)]
    runs = pl.concat([rows for rows, _ in parts], how="diagonal")
    evals = pl.concat([scores for _, scores in parts], how="diagonal")
    return {
        "runs": conform("runs", runs, "open_llm_leaderboards"),
        "evals": measured("open_llm_leaderboards", evals),
    }


def _family(column: str) -> pl.Expr:
    words = slug(pl.col(column).fill_null("unknown"))
    return words.replace(
        {
            "chat_models_rlhf_dpo_ift": "chat_models",
            "fine_tuned_on_domain_specific_datasets": "fine_tuned",
            "base_merges_and_moerges": "merges",
        }
    )


def _size() -> pl.Expr:
    quantised = pl.col("Precision").str.contains("(?i)4bit|8bit|gptq") | pl.col("name").str.contains(f"(?i){QUANTISED}")
    size = pl.col("#Params (B)") * 1e9
    return pl.when(~quantised.fill_null(value=False), size > 0).then(size)


def _flags(flagged: pl.Expr) -> dict[str, pl.Expr]:
    return {
        "flag": pl.when(flagged).then(pl.lit("flagged_upstream")),
        "flag_reason": pl.when(flagged).then(pl.lit("the leaderboard flagged the model, most often for contamination")),
    }


def _old(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    text = ("Model", "Model sha", "Precision", "Type", "Flagged", "Merged", "MoE", "date")
    numbers = ("#Params (B)", *OLD_SCORES)
    rows = raw.csv(OLD, {**dict.fromkeys(text, pl.String), **dict.fromkeys(numbers, pl.Float64)}, rows=N_OLD)
    rows = rows.with_columns(
        name=pl.col("Model"),
        flagged=pl.col("Flagged") == "False",  # the column says the opposite of its name
        run_id=pl.format(
            "open_llm_leaderboards/v1/{}@{}-{}",
            "Model",
            pl.col("Model sha").fill_null("unknown").str.head(8),
            pl.col("Precision").fill_null("unknown"),
        ),
    )
    again = ~pl.col("run_id").is_first_distinct()
    rows = rows.with_columns(run_id=pl.when(again).then(pl.format("{}-{}", "run_id", "raw_row")).otherwise("run_id"))
    require("open_llm_leaderboards, v1", flagged=(int(rows["flagged"].sum()), N_FLAGGED[OLD]))
    runs = rows.select(
        "run_id",
        study=pl.lit("v1"),
        model_name="Model",
        model_id=model_id(pl.col("Model")),
        family=_family("Type"),
        architecture=pl.when(pl.col("MoE") == "False").then(pl.lit("mixture-of-experts")).otherwise(pl.lit("decoder")),
        n_params=_size(),
        is_instruct=pl.col("Type").str.contains("chat"),
        release_date=pl.col("date").str.head(10).str.to_date(strict=False),
    )
    fields = [{"raw_field": name, "eval_set": task} for name, task in OLD_SCORES.items()]
    scores = melt(rows, ["run_id", "raw_file", "raw_row", "flagged"], fields)
    scores = scores.with_columns(
        pl.col("value") / 100, metric=pl.lit("task_score"), unit=pl.lit("fraction"), **_flags(pl.col("flagged"))
    )
    return runs, scores.drop("flagged")


def _new(raw: RawFolder) -> tuple[pl.DataFrame, pl.DataFrame]:
    text = ("eval_name", "Precision", "Type", "fullname", "Flagged", "MoE", "Base Model", "Upload To Hub Date")
    numbers = ["#Params (B)", *NEW_SCORES, *(f"{name} Raw" for name in NEW_SCORES)]
    rows = raw.csv(NEW, {**dict.fromkeys(text, pl.String), **dict.fromkeys(numbers, pl.Float64)}, rows=N_NEW)
    rows = rows.with_columns(
        name=pl.col("fullname"),
        flagged=pl.col("Flagged") == "True",
        run_id=pl.format("open_llm_leaderboards/v2/{}", "eval_name"),
    )
    require("open_llm_leaderboards, v2", flagged=(int(rows["flagged"].sum()), N_FLAGGED[NEW]))
    runs = rows.select(
        "run_id",
        study=pl.lit("v2"),
        model_name="fullname",
        model_id=model_id(pl.col("fullname")),
        family=_family("Type"),
        architecture=pl.when(pl.col("MoE") == "True").then(pl.lit("mixture-of-experts")).otherwise(pl.lit("decoder")),
        n_params=_size(),
        is_instruct=pl.col("Type").str.contains("chat"),
        base_model="Base Model",
        release_date=pl.col("Upload To Hub Date").str.to_date(strict=False),
    )
    fields = [
        {"raw_field": name, "eval_set": task, "metric": "score_above_chance", "unit": "fraction_above_chance"}
        for name, task in NEW_SCORES.items()
    ]
    fields += [
        {"raw_field": f"{name} Raw", "eval_set": task, "metric": "task_score", "unit": "fraction"}
        for name, task in NEW_SCORES.items()
    ]
    scores = melt(rows, ["run_id", "raw_file", "raw_row", "flagged"], fields)
    above = pl.col("metric") == "score_above_chance"
    scores = scores.with_columns(
        value=pl.when(above).then(pl.col("value") / 100).otherwise("value"), **_flags(pl.col("flagged"))
    )
    return runs, scores.drop("flagged")
