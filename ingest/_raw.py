"""Raw files: found, checked against their recorded hash, and read with their provenance.

A source's files and hashes stand in ``ingest/hashes/<source_id>.txt`` (one ``path sha256`` a line,
quoted where the path has spaces: the format of a pooch registry). A file is looked for in

1. the directory given (``--raw DIR``), else ``$SCALINGDB_RAW``, else ``../shared/data`` when it
   stands beside the checkout: files lie in ``<directory>/<source_id>/<path>``;
2. else in the user's cache, downloaded by pooch from the pinned upstream commit.

Files below ``_derived/`` and those a source lists as ``not_upstream`` were made from upstream files
(notebooks, pickles, many small tables); no upstream address holds them, so they cannot be downloaded.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from ingest._source import Correction, Source
from scalingdb.errors import DataError, RawFileError

__all__ = ["RawFolder", "find_raw_directory", "read_registry"]

HASHES = Path(__file__).parent / "hashes"
MAX_SHOWN = 20
"""Offending rows printed in full; the rest is counted."""


def find_raw_directory(given: Path | None = None) -> Path | None:
    """Directory that holds one folder of raw files per source, or None where there is none.

    Raises
    ------
    RawFileError
        If a directory was named (argument or ``$SCALINGDB_RAW``) that does not exist.
    """
    named = given or (Path(value) if (value := os.environ.get("SCALINGDB_RAW")) else None)
    if named is not None:
        if not named.is_dir():
            raise RawFileError(
                f"raw directory {str(named)!r} does not exist",
                "give --raw (or $SCALINGDB_RAW) a directory with one folder per source.",
            )
        return named
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return beside if beside.is_dir() else None


def _words(line: str) -> list[str]:
    # shlex looks at every character: a second for all files of all sources
    return shlex.split(line, comments=True) if re.search(r"""["'#\\]""", line) else line.split()


def read_registry(source_id: str) -> dict[str, str]:
    """Path to SHA-256 of every raw file of a source (empty where it has none)."""
    registry = HASHES / f"{source_id}.txt"
    if not registry.exists():
        return {}
    lines = map(_words, registry.read_text(encoding="utf-8").splitlines())
    return {parts[0]: parts[1] for parts in lines if parts}


