"""A fit that answers to the hand: choose source, law and objective, brush points out and in, see what moves.

`_data` knows what can be chosen, `_state` holds the choices and their answers, `_words` and `_draw` say and draw them
(also for a file, where nothing answers), `_widget` talks to the page, which is `explorer.js`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalingdb._arguments import told
from scalingdb.explorer._state import Exploration
from scalingdb.explorer._widget import Explorer
from scalingdb.warehouse import connect

if TYPE_CHECKING:
    import polars as pl

    from scalingdb.estimation.objectives import ObjectiveName
    from scalingdb.law_library import Law
    from scalingdb.warehouse import Warehouse

__all__ = ["Explorer", "explore"]


@told
def explore(
    frame_or_source: str | pl.DataFrame | pl.LazyFrame = "epoch_chinchilla",
    law: str | Law | None = None,
    *,
    objective: ObjectiveName = "huber_log",
    train_flops: float | None = None,
    db: Warehouse | None = None,
) -> Explorer:
    """Explore a fit by hand in a notebook: every choice, and every point that is brushed out or in, refits at once.

    What moves: the curves, the residuals, the verdict, the intervals and, for laws over parameters and tokens, the
    best split of a budget. A sentence says what changed, and the code of the view can be copied. A change of rows is
    answered twice: within some milliseconds from the last optimum, then by the full search of :func:`fit`, whose
    verdict and intervals are shown.

    The notebook's file keeps the last state as a picture with its tables, so it survives an export. Nothing is
    fetched from a network.

    Parameters
    ----------
    frame_or_source : str or DataFrame
        A source of the warehouse, or a frame with the inputs and the output of a law.
    law : str or Law, optional
        ``"chinchilla"`` where it fits, else the first law of the library that does.
    objective : str
        As for :func:`fit`; a sum over residuals.
    train_flops : float, optional
        Budget of the best split, in FLOP. By default a power of ten that lies a decade or more above the largest run.
    db : Warehouse, optional
        Where a source is read; by default as :func:`connect` opens it.

    Returns
    -------
    Explorer
        Its ``fit``, ``code`` and ``change`` are those of the last state.

    Raises
    ------
    UnknownNameError
        For an unknown source, law or objective.
    DataError, FitError
        If the law cannot be fitted to the rows, or there are more than 5,000 of them.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> explorer = sdb.explore("epoch_chinchilla", "chinchilla")
    >>> explorer.fit.verdict.kind
    'identified'
    """
    own = db if db is not None else connect() if isinstance(frame_or_source, str) else None
    return Explorer(Exploration.begin(frame_or_source, law, objective, train_flops, own))
