"""The cells as a reader gets them, with the track and source of their data set."""

from __future__ import annotations

import functools

import polars as pl

from scalingdb.evidence.arena._sets import data_sets
from scalingdb.evidence.arena._store import best_held
from scalingdb.notices import notice

__all__ = ["cells"]


def cells() -> pl.DataFrame:
    """Every stored cell: one row per data set, law, hold-out and band of distance.

    Nothing is fitted here. Cells whose rows, law or code have changed since they were computed are
    shown with a remark; ``scalingdb compare --all`` renews them.

    Returns
    -------
    DataFrame
        ``track, source_id, data_set, law, axis, reach`` (largest scale over the threshold), ``draw``
        (sample of twenty runs; null where all rows below the threshold were fitted), ``band,
        n_fitted, n_held_out, error, median_error, max_error, bias, coverage, width, error_fitted,
        seconds, verdict, failure``. Errors are absolute relative ones of held-out rows, as fractions.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> cells = sdb.arena.cells()
    >>> cells["data_set"].n_unique() >= 20, cells["law"].n_unique() >= 25
    (True, True)
    """
    return _cells()


@functools.lru_cache(maxsize=1)
def _cells() -> pl.DataFrame:
    from scalingdb.warehouse import connect

    with connect() as db:
        held, earlier, absent = best_held(db)
    for pairs, state in (
        (earlier, "were computed with other rows, another formula or another engine than today's"),
        (absent, "have no stored cells"),
    ):
        if pairs:
            names = sorted({pair[0].id for pair in pairs})
            notice(
                f"arena: {len(pairs)} pairs of law and data set {state} "
                f"({', '.join(names[:5])}{' ...' if len(names) > 5 else ''}); 'scalingdb compare --all' computes them"
            )
    return with_groups(held)


def with_groups(held: pl.DataFrame) -> pl.DataFrame:
    """Cells with the track and source of their data set in front, without their digests."""
    groups = data_sets().select("data_set", "track", "source_id")
    joined = held.join(groups, on="data_set", how="left", maintain_order="left").drop("digest")
    return joined.select("track", "source_id", pl.exclude("track", "source_id"))


def forget() -> None:
    """Read the stored cells again at the next call: they have changed."""
    _cells.cache_clear()
