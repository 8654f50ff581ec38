"""One law on one data set: every hold-out fitted together, and the errors of what was held out."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import polars as pl

from scalingdb.errors import ScalingDBError
from scalingdb.evidence.arena._cuts import Cut, split
from scalingdb.evidence.arena._dataset import DataSet
from scalingdb.evidence.arena._field import BASELINES, baseline
from scalingdb.fits import Fit, fit_by

__all__ = ["SCHEMA", "run_pair"]

SCHEMA: dict[str, type[pl.DataType]] = {
    **dict.fromkeys(("data_set", "law", "axis"), pl.String),
    "reach": pl.Int64,
    "draw": pl.Int64,
    "band": pl.String,
    "n_fitted": pl.Int64,
    "n_held_out": pl.Int64,
    **dict.fromkeys(("error", "median_error", "max_error", "bias", "coverage", "width", "error_fitted"), pl.Float64),
    "seconds": pl.Float64,
    "verdict": pl.String,
    "failure": pl.String,
    "digest": pl.String,
}
"""Columns of a cell. Errors are absolute relative ones of held-out rows, as fractions; ``bias`` is their signed
mean; ``coverage`` and ``width`` are those of the 95 % prediction interval, the width over the prediction;
``seconds`` is processor time."""

WORST = 10.0
"""Relative error that a larger one, or a prediction that is no finite number, counts as: wrong beyond use."""

FAULTS = (ArithmeticError, ValueError, TypeError, IndexError)
"""What a law may raise in arrays that it was not made for."""


def run_pair(
    one: DataSet, rows: pl.DataFrame, law: str, inputs: Mapping[str, str], cuts: Sequence[Cut], digest: str
) -> pl.DataFrame:
    """Cells of a law on a data set: a row a hold-out and distance band, or a row with the reason of a failure.

    Parameters
    ----------
    rows : DataFrame
        All rows of the data set.
    law : str
        Id of the library, or of a baseline.
    inputs : mapping of str to str
        Column for each input of the law.
    cuts : sequence of Cut
    digest : str
        What the cells belong to.
    """
    parts = {cut: split(rows, cut) for cut in cuts}
    began = time.process_time()
    with _quiet():
        if law in BASELINES:
            fits: Mapping[str, Fit] = {}
            errors: dict[str, str] = {}
        else:
            fits, errors = _fit_cuts(parts, law, inputs, one)
        fitting = (time.process_time() - began) / len(cuts)
        cells: list[dict[str, Any]] = []
        for cut, (train, test) in parts.items():
            began = time.process_time()
            base = {
                "data_set": one.id,
                "law": law,
                "axis": cut.axis,
                "reach": cut.reach,
                "draw": cut.draw,
                "n_fitted": train.height,
                "digest": digest,
            }
            if cut.id in errors:
                cells.append({**base, "n_held_out": test.height, "failure": errors[cut.id], "seconds": fitting})
                continue
            try:
                if law in BASELINES:
                    predicted, error_fitted = baseline(law, train, test, inputs, one.output)
                    verdict = ""
                else:
                    item = fits[cut.id]
                    predicted = item.predict(test, level=0.95)
                    error_fitted = float(item.glance()["mean_abs_rel_error"].item())
                    verdict = item.verdict.label
            except ScalingDBError as error:
                cells.append({**base, "n_held_out": test.height, "failure": _one_line(str(error)), "seconds": fitting})
                continue
            spent = fitting + time.process_time() - began
            common = {**base, "error_fitted": error_fitted, "verdict": verdict, "seconds": spent}
            cells += [{**common, **row} for row in _bands(predicted, one.output).iter_rows(named=True)]
    return pl.DataFrame(cells, schema=SCHEMA)


def _fit_cuts(
    parts: Mapping[Cut, tuple[pl.DataFrame, pl.DataFrame]], law: str, inputs: Mapping[str, str], one: DataSet
) -> tuple[dict[str, Fit], dict[str, str]]:
    """Fits by the id of their cut, and why there is none."""
    options = {"inputs": dict(inputs), "output": one.output, "pool": True, **one.options}
    frames = {cut.id: train.with_columns(cut=pl.lit(cut.id)) for cut, (train, _) in parts.items()}
    try:
        found = fit_by(pl.concat(frames.values()), law, by="cut", on_error="record", **options)
        return (
            {str(key[0]): item for key, item in found.fits.items()},
            {str(key[0]): _one_line(str(error)) for key, error in found.errors.items()},
        )
    except FAULTS:
        # a fault in one group must not take the others along, nor be lost
        fits, errors = {}, {}
        for name, frame in frames.items():
            try:
                found = fit_by(frame, law, by="cut", on_error="record", **options)
                if found.errors:
                    errors[name] = _one_line(str(found.errors[(name,)]))
                else:
                    fits[name] = found[name]
            except FAULTS as error:
                errors[name] = _one_line(f"{type(error).__name__}: {error}")
        return fits, errors


@contextmanager
def _quiet() -> Iterator[None]:
    """No remarks and warnings: what they say is in the cells."""
    logger = logging.getLogger("scalingdb")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]


def _bands(predicted: pl.DataFrame, output: str) -> pl.DataFrame:
    """Errors of held-out rows by the band of their distance."""
    y = pl.col(output).cast(pl.Float64)
    relative = pl.col("prediction") / y - 1
    return (
        predicted.with_columns(relative=pl.when(y < 0).then(-relative).otherwise(relative).clip(-WORST, WORST))
        .with_columns(pl.when(pl.col("prediction").is_finite()).then("relative").otherwise(WORST).alias("relative"))
        .group_by("band", maintain_order=True)
        .agg(
            n_held_out=pl.len().cast(pl.Int64),
            error=pl.col("relative").abs().mean(),
            median_error=pl.col("relative").abs().median(),
            max_error=pl.col("relative").abs().max(),
            bias=pl.col("relative").mean(),
            coverage=y.is_between("low", "high").mean(),
            # an interval without an end is as wide as can be
            width=((pl.col("high") - pl.col("low")) / pl.col("prediction").abs()).fill_nan(WORST).clip(0, WORST).mean(),
        )
    )
