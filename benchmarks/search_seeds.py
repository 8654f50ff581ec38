"""Does the end of a search depend on where it looks? Laws on their own sources, many seeds each.

    OMP_NUM_THREADS=1 uv run python benchmarks/search_seeds.py

Each refit of the library whose law is named is run with different search seeds: the grid of starts
is jittered, the low-discrepancy sequence scrambled. A law that brings its own starts is given a
random half of them. The share of seeds that end within 1e-6 of the lowest objective seen is printed.
No source holds a curve with two breaks; that law is tried on a simulated one with 1 % noise.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import time
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

import scalingdb as sdb
from scalingdb.evidence.refits import all_refits

LAWS = (
    *("chinchilla", "farseer", "bnsl", "step_law", "step_law_batch", "muennighoff_repeat"),
    *("vocab_loss", "routing_moe", "parscale", "gadre_overtrain"),
)


def half_of(law: sdb.Law, seed: int) -> sdb.Law:
    """The law with a random half of its own starts (unchanged if it brings none)."""
    if law.starts is None:
        return law
    whole = law.starts

    def some(inputs: Any, y: Any, weights: Any) -> Any:
        found = np.asarray(whole(inputs, y, weights), dtype=float)
        keep = np.random.default_rng(seed).permutation(len(found))[: max(1, len(found) // 2)]
        return found[keep]

    return dataclasses.replace(law, starts=some)


def main(seeds: int) -> None:
    """Print one row per refit."""
    logging.getLogger("scalingdb").setLevel("ERROR")
    warnings.simplefilter("ignore", sdb.FitWarning)
    db = sdb.connect()
    print("| law | data | rows | parameters | seeds at the optimum | starts that agree | seconds a fit |")
    print("|---|---|---|---|---|---|---|")
    for one in all_refits():
        if one.law in LAWS and one.bind is None:
            show(sdb.get_law(one.law), f"{one.source_id}, {one.variant}", db.sql(one.rows), one.options, seeds)
    broken = sdb.get_law("bnsl_two_breaks")
    x = np.geomspace(1e2, 1e8, 60)
    shape = {"a": 0.2, "b": 12.0, "c0": 0.1, "c1": 0.5, "d1": 1e4, "f1": 0.3, "c2": -0.45, "d2": 1e6, "f2": 0.2}
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(x.size))
    show(broken, "simulated", pl.DataFrame({broken.inputs[0]: x, broken.output: broken(x, **shape) * noise}), {}, seeds)


def show(law: sdb.Law, data: str, rows: pl.DataFrame, options: Mapping[str, Any], seeds: int) -> None:
    """Fit with every seed and print a row."""
    ends, agree, seconds = [], [], []
    for seed in range(seeds):
        begun = time.perf_counter()
        fit = sdb.fit(rows, half_of(law, seed), **{"pool": True, **options}, search_seed=seed)
        seconds.append(time.perf_counter() - begun)
        ends.append(fit.objective)
        agree.append(fit.n_agree / fit.n_starts)
    reached = np.mean(np.array(ends) <= min(ends) * (1 + 1e-6) + 1e-300)
    print(
        f"| {law.name} | {data} | {rows.height} | {len(law.params)} | {100 * reached:.0f} % "
        f"of {seeds} | {100 * np.mean(agree):.0f} % | {np.median(seconds):.3f} |",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    main(parser.parse_args().seeds)
