"""Pass@k: the chance that one of k attempts succeeds, its law, and how far a few samples carry.

The mean over problems of pass@k often follows ``-ln pass@k = a k^-b``. The reason (arXiv:2502.17578) is
a heavy left tail of single-attempt success rates, so the exponent can be read off the distribution of
these rates, with far fewer samples than the curve itself needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import FloatArray, as_frame, canonical, finite, label_rows, need_columns, result_table
from scalingdb.errors import DataError, FitError, check_level, check_seed
from scalingdb.judging.resampling import percentile_interval
from scalingdb.law_library import get_law
from scalingdb.units import Amount

__all__ = [
    "PassLaw",
    "extrapolation_errors",
    "pass_aggregate_law",
    "pass_at_k",
    "pass_curve",
    "pass_mixture_law",
    "thin",
]

Counts = tuple[FloatArray, FloatArray]

SHORT = 32
"""Factors up to which pass@k is a product, exact where gamma functions would cancel."""


def pass_at_k(
    n_samples: Amount | Sequence[float], n_correct: Amount | Sequence[float], k: Amount | Sequence[float]
) -> FloatArray:
    """Unbiased estimate of pass@k from `n_correct` successes in `n_samples` attempts.

    ``1 - C(n - c, k) / C(n, k)`` (Chen et al., arXiv:2107.03374), by logarithms of gamma functions, so that
    large counts do not overflow. Arguments broadcast.

    Raises
    ------
    DataError
        If k exceeds the number of samples anywhere: beyond it, nothing was measured. Also for counts
        that are no counts.
    """
    from scipy.special import gammaln

    n, c, many = np.broadcast_arrays(*(np.asarray(a, dtype=float) for a in (n_samples, n_correct, k)))
    wrong = ~((c >= 0) & (c <= n) & (n >= 1) & (many >= 1))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{int(wrong.sum())} entries are no counts, the first: {c.flat[first]:g} successes in {n.flat[first]:g} "
            f"attempts at k = {many.flat[first]:g}",
            "0 <= n_correct <= n_samples and k >= 1.",
        )
    beyond = many > n
    if beyond.any():
        first = int(np.flatnonzero(beyond)[0])
        raise DataError(
            f"k = {many.flat[first]:g} exceeds the {n.flat[first]:g} samples of {int(beyond.sum())} entries",
            "choose k up to the number of samples; a law extrapolates beyond, the estimator does not.",
        )
    enough = n - c >= many
    few, rest = np.minimum(c, many), np.maximum(c, many)
    left = np.where(enough, n - c, many)
    log_fail = gammaln(left + 1) - gammaln(left - many + 1) - gammaln(n + 1) + gammaln(n - many + 1)
    # the difference of large logarithms loses digits; with few successes the product of C / C is short
    short = enough & (few <= SHORT)
    total = np.zeros_like(n)
    for j in range(int(few[short].max(initial=0))):
        used = short & (j < few)
        total += np.where(used, np.log1p(-np.where(used, rest / np.maximum(n - j, 1), 0.0)), 0.0)
    log_fail = np.where(short, total, log_fail)
    return np.asarray(np.where(enough, -np.expm1(np.minimum(log_fail, 0.0)), 1.0))


def _counts(frame: pl.DataFrame) -> Counts:
    table = as_frame(frame)
    need_columns(table, ["n_samples", "n_correct"], "pass@k", "one row per problem: attempts and successes.")
    if table.is_empty():
        raise DataError("the frame is empty: there are no problems", "check the filters that led to it.")
    finite(table, ["n_samples", "n_correct"], "pass@k")
    bad = (table["n_correct"] < 0) | (table["n_correct"] > table["n_samples"]) | (table["n_samples"] < 1)
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} problem(s) have more successes than attempts\n"
            + label_rows(table, bad, "n_samples", "n_correct"),
            "n_correct counts successes among n_samples attempts.",
        )
    ordered = table.select(pl.col("n_samples", "n_correct").cast(pl.Float64)).sort("n_samples", "n_correct")
    return ordered["n_samples"].to_numpy().astype(float), ordered["n_correct"].to_numpy().astype(float)


def _grid(largest: float, points: int = 25) -> FloatArray:
    return np.unique(np.round(np.geomspace(1, largest, points)))


def pass_curve(
    frame: pl.DataFrame, k: Sequence[float] | None = None, *, bootstrap: int = 200, rng: int = 0
) -> pl.DataFrame:
    """Mean over problems of pass@k, with an interval from resampling problems.

    Parameters
    ----------
    frame : DataFrame
        One row per problem: ``n_samples, n_correct``.
    k : sequence of float, optional
        25 values from 1 to the smallest number of samples by default: beyond that the mean would be
        over other problems.

    Returns
    -------
    DataFrame
        ``k, pass_at_k, low, high, neg_log, n_problems``.
    """
    n, c = _counts(frame)
    grid = _grid(n.min()) if k is None else np.asarray(list(k), dtype=float)
    each = pass_at_k(n[:, None], c[:, None], grid[None, :])
    generator = np.random.default_rng(check_seed(rng))
    weights = generator.multinomial(n.size, np.full(n.size, 1 / n.size), size=bootstrap) / n.size
    low, high = percentile_interval(weights @ each, DEFAULT_LEVEL)
    mean = each.mean(axis=0)
    with np.errstate(divide="ignore"):
        neg_log = -np.log(mean)
    return pl.DataFrame(
        {
            "k": grid,
            "pass_at_k": mean,
            "low": low,
            "high": high,
            "neg_log": np.where(np.isfinite(neg_log), neg_log, np.nan),
            "n_problems": np.full(grid.size, n.size),
        }
    ).with_columns(pl.col("neg_log").fill_nan(None))


@told
@dataclass(frozen=True, eq=False)
class PassLaw:
    """A law of pass@k for one model on one set of problems.

    Attributes
    ----------
    kind : {"aggregate", "mixture"}
    params : dict
        ``a, b`` of ``-ln pass@k = a k^-b``; or ``alpha, beta, zero`` of the distribution of success
        rates (a share ``zero`` never succeeds, the rest follow a Beta distribution).
    exponent : float
        ``b``, or ``alpha``: the power with which ``-ln pass@k`` falls as k grows.
    low, high : float
        95 % interval of the exponent, from resampling problems.
    n_problems : int
    samples : array (B, n_params)
        Bootstrap estimates.
    """

    kind: str
    params: dict[str, float]
    exponent: float
    low: float
    high: float
    n_problems: int
    samples: FloatArray = field(repr=False)

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per parameter: ``param, estimate, low, high`` (from resampling problems)."""
        check_level(level)
        known = len(self.samples) > 0
        ends = percentile_interval(self.samples, level) if known else np.full((2, len(self.params)), np.nan)
        return pl.DataFrame(
            {"param": list(self.params), "estimate": list(self.params.values()), "low": ends[0], "high": ends[1]}
        ).with_columns(pl.col("low", "high").fill_nan(None))

    def glance(self) -> pl.DataFrame:
        """One row: ``kind, exponent, low, high, n_problems``."""
        return pl.DataFrame(
            {
                "kind": [self.kind],
                "exponent": [self.exponent],
                "low": [self.low],
                "high": [self.high],
                "n_problems": [self.n_problems],
            }
        ).with_columns(pl.col("low", "high").fill_nan(None))

    def predict(self, k: Sequence[float] | FloatArray, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """``k, prediction, low, high`` of pass@k."""
        check_level(level)
        grid = np.asarray(k, dtype=float)
        curve = _aggregate_curve if self.kind == "aggregate" else _mixture_curve
        values = curve(np.array([list(self.params.values())]), grid)[0]
        unknown = np.full(grid.size, np.nan)
        low, high = percentile_interval(curve(self.samples, grid), level) if len(self.samples) else (unknown, unknown)
        return pl.DataFrame({"k": grid, "prediction": values, "low": low, "high": high}).with_columns(
            pl.col("low", "high").fill_nan(None)
        )

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def _aggregate_curve(params: FloatArray, k: FloatArray) -> FloatArray:
    return np.asarray(get_law("exponentiated_power").function(k[None, :], a=params[:, [0]], b=params[:, [1]]))


def _mixture_curve(params: FloatArray, k: FloatArray) -> FloatArray:
    failing = get_law("pass_at_k_mixture").function(k[None, :], alpha=params[:, [0]], beta=params[:, [1]])
    return np.asarray((1 - params[:, [2]]) * (1 - failing))


def _interval(values: FloatArray) -> tuple[float, float]:
    low, high = percentile_interval(values, DEFAULT_LEVEL)
    return float(low), float(high)


def _aggregate_fit(curves: FloatArray, k: FloatArray) -> FloatArray:
    """Straight lines of ln(-ln pass@k) on ln k: (B, n_k) means to (B, 2) of a and b."""
    x = np.log(k)
    out = np.full((curves.shape[0], 2), np.nan)
    with np.errstate(all="ignore"):
        y = np.log(-np.log(curves))
    for row, values in enumerate(y):
        good = np.isfinite(values)
        if good.sum() >= 2:
            slope, intercept = np.polyfit(x[good], values[good], 1)
            out[row] = np.exp(intercept), -slope
    return out


def pass_aggregate_law(
    frame: pl.DataFrame, k: Sequence[float] | None = None, *, bootstrap: int = 200, rng: int = 0
) -> PassLaw:
    """Fit ``-ln(mean pass@k) = a k^-b`` by least squares on logarithms.

    Parameters
    ----------
    frame : DataFrame
        One row per problem: ``n_samples, n_correct``.
    k : sequence of float, optional
        As for :func:`pass_curve`.
    bootstrap, rng : int
        Resamples of problems, and the seed.

    Raises
    ------
    FitError
        If no problem was ever solved, or all always: the logarithm has nothing to follow.

    References
    ----------
    Brown et al., arXiv:2407.21787; Schaeffer et al., arXiv:2502.17578.
    """
    n, c = _counts(frame)
    if c.sum() == 0 or (c == n).all():
        raise FitError(
            f"{'no' if c.sum() == 0 else 'every'} attempt at the {n.size} problems succeeded: -ln pass@k has no course",
            "choose problems that are solved sometimes, or draw more samples.",
        )
    grid = _grid(n.min()) if k is None else np.asarray(list(k), dtype=float)
    each = pass_at_k(n[:, None], c[:, None], grid[None, :])
    generator = np.random.default_rng(check_seed(rng))
    weights = generator.multinomial(n.size, np.full(n.size, 1 / n.size), size=bootstrap) / n.size
    a, b = _aggregate_fit(each.mean(axis=0, keepdims=True), grid)[0]
    samples = _aggregate_fit(weights @ each, grid)
    samples = samples[np.isfinite(samples).all(axis=1)]
    low, high = _interval(samples[:, 1])
    return PassLaw("aggregate", {"a": float(a), "b": float(b)}, float(b), low, high, n.size, samples)


def pass_mixture_law(frame: pl.DataFrame, *, zero: bool = False, bootstrap: int = 50, rng: int = 0) -> PassLaw:
    """Fit the distribution of single-attempt success rates by maximum likelihood.

    Successes of a problem are beta-binomial; with `zero`, a share of the problems is never solved.
    Then ``1 - pass@k = B(alpha, beta + k) / B(alpha, beta)``, which falls as ``k^-alpha``.

    Parameters
    ----------
    frame : DataFrame
        One row per problem: ``n_samples, n_correct``.
    zero : bool
        Allow a share of hopeless problems. It takes many samples to distinguish them from very hard ones, and
        makes pass@k level off.
    bootstrap, rng : int
        Resamples of problems, and the seed.

    Raises
    ------
    FitError
        If no problem was ever solved, or all problems have the same counts.

    References
    ----------
    Schaeffer et al., arXiv:2502.17578, section 5 (they scale the interval of the rates; here it is [0, 1]).
    """
    n, c = _counts(frame)
    if c.sum() == 0 or np.unique(c / n).size < 2:
        raise FitError(
            f"the {n.size} problems all have a success rate of {c[0] / n[0]:g}: it has no distribution",
            "choose problems that differ, or draw more samples.",
        )
    ones = np.ones(n.size)
    best = _mixture_fit(n, c, ones, zero, None)
    generator = np.random.default_rng(check_seed(rng))
    samples = np.array(
        [
            _mixture_fit(n, c, w, zero, best)
            for w in generator.multinomial(n.size, np.full(n.size, 1 / n.size), size=bootstrap).astype(float)
        ]
    ).reshape(-1, 3)
    low, high = _interval(samples[:, 0]) if bootstrap else (float("nan"), float("nan"))
    names = ("alpha", "beta", "zero")
    return PassLaw(
        "mixture", dict(zip(names, map(float, best), strict=True)), float(best[0]), low, high, n.size, samples
    )


def _mixture_fit(
    n: FloatArray, c: FloatArray, weights: FloatArray, zero: bool, start: NDArray[Any] | None
) -> FloatArray:
    from scipy.optimize import minimize
    from scipy.special import betaln, expit, logit, psi

    counts, inverse = np.unique(np.column_stack([n, c]), axis=0, return_inverse=True)
    w = np.bincount(inverse.ravel(), weights=weights)
    m, s = counts[:, 0], counts[:, 1]

    def objective(p: FloatArray) -> tuple[float, FloatArray]:
        alpha, beta = np.exp(p[:2])
        share = float(expit(p[2])) if zero else 0.0
        log_p = betaln(alpha + s, beta + m - s) - betaln(alpha, beta)
        base = psi(alpha + beta + m) - psi(alpha + beta)
        d_alpha = psi(alpha + s) - psi(alpha) - base
        d_beta = psi(beta + m - s) - psi(beta) - base
        none = s == 0
        likelihood = np.where(none & zero, share + (1 - share) * np.exp(log_p), 1.0)
        total = np.where(none & zero, np.log(likelihood), np.log1p(-share) + log_p)
        inner = np.where(none & zero, (1 - share) * np.exp(log_p) / likelihood, 1.0)
        gradient = [-np.sum(w * inner * d_alpha) * alpha, -np.sum(w * inner * d_beta) * beta]
        if zero:
            d_share = np.where(none, (1 - np.exp(log_p)) / likelihood, -1 / (1 - share))
            gradient.append(-np.sum(w * d_share) * share * (1 - share))
        return float(-np.sum(w * total)), np.array(gradient)

    mean = float(np.clip(np.average(c / n, weights=weights), 1e-6, 1 - 1e-6))
    begins = [[np.log(a), np.log(a * (1 - mean) / mean), -2.0] for a in (0.1, 0.3, 1.0)]
    if start is not None:
        begins = [[np.log(start[0]), np.log(start[1]), float(logit(np.clip(start[2], 1e-3, 0.999)))]]
    best = None
    bounds = [(-12, 8), (-12, 25), (-12, 12)]
    for begin in begins:
        size = 3 if zero else 2
        solution = minimize(objective, begin[:size], jac=True, method="L-BFGS-B", bounds=bounds[:size])
        if np.isfinite(solution.fun) and (best is None or solution.fun < best.fun):
            best = solution
    if best is None:
        raise FitError("the likelihood of the success rates is not finite anywhere", "check the counts.")
    return np.array([np.exp(best.x[0]), np.exp(best.x[1]), float(expit(best.x[2])) if zero else 0.0])


def thin(frame: pl.DataFrame, fraction: float, *, rng: int = 0) -> pl.DataFrame:
    """Keep a random part of every problem's attempts, without putting any back.

    The number of successes among them is hypergeometric: the exact distribution of a smaller
    experiment on the same attempts.
    """
    if not 0 < fraction <= 1:
        raise DataError(f"fraction={fraction!r} is not between 0 and 1", "for example 0.1.")
    table = as_frame(frame)
    n, c = _counts(table)
    kept = np.maximum(np.round(fraction * n), 1).astype(np.int64)
    generator = np.random.default_rng(check_seed(rng))
    successes = generator.hypergeometric(c.astype(np.int64), (n - c).astype(np.int64), kept)
    order = canonical(table.with_row_index("~row"), ["n_samples", "n_correct"])["~row"].to_numpy()
    back = np.argsort(order)
    return table.with_columns(
        n_samples=pl.Series(kept[back], dtype=pl.Float64), n_correct=pl.Series(successes[back], dtype=pl.Float64)
    )


def extrapolation_errors(
    frame: pl.DataFrame, *, fraction: float = 0.1, repeats: int = 20, zero: bool = False, rng: int = 0
) -> pl.DataFrame:
    """How well each law, fitted on a part of the samples, predicts pass@k at all of them.

    Parameters
    ----------
    frame : DataFrame
        One row per problem: ``n_samples, n_correct``.
    fraction : float
        Share of the attempts that the laws see.
    repeats : int
        Random parts.
    zero : bool
        As for :func:`pass_mixture_law`.

    Returns
    -------
    DataFrame
        One row per law and repeat: ``kind, repeat, exponent, k`` (the smallest number of samples of a
        problem), ``prediction, observed, error`` (difference of pass@k) and ``log_error``
        (ratio of ``-ln pass@k``, as a logarithm).
    """
    if repeats < 1:
        raise DataError(f"repeats={repeats!r} is not a count", "give 20 or more.")
    n, c = _counts(frame)
    target = float(n.min())
    observed = float(pass_at_k(n, c, target).mean())
    if not 0 < observed < 1:
        raise FitError(f"pass@{target:g} is {observed:g}: there is nothing left to predict", "choose harder problems.")
    out = []
    for repeat in range(repeats):
        part = thin(frame, fraction, rng=rng + repeat)
        for kind in ("aggregate", "mixture"):
            try:
                law = (
                    pass_aggregate_law(part, bootstrap=1)
                    if kind == "aggregate"
                    else pass_mixture_law(part, zero=zero, bootstrap=0)
                )
            except FitError:
                continue
            curve = _aggregate_curve if kind == "aggregate" else _mixture_curve
            value = float(curve(np.array([list(law.params.values())]), np.array([target]))[0, 0])
            out.append(
                {
                    "kind": kind,
                    "repeat": repeat,
                    "exponent": law.exponent,
                    "k": target,
                    "prediction": value,
                    "observed": observed,
                    "error": value - observed,
                    "log_error": float(np.log(-np.log(np.clip(value, 1e-12, 1 - 1e-12))) - np.log(-np.log(observed))),
                }
            )
    if not out:
        raise FitError("no part of the samples holds a success: neither law can be fitted", "raise the fraction.")
    return pl.DataFrame(out)
