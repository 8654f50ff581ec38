"""Tricks that would write, look outside the warehouse, load code or change the connection through a query."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import QueryError, ReadOnlyError, WarehouseError

SHIPPED = Path(__file__).parents[1] / "warehouse"

OPEN = "IN"
"""Stands for a folder that queries may read."""
SHUT = "OUT"
"""Stands for a folder that they may not."""

WRITERS = [
    "copy (select 'x' as a) to '{}'",
    "copy (select 'x' as a) to '{}' (format parquet)",
    "copy (select 'x' as a) to '{}' (format json)",
    "copy (select 'x' as a) to '{}' (format csv, use_tmp_file false)",
    "copy (select 'x' as a) to '{}' (per_thread_output)",
    "copy (select 'x' as a, 'y' as b) to '{}' (format csv, partition_by (a))",
    "copy runs to '{}'",
    "copy (from evals) to '{}'",
]
WRAPPERS = [
    "with t as ({}) select 1",
    "with t as ({}) select * from t",
    "with t as materialized ({}) select 1",
    "with t as not materialized ({}) from t",
    "with a as (select 1), t as ({}) select * from a",
    "select * from (with t as ({}) select 1)",
    "select (with t as ({}) select 1)",
    "explain analyze with t as ({}) select 1",
    "explain (analyze) with t as ({}) select 1",
    "/* x */ WITH t AS ({}) -- y\n SELECT 1",
    "select 1 union all (with t as ({}) select 1)",
    "with recursive r as (select 1 as n union all select n + 1 from r where n < 2), t as ({}) select * from r",
]
PLACES = [f"{OPEN}/new", f"{OPEN}/runs.csv", f"{SHUT}/new", "new", "WAREHOUSE/tables/runs/farseer.parquet"]

COPIES = [
    wrapper.format(writer.format(place))
    for i, wrapper in enumerate(WRAPPERS)
    for j, writer in enumerate(WRITERS)
    for place in [PLACES[(i + j) % len(PLACES)]]
]

CHANGES = [
    *(
        f"with d as ({change} returning *) select count(*) from d"
        for change in (
            "update last_losses set value = value * 2",
            "delete from last_losses",
            "insert into last_losses select * from last_losses",
            "update repeated_points set loss = 0",
            "delete from repeated_scores",
            "update runs set n_params = 1",
            "delete from memory.main.last_losses",
            "merge into last_losses using (select 1) on true when matched then delete",
        )
    ),
    "from query('with d as (update last_losses set value = 0 returning *) select * from d')",
    "from query('with d as (co' || 'py (select 1) to ''OUT/new'') select 1')",
    "select * from query('select 1')",
    "from json_execute_serialized_sql(json_serialize_sql("
    "'with d as (update last_losses set value = 0 returning *) select * from d'))",
    "from json_execute_serialized_sql(json_serialize_sql('with d as (copy (select 1) to ''IN/new'') select 1'))",
    "pragma json_execute_serialized_sql('{}')",
]

ENGINE = [
    "select * from enable_logging(storage => 'file')",
    "select * from enable_logging(storage => 'file', storage_config => {'path': 'OUT/log'})",
    "from enable_logging()",
    "from disable_logging()",
    "select * from enable_profiling()",
    "from enable_profiling(save_location => 'OUT/profile')",
    "from disable_profiling()",
    "from truncate_duckdb_logs()",
    "select write_log('x', level := 'error')",
    "from checkpoint()",
    "from force_checkpoint()",
    "from enable_verification()",
    "from register_external_resource('x')",
    "from create_external_resource('x')",
    "select nextval('s')",
    "from arrow_scan(1, 2, 3)",
    "from pandas_scan(1)",
    "from python_map_function(1)",
    "from seq_scan('runs')",
    "from read_duckdb('IN/other.duckdb')",
    "set enable_external_access = true",
    "set lock_configuration = false",
    "set allowed_directories = ['OUT']",
    "set global threads = 1",
    "set variable x = 1",
    "reset enable_external_access",
    "pragma enable_profiling",
    "pragma memory_limit = '1TB'",
    "call enable_logging()",
    "call truncate_duckdb_logs()",
    "create secret s (type s3, key_id 'x', secret 'y')",
    "create persistent secret s (type http)",
    "create sequence s",
    "create type t as enum ('a')",
    "create macro m(a) as a",
    "create temp macro law_chinchilla(n, d) as 1",
    "create schema s",
    "create index i on last_losses (value)",
    "create temp table t as select 1",
    "commit",
    "rollback",
    "begin transaction",
    "start transaction",
    "abort",
    "merge into runs using (select 1) on true when matched then delete",
    "truncate runs",
    "analyze",
    "vacuum analyze",
    "prepare p as select 1",
    "execute p",
    "deallocate p",
    "export database 'OUT/all'",
    "import database 'IN'",
    "copy from database memory to other",
    "alter table last_losses add column x int",
    "drop table last_losses",
    "comment on table last_losses is 'x'",
    "explain copy runs to 'OUT/new'",
    "explain create table t as select 1",
    "explain analyze update last_losses set value = 0",
    "explain (format json, analyze) delete from last_losses",
    "select 1; drop table last_losses",
    "select 1\0; drop table last_losses",
]

OUTSIDE = [
    "from 'OUT/secret.csv'",
    "from read_csv('OUT/secret.csv')",
    "from read_csv(['IN/runs.csv', 'OUT/secret.csv'])",
    "from read_csv('OUT/*.csv')",
    "from read_csv('IN/../OUT_NAME/secret.csv')",
    "from read_csv('IN/./../OUT_NAME/secret.csv')",
    "from read_csv('file://OUT/secret.csv')",
    "from read_csv('file:OUT/secret.csv')",
    "from read_text('OUT/secret.csv')",
    "from read_blob('OUT/secret.csv')",
    "from read_json('OUT/secret.json')",
    "from read_json_auto('OUT/secret.json')",
    "from read_ndjson('OUT/secret.json')",
    "from read_parquet('OUT/secret.parquet')",
    "from parquet_metadata('OUT/secret.parquet')",
    "from parquet_schema('OUT/secret.parquet')",
    "from sniff_csv('OUT/secret.csv')",
    "from glob('OUT/*')",
    "from glob('/*')",
    "from query_table('OUT/secret.csv')",
    "from 'OUT/other.duckdb'",
    "select * from 'OUT/secret.csv' where exists (from 'OUT/secret.csv')",
    "select (select content from read_text('OUT/secret.csv'))",
    "with t as (from read_csv('OUT/secret.csv')) from t",
    "summarize 'OUT/secret.csv'",
    "describe 'OUT/secret.csv'",
    "from read_text('/etc/hostname')",
    "from read_text('/proc/self/environ')",
    "from read_csv('~/x.csv')",
    "from read_text('/dev/stdin')",
    "attach 'OUT/other.duckdb'",
    "attach 'IN/other.duckdb' (read_only)",
    "from duckdb_secrets()",
    "from which_secret('s3://a', 's3')",
]

NETWORK_AND_CODE = [
    "from 'http://127.0.0.1:9/x.parquet'",
    "from 'https://127.0.0.1:9/x.csv'",
    "from read_parquet('s3://bucket/x.parquet')",
    "from read_csv('gcs://bucket/x.csv')",
    "from read_csv('hf://datasets/a/b.csv')",
    "from read_csv('az://a/b.csv')",
    "from read_text('ftp://127.0.0.1:9/x')",
    "from sqlite_scan('OUT/x.db', 't')",
    "from postgres_scan('host=127.0.0.1', 'public', 't')",
    "from st_read('OUT/x.shp')",
    "from delta_scan('OUT/x')",
    "from iceberg_scan('OUT/x')",
    "from read_xlsx('OUT/x.xlsx')",
    "from read_avro('OUT/x.avro')",
    "select spatial_version()",
    "install httpfs",
    "force install spatial",
    "load httpfs",
    "load 'OUT/x.duckdb_extension'",
    "update extensions",
    "select getenv('HOME')",
    "from caller_frame",
    "select * from query",
    "from params",
]

TRICKS = [*COPIES, *CHANGES, *ENGINE, *OUTSIDE, *NETWORK_AND_CODE]
caller_frame = [{"a": 1}]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A copy of a small part of the warehouse, a folder that may be read, and one that may not."""
    home = tmp_path_factory.mktemp("tricks")
    for source in ("farseer", "epoch_chinchilla"):
        for table in ("sources", "runs", "evals", "published_fits", "raw_files"):
            target = home / "warehouse" / "tables" / table / f"{source}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(SHIPPED / "tables" / table / target.name, target)
    shutil.copytree(SHIPPED / "views", home / "warehouse" / "views")
    for name in ("in", "out"):
        (home / name).mkdir()
        (home / name / ("runs.csv" if name == "in" else "secret.csv")).write_text("a\n1\n", encoding="utf-8")
        (home / name / "secret.json").write_text('{"a": 1}', encoding="utf-8")
        shutil.copy(SHIPPED / "tables" / "runs" / "farseer.parquet", home / name / "secret.parquet")
    with sdb.connect(home / "warehouse") as db:
        db.export(home / "out" / "other.duckdb")
    shutil.copy(home / "out" / "other.duckdb", home / "in" / "other.duckdb")
    (home / "cwd").mkdir()
    return {OPEN: home / "in", SHUT: home / "out", "WAREHOUSE": home / "warehouse", "home": home}


