"""The ledger: every replicated figure keeps the verdict that its declaration promises."""

from __future__ import annotations

from functools import cache

import pytest

import scalingdb as sdb
from scalingdb import replication
from scalingdb.replication import all_replications
from scalingdb.replication._core import MISSING

FIGURES = [(one.id, figure.key) for one in all_replications().values() for figure in one.figures]


@cache
def _rows(name: str) -> dict[str, dict[str, object]]:
    """Figures of one replication, computed once."""
    table = replication.replicate(name, sdb.connect())
    return {row["figure"]: row for row in table.iter_rows(named=True)}


@pytest.mark.parametrize(("name", "key"), FIGURES, ids=[f"{name}.{key}" for name, key in FIGURES])
def test_the_verdict_is_the_promised_one(name: str, key: str) -> None:
    row = _rows(name)[f"{name}.{key}"]
    if row["verdict"] == MISSING:
        pytest.skip(f"{row['figure']}: {MISSING}")
    assert row["verdict"] == row["expected"], f"published {row['published']}, ours {row['ours']}"
