"""The query layer: what the shipped tables promise, what the views compute, what cannot be done."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import http.server
import json
import math
import os
import shutil
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import scalingdb as sdb
from scalingdb import _store
from scalingdb._store import read_state, write_manifest
from scalingdb.errors import DataError, QueryError, ReadOnlyError, ScalingDBError, UnknownNameError, WarehouseError
from scalingdb.law_library import _cache
from scalingdb.schema import METRICS, TABLES, UNITS
from scalingdb.verification import verify
from scalingdb.warehouse import _export, _remote

MakeWarehouse = Callable[..., Path]
HELPERS = ("last_losses", "repeated_points", "repeated_scores")
VIEWS = ("curves", "points", "points_unique", "scores", "scores_unique", *HELPERS)
SHIPPED = Path(__file__).parents[1] / "warehouse"
SOURCES = sorted(path.stem for path in (Path(__file__).parents[1] / "warehouse" / "tables" / "sources").glob("*"))
DUCKDB_TYPES = {"VARCHAR": pl.String, "DOUBLE": pl.Float64, "BIGINT": pl.Int64, "BOOLEAN": pl.Boolean, "DATE": pl.Date}


# ---- what ships ----------------------------------------------------------------------------------


def test_tables_and_views_exist(db: sdb.Warehouse) -> None:
    assert set(db.tables()) == {*TABLES, *VIEWS, "units", "metrics"}


@pytest.mark.parametrize("table", TABLES)
def test_columns_and_types_are_those_of_the_schema(db: sdb.Warehouse, table: str) -> None:
    described = db.sql(f"describe {table}")
    found = {name: DUCKDB_TYPES[kind] for name, kind in described.select("column_name", "column_type").iter_rows()}
    assert list(found.items()) == list(TABLES[table].polars_schema.items())


@pytest.mark.parametrize("table", TABLES)
def test_keys_are_unique_over_all_sources_together(db: sdb.Warehouse, table: str) -> None:
    key = ", ".join(TABLES[table].key)
    copies = db.sql(f"select {key}, count(*) as n from {table} group by all having n > 1")
    assert copies.is_empty(), copies


@pytest.mark.parametrize("table", TABLES)
def test_required_columns_hold_no_null(db: sdb.Warehouse, table: str) -> None:
    spec = TABLES[table]
    for column in {*spec.required, spec.key[0]}:
        assert db.sql(f'select count(*) from {table} where "{column}" is null').item() == 0, column


def test_a_variant_of_a_law_belongs_to_one_source(db: sdb.Warehouse) -> None:
    """Its name becomes that of a SQL macro, which two sources could not share."""
    shared = db.sql("select law, variant, count(distinct source_id) n from published_fits group by all having n > 1")
    assert shared.is_empty(), shared
    defaults = db.sql("select law, count(distinct variant) n from published_fits where is_default group by all")
    assert defaults["n"].unique().to_list() == [1]


@pytest.mark.parametrize("table", ["evals", "items", "schedules"])
def test_every_measured_row_belongs_to_a_run_of_its_own_source(db: sdb.Warehouse, table: str) -> None:
    orphans = db.sql(
        f"select t.run_id from {table} t left join runs r on r.run_id = t.run_id and r.source_id = t.source_id "
        "where r.run_id is null"
    )
    assert orphans.is_empty()


@pytest.mark.parametrize("table", [name for name in TABLES if name != "sources"])
def test_every_row_belongs_to_a_source(db: sdb.Warehouse, table: str) -> None:
    orphans = db.sql(f"select distinct source_id from {table} where source_id not in (select source_id from sources)")
    assert orphans.is_empty()


def test_every_source_can_be_cited_and_says_why_it_ships(db: sdb.Warehouse) -> None:
    sources = db.table("sources")
    with_data = sources.filter(~pl.col("source_id").str.starts_with("paper_"))  # the others are in literature.parquet
    assert sorted([*with_data["source_id"], "literature"]) == SOURCES
    assert (with_data["authors"].fill_null("").str.len_chars() > 1).all()
    for column in ("title", "licence", "redistribution", "bibtex"):
        assert (sources[column].str.len_chars() > 1).all(), column
    assert sources["bibtex"].str.starts_with("@").all()


def test_every_number_names_its_raw_file(db: sdb.Warehouse) -> None:
    assert db.sql("select count(*) from evals where raw_file is null or raw_file = ''").item() == 0


def test_every_flagged_row_gives_its_reason_and_no_other_row_does(db: sdb.Warehouse) -> None:
    assert db.sql("select count(*) from evals where (flag is null) != (flag_reason is null)").item() == 0


def test_every_value_lies_within_the_bounds_of_its_unit(db: sdb.Warehouse) -> None:
    ranges = db.sql(
        "select unit, min(value) as low, max(value) as high, bool_and(isfinite(value)) as ok from evals group by all"
    )
    for row in ranges.iter_rows(named=True):
        unit = UNITS[row["unit"]]
        assert row["ok"]
        assert unit.minimum is None or row["low"] >= unit.minimum, row
        assert unit.maximum is None or row["high"] <= unit.maximum, row


def test_units_and_metrics_can_be_queried(db: sdb.Warehouse) -> None:
    assert set(db.table("units")["unit"]) == set(UNITS)
    assert set(db.table("metrics")["metric"]) == set(METRICS)


def test_sources_counts_what_each_source_holds(db: sdb.Warehouse) -> None:
    sources = db.sources().select("source_id", "n_runs", "n_evals", "n_flagged").rows_by_key("source_id", unique=True)
    assert sources["epoch_chinchilla"] == (245, 245, 5)
    assert sources["farseer"] == (411, 822, 8)
    assert sources["kaplan"] == (0, 0, 0)


# ---- points and curves ---------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["runs", "evals"])
def test_rows_have_the_source_that_their_file_states(db: sdb.Warehouse, table: str) -> None:
    files = list((SHIPPED / "tables" / table).glob("*.parquet"))
    stated = pl.concat(pl.read_parquet(file, columns=["source_id"]) for file in files)
    found = db.sql(
        f"select source_id, count(*) as n from {table} where source_id in $files group by all",
        files=[file.stem for file in files],
    )
    counts = stated.group_by("source_id").agg(n=pl.len().cast(pl.Int64))
    assert_frame_equal(found, counts, check_row_order=False)


@pytest.mark.parametrize(
    ("source", "metric", "eval_sets", "unit", "rows", "flagged"),
    [
        ("epoch_chinchilla", "loss", ["unstated"], "nats_per_token", 240, 5),
        ("farseer", "bits_per_character", ["english_validation"], "bits_per_character", 407, 4),
        ("gadre_overtraining", "loss", ["c4_val"], "nats_per_token", 104, 0),
        ("steplaw", "train_loss_smoothed", ["train"], "nats_per_token", 2438, 181),
    ],
)
def test_points_returns_the_headline_metric_without_flagged_rows(
    db: sdb.Warehouse,
    notices: Callable[[], list[str]],
    source: str,
    metric: str,
    eval_sets: list[str],
    unit: str,
    rows: int,
    flagged: int,
) -> None:
    points = db.points(source)
    assert points.height == rows
    assert points["metric"].unique().to_list() == [metric]
    assert points["eval_set"].unique().to_list() == eval_sets
    assert points["unit"].unique().to_list() == [unit]
    assert points["flag"].null_count() == rows
    assert [f"{flagged} flagged rows left out" in text for text in notices()] == ([True] if flagged else [])


def test_points_keeps_flagged_rows_when_asked_and_then_says_nothing(
    db: sdb.Warehouse, notices: Callable[[], list[str]]
) -> None:
    points = db.points("epoch_chinchilla", flagged=True)
    assert points.height == 245
    assert points["flag"].count() == 5
    assert notices() == []


def test_points_has_one_row_a_run_metric_eval_set_split_and_shots(db: sdb.Warehouse) -> None:
    copies = db.sql("select run_id from points group by run_id, metric, eval_set, split, n_shots having count(*) > 1")
    assert copies.is_empty()
    ends = "select count(*) from (select distinct run_id, metric, eval_set, split, n_shots from curves)"
    assert db.sql("select count(*) from points").item() == db.sql(ends).item()


def test_points_takes_several_sources_and_counts_a_repeated_one_once(db: sdb.Warehouse) -> None:
    points = db.points(["farseer", "epoch_chinchilla", "farseer"])
    assert points.group_by("source_id").len().sort("source_id").rows() == [("epoch_chinchilla", 240), ("farseer", 407)]


def test_points_filters_by_study_family_split_and_eval_set(db: sdb.Warehouse) -> None:
    assert db.points("farseer", split="validation").height == 7
    assert db.points("gadre_overtraining", family="c4").height == 34
    every = db.points("gadre_overtraining", eval_set="*")
    assert every["eval_set"].n_unique() == 9
    opt = db.points("hitchhiker", "perplexity", study="opt_curves")
    assert opt["study"].unique().to_list() == ["opt_curves"]
    assert opt.height == 6


def test_points_holds_the_last_checkpoint_of_each_curve(db: sdb.Warehouse) -> None:
    curves = db.curves("hitchhiker", "perplexity", study="opt_curves")
    points = db.points("hitchhiker", "perplexity", study="opt_curves")
    assert curves.height == 142
    last = curves.sort("n_tokens").group_by("run_id").last().sort("run_id")
    assert points.sort("run_id").select("run_id", "n_tokens", "loss").equals(last.select("run_id", "n_tokens", "loss"))
    small = points.row(by_predicate=pl.col("run_id") == "hitchhiker/opt_curves/OPT-1.3b", named=True)
    assert (small["n_tokens"], small["step"]) == (260e9, 260_000)
    assert small["loss"] == pytest.approx(16.855748, abs=1e-6)


def test_a_flagged_last_checkpoint_gives_way_to_the_last_good_one(
    make_warehouse: MakeWarehouse, notices: Callable[[], list[str]]
) -> None:
    flag = {"flag": "spike", "flag_reason": "a loss spike"}
    folder = make_warehouse(
        [{"run_id": "toy/a", "n_params": 100.0}, {"run_id": "toy/b", "n_params": 200.0}],
        [
            {"run_id": "toy/a", "step": 1.0, "n_tokens": 10.0, "value": 4.0},
            {"run_id": "toy/a", "step": 2.0, "n_tokens": 20.0, "value": 3.0},
            {"run_id": "toy/a", "step": 3.0, "n_tokens": 30.0, "value": 9.0, **flag},
            {"run_id": "toy/b", "step": 1.0, "n_tokens": 10.0, "value": 5.0, **flag},
            {"run_id": "toy/b", "step": 2.0, "n_tokens": 20.0, "value": 6.0, **flag},
        ],
    )
    with sdb.connect(folder) as db:
        assert db.points("toy").select("run_id", "step", "loss").rows() == [("toy/a", 2.0, 3.0)]
        assert ["1 flagged rows left out" in text for text in notices()] == [True]
        assert db.points("toy", flagged=True).select("run_id", "loss").rows() == [("toy/a", 3.0), ("toy/b", 6.0)]
        assert db.curves("toy").height == 2
        assert db.curves("toy", flagged=True).height == 5


def test_numbers_of_shots_are_points_of_their_own(make_warehouse: MakeWarehouse) -> None:
    folder = make_warehouse(
        [{"run_id": "toy/a"}],
        [
            {"run_id": "toy/a", "metric": "error_rate", "unit": "fraction", "n_shots": shots, "value": shots / 100}
            for shots in (5, 10, 25)
        ],
        headline_metric="error_rate",
    )
    with sdb.connect(folder) as db:
        assert db.points("toy").select("n_shots", "loss").rows() == [(5, 0.05), (10, 0.10), (25, 0.25)]


# ---- the same evidence in several sources -------------------------------------------------------


def test_a_measurement_that_several_sources_hold_counts_once(make_warehouse: MakeWarehouse) -> None:
    model = {"n_params": 1e9, "n_tokens": 3e11}
    cases = {  # model: (value of the first-hand source, value of the collection, changes of the collection's row)
        "equal": (2.0, 2.0, {}),
        "rounded": (2.0004, 2.0, {}),
        "tokens-unknown": (2.0, 2.0, {"n_tokens": None}),
        "other-value": (2.0, 2.01, {}),
        "other-checkpoint": (2.0, 2.0, {"n_tokens": 2e11}),
        "other-text": (2.0, 2.0, {"eval_set": "train"}),
        "other-shots": (2.0, 2.0, {"n_shots": 5}),
        "other-unit": (2.0, 2.0, {"unit": "bits_per_token"}),
    }
    for source in ("toy", "hitchhiker"):
        runs = [
            {"run_id": f"{source}/{name}", "model_id": name, **model, **({"n_tokens": None} if source != "toy" else {})}
            for name in cases
        ]
        evals = [
            {"run_id": f"{source}/{name}", "value": first if source == "toy" else copy, "n_tokens": 3e11}
            | ({} if source == "toy" else changes)
            for name, (first, copy, changes) in cases.items()
        ]
        folder = make_warehouse(runs, evals, source_id=source)
    with sdb.connect(folder) as db:
        kept = db.sql("select run_id from points_unique where source_id = 'hitchhiker' order by 1")["run_id"].to_list()
        assert kept == sorted(f"hitchhiker/{name}" for name in cases if name.startswith("other-"))
        assert db.sql("select count(*) from points_unique where source_id = 'toy'").item() == len(cases)
        assert db.sql("describe points_unique").equals(db.sql("describe points"))


def test_which_of_equal_measurements_stays_does_not_depend_on_their_order(make_warehouse: MakeWarehouse) -> None:
    run = {"model_id": "m", "n_params": 1e9}
    for source in ("sloth", "zoo", "obs_scaling", "hitchhiker"):
        folder = make_warehouse(
            [{"run_id": f"{source}/{name}", **run} for name in "ba"],
            [{"run_id": f"{source}/{name}", "value": 2.0} for name in "ba"],
            source_id=source,
        )
    with sdb.connect(folder) as db:
        assert db.sql("select run_id from points_unique").rows() == [("zoo/a",)]
    for source in ("zoo", "hitchhiker"):
        for table in ("runs", "evals", "sources"):
            (folder / "tables" / table / f"{source}.parquet").unlink()
    with sdb.connect(folder) as db:
        assert db.sql("select run_id from points_unique").rows() == [("obs_scaling/a",)]


def test_equal_values_of_unlinked_runs_and_copies_of_flagged_rows_count(make_warehouse: MakeWarehouse) -> None:
    flag = {"flag": "spike", "flag_reason": "a loss spike"}
    make_warehouse(
        [{"run_id": "toy/unlinked"}, {"run_id": "toy/flagged", "model_id": "m"}],
        [{"run_id": "toy/unlinked", "value": 2.0}, {"run_id": "toy/flagged", "value": 3.0, **flag}],
    )
    folder = make_warehouse(
        [{"run_id": "hitchhiker/unlinked"}, {"run_id": "hitchhiker/copy", "model_id": "m"}],
        [{"run_id": "hitchhiker/unlinked", "value": 2.0}, {"run_id": "hitchhiker/copy", "value": 3.0}],
        source_id="hitchhiker",
    )
    with sdb.connect(folder) as db:
        kept = db.sql("select run_id from points_unique order by 1")["run_id"].to_list()
    assert kept == ["hitchhiker/copy", "hitchhiker/unlinked", "toy/unlinked"]


def test_curves_of_another_sources_trainings_count_once(make_warehouse: MakeWarehouse) -> None:
    make_warehouse(
        [{"run_id": "datablations/2b855b14b", "model_id": "datablations-2b855b14b", "n_tokens": 5.5e10}],
        [{"run_id": "datablations/2b855b14b", "eval_set": "c4_validation", "value": 2.5894}],
        source_id="datablations",
    )
    losses = {"4ep": 2.5915, "unlinked": 2.5915, "noisy": 2.65}
    folder = make_warehouse(
        [
            {
                "run_id": f"hitchhiker/{name}",
                "study": "datablations_curves",
                "model_id": None if name == "unlinked" else "datablations-2b855b14b",
                "n_tokens": 5.4999e10,
            }
            for name in losses
        ],
        [{"run_id": f"hitchhiker/{name}", "eval_set": "c4", "value": loss} for name, loss in losses.items()],
        source_id="hitchhiker",
    )
    with sdb.connect(folder) as db:
        kept = db.sql("select run_id from points_unique order by 1")["run_id"].to_list()
        repeated = db.sql("select run_id, loss, of_source_id, of_run_id, of_loss from repeated_points").rows()
    assert kept == ["datablations/2b855b14b", "hitchhiker/noisy", "hitchhiker/unlinked"]
    assert repeated == [("hitchhiker/4ep", 2.5915, "datablations", "datablations/2b855b14b", 2.5894)]


def test_a_score_that_several_sources_hold_counts_once(make_warehouse: MakeWarehouse) -> None:
    cases: dict[str, tuple[float, float, dict[str, Any]]] = {  # as above, for scores
        "equal": (0.5, 0.5, {}),
        "rounded": (0.5004, 0.5, {}),
        "tokens-unknown": (0.5, 0.5, {"n_tokens": None}),
        "other-value": (0.5, 0.51, {}),
        "other-checkpoint": (0.5, 0.5, {"n_tokens": 2e11}),
        "other-task": (0.5, 0.5, {"eval_set": "piqa"}),
        "other-metric": (0.5, 0.5, {"metric": "acc_norm"}),
        "other-shots": (0.5, 0.5, {"n_shots": 5}),
    }
    score = {"metric": "acc", "unit": "fraction", "eval_set": "boolq", "n_shots": 0, "n_tokens": 3e11}
    for source in ("toy", "sloth"):
        folder = make_warehouse(
            [{"run_id": f"{source}/{name}", "model_id": name} for name in cases],
            [
                {"run_id": f"{source}/{name}", **score, "value": first if source == "toy" else copy}
                | ({} if source == "toy" else changes)
                for name, (first, copy, changes) in cases.items()
            ],
            source_id=source,
            headline_metric="acc",
        )
    with sdb.connect(folder) as db:
        kept = db.sql("select run_id from scores_unique where source_id = 'sloth' order by 1")["run_id"].to_list()
        assert kept == sorted(f"sloth/{name}" for name in cases if name.startswith("other-"))
        assert db.sql("select count(*) from scores_unique where source_id = 'toy'").item() == len(cases)
        assert db.sql("describe scores_unique").equals(db.sql("describe scores"))


def test_equal_scores_of_one_source_are_chance_and_flagged_ones_do_not_count(make_warehouse: MakeWarehouse) -> None:
    score = {"metric": "acc", "unit": "fraction", "value": 0.25}
    folder = make_warehouse(
        [{"run_id": "toy/a", "model_id": "m"}, {"run_id": "toy/b", "model_id": "m"}],
        [
            {"run_id": "toy/a", **score},
            {"run_id": "toy/b", **score},
            {"run_id": "toy/b", **score, "split": "test", "flag": "spike", "flag_reason": "broken"},
        ],
        headline_metric="acc",
    )
    with sdb.connect(folder) as db:
        assert db.sql("select run_id, split from scores_unique order by 1").rows() == [
            ("toy/a", "all"),
            ("toy/b", "all"),
        ]


def test_points_unique_on_the_shipped_tables(db: sdb.Warehouse) -> None:
    assert db.sql("select count(*) from points_unique where flag is not null").item() == 0
    copies = db.sql(
        "select model_id from points_unique where model_id is not null "
        "group by model_id, metric, unit, eval_set, n_shots, n_tokens, loss having count(*) > 1"
    )
    assert copies.is_empty()
    left_out = db.sql(
        "select source_id, study, count(*) as n from repeated_points join runs using (source_id, run_id) group by all"
    )
    # every first-hand number stays; 22 of the collection's 24 C4 curves end as runs of datablations
    assert set(left_out["source_id"]) == {"hitchhiker"}
    assert dict(left_out.select("study", "n").iter_rows()) == {
        "datablations_curves": 22,
        "llm_zero_shot": 1,
        "pythia_harness": 1,
    }
    counted = "select count(*) from points where flag is null"
    assert db.sql("select count(*) from points_unique").item() == db.sql(counted).item() - left_out["n"].sum()


def test_scores_unique_on_the_shipped_tables(db: sdb.Warehouse) -> None:
    assert db.sql("select count(*) from scores_unique where flag is not null").item() == 0
    assert db.sql("select count(*) from repeated_scores where source_id = of_source_id").item() == 0
    pairs = db.sql("select source_id, of_source_id, count(*) as n from repeated_scores group by all order by n desc")
    assert pairs.rows()[:2] == [("hitchhiker", "pythia_evals", 1925), ("sloth", "obs_scaling", 18)]
    counted = "select count(*) from scores where flag is null"
    assert db.sql("select count(*) from scores_unique").item() == db.sql(counted).item() - pairs["n"].sum()


LINKS = {  # study of a copy: (first-hand source, its runs that are linked, runs of the copy, runs linked)
    ("hitchhiker", "chinchilla"): ("epoch_chinchilla", 245, 245, 245),
    ("gemstones", "chinchilla_extract"): ("epoch_chinchilla", 28, 28, 28),
    ("open_athena_isoflops", "epochai_chinchilla"): ("epoch_chinchilla", 123, 123, 123),
    ("open_athena_isoflops", "ml_scalefit"): ("epoch_chinchilla", 124, 124, 124),
    ("open_athena_isoflops", "llama_3"): ("llama3_isoflop", 133, 133, 133),
    ("open_athena_isoflops", "misfitting"): ("misfitting", 0, 176, 0),  # interpolated between runs
    ("hitchhiker", "gadre"): ("gadre_overtraining", 104, 104, 104),
    ("hitchhiker", "datablations_points"): ("datablations", 229, 229, 229),
    ("hitchhiker", "datablations_curves"): ("datablations", 22, 48, 22),  # the others are OSCAR's, and two of 8.7B
    ("hitchhiker", "llm_zero_shot"): ("pythia_evals", 4, 31, 4),
    ("hitchhiker", "pythia_harness"): ("pythia_evals", 29, 70, 30),
    ("hitchhiker", "opt_curves"): ("pythia_evals", 5, 6, 5),
    ("hitchhiker", "redpajama_incite"): ("obs_scaling", 0, 2, 0),  # the figure names only sizes
    ("sloth", "sloth"): ("obs_scaling", 121, 299, 121),
}


@pytest.mark.parametrize("copy", LINKS, ids="/".join)
def test_runs_that_another_source_holds_are_linked(db: sdb.Warehouse, copy: tuple[str, str]) -> None:
    origin, n_first, n_runs, n_linked = LINKS[copy]
    column = "family" if copy == ("gemstones", "chinchilla_extract") else "study"
    found = db.sql(
        f"""
        select count(distinct first.run_id) as n_first, count(distinct c.run_id) as n_runs,
               count(distinct c.run_id) filter (first.run_id is not null) as n_linked
        from runs c left join runs first on first.model_id = c.model_id and first.source_id = $origin
        where c.source_id = $source and c.{column} = $part
        """,
        origin=origin,
        source=copy[0],
        part=copy[1],
    )
    assert found.row(0) == (n_first, n_runs, n_linked)


@pytest.mark.parametrize("source", ["epoch_chinchilla", "llama3_isoflop", "datablations"])
def test_every_point_of_a_first_hand_source_has_a_name_of_its_own(db: sdb.Warehouse, source: str) -> None:
    runs = db.sql("select model_id from runs where source_id = $source", source=source)["model_id"]
    assert runs.null_count() == 0
    assert runs.is_unique().all()


def test_linked_points_agree_in_what_the_link_rests_on(db: sdb.Warehouse) -> None:
    """Parameters and loss of the Chinchilla points, and tokens where the copy did not recompute them."""
    pairs = db.sql(
        """
        select c.study, abs(c.n_params / f.n_params - 1) as n, abs(c.loss / f.loss - 1) as loss,
               abs(c.n_tokens / f.n_tokens - 1) as d
        from points c join points f using (model_id)
        where f.source_id = 'epoch_chinchilla' and c.source_id != 'epoch_chinchilla'
        """
    )
    assert pairs.height == 245 + 28 + 123 + 124
    assert pairs["n"].max() < 2e-8  # one copy rounds parameters to the unit
    assert pairs["loss"].max() < 1e-9
    recomputed = pl.col("study") == "epochai_chinchilla"
    assert pairs.filter(~recomputed)["d"].max() < 1e-12
    assert pairs.filter(recomputed)["d"].max() < 0.12  # compute was moved to the nearest budget


def test_the_chinchilla_points_of_four_sources_count_once(db: sdb.Warehouse) -> None:
    """Also if nobody had flagged the copies: 245 points stand in 765 rows, and 240 are in good standing."""
    rows = "select model_id, source_id from points where model_id like 'chinchilla-figure-%'"
    held = db.sql(rows)
    assert (held.height, held["model_id"].n_unique(), held["source_id"].n_unique()) == (765, 245, 4)
    counted = db.sql("select source_id, model_id from points_unique where model_id like 'chinchilla-figure-%'")
    assert counted["source_id"].unique().to_list() == ["epoch_chinchilla"]
    assert (counted.height, counted["model_id"].n_unique()) == (240, 240)


@pytest.mark.parametrize(
    ("origin", "linked"),
    [("gadre_overtraining", 104), ("datablations", 229), ("llama3_isoflop", 133)],
)
def test_a_loss_that_is_held_twice_counts_once(db: sdb.Warehouse, origin: str, linked: int) -> None:
    counted = db.sql(
        "select model_id, count(distinct source_id) as n from points_unique "
        "where model_id in (select model_id from runs where source_id = $origin) group by all",
        origin=origin,
    )
    copied = db.sql(
        "select distinct model_id from runs where source_id != $origin "
        "and model_id in (select model_id from runs where source_id = $origin)",
        origin=origin,
    )
    assert copied.height == linked
    assert counted.join(copied, on="model_id").filter(pl.col("n") > 1).is_empty()


def test_no_unlinked_points_of_two_sources_are_equal(db: sdb.Warehouse) -> None:
    """A loss that two sources give to seven digits, of models of one size, is one measurement: it has to be linked."""
    equal = db.sql(
        """
        with good as (select * from points where flag is null and abs(loss - round(loss, 4)) > 1e-9)
        select a.run_id, b.run_id as other, a.loss
        from good a join good b on a.metric = b.metric and a.unit = b.unit and a.source_id < b.source_id
            and round(a.loss, 6) = round(b.loss, 6)
        where abs(a.n / b.n - 1) < 0.01 and a.model_id is distinct from b.model_id
        """
    )
    assert equal.is_empty(), equal


def test_answers_do_not_change_once_rows_are_kept_in_memory() -> None:
    queries = (
        "select count(*), sum(loss), count(flag) from points",
        "select count(*), sum(loss) from points_unique where source_id in ('hitchhiker', 'datablations')",
        "select count(*), sum(score) from scores_unique where source_id in ('sloth', 'hitchhiker')",
    )
    with sdb.connect(SHIPPED) as own:
        tables = own.tables()
        for query in queries:
            first, *later = [own.sql(query) for _ in range(3)]
            assert first.row(0)[0] > 0
            assert all(answer.select(pl.nth(0)).equals(first.select(pl.nth(0))) for answer in later)
            for answer in later:
                assert answer.row(0) == pytest.approx(first.row(0), rel=1e-12)
        kept = own.sql("select table_name from duckdb_tables() where not internal order by 1")["table_name"].to_list()
        assert kept == list(HELPERS)
        assert own.tables() == tables


# ---- derived columns -----------------------------------------------------------------------------


def test_losses_convert_to_nats_where_the_unit_allows_it(make_warehouse: MakeWarehouse) -> None:
    values = {
        "nats_per_token": ("loss", 2.5, 2.5),
        "bits_per_token": ("loss", 2.5, 2.5 * math.log(2)),
        "nats_rescaled": ("loss", 2.5, None),
        "perplexity": ("perplexity", 12.0, math.log(12.0)),
        "perplexity_per_word": ("perplexity", 12.0, None),
        "bits_per_character": ("bits_per_character", 1.2, None),
        "bits_per_byte": ("bits_per_byte", 0.9, None),
    }
    folder = make_warehouse(
        [{"run_id": "toy/a"}],
        [
            {"run_id": "toy/a", "eval_set": unit, "unit": unit, "metric": metric, "value": value}
            for unit, (metric, value, _) in values.items()
        ],
    )
    with sdb.connect(folder) as db:
        nats = dict(db.sql("select unit, loss_nats from points").iter_rows())
    for unit, (_, _, expected) in values.items():
        assert nats[unit] == (None if expected is None else pytest.approx(expected, rel=1e-15)), unit


def test_the_shipped_losses_convert_by_their_unit(db: sdb.Warehouse) -> None:
    counts = {
        unit: (known, rows)
        for unit, known, rows in db.sql("select unit, count(loss_nats), count(*) from curves group by all").iter_rows()
    }
    assert all(known == rows for unit, (known, rows) in counts.items() if unit in {"nats_per_token", "perplexity"})
    assert all(known == 0 for unit, (known, _) in counts.items() if unit not in {"nats_per_token", "perplexity"})


def test_train_flops_6nd_uses_the_parameter_count_of_the_source(db: sdb.Warehouse) -> None:
    points = db.points("farseer")
    assert points["n_definition"].unique().to_list() == ["n_params_non_embedding"]
    assert points["n"].equals(points["n_params_non_embedding"].alias("n"))
    first = points.row(by_predicate=pl.col("run_id") == "farseer/000", named=True)
    assert (first["n"], first["n_params"], first["n_tokens"]) == (201_228_288, 335_446_016, 1_999_929_344)
    assert first["train_flops_6nd"] == 6 * 201_228_288 * 1_999_929_344


@pytest.mark.parametrize("source", ["epoch_chinchilla", "farseer", "gadre_overtraining", "steplaw"])
def test_train_flops_6nd_is_six_n_d_everywhere(db: sdb.Warehouse, source: str) -> None:
    points = db.points(source)
    assert points["n"].null_count() == 0
    ratio = points["train_flops_6nd"] / (6 * points["n"] * points["n_tokens"])
    assert (ratio - 1).abs().max() < 1e-12


def test_tokens_that_a_figure_does_not_give_are_derived_and_say_so(db: sdb.Warehouse) -> None:
    points = db.points("epoch_chinchilla", flagged=True)
    assert points["n_tokens_origin"].unique().to_list() == ["derived: train_flops / (6 n_params)"]
    first = points.row(by_predicate=pl.col("run_id") == "epoch_chinchilla/001", named=True)
    assert first["n_tokens"] == pytest.approx(9.993852799709755e18 / 6 / 6795600349.289497, rel=1e-12)
    assert db.sql("select count(n_tokens) from evals where source_id = 'epoch_chinchilla'").item() == 0
    assert db.points("farseer")["n_tokens_origin"].unique().to_list() == ["reported"]


def test_scores_are_related_to_chance(db: sdb.Warehouse) -> None:
    scores = db.sql("select score, chance_level, score_above_chance from scores where chance_level = 0.25")
    assert scores.height > 1000
    assert ((scores["score"] - 0.25) / 0.75 - scores["score_above_chance"]).abs().max() < 1e-15
    assert db.sql("select count(score_above_chance) from scores where chance_level is null").item() == 0


# ---- unknown names, questions without an answer --------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "wrong", "close"),
    [
        ({"source": "farser"}, "source 'farser'", "'farseer'"),
        ({"source": "hitchhiker", "metric": "perplexit"}, "metric 'perplexit'", "'perplexity'"),
        (
            {"source": "farseer", "eval_set": "englis_validation"},
            "eval_set 'englis_validation'",
            "'english_validation'",
        ),
        ({"source": "hitchhiker", "study": "gzp"}, "study 'gzp'", "'gzip'"),
        ({"source": "steplaw", "family": "moe_1in9"}, "family 'moe_1in9'", "'moe_1in89'"),
        ({"source": "farseer", "split": "validaton"}, "split 'validaton'", "'validation'"),
    ],
)
@pytest.mark.parametrize("view", ["points", "curves"])
def test_an_unknown_name_is_told_with_a_close_one(
    db: sdb.Warehouse, view: str, asked: dict[str, str], wrong: str, close: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        getattr(db, view)(**asked)
    assert wrong in caught.value.fact
    assert caught.value.hint is not None
    assert close in caught.value.hint
    assert isinstance(caught.value, KeyError)


def test_an_unknown_table_is_told_with_a_close_one(db: sdb.Warehouse) -> None:
    with pytest.raises(UnknownNameError, match=r"(?s)'point'.*'points'"):
        db.table("point")


@pytest.mark.parametrize("source", ["emergent_inabilities", "gadre_overtraining"])
def test_a_score_is_no_loss(db: sdb.Warehouse, source: str) -> None:
    with pytest.raises(DataError, match="downstream score") as caught:
        db.points(source, "acc")
    query = str(caught.value.hint).split('"')[1]
    assert db.sql(query).height > 0


@pytest.mark.parametrize("source", ["kaplan", "hoffmann"])
def test_a_source_of_coefficients_only_says_where_they_are(db: sdb.Warehouse, source: str) -> None:
    with pytest.raises(DataError, match="no measurements") as caught:
        db.points(source)
    query = str(caught.value.hint).split('"')[1]
    assert source in db.sql(query)["source_id"].to_list()


def test_names_that_exist_but_not_together_are_told_apart_from_unknown_ones(db: sdb.Warehouse) -> None:
    with pytest.raises(DataError, match="together") as caught:
        db.points("hitchhiker", "perplexity", study="gzip")
    assert caught.value.hint is not None


def test_no_source_at_all_is_refused(db: sdb.Warehouse) -> None:
    with pytest.raises(DataError, match="no source"):
        db.points([])


# ---- SQL -----------------------------------------------------------------------------------------


def test_named_parameters_are_values_not_text(db: sdb.Warehouse) -> None:
    count = "select count(*) from runs where source_id = $source and n_params > $least"
    assert db.sql(count, source="farseer", least=1e9).item() < db.sql(count, source="farseer", least=0).item() == 411
    assert db.sql(count, source="' or true --", least=0).item() == 0


def test_a_sum_of_integers_is_an_integer_column(db: sdb.Warehouse) -> None:
    frame = db.sql(
        "select sum(raw_row) as rows, sum(value) as values_, count(*) as n from evals where source_id = 'farseer'"
    )
    assert frame.schema == {"rows": pl.Int64, "values_": pl.Float64, "n": pl.Int64}
    assert db.sql("select 1.25::decimal(10, 2) as x").schema == {"x": pl.Float64}
    too_large = db.sql("select sum(x) as x from (values (9223372036854775807), (9223372036854775807)) t(x)")
    assert too_large["x"].to_list() == [2 * 9223372036854775807]  # a double has another last digit


def test_law_macros_evaluate_published_coefficients(db: sdb.Warehouse) -> None:
    frame = db.sql("select law_chinchilla(7e9, 1.4e12) as epoch, law_chinchilla_hoffmann(7e9, 1.4e12) as hoffmann")
    epoch = 1.8172 + 482.01 * 7e9**-0.3478 + 2085.43 * 1.4e12**-0.3658
    hoffmann = 1.69 + 406.4 * 7e9**-0.34 + 410.7 * 1.4e12**-0.28
    assert frame.row(0) == (pytest.approx(epoch, rel=1e-12), pytest.approx(hoffmann, rel=1e-12))


@pytest.mark.parametrize(
    "query",
    [
        "from runs limit 3",
        "describe runs",
        "show tables",
        "summarize sources",
        "values (1), (2)",
        "with t as (select 1 as x) select * from t;",
        "explain select * from runs",
        "explain analyze select 1",
        "explain (analyze) select 1",
        "explain (select 1)",
        "-- a remark\n explain /* another */ analyze -- and one more\n select 1",
        "pivot (select source_id, metric from evals) on metric in ('loss', 'acc') using count(*) group by source_id",
    ],
)
def test_every_kind_of_question_is_answered(db: sdb.Warehouse, query: str) -> None:
    assert db.sql(query).height > 0


WRITES = [
    "create table mine (a int)",
    "create table mine as select * from runs",
    "create temp table mine as select 1",
    "create view mine as select 1",
    "create or replace macro law_chinchilla(n, d) as 1",
    "insert into runs select * from runs",
    "update runs set n_params = 1",
    "delete from runs",
    "drop view runs",
    "alter view runs rename to walks",
    "comment on view runs is 'mine'",
    "copy runs to 'written.csv'",
    "copy (select 1) to 'written.parquet' (format parquet)",
    "export database 'written'",
    "import database 'written'",
    "attach 'written.duckdb'",
    "attach 'written.duckdb' as other; create table other.t as select 1",
    "detach memory",
    "use memory",
    "install httpfs",
    "load httpfs",
    "set threads = 1",
    "reset threads",
    "pragma enable_checkpoint_on_shutdown",
    "call pragma_version()",
    "checkpoint",
    "vacuum",
    "begin transaction",
    "prepare p as select 1",
    "select 1; select 2",
    "select 1; drop view runs",
    "with t as (insert into runs select * from runs returning *) select * from t",
    "explain analyze create table mine as select 1",
    "explain analyze copy (select 1) to 'written.csv'",
    "explain (analyze) copy (select 1) to 'written.csv'",
    "explain (analyze, format json) copy (select 1) to 'written.csv'",
    "/* x */ explain /* y */ analyze /* z */ copy (select 1) to 'written.csv'",
    "explain -- copy\n analyze copy (select 1) to 'written.csv'",
]


@pytest.mark.parametrize("query", WRITES)
def test_nothing_can_be_written(db: sdb.Warehouse, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = db.tables()
    with pytest.raises((ReadOnlyError, QueryError)) as caught:
        db.sql(query)
    assert isinstance(caught.value, ScalingDBError)
    assert list(tmp_path.iterdir()) == []
    assert db.tables() == before
    assert db.sql("select count(*) from runs").item() > 4000


def test_a_write_is_a_permission_error_and_says_what_to_do_instead(db: sdb.Warehouse) -> None:
    with pytest.raises(PermissionError, match=r"(?s)read-only.*CREATE.*Hint: .*scalingdb export"):
        db.sql("create table mine (a int)")


def test_a_syntax_error_shows_its_position(db: sdb.Warehouse) -> None:
    with pytest.raises(QueryError) as caught:
        db.sql("select run_id frm runs where")
    message = str(caught.value)
    assert "syntax error" in message
    line, pointer = message.splitlines()[-2:]
    assert line.endswith("LINE 1: select run_id frm runs where")
    assert set(pointer) == {" ", "^"}


@pytest.mark.parametrize("query", ["select run_id::int from runs", "select sum(title::double) from sources"])
def test_a_cell_that_does_not_convert_is_quoted(db: sdb.Warehouse, query: str) -> None:
    with pytest.raises(QueryError, match="Could not convert string"):
        db.sql(query)


def test_an_unknown_column_is_told_with_close_ones(db: sdb.Warehouse) -> None:
    with pytest.raises(QueryError, match=r'(?s)"n_parms" not found.*"n_params"'):
        db.sql("select n_parms from runs")


@pytest.mark.parametrize("query", ["", "   ", "-- only a remark", ";"])
def test_an_empty_query_is_refused(db: sdb.Warehouse, query: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        db.sql(query)


def test_a_missing_parameter_is_refused(db: sdb.Warehouse) -> None:
    with pytest.raises(QueryError, match="parameter"):
        db.sql("select * from runs where source_id = $source")


def test_pivot_without_values_is_refused(db: sdb.Warehouse) -> None:
    with pytest.raises(QueryError, match="statements in one query"):
        db.sql("pivot (select source_id, metric from evals) on metric using count(*) group by source_id")


def test_a_users_own_missing_file_is_no_fault_of_the_warehouse(tmp_path: Path) -> None:
    with sdb.connect(SHIPPED, allow=[tmp_path]) as own, pytest.raises(QueryError, match=r"mine\.csv"):
        own.sql(f"from read_csv('{tmp_path / 'mine.csv'}')")


def test_a_users_own_file_joins_the_warehouse(db: sdb.Warehouse, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("source_id,rank\nfarseer,1\n", encoding="utf-8")
    query = f"select s.year, m.rank from sources s join read_csv('{tmp_path / 'mine.csv'}') m using (source_id)"
    with sdb.connect(SHIPPED, allow=[tmp_path]) as own:
        assert own.sql(query).rows() == [(2025, 1)]
    with pytest.raises(QueryError, match=r"(?s)disabled by configuration.*allow=\["):
        db.sql(query)


# ---- damaged or missing files --------------------------------------------------------------------


def _truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _replace_by_text(file: Path) -> None:
    file.write_text("version https://example.org/spec\nsize 12\n" * 10, encoding="utf-8")


def _drop_column(file: Path) -> None:
    pl.read_parquet(file).drop("n_params").write_parquet(file)


def _change_type(file: Path) -> None:
    pl.read_parquet(file).with_columns(pl.col("n_params").cast(pl.String)).write_parquet(file)


def _remove(file: Path) -> None:
    file.unlink()


@pytest.mark.parametrize("damage", [_truncate, _empty, _replace_by_text, _drop_column, _change_type])
@pytest.mark.parametrize("source", ["emergent_inabilities", "farseer"])  # the first file of the table, and a later one
def test_a_damaged_table_is_refused_on_connecting(
    copied_warehouse: Path, damage: Callable[[Path], None], source: str
) -> None:
    file = copied_warehouse / "tables" / "runs" / f"{source}.parquet"
    damage(file)
    with pytest.raises(WarehouseError) as caught:
        sdb.connect(copied_warehouse)
    assert str(file) in caught.value.fact
    assert "scalingdb build" in str(caught.value.hint)
    if damage in {_drop_column, _change_type}:  # without a manifest, columns are looked at
        (copied_warehouse / "manifest.json").unlink()
        with pytest.raises(WarehouseError, match="'n_params'"):
            sdb.connect(copied_warehouse)


@pytest.mark.parametrize("damage", [_truncate, _empty, _replace_by_text, _drop_column, _remove])
@pytest.mark.parametrize("source", ["emergent_inabilities", "farseer"])
def test_a_table_damaged_after_connecting_is_named_by_the_query(
    copied_warehouse: Path, damage: Callable[[Path], None], source: str
) -> None:
    with sdb.connect(copied_warehouse) as db:
        file = copied_warehouse / "tables" / "runs" / f"{source}.parquet"
        damage(file)
        with pytest.raises(WarehouseError) as caught:
            db.sql("select n_params from runs")
        assert str(file) in caught.value.fact
        assert "scalingdb build" in str(caught.value.hint)
        assert db.sql("select count(*) from published_fits").item() > 0


def test_a_folder_without_tables_is_no_warehouse(tmp_path: Path) -> None:
    for folder in (tmp_path / "missing", tmp_path):
        with pytest.raises(WarehouseError, match=r"(?s)no warehouse at .*Hint: "):
            sdb.connect(folder)


def test_a_warehouse_without_any_source_is_empty_not_broken(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    with sdb.connect(tmp_path) as db:
        assert db.sources().is_empty()
        assert db.table("points").is_empty()
        with pytest.raises(UnknownNameError, match="unknown source"):
            db.points("farseer")


def test_a_folder_name_with_quotes_and_glob_characters_works(copied_warehouse: Path, tmp_path: Path) -> None:
    odd = tmp_path / "it's [1] a*b?"
    copied_warehouse.rename(odd)
    with sdb.connect(odd) as db:
        assert db.points("epoch_chinchilla").height == 240


# ---- export --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported_once(small_warehouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few shipped sources, exported; what the file was made from is gone."""
    folder = tmp_path_factory.mktemp("exported")
    shutil.copytree(small_warehouse, folder / "made")
    with sdb.connect(folder / "made") as db:
        target = db.export(folder / "export.duckdb")
    shutil.rmtree(folder / "made")  # the file must stand alone
    return target


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(exported_once, tmp_path / "export.duckdb"))