@pytest.fixture(scope="module")
def guarded(folders: dict[str, Path]) -> Iterator[sdb.Warehouse]:
    """The copy, with its costly views in memory already."""
    with sdb.connect(folders["WAREHOUSE"], allow=[folders[OPEN]]) as db:
        for view in ("points_unique", "scores_unique") * 2:
            db.table(view)
        yield db


def _everything(home: Path) -> dict[str, bytes]:
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob("*") if path.is_file()}


def _filled(trick: str, folders: dict[str, Path]) -> str:
    filled = trick.replace("OUT_NAME", folders[SHUT].name)
    for name in (OPEN, SHUT, "WAREHOUSE"):
        filled = filled.replace(f"{name}/", f"{folders[name]}/").replace(f"'{name}'", f"'{folders[name]}'")
    return filled


STATE = """
select count(*), sum(loss), (select count(*) from duckdb_tables()), (select count(*) from duckdb_views()) from points
"""


@pytest.fixture(scope="module")
def untouched(guarded: sdb.Warehouse, folders: dict[str, Path]) -> tuple[tuple[Any, ...], dict[str, bytes]]:
    """Rows and files before the first trick, to which every trick leaves them."""
    return guarded.sql(STATE).row(0), _everything(folders["home"])


@pytest.mark.parametrize("trick", TRICKS, ids=range(len(TRICKS)))
def test_a_trick_is_refused_and_changes_nothing(
    guarded: sdb.Warehouse,
    folders: dict[str, Path],
    untouched: tuple[tuple[Any, ...], dict[str, bytes]],
    trick: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(folders["home"] / "cwd")
    with pytest.raises((QueryError, WarehouseError)):
        guarded.sql(_filled(trick, folders))
    assert (guarded.sql(STATE).row(0), _everything(folders["home"])) == untouched


@pytest.mark.parametrize(
    "trick",
    [
        "explain analyze /* /* */ select ' */ COPY --'",
        "explain /* /* */ analyze select ' */ analyze COPY --'",
        "explain analyze --\r COPY /* \n select 1 -- */",
        "explain --\r analyze COPY /* \n select 1 -- */",
        "explain (analyze /* ) select 1 -- */) COPY",
        "explain (analyze, format /* /* */ json) select ' */ json) COPY --'",
        "explain (format json, --\r analyze) COPY /* \n analyze) select 1 -- */",
    ],
)
def test_a_comment_that_can_be_read_in_two_ways_hides_nothing(
    guarded: sdb.Warehouse, folders: dict[str, Path], trick: str
) -> None:
    """DuckDB's comments nest and end with a carriage return; either way what runs is what was checked."""
    before = _everything(folders["home"])
    copy = f"with t as (copy (select 1) to $${folders[OPEN]}/new$$) select 1"
    with contextlib.suppress(QueryError):
        guarded.sql(trick.replace("COPY", copy))
    assert _everything(folders["home"]) == before


@pytest.mark.parametrize(
    "query",
    [
        "explain (" + "analyze format," * 40 + "analyze 'x') select 1",
        "explain (" + "analyze format " * 40 + "'x') select 1",
        "/**/" * 40 + "explain select 1 /* /* */ x",
    ],
)
def test_an_explain_that_could_be_read_in_many_ways_is_refused_at_once(db: sdb.Warehouse, query: str) -> None:
    with pytest.raises((ReadOnlyError, QueryError)):  # it took longer than the age of the universe
        db.sql(query)


def test_there_are_many_tricks() -> None:
    assert len(set(TRICKS)) == len(TRICKS) >= 150


ALLOWED = [
    "select count(*) from 'IN/runs.csv'",
    "from read_csv('IN/*.csv')",
    "from glob('IN/*')",
    "from parquet_schema('IN/secret.parquet')",
    "from read_parquet('IN/secret.parquet') limit 1",
    "from query_table('runs') limit 1",
    "from loss_rows('last_losses') limit 1",
    "select unnest(range(3))",
    "from range(3)",
    "select 'copy (select 1) to ''x''' as text, {'type': 'UPDATE_QUERY_NODE'} as part",
    "select name, value from duckdb_settings() limit 1",
    "from (describe runs)",
    "from histogram('runs', n_params)",
    "with recursive r as (select 1 as n union all select n + 1 from r where n < 5) from r",
    "select * from json_each('{\"a\": 1}')",
    "select list_transform([1, 2], lambda x: x + 1)",
    "select source_id, n_params.median() from runs group by 1",
    "select a.run_id, b.study from runs as a positional join runs as b limit 1",
    "from runs using sample 3",
]


@pytest.mark.parametrize("query", ALLOWED)
def test_what_only_reads_is_answered(guarded: sdb.Warehouse, folders: dict[str, Path], query: str) -> None:
    assert guarded.sql(_filled(query, folders)).height > 0


def test_without_the_syntax_tree_the_engine_alone_still_protects_rows_and_foreign_files(
    guarded: sdb.Warehouse, folders: dict[str, Path]
) -> None:
    """What the first line refuses by itself, in case the second has a hole."""
    for trick in (
        "with d as (update last_losses set value = 0 returning *) select * from d",
        "with d as (insert into last_losses from last_losses returning *) select * from d",
        "with t as (copy (select 1) to 'OUT/new') select 1",
        "with t as (copy (select 1) to 'new') select 1",
        "from read_csv('OUT/secret.csv')",
        "from enable_logging(storage => 'file')",
        *(["from enable_profiling()"] if int(duckdb.__version__[0]) >= 2 else []),  # harmless before
        "from 'http://127.0.0.1:9/x.parquet'",
        "from query",
    ):
        with pytest.raises((QueryError, WarehouseError)):
            guarded._session.rows(_filled(trick, folders))


def test_a_view_file_that_does_more_than_define_its_view_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["WAREHOUSE"], tmp_path / "copy")
    for text in (
        "copy (select 1) to 'new'",
        "create or replace view mine as with t as (copy (select 1) to 'WAREHOUSE/tables/new') select 1",
        "create or replace view mine as select 1; drop view runs",
        "create or replace view other as select 1",
    ):
        (tmp_path / "copy" / "views" / "mine.sql").write_text(_filled(text, folders), encoding="utf-8")
        with pytest.raises((QueryError, WarehouseError)):
            sdb.connect(tmp_path / "copy")
    assert not (folders["WAREHOUSE"] / "tables" / "new").exists()


