"""Source `e2lm`: counts and traps, as the raw file itself has them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("e2lm", raw_directory, {"runs": 6, "evals": 4224}, set_aside={"unclear_scale": 3 * 176})


def test_one_run_has_half_the_checkpoints(raw_directory: Path) -> None:
    evals = tables_of("e2lm", raw_directory)["evals"].filter(eval_set="hellaswag")
    checkpoints = dict(evals.group_by("run_id").len().rows())
    assert checkpoints.pop("e2lm/dense-500m-arch1") == 16
    assert set(checkpoints.values()) == {32}
    assert evals.select(pl.col("n_tokens").max()).item() < 2.4e11  # tokens, not thousands of millions


def test_only_what_starts_near_zero_is_flagged(raw_directory: Path) -> None:
    evals = tables_of("e2lm", raw_directory)["evals"]
    least = dict(evals.group_by("eval_set").agg(pl.col("value").max()).rows())
    assert max(least[name] for name in ("bbh", "math", "musr")) < 0.15
    assert min(least[name] for name in ("gpqa", "ifeval")) > 0.25
