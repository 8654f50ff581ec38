"""Source `porian_discrepancies`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import (
    porian_discrepancies,
)
from ingest._raw import RawFolder
from scalingdb.errors import DataError


def _points(source_id: str, directory: Path, metric: str = "loss") -> pl.DataFrame:
    """Rows of `evals` with the columns of their run."""
    tables = tables_of(source_id, directory)
    losses = tables["evals"].filter(pl.col("metric") == metric).rename({"n_tokens": "tokens_here"})
    return losses.join(tables["runs"].drop("source_id"), on="run_id", how="left", maintain_order="left")


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("porian_discrepancies", raw_directory, {"runs": 1745 + 173, "evals": 1745 + 173}, set_aside=173)


def test_records_of_the_raw_files(db: sdb.Warehouse) -> None:
    assert records(db, "porian_discrepancies").items() >= {"_derived/isoflop_points.csv": 1_745}.items()


def test_porian_configurations_budgets_and_sizes(raw_directory: Path) -> None:
    runs = tables_of("porian_discrepancies", raw_directory)["runs"]
    points = runs.filter(pl.col("study") == "porian_discrepancies")
    assert points["family"].n_unique() == 15
    assert sorted(points["train_flops"].unique()) == [1.25e16 * 2**i for i in range(12)]
    sizes = points.group_by("family").agg(pl.col("n_params_with_head").n_unique())
    assert sizes.sort("n_params_with_head")["n_params_with_head"].to_list() == [15, *[16] * 14]
    optima = runs.filter(pl.col("study") == "optima")
    # 180 optima, of which four hold no number at the two lowest budgets and three are absent at the highest
    assert optima.height == 173
    assert optima.filter(pl.col("train_flops").is_between(5e16, 1.28e19)).height == 15 * 9
    assert optima.filter((pl.col("train_flops") == 2.56e19) & pl.col("family").str.ends_with("-kaplan")).height == 0


def test_porian_n_has_three_meanings(raw_directory: Path) -> None:
    runs = tables_of("porian_discrepancies", raw_directory)["runs"].filter(pl.col("study") != "optima")
    for convention, column in porian_discrepancies.N_COLUMN.items():
        own = runs.filter(pl.col("family").str.ends_with(convention))
        # tokens were computed as this quotient: rounding of double precision only
        assert (6 * own[column] * own["n_tokens"] / own["train_flops"] - 1).abs().max() < 1e-12
    standard = runs.filter(pl.col("family").str.ends_with("standard"))
    # the smallest model: the head holds fifteen times the other parameters, so calling both N would be wrong
    smallest = standard.sort("n_params_with_head").row(0, named=True)
    assert (smallest["n_params_non_embedding"], smallest["n_params_with_head"]) == (331_776, 5_173_248)
    assert (standard["n_params_with_head"] - standard["n_params_non_embedding"] == 50_432 * standard["d_model"]).all()
    assert standard["n_params_effective"].null_count() == standard.height


def test_porian_losses_are_interpolated_and_optima_are_no_evidence(raw_directory: Path) -> None:
    points = _points("porian_discrepancies", raw_directory)
    both = pl.concat([points, _points("porian_discrepancies", raw_directory, "train_loss")])
    assert set(both["value_origin"]) == {"derived"}
    assert set(both.filter(pl.col("study") == "optima")["flag"]) == {"derived_optimum"}
    assert both.filter(pl.col("study") != "optima")["flag"].null_count() == 1745
    assert set(points["eval_set"]) == {"refinedweb_validation", "openwebtext2_validation"}
    assert points["family"].str.ends_with("standard").all()


def test_porian_a_missing_optimum_at_a_high_budget_is_refused(raw_directory: Path) -> None:
    columns = dict.fromkeys(("n", "flops"), pl.Float64)
    optima = RawFolder(porian_discrepancies.SOURCE, raw_directory).csv(porian_discrepancies.OPTIMA, columns)
    assert porian_discrepancies._found(optima).height == 173
    moved = optima.with_columns(n=pl.when(pl.col("flops") == 2.56e19).then(None).otherwise("n"))
    with pytest.raises(DataError, match="without a number"):
        porian_discrepancies._found(moved)
