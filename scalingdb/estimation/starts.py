"""Where to begin: starts from the structure of the formula, not from luck.

For given non-linear parameters (the exponents) the best linear ones (the scales) are found by
non-negative least squares on relative residuals, so the search runs over the exponents only: a
full grid for one or two of them, a low-discrepancy sequence for more.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalingdb.estimation import solver
from scalingdb.estimation.model import FloatArray, Model, ParamSpec, PreparedInputs
from scalingdb.estimation.objectives import Objective
from scalingdb.estimation.solver import Penalty, objective_value, solve_spd

__all__ = [
    "along_valleys",
    "around",
    "choose",
    "disturbed",
    "grouped_starts",
    "ranked",
    "some_rows",
    "structured_starts",
]

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

FINE: Mapping[int, int] = {0: 1, 1: 64, 2: 24}
"""Cells along each axis, by the number of axes; more than two axes take a low-discrepancy sequence."""

COARSE: Mapping[int, int] = {0: 1, 1: 24, 2: 8}
"""The same where many groups are searched at once."""

MAX_ROWS = 128
"""Rows by which places to start are judged; more would slow it without changing which places are good."""

MAX_GROUP_ROWS = 48
"""The same where many groups are searched at once."""

NEIGHBOURHOOD = 0.2
"""Cells closer than this share of the grid's width lead to the same optimum."""

ENOUGH = 32
"""Cells with every term at work; if there are so many, those with a vanished term are not tried."""


def _axis(spec: ParamSpec, count: int) -> FloatArray:
    low, high = spec.start
    if spec.is_log:
        return np.log(np.geomspace(low, high, count))
    return np.linspace(low, high, count)


def _grid(model: Model, seed: int | None = None, sizes: Mapping[int, int] = FINE) -> FloatArray:
    """Internal coordinates (G, k) over the non-linear parameters; linear ones 0.

    With a `seed` the cells of a grid are jittered, and the sequence is scrambled.
    """
    searched = [i for i in range(model.n_params) if i not in model.linear]
    if len(searched) in sizes:
        axes = [_axis(model.params[i], sizes[len(searched)]) for i in searched]
        cells = np.array(list(itertools.product(*axes))).reshape(sizes[len(searched)] ** len(searched), len(searched))
        if seed is not None and searched:
            width = np.array([axis[1] - axis[0] for axis in axes])
            cells = cells + width * (np.random.default_rng(seed).random(cells.shape) - 0.5)
    else:
        from scipy.stats import qmc  # half a second to import, and most laws do not come here

        unit = qmc.Sobol(len(searched), scramble=seed is not None, rng=seed).random_base2(10)
        bounds = np.array([_axis(model.params[i], 2) for i in searched])
        cells = bounds[:, 0] + unit * (bounds[:, 1] - bounds[:, 0])
    grid = np.zeros((cells.shape[0], model.n_params))
    grid[:, searched] = cells
    return grid


@np.errstate(over="ignore", invalid="ignore")  # values beyond 1e154 have no square: such a gain is none
def _nonnegative_least_squares(
    terms: FloatArray, target: FloatArray, signed: BoolArray
) -> tuple[FloatArray, FloatArray]:
    """Least squares with coefficients >= 0 (but for signed ones) for every cell, by trying each set of active terms.

    Parameters
    ----------
    terms : array (G, m, n), m at most about 4
    target : array (G, n)
        Both times the roots of the weights.
    signed : array (m,) of bool
        Terms whose coefficient may be negative; they are always active.

    Returns
    -------
    coefficients (G, m), and the decrease of the sum of squares that they bring (G,)
    """
    cells, m, _ = terms.shape
    gram = np.matmul(terms, terms.transpose(0, 2, 1))
    right = np.matmul(terms, target[:, :, None])[:, :, 0]
    best = np.zeros((cells, m))
    best_gain = np.zeros(cells)
    waiting = np.arange(cells)
    bounded = np.flatnonzero(~signed)
    for count in range(bounded.size, -1, -1):
        for active in itertools.combinations(bounded, count):
            index = np.sort(np.concatenate([np.flatnonzero(signed), np.array(active, dtype=np.int64)]))
            if index.size == 0 or waiting.size == 0:
                continue
            block = gram[waiting[:, None, None], index[:, None], index]
            diagonal = np.einsum("gii->gi", block)
            diagonal += 1e-13 * diagonal + 1e-300
            wanted = right[waiting[:, None], index]
            solution, good = solve_spd(block, wanted)
            gain = (solution * wanted).sum(1)
            allowed = good & ((solution > 0) | signed[index]).all(1)
            better = allowed & (gain > best_gain[waiting]) & np.isfinite(gain)
            found = waiting[better]
            best_gain[found] = gain[better]
            best[found] = 0.0
            best[found[:, None], index] = solution[better]
        if count == bounded.size:  # with every term at work nothing is left to gain
            waiting = waiting[~better] if index.size else waiting
    return best, best_gain


