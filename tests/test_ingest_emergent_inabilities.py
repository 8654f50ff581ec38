"""Source `emergent_inabilities`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import emergent_inabilities
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _runs(source_id: str, directory: Path) -> pl.DataFrame:
    return tables_of(source_id, directory)["runs"]


def _evals(source_id: str, directory: Path) -> pl.DataFrame:
    return tables_of(source_id, directory)["evals"]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("emergent_inabilities", raw_directory, {"runs": 8, "evals": 1408}, set_aside=0)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "emergent_inabilities").items() >= {"harness_json_long.csv": 1_408}.items()


@pytest.fixture
def analysed(raw_directory: Path) -> pl.DataFrame:
    """The 768 scores that the paper analyses: accuracy, MC1 and MC2."""
    evals = _evals("emergent_inabilities", raw_directory).filter(pl.col("metric") != "acc_norm")
    sizes = _runs("emergent_inabilities", raw_directory).select("run_id", "model_id", "n_params")
    return evals.join(sizes, on="run_id").with_columns(
        task=pl.when(pl.col("eval_set") == "truthfulqa_mc")
        .then(pl.concat_str(pl.lit("truthfulqa_"), "metric"))
        .otherwise(pl.col("eval_set").str.strip_prefix("isp_"))
    )


def test_emergent_grid_is_complete(analysed: pl.DataFrame) -> None:
    cells = analysed.group_by("model_id", "step").agg(pl.col("task").n_unique())
    assert cells.height == 64
    assert set(cells["task"]) == {12}
    assert set(analysed["n_shots"]) == {0}
    assert (analysed["n_tokens"] == analysed["step"] * 2_097_152).all()
    assert set(analysed["model_id"]) == {
        f"pythia-{size}" for size in ("70m", "160m", "410m", "1b", "1.4b", "2.8b", "6.9b", "12b")
    }


def test_emergent_metrics_are_kept_apart(raw_directory: Path) -> None:
    evals = _evals("emergent_inabilities", raw_directory)
    assert dict(evals.group_by("metric").len().rows()) == {"acc": 640, "acc_norm": 640, "mc1": 64, "mc2": 64}
    tollens = evals.filter(pl.col("eval_set") == "isp_modus_tollens").pivot(
        "metric", index=["run_id", "step"], values="value"
    )
    assert (tollens["acc"] - tollens["acc_norm"]).abs().max() > 0.5
    assert evals["chance_level"].null_count() == evals.height


def test_emergent_altered_table_is_refused(raw_directory: Path) -> None:
    columns = {"model": pl.String, "step": pl.Float64, "task": pl.String, "metric": pl.String}
    raw = RawFolder(emergent_inabilities.SOURCE, raw_directory)
    scores = raw.csv(emergent_inabilities.LONG, columns | {"value": pl.Float64, "stderr": pl.Float64})
    emergent_inabilities._check_short_table(raw, scores)
    with pytest.raises(DataError, match="1 row"):
        shifted = pl.when(pl.col("raw_row") == 1).then(pl.col("value") + 1e-6).otherwise("value")
        emergent_inabilities._check_short_table(raw, scores.with_columns(value=shifted))
