"""The best N and D for a budget, and how sure that is."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb import units
from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table, percent
from scalingdb.errors import DataError, DomainWarning, check_level
from scalingdb.estimation.uncertainty import interval
from scalingdb.fits import Fit
from scalingdb.law_library import Law
from scalingdb.planning._accelerators import PEAKS, flop_of_hours
from scalingdb.planning._surface import (
    BUDGETS,
    BoolArray,
    Cost,
    FloatArray,
    Surface,
    make_cost,
    root,
    surface_of,
)
from scalingdb.planning._words import between, count, flop, four, three

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Plan", "plan"]

SMALLEST_N, SMALLEST_D = 768.0, 1e5
"""Below these no plan is made: the smallest model of Kaplan et al., and the fewest tokens of any run here."""

SIZES = np.geomspace(1e2, 1e18, 321)
"""Parameters or tokens between which a loss is looked for, where the other one is fixed."""

QUANTITIES = ("train_flops", "n_params", "n_tokens", "tokens_per_param", "loss")

Budget = float | Sequence[float]

SAID: Mapping[str, Callable[[float | None], str]] = MappingProxyType(
    {"train_flops": flop, "n_params": count, "n_tokens": count, "tokens_per_param": three, "loss": four}
)
"""How each quantity is written."""


@told
@dataclass(frozen=True, eq=False)
class Plan:
    """The best N and D for one or more budgets. Made by :func:`plan`.

    Attributes
    ----------
    label : str
        Law and coefficients.
    interval : str
        How the intervals are made, or why there are none.
    level : float
        Coverage of the intervals.
    notes : tuple of str
        What else a reader must know: the cost formula, extrapolation, draws without an optimum.
    """

    label: str
    interval: str
    level: float
    notes: tuple[str, ...]
    _table: pl.DataFrame = field(repr=False)
    _surface: Surface = field(repr=False)
    _cost: Cost = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row per budget.

        Returns
        -------
        DataFrame
            ``train_flops, n_params`` (as the law counts it)``, n_tokens, tokens_per_param, loss``, each
            with ``_low`` and ``_high`` (null where nothing is known); ``regret``, the excess loss that
            training at this N and D costs at most, with the chosen probability, should the coefficients
            be off as far as they may (null where N or D was fixed); ``share``, of a plan for a loss: how many
            of the draws reach it at all (the others count as infinite); ``extrapolation``, how many times N
            or D lies outside the fitted range (1 inside). What the budget was given in, such as
            ``gpu_hours`` or ``inference_tokens``, is a column too.
        """
        return self._table

    @property
    def sentence(self) -> str:
        """The plan as a person would say it; of several budgets the first and the last."""
        rows = self._table.rows(named=True)
        chosen = rows if len(rows) == 1 else [rows[0], rows[-1]]
        parts = [self._say(row) for row in chosen]
        text = f"By {self.label}: {'; '.join(parts)}."
        if not self._surface.has_interval:
            return f"{text} {_capital(self.interval)}."
        reason = self._surface.open_reason
        return f"{text} {_capital(reason)}." if reason in self.notes else text

    def _say(self, row: Mapping[str, Any]) -> str:
        ratio = between(three(row["tokens_per_param_low"]), three(row["tokens_per_param_high"]), self.level)
        if row["tokens_per_param_low"] == row["tokens_per_param_high"]:
            ratio = ""
        text = (
            f"with {flop(row['train_flops'])} FLOP train {count(row['n_params'])} parameters on "
            f"{count(row['n_tokens'])} tokens, {three(row['tokens_per_param'])} per parameter{ratio}, for a loss of "
            f"{four(row['loss'])}"
        )
        if row["loss_low"] is not None and row["loss_low"] != row["loss_high"]:
            text += f" ({four(row['loss_low'])} to {four(row['loss_high'])})"
        if row.get("total_flops") is not None:
            text += f", and {flop(row['total_flops'])} FLOP with {count(row['inference_tokens'])} tokens served"
        if row["extrapolation"] > self._surface.far:
            text += f", {row['extrapolation']:.2g} times outside what was fitted"
        return text

    def glance(self) -> pl.DataFrame:
        """One row: ``label, n_budgets, level, interval, extrapolation`` (the farthest) and ``notes``."""
        return pl.DataFrame(
            {
                "label": [self.label],
                "n_budgets": [self._table.height],
                "level": [self.level],
                "interval": [self.interval],
                "extrapolation": [self._table["extrapolation"].max()],
                "notes": ["; ".join(self.notes)],
            }
        )

    # ---- curves -------------------------------------------------------------------------------

    def isoflop(self, points: int = 61, span: float = 30.0) -> pl.DataFrame:
        """Loss of every size that the budgets of this plan allow.

        Parameters
        ----------
        points : int
            Sizes per budget.
        span : float
            From the planned size divided by this to the planned size times this.

        Returns
        -------
        DataFrame
            ``train_flops, n_params, n_tokens, loss, loss_low, loss_high, is_best``.
        """
        _check_points(points)
        parts = []
        for row in self._table.iter_rows(named=True):
            n = row["n_params"] * np.geomspace(1 / span, span, points)
            d = row["train_flops"] / 6 / self._cost.count(n)
            loss = self._surface.loss(self._surface.estimate, n, d)[0]
            ends = self._surface.intervals(self._losses(n, d), self.level)
            low, high = self._surface.allow_for_law_error(n, d, loss, ends, self.level)
            parts.append(
                pl.DataFrame(
                    {
                        "train_flops": np.full(points, row["train_flops"]),
                        "n_params": n,
                        "n_tokens": d,
                        "loss": loss,
                        "loss_low": low,
                        "loss_high": high,
                        "is_best": np.arange(points) == points // 2,
                    }
                )
            )
        return _null(pl.concat(parts))

    def iso_loss(self, levels: int = 6, points: int = 61, span: float = 30.0) -> pl.DataFrame:
        """Lines of equal loss in the plane of N and D, around the plan.

        Returns
        -------
        DataFrame
            ``loss, n_params, n_tokens``: for each of some losses, the tokens that each size needs. The
            losses of the plan are among them; where there are fewer than `levels`, budgets of a tenth
            to ten times the plan's are added.
        """
        _check_points(points)
        rows = self._table
        losses = rows["loss"].to_list()
        spread = np.geomspace(0.03, 30.0, max(levels - len(losses), 0))
        middle = float(np.exp(np.mean(np.log(rows["train_flops"].to_numpy()))))
        if spread.size:
            _, _, more = self._surface.best(self._surface.estimate, middle * spread, self._cost)
            losses += [float(value) for value in more[0] if np.isfinite(value)]
        least, most = float(rows["n_params"].min()), float(rows["n_params"].max())  # type: ignore[arg-type]
        n = np.geomspace(least / span, most * span, points)
        parts = []
        for loss in sorted(set(losses)):
            d = np.exp(
                root(
                    lambda log_d: self._surface.loss(self._surface.estimate, n, np.exp(log_d)),
                    np.full(n.size, loss),
                    np.log(np.geomspace(1e3, 1e20, 35)),
                    1,
                )
            )[0]
            parts.append(pl.DataFrame({"loss": np.full(points, loss), "n_params": n, "n_tokens": d}))
        return _null(pl.concat(parts)).drop_nulls()

    def _losses(self, n: FloatArray, d: FloatArray) -> FloatArray:
        if not self._surface.has_interval:
            return np.full((1, n.size), np.nan)
        return self._surface.spread(lambda theta: {"loss": self._surface.loss(theta, n, d)})["loss"]

    def chart(self) -> alt.Chart:
        """Best N and D and the loss against the budget, with intervals (Altair)."""
        from scalingdb import charts

        return self._headed(charts.plan_chart(self.tidy()))

    def isoflop_chart(self) -> alt.Chart:
        """Loss against N for each budget, and where it is least (Altair)."""
        from scalingdb import charts

        return self._headed(charts.plan_isoflop(self.isoflop(), self.tidy()), "Dots: the best N of each budget.")

    def iso_loss_chart(self) -> alt.Chart:
        """Lines of equal loss and of equal compute in the plane of N and D (Altair)."""
        from scalingdb import charts

        return self._headed(
            charts.plan_iso_loss(self.iso_loss(), self.tidy()),
            "Lines: equal loss; dashed: equal compute; dots: the plan.",
        )

    def _headed(self, chart: Any, marks: str = "") -> Any:
        """A chart under the plan for the last budget."""
        from scalingdb import charts

        row = self._table.row(-1, named=True)

        def ends(name: str, words: Callable[[float | None], str]) -> str:
            low, high = row[f"{name}_low"], row[f"{name}_high"]
            return "" if low is None or low == high else f" ({words(low)} to {words(high)})"

        finding = f"{flop(row['train_flops'])} FLOP train {count(row['n_params'])} parameters "
        finding += f"on {count(row['n_tokens'])} tokens to a loss of {four(row['loss'])}{ends('loss', four)}"
        about = f"{three(row['tokens_per_param'])} tokens per parameter{ends('tokens_per_param', three)}"
        if row["extrapolation"] > self._surface.far:
            about += f", {row['extrapolation']:.2g} times outside what was fitted"
        certainty = f"{100 * self.level:g} % intervals" if self._surface.has_interval else self.interval
        return charts.headed(chart, finding, f"{about}. By {self.label}; {certainty}.", marks)

    def __repr__(self) -> str:
        return f"<Plan: {self.sentence}>"

    def _repr_html_(self) -> str:
        head = ["training FLOP", "parameters N", "tokens D", "D/N", "loss", "fitted range"]
        rows = []
        for row in self._table.iter_rows(named=True):
            outside = row["extrapolation"]
            cells = [
                *(say(row[name]) + _range(row, name, say) for name, say in SAID.items()),
                "inside" if outside <= 1 else f"{outside:.2g} times outside",
            ]
            if "total_flops" in row:
                cells.append(flop(row["total_flops"]))
            rows.append(cells)
        if "total_flops" in self._table.columns:
            head.append("FLOP with inference")
        remarks = [f"{100 * self.level:g} % intervals: {self.interval}"] if self._surface.has_interval else []
        notes = "<br>".join(f"{html.escape(note)}." for note in [*remarks, *self.notes])
        text = f"<p>{html.escape(self.sentence)}</p>{html_table(head, rows)}<p>{notes}</p>"
        return f'<div class="scalingdb-plan">{text}</div>'


