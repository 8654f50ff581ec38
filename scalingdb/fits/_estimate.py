"""The optimum of a problem with how uncertain it is: what everything derived from a fit starts from."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.fits._form import Form
from scalingdb.fits._problem import Problem

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Estimate", "is_on_log_scale", "natural"]

NUDGE = 1e-4
"""Step along a direction that the data do not see, to find out what depends on it."""

NULL_SHARE = 0.01
"""Share of what its components do alone, beyond which a step along such a direction counts."""

ROUNDING = 1e-11
"""Relative change below which a quantity does not change."""

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
    unseen : array (m, K)
        Directions, on the scale of the covariance and with a largest component of one, along which
        the data say nothing.
    """

    problem: Problem
    theta: FloatArray
    objective: float
    covariance: FloatArray
    curvature: FloatArray
    at_bound: Mapping[str, float]
    samples: FloatArray
    unseen: FloatArray

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
        from scalingdb.estimation import uncertainty

        return uncertainty.t_quantile(self.degrees, level)

    @property
    def centre(self) -> FloatArray:
        """Estimates (K,) on the scale of the covariance."""
        return np.asarray(np.where(self.is_log, np.log(np.maximum(self.theta, 1e-300)), self.theta))

    @functools.cached_property
    def standard_errors(self) -> FloatArray:
        """On the scale of the covariance (K,)."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def method(self) -> str:
        """How intervals come about, in words."""
        return f"bootstrap {self.samples.shape[0]}" if self.samples.shape[0] else "robust covariance"

    @functools.cached_property
    def axes(self) -> FloatArray:
        """Axes of the covariance (K, K), one per column, as long as a standard deviation."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def is_open(self, function: Callable[[FloatArray], FloatArray]) -> BoolArray:
        """Whether quantities depend on a direction along which the data say nothing.

        Parameters
        ----------
        function : callable ``(theta (P, K)) -> array (P, ...)``
            Of natural parameters.

        Returns
        -------
        array (...) of bool
        """
        here = np.asarray(function(self.theta[None]), dtype=float)[0]
        is_open = np.zeros(here.shape, dtype=bool)
        for direction in self.unseen:
            alone = np.diag(direction)[np.abs(direction) > NULL_SHARE]
            steps = NUDGE * np.concatenate([direction[None], alone])
            points = natural(self.centre + np.concatenate([steps, -steps]), self.is_log)
            points[:, self.held] = self.theta[self.held]
            with np.errstate(all="ignore"):
                values = np.asarray(function(points), dtype=float)
                change = values[: len(steps)] - values[len(steps) :]
                most = np.sqrt(np.square(change[1:]).sum(0))
                moves = np.abs(change[0]) > NULL_SHARE * most
                is_open |= (moves & (most > ROUNDING * np.abs(here))) | ~np.isfinite(change[0])
        return is_open

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
