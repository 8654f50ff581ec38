"""Source `languini`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("languini", raw_directory, {"runs": 614, "evals": 614}, set_aside={"out_of_memory": 132})
