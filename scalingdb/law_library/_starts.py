"""Building blocks for the `starts` of laws whose structure the generic search cannot see.

The trick is the same throughout: hold the few parameters that make a form non-linear on a grid, and
solve a small weighted least-squares problem for the others. Sums of terms are solved as they are;
sigmoids and exponentiated powers become a straight line once their asymptotes are guessed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalingdb.law_library._core import FloatArray

__all__ = [
    "asymptotes",
    "best_cells",
    "best_of_each",
    "centre",
    "floor_and_power",
    "floors_below",
    "grid",
    "least_squares",
    "log_plane",
    "logistic_starts",
    "projected",
    "sampled",
    "straight_line",
    "thinned",
]

MARGINS = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""Distances of an asymptote from the nearest value, in units of the range of the values."""

ENOUGH_ROWS = 96
"""Rows that large grids are judged by."""


def least_squares(columns: FloatArray, target: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weighted least squares in every cell of a grid.

    Parameters
    ----------
    columns : array (G, m, n)
    target : array (n,) or (G, n)
    weights : array (n,) or (G, n)
        On the squared residuals; zero leaves a row out.

    Returns
    -------
    coefficients (G, m), misfit (G,)
        The misfit is the weighted sum of squares; infinite where the cell has no solution.
    """
    y = np.broadcast_to(target, (columns.shape[0], columns.shape[2]))
    w = np.broadcast_to(weights, y.shape)
    with np.errstate(all="ignore"):
        scale = np.sqrt((w[:, None, :] * columns**2).sum(2)) + 1e-300
        scaled = columns / scale[:, :, None]
        gram = np.matmul(scaled * w[:, None, :], scaled.transpose(0, 2, 1))
        right = (scaled * (w * y)[:, None, :]).sum(2)
        usable = np.isfinite(gram).all((1, 2)) & np.isfinite(right).all(1)
        gram[~usable], right[~usable] = np.eye(columns.shape[1]), 0.0
        ridge = 1e-13 * np.eye(columns.shape[1])  # a cell with two equal columns must not stop the others
        solved = np.linalg.solve(gram + ridge, right[:, :, None])[:, :, 0] / scale
        residual = y - np.matmul(solved[:, None, :], columns)[:, 0, :]
        misfit = (w * np.where(w > 0, residual, 0.0) ** 2).sum(1)
    return solved, np.where(usable & np.isfinite(misfit), misfit, np.inf)


def best_cells(starts: FloatArray, misfit: FloatArray, count: int = 64) -> FloatArray:
    """The `count` starts (S, k) of least misfit, among those that are finite."""
    usable = np.isfinite(misfit) & np.isfinite(starts).all(1)
    starts, misfit = starts[usable], misfit[usable]
    return np.asarray(starts[np.argsort(misfit, kind="stable")[:count]])


def best_of_each(starts: FloatArray, misfit: FloatArray, place: NDArray[Any], count: int = 128) -> FloatArray:
    """The start of least misfit of each place (S,), the `count` best of them: neighbouring cells end at one optimum."""
    order = np.argsort(misfit, kind="stable")
    first = np.unique(place[order], return_index=True)[1]
    return best_cells(starts[order][first], misfit[order][first], count)


def thinned(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """At most :data:`ENOUGH_ROWS` of the rows that count, evenly by rank of `x`: enough to tell good cells from bad."""
    order = np.flatnonzero(weights > 0)
    order = order[np.argsort(x[order], kind="stable")]
    if order.size > ENOUGH_ROWS:
        order = order[np.linspace(0, order.size - 1, ENOUGH_ROWS).round().astype(int)]
    return x[order], y[order], weights[order]


def sampled(
    inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray
) -> tuple[list[FloatArray], FloatArray, FloatArray]:
    """At most :data:`ENOUGH_ROWS` of the rows that count, evenly by rank of `y`: the same in any order of the rows."""
    order = np.lexsort((*inputs, y))
    order = order[weights[order] > 0]
    if order.size > ENOUGH_ROWS:
        order = order[np.linspace(0, order.size - 1, ENOUGH_ROWS).round().astype(int)]
    return [values[order] for values in inputs], y[order], weights[order]


def floors_below(y: FloatArray, weights: FloatArray) -> FloatArray:
    """Candidates for the floor of a curve: from zero to just under its lowest point."""
    return np.asarray(y[weights > 0].min() * np.array([0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.995, 0.9995]))


def floor_and_power(x: FloatArray, y: FloatArray, weights: FloatArray, exponents: FloatArray) -> FloatArray:
    """Floor, scale and exponent of ``floor + scale * x**-exponent``, (S, 3), scales positive.

    A negative floor is set to zero and the scale solved for again.
    """
    log_x = np.log(x)
    centre = log_x.mean()
    power = np.exp(-exponents[:, None] * (log_x - centre))
    relative = weights / y**2
    both, misfit = least_squares(np.stack([np.ones_like(power), power], axis=1), y, relative)
    alone, misfit_alone = least_squares(power[:, None, :], y, relative)
    rows = np.concatenate(
        [
            np.stack([both[:, 0], both[:, 1] * np.exp(exponents * centre), exponents], axis=1),
            np.stack([np.zeros_like(exponents), alone[:, 0] * np.exp(exponents * centre), exponents], axis=1),
        ]
    )
    total = np.concatenate([misfit, misfit_alone])
    total[(rows[:, 0] < 0) | (rows[:, 1] <= 0)] = np.inf
    return best_cells(rows, total)


def grid(*axes: FloatArray) -> list[tuple[float, ...]]:
    """Every combination of the values of the axes."""
    return [tuple(map(float, cell)) for cell in itertools.product(*axes)]


def centre(x: FloatArray) -> float:
    """Geometric mean: where to measure a term, so that its scale is of the size of the data."""
    return float(np.exp(np.log(x).mean()))


def projected(
    cells: Iterable[tuple[float, ...]],
    columns: Callable[..., Sequence[FloatArray | float]],
    target: FloatArray,
    weights: FloatArray,
    assemble: Callable[[tuple[float, ...], FloatArray], Sequence[float]],
    *,
    relative: bool = True,
) -> FloatArray:
    """Solve the linear parameters for each cell of the others.

    Parameters
    ----------
    cells : tuples of the non-linear parameters
    columns : callable
        ``columns(*cell)``: the regressors, (n,) each; a number stands for a constant column.
    target, weights : arrays (n,)
    assemble : callable
        ``assemble(cell, coefficients)``: the parameters in the law's order.
    relative : bool
        Weigh rows by ``1 / target``, as an objective of logarithms does.

    Returns
    -------
    array (n_starts, n_params)
        Cells whose regressors or parameters are not finite are left out.
    """
    root = np.sqrt(weights) / (np.abs(target) if relative else 1.0)
    starts = []
    with np.errstate(all="ignore"):
        for cell in cells:
            design = np.stack([np.broadcast_to(c, target.shape) for c in columns(*cell)], axis=1) * root[:, None]
            size = np.sqrt((design**2).sum(0))
            if not (np.isfinite(size).all() and (size > 0).all()):
                continue
            coefficients = np.linalg.lstsq(design / size, target * root, rcond=None)[0] / size
            theta = np.asarray(assemble(cell, coefficients), dtype=float)
            if np.isfinite(theta).all():
                starts.append(theta)
    return np.array(starts) if starts else np.empty((0, 0))


def log_plane(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Least squares of ``ln y`` on a constant and `inputs` as they are: (1 + len(inputs),) coefficients.

    For a product of powers this is the optimum of squared log residuals itself, so the answer is moved
    off it by a percent: where the data hold no noise, a search that begins at its end has no decrease
    left to recognise the end by.
    """
    used = (weights > 0) & (y > 0)
    root = np.sqrt(weights[used])
    design = np.stack([np.ones(int(used.sum())), *(x[used] for x in inputs)], axis=1) * root[:, None]
    return np.asarray(1.01 * np.linalg.lstsq(design, np.log(y[used]) * root, rcond=None)[0])


def straight_line(x: FloatArray, z: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Slope and intercept of the weighted least-squares line; ``nan`` where there is none."""
    used = np.isfinite(x) & np.isfinite(z) & (weights > 0)
    if np.unique(x[used]).size < 2:
        return float("nan"), float("nan")
    w = weights[used] / weights[used].sum()
    x_mean, z_mean = float(w @ x[used]), float(w @ z[used])
    deviation = x[used] - x_mean
    slope = float(w @ (deviation * (z[used] - z_mean))) / float(w @ deviation**2)
    return slope, z_mean - slope * x_mean


def asymptotes(y: FloatArray, *, low: float = -np.inf, high: float = np.inf) -> tuple[list[float], list[float]]:
    """Candidate floors below and ceilings above the values, within [low, high]."""
    least, most = float(y.min()), float(y.max())
    spread = max(most - least, 1e-12 * max(abs(most), 1e-300))
    floors = {max(least - margin * spread, low) for margin in MARGINS} | ({low} if np.isfinite(low) else set())
    ceilings = {min(most + margin * spread, high) for margin in MARGINS} | ({high} if np.isfinite(high) else set())
    return sorted(f for f in floors if f < most), sorted(c for c in ceilings if c > least)


def logistic_starts(
    x: FloatArray, y: FloatArray, weights: FloatArray, *, low: float = 0.0, high: float = 1.0
) -> FloatArray:
    """Rows ``floor, ceiling, slope, intercept`` of ``logit((y - floor)/(ceiling - floor)) = slope*x + intercept``.

    Two ways lead there. Given the asymptotes the logit is a straight line; near an asymptote it magnifies noise, so a
    point weighs by the square of the derivative of the sigmoid there. Given middle and slope, the asymptotes are
    linear: this finds what the line cannot, a step between two neighbours and a tail whose middle lies far off.
    """
    rows = []
    used = weights > 0
    floors, ceilings = asymptotes(y[used], low=low, high=high)
    for floor in floors:
        for ceiling in ceilings:
            share = (y - floor) / (ceiling - floor)
            inside = used & (share > 0) & (share < 1)
            if np.count_nonzero(inside) < 2:
                continue
            part = share[inside]
            slope, intercept = straight_line(
                x[inside], np.log(part / (1 - part)), weights[inside] * (part * (1 - part)) ** 2
            )
            if np.isfinite(slope) and slope != 0:
                rows.append([floor, ceiling, slope, intercept])
    lines = np.array(rows).reshape(-1, 4)
    return np.concatenate([lines, _logistic_cells(x[used], y[used], weights[used], low, high)])


def _logistic_cells(x: FloatArray, y: FloatArray, weights: FloatArray, low: float, high: float) -> FloatArray:
    """The best of a grid over middle and slope, asymptotes solved for within [low, high]: rows as above."""
    at = np.unique(x)
    span = float(at[-1] - at[0])
    if span <= 0:
        return np.empty((0, 4))
    wide = at[0] + span * np.concatenate([np.linspace(-0.1, 1.1, 25), [-3.0, -1.0, -0.3, 1.3, 2.0, 4.0]])
    cells = [(middle, slope / span) for middle in wide for slope in np.geomspace(0.5, 200.0, 12)]
    between = np.unique(np.linspace(0, at.size - 2, min(at.size - 1, 40)).astype(int))
    gaps = at[between + 1] - at[between]
    cells += [
        (at[i] + part * gap, steep / gap)
        for i, gap in zip(between, gaps, strict=True)
        for part in (0.25, 0.75)
        for steep in (4.0, 20.0)
    ]
    middle, slope = np.array(cells).T
    with np.errstate(over="ignore"):
        rise = 1 / (1 + np.exp(-slope[:, None] * (x - middle[:, None])))
    one = np.ones_like(rise)
    found, misfits = [], []
    # rising and falling, with both asymptotes free, or one of them or both at the end of its range
    for up in (rise, 1 - rise):
        free, _ = least_squares(np.stack([one - up, up], axis=1), y, weights)
        if np.isfinite(low):
            top, _ = least_squares(up[:, None], y - low * (1 - up), weights)
            free = np.concatenate([free, np.column_stack([np.full(len(top), low), top])])
        if np.isfinite(high):
            bottom, _ = least_squares((1 - up)[:, None], y - high * up, weights)
            free = np.concatenate([free, np.column_stack([bottom, np.full(len(bottom), high)])])
        if np.isfinite(low) and np.isfinite(high):
            free = np.concatenate([free, np.tile([low, high], (len(up), 1))])
        times = len(free) // len(up)
        shape = np.tile(up, (times, 1))
        ends = np.clip(free, low, high)
        misfit = (weights * (y - ends[:, :1] * (1 - shape) - ends[:, 1:] * shape) ** 2).sum(1)
        misfit[ends[:, 1] <= ends[:, 0]] = np.inf
        tilt = np.tile(slope, times) * (1 if up is rise else -1)
        found.append(np.column_stack([ends, tilt, -tilt * np.tile(middle, times)]))
        misfits.append(misfit)
    rows, misfit = np.concatenate(found), np.concatenate(misfits)
    place = np.tile(np.unique(middle, return_inverse=True)[1] + 1, len(rows) // middle.size)
    return best_of_each(rows, misfit, place * np.sign(rows[:, 2]))
