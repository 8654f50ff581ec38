"""Users' own files: every shape is recognised, and nothing wrong comes in without a word."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import string
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet

import scalingdb as sdb
from scalingdb.errors import DataError, ScalingDBError, UnknownNameError, WarehouseError
from scalingdb.reading import Options, _files, read_measured
from scalingdb.reading._values import numbers
from tests import _own_files
from tests._own_files import EVALUATIONS, RUNS, TABLES

SHARED = Path(__file__).parents[2] / "shared" / "eval_formats"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    texts: list[str] = []
    monkeypatch.setattr("scalingdb.reading._read.notice", texts.append)
    return texts


def _frame(rows: list[tuple[Any, ...]] | None = None, **more: list[Any]) -> dict[str, list[Any]]:
    chosen = rows or RUNS
    columns = {"run": 0, "params": 1, "tokens": 2, "val_loss": 3}
    return {name: [row[i] for row in chosen] for name, i in columns.items()} | more


# ---- every shape -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [*TABLES, *EVALUATIONS])
def test_every_shape_is_recognised_by_its_content(shape: str, tmp_path: Path, said: list[str]) -> None:
    make, options = (TABLES | EVALUATIONS)[shape]
    path = make(tmp_path)
    frame = sdb.read_runs(path, **options)
    assert frame.height
    assert {"run_id", "metric", "value", "eval_set", "split", "raw_file", "raw_field"} <= set(frame.columns)
    assert ("loss" if shape in TABLES else "score") in frame.columns
    if path.is_file():  # under another name, too
        other = path.with_name("something.txt" if shape in TABLES else "something.dat")
        path.rename(other)
        if shape not in {"trainer_state"}:
            assert sdb.read_runs(other, **options).drop("raw_file").select("value").equals(frame.select("value"))
    assert said[0].startswith("read_runs:\n  read ")


def test_a_run_table_gives_the_runs_as_they_are(tmp_path: Path) -> None:
    frame = sdb.read_runs(_own_files.wandb_table(tmp_path), unit="nats_per_token")
    assert frame.select("run_id", "n_params", "n_tokens", "loss").rows() == RUNS
    assert frame["unit"].unique().to_list() == ["nats_per_token"]
    assert frame["raw_row"].to_list() == list(range(1, 10))


def test_a_chart_export_keeps_curves_and_drops_bands(tmp_path: Path) -> None:
    frame = sdb.read_runs(_own_files.wandb_chart(tmp_path), curves=True)
    assert frame.height == 30
    assert frame["run_id"].unique().sort().to_list() == ["sweep-00", "sweep-01", "sweep-02"]
    assert sdb.read_runs(_own_files.wandb_chart(tmp_path))["step"].to_list() == [450.0] * 3


def test_a_trainer_state_tells_training_from_evaluation(tmp_path: Path) -> None:
    frame = sdb.read_runs(_own_files.trainer_state(tmp_path), tokens_per_step=5e5)
    assert frame.select("run_id", "step", "n_tokens", "loss").rows() == [("my-model", 400.0, 2e8, 3.9)]


def test_a_group_stands_beside_its_subtasks_and_counts_once(tmp_path: Path) -> None:
    file = _own_files.lm_eval_new(tmp_path)
    frame = sdb.read_runs(file)
    assert "mmlu" not in frame["eval_set"].to_list()
    everything = sdb.read_runs(file, flagged=True)
    assert everything.filter(pl.col("eval_set") == "mmlu")["flag"].to_list() == ["group"]
    arc = frame.filter(eval_set="arc_easy", metric="acc").row(0, named=True)
    assert (arc["model_name"], arc["step"], arc["n_params"], arc["n_shots"], arc["n_items"]) == (
        "acme/tiny-lm",
        3000.0,
        1.2e8,
        0,
        2000.0,
    )


def test_per_item_results_go_with_the_summary(tmp_path: Path) -> None:
    options = Options({}, None, "loss", None, {}, None, None, None, None, None)
    for make in (_own_files.inspect_json, _own_files.inspect_archive):
        measured = read_measured(make(tmp_path), options, curves=False, flagged=False)
        assert measured.frame["score"].to_list() == [0.65]
        assert measured.items["value"].sum() == 4
        assert measured.items.height == 6


def test_perturbed_scores_of_helm_are_not_the_score(tmp_path: Path) -> None:
    frame = sdb.read_runs(_own_files.helm(tmp_path))
    row = frame.row(0, named=True)
    assert (row["model_name"], row["eval_set"], row["score"], row["n_items"], row["n_shots"]) == (
        "acme/tiny",
        "made_up",
        0.44,
        250.0,
        5,
    )


def test_opencompass_is_per_cent(tmp_path: Path) -> None:
    frame = sdb.read_runs(_own_files.opencompass(tmp_path)).sort("score")
    assert frame.select("model_name", "eval_set", "score").rows() == [
        ("small-lm", "made_up_sum", 0.3375),
        ("tiny-lm", "made_up_qa", 0.4125),
        ("small-lm", "made_up_qa", 0.525),
    ]


def test_a_folder_is_one_source_and_says_what_it_passed_over(tmp_path: Path, said: list[str]) -> None:
    _own_files.lm_eval_old(tmp_path)
    _own_files.inspect_json(tmp_path)
    (tmp_path / "notes.md").write_text("# nothing here\n", encoding="utf-8")
    (tmp_path / "weights.bin").write_bytes(b"\0\1\2\3" * 50)
    (tmp_path / "empty.csv").write_text("", encoding="utf-8")
    frame = sdb.read_runs(tmp_path)
    assert set(frame["model_name"]) == {"acme/tiny-lm", "acme/tiny-chat"}
    for part in ("notes.md", "weights.bin: binary data", "empty.csv: the file is empty"):
        assert part in said[0]


def test_two_values_of_one_helm_score_are_refused(tmp_path: Path) -> None:
    stats = next(_own_files.helm(tmp_path).rglob("stats.json"))
    score = {"name": "exact_match", "split": "test"}
    twice = [{"name": score, "count": 1, "mean": 0.44}, {"name": score, "count": 1, "mean": 0.31}]
    stats.write_text(json.dumps(twice), encoding="utf-8")
    with pytest.raises(ScalingDBError, match="two values of exact_match on the split test"):
        sdb.read_runs(stats.parents[1])


@pytest.mark.skipif(not SHARED.is_dir(), reason="real result files are not beside the checkout")
@pytest.mark.parametrize("folder", ["lm_eval", "inspect", "helm", "every_eval_ever", "stablelm"])
def test_real_result_files_are_read(folder: str) -> None:
    frame = sdb.read_runs(SHARED / folder, flagged=True)
    assert frame["score"].drop_nulls().is_between(0, 1).all()
    if folder == "stablelm":
        assert frame["model_name"].n_unique() > 20
        twice = frame.filter(pl.col("flag") == "contradiction")
        assert twice["eval_set"].unique().to_list() == ["truthfulqa_mc"]


# ---- any dataframe ---------------------------------------------------------------------------------


def test_any_dataframe_is_taken() -> None:
    import duckdb

    pd = pytest.importorskip("pandas")
    import pyarrow as pa

    columns = _frame()
    expected = sdb.read_runs(columns, unit="nats_per_token")
    connection = duckdb.connect()
    connection.register("arrow", pa.table(columns))
    relation = connection.sql("select * from arrow")
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    for what in (
        pd.DataFrame(columns),
        pa.table(columns),
        relation,
        rows,
        pl.LazyFrame(columns),
        pl.DataFrame(columns),
    ):
        assert sdb.read_runs(what, unit="nats_per_token").equals(expected)


def test_a_pandas_column_of_mixed_types_is_read_as_text() -> None:
    pd = pytest.importorskip("pandas")

    columns = _frame()
    columns["params"] = ["120M", 3.1e8, *columns["params"][2:]]
    frame = sdb.read_runs(pd.DataFrame(columns), unit="nats_per_token")
    assert frame["n_params"].to_list()[:2] == [1.2e8, 3.1e8]


# ---- the headline ----------------------------------------------------------------------------------


def test_what_is_not_mapped_never_becomes_the_headline() -> None:
    columns = {"N": [1e8, 2e8], "D": [2e9, 4e9], "val_loss": [3.4, 3.2], "train_loss": [3.3, 3.1]}
    frame = sdb.read_runs(columns, {"n_params": "N", "n_tokens": "D", "loss": "val_loss"}, eval_set="c4")
    assert frame["loss"].to_list() == [3.4, 3.2]
    assert frame["metric"].unique().to_list() == ["loss"]
    unmapped = sdb.read_runs(columns, {"n_params": "N", "n_tokens": "D"})
    assert unmapped["loss"].to_list() == [3.4, 3.2]
    only_training = sdb.read_runs({k: v for k, v in columns.items() if k != "val_loss"}, {"N": "N", "D": "D"})
    assert only_training["metric"].unique().to_list() == ["train_loss"]
    assert only_training["split"].unique().to_list() == ["train"]


def test_two_losses_are_refused_until_one_is_named() -> None:
    columns = {"params": [1e8, 2e8], "tokens": [2e9, 4e9], "c4_val_loss": [3.4, 3.2], "pile_val_loss": [2.4, 2.2]}
    columns = {"params": [1e8, 2e8], "tokens": [2e9, 4e9], "val_c4_loss": [3.4, 3.2], "val_pile_loss": [2.4, 2.2]}
    with pytest.raises(DataError, match=r"2 columns could be the loss: 'val_c4_loss', 'val_pile_loss'"):
        sdb.read_runs(columns)
    frame = sdb.read_runs(columns, {"L": "val_pile_loss"})
    assert frame["loss"].to_list() == [2.4, 2.2]
    assert frame["eval_set"].unique().to_list() == ["val_pile_loss"]


# ---- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.3B", 1.3e9),
        ("350,000,000", 3.5e8),
        ("1e9", 1e9),
        ("125m", 1.25e8),
        (" 2 000 000 ", 2e6),
        ("1_000_000", 1e6),
        ("2.6T", 2.6e12),
        ("−5", -5.0),
        ("n/a", None),
        ("#DIV/0!", None),
        ("-", None),
        ("NaN", None),
        ("inf", None),
        ("", None),
    ],
)
def test_counts_as_people_write_them(text: str, value: float | None) -> None:
    cells = numbers(pl.Series("params", [text, "7"]), is_count=True)
    assert cells.values.to_list() == [value, 7.0]
    assert not cells.faults


@pytest.mark.parametrize("cell", ["1,234,5678", "1,234567", "51'234674886902", "1 234567"])
def test_digits_that_are_grouped_amiss_are_no_number(cell: str) -> None:
    runs = {"run": ["a", "b"], "params": [cell, "1,234,567"], "val_loss": [3.1, 3.0]}
    with pytest.raises(DataError, match=re.escape(f"row 1 says {cell!r}")):
        sdb.read_runs(runs, decimal=".")


@pytest.mark.parametrize("cell", ["1.23,4", "1.2.3.4,5", "1234.567,8"])
def test_dots_before_a_decimal_comma_group_three_digits(cell: str) -> None:
    runs = {"run": ["a", "b"], "params": ["1.234.567,8", cell], "val_loss": ["3,1", "3,0"]}
    with pytest.raises(DataError, match=re.escape(f"row 2 says {cell!r}")):
        sdb.read_runs(runs)


def test_bytes_and_lists_that_are_no_text_are_refused() -> None:
    runs = pl.DataFrame({"run": ["a", "b"], "params": [1e6, 2e6], "val_loss": [3.1, 3.0]})
    for column, bad in (("val_loss", [b"3.1", b"\xff"]), ("run", [b"a", b"\xff"]), ("run", [["a"], ["b"]])):
        with pytest.raises(DataError, match=f"column {column!r} holds .* no text"):
            sdb.read_runs(runs.with_columns(pl.Series(column, bad)))


@pytest.mark.parametrize("column", ["params", "seed"])
def test_runs_under_one_name_stay_apart_where_they_differ_in_the_seventh_digit(column: str) -> None:
    runs = {"run": ["a", "a"], "params": [1e6, 1e6], "val_loss": [3.1, 3.0]} | {column: [1234567, 1234568]}
    frame = sdb.read_runs(runs)
    assert frame["loss"].to_list() == [3.1, 3.0]
    assert [name.removesuffix(")")[-7:] for name in frame["run_id"]] == ["1234567", "1234568"]


def test_a_comma_that_could_be_either_is_refused() -> None:
    with pytest.raises(DataError, match="may group thousands or begin decimals"):
        numbers(pl.Series("x", ["2,345", "3,210"]), is_count=False)
    assert numbers(pl.Series("x", ["2,345"]), is_count=False, decimal=",").values.to_list() == [2.345]
    assert numbers(pl.Series("x", ["2,345"]), is_count=False, decimal=".").values.to_list() == [2345.0]
    assert numbers(pl.Series("x", ["3,14", "2,345"]), is_count=False).values.to_list() == [3.14, 2.345]


def test_a_loss_has_no_suffix() -> None:
    assert numbers(pl.Series("loss", ["2.5B"]), is_count=False).faults == ((0, "2.5B"),)


def test_bad_cells_are_named_all_at_once() -> None:
    columns = _frame()
    columns["params"] = ["abc", *map(str, columns["params"][1:])]
    columns["val_loss"] = [*map(str, columns["val_loss"][:-1]), "diverged"]
    with pytest.raises(DataError) as error:
        sdb.read_runs(columns)
    assert "n_params = 'params': 1 cell(s) that are not numbers (row 1 says 'abc')" in str(error.value)
    assert "loss = 'val_loss': 1 cell(s) that are not numbers (row 9 says 'diverged')" in str(error.value)


def test_empty_values_are_counted_not_refused(said: list[str]) -> None:
    columns = _frame()
    columns["val_loss"] = ["", "N/A", *map(str, columns["val_loss"][2:])]
    assert sdb.read_runs(columns).height == 7
    assert "2 row(s) without a value in 'val_loss'" in said[0]


# ---- models, where, knobs --------------------------------------------------------------------------


def test_sizes_come_from_a_side_table(tmp_path: Path, said: list[str]) -> None:
    models = {"model": ["acme/tiny-lm"], "params": ["120M"], "tokens": [2.4e9]}
    frame = sdb.read_runs(_own_files.lm_eval_old(tmp_path), models=models)
    assert frame["n_params"].unique().to_list() == [1.2e8]
    assert frame["n_tokens"].unique().to_list() == [2.4e9]
    with pytest.raises(DataError, match="names none of the models"):
        sdb.read_runs(_own_files.lm_eval_old(tmp_path), models={"model": ["other"], "params": [1e8]})


def test_a_name_is_never_a_count() -> None:
    frame = sdb.read_runs({"model": ["125m", "350m"], "val_loss": [3.3, 3.1]})
    assert "n_params" not in frame.columns


def test_where_is_a_condition_on_the_table() -> None:
    columns = _frame(State=["finished"] * 8 + ["crashed"])
    assert sdb.read_runs(columns, where="State = 'finished' and params < 5e8").height == 6
    with pytest.raises(DataError, match="cannot be applied"):
        sdb.read_runs(columns, where="nothing = 1")
    with pytest.raises(DataError, match="no row of"):
        sdb.read_runs(columns, where="params < 0")


def test_knobs_come_back_and_zeros_are_kept() -> None:
    columns = _frame(width=[256 * (i + 1) for i in range(9)], uses_qk_norm=[0, 1] * 4 + [0])
    frame = sdb.read_runs(columns, {"width": "width", "qk_norm": "uses_qk_norm", "loss": "val_loss"})
    assert frame["width"].to_list() == columns["width"]
    assert frame["qk_norm"].to_list() == columns["uses_qk_norm"]


def test_wide_scores_are_declared_once() -> None:
    columns = {"model": ["a", "b"], "params": [1e8, 1e9], "arc": [41.5, 55.0], "piqa": [60.2, 71.9]}
    frame = sdb.read_runs(columns, tasks=["arc", "piqa"], unit="percent").sort("eval_set", "model_name")
    assert frame.select("model_name", "eval_set", "score").rows() == [
        ("a", "arc", 0.415),
        ("b", "arc", 0.55),
        ("a", "piqa", 0.602),
        ("b", "piqa", 0.719),
    ]
    with pytest.raises(DataError, match="above 1 where shares are declared"):
        sdb.read_runs(columns, tasks=["arc", "piqa"], unit="fraction")


def test_long_scores_name_metric_and_task() -> None:
    columns = {
        "model": ["a", "a", "b", "b"],
        "task": ["arc", "piqa"] * 2,
        "metric": ["acc", "exact_match"] * 2,
        "value": [0.41, 0.6, 0.55, 0.72],
    }
    frame = sdb.read_runs(columns, unit="fraction")
    assert frame.select("run_id", "eval_set", "metric", "score").rows() == list(
        zip(*[columns[name] for name in ("model", "task", "metric", "value")], strict=True)
    )


# ---- guards ----------------------------------------------------------------------------------------


def test_bad_runs_are_named_and_left_out_on_the_way_to_a_plan(said: list[str]) -> None:
    """Thirty runs, three of them bad, from a table to a plan in three lines."""
    rng = np.random.default_rng(5)
    sizes, ratios = np.geomspace(6e7, 2e9, 6), (4, 10, 25, 60, 150)
    runs = [
        (f"r{i}{j}", n, n * q, (1.7 + 400 * n**-0.34 + 410 * (n * q) ** -0.28) * np.exp(rng.normal(0, 0.002)))
        for i, n in enumerate(sizes)
        for j, q in enumerate(ratios)
    ]
    bad = {4: ("crashed", 1.9), 17: ("running", 1.4), 23: ("failed", 2.5)}
    table = _frame(runs, State=[bad.get(i, ("finished", 1))[0] for i in range(30)])
    table["val_loss"] = [y * bad.get(i, ("", 1.0))[1] for i, (*_, y) in enumerate(runs)]

    frame = sdb.read_runs(table, unit="nats_per_token")
    fit = sdb.fit(frame, "chinchilla")
    plan = sdb.plan(fit, train_flops=1e23)

    assert "left out  3 row(s) of runs that did not finish: r04, r32, r43 (flagged=True keeps them)" in said[0]
    assert said[0].count("r04, r32, r43") == 1
    ratio = plan.tidy()["n_tokens"][0] / plan.tidy()["n_params"][0]
    clean = sdb.fit(
        pl.DataFrame(
            {"n_params": [r[1] for r in runs], "n_tokens": [r[2] for r in runs], "loss": [r[3] for r in runs]}
        ),
        "chinchilla",
    )
    best = sdb.plan(clean, train_flops=1e23).tidy()
    assert ratio == pytest.approx(best["n_tokens"][0] / best["n_params"][0], rel=0.5)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        (
            _frame([(a, n / 1e6, d, y) for a, n, d, y in RUNS]),
            "n_params has a median of 310, which no language model has",
        ),
        (
            _frame([(a, n, d / 1e9, y) for a, n, d, y in RUNS]),
            "n_tokens has a median of .*, which no language model has",
        ),
        (_frame([(a, n, d, y * 10) for a, n, d, y in RUNS]), "no language model has in nats per token"),
    ],
)
def test_nonsense_is_an_error(columns: dict[str, list[Any]], text: str) -> None:
    with pytest.raises(DataError, match=text):
        sdb.read_runs(columns, unit="nats_per_token")


def test_a_factor_brings_counts_to_units() -> None:
    columns = _frame([(a, n / 1e6, d / 1e9, y) for a, n, d, y in RUNS])
    frame = sdb.read_runs(columns, scale={"N": 1e6, "n_tokens": 1e9})
    np.testing.assert_allclose(frame["n_params"], [n for _, n, _, _ in RUNS])
    np.testing.assert_allclose(frame["n_tokens"], [d for _, _, d, _ in RUNS])


def _curve(run: str, steps: list[float], values: list[float]) -> list[dict[str, Any]]:
    return [{"run": run, "step": s, "val_loss": v} for s, v in zip(steps, values, strict=True)]


STEPS = [float(s) for s in range(100, 2100, 100)]
CURVE = [4.01237 + 60 / s**0.5 + 1e-5 * i for i, s in enumerate(STEPS)]


@pytest.mark.parametrize(
    ("rows", "check"),
    [
        (_curve("a", STEPS, [v + (0.5 if i % 2 else 0) for i, v in enumerate(CURVE)]), "values alternate at every row"),
        (_curve("a", STEPS, [*CURVE[:-1], CURVE[6]]), "repeat the value of a distant step"),
        (
            [r for n in "abc" for r in _curve(n, STEPS, [v + 0.001 * ord(n) for v in CURVE])]
            + _curve("d", STEPS[12:], CURVE[12:]),
            "log begins late, as after a restart: d",
        ),
        (
            _curve("a", sorted(random.Random(1).sample(range(14000), 1000)), [4 + 60 / (i + 9) for i in range(1000)]),
            "as if the log was sampled",
        ),
        (
            _curve("a", [14.0 * (i + 1) for i in range(1000)], [4 + 60 / (i + 9) for i in range(1000)]),
            "1000 rows for 14,000 steps, as if the log was sampled",
        ),
        (
            [r for n in "abcde" for r in _curve(n, STEPS, [v + 0.001 * ord(n) for v in CURVE])]
            + _curve("f", STEPS[:5], CURVE[:5]),
            "stopped far short of step 2000",
        ),
    ],
)
def test_odd_curves_are_said(rows: list[dict[str, Any]], check: str, said: list[str]) -> None:
    sdb.read_runs(rows, curves=True)
    assert check in said[0]


def test_clean_curves_raise_no_suspicion(said: list[str]) -> None:
    rows = [r for i, n in enumerate("abcde") for r in _curve(n, STEPS, [v + 0.0137 * i for v in CURVE])]
    sdb.read_runs(rows, unit="nats_per_token", eval_set="c4", curves=True)
    assert "check" not in said[0].replace("check     no number of parameters recognised", "")


def test_odd_numbers_are_said(said: list[str]) -> None:
    frame = _frame(n_tokens_unique=[d * 2 for _, _, d, _ in RUNS], tokenizer=["gpt2"] * 5 + ["llama"] * 4)
    sdb.read_runs(frame, unit="nats_per_token")
    assert "more unique tokens than tokens" in said[0]
    assert "different tokenizer_id do not compare: gpt2, llama" in said[0]
    scores = {
        "model": ["a", "b"],
        "task": ["t", "t"],
        "acc": [14 / 307, 0.5],
        "stderr": [0.0, 0.03],
        "n_items": [307, 307],
    }
    sdb.read_runs(scores)
    assert "1 standard error(s) that a binomial excludes: a" in said[1]
    with pytest.raises(DataError, match="perplexity value"):
        sdb.read_runs({"run": ["a", "b"], "ppl": [0.5, 12.0]}, {"perplexity": "ppl"})


def test_a_run_that_repeats_another_is_left_out(said: list[str]) -> None:
    rows = [*RUNS, ("again", *RUNS[3][1:])]
    assert sdb.read_runs(_frame(rows), unit="nats_per_token").height == 9
    assert "1 row(s) repeat another run to the last digit: again (flagged=True keeps them)" in said[0]


# ---- refusals --------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_with_the_place() -> None:
    for call, kind, text in (
        (lambda: sdb.read_runs(7), DataError, "neither a path nor a table"),
        (lambda: sdb.read_runs(pl.DataFrame()), DataError, "the frame is empty"),
        (lambda: sdb.read_runs("no such file.csv"), ScalingDBError, "does not exist"),
        (lambda: sdb.read_runs(_frame(), {"n_params": "nope"}), UnknownNameError, "unknown column 'nope'"),
        (lambda: sdb.read_runs(_frame(), metric="nope"), UnknownNameError, "unknown metric"),
        (lambda: sdb.read_runs(_frame(), unit="nope"), UnknownNameError, "unknown unit"),
        (lambda: sdb.read_runs(_frame(), scale={"n_params": -1}), DataError, "not a positive factor"),
        (lambda: sdb.read_runs(_frame(), scale={"width": 2}), UnknownNameError, "unknown column 'width'"),
        (lambda: sdb.read_runs(_frame(), unit="fraction"), DataError, "does not fit metric"),
        (lambda: sdb.read_runs(_frame(), tokens_per_step=1e6), DataError, "no column is the step"),
        (lambda: sdb.read_runs({"a": [1.0], "b": [2.0]}), DataError, "no column is a loss or a score"),
    ):
        with pytest.raises(kind, match=re.escape(text)):
            call()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"log_history": []}', "no loss: was it saved before the first evaluation?"),
        ('{"results": {}, "config": {}}', "without a task in 'results'"),
        ('{"version": 2, "status": "error", "eval": {"task": "t", "model": "m"}}', "the evaluation did not finish"),
        ('{"results": {"t": {"acc": 0.5, "acc": 0.6}}}', "the key 'acc' stands twice"),
        ('{"a": 1', "damaged JSON"),
        ("Step,Value\n", "a table without rows"),
        ("a,b\n1,2,3\n", "line 2 has 3 cells, the header 2"),
    ],
)
def test_a_known_kind_without_its_numbers_says_what_is_missing(content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=re.escape(reason)):
        sdb.read_runs(file)


# ---- mutations: read right, or refused; never silently different -----------------------------------

IDENTITY = ("run_id", "step", "eval_set", "metric", "raw_field")


def _values(frame: pl.DataFrame, names: tuple[str, ...]) -> dict[Any, tuple[Any, ...]]:
    keys = [name for name in IDENTITY if name in frame.columns]
    chosen = [name for name in names if name in frame.columns]
    rows = frame.select([*keys, *chosen]).rows()
    return {row[: len(keys)]: row[len(keys) :] for row in rows}


def mutate_table(text: str, rng: random.Random) -> str:
    """A table as another program, or a hurried person, might have written it."""
    lines = [line.split(",") for line in text.strip().split("\n")]
    header, body = lines[0], lines[1:]
    kind = rng.choice(
        [
            "empty",
            "garbage",
            "thousands",
            "shuffle",
            "columns",
            "double",
            "crlf",
            "bom",
            "quotes",
            "semicolons",
            "rename",
            "millions",
            "spaces",
            "missing",
        ]
    )
    i, j = rng.randrange(len(body)), rng.randrange(len(header))
    numeric = [c for c in range(len(header)) if all(re.fullmatch(r"[\d.][\d.e+-]*|", row[c]) for row in body)]
    if kind in {"empty", "missing"}:
        body[i][j] = "" if kind == "empty" else rng.choice(["-", "N/A", "NaN", "null"])
    elif kind == "garbage":
        body[i][rng.choice(numeric)] = "".join(rng.choices(string.ascii_letters, k=5))
    elif kind == "thousands":
        for column in numeric:
            if all(row[column] and float(row[column]) >= 1e4 and float(row[column]).is_integer() for row in body):
                for row in body:
                    row[column] = f'"{float(row[column]):,.0f}"'
    elif kind == "shuffle":
        rng.shuffle(body)
    elif kind == "columns":
        order = rng.sample(range(len(header)), len(header))
        header, body = [header[c] for c in order], [[row[c] for c in order] for row in body]
    elif kind == "double":
        body.append(list(body[i]))
    elif kind == "quotes":
        body = [[f'"{cell}"' for cell in row] for row in body]
    elif kind == "spaces":
        body = [[f" {cell} " for cell in row] for row in body]
    elif kind == "rename":
        header[j] = "".join(rng.choices(string.ascii_lowercase, k=7))
    elif kind == "millions":
        column = rng.choice(numeric)
        for row in body:
            row[column] = f"{float(row[column]) / 1e6:.10g}" if row[column] else ""
    if kind == "semicolons":
        return "\n".join(";".join(cell.replace(".", ",") for cell in row) for row in [header, *body])
    joined = ("\r\n" if kind == "crlf" else "\n").join(",".join(row) for row in [header, *body]) + "\n"
    return ("\ufeff" if kind == "bom" else "") + joined


def mutation_of_table(make: Callable[[Path], Path], options: dict[str, Any], folder: Path) -> Callable[[int], None]:
    """A function of a seed that mutates a table and reads it: it refuses, or asserts that no number changed."""
    path = make(folder)
    files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
    originals = {file: file.read_text(encoding="utf-8") for file in files}
    names = ("n_params", "n_tokens", "loss", "score")
    right = _values(sdb.read_runs(path, **options), names)

    def read(seed: int) -> None:
        rng = random.Random(seed)
        file = rng.choice(files) if len(files) > 1 else files[0]
        mutated = mutate_table(originals[file], rng)
        file.write_text(mutated, encoding="utf-8", newline="")
        try:
            frame = sdb.read_runs(path, flagged=True, **options)
        finally:
            file.write_text(originals[file], encoding="utf-8")
        for key, values in _values(frame.filter(pl.col("flag").is_null()), names).items():
            expected = right.get(key)
            if expected is None or len(expected) != len(values):
                continue  # a run, step or column under another name: its numbers stand under that name
            for value, other in zip(values, expected, strict=True):
                is_same = value is None or value == pytest.approx(other, rel=1e-9)
                assert is_same, (seed, key, values, expected, mutated[:300])

    return read


def mutate_json(value: Any, rng: random.Random) -> str:
    """A result file cut, or with one value of another type."""
    text = json.dumps(value)
    if rng.random() < 0.2:
        return text[: rng.randrange(len(text))]
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(value)
    node, key = rng.choice(places)
    replacement = rng.choice([None, "x", [], {}, -1, 1e400, True, "delete", 10**400])
    if replacement == "delete":
        del node[key]
    else:
        node[key] = replacement
    return json.dumps(value)


def _mutated_bytes(original: bytes, suffix: str, rng: random.Random) -> bytes:
    """A JSON file, one line of JSON lines, or one member of an archive, mutated; or the archive itself damaged."""
    if suffix == ".jsonl":
        lines = original.decode().split("\n")
        i = rng.randrange(len(lines))
        lines[i] = mutate_json(json.loads(lines[i]), rng)
        return "\n".join(lines).encode()
    if suffix == ".eval":
        if rng.random() < 0.3:
            at = rng.randrange(len(original))
            return (
                original[:at]
                if rng.random() < 0.5
                else original[:at] + bytes([rng.randrange(256)]) + original[at + 1 :]
            )
        packed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(original)) as source, zipfile.ZipFile(packed, "w") as target:
            chosen = rng.choice(source.namelist())
            for member in source.namelist():
                content = source.read(member).decode()
                target.writestr(member, mutate_json(json.loads(content), rng) if member == chosen else content)
        return packed.getvalue()
    return mutate_json(json.loads(original), rng).encode()


def mutation_of_json(make: Callable[[Path], Path], options: dict[str, Any], folder: Path) -> Callable[[int], None]:
    """As :func:`mutation_of_table`, for a result file or a folder of them."""
    path = make(folder)
    files = sorted(file for file in path.rglob("*.json*")) if path.is_dir() else [path]
    originals = {file: file.read_bytes() for file in files}
    names = ("value", "n_items", "std_error")
    right = _values(sdb.read_runs(path, flagged=True, **options), names)

    def read(seed: int) -> None:
        rng = random.Random(seed)
        file = rng.choice(files)
        file.write_bytes(_mutated_bytes(originals[file], file.suffix, rng))
        try:
            frame = sdb.read_runs(path, flagged=True, **options)
        finally:
            file.write_bytes(originals[file])
        for key, values in _values(frame, names).items():
            value, expected = values[0], right.get(key, (None,))[0]
            # a value that the mutation itself replaced by another legal number is that number
            assert expected is None or value == expected or value in {0.0, 1.0, -1.0}, (seed, key)

    return read


def _counted(read: Callable[[int], None], count: int) -> tuple[int, int]:
    """How many of `count` mutations were read, and how many refused."""
    refused = 0
    for seed in range(count):
        try:
            read(seed)
        except ScalingDBError:
            refused += 1
    return count - refused, refused


TABLE_SHAPES = ("wandb_table", "history_csv", "wandb_chart", "tensorboard", "opencompass")
RESULT_SHAPES = tuple(shape for shape in TABLES | EVALUATIONS if shape not in TABLE_SHAPES)


@pytest.mark.parametrize("shape", TABLE_SHAPES)
def test_mutated_tables_are_read_right_or_refused(shape: str, tmp_path: Path) -> None:
    read, refused = _counted(mutation_of_table(*(TABLES | EVALUATIONS)[shape], tmp_path), 32)
    assert read > 8
    assert refused > 0


@pytest.mark.parametrize("shape", RESULT_SHAPES)
def test_mutated_results_are_read_right_or_refused(shape: str, tmp_path: Path) -> None:
    read, refused = _counted(mutation_of_json(*(TABLES | EVALUATIONS)[shape], tmp_path), 25)
    assert read + refused == 25
    assert refused > 2


# ---- shapes that no fixture has --------------------------------------------------------------------


def _written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_numbers_of_a_european_table(tmp_path: Path) -> None:
    text = "\ufeffLauf;Groesse;Tokens;val_loss\r\na;350.000.000;7.100;3,21\r\nb;1.300.000.000;26.000;2,87\r\n"
    frame = sdb.read_runs(
        _written(tmp_path, "a.csv", text), {"run_id": "Lauf", "N": "Groesse"}, scale={"n_tokens": 1e6}
    )
    assert frame.select("run_id", "n_params", "n_tokens", "loss").rows() == [
        ("a", 3.5e8, 7.1e9, 3.21),
        ("b", 1.3e9, 2.6e10, 2.87),
    ]
    suffixed = _written(tmp_path, "b.csv", "model;params;T\nx;1,1B;26,1%\ny;6,7B;45,3%\n")
    assert sdb.read_runs(suffixed, tasks=["T"]).select("n_params", "score").rows() == [(1.1e9, 0.261), (6.7e9, 0.453)]


def test_a_dot_in_three_digits_stays_a_decimal_point_where_nothing_says_otherwise() -> None:
    assert numbers(pl.Series("x", ["3.214", "2.875"]), is_count=False).values.to_list() == [3.214, 2.875]
    assert numbers(pl.Series("x", ["12.345 %", "50%"]), is_count=False, is_share=True).values.to_list() == [
        pytest.approx(0.12345),
        0.5,
    ]


def test_a_chart_over_another_axis_keeps_its_points(tmp_path: Path) -> None:
    rows = [(k * 1e7, *[round(5 - 0.02 * k, 3)] * 3, *[round(4.8 - 0.02 * k, 3)] * 3) for k in range(1, 20)]
    header = ["tokens", *(f"{run} - eval/loss{end}" for run in ("s", "m") for end in ("", "__MIN", "__MAX"))]
    file = _written(tmp_path, "c.csv", "\n".join(",".join(map(str, row)) for row in [header, *rows]))
    assert sdb.read_runs(file, curves=True).height == 38
    assert sdb.read_runs(file).select("run_id", "n_tokens", "loss").rows() == [("s", 1.9e8, 4.62), ("m", 1.9e8, 4.42)]


def test_a_tensorboard_file_under_the_name_that_a_person_gave_it(tmp_path: Path) -> None:
    for run in ("runA", "runB"):
        for tag, more in (("train_loss", 0), ("val_loss", 0.5)):
            rows = "".join(f"{1.7e9 + k},{k * 250},{4 - 0.125 * k + more}\n" for k in range(9))
            _written(tmp_path, f"{run}_{tag}.csv", f"Wall time,Step,Value\n{rows}")
    frame = sdb.read_runs(tmp_path)
    assert frame.select("run_id", "step", "loss", "eval_set").rows() == [
        ("runA", 2000.0, 3.5, "val_loss"),
        ("runB", 2000.0, 3.5, "val_loss"),
    ]


def test_the_validation_loss_of_megatron_is_the_loss(tmp_path: Path) -> None:
    rows = [
        {"iteration": k, "lm loss": 6 - k / 8, "lm loss validation": 6.5 - k / 8 if k % 2 == 0 else None}
        for k in range(1, 9)
    ]
    file = _written(tmp_path, "gpt.jsonl", "\n".join(map(json.dumps, rows)))
    assert sdb.read_runs(file).select("step", "loss", "eval_set").rows() == [(8.0, 5.5, "lm loss validation")]


def test_scores_by_task_and_step(tmp_path: Path) -> None:
    report = {"arc": {"1000": {"acc": 0.25}, "step2000": {"acc": 0.5}}, "piqa": {"2000": {"acc": 0.75, "odd": 3}}}
    frame = sdb.read_runs(_written(tmp_path, "tiny.json", json.dumps(report)), curves=True)
    assert frame.select("run_id", "step", "eval_set", "score").rows() == [
        ("tiny", 1000.0, "arc", 0.25),
        ("tiny", 2000.0, "arc", 0.5),
        ("tiny", 2000.0, "piqa", 0.75),
    ]
    with pytest.raises(DataError, match="no metric is known here"):
        sdb.read_runs(_written(tmp_path, "odd.json", json.dumps({"arc": {"1": {"odd": 3}}})))


def test_every_eval_ever_before_units_were_stated(tmp_path: Path) -> None:
    results = [
        {
            "evaluation_name": name,
            "metric_config": {"score_type": "continuous", "min_score": 0, "max_score": most},
            "score_details": {"score": score, "uncertainty": {"standard_error": {"value": error}}},
        }
        for name, most, score, error in (("a", 1, 0.31, 0.02), ("b", 100, 41.0, 2.5), ("elo", 3000, 1200, 1))
    ]
    record = {"schema_version": "0.2.1", "model_info": {"id": "o/m"}, "evaluation_results": results}
    frame = sdb.read_runs(_written(tmp_path, "r.json", json.dumps(record)))
    assert frame.select("eval_set", "score", "std_error").rows() == [("a", 0.31, 0.02), ("b", 0.41, 0.025)]


def test_a_group_of_opencompass_counts_once(tmp_path: Path) -> None:
    text = "dataset,version,metric,mode,m\nmmlu,-,naive_average,gen,50\nlukaemon_mmlu_law,1,accuracy,gen,50\n"
    text += "humaneval,2,humaneval_pass@1,gen,20.1\n"
    frame = sdb.read_runs(_written(tmp_path, "s.csv", text))
    assert frame.select("eval_set", "metric", "score").rows() == [
        ("lukaemon_mmlu_law", "acc", 0.5),
        ("humaneval", "pass_at_1", 0.201),
    ]
    assert frame["raw_row"].dtype.is_integer()


def test_an_unfinished_log_does_not_contradict_the_finished_one(tmp_path: Path) -> None:
    for name, status, value in (("a", "cancelled", 0.7), ("b", "success", 0.5)):
        metrics = {"accuracy": {"value": value}}
        log = {
            "version": 2,
            "status": status,
            "eval": {"task": "t", "model": "m"},
            "results": {"completed_samples": 10, "scores": [{"name": "choice", "metrics": metrics}]},
        }
        _written(tmp_path, f"{name}.json", json.dumps(log))
    assert sdb.read_runs(tmp_path)["score"].to_list() == [0.5]


def test_symbols_and_short_names_are_known(said: list[str]) -> None:
    table = {"run": ["a", "b"], "N": [1e8, 2e8], "D": [2e9, 4e9], "L": [3.5, 3.25]}
    assert sdb.read_runs(table).select("run_id", "n_params", "n_tokens", "loss").rows()[0] == ("a", 1e8, 2e9, 3.5)
    assert "run_id = 'run'" in said[0]
    assert "n_params" not in sdb.read_runs({"run": ["a"], "N": [307], "val_loss": [3.5]}).columns
    bits = sdb.read_runs({"run": ["a", "b"], "bpb": [1.1, 0.95]})
    assert bits["unit"].unique().to_list() == ["bits_per_byte"]
    sdb.read_runs({"run": ["a"], "val_loss": [33.0]}, metric="perplexity", unit="perplexity")
    assert "odd for nats" not in said[-1]
    sdb.read_runs({"model": ["a", "b"], "task": ["t", "t"], "acc": [0.5, 0.6], "stderr": [0.0, 0.1]})
    assert "a standard error of 0: a" in said[-1]


def test_a_helm_split_that_is_no_text_is_no_foreign_exception(tmp_path: Path) -> None:
    stats = next(_own_files.helm(tmp_path).rglob("stats.json"))
    content = json.loads(stats.read_text(encoding="utf-8"))
    content[2]["name"]["split"] = {}
    stats.write_text(json.dumps(content), encoding="utf-8")
    row = sdb.read_runs(tmp_path / "runs").row(0, named=True)
    assert (row["score"], row["n_items"]) == (0.44, None)


# ---- what newcomers' files did -------------------------------------------------------------------


def test_a_run_without_a_value_is_counted_and_named(said: list[str]) -> None:
    columns = {"Name": list("abcd"), "State": ["finished", "failed", "finished", "finished"], "_step": [100] * 4}
    sdb.read_runs({**columns, "params": [1e8, 2e8, 2e8, 2e8], "val_loss": [3.4, None, None, 3.1]})
    assert "2 run(s) without a value in 'val_loss': b (failed), c (finished)" in said[0]


@pytest.mark.parametrize("key", ["Loss", "LOSS", "L"])
def test_a_mapping_in_another_case_is_the_same_mapping(key: str) -> None:
    frame = sdb.read_runs({"run": ["a"], "N": [1e8], "train_loss": [2.1], "val_loss": [2.5]}, {key: "val_loss"})
    assert frame.select("loss", "split").rows() == [(2.5, "validation")]


def test_a_loss_is_no_knob_while_no_loss_is_mapped() -> None:
    table = {"run": ["a"], "params": [1e8], "train_loss": [2.1], "val_loss": [2.5]}
    with pytest.raises(DataError, match="'mine' = 'val_loss' makes a loss a knob of yours"):
        sdb.read_runs(table, {"mine": "val_loss"})
    assert sdb.read_runs(table, {"mine": "train_loss", "loss": "val_loss"}).select("mine", "loss").rows() == [
        (2.1, 2.5)
    ]


def test_runs_that_share_a_name_stay_apart(said: list[str]) -> None:
    frame = sdb.read_runs(
        {"run": ["exp"] * 3, "params": [1e8, 2e8, 4e8], "tokens": [2e9] * 3, "val_loss": [3, 2.8, 2.6]}
    )
    assert frame["run_id"].to_list() == ["exp (n_params 1e+08)", "exp (n_params 2e+08)", "exp (n_params 4e+08)"]
    assert "rows under one name with several n_params are runs of their own: exp" in said[0]
    table = {"Name": ["base", "base"], "ID": ["x1", "x2"], "State": ["finished"] * 2, "tokens": [1e9, 2e9]}
    frame = sdb.read_runs({**table, "params": [1e8] * 2, "val_loss": [3.0, 2.9]})
    assert frame["run_id"].to_list() == ["base (x1)", "base (x2)"]


@pytest.mark.parametrize("axis", ["train/global_step", "Relative Time (Process)", "tokens_seen"])
def test_a_chart_over_another_axis_gives_the_end_of_each_curve(tmp_path: Path, axis: str) -> None:
    head = f'"{axis}","a - eval/loss","a - eval/loss__MIN","a - eval/loss__MAX"\n'
    (tmp_path / "chart.csv").write_text(head + "".join(f"{i}e8,{11 - i},{11 - i},{11 - i}\n" for i in range(1, 9)))
    frame = sdb.read_runs(tmp_path / "chart.csv")
    assert frame["loss"].to_list() == [3.0]
    assert ("step" in frame.columns) == (axis == "train/global_step")
    assert ("n_tokens" in frame.columns) == (axis == "tokens_seen")


def test_models_that_contradict_the_file_are_named(said: list[str]) -> None:
    models = {"model_name": ["a", "b"], "params": [1e8, 2e8], "tokens": [1e9, 3e9]}
    frame = sdb.read_runs({"model": ["a", "b"], "tokens": [3e11, 3e9], "val_loss": [3.0, 2.9]}, models=models)
    assert frame["n_tokens"].to_list() == [1e9, 3e9]
    assert "n_tokens of models= replaced what the file says of a" in said[0]


def test_shares_declared_as_per_cent_are_refused() -> None:
    table = {"model": list("abc"), "mmlu": [0.8, 0.9, 0.4]}
    with pytest.raises(DataError, match="no score of mmlu is above 1"):
        sdb.read_runs(table, tasks=["mmlu"], unit="percent")
    assert sdb.read_runs(table, tasks=["mmlu"], unit="fraction")["score"].to_list() == [0.8, 0.9, 0.4]


def test_a_column_of_bits_is_not_taken_as_nats() -> None:
    table = {"run": ["a"], "params": [1e8], "val_bpb": [1.01]}
    with pytest.raises(DataError, match=r"(?s)'val_bpb'.*bits per byte.*metric='bits_per_byte'"):
        sdb.read_runs(table, {"L": "val_bpb"}, unit="nats_per_token")
    for mapping in ({"L": "val_bpb"}, None):
        frame = sdb.read_runs(
            table, mapping, metric="bits_per_byte" if mapping else "loss", unit="bits_per_byte" if mapping else None
        )
        assert frame.select("metric", "unit", "value").rows() == [("bits_per_byte", "bits_per_byte", 1.01)]


def test_impossible_sizes_and_losses_are_left_out() -> None:
    columns = _frame([*RUNS, ("negative", -1e8, 2e9, 3.0), ("short", 350.0, 2e9, 3.0), ("blown", 1e8, 2e9, 1e9)])
    frame = sdb.read_runs(columns, unit="nats_per_token", flagged=True)
    flagged = frame.filter(pl.col("flag").is_not_null())
    assert flagged.select("run_id", "flag").rows() == [
        ("negative", "parameters"),
        ("short", "parameters"),
        ("blown", "unit"),
    ]
    with pytest.raises(DataError, match="'params' holds suffixes"):
        sdb.read_runs({"run": ["a"], "params": ["1.3B"], "val_loss": [2.5]}, scale={"n_params": 1e9})


def test_states_of_schedulers_are_known_or_named(said: list[str]) -> None:
    table = {"run": list("abcd"), "status": ["COMPLETED", "TIMEOUT", "out of memory", "odd"], "params": [1e8] * 4}
    frame = sdb.read_runs({**table, "val_loss": [3.0, 3.1, 3.2, 3.3]})
    assert frame["run_id"].to_list() == ["a", "d"]
    assert "1 row(s) stay in with a state that says neither finished nor failed (odd): d" in said[0]


def test_a_mean_beside_its_tasks_is_not_counted_twice() -> None:
    scores = {"mmlu": 0.5, "mmlu_anatomy": 0.4, "mmlu_astronomy": 0.6, "average": 0.5, "imagenet": 0.7}
    scores |= {"imagenet_v2": 0.6, "imagenet_r": 0.5}
    table = {"model": ["a"] * 7, "task": list(scores), "metric": ["acc"] * 7, "value": list(scores.values())}
    frame = sdb.read_runs(table, unit="fraction")
    assert set(scores) - set(frame["eval_set"]) == {"mmlu", "average"}


def test_a_condition_says_how_many_rows_it_excludes(said: list[str]) -> None:
    sdb.read_runs(_frame(RUNS), where="params > 2e8", unit="nats_per_token")
    assert "row(s) that where= excludes" in said[0]


def test_samples_of_the_harness_belong_to_the_results_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "corp__zeta-1b"
    folder.mkdir()
    results = {"results": {"hellaswag": {"acc,none": 0.5}}, "versions": {}, "model_name": "corp/zeta-1b"}
    (folder / "results_2025-01-01T00-00-00.json").write_text(json.dumps(results))
    lines = [json.dumps({"doc_id": i, "target": "x", "acc": float(i % 2)}) for i in range(4)]
    (folder / "samples_hellaswag_2025-01-01T00-00-00.jsonl").write_text("\n".join(lines) + "\n")
    options = Options({}, None, "loss", None, {}, None, None, None, None, None)
    items = read_measured(tmp_path, options, curves=True, flagged=True).items
    assert items.select("model_name", "value").rows() == [("corp/zeta-1b", i % 2) for i in range(4)]


def test_records_inside_a_frame_are_columns_of_their_own() -> None:
    rows = [{"name": "a", "config": {"model": {"n_params": 1e8}}, "summary": {"val_loss": 3.1, "tokens": 2e9}}]
    frame = sdb.read_runs(rows)
    assert frame.select("run_id", "n_params", "loss").rows() == [("a", 1e8, 3.1)]


def test_a_log_whose_last_line_is_cut_off_is_read_to_there(tmp_path: Path, said: list[str]) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1, "val_loss": 3.0}\n{"step": 2, "val_loss": 2.9}\n{"step": 3, "val')
    assert sdb.read_runs(tmp_path / "log.jsonl")["loss"].to_list() == [2.9]
    assert "its last line, which is cut off" in said[0]


# ---- what must not be silently different -------------------------------------------------------


def _grid(**columns: Any) -> dict[str, Any]:
    n = [f * 1e7 for f in (3, 7, 15, 31, 74)] * 4
    d = [ratio * size for ratio, size in zip([6] * 5 + [14] * 5 + [35] * 5 + [90] * 5, n, strict=True)]
    loss = [1.75 + 420 * a**-0.34 + 560 * b**-0.29 for a, b in zip(n, d, strict=True)]
    return {"run": [f"r{i}" for i in range(20)], "params": n, "tokens": d, "val_loss": loss} | columns


@pytest.mark.parametrize("name", ["split", "phase"])
def test_training_rows_beside_validation_rows_are_left_out(name: str, said: list[str]) -> None:
    table = {key: values * 2 for key, values in _grid().items()}
    table[name] = ["train"] * 20 + ["Val"] * 20
    table["loss"] = [value - 0.3 for value in table["val_loss"][:20]] + table.pop("val_loss")[20:]
    frame = sdb.read_runs(table, unit="nats_per_token")
    assert frame["loss"].to_list() == table["loss"][20:]
    assert f"20 row(s) of training values, as '{name}' says" in said[0]
    training = sdb.read_runs(table, where=f"{name} = 'train'")
    assert training["metric"].unique().to_list() == ["train_loss"]
    with pytest.raises(DataError, match="neither train, validation, test, fit nor all"):
        sdb.read_runs(table | {name: ["a"] * 40})


def test_units_that_a_heading_states_are_taken(said: list[str]) -> None:
    plain = _grid()
    table = {
        "Model": plain["run"],
        "Params (M)": [n / 1e6 for n in plain["params"]],
        "Training tokens [B]": [d / 1e9 for d in plain["tokens"]],
        "Compute (PF-days)": [6 * n * d / 8.64e19 for n, d in zip(plain["params"], plain["tokens"], strict=True)],
        "Val loss [nats]": plain["val_loss"],
    }
    frame = sdb.read_runs(table, unit="nats_per_token")
    np.testing.assert_allclose(frame["n_params"], plain["params"])
    np.testing.assert_allclose(frame["n_tokens"], plain["tokens"])
    np.testing.assert_allclose(frame["train_flops"], 6 * np.array(plain["params"]) * np.array(plain["tokens"]))
    assert "'Params (M)' times 1e+06 is n_params, as the heading says" in said[0]
    with pytest.raises(DataError, match="counts in units of 1e\\+06, and holds whole counts"):
        sdb.read_runs(table | {"Params (M)": [n * 1e3 for n in plain["params"]]})
    bits = {**plain, "val loss (bits/token)": [value / 0.6931 for value in plain["val_loss"]]}
    del bits["val_loss"]
    with pytest.raises(DataError, match="says bits"):
        sdb.read_runs(bits, unit="nats_per_token")
    with pytest.raises(DataError, match="train_flops has a median"):
        sdb.read_runs(_grid(flops=[1e-3] * 20))


@pytest.mark.parametrize(
    ("change", "left", "words"),
    [
        (lambda t: t["tokens"].__setitem__(4, 5.4), 19, "fewer than 0.01 tokens per parameter"),
        (lambda t: t["tokens"].__setitem__(slice(0, 9), [930.0] * 9), 11, "fewer than 0.01 tokens per parameter"),
        (lambda t: t["params"].__setitem__(4, None), 19, "1 row(s) without n_params: r4"),
        (lambda t: t["run"].__setitem__(4, "Mean"), 19, "1 row(s) sum up the others by their name: Mean"),
    ],
)
def test_odd_rows_of_a_table_are_left_out_and_said(change: Any, left: int, words: str, said: list[str]) -> None:
    table = _grid()
    change(table)
    assert sdb.read_runs(table, unit="nats_per_token").height == left
    assert words in said[0]


def test_a_run_that_ends_badly_has_no_last_value(said: list[str]) -> None:
    rows = [r for name in "abcd" for r in _curve(name, STEPS, [v + 0.001 * ord(name) for v in CURVE])]
    for row in rows[-2:]:
        row["val_loss"] = 11.2
    frame = sdb.read_runs(pl.DataFrame(rows), {"run_id": "run"}, unit="nats_per_token", curves=False)
    assert frame["run_id"].to_list() == ["a", "b", "c"]
    assert "ended far above their best value: d (11.2 after" in said[0]
    for row in rows[-2:]:
        row["val_loss"] = 31.5
    frame = sdb.read_runs(pl.DataFrame(rows), {"run_id": "run"}, unit="nats_per_token", curves=False)
    assert frame["run_id"].to_list() == ["a", "b", "c"]


def test_a_second_export_of_a_run_is_left_out_whole() -> None:
    rows = [r for name in "abc" for r in _curve(name, [0.0, *STEPS], [10.8, *(v + 0.001 * ord(name) for v in CURVE)])]
    again = [{**row, "run": "again"} for row in rows if row["run"] == "c"]
    frame = pl.DataFrame(rows + again).with_columns(tokens=pl.col("step") * 1e5, params=1e8)
    assert set(sdb.read_runs(frame, unit="nats_per_token")["run_id"]) == {"a", "b", "c"}


def test_values_that_nothing_orders_are_refused() -> None:
    rows = [{"run": name, "n_params": 1e8, "val_loss": v + 0.01 * ord(name)} for name in "abcd" for v in CURVE]
    with pytest.raises(DataError, match=r"(?s)no column orders them.*mapping=\{'step': 'COLUMN'\}"):
        sdb.read_runs(rows)


def test_an_empty_path_is_no_folder() -> None:
    with pytest.raises(DataError, match="the path is empty"):
        sdb.read_runs("")


def test_the_index_of_a_pandas_frame_is_read() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(_grid()).set_index(["run", "params"])
    read = sdb.read_runs(frame, unit="nats_per_token")
    assert read["run_id"].to_list() == _grid()["run"]
    assert read["n_params"].to_list() == _grid()["params"]


def test_a_side_table_that_adds_nothing_is_refused() -> None:
    runs = {"model": ["a", "b"], "val_loss": [3.0, 2.9]}
    with pytest.raises(DataError, match=r"(?s)no column of sizes, tokens or compute.*mapping=\{'N': 'how big'\}"):
        sdb.read_runs(runs, models=pl.DataFrame({"model": ["a", "b"], "how big": [1e8, 2e8]}))


def test_validation_and_test_rows_are_two_sets() -> None:
    table = {key: values * 2 for key, values in _grid().items()}
    table["split"] = ["val"] * 20 + ["test"] * 20
    table["val_loss"] = table["val_loss"][:20] + [value + 0.1 for value in table["val_loss"][20:]]
    frame = sdb.read_runs(table, unit="nats_per_token")
    assert frame.group_by("eval_set").len().sort("eval_set").rows() == [("val_loss", 20), ("val_loss (test)", 20)]
    named = sdb.read_runs(table, unit="nats_per_token", eval_set="c4")
    assert named.group_by("eval_set").len().sort("eval_set").rows() == [("c4", 20), ("c4 (test)", 20)]
    with pytest.raises(DataError, match="they differ in eval_set"):
        sdb.fit(frame, "chinchilla")


def _parquet_and_arrow(folder: Path) -> list[Path]:
    frame = pl.DataFrame({"run": ["a", "b"], "n_params": [1e8, 2e8], "tokens": [2e9, 4e9], "val_loss": [3.1, 2.9]})
    frame.write_parquet(folder / "t.parquet")
    frame.write_ipc(folder / "t.arrow")
    return [folder / "t.parquet", folder / "t.arrow"]


def test_damaged_bytes_of_tables_and_archives_are_no_foreign_exception(tmp_path: Path) -> None:
    """Polars panics on some, in a class that is no Exception; a cut archive ends early."""
    archive = EVALUATIONS["inspect_archive"][0](tmp_path)
    for file in [*_parquet_and_arrow(tmp_path), archive]:
        original = file.read_bytes()
        refused = 0
        for seed in range(150):
            rng = random.Random(seed)
            damaged = bytearray(original)
            for _ in range(rng.randrange(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            file.write_bytes(damaged)
            try:
                sdb.read_runs(file)
            except ScalingDBError:
                refused += 1
        assert refused > 50


def test_a_panic_of_polars_is_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def panic(*_: object) -> None:
        raise pl.exceptions.PanicException("range end index 7 out of range")

    file = _parquet_and_arrow(tmp_path)[1]
    monkeypatch.setattr(pl, "read_ipc", panic)
    with pytest.raises(DataError, match="damaged Arrow file: range end index"):
        sdb.read_runs(file)


@pytest.mark.parametrize(
    ("shape", "old", "new"),
    [
        ("trainer_state", "eval_loss", "\\ud800"),
        ("json_lines", "sweep-00", "x\\udfffy"),
        ("helm", "acme/tiny", "\\ud83d"),
        ("lm_eval_new", "arc_easy", "\\ud800"),
    ],
)
def test_half_a_surrogate_pair_is_refused(shape: str, old: str, new: str, tmp_path: Path) -> None:
    path = (TABLES | EVALUATIONS)[shape][0](tmp_path)
    for file in path.rglob("*.json*") if path.is_dir() else [path]:
        file.write_text(file.read_text().replace(old, new))
    with pytest.raises(DataError, match="half of a surrogate pair"):
        sdb.read_runs(path)


def test_a_whole_surrogate_pair_is_a_character(tmp_path: Path) -> None:
    file = _written(tmp_path, "log.jsonl", '{"run": "\\ud83d\\ude00", "step": 1, "loss": 3.1}\n' * 2)
    assert sdb.read_runs(file, unit="nats_per_token")["run_id"].item() == "\U0001f600"


def test_a_checkpoint_with_negative_tokens_is_left_out(said: list[str]) -> None:
    rows = {"run": ["a"] * 3, "step": [0, 1, 2], "tokens": [0.0, -1.0, 1e9], "val_loss": [9.0, 5.0, 4.0]}
    frame = sdb.read_runs(rows, unit="nats_per_token", curves=True)
    assert frame["n_tokens"].to_list() == [0.0, 1e9]
    assert "1 run(s) with no tokens" in said[0]


@pytest.mark.parametrize("name", ["run.jsonl", "run.ndjson", "run.jsonl.gz"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_json_lines_of_one_line_are_read(tmp_path: Path, name: str, end: str) -> None:
    row = json.dumps({"model": "a", "params": 1e8, "tokens": 2e9, "val_loss": 3.1, "config": {"lr": 1e-3}}) + end
    (tmp_path / name).write_bytes(gzip.compress(row.encode()) if name.endswith("gz") else row.encode())
    frame = sdb.read_runs(tmp_path / name, unit="nats_per_token")
    assert frame.select("model_name", "n_params", "n_tokens", "loss", "learning_rate").rows() == [
        ("a", 1e8, 2e9, 3.1, 1e-3)
    ]
    (tmp_path / name).rename(tmp_path / "summary.json")
    with pytest.raises(DataError, match="no known kind"):
        sdb.read_runs(tmp_path / "summary.json")


@pytest.mark.parametrize("name", ["runs*.csv", "run?.csv", "run[12].csv"])
def test_a_pattern_is_no_path_and_a_name_like_one_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs1.csv").write_text("model,params,tokens,val_loss\na,1e8,2e9,3.1\n")
    with pytest.raises(WarehouseError, match=r"are no pattern here: name the files one by one, or their folder"):
        sdb.read_runs(tmp_path / name)
    (tmp_path / name).write_text("model,params,tokens,val_loss\nb,1e8,2e9,3.2\n")
    assert sdb.read_runs(tmp_path / name, unit="nats_per_token")["loss"].to_list() == [3.2]


@pytest.mark.parametrize("where", ["val_loss > 1 and " * 2_000 + "true", "(" * 9_000, "- " * 9_000 + "val_loss < 0"])
def test_a_condition_that_would_keep_polars_busy_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "a.csv").write_text("model,params,tokens,val_loss\na,1e8,2e9,3.1\n")
    with pytest.raises(DataError, match=r"where= has [\d,]+ operators and brackets, of 200 that are allowed"):
        sdb.read_runs(tmp_path / "a.csv", where=where)
    many = ", ".join(f"'x{i} - ((({i}'" for i in range(2_000))
    assert sdb.read_runs(tmp_path / "a.csv", where=f"model not in ({many})", unit="nats_per_token").height == 1


@pytest.mark.parametrize(
    ("where", "models"),
    [
        ("params > 1.5e8", ["b", "c"]),
        ("tokens <= 2E+9 or val_loss < 2.5e0", ["a", "c"]),
        ("val_loss < 30e-1 and params < 1e21", ["b", "c"]),
        ("params between .5e8 and 2e8", ["a", "b"]),
        ("model <> '1e8' and model <> \"model\" or params = 1e8", ["a"]),
    ],
)
def test_numbers_of_a_condition_may_have_exponents(tmp_path: Path, where: str, models: list[str]) -> None:
    (tmp_path / "a.csv").write_text("model,params,tokens,val_loss\na,1e8,2e9,3.1\nb,2e8,3e9,2.9\nc,400000000,4e9,2.4\n")
    assert sdb.read_runs(tmp_path / "a.csv", where=where, unit="nats_per_token")["model_name"].to_list() == models


LARGE = [2**53 + 1, 2**53 + 3, 2**63 - 1]


def _shaped(shape: str, table: dict[str, list[Any]], place: Path) -> Any:
    rows = [{name: column[i] for name, column in table.items()} for i in range(len(table["run"]))]
    frame = pl.DataFrame({name: pl.Series(column, strict=False) for name, column in table.items()})
    file = place / f"runs.{shape}"
    if shape == "parquet":
        frame.write_parquet(file)
    elif shape == "csv":
        lines = [list(map(str, row.values())) for row in rows]
        file.write_text("\n".join(",".join(line) for line in [list(table), *lines]))
    elif shape in {"json", "jsonl"}:
        file.write_text(json.dumps(table) if shape == "json" else "\n".join(map(json.dumps, rows)))
    else:
        pandas = pytest.importorskip("pandas").DataFrame(table)
        return {"dict": table, "rows": rows, "polars": frame, "pandas": pandas}[shape]
    return file


SHAPES = ["parquet", "csv", "json", "jsonl", "dict", "rows", "polars", "pandas"]


@pytest.mark.parametrize("shape", SHAPES)
def test_whole_numbers_that_a_float_would_round_stay_as_they_are(shape: str, tmp_path: Path) -> None:
    table = _frame(RUNS[:3], seed=LARGE)
    frame = sdb.read_runs(_shaped(shape, table, tmp_path))
    assert frame["seed"].to_list() == LARGE
    knobs = _frame(RUNS[:3], job=LARGE)
    assert sdb.read_runs(_shaped(shape, knobs, tmp_path), {"job": "job"})["job"].to_list() == LARGE
    chosen = sdb.read_runs(_shaped(shape, table, tmp_path), where=f"seed = {LARGE[0]}")
    assert chosen["seed"].to_list() == LARGE[:1]
    ids = {**table, "run": LARGE}
    assert sdb.read_runs(_shaped(shape, ids, tmp_path))["run_id"].to_list() == list(map(str, LARGE))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["step", "seed"])
def test_whole_numbers_that_cannot_be_kept_are_refused(shape: str, name: str, tmp_path: Path) -> None:
    for cells in ([2**64 + 1, 2, 3], [2**53 + 1, 2, 0.5])[: 1 if shape in {"parquet", "polars", "pandas"} else 2]:
        what = _shaped(shape, _frame(RUNS[:3], **{name: cells}), tmp_path)
        with pytest.raises(DataError, match=rf"{name} = '{name}': row 1 says {cells[0]}, which would be rounded"):
            sdb.read_runs(what)
        kept = sdb.read_runs(what, {f"my_{name}": name})  # what the error advises
        assert kept[f"my_{name}"].to_list() == list(map(str, cells))


def test_large_seeds_beside_others_and_in_words_of_people(tmp_path: Path) -> None:
    files = []
    for i, seeds in enumerate(([2**53 + 1], [4.0], [5])):
        files.append(tmp_path / f"{i}.parquet")
        pl.DataFrame(_frame(RUNS[i : i + 1], seed=seeds) | {f"more_{i}": [1.0]}).write_parquet(files[-1])
    assert sdb.read_runs(files)["seed"].to_list() == [2**53 + 1, 4, 5]
    frame = sdb.read_runs(_frame(RUNS[:3], seed=["9,007,199,254,740,993", "1,000", "9.007199254740995e15"]))
    assert frame["seed"].to_list() == [2**53 + 1, 1000, 2**53 + 3]
    assert sdb.read_runs(_frame(RUNS[:3], train_flops=[10**22 + 1] * 3))["train_flops"].to_list() == [1e22] * 3


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder whose parts can be closed to this process, as root lets itself in everywhere."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        sdb.read_runs(_frame(RUNS[:3]))  # import everything now
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            for path in [*folder.iterdir()]:
                path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such modes")
@pytest.mark.parametrize("which", ["file", "file in it", "folder", "folder in it", "names alone"])
def test_what_may_not_be_read_is_not_called_empty_or_missing(which: str, closed: Path) -> None:
    is_root = os.getuid() == 0
    if is_root:
        os.seteuid(0)
    folder, runs = closed / "runs", pl.DataFrame(_frame(RUNS[:3]))
    (folder / "below").mkdir(parents=True)
    for file in (folder / "a.csv", folder / "below" / "b.csv"):
        runs.write_csv(file)
    shut = {"file": folder / "a.csv", "file in it": folder / "a.csv", "folder in it": folder / "below"}
    shut.get(which, folder).chmod(0o744 if which == "names alone" else 0)
    if is_root:
        os.seteuid(65534)
    with pytest.raises(WarehouseError) as caught:
        sdb.read_runs(folder / "a.csv" if which == "file" else folder)
    assert "may not be read: permission denied" in caught.value.fact
    assert str(folder if which == "names alone" else shut.get(which, folder)) in caught.value.fact


def test_a_folder_of_very_many_files_is_refused_before_it_is_walked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scalingdb.reading._files.MOST_FILES", 20)
    for i in range(10):
        (tmp_path / f"{i}").mkdir()
        pl.DataFrame(_frame(RUNS[:3])).write_csv(tmp_path / f"{i}" / "runs.csv")
    seen: list[str] = []
    walk = os.walk

    def counted(*args: Any, **options: Any) -> Iterator[Any]:
        for found in walk(*args, **options):
            seen.append(found[0])
            yield found

    monkeypatch.setattr("os.walk", counted)
    assert sdb.read_runs(tmp_path).height
    seen.clear()
    monkeypatch.setattr("scalingdb.reading._files.MOST_FILES", 13)
    with pytest.raises(DataError, match="holds more than 13 files and folders"):
        sdb.read_runs(tmp_path)
    assert len(seen) < 10  # not walked to its end


def test_a_loop_of_links_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "own").symlink_to("own")
    pl.DataFrame(_frame(RUNS[:3])).write_csv(tmp_path / "runs.csv")
    assert sdb.read_runs(tmp_path)["raw_file"].unique().to_list() == ["runs.csv"]
    with pytest.raises(WarehouseError, match="cannot be read: Too many levels of symbolic links"):
        sdb.read_runs(tmp_path / "own")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x" * 300, "cannot be read: File name too long"),
        ("a\0b", "is no name of a file"),
        ("runs.csv/more", "does not exist"),
        ("new\nline", "does not exist"),
        ("pipe", "is neither a file nor a folder"),
    ],
)
def test_odd_paths_are_told_apart(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("a")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WarehouseError, match=words):
        sdb.read_runs(tmp_path / name)


@pytest.mark.parametrize("what", ["", ["runs.csv", ""], [" "]])
def test_an_empty_path_among_others_is_no_folder(what: Any) -> None:
    with pytest.raises(DataError, match="the path is empty"):
        sdb.read_runs(what)


def _twice(shape: str, place: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    runs = [pa.array(["a", "b"]), pa.array([1e8, 2e8]), pa.array([3.1, 3.2])]
    fields = pa.StructArray.from_arrays([pa.array([1, 2]), pa.array([3, 4])], names=["lr", "lr"])
    is_nested = shape.endswith("nested")
    last = ("config", fields) if is_nested else ("val_loss", pa.array([3.0, 3.3]))
    table = pa.table([*runs, last[1]], names=["run", "params", "val_loss", last[0]])
    file = place / "runs"
    match shape.removesuffix(" nested"):
        case "parquet":
            pq.write_table(table, file)
        case "arrow":
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
        case "memory":
            return table
        case "pandas":
            return table.to_pandas()
        case "csv":
            file.write_text("run,params,val_loss, val_loss\na,1e8,3.1,3.0\n")
        case "jsonl":
            line = '{"run":"a","config":{"lr":1,"lr":2}}' if is_nested else '{"run":"a","val_loss":3,"val_loss":4}'
            file.write_text(f"{line}\n{line}\n")
        case "keys":
            file.write_text('{"run":"a","config.lr":1,"config":{"lr":2}}\n' * 2)
    return file


@pytest.mark.parametrize(
    "shape",
    ["parquet", "arrow", "memory", "pandas", "csv", "jsonl"]
    + [f"{shape} nested" for shape in ("keys", "parquet", "arrow", "memory", "jsonl")],
)
def test_two_columns_of_one_name_are_refused_by_name(
    shape: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    name = "val_loss" if not shape.endswith("nested") else "lr" if shape == "jsonl nested" else "config.lr"
    with pytest.raises(DataError, match=f"'{name}'") as caught:
        sdb.read_runs(_twice(shape, tmp_path))
    assert re.search("one name|twice|are called|more than one", caught.value.fact)
    assert "panicked" not in capfd.readouterr().err


def test_rows_whose_keys_are_no_text_keep_their_values() -> None:
    from scalingdb.reading._frames import as_frame

    assert as_frame([{1: 2.0, "loss": 3.0}, {1: 4.0}]).to_dicts() == [{"1": 2.0, "loss": 3.0}, {"1": 4.0, "loss": None}]
    with pytest.raises(DataError, match="two columns are called '1'"):
        as_frame([{1: 2.0}, {"1": 3.0}])


def test_what_is_no_file_is_told_as_what_it_is(tmp_path: Path, said: list[str]) -> None:
    runs = tmp_path / "runs"
    (tmp_path / "other").mkdir()
    runs.mkdir()
    (runs / "a.csv").write_text("run_id,n_params,n_tokens,loss\na,1e8,2e9,3.1\n")
    (runs / ".DS_Store").write_bytes(b"\0\1")
    (runs / "linked").symlink_to("../other")
    (runs / "gone.csv").symlink_to("nowhere.csv")
    os.mkfifo(runs / "p.csv")
    assert sdb.read_runs(runs, unit="nats_per_token").height == 1
    for words in ("linked: a link to a folder", "gone.csv: a link to what is not there", "p.csv: no file but a pipe"):
        assert words in said[0]
    assert ".DS_Store" not in said[0]


def test_numbers_of_thousands_of_digits_are_told(tmp_path: Path) -> None:
    file = tmp_path / "big.json"
    row = '{"run_id": "a", "n_params": %s, "loss": 3.0}' % ("9" * 5000)
    for text in (f"[{row}]", f"{row}\n{row}\n"):
        file.write_text(text)
        with pytest.raises(DataError, match="too many digits"):
            sdb.read_runs(file)


def test_lines_that_end_with_a_carriage_return_alone_are_lines(tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_bytes(b"run_id,n_params,n_tokens,loss\ra,1e8,2e9,3.1\rb,2e8,4e9,2.9\r")
    assert sdb.read_runs(file)["loss"].to_list() == [3.1, 2.9]


def _packed(folder: Path, kind: str) -> Path:
    """A small file that takes a hundred megabytes or more once it is unpacked."""
    file = folder / f"x.{kind}"
    block = b"a" * 1_000_000
    if kind == "csv.gz":
        with gzip.open(file, "wb") as out:
            out.write(b"run_id,loss\n" + b"".join([block] * 200))
    elif kind == "eval":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.json", b'{"a": "' + b"".join([block] * 200) + b'"}')
    else:
        text = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), [block.decode()])
        note = {"flat": text, "inside": pa.StructArray.from_arrays([text], ["k"])}[kind.partition(".")[0]]
        names = [f"r{i}" for i in range(200)]
        parquet.write_table(pa.table({"run_id": names, "loss": [3.0] * 200, "note": note}), file)
    return file


@pytest.mark.parametrize("kind", ["csv.gz", "eval", "flat.parquet", "inside.parquet"])
def test_a_small_file_of_much_text_is_refused_before_it_is_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_files, "MOST_BYTES" if kind == "csv.gz" else "MOST_UNPACKED", 150_000_000)
    file = _packed(tmp_path, kind)
    assert file.stat().st_size < 1_500_000
    with pytest.raises(DataError, match="more than is read at once"):
        sdb.read_runs(file)


@pytest.mark.parametrize(("limit", "most"), [("MOST_ROWS", 9_999), ("MOST_BYTES", 150_000)])
def test_a_small_arrow_file_of_many_cells_is_refused_before_it_is_read(
    limit: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "x.arrow"
    pl.DataFrame({"n_params": [1e6] * 10_000, "loss": [3.0] * 10_000}).write_ipc(file, compression="zstd")
    assert file.stat().st_size < 10_000
    monkeypatch.setattr(_files, limit, most)
    with pytest.raises(DataError, match="read at once"):
        sdb.read_runs(file)


@pytest.mark.parametrize("kind", ["arrow", "csv", "jsonl", "json", "parquet"])
def test_very_many_columns_are_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "MOST_COLUMNS", 500)
    names = ["run_id", "loss", *(f"c{i}" for i in range(600))]
    frame = pl.DataFrame({name: [3.0, 2.9] for name in names})
    file = tmp_path / f"x.{kind}"
    if kind == "csv":
        frame.write_csv(file)
    elif kind == "jsonl":
        file.write_text("".join(json.dumps({"loss": 3.0, f"a{i}": 1, f"b{i}": 2}) + "\n" for i in range(300)))
    elif kind == "json":
        file.write_text(json.dumps(frame.to_dict(as_series=False)))
    elif kind == "arrow":
        frame.write_ipc(file)
    else:
        frame.write_parquet(file)
    with pytest.raises(DataError, match=r"60[012] columns; 500 can be read at once"):
        sdb.read_runs(file)
