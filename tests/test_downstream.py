"""The metric chain and the predictability of scores: scales, errors, correlations, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import stats

import scalingdb as sdb
from scalingdb.downstream import (
    CHAIN,
    TRANSFORMS,
    answer_chain,
    ccdf,
    chain_cost,
    checkpoint_pairs,
    difficulty_shapes,
    early_to_final,
    final_values,
    forecast,
    predictability,
    roles_by_compute,
    score_table,
    scores,
    task_means,
    transform,
    with_std_error,
)
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.schema import METRICS

# ---- the chain -----------------------------------------------------------------------------------


def item(*log_probs: float, right: int = 0, n_bytes: tuple[int, ...] | None = None, **keys: object) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "item_id": ["q"] * len(log_probs),
            "log_prob": log_probs,
            "is_correct": [position == right for position in range(len(log_probs))],
            **({"n_bytes": n_bytes} if n_bytes else {}),
            **{name: [value] * len(log_probs) for name, value in keys.items()},
        }
    )


def test_every_step_of_the_chain_by_hand() -> None:
    found = answer_chain(item(math.log(0.02), math.log(0.06), math.log(0.02), n_bytes=(2, 8, 4))).row(0, named=True)
    assert found["log_p_vocab"] == pytest.approx(math.log(0.02))
    assert found["p_vocab"] == pytest.approx(0.02)
    assert found["answer_probability"] == pytest.approx(0.2)
    assert found["answer_log_probability"] == pytest.approx(math.log(0.2))
    assert found["brier"] == pytest.approx(0.8**2 + 0.6**2 + 0.2**2)
    assert found["acc"] == 0  # the second option is likelier
    assert found["acc_norm"] == 0  # per byte too: ln(0.06)/8 is the least negative
    assert found["answer_bits_per_byte"] == pytest.approx(-math.log2(0.02) / 2)
    assert found["chance_level"] == pytest.approx(1 / 3)


def test_length_normalisation_changes_the_answer_and_ties_share_the_point() -> None:
    long = answer_chain(item(-6.0, -5.0, n_bytes=(10, 2))).row(0, named=True)
    assert (long["acc"], long["acc_norm"]) == (0, 1)
    tied = answer_chain(item(-1.0, -1.0, -9.0)).row(0, named=True)
    assert tied["acc"] == 0.5


def test_tiny_probabilities_do_not_underflow() -> None:
    found = answer_chain(item(-2000.0, -2001.0)).row(0, named=True)
    assert found["answer_probability"] == pytest.approx(1 / (1 + math.exp(-1)))


def test_means_are_taken_after_the_steps() -> None:
    two = pl.concat(
        [
            item(math.log(0.1), math.log(0.9)),
            item(math.log(0.9), math.log(0.1)).with_columns(item_id=pl.lit("r")),
        ]
    )
    means = task_means(answer_chain(two).with_columns(task=pl.lit("t")), "task")
    by_metric = dict(means.select("metric", "score").iter_rows())
    assert by_metric["answer_probability"] == pytest.approx(0.5)
    assert by_metric["answer_log_probability"] == pytest.approx((math.log(0.1) + math.log(0.9)) / 2)
    assert math.exp(by_metric["answer_log_probability"]) < by_metric["answer_probability"]
    assert set(means["n_items"]) == {2}
    error = means.filter(metric="acc")["std_error"].item()
    assert error == pytest.approx(math.sqrt(0.5) / math.sqrt(2))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (item(-1.0), "one right answer among two options"),
        (item(-1.0, -2.0).with_columns(is_correct=pl.lit(True)), "one right answer among two options"),
        (item(0.5, -2.0), "above 0"),
        (item(math.nan, -2.0), "missing or not finite"),
        (item(-1.0, -2.0).drop("is_correct"), "'is_correct'"),
    ],
)
def test_items_that_make_no_sense_are_refused(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        answer_chain(frame)


# ---- scales --------------------------------------------------------------------------------------

EXTRA = {"chance_level": 0.25, "n_bytes": 7.0, "n_answer_tokens": 3.0, "target": 0.5}
INVERTIBLE = [name for name, step in TRANSFORMS.items() if step.is_invertible]


def scored(*values: float, **columns: float) -> pl.DataFrame:
    return pl.DataFrame({"score": values, **{name: [value] * len(values) for name, value in columns.items()}})


@pytest.mark.parametrize("name", INVERTIBLE)
@given(score=st.floats(0.26, 0.99))
def test_a_scale_comes_back(name: str, score: float) -> None:
    there = transform(scored(score, **EXTRA), name)
    back = transform(there, name, column=name, inverse=True, into="back")
    assert back["back"].item() == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize("name", INVERTIBLE)
def test_standard_errors_follow_the_slope(name: str) -> None:
    step = 1e-6
    low, mid, high = (transform(scored(s, std_error=0.02, **EXTRA), name) for s in (0.6 - step, 0.6, 0.6 + step))
    slope = (high[name].item() - low[name].item()) / (2 * step)
    assert mid[f"{name}_std_error"].item() == pytest.approx(abs(slope) * 0.02, rel=1e-5)
    back = transform(mid, name, column=name, std_error=f"{name}_std_error", inverse=True, into="back")
    assert back["back_std_error"].item() == pytest.approx(0.02)


def test_known_values() -> None:
    assert transform(scored(0.5), "logit")["logit"].item() == 0
    assert transform(scored(0.975), "probit")["probit"].item() == pytest.approx(1.959964, abs=1e-6)
    assert transform(scored(0.25, chance_level=0.25), "above_chance")["above_chance"].item() == 0
    assert transform(scored(0.9, target=0.5), "horizon")["horizon"].item() == pytest.approx(math.log(0.5, 0.9))
    assert transform(scored(0.9, n_answer_tokens=5.0), "exact_match")["exact_match"].item() == pytest.approx(0.9**5)


@pytest.mark.parametrize("name", [n for n, step in TRANSFORMS.items() if not step.is_invertible])
def test_what_is_lost_is_not_given_back(name: str) -> None:
    with pytest.raises(DataError, match="cannot be inverted"):
        transform(scored(0.5), name, inverse=True)
    with pytest.raises(DataError, match="cannot be computed from a score"):
        transform(scored(0.5), name)


@pytest.mark.parametrize(
    ("frame", "name", "message"),
    [
        (scored(0.3, 1.2), "logit", r"outside \[0, 1\](.|\n)*row 1"),
        (scored(0.3, 45.0), "logit", "look like percentages"),
        (scored(0.3, 0.0), "logit", r"strictly between 0 and 1(.|\n)*row 1: score=0.0"),
        (scored(0.3), "above_chance", "'chance_level'"),
        (scored(0.2, chance_level=0.25), "logit_above_chance", "between the chance level and 1"),
        (scored(0.5, chance_level=1.0), "above_chance", "'chance_level' are not between"),
        (scored(0.5, n_answer_tokens=0.0), "exact_match", "not positive"),
        (scored(0.5, target=1.0), "horizon", "'target' are not between"),
        (scored(math.nan), "error", "missing or not finite"),
    ],
)
def test_values_outside_the_domain_are_refused_by_row(frame: pl.DataFrame, name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        transform(frame, name)


def test_unknown_transform_suggests() -> None:
    with pytest.raises(UnknownNameError, match="'logit'"):
        transform(scored(0.5), "logitt")


def test_every_step_says_what_it_takes_and_needs() -> None:
    for step in TRANSFORMS.values():
        assert step.takes
        assert step.gives
        assert step.is_invertible != bool(step.why_not)
    assert set(CHAIN) <= set(METRICS)


# ---- standard errors -----------------------------------------------------------------------------


def test_binomial_errors_and_their_origin() -> None:
    frame = pl.DataFrame(
        {"score": [0.25, 0.5, 1.0], "n_items": [100.0, 400.0, 49.0], "std_error": [None, 0.2, None]},
        schema_overrides={"std_error": pl.Float64},
    )
    found = with_std_error(frame)
    assert found["std_error_from"].to_list() == ["binomial", "reported", "binomial"]
    assert found["std_error"][0] == pytest.approx(math.sqrt(0.25 * 0.75 / 100))
    assert found["std_error"][1] == 0.2
    assert found["std_error"][2] == pytest.approx(math.sqrt((49.5 / 50) * (0.5 / 50) / 49))  # not zero
    assert with_std_error(frame, "binomial")["std_error"][1] == pytest.approx(0.025)


def test_missing_item_counts_are_named() -> None:
    frame = pl.DataFrame({"score": [0.2, 0.4], "n_items": [10.0, None], "task": ["a", "b"]})
    with pytest.raises(DataError, match=r"no n_items\n  row 1 \(task='b'\)"):
        with_std_error(frame, "binomial")
    with pytest.raises(DataError, match="no std_error"):
        with_std_error(frame, "reported")


# ---- predictability ------------------------------------------------------------------------------


def ladder(runs: int = 12, noise: float = 0.0, **columns: object) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    compute = np.geomspace(1e18, 1e22, runs)
    score = 0.25 + 0.6 / (1 + np.exp(-(np.log10(compute) - 20))) + noise * generator.standard_normal(runs)
    return pl.DataFrame(
        {
            "run_id": [f"r{i}" for i in range(runs)],
            "family": "f",
            "task": "t",
            "metric": "acc",
            "score": np.clip(score, 0, 1),
            "train_flops_6nd": compute,
            **columns,
        }
    )


BY = ["family", "task", "metric"]


def test_correlations_equal_scipy() -> None:
    frame = ladder(30, noise=0.1)
    row = predictability(frame, BY).row(0, named=True)
    x, y = np.log10(frame["train_flops_6nd"]), frame["score"]
    pearson = stats.pearsonr(x, y)
    assert row["pearson"] == pytest.approx(pearson.statistic)
    interval = pearson.confidence_interval(0.95)
    assert (row["pearson_low"], row["pearson_high"]) == pytest.approx((interval.low, interval.high))
    assert row["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
    assert row["kendall"] == pytest.approx(stats.kendalltau(x, y).statistic)
    assert row["decades"] == pytest.approx(4)
    assert row["n_models"] == row["n_rows"] == 30


def test_large_groups_take_another_way_to_the_same_tau() -> None:
    generator = np.random.default_rng(0)
    frame = ladder(900).with_columns(score=pl.Series(generator.integers(0, 40, 900) / 50))
    row = predictability(frame, BY).row(0, named=True)
    expected = stats.kendalltau(frame["train_flops_6nd"], frame["score"]).statistic
    assert row["kendall"] == pytest.approx(expected)
    part = frame.head(300)
    tau = predictability(part, BY)["kendall"].item()
    assert tau == pytest.approx(stats.kendalltau(part["train_flops_6nd"], part["score"]).statistic)


def test_metrics_where_less_is_better_are_turned_round() -> None:
    up = predictability(ladder(), BY).row(0, named=True)
    down = predictability(ladder().with_columns(metric=pl.lit("brier"), score=1 - pl.col("score")), BY).row(
        0, named=True
    )
    assert up["spearman"] == down["spearman"] == 1
    assert up["share_rising"] == down["share_rising"] == 1
    assert up["pearson"] == pytest.approx(down["pearson"])


def test_checkpoints_do_not_count_as_models() -> None:
    """Many checkpoints of few runs: the interval is that of the runs."""
    few = pl.concat(
        ladder(6).with_columns(
            n_tokens=pl.lit(float(step)), train_flops_6nd=pl.col("train_flops_6nd") * (1 + step / 1e6)
        )
        for step in range(1, 21)
    )
    row = predictability(few, BY).row(0, named=True)
    alone = predictability(ladder(6), BY).row(0, named=True)
    assert (row["n_rows"], row["n_models"]) == (120, 6)
    assert row["spearman_high"] - row["spearman_low"] > 0.9 * (alone["spearman_high"] - alone["spearman_low"])


def test_noise_of_checkpoints_is_recovered_and_drift_does_not_count() -> None:
    generator = np.random.default_rng(3)
    parts = []
    for run in range(40):
        steps = np.arange(1, 41)
        level = 0.3 + 0.01 * run
        parts.append(
            pl.DataFrame(
                {
                    "run_id": f"r{run}",
                    "family": "f",
                    "task": "t",
                    "metric": "acc",
                    "train_flops_6nd": 1e18 * 1.3**run * steps / 40,
                    "score": level + 0.002 * steps / 40 * 10 + 0.004 * generator.standard_normal(40),
                }
            )
        )
    row = predictability(pl.concat(parts), BY).row(0, named=True)
    assert row["noise_from"] == "checkpoints"
    assert row["noise"] == pytest.approx(0.004, rel=0.1)
    assert row["signal"] == pytest.approx(0.01 * np.std(np.arange(40), ddof=1), rel=0.05)
    assert row["snr"] == pytest.approx(row["signal"] / row["noise"])


def test_noise_falls_back_to_seeds_and_to_sampling() -> None:
    seeds = pl.concat(
        ladder(6, n=1e8, n_tokens=1e9).with_columns(
            run_id=pl.col("run_id") + f"/{seed}",
            n=pl.col("train_flops_6nd") ** 0.5,
            score=pl.col("score") + 0.01 * seed,
        )
        for seed in (0, 1)
    )
    row = predictability(seeds, BY).row(0, named=True)
    assert (row["noise_from"], row["noise"]) == ("seeds", pytest.approx(0.01 / math.sqrt(2)))
    sampled = predictability(ladder(n_items=100.0), BY).row(0, named=True)
    assert sampled["noise_from"] == "sampling"
    assert 0.02 < sampled["noise"] < 0.05
    assert predictability(ladder(), BY)["noise"].item() is None


def test_onset_above_chance() -> None:
    frame = ladder(13, chance_level=0.25, std_error=0.02)
    row = predictability(frame, BY).row(0, named=True)
    above = frame.filter(pl.col("score") > 0.25 + 2 * 0.02)
    assert row["predictable_from"] == pytest.approx(above["train_flops_6nd"].min())
    never = predictability(frame.with_columns(score=pl.col("score") / 100 + 0.24), BY).row(0, named=True)
    assert never["predictable_from"] is None


def test_size_orders_scores_at_equal_tokens() -> None:
    grid = pl.DataFrame(
        [
            {"run_id": f"{n}", "family": "f", "task": "t", "metric": "acc", "n": n, "n_tokens": d, "score": score}
            for d in (1e9, 2e9)
            for n, score in ((1e8, 0.3), (2e8, 0.4), (4e8, 0.35))
        ]
    ).with_columns(train_flops_6nd=6 * pl.col("n") * pl.col("n_tokens"))
    assert predictability(grid, BY)["rank_consistency"].item() == pytest.approx(1 / 3)


def test_verdicts_follow_the_interval() -> None:
    generator = np.random.default_rng(2)
    frames = [
        ladder(40),
        ladder(200, task="random").with_columns(score=pl.Series(generator.random(200))),
        ladder(4, task="few", noise=0.05),
    ]
    table = predictability(pl.concat(frames, how="diagonal"), BY)
    assert dict(table.select("task", "verdict").iter_rows()) == {
        "t": "predictable",
        "random": "not predictable",
        "few": "undecided",
    }


def test_items_are_a_grain_of_their_own() -> None:
    frame = pl.concat(ladder(8, item_id=name) for name in ("a", "b"))
    table = predictability(frame, [*BY, "item_id"])
    assert set(table["grain"]) == {"item"}
    assert table.height == 2


BAD = {
    "outside": (ladder().with_columns(score=pl.col("score") * 1.3), r"outside \[0, 1\](.|\n)*run_id='r"),
    "percent": (
        pl.concat([ladder(), ladder(task="u").with_columns(score=100 * pl.col("score"))]),
        "12 other score.s. are fractions: the two are mixed",
    ),
    "one model": (ladder().with_columns(run_id=pl.lit("same")), "1 of 1 groups cannot be assessed(.|\n)*one model"),
    "constant": (ladder().with_columns(score=pl.lit(0.25)), "the score is constant"),
    "no compute": (ladder().drop("train_flops_6nd"), "neither 'train_flops_6nd' nor"),
    "same compute": (ladder().with_columns(train_flops_6nd=pl.lit(1e20)), "the same compute"),
    "missing": (ladder().with_columns(score=pl.when(pl.col("run_id") != "r3").then("score")), r"row 3 \(run_id='r3'"),
    "no run": (ladder().drop("run_id"), "no column 'run_id'"),
    "empty": (ladder().clear(), "empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_scores_are_refused(name: str) -> None:
    frame, message = BAD[name]
    with pytest.raises(DataError, match=message):
        predictability(frame, BY)


def test_reasons_are_recorded_on_request() -> None:
    mixed = pl.concat(
        [ladder(), ladder(2, task="two"), ladder(6, task="flat").with_columns(score=pl.lit(0.5))], how="diagonal"
    )
    table = predictability(mixed, BY, on_error="record")
    assert dict(table.select("task", "status").iter_rows()) == {
        "t": None,
        "two": "two models",
        "flat": "the score is constant",
    }
    assert table.filter(task="flat")["spearman"].item() is None
    with pytest.raises(UnknownNameError, match="on_error"):
        predictability(mixed, BY, on_error="ignore")
    with pytest.raises(UnknownNameError, match="given in by"):
        predictability(mixed, "tusk")


def test_perfect_order_of_few_runs_is_no_certainty() -> None:
    row = predictability(ladder(5), BY).row(0, named=True)
    assert row["spearman"] == 1
    assert row["spearman_low"] < row["spearman_high"] <= 1
    four = predictability(ladder(4), BY).row(0, named=True)
    assert four["spearman"] == 1
    assert four["spearman_low"] is None


# ---- the distribution over tasks, and the price of a step ------------------------------------------


def test_ccdf_counts_what_lies_above() -> None:
    table = pl.DataFrame({"metric": ["acc"] * 5, "spearman": [0.1, 0.5, 0.5, 0.9, None]})
    found = ccdf(table)
    assert found.select("spearman", "share_above").rows() == [(0.9, 0.25), (0.5, 0.75), (0.1, 1.0)]
    assert found["n_left_out"].to_list() == [1, 1, 1]
    with pytest.raises(DataError, match="no row has a value"):
        ccdf(table.filter(pl.col("spearman").is_null()))


def test_chain_cost_pairs_the_tasks() -> None:
    table = pl.DataFrame(
        {
            "source_id": "s",
            "family": "f",
            "task": ["a", "b", "c", "a", "b", "d"],
            "metric": ["answer_probability"] * 3 + ["acc"] * 3,
            "spearman": [0.9, 0.8, 0.1, 0.7, 0.7, 0.99],
        }
    )
    row = chain_cost(table).row(0, named=True)
    assert (row["before"], row["after"], row["n_tasks"]) == ("answer_probability", "acc", 2)
    assert row["change"] == pytest.approx(-0.15)
    assert row["low"] <= row["change"] <= row["high"]
    assert row["share_worse"] == 1
    with pytest.raises(DataError, match="1 metric"):
        chain_cost(table.filter(metric="acc"))


def test_chain_cost_pairs_by_what_the_table_was_grouped_by() -> None:
    runs = np.arange(8)
    # two suites of equal task names: their tasks must not be averaged, as pairing by 'task' alone would
    rows = [
        {
            "run_id": f"r{run}",
            "train_flops": 10.0 ** (18 + run),
            "suite": suite,
            "test": "a",
            "metric": metric,
            "score": 0.3 + 0.05 * (run if suite == "x" or metric == "answer_probability" else -run % 3),
        }
        for run in runs
        for suite in ("x", "y")
        for metric in ("answer_probability", "acc")
    ]
    table = predictability(pl.DataFrame(rows), by=("suite", "test", "metric"), compute="train_flops")
    found = chain_cost(table)
    assert found["n_tasks"].to_list() == [2]
    assert found.equals(chain_cost(table, pair_by=("suite", "test")))
    with pytest.raises(DataError, match="tells tasks apart"):
        chain_cost(table.select("grain", "metric", "spearman"))


# ---- on the warehouse ----------------------------------------------------------------------------


def test_scores_add_the_losses_of_answers(db: sdb.Warehouse) -> None:
    ladder_scores = scores(db, "olmo_ladder")
    assert {"answer_bits_per_byte", "acc_norm"} <= set(ladder_scores["metric"])
    assert ladder_scores.filter(pl.col("score").is_null()).is_empty()
    with pytest.raises(UnknownNameError, match="olmo_ladder"):
        scores(db, "olmo_laddr")


def test_flagged_scores_are_left_out_aloud(db: sdb.Warehouse) -> None:
    kept, everything = scores(db, "exp_emergence"), scores(db, "exp_emergence", flagged=True)
    assert kept.height < everything.height
    assert kept["flag"].null_count() == kept.height


def test_the_whole_warehouse_at_once(db: sdb.Warehouse) -> None:
    every = scores(db)
    keys = ["source_id", "family", "task", "metric", "n_shots"]
    table = predictability(every, keys, on_error="record")
    assert table.height == every.select(keys).unique().height  # no group is lost
    assert table["n_rows"].fill_null(0).sum() + table["n_without_compute"].fill_null(0).sum() == every.height
    good = table.filter(pl.col("status").is_null())
    assert good.height > 5000
    assert good["spearman"].is_between(-1, 1).all()
    assert (
        good.drop_nulls("spearman_low")
        .filter((pl.col("spearman_low") > pl.col("spearman")) | (pl.col("spearman_high") < pl.col("spearman")))
        .filter(pl.col("spearman").abs() < 1 - 1e-8)
        .is_empty()
    )


def test_lambada_rises_with_size_in_pythia(db: sdb.Warehouse) -> None:
    """Biderman et al.: LAMBADA accuracy after the last step is strictly monotone in size."""
    frame = scores(db, "pythia_evals").filter(
        pl.col("task").str.starts_with("lambada"), pl.col("step") == 143_000, pl.col("n_shots") == 0
    )
    table = predictability(frame.filter(pl.col("metric") == "acc"), on_error="record")
    rows = table.filter(pl.col("family").str.to_lowercase().str.contains("pythia"), pl.col("n_models") >= 8)
    assert rows.height >= 1
    assert (rows["spearman"] == 1).all()


def test_accuracy_costs_signal_on_every_task_of_the_ladder(db: sdb.Warehouse) -> None:
    table = predictability(scores(db, "olmo_ladder").filter(pl.col("family") == "ladder"), on_error="record")
    last = chain_cost(table, value="snr").row(-1, named=True)
    assert (last["before"], last["after"]) == ("answer_probability", "acc_norm")
    assert last["high"] < 0
    assert last["share_worse"] > 0.9


# ---- order never matters -------------------------------------------------------------------------


def benchmark(seed: int = 0) -> pl.DataFrame:
    """Two tasks, 0-shot and 5-shot scores at the same compute, checkpoints, and ties of every kind."""
    generator = np.random.default_rng(seed)
    rows = [
        {"source_id": "s", "family": "f", "task": task, "metric": metric, "n_shots": shots, "run_id": f"r{run}"}
        | {"n": 1e8 * 2**run, "n_tokens": 1e9 * step, "step": step, "train_flops_6nd": 6e17 * 2**run * step}
        | {"score": float(np.round(generator.uniform(0.2, 0.9), 2)), "n_items": 100, "chance_level": 0.25}
        for task in ("a", "b")
        for metric in ("acc", "brier")
        for shots in (0, 5)
        for run in range(6)
        for step in (1, 2, 4, 8)
    ]
    return pl.DataFrame(rows)


def shuffled(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    return frame.sample(fraction=1.0, shuffle=True, seed=seed)


ANALYSES = {
    "predictability": predictability,
    "predictability, shots pooled": lambda f: predictability(f, ["task", "metric"]),
    "predictability, one compute per run": lambda f: predictability(f, compute="n"),
    "chain_cost": lambda f: chain_cost(predictability(f), chain=("acc", "brier")),
    "ccdf": lambda f: ccdf(predictability(f)),
    "forecast": lambda f: forecast(roles_by_compute(f, factor=3.0), ("largest", "line", "logistic", "backtest")),
    "early_to_final": lambda f: early_to_final(f, 0.6, by=("task", "metric", "n_shots"), last=2),
    "score_table": lambda f: score_table(forecast(roles_by_compute(f, factor=3.0), ("largest", "line"))),
    "final_values": lambda f: final_values(f, "score", last=2),
    "checkpoint_pairs": lambda f: checkpoint_pairs(f, ("score",), window=3),
    "difficulty_shapes": lambda f: difficulty_shapes(f, ["task", "metric"]),
}


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_rows_never_matters(name: str, seed: int) -> None:
    frame = benchmark()
    first, second = ANALYSES[name](frame), ANALYSES[name](shuffled(frame, seed))
    labels = [c for c, kind in first.schema.items() if not kind.is_float()]
    if name in {"final_values", "checkpoint_pairs"}:
        labels = first.columns
    assert_frame_equal(first.sort(labels), second.sort(labels), rel_tol=1e-9, abs_tol=1e-12)


def test_shots_are_separated_by_default_and_pooling_them_is_said(notices: Callable[[], list[str]]) -> None:
    table = predictability(benchmark())
    assert table.height == 8
    assert "n_shots" in table.columns
    assert not notices()
    predictability(benchmark(), ["task", "metric"])
    assert "4 of 4 groups mix several numbers of shots" in notices()[-1]


@pytest.mark.parametrize("k", [3, 4, 10])
def test_checkpoint_noise_is_unbiased_for_short_tails(k: int) -> None:
    generator = np.random.default_rng(0)
    scores_of_runs = 0.5 + 0.01 * generator.standard_normal((4000, k)) + 0.02 * np.arange(k)
    frame = pl.DataFrame(
        {
            "run_id": np.repeat(np.arange(4000), k).astype(str),
            "step": np.tile(np.arange(k), 4000),
            "train_flops": np.repeat(np.geomspace(1e18, 1e22, 4000), k),
            "score": scores_of_runs.ravel(),
            "task": "t",
        }
    )
    noise = predictability(frame, "task")["noise"].item()
    assert noise == pytest.approx(0.01, rel=0.03)  # k - 1 differences: once too large by sqrt(k / (k - 1))


def test_refits_of_a_curve_whose_parameters_do_the_same_do_not_fail() -> None:
    from scalingdb.downstream._refits import _solve

    x = np.linspace(-1, 1, 6)

    def curve(theta: np.ndarray) -> np.ndarray:
        return (theta[:, :1] + theta[:, 1:]) * x  # only the sum of the two is known

    start, free = np.zeros((3, 2)), np.full(2, np.inf)
    found = _solve(curve, np.outer([1.0, 2.0, 3.0], x), start, -free, free)
    np.testing.assert_allclose(found.sum(axis=1), [1.0, 2.0, 3.0], rtol=1e-6)
