"""Train on the small runs, predict the large ones: `sdb.discover` against laws of the library and simpler means.

    python benchmarks/extrapolation.py [--only NAME ...] [--budget 30s] [--competitors-only]
    uv run --with gplearn python benchmarks/extrapolation.py  # with symbolic regression

Every task is a query over the warehouse and a cut that is stated below: rows beyond it are the test, and nothing was
chosen by them. Competitors, all fitted to the same rows:

* ``library``: the law of the library with the smallest error on inner hold-outs, chosen as `discover` chooses;
* ``discover``: `sdb.discover` with the given budget;
* ``spline``: additive cubic regression of the logarithms (SciPy's smoothing splines of one input, else a polynomial of
  the second degree), which extrapolates as it ends;
* ``symbolic``: genetic programming of gplearn, where that is installed;
* ``best``: the best (or last) value of the training rows, for every test row.

R2 is that of the outputs as they are, floored at -1. Coverage is that of 95 % intervals.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

import scalingdb as sdb
from scalingdb.notices import silence

CLIP = """
    select r.n_params, r.n_samples_seen as n_examples, 1 - e.value as error_rate from evals e join runs r using (run_id)
    where e.source_id = 'laion_clip_mammut' and e.metric = 'acc' and r.family = '{}' and e.flag is null
"""
SCORE = """
    select s.n as n_params, s.n_tokens, s.train_flops_6nd as train_flops, s.score from scores s
    where s.source_id = '{source}' and s.flag is null and {where}
