"""Building in several processes, and skipping what has not changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ingest
import scalingdb.schema
from ingest import _raw
from ingest._build import CHECKOUT, FACTS, build
from ingest._stamps import BuildResult, Stamps
from scalingdb._store import MANIFEST
from scalingdb.errors import BuildError, DataError, RawFileError

MODULE = """
import os
import polars as pl
from ingest._raw import RawFolder
from ingest._source import Source, conform

SOURCE = Source(
    source_id="{name}", title="t", authors="a", year=2024, licence="CC0", redistribution="r", bibtex="@misc{{b}}",
    is_shipped={shipped},
)

def build(raw):
    {act}
    rows = raw.csv("table.csv", {{"n": pl.Float64}}).with_columns(
        run_id=pl.format("{name}/{{}}", "raw_row"), study=pl.lit("s"), family=pl.lit("f"), n_params="n"
    )
    runs = rows.select("run_id", "study", "family", "n_params")
    evals = rows.select(
        "run_id", "raw_file", "raw_row", metric=pl.lit("loss"), eval_set=pl.lit("val"), split=pl.lit("all"),
        value=pl.lit(2.5), unit=pl.lit("nats_per_token"), value_origin=pl.lit("reported"),
    )
    return {{"runs": conform("runs", runs, "{name}"), "evals": conform("evals", evals, "{name}")}}
"""


class Workshop:
    """Sources of one raw file each, in a folder of their own, and a warehouse to build them into."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.code, self.hashes, self.raw = root / "code", root / "hashes", root / "raw"
        for folder in (self.code, self.hashes, self.raw):
            folder.mkdir()

    def add(self, name: str, *, numbers: str = "1e9\n2e9\n", shipped: bool = True, act: str = "pass") -> None:
        (self.code / f"{name}.py").write_text(MODULE.format(name=name, shipped=shipped, act=act), encoding="utf-8")
        sys.modules.pop(f"ingest.{name}", None)
        self.write_raw(name, f"n\n{numbers}".encode())

    def write_raw(self, name: str, content: bytes, *, recorded: bool = True) -> None:
        file = self.raw / name / "table.csv"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
        if recorded:
            sha = hashlib.sha256(content).hexdigest()
            (self.hashes / f"{name}.txt").write_text(f"table.csv {sha}\n", encoding="utf-8")

    def build(self, *names: str, into: str = "warehouse", **options: Any) -> dict[str, BuildResult]:
        home = self.root / into
        options = {"stamps": home / ".stamps", "workers": 1, **options}
        results = build(names, raw=self.raw, shipped=home / "tables", local=home / "local", **options)
        assert [result.source_id for result in results] == list(names)
        return {result.source_id: result for result in results}

    def tables(self, into: str = "warehouse") -> dict[str, bytes]:
        home = self.root / into
        files = (file for file in sorted(home.rglob("*.parquet")) if ".objects" not in file.parts)
        return {file.relative_to(home).as_posix(): file.read_bytes() for file in files}


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    shop = Workshop(tmp_path)
    monkeypatch.setattr(ingest, "__path__", [*ingest.__path__, str(shop.code)])
    monkeypatch.setattr(_raw, "HASHES", shop.hashes)
    return shop


# ---- several processes ---------------------------------------------------------------------------


def test_two_processes_build_the_bytes_that_one_builds(shop: Workshop) -> None:
    names = ["zz_c", "zz_a", "zz_b"]
    for i, name in enumerate(names):
        shop.add(name, numbers=f"{i + 1}e9\n" * (i + 1))
    begun: list[str] = []
    ended: list[str] = []
    parallel = shop.build(
        *names, into="two", workers=2, progress=begun.append, finished=lambda result: ended.append(result.source_id)
    )
    serial = shop.build(*names, into="one", workers=1)
    assert shop.tables("two") == shop.tables("one") != {}
    for name in names:
        assert (parallel[name].rows, parallel[name].changed) == (serial[name].rows, serial[name].changed)
    assert sorted(begun) == sorted(ended) == sorted(names)


@pytest.mark.ci  # ends a process of a pool, twice
def test_a_process_that_dies_is_the_error_of_its_source_only(shop: Workshop) -> None:
    names = ["zz_a", "zz_b", "zz_c", "zz_d"]
    for name in names:
        shop.add(name)
    shop.build(*names, workers=2)
    before = shop.tables()
    for name in names:
        shop.add(name, numbers="3e9\n", act="os._exit(11)" if name == "zz_b" else "pass")
    results = shop.build(*names, workers=2)
    assert [name for name in names if results[name].error] == ["zz_b"]
    assert isinstance(results["zz_b"].error, BuildError)
    assert "source 'zz_b': its process ended without an answer" in results["zz_b"].error.fact
    after = shop.tables()
    assert before.keys() == after.keys()
    assert {Path(name).stem for name in before if before[name] != after[name]} == {"zz_a", "zz_c", "zz_d"}
    assert not list(shop.root.rglob(".building-*"))


