"""What ends early: queries by Ctrl-C or a time limit, builds by a signal; and several threads on one warehouse."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import scalingdb as sdb
from scalingdb import _stream
from scalingdb._stream import ArrowStream, frame_within
from scalingdb.errors import DataError, QueryError, ScalingDBError, UnknownNameError
from scalingdb.warehouse import _session
from scalingdb.warehouse._query import _stop

CHECKOUT = Path(__file__).parents[1]
SHIPPED = CHECKOUT / "warehouse"
ENDLESS = {
    "a join": "select count(*) from range(100000000) a, range(1000000) b where a.range + b.range = 3",
    "a recursion": "with recursive r as (select 1::hugeint n union all select n + 1 from r) select count(*) from r",
    "one function": "select length(repeat('x', 3000000000))",
}


@pytest.mark.parametrize(
    "query", [pytest.param(query, marks=[pytest.mark.ci] * (query != "a join")) for query in ENDLESS]
)
def test_ctrl_c_ends_a_query_of_the_program(query: str) -> None:
    code = f"import sys; sys.argv = ['scalingdb', 'sql', {ENDLESS[query]!r}]; from scalingdb.cli import main; main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not _query_thread(process.pid):
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize("name", ["define_views", "define_tables", "_half_of_memory"])
def test_ctrl_c_while_duckdb_works_in_the_main_thread_is_what_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise RuntimeError("Query interrupted")  # what DuckDB makes of it

    monkeypatch.setattr(_session, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        sdb.connect().sql("select 1")


@pytest.mark.parametrize(
    "delay", [0.15, pytest.param(0.3, marks=pytest.mark.ci), pytest.param(0.6, marks=pytest.mark.ci)]
)
def test_ctrl_c_while_the_program_loads_ends_it_in_silence(delay: float) -> None:
    code = (
        "import os, signal, threading\n"
        "from scalingdb._shell import main\n"
        f"threading.Timer({delay}, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "main()"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, "sources"], check=False, capture_output=True, text=True, timeout=60
    )
    assert process.returncode == 130
    assert process.stderr in {"", "interrupted\n"}


def test_the_time_limit_holds_for_law_macros_too() -> None:
    with sdb.connect(time_limit=1e-3) as db, pytest.raises(QueryError, match="time limit"):
        db.sql("select law_chinchilla(7e9, 1.4e12)")


def test_stopping_a_query_that_has_just_ended_is_no_error() -> None:
    cursor = duckdb.connect().cursor()
    cursor.close()  # the thread of the query does so before it says that it is done
    _stop(cursor, threading.Event())


def _query_thread(pid: int) -> bool:
    """Whether a process has opened DuckDB, which has threads of its own."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir())) > 1 and "duckdb" in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        pytest.skip("no /proc: cannot see how far the program is")


def test_a_time_limit_ends_a_query_and_the_next_one_works() -> None:
    with sdb.connect(SHIPPED, time_limit=1.0) as db:
        with pytest.raises(QueryError, match=r"stopped after its time limit of 1 s.*\n\nHint: ask for less"):
            db.sql(ENDLESS["a join"])
        assert db.sql("select count(*) from sources").item() > 40
    with pytest.raises(DataError, match="time_limit"):
        sdb.connect(SHIPPED, time_limit=0)


def test_a_memory_limit_ends_a_query() -> None:
    with sdb.connect(SHIPPED, memory_limit="200MB") as db:
        assert db.sql("select current_setting('memory_limit')").item().startswith("190.7")
        with pytest.raises(QueryError, match="Out of Memory"):
            db.sql("select list(range) from range(200000000)")
        assert db.sql("select count(*) from sources").item() > 40
    with pytest.raises(QueryError, match="memory_limit"):
        sdb.connect(SHIPPED, memory_limit="a lot")


