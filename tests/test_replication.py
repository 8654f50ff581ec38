"""The ledger: every replicated figure keeps the verdict that its declaration promises."""

from __future__ import annotations

import fnmatch
import json
import re
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

import scalingdb as sdb
from scalingdb.cli import app
from scalingdb.errors import DataError, UnknownNameError
from scalingdb.evidence import replication
from scalingdb.evidence.replication import NEEDS_LOCAL_ROWS, VERDICTS, Figure, Replication, all_replications
from scalingdb.evidence.replication import _core as core
from scalingdb.evidence.replication._printed import printed as core_printed

SLOW = {
    "chinchilla_robustness": ("definitions", "perturbed"),
    "datablations": ("decay",),
    "epoch_chinchilla": ("bootstrap",),
    "farseer": ("errors", "growing_fits"),
    "gadre_overtraining": ("downstream", "loss"),
    "gemstones": ("approach_3", "duality", "headline"),
    "hitchhiker": ("extrapolation",),
    "misfitting": ("choices",),
    "moe_sparsity": ("leave_one_out",),
    "multi_power_law": ("held_out", "two_areas"),
    "olmo_ladder": ("predictions",),
    "porian_discrepancies": ("loss_laws",),
    "routed_lm": ("experts",),
}
"""Computations of many fits: only CI repeats them; others of the same source are repeated everywhere."""

ONLY_CI = {f"{source}.{name}" for source, names in SLOW.items() for name in names}


def computed_in(name: str, *values: str) -> Any:
    """A case that belongs to one computation."""
    return pytest.param(name, *values, id=".".join((name, *values)), marks=[pytest.mark.ci] * (name in ONLY_CI))


FIGURES = [(one.id, figure.key) for one in all_replications().values() for figure in one.figures]

UNNAMED: Mapping[str, str] = {}
"""Claims (patterns of their ids) that a source in the warehouse could test and no figure names: why."""

LEAST_SHARE = 0.9
"""The least share of our own earlier recomputations that have to be reproduced."""


@cache
def _warehouse() -> sdb.Warehouse:
    """One for all: every connection materialises the large views anew."""
    return sdb.connect()


@cache
def _rows(name: str) -> dict[str, dict[str, object]]:
    """Figures of one replication, computed once."""
    table = replication.replicate(name, _warehouse())
    return {row["figure"]: row for row in table.iter_rows(named=True)}


# ---- the ledger itself -----------------------------------------------------------------------


@pytest.mark.parametrize(("name", "key"), [computed_in(*one) for one in FIGURES])
def test_the_verdict_is_the_promised_one(name: str, key: str) -> None:
    row = _rows(name)[f"{name}.{key}"]
    if row["verdict"] == NEEDS_LOCAL_ROWS:
        pytest.skip(f"{row['figure']}: {NEEDS_LOCAL_ROWS}")
    assert row["verdict"] == row["expected"], f"stated {row['stated']}, ours {row['ours']}"


OF_VALLEYS = {"hitchhiker.extrapolation": ("opt/finals",)}
"""Figures of fits with as many parameters as rows: where in its valley the search ends hangs on the processor."""


@pytest.mark.parametrize(
    "name", [computed_in(one.id) for one in all_replications().values() if one.compute and not one.tables]
)
def test_the_stored_figures_are_those_computed_now(name: str) -> None:
    known = {replica: ours for (replica, _), ours in replication.stored_results().items()}
    command = "python -m scalingdb.evidence.replication --recompute"
    assert name in known, f"not stored: {command}"
    now = {key.removeprefix(f"{name}."): row["ours"] for key, row in _rows(name).items()}
    for key in OF_VALLEYS.get(name, ()):
        assert known[name].pop(key) == pytest.approx(now.pop(key), rel=0.1), command
    assert known[name] == pytest.approx(now, rel=1e-3, abs=1e-9, nan_ok=True), command


def test_what_only_ci_computes_exists_and_leaves_something_of_its_source() -> None:
    known = {one.id for one in all_replications().values() if one.compute and not one.tables}
    assert known >= ONLY_CI
    assert {name.partition(".")[0] for name in known - ONLY_CI} >= set(SLOW) - {"misfitting", "moe_sparsity"}


