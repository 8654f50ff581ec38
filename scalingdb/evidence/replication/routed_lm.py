"""Routed language models: the law of experts refitted for three routers, and curves that cross."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.refits import all_refits, refit
from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_ROUTERS = {"s_base": "S-Base", "rl_r": "RL-R", "hash": "Hash"}
_PRINTED = {
    "s_base": {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104},
    "rl_r": {"a": -0.083, "b": -0.126, "c": 0.012, "d": 1.111},
    "hash": {"a": -0.087, "b": -0.136, "c": 0.012, "d": 1.157},
}
_EARLIER = {
    "s_base": {"a": -0.084, "b": -0.123, "c": 0.010, "d": 1.122, "E_s": 2.39, "E_m": 218},
    "rl_r": {"a": -0.083, "b": -0.128, "c": 0.012, "d": 1.114, "E_s": 1.99, "E_m": 425},
    "hash": {"a": -0.089, "b": -0.146, "c": 0.013, "d": 1.173, "E_s": 4.99, "E_m": 369},
}
_DIGITS = {"a": 5e-4, "b": 5e-4, "c": 5e-4, "d": 5e-4, "E_s": 5e-3, "E_m": 1.0}
_RUNS = {"s_base": 61, "rl_r": 62, "hash": 59}
_LAW = "log10 L = a log10 N + b log10 Eh + c log10 N log10 Eh + d, Eh the saturated number of experts"
_DIGIT = "half a unit of the last digit stated"
_PLACE = "earlier recomputation from curves.csv.gz"

_RIDGE = (
    "Ours is the least-squares optimum of the released runs, which hold six of the paper's seven sizes. The four "
    "coefficients trade off along a ridge: leaving out the dense twins, or the worse of repeated runs, "
    "moves b by 0.002 to "
    "0.009, and which were used is not stated. The printed value lies inside our 95 % interval."
)
_MET = {("rl_r", "a"), ("rl_r", "c")}
"""Printed coefficients that the released runs give to the digit."""


@replication(
    *(
        Figure(
            key=f"{router}.{name}",
            statement=f"{label}: coefficient {name} of {_LAW}",
            place="arXiv 2202.01169, table of the fitted coefficients",
            stated=value,
            tolerance=5e-4,
            why=_DIGIT,
            claim_id=f"2202.01169/{router.replace('_', '-')}/{name}",
            unless="" if (router, name) in _MET else _RIDGE,
        )
        for router, label in _ROUTERS.items()
        for name, value in _PRINTED[router].items()
    ),
    *(
        Figure(
            key=f"{router}.inside",
            statement=f"{label}: printed coefficients (of four) that lie in the 95 % intervals of our fit",
            place="arXiv 2202.01169, table of the fitted coefficients",
            stated=4,
            unit="count",
            tolerance=0,
            why="different in digits, the printed set should still be one that the released runs allow",
        )
        for router, label in _ROUTERS.items()
    ),
    *(
        Figure(
            key=f"{router}.{name}.optimum",
            statement=f"{label}, last validation loss of k = 1, every second layer routed, and dense runs: {name}",
            place=_PLACE,
            stated=value,
            unit="experts" if name.startswith("E") else "dimensionless",
            tolerance=_DIGITS[name],
            why="a unit of the last digit: E_m is known to a factor of three, and an optimiser stops that near"
            if name == "E_m"
            else _DIGIT,
            origin="own",
        )
        for router, label in _ROUTERS.items()
        for name, value in _EARLIER[router].items()
    ),
    *(
        Figure(
            key=f"{router}.residual",
            statement=f"{label}: standard deviation of the residuals of log10 loss",
            place=_PLACE,
            stated=0.003,
            tolerance=5e-4,
            why=_DIGIT,
            origin="own",
        )
        for router, label in _ROUTERS.items()
    ),
    *(
        Figure(
            key=f"{router}.runs",
            statement=f"{label}: runs that were fitted, the dense ones included",
            place=_PLACE,
            stated=count,
            unit="count",
            tolerance=0,
            why="a count is exact",
            origin="own",
        )
        for (router, label), count in zip(_ROUTERS.items(), _RUNS.values(), strict=True)
    ),
)
def experts(db: Warehouse) -> dict[str, float]:
    """The law of routed models for each router, by least squares of log losses."""
    found: dict[str, float] = {}
    for one in all_refits():
        if one.source_id != "routed_lm" or one.variant not in _ROUTERS:
            continue
        router = one.variant
        fitted, table = refit(db, one)
        found |= {f"{router}.{name}": fitted.params[name] for name in _PRINTED[router]}
        found |= {f"{router}.{name}.optimum": fitted.params[name] for name in _EARLIER[router]}
        inside = table.filter(
            pl.col("published").is_between("low", "high") & pl.col("param").is_in(["a", "b", "c", "d"])
        )
        found[f"{router}.inside"] = inside.height
        found[f"{router}.residual"] = float(fitted.augment()["residual"].to_numpy().std() / np.log(10))
        found[f"{router}.runs"] = fitted.data.height
    return found


@replication(
    *(
        Figure(
            key=key,
            statement=statement,
            place="release, curves.csv.gz",
            stated=value,
            unit=unit,
            tolerance=tolerance,
            why="a count is exact" if tolerance == 0 else _DIGIT,
            origin="own",
        )
        for key, statement, value, unit, tolerance in (
            ("runs", "Runs", 223, "count", 0),
            ("dense", "Dense runs", 13, "count", 0),
            ("hash", "Runs routed by hash", 69, "count", 0),
            ("rl-r", "Runs routed by reinforcement learning", 54, "count", 0),
            ("s-base", "Runs routed by S-Base", 87, "count", 0),
            ("sizes", "Sizes that occur", 6, "count", 0),
            ("smallest", "Last validation loss of the smallest dense model", 3.162, "nats_per_token", 5e-4),
            ("largest", "Last validation loss of the largest dense model", 2.242, "nats_per_token", 5e-4),
            ("not_a_number", "Validation losses that are not numbers, of 5,799 evaluations", 8, "count", 0),
        )
    )
)
def release(db: Warehouse) -> dict[str, float]:
    """What the file holds."""
    runs = db.sql("select run_id, family, n_params_dense from runs where source_id = 'routed_lm'")
    dense = db.sql("""
        select n_params_active as n, loss from points
        where source_id = 'routed_lm' and family = 'dense' and eval_set = 'validation' order by n
    """)
    kept = db.sql("select count(*) as n from evals where source_id = 'routed_lm' and eval_set = 'validation'")
    counts = dict(runs.group_by("family").len().iter_rows())
    records = db.sql("select n_rows_in as n from raw_files where source_id = 'routed_lm'")["n"][0]
    return {name: counts[name] for name in ("dense", "hash", "rl-r", "s-base")} | {
        "runs": runs.height,
        "sizes": runs["n_params_dense"].n_unique(),
        "smallest": dense["loss"][0],
        "largest": dense["loss"][-1],
        "not_a_number": records - kept["n"][0],
    }
