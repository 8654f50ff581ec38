"""The best inputs of a law under any cost."""

from __future__ import annotations

import html
import inspect
import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table, number
from scalingdb.display import interval as interval_text
from scalingdb.errors import DataError, DomainWarning, check_level, unknown_name
from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import Fit
from scalingdb.law_library import Law, get_law
from scalingdb.law_library._ranges import range_of
from scalingdb.planning._box import least_in_box
from scalingdb.planning._curve import BoolArray, Curve, FloatArray, curve_of, input_named, is_better_higher, root
from scalingdb.schema import COLUMNS, MOST, N_DEFINITIONS

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Optimum", "optimise"]

REACH = 1e6
"""Times beyond the range of an input, on either side, within which its best value is looked for."""

MOST_INPUTS = 4
"""Inputs, besides whole numbers and the one that the cost decides, that can be chosen at once."""

MOST_WHOLE = 20_000
"""Combinations of whole numbers that are tried."""

WHOLE_IN_DRAWS = 64
"""Combinations of whole numbers, the best of the estimate, among which a draw chooses."""

CostFunction = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class _Problem:
    """What is chosen, between which bounds, and what it costs."""

    curve: Curve
    names: Mapping[str, str]  # input of the law by the name that the user gave it
    bounds: Mapping[str, tuple[float, float]]
    whole: tuple[str, ...]
    cost: CostFunction | None
    sign: float  # 1 where less is better

    @property
    def real(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.whole)

    def objective(self, theta: FloatArray, x: Mapping[str, FloatArray]) -> FloatArray:
        """What is minimised (P, B); infinite where the law has no value."""
        values = self.sign * self.curve.value(theta, **{self.names[name]: v for name, v in x.items()})
        return np.where(np.isfinite(values), values, np.inf)

    def price(self, x: Mapping[str, FloatArray]) -> FloatArray:
        """Cost at inputs by name.

        Raises
        ------
        DataError
            If it is not a positive number.
        """
        assert self.cost is not None
        with np.errstate(all="ignore"):
            values = np.asarray(self.cost(**x), dtype=float)
        if not (values > 0).all() or np.isnan(values).any():
            spot = int(np.flatnonzero(~(values > 0).ravel())[0])
            shape = np.broadcast_shapes(values.shape, *(np.shape(v) for v in x.values()))
            where = ", ".join(f"{name}={np.broadcast_to(v, shape).ravel()[spot]:.4g}" for name, v in x.items())
            raise DataError(f"the cost is {values.ravel()[spot]:.4g} at {where}", "a cost must be a positive number.")
        return values


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best inputs of a law, one row per budget. Made by :func:`optimise`.

    Attributes
    ----------
    label : str
        Law and coefficients.
    over : tuple of str
        Inputs that were chosen.
    output : str
    interval : str
        How intervals are made, or why there are none.
    level : float
    """

    label: str
    over: tuple[str, ...]
    output: str
    interval: str
    level: float
    _table: pl.DataFrame = field(repr=False)
    _problem: _Problem = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per budget.

        Returns
        -------
        DataFrame
            ``budget, cost`` (null without a cost), each chosen input and the output with ``_low`` and ``_high``,
            ``at_bound`` (inputs that lie on a bound of the search, and which one; null where none does),
            ``budget_left`` (whether the best inputs cost less than the budget), and ``share`` (of the draws, how many
            have an optimum inside the bounds; null without draws).
        """
        return self._table

    def glance(self) -> pl.DataFrame:
        """One row: ``law, over, output, n_budgets, n_at_bound, level, interval``."""
        return pl.DataFrame(
            {
                "law": [self.label],
                "over": [", ".join(self.over)],
                "output": [self.output],
                "n_budgets": [self._table.height],
                "n_at_bound": [self._table["at_bound"].count()],
                "level": [self.level],
                "interval": [self.interval],
            }
        )

    @property
    def sentence(self) -> str:
        """The result as a person would say it; of several budgets the first and the last."""
        rows = self._table.rows(named=True)
        said = []
        for row in rows if len(rows) == 1 else [rows[0], rows[-1]]:
            parts = []
            for name in self.over:
                span = interval_text(row[f"{name}_low"], row[f"{name}_high"], 3)
                parts.append(f"{name} = {number(row[name], 4)}" + (f" ({span})" if span else ""))
            text = f"{self.output} of {number(row[self.output], 4)} at {', '.join(parts)}"
            if row["budget"] is not None:
                text = f"for {number(row['budget'], 4)}: {text}"
            if row["budget_left"]:
                text += f"; it costs {number(row['cost'], 4)}, and spending more makes it worse"
            if row["at_bound"] is not None:
                text += f"; no optimum inside: {row['at_bound']}"
            said.append(text)
        return f"{self.label}: {'; '.join(said)}."

    def curves(self) -> pl.DataFrame:
        """Output of the first row along each chosen input, the others chosen best: ``input, x, value``."""
        row, problem = self._table.row(0, named=True), self._problem
        frames = []
        for name in self.over:
            low, high = problem.bounds[name]
            if name in problem.whole:
                x = np.unique(np.round(np.linspace(low, high, 25)))
            elif low > 0:
                x = np.geomspace(max(row[name] / 30, low), min(row[name] * 30, high), 25)
            else:
                x = np.linspace(low, high, 25)
            frames.append(pl.DataFrame({"input": name, "x": x, "value": _values_with(problem, name, x, row["budget"])}))
        return pl.concat(frames).with_columns(pl.col("value").fill_nan(None))

    def chart(self) -> alt.HConcatChart:
        """The output along each chosen input, the others chosen best; the optimum and its interval (Altair)."""
        from scalingdb import charts

        row = self._table.row(0, named=True)
        best = pl.DataFrame(
            {
                "input": list(self.over),
                "best": [row[name] for name in self.over],
                "low": [row[f"{name}_low"] for name in self.over],
                "high": [row[f"{name}_high"] for name in self.over],
                "value": [row[self.output]] * len(self.over),
            },
            schema_overrides={"low": pl.Float64, "high": pl.Float64},
        )
        return charts.headed_by_sentence(charts.optimum_chart(self.curves(), best, self.output), self.sentence)

    def __repr__(self) -> str:
        return f"<Optimum: {self.sentence}>"

    def _repr_html_(self) -> str:
        shown = [name for name in ("budget", *self.over, self.output) if self._table[name].count()]
        rows = []
        for row in self._table.iter_rows(named=True):
            cells = []
            for name in shown:
                span = interval_text(row.get(f"{name}_low"), row.get(f"{name}_high"), 3)
                cells.append(number(row[name], 4) + (f" ({span})" if span else ""))
            rows.append([*cells, row["at_bound"] or ""])
        table = html_table([*shown, "at a bound"], rows)
        return f"<p>{html.escape(self.sentence)}</p>{table}<p>Intervals: {html.escape(self.interval)}.</p>"


