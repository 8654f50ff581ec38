"""Kumar et al., loss against the precision of training and of inference (arXiv 2411.04330). No runs."""

from __future__ import annotations

from types import MappingProxyType

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

TRAINING = MappingProxyType(
    {
        "A": 4.299e3,
        "B": 1.806e4,
        "E": 2.7648,
        "alpha": 0.4965,
        "beta": 0.4965,
        "g_w": 2.6745,
        "n_w": 0.3037,
        "g_a": 2.2102,
        "n_a": 1.4072,
        "g_kv": 0.9578,
        "n_kv": 2.4185,
    }
)
"""Table 2; alpha and beta are tied, the index of activations is printed as i."""

SOURCE = Source(
    source_id="kumar_precision",
    title="Scaling Laws for Precision",
    authors=(
        "Tanishq Kumar, Zachary Ankner, Benjamin F. Spector, Blake Bordelon, Niklas Muennighoff, Mansheej Paul, Cengiz "
        "Pehlevan, Christopher Re, Aditi Raghunathan"
    ),
    year=2024,
    arxiv_id="2411.04330",
    licence="none stated",
    redistribution="published coefficients: facts, shipped with citation",
    n_definition="n_params_non_embedding",
    notes=(
        "No runs were released; only coefficients are held. Law precision_neff: L = A Neff^-alpha + B D^-beta + E with "
        "Neff = N x the product over x in {w, a, kv} (weights, activations, KV cache) of 1 - exp(-P_x / g_x + n_x), "
        "P_x in bits. Law precision_ptq, the loss that quantisation after training adds: C_T (D^g_D / N^g_N) "
        "exp(-P / g_post + b). The main text omits the shifts n_x and b; Appendix K states them. They are not "
        "optional: with them the precision at which a FLOP proportional to the bits is spent best is 7.0 bits (the "
        "paper: 7 to 8), without them 3.5. At 3 bits of activations or KV cache the factor is near 0 or below, where "
        "the authors' runs diverge. Dolma, 465 runs of 30M to 220M parameters on up to 26e9 tokens; runs with 3 bits "
        "of activations or KV cache are not in the fit. Variant 'integer' is Table 2; 'float_weights' has g_w and n_w "
        "of the floating-point runs (weights only, the constants A, B, E, alpha of the table kept): set P_a and P_kv "
        "high in it, its g_a, n_a, g_kv, n_kv are those of integers."
    ),
    bibtex=(
        "@article{kumar2024precision, title={Scaling Laws for Precision}, author={Kumar, Tanishq and Ankner, Zachary "
        "and Spector, Benjamin F. and Bordelon, Blake and Muennighoff, Niklas and Paul, Mansheej and Pehlevan, Cengiz "
        "and R{\\'e}, Christopher and Raghunathan, Aditi}, journal={arXiv preprint arXiv:2411.04330}, year={2024}}"
    ),
    published_fits=(
        PublishedFit(
            law="precision_neff",
            variant="integer",
            params=TRAINING,
            where_stated="arXiv 2411.04330, Appendix K, Table 2 (form: eq. 4, with the shifts of Appendix K)",
            evidence="read",
            output_unit="nats_per_token",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
        PublishedFit(
            law="precision_neff",
            variant="float_weights",
            params={**TRAINING, "g_w": 2.8111, "n_w": 0.1240},
            where_stated=(
                "arXiv 2411.04330, Appendix N (g_w, n_w) and Table 2 (the rest); says nothing of activations and KV "
                "cache in floating point"
            ),
            evidence="read",
            output_unit="nats_per_token",
            n_definition="n_params_non_embedding",
        ),
        PublishedFit(
            law="precision_ptq",
            variant="integer",
            params={"C_T": 0.0598, "g_D": 0.5068, "g_N": 0.3439, "g_post": 0.5907, "b": 1.1277},
            where_stated="arXiv 2411.04330, Appendix K, Table 2 (form: eq. 2, with the shift of Appendix K)",
            evidence="read",
            output_unit="nats_per_token",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
