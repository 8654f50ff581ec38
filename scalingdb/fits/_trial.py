"""Cheap answers beside a fit: whether rows suit a law, and the optimum nearby when some rows are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.errors import DataError
from scalingdb.fits._bootstrap import solve_all
from scalingdb.fits._estimate import BoolArray
from scalingdb.fits._problem import Options, check_options, state_problem
from scalingdb.fits._result import Fit
from scalingdb.fits._rows import as_frame, columns_of
from scalingdb.law_library import Law

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray
    from scalingdb.estimation.objectives import ObjectiveName

__all__ = ["nearby", "suited"]


def suited(
    frame: pl.DataFrame, law: Law, objective: ObjectiveName = "huber_log"
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Rows that a law can be fitted to, those with all its columns, and the column that it takes for each input.

    Raises
    ------
    DataError, FitError, UnknownNameError
        If :func:`fit` would refuse these rows.
    """
    options = Options(objective=objective)
    form, kind = check_options(law, options)
    table = as_frame(frame)
    columns = columns_of(table, law)
    if law.output not in table.columns:
        raise DataError(f"the frame has no column {law.output!r}, which law {law.name!r} predicts")
    rows = table.drop_nulls([*columns.values(), law.output])
    state_problem(rows, form, kind, options)
    return rows, columns


def nearby(fit: Fit, keep: BoolArray, start: FloatArray | None = None) -> FloatArray | None:
    """Parameters (K,) refitted to a part of a fit's rows, from where the fit ended: no search for another optimum.

    Parameters
    ----------
    fit : Fit
    keep : array (n,) of bool
        Rows of ``fit.data`` that count.
    start : array (K,), optional
        Parameters to begin at; those of the fit by default.

    Returns
    -------
    array (K,) or None
        In natural units and the order of ``fit.params``; None where the steps do not converge.
    """
    problem = fit._problem
    form = problem.form
    at = np.array(list(fit.params.values())) if start is None else start
    free = at[[list(fit.params).index(name) for name in form.free]]
    begin = form.model.to_internal(free[None], problem.prepared)[0]
    weights = np.where(keep, problem.weights, 0.0)[None]
    u, is_lost = solve_all(problem, begin, np.empty((0, begin.size)), problem.y, weights)
    theta = form.expand(form.model.to_natural(u, problem.prepared))[0]
    return None if is_lost[0] or not np.isfinite(theta).all() else np.asarray(theta)
