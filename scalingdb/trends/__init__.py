"""Does a task get worse with scale, and does it turn? Labels for trends, with error rates that were measured.

>>> import polars as pl
>>> import scalingdb as sdb
>>> sdb.trends.classify(pl.read_csv("mine.csv"), x="n_params", y="value")  # doctest: +SKIP
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.trends._classify import LABELS, classify, curves
from scalingdb.trends._fronts import front_band, pareto_front
from scalingdb.trends._reading import flags, reducible, regime, theoretical_rates
from scalingdb.trends._scan import scan, task_series
from scalingdb.trends._studies import before_the_turn, by_difficulty, compare_metrics, given, items, surface

__all__ = [
    "LABELS",
    "before_the_turn",
    "by_difficulty",
    "classify",
    "compare_metrics",
    "curves",
    "flags",
    "front_band",
    "given",
    "items",
    "pareto_front",
    "reducible",
    "regime",
    "scan",
    "surface",
    "task_series",
    "theoretical_rates",
]

tell(globals())
