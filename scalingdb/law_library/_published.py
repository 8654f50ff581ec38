"""Published coefficient sets of a law: rows of the table ``published_fits`` as values."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from scalingdb.law_library._core import Law

__all__ = ["PublishedSet", "default_of", "published_sets_from", "published_sets_of"]


@dataclass(frozen=True)
class PublishedSet:
    """One published coefficient set of a law, as the table ``published_fits`` holds it.

    Attributes
    ----------
    variant, source_id : str
    params : mapping of str to float
    output_unit : str
        Unit of what the law yields with these coefficients.
    n_definition : str or None
        How the authors count parameters.
    where_stated : str
        Place in the paper or its release.
    is_default : bool
        Whether the set is used where no variant is named.
    evidence : str or None
        How the numbers are known: ``read``, ``second_hand``, ``refit`` or ``converted``.
    """

    variant: str
    source_id: str
    params: Mapping[str, float]
    output_unit: str
    n_definition: str | None
    where_stated: str
    is_default: bool
    evidence: str | None = None

    def __reduce__(self) -> tuple[Callable[..., PublishedSet], tuple[dict[str, Any]]]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return _set_of_parts, ({**fields, "params": dict(self.params)},)


def _set_of_parts(fields: dict[str, Any]) -> PublishedSet:
    return PublishedSet(**{**fields, "params": MappingProxyType(fields["params"])})


def published_sets_from(frame: pl.DataFrame, law: Law) -> list[PublishedSet]:
    """Published coefficient sets of `law`, from rows of a table ``published_fits``.

    A law composed of others is in no such table: its sets are those it inherited from its parts.

    Parameters
    ----------
    frame : DataFrame
        One row per coefficient, as ``connect(...).table("published_fits")`` returns it; rows of other
        laws, and coefficients that the law does not have, are left out.
    law : Law

    Returns
    -------
    list of PublishedSet
        In the order of the rows.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> rows = sdb.connect().table("published_fits")
    >>> sets = sdb.law_library.published_sets_from(rows, sdb.get_law("chinchilla"))
    >>> [one.variant for one in sets][:2]
    ['hoffmann', 'epoch']
    """
    if law.own_sets:
        return list(law.own_sets)
    return published_sets_of(frame, law.name, law.params)


def published_sets_of(frame: pl.DataFrame, name: str, params: Collection[str]) -> list[PublishedSet]:
    """As :func:`published_sets_from`, for a law given by its name and the names of its parameters."""
    rows = frame.filter(frame["law"] == name)
    if not rows.height:
        return []
    facts = [f.name for f in dataclasses.fields(PublishedSet) if f.name != "params" and f.name in rows.columns]
    sets = []
    for key, group in rows.group_by(facts, maintain_order=True):
        stated = dict(group.select("param", "value").iter_rows())
        values = MappingProxyType({param: stated[param] for param in params if param in stated})
        sets.append(PublishedSet(**dict(zip(facts, key, strict=True)), params=values))
    return sets


def default_of(sets: Sequence[PublishedSet], variant: str | None = None) -> PublishedSet | None:
    """The set to use where none is named: `variant` if given, else the one marked as default, else the only one.

    None where several sets stand side by side and none is marked: a general form has no coefficients of its own.
    """
    if variant is not None:
        return next((one for one in sets if one.variant == variant), None)
    only = sets[0] if len(sets) == 1 else None
    return next((one for one in sets if one.is_default), only)
