"""From a long frame to checked series: which columns say what, what is refused, which scale is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

from scalingdb.errors import DataError, unknown_name
from scalingdb.schema import METRICS
from scalingdb.trends._tests import Batch, Dispersion

__all__ = ["MIN_SIZES", "Panel", "Scale", "Series", "empirical_logits", "inverse_link", "read"]

Array = npt.NDArray[np.float64]
Scale = Literal["logit", "log", "identity"]

MIN_SIZES = 4
"""Fewer distinct sizes cannot show a trend's shape: the label is ``inconclusive``."""

NOMINAL_ITEMS = 100.0
"""Stands in for an unknown number of items in the half-count of the empirical logit; the scatter is then estimated."""

ONE_OF = ("metric", "unit", "n_shots", "task", "eval_set", "split", "tokenizer_id")
"""Columns that may hold one value only within a series."""


@dataclass(frozen=True)
class Series:
    """All series with the same number of sizes: arrays of shape (m, k), ascending in x."""

    index: npt.NDArray[np.int64]
    """Row of the panel's keys."""
    x: Array
    y: Array
    z: Array
    """Value on the working scale, oriented so that larger is better."""
    w: Array
    """Inverse variance of z, up to a dispersion where `known` is false."""
    known: npt.NDArray[np.bool_]
    """Whether the sampling error is known (from n_items or std_error)."""
    n_items: Array
    """Items behind each value; NaN where unknown."""


@dataclass(frozen=True)
class Panel:
    """The series of a frame. One row of `about` a series: keys, counts, metric, scale, sign, chance level, reason."""

    keys: list[str]
    about: pl.DataFrame
    rows: pl.DataFrame
    """One row per series and size: ``_series, _x, _y, n_items, std_error``."""

    def batches(self) -> Iterator[Series]:
        """Series that can be tested: those alike in length, scale and in what is known of their error together."""
        able = self.about.filter(pl.col("reason").is_null())
        error = self.rows.group_by("_series").agg(
            by_items=pl.col("n_items").is_not_null().all(),
            by_error=(pl.col("std_error") > 0).fill_null(value=False).all(),
        )
        able = able.join(error, on="_series", how="left", maintain_order="left").with_columns(
            known=pl.when(pl.col("scale") == "logit").then("by_items").otherwise("by_error")
        )
        for (k, scale, _), part in able.group_by("n_sizes", "scale", "known", maintain_order=True):
            rows = self.rows.join(
                part.select("_series", "sign"), on="_series", how="inner", maintain_order="left_right"
            )
            rows = rows.sort("_series", "_x")

            def grid(name: str, rows: pl.DataFrame = rows, k: int = cast(int, k)) -> Array:
                return np.asarray(rows[name].cast(pl.Float64).fill_null(np.nan).to_numpy()).reshape(-1, k)

            y, n, se = grid("_y"), grid("n_items"), grid("std_error")
            z, variance, known = _working(grid("_x"), y, n, se, cast(Scale, scale))
            yield Series(
                rows["_series"].to_numpy().reshape(-1, k)[:, 0].astype(np.int64),
                grid("_x"),
                y,
                grid("sign") * z,
                1.0 / variance,
                known,
                n,
            )


def empirical_logits(t: Array, y: Array, n: Array) -> tuple[Array, Array]:
    """Empirical logits of fractions (m, k) and their variances (Gart and Zweifel 1967).

    Variances are taken half-way between a smooth curve through the logits (a parabola in t; a line for four
    points) and the mean score, not at the values themselves: a weight that depends on the noise of its own
    value pulls the fit, and a curve that misses an erratic series must not silence a part of it.
    """
    right = np.clip(y, 0.0, 1.0) * n
    z = np.log((right + 0.5) / (n - right + 0.5))
    curve = Batch(t, n, Dispersion(np.zeros(len(t)))).run(z[:, None, :]).fitted
    smooth = curve["linear" if t.shape[1] == MIN_SIZES else "quadratic"][:, 0, :]
    p = expit(np.clip(smooth, z.min(1, keepdims=True), z.max(1, keepdims=True)))
    p = (p + (right.sum(1) / n.sum(1))[:, None]) / 2
    return z, (n + 1) * (n + 2) / (n * (n * p + 1) * (n * (1 - p) + 1))


