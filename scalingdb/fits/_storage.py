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
from scalingdb.errors import DataError, ScalingDBError, check_path, path_hint
from scalingdb.estimation.search import STATUS
from scalingdb.estimation.verdicts import Kind
from scalingdb.fits._conclude import contradiction, digest
from scalingdb.fits._digest import digest_of_rows
from scalingdb.fits._facts import Reason, Recipe, Verdict
from scalingdb.fits._influence import labels_of
from scalingdb.fits._problem import Options, check_options
from scalingdb.fits._result import Fit
from scalingdb.law_library import get_law

__all__ = ["load", "save"]

KEY = b"scalingdb.fit"
SEAL = b"scalingdb.fit.sha256"
FORMAT = 4
"""Format 1 held the verdict as text. Of formats 1 and 2, covariances may be by rules of their time. Files up to
format 3 seal only those columns that the fit used."""

DERIVED_SINCE = 3
"""The first format whose files state nothing that is not computed again."""

MOST_BYTES, MOST_RATIO = 2**28, 1000
"""Bytes that the rows of a file may take, and how many more for each byte of the file: its text lists what each row
weighs, so that numbers and words stay far below, but a column of equal texts is written once, however long they are.
"""

ARRAYS = ("covariance", "samples", "eigenvalues", "_clusters", "_weights", "_curvature", "_unseen")
SCALARS = ("objective", "status", "n_starts", "n_agree", "is_certain", "agree_digits", "weakest")

ODD = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    NotImplementedError,
    pl.exceptions.PolarsError,
)
"""What values that no fit has end in."""

COUNTS: dict[str, tuple[int, int]] = {
    **dict.fromkeys(("at_infinity", "equal_values", "few_degrees", "few_runs", "no_freedom", "not_converged"), (0, 0)),
    **dict.fromkeys(("at_bound", "narrow_range", "stands_out"), (1, 1)),
    **dict.fromkeys(("move_together", "trade_off"), (2, 2)),
}
"""How many names a reason gives, at least and at most; of other codes, one or more."""

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


def _columns(frame: pl.DataFrame) -> list[list[str]]:
    """Names and types, which no checksum of Parquet covers."""
    return [[name, _type(dtype)] for name, dtype in frame.schema.items()]


def _type(dtype: Any) -> str:
    """A type in words that no version of polars changes."""
    parts: list[str] = []
    match dtype:
        case pl.Enum():
            parts = [json.dumps(dtype.categories.to_list())]
        case pl.Struct():
            parts = [f"{json.dumps(field.name)}: {_type(field.dtype)}" for field in dtype.fields]
        case pl.Array():
            parts = [_type(dtype.inner), str(dtype.size)]
        case pl.List():
            parts = [_type(dtype.inner)]
        case pl.Decimal():
            parts = [str(dtype.precision), str(dtype.scale)]
        case pl.Datetime():
            parts = [dtype.time_unit, str(dtype.time_zone)]
        case pl.Duration():
            parts = [dtype.time_unit]
    return f"{type(dtype).__name__}({', '.join(parts)})" if parts else type(dtype).__name__


def _columns_to_format_3(schema: Any) -> list[list[str]]:
    return [[field.name, str(field.type)] for field in schema]


def _as_table(frame: pl.DataFrame) -> Any:
    """The frame as an Arrow table, if a file can hold it."""
    unfit = (ValueError, TypeError, NotImplementedError, pl.exceptions.PolarsError)
    try:
        if pl.Object in frame.dtypes:
            raise TypeError("Python objects")
        return frame.to_arrow()
    except unfit as error:
        for name, dtype in frame.schema.items():
            try:
                if dtype != pl.Object and frame.select(name).to_arrow():
                    continue
            except unfit:
                pass
            raise DataError(
                f"column {name!r} is of type {dtype}, which no saved fit holds ({error})", "fit without it, or cast it."
            ) from error
        raise


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
    table = _as_table(fit.data)
    content["columns"] = _columns(fit.data)
    content["rows_sha256"] = digest_of_rows(table)
    text = json.dumps(_plain(content)).encode()
    table = table.replace_schema_metadata({KEY: text, SEAL: hashlib.sha256(text).hexdigest().encode()})
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        os.close(handle)
        try:
            pq.write_table(table, name, write_page_checksum=True)
            if table.nbytes > _most(name):
                raise DataError(
                    f"the rows take {table.nbytes:,} bytes, more than a file of this size may hold",
                    "fit without the columns of long texts.",
                )
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except (OSError, ValueError, NotImplementedError) as error:  # of which a name with a zero byte is one
        if isinstance(error, ScalingDBError):
            raise
        raise DataError(f"cannot write the fit to {target}: {error}", "choose a folder that exists.") from error
    return target


