"""Source `openclip_results`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("openclip_results", raw_directory, {"runs": 123, "evals": 43_424}, set_aside={"aggregate": 1962})


def test_sizes_are_of_both_towers(raw_directory: Path) -> None:
    runs = tables_of("openclip_results", raw_directory)["runs"]
    assert runs["n_params"].null_count() == 2  # in the table of languages only
    assert runs["n_params"].drop_nulls().to_numpy().min() > 1e7
