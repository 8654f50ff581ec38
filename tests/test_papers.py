"""The papers that the project set out to cover: each is listed once; its number agrees, or what was tried is said."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import UnknownNameError
from scalingdb.evidence.papers import Checked, all_papers, paper_table, preamble, stored_results

PAPERS = all_papers()
STORED = stored_results()
WORKS = [row for row, paper in PAPERS.items() if paper.check is not None]
SLOW = {"D13", "L3", "L5", "L29", "L53", "L65"}
"""Numbers that take many fits: only CI computes them again."""


def test_every_paper_is_listed_once() -> None:
    assert list(PAPERS) == [*(f"L{i}" for i in range(1, 68)), *(f"D{i}" for i in range(1, 20))]
    assert len({paper.arxiv for paper in PAPERS.values()}) == 86
    for row, paper in PAPERS.items():
        assert (paper.check is None) == bool(paper.tried), row
        if paper.check is not None:
            assert len(paper.what) > 20, row
            assert paper.code.startswith("def "), row
            assert "@checks" not in paper.code, row


@pytest.mark.parametrize(("kind", "checked", "in_words", "of_setting"), [("L", 60, 7, 7), ("D", 14, 3, 4)])
def test_papers_that_are_checked_do_not_become_fewer(kind: str, checked: int, in_words: int, of_setting: int) -> None:
    rows = [row for row in WORKS if row[0] == kind]
    assert len(rows) >= checked
    assert sum(STORED[row].relation == "words" for row in rows) <= in_words
    assert sum(not STORED[row].is_finding for row in rows) <= of_setting


@pytest.mark.filterwarnings("ignore::scalingdb.DomainWarning", "ignore::scalingdb.FitWarning")
@pytest.mark.parametrize("row", [pytest.param(row, marks=[pytest.mark.ci] * (row in SLOW)) for row in WORKS])
def test_the_number_of_the_paper(row: str, db: sdb.Warehouse) -> None:
    check = PAPERS[row].check
    assert check is not None
    names: dict[str, Any] = {}
    exec(f"{preamble()}\n\n\n{PAPERS[row].code}", names)  # as the site prints it, to be copied
    result = names[check.__name__](db)
    assert result.agrees, result
    kept = STORED[row]  # else: python -m scalingdb.evidence.papers
    assert float(kept.ours) == pytest.approx(float(result.ours), rel=0.02, abs=1e-9)
    assert (kept.stated, kept.relation) == (pytest.approx(float(result.stated), rel=2e-3), result.relation)
    assert kept.is_finding == result.is_finding
    assert kept.agrees  # as rounded for the file


def test_a_bound_and_a_number_agree_by_what_they_say() -> None:
    assert Checked(1.009, 1.0, 0.01).agrees
    assert not Checked(1.011, 1.0, 0.01).agrees
    assert Checked(0.1, 0.2, relation="<=").agrees
    assert not Checked(0.1, 0.2, relation=">=").agrees
    assert not Checked(float("nan"), 1.0, 0.5).agrees
    assert not Checked(float("nan"), 1.0, relation="<=").agrees


def test_the_table_has_number_code_and_what_was_tried(db: sdb.Warehouse) -> None:
    table = paper_table(db, ["L67", "L47", "D12"])
    assert table["row"].to_list() == ["L67", "L47", "D12"]
    assert table["agrees"].to_list() == [True, None, True]
    assert paper_table(db, ["L67"], compute=True)["ours"].item() == 3.0
    assert list(STORED) == WORKS
    assert table["stated"].to_list() == [3.0, None, 61.82]
    assert table["title"].null_count() == 0
    assert table.filter(pl.col("agrees").is_null())["tried"].item()
    assert table["code"][0].startswith("def votes(")
    with pytest.raises(UnknownNameError, match="L68"):
        paper_table(db, ["L68"])
