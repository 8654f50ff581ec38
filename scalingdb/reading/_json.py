"""JSON of other programs, read without guessing."""

from __future__ import annotations

import json
import re
from typing import Any

from scalingdb.reading._report import Unusable

__all__ = ["json_value"]

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def json_value(text: str) -> Any:
    """The value of a JSON text.

    Raises
    ------
    json.JSONDecodeError
        If it is no JSON.
    Unusable
        If a key stands twice in one object, the nesting is too deep, a whole number has thousands of digits, or a
        text holds half of a surrogate pair.
    """
    try:
        value = json.loads(text, object_pairs_hook=_no_duplicates)
        if _HALF.search(text):  # as escapes, which may be pairs
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise Unusable("the JSON is nested too deeply") from error
    except UnicodeEncodeError as error:
        raise Unusable("a text in the JSON holds half of a surrogate pair, which is no character") from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # Python converts 4,300 digits, which is more than any number of a run has
        raise Unusable(f"a whole number in the JSON has too many digits: {str(error).partition(';')[0]}") from error
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Unusable(f"the key {twice!r} stands twice in one JSON object: which value counts is not said")
    return dict(pairs)
