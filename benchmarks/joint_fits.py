"""Joint fits beside separate ones: time, coverage of the shared exponents, and width of their intervals.

    uv run python benchmarks/joint_fits.py --simulations 200 --objective mse_log

Each simulation draws `--groups` optimisers with floors and scales of their own and common exponents, and `--runs` noisy
runs of each.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import polars as pl

import scalingdb as sdb

TRUE = {"alpha": 0.34, "beta": 0.28}


def draw(rng: np.random.Generator, n_groups: int, n_runs: int, noise: float) -> pl.DataFrame:
    """Runs of every optimiser under the Chinchilla form."""
    frames = []
    for group in range(n_groups):
        n = np.exp(rng.uniform(np.log(2e7), np.log(2e9), n_runs))
        d = n * np.exp(rng.uniform(np.log(5), np.log(100), n_runs))
        floor = 1.7 + 0.05 * rng.standard_normal()
        size, data = 400 * np.exp(0.2 * rng.standard_normal(2))
        loss = floor + size * n ** -TRUE["alpha"] + data * d ** -TRUE["beta"]
        observed = loss * np.exp(noise * rng.standard_normal(n_runs))
        frames.append(pl.DataFrame({"optimizer": f"opt{group}", "n_params": n, "n_tokens": d, "loss": observed}))
    return pl.concat(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=200)
    parser.add_argument("--groups", type=int, default=10)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--objective", default="mse_log")
    parser.add_argument("--separate", type=int, default=5, help="simulations in which groups are fitted one by one too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    held = dict.fromkeys(TRUE, 0)
    refuted, seconds = 0, []
    ratios: dict[str, list[float]] = {name: [] for name in TRUE}
    for seed in range(options.simulations):
        frame = draw(np.random.default_rng(seed), options.groups, options.runs, options.noise)
        start = time.perf_counter()
        joint = sdb.fit(frame, "chinchilla", by="optimizer", shared=[*TRUE], objective=options.objective)
        seconds.append(time.perf_counter() - start)
        rows = {row["param"]: row for row in joint.tidy().filter(pl.col("role") == "shared").iter_rows(named=True)}
        for name, value in TRUE.items():
            held[name] += rows[name]["low"] <= value <= rows[name]["high"]
        refuted += joint.sharing is not None and joint.sharing["p_value"] < 0.05
        if seed < options.separate:
            apart = sdb.fit_by(frame, "chinchilla", by="optimizer", objective=options.objective).tidy()
            for name in TRUE:
                width = apart.filter(pl.col("param") == name).select(pl.col("high") - pl.col("low")).to_series()
                ratios[name].append((rows[name]["high"] - rows[name]["low"]) / float(width.median()))  # type: ignore[arg-type]
    print(f"{options.groups} groups x {options.runs} runs, {options.simulations} simulations, {options.objective}")
    print(f"seconds a joint fit: median {np.median(seconds):.2f}, largest after the first {max(seconds[1:]):.2f}")
    for name, count in held.items():
        print(
            f"{name}: 95 % intervals hold the truth in {100 * count / options.simulations:.1f} %; "
            f"width over the median of separate fits: {np.median(ratios[name]):.2f}"
        )
    print(f"sharing refuted at 5 %, though true, in {100 * refuted / options.simulations:.1f} %")


if __name__ == "__main__":
    main()
