"""Minimise many problems at once: damped Newton on the true objective, with exact curvature.

One problem is a parameter vector, a row of weights and (shared or own) inputs; a start, a
bootstrap resample and a group are all just problems. They move together through vectorised
arithmetic in chunks that stay in cache, and a problem that has converged leaves the chunk.

A step solves ``(H + lambda M) s = -g``: ``H`` is the true Hessian of the Huber sum, ``M`` the
positive semi-definite matrix of iteratively reweighted least squares, which majorises the loss.
Far from the optimum lambda is large and the step is that of reweighted least squares; close to it
lambda vanishes and convergence is quadratic. A problem stops when the decrease that its model
predicts is negligible *relative to the objective*: the scale of the loss does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scalingdb.estimation.model import Evaluation, FloatArray, Model, PreparedInputs
from scalingdb.estimation.objectives import Objective

__all__ = [
    "CONVERGED",
    "ITERATION_LIMIT",
    "STALLED",
    "Penalty",
    "Solution",
    "curvature",
    "minimise",
    "objective_value",
    "solve_spd",
]

CONVERGED, STALLED, ITERATION_LIMIT = 0, 1, 2
"""Status of a problem: optimum reached; no step decreases the objective; out of iterations."""

TOLERANCE = 1e-13
"""Predicted decrease over objective below which a problem has converged."""

IDLE, IDLE_LIMIT = 1e-12, 25
"""So many steps in a row with a relative decrease below the first number, and a problem has stalled."""

FUTILE_LIMIT = 8
"""So many steps in a row, each too short for as many as there may be to reach the goal, and it is out of reach."""

SADDLE = 1e3
"""Damping that an indefinite matrix withstands only where the majoriser says nothing of a coordinate."""

PIVOT = 1e-14
"""Share of its diagonal element that every pivot of a positive definite matrix exceeds."""

TINY = 1e-150
"""Predictions whose inverse has no finite square: a loss of logarithms is then taken of their ratio to 1."""

SMALL_BATCH = 48
"""Systems up to which a call of LAPACK for each costs less than vectorised arithmetic over all."""

MANY_UNKNOWNS, WIDE = 6, 1 << 13
"""From so many unknowns on, and up to so many of them times problems, an elimination costs calls, not arithmetic."""

CHUNK_ELEMENTS = 1 << 15
"""Problems times rows per chunk: small enough for the cache, large enough to spread the cost of a call."""


@dataclass(frozen=True)
class Solution:
    """Result of :func:`minimise`.

    Attributes
    ----------
    u : array (P, k)
        Internal parameters.
    objective : array (P,)
        In the solver's own scale: see :func:`objective_value` for the reported one.
    status : array (P,) of int
    n_iterations : array (P,) of int
    """

    u: FloatArray
    objective: FloatArray
    status: np.ndarray[tuple[int], np.dtype[np.int64]]
    n_iterations: np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class Penalty:
    """Priors as squares: ``0.5 * factor * ((theta_i - mean) / sd)**2`` is added to the sum over the rows.

    Attributes
    ----------
    priors : tuple of (int, float, float)
        Position among the free parameters, mean and standard deviation; of the logarithm for a scale.
    factor : float
        What one unit of negative log likelihood is worth in the objective.
    """

    priors: tuple[tuple[int, float, float], ...]
    factor: float = 1.0

    def value(self, model: Model, u: FloatArray, inputs: PreparedInputs) -> FloatArray:
        """Penalty (P,)."""
        total = np.zeros(u.shape[0])
        for i, mean, sd in self.priors:
            value, _, _ = model.natural_curves(u, inputs, i)
            total += 0.5 * self.factor * ((value - mean) / sd) ** 2
        return total

    def add(self, model: Model, u: FloatArray, inputs: PreparedInputs, local: _Local) -> None:
        """Add value and derivatives to those of the rows."""
        for i, mean, sd in self.priors:
            value, gradient, bend = model.natural_curves(u, inputs, i)
            factor = self.factor / sd**2
            off = value - mean
            local.total += 0.5 * factor * off**2
            local.gradient += factor * off[:, None] * gradient
            square = factor * gradient[:, :, None] * gradient[:, None, :]
            local.majoriser += square
            local.hessian += square + factor * off[:, None, None] * bend


def objective_value(
    model: Model,
    objective: Objective,
    u: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    penalty: Penalty | None = None,
) -> FloatArray:
    """Reported objective (P,) at internal parameters `u` (P, k), priors included."""
    prediction = model.evaluate(u, inputs, 0).value
    total = objective.total(y, prediction, weights)
    if penalty is not None:
        total = total + objective.scale * penalty.value(model, u, inputs)
    return np.asarray(np.where(np.isfinite(total), total, np.inf))


def curvature(
    model: Model, objective: Objective, u: FloatArray, inputs: PreparedInputs, y: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Objective (P,) in the solver's own scale and its positive semi-definite curvature (P, k, k) at `u` (P, k)."""
    room = np.empty((len(u), 1 + 2 * model.n_params, inputs.logs[0].shape[-1]))
    delta = np.inf if objective.is_absolute else objective.delta  # absolute values have none: that of squares
    local = _local(model, objective, delta, None, u, inputs, y, weights, objective.observed(y), room)
    return local.total, local.majoriser