@pytest.fixture
def tiny(make_warehouse: MakeWarehouse) -> Path:
    return make_warehouse([{"run_id": "toy/a"}], [{"run_id": "toy/a", "value": 2.5}])


def test_an_exported_file_stands_alone(exported: Path, db: sdb.Warehouse) -> None:
    with duckdb.connect(str(exported), read_only=True) as plain:
        names = {row[0] for row in plain.sql("select table_name from duckdb_tables()").fetchall()}
        assert names == {*TABLES, *HELPERS, "units", "metrics"}
        assert plain.sql("select count(*) from points where source_id = 'farseer'").fetchall() == [(2 * 411,)]
        loss = plain.sql("select law_chinchilla(7e9, 1.4e12), law_kaplan_lnd(1e9, 1e10)").fetchall()
    assert loss == [db.sql("select law_chinchilla(7e9, 1.4e12), law_kaplan_lnd(1e9, 1e10)").row(0)]


def test_a_folder_whose_name_is_too_long_is_told(db: sdb.Warehouse, tmp_path: Path) -> None:
    long = tmp_path / ("a" * 300)
    with pytest.raises(WarehouseError, match="too long"):
        sdb.connect(allow=[long])
    with pytest.raises(WarehouseError, match="too long"):
        db.export(long / "out.duckdb")


