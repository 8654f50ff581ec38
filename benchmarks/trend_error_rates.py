"""Measure how often the classifier of trends cries wolf, what it can see, and how the rules in use compare.

    uv run python benchmarks/trend_error_rates.py [--series 4000] [--seed 0]

Series of 4, 6, 8 and 12 sizes are drawn with binomial noise (and with noise between models beyond it), passed through
``scalingdb.trends.classify`` one by one (no correction for multiplicity), and the labels are counted. The exit code
is 1 if a series that is flat or improves is called worsening or U-shaped more often than 5 % (two standard errors
of the simulation are allowed).
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

import numpy as np
import numpy.typing as npt
import polars as pl

import scalingdb as sdb

logging.getLogger("scalingdb").setLevel("WARNING")

Array = npt.NDArray[np.float64]

SIZES = (4, 6, 8, 12)
NOISES = {
    "items 100": (100, 0.0),
    "items 1000": (1000, 0.0),
    "items 300 + seeds 0.1": (300, 0.1),
    "items 1000 + seeds 0.3": (1000, 0.3),
}
"""Test items, and standard deviation of the logit between models beyond sampling error."""

ALLOWED = 0.05


def flat(x: Array, level: float = 0.4) -> Array:
    return np.full_like(x, level)


HARMLESS = {
    "flat at 0.4": lambda x: flat(x, 0.4),
    "flat at 0.95": lambda x: flat(x, 0.95),
    "improves evenly": lambda x: 0.3 + 0.4 * x,
    "improves late (emergent)": lambda x: np.where(x < 0.5, 0.25, 0.25 + 0.9 * (x - 0.5)),
    "improves in one step": lambda x: np.where(x < 0.6, 0.25, 0.7),
    "improves, saturates": lambda x: 0.25 + 0.5 * (1 - np.exp(-5 * x)),
}
"""Score over log size, scaled to 0 to 1. A label 'worsens' or 'u_shaped' is wrong on all of them."""

EFFECTS = (0.05, 0.1, 0.2, 0.3)


def draw(curve: Array, n_series: int, n_items: int, seeds: float, rng: np.random.Generator) -> Array:
    """Scores of shape (series, sizes)."""
    logits = np.log(curve / (1 - curve)) + seeds * rng.standard_normal((n_series, curve.size))
    return rng.binomial(n_items, 1 / (1 + np.exp(-logits))) / n_items


def long(scores: Array, n_items: int) -> pl.DataFrame:
    n_series, k = scores.shape
    return pl.DataFrame(
        {
            "series": np.repeat(np.arange(n_series), k),
            "n_params": np.tile(np.geomspace(1e8, 1e11, k), n_series),
            "score": scores.ravel(),
            "n_items": np.full(scores.size, float(n_items)),
        }
    )


def classified(scores: Array, n_items: int, **options: object) -> pl.DataFrame:
    return sdb.trends.classify(
        long(scores, n_items), x="n_params", y="score", by="series", multiplicity=None, bootstrap=0, **options
    )


def labels(scores: Array, n_items: int, **options: object) -> pl.Series:
    return classified(scores, n_items, **options)["label"]


def share(found: pl.Series, *names: str) -> float:
    return float(found.is_in(list(names)).mean())


# ---- the rules in use ----------------------------------------------------------------------------


def slopes(scores: Array) -> Array:
    x = np.linspace(-1, 1, scores.shape[1])
    return (scores * x).sum(1) / (x**2).sum()


def last_minus_first(scores: Array) -> Array:
    return scores[:, -1] - scores[:, 0]


def curvature(scores: Array) -> Array:
    x = np.linspace(-1, 1, scores.shape[1])
    return np.polyfit(x, scores.T, 2)[0]


RULES = {
    "sign of the slope": lambda s: slopes(s) < 0,
    "last below first": lambda s: last_minus_first(s) < 0,
    "quadratic sign": lambda s: curvature(s) > 0,
}
"""What calls a series inverse (or U-shaped) in published plots and scripts: a sign, without a test."""

STATISTICS = {"sign of the slope": slopes, "last below first": last_minus_first}


def false_alarms(n_series: int, rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for k in SIZES:
        x = np.linspace(0, 1, k)
        for noise, (n_items, seeds) in NOISES.items():
            for name, curve in HARMLESS.items():
                scores = draw(curve(x), n_series, n_items, seeds, rng)
                found = labels(scores, n_items)
                rows.append(
                    {
                        "sizes": k,
                        "noise": noise,
                        "truth": name,
                        "worsens": share(found, "worsens"),
                        "u_shaped": share(found, "u_shaped"),
                        "harmful": share(found, "worsens", "u_shaped"),
                        **{rule: float(test(scores).mean()) for rule, test in RULES.items()},
                    }
                )
    return pl.DataFrame(rows)


def power(n_series: int, rng: np.random.Generator) -> pl.DataFrame:
    """Share of truly worsening and turning series that get their label, by size of the effect.

    The rules in use get thresholds, so that they raise as many false alarms on flat series as the classifier does: one
    for all noises, since a rule that is a number cannot know them (its worst rate equals the classifier's worst),
    and one for each noise, knowledge that nobody has of one series.
    """
    rows = []
    for k in SIZES:
        x = np.linspace(0, 1, k)
        still = {noise: draw(flat(x, 0.5), n_series, *setting, rng) for noise, setting in NOISES.items()}
        rates = {noise: share(labels(scores, NOISES[noise][0]), "worsens") for noise, scores in still.items()}
        worst = max(rates.values())
        common = {
            rule: min(float(np.quantile(test(scores), worst)) for scores in still.values())
            for rule, test in STATISTICS.items()
        }
        for noise, (n_items, seeds) in NOISES.items():
            known = np.quantile(slopes(still[noise]), rates[noise])
            for effect in EFFECTS:
                falling = draw(0.5 + effect * (0.5 - x), n_series, n_items, seeds, rng)
                dip = 0.5 - effect * (1 - np.abs(2 * x - 1)) + effect / 2
                turning = draw(dip, n_series, n_items, seeds, rng)
                found, turned = labels(falling, n_items), labels(turning, n_items)
                rows.append(
                    {
                        "sizes": k,
                        "noise": noise,
                        "effect": effect,
                        "worsens": share(found, "worsens"),
                        **{
                            f"{rule}, one cut-off": float((test(falling) < common[rule]).mean())
                            for rule, test in STATISTICS.items()
                        },
                        "slope, noise known": float((slopes(falling) < known).mean()),
                        "improves": share(found, "improves"),
                        "U: u_shaped": share(turned, "u_shaped"),
                        "U: monotone": share(turned, "improves", "worsens"),
                    }
                )
    return pl.DataFrame(rows)


def pooled(n_series: int, rng: np.random.Generator) -> pl.DataFrame:
    """False alarms and power with ``dispersion="pooled"``: noise alike in all series, and of three kinds."""
    rows = []
    for k in SIZES:
        x = np.linspace(0, 1, k)
        for noise, kinds in {
            "alike (seeds 0.1)": (0.1, 0.1, 0.1),
            "mixed (seeds 0, 0.1, 0.3)": (0.0, 0.1, 0.3),
        }.items():
            for truth, curve in {
                "flat at 0.4": flat(x),
                "improves late (emergent)": HARMLESS["improves late (emergent)"](x),
                "worsens by 0.1": 0.5 + 0.1 * (0.5 - x),
            }.items():
                scores = np.concatenate([draw(curve, n_series // 3, 300, seeds, rng) for seeds in kinds])
                for dispersion in ("own", "pooled"):
                    found = labels(scores, 300, dispersion=dispersion)
                    rows.append(
                        {
                            "sizes": k,
                            "noise": noise,
                            "truth": truth,
                            "dispersion": dispersion,
                            "worsens": share(found, "worsens"),
                            "u_shaped": share(found, "u_shaped"),
                        }
                    )
    return pl.DataFrame(rows)


def correlated(n_series: int, rng: np.random.Generator) -> pl.DataFrame:
    """False alarms on flat series whose noise between models is shared by neighbouring sizes (first-order)."""
    rows = []
    for k in SIZES:
        for rho in (0.0, 0.5, 0.8):
            noise = rng.standard_normal((n_series, k))
            for i in range(1, k):
                noise[:, i] = rho * noise[:, i - 1] + np.sqrt(1 - rho**2) * noise[:, i]
            logits = np.log(0.4 / 0.6) + 0.3 * noise
            result = classified(rng.binomial(1000, 1 / (1 + np.exp(-logits))) / 1000, 1000)
            rows.append(
                {
                    "sizes": k,
                    "correlation": rho,
                    "worsens": share(result["label"], "worsens"),
                    "u_shaped": share(result["label"], "u_shaped"),
                    "estimated correlation": result["serial_correlation"].mean(),
                }
            )
    return pl.DataFrame(rows)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=4000, help="simulated series for each cell")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    if options.series < 100:
        parser.error("--series must be at least 100")
    rng = np.random.default_rng(options.seed)
    start = time.perf_counter()
    show = pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=250,
        fmt_str_lengths=40,
        float_precision=3,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
    )
    alarms = false_alarms(options.series, rng)
    with show:
        print(f"False alarms on flat and improving series ({options.series} each; alpha 5 %, two-sided)")
        print(
            alarms.group_by("sizes", "truth", maintain_order=True).agg(
                pl.col("worsens").max(),
                pl.col("u_shaped").max(),
                worst=pl.col("harmful").max(),
                mean=pl.col("harmful").mean(),
                noise=pl.col("noise").sort_by("harmful").last(),
            )
        )
        print("\nThe rules in use: share called inverse (slope, last below first) or U-shaped (quadratic)")
        print(
            alarms.group_by("sizes", truth=pl.col("truth").str.replace(" at .*", ""), maintain_order=True).agg(
                pl.col("harmful").mean().alias("classify"), *(pl.col(rule).mean() for rule in RULES)
            )
        )
        print(
            "\nPower: share of series that get the label, by the change of the score from end to end (or depth of the U)"
        )
        print(power(options.series // 2, rng))
        print(
            "\nNoise that neighbouring sizes share: false alarms on flat series (not corrected for, and said in sentences)"
        )
        print(correlated(options.series, rng))
        print("\nPooled noise")
        print(pooled(options.series, rng))
    worst = float(alarms["harmful"].max())
    slack = 2 * np.sqrt(ALLOWED * (1 - ALLOWED) / options.series)
    print(
        f"\nworst false-alarm rate {worst:.4f} of {alarms.height} cells, allowed {ALLOWED} (+ {slack:.4f} for the simulation)"
    )
    print(f"{time.perf_counter() - start:.0f} s")
    return int(worst > ALLOWED + slack)


if __name__ == "__main__":
    sys.exit(main())