def test_what_a_killed_process_put_on_the_disk_goes_with_the_next_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    query = "select count(*) from (select range, random() r from range(100000000) order by r) where range > 3"
    code = f"import scalingdb as sdb; sdb.connect({str(SHIPPED)!r}, memory_limit='200MB').sql({query!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
    with sdb.connect(SHIPPED) as db:
        mine = Path(db.sql("select current_setting('temp_directory')").item()).parent
        while not any(file.stat().st_size for file in tmp_path.glob("*/duckdb/*")):
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
        process.wait()
        assert len(list(tmp_path.glob("*/duckdb"))) == 1
        sdb.connect(SHIPPED).close()
        assert {path.name for path in tmp_path.iterdir()} == {mine.name, f"{mine.name}.lock"}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        *({"path": value} for value in (3, "", b"warehouse", "x" * 5000)),
        *({"allow": value} for value in (3, None, [None], [""], "")),
        *({"memory_limit": value} for value in (3, "", "-1GB")),
        *({"time_limit": value} for value in ("x", [1], float("nan"))),
    ],
    ids=str,
)
def test_connect_refuses_arguments_of_a_wrong_kind(wrong: dict[str, Any]) -> None:
    with pytest.raises(ScalingDBError, match=r"path|folder|limit|allow"):
        sdb.connect(**{"path": SHIPPED, **wrong})


@pytest.mark.parametrize("wrong", [None, 3, b"select 1", ["select 1"], Path("select")])
def test_queries_and_names_of_a_wrong_kind_are_refused(db: sdb.Warehouse, wrong: Any) -> None:
    with pytest.raises(QueryError, match="not text"):
        db.sql(wrong)
    with pytest.raises(UnknownNameError, match="table"):
        db.table(wrong)
    with pytest.raises(UnknownNameError, match="source"):
        db.points([wrong])
    for option in ("metric", "eval_set", "study", "family", "split"):
        if wrong is not None:
            with pytest.raises(DataError, match=f"{option} is .* not text"):
                db.curves("epoch_chinchilla", **{option: wrong})
    with pytest.raises(DataError, match="flagged is"):
        db.points("epoch_chinchilla", flagged=wrong)


def test_a_value_without_end_is_refused(db: sdb.Warehouse) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(QueryError, match="nested too deeply"):
        db.sql("select $x", x=endless)


def test_threads_share_one_warehouse() -> None:
    n_threads, n_queries = (int(os.environ.get(name, few)) for name, few in (("THREADS", "8"), ("QUERIES", "8")))
    faults: list[str] = []
    answers: list[float] = []

    def ask(db: sdb.Warehouse, thread: int) -> None:
        try:
            for i in range(n_queries):
                if i % 4 == 3:
                    answers.append(db.sql("select law_chinchilla(7e9, 1.4e12) as x").item())
                elif i % 4 == 2:
                    assert db.points("farseer", flagged=True).height == 411
                else:
                    assert db.sql("select $a + $b as s", a=thread, b=i).item() == thread + i
        except Exception as error:
            faults.append(repr(error))

    with sdb.connect(SHIPPED) as db:
        threads = [threading.Thread(target=ask, args=(db, number)) for number in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert faults == []
    assert len(set(answers)) == 1


def test_law_macros_have_the_coefficients_of_the_warehouse_that_is_asked(copied_warehouse: Path) -> None:
    file = copied_warehouse / "tables" / "published_fits" / "hoffmann.parquet"
    fits = pl.read_parquet(file)
    changed = pl.when((pl.col("law") == "chinchilla") & (pl.col("param") == "E")).then(3.0).otherwise(pl.col("value"))
    fits.with_columns(value=changed).write_parquet(file)
    (copied_warehouse / "manifest.json").unlink()
    query = "select law_chinchilla_hoffmann(7e9, 1.4e12) as x"
    with sdb.connect(copied_warehouse) as other, sdb.connect(SHIPPED) as shipped:
        assert other.sql(query).item() - shipped.sql(query).item() == pytest.approx(3.0 - 1.69, rel=1e-9)
        exported = other.export(copied_warehouse.parent / "other.duckdb")
        expected = other.sql(query).item()
    with sdb.connect(exported) as again:
        assert again.sql(query).item() == expected


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, *(pytest.param(how, marks=pytest.mark.ci) for how in (signal.SIGKILL, signal.SIGINT))]
)
def test_a_stopped_build_stops_whole_and_changes_nothing(
    tmp_path: Path, how: signal.Signals, raw_directory: Path
) -> None:
    target = tmp_path / "warehouse"
    code = "import sys; sys.argv = ['scalingdb', *sys.argv[1:]]; from scalingdb.cli import main; main()"
    arguments = ["build", "olmo_ladder", "pythia_evals", "gemstones", "farseer", "--workers", "2"]
    command = [sys.executable, "-c", code, *arguments, "--target", str(target), "--raw", str(raw_directory)]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=CHECKOUT)
        while not list(target.glob(".building-*/*/*.parquet")):
            assert process.poll() is None, (tmp_path / "out").read_text()
            time.sleep(0.05)
        process.send_signal(how)
        process.wait(timeout=60)
    end = time.monotonic() + 60
    while _of_build(str(target)):
        assert time.monotonic() < end, "processes of the build go on"
        time.sleep(0.1)
    assert not list(target.glob("tables/*/*.parquet"))
    assert not (target / "manifest.json").exists()


