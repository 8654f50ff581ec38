"""The papers that the project set out to cover: for each, one number from the package's own tables beside the paper's.

A paper of which no number can be computed says what was tried, in one line. The same declarations are tested, listed
by ``scalingdb sources --papers`` and shown on the site with their code.
"""

from __future__ import annotations

from scalingdb.evidence.papers._core import (
    Checked,
    Paper,
    all_papers,
    citing_laws,
    paper_table,
    preamble,
    stored_results,
)

__all__ = ["Checked", "Paper", "all_papers", "citing_laws", "paper_table", "preamble", "stored_results"]
