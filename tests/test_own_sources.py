"""A user's own results: what is read, what is refused, and that nothing is stored by halves."""

from __future__ import annotations

import ast
import contextlib
import copy
import datetime
import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from typer.testing import CliRunner, Result

import scalingdb as sdb
from scalingdb import _store, own_sources
from scalingdb._store import write_manifest
from scalingdb.cli import app
from scalingdb.errors import DataError, ScalingDBError, UnknownNameError, WarehouseError
from scalingdb.schema import TABLES
from scalingdb.verification import verify
from scalingdb.warehouse import _session, _tables, local_folder
from tests import _own_files

HEADER = "Params,Tokens,val_loss,note"
MAP = {"n_params": "Params", "n_tokens": "Tokens", "loss": "val_loss"}
GIVEN: dict[str, Any] = {"unit": "nats_per_token", "eval_set": "c4_val", "scale": {"n_params": 1e9, "n_tokens": 1e9}}

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
(SNIPPET,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "add_source" in block]
"""The lines that README.md shows."""


@pytest.fixture(autouse=True)
def own(tmp_path: Path, small_warehouse: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder beside a few curated sources, and a working directory, for every test."""
    monkeypatch.setenv("SCALINGDB_LOCAL", str(tmp_path / "own"))
    monkeypatch.setattr("scalingdb.warehouse.default_path", lambda: small_warehouse)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return tmp_path / "own"


def _table(*rows: str, header: str = HEADER) -> Path:
    file = Path("runs.csv")
    file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return file


def _law(n: float, d: float) -> float:
    return 1.7 + 400 * (n * 1e9) ** -0.34 + 410 * (d * 1e9) ** -0.28


def _grid() -> list[str]:
    return [f"{n},{d},{_law(n, d)!r},x" for n in (0.1, 0.3, 1, 3, 10) for d in (1, 5, 20, 100)]


def _stored(own: Path) -> list[Path]:
    """Files of the state: not the lock, the manifest, and contents that readers may still want."""
    files = [path for path in own.rglob("*") if path.is_file() and path.name not in {".lock", "manifest.json"}]
    return [path for path in files if path.parent.name != "replaced"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


# ---- a table -------------------------------------------------------------------------------------


def test_the_five_lines_of_the_readme() -> None:
    _table(*_grid())
    names: dict[str, Any] = {}
    exec(SNIPPET, names)
    assert names["points"].height == 20
    assert names["fit"].params["E"] == pytest.approx(1.7, rel=1e-4)
    assert names["fit"].params["alpha"] == pytest.approx(0.34, rel=1e-3)
    assert len(ast.parse(SNIPPET).body) <= 5


def test_an_own_source_is_queried_beside_the_curated_ones(own: Path) -> None:
    added = sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN, title="My sweep")
    assert (added.rows, added.unused, added.folder) == ({"sources": 1, "runs": 20, "evals": 20}, ("note",), own)
    with sdb.connect() as db:
        points = db.points("mine")
        assert points["n_params"].unique().sort().to_list() == pytest.approx([1e8, 3e8, 1e9, 3e9, 1e10])
        assert points["loss_nats"].to_list() == points["loss"].to_list()
        assert set(points["n_definition"]) == {"n_params"}
        assert set(points["raw_file"]) == {"runs.csv"}
        row = db.sources().filter(source_id="mine").row(0, named=True)
        assert (row["is_shipped"], row["licence"], row["title"], row["n_runs"]) == (False, "own data", "My sweep", 20)
        both = db.sql("select count(distinct source_id) from points where source_id in ('mine', 'farseer')")
        assert both.item() == 2
    files = {path.relative_to(own).as_posix() for path in _stored(own)}
    assert files == {f"tables/{table}/mine.parquet" for table in ("sources", "runs", "evals")}
    for table in ("sources", "runs", "evals"):
        frame = pl.read_parquet(own / "tables" / table / "mine.parquet")
        assert dict(frame.schema) == dict(pl.Schema(TABLES[table].polars_schema))


def test_parquet_and_tabs_give_what_csv_gives() -> None:
    csv = _table(*_grid())
    frame = pl.read_csv(csv)
    frame.write_parquet("runs.parquet")
    frame.write_csv("runs.tsv", separator="\t")
    found = []
    for name in ("runs.csv", "runs.parquet", "runs.tsv"):
        sdb.add_source(name, "mine", MAP, **GIVEN)
        found.append(sdb.connect().points("mine").drop("raw_file"))
        sdb.remove_source("mine")
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])


def test_checkpoints_of_a_run_are_a_curve_and_its_last_value_a_point() -> None:
    rows = [f"{run},{step},{step * 1e6},1e9,{4 - step / 100}" for run in ("a", "b") for step in (0, 50, 100)]
    _table(*rows, header="name,step,tokens,n_params,loss")
    sdb.add_source("runs.csv", "mine", {"run_id": "name", "n_tokens": "tokens"}, unit="nats_per_token", eval_set="v")
    db = sdb.connect()
    assert db.table("runs").filter(source_id="mine")["run_id"].to_list() == ["mine/a", "mine/b"]
    assert db.curves("mine")["n_tokens"].to_list() == [0, 5e7, 1e8] * 2
    assert db.points("mine").select("step", "loss", "n_tokens").rows() == [(100, 3.0, 1e8)] * 2


def test_several_metrics_and_columns_that_are_named_as_ours() -> None:
    _table("1e9,55,2.5", "2e9,60,2.4", header="n_params,accuracy,bpb")
    columns = {"acc": "accuracy", "bits_per_byte": "bpb"}
    scale = {"acc": 0.01}
    sdb.add_source("runs.csv", "mine", columns, unit="bits_per_byte", eval_set="hellaswag", scale=scale)
    db = sdb.connect()
    assert db.sql("select score, unit from scores where source_id = 'mine' order by score").rows() == [
        (0.55, "fraction"),
        (0.6, "fraction"),
    ]
    assert sorted(db.points("mine")["loss"]) == [2.4, 2.5]


def test_an_export_holds_own_sources(tmp_path: Path) -> None:
    sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    file = sdb.connect().export(tmp_path / "all.duckdb")
    with sdb.connect(file) as db:
        assert db.points("mine").height == 20


def test_a_warehouse_that_is_named_shows_no_own_source(make_warehouse: Callable[..., Path]) -> None:
    sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    folder = make_warehouse([{"run_id": "toy/1", "n_params": 1e9}], [{"run_id": "toy/1", "value": 2.5, "raw_row": 1}])
    assert sdb.connect(folder).sources()["source_id"].to_list() == ["toy"]


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["1,2,big,x"], ["loss = 'val_loss': 1 cell(s) that are not numbers (row 3 says 'big')"]),
        (["1,2,31,x", "1,2,-1,x"], ["row 3, 'val_loss': value 31.0 is outside 0.0 to 30.0", "row 4, 'val_loss'"]),
        (["0,2,2.5,x"], ["mine/row 3: n_params = 0.0 is below 1 parameters"]),
        (["1e9,2,2.5,x"], ["mine/row 3: n_params = 1e+18 is above"]),
        (["1,1e12,2.5,x"], ["mine/row 3: n_tokens = 1e+21 is above"]),
    ],
)
def test_bad_values_are_told_with_their_row(own: Path, rows: list[str], told: list[str]) -> None:
    _table("1,2,2.5,x", "1,3,2.4,x", *rows)
    with pytest.raises(DataError) as caught:
        sdb.add_source("runs.csv", "mine", MAP, **GIVEN)
    for text in told:
        assert text in caught.value.fact
    assert "fix these" in str(caught.value.hint)
    assert _stored(own) == []


@pytest.mark.parametrize(
    ("column", "kept", "values", "bad"),
    [
        ("seed", [7, 2**53 + 1], ["7.0", "9007199254740993"], ["2.5", "1e19"]),
        ("n_shots", [5], ["5"], ["2.5"]),
        ("is_instruct", [True, False, None], ["yes", "0.0", "n/a"], ["maybe", "2"]),
        (
            "release_date",
            [datetime.date(2024, 2, 1), datetime.date(2024, 2, 1)],
            ["2024-02-01", "2024-02-01 00:00:00.000000"],
            ["05/06/2020", "2020", "2020-13-01", "20200101", "2024-02-01 12:00:00"],
        ),
    ],
)
def test_whole_numbers_truth_values_and_dates_are_kept_as_they_are_or_refused(
    column: str, kept: list[Any], values: list[str], bad: list[str]
) -> None:
    def frame(cells: list[str]) -> pl.DataFrame:
        names = [f"run {i}" for i in range(len(cells))]
        sizes = [1e8 * (i + 1) for i in range(len(cells))]
        return pl.DataFrame({"run": names, "params": sizes, column: cells}).with_columns(val_loss=pl.lit(3.0))

    sdb.add_source(frame(values), "mine", unit="nats_per_token")
    table = "evals" if column == "n_shots" else "runs"
    with sdb.connect() as db:
        assert db.sql(f"select {column} from {table} where source_id = 'mine'").to_series().to_list() == kept
    for cell in bad:
        with pytest.raises(DataError, match=rf"{column} = '?{re.escape(cell[:2])}.* is (?:no|neither)"):
            sdb.add_source(frame([cell]), "other", unit="nats_per_token")


def test_a_row_without_a_value_is_left_out_and_counted(notices: Callable[[], list[str]]) -> None:
    _table("1,2,2.5,x", "1,3,2.4,x", "1,4,,x", "1,5,nan,x")
    assert sdb.add_source("runs.csv", "mine", MAP, **GIVEN).rows["evals"] == 2
    assert any("2 row(s) without a value in 'val_loss'" in text for text in notices())


def test_rows_that_are_added_on_another_set_are_told(notices: Callable[[], list[str]]) -> None:
    given = {**GIVEN, "eval_set": "a"}
    sdb.add_source(_table("1,2,2.5,x"), "mine", MAP, **given)
    sdb.add_source(_table("3,4,2.4,x"), "mine", MAP, **{**given, "eval_set": "b"}, append=True)
    (told,) = [text for text in notices() if "the new rows of loss are on" in text]
    assert "'b', the earlier ones on 'a': points('mine') shows one of them; eval_set='a' brings" in told


def test_a_source_is_replaced_or_gets_more_rows() -> None:
    sdb.add_source(_table("1,2,2.5,x", "1,3,2.4,x"), "mine", MAP, **GIVEN)
    sdb.add_source(_table("2,2,2.45,x"), "mine", MAP, **GIVEN, replace=True)
    assert sdb.connect().points("mine")["loss"].to_list() == [2.45]
    table = _table("b,4,2,2.3", header="run,Params,Tokens,val_loss")
    sdb.add_source(table, "mine", MAP, **GIVEN, append=True)
    assert sdb.connect().points("mine")["loss"].sort().to_list() == [2.3, 2.45]
    sdb.add_source(table, "mine", MAP, **GIVEN, append=True)  # the same rows once more
    assert sdb.connect().points("mine")["loss"].sort().to_list() == [2.3, 2.45]
    with pytest.raises(DataError, match=r"in source 'mine' with another value: \('mine/b', 'loss'\)"):
        sdb.add_source(_table("b,4,2,2.2", header="run,Params,Tokens,val_loss"), "mine", MAP, **GIVEN, append=True)
    assert sdb.connect().points("mine")["loss"].sort().to_list() == [2.3, 2.45]
    with pytest.raises(UnknownNameError, match="unknown own source 'mien'"):
        sdb.add_source(table, "mien", MAP, **GIVEN, append=True)


WIDE = {"run_id": "run", "n_params": "P", "n_tokens": "T", "loss": "L", "corpus": "c"}


def _append(mapping: dict[str, str] = WIDE, *, eval_set: str = "y", append: bool = True, **columns: list[Any]) -> None:
    sdb.add_source(pl.DataFrame(columns), "mine", mapping, unit="nats_per_token", eval_set=eval_set, append=append)


SAID = {"run": ["a", "b"], "P": [1e9, 2e9], "T": [2e10, 2e10], "L": [2.5, 2.4], "c": ["c4", "c4"], "k": [1, 2]}


@pytest.mark.parametrize(
    ("column", "values", "stated"),
    [
        ("P", [7e9, 2e9], "'n_params': 1000000000.0, 7000000000.0"),
        ("c", ["pile", "c4"], "'corpus': 'c4', 'pile'"),
        ("k", [3, 2], "'k': 1.0, 3.0"),
    ],
)
def test_rows_that_say_otherwise_of_a_run_are_refused(column: str, values: list[Any], stated: str) -> None:
    mapping, count = {**WIDE, "k": "k"}, "select count(*) as n from evals where source_id = 'mine'"
    _append(mapping, eval_set="x", append=False, **SAID)
    other = {**SAID, "L": [2.1, 2.0]}
    with pytest.raises(DataError, match=rf"rows 1: run 'a' has several values of {re.escape(stated)}"):
        _append(mapping, **{**other, column: values})
    assert sdb.connect().sql(count).item() == 2
    _append(mapping, **other)
    assert sdb.connect().sql(count).item() == 4


def test_each_measurement_of_a_run_keeps_its_own_tokens() -> None:
    _append(eval_set="x", append=False, run=["a", "b"], P=[1e9, 2e9], T=[2e10, 2e10], L=[2.5, 2.4], c=["c4", "c4"])
    _append(run=["a", "d"], P=[1e9, 3e9], T=[5e11, 6e11], L=[2.1, 2.0], c=["c4", None])
    found = sdb.connect().sql("select eval_set, n_params, n_tokens, loss from points where source_id = 'mine'")
    wanted = [("x", 1e9, 2e10, 2.5), ("x", 2e9, 2e10, 2.4), ("y", 1e9, 5e11, 2.1), ("y", 3e9, 6e11, 2.0)]
    assert sorted(found.rows()) == wanted


def test_what_is_appended_is_as_if_all_had_been_added_at_once() -> None:
    """N and D of a run hold for an evaluation that states neither; N of a later table becomes the source's."""
    only = {"run_id": "run", "loss": "L"}
    _append(eval_set="x", append=False, run=["a", "b"], P=[1e9, 2e9], T=[2e10, 4e10], L=[2.5, 2.4], c=["c4", "c4"])
    _append(only, run=["a", "b"], L=[2.1, 2.0])
    found = sdb.connect().sql("select eval_set, n, n_tokens, loss from points where source_id = 'mine' order by all")
    assert found.rows() == [("x", 1e9, 2e10, 2.5), ("x", 2e9, 4e10, 2.4), ("y", 1e9, 2e10, 2.1), ("y", 2e9, 4e10, 2.0)]
    flops = {"run_id": "run", "train_flops": "F", "loss": "L"}
    sdb.add_source(
        pl.DataFrame({"run": ["a"], "F": [1e20], "L": [2.5]}),
        "mine",
        flops,
        unit="nats_per_token",
        eval_set="x",
        replace=True,
    )
    _append({**only, "n_params_non_embedding": "P"}, run=["a"], P=[1e9], L=[2.1])
    assert sdb.connect().sql("select n from points where source_id = 'mine'").to_series().to_list() == [1e9, 1e9]


def test_the_order_of_appending_does_not_matter() -> None:
    """Tokens that held for the whole run hold for their own row alone once another row states others."""
    mapping = {"run_id": "run", "n_params": "P", "n_tokens": "T", "step": "s", "loss": "L", "eval_set": "e"}
    schema = {"run": pl.String, "P": pl.Float64, "T": pl.Float64, "s": pl.Int64, "L": pl.Float64, "e": pl.String}
    rows = [("r", 1e9, 2e10, 100, 3.0, "x"), ("r", 1e9, None, 300, 2.7, "y"), ("r", 1e9, 6e10, 300, 2.75, "x")]
    found = []
    for parts in ([rows], [[row] for row in rows], [[rows[2]], [rows[0]], [rows[1]]]):
        for i, part in enumerate(parts):
            frame = pl.DataFrame(part, schema=schema, orient="row")
            sdb.add_source(frame, "mine", mapping, unit="nats_per_token", append=i > 0, replace=i == 0)
        found.append(sdb.connect().curves("mine", eval_set="*").select("eval_set", "step", "n_tokens", "loss").rows())
    assert found[0] == found[1] == found[2]
    assert ("y", 300.0, None, 2.7) in found[0]


@pytest.mark.parametrize(
    ("first", "then", "shown"),
    [
        # a diverges in the second part: no checkpoint of it is its end
        (
            [("a", 1, 3.1), ("a", 2, 2.9), ("a", 3, 2.8), ("a", 4, 2.8), ("b", 5, 2.8)],
            [("a", 5, 6.0)],
            {"b": 2.8},
        ),
        # a stops short of what the runs of the second part show to be the plan
        ([("a", 200, 2.8)], [(run, 500, 2.5) for run in "bcd"], {"b": 2.5, "c": 2.5, "d": 2.5}),
        # a is short until it goes on
        (
            [("a", 200, 2.8), *((run, 500, 2.5) for run in "bcd")],
            [("a", 500, 2.6)],
            {"a": 2.6, "b": 2.5, "c": 2.5, "d": 2.5},
        ),
    ],
)
def test_appended_rows_get_the_flags_that_all_rows_would(
    first: list[tuple[str, int, float]], then: list[tuple[str, int, float]], shown: dict[str, float]
) -> None:
    mapping = {"run_id": "run", "n_params": "P", "step": "s", "loss": "L"}
    sizes = {"a": 1e9, "b": 2e9, "c": 3e9, "d": 4e9}
    given: dict[str, Any] = {"unit": "nats_per_token", "eval_set": "x"}
    found = []
    for parts in ([first + then], [first, then]):
        for i, part in enumerate(parts):
            frame = pl.DataFrame([{"run": run, "P": sizes[run], "s": s, "L": loss} for run, s, loss in part])
            sdb.add_source(frame, "mine", mapping, **given, append=i > 0, replace=i == 0)
        points = sdb.connect().points("mine")
        found.append({run.removeprefix("mine/"): loss for run, loss in points.select("run_id", "loss").rows()})
        found.append(sdb.connect().curves("mine", flagged=True).select("run_id", "step", "flag").sort(pl.all()).rows())
    assert found[0] == shown
    assert found[2:] == found[:2]


def test_a_measurement_that_is_added_again_must_be_the_same(notices: Callable[[], list[str]]) -> None:
    row = {"run": ["a"], "P": [1e9], "T": [2e10], "L": [2.5], "c": ["c4"]}
    _append(append=False, **row)
    for other, name in (({"L": [2.4]}, "value"), ({"T": [3e10]}, "n_tokens")):
        with pytest.raises(DataError, match=rf"1 measurement\(s\) are in source 'mine' with another {name}: .*mine/a"):
            _append(**{**row, **other})
    with pytest.raises(DataError, match="with another unit"):
        sdb.add_source(pl.DataFrame(row), "mine", WIDE, unit="bits_per_token", eval_set="y", append=True)
    _append({**WIDE, "std_error": "s"}, **row, s=[0.1])
    assert sdb.connect().sql("select loss, std_error from points where source_id = 'mine'").rows() == [(2.5, 0.1)]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_row_without_its_place_on_the_curve_is_not_taken_for_the_last(at_once: bool) -> None:
    mapping = {"run_id": "run", "n_params": "P", "n_tokens": "T", "step": "s", "loss": "L"}
    frame = pl.DataFrame(
        {"run": "a", "P": 1e9, "s": [1000, 2000, 3000, 4000], "T": [1e9, None, 3e9, 4e9], "L": [3.0, 2.8, 2.6, 2.5]}
    )
    given: dict[str, Any] = {"unit": "nats_per_token", "eval_set": "x"}
    if at_once:
        sdb.add_source(frame, "mine", mapping, **given)
    else:
        sdb.add_source(frame.filter(pl.col("T").is_not_null()), "mine", mapping, **given)
        bare = frame.filter(pl.col("T").is_null()).drop("T")
        sdb.add_source(bare, "mine", {k: v for k, v in mapping.items() if v != "T"}, **given, append=True)
    db = sdb.connect()
    assert db.points("mine")["loss"].to_list() == [2.5]
    assert db.curves("mine").sort("step")["loss"].to_list() == [3.0, 2.6, 2.5]
    assert db.curves("mine", flagged=True).filter(flag="unplaced")["loss"].to_list() == [2.8]
    if at_once:
        assert sdb.read_runs(frame, mapping, **given).sort("loss")["loss"][0] == 2.5


@pytest.mark.parametrize(
    ("first", "then", "kept"),
    [
        (2**60 + 1, 5, [2**60 + 1, 5]),
        (2**60 + 1, 0.5, [str(2**60 + 1), "0.5"]),
        (1, 0.5, [1.0, 0.5]),
        (0.1, "big", ["0.1", "big"]),
        (1000, "big", ["1000", "big"]),
    ],
)
def test_knobs_of_two_types_keep_their_values(first: Any, then: Any, kept: list[Any]) -> None:
    mapping = {**WIDE, "my_knob": "k"}
    row = {"P": [1e9], "T": [2e10], "L": [2.5], "c": ["c4"]}
    _append(mapping, append=False, run=["a"], k=[first], **row)
    _append(mapping, run=["b"], k=[then], **row)
    assert sdb.connect().points("mine").sort("run_id")["my_knob"].to_list() == kept
    sdb.add_source(
        pl.DataFrame({**row, "run": ["c"], "k": ["b"]}), "other", mapping, unit="nats_per_token", eval_set="y"
    )
    assert sdb.connect().points(["mine", "other"])["my_knob"].to_list() == [
        *(str(k).removesuffix(".0") for k in kept),
        "b",
    ]


def test_a_knob_that_changes_within_a_run_or_has_the_name_of_a_views_column_is_refused() -> None:
    rows = {"run": ["a", "a"], "P": [1e9] * 2, "L": [2.5, 2.4], "s": [1, 2], "k": [0.1, 0.2]}
    with pytest.raises(DataError, match=r"run 'a' has several values of 'k': 0\.1, 0\.2"):
        _append({"run_id": "run", "n_params": "P", "loss": "L", "step": "s", "k": "k"}, append=False, **rows)
    for name in ("loss_nats", "n_definition"):
        with pytest.raises(DataError, match=f"'{name}' is a column that the warehouse computes"):
            _append({"run_id": "run", "n_params": "P", "loss": "L", name: "k"}, append=False, **rows)


def test_runs_without_a_name_are_not_taken_for_those_of_the_same_row(notices: Callable[[], list[str]]) -> None:
    sdb.add_source(_table("1,2,2.5,x", "3,2,2.3,x"), "mine", MAP, **GIVEN)
    sdb.add_source(_table("1,2,2.5,x", "3,2,2.3,x", "4,2,2.2,x"), "mine", MAP, **GIVEN, append=True)  # the table grew
    assert sdb.connect().points("mine")["loss"].sort().to_list() == [2.2, 2.3, 2.5]
    assert not [text for text in notices() if "are numbered" in text]
    sdb.add_source(_table("9,2,2.1,x"), "mine", MAP, **GIVEN, append=True)
    points = sdb.connect().points("mine").sort("n_params")
    assert points.select("run_id", "n_params", "loss").row(3) == ("mine/row 4", 9e9, 2.1)
    assert [text for text in notices() if "rows without a name of their run are numbered from 4 on" in text]


def test_what_was_not_known_of_a_run_is_completed() -> None:
    _append(eval_set="x", append=False, run=["a", "b"], P=[1e9, 2e9], T=[2e10, 2e10], L=[2.5, 2.4], c=[None, "c4"])
    _append({**WIDE, "family": "f"}, run=["a"], P=[1e9], T=[2e10], L=[2.1], c=["pile"], f=["llama"])
    found = sdb.connect().sql("select corpus, family, n_tokens from runs where source_id = 'mine' order by run_id")
    assert found.rows() == [("pile", "llama", 2e10), ("c4", "mine", 2e10)]


def test_a_headline_is_what_was_mapped() -> None:
    table = _table("1,2,2.5,2.1", header="Params,Tokens,val_loss,train_loss")
    sdb.add_source(table, "mine", MAP, **GIVEN)
    db = sdb.connect()
    assert db.points("mine").select("loss", "metric", "eval_set").rows() == [(2.5, "loss", "c4_val")]
    assert db.sql("select metric from evals where source_id = 'mine'").rows() == [("loss",)]


@pytest.mark.parametrize("shape", [*_own_files.TABLES, *_own_files.EVALUATIONS])
def test_every_shape_that_is_read_can_be_added(tmp_path: Path, shape: str) -> None:
    make, options = (_own_files.TABLES | _own_files.EVALUATIONS)[shape]
    path, options = make(tmp_path), {name: value for name, value in options.items() if name != "curves"}
    read = sdb.read_runs(path, curves=True, flagged=True, **options)
    sdb.add_source(path, "mine", **options)
    stored = sdb.connect().sql("select value from evals where source_id = 'mine'")
    assert sorted(stored["value"]) == pytest.approx(sorted(read["value"].drop_nulls()), nan_ok=False)


def test_rows_that_contradict_each_other_are_kept_with_a_flag(tmp_path: Path) -> None:
    table = _table("1,2,2.5,x", "1,2,2.6,x", header="Params,Tokens,val_loss,name")
    sdb.add_source(table, "mine", {**MAP, "run_id": "name"}, **GIVEN)
    db = sdb.connect()
    assert db.points("mine")["loss"].to_list() == [2.5]
    rows = db.sql("select eval_set, value, flag from evals where source_id = 'mine' order by 1").rows()
    assert rows == [("c4_val", 2.5, None), ("c4_val#2", 2.6, "contradiction")]


def test_instances_of_a_helm_run_become_items(tmp_path: Path) -> None:
    sdb.add_source(_own_files.helm(tmp_path), "evaluated")
    items = (
        sdb.connect().sql("select item_id, metric, value from items where source_id = 'evaluated' order by 1").rows()
    )
    assert items == [(f"id{number}", "exact_match", float(number % 2)) for number in range(4)]


def test_items_come_in(tmp_path: Path) -> None:
    sdb.add_source(_own_files.inspect_json(tmp_path), "evaluated")
    assert sdb.connect().sql("select sum(value) from items where source_id = 'evaluated'").item() == 4


def test_what_was_mapped_comes_back_in_points() -> None:
    table = _table("1,2,2.5,512,3", "1,3,2.4,1024,4", header="Params,Tokens,val_loss,ctx,heads")
    sdb.add_source(table, "mine", {**MAP, "context_length": "ctx", "my_heads": "heads"}, **GIVEN)
    points = sdb.connect().points("mine").sort("loss")
    assert points.select("context_length", "my_heads").rows() == [(1024.0, 4.0), (512.0, 3.0)]


def test_a_long_list_of_faults_is_cut_and_counted() -> None:
    _table(*["1,2,2.5,x"] * 60, *["1,2,35,x"] * 50)
    with pytest.raises(DataError, match=r"(?s)50 fault\(s\).*and 30 more"):
        sdb.add_source("runs.csv", "mine", MAP, **GIVEN)


@pytest.mark.parametrize(
    ("changes", "error", "fact", "hint"),
    [
        ({"source_id": "farseer"}, DataError, "'farseer' exists already", "another name"),
        ({"source_id": "My Runs"}, DataError, "'My Runs' is not a valid name", "lower-case"),
        ({"mapping": {**MAP, "n_parms": "Params"}}, UnknownNameError, "'n_parms'", "'n_params'"),
        ({"mapping": {**MAP, "loss": "valloss"}}, UnknownNameError, "'valloss'", "'val_loss'"),
        ({"mapping": {**MAP, "raw_row": "note"}}, UnknownNameError, "'raw_row'", ""),
        ({"mapping": {"n_params": "Params", "L": "note"}, "scale": None}, DataError, "not numbers", "fix"),
        ({"mapping": {**MAP, "value": "val_loss"}}, DataError, "both mapped", "one of them"),
        ({"mapping": {"loss": "val_loss", "step": "Tokens"}, "scale": None}, DataError, "'run_id'", "map"),
        ({"unit": None}, DataError, "has no unit", "nats_per_token or bits_per_token"),
        ({"unit": "nats_per_tokn"}, UnknownNameError, "'nats_per_tokn'", "'nats_per_token'"),
        ({"unit": "fraction"}, DataError, "unit 'fraction' does not fit metric 'loss'", "nats_per_token"),
        ({"metric": "los"}, UnknownNameError, "'los'", "'loss'"),
        ({"scale": {"n_token": 1e9}}, UnknownNameError, "'n_token'", "'n_tokens'"),
        ({"mapping": {**MAP, "corpus": "note"}, "scale": {"corpus": 2.0}}, DataError, "'corpus' cannot be scaled", ""),
        ({"n_definition": "n_params_active"}, DataError, "no column is mapped", "map"),
        ({"what": "nowhere.csv"}, WarehouseError, "'nowhere.csv' does not exist", "file"),
        ({"what": "runs.txt"}, DataError, "'runs.txt'", "known are tables"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(
    own: Path, changes: dict[str, Any], error: type[ScalingDBError], fact: str, hint: str
) -> None:
    _table(*_grid())
    Path("runs.txt").write_text("a", encoding="utf-8")
    options: dict[str, Any] = {"what": "runs.csv", "source_id": "mine", "mapping": MAP, **GIVEN, **changes}
    with pytest.raises(error) as caught:
        sdb.add_source(**options)
    assert fact in caught.value.fact
    assert hint in str(caught.value.hint)
    assert _stored(own) == []


def test_a_size_that_changes_within_a_run_is_told_with_its_rows() -> None:
    _table("a,0,1e9,3", "a,1,2e9,2", header="run_id,step,n_params,loss")
    with pytest.raises(DataError, match=r"rows 1, 2: run 'a' has several values of 'n_params': "):
        sdb.add_source("runs.csv", "mine", unit="nats_per_token", eval_set="v")


def test_a_number_given_twice_is_kept_with_a_flag() -> None:
    _table("a,0,1e9,3", "a,0,1e9,2", header="run_id,step,n_params,loss")
    sdb.add_source("runs.csv", "mine", unit="nats_per_token", eval_set="v")
    rows = sdb.connect().sql("select value, flag, raw_row from evals where source_id = 'mine' order by raw_row").rows()
    assert rows == [(3.0, None, 1), (2.0, "contradiction", 2)]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"Params,Tokens,val_loss\n1,2,2.5\n1,2,\xe4\n", "not UTF-8 at byte 35"),
        (b"Params,Tokens,val_loss\n1,2,2.5,7,8\n", "line 2 has 5 cells"),
        (b"Params,Tokens,val_loss\n", "without rows"),
        (b"", "is empty"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(own: Path, content: bytes, told: str) -> None:
    Path("runs.csv").write_bytes(content)
    with pytest.raises(ScalingDBError, match=told):
        sdb.add_source("runs.csv", "mine", MAP, **GIVEN)
    assert _stored(own) == []


def test_a_byte_order_mark_is_accepted() -> None:
    Path("runs.csv").write_bytes(b"\xef\xbb\xbfParams,Tokens,val_loss\n1,2,2.5\n")
    assert sdb.add_source("runs.csv", "mine", MAP, **GIVEN).rows["runs"] == 1


def test_a_full_disk_leaves_nothing_behind(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _table(*_grid())
    replace = Path.replace

    def fail_on_the_last(self: Path, other: Path) -> Path:
        if self.name == "sources.parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", fail_on_the_last)
    with pytest.raises(WarehouseError, match="No space left"):
        sdb.add_source("runs.csv", "mine", MAP, **GIVEN)
    assert _stored(own) == []


# ---- removing, and files of another day ----------------------------------------------------------


def test_a_source_is_removed_and_can_come_back(own: Path) -> None:
    _table(*_grid())
    sdb.add_source("runs.csv", "mine", MAP, **GIVEN)
    with pytest.raises(DataError, match=r"(?s)'mine' exists already.*remove_source"):
        sdb.add_source("runs.csv", "mine", MAP, **GIVEN)
    sdb.remove_source("mine")
    assert _stored(own) == []
    assert "mine" not in sdb.connect().sources()["source_id"]
    sdb.add_source("runs.csv", "mine", MAP, **GIVEN)
    with pytest.raises(UnknownNameError, match=r"(?s)'mien'.*'mine'"):
        sdb.remove_source("mien")
    with pytest.raises(UnknownNameError, match=r"(?s)'farseer'.*Curated sources cannot be removed"):
        sdb.remove_source("farseer")


def test_a_file_in_place_of_the_tables_of_own_sources_is_told(own: Path) -> None:
    sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    shutil.rmtree(own / "tables")
    (own / "tables").touch()
    with pytest.raises(WarehouseError, match=r"(?s)cannot be read.*add --remove mine"):
        sdb.connect()
    sdb.remove_source("mine")
    assert sdb.connect().table("runs").filter(source_id="mine").is_empty()
    with pytest.raises(WarehouseError, match=r"(?s)cannot write.*move away the file that lies in place of a folder"):
        sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    (own / "tables").unlink()
    assert sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN).rows["runs"] == 20


def test_a_folder_in_place_of_a_file_of_own_sources_leaves_the_old_state(own: Path) -> None:
    sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    place = own / "tables" / "runs" / "other.parquet"
    (place / "kept").mkdir(parents=True)
    with pytest.raises(WarehouseError, match="Directory not empty"):
        sdb.add_source(_table(*_grid()), "other", MAP, **GIVEN)
    found = set(sdb.connect().sources()["source_id"])
    assert "mine" in found
    assert "other" not in found


def test_files_from_before_a_column_was_added_still_open(own: Path) -> None:
    sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    file = own / "tables" / "runs" / "mine.parquet"
    pl.read_parquet(file).drop("seed").with_columns(of_old=pl.lit(1)).write_parquet(file)
    write_manifest(own)
    runs = sdb.connect().table("runs").filter(source_id="mine")
    assert runs.height == 20
    assert runs["seed"].null_count() == 20
    pl.read_parquet(file).with_columns(n_params=pl.lit("1B")).write_parquet(file)
    with pytest.raises(WarehouseError, match=r"(?s)is damaged.*add --remove mine"):
        sdb.connect()
    write_manifest(own)
    with pytest.raises(WarehouseError, match=r"(?s)'n_params' has type String.*add --remove mine"):
        sdb.connect()


def test_a_curated_source_of_the_same_name_wins(own: Path, notices: Callable[[], list[str]]) -> None:
    sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
    for file in _stored(own):
        file.rename(file.with_name("farseer.parquet"))
    write_manifest(own)
    assert sdb.connect().table("runs").filter(pl.col("run_id").str.starts_with("mine/")).is_empty()
    assert any("'farseer' left out" in text for text in notices())


# ---- lm-evaluation-harness -----------------------------------------------------------------------

NEW = {
    "results": {
        "arc_easy": {
            "alias": "arc_easy",
            "acc,none": 0.5,
            "acc_stderr,none": 0.01,
            "acc_norm,none": 0.45,
            "acc_norm_stderr,none": "N/A",
        },
        "gsm8k": {"exact_match,strict-match": 0.1, "exact_match,flexible-extract": 0.2, "my_metric,none": 3.0},
    },
    "n-shot": {"arc_easy": 0, "gsm8k": 5},
    "n-samples": {"arc_easy": {"original": 2376, "effective": 2376}},
    "config": {
        "model": "hf",
        "model_args": "pretrained=EleutherAI/pythia-70m,revision=step1000,dtype=float",
        "model_num_parameters": 70426624,
    },
}
OLD = {
    "results": {"lambada_openai": {"ppl": 12.5, "ppl_stderr": 0.3, "acc": 0.4, "acc_stderr": 0.006}},
    "versions": {"lambada_openai": 0},
    "config": {"model": "hf-causal", "model_args": "pretrained=gpt2", "num_fewshot": 2, "limit": None},
}


def _harness(**reports: Any) -> Path:
    for place, report in reports.items():
        file = Path("output") / place / "results_2024-05-01.json"
        file.parent.mkdir(parents=True)
        file.write_text(report if isinstance(report, str) else json.dumps(report), encoding="utf-8")
    return Path("output")


def test_harness_results_of_both_layouts(notices: Callable[[], list[str]]) -> None:
    added = sdb.add_source(_harness(new=NEW, old=OLD), "mine")
    assert added.rows == {"sources": 1, "runs": 2, "evals": 6}
    assert added.unused == ("my_metric",)
    assert any("my_metric" in text for text in notices())
    db = sdb.connect()
    rows = db.sql("""
        select run_id, step, task, metric, n_shots, score, std_error, n_items, n_params, raw_file, raw_field
        from scores where source_id = 'mine' order by all
    """).rows()
    pythia, gpt2 = "mine/EleutherAI/pythia-70m", "mine/gpt2"
    new, old = "new/results_2024-05-01.json", "old/results_2024-05-01.json"
    n, gsm = 70426624.0, "results/gsm8k/exact_match"
    assert rows == [
        (pythia, 1000, "arc_easy", "acc", 0, 0.5, 0.01, 2376, n, new, "results/arc_easy/acc,none"),
        (pythia, 1000, "arc_easy", "acc_norm", 0, 0.45, None, 2376, n, new, "results/arc_easy/acc_norm,none"),
        (
            pythia,
            1000,
            "gsm8k (flexible-extract)",
            "exact_match",
            5,
            0.2,
            None,
            None,
            n,
            new,
            f"{gsm},flexible-extract",
        ),
        (pythia, 1000, "gsm8k (strict-match)", "exact_match", 5, 0.1, None, None, n, new, f"{gsm},strict-match"),
        (gpt2, None, "lambada_openai", "acc", 2, 0.4, 0.006, None, None, old, "results/lambada_openai/acc"),
    ]
    points = db.points("mine", eval_set="lambada_openai")
    assert points.select("loss", "unit").rows() == [(12.5, "perplexity_per_word")]


def test_a_limited_run_of_the_harness_is_flagged() -> None:
    sdb.add_source(_harness(a={**OLD, "config": {**OLD["config"], "limit": 10}}), "mine")  # type: ignore[dict-item]
    flags = sdb.connect().sql("select distinct flag, flag_reason from evals where source_id = 'mine'").rows()
    assert flags == [("limited", "run with --limit 10: a part of the task")]


@pytest.mark.parametrize(
    ("report", "told"),
    [
        ("{", "damaged JSON"),
        ({"config": {}}, "JSON of no known kind"),
        ({"results": {"arc": {"unheard_of": 1.0}}}, "none of unheard_of is known here"),
        ({"results": {"arc": {"acc": 55.0}}}, r"acc = 55 of arc \(no share\)"),
        ({"results": {"arc": {"acc": float("nan")}}}, "no task has a number"),
    ],
)
def test_harness_results_that_are_wrong_are_refused(own: Path, report: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        sdb.add_source(_harness(a=report), "mine")
    assert _stored(own) == []


def test_the_same_model_and_task_twice_counts_once_and_what_differs_is_flagged() -> None:
    other = {**OLD, "results": {"lambada_openai": {"acc": 0.41}}}
    assert sdb.add_source(_harness(a=OLD, b=other), "mine").rows["evals"] == 3
    flagged = (
        sdb.connect().sql("select value, raw_file from evals where source_id = 'mine' and flag is not null").rows()
    )
    assert [(value, file.partition("/")[0]) for value, file in flagged] == [(0.41, "b")]
    Path("output/b/results_2024-05-01.json").write_text(json.dumps(OLD), encoding="utf-8")
    assert sdb.add_source("output", "mine", replace=True).rows["evals"] == 2


def test_a_folder_without_results_is_refused() -> None:
    Path("output").mkdir()
    with pytest.raises(DataError, match="the folder is empty"):
        sdb.add_source("output", "mine")


# ---- the shell -----------------------------------------------------------------------------------


def test_the_command_adds_lists_fits_and_removes() -> None:
    _table(*_grid())
    options = [part for name, column in MAP.items() for part in ("--map", f"{name}={column}")]
    options += ["--scale", "n_params=1e9", "--scale", "n_tokens=1e9", "--unit", "nats_per_token"]
    added = run("add", "runs.csv", "--source-id", "mine", *options, "--eval-set", "c4_val", "--json")
    assert added.exit_code == 0, added.stderr
    assert json.loads(added.stdout)["rows"] == {"sources": 1, "runs": 20, "evals": 20}
    assert json.loads(added.stdout)["unused"] == ["note"]
    fitted = json.loads(run("fit", "mine", "chinchilla", "--json").stdout)
    assert fitted["glance"]["n_rows"] == 20
    assert run("add", "--remove", "mine").exit_code == 0
    assert run("fit", "mine", "chinchilla").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("runs.csv",), "--source-id"),
        (("runs.csv", "--source-id", "mine", "--map", "loss"), "--map loss=val_loss"),
        (("runs.csv", "--source-id", "mine", "--scale", "n_params=B"), "'B' is not a number"),
        (("runs.csv", "--remove", "mine"), "one at a time"),
        (("--remove", "mine"), "unknown own source 'mine'"),
    ],
)
def test_wrong_use_is_exit_code_2(arguments: tuple[str, ...], told: str) -> None:
    _table(*_grid())
    result = run("add", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr


# ---- attacks -------------------------------------------------------------------------------------


def _one(tmp_path: Path, **changes: object) -> Path:
    """A table of one run, with some cells changed."""
    row = {"n_params": 1e8, "n_tokens": 2e9, "loss": 3.0, "eval_set": "c4"} | changes
    pl.DataFrame({name: [value] for name, value in row.items()}).write_parquet(tmp_path / "one.parquet")
    return tmp_path / "one.parquet"


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"loss": 0.0}, "no language model has"),
        ({"loss": 1e-320}, "no language model has"),
        ({"loss": -1.0}, "no language model has"),
        ({"n_tokens": 0.0}, "n_tokens"),
        ({"n_params": 0.0}, "n_params"),
        ({"loss": True}, "holds"),
        ({"loss": datetime.date(2024, 1, 1)}, "holds"),
        ({"n_params": datetime.datetime(2024, 1, 1)}, "holds"),
        ({"n_params": datetime.timedelta(1)}, "holds"),
    ],
)
def test_what_is_no_measurement_is_refused(tmp_path: Path, changes: dict[str, object], fact: str) -> None:
    with pytest.raises(DataError, match=fact):
        sdb.add_source(_one(tmp_path, **changes), "mine", unit="nats_per_token")


