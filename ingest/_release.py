"""Files of a release that our copy lacks: fetched at the pinned commit, checked by git object id, and read.

The pinned commit names a tree, the tree names every file by the SHA-1 of its content (its blob id). The listing of the
tree is fetched first and its ids are computed again up to the root, then each lacking file is fetched, checked and put
in its place in one step: what was fetched stays, what failed leaves nothing, and a second call goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import polars as pl
import pyarrow as pa

from ingest._raw import RawFolder, read_registry
from ingest._source import Source
from scalingdb.errors import RawFileError, unknown_name

__all__ = ["LACKING", "Fetched", "Lacking", "Report", "fetch"]

HOSTS = ("https://api.github.com", "https://raw.githubusercontent.com")
"""Where listings and files are asked for, unless ``$SCALINGDB_UPSTREAM`` names one address for both."""

TEXT, COUNT = pl.String, pl.Float64


@dataclass(frozen=True)
class Lacking:
    """What our copy of a release lacks.

    Attributes
    ----------
    tables : mapping of str to mapping of str to Polars type
        Delimited files and the columns that the release's own loader reads; the first column names the model.
    others : tuple of str
        Patterns of files that name no model (arrays, lines of JSON); those whose hash is recorded are not lacking.
    whole : str
        The table of all models.
    n_models : int
        Models that the paper counts.
    """

    tables: Mapping[str, Mapping[str, Any]]
    others: tuple[str, ...]
    whole: str
    n_models: int


LACKING = {
    "hitchhiker": Lacking(
        tables={
            "aggregated_eval/Amber.csv": {"model_name": TEXT, "num_params": TEXT, "tokens_seen": COUNT},
            "aggregated_eval/pythia.csv": {"model_name": TEXT, "num_params": TEXT, "steps": COUNT},
            "raw_data/overtrain/overtrain.csv": {"name": TEXT, "tokens": COUNT, "loss": COUNT},
            "test_cache/data.csv.zst": {"model_name": TEXT, "num_params": COUNT, "tokens_seen": COUNT},
        },
        others=("raw_data/loss_size_flops_llama_sh.npy", "raw_data/gzip/*.jsonl"),
        whole="test_cache/data.csv.zst",
        n_models=485,
    )
}


@dataclass(frozen=True)
class Fetched:
    """One file: where it is, whether it was fetched now, and what it holds (models: None where none is named)."""

    path: str
    blob: str
    n_bytes: int
    is_new: bool
    n_records: int
    n_models: int | None


@dataclass(frozen=True)
class Report:
    """The files, in which folder they lie, and how many of the paper's models the table of all models names."""

    folder: Path
    files: tuple[Fetched, ...]
    n_reached: int
    n_models: int


def fetch(source: Source, folder: Path | None = None) -> Report:
    """Fetch what our copy of a release lacks, and read it.

    Parameters
    ----------
    source : Source
    folder : Path, optional
        Where the files are kept; the user's cache by default.

    Raises
    ------
    UnknownNameError
        If nothing of this source is lacking.
    RawFileError
        If the host cannot be reached, an id differs, the tree lacks a file, or a file does not have its columns.
    """
    if source.source_id not in LACKING:
        raise unknown_name("source with lacking files", source.source_id, LACKING)
    import pooch

    lacking, known = LACKING[source.source_id], read_registry(source.source_id)
    assert source.upstream_commit is not None
    if folder is None:
        folder = Path(pooch.os_cache("scalingdb")) / source.source_id / source.upstream_commit  # type: ignore[attr-defined]
    blobs = _tree(source, folder)
    wanted = [*lacking.tables, *(path for path in blobs if any(fnmatch(path, one) for one in lacking.others))]
    if absent := [path for path in wanted if path not in blobs]:
        raise RawFileError(
            f"source {source.source_id!r}: the tree of the pinned commit lacks {', '.join(map(repr, absent))}",
            "review the commit and the paths in ingest/_release.py.",
        )
    found = {path: _file(source, folder, path, blobs[path]) for path in wanted if path not in known}
    raw = RawFolder(source, None)
    raw.directory = folder
    names = {path: _models(raw, path, lacking.tables[path]) for path in found if path in lacking.tables}
    files = []
    for path, is_new in found.items():
        n_records, n_models = (
            (names[path].len(), names[path].n_unique()) if path in names else (_records(folder / path, path), None)
        )
        size = (folder / path).stat().st_size
        files.append(Fetched(path, blobs[path], size, is_new, n_records, n_models))
    return Report(folder, tuple(files), names[lacking.whole].n_unique(), lacking.n_models)


def blob_id(content: bytes) -> str:
    """The id that git gives a file of this content."""
    return _object_id("blob", content)


def _object_id(kind: str, content: bytes) -> str:
    return hashlib.sha1(b"%s %d\0" % (kind.encode(), len(content)) + content, usedforsecurity=False).hexdigest()


