"""How much of the data to keep, in theory: a perceptron that learns from the examples its teacher finds hard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from scalingdb.errors import DataError, check_word

__all__ = ["pruning_theory"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
Keep = Literal["hardest", "easiest"]

NODES = 600
LEAST_MARGIN, MOST_MARGIN = 1e-10, 9.0
"""Margins between which the density of a normal is integrated, in equal steps of the logarithm."""


def pruning_theory(
    examples_per_param: float | Sequence[float], kept: float | Sequence[float] = 1.0, keep: Keep = "hardest"
) -> pl.DataFrame:
    """Test error of a perceptron after pruning by margin, in the limit of many dimensions.

    A teacher labels normal inputs; the student is the separating hyperplane with the largest margin on the share of the
    examples that lie nearest to the teacher's boundary (``hardest``) or farthest from it (``easiest``). Without
    pruning the error falls as a power of the data, near ``1/(2 a)`` for a examples per parameter; along the envelope
    over the kept shares (:func:`sdb.pareto_envelope <scalingdb.pareto_envelope>`) it falls faster than any power
    of the kept examples. With few examples the easy ones are worth more, with many the hard ones.

    Parameters
    ----------
    examples_per_param : float or sequence of float
        Examples before pruning, over the dimension of the inputs.
    kept : float or sequence of float
        Shares of the examples that are kept, above 0 and up to 1.
    keep : {"hardest", "easiest"}

    Returns
    -------
    DataFrame
        One row per number of examples and share: ``examples_per_param, kept, kept_per_param, error`` (probability of a
        wrong label, one half by chance).

    Raises
    ------
    DataError, UnknownNameError
        If a number is not positive, a share is above 1, or `keep` is neither of the two.

    Notes
    -----
    The setting of the paper with a perfect probe; the error is computed by Gordon's comparison of Gaussian processes:
    with R the overlap of student and teacher, the margin k(R) solves
    ``a f E[(k - R z - sqrt(1 - R**2) g)_+**2] = 1 - R**2`` over the margins z that are kept and a normal g, the student
    maximises k, and errs in arccos(R)/pi of all cases.

    References
    ----------
    Sorscher et al., arXiv:2206.14486, section 2 and figure 1; Montanari et al., arXiv:1911.01544, theorem 1, for the
    comparison.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> table = sdb.practices.pruning_theory(100.0, [1.0, 0.1])
    >>> [f"{error:.4f}" for error in table["error"]]  # a tenth of the examples, and no loss
    ['0.0050', '0.0050']
    """
    check_word(keep, get_args(Keep), "keep")
    many, shares = (np.atleast_1d(np.asarray(values, dtype=float)) for values in (examples_per_param, kept))
    if not (many.size and np.isfinite(many).all() and (many > 0).all()):
        raise DataError(f"examples_per_param={examples_per_param!r} is not positive", "for example 10.0.")
    if not (shares.size and (shares > 0).all() and (shares <= 1).all()):
        raise DataError(f"kept={kept!r} is not a share above 0 and up to 1", "for example 0.2.")
    rows = [
        {"examples_per_param": a, "kept": f, "kept_per_param": a * f, "error": _error(a, f, is_hard=keep == "hardest")}
        for a in many.tolist()
        for f in shares.tolist()
    ]
    return pl.DataFrame(rows)


def _error(examples: float, kept: float, *, is_hard: bool) -> float:
    from scipy.optimize import brentq, minimize_scalar
    from scipy.special import ndtr, ndtri

    low, high = LEAST_MARGIN, MOST_MARGIN
    if is_hard:
        high = min(high, float(ndtri((1 + kept) / 2)))
    else:
        low = max(low, float(ndtri(1 - kept / 2)))
    steps = np.linspace(np.log(low), np.log(high), NODES)
    z = np.exp(steps)
    weights = np.exp(-z * z / 2) * z
    weights[[0, -1]] /= 2
    weights *= examples * kept / weights.sum()

    def surplus(margin: float, angle: float) -> float:
        overlap, rest = np.cos(angle), np.sin(angle)
        missing = margin - overlap * z
        scaled = missing / rest
        density = np.exp(-scaled * scaled / 2) / np.sqrt(2 * np.pi)
        return float(weights @ ((missing**2 + rest**2) * ndtr(scaled) + missing * rest * density) - rest**2)

    def least_margin(log_angle: float) -> float:
        angle = float(np.exp(log_angle))
        return -float(brentq(surplus, -60.0, 60.0, args=(angle,)))

    found = minimize_scalar(least_margin, bounds=(np.log(1e-7), np.log(np.pi / 2)), method="bounded",
                            options={"xatol": 1e-7})  # fmt: skip
    return float(np.exp(found.x) / np.pi)
