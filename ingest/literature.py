"""The literature: 86 papers on scaling and 264 findings that they state. No data of their own.

One module for many papers: it builds a row of ``sources`` for every paper that no other module
holds data of, and a row of ``claims`` for every finding. Both stand in the two CSV files beside
this module, which are ours (facts in our own words, with their place), not files of an upstream
release.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Source, conform
from scalingdb.errors import DataError
from scalingdb.schema import TABLES

PAPERS = Path(__file__).with_name("literature_papers.csv")
CLAIMS = Path(__file__).with_name("literature_claims.csv")
NO_DATA = "not applicable: no data held"
"""Licence of a paper that stands in ``sources`` for its findings only."""

TEX_SPECIAL = str.maketrans({character: f"\\{character}" for character in "&%$#_"})

SOURCE = Source(
    source_id="literature",
    title="Findings of 86 papers on scaling",
    authors="the papers' authors; collected for scalingdb",
    year=2025,
    licence=NO_DATA,
    redistribution="facts about publications, in our own words, with their place",
    notes=(
        "Stands for no row of its own: every paper is a source. A paper that another source holds data of keeps that "
        "source's id."
    ),
    bibtex="",
)


def papers() -> pl.DataFrame:
    """All papers: ``source_id, title, arxiv_id, year, kind, domain, summary``.

    `source_id` is ``paper_<arXiv id>``, or the source that holds data of the paper.
    """
    text = pl.read_csv(PAPERS, infer_schema=False)
    return text.with_columns(pl.col("year").cast(pl.Int64))


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """A source for every paper without data here, and a claim for every finding.

    Raises
    ------
    DataError
        If a finding names a paper that is not listed, or a paper has none.
    """
    known = papers()
    own = known.filter(pl.col("source_id").str.starts_with("paper_"))
    sources = own.select(
        "source_id",
        "title",
        "year",
        "arxiv_id",
        licence=pl.lit(NO_DATA),
        is_shipped=pl.lit(True),
        redistribution=pl.lit("no data held; findings are cited facts in our own words"),
        notes=pl.format("{} Kind of study: {}; field: {}.", "summary", "kind", "domain"),
        bibtex=pl.struct("title", "year", "arxiv_id").map_elements(_bibtex, return_dtype=pl.String),
        n_raw_files=pl.lit(0.0),
    )
    return {
        "sources": conform("sources", sources, SOURCE.source_id),
        "claims": conform("claims", _claims(known), SOURCE.source_id),
    }


def _claims(known: pl.DataFrame) -> pl.DataFrame:
    """The findings, each with the source of its paper (the claim's id starts with the arXiv id)."""
    text = pl.read_csv(CLAIMS, infer_schema=False)
    claims = text.with_columns(
        pl.col("value", "value_high").cast(pl.Float64), arxiv_id=pl.col("claim_id").str.split("/").list.first()
    )
    unlisted = sorted(set(claims["arxiv_id"]) - set(known["arxiv_id"]))
    silent = sorted(set(known["arxiv_id"]) - set(claims["arxiv_id"]))
    if unlisted or silent:
        raise DataError(
            f"source 'literature': findings of unlisted papers {unlisted}, papers without a finding {silent}",
            f"every arXiv id of {CLAIMS.name} stands in {PAPERS.name}, and the other way round.",
        )
    return claims.join(known.select("arxiv_id", "source_id"), on="arxiv_id").select(
        name for name in TABLES["claims"].columns
    )


def _bibtex(paper: dict[str, str | int]) -> str:
    """An entry without authors: they are not recorded here, and arXiv has them."""
    arxiv_id, title = str(paper["arxiv_id"]), str(paper["title"]).translate(TEX_SPECIAL)
    return (
        f"@misc{{arxiv{arxiv_id.replace('.', '')}, title={{{{{title}}}}}, year={{{paper['year']}}}, "
        f"eprint={{{arxiv_id}}}, archiveprefix={{arXiv}}, url={{https://arxiv.org/abs/{arxiv_id}}}}}"
    )
