"""How often do nominal 95 % intervals hold the truth? Simulated studies of known laws.

    OMP_NUM_THREADS=1 uv run python benchmarks/interval_coverage.py [--part grid small ...] [--studies N]

``grid``: Chinchilla's law as Epoch fitted it, on grids of model sizes (5e7 to 1e10) and token counts
(1e9 to 1e12) with log-normal errors whose tails are those of Student's t with three degrees of
freedom: rare runs are off by several per cent, as published runs are.

The other parts fit ``L = E + A / D**alpha`` to studies of few runs:

``small``        5, 8, 12, 20 runs over 2.5 decades of D, normal errors of 1 %, default objective and squares
``growing``      the same with errors that grow sixfold along D
``checkpoints``  6, 8, 12 runs of 20 checkpoints, errors autoregressive along a run (coefficient 0.9)
``floor``        12, 20 runs of a law whose floor E is near zero
``wild``         the wild bootstrap of 40, 80 runs under squares (few runs and near-absolute losses refuse it)

Each kind of interval either holds the true parameter (or the true law at ten times the largest D)
or does not; a parameter at a bound or not identified has no interval and is not counted. Shares are
given with their Monte Carlo error (one standard deviation).
"""

from __future__ import annotations

import argparse
import logging
import warnings

import numpy as np
import polars as pl

import scalingdb as sdb

TRUTH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
GRIDS = {30: (5, 6), 100: (10, 10), 240: (12, 20)}
SCATTER = 0.005
PARTS = {"bootstrap": 400, "profile": 200}
"""Studies that a slower kind of interval is measured on; all of them where nothing is said."""


def studies(n_rows: int, count: int, seed: int) -> pl.DataFrame:
    """`count` simulated studies of `n_rows` runs each, numbered in the column ``study``."""
    sizes, tokens = GRIDS[n_rows]
    n, d = np.meshgrid(np.geomspace(5e7, 1e10, sizes), np.geomspace(1e9, 1e12, tokens))
    n, d = n.ravel(), d.ravel()
    rng = np.random.default_rng([seed, n_rows])
    loss = sdb.get_law("chinchilla")(n, d, **TRUTH) * np.exp(SCATTER * rng.standard_t(3, (count, n_rows)))
    return pl.DataFrame(
        {
            "study": np.repeat(np.arange(count), n_rows),
            "n_params": np.tile(n, count),
            "n_tokens": np.tile(d, count),
            "loss": loss.ravel(),
        }
    )


def share_inside(tables: list[pl.DataFrame]) -> dict[str, float]:
    """Share of studies whose interval holds the truth, by parameter; a missing interval holds nothing."""
    stacked = pl.concat(tables).with_columns(truth=pl.col("param").replace_strict(TRUTH, return_dtype=pl.Float64))
    held = stacked.with_columns(
        inside=((pl.col("low") <= pl.col("truth")) & (pl.col("truth") <= pl.col("high"))).fill_null(False)
    )
    return dict(held.group_by("param").agg(pl.col("inside").mean()).iter_rows())


def grid(count: int, resamples: int, seed: int) -> None:
    """Print a row for every grid and kind of interval."""
    print("| rows | studies | interval | " + " | ".join(TRUTH) + " | all | N* at 1e24 FLOP |")
    print("|---|---|---|" + "---|" * (len(TRUTH) + 2))
    exact = sdb.get_law("chinchilla")
    power = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    scale = (TRUTH["alpha"] * TRUTH["A"] / (TRUTH["beta"] * TRUTH["B"])) ** (1 / (TRUTH["alpha"] + TRUTH["beta"]))
    best_n = scale * (1e24 / 6) ** power
    assert exact(best_n, 1e24 / 6 / best_n, **TRUTH) < exact(1.1 * best_n, 1e24 / 6.6 / best_n, **TRUTH)
    for n_rows in GRIDS:
        frame = studies(n_rows, count, seed)
        for method in ("robust", "bootstrap", "profile"):
            some = frame.filter(pl.col("study") < PARTS.get(method, count))
            fits = sdb.fit_by(some, "chinchilla", by="study", bootstrap=resamples if method == "bootstrap" else 0)
            held = share_inside([fit.tidy(method=method) for fit in fits.fits.values()])
            optimum = "" if method == "profile" else f"{_optimum_inside(fits, best_n):.3f}"
            cells = " | ".join(f"{held[name]:.3f}" for name in TRUTH)
            print(
                f"| {n_rows} | {len(fits)} | {method} | {cells} | {np.mean(list(held.values())):.3f} | {optimum} |",
                flush=True,
            )


