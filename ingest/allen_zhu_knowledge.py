"""Allen-Zhu and Li, bits of knowledge per parameter (arXiv 2404.05405). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry

TITLE = "Physics of Language Models: Part 3.3, Knowledge Capacity Scaling Laws"
AUTHORS = "Zeyuan Allen-Zhu, Yuanzhi Li"
BITS = {
    "exposures_1000": (2.0, "at least 2 bits, 1,000 exposures"),
    "exposures_100": (1.0, "1 bit, 100 exposures"),
    "int8": (2.0, "no loss with 8-bit weights"),
    "int4": (0.7, "0.7 bits with 4-bit weights"),
    "moe_32_experts": (1.538, "2 / 1.3 with 32 experts and 1,000 exposures"),
    "moe_32_experts_100": (0.667, "1 / 1.5 with 32 experts and 100 exposures"),
    "gated_mlp_100": (0.769, "1 / 1.3 with gated MLPs and 100 exposures"),
    "junk_7_of_8_100": (0.05, "a twentieth with seven parts of junk in eight and 100 exposures"),
}

SOURCE = Source(
    source_id="allen_zhu_knowledge",
    title=TITLE,
    authors=AUTHORS,
    year=2024,
    arxiv_id="2404.05405",
    licence="none stated",
    redistribution="eight published ratios: facts, shipped with citation",
    notes=(
        "No runs are held; the results as notes on the paper quote them. Law knowledge_capacity: bits of synthetic "
        "facts "
        "that a model stores, per parameter (all are counted), by exposures of each fact, precision, sparsity and junk "
        "in the data. Useful data with 1,000 exposures beside the junk lose less (a factor of 1.3), and naming the "
        "source of each text halves the loss."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2024, "2404.05405"),
    published_fits=tuple(
        PublishedFit(
            law="knowledge_capacity",
            variant=name,
            params={"R": bits},
            where_stated=f"arXiv 2404.05405, results 1 to 7, as notes quote them: {words}",
            evidence="second_hand",
            output_unit="bits",
            n_definition="n_params",
            is_default=name == "exposures_1000",
        )
        for name, (bits, words) in BITS.items()
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
