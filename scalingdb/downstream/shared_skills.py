"""Sloth: skills that all families share, and one efficiency for each family (arXiv:2412.06540)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit, ndtr, stdtrit

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    canonical,
    check_scores,
    finite,
    keys_of,
    label_rows,
    need_columns,
    result_table,
)
from scalingdb.errors import DataError, FitError, check_level, check_seed

__all__ = ["Sloth", "sloth"]

MAX_EVALUATIONS = 60


@dataclass(frozen=True, eq=False)
class _Problem:
    """Scores of many models, and the shape of the parameters that explain them.

    The parameters are one vector: slopes (3, d), efficiencies (families, d), loadings (d, tests), offsets (tests).
    Residuals are those of the scores that are present, then those of the penalty on all but the offsets.
    """

    x: FloatArray
    family: NDArray[np.intp]
    y: FloatArray
    chance: FloatArray
    n_families: int
    n_skills: int
    ridge: float

    @property
    def shapes(self) -> list[tuple[int, int]]:
        n_tests, d = self.y.shape[1], self.n_skills
        return [(self.x.shape[1], d), (self.n_families, d), (d, n_tests), (1, n_tests)]

    @property
    def cuts(self) -> NDArray[np.intp]:
        """Where each block of the parameter vector begins; the last is its length."""
        return np.cumsum([0, *(rows * columns for rows, columns in self.shapes)])

    @property
    def seen(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Model and benchmark of each score that is present."""
        rows, columns = np.nonzero(~np.isnan(self.y))
        return rows, columns

    def unpack(self, p: FloatArray) -> list[FloatArray]:
        """Slopes, efficiencies, loadings, offsets."""
        cuts = self.cuts
        return [p[cuts[i] : cuts[i + 1]].reshape(shape) for i, shape in enumerate(self.shapes)]

    def residuals(self, p: FloatArray) -> FloatArray:
        """Predicted minus observed scores, then the penalty."""
        slopes, efficiency, loadings, offsets = self.unpack(p)
        predicted = _above_chance((self.x @ slopes + efficiency[self.family]) @ loadings + offsets, self.chance)
        return np.concatenate([(predicted - self.y)[self.seen], np.sqrt(self.ridge) * p[: self.cuts[3]]])

    def jacobian(self, p: FloatArray) -> FloatArray:
        """Derivatives of :meth:`residuals`."""
        rows, columns = self.seen
        scores = _gradients(self.unpack(p), self.chance, self.x[rows], self.family[rows], columns)
        n_penalised = self.cuts[3]
        return np.concatenate([scores, np.sqrt(self.ridge) * np.eye(n_penalised, p.size)])


def _above_chance(z: FloatArray, chance: FloatArray) -> FloatArray:
    return np.asarray(chance + (1 - chance) * expit(z))