@pytest.mark.parametrize("year", [10**30, 0, -5, True, 2024.5])
def test_a_year_is_a_year(tmp_path: Path, year: int) -> None:
    with pytest.raises(DataError, match="year"):
        sdb.add_source(_one(tmp_path), "mine", unit="nats_per_token", year=year)


def test_a_small_file_of_very_many_rows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "many.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select 3.0 as loss, 1e8 as n_params, 'c4' as eval_set from range(20000000)) to '{file}' "
            "(format parquet, compression zstd)"
        ).fetchall()
    with pytest.raises(DataError, match=r"20,000,000 rows; 5,000,000 can be read"):
        sdb.add_source(file, "mine", unit="nats_per_token")


def test_broken_rules_of_very_many_rows_are_told_briefly(tmp_path: Path) -> None:
    pl.DataFrame({"loss": [-1.0] * 50_000, "n_params": 1e8, "eval_set": "c4"}).write_parquet(tmp_path / "many.parquet")
    with pytest.raises(DataError) as caught:
        sdb.add_source(tmp_path / "many.parquet", "mine", unit="nats_per_token")
    assert len(caught.value.fact.splitlines()) < 30


HARNESS = {
    "results": {"boolq": {"acc,none": 0.5, "acc_stderr,none": 0.01}},
    "config": {"model_args": "pretrained=a/b", "model_num_parameters": 100, "num_fewshot": 0, "limit": None},
    "n-shot": {"boolq": 0},
    "n-samples": {"boolq": {"effective": 10, "original": 10}},
}
ODD = [None, True, -1, 10**400, "text", [], [1], {}, {"a": 1}, [{}], float("inf")]


