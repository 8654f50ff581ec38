"""The build: exact bytes, refused raw files, faults that are all told, targets that cannot be written."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pooch
import pyarrow.parquet as pq
import pytest
from conftest import toy_source

import ingest
from ingest import _raw
from ingest._build import SHIPPED, build, compare, load_source, source_ids, source_tables
from ingest._check import check_source
from ingest._raw import RawFolder, find_raw_directory
from ingest._source import Correction, conform
from scalingdb.errors import DataError, RawFileError, UnknownNameError, WarehouseError
from scalingdb.schema import TABLES

SMALL = ("epoch_chinchilla", "farseer", "kaplan", "steplaw")


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


# ---- the shipped tables --------------------------------------------------------------------------


def test_shipped_tables_are_what_the_raw_files_give(raw_directory: Path, tmp_path: Path) -> None:
    """Four sources of different kinds; ``scalingdb check`` rebuilds all of them, which CI calls."""
    build(SMALL, raw=raw_directory, shipped=tmp_path / "tables", local=tmp_path / "local")
    built, shipped = _contents(tmp_path / "tables"), _contents(SHIPPED)
    assert len(built) == 17
    assert all(shipped[name] == content for name, content in built.items())


def test_a_rebuild_of_an_unchanged_source_touches_no_file(raw_directory: Path, tmp_path: Path) -> None:
    target = {"shipped": tmp_path / "tables", "local": tmp_path / "local"}
    (first,) = build(["farseer"], raw=raw_directory, **target)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    (second,) = build(["farseer"], raw=raw_directory, **target)
    assert sorted(first.changed) == [
        f"{table}/farseer.parquet" for table in ("evals", "published_fits", "raw_files", "runs", "sources")
    ]
    assert first.rows == second.rows == {"sources": 1, "runs": 411, "evals": 822, "published_fits": 18, "raw_files": 3}
    assert second.changed == []
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == times
    assert not list(tmp_path.glob(".building-*"))


def test_tables_are_sorted_by_their_key(raw_directory: Path) -> None:
    for table, frame in source_tables("farseer", raw_directory).items():
        assert frame.equals(frame.sort(TABLES[table].key, nulls_last=True, maintain_order=True)), table


def test_shipped_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*.parquet")) < 25e6


def test_compare_tells_missing_extra_and_different_files_apart(tmp_path: Path) -> None:
    built, shipped = tmp_path / "built", tmp_path / "shipped"
    for folder in (built, shipped):
        for table in ("runs", "evals", "sources"):
            (folder / table).mkdir(parents=True)
    frame = pl.DataFrame({"a": [1, 2]})
    frame.write_parquet(built / "runs" / "new.parquet")
    frame.write_parquet(shipped / "runs" / "old.parquet")
    frame.write_parquet(built / "evals" / "x.parquet", compression="zstd")
    frame.write_parquet(shipped / "evals" / "x.parquet", compression="snappy")
    frame.write_parquet(built / "sources" / "x.parquet")
    frame.reverse().write_parquet(shipped / "sources" / "x.parquet")
    faults = compare(built, shipped)
    assert [fault.split(";")[0].split("(")[0].strip() for fault in faults] == [
        "evals/x.parquet: same rows, other bytes",
        "runs/new.parquet: built from raw, but not among the shipped tables",
        "runs/old.parquet: shipped, but no source builds it",
        "sources/x.parquet: the rows differ",
    ]


# ---- raw files that are not what was curated -----------------------------------------------------


@pytest.fixture
def copied_raw(raw_directory: Path, tmp_path: Path) -> Path:
    """A folder of raw files with one small source."""
    shutil.copytree(raw_directory / "epoch_chinchilla", tmp_path / "raw" / "epoch_chinchilla")
    return tmp_path / "raw"


def test_an_altered_raw_file_stops_the_source_and_leaves_its_tables(copied_raw: Path, tmp_path: Path) -> None:
    target = {"shipped": tmp_path / "tables", "local": tmp_path / "local"}
    build(["epoch_chinchilla"], raw=copied_raw, **target)
    before = _contents(tmp_path / "tables")
    (name,) = RawFolder(load_source("epoch_chinchilla")[0], copied_raw).files("*.csv")
    file = copied_raw / "epoch_chinchilla" / name
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)

    (result,) = build(["epoch_chinchilla"], raw=copied_raw, **target)

    assert isinstance(result.error, RawFileError)
    fact = result.error.fact
    assert f"raw file {name!r} is not the file that was curated" in fact
    registry = RawFolder(load_source("epoch_chinchilla")[0], copied_raw).registry
    assert f"expected sha256 {registry[name]}" in fact
    assert fact.count("sha256") == 2
    assert "ingest/hashes/epoch_chinchilla.txt" in str(result.error.hint)
    assert _contents(tmp_path / "tables") == before


def test_a_missing_raw_file_is_named_with_the_place_it_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (result,) = build(["farseer"], raw=tmp_path / "raw", shipped=tmp_path / "tables", local=tmp_path / "local")
    assert isinstance(result.error, RawFileError)
    assert "source 'farseer': raw file" in result.error.fact
    assert f"is missing (looked for {tmp_path / 'raw' / 'farseer'}" in result.error.fact
    assert "SCALINGDB_RAW" in str(result.error.hint)
    assert not (tmp_path / "tables").exists()


def test_an_unknown_source_stops_before_anything_is_built(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"(?s)'farser'.*'farseer'"):
        build(["kaplan", "farser"], raw=tmp_path, shipped=tmp_path / "tables", local=tmp_path / "local")
    assert not (tmp_path / "tables").exists()


def test_raw_files_are_looked_for_as_given_then_in_the_environment_then_beside_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, named, checkout = tmp_path / "given", tmp_path / "named", tmp_path / "home" / "checkout"
    beside = tmp_path / "home" / "shared" / "data"
    for folder in (given, named, beside, checkout / "ingest"):
        folder.mkdir(parents=True)
    monkeypatch.setattr(_raw, "__file__", str(checkout / "ingest" / "_raw.py"))
    monkeypatch.setenv("SCALINGDB_RAW", str(named))
    assert find_raw_directory(given) == given
    assert find_raw_directory() == named
    monkeypatch.delenv("SCALINGDB_RAW")
    assert find_raw_directory() == beside
    beside.rmdir()
    assert find_raw_directory() is None


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_a_raw_directory_that_does_not_exist_is_refused(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setenv("SCALINGDB_RAW", str(missing))
    with pytest.raises(RawFileError, match="missing' does not exist"):
        find_raw_directory(missing if how == "argument" else None)


# ---- downloads -----------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that were asked for; each request fails."""
    asked: list[str] = []

    def retrieve(url: str, **_: Any) -> None:
        asked.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked


