"""PaLM by size: jumps at the largest model, more tokens at 62B, and compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.evidence.replication._rows import evaluations

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_COUNT = "a count is exact"
_OWN = "earlier recomputation from the tables of appendix H"


def _jumps(rows: pl.DataFrame) -> tuple[int, int]:
    """Tasks whose score at 540B is more than 0.1 above the line through 8B and 62B in log size, and all tasks."""
    wide = rows.pivot("n_params", index="eval_set", values="value")
    small, middle, large = (wide[str(size)] for size in (8e9, 62e9, 540e9))
    line = middle + (middle - small) * float(np.log(540 / 62) / np.log(62 / 8))
    return int((large - line > 0.1).sum()), wide.height


@replication(
    Figure(
        key="lite_share",
        statement=(
            "Share of the BIG-bench Lite tasks whose score at 540B is more than 10 points above the line through 8B "
            "and 62B in the logarithm of size"
        ),
        place="arXiv 2204.02311, abstract",
        low=0.15,
        unit="fraction",
        why="'many': the paper counts about a quarter over all its tasks, here are 23",
        claim_id="2204.02311/3",
    ),
    Figure(
        key="english",
        statement="The same number of jumps among the 90 series of English tasks",
        place=_OWN,
        stated=6,
        unit="count",
        tolerance=0,
        why=_COUNT,
        origin="own",
    ),
    Figure(
        key="tokens_better",
        statement="English tasks (of 30, one example) on which the 62B model gains from 1,325B instead of 795B tokens",
        place=_OWN,
        stated=29,
        unit="count",
        tolerance=0,
        why=_COUNT,
        origin="own",
    ),
    Figure(
        key="compute",
        statement="Printed training compute of the 540B model over 6 N D",
        place="arXiv 2204.02311, table 22",
        low=1.0,
        high=1.05,
        unit="ratio",
        why="attention adds a few percent to 6 N D at this width and context",
    ),
)
def sizes(db: Warehouse) -> dict[str, float]:
    """Three sizes, and the longer run of the middle one."""
    rows = evaluations(db, "palm_tables", "r.family = 'palm'")
    lite = pl.col("eval_set").str.starts_with("bigbench_lite")
    jumps, n_lite = _jumps(rows.filter(lite))
    english, _ = _jumps(rows.filter(~lite))
    longer = evaluations(db, "palm_tables", "r.n_params = 62e9 and e.eval_set like '%:1-shot'")
    pairs = longer.pivot("family", index="eval_set", values="value")
    largest = db.sql("""
        select train_flops / (6 * n_params * n_tokens) as ratio from runs
        where source_id = 'palm_tables' and n_params = 540e9
    """)
    return {
        "lite_share": jumps / n_lite,
        "english": english,
        "tokens_better": int((pairs["palm-longer"] > pairs["palm"]).sum()),
        "compute": largest.item(),
    }
