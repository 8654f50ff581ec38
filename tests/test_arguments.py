"""Arguments of a wrong kind: every public function says which one, and none is left to an error of a library."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import scalingdb as sdb
from scalingdb._arguments import told
from scalingdb.errors import DataError, ScalingDBError

WRONG: list[Any] = [
    *(10**400, b"x", ["x"], [None], [1, "a"], [[1]], {1: 2}, {"E": "a"}, {"E": (1,)}, set(), object(), int),
    *(np.array([]), pl.Series([1]), pl.DataFrame({"x": [1]}), pl.col("x"), datetime.date(2020, 1, 1), 1j, iter([1])),
]

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def calls(db: sdb.Warehouse) -> dict[str, tuple[Call, dict[str, Any]]]:
    """Public functions with arguments that are right."""
    rows = db.points("epoch_chinchilla").head(40)
    fit = sdb.fit(rows, "chinchilla", n_starts=2)
    fit_options = {"law": "chinchilla", "delta": 1e-3, "bounds": None, "fixed": None, "weights": None, "inputs": None}
    return {
        "fit": (lambda **given: sdb.fit(rows, n_starts=2, **given), fit_options | {"priors": None, "tied": None}),
        "fit_by": (
            lambda **given: sdb.fit_by(rows, "chinchilla", n_starts=2, **given),
            {"by": "family", "delta": 1e-3},
        ),
        "compare": (lambda **given: sdb.compare(rows, bootstrap=0, n_starts=2, **given), {"laws": "chinchilla"}),
        "plan": (
            lambda **given: sdb.plan(fit, **given),
            {"train_flops": 1e21, "level": 0.9, "flops_convention": "6nd"},
        ),
        "solve": (lambda **given: sdb.solve(fit, n_tokens=1e10, **given), {"want": "n_params", "output": 2.5}),
        "optimise": (lambda **given: sdb.optimise(fit, cost="6nd", **given), {"over": ["n_params"], "budget": 1e21}),
        "forecast": (lambda **given: sdb.forecast(rows, **given), {"at": {"n_params": 1e10}, "laws": "chinchilla"}),
        "multiplier": (lambda **given: sdb.compute_multiplier(fit, **given), {"b": "chinchilla", "train_flops": 1e21}),
        "crossover": (lambda **given: sdb.crossover(fit, n_tokens=1e11, **given), {"b": "chinchilla", "between": None}),
        "predict": (lambda **given: fit.predict(rows, **given), {"level": 0.9, "rng": 0}),
        "profile": (fit.profile, {"param": "E", "points": 5}),
        "draws": (fit.draws, {"count": 5, "rng": 0}),
        "simulate": (lambda **given: fit.simulate(rows, **given), {"rng": 0}),
        "save": (fit.save, {"path": "/dev/null/one.fit"}),
        "get_law": (sdb.get_law, {"name": "chinchilla"}),
        "law": (fit.law.optimum, {"train_flops": 1e21, "variant": None}),
        "largest": (lambda **given: sdb.largest(fraction=0.2, **given), {"column": "n_params"}),
        "read_runs": (
            lambda **given: sdb.read_runs({"params": [1e8], "tokens": [1e9], "val_loss": [3.0]}, **given),
            {"mapping": None, "unit": None, "metric": "loss", "scale": None, "where": None, "tasks": None},
        ),
        "remove_source": (sdb.remove_source, {"source_id": "none"}),
    }


NAMES = (
    *("fit", "fit_by", "compare", "plan", "solve", "optimise", "forecast", "multiplier", "crossover", "predict"),
    *("profile", "draws", "simulate", "save", "get_law", "law", "largest", "read_runs", "remove_source"),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_an_argument_of_a_wrong_kind_is_no_foreign_exception(
    calls: dict[str, tuple[Call, dict[str, Any]]], name: str
) -> None:
    function, right = calls[name]
    refused = 0
    for argument in right:
        for wrong in WRONG:
            try:
                function(**right | {argument: wrong})
            except ScalingDBError:
                refused += 1
    assert refused >= len(right) * len(WRONG) // 2


def test_a_fault_of_ours_stays_what_it_is() -> None:
    @told
    def broken(x: float) -> float:
        raise KeyError(x)

    with pytest.raises(KeyError):
        broken(1.0)
    with pytest.raises(DataError, match=r"x is 'a'\n\nHint: broken\(\) takes float"):
        broken("a")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        broken()  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("float | Sequence[float] | None", [None, 1, np.float32(2), [1.0], np.array([1.0]), ()], ["1", [["1"]], {1}]),
        ("Mapping[str, tuple[float, float]]", [{}, {"E": (1, 2)}, {"E": [1, 2]}], [{"E": (1,)}, {1: (1, 2)}, []]),
        ("str | Path", ["a", Path("a")], [1, b"a"]),
        ("int", [1, np.int64(2)], [1.0, True, "1"]),
    ],
)
def test_kinds_are_those_that_an_annotation_states(kind: str, right: list[Any], wrong: list[Any]) -> None:
    def takes(x: Any) -> None:
        raise ArithmeticError

    takes.__annotations__["x"] = kind
    for value in right:
        with pytest.raises(ArithmeticError):
            told(takes)(value)
    for value in wrong:
        with pytest.raises(DataError):
            told(takes)(value)
