"""Li et al., alignment of text and image by compute and data (arXiv 2404.02883). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "On the Scalability of Diffusion-based Text-to-Image Generation"
AUTHORS = "Hao Li, Yang Zou, Ying Wang, Orchid Majumder and others"
PRINTED = {
    "t2i_compute": (0.47, 0.02, "a", "total training compute in GFLOP"),
    "t2i_data": (0.64, 0.03, "c", "millions of pairs of image and noun"),
}
"""Scale, exponent, part of figure 11, unit of the input: TIFA score = scale * x**exponent."""

SOURCE = Source(
    source_id="li_text_to_image",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2404.02883",
    licence="none stated",
    redistribution="two printed laws: facts, shipped with citation",
    notes=(
        "No runs are held. Law rising_power: the TIFA score (share of questions about the generated image that are "
        "answered right) of the Pareto frontier by total training compute (3 times the FLOP of a step of the denoiser "
        "times batch and steps) and by millions of pairs of an image and a noun of its caption, from SDXL variants and "
        "SD2 at 256 pixels. Exponents are printed to one digit. A third law, of parameters, is printed as S = 0.77 "
        "N^0.11 with N in millions and is not held: it gives 1.8 at SDXL's 2,390, above the ceiling of the score; "
        "0.011 would give the plotted 0.84."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2404.02883"),
    published_fits=tuple(
        PublishedFit(
            law="rising_power",
            variant=name,
            params={"A": scale, "a": power},
            where_stated=(
                f"arXiv 2404.02883, section 5 and figure 11{part}: S = {scale} x^{power}, x in {unit}; from a text "
                "converted by a machine"
            ),
            evidence="converted",
            output_unit="fraction",
        )
        for name, (scale, power, part, unit) in PRINTED.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
