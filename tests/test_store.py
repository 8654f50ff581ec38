"""Folders whose state changes in one step: every place where a commit can end early, readers meanwhile, clean-up."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scalingdb as sdb
from scalingdb import _store
from scalingdb._store import commit, exclusive, read_state, recover, scratch_folder, write_manifest
from scalingdb.errors import WarehouseError

STEPS = {
    (Path, "replace"),
    (Path, "unlink"),
    (Path, "mkdir"),
    (Path, "write_text"),
    (os, "fsync"),
    (os, "link"),
}
"""What a commit asks of the file system."""

OLD = {"tables/a.parquet": b"old a", "tables/b.parquet": b"same", "tables/gone.parquet": b"old", "views/v.sql": b"v1"}
NEW = {"tables/a.parquet": b"new a", "tables/b.parquet": b"same", "tables/more.parquet": b"new", "views/v.sql": b"v2"}


class Crash(BaseException):
    """The process ends here: nothing that catches errors or interrupts gets a turn."""


def _make(folder: Path) -> None:
    for name, content in OLD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_manifest(folder)


def _change(folder: Path) -> None:
    staged = folder / "staged"
    staged.mkdir(exist_ok=True)
    changes: dict[str, Path | None] = dict.fromkeys(set(OLD) - set(NEW))
    for name, content in NEW.items():
        changes[name] = staged / name.replace("/", "-")
        (staged / name.replace("/", "-")).write_bytes(content)
    with exclusive(folder):
        commit(folder, changes)


def _contents(state: _store.State) -> dict[str, bytes]:
    assert state.entries is not None
    return {name: state.path(name).read_bytes() for name in state.entries}


def _crash_at(step: int, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let the `step`-th call to the file system not happen, nor any later one."""
    calls = 0
    for owner, name in STEPS:
        real = getattr(owner, name)

        def counted(*args: object, real: Callable[..., object] = real, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls >= step:
                raise Crash
            return real(*args, **options)

        patch.setattr(owner, name, counted)
    return lambda: calls


def _n_steps(tmp_path: Path) -> int:
    _make(tmp_path / "counted")
    (tmp_path / "counted" / "staged").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        calls = _crash_at(10**9, patch)
        _change(tmp_path / "counted")
        return calls()


def test_wherever_a_commit_ends_there_is_one_whole_state_and_the_next_run_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_steps = _n_steps(tmp_path)
    assert n_steps > 25
    seen = []
    for step in range(1, n_steps + 1):
        folder = tmp_path / str(step)
        _make(folder)
        (folder / "staged").mkdir()
        before = read_state(folder)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
            _crash_at(step, patch)
            _change(folder)
        now = _contents(read_state(folder))
        assert now in (OLD, NEW), step
        assert _contents(before) == OLD, step  # whoever opened the old state still reads it
        seen.append(now == NEW)
        shutil.rmtree(folder / "staged", ignore_errors=True)
        with monkeypatch.context() as patch:
            patch.setattr(_store, "KEEP_SECONDS", -1.0)
            with exclusive(folder):
                recover(folder)
            assert _contents(read_state(folder)) == now
            _change(folder)
            with exclusive(folder):
                recover(folder)
        files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert files - {name for name in files if name.startswith("staged/")} == {*NEW, "manifest.json", ".lock"}, step
        assert {name: (folder / name).read_bytes() for name in NEW} == NEW
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    _make(tmp_path)
    manifest = tmp_path / "manifest.json"
    good = manifest.read_bytes()
    for bad in (b"", good[:-5], good.replace(b'"size": 5', b'"size": -5'), good.replace(b'"tables/a', b'"../a'), b"[]"):
        manifest.write_bytes(bad)
        with pytest.raises(WarehouseError, match="damaged"):
            read_state(tmp_path)


def test_only_one_changes_a_folder(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        code = "import sys; from pathlib import Path; from scalingdb._store import exclusive\n"
        code += f"with exclusive(Path({str(tmp_path)!r})): pass"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "another process is changing" in done.stderr


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds a scratch folder."""
    code = (
        "import time; from pathlib import Path; from scalingdb._store import scratch_folder\n"
        f"with scratch_folder(Path({str(tmp_path)!r}), '.making-') as folder:\n"
        "    (folder / 'half').write_text('x'); print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_scratch_folders_of_the_dead_go_and_those_of_the_living_stay(
    tmp_path: Path, sleeper: subprocess.Popen[str]
) -> None:
    with scratch_folder(tmp_path, ".making-"):
        assert len(list(tmp_path.glob(".making-*/half"))) == 1
    sleeper.send_signal(signal.SIGKILL)
    sleeper.wait()
    (tmp_path / ".making-of-an-older-version").mkdir()
    with scratch_folder(tmp_path, ".making-") as folder:
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == [folder]
    assert list(tmp_path.iterdir()) == []


# ---- readers of a warehouse that is rebuilt ------------------------------------------------------


def _rewrite(folder: Path, factor: float) -> None:
    """A new state of a made-up warehouse: every number of two tables has another factor."""
    import polars as pl

    with exclusive(folder, wait=30), scratch_folder(folder, ".building-") as staging:
        changes: dict[str, Path | None] = {}
        for table, column in (("runs", "n_params"), ("evals", "value")):
            frame = pl.read_parquet(folder / "tables" / table / "toy.parquet").with_columns(
                pl.lit(factor).alias(column)
            )
            frame.write_parquet(staging / f"{table}.parquet")
            changes[f"tables/{table}/toy.parquet"] = staging / f"{table}.parquet"
        commit(folder, changes)


MIXED = "select distinct value - n_params as d, value from evals join runs using (run_id)"


def _read_many(folder: Path, stop: str, answers: multiprocessing.Queue[tuple[int, list[str]]]) -> None:
    n, faults = 0, []
    while not Path(stop).exists():
        try:
            with sdb.connect(folder) as db:
                first = db.sql(MIXED)
                for _ in range(4):
                    again = db.sql(MIXED)
                    n += 1
                    if first.height != 1 or first["d"].item() != 0 or not again.equals(first):
                        faults.append(f"{first.rows()} {again.rows()}")
        except Exception as error:
            faults.append(repr(error))
    answers.put((n, faults))


@pytest.mark.ci  # readers in processes of their own while tables change
def test_readers_keep_the_state_that_they_opened(make_warehouse: Callable[..., Path], tmp_path: Path) -> None:
    names = [f"toy/{i}" for i in range(50)]
    folder = make_warehouse(
        [{"run_id": name, "n_params": 1.0} for name in names], [{"run_id": name, "value": 1.0} for name in names]
    )
    write_manifest(folder)
    n_readers, n_builds = (int(os.environ.get(name, few)) for name, few in (("READERS", "2"), ("REBUILDS", "6")))
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    stop = tmp_path / "stop"
    readers = [context.Process(target=_read_many, args=(folder, str(stop), answers)) for _ in range(n_readers)]
    with sdb.connect(folder) as early:
        assert early.sql(MIXED).rows() == [(0.0, 1.0)]
        for reader in readers:
            reader.start()
        for i in range(n_builds):
            time.sleep(0.5)
            _rewrite(folder, i + 2.0)
        assert early.sql(MIXED).rows() == [(0.0, 1.0)]
    time.sleep(0.5)
    stop.touch()
    results = [answers.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join()
    assert [fault for _, faults in results for fault in faults] == []
    with sdb.connect(folder) as late:
        assert late.sql(MIXED).rows() == [(0.0, n_builds + 1.0)]


@pytest.mark.parametrize(
    "ask", [lambda db: db.sql(MIXED).rows(), lambda db: db.points("toy")["loss"].unique().to_list()]
)
def test_rows_that_are_no_longer_kept_are_not_taken_for_the_new_ones(
    make_warehouse: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, ask: Callable[[sdb.Warehouse], Any]
) -> None:
    folder = make_warehouse([{"run_id": "toy/0", "n_params": 1.0}], [{"run_id": "toy/0", "value": 1.0}])
    write_manifest(folder)
    monkeypatch.setattr(_store, "KEEP_SECONDS", -1.0)  # stands for a reader who stays for longer
    with sdb.connect(folder) as early:
        before = ask(early)
        assert before
        _rewrite(folder, 2.0)  # of the same size
        with pytest.raises(WarehouseError, match=r"the rows opened here are gone: .* holds other rows now"):
            ask(early)
        _rewrite(folder, 1.0)
        assert ask(early) == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_that_ends_leaves_the_folder_of_its_parent(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from scalingdb._store import scratch_folder
with scratch_folder(Path({str(tmp_path)!r}), ".spill-") as folder:
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        print(folder.is_dir(), folder.with_name(folder.name + ".lock").is_file())
if child:
    print(folder.exists())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["True", "True", "False"]
