"""Describe the warehouse to other software: ``warehouse/datapackage.json``.

A Frictionless Data Package (https://datapackage.org, version 2): one resource per table, with its
Parquet files, columns, units, bounds, keys and references, all from ``scalingdb/schema.py``, and one
entry a source. Rows are not counted and no time is noted, so the file changes only with the schema,
the files and the sources.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from ingest._dictionary import shipped_rows, write_text
from scalingdb.errors import WarehouseError
from scalingdb.schema import COLUMNS, TABLES, Column, Table

__all__ = ["datapackage", "write_datapackage"]

PROFILES = "https://datapackage.org/profiles/2.0"
TYPES = {pl.String: "string", pl.Float64: "number", pl.Int64: "integer", pl.Boolean: "boolean", pl.Date: "date"}
REFERENCES = {"source_id": "sources", "run_id": "runs"}
"""Column that refers to the row of another table with the same key."""


def write_datapackage(warehouse: Path) -> bool:
    """Write ``datapackage.json`` into a warehouse folder; return whether it changed.

    Raises
    ------
    WarehouseError
        If the warehouse ships no table.
    OSError
        If the file cannot be written.
    """
    text = json.dumps(datapackage(warehouse), indent=2, ensure_ascii=False)
    return write_text(warehouse / "datapackage.json", text + "\n")


def datapackage(warehouse: str | os.PathLike[str]) -> dict[str, Any]:
    """The descriptor of a warehouse folder. Only shipped tables are described.

    Raises
    ------
    WarehouseError
        If the warehouse ships no table.
    """
    folder = Path(warehouse)
    files = {
        name: [f"tables/{name}/{file.name}" for file in sorted((folder / "tables" / name).glob("*.parquet"))]
        for name in TABLES
    }
    held = {name: paths for name, paths in files.items() if paths}
    if not held:
        raise WarehouseError(f"no table to describe in {str(folder)!r}", "build a source first: scalingdb build.")
    return {
        "$schema": f"{PROFILES}/datapackage.json",
        "name": "scalingdb-warehouse",
        "title": "Published scaling results",
        "description": (
            "Runs, evaluations, published coefficients and findings of studies of scaling, in one schema, with unit, "
            "provenance and licence. The data dictionary is README.md in the same folder. A column of counts is a "
            "64-bit float: exact to 2^53."
        ),
        "keywords": ["scaling laws", "language models", "machine learning"],
        "licenses": [{"path": "README.md", "title": "Each source has a licence of its own, stated in its row"}],
        "contributors": [{"title": "scalingdb", "roles": ["publisher"]}],
        "sources": _sources(shipped_rows(folder, TABLES["sources"])),
        "resources": [_resource(TABLES[name], paths, set(held)) for name, paths in held.items()],
    }


def _sources(rows: pl.DataFrame) -> list[dict[str, str]]:
    """Title, address and upstream commit of every source, and (our own properties) its id and licence."""
    entries = []
    for row in rows.sort("source_id").iter_rows(named=True):
        entry = {"title": row["title"], "sourceId": row["source_id"], "licence": row["licence"]}
        if row["arxiv_id"]:
            entry["path"] = f"https://arxiv.org/abs/{row['arxiv_id']}"
        elif row["repository"]:
            entry["path"] = f"https://github.com/{row['repository']}"
        if row["upstream_commit"]:
            entry["version"] = row["upstream_commit"]
        entries.append(entry)
    return entries


def _resource(table: Table, paths: list[str], held: set[str]) -> dict[str, Any]:
    """One table. A key with columns that may be null is no primary key, but unique all the same."""
    schema: dict[str, Any] = {
        "$schema": f"{PROFILES}/tableschema.json",
        "fields": [_field(table, COLUMNS[name]) for name in table.columns],
        "missingValues": [],
    }
    if all(_is_required(table, name) for name in table.key):
        schema["primaryKey"] = list(table.key)
    else:
        schema["uniqueKeys"] = [list(table.key)]
    references = [
        {"fields": [name], "reference": {"resource": target, "fields": [name]}}
        for name, target in REFERENCES.items()
        if name in table.columns and table.name != target and target in held
    ]
    if references:
        schema["foreignKeys"] = references
    return {
        "$schema": f"{PROFILES}/dataresource.json",
        "name": table.name,
        "type": "table",
        "description": f"One row is {table.meaning}.",
        "path": paths,
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "schema": schema,
    }


def _is_required(table: Table, name: str) -> bool:
    return name in table.required or name == table.key[0]


def _field(table: Table, column: Column) -> dict[str, Any]:
    constraints: dict[str, Any] = {}
    if _is_required(table, column.name):
        constraints["required"] = True
    if table.key == (column.name,):
        constraints["unique"] = True
    if column.minimum is not None:
        constraints["minimum"] = _number(column.minimum)
    if column.maximum is not None:
        constraints["maximum"] = _number(column.maximum)
    if column.choices is not None and not (table.name == "claims" and column.name == "unit"):
        constraints["enum"] = list(column.choices)
    entry: dict[str, Any] = {
        "name": column.name,
        "type": TYPES[column.dtype],  # type: ignore[index]
        "description": column.meaning,
    }
    if column.unit:
        entry["unit"] = column.unit
    return entry | ({"constraints": constraints} if constraints else {})


def _number(bound: float) -> float | int:
    """A bound as JSON prints it best: whole numbers without a point."""
    return int(bound) if float(bound).is_integer() else bound
