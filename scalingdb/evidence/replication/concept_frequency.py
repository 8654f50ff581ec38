"""Concept frequency: accuracy of CLIP models is linear in the logarithm of a concept's count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations, pearson

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_MODELS = {"rn50-cc3m": "0.956", "vit-b-16-cc3m": "0.978", "vit-b-32-laion400m": "0.976"}
_PLACE = "earlier recomputation from the curves of the paper's figures (pickles of notebooks/plots)"
_COUNT = "integrated_rampp0.7"


def _correlations(rows: pl.DataFrame) -> dict[str, float]:
    rows = rows.with_columns(x=pl.col("concept_count").log10(), model=pl.col("run_id").str.split("/").list.last())
    parts = rows.group_by("model", maintain_order=True)
    return {str(model): pearson(part["x"], part["value"]) for (model,), part in parts}


@replication(
    *(
        Figure(
            key=model,
            statement=(
                f"Pearson correlation of accuracy with the logarithm of concept frequency over the bins of {model} "
                "(17 data sets, ensembled prompts, concepts counted in text and image)"
            ),
            place=_PLACE,
            origin="own",
            **printed(text),
        )
        for model, text in _MODELS.items()
    ),
    Figure(
        key="least",
        statement="The least of these correlations over all classifiers trained on real images",
        place="arXiv 2404.04125, abstract and figure of the log-linear trends",
        low=0.8,
        why="a straight line that explains less than two thirds of the variance of a curve would be no trend to name",
        claim_id="2404.04125/1",
    ),
    Figure(
        key="synthetic",
        statement="The same correlation for the model trained on 30 million synthetic images",
        place=_PLACE,
        origin="own",
        **printed("0.60"),
    ),
    Figure(
        key="models",
        statement="Models whose curve of scores against frequency is held: ten classifiers and 24 image generators",
        place="arXiv 2404.04125, abstract",
        stated=34,
        unit="count",
        tolerance=0,
        why="a count is exact",
        claim_id="2404.04125/2",
        unless=(
            "The release holds curves of 13 classifiers and 24 generators: two of the classifiers are controls "
            "(synthetic "
            "images, a filtered set), and the paper names ten."
        ),
    ),
)
def log_linear(db: Warehouse) -> dict[str, float]:
    """Correlations over the bins of each curve."""
    rows = evaluations(db, "concept_frequency", f"e.eval_set like 'curve:classification:ensemble:{_COUNT}:%'")
    found = _correlations(rows)
    synthetic = found.pop("vit-b-16-synthci30m")
    models = db.sql(
        "select count(distinct run_id) from evals where source_id = 'concept_frequency' and eval_set like 'curve:%'"
    )
    return {
        **{model: found[model] for model in _MODELS},
        "least": min(found.values()),
        "synthetic": synthetic,
        "models": models.item(),
    }
