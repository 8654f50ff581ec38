"""How much more compute one law needs than another for the same loss."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb import units
from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table
from scalingdb.errors import DataError, check_level
from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import Fit
from scalingdb.law_library import Law
from scalingdb.planning._pair import Pair, SurfacePair, pair_of, refuse_unused
from scalingdb.planning._path import PathPair, axis_of, path_pair
from scalingdb.planning._quantity import refined
from scalingdb.planning._surface import BoolArray, FloatArray
from scalingdb.planning._words import between as interval_words
from scalingdb.planning._words import flop, four, times

if TYPE_CHECKING:
    import altair as alt

__all__ = ["ComputeMultiplier", "compute_multiplier"]


@dataclass(frozen=True, eq=False)
class ComputeMultiplier:
    """How much more compute one law needs to reach the loss of another. Made by :func:`compute_multiplier`.

    Attributes
    ----------
    labels : (str, str)
    interval : str
        How the intervals are made, or why there are none.
    axis, output : str
        Columns of what the laws run along (``train_flops`` by default) and of what they yield.
    """

    labels: tuple[str, str]
    interval: str
    level: float
    axis: str
    output: str
    _table: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per budget.

        Returns
        -------
        DataFrame
            ``train_flops`` (or the axis; of the first law), the ``loss`` (or the output) it reaches, ``train_flops_b``
            (of the second, for the same loss), and ``multiplier`` (second over first) with ``_low`` and ``_high``;
            infinite where the second law never reaches the loss. ``share`` of the draws in which both laws do.
        """
        return self._table

    def glance(self) -> pl.DataFrame:
        """One row: ``law_a, law_b, n_budgets, level, interval``."""
        return pl.DataFrame(
            {
                "law_a": [self.labels[0]],
                "law_b": [self.labels[1]],
                "n_budgets": [self._table.height],
                "level": [self.level],
                "interval": [self.interval],
            }
        )

    @property
    def sentence(self) -> str:
        """The result as a person would say it; of several budgets the first and the last."""
        rows = self._table.rows(named=True)
        parts, amount = [], "compute" if self.axis == "train_flops" else self.axis
        for row in rows if len(rows) == 1 else [rows[0], rows[-1]]:
            place = f"{flop(row[self.axis])} {self._unit}"
            reach = f"the {self.output} of {four(row[self.output])} that {self.labels[0]} has at {place}"
            if row["multiplier"] == float("inf"):
                parts.append(f"{self.labels[1]} never reaches {reach}")
                continue
            ends = [row["multiplier_low"], row["multiplier_high"]]
            words = interval_words(times(ends[0]), times(ends[1]), self.level)
            parts.append(f"{self.labels[1]} needs {times(row['multiplier'])} times the {amount}{words} for {reach}")
        return "; ".join(parts) + "."

    @property
    def _unit(self) -> str:
        return "FLOP" if self.axis == "train_flops" else self.axis

    def chart(self) -> alt.Chart:
        """The multiplier against the budget, with its interval (Altair)."""
        from scalingdb import charts

        table = self.tidy()
        drawn = (
            charts.multiplier_chart(table)
            if self.axis == "train_flops"
            else charts.multiplier_chart(table.rename({self.axis: "train_flops"}), axis=self.axis)
        )
        tails = {label.partition(" fitted to ")[2] for label in self.labels}
        shared = f" fitted to {tails.pop()}" if len(tails) == 1 and "" not in tails else ""
        one, other = (label.removesuffix(shared) for label in self.labels)
        rows = table.rows(named=True)
        shown = rows if len(rows) == 1 else [rows[0], rows[-1]]
        amount = "compute" if self.axis == "train_flops" else self.axis
        parts: list[str] = []
        for row in shown:
            place, ratio = f"at {flop(row[self.axis])} {self._unit}", times(row["multiplier"])
            if np.isinf(row["multiplier"]):
                parts.append(f"never reaches the {self.output} of {one} {place}")
            elif parts and parts[0].startswith("needs"):
                parts.append(f"{ratio} times {place}")
            else:
                parts.append(f"needs {ratio} times the {amount} of {one} {place}")
        finite = [row for row in shown if np.isfinite(row["multiplier"])]
        ends = " and ".join(f"{times(row['multiplier_low'])} to {times(row['multiplier_high'])}" for row in finite)
        certainty = self.interval if "unknown" in ends or not ends else f"{100 * self.level:g} % intervals {ends}"
        about = f"For the {self.output} that {one} has there; {certainty}."
        return charts.headed(drawn, f"{other} {' and '.join(parts)}", about, f"Both{shared}." if shared else "")

    def __repr__(self) -> str:
        return f"<ComputeMultiplier: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = [f"{self._unit} by {self.labels[0]}", self.output, f"{self._unit} by {self.labels[1]}", "ratio"]
        rows = [
            [
                flop(row[self.axis]),
                four(row[self.output]),
                flop(row[f"{self.axis}_b"]),
                times(row["multiplier"])
                + interval_words(times(row["multiplier_low"]), times(row["multiplier_high"]), self.level),
            ]
            for row in self._table.iter_rows(named=True)
        ]
        return (
            f"<p>{html.escape(self.sentence)}</p>{html_table(head, rows)}"
            f"<p>Intervals: {html.escape(self.interval)}.</p>"
        )