def test_allow_names_folders_that_exist(tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="allow"):
        sdb.connect(SHIPPED, allow=[tmp_path / "nowhere"])


def test_two_columns_of_one_name_are_refused_in_our_words(db: sdb.Warehouse) -> None:
    with pytest.raises(QueryError, match="two columns of the result are called 'run_id'"):
        db.sql("select a.run_id, b.run_id from runs a join runs b using (run_id) limit 1")


@pytest.mark.parametrize(
    "query",
    [
        *("select " + "(" * n + "1" + ")" * n for n in (900, 10_000)),
        "select " + "abs(" * 900 + "1" + ")" * 900,
        "from " + "(from " * 900 + "runs" + ")" * 900,
        *("select " + mark * 10_000 + "1" for mark in ("1+", "- ", "not ", "'a'||", "(", "(select ", "a[", "x -> ")),
        "select " + "list_transform([1], lambda x: " * 10_000,
        "select [1]" + "[1:]" * 10_000,
        "with " + ",".join(f"t{i} as (select 1)" for i in range(2_000)) + " select 1",
    ],
)
def test_a_query_that_is_nested_too_deeply_is_refused_in_our_words(db: sdb.Warehouse, query: str) -> None:
    with pytest.raises(QueryError, match="nested too deeply"):
        db.sql(query)


