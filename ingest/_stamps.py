"""Stamps of the last build: they tell which sources are unchanged and need not be built again.

A stamp is a small JSON file beside the tables (``<warehouse>/.stamps/<source_id>.json``), ignored by
git and no part of the package. It holds what the tables were made from (the hashes of the raw files
that were found, of the code, and the versions of the libraries that write) and the hashes of the
tables themselves. A source is unchanged when all of that is still so. A stamp that is missing or
cannot be read means only that the source is built.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import json
import platform
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ingest
import scalingdb.schema
from ingest._raw import read_registry
from scalingdb.errors import ScalingDBError

__all__ = ["BuildResult", "Stamps", "file_sha256"]

CORE = ("_build", "_check", "_raw", "_source")
"""Modules that every source goes through."""

TOOLS = ("polars", "pyarrow", "pandera")


@dataclass
class BuildResult:
    """What became of one source."""

    source_id: str
    rows: dict[str, int] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    error: ScalingDBError | None = None
    seconds: float = 0.0
    is_skipped: bool = False
    """Whether nothing it depends on had changed, so that it was not built."""
    moves: list[tuple[Path, str, Path | None]] = field(default_factory=list)
    """What the build has yet to put in place: pile, file in it, new content (None removes it)."""

    @property
    def status(self) -> str:
        """``failed``, ``changed`` or ``unchanged``."""
        return "failed" if self.error else "changed" if self.changed else "unchanged"


def file_sha256(path: Path) -> str | None:
    """SHA-256 of a file, read in pieces; None where it cannot be read."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


class Stamps:
    """What the last build of a warehouse was made from.

    Parameters
    ----------
    folder : Path
        Where the stamps lie.
    shipped, local : Path
        Table folders of the warehouse.
    raw : Path, optional
        Directory with one folder of raw files per source. Without one the files come from the pinned
        upstream commit, so that the recorded hashes stand for them.
    """

    def __init__(self, folder: Path, *, shipped: Path, local: Path, raw: Path | None) -> None:
        self.folder = folder
        self.piles = {"shipped": shipped, "local": local}
        self.raw = raw
        self._imports: dict[Path, list[str]] = {}
        self._hashes: dict[Path, str | None] = {}
        self._modules: dict[str, Path | None] = {}
        self._listed: tuple[list[Path], set[str]] | None = None

    # ---- sources -----------------------------------------------------------------------------

    def inputs(self, source_id: str) -> dict[str, str]:
        """Hashes of everything that the tables of a source are made from."""
        return {"raw": self._raw_digest(source_id), "code": self._code_digest(source_id), "tools": _tools()}

    def recall(self, source_id: str, inputs: dict[str, str]) -> BuildResult | None:
        """The last result of a source, where neither its `inputs` nor its tables have changed since."""
        stamp = self._read(source_id)
        if stamp.get("inputs") != inputs or stamp.get("outputs") != self._outputs(source_id):
            return None
        rows = stamp.get("rows")
        if not isinstance(rows, dict):
            return None
        return BuildResult(source_id, rows=rows, is_skipped=True)

    def record(self, result: BuildResult, inputs: dict[str, str]) -> None:
        """Keep what a source was just built from."""
        outputs = self._outputs(result.source_id)
        self._write(result.source_id, {"inputs": inputs, "outputs": outputs, "rows": result.rows})

    # ---- files that are printed from the whole warehouse ---------------------------------------

    def is_current(self, name: str, inputs: list[Path], outputs: list[Path]) -> bool:
        """Whether `outputs` are still what was made from `inputs` (files, or folders of files)."""
        return self._read(name) == self._printed(inputs, outputs)

    def keep_current(self, name: str, inputs: list[Path], outputs: list[Path]) -> None:
        """Keep what `outputs` were just made from."""
        self._write(name, self._printed(inputs, outputs))

    def _printed(self, inputs: list[Path], outputs: list[Path]) -> dict[str, Any]:
        files = [file for path in inputs for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
        lines = [f"{file_sha256(f)} {f}" for f in files if f.is_file() and "__pycache__" not in f.parts]
        return {"inputs": _digest([*lines, _tools()]), "outputs": [file_sha256(file) for file in outputs]}

    # ---- hashes ------------------------------------------------------------------------------

    def _raw_digest(self, source_id: str) -> str:
        registry = read_registry(source_id)
        lines = [f"{name} {expected}" for name, expected in registry.items()]
        if self.raw is not None:
            lines += [f"{name} {file_sha256(self.raw / source_id / name)}" for name in registry]
        return _digest(sorted(lines))

    def _code_digest(self, source_id: str) -> str:
        files = {Path(scalingdb.schema.__file__), *self._data_files(source_id)}
        waiting = [source_id, *CORE]
        while waiting:
            file = self._module_file(waiting.pop())
            if file is not None and file not in files:
                files.add(file)
                waiting += self._imported(file)
        return _digest(f"{file.name} {self._hash(file)}" for file in sorted(files))

    def _imported(self, file: Path) -> list[str]:
        """Modules of ``ingest`` that a module imports, at its head or inside a function."""
        if file not in self._imports:
            try:
                tree = ast.parse(file.read_bytes())
            except (OSError, SyntaxError, ValueError):
                return []  # importing it will say so
            names: list[str] = []
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    names += [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module:
                    names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            parts = (name.split(".") for name in names)
            self._imports[file] = [part[1] for part in parts if part[0] == "ingest" and len(part) > 1]
        return self._imports[file]

    def _module_file(self, name: str) -> Path | None:
        if name not in self._modules:
            places = (Path(folder) / f"{name}.py" for folder in ingest.__path__)
            self._modules[name] = next((file for file in places if file.is_file()), None)
        return self._modules[name]

    def _data_files(self, source_id: str) -> list[Path]:
        """Files of ``ingest`` that are no code and no recorded hashes.

        One that begins with the name of a module belongs to that module; any other counts for all.
        """
        if self._listed is None:
            files = [file for folder in ingest.__path__ for file in Path(folder).rglob("*") if file.is_file()]
            modules = {file.stem for file in files if file.suffix == ".py"} - {"__init__"}
            data = [f for f in files if f.suffix not in {".py", ".pyc"} and "hashes" not in f.parts]
            self._listed = data, modules
        data, modules = self._listed
        return [
            file
            for file in data
            if file.name.startswith(source_id) or not any(file.name.startswith(name) for name in modules)
        ]

    def _hash(self, file: Path) -> str | None:
        if file not in self._hashes:
            self._hashes[file] = file_sha256(file)
        return self._hashes[file]

    def _outputs(self, source_id: str) -> dict[str, str | None]:
        return {
            f"{pile}/{file.parent.name}": file_sha256(file)
            for pile, folder in self.piles.items()
            for file in sorted(folder.glob(f"*/{source_id}.parquet"))
        }

    # ---- files -------------------------------------------------------------------------------

    def _read(self, name: str) -> dict[str, Any]:
        try:
            stamp = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _write(self, name: str, stamp: dict[str, Any]) -> None:
        # without a stamp the source is built again: nothing else depends on it
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".writing-", dir=self.folder) as scratch:
                file = Path(scratch) / f"{name}.json"
                file.write_text(json.dumps(stamp, indent=1), encoding="utf-8")
                file.replace(self.folder / file.name)


def _digest(lines: Iterator[str] | list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@functools.cache  # the head of each package is read for it, and a build asks once for every source
def _tools() -> str:
    found = [f"python {platform.python_version()}"]
    for name in TOOLS:
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return ", ".join(found)
