"""Source `dclm`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "dclm",
        raw_directory,
        {"runs": 416 + 41 + 10, "evals": 45_124},
        set_aside={"aggregate": 5557, "unknown_tokens": 304, "evaluated_twice": 125, "outlier": 2},
    )


def test_what_is_called_perplexity_is_a_loss(raw_directory: Path) -> None:
    built = tables_of("dclm", raw_directory)
    losses = built["evals"].filter(pl.col("metric") == "loss", pl.col("flag").is_null())
    medians = dict(
        losses.join(built["runs"].select("run_id", "family", "study"), on="run_id")
        .filter(study="database")
        .group_by("family")
        .agg(pl.col("value").median().round(2))
        .rows()
    )
    assert medians == {"412m": 2.79, "1.4b": 2.59, "6.9b": 2.17}  # nats per token: no perplexity is so small


def test_versions_of_core_are_kept_apart(raw_directory: Path) -> None:
    evals = tables_of("dclm", raw_directory)["evals"]
    core = evals.filter(pl.col("eval_set").is_in(["core_v1", "core_v2"]))
    counts = dict(core.group_by("eval_set").len().rows())
    assert counts == {"core_v1": (416 - 88) + 41, "core_v2": 156 + 10}
    both = core.pivot("eval_set", index="run_id", values="value").drop_nulls()
    assert (both["core_v1"] != both["core_v2"]).all()


def test_checkpoints_under_a_planned_number_have_no_tokens(raw_directory: Path) -> None:
    runs = tables_of("dclm", raw_directory)["runs"]
    checkpoints = runs.filter(pl.col("run_id").str.contains("-epoch-"))
    assert checkpoints.height == checkpoints["n_tokens"].null_count() == 8
