"""Ouyang et al., degradation by low-bit quantisation after training (arXiv 2411.17691). No runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

SOURCE = Source(
    source_id="ouyang_low_bit",
    title="Low-Bit Quantization Favors Undertrained LLMs: Scaling Laws for Quantized LLMs with 100T Training Tokens",
    authors="Xu Ouyang, Tao Ge, Thomas Hartvigsen, Zhisong Zhang, Haitao Mi, Dong Yu",
    year=2024,
    arxiv_id="2411.17691",
    licence="none stated",
    redistribution="published coefficients: facts, shipped with citation",
    n_definition="n_params_non_embedding",
    notes=(
        "The released quantised checkpoints are not held; only coefficients. Law qid: the loss that quantisation adds "
        "is k D^beta / (N^alpha P^gamma), D in tokens, N non-embedding parameters, P in bits. Fitted to Pythia "
        "checkpoints (160M to 12B, up to 206e9 tokens) quantised by GPTQ to 2, 3 and 4 bits: do not go below. The "
        "captions of the figures were read where a public review quotes them; those for one variable "
        "at a time print slightly other exponents (0.5316, 0.2276, 5.4812). Variant 'qid_pythia' of law "
        "kaplan_lnd is the loss of the same "
        "checkpoints before quantisation."
    ),
    bibtex=(
        "@inproceedings{ouyang2025lowbit, title={Low-Bit Quantization Favors Undertrained {LLMs}}, author={Ouyang, Xu "
        "and Ge, Tao and Hartvigsen, Thomas and Zhang, Zhisong and Mi, Haitao and Yu, Dong}, booktitle={Annual Meeting "
        "of the Association for Computational Linguistics}, year={2025}, note={arXiv:2411.17691}}"
    ),
    published_fits=(
        PublishedFit(
            law="qid",
            variant="pythia_gptq",
            params={"k": 0.017, "beta": 0.5251, "alpha": 0.2261, "gamma": 5.4967},
            where_stated="arXiv 2411.17691, Figure 6 (form: eq. 8), caption as a public review of the paper quotes it",
            evidence="second_hand",
            output_unit="nats_per_token",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
        PublishedFit(
            law="kaplan_lnd",
            variant="qid_pythia",
            params={"N_c": 4.74e19, "D_c": 7.63e10, "alpha_N": 0.045, "alpha_D": 0.399},
            where_stated="arXiv 2411.17691, Figure 7 (form: eq. 3), caption as a public review of the paper quotes it",
            evidence="second_hand",
            output_unit="nats_per_token",
            n_definition="n_params_non_embedding",
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
