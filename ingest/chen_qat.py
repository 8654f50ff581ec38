"""Chen et al., the error of quantisation-aware training (arXiv 2505.14302). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Evidence, PublishedFit, Source

# variant, what is quantised to 4 bits, evidence, k, g_N, g_D, g_G
SETS: tuple[tuple[str, str, Evidence, float, float, float, float], ...] = (
    ("w4a4", "weights and activations", "read", 0.1582, 0.2186, 0.0745, 0.7779),
    ("w4a16", "weights", "read", 0.2522, 0.3589, 0.1610, 0.3533),
    ("w16a4", "activations", "read", 0.1004, 0.1816, 0.0331, 0.9812),
    ("w4a4_fc2_8bit", "weights and activations, input of FC2 in 8 bits", "converted", 0.3519, 0.2637, 0.0964, 0.3407),
    ("w16a4_fc2_8bit", "activations, input of FC2 in 8 bits", "converted", 0.1273, 0.2347, 0.0827, 0.4491),
)

SOURCE = Source(
    source_id="chen_qat",
    title="Scaling Law for Quantization-Aware Training",
    authors=(
        "Mengzhao Chen, Chaoyi Zhang, Jing Liu, Yutao Zeng, Zeyue Xue, Zhiheng Liu, Yunshui Li, Jin Ma, Jie Huang, Xun "
        "Zhou, Ping Luo"
    ),
    year=2025,
    arxiv_id="2505.14302",
    licence="none stated",
    redistribution="published coefficients: facts, shipped with citation",
    notes=(
        "No runs were released; only coefficients are held. Law qat_error: the loss that quantisation-aware training "
        "adds to the unquantised model's is k D^g_D log2(G)^g_G / N^g_N, G the group size (1: no error). 268 runs of "
        "74M to 594M parameters on 10e9 to 100e9 tokens; 973M on 200e9 was held out. The numbers are those of "
        "Table 1; for the two sets with 8-bit input of FC2 the cell of g_G is displaced in the converted copy that was "
        "read (section 4.4 prints 0.4471 where the table has 0.4491). N and D are in parameters and tokens, for only "
        "then do the sets of weights and activations add up to that of both, which the paper reports with a "
        "factor of 0.906. Which parameters N counts is not said either."
    ),
    bibtex=(
        "@article{chen2025qat, title={Scaling Law for Quantization-Aware Training}, author={Chen, Mengzhao and Zhang, "
        "Chaoyi and Liu, Jing and Zeng, Yutao and Xue, Zeyue and Liu, Zhiheng and Li, Yunshui and Ma, Jin and Huang, "
        "Jie and Zhou, Xun and Luo, Ping}, journal={arXiv preprint arXiv:2505.14302}, year={2025}}"
    ),
    published_fits=(
        PublishedFit(
            law="chinchilla",
            variant="qat_bf16_base",
            params={"E": 1.9279, "A": 237.7042, "alpha": 0.3022, "B": 596.2490, "beta": 0.3022},
            where_stated="arXiv 2505.14302, Table 1: loss of the 16-bit models, with one exponent for N and D",
            evidence="read",
            output_unit="nats_per_token",
        ),
        *(
            PublishedFit(
                law="qat_error",
                variant=variant,
                params={"k": k, "g_N": g_n, "g_D": g_d, "g_G": g_g},
                where_stated=(
                    f"arXiv 2505.14302, Table 1 (form: eq. 5), {what}"
                    + ("; g_G stands displaced in the converted copy that was read" if evidence == "converted" else "")
                ),
                evidence=evidence,
                output_unit="nats_per_token",
                is_default=variant == "w4a4",
            )
            for variant, what, evidence, k, g_n, g_d, g_g in SETS
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
