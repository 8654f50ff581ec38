"""What a search predicts: fits to all rows, predictions of single laws and of several together, their intervals."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.discovery._candidates import with_rows
from scalingdb.discovery._intervals import distances, holdouts_of, interval_ends
from scalingdb.discovery._ranking import LISTED, combined
from scalingdb.discovery._solve import Rows, minimise, natural, predict
from scalingdb.errors import FitWarning, check_level
from scalingdb.fits import Fit, Fits, JointFit, as_frame, fit, fit_by

if TYPE_CHECKING:
    from scalingdb.discovery._result import Discovery
    from scalingdb.estimation.model import FloatArray

__all__ = ["ends_of", "fitted", "predict_rows", "scatter_of", "unseen_error"]


@dataclass(frozen=True)
class _Ends:
    """Starts of a law that was found: where the search ended, and places around it."""

    theta: tuple[float, ...]

    def __call__(self, inputs: Any, y: FloatArray, weights: FloatArray) -> FloatArray:
        centre = np.array(self.theta)
        moved = centre * np.exp(0.1 * np.random.default_rng(0).standard_normal((8, centre.size)))
        return np.concatenate([centre[None], moved])


def ends_of(found: Discovery) -> tuple[FloatArray, ...]:
    """Parameters (K,) of the listed laws and of the members, fitted to all rows of the table."""
    count = max(LISTED, max(found.ranking.members) + 1)
    if found._whole.y.size == found._table.y.size:
        return tuple(one.u for one in found.ranking.order[:count])
    rows = with_rows(found._whole, found._searched.rows.delta)
    weights = np.ones((1, rows.y.size))
    return tuple(
        minimise(
            one.candidate.function,
            one.candidate.specs,
            one.candidate.layout(len(found._table.groups)),
            one.u[None],
            rows,
            weights,
        )[0][0]
        for one in found.ranking.order[:count]
    )


def fitted(found: Discovery, place: int) -> Fit | Fits | JointFit:
    """See :meth:`Discovery.fit`."""
    candidate, law = found.ranking.order[place].candidate, found.laws[place]
    n_groups = len(found._table.groups)
    theta = natural(candidate.specs, found._ends[place][candidate.layout(n_groups).table])
    if not found.ranking.order[place].is_library:
        law = replace(law, starts=_Ends(tuple(float(value) for value in np.median(theta, axis=0))))
    options: dict[str, Any] = {"output": found._table.output, "pool": True}
    options["objective"] = "huber_log" if found._table.is_log else "huber"
    options["delta"] = found._searched.rows.delta * found._table.unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        if n_groups == 1 or candidate.mode == "one":
            alone: Fit = fit(found._whole.frame, law, **options)
            return alone
        if candidate.mode == "own":
            return fit_by(found._whole.frame, law, by=list(found._table.by), on_error="record", **options)
        shared = [spec.name for spec in candidate.specs if not spec.linear]
        joint: JointFit = fit(found._whole.frame, law, by=list(found._table.by), shared=shared, **options)
        return joint


def _at(found: Discovery, place: int, rows: Rows) -> FloatArray:
    candidate = found.ranking.order[place].candidate
    layout = candidate.layout(len(found._table.groups))
    return np.asarray(predict(candidate.function, candidate.specs, layout, found._ends[place][None], rows)[0])


def _rows_of(found: Discovery, frame: pl.DataFrame) -> Rows:
    x = tuple(found._table.arrays(frame))
    logs = tuple(one.log(values) for one, values in zip(found._table.inputs, x, strict=True))
    group = found._table.group_of(frame)
    like = found._searched.rows
    return Rows(x, logs, np.ones(frame.height), group, like.is_log, like.unit, like.delta)


def _predicted(found: Discovery, rows: Rows, place: int | None) -> FloatArray:
    members = found.ranking.members if place is None else (place,)
    return np.asarray(np.median([_at(found, k, rows) for k in members], axis=0))


def unseen_error(found: Discovery, place: int | None) -> float:
    """Root mean square error of a law (of those that predict, without a place) on rows that the search has not seen."""
    assert found._tested is not None
    rows = _rows_of(found, found._tested)
    observed = found._tested[found._table.output].cast(pl.Float64).to_numpy()
    value = _predicted(found, rows, place)
    with np.errstate(all="ignore"):
        error = np.log(value / observed) if rows.is_log else (value - observed) / rows.unit
    return float(np.sqrt(np.mean(np.minimum(np.nan_to_num(np.abs(error), nan=5.0), 5.0) ** 2)))


def predict_rows(
    found: Discovery, frame: pl.DataFrame | pl.LazyFrame, level: float | None, rank: int | None
) -> pl.DataFrame:
    """See :meth:`Discovery.predict`."""
    table = as_frame(frame)
    place = None if rank is None else found._place(rank)
    if level is not None:
        check_level(level)
    rows = _rows_of(found, table)
    value = _predicted(found, rows, place)
    made = table.with_columns(prediction=pl.Series(value, dtype=pl.Float64))
    if level is None:
        return made
    members = found.ranking.members if place is None else (place,)
    chosen = [found.ranking.order[k] for k in members]
    own = holdouts_of(combined([one.error for one in chosen]), found._cuts, found._table.y.size)
    residual = np.median([one.residual for one in chosen], axis=0)
    n_params = int(np.median([one.n_params for one in chosen]))
    far, _ = distances(found._table, rows.x, rows.group.astype(float))
    below, above = interval_ends(
        own,
        scatter_of(residual, n_params),
        n_params,
        residual.size,
        far,
        len(found._table.inputs),
        found.ranking.optimism,
        level,
    )
    with np.errstate(all="ignore"):
        if rows.is_log:
            low, high = value * np.exp(below), value * np.exp(above)
        else:
            low, high = value + rows.unit * below, value + rows.unit * above
    return made.with_columns(
        low=pl.Series(low, dtype=pl.Float64),
        high=pl.Series(high, dtype=pl.Float64),
        distance=pl.Series(np.exp(np.maximum(far, 0.0)), dtype=pl.Float64),
        interval=pl.Series(np.where(far > 1e-9, "law", "noise").tolist(), dtype=pl.String),
    )


def scatter_of(residual: FloatArray, n_params: int) -> float:
    left = max(residual.size - n_params, 1)
    return float(np.sqrt(np.square(residual).sum() / left))