def _range(row: Mapping[str, Any], name: str, say: Any) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return "" if low is None or low == high else f" ({say(low)} to {say(high)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _check_points(points: int) -> None:
    if points < 1:
        raise DataError(f"points={points!r} is no number of points", "give 1 or more.")


def _null(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col(pl.Float64).fill_nan(None))


@told
def plan(
    law: str | Law | Fit,
    *,
    variant: str | None = None,
    train_flops: Budget | None = None,
    gpu_hours: Budget | None = None,
    accelerator: str | None = None,
    flops_per_second: float | None = None,
    utilisation: float | None = None,
    n_tokens: Budget | None = None,
    n_params: Budget | None = None,
    target_loss: Budget | None = None,
    total_flops: Budget | None = None,
    inference_tokens: float | None = None,
    flops_convention: str = "6nd",
    omega: float = units.OMEGA,
    level: float = DEFAULT_LEVEL,
    **given: float,
) -> Plan:
    """Best N and D for a budget, with intervals, from a fit or from a published law.

    What is given decides what is sought:

    =============================  =======================================================
    ``train_flops``                the split of the budget with the least loss
    ``gpu_hours``                  the same, from hours of an accelerator
    ``target_loss``                the least compute that reaches the loss
    ``n_tokens`` or ``n_params``   alone: the other one and the budget for which it is optimal
    either, with one of the above  fixed at this value; the budget or the loss decides the rest
    ``inference_tokens``           with ``target_loss``: the least compute of training and serving
                                   that reaches the loss; with ``train_flops``: that reaches the
                                   loss of the best run of this budget; with ``total_flops``: the
                                   least loss, if training and serving share the budget
    =============================  =======================================================

    Parameters
    ----------
    law : str, Law or Fit
        Any loss surface over N and D, with published coefficients or fitted.
    variant : str, optional
        Published coefficient set.
    train_flops, gpu_hours, target_loss, total_flops : float or sequence of float
        Budget; one of them at most.
    accelerator : str, optional
        Name of an accelerator whose stated peak is known (:func:`scalingdb.planning.accelerators`).
    flops_per_second : float, optional
        Peak of any other one, in FLOP/s.
    utilisation : float, optional
        Share of the peak that the run reaches; stated, never assumed.
    n_tokens, n_params : float or sequence of float
        Fixed at this value. N is counted as the law counts it.
    inference_tokens : float, optional
        Tokens that the model will read and write in its life, at ``2 * N`` FLOP each.
    flops_convention : {"6nd", "total", "non_embedding"}
        Which N the FLOP count: the law's own, all parameters, or those without embeddings. The latter
        two convert by ``N + omega * N**(1/3)``.
    omega : float
        Of that conversion (:func:`scalingdb.units.omega`).
    level : float
        Coverage of the intervals.
    **given : float
        Other inputs of the law (``n_tokens_unique=1e11``), or own coefficients.

    Returns
    -------
    Plan

    Raises
    ------
    DataError
        If what is given does not decide a plan, the law holds no trade-off of N against D, a loss or a
        budget is out of reach, or the plan is smaller than any sensible model.
    UnknownNameError
        For an unknown law, variant, accelerator, convention or input.

    Warns
    -----
    DomainWarning
        If N or D lies outside the range that a published set was fitted on, or ten times beyond the
        rows of a fit.

    Notes
    -----
    Intervals are percentiles over the bootstrap of the fit, or its robust covariance carried over to first
    order.
    Published coefficients have none: a plan depends on how coefficients vary together, which no
    table states.

    References
    ----------
    Hoffmann et al., arXiv:2203.15556, section 3.3; for inference Sardana et al., arXiv:2401.00448.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import plan
    >>> plan("chinchilla", variant="hoffmann", train_flops=5.76e23).tidy()["tokens_per_param"].round(1).item()
    92.6
    >>> served = plan("chinchilla", target_loss=2.2, inference_tokens=1e12).tidy()
    >>> alone = plan("chinchilla", target_loss=2.2).tidy()
    >>> bool(served["n_params"].item() < alone["n_params"].item())
    True
    """
    check_level(level)
    surface = surface_of(law, variant, given)
    cost = make_cost(flops_convention, surface.size, omega)
    notes = [f"compute is {cost.words}"]
    hours = _hours(gpu_hours, train_flops, accelerator, flops_per_second, utilisation)
    if hours is not None:
        train_flops = hours.train_flops  # type: ignore[assignment]
        notes.append(hours.words)
    question = _question(
        {"train_flops": train_flops, "target_loss": target_loss, "total_flops": total_flops},
        {"n_tokens": n_tokens, "n_params": n_params},
        inference_tokens,
    )
    best = {name: values[0] for name, values in _solve(surface, surface.estimate, cost, question).items()}
    _refuse_nothing(surface, best, question)
    draws = _draws(surface, cost, question) if surface.has_interval else None
    open_ended = surface.undetermined(lambda theta: _solve(surface, theta, cost, question))
    table: dict[str, Any] = {}
    if hours is not None:
        table["gpu_hours"] = np.broadcast_to(hours.hours, question.shape)
    if question.served:
        table["inference_tokens"] = np.full(question.shape, question.served)
    for name in [*QUANTITIES, *(["total_flops"] if question.served else [])]:
        table[name] = best[name]
        low, high = _ends(name, draws, question, level)
        blank = open_ended.get(name, np.zeros(question.shape, dtype=bool))
        table[f"{name}_low"], table[f"{name}_high"] = np.where(blank, np.nan, low), np.where(blank, np.nan, high)
    if "target_loss" not in question.amounts:
        ends = (table["loss_low"], table["loss_high"])
        table["loss_low"], table["loss_high"] = surface.allow_for_law_error(
            best["n_params"], best["n_tokens"], best["loss"], ends, level
        )
    table["regret"] = np.full(question.shape, np.nan)
    if draws is not None and question.is_split and not surface.open_reason:
        table["regret"] = _regret(surface, best, draws, cost, level)
    if "target_loss" in question.amounts:
        table["share"] = np.full(question.shape, np.nan) if draws is None else _share(draws)
    if "n_tokens_unique" in surface.given:
        table["n_epochs"] = np.maximum(best["n_tokens"] / surface.given["n_tokens_unique"], 1.0)
    table["extrapolation"], far = _beyond(surface, best)
    notes += _remarks(surface, question, draws)
    if any(mask.any() for mask in open_ended.values()):
        notes.append(surface.open_reason)
    if far:
        notes.append(f"outside the fitted range: {'; '.join(far)}")
        warnings.warn(f"the plan by {surface.label} extrapolates: {'; '.join(far)}", DomainWarning, stacklevel=3)
    return Plan(
        label=surface.label,
        interval=surface.interval,
        level=level,
        notes=tuple(notes),
        _table=_null(pl.DataFrame(table)),
        _surface=surface,
        _cost=cost,
    )


