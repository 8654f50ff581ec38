"""Arguments of a wrong kind: every public function says which one, and none is left to an error of a library."""

from __future__ import annotations

import datetime
import inspect
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import duckdb
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


SUBMODULES = [name for name in sdb.__all__ if isinstance(getattr(sdb, name), ModuleType)]

SKIPPED = {"run", "store_results"}
"""Compute and store for minutes, whatever they are given."""


def _walked(module: str) -> Iterator[tuple[str, Call, dict[str, Any]]]:
    """Calls of all functions of a public submodule: each argument wrong, and what must be given beside it too."""
    public = getattr(sdb, module)
    for name in public.__all__:
        function = getattr(public, name)
        if not isinstance(function, FunctionType) or name in SKIPPED:
            continue
        named, needed = _arguments_of(function)
        if not needed:  # it would compute all that it can
            continue
        for wrong in (None, "x", 1.5, 2**70, 10**400, [], [[]], {}, 1j, object(), pl.DataFrame({"x": ["a"]})):
            for argument in named:
                yield f"{module}.{name}", function, dict.fromkeys(needed, wrong) | {argument: wrong}


def _arguments_of(function: Call) -> tuple[list[str], list[str]]:
    """Names of all arguments, and of those that must be given."""
    parameters = inspect.signature(function).parameters.values()
    named = [one for one in parameters if one.kind in {one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY}]
    return [one.name for one in named], [one.name for one in named if one.default is one.empty]


def _foreign(calls: Iterator[tuple[str, Call, dict[str, Any]]]) -> list[str]:
    """Calls that end in an error that is not ours."""
    found = []
    for name, function, given in calls:
        try:
            function(**given)
        except ScalingDBError:
            pass
        except Exception as error:
            found.append(f"{name}({', '.join(f'{key}={value!r:.30}' for key, value in given.items())}): {error!r:.90}")
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("module", SUBMODULES)
def test_no_public_function_leaves_a_wrong_argument_to_a_library(module: str) -> None:
    foreign = _foreign(_walked(module))
    assert not foreign, "\n".join(foreign)


def _results(db: sdb.Warehouse) -> Iterator[Any]:
    """Objects that public functions return, and the warehouse."""
    rows = db.points("epoch_chinchilla").head(60)
    fit = sdb.fit(rows, "chinchilla", n_starts=2)
    groups = rows.with_columns(group=pl.Series(["a", "b"] * 30))
    laws = ["chinchilla", "kaplan_lnd"]
    yield from (db, fit, fit.law, sdb.largest("n_params", 0.2))
    yield sdb.fit_by(groups, "chinchilla", by="group", n_starts=2)
    yield sdb.compare(rows, laws, bootstrap=10, n_starts=2)
    yield sdb.compare(groups, laws, by="group", bootstrap=0, n_starts=2)
    yield sdb.forecast(rows, at={"n_params": [1e10], "n_tokens": [1e11]}, laws=laws)
    yield sdb.plan(fit, train_flops=1e21)


SKIPPED_METHODS = {"close", "propagate", "derived", "influence"}
"""The last three call a function of the user, whose errors are the user's."""


def _methods(objects: Iterator[Any], right: dict[str, Any]) -> Iterator[tuple[str, Call, dict[str, Any]]]:
    """Calls of all public methods: each argument wrong, what must be given beside it right where that is known."""
    for found in objects:
        for name, method in inspect.getmembers(found, inspect.ismethod):
            if name.startswith("_") or name in SKIPPED_METHODS:
                continue
            named, needed = _arguments_of(method)
            for wrong in (None, "x", -1, 10**400, [], pl.DataFrame({"x": ["a"]}), "\0"):
                for argument in named:
                    yield (
                        f"{type(found).__name__}.{name}",
                        method,
                        {one: right.get(one, wrong) for one in needed} | {argument: wrong},
                    )


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore")
def test_no_method_leaves_a_wrong_argument_to_a_library(
    db: sdb.Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    right = {"path": tmp_path / "out", "query": "select 1", "source": "epoch_chinchilla", "name": "points"}
    right |= {"param": "E", "train_flops": 1e21, "function": lambda theta: theta[:, 0]}
    calls = list(_methods(_results(db), right))
    assert len(calls) > 400
    foreign = _foreign(iter(calls))
    assert not foreign, "\n".join(foreign)


@pytest.mark.filterwarnings("ignore")
def test_methods_name_their_wrong_arguments(db: sdb.Warehouse) -> None:
    rows = db.points("epoch_chinchilla").head(40)
    fit = sdb.fit(rows, "chinchilla", n_starts=2)
    for call in (
        lambda: fit.propagate(1.5),  # type: ignore[arg-type]
        lambda: fit.propagate(len),
        lambda: fit.objective_at(-1),  # type: ignore[arg-type]
        lambda: fit.law.meaning({}),  # type: ignore[arg-type]
        lambda: fit.law.named({}),  # type: ignore[arg-type]
        lambda: sdb.fit(rows, "chinchilla", delta=2**70),
        lambda: sdb.forecast(rows, at={"n_params": 7e10, "n_tokens": 1e12}, zzz=1),
        lambda: sdb.pareto_envelope(rows, x="n_params", y="loss", best=[]),  # type: ignore[arg-type]
        lambda: sdb.pareto_envelope(rows.to_pandas(), x="n_params", y="loss"),  # type: ignore[arg-type]
        lambda: sdb.compare(rows.with_columns(n_params=pl.struct("n_params")), "chinchilla"),
        lambda: sdb.fit(pl.scan_parquet("/no/such.parquet"), "chinchilla"),
        lambda: sdb.fit(rows.with_columns(pl.Series("run_id", [object()] * 40, dtype=pl.Object)), "chinchilla"),
        lambda: sdb.Fit.load(3),  # type: ignore[arg-type]
        lambda: fit.save("/dev/null"),
        lambda: sdb.read_runs(duckdb.sql("select error('boo') as loss")),
        lambda: sdb.track_record(0.95),  # type: ignore[arg-type]
        lambda: sdb.holdouts.beyond("loss", 10**400),
        lambda: sdb.law("t", cite="ours", inputs=["x"], params={}, evidence_kind=[]),  # type: ignore[arg-type]
    ):
        with pytest.raises(ScalingDBError):
            call()


def test_a_told_function_keeps_its_name_and_signature_and_can_be_sent() -> None:
    assert pickle.loads(pickle.dumps(sdb.units.flops_6nd)) is sdb.units.flops_6nd
    assert pickle.loads(pickle.dumps(sdb.practices.regret)) is sdb.practices.regret
    assert list(inspect.signature(sdb.units.flops_6nd).parameters) == ["n_params", "n_tokens"]
    assert sdb.units.flops_6nd.__doc__


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
