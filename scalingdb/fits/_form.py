"""A law as one fit sees it: compiled, with some parameters fixed, tied together or given other bounds."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import DataError, unknown_name
from scalingdb.law_library import Law, _cache
from scalingdb.notices import notice

if TYPE_CHECKING:
    from scalingdb.estimation.code import Code
    from scalingdb.estimation.model import FloatArray, Model, ParamSpec
    from scalingdb.estimation.solver import Penalty

__all__ = ["Form", "code_key", "essentials", "evaluate_law", "make_form", "make_penalty", "print_law", "specs_of"]


@dataclass(frozen=True, eq=False)
class Form:
    """A law with its free parameters and what becomes of the others.

    Attributes
    ----------
    law : Law
    model : Model
        Compiled; its parameters are the free ones.
    held : mapping
        Parameters at a fixed value, in the law's order.
    tied : mapping
        Parameters that equal another one.
    bounds : mapping
        Bounds that are narrower than the law's own.
    """

    law: Law
    model: Model
    held: Mapping[str, float]
    tied: Mapping[str, str]
    bounds: Mapping[str, tuple[float, float]]

    def __reduce__(self) -> tuple[Callable[..., Form], tuple[Any, ...]]:
        """Compiled code does not travel between processes: it is compiled where it arrives."""
        return make_form, (self.law, dict(self.held), dict(self.tied), dict(self.bounds))

    @property
    def free(self) -> list[str]:
        """Names of the free parameters."""
        return [p.name for p in self.model.params]

    @functools.cached_property
    def spread(self) -> FloatArray:
        """Matrix (K, k) that copies free parameters to all of the law's; zero rows for fixed ones."""
        free = self.free
        matrix = np.zeros((len(self.law.params), len(free)))
        for i, name in enumerate(self.law.params):
            source = self.tied.get(name, name)
            if source in free:
                matrix[i, free.index(source)] = 1.0
        return matrix

    def expand(self, theta: FloatArray) -> FloatArray:
        """All natural parameters (P, K) from the free ones (P, k)."""
        index = self.spread.argmax(1)
        full: FloatArray = theta.take(
            index, axis=1
        )  # rows in one piece: sums over them do not depend on how it was made
        for i, name in enumerate(self.law.params):
            source = self.tied.get(name, name)
            if source in self.held:
                full[:, i] = self.held[source]
        return full

    def own_starts(self) -> Callable[..., FloatArray] | None:
        """The law's starts, for the free parameters; None if it brings none."""
        starts = self.law.starts
        if starts is None:
            return None
        index = [list(self.law.params).index(name) for name in self.free]
        known = {"held": self.held} if "held" in inspect.signature(starts).parameters else {}

        def own(inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
            found = np.asarray(starts(inputs, y, weights, **known), dtype=float).reshape(-1, len(self.law.params))
            return found[:, index]

        return own


def make_form(
    law: Law,
    fixed: Mapping[str, float] | None = None,
    tied: Mapping[str, str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
) -> Form:
    """Check what a fit says about parameters, and compile the law (once a process for each set).

    Raises
    ------
    UnknownNameError, DataError
        For a parameter that the law lacks, a value outside its bounds, a tie to a tied parameter,
        or nothing left to fit.
    """
    from scalingdb.estimation.held import hold

    held, ties, limits = dict(fixed or {}), dict(tied or {}), dict(bounds or {})
    _check_params(law, held, ties, limits)
    if len(held) + len(ties) == len(law.params):
        raise DataError("every parameter is fixed: there is nothing to fit", "leave at least one of them free.")
    ordered = {name: float(held[name]) for name in law.params if name in held}
    sorted_ties = tuple(sorted(ties.items()))
    sorted_limits = tuple(sorted((name, (float(low), float(high))) for name, (low, high) in limits.items()))
    model = compiled(law, frozenset(), sorted_ties, sorted_limits)
    if model.is_joint or not model.is_exact:
        model = compiled(law, frozenset(ordered), sorted_ties, sorted_limits)
    else:
        for name in ordered:
            model = hold(model, [p.name for p in model.params].index(name))
    return Form(law, model, ordered, ties, limits)


def _check_params(
    law: Law, held: Mapping[str, float], ties: Mapping[str, str], limits: Mapping[str, tuple[float, float]]
) -> None:
    for name in (*held, *ties, *ties.values(), *limits):
        if name not in law.params:
            raise unknown_name("parameter", name, law.params, f"(of law {law.name!r})")
    for name, value in held.items():
        low, high = law.params[name].low, law.params[name].high
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise DataError(f"fixed parameter {name}={value!r} is not a number")
        if not (np.isfinite(value) and low <= value <= high):
            raise DataError(f"fixed parameter {name}={value!r} is outside its bounds {low:g} to {high:g}")
    for name, source in ties.items():
        if source in ties or source == name:
            raise DataError(f"parameter {name} is tied to {source}, which is itself tied", "tie both to a third one.")
        if name in held:
            raise DataError(f"parameter {name} is both fixed and tied", "fix the one it is tied to.")
    for name, limit in limits.items():
        if len(limit) != 2 or not limit[0] < limit[1]:
            raise DataError(f"bounds of {name} are {limit!r}", "give a pair (low, high) with low < high.")
        if name in ties or name in held:
            raise DataError(f"parameter {name} has bounds but is not free")


@functools.lru_cache(maxsize=256)
def compiled(
    law: Law,
    fixed: frozenset[str] = frozenset(),
    tied: tuple[tuple[str, str], ...] = (),
    bounds: tuple[tuple[str, tuple[float, float]], ...] = (),
) -> Model:
    """Compiled form of a law; takes a fraction of a second the first time, unless its code is kept."""
    specs, ties = specs_of(law, [name for name, _ in tied], dict(bounds)), dict(tied)
    if not law.is_traceable:
        return _numeric(law, specs, fixed, ties, str(law.untraceable))
    key = code_key(law, specs, fixed, ties)
    kept = _from_cache(key, law, specs, fixed)
    if kept is not None:
        return kept
    try:
        code = print_law(law, specs, fixed, ties)
        model = _coded(code, law, specs, fixed)
        _try_out(model, len(law.inputs), len(fixed))
    except Exception as error:  # whatever SymPy or its printed code raises: there is another way
        reason = f"its symbolic form cannot be differentiated: {type(error).__name__}: {error}"
        return _numeric(law, specs, fixed, ties, reason)
    if key is not None and not getattr(law.function, "__closure__", None):  # a composed law is traced when it is made
        _cache.save(key, code.to_json())
        _cache.save(str(law.cache_key), essentials(law))
    return model


def essentials(law: Law) -> dict[str, Any]:
    """What a fit must know of a traced law beside its code."""
    facts = {"untraceable": law.untraceable, "linear": law.linear_params, "powers": law.power_inputs}
    return facts | ({"factors": law.linear_factors} if law.is_traceable else {})


def code_key(law: Law, specs: Sequence[ParamSpec], fixed: Collection[str], ties: Mapping[str, str]) -> str | None:
    """Name under which the code of a law is kept: all that the printed text depends on."""
    if law.cache_key is None:
        return None
    signs = [[p.name, p.is_log, p.is_open, p.low == -np.inf, p.high == np.inf] for p in specs]
    text = json.dumps([signs, sorted(fixed), sorted(ties.items())])
    return f"{law.cache_key}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _from_cache(key: str | None, law: Law, specs: Sequence[ParamSpec], fixed: Collection[str]) -> Model | None:
    from scalingdb.estimation.code import Code

    entry = None if key is None else _cache.load(key)
    if entry is None:
        return None
    try:
        return _coded(Code.from_json(entry), law, specs, fixed)
    except (KeyError, TypeError, ValueError):  # written by something else
        return None


def _coded(code: Code, law: Law, specs: Sequence[ParamSpec], fixed: Collection[str]) -> Model:
    from scalingdb.estimation.code import coded_model

    free = [spec for spec in specs if spec.name not in fixed]
    return coded_model(code, free, [name in law.signed_inputs for name in law.inputs])


def specs_of(
    law: Law, tied: Collection[str] = (), limits: Mapping[str, tuple[float, float]] = MappingProxyType({})
) -> list[ParamSpec]:
    """Bounds and range of starts of every parameter that is not tied."""
    from scalingdb.estimation.model import ParamSpec

    specs = []
    for name, p in law.params.items():
        if name in tied:
            continue
        low, high = limits.get(name, (p.low, p.high))
        low, high = max(low, p.low), min(high, p.high)
        start = (float(np.clip(p.start[0], low, high)), float(np.clip(p.start[1], low, high)))
        if start[0] >= start[1]:
            start = (low, high if np.isfinite(high) else 1e3 * low)
        is_scale = name in limits and p.low == 0.0 and p.high == float("inf")
        specs.append(ParamSpec(name, low, high, start, is_scale))
    return specs


def _numeric(law: Law, specs: list[ParamSpec], fixed: Collection[str], ties: Mapping[str, str], reason: str) -> Model:
    from scalingdb.estimation.model import numeric_model

    notice(f"law {law.name!r} is fitted with numerical derivatives ({reason})", once=True)

    def function(*inputs: Any, **params: Any) -> Any:
        return law.function(*inputs, **params, **{name: params[source] for name, source in ties.items()})

    return numeric_model(function, specs, sorted(fixed), [name in law.signed_inputs for name in law.inputs])


def print_law(law: Law, specs: Sequence[ParamSpec], fixed: Collection[str], ties: Mapping[str, str]) -> Code:
    """Code of a law's traced formula."""
    from scalingdb.estimation.symbolic import print_code
    from scalingdb.law_library._trace import linear_params

    names = [spec.name for spec in specs]
    expression = law.expression.subs({law.symbols[name]: law.symbols[source] for name, source in ties.items()})
    return print_code(
        expression,
        [law.symbols[name] for name in law.inputs],
        [law.symbols[name] for name in names],
        specs,
        law.linear_params if not ties else linear_params(expression, law.symbols, names),
        fixed,
        law.signed_inputs,
    )


def _try_out(model: Model, n_inputs: int, n_fixed: int) -> None:
    """Evaluate all that was compiled once: printed code may name what NumPy does not have."""
    inputs = model.prepare([np.array([1.0, 2.0])] * n_inputs, [1.0] * n_fixed)
    point = np.full((1, model.n_params), 0.5)
    with np.errstate(all="ignore"):
        model.evaluate(point, inputs, 2)
        model.to_internal(model.to_natural(point, inputs), inputs)


def make_penalty(form: Form, priors: Mapping[str, tuple[float, float]] | None, factor: float = 1.0) -> Penalty | None:
    """Priors ``{"E": (mean, sd)}`` as squares; those of scales are laid on the logarithm.

    A relative error ``sd / mean`` is the error of the logarithm: for a prior that says something
    the two agree, and a scale stays positive.

    Raises
    ------
    UnknownNameError, DataError
        For a parameter that is not free, or a mean or sd that is not a positive number.
    """
    from scalingdb.estimation.solver import Penalty

    if not priors:
        return None
    entries = []
    for name, pair in priors.items():
        if name not in form.law.params:
            raise unknown_name("parameter", name, form.law.params, f"(of law {form.law.name!r})")
        if name not in form.free:
            raise DataError(f"parameter {name} has a prior but is not free")
        try:
            mean, sd = (float(value) for value in pair)
        except (TypeError, ValueError) as error:
            raise DataError(f"the prior of {name} is {pair!r}", "give (mean, standard deviation).") from error
        i = form.free.index(name)
        is_scale = bool(form.model.is_log[i])
        if not (np.isfinite(mean) and np.isfinite(sd) and sd > 0) or (is_scale and mean <= 0):
            raise DataError(f"the prior of {name} is {pair!r}", "mean and standard deviation must be positive numbers.")
        entries.append((i, float(np.log(mean)), sd / mean) if is_scale else (i, mean, sd))
    return Penalty(tuple(entries), factor)


def evaluate_law(law: Law, theta: FloatArray, arrays: Sequence[FloatArray]) -> FloatArray:
    """The plain formula at many parameter vectors (P, K): predictions (P, n)."""
    count, n = theta.shape[0], arrays[0].shape[-1]
    params = {name: theta[:, i : i + 1] for i, name in enumerate(law.params)}
    with np.errstate(all="ignore"):
        try:
            return np.array(np.broadcast_to(np.asarray(law.function(*arrays, **params), dtype=float), (count, n)))
        except (TypeError, ValueError):  # a formula that only takes numbers as parameters
            rows = [
                law.function(
                    *(a if a.ndim == 1 else a[i] for a in arrays), **{name: p[i, 0] for name, p in params.items()}
                )
                for i in range(count)
            ]
            return np.array(np.broadcast_to(np.asarray(rows, dtype=float), (count, n)))
