"""METR time horizons: length of the tasks that models complete half of the time (arXiv 2503.14499)."""

from __future__ import annotations

from typing import Any

import polars as pl
import yaml  # type: ignore[import-untyped]

from ingest._long import measured, require
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

FILES = {"TH1.0": ("benchmark_results_1_0.yaml", 33), "TH1.1": ("benchmark_results_1_1.yaml", 17)}
DATES = "data/external/release_dates.yaml"
HORIZONS = {"p50": "p50_horizon_length", "p80": "p80_horizon_length"}
CLAIMS = {"from_2023_on": 130.801, "all_time_stitched": 196.475}
TITLE = "Measuring AI Ability to Complete Long Tasks"
AUTHORS = "Thomas Kwa, Ben West, Joel Becker and others"

SOURCE = Source(
    source_id="metr_time_horizons",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2503.14499",
    repository="IAPS-AI/METR-Time-Horizons",
    upstream_commit="0ce992b83d3dd31df443a84f6f9b79eff7143f4b",
    licence="none found (the README names a file that is absent)",
    redistribution="results of each model as our own table of facts with citation",
    headline_metric="time_horizon",
    headline_eval_set="TH1.1:p50",
    not_upstream=(),
    notes=(
        "One run per model and version of the benchmark (study TH1.0, TH1.1: other tasks and scaffolds, do not pool). "
        "time_horizon is the length, in minutes of a skilled person's time, of the tasks that the model completes with "
        "a chance of 50 % ('TH1.1:p50') or 80 %, with the release's 95 % interval; acc is the mean score over tasks. "
        "Family 'state_of_the_art' are the models that led at their release. Models have no sizes, so that "
        "n_definition "
        "is null. Single attempts are absent from the snapshot. The published doubling times are claims."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2503.14499"),
    set_aside=(
        SetAside("README.md", None, "describes the files"),
        SetAside(DATES, None, "dates by display name; the results carry the release dates"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Models, horizons and mean scores of both versions."""
    runs: list[dict[str, Any]] = []
    evals: list[dict[str, Any]] = []
    doubling: dict[str, Any] = {}
    for version, (name, n_models) in FILES.items():
        content: dict[str, Any] = yaml.safe_load(raw.text(name))
        raw.count(name, len(content["results"]))
        require(f"metr_time_horizons, {name!r}", models=(len(content["results"]), n_models))
        doubling[version] = content.get("doubling_time_in_days")
        for row, (model, result) in enumerate(content["results"].items(), 1):
            metrics = result["metrics"]
            same = {"run_id": f"metr_time_horizons/{version}/{model}", "raw_file": name, "raw_row": row}
            runs.append(
                {
                    "run_id": same["run_id"],
                    "study": version,
                    "model_name": model,
                    "family": "state_of_the_art" if metrics["is_sota"] else "other",
                    "release_date": result["release_date"],
                }
            )
            for level, field in HORIZONS.items():
                value = metrics[field]
                evals.append(
                    same
                    | {
                        "metric": "time_horizon",
                        "eval_set": f"{version}:{level}",
                        "value": value["estimate"],
                        "low": value["ci_low"],
                        "high": value["ci_high"],
                        "unit": "minutes",
                        "raw_field": f"metrics.{field}.estimate",
                    }
                )
            evals.append(
                same
                | {
                    "metric": "acc",
                    "eval_set": version,
                    "value": metrics["average_score"]["estimate"],
                    "unit": "fraction",
                    "raw_field": "metrics.average_score.estimate",
                }
            )
    published = {name: one["point_estimate"] for name, one in doubling["TH1.1"].items()}
    require("metr_time_horizons, published doubling times", days=(published, CLAIMS))
    return {
        "runs": conform("runs", pl.DataFrame(runs, infer_schema_length=None), "metr_time_horizons"),
        "evals": measured("metr_time_horizons", pl.DataFrame(evals, infer_schema_length=None)),
        "claims": conform("claims", _claims(), "metr_time_horizons"),
    }


def _claims() -> pl.DataFrame:
    return pl.DataFrame(
        [
            {
                "claim_id": f"2503.14499/doubling/{name}",
                "claim": f"the 50 % horizon of leading models doubles in {days} days ({name.replace('_', ' ')})",
                "quantity": "doubling_time",
                "value": days,
                "unit": "days",
                "varies": "release date",
                "where_stated": "benchmark_results_1_1.yaml, doubling_time_in_days",
                "test_source": "metr_time_horizons",
            }
            for name, days in CLAIMS.items()
        ]
    )
