"""Fits of many training sides at once, with a reason for each that failed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from scalingdb.errors import FitWarning, ScalingDBError
from scalingdb.fits import Fit, fit_by
from scalingdb.law_library import Law

__all__ = ["fact_of", "fit_sides"]

FAULTS = (ArithmeticError, ValueError, TypeError, IndexError)
"""What a law may raise in arrays that it was not made for."""

Key = tuple[Any, ...]


def fit_sides(
    rows: pl.DataFrame, law: str | Law, by: Sequence[str], **options: Any
) -> tuple[Mapping[Key, Fit], Mapping[Key, Exception]]:
    """Fit a law to every group of rows, in one call; warnings are in the verdicts.

    Parameters
    ----------
    rows : DataFrame
    law : str or Law
    by : sequence of str
        Columns that name a group.
    **options
        As for :func:`scalingdb.fit`.

    Returns
    -------
    fits, errors : mappings by the group's key
        An error is the one that was raised, also where a law raised it in arrays that it was not made for.
    """
    options = {"on_error": "record", **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        try:
            together = fit_by(rows, law, by=list(by), **options)
        except FAULTS as error:
            if isinstance(error, ScalingDBError):
                raise
            return _one_by_one(rows, law, by, options)
    return together.fits, together.errors


def _one_by_one(
    rows: pl.DataFrame, law: str | Law, by: Sequence[str], options: Mapping[str, Any]
) -> tuple[dict[Key, Fit], dict[Key, Exception]]:
    """Group by group: a fault in one must not take the others along, nor be lost."""
    fits: dict[Key, Fit] = {}
    errors: dict[Key, Exception] = {}
    for key, group in rows.group_by(list(by), maintain_order=True):
        try:
            alone = fit_by(group, law, by=list(by), **options)
        except FAULTS as error:
            if isinstance(error, ScalingDBError):
                raise
            errors[key] = error
        else:
            fits |= alone.fits
            errors |= alone.errors
    return fits, errors


def fact_of(error: Exception) -> str:
    """What went wrong, without the hint; an error that is not ours is named by its class."""
    return error.fact if isinstance(error, ScalingDBError) else f"{type(error).__name__}: {error}"
