"""`forecast`: the law that best predicted the rows' own past, and what it says of larger runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, Markup, html_table, interval, number, percent
from scalingdb.errors import DataError, FitWarning, ScalingDBError, check_level
from scalingdb.fits import Fit, as_frame, fit
from scalingdb.fits._law_error import farthest_axis, inner_holdouts, misses, own_scale
from scalingdb.fits._predict import checked
from scalingdb.law_library import Law, get_law

if TYPE_CHECKING:
    from pathlib import Path

    import altair as alt

__all__ = ["Forecast", "forecast"]

SURFACES = ("chinchilla", "chinchilla_coupled", "kaplan_lnd", "gadre_overtrain")
"""Laws that are tried where the targets have parameters and tokens."""

CURVES = ("power_offset", "power", "m3", "hestness_curve")
"""Laws that are tried where the targets have one input."""

SIZES = ("n_params", "n_params_non_embedding", "n_params_active")


@told
@dataclass(frozen=True, eq=False)
class Forecast:
    """What a law says of runs beyond the fitted rows. Made by :func:`forecast`.

    Attributes
    ----------
    fit : Fit
        Of the chosen law to all rows.
    level : float
        Coverage of the intervals.
    candidates : DataFrame
        One row per law, the chosen one first: ``law, n_free, n_inner`` (inner hold-outs), ``past_error`` (typical
        relative error of a prediction at twice the fitted scale, judged by them), ``error_fitted,
        verdict``, and ``problem`` where a law could not be used.
    """

    fit: Fit
    level: float
    candidates: pl.DataFrame
    _rows: pl.DataFrame = field(repr=False)

    @property
    def law(self) -> str:
        """Name of the chosen law."""
        return self.fit.law.name

    def tidy(self) -> pl.DataFrame:
        """One row per target: its columns, ``prediction, low, high, interval`` and ``distance``.

        The distance is how many times the target lies beyond the largest fitted row, along the direction in which it
        lies farthest out (``direction``: compute, tokens per parameter, or an input of the law).
        """
        return self._rows

    def glance(self) -> pl.DataFrame:
        """One row: the law, the rows behind it, how far the farthest target lies, and its relative half-width."""
        half = ((self._rows["high"] - self._rows["low"]) / 2 / self._rows["prediction"].abs()).max()
        return pl.DataFrame(
            {
                "law": [self.law],
                "n_rows": [self.fit.data.height],
                "n_laws": [self.candidates["problem"].null_count()],
                "n_targets": [self._rows.height],
                "n_inner": [int(self.candidates["n_inner"][0])],
                "largest_distance": [float(self._rows["distance"].max())],  # type: ignore[arg-type]
                "widest": [half],
                "level": [self.level],
                "verdict": [str(self.fit.verdict)],
                "data_sha256": [self.fit.recipe.data_sha256],
            },
            schema_overrides={"widest": pl.Float64},
        )

    def past(self) -> pl.DataFrame:
        """The law's misses on the rows' own past: one row per inner hold-out and fitted row beyond it.

        Returns
        -------
        DataFrame
            ``holdout, distance, relative_error`` (predicted over observed, minus 1).
        """
        error, log_distance, holdout = misses(self.fit._estimate, "scale")
        if self.fit.recipe.is_log:
            error = np.expm1(error)
        return pl.DataFrame({"holdout": holdout, "distance": np.exp(log_distance), "relative_error": error})

    def register(self, path: str | Path | None = None) -> Path:
        """Keep the forecast in a small file, before its outcome is known.

        The file (JSON) holds the hash of the rows, the recipe of the fit, predictions, intervals and the date.
        :func:`track_record` compares such files with outcomes.

        Parameters
        ----------
        path : str or Path, optional
            A folder; ``forecasts`` in the folder of the user's own sources by default (``$SCALINGDB_LOCAL``).

        Returns
        -------
        Path
            Of the file. The same forecast is kept once, under the date on which it was first registered.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        from scalingdb.forecasts._register import register

        return register(self, path)

    def chart(self) -> alt.HConcatChart:
        """The rows with the forecasts, and the law's past misses by distance (Altair)."""
        from scalingdb import charts

        output = self.fit.recipe.output
        scale = self._scale(self.fit.data)
        fitted = pl.DataFrame({"scale": scale, "value": self.fit.data[output].cast(pl.Float64)})
        targets = self._rows.select("prediction", "low", "high", "distance").with_columns(
            scale=pl.Series(self._scale(self._rows))
        )
        drawn = charts.forecast_chart(fitted, targets, self.past(), self.level, title=f"{self.law}: {output}")
        row = self._rows.sort("distance", descending=True).row(0, named=True)
        return charts.headed(
            drawn,
            f"{self.law} predicts {number(row['prediction'], 4)} ({interval(row['low'], row['high'], 4)}) "
            f"at {number(row['distance'], 3)} times the fitted range",
            f"{100 * self.level:g} % intervals; the law is judged {self._basis}.",
        )

    def _scale(self, frame: pl.DataFrame) -> Any:
        from scalingdb.fits._law_error import log_axes

        return np.exp(log_axes(self.fit.law, self.fit._arrays(frame))["scale"])

    @property
    def sentence(self) -> str:
        """The forecast of the farthest target as a person would say it."""
        row = self._rows.sort("distance", descending=True).row(0, named=True)
        return (
            f"{self.law} predicts {number(row['prediction'], 4)} ({interval(row['low'], row['high'], 4)}, "
            f"{100 * self.level:g} % interval) at {number(row['distance'], 3)} times the fitted range, "
            f"judged {self._basis}"
        )

    @property
    def _basis(self) -> str:
        """What the law was judged by, in words."""
        best = self.candidates.row(0, named=True)
        if best["n_inner"]:
            return f"by {best['n_inner']} fits of its smaller rows to its larger ones"
        return "by the misses of laws on published studies, as these rows allow no inner hold-out"

    def __repr__(self) -> str:
        return f"<Forecast: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = [*self.fit.recipe.columns.values(), "prediction", "interval", "times beyond", "interval allows for"]
        rows = [
            (
                *(row[column] for column in self.fit.recipe.columns.values()),
                row["prediction"],
                interval(row["low"], row["high"]),
                number(row["distance"], 3),
                row["interval"],
            )
            for row in self._rows.iter_rows(named=True)
        ]
        usable = self.candidates.filter(pl.col("problem").is_null())
        laws = [(row["law"], row["n_inner"], percent(row["past_error"])) for row in usable.iter_rows(named=True)]
        formula = Markup(self.fit.law.mathml) if self.fit.law.is_traceable else self.law
        return (
            f'<div class="scalingdb-forecast">{formula}{html_table(head, rows)}<p>{self.sentence}.</p>'
            + html_table(["law", "inner hold-outs", "past error at twice the scale"], laws)
            + "</div>"
        )


