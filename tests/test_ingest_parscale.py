"""Source `parscale`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb


def _points(source_id: str, directory: Path, metric: str = "loss") -> pl.DataFrame:
    """Rows of `evals` with the columns of their run."""
    tables = tables_of(source_id, directory)
    losses = tables["evals"].filter(pl.col("metric") == metric).rename({"n_tokens": "tokens_here"})
    return losses.join(tables["runs"].drop("source_id"), on="run_id", how="left", maintain_order="left")


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("parscale", raw_directory, {"runs": 48, "evals": 48}, set_aside=0)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "parscale").items() >= {"_derived/parscale_losses.csv": 48}.items()


def test_parscale_sizes_grow_with_streams(raw_directory: Path) -> None:
    runs = tables_of("parscale", raw_directory)["runs"]
    assert dict(runs.group_by("family", "n_streams").len().select("n_streams", "len").unique().rows()) == dict.fromkeys(
        (1.0, 2.0, 4.0, 8.0), 6
    )
    smallest = runs.filter(pl.col("run_id").str.starts_with("parscale/pile-N536M")).sort("n_streams")
    sizes = smallest["n_params_non_embedding"]
    assert (sizes[0], sizes[-1]) == (535_813_376, 545_340_552)
    assert sizes.is_sorted()
    assert runs["n_params"].null_count() == 48


@pytest.mark.parametrize("corpus", ["stack_v2_python", "pile"])
def test_parscale_published_law(corpus: str, raw_directory: Path) -> None:
    points = _points("parscale", raw_directory, "train_loss").filter(pl.col("family") == corpus)
    claims = tables_of("parscale", raw_directory)["claims"].filter(pl.col("claim_id").str.contains(f"/{corpus}/"))
    p = dict(claims.select("quantity", "value").rows())
    n, streams, loss = (points[name].to_numpy() for name in ("n_params_non_embedding", "n_streams", "value"))
    law = p["E"] + (p["A"] / (n * (p["k"] * np.log(streams) + 1))) ** p["alpha"]
    r2 = 1 - np.sum((law - loss) ** 2) / np.sum((loss - loss.mean()) ** 2)
    # printed with four digits
    assert r2 == pytest.approx(p["r2"], abs=1e-4)
