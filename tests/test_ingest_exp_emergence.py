"""Source `exp_emergence`: counts and traps, as the raw files themselves have them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl
import pytest
from _ingest import check_rows, tables_of


class Table(Protocol):
    """Function from source and table name to the built table."""

    def __call__(self, source_id: str, name: str = "evals") -> pl.DataFrame: ...


@pytest.fixture
def table(raw_directory: Path) -> Table:
    """Built tables, each source built once."""
    return lambda source_id, name="evals": tables_of(source_id, raw_directory)[name]


def test_rows_and_flags(raw_directory: Path) -> None:
    check_rows("exp_emergence", raw_directory, {"runs": 109, "evals": 28_872}, set_aside=957)


TASKS = [
    "abstract_narrative_understanding",
    "analogical_similarity",
    "arc",
    "arithmetic",
    "conceptual_combinations",
    "hellaswag",
    "hindu_knowledge",
    "mmlu",
    "parsinlu_qa_mc",
]


def test_exp_emergence_models_by_task(table: Table) -> None:
    overall = table("exp_emergence").filter((pl.col("metric") == "brier") & pl.col("eval_set").str.ends_with(":redist"))
    assert sorted(overall.group_by("eval_set").len().rows()) == [
        (f"{task}:redist", {"arithmetic": 70, "mmlu": 67}.get(task, 65)) for task in TASKS
    ]
    groups = table("exp_emergence").filter(pl.col("eval_set").str.count_matches(":") > 2)
    partitions = groups.select(pl.col("eval_set").str.replace(r":\d+_\d+$", "")).unique()
    assert partitions.height == 30  # one a file


def test_exp_emergence_groups_cover_the_questions(table: Table) -> None:
    groups = table("exp_emergence").filter(
        pl.col("eval_set").str.starts_with("mmlu:redist:t31.62:g10:") & (pl.col("metric") == "brier")
    )
    assert groups.group_by("run_id").agg(pl.col("n_items").sum())["n_items"].unique().to_list() == [14_042.0]


def test_exp_emergence_brier_is_a_loss(table: Table) -> None:
    """Lower is better: across models it falls where accuracy rises; the paper plots its negative."""
    evals = table("exp_emergence").filter(pl.col("flag").is_null())
    brier = evals.filter((pl.col("eval_set") == "mmlu:redist") & (pl.col("metric") == "brier"))
    acc = evals.filter((pl.col("eval_set") == "mmlu") & (pl.col("metric") == "acc"))
    both = brier.join(acc.select("run_id", acc="value"), on="run_id")
    assert both["value"].min() > 0
    assert np.corrcoef(both["value"], both["acc"])[0, 1] < -0.8


def test_exp_emergence_misnamed_models_are_set_aside(table: Table) -> None:
    flagged = table("exp_emergence").filter(pl.col("flag") == "exact_duplicate")
    assert flagged["eval_set"].str.starts_with("arithmetic").all()
    assert set(flagged["run_id"]) == {f"exp_emergence/openai-community/{name}" for name in ("gpt2-medium", "gpt2-xl")}
    # on MMLU the four sizes have four numbers of their own
    mmlu = table("exp_emergence").filter((pl.col("eval_set") == "mmlu") & pl.col("run_id").str.contains("gpt2"))
    assert mmlu["value"].n_unique() == mmlu.height == 4
    assert mmlu["flag"].null_count() == 4


def test_exp_emergence_public_scores_are_not_counted_again(table: Table) -> None:
    public = table("exp_emergence").filter(pl.col("eval_set").str.starts_with("public:"))
    assert public["flag"].unique().to_list() == ["duplicate_source"]
    assert public.height == 107 * 6 - 2 + 78 + 73
    assert public["flag_reason"].str.contains("obs_scaling").all()


def test_exp_emergence_option_mass(table: Table) -> None:
    mass = table("exp_emergence").filter(pl.col("metric") == "option_mass")
    assert mass["value"].max() < 1.1  # the 233.97 of one file is not used
    means = dict(
        mass.filter(pl.col("eval_set").str.ends_with(":redist")).group_by("eval_set").agg(pl.col("value").mean()).rows()
    )
    assert means["mmlu:redist"] > 0.95
    assert means["hellaswag:redist"] < 1e-3
