"""Replication ledger: figures that papers and releases state, beside ours from the rows in the warehouse.

One module per source. Each figure says where it stands, how close ours must come and why,
and carries the function that computes it; the ledger is what they give today.
"""

from scalingdb._arguments import tell
from scalingdb.evidence.replication._core import (
    NEEDS_LOCAL_ROWS,
    ORIGINS,
    VERDICTS,
    WIDE,
    Figure,
    Replication,
    all_replications,
    get_replication,
    ledger,
    readable,
    replicate,
    store_results,
    stored_results,
    summary,
    untested_claims,
    wide_tolerances,
)

__all__ = [
    "NEEDS_LOCAL_ROWS",
    "ORIGINS",
    "VERDICTS",
    "WIDE",
    "Figure",
    "Replication",
    "all_replications",
    "get_replication",
    "ledger",
    "readable",
    "replicate",
    "store_results",
    "stored_results",
    "summary",
    "untested_claims",
    "wide_tolerances",
]

tell(globals())
