"""`compare` and `largest`: which rows are held out, and what is said about them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from _synthetic import runs

import scalingdb as sdb
from scalingdb.errors import DataError, FitError, FitWarning, UnknownNameError


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return runs(6, noise=3e-3)


@pytest.fixture(scope="module")
def comparison(rows: pl.DataFrame) -> sdb.Comparison:
    return sdb.compare(rows, ["kaplan_lnd", "chinchilla", "power_offset"], sdb.largest("n_params", 0.1))


# ---- what is held out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.1, [10]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.3, [8, 9, 10]),
        ([1, 1, 1, 1, 5, 5, 5, 5, 5, 5], 0.1, [5] * 6),  # ties with the smallest held-out value go out too
        ([3, 1, 2, 3], 0.25, [3, 3]),
        ([1.0, 2.0, 3.0], 0.01, [3.0]),  # never nothing
    ],
)
def test_largest_never_splits_a_tie(values: list[float], fraction: float, expected: list[float]) -> None:
    frame = pl.DataFrame({"n_params": values})
    held = frame.filter(sdb.largest("n_params", fraction).mask(frame))
    assert sorted(held["n_params"].to_list()) == expected


def test_largest_says_what_it_does() -> None:
    assert sdb.largest("n_params", 0.1).label == "the largest 10 % by n_params"


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 10, float("nan")])
def test_fraction_must_leave_both_sides(fraction: float) -> None:
    with pytest.raises(DataError, match="not between 0 and 1"):
        sdb.largest("n_params", fraction)


def test_holdout_column_must_be_complete(rows: pl.DataFrame) -> None:
    rule = sdb.largest("n_params", 0.1)
    for bad in (None, float("nan")):
        spoiled = rows.with_columns(
            n_params=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit(bad, dtype=pl.Float64)).otherwise("n_params")
        )
        with pytest.raises(DataError, match="has 1 missing values of 36"):
            sdb.compare(spoiled, ["chinchilla"], rule)
    with pytest.raises(DataError, match="holds String, not numbers"):
        sdb.compare(rows, ["chinchilla"], sdb.largest("run_id", 0.1))
    with pytest.raises(UnknownNameError, match="did you mean 'n_params'"):
        sdb.compare(rows, ["chinchilla"], sdb.largest("n_parms", 0.1))


def test_holdout_by_whole_numbers(rows: pl.DataFrame) -> None:
    whole = rows.with_columns(pl.col("n_params").round().cast(pl.Int64))
    assert sdb.compare(whole, ["chinchilla"], sdb.largest("n_params", 0.1)).held_out.height == 6


def test_holdout_by_an_expression(rows: pl.DataFrame) -> None:
    marked = rows.with_columns(
        split=pl.when(pl.col("n_tokens") > 5e11)
        .then(pl.lit("validation"))
        .when(pl.col("n_tokens") > 1e11)
        .then(pl.lit("fit"))
    )
    result = sdb.compare(marked, ["chinchilla"], pl.col("split") == "validation")
    assert result.held_out["split"].unique().to_list() == ["validation"]
    assert result.label == "the rows held out"
    # where the expression is null the row is fitted
    assert result.fits["chinchilla"].data.height == rows.height - result.held_out.height


def test_holdout_by_compute_unless_told_otherwise(rows: pl.DataFrame) -> None:
    result = sdb.compare(rows, ["chinchilla"])
    assert result.label == "the largest 10 % by train_flops_6nd"
    fitted = result.fits["chinchilla"].data
    assert result.held_out["train_flops_6nd"].min() > fitted["train_flops_6nd"].max()


def test_an_empty_side_is_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="leaves 36 rows to fit and 0 to test"):
        sdb.compare(rows, ["chinchilla"], pl.col("n_params") > 1e20)
    with pytest.raises(DataError, match="leaves 0 rows to fit and 36 to test"):
        sdb.compare(rows.with_columns(same=1.0), ["chinchilla"], sdb.largest("same", 0.1))


def test_other_holdouts_are_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="gives Float64, not true or false"):
        sdb.compare(rows, ["chinchilla"], pl.col("n_params") * 2)
    with pytest.raises(DataError, match="not float"):
        sdb.compare(rows, ["chinchilla"], 0.1)  # type: ignore[arg-type]


# ---- the comparison ----------------------------------------------------------------------------


def test_tidy_has_a_row_a_law_best_first(rows: pl.DataFrame, comparison: sdb.Comparison) -> None:
    table = comparison.tidy()
    assert table.columns == [
        "law",
        "n_free",
        "n_fit",
        "n_held_out",
        "error_fit",
        "error_held_out",
        "median_error_held_out",
        "max_error_held_out",
        "bias_held_out",
        "coverage",
        "objective",
        "verdict",
    ]
    assert table["law"][0] == "chinchilla"  # the data follow it
    assert sorted(table["law"]) == ["chinchilla", "kaplan_lnd", "power_offset"]
    assert table["error_held_out"].is_sorted()
    assert table["n_held_out"].unique().to_list() == [6]
    assert table["n_fit"].unique().to_list() == [rows.height - 6]
    best = table.row(0, named=True)
    # 0.3 % of scatter, and an extrapolation by a factor of four
    assert best["error_held_out"] < 0.01
    assert best["max_error_held_out"] >= best["median_error_held_out"]
    assert abs(best["bias_held_out"]) <= best["error_held_out"]
    assert 0 <= best["coverage"] <= 1


def test_tidy_is_what_the_held_out_rows_say(comparison: sdb.Comparison) -> None:
    held = comparison.held_out.filter(law="kaplan_lnd")
    relative = held["prediction"].to_numpy() / held["loss"].to_numpy() - 1
    assert held["relative_error"].to_numpy() == pytest.approx(relative)
    row = comparison.tidy().row(by_predicate=pl.col("law") == "kaplan_lnd", named=True)
    assert row["error_held_out"] == pytest.approx(np.abs(relative).mean())
    assert row["bias_held_out"] == pytest.approx(relative.mean())
    assert row["coverage"] == pytest.approx(held["loss"].is_between(held["low"], held["high"]).mean())


def test_laws_see_the_same_rows(rows: pl.DataFrame, comparison: sdb.Comparison) -> None:
    fitted = {name: item.data["run_id"].to_list() for name, item in comparison.fits.items()}
    assert len({tuple(ids) for ids in fitted.values()}) == 1
    held = set(comparison.held_out["run_id"])
    assert held.isdisjoint(fitted["chinchilla"])
    assert len(held) + len(fitted["chinchilla"]) == rows.height


def test_held_out_predictions_are_those_of_a_fit_without_them(rows: pl.DataFrame, comparison: sdb.Comparison) -> None:
    small = rows.filter(pl.col("n_params") < pl.col("n_params").max())
    alone = sdb.fit(small, "chinchilla")
    held = comparison.held_out.filter(law="chinchilla")
    assert alone.predict(held.select("n_params", "n_tokens"))["prediction"].to_list() == pytest.approx(
        held["prediction"].to_list(), rel=1e-12
    )


def test_sentence(comparison: sdb.Comparison, rows: pl.DataFrame) -> None:
    table = comparison.tidy()
    first, second = (table.row(i, named=True) for i in (0, 1))
    assert comparison.sentence == (
        "On the largest 10 % by n_params (6 runs), "
        f"chinchilla is off by {100 * first['error_held_out']:.2f} % on average, "
        f"{second['law']} by {100 * second['error_held_out']:.2f} % "
        f"({second['error_held_out'] / first['error_held_out']:.1f} times as much)."
    )
    assert comparison.sentence in repr(comparison)
    assert comparison.sentence in comparison._repr_html_()
    assert sdb.compare(rows, "chinchilla").sentence.endswith("on average.")


def test_one_law_given_twice_counts_once(rows: pl.DataFrame) -> None:
    result = sdb.compare(rows, ["chinchilla", sdb.get_law("chinchilla")])
    assert result.tidy()["n_held_out"].to_list() == [result.held_out["run_id"].n_unique()]


def test_lazy_frame(rows: pl.DataFrame) -> None:
    assert sdb.compare(rows.lazy(), "chinchilla").tidy().equals(sdb.compare(rows, "chinchilla").tidy())


def test_options_reach_the_fit(rows: pl.DataFrame) -> None:
    renamed = rows.rename({"loss": "final_loss"})
    result = sdb.compare(renamed, "chinchilla", output="final_loss", objective="mse", fixed={"E": 1.8})
    assert result.fits["chinchilla"].recipe["objective"] == "mse"
    assert result.fits["chinchilla"].params["E"] == 1.8
    assert result.tidy()["coverage"].item() >= 0


def test_what_fit_refuses_is_refused(rows: pl.DataFrame) -> None:
    with pytest.raises(DataError, match="no law to compare"):
        sdb.compare(rows, [])
    with pytest.raises(UnknownNameError, match="did you mean 'chinchilla'"):
        sdb.compare(rows, ["chinchila"])
    with pytest.raises(FitError, match="one distinct value"):
        sdb.compare(rows, ["chinchilla"], sdb.largest("n_params", 0.8))
    with pytest.raises(DataError, match="not comparable"):
        sdb.compare(rows.with_columns(unit=pl.col("run_id")), ["chinchilla"])
    with pytest.raises(DataError, match="Polars frame"):
        sdb.compare({"n_params": [1.0]}, ["chinchilla"])  # type: ignore[arg-type]


def test_held_out_rows_need_a_value_to_judge_by(rows: pl.DataFrame) -> None:
    largest = pl.col("train_flops_6nd") == pl.col("train_flops_6nd").max()
    spoiled = rows.with_columns(loss=pl.when(largest).then(None).otherwise("loss"))
    with pytest.raises(DataError, match="'loss' has 1 value"):
        sdb.compare(spoiled, ["chinchilla"])


def test_a_fit_that_warns_still_warns(rows: pl.DataFrame) -> None:
    with pytest.warns(FitWarning, match="at bound: E=0"):
        sdb.compare(rows.with_columns(loss=50 * pl.col("n_tokens") ** -0.1), "power_offset")
