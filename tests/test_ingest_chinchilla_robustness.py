"""Sources `chinchilla_robustness` and `pearce_reconcile`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import chinchilla_robustness
from ingest._build import load_source, source_tables
from scalingdb.errors import RawFileError


def _points(source_id: str, directory: Path, metric: str | None = None) -> pl.DataFrame:
    """Runs joined with their evaluations."""
    tables = tables_of(source_id, directory)
    evals = tables["evals"] if metric is None else tables["evals"].filter(pl.col("metric") == metric)
    return tables["runs"].join(evals.drop("source_id", "n_tokens"), on="run_id")


def test_rows_and_flags_of_chinchilla_robustness(raw_directory: Path) -> None:
    check_rows("chinchilla_robustness", raw_directory, {"runs": 4 + 221 + 50, "evals": 225 * 5 + 50 * 5}, set_aside={})


def test_records_of_the_raw_files_of_chinchilla_robustness(db: sdb.Warehouse) -> None:
    assert records(db, "chinchilla_robustness").items() >= {"chinchilla_model_parameters.csv": 50}.items()


def test_rows_and_flags_of_pearce_reconcile(raw_directory: Path) -> None:
    check_rows("pearce_reconcile", raw_directory, {"runs": 50, "claims": 3}, set_aside={})


def test_records_of_the_raw_files_of_pearce_reconcile(db: sdb.Warehouse) -> None:
    assert records(db, "pearce_reconcile").items() >= {"_derived/chinchilla_model_configs.csv": 50}.items()


def test_robustness_fits(raw_directory: Path) -> None:
    points = _points("chinchilla_robustness", raw_directory, "law_coefficient")
    assert dict(points.group_by("family").agg(pl.col("run_id").n_unique()).rows()) == {
        "definition": 4,
        "perturbed": 221,
    }
    assert set(points["eval_set"]) == {"A", "B", "E", "alpha", "beta"}
    missing = points.filter(pl.col("std_error").is_null())
    assert (missing.height, missing["eval_set"].unique().to_list()) == (13, ["A"])
    noisy = missing["model_name"].str.extract(r"Noise_([0-9.]+)_").cast(pl.Float64)
    assert noisy.min() > 2.4  # type: ignore[operator]


def test_robustness_unchanged_counts_give_the_standard_formulas_fit(raw_directory: Path) -> None:
    points = _points("chinchilla_robustness", raw_directory, "law_coefficient")
    wide = points.pivot("eval_set", index="model_name", values="value")
    names = ["A", "B", "E", "alpha", "beta"]
    same = wide.filter(
        pl.col("model_name").is_in(
            [
                "Standard Formula Parameters",
                "Standard Formula Parameters_Identity",
                "Standard Formula Parameters_Systematic Bias_1.0",
                "Standard Formula Parameters_Additive Constant_0",
            ]
        )
    )
    assert same.height == 4
    assert (same.select(names).max() / same.select(names).min() - 1).to_numpy().max() < 1e-8
    # N^b in place of N changes alpha to alpha / b and nothing else
    biased = wide.filter(pl.col("model_name").str.contains("Bias")).with_columns(
        bias=pl.col("model_name").str.extract(r"([0-9.]+)$").cast(pl.Float64)
    )
    assert (biased["alpha"] * biased["bias"]).to_numpy() == pytest.approx(0.350264, abs=1e-4)
    assert biased["E"].to_numpy() == pytest.approx(1.806534, abs=1e-5)
    # a factor changes A only: alpha keeps within noise of the optimiser
    scaled = wide.filter(pl.col("model_name").str.contains("Multiplicative"))
    assert scaled.height == 11
    assert scaled["alpha"].to_numpy() == pytest.approx(0.350264, abs=1e-4)


def test_robustness_published_sets_are_those_of_the_file(raw_directory: Path) -> None:
    fits = tables_of("chinchilla_robustness", raw_directory)["published_fits"]
    points = _points("chinchilla_robustness", raw_directory, "law_coefficient").filter(pl.col("family") == "definition")
    declared = {(variant, param): value for variant, param, value in fits.select("variant", "param", "value").rows()}
    stored = {
        (chinchilla_robustness.FITTED[name], coefficient): value
        for name, coefficient, value in points.select("model_name", "eval_set", "value").rows()
    }
    assert declared == stored
    assert not fits["is_default"].any()
    # the fit on sizes of the figure is the published replication
    epoch = {fit.variant: fit.params for fit in load_source("epoch_chinchilla")[0].published_fits}["epoch"]
    for name, digits in (("A", 1e-2), ("B", 1e-2), ("E", 1e-3), ("alpha", 1e-4), ("beta", 1e-4)):
        assert declared["robustness_model_size", name] == pytest.approx(epoch[name], abs=digits)


def test_architectures_of_two_sources_differ_in_two_sizes(raw_directory: Path) -> None:
    recounts = tables_of("chinchilla_robustness", raw_directory)
    ours = recounts["runs"].filter(pl.col("study") == "architectures")
    theirs = tables_of("pearce_reconcile", raw_directory)["runs"]
    assert ours.height == theirs.height == 50
    different = set(ours["n_params"]) ^ set(theirs["n_params"])
    assert different == {13_775e6, 13_735e6, 14_940e6, 14_494e6}
    counts = recounts["evals"].filter(pl.col("metric") == "parameter_count")
    assert dict(counts.group_by("eval_set").len().rows()) == dict.fromkeys(chinchilla_robustness.RULES.values(), 50)
    # smallest model: 44M as reported, 42M under the standard formula with tied embeddings
    smallest = counts.filter(pl.col("run_id").str.ends_with("/44M"))
    assert smallest.filter(pl.col("eval_set") == "tied_embedding")["value"].to_list() == [42e6]


def test_pearce_bridge(raw_directory: Path) -> None:
    runs = tables_of("pearce_reconcile", raw_directory)["runs"]
    assert (runs["n_params"] - runs["n_params_non_embedding"] == 32_000 * runs["d_model"]).all()
    factor = (runs["n_params"] - runs["n_params_non_embedding"]) / runs["n_params_non_embedding"] ** (1 / 3)
    assert factor.mean() == pytest.approx(57_148, abs=1)
    assert (factor.min(), factor.max()) == (pytest.approx(46_484, abs=1), pytest.approx(65_761, abs=1))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RawFileError, match="four_digit_addition"):
        source_tables("bnsl", tmp_path)
