"""Laws made of laws: sums, substitutions, links and special cases.

The result is a :class:`Law` in every respect: it has LaTeX, exact derivatives, a macro (once it is
:meth:`~Law.named`), it can be fitted and pickled, and it inherits the published coefficients of its parts
where all of them have some. Parts take their default variant: ``chinchilla.with_variant("hoffmann") + ...``.

Parameters that two parts call alike are two parameters: the left part keeps its names, and a
name of the right part that is taken gets the law's name behind it (``alpha`` of ``qid`` becomes ``alpha_qid``).
Nothing is merged in silence; :func:`tie` makes two parameters one. Inputs of one name are one input.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from scalingdb.errors import DataError, unknown_name
from scalingdb.law_library._core import FORM_EVIDENCE, FloatArray, Law, Param, PublishedSet, positive, real
from scalingdb.law_library._ranges import range_of
from scalingdb.notices import notice
from scalingdb.schema import EVIDENCE as SET_EVIDENCE

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "add",
    "compose",
    "exp_link",
    "fixed",
    "logit_link",
    "nested",
    "pareto_envelope",
    "sigmoid",
    "substitute",
    "tie",
]

COMPOSED = "composed"
"""Variant of the coefficients that a law inherits from its parts."""


# ---- formulas made of formulas -----------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A law inside another: its inputs come by name, its parameters under the names they have outside."""

    law: Law
    renamed: tuple[tuple[str, str], ...]  # (name outside, name inside)

    def __call__(self, inputs: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
        own = {inside: params[outside] for outside, inside in self.renamed}
        return self.law.function(*(inputs[name] for name in self.law.inputs), **own)

    @property
    def params(self) -> dict[str, Param]:
        return {outside: self.law.params[inside] for outside, inside in self.renamed}


@dataclass(frozen=True)
class _Sum:
    inputs: tuple[str, ...]
    parts: tuple[_Part, ...]
    summary: str

    def __call__(self, *values: Any, **params: Any) -> Any:
        given = dict(zip(self.inputs, values, strict=True))
        first, *others = (part(given, params) for part in self.parts)
        for other in others:
            first = first + other
        return first


@dataclass(frozen=True)
class _Substituted:
    """An outer law whose inputs come from laws, from inputs of other names, or are numbers."""

    inputs: tuple[str, ...]
    outer: Law
    sources: tuple[_Part | str | float, ...]  # one per input of the outer law
    summary: str

    def __call__(self, *values: Any, **params: Any) -> Any:
        given = dict(zip(self.inputs, values, strict=True))
        arguments = [
            source(given, params) if isinstance(source, _Part) else given[source] if isinstance(source, str) else source
            for source in self.sources
        ]
        return self.outer.function(*arguments, **{name: params[name] for name in self.outer.params})


@dataclass(frozen=True)
class _Special:
    """A law with some parameters held, or equal to others."""

    law: Law
    held: tuple[tuple[str, float], ...]
    tied: tuple[tuple[str, str], ...]
    summary: str

    def __call__(self, *values: Any, **params: Any) -> Any:
        own = {**params, **dict(self.held), **{name: params[other] for name, other in self.tied}}
        return self.law.function(*values, **own)


@dataclass(frozen=True)
class _FewerStarts:
    """Starting points of a law without the parameters that are held or tied."""

    starts: Callable[[Sequence[FloatArray], FloatArray, FloatArray], FloatArray]
    kept: tuple[int, ...]

    def __call__(self, inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        return self.starts(inputs, y, weights)[:, list(self.kept)]


def _part(law: Law, taken: Sequence[str]) -> _Part:
    """A law as a part, its parameters renamed where their names are taken."""
    renamed, used = [], set(taken)
    for name in law.params:
        outside = name
        while outside in used:
            outside = f"{outside}_{law.name}"
        used.add(outside)
        renamed.append((outside, name))
    return _Part(law, tuple(renamed))


# ---- what a composed law inherits --------------------------------------------------------------


def _joined(texts: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in texts if text))


def _common_domain(laws: Sequence[Law]) -> Mapping[str, tuple[float, float]]:
    """Range of each input inside which every law was fitted."""
    domain: dict[str, tuple[float, float]] = {}
    for law in laws:
        for name, (low, high) in law.domain.items():
            before = domain.get(name, (-np.inf, np.inf))
            domain[name] = (max(low, before[0]), min(high, before[1]))
    return MappingProxyType(domain)


def _own_sets(parts: Sequence[_Part], unit: str | None) -> tuple[PublishedSet, ...]:
    """The default coefficients of all parts as one set; none where a part has none."""
    found = [(part, part.law.default_set) for part in parts if part.law.params]
    if not found or any(one is None for _, one in found):
        return ()
    sets = [one for _, one in found if one is not None]
    counts = {one.n_definition for one in sets if one.n_definition}
    values = {outside: one.params[inside] for part, one in found if one is not None for outside, inside in part.renamed}
    return (
        PublishedSet(
            variant=COMPOSED,
            source_id="; ".join(dict.fromkeys(one.source_id for one in sets)),
            params=MappingProxyType(values),
            output_unit=unit or sets[0].output_unit,
            n_definition=counts.pop() if len(counts) == 1 else None,
            where_stated=_joined([f"{one.variant}: {one.where_stated}" for one in sets]),
            is_default=True,
            evidence=max((one.evidence or "read" for one in sets), key=SET_EVIDENCE.index),
        ),
    )


def _composed(
    name: str, formula: _Sum | _Substituted, laws: Sequence[Law], output: str, parts: Sequence[_Part], unit: str | None
) -> Law:
    inputs = formula.inputs
    domain = _common_domain(laws)
    meanings = {key: text for law in reversed(laws) for key, text in law.meanings.items()}
    return Law(
        name=name,
        cite=_joined([law.cite for law in laws]),
        inputs=inputs,
        output=output,
        params=MappingProxyType({key: spec for part in parts for key, spec in part.params.items()}),
        function=formula,
        meanings=MappingProxyType({key: text for key, text in meanings.items() if key in (*inputs, output)}),
        domain=MappingProxyType({key: ends for key, ends in domain.items() if key in inputs}),
        evidence=_joined([law.evidence for law in laws]),
        evidence_kind=max((law.evidence_kind for law in laws), key=list(FORM_EVIDENCE).index),
        own_sets=_own_sets(parts, unit),
    )


def _union(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(names)))


