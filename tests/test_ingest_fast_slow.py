"""Source `fast_slow`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("fast_slow", raw_directory, {"runs": 45, "evals": 168})


def test_ratios_are_of_large_to_small(raw_directory: Path) -> None:
    runs = tables_of("fast_slow", raw_directory)["runs"]
    assert runs["size_ratio"].to_numpy().min() > 1
    assert runs["n_params"].to_numpy().max() == 72e9