@pytest.mark.parametrize("workers", [1, 2])
def test_errors_of_each_kind_come_back_whole(shop: Workshop, workers: int) -> None:
    shop.add("zz_fault", act="{}['loss']")
    shop.add("zz_missing")
    (shop.raw / "zz_missing" / "table.csv").unlink()
    shop.add("zz_negative", numbers="-1\n")
    shop.add("zz_good")
    shop.add("zz_syntax")
    (shop.code / "zz_syntax.py").write_text("def build(:\n", encoding="utf-8")
    results = shop.build("zz_fault", "zz_missing", "zz_negative", "zz_good", "zz_syntax", workers=workers)
    fault, missing, negative, syntax = (
        results[name].error for name in ("zz_fault", "zz_missing", "zz_negative", "zz_syntax")
    )
    assert isinstance(fault, BuildError)
    assert fault.fact == "source 'zz_fault': KeyError: 'loss' (ingest/zz_fault.py, line 13)"
    assert isinstance(missing, RawFileError)
    assert "SCALINGDB_RAW" in str(missing.hint)
    assert isinstance(negative, DataError)
    assert "n_params" in negative.fact
    assert isinstance(syntax, BuildError)
    assert "SyntaxError" in syntax.fact
    assert results["zz_good"].error is None
    assert {Path(name).stem for name in shop.tables()} == {"zz_good"}


# ---- what has not changed ------------------------------------------------------------------------


def _is_skipped(shop: Workshop, name: str = "zz_a", **options: Any) -> bool:
    return shop.build(name, **options)[name].is_skipped


def test_an_unchanged_source_is_skipped_and_still_counted(shop: Workshop) -> None:
    shop.add("zz_a")
    told: list[str] = []
    first = shop.build("zz_a")["zz_a"]
    second = shop.build("zz_a", progress=told.append, finished=lambda result: told.append(result.status))["zz_a"]
    assert not first.is_skipped
    assert second.is_skipped
    assert second.rows == first.rows
    assert (second.rows["sources"], second.rows["runs"], second.rows["evals"]) == (1, 2, 2)
    assert second.changed == []
    assert told == ["unchanged"]
    assert not _is_skipped(shop, force=True)
    assert not _is_skipped(shop, stamps=None)