# ---- what is asked --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Hours:
    """Hours of an accelerator as a budget."""

    hours: FloatArray
    train_flops: FloatArray
    words: str


@dataclass(frozen=True, eq=False)
class Question:
    """What a plan is asked for.

    Attributes
    ----------
    amounts : mapping of str to array (B,)
        Values of the goal and of the fixed size.
    goal : {"train_flops", "target_loss", "total_flops"} or None
    fixed : {"n_params", "n_tokens"} or None
        The size that is not free.
    served : float
        Tokens of inference to pay for.
    """

    amounts: Mapping[str, FloatArray]
    goal: str | None
    fixed: str | None
    served: float

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(next(iter(self.amounts.values())).shape)

    @property
    def is_split(self) -> bool:
        """Whether a training budget is split, and nothing else."""
        return self.goal == "train_flops" and self.fixed is None and not self.served


def _hours(
    gpu_hours: Budget | None,
    train_flops: Budget | None,
    accelerator: str | None,
    flops_per_second: float | None,
    utilisation: float | None,
) -> Hours | None:
    """FLOP of a budget in hours, if there is one."""
    if gpu_hours is None:
        if accelerator is not None or flops_per_second is not None or utilisation is not None:
            raise DataError("an accelerator is named without hours", "add gpu_hours=...")
        return None
    if train_flops is not None:
        raise DataError("train_flops and gpu_hours are both given", "give one of them.")
    hours = _positive("gpu_hours", gpu_hours)
    flops = hours * flop_of_hours(1.0, accelerator, flops_per_second, utilisation)
    source = f"{PEAKS[accelerator].source}: " if accelerator is not None else ""
    peak = PEAKS[accelerator].flops_per_second if accelerator is not None else flops_per_second
    return Hours(hours, flops, f"{source}{peak:.4g} FLOP/s, of which {100 * (utilisation or 0):g} % are reached")


