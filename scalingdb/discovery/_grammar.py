"""The forms that are searched: what a law is made of, how one form becomes another, and how it is written.

A form is a floor, a sum of terms (optionally inside one outer power), and factors around it. A term is a scale times
powers of inputs, whose exponents may depend on another input; or a logarithm, a sigmoid, a dip, a mixture. Every form
is written twice: as fast code over logarithms for the search, and as the plain formula of a :class:`Law`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from scalingdb.discovery._inputs import Input, Table
from scalingdb.discovery._solve import Function, Spec
from scalingdb.law_library import Law, Param, exponent, positive, real

__all__ = ["Form", "Formula", "Term", "Valley", "Written", "children", "law_of", "seeds", "write"]

TAGS = "ABCDFGHJ"
MOST_TERMS = 4
EXPONENTS = {"exponent": (0.05, 1.2), "real": (-0.4, 1.0)}


@dataclass(frozen=True)
class Term:
    """One summand.

    Attributes
    ----------
    tag : str
        Its letter, which names its parameters.
    shape : str
        ``power``; ``log`` (a slope times the logarithm); ``sigmoid``; ``dip`` (a Gaussian in the logarithm);
        ``mixture`` (an exponential of the shares) or ``worth`` (a power of the weighted sum of the shares).
    inputs : tuple of int
        Inputs that it has powers of.
    cross : tuple of (int, int)
        The exponent of the first is linear in the logarithm of the second.
    is_signed : bool
        Whether its scale may have either sign.
    """

    tag: str
    shape: str = "power"
    inputs: tuple[int, ...] = ()
    cross: tuple[tuple[int, int], ...] = ()
    is_signed: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.shape, tuple(sorted(self.inputs)), tuple(sorted(self.cross)), self.is_signed)


@dataclass(frozen=True)
class Valley:
    """A best value of an input, in its logarithm, that may move with other inputs.

    Attributes
    ----------
    input : int
    centre : tuple of int
        Inputs that move it.
    shape : str
        ``square``; ``linex`` (steeper on one side); ``round`` (straight far from the centre).
    """

    input: int
    centre: tuple[int, ...] = ()
    shape: str = "square"


@dataclass(frozen=True)
class Form:
    """A law of the search, as parts.

    Attributes
    ----------
    floor : tuple of int, or None
        None for no floor; otherwise the inputs that the floor falls with (none for a constant).
    terms : tuple of Term
    coupled : bool
        Whether the sum of the terms stands inside one power.
    valleys : tuple of Valley
    effective : tuple of (int, str, int)
        Inputs that stand for what they are worth: ``streams`` (times one plus the logarithm of the other),
        ``repeats`` (of the first, what the other holds is unique).
    """

    floor: tuple[int, ...] | None
    terms: tuple[Term, ...]
    coupled: bool = False
    valleys: tuple[Valley, ...] = ()
    effective: tuple[tuple[int, str, int], ...] = ()

    @functools.cached_property
    def key(self) -> tuple[Any, ...]:
        """The same for forms that differ in the order of their parts only."""
        is_coupled = self.coupled and (len(self.terms) > 1 or self.terms[0].shape != "power")
        return (
            None if self.floor is None else tuple(sorted(self.floor)),
            tuple(sorted((term.key for term in self.terms), key=repr)),
            is_coupled,
            tuple(sorted((v.input, tuple(sorted(v.centre)), v.shape) for v in self.valleys)),
            tuple(sorted(self.effective)),
        )

    def bends(self, sizes: Sequence[int]) -> int:
        """Exponents that change along their own input, a size: a parabola in logarithms, which bends without end."""
        return sum(i == j and i in sizes for term in self.terms for i, j in term.cross)

    def free_tag(self) -> str:
        used = {term.tag for term in self.terms}
        return next(tag for tag in TAGS if tag not in used)


@dataclass(frozen=True)
class Written:
    """A form as code.

    Attributes
    ----------
    source : str
        Plain formula over ``x0, x1, ...`` and the names of the parameters.
    function : callable
        Fast code: ``f(x, logs, params)``.
    specs : tuple of Spec
    """

    source: str
    function: Function = field(repr=False)
    specs: tuple[Spec, ...]


class _Writer:
    """Parameters in the order in which they are needed."""

    def __init__(self) -> None:
        self.specs: dict[str, Spec] = {}

    def new(
        self, name: str, kind: str, start: tuple[float, float], neutral: float, meaning: str, *, linear: bool = False
    ) -> str:
        made = Spec(name, kind, start, neutral, linear, meaning)
        assert self.specs.setdefault(name, made) == made, f"two parameters are called {name}"
        return name


def write(form: Form, table: Table) -> Written:
    """A form as plain formula and as fast code."""
    return _written(form, table.inputs, table.rises, table.is_log, _scale_of(table))


def _scale_of(table: Table) -> float:
    size = float(np.abs(table.y).mean()) if table.is_log else float(np.ptp(table.y))
    return float(f"{size:.2g}") or 1.0


@functools.lru_cache(maxsize=4096)
def _written(form: Form, inputs: tuple[Input, ...], rises: bool, is_log: bool, scale: float) -> Written:
    writer = _Writer()
    plain = _expression(form, inputs, writer, rises, is_log, scale, fast=False)
    fast = _expression(form, inputs, writer, rises, is_log, scale, fast=True)
    names = ", ".join(writer.specs)
    code = f"lambda x, l, p: (lambda {names}: {fast})(*p)"
    function = eval(code, {"np": np})
    return Written(plain, function, tuple(writer.specs.values()))


def _log(i: int, one: Input, *, fast: bool) -> str:
    """The centred logarithm of an input, as code."""
    if fast:
        return f"l[{i}]"
    if one.kind == "signed":
        return f"(x{i} - {one.reference:.6g})"
    if one.kind == "open":
        return f"np.log(1 + x{i} / {one.reference:.6g})"
    return f"np.log(x{i} / {one.reference:.6g})"


def _amount(i: int, form: Form, inputs: Sequence[Input], writer: _Writer, *, fast: bool) -> str | None:
    """What an input is worth, where it stands for more than itself; None where it does not."""
    for target, kind, other in form.effective:
        if target != i:
            continue
        x = f"x[{i}]" if fast else f"x{i}"
        if kind == "streams":
            gain = writer.new(f"k{i + 1}{other + 1}", "positive", (0.03, 3.0), 0.2, f"worth of {inputs[other].name}")
            more = _log(other, inputs[other], fast=fast)
            return f"({x} / {inputs[i].reference:.6g} * (1 + {gain} * {more}))"
        unique = f"x[{other}]" if fast else f"x{other}"
        wear = writer.new(
            f"r{i + 1}", "positive", (1.0, 60.0), 10.0, f"repeats after which {inputs[i].name} has lost most worth"
        )
        worth = f"{unique} * (1 + {wear} * (1 - np.exp((1 - {x} / {unique}) / {wear})))"
        return f"(np.where({x} <= {unique}, {x}, {worth}) / {inputs[i].reference:.6g})"
    return None


def _minus(power: str) -> str:
    """A negative exponent, with no more brackets than it needs."""
    return f"-{power}" if power.isidentifier() else f"(-({power}))"


def _power(i: int, power: str, form: Form, inputs: Sequence[Input], writer: _Writer, *, fast: bool) -> str:
    """An input to minus a power, as code."""
    amount = _amount(i, form, inputs, writer, fast=fast)
    one = inputs[i]
    if amount is not None:
        return f"np.exp(-({power}) * np.log({amount}))" if fast else f"{amount}**{_minus(power)}"
    if fast or one.kind == "signed":
        return f"np.exp(-({power}) * {_log(i, one, fast=fast)})"
    if one.kind == "open":
        return f"(1 + x{i} / {one.reference:.6g})**{_minus(power)}"
    return f"(x{i} / {one.reference:.6g})**{_minus(power)}"


def _kind_of(i: int, one: Input, term: Term) -> str:
    """An exponent of what the output is known to fall with is positive, unless it changes along the input itself."""
    return "exponent" if one.falls and (i, i) not in term.cross else "real"


def _term(
    term: Term, form: Form, inputs: Sequence[Input], writer: _Writer, scale: float, *, fast: bool, linear: bool
) -> str:
    small = term.tag.lower()
    names = ", ".join(inputs[i].name for i in term.inputs)
    signed = term.is_signed or term.shape in {"log", "dip"}
    size = writer.new(
        term.tag,
        "real" if signed else "positive",
        (-scale, scale) if signed else (1e-2 * scale, 2 * scale),
        0.0 if signed else 0.02 * scale,
        {"log": f"slope in ln {names}", "dip": f"depth of the dip in {names}"}.get(
            term.shape, f"size of the term in {names}" if names else "size of the term"
        ),
        linear=linear,
    )
    if term.shape == "log":
        return f"{size} * {_log(term.inputs[0], inputs[term.inputs[0]], fast=fast)}"
    if term.shape == "dip":
        i = term.inputs[0]
        middle = writer.new(f"m{small}", "real", (-2.5, 2.5), 0.0, f"place of the dip, ln {inputs[i].name}")
        width = writer.new(f"w{small}", "positive", (0.3, 3.0), 1.0, "its width")
        return f"{size} * np.exp(-(({_log(i, inputs[i], fast=fast)} - {middle}) / {width})**2)"
    if term.shape == "sigmoid":
        slopes = []
        for i in term.inputs:
            slope = writer.new(f"s{small}{i + 1}", "real", (-2.0, 2.0), 0.0, f"steepness in ln {inputs[i].name}")
            slopes.append(f"{slope} * {_log(i, inputs[i], fast=fast)}")
        middle = writer.new(f"m{small}", "real", (-4.0, 4.0), 0.0, "place of the turn")
        return f"{size} / (1 + np.exp(-({' + '.join(slopes)} - {middle})))"
    factors = [size]
    if term.shape in {"mixture", "worth"}:
        shares = [i for i, one in enumerate(inputs) if one.kind == "share"]
        x = "x[{}]" if fast else "x{}"
        if term.shape == "mixture":
            # shares of a whole: the last one's weight is in the scale
            named = shares[:-1] if len(shares) > 1 else shares
            parts = [
                f"{writer.new(f't{small}{i + 1}', 'real', (-4.0, 4.0), 0.0, f'effect of {inputs[i].name}')} * "
                + x.format(i)
                for i in named
            ]
            factors.append(f"np.exp({' + '.join(parts)})")
        else:
            parts = [
                f"{writer.new(f'v{small}{i + 1}', 'positive', (0.05, 8.0), 1.0, f'worth of {inputs[i].name}')} * "
                + x.format(i)
                for i in shares
            ]
            power = writer.new(f"q{small}", "exponent", (0.05, 1.5), 0.3, "exponent of the mixture")
            whole = f"(0.01 + {' + '.join(parts)})"
            factors.append(f"np.exp(-{power} * np.log({whole}))" if fast else f"{whole}**(-{power})")
    for i in term.inputs:
        kind = _kind_of(i, inputs[i], term)
        power = writer.new(
            f"{small}{i + 1}",
            kind,
            EXPONENTS[kind],
            0.3 if kind == "exponent" else 0.05,
            f"exponent of {inputs[i].name}",
        )
        for target, other in term.cross:
            if target == i:
                bend = writer.new(
                    f"{small}{i + 1}{other + 1}", "real", (-0.05, 0.05), 0.0, f"its change with ln {inputs[other].name}"
                )
                power = f"{power} + {bend} * {_log(other, inputs[other], fast=fast)}"
        factors.append(_power(i, power, form, inputs, writer, fast=fast))
    return " * ".join(factors)


def _expression(
    form: Form, inputs: Sequence[Input], writer: _Writer, rises: bool, is_log: bool, scale: float, *, fast: bool
) -> str:
    floor = ""
    if form.floor is not None:
        kind = "positive" if is_log else "real"
        floor = writer.new("E", kind, (0.1 * scale, scale), 0.3 * scale if is_log else 0.0, "floor", linear=True)
        for i in form.floor:
            power = writer.new(f"e{i + 1}", "real", (-0.05, 0.2), 0.0, f"exponent of {inputs[i].name} in the floor")
            floor += " * " + _power(i, power, form, inputs, writer, fast=fast)
    plain = [term for term in form.terms if term.shape not in {"log", "dip", "sigmoid"}]
    other = [term for term in form.terms if term.shape in {"log", "dip", "sigmoid"}]
    text = floor
    down = " - " if rises and form.floor is not None else " + "
    if plain:
        parts = [_term(term, form, inputs, writer, scale, fast=fast, linear=not form.coupled) for term in plain]
        if form.coupled:
            outer = writer.new("g", "exponent", (0.2, 1.5), 1.0, "power of the sum")
            text += (down if text else "") + f"({' + '.join(parts)})**{outer}"
        else:
            text = down.join([text, *parts]) if text else " + ".join(parts)
    for term in other:
        text += (" + " if text else "") + _term(term, form, inputs, writer, scale, fast=fast, linear=True)
    for valley in form.valleys:
        i = valley.input
        width = writer.new(f"u{i + 1}", "positive", (0.002, 0.3), 1e-3, f"cost of a wrong {inputs[i].name}")
        middle = writer.new(f"m{i + 1}", "real", (-2.0, 2.0), 0.0, f"best ln {inputs[i].name}, from the reference")
        for j in valley.centre:
            move = writer.new(f"m{i + 1}{j + 1}", "real", (-0.6, 0.6), 0.0, f"its move with ln {inputs[j].name}")
            middle += f" + {move} * {_log(j, inputs[j], fast=fast)}"
        off = f"({_log(i, inputs[i], fast=fast)} - ({middle}))"
        if valley.shape == "square":
            rise = f"{off}**2"
        elif valley.shape == "round":
            rise = f"(np.sqrt(1 + {off}**2) - 1)"
        else:
            tilt = writer.new(f"z{i + 1}", "real", (-1.5, 1.5), 0.1, "its tilt: steeper above where positive")
            rise = f"(np.exp({tilt} * {off}) - {tilt} * {off} - 1)"
        # a loss is multiplied; what may be negative is added to
        text = f"({text}) * (1 + {width} * {rise})" if is_log else f"({text}) + {width} * {scale:.3g} * {rise}"
    return text


# ---- which forms --------------------------------------------------------------------------------


def _sizes(table: Table) -> tuple[int, ...]:
    return tuple(i for i in table.of_kind("size", "count", "open", "signed") if table.inputs[i].n_values > 1)


def seeds(table: Table) -> list[Form]:
    """Forms that a search begins with."""
    sizes, knobs, shares = _sizes(table), table.of_kind("knob"), table.of_kind("share")
    found: list[Form] = []
    base: list[Form] = []
    if sizes:
        each = tuple(Term(TAGS[k], inputs=(i,)) for k, i in enumerate(sizes[:MOST_TERMS]))
        product = (Term("A", inputs=sizes),)
        base += [Form((), each), Form((), product), Form(None, product)]
        if len(sizes) > 1:
            pairs = tuple((i, j) for a, i in enumerate(sizes) for j in sizes[a + 1 :])
            base += [
                Form((), each, coupled=True),
                Form(None, each, coupled=True),
                Form(None, (Term("A", inputs=sizes, cross=pairs[:3]),)),
                Form((), (Term("A", inputs=sizes, cross=pairs[:3]),)),
                *(Form((), (Term("A", inputs=(i,)),)) for i in sizes[:3]),
            ]
        base += [*_effective(table, each), *_effective(table, product)]
        if not table.is_log or table.rises:
            base += [Form((), (Term("A", "log", (i,)),)) for i in sizes[:2]] + [
                Form((), (Term("A", "sigmoid", sizes),))
            ]
            if len(sizes) == 1:
                base += [
                    Form((), (Term("A", "sigmoid", sizes), Term("B", "dip", sizes))),
                    Form((), (Term("A", "log", sizes), Term("B", "dip", sizes))),
                    Form((), (Term("A", "dip", sizes),)),
                ]
    if shares:
        for shape in ("mixture", "worth"):
            alone = Term("A", shape)
            found += [Form((), (alone,)), Form(None, (alone,))]
            if sizes:
                found += [Form((), (Term("A", shape, sizes),)), Form((), (alone, Term("B", inputs=sizes)))]
            found.append(Form((), (alone, Term(TAGS[4], shape))))
    both = (*sizes, *knobs)
    if both:
        # a parabola in logarithms: the response surface of the design of experiments
        bent = tuple((i, j) for a, i in enumerate(both) for j in both[a:] if table.inputs[i].n_values > 2 or i != j)
        surface = Form(None, (Term("A", inputs=both, cross=bent),))
        own = tuple((i, j) for i, j in bent if i == j)
        squares = Form(None, (Term("A", inputs=both, cross=own),)) if own else surface
        (found if knobs else base).extend([surface, squares])
    if knobs:
        for form in base[:3] or [Form((), ())]:
            for shape in ("square", "linex"):
                found.append(replace(form, valleys=tuple(Valley(i, (), shape) for i in knobs)))
                if sizes:
                    found.append(replace(form, valleys=tuple(Valley(i, sizes, shape) for i in knobs)))
        found = [form for form in found if form.terms or form.floor is not None]
    return _unique([*found, *base] if not (shares or knobs) else [*found, *base[:3]])


def _effective(table: Table, terms: tuple[Term, ...]) -> list[Form]:
    """Streams that are worth parameters, tokens that are repeats of fewer."""
    inputs = table.inputs
    found = []
    counts = table.of_kind("count")
    for j in counts:
        for i in table.of_kind("size"):
            if i != j:
                kept = tuple(
                    replace(term, inputs=tuple(k for k in term.inputs if k != j))
                    for term in terms
                    if term.inputs != (j,)
                )
                found.append(Form((), kept, effective=((i, "streams", j),)))
    unique = next((i for i, one in enumerate(inputs) if one.role == "unique"), None)
    tokens = next((i for i, one in enumerate(inputs) if one.role == "tokens"), None)
    if unique is not None and tokens is not None:
        kept = tuple(
            replace(term, inputs=tuple(k for k in term.inputs if k != unique))
            for term in terms
            if term.inputs != (unique,)
        )
        found += [
            Form((), kept, effective=((tokens, "repeats", unique),)),
            Form((), terms, effective=((tokens, "repeats", unique),)),
        ]
    return [form for form in found if form.terms]


def children(form: Form, table: Table) -> Iterator[Form]:
    """Forms that are one step away: a part more, a part less, or a part of another kind."""
    sizes, knobs, shares = _sizes(table), table.of_kind("knob"), table.of_kind("share")
    # the floor
    yield replace(form, floor=None if form.floor is not None else ())
    if form.floor is not None:
        for i in sizes:
            if i not in form.floor and len(form.floor) < 2:
                yield replace(form, floor=(*form.floor, i))
        for i in form.floor:
            yield replace(form, floor=tuple(j for j in form.floor if j != i))
    # the outer power
    if sum(term.shape == "power" for term in form.terms) > 1:
        yield replace(form, coupled=not form.coupled)
    for place, term in enumerate(form.terms):

        def changed(*new: Term, place: int = place) -> Form:
            return replace(form, terms=(*form.terms[:place], *new, *form.terms[place + 1 :]))

        if len(form.terms) > 1:
            yield changed()
        if term.shape in {"power", "mixture", "worth"}:
            for i in sizes:
                if i not in term.inputs:
                    yield changed(replace(term, inputs=(*term.inputs, i)))
            for i in term.inputs:
                if len(term.inputs) > 1 or term.shape != "power":
                    left = tuple(j for j in term.inputs if j != i)
                    yield changed(replace(term, inputs=left, cross=tuple(c for c in term.cross if c[0] != i)))
                for j in sizes:
                    if (i, j) not in term.cross and (j, i) not in term.cross and len(term.cross) < 4:
                        yield changed(replace(term, cross=(*term.cross, (i, j))))
            for pair in term.cross:
                yield changed(replace(term, cross=tuple(c for c in term.cross if c != pair)))
        if term.shape == "power" and not form.coupled and form.floor is not None:
            yield changed(replace(term, is_signed=not term.is_signed))
        if term.shape in {"mixture", "worth"}:
            yield changed(replace(term, shape="worth" if term.shape == "mixture" else "mixture"))
    if len(form.terms) < MOST_TERMS:
        tag = form.free_tag()
        here = {term.key for term in form.terms}
        new = [Term(tag, inputs=(i,)) for i in sizes]
        new += [Term(tag, inputs=(i, j)) for a, i in enumerate(sizes) for j in sizes[a + 1 :]]
        new += [Term(tag, "log", (i,)) for i in sizes]
        if shares:
            new += [Term(tag, "mixture"), Term(tag, "worth")]
        if not table.is_log:
            new += [Term(tag, "dip", (i,)) for i in sizes]
            new.append(Term(tag, "sigmoid", sizes))
        for term in new:
            if term.key not in here and (term.inputs or term.shape in {"mixture", "worth"}):
                yield replace(form, terms=(*form.terms, term))
    for i in (*knobs, *(k for k in table.of_kind("size", "count") if not table.inputs[k].role)):
        mine = [valley for valley in form.valleys if valley.input == i]
        others = tuple(valley for valley in form.valleys if valley.input != i)
        if table.inputs[i].n_values < 4:
            continue
        if not mine:
            yield replace(form, valleys=(*others, Valley(i)))
            continue
        valley = mine[0]
        yield replace(form, valleys=others)
        for shape in ("square", "linex", "round"):
            if shape != valley.shape:
                yield replace(form, valleys=(*others, replace(valley, shape=shape)))
        for j in (*sizes, *knobs):
            if j != i and j not in valley.centre:
                yield replace(form, valleys=(*others, replace(valley, centre=(*valley.centre, j))))
        for j in valley.centre:
            yield replace(form, valleys=(*others, replace(valley, centre=tuple(k for k in valley.centre if k != j))))
    if not form.effective:
        for made in _effective(table, form.terms):
            yield replace(form, terms=made.terms, effective=made.effective)
    else:
        yield replace(form, effective=())


def _unique(forms: Sequence[Form]) -> list[Form]:
    kept: dict[Any, Form] = {}
    for form in forms:
        kept.setdefault(form.key, form)
    return list(kept.values())


# ---- as a law -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Formula:
    """A written formula that can be called, traced and pickled.

    Attributes
    ----------
    source : str
        Python over ``x0, x1, ...``, the parameters and ``np``.
    n_inputs : int
    names : tuple of str
        Parameters.
    summary : str
    """

    source: str
    n_inputs: int
    names: tuple[str, ...]
    summary: str

    def __call__(self, *values: Any, **params: Any) -> Any:
        return _compiled(self.source, self.n_inputs, self.names)(*values, **params)


@functools.lru_cache(maxsize=512)
def _compiled(source: str, n_inputs: int, names: tuple[str, ...]) -> Callable[..., Any]:
    inputs = ", ".join(f"x{i}" for i in range(n_inputs))
    made: Callable[..., Any] = eval(f"lambda {inputs}, *, {', '.join(names)}: {source}", {"np": np})
    return made


_PARAMS = {"positive": positive, "exponent": exponent, "real": real}


@functools.lru_cache(maxsize=512)
def _law(written: Written, inputs: tuple[Input, ...], output: str, name: str) -> Law:
    params: dict[str, Param] = {spec.name: _PARAMS[spec.kind](spec.meaning, start=spec.start) for spec in written.specs}
    summary = f"Found by search over forms. ``{readable(written, inputs)}``"
    used = sorted({int(number) for number in re.findall(r"\bx(\d+)\b", written.source)})
    place = {old: new for new, old in enumerate(used)}
    source = re.sub(r"\bx(\d+)\b", lambda seen: f"x{place[int(seen[1])]}", written.source)
    inputs = tuple(inputs[i] for i in used)
    domain = {
        one.name: (0.0, 1.0) if one.kind == "share" else (0.0 if one.kind == "open" else -np.inf, np.inf)
        for one in inputs
        if one.kind in {"share", "open", "signed"}
    }
    return Law(
        name=name,
        cite="found by sdb.discover in the rows that it was given",
        inputs=tuple(one.name for one in inputs),
        output=output,
        params=MappingProxyType(params),
        function=Formula(source, len(inputs), tuple(params), summary),
        domain=MappingProxyType(domain),
        evidence_kind="derived",
        evidence="a search over forms; see the result that it came with",
    )


def law_of(form: Form, table: Table, name: str) -> Law:
    """The form as an ordinary law of the table's columns."""
    return _law(write(form, table), table.inputs, table.output, name)


def readable(written: Written, inputs: Sequence[Input]) -> str:
    """The formula with the names of the columns."""
    text = re.sub(r"\bx(\d+)\b", lambda found: inputs[int(found[1])].name, written.source)
    return text.replace("np.", "")
