"""What a comparison returns: laws judged on the same held-out rows. A table of contents over functions."""

from __future__ import annotations

import functools
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from scalingdb._arguments import told
from scalingdb.comparison import _pairs, _tables, _words
from scalingdb.display import DEFAULT_LEVEL, html_table, percent
from scalingdb.errors import DataError, check_level, check_word, unknown_name

if TYPE_CHECKING:
    import altair as alt

    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits import Fit

__all__ = ["Comparison"]

KINDS = ("errors", "laws", "distance", "predictions", "calibration")


@told
@dataclass(frozen=True, eq=False)
class Comparison:
    """Several laws on the same rows, judged on the same held-out rows. Made by :func:`compare`.

    Attributes
    ----------
    fits : mapping of str to Fit
        By law; by ``(law, fold)`` where groups were left out in turn.
    held_out : DataFrame
        One row per law and held-out observation. ``law``; ``fold`` (the group left out, or the
        hold-out in words); ``row`` (its place in the frame); ``prediction, relative_error`` (a
        fraction), ``log_error`` (its logarithm); the 95 % prediction interval ``low, high``, and
        ``low_50, high_50, low_80, high_80``; ``log_score, crps, pit``; how far it lies beyond
        the fitted rows (``compute_ratio, n_ratio, d_ratio``: its value over the largest fitted one,
        where the frame has the column); and the columns of the frame.
    label : str
        The hold-out in words.
    output : str
        Column of the observed values.
    errors : mapping of (law, fold) to str
        Laws that could not be fitted (only with ``on_error="record"``).
    """

    fits: Mapping[Any, Fit]
    held_out: pl.DataFrame
    label: str
    output: str = field(repr=False)
    errors: Mapping[tuple[str, str], str] = field(default_factory=dict)
    _fitted: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)
    _refits: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)
    _size: str | None = field(default=None, repr=False)
    _rng: int = field(default=0, repr=False)

    # ---- tables --------------------------------------------------------------------------

    def glance(self) -> pl.DataFrame:
        """One row for the whole comparison.

        Returns
        -------
        DataFrame
            ``holdout`` (in words), ``n_laws, n_judged`` (laws with a held-out error), ``n_rows, n_runs`` (held out;
            ``n_runs`` is null without a ``run_id``), ``best, error`` (of the best law), ``runner_up, ratio``
            (its error over the best law's) and ``is_noise`` of the difference between the two.
        """
        return _tables.glance(self.tidy(), self.pairwise(), self.held_out, self.label)

    def augment(self) -> pl.DataFrame:
        """One row per law and held-out observation: :attr:`held_out`."""
        return self.held_out

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per law, best first. Errors are fractions of the observed value.

        Parameters
        ----------
        level : float
            Coverage of the interval of the held-out error.

        Returns
        -------
        DataFrame
            * ``law, n_free, n_fit, n_held_out, points_per_param`` (fitted rows per free parameter);
            * on the fitted rows: ``error_fit, median_error_fit, max_error_fit`` (absolute, relative),
              ``bias_fit`` (signed), ``rmse_log_fit``;
            * the same on the held-out rows, ``error_low, error_high`` (interval of the mean, see
              :meth:`pairwise`), and ``error_largest`` on the largest model among them;
            * ``log_score`` (higher is better) and ``crps`` (lower is better), means over the held-out
              rows; ``coverage_50, coverage_80, coverage``: the share of them inside the 50, 80 and
              95 % prediction interval; ``interval_width`` of the last, relative;
            * ``aicc, bic`` of the fit (see :meth:`Fit.information`: they compare laws under one
              objective and on the same rows), ``objective, verdict``, and how the prediction
              interval was made (``interval``).

            Where groups were left out in turn, ``n_fit`` is the least of the fits, ``objective``,
            ``aicc`` and ``bic`` are their means. A law that could not be fitted has a verdict and
            nothing else.
        """
        check_level(level)
        held = _tables.held_out_errors(self.held_out, self.output, self._size)
        table = self._fitted.join(held, on="law", how="left").join(
            _pairs.error_intervals(self._judged, level), on="law", how="left"
        )
        if self._size is None:
            table = table.with_columns(error_largest=pl.lit(None, dtype=pl.Float64))
        named = table.with_columns(points_per_param=pl.col("n_fit") / pl.col("n_free"))
        order = pl.col("error_held_out").fill_nan(float("inf"))
        return named.select(_tables.COLUMNS).sort(order, nulls_last=True, maintain_order=True)

    def pairwise(self, level: float = DEFAULT_LEVEL, by: str | None = None) -> pl.DataFrame:
        """Every two laws on the same held-out rows: which is better, by how much, and whether that is noise.

        The mean errors of both are computed again on resamples of the held-out runs, drawn whole and
        the same for all laws, each with a refit of both laws on one and the same resample of the
        training runs (unless :func:`compare` was given ``bootstrap=0``). Intervals are wider where few
        runs were held out; below five there is none for what other runs would say. With many laws
        some pair will differ by chance: one in twenty.

        Parameters
        ----------
        level : float
            Coverage of the intervals.
        by : str, optional
            Column whose groups are drawn together: ``"n"`` draws model sizes. The default is the
            run (``run_id``); the group, where five or more were left out in turn.

        Returns
        -------
        DataFrame
            One row per pair, the better law first: ``law_a, law_b, error_a, error_b``; ``difference``
            (error_b - error_a) with ``low, high``; ``ratio`` (error_b / error_a) with ``ratio_low,
            ratio_high``; ``share_a_better`` (of the resamples); ``n_runs`` (or groups) that were
            drawn from, ``resampled`` (what), ``is_noise`` (null where it cannot be told), ``verdict``.

        Raises
        ------
        UnknownNameError
            For a column that the held-out rows lack.
        """
        check_level(level)
        if by is not None and by not in self.held_out.columns:
            raise unknown_name("column", by, self.held_out.columns, "(of the held-out rows)")
        return _pairs.pairs(self._judged, self.tidy()["law"].to_list(), level, by)

    def calibration(self) -> pl.DataFrame:
        """How often the prediction intervals held what was observed.

        Returns
        -------
        DataFrame
            One row per law and level: ``law, level, coverage, low, high`` (Wilson's 95 % interval for
            that share, as if rows were independent), ``n``, ``mean_width`` (relative to the
            prediction). Laws without an interval are left out.
        """
        return _tables.calibration(self.held_out, self.output)

    def by(self, column: str) -> pl.DataFrame:
        """Held-out errors of every law by group: by the ``fold`` left out, or any column of the rows.

        Returns
        -------
        DataFrame
            `column`, ``law``, ``n_held_out`` and the errors of :meth:`tidy`.

        Raises
        ------
        UnknownNameError
            For a column that the held-out rows lack.
        """
        if column not in self.held_out.columns:
            raise unknown_name("column", column, self.held_out.columns, "(of the held-out rows)")
        keys = [column, "law"] if column != "law" else ["law"]
        errors = _tables.held_out_errors(self.held_out, self.output, None, keys)
        return errors.sort(column, "error_held_out", maintain_order=True)

    def by_distance(
        self,
        ratio: Literal["compute_ratio", "n_ratio", "d_ratio"] = "compute_ratio",
        edges: Sequence[float] = (1, 2, 5, 10, 30),
    ) -> pl.DataFrame:
        """Held-out errors of every law by how far the rows lie beyond the largest fitted one.

        Parameters
        ----------
        ratio : str
            Distance in compute, N or D.
        edges : sequence of float
            Where one class ends and the next begins.

        Returns
        -------
        DataFrame
            ``distance`` (in words, an ordered Enum), ``law``, ``n_held_out`` and the errors of :meth:`tidy`.

        Raises
        ------
        DataError
            If the frame has no such column.
        """
        if ratio not in self.held_out.columns:
            raise DataError(
                f"the held-out rows have no {ratio!r}: the frame lacks the column behind it",
                "distance in compute takes train_flops_6nd or train_flops, in N n or n_params, in D n_tokens.",
            )
        return _tables.errors_by_distance(self.held_out, self.output, ratio, edges)

    # ---- words ---------------------------------------------------------------------------

    @functools.cached_property
    def sentence(self) -> str:
        """The result as a person would say it, and whether the difference is more than noise."""
        return _words.sentence(self.tidy(), self._judged, self.label, self.errors.values())

    def chart(self, kind: str = "errors") -> alt.LayerChart | alt.VConcatChart:
        """A picture of the comparison (Altair).

        Parameters
        ----------
        kind : {"errors", "laws", "distance", "predictions", "calibration"}
            ``errors``: the signed error of every held-out run, a colour per law. ``laws``: mean error of
            every law on fitted and held-out rows, with its interval. ``distance``: error against the
            distance of extrapolation. ``predictions``: predicted against observed, with intervals.
            ``calibration``: how often intervals held what was observed, at every level.

        Raises
        ------
        UnknownNameError
            For another kind.
        """
        from scalingdb import charts

        check_word(kind, KINDS, "chart")
        if kind == "calibration":
            return charts.headed(charts.calibration(self.held_out), self._calibration_sentence(), f"On {self.label}.")
        finding, end, rest = self.sentence.partition(" on average")
        return charts.headed(self._drawn(kind), finding + end, rest.lstrip(",. "))

    def _calibration_sentence(self) -> str:
        """How many held-out values the 90 % intervals of the laws hold, at the least and at the most."""
        inside = ((pl.col("pit") - 0.5).abs() <= 0.45).mean()
        known = self.held_out.filter(pl.col("pit").is_finite())
        shares = known.group_by("law", maintain_order=True).agg(held=inside).sort("held")
        (law, share), *others = shares.iter_rows()
        text = f"The 90 % intervals of {law} hold {percent(share)} of the held-out rows"
        return f"{text}, those of {others[-1][0]} {percent(others[-1][1])}" if others else text

    def _drawn(self, kind: str) -> alt.LayerChart | alt.VConcatChart:
        from scalingdb import charts

        if kind == "laws":
            return charts.law_errors(self.tidy())
        if kind == "predictions":
            return charts.held_out_predictions(self.held_out, self.output)
        if kind == "distance":
            ratios = [name for name in _tables.RATIOS if name in self.held_out.columns]
            if not ratios:
                raise DataError("the held-out rows have no distance to the fitted ones", 'draw chart("errors").')
            return charts.error_by_distance(self.held_out, ratios[0])
        known = [
            name for name in _tables.SCALES if name in self.held_out.columns and not self.held_out[name].is_null().all()
        ]
        inputs = [column for fit in self.fits.values() for column in fit.recipe.columns.values()]
        return charts.held_out_errors(self.held_out, [*known, *inputs][0])

    def __repr__(self) -> str:
        names = self._fitted["law"].to_list()
        return f"<Comparison of {', '.join(names)}: {self.sentence}>"

    def _repr_html_(self) -> str:
        table = _tables.readable(self.tidy())
        return (
            f'<div class="scalingdb-comparison"><p>{html.escape(self.sentence)}</p>'
            f"{html_table(table.columns, table.iter_rows())}</div>"
        )

    @functools.cached_property
    def _judged(self) -> _pairs.Judged:
        by_law = {str(key[0]): rows.sort("row") for key, rows in self.held_out.group_by("law", maintain_order=True)}
        return _pairs.Judged(by_law, self._refits, self._rng)

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: dict(v) if isinstance(v, Mapping) else v
            for name, v in self.__dict__.items()
            if name not in {"_judged", "sentence"}
        }
