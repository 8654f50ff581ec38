"""The `@law` decorator: write the formula once in NumPy, derive everything else from it.

A :class:`Law` is a formula with named inputs and parameters. Called with arrays it is the plain
function. Traced with symbols it yields its LaTeX, its exact derivatives (for the fit engine), the
parameters in which it is linear, and a DuckDB macro.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scalingdb._arguments import told
from scalingdb.display import GREEK
from scalingdb.errors import DataError, unknown_name
from scalingdb.law_library import _evaluate
from scalingdb.law_library._published import PublishedSet, default_of, published_sets_of
from scalingdb.schema import COLUMNS

if TYPE_CHECKING:
    import polars as pl
    import sympy as sp

__all__ = ["Law", "Param", "PublishedSet", "exponent", "law", "positive", "real"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
CHAPTER = re.compile(r"Chapter (?P<number>\d+)\. (?P<title>[^.]+)\.")
"""How the docstring of a chapter's module begins."""

COMMON = {"loss": "evaluation loss, in the unit of the data; published coefficients state theirs"}
"""Meanings of quantities that have a column in the views only."""

LIBRARY = __name__.rpartition(".")[0] + "."
"""Where the modules of the chapters are."""

OWN = "own laws"
"""Chapter of the laws that a user defines."""

EvidenceKind = Literal["read", "derived", "second_hand", "unchecked"]

FORM_EVIDENCE: Mapping[EvidenceKind, str] = MappingProxyType(
    {
        "read": "the form was read in the paper or its release",
        "derived": "the form is a definition, or was worked out from what was read",
        "second_hand": "the form is as others quote it; it was not read in its source",
        "unchecked": "the form could not be checked against its source",
    }
)
"""How the form of a law is known, the firmest kind first."""

StartFunction = Callable[[Sequence[FloatArray], FloatArray, FloatArray], FloatArray]
SplitFunction = Callable[..., tuple[Any, Any]]
"""``best_split(train_flops, **params) -> (N*, D*)``: where the loss is least under C = 6*N*D, in closed form."""


@dataclass(frozen=True)
class Param:
    """What a parameter may be: its bounds, where a search starts, and its meaning.

    Call it to refine it: ``positive("irreducible loss")``, ``exponent(high=1.0)``.

    Attributes
    ----------
    kind : {"positive", "exponent", "real"}
        ``positive`` parameters are fitted on a logarithmic scale.
    low, high : float
        Bounds (inclusive); a fit that ends on one says so in its verdict.
    start : (float, float)
        Range in which the structured search looks for a start.
    meaning : str
        For the table under the formula.
    """

    kind: str
    low: float
    high: float
    start: tuple[float, float]
    meaning: str = ""

    def __call__(
        self,
        meaning: str = "",
        *,
        low: float | None = None,
        high: float | None = None,
        start: tuple[float, float] | None = None,
    ) -> Param:
        changed = replace(
            self,
            meaning=meaning or self.meaning,
            low=self.low if low is None else low,
            high=self.high if high is None else high,
            start=self.start if start is None else start,
        )
        if not changed.low < changed.high:
            raise DataError(f"parameter bounds low={changed.low} and high={changed.high} leave no room")
        return changed


positive = Param("positive", 0.0, float("inf"), (1e-3, 1e3))
"""A scale: greater than zero, fitted as a logarithm."""

exponent = Param("exponent", 0.0, 10.0, (0.02, 1.5))
"""An exponent: between 0 and 10, positive by this project's convention."""

