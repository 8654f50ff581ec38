"""What a fit returns."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import unknown_name
from scalingdb.fits import _predict, _profile, _propagate, _tables
from scalingdb.fits._estimate import Estimate
from scalingdb.fits._facts import Recipe, Verdict, frozen, thawed
from scalingdb.fits._form import Form, make_form
from scalingdb.fits._predict import ErrorModel
from scalingdb.fits._problem import Problem
from scalingdb.fits._tables import Method
from scalingdb.law_library import Law

if TYPE_CHECKING:
    from pathlib import Path

    import altair as alt

    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import Objective

__all__ = ["Fit"]


class _Lean:
    """Fields in slots, and a dict only once something is cached: ``fit_by`` makes thousands of fits."""

    __slots__ = ("__dict__",)


@told
@dataclass(frozen=True, eq=False, slots=True)
class Fit(_Lean):
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
    is_certain : bool
        Whether two starts that began apart ended at the best objective. If not, the optimum may not be the
        global one.
    agree_digits : float
        Digits to which the parameters of the agreeing starts are equal.
    eigenvalues : array
        Of the information matrix scaled to unit diagonal, ascending; small means hard to identify.
    weakest : str
        The least identified direction in words.
    recipe : Recipe
        All that is needed to repeat the fit: law, columns, rows, objective, fixed parameters, seed,
        hash of the data, versions.
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
    is_certain: bool
    agree_digits: float
    eigenvalues: FloatArray = field(repr=False)
    weakest: str
    recipe: Recipe = field(repr=False)
    _table: pl.DataFrame = field(repr=False)
    _clusters: np.ndarray[Any, np.dtype[np.int64]] = field(repr=False)
    _weights: FloatArray = field(repr=False)
    _curvature: FloatArray = field(repr=False)
    _unseen: FloatArray = field(repr=False)
    _span: tuple[int, int] | None = field(repr=False, default=None)
    """First row and number of rows, where the table is that of many groups."""

    @property
    def data(self) -> pl.DataFrame:
        """The rows that were fitted."""
        return self._table if self._span is None else self._table.slice(*self._span)

    # ---- tables --------------------------------------------------------------------------

    def tidy(self, level: float = DEFAULT_LEVEL, method: Method = "auto") -> pl.DataFrame:
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
            Parameters held fixed or at a bound have no interval; with a bootstrap, ``median`` is that of
            the resamples. Where resamples or a covariance run away, there is no standard error, and
            ends beyond twenty decades are open (0 or infinite).

        Raises
        ------
        DataError
            For ``method="bootstrap"`` of a fit without one.
        """
        return _tables.tidy(self, level, method)

    def glance(self) -> pl.DataFrame:
        """One row about the fit as a whole: rows, objective, errors, starts, verdict.

        ``is_certain`` is false where only one start reached the best objective: it may not be the global optimum.
        ``stands_out`` names the run whose residual is largest, if it is larger than chance allows;
        ``influential`` the runs without which the answer moves beyond its interval.
        """
        return _tables.glance(self)

    def augment(self) -> pl.DataFrame:
        """The fitted rows with ``prediction``, ``residual`` (on the objective's scale: log or
        plain, observed minus predicted) and ``relative_error`` (predicted over observed, minus 1).
        """
        return _tables.augment(self)

    def influence(
        self, quantity: Callable[..., Any] | None = None, *, exact: bool = False, **at: float
    ) -> pl.DataFrame:
        """What each run does to the fit: its residual, its leverage, and how the answer changes without it.

        Parameters
        ----------
        quantity : function, optional
            Takes the law's parameters by name (arrays) and returns an array, as for :meth:`derived`.
        exact : bool
            True: the law is fitted again without each run (all in one batch). False: the change to
            first order, by the curvature of the objective. A near-absolute loss passes through
            as many runs as it has parameters and has no first-order answer for these: with few runs,
            ask for the exact one.
        **at : float
            Where to predict, all inputs of the law (``n_params=7e9, n_tokens=2e12``); or
            ``train_flops=1e24`` for the compute-optimal run. Without either, and without a
            quantity: the parameters themselves.

        Returns
        -------
        DataFrame
            One row per run: ``run`` (its ``run_id``, or the number of its row), ``n_rows``,
            ``residual`` (mean over its rows, observed minus predicted, on the objective's scale),
            ``studentised`` (over the scatter of the other runs), ``stands_out`` (the largest of as
            many normal residuals is as large in one study of 50), ``leverage`` (its rows' share in
            their own predictions, summed), and a column ``*_change`` for each parameter, the
            ``quantity``, the ``prediction``, or ``n_params, n_tokens, tokens_per_param, loss`` of
            an optimum: the value without the run, minus the value with it.

        Raises
        ------
        DataError
            If inputs are missing, or the law has no trade-off to optimise.

        References
        ----------
        Cook and Weisberg, Residuals and Influence in Regression (1982), chapters 2 and 3.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> found.influence(train_flops=1e24).columns[-4:]
        ['n_params_change', 'n_tokens_change', 'tokens_per_param_change', 'loss_change']
        """
        from scalingdb.fits._influence import influence

        return influence(self, quantity, at, exact=exact)

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

    def profile(self, param: str, level: float = DEFAULT_LEVEL, points: int = 41) -> pl.DataFrame:
        """The lowest objective for every value of one parameter: the curve behind a profile interval.

        All other parameters are fitted again at each value. The interval holds the values whose
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
        return _profile.profile(self._estimate, param, level, points)

    # ---- what follows from the parameters ------------------------------------------------

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

        Ends are infinite (0 below, for what is positive) where a prediction depends on what the data
        leave open: a direction that they do not see, or everything, if there are no degrees of freedom.

        Parameters
        ----------
        frame : DataFrame
            With the columns that the fit used as inputs.
        level : float, optional
            Coverage of the interval, for example 0.95.
        error : {"law", "noise"}
            What an interval beyond the fitted range allows for. ``law``: that the law itself is wrong out there, by
            what it missed its own larger rows by when it was fitted to the smaller ones. ``noise``: uncertain
            parameters and the scatter of the fitted rows alone, as if the law were true, which held far fewer of
            the larger runs of published studies than it promised (``sdb.track_record()`` has both). Within the
            fitted range the two are the same.
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
        UnknownNameError
            For an unknown kind of error.
        """
        return _predict.predict(self, frame, level, error=error, noise=noise, rng=rng)

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
        return _predict.simulate(self, frame, noise=noise, rng=rng)

    def derived(
        self, quantities: Mapping[str, Callable[..., Any]], level: float = DEFAULT_LEVEL, rng: int = 0
    ) -> pl.DataFrame:
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
            ``quantity, estimate, low, high`` (percentiles of :meth:`propagate`) and ``interval`` (how they were
            made). Ends are infinite where a quantity depends on what the data leave open.

        Examples
        --------
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> share = found.derived({"a": lambda alpha, beta, **rest: beta / (alpha + beta)})
        >>> round(share["estimate"].item(), 3)
        0.514
        """
        return _propagate.derived(self._estimate, quantities, level, rng)

    def propagate(
        self,
        function: Callable[[FloatArray], FloatArray],
        count: int = 1000,
        rng: int = 0,
        scores: FloatArray | None = None,
    ) -> FloatArray:
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
        scores : array (count, K), optional
            In place of draws along the axes of the covariance, in standard deviations: the fit to first
            order at these, with or without a bootstrap.

        Returns
        -------
        array (draws, ...)
            ``nan`` where the quantity does not exist at, or right beside, the estimate. Where it depends
            on what the data leave open, half the draws lie at each end of all that is possible.

        Examples
        --------
        >>> import numpy as np
        >>> import scalingdb as sdb
        >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
        >>> floors = found.propagate(lambda theta: theta[:, 0])
        >>> floors.shape, bool(np.quantile(floors, 0.1) < found.params["E"] < np.quantile(floors, 0.9))
        ((1000,), True)
        """
        return _propagate.propagate(self._estimate, function, count, rng, scores)

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
            In natural units and the order of :attr:`params`. With a bootstrap: its samples that are finite;
            else ``nan`` for parameters that the data leave open.
        """
        drawn = _propagate.draws(self._estimate, count, rng)
        if not self.samples.shape[0]:  # a bound may hold a parameter that the rows leave open
            drawn[:, np.isin(list(self.params), self.recipe.undetermined)] = np.nan
        return drawn

    def optimum(self, train_flops: float | Sequence[float], level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Compute-optimal N and D for budgets in FLOP, under ``C = 6 * N * D``.

        Parameters
        ----------
        train_flops : float or sequence of float
        level : float
            Coverage of the intervals: percentiles over the bootstrap, or the robust covariance carried
            over to first order where there is none (:meth:`propagate`). Beyond the fitted range the interval of the
            loss allows for the law's own error, as in :meth:`predict`.

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
        return _propagate.optimum(self, train_flops, level)

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
        theta = np.array([float(given.get(name, value)) for name, value in self.params.items()])
        return float(self._problem.total(theta[None])[0])

    # ---- charts and files ----------------------------------------------------------------

    def chart(self) -> alt.HConcatChart:
        """Observed against predicted, and residuals along each input (Altair)."""
        from scalingdb import charts

        return charts.fit_chart(
            self.augment(), self.recipe.columns, self.recipe.output, title=f"{self.law.name}: {self.verdict}"
        )

    def profile_chart(self, param: str, level: float = DEFAULT_LEVEL, *, title: str = "") -> alt.LayerChart:
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

        What the file states must follow from its rows and parameters: objective, covariance, eigenvalues, the kind of
        the verdict. How the search went and the samples of a bootstrap are taken as stated (:meth:`refit` repeats
        them), so that this tells damage and edits, not who made the file.

        Raises
        ------
        DataError
            If the file is none of ours, is damaged, or states what does not follow from its rows.
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

    def own_weights(self) -> list[float] | None:
        """Weights as they were given, without the items of a binomial; None where all are one."""
        weights = self._weights
        if self.recipe.objective == "binomial":
            assert self.recipe.n_items is not None
            weights = weights / self.data[self.recipe.n_items].cast(pl.Float64).to_numpy()
        return None if (weights == 1).all() else [float(weight) for weight in weights]

    @functools.cached_property
    def _form(self) -> Form:
        return make_form(self.law, self.recipe.fixed, self.recipe.tied, self.recipe.bounds)

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

    @functools.cached_property
    def _problem(self) -> Problem:
        y = self.data[self.recipe.output].cast(pl.Float64).to_numpy().astype(float)
        inputs, recipe = tuple(self._arrays(self.data)), self.recipe
        rows = (inputs, y, self._weights, self._clusters)
        return Problem(self._form, self._kind, *rows, recipe.priors, recipe.prior_factor)

    @functools.cached_property
    def _estimate(self) -> Estimate:
        theta, at_bound = np.array(list(self.params.values()), dtype=float), self.recipe.at_bound
        spread = (self.covariance, self._curvature)
        return Estimate(self._problem, theta, self.objective, *spread, at_bound, self.samples, self._unseen)

    def _arrays(self, frame: pl.DataFrame) -> list[FloatArray]:
        columns = self.recipe.columns
        return [frame[columns[name]].cast(pl.Float64).to_numpy().astype(float) for name in self.law.inputs]

    def _evaluate(self, frame: pl.DataFrame) -> FloatArray:
        values = self.law.function(*self._arrays(frame), **self.params)
        return np.asarray(np.broadcast_to(np.asarray(values, dtype=float), (frame.height,)))

    def _repr_html_(self) -> str:
        return _tables.as_html(self)

    def __getstate__(self) -> dict[str, Any]:
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        return thawed(state | {"_table": self.data, "_span": None})  # not the rows of the other groups

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, frozen(value))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.6g}" for name, value in self.params.items())
        doubt = "" if self.is_certain else f"; {_tables.UNCERTAIN}"
        return (
            f"<Fit {self.law.name}: {values}; {self.data.height} rows; objective {self.objective:.8g}; "
            f"{self.verdict}{doubt}>"
        )
