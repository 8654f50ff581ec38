"""Budgets at which two laws predict the same loss."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb import units
from scalingdb.display import DEFAULT_LEVEL, html_table
from scalingdb.errors import DataError
from scalingdb.fits import Fit
from scalingdb.law_library import Law
from scalingdb.planning._pair import pair_of, refuse_unused
from scalingdb.planning._surface import Cost, FloatArray, Surface
from scalingdb.planning._words import between as interval_words
from scalingdb.planning._words import count, flop, four

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Crossover", "crossover"]

GRID = 241
"""Budgets between the ends at which the difference of two laws is looked at, before each change of sign is refined."""


@dataclass(frozen=True, eq=False)
class Crossover:
    """Where two laws predict the same loss. Made by :func:`crossover`.

    Attributes
    ----------
    labels : (str, str)
    along : str
        The path that both follow.
    interval : str
        How the intervals are made, or why there are none.
    """

    labels: tuple[str, str]
    along: str
    interval: str
    level: float
    _table: pl.DataFrame = field(repr=False)
    _curves: pl.DataFrame = field(repr=False)
    _difference: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per crossover, in the order of compute; no rows where there is none.

        Returns
        -------
        DataFrame
            ``train_flops, train_flops_low, train_flops_high, loss``, which law is ``better_below`` and
            ``better_above``, and ``share``: of the draws, how many have a crossover between the same
            ends of the range (null without draws).
        """
        return self._table

    def glance(self) -> pl.DataFrame:
        """One row: ``law_a, law_b, along, n_crossovers, level, interval``."""
        return pl.DataFrame(
            {
                "law_a": [self.labels[0]],
                "law_b": [self.labels[1]],
                "along": [self.along],
                "n_crossovers": [self._table.height],
                "level": [self.level],
                "interval": [self.interval],
            }
        )

    def curves(self) -> pl.DataFrame:
        """Loss of both laws along the path: ``law, train_flops, loss, loss_low, loss_high``."""
        return self._curves

    def difference(self) -> pl.DataFrame:
        """How far the second law lies above the first: ``train_flops, percent, low, high``.

        Its interval can be far narrower than those of the losses, which share their noise where the
        draws are paired.
        """
        return self._difference

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        ends = self._curves["train_flops"]
        span = f"between {flop(float(ends.min()))} and {flop(float(ends.max()))} FLOP"  # type: ignore[arg-type]
        if self._table.is_empty():
            last = self._curves.filter(pl.col("train_flops") == ends.max()).sort("loss")["law"]
            return f"No crossover {span} {self.along}: {last[0]} is the lower one throughout."
        parts = [
            f"{row['better_below']} is lower below {flop(row['train_flops'])} FLOP"
            + interval_words(flop(row["train_flops_low"]), flop(row["train_flops_high"]), self.level)
            + f" and {row['better_above']} above, at a loss of {four(row['loss'])}"
            + (f"; {100 * (1 - row['share']):.0f} % of the draws have none" if (row["share"] or 1) < 0.995 else "")
            for row in self._table.iter_rows(named=True)
        ]
        number = {1: "One crossover", 2: "Two crossovers"}.get(len(parts), f"{len(parts)} crossovers")
        return f"{number} {span} {self.along}: {'; '.join(parts)}."

    def chart(self) -> alt.Chart:
        """Both laws along the path, and where they cross (Altair)."""
        from scalingdb import charts

        return charts.crossover_chart(self.curves(), self.difference(), self.tidy())

    def __repr__(self) -> str:
        return f"<Crossover: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = ["crossover, FLOP", f"{100 * self.level:g} % interval", "loss", "lower below", "lower above"]
        rows = []
        for row in self._table.iter_rows(named=True):
            low, high = row["train_flops_low"], row["train_flops_high"]
            ends = "" if low is None else f"{flop(low)} to {flop(high)}"
            rows.append([flop(row["train_flops"]), ends, four(row["loss"]), row["better_below"], row["better_above"]])
        table = html_table(head, rows) if rows else ""
        return f"<p>{html.escape(self.sentence)}</p>{table}<p>Intervals: {html.escape(self.interval)}.</p>"


