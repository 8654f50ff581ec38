"""The data dictionary is current, complete, and what it tells a reader to type works."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import scalingdb as sdb
from ingest._dictionary import dictionary, write_dictionary
from ingest.literature import NO_DATA
from scalingdb.errors import WarehouseError
from scalingdb.schema import COLUMNS, DERIVED, METRICS, TABLES, UNITS

WAREHOUSE = Path(__file__).parents[1] / "warehouse"
TEXT = (WAREHOUSE / "README.md").read_text(encoding="utf-8")


def _section(heading: str) -> str:
    """Text below a heading, up to the next one of the same or a higher level."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def _first_cells(section: str) -> list[str]:
    return re.findall(r"^\| \[?`([^`]+)`", section, re.MULTILINE)


def test_the_dictionary_is_current() -> None:
    assert dictionary(WAREHOUSE) == TEXT, "run 'scalingdb build' (or ingest._dictionary.write_dictionary) and commit"


def test_the_dictionary_does_not_depend_on_place_or_on_what_was_built_locally(
    small_warehouse: Path, copied_warehouse: Path
) -> None:
    text = dictionary(small_warehouse)
    assert write_dictionary(copied_warehouse)
    assert (copied_warehouse / "README.md").read_bytes() == text.encode()
    (copied_warehouse / "local" / "runs").mkdir(parents=True)
    farseer = copied_warehouse / "tables" / "runs" / "farseer.parquet"
    shutil.copyfile(farseer, copied_warehouse / "local" / "runs" / "other.parquet")
    assert not write_dictionary(copied_warehouse)
    assert not [part for part in (small_warehouse, copied_warehouse) if str(part) in text]


def test_an_outdated_dictionary_is_replaced_whole(copied_warehouse: Path) -> None:
    (copied_warehouse / "README.md").write_text("old", encoding="utf-8")
    assert write_dictionary(copied_warehouse)
    assert (copied_warehouse / "README.md").read_text(encoding="utf-8").startswith("# Data dictionary\n")
    assert not list(copied_warehouse.glob(".building-*"))


def test_a_folder_without_tables_has_no_dictionary(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no warehouse at"):
        write_dictionary(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", TABLES)
def test_every_column_of_a_table_is_explained_in_its_order(table: str) -> None:
    section = _section(f"### {table}")
    assert _first_cells(section) == list(TABLES[table].columns)
    assert all(f"`{name}`" in section.split("Key: ")[1].split("\n")[0] for name in TABLES[table].key)


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_counted_in_total_and_by_source(db: sdb.Warehouse, table: str) -> None:
    section = _section(f"### {table}")
    shipped = "using (source_id)"
    if table not in {"sources", "claims", "published_fits", "raw_files"}:  # these ship for every source
        shipped += " where s.is_shipped"
    shipped += " group by t.source_id"
    counts = db.sql(f"select t.source_id, count(*) n from {table} t join sources s {shipped}")
    assert f"| [`{table}`](#{table}) |" in TEXT
    if counts.is_empty():
        assert "No rows are shipped yet." in section
        return
    assert f"{counts['n'].sum():,} rows" in section
    if table != "sources":
        assert all(f"{source} {n:,}" in section for source, n in counts.iter_rows())


@pytest.mark.parametrize("view", ["curves", "scores"])
def test_every_column_of_a_view_is_explained(db: sdb.Warehouse, view: str) -> None:
    assert _first_cells(_section(f"### {view}")) == db.sql(f"describe {view}")["column_name"].to_list()


def test_every_view_is_there_with_its_comment(db: sdb.Warehouse) -> None:
    views = sorted(path.stem for path in (WAREHOUSE / "views").glob("*.sql"))
    assert set(views) == set(db.tables()) - set(TABLES) - {"units", "metrics"}
    for view in views:
        assert f"### {view}" in _section("## Views")
        assert (WAREHOUSE / "views" / f"{view}.sql").read_text(encoding="utf-8").startswith("-- One row ")
    assert "The columns are those of [`curves`](#curves)." in _section("### points")


def test_a_column_that_a_view_computes_is_defined_once_and_never_stored(db: sdb.Warehouse) -> None:
    assert not set(DERIVED) & set(COLUMNS)
    shown = {column for name in set(db.tables()) - set(TABLES) for column in db.sql(f"describe {name}")["column_name"]}
    assert set(DERIVED) <= shown
    assert shown <= set(DERIVED) | set(COLUMNS)


def test_every_column_of_the_schema_is_used_by_a_table() -> None:
    assert {column for table in TABLES.values() for column in table.columns} == set(COLUMNS)


def test_units_and_metrics_are_complete() -> None:
    units, metrics = _section("## Units"), _section("## Metrics")
    assert _first_cells(units) == list(UNITS)
    assert _first_cells(metrics) == list(METRICS)
    assert "0.693147 times the value" in units
    assert all(m.meaning and set(m.units) <= set(UNITS) for m in METRICS.values())


def test_every_source_tells_licence_and_flags(db: sdb.Warehouse) -> None:
    overview, literature = _section("## Sources in detail"), _section("## Literature")
    for row in db.sources().iter_rows(named=True):
        if row["licence"] == NO_DATA:
            assert f"| `{row['source_id']}` | {row['year']} |" in literature
            continue
        source = _section(f"### {row['source_id']}")
        assert "- Licence: " in source
        assert f"[`{row['source_id']}`](#{row['source_id']})" in overview
    shipped = "join sources using (source_id) where is_shipped and flag is not null"
    flags = db.sql(f"select source_id, flag, count(*) n from evals {shipped} group by all")
    for source, flag, n in flags.iter_rows():
        assert f"| `{flag}` | {n:,} |" in _section(f"### {source}")


def test_every_table_row_has_as_many_cells_as_its_header() -> None:
    width = None
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        assert width in {None, cells}, line
        width = cells


def test_every_link_inside_the_page_leads_somewhere() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.*)$", TEXT, re.M)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
    headings = re.findall(r"^#+ (.*)$", TEXT, re.M)
    assert len(headings) == len(set(headings))
    for target in re.findall(r"\]\(((?!#|https?:)[^)]+)\)", TEXT):
        assert (WAREHOUSE / target).exists(), target


def test_the_python_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    assert isinstance(names["db"], sdb.Warehouse)
    names["db"].close()


def test_the_sql_example_runs(db: sdb.Warehouse) -> None:
    (query,) = re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL)
    frame = db.sql(query)
    assert frame.shape == (5, 5)
    assert frame["predicted"].is_between(1.8, 10).all()


def test_the_citation_example_runs(db: sdb.Warehouse) -> None:
    (query,) = re.findall(r'`db\.sql\("(.*?)"\)\.item\(\)`', TEXT)
    assert db.sql(query).item().startswith("@")
