"""Sun et al., training in low-precision floating point (arXiv 2501.02423). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

SOURCE = Source(
    source_id="sun_fp_quant",
    title="Scaling Laws for Floating Point Quantization Training",
    authors=(
        "Xingwu Sun, Shuaipeng Li, Ruobing Xie, Weidong Han, Kan Wu, Zhen Yang, Yixing Li, An Wang, Shuai Li, Jinbao "
        "Xue, Yu Cheng, Yangyu Tao, Zhanhui Kang, Chengzhong Xu, Di Wang, Jie Jiang"
    ),
    year=2025,
    arxiv_id="2501.02423",
    licence="none stated",
    redistribution="eight published coefficients: facts, shipped with citation",
    n_definition="n_params_non_embedding",
    notes=(
        "No runs were released; only coefficients are held. Law fp_quant: L = n N^-a + d D^-b + e + (D^b / N^a) "
        "log2(Bk) / (g (Ex + 0.5)^dl (Ma + 0.5)^nu), Ex and Ma the bits of exponent and mantissa, Bk the number of "
        "values that share a scaling factor. The paper's letters are alpha, beta, epsilon, gamma, delta for a, b, e, "
        "g, dl; gamma is a factor, not a power of Bk. N leaves embeddings out: 12 layers of width 512 with a gated "
        "feed-forward layer of 1,536 are its 41M. Sizes of the fit are 41M, 85M, 154M and 679M; the last term makes "
        "loss rise with data beyond a critical amount."
    ),
    bibtex=(
        "@inproceedings{sun2025floating, title={Scaling Laws for Floating-Point Quantization Training}, author={Sun, "
        "Xingwu and Li, Shuaipeng and Xie, Ruobing and Han, Weidong and Wu, Kan and Yang, Zhen and Li, Yixing and "
        "Wang, An and Li, Shuai and Xue, Jinbao and Cheng, Yu and Tao, Yangyu and Kang, Zhanhui and Xu, Chengzhong and "
        "Wang, Di and Jiang, Jie}, booktitle={International Conference on Machine Learning}, year={2025}, "
        "note={arXiv:2501.02423}}"
    ),
    published_fits=(
        PublishedFit(
            law="fp_quant",
            variant="published",
            params={
                "n": 69.2343,
                "a": 0.2368,
                "d": 68973.0621,
                "b": 0.5162,
                "e": 1.9061,
                "g": 11334.5197,
                "dl": 3.1926,
                "nu": 2.9543,
            },
            where_stated="arXiv 2501.02423, Appendix B.1, Table 2 (form: eq. 26)",
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
