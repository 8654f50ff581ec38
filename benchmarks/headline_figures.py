"""Print the figures that the README, the notebooks and the tests rest on, beside the published ones.

    uv run python benchmarks/headline_figures.py

Fits are exact, so their figures are the same on every machine. Times are medians of fresh
processes on this one and are printed for information; compare them only with each other.
"""

from __future__ import annotations

import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time

import polars as pl

import scalingdb as sdb

logging.getLogger("scalingdb").setLevel("WARNING")

PUBLISHED_FARSEER = {
    (2697992704, 4.3054e11): 0.33,
    (3816352512, 4.532e11): 0.65,
    (5354047488, 4.3054e11): 0.72,
    (6369572352, 3.0444e11): 0.53,
    (5354047488, 2.1527e11): 0.26,
    (25120768000, 1.256e11): 0.47,
}
"""Size and tokens (rounded): error in percent, as printed on the paper's project page."""

PUBLISHED_GADRE = {"redpajama": (640, 0.7103, 0.7320), "c4": (80, 1.498, 4.295), "refinedweb": (320, 0.005, 1.619)}
"""Corpus: tokens per parameter of the 1.4B target, and the errors (percent) of both targets, as stored upstream."""


def epoch(db: sdb.Warehouse) -> None:
    """Minimum of the summed Huber loss on the 240 points."""
    fit = sdb.fit(db.points("epoch_chinchilla"), "chinchilla", bootstrap=4000)
    print(f"Epoch, {fit.data.height} points, sum of Huber (delta 1e-3) of log residuals")
    print(
        f"  minimum {fit.objective:.13e}   best known 1.0182740178006e-03   {fit.n_agree} of {fit.n_starts} starts agree"
    )
    print(f"  published set 'epoch' scores {fit.objective_at('epoch'):.6e}")
    for row in fit.tidy().iter_rows(named=True):
        print(
            f"  {row['param']:5s} {row['estimate']:12.6g}   95 % {row['low']:.4g} to {row['high']:.4g}   sd {row['std_error']:.4g}"
        )


def farseer(db: sdb.Warehouse) -> None:
    """Extrapolation to the seven validation runs, and the authors' coefficients on six of them."""
    rows = db.points("farseer", flagged=True).filter(pl.col("n") > 2e8)
    result = sdb.compare(rows, ["farseer", "chinchilla"], holdout=pl.col("split") == "validation")
    print(f"Farseer, N > 2e8, {result.fits['chinchilla'].data.height} rows fitted, mean error on the validation runs")
    for row in result.tidy().iter_rows(named=True):
        print(
            f"  {row['law']:10s} {100 * row['error_held_out']:.4f} %  ({row['n_held_out']} runs; objective {row['objective']:.6e})"
        )
    print(f"  objective of the authors' coefficients {result.fits['farseer'].objective_at('published'):.6e}")
    law, errors = sdb.get_law("farseer"), []
    for (n, d), percent in PUBLISHED_FARSEER.items():
        near = (pl.col("n") == n) & ((pl.col("n_tokens") / d - 1).abs() < 0.01) & (pl.col("split") == "validation")
        run = rows.filter(near).row(0, named=True)
        errors.append(100 * abs(law(run["n"], run["n_tokens"], variant="published") / run["loss"] - 1))
        print(f"  authors' coefficients at N {n:.3g}, D {d:.3g}: {errors[-1]:.3f} %   published {percent} %")
    print(f"  mean of the six {statistics.mean(errors):.3f} %")


def gadre(db: sdb.Warehouse) -> None:
    """Two larger models of each corpus predicted from five small runs."""
    points = db.points("gadre_overtraining")
    sizes = [10569312, 78914048, 153677376, 411616256]
    ratio = (pl.col("n_tokens") / pl.col("n_params")).round(0)
    small = (pl.col("n_params").cast(pl.Int64).is_in(sizes) & (ratio == 20)) | (
        (pl.col("n_params") == sizes[0]) & (ratio == 320)
    )
    print("Gadre, five small runs per corpus, least squares, relative error on C4 validation loss")
    for family, (multiple, over_trained, large) in PUBLISHED_GADRE.items():
        runs = points.filter(pl.col("family") == family)
        fit = sdb.fit(runs.filter(small), "gadre_overtrain", objective="mse")
        for name, condition, percent in (
            (f"1.4B, D/N {multiple}", pl.col("n_params").is_between(1.4e9, 1.5e9) & (ratio == multiple), over_trained),
            ("6.9B, D/N 20", pl.col("n_params") > 6e9, large),
        ):
            target = fit.predict(runs.filter(condition)).row(0, named=True)
            print(
                f"  {family:10s} {name:14s} {100 * abs(target['prediction'] / target['loss'] - 1):.4f} %   published {percent} %"
            )


def start_up(repeats: int = 7) -> None:
    """Median times of import, and of the first query, in fresh processes."""
    code = (
        "import time; a = time.perf_counter(); import scalingdb as sdb; b = time.perf_counter();"
        "sdb.connect().points('farseer'); c = time.perf_counter(); print(b - a, c - b)"
    )
    times = []
    with tempfile.TemporaryDirectory() as cache:
        # compiled modules as an installed package has them, whatever this shell says about writing them
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = cache
        for _ in range(repeats + 1):
            done = subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
            )
            times.append([float(part) for part in done.stdout.split()])
    times = times[1:]  # the first one compiled them
    imports, queries = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"import scalingdb {imports:.3f} s; connect() and a first points() {queries:.3f} s (medians of {repeats} processes)"
    )


if __name__ == "__main__":
    begun = time.perf_counter()
    with sdb.connect() as warehouse:
        epoch(warehouse)
        farseer(warehouse)
        gadre(warehouse)
    start_up()
    print(f"all of this took {time.perf_counter() - begun:.1f} s")
