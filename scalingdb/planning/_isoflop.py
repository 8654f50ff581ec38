"""IsoFLOP curves: a parabola through the runs of each budget, and what it may have done to the answer."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitError, FitWarning, unknown_name
from scalingdb.fits import fit, refuse_bad_values
from scalingdb.planning._surface import BoolArray, FloatArray
from scalingdb.planning._words import count, flop, four

__all__ = [
    "SIZES",
    "Kept",
    "Slice",
    "bias_report",
    "coordinate",
    "kept_runs",
    "need",
    "resampled_lines",
    "size_column",
    "slices_of",
    "straight",
    "vertex",
]

SIZES = ("n_params", "n_tokens")

OUTLYING_SHARE = 0.5
"""Share of the range of a budget's other losses by which a run must miss its parabola before it can be left out.

Twice as much for the smallest and the largest run: there a parabola itself misses the law.
"""

OUTLYING_RISK = 1e-3
"""Probability that a budget without outliers loses a run (Bonferroni over its runs)."""

BUMP_SHARE = 1 / 3
"""Share of the range of a budget's losses by which a run must lie above smaller and larger ones to break the U."""

EDGE = 0.02
"""Share of the half-width of a budget's grid within which a vertex counts as at the edge."""

SHRINK = 4.0
"""Degrees of freedom given to the noise of all budgets when that of one budget is estimated."""

MOST_TRIPLES = 2000
"""Parabolas through three runs that are tried for the robust one."""


def straight(x: FloatArray, y: FloatArray, slope: float | None = None) -> tuple[float, float]:
    """Intercept and slope of a least-squares line, the slope as given if it is."""
    if slope is not None:
        return float(np.mean(y - slope * x)), slope
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope)


@dataclass(frozen=True, eq=False)
class Slice:
    """The runs of one budget."""

    log_c: float
    log_n: FloatArray
    log_d: FloatArray
    loss: FloatArray

    def take(self, rows: BoolArray) -> Slice:
        """Some of the runs."""
        return Slice(self.log_c, self.log_n[rows], self.log_d[rows], self.loss[rows])


@dataclass(frozen=True, eq=False)
class Kept:
    """What can be used of the runs, what cannot, and why.

    Attributes
    ----------
    slices : list of Slice
        Budgets with a vertex between the ends of their grid, without outlying runs.
    notes : list of str
        What was left out, and what looks odd.
    dropped : list of (Slice, str)
        Runs that were left out, with the reason.
    """

    slices: list[Slice]
    notes: list[str]
    dropped: list[tuple[Slice, str]]


def slices_of(table: pl.DataFrame, budget: str, size: str) -> Kept:
    """Runs by budget, and what is left out.

    Raises
    ------
    DataError
        If fewer than two budgets can be used.
    """
    slices, dropped, odd = [], [], []
    for everything in _budgets(table, budget, size):
        name = flop(float(np.exp(everything.log_c)))
        if np.unique(everything.log_d).size < 4:
            dropped.append((everything, "fewer than four runs"))
            continue
        outlying = _outlying(everything.log_n, everything.loss)
        runs = everything.take(~outlying)
        if outlying.any():
            dropped.append((everything.take(outlying), "outlying runs"))
        odd += [f"{name}: {_cell(runs, i)}" for i in _bumps(runs.log_n, runs.loss)]
        reason = _unusable(runs)
        if reason:
            dropped.append((runs, reason))
        else:
            slices.append(runs)
    notes = _notes(dropped)
    if odd:
        notes.append(f"runs that break the U of their budget: {', '.join(odd[:6])}{' ...' * (len(odd) > 6)}")
    if len(slices) < 2:
        raise DataError(
            f"{len(slices)} budgets can be used, and a line needs two; {'; '.join(notes) or 'the frame holds no more'}",
            f"IsoFLOP curves share a value of {budget!r}; for runs without budgets fit a surface (approach 3).",
        )
    return Kept(slices, notes, dropped)


