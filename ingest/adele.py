"""ADeLe: success of 15 models by the level of ability that items demand (arXiv 2503.06378)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

SUCCESS, ABILITY = "scc_success_by_demand_level.csv", "ability_scores_radar.csv"
N_SUCCESS, N_ABILITY, N_MODELS = 1290, 270, 15
OFF_INTEGER = 0.015
"""Farthest that rate times items lies from an integer: what decoding from a drawing costs."""

MODELS: dict[str, tuple[str, str, float | None]] = {
    "babbage-002": ("babbage-002", "gpt-3", None),
    "davinci-002": ("davinci-002", "gpt-3", None),
    "gpt-35-turbo": ("gpt-3.5-turbo", "gpt", None),
    "gpt4o": ("gpt-4o", "gpt", None),
    "o1-mini": ("o1-mini", "o1", None),
    "o1_re=low": ("o1", "o1", None),
    "llama3d2-1b": ("llama-3.2-1b-instruct", "llama-3", 1e9),
    "llama3d2-3b": ("llama-3.2-3b-instruct", "llama-3", 3e9),
    "llama3d2-11b": ("llama-3.2-11b-instruct", "llama-3", 11e9),
    "llama3d2-90b": ("llama-3.2-90b-instruct", "llama-3", 90e9),
    "llama3d1-405b": ("llama-3.1-405b-instruct", "llama-3", 405e9),
    "DK-R1-Dist-Qwen-1.5B": ("deepseek-r1-distill-qwen-1.5b", "r1-distill-qwen", 1.5e9),
    "DK-R1-Dist-Qwen-7B": ("deepseek-r1-distill-qwen-7b", "r1-distill-qwen", 7e9),
    "DK-R1-Dist-Qwen-14B": ("deepseek-r1-distill-qwen-14b", "r1-distill-qwen", 14e9),
    "DK-R1-Dist-Qwen-32B": ("deepseek-r1-distill-qwen-32b", "r1-distill-qwen", 32e9),
}
"""Name in the success file: name in the ability file, family, and size by the name."""
TITLE = "General Scales Unlock AI Evaluation with Explanatory and Predictive Power"
AUTHORS = "Lexin Zhou, Lorenzo Pacchiardi, Fernando Mart\u00ednez-Plumed and others"

SOURCE = Source(
    source_id="adele",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2503.06378",
    repository="Kinds-of-Intelligence-CFI/ADELE",
    upstream_commit="7d1da575aedeb27533bffe94c062544d73110fbc",
    licence="CC BY-SA 4.0 (project page)",
    redistribution="numbers read off the figures of the project page, as our own table of facts with citation",
    headline_metric="acc",
    n_definition="n_params",
    not_upstream=(SUCCESS, ABILITY),
    notes=(
        "Decoded from the vector figures of the project page. Metric acc: the share of items answered correctly at "
        "demand level 1 to 5 of one of 18 dimensions (eval set 'AS:3', the level in demand_level); rate times n_items "
        "is an integer to within 0.015 in every row, so that the counts are exact. Metric ability: the level at which "
        "the authors' logistic curve crosses one half (eval set 'AS'). An item counts in a dimension only if none of "
        "its other demands is higher, so that one item can stand in several dimensions and these are not independent. "
        "The authors' ability fit adds an anchor at a high level and another filter: a plain logistic curve through "
        "the "
        "counts gives similar abilities, not the same. Sizes are those in the names; the families llama-3 and "
        "r1-distill-qwen have several. Models of OpenAI have no published size. o1 ran with low reasoning effort."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2503.06378"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """15 models, success rates by dimension and level, abilities by dimension."""
    success = raw.csv(
        SUCCESS,
        {
            "model": pl.String,
            "demand_dimension": pl.String,
            "demand_level": pl.Int64,
            "n_items": pl.Float64,
            "count_correct": pl.Float64,
            "success_rate": pl.Float64,
        },
        rows=N_SUCCESS,
        comments=1,
    )
    ability = raw.csv(
        ABILITY,
        {"model": pl.String, "ability_dimension": pl.String, "ability_score": pl.Float64},
        rows=N_ABILITY,
        comments=1,
    )
    off = (pl.col("success_rate") * pl.col("n_items") - pl.col("count_correct")).abs() > OFF_INTEGER
    require(
        f"adele, {SUCCESS!r}",
        models=(set(success["model"]), set(MODELS)),
        models_of_the_ability_file=(set(ability["model"]), {name for name, _, _ in MODELS.values()}),
        rates_that_are_no_counts=(success.filter(off).height, 0),
        other_dimensions=(set(success["demand_dimension"]) ^ set(ability["ability_dimension"]), set()),
    )
    names = {key: name for key, (name, _, _) in MODELS.items()}
    rates = success.select(
        "raw_file",
        "raw_row",
        "n_items",
        run_id=pl.format("adele/{}", pl.col("model").replace_strict(names)),
        metric=pl.lit("acc"),
        eval_set=pl.format("{}:{}", "demand_dimension", "demand_level"),
        demand_level=pl.col("demand_level").cast(pl.Float64),
        value="success_rate",
        unit=pl.lit("fraction"),
        raw_field=pl.lit("success_rate"),
    )
    levels = ability.select(
        "raw_file",
        "raw_row",
        run_id=pl.format("adele/{}", "model"),
        metric=pl.lit("ability"),
        eval_set="ability_dimension",
        value="ability_score",
        unit=pl.lit("unitless"),
        raw_field=pl.lit("ability_score"),
    )
    runs = pl.DataFrame(
        [
            {
                "run_id": f"adele/{name}",
                "study": "adele",
                "model_name": name,
                "model_id": name,
                "family": family,
                "architecture": "decoder",
                "n_params": size,
            }
            for name, family, size in MODELS.values()
        ],
        infer_schema_length=None,
    )
    evals = pl.concat([rates, levels], how="diagonal")
    return {
        "runs": conform("runs", runs, "adele"),
        "evals": measured("adele", evals, value_origin="digitised"),
    }