class RawFolder:
    """The raw files of one source.

    Parameters
    ----------
    source : Source
        Declares repository and commit, for downloads.
    directory : Path, optional
        Directory with one folder per source; None downloads.
    """

    def __init__(self, source: Source, directory: Path | None) -> None:
        self.source = source
        self.registry = read_registry(source.source_id)
        self.directory = None if directory is None else directory / source.source_id
        self._checked: dict[str, Path] = {}
        self.counts: dict[str, int] = {}
        """Records of every file that was counted so far."""

    @property
    def digest(self) -> str | None:
        """One hash for all files of the source: SHA-256 over the sorted lines ``sha256  path``."""
        if not self.registry:
            return None
        lines = sorted(f"{sha}  {path}" for path, sha in self.registry.items())
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def files(self, pattern: str = "*") -> list[str]:
        """Recorded paths that match a glob `pattern`, sorted."""
        return sorted(path for path in self.registry if Path(path).match(pattern))

    def path(self, name: str) -> Path:
        """Local path of the raw file `name`, after its hash was checked.

        Raises
        ------
        RawFileError
            If the file is missing, cannot be downloaded, or differs from the recorded hash.
        """
        if name in self._checked:
            return self._checked[name]
        source_id = self.source.source_id
        if name not in self.registry:
            raise RawFileError(
                f"source {source_id!r}: no hash is recorded for raw file {name!r}",
                f"add it to ingest/hashes/{source_id}.txt.",
            )
        expected = self.registry[name]
        path = self._download(name, expected) if self.directory is None else self.directory / name
        if not path.is_file():
            raise RawFileError(
                f"source {source_id!r}: raw file {name!r} is missing (looked for {path})",
                "point --raw (or $SCALINGDB_RAW) at a complete copy of the raw files.",
            )
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != expected:
            raise RawFileError(
                f"source {source_id!r}: raw file {name!r} is not the file that was curated\n"
                f"  expected sha256 {expected}\n  found    sha256 {found}",
                "restore the original file; if upstream really changed it, review the change, "
                f"then update ingest/hashes/{source_id}.txt.",
            )
        self._checked[name] = path
        return path

    def _download(self, name: str, expected: str) -> Path:
        source = self.source
        derived = "_derived" in Path(name).parts or name in source.not_upstream
        if derived or source.repository is None or source.upstream_commit is None:
            raise RawFileError(
                f"source {source.source_id!r}: raw file {name!r} was made from upstream files and cannot be downloaded",
                "point --raw (or $SCALINGDB_RAW) at a directory that holds it.",
            )
        import pooch

        base = f"https://raw.githubusercontent.com/{source.repository}/{source.upstream_commit}/"
        cache = Path(pooch.os_cache("scalingdb")) / source.source_id / source.upstream_commit  # type: ignore[attr-defined]
        target = cache / name
        try:
            pooch.retrieve(  # type: ignore[attr-defined]
                base + name.replace(" ", "%20"),
                known_hash=f"sha256:{expected}",
                fname=target.name,
                path=target.parent,
                progressbar=False,
            )
        except (OSError, ValueError) as error:
            raise RawFileError(
                f"source {source.source_id!r}: raw file {name!r} could not be downloaded from "
                f"{source.repository} at {source.upstream_commit[:10]}: {error}",
                "check the network, or point --raw (or $SCALINGDB_RAW) at a directory that holds the raw files.",
            ) from error
        return target

    def text(self, name: str) -> str:
        """Content of a raw text file (UTF-8, a byte-order mark is dropped).

        Raises
        ------
        RawFileError
            If the bytes are not UTF-8; the message names the position.
        """
        try:
            return self.path(name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise RawFileError(
                f"source {self.source.source_id!r}: raw file {name!r} is not UTF-8 at byte {error.start}"
            ) from error

    def count(self, name: str, n_rows: int) -> None:
        """Tell the ledger how many records a raw file holds (:meth:`csv` and ``_long.parquet`` do so themselves).

        Raises
        ------
        RawFileError
            If no hash is recorded for the file, or another number was counted before.
        """
        place = f"source {self.source.source_id!r}"
        if name not in self.registry:
            raise RawFileError(
                f"{place}: no hash is recorded for raw file {name!r}",
                f"add it to ingest/hashes/{self.source.source_id}.txt.",
            )
        if self.counts.setdefault(name, n_rows) != n_rows:
            raise RawFileError(
                f"{place}: raw file {name!r} was counted twice, with {self.counts[name]} and with {n_rows} records"
            )

    def csv(
        self,
        name: str,
        columns: Mapping[str, pl.DataType | type[pl.DataType]],
        *,
        rows: int | None = None,
        separator: str = ",",
        null_values: Sequence[str] = (),
        header: bool = True,
        comments: int = 0,
    ) -> pl.DataFrame:
        """Read the named `columns` of a delimited file, strictly.

        Every cell is read as text first and converted afterwards, so that a cell that does not
        convert is reported with its row instead of becoming a null.

        Parameters
        ----------
        name : str
            Raw file.
        columns : mapping of str to Polars type
            The columns wanted. Without a `header` the names are given to the columns in order.
        rows : int, optional
            Number of records that the file must have.
        null_values : sequence of str
            Cells that mean "not reported", besides the empty one.
        comments : int
            Lines before the table that begin with ``#``.

        Returns
        -------
        DataFrame
            The columns, then ``raw_file`` and ``raw_row`` (records counted from 1).

        Raises
        ------
        RawFileError
            If a column is missing, the number of records differs, or cells do not convert.
        """
        place = f"source {self.source.source_id!r}, raw file {name!r}"
        content = self.text(name)  # refuses bytes that are not UTF-8 with a better message than the CSV reader
        above, content = _split_lines(content, comments)
        if not all(line.startswith("#") for line in above):
            raise RawFileError(f"{place}: the first {comments} line(s) are not all comments")
        try:
            text = pl.read_csv(
                self.path(name),
                separator=separator,
                has_header=header,
                infer_schema=False,
                skip_lines=comments,
                null_values=["", *null_values],
                new_columns=None if header else list(columns),
            )
        except pl.exceptions.PolarsError as error:
            raise RawFileError(
                f"{place}: not a readable table: {error}", "compare it with the upstream file."
            ) from error
        absent = [column for column in columns if column not in text.columns]
        if absent:
            raise RawFileError(
                f"{place}: missing column(s) {', '.join(map(repr, absent))}; "
                f"the file has {', '.join(map(repr, text.columns[:30]))}",
                "check the delimiter and the header line.",
            )
        if rows is not None and text.height != rows:
            raise RawFileError(f"{place}: {text.height} records where {rows} are expected")
        short = _short_records(content, separator, len(text.columns), header=header)
        if short:  # the reader would fill the missing cells with nulls
            shown = [
                f"  row {row}: {found} cell(s) where {text.width} are expected" for row, found in short[:MAX_SHOWN]
            ]
            raise RawFileError("\n".join([f"{place}: {len(short)} record(s) are cut short", *shown]))
        self.count(name, text.height)
        text = text.select(list(columns)).with_row_index("raw_row", offset=1)
        converted = text.with_columns(
            pl.col(column).str.strip_chars().cast(dtype, strict=False) if dtype != pl.String else pl.col(column)
            for column, dtype in columns.items()
            if dtype != pl.Boolean
        ).with_columns(
            pl.col(column)
            .str.to_lowercase()
            .replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
            for column, dtype in columns.items()
            if dtype == pl.Boolean
        )
        bad = [
            f"  row {row}, column {column!r}: {text[column][row - 1]!r} is no {dtype}"
            for column, dtype in columns.items()
            for row in text.filter(text[column].is_not_null() & converted[column].is_null())["raw_row"]
        ]
        if bad:
            shown = bad[:MAX_SHOWN] + ([f"  ... and {len(bad) - MAX_SHOWN} more"] if len(bad) > MAX_SHOWN else [])
            raise RawFileError("\n".join([f"{place}: {len(bad)} cell(s) do not convert", *shown]))
        return converted.select(*columns, raw_file=pl.lit(name), raw_row=pl.col("raw_row").cast(pl.Int64))

    def correct(self, frame: pl.DataFrame, corrections: Sequence[Correction]) -> pl.DataFrame:
        """Apply declared corrections to a frame that :meth:`csv` returned.

        Raises
        ------
        DataError
            If a raw value is no longer the one that the declaration expects.
        """
        for fix in corrections:
            here = (pl.col("raw_file") == fix.file) & (pl.col("raw_row") == fix.row)
            found = frame.filter(here)[fix.field].to_list()
            if found != [fix.expected]:
                raise DataError(
                    f"source {self.source.source_id!r}, {fix.file!r} row {fix.row}, column {fix.field!r}: "
                    f"the declared correction expects {fix.expected!r}, the file holds {found!r}",
                    "if upstream mended the value, remove the correction.",
                )
            frame = frame.with_columns(
                pl.when(here).then(pl.lit(fix.corrected)).otherwise(pl.col(fix.field)).alias(fix.field)
            )
        return frame


def _split_lines(content: str, n: int) -> tuple[list[str], str]:
    """The first `n` lines, and the rest."""
    lines = content.split("\n", n)
    return lines[:n], lines[n] if len(lines) > n else ""


def _short_records(content: str, separator: str, width: int, *, header: bool) -> list[tuple[int, int]]:
    """Records with fewer cells than the table has columns: their number, and how many cells they have."""
    csv.field_size_limit(sys.maxsize)
    records = csv.reader(io.StringIO(content.rstrip("\r\n"), newline=""), delimiter=separator)
    counted = enumerate(map(len, records), start=0 if header else 1)
    return [(row, found) for row, found in counted if found < width and width > 1]
