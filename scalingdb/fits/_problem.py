"""What is to be solved, as one value: a law's form, an objective, rows and priors."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args

import numpy as np

from scalingdb.errors import DataError, check_seed, check_word
from scalingdb.fits._facts import Recipe, Resampling
from scalingdb.fits._form import Form, evaluate_law, make_form, make_penalty
from scalingdb.fits._rows import Data, IntArray, collect
from scalingdb.notices import notice

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import polars as pl

    from scalingdb.estimation.model import FloatArray, PreparedInputs
    from scalingdb.estimation.objectives import Objective, ObjectiveName
    from scalingdb.estimation.search import Rows
    from scalingdb.estimation.solver import Penalty
    from scalingdb.law_library import Law

__all__ = ["N_STARTS", "Options", "Problem", "check_options", "state_problem"]

N_STARTS = 16
"""Starts that are polished to the end; the search before it looks at several hundred."""

MOST_RESAMPLES = 10_000_000
"""More fill the memory before the first is drawn."""


@dataclass(frozen=True)
class Options:
    """What :func:`fit` was asked for, beside the frame and the law."""

    objective: ObjectiveName = "huber_log"
    delta: float = 1e-3
    bootstrap: int = 0
    by_run: bool = True
    weights: str | Sequence[float] | None = None
    fixed: Mapping[str, float] | None = None
    rng: int = 0
    pool: bool = False
    inputs: Mapping[str, str] | None = None
    output: str | None = None
    n_items: str | None = None
    asymmetry: float = 0.5
    tied: Mapping[str, str] | None = None
    bounds: Mapping[str, tuple[float, float]] | None = None
    priors: Mapping[str, tuple[float, float]] | None = None
    resample: Resampling = "runs"
    n_starts: int = N_STARTS
    search_seed: int | None = None
    executor: Executor | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Options:
        """Those of a fit that was made, but for its weights."""
        names = ("objective", "bootstrap", "by_run", "fixed", "rng", "pool", "output", "n_items", "asymmetry", "tied")
        more = ("priors", "resample", "n_starts", "search_seed", "bounds")
        stated = {name: getattr(recipe, name) for name in (*names, *more)}
        return cls(**stated, delta=recipe.delta or 1e-3, inputs=recipe.columns)


@dataclass(frozen=True, eq=False)
class Problem:
    """A law, an objective, rows and priors: all that an optimum depends on.

    Attributes
    ----------
    form : Form
        The law with its free parameters.
    kind : Objective
    inputs : tuple of arrays (n,)
        In the order of the law's inputs.
    y, weights : arrays (n,)
    clusters : array (n,)
        Number of the run (or other independent unit) of every row.
    priors : mapping
        ``{"E": (mean, sd)}`` of free parameters.
    prior_factor : float
        What one unit of the priors weighs in the objective.
    """

    form: Form
    kind: Objective
    inputs: tuple[FloatArray, ...]
    y: FloatArray
    weights: FloatArray
    clusters: IntArray
    priors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    prior_factor: float = 1.0

    @functools.cached_property
    def penalty(self) -> Penalty | None:
        return make_penalty(self.form, self.priors, self.prior_factor)

    @functools.cached_property
    def prepared(self) -> PreparedInputs:
        """Inputs as the compiled law takes them."""
        return self.form.model.prepare(list(self.inputs), list(self.form.held.values()))

    @property
    def rows(self) -> Rows:
        from scalingdb.estimation.search import Rows

        return Rows(self.inputs, self.y, self.weights)

    @functools.cached_property
    def n_clusters(self) -> int:
        """Independent units among the rows that count."""
        return int(np.unique(self.clusters[self.weights > 0]).size)

    def predict(self, theta: FloatArray) -> FloatArray:
        """Predictions (P, n) at all natural parameters (P, K)."""
        return evaluate_law(self.form.law, theta, list(self.inputs))

    def total(self, theta: FloatArray) -> FloatArray:
        """Objective (P,) at all natural parameters (P, K), priors included."""
        return np.asarray(self.kind.total(self.y, self.predict(theta), self.weights) + self.prior(theta))

    def prior(self, theta: FloatArray) -> FloatArray:
        """Penalty (P,) of the priors at all natural parameters (P, K)."""
        total = np.zeros(theta.shape[0])
        names = list(self.form.law.params)
        for i, mean, sd in self.penalty.priors if self.penalty is not None else ():
            value = theta[:, names.index(self.form.free[i])]
            if self.form.model.is_log[i]:
                value = np.log(np.maximum(value, 1e-300))
            total += 0.5 * self.prior_factor * ((value - mean) / sd) ** 2
        return self.kind.scale * total


def check_options(law: Law, options: Options) -> tuple[Form, Objective]:
    """Refuse what cannot be, before any row is looked at."""
    from scalingdb.estimation import objectives

    kind = objectives.make_objective(options.objective, options.delta, options.asymmetry)
    if not isinstance(options.bootstrap, (int, np.integer)) or not 0 <= options.bootstrap <= MOST_RESAMPLES:
        raise DataError(
            f"bootstrap={options.bootstrap!r:.40} is not a count of resamples",
            f"give a whole number up to {MOST_RESAMPLES:,}, for example 1000; 0 for none.",
        )
    check_word(options.resample, get_args(Resampling), "resample")
    check_seed(options.rng)
    if options.search_seed is not None:
        check_seed(options.search_seed, "search_seed")
    if options.resample in {"residuals", "wild"} and kind.is_likelihood:
        raise DataError("the residuals of a likelihood cannot be put on other rows", 'use resample="runs" or "rows".')
    if not isinstance(options.n_starts, (int, np.integer)) or not 1 <= options.n_starts <= MOST_RESAMPLES:
        raise DataError(f"n_starts={options.n_starts!r:.40} is not a count of starts", "16 is the default.")
    form = make_form(law, options.fixed, options.tied, options.bounds)
    make_penalty(form, options.priors)
    return form, kind


def state_problem(
    frame: pl.DataFrame | pl.LazyFrame, form: Form, kind: Objective, options: Options
) -> tuple[Problem, Data]:
    """Read the rows of a frame, and state what is to be solved."""
    data = collect(frame, form, kind, options)
    for note in data.notes:
        notice(note, once=True)
    weights = data.weights
    if kind.name == "binomial":
        assert data.n_items is not None
        weights = weights * data.n_items
    if kind.name == "beta_binomial":
        kind = replace(kind, n_items=data.n_items)
    return Problem(form, kind, data.inputs, data.y, weights, data.clusters, dict(options.priors or {})), data
