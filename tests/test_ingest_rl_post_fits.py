"""Source `rl_post_fits`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("rl_post_fits", raw_directory, {"runs": 10, "evals": 10, "claims": 15})
