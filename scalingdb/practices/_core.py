"""The experiment that every practice repeats: fit the smaller models of a family, judge on its largest.

An *arm* is one way to choose the rows that are fitted. All arms of all families are fitted in one
:func:`scalingdb.fit_by` call and judged on the same rows: the end of the largest model's training.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL, html_table, percent
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits import as_frame, refuse_bad_values
from scalingdb.judging.fitting import fact_of, fit_sides
from scalingdb.judging.resampling import drawn_units, percentile_interval
from scalingdb.judging.scores import predicted, relative_error
from scalingdb.judging.words import finding
from scalingdb.law_library import Law, get_law
from scalingdb.schema import N_DEFINITIONS

if TYPE_CHECKING:
    import altair as alt

__all__ = ["ARM", "NO_LAW", "Families", "Practice", "compose", "judged", "read", "unscaled"]

ARM = "arm"
NO_LAW = "no law: the largest small model"

RESAMPLES = 4000
"""Bootstrap resamples of units."""

FEWEST_UNITS = 3
"""With fewer units there is no interval: a bootstrap of two values says nothing."""


FINDINGS = {"lower": "better", "higher": "worse", "noise": "indistinguishable", "unknown": "too few units"}
"""What is said of an arm whose error lies below or above that of the baseline."""


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
        Checkpoints kept of each run, evenly spaced in the order of training, the last one among them.

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
    inputs = _inputs(chosen, frame, scale, tokens)
    extra = [name for name, column in inputs.items() if name == column]
    refuse_bad_values(frame, extra, [name for name in extra if name not in chosen.signed_inputs])
    table = (
        frame.select(*(pl.col(column).alias(name) for name, column in needed.items()), *extra)
        .with_columns(pl.col("n", "d", "loss").cast(pl.Float64), pl.col("family", "unit", "run").cast(pl.String))
        .sort("family", "n", "run", "d", "loss")
        .with_columns(share=pl.col("d") / pl.col("d").max().over("family", "run"))
    )
    is_large = pl.col("n") == pl.col("n").max().over("family")
    sizes = table.group_by("family").agg(pl.col("n").n_unique())
    lonely = sizes.filter(pl.col("n") < 2)["family"].sort().to_list()
    table = table.filter(~pl.col("family").is_in(lonely))
    if table.is_empty():
        raise DataError(
            f"no family in column {by!r} holds two sizes of {scale!r}: nothing smaller predicts the largest",
            "give curves of several sizes per family, or say which columns name family and size: by=, scale=.",
        )
    last = pl.col("d") == pl.col("d").max().over("family", "run")
    target = table.filter(is_large).filter((pl.col("share") > 1 - tail) if tail else last)
    # evenly spaced in the order of training, and always the last; all readings of a checkpoint stay together
    back = pl.col("d").rank("dense", descending=True).over("family", "run") - 1
    n_checkpoints = pl.col("d").n_unique().over("family", "run")
    thinned = table.with_columns(is_large=is_large).filter(back % (1 + (n_checkpoints - 1) // checkpoints) == 0)
    small, largest = (thinned.filter(pl.col("is_large") == side).drop("is_large") for side in (False, True))
    return Families(small, target, largest, chosen, inputs)


def _inputs(law: Law, frame: pl.DataFrame, scale: str, tokens: str) -> dict[str, str]:
    """Column of the table of families for each input of a law.

    N is the column `scale` for whichever one count of N a law takes (total, active, without embeddings), and D is the
    column `tokens`. Every other input, such as the parameters of the vocabulary, must be a column of the frame.
    """
    counts = [name for name in law.inputs if name in N_DEFINITIONS]
    if len(counts) > 1:
        raise DataError(
            f"law {law.name!r} takes several counts of N: {', '.join(counts)}",
            "practices compare families by one size; choose a law of one N.",
        )
    columns = {name: "n" if name in counts else "d" if name == "n_tokens" else name for name in law.inputs}
    for name, column in columns.items():
        if name == column and name not in frame.columns:
            raise unknown_name("column", name, frame.columns, f"(input of law {law.name!r})")
        if name == column and name in {scale, tokens}:
            raise DataError(
                f"column {name!r} is both the model size or tokens and another input of law {law.name!r}",
                "name the columns of N and D: scale=, tokens=.",
            )
    return columns


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
        One row per fit: the keys, ``unit, n_models, n_rows, n_largest, n_target, scale_up`` (size of
        the target over that of the largest model fitted), ``error`` (mean absolute relative error
        on the target, a fraction), ``bias`` (mean signed one), ``error_fit``, ``verdict``, ``problem``
        (why there is no fit, else null).
    """
    law = law or families.law
    inputs = inputs or families.inputs
    fits, errors = fit_sides(rows, law, keys, inputs=inputs, output="loss", **{"by_run": False, **options})
    targets = {name: target for (name,), target in families.target.group_by("family")}
    records: list[dict[str, Any]] = []
    for key, fitted in fits.items():
        named = dict(zip(keys, key, strict=True))
        target = targets[named["family"]]
        relative = relative_error(predicted(fitted, target), target["loss"].to_numpy())
        records.append(
            {
                **named,
                "error": float(np.abs(relative).mean()),
                "bias": float(relative.mean()),
                "error_fit": fitted.glance()["mean_abs_rel_error"].item(),
                "verdict": str(fitted.verdict),
                "outcome": fitted.verdict.label,
                "problem": None,
            }
        )
    records += [{**dict(zip(keys, key, strict=True)), "problem": fact_of(error)} for key, error in errors.items()]
    schema = {
        **dict.fromkeys(("error", "bias", "error_fit"), pl.Float64),
        **dict.fromkeys(("verdict", "outcome", "problem"), pl.String),
    }
    results = pl.DataFrame(records, schema_overrides=schema, infer_schema_length=None)
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
        .join(results, on=list(keys), how="left", maintain_order="left")
    )


