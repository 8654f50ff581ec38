"""Coverage of nominal 95 % intervals of downstream forecasts for a new model, in simulated studies.

    OMP_NUM_THREADS=1 uv run python benchmarks/downstream_coverage.py [--studies 400] [--chains 60] [--seed 0]

Every study draws scores from the form that is then fitted, with Gaussian scatter of one point of accuracy, and
forecasts a model with ten times the compute of the largest one. ``one step`` has 3, 4, 6 or 10 models along compute;
``link`` has as many runs, each one pair of loss and score; ``two steps`` has a grid of runs with noise in the loss
as well, and the full chain from size and tokens to score. The last column is the Monte-Carlo error (one standard
deviation) of the coverage.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

import scalingdb as sdb

Array = npt.NDArray[np.float64]

COUNTS = (3, 4, 6, 10)
SCATTER = 0.01
"""Standard deviation of a score around its curve."""
LOSS_SCATTER = 0.004
"""Relative standard deviation of a loss around its law."""
GRIDS = {12: (4, 3), 24: (6, 4)}


def in_compute(count: int, curve: Callable[[Array], Array], rng: np.random.Generator) -> tuple[pl.DataFrame, float]:
    """Models along compute with one role each, and the score of the held-out one."""
    compute = np.append(np.geomspace(1e19, 1e22, count), 1e23)
    score = curve(np.log10(compute)) + SCATTER * rng.standard_normal(count + 1)
    frame = pl.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(count + 1)],
            "compute": compute,
            "score": np.clip(score, 0, 1),
            "role": ["fit"] * count + ["test"],
            "task": "t",
        }
    )
    return frame, float(frame["score"][-1])


CURVES: dict[str, Callable[[Array], Array]] = {
    "largest": lambda x: np.full_like(x, 0.5),
    "line": lambda x: 0.45 + 0.06 * (x - 19),
    "logistic": lambda x: 0.25 + 0.75 * expit(0.9 * (x - 21.5)),
    "power": lambda x: 1 - (0.15 + 0.6 * 10 ** (-0.15 * (x - 19))),
}


def one_step(method: str, count: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Low, high and the actual score of one study."""
    frame, actual = in_compute(count, CURVES[method], rng)
    row = sdb.downstream.forecast(frame, [method], by="task", chance=0.25).row(0, named=True)
    return row["low"], row["high"], actual


def link(count: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """As :func:`one_step`, for a logistic link at a loss below all fitted ones."""
    loss = np.linspace(1.6, 0.8, count)

    def truth(x: Array) -> Array:
        return np.asarray(1 - 0.75 * expit(5 * (x - 1.1)))

    score = np.clip(truth(loss) + SCATTER * rng.standard_normal(count), 0, 1)
    fitted = sdb.downstream.fit_link(loss, score, "logistic")
    at = np.array([0.65])
    low, high = fitted.interval(at)
    return float(low[0]), float(high[0]), float(truth(at)[0] + SCATTER * rng.standard_normal())


def two_step(count: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """As :func:`one_step`, for the chain from size and tokens through the loss."""
    sizes, tokens = GRIDS[count]
    n, d = (v.ravel() for v in np.meshgrid(np.geomspace(1e8, 4e9, sizes), np.geomspace(2e9, 2e11, tokens)))
    n, d = np.append(n, 1e10), np.append(d, 8e11)
    loss = (0.4 + 60 / n**0.25 + 200 / d**0.28) * np.exp(LOSS_SCATTER * rng.standard_normal(n.size))
    score = np.clip(1 - 0.75 * expit(5 * (loss - 1.0)) + SCATTER * rng.standard_normal(n.size), 0, 1)
    frame = pl.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(n.size)],
            "n_params": n,
            "n_tokens": d,
            "task_loss": loss,
            "score": score,
        }
    )
    row = sdb.downstream.two_step(frame[:-1]).predict(frame[-1:]).row(0, named=True)
    return row["low"], row["high"], float(score[-1])


def coverage(study: Callable[[np.random.Generator], tuple[float, float, float]], count: int, seed: int) -> pl.DataFrame:
    """Coverage of `count` studies, their median width, and the Monte-Carlo error of the coverage."""
    inside, widths = [], []
    for i in range(count):
        low, high, actual = study(np.random.default_rng([seed, i]))
        inside.append(low <= actual <= high)
        widths.append(high - low)
    share = float(np.mean(inside))
    return pl.DataFrame(
        {
            "coverage": [share],
            "median_width": [float(np.median(widths))],
            "monte_carlo_error": [float(np.sqrt(max(share * (1 - share), 0.25 / count) / count))],
        }
    )


def table(studies: int, chains: int, seed: int) -> pl.DataFrame:
    """One row per kind of forecast and number of models."""
    kinds: list[tuple[str, int, int, Callable[[np.random.Generator], tuple[float, float, float]]]] = [
        (method, count, studies, lambda rng, m=method, c=count: one_step(m, c, rng))  # type: ignore[misc]
        for method in CURVES
        for count in COUNTS
        if not (method == "power" and count == 3)  # three parameters
    ]
    kinds += [("link", c, studies, lambda rng, c=c: link(c, rng)) for c in COUNTS if c > 4]  # type: ignore[misc]
    kinds += [("two steps", c, chains, lambda rng, c=c: two_step(c, rng)) for c in GRIDS]  # type: ignore[misc]
    return pl.concat(
        [
            coverage(study, count, seed).select(
                pl.lit(name).alias("forecast"),
                pl.lit(models).alias("models"),
                pl.lit(count).alias("studies"),
                "coverage",
                "monte_carlo_error",
                "median_width",
            )
            for name, models, count, study in kinds
            if count
        ]
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=400, help="studies of each one-step forecast and link")
    parser.add_argument("--chains", type=int, default=60, help="studies of each two-step chain")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.getLogger("scalingdb").setLevel("WARNING")
    warnings.simplefilter("ignore", sdb.FitWarning)
    with pl.Config(tbl_rows=-1, float_precision=3, tbl_hide_column_data_types=True, tbl_hide_dataframe_shape=True):
        print(table(options.studies, options.chains, options.seed))


if __name__ == "__main__":
    main()
