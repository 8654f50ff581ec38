"""Pre-training under infinite compute, on the task side: overfitting, regularisation and ensembles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ABSTRACT = "arXiv 2509.14786, abstract"


@replication(
    Figure(
        key="overfitting",
        statement=(
            "300M model, mean accuracy of three tasks after 128 epochs minus that after the best number, plain decay"
        ),
        place=_ABSTRACT,
        high=-0.01,
        unit="fraction",
        why="'eventually overfits': a point lower than at its best; items of the three tasks leave half a point",
        claim_id="2509.14786/2",
    ),
    Figure(
        key="regularised",
        statement="Best mean accuracy with a weight decay of 1.6 minus the best with 0.1",
        place=_ABSTRACT,
        low=0.01,
        unit="fraction",
        why="better by more than twice the half point of sampling",
        claim_id="2509.14786/3",
    ),
    Figure(
        key="ensembles",
        statement="Least gain in mean accuracy of five members over one, over four sizes",
        place=_ABSTRACT,
        low=0.01,
        unit="fraction",
        why="better at every size, by more than twice the half point of sampling",
        claim_id="2509.14786/4",
    ),
)
def accuracy(db: Warehouse) -> dict[str, float]:
    """Means over ARC-easy, PIQA and SciQ."""
    rows = evaluations(db, "infinite_compute")
    keys = ("family", "n_params", "n_epochs", "n_streams")
    means = rows.group_by(*keys).agg(pl.col("value").mean())
    plain = dict(means.filter(family="plain").select("n_epochs", "value").iter_rows())
    regular = dict(means.filter(family="regularised").select("n_epochs", "value").iter_rows())
    ensembles = means.filter(family="ensemble").pivot("n_streams", index=["n_params", "n_epochs"], values="value")
    gains = (ensembles["5.0"] - ensembles["1.0"]).drop_nulls()
    return {
        "overfitting": plain[128.0] - max(plain.values()),
        "regularised": max(regular.values()) - max(plain.values()),
        "ensembles": float(gains.to_numpy().min()),
    }
