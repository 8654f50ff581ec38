"""Scores of models not yet trained: in two steps through a loss, or in one.

Two steps: a loss law predicts the loss of a task from size and tokens, a link turns the loss into a
score (arXiv:2412.04403, arXiv:2403.08540). One step: a law of the score itself. Both carry the
uncertainty of every part into the interval, and say which part the error comes from.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    canonical,
    check_scores,
    compute_column,
    finite,
    label_rows,
    need_columns,
    result_table,
)
from scalingdb.downstream._refits import Curve, Refits, prediction_interval
from scalingdb.downstream.links import Link, fit_link
from scalingdb.errors import DataError, FitWarning, check_level, unknown_name
from scalingdb.estimation.objectives import OBJECTIVES, ObjectiveName
from scalingdb.fits import Fit, fit

__all__ = ["OneStep", "TwoStep", "checkpoint_pairs", "final_values", "one_step", "two_step"]


def final_values(
    frame: pl.DataFrame,
    columns: str | Sequence[str],
    *,
    last: int = 5,
    by: str | Sequence[str] = ("run_id",),
    order: str = "n_tokens",
) -> pl.DataFrame:
    """One row per run: the mean of its last few evaluations, and everything else as at the last.

    Parameters
    ----------
    frame : DataFrame
        Checkpoints.
    columns : str or sequence of str
        What is averaged.
    last : int
        Evaluations that are averaged; fewer where a run has fewer. The OLMo ladder takes five.
    by, order : str
        What makes a run, and what orders its rows (rows that tie are ordered by their other columns).
    """
    table = as_frame(frame)
    values = [columns] if isinstance(columns, str) else list(columns)
    keys = [by] if isinstance(by, str) else list(by)
    need_columns(table, [*keys, *values, order], "the final value of a run", "name the columns of your frame.")
    others = [c for c in table.columns if c not in {*values, *keys}]
    return (
        canonical(table, [*keys, order])
        .group_by(keys, maintain_order=True)
        .agg(*(pl.col(c).last() for c in others), *(pl.col(c).tail(last).mean() for c in values))
        .select(table.columns)
    )


def checkpoint_pairs(
    frame: pl.DataFrame,
    columns: Sequence[str] = ("task_loss", "score"),
    *,
    skip: float = 0.1,
    window: int = 5,
    order: str = "n_tokens",
) -> pl.DataFrame:
    """Checkpoints as the OLMo ladder feeds them to its second step: start skipped, trailing mean.

    Parameters
    ----------
    frame : DataFrame
        ``run_id``, `order` and `columns`.
    skip : float
        Share of each run's evaluations that is left out at its beginning.
    window : int
        Evaluations in the trailing mean; fewer at the beginning of what is left.
    """
    table = as_frame(frame)
    need_columns(table, ["run_id", order, *columns], "the pairs of loss and score", "name the columns of your frame.")
    table = canonical(table, ["run_id", order])
    number, total = pl.int_range(pl.len()).over("run_id"), pl.len().over("run_id")
    kept = table.filter(number >= (skip * total).ceil())
    return kept.with_columns(
        pl.col(name).rolling_mean(window, min_samples=1).over("run_id", mapping_strategy="group_to_rows")
        for name in columns
    )


# ---- two steps -----------------------------------------------------------------------------------


@told
@dataclass(frozen=True, eq=False)
class TwoStep:
    """A loss law and a link, chained. Made by :func:`two_step`.

    Attributes
    ----------
    loss_fit : Fit
        Step 1: loss from size and tokens.
    link : Link
        Step 2: score from loss.
    loss, score : str
        Columns of the two.
    """

    loss_fit: Fit
    link: Link
    loss: str
    score: str
    rng: int = field(repr=False, default=0)

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per parameter of either step: ``step, param, estimate, std_error, low, high``."""
        columns = ["param", "estimate", "std_error", "low", "high"]
        return pl.concat(
            [
                self.loss_fit.tidy(level).select(pl.lit("loss").alias("step"), *columns),
                self.link.tidy(level).select(pl.lit("link").alias("step"), *columns),
            ]
        )

    def glance(self) -> pl.DataFrame:
        """One row: ``law, n_runs, loss_verdict, link, n_pairs, n_link_runs, link_scatter``."""
        return pl.DataFrame(
            {
                "law": [self.loss_fit.law.name],
                "n_runs": [self.loss_fit.data.height],
                "loss_verdict": [str(self.loss_fit.verdict)],
                "link": [self.link.name],
                "n_pairs": [self.link.n_rows],
                "n_link_runs": [self.link.n_runs],
                "link_scatter": [self.link.scatter],
            }
        )

    def predict(self, frame: pl.DataFrame, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Predicted loss and score of models, with an interval for the score.

        Parameters
        ----------
        frame : DataFrame
            With the columns that the loss law takes.
        level : float
            Coverage. The interval is for a new model: both steps are refitted to simulated runs (see
            :class:`Link`), and the scatter of both is added.

        Returns
        -------
        DataFrame
            The frame with ``predicted_loss, prediction, low, high``, and the standard deviation that
            each source contributes to the score: ``sd_loss_step``, ``sd_link``, ``sd_scatter``.
        """
        check_level(level)
        table = as_frame(frame)
        predicted = self.loss_fit.predict(table)["prediction"].to_numpy().astype(float)
        generator = np.random.default_rng(self.rng)
        losses = self._loss_draws(table, predicted, generator)
        link = self.link.draws(generator).repeated(len(losses))
        centre = np.array([list(self.link.params.values())])
        still = np.broadcast_to(predicted, losses.shape)
        scores = self.link.many(losses, link.params)
        low, high = prediction_interval(scores, link.scatter, level, generator)
        return table.with_columns(
            predicted_loss=pl.Series(predicted, dtype=pl.Float64),
            prediction=pl.Series(self.link(predicted), dtype=pl.Float64),
            low=pl.Series(low, dtype=pl.Float64),
            high=pl.Series(high, dtype=pl.Float64),
            sd_loss_step=pl.Series(np.nanstd(self.link.many(losses, centre), axis=0), dtype=pl.Float64),
            sd_link=pl.Series(self.link.many(still, link.params).std(axis=0), dtype=pl.Float64),
            sd_scatter=pl.lit(self.link.scatter),
        )

    def _loss_draws(self, table: pl.DataFrame, predicted: FloatArray, generator: np.random.Generator) -> FloatArray:
        """Losses of new runs: the law refitted to simulated losses, plus the scatter of runs; ``nan`` if unknown."""
        draws = refits_of(self.loss_fit).draws(generator)
        is_log = self.loss_fit.recipe.is_log
        with np.errstate(all="ignore"):
            values = law_curve(self.loss_fit, table)(draws.params)
        noise = draws.scatter[:, None] * generator.standard_normal(values.shape)
        with np.errstate(all="ignore"):
            moved = np.exp(values + noise) if is_log else values + noise
        return np.where(np.isfinite(moved) & (moved > 0), moved, np.nan)

    def errors(self, frame: pl.DataFrame, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Where the error comes from, on models whose loss and score are known.

        Returns
        -------
        DataFrame
            One row per model: ``loss_error`` (predicted over observed loss, minus 1), ``observed``,
            ``prediction``, ``low, high``, ``error`` (prediction - observed score), and its two parts:
            ``error_of_loss_step`` (score at the predicted loss minus score at the observed loss) and
            ``error_of_link`` (score at the observed loss minus observed score); ``relative_error``
            and ``dominant`` (``loss`` or ``link``, the larger part).
        """
        table = as_frame(frame)
        need_columns(table, [self.loss, self.score], "the errors of both steps", "give models that are evaluated.")
        check_scores(table, self.score, "the errors of both steps")
        finite(table, [self.loss], "the errors of both steps")
        done = self.predict(table, level)
        at_true = self.link(done[self.loss].to_numpy().astype(float))
        keep = [c for c in ("source_id", "task", "run_id", "family", "n", "n_params", "n_tokens") if c in table.columns]
        return done.select(
            *keep,
            loss_error=pl.col("predicted_loss") / pl.col(self.loss) - 1,
            observed=pl.col(self.score),
            prediction="prediction",
            low="low",
            high="high",
            error=pl.col("prediction") - pl.col(self.score),
            error_of_loss_step=pl.col("prediction") - pl.Series(at_true),
            error_of_link=pl.Series(at_true) - pl.col(self.score),
            relative_error=pl.col("prediction") / pl.col(self.score) - 1,
            is_inside=pl.col(self.score).is_between("low", "high"),
        ).with_columns(
            dominant=pl.when(pl.col("error_of_loss_step").abs() > pl.col("error_of_link").abs())
            .then(pl.lit("loss"))
            .otherwise(pl.lit("link"))
        )

    def augment(self) -> pl.DataFrame:
        """The runs of step 1 with ``predicted_loss, prediction, low, high`` and the residual of the loss.

        ``residual_loss`` is observed minus predicted loss; the pairs of step 2 are in ``link.augment()``.
        """
        rows = self.loss_fit.data
        return self.predict(rows).with_columns(residual_loss=pl.col(self.loss) - pl.col("predicted_loss"))

    def _repr_html_(self) -> str:
        return result_table(self.tidy())

    def __repr__(self) -> str:
        return (
            f"<TwoStep: {self.loss_fit.law.name} on {self.loss_fit.data.height} runs ({self.loss_fit.verdict}), "
            f"{self.link.name} link on {self.link.n_rows} rows of {self.link.n_runs} runs>"
        )


ABSOLUTE = float(np.sqrt(np.pi / 2))
"""Standard error of a near-absolute loss (Huber with a small threshold) over least squares, for normal errors."""


def law_curve(fit: Fit, table: pl.DataFrame) -> Curve:
    """Predictions of a law for the rows of a table as a function of its parameters, in logs where it was fitted so."""
    inputs = [table[fit.recipe.columns[name]].cast(pl.Float64).to_numpy().astype(float) for name in fit.law.inputs]
    names = list(fit.params)
    is_log = fit.recipe.is_log

    def curve(params: FloatArray) -> FloatArray:
        values = np.asarray(fit.law.function(*inputs, **{name: params[:, [i]] for i, name in enumerate(names)}))
        return np.log(np.maximum(values, 1e-300)) if is_log else values

    return curve


def refits_of(fit: Fit) -> Refits:
    """What simulates and refits a law, by least squares on the scale that it was fitted on."""
    rows = fit.augment()
    curve = law_curve(fit, rows)
    params = np.array(list(fit.params.values()))
    observed = rows[fit.recipe.output].cast(pl.Float64).to_numpy().astype(float)
    residual = (np.log(observed) if fit.recipe.is_log else observed) - curve(params[None, :])[0]
    df = residual.size - len(params) + len(fit.recipe.fixed)
    specs = [fit.law.params[name] for name in fit.params]
    return Refits(
        curve,
        params,
        np.array([spec.low for spec in specs]),
        np.array([spec.high for spec in specs]),
        residual,
        float(np.sqrt(np.sum(residual**2) / max(df, 1))),
        df,
        inefficiency=1.0 if OBJECTIVES[fit.recipe.objective].loss == "squared" else ABSOLUTE,
    )


def two_step(
    points: pl.DataFrame,
    pairs: pl.DataFrame | None = None,
    *,
    law: str = "chinchilla",
    link: str = "logistic",
    loss: str = "task_loss",
    score: str = "score",
    anchor: tuple[float, float] | None = None,
    objective: ObjectiveName = "huber_log",
    bootstrap: int = 0,
    inputs: Mapping[str, str] | None = None,
    rng: int = 0,
) -> TwoStep:
    """Fit a loss law and a link from loss to score.

    Parameters
    ----------
    points : DataFrame
        One row per run: size, tokens, its final loss; and its score, if no `pairs` are given.
    pairs : DataFrame, optional
        Loss and score of checkpoints, for the link; more of the curve than the final values show.
        ``run_id`` groups them.
    law : str
        Loss law of step 1.
    link : {"logistic", "exponential"}
        Curve of step 2.
    loss, score : str
        Columns. The loss may be that of the task (bits per byte of the right answer) or of a text.
    anchor : (loss, score), optional
        A point added to the pairs; the OLMo ladder adds (0, 1).
    objective, bootstrap, inputs, rng
        As for :func:`scalingdb.fit`, for step 1. The bootstrap is for the intervals of its parameters; predictions
        refit both steps to simulated runs.

    Raises
    ------
    DataError
        For scores outside [0, 1], missing columns or values (rows are named).
    FitError
        With too few runs or rows, or a constant score.

    References
    ----------
    Bhagia et al., arXiv:2412.04403, sections 3.1 and 3.2; Gadre et al., arXiv:2403.08540, eq. 5.
    """
    runs = canonical(as_frame(points))
    rows = runs if pairs is None else canonical(as_frame(pairs))
    need_columns(runs, [loss], "step 1", f'name the loss: loss="{runs.columns[0]}".')
    need_columns(rows, [loss, score], "step 2", "name them: loss=..., score=....")
    for part in (runs, rows):
        _refuse_many_tasks(part)
    check_scores(rows, score, "step 2")
    finite(rows, [loss], "step 2")
    if rows[score].n_unique() == 1:
        raise DataError(
            f"the score is {rows[score][0]:g} in all {rows.height} rows: no link can be learnt from a constant",
            "choose a task on which the models differ.",
        )
    step1 = _fit_quietly(runs, law, objective=objective, bootstrap=bootstrap, inputs=inputs, output=loss, rng=rng)
    step2 = fit_link(
        rows[loss].cast(pl.Float64).to_numpy().astype(float),
        rows[score].cast(pl.Float64).to_numpy().astype(float),
        link,
        runs=rows["run_id"].to_numpy() if "run_id" in rows.columns else None,
        anchor=anchor,
    )
    return TwoStep(step1, step2, loss, score, rng)


def _refuse_many_tasks(table: pl.DataFrame) -> None:
    """One law describes one task under one metric."""
    for name in ("task", "metric"):
        if name in table.columns and table[name].n_unique() > 1:
            counts = table[name].value_counts(sort=True).head(4).rows()
            shown = ", ".join(f"{value!r}: {count} rows" for value, count in counts)
            raise DataError(
                f"the rows belong to {table[name].n_unique()} values of {name!r} ({shown})",
                "filter one, or average over them first; sdb.downstream.forecast(frame, by=...) fits each.",
            )


def _fit_quietly(frame: pl.DataFrame, law: str, **options: Any) -> Fit:
    """A fit whose doubts are carried by its verdict: the warning would name a line of this module."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        fitted: Fit = fit(frame, law, **options)
        return fitted


# ---- one step ------------------------------------------------------------------------------------

FORMS = ("logistic", "power", "size_and_tokens")


@told
@dataclass(frozen=True, eq=False)
class OneStep:
    """A score straight from compute, or from size and tokens. Made by :func:`one_step`."""

    form: str
    score: str
    compute: str | None
    params: Mapping[str, float]
    scatter: float
    n_models: int
    _refits: Refits = field(repr=False)
    _rows: pl.DataFrame = field(repr=False)
    _law: Fit | None = field(repr=False, default=None)
    _chance: float = field(repr=False, default=0.0)
    _centring: tuple[float, float] = field(repr=False, default=(0.0, 1.0))

    def tidy(self) -> pl.DataFrame:
        """One row per parameter: ``param, estimate``."""
        return pl.DataFrame({"param": list(self.params), "estimate": list(self.params.values())})

    def glance(self) -> pl.DataFrame:
        """One row: ``form, n_models, df, scatter``."""
        return pl.DataFrame(
            {
                "form": [self.form],
                "n_models": [self.n_models],
                "df": [self._refits.df],
                "scatter": [self.scatter],
            }
        )

    def predict(self, frame: pl.DataFrame, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Add ``prediction, low, high`` for new models; scores are kept within [0, 1].

        Without residual degrees of freedom the interval is all of [0, 1].
        """
        check_level(level)
        table = as_frame(frame)
        generator = np.random.default_rng(0)
        draws = self._refits.draws(generator)
        curve = self._curve(table)
        low, high = prediction_interval(curve(draws.params), draws.scatter, level, generator)
        return table.with_columns(
            prediction=pl.Series(self.expected(table), dtype=pl.Float64),
            low=pl.Series(low, dtype=pl.Float64),
            high=pl.Series(high, dtype=pl.Float64),
        )

    def expected(self, frame: pl.DataFrame) -> FloatArray:
        """Predicted scores alone."""
        return np.asarray(np.clip(self._curve(as_frame(frame))(self._refits.params[None, :])[0], 0, 1))

    def _curve(self, table: pl.DataFrame) -> Curve:
        if self._law is not None:
            inputs = _with_compute(table, self.compute) if self.form == "power" else table
            error = law_curve(self._law, inputs)
            return lambda params: 1 - error(params)
        middle, width = self._centring
        z = (_with_compute(table, self.compute)["_compute"].log10().to_numpy() - middle) / width
        return _logistic_curve(z, self._chance)

    def augment(self) -> pl.DataFrame:
        """The fitted rows with :meth:`predict` on them and ``residual`` (observed minus predicted)."""
        return self.predict(self._rows).with_columns(residual=pl.col(self.score) - pl.col("prediction"))

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def _logistic_curve(z: FloatArray, chance: float) -> Curve:
    """Scores at standardised log10 compute, on which intercept and slope hardly depend on each other."""
    return lambda params: _above_chance(params @ np.stack([np.ones_like(z), z]), chance)


def _above_chance(z: FloatArray, chance: float) -> FloatArray:
    from scipy.special import expit

    return np.asarray(chance + (1 - chance) * expit(z))


def _with_compute(table: pl.DataFrame, compute: str | None) -> pl.DataFrame:
    out = table.with_columns(_compute=compute_column(table, compute))
    finite(out, ["_compute"], "a law of compute", positive=True)
    return out


def one_step(
    points: pl.DataFrame,
    form: str = "logistic",
    *,
    score: str = "score",
    compute: str | None = None,
    chance: float | None = None,
    inputs: Mapping[str, str] | None = None,
) -> OneStep:
    """Predict a score without a loss in between.

    Parameters
    ----------
    points : DataFrame
        One row per model.
    form : {"logistic", "power", "size_and_tokens"}
        ``logistic``: chance + (1 - chance) / (1 + exp(-(b0 + b1 log10 C))), by least squares.
        ``power``: 1 - score = E + A C^-alpha. ``size_and_tokens``: 1 - score = E + A N^-alpha + B D^-beta.
    score, compute : str
    chance : float, optional
        Score of guessing, for ``logistic``; the column ``chance_level``, if it holds one value. It must
        be known: a curve that starts at zero is wrong for a multiple-choice test.
    inputs : mapping, optional
        Columns of N and D, as for :func:`scalingdb.fit`.

    Raises
    ------
    DataError
        For scores outside [0, 1], a missing chance level, constant scores; rows are named.
    FitError
        With too few models.
    """
    if form not in FORMS:
        raise unknown_name("form", form, FORMS)
    table = canonical(as_frame(points))
    _refuse_many_tasks(table)
    check_scores(table, score, "a law of the score")
    if table[score].n_unique() == 1:
        raise DataError(
            f"the score is {table[score][0]:g} in all {table.height} rows: there is nothing to predict",
            "choose a task on which the models differ.",
        )
    if form == "logistic":
        return _logistic_in_compute(table, score, compute, _chance_level(table, chance))
    error = table.with_columns(_error=1 - pl.col(score).cast(pl.Float64))
    if form == "power":
        law = _fit_quietly(
            _with_compute(error, compute),
            "power_offset",
            objective="mse",
            output="_error",
            inputs={"n_tokens": "_compute"},
        )
    else:
        law = _fit_quietly(error, "chinchilla", objective="mse", output="_error", inputs=inputs)
    refits = refits_of(law)
    return OneStep(form, score, compute, dict(law.params), refits.scatter, table.height, refits, table, law)


def _chance_level(table: pl.DataFrame, chance: float | None) -> float:
    if chance is not None:
        if not 0 <= chance < 1:
            raise DataError(f"chance={chance!r} is not a fraction below 1", "1 over the number of options; 0 if free.")
        return float(chance)
    if "chance_level" not in table.columns or table["chance_level"].null_count():
        where = ""
        if "chance_level" in table.columns:
            lacking = table["chance_level"].is_null()
            where = f" in {int(lacking.sum())} row(s)\n{label_rows(table, lacking, 'chance_level')}"
        raise DataError(
            f"the chance level is missing{where}",
            "give it: chance=0.25 for four options, chance=0.0 for free answers.",
        )
    values = table["chance_level"].unique()
    if values.len() > 1:
        raise DataError(
            f"the rows have {values.len()} chance levels ({', '.join(f'{v:g}' for v in values.sort()[:5])})",
            "fit one task at a time, or give the level: chance=....",
        )
    return float(values[0])


def _logistic_in_compute(table: pl.DataFrame, score: str, compute: str | None, chance: float) -> OneStep:
    from scipy.optimize import least_squares
    from scipy.special import expit

    from scalingdb.errors import FitError

    cost = _with_compute(table, compute)["_compute"].log10().to_numpy()
    y = table[score].cast(pl.Float64).to_numpy().astype(float)
    if cost.size < 3 or np.ptp(cost) == 0:
        raise FitError(
            f"{cost.size} model(s) over {np.ptp(cost) if cost.size else 0:g} decades cannot fix a curve in compute",
            "give three models or more that differ in compute.",
        )
    middle, width = float(cost.mean()), float(cost.std())
    z = (cost - middle) / width
    design = np.stack([np.ones_like(z), z], axis=1)

    def slopes(p: FloatArray) -> FloatArray:
        share = expit(design @ p)
        return np.asarray((1 - chance) * (share * (1 - share))[:, None] * design)

    starts = [(-1.0, 0.7), (-3.0, 1.5), (0.0, -0.5)]
    solutions = [
        least_squares(  # type: ignore[operator]
            lambda p: _above_chance(design @ p, chance) - y, start, slopes, method="lm", xtol=1e-12, max_nfev=500
        )
        for start in starts
    ]
    best = min(solutions, key=lambda r: r.cost)
    back = np.array([[1.0, -middle / width], [0.0, 1 / width]])  # to intercept and slope on log10 compute
    params = back @ best.x
    df = y.size - 2
    scatter = float(np.sqrt(2 * best.cost / df))
    unbounded = np.full(2, np.inf)
    standardised = Refits(_logistic_curve(z, chance), best.x, -unbounded, unbounded, -best.fun, scatter, df)
    return OneStep(
        "logistic",
        score,
        compute,
        {"intercept": float(params[0]), "slope": float(params[1]), "chance": chance},
        scatter,
        y.size,
        standardised,
        table,
        None,
        chance,
        (middle, width),
    )
