"""Source `time_moe`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "time_moe",
        raw_directory,
        {"runs": 39, "evals": 672 + 682 + 17 + 12},
        set_aside={"aggregate": 305, "misprint": 1},
    )


def test_sizes_are_those_of_the_table_and_only_of_time_moe(raw_directory: Path) -> None:
    runs = tables_of("time_moe", raw_directory)["runs"]
    sized = runs.drop_nulls("n_params").filter(study="zero_shot").sort("n_params")
    assert sized["n_params_active"].to_list() == [50e6, 200e6, 1.1e9]
    assert sized["n_params"].to_list() == [113e6, 453e6, 2.4e9]
    assert set(sized["family"]) == {"time-moe"}


def test_a_model_without_a_set_has_no_rows_for_it(raw_directory: Path) -> None:
    evals = tables_of("time_moe", raw_directory)["evals"].filter(pl.col("eval_set").str.starts_with("weather"))
    zero_shot = evals.filter(pl.col("run_id").str.contains("zero_shot"))
    assert zero_shot["run_id"].n_unique() == 10
    assert "time_moe/zero_shot/timesfm" not in zero_shot["run_id"]