@told
def compute_multiplier(
    a: str | Law | Fit,
    b: str | Law | Fit,
    *,
    train_flops: float | Sequence[float] | None = None,
    loss: float | Sequence[float] | None = None,
    along: str | None = None,
    at: float | Sequence[float] | None = None,
    output: float | Sequence[float] | None = None,
    level: float = DEFAULT_LEVEL,
    flops_convention: str = "6nd",
    omega: float = units.OMEGA,
    pool: bool = False,
    **given: float,
) -> ComputeMultiplier:
    """How many times the compute of `a` the law `b` needs for the same loss, both split in the best way.

    Parameters
    ----------
    a, b : str, Law or Fit
    train_flops, at : float or sequence of float
        Budgets of `a`, in FLOP or in the unit of the axis; or
    loss, output : float or sequence of float
        the losses (or what the laws yield) to reach.
    along : str, optional
        The axis, as for :func:`crossover`: hours, samples or dollars in place of FLOP.
    level, flops_convention, omega, pool, **given
        As for :func:`crossover`.

    Returns
    -------
    ComputeMultiplier

    Raises
    ------
    DataError
        If neither or both of a budget and a loss are given, or `a` never reaches a loss.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import compute_multiplier
    >>> compute_multiplier("chinchilla", "chinchilla", train_flops=1e22).tidy()["multiplier"].round(6).item()
    1.0
    """
    check_level(level)
    budgets, wanted = train_flops if at is None else at, loss if output is None else output
    if (budgets is None) == (wanted is None) or not (
        (train_flops is None or at is None) and (loss is None or output is None)
    ):
        raise DataError("a multiplier is asked for at a budget or at a loss", "give train_flops=... or loss=...")
    asked = np.atleast_1d(np.asarray(budgets if wanted is None else wanted, dtype=float))
    if asked.ndim > 1 or not asked.size or not (np.isfinite(asked).all() and (asked > 0).all()):
        raise DataError(f"{'loss' if budgets is None else 'train_flops'}={asked.tolist()} is not positive")
    axis = axis_of(a, b, along)
    refuse_unused(a, b, given)
    if axis is not None:
        ways = path_pair(a, b, axis, given, flops_convention, omega, pool=pool)
        return _along(ways, asked, at_output=wanted is not None, level=level)
    pair = pair_of(a, b, given, flops_convention, omega, pool=pool)
    budget, reached, needed = _estimates(pair, asked, at_loss=wanted is not None)
    if np.isnan(budget * reached).any():
        where = asked[np.isnan(budget * reached)][0]
        raise DataError(f"{pair.a.label} has no plan for {where:.4g}", "take a loss above its floor.")
    values = reaches = None
    if pair.has_interval and not pair.open_reason:
        values, reaches = _draws(pair, asked, at_loss=wanted is not None)
    return _result(pair, ("train_flops", "loss"), (budget, reached, needed), values, reaches, level)


