"""What the first half of a run says about its end."""

from __future__ import annotations

import warnings
from typing import Any

import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, FitWarning, check_level
from scalingdb.fits import Fit, fit
from scalingdb.law_library import get_law

__all__ = ["half_run"]


def half_run(
    frame: pl.DataFrame,
    *,
    x: str = "gpu_hours",
    y: str = "pass_rate",
    law: str = "rl_sigmoid",
    share: float = 0.5,
    skip: float = 0.0,
    level: float = DEFAULT_LEVEL,
    **options: Any,
) -> pl.DataFrame:
    """Asymptote, efficiency and midpoint of a run, from its first half and from all of it, with the test of the half.

    Parameters
    ----------
    frame : DataFrame
        One run: its compute and its score.
    x, y : str
        Columns of compute and of the score, a share.
    law : str
        A law of one input; its parameters are reported. The default is the sigmoid in compute with asymptote ``A``,
        exponent ``B`` and midpoint ``C_mid``.
    share : float
        Part of the compute that the first fit sees.
    skip : float
        Compute at the start that neither fit sees.
    level : float
    **options
        As for :func:`scalingdb.fit`.

    Returns
    -------
    DataFrame
        One row per parameter: ``param, half, half_low, half_high, whole, whole_low, whole_high``; and one row
        ``prediction of the end`` with the score that the half predicts at the last compute, and the mean of the last
        tenth in ``whole``.

    Raises
    ------
    DataError
        If a column is missing, or fewer than eight rows lie in the half.

    References
    ----------
    Khatri et al., arXiv:2510.13786, appendix A.7 (windows of one run).

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> import scalingdb as sdb
    >>> hours = np.geomspace(100, 1e5, 60)
    >>> score = sdb.get_law("rl_sigmoid")(hours, R_0=0.1, A=0.645, B=1.7, C_mid=3000)
    >>> noisy = score + 0.002 * np.cos(np.arange(60))
    >>> run = pl.DataFrame({"gpu_hours": hours, "pass_rate": noisy})
    >>> report = sdb.practices.half_run(run, objective="mse")
    >>> report.filter(param="A")["half"].round(2).item()
    0.64
    """
    check_level(level)
    for name in (x, y):
        if name not in frame.columns:
            raise DataError(f"the frame has no column {name!r}", f"it has {', '.join(frame.columns)}.")
    if not 0 < share < 1:
        raise DataError(f"share={share!r} is not a part of a run", "for example 0.5.")
    rows = frame.drop_nulls([x, y]).filter(pl.col(x) > skip).sort(x)
    most = float(rows[x].max()) if rows.height else 0.0  # type: ignore[arg-type]
    first = rows.filter(pl.col(x) <= share * most)
    if first.height < 8:
        raise DataError(f"{first.height} rows lie in the first {100 * share:g} % of the run", "give a denser curve.")
    entry = get_law(law)
    wanted = {"inputs": {entry.inputs[0]: x}, "output": y, "objective": "mse", "pool": True, "by_run": False, **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # an asymptote that the half leaves open shows in its interval
        halves: Fit = fit(first, entry, **wanted)
        whole: Fit = fit(rows, entry, **wanted)
    tables = [fitted.tidy(level).select("param", "estimate", "low", "high") for fitted in (halves, whole)]
    joined = (
        tables[0]
        .rename({"estimate": "half", "low": "half_low", "high": "half_high"})
        .join(tables[1].rename({"estimate": "whole", "low": "whole_low", "high": "whole_high"}), on="param")
    )
    end = halves.predict(pl.DataFrame({x: [most]}), level).row(0, named=True)
    last = rows.filter(pl.col(x) >= 0.9 * most)[y].cast(pl.Float64).mean()
    said = ("prediction of the end", end["prediction"], end["low"], end["high"], last, None, None)
    tail = pl.DataFrame([said], schema=joined.schema, orient="row", strict=False)
    return pl.concat([joined, tail])
