"""From rows to the optimum: choose starts, polish them, say how many agree. One problem, or many at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from scalingdb.estimation import solver, starts
from scalingdb.estimation.model import FloatArray, Model, PreparedInputs
from scalingdb.estimation.objectives import Objective
from scalingdb.estimation.solver import Penalty, Solution

__all__ = ["AGREE", "STATUS", "Found", "Hints", "Rows", "pad", "search", "search_many", "with_dispersion"]

AGREE = 1e-9
"""Relative difference in the objective within which two starts count as the same optimum."""

FEW = 8
"""A law that brings fewer starts than this gives hints, not a search of its own."""

THOROUGH = 16
"""Starts for a problem that fewer did not settle."""

POLISH_STEPS, MANY_STEPS = 80, 2000
"""Steps that every start may take, and the best of them if that was not enough."""

BEGUN, FEW_STEPS = 192, 6
"""Starts of a law's own, or on more than two axes, that take so many steps before the most promising go on."""

DISTINCT = 1e-3
"""Ends whose objectives differ by less, relatively, count as one optimum when basins are counted."""

UNSEEN = 0.1
"""Share of basins not found yet above which a search goes on."""

FURTHER = 4
"""Times more starts where only one of them reached the best objective, or where most ended somewhere else."""

RESTARTS = 4
"""Rounds of starts around the best ends, at least two and at most so many, where starts do not agree on one."""

MOST_TOGETHER = 32
"""Problems that are searched together: all their starts are in memory at once."""

MANY_ROWS = 20_000
"""From so many rows on the search looks at a sample of them; its ends are then polished on all."""

SAMPLE_ROWS = 4_096
ENDS = 4
"""Ends of the search on a sample that are polished on all rows."""

OwnStarts = Callable[[Sequence[FloatArray], FloatArray, FloatArray], FloatArray]
"""``own(inputs, y, weights) -> (S, k)`` natural free parameters: what a law knows of its own shape."""


@dataclass(frozen=True)
class Hints:
    """What a search is told beforehand of where to begin.

    Attributes
    ----------
    own : callable, optional
        A law's own starts: they take the place of the general search.
    more : callable, optional
        Starts that join those of the law, or of the general search.
    """

    own: OwnStarts | None = None
    more: OwnStarts | None = None


@dataclass(frozen=True)
class Rows:
    """Arrays (n,) of one problem."""

    inputs: tuple[FloatArray, ...]
    y: FloatArray
    weights: FloatArray