def _mutants(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _mutants(inner, (*path, key))


@pytest.mark.parametrize("path", list(_mutants(HARNESS)), ids="/".join)
@pytest.mark.parametrize("odd", range(len(ODD)))
def test_mutated_harness_results_are_taken_or_refused_in_our_words(
    tmp_path: Path, path: tuple[str, ...], odd: int
) -> None:
    report: object = copy.deepcopy(HARNESS)
    if not path:
        report = ODD[odd]
    else:
        inner: Any = report
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = ODD[odd]
    (tmp_path / "results.json").write_text(json.dumps(report), encoding="utf-8")
    with contextlib.suppress(ScalingDBError):
        sdb.read_runs(tmp_path / "results.json")


def test_a_key_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"results": {"boolq": {"acc": 0.5, "acc": 0.9}}}', encoding="utf-8")
    with pytest.raises(DataError, match="'acc' stands twice"):
        sdb.add_source(tmp_path / "results.json", "mine")


def test_two_adds_of_one_name_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have looked whether the name is free before either has written."""
    monkeypatch.setattr(own_sources, "_check_id", lambda source_id, **_: frozenset())
    sdb.add_source(_one(tmp_path), "mine", unit="nats_per_token")
    with pytest.raises(DataError, match="added meanwhile"):
        sdb.add_source(_one(tmp_path, loss=2.0), "mine", unit="nats_per_token")
    with sdb.connect() as db:
        assert db.points("mine")["loss"].to_list() == [3.0]


def test_a_full_disk_while_adding_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    file = tmp_path / "one.csv"
    file.write_text("n_params,loss,eval_set\n1e8,3.0,c4\n", encoding="utf-8")
    with pytest.raises(WarehouseError, match="No space left"):
        sdb.add_source(file, "mine", unit="nats_per_token")
    assert list(local_folder().glob(".adding-*")) == []
    with sdb.connect() as db:
        assert db.sources().filter(source_id="mine").is_empty()


@pytest.mark.skipif(not hasattr(os, "fsencode") or os.name == "nt", reason="names are bytes on Unix alone")
def test_names_that_are_not_utf_8_are_read_or_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "\udcff.csv"
    try:
        file.write_text("params,tokens,val_loss\n1e8,2e9,3.1\n2e8,4e9,2.9\n", encoding="utf-8")
    except OSError:
        pytest.skip("the file system takes no such name")
    sdb.add_source(file, "mine", unit="nats_per_token")
    with sdb.connect() as db:
        assert db.points("mine")["loss"].to_list() == [3.1, 2.9]
        assert db.sql("select distinct raw_file from evals where source_id = 'mine'").item() == "\\xff.csv"
    monkeypatch.setenv("SCALINGDB_LOCAL", str(tmp_path / "\udcff"))
    with pytest.raises(WarehouseError, match="name is not UTF-8"):
        sdb.connect()


def test_a_path_that_is_too_long_is_told() -> None:
    with pytest.raises(WarehouseError, match="File name too long"):
        sdb.read_runs("x" * 5000)


def test_rows_kept_in_memory_are_of_the_state_that_was_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process replaces the source between the look at the manifest and the reading of the costly views."""
    frame = {"run": ["a"], "P": [1e9], "T": [2e10], "L": [2.5], "c": ["c4"]}
    _append(eval_set="x", append=False, **frame)
    db = sdb.connect()
    wanted = db.points("mine").select("n", "loss").rows()
    original, done = _session.materialise, []

    def late(*arguments: Any) -> bool:
        if not done:
            done.append(1)
            new = pl.DataFrame({**frame, "P": [7e9], "L": [1.5]})
            sdb.add_source(new, "mine", WIDE, unit="nats_per_token", eval_set="x", replace=True)
        return original(*arguments)

    monkeypatch.setattr(_session, "materialise", late)
    for _ in range(4):
        assert db.sql("select n, loss from points where source_id = 'mine'").rows() == wanted
        assert db.points("mine").select("n", "loss").rows() == wanted
    assert done
    assert sdb.connect().points("mine").select("n", "loss").rows() == [(7e9, 1.5)]