# ---- composition -------------------------------------------------------------------------------


def add(law: Law, correction: Law) -> Law:
    """A law and a correction to it: ``law + correction``.

    A correction of ``loss`` calls its output ``loss`` or ``loss_added``.

    Raises
    ------
    DataError
        If the two yield different quantities, or their coefficients are in different units.
    """
    if correction.output not in {law.output, f"{law.output}_added"}:
        raise DataError(
            f"law {law.name!r} yields {law.output!r}, law {correction.name!r} yields {correction.output!r}: "
            "their sum means nothing",
            "add laws of one output, or put one inside the other with '@'.",
        )
    first = _part(law, ())
    second = _part(correction, [*law.params])
    units = [one.output_unit for one in (law.default_set, correction.default_set) if one is not None]
    made = _composed(
        f"{law.name}_plus_{correction.name}",
        _Sum(_union([law.inputs, correction.inputs]), (first, second), f"{law.doc}\n\nPlus: {correction.doc}"),
        [law, correction],
        law.output,
        [first, second],
        law.default_set.output_unit if law.default_set else None,
    )
    if len(set(units)) > 1:
        notice(
            f"{made.name}: no default coefficients, because those of {law.name} yield {units[0]} "
            f"and those of {correction.name} yield {units[1]}"
        )
        made = replace(made, own_sets=())
    return made


def compose(outer: Law, inner: Law) -> Law:
    """Put `inner` in the place of the input of `outer` that it yields: ``outer @ inner``.

    Raises
    ------
    DataError
        If `outer` has no such input.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> per_parameter = sdb.law("tokens_at_ratio", cite="definition", inputs=("n_params",), output="n_tokens",
    ...                         params={"ratio": sdb.positive})(lambda n_params, ratio: ratio * n_params)
    >>> along_a_ray = sdb.get_law("chinchilla") @ per_parameter
    >>> along_a_ray.inputs, list(along_a_ray.params)
    (('n_params',), ['E', 'A', 'B', 'alpha', 'beta', 'ratio'])
    """
    if inner.output not in outer.inputs:
        raise DataError(
            f"law {outer.name!r} takes no {inner.output!r}, which law {inner.name!r} yields",
            f"it takes {', '.join(outer.inputs)}; say which one it replaces: "
            f"substitute({outer.name}, {outer.inputs[0]}={inner.name}).",
        )
    return replace(substitute(outer, **{inner.output: inner}), name=f"{outer.name}_of_{inner.name}")