@dataclass(frozen=True)
class Found:
    """The optimum of one problem, and the starts that led there.

    Attributes
    ----------
    u : array (k,)
        Best internal parameters.
    objective : float
        As reported to the user, priors included.
    status : str
        ``converged``, ``stalled at rounding`` or ``iteration limit``.
    polished : array (S, k)
        Where every start ended.
    totals : array (S,)
        Objectives there.
    others : array (R, k)
        More starts, best first, for resamples that do not converge from `u`.
    inputs : PreparedInputs
    n_spread : int, optional
        So many of the starts, the first ones, were spread over the whole range (None for all of them);
        the rest began around the best ends, so that their agreement says nothing of other basins.
    """

    u: FloatArray
    objective: float
    status: str
    polished: FloatArray
    totals: FloatArray
    others: FloatArray
    inputs: PreparedInputs
    n_spread: int | None = None

    @property
    def is_certain(self) -> bool:
        """Whether there is evidence that the optimum is the global one.

        Two starts from apart ended there, and the ends of all do not suggest that many basins were missed.
        """
        return _is_settled(self.totals[: self.n_spread], float(self.objective))

    @property
    def agree(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Which starts reached the best objective."""
        return np.asarray(self.totals <= self.objective * (1 + AGREE) + 1e-300)


def unseen_share(totals: FloatArray) -> float:
    """Expected share of the basins of attraction that no start has found.

    With w different ends of n starts it is ``w (w + 1) / (n (n - 1))``, whatever the number of basins.

    References
    ----------
    Boender and Rinnooy Kan, Mathematical Programming 37 (1987) 59-80.
    """
    ends = np.sort(totals[np.isfinite(totals)])
    n = ends.size
    different = 1 + int((np.diff(ends) > DISTINCT * np.abs(ends[:-1]) + 1e-300).sum())
    return different * (different + 1) / (n * (n - 1)) if n > 1 else 1.0


def _reached(totals: FloatArray, best: float | None = None) -> int:
    """Starts that ended at the best objective."""
    least = float(totals.min()) if best is None else best
    return int((totals <= least * (1 + AGREE) + 1e-300).sum())


def _is_settled(totals: FloatArray, best: float | None = None) -> bool:
    """Whether two starts reached the best objective and few basins are left unseen.

    Fewer than :data:`THOROUGH` starts, as many problems at once are given, are too few to count basins by.
    """
    return _reached(totals, best) > 1 and (totals.size < THOROUGH or unseen_share(totals) <= UNSEEN)


STATUS = ("converged", "stalled at rounding", "iteration limit")


def _candidates(
    model: Model,
    objective: Objective,
    rows: Rows,
    prepared: PreparedInputs,
    own: OwnStarts | Hints | None,
    penalty: Penalty | None,
    seed: int | None,
) -> FloatArray:
    """Starts in internal coordinates, best first: the law's own where it brings some."""
    hints = own if isinstance(own, Hints) else Hints(own)
    u = np.empty((0, model.n_params))
    if hints.own is not None:
        u = _internal(model, hints.own, rows, prepared)
        if 0 < u.shape[0] < FEW and model.is_exact:
            # hints rather than a search: look around them too, at every order of magnitude
            u = np.concatenate([u, starts.around(model, u, seed)])
        if u.shape[0] and model.basis is not None:
            # the same exponents with the best scales: at worst a few starts more
            solved = starts.structured_starts(model, objective, prepared, rows.y, rows.weights, given=u)
            u = np.concatenate([u, solved])
    if u.shape[0] == 0:
        u = starts.structured_starts(model, objective, prepared, rows.y, rows.weights, seed)
    if hints.more is not None:
        u = np.concatenate([u, _internal(model, hints.more, rows, prepared)])
    return starts.ranked(model, objective, u, prepared, rows.y, rows.weights, penalty)


def _internal(model: Model, given: OwnStarts, rows: Rows, prepared: PreparedInputs) -> FloatArray:
    """Starts in natural parameters as internal coordinates (S, k); those that have none are left out."""
    with np.errstate(all="ignore"):
        theta = np.asarray(given(rows.inputs, rows.y, rows.weights), dtype=float).reshape(-1, model.n_params)
        u = model.to_internal(theta[np.isfinite(theta).all(1)], prepared)
    return np.asarray(u[np.isfinite(u).all(1)])


def _nearest_best(
    model: Model,
    own: OwnStarts | Hints | None,
    rows: Rows,
    prepared: PreparedInputs,
    u: FloatArray,
    totals: FloatArray,
) -> int:
    """Which end is taken: of equally good ones (aliases of a period, terms changing places) the nearest to a hint."""
    best = int(np.argmin(totals))
    given = own.own if isinstance(own, Hints) else own
    tied = np.flatnonzero(totals <= totals[best] * (1 + AGREE))
    if given is None or tied.size < 2:
        return best
    hints = _internal(model, given, rows, prepared)
    if not 0 < hints.shape[0] < FEW:
        return best
    size = np.where(hints[0] == 0, 1.0, np.abs(hints[0]))
    return int(tied[np.argmin((((u[tied] - hints[0]) / size) ** 2).sum(1))])


def _stacked(
    prepared: Sequence[PreparedInputs], ys: Sequence[FloatArray], weights: Sequence[FloatArray]
) -> tuple[PreparedInputs, FloatArray, FloatArray]:
    """Problems with rows of their own as arrays (G, n): shorter ones are padded with rows of weight zero."""
    length = max(y.size for y in ys)

    def padded(values: Sequence[FloatArray], fill: float | None = None) -> FloatArray:
        rows = [np.pad(v, (0, length - v.size), constant_values=v[0] if fill is None else fill) for v in values]
        return np.array(rows)

    logs = tuple(padded([one.logs[i] for one in prepared]) for i in range(len(prepared[0].logs)))
    constants = tuple(np.array([one.constants[i] for one in prepared]) for i in range(len(prepared[0].constants)))
    return PreparedInputs(logs, constants), padded(ys), padded(weights, 0.0)


@dataclass(frozen=True)
class _Together:
    """Problems of one form whose starts are moved in one array: a step costs calls rather than arithmetic.

    Each comes with its own inputs, as prepared for it alone, and its own rows.
    """

    model: Model
    objective: Objective
    rows: Sequence[Rows]
    prepared: Sequence[PreparedInputs]
    penalty: Penalty | None

    def moved(
        self, starts_of: Mapping[int, FloatArray], max_iterations: int, *, some: bool = False
    ) -> dict[int, Solution]:
        """Every start (S, k) of every problem moved to where it ends; of many rows, on `some` of them where asked."""
        which = list(starts_of)
        inputs, ys, weights, objective = [], [], [], self.objective
        for i in which:
            kept: Any = slice(None)
            one, rows = self.prepared[i], self.rows[i]
            if some:
                one, kept = starts.some_rows(one, rows.weights)
                objective = self.objective.of_rows(kept)
            inputs.append(one)
            ys.append(rows.y[kept])
            weights.append(rows.weights[kept])
        counts = [len(starts_of[i]) for i in which]
        many, y, weight = inputs[0], ys[0], weights[0]
        if len(which) > 1:
            many, y, weight = _stacked(inputs, ys, weights)
            repeated = np.repeat(np.arange(len(which)), counts)
            many, y, weight = many.take(repeated), y[repeated], weight[repeated]
        u0 = np.concatenate([starts_of[i] for i in which])
        solved = solver.minimise(
            self.model, objective, u0, many, y, weight, penalty=self.penalty, max_iterations=max_iterations
        )
        ends = np.cumsum(counts)[:-1]
        parts = [np.split(getattr(solved, f.name), ends) for f in fields(Solution)]
        return {i: Solution(*part) for i, part in zip(which, zip(*parts, strict=True), strict=True)}

    def polished(self, starts_of: Mapping[int, FloatArray]) -> dict[int, Solution]:
        """Where the starts of every problem end."""
        return self.moved(starts_of, POLISH_STEPS) if starts_of else {}

    def begun(self, candidates: Mapping[int, FloatArray]) -> dict[int, FloatArray]:
        """Candidates as they stand after a few steps, best first: more telling than where they begin."""
        if not candidates:
            return {}
        chosen = {i: starts.choose(u, BEGUN) for i, u in candidates.items()}
        return {i: self.ranked(i, done.u) for i, done in self.moved(chosen, FEW_STEPS, some=True).items()}

    def ranked(self, i: int, u: FloatArray) -> FloatArray:
        """Places of one problem, best first."""
        rows = self.rows[i]
        return starts.ranked(self.model, self.objective, u, self.prepared[i], rows.y, rows.weights, self.penalty)

    def restarted(self, found: dict[int, Solution], n_starts: int, seed: int | None) -> dict[int, Solution]:
        """Start again around the best ends until a round finds nothing better and two starts agree."""
        waiting = list(found)
        for turn in range(RESTARTS):
            near = {i: self._near(i, found[i], n_starts, (seed or 0) * RESTARTS + turn) for i in waiting}
            for i, again in self.polished(near).items():
                best = float(found[i].objective.min())
                joined = (np.concatenate([getattr(found[i], f.name), getattr(again, f.name)]) for f in fields(Solution))
                found[i] = Solution(*joined)
                totals = found[i].objective
                if turn and totals.min() >= best * (1 - AGREE) and _reached(totals) > 1:
                    waiting.remove(i)
        return found

    def _near(self, i: int, found: Solution, n_starts: int, seed: int) -> FloatArray:
        """Starts around the best ends of one problem."""
        model, objective, rows, prepared = self.model, self.objective, self.rows[i], self.prepared[i]
        ends = starts.choose(found.u[np.argsort(found.objective, kind="stable")], 6)
        near = np.concatenate(
            [
                starts.disturbed(model, ends, n_starts, seed),
                starts.along_valleys(model, objective, ends, prepared, rows.y, rows.weights, n_starts, seed),
            ]
        )
        if model.basis is not None:
            solved = starts.structured_starts(model, objective, prepared, rows.y, rows.weights, given=near)
            near = np.concatenate([near, solved])
        return self.ranked(i, near)[: 2 * n_starts]


def search(
    model: Model,
    objective: Objective,
    rows: Rows,
    held: Sequence[float],
    *,
    own: OwnStarts | Hints | None = None,
    penalty: Penalty | None = None,
    n_starts: int = 16,
    seed: int | None = None,
) -> Found | None:
    """Solve one problem from the best and most different of several hundred starts.

    If no two starts agree on the best objective, four times as many are polished, then others around
    the best ends.

    Parameters
    ----------
    held : values of the fixed parameters
    own : the law's own starts, or :class:`Hints` with further ones
    seed : int, optional
        Moves the search, to see whether its end depends on where it looks.

    Returns
    -------
    Found, or None if no start has a finite objective
    """
    if rows.y.size > MANY_ROWS and objective.n_items is None:
        return _search_sampled(model, objective, rows, held, own=own, penalty=penalty, n_starts=n_starts, seed=seed)
    prepared = model.prepare(rows.inputs, held)
    together = _Together(model, objective, [rows], [prepared], penalty)
    return _search_together(together, own, n_starts, seed)[0]


def _search_together(
    together: _Together, own: OwnStarts | Hints | None, n_starts: int, seed: int | None
) -> list[Found | None]:
    """Solve each problem from the best and most different of its starts; None where no start has a finite objective."""
    model, objective, penalty = together.model, together.objective, together.penalty
    every = list(zip(together.rows, together.prepared, strict=True))
    candidates = {
        i: u
        for i, (rows, prepared) in enumerate(every)
        if (u := _candidates(model, objective, rows, prepared, own, penalty, seed)).shape[0]
    }
    # derivatives by differences cost k times as much: such a law goes on only where no two starts agree
    is_hard = model.is_exact and (model.basis is None or model.n_params - len(model.linear) > 2)
    is_done = _is_settled if model.is_exact else lambda totals: _reached(totals) > 1
    hard = {i: u for i, u in candidates.items() if is_hard and u.shape[0] > n_starts}
    begun = {**candidates, **together.begun(hard)}
    # of few rows all places cost little more than some of them
    small = {i for i in hard if n_starts > 1 and begun[i].shape[0] * together.rows[i].y.size <= solver.CHUNK_ELEMENTS}
    polished = together.polished({i: u if i in small else starts.choose(u, n_starts) for i, u in begun.items()})

    def unsettled() -> list[int]:
        able = (i for i in polished if 1 < n_starts < candidates[i].shape[0])
        return [i for i in able if not is_done(polished[i].objective)]

    # nobody else found this optimum, or everybody another one: look further before it is believed
    for count in (FURTHER * n_starts, BEGUN):
        wider = [i for i in unsettled() if (count <= FURTHER * n_starts or i in hard)]
        wider = [i for i in wider if len(polished[i].u) < min(count, begun[i].shape[0])]
        polished |= together.polished({i: starts.choose(begun[i], count) for i in wider})
    n_spread = {i: len(found.u) for i, found in polished.items()}
    polished |= together.restarted({i: polished[i] for i in unsettled()}, n_starts, seed)

    best = {i: int(np.argmin(found.objective)) for i, found in polished.items()}
    short = {i: j for i, j in best.items() if polished[i].status[j] == solver.ITERATION_LIMIT}
    if short:
        again = together.moved({i: polished[i].u[j : j + 1] for i, j in short.items()}, MANY_STEPS)
        for i, j in short.items():
            polished[i].u[j], polished[i].status[j] = again[i].u[0], again[i].status[0]
    results: list[Found | None] = [None] * len(every)
    for i, found in polished.items():
        rows, prepared = every[i]
        totals = solver.objective_value(model, objective, found.u, prepared, rows.y, rows.weights, penalty)
        taken = _nearest_best(model, own, rows, prepared, found.u, totals)
        others = starts.choose(candidates[i], 8)
        status = STATUS[int(found.status[taken])]
        results[i] = Found(found.u[taken], float(totals[taken]), status, found.u, totals, others, prepared, n_spread[i])
    return results


def _search_sampled(
    model: Model, objective: Objective, rows: Rows, held: Sequence[float], *, penalty: Penalty | None, **wanted: Any
) -> Found | None:
    """Search a sample of the rows, drawn with their weights in mind, and polish its ends on all rows."""
    generator = np.random.default_rng(0)
    counted = np.flatnonzero(rows.weights > 0)
    chosen = np.sort(generator.choice(counted, min(SAMPLE_ROWS, counted.size), replace=False))
    sample = Rows(tuple(values[chosen] for values in rows.inputs), rows.y[chosen], rows.weights[chosen])
    found = search(model, objective, sample, held, penalty=penalty, **wanted)
    if found is None:
        return None
    order = np.argsort(found.totals, kind="stable")
    ends = starts.choose(found.polished[order], ENDS)
    prepared = model.prepare(rows.inputs, held)
    polished = solver.minimise(
        model, objective, ends, prepared, rows.y, rows.weights, penalty=penalty, max_iterations=MANY_STEPS
    )
    totals = solver.objective_value(model, objective, polished.u, prepared, rows.y, rows.weights, penalty)
    best = int(np.argmin(totals))
    status = STATUS[int(polished.status[best])]
    return Found(polished.u[best], float(totals[best]), status, polished.u, totals, found.others, prepared, len(ends))


def pad(model: Model, problems: Sequence[Rows], held: Sequence[float]) -> tuple[PreparedInputs, FloatArray, FloatArray]:
    """Inputs, observations and weights (G, n) of many problems, padded to one length with rows of weight zero."""
    groups, n = len(problems), max(rows.y.size for rows in problems)
    y, weights = np.ones((groups, n)), np.zeros((groups, n))
    inputs = [np.ones((groups, n)) for _ in problems[0].inputs]
    for i, rows in enumerate(problems):
        size = rows.y.size
        y[i, :size], weights[i, :size] = rows.y, rows.weights
        y[i, size:] = rows.y[0]
        for array, values in zip(inputs, rows.inputs, strict=True):
            array[i, :size], array[i, size:] = values, values[0]
    real = (np.arange(n) < np.array([[rows.y.size] for rows in problems])).astype(float)
    return model.prepare(inputs, held, real), y, weights


def search_many(
    model: Model,
    objective: Objective,
    problems: Sequence[Rows],
    held: Sequence[float],
    *,
    own: OwnStarts | Hints | None = None,
    penalty: Penalty | None = None,
    n_starts: int = 16,
    seed: int | None = None,
    fine: bool = False,
) -> list[Found | None]:
    """Solve many separate problems of one form together.

    Groups are padded with rows of weight zero to a common length and form one array: like sizes
    belong together. See :func:`search` for the parameters; `fine` looks for starts where that does.
    """
    if not problems:
        return []
    groups = len(problems)
    padded, y, weights = pad(model, problems, held)
    chosen = None
    if (own is None or own == Hints()) and seed is None and not fine:
        chosen = starts.grouped_starts(model, objective, padded, y, weights, n_starts)
    single = [
        PreparedInputs(
            tuple(log[i, : rows.y.size] for log in padded.logs),
            tuple(c[i] if c.ndim == 2 else c for c in padded.constants),
        )
        for i, rows in enumerate(problems)
    ]
    alive = np.ones(groups, dtype=bool)
    chosen_coarsely = chosen is not None
    if chosen is None:
        chosen = np.zeros((groups, n_starts, model.n_params))
        for i, rows in enumerate(problems):
            candidates = starts.choose(_candidates(model, objective, rows, single[i], own, penalty, seed), n_starts)
            alive[i] = candidates.shape[0] > 0
            if alive[i]:
                chosen[i] = candidates[np.arange(n_starts) % candidates.shape[0]]
    which = np.repeat(np.arange(groups), n_starts)
    u0 = chosen.reshape(-1, model.n_params)
    many = padded.repeat(n_starts)
    polished = solver.minimise(model, objective, u0, many, y[which], weights[which], penalty=penalty, max_iterations=80)
    u = polished.u.reshape(groups, n_starts, -1)
    status = polished.status.reshape(groups, n_starts)
    totals = solver.objective_value(model, objective, polished.u, many, y[which], weights[which], penalty)
    totals = totals.reshape(groups, n_starts)
    results: list[Found | None] = []
    hard = []
    for i in range(groups):
        best = int(np.argmin(totals[i]))
        agreeing = int((totals[i] <= totals[i, best] * (1 + AGREE)).sum())
        reached = alive[i] and np.isfinite(totals[i, best]) and status[i, best] != solver.ITERATION_LIMIT
        if not reached or agreeing < min(2, n_starts):
            hard.append(i)
        order = np.argsort(totals[i], kind="stable")
        results.append(
            Found(
                u[i, best],
                float(totals[i, best]),
                STATUS[int(status[i, best])],
                u[i],
                totals[i],
                u[i, order[1:9]],
                single[i],
            )
        )
    # an optimum that no start, or a single one, has reached deserves the full search
    wanted: dict[str, Any] = {"own": own, "penalty": penalty, "seed": seed}
    if chosen_coarsely and hard:
        again = search_many(
            model, objective, [problems[i] for i in hard], held, n_starts=max(n_starts, THOROUGH), fine=True, **wanted
        )
        for i, found in zip(hard, again, strict=True):
            results[i] = found
    else:
        lost = [
            i
            for i in hard
            if not alive[i] or status[i].min() == solver.ITERATION_LIMIT or not np.isfinite(totals[i].min())
        ]
        for part in _of_like_size(lost, problems):
            if max(problems[i].y.size for i in part) > MANY_ROWS or objective.n_items is not None:
                for i in part:
                    results[i] = search(model, objective, problems[i], held, n_starts=max(n_starts, THOROUGH), **wanted)
                continue
            some = _Together(model, objective, [problems[i] for i in part], [single[i] for i in part], penalty)
            for i, found in zip(part, _search_together(some, own, max(n_starts, THOROUGH), seed), strict=True):
                results[i] = found
    return results


def _of_like_size(which: Sequence[int], problems: Sequence[Rows]) -> list[list[int]]:
    """Problems in parts that padding makes no more than half as large again, of at most :data:`MOST_TOGETHER`."""
    parts: list[list[int]] = []
    for i in sorted(which, key=lambda i: problems[i].y.size):
        if parts and len(parts[-1]) < MOST_TOGETHER and problems[i].y.size <= 1.5 * problems[parts[-1][0]].y.size:
            parts[-1].append(i)
        else:
            parts.append([i])
    return parts


def with_dispersion(
    model: Model,
    objective: Objective,
    rows: Rows,
    held: Sequence[float],
    *,
    own: OwnStarts | Hints | None = None,
    penalty: Penalty | None = None,
    n_starts: int = 16,
    seed: int | None = None,
) -> tuple[Found | None, Objective]:
    """Fit a beta-binomial: the parameters inside, the correlation of items outside.

    For every correlation the law is refitted, from where it ended before; Brent's method finds
    the correlation of the highest likelihood. Zero is a candidate: then it is a binomial.
    """
    from scipy.optimize import minimize_scalar

    plain = objective.with_dispersion(0.0)
    found = search(model, plain, rows, held, own=own, penalty=penalty, n_starts=n_starts, seed=seed)
    if found is None:
        return None, plain
    warm = found.u[None]

    def profile(log_odds: float) -> float:
        nonlocal warm
        trial = objective.with_dispersion(1.0 / (1.0 + np.exp(-log_odds)))
        solved = solver.minimise(model, trial, warm, found.inputs, rows.y, rows.weights, penalty=penalty, damping=0.1)
        value = float(solver.objective_value(model, trial, solved.u, found.inputs, rows.y, rows.weights, penalty)[0])
        if np.isfinite(value):
            warm = solved.u
        return value

    grid = np.linspace(-14.0, 2.0, 17)
    values = [profile(float(point)) for point in grid]
    middle = int(np.clip(np.argmin(values), 1, grid.size - 2))
    best = minimize_scalar(profile, bounds=(grid[middle - 1], grid[middle + 1]), method="bounded")
    if int(np.argmin(values)) == 0:  # the likelihood rises all the way to independent items
        return found, plain
    chosen = objective.with_dispersion(1.0 / (1.0 + np.exp(-float(best.x))))
    polished = search(model, chosen, rows, held, own=own, penalty=penalty, n_starts=n_starts, seed=seed)
    return polished, chosen
