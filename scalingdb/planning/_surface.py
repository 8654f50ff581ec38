"""A law with coefficients, or a fit, as a loss over N and D: what every plan is made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from scalingdb import units
from scalingdb.errors import DataError, unknown_name
from scalingdb.fits import Fit, evaluate_law, with_law_error
from scalingdb.law_library import Law, get_law
from scalingdb.law_library._optimum import TokenFunction, least_loss, tokens_6nd
from scalingdb.planning._curve import (
    N_DRAWS,
    BoolArray,
    Curve,
    FloatArray,
    facts_of_fit,
    facts_of_law,
    first_reached,
    root,
)
from scalingdb.schema import N_DEFINITIONS

__all__ = [
    "BUDGETS",
    "CONVENTIONS",
    "N_DRAWS",
    "BoolArray",
    "Cost",
    "FloatArray",
    "Surface",
    "first_reached",
    "make_cost",
    "root",
    "surface_of",
]

CONVENTIONS = ("6nd", "total", "non_embedding")

BUDGETS = np.geomspace(1e8, 1e36, 561)
"""Budgets in FLOP between which a loss is looked for; serving alone costs FLOP, so a small one may lead nowhere."""


@dataclass(frozen=True)
class Cost:
    """What training costs: ``6 * count(N) * D`` FLOP, and ``2 * count(N)`` for each token served.

    Attributes
    ----------
    count : callable
        The parameters that are paid for, from N as the law counts it.
    words : str
        The formula, for the notes of a plan.
    is_plain : bool
        Whether the count is the law's own N.
    """

    count: Callable[[FloatArray], FloatArray]
    words: str
    is_plain: bool

    def tokens(self, served: FloatArray | float = 0.0) -> TokenFunction:
        """Training tokens that a budget leaves, once `served` tokens are paid for."""
        if self.is_plain and not np.any(served):
            return tokens_6nd
        return lambda n, budget: budget / 6 / self.count(n) - np.asarray(served) / 3

    def train(self, n: FloatArray, d: FloatArray) -> FloatArray:
        """FLOP of the training run."""
        return 6 * self.count(n) * d

    def total(self, n: FloatArray, d: FloatArray, served: FloatArray | float) -> FloatArray:
        """FLOP of the training run and of the tokens served."""
        return self.train(n, d) + 2 * self.count(n) * served


def make_cost(convention: str, size: str, omega: float) -> Cost:
    """The cost under a convention, for a law whose N is the input `size`.

    Raises
    ------
    UnknownNameError
        If the convention is none of ours.
    DataError
        If N cannot be converted to the count that the convention pays for.
    """
    if convention not in CONVENTIONS:
        raise unknown_name("flops_convention", convention, CONVENTIONS)
    wanted = {"6nd": size, "total": "n_params", "non_embedding": "n_params_non_embedding"}[convention]
    if wanted == size:
        return Cost(lambda n: n, f"6*N*D, N as the law counts it ({size})", is_plain=True)
    if (wanted, size) == ("n_params", "n_params_non_embedding"):
        words = f"6*N*D with N of all parameters, from those without embeddings (omega = {omega:.5g})"
        return Cost(lambda n: np.asarray(units.n_params_total(n, omega=omega)), words, is_plain=False)
    if (wanted, size) == ("n_params_non_embedding", "n_params"):
        words = f"6*N*D with N without embeddings, from all parameters (omega = {omega:.5g})"
        return Cost(lambda n: np.asarray(units.n_params_non_embedding(n, omega=omega)), words, is_plain=False)
    raise DataError(
        f"flops_convention={convention!r} needs {wanted}, and the law counts {size}",
        "take flops_convention='6nd'.",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Surface(Curve):
    """A loss over N and D with the uncertainty of its coefficients.

    Attributes
    ----------
    size : str
        Input of the law that is N.
    """

    size: str

    def loss(self, theta: FloatArray, n: FloatArray, d: FloatArray) -> FloatArray:
        """Loss (P, B) at sizes and tokens (P, B) for coefficients (P, K)."""
        return evaluate_law(self.law, theta, self._inputs(n, d))

    def _inputs(self, n: FloatArray, d: FloatArray) -> list[FloatArray]:
        """Inputs of the law, each (P, B)."""
        n, d = np.broadcast_arrays(np.atleast_2d(n), np.atleast_2d(d))
        inputs = []
        for name in self.law.inputs:
            if name == self.size:
                inputs.append(n)
            elif name == "n_tokens":
                inputs.append(d)
            elif name == "n_tokens_unique":  # data that a run has not seen do not count
                inputs.append(np.minimum(self.given[name], d))
            else:
                inputs.append(np.full(n.shape, self.given[name]))
        return inputs

    def best(
        self, theta: FloatArray, budget: FloatArray, cost: Cost, served: FloatArray | float = 0.0
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Best N and D for budgets and their loss, each (P, B); ``nan`` where there is no best N."""
        count, budgets = theta.shape[0], np.atleast_1d(np.asarray(budget, dtype=float))
        full = (count, budgets.shape[-1])
        if self.law.best_split is not None and cost.is_plain and not np.any(served) and not self.given:
            params = {name: theta[:, i : i + 1] for i, name in enumerate(self.law.params)}
            with np.errstate(all="ignore"):
                n, d = (np.broadcast_to(part, full) for part in self.law.best_split(budgets, **params))
            inside = np.isfinite(n) & np.isfinite(d)
        else:
            n, d, inside = least_loss(lambda n, d: self.loss(theta, n, d), budgets, (count,), cost.tokens(served))
        n, d = np.where(inside, n, np.nan), np.where(inside, d, np.nan)
        return n, d, np.where(inside, self.loss(theta, n, d), np.nan)

    def budget_for(
        self, theta: FloatArray, wanted: FloatArray, cost: Cost, served: FloatArray | float = 0.0, what: str = "loss"
    ) -> FloatArray:
        """Budget (P, B) whose best split reaches a loss, an N or a D; ``nan`` where none does."""
        position = ("n", "d", "loss").index(what)

        def value(log_c: FloatArray) -> FloatArray:
            return self.best(theta, np.exp(log_c), cost, served)[position]

        grid = np.log(BUDGETS[::20])
        return np.exp(root(value, wanted, grid, theta.shape[0]))

    def reaches(self, theta: FloatArray, wanted: FloatArray, cost: Cost, served: FloatArray | float = 0.0) -> BoolArray:
        """Whether the best split of the largest budget looked at is as good as a loss; true where it has none."""
        least = self.best(theta, BUDGETS[-1:], cost, served)[2]
        return np.asarray(~(least > wanted))

    def allow_for_law_error(
        self, n: FloatArray, d: FloatArray, loss: FloatArray, ends: tuple[FloatArray, FloatArray], level: float
    ) -> tuple[FloatArray, FloatArray]:
        """Ends (B,) of the loss at N and D (B,); beyond the fitted range they allow for the law's own error."""
        if self.fit is None or not self.has_interval:
            return ends
        inputs = [values[0] for values in self._inputs(n, d)]
        low, high, _ = with_law_error(self.fit._estimate, inputs, loss, *ends, level)
        return low, high


