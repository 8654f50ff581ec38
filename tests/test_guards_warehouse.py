"""Counts that users' runs are warned about, in what ships."""

from __future__ import annotations

import polars as pl

import scalingdb as sdb

KNOWN_RATIOS = {"obs_scaling/cerebras/btlm-3b-8k-base"}
"""627 billion tokens, which the released table gives as 627 trillion."""


def test_tokens_per_parameter_are_possible_but_for_known_runs() -> None:
    runs = sdb.connect().sql("select run_id, n_params, n_tokens from runs where n_params > 1e6")
    odd = runs.filter(pl.col("n_tokens") > 1e5 * pl.col("n_params"))["run_id"]
    assert set(odd) == KNOWN_RATIOS
