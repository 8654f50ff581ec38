"""The package descriptor is current, follows the schema, and satisfies the standard's own validator."""

from __future__ import annotations

import copy
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from frictionless import Package, Resource

from ingest._datapackage import datapackage, write_datapackage
from scalingdb.errors import WarehouseError
from scalingdb.schema import COLUMNS, METRICS, TABLES

WAREHOUSE = Path(__file__).parents[1] / "warehouse"
TEXT = (WAREHOUSE / "datapackage.json").read_text(encoding="utf-8")
DESCRIPTOR: dict[str, Any] = json.loads(TEXT)
RESOURCES: dict[str, dict[str, Any]] = {resource["name"]: resource for resource in DESCRIPTOR["resources"]}
SMALL = ("sources", "published_fits", "claims")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("validation must not need a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def _faults(descriptor: dict[str, Any]) -> list[str]:
    report = Package.validate_descriptor(copy.deepcopy(descriptor), basepath=str(WAREHOUSE))
    return [f"{kind}: {note}" for kind, note in report.flatten(["type", "note"])]


def _rows(table: str, source_id: str = "*") -> list[dict[str, Any]]:
    """Rows of shipped files; a null stays None (Frictionless reads Parquet through pandas: there it is NaN)."""
    files = sorted((WAREHOUSE / "tables" / table).glob(f"{source_id}.parquet"))
    return pl.concat([pl.read_parquet(file, glob=False) for file in files]).to_dicts()


def _inline(data: dict[str, list[dict[str, Any]]]) -> Package:
    """A package of rows in memory, with the schema of the descriptor."""
    resources = []
    for table, rows in data.items():
        schema = copy.deepcopy(RESOURCES[table]["schema"])
        held = [key for key in schema.get("foreignKeys", []) if key["reference"]["resource"] in data]
        resources.append({"name": table, "data": rows, "schema": {**schema, "foreignKeys": held}})
    return Package.from_descriptor({"name": "inline", "resources": resources})


# ---- the file ------------------------------------------------------------------------------------


def test_the_descriptor_is_current() -> None:
    expected = json.dumps(datapackage(WAREHOUSE), indent=2, ensure_ascii=False) + "\n"
    assert expected == TEXT, "run 'scalingdb build' (or ingest._datapackage.write_datapackage) and commit"


def test_the_descriptor_does_not_depend_on_place_or_on_what_was_built_locally(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(WAREHOUSE, elsewhere, ignore=shutil.ignore_patterns("local", "datapackage.json"))
    assert write_datapackage(elsewhere)
    assert (elsewhere / "datapackage.json").read_bytes() == TEXT.encode()
    (elsewhere / "local" / "runs").mkdir(parents=True)
    shutil.copyfile(elsewhere / "tables" / "runs" / "farseer.parquet", elsewhere / "local" / "runs" / "other.parquet")
    assert not write_datapackage(elsewhere)


def test_an_outdated_descriptor_is_replaced_whole(copied_warehouse: Path) -> None:
    (copied_warehouse / "datapackage.json").write_text("old", encoding="utf-8")
    assert write_datapackage(copied_warehouse)
    assert json.loads((copied_warehouse / "datapackage.json").read_text(encoding="utf-8"))["name"]
    assert not list(copied_warehouse.glob(".building-*"))


def test_a_folder_without_tables_is_not_described(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no table to describe"):
        write_datapackage(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_the_warehouse_is_described_without_dangling_references(tmp_path: Path) -> None:
    for table in ("sources", "published_fits"):
        (tmp_path / "tables" / table).mkdir(parents=True)
        shutil.copy(WAREHOUSE / "tables" / table / "kaplan.parquet", tmp_path / "tables" / table)
    descriptor = datapackage(tmp_path)
    assert [resource["name"] for resource in descriptor["resources"]] == ["sources", "published_fits"]
    assert [source["sourceId"] for source in descriptor["sources"]] == ["kaplan"]
    assert _faults(descriptor) == []
    shutil.rmtree(tmp_path / "tables" / "sources")
    (alone,) = datapackage(tmp_path)["resources"]
    assert "foreignKeys" not in alone["schema"]


# ---- the standard's validator ----------------------------------------------------------------------


def test_the_validator_accepts_the_descriptor() -> None:
    assert _faults(DESCRIPTOR) == []
    package = Package.from_descriptor(copy.deepcopy(DESCRIPTOR), basepath=str(WAREHOUSE))
    assert package.resource_names == list(RESOURCES)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("resources", 0, "path"), 5),
        (("resources", 0, "path"), ["/etc/passwd"]),
        (("resources", 1, "schema", "fields", 0, "type"), "varchar"),
        (("resources", 1, "schema", "primaryKey"), ["nothing"]),
        (("licenses",), [{"title": "neither name nor path"}]),
    ],
)
def test_the_validator_refuses_a_damaged_descriptor(place: tuple[str | int, ...], value: object) -> None:
    damaged = copy.deepcopy(DESCRIPTOR)
    inner: Any = damaged
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    assert _faults(damaged)


@pytest.mark.ci  # file by file; the two tests below validate the same rows and more
@pytest.mark.parametrize("table", SMALL)
def test_the_validator_accepts_the_parquet_files_of_a_small_table(table: str) -> None:
    schema = {name: value for name, value in RESOURCES[table]["schema"].items() if name != "foreignKeys"}
    for path in RESOURCES[table]["path"]:
        part = {**RESOURCES[table], "path": path, "schema": copy.deepcopy(schema)}
        report = Resource.from_descriptor(part, basepath=str(WAREHOUSE)).validate()
        assert report.valid, (path, report.flatten(["rowNumber", "fieldName", "note"])[:5])
        assert report.tasks[0].stats["rows"] == pl.read_parquet(WAREHOUSE / path, glob=False).height


def test_the_validator_accepts_keys_and_references() -> None:
    report = _inline({table: _rows(table) for table in SMALL}).validate()
    assert report.valid, report.flatten(["rowNumber", "fieldName", "note"])[:5]


def test_the_validator_accepts_runs_with_everything_that_refers_to_them() -> None:
    tables = ("runs", "evals", "schedules")
    data = {table: _rows(table, "multi_power_law")[:2000] for table in tables}
    report = _inline({"sources": _rows("sources"), **data}).validate()
    assert report.valid, report.flatten(["rowNumber", "fieldName", "note"])[:5]


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("source_id", "nowhere", "foreign-key"),
        ("claim", None, "constraint-error"),
        ("claim_id", "1712.00409/2", "unique-error"),
        ("value", "many", "type-error"),
    ],
)
def test_the_validator_finds_a_fault_in_a_row(column: str, value: object, kind: str) -> None:
    claims = _rows("claims", "literature")
    assert claims[0]["claim_id"] == "1712.00409/1"
    claims[0][column] = value
    report = _inline({"sources": _rows("sources"), "claims": claims}).validate()
    assert kind in {error[0] for error in report.flatten(["type"])}


