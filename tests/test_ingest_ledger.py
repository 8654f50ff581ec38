"""The ledger: every record of a raw file lands, or is set aside for a reason that somebody wrote down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from conftest import CHECKOUT, toy_source

import scalingdb as sdb
from ingest import _raw
from ingest._build import load_source, source_ids, source_tables
from ingest._ledger import LANDING, ledger
from ingest._raw import RawFolder, read_registry
from ingest._source import SetAside, conform
from scalingdb.errors import DataError, RawFileError
from scalingdb.schema import TABLES

WITH_FILES = [name for name in source_ids() if read_registry(name)]
LANDED = " union ".join(f"select source_id, raw_file, raw_row from {table}" for table in LANDING)


@pytest.fixture(scope="module")
def files(db: sdb.Warehouse) -> pl.DataFrame:
    """The shipped table."""
    return db.table("raw_files")


# ---- the shipped table ---------------------------------------------------------------------------


def test_sources_with_raw_files_are_found() -> None:
    assert len(WITH_FILES) > 40


@pytest.mark.parametrize("source_id", WITH_FILES)
def test_every_recorded_file_is_listed_with_its_hash(files: pl.DataFrame, source_id: str) -> None:
    listed = files.filter(pl.col("source_id") == source_id).select("raw_file", "sha256")
    if listed.is_empty() and not load_source(source_id)[0].is_shipped:
        pytest.skip(f"{source_id} does not ship, and was not built here")
    assert dict(listed.rows()) == read_registry(source_id)


def test_the_account_of_every_file_adds_up(files: pl.DataFrame) -> None:
    gap = pl.col("n_rows_in") - pl.col("n_rows_landed") - pl.col("n_rows_set_aside")
    counted = files.filter(pl.col("n_rows_in").is_not_null())
    assert counted.filter(gap.ne_missing(0.0)).is_empty()
    assert counted["n_rows_set_aside"].min() == 0
    assert counted["n_rows_in"].min() == 1
    uncounted = files.filter(pl.col("n_rows_in").is_null())
    assert uncounted.filter((pl.col("n_rows_landed") > 0) | pl.col("n_rows_set_aside").is_not_null()).is_empty()


def test_exactly_the_files_with_records_set_aside_or_without_any_have_a_reason(files: pl.DataFrame) -> None:
    explained = pl.col("set_aside_reason").str.strip_chars().str.len_chars().fill_null(0) > 0
    needed = pl.col("n_rows_in").is_null() | (pl.col("n_rows_set_aside") > 0)
    assert files.filter(explained != needed).is_empty()


def test_landed_records_are_those_that_rows_name(db: sdb.Warehouse, files: pl.DataFrame) -> None:
    named = db.sql(f"select source_id, raw_file, count(raw_row) as n from ({LANDED}) group by all")
    here = set(db.sql("select distinct source_id from runs")["source_id"])  # others must be built first
    named = named.filter(pl.col("source_id").is_in([name for name in WITH_FILES if name in here]))
    joined = files.filter(pl.col("source_id").is_in(sorted(here))).join(named, on=["source_id", "raw_file"], how="full")
    assert joined.filter(pl.col("raw_file").is_null()).is_empty(), "rows name a file that is not listed"
    differ = joined.filter(pl.col("n").fill_null(0) != pl.col("n_rows_landed"))
    assert set(differ["source_id"]) <= {"inverse_scaling_pilot", "concept_frequency"}
    # their items carry no record number: run, task and item name the record
    items = db.sql("""
        select source_id, raw_file, count(*) as n_items
        from (select distinct source_id, raw_file, run_id, task, item_id from items where raw_row is null) group by all
    """)
    counted = differ.join(items, on=["source_id", "raw_file"], how="left")
    assert counted["n_rows_landed"].to_list() == counted["n_items"].to_list()


def test_no_row_names_a_record_beyond_the_end_of_its_file(db: sdb.Warehouse) -> None:
    beyond = db.sql(
        f"select * from ({LANDED}) join raw_files using (source_id, raw_file) "
        "where raw_row > n_rows_in or n_rows_in is null"
    )
    assert beyond.is_empty()


def test_tables_that_name_records_are_all_counted() -> None:
    assert {name for name, table in TABLES.items() if "raw_row" in table.columns} == set(LANDING)


@pytest.mark.parametrize("source_id", source_ids())
def test_every_declaration_has_a_reason_and_a_file(source_id: str) -> None:
    registry = read_registry(source_id)
    for part in load_source(source_id)[0].set_aside:
        assert part.reason.strip() == part.reason != ""
        assert not part.reason.endswith(".")
        assert part.n_rows is None or part.n_rows > 0
        assert part.file in registry or "*" in part.file


# ---- the totals in the data dictionary -----------------------------------------------------------


def test_the_dictionary_states_the_totals(db: sdb.Warehouse) -> None:
    shipped = "from raw_files"
    total = db.sql(f"select count(*), sum(n_rows_in), sum(n_rows_landed), sum(n_rows_set_aside) {shipped}").row(0)
    section = (CHECKOUT / "warehouse" / "README.md").read_text(encoding="utf-8").split("\n## Ledger\n")[1]
    assert "| all | " + " | ".join(f"{n:,.0f}" for n in total) + " |" in section.split("\n## ")[0]


# ---- from raw files ------------------------------------------------------------------------------


@pytest.mark.parametrize("source_id", ["farseer", "misfitting", "o1_inference"])
def test_the_shipped_ledger_is_that_of_the_raw_files(raw_directory: Path, files: pl.DataFrame, source_id: str) -> None:
    built = source_tables(source_id, raw_directory)["raw_files"]
    assert built.equals(files.filter(pl.col("source_id") == source_id).sort("raw_file"))


def test_a_source_that_stops_declaring_is_refused(raw_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = load_source("farseer")
    monkeypatch.setitem(source.__dict__, "set_aside", source.set_aside[1:])
    with pytest.raises(
        DataError, match=r"'rescal_dense1_runs\.csv': 411 record\(s\) in, 0 landed, 411 set aside where 0 are declared"
    ):
        source_tables("farseer", raw_directory)


# ---- a made-up source ----------------------------------------------------------------------------


MakeFolder = Callable[..., RawFolder]


@pytest.fixture
def make_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeFolder:
    """Raw files of a made-up source, each with the numbers 1, 2, ... : ``make_folder({"a.csv": 5}, set_aside=...)``."""

    def make(lengths: dict[str, int], set_aside: Sequence[SetAside] = ()) -> RawFolder:
        monkeypatch.setattr(_raw, "HASHES", tmp_path)
        lines = []
        for name, length in lengths.items():
            file = tmp_path / "raw" / "toy" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("\n".join(["n", *map(str, range(1, length + 1)), ""]), encoding="utf-8")
            lines.append(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n")
        (tmp_path / "toy.txt").write_text("".join(lines), encoding="utf-8")
        return RawFolder(toy_source(set_aside=tuple(set_aside)), tmp_path / "raw")

    return make


def _rows(table: str, file: str, records: Sequence[int | None], **more: object) -> pl.DataFrame:
    frame = pl.DataFrame({"raw_row": records}, schema={"raw_row": pl.Int64}).with_columns(
        raw_file=pl.lit(file), run_id=pl.lit("toy/1"), **{name: pl.lit(value) for name, value in more.items()}
    )
    return conform(table, frame, "toy")


def _read(raw: RawFolder, *names: str) -> None:
    for name in names:
        raw.csv(name, {"n": pl.Float64})


def test_records_that_all_land_need_no_declaration(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 3, "b.csv": 2})
    _read(raw, "a.csv", "b.csv")
    tables = {
        # a record with two numbers, in two tables, lands once
        "evals": pl.concat([_rows("evals", "a.csv", [1, 1, 2]), _rows("evals", "b.csv", [1])]),
        "schedules": _rows("schedules", "a.csv", [2, 3]),
        "mixtures": _rows("mixtures", "b.csv", [2]),
    }
    table = ledger(raw, tables)
    assert table.columns == list(TABLES["raw_files"].columns)
    assert table.drop("source_id", "sha256").rows() == [("a.csv", 3, 3, 0, None), ("b.csv", 2, 2, 0, None)]
    assert table["sha256"].to_list() == list(raw.registry.values())


def test_an_undeclared_missing_record_is_refused_with_file_and_counts(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 3, "b.csv": 2})
    _read(raw, "a.csv", "b.csv")
    tables = {"evals": pl.concat([_rows("evals", "a.csv", [1, 3]), _rows("evals", "b.csv", [1, 2])])}
    with pytest.raises(DataError) as caught:
        ledger(raw, tables)
    assert caught.value.fact.splitlines() == [
        "source 'toy': 1 raw file(s) do not add up",
        "  'a.csv': 3 record(s) in, 2 landed, 1 set aside where 0 are declared",
    ]
    assert "set_aside in ingest/toy.py" in str(caught.value.hint)


def test_all_files_that_do_not_add_up_are_named(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 3, "b.csv": 2}, [SetAside("a.csv", 1, "an empty record")])
    _read(raw, "a.csv", "b.csv")
    with pytest.raises(DataError) as caught:
        ledger(raw, {"evals": _rows("evals", "a.csv", [1, 2, 3])})
    assert caught.value.fact.splitlines()[1:] == [
        "  'a.csv': 3 record(s) in, 3 landed, 0 set aside where 1 are declared",
        "  'b.csv': 2 record(s) in, 0 landed, 2 set aside where 0 are declared",
    ]


def test_declared_records_carry_their_reason(make_folder: MakeFolder) -> None:
    raw = make_folder(
        {"a.csv": 5, "x/1.csv": 2, "x/2.csv": 2, "notes.csv": 1},
        [
            SetAside("a.csv", 2, "empty records"),
            SetAside("a.csv", 1, "a header row"),
            SetAside("x/*.csv", 2, "read into runs: sizes"),
            SetAside("notes.csv", None, "prose"),
        ],
    )
    _read(raw, "a.csv", "x/1.csv", "x/2.csv")
    table = ledger(raw, {"evals": _rows("evals", "a.csv", [2, 4])})
    assert table.drop("source_id", "sha256").rows() == [
        ("a.csv", 5, 2, 3, "2: empty records; 1: a header row"),
        ("x/1.csv", 2, 0, 2, "read into runs: sizes"),
        ("x/2.csv", 2, 0, 2, "read into runs: sizes"),
        ("notes.csv", None, 0, None, "prose"),
    ]


def test_a_file_that_was_never_read_is_refused(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 1, "forgotten.csv": 1})
    _read(raw, "a.csv")
    with pytest.raises(DataError, match=r"'forgotten\.csv': 0 record\(s\) landed and none were counted"):
        ledger(raw, {"evals": _rows("evals", "a.csv", [1])})


@pytest.mark.parametrize(
    ("declared", "fault"),
    [
        (SetAside("gone.csv", 1, "no reason matters"), "'gone.csv': .* no such file is recorded"),
        (SetAside("a.csv", 1, " "), "'a.csv': .* without a reason"),
        (SetAside("a.csv", None, "prose"), r"'a.csv': 2 record\(s\) in, although the file is declared to hold none"),
    ],
)
def test_a_declaration_that_is_of_no_use_is_refused(make_folder: MakeFolder, declared: SetAside, fault: str) -> None:
    raw = make_folder({"a.csv": 2}, [declared])
    _read(raw, "a.csv")
    with pytest.raises(DataError, match=fault):
        ledger(raw, {"evals": _rows("evals", "a.csv", [1])})


def test_rows_may_not_name_other_files_or_records_beyond_the_end(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 2})
    _read(raw, "a.csv")
    tables = {"evals": pl.concat([_rows("evals", "a.csv", [1, 3]), _rows("evals", "b.csv", [1])])}
    with pytest.raises(DataError) as caught:
        ledger(raw, tables)
    assert caught.value.fact.splitlines()[1:] == [
        "  'a.csv': a row names record 3 of 2",
        "  'b.csv': rows name this file, but no hash is recorded for it",
    ]


def test_items_without_record_numbers_count_once_and_means_over_them_not_at_all(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 2})
    _read(raw, "a.csv")
    items = [
        _rows("items", "a.csv", [None], item_id=item, metric=metric) for item in "xy" for metric in ("acc", "loss")
    ]
    tables = {"items": pl.concat(items), "evals": _rows("evals", "a.csv", [None])}
    assert ledger(raw, tables)["n_rows_landed"].to_list() == [2]


def test_a_file_is_counted_the_same_whenever_it_is_read(make_folder: MakeFolder) -> None:
    raw = make_folder({"a.csv": 2})
    raw.count("a.csv", 2)
    _read(raw, "a.csv")
    assert raw.counts == {"a.csv": 2}
    with pytest.raises(RawFileError, match=r"'a\.csv' was counted twice, with 2 and with 3 records"):
        raw.count("a.csv", 3)
    with pytest.raises(RawFileError, match=r"no hash is recorded for raw file 'b\.csv'"):
        raw.count("b.csv", 1)
