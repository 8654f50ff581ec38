"""A traced formula printed as code: value, gradient, second derivatives, and changes of coordinates."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.numpy import NumPyPrinter

from scalingdb.estimation.code import Code, coded_model
from scalingdb.estimation.model import Model, ParamSpec

__all__ = ["print_code", "symbolic_model"]


class _Printer(NumPyPrinter):  # type: ignore[misc]
    """Joins conditions two at a time: SymPy's own way makes one array of them, so all must have one shape."""

    def _print_And(self, expr: Any) -> str:  # noqa: N802 - SymPy's name
        return functools.reduce("numpy.logical_and({}, {})".format, [str(self._print(arg)) for arg in expr.args])

    def _print_Or(self, expr: Any) -> str:  # noqa: N802
        return functools.reduce("numpy.logical_or({}, {})".format, [str(self._print(arg)) for arg in expr.args])


def _printed(arguments: Sequence[sp.Symbol], expressions: Sequence[sp.Expr]) -> str:
    """A function of NumPy arrays, as text: what the expressions have in common is computed once."""
    printer = _Printer({"fully_qualified_modules": True, "inline": True, "allow_unknown_functions": True})
    shared, reduced = sp.cse(list(expressions))
    steps = "".join(f"    {symbol} = {printer.doprint(part)}\n" for symbol, part in shared)
    result = ", ".join(printer.doprint(part) for part in reduced)
    return f"def printed({', '.join(symbol.name for symbol in arguments)}):\n{steps}    return [{result}]\n"


def _shifted_powers(
    expression: sp.Expr, inputs: Sequence[sp.Symbol], params: Sequence[sp.Symbol], specs: Sequence[ParamSpec]
) -> list[tuple[sp.Symbol, int, int, int]]:
    """Find ``a * x**q + b`` with free, unbounded a and b that occur nowhere else: [(x, a, q, b)]."""
    position = {symbol: i for i, symbol in enumerate(params)}
    found = []
    for node in expression.atoms(sp.Add):
        if len(node.args) != 2:
            continue
        for b, product in (node.args, node.args[::-1]):
            if b not in position or not isinstance(product, sp.Mul) or len(product.args) != 2:
                continue
            for a, power in (product.args, product.args[::-1]):
                if a not in position or not isinstance(power, sp.Pow):
                    continue
                x, q = power.as_base_exp()
                if x not in inputs or q not in position:
                    continue
                unbounded = all(specs[position[s]].low == -np.inf and specs[position[s]].high == np.inf for s in (a, b))
                alone = not expression.xreplace({node: sp.Dummy()}).free_symbols & {a, b, q}
                if unbounded and alone:
                    found.append((x, position[a], position[q], position[b]))
    return found


def _joined_powers(ratio: sp.Expr) -> sp.Expr:
    """The ratio of a term to its size at the centre, its powers joined: shorter, and safe from overflow."""
    try:
        dense = sp.powsimp(sp.powdenest(ratio, force=True))
        return sp.powsimp(sp.expand(dense, power_exp=False, power_base=True, mul=False, log=False))
    except (IndexError, TypeError, ValueError, AttributeError):  # SymPy fails on a power of a quotient by a number
        return sp.expand_power_base(ratio, force=True)


def _without_spikes(second: sp.Expr) -> sp.Expr:
    """A second derivative without what is infinite at one point, such as that of an absolute value at zero."""
    return second.replace(sp.DiracDelta, lambda *parts: sp.Integer(0))


def symbolic_model(
    expression: sp.Expr,
    input_symbols: Sequence[sp.Symbol],
    param_symbols: Sequence[sp.Symbol],
    params: Sequence[ParamSpec],
    linear: Collection[str],
    fixed: Collection[str] = (),
    signed: Collection[str] = (),
) -> Model:
    """Compile a traced formula; the parameters are those of :func:`print_code`."""
    code = print_code(expression, input_symbols, param_symbols, params, linear, fixed, signed)
    free = [p for p in params if p.name not in fixed]
    return coded_model(code, free, [x.name in signed for x in input_symbols])


