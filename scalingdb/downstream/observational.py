"""Observational scaling: capabilities of models that others trained, measured by the benchmarks themselves.

Public models differ in data and recipe, so compute alone predicts their scores badly. Principal components of
their benchmark scores predict other tasks better (arXiv:2405.10938).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, percent
from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    canonical,
    check_scores,
    compute_column,
    finite,
    keys_of,
    label_rows,
    need_columns,
    result_table,
)
from scalingdb.downstream._refits import Curve, Refits, prediction_interval
from scalingdb.errors import DataError, FitError, check_level
from scalingdb.notices import notice

__all__ = [
    "Capabilities",
    "ObservationalLaw",
    "family_trends",
    "observational_law",
    "principal_capabilities",
]

# ---- principal components --------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Capabilities:
    """Principal components of benchmark scores. Made by :func:`principal_capabilities`.

    Attributes
    ----------
    benchmarks : tuple of str
    explained : array (k,)
        Share of the variance that each component carries.
    components : array (k, n_benchmarks)
        Loadings; signs are such that each row sums to a positive number.
    mean : array (n_benchmarks,)
    scores : DataFrame
        The frame, with missing scores filled in, ``pc1, pc2, ...`` and ``n_imputed``.
    n_fitted : int
        Models that the components were learnt from.
    """

    benchmarks: tuple[str, ...]
    explained: FloatArray
    components: FloatArray
    mean: FloatArray
    scores: pl.DataFrame
    n_fitted: int

    def loadings(self) -> pl.DataFrame:
        """One row per component and benchmark: ``component, benchmark, loading, explained``."""
        return pl.DataFrame(
            [
                {"component": f"pc{i + 1}", "benchmark": name, "loading": float(value), "explained": float(share)}
                for i, (row, share) in enumerate(zip(self.components, self.explained, strict=True))
                for name, value in zip(self.benchmarks, row, strict=True)
            ]
        )

    def tidy(self) -> pl.DataFrame:
        """The same as :meth:`loadings`."""
        return self.loadings()

    def glance(self) -> pl.DataFrame:
        """One row: ``n_benchmarks, n_components, n_fitted, explained`` (share of the variance)."""
        return pl.DataFrame(
            {
                "n_benchmarks": [len(self.benchmarks)],
                "n_components": [len(self.explained)],
                "n_fitted": [self.n_fitted],
                "explained": [float(self.explained.sum())],
            }
        )

    def augment(self) -> pl.DataFrame:
        """The models with their components: :attr:`scores`."""
        return self.scores

    def __repr__(self) -> str:
        shares = ", ".join(percent(s) for s in self.explained)
        return f"<Capabilities of {len(self.benchmarks)} benchmarks, {self.n_fitted} models: {shares}>"

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def principal_capabilities(
    frame: pl.DataFrame,
    benchmarks: Sequence[str],
    *,
    n_components: int = 3,
    fitted: pl.Expr | None = None,
    impute: int = 1,
) -> Capabilities:
    """Principal components of the centred benchmark scores of many models.

    Missing scores are filled in by iterated reconstruction from `impute` components of the
    standardised scores (as the authors do), learnt from the fitted rows and bounded by [0, 1].

    Parameters
    ----------
    frame : DataFrame
        One row per model, one column per benchmark (fractions; null where it was not run).
    benchmarks : sequence of str
        Columns.
    n_components : int
    fitted : Polars expression, optional
        True for the rows the components may learn from; all by default. Give the training side of a
        hold-out here, or the components have seen the answer.
    impute : int
        Components for filling in; 0 refuses missing scores instead.

    Raises
    ------
    DataError
        For scores outside [0, 1], constant benchmarks, models without any score; rows are named.

    References
    ----------
    Ruan et al., arXiv:2405.10938, section 3.2; authors' repository ryoungj/ObsScaling.
    """
    table = as_frame(frame)
    names = keys_of(benchmarks, table)
    if len(names) < 2:
        raise DataError("one benchmark has no components", "give two or more.")
    if not 1 <= n_components <= len(names):
        raise DataError(f"n_components={n_components} of {len(names)} benchmarks", "at most one per benchmark.")
    for name in names:
        check_scores(
            table.filter(pl.col(name).is_not_null()).select(
                *(c for c in ("run_id", "family") if c in table.columns), name
            ),
            name,
            "principal components",
        )
    values = table.select(pl.col(names).cast(pl.Float64)).to_numpy().astype(float)
    use = np.ones(table.height, dtype=bool) if fitted is None else _mask(table, fitted)
    missing = np.isnan(values)
    empty = pl.Series(missing.all(axis=1))
    if empty.any():
        raise DataError(
            f"{int(empty.sum())} model(s) have none of the benchmarks\n{label_rows(table, empty)}", "filter them out."
        )
    if missing.any() and impute == 0:
        lacking = pl.Series(missing.any(axis=1))
        raise DataError(
            f"{int(lacking.sum())} model(s) lack a benchmark\n{label_rows(table, lacking)}",
            "filter them out, or fill in: impute=1.",
        )
    if use.sum() <= n_components:
        raise FitError(f"{int(use.sum())} model(s) cannot fix {n_components} components", "give more models.")
    spread = np.nanstd(values[use], axis=0)
    flat = [name for name, s in zip(names, spread, strict=True) if not s > 0]
    if flat:
        raise DataError(f"benchmark(s) {', '.join(flat)} have one value in all fitted models", "leave them out.")
    filled = _fill(values, use, impute) if missing.any() else values
    mean = filled[use].mean(axis=0)
    _, singular, basis = np.linalg.svd(filled[use] - mean, full_matrices=False)
    explained = singular**2 / np.sum(singular**2)
    components = basis[:n_components]
    components = components * np.where(components.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    scores = (filled - mean) @ components.T
    out = table.with_columns(
        *(pl.Series(name, filled[:, j]) for j, name in enumerate(names)),
        *(pl.Series(f"pc{i + 1}", scores[:, i]) for i in range(n_components)),
        n_imputed=pl.Series(missing.sum(axis=1)),
    )
    if missing.any():
        notice(f"{int(missing.sum())} of {missing.size} scores were missing and filled in by {impute} component(s)")
    return Capabilities(tuple(names), explained[:n_components], components, mean, out, int(use.sum()))


def _mask(table: pl.DataFrame, rule: pl.Expr) -> np.ndarray[Any, np.dtype[np.bool_]]:
    chosen = table.select(rule).to_series()
    if chosen.dtype != pl.Boolean:
        raise DataError(f"the expression gives {chosen.dtype}, not true or false")
    return np.asarray(chosen.fill_null(value=False).to_numpy(), dtype=bool)


def _fill(values: FloatArray, use: np.ndarray[Any, np.dtype[np.bool_]], rank: int) -> FloatArray:
    """Missing scores from a low-rank reconstruction, iterated to its fixed point."""
    mean, spread = np.nanmean(values[use], axis=0), np.nanstd(values[use], axis=0)
    z = (values - mean) / spread
    missing = np.isnan(z)
    z = np.where(missing, 0.0, z)
    centre, basis = np.zeros(z.shape[1]), np.zeros((rank, z.shape[1]))
    for _ in range(1000):
        centre = z[use].mean(axis=0)
        basis = np.linalg.svd(z[use] - centre, full_matrices=False)[2][:rank]
        guess = centre + (z[use] - centre) @ basis.T @ basis
        change = np.abs(guess - z[use])[missing[use]].max(initial=0.0)
        z[use] = np.where(missing[use], guess, z[use])
        if change < 1e-9:
            break
    for _ in range(1000):  # rows that the components must not learn from
        guess = centre + (z[~use] - centre) @ basis.T @ basis
        change = np.abs(guess - z[~use])[missing[~use]].max(initial=0.0)
        z[~use] = np.where(missing[~use], guess, z[~use])
        if change < 1e-9:
            break
    return np.where(missing, np.clip(z * spread + mean, 0, 1), values)


def family_trends(
    frame: pl.DataFrame, component: str = "pc1", *, compute: str | None = None, family: str = "family"
) -> pl.DataFrame:
    """Within each family, a capability as a line in log10 compute.

    Parameters
    ----------
    frame : DataFrame
        :attr:`Capabilities.scores`, or any frame with the columns.
    component : str
        Column that is explained.

    Returns
    -------
    DataFrame
        One row per family of three models or more: ``n_models, decades, slope`` (per decade),
        ``intercept, r2``; families with fewer are left out and counted in a notice.

    Raises
    ------
    DataError
        If no family has three models that differ in compute.
    """
    table = as_frame(frame)
    need_columns(table, [family, component], "the trend of a family", "name them: family=..., component=....")
    rows = canonical(table.select(family, component, x=compute_column(table, compute).log10()).drop_nulls())
    sizes = rows.group_by(family).agg(pl.len().alias("n"), pl.col("x").n_unique().alias("distinct"))
    enough = sizes.filter((pl.col("n") >= 3) & (pl.col("distinct") >= 3))[family]
    if enough.is_empty():
        shown = ", ".join(f"{name!r}: {n}" for name, n, _ in sizes.sort("n", descending=True).head(5).iter_rows())
        raise DataError(
            f"no family has three models that differ in compute ({shown})",
            "a family shares a recipe; a single model shows no trend.",
        )
    left_out = sizes.height - enough.len()
    if left_out:
        notice(f"{left_out} of {sizes.height} families have fewer than three models with compute: no trend")
    mx, my = pl.col("x") - pl.col("x").mean(), pl.col(component) - pl.col(component).mean()
    slope = (mx * my).sum() / mx.pow(2).sum()
    return (
        rows.filter(pl.col(family).is_in(enough.implode()))
        .group_by(family)
        .agg(
            n_models=pl.len().cast(pl.Int64),
            decades=pl.col("x").max() - pl.col("x").min(),
            slope=slope,
            intercept=pl.col(component).mean() - slope * pl.col("x").mean(),
            r2=pl.corr("x", component) ** 2,
        )
        .sort("r2", family, descending=[True, False])
    )


# ---- from capabilities to a task ---------------------------------------------------------------------


@told
@dataclass(frozen=True, eq=False)
class ObservationalLaw:
    """A score as a logistic function of predictors. Made by :func:`observational_law`.

    Attributes
    ----------
    predictors : tuple of str
    params : mapping of str to float
        Coefficients, ``intercept`` and ``floor``.
    scatter : float
        Standard deviation of the residuals.
    n_models : int
    """

    target: str
    predictors: tuple[str, ...]
    params: Mapping[str, float]
    scatter: float
    n_models: int
    _refits: Refits = field(repr=False)
    _standard: tuple[FloatArray, FloatArray] = field(repr=False)
    _rows: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per parameter: ``param, estimate``."""
        return pl.DataFrame({"param": list(self.params), "estimate": list(self.params.values())})

    def glance(self) -> pl.DataFrame:
        """One row: ``target, n_models, df, scatter``."""
        return pl.DataFrame(
            {
                "target": [self.target],
                "n_models": [self.n_models],
                "df": [self._refits.df],
                "scatter": [self.scatter],
            }
        )

    def predict(self, frame: pl.DataFrame, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Add ``prediction, low, high``: the law refitted to simulated models, plus the scatter of the fitted ones."""
        check_level(level)
        table = as_frame(frame)
        need_columns(table, self.predictors, "the law", "compute the components for these models first.")
        finite(table, self.predictors, "the law")
        centre, scale = self._standard
        x = (table.select(pl.col(self.predictors).cast(pl.Float64)).to_numpy() - centre) / scale
        curve = _curve_at(np.column_stack([np.ones(table.height), x]))
        generator = np.random.default_rng(0)
        draws = self._refits.draws(generator)
        low, high = prediction_interval(curve(draws.params), draws.scatter, level, generator)
        return table.with_columns(
            prediction=pl.Series(curve(self._refits.params[None, :])[0], dtype=pl.Float64),
            low=pl.Series(low, dtype=pl.Float64),
            high=pl.Series(high, dtype=pl.Float64),
        )

    def augment(self) -> pl.DataFrame:
        """The fitted rows with :meth:`predict` on them and ``residual`` (observed minus predicted)."""
        return self.predict(self._rows).with_columns(residual=pl.col(self.target) - pl.col("prediction"))

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def _curve(p: FloatArray, design: FloatArray) -> FloatArray:
    return np.asarray(p[-1] + (1 - p[-1]) * expit(design @ p[:-1]))


def _curve_at(design: FloatArray) -> Curve:
    """Scores for fixed predictors as a function of many sets of coefficients and a floor (B, k)."""
    return lambda p: np.asarray(p[:, [-1]] + (1 - p[:, [-1]]) * expit(p[:, :-1] @ design.T))


def observational_law(
    frame: pl.DataFrame,
    target: str,
    predictors: Sequence[str] = ("pc1", "pc2", "pc3"),
    *,
    floor: tuple[float, float] = (0.0, 0.2),
    ridge: float = 0.0,
) -> ObservationalLaw:
    """Fit ``score = floor + (1 - floor) / (1 + exp(-(b0 + b . predictors)))`` by least squares.

    With the defaults this is the authors' form and estimator: three components, a floor between 0 and
    0.2, ordinary least squares.

    Parameters
    ----------
    frame : DataFrame
        One row per model: the target score and the predictors (components, or log10 compute).
    target : str
    predictors : sequence of str
    floor : (float, float)
        Bounds of the score of a hopeless model.
    ridge : float
        Penalty on the standardised slopes, in units of the squared residual; 0 for none. A small one
        (0.01) keeps the slopes finite where the fitted models separate perfectly.

    Raises
    ------
    DataError
        For scores outside [0, 1], constant scores, missing predictors; rows are named.
    FitError
        With fewer models than parameters.

    References
    ----------
    Ruan et al., arXiv:2405.10938, eq. 6 and the authors' ``sigmoid-parametric``.
    """
    from scipy.optimize import least_squares

    table = as_frame(frame)
    names = keys_of(predictors, table)
    need_columns(table, [target], "the law", "name the column with the score.")
    rows = canonical(table.filter(pl.col(target).is_not_null()), [target])
    check_scores(rows.drop("unit", strict=False), target, "the law")
    finite(rows, names, "the law")
    k = len(names) + 2
    if rows.height < k:
        raise FitError(f"{rows.height} model(s) cannot fix {k} parameters", "use fewer predictors or more models.")
    y = rows[target].cast(pl.Float64).to_numpy().astype(float)
    if np.ptp(y) == 0:
        raise DataError(f"the score {target!r} is {y[0]:g} in all {y.size} models", "there is nothing to predict.")
    x = rows.select(pl.col(names).cast(pl.Float64)).to_numpy().astype(float)
    centre, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-12)
    design = np.column_stack([np.ones(y.size), (x - centre) / scale])
    low = np.array([-np.inf] * (k - 1) + [floor[0]])
    high = np.array([np.inf] * (k - 1) + [floor[1] + 1e-12])

    def residual(p: FloatArray) -> FloatArray:
        return np.concatenate([_curve(p, design) - y, np.sqrt(ridge) * p[1:-1]])

    best = None
    for first, intercept in ((1.0, 0.0), (0.1, -2.0), (3.0, -2.0), (-0.5, 0.0)):
        start = np.concatenate([[intercept, first], np.zeros(k - 3), [float(np.mean(floor))]])
        solution = least_squares(  # type: ignore[operator]
            residual, start, bounds=(low, high), xtol=1e-12, ftol=1e-12, max_nfev=2000
        )
        if np.isfinite(solution.cost) and (best is None or solution.cost < best.cost * (1 - 1e-10)):
            best = solution
    if best is None:
        raise FitError("no start leads to a finite law", "check the scores.")
    rest = best.fun[: y.size]
    df = y.size - k
    scatter = float(np.sqrt(np.sum(rest**2) / max(df, 1)))
    penalty = np.zeros((k - 2, k))
    penalty[:, 1:-1] = np.sqrt(ridge) * np.eye(k - 2)

    def curve(p: FloatArray) -> FloatArray:  # the penalty is refitted too, as rows without noise
        return np.concatenate([_curve_at(design)(p), p @ penalty.T], axis=1)

    back = np.eye(k)  # from standardised predictors to their own units
    back[1:-1, 1:-1] = np.diag(1 / scale)
    back[0, 1:-1] = -centre / scale
    return ObservationalLaw(
        target,
        tuple(names),
        dict(zip(("intercept", *names, "floor"), map(float, back @ best.x), strict=True)),
        scatter,
        int(y.size),
        Refits(curve, best.x, low, high, -rest, scatter, df),
        (centre, scale),
        rows,
    )
