"""The arena: every law on every data set that has its inputs, with the same hold-outs.

`_sets` declares the data sets (`_dataset` says what one is, `_queries` holds SQL that they share), `_cuts`
the hold-outs and bands of distance, `_field` who competes; `_cells` fits a law to a data set and scores it,
`_store` keeps the cells and knows which are stale; `_table` hands them out, `_contests` pairs them up,
`_standings` ranks, `_advice` names a law for a situation. ``scalingdb compare --all`` prints the
leaderboard, ``python -m scalingdb.evidence.arena`` recomputes all of it.
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.evidence.arena._advice import SITUATIONS, Advice, recommend
from scalingdb.evidence.arena._contests import SAME_CURVE
from scalingdb.evidence.arena._cuts import BANDS
from scalingdb.evidence.arena._dataset import TRACKS, DataSet
from scalingdb.evidence.arena._field import BASELINES
from scalingdb.evidence.arena._sets import DATA_SETS, data_sets
from scalingdb.evidence.arena._standings import (
    absent,
    by_distance,
    calibration,
    failures,
    head_to_head,
    leaderboard,
    matrix,
    worst,
)
from scalingdb.evidence.arena._store import run
from scalingdb.evidence.arena._table import cells, with_groups

__all__ = [
    "BANDS",
    "BASELINES",
    "DATA_SETS",
    "SAME_CURVE",
    "SITUATIONS",
    "TRACKS",
    "Advice",
    "DataSet",
    "absent",
    "by_distance",
    "calibration",
    "cells",
    "data_sets",
    "failures",
    "head_to_head",
    "leaderboard",
    "matrix",
    "recommend",
    "run",
    "with_groups",
    "worst",
]

tell(globals())
