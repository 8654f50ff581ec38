"""Seed noise: the error that no law can undercut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import chdtri

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits import as_frame, refuse_bad_values

__all__ = ["seed_noise"]


def seed_noise(
    runs: pl.DataFrame | pl.LazyFrame,
    by: Sequence[str] | str,
    *,
    output: str = "loss",
    group: str | None = None,
    level: float = DEFAULT_LEVEL,
) -> pl.DataFrame:
    """Scatter of runs that differ in their seed alone.

    Parameters
    ----------
    runs : DataFrame
        One row per run, repeated settings among them.
    by : column names
        What makes a setting: rows that agree in all of these are repetitions. Settings with one row
        are left out.
    output : str
        The measured value; positive.
    group : str, optional
        Column to report separately, for example the source.

    Returns
    -------
    DataFrame
        ``group, n_settings, n_runs, sd`` (standard deviation of the logarithm, pooled over settings:
        a relative scatter), ``low, high`` (from the chi-square of the pooled degrees of freedom),
        ``largest_spread`` (largest minus smallest of a setting, relative to its mean), ``floor`` (the
        mean absolute relative error that a perfect law would still show: ``sd * sqrt(2 / pi)``).

    Raises
    ------
    DataError, UnknownNameError
        If a column is missing, values are not positive, or no setting is repeated.

    Examples
    --------
    >>> import polars as pl
    >>> from scalingdb import practices
    >>> runs = pl.DataFrame({"size": [1, 1, 2, 2], "loss": [3.0, 3.03, 2.5, 2.52]})
    >>> practices.seed_noise(runs, by="size").select("n_settings", "n_runs").row(0)
    (2, 4)
    """
    check_level(level)
    frame = as_frame(runs)
    keys = [by] if isinstance(by, str) else list(by)
    for name in (*keys, output, *([group] if group else [])):
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, "(of the frame of runs)")
    refuse_bad_values(frame, [output], [output])
    label = pl.col(group).cast(pl.String) if group else pl.lit("all")
    cells = (
        frame.with_columns(label.alias("_group"), pl.col(output).cast(pl.Float64).log().alias("_log"))
        .group_by("_group", *keys)
        .agg(
            runs=pl.len(),
            squares=((pl.col("_log") - pl.col("_log").mean()) ** 2).sum(),
            spread=(pl.col(output).max() - pl.col(output).min()) / pl.col(output).mean(),
        )
        .filter(pl.col("runs") > 1)
    )
    if cells.is_empty():
        raise DataError(
            f"no two rows agree in {', '.join(keys)}: there is no repetition to measure noise by",
            "name fewer columns, or add runs with another seed.",
        )
    pooled = (
        cells.group_by("_group")
        .agg(
            n_settings=pl.len(),
            n_runs=pl.col("runs").sum(),
            squares=pl.col("squares").sum(),
            degrees=(pl.col("runs") - 1).sum(),
            largest_spread=pl.col("spread").max(),
        )
        .sort("_group")
    )
    degrees = pooled["degrees"].cast(pl.Float64).to_numpy()
    squares = pooled["squares"].to_numpy()
    sd = np.sqrt(squares / degrees)
    low, high = (np.sqrt(squares / chdtri(degrees, p)) for p in ((1 - level) / 2, (1 + level) / 2))
    return pooled.select(
        pl.col("_group").alias("group"),
        "n_settings",
        "n_runs",
        pl.Series("sd", sd),
        pl.Series("low", low),
        pl.Series("high", high),
        "largest_spread",
        pl.Series("floor", sd * np.sqrt(2 / np.pi)),
    )
