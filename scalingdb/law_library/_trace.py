"""Call a NumPy formula with symbols instead of arrays, and get the formula back.

NumPy hands every ufunc call on an unknown object to that object's ``__array_ufunc__``. A thin
wrapper around a SymPy expression that answers there is enough to trace ``E + A * n**-alpha``,
``np.exp``, ``np.logaddexp``, ``np.where`` and their like, without a second copy of the formula.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import sympy as sp

__all__ = ["LATEX_NAMES", "UntraceableError", "latex", "linear_params", "mathml", "power_inputs", "sql", "trace"]


class UntraceableError(TypeError):
    """The formula does something that has no symbolic counterpart."""


_UFUNCS: dict[Any, Callable[..., Any]] = {
    np.add: lambda a, b: a + b,
    np.subtract: lambda a, b: a - b,
    np.multiply: lambda a, b: a * b,
    np.divide: lambda a, b: a / b,
    np.power: lambda a, b: a**b,
    np.float_power: lambda a, b: a**b,
    np.negative: lambda a: -a,
    np.positive: lambda a: a,
    np.exp: sp.exp,
    np.exp2: lambda a: 2**a,
    np.expm1: lambda a: sp.exp(a) - 1,
    np.log: sp.log,
    np.log2: lambda a: sp.log(a) / sp.log(2),
    np.log10: lambda a: sp.log(a) / sp.log(10),
    np.log1p: lambda a: sp.log(1 + a),
    np.logaddexp: lambda a, b: sp.log(sp.exp(a) + sp.exp(b)),
    np.sqrt: sp.sqrt,
    np.cbrt: lambda a: a ** sp.Rational(1, 3),
    np.square: lambda a: a**2,
    np.reciprocal: lambda a: 1 / a,
    np.tanh: sp.tanh,
    np.sin: sp.sin,
    np.cos: sp.cos,
    np.arctan: sp.atan,
    np.absolute: sp.Abs,
    np.maximum: lambda a, b: sp.Piecewise((a, a >= b), (b, True)),
    np.minimum: lambda a, b: sp.Piecewise((a, a <= b), (b, True)),
    np.greater: lambda a, b: a > b,
    np.greater_equal: lambda a, b: a >= b,
    np.less: lambda a, b: a < b,
    np.less_equal: lambda a, b: a <= b,
}


def _plain(value: Any) -> Any:
    if isinstance(value, _Traced):
        return value.expr
    if isinstance(value, np.ndarray):
        if value.ndim:
            raise UntraceableError("an array inside the formula")
        value = value.item()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return sp.Integer(int(value))
    return sp.sympify(value)


class _Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """A SymPy expression that answers NumPy's calls."""

    def __init__(self, expr: sp.Basic) -> None:
        self.expr = expr

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> _Traced:
        if method != "__call__" or kwargs or ufunc not in _UFUNCS:
            raise UntraceableError(f"np.{ufunc.__name__}")
        return _Traced(_UFUNCS[ufunc](*(_plain(a) for a in args)))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> _Traced:
        if func is np.where and len(args) == 3 and not kwargs:
            condition, yes, no = (_plain(a) for a in args)
            return _Traced(sp.Piecewise((yes, condition), (no, True)))
        raise UntraceableError(f"np.{func.__name__}")

    def __bool__(self) -> bool:
        raise UntraceableError("a Python 'if' on a value; use np.where")

    def __float__(self) -> float:
        raise UntraceableError("float() of a value")


def trace(
    function: Callable[..., Any],
    inputs: Sequence[str],
    params: Sequence[str],
    positive_params: Iterable[str],
    signed: Sequence[str] = (),
) -> tuple[sp.Expr, dict[str, sp.Symbol]]:
    """Symbolic form of ``function(*inputs, **params)``.

    Inputs are taken as positive (they are counts, FLOP, bits) but for the `signed` ones,
    `positive_params` likewise; the others are real.

    Returns
    -------
    expression, symbols by name

    Raises
    ------
    UntraceableError
        If the formula uses something without a symbolic counterpart.
    """
    is_positive = {*inputs, *positive_params} - set(signed)
    symbols = {
        name: sp.Symbol(name, positive=True) if name in is_positive else sp.Symbol(name, real=True)
        for name in (*inputs, *params)
    }
    try:
        result = function(*(_Traced(symbols[i]) for i in inputs), **{p: _Traced(symbols[p]) for p in params})
    except UntraceableError:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise UntraceableError(str(error)) from error
    # a condition on a choice (np.minimum of np.minimum) in and, or, not: arrays know no if inside a condition
    return sp.sympify(_plain(result)).replace(sp.ITE, lambda *parts: sp.ITE(*parts).to_nnf()), symbols


