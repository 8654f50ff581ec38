"""The optimum of a problem with how uncertain it is: what everything derived from a fit starts from."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.fits._form import Form
from scalingdb.fits._problem import Problem

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Estimate", "is_on_log_scale", "natural"]

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]


def is_on_log_scale(form: Form) -> tuple[str, ...]:
    """Parameters of the law whose covariance is that of their logarithm."""
    names = []
    for name, param in form.law.params.items():
        source = form.tied.get(name, name)
        if source in form.free:
            is_log = bool(form.model.is_log[form.free.index(source)])
        else:
            is_log = param.low == 0.0 and param.high == float("inf")
        if is_log:
            names.append(name)
    return tuple(names)


def natural(points: FloatArray, is_log: BoolArray) -> FloatArray:
    """Parameters from the scale of the covariance: logarithms of scales."""
    with np.errstate(over="ignore"):
        return np.asarray(np.where(is_log, np.exp(np.where(is_log, points, 0.0)), points))


@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates and their uncertainty.

    Attributes
    ----------
    problem : Problem
    theta : array (K,)
        All parameters of the law, in natural units.
    objective : float
    covariance, curvature : arrays (K, K)
        Robust covariance, and inverse curvature of the objective; of logarithms for scales, zero
        for parameters that are fixed or at a bound.
    at_bound : mapping
        Free parameters that ended on a bound, with the bound.
    samples : array (B, K)
        Bootstrap estimates in natural units; empty without a bootstrap.
    """

    problem: Problem
    theta: FloatArray
    objective: float
    covariance: FloatArray
    curvature: FloatArray
    at_bound: Mapping[str, float]
    samples: FloatArray

    @property
    def names(self) -> list[str]:
        return list(self.problem.form.law.params)

    @functools.cached_property
    def is_log(self) -> BoolArray:
        on_log_scale = is_on_log_scale(self.problem.form)
        return np.array([name in on_log_scale for name in self.names])

    def _is_among(self, names: Mapping[str, float] | set[str]) -> BoolArray:
        tied = self.problem.form.tied
        return np.array([tied.get(name, name) in names for name in self.names])

    @property
    def fixed(self) -> BoolArray:
        """Parameters (K,) that were not fitted."""
        return self._is_among(self.problem.form.held)

    @property
    def held(self) -> BoolArray:
        """Parameters (K,) that the covariance says nothing about: fixed, or at a bound."""
        return self._is_among({*self.problem.form.held, *self.at_bound})

    @property
    def n_free(self) -> int:
        """Parameters that the rows had to fix: tied ones count once, those at a bound not at all."""
        return len(set(self.problem.form.free) - set(self.at_bound))

    @property
    def degrees(self) -> int:
        """Degrees of freedom of the scatter: independent runs less free parameters, at least one."""
        return max(self.problem.n_clusters - self.n_free, 1)

    def t_quantile(self, level: float) -> float:
        """Half-width of an interval in standard errors."""
        from scipy.special import stdtrit  # scipy.stats takes a second to import

        return float(stdtrit(self.degrees, 0.5 + level / 2))

    @property
    def centre(self) -> FloatArray:
        """Estimates (K,) on the scale of the covariance."""
        return np.asarray(np.where(self.is_log, np.log(np.maximum(self.theta, 1e-300)), self.theta))

    @functools.cached_property
    def standard_errors(self) -> FloatArray:
        """On the scale of the covariance (K,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @functools.cached_property
    def axes(self) -> FloatArray:
        """Axes of the covariance (K, K), one per column, as long as a standard deviation."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def scores(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Draws (count, K) along the axes, in standard deviations.

        With few runs the covariance is itself uncertain, so draws have the tails of Student's t.
        """
        widen = np.sqrt(self.degrees / generator.chisquare(self.degrees, (count, 1)))
        return np.asarray(widen * generator.standard_normal((count, self.theta.size)))

    def deviations(self, generator: np.random.Generator, count: int = 1000) -> FloatArray:
        """Draws (count, K) from the covariance, around zero."""
        return self.scores(generator, count) @ self.axes.T

    def finite_samples(self) -> FloatArray:
        """Bootstrap estimates of the resamples that converged."""
        return self.samples[np.isfinite(self.samples).all(1)]