def _working(x: Array, y: Array, n: Array, se: Array, scale: Scale) -> tuple[Array, Array, npt.NDArray[np.bool_]]:
    """Values on the working scale, their variance, and whether it is known."""
    if scale == "logit":
        known = np.asarray(np.isfinite(n).all(axis=1))
        z, variance = empirical_logits(np.log10(x), y, np.where(known[:, None], n, NOMINAL_ITEMS))
        return z, variance, known
    known = np.asarray((np.isfinite(se) & (se > 0)).all(axis=1))
    error = np.where(known[:, None], se, 1.0)
    if scale == "log":
        return np.log(y), np.where(known[:, None], (error / y) ** 2, 1.0), known
    return y.copy(), error**2, known


def inverse_link(z: Array, scale: Scale) -> Array:
    """Back from the working scale (in the direction of the metric)."""
    if scale == "logit":
        return np.asarray(expit(z))
    return np.exp(np.clip(z, -700, 700)) if scale == "log" else z


def read(
    frame: pl.DataFrame,
    x: str,
    y: str,
    by: Sequence[str],
    *,
    higher_is_better: bool | None,
    scale: Scale | None,
    ties: Literal["refuse", "mean"],
    chance: float | None,
    n_items: str | None,
    alike: Sequence[str] = (),
) -> Panel:
    """Check a frame and cut it into series.

    Raises
    ------
    DataError, UnknownNameError
        What :func:`classify` documents, naming the series.
    """
    keys = list(by)
    for name in [x, y, *keys, *alike, *([n_items] if n_items else [])]:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, "(x, y, by and n_items name columns of the frame)")
    items = n_items or ("n_items" if "n_items" in frame.columns else None)
    if frame.is_empty():
        raise DataError("the frame has no rows: there is no series to classify")
    for column in (x, y, *([items] if items else [])):
        if not frame[column].dtype.is_numeric():
            raise DataError(f"column {column!r} holds {frame[column].dtype}, not numbers", "cast it to Float64 first.")
    table = frame.with_columns(
        _series=(pl.struct(keys).rank("dense") if keys else pl.lit(1)).cast(pl.Int64) - 1,
        _x=pl.col(x).cast(pl.Float64),
        _y=pl.col(y).cast(pl.Float64),
        n_items=pl.col(items).cast(pl.Float64) if items else pl.lit(None, pl.Float64),
        std_error=pl.col("std_error").cast(pl.Float64) if "std_error" in frame.columns else pl.lit(None, pl.Float64),
    )
    missing = table.filter(
        ~pl.col("_x").is_finite().fill_null(value=False) | ~pl.col("_y").is_finite().fill_null(value=False)
    )
    if missing.height:
        raise DataError(
            f"{_name(missing, keys)}: {missing.height} of {table.height} rows lack a finite {x!r} or {y!r}",
            "filter them out first (frame.drop_nulls([...])), so that what is left out is your decision.",
        )
    if (table["_x"] <= 0).any():
        bad = table.filter(pl.col("_x") <= 0)
        raise DataError(
            f"{_name(bad, keys)}: {x} = {bad['_x'][0]:g} is not positive; trends are taken along its logarithm",
            "a step of 0 has no place on a logarithmic axis: filter it out.",
        )
    counted = table.filter(pl.col("n_items").is_not_null() & ~(pl.col("n_items") >= 1))
    if counted.height:
        raise DataError(f"{_name(counted, keys)}: n_items = {counted['n_items'][0]:g} is not a count of test items")
    _refuse_mixtures(table, keys)
    table = _merge_ties(table, keys, x, ties)
    about = _describe(table, keys, higher_is_better, scale, chance)
    pools = table.group_by("_series").agg(
        _pool=pl.struct(pl.col(alike)).first() if alike else pl.lit(0),
        _mixed=pl.struct(pl.col(alike)).n_unique() > 1 if alike else pl.lit(value=False),
    )
    if (mixed := pools.filter("_mixed")).height:
        bad = table.filter(pl.col("_series") == mixed["_series"].min())
        raise DataError(f"{_name(bad, keys)} has several values of {', '.join(map(repr, alike))} (alike=)")
    about = about.join(
        pools.select("_series", _pool=pl.col("_pool").rank("dense")), on="_series", maintain_order="left"
    )
    rows = _items_from_errors(table.select("_series", "_x", "_y", "n_items", "std_error"), about)
    return Panel(keys, about, rows)