def _gradients(
    blocks: Sequence[FloatArray],
    chance: FloatArray,
    x: FloatArray,
    family: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> FloatArray:
    """Derivatives (m, parameters) of m scores, each of one model on one benchmark."""
    slopes, efficiency, loadings, offsets = blocks
    d, n_tests = loadings.shape
    skills = x @ slopes + efficiency[family]
    share = expit(np.einsum("mk,km->m", skills, loadings[:, columns]) + offsets[0, columns])
    slope = (1 - chance[columns]) * share * (1 - share)
    through = slope[:, None] * loadings[:, columns].T  # change of a score with each skill
    of_slopes = (x[:, :, None] * through[:, None, :]).reshape(columns.size, -1)
    of_efficiency = np.zeros((columns.size, *efficiency.shape))
    of_loadings = np.zeros((columns.size, d, n_tests))
    of_offsets = np.zeros((columns.size, n_tests))
    line = np.arange(columns.size)
    of_efficiency[line, family] = through
    of_loadings[line, :, columns] = slope[:, None] * skills
    of_offsets[line, columns] = slope
    return np.concatenate(
        [of_slopes, of_efficiency.reshape(line.size, -1), of_loadings.reshape(line.size, -1), of_offsets], axis=1
    )


def _huber(n_scores: int) -> Any:
    """Huber's loss for the scores and squares for the penalty, in the form that SciPy's ``least_squares`` takes."""

    def loss(scaled: FloatArray) -> FloatArray:
        outer = scaled > 1
        outer[n_scores:] = False
        far = np.sqrt(np.where(outer, scaled, 1.0))
        return np.array(
            [
                np.where(outer, 2 * far - 1, scaled),
                np.where(outer, 1 / far, 1.0),
                np.where(outer, -0.5 / far**3, 0.0),
            ]
        )

    return loss


def _solve(problem: _Problem, delta: float, starts: int, rng: int) -> Any:
    """The best of several random starts."""
    from scipy.optimize import least_squares

    generator = np.random.default_rng(check_seed(rng))
    best = None
    for _ in range(starts):
        solution = least_squares(  # type: ignore[operator]
            problem.residuals,
            0.3 * generator.standard_normal(problem.cuts[-1]),
            jac=problem.jacobian,
            loss=_huber(problem.seen[0].size),
            f_scale=delta,
            max_nfev=MAX_EVALUATIONS,
            ftol=1e-9,
            xtol=1e-9,
        )
        if np.isfinite(solution.cost) and (best is None or solution.cost < best.cost):
            best = solution
    if best is None:
        raise FitError("Sloth: no start leads to a finite objective", "check sizes and tokens.")
    return best


def _huber_inefficiency(threshold: float) -> float:
    """Standard error of Huber's estimator over that of least squares, for normal errors of standard deviation 1."""
    density = np.exp(-(threshold**2) / 2) / np.sqrt(2 * np.pi)
    inside = 2 * ndtr(threshold) - 1
    squares = inside - 2 * threshold * density + 2 * threshold**2 * ndtr(-threshold)
    return float(np.sqrt(squares) / inside)


def _uncertainty(problem: _Problem, p: FloatArray, delta: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scatter (tests,), residual degrees of freedom (tests,) and covariance of the parameters.

    Errors of one model on several benchmarks are correlated; their covariance is that of the residuals, and the same
    for all models, because a family with a single model has hardly any residual of its own.
    """
    rows, columns = problem.seen
    n_models, n_tests = problem.y.shape
    residual = np.zeros(problem.y.shape)
    residual[rows, columns] = problem.residuals(p)[: rows.size]
    design = problem.jacobian(p)[: rows.size]
    # Huber's loss weighs a residual r beyond the threshold by delta / |r| against the penalty
    weight = np.mean(np.minimum(1.0, delta / np.maximum(np.abs(residual[rows, columns]), 1e-300)))
    penalty = np.zeros(p.size)
    penalty[: problem.cuts[3]] = problem.ridge / weight
    bread = np.linalg.pinv(design.T @ design + np.diag(penalty), hermitian=True)
    leverage = np.einsum("ij,jk,ik->i", design, bread, design)
    df = np.bincount(columns, minlength=n_tests) - np.bincount(columns, leverage, minlength=n_tests)
    root = np.sqrt(np.maximum(df, 1e-9))
    between = residual.T @ residual / np.outer(root, root)
    scatter = np.sqrt(np.diag(between))
    full = np.zeros((n_models, n_tests, p.size))
    full[rows, columns] = design
    meat = np.einsum("mjp,jk,mkq->pq", full, between, full, optimize=True)
    typical = float(np.median(scatter))
    inefficiency = _huber_inefficiency(delta / typical) if typical > 0 else 1.0
    return scatter, np.asarray(df, dtype=float), np.asarray(inefficiency**2 * bread @ meat @ bread)


@told
@dataclass(frozen=True, eq=False)
class Sloth:
    """Shared skills with one efficiency for each family. Made by :func:`sloth`.

    Attributes
    ----------
    benchmarks, families : tuple of str
    objective : float
        The minimised sum of Huber losses plus the penalty.
    n_models, n_skills : int
    scatter : array (n_benchmarks,)
        Standard deviation of a new model around its prediction: residuals over their degrees of freedom.
    df : array (n_benchmarks,)
        Scores of each benchmark less the share of the parameters that they determine (the sum of their leverages).
    """

    benchmarks: tuple[str, ...]
    families: tuple[str, ...]
    n_skills: int
    n_models: int
    objective: float
    scatter: FloatArray = field(repr=False)
    df: FloatArray = field(repr=False)
    _blocks: tuple[FloatArray, ...] = field(repr=False)
    _covariance: FloatArray = field(repr=False)
    _chance: FloatArray = field(repr=False)
    _standard: tuple[FloatArray, FloatArray] = field(repr=False)
    _columns: tuple[str, str, str] = field(repr=False)
    _rows: pl.DataFrame = field(repr=False)

    def glance(self) -> pl.DataFrame:
        """One row: ``n_models, n_families, n_benchmarks, n_skills, objective``."""
        return pl.DataFrame(
            {
                "n_models": [self.n_models],
                "n_families": [len(self.families)],
                "n_benchmarks": [len(self.benchmarks)],
                "n_skills": [self.n_skills],
                "objective": [self.objective],
            }
        )

    def tidy(self) -> pl.DataFrame:
        """One row per benchmark: ``benchmark, chance_level, scatter, df``; the skills themselves are not identified."""
        return pl.DataFrame(
            {"benchmark": self.benchmarks, "chance_level": self._chance, "scatter": self.scatter, "df": self.df}
        )

    def augment(self) -> pl.DataFrame:
        """The fitted models: :meth:`predict` on them, with ``residual`` (observed minus predicted)."""
        return self.predict(self._rows).with_columns(residual=pl.col("observed") - pl.col("prediction"))

    def predict(self, frame: pl.DataFrame, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Predicted scores of models of the fitted families.

        Returns
        -------
        DataFrame
            One row per model and benchmark: the keys of the frame, ``benchmark, prediction, low, high`` and
            ``observed`` where the frame has it. The interval is for a new model: scatter and linearised error of the
            coefficients, with Student's t; all of [0, 1] without degrees of freedom.

        Raises
        ------
        DataError
            For families that were not fitted, and missing sizes or tokens; rows are named.
        """
        check_level(level)
        table = as_frame(frame)
        x, family = self._inputs(table)
        slopes, efficiency, loadings, offsets = self._blocks
        predicted = _above_chance((x @ slopes + efficiency[family]) @ loadings + offsets, self._chance)
        keys = [name for name in ("run_id", "model_name", *self._columns) if name in table.columns]
        tables = []
        for j, name in enumerate(self.benchmarks):
            observed = pl.col(name).cast(pl.Float64) if name in table.columns else pl.lit(None, pl.Float64)
            half = self._half_width(x, family, j, level)
            tables.append(
                table.select(
                    *keys,
                    benchmark=pl.lit(name),
                    observed=observed,
                    prediction=pl.Series(predicted[:, j]),
                    low=pl.Series(np.clip(predicted[:, j] - half, 0, 1)),
                    high=pl.Series(np.clip(predicted[:, j] + half, 0, 1)),
                )
            )
        return pl.concat(tables)

    def _inputs(self, table: pl.DataFrame) -> tuple[FloatArray, NDArray[np.intp]]:
        """Standardised inputs and the number of the family, of models that can be predicted."""
        family, size, tokens = self._columns
        unknown = ~table[family].is_in(list(self.families))
        if unknown.any():
            raise DataError(
                f"{int(unknown.sum())} model(s) belong to families that were not fitted\n"
                + label_rows(table, unknown, family),
                "a family needs one fitted model, which fixes its efficiency.",
            )
        finite(table, [size, tokens], "Sloth", positive=True)
        centre, scale = self._standard
        index = np.array([self.families.index(name) for name in table[family]], dtype=np.intp)
        return (_logs(table, size, tokens) - centre) / scale, index

    def _half_width(self, x: FloatArray, family: NDArray[np.intp], benchmark: int, level: float) -> FloatArray:
        if self.df[benchmark] < 1:
            return np.ones(len(x))
        columns = np.full(len(x), benchmark, dtype=np.intp)
        gradient = _gradients(self._blocks, self._chance, x, family, columns)
        variance = self.scatter[benchmark] ** 2 + np.einsum("ij,jk,ik->i", gradient, self._covariance, gradient)
        return np.asarray(stdtrit(self.df[benchmark], 0.5 + level / 2) * np.sqrt(variance))

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def _logs(table: pl.DataFrame, size: str, tokens: str) -> FloatArray:
    """``ln N, ln D, ln N ln D``."""
    n = np.log(table[size].cast(pl.Float64).to_numpy().astype(float))
    d = np.log(table[tokens].cast(pl.Float64).to_numpy().astype(float))
    return np.column_stack([n, d, n * d])


def sloth(
    frame: pl.DataFrame,
    benchmarks: Sequence[str],
    *,
    chance: Mapping[str, float],
    n_skills: int = 2,
    family: str = "family",
    size: str = "n_params",
    tokens: str = "n_tokens",
    delta: float = 0.01,
    ridge: float = 1e-3,
    starts: int = 2,
    rng: int = 0,
) -> Sloth:
    """Fit Sloth: skills from size, tokens and the family's efficiency, scores from skills.

    ``score_j = c_j + (1 - c_j) / (1 + exp(-(w_j . z + b_j)))`` with
    ``z = B . (ln N, ln D, ln N ln D) + a_family``. Skills are known up to an invertible map only, so
    the predictions are the result, not the skills.

    Parameters
    ----------
    frame : DataFrame
        One row per model, one column per benchmark (fractions, null where not run).
    benchmarks : sequence of str
    chance : mapping of benchmark to float
        Scores of guessing; required for each of them.
    n_skills : int
    family, size, tokens : str
        Columns.
    delta : float
        Huber threshold (quadratic to linear); the authors take 0.01.
    ridge : float
        Penalty on slopes, efficiencies and loadings, which the data fix only up to scale.
    starts, rng : int
        Random starts, and their seed; the best is kept.

    Raises
    ------
    DataError
        For scores outside [0, 1], a missing chance level, missing sizes or tokens, or if every family
        has one model: then its efficiency takes up the whole score.
    FitError
        If no start leads to a finite objective.

    References
    ----------
    Maia Polo et al., arXiv:2412.06540, eqs. 2 to 4.
    """
    columns = (family, size, tokens)
    names, table = _checked(frame, benchmarks, chance, columns)
    families = tuple(table[family].unique().sort().to_list())
    raw = _logs(table, size, tokens)
    centre, scale = raw.mean(axis=0), np.maximum(raw.std(axis=0), 1e-12)
    problem = _Problem(
        (raw - centre) / scale,
        np.array([families.index(name) for name in table[family]], dtype=np.intp),
        table.select(pl.col(names).cast(pl.Float64)).to_numpy().astype(float),
        np.array([float(chance[name]) for name in names]),
        len(families),
        n_skills,
        ridge,
    )
    solution = _solve(problem, delta, starts, rng)
    scatter, df, covariance = _uncertainty(problem, solution.x, delta)
    return Sloth(
        tuple(names),
        families,
        n_skills,
        table.height,
        float(solution.cost),
        scatter,
        df,
        tuple(problem.unpack(solution.x)),
        covariance,
        problem.chance,
        (centre, scale),
        columns,
        table,
    )


def _checked(
    frame: pl.DataFrame, benchmarks: Sequence[str], chance: Mapping[str, float], columns: tuple[str, str, str]
) -> tuple[list[str], pl.DataFrame]:
    """Benchmarks and rows that Sloth can be fitted to."""
    family, size, tokens = columns
    table = as_frame(frame)
    names = keys_of(benchmarks, table)
    need_columns(table, columns, "Sloth", "name them: family=..., size=..., tokens=....")
    absent = [name for name in names if name not in chance]
    if absent:
        raise DataError(
            f"the chance level of {', '.join(absent)} is missing", "give it in chance: 1 over the options, 0 if free."
        )
    for name in names:
        present = table.filter(pl.col(name).is_not_null())
        check_scores(present.select(*(c for c in ("run_id", family) if c in present.columns), name), name, "Sloth")
    finite(table, [size, tokens], "Sloth", positive=True)
    labels = [name for name in ("run_id", "model_name") if name in table.columns]
    table = canonical(table.select(list(dict.fromkeys([*columns, *names, *labels]))), [family, size, tokens])
    counts = table[family].value_counts()
    if counts["count"].max() == 1:
        raise DataError(
            f"each of the {counts.height} families has one model: its efficiency would take up the whole score",
            "keep two models or more of some families.",
        )
    return names, table
