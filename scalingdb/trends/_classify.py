"""The label of a trend, with the evidence and the error rate behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, check_seed
from scalingdb.fits import as_frame
from scalingdb.judging.resampling import percentile_interval
from scalingdb.trends._panel import Panel, Scale, Series, inverse_link, read
from scalingdb.trends._tests import Array, Batch, Dispersion, Outcome, isotonic_rss, mann_kendall, squeeze

__all__ = ["LABELS", "classify", "curves"]

LABELS = ("improves", "worsens", "u_shaped", "inverted_u", "flat", "inconclusive")
"""Labels in the direction of skill: a falling loss ``improves``; ``u_shaped`` gets worse, then better."""

IMPROVES, WORSENS, U, INVERTED, FLAT, INCONCLUSIVE = range(6)
FAMILIES = ("improves", "worsens", "u_shaped", "inverted_u")

FLOOR = 0.2
"""Least dispersion credited to a series with known sampling error.

Models that answer the same items share their errors, so the scatter around a trend is usually below what
n_items says: over the sizes of Pythia's checkpoints (2,015 series) its median around a parabola is 0.57,
and 0.13 at the fifth percentile. The floor keeps a chance alignment of few points from passing as precision.
"""

SERIAL_FROM = 8
"""Fewest sizes whose residuals can say anything about the correlation of neighbours."""

POWER = 0.8
"""Power at which the detectable effect is stated."""

BOOTSTRAP_CELLS = 4_000_000
"""Values drawn at a time: bounds memory."""

NO_PRIOR = (0.0, 1.0)

Codes = npt.NDArray[np.int64]


def classify(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    x: str,
    y: str,
    by: str | Sequence[str] = (),
    higher_is_better: bool | None = None,
    n_items: str | None = None,
    chance: float | None = None,
    scale: Scale | None = None,
    ties: Literal["refuse", "mean"] = "refuse",
    dispersion: Literal["own", "pooled"] | float = "own",
    alike: str | Sequence[str] = (),
    margin: float = 0.05,
    level: float = DEFAULT_LEVEL,
    multiplicity: str | None = "fdr_bh",
    bootstrap: int = 200,
    rng: int = 0,
) -> pl.DataFrame:
    """Label the shape of every series: improves, worsens, u_shaped, inverted_u, flat or inconclusive.

    Values are taken along log x: fractions as empirical logits with binomial weights (Gart and Zweifel
    1967), perplexities as logarithms, other metrics as they are. A trend is claimed on a weighted slope
    and, from six sizes on, the Mann-Kendall test beside it (combined after Liu and Xie 2020), a reversal
    on the two-lines test (Simonsohn 2018). Scatter is estimated from the residuals of each series and
    referred to Student's t, so that seed and checkpoint noise does not turn into labels.
    ``flat`` is claimed when the change along x lies within `margin` with confidence 2 level - 1 and the fitted
    curve stays within it too, whether or not the small change is significant; all else is ``inconclusive``,
    and says what could have been detected.

    Parameters
    ----------
    frame : DataFrame
        One row per measured value. Columns ``n_items`` (or ``std_error``), ``metric``, ``unit``,
        ``chance_level`` are used where present; a series may hold one metric, task and number of shots.
    x : str
        Model size, tokens, compute: positive.
    y : str
        The score (a fraction from 0 to 1) or loss.
    by : str or sequence of str
        Columns that tell series apart; none if the frame is one series.
    higher_is_better : bool, optional
        Direction of the metric; from the metrics table if the frame has a column ``metric``, else fractions
        count as better when larger and anything else is refused.
    n_items : str, optional
        Column with the number of test items behind a value, if it is not called ``n_items``.
    chance : float, optional
        Score of guessing, where the frame has no ``chance_level``.
    scale : {"logit", "log", "identity"}, optional
        Overrides the choice above.
    ties : {"refuse", "mean"}
        What to do with several values at one x.
    dispersion : {"own", "pooled"} or float
        ``"own"``: scatter from each series alone. ``"pooled"``: shrunk towards that of all series of the
        call (Smyth 2004), which gives short series power if their noise is alike. A number takes it as
        known; 1 means sampling error only, which understates the noise of models that differ in a seed.
    alike : str or sequence of str
        With ``dispersion="pooled"``: columns within whose values the noise is pooled (a source, a family).
    margin : float
        Largest change that counts as flat: in the units of a fraction, relative for other metrics.
    level : float
        Coverage of the intervals, above 0.5; the two-sided tests behind each label are at 1 - level.
    multiplicity : str or None
        Method of ``statsmodels.stats.multitest.multipletests``, applied to each of the four claims over all
        series; None for none. The default holds the share of wrong ones among the series of a label.
    bootstrap : int
        Replications of each series (same sizes, noise as estimated) for `probability` and intervals of the
        turn; 0 leaves them null.
    rng : int

    Returns
    -------
    DataFrame
        One row per series, the keys first: ``label``, ``probability`` (share of replications that get the same
        label), ``leaning`` (most frequent definite label among them), ``effect, effect_low, effect_high``
        (change of the score from the smallest to the largest x along the fitted curve, averaged over models by
        Akaike weight; interval from the replications, or from the line if there are none; positive is better),
        ``reversal, reversal_low, reversal_high`` (x of the turn, where the label or the leaning has one),
        ``before, after`` (change on both sides of it), ``p_trend, p_reversal`` (two-sided), ``p_adjusted`` (of the
        label), ``p_slope, p_mann_kendall, tau``, ``aicc_constant, aicc_linear, aicc_quadratic, aicc_one_break``,
        ``best_model``, ``isotonic_up, isotonic_down`` (share of the scatter that a monotone curve explains),
        ``dispersion`` (of the linear fit, 1 is sampling error), ``chance_level, distance_to_chance`` (last
        value), ``p_chance``, ``detectable_effect`` (power 0.8), ``serial_correlation`` (of neighbouring residuals
        around a parabola; null below eight sizes), ``n_sizes, n_items, metric, reason, sentence``.

    Raises
    ------
    DataError
        For values outside 0 to 1 in a fraction, mixed metrics or shots, ties, missing values, x that is not
        positive, or an unknown direction; the series is named.
    UnknownNameError
        For a column that is not there.

    Notes
    -----
    Every p-value takes the noise of neighbouring sizes as independent. Where they share it (one data order, one
    schedule, models initialised from each other), flat series are called ``worsens`` too often: of 8 to 12 sizes 9 %
    at a correlation of 0.5 and 13 to 18 % at 0.8, where independent noise gives 2 % (level 0.95, 1,000 items). So few
    sizes cannot tell such noise from a trend (at 0.8 the estimated correlation averages 0.1 to 0.2), so the sentence
    states the assumption, and ``serial_correlation`` the estimate; nothing is corrected.

    References
    ----------
    Simonsohn (2018), Two Lines, doi 10.1177/2515245918805755. Burnham and Anderson (2002), section 2.5.
    Smyth (2004), doi 10.2202/1544-6115.1027. Liu and Xie (2020), doi 10.1080/01621459.2018.1554485.
    Error rates: ``benchmarks/trend_error_rates.py``.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> own = pl.DataFrame({"n_params": [1e8, 1e9, 1e10, 1e11], "score": [0.71, 0.62, 0.54, 0.43], "n_items": 1000})
    >>> sdb.trends.classify(own, x="n_params", y="score")["label"].item()
    'worsens'
    """
    check_level(level)
    return labelled(
        as_frame(frame),
        x,
        y,
        [by] if isinstance(by, str) else list(by),
        reading={
            "higher_is_better": higher_is_better,
            "scale": scale,
            "ties": ties,
            "chance": chance,
            "n_items": n_items,
            "alike": [alike] if isinstance(alike, str) else list(alike),
        },
        dispersion=dispersion,
        margin=margin,
        level=level,
        multiplicity=multiplicity,
        bootstrap=bootstrap,
        rng=rng,
    )


def labelled(
    frame: pl.DataFrame,
    x: str,
    y: str,
    keys: list[str],
    *,
    reading: dict[str, Any],
    dispersion: str | float,
    margin: float,
    level: float,
    multiplicity: str | None,
    bootstrap: int,
    rng: int,
    only: Sequence[str] = LABELS,
) -> pl.DataFrame:
    """What :func:`classify` does; `only` series with these labels are replicated (a scan spares the others)."""
    if taken := [key for key in keys if key in RESULTS]:
        raise DataError(f"column {taken[0]!r} of by= has the name of a column of the result", "rename it first.")
    if check_level(level) <= 0.5:
        raise DataError(f"level={level!r} is not above 0.5", "the tests are at 1 - level: for example level=0.95.")
    alpha = 1 - level
    if not margin > 0:
        raise DataError(f"margin={margin!r} is not positive")
    if not (dispersion in ("own", "pooled") or (isinstance(dispersion, (int, float)) and dispersion > 0)):
        raise DataError(f"dispersion={dispersion!r} is unknown", "'own', 'pooled', or a number such as 1.")
    panel = read(frame, x, y, keys, **reading)
    found = [_Tested(panel, series) for series in panel.batches()]
    priors = _pooled(found) if dispersion == "pooled" else {}
    for item in found:
        item.run(priors, float(dispersion) if not isinstance(dispersion, str) else None)
    cutoffs, adjusted = _adjust(found, alpha, multiplicity)
    generator = np.random.default_rng(check_seed(rng))
    parts = [
        item.table(cutoffs, adjusted[i], alpha, margin, bootstrap, generator, only) for i, item in enumerate(found)
    ]
    return _assemble(panel, parts, x)


class _Tested:
    """Series of equal length on their way through the tests."""

    def __init__(self, panel: Panel, series: Series) -> None:
        self.series = series
        self.about = panel.about[series.index.tolist()]
        self.scale: Scale = self.about["scale"][0]
        self.known = bool(series.known[0])
        self.pool: list[int] = self.about["_pool"].to_list()
        self.floor: Array = np.where(series.known, FLOOR, 0.0)
        self.sign = self.about["sign"].to_numpy()[:, None]
        logs = np.log10(series.x)
        self.t = logs - logs.mean(1, keepdims=True)
        self.offset = logs.mean(1)
        self.k = series.x.shape[1]

    def residual(self) -> tuple[Array, Array]:
        """Residual sum of squares and degrees of freedom of the quadratic fit (the linear one of four points)."""
        batch = Batch(self.t, self.series.w, Dispersion(self.floor))
        rss = batch.run(self.series.z[:, None, :]).rss
        return rss["quadratic"][:, 0], np.full(len(rss["quadratic"]), float(self.k - 3))

    def run(self, priors: Mapping[tuple[int, bool], tuple[float, float]], fixed: float | None) -> None:
        """Test, with a prior of the dispersion for each pool of series (none: an empty mapping)."""
        prior = np.array([priors.get((pool, self.known), NO_PRIOR) for pool in self.pool])
        self.batch = Batch(self.t, self.series.w, Dispersion(self.floor, prior[:, 0], prior[:, 1], fixed))
        self.outcome = self.batch.run(self.series.z[:, None, :])

    def claims(self) -> Array:
        """The p-value of each of the four claims, shape (4, m)."""
        return np.stack([p[:, 0] for p in _claims(self.outcome)])

    def table(
        self,
        cutoffs: Array,
        adjusted: Array,
        alpha: float,
        margin: float,
        bootstrap: int,
        rng: np.random.Generator,
        only: Sequence[str],
    ) -> dict[str, Any]:
        o, s = self.outcome, self.series
        level = self._back(s.z, self.sign)
        margins = np.full(len(s.z), margin) if self.scale == "logit" else margin * np.abs(level).mean(1)
        codes = self._label(o, cutoffs, alpha, margins)[:, 0]
        _, low, high = self._effect(o, alpha)
        effect = self._change(_averaged(o))
        _, df = self.batch.dispersion.of(o.rss["linear"], self.k - 2)
        constant = np.maximum(o.rss["constant"][:, 0], 1e-300)
        before, after = self._arms(o)
        table: dict[str, Any] = {
            "_series": s.index,
            "code": codes,
            "effect": effect[:, 0],
            "effect_low": low[:, 0],
            "effect_high": high[:, 0],
            "reversal": 10 ** (o.turn[:, 0] + self.offset),
            "before": before[:, 0],
            "after": after[:, 0],
            "p_trend": o.p_trend[:, 0],
            "p_slope": o.p_slope[:, 0],
            "p_reversal": o.p_reversal[:, 0],
            "p_mann_kendall": mann_kendall(s.z)[1],
            "tau": o.score[:, 0] / (self.k * (self.k - 1) / 2),
            **{f"aicc_{name}": value[:, 0] for name, value in o.aicc.items()},
            "isotonic_up": 1 - isotonic_rss(s.z, s.w) / constant,
            "isotonic_down": 1 - isotonic_rss(-s.z, s.w) / constant,
            "dispersion": self.batch.dispersion.of(o.rss["linear"], self.k - 2)[0][:, 0],
            "detectable_effect": self._detectable(o, df, alpha),
            "serial_correlation": self._serial_correlation(o),
            "n_items": np.where(np.isfinite(s.n_items).all(1), s.n_items.mean(1), np.nan),
            "known": s.known,
            "bends": np.sign(o.bend[:, 0]),
            **{f"adjusted_{name}": adjusted[i] for i, name in enumerate(FAMILIES)},
            **self._chance(),
        }
        wanted = np.flatnonzero(np.isin(codes, [LABELS.index(name) for name in only]))
        return table | self._bootstrap(cutoffs, alpha, margins, bootstrap, rng, wanted, table)

    def _back(self, z: Array, sign: Array) -> Array:
        """Score in its own units and direction."""
        return inverse_link(sign * z, self.scale)

    def _label(self, o: Outcome, cutoffs: Array, alpha: float, margins: Array) -> Codes:
        """Codes of shape (m, r)."""
        improves, worsens, u, inverted = _claims(o)
        codes = np.full(o.slope.shape, INCONCLUSIVE, dtype=np.int64)
        _, low, high = self._effect(o, 2 * alpha)
        broken = self._back(o.fitted["one_break"], self.sign[:, :, None])
        swing = broken.max(-1) - broken.min(-1)
        inside = (low > -margins[:, None]) & (high < margins[:, None]) & (swing < margins[:, None])
        # a curve that turns and fits better is no monotone trend, even where its turn is not proven, unless
        # one of its arms is too small to matter
        before, after = self._arms(o)
        turns = (before * after < 0) & (np.minimum(np.abs(before), np.abs(after)) > margins[:, None])
        turns &= o.aicc["one_break"] < np.minimum(o.aicc["linear"], o.aicc["constant"]) - 2
        codes[(improves <= cutoffs[0]) & ~turns] = IMPROVES
        codes[(worsens <= cutoffs[1]) & ~turns] = WORSENS
        codes[u <= cutoffs[2]] = U
        codes[inverted <= cutoffs[3]] = INVERTED
        codes[inside] = FLAT  # shown to be smaller than what matters, significant or not
        return codes

    def _effect(self, o: Outcome, alpha: float) -> tuple[Array, Array, Array]:
        """Change from the first to the last size along the weighted line, with a t interval (m, r)."""
        quantile = special.stdtrit(np.maximum(o.slope_df, 1e-9), 1 - alpha / 2)
        half = np.where(o.slope_df > 0, quantile * o.slope_se, np.inf)
        middle = self._middle(o)
        first = (self.t[:, :1] - self.batch.mean)[:, :, None][:, :, 0]
        last = (self.t[:, -1:] - self.batch.mean)[:, :, None][:, :, 0]

        def change(slope: Array) -> Array:
            ends = [self._back(middle + slope * end, self.sign) for end in (first, last)]
            return np.asarray((ends[1] - ends[0]) * self.sign)

        return change(o.slope), change(o.slope - half), change(o.slope + half)

    def _change(self, fitted: Array) -> Array:
        """Change of fitted curves (m, r, k) from end to end, in score units, positive is better."""
        ends = [self._back(fitted[:, :, i], self.sign) for i in (0, -1)]
        return np.asarray((ends[1] - ends[0]) * self.sign)

    def _middle(self, o: Outcome) -> Array:
        """Weighted mean of the line, shape (m, r)."""
        line = o.fitted["linear"]
        w = self.batch.w[:, None, :]
        return np.asarray((w * line).sum(-1) / w.sum(-1))

    def _arms(self, o: Outcome) -> tuple[Array, Array]:
        """Change before and after the turn along the one-break fit (m, r), in score units, positive is better."""
        first, last = o.fitted["one_break"][:, :, 0], o.fitted["one_break"][:, :, -1]
        turn = first + o.left * (o.turn - self.t[:, :1])
        low, at, high = (self._back(values, self.sign) for values in (first, turn, last))
        return self.sign * (at - low), self.sign * (high - at)

    def _detectable(self, o: Outcome, df: Array, alpha: float) -> Array:
        """End-to-end change that the trend test finds with power 0.8, around the mean level."""
        unique, where = np.unique(df[:, 0], return_inverse=True)
        needed = np.array([_noncentrality(float(d), alpha) for d in unique])[where]
        shift = needed * o.slope_se[:, 0] * (self.t[:, -1] - self.t[:, 0]) / 2
        middle = self._middle(o)[:, 0]
        sign = self.sign[:, 0]
        return np.abs(self._back(middle + shift, sign) - self._back(middle - shift, sign))

    def _serial_correlation(self, o: Outcome) -> Array:
        """Correlation of neighbouring residuals around the parabola; missing below `SERIAL_FROM` sizes.

        The p residuals that a fit takes away make it too low by p / k on average, which is added back.
        """
        if self.k < SERIAL_FROM:
            return np.full(len(self.t), np.nan)
        residual = (self.series.z - o.fitted["quadratic"][:, 0, :]) * np.sqrt(self.series.w)
        total = (residual**2).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            raw = (residual[:, 1:] * residual[:, :-1]).sum(1) / total
        return np.where(total > 0, np.clip(raw + 3 / self.k, -1.0, 1.0), np.nan)

    def _chance(self) -> dict[str, Any]:
        """Distance of the last value to chance, and the test that all values are chance."""
        s = self.series
        level = self.about["chance_level"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        usable = np.isfinite(level) & (level > 0) & (level < 1) & s.known & (self.scale == "logit")
        c = np.where(usable, level, 0.5)[:, None]
        n = np.where(usable[:, None], s.n_items, 1.0)
        statistic = (n * (s.y - c) ** 2 / (c * (1 - c))).sum(1)
        return {
            "distance_to_chance": s.y[:, -1] - level,
            "p_chance": np.where(usable, special.chdtrc(self.k, statistic), np.nan),
        }

    def _bootstrap(
        self,
        cutoffs: Array,
        alpha: float,
        margins: Array,
        replications: int,
        rng: np.random.Generator,
        wanted: npt.NDArray[np.intp],
        table: dict[str, Any],
    ) -> dict[str, Any]:
        """Replicate the wanted series around their averaged curves, and label the replications."""
        m, k = self.t.shape
        shares = np.full((m, 6), np.nan)
        low, high = np.full(m, np.nan), np.full(m, np.nan)
        effect_low, effect_high = table["effect_low"].copy(), table["effect_high"].copy()
        result = {
            "shares": shares,
            "reversal_low": low,
            "reversal_high": high,
            "effect_low": effect_low,
            "effect_high": effect_high,
        }
        if replications <= 0:
            return result
        o = self.outcome
        centre = _averaged(o)[:, 0, :]
        noise, df = self._noise(o)
        step = max(1, BOOTSTRAP_CELLS // (replications * k * 4))
        for start in range(0, len(wanted), step):
            part = wanted[start : start + step]
            sub = _Part(self, part)
            size = len(part)
            # the dispersion itself is uncertain: redrawn, never below its floor
            chi = rng.chisquare(np.minimum(df[part], 1e6)[:, None], (size, replications)) / df[part][:, None]
            drawn = np.maximum(noise[part][:, None] / np.maximum(chi, 0.05), self.floor[part][:, None])
            error = rng.standard_normal((size, replications, k)) * np.sqrt(drawn[:, :, None] / sub.w[:, None, :])
            again = sub.batch.run(centre[part][:, None, :] + error)
            codes = sub.tested._label(again, cutoffs, alpha, margins[part])
            changes = sub.tested._change(_averaged(again))
            effect_low[part], effect_high[part] = percentile_interval(changes, 1 - alpha, axis=1)
            for code in range(6):
                shares[part, code] = (codes == code).mean(1)
            same = np.sign(again.bend) == np.sign(o.bend[part])
            same &= again.left * again.right < 0
            turns = np.where(same, again.turn, np.nan)
            enough = same.sum(1) >= 10
            if enough.any():
                quantiles = percentile_interval(turns[enough], 1 - alpha, axis=1)
                where = part[enough]
                low[where] = 10 ** (quantiles[0] + self.offset[where])
                high[where] = 10 ** (quantiles[1] + self.offset[where])
        return result

    def _noise(self, o: Outcome) -> tuple[Array, Array]:
        """Dispersion of the best curve that leaves residual degrees of freedom."""
        names = [("linear", 2), ("quadratic", 3), ("one_break", 4)]
        names = [(name, size) for name, size in names if self.k - size >= 2] or names[:1]
        values = [self.batch.dispersion.of(o.rss[name][:, 0], self.k - size) for name, size in names]
        best = np.argmin([np.where(np.isnan(v), np.inf, v) for v, _ in values], axis=0)
        rows = np.arange(len(best))
        return np.stack([v for v, _ in values])[best, rows], np.stack([d for _, d in values])[best, rows]


class _Part:
    """Some of the tested series, with a batch of their own."""

    def __init__(self, whole: _Tested, part: npt.NDArray[np.intp]) -> None:
        self.t, self.w = whole.t[part], whole.series.w[part]
        self.batch = Batch(self.t, self.w, whole.batch.dispersion.part(part))
        self.tested = object.__new__(_Tested)
        self.tested.batch, self.tested.t, self.tested.k = self.batch, self.t, whole.k
        self.tested.sign, self.tested.scale = whole.sign[part], whole.scale


def _claims(o: Outcome) -> tuple[Array, Array, Array, Array]:
    """Two-sided p-values of the four claims; 1 where the data point the other way."""
    return (
        np.where(o.slope > 0, o.p_trend, 1.0),
        np.where(o.slope < 0, o.p_trend, 1.0),
        np.where(o.bend > 0, o.p_reversal, 1.0),
        np.where(o.bend < 0, o.p_reversal, 1.0),
    )


def _averaged(o: Outcome) -> Array:
    """Fitted curve averaged over the models that change with x, by Akaike weight (m, r, k)."""
    names = list(o.fitted)
    values = np.stack([o.aicc[name] for name in names])
    best = values.min(0)
    with np.errstate(invalid="ignore"):
        weights = np.where(np.isfinite(best), np.exp(-0.5 * (values - best)), [[[1.0]], [[0.0]], [[0.0]]])
    weights = np.nan_to_num(weights) / np.nan_to_num(weights).sum(0)
    return np.asarray(sum(w[:, :, None] * o.fitted[name] for w, name in zip(weights, names, strict=True)))


def _noncentrality(df: float, alpha: float) -> float:
    """Noncentrality at which a two-sided t-test of level alpha has the stated power."""
    if df <= 0:
        return np.inf
    critical = float(special.stdtrit(df, 1 - alpha / 2))
    if df > 1e5:
        return critical + float(special.ndtri(POWER))
    return float(special.nctdtrinc(df, 1 - POWER, critical))


def _pooled(found: Sequence[_Tested]) -> dict[tuple[int, bool], tuple[float, float]]:
    """Prior of the dispersion for each pool of series, apart for those with and without known sampling error."""
    collected: dict[tuple[int, bool], list[tuple[float, float]]] = {}
    for item in found:
        for pool, rss, df in zip(item.pool, *item.residual(), strict=True):
            collected.setdefault((pool, item.known), []).append((rss, df))
    return {key: squeeze(*np.array(pairs).T) for key, pairs in collected.items()}


def _adjust(found: Sequence[_Tested], alpha: float, method: str | None) -> tuple[Array, list[Array]]:
    """Largest p-value that each claim may have, and adjusted p-values of shape (4, m) for each batch."""
    if not found:
        return np.full(4, alpha), []
    p = np.concatenate([item.claims() for item in found], axis=1)
    adjusted = p
    if method is not None and p.shape[1] > 1:
        try:
            adjusted = np.stack([_corrected(row, alpha, method) for row in p])
        except ValueError as error:
            raise DataError(f"multiplicity={method!r} is unknown", "for example 'fdr_bh', 'holm', None.") from error
    rejected = adjusted <= alpha
    smallest = alpha / p.shape[1] if method is not None else alpha
    cutoffs = np.array([max(row[hit].max(initial=0.0), smallest) for row, hit in zip(p, rejected, strict=True)])
    cuts = np.cumsum([len(item.series.index) for item in found])[:-1]
    return np.minimum(cutoffs, alpha), np.split(adjusted, cuts, axis=1)


def _corrected(p: Array, alpha: float, method: str) -> Array:
    from statsmodels.stats.multitest import multipletests

    return np.asarray(multipletests(p, alpha=alpha, method=method)[1])  # type: ignore[no-untyped-call]


# ---- the table -----------------------------------------------------------------------------------

NUMBERS = (
    "effect",
    "effect_low",
    "effect_high",
    "reversal",
    "reversal_low",
    "reversal_high",
    "before",
    "after",
    "p_trend",
    "p_reversal",
    "p_adjusted",
    "p_slope",
    "p_mann_kendall",
    "tau",
    "aicc_constant",
    "aicc_linear",
    "aicc_quadratic",
    "aicc_one_break",
    "isotonic_up",
    "isotonic_down",
    "dispersion",
    "distance_to_chance",
    "p_chance",
    "detectable_effect",
    "serial_correlation",
    "n_items",
)


RESULTS = (
    "label",
    "probability",
    "leaning",
    *NUMBERS,
    "best_model",
    "chance_level",
    "n_sizes",
    "x_first",
    "x_last",
    "scale",
    "reason",
    "sentence",
)
"""Columns of the result beside the keys and the metric."""


def _assemble(panel: Panel, parts: Sequence[dict[str, Any]], x: str) -> pl.DataFrame:
    rows = [row for part in parts for row in _rows(part)]
    schema: dict[str, Any] = {
        "_series": pl.Int64,
        "label": pl.String,
        "probability": pl.Float64,
        "leaning": pl.String,
        **dict.fromkeys(NUMBERS, pl.Float64),
        "best_model": pl.String,
        "known": pl.Boolean,
        "why": pl.String,
    }
    tested = pl.DataFrame(rows, schema=schema)
    numeric = [pl.col(name).fill_nan(None) for name in ("probability", *NUMBERS)]
    table = (
        panel.about.join(tested.with_columns(numeric), on="_series", how="left", maintain_order="left")
        .sort("_series")
        .with_columns(pl.col("label").fill_null("inconclusive"), pl.coalesce("reason", "why").alias("reason"))
    )
    if "metric" not in table.columns:
        table = table.with_columns(metric=pl.lit(None, pl.String))
    sentences = [_sentence(row, x) for row in table.iter_rows(named=True)]
    columns = [*panel.keys, *RESULTS, *(["metric"] if "metric" not in panel.keys else [])]
    return table.with_columns(pl.Series("sentence", sentences, dtype=pl.String)).select(columns)


def _rows(part: dict[str, Any]) -> list[dict[str, Any]]:
    shares = part["shares"]
    models = ("constant", "linear", "quadratic", "one_break")
    rows = []
    for i, index in enumerate(part["_series"]):
        code = int(part["code"][i])
        row: dict[str, Any] = {name: float(part[name][i]) for name in NUMBERS if name in part}
        for name in models:
            if not np.isfinite(row[f"aicc_{name}"]):
                row[f"aicc_{name}"] = None
        fits = {name: row[f"aicc_{name}"] for name in models if row[f"aicc_{name}"] is not None}
        row["best_model"] = min(fits, key=lambda name: fits[name]) if fits else None
        why = None
        at_chance = row["p_chance"] > 0.05 if np.isfinite(row["p_chance"]) else False
        if code not in (IMPROVES, WORSENS) and at_chance:
            code = INCONCLUSIVE
            why = "all scores are within sampling error of chance: the task does not measure these models"
        elif code == INCONCLUSIVE:
            why = _why(row, part["bends"][i])
        family = LABELS[code]
        row["p_adjusted"] = float(part[f"adjusted_{family}"][i]) if family in FAMILIES else None
        row["leaning"] = None
        if np.isfinite(shares[i, code]):
            row["probability"] = float(shares[i, code])
            definite = int(shares[i, :INCONCLUSIVE].argmax())
            row["leaning"] = LABELS[definite] if shares[i, definite] >= 0.05 else None
        if not {family, row["leaning"]} & {"u_shaped", "inverted_u"}:
            for name in ("reversal", "reversal_low", "reversal_high", "before", "after"):
                row[name] = None
        rows.append(row | {"_series": int(index), "label": LABELS[code], "known": bool(part["known"][i]), "why": why})
    return rows


def _why(row: dict[str, Any], bends: float) -> str:
    if row["best_model"] in ("quadratic", "one_break") and row["p_trend"] > 0.05:
        shape = "a U" if bends > 0 else "an inverted U"
        return f"a curve fits best, but the two arms of {shape} are not both established"
    if row["p_trend"] <= 0.05:
        return "the trend does not survive the correction for multiplicity, or a curve that turns fits better"
    return "the scatter around a line leaves the direction open"


def _sentence(row: dict[str, Any], x: str) -> str:
    """What was found, as a person would say it."""
    start = f"{row['n_sizes']} sizes"
    if row["effect"] is None:
        return f"Inconclusive: {row['reason']}."
    unit = "" if row["scale"] != "logit" else " (fraction)"
    interval = f"{row['effect']:+.3g}{unit}, 95 % interval {row['effect_low']:+.3g} to {row['effect_high']:+.3g}"
    certain = (
        ""
        if row["probability"] is None
        else f" A replication would get the same label with probability {row['probability']:.2f}."
    )
    assumed = " if neighbouring sizes share no noise"
    if row["serial_correlation"] is not None and row["serial_correlation"] > 0.5:
        assumed += f" (their residuals correlate by {row['serial_correlation']:.1f})"
    if row["label"] in ("improves", "worsens"):
        verb = row["label"].capitalize()
        return f"{verb} with {x} over {start}: {interval}, adjusted p = {row['p_adjusted']:.2g}{assumed}.{certain}"
    if row["label"] in ("u_shaped", "inverted_u"):
        name = "U-shaped" if row["label"] == "u_shaped" else "Inverted U"
        between = (
            f" ({row['reversal_low']:.2g} to {row['reversal_high']:.2g})" if row["reversal_low"] is not None else ""
        )
        return (
            f"{name} over {start}: {row['before']:+.3g} up to {x} = {row['reversal']:.2g}{between}, "
            f"{row['after']:+.3g} after it, adjusted p = {row['p_adjusted']:.2g}{assumed}.{certain}"
        )
    if row["label"] == "flat":
        return f"Flat over {start}: {interval}.{certain}"
    lean = f" It leans to '{row['leaning']}'." if row["leaning"] else ""
    able = f" A change of {row['detectable_effect']:.2g} would have been detected with power 0.8."
    return f"Inconclusive over {start}: {row['reason']}; {interval}.{able}{lean}"


def curves(
    frame: pl.DataFrame | pl.LazyFrame, *, x: str, y: str, by: str | Sequence[str] = (), **options: Any
) -> pl.DataFrame:
    """Observed values and the averaged curve of every series, as :func:`classify` sees them.

    Parameters
    ----------
    frame, x, y, by
        As for :func:`classify`.
    **options
        ``higher_is_better, n_items, chance, scale, ties`` of :func:`classify`.

    Returns
    -------
    DataFrame
        The keys, ``x``, ``kind`` (``observed`` or ``fitted``), ``y, low, high``: observed values with the 95 %
        interval of their sampling error (null where it is not known), the fitted curve at the sizes with one of
        its position, from the estimated scatter.
    """
    keys = [by] if isinstance(by, str) else list(by)
    settings: dict[str, Any] = {
        "higher_is_better": None,
        "scale": None,
        "ties": "refuse",
        "chance": None,
        "n_items": None,
    }
    panel = read(as_frame(frame), x, y, keys, **(settings | options))
    parts = [
        panel.rows.filter(
            ~pl.col("_series").is_in(panel.about.filter(pl.col("reason").is_null())["_series"].implode())
        ).select(
            "_series",
            x="_x",
            y="_y",
            kind=pl.lit("observed"),
            low=pl.lit(None, pl.Float64),
            high=pl.lit(None, pl.Float64),
        )
    ]
    for series in panel.batches():
        item = _Tested(panel, series)
        item.run({}, None)
        o = item.outcome
        centre = _averaged(o)[:, 0, :]
        noise, df = item._noise(o)
        width = np.sqrt(noise[:, None] * (item.batch.q0**2 + item.batch.q1**2 + item.batch.q2**2))
        width *= special.stdtrit(df, 0.975)[:, None]
        error = np.where(series.known[:, None], 1.96 / np.sqrt(series.w), np.nan)
        shape = series.x.shape
        ids = np.repeat(series.index, shape[1])
        for kind, middle, half in (("observed", series.z, error), ("fitted", centre, width)):
            ends = [item._back(middle + side * half, item.sign) for side in (-1, 1)]
            values = series.y if kind == "observed" else item._back(middle, item.sign)
            parts.append(
                pl.DataFrame(
                    {
                        "_series": ids,
                        "x": series.x.ravel(),
                        "y": values.ravel(),
                        "kind": [kind] * ids.size,
                        "low": np.minimum(*ends).ravel(),
                        "high": np.maximum(*ends).ravel(),
                    }
                ).with_columns(pl.col("low", "high").fill_nan(None))
            )
    joined = pl.concat([p.select("_series", "x", "kind", "y", "low", "high") for p in parts])
    return (
        joined.join(panel.about.select("_series", *keys), on="_series", maintain_order="left")
        .sort("_series", "kind", "x")
        .select(*keys, "x", "kind", "y", "low", "high")
    )
