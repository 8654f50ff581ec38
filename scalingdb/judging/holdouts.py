"""Which runs a law must predict without having seen them: by scale, by group, by a rule of your own.

A hold-out is a rule and its description. :func:`sdb.compare <scalingdb.compare>` fits the rows that the
rule leaves and judges the rows that it takes out; so does :mod:`sdb.arena <scalingdb.evidence.arena>`.

>>> import scalingdb as sdb
>>> sdb.holdouts.largest("n_params", 0.1)
<Holdout: the largest 10 % by n_params>
>>> sdb.holdouts.beyond("train_flops_6nd", 1e21)
<Holdout: the rows with train_flops_6nd beyond 1e+21>
>>> sdb.holdouts.each("family")
<Holdout: each family in turn>

None is random unless :func:`at_random` is asked for by name: the neighbours of a fitted run are no
test of extrapolation. ``sdb.largest`` is an alias of :func:`largest`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from scalingdb._arguments import tell, told
from scalingdb.errors import DataError, check_seed, unknown_name
from scalingdb.notices import at_the_shell
from scalingdb.schema import N_DEFINITIONS

__all__ = [
    "Holdout",
    "Split",
    "at_random",
    "beyond",
    "beyond_factor",
    "each",
    "few_runs",
    "groups",
    "largest",
    "where",
]

ROUNDING = 1e-9
"""Relative distance from a threshold within which a row is on it."""

MAX_NAMED = 4
"""Groups that a label lists before it counts them."""


@dataclass(frozen=True, eq=False)
class Split:
    """One side to fit and one to predict.

    Attributes
    ----------
    name : str
        The group that is held out, or the hold-out in words.
    train, test : DataFrame
    """

    name: str
    train: pl.DataFrame
    test: pl.DataFrame


@told
@dataclass(frozen=True)
class Holdout:
    """A rule that says which rows are held out, and its description.

    Attributes
    ----------
    label : str
        The rule in words.
    column : str or None
        The column that it looks at, if it is one.
    """

    label: str
    column: str | None
    _rule: Callable[[pl.DataFrame], Mapping[str, pl.Series]] = field(repr=False)
    _thin: Callable[[pl.DataFrame], pl.DataFrame] | None = field(default=None, repr=False)

    def folds(self, frame: pl.DataFrame) -> dict[str, pl.Series]:
        """Name and mask (true for rows held out) of each part that is held out in turn; mostly one.

        Raises
        ------
        UnknownNameError, DataError
            If the frame lacks the column, or its values cannot be used.
        """
        return dict(self._rule(frame))

    def mask(self, frame: pl.DataFrame) -> pl.Series:
        """True for rows that are held out, in any part.

        Raises
        ------
        UnknownNameError, DataError
            As :meth:`folds`.
        """
        held = pl.Series("held", np.zeros(frame.height, dtype=bool))
        for mask in self.folds(frame).values():
            held = held | mask
        return held

    def splits(self, frame: pl.DataFrame, *, allow_empty: bool = False) -> list[Split]:
        """The two sides of each part that is held out in turn; mostly one.

        Raises
        ------
        DataError
            If one side is empty, unless `allow_empty`.
        UnknownNameError, DataError
            As :meth:`folds`.
        """
        splits = []
        for name, mask in self.folds(frame).items():
            train, test = frame.filter(~mask), frame.filter(mask)
            if not allow_empty and (train.is_empty() or test.is_empty()):
                part = "" if name == self.label else f" (at {name})"
                raise DataError(
                    f"the hold-out ({self.label}){part} leaves {train.height} rows to fit and {test.height} to test",
                    "choose another column, fraction, threshold or group.",
                )
            splits.append(Split(name, self._thin(train) if self._thin else train, test))
        return splits

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<Holdout: {self.label}>"


def _one(label: str, column: str | None, rule: Callable[[pl.DataFrame], pl.Series]) -> Holdout:
    return Holdout(label, column, lambda frame: {label: rule(frame)})


def _largest(column: str) -> str:
    """How the largest tenth by a column is held out where the user is."""
    return f"--holdout {column}=0.1" if at_the_shell() else f"holdout=sdb.holdouts.largest({column!r}, 0.1)"


def _column(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of the frame; compute counts as 6 N D where the frame holds only N and D."""
    if name in frame.columns:
        return frame[name]
    if name not in {"train_flops_6nd", "train_flops"}:
        raise unknown_name("column", name, frame.columns, "(of the hold-out)")
    n = next((count for count in N_DEFINITIONS if count in frame.columns and not frame[count].null_count()), None)
    if n is None or "n_tokens" not in frame.columns:
        other = next((column for column in ("train_flops", "train_flops_6nd") if column in frame.columns), None)
        size = other or n or ("n_tokens" if "n_tokens" in frame.columns else None)
        raise DataError(
            f"the frame has no column {name!r} to hold out by, nor complete N and D to compute it from",
            f"hold out by another column, such as {_largest(size or '<column>')}.",
        )
    if name == "train_flops":
        raise DataError(
            "the frame has no column 'train_flops' to hold out by",
            "'train_flops_6nd' is computed from its N and D; or add the compute that was measured.",
        )
    for count in (n, "n_tokens"):
        if not frame[count].dtype.is_numeric():
            raise DataError(f"column {count!r} of the hold-out holds {frame[count].dtype}, not numbers")
    return (6 * frame[n].cast(pl.Float64) * frame["n_tokens"].cast(pl.Float64)).alias(name)