def _result(
    pair: Pair,
    names: tuple[str, str],
    estimates: tuple[FloatArray, FloatArray, FloatArray],
    values: FloatArray | None,
    reaches: BoolArray | None,
    level: float,
) -> ComputeMultiplier:
    """The answer from budgets of the first law, what it reaches and budgets of the second, each (B,), and draws."""
    (axis, output), (budget, reached, needed) = names, estimates
    low = high = share = np.full(budget.size, np.nan)
    if values is not None and reaches is not None:
        share = reaches.mean(axis=0)
        low, high = interval(values, level)
    needed = np.where(np.isnan(needed), np.inf, needed)
    columns = {axis: budget, output: reached, f"{axis}_b": needed, "multiplier": needed / budget}
    table = pl.DataFrame({**columns, "multiplier_low": low, "multiplier_high": high, "share": share})
    table = table.with_columns(pl.col(pl.Float64).fill_nan(None))
    made = pair.open_reason or pair.interval
    return ComputeMultiplier((pair.a.label, pair.b.label), made, level, axis, output, table)


def _along(ways: PathPair, asked: FloatArray, *, at_output: bool, level: float) -> ComputeMultiplier:
    """Multipliers along any axis."""
    coarse = ways.grid(() if at_output else asked.tolist())
    if at_output:
        reached, budget = asked, _budgets(ways, 0, coarse, asked)
    else:
        reached, budget = ways.estimate(0, asked), asked
    lost = ~(np.isfinite(budget) & np.isfinite(reached))
    if lost.any():
        what = f"never has {ways.output}" if at_output else f"has no value at {ways.axis}"
        raise DataError(f"{ways.a.label} {what} = {asked[lost][0]:.4g}", "take a value that the first law reaches.")
    needed = _budgets(ways, 1, coarse, reached)
    ways.warn_far([*budget, *needed], "the multiplier")
    values = reaches = None
    if ways.has_interval and not ways.open_reason:
        grid = ways.grid([*budget, *needed])
        goal = np.broadcast_to(reached, (1, reached.size)) if at_output else ways.drawn(0, asked)
        first = ways.reached(ways.drawn(0, grid), grid, goal) if at_output else np.broadcast_to(asked, goal.shape)
        second = ways.reached(ways.drawn(1, grid), grid, goal)
        with np.errstate(all="ignore"):
            values = np.where(np.isinf(first) & np.isinf(second), np.nan, second / first)
        reaches = np.isfinite(values) & (values > 0)
    return _result(ways, (ways.axis, ways.output), (budget, reached, needed), values, reaches, level)


def _budgets(ways: PathPair, side: int, grid: FloatArray, wanted: FloatArray) -> FloatArray:
    """Where one side first reaches values (B,); infinite where it never does."""
    near = ways.reached(ways.estimate(side, grid)[None], grid, wanted[None])[0]
    for i, goal in enumerate(wanted):
        if np.isfinite(near[i]):
            cell = int(np.clip(np.searchsorted(grid, near[i]), 1, grid.size - 1))
            ends_of_cell = float(grid[cell - 1]), float(grid[cell])
            miss = ways.estimate(side, np.array(ends_of_cell)) - goal
            if miss[0] * miss[1] < 0:
                near[i] = refined(partial(_miss, ways, side, goal), *ends_of_cell)
    return np.asarray(near)


def _miss(ways: PathPair, side: int, goal: float, x: FloatArray) -> FloatArray:
    return ways.estimate(side, x) - goal


def _estimates(pair: SurfacePair, asked: FloatArray, *, at_loss: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Budget of the first law (B,), the loss that it reaches, and the budget of the second for the same loss."""
    a, b = pair.a, pair.b
    if at_loss:
        budget, reached = a.budget_for(a.estimate, asked[None], pair.cost_a)[0], asked
    else:
        budget, reached = asked, a.best(a.estimate, asked, pair.cost_a)[2][0]
    return budget, reached, b.budget_for(b.estimate, reached[None], pair.cost_b)[0]


def _draws(pair: SurfacePair, asked: FloatArray, *, at_loss: bool) -> tuple[FloatArray, BoolArray]:
    """Multipliers (P, B), infinite where the second law never reaches the loss, and whether it does.

    Zero where only the first one fails to, and ``nan`` where both do.
    """
    if at_loss:
        budget = pair.budget_for(0, asked, asked)
        reached = np.broadcast_to(asked, budget.shape)
    else:
        reached = pair.spread(0, lambda theta: pair.a.best(theta, asked, pair.cost_a)[2])
        budget = np.broadcast_to(asked, reached.shape)
    needed = pair.budget_for(1, reached, asked)
    with np.errstate(all="ignore"):
        values = np.where(np.isinf(budget) & np.isinf(needed), np.nan, needed / budget)
    return values, np.isfinite(values) & (values > 0)
