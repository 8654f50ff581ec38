"""Source `olmo_ladder`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, tables_of
from scipy.optimize import least_squares

from ingest import (
    olmo_ladder,
)
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _points(source_id: str, directory: Path, metric: str = "loss") -> pl.DataFrame:
    """Rows of `evals` with the columns of their run."""
    tables = tables_of(source_id, directory)
    losses = tables["evals"].filter(pl.col("metric") == metric).rename({"n_tokens": "tokens_here"})
    return losses.join(tables["runs"].drop("source_id"), on="run_id", how="left", maintain_order="left")


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("olmo_ladder", raw_directory, {"runs": 30 + 4, "evals": 3569 * 91 + 379 * 111}, set_aside=0)


def test_olmo_runs_splits_and_sizes(raw_directory: Path) -> None:
    tables = tables_of("olmo_ladder", raw_directory)
    runs = tables["runs"]
    assert dict(runs.group_by("family").len().rows()) == {"ladder": 30, "targets": 4}
    splits = tables["evals"].select("run_id", "split").unique()
    assert dict(splits.group_by("split").len().rows()) == {"fit": 16, "validation": 3, "all": 15}
    fit = sorted(splits.filter(pl.col("split") == "fit")["run_id"].str.strip_prefix("olmo_ladder/"))
    assert fit == sorted(f"{size}-{m}xC" for size in ("190M", "370M", "760M", "1B") for m in (1, 2, 5, 10))
    sizes = dict(runs.select("model_name", "n_params_non_embedding").rows())
    assert (sizes["190M-5xC"], sizes["peteish13"]) == (190_354_176, 13_202_396_160)
    assert runs["n_params"].null_count() == runs.height
    # twenty tokens per parameter are 1xC; the authors' schedules end within 1 % of that
    ladder = runs.filter(pl.col("family") == "ladder").with_columns(
        multiple=pl.col("model_name").str.extract(r"-([0-9.]+)xC").cast(pl.Float64)
    )
    ratio = ladder["n_tokens"] / (20 * ladder["multiple"] * ladder["n_params_non_embedding"])
    assert ratio.is_between(0.99, 1.01).all()


def test_olmo_two_runs_at_1xc_are_two_runs(raw_directory: Path) -> None:
    evals = tables_of("olmo_ladder", raw_directory)["evals"].filter(pl.col("eval_set") == "c4_en")
    rows = dict(evals.group_by("run_id").len().rows())
    pairs = [
        (rows[f"olmo_ladder/{s}-1xC"], rows[f"olmo_ladder/{s}-1xC-rerun"]) for s in ("190M", "370M", "760M", "1B", "3B")
    ]
    assert pairs == [(37, 73), (48, 95), (58, 116), (82, 163), (101, 202)]


def test_olmo_targets_are_stored_once_and_tokens_follow_the_step(raw_directory: Path) -> None:
    evals = tables_of("olmo_ladder", raw_directory)["evals"].filter(pl.col("eval_set") == "c4_en")
    targets = evals.filter(pl.col("run_id").str.contains("peteish"))
    assert dict(targets.group_by("run_id").len().rows()) == {
        "olmo_ladder/peteish13": 94,
        "olmo_ladder/peteish7": 186,
        "olmo_ladder/peteish7-anneal": 1,
        "olmo_ladder/peteish7-medlr": 98,
    }
    last = dict(targets.group_by("run_id").agg(pl.col("n_tokens").max()).rows())
    assert last["olmo_ladder/peteish13"] == 596_057 * 8_388_608
    assert last["olmo_ladder/peteish7-anneal"] == 3_945_065_873_408
    rates = dict(tables_of("olmo_ladder", raw_directory)["runs"].select("model_name", "learning_rate").rows())
    assert (rates["peteish13"], rates["peteish7-medlr"]) == (None, 6e-4)


def test_olmo_a_part_that_contradicts_the_whole_is_refused(raw_directory: Path) -> None:
    raw = RawFolder(olmo_ladder.SOURCE, raw_directory)
    whole, part = "peteish13_eval_full", "peteish13_eval_final"
    column = "eval/pile-validation/CrossEntropyLoss"
    tables = {
        stem: olmo_ladder._read(raw, stem) for w, (_, parts) in olmo_ladder.TARGETS.items() for stem in (w, *parts)
    }
    olmo_ladder._check_parts(tables)
    tables[part] = tables[part].with_columns(pl.col(column) + 0.1)
    with pytest.raises(DataError, match=rf"{part}.csv: 12 row\(s\) are not in {whole}"):
        olmo_ladder._check_parts(tables)


def test_olmo_metrics_units_and_the_log_that_is_no_log_of_the_mean(raw_directory: Path) -> None:
    evals = tables_of("olmo_ladder", raw_directory)["evals"]
    assert dict(evals.select("metric", "unit").unique().rows()) == {
        "loss": "nats_per_token",
        "answer_bits_per_byte": "bits_per_byte",
        "acc": "fraction",
        "acc_norm": "fraction",
        "answer_probability": "fraction",
        "answer_log_probability": "nats_per_answer",
    }
    tasks = evals.filter(pl.col("metric") != "loss")
    assert tasks["n_shots"].unique().to_list() == [5]
    assert set(tasks["eval_set"].str.extract(r"_(rc|mc)$").unique()) == {"rc", "mc"}
    assert evals.filter(pl.col("eval_set").str.ends_with("_mc"))["run_id"].str.contains("peteish").all()
    key = ["run_id", "step", "eval_set", "n_tokens"]
    mean, log = (tasks.filter(pl.col("metric") == f"answer_{name}") for name in ("probability", "log_probability"))
    both = mean.join(log, on=key, nulls_equal=True)
    assert both.height == mean.height == log.height
    assert (log["value"] < 0).all()
    # Jensen: the mean of logarithms lies below the logarithm of the mean (single precision: 1e-6)
    assert (both["value_right"] <= both["value"].log() + 1e-6).all()


def test_olmo_schedules_hold_the_logged_rates(raw_directory: Path) -> None:
    schedules = tables_of("olmo_ladder", raw_directory)["schedules"]
    assert schedules.height == 3569
    assert schedules["run_id"].n_unique() == 30
    peak = schedules.group_by("run_id").agg(pl.col("learning_rate_at_step").max())
    runs = tables_of("olmo_ladder", raw_directory)["runs"].join(peak, on="run_id")
    assert (runs["learning_rate_at_step"] <= runs["learning_rate"]).all()


def _olmo_final(directory: Path, metric: str, eval_set: str) -> pl.DataFrame:
    """The paper's final values: mean of the last five rows, tokens of the last."""
    points = _points("olmo_ladder", directory, metric).filter(pl.col("eval_set") == eval_set).sort("run_id", "step")
    return points.group_by("run_id", "split", "n_params_non_embedding", maintain_order=True).agg(
        pl.col("value").tail(5).mean(), pl.col("tokens_here").last()
    )


