"""Chapter 5. Schedules: the whole loss curve from the whole learning-rate curve.

These laws take areas under the learning rate, not counts. The module :mod:`scalingdb.schedules` computes
them from logged rates, and binds the multi-power law to schedules of any shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from scalingdb.law_library._core import FloatArray, exponent, law, positive
from scalingdb.law_library._schedules import settled
from scalingdb.law_library._starts import best_of_each, centre, grid, least_squares, projected

AREAS = {
    "lr_area": "sum of the learning rates of all steps so far, warm-up included (S1)",
    "annealing_area": "sum over the steps so far of a decaying memory of past drops of the learning rate (S2)",
}


def _annealing_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given alpha the law is linear."""
    area, annealing = inputs
    middle = centre(area)
    return projected(
        grid(np.geomspace(0.05, 2.0, 40)),
        lambda alpha: (1.0, (area / middle) ** -alpha, -annealing),
        y,
        weights,
        lambda cell, c: (
            max(c[0], 1e-3),
            max(c[1], 1e-6) * middle ** cell[0],
            cell[0],
            max(c[2], 1e-6),
        ),
    )


@law(
    "lr_annealing",
    cite="Tissue et al., arXiv:2408.11029, the law of its abstract",
    inputs=("lr_area", "annealing_area"),
    params={
        "L_0": positive("loss that no amount of training gets below"),
        "A": positive("scale of the term in the area", start=(1e-3, 10.0)),
        "alpha": exponent("exponent of the area"),
        "C": positive("loss that a unit of annealing takes off", start=(1e-3, 10.0)),
    },
    starts=_annealing_starts,
    meanings=AREAS,
    authors_fit="Huber loss (delta 1e-3) of log residuals over all steps of one or two curves",
    evidence="the abstract prints the law; an independent re-implementation of it agrees, with lambda = 0.999",
)
def lr_annealing(lr_area: Any, annealing_area: Any, *, L_0: Any, A: Any, alpha: Any, C: Any) -> Any:
    """Loss at any step from two areas, ``L_0 + A * S1**-alpha - C * S2``.

    S1 is what training has moved, S2 what annealing has settled: each drop of the rate adds to a
    memory that fades by lambda a step, and S2 sums the memory, so a drop pays off over the next
    ``1/(1 - lambda)`` steps. Lambda is not a parameter of the fit; whoever compares coefficients
    must have the same one. Implementations differ in where the memory starts: begun at the first
    rate instead of zero it adds a constant to S2. Where the rate never falls S2 is zero, which a fit of
    this law refuses; :func:`scalingdb.schedules.lr_annealing_for` takes such curves, too. Steps of one
    curve are alike: intervals by step are too narrow.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("lr_annealing")
    >>> values = dict(L_0=2.6, A=0.5, alpha=0.5, C=0.4)
    >>> print(f"{law(6.0, 0.0, **values) - law(6.0, 0.25, **values):.2f}")  # what annealing took off
    0.10
    """
    return L_0 + A * lr_area**-alpha - C * annealing_area


def _one_drop_starts(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
    """Given the four exponents and speeds the law is linear in L_0, A and B.

    The speed is laid out where the rows are, as share settled after a typical area at a typical rate: C alone moves
    by orders of magnitude with gamma.
    """
    area, before, after, since = inputs
    middle, rate, typical = centre(area), centre(after), centre(since)
    cells = np.array(
        grid(
            np.array([0.05, 0.2, 0.4, 0.7, 1.1]),
            np.geomspace(1e-3, 1e4, 10),
            np.array([0.1, 0.3, 0.8, 2.0, 9.0]),
            np.array([0.02, 0.3, 0.7, 1.2, 2.5, 5.0, 9.0]),
        )
    )
    alpha, pace, beta, gamma = cells.T
    with np.errstate(over="ignore"):
        gain = (before - after) * settled(after / rate, since / typical, *cells[:, 1:, None].transpose(1, 0, 2))
    columns = np.stack([np.ones_like(gain), (area / middle) ** -alpha[:, None], -gain], axis=1)
    solved, misfit = least_squares(columns, y, weights / y**2)
    rows = np.column_stack(
        [
            *(np.maximum(solved[:, 0], 1e-3), np.maximum(solved[:, 1], 1e-6) * middle**alpha, alpha),
            *(np.maximum(solved[:, 2], 1e-3), pace * rate**gamma / typical, beta, gamma),
        ]
    )
    place = np.unique(cells[:, [1, 3]], axis=0, return_inverse=True)[1].ravel()
    return best_of_each(rows, np.where((solved > 0).all(1), misfit, 4 * misfit), place)


@law(
    "multi_power",
    cite="Luo et al., arXiv:2503.12811, the multi-power law",
    inputs=("lr_area", "rate_before", "rate_after", "area_since"),
    params={
        "L_0": positive("loss that no amount of training gets below"),
        "A": positive("scale of the term in the area", start=(1e-2, 10.0)),
        "alpha": exponent("exponent of the area"),
        "B": positive("loss that a unit drop of the rate takes off in the end", start=(10.0, 2000.0)),
        "C": positive("speed at which a drop pays off", start=(0.2, 20.0)),
        "beta": exponent("exponent with which it does", start=(0.2, 1.2)),
        "gamma": exponent("dependence of that speed on the rate after the drop", start=(0.2, 1.2)),
    },
    starts=_one_drop_starts,
    meanings={
        "lr_area": AREAS["lr_area"],
        "rate_before": "learning rate before the drop",
        "rate_after": "learning rate after the drop",
        "area_since": "sum of the learning rates from the first step after the drop on",
    },
    domain={
        "lr_area": (0.32, 6.9),
        "rate_before": (3e-5, 3e-4),
        "rate_after": (3e-5, 3e-4),
        "area_since": (3e-5, 6.6),
    },
    authors_fit=(
        "sum of Huber losses (delta 1e-3) of log residuals on three curves of 24,000 steps; L-BFGS-B for four of the "
        "parameters, then AdamW for all"
    ),
    evidence="the authors' README and model; two independent re-implementations agree",
)
def multi_power(
    lr_area: Any,
    rate_before: Any,
    rate_after: Any,
    area_since: Any,
    *,
    L_0: Any,
    A: Any,
    alpha: Any,
    B: Any,
    C: Any,
    beta: Any,
    gamma: Any,
) -> Any:
    """Loss after one drop of the learning rate: ``L_0 + A * S1**-alpha - B * drop * settled``.

    The whole law sums the last term over every change of the rate, warm-up included (a rise counts
    negative and adds about ``B * peak`` of loss for good):
    :func:`scalingdb.schedules.multi_power_for` makes that law for schedules of any shape, with the
    same parameters. ``settled`` is ``1 - (1 + C * rate_after**-gamma * area_since)**-beta``: a power
    law again, slower than the exponential memory of ``lr_annealing``. The coefficients are those
    of three sizes on one corpus, one batch size and one peak rate: A and L_0 do not carry over.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.get_law("multi_power")
    >>> kept = law(6.0, 3e-4, 3e-4, 1.0, variant="n400m")
    >>> [f"{kept - law(6.0, 3e-4, 3e-5, area, variant='n400m'):.3f}" for area in (0.001, 0.1)]  # soon, late
    ['0.059', '0.134']
    """
    return L_0 + A * lr_area**-alpha - B * (rate_before - rate_after) * settled(rate_after, area_since, C, beta, gamma)
