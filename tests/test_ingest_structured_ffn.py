"""Source `structured_ffn`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("structured_ffn", raw_directory, {"runs": 15, "evals": 15})


def test_units(raw_directory: Path) -> None:
    built = tables_of("structured_ffn", raw_directory)
    dense = built["runs"].filter(run_id="structured_ffn/ffn_xl/transformer_xl_dense").row(0, named=True)
    assert (dense["n_params"], dense["n_tokens"], dense["accelerator_hours"]) == (1274e6, 25.5e9, 352.2)
    assert set(built["evals"]["unit"]) == {"perplexity"}
