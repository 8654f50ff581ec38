"""Refits: published sets fitted again, and what is stored of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.evidence.refits import _core as refits_core
from scalingdb.evidence.refits import all_refits, refit_table


def test_stored_refits_are_used_and_others_are_made(
    db: sdb.Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = (r for r in all_refits() if (r.law, r.variant) == ("chinchilla", "epoch"))
    monkeypatch.setattr(refits_core, "all_refits", lambda: [one])
    monkeypatch.setattr(refits_core, "RESULTS", tmp_path / "results.csv")
    made = refit_table(db)
    assert made["param"].to_list() == ["E", "A", "B", "alpha", "beta"]
    assert made["objective"][0] <= made["published_objective"][0]
    assert made["objective"][0] == pytest.approx(1.01827e-3, rel=1e-4)  # the lowest value that several optimisers reach

    marked = made.with_columns(verdict=pl.lit("from the file"))
    marked.select(list(refits_core.SCHEMA)).write_csv(tmp_path / "results.csv")
    assert set(refit_table(db)["verdict"]) == {"from the file"}
    changed = replace(one, options={**one.options, "objective": "mse_log"})  # other options: the stored result is stale
    monkeypatch.setattr(refits_core, "all_refits", lambda: [changed])
    assert "from the file" not in set(refit_table(db)["verdict"])
    assert set(refit_table(db)["note"]) == {one.note}


def test_stored_refits_belong_to_refits_and_do_not_lose() -> None:
    stored = pl.read_csv(refits_core.RESULTS, schema=refits_core.SCHEMA)
    known = {(one.law, one.variant, one.source_id) for one in all_refits()}
    assert set(stored.select("law", "variant", "source_id").iter_rows()) <= known
    # at or below the objective of the authors' coefficients, up to rounding
    assert stored.filter(pl.col("excess") < -1e-6).is_empty()


def test_the_digest_ignores_the_order_of_rows(db: sdb.Warehouse) -> None:
    (one,) = (r for r in all_refits() if (r.law, r.variant) == ("chinchilla", "epoch"))
    first = refits_core.digest(db, one)
    turned = replace(one, rows=f"select * from ({one.rows}) order by loss desc")
    fewer = replace(one, rows=f"select * from ({one.rows}) where n_params > 1e8")
    assert refits_core.digest(db, turned) == first != refits_core.digest(db, fewer)
