"""The same fits and the same queries under other versions of Python and of the dependencies.

    uv venv --python 3.13 ../py313 && uv pip install --python ../py313 -e .
    uv venv --python 3.11 ../low && uv pip install --python ../low --resolution lowest-direct -e .
    .venv/bin/python benchmarks/reliability/versions.py ../py313 ../low

Fits: laws, sources and objectives; what must agree is the objective to 1e-9, and the parameters where the data fix them.
Queries: every table and view, summed up by column, every macro of a law at one point, and a handful written by hand.
The first column is this Python.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

SAME = 1e-9

FITS: list[tuple[str, str, dict[str, Any]]] = [
    *(
        (source, "chinchilla", {})
        for source in ("epoch_chinchilla", "gadre_overtraining", "farseer", "porian_discrepancies")
    ),
    *((source, "kaplan_lnd", {}) for source in ("epoch_chinchilla", "gadre_overtraining", "farseer", "steplaw")),
    *((source, "farseer", {}) for source in ("farseer", "epoch_chinchilla")),
    *((source, "chinchilla_coupled", {}) for source in ("epoch_chinchilla", "steplaw")),
    *(("epoch_chinchilla", "chinchilla", {"objective": o}) for o in ("mse_log", "mae_log", "huber", "mse", "mae")),
    *(("farseer", "chinchilla", {"objective": o}) for o in ("mse_log", "mse", "huber")),
    ("epoch_chinchilla", "chinchilla", {"fixed": {"E": 1.69}}),
    ("epoch_chinchilla", "chinchilla", {"tied": {"beta": "alpha"}}),
    ("epoch_chinchilla", "chinchilla", {"bounds": {"alpha": (0.0, 0.2)}}),
    ("epoch_chinchilla", "chinchilla", {"priors": {"E": (1.7, 0.1)}}),
    ("gadre_overtraining", "gadre_overtrain", {}),
    ("gadre_overtraining", "gadre_overtrain", {"objective": "mse_log"}),
    ("epoch_chinchilla", "kaplan_ln", {}),
    ("farseer", "kaplan_ln", {}),
    ("steplaw", "chinchilla", {}),
    ("porian_discrepancies", "chinchilla", {"objective": "mse_log"}),
]

QUERIES = [
    "select source_id, count(*) n, min(loss) low, max(loss) high from points group by all order by all",
    "select family, median(n_params) m, quantile_cont(n_tokens, 0.9) q from runs group by all order by family nulls first",
    "select metric, unit, count(*) n, avg(value) v, stddev(value) s from last_losses group by all order by all",
    "select source_id, law, variant, param, value from published_fits order by all limit 500",
    "select r.source_id, corr(ln(r.n_params), ln(p.loss)) c from runs r join points p using (run_id) where r.n_params > 0 "
    "and p.loss > 0 group by all having count(*) > 10 order by 1",
    "with ranked as (select source_id, run_id, loss, row_number() over (partition by source_id order by loss, run_id) k "
    "from points) select * from ranked where k <= 3 order by all",
    "select run_id, loss - law_chinchilla_epoch(n_params, n_tokens) d from points where source_id = 'epoch_chinchilla' order by all",
    "select source_id, count(*) n, regr_slope(ln(loss), ln(n_tokens)) b from curves where loss > 0 and n_tokens > 0 group by all order by 1",
]


def plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | None) else str(value)


def collect() -> dict[str, Any]:
    """What this Python answers."""
    from importlib.metadata import version

    import scalingdb as sdb

    warnings.simplefilter("ignore")
    names = ("duckdb", "polars", "numpy", "scipy", "pyarrow", "sympy")
    told = {"python": sys.version.split()[0], **{name: version(name) for name in names}}
    fits, queries = {}, {}
    with sdb.connect() as db:
        points = {source: db.points(source) for source in {source for source, _, _ in FITS}}
        for source, law, options in FITS:
            fit = sdb.fit(points[source], law, **options)
            fits[f"{source} {law} {options or ''}"] = {
                "objective": fit.objective,
                "params": dict(fit.params) if fit.verdict.kind == "identified" else {},
                "verdict": fit.verdict.kind,
            }
        for name in db.tables():
            columns = db.sql(f"describe {name}").rows()
            numbers = [c for c, kind, *_ in columns if kind.split("(")[0] in NUMERIC]
            texts = [c for c, *_ in columns if c not in numbers]
            parts = [f"{how}({c})" for c in numbers for how in ("count", "fsum", "min", "max")]
            parts += [f"{how}({c}::varchar)" for c in texts for how in ("count", "min", "max")]
            listed = ", ".join(f"{part} as c{i}" for i, part in enumerate(parts))
            queries[f"summary of {name}"] = rows(db, f"select count(*) as n, {listed} from {name}")
        db.sql("select law_chinchilla(1e9, 1e10)")
        macros = db.sql(
            "select function_name, parameters from duckdb_functions() where function_type = 'macro' and not internal "
            "order by all"
        ).rows()
        for name, params in macros:
            values = ", ".join(f"{10.0 ** (9 - i):g}" if i < 3 else "0.3" for i in range(len(params)))
            queries[f"macro {name}"] = rows(db, f"select {name}({values}) as v")
        queries |= {query: rows(db, query) for query in QUERIES}
    return {"told": told, "fits": fits, "queries": queries}


NUMERIC = {
    "DOUBLE",
    "FLOAT",
    "BIGINT",
    "INTEGER",
    "UBIGINT",
    "UINTEGER",
    "SMALLINT",
    "USMALLINT",
    "TINYINT",
    "UTINYINT",
}


def rows(db: Any, query: str) -> Any:
    try:
        return [[plain(value) for value in row] for row in db.sql(query).rows()]
    except ValueError as error:  # a macro may be asked outside its domain: the same everywhere
        return str(error).partition("\n")[0].partition(":")[0]


def differences(ours: Any, theirs: Any) -> float:
    """Largest relative difference of two answers; infinite where they differ in more than numbers."""
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return max((differences(a, b) for a, b in zip(ours, theirs, strict=True)), default=0.0)
    if isinstance(ours, dict) and isinstance(theirs, dict) and set(ours) == set(theirs):
        return max((differences(ours[key], theirs[key]) for key in ours), default=0.0)
    if isinstance(ours, float | int) and isinstance(theirs, float | int) and not isinstance(ours, bool):
        if ours == theirs or (math.isnan(ours) and math.isnan(theirs)):
            return 0.0
        return (
            abs(ours - theirs) / max(abs(ours), abs(theirs))
            if math.isfinite(ours) and math.isfinite(theirs)
            else math.inf
        )
    return 0.0 if ours == theirs else math.inf


def main(folders: list[str]) -> None:
    pythons = [sys.executable, *(str(Path(folder) / "bin" / "python") for folder in folders)]
    found = []
    for python in pythons:
        done = subprocess.run([python, __file__, "--collect"], check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout))
    print(
        "| versions | fits | largest difference of an objective | of a parameter | other verdicts | queries | that differ |"
    )
    print("|---|---|---|---|---|---|---|")
    first = found[0]
    for one in found:
        pairs = [(first["fits"][name], one["fits"][name]) for name in first["fits"]]
        by_query = {q: differences(first["queries"][q], one["queries"].get(q)) for q in first["queries"]}
        unlike = [q for q, d in by_query.items() if d > SAME] + [q for q in one["queries"] if q not in first["queries"]]
        print(
            f"| {' '.join(f'{k} {v}' for k, v in one['told'].items())} | {len(pairs)} "
            f"| {max(differences(a['objective'], b['objective']) for a, b in pairs):.1e} "
            f"| {max(differences(a['params'], b['params']) for a, b in pairs):.1e} "
            f"| {sum(a['verdict'] != b['verdict'] for a, b in pairs)} | {len(by_query)} | {len(unlike)} |",
            flush=True,
        )
        for name, pair in zip(first["fits"], pairs, strict=True):
            if differences(*pair) > SAME:
                print(f"  {name}: {pair}", file=sys.stderr)
        for query in unlike:
            print(f"  {query[:200]}: {by_query.get(query)}", file=sys.stderr)


if __name__ == "__main__":
    if sys.argv[1:] == ["--collect"]:
        json.dump(collect(), sys.stdout)
    else:
        main(sys.argv[1:])