@dataclass
class _Local:
    """Objective, gradient, Hessian and majoriser of every problem of a chunk."""

    total: FloatArray
    gradient: FloatArray
    hessian: FloatArray
    majoriser: FloatArray


def _local(
    model: Model,
    objective: Objective,
    delta: float | FloatArray,
    penalty: Penalty | None,
    u: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    observed: FloatArray,
    room: FloatArray,
) -> _Local:
    """Everything at `u`; `room` (P or more, 1 + 2k, n) is scratch, which costs more to get anew than to fill."""
    is_one = len(u) > 1 and inputs.is_shared and y.ndim == 1 and weights.ndim == 2 and bool((u == u[0]).all())
    if is_one and all(c.ndim == 1 for c in inputs.constants):
        # resamples that begin at one point differ in their weights alone
        evaluation: Evaluation = model.evaluate(u[:1], inputs, 2 if model.is_exact else 1)
    else:
        evaluation = model.evaluate(u, inputs, 2 if model.is_exact else 1)
    if objective.is_log and (evaluation.value < TINY).any():
        evaluation, observed = _relative(evaluation, observed)
    jacobian = evaluation.gradient
    assert jacobian is not None
    count, (k, n) = len(u), jacobian.shape[1:]
    with np.errstate(all="ignore"):
        rows = objective.rows(y, evaluation.value, delta, observed)
        total = (weights * rows.loss).sum(1)
        # gradient, majoriser and Hessian are one product: all have the Jacobian on the right
        is_bent = evaluation.curvature is not None
        left = room[:count, : 1 + k + is_bent * k]
        lever = np.multiply(weights, rows.first, out=left[:, 0])
        np.multiply(jacobian, (weights * rows.majoriser)[:, None, :], out=left[:, 1 : 1 + k])
        if is_bent:
            np.multiply(jacobian, (weights * rows.second)[:, None, :], out=left[:, 1 + k :])
        product = np.matmul(left, jacobian.transpose(0, 2, 1))
        gradient, majoriser = product[:, 0], product[:, 1 : 1 + k]
        hessian = product[:, 1 + k :] if is_bent else majoriser.copy()
        for a, b, second in evaluation.curvature or ():
            entry = np.vecdot(lever, second) if second.shape[-1:] == (n,) else (lever * second).sum(1)
            hessian[:, a, b] += entry
            if a != b:
                hessian[:, b, a] += entry
        local = _Local(total, gradient, hessian, majoriser)
        if penalty is not None:
            penalty.add(model, u, inputs, local)
        # one number that is not finite makes the sum so
        sums = local.total + local.gradient.sum(1) + local.hessian.sum((1, 2))
    local.total = np.where(np.isfinite(sums), local.total, np.inf)
    return local


def _relative(evaluation: Evaluation, observed: FloatArray) -> tuple[Evaluation, FloatArray]:
    """The same residuals of logarithms (P, n) from predictions of 1, whose derivatives are finite at any scale."""
    with np.errstate(all="ignore"):
        slope = 1.0 / evaluation.value
        gradient = None if evaluation.gradient is None else evaluation.gradient * slope[:, None, :]
        curvature = evaluation.curvature and [(a, b, second * slope) for a, b, second in evaluation.curvature]
        return Evaluation(np.ones_like(slope), gradient, curvature), observed - np.log(evaluation.value)