def _path(n_params: float | None, n_tokens: float | None) -> tuple[str, Any]:
    """Words, and a function from a surface, coefficients and budgets to a loss (P, B)."""
    if n_params is not None and n_tokens is not None:
        raise DataError("n_params and n_tokens are both fixed: there is no path left", "fix one of them.")
    for name, value in (("n_params", n_params), ("n_tokens", n_tokens)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise DataError(f"{name}={value!r} is not a positive number")
    if n_params is not None:
        return f"at {count(n_params)} parameters", lambda surface, theta, budget, cost: surface.loss(
            theta, np.full(budget.shape, n_params), budget / 6 / cost.count(np.array(n_params))
        )
    if n_tokens is not None:

        def at_tokens(surface: Surface, theta: FloatArray, budget: FloatArray, cost: Cost) -> FloatArray:
            if not cost.is_plain:
                raise DataError("n_tokens can be fixed under flops_convention='6nd' only")
            return surface.loss(theta, budget / 6 / n_tokens, np.full(budget.shape, n_tokens))

        return f"at {count(n_tokens)} tokens", at_tokens
    return "along the optimal path of each", lambda surface, theta, budget, cost: surface.best(theta, budget, cost)[2]


def crossover(
    a: str | Law | Fit,
    b: str | Law | Fit,
    *,
    between: tuple[float, float] = (1e17, 1e27),
    n_params: float | None = None,
    n_tokens: float | None = None,
    level: float = DEFAULT_LEVEL,
    flops_convention: str = "6nd",
    omega: float = units.OMEGA,
    pool: bool = False,
    **given: float,
) -> Crossover:
    """Budgets at which two laws predict the same loss.

    Parameters
    ----------
    a, b : str, Law or Fit
        A published set is named by the law: ``get_law("chinchilla").with_variant("hoffmann")``.
    between : (float, float)
        FLOP between which to look.
    n_params, n_tokens : float, optional
        Fix one of them; by default each law follows its own optimal path.
    level : float
        Coverage of the intervals.
    flops_convention, omega
        As for :func:`plan`.
    pool : bool
        Compare losses of different units or texts all the same.
    **given : float
        Other inputs of the laws.

    Returns
    -------
    Crossover
        Intervals are percentiles of each draw's crossover that lies nearest to the estimate. Draws are
        paired where both fits hold the same resamples of the same rows, which takes the noise that
        they share out of the difference.

    Raises
    ------
    DataError
        If the losses are not comparable, or the range is empty.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import crossover
    >>> printed = sdb.get_law("chinchilla").with_variant("hoffmann")
    >>> crossover(printed, "chinchilla", between=(1e19, 1e26)).tidy()["train_flops"].len()
    1
    """
    low, high = (float(end) for end in between)
    if not (np.isfinite(high) and 0 < low < high):
        raise DataError(f"between={between!r} is not a range of FLOP", "for example between=(1e18, 1e26).")
    refuse_unused(a, b, given)
    pair = pair_of(a, b, given, flops_convention, omega, pool=pool)
    along, follow = _path(n_params, n_tokens)
    budgets = np.geomspace(low, high, GRID)
    labels = (pair.a.label, pair.b.label)

    def losses(theta_a: FloatArray, theta_b: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        return follow(pair.a, theta_a, x, pair.cost_a), follow(pair.b, theta_b, x, pair.cost_b)

    first, second = losses(pair.a.estimate, pair.b.estimate, budgets)
    if np.isnan(first).all() or np.isnan(second).all():
        lost = pair.a if np.isnan(first).all() else pair.b
        raise DataError(f"{lost.label} has no best N at any budget from {low:.3g} to {high:.3g} FLOP")
    where = _crossings(np.log(budgets), (first - second)[0])
    spread_a = spread_b = None
    if pair.has_interval and not pair.open_reason:
        spread_a = pair.spread(0, lambda theta: follow(pair.a, theta, budgets, pair.cost_a))
        spread_b = pair.spread(1, lambda theta: follow(pair.b, theta, budgets, pair.cost_b))
    in_draws = (
        [_crossings(np.log(budgets), row) for row in spread_a - spread_b]  # type: ignore[operator]
        if spread_a is not None
        else []
    )
    rows = []
    for at in where:
        refined = _refine(lambda x: np.subtract(*losses(pair.a.estimate, pair.b.estimate, np.exp(x)))[0], at)
        near = [min(found, key=lambda x: abs(x - at)) for found in in_draws if found]
        tail = 50 * (1 - level)
        where_ends = np.exp(np.percentile(near, [tail, 100 - tail])).tolist() if near else [None, None]
        at_flops = float(np.exp(refined))
        difference = np.subtract(*losses(pair.a.estimate, pair.b.estimate, at_flops * np.array([0.99, 1.01])))[0]
        rows.append(
            {
                "train_flops": at_flops,
                "train_flops_low": where_ends[0],
                "train_flops_high": where_ends[1],
                "loss": float(losses(pair.a.estimate, pair.b.estimate, np.array([at_flops]))[0][0, 0]),
                "better_below": labels[0] if difference[0] < 0 else labels[1],
                "better_above": labels[0] if difference[1] < 0 else labels[1],
                "share": len(near) / len(in_draws) if in_draws else None,
            }
        )
    types = dict.fromkeys(("train_flops", "train_flops_low", "train_flops_high", "loss"), pl.Float64)
    schema = {**types, "better_below": pl.String, "better_above": pl.String, "share": pl.Float64}
    apart = 100 * (second / first - 1)[0]
    tails = [50 * (1 - level), 50 * (1 + level)]
    limits = np.full((2, GRID), np.nan)
    if spread_a is not None and spread_b is not None:
        limits = np.nanpercentile(100 * (spread_b / spread_a - 1), tails, axis=0)
    difference = pl.DataFrame({"train_flops": budgets, "percent": apart, "low": limits[0], "high": limits[1]})
    curves = []
    for label, values, spread in ((labels[0], first, spread_a), (labels[1], second, spread_b)):
        ends = np.nanpercentile(spread, tails, axis=0) if spread is not None else None
        blank = np.full(GRID, np.nan)
        curves.append(
            pl.DataFrame(
                {
                    "law": [label] * GRID,
                    "train_flops": budgets,
                    "loss": values[0],
                    "loss_low": blank if ends is None else ends[0],
                    "loss_high": blank if ends is None else ends[1],
                }
            )
        )
    return Crossover(
        labels,
        along,
        pair.open_reason or pair.interval,
        level,
        pl.DataFrame(rows, schema=schema),
        pl.concat(curves).with_columns(pl.col(pl.Float64).fill_nan(None)),
        difference.with_columns(pl.col(pl.Float64).fill_nan(None)),
    )


def _crossings(x: FloatArray, difference: FloatArray) -> list[float]:
    """Where a sampled difference changes sign, by a straight line in each cell."""
    found = []
    for i in range(x.size - 1):
        left, right = difference[i], difference[i + 1]
        if np.isfinite(left) and np.isfinite(right) and left * right < 0:
            found.append(float(x[i] + (x[i + 1] - x[i]) * left / (left - right)))
        elif left == 0 and np.isfinite(right) and right != 0:
            found.append(float(x[i]))
    return found


def _refine(function: Any, at: float) -> float:
    from scipy.optimize import brentq

    width = 0.2
    left, right = function(np.array([at - width]))[0], function(np.array([at + width]))[0]
    if not (np.isfinite(left) and np.isfinite(right)) or left * right > 0:
        return at  # two crossovers in one cell: the grid's answer stays
    return float(brentq(lambda x: float(function(np.array([x]))[0]), at - width, at + width, xtol=1e-12))
