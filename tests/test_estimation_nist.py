"""NIST's certified nonlinear regressions: every problem, from both of its starting points."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]

PROBLEMS = [
    *("Bennett5", "BoxBOD", "Chwirut1", "Chwirut2", "DanWood", "ENSO", "Eckerle4", "Gauss1", "Gauss2", "Gauss3"),
    *("Hahn1", "Kirby2", "Lanczos1", "Lanczos2", "Lanczos3", "MGH09", "MGH10", "MGH17", "Misra1a", "Misra1b"),
    *("Misra1c", "Misra1d", "Nelson", "Rat42", "Rat43", "Roszman1", "Thurber"),
]


HIGHER = {"Bennett5", "BoxBOD", "Eckerle4", "MGH09", "MGH10", "Rat42", "Rat43", "Thurber"}
"""Those that NIST calls of a higher level of difficulty: only CI solves them."""


@pytest.fixture(scope="module")
def nist() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nist", ROOT / "benchmarks" / "nist.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nist"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_problems_are_all_there(nist: ModuleType) -> None:
    assert sorted(nist.FORMULAS) == sorted(PROBLEMS)
    assert len(PROBLEMS) == 27
    assert set(PROBLEMS) >= HIGHER


@pytest.mark.parametrize("start", [0, 1], ids=["start 1", "start 2"])
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.ci] * (name in HIGHER)) for name in PROBLEMS])
def test_certified_parameters(nist: ModuleType, raw_directory: Path, name: str, start: int) -> None:
    problem = nist.read(raw_directory / "nist_strd" / f"{name}.dat")
    fit, digits = nist.solve(problem, start)
    assert digits >= 6
    if problem.rss > 1e-20:  # Lanczos1's residuals are the rounding of its data
        assert fit.objective == pytest.approx(problem.rss, rel=1e-9)
    assert np.isfinite(fit.objective)