@told
def optimise(
    law: str | Law | Fit,
    *,
    over: Sequence[str],
    cost: str | CostFunction | None = None,
    budget: float | Sequence[float] | None = None,
    whole: Sequence[str] = (),
    between: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    higher_is_better: bool | None = None,
    variant: str | None = None,
    level: float = DEFAULT_LEVEL,
    **given: float,
) -> Optimum:
    """The inputs of a law that give the best output for a budget, under any cost.

    Several inputs are chosen at once, real or whole numbers: parameters and tokens, vocabulary, the split of bits or of
    encoder and decoder, experts, the share of data that is kept, the patch size.

    Parameters
    ----------
    law : str, Law or Fit
    over : sequence of str
        Inputs to choose: names of the law's, or the columns that a fit took for them.
    cost : callable or "6nd", optional
        ``cost(**inputs)`` takes the chosen inputs by name, as arrays, and returns a positive number in any unit.
        ``"6nd"`` is ``6 * N * D`` with the law's N. Without a cost the output is optimised inside the bounds.
    budget : float or sequence of float, optional
        What may be spent, in the unit of the cost.
    whole : sequence of str
        Inputs among `over` that are whole numbers; every combination inside their bounds is tried.
    between : mapping of str to (float, float)
        Bounds of inputs. By default a millionth to a million times the range that the coefficients were fitted on,
        inside what the input can be; for whole numbers, and for inputs that may be zero, that range itself.
    higher_is_better : bool, optional
        Direction of the output; by default that of the metric of this name, and less for losses and errors.
    variant : str, optional
        Published coefficient set.
    level : float
        Coverage of the intervals.
    **given : float
        Values of the other inputs, in their units, and own coefficients of a law.

    Returns
    -------
    Optimum
        ``at_bound`` names inputs that ended at a bound of the search, where the law has no optimum. Where spending all
        makes the output worse, the best inputs cost less than the budget and ``budget_left`` is true. A fit has
        intervals.

    Raises
    ------
    DataError
        If a cost is not positive, does not rise with any of the inputs, or exceeds the budget everywhere; if more than
        five real inputs are chosen, or the direction is not known.
    UnknownNameError
        For an unknown law, input, parameter or variant.

    Warns
    -----
    DomainWarning
        If the optimum lies outside the range that published coefficients were fitted on, or ten times beyond the rows
        of a fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> best = sdb.optimise("chinchilla", over=["n_params", "n_tokens"], cost="6nd", budget=5.76e21)
    >>> print(f"{best.tidy()['n_params'].item():.3g}")
    6.82e+09
    """
    check_level(level)
    problem = _stated(law, over, cost, whole, between, higher_is_better, variant, given)
    budgets = _budgets(problem, budget)
    rows = [_row(problem, spend, level) for spend in budgets]
    output = problem.curve.law.output
    floats = [n for name in (*problem.names, output) for n in (name, f"{name}_low", f"{name}_high")]
    schema = {
        "budget": pl.Float64,
        "cost": pl.Float64,
        **dict.fromkeys(floats, pl.Float64),
        "at_bound": pl.String,
        "budget_left": pl.Boolean,
        "share": pl.Float64,
    }
    table = pl.DataFrame(rows, schema=schema)
    far = problem.curve.beyond({own: table[name].to_numpy() for name, own in problem.names.items()})[1]
    if far:
        warnings.warn(
            f"the optimum by {problem.curve.label} extrapolates: {'; '.join(far)}", DomainWarning, stacklevel=3
        )
    interval = problem.curve.open_reason or problem.curve.interval
    return Optimum(problem.curve.label, tuple(problem.names), output, interval, level, table, problem)