def test_knobs_that_are_no_longer_kept_are_not_taken_for_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    _append({**WIDE, "k": "k"}, append=False, **SAID)
    db = sdb.connect()
    assert db.points("mine").sort("run_id")["k"].to_list() == [1, 2]
    new = pl.DataFrame({**SAID, "k": [5, 6]})
    sdb.add_source(new, "mine", {**WIDE, "k": "k"}, unit="nats_per_token", eval_set="y", replace=True)
    assert db.points("mine").sort("run_id")["k"].to_list() == [1, 2]
    monkeypatch.setattr(_store, "KEEP_SECONDS", -1.0)  # an hour later somebody looks, and changes nothing
    with own_sources._changing(local_folder()):
        pass
    with pytest.raises(WarehouseError, match="rows"):
        db.points("mine")


def test_knobs_are_checked_and_damage_is_told(small_warehouse: Path) -> None:
    _append({**WIDE, "k": "k"}, append=False, **SAID)
    own = local_folder()
    file = own / "tables" / "knobs" / "mine.parquet"
    content, rows = file.read_bytes(), pl.read_parquet(file)
    for broken, fault in (
        (pl.concat([rows, rows]), "not one row for each run"),
        (rows.with_columns(run_id=pl.lit("mine/none")).head(1), "a run that 'runs' does not hold, first 'mine/none'"),
    ):
        broken.write_parquet(file)
        write_manifest(own)
        assert [text for text in verify(small_warehouse, own).faults if fault in text]
    file.write_bytes(b"j" * len(content))
    write_manifest(own)
    assert [text for text in verify(small_warehouse, own).faults if "cannot be read" in text]
    with pytest.raises(WarehouseError, match="knobs"):
        sdb.connect().points("mine")


