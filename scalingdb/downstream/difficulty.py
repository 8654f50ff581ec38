"""Questions grouped by difficulty: U shapes, inverted U shapes, and a forecast from the two ends.

Hard questions often get worse before they get better, easy ones the other way; the two cancel in the mean,
which stays flat until both rise (Wu and Lo, arXiv:2410.01692).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    canonical,
    check_scores,
    compute_column,
    finite,
    keys_of,
    need_columns,
)
from scalingdb.errors import DataError, FitError, check_level
from scalingdb.schema import METRICS

__all__ = ["difficulty_shapes", "slice_and_sandwich"]

MIN_MODELS = 8


def difficulty_shapes(
    frame: pl.DataFrame,
    by: str | Sequence[str] = "group",
    *,
    score: str = "score",
    compute: str | None = None,
    level: float = DEFAULT_LEVEL,
) -> pl.DataFrame:
    """The shape of each group's course in log compute: a parabola, and a test of both of its ends.

    A group is ``U`` if it falls at the lower end of the data and rises at the upper end, each tested at
    1 - level (Lind and Mehlum's test); ``inverted U`` the other way round; ``rising`` or ``falling`` if the
    slopes at both ends do not contradict and the line is significant; else ``flat``.

    Parameters
    ----------
    frame : DataFrame
        One row per model and group: score, compute, the columns of `by`; ``metric`` says whether less is
        better (``brier``), and such scores are turned round.
    by : str or sequence of str
    score, compute : str
    level : float
        One minus the level of each test.

    Returns
    -------
    DataFrame
        One row per group: ``n_models``, ``slope`` of the line (per decade), ``curvature`` of the parabola with
        ``curvature_error``, ``slope_low`` and ``slope_high`` (at the ends) with one-sided p-values
        ``p_low, p_high`` (of falling, of rising), ``vertex`` (FLOP), ``shape``.

    References
    ----------
    Lind and Mehlum, Oxford Bulletin of Economics and Statistics 72 (2010) 109-118.
    """
    check_level(level)
    from scipy.special import stdtr
    from statsmodels.regression.linear_model import OLS

    ols: Any = OLS
    alpha = 1 - level
    table = as_frame(frame)
    keys = keys_of(by, table)
    check_scores(table, score, "the shape of a course")
    sign = pl.lit(1.0)
    if "metric" in table.columns:
        worse = [m.name for m in METRICS.values() if not m.higher_is_better]
        sign = pl.when(pl.col("metric").is_in(worse)).then(-1.0).otherwise(1.0)
    rows = (
        table.select(*keys, x=compute_column(table, compute).log10(), y=sign * pl.col(score).cast(pl.Float64))
        .drop_nulls()
        .sort(*keys, "x", "y")
    )
    out = []
    for key, group in rows.group_by(keys, maintain_order=True):
        x, y = group["x"].to_numpy(), group["y"].to_numpy()
        if x.size < MIN_MODELS or np.unique(x).size < 4:
            raise FitError(
                f"group {dict(zip(keys, key, strict=True))} has {x.size} model(s) at {np.unique(x).size} budgets",
                f"a parabola with errors needs {MIN_MODELS} models or more.",
            )
        centre = x.mean()
        z = x - centre
        line = ols(y, np.column_stack([np.ones_like(z), z])).fit(cov_type="HC3")
        bend = ols(y, np.column_stack([np.ones_like(z), z, z**2])).fit(cov_type="HC3")
        covariance = np.asarray(bend.cov_params())
        free = x.size - 3
        ends = []
        for end in (z.min(), z.max()):
            direction = np.array([0.0, 1.0, 2 * end])
            slope, error = float(direction @ bend.params), float(np.sqrt(direction @ covariance @ direction))
            ends.append((slope, error))
        p_fall_low = float(stdtr(free, ends[0][0] / ends[0][1]))
        p_rise_high = float(stdtr(free, -ends[1][0] / ends[1][1]))
        p_line = float(line.pvalues[1])
        if p_fall_low < alpha and p_rise_high < alpha:
            shape = "U"
        elif 1 - p_fall_low < alpha and 1 - p_rise_high < alpha:
            shape = "inverted U"
        elif p_line < alpha:
            shape = "rising" if line.params[1] > 0 else "falling"
        else:
            shape = "flat"
        curvature = float(bend.params[2])
        vertex = centre - float(bend.params[1]) / (2 * curvature) if curvature else float("nan")
        out.append(
            {
                **dict(zip(keys, key, strict=True)),
                "n_models": int(x.size),
                "slope": float(line.params[1]),
                "curvature": curvature,
                "curvature_error": float(bend.bse[2]),
                "slope_low": ends[0][0],
                "slope_high": ends[1][0],
                "p_low": p_fall_low,
                "p_high": p_rise_high,
                "vertex": 10**vertex if x.min() < vertex < x.max() else None,
                "shape": shape,
            }
        )
    if not out:
        raise DataError("no row has both a score and compute", "check the column with training compute.")
    return pl.DataFrame(out, schema_overrides={"vertex": pl.Float64})


def slice_and_sandwich(
    frame: pl.DataFrame,
    threshold: float,
    *,
    chance: float,
    easy: str = "easy",
    hard: str = "hard",
    brier: str = "brier",
    score: str = "score",
    compute: str | None = None,
    degrees: tuple[int, int] = (5, 2),
) -> pl.DataFrame:
    """Forecast accuracy past the point of emergence from the easiest and the hardest questions.

    Below the threshold, minus the Brier score of the easy and of the hard group are polynomials in log
    compute; their mean is extrapolated, turned into accuracy by the line that links the two below the
    threshold, and shifted to the mean accuracy there. The baseline is a logistic curve of accuracy above
    chance in log compute, as the authors draw it.

    Parameters
    ----------
    frame : DataFrame
        One row per model: compute, accuracy `score`, Brier scores of the easy group, the hard group and all
        questions (0 is best).
    threshold : float
        FLOP; models at or above are forecast.
    chance : float
        Score of guessing.
    degrees : (int, int)
        Of the polynomials for easy and hard.

    Returns
    -------
    DataFrame
        One row per model and method (``slice and sandwich``, ``logistic``): ``compute, observed, prediction``
        (clipped to [0, 1]), ``role`` (``fit`` or ``test``).

    References
    ----------
    Wu and Lo, arXiv:2410.01692, section 4, and the authors' ``fit_cluster.py``.
    """
    table = as_frame(frame)
    columns = [easy, hard, brier, score]
    need_columns(table, columns, "slice and sandwich", "name the columns of your frame.")
    check_scores(table.drop("unit", strict=False), score, "slice and sandwich")
    if not 0 <= chance < 1:
        raise DataError(f"chance={chance!r} is not a fraction below 1", "1 over the number of options.")
    done = table.with_columns(_x=compute_column(table, compute).log10())
    finite(done, [*columns, "_x"], "slice and sandwich")
    done = canonical(done, ["_x"])
    x = done["_x"].to_numpy()
    seen = x < np.log10(threshold)
    need = max(degrees) + 2
    if seen.sum() < need or seen.all():
        raise FitError(
            f"{int(seen.sum())} models below the threshold and {int((~seen).sum())} at or above",
            f"fit needs {need} below, and something to forecast above.",
        )

    def carried(column: str, degree: int) -> FloatArray:
        values = -done[column].cast(pl.Float64).to_numpy().astype(float)
        polynomial = np.polynomial.Polynomial.fit(x[seen], values[seen], degree)
        return np.asarray(polynomial(x))

    accuracy = done[score].cast(pl.Float64).to_numpy().astype(float)
    mean = (carried(easy, degrees[0]) + carried(hard, degrees[1])) / 2
    whole = -done[brier].cast(pl.Float64).to_numpy().astype(float)
    slope, intercept = np.polyfit(accuracy[seen], whole[seen], 1)
    forecast = (mean - intercept) / slope
    forecast = forecast + accuracy[seen].mean() - forecast[seen].mean()
    above = np.clip(accuracy - chance, 0, 1)  # the authors' own logit: scores below chance weigh heavily
    b1, b0 = np.polyfit(x[seen], np.log((above[seen] + 1e-6) / (1 - above[seen] + 1e-6)), 1)
    logistic = chance + expit(b0 + b1 * x)
    keys = [c for c in ("run_id", "model_name", "family", "task") if c in done.columns]
    return pl.concat(
        done.select(
            *keys,
            method=pl.lit(name),
            compute=10 ** pl.col("_x"),
            observed=pl.Series(accuracy),
            prediction=pl.Series(np.clip(values, 0, 1)),
            role=pl.when(pl.Series(seen)).then(pl.lit("fit")).otherwise(pl.lit("test")),
        )
        for name, values in (("slice and sandwich", forecast), ("logistic", logistic))
    )
