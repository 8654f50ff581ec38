"""Source `palm_tables`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("palm_tables", raw_directory, {"runs": 6, "evals": 300 + 24 * 5}, set_aside={"unclear_unit": 5})


def test_the_middle_size_occurs_twice_and_humans_have_no_size(raw_directory: Path) -> None:
    runs = tables_of("palm_tables", raw_directory)["runs"]
    middle = runs.filter(n_params=62e9)
    assert sorted(middle["n_tokens"]) == [795e9, 1325e9]
    assert sorted(middle["family"]) == ["palm", "palm-longer"]  # one law must not mix them
    assert set(runs.filter(pl.col("n_params").is_null())["family"]) == {"human"}


def test_few_shot_cells_do_not_clash_with_one_shot_cells(raw_directory: Path) -> None:
    evals = tables_of("palm_tables", raw_directory)["evals"]
    quac = evals.filter(pl.col("eval_set").str.starts_with("quac_f1"), pl.col("run_id").str.contains("540b"))
    assert set(quac["eval_set"]) == {"quac_f1:0-shot", "quac_f1:1-shot", "quac_f1:few-shot"}
    assert dict(quac.select("eval_set", "n_shots").rows()) == {
        "quac_f1:0-shot": 0,
        "quac_f1:1-shot": 1,
        "quac_f1:few-shot": None,
    }
