"""How often do the 95 % intervals of approach 2 contain the true exponent? Simulated IsoFLOP curves.

    OMP_NUM_THREADS=1 uv run python benchmarks/isoflop_coverage.py --studies 400

Truth is Chinchilla's law with equal exponents, where a parabola is unbiased and N grows as C^0.5. Every
budget has runs from a quarter of the optimal size to four times that; their losses get errors of
0.3 %: normal, with the tails of Student's t with three degrees of freedom, or three times larger at
the smallest budget than at the largest. Beside the coverage stands the mean width of the intervals over that of an
exact interval (3.92 standard deviations of the estimates). With 400 studies a coverage of 95 % is
measured to 1.1 percentage points (one standard deviation).
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import polars as pl

from scalingdb.planning import approach_2

SCATTER = 0.003
SCENARIOS = {
    "5 budgets of 7, normal": (5, 7, "normal"),
    "5 budgets of 5, normal": (5, 5, "normal"),
    "5 budgets of 10, heavy tails": (5, 10, "heavy"),
    "5 budgets of 7, noise falls": (5, 7, "falling"),
    "2 budgets of 7, normal": (2, 7, "normal"),
    "3 budgets of 7, normal": (3, 7, "normal"),
    "9 budgets of 7, normal": (9, 7, "normal"),
    "5 budgets of 7, grids shifted": (5, 7, "shifted"),
}


def study(n_budgets: int, n_runs: int, noise: str, rng: np.random.Generator) -> pl.DataFrame:
    """One simulated set of IsoFLOP curves."""
    budgets = np.geomspace(1e19, 1e21, n_budgets)
    middle = np.sqrt(budgets / 6 / 20)
    if noise == "shifted":
        middle = middle * np.exp(0.4 * rng.standard_normal(n_budgets))
    n = middle[:, None] * np.geomspace(0.25, 4, n_runs)
    d = budgets[:, None] / 6 / n
    # A and B whose ratio makes D = 20 N optimal
    loss = 1.8 + 400.0 * n**-0.34 + 400.0 * 20.0**0.34 * d**-0.34
    error = rng.standard_t(3, n.shape) if noise == "heavy" else rng.standard_normal(n.shape)
    scale = np.geomspace(1.7, 0.57, n_budgets)[:, None] if noise == "falling" else 1.0
    loss = loss * np.exp(SCATTER * scale * error)
    c = np.broadcast_to(budgets[:, None], n.shape)
    return pl.DataFrame({"train_flops": c.ravel(), "n_params": n.ravel(), "n_tokens": d.ravel(), "loss": loss.ravel()})


def main(studies: int, resamples: int, seed: int) -> None:
    """Print one row per scenario."""
    warnings.simplefilter("ignore")
    print(f"{'scenario':32}{'coverage of a, %':>18}{'of b, %':>10}{'width':>8}")
    for number, (name, (n_budgets, n_runs, noise)) in enumerate(SCENARIOS.items()):
        rows = []
        for i in range(studies):
            frame = study(n_budgets, n_runs, noise, np.random.default_rng([seed, number, i]))
            rows.append(
                approach_2(frame, bootstrap=resamples, rng=i).tidy()[["exponent", "exponent_low", "exponent_high"]]
            )
        values = np.array([row.to_numpy() for row in rows])
        inside = ((values[..., 1] <= 0.5) & (values[..., 2] >= 0.5)).mean(axis=0)
        width = (values[:, 0, 2] - values[:, 0, 1]).mean() / (3.92 * values[:, 0, 0].std())
        error = 100 * np.sqrt(inside[0] * (1 - inside[0]) / studies)
        print(f"{name:32}{100 * inside[0]:10.1f} ± {error:.1f}   {100 * inside[1]:9.1f}{width:8.2f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    main(options.studies, options.resamples, options.seed)
