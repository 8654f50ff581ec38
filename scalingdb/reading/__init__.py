"""A user's own results, whatever wrote them, as one frame that is ready to be fitted.

:func:`read_runs` recognises a file by its content, takes the columns it is told or can be sure of, converts numbers
as people write them, and says in a few lines what it took, converted, left out and why.
"""

from __future__ import annotations

from scalingdb.reading._frames import as_frame, is_frame
from scalingdb.reading._measured import Measured, Options
from scalingdb.reading._read import read_measured, read_runs
from scalingdb.reading._report import Report, listed

__all__ = ["Measured", "Options", "Report", "as_frame", "is_frame", "listed", "read_measured", "read_runs"]
