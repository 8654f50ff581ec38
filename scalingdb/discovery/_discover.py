"""`discover`: from a table to ranked laws."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.discovery._cuts import inner_cuts
from scalingdb.discovery._inputs import Table, read_table
from scalingdb.discovery._ranking import rank
from scalingdb.discovery._result import Discovery
from scalingdb.discovery._search import Budget, search
from scalingdb.errors import DataError, FitError, check_seed
from scalingdb.fits import as_frame
from scalingdb.judging.holdouts import Holdout

__all__ = ["discover"]

DELTA = 0.01
"""Residuals (of logarithms, or in units of a typical output) up to which the loss is a square."""

MOST_ROWS = 600
"""Rows that a search looks at; of more, a sample spread over the scale."""

BUDGET = re.compile(r"^\s*([0-9.]+)\s*(s|sec|seconds?|m|min|minutes?|h|hours?)?\s*$", re.IGNORECASE)


@told
def discover(
    frame: pl.DataFrame | pl.LazyFrame,
    output: str,
    inputs: str | Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    holdout: Holdout | None = None,
    budget: str | float = "2min",
    rng: int = 0,
) -> Discovery:
    """Search for the law that holds beyond the rows: of the library, or composed of its parts.

    Laws are fitted to the smaller rows and judged on the larger ones, several times over, along the scale of the study
    (parameters times tokens, compute, or the one size there is) and along each input. The search begins with the laws
    of the library that take these inputs and with simple forms (sums, products and couplings of powers, with a floor
    and without; mixtures; best values of learning rate and batch that move with scale; repeated data; parallel streams;
    sigmoids and dips for scores), and goes from the better ones to forms that have one part more, less or another. What
    is judged are held-out errors times the price of the parameters. A law that was found comes before the best of the
    library only where resampling the held-out rows says so.

    Parameters
    ----------
    frame : DataFrame
        One row per observation. Rows with missing values are left out.
    output : str
        Column to explain. Where all values are positive and it is no score, errors are those of logarithms.
    inputs : str or sequence of str
        Columns that explain it, in any unit: sizes; settings such as ``learning_rate``; shares of a mixture, which may
        be zero; logarithms, recognised by their name or a negative value.
    by : str or sequence of str, optional
        Columns that make groups, such as corpora: exponents are shared, scales are each group's own, or all are.
    holdout : Holdout, optional
        Rows that the search never sees, and on which the result is judged in the end.
    budget : str or float
        What the search may take: ``"30s"``, ``"2min"``, or seconds. It buys a number of evaluations that depends on
        the size of the table alone, so that the same seed gives the same result on any machine.
    rng : int
        Seed.

    Returns
    -------
    Discovery

    Raises
    ------
    DataError
        For too few rows or scales, an input that does not vary, an output that hardly does, mixed units, no budget.
    FitError
        If no law at all can be fitted.
    UnknownNameError
        For a missing column.

    References
    ----------
    Akaike, Ann. Inst. Statist. Math. 21 (1969) 243-247 (the price of parameters: final prediction error); Cawley and
    Talbot, JMLR 11 (2010) 2079-2107 (why a winner's own hold-outs flatter it).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> points = sdb.connect().points("gadre_overtraining").filter(family="c4")
    >>> told = sdb.discover(points, "loss", ["n_params", "n_tokens"], budget="2s")
    >>> told.table["rank"][0]
    1
    """
    check_seed(rng)
    seconds = _seconds(budget)
    names = [inputs] if isinstance(inputs, str) else list(inputs)
    keys = [by] if isinstance(by, str) else list(by or [])
    rows = as_frame(frame)
    if rows.is_empty():
        raise DataError("the frame is empty: there is nothing to explain", "check the filters that led to it.")
    kept, tested = rows, None
    if holdout is not None:
        split = holdout.splits(rows)[0]
        kept, tested = split.train, split.test
    whole = read_table(kept, output, names, keys)
    table = _thinned(whole)
    cuts = inner_cuts(table, least=max(5, len(names) + 3))
    if not cuts:
        raise DataError(
            f"no hold-out of the larger rows leaves enough to fit: {table.y.size} rows"
            + (f" in {len(table.groups)} groups" if keys else "")
            + ", with "
            + ", ".join(f"{one.n_values} values of {one.name}" for one in table.inputs),
            "add runs at three or more scales, with every input varying among the smaller ones.",
        )
    allowed = Budget.of(seconds, table.y.size, len(table.groups))
    if allowed.evaluations < 12:
        raise DataError(
            f"budget={budget!r} buys {allowed.evaluations} evaluations of {table.y.size} rows, and 12 are the least",
            f"give at least {12 / max(allowed.evaluations, 1) * max(seconds, 0.1):.0f} seconds; the default is '2min'.",
        )
    found = search(table, cuts, allowed, rng, DELTA)
    if not found.judged:
        raise FitError(
            f"no law could be fitted to these {table.y.size} rows and their hold-outs",
            "check the units of the inputs, or name fewer inputs.",
        )
    ranking = rank(found.judged, cuts, rng)
    return Discovery(
        ranking=ranking,
        _table=table,
        _whole=whole,
        _cuts=tuple(cuts),
        _searched=found,
        _tested=tested,
        rng=rng,
    )


def _seconds(budget: str | float) -> float:
    if isinstance(budget, bool) or not isinstance(budget, (str, int, float)):
        raise DataError(f"budget={budget!r} is neither seconds nor a time", 'for example "30s", "2min" or 120.')
    seconds = float("nan")
    if not isinstance(budget, str):
        seconds = float(budget)
    elif told := BUDGET.match(budget):
        unit = {"m": 60.0, "h": 3600.0}.get((told[2] or "s")[0].lower(), 1.0)
        seconds = float(told[1]) * unit if told[1].count(".") < 2 and told[1] != "." else float("nan")
    if not (np.isfinite(seconds) and seconds > 0):
        raise DataError(f"budget={budget!r} is not a valid search time", 'for example "30s", "2min" or 120.')
    return seconds


def _thinned(table: Table) -> Table:
    """At most :data:`MOST_ROWS` rows: every k-th by group and size, and always the ends."""
    if table.y.size <= MOST_ROWS:
        return table
    from dataclasses import replace

    from scalingdb.discovery._cuts import axes_of

    along = np.sum([values / max(float(values.std()), 1e-12) for values in axes_of(table, table.x).values()], axis=0)
    order = np.lexsort((along, table.group))
    keep = np.sort(order[np.unique(np.linspace(0, order.size - 1, MOST_ROWS).astype(int))])
    return replace(
        table,
        frame=table.frame[keep.tolist()],
        x=tuple(values[keep] for values in table.x),
        y=table.y[keep],
        group=table.group[keep],
    )
