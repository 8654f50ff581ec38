"""A finished study played again: what would have been known had its runs been bought in another order."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.display import html_table, number, percent
from scalingdb.errors import DataError, FitError, FitWarning, check_seed
from scalingdb.fits import Fit, as_frame, fit, refuse_bad_values
from scalingdb.law_library import Law, get_law
from scalingdb.notices import silence
from scalingdb.planning._curve import FloatArray
from scalingdb.planning._drift import IntArray
from scalingdb.planning._next_runs import next_runs, prices_of

if TYPE_CHECKING:
    import altair as alt

__all__ = ["RunsReplay", "replay_runs"]

STRATEGIES = ("next_runs", "random", "cheapest first", "largest first")

ROUNDS = (0.1, 0.25, 0.5, 1.0)
"""Shares of the budget after which the law is fitted again and the rest is planned again."""

EXTRA = 3
"""Runs of the start beyond the parameters of the law."""

START_SHARE = 0.02
"""Of the cost of all runs, beyond which a start is replaced by the cheapest runs."""

MOST_ERROR = 1.0
"""Error of one row at most: a fit that is wrong by a factor of three has failed."""


@dataclass(frozen=True, eq=False)
class RunsReplay:
    """Errors at the target against cost, by the order in which the runs of a study are bought.

    Made by :func:`replay_runs`.

    Attributes
    ----------
    label : str
        What was replayed, in words.
    all_runs : float
        Error with all candidates.
    """

    label: str
    all_runs: float
    _table: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per purchase: ``strategy, share, repeat, n_runs, cost_share, error``.

        ``share`` is what might be spent and ``cost_share`` what was, of the cost of all candidates; ``n_runs`` counts
        the start; ``error`` is the mean absolute difference between predicted and observed target rows, of logarithms
        if the objective takes them, at most 1 per row.
        """
        return self._table

    def glance(self) -> pl.DataFrame:
        """One row per strategy and share: mean ``error``, ``n_runs, cost_share``, and ``over_random``."""
        means = self._table.group_by("strategy", "share", maintain_order=True).agg(
            pl.col("error", "n_runs", "cost_share").mean()
        )
        base = means.filter(strategy="random").select("share", base="error")
        return (
            means.join(base, on="share", how="left", maintain_order="left")
            .with_columns(over_random=pl.col("error") / pl.col("base"), all_runs=pl.lit(self.all_runs))
            .drop("base")
        )

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        table = self.glance()
        parts = []
        for share in table["share"].unique(maintain_order=True):
            at = dict(table.filter(share=share).select("strategy", "error").iter_rows())
            said = ", ".join(f"{name} {number(at[name], 3)}" for name in at)
            parts.append(f"with {percent(share)} of the cost: {said}")
        return f"{self.label}: error {'; '.join(parts)}; with all runs {number(self.all_runs, 3)}."

    def chart(self) -> alt.LayerChart:
        """Error at the target against the share of the cost, a line for each strategy (Altair)."""
        from scalingdb import charts

        table = self.glance()
        first = table.filter(pl.col("share") == pl.col("share").min()).sort("error").row(0, named=True)
        chance = first["error"] / first["over_random"]
        return charts.headed(
            charts.replay_chart(table),
            f"With {100 * first['share']:g} % of the cost, {first['strategy']} errs least: "
            f"{number(first['error'], 2)}, random {number(chance, 2)}",
            f"{self.label}. Mean absolute error at the target; with all runs {number(self.all_runs, 2)}.",
        )

    def __repr__(self) -> str:
        return f"<RunsReplay: {self.sentence}>"

    def _repr_html_(self) -> str:
        table = self.glance().select("strategy", "share", "error", "over_random", "n_runs", "cost_share")
        rows = [[number(v, 3) if isinstance(v, float) else v for v in row] for row in table.iter_rows()]
        return f"<p>{html.escape(self.sentence)}</p>{html_table(table.columns, rows)}"