@told
def forecast(
    frame: pl.DataFrame | pl.LazyFrame,
    at: pl.DataFrame | Mapping[str, Any],
    laws: str | Law | Sequence[str | Law] | None = None,
    level: float = DEFAULT_LEVEL,
    **options: Any,
) -> Forecast:
    """Predict runs beyond the rows at hand, with an interval that allows for the law's own error.

    Every law is fitted to the small rows and judged on the larger ones, several times; the one with the smallest
    error (drawn towards what laws miss by on published studies, where hold-outs are few) predicts. A law that the
    rows do not identify predicts only where they identify none.

    One law predicts, not a mean of several. On 24 published surfaces a mean weighted by past misses had the smaller
    error (11.4 against 12.0 %, all distances), but intervals with the worse score (Winkler 0.69 against 0.63, 0.04 the
    error of the difference over sources); on 15 curves neither differed by more than noise (13.4 against 12.9 %, 1.05
    against 1.00). Choosing did beat always taking Chinchilla's law (12.7 %, 0.88). ``benchmarks/forecast_coverage.py``
    prints these figures.

    Parameters
    ----------
    frame : DataFrame
        As for :func:`fit`.
    at : DataFrame or mapping
        The runs to predict: one row each, or ``{"n_params": 7e9, "n_tokens": 2e12}``. Each must lie beyond the
        fitted range.
    laws : str, Law or sequence of these, optional
        Laws that come into question. By default, with parameters and tokens among the targets: ``chinchilla``,
        ``chinchilla_coupled``, ``kaplan_lnd`` and ``gadre_overtrain``; with one input: ``power_offset``, ``power``,
        ``m3`` and ``hestness_curve``.
    level : float
        Coverage of the intervals.
    **options
        As for :func:`fit`: ``inputs, output, objective, weights, pool`` ...

    Returns
    -------
    Forecast

    Raises
    ------
    DataError
        If there are no rows or no targets, a target lies within the fitted range, or no law takes a size that could
        be extrapolated.
    FitError
        If no law can be fitted.
    ScalingDBError
        Whatever :func:`fit` refuses, where one law is asked for.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> small = sdb.connect().points("epoch_chinchilla").filter(pl.col("train_flops_6nd") < 1e20)
    >>> told = sdb.forecast(small, {"n_params": 7e9, "n_tokens": 1.4e11}, laws="chinchilla")
    >>> told.tidy()["interval"].item()
    'law'
    """
    check_level(level)
    rows, targets = as_frame(frame), _targets(at)
    if rows.is_empty():
        raise DataError("the frame is empty: there is nothing to forecast from", "check the filters that led to it.")
    chosen = _laws(laws, targets)
    fits: dict[str, Fit] = {}
    problems: dict[str, ScalingDBError] = {}
    for law, inputs in chosen:
        try:
            with warnings.catch_warnings():  # each law's verdict stands in the table of candidates
                warnings.simplefilter("ignore", FitWarning)
                item = fit(rows, law, **{"inputs": inputs, **options})
            fits[law.name] = _usable(item, targets)
        except ScalingDBError as error:
            problems[law.name] = error
    if not fits and not problems:
        raise DataError("no law is given", "name one or several, or leave laws out for those of the library.")
    if not fits:
        raise next(iter(problems.values()))
    table = _candidates(fits, problems)
    best = fits[table["law"][0]]
    return Forecast(fit=best, level=level, candidates=table, _rows=_predicted(best, targets, level))