def around(model: Model, hints: FloatArray, seed: int | None = None) -> FloatArray:
    """Places (S, k) around some hints: every searched parameter times 10**-3 to 10**3, the sign kept.

    A hint that is off by orders of magnitude still tells the sign and where to begin to look.
    """
    from scipy.stats import qmc

    searched = [i for i in range(model.n_params) if i not in model.linear]
    if not searched:
        return hints
    places = []
    for hint in hints:
        unit = qmc.Sobol(len(searched), scramble=seed is not None, rng=seed).random_base2(9)
        factor = 10.0 ** (6.0 * unit - 3.0)
        near = np.tile(hint, (unit.shape[0], 1))
        for j, i in enumerate(searched):
            near[:, i] = hint[i] + np.log(factor[:, j]) if model.is_log[i] else hint[i] * factor[:, j]
        places.append(np.clip(near, model.low, model.high))
    return np.concatenate(places)


def disturbed(model: Model, ends: FloatArray, count: int, seed: int | None = None) -> FloatArray:
    """Places (S * count, k) near where starts ended (S, k): each coordinate moved by 1 to 100 per cent.

    A basin that ends in a shallow valley has its neighbours across the ridge, not across the range.
    """
    generator = np.random.default_rng(seed)
    centre = np.repeat(ends, count, axis=0)
    width = 10.0 ** generator.uniform(-2.0, 0.0, size=(len(centre), 1))
    unit = np.where(
        model.is_log & ~np.isin(np.arange(model.n_params), model.linear), 1.0, np.maximum(np.abs(centre), 0.05)
    )
    return np.clip(centre + width * unit * generator.standard_normal(centre.shape), model.low, model.high)


def along_valleys(
    model: Model,
    objective: Objective,
    ends: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    count: int,
    seed: int | None = None,
) -> FloatArray:
    """Places (S * count, k) that the rows tell apart from where starts ended (S, k) by 1 to 30 of their errors.

    Where coordinates trade off, a step in one of them alone leaves the valley; these follow it.
    """
    total, curvature = solver.curvature(model, objective, ends, inputs, y, weights)
    usable = np.isfinite(total) & np.isfinite(curvature).all((1, 2))
    generator = np.random.default_rng(seed)
    places = []
    for end, least, matrix in zip(ends[usable], total[usable], curvature[usable], strict=True):
        size = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        stiff, axes = np.linalg.eigh(matrix / np.outer(size, size))
        noise = np.sqrt(2 * max(float(least), 1e-300) / max(int((weights > 0).sum()) - model.n_params, 1))
        far = noise * 10.0 ** generator.uniform(0.0, 1.5, size=(count, 1))
        drawn = generator.standard_normal((count, len(end))) / np.sqrt(np.maximum(stiff, 1e-12))
        places.append(end + far * (drawn @ axes.T) / size)
    return np.clip(np.concatenate(places), model.low, model.high) if places else ends[:0]


def some_rows(inputs: PreparedInputs, weights: FloatArray) -> tuple[PreparedInputs, Any]:
    """Inputs at :data:`MAX_ROWS` of the rows that count, and which these are: the same whenever it is asked.

    Drawn rather than taken at even distances, which may be those of a grid; rows at the ends of an input, where a
    formula overflows first, are among them.
    """
    used = np.flatnonzero(weights > 0)
    if used.size <= MAX_ROWS:
        return inputs, slice(None)
    ends = [used[end(log[used])] for log in inputs.logs for end in (np.argmin, np.argmax)]
    drawn = np.random.default_rng(0).permutation(used)[: MAX_ROWS - len(ends)]
    rows = np.unique(np.concatenate([drawn, ends]))
    return PreparedInputs(tuple(log[rows] for log in inputs.logs), inputs.constants), rows


def structured_starts(
    model: Model,
    objective: Objective,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    seed: int | None = None,
    given: FloatArray | None = None,
) -> FloatArray:
    """Candidate starts (S, k) in internal coordinates, in no order.

    Parameters
    ----------
    inputs : shared PreparedInputs (n,)
    y, weights : arrays (n,)
    seed : int, optional
        Moves the search; the same places are looked at without one.
    given : array (S, k), optional
        Starts whose non-linear parameters are taken in place of a grid.
    """
    inputs, rows = some_rows(inputs, weights)
    y, weights = y[rows], weights[rows]
    u = _grid(model, seed) if given is None else given.copy()
    if model.basis is not None:
        offset, terms = model.basis(u, inputs)
        with np.errstate(all="ignore"):
            usable = (np.abs(terms).max((1, 2)) < 1e100) & (np.abs(offset).max(1) < 1e100)
        if not usable.all():
            u, offset, terms = u[usable], offset[usable], terms[usable]
        scale = np.sqrt(weights) / y if objective.is_log else np.sqrt(weights)
        signed = ~model.is_log[list(model.linear)]
        coefficients, _ = _nonnegative_least_squares(terms * scale, (y - offset) * scale, signed)
        inside = ((coefficients > 1e-3 * np.abs(y).mean()) | signed).all(1)
        if inside.sum() >= ENOUGH:
            u, coefficients = u[inside], coefficients[inside]
        u[:, list(model.linear)] = coefficients
    return u