@pytest.mark.parametrize(
    "query",
    [
        "select " + "+".join(["1"] * 900) + " as x",
        "select " + "not " * 900 + "true as x",
        "select " + "case when true then " * 900 + "1" + " end" * 900 + " as x",
    ],
)
def test_a_query_near_the_limit_is_answered_or_refused_in_our_words(db: sdb.Warehouse, query: str) -> None:
    """How deep a syntax tree the check can read depends on the version of Python."""
    try:
        found = str(db.sql(query).item())
    except QueryError as error:
        found = error.fact
    assert re.fullmatch("1|900|True|the query is nested too deeply.*", found)


@pytest.mark.parametrize(
    "query",
    [
        "select (DEEP)::json::variant is null",
        "select cast(DEEP as variant[]) is null",
        "select try_cast([DEEP] as struct(a variant)[]) is null",
        "select variant_type(DEEP)",
        "select json_transform('[]', DEEP)",
        "select FROM_JSON_STRICT('[]', DEEP)",
        "select list_transform([DEEP], lambda x: json_contains(x, x))",
        "select list_aggregate([(DEEP)::json], 'variant_group_array')",
        "select json_serialize_sql('select ' || repeat('(', 5000))",
    ],
)
def test_functions_that_follow_a_value_until_the_stack_ends_are_refused(db: sdb.Warehouse, query: str) -> None:
    """DuckDB ends the process over them, whatever thread asks."""
    deep = "repeat('[', 200000) || repeat(']', 200000)"
    with pytest.raises(QueryError, match="without end"):
        db.sql(query.replace("DEEP", deep))


