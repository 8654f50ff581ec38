"""Source `rag_scaling`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("rag_scaling", raw_directory, {"runs": 8, "evals": 168 + 72, "claims": 8, "published_fits": 6})


def test_budgets_that_a_method_cannot_fill_have_no_row(raw_directory: Path) -> None:
    evals = tables_of("rag_scaling", raw_directory)["evals"]
    budgets = (
        evals.filter(pl.col("run_id").str.contains("/budgets/"))
        .group_by("run_id")
        .agg(pl.col("n_tokens_inference").max())
    )
    assert dict(budgets.rows()) == {
        "rag_scaling/budgets/zs_qa": 16e3,
        "rag_scaling/budgets/ms_qa": 16e3,
        "rag_scaling/budgets/rag": 128e3,
        "rag_scaling/budgets/drag": 1e6,
        "rag_scaling/budgets/iterdrag": 5e6,
    }
