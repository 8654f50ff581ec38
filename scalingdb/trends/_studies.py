"""Around the label: surfaces, covariates, metrics side by side, items, turns predicted from earlier points only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import special

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits import as_frame
from scalingdb.schema import METRICS
from scalingdb.trends._classify import _Tested, classify
from scalingdb.trends._panel import inverse_link, read
from scalingdb.trends._tests import Array

__all__ = ["before_the_turn", "by_difficulty", "compare_metrics", "given", "items", "surface"]

HARMFUL = ("worsens", "u_shaped", "inverted_u")
INDECISIVE = ("flat", "inconclusive")


def surface(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    y: str,
    size: str = "n_params",
    tokens: str = "n_tokens",
    by: str | Sequence[str] = (),
    multiplicity: str | None = "fdr_bh",
) -> pl.DataFrame:
    """Regress a score on log size, log training tokens and their product, all standardised.

    The regression of Michaelov and Bergen (2023, section 3.3): a negative interaction says that training
    helps large models less than small ones, or harms them more.

    Parameters
    ----------
    frame : DataFrame
        One row per model and checkpoint.
    y, size, tokens : str
        Columns of the score, the size and the training tokens.
    by : str or sequence of str
        Columns that tell tasks apart.
    multiplicity : str or None
        Method of ``multipletests`` over all terms of all tasks.

    Returns
    -------
    DataFrame
        Three rows per task: the keys, ``term`` (``size``, ``tokens``, ``interaction``), ``estimate`` (change of
        y for one standard deviation), ``std_error, t, df, p, p_adjusted, r_squared, n_rows``.

    Raises
    ------
    DataError
        If a task has fewer than five rows, or rows that do not span size and tokens.

    References
    ----------
    Michaelov and Bergen, Emergent Inabilities? (arXiv 2305.14681).
    """
    from statsmodels.regression.linear_model import OLS

    keys = [by] if isinstance(by, str) else list(by)
    table = _checked(as_frame(frame), [size, tokens, y], keys)
    _positive(table, [size, tokens])
    rows: list[dict[str, Any]] = []
    for name, part in _groups(table, keys):
        columns = []
        for column in (size, tokens):
            logs = np.log10(part[column].cast(pl.Float64).to_numpy())
            spread = logs.std(ddof=1)
            if not spread > 0:
                raise DataError(f"{_spell(keys, name)}: {column} does not vary, so there is no surface")
            columns.append((logs - logs.mean()) / spread)
        design = np.column_stack([np.ones(part.height), *columns, columns[0] * columns[1]])
        if part.height < 5 or np.linalg.matrix_rank(design) < 4:
            raise DataError(
                f"{_spell(keys, name)}: {part.height} rows do not determine size, tokens and their interaction"
            )
        fit = OLS(part[y].cast(pl.Float64).to_numpy(), design).fit()  # type: ignore[no-untyped-call]
        for i, term in enumerate(("size", "tokens", "interaction"), start=1):
            rows.append(
                dict(zip(keys, name, strict=True))
                | {
                    "term": term,
                    "estimate": float(fit.params[i]),
                    "std_error": float(fit.bse[i]),
                    "t": float(fit.tvalues[i]),
                    "df": float(fit.df_resid),
                    "p": float(fit.pvalues[i]),
                    "r_squared": float(fit.rsquared),
                    "n_rows": part.height,
                }
            )
    result = pl.DataFrame(rows)
    return result.with_columns(p_adjusted=_adjusted(result["p"], multiplicity)).select(
        *keys, "term", "estimate", "std_error", "t", "df", "p", "p_adjusted", "r_squared", "n_rows"
    )


def given(
    frame: pl.DataFrame | pl.LazyFrame, *, x: str, y: str, covariates: str | Sequence[str], by: str | Sequence[str] = ()
) -> pl.DataFrame:
    """Trend along log10 x alone, and with other columns held constant (ordinary least squares).

    A trend of a score that follows another one (agreement follows accuracy) need not be about scale.

    Parameters
    ----------
    frame : DataFrame
    x, y : str
        Size and score.
    covariates : str or sequence of str
        Numeric columns to hold constant.
    by : str or sequence of str
        A regression for each group; one in all by default.

    Returns
    -------
    DataFrame
        Two rows per group: the keys, ``model`` (``alone``, ``given ...``), ``slope`` (of y for a factor of ten
        in x), ``std_error, t, p, r_squared, n_rows`` and ``slope_left`` (share of the slope alone).

    Raises
    ------
    DataError, UnknownNameError
        For missing columns or values, or more terms than rows.
    """
    from statsmodels.regression.linear_model import OLS

    keys = [by] if isinstance(by, str) else list(by)
    others = [covariates] if isinstance(covariates, str) else list(covariates)
    table = _checked(as_frame(frame), [x, y, *others], keys)
    _positive(table, [x])
    rows: list[dict[str, Any]] = []
    for name, part in _groups(table, keys):
        logs = np.log10(part[x].cast(pl.Float64).to_numpy())
        values = part[y].cast(pl.Float64).to_numpy()
        extra = part.select(pl.col(others).cast(pl.Float64)).to_numpy()
        first = None
        for label, design in (("alone", logs[:, None]), (f"given {', '.join(others)}", np.column_stack([logs, extra]))):
            matrix = np.column_stack([np.ones(part.height), design])
            if part.height <= matrix.shape[1] or np.linalg.matrix_rank(matrix) < matrix.shape[1]:
                raise DataError(f"{_spell(keys, name)}: {part.height} rows do not determine {matrix.shape[1]} terms")
            fit = OLS(values, matrix).fit()  # type: ignore[no-untyped-call]
            slope = float(fit.params[1])
            first = slope if first is None else first
            rows.append(
                dict(zip(keys, name, strict=True))
                | {
                    "model": label,
                    "slope": slope,
                    "std_error": float(fit.bse[1]),
                    "t": float(fit.tvalues[1]),
                    "p": float(fit.pvalues[1]),
                    "r_squared": float(fit.rsquared),
                    "n_rows": part.height,
                    "slope_left": slope / first,
                }
            )
    return pl.DataFrame(rows)


def compare_metrics(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    x: str,
    y: str,
    by: str | Sequence[str],
    metric: str = "metric",
    **options: Any,
) -> pl.DataFrame:
    """Labels of the same task under different metrics, side by side.

    Parameters
    ----------
    frame, x, y, by
        As for :func:`classify`; `by` without the metric.
    metric : str
        Column that holds the name of the metric.
    **options
        As for :func:`classify`.

    Returns
    -------
    DataFrame
        The keys, a column of labels for each metric (null where it was not measured), and ``verdict``:
        ``agree``, ``contradict`` (one metric improves where another one worsens or turns, or they turn
        differently), ``only some are conclusive``, ``none is conclusive``, or ``one metric``.
    """
    keys = [by] if isinstance(by, str) else list(by)
    labels = classify(frame, x=x, y=y, by=[*keys, metric], **options)
    wide = labels.pivot(metric, index=keys, values="label", sort_columns=True, maintain_order=True)
    names = [name for name in wide.columns if name not in keys]
    verdicts = []
    for row in wide.select(names).iter_rows():
        found = [label for label in row if label is not None]
        definite = {label for label in found if label not in INDECISIVE}
        silent = any(label in INDECISIVE for label in found)
        verdicts.append(
            "one metric"
            if len(found) == 1
            else "contradict"
            if len(definite) > 1
            else ("none is conclusive" if "inconclusive" in found or len(set(found)) > 1 else "agree")
            if not definite
            else "only some are conclusive"
            if silent
            else "agree"
        )
    return wide.with_columns(pl.Series("verdict", verdicts, dtype=pl.String))


def before_the_turn(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    x: str,
    y: str,
    by: str | Sequence[str] = (),
    turn: float | None = None,
    level: float = DEFAULT_LEVEL,
    **options: Any,
) -> pl.DataFrame:
    """Fit the sizes up to the turn, and say what they would have predicted for the others.

    No law fitted before its break knows of it: this shows by how much, with the prediction interval that one
    would have stated. A weighted line on the scale of :func:`classify`.

    Parameters
    ----------
    frame, x, y, by
        As for :func:`classify`.
    turn : float, optional
        Largest x that is fitted; by default the break of the one-break model of each series.
    level : float
        Of the prediction intervals.
    **options
        ``higher_is_better, n_items, scale, ties, chance`` of :func:`classify`.

    Returns
    -------
    DataFrame
        The keys, ``x, y, is_fitted, predicted, low, high`` (null interval with two fitted sizes), ``error``
        (predicted minus observed), ``is_inside``.

    Raises
    ------
    DataError
        If fewer than two sizes lie before the turn, or none after it.
    """
    check_level(level)
    keys = [by] if isinstance(by, str) else list(by)
    settings: dict[str, Any] = dict.fromkeys(("higher_is_better", "scale", "chance", "n_items")) | {"ties": "refuse"}
    panel = read(as_frame(frame), x, y, keys, **(settings | options))
    parts = []
    for series in panel.batches():
        item = _Tested(panel, series)
        item.run({}, None)
        breaks = 10 ** (item.outcome.turn[:, 0] + item.offset) if turn is None else np.full(len(series.x), turn)
        for i, index in enumerate(series.index):
            used = series.x[i] <= breaks[i] * (1 + 1e-9)
            if used.sum() < 2 or used.all():
                name = panel.about.filter(pl.col("_series") == index).select(keys).row(0) if keys else ()
                raise DataError(
                    f"{_spell(keys, name)}: {used.sum()} of {len(used)} sizes lie up to {x} = {breaks[i]:.3g}",
                    "at least two are needed before the turn and one after it: pass turn=.",
                )
            middle, half = _line(item.t[i], series.z[i], series.w[i], used, item.floor[i], level)
            ends = [inverse_link(item.sign[i] * (middle + side * half), item.scale) for side in (-1, 1)]
            predicted = inverse_link(item.sign[i] * middle, item.scale)
            parts.append(
                pl.DataFrame(
                    {
                        "_series": np.full(len(used), index),
                        "x": series.x[i],
                        "y": series.y[i],
                        "is_fitted": used,
                        "predicted": predicted,
                        "low": np.minimum(*ends),
                        "high": np.maximum(*ends),
                    }
                )
            )
    if not parts:
        raise DataError("no series has enough sizes to be cut at a turn")
    table = pl.concat(parts).with_columns(pl.col("low", "high").fill_nan(None))
    return (
        table.join(panel.about.select("_series", *keys), on="_series", maintain_order="left")
        .sort("_series", "x")
        .with_columns(
            error=pl.col("predicted") - pl.col("y"),
            is_inside=pl.col("y").is_between("low", "high"),
        )
        .select(*keys, "x", "y", "is_fitted", "predicted", "low", "high", "error", "is_inside")
    )


def _line(t: Array, z: Array, w: Array, used: npt.NDArray[np.bool_], floor: float, level: float) -> tuple[Array, Array]:
    """Weighted line through the used points: its values everywhere, and half the prediction interval."""
    ws, ts, zs = w[used], t[used], z[used]
    mean_t, mean_z = np.average(ts, weights=ws), np.average(zs, weights=ws)
    spread = float((ws * (ts - mean_t) ** 2).sum())
    slope = float((ws * (ts - mean_t) * (zs - mean_z)).sum()) / spread
    middle = mean_z + slope * (t - mean_t)
    df = int(used.sum()) - 2
    if df == 0:
        return middle, np.full(len(t), np.nan)
    phi = max(float((ws * (zs - middle[used]) ** 2).sum()) / df, floor)
    variance = phi * (1 / w + 1 / ws.sum() + (t - mean_t) ** 2 / spread)
    return middle, float(special.stdtrit(df, 0.5 + level / 2)) * np.sqrt(variance)


def items(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    x: str,
    y: str,
    item: str = "item_id",
    by: str | Sequence[str] = (),
    higher_is_better: bool | None = None,
) -> pl.DataFrame:
    """Which test items drive a trend: how each one changes from the small half of the sizes to the large half.

    Parameters
    ----------
    frame : DataFrame
        One row per model and item.
    x, y : str
        Size, and the number of the item (right or wrong, loss).
    item : str
        Column that names the item.
    by : str or sequence of str
        Columns that tell tasks apart.
    higher_is_better : bool, optional
        From the column ``metric`` if there is one.

    Returns
    -------
    DataFrame
        One row per item that every size has answered, worst first: the keys, `item`, ``small, large`` (mean over
        the half of the sizes), ``change`` (positive is better), ``share`` (of the sum of all changes of the task;
        shares beyond 1 are offset by other items; null where all changes cancel), ``n_items`` of the task and
        ``n_left_out`` (items that some size lacks).

    Raises
    ------
    DataError
        If a task has one size only, or nothing says whether larger is better.
    """
    keys = [by] if isinstance(by, str) else list(by)
    table = _checked(as_frame(frame), [x, y], [*keys, item])
    sign = _direction(table, higher_is_better)
    sizes = table.select(*keys, x).unique().with_columns(rank=pl.col(x).rank("dense").over(keys or pl.lit(1)))
    sizes = sizes.with_columns(n=pl.col("rank").max().over(keys or pl.lit(1)))
    if (sizes["n"] < 2).any():
        raise DataError(f"a task has one value of {x!r} only: items cannot change along it")
    # with an odd number of sizes the middle one belongs to neither half
    half = (pl.col("n") / 2).floor()
    side = (
        pl.when(pl.col("rank") <= half)
        .then(pl.lit("small"))
        .when(pl.col("rank") > pl.col("n") - half)
        .then(pl.lit("large"))
    )
    joined = table.join(sizes.with_columns(side=side), on=[*keys, x], nulls_equal=True)
    per_item = joined.group_by([*keys, item], maintain_order=True).agg(
        small=pl.col(y).filter(pl.col("side") == "small").mean(),
        large=pl.col(y).filter(pl.col("side") == "large").mean(),
        answered=pl.col(x).n_unique(),
        n=pl.col("n").first(),
    )
    whole = per_item.filter(pl.col("answered") == pl.col("n"))
    left_out = per_item.group_by(keys or pl.lit(1).alias("all")).agg(
        n_left_out=(pl.col("answered") < pl.col("n")).sum().cast(pl.Int64)
    )
    within = keys or pl.lit(1)
    total = pl.col("change").sum().over(within)
    # changes that cancel to rounding have no shares
    has_total = total.abs() > 1e-9 * pl.col("change").abs().sum().over(within)
    result = whole.with_columns(change=(sign * (pl.col("large") - pl.col("small"))).round(12)).with_columns(
        share=pl.when(has_total).then(pl.col("change") / total),
        n_items=pl.len().over(keys or pl.lit(1)).cast(pl.Int64),
    )
    result = (
        result.join(left_out, on=keys, nulls_equal=True, maintain_order="left")
        if keys
        else result.with_columns(n_left_out=pl.lit(left_out["n_left_out"].sum()))
    )
    return result.sort(*keys, "change", item).select(
        *keys, item, "small", "large", "change", "share", "n_items", "n_left_out"
    )


def by_difficulty(
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    x: str,
    y: str,
    item: str = "item_id",
    by: str | Sequence[str] = (),
    n_groups: int = 3,
    higher_is_better: bool | None = None,
) -> pl.DataFrame:
    """Mean score by difficulty of the items, ready for :func:`classify`, to see groups that cancel each other.

    Items are ranked by their mean over all sizes. Noise in that mean lifts or lowers an item at all sizes alike,
    so that the grouping itself creates no trend (grouping by the score of the smallest model would: its luck
    returns to the mean in the others).

    Parameters
    ----------
    frame, x, y, item, by, higher_is_better
        As for :func:`items`.
    n_groups : int
        Groups of equal numbers of items; group 1 is the easiest.

    Returns
    -------
    DataFrame
        The keys, ``difficulty`` (1 is the easiest), `x`, `y` (mean over the items of the group), ``n_items``.
    """
    keys = [by] if isinstance(by, str) else list(by)
    if n_groups < 2:
        raise DataError(f"n_groups={n_groups} makes no groups")
    table = _checked(as_frame(frame), [x, y], [*keys, item])
    sign = _direction(table, higher_is_better)
    within = keys or pl.lit(1)
    n_sizes = pl.col(x).n_unique()
    ranked = (
        table.with_columns(all_sizes=n_sizes.over(within), own_sizes=n_sizes.over([*keys, item]))
        .filter(pl.col("all_sizes") == pl.col("own_sizes"))
        .group_by([*keys, item], maintain_order=True)
        .agg(level=sign * pl.col(y).mean())
        # ties in the level are broken by the name of the item: always the same groups
        .sort(*keys, "level", item, descending=[False] * len(keys) + [True, False])
        .with_columns(
            difficulty=(pl.int_range(pl.len()).over(within) * n_groups // pl.len().over(within) + 1).cast(pl.Int64)
        )
    )
    carried = [name for name in ("metric", "unit") if name in table.columns and name not in keys]
    return (
        table.join(ranked.select(*keys, item, "difficulty"), on=[*keys, item], nulls_equal=True)
        .group_by([*keys, "difficulty", x])
        .agg(
            pl.col(y).mean(),
            *(pl.col(name).first() for name in carried),
            n_items=pl.col(item).n_unique().cast(pl.Float64),
        )
        .sort(*keys, "difficulty", x)
    )


# ---- shared checks -------------------------------------------------------------------------------


def _checked(frame: pl.DataFrame, numbers: Sequence[str], others: Sequence[str]) -> pl.DataFrame:
    for name in [*numbers, *others]:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns)
    if frame.is_empty():
        raise DataError("the frame has no rows")
    for name in numbers:
        if not (frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean):
            raise DataError(f"column {name!r} holds {frame[name].dtype}, not numbers")
        n_missing = frame.height - int(frame[name].cast(pl.Float64).is_finite().sum())
        if n_missing:
            raise DataError(
                f"column {name!r} has {n_missing} missing values of {frame.height}", "filter those rows out first."
            )
    return frame.with_columns(pl.col(name).cast(pl.Float64) for name in numbers)


def _positive(frame: pl.DataFrame, columns: Sequence[str]) -> None:
    for name in columns:
        if (frame[name] <= 0).any():
            raise DataError(f"column {name!r} has values that are not positive; its logarithm is taken")


def _groups(table: pl.DataFrame, keys: Sequence[str]) -> list[tuple[tuple[Any, ...], pl.DataFrame]]:
    if not keys:
        return [((), table)]
    return [
        (tuple(name), part) for name, part in table.sort(keys, maintain_order=True).group_by(keys, maintain_order=True)
    ]


def _spell(keys: Sequence[str], values: Sequence[Any]) -> str:
    if not keys:
        return "the series"
    return "series (" + ", ".join(f"{key}={value!r}" for key, value in zip(keys, values, strict=True)) + ")"


def _direction(table: pl.DataFrame, higher_is_better: bool | None) -> float:
    better = higher_is_better
    if better is None and "metric" in table.columns:
        found = {METRICS[name].higher_is_better for name in table["metric"].unique() if name in METRICS}
        better = found.pop() if len(found) == 1 else None
    if better is None:
        raise DataError("nothing says whether larger values are better", "pass higher_is_better=.")
    return 1.0 if better else -1.0


def _adjusted(p: pl.Series, method: str | None) -> pl.Series:
    if method is None or len(p) < 2:
        return p
    from statsmodels.stats.multitest import multipletests

    return pl.Series(multipletests(p.to_numpy(), method=method)[1])  # type: ignore[no-untyped-call]
