"""The result of a search: ranked laws, predictions with forecast intervals, and the sentences about them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.discovery import _predict, _tables
from scalingdb.discovery._cuts import Cut
from scalingdb.discovery._inputs import Table
from scalingdb.discovery._ranking import LISTED, Ranking
from scalingdb.discovery._search import Searched
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError
from scalingdb.fits import Fit, Fits, JointFit
from scalingdb.law_library import Law

if TYPE_CHECKING:
    import altair as alt

    from scalingdb.estimation.model import FloatArray

__all__ = ["Discovery"]


@told
@dataclass(frozen=True, eq=False)
class Discovery:
    """Laws ranked by what they missed on the larger rows. Made by :func:`discover`.

    Attributes
    ----------
    ranking : Ranking
        Order of the laws, how sure it is, and how many predict together.
    rng : int
        Seed.
    """

    ranking: Ranking
    _table: Table = field(repr=False)
    _whole: Table = field(repr=False)
    _cuts: tuple[Cut, ...] = field(repr=False)
    _searched: Searched = field(repr=False)
    _tested: pl.DataFrame | None = field(repr=False)
    rng: int = 0

    # ---- laws ----------------------------------------------------------------------------------

    @functools.cached_property
    def laws(self) -> tuple[Law, ...]:
        """The ranked laws, the leading one first: with LaTeX, derivatives and SQL, for ``sdb.fit`` and ``sdb.plan``."""
        return tuple(one.candidate.as_law(self._table) for one in self.ranking.order[:LISTED])

    @functools.cached_property
    def _ends(self) -> tuple[FloatArray, ...]:
        """Parameters (K,) of the listed laws and of the members, fitted to all rows of the table."""
        return _predict.ends_of(self)

    def params(self, rank: int = 1) -> pl.DataFrame:
        """Fitted parameters of a ranked law: one row per parameter and group.

        Parameters
        ----------
        rank : int
            From 1.

        Returns
        -------
        DataFrame
            Columns of `by`, ``param, value, meaning``.

        Raises
        ------
        DataError
            If there is no such rank.
        """
        return _tables.params(self, self._place(rank))

    def _place(self, rank: int) -> int:
        most = min(LISTED, len(self.ranking.order))
        if isinstance(rank, bool) or not isinstance(rank, (int, np.integer)) or not 1 <= rank <= most:
            raise DataError(f"rank={rank!r} is not a rank of this result", f"from 1 to {most}.")
        return int(rank) - 1

    def best_of_library(self) -> int | None:
        """Rank of the first law of the library; None where none takes these inputs, or none is listed."""
        return next((k + 1 for k, one in enumerate(self.ranking.order[:LISTED]) if one.is_library), None)

    @functools.cached_property
    def best(self) -> Fit | Fits | JointFit:
        """The leading law, fitted by :func:`sdb.fit <scalingdb.fit>` with all that this gives.

        With groups: a :class:`JointFit` where exponents are shared, :class:`Fits` where nothing is.
        """
        return self.fit(1)

    def fit(self, rank: int = 1) -> Fit | Fits | JointFit:
        """A ranked law, fitted by :func:`sdb.fit <scalingdb.fit>` from where the search ended.

        Parameters
        ----------
        rank : int
            From 1.

        Raises
        ------
        DataError
            If there is no such rank.
        FitError
            If the rows do not allow the fit.
        """
        return _predict.fitted(self, self._place(rank))

    # ---- tables --------------------------------------------------------------------------------

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """One row per law, the leading one first.

        Returns
        -------
        DataFrame
            ``rank, law, formula, origin`` (library or found), ``groups`` (what groups share; ``one`` where there are
            none), ``n_params``;
            ``held_out_error`` (error over ``0.5 + ln(distance)``, mean over the inner hold-outs, relative where all
            outputs are positive, else in units of the median output), ``score`` (the same times the price of the
            parameters: the order);
            ``error_x2, error_x8, error_beyond`` (root mean square error up to twice the fitted scale, up to eight
            times, beyond), ``error_fitted`` (of the fit to all rows);
            ``coverage`` (of the 95 % interval, each hold-out judged by the others), ``p_leads`` (share of the resamples
            in which the first law has the smaller error), ``verdict`` (whether the rows determine the parameters),
            ``test_error`` (on the rows of `holdout`, which the search has not seen; null without) and ``sentence``.
        """
        return _tables.ranked(self)

    def tidy(self) -> pl.DataFrame:
        """One row per law: :attr:`table`."""
        return self.table

    def glance(self) -> pl.DataFrame:
        """One row: the leading law, how sure it is, and what the search looked at.

        ``n_alike`` laws at the head cannot be told apart; ``n_averaged`` predict together, as this had the smaller
        error on nested hold-outs (``nested_error_alone``, ``nested_error_averaged``); ``optimism`` is the error of a
        winner on rows beyond its own hold-outs over its error on these.
        """
        return _tables.glance(self)

    def inner(self) -> pl.DataFrame:
        """Misses on the inner hold-outs: one row per listed law, hold-out and held-out row.

        Returns
        -------
        DataFrame
            ``law, rank, axis, holdout, distance, relative_error`` (plain errors, in units of the median output, where
            outputs may be zero or negative).
        """
        return _tables.inner(self)

    # ---- predictions ---------------------------------------------------------------------------

    def predict(
        self, frame: pl.DataFrame | pl.LazyFrame, level: float | None = DEFAULT_LEVEL, *, rank: int | None = None
    ) -> pl.DataFrame:
        """Add ``prediction`` and a forecast interval to other rows.

        The median of the leading laws predicts, where that was better on nested hold-outs; else the first.

        Parameters
        ----------
        frame : DataFrame
            With the columns of the inputs, and of `by`.
        level : float or None
            Coverage of the interval; None for none.
        rank : int, optional
            A single ranked law instead.

        Returns
        -------
        DataFrame
            The frame with ``prediction``, and ``low, high, distance`` (how many times a row lies beyond the rows of the
            search, along the axis in which it lies farthest out), and ``interval``: ``law`` (what the law missed by on
            hold-outs) or ``noise`` (a row within the range).

        Raises
        ------
        DataError
            For a level that is none, missing or impossible values.
        UnknownNameError
            For a missing column or an unknown group.
        """
        return _predict.predict_rows(self, frame, level, rank)

    def forecast(self, at: pl.DataFrame | Mapping[str, Any], level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Predict runs that do not exist yet: a table, or a mapping such as ``{"n_params": 7e9}``. See :meth:`predict`.

        Raises
        ------
        DataError
            As :meth:`predict`.
        UnknownNameError
            For a missing column or an unknown group.
        """
        if isinstance(at, Mapping):
            longest = max((np.size(value) for value in at.values()), default=0)
            at = pl.DataFrame(
                {name: list(value) if np.size(value) > 1 else [value] * longest for name, value in at.items()}
            )
        return self.predict(at, level)

    # ---- words ---------------------------------------------------------------------------------

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        return "; ".join(_tables.remarks(self))

    def __repr__(self) -> str:
        return f"<Discovery: {self.sentence}>"

    def __str__(self) -> str:
        lines = [self.sentence]
        lines += [
            f"{row['rank']:2d}. {row['law']}: {row['formula']}  [{row['sentence']}]"
            for row in self.table.head(5).iter_rows(named=True)
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return _tables.as_html(self)

    def chart(self) -> alt.LayerChart:
        """Held-out error of the leading laws against how far they had to reach (Altair)."""
        from scalingdb import charts

        shown = self.inner().filter(pl.col("axis") == self._cuts[0].axis, pl.col("rank") <= 5)
        drawn = charts.error_by_distance(shown.rename({"distance": "compute_ratio"}))
        return charts.headed_by_sentence(drawn, self.sentence)
