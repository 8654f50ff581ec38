"""Source `plansearch`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("plansearch", raw_directory, {"runs": 15, "evals": 52})


def test_methods_cost_different_tokens(raw_directory: Path) -> None:
    evals = tables_of("plansearch", raw_directory)["evals"].filter(n_samples=200.0)
    tokens = evals.group_by(pl.col("run_id").str.split("/").list.last()).agg(pl.col("n_tokens_inference").first())
    assert dict(tokens.rows()) == {"repeatedsampling": 200 * 244.0, "plansearch": 200 * 1428.0, "ideasearch": None}
