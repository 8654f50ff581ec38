"""Which runs to train next for a budget: those after which a fit says most about what one wants to know."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL, html_table, magnitude, number, percent
from scalingdb.display import interval as interval_text
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits import Fit, as_frame, checked_inputs, evaluate_law
from scalingdb.planning._curve import FloatArray
from scalingdb.planning._drift import Design, Field, Purchase, Separation, State, bought, field_of

if TYPE_CHECKING:
    import altair as alt

__all__ = ["NextRuns", "next_runs", "prices_of"]

MOST_ROWS = 4000
"""Fitted rows and candidates; covariances are as large as their square."""

NOTHING = 1e-9
"""Share of the error that no run takes: the target does not depend on the candidates."""

Target = Mapping[str, float] | pl.DataFrame | Literal["law"]


TOLD: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "run_id": ("run", str),
    "n_params": ("N, parameters", magnitude),
    "n_params_non_embedding": ("N, non-embedding", magnitude),
    "n_params_active": ("N, active", magnitude),
    "n_tokens": ("D, tokens", magnitude),
    "n_tokens_unique": ("unique tokens", magnitude),
}
"""Columns of candidates that a notebook shows, with their heading and how a value is written."""

EXPECTED: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "fit": ("for fit", str),
    "cost": ("cost", lambda value: number(value, 3)),
    "total_cost": ("cost so far", lambda value: number(value, 3)),
    "low": ("interval after it, from", lambda value: number(value, 4)),
    "high": ("to", lambda value: number(value, 4)),
    "shrink": ("narrower than today by", percent),
    "separation": ("separation after it", lambda value: number(value, 3)),
    "error_chance": ("chance of the wrong law", percent),
}
"""What is expected of each run, likewise."""


@dataclass(frozen=True, eq=False)
class NextRuns:
    """Runs to train next. Made by :func:`next_runs`.

    Attributes
    ----------
    label : str
        What one wants to know, in words.
    budget, cost : float
        What may be spent, and what is.
    level : float
        Coverage of the intervals.
    """

    label: str
    budget: float
    cost: float
    level: float
    _table: pl.DataFrame = field(repr=False)
    _candidates: pl.DataFrame = field(repr=False)
    _summary: Mapping[str, Any] = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """The runs to train, in the order of their worth.

        Returns
        -------
        DataFrame
            The columns of the candidates, ``fit`` (which of two fits the run is for), ``cost``, ``total_cost`` (of this
            run and those before), and what is expected after it: ``low`` and ``high``, as wide as the interval of
            the target will be (around today's estimate, which the runs will move), and ``shrink``, the share of the
            width that is gone. For two laws, ``separation`` and ``error_chance`` in their place.
        """
        return self._table

    def glance(self) -> pl.DataFrame:
        """One row: ``target, estimate, low_now, high_now, low_after, high_after, shrink, budget, cost, n_runs,
        n_candidates``.

        For two laws, ``separation_now, separation_after, error_chance_now, error_chance_after`` in place of the
        estimate and its interval.
        """
        return pl.DataFrame([dict(self._summary)], infer_schema_length=None)

    def candidates(self) -> pl.DataFrame:
        """Every candidate with its ``cost``, whether it is ``chosen``, and ``shrink_alone``, what it would do alone."""
        return self._candidates

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        one = self._summary
        runs = f"{one['n_runs']} of {one['n_candidates']} runs, {percent(self.cost / self.budget)} of the budget"
        if "separation_now" in one:
            return (
                f"{self.label}: {runs}; if one of them is right, the better fit is the wrong one in "
                f"{percent(one['error_chance_now'])} of such studies today, in {percent(one['error_chance_after'])} "
                "after these runs."
            )
        now = interval_text(one["low_now"], one["high_now"], 4)
        after = interval_text(one["low_after"], one["high_after"], 4)
        spans = (
            f"; {100 * self.level:g} % interval {now} today, after these runs about as wide as {after}" if now else ""
        )
        return f"{self.label}: {runs}; the interval narrows by {percent(one['shrink'])}{spans}."

    def chart(self) -> alt.LayerChart:
        """What each candidate would do alone against its cost, and the runs that are chosen (Altair)."""
        from scalingdb import charts

        return charts.headed_by_sentence(charts.next_runs_chart(self._candidates), self.sentence)

    def __repr__(self) -> str:
        return f"<NextRuns: {self.sentence}>"

    def _repr_html_(self) -> str:
        # the columns of the candidates that the runs fill and that tell them apart, then what is expected of each
        own = [name for name in self._table.columns if name not in EXPECTED]
        names = [name for name in TOLD if name in own] or own[:4]
        shown = self._table.select(*names, *(name for name in EXPECTED if name in self._table.columns))
        shown = shown.select(column.name for column in shown if column.null_count() < shown.height)
        said = {**TOLD, **EXPECTED}
        head = [said[name][0] if name in said else name for name in shown.columns]
        rows = [
            [said[name][1](value) if name in said and value is not None else value for name, value in row.items()]
            for row in shown.iter_rows(named=True)
        ]
        return f"<p>{html.escape(self.sentence)}</p>{html_table(head, rows)}"


@dataclass(frozen=True, eq=False)
class _Asked:
    """What is asked: fields to first order, the target today, and how it is said."""

    label: str
    names: tuple[str, ...]
    states: list[State]
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    is_log: bool = False

    def ends(self, share: float) -> tuple[float | None, float | None]:
        """The interval with so much of its width."""
        if self.estimate is None or self.low is None or self.high is None:
            return None, None
        if self.is_log and min(self.low, self.estimate) > 0:
            low, high = (self.estimate * (end / self.estimate) ** share for end in (self.low, self.high))
        else:
            low, high = (self.estimate + share * (end - self.estimate) for end in (self.low, self.high))
        return low, high


def next_runs(
    fits: Fit | Sequence[Fit] | Mapping[str, Fit],
    candidates: pl.DataFrame,
    *,
    budget: float,
    target: Target,
    cost: str | None = None,
    most: int | None = None,
    level: float = DEFAULT_LEVEL,
) -> NextRuns:
    """Choose the runs that a budget should buy to know a target best.

    Parameters
    ----------
    fits : Fit, or two of them
        A fit to the runs so far; two fits (by name, or in a list) to compare two recipes or two laws.
    candidates : DataFrame
        One row per run that could be trained, with the inputs of the fit as columns. For two recipes a column ``fit``
        may name the one that a candidate belongs to; without it, each candidate can be trained with either.
    budget : float
        What may be spent, in the unit of the cost.
    target : mapping, DataFrame or "law"
        A prediction (``{"n_params": 7e10, "n_tokens": 1.4e12}``, all inputs of the fit; a frame for several, whose
        mean squared error counts); the optimal N of a budget in FLOP (``{"train_flops": 1e24}``). With two fits of one
        law to two recipes: the difference of their predictions, that is, the ranking. ``"law"``: which of two laws,
        both fitted to the same rows, is the right one.
    cost : str, optional
        Column of the candidates with their cost; ``train_flops`` if there is one, else ``6*N*D``.
    most : int, optional
        Runs at most: 1 for one run at a time, with a new fit after each.
    level : float
        Coverage of the intervals.

    Returns
    -------
    NextRuns
        ``tidy()`` holds the runs. The budget need not be spent in full: a run that the expected error does not gain
        from is not bought.

    Raises
    ------
    DataError
        If a candidate lacks an input or has one that the law cannot take, none is affordable, the target does not
        depend on the candidates, or the fits cannot be compared.
    UnknownNameError
        For an unknown column or input.

    Notes
    -----
    For a prediction, an optimum and a ranking the expected squared error of the plain fit is made small: its variance
    by the information of the runs, and its bias by the drift of the law away from the target (a random walk along the
    logarithms of scale and of tokens per parameter, as fast as the law has missed its own larger rows; see
    :meth:`Fit.predict`). Greedy purchase under three rules, of which the best is kept. For two laws: how many standard
    deviations they lie apart where each is bent towards the other as far as it goes (T-optimality).

    The interval today is that of :meth:`Fit.predict` or :meth:`Fit.optimum`; the one after the runs has the same width
    times the expected ratio of the errors, around today's estimate. Only its width is a forecast: the runs will move
    the estimate. On eleven finished studies (33 targets, a third of the runs known, a tenth of the cost spent) the
    median width after a new fit was 0.34 of today's, as expected, single ones half to twice that; the intervals of the
    new fits held 94 % of the targets, those around today's estimate 42 %
    (``benchmarks/next_runs_replay.py --widths``).

    References
    ----------
    Box and Draper, J. Amer. Statist. Assoc. 54 (1959) 622-654; Atkinson and Fedorov, Biometrika 62 (1975) 57-70
    (T-optimality); Atkinson, Donev and Tobias, Optimum Experimental Designs, with SAS (2007), chapters 10 and 20.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> runs = sdb.connect().points("epoch_chinchilla").sort("train_flops_6nd")
    >>> small = sdb.fit(runs.head(60), "chinchilla")
    >>> chosen = sdb.planning.next_runs(
    ...     small, runs.slice(60, 120), budget=5e20, target={"n_params": 7e9, "n_tokens": 1.4e11}
    ... )
    >>> chosen.cost <= 5e20, bool(0 < chosen.glance()["shrink"].item() < 1)
    (True, True)
    """
    check_level(level)
    named = _named(fits)
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 1):
        raise DataError(f"most={most!r} is not a whole number of runs", "leave it out, or give 1 or more.")
    table = _checked(named, candidates)
    prices = prices_of(next(iter(named.values())), table, cost)
    if not (np.isfinite(budget) and budget > 0):
        raise DataError(
            f"budget={budget!r} is not a positive number", "give what may be spent, in the unit of the cost."
        )
    if budget < prices.min():
        raise DataError(
            f"budget={budget:.4g} pays for none of the {table.height} candidates: the cheapest costs "
            f"{float(prices.min()):.4g}",
            "raise it, or add cheaper candidates.",
        )
    asked = _asked(named, table, target, level)
    costs = np.repeat(prices[None], len(asked.states), axis=0)
    if len(asked.states) > 1 and "fit" in table.columns:
        for i, name in enumerate(asked.names):
            costs[i, (table["fit"] != name).to_numpy()] = np.inf
    before = sum(state.error for state in asked.states)
    found = bought(asked.states, costs, float(budget), most)
    _refuse_no_effect(asked, found, costs, float(budget), before)
    return _result(asked, found, table, costs, float(budget), level)


def _named(fits: Fit | Sequence[Fit] | Mapping[str, Fit]) -> dict[str, Fit]:
    if isinstance(fits, Fit):
        return {fits.law.name: fits}
    many = dict(fits) if isinstance(fits, Mapping) else {f"{i}": one for i, one in enumerate(fits, 1)}
    if len(many) not in (1, 2) or not all(isinstance(one, Fit) for one in many.values()):
        raise DataError(
            f"next_runs takes one fit or two, not {len(many)} of {fits!r}"[:300], "fit the runs first: sdb.fit."
        )
    return many


def _checked(named: Mapping[str, Fit], candidates: pl.DataFrame) -> pl.DataFrame:
    table = as_frame(candidates)
    if table.is_empty():
        raise DataError("there are no candidates", "give at least one row.")
    for name, fit in named.items():
        checked_inputs(fit, table)
        values = fit._evaluate(table)
        bad = ~np.isfinite(values) | ((values <= 0) if fit._kind.is_log else False)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise DataError(
                f"candidate {row} lies outside the domain of law {fit.law.name!r} (fit {name!r}): it predicts "
                f"{values[row]:.4g} there",
                "leave it out.",
            )
        if fit.data.height + table.height > MOST_ROWS:
            raise DataError(
                f"{fit.data.height} fitted rows and {table.height} candidates are more than {MOST_ROWS}",
                "thin the candidates.",
            )
    if len(named) > 1 and "fit" in table.columns:
        for value in table["fit"].unique():
            if value not in named:
                raise unknown_name("fit", str(value), tuple(named), "(in the column 'fit' of the candidates)")
    return table


def prices_of(fit: Fit, table: pl.DataFrame, cost: str | None) -> FloatArray:
    """What candidates (m,) cost: a column, or ``6*N*D``."""
    if cost is None and "train_flops" in table.columns and table["train_flops"].null_count() == 0:
        cost = "train_flops"
    if cost is not None:
        if cost not in table.columns:
            raise unknown_name("column", cost, table.columns, "(of the candidates)")
        if not table[cost].dtype.is_numeric():
            raise DataError(f"column {cost!r} holds {table[cost].dtype}, not numbers", "name a column of costs.")
        prices = table[cost].cast(pl.Float64).to_numpy()
    else:
        columns = fit.recipe.columns
        sizes = [column for name, column in columns.items() if name.startswith("n_params")]
        if len(sizes) != 1 or "n_tokens" not in columns:
            raise DataError(
                "the cost of a candidate does not follow from its inputs", "add a column and name it: cost=..."
            )
        prices = 6 * (table[sizes[0]].cast(pl.Float64) * table[columns["n_tokens"]].cast(pl.Float64)).to_numpy()
    if not (np.isfinite(prices).all() and (prices > 0).all()):
        row = int(np.flatnonzero(~(np.isfinite(prices) & (prices > 0)))[0])
        raise DataError(
            f"candidate {row} costs {float(prices[row])!r}, not a positive number", "correct it, or leave it out."
        )
    return np.asarray(prices, dtype=float)


def _asked(named: Mapping[str, Fit], table: pl.DataFrame, target: Target, level: float) -> _Asked:
    names = tuple(named)
    fits = list(named.values())
    if isinstance(target, str):
        if target != "law":
            raise DataError(
                f"target={target!r} is none of the targets of next_runs",
                "give inputs, {'train_flops': ...}, or 'law' with two fits; next_run takes single parameters.",
            )
        return _choice(names, fits, table)
    if isinstance(target, Mapping) and list(target) == ["train_flops"] and "train_flops" not in fits[0].law.inputs:
        if len(fits) > 1:
            raise DataError(
                "the optimum of two fits is not a single target", "give one fit, or inputs at which to compare."
            )
        return _optimum(fits[0], table, float(target["train_flops"]), level)
    frames = [_inputs(name, fit, target) for name, fit in named.items()]
    if len(fits) == 1:
        return _prediction(fits[0], table, frames[0], level)
    if frames[0].height != 1:
        raise DataError(f"a ranking is asked at one place, and the target has {frames[0].height} rows", "give one.")
    return _ranking(names, fits, table, frames, level)


def _inputs(name: str, fit: Fit, target: Mapping[str, float] | pl.DataFrame) -> pl.DataFrame:
    if isinstance(target, Mapping):
        columns = fit.recipe.columns
        known = {**columns, **{column: column for column in columns.values()}}
        for key in target:
            if key not in known:
                raise unknown_name("input", key, tuple(columns.values()), f"(of fit {name!r})")
        given = {known[key]: [float(value)] for key, value in target.items()}
        if missing := [column for column in columns.values() if column not in given]:
            raise DataError(f"the target lacks {', '.join(missing)}", "name every input of the fit.")
        frame = pl.DataFrame(given)
    else:
        frame = as_frame(target)
        if frame.is_empty():
            raise DataError("the target has no rows", "give at least one.")
    return checked_inputs(fit, frame)


def _value_at(fit: Fit, frame: pl.DataFrame) -> Callable[[FloatArray], FloatArray]:
    arrays = fit._arrays(frame)

    def value(theta: FloatArray) -> FloatArray:
        values = evaluate_law(fit.law, theta, arrays)
        return np.asarray(np.log(values) if fit._kind.is_log else values)

    return value


def _prediction(fit: Fit, table: pl.DataFrame, frame: pl.DataFrame, level: float) -> _Asked:
    part = field_of(fit, table, _value_at(fit, frame), frame)
    said = fit.predict(frame, level)
    finite = bool(np.isfinite(said["low"].to_numpy()).all() and np.isfinite(said["high"].to_numpy()).all())
    at = frame.row(0, named=True)
    where = ", ".join(f"{column}={number(float(at[column]), 3)}" for column in fit.recipe.columns.values())
    label = f"{fit.recipe.output} at {where}" if frame.height == 1 else f"{fit.recipe.output} at {frame.height} places"
    if frame.height > 1:
        return _Asked(label, (fit.law.name,), [_usable(part, fit)])
    low, high = (said["low"][0], said["high"][0]) if finite else (None, None)
    return _Asked(label, (fit.law.name,), [_usable(part, fit)], said["prediction"][0], low, high, fit._kind.is_log)


def _optimum(fit: Fit, table: pl.DataFrame, flops: float, level: float) -> _Asked:
    from scalingdb.fits import optimal

    best = fit.optimum(flops, level).row(0, named=True)
    size = next(name for name in fit.law.inputs if name != "n_tokens")
    there = pl.DataFrame(
        {fit.recipe.columns[size]: [best["n_params"]], fit.recipe.columns["n_tokens"]: [best["n_tokens"]]}
    )
    solve = optimal(fit, flops)
    part = field_of(fit, table, lambda theta: np.log(solve(theta)[:, :1]), there)
    low, high = best["n_params_low"], best["n_params_high"]
    if not all(end is not None and np.isfinite(end) for end in (low, high)):
        low = high = None
    label = f"optimal N of {number(flops, 3)} FLOP"
    return _Asked(label, (fit.law.name,), [_usable(part, fit)], best["n_params"], low, high, True)


def _ranking(
    names: tuple[str, ...], fits: list[Fit], table: pl.DataFrame, frames: list[pl.DataFrame], level: float
) -> _Asked:
    a, b = fits
    if a.recipe.output != b.recipe.output or a._kind.is_log != b._kind.is_log:
        raise DataError(
            f"fit {names[0]!r} is of {a.recipe.output}, fit {names[1]!r} of {b.recipe.output}, or one takes logarithms",
            "fit both to one output with one objective.",
        )
    states: list[State] = []
    values, halves = [], []
    for fit, frame in zip(fits, frames, strict=True):
        states.append(_usable(field_of(fit, table, _value_at(fit, frame), frame), fit))
        said = fit.predict(frame, level).row(0, named=True)
        ends = np.array([said["low"], said["high"], said["prediction"]], dtype=float)
        with np.errstate(all="ignore"):
            low, high, value = np.log(ends) if a._kind.is_log else ends
        values.append(value)
        halves.append((high - low) / 2)
    gap, half = float(values[0] - values[1]), float(np.hypot(*halves))
    what = "logarithm of the ratio" if a._kind.is_log else "difference"
    label = f"ranking of {names[0]} and {names[1]} ({what} of their {a.recipe.output})"
    low, high = (gap - half, gap + half) if np.isfinite(half) else (None, None)
    return _Asked(label, names, states, gap, low, high)


def _choice(names: tuple[str, ...], fits: list[Fit], table: pl.DataFrame) -> _Asked:
    if len(fits) != 2:
        raise DataError("target='law' asks which of two laws is right, and there is one fit", "give two fits: [a, b].")
    a, b = fits
    same = a.data.height == b.data.height and a.recipe.output == b.recipe.output and a._kind.is_log == b._kind.is_log
    if not same or not np.array_equal(a.data[a.recipe.output].to_numpy(), b.data[b.recipe.output].to_numpy()):
        raise DataError(
            "the two fits are not of the same rows and output", "fit both laws to one frame, with one objective."
        )
    parts = []
    gaps = []
    for fit in fits:
        everything = pl.concat(
            [frame.select(*fit.recipe.columns.values()) for frame in (fit.data, table)], how="vertical_relaxed"
        )
        value = _value_at(fit, everything)
        parts.append(field_of(fit, table, lambda theta, value=value: value(theta)[:, :1], everything.head(1)))  # type: ignore[misc]
        gaps.append(value(fit._estimate.theta[None])[0])
    state = Separation((parts[0], parts[1]), gaps[0] - gaps[1])
    laws = [fit.law.name for fit in fits]
    return _Asked(f"{laws[0]} or {laws[1]}", names, [state])


def _usable(part: Field, fit: Fit) -> Design:
    if not (np.isfinite(part.target_slopes).all() and np.isfinite(part.slopes).all()):
        raise DataError(
            "the target or a candidate has no derivative at the estimate", f"see the fit's verdict: {fit.verdict}."
        )
    if not part.target_slopes.size or np.abs(part.target_slopes).max() <= NOTHING * part.noise:
        raise DataError("the target does not depend on any parameter that was fitted", "ask for something else.")
    return Design(part)


def _refuse_no_effect(asked: _Asked, found: Purchase, costs: FloatArray, budget: float, before: float) -> None:
    if found.errors and before - found.errors[-1] > NOTHING * max(abs(before), 1.0 if before == 0 else 0.0):
        return
    affordable = int(np.isfinite(np.where(costs <= budget, costs, np.inf)).any(0).sum())
    raise DataError(
        f"none of the {affordable} affordable candidates is expected to bring the fit closer to the target "
        f"({asked.label})",
        "offer runs nearer to it, raise the budget, or ask for something that depends on them.",
    )


def _chance(separation: float) -> float:
    """Probability that the worse of two laws wins: half the standard deviations between them, as a normal tail."""
    from scipy.special import ndtr

    return float(ndtr(-separation / 2))


def _result(
    asked: _Asked, found: Purchase, table: pl.DataFrame, costs: FloatArray, budget: float, level: float
) -> NextRuns:
    before = sum(state.error for state in asked.states)
    is_choice = isinstance(asked.states[0], Separation)
    picked = [run for _, run in found.runs]
    spent = np.array([costs[part, run] for part, run in found.runs])
    rows = table[picked]
    if len(asked.states) > 1:
        rows = rows.with_columns(fit=pl.Series([asked.names[part] for part, _ in found.runs]))
    rows = rows.with_columns(cost=pl.Series(spent), total_cost=pl.Series(spent.cumsum()))
    summary: dict[str, Any] = {"target": asked.label}
    alone = [state.errors_with(np.arange(table.height)) for state in asked.states]
    total = {"budget": budget, "cost": float(spent.sum()), "n_runs": len(picked), "n_candidates": table.height}
    if is_choice:
        apart = np.sqrt(np.maximum(-np.array([before, *found.errors]), 0.0))
        rows = rows.with_columns(
            separation=pl.Series(apart[1:]), error_chance=pl.Series([_chance(v) for v in apart[1:]])
        )
        summary |= {"separation_now": float(apart[0]), "separation_after": float(apart[-1])}
        summary |= {"error_chance_now": _chance(apart[0]), "error_chance_after": _chance(apart[-1])}
        gain = np.sqrt(np.maximum(-alone[0], 0.0)) - apart[0]
        worth = {"separation_alone": gain}
    else:
        left = np.sqrt(np.array(found.errors) / before)
        ends = [asked.ends(share) for share in left]
        rows = rows.with_columns(
            low=pl.Series([low for low, _ in ends], dtype=pl.Float64),
            high=pl.Series([high for _, high in ends], dtype=pl.Float64),
            shrink=pl.Series(1 - left),
        )
        summary |= {"estimate": asked.estimate, "low_now": asked.low, "high_now": asked.high}
        summary |= {"low_after": ends[-1][0], "high_after": ends[-1][1], "shrink": float(1 - left[-1])}
        rest = [before - state.error for state in asked.states]
        after = np.array([values + other for values, other in zip(alone, rest, strict=True)])
        worth = {
            "shrink_alone": 1 - np.sqrt(np.maximum(np.where(np.isfinite(costs), after, np.inf).min(0), 0.0) / before)
        }
    prices = costs.min(0)
    shown = table.with_columns(
        cost=pl.Series(prices),
        chosen=pl.Series(np.isin(np.arange(table.height), picked)),
        **{name: pl.Series(values) for name, values in worth.items()},
    )
    return NextRuns(asked.label, budget, float(spent.sum()), level, rows, shown, {**summary, **total})
