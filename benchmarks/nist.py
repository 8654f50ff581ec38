"""NIST's 27 certified nonlinear regressions, from both of its starting points: digits that agree.

    uv run python benchmarks/nist.py --raw ../shared/data/nist_strd

Each problem is stated as a user states a law of their own (`@sdb.law` with the published start as
its only start) and fitted with `objective="mse"`. The column `search` leaves the start out and
lets the structured search find its own. Files: NIST Statistical Reference Datasets, nonlinear
regression (public domain).
"""

from __future__ import annotations

import argparse
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import scalingdb as sdb

FORMULAS: dict[str, Callable[..., Any]] = {
    "Misra1a": lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)),
    "Misra1b": lambda x, b1, b2: b1 * (1 - (1 + b2 * x / 2) ** -2),
    "Misra1c": lambda x, b1, b2: b1 * (1 - (1 + 2 * b2 * x) ** -0.5),
    "Misra1d": lambda x, b1, b2: b1 * b2 * x / (1 + b2 * x),
    "Chwirut1": lambda x, b1, b2, b3: np.exp(-b1 * x) / (b2 + b3 * x),
    "Chwirut2": lambda x, b1, b2, b3: np.exp(-b1 * x) / (b2 + b3 * x),
    **{
        f"Lanczos{i}": lambda x, b1, b2, b3, b4, b5, b6: (
            b1 * np.exp(-b2 * x) + b3 * np.exp(-b4 * x) + b5 * np.exp(-b6 * x)
        )
        for i in (1, 2, 3)
    },
    **{
        f"Gauss{i}": lambda x, b1, b2, b3, b4, b5, b6, b7, b8: (
            b1 * np.exp(-b2 * x) + b3 * np.exp(-((x - b4) ** 2) / b5**2) + b6 * np.exp(-((x - b7) ** 2) / b8**2)
        )
        for i in (1, 2, 3)
    },
    "DanWood": lambda x, b1, b2: b1 * x**b2,
    "Kirby2": lambda x, b1, b2, b3, b4, b5: (b1 + b2 * x + b3 * x**2) / (1 + b4 * x + b5 * x**2),
    "Hahn1": lambda x, b1, b2, b3, b4, b5, b6, b7: (
        (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)
    ),
    "Nelson": lambda x1, x2, b1, b2, b3: b1 - b2 * x1 * np.exp(-b3 * x2),
    "MGH17": lambda x, b1, b2, b3, b4, b5: b1 + b2 * np.exp(-x * b4) + b3 * np.exp(-x * b5),
    "Roszman1": lambda x, b1, b2, b3, b4: b1 - b2 * x - np.arctan(b3 / (x - b4)) / np.pi,
    "ENSO": lambda x, b1, b2, b3, b4, b5, b6, b7, b8, b9: (
        b1
        + b2 * np.cos(2 * np.pi * x / 12)
        + b3 * np.sin(2 * np.pi * x / 12)
        + b5 * np.cos(2 * np.pi * x / b4)
        + b6 * np.sin(2 * np.pi * x / b4)
        + b8 * np.cos(2 * np.pi * x / b7)
        + b9 * np.sin(2 * np.pi * x / b7)
    ),
    "MGH09": lambda x, b1, b2, b3, b4: b1 * (x**2 + x * b2) / (x**2 + x * b3 + b4),
    "Thurber": lambda x, b1, b2, b3, b4, b5, b6, b7: (
        (b1 + b2 * x + b3 * x**2 + b4 * x**3) / (1 + b5 * x + b6 * x**2 + b7 * x**3)
    ),
    "BoxBOD": lambda x, b1, b2: b1 * (1 - np.exp(-b2 * x)),
    "Rat42": lambda x, b1, b2, b3: b1 / (1 + np.exp(b2 - b3 * x)),
    "Rat43": lambda x, b1, b2, b3, b4: b1 / (1 + np.exp(b2 - b3 * x)) ** (1 / b4),
    "Eckerle4": lambda x, b1, b2, b3: (b1 / b2) * np.exp(-0.5 * ((x - b3) / b2) ** 2),
    "MGH10": lambda x, b1, b2, b3: b1 * np.exp(b2 / (x + b3)),
    "Bennett5": lambda x, b1, b2, b3: b1 * (b2 + x) ** (-1 / b3),
}


@dataclass(frozen=True)
class Problem:
    """One file of NIST: rows, two starts, certified parameters and residual sum of squares."""

    name: str
    frame: pl.DataFrame
    starts: np.ndarray[Any, Any]
    certified: np.ndarray[Any, Any]
    rss: float


