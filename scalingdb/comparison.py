"""Which law predicts the runs it has not seen? Fit on the small ones, judge on the large ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from scalingdb.errors import DataError, unknown_name
from scalingdb.fits import Fit, as_frame, fit, refuse_bad_values
from scalingdb.law_library import Law, get_law

if TYPE_CHECKING:
    import altair as alt

__all__ = ["Comparison", "Holdout", "compare", "largest"]


@dataclass(frozen=True)
class Holdout:
    """A rule that says which rows are held out, and how to say it in words."""

    label: str
    column: str
    fraction: float

    def mask(self, frame: pl.DataFrame) -> pl.Series:
        """True for rows that are held out.

        Raises
        ------
        UnknownNameError, DataError
            If the column is missing or holds no numbers.
        """
        if self.column not in frame.columns:
            raise unknown_name("column", self.column, frame.columns, "(of the hold-out)")
        values = frame[self.column]
        if not values.dtype.is_numeric():
            raise DataError(f"column {self.column!r} of the hold-out holds {values.dtype}, not numbers")
        n_missing = frame.height - int(values.is_not_nan().sum())
        if n_missing:
            raise DataError(
                f"column {self.column!r} of the hold-out has {n_missing} missing values of {frame.height}",
                "hold out by another column, or filter those rows out first.",
            )
        rank = max(0, min(frame.height - 1, frame.height - round(self.fraction * frame.height)))
        held: pl.Series = values >= values.sort()[rank]
        return held


def largest(column: str, fraction: float) -> Holdout:
    """Hold out the rows with the largest values of a column.

    Rows that tie with the smallest held-out value are held out too, so that a model size is never
    split between the two sides.

    Parameters
    ----------
    column : str
        For example ``"n_params"``, ``"n_tokens"``, ``"train_flops_6nd"``.
    fraction : float
        Share of the rows, between 0 and 1.

    Raises
    ------
    DataError
        If the fraction leaves nothing on one side.
    """
    if not 0 < fraction < 1:
        raise DataError(f"fraction={fraction!r} is not between 0 and 1", "for example largest('n_params', 0.1).")
    return Holdout(f"the largest {100 * fraction:g} % by {column}", column, fraction)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Several laws on the same rows, judged on the same held-out rows. Made by :func:`compare`.

    Attributes
    ----------
    fits : mapping of str to Fit
    held_out : DataFrame
        One row a law and held-out observation: ``law, prediction, low, high, relative_error``
        and the columns of the frame.
    label : str
        The hold-out in words.
    """

    fits: Mapping[str, Fit]
    held_out: pl.DataFrame
    label: str
    output: str = field(repr=False)

    def tidy(self) -> pl.DataFrame:
        """One row a law, best first.

        Returns
        -------
        DataFrame
            ``law, n_free, n_fit, n_held_out``, mean absolute relative error of the rows fitted
            (``error_fit``) and held out (``error_held_out``), its median and maximum, the mean
            signed one (``bias_held_out``), the share of held-out rows inside the 95 % prediction
            interval (``coverage``), the objective, and the verdict. Errors are fractions.
        """
        held = self.held_out.group_by("law").agg(
            n_held_out=pl.len(),
            error_held_out=pl.col("relative_error").abs().mean(),
            median_error_held_out=pl.col("relative_error").abs().median(),
            max_error_held_out=pl.col("relative_error").abs().max(),
            bias_held_out=pl.col("relative_error").mean(),
            coverage=pl.col(self.output).is_between("low", "high").mean(),
        )
        fitted = pl.concat(
            item.glance().select(
                "law", "n_free", "objective", "verdict", n_fit="n_rows", error_fit="mean_abs_rel_error"
            )
            for item in self.fits.values()
        )
        columns = [
            "law",
            "n_free",
            "n_fit",
            "n_held_out",
            "error_fit",
            "error_held_out",
            "median_error_held_out",
            "max_error_held_out",
            "bias_held_out",
            "coverage",
            "objective",
            "verdict",
        ]
        return fitted.join(held, on="law").select(columns).sort("error_held_out")

    @property
    def sentence(self) -> str:
        """The result as a person would say it."""
        table = self.tidy()
        first = table.row(0, named=True)
        error = _percent(first["error_held_out"])
        start = f"On {self.label} ({first['n_held_out']} runs), {first['law']} is off by {error} on average"
        if table.height == 1:
            return start + "."
        second = table.row(1, named=True)
        ratio = second["error_held_out"] / max(first["error_held_out"], 1e-300)
        return f"{start}, {second['law']} by {_percent(second['error_held_out'])} ({ratio:.1f} times as much)."

    def chart(self) -> alt.Chart:
        """Relative error of every held-out run, a row a law (Altair)."""
        from scalingdb import charts

        return charts.held_out_errors(self.held_out)

    def __repr__(self) -> str:
        return f"<Comparison of {', '.join(self.fits)}: {self.sentence}>"

    def _repr_html_(self) -> str:
        return f"<p>{self.sentence}</p>{self.tidy()._repr_html_()}"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def compare(
    frame: pl.DataFrame | pl.LazyFrame,
    laws: str | Law | Sequence[str | Law],
    holdout: Holdout | pl.Expr | None = None,
    **options: Any,
) -> Comparison:
    """Fit several laws to the same rows and judge them on rows held out by scale.

    Parameters
    ----------
    frame : DataFrame
        As for :func:`fit`.
    laws : sequence of str or Law
    holdout : Holdout or Polars expression
        :func:`largest`, or an expression that is true for the rows to hold out, such as
        ``pl.col("split") == "validation"``. The largest tenth by compute (``train_flops_6nd``) if
        not given. Never random: neighbours of a fitted run are no test of extrapolation.
    **options
        As for :func:`fit`.

    Raises
    ------
    DataError
        If the hold-out leaves no rows on one side, or no law is given.
    ScalingDBError
        Whatever :func:`fit` refuses.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> points = sdb.connect().points("epoch_chinchilla")
    >>> sdb.compare(points, ["chinchilla", "kaplan_lnd"], sdb.largest("n_params", 0.1)).tidy()["law"][0]
    'chinchilla'
    """
    table = as_frame(frame)
    chosen = {entry.name: entry for entry in map(get_law, [laws] if isinstance(laws, (str, Law)) else laws)}
    if not chosen:
        raise DataError("no law to compare", "name some: compare(frame, ['chinchilla', 'kaplan_lnd']).")
    rule = holdout if holdout is not None else largest("train_flops_6nd", 0.1)
    if isinstance(rule, Holdout):
        mask, label = rule.mask(table), rule.label
    elif isinstance(rule, pl.Expr):
        mask, label = table.select(rule).to_series(), "the rows held out"
        if mask.dtype != pl.Boolean:
            raise DataError(f"the hold-out expression gives {mask.dtype}, not true or false")
        mask = mask.fill_null(value=False)
    else:
        raise DataError(
            f"a hold-out is a rule or an expression, not {type(rule).__name__}",
            "for example largest('n_params', 0.1), or pl.col('split') == 'validation'.",
        )
    train, test = table.filter(~mask), table.filter(mask)
    if train.is_empty() or test.is_empty():
        raise DataError(
            f"the hold-out leaves {train.height} rows to fit and {test.height} to test",
            "choose another column or fraction.",
        )
    fits, parts = {}, []
    for entry in chosen.values():
        item = fit(train, entry, **options)
        fits[entry.name] = item
        output = item.recipe["output"]
        refuse_bad_values(test, [output], [])
        predicted = item.predict(test, interval=0.95)
        parts.append(
            predicted.select(
                pl.lit(entry.name).alias("law"),
                pl.all(),
                relative_error=pl.col("prediction") / pl.col(output).cast(pl.Float64) - 1,
            )
        )
    return Comparison(MappingProxyType(fits), pl.concat(parts), label, output)
