"""Pearce and Song: Kaplan's exponent follows from Chinchilla's law when embeddings are not counted."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from scalingdb.errors import DomainWarning
from scalingdb.evidence.refits import all_refits, refit
from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.law_library import get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_OTHER_SHAPES = (
    "The paper's factor is 32,000 x (39.2 / 12)^(1/3), the vocabulary times the width of a model of one ratio of width "
    "to depth; it is not fitted. The fifty models of its script have other shapes: the factor that each implies runs "
    "from 46,484 to 65,761, so that the paper's lies at the lower end."
)


@replication(
    Figure(
        key="factor",
        statement="Total and non-embedding parameters of Chinchilla's models, N_T = N_E + factor N_E^(1/3): factor",
        place="main text and script",
        stated=47_491,
        unit="parameters^(2/3)",
        tolerance=0.5,
        why="half a unit of the last printed digit",
        claim_id="2406.12907/embedding_bridge",
        unless=_OTHER_SHAPES,
    ),
    Figure(
        key="factor_of_one_shape",
        statement="The same factor for models 39.2 times as wide as deep and a vocabulary of 32,000",
        place="script (comment beside the constant)",
        stated=47_491,
        unit="parameters^(2/3)",
        tolerance=61,
        why="the ratio 39.2 is known to half a unit of its last digit, a third of which in the factor is 0.13 percent",
        origin="release",
    ),
    Figure(
        key="factor_fitted",
        statement="The same factor, the best single one for the fifty models (least squares of log N_T)",
        place="script (curve that is switched off)",
        stated=52_960,
        unit="parameters^(2/3)",
        tolerance=0.5,
        why="half a unit of the last printed digit",
        origin="release",
        choice="squares of log N_T are minimised; the script does not say how its 52960 came about",
    ),
    *(
        Figure(
            key=f"factor_{name}",
            statement=f"The factor that each of the fifty models implies: {what}",
            place="earlier recomputation from the released list of models",
            stated=value,
            unit="parameters^(2/3)",
            tolerance=0.5,
            why="half a unit of the last digit stated",
            origin="own",
        )
        for name, what, value in (
            ("mean", "mean", 57_148),
            ("least", "smallest", 46_484),
            ("largest", "largest", 65_761),
        )
    ),
    Figure(
        key="n_models",
        statement="Chinchilla models in the list of the script",
        place="script",
        stated=50,
        unit="count",
        tolerance=0,
        why="a count",
        origin="release",
    ),
)
def embedding_bridge(db: Warehouse) -> dict[str, float]:
    """The factor from the fifty models, and from the one shape that the paper assumes."""
    one = next(one for one in all_refits() if one.law == "kaplan_chinchilla_map")
    found, _ = refit(db, one)
    models = db.sql(one.rows)
    total, body = models["n_params"].to_numpy(), models["n_params_non_embedding"].to_numpy()
    implied = (total - body) / np.cbrt(body)
    return {
        "factor": found.params["g"],
        "factor_fitted": found.params["g"],
        "factor_of_one_shape": 32_000 * (39.2 / 12) ** (1 / 3),
        "factor_mean": float(implied.mean()),
        "factor_least": float(implied.min()),
        "factor_largest": float(implied.max()),
        "n_models": models.height,
    }


def _frontier(variant: str, *, counts_embeddings: bool) -> tuple[float, float]:
    """Exponents in compute of the best of twenty sizes, and of its loss, at a hundred budgets."""
    law, total_of = get_law("chinchilla"), get_law("kaplan_chinchilla_map")
    body = np.logspace(2.9, 9.2, 20)  # Kaplan's range of sizes
    total = np.asarray(total_of(body))
    size = total if counts_embeddings else body
    budgets = np.logspace(13.4 if counts_embeddings else 12.95, 20.7, 100)
    tokens = budgets[:, None] / (6 * size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DomainWarning)  # to extrapolate to Kaplan's sizes is the paper's point
        losses = np.asarray(law(np.broadcast_to(total, tokens.shape), tokens, variant=variant))
    best = losses.argmin(axis=1)
    x = np.log(budgets)
    return (
        float(np.polyfit(x, np.log(size[best]), 1)[0]),
        float(np.polyfit(x, np.log(losses.min(axis=1)), 1)[0]),
    )


@replication(
    Figure(
        key="local",
        statement=(
            "Chinchilla's law in Kaplan's counts (no embeddings in N and C) and range: exponent of optimal N in compute"
        ),
        place="main text",
        low=0.74,
        high=0.78,
        why="the range that the paper prints; ours uses the coefficients of the replication, which the paper prefers",
        claim_id="2406.12907/local_exponent",
    ),
    Figure(
        key="local_printed",
        statement="The same exponent with the replication's coefficients, to two digits",
        place="abstract and legend of the figure",
        stated=0.78,
        tolerance=0.005,
        why="half a unit of the last printed digit",
    ),
    Figure(
        key="local_epoch",
        statement="The same exponent with the replication's coefficients",
        place="earlier recomputation from the released script",
        stated=0.775,
        tolerance=5e-4,
        why="half a unit of the last digit stated",
        origin="own",
    ),
    Figure(
        key="local_hoffmann",
        statement="The same exponent with Hoffmann's coefficients (unrounded, from the TeX source)",
        place="earlier recomputation from the released script",
        stated=0.741,
        tolerance=5e-4,
        why="half a unit of the last digit stated",
        origin="own",
    ),
    Figure(
        key="loss_epoch",
        statement="Exponent of the least loss in compute, counted as above, with the replication's coefficients",
        place="earlier recomputation from the released script",
        stated=-0.069,
        tolerance=5e-4,
        why="half a unit of the last digit stated",
        origin="own",
    ),
    Figure(
        key="total_epoch",
        statement="Exponent of optimal total N in compute, embeddings counted, with the replication's coefficients",
        place="earlier recomputation from the released script",
        stated=0.51,
        tolerance=0.005,
        why="half a unit of the last digit stated",
        origin="own",
    ),
    Figure(
        key="total_hoffmann",
        statement="Exponent of optimal total N in compute, embeddings counted, with Hoffmann's coefficients",
        place="earlier recomputation from the released script",
        stated=0.458,
        tolerance=1e-3,
        why="twenty sizes are a coarse grid: how a tie between neighbours falls moves the third digit",
        origin="own",
    ),
    Figure(
        key="kaplan",
        statement="Kaplan's exponent of optimal N in compute, explained by counting alone: ours minus Kaplan's 0.73",
        place="abstract",
        low=0.0,
        high=0.05,
        why="the paper reads 0.74 to 0.78 as close to 0.73; without the change of counting the difference is -0.22",
        claim_id="2406.12907/kaplan_exponent",
    ),
)
def local_exponents(db: Warehouse) -> dict[str, float]:
    """The script's procedure: the best of twenty sizes at each of a hundred budgets, then a line."""
    local, loss = _frontier("epoch", counts_embeddings=False)
    claims = dict(db.sql("select claim_id, value from claims where source_id = 'pearce_reconcile'").rows())
    return {
        **dict.fromkeys(("local", "local_printed", "local_epoch"), local),
        "local_hoffmann": _frontier("hoffmann_tex", counts_embeddings=False)[0],
        "loss_epoch": loss,
        "total_epoch": _frontier("epoch", counts_embeddings=True)[0],
        "total_hoffmann": _frontier("hoffmann_tex", counts_embeddings=True)[0],
        "kaplan": local - claims["2406.12907/kaplan_exponent"],
    }
