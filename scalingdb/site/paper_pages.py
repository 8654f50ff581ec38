"""One table of all papers: which law, rows, coefficients and checked figures the warehouse has of each, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from scalingdb.law_library import all_laws
from scalingdb.site.words import templates
from scalingdb.warehouse import Warehouse

__all__ = ["render_papers"]

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


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
    cited = _citing_laws()
    rows = []
    for paper in papers.sort("year", "title", descending=[True, False], nulls_last=True).iter_rows(named=True):
        laws = sorted({*(paper["fitted"] or ()), *cited.get(paper["arxiv_id"] or "", ())} & set(all_laws()))
        pages = [(name, title) for name, title, used in notebooks if paper["source_id"] in used]
        rows.append({**paper, "laws": laws, "pages": pages, "state": _state(paper, laws)})
    return templates().get_template("papers.md").render(papers=rows, has_figures=figures is not None)


def _citing_laws() -> Mapping[str, set[str]]:
    """Laws by the arXiv numbers that they cite."""
    found: dict[str, set[str]] = {}
    for law in all_laws().values():
        for arxiv in ARXIV.findall(law.cite):
            found.setdefault(arxiv, set()).add(law.name)
    return found


def _state(paper: Mapping[str, Any], laws: Sequence[str]) -> str:
    """What a reader can compute with."""
    has_rows = bool(paper["n_runs"] or paper["n_evals"])
    if has_rows:
        return "rows and law" if laws else "rows"
    if paper["n_sets"]:
        return "law with coefficients"
    return "law without coefficients" if laws else "findings only"
