"""Source `retrieval_datastore`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("retrieval_datastore", raw_directory, {"runs": 11 + 3, "evals": 66 + 9})


def test_percent_and_fractions_are_shares(raw_directory: Path) -> None:
    evals = tables_of("retrieval_datastore", raw_directory)["evals"]
    shares = evals.filter(unit="fraction")
    assert shares["value"].to_numpy().min() > 0.2
    assert shares["value"].to_numpy().max() < 0.8
    assert evals.filter(metric="perplexity")["value"].to_numpy().min() > 1
