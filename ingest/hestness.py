"""Hestness et al., learning curves in translation and speech (arXiv 1712.00409). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "Deep Learning Scaling is Predictable, Empirically"
AUTHORS = "Joel Hestness, Sharan Narang, Newsha Ardalani and others"
QUOTED = "as notes on the paper quote it"

SOURCE = Source(
    source_id="hestness",
    title=TITLE,
    authors=AUTHORS,
    year=2017,
    arxiv_id="1712.00409",
    licence="none stated",
    redistribution="five published laws: facts, shipped with citation",
    notes=(
        "No runs are held; the legends of figures, as notes on the paper quote them. Law power_offset: smallest test "
        "loss of two translation models against tokens of training data; law power: the best model for each size of "
        "the data in translation (2^19 to 2^27 tokens), and validation loss of two speech models against hours of "
        "audio. Evaluated at the ends they lie within 0.02 of the drawn points, but for the largest data of the "
        "composite curve, which flattens (0.340 against 0.393). Exponents of language models and images were not seen: "
        "the paper gives the range 0.07 to 0.35 over all domains."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2017, "1712.00409"),
    published_fits=(
        *(
            PublishedFit(
                law="power_offset",
                variant=f"translation_hidden_{width}",
                params={"A": factor, "alpha": alpha, "E": floor},
                where_stated=f"arXiv 1712.00409, figure 1 left, {QUOTED}; x in tokens",
                evidence="second_hand",
                output_unit="fraction",
            )
            for width, factor, alpha, floor in ((208, 41.2, 0.36, 0.39), (512, 21.5, 0.30, 0.32))
        ),
        *(
            PublishedFit(
                law="power",
                variant=variant,
                params={"A": factor, "alpha": alpha},
                where_stated=f"arXiv 1712.00409, {place}, {QUOTED}; x in {axis}",
                evidence="second_hand",
                output_unit="unitless" if axis == "hours" else "fraction",
            )
            for variant, factor, alpha, place, axis in (
                ("translation_best", 3.87, 0.13, "figure 1 right", "tokens"),
                ("speech_attention", 1.36, 0.30, "figure of speech", "hours"),
                ("speech_ds2", 0.95, 0.30, "figure of speech", "hours"),
            )
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