def ranked(
    model: Model,
    objective: Objective,
    u: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    penalty: Penalty | None = None,
) -> FloatArray:
    """Candidates `u` (S, k) by their objective, best first; those without a finite one are dropped.

    Of many rows some are looked at.
    """
    inputs, rows = some_rows(inputs, weights)
    objective, y, weights = objective.of_rows(rows), y[rows], weights[rows]
    totals = objective_value(model, objective, u, inputs, y, weights, penalty)
    order = np.argsort(totals, kind="stable")
    return np.asarray(u[order][np.isfinite(totals[order])])


def choose(candidates: FloatArray, count: int) -> FloatArray:
    """Pick `count` starts: half the best, half the best of those far from the ones chosen.

    `candidates` (S, k) are sorted, best first. Neighbouring cells of a grid lead to the same
    optimum; the second half looks elsewhere.
    """
    if candidates.shape[0] <= count:
        return candidates
    chosen = list(range(max(count // 2, 1)))
    # ends of a logarithmic search are far apart: compare on a scale that they cannot overflow
    places = np.sign(candidates) * np.log1p(np.abs(candidates))
    spread = np.maximum(places.std(0), 1e-12)
    scaled = places / spread
    distance = np.min([((scaled - scaled[i]) ** 2).sum(1) for i in chosen], axis=0)
    reach = 0.5 * np.median(distance)
    while len(chosen) < count:
        far = np.flatnonzero(distance > reach)
        if far.size == 0:
            reach *= 0.5
            if reach < 1e-12:
                break
            continue
        pick = int(far[0])
        chosen.append(pick)
        distance = np.minimum(distance, ((scaled - scaled[pick]) ** 2).sum(1))
    return np.asarray(candidates[np.array(chosen)])


def grouped_starts(
    model: Model,
    objective: Objective,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    count: int,
) -> FloatArray | None:
    """Starts (G, count, k) of G separate problems at once, on a coarse grid; None if the form has none.

    Cells are ranked by the squares that the linear solve leaves. The best one is taken, its
    neighbourhood struck out, then the best of the rest, and so on.

    Parameters
    ----------
    inputs : PreparedInputs (G, n)
    y, weights : arrays (G, n)
    """
    searched = [i for i in range(model.n_params) if i not in model.linear]
    if model.basis is None or len(searched) not in COARSE:
        return None
    grid = _grid(model, sizes=COARSE)
    cells, groups, n = grid.shape[0], y.shape[0], y.shape[1]
    if n > MAX_GROUP_ROWS:
        order = np.argsort(inputs.logs[0], axis=1, kind="stable")
        rows = order[:, np.linspace(0, n - 1, MAX_GROUP_ROWS).astype(int)]
        inputs = PreparedInputs(tuple(np.take_along_axis(a, rows, 1) for a in inputs.logs), inputs.constants)
        y, weights = np.take_along_axis(y, rows, 1), np.take_along_axis(weights, rows, 1)
        n = MAX_GROUP_ROWS
    signed = ~model.is_log[list(model.linear)]
    typical = (weights * np.abs(y)).sum(1) / weights.sum(1)
    spread = np.maximum(np.ptp(grid[:, searched], axis=0), 1e-300)
    places = grid[:, searched] / spread
    near: BoolArray = np.asarray(((places[:, None] - places[None]) ** 2).sum(2) < NEIGHBOURHOOD**2)
    chosen = np.empty((groups, count, model.n_params))
    step = max(1, (1 << 19) // (cells * n))
    for first in range(0, groups, step):
        block = slice(first, min(first + step, groups))
        size = block.stop - block.start
        many = inputs.take(block).repeat(cells)
        u = np.tile(grid, (size, 1))
        offset, terms = model.basis(u, many)
        observed = np.repeat(y[block], cells, axis=0)
        scale = np.sqrt(np.repeat(weights[block], cells, axis=0))
        if objective.is_log:
            scale /= observed
        usable: BoolArray = np.asarray(np.isfinite(terms.sum((1, 2))) & np.isfinite(offset).all(1))
        if not usable.all():
            terms, offset = np.where(usable[:, None, None], terms, 0.0), np.where(usable[:, None], offset, 0.0)
            scale[~usable] = 0.0
        target = (observed - offset) * scale
        terms *= scale[:, None, :]
        coefficients, gain = _nonnegative_least_squares(terms, target, signed)
        misfit = np.vecdot(target, target) - gain
        vanished = ~((coefficients > 1e-3 * np.repeat(typical[block], cells)[:, None]) | signed).all(1)
        misfit = np.where(usable, misfit * np.where(vanished, 4.0, 1.0), np.inf)
        u[:, list(model.linear)] = coefficients
        u, misfit = u.reshape(size, cells, -1), misfit.reshape(size, cells)
        where = np.arange(size)
        for j in range(count):
            pick = np.argmin(misfit, axis=1)
            chosen[block, j] = u[where, pick]
            misfit = np.where(near[pick], misfit + 1e300, misfit)
    return chosen
