"""A formula as fast vectorised code: value, gradient and second derivatives of many problems at once.

Parameters are fitted in *internal* coordinates ``u``, chosen so that the optimum is easy to reach:

* a positive parameter in which the formula is linear is measured by the size of its term at the
  centre of the data (the geometric mean of each input), not at one token or one parameter. For
  ``A * N**-alpha`` this removes nearly all of the correlation of A and alpha. It stays linear: on
  a logarithmic scale the valley towards a vanishing term is long and curved (starts near it took
  80 iterations and more instead of 20), and a floor of exactly zero could not be reached;
* other positive parameters are fitted as logarithms; so are scales that a fit holds above a positive
  bound, because the size of a term at the centre depends on its exponent, and a bound would bend;
* three parameters that occur only as ``a * x**q + b`` are fitted as value and slope of that
  expression at the centre, and ``q`` (a Box-Cox curve). In the printed form ``a`` and ``b`` run to
  infinity as ``q`` nears zero, and no optimiser can cross; in this one zero is a point like others;
* the rest are fitted as they are.

Parameters that a fit holds fixed are constants of the compiled code, not coordinates.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp
from sympy.printing.numpy import NumPyPrinter

__all__ = ["Evaluation", "FloatArray", "Model", "ParamSpec", "PreparedInputs", "numeric_model", "symbolic_model"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ParamSpec:
    """One parameter: its bounds in natural units, and the range in which starts are sought.

    `is_scale` marks a scale whose bounds a fit has narrowed.
    """

    name: str
    low: float
    high: float
    start: tuple[float, float]
    is_scale: bool = False

    @property
    def is_log(self) -> bool:
        """Whether the parameter is judged by its logarithm: a scale, unless its bounds are zero and a number."""
        return self.is_open or (self.is_scale and self.low > 0.0)

    @property
    def is_open(self) -> bool:
        """Whether the parameter may take any positive value."""
        return self.low == 0.0 and self.high == float("inf")


@dataclass(frozen=True)
class PreparedInputs:
    """Inputs on the centred logarithmic scale, and the values of fixed parameters.

    Attributes
    ----------
    logs : tuple of array (n,) or (P, n)
        ``ln x - centre``; ``x - centre`` for an input that may be zero or negative.
    constants : tuple of array (1,) or (P, 1)
        The centre ``mean(ln x)`` of every input, one per problem where the problems have inputs of
        their own; then the fixed parameters.
    """

    logs: tuple[FloatArray, ...]
    constants: tuple[FloatArray, ...]

    @property
    def is_shared(self) -> bool:
        """Whether all problems see the same inputs."""
        return self.logs[0].ndim == 1

    def take(self, problems: Any) -> PreparedInputs:
        """Inputs of some problems, and their own constants."""
        return PreparedInputs(
            self.logs if self.is_shared else tuple(a[problems] for a in self.logs),
            tuple(c[problems] if c.ndim == 2 else c for c in self.constants),
        )

    def repeat(self, count: int) -> PreparedInputs:
        """Every problem `count` times in a row, for as many starts (one array for all if :attr:`is_shared`)."""
        if self.is_shared:
            return self
        return PreparedInputs(
            tuple(np.repeat(a, count, axis=0) for a in self.logs),
            tuple(np.repeat(c, count, axis=0) if c.ndim == 2 else c for c in self.constants),
        )


@dataclass(frozen=True)
class Evaluation:
    """Prediction (P, n), gradient (P, k, n) and the non-zero second derivatives [(a, b, (P, n))]."""

    value: FloatArray
    gradient: FloatArray | None
    curvature: list[tuple[int, int, FloatArray]] | None


Derivatives = tuple[FloatArray, list[tuple[int, FloatArray]], list[tuple[int, int, FloatArray]]]
Coordinate = Callable[[FloatArray, PreparedInputs, FloatArray], Derivatives]


class Model:
    """A formula that can be evaluated for many parameter vectors at once.

    Attributes
    ----------
    params : tuple of ParamSpec
        The free parameters, k of them, in the order of the law.
    linear : tuple of int
        Positions of the parameters that :meth:`basis` solves for.
    is_log : array (k,) of bool
        Scales: positive parameters, whose errors are judged on the logarithm.
    low, high : array (k,)
        Bounds in internal coordinates.
    reach : array (k,)
        Longest step of each coordinate that a solver should take at once.
    is_exact : bool
        Whether derivatives are exact (traced) or numerical.
    evaluate : callable ``(u (P, k), inputs, order) -> Evaluation``
    to_natural, to_internal : callables ``((P, k), inputs) -> (P, k)``
    basis : callable ``(u, inputs) -> (offset (P, n), terms (P, len(linear), n))`` or None
        For the linear solve: the prediction is ``offset + sum(u[linear] * terms)``.
    natural_curves : callable ``(u, inputs, i) -> (value (P,), gradient (P, k), Hessian (P, k, k))``
        Natural parameter `i` as a function of the internal ones; its logarithm for a scale.
    coordinate : callable ``i -> ((u, inputs, value (P, 1)) -> (u_i (P,), first, second))``
        Where coordinate `i` lies if its natural parameter is to have a value, as a function of the other
        coordinates, with the derivatives that are not zero: ``[(j, (P, 1))]`` and ``[(a, b, (P, 1))]``, a >= b.
    loose : tuple of int
        Those of :attr:`linear` that may have any sign.
    signed : tuple of bool
        Inputs that are centred as they are, not as logarithms.
    """

    def __init__(
        self,
        params: Sequence[ParamSpec],
        linear: Sequence[int],
        boxed: Collection[int],
        evaluate: Callable[[FloatArray, PreparedInputs, int], Evaluation],
        to_natural: Callable[[FloatArray, PreparedInputs], FloatArray],
        to_internal: Callable[[FloatArray, PreparedInputs], FloatArray],
        basis: Callable[[FloatArray, PreparedInputs], tuple[FloatArray, FloatArray]] | None,
        is_exact: bool,
        natural_curves: Callable[[FloatArray, PreparedInputs, int], tuple[FloatArray, FloatArray, FloatArray]],
        coordinate: Callable[[int], Coordinate],
        signed: Sequence[bool] = (),
    ) -> None:
        self.params = tuple(params)
        self.linear = tuple(linear)
        self.evaluate = evaluate
        self.to_natural = to_natural
        self.to_internal = to_internal
        self.basis = basis
        self.is_exact = is_exact
        self.natural_curves = natural_curves
        self.coordinate = coordinate
        self.signed = tuple(signed)
        self.is_log = np.array([p.is_log for p in params], dtype=bool)
        self.loose = tuple(i for i in self.linear if not self.is_log[i])
        # only a coordinate that is the parameter (or its multiple) can carry the parameter's own bounds
        own = [tuple(np.log((p.low, p.high))) if p.is_log and p.low > 0 else (p.low, p.high) for p in self.params]
        self.low = np.array([low if i in boxed else -np.inf for i, (low, _) in enumerate(own)])
        self.high = np.array([high if i in boxed else np.inf for i, (_, high) in enumerate(own)])
        # a few e-folds, or units of an exponent, leave the region where an expansion means anything;
        # a linear coordinate has the unit of the data, a scale as it is that of the inputs: no such limit
        scales = {i for i, p in enumerate(self.params) if p.is_scale and not p.is_log}
        self.reach = np.array([np.inf if i in self.linear or i in scales else 4.0 for i in range(len(self.params))])

    @property
    def n_params(self) -> int:
        """Number of free parameters."""
        return len(self.params)

    def prepare(
        self, inputs: Sequence[FloatArray], fixed: Sequence[float | FloatArray] = (), weights: FloatArray | None = None
    ) -> PreparedInputs:
        """Centre the logarithms of the inputs.

        Parameters
        ----------
        inputs : arrays (n,) or (P, n), positive unless signed
        fixed : values of the fixed parameters, in the order of the law: numbers, or arrays (P, 1)
        weights : array (P, n), optional
            Zero marks padding that must not count.
        """
        logs, centres = [], []
        for i, values in enumerate(inputs):
            log = np.asarray(values, dtype=float)
            if not (self.signed and self.signed[i]):
                log = np.log(log)
            if log.ndim == 2 and weights is not None:
                used = (weights > 0).astype(float)
                centre = (log * used).sum(1, keepdims=True) / used.sum(1, keepdims=True)
            else:
                centre = log.mean(axis=-1, keepdims=True)
            logs.append(log - centre)
            centres.append(centre)
        constants = [value if isinstance(value, np.ndarray) else np.array([float(value)]) for value in fixed]
        return PreparedInputs(tuple(logs), (*centres, *constants))


class _Printer(NumPyPrinter):  # type: ignore[misc]
    """Joins conditions two at a time: SymPy's own way makes one array of them, so all must have one shape."""

    def _print_And(self, expr: Any) -> str:  # noqa: N802 - SymPy's name
        return functools.reduce("numpy.logical_and({}, {})".format, [str(self._print(arg)) for arg in expr.args])

    def _print_Or(self, expr: Any) -> str:  # noqa: N802
        return functools.reduce("numpy.logical_or({}, {})".format, [str(self._print(arg)) for arg in expr.args])


