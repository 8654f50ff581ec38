"""Source `superposition`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("superposition", raw_directory, {"runs": 48, "evals": 48, "claims": 3, "published_fits": 16 * 3})


def test_width_is_no_parameter_count(raw_directory: Path) -> None:
    runs = tables_of("superposition", raw_directory)["runs"]
    assert runs["n_params"].null_count() == runs.height
    assert set(runs["d_model"]) == {2.0**k for k in range(3, 11)}