def read(path: Path) -> Problem:
    """Parse a ``.dat`` file by the line numbers in its header."""
    lines = path.read_text(encoding="latin-1").splitlines()
    text = "\n".join(lines)
    values = [
        [float(part) for part in match.groups()]
        for match in re.finditer(r"^\s*b\d+ =\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*$", text, re.MULTILINE)
    ]
    rss = float(re.search(r"Residual Sum of Squares:\s+(\S+)", text)[1])  # type: ignore[index]
    first, last = map(int, re.search(r"^\s+Data\s+\(lines (\d+) to (\d+)\)", text, re.MULTILINE).groups())  # type: ignore[union-attr]
    rows = np.array([[float(part) for part in line.split()] for line in lines[first - 1 : last]])
    names = ["y", "x"] if rows.shape[1] == 2 else ["y", "x1", "x2"]
    frame = pl.DataFrame(rows, schema=names)
    if path.stem == "Nelson":  # the model is of log y
        frame = frame.with_columns(pl.col("y").log())
    table = np.array(values)
    return Problem(path.stem, frame, table[:, :2].T, table[:, 2], rss)


def as_law(problem: Problem, start: int | None) -> sdb.Law:
    """State a problem as a law; its only start is NIST's, or none is given."""
    formula = FORMULAS[problem.name]
    inputs = problem.frame.columns[1:]
    params = [f"b{i}" for i in range(1, problem.certified.size + 1)]
    # a function whose arguments are named as the law's
    source = f"lambda {', '.join(inputs)}, *, {', '.join(params)}: formula({', '.join([*inputs, *params])})"
    spans = {}
    for name, pair in zip(params, problem.starts.T, strict=True):
        low, high = sorted(pair)
        reach = max(abs(low), abs(high))
        spans[name] = sdb.real(start=(low - reach, high + reach))
    return sdb.law(
        f"nist_{problem.name.lower()}",
        cite="NIST StRD",
        inputs=inputs,
        output="y",
        params=spans,
        domain=dict.fromkeys(inputs, (-np.inf, np.inf)),
        starts=None if start is None else lambda *rows: problem.starts[[start]],
    )(eval(source, {"formula": formula}))


def digits(found: np.ndarray[Any, Any], certified: np.ndarray[Any, Any]) -> float:
    """Significant digits to which all parameters agree (NIST's log relative error), at most 11."""
    with np.errstate(divide="ignore"):
        return float(np.clip(-np.log10(np.abs(found - certified) / np.abs(certified)).max(), 0, 11))


def solve(problem: Problem, start: int | None) -> tuple[sdb.Fit, float]:
    """Fit from one start (or from the search) and count digits."""
    law = as_law(problem, start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sdb.FitWarning)
        fit = sdb.fit(problem.frame, law, objective="mse")
    found = np.array(list(fit.params.values()))
    if problem.name.startswith("Gauss"):  # widths enter squared; the two peaks may change places
        found[[4, 7]] = np.abs(found[[4, 7]])
    if problem.name == "Eckerle4":
        found[:2] *= np.sign(found[1])
    return fit, max(digits(each, problem.certified) for each in _twins(problem.name, found))


def _twins(name: str, found: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The same curve under other names: terms of a sum may change places."""
    orders = {
        "Gauss": [list(range(8)), [0, 1, 5, 6, 7, 2, 3, 4]],
        "Lanczos": [[*a, *b, *c] for a, b, c in _orders([(0, 1), (2, 3), (4, 5)])],
        "MGH17": [[0, 1, 2, 3, 4], [0, 2, 1, 4, 3]],
        "ENSO": [list(range(9)), [0, 1, 2, 6, 7, 8, 3, 4, 5]],
    }
    for prefix, options in orders.items():
        if name.startswith(prefix):
            return [found[option] for option in options]
    return [found]


def _orders(parts: list[Any]) -> list[Any]:
    import itertools

    return list(itertools.permutations(parts))


def main(raw: Path) -> None:
    """Print one row per problem."""
    logging.getLogger("scalingdb").setLevel("WARNING")
    print("| problem | rows | parameters | start 1 | start 2 | search | RSS over certified, minus 1 |")
    print("|---|---|---|---|---|---|---|")
    counts = []
    for path in sorted(raw.glob("*.dat")):
        problem = read(path)
        reached, excess = [], 0.0
        for start in (0, 1, None):
            fit, agree = solve(problem, start)
            reached.append(agree)
            excess = fit.objective / problem.rss - 1
        counts.append(reached)
        cells = " | ".join(f"{value:.1f}" for value in reached)
        print(f"| {problem.name} | {problem.frame.height} | {problem.certified.size} | {cells} | {excess:.0e} |")
    table = np.array(counts)
    given = table[:, :2]
    print(f"\nAt least 6 digits from {(given >= 6).sum()} of {given.size} given starts, 9 from {(given >= 9).sum()}; ")
    print(f"the search alone reaches 6 digits on {(table[:, 2] >= 6).sum()} of {table.shape[0]} problems.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, required=True, help="folder with NIST's .dat files")
    main(parser.parse_args().raw)