real = Param("real", -float("inf"), float("inf"), (-2.0, 2.0))
"""Any number."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@told
@dataclass(frozen=True, eq=False)
class Law:
    """A scaling law: formula, inputs, parameters, citation.

    Call it with inputs to evaluate it: ``law(n_params, n_tokens)`` uses the default published
    coefficients, ``law(n_params, n_tokens, variant="hoffmann")`` a named set, and
    ``law(n_params, n_tokens, E=1.7, A=400, ...)`` your own.

    Attributes
    ----------
    name : str
        Id of the law, as in ``sdb.get_law(name)`` and the SQL macro ``law_<name>``.
    inputs : tuple of str
        Columns that the formula takes, in order.
    output : str
        What it yields: ``"loss"``, or a column such as ``"learning_rate"``.
    params : mapping of str to Param
    cite : str
        Paper and equation.
    meanings : mapping of str to str
        What inputs and output are, with unit, where the name is no column of the warehouse.
    domain : mapping of str to (float, float)
        Range of each input over which the authors fitted; inputs not listed are not stated.
    authors_fit : str
        Objective, optimiser and start grid that the authors used.
    evidence : str
        Where the form was read, beyond `cite`: the authors' code, the text, a second source.
    evidence_kind : {"read", "derived", "second_hand", "unchecked"}
        How the form is known: ``read`` in the paper or its release, ``derived`` (a definition, or worked out
        from what was read), ``second_hand`` (others quote it; `evidence` says who), or ``unchecked``
        (no one could be found who prints it).
    aliases : mapping of str to (str or None)
        Other ids under which the law is known, each with the published variant it stands for.
    default_variant : str or None
        Published set that is used where none is named; None for the one that the table marks.
    own_sets : tuple of PublishedSet
        Coefficients that a law of the algebra inherits from its parts; the table holds none for it.
    """

    name: str
    cite: str
    inputs: tuple[str, ...]
    output: str
    params: Mapping[str, Param]
    function: Callable[..., Any] = field(repr=False)
    starts: StartFunction | None = field(default=None, repr=False)
    best_split: SplitFunction | None = field(default=None, repr=False)
    meanings: Mapping[str, str] = field(default_factory=_nothing, repr=False)
    domain: Mapping[str, tuple[float, float]] = field(default_factory=_nothing, repr=False)
    authors_fit: str = field(default="", repr=False)
    evidence: str = field(default="", repr=False)
    evidence_kind: EvidenceKind = "read"
    aliases: Mapping[str, str | None] = field(default_factory=_nothing, repr=False)
    default_variant: str | None = None
    own_sets: tuple[PublishedSet, ...] = field(default=(), repr=False)

    @property
    def verified(self) -> bool:
        """Whether the form was read in its source: :attr:`evidence_kind` is ``read``."""
        return self.evidence_kind == "read"

    @property
    def doc(self) -> str:
        """The docstring of the formula."""
        text = getattr(self.function, "summary", None) or self.function.__doc__  # a composed formula has the former
        return (text or "").strip()

    @property
    def chapter(self) -> str:
        """Number and title of the library's chapter: the first sentence of the module that holds the formula."""
        module = getattr(self.function, "__module__", None) or ""
        home = sys.modules.get(module) if module.startswith(LIBRARY) else None
        heading = CHAPTER.match(getattr(home, "__doc__", None) or "")
        return f"{heading['number']}. {' '.join(heading['title'].split())}" if heading else OWN

    @property
    def is_own(self) -> bool:
        """Whether a user defined or composed the law: it stands in no chapter of the library."""
        return self.chapter == OWN

    def meaning(self, name: str) -> str:
        """What an input or the output is: the law's own words, else the warehouse's column of this name."""
        if name in self.meanings:
            return self.meanings[name]
        return COLUMNS[name].meaning if name in COLUMNS else COMMON.get(name, "")

    @property
    def signed_inputs(self) -> tuple[str, ...]:
        """Inputs that may be zero or negative: those whose domain says so. All others are positive."""
        return tuple(name for name in self.inputs if name in self.domain and self.domain[name][0] <= 0)

    @functools.cached_property
    def _traced(self) -> tuple[sp.Expr, dict[str, sp.Symbol]] | str:
        """Expression and symbols, or the reason why the formula cannot be traced."""
        from scalingdb.law_library import _trace

        log_params = [name for name, p in self.params.items() if p.low >= 0]
        try:
            return _trace.trace(self.function, self.inputs, tuple(self.params), log_params, self.signed_inputs)
        except _trace.UntraceableError as error:
            return str(error)

    @functools.cached_property
    def cache_key(self) -> str | None:
        """Name under which what tracing gives is kept; None for a formula that has no text of its own."""
        from scalingdb.law_library import _cache

        signs = [[name, p.low >= 0] for name, p in self.params.items()]
        try:
            return _cache.fingerprint(self.function, self.output, list(self.inputs), signs, list(self.signed_inputs))
        except _cache.Unkeyable:
            return None

    @functools.cached_property
    def _kept(self) -> Mapping[str, Any]:
        """What tracing gave before, by name; empty if nothing is kept."""
        from scalingdb.law_library import _cache

        return (_cache.load(self.cache_key) if self.cache_key else None) or {}

    @property
    def is_traceable(self) -> bool:
        """Whether the formula could be read symbolically. If not, derivatives are numerical."""
        return self.untraceable is None

    @property
    def untraceable(self) -> str | None:
        """Why the formula cannot be read symbolically; None if it can."""
        if "untraceable" in self._kept:
            return self._kept["untraceable"]  # type: ignore[no-any-return]
        return self._traced if isinstance(self._traced, str) else None

    @property
    def expression(self) -> sp.Expr:
        """The formula as a SymPy expression.

        Raises
        ------
        DataError
            If the formula cannot be traced; the message says what stood in the way.
        """
        if isinstance(self._traced, str):
            raise DataError(
                f"law {self.name!r} cannot be read symbolically: {self._traced}",
                "write it with NumPy functions and np.where; fits work all the same, with numerical derivatives.",
            )
        return self._traced[0]

    @property
    def symbols(self) -> dict[str, sp.Symbol]:
        """Symbols of :attr:`expression` by name."""
        self.expression  # noqa: B018  raises with the reason if there is none
        assert not isinstance(self._traced, str)
        return self._traced[1]

    @functools.cached_property
    def linear_params(self) -> tuple[str, ...]:
        """Parameters in which the formula is jointly linear, given the others."""
        if not self.is_traceable:
            return ()
        if "linear" in self._kept:
            return tuple(self._kept["linear"])
        from scalingdb.law_library import _trace

        return _trace.linear_params(self.expression, self.symbols, tuple(self.params))

    @functools.cached_property
    def linear_factors(self) -> Mapping[str, tuple[str, ...]]:
        """For each linear parameter, the parameters of what it multiplies: alpha for A in A N^-alpha."""
        if "factors" in self._kept:
            return {name: tuple(factors) for name, factors in self._kept["factors"].items()}
        of = {name: self.expression.diff(self.symbols[name]).free_symbols for name in self.linear_params}
        return {name: tuple(p for p in self.params if self.symbols[p] in symbols) for name, symbols in of.items()}

    @functools.cached_property
    def power_inputs(self) -> tuple[str, ...]:
        """Inputs that enter as powers, or products or sums of powers: only their decades mean anything.

        An input does not where it may be negative, or stands in an exponent or another function, as a date does.
        A formula that cannot be traced gets the benefit of the doubt.
        """
        positive = tuple(name for name in self.inputs if name not in self.signed_inputs)
        if not self.is_traceable:
            return positive
        if "powers" in self._kept:
            return tuple(self._kept["powers"])
        from scalingdb.law_library import _trace

        return _trace.power_inputs(self.expression, self.symbols, positive)

    @functools.cached_property
    def n_operations(self) -> int:
        """Operations in the traced formula, a measure of its length."""
        return int(self._kept["operations"] if "operations" in self._kept else self.expression.count_ops())

    @functools.cached_property
    def formula_text(self) -> str:
        """The traced formula as plain text."""
        text = self._kept.get("text")
        return str(self.expression) if text is None else str(text)

    @functools.cached_property
    def formula_sql(self) -> str:
        """The traced formula as an expression of DuckDB, with inputs and parameters as quoted names."""
        if "sql" in self._kept:
            return str(self._kept["sql"])
        from scalingdb.law_library import _trace

        return _trace.sql(self.expression)

    @functools.cached_property
    def latex(self) -> str:
        """The formula as LaTeX, with the field's symbols (N, D, C, L)."""
        if "latex" in self._kept:
            return _greek_latex(str(self._kept["latex"]))
        from scalingdb.law_library import _trace

        return _greek_latex(_trace.latex(self.expression, self.output))

    @functools.cached_property
    def mathml(self) -> str:
        """The formula as MathML, which browsers draw without a network."""
        if "mathml" in self._kept:
            return _greek_mathml(str(self._kept["mathml"]))
        from scalingdb.law_library import _trace

        return _greek_mathml(_trace.mathml(self.expression, self.output))

    @functools.cached_property
    def published(self) -> Mapping[str, PublishedSet]:
        """Published coefficient sets by variant, from the shipped table ``published_fits``."""
        from scalingdb.published import published_rows

        sets = self.own_sets or published_sets_of(published_rows(), self.name, self.params)
        return MappingProxyType({one.variant: one for one in sets})

    def coefficients(self, variant: str | None = None) -> dict[str, float]:
        """Published coefficients of one variant (the default one if `variant` is None).

        Raises
        ------
        UnknownNameError
            If the law has no such variant, or none at all.
        DataError
            If no variant is named and several sets stand side by side without a default.
        """
        return _evaluate.coefficients(self, variant)

    @property
    def default_set(self) -> PublishedSet | None:
        """The coefficients that are used where no variant is named; None where there are none."""
        return default_of(list(self.published.values()), self.default_variant)

    def with_variant(self, variant: str) -> Law:
        """The same law with another published set as its default.

        Raises
        ------
        UnknownNameError
            If the variant is not published.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> hoffmann = sdb.get_law("chinchilla").with_variant("hoffmann")
        >>> round(hoffmann(7e9, 1.4e11), 3)
        2.184
        """
        self.coefficients(variant)
        return default_to(self, variant)

    def __call__(self, *inputs: Any, variant: str | None = None, **params: Any) -> Any:
        """Evaluate the law.

        Parameters
        ----------
        *inputs : float, array or Series
            One per name in :attr:`inputs`, in their units; they can also be given by name.
        variant : str, optional
            Published coefficient set; ignored where every parameter is given.
        **params : float
            Own coefficients; those not given come from the published set.

        Raises
        ------
        DataError
            If an input is missing, or given twice.
        UnknownNameError
            For an unknown parameter or variant.

        Warns
        -----
        DomainWarning
            If published coefficients are used outside the range of inputs that they were fitted on.
        """
        values, own = _evaluate.bound(self, inputs, params)
        if is_published := len(own) < len(self.params):
            own = {**self.coefficients(variant), **own}
        arrays = [np.asarray(value, dtype=float) for value in values]
        if is_published:
            _evaluate.warn_outside(self, arrays)
        result = self.function(*arrays, **own)
        return result.item() if isinstance(result, np.ndarray | np.generic) and result.ndim == 0 else result

    def predict(
        self,
        frame: pl.DataFrame,
        *,
        variant: str | None = None,
        inputs: Mapping[str, str] | None = None,
        **params: float,
    ) -> pl.DataFrame:
        """Add ``prediction`` to a frame, from published or own coefficients.

        Parameters
        ----------
        frame : DataFrame
            With a column for every input.
        variant : str, optional
            Published coefficient set.
        inputs : mapping, optional
            ``{"<input>": "<column>"}`` where a column has another name.
        **params : float
            Own coefficients; those not given come from the published set.

        Raises
        ------
        DataError
            If a column is missing, or an input is null.
        UnknownNameError
            For an unknown input, parameter or variant.

        Examples
        --------
        >>> import polars as pl
        >>> import scalingdb as sdb
        >>> plans = pl.DataFrame({"n_params": [1e9, 7e9], "n_tokens": [2e10, 1.4e11]})
        >>> sdb.get_law("chinchilla").predict(plans)["prediction"].round(3).to_list()
        [2.53, 2.173]
        """
        return _evaluate.predict(self, frame, variant, inputs, params)

    def optimum(self, train_flops: float | Sequence[float], variant: str | None = None, **given: float) -> pl.DataFrame:
        """Compute-optimal N and D for budgets in FLOP, under ``C = 6 * N * D``.

        In closed form where the law has one (:attr:`best_split`), else a numerical minimum.

        Parameters
        ----------
        train_flops : float or sequence of float
        variant : str, optional
            Published coefficient set.
        **given : float
            Own coefficients, and values of inputs other than N and D.

        Returns
        -------
        DataFrame
            One row per budget: ``train_flops, n_params, n_tokens, tokens_per_param, loss``. N is counted
            as the law counts it.

        Raises
        ------
        DataError
            If the law is no surface over N and D, a budget is not positive, or the loss has no
            minimum inside the range searched (tokens per parameter from 2e-16 to 4e15).
        UnknownNameError
            For an unknown parameter or variant.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> plan = sdb.get_law("chinchilla").optimum(5.76e23, variant="hoffmann")
        >>> round(plan["tokens_per_param"].item(), 1)
        92.6
        """
        from scalingdb.law_library import _optimum

        return _optimum.optimum(self, train_flops, variant, given)

    # ---- composition: see scalingdb.law_library._algebra ---------------------------------------

    def __add__(self, other: object) -> Law:
        """An additive correction: ``chinchilla + qat_error``."""
        from scalingdb.law_library import _algebra

        return _algebra.add(self, other) if isinstance(other, Law) else NotImplemented

    def __matmul__(self, other: object) -> Law:
        """Put a law in the place of the input that it yields: ``gadre_error @ chinchilla``."""
        from scalingdb.law_library import _algebra

        return _algebra.compose(self, other) if isinstance(other, Law) else NotImplemented

    def named(self, name: str) -> Law:
        """The law under a name of its own, registered: for ``get_law``, ``laws`` and its SQL macro.

        Raises
        ------
        DataError
            If the name is no lower-case identifier.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> reducible = sdb.law_library.fixed(sdb.get_law("chinchilla"), E=0).named("reducible_loss")
        >>> round(sdb.connect().sql("select law_reducible_loss(7e9, 1.4e11) as loss").item(), 3)
        0.356
        """
        refuse_bad_name(name)
        made = replace(self, name=name, aliases=_nothing(), own_sets=tuple(self.published.values()))
        REGISTRY[name] = made
        return made

    def sql_macros(self) -> list[str]:
        """``create macro`` statements with the shipped coefficients: see :func:`macro_statements`."""
        from scalingdb.law_library import _macros

        return _macros.macro_statements(self, list(self.published.values()))

    def __reduce__(self) -> tuple[Callable[..., Law], tuple[Any, ...]]:
        """Pickle by name where another process can look the law up, else by its parts.

        The decorator leaves the law, not the function, under the function's name, so a law of an
        importable module is fetched from there; a notebook's law needs a pickler that carries
        functions, such as Dask's.
        """
        module, name = getattr(self.function, "__module__", ""), getattr(self.function, "__qualname__", "")
        home = None if module == "__main__" else getattr(sys.modules.get(module), name, None)
        if home is self:
            return _law_of_module, (module, name)
        if isinstance(home, Law) and self.default_variant and default_to(home, self.default_variant) is self:
            return default_to, (home, self.default_variant)
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if isinstance(home, Law) and home.function is self.function:
            fields["function"] = home  # the law stands under the function's name: pickle would miss the function
        return _law_of_parts, ({k: dict(v) if isinstance(v, MappingProxyType) else v for k, v in fields.items()},)

    def _repr_latex_(self) -> str | None:
        return f"$\\displaystyle {self.latex}$" if self.is_traceable else None

    def _repr_html_(self) -> str:
        from scalingdb.law_library import _listing

        return _listing.law_as_html(self)


