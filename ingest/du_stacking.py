"""Du et al., when to grow a model by stacking (arXiv 2405.15319). Coefficients only, no runs."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source

SOURCE = Source(
    source_id="du_stacking",
    title="Stacking Your Transformers: A Closer Look at Model Growth for Efficient LLM Pre-Training",
    authors="Wenyu Du, Tongxu Luo, Zihan Qiu, Zeyu Huang, Yikang Shen, Reynold Cheng, Yike Guo, Jie Fu",
    year=2024,
    arxiv_id="2405.15319",
    repository="tongxuluo/prts",
    licence="Apache-2.0 for the code",
    redistribution="three published coefficients: facts, shipped with citation",
    notes=(
        "No runs are held; only the guideline of the authors' README. Law gstack_timing: log10 d = a log10 N + b / "
        "log10 C + c, d the tokens after which the small model is stacked, N the parameters of the grown model, C its "
        "training compute in FLOP (6 N D). With it the README's four examples come out to the printed digits, so these "
        "are the units. The growth factor is fixed at 4."
    ),
    bibtex=(
        "@article{du2024stacking, title={Stacking Your Transformers: A Closer Look at Model Growth for Efficient {LLM} "
        "Pre-Training}, author={Du, Wenyu and Luo, Tongxu and Qiu, Zihan and Huang, Zeyu and Shen, Yikang and Cheng, "
        "Reynold and Guo, Yike and Fu, Jie}, journal={arXiv preprint arXiv:2405.15319}, year={2024}}"
    ),
    published_fits=(
        PublishedFit(
            law="gstack_timing",
            variant="published",
            params={"a": 0.88, "b": 163.27, "c": -5.74},
            where_stated="README of tongxuluo/prts: log10 d = 0.88 log10 N + 163.27 / log10 C - 5.74",
            evidence="read",
            output_unit="tokens",
            n_definition="n_params",
            is_default=True,
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """No tables: the source consists of its published coefficients."""
    return {}