def _columns(header: str, *rows: str) -> dict[str, list[Any]]:
    """A small table as a frame; what is no number stays text."""
    cells = list(zip(*(row.split(",") for row in rows), strict=True))
    made: dict[str, list[Any]] = {}
    for name, column in zip(header.split(","), cells, strict=True):
        try:
            made[name] = [float(cell) if cell else None for cell in column]
        except ValueError:
            made[name] = list(column)
    return made


def _kept(source_id: str) -> list[tuple[Any, ...]]:
    """What a source holds, under names that do not hang on its own."""
    with sdb.connect() as db:
        rows = db.sql(
            "select replace(e.run_id, e.source_id || '/', '') as run, r.model_name, r.n_params, e.step, e.n_tokens, "
            "e.value, e.eval_set, e.split, e.flag from evals e join runs r using (source_id, run_id) "
            f"where source_id = '{source_id}' order by all"
        )
        return rows.rows()


def _add_both_ways(header: str, *parts: list[str], **given: Any) -> tuple[list[tuple[Any, ...]], ...]:
    """Parts appended one by one, and all their rows at once."""
    given = {"unit": "nats_per_token", **given}
    for i, part in enumerate(parts):
        sdb.add_source(_columns(header, *part), "parts", append=i > 0, **given)
    sdb.add_source(_columns(header, *(row for part in parts for row in part)), "whole", **given)
    return _kept("parts"), _kept("whole")


