"""Source `dmsl_slimpajama`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("dmsl_slimpajama", raw_directory, {"runs": 224, "mixtures": 224 * 7, "evals": 19_600})


def test_checkpoints_of_a_size(raw_directory: Path) -> None:
    built = tables_of("dmsl_slimpajama", raw_directory)
    rows = built["evals"].filter(eval_set="c4").join(built["runs"].select("run_id", "family"), on="run_id")
    assert dict(rows.group_by("family").len().rows()) == {
        "122m": 654,
        "310m": 654,
        "680m": 440,
        "937m": 440,
        "1235m": 220,
        "2718m": 44,
    }
