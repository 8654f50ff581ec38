"""Does a fit end at the global optimum? Against the best of many SciPy starts, which share no code with the search.

    OMP_NUM_THREADS=1 uv run python benchmarks/search_optimum.py --problems 225 --starts 200 --sources

*Random problems*: a law of the library, coefficients drawn around those it is shown with, a grid of
inputs, 1 to 5 % noise. *Sources*: every law on the rows of every source that has its inputs and its
output. Each is fitted under three objectives. The reference begins a third of its starts anywhere
in the ranges where a search may look, a third around the coefficients that the law is shown with, and
a third around the end of the fit itself. A fit fails if the reference ends more than 1e-6 below it.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
from scipy import optimize

import scalingdb as sdb
from scalingdb.errors import ScalingDBError
from scalingdb.law_library import all_laws
from scalingdb.law_library._ranges import grid_of, middle_of

OBJECTIVES = ("huber_log", "mse_log", "mse")
ABOVE = 1e-6
DELTA = 1e-3
MOST_ROWS = 400

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


def total(law: sdb.Law, objective: str, inputs: list[FloatArray], y: FloatArray, theta: FloatArray) -> float:
    """Objective at natural parameters, from the formula alone."""
    root = residuals(law, objective, inputs, y, theta)
    return float((root**2).sum()) if np.isfinite(root).all() else float("inf")


def residuals(law: sdb.Law, objective: str, inputs: list[FloatArray], y: FloatArray, theta: FloatArray) -> FloatArray:
    """Signed square roots of the losses of all rows."""
    with np.errstate(all="ignore"):
        prediction = np.asarray(law.function(*inputs, **dict(zip(law.params, theta, strict=True))), dtype=float)
        plain = np.log(y) - np.log(prediction) if objective.endswith("_log") else y - prediction
        if not objective.startswith("huber"):
            return np.broadcast_to(plain, y.shape)
        size = np.abs(plain)
        return np.sign(plain) * np.sqrt(np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA)))


def reference(
    law: sdb.Law, objective: str, inputs: list[FloatArray], y: FloatArray, end: FloatArray, starts: int, seed: int
) -> float:
    """Least objective of `starts` runs of SciPy's trust-region least squares."""
    rng = np.random.default_rng(seed)
    specs = list(law.params.values())
    low, high = np.array([p.low for p in specs]), np.array([p.high for p in specs])
    is_scale = (low == 0) & np.isinf(high)
    shown = np.array(list(middle_of(law).values()))
    ranges = np.array([p.start for p in specs])

    def inner(theta: FloatArray) -> FloatArray:
        return np.where(is_scale, np.log(np.maximum(theta, 1e-300)), theta)

    def outer(u: FloatArray) -> FloatArray:
        return np.where(is_scale, np.exp(np.clip(np.where(is_scale, u, 0.0), -690, 690)), u)

    bounds = (np.where(is_scale, -690.0, low), np.where(is_scale, 690.0, high))
    best = np.inf
    for i in range(starts):
        if i % 3 == 0:
            begin = inner(ranges[:, 0]) + rng.random(len(specs)) * (inner(ranges[:, 1]) - inner(ranges[:, 0]))
        else:
            centre = inner(shown if i % 3 == 1 else end)
            width = 10 ** rng.uniform(-2, 0.3)
            begin = centre + width * rng.standard_normal(len(specs)) * np.where(is_scale, 1.0, np.abs(centre) + 1e-3)
        begin = np.clip(begin, np.nextafter(bounds[0], np.inf), np.nextafter(bounds[1], -np.inf))
        if not np.isfinite(total(law, objective, inputs, y, outer(begin))):
            continue
        try:
            solved = optimize.least_squares(
                lambda u: np.nan_to_num(
                    residuals(law, objective, inputs, y, outer(u)), nan=1e6, posinf=1e6, neginf=-1e6
                ),
                begin,
                bounds=bounds,
                x_scale="jac",
                max_nfev=200,
                ftol=1e-12,
                xtol=1e-12,
                gtol=1e-12,
            )
        except (ValueError, np.linalg.LinAlgError):
            continue
        best = min(best, total(law, objective, inputs, y, outer(solved.x)))
    return best


