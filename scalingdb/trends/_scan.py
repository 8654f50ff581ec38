"""Every task score of a warehouse as series, and the search for trends that nobody reported."""

from __future__ import annotations

from typing import Any, Literal, get_args

import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError
from scalingdb.notices import notice
from scalingdb.trends._classify import labelled
from scalingdb.trends._panel import MIN_SIZES
from scalingdb.warehouse import Warehouse

__all__ = ["Along", "scan", "task_series"]

Along = Literal["size", "training", "compute", "inference"]

NO_SKILL = (
    "pct_stereotype",
    "likelihood_difference",
    "law_coefficient",
    "parameter_count",
    "benchmark_value",
    "contrastive_loss",
    "training_cost",
    "train_loss_sd",
    "chain_match_sd",
    "n_unparsed",
    "n_correct",
    "n_items_lost",
    "n_items_gained",
    "bertscore_n_items_lost",
    "bertscore_n_items_gained",
    "logodds_difference",
    "total_log_likelihood",
    "option_mass",
    "inference_flops",
    "tokens_used",
)
"""Metrics that are counts, costs, spreads, or have no better end."""

HARMFUL = ("worsens", "u_shaped", "inverted_u")

TASK_LOSSES = ("answer_loss", "answer_bits_per_byte")

KEYS = ["source_id", "study", "family", "is_instruct", "task", "metric", "n_shots", "split"]

MAX_CHECKPOINTS = 12
"""Checkpoints kept of one run, evenly along log tokens: neighbours share most of their training and their noise."""

_ROWS = """
    select e.source_id, r.study, r.family, r.is_instruct, e.eval_set as task, e.metric, e.n_shots, e.split, e.unit,
           e.run_id, e.step, coalesce(e.n_tokens, r.n_tokens) as n_tokens, r.n_samples_seen,
           e.value, e.n_items, e.std_error, e.chance_level, r.train_flops,
           case s.n_definition
               when 'n_params_non_embedding' then r.n_params_non_embedding
               when 'n_params_with_head' then r.n_params_with_head
               when 'n_params_active' then r.n_params_active
               else r.n_params
           end as n
    from evals e
    join runs r using (run_id)
    join sources s on s.source_id = e.source_id
    join metrics m on m.metric = e.metric
    where e.flag is null and (m.kind = 'score' or list_contains($losses, e.metric))
      and not list_contains($without, e.metric)
"""
_LAST = """
    select * from ({rows})
    qualify row_number() over (
        partition by run_id, task, metric, n_shots, split order by step desc nulls last
    ) = 1
"""


def task_series(db: Warehouse, along: Along = "size") -> pl.DataFrame:
    """Every task score of the warehouse, as series of at least four points along one kind of scaling.

    Parameters
    ----------
    db : Warehouse
    along : {"size", "training", "compute", "inference"}
        ``"size"``: last checkpoints of a family, over model size; where a family has several runs of one size,
        those with equal tokens per parameter (or samples seen) form a series. ``"training"``: one run over
        its checkpoints, thinned to twelve. ``"compute"``: all models of a study over training FLOP, means
        where several coincide. ``"inference"``: one model over the tokens that it spends on an answer.

    Returns
    -------
    DataFrame
        ``series`` (its name), the keys, ``x, value, unit, n_items, std_error, chance_level``. Flagged rows, metrics
        without a better end, and rows without the quantity are left out; a notice counts the latter.
    """
    if along not in get_args(Along):
        raise DataError(f"along={along!r} is unknown", f"one of {', '.join(get_args(Along))}.")
    if along == "inference":
        rows, keys = _inference(db), [*KEYS]
    else:
        query = _ROWS if along == "training" else _LAST.format(rows=_ROWS)
        rows = db.sql(query, losses=list(TASK_LOSSES), without=list(NO_SKILL))
        keys = [name for name in KEYS if along != "compute" or name != "family"]
        x = {
            "size": pl.col("n"),
            "training": pl.coalesce("n_tokens", "step"),
            "compute": pl.coalesce("train_flops", 6 * pl.col("n") * pl.col("n_tokens")),
        }[along]
        rows = rows.with_columns(x=x)
        if along == "training":
            keys = [*keys, "run_id"]
            rows = rows.filter(pl.col("step").is_not_null())
    usable = rows.filter((pl.col("x") > 0) & pl.col("value").is_finite())
    if usable.height < rows.height:
        notice(f"{rows.height - usable.height:,} of {rows.height:,} scores have no {along} and are left out")
    if along == "size":
        usable, keys = _untie(usable, keys)
    elif along == "training":
        usable = _thin(usable, keys)
    usable = usable.with_columns(n_sizes=pl.col("x").n_unique().over(keys)).filter(pl.col("n_sizes") >= MIN_SIZES)
    # a constant series has no trend; sloppily kept placeholders would only lengthen the family of tests
    usable = usable.filter(pl.col("value").n_unique().over(keys) > 1)
    name = pl.concat_str([pl.col(key).cast(pl.String) for key in keys], separator=" | ", ignore_nulls=True)
    return usable.with_columns(series=name).select(
        "series", *keys, "x", "value", "unit", "n_items", "std_error", "chance_level"
    )


