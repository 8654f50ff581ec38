"""The experiment that every practice repeats: fit the smaller models of a family, judge on its largest.

An *arm* is one way to choose the rows that are fitted. All arms of all families are fitted in one
:func:`scalingdb.fit_by` call and judged on the same rows: the end of the largest model's training.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitWarning, unknown_name
from scalingdb.fits import as_frame, fit_by, refuse_bad_values
from scalingdb.law_library import Law, get_law

if TYPE_CHECKING:
    import altair as alt

__all__ = ["ARM", "NO_LAW", "Families", "Practice", "compose", "judged", "read", "unscaled"]

ARM = "arm"
NO_LAW = "no law: the largest small model"

RESAMPLES = 4000
"""Bootstrap resamples of units."""

FEWEST_UNITS = 3
"""With fewer units there is no interval: a bootstrap of two values says nothing."""


@dataclass(frozen=True, eq=False)
class Families:
    """Loss curves of several families under fixed column names, split into what may be fitted and what judges.

    Attributes
    ----------
    small : DataFrame
        Rows of every model but the largest: ``family, unit, run, n, d, share, loss`` and what else
        the law takes. ``share`` is the position in the run, 1 at its end.
    target : DataFrame
        The last part of the largest model's runs, same columns: it judges.
    largest : DataFrame
        All of the largest model's runs, thinned like the small ones: for donors of parameters.
    """

    small: pl.DataFrame
    target: pl.DataFrame
    largest: pl.DataFrame
    law: Law
    inputs: Mapping[str, str]


def compose(curves: pl.DataFrame, keys: list[str]) -> pl.Expr:
    """One label from several key columns."""
    return pl.concat_str([pl.col(key).cast(pl.String) for key in keys], separator=" / ", ignore_nulls=True)


def read(
    curves: object,
    law: str | Law,
    *,
    by: str,
    scale: str,
    tokens: str,
    output: str,
    run: str,
    unit: str | None,
    tail: float,
    checkpoints: int,
) -> Families:
    """Check a frame of curves and split it.

    Parameters
    ----------
    tail : float
        Share of the largest model's tokens that judges, counted from the end; 0 is the last checkpoint.
    checkpoints : int
        Rows kept of each run, evenly spaced in the order of training, the last one among them.

    Raises
    ------
    DataError
        If a column is missing or holds values that are not positive, or no family has two sizes.
    """
    frame, chosen = as_frame(curves), get_law(law)
    needed = {"family": by, "unit": unit or by, "run": run, "n": scale, "d": tokens, "loss": output}
    for name in needed.values():
        if name not in frame.columns:
            raise unknown_name(
                "column", name, frame.columns, "(name yours: by=, scale=, tokens=, output=, run=, unit=)"
            )
    if not 0 <= tail < 1:
        raise DataError(f"tail={tail!r} is not a share from 0 to below 1", "0.3 judges on the last 30 % of the tokens.")
    if checkpoints < 2:
        raise DataError(f"checkpoints={checkpoints!r}: a curve needs two", "50 is the default.")
    refuse_bad_values(frame, [scale, tokens, output], [scale, tokens, output])
    inputs, extra = {}, []
    for name in chosen.inputs:
        inputs[name] = "n" if name.startswith("n_params") else "d" if name == "n_tokens" else name
        if inputs[name] == name:
            if name not in frame.columns:
                raise unknown_name("column", name, frame.columns, f"(input of law {chosen.name!r})")
            extra.append(name)
    table = (
        frame.select(*(pl.col(column).alias(name) for name, column in needed.items()), *extra)
        .with_columns(pl.col("n", "d", "loss").cast(pl.Float64), pl.col("family", "unit", "run").cast(pl.String))
        .sort("family", "n", "run", "d")
        .with_columns(share=pl.col("d") / pl.col("d").max().over("family", "run"))
    )
    is_large = pl.col("n") == pl.col("n").max().over("family")
    sizes = table.group_by("family").agg(pl.col("n").n_unique())
    lonely = sizes.filter(pl.col("n") < 2)["family"].sort().to_list()
    table = table.filter(~pl.col("family").is_in(lonely))
    if table.is_empty():
        raise DataError(
            f"no family in column {by!r} holds two sizes of {scale!r}: nothing smaller predicts the largest",
            "give curves of several sizes a family, or say which columns name family and size: by=, scale=.",
        )
    last = pl.col("d") == pl.col("d").max().over("family", "run")
    target = table.filter(is_large).filter((pl.col("share") > 1 - tail) if tail else last)
    # evenly spaced in the order of training, and always the last row of a run
    back = pl.int_range(pl.len()).reverse().over("family", "run")
    thinned = table.with_columns(is_large=is_large).filter(
        back % (1 + (pl.len().over("family", "run") - 1) // checkpoints) == 0
    )
    small, largest = (thinned.filter(pl.col("is_large") == side).drop("is_large") for side in (False, True))
    return Families(small, target, largest, chosen, inputs)


def judged(
    families: Families,
    rows: pl.DataFrame,
    *,
    law: Law | None = None,
    inputs: Mapping[str, str] | None = None,
    keys: tuple[str, ...] = ("family", ARM),
    **options: Any,
) -> pl.DataFrame:
    """Fit every group of `rows` in one call, and judge each on the target of its family.

    Parameters
    ----------
    rows : DataFrame
        Rows of :attr:`Families.small` with the further `keys`.
    keys : tuple of str
        What names a fit; the family among them.

    Returns
    -------
    DataFrame
        One row a fit: the keys, ``unit, n_models, n_rows, n_largest, n_target, scale_up`` (size of
        the target over that of the largest model fitted), ``error`` (mean absolute relative error
        on the target, a fraction), ``bias`` (mean signed one), ``error_fit``, ``verdict``, ``problem``
        (why there is no fit, else null).
    """
    law = law or families.law
    inputs = inputs or families.inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)  # the verdict of every fit is a column of the result
        fits = fit_by(
            rows,
            law,
            by=list(keys),
            inputs=inputs,
            output="loss",
            **{"on_error": "record", "by_run": False, **options},
        )
    position = keys.index("family")
    targets = {name: part for (name,), part in families.target.group_by("family")}
    records = []
    for key, item in fits.fits.items():
        part = targets[key[position]]
        arrays = [part[inputs[name]].to_numpy() for name in law.inputs]
        predicted = np.broadcast_to(law.function(*arrays, **item.params), (part.height,))
        relative = predicted / part["loss"].to_numpy() - 1
        own = item.glance().row(0, named=True)
        records.append(
            {
                **dict(zip(keys, key, strict=True)),
                "error": float(np.abs(relative).mean()),
                "bias": float(relative.mean()),
                "error_fit": own["mean_abs_rel_error"],
                "verdict": str(item.verdict),
                "outcome": item.verdict.label,
                "problem": None,
            }
        )
    for key, error in fits.errors.items():
        records.append({**dict(zip(keys, key, strict=True)), "problem": str(error).split("\n")[0]})
    schema = {
        **dict.fromkeys(("error", "bias", "error_fit"), pl.Float64),
        **dict.fromkeys(("verdict", "outcome", "problem"), pl.String),
    }
    found = pl.DataFrame(records, schema_overrides=schema, infer_schema_length=None)
    about = rows.group_by(list(keys), maintain_order=True).agg(
        pl.col("unit").first(),
        n_models=pl.col("n").n_unique(),
        n_rows=pl.len(),
        n_largest=pl.col("n").max(),
    )
    goal = families.target.group_by("family").agg(n_target=pl.col("n").first())
    return (
        about.join(goal, on="family", how="left", maintain_order="left")
        .with_columns(scale_up=pl.col("n_target") / pl.col("n_largest"))
        .join(found, on=list(keys), how="left", maintain_order="left")
    )


def unscaled(families: Families) -> pl.DataFrame:
    """The forecast without a law: the largest small model's loss at the same share of its run."""
    records = []
    for (name,), target in families.target.group_by("family", maintain_order=True):
        small = families.small.filter(pl.col("family") == name)
        small = small.filter(pl.col("n") == pl.col("n").max())
        longest = small.filter(pl.col("run") == small.sort("d")["run"][-1]).sort("share")
        predicted = np.interp(target["share"], longest["share"], longest["loss"])
        relative = predicted / target["loss"].to_numpy() - 1
        records.append(
            {
                "family": name,
                ARM: NO_LAW,
                "unit": target["unit"][0],
                "n_models": 1,
                "n_rows": longest.height,
                "n_largest": longest["n"][0],
                "n_target": target["n"][0],
                "scale_up": target["n"][0] / longest["n"][0],
                "error": float(np.abs(relative).mean()),
                "bias": float(relative.mean()),
                "error_fit": None,
                "verdict": "no law",
                "problem": None,
            }
        )
    return pl.DataFrame(
        records,
        schema_overrides={"error_fit": pl.Float64, "problem": pl.String, "n_models": pl.UInt32, "n_rows": pl.UInt32},
    )