def test_what_takes_time_before_it_reads_a_row_is_refused_in_our_words(db: sdb.Warehouse) -> None:
    began = time.monotonic()
    for n in (6, 12, 10_000):  # DuckDB's parser would fill the memory over the slip in the innermost
        for end in ("", "selec 1" + ") select 1" * n, "select 1" + ") select 1" * n):
            with pytest.raises(QueryError, match="WITH stands inside WITH on more than 5 levels"):
                db.sql("WITH a as (" * n + end)
    with pytest.raises(QueryError, match="more than 1,000 UNIONs"):
        db.sql("select 1 " + "union all select 1 " * 10_000)
    with pytest.raises(QueryError, match=r"one name has 10,001 parts"):
        db.sql("select a" + ".a" * 10_000)
    assert time.monotonic() - began < 60  # minutes, were one of them left to DuckDB


@pytest.mark.parametrize(
    "query",
    [
        "select 1 in (" + "2, " * 5_000 + "1)",
        "select " + "true and " * 5_000 + "true",
        "values " + "(1), " * 5_000 + "(1)",
        "select '" + "(" * 5_000 + "', $$" + "[" * 5_000 + "$$ -- " + "(" * 5_000,
        "select /*" + "(" * 5_000 + "*/ 1",
        "select 'é((' || " + "(" * 400 + "'é'" + ")" * 400,
        "with a as (with b as (with c as (with d as (with e as (select 1) from e) from d) from c) from b) from a",
        "with " + ", ".join(f"t{i} as (with u as (select 1) from u)" for i in range(40)) + " from t1",
    ],
)
def test_a_long_query_that_is_not_deep_runs(db: sdb.Warehouse, query: str) -> None:
    assert db.sql(query).height


