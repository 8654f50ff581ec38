"""Learning-rate schedules: areas under them, and laws of the loss curve bound to them.

A schedule is a frame ``run_id, step, learning_rate_at_step``, as the table ``schedules`` holds it. Steps
are counted from 0, and the rate of a step is the one that its update uses. Between logged steps the rate
is taken as straight, so a jump is drawn out over one logging interval; give every step where that
matters (:func:`make` does). What was not logged at the beginning is a linear warm-up, whose length must
be said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, unknown_name
from scalingdb.law_library import Law, get_law
from scalingdb.law_library._schedules import settled
from scalingdb.law_library._starts import grid, projected

__all__ = ["areas", "average_params", "lr_annealing_for", "make", "multi_power_for"]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]
IntArray = np.ndarray[Any, np.dtype[np.int64]]

RATE, ROW = "learning_rate_at_step", "schedule_row"

MEMORY = 0.999
"""Fading of the memory of past drops a step (lambda of arXiv:2408.11029)."""

BLOCKS_PER_E_FOLD = 24
"""Blocks of drops per factor e of their age, and of their distance from the first step. The loss is right to 3e-7
nats for a cosine of 24,000 steps, and to 6e-6 just after a rate has fallen to zero."""

SMALLEST_RATE = 1e-12
"""A schedule may end at zero, which has no negative power."""

KINDS = ("constant", "cosine", "wsd", "wsd_linear", "two_stage")


# ---- making and reading schedules --------------------------------------------------------------


def make(
    kind: str,
    *,
    n_steps: int,
    peak: float,
    floor: float = 0.0,
    n_warmup_steps: int = 0,
    turn: int | None = None,
    run_id: str = "schedule",
) -> pl.DataFrame:
    """A schedule of a common shape, with the rate of every step.

    Parameters
    ----------
    kind : str
        ``constant``; ``cosine`` (half a period from peak to floor); ``wsd`` (peak, then an exponential
        decay to the floor from step `turn` on), ``wsd_linear``; ``two_stage`` (peak, then floor).
    n_steps : int
        Steps, 0 to ``n_steps - 1``; a decay would reach the floor at step `n_steps`.
    peak, floor : float
    n_warmup_steps : int
        Linear warm-up from 0 at step 0 to the peak at step ``n_warmup_steps - 1``.
    turn : int, optional
        Where the second stage begins (``wsd``, ``wsd_linear``, ``two_stage``).
    run_id : str

    Returns
    -------
    DataFrame
        ``run_id, step, learning_rate_at_step``.

    Raises
    ------
    UnknownNameError
        For an unknown kind.
    DataError
        If a rate is negative, or steps are not in order.

    Examples
    --------
    >>> from scalingdb import schedules
    >>> schedules.make("two_stage", n_steps=6, peak=3e-4, floor=1e-4, turn=4)["learning_rate_at_step"].to_list()
    [0.0003, 0.0003, 0.0003, 0.0003, 0.0001, 0.0001]
    """
    if kind not in KINDS:
        raise unknown_name("schedule", kind, KINDS)
    needs_turn = kind in {"wsd", "wsd_linear", "two_stage"}
    if not (peak > 0 and 0 <= floor <= peak) or (kind == "wsd" and floor == 0):
        raise DataError(
            f"peak={peak!r} and floor={floor!r} are no rates to go between",
            "give 0 <= floor <= peak, and a floor above zero where the decay is exponential.",
        )
    if not 0 <= n_warmup_steps < n_steps or (needs_turn and (turn is None or not n_warmup_steps <= turn < n_steps)):
        raise DataError(
            f"n_warmup_steps={n_warmup_steps}, turn={turn}, n_steps={n_steps} are not in order",
            "the warm-up comes first, then (where the schedule has one) the turn, then the end.",
        )
    s = np.arange(n_steps, dtype=float)
    rate = np.full(n_steps, float(peak))
    if kind == "cosine":
        phase = (s - n_warmup_steps) / (n_steps - n_warmup_steps) * math.pi
        rate = floor + (peak - floor) * (1 + np.cos(phase)) / 2
    elif turn is not None and needs_turn:
        share = np.maximum((s - turn) / (n_steps - turn), 0.0)
        if kind == "wsd":
            rate = peak * (floor / peak) ** share
        elif kind == "wsd_linear":
            rate = peak - (peak - floor) * share
        else:
            rate = np.where(s >= turn, floor, peak)
    if n_warmup_steps > 1:
        rate = np.where(s < n_warmup_steps, peak * s / (n_warmup_steps - 1), rate)
    return pl.DataFrame({"run_id": [run_id] * n_steps, "step": s, RATE: rate})


def _rates(schedule: pl.DataFrame, n_warmup_steps: int) -> FloatArray:
    """Rate of every step of one run, from 0 to its last logged step."""
    name = schedule["run_id"][0]
    rows = schedule.sort("step")
    step, rate = rows["step"].cast(pl.Float64).to_numpy(), rows[RATE].cast(pl.Float64).to_numpy()
    if not (np.isfinite(rate).all() and (rate >= 0).all()):
        raise DataError(f"run {name!r}: a learning rate is negative, missing or infinite", "fix or drop these rows.")
    if not (np.isfinite(step).all() and (step == np.rint(step)).all() and step[0] >= 0):
        raise DataError(f"run {name!r}: steps are not whole numbers from 0 on", "count optimiser steps.")
    if (np.diff(step) == 0).any():
        raise DataError(f"run {name!r}: a step occurs twice", "keep one rate per step.")
    if step[0] > max(n_warmup_steps, 0) + 1.0 and n_warmup_steps <= 0:
        raise DataError(
            f"run {name!r}: rates before step {step[0]:g} are not logged",
            "say how long the warm-up was (n_warmup_steps=...; table runs may hold it), or give all steps.",
        )
    full = np.interp(np.arange(int(step[-1]) + 1, dtype=float), step, rate)
    first = int(step[0])
    if n_warmup_steps > 1 and first > 0:
        ramp = np.arange(min(first, n_warmup_steps)) / (n_warmup_steps - 1)
        full[: ramp.size] = rate[0] * np.minimum(ramp, 1.0)
    return np.asarray(full)


def _per_run(schedules: pl.DataFrame, n_warmup_steps: int | Mapping[str, int]) -> dict[str, tuple[FloatArray, int]]:
    """Rate of every step and length of the warm-up, by run."""
    for name in ("run_id", "step", RATE):
        if name not in schedules.columns:
            raise DataError(
                f"a schedule has no column {name!r}", f"columns needed: run_id, step, {RATE} (as in table schedules)."
            )
    if schedules.is_empty():
        raise DataError("there is no schedule in the frame", "check the filters that led to it.")
    found = {}
    for (run,), rows in schedules.group_by("run_id", maintain_order=True):
        given = n_warmup_steps.get(str(run), 0) if isinstance(n_warmup_steps, Mapping) else n_warmup_steps
        warmup = int(given or 0)
        found[str(run)] = (_rates(rows, warmup), warmup)
    return found


def _asked(rows: pl.DataFrame, known: Mapping[str, tuple[FloatArray, int]]) -> list[tuple[str, IntArray, IntArray]]:
    """Positions in `rows`, and steps, by run.

    Raises
    ------
    DataError
        If a run has no schedule, or a step lies beyond it.
    """
    for name in ("run_id", "step"):
        if name not in rows.columns:
            raise DataError(f"the rows have no column {name!r}", "they need run_id and step, as curves have them.")
    found = []
    numbered = rows.select("run_id", pl.col("step").cast(pl.Float64)).with_row_index("position")
    for (run,), part in numbered.group_by("run_id", maintain_order=True):
        if run not in known:
            raise DataError(f"run {run!r} has no schedule", f"there are {len(known)}, such as {next(iter(known))!r}.")
        step = part["step"].to_numpy()
        last = known[str(run)][0].size - 1
        if part["step"].null_count() or not ((step >= 0) & (step <= last) & (step == np.rint(step))).all():
            raise DataError(
                f"run {run!r}: rows ask for steps that its schedule does not have (0 to {last})",
                "give the schedule up to the last step that you want.",
            )
        found.append((str(run), part["position"].to_numpy().astype(np.int64), step.astype(np.int64)))
    return found


# ---- areas -------------------------------------------------------------------------------------


def _annealing(rate: FloatArray, n_warmup_steps: int, decay: float) -> FloatArray:
    """S2 of every step: sum of a memory of drops after the warm-up that fades by `decay` a step."""
    drop = np.zeros_like(rate)
    drop[1:] = rate[:-1] - rate[1:]
    drop[: max(n_warmup_steps, 1)] = 0.0
    from scipy.signal import lfilter  # type: ignore[attr-defined]  # SciPy is typed in part

    return np.cumsum(lfilter([1.0], [1.0, -decay], drop))


def areas(
    schedules: pl.DataFrame,
    rows: pl.DataFrame | None = None,
    *,
    n_warmup_steps: int | Mapping[str, int] = 0,
    decay: float = MEMORY,
) -> pl.DataFrame:
    """Areas under schedules that the law ``lr_annealing`` takes.

    Parameters
    ----------
    schedules : DataFrame
        ``run_id, step, learning_rate_at_step``.
    rows : DataFrame, optional
        ``run_id, step`` and anything else, such as a loss curve; the steps of `schedules` by default.
    n_warmup_steps : int, or mapping of run_id to int
        Length of the linear warm-up (table ``runs`` holds it). It belongs to S1; its rise does not
        belong to S2.
    decay : float
        Lambda, the fading of the memory of drops a step.

    Returns
    -------
    DataFrame
        `rows` with ``lr_area`` (S1, the sum of the rates of steps 0 to this one) and
        ``annealing_area`` (S2).

    Raises
    ------
    DataError
        If a schedule has gaps at its beginning, or `rows` ask for a run or step without a rate.

    References
    ----------
    Tissue et al., arXiv:2408.11029, section 3.

    Examples
    --------
    >>> import polars as pl
    >>> from scalingdb import schedules
    >>> rates = pl.DataFrame({"run_id": "a", "step": [0, 1, 2], "learning_rate_at_step": [0.5, 0.5, 0.25]})
    >>> schedules.areas(rates, decay=0.5).select("lr_area", "annealing_area").rows()
    [(0.5, 0.0), (1.0, 0.0), (1.25, 0.25)]
    """
    if not 0 <= decay < 1:
        raise DataError(f"decay={decay!r} is not between 0 and 1", f"the usual choice is {MEMORY}.")
    known = _per_run(schedules, n_warmup_steps)
    table = schedules if rows is None else rows
    first, second = np.empty(table.height), np.empty(table.height)
    for run, position, step in _asked(table, known):
        rate, warmup = known[run]
        first[position] = np.cumsum(rate)[step]
        second[position] = _annealing(rate, warmup, decay)[step]
    return table.with_columns(lr_area=pl.Series(first), annealing_area=pl.Series(second))


def average_params(frame: pl.DataFrame, params: str = "n_params") -> pl.DataFrame:
    """Mean parameter count over training, for the law ``avg_param_sparse``.

    Parameters
    ----------
    frame : DataFrame
        ``run_id``, ``n_tokens`` (seen so far) and the parameters that are left at that point; a run
        starts with its first row's count, and a count holds until the next row.
    params : str
        Column of the counts.

    Returns
    -------
    DataFrame
        One row per run: ``run_id, n_params_average, n_tokens``.

    Raises
    ------
    DataError
        If a column is missing, or a value is missing or not positive.

    Examples
    --------
    >>> import polars as pl
    >>> from scalingdb import schedules
    >>> run = pl.DataFrame({"run_id": "a", "n_tokens": [0.0, 1e9, 4e9], "n_params": [8e7, 4e7, 4e7]})
    >>> schedules.average_params(run).row(0)  # 80M for a quarter of the tokens, 40M for the rest
    ('a', 50000000.0, 4000000000.0)
    """
    for name in ("run_id", "n_tokens", params):
        if name not in frame.columns:
            raise DataError(f"the frame has no column {name!r}", f"columns needed: run_id, n_tokens, {params}.")
    tokens, count = (frame[name].cast(pl.Float64) for name in ("n_tokens", params))
    if not ((tokens >= 0) & tokens.is_finite() & (count > 0) & count.is_finite()).fill_null(False).all():
        raise DataError("n_tokens or parameters are missing, negative or infinite", "filter these rows out.")
    rows = frame.select("run_id", n_tokens=tokens, count=count).sort("run_id", "n_tokens")
    span = pl.col("n_tokens").diff().over("run_id").fill_null(pl.col("n_tokens"))
    held = pl.col("count").shift(1).over("run_id").fill_null(pl.col("count"))
    result = (
        rows.with_columns(span=span, held=held)
        .group_by("run_id", maintain_order=True)
        .agg(
            n_params_average=(pl.col("span") * pl.col("held")).sum() / pl.col("span").sum(),
            n_tokens=pl.col("n_tokens").max(),
        )
    )
    if result["n_params_average"].is_nan().any():
        raise DataError("a run has no tokens to average over", "give at least one row with n_tokens above zero.")
    return result


# ---- laws bound to schedules -------------------------------------------------------------------


@dataclass(frozen=True)
class _ByRow:
    """A law of row numbers: the true inputs, which may be zero or negative, stand in a table."""

    law: str
    table: tuple[FloatArray, ...]
    __qualname__ = "_ByRow"

    def __call__(self, schedule_row: FloatArray, **params: Any) -> Any:
        """The law at the inputs of these rows."""
        index = _index(schedule_row, self.table[0].size)
        return get_law(self.law).function(*(column[index] for column in self.table), **params)

    def starts(self, inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        """Starts of the law itself, the best few."""
        index = _index(inputs[0], self.table[0].size)
        own = get_law(self.law).starts
        assert own is not None
        return _best(self, inputs, own([column[index] for column in self.table], y, weights), y, weights)


def _index(rows: Any, count: int) -> IntArray:
    index: IntArray = np.rint(rows).astype(np.int64) - 1
    if index.size and not (index.min() >= 0 and index.max() < count):
        raise DataError(
            f"a {ROW} lies outside 1 to {count}: these rows are not the ones the law was made for",
            "make the law with all rows that you want to fit or predict.",
        )
    return index


def _best(
    function: Any, inputs: Sequence[FloatArray], starts: FloatArray, y: FloatArray, weights: FloatArray, keep: int = 8
) -> FloatArray:
    """The `keep` starts of least squared log residual: numerical derivatives make each one costly."""
    names = list(get_law(function.law).params)
    totals = []
    for theta in starts:
        with np.errstate(all="ignore"):
            residual = np.log(y) - np.log(function(*inputs, **dict(zip(names, map(float, theta), strict=True))))
        total = float((weights * residual**2).sum())
        totals.append(total if np.isfinite(total) else np.inf)
    order = np.argsort(totals, kind="stable")[:keep]
    return np.asarray(starts[order])


def _numbered(rows: pl.DataFrame) -> pl.Series:
    """Row numbers from 1 that grow with the step, whatever the run.

    A fit judges an input by its range. Numbered like this, the rows of any runs range over decades.
    """
    return rows["step"].cast(pl.Float64).rank("ordinal").cast(pl.Float64).alias(ROW)


def _bound(name: str, function: Any) -> Law:
    return replace(
        get_law(name),
        inputs=(ROW,),
        function=function,
        starts=function.starts,
        meanings=MappingProxyType({ROW: "number of a row of the frame that the law was made with"}),
    )


def lr_annealing_for(
    schedules: pl.DataFrame,
    rows: pl.DataFrame,
    *,
    n_warmup_steps: int | Mapping[str, int] = 0,
    decay: float = MEMORY,
) -> tuple[Law, pl.DataFrame]:
    """The law ``lr_annealing`` for schedules of any shape, constant ones included.

    Parameters
    ----------
    schedules, n_warmup_steps, decay
        As for :func:`areas`.
    rows : DataFrame
        ``run_id, step`` and the loss: all rows that are to be fitted or predicted.

    Returns
    -------
    Law, DataFrame
        The law takes the column ``schedule_row`` that the frame gained (with ``lr_area`` and
        ``annealing_area``): ``sdb.fit(frame.filter(...), law)``, then ``fit.predict(frame)``.

    Raises
    ------
    DataError
        As :func:`areas` does.
    """
    table = areas(schedules, rows, n_warmup_steps=n_warmup_steps, decay=decay)
    table = table.with_columns(_numbered(table))
    ordered = table.sort(ROW)
    columns = (ordered["lr_area"].to_numpy(), ordered["annealing_area"].to_numpy())
    return _bound("lr_annealing", _ByRow("lr_annealing", columns)), table


@dataclass(frozen=True)
class _Drops:
    """Every change of the rate before every row, in blocks: size, rate after it, area since."""

    row: IntArray
    size: FloatArray
    rate: FloatArray
    area: FloatArray

    def settled(self, count: int, speed: float, beta: float, gamma: float) -> FloatArray:
        """Sum over the drops of size times settled share, for each of `count` rows (`speed` is the law's C)."""
        share = settled(self.rate, self.area, speed, beta, gamma)
        return np.bincount(self.row, weights=self.size * share, minlength=count).astype(float)


def _drops(rate: FloatArray, steps: IntArray) -> _Drops:
    """Blocks of drops before each of `steps`, as fine as their recency.

    The gain of a drop changes with the logarithm of its age, so a block whose width is a small share
    of its age can stand for its drops, at their mean area and mean log rate. Rises and falls are kept
    apart: a mean needs weights of one sign.
    """
    edges = [0, 1]
    while edges[-1] < rate.size:
        edges.append(max(edges[-1] + 1, int(edges[-1] * (1 + 1 / BLOCKS_PER_E_FOLD))))
    before = np.concatenate([[0.0], np.cumsum(rate)])  # sum of the rates of the steps before each
    log_rate = np.log(np.maximum(rate, SMALLEST_RATE))
    change = np.zeros_like(rate)
    change[1:] = rate[:-1] - rate[1:]
    # borders of blocks, newest first: a block is narrow against its age, and against its distance from the
    # first step, near which a warm-up's rate changes by factors
    end = steps[:, None] + 1
    borders = np.concatenate([end - np.array(edges), np.minimum(np.array(edges) + 1, end)], axis=1)
    cuts = -np.sort(-np.maximum(borders, 1), axis=1)
    parts = []
    for sign in (1.0, -1.0):
        weight = np.maximum(sign * change, 0.0)
        sums = [np.concatenate([[0.0], np.cumsum(weight * x)]) for x in (1.0, log_rate, before[:-1])]
        total, of_log, of_before = (s[cuts[:, :-1]] - s[cuts[:, 1:]] for s in sums)
        row, block = np.nonzero(total > 1e-14 * rate.max())
        size = total[row, block]
        area = before[steps[row] + 1] - of_before[row, block] / size
        parts.append((row, sign * size, np.exp(of_log[row, block] / size), np.maximum(area, 0.0)))
    return _Drops(*(np.concatenate(values) for values in zip(*parts, strict=True)))


class _MultiPower:
    """The multi-power law of row numbers, for given schedules."""

    law = "multi_power"
    __doc__ = "Loss at the steps of given schedules; see the law ``multi_power`` for one drop of the rate."

    def __init__(self, lr_area: FloatArray, drops: _Drops) -> None:
        self.__qualname__ = "_MultiPower"
        self.lr_area = lr_area
        self.drops = drops
        self._rows: tuple[bytes, _Drops] | None = None
        self._last: dict[tuple[float, ...], FloatArray] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None, "_last": {}}

    def gain(self, index: IntArray, speed: float, beta: float, gamma: float) -> FloatArray:
        """What annealing has settled at these rows (LD of the paper over B)."""
        key = index.tobytes()
        if self._rows is None or self._rows[0] != key:
            where = np.searchsorted(self.drops.row, np.stack([index, index + 1]))
            taken = np.concatenate([np.arange(start, end) for start, end in where.T])
            of_row = np.repeat(np.arange(index.size), where[1] - where[0])
            d = self.drops
            self._rows, self._last = (key, _Drops(of_row, d.size[taken], d.rate[taken], d.area[taken])), {}
        values = (float(speed), float(beta), float(gamma))
        if values not in self._last:
            if len(self._last) > 8:  # a step of the solver varies one parameter at a time
                self._last.pop(next(iter(self._last)))
            self._last[values] = self._rows[1].settled(index.size, *values)
        return self._last[values]

    def __call__(self, schedule_row: FloatArray, **params: float) -> FloatArray:
        """Loss at these rows."""
        index = _index(np.atleast_1d(schedule_row), self.lr_area.size)
        gain = self.gain(index, params["C"], params["beta"], params["gamma"])
        return np.asarray(params["L_0"] + params["A"] * self.lr_area[index] ** -params["alpha"] - params["B"] * gain)

    def starts(self, inputs: Sequence[FloatArray], y: FloatArray, weights: FloatArray) -> FloatArray:
        """Given the four non-linear parameters L_0, A and B are linear."""
        index = _index(inputs[0], self.lr_area.size)
        area = self.lr_area[index]

        def assemble(cell: tuple[float, ...], c: FloatArray) -> tuple[float, ...]:
            alpha, *memory = cell
            return max(c[0], 1e-3), max(c[1], 1e-6), alpha, max(c[2], 1e-3), *memory

        found = projected(
            [
                (a, *m)
                for m in grid(np.geomspace(0.5, 8.0, 3), np.array([0.3, 0.6, 1.0]), np.array([0.3, 0.6, 0.9]))
                for a in np.linspace(0.2, 1.0, 9)
            ],
            lambda alpha, *memory: (1.0, area**-alpha, -self.gain(index, *memory)),
            y,
            weights,
            assemble,
        )
        return _best(self, inputs, found, y, weights)