def _budgets(table: pl.DataFrame, budget: str, size: str) -> list[Slice]:
    """The runs of every budget, in an order of their own."""
    need(table, [budget, "n_tokens", "loss"])
    column = size_column(table, size, optional=True)
    wanted = list(dict.fromkeys([budget, "n_tokens", "loss", *([column] if column else [])]))
    kept = table.select(wanted).drop_nulls()
    refuse_bad_values(kept, wanted, wanted)
    n = pl.col(column) if column else pl.col(budget) / 6 / pl.col("n_tokens")
    kept = kept.select(pl.col(budget).alias("c"), n.alias("n"), pl.col("n_tokens").alias("d"), "loss").cast(pl.Float64)
    slices = []
    for (c,), group in kept.sort("c", "n", "d", "loss").group_by("c", maintain_order=True):
        x, d, y = (group[name].to_numpy() for name in ("n", "d", "loss"))
        slices.append(Slice(float(np.log(c)), np.log(x), np.log(d), y))
    return slices


def _unusable(runs: Slice) -> str:
    """Why a budget has no vertex to use; empty where it has one."""
    if np.unique(runs.log_d).size < 4:
        return "fewer than four runs"
    for name in SIZES:
        x = coordinate(runs, name)
        if _parabola(x, runs.loss)[2] <= 0:
            return "a parabola that opens downward"
        middle, half = 0.5 * (x.max() + x.min()), 0.5 * (x.max() - x.min())
        if abs(vertex(x, runs.loss)[0] - middle) >= (1 - EDGE) * half:
            return "a vertex at or beyond the edge of their grid"
    return ""


def _notes(dropped: list[tuple[Slice, str]]) -> list[str]:
    """What was left out, in words."""
    notes = []
    for reason in dict.fromkeys(reason for _, reason in dropped):
        runs = [one for one, why in dropped if why == reason]
        if reason == "outlying runs":
            cells = [f"{flop(float(np.exp(one.log_c)))}: {_cell(one, i)}" for one in runs for i in range(one.loss.size)]
            notes.append(f"left out as outliers: {', '.join(cells[:6])}{' ...' * (len(cells) > 6)}")
        else:
            names = [flop(float(np.exp(one.log_c))) for one in runs]
            budgets = f"{len(names)} budget{'s have' if len(names) > 1 else ' has'}"
            where = reason.replace("their", "its") if len(names) == 1 else reason
            notes.append(f"{budgets} {where} ({', '.join(names[:6])}{' ...' * (len(names) > 6)})")
    return notes


def _cell(runs: Slice, i: int) -> str:
    return f"{count(float(np.exp(runs.log_n[i])))} parameters with a loss of {four(float(runs.loss[i]))}"


def _bumps(x: FloatArray, y: FloatArray) -> list[int]:
    """Runs that lie well above both a smaller and a larger one."""
    order = np.lexsort((y, x))
    height = y[order]
    left = np.minimum.accumulate(height)
    right = np.minimum.accumulate(height[::-1])[::-1]
    bump = np.minimum(height - left, height - right)
    high = bump > BUMP_SHARE * max(float(np.ptp(y)), 1e-300)
    peak = np.r_[True, height[1:] >= height[:-1]] & np.r_[height[:-1] >= height[1:], True]
    return [int(i) for i in order[high & peak]]


