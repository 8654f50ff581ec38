"""Curves from a loss (or a compute) to a score, fitted by least squares, with errors clustered by run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import FloatArray, result_table
from scalingdb.downstream._refits import Curve, Draws, Refits, prediction_interval
from scalingdb.errors import FitError, check_level, check_seed, unknown_name
from scalingdb.law_library import get_law

__all__ = ["LINKS", "Link", "fit_link"]

AT_BOUND = 1e-6
"""Distance to a bound, as a share of its scale, below which a parameter counts as being at it."""


@dataclass(frozen=True)
class _Form:
    """A curve: parameters, their bounds, where to start, and why it has this shape."""

    params: tuple[str, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    function: Callable[..., FloatArray]
    starts: Callable[[FloatArray, FloatArray], list[list[float]]]
    formula: str


def _logistic(x: FloatArray, top: Any, drop: Any, rate: Any, midpoint: Any) -> FloatArray:
    from scipy.special import expit

    return np.asarray(top - drop * expit(rate * (x - midpoint)))


def _exponential(x: FloatArray, ceiling_error: Any, k: Any, gamma: Any) -> FloatArray:
    return np.asarray(1 - get_law("gadre_error").function(x, eps=ceiling_error, k=k, gamma=gamma))


def _linear(x: FloatArray, intercept: Any, slope: Any) -> FloatArray:
    return np.asarray(intercept + slope * x)


def _logistic_starts(x: FloatArray, y: FloatArray) -> list[list[float]]:
    bottom, width = float(y.min()), float(np.ptp(x)) or 1.0
    middle = float(np.median(x))
    return [
        [1.0, min(max(1 - bottom, 0.05), 1.0), 3.0, 0.9],
        [1.0, min(max(1 - bottom, 0.05), 1.0), 4 / width, middle],
        [min(1.0, float(y.max()) + 0.1), min(max(float(np.ptp(y)), 0.05), 1.0), 8 / width, middle],
        [1.0, 0.75, 2 / width, float(x.max())],
    ]


def _exponential_starts(x: FloatArray, y: FloatArray) -> list[list[float]]:
    floor = 1 - float(y.min())
    gap = np.maximum(y - y.min(), 0) + 0.01
    starts = []
    for extra in (0.01, 0.05, 0.15):
        slope, intercept = np.polyfit(x, np.log(gap + extra), 1)
        starts.append([min(1.0, floor + extra), float(np.exp(intercept)), max(float(-slope), 1e-3)])
    return [[0.85, 2.0, 0.7], *starts]


LINKS: Mapping[str, _Form] = MappingProxyType(
    {
        "logistic": _Form(
            ("top", "drop", "rate", "midpoint"),
            (0.0, 0.0, 0.0, 0.0),
            (1.0, 1.0, np.inf, np.inf),
            _logistic,
            _logistic_starts,
            "top - drop / (1 + exp(-rate (x - midpoint)))",
        ),
        "exponential": _Form(
            ("ceiling_error", "k", "gamma"),
            (0.0, 0.0, 0.0),
            (np.inf, np.inf, np.inf),
            _exponential,
            _exponential_starts,
            "1 - ceiling_error + k exp(-gamma x)",
        ),
        "linear": _Form(
            ("intercept", "slope"),
            (-np.inf, -np.inf),
            (np.inf, np.inf),
            _linear,
            lambda x, y: [[float(y.mean()), 0.0]],
            "intercept + slope x",
        ),
    }
)
"""Curves by name: ``logistic`` (OLMo ladder, arXiv:2412.04403), ``exponential`` (Gadre, arXiv:2403.08540)."""


def _curve_at(form: _Form, x: FloatArray) -> Curve:
    """The curve at fixed losses, as a function of many sets of parameters (B, k)."""
    return lambda params: form.function(x, *(params[:, [i]] for i in range(params.shape[1])))


@told
@dataclass(frozen=True, eq=False)
class Link:
    """A fitted curve from a loss to a score.

    Attributes
    ----------
    name : str
        Key of :data:`LINKS`.
    params : mapping of str to float
    covariance : array (k, k)
        Clustered by run; zero for parameters at a bound.
    scatter : float
        Standard deviation of the run-level residuals: what the curve leaves unexplained in a new run.
    n_rows, n_runs : int
    at_bound : tuple of str
    refits : Refits
        Source of the draws behind every interval.
    x_range : tuple of float
        Losses that were fitted; a prediction outside is an extrapolation of the link.
    rows : DataFrame
        The fitted pairs: ``x, score``, and ``run_id`` where runs were given.
    """

    name: str
    params: Mapping[str, float]
    covariance: FloatArray = field(repr=False)
    scatter: float
    n_rows: int
    n_runs: int
    at_bound: tuple[str, ...]
    x_range: tuple[float, float]
    refits: Refits = field(repr=False)
    rows: pl.DataFrame = field(repr=False)

    @property
    def formula(self) -> str:
        """The curve as text."""
        return LINKS[self.name].formula

    def __call__(self, x: Any) -> FloatArray:
        """Score at loss `x`."""
        return LINKS[self.name].function(np.asarray(x, dtype=float), *self.params.values())

    def draws(self, generator: np.random.Generator) -> Draws:
        """Refits to data simulated around the curve, with the scatter of each; they stay among curves that fit."""
        return self.refits.draws(generator)

    def interval(self, x: Any, level: float = DEFAULT_LEVEL, *, rng: int = 0) -> tuple[FloatArray, FloatArray]:
        """Ends of the interval for the score of a new run at loss `x`; without degrees of freedom, 0 and 1."""
        check_level(level)
        generator = np.random.default_rng(check_seed(rng))
        draws = self.draws(generator)
        losses = np.broadcast_to(np.atleast_1d(np.asarray(x, dtype=float)), (len(draws.scatter), np.size(x)))
        return prediction_interval(self.many(losses, draws.params), draws.scatter, level, generator)

    def many(self, x: FloatArray, params: FloatArray) -> FloatArray:
        """Scores of every draw: (n, m) losses and (n, k) parameters give (n, m) scores."""
        return _curve_at(LINKS[self.name], x)(params)

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per parameter: ``param, estimate, std_error, low, high, at_bound`` (Student's t over runs)."""
        check_level(level)
        from scipy.special import stdtrit

        z = float(stdtrit(self.refits.df, 0.5 + level / 2)) if self.refits.df > 0 else float("inf")
        errors = np.sqrt(np.diag(self.covariance))
        return pl.DataFrame(
            {
                "param": list(self.params),
                "estimate": list(self.params.values()),
                "std_error": [
                    None if p in self.at_bound else float(e) for p, e in zip(self.params, errors, strict=True)
                ],
                "at_bound": [p in self.at_bound for p in self.params],
            },
            schema_overrides={"std_error": pl.Float64},
        ).with_columns(
            low=pl.col("estimate") - z * pl.col("std_error"), high=pl.col("estimate") + z * pl.col("std_error")
        )

    def glance(self) -> pl.DataFrame:
        """One row: ``link, n_rows, n_runs, df, scatter, x_low, x_high``."""
        return pl.DataFrame(
            {
                "link": [self.name],
                "n_rows": [self.n_rows],
                "n_runs": [self.n_runs],
                "df": [self.refits.df],
                "scatter": [self.scatter],
                "x_low": [self.x_range[0]],
                "x_high": [self.x_range[1]],
            }
        )

    def augment(self) -> pl.DataFrame:
        """The fitted pairs with ``prediction`` and ``residual`` (observed minus predicted)."""
        return self.rows.with_columns(prediction=pl.Series(self(self.rows["x"].to_numpy()))).with_columns(
            residual=pl.col("score") - pl.col("prediction")
        )

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def fit_link(
    x: FloatArray,
    y: FloatArray,
    name: str = "logistic",
    *,
    runs: NDArray[Any] | None = None,
    anchor: tuple[float, float] | None = None,
) -> Link:
    """Fit a curve by least squares from several starts.

    Parameters
    ----------
    x, y : arrays (n,)
        Losses and scores.
    name : str
        Key of :data:`LINKS`.
    runs : array (n,), optional
        The run of each row: rows of a run are not independent, and the covariance knows it.
    anchor : (float, float), optional
        A point that is added to the rows, such as ``(0, 1)``: no loss, full score.

    Raises
    ------
    FitError
        With fewer rows than parameters, or a constant loss.
    """
    if name not in LINKS:
        raise unknown_name("link", name, LINKS)
    form = LINKS[name]
    k = len(form.params)
    if x.size < k:
        raise FitError(
            f"{x.size} row(s) cannot fix the {k} parameters of link {name!r}",
            "give checkpoints as pairs, or choose a link with fewer parameters.",
        )
    if np.ptp(x) == 0:
        raise FitError(f"the loss has one value ({x[0]:g}): no link can be fitted along it", "add runs that vary it.")
    groups = np.arange(x.size) if runs is None else np.unique(runs, return_inverse=True)[1]
    xs, ys = (x, y) if anchor is None else (np.append(x, anchor[0]), np.append(y, anchor[1]))
    low, high = np.asarray(form.low), np.asarray(form.high)
    best = _least_squares(form, xs, ys, form.starts(x, y), low, high)
    params, jacobian = best.x, best.jac[: x.size]
    residual = form.function(x, *params) - y
    scale = np.maximum(np.abs(params), 1.0)
    at_bound = (params - low < AT_BOUND * scale) | (high - params < AT_BOUND * scale)
    free = np.flatnonzero(~at_bound)
    n_runs = int(np.unique(groups).size)
    scatter = _run_scatter(x, residual, groups, n_runs - free.size)
    return Link(
        name,
        MappingProxyType(dict(zip(form.params, map(float, params), strict=True))),
        _clustered_covariance(best.jac, jacobian, residual, groups, free),
        scatter,
        int(x.size),
        n_runs,
        tuple(p for p, bound in zip(form.params, at_bound, strict=True) if bound),
        (float(x.min()), float(x.max())),
        Refits(
            _curve_at(form, xs),
            params,
            low,
            high,
            residual,
            scatter,
            n_runs - k if n_runs > k else n_runs - free.size,  # a bound may be left by other data
            groups if n_runs < x.size else None,
            rival=_perfect_score(form, xs, ys, best, n_runs, low, high),
        ),
        pl.DataFrame({"x": x, "score": y} if runs is None else {"run_id": runs, "x": x, "score": y}),
    )


