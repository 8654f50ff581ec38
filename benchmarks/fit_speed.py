"""Our fits against a skilled SciPy user, side by side in one process: objective reached and time taken.

    OMP_NUM_THREADS=1 uv run python benchmarks/fit_speed.py

The task is the field's best-known one: Chinchilla's law on the 240 points that Epoch digitised, sum
of Huber (delta 1e-3) of log residuals. SciPy's ``least_squares`` with ``loss="huber"`` and
``f_scale=1e-3`` minimises exactly that, given residuals and an analytic Jacobian; it is the fastest
way to the same objective that we know of outside this project. The published way (4,500 starts of
L-BFGS-B on the same sum) and lmfit are timed on a part of their work and scaled. Times are medians
and belong to one run on one machine: read the ratios.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import resource
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from scipy.optimize import least_squares, minimize

import scalingdb as sdb
from scalingdb.estimation import objectives, search, solver, starts
from scalingdb.fits._form import make_form
from scalingdb.fits._many import GROUP_STARTS

logging.getLogger("scalingdb").setLevel("WARNING")
warnings.simplefilter("ignore", sdb.FitWarning)

BEST = 1.0182740178006e-3
"""Lowest objective that any method has reached on these points."""


SMALL_LAW = "infinite_compute_n"
"""A law of one input for many small fits."""


def median_time(task: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Median seconds of `repeats` calls, and the last result."""
    times, result = [], None
    for _ in range(repeats):
        begun = time.perf_counter()
        result = task()
        times.append(time.perf_counter() - begun)
    return statistics.median(times), result


class SciPyFit:
    """Chinchilla's law as a careful SciPy user writes it: centred logs, log-sum-exp, exact Jacobian."""

    def __init__(self, n: Any, d: Any, y: Any) -> None:
        self.log_n, self.log_d = np.log(n) - np.log(n).mean(), np.log(d) - np.log(d).mean()
        self.log_y = np.log(y)
        self.weights = np.ones_like(y)

    def _terms(self, p: Any) -> tuple[Any, Any, Any]:
        return np.exp(p[0]), np.exp(p[1] - p[3] * self.log_n), np.exp(p[2] - p[4] * self.log_d)

    def residuals(self, p: Any) -> Any:
        """Log residuals (n,)."""
        e, a, b = self._terms(p)
        return np.log(e + a + b) - self.log_y

    def jacobian(self, p: Any) -> Any:
        """Their exact derivatives (n, 5)."""
        e, a, b = self._terms(p)
        total = e + a + b
        return np.stack([e / total, a / total, b / total, -a * self.log_n / total, -b * self.log_d / total], axis=1)

    def fit(self, start: Any, rows: Any = None) -> Any:
        """One start; `rows` selects a resample."""
        residuals, jacobian = self.residuals, self.jacobian
        if rows is not None:
            other = SciPyFit.__new__(SciPyFit)
            other.log_n, other.log_d, other.log_y = self.log_n[rows], self.log_d[rows], self.log_y[rows]
            residuals, jacobian = other.residuals, other.jacobian
        return least_squares(
            residuals, start, jac=jacobian, loss="huber", f_scale=1e-3, xtol=1e-15, ftol=1e-15, gtol=1e-15
        )

    def robust(self, count: int, rng: np.random.Generator) -> Any:
        """Best of `count` random starts from a sensible box."""
        low, high = np.array([-1, -3, -3, 0.05, 0.05]), np.array([1.2, 1, 1, 1.0, 1.0])
        return min((self.fit(low + rng.random(5) * (high - low)) for _ in range(count)), key=lambda found: found.cost)


def row(task: str, theirs: tuple[str, float], ours: float, note: str) -> None:
    """One line of the table."""
    name, seconds = theirs
    print(f"| {task} | {name}: {1e3 * seconds:.1f} ms | {1e3 * ours:.1f} ms | {seconds / ours:.1f} | {note} |")


