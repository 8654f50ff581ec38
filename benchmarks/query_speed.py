"""Time five query shapes on a generated table of checkpoint scores, and every view of the real warehouse.

    uv run --with pandas python benchmarks/query_speed.py
    uv run --with pandas python benchmarks/query_speed.py --rows 20000 --repeats 3

The table lies in a temporary folder twice: as Parquet in the layout of the warehouse (sorted,
zstd, row groups of 250,000) for DuckDB through `scalingdb.connect`, and as a flat CSV for pandas,
which reads it once; only queries on the loaded frame are timed. Both are warm: one run of each
query goes before, and their results must agree. Times are medians and belong to the machine at
hand; compare the ratios.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

import scalingdb as sdb
from scalingdb.schema import polars_schema

pd: Any = importlib.import_module("pandas") if importlib.util.find_spec("pandas") else None
"""The peer: not a dependency of the project, so that it may be absent."""

TASKS, STEPS, MODELS_IN_FAMILY = 40, 100, 25
ROW_GROUP = 250_000

ONE_SOURCE = {
    "curves": "farseer",
    "points": "farseer",
    "points_unique": "farseer",
    "scores": "obs_scaling",
    "scores_unique": "obs_scaling",
}
"""Views of the real warehouse, and a source of middling size for each."""
VIEWS = tuple(ONE_SOURCE)

MIN_RATIO = {"group": 4.0, "filter_join_group": 4.0, "window": 10.0, "arg_max": 4.0, "point": 10.0}
"""How many times faster than pandas each shape has to be on 10 million rows."""


@dataclass(frozen=True)
class Shape:
    """One question, in SQL and in pandas."""

    name: str
    sql: str
    pandas: Callable[[Any, Any], Any]


def generate(rows: int, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Scores (one row per model, task and step) and the runs that they belong to, sorted as built tables are."""
    rng = np.random.default_rng(seed)
    n_models = max(1, -(-rows // (TASKS * STEPS)))
    index = np.arange(rows)
    model, task, step = index // (TASKS * STEPS), index // STEPS % TASKS, index % STEPS
    size = 10.0 ** rng.uniform(7, 11, n_models)
    skill = np.log10(size)[model] / 15 + np.log1p(step) / 20 + rng.normal(0, 0.02, rows)
    run_id = np.array([f"bench/family-{m // MODELS_IN_FAMILY:03d}/model-{m:05d}" for m in range(n_models)])
    runs = pl.DataFrame(
        {
            "run_id": run_id,
            "source_id": "bench",
            "study": "bench",
            "family": [f"family-{m // MODELS_IN_FAMILY:03d}" for m in range(n_models)],
            "n_params": size,
        }
    )
    scores = pl.DataFrame(
        {
            "run_id": run_id[model],
            "source_id": pl.repeat("bench", rows, eager=True),
            "step": (step + 1.0) * 1000,
            "n_tokens": (step + 1.0) * 2.097152e9,
            "metric": pl.repeat("acc", rows, eager=True),
            "eval_set": np.array([f"task-{t:02d}" for t in range(TASKS)])[task],
            "split": pl.repeat("all", rows, eager=True),
            "value": np.clip(skill, 0, 1),
            "unit": pl.repeat("fraction", rows, eager=True),
            "value_origin": pl.repeat("reported", rows, eager=True),
            "raw_file": pl.repeat("scores.csv", rows, eager=True),
        }
    )
    return scores.sort("run_id", "eval_set", "step"), runs.sort("run_id")


def write_warehouse(folder: Path, scores: pl.DataFrame, runs: pl.DataFrame) -> None:
    """The tables as `scalingdb build` lays them out."""
    for table, frame in {"evals": scores, "runs": runs}.items():
        missing = [pl.lit(None, dtype).alias(k) for k, dtype in polars_schema(table).items() if k not in frame.columns]
        target = folder / "tables" / table / "bench.parquet"
        target.parent.mkdir(parents=True)
        frame.with_columns(missing).select(list(polars_schema(table))).write_parquet(
            target, compression="zstd", row_group_size=ROW_GROUP
        )


def shapes(run_id: str, largest_task: str) -> list[Shape]:
    """The five shapes: aggregate, filter with join, last checkpoint in two ways, one series."""
    keys = ["run_id", "eval_set"]
    return [
        Shape(
            "group",
            "select family, eval_set, sum(total) / sum(n) as value from ("
            "select run_id, eval_set, sum(value) as total, count(*) as n from evals group by all"
            ") join runs using (run_id) group by all",
            lambda e, _: e.groupby(["family", "eval_set"], as_index=False)["value"].mean(),
        ),
        Shape(
            "filter_join_group",
            "select r.family, max(e.value) as value from evals e join runs r using (run_id) "
            f"where r.n_params > 1e9 and e.eval_set < '{largest_task}' and e.step >= 50000 group by all",
            lambda e, r: (
                e[(e["eval_set"] < largest_task) & (e["step"] >= 50_000)]
                .merge(r[r["n_params"] > 1e9][["run_id", "n_params"]], on="run_id")
                .groupby("family", as_index=False)["value"]
                .max()
            ),
        ),
        Shape(
            "window",
            "select run_id, eval_set, value from evals "
            "qualify row_number() over (partition by run_id, eval_set order by step desc) = 1",
            lambda e, _: e[e.groupby(keys)["step"].rank(method="first", ascending=False) == 1][[*keys, "value"]],
        ),
        Shape(
            "arg_max",
            "select run_id, eval_set, arg_max(value, step) as value from evals group by all",
            lambda e, _: e.loc[e.groupby(keys)["step"].idxmax(), [*keys, "value"]],
        ),
        Shape(
            "point",
            f"select step, value from evals where run_id = '{run_id}' and eval_set = 'task-00' order by step",
            lambda e, _: e[(e["run_id"] == run_id) & (e["eval_set"] == "task-00")][["step", "value"]],
        ),
    ]


def seconds(*works: Callable[[], object], repeats: int) -> list[float]:
    """Median of several timings of each, taken in turns, so that a busy moment meets all alike; one goes before."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(repeats + 1):
        for work, taken in zip(works, times, strict=True):
            begun = time.perf_counter()
            work()
            taken.append(time.perf_counter() - begun)
    return [statistics.median(taken[1:]) for taken in times]


def compare_shapes(rows: int, seed: int, repeats: int) -> pl.DataFrame:
    """Seconds of every shape in both, and pandas over DuckDB.

    Raises
    ------
    AssertionError
        If the two disagree about an answer.
    """
    scores, runs = generate(rows, seed)
    middle = runs["run_id"][runs.height // 2]
    found = []
    with tempfile.TemporaryDirectory(prefix="scalingdb-benchmark-") as name:
        folder = Path(name)
        write_warehouse(folder, scores, runs)
        # a table kept as CSV is flat: the family stands on every row, and pandas need not join for it
        flat = scores.drop("source_id", "raw_file").join(runs.select("run_id", "family"), on="run_id", how="left")
        flat.write_csv(folder / "evals.csv")
        del flat
        runs.write_csv(folder / "runs.csv")
        size = {
            kind: sum(file.stat().st_size for file in folder.rglob(f"*.{kind}")) / 1e6 for kind in ("parquet", "csv")
        }
        n_rows = scores.height
        del scores
        print(f"{n_rows:,} rows: Parquet {size['parquet']:,.0f} MB, CSV {size['csv']:,.0f} MB")
        evals, models = pd.read_csv(folder / "evals.csv"), pd.read_csv(folder / "runs.csv")
        with sdb.connect(folder) as db:
            for shape in shapes(middle, "task-10"):
                ours = db.sql(shape.sql)
                theirs = shape.pandas(evals, models)
                assert ours.height == len(theirs), shape.name
                total = float(theirs["value"].sum())
                assert abs(float(ours["value"].sum()) - total) <= 1e-9 * abs(total), shape.name
                duck, peer = seconds(partial(db.sql, shape.sql), partial(shape.pandas, evals, models), repeats=repeats)
                found.append(
                    {
                        "query": shape.name,
                        "rows": ours.height,
                        "duckdb_s": duck,
                        "pandas_s": peer,
                        "ratio": peer / duck,
                        "wanted": MIN_RATIO[shape.name],
                    }
                )
    return pl.DataFrame(found)


def time_views(repeats: int) -> pl.DataFrame:
    """Seconds that each view of the real warehouse takes, warm.

    A row is a view and a question: a count by source over all rows; every column of one source, or of the
    one with most rows. `query_s` is DuckDB's part (every value is read and counted), `with_transfer_s`
    hands the rows over as a Polars frame too, which for 200,000 rows of 45 columns costs more than the query.
    """
    found = []
    with sdb.connect() as db:
        for view in VIEWS:
            rows = dict(db.sql(f"select source_id, count(*) as n from {view} group by all order by n desc, 1").rows())
            (whole,) = seconds(
                partial(db.sql, f"select source_id, count(*) as n from {view} group by all"), repeats=repeats
            )
            found.append((view, "count by source", sum(rows.values()), whole, None))
            largest = next(iter(rows))
            for source in (ONE_SOURCE[view], largest):
                where = f"from {view} where source_id = '{source}'"
                query, transfer = seconds(
                    partial(db.sql, f"select count(columns(*)) {where}"),
                    partial(db.sql, f"select * {where}"),
                    repeats=repeats,
                )
                found.append((view, source, rows[source], query, transfer))
    return pl.DataFrame(found, schema=["view", "question", "rows", "query_s", "with_transfer_s"], orient="row")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print both tables; exit code 1 where a ratio misses what is wanted of 10 million rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the generated table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=5, help="timings per query, of which the median counts")
    options = parser.parse_args(arguments)
    if min(options.rows, options.repeats) < 1:
        parser.error("--rows and --repeats must be positive")
    pl.Config.set_tbl_hide_column_data_types(True).set_tbl_hide_dataframe_shape(True).set_float_precision(3)
    pl.Config.set_tbl_rows(20).set_tbl_cols(10).set_tbl_width_chars(120)
    print(f"duckdb {duckdb.__version__}, polars {pl.__version__}, scalingdb {metadata.version('scalingdb')}", end="")
    print(f", pandas {pd.__version__}" if pd is not None else "")
    is_slow = False
    if pd is None:
        print("pandas is not installed: the comparison is left out. Run it with 'uv run --with pandas python ...'.")
    else:
        table = compare_shapes(options.rows, options.seed, options.repeats)
        print(table)
        is_slow = options.rows >= 10_000_000 and bool((table["ratio"] < table["wanted"]).any())
    print("views of the shipped warehouse, seconds")
    print(time_views(options.repeats))
    return int(is_slow)


if __name__ == "__main__":
    sys.exit(main())