def test_closing_waits_while_another_thread_uses_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    session = sdb.connect()._session
    connection, calls = session._connection, []

    class Busy:
        def close(self) -> None:
            calls.append(1)
            if len(calls) < 3:
                raise duckdb.Error("connection is busy with another call")
            connection.close()

    monkeypatch.setattr(session, "_connection", Busy())
    session.close()
    assert len(calls) == 3


def test_connect_opens_an_exported_file(exported: Path, db: sdb.Warehouse) -> None:
    with sdb.connect(exported) as file:
        assert file.tables() == db.tables()
        assert file.points("farseer").equals(db.points("farseer"))
        fits = [set(one.table("published_fits").filter(source_id="kaplan").rows()) for one in (file, db)]
        assert fits[0] == fits[1] != set()
        assert file.sql("select law_chinchilla(7e9, 1.4e12) as x").equals(
            db.sql("select law_chinchilla(7e9, 1.4e12) as x")
        )
        for query in ("create table mine (a int)", "insert into runs select * from runs", "drop view points"):
            with pytest.raises(QueryError):
                file.sql(query)
        with pytest.raises(QueryError):
            file.sql("with t as (insert into runs select * from runs returning *) select * from t")


def test_an_exported_file_is_exported_again_whole(exported: Path, tmp_path: Path) -> None:
    with sdb.connect(exported) as file:
        copy = file.export(tmp_path / "again.duckdb")
    with sdb.connect(copy) as again:
        assert again.points("farseer").height == 407


