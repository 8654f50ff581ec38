"""Source `misfitting`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import misfitting
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _points(source_id: str, directory: Path, metric: str | None = None) -> pl.DataFrame:
    """Runs joined with their evaluations."""
    tables = tables_of(source_id, directory)
    evals = tables["evals"] if metric is None else tables["evals"].filter(pl.col("metric") == metric)
    return tables["runs"].join(evals.drop("source_id", "n_tokens"), on="run_id")


def _altered(source: object, directory: Path, target: Path, name: str, old: str, new: str) -> RawFolder:
    """Copy of one source's raw folder in which the first `old` of a text file is replaced; hashes follow."""
    import hashlib
    import shutil

    source_id: str = source.source_id  # type: ignore[attr-defined]
    shutil.copytree(directory / source_id, target / source_id)
    path = target / source_id / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    folder = RawFolder(source, target)  # type: ignore[arg-type]
    folder.registry[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return folder


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "misfitting",
        raw_directory,
        {"runs": 261 + 222, "evals": 4852 + 3 * 222},
        set_aside={"exact_duplicate": 36, "step_past_end": 2},
    )


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "misfitting").items() >= {"data/scaling_results.csv": 4_852}.items()


@pytest.fixture
def logs(raw_directory: Path) -> pl.DataFrame:
    return _points("misfitting", raw_directory).filter(pl.col("study") == "misfitting")


def test_misfitting_runs_and_sizes(logs: pl.DataFrame) -> None:
    kept = logs.filter(pl.col("flag").is_null())
    assert kept["run_id"].n_unique() == 240
    assert logs["run_id"].n_unique() == 261
    assert kept["n_params"].n_unique() == 11
    assert (kept["n_params"].min(), kept["n_params"].max()) == (57_234_240.0, 1_182_757_632.0)
    assert (kept["n_params_non_embedding"].min(), kept["n_params_non_embedding"].max()) == (
        12_047_168.0,
        1_002_009_344.0,
    )
    assert (kept["n_params"] - kept["n_params_non_embedding"] == 2 * 50_432 * kept["d_model"]).all()


def test_misfitting_flops_survive_beyond_64_bit_integers(logs: pl.DataFrame, raw_directory: Path) -> None:
    checkpoints = tables_of("misfitting", raw_directory)["evals"].join(
        logs.select("run_id", "n_params").unique(), on="run_id"
    )
    flops = 6 * checkpoints["n_params"] * checkpoints["n_tokens"]
    assert (flops > 2.0**63).sum() == 857  # as integers these products wrap around
    assert (logs["train_flops"] > 2.0**63).any()
    final = logs.filter(pl.col("step") == pl.col("n_steps"))
    assert (final["train_flops"] / (6 * final["n_params"] * final["n_tokens"]) - 1).abs().max() < 1e-9


def test_misfitting_run_logged_twice_counts_once(logs: pl.DataFrame) -> None:
    copies = logs.filter(pl.col("run_id").str.contains("-copy"))
    assert copies["run_id"].n_unique() == 21
    assert copies["flag"].null_count() == 0
    assert set(copies["model_name"]) == {"misfitting_17m"}
    # twelve rows of the short logs state step 128 for a later evaluation; their loss gives them away
    kept = logs.filter(~pl.col("run_id").str.contains("-copy"))
    pairs = copies.join(kept, on=["model_name", "value"], suffix="_kept")
    assert pairs["run_id"].n_unique() == 21
    assert pairs.filter(pl.col("step") != pl.col("step_kept"))["raw_row"].n_unique() == 12
    finals = kept.filter((pl.col("step") == pl.col("n_steps")) & pl.col("flag").is_null())
    assert finals["value"].n_unique() == finals.height == 240


def test_misfitting_disputed_rates_are_null(logs: pl.DataFrame) -> None:
    runs = logs.filter(pl.col("learning_rate").is_null())["run_id"].unique().sort().to_list()
    assert runs == [f"misfitting/17m-200-{tag}" for tag in ("copy1", "copy2", "run1", "run2")]
    # without copies and the two disputed runs, rate and length are unique within a size
    kept = logs.filter(~pl.col("run_id").str.contains("-copy") & pl.col("learning_rate").is_not_null())
    runs_kept = kept.select("run_id", "model_name", "learning_rate", "n_steps").unique()
    assert not runs_kept.select("model_name", "learning_rate", "n_steps").is_duplicated().any()


def test_misfitting_step_past_the_end_is_flagged(logs: pl.DataFrame) -> None:
    past = logs.filter(pl.col("step") > pl.col("n_steps"))
    assert past.select("step", "n_steps", "flag").unique().rows() == [(256.0, 250.0, "step_past_end")]
    assert past.height == 2


def test_misfitting_sheet_is_another_vocabulary(raw_directory: Path) -> None:
    sheet = _points("misfitting", raw_directory).filter(pl.col("study") == "misfitting_sheet")
    assert (sheet["n_params"] - sheet["n_params_non_embedding"] == 2 * 32_000 * sheet["d_model"]).all()
    assert sheet["run_id"].n_unique() == 222
    assert sheet["eval_set"].unique().sort().to_list() == ["c4_val_sheet", "train", "wikipedia_val_sheet"]
    assert sheet.filter(pl.col("train_flops").is_null())["run_id"].n_unique() == 20
    # the steps of "1,500" and the batch of 2**20 tokens
    assert (sheet["n_steps"] * 1_048_576 / sheet["n_tokens"] - 1).abs().max() < 1e-4


def test_misfitting_altered_final_is_refused(raw_directory: Path, tmp_path: Path) -> None:
    raw = _altered(
        misfitting.SOURCE, raw_directory, tmp_path, misfitting.FINALS, "3.287519883364439,3.287519883364439", "3.2,3.2"
    )
    with pytest.raises(DataError, match="does not hold the last rows"):
        misfitting.build(raw)
