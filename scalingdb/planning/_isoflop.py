"""IsoFLOP curves: a parabola through the runs of each budget, and what it may have done to the answer."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitError, FitWarning, unknown_name
from scalingdb.fits import fit, refuse_bad_values
from scalingdb.planning._surface import FloatArray
from scalingdb.planning._words import flop

__all__ = [
    "SIZES",
    "Slice",
    "bias_report",
    "coordinate",
    "need",
    "resampled_lines",
    "size_column",
    "slices_of",
    "straight",
    "vertex",
]

SIZES = ("n_params", "n_tokens")


def straight(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    slope, intercept = np.polyfit(x, y, 1)
    return float(intercept), float(slope)


@dataclass(frozen=True, eq=False)
class Slice:
    """The runs of one budget."""

    log_c: float
    log_n: FloatArray
    log_d: FloatArray
    loss: FloatArray


def slices_of(table: pl.DataFrame, budget: str, size: str) -> tuple[list[Slice], list[str]]:
    """Runs by budget, and what was left out."""
    need(table, [budget, "n_tokens", "loss"])
    column = size_column(table, size, optional=True)
    wanted = list(dict.fromkeys([budget, "n_tokens", "loss", *([column] if column else [])]))
    kept = table.select(wanted).drop_nulls()
    refuse_bad_values(kept, wanted, wanted)
    n = pl.col(column) if column else pl.col(budget) / 6 / pl.col("n_tokens")
    kept = kept.select(c=pl.col(budget).cast(pl.Float64), n=n.cast(pl.Float64), d=pl.col("n_tokens"), loss="loss")
    slices, few, odd = [], [], []
    for (c,), group in kept.sort("c").group_by("c", maintain_order=True):
        x, d, y = (group[name].cast(pl.Float64).to_numpy() for name in ("n", "d", "loss"))
        one = Slice(float(np.log(float(c))), np.log(x), np.log(d), y)
        if np.unique(one.log_d).size < 4:
            few.append(flop(float(c)))
        elif min(_parabola(coordinate(one, name), y)[2] for name in SIZES) <= 0:
            odd.append(flop(float(c)))
        else:
            slices.append(one)
    notes = []
    if few:
        notes.append(f"{len(few)} budgets have fewer than four runs ({', '.join(few[:6])}{' ...' * (len(few) > 6)})")
    if odd:
        notes.append(f"the parabolas of {len(odd)} budgets open downward ({', '.join(odd[:6])})")
    if len(slices) < 2:
        raise DataError(
            f"{len(slices)} budgets can be used, and a line needs two; {'; '.join(notes) or 'the frame holds no more'}",
            f"IsoFLOP curves share a value of {budget!r}; for runs without budgets fit a surface (approach 3).",
        )
    return slices, notes


def coordinate(one: Slice, name: str) -> FloatArray:
    return one.log_n if name == "n_params" else one.log_d


def _parabola(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Coefficients of 1, (x - mean), (x - mean)**2."""
    second, first, zeroth = np.polyfit(x - x.mean(), y, 2)
    return float(zeroth), float(first), float(second)


def vertex(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Where a parabola through the points is least, and its value there."""
    zeroth, first, second = _parabola(x, y)
    return float(x.mean() - first / (2 * second)), zeroth - first**2 / (4 * second)


def resampled_lines(slices: list[Slice], count: int, generator: np.random.Generator) -> dict[str, FloatArray]:
    """Lines (B, 2) through vertices of resampled residuals, of resampled budgets."""
    log_c = np.array([one.log_c for one in slices])
    picks = generator.integers(0, len(slices), (count, len(slices)))
    found = {}
    for name in SIZES:
        drawn = np.empty((count, len(slices)))
        for j, one in enumerate(slices):
            x = coordinate(one, name)
            w = x - x.mean()
            design = np.stack([np.ones_like(w), w, w**2], axis=1)
            solve = np.linalg.pinv(design)
            fitted = design @ (solve @ one.loss)
            stretch = np.sqrt(w.size / max(w.size - 3, 1))
            noise = stretch * generator.choice(one.loss - fitted, size=(count, w.size))
            coefficients = (fitted + noise) @ solve.T
            with np.errstate(all="ignore"):
                lowest = x.mean() - coefficients[:, 1] / (2 * coefficients[:, 2])
            drawn[:, j] = np.where(coefficients[:, 2] > 0, lowest, np.nan)
        x, y = log_c[picks], np.take_along_axis(drawn, picks, axis=1)
        x = np.where(np.isfinite(y), x, np.nan)
        mean_x, mean_y = np.nanmean(x, axis=1), np.nanmean(y, axis=1)
        off = x - mean_x[:, None]
        with np.errstate(all="ignore"):
            slope = np.nansum(off * (y - mean_y[:, None]), axis=1) / np.nansum(off**2, axis=1)
        found[name] = np.stack([mean_y - slope * mean_x, slope], axis=1)[np.isfinite(slope)]
    return found


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
