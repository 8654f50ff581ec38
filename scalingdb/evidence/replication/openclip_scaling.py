"""OpenCLIP: ImageNet error as a power of training compute, for each data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.fits import fit

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SETS = {"clip-wit": ("CLIP-WIT", -0.164, 3), "laion-2b": ("LAION-2B", -0.114, 11)}
_SETS |= {"laion-400m": ("LAION-400M", -0.097, 9), "laion-80m": ("LAION-80M", -0.059, 9)}
_DIGIT = "half a unit of the last digit stated"
_PLACE = "earlier recomputation from zeroshot_results.csv"
_PAPER = "arXiv 2212.07143, figure of ImageNet zero-shot error against training compute"


def _slope(rows: pl.DataFrame) -> float:
    one = fit(rows, "power", objective="mse_log", inputs={"n_tokens": "train_flops"}, output="error", pool=True)
    return -one.params["alpha"]


@replication(
    *(
        Figure(
            key=f"slope.{family}",
            statement=f"Slope of log error on log compute, ImageNet zero-shot, over all models trained on {label}",
            place=_PLACE,
            stated=value,
            tolerance=5e-4,
            why=_DIGIT,
            origin="own",
        )
        for family, (label, value, _) in _SETS.items()
    ),
    *(
        Figure(
            key=f"models.{family}",
            statement=f"Models trained on {label}",
            place=_PLACE,
            stated=count,
            unit="count",
            tolerance=0,
            why="a count is exact",
            origin="own",
        )
        for family, (label, _, count) in _SETS.items()
    ),
    Figure(
        key="front.clip-wit",
        statement="Exponent of ImageNet zero-shot error in compute along the Pareto front, OpenAI's models on CLIP-WIT",
        place=_PAPER,
        stated=-0.16,
        tolerance=5e-3,
        why=_DIGIT,
    ),
    Figure(
        key="front.laion",
        statement="Exponent of ImageNet zero-shot error in compute along the Pareto front, models on LAION",
        place=_PAPER,
        stated=-0.11,
        tolerance=5e-3,
        why=_DIGIT,
        choice=(
            "The front of the LAION-2B models; compute in FLOP, twice the paper's multiply-accumulates, "
            "has the same slope."
        ),
    ),
)
def imagenet(db: Warehouse) -> dict[str, float]:
    """Least squares of logarithms over final models, and over those that no cheaper model beats."""
    rows = db.sql("""
        select r.run_id, r.family, r.train_flops, 1 - e.value as error from evals e join runs r using (run_id)
        where e.source_id = 'openclip_scaling' and e.metric = 'acc' and e.eval_set = 'imagenet1k' and e.step is null
            and e.flag is null
        order by r.train_flops
    """)
    front = rows.filter(pl.col("error") <= pl.col("error").cum_min().over("family"))
    found: dict[str, float] = {}
    for family in _SETS:
        found[f"slope.{family}"] = _slope(rows.filter(family=family))
        found[f"models.{family}"] = rows.filter(family=family).height
    return found | {
        "front.clip-wit": _slope(front.filter(family="clip-wit")),
        "front.laion": _slope(front.filter(family="laion-2b")),
    }