def _question(
    goals: Mapping[str, Budget | None], sizes: Mapping[str, Budget | None], inference_tokens: float | None
) -> Question:
    """The question, if what is given decides a plan."""
    goal, fixed = _one_of(goals, "budgets"), _one_of(sizes, "sizes")
    served = 0.0 if inference_tokens is None else float(_positive("inference_tokens", inference_tokens)[0])
    _refuse_muddle(goal, fixed, served)
    amounts = {name: _positive(name, value) for name, value in {**goals, **sizes}.items() if value is not None}
    shape = np.broadcast_shapes(*(value.shape for value in amounts.values()))
    amounts = {name: np.broadcast_to(value, shape) for name, value in amounts.items()}
    return Question(amounts, goal, fixed, served)


def _positive(name: str, value: Any) -> FloatArray:
    found = np.atleast_1d(np.asarray(value, dtype=float))
    if found.ndim != 1 or not found.size or not (np.isfinite(found).all() and (found > 0).all()):
        raise DataError(f"{name}={value!r} is not a positive number, or several of them")
    return found


def _one_of(choices: Mapping[str, Any], what: str) -> str | None:
    given = [name for name, value in choices.items() if value is not None]
    if len(given) > 1:
        raise DataError(f"{' and '.join(given)} are both given: the {what} exclude each other", "give one of them.")
    return given[0] if given else None