def _name(table: pl.DataFrame, keys: Sequence[str], row: int = 0) -> str:
    if not keys:
        return "the series"
    return "series (" + ", ".join(f"{key}={table[key][row]!r}" for key in keys) + ")"


def _refuse_mixtures(table: pl.DataFrame, keys: Sequence[str]) -> None:
    """One metric, one number of shots, one task per series."""
    checked = [name for name in ONE_OF if name in table.columns and name not in keys]
    if not checked:
        return
    counts = table.group_by("_series", maintain_order=True).agg(pl.col(name).n_unique() for name in checked)
    for name in checked:
        mixed = counts.filter(pl.col(name) > 1)
        if mixed.height:
            rows = table.filter(pl.col("_series") == mixed["_series"][0])
            values = rows[name].unique(maintain_order=True).to_list()
            shown = ", ".join(map(repr, values[:4])) + (", ..." if len(values) > 4 else "")
            raise DataError(
                f"{_name(rows, keys)} mixes {len(values)} values of {name!r}: {shown}"
                + (f" ({mixed.height} series do)" if mixed.height > 1 else ""),
                f"add {name!r} to by=, or choose one value: a change of {name} along x is not a trend.",
            )


def _merge_ties(table: pl.DataFrame, keys: Sequence[str], x: str, ties: str) -> pl.DataFrame:
    tied = table.filter(pl.struct("_series", "_x").is_duplicated())
    if tied.is_empty():
        return table.sort("_series", "_x")
    if ties == "refuse":
        tied = tied.sort("_series", "_x")
        first = tied.filter((pl.col("_series") == tied["_series"][0]) & (pl.col("_x") == tied["_x"][0]))
        raise DataError(
            f"{_name(tied, keys)} has {first.height} values at {x} = {first['_x'][0]:g} "
            f"({tied['_series'].n_unique()} of {table['_series'].n_unique()} series have ties)",
            "name what tells them apart in by= (checkpoint, seed, corpus, family), or average them: ties='mean'.",
        )
    if ties != "mean":
        raise DataError(f"ties={ties!r} is unknown", "ties='refuse' or ties='mean'.")
    others = [name for name in table.columns if name not in ("_series", "_x", "_y", "n_items", "std_error")]
    # the same items each time: averaging does not multiply them
    return (
        table.group_by("_series", "_x", maintain_order=True)
        .agg(
            pl.col("_y").mean(),
            pl.col("n_items").mean(),
            pl.col("std_error").mean(),
            *(pl.col(c).first() for c in others),
        )
        .sort("_series", "_x")
    )


