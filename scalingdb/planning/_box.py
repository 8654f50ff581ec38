"""Least values of many functions at once inside a box: a grid, a pattern search, then Newton's steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from scalingdb.planning._curve import BoolArray, FloatArray

__all__ = ["least_in_box"]

FIRST_GRID = {1: 321, 2: 41, 3: 13, 4: 7}
"""Points along each coordinate of the first look, by the number of coordinates."""

LATTICE = {1: 9, 2: 5, 3: 3, 4: 3}
"""Points along each coordinate of a pattern, which moves to its best point and shrinks around a best centre."""

SMALL = 1e-4
"""Half-width of a pattern, as a share of the box or in logarithms, from which on Newton's steps take over."""

DIFFERENCE = 1e-2
"""Step of the differences behind a Newton step: of the fourth order, so that rounding and bend are both small."""

EDGE = 1e-7
"""Distance from a bound, as a share of the box, that counts as being on it."""

Function = Callable[[FloatArray], FloatArray]
"""``f(z (P, B, m)) -> (P, B)``; infinite where there is no value."""


def least_in_box(
    function: Function, low: FloatArray, high: FloatArray, count: int
) -> tuple[FloatArray, FloatArray, BoolArray]:
    """Least value of `count` functions over a box of m coordinates.

    Parameters
    ----------
    function : callable
        Takes points (P, B, m), or (1, B, m) where all functions are asked at the same ones.
    low, high : arrays (m,)
    count : int
        Number P of functions.

    Returns
    -------
    z : array (P, m)
        Means nothing for a function without a finite value.
    value : array (P,)
    at_bound : array (P, m) of bool
    """
    m = low.size
    if m == 0:
        value = np.broadcast_to(function(np.zeros((1, 1, 0))), (count, 1))[:, 0]
        return np.zeros((count, 0)), value, np.zeros((count, 0), dtype=bool)
    span = high - low
    axes = [np.linspace(lo, hi, FIRST_GRID[m]) for lo, hi in zip(low, high, strict=True)]
    lattice = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=-1)
    values = np.broadcast_to(function(lattice[None]), (count, len(lattice)))
    z = lattice[values.argmin(1)]
    z, value = _searched(function, z, values.min(1), span / (FIRST_GRID[m] - 1), low, high, SMALL)
    z, value = _polished(function, z, value, low, high)
    z, value = _searched(function, z, value, np.full(m, 1e-6), low, high, 1e-9)
    z, value = _polished(function, z, value, low, high)
    edge = EDGE * span
    at_bound = (z <= low + edge) | (z >= high - edge)
    return z, value, at_bound


def _searched(
    function: Function,
    z: FloatArray,
    value: FloatArray,
    half: FloatArray,
    low: FloatArray,
    high: FloatArray,
    small: float,
) -> tuple[FloatArray, FloatArray]:
    """Move a pattern of points to its best one; halve it where that is the centre."""
    m = low.size
    steps = np.linspace(-1.0, 1.0, LATTICE[m])
    pattern = np.array(list(itertools.product(steps, repeat=m)))
    widths = np.tile(half, (len(z), 1))
    rows = np.arange(len(z))
    for _ in range(400):
        points = np.clip(z[:, None, :] + widths[:, None, :] * pattern[None], low, high)
        values = function(points)
        best = values.argmin(1)
        is_better = values[rows, best] < value
        z = np.where(is_better[:, None], points[rows, best], z)
        value = np.where(is_better, values[rows, best], value)
        widths = np.where(is_better[:, None], widths, widths * steps[-1] * 2 / (LATTICE[m] - 1) / (2 if m > 2 else 1))
        if (widths.max(1) < small).all():
            break
    return z, value


def _polished(
    function: Function, z: FloatArray, value: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Newton's steps: a least value is only known to the root of the rounding, the zero of a slope to the rounding."""
    m, rows = low.size, np.arange(len(z))
    step = DIFFERENCE * np.where(high - low > 1, 1.0, high - low)
    pairs = list(itertools.combinations(range(m), 2))
    offsets = [np.zeros(m)]
    for i in range(m):
        offsets += [k * step * (np.arange(m) == i) for k in (-2, -1, 1, 2)]
    for i, j in pairs:
        offsets += [step * (a * (np.arange(m) == i) + b * (np.arange(m) == j)) for a in (-1, 1) for b in (-1, 1)]
    stencil = np.array(offsets)
    for _ in range(6):
        at_bound = np.array((z <= low + EDGE * (high - low)) | (z >= high - EDGE * (high - low)))
        values = function(z[:, None, :] + stencil[None])
        slope, bend = np.zeros((len(z), m)), np.zeros((len(z), m, m))
        with np.errstate(all="ignore"):
            for i in range(m):
                far_left, left, right, far_right = values[:, 1 + 4 * i : 5 + 4 * i].T
                slope[:, i] = (far_left - far_right + 8 * (right - left)) / (12 * step[i])
                bend[:, i, i] = (16 * (left + right) - far_left - far_right - 30 * values[:, 0]) / (12 * step[i] ** 2)
            for k, (i, j) in enumerate(pairs):
                corner = values[:, 1 + 4 * m + 4 * k : 5 + 4 * m + 4 * k]
                mixed = (corner[:, 0] + corner[:, 3] - corner[:, 1] - corner[:, 2]) / (4 * step[i] * step[j])
                bend[:, i, j] = bend[:, j, i] = mixed
        slope[at_bound] = 0.0
        bend[at_bound] = 0.0
        bend.transpose(0, 2, 1)[at_bound] = 0.0
        bend[:, np.arange(m), np.arange(m)] += at_bound
        usable: BoolArray = np.asarray(np.isfinite(slope).all(1) & np.isfinite(bend).all((1, 2)))
        curved = np.where(usable[:, None, None], bend, np.eye(m))
        usable &= np.linalg.eigvalsh(curved)[:, 0] > 0
        move = np.zeros_like(z)
        move[usable] = np.linalg.solve(curved[usable], -slope[usable][..., None])[..., 0]
        usable &= (np.abs(move) < 0.1 * np.maximum(step / DIFFERENCE, 1e-300)).all(1)
        trial = np.clip(np.where(usable[:, None], z + move, z), low, high)
        reached = function(trial[:, None, :])[rows, 0]
        # a step is taken unless it makes the value worse by more than rounding
        is_good = reached <= value + 1e-14 * np.abs(value)
        z = np.where(is_good[:, None], trial, z)
        value = np.where(is_good, reached, value)
        if (np.abs(move) < 1e-12).all():
            break
    return z, value
