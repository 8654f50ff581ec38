"""Source `monkey_power_laws`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, records, tables_of

import scalingdb as sdb
from ingest import monkey_power_laws
from ingest._raw import RawFolder
from scalingdb.errors import DataError


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows(
        "monkey_power_laws",
        raw_directory,
        {"runs": 9 + 7 + 7 + 6, "evals": 182, "items": 21_379 + 19_370 + 11_871 + 5_244},
        set_aside=2,
    )


def test_records_of_all_raw_files(db: sdb.Warehouse) -> None:
    assert sum(records(db, "monkey_power_laws").values()) == 728_109


def _mean_pass_at_k(items: pl.DataFrame, k: np.ndarray) -> np.ndarray:
    n, c = (items[name].to_numpy()[:, None] for name in ("n_samples", "value"))
    return monkey_power_laws.pass_at_k(n, c, k[None, :]).mean(axis=0)


def test_monkeys_checkpoints(table: Table) -> None:
    items = table("monkey_power_laws", "items").filter(pl.col("metric") == "n_correct")
    pairs = items.group_by("task").agg(pl.struct("run_id", "step").n_unique(), n=pl.len()).sort("task").rows()
    # MATH: 72 checkpoints and the seven models of the original study; the list of checkpoints has 81
    assert pairs == [("best_of_n_jailbreaking", 7, 1113), ("gsm8k", 81, 10_273), ("math", 72 + 7, 9_097 + 896)]
    evals = table("monkey_power_laws").filter(pl.col("eval_set") == "gsm8k")
    assert evals["n_tokens"].min() == 2e6
    assert evals["n_tokens"].max() == 300e9
    assert evals.filter(pl.col("n_tokens") == 512e6).height == 9
    math = table("monkey_power_laws").filter(pl.col("eval_set") == "math")
    assert math.filter(pl.col("n_tokens") == 512e6).height == 0


def test_monkeys_estimator_against_brute_force() -> None:
    # 3 successes in 10 attempts: k = 1 gives 0.3, k = 2 gives 1 - (7 x 6) / (10 x 9)
    n, c, k = np.array([10.0, 10, 10, 10, 10]), np.array([3.0, 3, 3, 0, 3]), np.array([1.0, 2, 8, 5, 11])
    expected = [0.3, 1 - 42 / 90, 1.0, 0.0, np.nan]
    np.testing.assert_allclose(monkey_power_laws.pass_at_k(n, c, k), expected, rtol=1e-12, atol=1e-14)


def test_monkeys_attempts_beyond_the_sample_are_no_successes(raw_directory: Path) -> None:
    """Upstream stores pass@k = 1 where k exceeds the attempts, even for problems never solved."""
    folder = raw_directory / "monkey_power_laws"
    beyond, rows, unsolved = 0, 0, 0
    for spec in (
        monkey_power_laws.ORIGINAL,
        monkey_power_laws.RESAMPLED,
        monkey_power_laws.GSM8K,
        monkey_power_laws.MATH,
        monkey_power_laws.JAILBREAKS,
    ):
        frame = pl.read_parquet(folder / spec.file)
        over = frame.filter(pl.col(spec.k) > pl.col(spec.samples))
        assert over[spec.score].is_in([1.0]).all()
        beyond, rows = beyond + over.height, rows + frame.height
        unsolved += over.filter(pl.col("Num. Samples Correct") == 0).height
    assert (beyond, rows) == (148_483, 710_797)
    assert unsolved > 10_000


@pytest.mark.parametrize(
    ("model", "exponent"),
    [("12b", 0.370), ("6.9b", 0.348), ("2.8b", 0.336), ("1b", 0.315), ("410m", 0.286), ("70m", 0.194)],
)
def test_monkeys_power_law_of_the_original_data(model: str, exponent: float, table: Table) -> None:
    # least squares of log(-log mean pass@k) on log k, 10,000 attempts at every problem, k up to 10,000:
    # the 101 values of k of the file are spaced alike; a geometric grid moves the exponent by less than 0.01
    items = table("monkey_power_laws", "items").filter(pl.col("run_id") == f"monkey_power_laws/original/pythia-{model}")
    assert items["n_samples"].unique().to_list() == [10_000.0]
    k = np.unique(np.round(np.geomspace(1, 10_000, 101)))
    slope = np.polyfit(np.log(k), np.log(-np.log(_mean_pass_at_k(items, k))), 1)[0]
    assert -slope == pytest.approx(exponent, abs=0.01)


@pytest.mark.parametrize(("model", "exponent"), [("12b", 0.433), ("6.9b", 0.423)])
def test_monkeys_power_law_gsm8k_within_the_sample(model: str, exponent: float, table: Table) -> None:
    items = table("monkey_power_laws", "items").filter(
        (pl.col("run_id") == f"monkey_power_laws/pythia-{model}")
        & (pl.col("step") == 143_000)
        & (pl.col("task") == "gsm8k")
        & (pl.col("metric") == "n_correct")
    )
    k = np.unique(np.round(np.geomspace(1, items["n_samples"].min(), 12)))
    slope = np.polyfit(np.log(k), np.log(-np.log(_mean_pass_at_k(items, k))), 1)[0]
    # the quoted exponent uses the ten values of k of the file, 1 to 115 or so
    assert -slope == pytest.approx(exponent, abs=0.03)


def test_monkeys_each_problem_fails_exponentially(table: Table) -> None:
    # the mean falls as a power law although (1 - p)^k is exponential: single-attempt rates have a heavy left tail
    items = table("monkey_power_laws", "items").filter(pl.col("run_id") == "monkey_power_laws/original/pythia-12b")
    rates = (items["value"] / items["n_samples"]).to_numpy()
    assert np.quantile(rates, 0.9) / max(np.quantile(rates, 0.1), 1e-4) > 100


def test_monkeys_labels(table: Table) -> None:
    runs = table("monkey_power_laws", "runs").filter(pl.col("study") == "best_of_n")
    assert "claude-3-opus" in set(runs["model_id"])
    assert not runs["model_name"].str.contains("3.5 Opus").any()
    assert runs["is_instruct"].all()
    # Pythia models, whatever the name of the file says
    solutions = table("monkey_power_laws").filter(pl.col("metric") == "negative_log_likelihood")
    assert solutions["run_id"].str.starts_with("monkey_power_laws/pythia-").all()
    assert solutions.height == 9


def test_monkeys_incomplete_checkpoint_is_flagged(table: Table) -> None:
    flagged = table("monkey_power_laws").filter(pl.col("flag").is_not_null())
    assert sorted(flagged.select("run_id", "step", "eval_set", "n_items").rows()) == [
        ("monkey_power_laws/pythia-12b", 1.0, "gsm8k", 30.0),
        ("monkey_power_laws/pythia-12b", 1.0, "math", 9.0),
    ]
    rest = table("monkey_power_laws").filter(pl.col("flag").is_null() & pl.col("eval_set").is_in(["gsm8k", "math"]))
    assert set(rest["n_items"]) == {128.0, 129.0, 130.0, 1319.0}


def test_monkeys_resampled_table_is_counted_once(raw_directory: Path) -> None:
    raw = RawFolder(monkey_power_laws.SOURCE, raw_directory)
    specs = (monkey_power_laws.RESAMPLED, monkey_power_laws.GSM8K, monkey_power_laws.MATH)
    copies, gsm8k, math = (monkey_power_laws._pairs(raw, spec) for spec in specs)
    monkey_power_laws._check_resampled(copies, gsm8k, math)
    changed = copies.with_columns(n_correct=pl.when(pl.col("raw_row") == 1).then(7.0).otherwise("n_correct"))
    with pytest.raises(DataError, match="1 counts that the last checkpoints do not have"):
        monkey_power_laws._check_resampled(changed, gsm8k, math)
