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
from scalingdb.evidence.arena._cuts import Cut
from scalingdb.evidence.arena._dataset import DataSet
from scalingdb.evidence.arena._field import BASELINES, baseline
from scalingdb.fits import Fit
from scalingdb.judging.fitting import fact_of, fit_sides
from scalingdb.judging.scores import relative_error

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
mean; ``coverage`` and ``width`` are those of the 95 % interval of ``Fit.predict``, which beyond the fitted range
allows for an error of the law itself, the width over the prediction; ``seconds`` is processor time."""

WORST = 10.0
"""Relative error that a larger one, or a prediction that is not a finite number, counts as: wrong beyond use."""


def run_pair(data_set: DataSet, law: str, inputs: Mapping[str, str], cuts: Sequence[Cut], digest: str) -> pl.DataFrame:
    """Cells of a law on a data set: one row per hold-out and distance band, or one row with the reason of a failure.

    Parameters
    ----------
    data_set : DataSet
    law : str
        Id of the library, or of a baseline.
    inputs : mapping of str to str
        Column for each input of the law.
    cuts : sequence of Cut
        Hold-outs of the data set, as :func:`cuts_of` returns them.
    digest : str
        What the cells belong to.
    """
    began = time.process_time()
    with _quiet():
        fits, errors = ({}, {}) if law in BASELINES else _fit_cuts(cuts, law, inputs, data_set)
        fitting = (time.process_time() - began) / len(cuts)
        cells: list[dict[str, Any]] = []
        for cut in cuts:
            began = time.process_time()
            about = {
                "data_set": data_set.id,
                "law": law,
                "axis": cut.axis,
                "reach": cut.reach,
                "draw": cut.draw,
                "n_fitted": cut.split.train.height,
                "digest": digest,
            }
            problem = errors.get(cut.id)
            if problem is None:
                try:
                    predicted, error_fitted, verdict = _predicted(data_set, law, inputs, cut, fits)
                except ScalingDBError as error:
                    problem = error
            if problem is not None:
                text = _one_line(str(problem) if isinstance(problem, ScalingDBError) else fact_of(problem))
                cells.append({**about, "n_held_out": cut.split.test.height, "failure": text, "seconds": fitting})
                continue
            spent = fitting + time.process_time() - began
            common = {**about, "error_fitted": error_fitted, "verdict": verdict, "seconds": spent}
            cells += [{**common, **row} for row in _bands(predicted, data_set.output).iter_rows(named=True)]
    return pl.DataFrame(cells, schema=SCHEMA)


def _predicted(
    data_set: DataSet, law: str, inputs: Mapping[str, str], cut: Cut, fits: Mapping[str, Fit]
) -> tuple[pl.DataFrame, float, str]:
    """Held-out rows with prediction and 95 % interval, mean error on the fitted rows, and the fit's verdict."""
    if law in BASELINES:
        return *baseline(law, cut.split.train, cut.split.test, inputs, data_set.output), ""
    fitted = fits[cut.id]
    error_fitted = float(fitted.glance()["mean_abs_rel_error"].item())
    return fitted.predict(cut.split.test, level=0.95), error_fitted, fitted.verdict.label


def _fit_cuts(
    cuts: Sequence[Cut], law: str, inputs: Mapping[str, str], data_set: DataSet
) -> tuple[dict[str, Fit], dict[str, Exception]]:
    """Fits by the id of their hold-out, and why there is none."""
    rows = pl.concat(cut.split.train.with_columns(cut=pl.lit(cut.id)) for cut in cuts)
    options = {"inputs": dict(inputs), "output": data_set.output, "pool": True, **data_set.options}
    fits, errors = fit_sides(rows, law, ["cut"], **options)
    return {str(key[0]): fit for key, fit in fits.items()}, {str(key[0]): error for key, error in errors.items()}


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
    errors = relative_error(predicted["prediction"].to_numpy(), predicted[output].cast(pl.Float64).to_numpy())
    return (
        predicted.with_columns(relative=pl.Series(errors).clip(-WORST, WORST))
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
