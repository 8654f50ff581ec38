"""Replication ledger: figures that papers state, beside ours from the rows that the warehouse holds.

One module a source. Each figure says where it was published, how close ours must come and why,
and carries the function that computes it; the ledger is what they give today.
"""

from scalingdb.evidence.replication._core import (
    MISSING,
    VERDICTS,
    Figure,
    Replication,
    all_replications,
    get_replication,
    ledger,
    readable,
    replicate,
    summary,
    untested_claims,
)

__all__ = [
    "MISSING",
    "VERDICTS",
    "Figure",
    "Replication",
    "all_replications",
    "get_replication",
    "ledger",
    "readable",
    "replicate",
    "summary",
    "untested_claims",
]
