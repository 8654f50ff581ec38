"""scalingdb: published scaling-law results in one SQL warehouse, and fits that can be trusted.

>>> import scalingdb as sdb
>>> db = sdb.connect()
>>> fit = sdb.fit(db.points("epoch_chinchilla"), "chinchilla")

Names are imported when they are first used, so that ``import scalingdb`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scalingdb import charts, downstream, law_library, planning, practices, trends, units
    from scalingdb.comparison import Comparison, Comparisons, compare
    from scalingdb.discovery import Discovery, discover
    from scalingdb.errors import DomainWarning, FitWarning, ScalingDBError
    from scalingdb.evidence import arena, replication
    from scalingdb.explorer import Explorer, explore
    from scalingdb.fits import Fit, Fits, JointFit, fit, fit_by
    from scalingdb.forecasts import Forecast, TrackRecord, forecast, track_record
    from scalingdb.judging import holdouts
    from scalingdb.judging.holdouts import Holdout, largest
    from scalingdb.law_library import Law, exponent, get_law, law, laws, pareto_envelope, positive, real
    from scalingdb.magic import load_ipython_extension
    from scalingdb.own_sources import LocalSource, add_source, remove_source
    from scalingdb.planning import Optimum, Plan, Solution, compute_multiplier, crossover, optimise, plan, solve
    from scalingdb.reading import read_runs
    from scalingdb.warehouse import Warehouse, connect

__all__ = [
    "Comparison",
    "Comparisons",
    "Discovery",
    "DomainWarning",
    "Explorer",
    "Fit",
    "FitWarning",
    "Fits",
    "Forecast",
    "Holdout",
    "JointFit",
    "Law",
    "LocalSource",
    "Optimum",
    "Plan",
    "ScalingDBError",
    "Solution",
    "TrackRecord",
    "Warehouse",
    "add_source",
    "arena",
    "charts",
    "compare",
    "compute_multiplier",
    "connect",
    "crossover",
    "discover",
    "downstream",
    "explore",
    "exponent",
    "fit",
    "fit_by",
    "forecast",
    "get_law",
    "holdouts",
    "largest",
    "law",
    "law_library",
    "laws",
    "load_ipython_extension",
    "optimise",
    "pareto_envelope",
    "plan",
    "planning",
    "positive",
    "practices",
    "read_runs",
    "real",
    "remove_source",
    "replication",
    "solve",
    "track_record",
    "trends",
    "units",
]

_HOME = {
    "Comparison": "comparison",
    "Comparisons": "comparison",
    "Discovery": "discovery",
    "DomainWarning": "errors",
    "Explorer": "explorer",
    "Fit": "fits",
    "FitWarning": "errors",
    "Fits": "fits",
    "Forecast": "forecasts",
    "Holdout": "judging.holdouts",
    "JointFit": "fits",
    "Law": "law_library",
    "LocalSource": "own_sources",
    "Optimum": "planning",
    "Plan": "planning",
    "ScalingDBError": "errors",
    "Solution": "planning",
    "TrackRecord": "forecasts",
    "Warehouse": "warehouse",
    "add_source": "own_sources",
    "compare": "comparison",
    "compute_multiplier": "planning",
    "connect": "warehouse",
    "crossover": "planning",
    "explore": "explorer",
    "discover": "discovery",
    "exponent": "law_library",
    "fit": "fits",
    "fit_by": "fits",
    "forecast": "forecasts",
    "get_law": "law_library",
    "largest": "judging.holdouts",
    "law": "law_library",
    "laws": "law_library",
    "load_ipython_extension": "magic",
    "optimise": "planning",
    "pareto_envelope": "law_library",
    "plan": "planning",
    "positive": "law_library",
    "read_runs": "reading",
    "real": "law_library",
    "remove_source": "own_sources",
    "solve": "planning",
    "track_record": "forecasts",
}

_MODULES = {
    "arena": "evidence.arena",
    "charts": "charts",
    "downstream": "downstream",
    "holdouts": "judging.holdouts",
    "law_library": "law_library",
    "planning": "planning",
    "practices": "practices",
    "replication": "evidence.replication",
    "trends": "trends",
    "units": "units",
}
"""Modules that are public names themselves, and where each lives."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"scalingdb.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'scalingdb' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"scalingdb.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
