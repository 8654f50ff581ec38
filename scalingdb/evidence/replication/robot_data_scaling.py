"""Imitation learning: power laws in environments and objects, and what more demonstrations add."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._printed import printed
from scalingdb.evidence.replication._rows import evaluations, pearson
from scalingdb.fits import fit

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SERIES = {
    "mouse_objects": ("mouse_arrangement-objects", "0.8263", "0.6971", "-0.991"),
    "mouse_environments": ("mouse_arrangement-environments", "0.8268", "0.4661", "-0.966"),
    "mouse_pairs": ("mouse_arrangement-environment_object_pairs", "1.2627", "0.6831", "-0.942"),
    "pour_environments": ("pour_water-environments", "1.1798", "0.8440", "-0.960"),
}
_OWN = "earlier recomputation from the scores of appendix G.3"
_TASKS = {"pour_water": "-0.62", "mouse_arrangement": "-0.79"}


@replication(
    *(
        Figure(
            key=f"{name}.{param}",
            statement=(
                f"1 - score = A x^-alpha over six policies with all demonstrations, {name.replace('_', ', ')}: {param}"
            ),
            place=_OWN,
            origin="own",
            **printed(text),
        )
        for name, (_, *texts) in _SERIES.items()
        for param, text in zip(("A", "alpha", "r"), texts, strict=True)
    ),
    Figure(
        key="weakest",
        statement="Weakest of these four correlations of log(1 - score) with log x",
        place="arXiv 2410.18647, abstract",
        high=-0.9,
        why="'roughly a power law': a line in logarithms explains four fifths of the variance",
        claim_id="2410.18647/1",
    ),
    *(
        Figure(
            key=f"{task}.demonstrations",
            statement=(
                f"Correlation of log(1 - score) with the logarithm of the demonstrations, {task.replace('_', ' ')}"
            ),
            place="arXiv 2410.18647, section on the number of demonstrations",
            unless="" if task == "pour_water" else "The transcribed scores give -0.797, which rounds to -0.80.",
            **printed(text),
        )
        for task, text in _TASKS.items()
    ),
    *(
        Figure(
            key=f"{task}.threshold",
            statement=f"Score at 6,400 demonstrations minus that at 800, {task.replace('_', ' ')}",
            place="arXiv 2410.18647, abstract",
            high=0.05,
            unit="fraction",
            why="'hardly help': less than the step of one trial in ten",
            claim_id="2410.18647/2",
        )
        for task in _TASKS
    ),
)
def power_laws(db: Warehouse) -> dict[str, float]:
    """Six policies for each law, eight for the number of demonstrations."""
    rows = evaluations(db, "robot_data_scaling")
    found: dict[str, float] = {}
    for name, (family, *_) in _SERIES.items():
        series = rows.filter(family=family, data_fraction=1.0).select(
            n_environments="n_groups", error=1 - pl.col("value")
        )
        one = fit(series, "normalised_power", objective="mse_log", output="error")
        found |= {f"{name}.{param}": one.params[param] for param in ("A", "alpha")}
        found[f"{name}.r"] = pearson(series["n_environments"].log(), series["error"].log())
    found["weakest"] = max(found[f"{name}.r"] for name in _SERIES)
    for task in _TASKS:
        series = rows.filter(family=f"{task}-demonstrations").sort("n_datapoints")
        found[f"{task}.demonstrations"] = pearson(series["n_datapoints"].log(), (1 - series["value"]).log())
        by_number = dict(series.select("n_datapoints", "value").iter_rows())
        found[f"{task}.threshold"] = by_number[6400] - by_number[800]
    return found
