"""Source `proteus_2k`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("proteus_2k", raw_directory, {"runs": 2539, "evals": 124_411})