def load(path: str | Path) -> Fit:
    """See :meth:`Fit.load`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = check_path(path, "path")
    try:
        with source.open("rb") as opened:  # a path would make columns of folders above it called 'name=value'
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            content = _rich(_stated(source, file.schema_arrow.metadata or {}))
            _check_counts(source, file, content)
            table = _rows(source, file)
    except (*ODD, OSError) as error:
        if isinstance(error, ScalingDBError):
            raise
        if not isinstance(error, OSError | pa.lib.ArrowException):
            raise _incomplete(source, error) from error
        hint = path_hint("" if os.path.exists(source) else source, "give a file that Fit.save wrote.")  # noqa: PTH110
        raise DataError(f"cannot read a fit from {source}: {error}", hint) from error
    try:
        return _made_of(source, table, content)
    except ODD as error:
        if isinstance(error, ScalingDBError):
            raise
        raise _incomplete(source, error) from error


def _incomplete(source: Path, error: Exception) -> DataError:
    why = f"{type(error).__name__}: {str(error)[:200]}"
    return DataError(f"{source}: what the file says about the fit is incomplete ({why})", DAMAGED)


def _stated(source: Path, metadata: dict[bytes, bytes]) -> Any:
    """What the file says about the fit, once it is known to be whole."""
    stored = metadata.get(KEY)
    if stored is None:
        raise DataError(f"{source} is a Parquet file but holds no fit", "give a file that Fit.save wrote.")
    seal = metadata.get(SEAL)
    if seal is not None and seal != hashlib.sha256(stored).hexdigest().encode():
        raise DataError(f"{source}: what the file says about the fit was changed (sha256 differs)", DAMAGED)
    content = json.loads(stored)
    json.dumps(content, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    return content


def _check_counts(source: Path, file: Any, content: dict[str, Any]) -> None:
    """Refuse a file whose rows are not those that it speaks of, before they are read."""
    if content["format"] not in range(1, FORMAT + 1):
        raise DataError(f"{source} is of format {content['format']}, this version reads 1 to {FORMAT}")
    if file.metadata.num_rows != content["recipe"]["n_rows"]:
        raise DataError(
            f"{source}: the recipe says {content['recipe']['n_rows']} rows, there are {file.metadata.num_rows}", DAMAGED
        )
    for name in ("_clusters", "_weights"):
        if len(content[name]) != file.metadata.num_rows:
            raise DataError(f"{source}: {len(content[name])} {name[1:]} for {file.metadata.num_rows} rows", DAMAGED)
    # files of the first versions do not list their columns
    if content["format"] < FORMAT and content.get("columns") not in (None, _columns_to_format_3(file.schema_arrow)):
        raise DataError(f"{source}: the columns are not those that were saved", DAMAGED)


def _most(file: Path | str) -> int:
    return MOST_BYTES + MOST_RATIO * Path(file).stat().st_size


def _rows(source: Path, file: Any) -> Any:
    """All rows as one table, of which no more is read than a fit has."""
    from pyarrow import lib

    metadata, most = file.metadata, _most(source)
    read, batches = 0, []
    written = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    if written <= most:  # what it takes at least: equal values are written once
        for batch in file.iter_batches(batch_size=max(64, metadata.num_rows // 1000)):
            # each batch refers to the one dictionary of its column
            read += sum(column.indices.nbytes if _is_coded(column) else column.nbytes for column in batch.columns)
            batches.append(batch)
            if read > most:
                break
    if max(read, written) > most:
        raise DataError(
            f"{source}: the rows take more than {most:,} bytes, more than those of a fit in a file of this size",
            "read it with polars.read_parquet, if you trust it.",
        )
    return lib.Table.from_batches(batches, file.schema_arrow)


def _is_coded(column: Any) -> bool:
    from pyarrow import lib

    return isinstance(column, lib.DictionaryArray)


def _made_of(source: Path, table: Any, content: dict[str, Any]) -> Fit:
    frame = pl.from_arrow(table.replace_schema_metadata(None))
    assert isinstance(frame, pl.DataFrame)
    if content["format"] == FORMAT:
        if content["columns"] != _columns(frame):
            raise DataError(f"{source}: the columns are not those that were saved", DAMAGED)
        if content["rows_sha256"] != digest_of_rows(_as_table(frame)):
            raise DataError(f"{source}: the rows are not those that were saved (rows_sha256 differs)", DAMAGED)
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
    if wrong := contradiction(fit, derived=content["format"] >= DERIVED_SINCE):
        raise DataError(f"{source}: {wrong}", DAMAGED)
    return fit


def _odd(fit: Fit) -> str | None:
    """The first statement that is taken as it stands and cannot be true, of whatever rows."""
    recipe = fit.recipe
    check_options(fit.law, Options.of(recipe))
    if wrong := _misnamed(fit):
        return wrong
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
    if len(fit.samples) != recipe.bootstrap:
        return f"there are {len(fit.samples)} samples of a bootstrap of {recipe.bootstrap}"
    return None


def _misnamed(fit: Fit) -> str | None:
    """The first reason of the verdict that names what the fit does not have."""
    runs = {"influential", "stands_out"} & {reason.code for reason in fit.verdict.reasons}
    labels = set(labels_of(fit.data, fit._clusters, np.unique(fit._clusters))) if runs else set()
    columns = set(fit.recipe.columns.values())
    known = {
        **dict.fromkeys(("influential", "stands_out"), labels),
        **dict.fromkeys(("move_together", "narrow_range"), columns),
    }
    for reason in fit.verdict.reasons:
        least, most = COUNTS.get(reason.code, (1, len(fit.law.params) + fit.data.height))
        if not least <= len(reason.names) <= most:
            return f"the reason {reason.code!r} names {len(reason.names)}"
        for name in reason.names:
            if type(name) is not str:
                return f"the reason {reason.code!r} names {name!r:.40}, not of type str"
            if reason.code != "stated" and name not in known.get(reason.code, fit.law.params):
                return f"the reason {reason.code!r} names {name!r:.40}, which the fit does not have"
    return None