def unscaled(families: Families) -> pl.DataFrame:
    """The forecast without a law: the largest small model's loss at the same share of its run."""
    records = []
    for (name,), target in families.target.group_by("family", maintain_order=True):
        small = families.small.filter(pl.col("family") == name)
        small = small.filter(pl.col("n") == pl.col("n").max())
        longest = small.filter(pl.col("run") == small.sort("d", "run")["run"][-1]).sort("share", "loss")
        carried = np.asarray(np.interp(target["share"], longest["share"], longest["loss"]))
        relative = relative_error(carried, target["loss"].to_numpy())
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
    values: np.ndarray[Any, np.dtype[np.float64]], level: float, rng: int
) -> tuple[float | None, float | None]:
    """Percentile bootstrap of the mean; nothing where there are too few values."""
    if values.size < FEWEST_UNITS:
        return None, None
    means = values[drawn_units(values.size, RESAMPLES, rng)].mean(1)
    low, high = percentile_interval(means, level)
    return float(low), float(high)


@told
@dataclass(frozen=True, eq=False)
class Practice:
    """Errors of several arms on the same families. Made by the functions of :mod:`scalingdb.practices`.

    Attributes
    ----------
    rows : DataFrame
        One row per family and arm (and subset, where there are several): see :func:`tidy` for the
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

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per arm.

        Errors are averaged as logarithms, first within a unit (families that share models or data),
        then over units; intervals come from a bootstrap of the units. ``ratio`` compares an arm
        with the baseline on the units that both have: below 1 is better.

        Returns
        -------
        DataFrame
            ``arm, n_units, n_fits, n_failed, error, low, high, median_error, ratio, ratio_low,
            ratio_high, finding``. Errors are fractions.
        """
        check_level(level)
        return _arms(self.rows, self.arms, self.baseline, level, self.rng)

    def glance(self) -> pl.DataFrame:
        """One row: ``question, baseline, n_units, n_fits, n_failed, error`` of the baseline, and the ``best`` arm.

        ``best`` has the lowest ``ratio`` to the baseline of the arms that share at least half of its units;
        ``ratio, ratio_low, ratio_high, finding`` are those of :meth:`tidy`.
        """
        table = self.tidy()
        base, best = _base(table, self.baseline), _best(table, self.baseline)
        shown = ("ratio", "ratio_low", "ratio_high", "finding")
        row: dict[str, Any] = {"question": self.question, "baseline": self.baseline, "n_units": base["n_units"]}
        row |= {"n_fits": int(table["n_fits"].sum()), "n_failed": int(table["n_failed"].sum())}
        row |= {"error": base["error"], "best": best.get(ARM), **{name: best.get(name) for name in shown}}
        numbers = ("error", "ratio", "ratio_low", "ratio_high")
        kinds = {**dict.fromkeys(numbers, pl.Float64), **dict.fromkeys(("best", "finding"), pl.String)}
        return pl.DataFrame([row], schema_overrides=kinds)

    def augment(self) -> pl.DataFrame:
        """One row per fit: :attr:`rows`."""
        return self.rows

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        return _sentence(self.tidy(), self.baseline, self.question)

    def chart(self) -> alt.LayerChart:
        """Errors of every family and the mean of each arm with its interval (Altair)."""
        from scalingdb import charts

        drawn = charts.practice_arms(self.rows, self.tidy())
        return charts.headed_by_sentence(drawn, self.sentence, "Dots: families; bars: means with intervals.")

    def __repr__(self) -> str:
        return f"<Practice: {self.sentence}>"

    def _repr_html_(self) -> str:
        table = self.tidy()
        return f"<p>{html.escape(self.sentence)}</p>{html_table(table.columns, table.iter_rows())}"


