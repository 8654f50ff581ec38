"""What a fit minimises: a sum over the rows of a loss of what was observed and what is predicted.

Two families. *Losses of a residual*, which is ``ln y - ln prediction`` where :attr:`Form.is_log` says so and
``y - prediction`` otherwise. *Likelihoods of a score*: ``binomial`` and ``beta_binomial`` take a share of right
answers and the number of items behind it.

All objectives are *sums*: averaged, a Huber loss of delta 1e-3 falls under the absolute tolerances
of common optimisers, which then stop early (arXiv:2404.10102, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scalingdb.errors import DataError, unknown_name
from scalingdb.estimation.model import FloatArray

__all__ = ["OBJECTIVES", "Form", "LossName", "Objective", "ObjectiveName", "RowLoss", "make_objective"]

ObjectiveName = Literal["huber_log", "mse_log", "mae_log", "huber", "mse", "mae", "binomial", "beta_binomial"]

LossName = Literal["huber", "squared", "absolute", "binomial", "beta_binomial"]


@dataclass(frozen=True)
class Form:
    """What an objective sums over the rows.

    Attributes
    ----------
    loss : {"huber", "squared", "absolute", "binomial", "beta_binomial"}
    is_log : bool
        Whether residuals are taken in logarithms.
    """

    loss: LossName
    is_log: bool = False


OBJECTIVES: dict[ObjectiveName, Form] = {
    "huber_log": Form("huber", is_log=True),  # squares within delta, absolute values beyond
    "mse_log": Form("squared", is_log=True),
    "mae_log": Form("absolute", is_log=True),
    "huber": Form("huber"),  # in the unit of the data, as the next two
    "mse": Form("squared"),
    "mae": Form("absolute"),
    "binomial": Form("binomial"),  # deviance of shares of right answers, each of n_items independent items
    "beta_binomial": Form("beta_binomial"),  # the same for shares that scatter more than that
}


@dataclass(frozen=True)
class RowLoss:
    """Loss of every row (P, n) and its derivatives by the prediction.

    Attributes
    ----------
    loss, first, second : arrays (P, n)
    majoriser : array (P, n)
        Not negative: the curvature of a bound (reweighted least squares, expected information).
    """

    loss: FloatArray
    first: FloatArray
    second: FloatArray
    majoriser: FloatArray


@dataclass(frozen=True, eq=False)
class Objective:
    """A named objective.

    Attributes
    ----------
    name : str
        One of :data:`OBJECTIVES`.
    delta : float
        Huber threshold (quadratic to linear), in the residual's own scale.
        ``inf`` for squares; absolute values are approached by a shrinking delta (see the solver).
    scale : float
        Reported value over the solver's own: squares are reported without the Huber loss's one
        half, likelihoods as deviances.
    asymmetry : float
        Between 0 and 1: weight of rows above the law against rows below it. 0.5 is symmetric;
        absolute values at 0.1 follow the lower tenth, an envelope.
    n_items : array (n,), optional
        Items behind every score (beta-binomial only; a binomial has them in its weights).
    dispersion : float
        Correlation of the items of one score (beta-binomial only); 0 is the binomial.
    """

    name: ObjectiveName
    delta: float
    scale: float = 1.0
    asymmetry: float = 0.5
    n_items: FloatArray | None = None
    dispersion: float = 0.0

    @property
    def loss(self) -> LossName:
        """What is summed over the rows."""
        return OBJECTIVES[self.name].loss

    @property
    def is_log(self) -> bool:
        """Whether residuals are taken in logarithms."""
        return OBJECTIVES[self.name].is_log

    @property
    def is_absolute(self) -> bool:
        """Whether the loss is the absolute value, which has no second derivative to use."""
        return self.loss == "absolute"

    @property
    def is_likelihood(self) -> bool:
        """Whether it is the likelihood of a score with a known number of items."""
        return self.loss in {"binomial", "beta_binomial"}

    def residual(self, y: FloatArray, prediction: FloatArray) -> FloatArray:
        """Residuals (observed minus predicted, or their logarithms); ``nan`` where one does not exist."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.observed(y) - (np.log(prediction) if self.is_log else prediction))

    def observed(self, y: FloatArray) -> FloatArray:
        """What residuals are taken from: the observations or their logarithms."""
        return np.log(y) if self.is_log else y

    def total(self, y: FloatArray, prediction: FloatArray, weights: FloatArray) -> FloatArray:
        """Weighted sum over the last axis, as reported to the user."""
        with np.errstate(all="ignore"):
            if self.is_likelihood:
                return np.asarray(self.scale * (weights * self._likelihood(y, prediction).loss).sum(-1))
            residual = self.residual(y, prediction)
            side = self._side(residual)
            if self.is_absolute:
                return np.asarray((weights * side * np.abs(residual)).sum(-1))
            clipped = np.clip(residual, -self.delta, self.delta)
            return np.asarray(self.scale * (weights * side * clipped * (residual - 0.5 * clipped)).sum(-1))

    def _side(self, residual: FloatArray) -> FloatArray | float:
        if self.asymmetry == 0.5:
            return 1.0
        return np.where(residual > 0, 2 * self.asymmetry, 2 * (1 - self.asymmetry))

    def rows(
        self,
        y: FloatArray,
        prediction: FloatArray,
        delta: float | FloatArray | None = None,
        observed: FloatArray | None = None,
    ) -> RowLoss:
        """Loss of every row and its derivatives by the prediction, without weights.

        Parameters
        ----------
        y, prediction : arrays that broadcast to (P, n)
        delta : float or array (P, 1), optional
            In place of the objective's own: absolute values are a limit of Huber losses.
        observed : array like `y`, optional
            :meth:`observed` of `y`, if it is known: a solver asks many times about the same rows.
        """
        if self.is_likelihood:
            return self._likelihood(y, prediction)
        width = self.delta if delta is None else delta
        residual = np.log(prediction) if self.is_log else prediction
        residual = np.subtract(self.observed(y) if observed is None else observed, residual)
        if np.isfinite(width).all():
            psi = np.clip(residual, -width, width)
            inside = np.equal(psi, residual).astype(float)
            # reweighted least squares: psi(r) / r, which is 1 inside and falls off beyond delta
            majoriser = width / np.clip(np.abs(residual), width, None)
        else:
            psi = residual
            inside = majoriser = np.ones_like(residual)
        loss = psi * (residual - 0.5 * psi)
        if self.asymmetry != 0.5:
            side = self._side(residual)
            psi, loss, inside, majoriser = psi * side, loss * side, inside * side, majoriser * side
        if not self.is_log:
            return RowLoss(loss, -psi, inside, majoriser)
        slope = 1.0 / prediction
        square = slope * slope
        # the second derivative of -ln f adds psi to psi'
        return RowLoss(loss, -psi * slope, (inside + psi) * square, majoriser * square)

    def _likelihood(self, y: FloatArray, prediction: FloatArray) -> RowLoss:
        p, q = prediction, 1.0 - prediction
        if self.name == "binomial" or self.dispersion <= 0:
            from scipy.special import xlogy

            outside = (p <= 0) | (q <= 0)
            counts = 1.0 if self.n_items is None else self.n_items
            loss = counts * (xlogy(y, y / p) + xlogy(1 - y, (1 - y) / q))
            if self.n_items is not None:  # the limit of the beta-binomial, not a deviance
                loss = loss - self._saturated(y)
            loss = np.where(outside, np.nan, loss)
            first = counts * (p - y) / (p * q)
            second = counts * (y / p**2 + (1 - y) / q**2)
            return RowLoss(loss, first, second, counts / (p * q))
        from scipy.special import betaln, psi, zeta

        assert self.n_items is not None
        n = self.n_items
        strength = (1 - self.dispersion) / self.dispersion
        k = y * n
        a, b = p * strength, q * strength
        inside = (p > 0) & (q > 0)
        a, b = np.where(inside, a, np.nan), np.where(inside, b, np.nan)
        loss = betaln(a, b) - betaln(k + a, n - k + b) - self._ways(y)
        first = -strength * (psi(k + a) - psi(n - k + b) - psi(a) + psi(b))
        trigamma = [zeta(2.0, part) for part in (k + a, n - k + b, a, b)]
        second = -(strength**2) * (trigamma[0] + trigamma[1] - trigamma[2] - trigamma[3])
        expected = n / (p * q * (1 + (n - 1) * self.dispersion))
        return RowLoss(loss, first, second, np.maximum(second, expected))

    def _ways(self, y: FloatArray) -> FloatArray:
        """Logarithm of the number of ways to get a score: the part of a likelihood that no law moves."""
        from scipy.special import gammaln

        assert self.n_items is not None
        k = y * self.n_items
        return np.asarray(gammaln(self.n_items + 1) - gammaln(k + 1) - gammaln(self.n_items - k + 1))

    def _saturated(self, y: FloatArray) -> FloatArray:
        """Log likelihood of a binomial that predicts every score exactly."""
        from scipy.special import xlogy

        return np.asarray(self._ways(y) + self.n_items * (xlogy(y, y) + xlogy(1 - y, 1 - y)))

    def of_rows(self, kept: Any) -> Objective:
        """The same objective for some of the rows."""
        return self if self.n_items is None else replace(self, n_items=self.n_items[kept])

    def with_dispersion(self, dispersion: float) -> Objective:
        """The same objective with another correlation of items."""
        return replace(self, dispersion=float(dispersion))


