"""Source `readme_tables`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("readme_tables", raw_directory, {"runs": 31, "evals": 5 * 6 + 62 + 6 + 15 * 7})


def test_augmented_and_plain_models_are_not_mixed(raw_directory: Path) -> None:
    runs = tables_of("readme_tables", raw_directory)["runs"]
    assert dict(runs.filter(study="scaling_mlps").group_by("family").len().rows()) == {"mlp": 4, "mlp_augmented": 1}
    assert runs.filter(family="var").height == 4  # 512 pixels and the retrained model stand apart