def solve_spd(matrix: FloatArray, right: FloatArray) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Solve P small symmetric systems, (P, k, k) and (P, k).

    Returns the solutions (P, k) and which matrices are safely positive definite. NumPy's batched
    Cholesky raises for the whole batch if one matrix is indefinite; the elimination by columns, vectorised
    over the problems, answers each.
    """
    count, k = right.shape
    good = np.ones(count, dtype=bool)
    if count <= SMALL_BATCH:
        try:
            pivots = np.einsum("pii->pi", np.linalg.cholesky(matrix)) ** 2
            if (pivots > PIVOT * np.einsum("pii->pi", matrix)).all():
                return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0], dtype=float), good
        except np.linalg.LinAlgError:
            pass
    # LDL': rows of numbers, one for each problem, lie together in memory
    columns = matrix.transpose(1, 2, 0).copy()
    solution = right.T.copy()
    floors = PIVOT * np.maximum(np.einsum("iip->ip", columns), 0.0)
    if k >= MANY_UNKNOWNS and count * k <= WIDE:
        return _eliminate_whole(columns, solution, floors)
    work = [[columns[i, j] for j in range(i + 1)] for i in range(k)]
    lower: dict[tuple[int, int], FloatArray] = {}
    for j in range(k):
        ok = work[j][j] > floors[j]
        if not ok.all():
            good &= ok
            work[j][j] = np.where(ok, work[j][j], 1.0)
        for i in range(j + 1, k):
            factor = lower[i, j] = work[i][j] / work[j][j]
            for m in range(j + 1, i + 1):
                work[i][m] -= factor * work[m][j]
            solution[i] -= factor * solution[j]
    for j in range(k - 1, -1, -1):
        solution[j] /= work[j][j]
        for i in range(j + 1, k):
            solution[j] -= lower[i, j] * solution[i]
    return solution.T.copy(), good


def _eliminate_whole(
    work: FloatArray, solution: FloatArray, floors: FloatArray
) -> tuple[FloatArray, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """The same elimination, a whole remainder at a time: twice the arithmetic in a tenth of the calls."""
    k, count = solution.shape
    good = np.ones(count, dtype=bool)
    for j in range(k):
        ok = work[j, j] > floors[j]
        if not ok.all():
            good &= ok
            work[j, j] = np.where(ok, work[j, j], 1.0)
        below = work[j + 1 :, j]
        factor = below / work[j, j]
        work[j + 1 :, j + 1 :] -= factor[:, None] * below
        below[:] = factor
        solution[j + 1 :] -= factor * solution[j]
    solution /= np.einsum("iip->ip", work)
    for j in range(k - 1, 0, -1):
        solution[:j] -= work[j, :j] * solution[j]
    return solution.T.copy(), good


def minimise(
    model: Model,
    objective: Objective,
    u0: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    *,
    penalty: Penalty | None = None,
    damping: float = 1.0,
    max_iterations: int = 200,
    goal: FloatArray | None = None,
) -> Solution:
    """Minimise P problems from the starts `u0`.

    Parameters
    ----------
    u0 : array (P, k)
        Internal parameters to start from.
    inputs : PreparedInputs
        Shared (n,) or one row per problem (P, n).
    y : array (n,) or (P, n)
    weights : array (n,) or (P, n)
        Not negative; zero leaves a row out.
    penalty : Penalty, optional
    damping : float
        First lambda: about 1 for cold starts, 1e-3 where the start is close.
    goal : array (P,), optional
        A problem stops where its objective (in the solver's own scale) falls below this, or creeps far above it.
        Absolute values, which are reached in stages, go on to the end.

    Returns
    -------
    Solution
    """
    if objective.is_absolute:
        return _minimise_absolute(model, objective, penalty, u0, inputs, y, weights, damping, max_iterations)
    return _minimise_smooth(
        model, objective, objective.delta, penalty, u0, inputs, y, weights, damping, max_iterations, goal
    )


def _minimise_absolute(
    model: Model,
    objective: Objective,
    penalty: Penalty | None,
    u0: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    damping: float,
    max_iterations: int,
) -> Solution:
    """Absolute values as the limit of Huber losses whose delta shrinks from stage to stage.

    The error of the last stage is at most ``n * delta / 2``, with delta 1e-7 of the typical
    residual: seven digits of the objective.
    """
    prediction = model.evaluate(u0, inputs, 0).value
    residual = np.abs(objective.residual(y, prediction))
    counts = np.isfinite(residual) & (weights > 0)
    # the median over the rows that count, without a warning where there is none
    ordered = np.sort(np.where(counts, residual, np.inf), axis=1)
    middle = np.maximum(counts.sum(1, keepdims=True) // 2, 0)
    typical = np.take_along_axis(ordered, np.minimum(middle, ordered.shape[1] - 1), 1)
    typical = np.where(np.isfinite(typical) & (typical > 0), typical, 1.0)
    if penalty is not None:  # one delta for all: the penalty has to shrink with it
        typical = np.full_like(typical, np.median(typical))
    u, iterations = u0, np.zeros(u0.shape[0], dtype=np.int64)
    for shrink in (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        delta = np.maximum(typical * shrink, 1e-300)
        prior = None if penalty is None else replace(penalty, factor=penalty.factor * float(delta[0, 0]))
        stage = _minimise_smooth(model, objective, delta, prior, u, inputs, y, weights, damping, max_iterations)
        u, iterations = stage.u, iterations + stage.n_iterations
        damping = 1e-3
    total = objective_value(model, objective, u, inputs, y, weights, penalty)
    return Solution(u, total, stage.status, iterations)


def _minimise_smooth(
    model: Model,
    objective: Objective,
    delta: float | FloatArray,
    penalty: Penalty | None,
    u0: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    damping: float,
    max_iterations: int,
    goal: FloatArray | None = None,
) -> Solution:
    count = u0.shape[0]
    n = inputs.logs[0].shape[-1]
    size = max(1, CHUNK_ELEMENTS // max(n, 1))
    state = _State(
        u0.copy(),
        np.full(count, np.inf),
        np.full(count, ITERATION_LIMIT, dtype=np.int64),
        np.zeros(count, dtype=np.int64),
        np.full(count, damping),
        np.full(count, -np.inf) if goal is None else goal,
    )
    waiting = np.arange(count)
    while waiting.size:
        parts = [waiting[first : first + size] for first in range(0, waiting.size, size)]
        for part in parts:
            _solve_chunk(
                model,
                objective,
                delta if isinstance(delta, float) else delta[part],
                penalty,
                state,
                part,
                inputs.take(part),
                y if y.ndim == 1 else y[part],
                weights if weights.ndim == 1 else weights[part],
                max_iterations,
                # the slow few of each chunk are left for a chunk of their own
                leave=part.size // 4 if len(parts) > 1 else 0,
            )
        waiting = waiting[(state.status[waiting] == ITERATION_LIMIT) & (state.iterations[waiting] < max_iterations)]
    return Solution(state.u, state.total, state.status, state.iterations)


@dataclass(eq=False)
class _State:
    """Where every problem stands (P,); chunks write their rows."""

    u: FloatArray
    total: FloatArray
    status: np.ndarray[tuple[int], np.dtype[np.int64]]
    iterations: np.ndarray[tuple[int], np.dtype[np.int64]]
    damping: FloatArray
    goal: FloatArray


def _settle(
    model: Model,
    objective: Objective,
    delta: float | FloatArray,
    u: FloatArray,
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
) -> FloatArray:
    """Move the linear parameters of any sign to where a trial of the others wants them.

    Where scales of a sum must follow an exponent over orders of magnitude, a straight step leaves
    their curved valley at once. One reweighted least-squares solve puts them back: exactly, for
    squares (variable projection).
    """
    assert model.basis is not None
    with np.errstate(all="ignore"):
        offset, terms = model.basis(u, inputs)
        prediction = offset + (u[:, list(model.linear)][:, :, None] * terms).sum(1)
        rows = objective.rows(y, prediction, delta)
        which = [model.linear.index(i) for i in model.loose]
        terms = terms[:, which]
        curvature = np.matmul(terms * (weights * rows.majoriser)[:, None, :], terms.transpose(0, 2, 1))
        slope = np.matmul(terms, (weights * rows.first)[:, :, None])[:, :, 0]
        size = np.sqrt(np.einsum("pii->pi", curvature)) + 1e-300
        move, good = solve_spd(curvature / size[:, :, None] / size[:, None, :], -slope / size)
        moved = u.copy()
        moved[:, list(model.loose)] += move / size
    fine = good & np.isfinite(moved).all(1)
    return np.where(fine[:, None], moved, u)


@np.errstate(all="ignore")  # a trial that overflows is refused by its objective
def _solve_chunk(
    model: Model,
    objective: Objective,
    delta: float | FloatArray,
    penalty: Penalty | None,
    state: _State,
    part: np.ndarray[tuple[int], np.dtype[np.intp]],
    inputs: PreparedInputs,
    y: FloatArray,
    weights: FloatArray,
    max_iterations: int,
    leave: int,
) -> None:
    """Solve the problems `part` of `state`, until no more than `leave` of them are left."""
    alive = part
    is_direct = model.is_exact and not model.loose
    is_boxed = bool(np.isfinite(model.low).any() or np.isfinite(model.high).any())
    u = np.clip(state.u[part], model.low, model.high)
    observed = objective.observed(y)
    room = np.empty((alive.size, 1 + 2 * model.n_params, inputs.logs[0].shape[-1]))
    local = _local(model, objective, delta, penalty, u, inputs, y, weights, observed, room)
    damp = state.damping[part]
    done = np.zeros(alive.size, dtype=bool)
    idle, futile = np.zeros(alive.size, dtype=np.int64), np.zeros(alive.size, dtype=np.int64)
    has_goal = bool(np.isfinite(state.goal[part]).any())
    # what rounding alone can make of the objective: nothing below it is a decrease
    with np.errstate(divide="ignore"):
        # a logarithm is rounded in proportion to itself
        unit = np.ones_like(y) if objective.is_likelihood else (4 + np.abs(observed)) ** 2 if objective.is_log else y**2
    noise = 1e-30 * (weights * unit).sum(-1) * np.ones(alive.size)
    eye = np.eye(u.shape[1])
    nothing_held = np.zeros(u.shape, dtype=bool)

    for _ in range(max_iterations - int(state.iterations[part].min())):
        held = nothing_held[: len(u)]
        gradient = local.gradient
        if is_boxed:
            held = ((u <= model.low) & (gradient > 0)) | ((u >= model.high) & (gradient < 0))
        is_held = bool(held.any())
        if is_held:
            gradient = np.where(held, 0.0, gradient)
        diagonal = np.einsum("pii->pi", local.majoriser)
        ridge = 1e-13 * diagonal + 1e-300
        matrix = local.hessian + damp[:, None, None] * local.majoriser
        on_diagonal = np.einsum("pii->pi", matrix)
        on_diagonal += ridge * (1.0 + damp[:, None])
        if is_held:
            matrix = np.where(held[:, :, None] | held[:, None, :], eye, matrix)
        step, good = solve_spd(matrix, -gradient)
        tries = 0
        while tries < 12 and not good.all():  # an indefinite matrix needs more damping, not another evaluation
            bad = np.flatnonzero(~good)
            # several dampings at once where calls cost more than arithmetic; the least that suffices is taken
            rungs = 4 if bad.size * eye.size <= WIDE else 1
            tries += rungs
            ladder = np.maximum(10.0 * damp[bad], 1e-2)[:, None] * 10.0 ** np.arange(rungs)
            fixed = local.hessian[bad][:, None] + ladder[:, :, None, None] * local.majoriser[bad][:, None]
            fixed += (ridge[bad][:, None] * (1.0 + ladder[:, :, None]))[..., None] * eye
            if is_held:
                fixed = np.where((held[bad][:, :, None] | held[bad][:, None, :])[:, None], eye, fixed)
            right = np.repeat(-gradient[bad], rungs, axis=0)
            solved, definite = solve_spd(fixed.reshape(-1, *eye.shape), right)
            answers, safe = solved.reshape(bad.size, rungs, -1), definite.reshape(bad.size, rungs)
            # a coordinate that moves no prediction here (the power of a term of size zero) has no majoriser to damp
            # it by: there the row sums of the Hessian make any matrix positive
            enough = safe | (ladder > SADDLE)
            first = np.where(enough.any(1), enough.argmax(1), rungs - 1)
            which = np.arange(bad.size)
            damp[bad], step[bad], good[bad] = ladder[which, first], answers[which, first], safe[which, first]
            without = bad[enough[which, first] & ~safe[which, first]]
            if without.size:
                rows = np.abs(local.hessian[without]).sum(2)
                dominant = local.hessian[without] + local.majoriser[without] + (rows * (1 + 1e-9))[:, :, None] * eye
                dominant = np.where(held[without][:, :, None] | held[without][:, None, :], eye, dominant)
                step[without], good[without] = solve_spd(dominant, -gradient[without])
                damp[without] = 1.0
        if not good.all():
            # still indefinite: the negative gradient, scaled, is at least a descent direction
            step = np.where(good[:, None], step, -gradient / (diagonal * (1.0 + damp[:, None]) + 1e-300))
        step *= np.minimum(1.0, 1.0 / np.maximum((np.abs(step) / model.reach).max(1), 1e-300))[:, None]
        trial = u + step
        if is_boxed:
            trial = np.clip(trial, model.low, model.high)
            step = trial - u
        if model.loose and penalty is None:  # a prior has its own say about them
            trial = _settle(model, objective, delta, trial, inputs, y, weights)
        newton = -(gradient * step).sum(1)  # twice the decrease that a full Newton step promises
        predicted = newton - 0.5 * (step * np.matmul(local.hessian, step[:, :, None])[:, :, 0]).sum(1)
        small = np.maximum(newton, np.abs(predicted)) <= TOLERANCE * local.total + noise
        damped = damp > 1e-2
        if is_direct:
            # the last step of Newton's method moves by less than is left to gain: it is taken unseen
            sure = small & ~damped & ~done
            if sure.any():
                where = alive[sure]
                state.u[where], state.total[where] = trial[sure], (local.total - np.maximum(predicted, 0.0))[sure]
                state.status[where] = CONVERGED
                state.iterations[where] += 1
                done |= sure
        left = done.size - int(done.sum())
        if left <= leave:
            break
        if left < 0.8 * done.size:  # moving arrays costs more than a few problems too many
            going = ~done
            alive, u, damp, noise = alive[going], u[going], damp[going], noise[going]
            idle, futile, trial = idle[going], futile[going], trial[going]
            newton, predicted, small, damped = newton[going], predicted[going], small[going], damped[going]
            local = _Local(local.total[going], local.gradient[going], local.hessian[going], local.majoriser[going])
            inputs = inputs.take(going)
            delta = delta if isinstance(delta, float) else delta[going]
            y, observed = (y, observed) if y.ndim == 1 else (y[going], observed[going])
            weights = weights if weights.ndim == 1 else weights[going]
            done = np.zeros(alive.size, dtype=bool)

        new = _local(model, objective, delta, penalty, trial, inputs, y, weights, observed, room)
        state.iterations[alive[~done]] += 1
        decrease = local.total - new.total
        slack = 1e-14 * np.abs(local.total)
        accepted = (decrease >= -slack) & np.isfinite(new.total)
        converged = small & ~(damped & (local.total > noise) & ~accepted)
        # a damped step is short by design: small progress under heavy damping is not convergence
        converged &= ~damped | (damp > 1e8) | (local.total <= noise)
        # rounding (or a numerical derivative) can promise for ever what no step delivers
        idle = np.where(decrease > IDLE * local.total, 0, idle + 1)
        stalled = (~accepted & (damp > 1e12)) | (idle >= IDLE_LIMIT)

        if accepted.all():
            u, before, local = trial, local.total, new
            local.total = np.minimum(new.total, before)
        else:
            u = np.where(accepted[:, None], trial, u)
            keep = accepted[:, None]
            local = _Local(
                np.where(accepted, np.minimum(new.total, local.total), local.total),
                np.where(keep, new.gradient, local.gradient),
                np.where(keep[:, :, None], new.hessian, local.hessian),
                np.where(keep[:, :, None], new.majoriser, local.majoriser),
            )
        as_promised = decrease > 0.25 * np.maximum(predicted, 1e-300)
        damp = np.where(accepted, np.where(as_promised | small, damp * 0.15, damp), np.maximum(damp, 1e-4) * 8.0)

        if has_goal:
            # a goal is reached, or so far away that no number of such steps would reach it
            gap = local.total - state.goal[alive]
            futile = np.where(np.isfinite(gap) & (decrease * max_iterations < gap), futile + 1, 0)
            converged |= (gap < 0) | (futile >= FUTILE_LIMIT)
        finished = (converged | stalled) & ~done
        if finished.any():
            where = alive[finished]
            state.u[where], state.total[where] = u[finished], local.total[finished]
            state.status[where] = np.where(converged[finished], CONVERGED, STALLED)
            done |= finished
            if done.all():
                break
    going = ~done
    where = alive[going]
    state.u[where], state.total[where], state.damping[where] = u[going], local.total[going], damp[going]