UPSTREAM = {"repository": "someone/something", "upstream_commit": "0123456789abcdef"}


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("_derived/table.csv", UPSTREAM),
        ("data/_derived/table.csv", UPSTREAM),
        ("joined.csv", {**UPSTREAM, "not_upstream": ("joined.csv",)}),
        ("table.csv", {}),
    ],
)
def test_a_file_that_upstream_does_not_hold_is_never_downloaded(
    name: str, declared: dict[str, Any], no_network: list[str]
) -> None:
    raw = RawFolder(toy_source(**declared), None)
    raw.registry = {name: "0" * 64}
    with pytest.raises(RawFileError, match=r"(?s)was made from upstream files and cannot be downloaded.*--raw"):
        raw.path(name)
    assert no_network == []


def test_a_failed_download_names_repository_and_commit(no_network: list[str]) -> None:
    raw = RawFolder(toy_source(**UPSTREAM), None)
    raw.registry = {"a b/table.csv": "0" * 64}
    with pytest.raises(RawFileError, match=r"(?s)someone/something at 0123456789: no route.*check the network"):
        raw.path("a b/table.csv")
    (address,) = no_network
    assert address.endswith("/someone/something/0123456789abcdef/a%20b/table.csv")


def test_a_file_without_a_recorded_hash_is_refused(tmp_path: Path) -> None:
    raw = RawFolder(toy_source(), tmp_path)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "extra.csv").write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(RawFileError, match=r"no hash is recorded for raw file 'extra.csv'"):
        raw.path("extra.csv")


