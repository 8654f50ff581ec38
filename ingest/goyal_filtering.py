"""Goyal et al., utility and half-life of pools of filtered data (arXiv 2404.07177). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "Scaling Laws for Data Filtering -- Data Curation cannot be Compute Agnostic"
AUTHORS = "Sachin Goyal, Pratyush Maini, Zachary C. Lipton, Aditi Raghunathan, J. Zico Kolter"
FILE = "results/parameter_values.jsonl"
POOLS: dict[str, tuple[float, float]] = {
    "tmars_top_10": (0.16, 6.7272727272727275),
    "tmars_top_10_to_20": (0.125, 8.545454545454547),
    "tmars_top_20_to_30": (0.1, 5.2727272727272725),
    "tmars_top_30_to_40": (0.085, 2.2727272727272725),
    "tmars_quarter_of_top_40": (0.12, 6.0),
}
"""Power (with its sign turned) and half-life in epochs of each pool, the set 'tmars_imagenet1k_utility'."""
A, D = 0.025, 0.1

SOURCE = Source(
    source_id="goyal_filtering",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2404.07177",
    repository="locuslab/scaling_laws_data_filtering",
    upstream_commit="251f695d38b32c46d915a56c9eec5bab4ce3feee",
    licence="none stated",
    redistribution="five stored coefficient sets: facts, shipped with citation",
    notes=(
        "No runs are held. Law qqt_filter: zero-shot ImageNet error of CLIP models trained on tenths of a pool of 128 "
        "million samples, ranked by T-MARS, 12.8 million each, by samples seen and epochs. Found by a grid search with "
        "a common to all pools and the floor d held at 0.1; grid steps are 0.005 in b and 0.09 epochs in tau. "
        "'tmars_quarter_of_top_40' is a random quarter of the four tenths together, fitted on its own: what mixing "
        "them should give. The file also holds a set of another form, which decays the data instead of the utility."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2404.07177"),
    published_fits=tuple(
        PublishedFit(
            law="qqt_filter",
            variant=name,
            params={"a": A, "b": b, "tau": tau, "d": D},
            where_stated=f"release, {FILE}, id tmars_imagenet1k_utility: b = -{b:g}, tau = {tau:.4g}",
            evidence="read",
            output_unit="fraction",
            is_default=name == "tmars_top_10",
        )
        for name, (b, tau) in POOLS.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