def _inference(db: Warehouse) -> pl.DataFrame:
    """Scores against the tokens that the model used for them."""
    query = """
        select a.source_id, r.study, r.family, r.is_instruct, split_part(a.eval_set, ':', 1) as task, a.metric,
               a.n_shots, a.split, a.unit, a.value, a.n_items, a.std_error, a.chance_level, t.value as x
        from evals a
        join evals t on t.run_id = a.run_id and t.eval_set = a.eval_set and t.metric = 'tokens_used'
            and t.split = a.split and t.n_shots is not distinct from a.n_shots
        join runs r on r.run_id = a.run_id
        where a.flag is null and a.metric <> 'tokens_used' and not list_contains($without, a.metric)
    """
    return db.sql(query, without=list(NO_SKILL))


def _untie(rows: pl.DataFrame, keys: list[str]) -> tuple[pl.DataFrame, list[str]]:
    """Series with one run per size: several runs of one size are separated by how long they were trained."""

    def tied(keys: list[str]) -> pl.Expr:
        return pl.len().over(keys) > pl.col("x").n_unique().over(keys)

    ratio = pl.format("D/N={}", (pl.col("n_tokens") / pl.col("x")).round_sig_figs(2))
    samples = pl.format("samples={}", pl.col("n_samples_seen").round_sig_figs(2))
    rows = rows.with_columns(
        held_constant=pl.when(tied(keys)).then(pl.coalesce(ratio, samples)).otherwise(pl.lit(None, pl.String))
    )
    keys = [*keys, "held_constant"]
    left = rows.filter(tied(keys))
    if left.height:
        shown = ", ".join(left["source_id"].unique().sort())
        notice(f"{left.height:,} scores left out: several runs of one size that nothing distinguishes ({shown})")
    return rows.filter(~tied(keys)), keys


def _thin(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Last checkpoint of each of `MAX_CHECKPOINTS` equal parts of the range of log x."""
    logs = pl.col("x").log()
    low, high = logs.min().over(keys), logs.max().over(keys)
    part = ((logs - low) / (high - low) * MAX_CHECKPOINTS).floor().clip(0, MAX_CHECKPOINTS - 1)
    return (
        rows.with_columns(part=pl.when(high > low).then(part).otherwise(0))
        .sort("x", "value", "n_items", "std_error")
        .unique([*keys, "part"], keep="last", maintain_order=True)
    )


def scan(db: Warehouse, along: Along = "size", *, bootstrap: int = 200, **options: Any) -> pl.DataFrame:
    """Classify every task score of the warehouse, and rank what gets worse or turns.

    Series that several sources repeat are tested once (``also_in`` names the others), so that the correction
    for multiplicity counts each measurement once.

    Parameters
    ----------
    db : Warehouse
    along : {"size", "training", "compute", "inference"}
        See :func:`task_series`.
    bootstrap : int
        As for :func:`classify`, for series that get worse or turn; `probability` of the others is null.
    **options
        ``dispersion, margin, level, multiplicity, rng`` of :func:`classify`. The noise is pooled within a source
        unless told otherwise, since most series are short.

    Returns
    -------
    DataFrame
        As from :func:`classify`, with ``also_in``: worsening and turning series first, by adjusted p and effect.
    """
    table = task_series(db, along)
    if table.is_empty():
        raise DataError(f"the warehouse has no series along {along!r}")
    keys = table.columns[1 : table.columns.index("x")]
    prints = (
        table.sort("series", "x")
        .group_by("series", maintain_order=True)
        .agg(
            pl.col("source_id").first(),
            fingerprint=pl.concat_str(
                pl.col("task").first(),
                pl.col("metric").first(),
                pl.col("value").round(6).implode().list.eval(pl.element().cast(pl.String)).list.join(",").first(),
            ),
        )
    )
    first = prints.group_by("fingerprint", maintain_order=True).agg(
        pl.col("series").first(), also_in=pl.col("source_id").slice(1).unique().sort().str.join(", ")
    )
    once = table.join(first.select("series"), on="series", how="semi")
    settings: dict[str, Any] = {
        "dispersion": "pooled",
        "margin": 0.05,
        "level": DEFAULT_LEVEL,
        "multiplicity": "fdr_bh",
        "rng": 0,
    }
    reading: dict[str, Any] = dict.fromkeys(("higher_is_better", "scale", "chance", "n_items")) | {
        "alike": ["source_id"],
        "ties": "refuse" if along == "size" else "mean",
    }
    if unknown := [name for name in options if name not in settings]:
        raise DataError(f"scan() takes no option {unknown[0]!r}", f"one of {', '.join(settings)}, bootstrap.")
    result = labelled(
        once.drop(name for name in keys if name not in ("source_id", "metric", "task", "n_shots", "split")),
        "x",
        "value",
        ["series"],
        reading=reading,
        bootstrap=bootstrap,
        only=HARMFUL,
        **(settings | options),
    )
    about = table.select("series", *(name for name in keys if name != "metric")).unique("series", maintain_order=True)
    rank = pl.col("label").replace_strict(
        {"worsens": 0, "u_shaped": 1, "inverted_u": 1, "inconclusive": 2, "flat": 3, "improves": 4},
        return_dtype=pl.Int64,
    )
    return (
        result.join(about, on="series", maintain_order="left")
        .join(first.select("series", "also_in"), on="series", maintain_order="left")
        .with_columns(also_in=pl.when(pl.col("also_in") != "").then("also_in"))
        .sort(rank, "p_adjusted", "effect", nulls_last=True)
        .select(*keys, pl.exclude("series", *keys), "series")
    )
