"""What a fit minimises: a sum over the rows of a loss of the residual.

Names end in ``_log`` where the residual is ``ln y - ln prediction``; it is ``y - prediction``
otherwise. All objectives are *sums*: averaged, a Huber loss of delta 1e-3 falls under the absolute
tolerances of common optimisers, which then stop early (arXiv:2404.10102, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scalingdb.errors import DataError, unknown_name
from scalingdb.estimation.model import FloatArray

__all__ = ["OBJECTIVES", "Objective", "make_objective"]

OBJECTIVES: dict[str, str] = {
    "huber_log": "Huber loss of log residuals: squares within delta, absolute values beyond",
    "mse_log": "squared log residuals",
    "mae_log": "absolute log residuals",
    "huber": "Huber loss of residuals in the unit of the data",
    "mse": "squared residuals in the unit of the data",
    "mae": "absolute residuals in the unit of the data",
}


@dataclass(frozen=True)
class Objective:
    """A named objective.

    Attributes
    ----------
    name : str
        One of :data:`OBJECTIVES`.
    delta : float
        Where the Huber loss turns from square to straight, in the residual's own scale.
        ``inf`` for squares; absolute values are approached by a shrinking delta (see the solver).
    scale : float
        Factor on the loss: squares are reported without the Huber loss's one half, and absolute
        values without its delta.
    """

    name: str
    delta: float
    scale: float = 1.0

    @property
    def is_log(self) -> bool:
        """Whether residuals are taken in logarithms."""
        return self.name.endswith("_log")

    @property
    def is_absolute(self) -> bool:
        """Whether the loss is the absolute value, which has no second derivative to use."""
        return self.name in {"mae", "mae_log"}

    def residual(self, y: FloatArray, prediction: FloatArray) -> FloatArray:
        """Residuals; ``nan`` where a logarithm does not exist."""
        if self.is_log:
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.asarray(np.log(y) - np.log(prediction))
        return np.asarray(y - prediction)

    def value(self, residual: FloatArray, weights: FloatArray) -> FloatArray:
        """Weighted sum over the last axis, as reported to the user."""
        if self.is_absolute:
            return np.asarray((weights * np.abs(residual)).sum(-1))
        clipped = np.clip(residual, -self.delta, self.delta)
        return np.asarray(self.scale * (weights * clipped * (residual - 0.5 * clipped)).sum(-1))


def make_objective(name: str, delta: float = 1e-3) -> Objective:
    """The objective called `name`.

    Raises
    ------
    UnknownNameError
        For a name that is not in :data:`OBJECTIVES`.
    DataError
        If `delta` is not a positive number.
    """
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    if name.startswith("huber"):
        if not (np.isfinite(delta) and delta > 0):
            raise DataError(f"delta={delta!r} is not a positive number", "the field's usual choice is delta=1e-3.")
        return Objective(name, float(delta))
    return Objective(name, float("inf"), 2.0)