def test_export_replaces_an_older_file(tiny: Path, tmp_path: Path) -> None:
    target = tmp_path / "export.duckdb"
    target.write_bytes(b"an older file")
    with sdb.connect(tiny) as db:
        db.export(target)
    assert target.read_bytes()[8:12] == b"DUCK"


def test_export_into_a_missing_folder_says_so(db: sdb.Warehouse, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match=r"(?s)'.*nowhere' does not exist.*Hint: create it"):
        db.export(tmp_path / "nowhere" / "export.duckdb")
    assert list(tmp_path.iterdir()) == []


def test_export_over_a_folder_is_refused(tiny: Path, tmp_path: Path) -> None:
    target = tmp_path / "export.duckdb"
    target.mkdir()
    with sdb.connect(tiny) as db, pytest.raises(WarehouseError, match=r"cannot write '.*export\.duckdb'"):
        db.export(target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.duckdb", "made"]


def test_an_interrupted_export_leaves_the_old_file_and_nothing_else(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "export.duckdb"
    target.write_bytes(b"the older export")

    def full(self: Path, other: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with sdb.connect(tiny) as db, pytest.raises(WarehouseError, match="No space left"):
        db.export(target)
    assert target.read_bytes() == b"the older export"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.duckdb", "made"]


def test_export_to_a_folder_that_cannot_be_written(
    copied_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)  # what a read-only folder does; running as root it would not
    with sdb.connect(copied_warehouse) as db, pytest.raises(WarehouseError, match="Permission denied"):
        db.export(tmp_path / "export.duckdb")
    assert not (tmp_path / "export.duckdb").exists()


def _read_everything(file: Path) -> None:
    with sdb.connect(file) as warehouse:
        for name in warehouse.tables():
            warehouse.table(name)


@pytest.mark.parametrize("damage", [_truncate, _replace_by_text])
def test_a_damaged_exported_file_is_refused(exported: Path, damage: Callable[[Path], None]) -> None:
    damage(exported)
    with pytest.raises(WarehouseError, match=r"(?s)export\.duckdb.*Hint: .*scalingdb export"):
        _read_everything(exported)


# ---- connections ---------------------------------------------------------------------------------


def test_two_connections_work_at_once(db: sdb.Warehouse) -> None:
    results: list[int] = []

    def count() -> None:
        with sdb.connect() as own:
            results.append(own.points("farseer", flagged=True).height)

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [411, 411]
    assert db.points("farseer", flagged=True).height == 411


def test_frames_outlive_their_connection() -> None:
    with sdb.connect() as own:
        points = own.points("farseer")
    assert points.select(pl.col("loss").sum()).item() > 0


HEAVY = ("polars", "sympy", "altair", "duckdb", "scipy", "numpy", "pandas", "statsmodels")


def test_importing_scalingdb_imports_nothing_heavy() -> None:
    code = f"import sys, scalingdb; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_script_ends_without_a_word_on_stderr() -> None:
    code = (
        "import scalingdb; db = scalingdb.connect(); print(db.sql('select count(*) from runs').height, repr(db)[:10])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "<Warehouse"]
    assert done.stderr == ""


def test_a_closed_warehouse_can_still_be_printed() -> None:
    own = sdb.connect()
    own.close()
    assert repr(own) == "<Warehouse warehouse: closed>"


def test_connecting_and_querying_does_not_import_the_fitting_stack() -> None:
    code = (
        "import sys, scalingdb; scalingdb.connect().points('farseer', flagged=True); "
        "print([m for m in ('sympy', 'altair', 'scipy', 'statsmodels') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.ci  # test_an_interrupted_export_leaves_the_old_file_and_nothing_else shows one of these points
@pytest.mark.parametrize("error", [Crash, OSError])
def test_wherever_an_export_ends_the_old_file_is_whole_and_the_next_run_cleans_up(
    error: type[BaseException], make_warehouse: MakeWarehouse, tmp_path: Path
) -> None:
    made = make_warehouse([{"run_id": "a"}], [{"run_id": "a", "value": 2.0}])
    steps = ((Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (Path, "open"), (os, "fsync"), (shutil, "rmtree"))

    def export(step: int) -> int:
        """Export, with an error at the `step`-th call to the file system; after a crash, at all later ones too."""
        calls = 0
        with pytest.MonkeyPatch.context() as patch:
            for owner, name in steps:
                real = getattr(owner, name)

                def counted(*args: Any, real: Any = real, **options: Any) -> Any:
                    nonlocal calls
                    calls += 1
                    if calls == step or (error is Crash and calls > step):
                        raise error
                    return real(*args, **options)

                patch.setattr(owner, name, counted)
            with contextlib.suppress(WarehouseError, Crash):
                db.export(folder / "all.duckdb")
        return calls

    folder = tmp_path / "out"
    folder.mkdir()
    with sdb.connect(made) as db:
        n_steps = export(10**9)
        assert n_steps > 10
        for step in range(1, n_steps + 1):
            export(step)
            with sdb.connect(folder / "all.duckdb") as old:
                assert old.sql("select value from evals").item() == 2.0
        export(10**9)
    assert [path.name for path in folder.iterdir()] == ["all.duckdb"]


@pytest.mark.parametrize("name", ["a*b", *(pytest.param(x, marks=pytest.mark.ci) for x in ("a[b]", "a{b,c}")), "a?b"])
def test_folders_called_like_a_pattern_hold_a_warehouse(
    name: str, make_warehouse: MakeWarehouse, tmp_path: Path
) -> None:
    made = make_warehouse([{"run_id": "a"}], [{"run_id": "a", "value": 2.0}])
    with pytest.raises(WarehouseError, match="no warehouse at" if "{" in name else "are no pattern here"):
        sdb.connect(tmp_path / name)
    folder = Path(shutil.copytree(made, tmp_path / name))
    with sdb.connect(folder) as db:
        assert db.sql("select value from evals").item() == 2.0
        if "?" in name:  # DuckDB takes what follows for options
            with pytest.raises(WarehouseError, match=r"DuckDB cannot write below a folder with '\?'"):
                db.export(folder / "all.duckdb")
        file = db.export((tmp_path if "?" in name else folder) / f"{name}.duckdb")
    with sdb.connect(file) as exported, sdb.connect(made, allow=[folder]) as other:
        assert exported.sql("select value from evals").item() == 2.0
        assert exported.export(folder / "again.duckdb").exists()
        assert other.sql(f"from '{next(folder.glob('tables/evals/*'))}'").height == 1
    with pytest.raises(WarehouseError, match="are no pattern here"):
        sdb.connect(made, allow=[tmp_path / "x*"])


# ---- another machine -------------------------------------------------------------------------------


@pytest.fixture
def served(
    make_warehouse: MakeWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Path, list[str]]]:
    """A warehouse behind an HTTP server: its address, its folder, and what was asked for."""
    pytest.importorskip("aiohttp", reason="the extra 'remote' is not installed")
    monkeypatch.setenv("SCALINGDB_CACHE", str(tmp_path / "cache"))
    folder = make_warehouse([{"run_id": "a"}], [{"run_id": "a", "value": 2.0}])
    write_manifest(folder)
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # looks for the end so often
        yield f"http://127.0.0.1:{server.server_port}", folder, asked
        server.shutdown()


def test_a_warehouse_on_another_machine(served: tuple[str, Path, list[str]]) -> None:
    address, folder, asked = served
    query = "select value from evals"
    with sdb.connect(address) as first:
        assert first.sql(query)["value"].to_list() == [2.0]
        n_first = len(asked)
        sdb.connect(address).close()
        assert len(asked) == n_first + 1  # the manifest alone
        file = next((folder / "tables" / "evals").glob("*.parquet"))
        pl.read_parquet(file).with_columns(value=pl.lit(3.0)).write_parquet(file)
        write_manifest(folder)
        with sdb.connect(address) as second:
            assert second.sql(query)["value"].to_list() == [3.0]
        assert asked[n_first + 1 :] == ["/manifest.json", f"/tables/evals/{file.name}"]
        assert first.sql(query)["value"].to_list() == [2.0]  # who reads keeps the state that was opened


def test_a_damaged_warehouse_on_another_machine(served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address, folder, _ = served
    file = next((folder / "tables" / "runs").glob("*.parquet"))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"?")
    with pytest.raises(WarehouseError, match=rf"{file.name} of 'http.*has another content than its manifest states"):
        sdb.connect(address)
    file.unlink()
    with pytest.raises(WarehouseError, match=rf"{file.name} of 'http.*is missing"):
        sdb.connect(address)
    assert not list((tmp_path / "cache" / "warehouses").glob("*-*"))  # nothing half-fetched is left
    file.write_bytes(content)
    with sdb.connect(address) as db:
        assert db.table("runs").height == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://127.0.0.1:9/warehouse", "cannot be read: ClientConnectorError"),
        ("nowhere://bucket/warehouse", "Protocol not known"),
        ("memory://nothing", "it has no manifest.json"),
    ],
)
def test_addresses_without_a_warehouse(address: str, message: str) -> None:
    with pytest.raises(WarehouseError, match=message):
        sdb.connect(address)


def _answer(code: int, body: bytes, **headers: str) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        with contextlib.suppress(ConnectionError):
            handler.wfile.write(body)

    return answer


@pytest.fixture
def hostile(served: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path, dict[str, Any]]:
    """That server, with answers of one's own by path."""
    address, folder, _ = served
    answers: dict[str, Any] = {}
    plain = http.server.SimpleHTTPRequestHandler.do_GET

    def do_get(handler: http.server.SimpleHTTPRequestHandler) -> None:
        answers.get(handler.path, plain)(handler)

    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "do_GET", do_get)
    return address, folder, answers


@pytest.mark.parametrize(
    "answer",
    [
        _answer(200, b"PAR1 short", Content_Length="18000"),
        _answer(200, b"x" * 20_000_000),
        _answer(200, b"<html>log in</html>"),
        _answer(200, gzip.compress(b"0" * 10_000_000), Content_Encoding="gzip"),
        _answer(403, b""),
        _answer(302, b"", Location="/tables/runs/toy.parquet"),
        _answer(302, b"", Location="file:///etc/passwd"),
        lambda handler: handler.connection.close(),
    ],
)
def test_what_a_hostile_server_sends_is_refused_and_nothing_is_left(
    answer: Any, hostile: tuple[str, Path, dict[str, Any]], tmp_path: Path
) -> None:
    address, _, answers = hostile
    for path in ("/tables/runs/toy.parquet", "/manifest.json"):
        answers.clear()
        answers[path] = answer
        with pytest.raises(WarehouseError, match=r"127\.0\.0\.1"):
            sdb.connect(address)
        left = [file.name for file in (tmp_path / "cache" / "warehouses").iterdir()]
        assert set(left) <= {"objects", ".lock"}


def test_a_server_that_says_nothing_is_left(
    hostile: tuple[str, Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _, answers = hostile
    monkeypatch.setattr("scalingdb.warehouse._remote.SILENCE", 0.3)
    end = threading.Event()
    answers["/tables/runs/toy.parquet"] = lambda _: end.wait(60)
    with pytest.raises(WarehouseError, match="cannot be read: FSTimeoutError"):
        sdb.connect(address)
    end.set()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, 1) for name in ("../x.parquet", "/x.parquet", "tables//x.parquet", "./x.parquet", "manifest.json")),
        *((name, 1) for name in (".lock", "tables/.x", "tables\\..\\x", "C:x", "", ".", "tables/x\0", "tables/\ud800")),
        *((name, 1) for name in ("tables/runs/*.parquet", "tables/runs/[a].parquet", "tables/x?y", "tables/x\n")),
        *(("tables/x.parquet", size) for size in (-1, 1.5, True, None, "1", 2**63, 10**400)),
    ],
)
def test_a_manifest_that_names_other_places_or_sizes_is_refused(
    name: str, size: Any, hostile: tuple[str, Path, dict[str, Any]]
) -> None:
    address, folder, answers = hostile
    listed = json.loads((folder / "manifest.json").read_text())
    listed["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "size": size}
    answers["/manifest.json"] = _answer(200, json.dumps(listed).encode())
    with pytest.raises(WarehouseError, match=rf"manifest '{address}/manifest.json' is damaged"):
        sdb.connect(address)


def test_two_names_of_one_place_never_write_through_to_the_cache(tmp_path: Path) -> None:
    content, other = tmp_path / "content", tmp_path / "other"
    content.write_bytes(b"right")
    other.write_bytes(b"wrong")
    _remote._link(content, tmp_path / "place")
    with pytest.raises(FileExistsError):
        _remote._link(other, tmp_path / "place")
    assert content.read_bytes() == b"right"


@pytest.mark.parametrize("damage", ["flip", "cut", "remove", "manifest"])
def test_a_damaged_cache_is_filled_again(damage: str, served: tuple[str, Path, list[str]], tmp_path: Path) -> None:
    address = served[0]
    sdb.connect(address).close()
    (state,) = (tmp_path / "cache" / "warehouses").glob("127*")
    file = state / "tables" / "evals" / "toy.parquet"
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    if damage == "remove":
        file.unlink()
    elif damage == "manifest":
        (state / "manifest.json").write_bytes(b"{")
    else:
        file.write_bytes(content if damage == "flip" else content[:99])
    with sdb.connect(address) as db:
        assert db.sql("select value from evals").item() == 2.0
    assert verify(state).faults == ()


@pytest.mark.parametrize(
    "address", ["http://me:s3cret@127.0.0.1:9/x?token=s3cret", "http://me:s3c@s3cret@[::1/x", "s3x://me:s3cret@b/x"]
)
def test_credentials_of_an_address_are_not_repeated(address: str) -> None:
    with pytest.raises(WarehouseError) as caught:
        sdb.connect(address)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("address", ["://", "https://", "zip://a", "reference://x", "http://[::1", "http://h\0/x"])
def test_addresses_of_no_sense_are_refused(address: str) -> None:
    with pytest.raises(WarehouseError):
        sdb.connect(address)


@pytest.mark.parametrize("above", ["source_id=other", pytest.param("run_id=x", marks=pytest.mark.ci), "value=7"])
def test_a_folder_called_like_a_column_changes_no_row(
    above: str, make_warehouse: MakeWarehouse, tmp_path: Path
) -> None:
    made = make_warehouse([{"run_id": "a"}], [{"run_id": "a", "value": 2.0}])
    write_manifest(made)
    folder = tmp_path / above / "warehouse"
    shutil.copytree(made, folder)
    query = "select r.run_id, r.source_id, value from runs r join evals using (run_id)"
    with sdb.connect(folder) as db:
        assert db.sql(query).rows() == [("a", "toy", 2.0)]
        with sdb.connect(db.export(tmp_path / "all.duckdb")) as exported:
            assert exported.sql(query).rows() == [("a", "toy", 2.0)]
    assert verify(folder).faults == ()


def test_reading_one_source_alone_gives_the_rows_of_the_whole_view(db: sdb.Warehouse) -> None:
    of_view = db.sql("select * from points")
    held = of_view.group_by("source_id", "metric").len().sort("source_id", "metric")
    assert held["source_id"].n_unique() > 30
    for source, metric, count in held.rows():
        alone = db.points(source, metric=metric, eval_set="*", flagged=True)
        assert alone.height == count
        assert_frame_equal(alone, of_view.filter(source_id=source, metric=metric), check_row_order=False)
    for source in ("farseer", "gemstones"):
        rows = db.sql(f"select metric, loss from curves where source_id = '{source}'")
        told = rows.group_by("metric").agg(pl.len(), total=pl.col("loss").sum())
        for metric, count, total in told.rows():
            alone = db.curves(source, metric=metric, eval_set="*", flagged=True)
            assert (alone.height, alone["loss"].sum()) == (count, pytest.approx(total, rel=1e-9))


def test_views_of_ones_own_are_asked_as_they_are(copied_warehouse: Path) -> None:
    """A view may look at several sources: it is not read of one source alone."""
    file = copied_warehouse / "views" / "points.sql"
    file.write_text(
        "create or replace view points as select * from loss_rows('last_losses') "
        "where (select count(distinct source_id) from runs) > 1;"
    )
    write_manifest(copied_warehouse)
    with sdb.connect(copied_warehouse) as own:
        assert own.points("farseer").height > 100


def test_a_user_without_a_home_folder_reads_what_ships(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: Any, **__: Any) -> Path:
        raise RuntimeError("could not determine the home directory")  # a container whose user has no name

    monkeypatch.setattr("platformdirs.user_data_path", nowhere)
    monkeypatch.setattr("platformdirs.user_cache_path", nowhere)
    for variable in ("SCALINGDB_LOCAL", "SCALINGDB_CACHE"):
        monkeypatch.delenv(variable)
    assert sdb.connect().points("epoch_chinchilla").height == 240
    assert _cache.load("0" * 32) is None
    _cache.save("0" * 32, {})
    assert not sdb.arena.cells().is_empty()
    with pytest.raises(WarehouseError, match=r"(?s)no home folder.*SCALINGDB_LOCAL"):
        sdb.remove_source("mine")
    with pytest.raises(WarehouseError, match=r"(?s)no home folder.*SCALINGDB_CACHE"):
        sdb.connect(SHIPPED.as_uri())


def test_own_sources_that_may_not_be_read_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, who runs these tests, one may read anything: the system's answer is made up."""

    def refused(self: Path, *_: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    real = _store.open_file
    own = tmp_path / "own"
    monkeypatch.setenv("SCALINGDB_LOCAL", str(own))
    monkeypatch.setattr(_store, "open_file", lambda file: refused(file) if file.parent == own else real(file))
    with monkeypatch.context() as patch:
        looked = Path.is_dir
        patch.setattr(Path, "is_dir", lambda self: refused(self) if own in self.parents else looked(self))
        with pytest.raises(WarehouseError, match=r"(?s)manifest.json' cannot be read.*SCALINGDB_LOCAL"):
            sdb.connect()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCALINGDB_CACHE", str(tmp_path))
    (tmp_path / "laws").mkdir()
    for name in ("laws/law.json", "manifest.json", "arena.csv"):
        os.mkfifo(tmp_path / name)
    assert _cache.load("law") is None
    with pytest.raises(WarehouseError, match="not a regular file"):
        read_state(tmp_path)
    assert not sdb.arena.cells().is_empty()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_is_told_that_the_warehouse_is_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    with sdb.connect(SHIPPED) as db:
        with monkeypatch.context() as patch:
            patch.setattr(db._session, "_process", -1)  # what a fork would find
            for ask in (lambda: db.sql("select 1"), lambda: db.points("farseer"), lambda: db.table("runs")):
                with pytest.raises(WarehouseError, match=r"(?s)forked from.*'spawn'"):
                    ask()
            db.close()  # leaves the parent's connection alone
        assert db.sql("select 1 as x").item() == 1


def test_an_export_says_which_file_of_the_warehouse_cannot_be_read(
    copied_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise duckdb.IOException(f'IO Error: Cannot open file "{copied_warehouse}/x.parquet": Permission denied')

    with sdb.connect(copied_warehouse) as own:
        monkeypatch.setattr(_export, "define_tables", refused)
        with pytest.raises(WarehouseError, match=r"(?s)table file cannot be read.*see that you may read it"):
            own.export(tmp_path / "out.duckdb")


def test_a_folder_in_place_of_a_fetched_file_is_fetched_again(
    copied_warehouse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALINGDB_CACHE", str(tmp_path / "cache"))
    address = copied_warehouse.as_uri()
    wanted = sdb.connect(address).points("farseer")
    kept = tmp_path / "cache" / "warehouses"
    for file in list((kept / "objects").iterdir())[:5]:
        file.unlink()
        (file / "inside").mkdir(parents=True)
    for state in kept.glob("copied-*"):
        shutil.rmtree(state)
    assert_frame_equal(sdb.connect(address).points("farseer"), wanted)