def _refuse_muddle(goal: str | None, fixed: str | None, served: float) -> None:
    if goal is None and fixed is None:
        raise DataError(
            "no budget is given",
            "for example train_flops=1e24, gpu_hours=1e5 with an accelerator, target_loss=2.0, or n_tokens=1e12.",
        )
    if served and goal is None:
        raise DataError("inference_tokens says nothing without a loss or a budget", "add target_loss or train_flops.")
    if served and fixed is not None:
        raise DataError(f"inference_tokens decides the size, and {fixed} is fixed", "leave one of them out.")
    if goal == "total_flops" and not served:
        raise DataError("total_flops is for training and serving together", "add inference_tokens, or use train_flops.")


# ---- answers --------------------------------------------------------------------------------------


def _solve(surface: Surface, theta: FloatArray, cost: Cost, question: Question) -> dict[str, FloatArray]:
    """Quantities (P, B) of the plans of coefficients (P, K); ``nan`` where there is none."""
    full = (theta.shape[0], *question.shape)
    with np.errstate(all="ignore"):
        if question.fixed is not None and question.goal is not None:
            n, d = _rest_of_fixed(surface, theta, cost, question)
            loss = surface.loss(theta, n, d)
        else:
            n, d, loss = surface.best(theta, _budget(surface, theta, cost, question), cost, question.served)
        n, d = np.broadcast_to(n, full), np.broadcast_to(d, full)
        train = cost.train(n, d)
        if question.goal == "train_flops" and not question.served:  # exact, not to rounding
            train = np.where(np.isfinite(n), np.broadcast_to(question.amounts["train_flops"], full), np.nan)
    return _quantities(cost, question, train, n, d, np.broadcast_to(loss, full))


