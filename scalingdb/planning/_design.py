"""Which run to train next: the one that tells most about what one wants to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits import Fit, as_frame, refuse_bad_values
from scalingdb.planning._surface import FloatArray, Surface, make_cost, surface_of

__all__ = ["next_run"]

STEP = 1e-4
"""Of the differences that gradients are made of, on the scale that parameters are fitted on."""

Target = str | Mapping[str, float] | Callable[..., Any]


def next_run(
    fit: Fit,
    *,
    target: Target,
    candidates: pl.DataFrame | None = None,
    train_flops: float | None = None,
    cost: str | None = None,
    level: float = DEFAULT_LEVEL,
    **given: float,
) -> pl.DataFrame:
    """Rank runs that could be added to a fit by how much they would narrow the interval of a target.

    Parameters
    ----------
    fit : Fit
        Of any law; for ``train_flops`` and for the target "optimal N", of a loss surface over N and D.
    target : str, mapping or callable
        What one wants to know better: a parameter (``"alpha"``); the loss of a run
        (``{"n_params": 7e10, "n_tokens": 1.4e12}``, all inputs of the law); the optimal N of a budget
        (``{"train_flops": 1e24}``); or any function of the parameters by name, as for :meth:`Fit.derived`.
    candidates : DataFrame, optional
        One row per run that could be trained, with the law's inputs as columns.
    train_flops : float, optional
        In place of candidates: a grid of runs of up to so many FLOP, over the fitted N and D and up to
        three times more. Smaller ones are left out: the farthest corners always look best to this
        method, and there the law is least to be trusted.
    cost : str, optional
        Column of the candidates with their cost; ``6*N*D`` by default.
    level : float
        Coverage of the intervals.
    **given : float
        Inputs other than N and D, with ``train_flops``.

    Returns
    -------
    DataFrame
        Best first: the candidates with ``cost``, the ``target`` now with ``low_now`` and ``high_now``, the
        interval that is expected after the run (``low_after``, ``high_after``), ``shrink`` (share of its width
        that goes), ``shrink_per_1e18_flop`` (or per unit of the cost column), and ``extrapolation``, how
        many times the run lies outside the rows of the fit.

    Raises
    ------
    DataError, UnknownNameError
        If the target or the candidates cannot be used, or the fit has no covariance.

    Notes
    -----
    The delta method: with ``V`` the robust covariance of the parameters, ``h`` the gradient of the
    target and ``g`` that of a candidate's prediction, one more run turns ``V`` into
    ``V - V g g' V / (s**2 + g' V g)``. Here ``s**2`` is what one row is worth, the trace of ``J' J V`` over the free
    parameters: the scatter of the rows, and what they share within a run. Local to the estimate and
    blind to misfit: a law that is wrong makes every plan of this kind wrong.

    References
    ----------
    Atkinson, Donev and Tobias, Optimum Experimental Designs, with SAS (2007), chapters 10 and 17:
    c-optimality and adding runs to a design.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import next_run
    >>> found = sdb.fit(sdb.connect().points("epoch_chinchilla"), "chinchilla")
    >>> ranked = next_run(found, target={"train_flops": 1e24}, train_flops=1e22)
    >>> bool(ranked["shrink"][0] >= ranked["shrink"][-1] > 0)
    True
    """
    check_level(level)
    if (candidates is None) == (train_flops is None):
        raise DataError("next_run needs either candidates or a budget", "give candidates=frame, or train_flops=1e22.")
    law, names = fit.law, list(fit.params)
    free = np.flatnonzero(np.diag(fit.covariance) > 0)
    if not free.size or not np.isfinite(fit.covariance).all():
        raise DataError(
            f"the fit says nothing about how sure its parameters are: {fit.verdict}", "fit more rows, or fix some."
        )
    is_log = np.array([name in fit.recipe.on_log_scale for name in names])
    centre = np.array(list(fit.params.values()), dtype=float)

    def gradient(function: Callable[[dict[str, float]], FloatArray]) -> FloatArray:
        """Central differences (k, n) along the free parameters."""
        columns = []
        for i in free:
            ends = []
            for sign in (1.0, -1.0):
                moved = centre.copy()
                moved[i] = moved[i] * np.exp(sign * STEP) if is_log[i] else moved[i] + sign * STEP
                for name, source in fit.recipe.tied.items():
                    moved[names.index(name)] = moved[names.index(source)]
                ends.append(np.atleast_1d(function(dict(zip(names, moved.tolist(), strict=True)))))
            columns.append((ends[0] - ends[1]) / (2 * STEP))
        return np.array(columns)

    # the scale that the objective measures rows on
    on_log = fit.recipe.is_log

    def predicted(frame: pl.DataFrame, columns: Mapping[str, str]) -> Callable[[dict[str, float]], FloatArray]:
        inputs = [frame[columns[name]].cast(pl.Float64).to_numpy() for name in law.inputs]

        def at(params: dict[str, float]) -> FloatArray:
            values = np.asarray(np.broadcast_to(law.function(*inputs, **params), inputs[0].shape), dtype=float)
            return np.log(values) if on_log else values

        return at

    covariance = fit.covariance[np.ix_(free, free)]
    own = gradient(predicted(fit.data, fit.recipe.columns))
    row_variance = float(np.trace(own @ own.T @ covariance) / free.size)
    question, transform = _question(fit, target)
    slope = gradient(lambda params: np.atleast_1d(transform(question(params))))[:, 0]
    estimate = float(question(dict(fit.params)))
    if not (np.isfinite(slope).all() and np.isfinite(estimate)):
        raise DataError(f"the target {target!r} has no value at the estimate", "see the fit's verdict.")

    surface = surface_of(fit, None, given) if train_flops is not None else None
    runs = _grid(fit, surface, float(train_flops)) if surface is not None else _checked(fit, candidates)  # type: ignore[arg-type]
    lever = gradient(predicted(runs, {name: name for name in law.inputs}))
    spread = covariance @ lever
    gain = (slope @ spread) ** 2 / (row_variance + (lever * spread).sum(axis=0))
    before = float(slope @ covariance @ slope)
    if before <= 0:
        raise DataError(f"the target {target!r} does not depend on any free parameter")
    after = np.sqrt(np.maximum(before - gain, 0.0))
    quantile = _quantile(fit, level)
    low_now, high_now = _ends(estimate, quantile * np.sqrt(before), transform)
    low_after, high_after = _ends(estimate, quantile * after, transform)
    if cost is not None and cost not in runs.columns:
        raise unknown_name("column", cost, runs.columns, "(of the candidates)")
    price = runs[cost].cast(pl.Float64) if cost is not None else _flops(fit, runs)
    shrink = 1 - after / np.sqrt(before)
    unit, label = (1.0, "shrink_per_cost") if cost is not None else (1e18, "shrink_per_1e18_flop")
    return (
        runs.with_columns(
            cost=price,
            target=pl.lit(estimate),
            low_now=pl.lit(low_now),
            high_now=pl.lit(high_now),
            low_after=pl.Series(low_after),
            high_after=pl.Series(high_after),
            shrink=pl.Series(shrink),
            extrapolation=pl.Series(_outside(fit, runs)),
        )
        .with_columns((pl.col("shrink") / pl.col("cost") * unit).alias(label))
        .sort("shrink", descending=True)
    )


def _question(fit: Fit, target: Target) -> tuple[Callable[[dict[str, float]], float], Callable[[Any], Any]]:
    """The target as a function of the parameters, and the scale on which its interval is symmetric."""

    def same(value: Any) -> Any:
        return value

    if isinstance(target, str):
        if target not in fit.params:
            raise unknown_name("parameter", target, fit.params, f"(of law {fit.law.name!r})")
        name = target
        return (lambda params: params[name]), np.log if name in fit.recipe.on_log_scale else same
    if callable(target):
        function = target
        return (lambda params: float(function(**params))), same
    if not isinstance(target, Mapping) or not target:
        raise DataError(
            f"target={target!r} is not a parameter, a run or a function",
            "for example 'alpha', {'n_params': 7e10, 'n_tokens': 1.4e12} or {'train_flops': 1e24}.",
        )
    if "train_flops" in target and "train_flops" not in fit.law.inputs:
        others = {name: value for name, value in target.items() if name != "train_flops"}
        surface = surface_of(fit, None, others)
        cost = make_cost("6nd", surface.size, 1.0)
        flops = np.array([float(target["train_flops"])])
        return (
            lambda params: float(surface.best(np.array([list(params.values())]), flops, cost)[0][0, 0]),
            np.log,
        )
    for name in target:
        if name not in fit.law.inputs:
            raise unknown_name("input", name, fit.law.inputs, f"(of law {fit.law.name!r})")
    if missing := [name for name in fit.law.inputs if name not in target]:
        raise DataError(f"the target lacks {', '.join(missing)}", "name every input of the law.")
    inputs = [np.array([float(target[name])]) for name in fit.law.inputs]
    return (lambda params: float(np.ravel(fit.law.function(*inputs, **params))[0])), same


def _checked(fit: Fit, candidates: pl.DataFrame) -> pl.DataFrame:
    table = as_frame(candidates)
    for name in fit.law.inputs:
        if name not in table.columns:
            raise unknown_name("column", name, table.columns, f"(an input of law {fit.law.name!r}, of the candidates)")
    if table.is_empty():
        raise DataError("there are no candidates", "give at least one row, or train_flops=1e22.")
    refuse_bad_values(
        table, list(fit.law.inputs), [name for name in fit.law.inputs if name not in fit.law.signed_inputs]
    )
    return table


def _grid(fit: Fit, surface: Surface, train_flops: float) -> pl.DataFrame:
    """Runs of up to a budget: over the fitted N and D and up to three times more."""
    if not (np.isfinite(train_flops) and train_flops > 0):
        raise DataError(f"train_flops={train_flops!r} is not a positive number")
    axes = [np.geomspace(low, 3 * high, 25) for low, high in (surface.ranges[surface.size], surface.ranges["n_tokens"])]
    n, d = (axis.ravel() for axis in np.meshgrid(*axes, indexing="ij"))
    spent = train_flops / 6 / axes[0]  # and the runs that use all of the budget
    inside = (spent >= axes[1][0]) & (spent <= axes[1][-1])
    affordable = 6 * n * d <= train_flops
    n, d = np.concatenate([n[affordable], axes[0][inside]]), np.concatenate([d[affordable], spent[inside]])
    if not n.size:
        raise DataError(
            f"train_flops={train_flops:.3g} pays for no run of the fitted sizes, from {axes[0][0]:.3g} parameters and "
            f"{axes[1][0]:.3g} tokens",
            "raise it, or give candidates.",
        )
    columns = {surface.size: n, "n_tokens": d}
    columns |= {name: np.full(n.size, value) for name, value in surface.given.items()}
    return pl.DataFrame(columns)


def _flops(fit: Fit, runs: pl.DataFrame) -> pl.Series:
    sizes = [name for name in runs.columns if name.startswith("n_params") and name in fit.law.inputs]
    if len(sizes) != 1 or "n_tokens" not in runs.columns:
        raise DataError("the cost of a candidate does not follow from its inputs", "add a column and name it: cost=...")
    return 6 * runs[sizes[0]].cast(pl.Float64) * runs["n_tokens"].cast(pl.Float64)


def _outside(fit: Fit, runs: pl.DataFrame) -> FloatArray:
    worst = np.ones(runs.height)
    for name, column in fit.recipe.columns.items():
        seen, asked = fit.data[column].cast(pl.Float64).to_numpy(), runs[name].cast(pl.Float64).to_numpy()
        if seen.min() > 0:
            worst = np.fmax(worst, np.fmax(asked / seen.max(), seen.min() / asked))
    return worst


def _quantile(fit: Fit, level: float) -> float:
    """Half widths of the fit's own robust intervals over their standard errors."""
    row = fit.tidy(level, method="robust").drop_nulls("high").row(0, named=True)
    if row["param"] in fit.recipe.on_log_scale:
        return float(np.log(row["high"] / row["estimate"]) / (row["std_error"] / row["estimate"]))
    return float((row["high"] - row["estimate"]) / row["std_error"])


def _ends(estimate: float, half: Any, transform: Callable[[Any], Any]) -> tuple[Any, Any]:
    if transform is np.log:
        return estimate * np.exp(-half), estimate * np.exp(half)
    return estimate - half, estimate + half
