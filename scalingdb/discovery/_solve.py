"""Least squares for formulas that are too many to be traced: many starts and hold-outs at once, by differences.

A formula of the search is plain NumPy code over logarithms of the inputs. Its derivatives are taken by differences,
all problems (starts times hold-outs) in one array; the step is Levenberg and Marquardt's, with the weights of Huber's
loss. Groups are part of one problem: a table says which parameters of a group are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Layout", "Rows", "Spec", "internal", "minimise", "natural", "normal_matrix", "predict", "structured"]

BoolArray = np.ndarray[Any, np.dtype[np.bool_]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

STEP = 1e-6
MOST = 50.0
"""Largest internal coordinate of a scale: its logarithm."""
ELEMENTS = 3_000_000
"""Problems times rows times parameters that are held at once."""


@dataclass(frozen=True)
class Spec:
    """A parameter of a formula of the search.

    Attributes
    ----------
    name, meaning : str
    kind : {"positive", "exponent", "real"}
        The first two are searched as logarithms.
    start : (float, float)
        Range of starts.
    neutral : float
        Value at which a new part of a formula changes nothing, or little.
    linear : bool
        Whether the formula is linear in it, together with the other such parameters.
    """

    name: str
    kind: str
    start: tuple[float, float]
    neutral: float
    linear: bool
    meaning: str


Function = Callable[[Sequence["FloatArray"], Sequence["FloatArray"], Sequence["FloatArray"]], "FloatArray"]
"""``f(x, logs, params)`` with inputs (n,) and parameters (P, 1) or (P, n)."""


@dataclass(frozen=True)
class Rows:
    """Inputs, their logarithms and observations (n,), and how errors are measured."""

    x: tuple[FloatArray, ...]
    logs: tuple[FloatArray, ...]
    y: FloatArray
    group: IntArray
    is_log: bool
    unit: float
    delta: float

    def residual(self, value: FloatArray) -> FloatArray:
        """Prediction against observation: of logarithms, or in units of a typical output."""
        if self.is_log:
            with np.errstate(all="ignore"):
                return np.asarray(np.log(value) - np.log(self.y))
        return np.asarray((value - self.y) / self.unit)


@dataclass(frozen=True)
class Layout:
    """Positions (G, k) of every group's parameters among all (K)."""

    table: IntArray

    @property
    def n_params(self) -> int:
        return int(self.table.max()) + 1 if self.table.size else 0

    @staticmethod
    def of(n_groups: int, specs: Sequence[Spec], shared: Sequence[bool]) -> Layout:
        """Shared parameters first, then those of each group."""
        table = np.empty((n_groups, len(specs)), dtype=np.int64)
        place = 0
        for j, is_shared in enumerate(shared):
            if is_shared:
                table[:, j] = place
                place += 1
        own = [j for j, is_shared in enumerate(shared) if not is_shared]
        for j in own:
            table[:, j] = place + np.arange(n_groups)
            place += n_groups
        return Layout(table)


def natural(specs: Sequence[Spec], u: FloatArray) -> FloatArray:
    """Parameters (P, G, k) from internal coordinates of the same shape."""
    theta = u.copy()
    for j, spec in enumerate(specs):
        if spec.kind != "real":
            theta[..., j] = np.exp(np.clip(u[..., j], -MOST, np.log(10.0) if spec.kind == "exponent" else 2 * MOST))
    return theta


def internal(specs: Sequence[Spec], theta: FloatArray) -> FloatArray:
    """Internal coordinates of parameters (..., k)."""
    u = theta.copy()
    for j, spec in enumerate(specs):
        if spec.kind != "real":
            u[..., j] = np.log(np.maximum(theta[..., j], 1e-18))
    return u


def predict(function: Function, specs: Sequence[Spec], layout: Layout, u: FloatArray, rows: Rows) -> FloatArray:
    """The formula (P, n) at coordinates (P, K)."""
    theta = natural(specs, u[:, layout.table])
    if layout.table.shape[0] == 1:
        params = [theta[:, 0, j : j + 1] for j in range(len(specs))]
    else:
        params = [theta[:, rows.group, j] for j in range(len(specs))]
    with np.errstate(all="ignore"):
        value = np.asarray(function(rows.x, rows.logs, params), dtype=float)
    return np.broadcast_to(value, (u.shape[0], rows.y.size))


def _loss(residual: FloatArray, weights: FloatArray, delta: float) -> FloatArray:
    size = np.abs(residual)
    with np.errstate(all="ignore"):
        each = np.where(size <= delta, 0.5 * residual**2, delta * (size - 0.5 * delta))
        total = np.where(weights > 0, weights * each, 0.0).sum(1)
    return np.where(np.isfinite(total), total, np.inf)


