"""How many laws fit: every family, every number of small models, every part of their training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from scalingdb.errors import DataError
from scalingdb.law_library import Law
from scalingdb.practices._core import judged, read

__all__ = ["all_laws"]


def all_laws(
    curves: pl.DataFrame | pl.LazyFrame,
    law: str | Law = "chinchilla",
    *,
    by: str = "family",
    scale: str = "n_params",
    tokens: str = "n_tokens",
    output: str = "loss",
    run: str = "run_id",
    unit: str | None = None,
    shares: Sequence[float] = (0.25, 0.5, 0.75, 1.0),
    drop: float = 0.1,
    tail: float = 0.3,
    checkpoints: int = 20,
    **options: Any,
) -> pl.DataFrame:
    """Fit the smallest 2, 3, ... models of every family, at several moments of their training, in one call.

    Parameters
    ----------
    shares : sequence of float
        Parts of each small model's run, from its beginning, that are seen.
    drop : float
        Share of what is seen that is left out at its beginning.

    The other parameters are those of :func:`small_models`.

    Returns
    -------
    DataFrame
        One row per law: ``family, n_small, seen, unit, n_models, n_rows, n_largest, n_target, scale_up,
        error, bias, error_fit, verdict, problem``, and ``outcome``: ``identified``, ``weak``,
        ``at bound``, ``not identified``, ``not converged`` or ``no fit``.

    Raises
    ------
    DataError, UnknownNameError
        If columns are missing or hold bad values, or no family has three sizes.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> curves = practices.corpus(sdb.connect()).filter(pl.col("unit") == "opt")
    >>> practices.all_laws(curves, shares=(0.5, 1.0)).height  # 2 to 5 small models, two moments
    8
    """
    if not shares or any(not 0 < share <= 1 for share in shares):
        raise DataError(f"shares={tuple(shares)!r} are not parts of a run", "give values above 0, up to 1: (0.5, 1).")
    families = read(
        curves,
        law,
        by=by,
        scale=scale,
        tokens=tokens,
        output=output,
        run=run,
        unit=unit,
        tail=tail,
        checkpoints=checkpoints,
    )
    small = families.small.with_columns(rank=pl.col("n").rank("dense").over("family"))
    most = int(small["rank"].max())  # type: ignore[arg-type]
    if most < 2:
        raise DataError(
            "no family has two sizes below its largest: there is nothing to combine", "add models, or see borrow()."
        )
    parts = []
    for share in shares:
        seen = small.filter(pl.col("share").is_between(drop * share, share, closed="right"))
        for count in range(2, most + 1):
            wide = seen.filter((pl.col("rank") <= count) & (pl.col("rank").max().over("family") >= count))
            parts.append(wide.with_columns(n_small=pl.lit(count), seen=pl.lit(share)))
    found = judged(families, pl.concat(parts).drop("rank"), keys=("family", "n_small", "seen"), **options)
    return found.with_columns(outcome=pl.col("outcome").fill_null("no fit"))