# ---- delimited files -----------------------------------------------------------------------------


FakeRaw = Callable[[bytes], RawFolder]
COLUMNS = {"name": pl.String, "size": pl.Float64, "count": pl.Int64, "done": pl.Boolean}
GOOD = b"name,size,count,done,extra\na,1.5,3,True,x\nb, 2e9 ,4,false,y\n"


@pytest.fixture
def fake_raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRaw:
    """A source of one raw file ``table.csv``, with a registry of its own."""

    def make(content: bytes) -> RawFolder:
        hashes = tmp_path / "hashes"
        for folder in (hashes, tmp_path / "raw" / "toy"):
            folder.mkdir(parents=True, exist_ok=True)
        file = tmp_path / "raw" / "toy" / "table.csv"
        file.write_bytes(content)
        (hashes / "toy.txt").write_text(f"table.csv {pooch.file_hash(str(file))}\n", encoding="utf-8")
        monkeypatch.setattr(_raw, "HASHES", hashes)
        return RawFolder(toy_source(), tmp_path / "raw")

    return make


def test_a_table_is_read_with_its_provenance(fake_raw: FakeRaw) -> None:
    frame = fake_raw(GOOD).csv("table.csv", COLUMNS, rows=2)
    assert frame.rows() == [("a", 1.5, 3, True, "table.csv", 1), ("b", 2e9, 4, False, "table.csv", 2)]
    assert frame.schema == {**COLUMNS, "raw_file": pl.String, "raw_row": pl.Int64}


def test_a_byte_order_mark_is_accepted(fake_raw: FakeRaw) -> None:
    raw = fake_raw(b"\xef\xbb\xbf" + GOOD)
    assert raw.csv("table.csv", COLUMNS, rows=2)["name"].to_list() == ["a", "b"]
    assert raw.text("table.csv").startswith("name,")


def test_an_empty_cell_and_a_declared_word_are_null_and_nothing_else_is(fake_raw: FakeRaw) -> None:
    raw = fake_raw(b"name,size,count,done\na,,1,true\nb,n/a,2,true\n")
    assert raw.csv("table.csv", COLUMNS, null_values=["n/a"])["size"].to_list() == [None, None]
    with pytest.raises(RawFileError, match=r"row 2, column 'size': 'n/a' is no Float64"):
        raw.csv("table.csv", COLUMNS)


def test_a_missing_column_is_told_with_those_there_are(fake_raw: FakeRaw) -> None:
    with pytest.raises(RawFileError, match=r"'toy', raw file 'table.csv': missing column\(s\) 'loss'.*'name', 'size'"):
        fake_raw(GOOD).csv("table.csv", {"name": pl.String, "loss": pl.Float64})


def test_a_changed_delimiter_is_a_missing_column(fake_raw: FakeRaw) -> None:
    with pytest.raises(RawFileError, match="missing column"):
        fake_raw(GOOD.replace(b",", b";")).csv("table.csv", COLUMNS, rows=2)


def test_every_cell_that_does_not_convert_is_told_with_its_row(fake_raw: FakeRaw) -> None:
    raw = fake_raw(b"name,size,count,done\na,big,1,true\nb,2,1.5,true\nc,3,3,maybe\nd,4,4,true\n")
    with pytest.raises(RawFileError) as caught:
        raw.csv("table.csv", COLUMNS)
    assert caught.value.fact.splitlines()[1:] == [
        "  row 1, column 'size': 'big' is no Float64",
        "  row 2, column 'count': '1.5' is no Int64",
        "  row 3, column 'done': 'maybe' is no Boolean",
    ]
    assert "3 cell(s) do not convert" in caught.value.fact


