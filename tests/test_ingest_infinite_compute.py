"""Source `infinite_compute`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("infinite_compute", raw_directory, {"runs": 40, "evals": 120})


def test_families_and_epochs(raw_directory: Path) -> None:
    runs = tables_of("infinite_compute", raw_directory)["runs"]
    assert dict(runs.group_by("family").len().rows()) == {"ensemble": 24, "plain": 8, "regularised": 8}
    assert (runs["n_tokens"] == runs["n_tokens_unique"] * runs["n_epochs"]).all()
    assert sorted(set(runs["n_params"])) == [150e6, 300e6, 600e6, 1.4e9]
