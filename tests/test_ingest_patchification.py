"""Source `patchification`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("patchification", raw_directory, {"runs": 30, "evals": 30})


def test_tokens_are_patches(raw_directory: Path) -> None:
    runs = tables_of("patchification", raw_directory)["runs"]
    sizes = dict(runs.group_by("family").len().rows())
    assert sizes["deit_base-128"] == 4  # no patches of one pixel
    assert sizes["adventurer_base-224"] == 5
    assert runs["tokens_per_sample"].to_numpy().max() == 50_176