def _describe(
    table: pl.DataFrame, keys: Sequence[str], higher_is_better: bool | None, scale: Scale | None, chance: float | None
) -> pl.DataFrame:
    """One row per series, with everything but numbers settled."""
    first = [name for name in ("metric", "unit") if name in table.columns and name not in keys]
    levels = "chance_level" in table.columns and table["chance_level"].dtype.is_numeric()
    about = table.group_by("_series", maintain_order=True).agg(
        *(pl.col(name).first() for name in [*keys, *first]),
        n_sizes=pl.len().cast(pl.Int64),
        _low=pl.col("_y").min(),
        _high=pl.col("_y").max(),
        x_first=pl.col("_x").min(),
        x_last=pl.col("_x").max(),
        _has_items=pl.col("n_items").is_not_null().all(),
        chance_level=pl.lit(chance, pl.Float64)
        if chance is not None
        else (pl.col("chance_level").cast(pl.Float64).mean() if levels else pl.lit(None, pl.Float64)),
    )
    settled: dict[str, list[Any]] = {"scale": [], "sign": [], "reason": []}
    for row in about.iter_rows(named=True):
        name = "series (" + ", ".join(f"{key}={row[key]!r}" for key in keys) + ")" if keys else "the series"
        known = METRICS.get(row.get("metric") or "")
        unit = row.get("unit") or (known.units[0] if known is not None and len(known.units) == 1 else None)
        fraction = unit == "fraction" or (
            unit is None and (row["_has_items"] or (row["_low"] >= 0 and row["_high"] <= 1))
        )
        if fraction and (row["_high"] > 1 or row["_low"] < 0):
            percent = 1 < row["_high"] <= 100 and row["_low"] >= 0
            raise DataError(
                f"{name}: values run from {row['_low']:g} to {row['_high']:g}, but a score is a fraction from 0 to 1",
                "these look like percentages: divide by 100."
                if percent
                else "if this is no share of items, say so with a 'unit' column and leave n_items out.",
            )
        better = higher_is_better
        if better is None and known is not None:
            better = known.higher_is_better
        if better is None:
            if not fraction:
                raise DataError(
                    f"{name}: nothing says whether larger values are better",
                    "pass higher_is_better=False for a loss, or a column 'metric' with a name of the metrics table.",
                )
            better = True
        chosen: Scale = scale or _scale(row, unit, fraction=fraction)
        if chosen == "log" and row["_low"] <= 0:
            raise DataError(f"{name}: scale='log' needs positive values, found {row['_low']:g}")
        if chosen == "logit" and (row["_low"] < 0 or row["_high"] > 1):
            raise DataError(f"{name}: scale='logit' needs fractions, found {row['_low']:g} to {row['_high']:g}")
        settled["scale"].append(chosen)
        settled["sign"].append(1.0 if better else -1.0)
        reason = None
        if row["n_sizes"] < MIN_SIZES:
            sizes = "size" if row["n_sizes"] == 1 else "sizes"
            reason = f"only {row['n_sizes']} distinct {sizes}; a shape needs at least {MIN_SIZES}"
        settled["reason"].append(reason)
    return about.with_columns(
        pl.Series("scale", settled["scale"], dtype=pl.String),
        pl.Series("sign", settled["sign"], dtype=pl.Float64),
        pl.Series("reason", settled["reason"], dtype=pl.String),
    )


def _scale(row: dict[str, Any], unit: str | None, *, fraction: bool) -> Scale:
    if fraction:
        return "logit"
    return "log" if (unit or "").startswith("perplexity") and row["_low"] > 0 else "identity"


def _items_from_errors(rows: pl.DataFrame, about: pl.DataFrame) -> pl.DataFrame:
    """Fill in n_items of fractions from their standard errors: p (1 - p) / se^2 + 1, the median of a series.

    The harness divides by n - 1, and reports 0 at scores of 0 and 1, which say nothing and are left out.
    """
    p = pl.col("_y")
    inner = (p > 0) & (p < 1) & (pl.col("std_error") > 0)
    implied = pl.when(inner).then(p * (1 - p) / pl.col("std_error") ** 2 + 1)
    logit = about.filter(pl.col("scale") == "logit").select("_series", fraction=pl.lit(value=True))
    return (
        rows.join(logit, on="_series", how="left", maintain_order="left")
        .with_columns(implied=implied.median().over("_series"))
        .with_columns(
            n_items=pl.when(pl.col("n_items").is_null() & pl.col("fraction")).then("implied").otherwise("n_items")
        )
        .drop("fraction", "implied")
    )