"""
SURFACE = "select n as n_params, n_tokens, loss from points where source_id = '{}' and flag is null and {}"


@dataclass(frozen=True)
class Task:
    """A table, what to explain by what, and where the test begins.

    Attributes
    ----------
    cut : (expression, float)
        Rows whose expression (SQL over the query) is above the largest value divided by the number are the test.
    """

    name: str
    query: str
    output: str
    inputs: tuple[str, ...]
    cut: tuple[str, float]
    by: tuple[str, ...] = ()


ND = ("n_params", "n_tokens")
TASKS: tuple[Task, ...] = (
    Task("farseer", SURFACE.format("farseer", "metric = 'bits_per_character'"), "loss", ND, ("n_params * n_tokens", 8)),
    Task("epoch_chinchilla", SURFACE.format("epoch_chinchilla", "true"), "loss", ND, ("n_params * n_tokens", 8)),
    Task(
        "gadre",
        "select n as n_params, n_tokens, family, loss from points where source_id = 'gadre_overtraining' and flag is null "
        "and study = 'gadre_overtraining' and eval_set = 'c4_val' and metric = 'loss'",
        "loss",
        ND,
        ("n_params * n_tokens", 30),
        ("family",),
    ),
    Task(
        "misfitting_lr",
        "select n as n_params, n_tokens, learning_rate, loss from points where source_id = 'misfitting' and flag is null "
        "and study = 'misfitting' and eval_set = 'c4_val' and learning_rate is not null",
        "loss",
        (*ND, "learning_rate"),
        ("n_params * n_tokens", 4),
    ),
    Task(
        "porian",
        SURFACE.format("porian_discrepancies", "family = 'rw-tuned-short-const-standard' and metric = 'loss'"),
        "loss",
        ND,
        ("n_params * n_tokens", 8),
    ),
    Task(
        "marin",
        "select n as n_params, n_tokens, family, loss from points where source_id = 'open_athena_isoflops' and flag is "
        "null and study = 'marin' and metric = 'loss'",
        "loss",
        ND,
        ("n_params * n_tokens", 4),
        ("family",),
    ),
    Task(
        "gemstones_shape",
        "select p.n_tokens, p.d_model, p.n_layers, p.loss from points p where p.source_id = 'gemstones' "
        "and p.family = 'cooldown' and p.eval_set = 'validation' and p.flag is null",
        "loss",
        ("d_model", "n_layers", "n_tokens"),
        ("d_model * d_model * n_layers * n_tokens", 3),
    ),
    Task(
        "steplaw",
        "select n as n_params, n_tokens, learning_rate, batch_size_tokens, loss from points where source_id = 'steplaw' "
        "and study = 'dense' and metric = 'train_loss_smoothed' and flag is null",
        "loss",
        (*ND, "learning_rate", "batch_size_tokens"),
        ("n_params * n_tokens", 3),
    ),
    Task(
        "steplaw_moe",
        "select n as n_params, n_tokens, learning_rate, batch_size_tokens, loss from points where source_id = 'steplaw' "
        "and study = 'moe' and metric = 'train_loss_smoothed' and flag is null",
        "loss",
        (*ND, "learning_rate", "batch_size_tokens"),
        ("n_tokens", 2),
    ),
    Task(
        "datablations",
        "select n_params, n_tokens, least(n_tokens, n_tokens_unique) as n_tokens_unique, loss from points "
        "where source_id = 'datablations' and flag is null and family = 'c4' and n_epochs <= 60",
        "loss",
        (*ND, "n_tokens_unique"),
        ("n_params * n_tokens", 8),
    ),
    Task(
        "repeated_oscar",
        "select n_params, n_tokens, least(n_tokens, n_tokens_unique) as n_tokens_unique, loss from curves "
        "where source_id = 'hitchhiker' and study = 'datablations_curves' and eval_set = 'oscar' and flag is null "
        "and n_tokens > 2e9 "
        "qualify row_number() over (partition by run_id, floor(5 * log10(n_tokens)) order by n_tokens desc) = 1",
        "loss",
        (*ND, "n_tokens_unique"),
        ("n_params * n_tokens", 3),
    ),
    Task(
        "regmix",
        "with shares as (pivot (select run_id, domain, share from mixtures where source_id = 'regmix') on domain "
        "in ('pile_cc', 'github', 'pubmed_central', 'wikipedia_en', 'arxiv') using sum(share)) "
        "select s.pile_cc as share_cc, s.github as share_github, s.pubmed_central as share_pubmed, "
        "s.wikipedia_en as share_wikipedia, s.arxiv as share_arxiv, p.loss "
        "from points p join shares s using (run_id) where p.source_id = 'regmix' and p.flag is null "
        "and p.eval_set = 'pile_cc' and p.n_params < 2e6",
        "loss",
        ("share_cc", "share_github", "share_pubmed", "share_wikipedia", "share_arxiv"),
        ("share_cc", 2),
    ),
    Task(
        "parscale",
        "select p.n_params_non_embedding as n_params, r.n_streams, p.family, p.loss from points p "
        "join runs r using (run_id) where p.source_id = 'parscale'",
        "loss",
        ("n_params", "n_streams"),
        ("n_params", 2),
        ("family",),
    ),
    Task(
        "routed",
        "select p.n_params_active as n_params, r.n_experts, p.loss from points p join runs r using (run_id) "
        "where p.source_id = 'routed_lm' and p.eval_set = 'validation' and p.family in ('dense', 's-base') "
        "and p.flag is null and r.n_experts_active = 1 and r.routing_frequency = 0.5 and r.flop_increase = 1",
        "loss",
        ("n_params", "n_experts"),
        ("n_params", 3),
    ),
    Task(
        "routed_experts",
        "select p.n_params_active as n_params, r.n_experts, p.loss from points p join runs r using (run_id) "
        "where p.source_id = 'routed_lm' and p.eval_set = 'validation' and p.family in ('dense', 'rl-r') "
        "and p.flag is null and r.n_experts_active = 1 and r.routing_frequency = 0.5 and r.flop_increase = 1",
        "loss",
        ("n_params", "n_experts"),
        ("n_experts", 3),
    ),
    Task(
        "moe_sparsity",
        "select p.n_params_active as n_params, p.n_tokens, r.n_experts, p.loss from points p join runs r using (run_id) "
        "where p.source_id = 'moe_sparsity' and p.flag is null",
        "loss",
        (*ND, "n_experts"),
        ("n_params * n_tokens", 8),
    ),
    Task(
        "vocabulary",
        "select c.n_params_non_embedding as n_params, r.vocab_size, c.n_tokens, c.loss as relative_loss "
        "from curves c join runs r using (run_id) where c.source_id = 'vocab_scaling' and c.flag is null "
        "qualify row_number() over (partition by c.run_id order by c.step desc) % 4 = 1",
        "relative_loss",
        ("n_params", "vocab_size", "n_tokens"),
        ("n_params * n_tokens", 6),
    ),
    Task(
        "distillation",
        "select n_params, n_tokens, r.teacher_loss, p.loss from points p join runs r using (run_id, n_params, n_tokens) "
        "where p.source_id = 'distillation_scaling' and p.flag is null and r.teacher_loss is not null",
        "loss",
        (*ND, "teacher_loss"),
        ("n_params * n_tokens", 16),
    ),
    Task(
        "autoencoders",
        "select r.n_latents, r.n_latents_active, p.loss from points p join runs r using (run_id) "
        "where p.source_id = 'sae_scaling'",
        "loss",
        ("n_latents", "n_latents_active"),
        ("n_latents", 8),
    ),
    Task("clip", CLIP.format("clip"), "error_rate", ("n_params", "n_examples"), ("n_params * n_examples", 8)),
    Task("mammut", CLIP.format("mammut"), "error_rate", ("n_params", "n_examples"), ("n_params * n_examples", 8)),
    Task(
        "addition",
        "select n_examples, loss from points where source_id = 'bnsl' and flag is null",
        "loss",
        ("n_examples",),
        ("n_examples", 1.5),
    ),
    Task(
        "vision_curve",
        "select n_examples, loss as error_rate from curves where source_id = 'hitchhiker' "
        "and study = 'revisiting_vision' and family = 'vision-ViT-S-16' and eval_set = 'cal' and flag is null "
        "qualify row_number() over (partition by floor(20 * log10(n_examples)) order by n_examples desc) = 1",
        "error_rate",
        ("n_examples",),
        ("n_examples", 4),
    ),
    Task(
        "olmo_hellaswag",
        SCORE.format(
            source="olmo_ladder",
            where="s.task = 'hellaswag_val_rc' and s.metric = 'acc_norm' and s.run_id not in "
            "('olmo_ladder/peteish7-medlr', 'olmo_ladder/peteish7') "
            "qualify row_number() over (partition by s.run_id order by s.n_tokens desc) = 1",
        ),
        "score",
        ND,
        ("n_params * n_tokens", 30),
    ),
    Task(
        "gadre_hellaswag",
        SCORE.format(
            source="gadre_overtraining", where="s.task = 'hellaswag' and s.family = 'redpajama' and s.metric = 'acc'"
        ),
        "score",
        ND,
        ("n_params * n_tokens", 30),
    ),
    Task(
        "pythia_lambada",
        SCORE.format(
            source="pythia_evals",
            where="s.family = 'pythia' and s.task = 'lambada_openai' and s.metric = 'acc' and s.n_shots = 0 "
            "and s.step > 1000",
        ),
        "score",
        ND,
        ("n_params * n_tokens", 6),
    ),
    Task(
        "brier",
        "select log10(train_flops_6nd) as log_flops, score as brier from scores where source_id = 'exp_emergence' "
        "and task = 'arithmetic:redist' and metric = 'brier' and flag is null",
        "brier",
        ("log_flops",),
        ("10**log_flops", 10),
    ),
    Task(
        "robots",
        "select r.data_fraction, e.value as task_score from evals e join runs r using (run_id) "
        "where e.source_id = 'robot_data_scaling' and r.data_fraction is not null",
        "task_score",
        ("data_fraction",),
        ("data_fraction", 1.5),
    ),
)


def split(db: sdb.Warehouse, task: Task) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and test rows of a task."""
    expression, factor = task.cut
    rows = db.sql(f"with rows as ({task.query}) select *, ({expression})::double as _along from rows")
    rows = rows.drop_nulls([*task.inputs, task.output, *task.by]).with_columns(
        pl.col(task.output).cast(pl.Float64), *(pl.col(name).cast(pl.Float64) for name in task.inputs)
    )
    limit = float(rows["_along"].max()) / factor  # type: ignore[arg-type]
    kept = [name for name in rows.columns if name != "_along"]
    train, test = (
        rows.filter(pl.col("_along") <= limit * (1 + 1e-9)),
        rows.filter(pl.col("_along") > limit * (1 + 1e-9)),
    )
    return train.select(kept), test.select(kept)


