"""The commands of the laws: what they print stands in the library and in the arena."""

from __future__ import annotations

import json

from typer.testing import CliRunner

import scalingdb as sdb
from scalingdb.cli import app


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_laws_lists_all_or_those_with_a_word() -> None:
    code, text, _ = run("laws")
    assert code == 0
    assert all(f"\n{name} " in text for name in sdb.laws()["law"])
    _, text, _ = run("laws", "n_tokens_unique")
    assert "muennighoff_repeat" in text
    assert "farseer" not in text
    assert len(json.loads(run("laws", "--json")[1])) == sdb.laws().height
    code, _, error = run("laws", "chinchila")
    assert code == 2
    assert "chinchilla" in error


def test_law_shows_formula_inputs_and_sets() -> None:
    code, text, _ = run("law", "chinchilla")
    assert code == 0
    assert "fitted on 5.7e7 to 1.62e10" in text
    assert "exponent of N" in text
    assert "hoffmann" in text
    facts = json.loads(run("law", "chinchilla", "--json")[1])
    assert {row["set"] for row in facts["published"]} == set(sdb.get_law("chinchilla").published)
    assert run("law", "chinchila")[0] == 2


def test_recommend_says_what_the_arena_measured() -> None:
    code, text, _ = run("recommend", "small_grid")
    assert code == 0
    assert sdb.arena.recommend("small_grid").sentence in text
    assert "small_grid" in run("recommend")[1]
    assert json.loads(run("recommend", "small_grid", "--json")[1])["law"] == sdb.arena.recommend("small_grid").law
    assert run("recommend", "tiny_grid")[0] == 2
