"""Which recipe wins at scale, judged from small models: decisions, intervals, lines, and what is refused."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.errors import DataError, FitError

decide = sdb.downstream.decision_accuracy


def panel(noise: float, n: int = 40, sizes: tuple[float, ...] = (1e7, 1e8, 1e10), seed: int = 0) -> pl.DataFrame:
    """Losses of recipes of different quality: the same line in log-log for all, plus noise."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, 0.05, n)
    return pl.DataFrame(
        [
            {
                "corpus": f"r{i:02d}",
                "n_params": size,
                "metric": "loss",
                "score": float(np.exp(1.5 - 0.05 * np.log(size / 1e7) + quality[i] + rng.normal(0, noise))),
            }
            for i in range(n)
            for size in sizes
        ]
    )


def test_without_noise_every_decision_is_right_and_none_is_a_coin() -> None:
    made = decide(panel(0.0))
    assert made["method"].to_list() == ["one size", "one size", "line"]
    assert made["accuracy"].to_list() == [1.0, 1.0, 1.0]
    assert made["regret"].to_list() == pytest.approx([0.0, 0.0, 0.0])
    assert made["gain"].to_list() == [None, None, 0.0]
    shuffled = panel(0.0).with_columns(score=pl.col("score").shuffle(seed=4))
    low, high = decide(shuffled).select("low", "high").row(1)
    assert low < 0.5 < high


def test_the_accuracy_is_a_count_of_pairs_whatever_the_order_and_the_direction() -> None:
    frame = panel(0.05, n=8)
    found = decide(frame).filter(small=1e8, method="one size").row(0, named=True)
    wide = frame.pivot("n_params", index="corpus", values="score")
    small, large = wide["100000000.0"].to_numpy(), wide["10000000000.0"].to_numpy()
    pairs = [(i, j) for i in range(8) for j in range(i)]
    right = sum((small[i] < small[j]) == (large[i] < large[j]) for i, j in pairs)
    assert (found["n_pairs"], found["accuracy"]) == (28, pytest.approx(right / 28))
    assert found["regret"] == pytest.approx(large[np.argmin(small)] - large.min())
    turned = frame.with_columns(metric=pl.lit("acc"), score=-pl.col("score"))
    assert decide(turned).filter(small=1e8, method="one size")["accuracy"].item() == found["accuracy"]
    assert decide(frame.sample(fraction=1, shuffle=True, seed=2)).equals(decide(frame))


def test_groups_are_compared_inside_only() -> None:
    frame = pl.concat(panel(0.0, seed=s, n=6).with_columns(task=pl.lit(f"t{s}")) for s in (0, 1))
    made = decide(frame, by="task")
    assert made["n_pairs"].to_list() == [30, 30, 30]
    assert made["accuracy"].to_list() == [1.0, 1.0, 1.0]
    assert decide(frame)["n_pairs"].to_list() == [15, 15, 15]  # averaged over tasks


def test_intervals_over_recipes_hold_the_truth() -> None:
    noise = 0.03
    truth = decide(panel(noise, n=600, seed=99), n_resamples=2).filter(small=1e8, method="one size")["accuracy"].item()
    held = 0
    for seed in range(40):
        low, high = decide(panel(noise, n=25, seed=seed), n_resamples=300).select("low", "high").row(1)
        held += low <= truth <= high
    assert held >= 33


def test_what_cannot_be_ranked_is_refused() -> None:
    frame = panel(0.0, n=5)
    with pytest.raises(DataError, match="whether more is better"):
        decide(frame.drop("metric"))
    with pytest.raises(DataError, match="not a size in the frame"):
        decide(frame, target=3e9)
    with pytest.raises(FitError, match="shares 3 recipes"):
        decide(frame.filter((pl.col("n_params") < 1e9) | (pl.col("corpus") < "r02")))
    with pytest.raises(DataError, match="corpus"):
        decide(frame.drop("corpus"))


def test_the_chart_draws_every_row() -> None:
    table = decide(panel(0.05, n=8)).with_columns(release=pl.lit("x"), judged=pl.format("{}", "small"))
    drawn = sdb.charts.decision_chart(table, title="a finding").to_dict()
    assert drawn["title"] == "a finding"
    with pytest.raises(DataError):
        sdb.charts.decision_chart(table.drop("judged"))
