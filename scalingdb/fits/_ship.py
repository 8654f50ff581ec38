"""Trace every law of the library and keep the result in the package: ``python -m scalingdb.fits._ship``.

A law whose entry is missing or out of date works all the same; it is then traced when it is first used.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from scalingdb.fits._form import code_key, essentials, print_law, specs_of
from scalingdb.law_library import Law, _cache, all_laws

__all__ = ["entries", "ship"]


def entries(law: Law) -> dict[str, bytes]:
    """Files of one law: what tracing gives, and the code of a fit of all its parameters."""
    if law.cache_key is None:
        return {}
    facts = dict(essentials(law))
    if not law.is_traceable:
        return {f"{law.cache_key}.json": _cache.packed(facts)}
    facts |= {
        "latex": law.latex,
        "mathml": law.mathml,
        "sql": law.formula_sql,
        "text": law.formula_text,
        "operations": law.n_operations,
    }
    specs = specs_of(law)
    code = print_law(law, specs, (), {})
    return {
        f"{law.cache_key}.json": _cache.packed(facts),
        f"{code_key(law, specs, (), {})}.json": _cache.packed(code.to_json()),
    }


def ship(target: Path = _cache.SHIPPED) -> int:
    """Write the entries of all laws to `target`, and count them."""
    contents = {name: content for law in all_laws().values() for name, content in entries(law).items()}
    part = target.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(contents):  # a fixed date: the same laws give the same bytes
            archive.writestr(zipfile.ZipInfo(name), contents[name], zipfile.ZIP_DEFLATED, 9)
    part.replace(target)
    return len(contents)


if __name__ == "__main__":
    print(f"{ship()} entries in {_cache.SHIPPED.name}")
