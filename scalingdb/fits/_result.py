"""What a fit returns."""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import polars as pl

from scalingdb.display import Markup, html_table, number, percent
from scalingdb.errors import DataError, check_word, unknown_name
from scalingdb.fits._facts import Recipe, Verdict, frozen, thawed
from scalingdb.fits._form import Form, evaluate_law, make_form, make_penalty
from scalingdb.fits._rows import as_frame, refuse_bad_values
from scalingdb.law_library import Law
from scalingdb.notices import notice

if TYPE_CHECKING:
    from pathlib import Path

    import altair as alt

    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import Objective

__all__ = ["Fit"]

Method = Literal["auto", "bootstrap", "robust", "profile"]
"""How the intervals of parameters are made."""

ErrorModel = Literal["law", "noise"]
"""What an interval beyond the fitted range allows for."""

STEP = 1e-4
"""Standard deviations between the points of a difference: far over the rounding of a quantity that is itself searched
for, far under the bend of a law."""

N_DRAWS = 400
"""Draws behind the interval of an optimum."""


@dataclass(frozen=True, eq=False)
class Fit:
    """One law fitted to one frame. Made by :func:`fit`; never changes.

    Attributes
    ----------
    law : Law
    params : mapping of str to float
        Estimates in full precision and in the law's own units.
    objective : float
        The minimised **sum** over the rows.
    verdict : Verdict
        What the data fix: its text reads ``identified``, ``weak: E-alpha trade-off``,
        ``at bound: E=0`` or ``not identified: ...``; code looks at ``verdict.kind`` and
        ``verdict.reasons``.
    covariance : array (k, k)
        Of the parameters on the scale they are fitted on (logarithm for positive ones), in the
        order of :attr:`params`; cluster-robust. Zero for parameters held fixed.
    samples : array (B, k)
        Bootstrap estimates in natural units; empty without a bootstrap.
    n_starts, n_agree : int
        Starts that were polished, and how many of them ended at the best objective within 1e-9.
    agree_digits : float
        Digits to which the parameters of the agreeing starts are equal.
    eigenvalues : array
        Of the information matrix scaled to unit diagonal, ascending; small means hard to identify.
    weakest : str
        The least identified direction in words.
    recipe : Recipe
        All that is needed to repeat the fit: law, columns, rows, objective, fixed parameters, seed,
        hash of the data, versions.
    data : DataFrame
        The rows that were fitted.
    """

    law: Law
    params: Mapping[str, float]
    objective: float
    verdict: Verdict
    status: str
    covariance: FloatArray = field(repr=False)
    samples: FloatArray = field(repr=False)
    n_starts: int
    n_agree: int
    agree_digits: float
    eigenvalues: FloatArray = field(repr=False)
    weakest: str
    recipe: Recipe = field(repr=False)
    data: pl.DataFrame = field(repr=False)
    _clusters: np.ndarray[Any, np.dtype[np.int64]] = field(repr=False)
    _weights: FloatArray = field(repr=False)
    _curvature: FloatArray = field(repr=False)

    # ---- frames --------------------------------------------------------------------------

    def tidy(self, level: float = 0.95, method: Method = "auto") -> pl.DataFrame:
        """One row per parameter.

        Parameters
        ----------
        level : float
            Coverage of the intervals.
        method : {"auto", "bootstrap", "robust", "profile"}
            How intervals are made: percentiles of the bootstrap, the robust covariance (on the
            logarithmic scale for positive parameters), or the profile of the objective. ``auto`` is
            the bootstrap where the fit has one, else the robust covariance.

        Returns
        -------
        DataFrame
            ``param, estimate, std_error, low, high, interval`` (how the interval was made).
            Parameters held fixed or at a bound have no interval.

        Raises
        ------
        DataError
            For ``method="bootstrap"`` of a fit without one.
        """
        check_word(method, get_args(Method), "method")
        if method == "bootstrap" and not self.samples.shape[0]:
            raise DataError("this fit has no bootstrap", "fit with bootstrap=1000.")
        resampled = method == "bootstrap" or (method == "auto" and self.samples.shape[0] > 0)
        names = list(self.params)
        estimate = self._theta
        is_log = self._is_log
        open_ended = np.array([name in self.recipe.undetermined for name in names])
        # a bootstrap has something to say about a parameter at its bound, the covariance has not
        known = ~open_ended & (~self._fixed if resampled else ~self._held)
        if resampled:
            from scalingdb.estimation.uncertainty import interval

            low, high = interval(self.samples, level)
            error = np.nanstd(self.samples, axis=0, ddof=1)
            how = f"bootstrap {self.samples.shape[0]}, {self.recipe.resampled}"
        else:
            sd = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
            quantile = self._t_quantile(level)
            with np.errstate(over="ignore"):
                low = np.where(is_log, estimate * np.exp(-quantile * sd), estimate - quantile * sd)
                high = np.where(is_log, estimate * np.exp(quantile * sd), estimate + quantile * sd)
            error = np.where(is_log, estimate * sd, sd)
            how = f"robust covariance, {self.recipe.resampled}"
        if method == "profile":
            from scalingdb.fits._profile import profile_interval

            how = f"profile, {self.recipe.resampled}"
            ends = [
                profile_interval(self, name, level) if ok else (np.nan, np.nan)
                for name, ok in zip(names, known, strict=True)
            ]
            low, high = (np.array([pair[i] for pair in ends]) for i in (0, 1))
        blank = np.where(known, 1.0, np.nan)
        return pl.DataFrame(
            {
                "param": names,
                "estimate": estimate,
                "std_error": error * blank,
                "low": low * blank,
                "high": high * blank,
                "interval": [
                    how
                    if ok
                    else "not identified"
                    if unknown
                    else "fixed"
                    if name in self.recipe.fixed or self.recipe.tied.get(name) in self.recipe.fixed
                    else "at bound"
                    for name, ok, unknown in zip(names, known, open_ended, strict=True)
                ],
            }
        ).with_columns(pl.col("std_error", "low", "high").fill_nan(None))

    def profile(self, param: str, level: float = 0.95, points: int = 41) -> pl.DataFrame:
        """The lowest objective for every value of one parameter: the curve behind a profile interval.

        All other parameters are fitted anew at each value. The interval holds the values whose
        objective rises by less than a cut-off, which is set so that it equals the robust interval
        where the objective is a parabola; elsewhere it shows the bend that a standard error hides.

        Parameters
        ----------
        param : str
        level : float
        points : int
            Values on the curve, about.

        Returns
        -------
        DataFrame
            ``value, objective, rise`` (over the minimum), ``cutoff, inside``, and every other parameter.

        Raises
        ------
        UnknownNameError, DataError
            For a parameter that the law lacks, or one that is not free.

        References
        ----------
        Chandler and Bate, Biometrika 94 (2007) 167-183, for the scaling of a profile whose rows are
        not independent.
        """
        from scalingdb.fits._profile import profile

        return profile(self, param, level, points)

    def derived(self, quantities: Mapping[str, Callable[..., Any]], level: float = 0.95, rng: int = 0) -> pl.DataFrame:
        """Intervals on anything that follows from the parameters.

        Parameters
        ----------
        quantities : mapping of name to function
            Each takes the law's parameters by name (arrays) and returns an array.
        level : float
        rng : int
            Seed of the draws, where the fit has no bootstrap.

        Returns
        -------
        DataFrame
            ``quantity, estimate, low, high``: percentiles of :meth:`propagate`.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> share = found.derived({"a": lambda alpha, beta, **rest: beta / (alpha + beta)})
        >>> round(share["estimate"].item(), 3)
        0.514
        """
        from scalingdb.estimation.uncertainty import interval

        rows = []
        for name, function in quantities.items():

            def at(theta: FloatArray, function: Callable[..., Any] = function) -> FloatArray:
                values = function(**dict(zip(self.params, theta.T, strict=True)))
                return np.broadcast_to(np.asarray(values, dtype=float), theta.shape[:1])

            low, high = interval(self.propagate(at, rng=rng), level)
            rows.append((name, float(function(**self.params)), float(low), float(high)))
        return pl.DataFrame(rows, schema=["quantity", "estimate", "low", "high"], orient="row")

    def propagate(self, function: Callable[[FloatArray], FloatArray], count: int = 1000, rng: int = 0) -> FloatArray:
        """Draws of what follows from the parameters, as uncertain as the fit.

        With a bootstrap: the function at every finite sample. Without: the robust covariance carried
        over to first order, by the slope of the quantity at the estimate (of its logarithm where it is
        positive). A covariance knows the slope of a valley, not its bend: where parameters trade off,
        the function at draws of them leaves the valley and may miss its own estimate.

        Parameters
        ----------
        function : callable ``(theta (P, K)) -> array (P, ...)``
            Of natural parameters in the order of :attr:`params`.
        count : int
            Draws, where the fit has no bootstrap.
        rng : int
            Seed of these draws.

        Returns
        -------
        array (draws, ...)
            ``nan`` where the quantity does not exist at, or right beside, the estimate.

        Examples
        --------
        >>> import numpy as np
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> floors = found.propagate(lambda theta: theta[:, 0])
        >>> floors.shape, bool(np.quantile(floors, 0.1) < found.params["E"] < np.quantile(floors, 0.9))
        ((1000,), True)
        """
        if self.samples.shape[0]:
            return np.asarray(function(self._draws(np.random.default_rng(rng))), dtype=float)
        axes = self._axes
        steps = STEP * axes.T
        # along the axes of the covariance, in their own lengths: what cancels in a valley cancels in each difference
        at = self._centre + np.concatenate([steps, -steps])
        natural = np.where(self._is_log, np.exp(np.where(self._is_log, at, 0.0)), at)
        natural[:, self._held] = self._theta[self._held]
        values = np.asarray(function(np.concatenate([self._theta[None], natural])), dtype=float)
        here, up, down = values[0], values[1 : 1 + len(steps)], values[1 + len(steps) :]
        with np.errstate(all="ignore"):
            in_logs = (values > 0).all(0)
            slopes = np.where(in_logs, np.log(up) - np.log(down), up - down) / (2 * STEP)
            change = np.tensordot(self._scores(np.random.default_rng(rng), count), slopes, axes=1)
            return np.asarray(np.where(in_logs, here * np.exp(change), here + change))

    def draws(self, count: int = 1000, rng: int = 0) -> FloatArray:
        """Parameter vectors (P, K) that are as uncertain as the fit: for anything :meth:`derived` cannot say.

        Parameters
        ----------
        count : int
            Draws from the robust covariance, where the fit has no bootstrap.
        rng : int
            Seed of these draws.

        Returns
        -------
        array (P, K)
            In natural units and the order of :attr:`params`. With a bootstrap: its samples that are finite.
        """
        return self._draws(np.random.default_rng(rng), count)

    def glance(self) -> pl.DataFrame:
        """One row about the fit as a whole: rows, objective, errors, starts, verdict."""
        rows = self.augment()
        relative = rows["relative_error"].abs()
        y = rows[self.recipe.output].cast(pl.Float64).to_numpy()
        residual_sum = ((y - rows["prediction"].to_numpy()) ** 2).sum()
        total_sum = ((y - y.mean()) ** 2).sum()
        return pl.DataFrame(
            {
                "law": [self.law.name],
                "n_rows": [rows.height],
                "n_free": [self._n_free],
                "objective_name": [self.recipe.objective],
                "objective": [self.objective],
                "mean_abs_rel_error": [relative.mean()],
                "median_abs_rel_error": [relative.median()],
                "max_abs_rel_error": [relative.max()],
                "r_squared": [1 - residual_sum / total_sum if total_sum > 0 else None],
                "n_starts": [self.n_starts],
                "n_agree": [self.n_agree],
                "status": [self.status],
                "verdict": [str(self.verdict)],
                "verdict_kind": [self.verdict.kind],
            },
            schema_overrides={"r_squared": pl.Float64},
        )

    def augment(self) -> pl.DataFrame:
        """The fitted rows with ``prediction``, ``residual`` (on the objective's scale: log or
        plain, observed minus predicted) and ``relative_error`` (predicted over observed, minus 1).
        """
        target = self.recipe.output
        prediction = self._evaluate(self.data)
        y = pl.col(target).cast(pl.Float64)
        residual = y.log() - pl.col("prediction").log() if self._kind.is_log else y - pl.col("prediction")
        return self.data.with_columns(prediction=pl.Series(prediction)).with_columns(
            residual=residual, relative_error=pl.col("prediction") / y - 1
        )

    def predict(
        self,
        frame: pl.DataFrame,
        level: float | None = None,
        *,
        error: ErrorModel = "law",
        noise: bool = True,
        rng: int = 0,
    ) -> pl.DataFrame:
        """Add ``prediction`` to a frame, and ``low``, ``high``, ``interval`` where a level is given.

        Parameters
        ----------
        frame : DataFrame
            With the columns that the fit used as inputs.
        level : float, optional
            Coverage of the interval, for example 0.95.
        error : {"law", "noise"}
            What an interval beyond the fitted range allows for. ``law``: that the law itself is wrong out there, by
            what it missed its own larger rows by when it was fitted to the smaller ones. ``noise``: uncertain
            parameters and the scatter of the fitted rows alone, as if the law were true; on published studies such
            95 % intervals held 75 % of new surfaces' rows and 60 % of new curves', and half beyond 30 times the
            fitted compute. Within the fitted range both are the same.
        noise : bool
            False: an interval for the law's own value, from uncertain parameters alone, wherever the row lies.
        rng : int
            Seed of the draws.

        Returns
        -------
        DataFrame
            The column ``interval`` says for each row what its interval allows for: ``law``; ``law, pooled`` where
            the fitted rows allow no inner hold-out, so that the width is what laws have missed by on published
            studies; ``noise``; or ``parameters`` (with ``noise=False``).

        Raises
        ------
        DataError
            If an input column is missing or holds values that are not positive numbers, or the level is not between
            0 and 1.
        """
        check_word(error, get_args(ErrorModel), "error")
        table = self._checked(frame)
        self._say_if_far(table)
        prediction = self._evaluate(table)
        result = table.with_columns(prediction=pl.Series(prediction, dtype=pl.Float64))
        if level is None:
            return result
        if not 0 < level < 1:
            raise DataError(f"level={level!r} is not between 0 and 1", "for example level=0.95.")
        from scalingdb.estimation import uncertainty

        low, high = uncertainty.interval(self.simulate(table, noise=noise, rng=rng), level)
        said = np.full(table.height, "noise" if noise else "parameters", dtype=object)
        if noise and error == "law":
            from scalingdb.fits._law_error import with_law_error

            low, high, n_inner = with_law_error(self, self._arrays(table), prediction, low, high, level)
            said = np.where(n_inner < 0, said, np.where(n_inner > 0, "law", "law, pooled"))
        ends = {"low": pl.Series(low, dtype=pl.Float64), "high": pl.Series(high, dtype=pl.Float64)}
        return result.with_columns(**ends, interval=pl.Series(said.tolist(), dtype=pl.String))

    def simulate(self, frame: pl.DataFrame, *, noise: bool = True, rng: int = 0) -> FloatArray:
        """Draws of the predictions: what the intervals of :meth:`predict` are percentiles of.

        Parameters
        ----------
        frame : DataFrame
            With the columns that the fit used as inputs.
        noise : bool
            Whether each draw carries the scatter of a new run: a residual of the fitted rows,
            stretched by what the parameters took of it.
        rng : int
            Seed.

        Returns
        -------
        array (draws, rows)
            A draw a resample of the bootstrap, in its order (``nan`` where one did not converge);
            else a thousand from the robust covariance, carried over to the prediction to first order.

        Raises
        ------
        DataError
            As :meth:`predict`.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> found.simulate(found.data.head(3)).shape
        (1000, 3)
        """
        table = self._checked(frame)
        generator = np.random.default_rng(rng)
        if self.samples.shape[0]:
            values = self._evaluate_many(self.samples, table)
        else:
            values = self._straightened(self._deviations(generator), table)
        if not noise:
            return values
        scatter = self.augment()["residual"].to_numpy()
        # the scatter around a fit is smaller than around the truth, by the rows the parameters took
        inflate = np.sqrt(scatter.size / max(scatter.size - self._n_free, 1))
        picked = inflate * generator.choice(scatter, size=values.shape)
        values = values * np.exp(picked) if self._kind.is_log else values + picked
        return np.asarray(np.clip(values, 0.0, 1.0) if self._kind.is_likelihood else values)

    def information(self) -> pl.DataFrame:
        """Log likelihood, AICc and BIC: how well the law fits for the parameters it takes.

        The likelihood is that of which the objective is the logarithm: squares are a normal, absolute
        values a Laplace density, a Huber loss the density between the two; its scale is set where the
        likelihood is largest and counts as one parameter. It is a density of the output itself, so
        objectives in logarithms and in the data's unit compare on the same rows; a binomial is a
        probability of counts and compares with nothing else. Rows count as independent: with
        checkpoints of few runs the penalties are too small.

        Returns
        -------
        DataFrame
            One row: ``likelihood`` (its name), ``log_likelihood, n_rows, n_estimated`` (free parameters
            and the scale), ``aicc, bic``. Null where rows leave no degree of freedom, or where the law
            meets every row; and for a fit with priors, which is no maximum of a likelihood.

        References
        ----------
        Hurvich and Tsai, Biometrika 76 (1989) 297-307; Schwarz, Ann. Statist. 6 (1978) 461-464.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> points = sdb.connect().points("epoch_chinchilla")
        >>> forms = {name: sdb.fit(points, name).information()["aicc"][0] for name in ("chinchilla", "kaplan_lnd")}
        >>> forms["chinchilla"] < forms["kaplan_lnd"]
        True
        """
        from scalingdb.fits._information import information

        return information(self)

    def optimum(self, train_flops: float | Sequence[float], level: float = 0.95) -> pl.DataFrame:
        """Compute-optimal N and D for budgets in FLOP, under ``C = 6 * N * D``.

        Parameters
        ----------
        train_flops : float or sequence of float
        level : float
            Coverage of the intervals: percentiles over the bootstrap, or the robust covariance carried
            over to first order where there is none (:meth:`propagate`).

        Returns
        -------
        DataFrame
            One row per budget: ``train_flops, n_params, n_tokens, tokens_per_param, loss`` and, for
            each, ``*_low`` and ``*_high``. N is counted as in the fit (see ``recipe.columns``).

        Raises
        ------
        DataError
            If the law is no surface over N and D, a budget is not positive, or the fit holds no
            trade-off of N against D.
        """
        budgets = np.atleast_1d(np.asarray(train_flops, dtype=float))
        if self.law.output != "loss" or len(self.law.inputs) != 2 or "n_tokens" not in self.law.inputs:
            raise DataError(
                f"law {self.law.name!r} is no loss surface over N and D: there is no trade-off to optimise",
                "fit a surface such as chinchilla or farseer.",
            )
        if not (np.isfinite(budgets).all() and (budgets > 0).all()):
            raise DataError("a budget must be a positive number of FLOP", "for example train_flops=1e24.")
        from scalingdb.estimation.uncertainty import interval

        names = ("n_params", "n_tokens", "tokens_per_param", "loss")
        best = self._optimise(self._theta[None], budgets)
        if np.isnan(best[0]).any():
            where = float(budgets[np.isnan(best[0][0])][0])
            raise DataError(
                f"this fit of law {self.law.name!r} has no best N at {where:.3g} FLOP: its loss falls to an end of the "
                "range",
                f"see its verdict: {self.verdict}.",
            )
        spread = self.propagate(lambda theta: np.stack(self._optimise(theta, budgets), axis=1), N_DRAWS)
        out: dict[str, Any] = {"train_flops": budgets}
        for i, name in enumerate(names):
            out[name] = best[i][0]
            out[f"{name}_low"], out[f"{name}_high"] = interval(spread[:, i], level)
        return pl.DataFrame(out).with_columns(pl.selectors.ends_with("_low", "_high").fill_nan(None))

    def _optimise(self, theta: FloatArray, budgets: FloatArray) -> tuple[FloatArray, ...]:
        """N*, D*, D*/N* and loss, each (P, B); ``nan`` where the loss falls to an end of the range."""
        from scalingdb.law_library._optimum import least_loss

        n_first = self.law.inputs[0] != "n_tokens"

        def loss(n: FloatArray, d: FloatArray) -> FloatArray:
            return evaluate_law(self.law, theta, [n, d] if n_first else [d, n])

        n, d, is_inside = least_loss(loss, budgets, (theta.shape[0],))
        values = np.where(is_inside, loss(n, d), np.nan)
        n, d = np.where(is_inside, n, np.nan), np.where(is_inside, d, np.nan)
        return n, d, d / n, values

    def objective_at(self, params: Mapping[str, float] | str) -> float:
        """The fit's objective (a sum over the same rows) with other coefficients.

        Parameters
        ----------
        params : mapping, or the name of a published variant
            Parameters that a mapping leaves out keep their fitted values.

        Raises
        ------
        UnknownNameError
            For an unknown parameter or variant.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> f"{found.objective:.4e}, published: {found.objective_at('epoch'):.4e}"
        '1.0183e-03, published: 1.0228e-03'
        """
        given = self.law.coefficients(params) if isinstance(params, str) else dict(params)
        for name in given:
            if name not in self.params:
                raise unknown_name("parameter", name, self.params, f"(of law {self.law.name!r})")
        values = {**self.params, **given}
        prediction = np.asarray(self.law.function(*self._arrays(self.data), **values), dtype=float)
        y = self.data[self.recipe.output].cast(pl.Float64).to_numpy()
        return float(self._kind.total(y, prediction, self._weights)) + self._prior(values)

    def chart(self) -> alt.HConcatChart:
        """Observed against predicted, and residuals along each input (Altair)."""
        from scalingdb import charts

        return charts.fit_chart(
            self.augment(), self.recipe.columns, self.recipe.output, title=f"{self.law.name}: {self.verdict}"
        )

    def profile_chart(self, param: str, level: float = 0.95, *, title: str = "") -> alt.LayerChart:
        """The curve of :meth:`profile`, beside the parabola of the standard error (Altair).

        Raises
        ------
        UnknownNameError, DataError
            As :meth:`profile`.
        """
        from scalingdb import charts

        curve = self.profile(param, level)
        methods: tuple[Method, ...] = ("robust", "profile")
        intervals = pl.concat(
            self.tidy(level, method).filter(param=param).with_columns(method=pl.lit(method)) for method in methods
        ).with_columns(is_log=pl.lit(param in self.recipe.on_log_scale), level=pl.lit(level))
        return charts.profile(curve, intervals, title=title or f"{self.law.name}: profile of {param}")

    def design(self) -> tuple[pl.DataFrame, str]:
        """Where the rows lie, and the verdict: a panel of :func:`charts.verdicts <scalingdb.charts.verdicts>`.

        The frame holds the first two inputs, or the only input and the observed values.
        """
        axes = [*self.recipe.columns.values(), self.recipe.output][:2]
        return self.data.select(axes), str(self.verdict)

    def save(self, path: str | Path) -> Path:
        """Write the fit to one Parquet file: its rows, and everything else in the file's metadata.

        Raises
        ------
        DataError
            If the file cannot be written. An existing file is replaced only by a complete one.
        """
        from scalingdb.fits._storage import save

        return save(self, path)

    @staticmethod
    def load(path: str | Path) -> Fit:
        """Read a fit that :meth:`save` wrote. A law of your own must be defined first.

        Raises
        ------
        DataError
            If the file is none of ours, is damaged, or its rows no longer give the stored objective.
        UnknownNameError
            If the law is not known here.
        """
        from scalingdb.fits._storage import load

        return load(path)

    def refit(self) -> Fit:
        """Fit the same rows again with the same options, for example after loading."""
        from scalingdb.fits._solve import refit

        return refit(self)

    # ---- internals -----------------------------------------------------------------------

    @functools.cached_property
    def _form(self) -> Form:
        recipe = self.recipe
        return make_form(self.law, recipe.fixed, recipe.tied, recipe.bounds)

    @functools.cached_property
    def _kind(self) -> Objective:
        from scalingdb.estimation.objectives import make_objective

        recipe = self.recipe
        items = None
        if recipe.objective == "beta_binomial":
            assert recipe.n_items is not None
            items = self.data[recipe.n_items].cast(pl.Float64).to_numpy()
        kind = make_objective(recipe.objective, recipe.delta or 1e-3, recipe.asymmetry, items)
        return kind.with_dispersion(recipe.dispersion) if items is not None else kind

    def _prior(self, values: Mapping[str, float]) -> float:
        """Penalty of the priors at natural parameters."""
        total = 0.0
        penalty = make_penalty(self._form, self.recipe.priors, self.recipe.prior_factor)
        for i, mean, sd in penalty.priors if penalty is not None else ():
            value = values[self._form.free[i]]
            off = (np.log(value) if self._form.model.is_log[i] else value) - mean
            total += 0.5 * self.recipe.prior_factor * (off / sd) ** 2
        return self._kind.scale * total

    def _t_quantile(self, level: float) -> float:
        from scipy.special import stdtrit  # scipy.stats takes a second to import

        return float(stdtrit(max(self._n_clusters - self._n_free, 1), 0.5 + level / 2))

    @property
    def _n_clusters(self) -> int:
        return int(np.unique(self._clusters[self._weights > 0]).size)

    @property
    def _n_free(self) -> int:
        tied = self.recipe.tied
        return len({tied.get(name, name) for name, held in zip(self.params, self._held, strict=True) if not held})

    def _checked(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A frame that holds what the law takes; refuses others."""
        table = as_frame(frame)
        for name, column in self.recipe.columns.items():
            if column not in table.columns:
                raise DataError(
                    f"the frame has no column {column!r}, which the fit used as {name}",
                    f"columns needed: {', '.join(self.recipe.columns.values())}.",
                )
        columns = list(self.recipe.columns.values())
        signed = {self.recipe.columns[name] for name in self.law.signed_inputs}
        refuse_bad_values(table, columns, [column for column in columns if column not in signed])
        return table

    def _say_if_far(self, table: pl.DataFrame) -> None:
        """Say how far a prediction lies beyond the rows that were fitted."""
        for column in self.recipe.columns.values():
            seen, asked = self.data[column].cast(pl.Float64), table[column].cast(pl.Float64)
            if table.is_empty() or asked.is_null().all():
                continue
            low, high, least, most = (float(v) for v in (seen.min(), seen.max(), asked.min(), asked.max()))  # type: ignore[arg-type]
            if least > 0 and low > 0 and (most > 10 * high or least < low / 10):
                factor = max(most / high, low / least)
                notice(
                    f"law {self.law.name!r} predicts up to {factor:.0f} times beyond the {column} it was fitted to "
                    f"({low:.3g} to {high:.3g})",
                    once=True,
                )

    @property
    def _own_weights(self) -> list[float] | None:
        """Weights as they were given, without the items of a binomial."""
        weights = self._weights
        if self.recipe.objective == "binomial":
            assert self.recipe.n_items is not None
            weights = weights / self.data[self.recipe.n_items].cast(pl.Float64).to_numpy()
        return None if (weights == 1).all() else [float(weight) for weight in weights]

    @property
    def _theta(self) -> FloatArray:
        return np.array(list(self.params.values()), dtype=float)

    @property
    def _is_log(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        return np.array([name in self.recipe.on_log_scale for name in self.params])

    @property
    def _fixed(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        fixed = self.recipe.fixed
        return np.array([self.recipe.tied.get(name, name) in fixed for name in self.params])

    @property
    def _held(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        held = {*self.recipe.fixed, *self.recipe.at_bound}
        return np.array([self.recipe.tied.get(name, name) in held for name in self.params])

    def _arrays(self, frame: pl.DataFrame) -> list[FloatArray]:
        return [frame[self.recipe.columns[name]].cast(pl.Float64).to_numpy().astype(float) for name in self.law.inputs]

    def _evaluate(self, frame: pl.DataFrame) -> FloatArray:
        values = self.law.function(*self._arrays(frame), **self.params)
        return np.asarray(np.broadcast_to(np.asarray(values, dtype=float), (frame.height,)))

    def _evaluate_many(self, theta: FloatArray, frame: pl.DataFrame) -> FloatArray:
        return evaluate_law(self.law, theta, self._arrays(frame))

    def _draws(self, generator: np.random.Generator, count: int = 1000) -> FloatArray:
        """Parameter vectors: the bootstrap's, or drawn from the robust covariance."""
        if self.samples.shape[0]:
            return self.samples[np.isfinite(self.samples).all(1)]
        is_log = self._is_log
        drawn = self._centre + self._deviations(generator, count)
        with np.errstate(over="ignore"):
            return np.asarray(np.where(is_log, np.exp(np.where(is_log, drawn, 0.0)), drawn))

    @property
    def _centre(self) -> FloatArray:
        """Estimates on the scale of the covariance: logarithms of scales."""
        return np.asarray(np.where(self._is_log, np.log(np.maximum(self._theta, 1e-300)), self._theta))

    def _deviations(self, generator: np.random.Generator, count: int = 1000) -> FloatArray:
        """Draws (count, k) from the robust covariance, around zero."""
        return self._scores(generator, count) @ self._axes.T

    @property
    def _axes(self) -> FloatArray:
        """Axes of the robust covariance (k, k), a column each, as long as a standard deviation."""
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))

    def _scores(self, generator: np.random.Generator, count: int) -> FloatArray:
        """Draws (count, k) along these axes, in standard deviations."""
        # few clusters: the covariance is itself uncertain, so draws have the tails of Student's t
        degrees = max(self._n_clusters - self._n_free, 1)
        widen = np.sqrt(degrees / generator.chisquare(degrees, (count, 1)))
        return np.asarray(widen * generator.standard_normal((count, len(self.params))))

    def _straightened(self, deviations: FloatArray, table: pl.DataFrame) -> FloatArray:
        """Predictions (count, rows) for draws around the estimate, to first order.

        A covariance knows the slope of a valley, not its bend: where parameters trade off against
        each other, the law itself at such draws leaves the valley and predicts anything, while its
        tangent stays within what the rows allow. On the scale of the objective's residuals.
        """
        centre, is_log = self._centre, self._is_log
        spread = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        moved = np.flatnonzero(spread > 0)
        step = 6e-6 * np.maximum(np.abs(centre), 1.0)[moved]
        at = np.repeat(centre[None], 2 * moved.size, axis=0)
        at[np.arange(moved.size), moved] += step
        at[moved.size + np.arange(moved.size), moved] -= step
        natural = np.where(is_log, np.exp(np.where(is_log, at, 0.0)), at)
        values = self._evaluate_many(natural, table)
        here = self._evaluate(table)
        with np.errstate(all="ignore"):
            if self._kind.is_log:
                values, here = np.log(values), np.log(here)
            slope = (values[: moved.size] - values[moved.size :]) / (2 * step[:, None])
            found = here + deviations[:, moved] @ slope
            return np.asarray(np.exp(found) if self._kind.is_log else found)

    def _repr_html_(self) -> str:
        tidy = self.tidy()
        head = ("parameter", "estimate", "std. error", "2.5 %", "97.5 %", "meaning")
        rows = (
            (
                Markup(f"<i>{html.escape(row['param'])}</i>"),
                *(row[name] for name in ("estimate", "std_error", "low", "high")),
                self.law.params[row["param"]].meaning,
            )
            for row in tidy.iter_rows(named=True)
        )
        glance = self.glance().row(0, named=True)
        formula = self.law.mathml if self.law.is_traceable else f"<code>{html.escape(self.law.name)}</code>"
        made = how_intervals_were_made(tidy)
        facts = (
            f"{glance['n_rows']} rows",
            f"{self.recipe.objective} (sum) {number(self.objective, 7)}",
            f"mean error {percent(glance['mean_abs_rel_error'])}",
            f"{self.n_agree} of {self.n_starts} starts agree",
            *([f"intervals: {made}"] if made else []),
        )
        remarks = "".join(f"<br>{html.escape(note)}." for note in self.recipe.notes)
        return (
            f'<div class="scalingdb-fit">{formula}{html_table(head, rows)}'
            f"<p><b>{html.escape(str(self.verdict))}</b>; {html.escape('; '.join(facts))}.{remarks}</p></div>"
        )

    def __getstate__(self) -> dict[str, Any]:
        compiled = {"_form", "_kind"}
        return thawed({name: value for name, value in self.__dict__.items() if name not in compiled})

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: frozen(value) for name, value in state.items()})

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.params.items())
        return (
            f"<Fit {self.law.name}: {values}; {self.data.height} rows; objective {self.objective:.8g}; {self.verdict}>"
        )


def how_intervals_were_made(tidy: pl.DataFrame) -> str:
    """How the intervals of :meth:`Fit.tidy` were made; nothing where no parameter has one."""
    made = tidy.filter(pl.col("low").is_not_null())["interval"]
    return str(made[0]) if made.len() else ""