def test_another_number_of_records_is_refused(fake_raw: FakeRaw) -> None:
    with pytest.raises(RawFileError, match="2 records where 3 are expected"):
        fake_raw(GOOD).csv("table.csv", COLUMNS, rows=3)


def test_a_record_with_too_many_cells_is_refused(fake_raw: FakeRaw) -> None:
    with pytest.raises(RawFileError, match="not a readable table"):
        fake_raw(GOOD + b"c,1,2,true,x,one too many\n").csv("table.csv", COLUMNS)


def test_bytes_that_are_not_utf8_are_told_with_their_position(fake_raw: FakeRaw) -> None:
    with pytest.raises(RawFileError, match=r"'table.csv' is not UTF-8 at byte 27"):
        fake_raw(GOOD.replace(b"\na,", b"\n\xe4,")).csv("table.csv", COLUMNS)


def test_an_empty_file_is_refused(fake_raw: FakeRaw) -> None:
    with pytest.raises(RawFileError, match="not a readable table"):
        fake_raw(b"").csv("table.csv", COLUMNS)


# ---- corrections ---------------------------------------------------------------------------------


def _correction(expected: object) -> Correction:
    return Correction("table.csv", 2, "size", expected=expected, corrected=2e8, reason="the paper says 200M")


def test_a_correction_changes_the_one_value_it_names(fake_raw: FakeRaw) -> None:
    raw = fake_raw(GOOD)
    frame = raw.correct(raw.csv("table.csv", COLUMNS), [_correction(2e9)])
    assert frame["size"].to_list() == [1.5, 2e8]


def test_a_correction_stops_once_upstream_has_mended_the_value(fake_raw: FakeRaw) -> None:
    raw = fake_raw(GOOD)
    with pytest.raises(DataError, match=r"(?s)row 2, column 'size'.*expects 7.0, the file holds \[2000000000.0\]"):
        raw.correct(raw.csv("table.csv", COLUMNS), [_correction(7.0)])


# ---- checks of the tables ------------------------------------------------------------------------


def _toy_tables(n: int = 6) -> dict[str, pl.DataFrame]:
    runs = pl.DataFrame({"run_id": [f"toy/{i}" for i in range(n)], "study": "toy", "family": "toy", "n_params": 1e9})
    evals = runs.select(
        "run_id",
        metric=pl.lit("loss"),
        eval_set=pl.lit("val"),
        split=pl.lit("all"),
        value=pl.lit(2.5),
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_file=pl.lit("table.csv"),
        raw_row=pl.int_range(11, 11 + n),
    )
    return {"runs": conform("runs", runs, "toy"), "evals": conform("evals", evals, "toy")}


def _at(rows: list[int], column: str, value: object) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()).is_in(rows)).then(pl.lit(value)).otherwise(column).alias(column)


def test_sound_tables_pass() -> None:
    check_source("toy", _toy_tables())


