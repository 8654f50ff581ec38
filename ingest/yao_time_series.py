"""Yao et al., laws of time-series models in and out of distribution (arXiv 2410.12360). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "Towards Neural Scaling Laws for Time Series Foundation Models"
AUTHORS = "Qingren Yao, Chao-Han Huck Yang, Renhe Jiang, Yuxuan Liang, Ming Jin, Shirui Pan"
PF_DAY = 8.64e19
AXES = {
    "n": ("modelsize_vs_metric.ipynb", 1.0),
    "d": ("datasize_vs_metric.ipynb", 1.0),
    "c": ("compute_vs_metric.ipynb", PF_DAY),
}
"""Notebook, and what one unit of its axis is: parameters, time points, PF-days in FLOP."""
PRINTED: dict[str, dict[str, tuple[float, float]]] = {
    "encoder_n": {"in": (3.7e16, 0.029), "out_lsf": (1.4e31, 0.026), "out_monash": (6.7e36, 0.023)},
    "decoder_n": {"in": (2.0e34, 0.015), "out_lsf": (2.9e47, 0.016), "out_monash": (1.5e48, 0.017)},
    "encoder_d": {"in": (5.3e12, 0.094), "out_lsf": (9.6e30, 0.029), "out_monash": (1.0e39, 0.023)},
    "decoder_d": {"in": (9.9e13, 0.09), "out_lsf": (1.1e44, 0.019), "out_monash": (4.4e31, 0.03)},
    "encoder_c": {"in": (1.5e7, 0.024), "out_lsf": (3.9e26, 0.02), "out_monash": (2.8e29, 0.02)},
    "decoder_c": {"in": (6.0e23, 0.014), "out_lsf": (1.9e33, 0.017), "out_monash": (1.4e47, 0.013)},
}
"""x0 and alpha of NLL = (x0 / x)^alpha, by architecture and axis, in and out of the distribution of training."""

SOURCE = Source(
    source_id="yao_time_series",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2410.12360",
    licence="none seen",
    redistribution="18 printed laws: facts, shipped with citation",
    notes=(
        "No runs are held. Law power: negative log-likelihood of a forecast against parameters, time points of "
        "training "
        "or compute, for encoders and decoders, in distribution ('in') and on two collections outside it ('out_lsf', "
        "'out_monash'), as notebooks of the repository print their least-squares lines in logarithms; converted from "
        "(x0 / x)^alpha to A x^-alpha, compute from PF-days to FLOP. Scales are printed to two digits, which moves "
        "A by a tenth of a percent at these exponents. There is no floor. In the library the input of power is called "
        "n_tokens: give inputs= for another axis."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2410.12360"),
    published_fits=tuple(
        PublishedFit(
            law="power",
            variant=f"time_series_{name}_{domain}",
            params={"A": (x0 * AXES[name[-1]][1]) ** alpha, "alpha": alpha},
            where_stated=(
                f"{AXES[name[-1]][0]}, legend: NLL = ({x0:g} / x)^{alpha:g}, converted to A x^-alpha"
                + (" and FLOP" if name.endswith("_c") else "")
            ),
            evidence="converted",
            output_unit="unitless",
            n_definition="n_params" if name.endswith("_n") else None,
        )
        for name, domains in PRINTED.items()
        for domain, (x0, alpha) in domains.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