def substitute(law: Law, **replacements: Law | str | float) -> Law:
    """Replace inputs of a law: by what another law yields, by an input of another name, or by a number.

    With a law this is how effective parameters, effective data and average parameters enter a surface:
    the replacing law takes what it takes and yields the count that the surface sees.

    Parameters
    ----------
    law : Law
    **replacements : Law, str or float
        By input of `law`.

    Raises
    ------
    UnknownNameError
        If the law has no such input.
    DataError
        If no input is left.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> body = sdb.law_library.substitute(sdb.get_law("chinchilla"), n_params="n_params_non_embedding")
    >>> body.inputs
    ('n_params_non_embedding', 'n_tokens')
    """
    for name in replacements:
        if name not in law.inputs:
            raise unknown_name("input", name, law.inputs, f"(of law {law.name!r})")
    sources: list[_Part | str | float] = []
    inner: list[_Part] = []
    for name in law.inputs:
        source = replacements.get(name, name)
        if isinstance(source, Law):
            taken = [*law.params, *(key for part in inner for key in part.params)]
            inner.append(_part(source, taken))
            sources.append(inner[-1])
        else:
            sources.append(source if isinstance(source, str) else float(source))
    inputs = _union([s.law.inputs if isinstance(s, _Part) else (s,) for s in sources if not isinstance(s, float)])
    if not inputs:
        raise DataError(f"law {law.name!r}: no input is left", "leave at least one of them open.")
    formula = _Substituted(inputs, law, tuple(sources), law.doc)
    if not inner:
        renamed = {source: name for name, source in zip(law.inputs, sources, strict=True) if isinstance(source, str)}
        is_plain = len(renamed) == len(law.inputs)  # nothing but names changed
        return replace(
            law,
            name=f"{law.name}_substituted",
            inputs=inputs,
            function=formula,
            domain=MappingProxyType({new: law.domain[old] for new, old in renamed.items() if old in law.domain}),
            aliases=MappingProxyType({}),
            starts=law.starts if is_plain else None,
            best_split=law.best_split if is_plain else None,
            own_sets=tuple(law.published.values()),
        )
    open_inputs = {name for name, source in zip(law.inputs, sources, strict=True) if source == name}
    seen = replace(law, domain=MappingProxyType({k: v for k, v in law.domain.items() if k in open_inputs}))
    return _composed(
        f"{law.name}_of_{'_'.join(part.law.name for part in inner)}",
        formula,
        [seen, *(part.law for part in inner)],
        law.output,
        [_part(law, ()), *inner],
        law.default_set.output_unit if law.default_set else None,
    )


# ---- links -------------------------------------------------------------------------------------


def _sigmoid(y: Any, *, floor: Any, ceiling: Any, slope: Any, midpoint: Any) -> Any:
    """Sigmoid that falls with its argument, from the ceiling to the floor."""
    return floor + (ceiling - floor) / (1 + np.exp(slope * (y - midpoint)))


def _exp(y: Any) -> Any:
    """Exponential of a law."""
    return np.exp(y)


def _logit(y: Any) -> Any:
    """What has the law as its logit."""
    return 1 / (1 + np.exp(-y))


_SHARE = real("share", low=0.0, high=1.0, start=(0.0, 1.0))
_SIGMOID = Law(
    name="sigmoid",
    cite="two-step form of Bhagia et al., arXiv:2412.04403",
    inputs=("y",),
    output="score",
    params=MappingProxyType(
        {
            "floor": _SHARE("value at large arguments, such as the chance level"),
            "ceiling": _SHARE("value at small arguments"),
            "slope": positive("steepness per unit of the argument", start=(0.3, 30.0)),
            "midpoint": real("argument at which half of the way is done", start=(0.0, 4.0)),
        }
    ),
    function=_sigmoid,
)
_EXP = Law("exp", "definition", ("y",), "perplexity", MappingProxyType({}), _exp)
_LOGIT = Law("logit", "definition", ("y",), "score", MappingProxyType({}), _logit)


def _linked(link: Law, law: Law, output: str) -> Law:
    return replace(substitute(link, y=law), name=f"{link.name}_of_{law.name}", output=output)


def sigmoid(
    law: Law,
    *,
    output: str = "score",
    floor: float | None = None,
    ceiling: float | None = None,
    slope: float | None = None,
    midpoint: float | None = None,
) -> Law:
    """A score that falls from `ceiling` to `floor` as the law's value (a loss) grows past `midpoint`.

    ``floor + (ceiling - floor) / (1 + exp(slope * (law - midpoint)))``: the second step of the two-step
    prediction of downstream scores. Numbers that are given are held; the others are parameters.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> score = sdb.law_library.sigmoid(sdb.get_law("chinchilla"), floor=0.25, ceiling=1.0)
    >>> [name for name in score.params if name not in sdb.get_law("chinchilla").params]
    ['slope', 'midpoint']
    """
    held = {"floor": floor, "ceiling": ceiling, "slope": slope, "midpoint": midpoint}
    given = {name: value for name, value in held.items() if value is not None}
    link = replace(fixed(_SIGMOID, **given), name=_SIGMOID.name) if given else _SIGMOID
    return _linked(link, law, output)