def _ask(source: Source, url: str, target: Path, what: str) -> None:
    """Fetch an address into a file that appears whole or not at all."""
    import pooch

    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    pooch.get_logger().setLevel("WARNING")  # type: ignore[attr-defined]
    try:
        pooch.retrieve(url, known_hash=None, fname=part.name, path=part.parent, progressbar=False)  # type: ignore[attr-defined]
    except (OSError, ValueError) as error:
        raise RawFileError(
            f"source {source.source_id!r}: {what} could not be fetched: {error}",
            "check the network, or $SCALINGDB_UPSTREAM; what was fetched before is kept.",
        ) from error
    part.replace(target)


def _tree(source: Source, folder: Path) -> dict[str, str]:
    """Blob id of every file of the pinned commit, from a listing whose ids were computed again."""
    target = folder / ".tree.json"
    if not target.is_file():
        host = os.environ.get("SCALINGDB_UPSTREAM", HOSTS[0]).rstrip("/")
        _ask(
            source,
            f"{host}/repos/{source.repository}/git/trees/{source.upstream_commit}?recursive=1",
            target,
            "the listing",
        )
    try:
        answer = json.loads(target.read_text(encoding="utf-8"))
        entries = [(one["path"], one["mode"], one["sha"]) for one in answer["tree"]]
        whole, root = not answer.get("truncated", False), answer["sha"]
        ids = dict(_tree_ids(entries))
    except (ValueError, KeyError, TypeError) as error:
        target.unlink()
        raise RawFileError(
            f"source {source.source_id!r}: the answer is no listing of a git tree ({error!r})",
            "check $SCALINGDB_UPSTREAM.",
        ) from error
    listed = {path: sha for path, mode, sha in entries if mode.lstrip("0") == "40000"} | {"": root}
    wrong = [path for path, sha in ids.items() if listed.get(path) != sha]
    if wrong or not whole:
        target.unlink()
        what = f"ids that do not follow from its entries: {wrong[:5]}" if wrong else "been cut short"
        raise RawFileError(f"source {source.source_id!r}: the listing of the tree has {what}", "fetch it again.")
    return {path: sha for path, mode, sha in entries if mode.startswith("100")}


def _tree_ids(entries: list[tuple[str, str, str]]) -> Iterator[tuple[str, str]]:
    """Id of every folder, computed from the names, modes and ids in it."""
    inside: defaultdict[str, list[tuple[bytes, bytes]]] = defaultdict(list)
    for path, mode, sha in entries:
        folder, _, name = path.rpartition("/")
        kind = mode.lstrip("0")
        key = name.encode() + b"/" * (kind == "40000")  # git sorts folders as if their names ended in a slash
        inside[folder].append((key, f"{kind} {name}\0".encode() + bytes.fromhex(sha)))
    for folder, rows in inside.items():
        yield folder, _object_id("tree", b"".join(row for _, row in sorted(rows)))


def _file(source: Source, folder: Path, path: str, expected: str) -> bool:
    """Have the file in its place; whether it had to be fetched."""
    target = folder / path
    if target.is_file() and blob_id(target.read_bytes()) == expected:
        return False
    host = os.environ.get("SCALINGDB_UPSTREAM", HOSTS[1]).rstrip("/")
    arriving = target.with_name(target.name + ".arriving")
    arriving.parent.mkdir(parents=True, exist_ok=True)
    _ask(source, f"{host}/{source.repository}/{source.upstream_commit}/{quote(path)}", arriving, repr(path))
    found = blob_id(arriving.read_bytes())
    if found != expected:
        arriving.unlink()
        raise RawFileError(
            f"source {source.source_id!r}: {path!r} is not the file of the pinned commit\n"
            f"  expected blob {expected}\n  found    blob {found}",
            "fetch it again; if it differs again, the host does not serve the release.",
        )
    arriving.replace(target)
    return True


def _models(raw: RawFolder, path: str, columns: Mapping[str, Any]) -> pl.Series:
    """The model of every record of a table, read strictly."""
    assert raw.directory is not None
    file, name = raw.directory / path, path
    if path.endswith(".zst"):
        name = path.removesuffix(".zst")
        try:
            with pa.input_stream(str(file), compression="zstd") as packed:  # type: ignore[attr-defined]
                content = packed.read()
        except OSError as error:
            raise RawFileError(f"source {raw.source.source_id!r}: {path!r} is not packed by zstd: {error}") from error
        file = raw.directory / name
        part = file.with_name(file.name + ".part")
        part.write_bytes(content)
        part.replace(file)
    raw.registry[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    table = raw.csv(name, columns)
    first = next(iter(columns))
    if empty := table[first].null_count():
        raise RawFileError(
            f"source {raw.source.source_id!r}, raw file {path!r}: {empty} record(s) without {first!r}",
            "compare it with the upstream file.",
        )
    return table[first]


def _records(file: Path, path: str) -> int:
    """Records of an array (its first axis) or of lines of JSON."""
    try:
        if path.endswith(".npy"):
            return int(np.load(file, allow_pickle=False).shape[0])
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not all(isinstance(json.loads(line), dict) for line in lines):
            raise ValueError("a line is no JSON object")
    except (ValueError, IndexError) as error:
        raise RawFileError(
            f"raw file {path!r} cannot be read: {error}", "compare it with the upstream file."
        ) from error
    return len(lines)
