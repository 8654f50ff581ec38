"""Which law predicts the runs it has not seen? Fit on some, judge on others.

`_compare` fits the laws and judges each on the held-out rows, `_pairs` tells differences from noise, `_tables` makes
the frames, `_words` the sentence, `_result` is what a user holds, `_groups` compares in every group. Hold-outs, scores
and resampling are those of :mod:`scalingdb.judging`.
"""

from __future__ import annotations

from scalingdb.comparison._compare import compare
from scalingdb.comparison._groups import Comparisons
from scalingdb.comparison._result import Comparison
from scalingdb.comparison._tables import readable

__all__ = ["Comparison", "Comparisons", "compare", "readable"]