def linear_params(expr: sp.Expr, symbols: Mapping[str, sp.Symbol], params: Sequence[str]) -> tuple[str, ...]:
    """Largest leading set of `params` in which `expr` is jointly linear (given the others).

    These are the parameters that a least-squares solve finds inside a search over the rest.
    """
    chosen: list[str] = []
    for name in params:
        first = sp.diff(expr, symbols[name])
        if first == 0:
            continue
        if all(sp.diff(first, symbols[other]) == 0 for other in (*chosen, name)):
            chosen.append(name)
    return tuple(chosen)


def power_inputs(expr: sp.Expr, symbols: Mapping[str, sp.Symbol], names: Sequence[str]) -> tuple[str, ...]:
    """Those of `names` that enter as powers, or products or sums of powers, and nowhere else but in a logarithm."""
    plain = (sp.log, sp.Max, sp.Min, sp.Piecewise, sp.Abs)
    chosen = []
    for name in names:
        x = symbols[name]
        formula = expr.xreplace({sp.log(x): sp.Dummy()})
        exponents = [node.exp for node in formula.atoms(sp.Pow)]
        others = [node for node in formula.atoms(sp.Function) if not isinstance(node, plain)]
        if not any(x in part.free_symbols for part in (*exponents, *others)):
            chosen.append(name)
    return tuple(chosen)


LATEX_NAMES = {
    "n_params": "N",
    "n_params_non_embedding": "N",
    "n_params_active": "N_a",
    "n_tokens": "D",
    "n_tokens_unique": "U",
    "n_examples": "n",
    "train_flops": "C",
    "n_steps": "S",
    "batch_size_tokens": "B",
    "learning_rate": r"\eta",
    "loss": "L",
    "n_experts": "N_E",
    "vocab_size": "V",
    "n_streams": "P",
    "n_members": "K",
    "n_samples": "k",
    "domain_share": "r",
    "group_size": "G",
    "precision_weight_bits": "P_w",
    "precision_activation_bits": "P_a",
    "precision_kv_bits": "P_kv",
    "n_params_vocabulary": "N_v",
    "n_params_nonzero": "N_nz",
    "n_params_encoder": "N_enc",
    "n_params_decoder": "N_dec",
}
"""Symbol that the field uses for a column; a parameter keeps its own name."""


def _display(expr: sp.Expr) -> sp.Expr:
    """The expression with the symbols of :data:`LATEX_NAMES`, for printing only.

    A symbol that a parameter bears already stays with the parameter.
    """
    taken = {symbol.name for symbol in expr.free_symbols}
    return expr.xreplace(
        {
            symbol: sp.Symbol(LATEX_NAMES[symbol.name], positive=True)
            for symbol in expr.free_symbols
            if symbol.name in LATEX_NAMES and LATEX_NAMES[symbol.name] not in taken
        }
    )


def latex(expr: sp.Expr, output: str) -> str:
    """LaTeX of ``output = expr`` with the field's symbols."""
    left = LATEX_NAMES.get(output, sp.latex(sp.Symbol(output)))
    return f"{left} = {sp.latex(_display(expr))}"


