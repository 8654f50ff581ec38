"""How predictable is a score from compute? One row per family, task and metric.

Everything is computed for all groups at once: the whole warehouse (hundreds of thousands of scores,
tens of thousands of groups) takes seconds.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import (
    BY,
    FloatArray,
    as_frame,
    canonical,
    check_scores,
    compute_column,
    default_keys,
    keys_of,
    label_rows,
    say_mixtures,
)
from scalingdb.downstream.chain import CHAIN
from scalingdb.errors import DataError, check_level, check_seed, unknown_name
from scalingdb.judging.resampling import percentile_interval
from scalingdb.notices import notice
from scalingdb.schema import METRICS

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["ccdf", "chain_cost", "predictability", "scores"]

MIN_MODELS = 3
"""Fewer models than this leave nothing to correlate."""
MIN_FOR_INTERVAL = 5
LAST_CHECKPOINTS = 10
"""Checkpoints at the end of a run whose scatter is taken for noise."""
MEASURES = (
    "n_rows",
    "n_models",
    "n_without_compute",
    "decades",
    *(f"{name}{end}" for name in ("pearson", "spearman", "kendall") for end in ("", "_low", "_high")),
    "signal",
    "noise",
    "noise_from",
    "snr",
    "share_rising",
    "rank_consistency",
    "predictable_from",
    "verdict",
    "status",
)
"""Columns of :func:`predictability` after the keys and ``grain``."""
CLEAR = 2.0
"""Standard errors above chance that count as above."""


def scores(db: Warehouse, source: str | Sequence[str] | None = None, *, flagged: bool = False) -> pl.DataFrame:
    """Scores of the warehouse together with the losses of answers, ready for :func:`predictability`.

    The view ``scores`` leaves out ``answer_loss`` and ``answer_bits_per_byte``, which are losses but
    the first steps of the metric chain. Here they stand with the scores.

    Parameters
    ----------
    db : Warehouse
    source : str or list of str, optional
        All by default.
    flagged : bool
        Keep rows that the authors or we set aside.

    Returns
    -------
    DataFrame
        ``source_id, run_id, study, family, model_name, n`` (parameters as the source counts them),
        ``n_tokens, step, train_flops, train_flops_6nd, task, metric, n_shots, score, unit,
        std_error, n_items, chance_level, split, flag``.
    """
    wanted = [source] if isinstance(source, str) else list(source) if source is not None else None
    if wanted is not None:
        known = db.sql("select source_id from sources")["source_id"].to_list()
        for name in wanted:
            if name not in known:
                raise unknown_name("source", name, known)
    columns = (
        "source_id, run_id, study, family, model_name, n, n_tokens, step, train_flops, train_flops_6nd, task, metric, "
        "n_shots, score, unit, std_error, n_items, chance_level, split, flag"
    )
    losses = """
        select e.source_id, e.run_id, r.study, r.family, r.model_name,
               case s.n_definition
                   when 'n_params_non_embedding' then r.n_params_non_embedding
                   when 'n_params_with_head' then r.n_params_with_head
                   when 'n_params_active' then r.n_params_active
                   else r.n_params
               end as n,
               coalesce(e.n_tokens, r.n_tokens) as n_tokens, e.step, r.train_flops,
               6 * n * coalesce(e.n_tokens, r.n_tokens) as train_flops_6nd,
               e.eval_set as task, e.metric, e.n_shots, e.value as score, e.unit, e.std_error, e.n_items,
               e.chance_level, e.split, e.flag
        from evals e
        join runs r on r.run_id = e.run_id
        join sources s on s.source_id = e.source_id
        where e.metric in ('answer_loss', 'answer_bits_per_byte')
    """
    chosen = "" if wanted is None else "where list_contains($wanted, source_id)"
    query = f"select {columns} from (select {columns} from scores union all select {columns} from ({losses})) {chosen}"
    frame = db.sql(query, wanted=wanted) if wanted is not None else db.sql(query)
    set_aside = frame.height - frame["flag"].null_count()
    if flagged or not set_aside:
        return frame
    notice(f"{set_aside:,} flagged scores left out (flagged=True keeps them)", once=True)
    return frame.filter(pl.col("flag").is_null())


def predictability(
    frame: pl.DataFrame,
    by: str | Sequence[str] | None = None,
    *,
    score: str = "score",
    compute: str | None = None,
    level: float = DEFAULT_LEVEL,
    bar: float = 0.5,
    on_error: str = "raise",
) -> pl.DataFrame:
    """Correlation of scores with compute, and what else decides whether a task can be predicted.

    Parameters
    ----------
    frame : DataFrame
        One row per score: the columns of `by`, ``run_id``, the score, training compute; ``unit``,
        ``chance_level``, ``std_error``, ``n_items``, ``n``, ``n_tokens`` are used where present. Rows may be
        final models or checkpoints too.
    by : str or sequence of str, optional
        Columns that define a group; by default ``source_id, family, task, metric``, and ``n_shots`` where the
        frame has it. With ``item_id``, every item of a test is a group of its own. A notice counts the groups of
        a coarser `by` that mix numbers of shots.
    score : str
    compute : str, optional
        Column with training compute; ``train_flops_6nd``, else ``train_flops``, by default. Only its
        order and logarithm matter, so parameters or tokens serve too.
    level : float
        Coverage of the intervals.
    bar : float
        A task is ``predictable`` if the interval of Spearman's coefficient lies above it,
        ``not predictable`` if below, else ``undecided``.
    on_error : {"raise", "record"}
        What to do with a group that has fewer than three models, a constant score or no compute:
        stop and name them, or give the reason in ``status``.

    Returns
    -------
    DataFrame
        One row per group:

        - ``grain`` (``item`` or ``task``), ``n_rows``, ``n_models`` (runs), ``n_without_compute``,
          ``decades`` of compute;
        - ``pearson`` (on log compute), ``spearman``, ``kendall``, each with ``_low`` and ``_high``.
          Positive means better with more compute, also for metrics where less is better;
        - ``signal`` (standard deviation of the last score of every run), ``noise`` (per score) and
          ``noise_from``: ``checkpoints`` (scatter of the last ten of each run around their drift), else
          ``seeds`` (runs of equal size and tokens), else ``sampling`` (reported or binomial); ``snr``;
        - ``share_rising``: steps between neighbouring runs in compute that improve the score;
        - ``rank_consistency``: mean Kendall coefficient of size and score at equal tokens;
        - ``predictable_from``: smallest compute from which on 95 % of the scores lie more than two
          standard errors above chance; null where chance or errors are unknown;
        - ``verdict``, ``status`` (null where all is well).

    Raises
    ------
    DataError
        For scores outside [0, 1] or percentages among fractions (rows are named), missing columns,
        and, with ``on_error="raise"``, groups that cannot be assessed.

    Notes
    -----
    Intervals are Fisher's, with the number of *runs* as sample size (checkpoints of one run are no
    independent evidence): variance of the z-transform 1/(n - 3) for Pearson, (1 + r^2/2)/(n - 3) for
    Spearman, 0.437/(n - 4) for Kendall. Below five runs there is no interval.

    References
    ----------
    Schaeffer et al., arXiv:2406.04391 (correlations along the chain); Bonett and Wright, Psychometrika
    65 (2000) 23-28 (intervals); Heineman et al., arXiv:2508.13144 (signal and noise).

    Examples
    --------
    >>> import scalingdb as sdb
    >>> gadre = sdb.downstream.scores(sdb.connect(), "gadre_overtraining")
    >>> table = sdb.downstream.predictability(gadre)
    >>> table.filter(task="hellaswag", family="c4")["spearman"].round(2).item()
    0.98
    """
    if on_error not in {"raise", "record"}:
        raise unknown_name("option", on_error, ("raise", "record"), "(for on_error)")
    check_level(level)
    table = as_frame(frame)
    keys = keys_of(default_keys(table) if by is None else by, table)
    check_scores(table, score, "predictability")
    if "run_id" not in table.columns:
        raise DataError(
            "the frame has no column 'run_id', which says how many models there are",
            "add it: one name per training run, shared by its checkpoints.",
        )
    say_mixtures(table, keys)
    rows = _rows(table, keys, score, compute)
    groups = rows.select("group", *keys).unique("group", maintain_order=True).sort("group")
    counts = _counts(rows)
    failed = groups.join(counts, on="group").filter(pl.col("status").is_not_null()).sort("group")
    if failed.height and on_error == "raise":
        raise DataError(
            f"{failed.height} of {groups.height} groups cannot be assessed\n"
            + label_rows(failed, pl.Series([True] * failed.height), *keys, "status"),
            'filter them, choose a coarser `by`, or pass on_error="record" to get the reasons in a column.',
        )
    usable = rows.filter(pl.col("x").is_not_null()).join(
        counts.filter(pl.col("status").is_null()).select("group"), on="group", how="semi", maintain_order="left"
    )
    measured = counts
    for measure in (_correlations, _noise, _course, _consistency, _onset):
        measured = measured.join(measure(usable), on="group", how="left")
    result = groups.join(_verdicts(_intervals(measured, level), bar), on="group", how="left").sort("group")
    return result.select(*keys, pl.lit("item" if "item_id" in keys else "task").alias("grain"), *MEASURES)


def _counts(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows, models and decades of each group, and why it cannot be assessed (``status``, null where it can)."""
    has_compute = pl.col("x").is_not_null()
    counts = rows.group_by("group").agg(
        n_rows=pl.col("x").count().cast(pl.Int64),
        n_models=pl.col("run").filter(has_compute).n_unique().cast(pl.Int64),
        n_without_compute=pl.col("x").null_count().cast(pl.Int64),
        decades=pl.col("x").max() - pl.col("x").min(),
        is_constant=pl.col("y").filter(has_compute).n_unique() <= 1,
    )
    status = (
        pl.when(pl.col("n_rows") == 0)
        .then(pl.lit("no row has compute"))
        .when(pl.col("n_models") == 1)
        .then(pl.lit("one model"))
        .when(pl.col("n_models") < MIN_MODELS)
        .then(pl.lit("two models"))
        .when(pl.col("decades") == 0)
        .then(pl.lit("all models have the same compute"))
        .when(pl.col("is_constant"))
        .then(pl.lit("the score is constant"))
    )
    return counts.with_columns(status=status).drop("is_constant").sort("group")