def _size_of(law: Law) -> str:
    """The input that is N.

    Raises
    ------
    DataError
        If the law holds no trade-off of N against D, with the reason.
    """
    takes = ", ".join(law.inputs)
    if law.output != "loss":
        raise DataError(
            f"law {law.name!r} yields {law.output}, not a loss: there is nothing to minimise",
            "take a loss surface such as chinchilla or farseer.",
        )
    sizes = [name for name in law.inputs if name in N_DEFINITIONS]
    if not sizes and "n_params_average" in law.inputs:
        sizes = ["n_params_average"]
    if len(sizes) != 1 or "n_tokens" not in law.inputs:
        lacks = "tokens D" if len(sizes) == 1 else "parameters N" if "n_tokens" in law.inputs else "N and D"
        raise DataError(
            f"law {law.name!r} holds no trade-off of parameters against tokens: it takes {takes}, and lacks {lacks}",
            "take a surface over both, such as chinchilla, farseer or muennighoff_repeat.",
        )
    return sizes[0]


def surface_of(
    law: str | Law | Fit, variant: str | None = None, given: Mapping[str, float] = MappingProxyType({})
) -> Surface:
    """The loss surface of a law with published or own coefficients, or of a fit.

    Parameters
    ----------
    law : str, Law or Fit
    variant : str, optional
        Published coefficient set of a law.
    given : mapping
        Values of the inputs other than N and D, and own coefficients of a law.

    Raises
    ------
    DataError
        If there is no trade-off of N against D, or an input has no value.
    UnknownNameError
        For an unknown law, variant, parameter or input.
    """
    if isinstance(law, Fit):
        return _of_fit(law, variant, given)
    entry = get_law(law)
    size = _size_of(entry)
    inputs = _other_inputs(entry, size, given)
    own = {name: float(value) for name, value in given.items() if name in entry.params}
    return Surface(**facts_of_law(entry, variant, own), size=size, given=MappingProxyType(inputs))


def _other_inputs(law: Law, size: str, given: Mapping[str, float]) -> dict[str, float]:
    decided = {size, "n_tokens"}
    for name in given:
        if name in decided:
            raise DataError(f"{name!r} is what a plan decides", "leave it out, or fix it as the budget.")
        if name not in law.params and name not in law.inputs:
            raise unknown_name("input", name, (*law.inputs, *law.params), f"(of law {law.name!r})")
    others = [name for name in law.inputs if name not in decided]
    if missing := [name for name in others if name not in given]:
        raise DataError(
            f"law {law.name!r} also takes {', '.join(missing)}, which the budget does not decide",
            f"give it a value: plan(..., {missing[0]}=...).",
        )
    for name in others:
        value = given[name]
        if not np.isfinite(value) or (value <= 0 and name not in law.signed_inputs):
            raise DataError(f"{name}={value!r} is not a positive number")
    return {name: float(given[name]) for name in others}


def _of_fit(fit: Fit, variant: str | None, given: Mapping[str, float]) -> Surface:
    if variant is not None:
        raise DataError(f"variant={variant!r} names published coefficients, and a fit has its own", "leave it out.")
    law, size = fit.law, _size_of(fit.law)
    if own := [name for name in given if name in law.params]:
        raise DataError(f"{own[0]!r} is a parameter that the fit has estimated", "fit again with fixed={...}.")
    return Surface(**facts_of_fit(fit), size=size, given=MappingProxyType(_other_inputs(law, size, given)))
