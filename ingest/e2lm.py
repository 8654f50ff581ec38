"""Early-training evaluation: six models at up to 32 checkpoints on 24 benchmarks (arXiv 2506.07731)."""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from ingest._long import measured, require
from ingest._raw import RawFolder
from ingest._source import Source, arxiv_entry, conform

FILE = "plot-data-combined-all.json"
SIZES = {"500m": 5e8, "1b": 1e9, "3b": 3e9}
N_CHECKPOINTS, N_BENCHMARKS = 176, 24
RESCALED = ("bbh", "math", "musr")
"""Benchmarks whose scores start near zero although guessing does better: rescaled to chance, as leaderboards do."""
METRICS = {"drop": "f1", "webqs": "exact_match", "gsm8k": "exact_match"}
TITLE = "NeurIPS 2025 E2LM Competition: Early Training Evaluation of Language Models"
AUTHORS = "Mouadh Yagoubi and others"

SOURCE = Source(
    source_id="e2lm",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2506.07731",
    repository="e2lmc/e2lmc.github.io",
    upstream_commit="54de4178ae206938ad2e4d50fab19b8e73dc3c06",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="task_score",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Dense models of 500M, 1B and 3B parameters (labels) in two architectures, evaluated at up to 240B tokens. "
        "dense-500m-arch1 has 16 checkpoints instead of 32 and another relation of steps to tokens. Scores are shares. "
        "bbh, math and musr start near zero and look rescaled to chance, as in the second Open LLM Leaderboard: they "
        "are flagged, because the release does not say so. gpqa and ifeval, which that leaderboard rescales too, start "
        "at 0.20 and 0.19 and are taken as they are. mmluvar is the organisers' reworded MMLU. drop is F1; webqs and "
        "gsm8k are exact matches; the metric of each other benchmark is not named (task_score)."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2506.07731"),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Six runs, one record per checkpoint."""
    content: dict[str, Any] = json.loads(raw.text(FILE))
    benchmarks: list[str] = content["metadata"]["metrics"]
    records = [
        {"run": run, "step": columns["iteration"][i], "gtokens": columns["gtokens"][i]}
        | {name: columns[name][i] for name in benchmarks}
        for run, columns in content["data"].items()
        for i in range(len(columns["iteration"]))
    ]
    raw.count(FILE, len(records))
    require(f"e2lm, {FILE!r}", checkpoints=(len(records), N_CHECKPOINTS), benchmarks=(len(benchmarks), N_BENCHMARKS))
    wide = pl.DataFrame(records, infer_schema_length=None).with_row_index("raw_row", offset=1)
    rescaled = pl.col("eval_set").is_in(RESCALED)
    evals = wide.unpivot(benchmarks, index=["run", "step", "gtokens", "raw_row"], variable_name="eval_set").select(
        "eval_set",
        "value",
        pl.col("raw_row").cast(pl.Int64),
        run_id=pl.format("e2lm/{}", "run"),
        step=pl.col("step").cast(pl.Float64),
        n_tokens=pl.col("gtokens") * 1e9,
        metric=pl.col("eval_set").replace_strict(METRICS, default="task_score"),
        raw_field="eval_set",
        flag=pl.when(rescaled).then(pl.lit("unclear_scale")),
        flag_reason=pl.when(rescaled).then(
            pl.lit("starts near zero, below what guessing gives: rescaled in a way that the release does not state")
        ),
    )
    runs = wide.unique("run", maintain_order=True).select(
        run_id=pl.format("e2lm/{}", "run"),
        study=pl.lit("e2lm"),
        model_name="run",
        family=pl.col("run").str.extract(r"(arch\d)$"),
        architecture=pl.lit("decoder"),
        n_params=pl.col("run").str.extract(r"dense-(\w+)-").replace_strict(SIZES),
    )
    return {
        "runs": conform("runs", runs, "e2lm"),
        "evals": measured("e2lm", evals, unit="fraction", raw_file=FILE),
    }
