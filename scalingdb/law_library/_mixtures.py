"""Laws of mixtures of any number of domains: a formula with as many inputs as there are shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from scalingdb.errors import DataError, check_word
from scalingdb.law_library._core import FloatArray, Law, exponent, positive, real
from scalingdb.law_library._starts import best_cells, floors_below, least_squares

__all__ = ["mixture_law"]

MixtureKind = Literal["exp", "worth"]

STEADY = 0.01
"""What keeps the worth of a mixture above zero where no share is worth anything."""


@dataclass(frozen=True)
class _Mixture:
    """The formula of a mixture: called with the shares in order."""

    kind: MixtureKind
    names: tuple[str, ...]
    summary: str

    def __call__(self, *shares: Any, **params: Any) -> Any:
        if self.kind == "exp":
            total = sum(params[f"t{i}"] * share for i, share in enumerate(shares, 1))
            return params["c"] + params["k"] * np.exp(total)
        worth = STEADY + sum(params[f"v{i}"] * share for i, share in enumerate(shares, 1))
        return params["E"] + worth ** -params["a"]


@dataclass(frozen=True)
class _ExpStarts:
    """Given the floor, the logarithm of the rest is linear in ln k and every t."""

    def __call__(self, inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        columns = np.stack([np.ones_like(y), *inputs])[None]
        rows, misfits = [], []
        for floor in floors_below(y, weights):
            solved, misfit = least_squares(columns, np.log(y - floor), weights * ((y - floor) / y) ** 2)
            rows.append([floor, np.exp(solved[0, 0]), *solved[0, 1:]])
            misfits.append(misfit[0])
        return best_cells(np.array(rows), np.array(misfits))


@dataclass(frozen=True)
class _WorthStarts:
    """Given floor and exponent, the worth is linear in the shares."""

    def __call__(self, inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        columns = np.stack(list(inputs))[None]
        rows, misfits = [], []
        for floor in floors_below(y, weights):
            for power in np.geomspace(0.05, 2.0, 12):
                worth = (y - floor) ** (-1 / power) - STEADY
                size = weights * ((y - floor) / y * power / (worth + STEADY)) ** 2
                if not (np.isfinite(worth).all() and np.isfinite(size).all()):
                    continue
                solved, misfit = least_squares(columns, worth, size)
                rows.append([floor, *np.maximum(solved[0], 1e-4 * np.abs(solved[0]).max()), power])
                misfits.append(misfit[0])
        return best_cells(np.array(rows).reshape(-1, len(inputs) + 2), np.array(misfits))


def mixture_law(names: Sequence[str], kind: MixtureKind = "exp", output: str = "loss") -> Law:
    """A law of the loss over the shares of any number of domains.

    ``exp`` is the law of data mixing, ``c + k * exp(t1*r1 + t2*r2 + ...)``: shares add up to one, so that the last one
    is no input and has no coefficient; each t is relative to it. ``worth`` gives every share a worth and takes a power
    of their sum, ``E + (0.01 + v1*r1 + v2*r2 + ...)**-a``: a domain that is worth nothing does no harm, either.

    Parameters
    ----------
    names : sequence of str
        Columns with the shares (fractions, zero allowed), two or more; ``exp`` takes all but the last one.
    kind : {"exp", "worth"}
    output : str
        What the law yields, in the unit of the data.

    Returns
    -------
    Law
        Not registered: give it a name of its own with :meth:`Law.named`.

    Raises
    ------
    DataError
        For fewer than two shares, a name that is given twice, or one that a parameter bears (``c``, ``k``, ``t1`` ...).
    UnknownNameError
        For another kind.

    References
    ----------
    Ye et al., arXiv:2403.16952, eq. 1 (``exp``).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> law = sdb.law_library.mixture_law(["web", "code", "books", "papers"])
    >>> list(law.params)
    ['c', 'k', 't1', 't2', 't3']
    >>> round(law(0.4, 0.3, 0.2, c=2.0, k=0.8, t1=-3.0, t2=0.5, t3=-1.0), 3)
    2.229
    """
    check_word(kind, get_args(MixtureKind), "kind")
    shares = tuple(names)
    if len(shares) < 2 or len(set(shares)) < len(shares):
        raise DataError(
            f"a mixture of {list(shares)!r}: two or more different shares make one",
            'for example mixture_law(["web", "code", "books"]).',
        )
    if kind == "exp":
        params = {"c": positive("loss that no mixture removes"), "k": positive(f"the rest, with {shares[-1]} alone")}
        params |= {
            f"t{i}": real(f"effect of {name}, against {shares[-1]}", low=-200.0, high=200.0, start=(-4.0, 2.0))
            for i, name in enumerate(shares[:-1], 1)
        }
        doc = "Law of data mixing, ``c + k * exp(sum of t*r)``, each t relative to the last domain."
    else:
        params = {"E": positive("loss that no mixture removes")}
        params |= {f"v{i}": positive(f"worth of {name}", start=(0.05, 10.0)) for i, name in enumerate(shares, 1)}
        params["a"] = exponent("power of the worth of the mixture")
        doc = "A power of the worth of a mixture, ``E + (0.01 + sum of v*r)**-a``."
    inputs = shares[:-1] if kind == "exp" else shares
    if taken := [name for name in shares if name in params]:
        raise DataError(
            f"a share is called {taken[0]!r}, as a parameter of the law is",
            "rename the column, for example to share_c.",
        )
    return Law(
        name=f"mixture_{kind}_{len(shares)}",
        cite="Ye et al., arXiv:2403.16952, eq. 1" if kind == "exp" else "a power of a weighted sum of shares",
        inputs=inputs,
        output=output,
        params=MappingProxyType(params),
        function=_Mixture(kind, inputs, doc),
        starts=_ExpStarts() if kind == "exp" else _WorthStarts(),
        meanings=MappingProxyType(dict.fromkeys(inputs, "share in the training data, a fraction")),
        domain=MappingProxyType(dict.fromkeys(inputs, (0.0, 1.0))),
        evidence="four independent readings of the equation" if kind == "exp" else "the form is ours",
        evidence_kind="second_hand" if kind == "exp" else "derived",
    )