def print_code(
    expression: sp.Expr,
    input_symbols: Sequence[sp.Symbol],
    param_symbols: Sequence[sp.Symbol],
    params: Sequence[ParamSpec],
    linear: Collection[str],
    fixed: Collection[str] = (),
    signed: Collection[str] = (),
) -> Code:
    """Print all functions of a model.

    Parameters
    ----------
    expression : sympy expression in the symbols given
    input_symbols, param_symbols : sequences of Symbol
        In the order of the inputs and of `params`.
    params : sequence of ParamSpec
    linear : names of the jointly linear parameters. Positive ones whose term has one sign are
        measured at the centre; they and the unbounded ones are solved for, others are searched
        like any parameter.
    fixed : names of the parameters that are constants.
    signed : names of the inputs that may be zero or negative.
    """
    constants = [symbol for symbol, p in zip(param_symbols, params, strict=True) if p.name in fixed]
    symbols = [symbol for symbol, p in zip(param_symbols, params, strict=True) if p.name not in fixed]
    specs = [p for p in params if p.name not in fixed]
    k = len(specs)
    u = [sp.Symbol(f"u{i}", real=True) for i in range(k)]
    log_x = [sp.Symbol(f"lx{i}", real=True) for i in range(len(input_symbols))]
    centre = [sp.Symbol(f"cx{i}", real=True) for i in range(len(input_symbols))]
    scale_of: list[Callable[[sp.Expr], sp.Expr]] = [
        (lambda value: value) if x.name in signed else sp.exp for x in input_symbols
    ]
    to_logs = {x: of(lx + cx) for x, of, lx, cx in zip(input_symbols, scale_of, log_x, centre, strict=True)}
    at_centre = {x: of(cx) for x, of, cx in zip(input_symbols, scale_of, centre, strict=True)}

    # natural parameters as functions of u, and back
    natural: list[sp.Expr] = [sp.exp(u[i]) if p.is_log else u[i] for i, p in enumerate(specs)]
    internal: list[sp.Expr] = [sp.log(symbols[i]) if p.is_log else symbols[i] for i, p in enumerate(specs)]
    boxed = {i for i, p in enumerate(specs) if not p.is_open}
    formula = expression
    shifted = _shifted_powers(expression, input_symbols, symbols, specs)
    for x, a, q, b in shifted:
        here = input_symbols.index(x)
        power = sp.exp(u[q] * centre[here])
        natural[a] = u[a] / (u[q] * power)
        natural[b] = u[b] - u[a] / u[q]
        reference = sp.exp(symbols[q] * centre[here])
        internal[a] = symbols[a] * symbols[q] * reference
        internal[b] = symbols[b] + symbols[a] * reference
        curve = u[b] + u[a] * (sp.exp(u[q] * log_x[here]) - 1) / u[q]
        formula = formula.xreplace({symbols[a] * x ** symbols[q] + symbols[b]: curve})
        boxed -= {a, b}

    replaced = {symbols[i]: natural[i] for i in range(k)}
    terms: dict[int, sp.Expr] = {}
    for i, p in enumerate(specs):
        unbounded = p.low == -np.inf and p.high == np.inf
        if p.name not in linear or not (p.is_open or (unbounded and i in boxed)):
            continue
        coefficient = sp.diff(formula, symbols[i])
        if not (coefficient.is_positive or coefficient.is_negative):
            if unbounded:  # solved for all the same, in its own unit
                terms[i] = coefficient.subs(to_logs).subs(replaced)
            continue  # a positive term that may change sign has no size to be measured by
        size = coefficient if coefficient.is_positive else -coefficient
        at_reference = size.subs(at_centre)
        terms[i] = _joined_powers((coefficient.subs(to_logs) / at_reference).subs(replaced))
        norm = sp.expand_log(sp.log(at_reference), force=True)
        natural[i] = u[i] * sp.exp(-norm.subs(replaced))
        internal[i] = symbols[i] * sp.exp(norm)
        boxed.add(i)
    solved = list(terms)
    others = {symbols[i]: natural[i] for i in range(k) if i not in terms}
    offset = formula.subs({symbols[i]: 0 for i in solved}).subs(to_logs).subs(others)
    value = offset + sum((u[i] * terms[i] for i in solved), sp.Integer(0))

    gradient = [sp.diff(value, symbol) for symbol in u]
    curvature = [(a, b, _without_spikes(sp.diff(gradient[a], u[b]))) for a in range(k) for b in range(a + 1)]
    curvature = [(a, b, second) for a, b, second in curvature if second != 0]
    arguments = [*u, *log_x, *centre, *constants]
    own = [*u, *centre, *constants]
    functions = {
        "value": _printed(arguments, [value]),
        "gradient": _printed(arguments, [value, *gradient]),
        "curvature": _printed(arguments, [value, *gradient, *(second for _, _, second in curvature)]),
        "natural": _printed(own, natural),
        "internal": _printed([*symbols, *centre, *constants], internal),
    }
    if solved:
        functions["basis"] = _printed(arguments, [offset, *terms.values()])
    for i, p in enumerate(specs):
        curve = sp.log(natural[i]) if p.is_log else natural[i]
        slopes = [sp.diff(curve, symbol) for symbol in u]
        functions[f"curve {i}"] = _printed(own, [curve, *slopes, *(sp.diff(s, symbol) for s in slopes for symbol in u)])
    places = {}
    for i in range(k):
        text, along, bends = _coordinate(natural[i], u, i, own)
        functions[f"coordinate {i}"] = text
        places[i] = (along, bends)
    return Code(
        tuple(solved),
        tuple(sorted(boxed)),
        tuple((a, b) for a, b, _ in curvature),
        bool(shifted),
        functions,
        {i: along for i, (along, _) in places.items()},
        {i: bends for i, (_, bends) in places.items()},
    )


def _coordinate(
    natural: sp.Expr, u: Sequence[sp.Symbol], i: int, own: Sequence[sp.Symbol]
) -> tuple[str, tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Where a coordinate lies if its natural parameter is to have a value, with derivatives that are not zero."""
    wanted = sp.Symbol("value", real=True)
    is_scale = natural == sp.exp(u[i])
    # otherwise a multiple of its coordinate, moved by the others
    place = sp.log(wanted) if is_scale else (wanted - natural.subs(u[i], 0)) / sp.diff(natural, u[i])
    along = tuple(j for j in range(len(u)) if place.has(u[j]))
    first = [sp.diff(place, u[j]) for j in along]
    bends = [(a, b, sp.diff(place, u[a], u[b])) for a in along for b in along if a >= b]
    bends = [(a, b, bend) for a, b, bend in bends if bend != 0]
    text = _printed([*own, wanted], [place, *first, *(bend for _, _, bend in bends)])
    return text, along, tuple((a, b) for a, b, _ in bends)