def main(resamples: int, groups: int, repeats: int) -> None:
    """Run all tasks and print a Markdown table."""
    points = sdb.connect().points("epoch_chinchilla")
    n, d, y = (points[column].to_numpy() for column in ("n_params", "n_tokens", "loss"))
    scipy_fit = SciPyFit(n, d, y)
    rng = np.random.default_rng(0)
    sdb.fit(points, "chinchilla")  # compile before timing
    print("| task | SciPy | scalingdb | ratio | reached |")
    print("|---|---|---|---|---|")

    # the engine alone, on arrays, as SciPy is used
    law = sdb.get_law("chinchilla")
    model = make_form(law).model
    kind = objectives.make_objective("huber_log", 1e-3)
    prepared = model.prepare([n, d])
    weights = np.ones_like(y)

    def engine() -> Any:
        candidates = starts.structured_starts(model, kind, prepared, y, weights)
        ranked = starts.ranked(model, kind, candidates, prepared, y, weights)
        return solver.minimise(model, kind, starts.choose(ranked, 16), prepared, y, weights)

    ours, solution = median_time(engine, 5 * repeats)
    theirs, found = median_time(lambda: scipy_fit.robust(100, rng), repeats)
    note = f"excess {solution.objective.min() / BEST - 1:.0e} against {found.cost / BEST - 1:.0e}; "
    note += f"{(solution.objective < BEST * (1 + 1e-9)).sum()} of {solution.objective.size} starts agree"
    row("one robust fit", ("100 starts", theirs), ours, note)

    whole, fit = median_time(lambda: sdb.fit(points, "chinchilla"), 5 * repeats)
    row(
        "the same as sdb.fit(frame)",
        ("100 starts", theirs),
        whole,
        f"excess {fit.objective / BEST - 1:.0e}, {fit.verdict}",
    )

    best = solution.u[np.argmin(solution.objective)]
    drawn = rng.multinomial(y.size, np.full(y.size, 1 / y.size), size=resamples).astype(float)
    ours, many = median_time(
        lambda: solver.minimise(model, kind, np.tile(best, (resamples, 1)), prepared, y, drawn, damping=0.1), repeats
    )
    rows = [np.repeat(np.arange(y.size), multiplicity.astype(int)) for multiplicity in drawn[:200]]
    theirs, warm = median_time(lambda: [scipy_fit.fit(found.x, chosen) for chosen in rows], 1)
    scale = resamples / len(rows)
    worse = max(ours_one / theirs_one.cost - 1 for ours_one, theirs_one in zip(many.objective, warm, strict=False))
    note = f"SciPy measured on {len(rows)} and scaled; ours above SciPy's by at most {worse:.0e} (relative)"
    row(f"{resamples} bootstrap refits, warm", ("1 start each", theirs * scale), ours, note)

    sizes, tokens = 10 ** rng.uniform(7, 10, (groups, 100)), 10 ** rng.uniform(9, 12, (groups, 100))
    exponents = rng.uniform(0.2, 0.5, (groups, 2))
    truth = 1.7 + 400 * sizes ** -exponents[:, :1] + 2000 * tokens ** -exponents[:, 1:]
    noisy = truth * np.exp(0.003 * rng.standard_t(3, truth.shape))

    problems = [search.Rows((sizes[i], tokens[i]), noisy[i], np.ones(100)) for i in range(groups)]

    def each(n_starts: int) -> list[Any]:
        parts = (problems[first : first + 320] for first in range(0, groups, 320))
        return list(
            itertools.chain.from_iterable(
                search.search_many(model, kind, part, [], n_starts=n_starts) for part in parts
            )
        )

    begun = time.perf_counter()
    singles = [SciPyFit(sizes[i], tokens[i], noisy[i]).fit(np.array([0.5, -1, -1, 0.35, 0.35])) for i in range(groups)]
    theirs = time.perf_counter() - begun
    cost = np.array([item.cost for item in singles])
    for n_starts in (GROUP_STARTS, 1):
        ours, separate = median_time(partial(each, n_starts), repeats)
        reached = np.array([item.objective for item in separate])
        note = f"ours misses {(reached > cost * (1 + 1e-6)).sum()}, SciPy misses {(cost > reached * (1 + 1e-6)).sum()}"
        row(f"{groups} laws of 100 points, {n_starts} start(s) each", ("1 start", theirs), ours, note)

    # the way the field does it, on a part of its starts
    table = [
        np.linspace(-1, 1, 5),
        np.arange(0, 26, 5),
        np.arange(0, 26, 5),
        np.linspace(0, 2, 5),
        np.linspace(0, 2, 5),
    ]
    grid = np.array(list(itertools.product(*table)))
    some = grid[rng.choice(grid.shape[0], 60, replace=False)]
    log_n, log_d, log_y = np.log(n), np.log(d), np.log(y)

    def published(p: Any) -> tuple[float, Any]:
        parts = np.stack([np.full_like(log_y, p[0]), p[1] - p[3] * log_n, p[2] - p[4] * log_d])
        top = parts.max(0)
        shares = np.exp(parts - top)
        total = shares.sum(0)
        residual = top + np.log(total) - log_y
        psi = np.clip(residual, -1e-3, 1e-3)
        lever = psi * shares / total
        slope = [lever[0].sum(), lever[1].sum(), lever[2].sum(), -(lever[1] * log_n).sum(), -(lever[2] * log_d).sum()]
        return float((psi * (residual - 0.5 * psi)).sum()), np.array(slope)

    begun = time.perf_counter()
    ended = [minimize(published, start, jac=True, method="L-BFGS-B").fun for start in some]
    theirs = (time.perf_counter() - begun) * grid.shape[0] / len(some)
    ours, _ = median_time(engine, repeats)
    near = np.mean(np.array(ended) < BEST * 1.01)
    note = f"{100 * near:.0f} % of their starts come within 1 % of the optimum; best excess {min(ended) / BEST - 1:.0e}"
    row("one robust fit", (f"L-BFGS-B, {grid.shape[0]} starts (timed on {len(some)})", theirs), ours, note)

    import lmfit

    guess = lmfit.Parameters()
    for name, value in zip(("e", "a", "b", "alpha", "beta"), (0.5, -1.0, -1.0, 0.35, 0.35), strict=True):
        guess.add(name, value=value)

    def lm() -> Any:
        return lmfit.minimize(
            lambda p: scipy_fit.residuals(np.array(list(p.valuesdict().values()))),
            guess,
            method="least_squares",
            loss="huber",
            f_scale=1e-3,
        )

    theirs, fitted = median_time(lm, repeats)
    cost = objectives.make_objective("huber_log").total(y, np.exp(log_y + fitted.residual), weights)
    row("one robust fit", ("lmfit, 1 start", theirs), ours, f"lmfit's excess {cost / BEST - 1:.0e}")
    start = np.array([[np.exp(0.5), np.exp(-1.0), np.exp(-1.0), 0.35, 0.35]])  # scales count at the centre, as theirs
    ours, alone = median_time(lambda: solver.minimise(model, kind, start, prepared, y, weights), 5 * repeats)
    note = f"lmfit's excess {cost / BEST - 1:.0e}, ours {alone.objective[0] / BEST - 1:.0e}"
    row("one local fit from the same start", ("lmfit, 1 start", theirs), ours, note)

    tracemalloc.start()
    sdb.fit(points, "chinchilla", bootstrap=resamples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"\nMemory of {resamples} bootstrap refits with sdb.fit: {peak / 2**20:.0f} MiB at the peak")

    farseer = sdb.connect().points("farseer", flagged=True, split="fit")
    sdb.fit(farseer, "farseer")
    seconds, fit = median_time(lambda: sdb.fit(farseer, "farseer"), repeats)
    published = fit.objective_at("published")
    print(
        f"\nFarseer's nine-parameter law, {farseer.height} rows, no hint: {seconds:.3f} s, objective {fit.objective:.6e} "
        f"(authors' coefficients {published:.6e}), {fit.n_agree} of {fit.n_starts} starts agree"
    )


def small_fits(count: int) -> None:
    """Time and memory of many small fits through `fit_by`: seconds and peak for half as many and for all."""
    rng = np.random.default_rng(0)
    for groups in (count // 2, count):
        size = np.tile(10.0 ** np.linspace(6, 10, 12), groups)
        noise = np.exp(0.01 * rng.standard_normal(size.size))
        frame = pl.DataFrame(
            {
                "group": np.repeat(np.arange(groups), 12),
                "n_params": size,
                "loss": (1.7 + 400 * size**-0.34) * noise,
            }
        )
        begun = time.perf_counter()
        fits = sdb.fit_by(frame, SMALL_LAW, by="group", on_error="record")
        seconds, peak = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(
            f"{groups} fits of 12 rows by fit_by: {seconds:.1f} s ({1e3 * seconds / groups:.2f} ms each), {len(fits)} "
            f"fitted, {peak / 2**10:.0f} MiB at the peak of the process"
        )
        del fits


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--small", type=int, metavar="N", help="time N small fits through fit_by, and nothing else")
    options = parser.parse_args()
    if options.small:
        small_fits(options.small)
    else:
        main(options.resamples, options.groups, options.repeats)