def _complete(values: pl.Series, height: int, *, kind: str = "missing") -> pl.Series:
    present = values.is_not_null()
    if values.dtype.is_float():
        present = present & values.is_not_nan().fill_null(value=False)
    n_missing = height - int(present.sum())
    if n_missing:
        raise DataError(
            f"column {values.name!r} of the hold-out has {n_missing} {kind} values of {height}",
            "hold out by another column, or filter those rows out first.",
        )
    return values


def _numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of the hold-out as complete numbers."""
    values = _column(frame, name)
    if not values.dtype.is_numeric():
        raise DataError(
            f"column {name!r} of the hold-out holds {values.dtype}, not numbers",
            f"groups({name!r}, ...) or each({name!r}) hold out by name." if values.dtype == pl.String else None,
        )
    return _complete(values, frame.height)


def _positive_count(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise DataError(f"{name}={value!r} is not a positive whole number", f"for example {name}=3.")
    return int(value)


@told
def largest(
    column: str, fraction: float | None = None, *, count: int | None = None, distinct: int | None = None
) -> Holdout:
    """Hold out the rows with the largest values of a column.

    Rows that tie with the smallest held-out value are held out too, so that a model size is never
    split between the two sides.

    Parameters
    ----------
    column : str
        For example ``"n_params"``, ``"n_tokens"``, ``"train_flops_6nd"``.
    fraction : float, optional
        Share of the rows, between 0 and 1.
    count : int, optional
        Number of rows instead.
    distinct : int, optional
        Number of different values instead: ``distinct=2`` holds out the two largest models with all
        their runs.

    Raises
    ------
    DataError
        If not exactly one of the three is given, or it leaves nothing on one side.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> points = sdb.connect().points("gadre_overtraining")
    >>> [int(sdb.largest("n_params", **how).mask(points).sum()) for how in ({"count": 3}, {"distinct": 2})]
    [3, 9]
    """
    if not isinstance(column, str):
        raise unknown_name("column", column, ())
    if sum(given is not None for given in (fraction, count, distinct)) != 1:
        raise DataError(
            "give one of fraction, count and distinct",
            "for example largest('n_params', 0.1), or largest('n_params', distinct=2).",
        )
    if fraction is not None:
        if not 0 < fraction < 1:
            raise DataError(f"fraction={fraction!r} is not between 0 and 1", "for example largest('n_params', 0.1).")
        share = fraction

        def by_share(frame: pl.DataFrame) -> pl.Series:
            values = _numbers(frame, column)
            rank = max(0, min(frame.height - 1, frame.height - round(share * frame.height)))
            return values >= values.sort()[rank] if frame.height else values > 0

        return _one(f"the largest {100 * share:g} % by {column}", column, by_share)
    if count is not None:
        wanted = _positive_count(count, "count")

        def by_count(frame: pl.DataFrame) -> pl.Series:
            values = _numbers(frame, column)
            return values >= values.sort()[max(0, frame.height - wanted)] if frame.height else values > 0

        return _one(
            f"the largest {wanted} rows by {column}" if wanted > 1 else f"the largest {column}", column, by_count
        )
    number = _positive_count(distinct, "distinct")

    def by_value(frame: pl.DataFrame) -> pl.Series:
        values = _numbers(frame, column)
        different = values.unique().sort()
        return values >= different[max(0, different.len() - number)] if frame.height else values > 0

    return _one(f"the {number} largest values of {column}" if number > 1 else f"the largest {column}", column, by_value)


def beyond(column: str, value: float) -> Holdout:
    """Hold out all that lies beyond a budget, a size or any other threshold.

    Parameters
    ----------
    column : str
        For example ``"train_flops_6nd"``.
    value : float
        In the unit of the column; rows at the value itself are fitted.

    Raises
    ------
    DataError
        If the value is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not np.isfinite(value):
        raise DataError(f"the threshold {value!r} is not a number", "for example beyond('train_flops_6nd', 1e21).")
    limit = float(value)
    return _one(f"the rows with {column} beyond {limit:.4g}", column, lambda frame: _numbers(frame, column) > limit)


