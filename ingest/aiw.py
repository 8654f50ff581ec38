"""Alice in Wonderland: a simple question that large models fail, as counts of right answers (arXiv 2406.02061)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

BASE, PARAM, O1 = "base_models_correct_counts.csv", "param_correct_counts.csv", "o1_set_correct_counts.csv"
N_BASE, N_PARAM, N_O1 = 22, 207, 142
N_RESPONSES = {BASE: 1320, PARAM: 4098, O1: 6700}
SIZES = {
    "meta-llama/Llama-2-7b-hf": ("llama-2", 7e9),
    "meta-llama/Llama-2-13b-hf": ("llama-2", 13e9),
    "meta-llama/Llama-2-70b-hf": ("llama-2", 70e9),
    "mistralai/Mistral-7B-v0.1": ("mistral", 7e9),
    "mistralai/Mixtral-8x7B-v0.1": ("mixtral", None),
    "mistralai/Mixtral-8x22B": ("mixtral", None),
}
TITLE = (
    "Alice in Wonderland: Simple Tasks Showing Complete Reasoning Breakdown in State-Of-the-Art Large Language Models"
)
AUTHORS = "Marianna Nezhurina, Lucia Cipolina-Kun, Mehdi Cherti, Jenia Jitsev"

SOURCE = Source(
    source_id="aiw",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2406.02061",
    repository="LAION-AI/AIW",
    upstream_commit="4d5d079b773ae6ab7d2eb852971ea3fda0ea1ce8",
    licence="Apache-2.0",
    redistribution="Apache-2.0 licence; counts, no answers",
    headline_metric="acc",
    n_definition="n_params",
    not_upstream=(BASE, PARAM, O1, "AIW_Model_Selection_Benchmark_Scores_.xlsx"),
    notes=(
        "Counts over the stored answers: acc is the share that the release marks as correct (automatic parsing), "
        "n_items the number of answers, n_unparsed those without a readable one. Study 'base': six base models, which "
        "answer by continuing the text; 'symbolic': 23 chat models on a variant with letters for numbers, whose "
        "answers "
        "are judged in another way; 'o1': six models on sets of problems and their variations. The eval set is study "
        "and prompt ('base:d7634f85'; a prompt is a hash or a number). Base models answer one prompt or none. The main "
        "table of the paper (AIW and AIW+) is not in the snapshot. Sizes of the Llama and Mistral models stand in "
        "their names; mixtures of experts have none here."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2406.02061"),
    set_aside=(
        SetAside("*.xlsx", None, "workbooks of scores on standard benchmarks, copied from public leaderboards"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Counts of three sets of answers."""
    numbers = dict.fromkeys(("n_responses", "n_correct", "n_unparsed"), pl.Float64)
    base = raw.csv(BASE, {"model": pl.String, "prompt_hash": pl.String, **numbers}, rows=N_BASE, comments=1)
    param = raw.csv(PARAM, {"model": pl.String, "prompt_id": pl.String, **numbers}, rows=N_PARAM, comments=1)
    o1 = raw.csv(
        O1,
        {"model": pl.String, "problem_set": pl.String, "prompt_id": pl.String, **numbers},
        rows=N_O1,
        comments=1,
    )
    totals = {name: float(part["n_responses"].sum()) for name, part in ((BASE, base), (PARAM, param), (O1, o1))}
    require("aiw", answers=(totals, {name: float(n) for name, n in N_RESPONSES.items()}))
    rows = pl.concat(
        [
            base.with_columns(study=pl.lit("base"), prompt=pl.col("prompt_hash")),
            param.with_columns(study=pl.lit("symbolic"), prompt=pl.col("prompt_id")),
            o1.with_columns(study=pl.lit("o1"), prompt=pl.concat_str("problem_set", "prompt_id", separator=":")),
        ],
        how="diagonal",
    ).with_columns(run_id=pl.format("aiw/{}/{}", "study", slug(pl.col("model").str.split("/").list.last())))
    common = {"eval_set": pl.format("{}:{}", "study", "prompt"), "n_items": pl.col("n_responses")}
    acc = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        **common,
        metric=pl.lit("acc"),
        unit=pl.lit("fraction"),
        value=pl.col("n_correct") / pl.col("n_responses"),
        raw_field=pl.lit("n_correct"),
    )
    unparsed = rows.select(
        "run_id",
        "raw_file",
        "raw_row",
        **common,
        metric=pl.lit("n_unparsed"),
        unit=pl.lit("count"),
        value="n_unparsed",
        raw_field=pl.lit("n_unparsed"),
    )
    families = {name: family for name, (family, _) in SIZES.items()}
    sizes = {name: size for name, (_, size) in SIZES.items()}
    runs = rows.unique("run_id", keep="first", maintain_order=True).select(
        "run_id",
        "study",
        model_name="model",
        model_id=pl.when(pl.col("study") == "base").then(model_id(pl.col("model"))),
        family=pl.col("model").replace_strict(families, default="chat"),
        architecture=pl.lit("decoder"),
        n_params=pl.col("model").replace_strict(sizes, default=None, return_dtype=pl.Float64),
        is_instruct=pl.col("study") != "base",
    )
    evals = pl.concat([acc, unparsed])
    return {"runs": conform("runs", runs, "aiw"), "evals": measured("aiw", evals)}
