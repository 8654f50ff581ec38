"""Every law that scalingdb knows: topic modules of decorated formulas.

The folder is the registry: each module that does not start with an underscore is imported on the
first look-up. It is called ``law_library`` and not ``laws`` because ``sdb.laws()`` is a public
function, and a subpackage of the same name would replace it on import.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from scalingdb.errors import unknown_name
from scalingdb.law_library._core import REGISTRY, Law, Param, PublishedSet, exponent, law, positive, real

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Law", "Param", "PublishedSet", "all_laws", "exponent", "get_law", "law", "laws", "positive", "real"]

_loaded = False


def all_laws() -> dict[str, Law]:
    """Laws by name: the library's, in the order of its chapters, then the user's."""
    global _loaded
    if not _loaded:
        own = dict(REGISTRY)
        for module in pkgutil.iter_modules(__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{__name__}.{module.name}")
        REGISTRY.update(own)  # a user's law of the same name wins, whichever was defined first
        _loaded = True
    return REGISTRY


def get_law(name: str | Law) -> Law:
    """The law called `name`; a :class:`Law` is returned as it is.

    Raises
    ------
    UnknownNameError
        With the closest names.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.get_law("chinchilla").inputs
    ('n_params', 'n_tokens')
    """
    if isinstance(name, Law):
        return name
    known = all_laws()
    if name not in known:
        raise unknown_name("law", str(name), known)
    return known[name]


def laws() -> pl.DataFrame:
    """All laws as a frame: one row a law.

    Returns
    -------
    DataFrame
        Columns ``law, formula`` (LaTeX), ``inputs, output, params, cite, variants``.
    """
    import polars as pl

    return pl.DataFrame(
        [
            {
                "law": entry.name,
                "formula": entry.latex if entry.is_traceable else None,
                "inputs": list(entry.inputs),
                "output": entry.output,
                "params": list(entry.params),
                "cite": entry.cite,
                "variants": list(entry.published),
            }
            for entry in all_laws().values()
        ],
        schema={
            "law": pl.String,
            "formula": pl.String,
            "inputs": pl.List(pl.String),
            "output": pl.String,
            "params": pl.List(pl.String),
            "cite": pl.String,
            "variants": pl.List(pl.String),
        },
    )