def replay_runs(
    frame: pl.DataFrame,
    law: str | Law,
    *,
    target: float | pl.Expr = 0.1,
    shares: Sequence[float] = (0.05, 0.1),
    cost: str | None = None,
    repeats: int = 4,
    orders: int = 4,
    rng: int = 0,
    **options: Any,
) -> RunsReplay:
    """Reveal the runs of a finished study one by one, and show the error at its largest runs against the cost.

    The target rows are never fitted. Every strategy begins with the same few cheap runs (three more than the law has
    parameters: the cheapest, or a draw from the cheapest quarter in later repeats), whose cost counts, and fits the
    same law to what it has bought.

    Parameters
    ----------
    frame : DataFrame
        The rows of a study, as for :func:`scalingdb.fit`.
    law : str or Law
    target : float or expression
        Rows that are to be predicted: the share of the rows that cost most, or a Polars expression.
    shares : sequence of float
        Budgets, as shares of the cost of all rows that are not targets.
    cost : str, optional
        As for :func:`next_runs`.
    repeats : int
        Starts.
    orders : int
        Random orders for each start.
    rng : int
        Seed.
    **options
        For :func:`scalingdb.fit`.

    Returns
    -------
    RunsReplay
        Strategies: ``next_runs`` (planned again after a tenth, a quarter and half of the budget), ``random``,
        ``cheapest first`` and ``largest first``; each buys every next run of its order that the budget still pays for.

    Raises
    ------
    DataError
        If too few rows are left beside the targets, or a share is not between 0 and 1.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> runs = sdb.connect().points("misfitting").filter(study="misfitting", eval_set="c4_val")
    >>> best = runs.sort("loss").unique(["n_params", "n_tokens"], keep="first", maintain_order=True)
    >>> played = sdb.planning.replay_runs(best, "chinchilla", shares=[0.1], repeats=1, orders=2)
    >>> played.glance().columns[:3]
    ['strategy', 'share', 'error']
    """
    check_seed(rng)
    entry, table = get_law(law), as_frame(frame)
    for name, value in (("repeats", repeats), ("orders", orders)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise DataError(f"{name}={value!r} is not a whole number of at least 1")
    budgets = [float(share) for share in np.atleast_1d(np.asarray(shares, dtype=float))]
    if not budgets or not all(0 < share <= 1 for share in budgets):
        raise DataError(f"shares={shares!r} are not between 0 and 1", "for example (0.05, 0.1).")

    def fitted(rows: pl.DataFrame) -> Fit:
        found: Fit = fit(rows, entry, **options)
        return found

    whole = fitted(table)
    prices = prices_of(whole, table, cost)
    if (prices == prices[0]).all():
        raise DataError("all runs cost the same", "name a column of costs: cost=...")
    is_target = _targets(table, prices, target)
    rows, costs, wanted = table.filter(~is_target), prices[~is_target], table.filter(is_target)
    refuse_bad_values(wanted, [whole.recipe.output], [])
    n_start = len(entry.params) + EXTRA
    if rows.height < 2 * n_start:
        raise DataError(
            f"{rows.height} rows are left beside the {wanted.height} targets: a start alone takes {n_start}",
            "hold out fewer, or take a larger study.",
        )
    study = _Study(rows, costs, wanted, fitted, cost)
    with silence(), warnings.catch_warnings():  # of a fit to a dozen runs nobody expects more
        warnings.simplefilter("ignore", FitWarning)
        everything = study.error(np.arange(rows.height))
        found = [row for repeat in range(repeats) for row in _repeat(study, repeat, budgets, n_start, orders, rng)]
    label = f"{entry.name}, {rows.height} runs, {wanted.height} to predict"
    return RunsReplay(label, everything, pl.DataFrame(found))


@dataclass(frozen=True, eq=False)
class _Study:
    rows: pl.DataFrame
    costs: FloatArray
    wanted: pl.DataFrame
    fitted: Callable[[pl.DataFrame], Fit]
    cost: str | None

    def error(self, bought: IntArray) -> float:
        try:
            found = self.fitted(self.rows[bought])
        except (DataError, FitError):
            return MOST_ERROR
        predicted = found.predict(self.wanted)["prediction"].to_numpy()
        observed = self.wanted[found.recipe.output].cast(pl.Float64).to_numpy()
        with np.errstate(all="ignore"):
            miss = np.log(predicted / observed) if found._kind.is_log else predicted - observed
        return float(np.nan_to_num(np.minimum(np.abs(miss), MOST_ERROR), nan=MOST_ERROR).mean())


def _targets(table: pl.DataFrame, prices: FloatArray, target: float | pl.Expr) -> pl.Series:
    if isinstance(target, pl.Expr):
        picked = table.select(target.cast(pl.Boolean).fill_null(False)).to_series()
    else:
        if not 0 < target < 1:
            raise DataError(f"target={target!r} is not a share of the rows between 0 and 1", "for example 0.1.")
        order = np.argsort(prices, kind="stable")
        is_largest = np.zeros(table.height, dtype=bool)
        is_largest[order[-max(1, round(target * table.height)) :]] = True
        picked = pl.Series(is_largest)
    if not picked.any():
        raise DataError("no row is a target", "let target= pick some.")
    return picked


def _repeat(
    study: _Study, repeat: int, budgets: Sequence[float], n_start: int, orders: int, rng: int
) -> Iterator[dict[str, Any]]:
    generator = np.random.default_rng([rng, repeat])
    by_cost, total = np.argsort(study.costs, kind="stable"), float(study.costs.sum())
    start = by_cost[:n_start]
    if repeat:
        drawn = generator.choice(by_cost[: max(n_start, by_cost.size // 4)], n_start, replace=False)
        if study.costs[drawn].sum() <= START_SHARE * total:
            start = drawn
    rest = np.setdiff1d(by_cost, start)
    cheap = rest[np.argsort(study.costs[rest], kind="stable")]
    for share in budgets:
        budget = share * total - float(study.costs[start].sum())
        shuffled = [generator.permutation(rest) for _ in range(orders)]
        plans = [("next_runs", _chosen(study, start, rest, budget))]
        plans += [("random", _in_order(study, order, budget)) for order in shuffled]
        plans += [("cheapest first", _in_order(study, cheap, budget))]
        plans += [("largest first", _in_order(study, cheap[::-1], budget))]
        for strategy, picked in plans:
            bought = np.concatenate([start, picked]).astype(np.int64)
            yield {
                "strategy": strategy,
                "share": share,
                "repeat": repeat,
                "n_runs": bought.size,
                "cost_share": float(study.costs[bought].sum()) / total,
                "error": study.error(np.sort(bought)),
            }


def _in_order(study: _Study, order: IntArray, budget: float) -> IntArray:
    picked, left = [], budget
    for run in order:
        if study.costs[run] <= left:
            picked.append(int(run))
            left -= study.costs[run]
    return np.array(picked, dtype=np.int64)


def _chosen(study: _Study, start: IntArray, rest: IntArray, budget: float) -> IntArray:
    """Runs by :func:`next_runs`, planned again when a part of the budget is spent."""
    picked: list[int] = []
    spent = 0.0

    def left() -> IntArray:
        others = np.setdiff1d(rest, picked)
        return others[study.costs[others] <= budget - spent]

    for until in ROUNDS:
        found = None
        while found is None and left().size:
            try:
                found = study.fitted(study.rows[np.sort(np.concatenate([start, picked]).astype(np.int64))])
            except (DataError, FitError):  # too few rows, or all on a line: the cheapest run more
                cheapest = min(left(), key=lambda run: float(study.costs[run]))
                picked.append(int(cheapest))
                spent += float(study.costs[cheapest])
        if found is None or not left().size:
            break
        numbers = left()
        try:
            plan = next_runs(
                found,
                study.rows[numbers].with_columns(_number=pl.Series(numbers)),
                budget=budget - spent,
                target=study.wanted,
                cost=study.cost,
            )
        except DataError:  # none of the runs helps
            break
        for run in plan.tidy()["_number"]:
            if until < 1 and spent and spent + study.costs[run] > until * budget:
                break
            picked.append(int(run))
            spent += float(study.costs[run])
    return np.array(picked, dtype=np.int64)
