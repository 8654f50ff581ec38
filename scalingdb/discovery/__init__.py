"""Discovery: which law holds beyond the rows, searched among those of the library and forms made of their parts.

`_inputs` says what the columns are, `_cuts` which rows are held out, `_grammar` what a form is and how one becomes
another, `_solve` fits many of them at once, `_candidates` judges one law, `_search` walks, `_ranking` orders,
`_intervals` says how far off a prediction may be, `_result` is what the user gets.
"""

from __future__ import annotations

from scalingdb.discovery._discover import discover
from scalingdb.discovery._result import Discovery

__all__ = ["Discovery", "discover"]