def _stated(
    law: str | Law | Fit,
    over: Sequence[str],
    cost: str | CostFunction | None,
    whole: Sequence[str],
    between: Mapping[str, tuple[float, float]],
    higher_is_better: bool | None,
    variant: str | None,
    given: Mapping[str, float],
) -> _Problem:
    """Check a question and state it."""
    chosen = (over,) if isinstance(over, str) else tuple(over)
    names: dict[str, str] = {}
    for name in chosen:
        own = input_named(law, name)
        if own is None:
            entry = law.law if isinstance(law, Fit) else get_law(law)
            raise unknown_name("input", name, entry.inputs, f"(of law {entry.name!r}, to choose)")
        names[name] = own
    if not names or len(set(names.values())) < len(chosen):
        raise DataError(f"over={list(chosen)!r} does not name inputs to choose", "name each of them once.")
    for option, words in (("whole", whole), ("between", between)):
        for name in words:
            if name not in names:
                raise unknown_name("input", name, names, f"(in {option}, of those in over)")
    curve = curve_of(law, tuple(names.values()), given, variant)
    better_higher = is_better_higher(curve.law.output) if higher_is_better is None else higher_is_better
    if better_higher is None:
        raise DataError(
            f"it is not known whether a higher {curve.law.output} is better", "say it: higher_is_better=True or False."
        )
    bounds = {name: _bounds(curve, name, own, between.get(name), name in whole) for name, own in names.items()}
    problem = _Problem(
        curve,
        MappingProxyType(names),
        bounds,
        tuple(whole),
        _cost_function(cost, names),
        -1.0 if better_higher else 1.0,
    )
    if len(problem.real) - (cost is not None) > MOST_INPUTS:
        raise DataError(f"{len(problem.real)} inputs are chosen at once", f"fix some: at most {MOST_INPUTS + 1}.")
    size = math.prod(int(bounds[name][1] - bounds[name][0]) + 1 for name in whole)
    if size > MOST_WHOLE:
        raise DataError(
            f"{size} combinations of whole numbers are too many to try",
            f"narrow them, for example between={{'{whole[0]}': (1, 64)}}, or choose real numbers and round.",
        )
    return problem