@pytest.mark.parametrize("query", ["\ud800", "select '\ud800'", "select 1 -- \udfff"])
def test_half_a_surrogate_pair_in_a_query_is_refused(db: sdb.Warehouse, query: str) -> None:
    with pytest.raises(QueryError, match="half of a surrogate pair"):
        db.sql(query)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("interval 1 month", "INTERVAL"),
        ("[interval 1 day]", "INTERVAL"),
        ("union_value(k := 1)", "UNION"),
        ("'101'::bit", "BIT"),
        ("{'a': map {'b': [1::bignum]}}", "BIGNUM"),
        ("'12:00:00+01'::timetz", "TIME WITH TIME ZONE"),
        ("340282366920938463463374607431768211455::uhugeint", "UHUGEINT"),
        ("[time '24:00']", "TIME inside another"),
    ],
)
def test_a_type_that_no_frame_holds_is_named(db: sdb.Warehouse, value: str, kind: str) -> None:
    with pytest.raises(QueryError, match=f"column 'x': a frame holds no value of type {kind}\n"):
        db.sql(f"select 1 as a, {value} as x")
    db.sql(f"select ({value})::varchar as x")


BEYOND = [
    *(
        "date 'infinity'",
        "date '-infinity'",
        "date '10000-01-01'",
        "date '0001-01-01' - 1",
        "date '5877642-06-25 (BC)'",
    ),
    *("timestamp 'infinity'", "timestamptz '-infinity'", "timestamp_s '290000-01-01'", "timestamp_ms 'infinity'"),
    *("[null, date 'infinity']", "{'a': [timestamp 'infinity']}"),
    *("array_value(date '10000-01-01')", "timestamp '10000-01-01'"),
    *("timestamp_ns 'infinity'", "[timestamp_ns '-infinity']"),
    *(("map {'a': date 'infinity'}", "map {date 'infinity': 1}") if hasattr(pl, "Map") else ()),
]


@pytest.mark.parametrize("value", BEYOND)
def test_a_date_that_no_frame_can_show_is_refused(db: sdb.Warehouse, value: str) -> None:
    with pytest.raises(QueryError, match="column 'x' holds a date outside the years 1 to 9999"):
        db.sql(f"select {value} as x")
    assert db.sql(f"select ({value})::varchar as x").rows()


@pytest.mark.parametrize("value", ["time '24:00'", "time_ns '24:00'", "unnest([null, time '24:00'])"])
def test_the_time_that_polars_does_not_know_is_refused(db: sdb.Warehouse, value: str) -> None:
    with pytest.raises(QueryError, match="column 'x' holds the time 24:00"):
        db.sql(f"select {value} as x")
    assert db.sql("select unnest([null, time '23:59']) as x")["x"].count() == 1


@pytest.mark.parametrize(
    "value",
    [
        *("date '0001-01-01'", "date '9999-12-31'", "timestamp '0001-01-01'", "timestamp '9999-12-31 23:59:59.999999'"),
        *("timestamp_s '9999-12-31'", "timestamp_ns '2262-01-01'", "[date '2020-01-01', null]", "null::date"),
        *(("map {'a': date '2020-01-01'}",) if hasattr(pl, "Map") else ()),
        *("{'a': [null::timestamp]}", "[]::date[]", "'2020-01-01'::timestamptz"),
    ],
)
def test_other_dates_are_read_and_shown(db: sdb.Warehouse, value: str) -> None:
    frame = db.sql(f"select {value} as x")
    assert repr(frame)
    assert len(frame.rows()) == 1
