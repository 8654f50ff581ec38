"""The benchmark of queries runs on a small table, agrees with its peer, and says what is missing."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

import scalingdb as sdb

FILE = Path(__file__).resolve().parents[1] / "benchmarks" / "query_speed.py"
ROWS = 20_000


@pytest.fixture(scope="module")
def query_speed() -> ModuleType:
    spec = importlib.util.spec_from_file_location("query_speed", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["query_speed"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_generated_table_is_in_our_layout(query_speed: ModuleType, tmp_path: Path) -> None:
    scores, runs = query_speed.generate(ROWS, 1)
    assert scores.height == ROWS
    assert scores.equals(query_speed.generate(ROWS, 1)[0])
    assert not scores.equals(query_speed.generate(ROWS, 2)[0])
    assert scores.select("run_id", "eval_set", "step").is_duplicated().sum() == 0
    query_speed.write_warehouse(tmp_path, scores, runs)
    with sdb.connect(tmp_path) as db:
        assert db.sql("select count(*) from evals").item() == ROWS
        assert db.sql("select count(distinct run_id) from evals semi join runs using (run_id)").item() == runs.height


def test_the_shapes_answer_what_they_ask(query_speed: ModuleType, tmp_path: Path) -> None:
    scores, runs = query_speed.generate(ROWS, 0)
    query_speed.write_warehouse(tmp_path, scores, runs)
    full = scores.join(runs.select("run_id", "family", "n_params"), on="run_id")
    series = pl.col("run_id") == runs["run_id"][0]
    last = full.sort("step").group_by("run_id", "eval_set").last()["value"].sum()
    wanted = {
        "group": (full.group_by("family", "eval_set").agg(pl.col("value").mean())["value"].sum()),
        "filter_join_group": full.filter(
            pl.col("n_params") > 1e9, pl.col("eval_set") < "task-10", pl.col("step") >= 50_000
        )
        .group_by("family")
        .agg(pl.col("value").max())["value"]
        .sum(),
        "window": last,
        "arg_max": last,
        "point": full.filter(series & (pl.col("eval_set") == "task-00"))["value"].sum(),
    }
    with sdb.connect(tmp_path) as db:
        found = {
            shape.name: db.sql(shape.sql)["value"].sum() for shape in query_speed.shapes(runs["run_id"][0], "task-10")
        }
    assert found == pytest.approx(wanted, rel=1e-12)
    assert set(found) == set(query_speed.MIN_RATIO)


def test_the_script_runs_and_says_that_pandas_is_absent(
    query_speed: ModuleType,
    small_warehouse: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("scalingdb.warehouse.default_path", lambda: small_warehouse)
    sources = {v: "emergent_inabilities" if v.startswith("scores") else "farseer" for v in query_speed.VIEWS}
    monkeypatch.setattr(query_speed, "ONE_SOURCE", sources)
    monkeypatch.setattr(query_speed, "pd", None)
    assert query_speed.main(["--rows", str(ROWS), "--repeats", "1"]) == 0
    printed = capsys.readouterr().out
    assert "--with pandas" in printed
    assert "points_unique" in printed


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is no dependency: uv run --with pandas")
def test_pandas_gives_the_same_answers(query_speed: ModuleType) -> None:
    assert query_speed.compare_shapes(ROWS, 0, 1)["ratio"].min() > 0


def test_wrong_numbers_are_refused(query_speed: ModuleType) -> None:
    with pytest.raises(SystemExit, match="2"):
        query_speed.main(["--rows", "0"])
