"""Small estimates on scores: pass rates by stopping at r, gaps to a fitted curve, bounds and nested limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, check_seed
from scalingdb.fits import Fit
from scalingdb.judging.resampling import percentile_interval

__all__ = ["alignment_score", "monolingual_gap", "nested_limit", "stop_at_r", "upper_bound"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def stop_at_r(
    n_samples: Sequence[float], n_passes: Sequence[float] | None = None, *, r: int = 1, level: float = DEFAULT_LEVEL
) -> pl.DataFrame:
    """Pass rates of questions that were sampled until r answers passed, with their intervals.

    Sampling until the r-th success resolves rates of any size; a fixed number of samples calls everything below one in
    so many zero. A question that was given up before its r-th success is censored: where nothing passed, only
    the upper end of its rate is known.

    Parameters
    ----------
    n_samples : sequence of float
        Samples K that were drawn for each question.
    n_passes : sequence of float, optional
        Answers that passed among them; `r` where not given. Fewer than `r` mean that sampling was given up.
    r : int
        Successes after which sampling stopped.
    level : float

    Returns
    -------
    DataFrame
        ``n_samples, n_passes, pass_rate`` (the maximum-likelihood estimate r/K), ``unbiased`` ((r-1)/(K-1), null for
        r = 1), ``low, high, censored``. Intervals are exact: under inverse sampling the number of samples beyond the
        r-th success is binomial in turn, so that the ends are quantiles of a beta distribution.

    Raises
    ------
    DataError
        If counts are not whole, or more answers passed than were drawn or than sampling stopped at.

    References
    ----------
    Hu et al., arXiv:2310.03262; Haldane, Biometrika 33 (1945) 222-225 (inverse sampling).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.downstream.stop_at_r([20, 1000], [2, 0], r=2).select("pass_rate", "censored").rows()
    [(0.1, False), (0.0, True)]
    """
    check_level(level)
    from scipy.special import betaincinv

    drawn = np.asarray(n_samples, dtype=float)
    passed = np.full(drawn.shape, float(r)) if n_passes is None else np.asarray(n_passes, dtype=float)
    counts = np.concatenate([drawn, passed, [r]])
    if drawn.shape != passed.shape or not np.isfinite(counts).all() or (counts != np.round(counts)).any() or r < 1:
        raise DataError("samples, passes and r must be whole numbers, one pair per question", "check the columns.")
    if (passed > drawn).any() or (passed > r).any() or (passed < 0).any() or (drawn < 1).any():
        at = int(np.flatnonzero((passed > drawn) | (passed > r) | (passed < 0) | (drawn < 1))[0])
        raise DataError(
            f"question {at} has {passed[at]:g} passes in {drawn[at]:g} samples with r={r}",
            "sampling stops at the r-th pass, so there are never more.",
        )
    tail = (1 - level) / 2
    censored = passed < r
    with np.errstate(all="ignore"):
        low = np.where(passed > 0, betaincinv(np.maximum(passed, 1), drawn - passed + 1, tail), 0.0)
        # stopped at a success: that success itself carries no information on the upper end
        rest = np.where(censored, drawn - passed, np.maximum(drawn - passed, 0))
        first = np.where(censored, passed + 1, passed)
        high = np.where(rest > 0, betaincinv(first, np.maximum(rest, 1), 1 - tail), 1.0)
        unbiased = np.where(~censored & (r > 1), (passed - 1) / (drawn - 1), np.nan)
    return pl.DataFrame(
        {
            "n_samples": drawn,
            "n_passes": passed,
            "pass_rate": passed / drawn,
            "unbiased": unbiased,
            "low": low,
            "high": high,
            "censored": censored,
        }
    ).with_columns(pl.col("unbiased").fill_nan(None))


def monolingual_gap(fit: Fit, single: float, *, at: float = 1.0, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
    """How far training on one language alone falls short of what the curve over several says of one.

    Parameters
    ----------
    fit : Fit
        Of a law of the number of training languages, to runs with at least two.
    single : float
        The score of the run with one language.
    at : float
        Number of languages of that run.
    level : float

    Returns
    -------
    DataFrame
        One row: ``observed, expected, expected_low, expected_high`` (the law at one language, as uncertain as its
        parameters), ``gap`` (expected minus observed) with ``gap_low`` and ``gap_high``.

    Raises
    ------
    DataError
        If the law takes more than one input, or the run itself was fitted.

    References
    ----------
    arXiv:2510.02272 (a leap from one language to two, and a power law beyond).

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> runs = pl.DataFrame({"n_languages": [2.0, 3, 4, 6, 8], "transfer": [2.2, 2.6, 2.9, 3.4, 3.8]})
    >>> law = sdb.law("languages", cite="own", inputs=("n_languages",), output="transfer",
    ...               params={"A": sdb.positive, "alpha": sdb.exponent})(lambda n_languages, A, alpha: A *
    ...                                                                 n_languages**alpha)
    >>> sdb.downstream.monolingual_gap(sdb.fit(runs, law, objective="mse_log"), 1.2)["gap"].round(2).item()
    0.48
    """
    check_level(level)
    if len(fit.law.inputs) != 1:
        raise DataError(f"law {fit.law.name!r} takes {len(fit.law.inputs)} inputs", "fit a law of the languages alone.")
    column = fit.recipe.columns[fit.law.inputs[0]]
    if (fit.data[column].cast(pl.Float64) <= at).any():
        raise DataError(f"the fit holds rows with {column} at or below {at:g}", "fit the runs with more languages.")
    made = fit.predict(pl.DataFrame({column: [float(at)]}), level, noise=False).row(0, named=True)
    expected, low, high = made["prediction"], made["low"], made["high"]
    columns = {"observed": single, "expected": expected, "expected_low": low, "expected_high": high}
    gaps = {"gap": expected - single, "gap_low": low - single, "gap_high": high - single}
    return pl.DataFrame({name: [value] for name, value in {**columns, **gaps}.items()})


def upper_bound(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    quantile: float = 0.9,
    n_resamples: int = 1000,
    level: float = DEFAULT_LEVEL,
    rng: int = 0,
) -> pl.DataFrame:
    """Whether one metric bounds another from above: a line through the upper tail, and who lies beyond it.

    Parameters
    ----------
    frame : DataFrame
    x, y : str
        The metric that is said to set the bound, and the one that is bounded.
    quantile : float
        Share of the rows that the line leaves below itself.
    n_resamples : int
    level : float
    rng : int

    Returns
    -------
    DataFrame
        One row: ``slope`` with ``slope_low`` and ``slope_high`` from resampled rows, ``intercept``, ``share_above``,
        ``spearman`` of the two metrics, ``n_rows``, and ``rises`` (whether the slope of the bound is above 0 at this
        level). A bound that does not rise with `x` is none.

    Raises
    ------
    DataError
        If there are fewer than eight rows, or a column is missing or constant.

    References
    ----------
    arXiv:2510.11693 (generative quality bounds representation quality); Koenker, Quantile Regression
    (2005).

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> import scalingdb as sdb
    >>> x = np.linspace(0, 1, 40)
    >>> pairs = pl.DataFrame({"generation": x, "embedding": x * (0.2 + 0.8 * np.abs(np.cos(7 * np.arange(40))))})
    >>> sdb.downstream.upper_bound(pairs, "generation", "embedding")["rises"].item()
    True
    """
    check_level(level)
    for name in (x, y):
        if name not in frame.columns:
            raise DataError(f"the frame has no column {name!r}", f"it has {', '.join(frame.columns)}.")
    pairs = frame.select(pl.col(x, y).cast(pl.Float64)).drop_nulls()
    if pairs.height < 8 or pairs[x].n_unique() < 3:
        raise DataError(f"{pairs.height} rows with both metrics do not show a bound", "take at least eight models.")
    if not 0.5 < quantile < 1:
        raise DataError(f"quantile={quantile!r} is not an upper quantile", "for example 0.9.")
    a, b = pairs[x].to_numpy(), pairs[y].to_numpy()
    generator = np.random.default_rng(check_seed(rng))
    intercept, slope = _quantile_line(a, b, quantile)
    drawn = []
    for _ in range(n_resamples):
        rows = generator.integers(0, a.size, a.size)
        if np.unique(a[rows]).size > 2:
            drawn.append(_quantile_line(a[rows], b[rows], quantile)[1])
    low, high = percentile_interval(np.array(drawn), level)
    spearman = pairs.select(pl.corr(x, y, method="spearman")).item()
    return pl.DataFrame(
        {
            "slope": [slope],
            "slope_low": [float(low)],
            "slope_high": [float(high)],
            "intercept": [intercept],
            "share_above": [float((b > intercept + slope * a + 1e-12).mean())],
            "spearman": [spearman],
            "n_rows": [pairs.height],
            "rises": [bool(low > 0)],
        }
    )


def _quantile_line(x: FloatArray, y: FloatArray, quantile: float) -> tuple[float, float]:
    """Intercept and slope of the line that leaves a share of points below itself: smallest weighted absolute error.

    The best line passes through two of the points, so that all pairs are tried.
    """
    i, j = np.triu_indices(x.size, 1)
    good = x[i] != x[j]
    i, j = i[good], j[good]
    slope = (y[j] - y[i]) / (x[j] - x[i])
    intercept = y[i] - slope * x[i]
    off = y[None] - intercept[:, None] - slope[:, None] * x[None]
    loss = np.where(off > 0, quantile * off, (quantile - 1) * off).sum(1)
    best = int(loss.argmin())
    return float(intercept[best]), float(slope[best])


def nested_limit(
    limits: Mapping[float, Fit] | pl.DataFrame,
    *,
    param: str = "E",
    level: float = DEFAULT_LEVEL,
    n_draws: int = 4000,
    rng: int = 0,
) -> pl.DataFrame:
    """The limit of limits: a floor is fitted for every size, and the floors are followed to infinite size in turn.

    ``E(k) = E_inf + A / k`` is fitted to the floors by weighted least squares, each weighted by its own error, which
    is carried into the limit.

    Parameters
    ----------
    limits : mapping of float to Fit, or DataFrame
        A fit for each value k of the outer quantity (members of an ensemble, say), or its floors: ``k, estimate,
        std_error``.
    param : str
        Parameter of the fits that is the floor.
    level : float
    n_draws : int
        Draws of the floors.
    rng : int

    Returns
    -------
    DataFrame
        One row: ``limit, low, high, slope, chi_square, n_points``. ``chi_square`` per degree of freedom far above 1
        says that the floors do not follow 1/k.

    Raises
    ------
    DataError
        If there are fewer than three floors, or one has no error.

    References
    ----------
    Kim et al., arXiv:2509.14786 (limits over members of an ensemble and over parameters).

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> floors = pl.DataFrame({"k": [1.0, 2, 4, 8], "estimate": [3.4, 3.3, 3.25, 3.225], "std_error": [0.01] * 4})
    >>> sdb.downstream.nested_limit(floors)["limit"].round(3).item()
    3.2
    """
    check_level(level)
    if isinstance(limits, pl.DataFrame):
        rows = [(float(r["k"]), r["estimate"], r["std_error"]) for r in limits.iter_rows(named=True)]
    else:
        rows = []
        for k, fitted in limits.items():
            row = fitted.tidy(level).filter(param=param).row(0, named=True)
            rows.append((float(k), row["estimate"], row["std_error"]))
    if len(rows) < 3:
        raise DataError(f"{len(rows)} floor(s) have no limit", "fit at least three sizes.")
    if any(error is None or not error > 0 for _, _, error in rows):
        k = next(k for k, _, error in rows if error is None or not error > 0)
        raise DataError(f"the floor at {k:g} has no error", "its fit does not determine it: see its verdict.")
    sizes, floor, error = np.array(rows, dtype=float).T
    design = np.column_stack([np.ones(sizes.size), 1 / sizes]) / error[:, None]
    inverse = np.linalg.pinv(design)
    best = inverse @ (floor / error)
    noise = np.random.default_rng(check_seed(rng)).standard_normal((n_draws, sizes.size))
    drawn = (inverse @ ((floor + error * noise) / error).T)[0]
    low, high = (float(end) for end in percentile_interval(drawn, level))
    misfit = float(np.square(floor / error - design @ best).sum() / max(sizes.size - 2, 1))
    values = {
        "limit": best[0],
        "low": low,
        "high": high,
        "slope": best[1],
        "chi_square": misfit,
        "n_points": sizes.size,
    }
    return pl.DataFrame({name: [value] for name, value in values.items()})


def alignment_score(source_share: float, target_share: float) -> float:
    """How well pretraining data go with a translation task: ``P_src * P_dest + 0.7 * P_src + 0.8 * P_dest``.

    Where it is high, BLEU follows the log law of the pretraining tokens; where it is low, BLEU may rise and fall, and
    should not be fitted (see :func:`scalingdb.trends.flags`).

    Parameters
    ----------
    source_share, target_share : float
        Shares of the source and of the target language in the pretraining data, together at most 1.

    Raises
    ------
    DataError
        If a share is not one, or they add up to more than 1.

    References
    ----------
    Isik et al., arXiv:2402.04177, eq. 2.

    Examples
    --------
    >>> alignment_score(0.5, 0.5), alignment_score(1.0, 0.0)
    (1.0, 0.7)
    """
    if not (0 <= source_share <= 1 and 0 <= target_share <= 1 and source_share + target_share <= 1 + 1e-12):
        raise DataError(f"shares {source_share!r} and {target_share!r} are no parts of a whole", "give two shares.")
    return source_share * target_share + 0.7 * source_share + 0.8 * target_share
