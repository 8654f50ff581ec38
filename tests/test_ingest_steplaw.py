"""Source `steplaw`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import steplaw
from ingest._build import load_source
from ingest._raw import RawFolder


def _runs(source_id: str, directory: Path) -> pl.DataFrame:
    return tables_of(source_id, directory)["runs"]


def _evals(source_id: str, directory: Path) -> pl.DataFrame:
    return tables_of(source_id, directory)["evals"]


def _points(source_id: str, directory: Path, metric: str, eval_set: str) -> pl.DataFrame:
    """Runs joined with one of their losses."""
    losses = _evals(source_id, directory).filter((pl.col("metric") == metric) & (pl.col("eval_set") == eval_set))
    return _runs(source_id, directory).join(losses.drop("source_id", "n_tokens"), on="run_id")


def _fit(source_id: str, law: str, variant: str) -> dict[str, float]:
    """Declared coefficients."""
    source, _ = load_source(source_id)
    (fit,) = (f for f in source.published_fits if (f.law, f.variant) == (law, variant))
    return dict(fit.params)


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("steplaw", raw_directory, {"runs": 1911 + 708, "evals": 2 * (1911 + 708)}, set_aside=2 * 181)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert (
        records(db, "steplaw").items() >= {"data/dense_lr_bs_loss.csv": 1_911, "data/moe_lr_bs_loss.csv": 708}.items()
    )


@pytest.fixture
def sweeps(raw_directory: Path) -> pl.DataFrame:
    return _points("steplaw", raw_directory, "train_loss_smoothed", "train")


def test_steplaw_groups(sweeps: pl.DataFrame) -> None:
    dense = sweeps.filter(pl.col("study") == "dense").group_by("n_params_non_embedding", "n_tokens").len()
    assert (dense.height, dense["len"].sum(), dense["len"].min(), dense["len"].max()) == (17, 1911, 47, 120)
    assert dense.filter(pl.col("len") == 47)["n_params_non_embedding"].to_list() == [1073741824.0]
    moe = sweeps.filter(pl.col("study") == "moe").group_by("family", "n_params_active").len().sort("family")
    assert moe.rows() == [
        ("moe_1in8", 590436352.0, 174),
        ("moe_1in89", 187973632.0, 180),
        ("moe_2in88", 232579072.0, 180),
        ("moe_3in8", 1241270272.0, 174),
    ]


def test_steplaw_parameters_exclude_embeddings(sweeps: pl.DataFrame) -> None:
    dense = sweeps.filter(pl.col("study") == "dense")
    weights = dense["n_layers"] * (4 * dense["d_model"] ** 2 + 3 * dense["d_model"] * dense["d_ff"])
    assert (weights == dense["n_params_non_embedding"]).all()
    assert sweeps["n_params"].null_count() == sweeps.height
    moe = sweeps.filter(pl.col("study") == "moe")
    assert (moe["n_params_active"] < moe["n_params_non_embedding"]).all()
    # FLOPs per token count active weights and attention over 2,048 positions
    flops = 6 * moe["n_params_active"] + 12 * moe["n_layers"] * moe["d_model"] * 2048
    assert (flops == moe["flops_per_token"]).all()


def test_steplaw_diverged_runs_are_flagged_and_kept(sweeps: pl.DataFrame) -> None:
    diverged = sweeps.filter(pl.col("flag") == "diverged")
    assert diverged.height == 181
    assert set(diverged["study"]) == {"dense"}
    assert diverged["value"].min() > 4.17  # nothing between 3.16 and 4.17: the threshold 3.5 is not delicate
    assert sweeps.filter(pl.col("flag").is_null())["value"].max() < 3.16
    assert sweeps.filter(pl.col("value") > 10).height == 2


def test_steplaw_two_losses_differ(raw_directory: Path) -> None:
    evals = _evals("steplaw", raw_directory).filter(pl.col("flag").is_null())
    wide = evals.pivot("metric", index="run_id", values="value").filter(pl.col("train_loss_smoothed").is_not_null())
    dense = wide.join(_runs("steplaw", raw_directory).filter(pl.col("study") == "dense"), on="run_id")
    gap = (dense["train_loss"] - dense["train_loss_smoothed"]).abs()
    # 0.023 and 0.127 as the source's notes say; three digits
    assert gap.mean() == pytest.approx(0.023, abs=2e-3)
    assert gap.max() == pytest.approx(0.1267, abs=5e-4)


def test_steplaw_batches_are_tokens_and_tokens_are_rounded(sweeps: pl.DataFrame) -> None:
    seen = sweeps["batch_size_tokens"] * sweeps["n_steps"]
    assert (seen / sweeps["n_tokens"] - 1).abs().max() < 0.0023
    assert (seen != sweeps["n_tokens"]).any()
    assert sweeps["batch_size_tokens"].min() == 16 * 2048
    assert sweeps["learning_rate_final"].unique().to_list() == [
        1e-5
    ]  # spelled 1e-5, 1.00e-05 and 1.00E-05 in the names


def test_steplaw_bootstrap_mean_is_that_of_the_stored_rows(raw_directory: Path) -> None:
    columns = ["lr_intercept", "lr_coefN", "lr_coefD", "bs_intercept", "bs_coefD"]
    rows = RawFolder(steplaw.SOURCE, raw_directory).csv(
        steplaw.BOOTSTRAP, dict.fromkeys(columns, pl.Float64), rows=1000
    )
    mean = {name: rows[name].mean() for name in columns}
    ends = {name: np.quantile(rows[name].to_numpy(), [0.025, 0.975]) for name in columns}
    fits = {f.law: f for f in steplaw.SOURCE.published_fits if f.variant == "bootstrap_mean"}
    rate, batch = fits["step_law"], fits["step_law_batch"]
    # declared to the last digit; 1e-12 leaves room for the order of a sum
    assert dict(rate.params) == pytest.approx(
        {"c": math.exp(mean["lr_intercept"]), "a": -mean["lr_coefN"], "b": mean["lr_coefD"]}, rel=1e-12
    )
    assert dict(batch.params) == pytest.approx({"c": math.exp(mean["bs_intercept"]), "b": mean["bs_coefD"]}, rel=1e-12)
    assert rate.intervals["c"] == pytest.approx(tuple(np.exp(ends["lr_intercept"])), rel=1e-12)
    assert rate.intervals["a"] == pytest.approx(tuple(-ends["lr_coefN"][::-1]), rel=1e-12)
    assert rate.intervals["b"] == pytest.approx(tuple(ends["lr_coefD"]), rel=1e-12)
    assert batch.intervals["c"] == pytest.approx(tuple(np.exp(ends["bs_intercept"])), rel=1e-12)
    assert batch.intervals["b"] == pytest.approx(tuple(ends["bs_coefD"]), rel=1e-12)
    # and rounds to the published digits (the second of them differs by one unit in c)
    assert rate.params["c"] == pytest.approx(1.79, abs=0.01)


@pytest.mark.parametrize(("variant", "mean_penalty"), [("published", 0.0957), ("bootstrap_mean", 0.0975)])
def test_steplaw_predicted_optimum_costs_a_tenth_of_a_percent(
    variant: str, mean_penalty: float, sweeps: pl.DataFrame
) -> None:
    rate, batch = _fit("steplaw", "step_law", variant), _fit("steplaw", "step_law_batch", variant)
    n, d = pl.col("n_params_non_embedding"), pl.col("n_tokens")
    far = (pl.col("learning_rate") / (rate["c"] * n ** -rate["a"] * d ** rate["b"])).log() ** 2 + (
        pl.col("batch_size_tokens") / (batch["c"] * d ** batch["b"])
    ).log() ** 2
    penalty = (
        sweeps.filter(pl.col("study") == "dense")
        .with_columns(far=far)
        .group_by("n_params_non_embedding", "n_tokens")
        .agg(penalty=100 * (pl.col("value").sort_by("far").first() / pl.col("value").min() - 1))["penalty"]
    )
    # the paper states 0.09 % (0.094 in its last version); nearest grid run in log space, median 0.067, worst 0.31 %
    assert penalty.mean() == pytest.approx(mean_penalty, abs=5e-5)
    assert penalty.median() == pytest.approx(0.067, abs=5e-4)
    assert penalty.max() == pytest.approx(0.31, abs=1e-3)
