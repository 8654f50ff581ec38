"""The guards that users' runs pass, over everything that ships: what they find is corrected, flagged or named here."""

from __future__ import annotations

import polars as pl
import pytest

import scalingdb as sdb
from scalingdb.reading._guards import GUARDS, repeated_value

KNOWN = {
    # equal to the three decimals of the authors' sheet, at different learning rates
    ("misfitting", "duplicate"),
    # the first and last logged losses of a training run, 21.8 and 0.178
    ("hitchhiker", "unit"),
    # evaluations that begin late: an intervention on a later checkpoint, a spike, sparse checkpoints
    ("hitchhiker", "resumed"),
    # the authors set early checkpoints aside, which are flagged
    ("vocab_scaling", "resumed"),
    # totals that the releases list beside their categories; each is a task of its own in `scores`
    ("hitchhiker", "group"),
    ("pythia_evals", "group"),
    ("sloth", "group"),
}
MIXED_ON_PURPOSE = {"tokenizers"}
"""Guards on what a single study should keep fixed; most sources compare models of several makers."""


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return sdb.connect().sql(
        "select e.run_id, e.source_id, e.step, e.metric, e.eval_set, e.split, e.n_shots, e.value, e.unit, "
        "e.std_error, coalesce(e.n_tokens, r.n_tokens) as n_tokens, e.n_examples, "
        "r.n_params, r.n_tokens_unique, r.learning_rate "
        "from evals e join runs r using (run_id) "
        "where e.flag is null and e.source_id in (select source_id from sources where is_shipped)"
    )


@pytest.mark.parametrize("few", [("farseer", "misfitting", "sloth"), pytest.param((), marks=pytest.mark.ci)])
def test_what_ships_passes_the_guards(rows: pl.DataFrame, few: tuple[str, ...]) -> None:
    rows = rows.filter(pl.col("source_id").is_in(few)) if few else rows
    assert rows.height
    found = {
        (str(source), remark.check)
        for (source,), part in rows.group_by("source_id", maintain_order=True)
        for check in GUARDS
        if check.__name__ not in MIXED_ON_PURPOSE
        for remark in check(part)
    }
    assert found <= KNOWN


def test_tokens_per_parameter_are_possible() -> None:
    runs = sdb.connect().sql("select run_id, n_params, n_tokens from runs where n_params > 1e6")
    assert runs.filter(pl.col("n_tokens") > 1e5 * pl.col("n_params")).is_empty()


def test_a_step_that_is_only_a_position_is_said_in_the_notes() -> None:
    """Steps 1, 2, 3 ... of every run, at tokens that grow with them, are positions and no optimiser steps."""
    ordinal = sdb.connect().sql(
        "with steps as (select source_id, run_id, count(distinct step) n, min(step) low, max(step) high, "
        "max(n_tokens) tokens from evals where step is not null group by all) "
        "select source_id from steps group by 1 "
        "having bool_and(low = 1 and high = n and n > 2 and tokens / high > 1e7)"
    )
    for (source,) in ordinal.iter_rows():
        notes = sdb.connect().sql(f"select notes from sources where source_id = '{source}'").item()
        assert "step is the position" in notes, source
    assert ordinal.height > 0


@pytest.mark.parametrize(
    ("run_id", "what", "value"),
    [
        ("obs_scaling/cerebras/btlm-3b-8k-base", "n_tokens", 627e9),
        ("obs_scaling/cerebras/btlm-3b-8k-base", "train_flops", 6 * 3e9 * 627e9),
    ],
)
def test_corrected_counts(run_id: str, what: str, value: float) -> None:
    stored = sdb.connect().sql(f"select {what} from runs where run_id = '{run_id}'").item()
    assert stored == pytest.approx(value, rel=1e-9)


def test_the_guard_on_repeated_checkpoints_finds_what_was_flagged() -> None:
    rows = sdb.connect().sql(
        "select run_id, step, metric, eval_set, split, n_shots, value from evals "
        "where run_id = 'pythia_evals/pythia-1b-deduped' and n_shots = 0 and step <= 1"
    )
    (remark,) = repeated_value(rows.sort("step"))
    assert rows.sort("step")[list(remark.rows)]["step"].unique().to_list() == [1.0]


def test_copied_scores_are_flagged() -> None:
    flags = sdb.connect().sql("select source_id, flag, count(*) n from evals where flag like 'repeats_%' group by all")
    assert set(flags.rows()) >= {
        ("epoch_benchmark_stitching", "repeats_other_score", 7),
        ("pythia_evals", "repeats_step_0", 16 * 172),
    }
