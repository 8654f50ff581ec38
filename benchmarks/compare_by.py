"""All groups of all laws in one comparison: processor time for 42 groups and six laws.

uv run python benchmarks/compare_by.py --groups 42 --bootstrap 0
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import polars as pl
from joint_fits import draw

import scalingdb as sdb

LAWS = ["chinchilla", "chinchilla_coupled", "gadre_overtrain", "kaplan_lnd", "power", "power_offset"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", type=int, default=42)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--bootstrap", type=int, default=0)
    parser.add_argument("--laws", nargs="+", default=LAWS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    frame = draw(np.random.default_rng(0), options.groups, options.runs, 0.01).with_columns(
        train_flops_6nd=6 * pl.col("n_params") * pl.col("n_tokens"), n_params_non_embedding=pl.col("n_params")
    )
    start = time.process_time()
    made = sdb.compare(frame, options.laws, by="optimizer", bootstrap=options.bootstrap, on_error="record", rng=0)
    print(f"{len(made)} groups x {len(options.laws)} laws: {time.process_time() - start:.1f} s of processor time")


if __name__ == "__main__":
    main()
