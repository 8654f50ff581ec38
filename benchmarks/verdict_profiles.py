"""What looking at profiles costs a verdict, and how many "identified" parameters have a flat one all the same.

    OMP_NUM_THREADS=1 uv run python benchmarks/verdict_profiles.py --groups 1000 --fits 200

*Cost*: groups of 30 runs under Chinchilla's law are fitted with `sdb.fit_by`, as they are and with the questions about
profiles answered without looking; processor time. *Flat*: laws of the library in turn, with coefficients, designs and
noise redrawn. A parameter of an "identified" fit is flat if its objective, all others fitted again by the thorough
search of `Fit.profile`, rises by less than a quarter of the cut-off at an end of its 95 % interval.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from unittest import mock

import numpy as np
import polars as pl
from search_optimum import random_problems

import scalingdb as sdb
from scalingdb.errors import ScalingDBError
from scalingdb.fits import _conclude
from scalingdb.fits._profile import cutoff, solve_at


def groups_of_runs(count: int, noise: float) -> pl.DataFrame:
    """Groups of 30 runs at random places."""
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(7.5, 10, 30 * count), 10 ** rng.uniform(9, 11.5, 30 * count)
    loss = (1.69 + 406.4 / n**0.34 + 410.7 / d**0.28) * np.exp(noise * rng.standard_normal(n.size))
    return pl.DataFrame({"group": np.repeat(np.arange(count), 30), "n_params": n, "n_tokens": d, "loss": loss})


def cost(count: int, noise: float) -> None:
    """Print processor times of both, and their ratio."""
    rows = groups_of_runs(count, noise)
    sdb.fit(rows.head(30), "chinchilla")
    seconds = []
    for answers in (_conclude.rise_less, lambda questions: np.zeros(len(questions), dtype=bool)):
        with mock.patch.object(_conclude, "rise_less", answers):
            begun = time.process_time()
            sdb.fit_by(rows, "chinchilla", by="group")
            seconds.append(time.process_time() - begun)
    print(
        f"{count} groups, noise {noise:g}: {seconds[0]:.2f} s with profiles, {seconds[1]:.2f} s without, "
        f"ratio {seconds[0] / seconds[1]:.2f}"
    )


def flat_params(fit: sdb.Fit) -> list[str]:
    """Free parameters whose profile is flat at an end of the interval."""
    estimate, form = fit._estimate, fit._form
    half = estimate.t_quantile(0.95) * estimate.standard_errors
    found = []
    for spec in form.model.params:
        i = estimate.names.index(spec.name)
        ends = estimate.centre[i] + np.array([-half[i], half[i]])
        ends = np.exp(np.clip(ends, -690, 690)) if estimate.is_log[i] else ends
        ends = ends[(ends > spec.low) & (ends < spec.high)]
        if estimate.held[i] or not ends.size:
            continue
        rise = solve_at(estimate, spec.name, ends)[0] - estimate.objective
        if (rise < _conclude.FLAT * cutoff(estimate, i, 0.95)).any():
            found.append(spec.name)
    return found


def flat(count: int, seed: int) -> None:
    """Print each identified fit with a flat profile, then the rate."""
    identified = bad = refused = 0
    for where, law, rows in random_problems(count, seed, []):
        try:
            fit = sdb.fit(rows, law, objective="huber_log" if rows[law.output].min() > 0 else "huber")
        except ScalingDBError:
            refused += 1
            continue
        if fit.verdict.kind != "identified":
            continue
        identified += 1
        if names := flat_params(fit):
            bad += 1
            print(f"{where}: {law.name}, {rows.height} rows: {', '.join(names)}", flush=True)
    share = bad / max(identified, 1)
    error = np.sqrt(share * (1 - share) / max(identified, 1))
    print(
        f"{bad} of {identified} identified fits have a flat profile: {100 * share:.1f} % +- {100 * error:.1f}; "
        f"{count} random fits, {refused} refused"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=1000)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.getLogger("scalingdb").setLevel("ERROR")
    warnings.simplefilter("ignore")
    for noise in (0.005, 0.03):
        if given.groups:
            cost(given.groups, noise)
    if given.fits:
        flat(given.fits, given.seed)
