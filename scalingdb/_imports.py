"""Packages imported without what nothing here needs.

Two thirds of Altair's import serve other ends: a grammar of internationalised web addresses, which jsonschema builds
to check a format that no chart and no notebook has, and, where there is no notebook, notebook widgets.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["import_lightly"]


def _is_valid_syntax(term: str, value: str) -> Any:
    """As `rfc3987_syntax` has it, which is imported when a web address is checked for the first time."""
    return importlib.import_module("rfc3987_syntax").is_valid_syntax(term, value)


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Modules that are not imported meanwhile; what is imported already stays as it is."""
    held: dict[str, ModuleType | None] = {}
    if "rfc3987_syntax" not in sys.modules and find_spec("rfc3987_syntax") is not None:
        grammar = ModuleType("rfc3987_syntax")
        grammar.__dict__["is_valid_syntax"] = _is_valid_syntax
        held["rfc3987_syntax"] = grammar
    if "IPython" not in sys.modules and "anywidget" not in sys.modules:
        held["anywidget"] = None
    sys.modules.update(held)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name, module in held.items():
            if name in sys.modules and sys.modules[name] is module:
                del sys.modules[name]


def import_lightly(name: str) -> None:
    """Import `name`, which loads jsonschema or notebook widgets, without what they load in vain.

    It has to come before any other import of the same package.
    """
    with _stand_ins():
        importlib.import_module(name)
