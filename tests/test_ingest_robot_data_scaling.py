"""Source `robot_data_scaling`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("robot_data_scaling", raw_directory, {"runs": 110, "evals": 110, "published_fits": 8})


def test_sessions_are_families(raw_directory: Path) -> None:
    """Scores of different sessions do not compare: each table is a family of its own."""
    built = tables_of("robot_data_scaling", raw_directory)
    rows = built["evals"].join(built["runs"].select("run_id", "family", "study"), on="run_id")
    files = rows.filter(rows["study"] != "model").group_by("family").len()
    assert dict(files.rows()) == {
        "pour_water-environments": 21,
        "mouse_arrangement-objects": 21,
        "mouse_arrangement-environments": 21,
        "mouse_arrangement-environment_object_pairs": 21,
        "pour_water-demonstrations": 8,
        "mouse_arrangement-demonstrations": 8,
    }
    assert rows["value"].to_numpy().max() < 1.0  # 1 - score has a logarithm
