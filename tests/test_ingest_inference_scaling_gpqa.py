"""Source `inference_scaling_gpqa`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("inference_scaling_gpqa", raw_directory, {"runs": 9, "evals": 36 + 27 + 10}, set_aside={"aggregate": 9})