def random_problems(count: int, seed: int, only: list[str]) -> Iterator[tuple[str, sdb.Law, pl.DataFrame]]:
    """Laws in turn, with coefficients, designs and noise redrawn each time."""
    rng = np.random.default_rng(seed)
    laws = [law for name, law in all_laws().items() if law.is_traceable and (not only or name in only)]
    for i in range(count):
        law = laws[i % len(laws)]
        values = grid_of(law, [int(rng.integers(4, 7)) if len(law.inputs) < 4 else 3] * len(law.inputs))
        if len(law.inputs) == 1:
            values = grid_of(law, [int(rng.integers(10, 40))])
        truth = {
            name: value * np.exp(0.1 * rng.standard_normal()) if value > 0 else value
            for name, value in middle_of(law).items()
        }
        truth = {
            name: float(np.clip(value, law.params[name].low, law.params[name].high)) for name, value in truth.items()
        }
        with np.errstate(all="ignore"):
            y = np.broadcast_to(np.asarray(law.function(*values, **truth), dtype=float), values[0].shape)
        y = y * np.exp(rng.choice([0.01, 0.05]) * rng.standard_normal(y.size))
        rows = pl.DataFrame({**dict(zip(law.inputs, values, strict=True)), law.output: y}).filter(
            pl.all_horizontal(pl.all().is_finite())
        )
        yield f"random {i}", law, rows


def measured(db: sdb.Warehouse) -> Iterator[tuple[str, pl.DataFrame]]:
    """Rows of the headline measurement of every source: losses, or the task with the most scores."""
    for source in db.sources().filter(pl.col("n_runs") > 0)["source_id"]:
        try:
            rows = db.points(source)
        except ScalingDBError:  # scores, or neither losses nor scores
            rows = db.sql("select *, score as task_accuracy from scores where source_id = $source", source=source)
            if rows.is_empty():
                continue
            keys = ["task", "metric", "n_shots"]
            rows = rows.join(
                rows.group_by(keys).len().sort("len", *keys, descending=True).head(1),
                on=keys,
                nulls_equal=True,
                how="semi",
            )
        rows = rows.with_columns(train_flops=pl.coalesce("train_flops", "train_flops_6nd"))
        yield source, rows.drop(name for name in rows.columns if rows[name].is_null().all())


def source_problems(only: list[str]) -> Iterator[tuple[str, sdb.Law, pl.DataFrame]]:
    """Every law with every source that has its inputs and its output."""
    for source, rows in measured(sdb.connect()):
        for name, law in all_laws().items():
            wanted = [*law.inputs, law.output]
            if not law.is_traceable or (only and name not in only) or not set(wanted) <= set(rows.columns):
                continue
            try:
                usable = rows.select(pl.col(wanted).cast(pl.Float64)).drop_nulls()
            except pl.exceptions.PolarsError:
                continue
            usable = usable.filter(pl.all_horizontal(pl.all().is_finite() & (pl.all() > 0))).unique(maintain_order=True)
            if usable.height >= len(law.params) + 2 and all(usable[c].n_unique() > 1 for c in wanted):
                yield source, law, usable.sample(min(usable.height, MOST_ROWS), seed=0)


def main(problems: int, starts: int, sources: bool, only: list[str], seed: int) -> None:
    """Print every failure, then the counts."""
    logging.getLogger("scalingdb").setLevel("ERROR")
    warnings.simplefilter("ignore")
    cases = list(random_problems(problems, seed, only)) + (list(source_problems(only)) if sources else [])
    tried = above = certain = refused = 0
    print("| law | rows from | objective | fit | best of SciPy | fit / best - 1 | starts that agree | says certain |")
    print("|---|---|---|---|---|---|---|---|")
    for where, law, rows in cases:
        inputs = [rows[name].to_numpy() for name in law.inputs]
        y = rows[law.output].to_numpy()
        for objective in OBJECTIVES if y.min() > 0 else ("mse",):
            begun = time.perf_counter()
            try:
                fit = sdb.fit(rows, law, objective=objective)
            except ScalingDBError:
                refused += 1
                continue
            seconds = time.perf_counter() - begun
            end = np.array(list(fit.params.values()))
            best = reference(law, objective, inputs, y, end, starts, seed)
            tried += 1
            excess = fit.objective / best - 1 if best > 0 else 0.0
            if excess > ABOVE and fit.objective > 1e-24 * (y**2).sum():  # below that it is rounding
                above += 1
                certain += fit.is_certain
                print(
                    f"| {law.name} | {where}, {rows.height} rows | {objective} | {fit.objective:.8g} | {best:.8g} "
                    f"| {excess:.1e} | {fit.n_agree} of {fit.n_starts} in {seconds:.1f} s | {fit.is_certain} |",
                    flush=True,
                )
    print(f"\n{above} of {tried} end more than {ABOVE:g} above the best of {starts} SciPy starts, {certain} of them")
    print(f"and say that they are certain; {refused} fits were refused.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=20, help="random problems (225 for the full table)")
    parser.add_argument("--starts", type=int, default=30, help="SciPy starts for each (200 for the full table)")
    parser.add_argument("--sources", action="store_true", help="also every law on every source that has its inputs")
    parser.add_argument("--laws", default="", help="only these, separated by commas")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    main(given.problems, given.starts, given.sources, [name for name in given.laws.split(",") if name], given.seed)
