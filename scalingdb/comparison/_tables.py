"""The frames of a comparison: errors by law, calibration, and what a notebook shows of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import number, percent
from scalingdb.errors import DataError
from scalingdb.fits import Fit
from scalingdb.judging.scores import LEVELS

__all__ = [
    "COLUMNS",
    "PAIR_SCHEMA",
    "RATIOS",
    "SCALES",
    "calibration",
    "errors_by_distance",
    "fitted_errors",
    "glance",
    "held_out_errors",
    "readable",
]

SCALES = ("train_flops_6nd", "train_flops", "n", "n_params", "n_params_non_embedding", "n_params_active", "n_tokens")
"""Columns that tell how large a run is, the most telling first."""

RATIOS = {"compute_ratio": SCALES[:2], "n_ratio": SCALES[2:6], "d_ratio": ("n_tokens",)}
"""Distances of extrapolation, and the columns that they are taken from."""

COLUMNS = [
    "law",
    "n_free",
    "n_fit",
    "n_held_out",
    "points_per_param",
    "error_fit",
    "median_error_fit",
    "max_error_fit",
    "bias_fit",
    "rmse_log_fit",
    "error_held_out",
    "error_low",
    "error_high",
    "median_error_held_out",
    "max_error_held_out",
    "error_largest",
    "bias_held_out",
    "rmse_log_held_out",
    "log_score",
    "crps",
    "coverage_50",
    "coverage_80",
    "coverage",
    "interval_width",
    "aicc",
    "bic",
    "objective",
    "verdict",
    "interval",
]

PAIR_SCHEMA: dict[str, Any] = {
    "law_a": pl.String,
    "law_b": pl.String,
    "error_a": pl.Float64,
    "error_b": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "ratio": pl.Float64,
    "ratio_low": pl.Float64,
    "ratio_high": pl.Float64,
    "share_a_better": pl.Float64,
    "n_runs": pl.Int64,
    "resampled": pl.String,
    "is_noise": pl.Boolean,
    "verdict": pl.String,
}

FITTED_SCHEMA: dict[str, Any] = {
    "law": pl.String,
    "n_free": pl.Int64,
    "n_fit": pl.Int64,
    "error_fit": pl.Float64,
    "median_error_fit": pl.Float64,
    "max_error_fit": pl.Float64,
    "bias_fit": pl.Float64,
    "rmse_log_fit": pl.Float64,
    "aicc": pl.Float64,
    "bic": pl.Float64,
    "objective": pl.Float64,
    "verdict": pl.String,
    "interval": pl.String,
}


def fitted_errors(law: str, fits: Sequence[Fit], intervals: Sequence[str], errors: Sequence[str]) -> pl.DataFrame:
    """One row about the fits of a law (one, or one per group left out), and the groups that failed.

    `intervals` says of each fit how its prediction interval was made.
    """
    if not fits:
        row: dict[str, Any] = {"law": law, "verdict": f"not fitted: {errors[0]}"}
        return pl.DataFrame([{**dict.fromkeys(FITTED_SCHEMA), **row}], schema=FITTED_SCHEMA)
    rows = [fit.augment() for fit in fits]
    relative = [np.asarray(frame["relative_error"], dtype=float) for frame in rows]
    with np.errstate(all="ignore"):
        log_errors = [np.log1p(values) for values in relative]
    criteria = pl.concat(fit.information() for fit in fits)
    verdicts = [str(fit.verdict) for fit in fits]
    if errors:
        verdicts += [f"not fitted: {text}" for text in errors]
    kinds = list(dict.fromkeys(verdicts))
    if len(kinds) > 1:
        verdict = "; ".join(f"{kind} ({verdicts.count(kind)} of {len(verdicts)})" for kind in kinds)
    else:
        verdict = kinds[0]
    every = np.concatenate(relative)
    row = {
        "law": law,
        "n_free": int(fits[0].glance()["n_free"][0]),
        "n_fit": min(frame.height for frame in rows),
        "error_fit": float(np.abs(every).mean()),
        "median_error_fit": float(np.median(np.abs(every))),
        "max_error_fit": float(np.abs(every).max()),
        "bias_fit": float(every.mean()),
        "rmse_log_fit": float(np.sqrt(np.square(np.concatenate(log_errors)).mean())),
        "aicc": criteria["aicc"].mean() if criteria["aicc"].null_count() == 0 else None,
        "bic": criteria["bic"].mean() if criteria["bic"].null_count() == 0 else None,
        "objective": float(np.mean([fit.objective for fit in fits])),
        "verdict": verdict,
        "interval": "; ".join(dict.fromkeys(intervals)),
    }
    return pl.DataFrame([row], schema=FITTED_SCHEMA)


def held_out_errors(
    held_out: pl.DataFrame, output: str, size: str | None, keys: Sequence[str] = ("law",)
) -> pl.DataFrame:
    """Errors and scores of the held-out rows by `keys`; `size` is the column that the largest model is known by."""
    error = pl.col("relative_error").abs()
    observed = pl.col(output).cast(pl.Float64)
    inside = {
        "coverage_50": observed.is_between("low_50", "high_50").mean(),
        "coverage_80": observed.is_between("low_80", "high_80").mean(),
        "coverage": observed.is_between("low", "high").mean(),
    }
    largest = {"error_largest": error.filter(pl.col(size) == pl.col(size).max()).mean()} if size else {}
    return held_out.group_by(keys, maintain_order=True).agg(
        n_held_out=pl.len(),
        error_held_out=error.mean(),
        median_error_held_out=error.median(),
        max_error_held_out=error.max(),
        **largest,
        bias_held_out=pl.col("relative_error").mean(),
        rmse_log_held_out=(pl.col("log_error") ** 2).mean().sqrt(),
        log_score=pl.col("log_score").mean(),
        crps=pl.col("crps").mean(),
        **inside,
        interval_width=((pl.col("high") - pl.col("low")) / pl.col("prediction").abs()).mean(),
    )


def errors_by_distance(held_out: pl.DataFrame, output: str, ratio: str, edges: Sequence[float]) -> pl.DataFrame:
    """See :meth:`Comparison.by_distance`."""
    cuts = sorted(float(edge) for edge in edges)
    if not cuts:
        raise DataError("edges is empty", "by_distance() takes one distance or more, such as edges=[1, 10].")
    names = [
        f"up to x{cuts[0]:g}",
        *(f"x{near:g} to x{far:g}" for near, far in itertools.pairwise(cuts)),
        f"beyond x{cuts[-1]:g}",
    ]
    place = pl.sum_horizontal(*(pl.col(ratio).gt(edge).cast(pl.Int32) for edge in cuts))
    known = held_out.filter(pl.col(ratio).is_not_null()).with_columns(
        distance=place.replace_strict(dict(enumerate(names)), return_dtype=pl.Enum(names))
    )
    return held_out_errors(known, output, None, ["distance", "law"]).sort("distance", "error_held_out", "law")


def glance(table: pl.DataFrame, pairs: pl.DataFrame, held_out: pl.DataFrame, label: str) -> pl.DataFrame:
    """See :meth:`Comparison.glance`."""
    judged = table.filter(pl.col("error_held_out").is_finite())
    best = judged.row(0, named=True) if judged.height else {}
    first = pairs.row(0, named=True) if judged.height > 1 and pairs.height else {}
    rows = held_out.unique("row")
    has_runs = "run_id" in rows.columns and rows["run_id"].null_count() == 0
    return pl.DataFrame(
        {
            "holdout": [label],
            "n_laws": [table.height],
            "n_judged": [judged.height],
            "n_rows": [rows.height],
            "n_runs": [rows["run_id"].n_unique() if has_runs else None],
            "best": [best.get("law")],
            "error": [best.get("error_held_out")],
            "runner_up": [first.get("law_b")],
            "ratio": [first.get("ratio")],
            "is_noise": [first.get("is_noise")],
        },
        schema_overrides={
            **{"n_runs": pl.Int64, "best": pl.String, "error": pl.Float64},
            **{"runner_up": pl.String, "ratio": pl.Float64, "is_noise": pl.Boolean},
        },
    )


def calibration(held_out: pl.DataFrame, output: str) -> pl.DataFrame:
    """See :meth:`Comparison.calibration`."""
    parts = []
    for level in LEVELS:
        low, high = ("low", "high") if level == max(LEVELS) else (f"low_{100 * level:.0f}", f"high_{100 * level:.0f}")
        known = held_out.filter(pl.col(low).is_not_null())
        parts.append(
            known.group_by("law", maintain_order=True).agg(
                level=pl.lit(level),
                coverage=pl.col(output).cast(pl.Float64).is_between(low, high).mean(),
                n=pl.len(),
                mean_width=((pl.col(high) - pl.col(low)) / pl.col("prediction").abs()).mean(),
            )
        )
    table = pl.concat(parts)
    z = 1.959964
    share, n = pl.col("coverage"), pl.col("n")
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)).sqrt()
    return table.select(
        "law",
        "level",
        "coverage",
        (middle - half).clip(0, 1).alias("low"),
        (middle + half).clip(0, 1).alias("high"),
        "n",
        "mean_width",
    ).sort("law", "level", maintain_order=True)


def readable(table: pl.DataFrame) -> pl.DataFrame:
    """The columns of a tidy comparison that a person reads first, as text."""
    rows = [
        {
            "law": row["law"],
            "parameters": str(row["n_free"] or ""),
            "error fitted": percent(row["error_fit"]),
            "held out": percent(row["error_held_out"]),
            "95 % interval": " to ".join(filter(None, (percent(row["error_low"]), percent(row["error_high"])))),
            "largest model": percent(row["error_largest"]),
            "bias": percent(row["bias_held_out"]),
            "log score": number(row["log_score"], 3),
            "in 95 % interval": percent(row["coverage"]),
            "AICc": number(row["aicc"], 6),
            "verdict": row["verdict"],
        }
        for row in table.iter_rows(named=True)
    ]
    return pl.DataFrame(rows)
