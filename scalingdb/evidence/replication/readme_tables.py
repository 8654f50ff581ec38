"""READMEs: MLPs on images, recommenders, and the best model on SuperGPQA."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_MLPS = {
    "cifar10": ("CIFAR-10", "93", 1),
    "cifar100": ("CIFAR-100", "79", 2),
    "tinyimagenet": ("TinyImageNet", "69", 3),
}
_LATER = "The README has a later and better model: {} % without and {} % with test-time augmentation."
_README = {"cifar10": (94.2, 95.5), "cifar100": (80.0, 82.6), "tinyimagenet": (69.9, 73.1)}


@replication(
    *(
        Figure(
            key=name,
            statement=f"Accuracy of the best MLP on {label}, without test-time augmentation",
            place="arXiv 2306.13575, abstract",
            unit="percent",
            claim_id=f"2306.13575/{number}",
            unless=_LATER.format(*_README[name]),
            **printed(text),
        )
        for name, (label, text, number) in _MLPS.items()
    ),
    Figure(
        key="hstu",
        statement="Largest relative gain of HSTU over SASRec in NDCG, over three public data sets and three cut-offs",
        place="arXiv 2402.17152, abstract ('up to', over synthetic and public data)",
        unit="percent",
        claim_id="2402.17152/2",
        unless="On the public sets of the README the largest gain is 57 %; the 65.8 % must be of synthetic data.",
        **printed("65.8"),
    ),
    Figure(
        key="supergpqa",
        statement="Accuracy of DeepSeek-R1 on SuperGPQA, the best of all",
        place="arXiv 2502.14739, abstract",
        unit="percent",
        claim_id="2502.14739/2",
        **printed("61.82"),
    ),
)
def tables(db: Warehouse) -> dict[str, float]:
    """Largest numbers of three tables."""
    rows = evaluations(db, "readme_tables")
    mlps = rows.filter(family="mlp").group_by("eval_set").agg(pl.col("value").max())
    best = dict(mlps.iter_rows())
    ndcg = rows.filter(rows["eval_set"].str.contains("ndcg")).pivot("model_name", index="eval_set", values="value")
    gain = (ndcg["HSTU-large"] / ndcg["SASRec"] - 1).to_numpy()
    exam = rows.filter(eval_set="supergpqa:overall_sample")["value"].to_numpy()
    return {
        **{name: 100 * best[name] for name in _MLPS},
        "hstu": float(100 * gain.max()),
        "supergpqa": float(100 * exam.max()),
    }
