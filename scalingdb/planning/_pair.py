"""Two laws side by side: comparable or refused, and with draws that go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scalingdb.errors import DataError
from scalingdb.fits import Fit
from scalingdb.law_library import Law, get_law
from scalingdb.planning._surface import Cost, FloatArray, Surface, make_cost, surface_of

__all__ = ["Pair", "pair_of", "refuse_unused"]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two surfaces whose draws go together, row by row."""

    a: Surface
    b: Surface
    cost_a: Cost
    cost_b: Cost
    draws_a: FloatArray
    draws_b: FloatArray
    interval: str

    @property
    def has_interval(self) -> bool:
        return len(self.draws_a) > 1


def pair_of(
    a: str | Law | Fit, b: str | Law | Fit, given: Mapping[str, float], convention: str, omega: float, *, pool: bool
) -> Pair:
    """Both surfaces, checked to be comparable.

    Raises
    ------
    DataError
        If their losses have different units or were measured on different texts.
    """
    first, second = (surface_of(law, None, _taken(law, given)) for law in (a, b))
    if not pool:
        if first.unit is not None and second.unit is not None and first.unit != second.unit:
            raise DataError(
                f"losses of {first.label} are in {first.unit}, of {second.label} in {second.unit}: not comparable",
                "fit both to losses of one unit; pool=True compares all the same.",
            )
        if isinstance(a, Fit) and isinstance(b, Fit):
            for column in ("eval_set", "tokenizer_id"):
                seen = [set(f.data[column].unique().to_list()) if column in f.data.columns else set() for f in (a, b)]
                if all(seen) and not seen[0] & seen[1]:
                    raise DataError(
                        f"the fits' losses differ in {column}: {sorted(map(str, seen[0]))} and "
                        f"{sorted(map(str, seen[1]))}",
                        "compare on one text and tokenizer; pool=True compares all the same.",
                    )
    costs = (make_cost(convention, first.size, omega), make_cost(convention, second.size, omega))
    if not (first.has_interval and second.has_interval):
        lacking = first if not first.has_interval else second
        blank_a, blank_b = first.draws[:0], second.draws[:0]
        return Pair(first, second, *costs, blank_a, blank_b, f"{lacking.label}: {lacking.interval}")
    if first.resample is not None and first.resample == second.resample:
        return Pair(first, second, *costs, first.draws, second.draws, "paired: the same resamples of the same rows")
    size = min(first.draws.shape[0], second.draws.shape[0])
    # not paired: an order of their own, so that no accident of seeds ties the two together
    order = np.random.default_rng(0).permutation(second.draws.shape[0])[:size]
    words = f"independent: {first.interval}; {second.interval}"
    return Pair(first, second, *costs, first.draws[:size], second.draws[order], words)


def _taken(law: str | Law | Fit, given: Mapping[str, float]) -> dict[str, float]:
    """Of the values given for both laws, those that this one takes as inputs."""
    entry = law.law if isinstance(law, Fit) else get_law(law)
    return {name: value for name, value in given.items() if name in entry.inputs}


def refuse_unused(a: str | Law | Fit, b: str | Law | Fit, given: Mapping[str, float]) -> None:
    unused = [name for name in given if name not in _taken(a, given) and name not in _taken(b, given)]
    if unused:
        raise DataError(f"neither law takes the input {unused[0]!r}", "own coefficients belong to a law or a fit.")
