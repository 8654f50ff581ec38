"""What `sdb.planning.next_runs` would have saved: finished studies played again, run by run.

    uv run python benchmarks/next_runs_replay.py [--sets farseer llama3] [--repeats 4] [--drift 1 2 4]
    uv run python benchmarks/next_runs_replay.py --widths    are intervals after the runs as wide as expected?

For each study the tenth of its runs that cost most is to be predicted and never fitted. A strategy begins with a few
cheap runs and buys others for 5 and 10 % of the cost of all; its error is the mean absolute error of the predicted log
loss, and `over random` its ratio to that of random choice. The constant of the method, the speed at which laws drift
(`--drift` tries others), was chosen on the studies marked `chosen on`; those marked `held back` had no part in it.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import polars as pl

import scalingdb as sdb
from scalingdb.evidence.arena._sets import DATA_SETS
from scalingdb.planning import _drift

STUDIES = {
    "chinchilla": ("chinchilla", True),
    "datablations_single": ("chinchilla", False),
    "farseer": ("chinchilla", True),
    "gadre_c4": ("chinchilla", False),
    "gemstones_cooldown": ("chinchilla", True),
    "llama3": ("chinchilla", False),
    "marin_comma": ("chinchilla", True),
    "misfitting": ("chinchilla", False),
    "olmo_ladder": ("chinchilla", True),
    "porian_refinedweb": ("chinchilla", False),
    "repeated_c4": ("muennighoff_repeat", True),
    "distilled": ("chinchilla", False),
}
"""Law, and whether the study belongs to the half that the constant was chosen on: every second one by name, but for the
last."""

MOST_RUNS = 200
"""Larger studies are thinned to so many runs, spread evenly over their cost."""


def study(name: str) -> pl.DataFrame:
    """Its rows in order of cost, thinned."""
    rows = sdb.connect().sql(next(one.rows for one in DATA_SETS if one.id == name)).sort("scale", "run_id")
    if rows.height > MOST_RUNS:
        rows = rows[[round(i * (rows.height - 1) / (MOST_RUNS - 1)) for i in range(MOST_RUNS)]]
    return rows


def widths(name: str) -> list[dict[str, object]]:
    """The cheapest third is known: what three of the largest runs are expected to be known to, and how it came out."""
    warnings.simplefilter("ignore")
    logging.getLogger("scalingdb").setLevel("ERROR")
    law, rows, found = STUDIES[name][0], study(name), []
    count = max(1, round(0.1 * rows.height))
    candidates, targets = rows.head(rows.height - count), rows.tail(count)
    known, rest = candidates.head(candidates.height // 3), candidates[candidates.height // 3 :]
    before = sdb.fit(known, law)
    for at in (0, count // 2, count - 1):
        target, loss = targets[at], float(targets[at]["loss"].item())
        budget = 0.1 * float(candidates["scale"].sum())
        chosen = sdb.planning.next_runs(
            before, rest, budget=budget, target=target.select("n_params", "n_tokens"), cost="scale"
        )
        now = chosen.glance().row(0, named=True)
        if now["low_now"] is None:
            continue
        bought = pl.concat([known, chosen.tidy().select(known.columns)])
        after = sdb.fit(bought, law).predict(target, 0.95).row(0, named=True)
        found.append(
            {
                "study": name,
                "expected": 1 - now["shrink"],
                "realised": np.log(after["high"] / after["low"]) / np.log(now["high_now"] / now["low_now"]),
                "held_now": now["low_now"] < loss < now["high_now"],
                "held_around_today": now["low_after"] < loss < now["high_after"],
                "held_after": after["low"] < loss < after["high"],
            }
        )
    return found


def replay(name: str, repeats: int, drift: float) -> pl.DataFrame:
    warnings.simplefilter("ignore")
    logging.getLogger("scalingdb").setLevel("ERROR")
    _drift.DRIFT = drift
    law, chosen_on = STUDIES[name]
    rows = study(name)
    played = sdb.planning.replay_runs(rows, law, cost="scale", repeats=repeats)
    half = "chosen on" if chosen_on else "held back"
    return played.glance().with_columns(study=pl.lit(name), half=pl.lit(half), drift=pl.lit(drift))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(STUDIES))
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--drift", nargs="*", type=float, default=[_drift.DRIFT])
    parser.add_argument("--widths", action="store_true")
    options = parser.parse_args()
    if options.widths:
        table = pl.DataFrame([row for name in options.sets if STUDIES[name][0] == "chinchilla" for row in widths(name)])
        with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3):
            print(table)
            print(table.select(pl.col("expected", "realised").median(), pl.selectors.starts_with("held").mean()))
        return
    start = time.perf_counter()
    with ProcessPoolExecutor(2) as pool:
        found = []
        for drift in options.drift:
            found += list(pool.map(partial(replay, repeats=options.repeats, drift=drift), options.sets))
    table = pl.concat(found)
    with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3, tbl_width_chars=160, tbl_hide_dataframe_shape=True):
        for share in table["share"].unique().sort():
            at = table.filter(share=share)
            print(f"\nerror over that of random choice, {100 * share:g} % of the cost")
            print(at.pivot("strategy", index=["drift", "half", "study"], values="over_random").sort("drift", "half"))
            print(
                at.group_by("drift", "half", "strategy")
                .agg(over_random=pl.col("over_random").log().mean().exp(), studies=pl.len())
                .pivot("strategy", index=["drift", "half", "studies"], values="over_random")
                .sort("drift", "half")
            )
    print(f"\ngeometric means; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
