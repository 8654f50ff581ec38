"""The page of papers: one number of each beside ours with the code that computes it, and what there is of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from scalingdb.display import number
from scalingdb.evidence.papers import citing_laws, paper_table, preamble
from scalingdb.law_library import all_laws
from scalingdb.site.words import templates
from scalingdb.warehouse import Warehouse

__all__ = ["render_papers"]


def render_papers(
    db: Warehouse, notebooks: Sequence[tuple[str, str, Sequence[str]]], figures: pl.DataFrame | None = None
) -> str:
    """The page as Markdown.

    Parameters
    ----------
    db : Warehouse
    notebooks : sequence of (name, title, source ids)
        Pages that work on a source.
    figures : DataFrame, optional
        ``source_id, good, n``: figures of the ledger that reproduce, of those computed.
    """
    counts = db.sources().select("source_id", "n_runs", "n_evals", "n_claims")
    sets = db.sql(
        "select source_id, count(distinct (law, variant)) as n_sets, list(distinct law order by law) as fitted "
        "from published_fits group by all"
    )
    papers = db.table("sources").join(counts, on="source_id", how="left").join(sets, on="source_id", how="left")
    if figures is not None:
        papers = papers.join(figures, on="source_id", how="left")
    cited = citing_laws()
    rows = []
    for paper in papers.sort("year", "title", descending=[True, False], nulls_last=True).iter_rows(named=True):
        laws = sorted({*(paper["fitted"] or ()), *cited.get(paper["arxiv_id"] or "", ())} & set(all_laws()))
        pages = [(name, title) for name, title, used in notebooks if paper["source_id"] in used]
        rows.append({**paper, "laws": laws, "pages": pages, "state": _state(paper, laws)})
    numbers = [_number(row) for row in paper_table(db).iter_rows(named=True)]
    return (
        templates()
        .get_template("papers.md")
        .render(
            papers=rows,
            has_figures=figures is not None,
            numbers=numbers,
            n_laws=sum(row["row"][0] == "L" for row in numbers),
            n_agree={kind: sum(_agrees(row, kind, is_finding=True) for row in numbers) for kind in "LD"},
            n_setting={kind: sum(_agrees(row, kind, is_finding=False) for row in numbers) for kind in "LD"},
            n_words=sum(row["relation"] == "words" for row in numbers),
            preamble=preamble(),
        )
    )


def _agrees(row: Mapping[str, Any], kind: str, *, is_finding: bool) -> bool:
    """Whether a printed number of a paper that states a law (L) or publishes data (D) agrees."""
    is_printed = row["relation"] != "words" and row["is_finding"] == is_finding
    return bool(row["agrees"]) and row["row"][0] == kind and is_printed


def _number(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the table of numbers, with both numbers as text."""
    stated = ours = ""
    if row["relation"] == "words":
        stated, ours = "in words", "holds" if row["agrees"] else "does not hold"
    elif row["stated"] is not None:
        sign = {"=": "", "<=": "at most ", ">=": "at least "}[row["relation"]]
        stated, ours = sign + number(row["stated"], digits=4), number(row["ours"], digits=4)
    return {**row, "stated": stated, "ours": ours}


def _state(paper: Mapping[str, Any], laws: Sequence[str]) -> str:
    """What a reader can compute with."""
    has_rows = bool(paper["n_runs"] or paper["n_evals"])
    if has_rows:
        return "rows and law" if laws else "rows"
    if paper["n_sets"]:
        return "law with coefficients"
    return "law without coefficients" if laws else "findings only"
