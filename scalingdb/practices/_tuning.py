"""Learning rate and batch size: how flat their optimum is, and what a rule for them costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, unknown_name
from scalingdb.fits import as_frame, refuse_bad_values

__all__ = ["plateau", "regret"]

CELL = ("n_params_non_embedding", "n_tokens")
KNOBS = ("learning_rate", "batch_size_tokens")


def _checked(runs: object, cell: Sequence[str], knobs: Sequence[str], output: str) -> pl.DataFrame:
    frame = as_frame(runs)
    for name in (*cell, *knobs, output):
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, "(of the frame of runs)")
    refuse_bad_values(frame, [*knobs, output], [*knobs, output])
    return frame.with_columns(excess=pl.col(output) / pl.col(output).min().over(list(cell)) - 1)


def plateau(
    runs: pl.DataFrame | pl.LazyFrame,
    *,
    cell: Sequence[str] = CELL,
    knobs: Sequence[str] = KNOBS,
    output: str = "loss",
    within: Sequence[float] = (0.001, 0.0025),
    window: float = 0.01,
) -> pl.DataFrame:
    """How far each knob may be off before the loss rises by a given share, cell by cell.

    In every cell (one model size and token count) the logarithm of the loss is fitted by a full
    quadratic in the logarithms of the knobs, on the runs near the best.

    Parameters
    ----------
    runs : DataFrame
        One row per run.
    cell, knobs : column names
        What is fixed, and what was swept.
    within : sequence of float
        Rises of the loss, as fractions.
    window : float
        Runs within this share of the cell's best loss are fitted.

    Returns
    -------
    DataFrame
        One row per cell and knob: the cell, ``knob, n_runs, best`` (of the best run), ``optimum`` (of the
        quadratic; null where it has no minimum within the sweep), ``scatter`` (root mean square of
        the residuals, relative), and ``factor_0.1%`` ...: the factor by which the knob alone may be
        off, up or down, at each rise.

    Raises
    ------
    DataError, UnknownNameError
        If columns are missing or not positive, or no cell has enough runs for a quadratic.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> runs = sdb.connect().points("steplaw", study="dense")
    >>> practices.plateau(runs)["knob"].unique().sort().to_list()
    ['batch_size_tokens', 'learning_rate']
    """
    frame = _checked(runs, cell, knobs, output)
    k = len(knobs)
    n_terms = 1 + k + k * (k + 1) // 2
    pairs = [(i, j) for i in range(k) for j in range(i, k)]
    records = []
    for key, part in frame.sort(*cell, output, *knobs).group_by(list(cell), maintain_order=True):
        near = part.filter(pl.col("excess") <= window)
        if near.height <= n_terms:
            continue
        x = np.log(near.select(knobs).to_numpy().astype(float))
        centre = x.mean(0)
        z = x - centre
        columns = [np.ones(len(z)), *z.T, *(z[:, i] * z[:, j] for i, j in pairs)]
        design = np.stack(columns, axis=1)
        y = np.log(near[output].to_numpy().astype(float))
        solved, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
        if rank < n_terms:
            continue
        hessian = np.zeros((k, k))
        for value, (i, j) in zip(solved[1 + k :], pairs, strict=True):
            hessian[i, j] += value
            hessian[j, i] += value
        residual = y - design @ solved
        scatter = float(np.sqrt((residual**2).sum() / max(len(y) - n_terms, 1)))
        is_bowl = bool((np.linalg.eigvalsh(hessian) > 0).all())
        optimum = centre - np.linalg.solve(hessian, solved[1 : 1 + k]) if is_bowl else np.full(k, np.nan)
        swept = np.log(part.select(knobs).to_numpy().astype(float))
        best = part.row(0, named=True)
        for i, knob in enumerate(knobs):
            inside = is_bowl and swept[:, i].min() <= optimum[i] <= swept[:, i].max()
            record: dict[str, Any] = dict(zip(cell, key, strict=True))
            record |= {"knob": knob, "n_runs": near.height, "best": float(best[knob])}
            record |= {"optimum": float(np.exp(optimum[i])) if inside else None, "scatter": scatter}
            for rise in within:
                curved = hessian[i, i] > 0
                record[f"factor_{100 * rise:g}%"] = float(np.exp(np.sqrt(2 * rise / hessian[i, i]))) if curved else None
            records.append(record)
    if not records:
        raise DataError(
            f"no cell of {', '.join(cell)} has {n_terms + 1} runs within {100 * window:g} % of its best",
            "widen the window, or name fewer knobs.",
        )
    floats = {"optimum": pl.Float64, **{f"factor_{100 * rise:g}%": pl.Float64 for rise in within}}
    return pl.DataFrame(records, schema_overrides=floats, infer_schema_length=None)


def regret(
    runs: pl.DataFrame | pl.LazyFrame,
    rule: Mapping[str, str],
    *,
    cell: Sequence[str] = CELL,
    output: str = "loss",
) -> pl.DataFrame:
    """What following a rule costs, cell by cell, against the best run of the sweep.

    Parameters
    ----------
    rule : mapping
        For each knob (a column of `runs`) the column that holds what the rule says.

    Returns
    -------
    DataFrame
        One row per cell: the cell, ``n_runs``, each knob of the run nearest to the rule (by the sum of
        squared logarithms), ``distance`` (factor to that run), ``regret`` (its loss over the best,
        minus 1) and ``is_outside``: the rule lies beyond the sweep, so that the nearest run flatters it.

    Raises
    ------
    DataError, UnknownNameError
        If columns are missing or not positive.

    Examples
    --------
    >>> import polars as pl
    >>> from scalingdb import practices
    >>> runs = pl.DataFrame({"size": 1, "rate": [1e-3, 2e-3, 4e-3], "rule": 2.2e-3, "loss": [3.0, 2.9, 2.8]})
    >>> round(practices.regret(runs, {"rate": "rule"}, cell=["size"])["regret"][0], 4)
    0.0357
    """
    if not rule:
        raise DataError("the rule names no knob", 'for example {"learning_rate": "rate_by_rule"}.')
    knobs = list(rule)
    frame = _checked(runs, cell, [*knobs, *rule.values()], output)
    steps = [(pl.col(knob) / pl.col(said)).log() for knob, said in rule.items()]
    ends = pl.any_horizontal(
        (pl.col(said) < pl.col(knob).min().over(list(cell))) | (pl.col(said) > pl.col(knob).max().over(list(cell)))
        for knob, said in rule.items()
    )
    return (
        frame.with_columns(
            distance=pl.sum_horizontal(step**2 for step in steps).sqrt().exp(),
            is_outside=ends,
            n_runs=pl.len().over(list(cell)),
        )
        .sort(*cell, "distance", output, *knobs)
        .unique(list(cell), keep="first", maintain_order=True)
        .select(*cell, "n_runs", *knobs, "distance", pl.col("excess").alias("regret"), "is_outside")
    )