def _law_of_module(module: str, name: str) -> Law:
    found: Law = getattr(importlib.import_module(module), name)
    return found


def _law_of_parts(fields: dict[str, Any]) -> Law:
    values: dict[str, Any] = {k: MappingProxyType(v) if isinstance(v, dict) else v for k, v in fields.items()}
    if isinstance(values["function"], Law):
        values["function"] = values["function"].function
    return Law(**values)


@functools.cache
def default_to(law: Law, variant: str) -> Law:
    """The law with another default variant: always the same object, so that what is compiled for it is kept."""
    return replace(law, default_variant=variant)


REGISTRY: dict[str, Law] = {}
"""Laws by name: those of the library's modules, and those that a user defines."""


def refuse_bad_name(name: str) -> None:
    """Refuse a name that no SQL macro could carry."""
    if not name.isidentifier() or name != name.lower():
        raise DataError(f"law name {name!r} is not a lower-case identifier", "use letters, digits and underscores.")


def law(
    name: str,
    *,
    cite: str,
    inputs: Sequence[str],
    output: str = "loss",
    params: Mapping[str, Param],
    starts: StartFunction | None = None,
    best_split: SplitFunction | None = None,
    meanings: Mapping[str, str] = MappingProxyType({}),
    domain: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    authors_fit: str = "",
    evidence: str = "",
    evidence_kind: EvidenceKind = "read",
    aliases: Mapping[str, str | None] = MappingProxyType({}),
) -> Callable[[Callable[..., Any]], Law]:
    """Turn a NumPy function into a :class:`Law` and register it.

    Parameters
    ----------
    name : str
        Id, lower case with underscores; defining a name again replaces the law (as a rerun of a
        notebook cell does).
    cite : str
        Paper and equation, or where the form comes from.
    inputs : sequence of str
        Names of the columns that the function takes, positionally.
    output : str
        What it yields.
    params : mapping of str to Param
        ``sdb.positive``, ``sdb.exponent``, ``sdb.real``, refined where needed.
    starts : callable, optional
        ``starts(inputs, y, weights) -> array (n_starts, n_params)`` for forms whose structure the
        generic search cannot see. One that also takes ``held`` is told what a fit holds fixed.
    best_split : callable, optional
        ``best_split(train_flops, **params) -> (N*, D*)`` under ``C = 6*N*D``, where a closed form exists.
    meanings : mapping, optional
        Meaning and unit of inputs and output whose names are no columns of the warehouse.
    domain : mapping, optional
        ``{"n_params": (7e7, 1.6e10)}``: what the authors fitted over; predictions outside it warn.
        An input that may be zero or negative has a domain that starts there.
    authors_fit : str
        How the authors fitted: objective, optimiser, start grid.
    evidence : str
        Where the form was read, beyond `cite`.
    evidence_kind : {"read", "derived", "second_hand", "unchecked"}
        How the form is known: see :class:`Law`.
    aliases : mapping, optional
        Other ids of this law, each with the variant it names: ``{"chinchilla_epoch": "epoch"}``.

    Raises
    ------
    DataError
        If the name is no identifier, or the signature does not take the inputs and parameters named.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> @sdb.law("my_power", cite="own work", inputs=("n_tokens",),
    ...          params={"A": sdb.positive, "alpha": sdb.exponent})
    ... def my_power(n_tokens, *, A, alpha):
    ...     return A * n_tokens**-alpha
    >>> my_power.linear_params
    ('A',)
    """
    refuse_bad_name(name)
    if evidence_kind not in FORM_EVIDENCE:
        raise unknown_name("option", evidence_kind, FORM_EVIDENCE, "(for evidence_kind)")

    def decorate(function: Callable[..., Any]) -> Law:
        import inspect

        wanted = [*inputs, *params]
        given = list(inspect.signature(function).parameters)
        if given != wanted:
            raise DataError(
                f"law {name!r}: the function takes ({', '.join(given)}), the declaration names ({', '.join(wanted)})",
                "name the inputs first, then the parameters, in the same order in both places.",
            )
        made = Law(
            name=name,
            cite=cite,
            inputs=tuple(inputs),
            output=output,
            params=MappingProxyType(dict(params)),
            function=function,
            starts=starts,
            best_split=best_split,
            meanings=MappingProxyType(dict(meanings)),
            domain=MappingProxyType({key: (float(low), float(high)) for key, (low, high) in domain.items()}),
            authors_fit=authors_fit,
            evidence=evidence,
            evidence_kind=evidence_kind,
            aliases=MappingProxyType(dict(aliases)),
        )
        REGISTRY[name] = made
        return made

    return decorate


def _greek_mathml(formula: str) -> str:
    r"""A formula with the signs of names that SymPy spells out (``eps``, ``inf``) or takes from LaTeX (``\\eta``)."""
    return re.sub(r"<mi>\\?([a-z]+)</mi>", lambda name: f"<mi>{GREEK.get(name[1], name[1])}</mi>", formula)


def _greek_latex(formula: str) -> str:
    """The same in LaTeX."""
    formula = re.sub(r"(?<![A-Za-z\\])eps(?![A-Za-z])", r"\\varepsilon", formula)
    return re.sub(r"(?<![A-Za-z\\])inf(?![A-Za-z])", r"\\infty", formula)