def exp_link(law: Law, *, output: str = "perplexity") -> Law:
    """``exp`` of a law: perplexity of a loss in nats, or a law written for a logarithm."""
    return _linked(_EXP, law, output)


def logit_link(law: Law, *, output: str = "score") -> Law:
    """A share of which the law is the logit: ``1 / (1 + exp(-law))``."""
    return _linked(_LOGIT, law, output)


# ---- special cases -----------------------------------------------------------------------------


def _special(law: Law, held: Mapping[str, float], tied: Mapping[str, str], name: str) -> Law:
    gone = {*held, *tied}
    params = {key: spec for key, spec in law.params.items() if key not in gone}
    kept = tuple(i for i, key in enumerate(law.params) if key not in gone)
    sets = tuple(
        replace(one, params=MappingProxyType({key: one.params[key] for key in params}))
        for one in law.published.values()
        if set(one.params) == set(law.params) and all(one.params[a] == one.params[b] for a, b in tied.items())
    )
    return replace(
        law,
        name=name,
        params=MappingProxyType(params),
        function=_Special(law, tuple(held.items()), tuple(tied.items()), law.doc),
        starts=None if law.starts is None else _FewerStarts(law.starts, kept),
        best_split=None,
        aliases=MappingProxyType({}),
        default_variant=law.default_variant if any(one.variant == law.default_variant for one in sets) else None,
        own_sets=sets,
    )


def fixed(law: Law, **values: float) -> Law:
    """A nested limit: the law with some parameters held at numbers, such as ``E=0`` or ``gamma=1``.

    The other parameters keep their published values. (To hold parameters in one fit only, give
    ``fixed=`` to :func:`scalingdb.fit`.)

    Raises
    ------
    UnknownNameError
        For an unknown parameter.
    DataError
        If a value is not a finite number.
    """
    for name, value in values.items():
        if name not in law.params:
            raise unknown_name("parameter", name, law.params, f"(of law {law.name!r})")
        if isinstance(value, bool) or not np.isfinite(value):
            raise DataError(f"parameter {name}={value!r} is not a finite number")
    numbers = {name: float(value) for name, value in values.items()}
    return _special(law, numbers, {}, "_".join([law.name, "fixed", *(name.lower() for name in values)]))


def tie(law: Law, **equal: str) -> Law:
    """Make two parameters one: ``tie(chinchilla, alpha="beta")`` has no ``alpha``, ``beta`` stands for both.

    A published set survives where its two values are equal.

    Raises
    ------
    UnknownNameError
        For an unknown parameter.
    DataError
        If a parameter is tied to itself or to one that is tied away.
    """
    for name, other in equal.items():
        for one in (name, other):
            if one not in law.params:
                raise unknown_name("parameter", one, law.params, f"(of law {law.name!r})")
        if other in equal:
            raise DataError(f"parameter {name!r} is tied to {other!r}, which is tied away", "tie both to a third one.")
    return _special(law, {}, equal, "_".join([law.name, "tied", *(name.lower() for name in equal)]))


POINTS = 24
"""Random points at which two laws are compared; agreement at all of them by chance does not happen."""

MOST_TRIALS = 4096
"""Substitutions that :func:`nested` tries by itself."""


