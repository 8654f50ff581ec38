"""SQL cells in a notebook: ``%load_ext scalingdb``, then ``%sql`` and ``%%sql``.

.. code-block:: text

    %load_ext scalingdb

    %%sql biggest
    select run_id, n_params, loss from points where source_id = $source order by n_params desc limit 5

The answer is a Polars frame. A name after ``%%sql`` keeps it (``biggest``); ``biggest <<`` keeps it
without showing it. A placeholder ``$source`` takes the value of the notebook's variable ``source``.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
import polars as pl
from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from scalingdb.errors import QueryError, ScalingDBError
from scalingdb.magic._complete import offer
from scalingdb.warehouse import Warehouse, connect
from scalingdb.warehouse._guard import statements_of
from scalingdb.warehouse._query import refuse_dates

__all__ = ["SqlMagics", "load_ipython_extension"]

ASSIGNMENT = re.compile(r"\s*(?P<name>\w+)\s*<<\s*(?P<rest>.*)", re.DOTALL)


@functools.cache
def _shared() -> Warehouse:
    """The warehouse that all SQL cells of a session read."""
    return connect()


def _placeholders(query: str) -> set[str]:
    """Names of the ``$name`` placeholders of a query; none where DuckDB cannot read it."""
    try:
        return {name for statement in statements_of(query) for name in statement.named_parameters}
    except QueryError:
        return set()  # running the query reports what is wrong with it


def _values(query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Value of every placeholder, from the notebook's variables.

    Raises
    ------
    QueryError
        If a variable is missing.
    """
    values = {}
    for name in sorted(_placeholders(query)):
        if not name.isidentifier():
            raise QueryError(f"the query has a placeholder ${name}", "give it the name of a variable: $name.")
        if name not in variables:
            raise QueryError(
                f"the query has a placeholder ${name}, but there is no variable {name!r}", f"set it: {name} = ..."
            )
        value = variables[name]
        refuse_dates(name, value)
        if isinstance(value, np.generic):
            value = value.item()
        elif isinstance(value, pl.Series | np.ndarray):
            value = value.tolist() if isinstance(value, np.ndarray) else value.to_list()
        values[name] = value
    return values


@magics_class
class SqlMagics(Magics):
    """The magics ``%sql`` and ``%%sql``."""

    @no_var_expand  # '$name' is a placeholder of the query: IPython would paste the variable's text
    @line_cell_magic
    def sql(self, line: str, cell: str | None = None) -> pl.DataFrame | None:
        """Query the warehouse: ``%sql select ...``, or ``%%sql [name]`` above a query.

        Returns
        -------
        DataFrame or None
            The rows; None after ``name <<``, which only keeps them.

        Raises
        ------
        IPython.core.error.UsageError
            If the query cannot run: message and hint, without a traceback.
        """
        try:
            return self._answer(line, cell)
        except ScalingDBError as error:
            raise UsageError(f"{error.fact}\n\nHint: {error.hint}" if error.hint else error.fact) from None

    def _answer(self, line: str, cell: str | None) -> pl.DataFrame | None:
        assigned = ASSIGNMENT.fullmatch(line)
        if cell is None:
            name, query = (assigned["name"], assigned["rest"]) if assigned else (None, line)
        else:
            if assigned and assigned["rest"].strip():
                raise QueryError(
                    f"text after '<<' in the first line: {assigned['rest'].strip()!r}", "write the query below it."
                )
            name, query = (assigned["name"] if assigned else line.strip() or None), cell
        if name is not None and not name.isidentifier():
            raise QueryError(
                f"{name!r} cannot be the name of a variable", "write '%%sql name' and the query on the next line."
            )
        assert self.shell is not None  # magics are only called by the shell that registered them
        frame = _shared().sql(query, **_values(query, self.shell.user_ns))
        if name is not None:
            self.shell.user_ns[name] = frame
        return None if assigned else frame


@context_matcher(identifier="scalingdb")  # type: ignore[untyped-decorator]
def complete_names(context: CompletionContext) -> SimpleMatcherResult:
    """Names of laws, sources, tables and columns at the cursor; other completions only where there are none."""
    before = sum(len(line) + 1 for line in context.full_text.split("\n")[: context.cursor_line])
    place = before + context.cursor_position
    text, rest = context.full_text[:place], context.full_text[place:]
    shell = InteractiveShell.instance() if InteractiveShell.initialized() else None
    variables = list(shell.user_ns) if shell is not None else []
    try:
        offered = offer(text, _shared, variables, rest)
    except ScalingDBError:  # a warehouse that cannot be read is reported by the cell that reads it
        offered = None
    if offered is None:
        return {"completions": [], "suppress": False}
    completions = [SimpleCompletion(name, type=kind) for name, kind in offered.names]
    return {"completions": completions, "matched_fragment": offered.fragment, "suppress": True, "ordered": True}


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics and the completion of names; IPython calls this on ``%load_ext scalingdb``."""
    shell.register_magics(SqlMagics)
    if complete_names not in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.append(complete_names)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Complete names no more; IPython calls this on ``%unload_ext scalingdb.magic``."""
    if complete_names in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(complete_names)
