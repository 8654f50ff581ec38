"""Registered forecasts: one small JSON file each, written once."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalingdb._store import write_whole
from scalingdb.errors import DataError, OutputError
from scalingdb.warehouse import local_folder

if TYPE_CHECKING:
    from scalingdb.forecasts._forecast import Forecast

__all__ = ["folder", "read_all", "register"]

FORMAT = "scalingdb forecast 1"

COMPARABLE = ("metric", "unit", "eval_set", "tokenizer_id")
"""Columns in which an outcome must agree with the rows behind a forecast."""


def folder(path: str | Path | None) -> Path:
    """Where registered forecasts are kept."""
    return Path(path) if path is not None else local_folder() / "forecasts"


def register(forecast: Forecast, path: str | Path | None) -> Path:
    """Write a forecast to a file of its own; see :meth:`Forecast.register`."""
    content = _content(forecast)
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    digest = hashlib.sha256(text.encode()).hexdigest()
    place = folder(path)
    try:
        place.mkdir(parents=True, exist_ok=True)
        known = sorted(place.glob(f"*-{digest[:12]}.json"))
        if known:
            return known[0]
        now = datetime.datetime.now(datetime.UTC)
        file = place / f"{now:%Y-%m-%d}-{forecast.law}-{digest[:12]}.json"
        whole = {"format": FORMAT, "registered": now.isoformat(timespec="seconds"), "sha256": digest, **content}
        write_whole(file, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    except (OSError, ValueError) as error:  # a name with a null byte
        raise OutputError(
            f"cannot register the forecast: {error}", "give a folder that can be written: register(path)."
        ) from error
    return file


def _content(forecast: Forecast) -> dict[str, Any]:
    """All that a later reader needs, as values that JSON knows."""
    data, recipe = forecast.fit.data, forecast.fit.recipe
    shared = {name: data[name].unique().to_list() for name in COMPARABLE if name in data.columns}
    columns = [*recipe.columns.values(), "prediction", "low", "high", "interval", "distance", "direction"]
    return {
        "law": forecast.law,
        "params": {name: _plain(value) for name, value in forecast.fit.params.items()},
        "verdict": str(forecast.fit.verdict),
        "level": forecast.level,
        "output": recipe.output,
        "columns": dict(recipe.columns),
        "data_sha256": recipe.data_sha256,
        "n_rows": recipe.n_rows,
        "sources": list(recipe.sources),
        "comparable": {name: values[0] for name, values in shared.items() if len(values) == 1},
        "recipe": _plain(recipe.as_dict()),
        "forecasts": _plain(forecast.tidy().select(columns).to_dicts()),
    }


def _plain(value: Any) -> Any:
    """Values that JSON knows: what is not a finite number becomes its name."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not (float("-inf") < value < float("inf")):
        return str(value)
    return value


def read_all(path: str | Path | None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Registered forecasts, earliest first.

    Raises
    ------
    DataError
        If the folder or a file cannot be read, a file is none of ours, or was changed after it was written.
    """
    place = folder(path)
    try:
        files = sorted(file for file in place.iterdir() if file.suffix == ".json")
    except FileNotFoundError:
        return  # none was registered yet
    except (OSError, ValueError) as error:
        raise DataError(f"the folder of registered forecasts cannot be read: {error}", "check its path.") from error
    for file in files:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            own = {key: value for key, value in content.items() if key not in {"format", "registered", "sha256"}}
            digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
            is_ours = content["format"] == FORMAT
            is_unchanged = content["sha256"] == digest
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error}", "see that you may read it.") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{file} is not a registered forecast", "move it out of this folder.") from error
        if not is_ours:
            raise DataError(f"{file} has format {content['format']!r}, not {FORMAT!r}", "move it out of this folder.")
        if not is_unchanged:
            raise DataError(
                f"{file} was changed after it was registered: its content has another SHA-256 than it states",
                "restore the file, or move it out of this folder.",
            )
        yield file, content