CURVE = "run_id,step,n_params,n_tokens,loss"


def test_a_curve_that_goes_on_loses_the_flags_of_its_earlier_end() -> None:
    before = ["r,100,1e8,1e9,3.0", "r,200,1e8,2e9,2.9", "r,300,1e8,3e9,25", "s,100,1e8,1e9,3.1", "s,200,1e8,2e9,2.8"]
    parts, whole = _add_both_ways(CURVE, before, ["r,400,1e8,4e9,2.7", "r,500,1e8,5e9,2.6"], eval_set="v")
    assert parts == whole
    assert [(row[0], row[3]) for row in parts if row[-1]] == [("r", 300)]


@pytest.mark.parametrize("first", [0, 3])
@pytest.mark.parametrize("again", ["r,100,1e8,1e9,2.0", "r,100,1e8,1e9,2.05"])
def test_a_checkpoint_that_is_said_twice_counts_alike_after_an_append(first: int, again: str) -> None:
    rows = ["r,100,1e8,1e9,2.0", again, "r,200,1e8,2e9,2.1", "r,300,1e8,3e9,2.2", "r,400,1e8,4e9,9.0"]
    others = ["z,100,1e8,1e9,3.0", "z,200,1e8,2e9,2.9"]
    parts, whole = _add_both_ways(CURVE, others + rows[:first], rows[first:], eval_set="v")
    assert parts == whole
    said_once = again == rows[0]  # a copy of a row is no checkpoint more
    assert len(parts) == 7 - said_once
    assert {row[-1] for row in parts if row[0] == "r"} == {None if said_once else "diverged"}