def _lambdify(arguments: list[sp.Symbol], expressions: list[sp.Expr]) -> Callable[..., Any]:
    printer = _Printer({"fully_qualified_modules": True, "inline": True, "allow_unknown_functions": True})
    modules = [{"numpy": np}, "numpy"]
    function: Callable[..., Any] = sp.lambdify(arguments, expressions, modules=modules, printer=printer, cse=True)
    return function


def _columns(points: FloatArray) -> list[FloatArray]:
    return [points[:, i : i + 1] for i in range(points.shape[1])]


def _stack(values: Sequence[Any], count: int) -> FloatArray:
    return np.concatenate([np.broadcast_to(np.asarray(v, dtype=float), (count, 1)) for v in values], axis=1)


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
    """Compile a traced formula.

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
    for x, a, q, b in _shifted_powers(expression, input_symbols, symbols, specs):
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
    functions = [
        _lambdify(arguments, [value]),
        _lambdify(arguments, [value, *gradient]),
        _lambdify(arguments, [value, *gradient, *(second for _, _, second in curvature)]),
    ]
    natural_function = _lambdify([*u, *centre, *constants], natural)
    internal_function = _lambdify([*symbols, *centre, *constants], internal)
    basis_function = _lambdify(arguments, [offset, *terms.values()]) if solved else None

    def evaluate(points: FloatArray, inputs: PreparedInputs, order: int) -> Evaluation:
        full = points.shape[0], inputs.logs[0].shape[-1]
        with np.errstate(all="ignore"):
            parts = functions[order](*_columns(points), *inputs.logs, *inputs.constants)
        prediction = np.broadcast_to(parts[0], full)
        if order == 0:
            return Evaluation(prediction, None, None)
        first = np.empty((full[0], k, full[1]))
        for i in range(k):
            first[:, i, :] = parts[1 + i]
        if order == 1:
            return Evaluation(prediction, first, None)
        second = [(a, b, np.asarray(part)) for (a, b, _), part in zip(curvature, parts[1 + k :], strict=True)]
        return Evaluation(prediction, first, second)

    curves: dict[int, Callable[..., Any]] = {}

    def natural_curves(points: FloatArray, inputs: PreparedInputs, i: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        if i not in curves:  # only a fit with priors asks
            curve = sp.log(natural[i]) if specs[i].is_log else natural[i]
            slopes = [sp.diff(curve, symbol) for symbol in u]
            bends = [sp.diff(slope, symbol) for slope in slopes for symbol in u]
            curves[i] = _lambdify([*u, *centre, *constants], [curve, *slopes, *bends])
        count = points.shape[0]
        with np.errstate(all="ignore"):
            parts = _stack(curves[i](*_columns(points), *inputs.constants), count)
        return parts[:, 0], parts[:, 1 : 1 + k], parts[:, 1 + k :].reshape(count, k, k)

    @functools.cache  # only a profile asks
    def coordinate(i: int) -> Coordinate:
        wanted = sp.Symbol("value", real=True)
        if natural[i] == sp.exp(u[i]):
            place = sp.log(wanted)
        else:  # a multiple of its coordinate, moved by the others
            place = (wanted - natural[i].subs(u[i], 0)) / sp.diff(natural[i], u[i])
        along = [j for j in range(k) if place.has(u[j])]
        first = [sp.diff(place, u[j]) for j in along]
        bends = [(a, b, sp.diff(place, u[a], u[b])) for a in along for b in along if a >= b]
        bends = [(a, b, bend) for a, b, bend in bends if bend != 0]
        function = _lambdify([*u, *centre, *constants, wanted], [place, *first, *(bend for _, _, bend in bends)])

        def held(points: FloatArray, inputs: PreparedInputs, value: FloatArray) -> Derivatives:
            with np.errstate(all="ignore"):
                parts = _stack(function(*_columns(points), *inputs.constants, value), points.shape[0])
            columns = _columns(parts)
            return (
                parts[:, 0],
                list(zip(along, columns[1:], strict=False)),
                [(a, b, column) for (a, b, _), column in zip(bends, columns[1 + len(along) :], strict=True)],
            )

        return held

    def to_natural(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        with np.errstate(all="ignore"):
            return _stack(natural_function(*_columns(points), *inputs.constants), points.shape[0])

    def to_internal(theta: FloatArray, inputs: PreparedInputs) -> FloatArray:
        safe = np.where([p.is_log for p in specs], np.maximum(theta, 1e-300), theta)
        with np.errstate(all="ignore"):
            return _stack(internal_function(*_columns(safe), *inputs.constants), theta.shape[0])

    def basis(points: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, FloatArray]:
        assert basis_function is not None
        full = points.shape[0], inputs.logs[0].shape[-1]
        with np.errstate(all="ignore"):
            parts = basis_function(*_columns(points), *inputs.logs, *inputs.constants)
        stacked = np.empty((full[0], len(solved), full[1]))
        for i, part in enumerate(parts[1:]):
            stacked[:, i, :] = part
        return np.broadcast_to(parts[0], full), stacked

    return Model(
        specs,
        solved,
        boxed,
        evaluate,
        to_natural,
        to_internal,
        basis if solved else None,
        is_exact=True,
        natural_curves=natural_curves,
        coordinate=coordinate,
        signed=[x.name in signed for x in input_symbols],
    )


def numeric_model(
    function: Callable[..., Any],
    params: Sequence[ParamSpec],
    fixed: Sequence[str] = (),
    signed: Sequence[bool] = (),
) -> Model:
    """Wrap a formula that cannot be traced; derivatives by central differences, no curvature."""
    specs = [p for p in params if p.name not in fixed]
    k = len(specs)
    names = [p.name for p in specs]
    held = [p.name for p in params if p.name in fixed]
    is_log = np.array([p.is_log for p in specs], dtype=bool)

    def predict(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        n = inputs.logs[0].shape[-1]
        centres, constants = inputs.constants[: len(inputs.logs)], inputs.constants[len(inputs.logs) :]
        arrays = [log + centre for log, centre in zip(inputs.logs, centres, strict=True)]
        arrays = [a if signed and signed[i] else np.exp(a) for i, a in enumerate(arrays)]
        known = {
            name: np.broadcast_to(value.reshape(-1), points.shape[:1])
            for name, value in zip(held, constants, strict=True)
        }
        with np.errstate(all="ignore"):
            theta = to_natural(points, inputs)
            rows = [
                np.broadcast_to(
                    np.asarray(
                        function(
                            *(a if a.ndim == 1 else a[i] for a in arrays),
                            **dict(zip(names, row, strict=True)),
                            **{name: float(value[i]) for name, value in known.items()},
                        )
                    ),
                    (n,),
                )
                for i, row in enumerate(theta)
            ]
        return np.array(rows, dtype=float)

    def evaluate(points: FloatArray, inputs: PreparedInputs, order: int) -> Evaluation:
        value = predict(points, inputs)
        if order == 0:
            return Evaluation(value, None, None)
        gradient = np.empty((points.shape[0], k, value.shape[1]))
        for i in range(k):
            step = np.zeros_like(points)
            step[:, i] = 6e-6 * np.maximum(1.0, np.abs(points[:, i]))  # cube root of machine precision
            difference = predict(points + step, inputs) - predict(points - step, inputs)
            gradient[:, i, :] = difference / (2 * step[:, i : i + 1])
        return Evaluation(value, gradient, None)

    def to_natural(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(np.where(is_log, np.exp(np.where(is_log, points, 0.0)), points))

    def to_internal(theta: FloatArray, inputs: PreparedInputs) -> FloatArray:
        return np.asarray(np.where(is_log, np.log(np.where(is_log, np.maximum(theta, 1e-300), 1.0)), theta))

    def natural_curves(points: FloatArray, inputs: PreparedInputs, i: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        gradient = np.zeros(points.shape)
        gradient[:, i] = 1.0  # the coordinate is the parameter, or its logarithm
        return points[:, i], gradient, np.zeros((points.shape[0], k, k))

    def coordinate(i: int) -> Coordinate:
        def held(points: FloatArray, inputs: PreparedInputs, value: FloatArray) -> Derivatives:
            at = np.broadcast_to(value[:, 0] if value.ndim == 2 else value, points.shape[:1])
            with np.errstate(divide="ignore"):
                return np.log(at) if is_log[i] else at, [], []

        return held

    boxed = {i for i, p in enumerate(specs) if not p.is_open}
    return Model(
        specs,
        (),
        boxed,
        evaluate,
        to_natural,
        to_internal,
        None,
        is_exact=False,
        natural_curves=natural_curves,
        coordinate=coordinate,
        signed=signed,
    )
