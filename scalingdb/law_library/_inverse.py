"""A law turned round: one of its inputs as a function of its output and the other inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scalingdb.errors import DataError, unknown_name
from scalingdb.law_library._core import Law
from scalingdb.schema import COLUMNS

if TYPE_CHECKING:
    import sympy as sp

__all__ = ["inverse"]


@dataclass(frozen=True)
class _Inverse:
    """The closed form of one input, as a function of the output, the other inputs and the parameters."""

    law: Law
    want: str
    summary: str

    def __call__(self, *values: Any, **params: Any) -> Any:
        return _compiled(self.law, self.want)(*values, *(params[name] for name in self.law.params))


@functools.lru_cache(maxsize=256)
def _compiled(law: Law, want: str) -> Callable[..., Any]:
    import sympy as sp

    expression, output = _expression(law, want)
    names = [output, *(law.symbols[name] for name in (*law.inputs, *law.params) if name != want)]
    function: Callable[..., Any] = sp.lambdify(names, expression, modules="numpy")
    return function


def inverse(law: Law, want: str) -> Law:
    """The input `want` of a law in closed form, as a law of its output and its other inputs.

    The result is a :class:`Law`: it has LaTeX, the published coefficients of `law`, and a macro of SQL once it is
    :meth:`~Law.named`. It is not a number where the law never takes the value that is asked for.

    Parameters
    ----------
    law : Law
    want : str
        One of its inputs.

    Raises
    ------
    UnknownNameError
        If the law has no such input.
    DataError
        If there is no closed form: the input stands in several terms, or in a choice between formulas.
        :func:`scalingdb.solve` finds the value all the same.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> tokens = sdb.law_library.inverse(sdb.get_law("chinchilla"), "n_tokens")
    >>> tokens.inputs, tokens.output
    (('loss', 'n_params'), 'n_tokens')
    >>> print(f"{tokens(sdb.get_law('chinchilla')(7e9, 1.4e11), 7e9):.4g}")
    1.4e+11
    """
    if want not in law.inputs:
        raise unknown_name("input", want, law.inputs, f"(of law {law.name!r})")
    _expression(law, want)  # raises if there is none
    others = tuple(name for name in law.inputs if name != want)
    output = _output_name(law)
    return replace(
        law,
        name=f"{want}_of_{law.name}",
        inputs=(output, *others),
        output=want,
        function=_Inverse(law, want, f"{law.doc}\n\nSolved for {want}."),
        starts=None,
        best_split=None,
        meanings=MappingProxyType({output: law.meaning(law.output), want: law.meaning(want), **dict(law.meanings)}),
        domain=MappingProxyType({name: ends for name, ends in law.domain.items() if name in others}),
        aliases=MappingProxyType({}),
        own_sets=tuple(
            replace(one, output_unit=COLUMNS[want].unit if want in COLUMNS else want) for one in law.published.values()
        ),
    )


def _output_name(law: Law) -> str:
    """Name of the output as an input; of its own where an input has the same."""
    return law.output if law.output not in law.inputs else f"{law.output}_reached"


def _expression(law: Law, want: str) -> tuple[sp.Expr, sp.Symbol]:
    """The closed form of `want`, and the symbol of the output in it."""
    import sympy as sp

    output = sp.Symbol(_output_name(law), real=True)
    solved = _peeled(law.expression, law.symbols[want], output)
    if solved is None:
        raise DataError(
            f"law {law.name!r} has no closed form for {want}: it stands in more than one place",
            f'sdb.solve(law, want="{want}", output=...) finds it numerically.',
        )
    return solved, output


def _peeled(expression: sp.Expr, want: sp.Symbol, value: sp.Expr) -> sp.Expr | None:
    """`want` from ``expression == value``, layer by layer; None where it stands in more than one place."""
    import sympy as sp

    while expression != want:
        inside = [part for part in expression.args if part.has(want)]
        if len(inside) != 1:
            return None
        rest = [part for part in expression.args if part is not inside[0]]
        if isinstance(expression, sp.Add):
            value = value - sp.Add(*rest)
        elif isinstance(expression, sp.Mul):
            value = value / sp.Mul(*rest)
        elif isinstance(expression, sp.exp):
            value = sp.log(value)
        elif isinstance(expression, sp.log):
            value = sp.exp(value)
        elif isinstance(expression, sp.tanh):
            value = sp.log((1 + value) / (1 - value)) / 2
        elif isinstance(expression, sp.Pow):
            base, power = expression.args
            value = value ** (1 / power) if inside[0] is base else sp.log(value) / sp.log(base)
        else:
            return None
        expression = inside[0]
    return value