def test_flags_that_the_file_alone_tells_stay_after_an_append(own: Path) -> None:
    header = "run_id,step,n_params,n_tokens,state,loss"
    before = ["a,100,1e8,1e9,crashed,3.0", "a,200,1e8,2e9,crashed,30", "b,100,2e8,1e9,finished,3.1"]
    after = ["a,300,1e8,3e9,finished,2.8", "b,200,2e8,2e9,finished,2.9"]
    parts, whole = _add_both_ways(header, before, after, eval_set="v")
    assert parts == whole
    assert [row[-1] for row in parts] == ["unfinished", "unfinished", None, None, None]


def test_rows_without_any_name_go_on_being_numbered() -> None:
    header = "n_params,n_tokens,loss"
    parts, whole = _add_both_ways(header, ["1e8,1e9,3.0", "2e8,2e9,2.9"], ["4e8,4e9,2.7"], eval_set="v")
    assert parts == whole
    assert parts[-1][:2] == ("row 3", "row 3")


def test_append_refuses_rows_that_were_damaged_meanwhile(own: Path) -> None:
    frame = {"run_id": ["a", "b"], "n_params": [1e8, 2e8], "n_tokens": [2e9, 4e9], "loss": [3.0, 2.9]}
    sdb.add_source(frame, "mine", unit="nats_per_token", eval_set="v")
    file = own / "tables" / "evals" / "mine.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:8] + bytes([content[8] ^ 1]) + content[9:])
    with pytest.raises(WarehouseError, match="is damaged") as error:
        sdb.add_source({**frame, "run_id": ["c", "d"]}, "mine", unit="nats_per_token", eval_set="v", append=True)
    assert "add --remove mine" in str(error.value.hint)


