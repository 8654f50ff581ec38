"""Mutate files of every shape that ``read_runs`` knows, and count what became of them.

    uv run python benchmarks/reliability/own_files.py 200

A mutation empties or garbles a cell, changes separators or units, renames or reorders columns, doubles a row, cuts a
JSON file or replaces one of its values. Then a file is read, refused with the place named, or, which must not be, read
with other numbers than before or left to an exception that is not ours. The last line times a history of 100,000 rows.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import scalingdb as sdb
from scalingdb.errors import ScalingDBError
from tests import test_reading as mutations
from tests._own_files import EVALUATIONS, TABLES

OUTCOMES = ("read", "refused", "silently different", "foreign exception")


def outcomes(shape: str, count: int) -> Counter[str]:
    """What became of `count` mutations of one shape."""
    make, options = (TABLES | EVALUATIONS)[shape]
    check = mutations.mutation_of_json if shape in mutations.RESULT_SHAPES else mutations.mutation_of_table
    counted: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        one = check(make, options, Path(folder))
        for seed in range(count):
            outcome, detail = _outcome(one, seed)
            counted[outcome] += 1
            if outcome in OUTCOMES[2:]:
                print(f"  {shape}, seed {seed}: {outcome}: {detail}", file=sys.stderr)
    return counted


def _outcome(one: Callable[[int], None], seed: int) -> tuple[str, str]:
    try:
        one(seed)
    except ScalingDBError:
        return "refused", ""
    except AssertionError as error:
        return "silently different", str(error)[:200]
    except Exception as error:  # that there is none of these is what is measured
        return "foreign exception", f"{type(error).__name__}: {error}"[:200]
    return "read", ""


def seconds_for_a_history(rows: int = 100_000, runs: int = 20) -> tuple[float, int]:
    """Time to read a CSV of so many rows and reduce it to last values, best of three, and rows that are left."""
    lines = [
        f"run-{run},{step},{step * 5e5:.0f},{4.0 + run / 50 + 2.0 / (1 + step):.5f},{4.1 + run / 50 + 2.0 / (1 + step):.5f}"
        for run in range(runs)
        for step in range(rows // runs)
    ]
    best, height = float("inf"), 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "history.csv"
        file.write_text("run,step,tokens,train/loss,val/loss\n" + "\n".join(lines), encoding="utf-8")
        for _ in range(3):
            start = time.perf_counter()
            height = sdb.read_runs(file, unit="nats_per_token").height
            best = min(best, time.perf_counter() - start)
    return best, height


def main(arguments: list[Any]) -> None:
    logging.getLogger("scalingdb").setLevel("ERROR")
    count = int(arguments[0]) if arguments else 200
    print(f"{count} mutations of each shape")
    print(f"{'shape':<18}" + "".join(f"{name:>20}" for name in OUTCOMES))
    for shape in (*mutations.TABLE_SHAPES, *mutations.RESULT_SHAPES):
        counted = outcomes(shape, count)
        print(f"{shape:<18}" + "".join(f"{counted[name]:>20}" for name in OUTCOMES))
    taken, height = seconds_for_a_history()
    print(f"history of 100,000 rows: {taken:.2f} s to {height} last values (best of 3)")


if __name__ == "__main__":
    main(sys.argv[1:])
