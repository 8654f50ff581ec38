"""Where the loss is least for a given compute: the best N and D under ``C = 6*N*D``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import DataError
from scalingdb.law_library._core import FloatArray, Law
from scalingdb.law_library._evaluate import bound, warn_outside
from scalingdb.schema import N_DEFINITIONS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["REACH", "TokenFunction", "least_loss", "optimum", "tokens_6nd"]

REACH = 18.0
"""N is sought from ``sqrt(C/6) * exp(-18)`` to ``sqrt(C/6) * exp(18)``: tokens per parameter from 2e-16 to 4e15."""

CELLS = 81
"""Cells of the grid in ln N: half a unit each."""


TokenFunction = Callable[[FloatArray, FloatArray], FloatArray]
"""``tokens(n, budget) -> d``: the training tokens that a budget leaves to a model of n parameters."""


def tokens_6nd(n: FloatArray, budget: FloatArray) -> FloatArray:
    """Tokens under ``C = 6*N*D``."""
    return budget / 6 / n


def least_loss(
    loss: Callable[[FloatArray, FloatArray], FloatArray],
    budget: FloatArray,
    shape: tuple[int, ...] = (),
    tokens: TokenFunction = tokens_6nd,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Least loss of a surface over all N that a budget allows, numerically.

    A grid in ln N, golden sections in its best cell, and Newton steps on differences of the fourth
    order: the minimum of a function is only good to the root of the rounding, the zero of its slope
    is good to the rounding.

    Parameters
    ----------
    loss : callable ``(n, d) -> loss``
        On arrays ``(*shape, B)``, elementwise; a value that is not finite is no minimum.
    budget : array (B,) or (*shape, B)
        In FLOP.
    shape : tuple of int
        Leading axes of the problem: many coefficient sets at once.
    tokens : callable
        What D a budget leaves to N; a D that is not positive is out of reach.

    Returns
    -------
    n, d : arrays (*shape, B)
        Best parameters and tokens.
    is_inside : array (*shape, B) of bool
        False where the loss has no minimum inside the range searched. Some laws fall again far outside
        the range they were fitted on (Farseer's does, for more parameters than tokens); the minimum
        between is the one that is meant, and the lowest where there are several.
    """

    def at(log_n: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            n = np.exp(log_n)
            d = tokens(n, budget)
            values = np.asarray(loss(n, np.where(d > 0, d, np.nan)), dtype=float)
        return np.broadcast_to(np.where(np.isfinite(values), values, np.inf), log_n.shape)

    full = (*shape, budget.shape[-1])
    offsets = np.linspace(-REACH, REACH, CELLS)
    centre = np.broadcast_to(0.5 * np.log(budget / 6), full)
    table = np.stack([at(centre + offset) for offset in offsets])
    inner = table[1:-1]
    is_valley = (inner <= table[:-2]) & (inner <= table[2:]) & ((inner < table[:-2]) | (inner < table[2:]))
    valleys = np.where(is_valley, inner, np.inf)
    is_inside = np.isfinite(valleys.min(axis=0))
    pick = np.argmin(valleys, axis=0) + 1
    low, high = centre + offsets[pick - 1], centre + offsets[pick + 1]
    ratio = (np.sqrt(5.0) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        is_left = at(left) < at(right)
        high, low = np.where(is_left, right, high), np.where(is_left, low, left)
    best = 0.5 * (low + high)
    for step in (3e-2, 1e-2):
        near = [at(best + k * step) for k in (-2, -1, 0, 1, 2)]
        with np.errstate(all="ignore"):
            slope = (near[0] - near[4] + 8 * (near[3] - near[1])) / (12 * step)
            curvature = (16 * (near[1] + near[3]) - near[0] - near[4] - 30 * near[2]) / (12 * step**2)
            move = -slope / curvature
        # the sections are good to the root of the rounding; a longer move means that the surface has a
        # kink, or a jump of its curvature, and that differences across it mean nothing
        is_good = np.isfinite(move) & (curvature > 0) & (np.abs(move) < 1e-4)
        best = np.where(is_good, best + np.where(is_good, move, 0.0), best)
    n = np.exp(best)
    return n, tokens(n, budget), is_inside


def optimum(
    law: Law, train_flops: float | Sequence[float], variant: str | None, given: Mapping[str, float]
) -> pl.DataFrame:
    """Frame of :meth:`Law.optimum`."""
    from scalingdb._frames import OptimumFrame

    budgets = np.atleast_1d(np.asarray(train_flops, dtype=float))
    sizes = [name for name in law.inputs if name in N_DEFINITIONS]
    if law.output != "loss" or len(sizes) != 1 or "n_tokens" not in law.inputs:
        raise DataError(
            f"law {law.name!r} is not a loss surface over N and D: there is no trade-off to optimise",
            "take a surface such as chinchilla or farseer.",
        )
    if not (np.isfinite(budgets).all() and (budgets > 0).all()):
        raise DataError("a budget must be a positive number of FLOP", "for example train_flops=1e24.")
    size = sizes[0]
    others = [name for name in law.inputs if name not in {size, "n_tokens"}]
    if set_twice := [name for name in given if name in {size, "n_tokens"}]:
        raise DataError(f"{set_twice[0]!r} is what the budget decides", "leave it out.")
    if missing := [name for name in others if name not in given]:
        raise DataError(
            f"law {law.name!r} also takes {', '.join(missing)}, which the budget does not decide",
            f"give it a value: optimum(..., {missing[0]}=...).",
        )
    held, own = bound(law, (), {size: 1.0, "n_tokens": 1.0, **given})
    params = own if len(own) == len(law.params) else {**law.coefficients(variant), **own}
    fixed = dict(zip(law.inputs, held, strict=True))

    def loss(n: FloatArray, d: FloatArray) -> Any:
        values = {**fixed, size: n, "n_tokens": d}
        if "n_tokens_unique" in fixed:  # data that a run has not seen do not count
            values["n_tokens_unique"] = np.minimum(fixed["n_tokens_unique"], d)
        return law.function(*(values[name] for name in law.inputs), **params)

    if law.best_split is not None and not others:
        n, d = law.best_split(budgets, **params)
        is_inside = np.isfinite(n) & np.isfinite(d)
    else:
        n, d, is_inside = least_loss(loss, budgets)
    if not np.all(is_inside):
        where = float(budgets[~np.asarray(is_inside)][0])
        raise DataError(
            f"law {law.name!r} has no best N at {where:.3g} FLOP: its loss falls to an end of the range",
            "the coefficients hold no trade-off of N against D there.",
        )
    if len(own) < len(law.params):
        warn_outside(law, [np.asarray({**fixed, size: n, "n_tokens": d}[name], dtype=float) for name in law.inputs])
    return OptimumFrame(
        {"train_flops": budgets, "n_params": n, "n_tokens": d, "tokens_per_param": d / n, "loss": loss(n, d)}
    )
