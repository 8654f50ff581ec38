"""The ledger of raw records: what a file holds lands in a table or is set aside for a stated reason.

A record lands when a row of `LANDING` names its file and number. Everything else has to be declared in
the source's ``set_aside``; the build compares the two and refuses a difference, so that no record is
lost in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

import polars as pl

from ingest._raw import RawFolder
from ingest._source import SetAside, conform
from scalingdb.errors import DataError

__all__ = ["ledger"]

LANDING = ("evals", "items", "schedules", "mixtures")
"""Tables whose rows name the raw file and record they were read from."""

ITEM = ("run_id", "step", "task", "item_id")
"""Names one record of a file whose items carry no record number."""


class Landed(NamedTuple):
    """Records of a file that landed, and the largest record number among them."""

    n_rows: int
    last: int


def ledger(raw: RawFolder, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The table ``raw_files`` of one source, after it was read into `tables`.

    Parameters
    ----------
    raw : RawFolder
        The folder that the source was read from: it knows the files and the records counted.
    tables : mapping of str to DataFrame
        The tables of the source.

    Raises
    ------
    DataError
        Naming every file whose records do not add up, that was never counted, or that no hash is
        recorded for, and every declaration that is of no use.
    """
    source_id = raw.source.source_id
    landed = _landed(tables)
    declared = {name: _declared(raw, name) for name in raw.registry}
    faults = [f"  {name!r}: rows name this file, but no hash is recorded for it" for name in landed.keys() - declared]
    faults += _idle(raw)
    rows = []
    for name, sha256 in raw.registry.items():
        here = landed.get(name, Landed(0, 0))
        n_in = raw.counts.get(name)
        faults += _faults(name, n_in, here, declared[name])
        rows.append(
            {
                "source_id": source_id,
                "raw_file": name,
                "sha256": sha256,
                "n_rows_in": n_in,
                "n_rows_landed": here.n_rows,
                "n_rows_set_aside": None if n_in is None else n_in - here.n_rows,
                "set_aside_reason": _reason(declared[name]),
            }
        )
    if faults:
        raise DataError(
            "\n".join([f"source {source_id!r}: {len(faults)} raw file(s) do not add up", *sorted(faults)]),
            f"land the records, or declare them with their reason as set_aside in ingest/{source_id}.py.",
        )
    schema = dict.fromkeys(("n_rows_in", "n_rows_landed", "n_rows_set_aside"), pl.Float64)
    frame = pl.DataFrame(rows, schema_overrides=schema, infer_schema_length=None)
    return conform("raw_files", frame, source_id)


def _landed(tables: Mapping[str, pl.DataFrame]) -> dict[str, Landed]:
    """What landed of every raw file that some row names.

    Where items have no record number, run, step, task and item stand for it. Other rows without a
    number are summaries of records that are numbered elsewhere.
    """
    found = [tables[table] for table in LANDING if table in tables]
    if not found:
        return {}
    numbered = pl.concat(frame.select("raw_file", "raw_row").unique() for frame in found)
    landed = numbered.group_by("raw_file").agg(
        n_rows=pl.col("raw_row").drop_nulls().n_unique(), last=pl.col("raw_row").max()
    )
    if "items" in tables:
        items = tables["items"].filter(pl.col("raw_row").is_null()).select("raw_file", *ITEM).unique()
        landed = landed.join(items.group_by("raw_file").len(), on="raw_file", how="left").with_columns(
            n_rows=pl.col("n_rows") + pl.col("len").fill_null(0)
        )
    return {
        name: Landed(n_rows, last or 0) for name, n_rows, last in landed.select("raw_file", "n_rows", "last").rows()
    }


def _declared(raw: RawFolder, name: str) -> list[SetAside]:
    return [part for part in raw.source.set_aside if _covers(part, name)]


def _covers(part: SetAside, name: str) -> bool:
    return part.file == name or ("*" in part.file and PurePosixPath(name).match(part.file))


def _idle(raw: RawFolder) -> list[str]:
    """Declarations that name no recorded file or give no reason."""
    faults = []
    for part in raw.source.set_aside:
        if not any(_covers(part, name) for name in raw.registry):
            faults.append(f"  {part.file!r}: records are declared as set aside, but no such file is recorded")
        if not part.reason.strip():
            faults.append(f"  {part.file!r}: records are declared as set aside without a reason")
    return faults


def _faults(name: str, n_in: int | None, landed: Landed, declared: list[SetAside]) -> list[str]:
    """What does not add up in the account of one file."""
    without = [part for part in declared if part.n_rows is None]
    if n_in is None:
        if without and not landed.n_rows and len(declared) == 1:
            return []
        return [
            f"  {name!r}: {landed.n_rows} record(s) landed and none were counted; expected is a count, "
            "or a declaration that the file holds no records"
        ]
    if without:
        return [f"  {name!r}: {n_in} record(s) in, although the file is declared to hold none"]
    faults = []
    expected = sum(part.n_rows for part in declared if part.n_rows is not None)
    if n_in != landed.n_rows + expected:
        faults.append(
            f"  {name!r}: {n_in} record(s) in, {landed.n_rows} landed, {n_in - landed.n_rows} set aside "
            f"where {expected} are declared"
        )
    if landed.last > n_in:
        faults.append(f"  {name!r}: a row names record {landed.last} of {n_in}")
    return faults


def _reason(declared: list[SetAside]) -> str | None:
    if len(declared) < 2:
        return declared[0].reason if declared else None
    return "; ".join(f"{part.n_rows:,}: {part.reason}" for part in declared)