def _of_build(target: str) -> list[str]:
    """Processes that name the target in their command, or hold its lock open."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().decode()
            files = [str(file.readlink()) for file in (process / "fd").iterdir()]
        except OSError:
            continue
        if int(process.name) != os.getpid() and (
            target in command or any(file.startswith(f"{target}/") for file in files)
        ):
            found.append(command)
    return found


@pytest.mark.parametrize(
    "columns",
    [
        "range as i",
        "range::decimal(20, 0) as i",
        "'text ' || range as t",
        "repeat('x', 100) as t",
        "[range, range] as l",
        "{'a': range, 'b': 'text'} as s",
        "range % 2 = 0 as b, current_date as d, range::float as f, now() as n",
        "case when range % 2 = 0 then 'yes' else 'no' end::enum('yes', 'no') as e",
    ],
)
def test_rows_that_take_more_than_half_of_the_memory_are_refused_as_they_come(
    columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []
    real = pl.DataFrame.estimated_size

    class Counted(_stream._Kind):
        def size(self, array: Any) -> int:
            taken.append(super().size(array))
            return taken[-1]

    with sdb.connect(SHIPPED, memory_limit="60MB") as db:
        with pytest.raises(QueryError, match=r"take more than 0\.03 GB, half of the memory limit") as caught:
            db.sql(f"select {columns} from range(1_000_000_000_000)")
        assert "memory_limit" in str(caught.value.hint)
        with pytest.raises(QueryError, match="half of the memory limit"):  # few rows, but large ones
            db.sql("select repeat('x', 100_000) as t from range(1_000)")
        assert db.sql("select 1 as a").item() == 1  # the connection goes on
        monkeypatch.setattr(_stream, "_Kind", Counted)
        rows = db.sql(f"select {columns} from range(20_000)")
    size = real(rows)
    assert 0.5 * size <= sum(taken) <= 4 * size + 1_000_000  # what is counted is what the frame takes, about


def test_an_error_of_duckdb_among_the_rows_is_told_as_it_is() -> None:
    query = "select case when i = 500_000 then error('boom') else i end as x from range(1_000_000) t(i)"
    with sdb.connect(SHIPPED) as db, pytest.raises(QueryError, match="boom"):
        db.sql(query)


def test_no_result_outlives_its_query() -> None:
    stream = _stream.ArrowStream(duckdb.sql("select 1 as a"))
    assert frame_within(stream, 10**6).item() == 1
    kept = weakref.ref(stream)
    gc.disable()  # which would find a ring, later
    try:
        del stream
        assert kept() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "query",
    [
        "select i, 'longer than twelve ' || i as t, [i, i + 1] as l from range(30000000) t(i)",
        "select i from range(5000) t(i)",
    ],
)
def test_leaving_while_threads_read_is_no_abort(query: str) -> None:
    code = f"""
import sys, threading, time
import scalingdb as sdb
db = sdb.connect()
def ask():
    while True:
        db.sql({query!r})
for _ in range(3):
    threading.Thread(target=ask, daemon=True).start()
time.sleep(0.5)
sys.exit(7)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 7
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    "query",
    [
        "select 1 where false",
        "select i, 'longer than twelve ' || i as t, [i] as l, {'a': i} as s, map {i: i} as m from range(200000) t(i)",
        "select (if(i % 2 = 0, 'a', 'b'))::enum('a', 'b') as e, i::decimal(18, 3) as d from range(200000) t(i)",
        "select * from (values ({'a': [1, 2]}), (null)) t(x)",
    ],
)
def test_batches_are_the_rows_of_the_whole(query: str) -> None:
    connection = duckdb.connect()
    whole = pl.DataFrame(ArrowStream(connection.sql(query)))
    assert_frame_equal(frame_within(connection.sql(query), 10**10), whole)