def _bounds(
    curve: Curve, name: str, own: str, between: tuple[float, float] | None, is_whole: bool
) -> tuple[float, float]:
    """Bounds of one input."""
    can_be_zero = own in curve.law.signed_inputs
    if between is not None:
        low, high = (float(end) for end in between)
        if not (np.isfinite([low, high]).all() and low < high and (low > 0 or can_be_zero)):
            raise DataError(
                f"between={between!r} is not a valid range of {name}", "give (low, high) with 0 < low < high."
            )
    else:
        low, high = curve.ranges.get(own) or range_of(curve.law, own)
        if not is_whole and not can_be_zero:
            column = COLUMNS.get(name)
            most = column.maximum if column is not None and column.unit not in MOST else None
            low, high = low / REACH, min(high * REACH, np.inf if most is None else most)
        if not np.isfinite(high):
            high = REACH * max(low, 1.0)
    return (float(np.ceil(low)), float(np.floor(high))) if is_whole else (low, high)


def _cost_function(cost: str | CostFunction | None, names: Mapping[str, str]) -> CostFunction | None:
    """The cost as a function of all chosen inputs by name."""
    if cost is None or not isinstance(cost, str):
        if cost is None:
            return None
        if not callable(cost):
            raise DataError(f"cost={cost!r} is not a function", 'give a function of the inputs by name, or "6nd".')
        try:
            takes = inspect.signature(cost).parameters
        except (TypeError, ValueError):
            return cost
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in takes.values()):
            return cost
        for name in takes:
            if name not in names and takes[name].default is inspect.Parameter.empty:
                raise unknown_name("input", name, names, "(that the cost takes, among those in over)")
        used = [name for name in names if name in takes]
        return lambda **x: cost(**{name: x[name] for name in used})
    if cost != "6nd":
        raise unknown_name("cost", cost, ("6nd",))
    sizes = [name for name, own in names.items() if own in N_DEFINITIONS or own == "n_params_average"]
    tokens = [name for name, own in names.items() if own == "n_tokens"]
    if len(sizes) != 1 or len(tokens) != 1:
        raise DataError(f"cost='6nd' needs N and D among {list(names)}", "write the cost as a function.")
    return lambda **x: 6 * x[sizes[0]] * x[tokens[0]]


def _budgets(problem: _Problem, budget: float | Sequence[float] | None) -> Sequence[float | None]:
    if (budget is None) != (problem.cost is None):
        missing = "cost" if problem.cost is None else "budget"
        raise DataError(f"a budget and a cost go together, and the {missing} is missing", f"give {missing}=...")
    if budget is None:
        return [None]
    budgets: list[float] = [float(value) for value in np.atleast_1d(np.asarray(budget, dtype=float))]
    if not budgets or not (np.isfinite(budgets).all() and min(budgets) > 0):
        raise DataError(f"budget={budget!r} is not a positive number", "give it in the unit of the cost.")
    return budgets


@dataclass(frozen=True)
class _Best:
    """Best inputs of P coefficient sets: values (P,) by name, the objective (P,) and what lies on a bound."""

    x: dict[str, FloatArray]
    value: FloatArray
    at_bound: dict[str, BoolArray]
    budget_left: BoolArray


