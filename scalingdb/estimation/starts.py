"""Where to begin: starts from the structure of the formula, not from luck.

For given non-linear parameters (the exponents) the best linear ones (the scales) are found by
non-negative least squares on relative residuals, so the search runs over the exponents only: a
full grid for one or two of them, a low-discrepancy sequence for more.
"""

from __future__ import annotations

import itertools

import numpy as np

from scalingdb.estimation.model import FloatArray, Model, ParamSpec, PreparedInputs
from scalingdb.estimation.objectives import Objective
from scalingdb.estimation.solver import objective_value

__all__ = ["choose", "ranked", "structured_starts"]

MAX_ROWS = 2_000
"""Rows used in the search; more would slow it without changing which cells are good."""

ENOUGH = 32
"""Cells with every term at work; if there are so many, those with a vanished term are not tried."""


def _axis(spec: ParamSpec, count: int) -> FloatArray:
    low, high = spec.start
    if spec.is_log:
        return np.log(np.geomspace(low, high, count))
    return np.linspace(low, high, count)


def _grid(model: Model) -> FloatArray:
    """Internal coordinates (G, k) over the non-linear parameters; linear ones 0."""
    searched = [i for i in range(model.n_params) if i not in model.linear]
    sizes = {0: 1, 1: 64, 2: 24}
    if len(searched) in sizes:
        axes = [_axis(model.params[i], sizes[len(searched)]) for i in searched]
        cells = np.array(list(itertools.product(*axes))).reshape(sizes[len(searched)] ** len(searched), len(searched))
    else:
        from scipy.stats import qmc  # half a second to import, and most laws do not come here

        unit = qmc.Sobol(len(searched), scramble=False).random_base2(10)
        bounds = np.array([_axis(model.params[i], 2) for i in searched])
        cells = bounds[:, 0] + unit * (bounds[:, 1] - bounds[:, 0])
    grid = np.zeros((cells.shape[0], model.n_params))
    grid[:, searched] = cells
    return grid


def _nonnegative_least_squares(terms: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Least squares with coefficients >= 0 for every cell, by trying each set of active terms.

    Parameters
    ----------
    terms : array (G, m, n), m at most about 4
    target : array (G, n)
    weights : array (n,)

    Returns
    -------
    array (G, m)
    """
    cells, m, _ = terms.shape
    weighted = terms * weights
    gram = np.matmul(weighted, terms.transpose(0, 2, 1))
    right = np.matmul(weighted, target[:, :, None])[:, :, 0]
    best = np.zeros((cells, m))
    best_gain = np.zeros(cells)
    for count in range(m, 0, -1):
        for active in itertools.combinations(range(m), count):
            index = np.array(active)
            block = gram[:, index[:, None], index]
            trace = np.einsum("gii->g", block)
            block = block + (1e-13 * trace + 1e-300)[:, None, None] * np.eye(count)
            try:
                solution = np.linalg.solve(block, right[:, index][:, :, None])[:, :, 0]
            except np.linalg.LinAlgError:
                continue
            gain = (solution * right[:, index]).sum(1)
            better = (solution > 0).all(1) & (gain > best_gain) & np.isfinite(gain)
            best_gain = np.where(better, gain, best_gain)
            full = np.zeros((cells, m))
            full[:, index] = solution
            best = np.where(better[:, None], full, best)
    return best


def structured_starts(
    model: Model, objective: Objective, inputs: PreparedInputs, y: FloatArray, weights: FloatArray
) -> FloatArray:
    """Candidate starts (S, k) in internal coordinates, in no order.

    Parameters
    ----------
    inputs : shared PreparedInputs (n,)
    y, weights : arrays (n,)
    """
    if y.size > MAX_ROWS:
        order = np.argsort(inputs.logs[0], kind="stable")
        rows = order[np.linspace(0, y.size - 1, MAX_ROWS).astype(int)]
        inputs = PreparedInputs(tuple(a[rows] for a in inputs.logs), inputs.constants)
        y, weights = y[rows], weights[rows]
    u = _grid(model)
    if model.basis is not None:
        offset, terms = model.basis(u, inputs)
        with np.errstate(all="ignore"):
            usable = np.isfinite(terms).all((1, 2)) & np.isfinite(offset).all(1)
        u, offset, terms = u[usable], offset[usable], terms[usable]
        scale = 1.0 / y if objective.is_log else np.ones_like(y)
        coefficients = _nonnegative_least_squares(terms * scale, (y - offset) * scale, weights)
        inside = (coefficients > 1e-3 * np.abs(y).mean()).all(1)
        if inside.sum() >= ENOUGH:
            u, coefficients = u[inside], coefficients[inside]
        u[:, list(model.linear)] = coefficients
    return u


def ranked(
    model: Model, objective: Objective, u: FloatArray, inputs: PreparedInputs, y: FloatArray, weights: FloatArray
) -> FloatArray:
    """Candidates `u` (S, k) by their objective, best first; those without a finite one are dropped."""
    totals = objective_value(model, objective, u, inputs, y, weights)
    order = np.argsort(totals, kind="stable")
    return np.asarray(u[order][np.isfinite(totals[order])])


def choose(candidates: FloatArray, count: int) -> FloatArray:
    """Pick `count` starts: half the best, half the best of those far from the ones chosen.

    `candidates` (S, k) are sorted, best first. Neighbouring cells of a grid lead to the same
    optimum; the second half looks elsewhere.
    """
    if candidates.shape[0] <= count:
        return candidates
    chosen = list(range(count // 2))
    spread = np.maximum(candidates.std(0), 1e-12)
    scaled = candidates / spread
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