def _outlying(x: FloatArray, y: FloatArray) -> BoolArray:
    """Runs (n,) that no parabola through most of the others explains, such as diverged ones.

    The least median of squares finds a parabola that up to half of the runs cannot pull; what lies far
    from it is tested against the least-squares parabola of the rest.

    References
    ----------
    Rousseeuw, J. Amer. Statist. Assoc. 79 (1984) 871-880.
    """
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    n = y.size
    none = np.zeros(n, dtype=bool)
    if n < 6:
        return none
    triples = np.array(list(combinations(range(n), 3)))
    if len(triples) > MOST_TRIPLES:
        triples = np.random.default_rng(0).choice(triples, MOST_TRIPLES, replace=False, axis=0)
    w = x - x.mean()
    design = np.stack([np.ones_like(w), w, w**2], axis=1)
    solvable = np.abs(np.linalg.det(design[triples])) > 1e-9
    if not solvable.any():
        return none
    triples = triples[solvable]
    solved = np.linalg.solve(design[triples], y[triples][..., None])[..., 0]
    distance = np.abs(y - solved @ design.T)
    near = n // 2 + 2
    best = np.partition(distance, near - 1, axis=1)[:, near - 1].argmin()
    typical = np.argsort(distance[best], kind="stable")[:near]
    share = np.where((x == x.min()) | (x == x.max()), 2 * OUTLYING_SHARE, OUTLYING_SHARE)
    out = distance[best] > share * np.ptp(y[typical])
    while out.any() and n - out.sum() >= 4:
        rest = design[~out]
        inverse = np.linalg.pinv(rest.T @ rest)
        coefficients = inverse @ rest.T @ y[~out]
        freedom = len(rest) - 3
        scale = np.sqrt(((y[~out] - rest @ coefficients) ** 2).sum() / freedom)
        error = scale * np.sqrt(1 + np.einsum("ij,jk,ik->i", design, inverse, design))
        miss = np.abs(y - design @ coefficients)
        far = miss > float(-stdtrit(freedom, OUTLYING_RISK / (2 * n))) * error
        still = out & far & (miss > share * np.ptp(y[~out]))
        if (still == out).all():
            return np.asarray(out)
        out = still
    return none


def coordinate(runs: Slice, name: str) -> FloatArray:
    return runs.log_n if name == "n_params" else runs.log_d


