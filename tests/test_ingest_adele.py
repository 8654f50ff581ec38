"""Source `adele`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("adele", raw_directory, {"runs": 15, "evals": 1290 + 270})


def test_every_rate_is_a_count_over_its_items(raw_directory: Path) -> None:
    rates = tables_of("adele", raw_directory)["evals"].filter(metric="acc")
    counts = rates["value"] * rates["n_items"]
    assert (counts - counts.round()).abs().to_numpy().max() < 0.015
    assert set(rates["demand_level"]) == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_both_files_name_one_model(raw_directory: Path) -> None:
    """The files spell the models in two ways: every run has rates and abilities."""
    evals = tables_of("adele", raw_directory)["evals"]
    per_run = evals.group_by("run_id", "metric").len()
    assert set(per_run.filter(metric="acc")["len"]) == {86}
    assert set(per_run.filter(metric="ability")["len"]) == {18}
    assert per_run.height == 2 * 15
