"""Proteus: 2,450 newer open models evaluated alike on the second Open LLM Leaderboard (arXiv 2602.15327)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, require
from ingest._model_ids import model_id
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

SCORES, TOKENS = (
    "tables/open_llm_leaderboard/proteus_2k.csv",
    "tables/new_leaderboard_results_with_tokens.csv",
)
N_SCORES, N_TOKENS, N_SHARED, N_COLUMNS, N_UNTESTED = 2450, 123, 50, 49, 34
DESCRIBED = ("mapped_base_model", "model_id", "lastModified")
SIZES = ("Pretraining tokens (T)", "#Params (B)")
TITLE = "Prescriptive Scaling Reveals the Evolution of Language Model Capabilities"
AUTHORS = "Hanlin Zhang and others"

SOURCE = Source(
    source_id="proteus_2k",
    title=TITLE,
    authors=AUTHORS,
    year=2026,
    arxiv_id="2602.15327",
    repository="hlzhang109/prescriptive-scaling",
    upstream_commit="5bdca776562c9b9cf716ec0179e284e93e622ce4",
    licence="none stated",
    is_shipped=False,
    redistribution="more than 100,000 scores under no stated licence: built locally from the raw files, not shipped",
    headline_metric="task_score",
    n_definition="n_params",
    notes=(
        "Study 'scores': 2,450 models on 49 columns of the harness (shares). Study 'tokens': 123 models with "
        "parameters, tokens of pretraining and the day of their last change (release_date), 50 of which are also in "
        "the first table. Models tuned from one base are not independent: base_model names it where the table does. "
        "The primary table of the paper (leaderboard with tokens) is absent from the snapshot, so that its frontiers "
        "cannot be fitted from these rows alone."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2026, "2602.15327"),
    set_aside=(
        SetAside("README.md", None, "describes the repository"),
        SetAside(TOKENS, N_UNTESTED, "models without any score"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models and scores of both tables."""
    parts = []
    for name, study, n_rows in ((SCORES, "scores", N_SCORES), (TOKENS, "tokens", N_TOKENS)):
        header = pl.read_csv(raw.text(name).splitlines()[0].encode(), infer_schema=False).columns
        text = [column for column in header if column in DESCRIBED]
        columns = {column: pl.String if column in text else pl.Float64 for column in header}
        table = raw.csv(name, columns, rows=n_rows)
        scores = [column for column in header if column.startswith("leaderboard_")]
        require(f"proteus_2k, {name!r}", columns=(len(scores), N_COLUMNS))
        table = table.with_columns(study=pl.lit(study), run_id=pl.format(f"proteus_2k/{study}/{{}}", "model_id"))
        fields = [
            {"raw_field": column, "eval_set": column.removeprefix("leaderboard_").removesuffix("_none")}
            for column in scores
        ]
        parts.append((table, melt(table, ["run_id", "raw_file", "raw_row"], fields)))
    tables = pl.concat([table for table, _ in parts], how="diagonal")
    shared = tables.group_by("model_id").len().filter(pl.col("len") == 2)
    require("proteus_2k", models_in_both=(shared.height, N_SHARED))
    evals = pl.concat([rows for _, rows in parts])
    tested = tables.filter(pl.col("run_id").is_in(evals["run_id"].unique().implode()))
    runs = tested.select(
        "run_id",
        "study",
        model_name="model_id",
        model_id=model_id(pl.col("model_id")),
        family=pl.col("model_id").str.split("/").list.first(),
        architecture=pl.lit("decoder"),
        n_params=pl.col(SIZES[1]) * 1e9,
        n_tokens=pl.col(SIZES[0]) * 1e12,
        base_model="mapped_base_model",
        release_date=pl.col("lastModified").str.head(10).str.to_date(strict=False),
    )
    return {
        "runs": conform("runs", runs, "proteus_2k"),
        "evals": measured("proteus_2k", evals, metric="task_score", unit="fraction"),
    }
