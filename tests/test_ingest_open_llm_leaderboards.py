"""Source `open_llm_leaderboards`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "open_llm_leaderboards",
        raw_directory,
        {"runs": 7169 + 2929, "evals": 78_162},
        set_aside={"flagged_upstream": 109 * 6 + 12},
    )


def test_columns_of_v1_say_the_opposite_of_their_names(raw_directory: Path) -> None:
    built = tables_of("open_llm_leaderboards", raw_directory)
    flagged = built["evals"].filter(pl.col("flag").is_not_null())["run_id"].unique()
    assert flagged.filter(flagged.str.contains("contaminated_proof_7b_v1.0@")).len() == 1
    merges = built["runs"].filter(study="v1", family="merges")
    assert merges.height == 1009


def test_sizes_of_quantised_models_are_not_believed(raw_directory: Path) -> None:
    runs = tables_of("open_llm_leaderboards", raw_directory)["runs"]
    quantised = runs.filter(pl.col("model_name").str.contains("(?i)gptq|awq"))
    assert quantised.height > 0
    assert quantised["n_params"].null_count() == quantised.height


def test_scores_of_both_versions_are_shares(raw_directory: Path) -> None:
    evals = tables_of("open_llm_leaderboards", raw_directory)["evals"]
    assert evals.filter(metric="task_score")["value"].to_numpy().max() <= 1
    assert set(evals.filter(metric="score_above_chance")["unit"]) == {"fraction_above_chance"}