def nested(small: Law, big: Law, **values: float | str) -> bool:
    """Whether `small` is a special case of `big`: equal for all its parameters after a substitution.

    The substitution is given, or sought among the plain ones: parameters of the same name are the
    same, each other parameter of `big` is 0, 1 or one of `small`'s, each other input is 1. Equality
    is checked on random inputs and parameters.

    Parameters
    ----------
    small, big : Law
    **values : float or str
        By parameter or input of `big`: a number, or an expression in parameters of `small`.

    Raises
    ------
    UnknownNameError
        For a name that `big` lacks.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> surface, overtrain = sdb.get_law("chinchilla"), sdb.get_law("gadre_overtrain")
    >>> sdb.law_library.nested(overtrain, surface)
    False
    >>> sdb.law_library.nested(overtrain, surface, A="a*6**-eta", B="b*6**-eta", alpha="2*eta", beta="2*eta")
    True
    """
    for name in values:
        if name not in big.params and name not in big.inputs:
            raise unknown_name("parameter", name, (*big.params, *big.inputs), f"(of law {big.name!r})")
    if not set(small.inputs) <= set(big.inputs) or small.output != big.output:
        return False
    generator = np.random.default_rng(0)
    ends = {name: np.log(range_of(small, name)) for name in small.inputs}
    inputs = {name: np.exp(generator.uniform(low, high, POINTS)) for name, (low, high) in ends.items()}
    params = {name: _drawn(spec, generator) for name, spec in small.params.items()}
    with np.errstate(all="ignore"):
        wanted = np.asarray(small.function(*inputs.values(), **params), dtype=float)
    given = {name: _value(text, params) for name, text in values.items()}
    open_inputs = [name for name in big.inputs if name not in inputs and name not in given]
    open_params = [name for name in big.params if name not in params and name not in given]
    choices = [[1.0]] * len(open_inputs) + [[0.0, 1.0, *params.values()]] * len(open_params)
    count = int(np.prod([float(len(choice)) for choice in choices]))
    if count > MOST_TRIALS:
        raise DataError(
            f"law {big.name!r} has {len(open_params)} parameters that law {small.name!r} lacks: too many to try",
            f"say what they are: {open_params[0]}=0, ...",
        )
    for chosen in itertools.product(*choices):
        known = {**inputs, **params, **given, **dict(zip([*open_inputs, *open_params], chosen, strict=True))}
        with np.errstate(all="ignore"):
            found = big.function(*(known[n] for n in big.inputs), **{name: known[name] for name in big.params})
        if np.allclose(found, wanted, rtol=1e-9, atol=0.0):
            return True
    return False


def _drawn(spec: Param, generator: np.random.Generator) -> FloatArray:
    low, high = max(spec.start[0], spec.low), min(spec.start[1], spec.high)
    if low > 0:
        return np.asarray(np.exp(generator.uniform(np.log(low), np.log(high), POINTS)))
    return np.asarray(generator.uniform(low, high, POINTS))


def _value(text: float | str, params: Mapping[str, FloatArray]) -> Any:
    """Value of an expression in parameters."""
    if not isinstance(text, str):
        return float(text)
    import sympy as sp

    symbols = {name: sp.Symbol(name) for name in params}
    try:
        expression = sp.sympify(text, locals=symbols)
    except (sp.SympifyError, TypeError, AttributeError) as error:
        raise DataError(f"{text!r} is not a valid expression: {error}", "write it as in Python: '2*eta'.") from error
    for symbol in expression.free_symbols:
        if symbol.name not in params:
            raise unknown_name("parameter", symbol.name, params, f"(in the expression {text!r})")
    return sp.lambdify(list(symbols.values()), expression, modules="numpy")(*params.values())


# ---- frames ------------------------------------------------------------------------------------


def pareto_envelope(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    by: str | Sequence[str] | None = None,
    best: str = "low",
) -> pl.DataFrame:
    """Rows that no other row beats: those whose `y` is better than that of every row with as little `x`.

    Parameters
    ----------
    frame : DataFrame
    x, y : str
        Columns: the cost (compute) and what it buys (loss).
    by : str or sequence of str, optional
        One envelope for each group.
    best : {"low", "high"}
        Whether a small `y` is better (a loss) or a large one (a score).

    Returns
    -------
    DataFrame
        The rows of the envelope, in order of `x` (within the groups). Of rows alike in `x` and `y` the first.

    Raises
    ------
    DataError
        If a column is missing, or holds nulls or NaN.

    Notes
    -----
    A law fitted to an envelope describes the best of the runs that were made. Resample the runs and
    recompute the envelope in every resample for an interval; resampling the envelope's rows understates it.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> runs = pl.DataFrame({"train_flops": [1e18, 1e18, 2e18, 3e18], "loss": [3.1, 3.3, 3.2, 2.9]})
    >>> sdb.pareto_envelope(runs, "train_flops", "loss")["loss"].to_list()
    [3.1, 2.9]
    """
    import polars as pl

    if best not in {"low", "high"}:
        raise DataError(f"best={best!r} is neither 'low' nor 'high'")
    groups = [by] if isinstance(by, str) else list(by or ())
    for column in (x, y, *groups):
        if column not in frame.columns:
            raise unknown_name("column", column, frame.columns)
    for column in (x, y):
        bad = frame.select(pl.col(column).cast(pl.Float64).is_nan().fill_null(True).sum()).item()
        if bad:
            raise DataError(
                f"column {column!r} is null or NaN in {bad} of {frame.height} rows",
                "filter them first: a row without a value is on no envelope.",
            )
    value = pl.col(y) if best == "low" else -pl.col(y)
    ordered = frame.sort([*groups, pl.col(x), value], maintain_order=True)
    before = value.cast(pl.Float64).cum_min().shift(1, fill_value=float("inf"))
    return ordered.filter(value < (before.over(groups) if groups else before))