def _quantities(
    cost: Cost, question: Question, train: FloatArray, n: FloatArray, d: FloatArray, loss: FloatArray
) -> dict[str, FloatArray]:
    with np.errstate(all="ignore"):
        return {
            "train_flops": train,
            "n_params": n,
            "n_tokens": d,
            "tokens_per_param": d / n,
            "loss": loss,
            "total_flops": cost.total(n, d, question.served),
        }


def _budget(surface: Surface, theta: FloatArray, cost: Cost, question: Question) -> FloatArray:
    """The budget (P, B), with what is served, whose best split answers the question."""
    amounts, goal, served = question.amounts, question.goal, question.served
    if question.fixed is not None:  # the budget for which the fixed size is the best one
        value = np.broadcast_to(amounts[question.fixed], (theta.shape[0], *question.shape))
        return surface.budget_for(theta, value, cost, what="n" if question.fixed == "n_params" else "d")
    if goal == "total_flops" or (goal == "train_flops" and not served):
        return amounts[goal]
    wanted = surface.best(theta, amounts[goal], cost)[2] if goal == "train_flops" else amounts["target_loss"]
    return surface.budget_for(theta, wanted, cost, served)


def _rest_of_fixed(
    surface: Surface, theta: FloatArray, cost: Cost, question: Question
) -> tuple[FloatArray, FloatArray]:
    """N and D (P, B) where one is fixed, and a budget or a loss decides the other."""
    count = theta.shape[0]
    value, want = (
        np.broadcast_to(question.amounts[str(name)], (count, *question.shape))
        for name in (question.fixed, question.goal)
    )
    grid = np.log(SIZES[::10])
    if question.fixed == "n_params":
        if question.goal == "train_flops":
            return value, cost.tokens()(value, want)
        return value, np.exp(root(lambda x: surface.loss(theta, value, np.exp(x)), want, grid, count))
    if question.goal == "train_flops":
        return np.exp(root(lambda x: np.log(cost.train(np.exp(x), value)), np.log(want), grid, count)), value
    return np.exp(root(lambda x: surface.loss(theta, np.exp(x), value), want, grid, count)), value


