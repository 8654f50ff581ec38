"""Hold-outs: which rows each rule takes, what it says, and what it refuses."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from _synthetic import runs

import scalingdb as sdb
from scalingdb.errors import DataError, UnknownNameError

H = sdb.holdouts


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return runs(6, noise=3e-3)


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


@pytest.mark.parametrize(
    ("values", "how", "expected"),
    [
        ([1, 2, 3, 4], {"count": 2}, [3, 4]),
        ([1, 2, 4, 4], {"count": 1}, [4, 4]),  # a tie goes out together
        ([1, 2], {"count": 9}, [1, 2]),  # all of them: compare() refuses that with the counts
        ([1, 1, 2, 2, 3, 3, 3], {"distinct": 2}, [2, 2, 3, 3, 3]),
        ([1.5, 1.5, 2.5], {"distinct": 1}, [2.5]),
    ],
)
def test_largest_by_count_and_by_distinct_values(
    values: list[float], how: dict[str, int], expected: list[float]
) -> None:
    frame = pl.DataFrame({"n_params": values})
    assert sorted(frame.filter(sdb.largest("n_params", **how).mask(frame))["n_params"].to_list()) == expected


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (H.largest("n", count=7), "the largest 7 rows by n"),
        (H.largest("n", distinct=2), "the 2 largest values of n"),
        (H.largest("n", distinct=1), "the largest n"),
        (H.beyond("train_flops_6nd", 1e21), "the rows with train_flops_6nd beyond 1e+21"),
        (H.groups("family", "pythia"), "family pythia"),
        (H.groups("family", *"abcdef"), "family a, b, c, d and 2 more"),
        (H.each("family"), "each family in turn"),
        (H.where(pl.col("n") > 1, "the big ones"), "the big ones"),
        (H.at_random(0.1, rng=3), "a random 10 % (seed 3)"),
        (H.at_random(0.25, rng=0, by="n"), "a random 25 % by n (seed 0)"),
    ],
)
def test_every_rule_says_itself(rule: sdb.Holdout, words: str) -> None:
    assert str(rule) == rule.label == words
    assert repr(rule) == f"<Holdout: {words}>"


def test_largest_takes_one_measure() -> None:
    for wrong in ({}, {"fraction": 0.1, "count": 3}, {"count": 1, "distinct": 1}):
        with pytest.raises(DataError, match="give one of fraction, count and distinct"):
            sdb.largest("n_params", **wrong)
    for wrong_count in (0, -1, 1.5, True):
        with pytest.raises(DataError, match="is not a positive whole number"):
            sdb.largest("n_params", count=wrong_count)  # type: ignore[arg-type]


def test_beyond_leaves_the_threshold_itself() -> None:
    frame = pl.DataFrame({"train_flops_6nd": [1e20, 1e21, 2e21]})
    assert H.beyond("train_flops_6nd", 1e21).mask(frame).to_list() == [False, False, True]
    for wrong in (float("nan"), float("inf"), "1e21", None):
        with pytest.raises(DataError, match="is not a number"):
            H.beyond("train_flops_6nd", wrong)  # type: ignore[arg-type]


def test_beyond_a_factor_of_the_largest() -> None:
    frame = pl.DataFrame({"scale": [1e18, 1e19, 1e20, 1e20 * (1 + 1e-12), 1e21]})
    assert H.beyond_factor("scale", 10).mask(frame).to_list() == [False, False, False, False, True]
    assert H.beyond_factor("scale", 100).label == "the rows with scale beyond 1/100 of the largest"
    for wrong in (1, 0.5, float("nan"), True, "10"):
        with pytest.raises(DataError, match="is not a number above 1"):
            H.beyond_factor("scale", wrong)  # type: ignore[arg-type]


def test_a_sample_of_few_runs_leaves_the_held_out_rows_alone() -> None:
    frame = pl.DataFrame({"run_id": [f"r{i:02d}" for i in range(60)], "scale": np.geomspace(1e18, 1e21, 60)})
    rule = H.beyond_factor("scale", 10)
    whole = rule.splits(frame)[0]
    samples = [H.few_runs(rule, 8, draw=draw, along="scale").splits(frame)[0] for draw in range(3)]
    for split in samples:
        assert split.test.equals(whole.test)
        assert split.train.height == 8
        assert set(split.train["run_id"]) < set(whole.train["run_id"])
    assert len({tuple(split.train["run_id"]) for split in samples}) == 3
    assert H.few_runs(rule, 100, along="scale").splits(frame)[0].train.equals(whole.train)
    mixed = frame.sample(fraction=1.0, shuffle=True, seed=0)
    assert H.few_runs(rule, 8, along="scale").splits(mixed)[0].train.equals(samples[0].train)
    with pytest.raises(DataError, match="draw=3 is not one of 3 samples"):
        H.few_runs(rule, 8, draw=3)


def test_splits_refuse_an_empty_side() -> None:
    frame = pl.DataFrame({"n": [1.0, 2.0]})
    with pytest.raises(DataError, match="leaves 2 rows to fit and 0 to test"):
        H.beyond("n", 5).splits(frame)
    assert H.beyond("n", 5).splits(frame, allow_empty=True)[0].test.is_empty()


def test_largest_has_one_alias() -> None:
    assert sdb.largest is H.largest


def test_groups_take_whole_groups() -> None:
    frame = pl.DataFrame({"family": ["a", "b", None, "c", "a"], "depth": [1, 2, 3, 4, 5]})
    assert H.groups("family", "a", "c").mask(frame).to_list() == [True, False, False, True, True]
    assert H.groups("depth", 2).mask(frame).to_list() == [False, True, False, False, False]
    assert H.groups("depth", 2, 4).mask(frame.cast({"depth": pl.Float64})).sum() == 2
    with pytest.raises(UnknownNameError, match=r"unknown group 'pythia'\n\nHint: known groups: a, b, c\. \(values of"):
        H.groups("family", "pythia").mask(frame)
    with pytest.raises(UnknownNameError, match="did you mean 'family'"):
        H.groups("famly", "a").mask(frame)
    with pytest.raises(DataError, match="no group to hold out"):
        H.groups("family")


def test_each_holds_every_row_out_once() -> None:
    frame = pl.DataFrame({"family": ["b", "a", "b", "c"], "size": [1.5e9, 1e8, 1.5e9, 1e8]})
    folds = H.each("family").folds(frame)
    assert list(folds) == ["a", "b", "c"]
    assert sum(mask.cast(pl.Int64) for mask in folds.values()).to_list() == [1, 1, 1, 1]  # type: ignore[union-attr]
    assert folds["b"].to_list() == [True, False, True, False]
    assert H.each("family").mask(frame).all()
    assert list(H.each("size").folds(frame)) == ["1e+08", "1.5e+09"]
    near = pl.DataFrame({"size": [411616256.0, 411616257.0]})
    assert list(H.each("size").folds(near)) == ["411616256.0", "411616257.0"]
    with pytest.raises(DataError, match=r"has only one value \(a\)"):
        H.each("family").mask(frame.filter(family="a"))
    with pytest.raises(DataError, match="has 1 missing values of 4"):
        H.each("family").mask(frame.with_columns(family=pl.Series(["b", None, "b", "c"])))


def test_where_takes_an_expression() -> None:
    frame = pl.DataFrame({"split": ["fit", "validation", None]})
    assert H.where(pl.col("split") == "validation").mask(frame).to_list() == [False, True, False]
    with pytest.raises(UnknownNameError, match="unknown column 'spilt'"):
        H.where(pl.col("spilt") == "validation").mask(frame)
    with pytest.raises(DataError, match="gives String, not true or false"):
        H.where(pl.col("split")).mask(frame)
    with pytest.raises(DataError, match="not str"):
        H.where("split == 'validation'")  # type: ignore[arg-type]


def test_random_only_with_a_seed_and_by_whole_runs() -> None:
    frame = pl.DataFrame({"run_id": np.repeat([f"r{i:02d}" for i in range(40)], 3), "n": np.arange(120.0)})
    held = frame.with_columns(held=H.at_random(0.25, rng=1).mask(frame))
    assert held["held"].sum() == 30
    assert (held.group_by("run_id").agg(pl.col("held").n_unique())["held"] == 1).all()
    again, other = H.at_random(0.25, rng=1).mask(frame), H.at_random(0.25, rng=2).mask(frame)
    assert again.to_list() == held["held"].to_list()
    assert other.to_list() != held["held"].to_list()
    assert H.at_random(0.25, rng=1).mask(frame.sample(fraction=1.0, shuffle=True, seed=0)).sum() == 30
    assert H.at_random(0.5, rng=0).mask(frame.drop("run_id")).sum() == 60
    assert H.at_random(0.001, rng=0, by=None).mask(frame).sum() == 1  # never nothing
    with pytest.raises(TypeError, match="rng"):
        H.at_random(0.1)  # type: ignore[call-arg]
    with pytest.raises(DataError, match="not between 0 and 1"):
        H.at_random(1.0, rng=0)


def test_compute_is_6nd_where_only_n_and_d_are_there(rows: pl.DataFrame) -> None:
    bare = rows.select("n_params", "n_tokens", "loss")
    by_hand = bare.with_columns(c=6 * pl.col("n_params") * pl.col("n_tokens"))
    assert H.largest("train_flops_6nd", 0.2).mask(bare).to_list() == H.largest("c", 0.2).mask(by_hand).to_list()
    assert H.beyond_factor("train_flops_6nd", 4).mask(bare).any()
    with pytest.raises(DataError, match="'train_flops_6nd' is computed from its N and D"):
        H.largest("train_flops", 0.2).mask(bare)
    with pytest.raises(DataError, match=r"holdout=sdb\.holdouts\.largest\('n_params', 0\.1\)"):
        H.largest("train_flops_6nd", 0.2).mask(bare.drop("n_tokens"))
    with pytest.raises(DataError, match=r"frame\.with_columns\(train_flops=6"):
        sdb.fit(bare, "kaplan_lc")
