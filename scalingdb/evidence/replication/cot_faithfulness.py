"""Whether larger models use their chain of thought less."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_FIGURES = (
    ("r2", "on log10 parameters: R2", 0.451, 5e-4, "dimensionless"),
    ("slope", "on log10 parameters: slope for a decade", 0.220, 5e-4, "fraction"),
    ("r2_accuracy", "on log10 parameters and accuracy: R2", 0.956, 5e-4, "dimensionless"),
    ("slope_accuracy", "on log10 parameters and accuracy: slope for a decade", 0.048, 5e-4, "fraction"),
    ("shrinkage", "fall of the slope when accuracy is added", 78.4, 0.05, "percent"),
)


@replication(
    *(
        Figure(
            key=key,
            statement=f"Share of answers that a chain of thought leaves as they are, 11 models on 5 sets, {what}",
            place="release, regression on its table of 55 rows",
            stated=value,
            unit=unit,
            tolerance=tolerance,
            why="half a unit of the last digit stated",
            origin="release",
        )
        for key, what, value, tolerance, unit in _FIGURES
    ),
    Figure(
        key="n_rows",
        statement="Models times question sets in that regression",
        place="release, regression_table.csv",
        stated=55,
        unit="count",
        tolerance=0,
        why="a count",
        origin="release",
    ),
)
def accuracy_confound(db: Warehouse) -> dict[str, float]:
    """Least squares with and without the accuracy that the model has without a chain."""
    rows = db.sql("""
        select n_params, m.value as chain_match, a.value as acc
        from evals m join evals a on a.run_id = m.run_id and m.eval_set = a.eval_set || ':chain'
            join runs on runs.run_id = m.run_id
        where m.source_id = 'cot_faithfulness' and m.metric = 'chain_match' and a.metric = 'acc'
    """)
    y = rows["chain_match"].to_numpy()

    def regression(*columns: pl.Series) -> tuple[float, float]:
        design = np.column_stack([np.ones(len(y)), *columns])
        coefficients = np.linalg.lstsq(design, y, rcond=None)[0]
        residual, spread = y - design @ coefficients, y - y.mean()
        return float(1 - residual @ residual / (spread @ spread)), float(coefficients[1])

    r2, slope = regression(rows["n_params"].log10())
    r2_accuracy, slope_accuracy = regression(rows["n_params"].log10(), rows["acc"])
    return {
        "r2": r2,
        "slope": slope,
        "r2_accuracy": r2_accuracy,
        "slope_accuracy": slope_accuracy,
        "shrinkage": 100 * (1 - slope_accuracy / slope),
        "n_rows": rows.height,
    }