def _row(problem: _Problem, budget: float | None, level: float) -> dict[str, Any]:
    curve, output = problem.curve, problem.curve.law.output
    combinations = _combinations(problem)
    best, ranked = _over_whole(problem, curve.estimate, budget, combinations)
    if not np.isfinite(best.value[0]):
        raise DataError(
            f"{curve.label} has no value inside the bounds"
            + ("" if budget is None else f" that costs at most {budget:.4g}"),
            "widen the bounds or the budget: between={...}, budget=...",
        )
    x = {name: float(best.x[name][0]) for name in problem.names}
    row: dict[str, Any] = {"budget": budget, **x, output: problem.sign * float(best.value[0])}
    row["cost"] = None if budget is None else float(problem.price({k: np.array([v]) for k, v in x.items()}).ravel()[0])
    stuck = [name for name in problem.names if best.at_bound[name][0]]
    row["at_bound"] = ", ".join(_at(problem, name, x[name]) for name in stuck) or None
    row["budget_left"] = None if budget is None else bool(best.budget_left[0])
    row["share"] = None
    if curve.has_interval and not curve.open_reason:
        drawn, inside = _draws(problem, budget, ranked[:WHOLE_IN_DRAWS])
        row["share"] = float(inside.mean())
        for name, values in drawn.items():
            low, high = interval(values, level)
            key = output if name == "" else name
            row[f"{key}_low"], row[f"{key}_high"] = float(low), float(high)
    return row


def _at(problem: _Problem, name: str, value: float) -> str:
    low, high = problem.bounds[name]
    side = "lower" if abs(value - low) <= abs(value - high) else "upper"
    return f"{name} at its {side} bound {number(low if side == 'lower' else high, 4)}"


def _draws(
    problem: _Problem, budget: float | None, combinations: Sequence[dict[str, float]]
) -> tuple[dict[str, FloatArray], BoolArray]:
    """Best inputs and output (under ``""``) of every draw, and which draws have their optimum inside the bounds."""
    flags: list[BoolArray] = []

    def solved(theta: FloatArray) -> dict[str, FloatArray]:
        best, _ = _over_whole(problem, theta, budget, combinations)
        flags.append(~np.any([*best.at_bound.values()], axis=0) & np.isfinite(best.value))
        lost = ~np.isfinite(best.value)
        values = {"": problem.sign * best.value, **best.x}
        return {name: np.where(lost, np.nan, v)[:, None] for name, v in values.items()}

    if problem.whole and problem.curve.is_first_order:  # a whole number has no slope to be carried over by
        drawn = solved(problem.curve.draws)
    else:
        drawn = problem.curve.spread(solved)
    return {name: values[:, 0] for name, values in drawn.items()}, flags[-1]


def _combinations(problem: _Problem) -> list[dict[str, float]]:
    """All whole numbers inside their bounds; those that cost too much on their own are left out later."""
    axes = [np.arange(low, high + 1) for low, high in (problem.bounds[name] for name in problem.whole)]
    return [dict(zip(problem.whole, map(float, values), strict=True)) for values in itertools.product(*axes)]


def _over_whole(
    problem: _Problem, theta: FloatArray, budget: float | None, combinations: Sequence[dict[str, float]]
) -> tuple[_Best, list[dict[str, float]]]:
    """The best of all combinations of whole numbers, and these in the order of the first coefficient set."""
    if not problem.real:
        return _listed(problem, theta, budget, combinations)
    found = [_best(problem, theta, budget, fixed) for fixed in combinations]
    values, nowhere = np.stack([one.value for one in found]), np.zeros(theta.shape[0], dtype=bool)
    pick, rows = values.argmin(0), np.arange(theta.shape[0])
    x = {name: np.stack([one.x[name] for one in found])[pick, rows] for name in problem.names}
    stuck = {name: np.stack([one.at_bound.get(name, nowhere) for one in found])[pick, rows] for name in problem.real}
    for name in problem.whole:
        stuck[name] = np.isin(x[name], problem.bounds[name])
    left = np.stack([one.budget_left for one in found])[pick, rows]
    order = np.argsort(values[:, 0], kind="stable")
    return _Best(x, values[pick, rows], stuck, left), [combinations[i] for i in order]