def r2(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the variance explained, floored at -1."""
    if not np.isfinite(predicted).all():
        return -1.0
    total = float(((observed - observed.mean()) ** 2).sum())
    return max(-1.0, 1.0 - float(((observed - predicted) ** 2).sum()) / max(total, 1e-300))


Regressor = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Prediction at columns of new rows (inputs, m), from columns (inputs, n) and an output (n,), in logarithms."""


def regressed(task: Task, train: pl.DataFrame, test: pl.DataFrame, method: Regressor) -> np.ndarray:
    """Predictions of a method that knows no groups, one fit each; logarithms where values are positive."""
    out = np.full(test.height, np.nan)
    keys = train.select(task.by).unique(maintain_order=True).iter_rows() if task.by else [()]
    for key in keys:
        mine, asked = train, np.ones(test.height, dtype=bool)
        for name, value in zip(task.by, key, strict=True):
            mine, asked = mine.filter(pl.col(name) == value), asked & (test[name] == value).to_numpy()
        y = mine[task.output].to_numpy()
        in_logs = bool(y.min() > 0)

        def columns(frame: pl.DataFrame) -> np.ndarray:
            made = []
            for name in task.inputs:
                values = frame[name].to_numpy()
                made.append(np.log(values) if train[name].min() > 0 else values)  # type: ignore[operator]
            return np.array(made)

        value = method(columns(mine), np.log(y) if in_logs else y, columns(test))
        out[asked] = (np.exp(value) if in_logs else value)[asked]
    return out


def spline(here: np.ndarray, target: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A smoothing spline of one input, a ridge polynomial of the second degree of several."""
    from scipy.interpolate import make_smoothing_spline

    if len(here) == 1:
        order = np.argsort(here[0], kind="stable")
        places, first = np.unique(here[0][order], return_inverse=True)
        mean = np.bincount(first, target[order]) / np.bincount(first)
        if places.size < 5:
            return np.interp(there[0], places, mean)
        return np.asarray(make_smoothing_spline(places, mean)(there[0]))
    center, scale = here.mean(1, keepdims=True), here.std(1, keepdims=True) + 1e-12

    def design(columns: np.ndarray) -> np.ndarray:
        a = (columns - center) / scale
        squares = [a[i] * a[j] for i in range(len(a)) for j in range(i, len(a))]
        return np.column_stack([np.ones(a.shape[1]), *a, *squares])

    matrix = design(here)
    beta = np.linalg.solve(matrix.T @ matrix + 1e-3 * np.eye(matrix.shape[1]), matrix.T @ target)
    return np.asarray(design(there) @ beta)


def symbolic(here: np.ndarray, target: np.ndarray, there: np.ndarray) -> np.ndarray:
    """A formula found by gplearn's genetic programming, on standardised columns."""
    from gplearn.genetic import SymbolicRegressor

    center, scale = here.mean(1, keepdims=True), here.std(1, keepdims=True) + 1e-12
    low, spread = target.mean(), target.std() + 1e-12
    model = SymbolicRegressor(
        population_size=1000,
        generations=20,
        function_set=("add", "sub", "mul", "div", "log", "sqrt", "neg"),
        parsimony_coefficient=1e-3,
        random_state=0,
    )
    model.fit(((here - center) / scale).T, (target - low) / spread)
    return np.asarray(low + spread * model.predict(((there - center) / scale).T))


COMPETITORS: dict[str, Regressor] = {"spline": spline}
if importlib.util.find_spec("gplearn") is not None:
    COMPETITORS["symbolic"] = symbolic


def run(db: sdb.Warehouse, task: Task, budget: str, *, competitors_only: bool = False) -> list[dict[str, object]]:
    """One row per competitor."""
    train, test = split(db, task)
    observed = test[task.output].to_numpy()
    rising = np.corrcoef(np.arange(train.height), train.sort(task.inputs[0])[task.output].to_numpy())[0, 1] > 0
    rows: list[dict[str, object]] = []

    def add(name: str, predicted: np.ndarray, seconds: float, law: str, coverage: float | None = None) -> None:
        with np.errstate(all="ignore"):
            error = float(np.median(np.abs(predicted / observed - 1)))
        rows.append(
            {
                "task": task.name,
                "n_train": train.height,
                "n_test": test.height,
                "method": name,
                "r2": r2(observed, predicted),
                "median_error": error,
                "coverage": coverage,
                "seconds": seconds,
                "law": law,
            }
        )

    if not competitors_only:
        began = time.perf_counter()
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            told = sdb.discover(train, task.output, list(task.inputs), by=list(task.by) or None, budget=budget)
        seconds = time.perf_counter() - began
        answer = told.predict(test)
        value = answer["prediction"].to_numpy()
        inside = answer.select(pl.col(task.output).is_between("low", "high").mean()).item()
        summary = told.glance()
        add("discover", value, seconds, f"{summary['law'].item()} x{summary['n_averaged'].item()}", inside)
        best = told.best_of_library()
        if best is not None:
            answer = told.predict(test, rank=best)
            inside = answer.select(pl.col(task.output).is_between("low", "high").mean()).item()
            name = told.table.filter(pl.col("rank") == best)["law"].item()
            add("library", answer["prediction"].to_numpy(), float("nan"), name, inside)
    for name, method in COMPETITORS.items():
        began = time.perf_counter()
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predicted = regressed(task, train, test, method)
        add(name, predicted, time.perf_counter() - began, "")
    y = train[task.output].to_numpy()
    add("best", np.full(test.height, y.max() if rising else y.min()), float("nan"), "")
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--budget", default="30s")
    parser.add_argument("--save")
    parser.add_argument("--competitors-only", action="store_true", help="leave the library and discover out")
    given = parser.parse_args(arguments)
    db = sdb.connect()
    rows: list[dict[str, object]] = []
    for task in TASKS:
        if given.only and task.name not in given.only:
            continue
        try:
            made = run(db, task, given.budget, competitors_only=given.competitors_only)
        except sdb.ScalingDBError as error:
            print(f"{task.name:18s} refused: {str(error).splitlines()[0]}", flush=True)
            continue
        rows += made
        for row in made:
            coverage = "" if row["coverage"] is None else f"{100 * row['coverage']:4.0f} %"  # type: ignore[operator]
            print(
                f"{row['task']:18s}{row['n_train']:5d}{row['n_test']:5d}  {row['method']:9s} R2 {row['r2']:7.3f}  "
                f"median error {100 * row['median_error']:7.2f} %  {coverage:7s}{row['seconds']:6.1f} s  {row['law']}",  # type: ignore[operator]
                flush=True,
            )
    table = pl.DataFrame(rows, infer_schema_length=None)
    if given.save:
        table.write_csv(given.save)
    print_summary(table)


def print_summary(table: pl.DataFrame) -> None:
    """Means over the tasks, and how `discover` compares with the library."""
    print(
        table.group_by("method", maintain_order=True).agg(
            pl.len().alias("tasks"),
            pl.col("r2").mean(),
            pl.col("r2").median().alias("median_r2"),
            pl.col("median_error").median(),
            pl.col("coverage").mean(),
            pl.col("seconds").mean(),
        )
    )
    wide = table.pivot("method", index="task", values="r2")
    if {"discover", "library"} <= set(wide.columns):
        both = wide.drop_nulls(["discover", "library"]).with_columns(gain=pl.col("discover") - pl.col("library"))
        print(
            f"{both.height} tasks with both: discover minus library {both['gain'].mean():+.3f}; worse by more than 0.05 "
            f"in {100 * (both['gain'] < -0.05).mean():.0f} %"  # type: ignore[operator]
        )


if __name__ == "__main__":
    main()