# ---- against schema and files ----------------------------------------------------------------------


def test_every_shipped_file_is_listed_once() -> None:
    listed = [path for resource in DESCRIPTOR["resources"] for path in resource["path"]]
    found = {path.relative_to(WAREHOUSE).as_posix() for path in (WAREHOUSE / "tables").rglob("*.parquet")}
    assert len(listed) == len(set(listed))
    assert set(listed) == found
    assert set(RESOURCES) == {path.split("/")[1] for path in listed}


@pytest.mark.parametrize("table", RESOURCES)
def test_a_resource_follows_the_schema(table: str) -> None:
    spec, schema = TABLES[table], RESOURCES[table]["schema"]
    fields = {field["name"]: field for field in schema["fields"]}
    assert list(fields) == list(spec.columns)
    file = WAREHOUSE / RESOURCES[table]["path"][0]
    types = {"string": pl.String, "number": pl.Float64, "integer": pl.Int64, "boolean": pl.Boolean, "date": pl.Date}
    assert {name: types[field["type"]] for name, field in fields.items()} == dict(pl.read_parquet_schema(file))
    required = {name for name, field in fields.items() if field.get("constraints", {}).get("required")}
    assert required == {*spec.required, spec.key[0]}
    for name, field in fields.items():
        column, constraints = COLUMNS[name], field.get("constraints", {})
        assert field["description"] == column.meaning
        assert field.get("unit", "") == column.unit
        assert (constraints.get("minimum"), constraints.get("maximum")) == (column.minimum, column.maximum)
        if column.choices is not None and (table, name) != ("claims", "unit"):
            assert constraints["enum"] == list(column.choices)
        else:
            assert "enum" not in constraints


@pytest.mark.parametrize("table", RESOURCES)
def test_a_primary_key_is_never_null(table: str) -> None:
    schema, key = RESOURCES[table]["schema"], list(TABLES[table].key)
    may_be_null = not set(key) <= {*TABLES[table].required, key[0]}
    assert schema.get("primaryKey") == (None if may_be_null else key)
    assert schema.get("uniqueKeys") == ([key] if may_be_null else None)


def test_keys_and_references() -> None:
    keys = {name: resource["schema"].get("primaryKey") for name, resource in RESOURCES.items()}
    assert keys["sources"] == ["source_id"]
    assert keys["runs"] == ["run_id"]
    assert keys["published_fits"] == ["law", "source_id", "variant", "param"]
    assert keys["evals"] is None  # the step of a final value is null
    assert RESOURCES["evals"]["schema"]["uniqueKeys"] == [list(TABLES["evals"].key)]
    refers = [key["reference"]["resource"] for key in RESOURCES["evals"]["schema"]["foreignKeys"]]
    assert sorted(refers) == ["runs", "sources"]


def test_units_metrics_and_free_text_units() -> None:
    fields = {field["name"]: field for field in RESOURCES["evals"]["schema"]["fields"]}
    assert fields["metric"]["constraints"]["enum"] == list(METRICS)
    assert fields["n_tokens"]["unit"] == "tokens"
    claims = {field["name"]: field for field in RESOURCES["claims"]["schema"]["fields"]}
    assert "constraints" not in claims["unit"]


def test_sources_carry_licence_and_address_and_no_person_or_machine_is_named() -> None:
    sources = {source["sourceId"]: source for source in DESCRIPTOR["sources"]}
    assert set(sources) == {row["source_id"] for row in _rows("sources")}
    assert sources["farseer"]["path"] == "https://arxiv.org/abs/2506.10972"
    assert sources["o1_inference"]["path"].startswith("https://github.com/")
    assert all(source["licence"] and source["title"] for source in sources.values())
    assert [contributor["title"] for contributor in DESCRIPTOR["contributors"]] == ["scalingdb"]
    assert "email" not in TEXT
    assert str(WAREHOUSE.parents[1]) not in TEXT