def make_objective(
    name: ObjectiveName, delta: float = 1e-3, asymmetry: float = 0.5, n_items: FloatArray | None = None
) -> Objective:
    """The objective called `name`.

    Raises
    ------
    UnknownNameError
        For a name that is not in :data:`OBJECTIVES`.
    DataError
        If `delta` is not a positive number, or `asymmetry` not between 0 and 1.
    """
    if name not in OBJECTIVES:
        raise unknown_name("objective", name, OBJECTIVES)
    if not 0 < asymmetry < 1:
        raise DataError(f"asymmetry={asymmetry!r} is not between 0 and 1", "0.5 is symmetric; 0.1 follows low losses.")
    loss = OBJECTIVES[name].loss
    if loss in {"binomial", "beta_binomial"}:
        if asymmetry != 0.5:
            raise DataError(f"objective {name!r} is a likelihood: it has no asymmetry")
        return Objective(name, float("inf"), 2.0, n_items=n_items if name == "beta_binomial" else None)
    if loss == "huber":
        if not (np.isfinite(delta) and delta > 0):
            raise DataError(f"delta={delta!r} is not a positive number", "the field's usual choice is delta=1e-3.")
        return Objective(name, float(delta), asymmetry=float(asymmetry))
    return Objective(name, float("inf"), 2.0, asymmetry=float(asymmetry))
