"""Tests of a trend's shape, for many series at once: arrays in, arrays out.

All series of a :class:`Batch` have the same number of points k. Values are on the working scale
(empirical logits, logarithms, or as they are), oriented so that larger is better, with an extra axis
for resamples: shape (m, r, k). Weights are inverse variances up to a dispersion common to the series.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

__all__ = ["Batch", "Dispersion", "Outcome", "combined", "isotonic_rss", "mann_kendall", "squeeze"]

Array = npt.NDArray[np.float64]

MAX_BREAKS = 21
"""Places of the break that are tried in a long series."""

BREAK_PENALTY = 1.25
"""Factor on the p-value of the two-lines test for choosing the break on the same values.

Without it 12 sizes that stay level and then improve are called U-shaped in up to 5.7 % of simulations at
level 0.95, with it in fewer than 5 % (``benchmarks/trend_error_rates.py``).
"""

RANK_FROM = 6
"""Fewest sizes at which the rank test takes part: with 4 it cannot reach 5 %, with 5 only if all agree."""

TINY = 1e-20


@dataclass(frozen=True)
class Dispersion:
    """How the scatter around a curve is estimated.

    From the residuals, and never below `floor` (in units of the sampling error, where it is known). With
    a prior (`prior_df`, `prior_value`) the estimate is shrunk towards what other series show (Smyth 2004,
    eq. 5). `fixed` takes the scatter as known.
    """

    floor: Array
    prior_df: Array | float = 0.0
    prior_value: Array | float = 1.0
    fixed: float | None = None

    def part(self, rows: npt.NDArray[np.intp]) -> Dispersion:
        """That of some of the series."""
        df, value = (v[rows] if isinstance(v, np.ndarray) else v for v in (self.prior_df, self.prior_value))
        return Dispersion(self.floor[rows], df, value, self.fixed)

    def of(self, rss: Array, df: float | Array) -> tuple[Array, Array]:
        """Dispersion and its degrees of freedom from residual sums of squares (m, ...)."""
        df = np.broadcast_to(np.asarray(df, float), rss.shape)
        if self.fixed is not None:
            return np.full(rss.shape, self.fixed), np.full(rss.shape, 1e9)
        shape = (-1,) + (1,) * (rss.ndim - 1)
        floor, prior_df, prior = (
            np.asarray(value, float).reshape(shape) for value in (self.floor, self.prior_df, self.prior_value)
        )
        total = prior_df + df
        with np.errstate(invalid="ignore", divide="ignore"):
            value = (prior_df * prior + np.maximum(rss, 0.0)) / total
        value = np.where(total > 0, np.maximum(np.maximum(value, floor), TINY), np.nan)
        return value, total


def squeeze(rss: Array, df: Array) -> tuple[float, float]:
    """Prior of the dispersion from many series: degrees of freedom and value.

    Moments of log(rss / df), as Smyth (2004, section 6.2) estimates them; infinite degrees of freedom
    (here 1e6) where the series scatter no more than chance.
    """
    keep = (df > 0) & (rss > 0)
    if keep.sum() < 3:
        return 0.0, 1.0
    rss, df = rss[keep], df[keep]
    log = np.log(rss / df) - special.digamma(df / 2) + np.log(df / 2)
    mean = float(log.mean())
    excess = float(np.mean((log - mean) ** 2) * len(log) / (len(log) - 1) - _trigamma(df / 2).mean())
    if excess <= 0:
        return 1e6, float(np.exp(mean))
    low, high = 1e-3, 1e6  # the trigamma function falls: bisection on the logarithm
    for _ in range(80):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if _trigamma(middle) > excess else (low, middle)
    return 2 * low, float(np.exp(mean + special.digamma(low) - np.log(low)))


def _trigamma(value: Array | float) -> Array:
    return np.asarray(special.polygamma(1, value))


@dataclass(frozen=True)
class Outcome:
    """What the tests say; every field has the shape (m, r) unless stated."""

    slope: Array
    slope_se: Array
    slope_df: Array
    p_slope: Array
    """Two-sided, weighted slope against Student's t."""
    score: npt.NDArray[np.int64]
    """Mann-Kendall S."""
    p_rank: Array
    """Two-sided, Mann-Kendall; 1 where its direction is not that of the slope."""
    p_trend: Array
    """Both combined (Liu and Xie 2020); the slope alone below `RANK_FROM` sizes."""
    p_reversal: Array
    """Two-lines test: the larger of the two-sided p-values of the arms, 1 where their signs do not differ."""
    bend: Array
    """Right slope minus left slope of the one-break model: positive for a U."""
    turn: Array
    """Break of the one-break model, on the scale of t."""
    left: Array
    right: Array
    """Slopes of the one-break model."""
    rss: dict[str, Array]
    """Weighted residual sums of squares: constant, linear, quadratic, one_break."""
    aicc: dict[str, Array]
    fitted: dict[str, Array]
    """Fitted values (m, r, k) of linear, quadratic and one_break."""
    two_lines_at: Array
    """Break of the two-lines test, as an index of the sizes; a fraction lies between two of them."""


