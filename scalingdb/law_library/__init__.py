"""Every law that scalingdb knows: topic modules of decorated formulas.

The folder is the registry: each module that does not start with an underscore is imported on the
first look-up. It is called ``law_library`` and not ``laws`` because ``sdb.laws()`` is a public
function, and a subpackage of the same name would replace it on import.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING

from scalingdb._arguments import tell
from scalingdb.errors import unknown_name
from scalingdb.law_library._algebra import (
    add,
    compose,
    exp_link,
    fixed,
    logit_link,
    nested,
    pareto_envelope,
    sigmoid,
    substitute,
    tie,
)
from scalingdb.law_library._core import (
    REGISTRY,
    Law,
    Param,
    default_to,
    exponent,
    law,
    positive,
    real,
)
from scalingdb.law_library._inverse import inverse
from scalingdb.law_library._macros import macro_statements
from scalingdb.law_library._mixtures import mixture_law
from scalingdb.law_library._published import PublishedSet, published_sets_from
from scalingdb.published import refitted_sources

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Law",
    "Param",
    "PublishedSet",
    "add",
    "all_aliases",
    "all_laws",
    "compose",
    "exp_link",
    "exponent",
    "fixed",
    "get_law",
    "inverse",
    "law",
    "laws",
    "logit_link",
    "macro_statements",
    "mixture_law",
    "nested",
    "pareto_envelope",
    "positive",
    "published_sets_from",
    "real",
    "sigmoid",
    "substitute",
    "tie",
]

_loaded = False


def all_laws() -> dict[str, Law]:
    """Laws by name: the library's, in the order of its chapters, then the user's."""
    global _loaded
    if not _loaded:
        own = dict(REGISTRY)
        for module in pkgutil.iter_modules(__path__):
            if not module.name.startswith("_"):
                importlib.import_module(f"{__name__}.{module.name}")
        library = sorted((name for name in REGISTRY if name not in own), key=_chapter_number)
        ordered = {name: REGISTRY[name] for name in library}
        REGISTRY.clear()
        REGISTRY.update(ordered | own)  # a user's law of the same name wins, whichever was defined first
        _loaded = True
    return REGISTRY


def _chapter_number(name: str) -> int:
    number = REGISTRY[name].chapter.partition(".")[0]
    return int(number) if number.isdigit() else sys.maxsize


def all_aliases() -> dict[str, tuple[str, str | None]]:
    """Law and variant of every alias. A law that exists under the name goes before an alias."""
    found: dict[str, tuple[str, str | None]] = {}
    for name, entry in all_laws().items():
        found |= {alias: (name, variant) for alias, variant in entry.aliases.items() if alias not in REGISTRY}
    return found


def get_law(name: str | Law) -> Law:
    """The law called `name`, which may be an alias; a :class:`Law` is returned as it is.

    An alias such as ``chinchilla_epoch`` stands for a law with one of its published sets as the default.

    Raises
    ------
    UnknownNameError
        With the closest names.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.get_law("chinchilla").inputs
    ('n_params', 'n_tokens')
    >>> sdb.get_law("chinchilla_a3").default_variant
    'hoffmann'
    """
    if isinstance(name, Law):
        return name
    known = all_laws()
    if not isinstance(name, str):
        raise unknown_name("law", name, known)
    if name in known:
        return known[name]
    aliases = all_aliases()
    if name not in aliases:
        raise unknown_name("law", name, [*known, *aliases])
    law_name, variant = aliases[name]
    return known[law_name] if variant is None else default_to(known[law_name], variant)


def laws() -> pl.DataFrame:
    """All laws as a frame: one row per law.

    Returns
    -------
    DataFrame
        Columns ``law, chapter, formula`` (LaTeX; null for a formula that is not symbolic), ``inputs, output,
        params, cite, verified`` (whether the form was read in its source), ``evidence_kind`` (``read``,
        ``derived``, ``second_hand`` or ``unchecked``), ``evidence`` (the place, or who quotes it), ``sources``
        (ids of the sources that state coefficients, or whose rows are refitted here), ``variants``
        (published sets), ``aliases``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> table = sdb.laws()
    >>> table.filter(table["law"] == "farseer")["sources"].item().to_list()
    ['farseer']
    """
    import polars as pl

    refitted = refitted_sources()
    rows = [
        {
            "law": entry.name,
            "chapter": entry.chapter,
            "formula": entry.latex if entry.is_traceable else None,
            "inputs": list(entry.inputs),
            "output": entry.output,
            "params": list(entry.params),
            "cite": entry.cite,
            "verified": entry.verified,
            "evidence_kind": entry.evidence_kind,
            "evidence": entry.evidence or None,
            "sources": sorted({s.source_id for s in entry.published.values()} | set(refitted.get(entry.name, ()))),
            "variants": list(entry.published),
            "aliases": list(entry.aliases),
        }
        for entry in all_laws().values()
    ]
    lists = ("inputs", "params", "sources", "variants", "aliases")
    names = (
        "law",
        "chapter",
        "formula",
        "inputs",
        "output",
        "params",
        "cite",
        "verified",
        "evidence_kind",
        "evidence",
        *lists[2:],
    )
    types = {name: pl.List(pl.String) if name in lists else pl.String() for name in names}
    from scalingdb.law_library._listing import LawsFrame

    return LawsFrame(rows, schema={**types, "verified": pl.Boolean()})


tell(globals())