def mathml(expr: sp.Expr, output: str) -> str:
    """Presentation MathML of ``output = expr``: browsers draw it without a script or a network."""
    from sympy.printing.mathml import MathMLPresentationPrinter

    class Printer(MathMLPresentationPrinter):  # type: ignore[misc]
        """SymPy writes a formula with cases as a call of ``piecewise``; a brace is what people read."""

        def _print_Piecewise(self, expr: sp.Piecewise) -> Any:
            table = self.dom.createElement("mtable")
            for value, condition in expr.args:
                row = self.dom.createElement("mtr")
                is_rest = condition is sp.true
                word = self.dom.createElement("mtext")
                word.appendChild(self.dom.createTextNode("otherwise" if is_rest else "if "))
                for parts in ([self._print(value)], [word] if is_rest else [word, self._print(condition)]):
                    cell = self.dom.createElement("mtd")
                    for part in parts:
                        cell.appendChild(part)
                    row.appendChild(cell)
                table.appendChild(row)
            brace = self.dom.createElement("mo")
            brace.appendChild(self.dom.createTextNode("{"))
            whole = self.dom.createElement("mrow")
            whole.appendChild(brace)
            whole.appendChild(table)
            return whole

    left = LATEX_NAMES.get(output, output).replace("\\", "")
    body = Printer().doprint(sp.Eq(sp.Symbol(left), _display(expr), evaluate=False))
    # names such as &InvisibleTimes; belong to HTML; an XML reader wants the characters themselves
    for raw, written in (("&ExponentialE;", "e"), ("<mo><</mo>", "<mo>&lt;</mo>"), ("<mo>></mo>", "<mo>&gt;</mo>")):
        body = body.replace(raw, written)
    body = re.sub(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z]+;", lambda found: html.unescape(found[0]), body)
    return f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">{body}</math>'


class _SQLPrinter(sp.printing.str.StrPrinter):  # type: ignore[misc]  # SymPy is untyped here
    """SymPy to DuckDB: every operation is on DOUBLE, so integer division cannot occur."""

    def _print_Integer(self, expr: sp.Integer) -> str:
        return f"{int(expr)}::DOUBLE"

    def _print_Rational(self, expr: sp.Rational) -> str:
        return f"({int(expr.p)}::DOUBLE / {int(expr.q)}::DOUBLE)"

    def _print_Float(self, expr: sp.Float) -> str:
        return f"{float(expr)!r}::DOUBLE"

    def _print_Symbol(self, expr: sp.Symbol) -> str:
        return f'"{expr.name}"'

    def _print_Add(self, expr: sp.Add, order: Any = None) -> str:
        return "(" + " + ".join(self._print(arg) for arg in expr.args) + ")"

    def _print_Mul(self, expr: sp.Mul) -> str:
        return "(" + " * ".join(self._print(arg) for arg in expr.args) + ")"

    def _print_Pow(self, expr: sp.Pow, rational: bool = False) -> str:
        base, exponent = expr.as_base_exp()
        if exponent == -1:
            return f"(1::DOUBLE / {self._print(base)})"
        return f"power({self._print(base)}, {self._print(exponent)})"

    def _print_ExpBase(self, expr: Any) -> str:
        return f"exp({self._print(expr.args[0])})"

    def _print_exp(self, expr: Any) -> str:
        return f"exp({self._print(expr.args[0])})"

    def _print_Exp1(self, expr: Any) -> str:
        return "exp(1::DOUBLE)"

    def _print_log(self, expr: Any) -> str:
        return f"ln({self._print(expr.args[0])})"

    def _print_tanh(self, expr: Any) -> str:
        return f"tanh({self._print(expr.args[0])})"

    def _print_Abs(self, expr: Any) -> str:
        return f"abs({self._print(expr.args[0])})"

    def _print_Relational(self, expr: Any) -> str:
        return f"({self._print(expr.lhs)} {expr.rel_op} {self._print(expr.rhs)})"

    def _print_BooleanTrue(self, expr: Any) -> str:
        return "true"

    def _print_BooleanFalse(self, expr: Any) -> str:
        return "false"

    def _print_And(self, expr: Any) -> str:
        return "(" + " and ".join(self._print(arg) for arg in expr.args) + ")"

    def _print_Or(self, expr: Any) -> str:
        return "(" + " or ".join(self._print(arg) for arg in expr.args) + ")"

    def _print_Not(self, expr: Any) -> str:
        return f"(not {self._print(expr.args[0])})"

    def _print_Piecewise(self, expr: sp.Piecewise) -> str:
        cases = " ".join(f"when {self._print(cond)} then {self._print(value)}" for value, cond in expr.args)
        return f"(case {cases} end)"


def sql(expr: sp.Expr) -> str:
    """DuckDB expression; symbols become quoted names (macro arguments or columns)."""
    return str(_SQLPrinter().doprint(expr))
