"""Source `timm`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("timm", raw_directory, {"runs": 1557, "evals": 8 * 1556 * 2})


def test_counts_with_commas_are_read(raw_directory: Path) -> None:
    runs = tables_of("timm", raw_directory)["runs"]
    assert runs["n_params"].null_count() == 0
    assert runs["n_params"].to_numpy().max() > 1e9
    assert runs["flops_per_sample"].null_count() == 0