def _listed(
    problem: _Problem, theta: FloatArray, budget: float | None, combinations: Sequence[dict[str, float]]
) -> tuple[_Best, list[dict[str, float]]]:
    """The best of a list of whole numbers, where nothing else is chosen."""
    columns = {name: np.array([one[name] for one in combinations]) for name in problem.whole}
    values = problem.objective(theta, {name: column[None] for name, column in columns.items()})
    price = np.zeros(len(combinations))
    if budget is not None:
        price = np.broadcast_to(problem.price(columns), price.shape)
        values = np.where(price <= budget * (1 + 1e-12), values, np.inf)
    pick = values.argmin(1)
    x = {name: column[pick] for name, column in columns.items()}
    stuck = {}
    for name in problem.whole:
        low, high = problem.bounds[name]
        affordable = columns[name][np.isfinite(values[0])]
        # the largest number that can be paid for is no bound of the search
        top = high if affordable.size and affordable.max() == high else np.inf
        stuck[name] = (x[name] == low) | (x[name] == top)
    left = np.zeros(len(theta), dtype=bool) if budget is None else price[pick] < budget * (1 - 1e-12)
    order = np.argsort(values[0], kind="stable")
    return _Best(x, values.min(1), stuck, left), [combinations[i] for i in order]


def _scaled(problem: _Problem, name: str) -> tuple[float, float, Callable[[FloatArray], FloatArray]]:
    """Bounds of an input on the scale it is searched on, and the way back."""
    low, high = problem.bounds[name]
    if low > 0:
        return float(np.log(low)), float(np.log(high)), np.exp
    return low, high, lambda value: value


def _best(problem: _Problem, theta: FloatArray, budget: float | None, fixed: Mapping[str, Any]) -> _Best:
    """Best real inputs for given whole ones (or any inputs that are `fixed`)."""
    free = [name for name in problem.names if name not in fixed]
    count = theta.shape[0]
    if budget is None:
        return _inside(problem, theta, None, fixed, free)
    if not free:
        x = {name: np.broadcast_to(np.asarray(value, dtype=float), (count,)) for name, value in fixed.items()}
        value = problem.objective(theta, {name: v[:, None] for name, v in x.items()})[:, 0]
        price = problem.price(x)
        none = np.zeros(count, dtype=bool)
        return _Best(x, np.where(price <= budget, value, np.inf), {}, none | (price < budget))
    paid = _paid_by(problem, fixed, free)
    others = [name for name in free if name != paid]
    spans = [_scaled(problem, name) for name in others]
    held = {name: np.reshape(value, (-1, 1)) for name, value in fixed.items()}

    def inputs(z: FloatArray) -> dict[str, FloatArray]:
        x = {
            **held,
            **{name: back(z[..., i]) for i, (name, (_, _, back)) in enumerate(zip(others, spans, strict=True))},
        }
        return {**x, paid: _affordable(problem, x, paid, budget, z.shape[:2])}

    def spent(z: FloatArray) -> FloatArray:
        x = inputs(z)
        return np.where(np.isfinite(x[paid]), problem.objective(theta, x), np.inf)

    low, high = np.array([s[0] for s in spans]), np.array([s[1] for s in spans])
    z, least, stuck = least_in_box(spent, low, high, count)
    x = {name: np.broadcast_to(v, (count, 1))[:, 0] for name, v in inputs(z[:, None, :]).items()}
    on_bound = {name: stuck[:, i] for i, name in enumerate(others)}
    ceiling = problem.bounds[paid][1]
    on_bound[paid] = x[paid] >= ceiling * (1 - 1e-9)
    left = on_bound[paid].copy()
    with np.errstate(all="ignore"):
        thrifty = problem.objective(theta, {n: (v * 0.999 if n == paid else v)[:, None] for n, v in x.items()})[:, 0]
        wasteful = np.asarray(thrifty < least - 1e-15 * np.abs(least))
    if wasteful.any():  # spending all is not best: look inside the budget too
        inner = _inside(problem, theta, budget, fixed, free)
        better = wasteful & (inner.value < least)
        x = {name: np.where(better, inner.x[name], v) for name, v in x.items()}
        least = np.where(better, inner.value, least)
        on_bound = {name: np.where(better, inner.at_bound[name], v) for name, v in on_bound.items()}
        left = np.where(better, True, left)
    return _Best(x, least, on_bound, left)