def _optimum_inside(fits: sdb.Fits, best_n: float) -> float:
    """Share of studies whose interval of the optimal model size holds the true one."""
    ends = [fit.optimum(train_flops=1e24).select("n_params_low", "n_params_high").row(0) for fit in fits.fits.values()]
    return float(np.mean([low <= best_n <= high for low, high in ends]))


LADDER = {"E": 1.8172, "A": 2085.43, "alpha": 0.3658}
FEW_STUDIES = {"checkpoints": (6, 8, 12), "floor": (12, 20), "wild": (40, 80)}
"""Sizes of the studies of a part; 5, 8, 12, 20 runs where nothing is said."""


def ladders(part: str, runs: int, count: int, seed: int) -> tuple[pl.DataFrame, dict[str, float]]:
    """`count` studies of a law in D alone, and its parameters."""
    truth = {**LADDER, "E": 0.02} if part == "floor" else LADDER
    rng = np.random.default_rng([seed, runs])
    law, tokens = sdb.get_law("power_offset"), np.geomspace(1e9, 3e11, runs)
    each = 1
    if part == "checkpoints":
        each = 20
        tokens = (tokens[:, None] * np.linspace(0.05, 1, each)).ravel()
        steps = rng.standard_normal((count, runs, each))
        error = np.empty_like(steps)
        error[..., 0] = steps[..., 0]
        for i in range(1, each):
            error[..., i] = 0.9 * error[..., i - 1] + np.sqrt(1 - 0.9**2) * steps[..., i]
        error = error.reshape(count, -1)
    else:
        error = rng.standard_normal((count, runs))
    if part == "growing":
        error = error * np.linspace(0.3, 1.8, runs)
    frame = pl.DataFrame(
        {
            "study": np.repeat(np.arange(count), tokens.size),
            "run_id": np.tile(np.repeat(np.arange(runs), each).astype(str), count),
            "n_tokens": np.tile(tokens, count),
            "loss": (law(tokens, **truth) * np.exp(0.01 * error)).ravel(),
        }
    )
    return frame, truth


def few_runs(part: str, count: int, resamples: int, seed: int) -> None:
    """Print a row for every size of study and objective."""
    far = pl.DataFrame({"n_tokens": [3e12]})
    objectives = ("mse_log",) if part == "wild" else ("huber_log", "mse_log")
    options = {"bootstrap": resamples, "resample": "wild"} if part == "wild" else {}
    for runs in FEW_STUDIES.get(part, (5, 8, 12, 20)):
        frame, truth = ladders(part, runs, count, seed)
        beyond = sdb.get_law("power_offset")(3e12, **truth)
        for objective in objectives:
            fits = sdb.fit_by(frame, "power_offset", by="study", objective=objective, on_error="record", **options)
            inside: dict[str, list[bool]] = {name: [] for name in (*truth, "law")}
            kinds = [fit.verdict.kind for fit in fits.fits.values()]
            for fit in fits.fits.values():
                for row in fit.tidy().drop_nulls("low").iter_rows(named=True):
                    inside[row["param"]].append(row["low"] <= truth[row["param"]] <= row["high"])
                law = fit.predict(far, 0.95, noise=False).row(0, named=True)
                inside["law"].append(law["low"] <= beyond <= law["high"])
            cells = " | ".join(_share(inside[name]) for name in (*truth, "law"))
            said = ", ".join(f"{kind} {kinds.count(kind) / len(kinds):.2f}" for kind in dict.fromkeys(sorted(kinds)))
            print(f"| {part} | {runs} | {len(fits)} | {objective} | {cells} | {said} |", flush=True)


def _share(inside: list[bool]) -> str:
    """A share with its Monte Carlo error, and of how many studies if not of all."""
    if not inside:
        return "none"
    share = float(np.mean(inside))
    return f"{share:.3f} ± {np.sqrt(share * (1 - share) / len(inside)):.3f} ({len(inside)})"


PART_NAMES = ("grid", "small", "growing", "checkpoints", "floor", "wild")


def main(parts: list[str], count: int, resamples: int, seed: int) -> None:
    """Print the tables of some parts."""
    logging.getLogger("scalingdb").setLevel("ERROR")
    warnings.simplefilter("ignore", sdb.FitWarning)
    if "grid" in parts:
        grid(count, resamples, seed)
    if few := [part for part in parts if part != "grid"]:
        print("\n| part | runs | studies | objective | E | A | alpha | law at ten times the largest D | verdicts |")
        print("|---|---|---|---|---|---|---|---|---|")
        for part in few:
            few_runs(part, count, resamples, seed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", nargs="*", choices=PART_NAMES, default=list(PART_NAMES))
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.part, options.studies, options.resamples, options.seed)
