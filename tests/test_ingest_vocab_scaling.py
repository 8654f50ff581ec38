"""Source `vocab_scaling`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import (
    vocab_scaling,
)
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _points(source_id: str, directory: Path, metric: str = "loss") -> pl.DataFrame:
    """Rows of `evals` with the columns of their run."""
    tables = tables_of(source_id, directory)
    losses = tables["evals"].filter(pl.col("metric") == metric).rename({"n_tokens": "tokens_here"})
    return losses.join(tables["runs"].drop("source_id"), on="run_id", how="left", maintain_order="left")


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("vocab_scaling", raw_directory, {"runs": 60, "evals": 1200}, set_aside=146)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "vocab_scaling").items() >= {"exp_data.csv": 1_200}.items()


def test_vocab_grid_and_negative_loss(raw_directory: Path) -> None:
    points = _points("vocab_scaling", raw_directory, "loss_vs_unigram")
    assert points["n_params_non_embedding"].n_unique() == 6
    assert sorted(points["vocab_size"].unique())[::9] == [4096, 96_256]
    assert (points["value"].min(), points["value"].max()) == (
        pytest.approx(-5.34, abs=5e-3),
        pytest.approx(-0.51, abs=5e-3),
    )
    assert points["unit"].unique().to_list() == ["nats_per_token_vs_unigram"]
    early = points.filter(pl.col("flag") == "set_aside_by_authors")
    assert (early.height, points.height - early.height) == (146, 1054)
    # as a split by compute these runs would have two final values
    assert early["run_id"].is_in(points.filter(pl.col("flag").is_null())["run_id"].implode()).all()
    assert points.group_by("run_id").agg(pl.col("step").max())["step"].unique().to_list() == [20]


def test_vocab_characters_are_not_tokens(raw_directory: Path) -> None:
    points = _points("vocab_scaling", raw_directory, "loss_vs_unigram")
    per_character = points["tokens_here"] / points["n_chars"]
    # a larger vocabulary takes fewer tokens for the same text
    assert per_character.is_between(0.2, 0.34).all()
    smallest = points.filter(pl.col("n_params_non_embedding") == points["n_params_non_embedding"].min())
    by_vocabulary = smallest.group_by("vocab_size").agg(
        (pl.col("tokens_here") / pl.col("n_chars")).mean().alias("ratio")
    )
    assert by_vocabulary.sort("vocab_size")["ratio"].is_sorted(descending=True)


def test_vocab_characters_that_contradict_the_flops_are_refused(raw_directory: Path) -> None:
    columns = ("vocab_size", "num_characters", "Non_vocab_parameters", "FLOPs", "embed_dim")
    rows = RawFolder(vocab_scaling.SOURCE, raw_directory).csv(vocab_scaling.FILE, dict.fromkeys(columns, pl.Float64))
    rows = rows.with_columns(run_id=pl.format("{}-{}", "Non_vocab_parameters", "vocab_size")).with_columns(
        n_tokens=pl.col("FLOPs") / 6 / (pl.col("Non_vocab_parameters") + pl.col("vocab_size") * pl.col("embed_dim"))
    )
    vocab_scaling._check(rows)
    with pytest.raises(DataError, match="disagree on the tokens"):
        vocab_scaling._check(rows.with_columns(pl.col("num_characters") * 1.01))


def test_vocab_stored_law_with_the_slip_of_its_code(raw_directory: Path) -> None:
    points = _points("vocab_scaling", raw_directory, "loss_vs_unigram").filter(pl.col("flag").is_null())
    claims = dict(tables_of("vocab_scaling", raw_directory)["claims"].select("quantity", "value").rows())
    v, d_model = points["vocab_size"].to_numpy() / 1e3, points["d_model"].to_numpy() / 1e3
    n = points["n_params_non_embedding"].to_numpy() / 1e6
    a, b, c = vocab_scaling.TOKENS_PER_CHARACTER
    fit = {}
    for slip, argument in ((True, v), (False, v * 1e3)):
        tokens = points["n_chars"].to_numpy() / 1e9 * (a * np.log(argument) ** 2 + b * np.log(argument) + c)
        law = (
            -claims["E"]
            + claims["A1"] / n ** claims["beta"]
            + claims["A2"] / (v * d_model) ** claims["alpha2"]
            + claims["B"] / tokens ** claims["beta"]
        )
        gap = law - points["value"].to_numpy()
        fit[slip] = 1 - np.sum(gap**2) / np.sum((points["value"].to_numpy() - points["value"].mean()) ** 2)
    # four digits of the stored parameters
    assert fit[True] == pytest.approx(0.9715, abs=2e-3)
    assert fit[False] < 0.9