def _targets(at: pl.DataFrame | Mapping[str, Any]) -> pl.DataFrame:
    if isinstance(at, Mapping):
        try:
            columns = {str(name): np.atleast_1d(np.asarray(value, dtype=float)) for name, value in at.items()}
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"at={dict(at)!r:.60} holds what is no number: {error}") from error
        longest = max((values.size for values in columns.values()), default=0)
        for name, values in columns.items():
            if values.ndim > 1 or values.size not in {1, longest}:
                raise DataError(f"{name!r} has {values.size} values where another column has {longest}")
        table = pl.DataFrame({name: np.broadcast_to(values, longest).copy() for name, values in columns.items()})
    else:
        table = as_frame(at)
    if table.is_empty():
        raise DataError("there is no target to forecast", 'for example at={"n_params": 7e9, "n_tokens": 2e12}.')
    return table


def _laws(laws: str | Law | Sequence[str | Law] | None, targets: pl.DataFrame) -> list[tuple[Law, dict[str, str]]]:
    """Laws to try, with the columns for their inputs where these go by another name."""
    if laws is not None:
        return [(get_law(law), {}) for law in ([laws] if isinstance(laws, (str, Law)) else laws)]
    if "n_tokens" in targets.columns and any(name in targets.columns for name in SIZES):
        return [(get_law(law), {}) for law in SURFACES]
    if targets.width != 1:
        raise DataError(
            f"which laws take {', '.join(targets.columns)}?",
            'name them: laws=["..."]; without names, targets have n_params and n_tokens, or one column.',
        )
    column = targets.columns[0]
    return [(law, {law.inputs[0]: column}) for law in map(get_law, CURVES)]


def _usable(item: Fit, targets: pl.DataFrame) -> Fit:
    """The fit, if it can forecast these targets."""
    table = checked(item, targets)
    directions, which, _ = farthest_axis(item._problem, item._arrays(table))
    if ("scale", 1) not in directions:
        raise DataError(
            f"law {item.law.name!r} takes no size: {', '.join(item.law.inputs)} cannot be scaled up",
            "forecast with a law of parameters, tokens, examples or compute.",
        )
    inside = np.flatnonzero(which < 0)
    if inside.size:
        row = table.row(int(inside[0]), named=True)
        shown = ", ".join(f"{column}={row[column]:g}" for column in item.recipe.columns.values())
        raise DataError(
            f"{inside.size} of {table.height} targets lie within the fitted range, the first at {shown}",
            "a forecast goes beyond the rows; fit.predict(frame, level=0.95) has intervals within their range.",
        )
    return item


def _candidates(fits: Mapping[str, Fit], problems: Mapping[str, ScalingDBError]) -> pl.DataFrame:
    """One row per law, the smallest past error first; of equal ones, the law with fewer parameters.

    Laws that the rows do not identify come after the others: their predictions may have no interval at all.
    """
    rows: list[dict[str, Any]] = [
        {
            "law": name,
            "n_free": item._estimate.n_free,
            "n_inner": inner_holdouts(item._estimate).n,
            # at twice the scale, as a miss grows by 0.5 + ln(distance)
            "past_error": float(np.expm1(own_scale(item._estimate) * (0.5 + np.log(2.0)))),
            "error_fitted": float(item.glance()["mean_abs_rel_error"].item()),
            "verdict": str(item.verdict),
            "problem": None,
        }
        for name, item in fits.items()
    ]
    open_ended = {name for name, item in fits.items() if item.verdict.kind == "not_identified"}
    rows.sort(key=lambda row: (row["law"] in open_ended, float(f"{row['past_error']:.6g}"), row["n_free"]))
    rows += [{"law": name, "problem": str(error)} for name, error in problems.items()]
    schema = {"law": pl.String, "n_free": pl.Int64, "n_inner": pl.Int64, "past_error": pl.Float64}
    return pl.DataFrame(rows, schema={**schema, "error_fitted": pl.Float64, "verdict": pl.String, "problem": pl.String})


def _predicted(item: Fit, targets: pl.DataFrame, level: float) -> pl.DataFrame:
    directions, which, log_distance = farthest_axis(item._problem, item._arrays(targets))
    scale = "compute" if len(item.law.inputs) > 1 else next(iter(item.recipe.columns.values()))
    words = [
        f"{scale if axis == 'scale' else axis}, {'upward' if sign > 0 else 'downward'}" for axis, sign in directions
    ]
    return item.predict(targets, level).with_columns(
        distance=pl.Series(np.exp(log_distance)), direction=pl.Series([words[i] for i in which])
    )
