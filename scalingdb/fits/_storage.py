"""A fit in one file: its rows as Parquet, all the rest in the file's metadata."""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl

from scalingdb._store import check_target
from scalingdb.errors import DataError, ScalingDBError, path_hint
from scalingdb.estimation.search import STATUS
from scalingdb.estimation.verdicts import Kind
from scalingdb.fits._conclude import contradiction, digest
from scalingdb.fits._facts import Reason, Recipe, Verdict
from scalingdb.fits._problem import Options, check_options
from scalingdb.fits._result import Fit
from scalingdb.law_library import get_law

__all__ = ["load", "save"]

KEY = b"scalingdb.fit"
SEAL = b"scalingdb.fit.sha256"
FORMAT = 3
"""Format 1 held the verdict as text. Of formats 1 and 2, covariances may be by rules of their time."""

ARRAYS = ("covariance", "samples", "eigenvalues", "_clusters", "_weights", "_curvature", "_unseen")
SCALARS = ("objective", "status", "n_starts", "n_agree", "is_certain", "agree_digits", "weakest")

DAMAGED = "the file is damaged, or the law of this name is another one here."


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}  # JSON has no word for it
    return value


def _rich(value: Any) -> Any:
    if isinstance(value, list):
        return [_rich(item) for item in value]
    if isinstance(value, dict):
        return float(value["float"]) if set(value) == {"float"} else {key: _rich(item) for key, item in value.items()}
    return value


def _verdict(stored: dict[str, Any] | str) -> Verdict:
    """The verdict of a file. Format 1 has its text only, which begins with the kind."""
    if isinstance(stored, dict):
        return Verdict(
            stored["kind"], tuple(Reason(r["code"], tuple(r["names"]), r["value"]) for r in stored["reasons"])
        )
    labels: dict[str, Kind] = {"not identified": "not_identified", "at bound": "at_bound", "weak": "weak"}
    kinds: list[Kind] = [kind for label, kind in labels.items() if label in stored]
    kind = kinds[0] if kinds else "identified"
    unfinished, _, rest = stored.rpartition("not converged; ")
    reasons = [Reason("not_converged")] if unfinished or rest != stored else []
    words = rest.removeprefix(f"{kind.replace('_', ' ')}: ")
    return Verdict(kind, (*reasons, *([] if words == "identified" else [Reason("stated", (words,))])))


def _columns(table: Any) -> list[list[str]]:
    """Names and types, which no checksum of Parquet covers."""
    return [[field.name, str(field.type)] for field in table.schema]


def save(fit: Fit, path: str | Path) -> Path:
    """See :meth:`Fit.save`."""
    import pyarrow.parquet as pq

    target = Path(path)
    check_target(target, DataError)
    content = {
        "format": FORMAT,
        "params": dict(fit.params),
        "recipe": fit.recipe.as_dict(),
        "verdict": asdict(fit.verdict),
        **{name: getattr(fit, name) for name in (*SCALARS, *ARRAYS)},
    }
    table = fit.data.to_arrow()
    content["columns"] = _columns(table)
    text = json.dumps(_plain(content)).encode()
    table = table.replace_schema_metadata({KEY: text, SEAL: hashlib.sha256(text).hexdigest().encode()})
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        os.close(handle)
        try:
            pq.write_table(table, name, write_page_checksum=True)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # of which a name with a zero byte is one
        raise DataError(f"cannot write the fit to {target}: {error}", "choose a folder that exists.") from error
    return target