def _edit(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n# another line\n")


CHANGES: dict[str, Callable[[Workshop], None]] = {
    "raw file": lambda shop: shop.write_raw("zz_a", b"n\n7e9\n"),
    "module": lambda shop: _edit(shop.code / "zz_a.py"),
    "imported module": lambda shop: _edit(shop.code / "_zz_helper.py"),
    "data beside the module": lambda shop: _edit(shop.code / "zz_a_names.csv"),
    "table edited": lambda shop: _edit(shop.root / "warehouse" / "tables" / "runs" / "zz_a.parquet"),
    "table gone": lambda shop: (shop.root / "warehouse" / "tables" / "runs" / "zz_a.parquet").unlink(),
    "table too many": lambda shop: (shop.root / "warehouse" / "tables" / "sources" / "zz_a.parquet").rename(
        shop.root / "warehouse" / "tables" / "evals" / "zz_a.parquet"
    ),
    "stamp torn": lambda shop: (shop.root / "warehouse" / ".stamps" / "zz_a.json").write_text("{", encoding="utf-8"),
    "stamp of another shape": lambda shop: (shop.root / "warehouse" / ".stamps" / "zz_a.json").write_text("[]"),
}


SHOWN = ("raw file", "module", "table edited", "table gone", "stamp torn")


@pytest.mark.parametrize(
    "change", [pytest.param(change, marks=[pytest.mark.ci] * (change not in SHOWN)) for change in CHANGES]
)
def test_whatever_a_source_depends_on_builds_it_again(shop: Workshop, change: str) -> None:
    (shop.code / "_zz_helper.py").write_text("A = 1\n", encoding="utf-8")
    (shop.code / "zz_a_names.csv").write_text("name\n", encoding="utf-8")
    shop.add("zz_a", act="from ingest import _zz_helper")
    shop.add("zz_b")
    shop.build("zz_a", "zz_b")
    fresh = shop.tables()
    CHANGES[change](shop)
    results = shop.build("zz_a", "zz_b")
    assert (results["zz_a"].is_skipped, results["zz_b"].is_skipped) == (False, True)
    assert results["zz_a"].error is None
    if change != "raw file":
        assert shop.tables() == fresh
    assert _is_skipped(shop)


def test_a_changed_schema_builds_everything_again(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add("zz_a")
    shop.build("zz_a")
    other = tmp_path / "schema.py"
    other.write_text("# another schema\n", encoding="utf-8")
    monkeypatch.setattr(scalingdb.schema, "__file__", str(other))
    assert not _is_skipped(shop)


def test_a_raw_file_that_is_altered_is_refused_not_skipped(shop: Workshop) -> None:
    shop.add("zz_a")
    shop.build("zz_a")
    before = shop.tables()
    shop.write_raw("zz_a", b"n\n1e9\n3e9\n", recorded=False)
    for _ in range(2):  # a source that failed is tried again
        error = shop.build("zz_a")["zz_a"].error
        assert isinstance(error, RawFileError)
        assert "'table.csv' is not the file that was curated" in error.fact
    assert shop.tables() == before


def test_a_helper_of_another_source_changes_nothing(shop: Workshop) -> None:
    shop.add("zz_a")
    shop.build("zz_a")
    (shop.code / "_zz_other.py").write_text("A = 1\n", encoding="utf-8")
    shop.add("zz_b", act="from ingest._zz_other import A")
    assert _is_skipped(shop)


def test_without_a_place_for_stamps_the_build_goes_on(shop: Workshop) -> None:
    shop.add("zz_a")
    (shop.root / "blocked").write_text("a file", encoding="utf-8")
    result = shop.build("zz_a", stamps=shop.root / "blocked")["zz_a"]
    assert (result.error, result.is_skipped) == (None, False)


def test_files_printed_from_the_warehouse_have_a_stamp_too(tmp_path: Path) -> None:
    table, page = tmp_path / "tables" / "a.txt", tmp_path / "page.txt"
    table.parent.mkdir()
    table.write_text("1", encoding="utf-8")
    page.write_text("one", encoding="utf-8")
    stamps = Stamps(tmp_path / "stamps", shipped=tmp_path, local=tmp_path, raw=None)
    assert not stamps.is_current("page", [table.parent], [page])
    stamps.keep_current("page", [table.parent], [page])
    assert stamps.is_current("page", [table.parent], [page])
    page.write_text("two", encoding="utf-8")
    assert not stamps.is_current("page", [table.parent], [page])
    page.write_text("one", encoding="utf-8")
    table.write_text("2", encoding="utf-8")
    assert not stamps.is_current("page", [table.parent], [page])


# ---- sources that begin or cease to ship ---------------------------------------------------------


@pytest.mark.parametrize("shipped", [True, False])
def test_a_source_lies_in_one_folder_only(shop: Workshop, shipped: bool) -> None:
    shop.add("zz_a", shipped=shipped)
    shop.build("zz_a")
    shop.add("zz_a", shipped=not shipped)
    result = shop.build("zz_a")["zz_a"]
    old, new = ("tables", "local") if shipped else ("local", "tables")
    lies = {(Path(name).parts[0], Path(name).parts[1]) for name in shop.tables()}
    assert {pile for pile, table in lies if table not in FACTS} == {new}
    assert {pile for pile, table in lies if table in FACTS} == {"tables"}
    assert f"runs/zz_a.parquet (removed from {old})" in result.changed
    assert _is_skipped(shop)


def test_a_move_that_fails_leaves_the_source_where_it_was(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.add("zz_a")
    shop.build("zz_a")
    before = shop.tables()
    shop.add("zz_a", shipped=False)
    replace = Path.replace

    def fail_on_the_last(self: Path, other: Path) -> Path:
        if other.name == "manifest.json":
            monkeypatch.setattr(Path, "replace", replace)
            raise OSError("Input/output error")
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", fail_on_the_last)
    assert shop.build("zz_a")["zz_a"].error is not None
    assert shop.tables() == before


# ---- the program ---------------------------------------------------------------------------------


def _program(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "importtime", "-m", "ingest", "build", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=CHECKOUT, env={**os.environ})


def test_a_rebuild_with_nothing_changed_loads_neither_pandera_nor_duckdb(tmp_path: Path) -> None:
    arguments = ("hoffmann", "--target", str(tmp_path), "--json", "--workers", "1")
    first = _program(*arguments)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["sources"][0]["status"] == "changed"
    again = _program(*arguments)
    assert again.returncode == 0, again.stderr
    (source,) = json.loads(again.stdout)["sources"]
    assert (source["status"], source["is_skipped"]) == ("unchanged", True)
    loaded = {line.rpartition("|")[2].strip() for line in again.stderr.splitlines()}
    assert "polars" in loaded
    assert not loaded & {"pandera", "duckdb", "pyarrow", "pooch", "ingest.hoffmann"}
    forced = _program(*arguments, "--force")
    assert json.loads(forced.stdout)["sources"][0]["is_skipped"] is False


def test_progress_is_told_a_line_a_source_and_the_summary_ends_in_a_count(tmp_path: Path) -> None:
    done = _program("hoffmann", "kaplan", "--target", str(tmp_path), "--workers", "1")
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert [line.partition(": ")[0] for line in told] == ["[1/2] hoffmann", "[2/2] kaplan"]
    assert "2 sources, " in done.stdout
    assert "2 changed" in done.stdout


@pytest.mark.parametrize("fault", ["stale", "marks of a merge"])
def test_a_build_of_all_sources_mends_a_manifest_that_a_merge_left_behind(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    shop.add("zz_a")
    monkeypatch.setattr("ingest._build.source_ids", lambda: ["zz_a"])
    shop.build("zz_a")
    manifest = shop.root / "warehouse" / MANIFEST
    right = manifest.read_text(encoding="utf-8")
    wrong = right.replace('"size": ', '"size": 1') if fault == "stale" else f"<<<<<<< ours\n{right}"
    manifest.write_text(wrong, encoding="utf-8")
    assert shop.build("zz_a")["zz_a"].changed == []
    assert manifest.read_text(encoding="utf-8") == right