class Batch:
    """Series with k points each: everything that does not depend on the measured values is computed once.

    Parameters
    ----------
    t : array, shape (m, k)
        Positions, ascending and distinct in each row.
    w : array, shape (m, k)
        Inverse variances at dispersion 1.
    dispersion : Dispersion
    """

    def __init__(self, t: Array, w: Array, dispersion: Dispersion) -> None:
        self.t, self.w, self.dispersion = t, w, dispersion
        self.m, self.k = t.shape
        mean = _dot(w, t)[:, None] / w.sum(1)[:, None]
        centred = t - mean
        self.mean = mean
        self.q0 = np.ones_like(t) / np.sqrt(w.sum(1))[:, None]
        self.norm = np.sqrt(_dot(w, centred**2))[:, None]
        self.q1 = centred / self.norm
        self.q2 = _unit(self._orthogonal(centred**2), w)[0]
        self.breaks = self._breaks()  # (m, C)
        hinge = np.maximum(t[:, None, :] - self.breaks[:, :, None], 0.0)  # (m, C, k)
        self.hinge_slope = np.einsum("mk,mck->mc", w * self.q1, hinge) / self.norm
        self.hinge, self.hinge_norm = _unit(self._orthogonal(hinge), w[:, None, :])

    def _orthogonal(self, columns: Array) -> Array:
        w, q0, q1 = (a if columns.ndim == 2 else a[:, None, :] for a in (self.w, self.q0, self.q1))
        for q in (q0, q1, q0, q1):  # twice is enough
            columns = columns - (w * q * columns).sum(-1, keepdims=True) * q
        return columns

    def _breaks(self) -> Array:
        """Interior sizes and the middles between them, at most `MAX_BREAKS`."""
        inner = self.t[:, 1:-1]
        places = np.sort(np.concatenate([inner, (inner[:, 1:] + inner[:, :-1]) / 2], axis=1), axis=1)
        if places.shape[1] > MAX_BREAKS:
            places = places[:, np.unique(np.linspace(0, places.shape[1] - 1, MAX_BREAKS).round().astype(int))]
        return places

    def run(self, z: Array) -> Outcome:
        """All tests on values of shape (m, r, k)."""
        w, k = self.w[:, None, :], self.k
        wz = w * z
        c0, c1, c2 = (np.einsum("mrk,mk->mr", wz, q) for q in (self.q0, self.q1, self.q2))
        flat = c0[:, :, None] * self.q0[:, None, :]
        line = flat + c1[:, :, None] * self.q1[:, None, :]
        curve = line + c2[:, :, None] * self.q2[:, None, :]
        rss = {
            "constant": (w * (z - flat) ** 2).sum(-1),
            "linear": (w * (z - line) ** 2).sum(-1),
            "quadratic": (w * (z - curve) ** 2).sum(-1),
        }
        projected = np.einsum("mrk,mck->mrc", wz, self.hinge)
        best = (projected**2).argmax(-1)  # (m, r)
        rows = np.arange(self.m)[:, None]
        amount = np.take_along_axis(projected, best[:, :, None], 2)[:, :, 0]
        chosen = self.hinge[rows, best]  # (m, r, k)
        broken = line + amount[:, :, None] * chosen
        rss["one_break"] = (w * (z - broken) ** 2).sum(-1)
        bend = amount / self.hinge_norm[rows, best]
        slope = c1 / self.norm
        left = slope - bend * self.hinge_slope[rows, best]
        phi, df = self.dispersion.of(rss["linear"], k - 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            slope_se = np.sqrt(phi) / self.norm
            p_slope = _two_sided(slope / slope_se, df)
        score, p_rank = mann_kendall(z)
        p_rank = np.where(score * slope > 0, p_rank, 1.0)
        p_reversal, at = self._two_lines(z, broken, chosen, rss["one_break"], bend)
        return Outcome(
            slope=slope,
            slope_se=slope_se,
            slope_df=df,
            p_slope=p_slope,
            score=score,
            p_rank=p_rank,
            p_trend=combined(p_slope, p_rank) if k >= RANK_FROM else p_slope,
            p_reversal=p_reversal,
            bend=bend,
            turn=self.breaks[rows, best],
            left=left,
            right=left + bend,
            rss=rss,
            aicc=self._aicc(rss),
            fitted={"linear": line, "quadratic": curve, "one_break": broken},
            two_lines_at=at,
        )

    def _aicc(self, rss: dict[str, Array]) -> dict[str, Array]:
        """AICc of each model, or quasi-AICc where the sampling error is known; infinite with too few points.

        Where it is known, the scatter beyond it is taken from the richest model that leaves two
        degrees of freedom (Burnham and Anderson 2002, section 2.5).
        """
        k = self.k
        sizes = {"constant": 1, "linear": 2, "quadratic": 3, "one_break": 4}
        richest = max((name for name, size in sizes.items() if k - size >= 2), key=lambda name: sizes[name])
        scale, _ = self.dispersion.of(rss[richest], k - sizes[richest])
        known = (self.dispersion.floor > 0)[:, None] | (self.dispersion.fixed is not None)
        found = {}
        for name, size in sizes.items():
            n_params = np.where(known, size, size + 1)
            left = k - n_params - 1
            deviance = np.where(known, rss[name] / np.maximum(scale, 1.0), k * np.log(np.maximum(rss[name], TINY) / k))
            with np.errstate(divide="ignore"):
                penalty = 2 * n_params + 2 * n_params * (n_params + 1) / np.maximum(left, 0)
            found[name] = np.where(left > 0, deviance + penalty, np.inf)
        return found

    def _two_lines(self, z: Array, smooth: Array, chosen: Array, rss: Array, bend: Array) -> tuple[Array, Array]:
        """Two-lines test of Simonsohn (2018): opposite slopes on both sides of a break, each significant.

        The break is set by the paper's Robin Hood rule: among the inner points whose smooth value lies
        within one standard error of the most extreme one, it moves from the middle towards the side
        with the stronger line, so that the weaker line gains points. A point at the break belongs to
        the arm under test in either regression; a break between two points parts them. With so few points
        the smooth curve is the one-break fit (the paper: a spline), and standard errors rest on the weights
        and a common dispersion (the paper: sandwich).
        """
        k, m = self.k, self.m
        r = z.shape[1]
        phi, _ = self.dispersion.of(rss, k - 4)
        phi = np.where(np.isnan(phi), 1.0, phi)
        se = np.sqrt(phi[:, :, None] * ((self.q0**2 + self.q1**2)[:, None, :] + chosen**2))
        side = np.where(bend >= 0, 1.0, -1.0)[:, :, None]
        inner, inner_se = (side * smooth)[:, :, 1:-1], se[:, :, 1:-1]
        flat = inner - inner_se < inner.min(-1, keepdims=True)
        first = flat.argmax(-1) + 1
        last = k - 2 - flat[:, :, ::-1].argmax(-1)
        t1, p1, b1 = self._arms(z, left=True)
        t2, p2, b2 = self._arms(z, left=False)
        rows, draws = np.arange(m)[:, None], np.arange(r)[None, :]

        def arms_at(place: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
            """Last point of the left line and first of the right one: the same where the break is a point."""
            return np.floor(place + 1e-9).astype(np.intp), np.ceil(place - 1e-9).astype(np.intp)

        end, start = arms_at((first + last) / 2)
        s1, s2 = np.abs(t1[rows, draws, end]), np.abs(t2[rows, draws, start])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.nan_to_num(s2 / (s1 + s2), nan=0.5)
        place = first + (last - first) * share
        end, start = arms_at(place)
        low, high = b1[rows, draws, end], b2[rows, draws, start]
        opposite = (low * side[:, :, 0] < 0) & (high * side[:, :, 0] > 0)
        p = np.maximum(p1[rows, draws, end], p2[rows, draws, start])
        return np.where(opposite & np.isfinite(p), np.minimum(BREAK_PENALTY * p, 1.0), 1.0), place

    def _arms(self, z: Array, *, left: bool) -> tuple[Array, Array, Array]:
        """Statistic, p-value and slope of the arm that holds the break, for a break at each point (m, r, k)."""
        w, k = self.w, self.k
        centred = z - (w[:, None, :] * z).sum(-1, keepdims=True) / w.sum(1)[:, None, None]
        t = (self.t - self.mean) / self.norm * np.sqrt(w.sum(1))[:, None]
        unit = self.norm / np.sqrt(w.sum(1))[:, None]
        if not left:
            w, t, centred = w[:, ::-1], t[:, ::-1], centred[:, :, ::-1]

        def line(mask_from: bool) -> tuple[Array, Array, Array]:
            """Slope, information and residual sum of squares of points up to i, or after i."""

            def collect(values: Array) -> Array:
                sums = np.cumsum(values, axis=-1)
                return sums[..., -1:] - sums if mask_from else sums

            s, st, stt = (collect(v)[:, None, :] for v in (w, w * t, w * t**2))
            wz = w[:, None, :] * centred
            sz, stz, szz = collect(wz), collect(wz * t[:, None, :]), collect(wz * centred)
            with np.errstate(invalid="ignore", divide="ignore"):
                information = stt - st**2 / s
                slope = (stz - st * sz / s) / information
                rest = szz - sz**2 / s - slope**2 * information
            return slope, information, rest

        slope, information, rest = line(mask_from=False)
        _, _, other = line(mask_from=True)
        n_arm = np.arange(1, k + 1)
        rest = np.where(n_arm > 2, np.maximum(rest, 0.0), 0.0)
        other = np.where(k - n_arm > 2, np.maximum(other, 0.0), 0.0)
        df = np.maximum(n_arm - 2, 0) + np.maximum(k - n_arm - 2, 0)
        phi, total = self.dispersion.of(rest + other, df)
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = slope / np.sqrt(phi / information)
        usable = (n_arm >= 2) & (n_arm < k) & np.isfinite(statistic)
        p = np.where(usable, _two_sided(np.where(usable, statistic, 0.0), total), np.nan)
        statistic = np.where(usable, statistic, 0.0)
        slope = np.where(usable, slope, 0.0) / unit[:, None, :]
        if not left:
            return -statistic[:, :, ::-1], p[:, :, ::-1], slope[:, :, ::-1]
        return statistic, p, slope


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(np.einsum("mk,mk->m", a, b))


def _unit(columns: Array, w: Array) -> tuple[Array, Array]:
    """Columns of weighted length 1, and their length before."""
    length = np.sqrt((w * columns**2).sum(-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.where(length[..., None] > 1e-9, columns / length[..., None], 0.0)
    return unit, np.where(length > 1e-9, length, np.inf)


def _two_sided(statistic: Array, df: Array) -> Array:
    p: Array = 2 * special.stdtr(np.maximum(df, 1e-9), -np.abs(statistic))
    return np.where((df > 0) & np.isfinite(p), p, 1.0)


@functools.lru_cache(maxsize=4096)
def _kendall_p(k: int, score: int) -> float:
    """Two-sided p of Kendall's S without ties, from SciPy: a permutation with the right number of inversions."""
    from scipy import stats

    inversions = (k * (k - 1) // 2 - abs(score)) // 2
    free, order = list(range(k)), []
    for place in range(k):  # Lehmer code
        digit = min(inversions, k - 1 - place)
        inversions -= digit
        order.append(free.pop(digit))
    return float(stats.kendalltau(range(k), order).pvalue)


def mann_kendall(z: Array) -> tuple[npt.NDArray[np.int64], Array]:
    """Mann-Kendall S and its two-sided p-value along the last axis of z, which is in order of size.

    Exact up to the length at which SciPy goes over to the normal limit. With ties in z the p-value of the
    next smaller S without ties is given, which is conservative.
    """
    k = z.shape[-1]
    score = np.zeros(z.shape[:-1], dtype=np.int64)
    for lag in range(1, k):
        score += np.sign(z[..., lag:] - z[..., :-lag]).sum(-1).astype(np.int64)
    parity = (k * (k - 1) // 2) % 2
    even = np.maximum(np.abs(score) - ((np.abs(score) - parity) % 2), parity)
    unique, where = np.unique(even, return_inverse=True)
    p = np.array([_kendall_p(k, int(value)) for value in unique])[where].reshape(score.shape)
    return score, np.where(score == 0, 1.0, p)


def combined(first: Array, second: Array) -> Array:
    """One p-value from two dependent ones: the Cauchy combination of Liu and Xie (2020, eq. 1), equal weights.

    The larger one counts as 0.5 at most, so that it at worst doubles the smaller one instead of cancelling it.
    """
    least, most = np.maximum(np.minimum(first, second), 1e-15), np.minimum(np.maximum(first, second), 0.5)
    total = (_cauchy(least) + _cauchy(most)) / 2
    # beyond 1e5 the arctangent loses its digits: the tail of the Cauchy distribution is 1 / (pi t)
    p = np.where(total > 1e5, 1 / (np.pi * np.maximum(total, 1.0)), 0.5 - np.arctan(total) / np.pi)
    return np.where(least < 0.5, p, least)


def _cauchy(p: Array) -> Array:
    return np.asarray(np.where(p < 1e-6, 1 / (np.pi * p), np.tan((0.5 - np.clip(p, 1e-6, 0.99)) * np.pi)))


def isotonic_rss(z: Array, w: Array) -> Array:
    """Weighted residual sum of squares of the non-decreasing fit to each row, by the max-min formula.

    Robertson, Wright and Dykstra (1988), theorem 1.4.4: the fit at i is the largest, over starts
    s <= i, of the smallest, over ends e >= i, of the weighted mean from s to e.
    """
    m, k = z.shape
    sums = np.concatenate([np.zeros((m, 1)), np.cumsum(w * z, 1)], 1)
    weights = np.concatenate([np.zeros((m, 1)), np.cumsum(w, 1)], 1)
    best = np.full((m, k), -np.inf)
    for start in range(k):
        means = (sums[:, start + 1 :] - sums[:, start, None]) / (weights[:, start + 1 :] - weights[:, start, None])
        ahead = np.minimum.accumulate(means[:, ::-1], 1)[:, ::-1]
        best[:, start:] = np.maximum(best[:, start:], ahead)
    return np.asarray((w * (z - best) ** 2).sum(1))