@pytest.mark.parametrize(
    ("column", "value", "fact"),
    [
        ("value", float("nan"), "value = 'NaN' breaks finite"),
        ("value", float("inf"), "value = 'inf' breaks finite"),
        ("value", None, "value = None breaks not_nullable"),
        ("value", 31.0, "value 31.0 is outside 0.0 to 30.0 of unit 'nats_per_token'"),
        ("value", -0.1, "value -0.1 is outside 0.0 to 30.0 of unit 'nats_per_token'"),
        ("unit", "fraction", "metric 'loss' cannot have unit 'fraction'"),
        ("unit", "nats", "unit = 'nats' breaks isin"),
        ("split", "test", "split = 'test' breaks isin"),
        ("n_items", 0.0, "n_items = '0.0' breaks greater_than_or_equal_to(1.0)"),
        ("chance_level", 1.5, "chance_level = '1.5' breaks less_than_or_equal_to(1.0)"),
        ("raw_file", None, "raw_file = None breaks not_nullable"),
        ("run_id", "toy/9", "run 'toy/9' is not in table 'runs'"),
    ],
)
def test_every_offending_row_is_told_with_its_place(column: str, value: object, fact: str) -> None:
    tables = _toy_tables()
    tables["evals"] = tables["evals"].with_columns(_at([1, 4], column, value))
    if column == "run_id":  # two rows of one unknown run would repeat a key as well
        tables["evals"] = tables["evals"].with_columns(_at([4], "eval_set", "other"))
    with pytest.raises(DataError) as caught:
        check_source("toy", tables)
    told = [line for line in caught.value.fact.splitlines() if fact in line]
    places = (
        ["row 2", "row 5"] if column == "raw_file" else ["row 2 (table.csv, record 12)", "row 5 (table.csv, record 15)"]
    )
    assert [line.strip().split(":")[0] for line in told] == places
    assert "source 'toy', table 'evals'" in caught.value.fact


def test_both_rows_of_a_repeated_key_are_told() -> None:
    tables = _toy_tables()
    tables["evals"] = pl.concat([tables["evals"], tables["evals"][2:3]])
    with pytest.raises(DataError) as caught:
        check_source("toy", tables)
    first, second = caught.value.fact.splitlines()[1:]
    assert first.startswith(
        "  row 3 (table.csv, record 13): key ('toy/2', None, 'loss', 'val', 'all', None) is not unique"
    )
    assert second.startswith("  row 7 (table.csv, record 13): key")


def test_a_repeated_run_is_told() -> None:
    tables = _toy_tables()
    tables["runs"] = pl.concat([tables["runs"], tables["runs"][2:3]])
    with pytest.raises(DataError, match=r"(?s)row 3: run_id = 'toy/2' breaks .*row 7: run_id = 'toy/2' breaks"):
        check_source("toy", tables)


def test_a_run_of_another_source_is_told() -> None:
    tables = {"runs": _toy_tables()["runs"].with_columns(_at([3], "run_id", "tin/3"))}
    with pytest.raises(DataError, match="run_id 'tin/3' does not start with 'toy/'"):
        check_source("toy", tables)


def test_a_long_list_of_faults_is_cut_and_counted() -> None:
    tables = _toy_tables(100)
    tables["evals"] = tables["evals"].with_columns(value=pl.lit(99.0))
    with pytest.raises(DataError, match=r"(?s)100 fault\(s\).*and 80 more"):
        check_source("toy", tables)


def test_a_column_that_the_schema_does_not_know_is_never_dropped() -> None:
    with pytest.raises(DataError, match=r"(?s)unknown column\(s\) 'lr'.*schema\.py"):
        conform("runs", pl.DataFrame({"run_id": ["toy/1"], "lr": [0.1]}), "toy")


def test_a_value_of_the_wrong_type_is_refused() -> None:
    with pytest.raises(DataError, match=r"source 'toy', table 'runs'"):
        conform("runs", pl.DataFrame({"run_id": ["toy/1"], "n_params": ["70B"]}), "toy")


# ---- sources that fail, targets that cannot be written -------------------------------------------


MODULE = """
import polars as pl
from ingest._source import Source, conform

SOURCE = Source(
    source_id="{name}", title="t", authors="a", year=2024, licence="CC0", redistribution="r", bibtex="@misc{{b}}",
    is_shipped={shipped},
)

def build(raw):
    runs = pl.DataFrame({{"run_id": ["{name}/1"], "study": ["s"], "family": ["f"], "n_params": [{n_params}]}})
    return {{"runs": conform("runs", runs, "{name}")}}
"""

AddSource = Callable[..., None]


