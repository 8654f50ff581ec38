"""Source `aiw`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("aiw", raw_directory, {"runs": 35, "evals": 2 * (22 + 207 + 142)})


def test_every_share_counts_answers(raw_directory: Path) -> None:
    rates = tables_of("aiw", raw_directory)["evals"].filter(metric="acc")
    right = rates["value"] * rates["n_items"]
    assert (right - right.round()).abs().to_numpy().max() < 1e-9
    assert rates["n_items"].sum() == 1320 + 4098 + 6700
