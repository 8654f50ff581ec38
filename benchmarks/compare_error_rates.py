"""How often `compare` calls two equally good laws different: ``python benchmarks/compare_error_rates.py``.

Two laws are made equal by symmetry. The truth, where runs lie and the rule of the hold-out are unchanged when N and
D are swapped, and the second law is the first one with N and D swapped. Over studies neither is better than the other, so
"not noise" is wrong each time it is said. Each law holds one exponent at a wrong value (by `--wrong`), as laws do.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import polars as pl

import scalingdb as sdb

LAWS = {"first": ("n_params", "n_tokens"), "second": ("n_tokens", "n_params")}


def laws(wrong: float) -> list[sdb.Law]:
    """The same law twice, with N and D swapped."""

    def made(name: str, free: str, held: str) -> sdb.Law:
        def formula(n_params, n_tokens, *, E, A, B, alpha):  # type: ignore[no-untyped-def]
            x = {"n_params": n_params, "n_tokens": n_tokens}
            return E + A * x[free] ** -alpha + B * x[held] ** -(0.34 * wrong)

        kinds = {"E": sdb.positive, "A": sdb.positive, "B": sdb.positive, "alpha": sdb.exponent}
        return sdb.law(f"{name}_of_two", cite="none", inputs=("n_params", "n_tokens"), params=kinds)(formula)

    return [made(name, free, held) for name, (free, held) in LAWS.items()]


def study(runs: int, noise: float, seed: int) -> pl.DataFrame:
    """Runs at random places, with the same truth in both directions."""
    rng = np.random.default_rng(seed)
    n, d = 10 ** rng.uniform(8, 10, (2, runs))
    loss = 1.8 + 400 * n**-0.34 + 400 * d**-0.34
    return pl.DataFrame(
        {
            "run_id": [f"run-{i:03d}" for i in range(runs)],
            "n_params": n,
            "n_tokens": d,
            "train_flops_6nd": 6 * n * d,
            "loss": loss * np.exp(noise * rng.standard_normal(runs)),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=200)
    parser.add_argument("--runs", type=int, nargs="*", default=[40, 80])
    parser.add_argument("--noise", type=float, nargs="*", default=[0.005, 0.02])
    parser.add_argument("--wrong", type=float, nargs="*", default=[1.0, 0.9], help="held exponent over the true one")
    parser.add_argument("--fraction", type=float, default=0.2, help="share of the runs that are held out")
    parser.add_argument("--bootstrap", type=int, nargs="*", default=[0, 200])
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print("  runs noise wrong bootstrap studies  'not noise'  standard error")
    for wrong in args.wrong:
        two = laws(wrong)
        for runs in args.runs:
            for noise in args.noise:
                for bootstrap in args.bootstrap:
                    rule = sdb.largest("train_flops_6nd", args.fraction)
                    said = [
                        sdb.compare(study(runs, noise, seed), two, rule, bootstrap=bootstrap).pairwise()["is_noise"][0]
                        for seed in range(args.studies)
                    ]
                    share = 1 - float(np.mean([bool(noise_said) for noise_said in said]))
                    error = np.sqrt(share * (1 - share) / args.studies)
                    print(
                        f"{runs:6d} {noise:5g} {wrong:5g} {bootstrap:9d} {args.studies:7d}"
                        f"  {100 * share:8.1f} %  {100 * error:12.1f} %"
                    )


if __name__ == "__main__":
    main()
