"""Laws as SQL macros of DuckDB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from scalingdb.law_library._published import PublishedSet, default_of

if TYPE_CHECKING:
    from scalingdb.law_library._core import Law

__all__ = ["macro_statements"]


def macro_statements(law: Law, sets: Sequence[PublishedSet]) -> list[str]:
    """``create macro`` statements of a law with given coefficient sets.

    One macro with the default coefficients (``law_<name>``), one per set (``law_<name>_<variant>``),
    one per alias unless it spells the same as a variant's. Every parameter is also a named argument
    (``law_chinchilla(7e9, 1e12, E := 1.7)``), unless two parameters differ only in case, which SQL
    cannot tell apart. Without any set, parameters have no defaults.

    Parameters
    ----------
    law : Law
    sets : sequence of PublishedSet
        For example those of another warehouse: see :func:`published_sets_from`.

    Returns
    -------
    list of str
        Empty for a law that cannot be traced.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> rows = sdb.connect().table("published_fits")
    >>> kaplan = sdb.get_law("kaplan_lc")
    >>> statements = sdb.law_library.macro_statements(kaplan, sdb.law_library.published_sets_from(rows, kaplan))
    >>> statements[0].partition("(")[0]
    'create or replace macro law_kaplan_lc'
    """
    if not law.is_traceable:
        return []
    names = [*law.inputs, *law.params]
    is_distinct = len({name.lower() for name in names}) == len(names)
    body = law.formula_sql
    plain = (
        [f"create or replace macro law_{law.name}({', '.join(map(_quoted, names))}) as {body}"] if is_distinct else []
    )
    if not sets:
        return plain
    inputs = ", ".join(map(_quoted, law.inputs))
    statements = [] if default_of(sets, law.default_variant) or default_of(sets) else plain
    for name, values in _macro_names(law, sets).items():
        if is_distinct:
            defaults = "".join(f", {_quoted(param)} := {_double(value)}" for param, value in values.items())
            statements.append(f"create or replace macro law_{name}({inputs}{defaults}) as {body}")
        else:
            from scalingdb.law_library import _trace

            numbers = {law.symbols[param]: value for param, value in values.items()}
            fixed = _trace.sql(law.expression.subs(numbers))
            statements.append(f"create or replace macro law_{name}({inputs}) as {fixed}")
    return statements


def _macro_names(law: Law, sets: Sequence[PublishedSet]) -> dict[str, Mapping[str, float]]:
    """Coefficients by the name that the macro takes after ``law_``."""
    default = default_of(sets, law.default_variant) or default_of(sets)
    by_variant: dict[str, Mapping[str, float]] = {one.variant: one.params for one in sets}
    macros: dict[str, Mapping[str, float]] = {} if default is None else {law.name: default.params}
    macros |= {f"{law.name}_{variant}": params for variant, params in by_variant.items()}
    for alias, variant in law.aliases.items():
        if variant is None and default is not None:
            macros.setdefault(alias, default.params)
        elif variant in by_variant:
            macros.setdefault(alias, by_variant[variant])
    return macros


def _double(value: float) -> str:
    """A DOUBLE in SQL: without an exponent DuckDB takes a decimal, whose products overflow."""
    text = repr(float(value))
    return f"{text}e0" if set(text) <= set("-0123456789.") else text


def _quoted(name: str) -> str:
    return f'"{name}"'
