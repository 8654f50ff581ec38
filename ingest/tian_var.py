"""Tian et al., next-scale image generation (arXiv 2404.02905). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "Visual Autoregressive Modeling: Scalable Image Generation via Next-Scale Prediction"
AUTHORS = "Keyu Tian, Yi Jiang, Zehuan Yuan, Bingyue Peng, Liwei Wang"
BILLION, PETA = 1e9, 1e15
PRINTED = {
    "loss_last_n": ("nats_per_token", 2.0, 0.23, BILLION, "eq. 11"),
    "loss_mean_n": ("nats_per_token", 2.5, 0.20, BILLION, "eq. 11"),
    "error_last_n": ("fraction", 4.9e2, 0.016, BILLION, "eq. 12"),
    "error_mean_n": ("fraction", 6.5e2, 0.010, BILLION, "eq. 12"),
    "loss_last_c": ("nats_per_token", 2.2e-5, 0.13, PETA, "eq. 13"),
    "loss_mean_c": ("nats_per_token", 1.5e-5, 0.16, PETA, "eq. 14"),
    "error_last_c": ("fraction", 8.1e-2, 0.0067, PETA, "eq. 15"),
    "error_mean_c": ("fraction", 4.4e-2, 0.011, PETA, "eq. 16"),
}
"""Output unit, scale inside the power, exponent, unit of the input, place: y = (scale x)^-exponent."""

SOURCE = Source(
    source_id="tian_var",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2404.02905",
    licence="none stated",
    redistribution="eight printed laws: facts, shipped with citation",
    notes=(
        "No runs are held. Law power: test loss and error of image tokens against parameters (of the transformer, "
        "73,728 times the cube of its depth) and against compute of the best runs, for the last scale and the mean "
        "over "
        "scales; y = (scale x)^-exponent with x in billions of parameters or PFLOP, converted to raw x. The paper does "
        "not print the unit of N: only billions give errors near 0.9. Figure 6 prints the scales of equations 13 and "
        "14 "
        "the other way round. In the library the input of power is called n_tokens: give inputs= for another axis."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2404.02905"),
    published_fits=tuple(
        PublishedFit(
            law="power",
            variant=f"var_{name}",
            params={"A": (scale / unit) ** -exponent, "alpha": exponent},
            where_stated=f"arXiv 2404.02905, {place}: y = ({scale:g} x)^-{exponent:g}, converted from x in {unit:g}",
            evidence="converted",
            output_unit=output,
            n_definition="n_params_non_embedding" if name.endswith("_n") else None,
        )
        for name, (output, scale, exponent, unit, place) in PRINTED.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