def test_olmo_step_1_predicts_hellaswag_as_published(raw_directory: Path) -> None:
    final = _olmo_final(raw_directory, "answer_bits_per_byte", "hellaswag_val_rc")
    fit = final.filter(pl.col("split") == "fit")
    n, d, loss = (fit[name].to_numpy() for name in ("n_params_non_embedding", "tokens_here", "value"))

    def law(p: np.ndarray, n: np.ndarray, d: np.ndarray) -> np.ndarray:
        return p[0] + np.exp(p[1] - p[2] * np.log(n)) + np.exp(p[3] - p[4] * np.log(d))

    start = np.array([0.5, 0.2 * 19, 0.2, 0.2 * 23, 0.25])
    found = least_squares(
        lambda p: law(p, n, d) - loss, start, loss="huber", f_scale=1e-3, x_scale=[1, 5, 0.3, 5, 0.3], max_nfev=3000
    )
    targets = dict(final.select("run_id", "value").rows())
    claims = dict(tables_of("olmo_ladder", raw_directory)["claims"].select("claim_id", "value").rows())
    predicted = law(
        found.x, np.array([13_202_396_160.0, 6_887_575_552.0]), np.array([596_057 * 8_388_608.0, 3.945065873408e12])
    )
    # five parameters on sixteen points: optimisers agree to a few 1e-4 in the prediction
    published = claims["2412.04403/step1_main/hellaswag_val_5shot/prediction"]
    assert published == pytest.approx(0.65318, abs=5e-6)
    assert predicted[0] == pytest.approx(published, abs=5e-4)
    actual = targets["olmo_ladder/peteish13"]
    assert actual == pytest.approx(0.6609, abs=5e-5)
    assert 100 * (predicted[0] / actual - 1) == pytest.approx(-1.17, abs=0.08)
    assert 100 * (predicted[1] / targets["olmo_ladder/peteish7-anneal"] - 1) == pytest.approx(-0.29, abs=0.08)


def test_olmo_published_actual_accuracies_are_rank_classification(raw_directory: Path) -> None:
    final = _olmo_final(raw_directory, "acc_norm", "hellaswag_val_rc")
    actual = final.filter(pl.col("run_id") == "olmo_ladder/peteish13")["value"].item()
    # figures/chained_main.csv, column Actual: 0.831906, single precision
    assert actual == pytest.approx(0.831905996799469, abs=1e-6)