def _parabola(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Coefficients of 1, (x - mean), (x - mean)**2."""
    second, first, zeroth = np.polyfit(x - x.mean(), y, 2)
    return float(zeroth), float(first), float(second)


def vertex(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Where a parabola through the points is least, and its value there."""
    zeroth, first, second = _parabola(x, y)
    return float(x.mean() - first / (2 * second)), zeroth - first**2 / (4 * second)


def kept_runs(kept: Kept) -> pl.DataFrame:
    """Frame of :meth:`Allocation.runs`."""
    parts = [(runs, "", np.polyval(np.polyfit(runs.log_n, runs.loss, 2), runs.log_n)) for runs in kept.slices]
    parts += [(runs, reason, np.full(runs.loss.size, np.nan)) for runs, reason in kept.dropped]
    return (
        pl.concat(
            pl.DataFrame(
                {
                    "train_flops": np.full(runs.loss.size, np.exp(runs.log_c)),
                    "n_params": np.exp(runs.log_n),
                    "n_tokens": np.exp(runs.log_d),
                    "loss": runs.loss,
                    "prediction": prediction,
                    "used": [not reason] * runs.loss.size,
                    "left_out": [reason or None] * runs.loss.size,
                },
                schema_overrides={"left_out": pl.String},
            )
            for runs, reason, prediction in parts
        )
        .with_columns(pl.col("prediction").fill_nan(None))
        .sort("train_flops", "n_params", "n_tokens", "loss")
    )


# ---- how sure the lines are -----------------------------------------------------------------------


def resampled_lines(
    slices: list[Slice], draws: int, generator: np.random.Generator, exponent: float | None = None
) -> tuple[dict[str, FloatArray], str]:
    """Lines (B, 2) through vertices with the runs' noise drawn again, and what is in them, in words.

    The same noise moves N and D of a draw; a draw without a line is ``nan`` in both. Each budget's noise is
    estimated together with that of all (few runs say little about it), and as uncertain as that leaves
    it. Where the vertices scatter about their line more than this noise explains, the excess is in.
    """
    log_c = np.array([runs.log_c for runs in slices])
    noise = _noise(slices, draws, generator)
    lines, beyond_noise = {}, False
    usable = np.ones((draws, len(slices)), dtype=bool)
    vertices = {}
    for name in SIZES:
        parts = [_moved_vertices(runs, name, noise[j]) for j, runs in enumerate(slices)]
        vertices[name] = np.stack(parts, axis=1)
        usable &= np.isfinite(vertices[name])
    shared = generator.standard_normal((draws, len(slices)))
    freedom = max(len(slices) - 2, 1)
    shared *= np.sqrt(freedom / generator.chisquare(freedom, (draws, 1)))
    for name, sign in zip(SIZES, (1.0, -1.0), strict=True):
        here = np.array([vertex(coordinate(runs, name), runs.loss)[0] for runs in slices])
        excess = _excess(log_c, here, vertices[name])
        beyond_noise |= excess > 0
        y = np.where(usable, vertices[name] + sign * excess * shared, np.nan)
        x = np.where(usable, log_c, np.nan)
        lines[name] = _lines(x, y, exponent if name == "n_params" or exponent is None else 1 - exponent)
    words = f"bootstrap {draws}: residuals within each of {len(slices)} budgets"
    return lines, words + (", and what else scatters their vertices" if beyond_noise else "")


def _noise(slices: list[Slice], draws: int, generator: np.random.Generator) -> list[FloatArray]:
    """Errors (B, n) for the runs of each budget."""
    standardised, squares, freedom = [], [], []
    for runs in slices:
        w = runs.log_n - runs.log_n.mean()
        design = np.stack([np.ones_like(w), w, w**2], axis=1)
        hat = design @ np.linalg.pinv(design)
        residual = runs.loss - hat @ runs.loss
        standardised.append(residual / np.sqrt(np.maximum(1 - np.diag(hat), 0.05)))
        squares.append(float((residual**2).sum()))
        freedom.append(runs.loss.size - 3)
    pooled = sum(squares) / sum(freedom)
    scales = [np.sqrt((s + SHRINK * pooled) / (f + SHRINK)) for s, f in zip(squares, freedom, strict=True)]
    # shapes of the errors are taken from all budgets, after each was brought to its own scale
    pool = np.concatenate([r / max(s, 1e-300) for r, s in zip(standardised, scales, strict=True)])
    pool = (pool - pool.mean()) / max(float(pool.std()), 1e-300)
    overall = np.sqrt(sum(freedom) / generator.chisquare(sum(freedom), (draws, 1)))
    errors = []
    for scale, runs in zip(scales, slices, strict=True):
        errors.append(overall * scale * generator.choice(pool, size=(draws, runs.loss.size)))
    return errors


def _moved_vertices(runs: Slice, name: str, noise: FloatArray) -> FloatArray:
    """Vertices (B,) of a budget with other errors; ``nan`` where they would be left out."""
    x = coordinate(runs, name)
    w = x - x.mean()
    design = np.stack([np.ones_like(w), w, w**2], axis=1)
    solve = np.linalg.pinv(design)
    coefficients = (design @ (solve @ runs.loss) + noise) @ solve.T
    with np.errstate(all="ignore"):
        lowest = x.mean() - coefficients[:, 1] / (2 * coefficients[:, 2])
        inside = (coefficients[:, 2] > 0) & (lowest > x.min()) & (lowest < x.max())
    return np.where(inside, lowest, np.nan)


def _excess(x: FloatArray, y: FloatArray, drawn: FloatArray) -> float:
    """Standard deviation of vertices about their line beyond their own noise; zero where that explains it.

    References
    ----------
    DerSimonian and Laird, Controlled Clinical Trials 7 (1986) 177-188.
    """
    from scipy.special import chdtri

    if x.size < 4 or not len(drawn):
        return 0.0
    spread = np.nanstd(drawn, axis=0)
    if not (np.isfinite(spread).all() and (spread > 0).all()):
        return 0.0
    weights = spread**-2
    design = np.stack([np.ones_like(x), x - x.mean()], axis=1)
    normal = np.linalg.inv(design.T * weights @ design)
    off = y - design @ (normal @ (design.T * weights @ y))
    total = float((weights * off**2).sum())
    if total < chdtri(x.size - 2, 0.05):
        return 0.0
    scale = weights.sum() - np.trace(normal @ (design.T * weights**2 @ design))
    return float(np.sqrt(max(total - (x.size - 2), 0.0) / scale))


def _lines(x: FloatArray, y: FloatArray, slope: float | None) -> FloatArray:
    """Intercepts and slopes (B, 2) of lines through points (B, J), some of them ``nan``."""
    if not len(y):
        return np.empty((0, 2))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # draws without a point
        mean_x, mean_y = np.nanmean(x, axis=1), np.nanmean(y, axis=1)
        off = x - mean_x[:, None]
        if slope is None:
            slopes = np.nansum(off * (y - mean_y[:, None]), axis=1) / np.nansum(off**2, axis=1)
        else:
            slopes = np.where(np.isfinite(mean_y), slope, np.nan)
        return np.stack([mean_y - slopes * mean_x, slopes], axis=1)


# ---- what a parabola does to the answer -----------------------------------------------------------


def bias_report(slices: list[Slice]) -> pl.DataFrame:
    """Frame of :meth:`Allocation.bias`."""
    surface = _surface_bias(slices)
    rows = []
    for j, one in enumerate(slices):
        x = one.log_n
        centre = vertex(x, one.loss)[0]
        middle, half = 0.5 * (x.max() + x.min()), 0.5 * (x.max() - x.min())
        asymmetry, error = _cubic_asymmetry(x - centre, one.loss)
        rows.append(
            {
                "train_flops": float(np.exp(one.log_c)),
                "n_points": one.loss.size,
                "half_width": float(np.exp(half)),
                "offset": float(np.exp(middle - centre)),
                "curvature": 2 * _parabola(x, one.loss)[2],
                "asymmetry": asymmetry,
                "asymmetry_error": error,
                "vertex_bias_params": surface[j][0],
                "vertex_bias_tokens": surface[j][1],
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _cubic_asymmetry(w: FloatArray, y: FloatArray) -> tuple[float | None, float | None]:
    """``beta - alpha`` from the third over the second derivative of a cubic at the vertex, and its error."""
    if w.size < 6:
        return None, None
    design = np.stack([np.ones_like(w), w, w**2, w**3], axis=1)
    inverse = np.linalg.pinv(design.T @ design)
    c = inverse @ design.T @ y
    noise = float(((y - design @ c) ** 2).sum() / (w.size - 4))
    slope = np.array([0.0, 0.0, -3 * c[3] / c[2] ** 2, 3 / c[2]])
    return float(3 * c[3] / c[2]), float(np.sqrt(noise * slope @ inverse @ slope))


def _surface_bias(slices: list[Slice]) -> list[tuple[float | None, float | None]]:
    """Vertex over optimum for N and D of each budget, on noise-free losses of a fitted surface."""
    frame = pl.DataFrame(
        {
            "n_params": np.exp(np.concatenate([one.log_n for one in slices])),
            "n_tokens": np.exp(np.concatenate([one.log_d for one in slices])),
            "loss": np.concatenate([one.loss for one in slices]),
        }
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            found = fit(frame, "chinchilla")
    except FitError:
        return [(None, None)] * len(slices)
    p = found.params
    result: list[tuple[float | None, float | None]] = []
    for one in slices:
        loss = found.law.function(np.exp(one.log_n), np.exp(one.log_d), **p)
        product = float(np.mean(one.log_n + one.log_d))
        split = found.law.best_split
        assert split is not None
        n, d = split(6 * np.exp(product), **p)
        biases = []
        for x, best in ((one.log_n, np.log(n)), (one.log_d, np.log(d))):
            second = _parabola(x, loss)[2]
            biases.append(float(np.exp(vertex(x, loss)[0] - best)) if second > 0 and np.isfinite(best) else None)
        result.append((biases[0], biases[1]))
    return result


def need(table: pl.DataFrame, columns: list[str]) -> None:
    for name in columns:
        if name not in table.columns:
            raise unknown_name("column", name, table.columns, "(of the frame)")


def size_column(table: pl.DataFrame, size: str, *, optional: bool = False) -> Any:
    """Column that is N: the one named, else `n_params`; None where neither holds numbers and none is needed."""
    for name in dict.fromkeys((size, "n_params")):
        if name in table.columns and table[name].null_count() < table.height:
            return name
    if optional:
        return None
    raise unknown_name("column", size, table.columns, "(that is N)")
