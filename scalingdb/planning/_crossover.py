"""Budgets at which two laws predict the same loss."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb import units
from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table
from scalingdb.errors import DataError, check_level
from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import Fit
from scalingdb.law_library import Law
from scalingdb.planning._curve import is_better_higher
from scalingdb.planning._pair import Pair, pair_of, refuse_unused
from scalingdb.planning._path import Path, PathPair, axis_of, path_pair
from scalingdb.planning._surface import Cost, FloatArray, Surface
from scalingdb.planning._words import between as interval_words
from scalingdb.planning._words import count, flop, four

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Crossover", "crossover"]

AXIS = "train_flops"
"""What surfaces over N and D run along."""

BETWEEN = (1e17, 1e27)
"""FLOP between which to look for a crossover."""

FAR_ALONG = 1e3
"""Times beyond the ranges of both laws within which to look along any other axis."""

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
    axis, output : str
        Columns of what the laws run along (``train_flops`` by default) and of what they yield.
    """

    labels: tuple[str, str]
    along: str
    interval: str
    level: float
    axis: str
    output: str
    _table: pl.DataFrame = field(repr=False)
    _curves: pl.DataFrame = field(repr=False)
    _difference: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per crossover, in the order of the axis; no rows where there is none.

        Returns
        -------
        DataFrame
            ``train_flops`` (or the axis) with ``_low`` and ``_high``, ``loss`` (or the output), which law is
            ``better_below`` and ``better_above``, and ``share``: of the draws, how many have a crossover
            between the same ends of the range (null without draws).
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
        """Both laws along the axis: ``law, train_flops, loss, loss_low, loss_high``, or axis and output as they are."""
        return self._curves

    def difference(self) -> pl.DataFrame:
        """How far the second law lies above the first: ``train_flops`` (or the axis), ``percent, low, high``.

        Its interval can be far narrower than those of the losses, which share their noise where the
        draws are paired.
        """
        return self._difference

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        ends, unit = self._curves[self.axis], "FLOP" if self.axis == AXIS else self.axis
        word = "higher" if is_better_higher(self.output) else "lower"
        span = f"between {flop(float(ends.min()))} and {flop(float(ends.max()))} {unit}"  # type: ignore[arg-type]
        if self._table.is_empty():
            last = self._curves.filter(pl.col(self.axis) == ends.max()).sort(self.output, descending=word == "higher")
            return f"No crossover {span} {self.along}: {last['law'][0]} is the {word} one throughout."
        parts = [
            f"{row['better_below']} is {word} below {flop(row[self.axis])} {unit}"
            + interval_words(flop(row[f"{self.axis}_low"]), flop(row[f"{self.axis}_high"]), self.level)
            + f" and {row['better_above']} above, at a {self.output} of {four(row[self.output])}"
            + (f"; {100 * (1 - row['share']):.0f} % of the draws have none" if (row["share"] or 1) < 0.995 else "")
            for row in self._table.iter_rows(named=True)
        ]
        number = {1: "One crossover", 2: "Two crossovers"}.get(len(parts), f"{len(parts)} crossovers")
        return f"{number} {span} {self.along}: {'; '.join(parts)}."

    def chart(self) -> alt.Chart:
        """Both laws along the path, and where they cross (Altair)."""
        from scalingdb import charts

        tables = [
            table.rename(lambda name: name.replace(self.axis, "train_flops").replace(self.output, "loss"))
            for table in (self.curves(), self.difference(), self.tidy())
        ]
        drawn = (
            charts.crossover_chart(*tables)
            if self.axis == AXIS and self.output == "loss"
            else charts.crossover_chart(*tables, axis=self.axis, output=self.output)
        )
        return charts.headed_by_sentence(drawn, self.sentence)

    def __repr__(self) -> str:
        return f"<Crossover: {self.sentence}>"

    def _repr_html_(self) -> str:
        unit = "FLOP" if self.axis == AXIS else self.axis
        word = "higher" if is_better_higher(self.output) else "lower"
        head = [f"crossover, {unit}", f"{100 * self.level:g} % interval", self.output, f"{word} below", f"{word} above"]
        rows = []
        for row in self._table.iter_rows(named=True):
            low, high = row[f"{self.axis}_low"], row[f"{self.axis}_high"]
            span = "" if low is None else f"{flop(low)} to {flop(high)}"
            cells = [flop(row[self.axis]), span, four(row[self.output])]
            rows.append([*cells, row["better_below"], row["better_above"]])
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