def multi_power_for(
    schedules: pl.DataFrame, rows: pl.DataFrame, *, n_warmup_steps: int | Mapping[str, int] = 0
) -> tuple[Law, pl.DataFrame]:
    """The multi-power law for schedules of any shape.

    The sum over past drops of the rate depends on three parameters of the law, so it is no column
    that could be computed once: the law holds the schedules, and takes row numbers.

    Parameters
    ----------
    schedules : DataFrame
        ``run_id, step, learning_rate_at_step``.
    rows : DataFrame
        ``run_id, step`` and the loss: all rows that are to be fitted or predicted.
    n_warmup_steps : int, or mapping of run_id to int
        Length of the linear warm-up. Its rise counts, as in the authors' code.

    Returns
    -------
    Law, DataFrame
        The law takes the column ``schedule_row`` that the frame gained: ``sdb.fit(frame.filter(...),
        law)``, then ``fit.predict(frame)``. Its parameters and published sets are those of the law
        ``multi_power``; it has no SQL macro, and its derivatives are numerical.

    Raises
    ------
    DataError
        If a schedule has gaps at its beginning, or `rows` ask for a run or step without a rate.

    References
    ----------
    Luo et al., arXiv:2503.12811, the multi-power law.

    Examples
    --------
    >>> import polars as pl
    >>> from scalingdb import schedules
    >>> rates = schedules.make("two_stage", n_steps=3000, peak=3e-4, floor=3e-5, turn=2000)
    >>> law, rows = schedules.multi_power_for(rates, pl.DataFrame({"run_id": "schedule", "step": [1999, 2999]}))
    >>> [f"{loss:.3f}" for loss in law(rows["schedule_row"], variant="n400m")]
    ['3.189', '3.045']
    """
    known = _per_run(schedules, n_warmup_steps)
    asked = _asked(rows, known)
    if not asked:
        raise DataError("there are no rows to make the law for", "check the filters that led to the frame.")
    numbers = _numbered(rows)
    place = numbers.to_numpy().astype(np.int64) - 1
    lr_area = np.empty(rows.height)
    parts = []
    for run, position, step in asked:
        rate, _ = known[run]
        lr_area[place[position]] = np.cumsum(rate)[step]
        drops = _drops(rate, step)
        parts.append((place[position][drops.row], drops.size, drops.rate, drops.area))
    row, size, after, area = (np.concatenate(values) for values in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    law = _bound("multi_power", _MultiPower(lr_area, _Drops(row[order], size[order], after[order], area[order])))
    return law, rows.with_columns(numbers)
