"""Source `upalm_tables`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("upalm_tables", raw_directory, {"runs": 24, "evals": 156 + 54 + 42 + 33})


def test_exchanged_labels_are_put_right(raw_directory: Path) -> None:
    """PaLM's own paper has 81.1 for Winogrande and 90.1 for Winograd; table 8 prints them the other way round."""
    evals = tables_of("upalm_tables", raw_directory)["evals"].filter(run_id="upalm_tables/tokens/palm-540b-780B")
    scores = dict(evals.select("eval_set", "value").rows())
    assert (scores["winogrande"], scores["winograd"]) == (pytest.approx(0.811), pytest.approx(0.901))


def test_compute_is_six_n_d(raw_directory: Path) -> None:
    runs = tables_of("upalm_tables", raw_directory)["runs"]
    palm = runs.filter(run_id="upalm_tables/compute/palm-540b").row(0, named=True)
    assert palm["train_flops"] == pytest.approx(6 * palm["n_params"] * palm["n_tokens"], rel=1e-9)
