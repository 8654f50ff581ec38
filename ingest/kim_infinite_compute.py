"""Kim et al., fixed data and unlimited compute (arXiv 2509.14786). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

SOURCE = Source(
    source_id="kim_infinite_compute",
    title="Pre-training under infinite compute",
    authors="Konwoo Kim, Suhas Kotha, Percy Liang, Tatsunori Hashimoto",
    year=2025,
    arxiv_id="2509.14786",
    licence="none stated",
    redistribution="three published coefficients: facts, shipped with citation",
    notes=(
        "No runs are held; only the coefficients of one recipe. Law infinite_compute_n: L = A N^-alpha + E, N in "
        "billions of parameters, with 2e8 unique tokens (DCLM), many epochs and weight decay tuned for every size (0.8 "
        "to 3.2). Fitted to four sizes (150M to 1.4B) with three free parameters; seeds move the loss by about 0.02. "
        "As several independent readings quote it. Of the law of ensembles (loss against the number of members K) only "
        "asymptotes were found, not A_k and alpha_k, so no set is held: 3.34 for 300M members with the "
        "hyper-parameters of a single model, 3.27 with their own, 3.17 for infinitely many infinitely large members."
    ),
    bibtex=(
        "@article{kim2025infinite, title={Pre-training under infinite compute}, author={Kim, Konwoo and Kotha, Suhas "
        "and Liang, Percy and Hashimoto, Tatsunori}, journal={arXiv preprint arXiv:2509.14786}, year={2025}}"
    ),
    published_fits=(
        PublishedFit(
            law="infinite_compute_n",
            variant="tokens_200m",
            params={"A": 0.05, "alpha": 1.02, "E": 3.43},
            where_stated="arXiv 2509.14786, Figure 3, as several independent readings quote it; N in billions",
            evidence="second_hand",
            output_unit="nats_per_token",
            is_default=True,
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