def _draws(surface: Surface, cost: Cost, question: Question) -> dict[str, FloatArray]:
    """Quantities (P, B) as uncertain as the coefficients; infinite where a draw never reaches the loss."""
    if "target_loss" not in question.amounts:
        spread = surface.spread(lambda theta: _solve(surface, theta, cost, question))
        full = (len(spread["loss"]), *question.shape)
        return {name: np.broadcast_to(values, full) for name, values in spread.items()}
    if surface.is_first_order:
        return _first_order_to_loss(surface, cost, question)
    theta = surface.draws
    found = _solve(surface, theta, cost, question)
    never = np.isnan(found["n_params"] * found["n_tokens"])
    wanted = np.broadcast_to(question.amounts["target_loss"], never.shape)
    if question.fixed is None:
        never &= ~surface.reaches(theta, wanted, cost, question.served)
    else:
        never &= surface.loss(theta, *_endless(question, len(theta))) > wanted
    return _never(found, never, question)


def _endless(question: Question, count: int) -> tuple[FloatArray, FloatArray]:
    """N and D (P, B) with the fixed size as it is and the other as large as is looked at."""
    fixed = np.broadcast_to(question.amounts[str(question.fixed)], (count, *question.shape))
    most = np.full(fixed.shape, SIZES[-1])
    return (fixed, most) if question.fixed == "n_params" else (most, fixed)


def _never(found: dict[str, FloatArray], never: BoolArray, question: Question) -> dict[str, FloatArray]:
    """Infinite compute and sizes where a draw never reaches the loss; the ratio has no value there."""
    out = dict(found)
    for name in ("train_flops", "total_flops", "n_params", "n_tokens"):
        if name != question.fixed:
            out[name] = np.where(never, np.inf, found[name])
    out["tokens_per_param"] = np.where(never, np.nan, found["tokens_per_param"])
    return out


def _first_order_to_loss(surface: Surface, cost: Cost, question: Question) -> dict[str, FloatArray]:
    """Draws of a plan for a loss without a bootstrap: each draw's loss along the path, inverted."""
    wanted = question.amounts["target_loss"]
    if question.fixed is None:

        def along(theta: FloatArray) -> dict[str, FloatArray]:
            n, d, loss = surface.best(theta, BUDGETS, cost, question.served)
            return {"n": n, "d": d, "loss": loss}

        at = surface.reach_along(along, BUDGETS, wanted)
        n, d = at["n"], at["d"]
    else:
        parts = []
        for value, loss in zip(question.amounts[question.fixed], wanted, strict=True):
            sizes = (np.full(SIZES.size, value), SIZES)
            sizes = sizes if question.fixed == "n_params" else sizes[::-1]

            def line(theta: FloatArray, sizes: tuple[FloatArray, ...] = sizes) -> dict[str, FloatArray]:
                return {"loss": surface.loss(theta, *sizes)}

            parts.append(surface.reach_along(line, SIZES, np.array([loss]))["x"])
        free = np.concatenate(parts, axis=1)
        fixed = np.broadcast_to(question.amounts[question.fixed], free.shape)
        n, d = (fixed, free) if question.fixed == "n_params" else (free, fixed)
    never = np.isinf(n) | np.isinf(d)
    reached = np.where(np.isnan(n * d), np.nan, np.broadcast_to(wanted, n.shape))
    with np.errstate(all="ignore"):
        return _never(_quantities(cost, question, cost.train(n, d), n, d, reached), never, question)


# ---- how sure -------------------------------------------------------------------------------------


def _share(draws: Mapping[str, FloatArray]) -> FloatArray:
    """Share of the draws (B,) that reach the loss."""
    with np.errstate(all="ignore"):
        return np.asarray(1 - np.isinf(draws["train_flops"]).mean(axis=0))


def _ends(
    name: str, draws: Mapping[str, FloatArray] | None, question: Question, level: float
) -> tuple[FloatArray, FloatArray]:
    """Interval (B,) of a quantity; ``nan`` where nothing is known."""
    if draws is None:
        blank = np.full(question.shape, np.nan)
        return blank, blank
    low, high = interval(draws[name], level)
    if name == "tokens_per_param" and "target_loss" in question.amounts:
        # a draw that never reaches the loss has no ratio: an interval over the others would claim too much
        blank = 1 - _share(draws) > 0.5 * (1 - level)
        return np.where(blank, np.nan, low), np.where(blank, np.nan, high)
    return low, high