def _verdicts(measured: pl.DataFrame, bar: float) -> pl.DataFrame:
    """The noise that counts, the signal over it, and the verdict on Spearman's coefficient."""
    noises = {"checkpoints": "noise_checkpoints", "seeds": "noise_seeds", "sampling": "noise_sampling"}
    origin = pl.coalesce(pl.when(pl.col(column).is_not_null()).then(pl.lit(name)) for name, column in noises.items())
    return measured.with_columns(noise=pl.coalesce(noises.values()), noise_from=origin).with_columns(
        snr=pl.when(pl.col("noise") > 0).then(pl.col("signal") / pl.col("noise")),
        verdict=pl.when(pl.col("spearman_low") >= bar)
        .then(pl.lit("predictable"))
        .when(pl.col("spearman_high") < bar)
        .then(pl.lit("not predictable"))
        .when(pl.col("spearman").is_not_null())
        .then(pl.lit("undecided")),
    )


def _rows(table: pl.DataFrame, keys: list[str], score: str, compute: str | None) -> pl.DataFrame:
    """Numbers that the parts work on: group, run, log10 compute, score with better upward."""
    sign = pl.lit(1.0)
    if "metric" in table.columns:
        worse = [m.name for m in METRICS.values() if not m.higher_is_better]
        sign = pl.when(pl.col("metric").is_in(worse)).then(-1.0).otherwise(1.0)
    cost = compute_column(table, compute)

    def number(name: str) -> pl.Expr:
        present = name in table.columns and table[name].dtype.is_numeric()
        return pl.col(name).cast(pl.Float64) if present else pl.lit(None, pl.Float64)

    y = pl.col(score).cast(pl.Float64)
    binomial = pl.when(y.is_between(0, 1)).then((y * (1 - y) / number("n_items")).sqrt())
    return table.select(
        *keys,
        group=pl.struct(keys).rank("dense").cast(pl.UInt32),
        run=pl.col("run_id").rank("dense").cast(pl.UInt32),
        x=pl.when(cost > 0).then(cost.log10()),
        y=sign * y,
        n=number("n"),
        d=number("n_tokens"),
        step=number("step"),
        error=pl.coalesce(number("std_error"), binomial),
        chance=sign * number("chance_level"),
    ).sort("group", "x", "d", "step", "run", "y", "error", "chance")


