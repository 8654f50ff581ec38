"""What the data fix, as values: a verdict with its reasons, and the words for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Label", "Reason", "ReasonCode", "Verdict"]

Kind = Literal["identified", "weak", "at_bound", "not_identified"]

Label = Literal["identified", "weak", "at bound", "not converged", "not identified"]

ReasonCode = Literal[
    "at_bound",
    "at_infinity",
    "equal_values",
    "few_degrees",
    "few_runs",
    "flat_profile",
    "indistinguishable_from_zero",
    "influential",
    "move_together",
    "narrow_range",
    "no_effect",
    "no_freedom",
    "not_converged",
    "poorly_known",
    "stands_out",
    "stated",
    "trade_off",
    "undetermined",
]


def _listed(names: tuple[str, ...], most: int = 3) -> str:
    return " and ".join(names[:most])


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a verdict.

    Attributes
    ----------
    code : str
        ``at_bound`` (`names`: one parameter; `value`: the bound), ``trade_off`` and ``poorly_known``
        (parameters with wide intervals), ``indistinguishable_from_zero`` (scales),
        ``undetermined`` (parameters of a direction that the data do not see), ``no_effect``
        (parameters), ``flat_profile`` (parameters whose objective rises far less at the ends of their
        interval than a standard error implies), ``few_degrees`` (`value`: independent runs less free
        parameters), ``few_runs`` (`value`: runs, no more than parameters, so that rows stand in for
        them), ``move_together`` (two inputs), ``narrow_range`` (an input; `value`: its span in
        decades), ``influential`` (runs without which the answer moves beyond its interval),
        ``stands_out`` (a run whose residual is larger than chance allows; `value`: the residual over
        the prediction), ``no_freedom`` (`value`: degrees of freedom), ``equal_values``, ``at_infinity``,
        ``not_converged``, ``stated`` (`names`: the words of a file from an earlier version).
    names : tuple of str
        Parameters, or columns of inputs.
    value : float, optional
    """

    code: ReasonCode
    names: tuple[str, ...] = ()
    value: float | None = None

    def __str__(self) -> str:
        match self.code:
            case "at_bound":
                return f"{self.names[0]}={self.value:g}"
            case "at_infinity":
                return "the optimum is at infinity"
            case "equal_values":
                return "all values are equal"
            case "few_degrees":
                return f"{self.value:.0f} degree{'s' if self.value != 1 else ''} of freedom"
            case "few_runs":
                return f"{self.value:.0f} independent run{'s are' if self.value != 1 else ' is'} too few"
            case "flat_profile":
                return f"{_listed(self.names)} {'have' if len(self.names) > 1 else 'has'} a flat profile"
            case "indistinguishable_from_zero":
                return f"{_listed(self.names)} indistinguishable from 0"
            case "influential":
                return f"the answer rests on {_listed(self.names)}"
            case "stands_out":
                return f"{self.names[0]} stands out by {100 * (self.value or 0.0):+.2g} %"
            case "move_together":
                return f"{_listed(self.names)} move together"
            case "narrow_range":
                return f"{self.names[0]} covers {self.value:.1f} decades"
            case "no_effect":
                return f"{_listed(self.names)} {'have' if len(self.names) > 1 else 'has'} no effect of its own"
            case "no_freedom":
                return "as many rows as parameters"
            case "not_converged":
                return "not converged"
            case "trade_off":
                return f"{'-'.join(self.names)} trade-off"
            case "undetermined":
                return f"{_listed(self.names)} trade off"
            case "poorly_known" | "stated":
                return ", ".join(self.names)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the data fix. Its text is what a person reads; code looks at :attr:`kind` and :attr:`reasons`.

    Attributes
    ----------
    kind : {"identified", "weak", "at_bound", "not_identified"}
        The worst that applies. A fit that has not converged is never ``identified``.
    reasons : tuple of Reason
        Empty where all is well.

    Examples
    --------
    >>> str(Verdict("weak", (Reason("trade_off", ("E", "alpha")),)))
    'weak: E-alpha trade-off'
    """

    kind: Kind
    reasons: tuple[Reason, ...] = ()

    def because(self, code: ReasonCode) -> tuple[Reason, ...]:
        """The reasons of one code, in their order."""
        return tuple(reason for reason in self.reasons if reason.code == code)

    @property
    def converged(self) -> bool:
        """Whether the search ended at an optimum."""
        return not self.because("not_converged")

    @property
    def label(self) -> Label:
        """The verdict in one or two words, the worst first: for tables and counts."""
        if self.kind == "not_identified":
            return "not identified"
        if not self.converged:
            return "not converged"
        return "at bound" if self.kind == "at_bound" else self.kind

    def __str__(self) -> str:
        bounds = ", ".join(map(str, self.because("at_bound")))
        others = "; ".join(str(r) for r in self.reasons if r.code not in {"at_bound", "not_converged"})
        if others and self.kind in {"weak", "not_identified"}:
            others = f"{'weak' if self.kind == 'weak' else 'not identified'}: {others}"
        stated = ("" if self.converged else "not converged", bounds and f"at bound: {bounds}", others)
        return "; ".join(filter(None, stated)) or self.label
