"""Forecasts beyond the rows at hand, their registration before the outcome is known, and how they have done.

`_forecast` chooses a law by what each missed on the rows' own past and predicts with that error; `_register` keeps a
forecast as a small file; `_record` compares kept forecasts with outcomes, and replays forecasts on published studies
(``replayed.csv``, written by ``benchmarks/forecast_coverage.py --record``).
"""

from __future__ import annotations

from scalingdb._arguments import tell
from scalingdb.forecasts._forecast import Forecast, forecast
from scalingdb.forecasts._record import TrackRecord, track_record

__all__ = ["Forecast", "TrackRecord", "forecast", "track_record"]

tell(globals())
