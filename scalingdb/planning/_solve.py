"""At which input a law reaches a value."""

from __future__ import annotations

import html
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table, number, percent
from scalingdb.display import interval as interval_text
from scalingdb.errors import DataError, DomainWarning, check_level, check_word
from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import Fit
from scalingdb.law_library import Law, inverse
from scalingdb.planning._curve import FloatArray
from scalingdb.planning._quantity import (
    Quantity,
    Relation,
    crossings,
    quantity_of,
    refined,
    roots_of_draws,
    search_grid,
)

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Solution", "solve"]

Whole = Literal["up", "down"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a quantity reaches one or more values. Made by :func:`solve`.

    Attributes
    ----------
    want : str
        The input that was solved for.
    label : str
        The quantity in words.
    interval : str
        How intervals are made, or why there are none.
    level : float
    """

    want: str
    label: str
    interval: str
    level: float
    _table: pl.DataFrame = field(repr=False)
    _quantity: Quantity = field(repr=False)
    _grid: FloatArray = field(repr=False)

    @property
    def value(self) -> float:
        """The solution, where there is exactly one.

        Raises
        ------
        DataError
            If there are several.
        """
        if self._table.height != 1:
            raise DataError(f"there are {self._table.height} solutions, not one", "tidy() has them all.")
        return float(self._table[self.want].item())

    def tidy(self) -> pl.DataFrame:
        """One row per value asked for and solution, in rising order.

        Returns
        -------
        DataFrame
            ``target`` (the value asked for), the input with ``_low`` and ``_high``, ``share`` (of the draws that reach
            the value at all; the others count as infinite, or as 0 where they are past it everywhere; null without
            draws), ``beyond`` (times outside the range that the coefficients were fitted on, 1 inside), and ``reason``
            (why there is no solution, else null).
        """
        return self._table

    def glance(self) -> pl.DataFrame:
        """One row: ``quantity, want, n_targets, n_solutions, level, interval``."""
        return pl.DataFrame(
            {
                "quantity": [self.label],
                "want": [self.want],
                "n_targets": [self._table["target"].n_unique()],
                "n_solutions": [self._table[self.want].count()],
                "level": [self.level],
                "interval": [self.interval],
            }
        )

    @property
    def sql(self) -> str:
        """An SQL expression of the solution, in closed form, with the columns of the output and of the other inputs.

        Raises
        ------
        DataError
            If there is no closed form, or the question is one of two laws or of a derivative.
        """
        from scalingdb.law_library import _trace

        quantity = self._quantity
        if len(quantity.sides) > 1 or quantity.slope is not None or quantity.names[0] is None:
            raise DataError("a closed form is known for the value of one law", "take the numbers of tidy().")
        side = quantity.sides[0]
        turned = inverse(side.law, quantity.names[0])
        values = {turned.symbols[name]: float(v) for name, v in zip(side.law.params, side.estimate[0], strict=True)}
        return _trace.sql(turned.expression.subs(values))

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        parts = []
        for row in self._table.iter_rows(named=True):
            if row["reason"] is not None:
                parts.append(row["reason"])
                continue
            span = interval_text(row[f"{self.want}_low"], row[f"{self.want}_high"], 3)
            text = f"{number(row['target'], 4)} is reached at {self.want} = {number(row[self.want], 3)}"
            if span:
                text += f" ({100 * self.level:g} % interval {span})"
            if row["share"] is not None and row["share"] < 0.9995:
                text += f"; {percent(1 - row['share'])} of the draws never reach it"
            parts.append(text)
        return f"{self.label}: {'; '.join(parts)}."

    def chart(self) -> alt.LayerChart:
        """The quantity along the input, its interval, the values asked for, and where they are reached (Altair)."""
        from scalingdb import charts

        drawn = charts.solution_chart(self.curves(), self._table, self.want, self.label)
        return charts.headed_by_sentence(drawn, self.sentence)

    def curves(self) -> pl.DataFrame:
        """The quantity around the solutions: the input, ``value``, ``low``, ``high``."""
        found = self._table[self.want].drop_nulls().to_numpy()
        around = [*found, *(v for end in ("_low", "_high") for v in self._table[self.want + end].drop_nulls())]
        near = [v for v in around if np.isfinite(v) and (v > 0 or self._grid[0] <= 0)]
        if self._grid[0] > 0:
            x = np.geomspace(max(min(near) / 30, self._grid[0]), min(max(near) * 30, self._grid[-1]), 161)
        else:
            x = np.linspace(self._grid[0], self._grid[-1], 161)
        low = high = np.full(x.size, np.nan)
        if self._quantity.has_interval:
            low, high = interval(self._quantity.drawn(x), self.level)
        table = pl.DataFrame({self.want: x, "value": self._quantity.at(x), "low": low, "high": high})
        return table.with_columns(pl.col(pl.Float64).fill_nan(None))

    def __repr__(self) -> str:
        return f"<Solution: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = ["value", self.want, f"{100 * self.level:g} % interval", "draws that reach it"]
        rows = [
            [
                row["target"],
                row[self.want],
                interval_text(row[f"{self.want}_low"], row[f"{self.want}_high"]) or (row["reason"] or ""),
                percent(row["share"]),
            ]
            for row in self._table.iter_rows(named=True)
        ]
        said = f"<p>{html.escape(self.sentence)}</p>"
        return f"{said}{html_table(head, rows)}<p>Intervals: {html.escape(self.interval)}.</p>"


@told
def solve(
    law: str | Law | Fit,
    *,
    want: str,
    output: float | Sequence[float] | None = None,
    against: str | Law | Fit | None = None,
    relation: Relation = "difference",
    derivative: str | None = None,
    between: tuple[float, float] | None = None,
    whole: Whole | None = None,
    variant: str | None = None,
    level: float = DEFAULT_LEVEL,
    pool: bool = False,
    **given: float,
) -> Solution:
    """The input at which a law, or the difference, ratio or derivative of two, reaches a value.

    It answers, for example: how many tokens until quantisation costs 0.1 nats, how large a model of a reference family
    has the loss of this one, how many votes make a task reliable, at how many steps success falls to one half.

    Parameters
    ----------
    law : str, Law or Fit
    want : str
        The input to solve for: a name of the law's, or the column that a fit took for it.
    output : float or sequence of float
        The value to reach, in the unit of the law. It may be left out with `against` (0 for a difference, 1 for a
        ratio) and with `derivative` (0).
    against : str, Law or Fit, optional
        A second law of the same output.
    relation : {"difference", "ratio"}
        ``law - against`` or ``law / against``.
    derivative : str, optional
        Input by which the derivative of the law (of both) is taken, per unit of that input, before it is compared. A
        best value of an input is where the derivative by it is 0.
    between : (float, float), optional
        Where to look. By default from 1e-12 to 1e12 times the range that the coefficients were fitted on, inside what
        the input can be.
    whole : {"up", "down"}, optional
        Round the solution to the next whole number, for votes, steps or samples.
    variant : str, optional
        Published coefficient set of `law`.
    level : float
        Coverage of the intervals.
    pool : bool
        Compare outputs of different units or texts all the same.
    **given : float
        Values of the other inputs, in their units, and own coefficients of `law`.

    Returns
    -------
    Solution
        All solutions, if there are several. A fit has intervals: percentiles of the solutions of its draws, in which
        a draw that never reaches the value counts as infinite. Published coefficients have none, because sources give
        the uncertainty of each coefficient alone.

    Raises
    ------
    DataError
        If none of the values is reached; the message says what the law reaches. If some are, the others have a row
        without a solution and with the reason. Also if an input has no value, or outputs are not comparable.
    UnknownNameError
        For an unknown law, input, parameter or variant.

    Warns
    -----
    DomainWarning
        If a solution lies outside the range that published coefficients were fitted on, or ten times beyond the rows
        of a fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> tokens = sdb.solve("chinchilla", want="n_tokens", output=2.2, n_params=7e9)
    >>> print(f"{tokens.value:.3g}")
    9.49e+10
    >>> votes = sdb.solve("vote_reliability", want="vote_margin", output=0.9, n_task_steps=1e6, p=0.99, whole="up")
    >>> votes.value
    4.0
    """
    check_level(level)
    if whole is not None:
        check_word(whole, get_args(Whole), "whole")
    quantity = quantity_of(law, against, want, relation, derivative, variant, given, pool=pool)
    targets = _targets(output, quantity)
    grid = search_grid(quantity, between)
    values = quantity.at(grid)
    if not np.isfinite(values).any():
        raise DataError(
            f"the {quantity.label} has no value for {want} from {grid[0]:.3g} to {grid[-1]:.3g}",
            "look elsewhere: between=(..., ...).",
        )
    rows = [row for target in targets for row in _rows(quantity, grid, values, target, level, whole)]
    if all(row["reason"] is not None for row in rows):
        raise DataError(rows[0]["reason"], "ask for a value in between, or look further: between=(..., ...).")
    types = {"target": pl.Float64, want: pl.Float64, f"{want}_low": pl.Float64, f"{want}_high": pl.Float64}
    schema = {**types, "share": pl.Float64, "beyond": pl.Float64, "reason": pl.String}
    table = pl.DataFrame(rows, schema=schema)
    _warn_far(quantity, table, want)
    return Solution(want, quantity.label, quantity.interval, level, table, quantity, grid)


def _targets(output: float | Sequence[float] | None, quantity: Quantity) -> list[float]:
    if output is None:
        if quantity.slope is not None:
            return [0.0]
        if len(quantity.sides) == 1:
            raise DataError("the value to reach is missing", "give output=...")
        return [0.0 if quantity.relation == "difference" else 1.0]
    targets = [float(value) for value in np.atleast_1d(np.asarray(output, dtype=float))]
    if not targets or not np.isfinite(targets).all():
        raise DataError(f"output={output!r} is not a finite number", "give the value to reach.")
    return targets


def _rows(
    quantity: Quantity, grid: FloatArray, values: FloatArray, target: float, level: float, whole: Whole | None
) -> list[dict[str, Any]]:
    """One row per solution for one value, or one that says why there is none."""
    want = quantity.want
    blank = dict.fromkeys((want, f"{want}_low", f"{want}_high", "share", "beyond"))
    cells = crossings(values - target)
    if not cells:
        return [{"target": target, **blank, "reason": _never(quantity, grid, values, target)}]
    rows = []
    for cell in cells:
        at = refined(lambda x: quantity.at(x) - target, grid[cell], grid[cell + 1])
        low = high = share = None
        if quantity.has_interval:
            sign = float(np.sign(values[cell + 1] - target)) or -float(np.sign(values[cell] - target))
            fine = _finer(grid, at)
            found, has_root = roots_of_draws(fine, quantity.drawn(fine) - target, at, sign)
            low, high = (float(end) for end in interval(found, level))
            share = float(has_root.mean())
        beyond, _ = quantity.sides[0].beyond({name: np.array([at]) for name in quantity.names[:1] if name})
        numbers = {want: at, f"{want}_low": low, f"{want}_high": high}
        if whole is not None:
            round_to = np.ceil if whole == "up" else np.floor
            # a root a rounding away from a whole number is that number
            numbers = {
                name: None if v is None else float(np.round(v) if abs(v - np.round(v)) < 1e-9 * abs(v) else round_to(v))
                for name, v in numbers.items()
            }
        rows.append({"target": target, **numbers, "share": share, "beyond": float(np.max(beyond)), "reason": None})
    return rows


def _finer(grid: FloatArray, at: float) -> FloatArray:
    """The grid, denser around a root, so that a straight line in a cell is good to four digits."""
    if grid[0] > 0:
        near = np.geomspace(max(at / 10, grid[0]), min(at * 10, grid[-1]), 241)
        return np.union1d(grid[::4], near)
    return np.union1d(grid, np.linspace(max(at - 1, grid[0]), min(at + 1, grid[-1]), 241))


def _never(quantity: Quantity, grid: FloatArray, values: FloatArray, target: float) -> str:
    """Why a value is not reached: what the quantity spans, and where."""
    low, high = int(np.nanargmin(values)), int(np.nanargmax(values))
    return (
        f"the {quantity.label} never reaches {target:.6g}: for {quantity.want} from {grid[0]:.3g} to {grid[-1]:.3g} it "
        f"lies between {values[low]:.6g} (at {grid[low]:.3g}) and {values[high]:.6g} (at {grid[high]:.3g})"
    )


def _warn_far(quantity: Quantity, table: pl.DataFrame, want: str) -> None:
    values = table[want].drop_nulls().to_numpy()
    said = []
    for side, name in zip(quantity.sides, quantity.names, strict=True):
        if name:
            said += [f"{side.label}: {text}" for text in side.beyond({name: values})[1]]
    if said:
        warnings.warn(f"the solution extrapolates: {'; '.join(said)}", DomainWarning, stacklevel=4)