def test_every_testable_claim_is_named_by_a_figure(db: sdb.Warehouse) -> None:
    untested = replication.untested_claims(db)
    excused = [name for name in untested["claim_id"] if any(fnmatch.fnmatch(name, pattern) for pattern in UNNAMED)]
    assert sorted(set(untested["claim_id"]) - set(excused)) == []


def test_excuses_are_still_needed(db: sdb.Warehouse) -> None:
    untested = replication.untested_claims(db)["claim_id"].to_list()
    assert [pattern for pattern in UNNAMED if not fnmatch.filter(untested, pattern)] == []


def test_every_named_claim_exists(db: sdb.Warehouse) -> None:
    known = db.sql("select claim_id from claims")["claim_id"].to_list()
    held = [one for one in all_replications().values() if one.has_rows(db)]
    patterns = {figure.claim_id for one in held for figure in one.figures if figure.claim_id}
    assert sorted(pattern for pattern in patterns if not fnmatch.filter(known, pattern)) == []


def test_every_module_is_named_for_a_source(db: sdb.Warehouse) -> None:
    sources = set(db.sql("select source_id from sources")["source_id"])
    assert {one.source_id for one in all_replications().values()} <= sources


def test_our_own_earlier_recomputations_are_reproduced() -> None:
    """Declarations suffice: another test holds every figure to its declared verdict."""
    recomputed = [
        figure
        for one in all_replications().values()
        for figure in one.figures
        if figure.origin == "own" and not one.untestable
    ]
    good = [figure for figure in recomputed if figure.expected in VERDICTS[:2]]
    assert len(good) >= LEAST_SHARE * len(recomputed)


def test_claims_and_figures_that_do_not_hold_say_why() -> None:
    """In sentences, not in a word; and a figure explains itself once only."""
    for one in all_replications().values():
        for figure in one.figures:
            if figure.unless or one.untestable:
                assert (figure.unless or one.untestable).strip().endswith("."), f"{one.id}.{figure.key}"
            assert not (figure.unless and one.untestable), f"{one.id}.{figure.key}"


# ---- figures ---------------------------------------------------------------------------------


def figure(**changes: Any) -> Figure:
    fields: dict[str, Any] = {
        "key": "a",
        "statement": "A number",
        "place": "table 1",
        "stated": 1.0,
        "tolerance": 0.05,
        "why": "half a unit of the last digit",
        **changes,
    }
    return Figure(**fields)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"low": 0.0}, "or both"),
        ({"stated": None, "tolerance": None}, "neither a number nor bounds"),
        ({"tolerance": None}, "goes with a tolerance"),
        ({"stated": None, "low": 0.0}, "goes with a tolerance"),
        ({"why": ""}, "does not say why"),
    ],
)
def test_an_incomplete_figure_is_refused(changes: dict[str, Any], fact: str) -> None:
    with pytest.raises(DataError, match=fact) as caught:
        figure(**changes)
    assert "'a'" in str(caught.value)


@pytest.mark.parametrize(
    ("ours", "holds"),
    [(1.0, True), (1.05, True), (0.95, True), (1.0501, False), (0.9499, False), (float("nan"), False)],
)
def test_a_number_holds_within_its_tolerance(ours: float, holds: bool) -> None:
    assert figure().holds(ours) == holds


@pytest.mark.parametrize(
    ("low", "high", "ours", "holds"),
    [
        (0.0, None, 0.0, True),
        (0.0, None, -1e-9, False),
        (None, 1.0, 1.0, True),
        (None, 1.0, 1.1, False),
        (0.0, 1.0, 0.5, True),
        (0.0, 1.0, 2.0, False),
        (None, 1.0, float("-inf"), False),
    ],
)
def test_words_hold_within_their_bounds(low: float | None, high: float | None, ours: float, holds: bool) -> None:
    assert figure(stated=None, tolerance=None, low=low, high=high).holds(ours) == holds


def test_a_count_is_met_exactly() -> None:
    count = figure(stated=15, tolerance=0)
    assert count.holds(15)
    assert not count.holds(14)


# ---- replications ----------------------------------------------------------------------------


def replicated(*figures: Figure, ours: Mapping[str, float] | None = None, **options: Any) -> Replication:
    """A replication of a made-up source that gives `ours`."""
    made = core.replication(*figures, **options)(lambda _db: {"a": 1.0} if ours is None else ours)
    return replace(made, id="toy.numbers", source_id="toy")