@told
def crossover(
    a: str | Law | Fit,
    b: str | Law | Fit,
    *,
    between: tuple[float, float] | None = None,
    along: str | None = None,
    n_params: float | None = None,
    n_tokens: float | None = None,
    level: float = DEFAULT_LEVEL,
    flops_convention: str = "6nd",
    omega: float = units.OMEGA,
    pool: bool = False,
    **given: float,
) -> Crossover:
    """Where two laws predict the same: at which budget, or at which value of any axis that both take.

    Parameters
    ----------
    a, b : str, Law or Fit
        A published set is named by the law: ``get_law("chinchilla").with_variant("hoffmann")``.
    between : (float, float), optional
        Where to look, in the unit of the axis. By default 1e17 to 1e27 FLOP; along another axis, a thousand times
        beyond what either law was fitted on.
    along : str, optional
        The axis: an input of both laws, or the column that a fit took for it (hours, samples, dollars). A surface over
        N and D runs along ``train_flops`` by its best split. By default the only input of laws that have one, else
        compute.
    n_params, n_tokens : float, optional
        Fix one of them; by default each surface follows its own optimal path.
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
    UnknownNameError
        If a law does not take the axis, or an input.

    Warns
    -----
    DomainWarning
        Along a named axis: if a crossover lies outside the range of published coefficients, or ten times beyond the
        rows of a fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import crossover
    >>> printed = sdb.get_law("chinchilla").with_variant("hoffmann")
    >>> crossover(printed, "chinchilla", between=(1e19, 1e26)).tidy()["train_flops"].len()
    1
    """
    check_level(level)
    axis = axis_of(a, b, along) if n_params is None and n_tokens is None else along
    if between is not None and not (np.isfinite(float(between[1])) and 0 < float(between[0]) < float(between[1])):
        unit = "FLOP" if axis in (None, "train_flops") else axis
        raise DataError(f"between={between!r} is not a range of {unit}", "for example between=(1e18, 1e26).")
    refuse_unused(a, b, given)
    pair: Pair
    if axis is None:
        surfaces = pair_of(a, b, given, flops_convention, omega, pool=pool)
        words, follow = _path(n_params, n_tokens)
        pair, axis, output, sign = surfaces, AXIS, "loss", 1.0
        sides: tuple[Path, Path] = (
            lambda theta, x: follow(surfaces.a, theta, x, surfaces.cost_a),
            lambda theta, x: follow(surfaces.b, theta, x, surfaces.cost_b),
        )
        low, high = BETWEEN if between is None else between
    else:
        if n_params is not None or n_tokens is not None:
            given = {**given, **{k: v for k, v in (("n_params", n_params), ("n_tokens", n_tokens)) if v is not None}}
        pair = ways = path_pair(a, b, axis, given, flops_convention, omega, pool=pool)
        words, output, sign, sides = f"along {axis}", ways.output, ways.sign, ways.paths
        low, high = between or (ways.span[0] / FAR_ALONG, ways.span[1] * FAR_ALONG)
    made = _crossover(pair, sides, np.geomspace(float(low), float(high), GRID), axis, output, sign, words, level)
    if isinstance(pair, PathPair):
        pair.warn_far(made.tidy()[axis].to_list(), "the crossover")
    return made


def _crossover(
    pair: Pair,
    sides: tuple[Path, Path],
    x: FloatArray,
    axis: str,
    output: str,
    sign: float,
    along: str,
    level: float,
) -> Crossover:
    """Crossovers of two paths on a grid of the axis."""
    labels = (pair.a.label, pair.b.label)

    def values(at: FloatArray) -> tuple[FloatArray, FloatArray]:
        return sides[0](pair.a.estimate, at), sides[1](pair.b.estimate, at)

    first, second = values(x)
    if np.isnan(first).all() or np.isnan(second).all():
        lost = pair.a if np.isnan(first).all() else pair.b
        what = "best N at any budget" if axis == AXIS else f"{output} at any {axis}"
        unit = " FLOP" if axis == AXIS else ""
        raise DataError(f"{lost.label} has no {what} from {x[0]:.3g} to {x[-1]:.3g}{unit}")
    spread_a = spread_b = None
    if pair.has_interval and not pair.open_reason:
        spread_a = pair.spread(0, lambda theta: sides[0](theta, x))
        spread_b = pair.spread(1, lambda theta: sides[1](theta, x))
    in_draws = (
        [_crossings(np.log(x), row) for row in spread_a - spread_b]  # type: ignore[operator]
        if spread_a is not None
        else []
    )
    rows = []
    for at in _crossings(np.log(x), (first - second)[0]):
        refined = _refine(lambda log_x: np.subtract(*values(np.exp(log_x)))[0], at)
        near = [min(found, key=lambda log_x: abs(log_x - at)) for found in in_draws if found]
        where_ends = np.exp(interval(np.array(near), level)).tolist() if near else [None, None]
        place = float(np.exp(refined))
        difference = sign * np.subtract(*values(place * np.array([0.99, 1.01])))[0]
        rows.append(
            {
                axis: place,
                f"{axis}_low": where_ends[0],
                f"{axis}_high": where_ends[1],
                output: float(values(np.array([place]))[0][0, 0]),
                "better_below": labels[0] if difference[0] < 0 else labels[1],
                "better_above": labels[0] if difference[1] < 0 else labels[1],
                "share": len(near) / len(in_draws) if in_draws else None,
            }
        )
    types = dict.fromkeys((axis, f"{axis}_low", f"{axis}_high", output), pl.Float64)
    schema = {**types, "better_below": pl.String, "better_above": pl.String, "share": pl.Float64}
    unknown = np.full(x.size, np.nan)
    limits = (unknown, unknown)
    with np.errstate(all="ignore"):
        apart = 100 * (second / first - 1)[0]
        if spread_a is not None and spread_b is not None:
            limits = interval(100 * (spread_b / spread_a - 1), level)
    difference_table = pl.DataFrame({axis: x, "percent": apart, "low": limits[0], "high": limits[1]})
    curves = []
    for label, side, spread in ((labels[0], first, spread_a), (labels[1], second, spread_b)):
        ends = interval(spread, level) if spread is not None else (unknown, unknown)
        columns = {"law": [label] * x.size, axis: x, output: side[0]}
        curves.append(pl.DataFrame({**columns, f"{output}_low": ends[0], f"{output}_high": ends[1]}))
    return Crossover(
        labels,
        along,
        pair.open_reason or pair.interval,
        level,
        axis,
        output,
        pl.DataFrame(rows, schema=schema),
        pl.concat(curves).with_columns(pl.col(pl.Float64).fill_nan(None)),
        difference_table.with_columns(pl.col(pl.Float64).fill_nan(None)),
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