def _least_squares(
    form: _Form, x: FloatArray, y: FloatArray, starts: list[list[float]], low: FloatArray, high: FloatArray
) -> Any:
    """The best of several starts, within bounds."""
    from scipy.optimize import least_squares

    best = None
    for start in starts:
        solution = least_squares(  # type: ignore[operator]
            lambda p: form.function(x, *p) - y,
            np.clip(start, low + 1e-9, high - 1e-9),
            bounds=(low, high),
            x_scale="jac",
            xtol=1e-14,
            ftol=1e-14,
            gtol=1e-14,
            max_nfev=2000,
        )
        if np.isfinite(solution.cost) and (best is None or solution.cost < best.cost * (1 - 1e-12)):
            best = solution
    if best is None:
        raise FitError("the link cannot be fitted: no start leads to finite residuals", "check the scores.")
    return best


def _perfect_score(
    form: _Form, x: FloatArray, y: FloatArray, best: Any, n_runs: int, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, float] | None:
    """The best logistic link that ends at a perfect score, and its share beside one that ends below.

    Where the data do not reach the upper end, a fitted end is often too low, and curves refitted around it seldom
    reach a perfect score: intervals beyond the data then miss on one side. Both curves are therefore simulated, in
    proportion to their likelihoods.
    """
    if form is not LINKS["logistic"] or 1 - best.x[0] < AT_BOUND or best.cost <= 0:
        return None
    bound = low.copy()
    bound[0] = 1 - 1e-8
    rival = _least_squares(form, x, y, [[1.0, *best.x[1:]], *form.starts(x, y)], bound, high)
    return rival.x, 1 / (1 + float(np.exp(n_runs / 2 * np.log(max(rival.cost / best.cost, 1.0)))))


def _clustered_covariance(
    full: FloatArray, jacobian: FloatArray, residual: FloatArray, groups: NDArray[np.intp], free: NDArray[np.intp]
) -> FloatArray:
    """Sandwich covariance, clustered by run; zero for parameters at a bound. `full` has the anchor, `jacobian` not."""
    covariance = np.zeros((full.shape[1], full.shape[1]))
    if not free.size:
        return covariance
    n_runs = int(groups.max()) + 1
    bread = np.linalg.pinv(full[:, free].T @ full[:, free])
    score = np.zeros((n_runs, free.size))
    np.add.at(score, groups, jacobian[:, free] * residual[:, None])
    correction = n_runs / max(n_runs - free.size, 1)
    covariance[np.ix_(free, free)] = correction * bread @ (score.T @ score) @ bread
    return covariance


def _run_scatter(x: FloatArray, residual: FloatArray, groups: NDArray[np.intp], df: int) -> float:
    """Standard deviation of residuals at the end of each run: its lowest loss, whatever the order of the rows."""
    last = np.zeros(int(groups.max()) + 1)
    order = np.argsort(-x, kind="stable")
    last[groups[order]] = residual[order]
    return float(np.sqrt(np.sum(last**2) / max(df, 1)))