@pytest.mark.parametrize(
    ("changes", "ours", "verdict"),
    [
        ({}, 1.0, VERDICTS[0]),
        ({"choice": "the paper leaves the start open"}, 1.0, VERDICTS[1]),
        ({}, 2.0, VERDICTS[2]),
        ({"choice": "the paper leaves the start open"}, 2.0, VERDICTS[2]),
        ({"unless": "The rows are not released."}, 2.0, VERDICTS[2]),
        # an explanation does not make a verdict: what reproduces against the declaration must show
        ({"unless": "The rows are not released."}, 1.0, VERDICTS[0]),
    ],
)
def test_the_verdict_follows_from_the_number(
    db: sdb.Warehouse, changes: dict[str, Any], ours: float, verdict: str
) -> None:
    (row,) = replication.replicate(replicated(figure(**changes), ours={"a": ours}), db).to_dicts()
    assert row["verdict"] == verdict
    assert (row["verdict"] == row["expected"]) == figure(**changes).holds(ours) ^ bool(changes.get("unless"))


def test_what_cannot_be_tested_is_not_computed(db: sdb.Warehouse) -> None:
    one = core.untestable("toy.numbers", figure(), because="No rows are released.")
    (row,) = replication.replicate(one, db).to_dicts()
    assert (row["verdict"], row["expected"], row["ours"]) == (VERDICTS[3], VERDICTS[3], None)
    assert row["explanation"] == "No rows are released."
    assert one.code == ""


def test_rows_that_do_not_ship_are_missing_and_no_failure(db: sdb.Warehouse) -> None:
    one = replicated(figure(), tables=("items", "evals"))
    assert not one.has_rows(db)
    (row,) = replication.replicate(one, db).to_dicts()
    assert (row["verdict"], row["ours"]) == (NEEDS_LOCAL_ROWS, None)
    assert row["expected"] == VERDICTS[0]


def test_rows_that_ship_are_there(db: sdb.Warehouse) -> None:
    assert replace(replicated(figure(), tables=("evals", "runs")), source_id="pythia_evals").has_rows(db)


@pytest.mark.parametrize(
    ("ours", "fact"), [({}, r"lacks \['a'\]"), ({"a": 1.0, "b": 2.0}, r"gives \['b'\] that it does not declare")]
)
def test_other_keys_than_declared_are_refused(db: sdb.Warehouse, ours: Mapping[str, float], fact: str) -> None:
    with pytest.raises(DataError, match=fact):
        replication.replicate(replicated(figure(), ours=ours), db)


@pytest.mark.parametrize("figures", [(), (figure(), figure())])
def test_figures_need_keys_of_their_own(figures: tuple[Figure, ...]) -> None:
    with pytest.raises(DataError, match="figures with different keys"):
        replicated(*figures)