def test_a_source_that_is_removed_while_rows_for_it_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = {"run_id": ["a"], "n_params": [1e8], "n_tokens": [2e9], "loss": [3.0]}
    sdb.add_source(frame, "mine", unit="nats_per_token", eval_set="v")
    read = own_sources.read_measured

    def slow(*args: Any, **given: Any) -> Any:
        sdb.remove_source("mine")
        return read(*args, **given)

    monkeypatch.setattr(own_sources, "read_measured", slow)
    with pytest.raises(WarehouseError, match="was removed meanwhile"):
        sdb.add_source({**frame, "run_id": ["b"]}, "mine", unit="nats_per_token", eval_set="v", append=True)


def test_a_name_is_judged_by_one_state(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = {"run_id": ["a"], "n_params": [1e8], "n_tokens": [2e9], "loss": [3.0]}
    sdb.add_source(frame, "mine", unit="nats_per_token", eval_set="v")
    monkeypatch.setattr(own_sources, "own_files", lambda folder: {})  # removed after the sources were read
    with pytest.raises(DataError, match="exists already") as error:
        sdb.add_source(frame, "mine", unit="nats_per_token", eval_set="v")
    assert "replace=True" in str(error.value.hint)


@pytest.mark.parametrize("given", [{}, {"eval_set": "v"}])
def test_a_test_set_is_not_pooled_with_the_validation_set(given: dict[str, str]) -> None:
    header = "run_id,n_params,n_tokens,split,loss"
    before = ["a,1e8,1e9,validation,3.0", "b,2e8,2e9,validation,2.9"]
    parts, whole = _add_both_ways(header, before, ["c,4e8,4e9,test,2.5", "d,8e8,9e9,test,2.4"], **given)
    assert parts == whole
    name = given.get("eval_set", "loss")
    assert [row[6] for row in parts] == [name, name, f"{name} (test)", f"{name} (test)"]


@pytest.mark.parametrize("fault", ["empty", "folder"])
def test_a_damaged_manifest_of_own_sources_can_be_removed(fault: str, own: Path) -> None:
    sdb.add_source(_columns("run_id,n_params,loss", "a,1e8,3.0"), "mine", unit="nats_per_token", eval_set="v")
    manifest = own / "manifest.json"
    manifest.unlink()
    _ = manifest.mkdir() if fault == "folder" else manifest.write_bytes(b"")
    with pytest.raises(WarehouseError) as error:
        sdb.connect()
    assert str(error.value.hint).startswith("remove it")
    _ = manifest.rmdir() if fault == "folder" else manifest.unlink()
    assert [row[0] for row in _kept("mine")] == ["a"]


def test_a_folder_in_place_of_a_table_can_be_removed(own: Path) -> None:
    sdb.add_source(_columns("run_id,n_params,loss", "a,1e8,3.0"), "mine", unit="nats_per_token", eval_set="v")
    file = own / "tables" / "evals" / "mine.parquet"
    file.unlink()
    file.mkdir()
    sdb.remove_source("mine")
    assert not file.exists()
    sdb.add_source(_columns("run_id,n_params,loss", "a,1e8,3.0"), "mine", unit="nats_per_token", eval_set="v")
    assert [row[0] for row in _kept("mine")] == ["a"]


def test_a_source_that_goes_while_another_change_is_followed_is_still_read(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process removes it between the look-up of its files and DuckDB's opening of them."""
    for name in ("mine", "other"):
        sdb.add_source(_table(*_grid()), name, MAP, **GIVEN)
    db = sdb.connect()
    query = "select count(*) as n from runs where source_id = 'mine'"
    assert (db.sql(query).item(), db.points("mine").height) == (20, 20)
    sdb.remove_source("other")  # the next query follows
    original, done = _tables._select, []

    def late(table: str, *files: Any) -> str:
        found = original(table, *files)
        if table == "runs" and not done:
            done.append(1)
            sdb.remove_source("mine")
        return found

    monkeypatch.setattr(_tables, "_select", late)
    assert (db.sql(query).item(), db.points("mine").height) == (20, 20)
    assert done


def test_what_cannot_be_moved_at_once_is_there_and_is_moved_later(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(_store, "_publish", refused)
        sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
        assert sdb.connect().points("mine").height == 20
        with pytest.raises(WarehouseError, match="nothing was changed"):
            sdb.add_source(_table(*_grid()), "other", MAP, **GIVEN)
    assert "other" not in set(sdb.connect().sources()["source_id"])
    sdb.add_source(_table(*_grid()), "other", MAP, **GIVEN)
    assert (own / "tables" / "runs" / "mine.parquet").is_file()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_in_place_of_the_lock_is_not_waited_for(own: Path) -> None:
    own.mkdir()
    os.mkfifo(own / ".lock")
    with pytest.raises(WarehouseError, match="cannot write to"):
        sdb.add_source(_table(*_grid()), "mine", MAP, **GIVEN)
