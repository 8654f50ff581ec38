"""Source `inverse_scaling_pilot_models`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "inverse_scaling_pilot_models",
        raw_directory,
        {"runs": 15, "evals": 460},
        set_aside={"repeated": 24, "marked_bad": 8},
    )


def test_flags_name_folders_not_letters(raw_directory: Path) -> None:
    """LAMBADA holds the letters of the mark that upstream gives a bad folder."""
    evals = tables_of("inverse_scaling_pilot_models", raw_directory)["evals"]
    bad = evals.filter(flag="marked_bad")
    assert set(bad["eval_set"]) == {"dice-0shot-gpt3-[bad line endings]"}
    assert evals.filter(pl.col("eval_set") == "lambada_gpt3", pl.col("flag").is_null()).height == 4


def test_models_of_gpt_3_have_no_size(raw_directory: Path) -> None:
    runs = tables_of("inverse_scaling_pilot_models", raw_directory)["runs"]
    assert set(runs.filter(pl.col("n_params").is_null())["family"]) == {"gpt_3", "gpt_3_text_instruct"}