@pytest.mark.parametrize(
    ("call", "wrong", "right"),
    [
        (replication.get_replication, "pythia_evals.lambda", "pythia_evals.lambada"),
        (lambda name: replication.ledger(source=name), "pythia_eval", "pythia_evals"),
        (lambda name: replication.summary(pl.DataFrame({"origin": ["paper"]}), by=name), "orgin", "origin"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(call: Callable[[str], Any], wrong: str, right: str) -> None:
    with pytest.raises(UnknownNameError, match=wrong) as caught:
        call(wrong)
    assert right in str(caught.value)


def test_the_code_of_a_computation_can_be_read() -> None:
    assert "lambada_openai" in replication.get_replication("pythia_evals.lambada").code


# ---- the table -------------------------------------------------------------------------------


def test_a_ledger_of_one_source_says_how_far_it_is() -> None:
    told: list[tuple[int, int]] = []
    table = replication.ledger(source="pythia_evals", progress=lambda done, total: told.append((done, total)))
    n = sum(one.source_id == "pythia_evals" for one in all_replications().values())
    assert told == [(done, n) for done in range(n + 1)]
    assert set(table["source_id"]) == {"pythia_evals"}
    assert table["figure"].is_unique().all()


def test_a_ledger_computes_only_what_is_stale(monkeypatch: pytest.MonkeyPatch, db: sdb.Warehouse) -> None:
    def computed(one: Replication, db: sdb.Warehouse) -> Mapping[str, float]:
        told.append(one.id)
        return {figure.key: 0.0 for figure in one.figures}

    told: list[str] = []
    monkeypatch.setattr(core, "_computed", computed)
    names = [one.id for one in all_replications().values() if one.source_id == "pythia_evals"]
    fresh = replication.ledger(db, "pythia_evals")
    assert told == [], "stale: python -m scalingdb.evidence.replication"
    assert fresh.filter(pl.col("ours") != 0).height
    replication.ledger(db, "pythia_evals", recompute=True)
    assert told == names
    told.clear()
    monkeypatch.setattr(core, "_text_of", lambda source_id: "another computation")
    replication.ledger(db, "pythia_evals")
    assert told == names


def test_no_stored_figure_is_stale(db: sdb.Warehouse) -> None:
    sources = set(db.table("sources")["source_id"])
    stale = {name for name, digest in replication.stored_results()} - {
        name
        for name, digest in replication.stored_results()
        if core._digest(all_replications()[name], db, sources) == digest
    }
    assert stale == set(), "run python -m scalingdb.evidence.replication"


def verdicts(**counts: list[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"source_id": name, "origin": "paper", "verdict": verdict}
            for name, values in counts.items()
            for verdict in values
        ]
    )


def test_summary_counts_what_was_computed() -> None:
    table = verdicts(
        all_good=[VERDICTS[0], VERDICTS[1]],
        half=[VERDICTS[0], VERDICTS[2], VERDICTS[3], NEEDS_LOCAL_ROWS],
        nothing=[VERDICTS[3], NEEDS_LOCAL_ROWS],
    )
    found = replication.summary(table)
    assert found["source_id"].to_list() == ["half", "all_good", "nothing"]  # least first, nothing computed last
    assert found["n"].to_list() == [2, 2, 0]
    assert found["share"].to_list() == [0.5, 1.0, None]
    assert found[NEEDS_LOCAL_ROWS].to_list() == [1, 0, 1]
    assert found.select(*VERDICTS, NEEDS_LOCAL_ROWS).sum().sum_horizontal().item() == table.height


def test_the_three_origins_are_counted_apart() -> None:
    table = pl.DataFrame(
        {
            "source_id": ["one", "one", "one", "two"],
            "origin": ["paper", "release", "own", "own"],
            "verdict": [VERDICTS[2], VERDICTS[0], VERDICTS[0], VERDICTS[0]],
        }
    )
    totals = replication.summary(table, by=None)
    assert dict(totals.select("origin", "n").rows()) == {"paper": 1, "release": 1, "own": 2}
    assert dict(totals.select("origin", "share").rows()) == {"paper": 0.0, "release": 1.0, "own": 1.0}
    by_source = replication.summary(table)
    assert by_source.select("source_id", "origin").is_unique().all()
    assert by_source.height == 4


@pytest.mark.parametrize(
    ("stated", "tolerance", "half_digits"),
    [
        (0.713, 5e-4, 1),
        (482.01, 5e-3, 1),
        (16.55e12, 5e9, 1),
        (100, 0, 0),
        (100, 1.5, 3),
        (0.05, 0.02, 4),
        (2e8, 1e8, 2),
    ],
)
def test_a_tolerance_is_told_in_half_units_of_the_last_digit(
    stated: float, tolerance: float, half_digits: float
) -> None:
    assert figure(stated=stated, tolerance=tolerance).half_digits == pytest.approx(half_digits)
    assert figure(stated=None, tolerance=None, low=0.0).half_digits is None


def test_tolerances_wider_than_three_half_digits_are_listed(db: sdb.Warehouse) -> None:
    one = replicated(
        figure(stated=0.05, tolerance=0.015),
        figure(key="wide", stated=0.05, tolerance=0.02),
        ours={"a": 0.05, "wide": 0},
    )
    wide = replication.wide_tolerances(replication.replicate(one, db))
    assert wide.select("figure", "half_digits", "why").rows() == [
        ("toy.numbers.wide", pytest.approx(4), "half a unit of the last digit")
    ]
    declared = [
        f for one in all_replications().values() for f in one.figures if (f.half_digits or 0) > core.WIDE + 1e-6
    ]
    assert all(f.why != core_printed("1")["why"] for f in declared)  # each gives its own reason


def test_files_of_a_release_are_no_paper() -> None:
    for one in all_replications().values():
        for f in one.figures:
            if f.origin == "paper":
                assert not re.search(r"^release|\.(csv|tsv|jsonl?|parquet|ipynb|pkl)\b", f.place), (one.id, f.place)
                assert "recomput" not in f.place, (one.id, f.place)


def test_a_count_of_what_we_meet_is_not_stated_by_anyone() -> None:
    for one in all_replications().values():
        for f in one.figures:
            if re.search(r"that ours|ours (equals?|meets?)\b|that a refit reproduces", f.statement):
                assert f.stated is None, f"{one.id}.{f.key}"


def test_readable_shows_the_digits_that_count(db: sdb.Warehouse) -> None:
    one = replicated(
        figure(stated=0.537, tolerance=5e-4, unit="nats_per_token"),
        figure(key="b", stated=15, tolerance=0),
        figure(key="c", stated=None, tolerance=None, low=0.0, high=1e-5),
        figure(key="d", stated=1.655e13, tolerance=5e11, unit="tokens"),
        ours={"a": 0.53678, "b": 14, "c": 2.912e-6, "d": 1.61020e13},
    )
    shown = replication.readable(replication.replicate(one, db))
    assert shown.select("stated", "tolerance", "ours").rows() == [
        ("0.537 nats_per_token", "± 0.0005", "0.53678"),
        ("15", "exactly", "14"),
        ("no number; tested as at least 0 and at most 1e-5", "", "2.912e-6"),
        ("1.655e13 tokens", "± 5e11", "1.61e13"),
    ]


# ---- the command -----------------------------------------------------------------------------


def test_command_prints_the_figures_of_a_source() -> None:
    result = CliRunner().invoke(app, ["replicate", "pythia_evals", "--quiet"])
    assert result.exit_code == 0
    assert "pythia_evals.lambada.12b" in result.stdout
    assert "0.7046" in result.stdout
    assert re.search(r"stated in a paper \(\d+\)\n(?: +\d+  .*\n)+stored in a release \(\d+\)", result.stdout)  # apart
    assert result.stderr == ""


def test_command_prints_json() -> None:
    result = CliRunner().invoke(app, ["replicate", "pythia_evals.lambada", "--json"])
    rows = json.loads(result.stdout)
    assert {row["figure"] for row in rows} == set(_rows("pythia_evals.lambada"))
    assert rows[0]["command"] == "scalingdb replicate pythia_evals.lambada"


def test_command_shows_progress_on_stderr_only() -> None:
    result = CliRunner().invoke(app, ["replicate", "pythia_evals"], env={"FORCE_COLOR": "1"})
    assert "figures" in result.stderr
    assert "left" in result.stderr
    assert "left" not in result.stdout
    assert not CliRunner().invoke(app, ["replicate", "pythia_evals"]).stderr


def test_command_fails_where_a_verdict_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replicated(figure(), ours={"a": 2.0})
    monkeypatch.setattr(sys.modules["scalingdb.evidence.replication._core"], "all_replications", lambda: {one.id: one})
    result = CliRunner().invoke(app, ["replicate", "toy", "--quiet"])
    assert result.exit_code == 1
    assert "toy.numbers.a: does not reproduce; the ledger expects: reproduces" in result.stderr


def test_command_explains_what_does_not_reproduce(monkeypatch: pytest.MonkeyPatch) -> None:
    one = replicated(
        figure(unless="The table is misprinted."),
        figure(key="b", unless="The table is misprinted."),
        ours={"a": 2.0, "b": 3.0},
    )
    monkeypatch.setattr(sys.modules["scalingdb.evidence.replication._core"], "all_replications", lambda: {one.id: one})
    result = CliRunner().invoke(app, ["replicate", "--quiet"])
    assert result.exit_code == 0
    assert result.stdout.count("The table is misprinted.") == 1
    assert "does not reproduce: toy.numbers.a, toy.numbers.b" in result.stdout


@pytest.mark.parametrize("name", ["pythia_eval", "pythia_evals.lambda"])
def test_command_refuses_an_unknown_name(name: str) -> None:
    result = CliRunner().invoke(app, ["replicate", name, "--quiet"])
    assert result.exit_code == 2
    assert name in result.stderr
    assert "Hint" in result.stderr


def test_the_ledger_speaks_through_its_rows_only(db: sdb.Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = replication.replicate("farseer.chinchilla", db)
    assert table.height > 1
    assert capsys.readouterr() == ("", "")
