"""The result of a search: ranked laws, predictions with forecast intervals, and the sentences about them."""

from __future__ import annotations

import functools
import html
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.discovery._candidates import Candidate, Judged, with_rows
from scalingdb.discovery._cuts import Cut
from scalingdb.discovery._grammar import readable, write
from scalingdb.discovery._inputs import Table
from scalingdb.discovery._intervals import coverage_of, distances, holdouts_of, interval_ends
from scalingdb.discovery._ranking import LISTED, Ranking, combined, held_out_by_distance
from scalingdb.discovery._search import Searched
from scalingdb.discovery._solve import Rows, minimise, natural, normal_matrix, predict
from scalingdb.display import DEFAULT_LEVEL, Markup, html_table, number, percent
from scalingdb.errors import DataError, FitWarning, check_level
from scalingdb.fits import Fit, Fits, JointFit, as_frame, fit, fit_by
from scalingdb.law_library import Law

if TYPE_CHECKING:
    import altair as alt

    from scalingdb.estimation.model import FloatArray

__all__ = ["Discovery"]

LEAST_SEPARATION = 1e-12
"""Smallest eigenvalue of the scaled normal matrix, over the largest, at which parameters count as determined."""


@dataclass(frozen=True)
class _Ends:
    """Starts of a law that was found: where the search ended, and places around it."""

    theta: tuple[float, ...]

    def __call__(self, inputs: Any, y: FloatArray, weights: FloatArray) -> FloatArray:
        centre = np.array(self.theta)
        moved = centre * np.exp(0.1 * np.random.default_rng(0).standard_normal((8, centre.size)))
        return np.concatenate([centre[None], moved])


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
        count = max(LISTED, max(self.ranking.members) + 1)
        if self._whole.y.size == self._table.y.size:
            return tuple(one.u for one in self.ranking.order[:count])
        rows = with_rows(self._whole, self._searched.rows.delta)
        weights = np.ones((1, rows.y.size))
        return tuple(
            minimise(
                one.candidate.function,
                one.candidate.specs,
                one.candidate.layout(len(self._table.groups)),
                one.u[None],
                rows,
                weights,
            )[0][0]
            for one in self.ranking.order[:count]
        )

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
        place = self._place(rank)
        candidate = self.ranking.order[place].candidate
        theta = natural(candidate.specs, self._ends[place][candidate.layout(len(self._table.groups)).table])
        rows = [
            {**dict(zip(self._table.by, key, strict=True)), "param": spec.name, "value": value, "meaning": spec.meaning}
            for key, values in zip(self._table.groups, theta, strict=True)
            for spec, value in zip(candidate.specs, values, strict=True)
        ]
        return pl.DataFrame(rows)

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
        place = self._place(rank)
        candidate, law = self.ranking.order[place].candidate, self.laws[place]
        n_groups = len(self._table.groups)
        theta = natural(candidate.specs, self._ends[place][candidate.layout(n_groups).table])
        if not self.ranking.order[place].is_library:
            law = replace(law, starts=_Ends(tuple(float(value) for value in np.median(theta, axis=0))))
        options: dict[str, Any] = {"output": self._table.output, "pool": True}
        options["objective"] = "huber_log" if self._table.is_log else "huber"
        options["delta"] = self._searched.rows.delta * self._table.unit
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)
            if n_groups == 1 or candidate.mode == "one":
                alone: Fit = fit(self._whole.frame, law, **options)
                return alone
            if candidate.mode == "own":
                return fit_by(self._whole.frame, law, by=list(self._table.by), on_error="record", **options)
            shared = [spec.name for spec in candidate.specs if not spec.linear]
            joint: JointFit = fit(self._whole.frame, law, by=list(self._table.by), shared=shared, **options)
            return joint

    # ---- tables --------------------------------------------------------------------------------

    @functools.cached_property
    def table(self) -> pl.DataFrame:
        """One row per law, the leading one first.

        Columns
        -------
        rank, law, formula
        origin : ``library`` or ``found``.
        groups : what groups share (``one`` where there are none).
        n_params
        held_out_error : error over ``0.5 + ln(distance)``, mean over the inner hold-outs (relative where all outputs
            are positive, else in units of the median output).
        score : the same times the price of the parameters: the order.
        error_x2, error_x8, error_beyond : root mean square error up to twice the fitted scale, up to eight times,
            beyond.
        error_fitted : root mean square of the fit to all rows.
        coverage : of the 95 % interval, each hold-out judged by the others.
        p_leads : share of the resamples in which the first law has the smaller error.
        verdict : whether the rows determine the parameters.
        test_error : root mean square error on the rows of `holdout`, which the search has not seen; null without.
        sentence
        """
        rows = [self._row(place) for place in range(min(LISTED, len(self.ranking.order)))]
        schema = {"test_error": pl.Float64, "error_x2": pl.Float64, "error_x8": pl.Float64, "error_beyond": pl.Float64}
        table = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
        return table.with_columns(pl.col(*schema).fill_nan(None))

    def tidy(self) -> pl.DataFrame:
        """One row per law: :attr:`table`."""
        return self.table

    def _row(self, place: int) -> dict[str, Any]:
        from scalingdb.discovery._candidates import score_of

        one = self.ranking.order[place]
        scatter = _scatter(one.residual, one.n_params)
        far = held_out_by_distance(one, self._cuts)
        test = self._test_error(place) if self._tested is not None else None
        plain = one.score if one.n_params == 0 else score_of(one.error, self._cuts, 0)
        return {
            "rank": place + 1,
            "law": self.laws[place].name,
            "formula": self._formula(one.candidate),
            "origin": "library" if one.is_library else "found",
            "groups": one.candidate.mode,
            "n_params": one.n_params,
            "held_out_error": plain,
            "score": one.score,
            "error_x2": far["x2"],
            "error_x8": far["x8"],
            "error_beyond": far["beyond"],
            "error_fitted": float(np.sqrt(np.mean(one.residual**2))),
            "coverage": coverage_of(
                one.error, self._cuts, scatter, one.n_params, len(self._table.inputs), DEFAULT_LEVEL
            ),
            "p_leads": self.ranking.better[place],
            "verdict": self._verdict(one),
            "test_error": test,
            "sentence": self._sentence(place),
        }

    def _formula(self, candidate: Candidate) -> str:
        if candidate.form is not None:
            return readable(write(candidate.form, self._table), self._table.inputs)
        return candidate.text

    def _verdict(self, one: Judged) -> str:
        candidate = one.candidate
        layout = candidate.layout(len(self._table.groups))
        matrix = normal_matrix(candidate.function, candidate.specs, layout, one.u, self._searched.rows)
        size = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
        scaled = matrix / size[:, None] / size[None, :]
        values = np.linalg.eigvalsh(scaled) if np.isfinite(scaled).all() else np.array([0.0, 1.0])
        if (np.diag(matrix) <= 1e-300).any() or values[0] < LEAST_SEPARATION * values[-1]:
            return "not identified: the rows do not determine every parameter"
        return "identified"

    def _sentence(self, place: int) -> str:
        order = self.ranking.order
        one, first = order[place], order[0]
        if place == 0:
            if len(order) == 1:
                return "the only law that could be fitted to these rows and their hold-outs"
            others = next((k for k, other in enumerate(order) if other.is_library and k), None)
            if one.is_library:
                rival = next((k for k, other in enumerate(order) if not other.is_library), None)
                if rival is None:
                    return "the law of the library with the smallest held-out error"
                if order[rival].score < one.score:
                    return (
                        "of the library, and no form that was found is better by more than the held-out rows can tell"
                    )
                return "the smallest held-out error of all, and of the library"
            if others is None:
                return "the smallest held-out error of all; no law of the library takes these inputs"
            return (
                f"better than {self.laws[others].name if others < LISTED else 'the best law of the library'} in "
                f"{100 * self.ranking.better[others]:.0f} % of the resamples of held-out rows"
            )
        if place < self.ranking.n_alike:
            return (
                f"cannot be told apart from the first: that has the smaller error in "
                f"{100 * self.ranking.better[place]:.0f} % of the resamples"
            )
        if one.score < first.score:
            return "smaller held-out error, but not surely: the law of the library comes first"
        ratio = one.score / max(first.score, 1e-12)
        return (
            f"{ratio:.3g} times the first one's score; that has the smaller error in "
            f"{100 * self.ranking.better[place]:.0f} % of the resamples"
        )

    def glance(self) -> pl.DataFrame:
        """One row: the leading law, how sure it is, and what the search looked at.

        ``n_alike`` laws at the head cannot be told apart; ``n_averaged`` predict together, as this had the smaller
        error on nested hold-outs (``nested_error_alone``, ``nested_error_averaged``); ``optimism`` is the error of a
        winner on rows beyond its own hold-outs over its error on these.
        """
        gains, size = self.ranking.gains, len(self.ranking.members)
        first = self.ranking.order[0]
        return pl.DataFrame(
            {
                "law": [self.laws[0].name],
                "origin": ["library" if first.is_library else "found"],
                "n_rows": [self._whole.y.size],
                "n_params": [first.n_params],
                "score": [first.score],
                "n_alike": [self.ranking.n_alike],
                "n_averaged": [size],
                "optimism": [self.ranking.optimism],
                "n_nested": [self.ranking.n_nested],
                "nested_error_alone": [gains.get(1)],
                "nested_error_averaged": [gains.get(self.ranking.size)],
                "n_inner": [len(self._cuts)],
                "n_judged": [len(self._searched.judged)],
                "n_screened": [self._searched.n_screened],
                "evaluations": [self._searched.budget.used],
                "is_complete": [not self._searched.budget.is_late],
                "test_error": [self._test_error(None) if self._tested is not None else None],
            },
            schema_overrides=dict.fromkeys(("nested_error_alone", "nested_error_averaged", "test_error"), pl.Float64),
        )

    def inner(self) -> pl.DataFrame:
        """Misses on the inner hold-outs: one row per listed law, hold-out and held-out row.

        Returns
        -------
        DataFrame
            ``law, rank, axis, holdout, distance, relative_error`` (plain errors, in units of the median output, where
            outputs may be zero or negative).
        """
        parts = []
        for place, law in enumerate(self.laws):
            one = self.ranking.order[place]
            for place_of_cut, cut in enumerate(self._cuts):
                error = one.error[place_of_cut, cut.test]
                parts.append(
                    pl.DataFrame(
                        {
                            "distance": np.exp(cut.log_distance[cut.test]),
                            "relative_error": np.expm1(error) if self._table.is_log else error,
                        }
                    ).select(
                        pl.lit(law.name).alias("law"),
                        pl.lit(place + 1).alias("rank"),
                        pl.lit(cut.axis).alias("axis"),
                        pl.lit(place_of_cut + 1).alias("holdout"),
                        pl.all(),
                    )
                )
        return pl.concat(parts)

    # ---- predictions ---------------------------------------------------------------------------

    def _at(self, place: int, rows: Rows) -> FloatArray:
        candidate = self.ranking.order[place].candidate
        layout = candidate.layout(len(self._table.groups))
        return np.asarray(predict(candidate.function, candidate.specs, layout, self._ends[place][None], rows)[0])

    def _rows_of(self, frame: pl.DataFrame) -> Rows:
        x = tuple(self._table.arrays(frame))
        logs = tuple(one.log(values) for one, values in zip(self._table.inputs, x, strict=True))
        group = self._table.group_of(frame)
        like = self._searched.rows
        return Rows(x, logs, np.ones(frame.height), group, like.is_log, like.unit, like.delta)

    def _predicted(self, rows: Rows, place: int | None) -> FloatArray:
        members = self.ranking.members if place is None else (place,)
        return np.asarray(np.median([self._at(k, rows) for k in members], axis=0))

    def _test_error(self, place: int | None) -> float:
        assert self._tested is not None
        rows = self._rows_of(self._tested)
        observed = self._tested[self._table.output].cast(pl.Float64).to_numpy()
        value = self._predicted(rows, place)
        with np.errstate(all="ignore"):
            error = np.log(value / observed) if rows.is_log else (value - observed) / rows.unit
        return float(np.sqrt(np.mean(np.minimum(np.nan_to_num(np.abs(error), nan=5.0), 5.0) ** 2)))

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
        table = as_frame(frame)
        place = None if rank is None else self._place(rank)
        if level is not None:
            check_level(level)
        rows = self._rows_of(table)
        value = self._predicted(rows, place)
        made = table.with_columns(prediction=pl.Series(value, dtype=pl.Float64))
        if level is None:
            return made
        members = self.ranking.members if place is None else (place,)
        chosen = [self.ranking.order[k] for k in members]
        own = holdouts_of(combined([one.error for one in chosen]), self._cuts, self._table.y.size)
        residual = np.median([one.residual for one in chosen], axis=0)
        n_params = int(np.median([one.n_params for one in chosen]))
        far, _ = distances(self._table, rows.x, rows.group.astype(float))
        below, above = interval_ends(
            own,
            _scatter(residual, n_params),
            n_params,
            residual.size,
            far,
            len(self._table.inputs),
            self.ranking.optimism,
            level,
        )
        with np.errstate(all="ignore"):
            if rows.is_log:
                low, high = value * np.exp(below), value * np.exp(above)
            else:
                low, high = value + rows.unit * below, value + rows.unit * above
        return made.with_columns(
            low=pl.Series(low, dtype=pl.Float64),
            high=pl.Series(high, dtype=pl.Float64),
            distance=pl.Series(np.exp(np.maximum(far, 0.0)), dtype=pl.Float64),
            interval=pl.Series(np.where(far > 1e-9, "law", "noise").tolist(), dtype=pl.String),
        )

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
        first = self.ranking.order[0]
        what = "of the library" if first.is_library else "found"
        unit = "" if self._table.is_log else " of a typical output"
        text = f"{self.laws[0].name} ({what}, {first.n_params} parameters) leads {len(self._searched.judged)} laws: "
        text += f"held-out error {percent(score_plain(first, self._cuts))}{unit} over 0.5 + ln(distance)"
        if self.ranking.n_alike > 1:
            text += f"; the first {self.ranking.n_alike} cannot be told apart: not enough data to choose between them"
        if self.ranking.n_nested:
            text += f"; beyond its hold-outs a winner missed {self.ranking.optimism:.2g} times what it missed on them"
        if len(self.ranking.members) > 1:
            text += f"; the median of {len(self.ranking.members)} laws predicts"
        if self._searched.budget.is_late:
            text += "; the clock ran out before the search was done"
        return text

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
        head = [
            "",
            "law",
            "formula",
            "parameters",
            "held-out error",
            "up to x2",
            "up to x8",
            "beyond",
            "coverage",
            "why",
        ]
        rows = [
            (
                row["rank"],
                row["law"],
                Markup(f"<code>{html.escape(row['formula'])}</code>"),
                row["n_params"],
                percent(row["held_out_error"]),
                percent(row["error_x2"]),
                percent(row["error_x8"]),
                percent(row["error_beyond"]),
                number(row["coverage"], 2),
                row["sentence"],
            )
            for row in self.table.iter_rows(named=True)
        ]
        return f'<div class="scalingdb-discovery"><p>{html.escape(self.sentence)}.</p>{html_table(head, rows)}</div>'

    def chart(self) -> alt.LayerChart:
        """Held-out error of the leading laws against how far they had to reach (Altair)."""
        from scalingdb import charts

        shown = self.inner().filter(pl.col("axis") == self._cuts[0].axis, pl.col("rank") <= 5)
        finding, *rest = self.sentence.split("; ")
        return charts.headed(
            charts.error_by_distance(shown.rename({"distance": "compute_ratio"})), finding, "; ".join(rest)
        )


def score_plain(one: Judged, cuts: tuple[Cut, ...]) -> float:
    """Held-out error without the price of the parameters."""
    from scalingdb.discovery._candidates import score_of

    return score_of(one.error, cuts, 0)


def _scatter(residual: FloatArray, n_params: int) -> float:
    left = max(residual.size - n_params, 1)
    return float(np.sqrt(np.square(residual).sum() / left))
