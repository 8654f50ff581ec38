"""Source `robomonkey`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "robomonkey", raw_directory, {"runs": 17, "evals": 52 + 5 + 16, "claims": 14}, set_aside={"aggregate": 8}
    )


def test_seeds_are_a_study_of_their_own(raw_directory: Path) -> None:
    runs = tables_of("robomonkey", raw_directory)["runs"]
    assert set(runs.drop_nulls("seed")["study"]) == {"seeds"}
    assert sorted(runs.drop_nulls("n_datapoints")["n_datapoints"]) == [1e5, 1e6, 1e7]