def beyond_factor(column: str, factor: float) -> Holdout:
    """Hold out all that lies beyond the largest value divided by a factor.

    The farthest row then lies about that factor beyond the fitted ones.

    Parameters
    ----------
    column : str
        For example ``"train_flops_6nd"``.
    factor : float
        Above 1; rows at the threshold itself are fitted.

    Raises
    ------
    DataError
        If the factor is not above 1.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> rows = pl.DataFrame({"train_flops": [1e18, 1e19, 1e20, 1e21]})
    >>> sdb.holdouts.beyond_factor("train_flops", 10).mask(rows).to_list()
    [False, False, False, True]
    """
    if isinstance(factor, bool) or not isinstance(factor, (int, float, np.number)) or not 1 < factor < np.inf:
        raise DataError(f"factor={factor!r} is not a number above 1", "for example beyond_factor('train_flops', 10).")

    def rule(frame: pl.DataFrame) -> pl.Series:
        values = _numbers(frame, column)
        if frame.is_empty():
            return values > 0
        threshold = float(values.max()) / factor  # type: ignore[arg-type]
        return values > threshold * (1 + ROUNDING)

    return _one(f"the rows with {column} beyond 1/{factor:g} of the largest", column, rule)


def few_runs(rule: Holdout, count: int, *, draw: int = 0, draws: int = 3, along: str = "train_flops_6nd") -> Holdout:
    """The same rows held out, but only some of the others fitted: every k-th along a column.

    A systematic sample spreads over the whole range, as a small grid of one's own would.

    Parameters
    ----------
    rule : Holdout
    count : int
        Rows to fit; all where there are no more.
    draw, draws : int
        Which of how many samples: each begins elsewhere.
    along : str
        Column that the rows are ordered by; ties by ``n_params`` and ``run_id`` where the frame has them.

    Raises
    ------
    DataError
        If `count` or `draws` is not a positive whole number, or `draw` is not below `draws`.
    """
    wanted = _positive_count(count, "count")
    if not 0 <= draw < _positive_count(draws, "draws"):
        raise DataError(f"draw={draw!r} is not one of {draws} samples", f"count from 0: draw={draws - 1} is the last.")

    def thin(train: pl.DataFrame) -> pl.DataFrame:
        if train.height <= wanted:
            return train
        _column(train, along)
        ordered = train.sort(along, *(name for name in ("n_params", "run_id") if name in train.columns))
        step = train.height / wanted
        start = (draw + 0.5) / draws * step
        places = np.unique(np.floor(start + step * np.arange(wanted)).astype(int))
        return ordered.filter(pl.Series(np.isin(np.arange(ordered.height), places)))

    label = f"{rule.label}, fitted on a sample of {wanted} of the other rows ({draw + 1} of {draws})"
    return Holdout(label, rule.column, lambda frame: {label: rule.mask(frame)}, thin)


