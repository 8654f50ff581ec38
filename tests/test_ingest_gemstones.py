"""Source `gemstones`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import (
    gemstones,
)
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _points(source_id: str, directory: Path, metric: str = "loss") -> pl.DataFrame:
    """Rows of `evals` with the columns of their run."""
    tables = tables_of(source_id, directory)
    losses = tables["evals"].filter(pl.col("metric") == metric).rename({"n_tokens": "tokens_here"})
    return losses.join(tables["runs"].drop("source_id"), on="run_id", how="left", maintain_order="left")


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "gemstones",
        raw_directory,
        {"runs": 22 + 20 + 199 + 21 + 23 + 28, "evals": 3850 + 1000 + 2 * 199 + 2 * 770 + 9 * 770 + 21 + 23 + 28},
        set_aside=162 + 28,
    )


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "gemstones").items() >= {"wandb_dfs/wandb_df_for_fitting_hot_100b+_477.jsonl": 3_850}.items()


def test_gemstones_families(raw_directory: Path) -> None:
    runs = tables_of("gemstones", raw_directory)["runs"]
    assert dict(runs.group_by("family").len().rows()) == {
        "hot": 22,
        "lr_ablation": 20,
        "cooldown": 199,
        "open_models": 21,
        "preflight": 23,
        "chinchilla_extract": 28,
    }
    hot = runs.filter(pl.col("family") == "hot")
    assert (hot["n_tokens"] == 83_475 * 4_194_304).all()
    assert hot.select("d_model", "n_layers").is_unique().all()


def test_gemstones_selections_of_the_paper_are_selections_of_the_rows(raw_directory: Path) -> None:
    points = _points("gemstones", raw_directory).filter(pl.col("eval_set") == "validation")
    hot = points.filter(pl.col("family") == "hot")
    assert hot.group_by("run_id").len()["len"].unique().to_list() == [175]
    every_10e9 = hot.filter(pl.col("step") % 2385 == 0)
    assert every_10e9.height == 770
    assert every_10e9.filter(pl.col("tokens_here") < 101e9).height == 220
    assert every_10e9.filter(pl.col("tokens_here") > 110e9 + 1e9).height == 528
    assert every_10e9.filter(pl.col("d_model") == 512).height == 175
    assert hot.filter(pl.col("tokens_here") < 101e9).height == 1100
    assert points.filter(pl.col("family") == "lr_ablation").height == 1000


def test_gemstones_a_selection_with_a_foreign_row_is_refused(raw_directory: Path) -> None:
    raw = RawFolder(gemstones.SOURCE, raw_directory)
    hot = gemstones._checkpoints(raw, gemstones.HOT_FILE, gemstones.N_HOT)
    ablation = gemstones._checkpoints(raw, gemstones.LR_FILE, gemstones.N_LR)
    with pytest.raises(DataError, match=r"record\(s\) are not in"):
        gemstones._check_views(
            raw, {gemstones.HOT_FILE: hot.filter(pl.col("step") != 2385), gemstones.LR_FILE: ablation}
        )


def test_gemstones_cooldowns_lower_the_loss_and_start_once(raw_directory: Path) -> None:
    cool = _points("gemstones", raw_directory).filter(pl.col("family") == "cooldown").sort("run_id", "step")
    ends = cool.group_by("run_id", maintain_order=True).agg(
        pl.col("value").first().alias("start"), pl.col("value").last().alias("end"), pl.len()
    )
    assert ends["len"].unique().to_list() == [2]
    assert (ends["end"] < ends["start"]).all()
    flagged = cool.filter(pl.col("flag") == "exact_duplicate")
    hot = _points("gemstones", raw_directory).filter((pl.col("family") == "hot") & (pl.col("eval_set") == "validation"))
    hot = hot.select("d_model", "n_layers", "step", value_of_hot="value")
    both = flagged.join(hot, on=["d_model", "n_layers", "step"])
    assert both.height == 162
    assert (both["value"] - both["value_of_hot"]).abs().max() < 1e-6
    # two shapes whose starts contradict the hot run: another training, so they keep their standing
    starts = cool.filter(pl.col("flag").is_null()).join(hot, on=["d_model", "n_layers", "step"])
    assert starts.height == 18
    assert sorted(set(starts["run_id"].str.extract(r"/(\d+x\d+)-"))) == ["2560x8", "3072x12"]


def test_gemstones_benchmarks_join_the_checkpoints(raw_directory: Path) -> None:
    evals = tables_of("gemstones", raw_directory)["evals"]
    for eval_set in ("fineweb_edu", "fineweb_dclm"):
        assert evals.filter(pl.col("eval_set") == eval_set).height == 770
    scores = evals.filter(pl.col("metric") == "acc")
    assert scores.group_by("eval_set").len()["len"].to_list() == [770] * 9
    assert scores["std_error"].null_count() == 0
    # 'main' names the last checkpoint; left without a step it would be a 36th checkpoint
    assert scores.group_by("run_id").agg(pl.col("step").n_unique())["step"].unique().to_list() == [35]
    assert scores["step"].max() == 83_475


def test_gemstones_points_of_another_source_are_set_aside(raw_directory: Path) -> None:
    extract = _points("gemstones", raw_directory).filter(pl.col("family") == "chinchilla_extract")
    assert set(extract["flag"]) == {"duplicate_source"}
    epoch = _points("epoch_chinchilla", raw_directory).select("n_params", "train_flops", "value")
    near = extract.select("n_params", "train_flops", "value").join(epoch, how="cross")
    same = near.filter(
        pl.all_horizontal(
            (pl.col(name) / pl.col(f"{name}_right") - 1).abs() < 1e-6 for name in ("n_params", "train_flops", "value")
        )
    )
    assert same.height == 28


def test_gemstones_open_models_do_not_pool_with_the_suite(raw_directory: Path) -> None:
    models = _points("gemstones", raw_directory).filter(pl.col("family") == "open_models")
    assert models["eval_set"].unique().to_list() == ["validation_open_models"]
    assert models["tokenizer_id"].null_count() == 0
    assert {"llama-2-7b", "gemma-2-27b", "qwen2.5-0.5b"} <= set(models["model_id"])


def test_gemstones_counts_two_matrices_of_the_vocabulary(raw_directory: Path) -> None:
    """The body by the shape: 15 width^2 a layer, norms, and key-value heads rounded down at an odd number of heads."""
    runs = tables_of("gemstones", raw_directory)["runs"].filter(pl.col("family").is_in(["hot", "preflight"]))
    width, layers = runs["d_model"], runs["n_layers"]
    body = layers * (15 * width**2 + (2 - 128 * (width / 128 % 2)) * width) + width
    assert runs["n_params_non_embedding"].equals(body, check_names=False)
    assert (runs["n_params"] - runs["n_params_with_head"] == 50_304 * width).all()
    assert (runs["n_params_with_head"] - runs["n_params_non_embedding"] == 50_304 * width).all()


def test_gemstones_stored_approach_1_is_the_frontier_slope_range(raw_directory: Path) -> None:
    claims = tables_of("gemstones", raw_directory)["claims"]
    values = dict(claims.select("claim_id", "value").rows())
    assert claims["where_stated"].n_unique() == 66
    assert values["2502.06857/approach_1/params_100b+/slope"] == pytest.approx(0.4579, abs=5e-5)
    text = dict(claims.select("claim_id", "claim").rows())
    assert "natural logarithm" in text["2502.06857/approach_1/params_100b+/intercept"]
    assert values["2502.06857/approach_3/delta_1e-4/parameters/hot_100b+/exponents_1"] == pytest.approx(
        0.59093, abs=5e-6
    )


@pytest.mark.parametrize(
    ("variant", "objective"), [("gemstones_hot_100b", 0.00069233), ("gemstones_hot_100b_no_embeds", 0.00057194)]
)
def test_gemstones_stored_fit_has_its_stored_objective(variant: str, objective: float, raw_directory: Path) -> None:
    (fit,) = (f for f in gemstones.SOURCE.published_fits if f.variant == variant)
    points = _points("gemstones", raw_directory).filter(
        (pl.col("family") == "hot") & (pl.col("eval_set") == "validation") & (pl.col("step") % 2385 == 0)
    )
    p, n = fit.params, points[fit.n_definition or ""].to_numpy()
    law = p["E"] + p["A"] * n ** -p["alpha"] + p["B"] * points["tokens_here"].to_numpy() ** -p["beta"]
    error, delta = np.abs(np.log(law / points["value"].to_numpy())), 1e-4
    huber = np.where(error < delta, error**2 / 2, delta * (error - delta / 2))
    # the file stores parameters with ten digits; the objective is a sum or a mean of 770 terms
    assert huber.sum() == pytest.approx(objective, rel=1e-3) or huber.mean() == pytest.approx(objective, rel=1e-3)