def _inside(
    problem: _Problem,
    theta: FloatArray,
    budget: float | None,
    fixed: Mapping[str, Any],
    free: Sequence[str],
) -> _Best:
    """Best inputs inside the bounds, at no more than the budget."""
    count = theta.shape[0]
    spans = [_scaled(problem, name) for name in free]
    held = {name: np.reshape(value, (-1, 1)) for name, value in fixed.items()}

    def inputs(z: FloatArray) -> dict[str, FloatArray]:
        return {**held, **{n: back(z[..., i]) for i, (n, (_, _, back)) in enumerate(zip(free, spans, strict=True))}}

    def value(z: FloatArray) -> FloatArray:
        x = inputs(z)
        values = problem.objective(theta, x)
        return values if budget is None else np.where(problem.price(x) <= budget, values, np.inf)

    low, high = np.array([s[0] for s in spans]), np.array([s[1] for s in spans])
    z, least, stuck = least_in_box(value, low, high, count)
    x = {name: np.broadcast_to(v, (count, 1))[:, 0] for name, v in inputs(z[:, None, :]).items()}
    left = np.full(count, budget is not None)
    return _Best(x, least, {name: stuck[:, i] for i, name in enumerate(free)}, left)


def _paid_by(problem: _Problem, fixed: Mapping[str, Any], free: Sequence[str]) -> str:
    """The input that the budget decides: the last with which the cost rises all along.

    Raises
    ------
    DataError
        If there is none.
    """
    generator = np.random.default_rng(0)
    for name in reversed(free):
        low, high, back = _scaled(problem, name)
        along = back(np.linspace(low, high, 25))
        x: dict[str, FloatArray] = {n: np.full((5, 25), np.ravel(v)[0]) for n, v in fixed.items()}
        for other in free:
            lo, hi, inverse = _scaled(problem, other)
            x[other] = np.broadcast_to(inverse(generator.uniform(lo, hi, (5, 1))), (5, 25))
        price = np.broadcast_to(problem.price({**x, name: np.broadcast_to(along, (5, 25))}), (5, 25))
        if (np.diff(price, axis=1) > 0).all():
            return name
    raise DataError(
        f"the cost does not rise with any of {', '.join(free)}",
        "a cost must rise with at least one of the real inputs that are chosen.",
    )


def _affordable(
    problem: _Problem, x: Mapping[str, FloatArray], paid: str, budget: float, shape: tuple[int, ...]
) -> FloatArray:
    """How much of an input (P, B) the budget pays for: its upper bound at most, ``nan`` where not even the lower."""
    low, high, back = _scaled(problem, paid)
    shape = np.broadcast_shapes(shape, *(value.shape for value in x.values()))
    full = {name: np.broadcast_to(value, shape) for name, value in x.items()}

    def excess(at: FloatArray) -> FloatArray:
        return np.log(np.broadcast_to(problem.price({**full, paid: back(at)}), shape) / budget)

    found = root(excess, np.zeros(shape[1]), np.array([low, high]), shape[0])
    ends = [excess(np.full(shape, end)) for end in (low, high)]
    at = np.where(np.isnan(found), np.where(ends[1] <= 0, high, np.nan), found)
    return np.where(ends[0] > 0, np.nan, back(at))


def _values_with(problem: _Problem, name: str, x: FloatArray, budget: float | None) -> FloatArray:
    """Best output with one input held at each of some values; ``nan`` where there is none."""
    theta = np.repeat(problem.curve.estimate, x.size, axis=0)
    others = replace(problem, whole=tuple(n for n in problem.whole if n != name))
    best = np.full(x.size, np.inf)
    for fixed in _combinations(others):
        try:
            best = np.fmin(best, _best(problem, theta, budget, {**fixed, name: x}).value)
        except DataError:  # the cost may not rise with what is left to choose
            continue
    return np.where(np.isfinite(best), problem.sign * best, np.nan)