def load(path: str | Path) -> Fit:
    """See :meth:`Fit.load`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = Path(path)
    try:
        with source.open("rb") as content:  # a path would make columns of folders above it called 'name=value'
            table = pq.read_table(content, page_checksum_verification=True)
    except (OSError, ValueError, pa.lib.ArrowException) as error:
        hint = path_hint("" if os.path.exists(source) else source, "give a file that Fit.save wrote.")  # noqa: PTH110
        raise DataError(f"cannot read a fit from {source}: {error}", hint) from error
    stored = (table.schema.metadata or {}).get(KEY)
    if stored is None:
        raise DataError(f"{source} is a Parquet file but holds no fit", "give a file that Fit.save wrote.")
    seal = table.schema.metadata.get(SEAL)
    if seal is not None and seal != hashlib.sha256(stored).hexdigest().encode():
        raise DataError(f"{source}: what the file says about the fit was changed (sha256 differs)", DAMAGED)
    try:
        content = json.loads(stored)
        json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair is no text
        return _made_of(source, table, _rich(content))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        if isinstance(error, ScalingDBError):
            raise
        raise DataError(f"{source}: what the file says about the fit is incomplete ({error!r})", DAMAGED) from error


def _made_of(source: Path, table: Any, content: dict[str, Any]) -> Fit:
    if content["format"] not in range(1, FORMAT + 1):
        raise DataError(f"{source} is of format {content['format']}, this version reads 1 to {FORMAT}")
    if content.get("columns") not in (None, _columns(table)):  # files of earlier versions do not list them
        raise DataError(f"{source}: the columns are not those that were saved", DAMAGED)
    frame = pl.from_arrow(table.replace_schema_metadata(None))
    assert isinstance(frame, pl.DataFrame)
    recipe = Recipe.of(content["recipe"])
    law = get_law(recipe.law)
    if set(content["params"]) != set(law.params):
        raise DataError(
            f"{source} holds a fit of law {law.name!r} with parameters {', '.join(content['params'])}; "
            f"the law of that name here has {', '.join(law.params)}",
            "define the law as it was when the fit was made.",
        )
    if isinstance(content["verdict"], str) and content["format"] != 1:
        raise DataError(f"{source}: the verdict is a text, as in format 1 alone", DAMAGED)
    if content["format"] == 1:  # each undetermined parameter is a direction of its own
        content["_unseen"] = np.eye(len(law.params))[[name in recipe.undetermined for name in law.params]]
    content.setdefault("is_certain", content["n_agree"] > 1)  # files of earlier versions do not say
    arrays: dict[str, Any] = {name: np.asarray(content[name], dtype=float) for name in ARRAYS if name != "_clusters"}
    arrays["_clusters"] = np.asarray(content["_clusters"], dtype=np.int64)
    arrays["samples"] = arrays["samples"].reshape(-1, len(law.params))
    arrays["_unseen"] = arrays["_unseen"].reshape(-1, len(law.params))
    fit = Fit(
        law=law,
        params=MappingProxyType({name: float(content["params"][name]) for name in law.params}),
        verdict=_verdict(content["verdict"]),
        recipe=recipe,
        _table=frame,
        **{name: content[name] for name in SCALARS},
        **arrays,
    )
    problem = fit._problem
    if digest([*problem.inputs, problem.y, problem.weights]) != recipe.data_sha256:
        raise DataError(f"{source}: the rows are not those that the fit was made from (data_sha256 differs)", DAMAGED)
    if wrong := _odd(fit):
        raise DataError(f"{source}: {wrong}", DAMAGED)
    if wrong := contradiction(fit, derived=content["format"] == FORMAT):
        raise DataError(f"{source}: {wrong}", DAMAGED)
    return fit


def _odd(fit: Fit) -> str | None:
    """The first statement that is taken as it stands and cannot be true, of whatever rows."""
    recipe = fit.recipe
    check_options(fit.law, Options.of(recipe))
    str(fit.verdict)
    texts = {"weakest": fit.weakest, "resampled": recipe.resampled}
    texts |= {f"{name} {i}": text for name in ("notes", "sources") for i, text in enumerate(getattr(recipe, name))}
    kinds: list[tuple[str, Any, type]] = [(name, text, str) for name, text in texts.items()]
    kinds += [("is_certain", fit.is_certain, bool), ("by_run", recipe.by_run, bool), ("pool", recipe.pool, bool)]
    kinds += [("n_starts", fit.n_starts, int), ("n_agree", fit.n_agree, int), ("n_rows", recipe.n_rows, int)]
    for name, value, kind in kinds:
        if type(value) is not kind:
            return f"{name} is {value!r:.40}, not of type {kind.__name__}"
    if fit.status not in STATUS:
        return f"status is {fit.status!r:.40}, none of {', '.join(map(repr, STATUS))}"
    if not 0 <= fit.n_agree <= fit.n_starts < 2**31:
        return f"{fit.n_agree} of {fit.n_starts} starts agree"
    if not isinstance(fit.agree_digits, int | float) or isinstance(fit.agree_digits, bool):
        return f"agree_digits is {fit.agree_digits!r:.40}, no number"
    if recipe.n_rows != fit.data.height:
        return f"the recipe says {recipe.n_rows} rows, there are {fit.data.height}"
    if len(fit.samples) != recipe.bootstrap:
        return f"there are {len(fit.samples)} samples of a bootstrap of {recipe.bootstrap}"
    return None
