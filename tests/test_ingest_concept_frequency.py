"""Source `concept_frequency`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, tables_of


def test_rows_and_flags(raw_directory: Path) -> None:
    n_evals = 57 * 21 + 40 + 12 * 21 + 6680
    check_rows(
        "concept_frequency",
        raw_directory,
        {"runs": 106, "evals": n_evals, "items": 619_770, "claims": 5},
    )


def test_classes_and_counts_are_items(raw_directory: Path) -> None:
    items = tables_of("concept_frequency", raw_directory)["items"]
    classes = items.filter(pl.col("task").str.contains(":"), metric="acc")
    tail = classes.filter(task="let_it_wag:ensemble")
    assert classes.height - tail.height == 294_147
    assert tail.height == 290 * 40
    assert classes["value"].to_numpy().max() == 1.0  # the files print percentages
    counts = items.filter(metric="concept_count")
    assert counts.height == 194_827
    assert counts["value"].to_numpy().max() > 1e6


def test_a_class_may_be_spelt_in_two_ways(raw_directory: Path) -> None:
    items = tables_of("concept_frequency", raw_directory)["items"]
    scored = set(items.filter(task="cifar10:ensemble")["item_id"])
    counted = set(items.filter(task="cifar10", metric="concept_count")["item_id"])
    assert scored - counted == {"plane"}
    assert counted - scored == {"airplane"}


def test_misalignment_is_a_share_whatever_the_file_calls_it(raw_directory: Path) -> None:
    claims = tables_of("concept_frequency", raw_directory)["claims"]
    cc3m = claims.filter(claim_id="2404.04125/misalignment/cc3m")["value"].item()
    assert cc3m == pytest.approx(557_683 / 3_120_727, rel=2e-3)
