"""Names that a shell completes: laws, sources, situations, objectives. Each is looked up when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["law_names", "objective_names", "situation_names", "source_names"]


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def law_names(incomplete: str) -> list[str]:
    """Laws and their aliases."""
    from scalingdb.law_library import all_aliases, all_laws

    return _beginning([*all_laws(), *all_aliases()], incomplete)


def source_names(incomplete: str) -> list[str]:
    """Sources with losses. Nothing for a path: the shell completes files itself."""
    from scalingdb.errors import ScalingDBError
    from scalingdb.warehouse import connect

    try:
        rows = connect().sql("select distinct source_id from points order by 1")
    except ScalingDBError:  # the command itself says what is wrong
        return []
    return _beginning(rows["source_id"].to_list(), incomplete)


def situation_names(incomplete: str) -> list[str]:
    """Situations of the arena, each with its meaning."""
    from scalingdb.evidence.arena import SITUATIONS

    return _beginning(SITUATIONS, incomplete)


def objective_names(incomplete: str) -> list[str]:
    """Objectives of a fit."""
    from scalingdb.estimation.objectives import OBJECTIVES

    return _beginning(OBJECTIVES, incomplete)
