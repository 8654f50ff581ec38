"""How much more compute one law needs than another for the same loss."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb import units
from scalingdb.display import DEFAULT_LEVEL, html_table
from scalingdb.errors import DataError
from scalingdb.fits import Fit
from scalingdb.law_library import Law
from scalingdb.planning._pair import SurfacePair, pair_of, refuse_unused
from scalingdb.planning._surface import BoolArray, FloatArray, ends
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
    """

    labels: tuple[str, str]
    interval: str
    level: float
    _table: pl.DataFrame = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per budget.

        Returns
        -------
        DataFrame
            ``train_flops`` (of the first law), the ``loss`` it reaches, ``train_flops_b`` (of the second,
            for the same loss), and ``multiplier`` (second over first) with ``_low`` and ``_high``; infinite
            where the second law never reaches the loss. ``share`` of the draws in which both laws do.
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
        parts = []
        for row in rows if len(rows) == 1 else [rows[0], rows[-1]]:
            reach = f"the loss of {four(row['loss'])} that {self.labels[0]} has at {flop(row['train_flops'])} FLOP"
            if row["multiplier"] == float("inf"):
                parts.append(f"{self.labels[1]} never reaches {reach}")
                continue
            ends = [row["multiplier_low"], row["multiplier_high"]]
            words = interval_words(times(ends[0]), times(ends[1]), self.level)
            parts.append(f"{self.labels[1]} needs {times(row['multiplier'])} times the compute{words} for {reach}")
        return "; ".join(parts) + "."

    def chart(self) -> alt.Chart:
        """The multiplier against the budget, with its interval (Altair)."""
        from scalingdb import charts

        return charts.multiplier_chart(self.tidy())

    def __repr__(self) -> str:
        return f"<ComputeMultiplier: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = [f"FLOP by {self.labels[0]}", "loss", f"FLOP by {self.labels[1]}", "ratio"]
        rows = [
            [
                flop(row["train_flops"]),
                four(row["loss"]),
                flop(row["train_flops_b"]),
                times(row["multiplier"])
                + interval_words(times(row["multiplier_low"]), times(row["multiplier_high"]), self.level),
            ]
            for row in self._table.iter_rows(named=True)
        ]
        return (
            f"<p>{html.escape(self.sentence)}</p>{html_table(head, rows)}"
            f"<p>Intervals: {html.escape(self.interval)}.</p>"
        )


def compute_multiplier(
    a: str | Law | Fit,
    b: str | Law | Fit,
    *,
    train_flops: float | Sequence[float] | None = None,
    loss: float | Sequence[float] | None = None,
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
    train_flops : float or sequence of float
        Budgets of `a`; or
    loss : float or sequence of float
        the losses to reach.
    level, flops_convention, omega, pool, **given
        As for :func:`crossover`.

    Returns
    -------
    ComputeMultiplier

    Raises
    ------
    DataError
        If neither or both of `train_flops` and `loss` are given, or `a` never reaches a loss.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import compute_multiplier
    >>> compute_multiplier("chinchilla", "chinchilla", train_flops=1e22).tidy()["multiplier"].round(6).item()
    1.0
    """
    if (train_flops is None) == (loss is None):
        raise DataError("a multiplier is asked for at a budget or at a loss", "give train_flops=... or loss=...")
    refuse_unused(a, b, given)
    pair = pair_of(a, b, given, flops_convention, omega, pool=pool)
    asked = np.atleast_1d(np.asarray(train_flops if loss is None else loss, dtype=float))
    if not (np.isfinite(asked).all() and (asked > 0).all()):
        raise DataError(f"{'loss' if train_flops is None else 'train_flops'}={asked.tolist()} is not positive")

    budget, reached, needed = _estimates(pair, asked, at_loss=loss is not None)
    if np.isnan(budget * reached).any():
        where = asked[np.isnan(budget * reached)][0]
        raise DataError(f"{pair.a.label} has no plan for {where:.4g}", "take a loss above its floor.")
    low = high = share = np.full(asked.size, np.nan)
    if pair.has_interval and not pair.open_reason:
        values, reaches = _draws(pair, asked, at_loss=loss is not None)
        share = reaches.mean(axis=0)
        low, high = ends(values, level)
    ratio = np.where(np.isnan(needed), np.inf, needed / budget)
    table = pl.DataFrame(
        {
            "train_flops": budget,
            "loss": reached,
            "train_flops_b": np.where(np.isnan(needed), np.inf, needed),
            "multiplier": ratio,
            "multiplier_low": low,
            "multiplier_high": high,
            "share": share,
        }
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    interval = pair.open_reason or pair.interval
    return ComputeMultiplier((pair.a.label, pair.b.label), interval, level, table)


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