def _evaluations(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per evaluation of a run in the order of training; several scores of one evaluation are averaged."""
    return (
        rows.group_by("group", "run", "x", "d", "step", maintain_order=True)
        .agg(pl.col("y").mean(), pl.col("n").first(), pl.col("error").mean())
        .sort("group", "run", "x", "d", "step")
    )


def _final(rows: pl.DataFrame) -> pl.DataFrame:
    """The last evaluation of each run."""
    return _evaluations(rows).group_by("group", "run", maintain_order=True).last()


MOST_PAIRED = 300
"""Rows of a group up to which all pairs are compared at once; scipy, which sorts, takes longer to be called."""


def _kendall(x: FloatArray, y: FloatArray) -> float:
    """Kendall's tau-b; NaN where one of the two is constant."""
    if x.size > MOST_PAIRED:
        from scipy.stats import kendalltau

        return float(kendalltau(x, y, method="asymptotic").statistic)
    dx, dy = (np.sign(values[:, None] - values) for values in (x, y))
    untied = float(np.sum(dx != 0)) * float(np.sum(dy != 0))
    return float(np.sum(dx * dy)) / untied**0.5 if untied else np.nan


def _correlations(rows: pl.DataFrame) -> pl.DataFrame:
    ranked = rows.select("group", "x", "y", rx=pl.col("x").rank().over("group"), ry=pl.col("y").rank().over("group"))
    linear = ranked.group_by("group", maintain_order=True).agg(pearson=pl.corr("x", "y"), spearman=pl.corr("rx", "ry"))
    if ranked.is_empty():
        return linear.with_columns(kendall=pl.lit(None, pl.Float64))
    ends = np.flatnonzero(np.diff(ranked["group"].to_numpy())) + 1
    xs = np.split(ranked["rx"].to_numpy(), ends)
    ys = np.split(ranked["ry"].to_numpy(), ends)
    taus = [_kendall(a, b) for a, b in zip(xs, ys, strict=True)]
    return linear.with_columns(pl.Series("kendall", taus, dtype=pl.Float64)).with_columns(
        pl.col("pearson", "spearman", "kendall").fill_nan(None).clip(-1.0, 1.0)
    )


def _intervals(out: pl.DataFrame, level: float) -> pl.DataFrame:
    from scipy.special import ndtri

    z = float(ndtri(0.5 + level / 2))
    n = pl.col("n_models")
    enough = n >= MIN_FOR_INTERVAL
    variances = {
        "pearson": 1 / (n - 3),
        "spearman": (1 + pl.col("spearman") ** 2 / 2) / (n - 3),
        "kendall": 0.437 / (n - 4),
    }
    columns = {}
    for name, variance in variances.items():
        # a perfect correlation of few runs is no certainty: the transform of 1 is infinite
        centre = pl.col(name).clip(-1 + 1e-9, 1 - 1e-9).arctanh()
        width = z * variance.sqrt()
        columns[f"{name}_low"] = pl.when(enough).then((centre - width).tanh())
        columns[f"{name}_high"] = pl.when(enough).then((centre + width).tanh())
    return out.with_columns(**columns)


def _noise(rows: pl.DataFrame) -> pl.DataFrame:
    """Spread across scale, and the three kinds of noise a score may show."""
    last = _final(rows)
    signal = last.group_by("group", maintain_order=True).agg(
        signal=pl.col("y").std(), noise_sampling=pl.col("error").mean()
    )
    tail = _evaluations(rows).group_by("group", "run", maintain_order=True).agg(pl.col("y").tail(LAST_CHECKPOINTS))
    n_differences = pl.col("diff").list.len()
    drift = (
        tail.filter(pl.col("y").list.len() >= 3)
        .with_columns(diff=pl.col("y").list.diff(null_behavior="drop"))
        # k differences of independent errors have a mean spread of 2 (k + 1) / k times the variance of one error,
        # since neighbouring differences share an error with opposite signs; a common drift cancels
        .with_columns(variance=pl.col("diff").list.var(ddof=1) / 2 * n_differences / (n_differences + 1))
        .group_by("group", maintain_order=True)
        .agg(noise_checkpoints=pl.col("variance").mean().sqrt())
    )
    seeds = (
        last.drop_nulls(["n", "d"])
        .group_by("group", "n", "d", maintain_order=True)
        .agg(variance=pl.col("y").var(), count=pl.len())
        .filter(pl.col("count") > 1)
        .group_by("group", maintain_order=True)
        .agg(noise_seeds=pl.col("variance").mean().sqrt())
    )
    return signal.join(drift, on="group", how="left").join(seeds, on="group", how="left")


def _course(rows: pl.DataFrame) -> pl.DataFrame:
    return (
        _final(rows)
        .group_by("group", "x", maintain_order=True)
        .agg(pl.col("y").mean())
        .sort("group", "x")
        .group_by("group", maintain_order=True)
        .agg(share_rising=(pl.col("y").diff() > 0).cast(pl.Float64).slice(1).mean())
    )


def _consistency(rows: pl.DataFrame) -> pl.DataFrame:
    """Whether larger models stand above smaller ones after the same number of tokens."""
    known = rows.drop_nulls(["n", "d"]).group_by("group", "d", "n", maintain_order=True).agg(pl.col("y").mean())
    pairs = known.join(known, on=["group", "d"]).filter(pl.col("n") < pl.col("n_right"))
    return (
        pairs.group_by("group", "d")
        .agg(tau=(pl.col("y_right") - pl.col("y")).sign().mean(), pairs=pl.len())
        .filter(pl.col("pairs") >= 3)  # three sizes
        .group_by("group")
        .agg(rank_consistency=pl.col("tau").mean())
    )


def _onset(rows: pl.DataFrame) -> pl.DataFrame:
    """Smallest compute from which at least 95 % of the scores, and all at that compute, are clearly above chance."""
    above = (pl.col("y") - pl.col("chance") > CLEAR * pl.col("error")).cast(pl.Float64)
    return (
        rows.drop_nulls(["chance", "error"])
        .group_by("group", "x")
        .agg(above=above.sum(), count=pl.len())
        .sort("group", "x", descending=[False, True])
        .with_columns(share=pl.col("above").cum_sum().over("group") / pl.col("count").cum_sum().over("group"))
        .filter((pl.col("share") >= 0.95) & (pl.col("above") == pl.col("count")))
        .group_by("group")
        .agg(predictable_from=10 ** pl.col("x").min())
    )


def ccdf(table: pl.DataFrame, value: str = "spearman", by: str | Sequence[str] = "metric") -> pl.DataFrame:
    """Complementary distribution of a correlation over tasks (or items).

    Parameters
    ----------
    table : DataFrame
        As :func:`predictability` returns it; rows without the value are left out and counted.
    value : str
    by : str or sequence of str

    Returns
    -------
    DataFrame
        `by`, the value, ``share_above`` (share of the group's rows that are at least the value), ``n``
        and ``n_left_out``.
    """
    rows = as_frame(table)
    keys = keys_of(by, rows)
    if value not in rows.columns:
        raise unknown_name("column", value, rows.columns)
    known = rows.drop_nulls(value)
    if known.is_empty():
        raise DataError(f"no row has a value of {value!r}", "the column 'status' says why.")
    left_out = rows.group_by(keys).agg(n_left_out=pl.col(value).null_count().cast(pl.Int64))
    return (
        known.sort(*keys, value, descending=[*[False] * len(keys), True])
        .select(
            *keys,
            value,
            share_above=pl.int_range(1, pl.len() + 1).over(keys) / pl.len().over(keys),
            n=pl.len().over(keys).cast(pl.Int64),
        )
        .unique([*keys, value], keep="last", maintain_order=True)
        .join(left_out, on=keys, how="left", nulls_equal=True)
    )


def _task_keys(table: pl.DataFrame) -> list[str]:
    """What :func:`predictability` grouped by, except the metric."""
    end = table.columns.index("grain") if "grain" in table.columns else 0
    grouped = table.columns[:end] or [name for name in (*BY, "n_shots") if name in table.columns]
    return [name for name in grouped if name != "metric"]


def chain_cost(
    table: pl.DataFrame,
    *,
    value: str = "spearman",
    chain: Sequence[str] = CHAIN,
    pair_by: Sequence[str] | None = None,
    level: float = DEFAULT_LEVEL,
    rng: int = 0,
) -> pl.DataFrame:
    """What each step of the metric chain costs: change of a correlation over the same tasks.

    Parameters
    ----------
    table : DataFrame
        As :func:`predictability` returns it, with a column ``metric``.
    value : str
        ``spearman``, ``pearson``, ``kendall``, ``snr``, ``share_rising`` ...
    chain : sequence of str
        Metrics in their order; those that the table lacks are skipped.
    pair_by : sequence of str, optional
        Columns that make a task; a step is judged on tasks that have both metrics. By default what
        the table was grouped by besides the metric: the columns before ``grain``, or, in a table
        without it, those of ``source_id, family, task`` that it has.
    level, rng
        Coverage and seed of the bootstrap over tasks.

    Returns
    -------
    DataFrame
        One row per step: ``before, after`` (metrics), ``n_tasks``, medians ``median_before, median_after``,
        ``change`` (median over tasks of the paired change) with ``low, high``, and
        ``share_worse`` (tasks that lost).

    Raises
    ------
    DataError
        If the table lacks a column, has nothing that tells tasks apart, fewer than two metrics of the
        chain, or no task with two that are neighbours.
    """
    check_level(level)
    rows = as_frame(table)
    keys_of("metric", rows)
    keys = keys_of(_task_keys(rows) if pair_by is None else pair_by, rows)
    if not keys:
        raise DataError(
            "the table has no column besides 'metric' that tells tasks apart",
            'group by a task too: predictability(frame, by=("task", "metric")), or name it: pair_by=....',
        )
    if value not in rows.columns:
        raise unknown_name("column", value, rows.columns)
    present = [name for name in chain if (rows["metric"] == name).any()]
    if len(present) < 2:
        raise DataError(
            f"the table holds {len(present)} metric(s) of the chain ({', '.join(present) or 'none'})",
            "a step needs two metrics of the same tasks.",
        )
    wide = canonical(
        rows.filter(pl.col("metric").is_in(present)).pivot(
            "metric", index=keys, values=value, aggregate_function="mean"
        ),
        keys,
    )
    generator = np.random.default_rng(check_seed(rng))
    out = []
    for before, after in itertools.pairwise(present):
        both = wide.drop_nulls([before, after])
        if both.is_empty():
            continue
        change = (both[after] - both[before]).to_numpy()
        draws = np.median(change[generator.integers(0, change.size, (2000, change.size))], axis=1)
        low, high = percentile_interval(draws, level)
        out.append(
            {
                "before": before,
                "after": after,
                "n_tasks": both.height,
                "median_before": both[before].median(),
                "median_after": both[after].median(),
                "change": float(np.median(change)),
                "low": float(low),
                "high": float(high),
                "share_worse": float(np.mean(change < 0)),
            }
        )
    if not out:
        raise DataError("no task has two neighbouring metrics of the chain", "compute more of its steps first.")
    return pl.DataFrame(out)
