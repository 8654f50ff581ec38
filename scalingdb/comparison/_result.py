"""What a comparison returns: laws judged on the same held-out rows, and the words for it."""

from __future__ import annotations

import functools
import html
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from scalingdb.comparison import _bootstrap, _tables
from scalingdb.errors import DataError, unknown_name

if TYPE_CHECKING:
    import altair as alt

    from scalingdb.estimation.model import FloatArray
    from scalingdb.fits import Fit

__all__ = ["Comparison"]

MAX_SAID = 4
"""Laws that the sentence names, where there are more than one beyond."""

KINDS = ("errors", "laws", "distance", "predictions", "calibration")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several laws on the same rows, judged on the same held-out rows. Made by :func:`compare`.

    Attributes
    ----------
    fits : mapping of str to Fit
        By law; by ``(law, fold)`` where groups were left out in turn.
    held_out : DataFrame
        One row a law and held-out observation. ``law``; ``fold`` (the group left out, or the
        hold-out in words); ``row`` (its place in the frame); ``prediction, relative_error`` (a
        fraction), ``log_error`` (its logarithm); the 95 % prediction interval ``low, high``, and
        ``low_50, high_50, low_80, high_80``; ``log_score, crps, pit``; how far it lies beyond
        the fitted rows (``compute_ratio, n_ratio, d_ratio``: its value over the largest fitted one,
        where the frame has the column); and the columns of the frame.
    label : str
        The hold-out in words.
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

    def tidy(self, level: float = 0.95) -> pl.DataFrame:
        """One row a law, best first. Errors are fractions of the observed value.

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
        held = _tables.held_out_errors(self.held_out, self.output, self._size)
        table = self._fitted.join(held, on="law", how="left").join(self._intervals(level), on="law", how="left")
        if self._size is None:
            table = table.with_columns(error_largest=pl.lit(None, dtype=pl.Float64))
        named = table.with_columns(points_per_param=pl.col("n_fit") / pl.col("n_free"))
        order = pl.col("error_held_out").fill_nan(float("inf"))
        return named.select(_tables.COLUMNS).sort(order, nulls_last=True, maintain_order=True)

    def pairwise(self, level: float = 0.95, by: str | None = None) -> pl.DataFrame:
        """Every two laws on the same held-out rows: which is better, by how much, and whether that is noise.

        The mean errors of both are computed again on resamples of the held-out runs, drawn whole and
        the same for all laws; where :func:`compare` was given ``bootstrap=n``, each with a refit of
        both laws on one and the same resample of the training runs, so that the interval covers
        their noise too. Percentiles are widened for few runs; below five there is no interval for
        what other runs would say. With many laws some pair will differ by chance: one in twenty.

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
            One row a pair, the better law first: ``law_a, law_b, error_a, error_b``; ``difference``
            (error_b - error_a) with ``low, high``; ``ratio`` (error_b / error_a) with ``ratio_low,
            ratio_high``; ``share_a_better`` (of the resamples); ``n_runs`` (or groups) that were
            drawn from, ``resampled`` (what), ``is_noise`` (null where it cannot be told), ``verdict``.

        Raises
        ------
        UnknownNameError
            For a column that the held-out rows lack.
        """
        names = self.tidy()["law"].to_list()
        rows = [
            self._pair(first, second, level, by)
            for i, first in enumerate(names)
            for second in names[i + 1 :]
            if self._common(first, second).size
        ]
        return pl.DataFrame(rows, schema=_tables.PAIR_SCHEMA, orient="row")

    def calibration(self) -> pl.DataFrame:
        """How often the prediction intervals held what was observed.

        Returns
        -------
        DataFrame
            One row a law and level: ``law, level, coverage, low, high`` (Wilson's 95 % interval for
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
        found = _tables.held_out_errors(self.held_out, self.output, None, keys)
        return found.sort(column, "error_held_out", maintain_order=True)

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
        cuts = sorted(float(edge) for edge in edges)
        names = [
            f"up to x{cuts[0]:g}",
            *(f"x{a:g} to x{b:g}" for a, b in itertools.pairwise(cuts)),
            f"beyond x{cuts[-1]:g}",
        ]
        place = pl.sum_horizontal(*(pl.col(ratio).gt(edge).cast(pl.Int32) for edge in cuts))
        known = self.held_out.filter(pl.col(ratio).is_not_null()).with_columns(
            distance=place.replace_strict(dict(enumerate(names)), return_dtype=pl.Enum(names))
        )
        return _tables.held_out_errors(known, self.output, None, ["distance", "law"]).sort("distance", "error_held_out")

    # ---- words ---------------------------------------------------------------------------

    @functools.cached_property
    def sentence(self) -> str:
        """The result as a person would say it, and whether the difference is more than noise."""
        table = self.tidy()
        judged = table.filter(pl.col("error_held_out").is_finite())
        if judged.is_empty():
            return f"On {self.label}, no law could be judged: " + "; ".join(dict.fromkeys(self.errors.values())) + "."
        first = judged.row(0, named=True)
        error = _percent(first["error_held_out"])
        start = f"On {self.label} ({self._count(first['law'])}), {first['law']} is off by {error} on average"
        parts = []
        said = MAX_SAID if judged.height > MAX_SAID + 1 else judged.height
        for other in judged.head(said)["law"].to_list()[1:]:
            pair = self._pair(first["law"], other, 0.95, None)
            parts.append(f"{other} by {_percent(pair['error_b'])} ({_times(pair['ratio'])} as much{_certainty(pair)})")
        if judged.height > said:
            parts.append(f"{judged.height - said} other laws by {_percent(judged['error_held_out'][said])} or more")
        lost = [name for name in table["law"].to_list() if name not in judged["law"].to_list()]
        end = f" Not fitted: {', '.join(lost)}." if lost else ""
        return ", ".join([start, *parts]) + "." + end

    def chart(self, kind: str = "errors") -> alt.LayerChart | alt.VConcatChart:
        """A picture of the comparison (Altair).

        Parameters
        ----------
        kind : {"errors", "laws", "distance", "predictions", "calibration"}
            ``errors``: the signed error of every held-out run, a colour a law. ``laws``: mean error of
            every law on fitted and held-out rows, with its interval. ``distance``: error against the
            distance of extrapolation. ``predictions``: predicted against observed, with intervals.
            ``calibration``: how often intervals held what was observed, at every level.

        Raises
        ------
        UnknownNameError
            For another kind.
        """
        from scalingdb import charts

        if kind not in KINDS:
            raise unknown_name("kind", kind, KINDS, "(of chart)")
        if kind == "laws":
            return charts.law_errors(self.tidy())
        if kind == "calibration":
            return charts.calibration(self.held_out)
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
        head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape('' if cell is None else str(cell))}</td>" for cell in row) + "</tr>"
            for row in table.iter_rows()
        )
        return (
            f'<div class="scalingdb-comparison"><p>{html.escape(self.sentence)}</p>'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )

    # ---- internals -----------------------------------------------------------------------

    @functools.cached_property
    def _rows(self) -> dict[str, pl.DataFrame]:
        """Held-out rows of each law, in one order."""
        return {str(key[0]): rows.sort("row") for key, rows in self.held_out.group_by("law", maintain_order=True)}

    def _count(self, law: str) -> str:
        """Held-out rows of a law in words."""
        rows = self._rows[law]
        n_runs = rows["run_id"].n_unique() if "run_id" in rows.columns else rows.height
        runs = f"{n_runs} run{'s' if n_runs != 1 else ''}"
        return runs if n_runs == rows.height else f"{rows.height} rows of {runs}"

    def _common(self, *laws: str) -> FloatArray:
        """Rows that all of some laws predicted."""
        found = [self._rows[name]["row"].to_numpy() for name in laws if name in self._rows]
        if len(found) < len(laws):
            return np.empty(0)
        return functools.reduce(np.intersect1d, found)

    def _resampled(self, laws: Sequence[str], by: str | None = None) -> _bootstrap.Draws:
        """Mean errors of laws on the same resamples of the rows that all of them predicted."""
        rows = self._common(*laws)
        picked = [np.isin(self._rows[name]["row"].to_numpy(), rows) for name in laws]
        errors = np.array(
            [
                np.abs(self._rows[name]["relative_error"].to_numpy()[keep])
                for name, keep in zip(laws, picked, strict=True)
            ]
        )
        refits = None
        if all(name in self._refits for name in laws):
            refits = np.stack([self._refits[name][:, keep] for name, keep in zip(laws, picked, strict=True)])
        frame = self._rows[laws[0]].filter(picked[0])
        unit = by or self._unit(frame)
        if unit is None:
            return _bootstrap.resample(errors, np.arange(rows.size), "rows", self._rng, refits)
        clusters = frame[unit].rank("dense").cast(pl.Int64).to_numpy() - 1
        words = {"run_id": "runs", "fold": "groups"}.get(unit, f"values of {unit}")
        return _bootstrap.resample(errors, clusters, words, self._rng, refits)

    @staticmethod
    def _unit(frame: pl.DataFrame) -> str | None:
        if frame["fold"].n_unique() >= _bootstrap.FEWEST:
            return "fold"
        return "run_id" if "run_id" in frame.columns and frame["run_id"].null_count() == 0 else None

    def _intervals(self, level: float) -> pl.DataFrame:
        rows = []
        for name in self._rows:
            draws = self._resampled([name])
            low, high = (None, None)
            if draws.values.size and draws.widened:
                low, high = _bootstrap.ends(draws.values[0], level, draws.n_clusters, widened=True)
            rows.append({"law": name, "error_low": low, "error_high": high})
        schema = {"law": pl.String, "error_low": pl.Float64, "error_high": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _pair(self, first: str, second: str, level: float, by: str | None) -> dict[str, Any]:
        if by is not None and by not in self.held_out.columns:
            raise unknown_name("column", by, self.held_out.columns, "(of the held-out rows)")
        draws = self._resampled([first, second], by)
        error_a, error_b = draws.estimate
        row: dict[str, Any] = {
            "law_a": first,
            "law_b": second,
            "error_a": float(error_a),
            "error_b": float(error_b),
            "difference": float(error_b - error_a),
            "ratio": float(error_b / max(error_a, 1e-300)),
            "n_runs": draws.n_clusters,
            "resampled": draws.how,
        }
        if draws.values.size:
            a, b = draws.values
            ends = functools.partial(_bootstrap.ends, level=level, n_clusters=draws.n_clusters, widened=draws.widened)
            row["low"], row["high"] = ends(b - a)
            row["ratio_low"], row["ratio_high"] = ends(b / np.maximum(a, 1e-300))
            row["share_a_better"] = float((a < b).mean())
        if draws.widened:
            row["is_noise"] = row["low"] <= 0 <= row["high"]
            word = "a difference that could be noise" if row["is_noise"] else f"{first} is better: not noise"
        elif draws.values.size:
            share = f"{100 * row['share_a_better']:.0f} %"
            word = f"{first} is better on them in {share} of refits; {draws.n_clusters} runs are too few to say more"
        else:
            word = f"{draws.n_clusters} held-out run{'s are' if draws.n_clusters > 1 else ' is'} too few to tell"
        return {**dict.fromkeys(_tables.PAIR_SCHEMA), **row, "verdict": word}

    def __getstate__(self) -> dict[str, Any]:
        return {
            name: dict(v) if isinstance(v, Mapping) else v
            for name, v in self.__dict__.items()
            if name not in {"_rows", "sentence"}
        }


def _certainty(pair: Mapping[str, Any]) -> str:
    if pair["is_noise"] is None:
        return f"; {pair['n_runs']} run{'s are' if pair['n_runs'] > 1 else ' is'} too few to rule out chance"
    if pair["is_noise"]:
        return "; the difference could be noise"
    return f", 95 % interval {_times(pair['ratio_low'], '')} to {_times(pair['ratio_high'], '')}: not noise"


def _times(value: float, unit: str = " times") -> str:
    return (f"{value:.1f}" if value < 100 else f"{value:.3g}") + unit


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"