def _arms(rows: pl.DataFrame, arms: Sequence[str], baseline: str, level: float, rng: int) -> pl.DataFrame:
    """See :meth:`Practice.tidy`."""
    usable = rows.filter(pl.col("error").is_finite() & (pl.col("error") > 0)).with_columns(
        log_error=pl.col("error").log()
    )
    per_unit = usable.group_by(ARM, "unit").agg(
        pl.col("log_error").mean(), pl.len().alias("n_fits"), pl.col("error").median().alias("median")
    )
    base = per_unit.filter(pl.col(ARM) == baseline).select("unit", base="log_error")
    records = []
    for arm in arms:
        units = per_unit.filter(pl.col(ARM) == arm).join(base, on="unit", how="left").sort("unit")
        n_failed = rows.filter((pl.col(ARM) == arm) & pl.col("error").is_null()).height
        record: dict[str, Any] = {ARM: arm, "n_units": units.height, "n_fits": int(units["n_fits"].sum())}
        record |= {"n_failed": n_failed, "error": None, "low": None, "high": None, "median_error": None}
        record |= {"ratio": None, "ratio_low": None, "ratio_high": None, "finding": "no fit"}
        if units.height:
            record |= dict(zip(("error", "low", "high"), _factor(units["log_error"], level, rng), strict=True))
            record["median_error"] = units["median"].median()
            record |= {"finding": "baseline"} if arm == baseline else _against(units.drop_nulls("base"), level, rng)
        records.append(record)
    numbers = ("error", "low", "high", "median_error", "ratio", "ratio_low", "ratio_high")
    return pl.DataFrame(records, schema_overrides=dict.fromkeys(numbers, pl.Float64), infer_schema_length=None)


def _factor(logarithms: pl.Series, level: float, rng: int) -> tuple[float, float | None, float | None]:
    """Geometric mean and its interval, from logarithms of units."""
    low, high = _interval(logarithms.to_numpy(), level, rng)
    ends = [None if end is None else float(np.exp(end)) for end in (low, high)]
    return float(np.exp(logarithms.to_numpy().mean())), ends[0], ends[1]


def _against(units: pl.DataFrame, level: float, rng: int) -> dict[str, Any]:
    """An arm against the baseline, on the units that both have."""
    if units.is_empty():
        return {"finding": "no common unit"}
    ratio, low, high = _factor(units["log_error"] - units["base"], level, rng)
    said = finding(None if low is None else low - 1, None if high is None else high - 1)
    return {"ratio": ratio, "ratio_low": low, "ratio_high": high, "finding": FINDINGS[said]}


def _base(table: pl.DataFrame, baseline: str) -> dict[str, Any]:
    return table.row(by_predicate=pl.col(ARM) == baseline, named=True)


def _best(table: pl.DataFrame, baseline: str) -> dict[str, Any]:
    """The arm of the lowest ratio, of those that have at least half of the baseline's units; empty if there is none."""
    n_units = _base(table, baseline)["n_units"]
    rivals = table.drop_nulls("ratio").filter(2 * pl.col("n_units") >= n_units).sort("ratio", maintain_order=True)
    return rivals.row(0, named=True) if rivals.height else {}


def _sentence(table: pl.DataFrame, baseline: str, question: str) -> str:
    base, best = _base(table, baseline), _best(table, baseline)
    if base["error"] is None:
        return f"{question}: {baseline!r} could not be fitted."
    span = "" if base["low"] is None else f" ({percent(base['low'])} to {percent(base['high'])})"
    start = (
        f"{question}: {baseline!r} errs by {percent(base['error'])}{span} over {base['n_units']} independent sets of "
        "models"
    )
    if not best:
        return start + "."
    span = "" if best["ratio_low"] is None else f", interval {best['ratio_low']:.2f} to {best['ratio_high']:.2f}"
    least = f"the lowest error is that of {best[ARM]!r}, {best['ratio']:.2f} times as much"
    return f"{start}; {least}{span} ({best['finding']})."
