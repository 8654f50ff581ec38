"""Evaluations of a source beside what is known of their runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl

    from scalingdb.warehouse import Warehouse

__all__ = ["evaluations", "pearson", "spearman"]


def evaluations(db: Warehouse, source_id: str, where: str = "true") -> pl.DataFrame:
    """Rows of `evals` in good standing with the columns of their run; ``run_tokens`` are those of the run."""
    return db.sql(
        f"""
        select e.*, r.* exclude (run_id, source_id, n_tokens, n_chars), r.n_tokens as run_tokens
        from evals e join runs r on r.run_id = e.run_id and r.source_id = e.source_id
        where e.source_id = $source and e.flag is null and {where}
        order by e.run_id, e.eval_set, e.metric, e.step, e.raw_file, e.raw_row
        """,
        source=source_id,
    )


def pearson(x: pl.Series, y: pl.Series) -> float:
    """Pearson correlation."""
    return float(np.corrcoef(x.to_numpy(), y.to_numpy())[0, 1])


def spearman(x: pl.Series, y: pl.Series) -> float:
    """Rank correlation; ties share their rank."""
    return pearson(x.rank(), y.rank())
