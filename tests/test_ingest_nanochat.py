"""Source `nanochat`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("nanochat", raw_directory, {"runs": 12, "evals": 12})


def test_each_definition_fills_its_own_count(raw_directory: Path) -> None:
    runs = tables_of("nanochat", raw_directory)["runs"]
    counted = ("n_params_with_head", "n_params", "n_params_non_embedding")
    assert [runs[name].null_count() for name in counted] == [8, 8, 8]
