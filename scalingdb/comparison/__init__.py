"""Which law predicts the runs it has not seen? Fit on some, judge on others.

`_compare` fits the laws and asks each about the held-out rows, `_scores` judges predictions with
their intervals, `_bootstrap` tells differences from noise, `_tables` makes the frames, `_result` is
what a user holds. The hold-outs themselves stand in :mod:`scalingdb.holdouts`.
"""

from __future__ import annotations

from scalingdb.comparison._compare import compare
from scalingdb.comparison._result import Comparison
from scalingdb.comparison._tables import readable
from scalingdb.holdouts import Holdout, largest

__all__ = ["Comparison", "Holdout", "compare", "largest", "readable"]