def _interval(
    values: np.ndarray[Any, np.dtype[np.float64]], level: float, seed: int
) -> tuple[float | None, float | None]:
    """Percentile bootstrap of the mean; nothing where there are too few values."""
    if values.size < FEWEST_UNITS:
        return None, None
    draws = np.random.default_rng(seed).integers(values.size, size=(RESAMPLES, values.size))
    low, high = np.quantile(values[draws].mean(1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Practice:
    """Errors of several arms on the same families. Made by the functions of :mod:`scalingdb.practices`.

    Attributes
    ----------
    rows : DataFrame
        One row a family and arm (and subset, where there are several): see :func:`tidy` for the
        columns that matter; ``error`` is the mean absolute relative error on the target, a fraction.
    arms : tuple of str
        In the order of the table.
    baseline : str
        The arm that the others are compared with.
    question : str
    """

    rows: pl.DataFrame
    arms: tuple[str, ...]
    baseline: str
    question: str
    rng: int = field(default=0, repr=False)

    def tidy(self, level: float = 0.95) -> pl.DataFrame:
        """One row an arm.

        Errors are averaged as logarithms, first within a unit (families that share models or data),
        then over units; intervals come from a bootstrap of the units. ``ratio`` compares an arm
        with the baseline on the units that both have: below 1 is better.

        Returns
        -------
        DataFrame
            ``arm, n_units, n_fits, n_failed, error, low, high, median_error, ratio, ratio_low,
            ratio_high, finding``. Errors are fractions.
        """
        good = self.rows.filter(pl.col("error").is_finite() & (pl.col("error") > 0)).with_columns(
            log_error=pl.col("error").log()
        )
        per_unit = good.group_by(ARM, "unit").agg(
            pl.col("log_error").mean(), pl.len().alias("n_fits"), pl.col("error").median().alias("median")
        )
        base = per_unit.filter(pl.col(ARM) == self.baseline).select("unit", base="log_error")
        records = []
        for arm in self.arms:
            part = per_unit.filter(pl.col(ARM) == arm).join(base, on="unit", how="left").sort("unit")
            failed = self.rows.filter((pl.col(ARM) == arm) & pl.col("error").is_null()).height
            record: dict[str, Any] = {ARM: arm, "n_units": part.height, "n_fits": int(part["n_fits"].sum())}
            record |= {"n_failed": failed, "error": None, "low": None, "high": None, "median_error": None}
            record |= {"ratio": None, "ratio_low": None, "ratio_high": None, "finding": "no fit"}
            if part.height:
                values = part["log_error"].to_numpy()
                low, high = _interval(values, level, self.rng)
                record |= {"error": float(np.exp(values.mean())), "median_error": part["median"].median()}
                record |= {"low": None if low is None else np.exp(low), "high": None if high is None else np.exp(high)}
                paired = part.drop_nulls("base")
                if arm == self.baseline:
                    record["finding"] = "baseline"
                elif paired.height:
                    difference = (paired["log_error"] - paired["base"]).to_numpy()
                    low, high = _interval(difference, level, self.rng)
                    record["ratio"] = float(np.exp(difference.mean()))
                    record["finding"] = "too few units"
                    if low is not None and high is not None:
                        record |= {"ratio_low": float(np.exp(low)), "ratio_high": float(np.exp(high))}
                        record["finding"] = "better" if high < 0 else "worse" if low > 0 else "not told apart"
                else:
                    record["finding"] = "no common unit"
            records.append(record)
        numbers = ("error", "low", "high", "median_error", "ratio", "ratio_low", "ratio_high")
        return pl.DataFrame(records, schema_overrides=dict.fromkeys(numbers, pl.Float64), infer_schema_length=None)

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        table = self.tidy()
        base = table.filter(pl.col(ARM) == self.baseline).row(0, named=True)
        if base["error"] is None:
            return f"{self.question}: {self.baseline!r} could not be fitted."
        start = (
            f"{self.question}: {self.baseline!r} errs by {_percent(base['error'])}{_range(base)} "
            f"over {base['n_units']} independent sets of models"
        )
        # arms are compared on the units that they share, and only where that is at least half of them
        rivals = table.drop_nulls("ratio").filter(2 * pl.col("n_units") >= base["n_units"]).sort("ratio")
        if rivals.is_empty():
            return start + "."
        best = rivals.row(0, named=True)
        span = "" if best["ratio_low"] is None else f", interval {best['ratio_low']:.2f} to {best['ratio_high']:.2f}"
        return (
            f"{start}; least against it is {best[ARM]!r}, {best['ratio']:.2f} times as much{span} ({best['finding']})."
        )

    def chart(self) -> alt.LayerChart:
        """Errors of every family and the mean of each arm with its interval (Altair)."""
        from scalingdb import charts

        return charts.practice_arms(self.rows, self.tidy())

    def __repr__(self) -> str:
        return f"<Practice: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.tidy()._repr_html_()}"


def _percent(value: float) -> str:
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def _range(row: Mapping[str, Any]) -> str:
    return "" if row["low"] is None else f" ({_percent(row['low'])} to {_percent(row['high'])})"
