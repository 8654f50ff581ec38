"""Frantar et al., loss against weight sparsity (arXiv 2309.08520). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

EXPONENT_N, EXPONENT_D, COEFFICIENT_D = 0.39222675, 0.88979104, 0.27818217
MILLION, BILLION = 1e6, 1e9

SOURCE = Source(
    source_id="frantar_sparsity",
    title="Scaling Laws for Sparsely-Connected Foundation Models",
    authors="Elias Frantar, Carlos Riquelme, Neil Houlsby, Dan Alistarh, Utku Evci",
    year=2023,
    arxiv_id="2309.08520",
    repository="google-research/jaxpruner",
    upstream_commit="aeb5310f20e5f954352e684ea62d7e0b029262f4",
    licence="Apache-2.0 for the code",
    redistribution="seven published coefficients: facts, shipped with citation",
    n_definition="n_params_non_embedding",
    notes=(
        "No runs are held; only the coefficients that the authors' notebook prints for vision transformers on JFT-4B. "
        "Law frantar_sparse: L = (a_S (1 - S)^b_S + c_S) N^-b_N + (a_D / D)^b_D + c, S the share of weights that are "
        "zero, N the weights of the encoder that are not, D training images seen. The term in D stands outside the "
        "bracket. The notebook fits N in millions and D in billions with the term e D^-b_D; a_S, c_S and a_D are "
        "converted here to single weights and images (a_D = 1e9 e^(1 / b_D)). The coefficients of T5 on C4 are printed "
        "in the paper only and were not read, so they are not held."
    ),
    bibtex=(
        "@inproceedings{frantar2024scaling, title={Scaling Laws for Sparsely-Connected Foundation Models}, "
        "author={Frantar, Elias and Riquelme, Carlos and Houlsby, Neil and Alistarh, Dan and Evci, Utku}, "
        "booktitle={International Conference on Learning Representations}, year={2024}, note={arXiv:2309.08520}}"
    ),
    published_fits=(
        PublishedFit(
            law="frantar_sparse",
            variant="vit_jft",
            params={
                "a_S": 1.30485411 * MILLION**EXPONENT_N,
                "b_S": 0.82101251,
                "c_S": 2.07506343 * MILLION**EXPONENT_N,
                "b_N": EXPONENT_N,
                "a_D": BILLION * COEFFICIENT_D ** (1 / EXPONENT_D),
                "b_D": EXPONENT_D,
                "c": 4.51669257,
            },
            where_stated=(
                "jaxpruner/projects/bigsparse/sparsity-scaling.ipynb, stored output, scales converted from N in "
                "millions and D in billions"
            ),
            evidence="converted",
            output_unit="nats_per_example",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
