"""Published laws fitted again: our engine, the authors' rows, the authors' objective.

One module per chapter of the law library; each holds a list ``REFITS``. The folder is the registry.
``python -m scalingdb.evidence.refits`` makes all of them and stores the results in ``results.csv``.
"""

from __future__ import annotations

from scalingdb.evidence.refits._core import Refit, all_refits, refit, refit_table

__all__ = ["Refit", "all_refits", "refit", "refit_table"]