@pytest.fixture
def add_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddSource:
    """Add a source module to ``ingest`` for one test: a file in its folder is all it takes."""
    folder = tmp_path / "more_sources"
    folder.mkdir()
    monkeypatch.setattr(ingest, "__path__", [*ingest.__path__, str(folder)])

    def add(name: str, n_params: float = 1e9, *, shipped: bool = True) -> None:
        (folder / f"{name}.py").write_text(
            MODULE.format(name=name, n_params=n_params, shipped=shipped), encoding="utf-8"
        )
        # a change within the same second would not show in what is compiled
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        monkeypatch.delitem(sys.modules, f"ingest.{name}", raising=False)
        monkeypatch.delattr(ingest, name, raising=False)

    return add


def test_a_new_file_is_a_new_source(add_source: AddSource, tmp_path: Path) -> None:
    add_source("zz_new")
    assert "zz_new" in source_ids()
    (result,) = build(["zz_new"], raw=tmp_path, shipped=tmp_path / "tables", local=tmp_path / "local")
    assert result.error is None
    assert result.changed == ["sources/zz_new.parquet", "runs/zz_new.parquet"]


def test_a_failing_source_neither_stops_nor_spoils_the_others(add_source: AddSource, tmp_path: Path) -> None:
    target = {"raw": tmp_path, "shipped": tmp_path / "tables", "local": tmp_path / "local", "workers": 1}
    for name in ("zz_a", "zz_b", "zz_c"):
        add_source(name)
    build(["zz_a", "zz_b", "zz_c"], **target)
    before = _contents(tmp_path / "tables")
    add_source("zz_a", 2e9)
    add_source("zz_b", -1.0)
    add_source("zz_c", 3e9)
    results = {result.source_id: result for result in build(["zz_a", "zz_b", "zz_c"], **target)}
    assert isinstance(results["zz_b"].error, DataError)
    assert results["zz_a"].changed == ["runs/zz_a.parquet"]
    assert results["zz_c"].changed == ["runs/zz_c.parquet"]
    after = _contents(tmp_path / "tables")
    assert {name for name in after if after[name] != before[name]} == {"runs/zz_a.parquet", "runs/zz_c.parquet"}


def test_a_source_that_may_not_ship_is_built_apart(add_source: AddSource, tmp_path: Path) -> None:
    add_source("zz_local", shipped=False)
    build(["zz_local"], raw=tmp_path, shipped=tmp_path / "tables", local=tmp_path / "local")
    # what it is ships, what it measured does not
    assert [path.parent.name for path in sorted((tmp_path / "tables").rglob("*.parquet"))] == ["sources"]
    assert (tmp_path / "local" / "runs" / "zz_local.parquet").exists()


def test_a_table_that_a_source_no_longer_has_goes(add_source: AddSource, tmp_path: Path) -> None:
    target = {"raw": tmp_path, "shipped": tmp_path / "tables", "local": tmp_path / "local"}
    add_source("zz_a")
    build(["zz_a"], **target)
    stale = tmp_path / "tables" / "claims" / "zz_a.parquet"
    stale.parent.mkdir()
    shutil.copyfile(tmp_path / "tables" / "runs" / "zz_a.parquet", stale)
    (result,) = build(["zz_a"], **target)
    assert result.changed == ["claims/zz_a.parquet (removed)"]
    assert not stale.exists()


