"""Source `regmix`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    n_runs = 512 + 256 + 256 + 64
    check_rows("regmix", raw_directory, {"runs": n_runs, "mixtures": 17 * n_runs, "evals": 13 * n_runs})


def test_shares_and_losses_belong_together(raw_directory: Path) -> None:
    built = tables_of("regmix", raw_directory)
    total = built["mixtures"].group_by("run_id").agg(pl.col("share").sum())["share"]
    assert (total - 1).abs().to_numpy().max() < 0.01  # printed to three decimals
    evals = built["evals"]
    assert evals["domain_share"].null_count() == 0
    assert set(built["mixtures"]["domain"]) - set(evals["eval_set"]) == {
        "nih_exporter",
        "philpapers",
        "enron_emails",
        "europarl",
    }


def test_one_mixture_has_one_name_at_both_test_sizes(raw_directory: Path) -> None:
    built = tables_of("regmix", raw_directory)
    shares = built["mixtures"].join(built["runs"].select("run_id", "mixture", "family"), on="run_id")
    tests = shares.filter(pl.col("mixture").str.starts_with("test-") & pl.col("family").is_in(["1m", "60m"]))
    wide = tests.pivot("family", index=["mixture", "domain"], values="share").filter(pl.col("mixture") != "test-1b")
    both = wide.drop_nulls()
    assert both.height == 256 * 17
    assert (both["1m"] == both["60m"]).all()