def minimise(
    function: Function,
    specs: Sequence[Spec],
    layout: Layout,
    u: FloatArray,
    rows: Rows,
    weights: FloatArray,
    iterations: int = 40,
) -> tuple[FloatArray, FloatArray]:
    """Coordinates (P, K) and objective (P,) where starts `u` (P, K) end, each with its own weights (P, n)."""
    size = max(1, ELEMENTS // max(rows.y.size * (len(specs) + 1), 1))
    parts = [
        _minimise(function, specs, layout, u[i : i + size], rows, weights[i : i + size], iterations)
        for i in range(0, len(u), size)
    ]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _minimise(
    function: Function,
    specs: Sequence[Spec],
    layout: Layout,
    start: FloatArray,
    rows: Rows,
    weights: FloatArray,
    iterations: int,
) -> tuple[FloatArray, FloatArray]:
    u = start.copy()
    residual = rows.residual(predict(function, specs, layout, u, rows))
    total = _loss(residual, weights, rows.delta)
    damping, quiet = np.full(len(u), 1e-2), np.zeros(len(u), dtype=int)
    alive = np.flatnonzero(np.isfinite(total))
    for _ in range(iterations):
        if not alive.size:
            break
        at, left = u[alive], residual[alive]
        matrix, gradient = _normal(function, specs, layout, at, left, rows, weights[alive])
        diagonal = np.einsum("pii->pi", matrix)
        floor = 1e-12 * diagonal.max(1, keepdims=True) + 1e-300
        matrix = matrix + (damping[alive, None] * diagonal + floor)[:, :, None] * np.eye(u.shape[1])
        try:
            step = -np.linalg.solve(matrix, gradient[:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:
            step = -gradient / (diagonal + floor)
        step = np.where(np.isfinite(step), step, 0.0)
        longest = np.abs(step).max(1, keepdims=True)
        step = step * np.minimum(1.0, 3.0 / np.maximum(longest, 1e-300))
        trial = np.clip(at + step, -1e6, 1e6)
        new = rows.residual(predict(function, specs, layout, trial, rows))
        value = _loss(new, weights[alive], rows.delta)
        better = value < total[alive]
        gain = np.where(better, (total[alive] - value) / np.maximum(total[alive], 1e-300), 0.0)
        where = alive[better]
        u[where], residual[where], total[where] = trial[better], new[better], value[better]
        damping[alive] = np.where(better, damping[alive] * 0.2, np.minimum(damping[alive] * 6.0, 1e10))
        quiet[alive] = np.where(gain > 1e-6, 0, quiet[alive] + 1)
        # a refused step is a reason for more damping, an accepted one that gains nothing the end
        alive = alive[(quiet[alive] < np.where(damping[alive] > 1e-2, 6, 2)) & (total[alive] > 1e-24)]
    return u, total


def _normal(
    function: Function,
    specs: Sequence[Spec],
    layout: Layout,
    u: FloatArray,
    residual: FloatArray,
    rows: Rows,
    weights: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Normal matrix (P, K, K) and gradient (P, K) of the reweighted squares."""
    theta = u[:, layout.table]
    slopes = np.empty((len(u), len(specs), rows.y.size))
    is_one = layout.table.shape[0] == 1
    with np.errstate(all="ignore"):
        plain = natural(specs, theta)
        params = [plain[:, 0, j : j + 1] if is_one else plain[:, rows.group, j] for j in range(len(specs))]
        for j in range(len(specs)):
            step = STEP * np.maximum(1.0, np.abs(theta[..., j]))
            moved = theta.copy()
            moved[..., j] += step
            changed = natural(specs[j : j + 1], moved[..., j : j + 1])[..., 0]
            given = list(params)
            given[j] = changed[:, :1] if is_one else changed[:, rows.group]
            value = np.broadcast_to(function(rows.x, rows.logs, given), residual.shape)
            by = step[:, :1] if is_one else step[:, rows.group]
            slopes[:, j] = (rows.residual(value) - residual) / by
        size = np.abs(residual)
        weight = np.where(size > rows.delta, rows.delta / np.maximum(size, 1e-300), 1.0) * weights
        counts = weights > 0
        slopes = np.where(counts[:, None, :] & np.isfinite(slopes), slopes, 0.0)
        weight = np.where(counts & np.isfinite(weight), weight, 0.0)
        pulled = np.where(counts & np.isfinite(residual), residual, 0.0) * weight
    if is_one and layout.n_params == len(specs):
        order = layout.table[0]
        scaled = slopes * weight[:, None, :]
        matrix = np.empty((len(u), order.size, order.size))
        gradient = np.empty((len(u), order.size))
        matrix[:, order[:, None], order[None, :]] = np.matmul(scaled, slopes.transpose(0, 2, 1))
        gradient[:, order] = np.matmul(slopes, pulled[:, :, None])[:, :, 0]
        return matrix, gradient
    matrix = np.zeros((len(u), layout.n_params, layout.n_params))
    gradient = np.zeros((len(u), layout.n_params))
    for number, places in enumerate(layout.table):
        mine = np.flatnonzero(rows.group == number)
        if not mine.size:
            continue
        part = slopes[:, :, mine]
        matrix[:, places[:, None], places[None, :]] += np.matmul(part * weight[:, None, mine], part.transpose(0, 2, 1))
        gradient[:, places] += np.matmul(part, pulled[:, mine, None])[:, :, 0]
    return matrix, gradient


def normal_matrix(function: Function, specs: Sequence[Spec], layout: Layout, u: FloatArray, rows: Rows) -> FloatArray:
    """Normal matrix (K, K) of the squares at coordinates (K,)."""
    residual = rows.residual(predict(function, specs, layout, u[None], rows))
    matrix, _ = _normal(function, specs, layout, u[None], residual, rows, np.ones((1, rows.y.size)))
    return np.asarray(matrix[0])


def structured(
    function: Function,
    specs: Sequence[Spec],
    rows: Rows,
    weights: FloatArray,
    count: int,
    cells: int,
    seed: int,
    given: FloatArray | None = None,
) -> FloatArray:
    """Starts (S, k) in internal coordinates: the non-linear parameters from a sequence, the linear ones solved for.

    Parameters
    ----------
    count : int
        Starts to keep, the best ones.
    cells : int
        Places to try.
    given : array (m, k), optional
        Natural parameters to try beside them; their linear ones are solved for, too.
    """
    from scipy.stats import qmc

    free = [j for j, spec in enumerate(specs) if not spec.linear]
    theta = np.ones((cells if free else min(cells, 1), len(specs)))
    if free and cells:
        unit = qmc.Sobol(len(free), scramble=True, rng=seed).random(cells)
        for column, j in enumerate(free):
            low, high = specs[j].start
            if specs[j].kind == "real":
                theta[:, j] = low + unit[:, column] * (high - low)
            else:
                theta[:, j] = np.exp(np.log(low) + unit[:, column] * np.log(high / low))
    linear = [j for j, spec in enumerate(specs) if spec.linear]
    if given is not None and len(given):
        theta = np.concatenate([given, theta])
    if linear and len(theta):
        theta = _with_linear(function, specs, linear, theta, rows, weights)
    u = internal(specs, theta)
    layout = Layout(np.arange(len(specs))[None])
    if given is not None and len(given):
        u = np.concatenate([internal(specs, given), u])
    one = np.zeros_like(rows.group)
    alone = Rows(rows.x, rows.logs, rows.y, one, rows.is_log, rows.unit, rows.delta)
    total = _loss(alone.residual(predict(function, specs, layout, u, alone)), weights[None], rows.delta)
    order = np.argsort(total, kind="stable")
    order = order[np.isfinite(total[order])]
    return np.asarray(u[order[:count]])


def _with_linear(
    function: Function,
    specs: Sequence[Spec],
    linear: Sequence[int],
    theta: FloatArray,
    rows: Rows,
    weights: FloatArray,
) -> FloatArray:
    """The linear parameters by weighted least squares; those that must be positive are kept above a trace."""

    def value(at: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            made = function(rows.x, rows.logs, [at[:, j : j + 1] for j in range(len(specs))])
        return np.broadcast_to(np.asarray(made, dtype=float), (len(at), rows.y.size))

    at = theta.copy()
    at[:, linear] = 0.0
    offset = value(at)
    terms = []
    for j in linear:
        at[:, j] = 1.0
        terms.append(value(at) - offset)
        at[:, j] = 0.0
    basis = np.stack(terms, axis=1)
    root = np.sqrt(weights) / (rows.y if rows.is_log else 1.0)
    design, target = basis * root, (rows.y - offset) * root
    usable: BoolArray = np.asarray(np.isfinite(design).all((1, 2)) & np.isfinite(target).all(1))
    design, target = np.where(usable[:, None, None], design, 0.0), np.where(usable[:, None], target, 0.0)
    size = np.sqrt((design**2).sum(2)) + 1e-300
    design = design / size[:, :, None]
    active = np.ones((len(theta), len(linear)))
    positive = np.array([specs[j].kind != "real" for j in linear])
    solved = np.zeros((len(theta), len(linear)))
    for _ in range(len(linear) + 1):  # leave out what would be negative, and solve again
        used = design * active[:, :, None]
        gram = np.matmul(used, used.transpose(0, 2, 1)) + 1e-10 * np.eye(len(linear))
        gram = gram + (1 - active)[:, :, None] * np.eye(len(linear))
        solved = np.linalg.solve(gram, np.matmul(used, target[:, :, None]))[:, :, 0] * active
        negative = (solved <= 0) & positive & (active > 0)
        if not negative.any():
            break
        active = active * ~negative
    typical = float(np.abs(rows.y).mean())
    solved = solved / size
    at[:, linear] = np.where(positive, np.maximum(solved, 1e-4 * typical), solved)
    return np.asarray(at[usable])