def test_a_full_disk_leaves_the_old_tables_and_no_scratch_files(
    add_source: AddSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = {"raw": tmp_path, "shipped": tmp_path / "tables", "local": tmp_path / "local"}
    add_source("zz_a")
    build(["zz_a"], **target)
    before = _contents(tmp_path / "tables")
    add_source("zz_a", 2e9)
    write_table = pq.write_table

    def full(table: Any, where: Path, **options: Any) -> None:
        if "runs" in where.parts:
            where.write_bytes(b"PAR1 half a file")
            raise OSError(errno.ENOSPC, "No space left on device")
        write_table(table, where, **options)

    monkeypatch.setattr(pq, "write_table", full)
    (result,) = build(["zz_a"], **target)
    assert isinstance(result.error, WarehouseError)
    assert "No space left on device" in result.error.fact
    assert "free some space" in str(result.error.hint)
    assert _contents(tmp_path / "tables") == before
    assert not list(tmp_path.rglob(".building-*"))


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_step_that_fails_changes_nothing(
    add_source: AddSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    target = {"raw": tmp_path, "shipped": tmp_path / "tables", "local": tmp_path / "local"}
    add_source("zz_a")
    build(["zz_a"], **target)
    before = _contents(tmp_path / "tables")
    for table in ("sources", "runs"):  # both files differ from what is built, so both are swapped
        file = tmp_path / "tables" / table / "zz_a.parquet"
        file.write_bytes(file.read_bytes() + b" ")
    changed = _contents(tmp_path / "tables")
    assert changed != before
    replace = Path.replace

    def fail_on_the_last(self: Path, other: Path) -> Path:
        if other.name == "manifest.json":
            monkeypatch.setattr(Path, "replace", replace)
            raise failure
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", fail_on_the_last)
    if isinstance(failure, OSError):
        (result,) = build(["zz_a"], **target)
        assert isinstance(result.error, WarehouseError)
    else:
        with pytest.raises(KeyboardInterrupt):
            build(["zz_a"], **target)
    assert _contents(tmp_path / "tables") == changed
    assert not list(tmp_path.rglob(".building-*"))


@pytest.mark.parametrize("place", ["target", "parent"])
def test_a_target_that_is_no_folder_is_refused(add_source: AddSource, tmp_path: Path, place: str) -> None:
    add_source("zz_a")
    blocked = tmp_path / "warehouse"
    (blocked if place == "parent" else tmp_path / "warehouse.txt").write_text("a file", encoding="utf-8")
    shipped = blocked / "tables" if place == "parent" else tmp_path / "warehouse.txt"
    (result,) = build(["zz_a"], raw=tmp_path, shipped=shipped, local=tmp_path / "local")
    assert isinstance(result.error, WarehouseError)
    assert "cannot write to" in result.error.fact
    assert "writable target" in str(result.error.hint)


def test_a_read_only_target_is_refused(add_source: AddSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_source("zz_a")

    def refuse(self: Path, *args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # running as root, permissions alone would not refuse
    (result,) = build(["zz_a"], raw=tmp_path, shipped=tmp_path / "tables", local=tmp_path / "local")
    assert isinstance(result.error, WarehouseError)
    assert "Permission denied" in result.error.fact


def test_declared_coefficients_and_new_columns_need_no_raw_files(tmp_path: Path) -> None:
    for file in SHIPPED.glob("*/farseer.parquet"):
        (tmp_path / "tables" / file.parent.name).mkdir(parents=True)
        shutil.copy(file, tmp_path / "tables" / file.parent.name)
    fits, runs = (tmp_path / "tables" / table / "farseer.parquet" for table in ("published_fits", "runs"))
    pl.read_parquet(fits).with_columns(value=pl.col("value") + 1).write_parquet(fits)  # what a correction replaces
    pl.read_parquet(runs).drop("seed").write_parquet(runs)  # a column that the schema has gained since
    target = {"shipped": tmp_path / "tables", "local": tmp_path / "local"}
    (result,) = build(["farseer"], without_raw=True, **target)
    assert result.error is None
    assert sorted(result.changed) == ["published_fits/farseer.parquet", "runs/farseer.parquet"]
    for table in ("published_fits", "runs"):
        rebuilt = pl.read_parquet(tmp_path / "tables" / table / "farseer.parquet")
        assert rebuilt.equals(pl.read_parquet(SHIPPED / table / "farseer.parquet"))
    (again,) = build(["farseer"], without_raw=True, **target)
    assert (again.error, again.changed) == (None, [])