def _remarks(surface: Surface, question: Question, draws: Mapping[str, FloatArray] | None) -> list[str]:
    """What the intervals count as infinite, and what they leave out."""
    if draws is None:
        return []
    notes = []
    if "target_loss" in question.amounts and (never := 1 - _share(draws)).max() > 0:
        where = {"n_params": " at this N", "n_tokens": " at this D"}.get(question.fixed or "", "")
        notes.append(f"{percent(float(never.max()))} of the draws never reach the loss{where} and count as infinite")
    if (lost := np.isnan(draws["n_params"]).mean(axis=0).max()) > 0:
        notes.append(f"{percent(float(lost))} of the draws contain no such plan and are left out of the intervals")
    return notes


def _beyond(surface: Surface, best: Mapping[str, FloatArray]) -> tuple[FloatArray, list[str]]:
    n, d = best["n_params"], best["n_tokens"]
    others = {name: np.full(n.shape, value) for name, value in surface.given.items()}
    if "n_tokens_unique" in others:  # what a run does not reach is as good as absent
        others["n_tokens_unique"] = np.minimum(others["n_tokens_unique"], d)
    return surface.beyond({surface.size: n, "n_tokens": d, **others})


def _refuse_nothing(surface: Surface, best: Mapping[str, FloatArray], question: Question) -> None:
    """Refuse what is out of reach, and what is too small to be a model."""
    n, d = best["n_params"], best["n_tokens"]
    name = question.goal or question.fixed or ""
    lost = ~(np.isfinite(n) & np.isfinite(d) & np.isfinite(best["loss"]))
    if lost.any():
        where = f"{name} = {question.amounts[name][lost][0]:.4g}"
        if name != "target_loss":
            hint = "the loss falls to an end of the range: the coefficients describe no trade-off of N against D there."
        elif question.fixed is not None:
            floor = float(surface.loss(surface.estimate, *_endless(question, 1))[0][lost][0])
            size = question.amounts[question.fixed][lost][0]
            where += f" with {question.fixed} = {size:.4g}, whose own floor is {floor:.4g}"
            other = "tokens" if question.fixed == "n_params" else "parameters"
            hint = f"no number of {other} reaches a loss below that floor; choose a larger {question.fixed}."
        else:
            hint = "the law's floor may lie above it; ask what a large budget reaches: plan(..., train_flops=1e28)."
        raise DataError(f"{surface.label} has no plan for {where}", hint)
    small = (n < SMALLEST_N) | (d < SMALLEST_D)
    if small.any():
        at = int(np.argmax(small))
        raise DataError(
            f"{name} = {question.amounts[name][at]:.4g} gives {n[at]:.3g} parameters and {d[at]:.3g} tokens: below any "
            "sensible model",
            f"a budget is a number of FLOP such as 1e21; the smallest models of the field have {SMALLEST_N:g} "
            "parameters.",
        )


def _regret(
    surface: Surface, best: Mapping[str, FloatArray], draws: Mapping[str, FloatArray], cost: Cost, level: float
) -> FloatArray:
    """Excess loss over each draw's own optimum that is not exceeded with probability `level`.

    What a first order leaves of a draw is its split: then the excess is what that split costs under
    the estimate. Both are half the curvature times the square of the way between the two splits.
    """
    n, d = best["n_params"], best["n_tokens"]
    if not surface.is_first_order:
        excess = surface.loss(surface.draws, n, d) - draws["loss"]
    else:
        others = draws["n_params"]
        theta = np.repeat(surface.estimate, len(others), axis=0)
        excess = surface.loss(theta, others, cost.tokens()(others, best["train_flops"])) - best["loss"]
    with np.errstate(all="ignore"):
        return np.asarray(np.nanpercentile(np.where(np.isfinite(excess), excess, np.nan), 100 * level, axis=0))