def groups(column: str, *values: Any) -> Holdout:
    """Hold out whole groups: a family, a corpus, a schedule. Rows without a value are fitted.

    Parameters
    ----------
    column : str
        For example ``"family"``, ``"schedule_name"``, ``"corpus"``.
    *values
        The groups to hold out together.

    Raises
    ------
    DataError
        If no value is given.
    UnknownNameError
        (When used) for a value that the column does not hold.
    """
    if not values:
        raise DataError("no group to hold out", "name some: groups('family', 'c4').")
    named = ", ".join(map(str, values[:MAX_NAMED])) + (
        f" and {len(values) - MAX_NAMED} more" if len(values) > MAX_NAMED else ""
    )

    def rule(frame: pl.DataFrame) -> pl.Series:
        column_values = _column(frame, column)
        present = column_values.drop_nulls().unique().to_list()
        for value in values:
            if value not in present:
                raise unknown_name("group", str(value), map(str, present), f"(values of column {column!r})")
        held = pl.Series(column, np.zeros(frame.height, dtype=bool))
        for value in values:
            held = held | (column_values == value).fill_null(value=False)
        return held

    return _one(f"{column} {named}", column, rule)


def each(column: str) -> Holdout:
    """Hold out every group in turn: the laws are fitted once without each, and judged on all of them.

    Parameters
    ----------
    column : str
        For example ``"family"``, or ``"n_params"`` to leave out one size at a time.

    Raises
    ------
    DataError
        (When used) if the column has missing values, or one value only.
    """

    def rule(frame: pl.DataFrame) -> dict[str, pl.Series]:
        values = _complete(_column(frame, column), frame.height)
        present = values.unique(maintain_order=True).sort().to_list()
        if len(present) < 2:
            raise DataError(
                f"column {column!r} of the hold-out has only one value ({present[0] if present else 'no row'})",
                "leaving out each group in turn needs at least two.",
            )
        names = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in present]
        if len(set(names)) < len(names):  # sizes that differ in the seventh digit
            names = [str(value) for value in present]
        return {name: values == value for name, value in zip(names, present, strict=True)}

    return Holdout(f"each {column} in turn", column, rule)


def where(condition: pl.Expr, label: str = "the rows held out") -> Holdout:
    """Hold out the rows for which an expression is true; null counts as false.

    Parameters
    ----------
    condition : Polars expression
        For example ``pl.col("split") == "validation"``.
    label : str
        The rule in words, for the sentence of the result.

    Raises
    ------
    DataError
        If it is no expression, or (when used) does not give true or false.
    """
    if not isinstance(condition, pl.Expr):
        raise DataError(
            f"a hold-out is a rule or an expression, not {type(condition).__name__}",
            "for example largest('n_params', 0.1), or pl.col('split') == 'validation'.",
        )

    def rule(frame: pl.DataFrame) -> pl.Series:
        try:
            mask = frame.select(condition).to_series()
        except pl.exceptions.ColumnNotFoundError as error:
            missing = [name for name in condition.meta.root_names() if name not in frame.columns]
            raise unknown_name(
                "column", missing[0] if missing else str(error), frame.columns, "(of the hold-out)"
            ) from None
        if mask.dtype != pl.Boolean:
            raise DataError(f"the hold-out expression gives {mask.dtype}, not true or false")
        return mask.fill_null(value=False)

    return _one(label, None, rule)


def at_random(fraction: float, *, rng: int, by: str | None = "run_id") -> Holdout:
    """Hold out rows drawn at random: a test of interpolation, not of extrapolation.

    Parameters
    ----------
    fraction : float
        Share of the runs (or groups, or rows), between 0 and 1.
    rng : int
        Seed; there is no default, so that the draw is your own.
    by : str or None
        Column whose groups stay together: checkpoints of one run on both sides would be no test at
        all. None draws rows; so does a frame without a ``run_id``.

    Raises
    ------
    DataError
        If the fraction is not between 0 and 1.
    """
    if not 0 < fraction < 1:
        raise DataError(f"fraction={fraction!r} is not between 0 and 1", "for example at_random(0.2, rng=0).")

    def rule(frame: pl.DataFrame) -> pl.Series:
        if by is None or (by == "run_id" and by not in frame.columns):
            keys = pl.Series("row", np.arange(frame.height))
        else:
            keys = _complete(_column(frame, by), frame.height)
        present = keys.unique().sort()
        number = int(np.clip(round(fraction * present.len()), 1, max(present.len() - 1, 1)))
        drawn = np.random.default_rng(check_seed(rng)).choice(present.len(), size=number, replace=False)
        return keys.is_in(present.gather(np.sort(drawn)).implode())

    kept = f" by {by}" if by not in (None, "run_id") else ""
    return _one(f"a random {100 * fraction:g} %{kept} (seed {rng})", by, rule)


tell(globals())
