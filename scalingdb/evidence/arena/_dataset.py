"""What a data set of the arena is, and the tracks that data sets are ranked in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scalingdb.judging.holdouts import Holdout

__all__ = ["TRACKS", "DataSet"]

TRACKS: dict[str, str] = {
    "surface": "final losses (or checkpoints) over parameters N and tokens D",
    "curve": "one variable: a learning curve, or the best loss at each compute",
    "repeated": "N, D and unique tokens U: data seen several times",
    "architecture": "N, D and something else about the model or its training",
    "score": "a downstream score between 0 and 1, or the loss of the right answer",
}
"""Groups of data sets within which laws are ranked: a law competes only where others take the same inputs."""


@dataclass(frozen=True)
class DataSet:
    """One group of comparable rows: one unit, one evaluation set, one tokenizer.

    Attributes
    ----------
    id, source_id : str
        `source_id` is the unit of the uncertainty of a ranking: data sets of one source are alike.
    track : str
        Of :data:`TRACKS`.
    situation : str
        Where a reader would meet such rows.
    rows : str
        SQL over the views. Columns: ``run_id``, the output, ``scale`` (what an extrapolation is measured
        in), and whichever inputs there are, named as in :data:`scalingdb.evidence.arena._field.COLUMNS`.
    scale : str
        What ``scale`` counts: train compute wherever there is one.
    output : str
        ``loss`` or ``score``.
    what : str
        Unit and evaluation set of the output.
    axes : tuple of str
        Columns along which rows are held out; ``scale`` always, others where they vary enough.
    is_grid : bool
        Whether single runs ended on their own schedule, so that twenty of them are somebody's own grid.
    options : mapping
        For :func:`scalingdb.fit`.
    holdouts : tuple of Holdout
        Further rules of :mod:`sdb.holdouts <scalingdb.judging.holdouts>`, beside the thresholds along `axes`.
    """

    id: str
    source_id: str
    track: str
    situation: str
    rows: str
    what: str
    scale: str = "train compute, FLOP"
    output: str = "loss"
    axes: tuple[str, ...] = ("scale",)
    is_grid: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    holdouts: tuple[Holdout, ...] = ()
