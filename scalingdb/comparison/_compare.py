"""`compare`: several laws fitted to the same rows and judged on the same others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.comparison import _tables
from scalingdb.comparison._result import Comparison
from scalingdb.errors import DataError, FitError, ScalingDBError, check_seed, check_word, unknown_name
from scalingdb.fits import Fit, answers_of, as_frame, fit, refuse_bad_values
from scalingdb.judging.holdouts import Holdout, Split, largest, where
from scalingdb.judging.scores import LEVELS, relative_error, score
from scalingdb.law_library import Law, get_law
from scalingdb.schema import N_DEFINITIONS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from scalingdb.comparison._groups import Comparisons
    from scalingdb.estimation.model import FloatArray

__all__ = ["Side", "check_before_fit", "compare", "compared", "judge", "options_of", "splits_of"]


@overload
def compare(
    frame: pl.DataFrame | pl.LazyFrame,
    laws: str | Law | Sequence[str | Law],
    holdout: Holdout | pl.Expr | None = ...,
    *,
    bootstrap: int = ...,
    on_error: str = ...,
    rng: int = ...,
    by: None = ...,
    executor: Executor | None = ...,
    **options: Any,
) -> Comparison: ...


@overload
def compare(
    frame: pl.DataFrame | pl.LazyFrame,
    laws: str | Law | Sequence[str | Law],
    holdout: Holdout | pl.Expr | None = ...,
    *,
    bootstrap: int = ...,
    on_error: str = ...,
    rng: int = ...,
    by: str | Sequence[str],
    executor: Executor | None = ...,
    **options: Any,
) -> Comparisons: ...


@told
def compare(
    frame: pl.DataFrame | pl.LazyFrame,
    laws: str | Law | Sequence[str | Law],
    holdout: Holdout | pl.Expr | None = None,
    *,
    bootstrap: int = 200,
    on_error: str = "raise",
    rng: int = 0,
    by: str | Sequence[str] | None = None,
    executor: Executor | None = None,
    **options: Any,
) -> Comparison | Comparisons:
    """Fit several laws to the same rows and judge them on rows held out by scale or by group.

    Parameters
    ----------
    frame : DataFrame
        As for :func:`fit`.
    laws : sequence of str or Law
    holdout : Holdout or Polars expression
        A rule of :mod:`scalingdb.holdouts`, such as ``sdb.largest("n_params", 0.1)`` or
        ``sdb.holdouts.each("family")``; or an expression that is true for the rows to hold out, such
        as ``pl.col("split") == "validation"``. The largest tenth by compute (``train_flops_6nd``) if
        not given. Never random unless asked for by name: neighbours of a fitted run are no test of
        extrapolation.
    bootstrap : int
        Refits of every law on resampled training runs, the same resamples for all of them: intervals
        of errors and of their differences then cover the noise of the training runs, and prediction
        intervals come from the refits. 200 are enough to tell laws apart, 1000 for a publication. With 0
        only the held-out runs are resampled; the words then say so, because two equally good laws are
        called different too often (``benchmarks/compare_error_rates.py``).
    on_error : {"raise", "record"}
        What becomes of a law that cannot be fitted to these rows: an error that names it, or a row of
        the table with the reason as its verdict.
    rng : int
        Seed of all resampling.
    by : str or sequence of str, optional
        Columns whose values make groups: the laws are compared in each of them, and all groups of a law are fitted
        together (from four starts each, sixteen where these disagree).
    executor : concurrent.futures.Executor, optional
        Where the laws are fitted to the sides of the splits, as for :func:`fit_by`; numbers do not depend on it.
    **options
        As for :func:`fit`: ``objective``, ``fixed``, ``output``, ``weights`` (a column), ... An entry of ``inputs``
        applies to the laws that have the input.

    Returns
    -------
    Comparison
        ``tidy()`` (one row per law), ``pairwise()`` (one row per pair, and whether the difference is noise),
        ``glance()`` (one row),
        ``calibration()``, ``by(column)``, ``by_distance()``, ``held_out`` or ``augment()`` (one row per law and run),
        ``sentence``, ``chart(kind)``. With `by` a :class:`Comparisons`, which holds one for each group and stacks
        their tables.

    Raises
    ------
    DataError
        If the hold-out leaves nothing to fit or to test, no law is given, the laws predict different
        things, or one takes columns that the frame lacks.
    FitError
        If a law has more free parameters than rows are left to fit.
    ScalingDBError
        Whatever :func:`fit` refuses.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> points = sdb.connect().points("epoch_chinchilla")
    >>> laws = ["chinchilla", "kaplan_lnd"]
    >>> found = sdb.compare(points, laws, sdb.largest("n_params", 0.1))
    >>> found.tidy()["law"][0]
    'chinchilla'
    >>> found.pairwise()["verdict"][0]
    'chinchilla is better: not noise'

    Every corpus left out in turn, each law refitted without it:

    >>> gadre = sdb.connect().points("gadre_overtraining")
    >>> by_corpus = sdb.compare(gadre, "chinchilla", sdb.holdouts.each("family"), pool=True, bootstrap=0)
    >>> by_corpus.by("fold")["n_held_out"].to_list()
    [34, 35, 35]

    The laws are refitted on the same 200 resamples of the training runs. Without that the verdict holds for these
    fits only:

    >>> found.pairwise()["resampled"][0]
    'held-out runs and training runs'
    >>> fast = sdb.compare(points, laws, sdb.largest("n_params", 0.1), bootstrap=0)
    >>> fast.pairwise()["verdict"][0]
    'chinchilla is better among these fits: not noise'
    """
    table = as_frame(frame)
    chosen = _chosen(laws, options)
    check_word(on_error, ("raise", "record"), "on_error")
    rule = largest("train_flops_6nd", 0.1) if holdout is None else holdout
    if not isinstance(rule, Holdout):
        rule = where(rule)
    _refuse_unknown_inputs(chosen.values(), options.get("inputs") or {})
    options = {**options, "bootstrap": bootstrap, "rng": check_seed(rng)}
    if by is not None:
        from scalingdb.comparison._groups import compare_by

        return compare_by(table, chosen, rule, by, on_error, options, executor)
    splits = splits_of(rule, table)
    cases = [(law, split, options_of(law, options)) for law in chosen.values() for split in splits]
    if executor is None:
        sides: Iterable[Side | ScalingDBError] = (_side(*case, rule.label) for case in cases)
    else:
        sides = answers_of(executor, _side, [(*case, rule.label) for case in cases])
    results: dict[tuple[str, str], Side] = {}
    errors: dict[tuple[str, str], str] = {}
    for (law, split, _), side in zip(cases, sides, strict=True):
        if isinstance(side, Side):
            results[law.name, split.name] = side
        elif on_error == "raise":
            raise side
        else:
            errors[law.name, split.name] = side.fact
    return compared(chosen, table, rule, len(splits), results, errors, options)


@dataclass(frozen=True, eq=False)
class Side:
    """One law on one split: its held-out rows, errors (B, n) of its refits, and how intervals are made."""

    fit: Fit
    held_out: pl.DataFrame
    refits: FloatArray
    how: str


def _chosen(laws: str | Law | Sequence[str | Law], options: Mapping[str, Any]) -> dict[str, Law]:
    """The laws by name, if they can be compared."""
    chosen = {entry.name: entry for entry in map(get_law, [laws] if isinstance(laws, (str, Law)) else laws)}
    if not chosen:
        raise DataError("no law to compare", "name some: compare(frame, ['chinchilla', 'kaplan_lnd']).")
    outputs = {entry.output for entry in chosen.values()}
    if len(outputs) > 1 and not options.get("output"):
        raise DataError(
            "the laws predict different things: "
            + ", ".join(f"{entry.name} {entry.output}" for entry in chosen.values()),
            'compare laws of one output, or name the column that all of them are to predict: output="loss".',
        )
    if options.get("weights") is not None and not isinstance(options["weights"], str):
        raise DataError("weights must be the name of a column: only some of the rows are fitted")
    return chosen


def splits_of(rule: Holdout, table: pl.DataFrame) -> list[Split]:
    """Both sides of each split; ``row`` of the test side is its place in the frame.

    Rows are put in an order that depends on their content alone, so that random draws do not depend on theirs.
    """
    keys = [name for name, kind in table.schema.items() if kind.is_numeric() or kind in (pl.String, pl.Boolean)]
    if table.is_empty() or not keys:
        raise DataError("the frame has no rows, or no columns of numbers or text", "db.points('<source>') gives some.")
    order = table.select(pl.arg_sort_by(keys).cast(pl.Int64)).to_series()
    ordered = table[order]
    numbered = ordered.with_columns(order.alias("row"))
    masks = rule.folds(ordered).values()
    return [
        Split(split.name, split.train, numbered.filter(mask))
        for split, mask in zip(rule.splits(ordered), masks, strict=True)
    ]


def _refuse_unknown_inputs(laws: Iterable[Law], inputs: Mapping[str, str]) -> None:
    """An input may be missing from some of the laws, but not from all."""
    known = list(dict.fromkeys(name for law in laws for name in law.inputs))
    for name in inputs:
        if name not in known:
            raise unknown_name("input", name, known, "(of the laws that are compared)")


def options_of(law: Law, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for the fit of one law: of the columns named for inputs, those that it takes."""
    inputs = {name: column for name, column in (options.get("inputs") or {}).items() if name in law.inputs}
    return {**options, "inputs": inputs or None}


def judge(law: Law, split: Split, fitted: Fit, options: Mapping[str, Any]) -> Side:
    """Predict the other side of a fit."""
    refuse_bad_values(split.test, [fitted.recipe.output], [])
    held_out, refits, how = _held_out(law.name, split.name, fitted, split.train, split.test, options["rng"])
    return Side(fitted, held_out, refits, how)


def compared(
    chosen: Mapping[str, Law],
    table: pl.DataFrame,
    rule: Holdout,
    n_splits: int,
    results: Mapping[tuple[str, str], Side],
    errors: Mapping[tuple[str, str], str],
    options: Mapping[str, Any],
) -> Comparison:
    """Results of all laws and sides put together."""
    by_law = {name: [side for (law, _), side in results.items() if law == name] for name in chosen}
    summary = pl.concat(
        _tables.fitted_errors(
            name,
            [side.fit for side in sides],
            [side.how for side in sides],
            [text for (law, _), text in errors.items() if law == name],
        )
        for name, sides in by_law.items()
    )
    fits = {(key[0] if n_splits == 1 else key): side.fit for key, side in results.items()}
    parts = [side.held_out.sort("row") for side in results.values()]
    outputs = [side.fit.recipe.output for side in results.values()]
    return Comparison(
        fits=MappingProxyType(fits),
        held_out=pl.concat(parts) if parts else _nothing(table.with_columns(row=pl.int_range(pl.len()))),
        label=rule.label,
        output=outputs[0] if outputs else options.get("output") or next(iter(chosen.values())).output,
        errors=MappingProxyType(dict(errors)),
        _fitted=summary,
        _refits=MappingProxyType(_shared_refits({name: sides for name, sides in by_law.items() if sides})),
        _size=_size_column(table, rule),
        _rng=options["rng"],
    )


def _shared_refits(by_law: Mapping[str, Sequence[Side]]) -> dict[str, FloatArray]:
    """Errors of refits in the order of the rows, of laws that were resampled in the same way.

    Only those share their resamples: a law with about as many parameters as there are runs resamples rows in place
    of runs.
    """
    resampled = {
        name: frozenset(side.fit.recipe.resampled for side in sides)
        for name, sides in by_law.items()
        if all(side.refits.shape[0] for side in sides)
    }
    commonest = max(resampled.values(), key=list(resampled.values()).count, default=frozenset())
    shared = {}
    for name, how in resampled.items():
        if how == commonest:
            order = np.argsort(np.concatenate([side.held_out["row"].to_numpy() for side in by_law[name]]))
            shared[name] = np.concatenate([side.refits for side in by_law[name]], axis=1)[:, order]
    return shared


def _side(law: Law, split: Split, options: Mapping[str, Any], label: str) -> Side | ScalingDBError:
    """Fit one law to a training side and judge it on the other, or why that cannot be."""
    try:
        check_before_fit(law, split.train, split.test.height, label, options)
        return judge(law, split, fit(split.train, law, **options), options)
    except ScalingDBError as error:
        return error


def check_before_fit(law: Law, train: pl.DataFrame, n_test: int, label: str, options: Mapping[str, Any]) -> None:
    """Refuse a side that a law cannot be fitted to. `label` says in words what was held out.

    Raises
    ------
    DataError, FitError
        If a column is missing, or there are fewer rows than free parameters.
    """
    _refuse_lacking(law, train, options)
    n_free = len(law.params) - len(options.get("fixed") or {}) - len(options.get("tied") or {})
    if train.height < n_free:
        raise FitError(
            f"the hold-out ({label}) leaves {train.height} rows to fit and {n_test} to test: too few for the "
            f"{n_free} free parameters of law {law.name!r}",
            'hold out less, fix parameters (fixed={...}), leave the law out, or pass on_error="record".',
        )


def _refuse_lacking(law: Law, frame: pl.DataFrame, options: Mapping[str, Any]) -> None:
    """Name every column that a law takes and a frame lacks; `fit` itself stops at the first."""
    given = options.get("inputs") or {}
    counts = any(name in frame.columns and frame[name].null_count() == 0 for name in N_DEFINITIONS)
    lacking = []
    for name in law.inputs:
        column = given.get(name, name)
        if column in N_DEFINITIONS and counts:
            continue  # another count of N stands in
        if column not in frame.columns:
            lacking.append(column)
        elif frame[column].null_count() == frame.height:
            lacking.append(f"{column} (no value)")
    if lacking:
        plural = "s" if len(lacking) > 1 else ""
        raise DataError(
            f"law {law.name!r} takes column{plural} that the frame lacks: {', '.join(lacking)}",
            'leave the law out, name other columns with inputs={...}, or pass on_error="record".',
        )


def _size_column(frame: pl.DataFrame, rule: Holdout) -> str | None:
    """The column that the largest model is known by: N, else what the hold-out looks at."""
    for name in (*_tables.RATIOS["n_ratio"], rule.column):
        if name in frame.columns and frame[name].dtype.is_numeric() and frame[name].null_count() < frame.height:
            return name
    return None


def _held_out(
    law: str, fold: str, fitted: Fit, train: pl.DataFrame, test: pl.DataFrame, rng: int
) -> tuple[pl.DataFrame, FloatArray, str]:
    """Held-out rows with predictions and scores, errors (B, n) of refits, and how intervals are made."""
    scores = score(fitted, test, rng)
    observed = test[fitted.recipe.output].cast(pl.Float64).to_numpy()
    with np.errstate(all="ignore"):
        relative = relative_error(scores.prediction, observed)
        log_error = np.log(scores.prediction / observed)
        refitted = (
            np.abs(relative_error(fitted.simulate(test, noise=False), observed))
            if fitted.samples.shape[0]
            else np.empty((0, 0))
        )
    columns: dict[str, Any] = {"prediction": scores.prediction}
    for level in LEVELS:
        mark = "" if level == max(LEVELS) else f"_{100 * level:.0f}"
        columns[f"low{mark}"], columns[f"high{mark}"] = scores.ends[level]
    columns |= {"relative_error": relative, "log_error": log_error}
    columns |= {"log_score": scores.log_score, "crps": scores.crps, "pit": scores.pit}
    # what is not known is null, not nan: means leave it out, comparisons are not true
    known = [
        pl.Series(name, values, dtype=pl.Float64, nan_to_null=name != "relative_error")
        for name, values in columns.items()
    ]
    for name, places in _tables.RATIOS.items():
        for place in places:
            if place in train.columns and train[place].dtype.is_numeric() and train[place].null_count() < train.height:
                most = train[place].cast(pl.Float64).max()
                known.append((test[place].cast(pl.Float64) / most).alias(name))
                break
    own = {"law", "fold", *(series.name for series in known)}
    frame = pl.DataFrame(
        [pl.Series("law", [law] * test.height), pl.Series("fold", [fold] * test.height), test["row"], *known]
    )
    return frame.hstack(test.drop("row", *(own & set(test.columns)))), refitted, scores.how


def _nothing(numbered: pl.DataFrame) -> pl.DataFrame:
    """Held-out rows of no law, with all columns that there would have been."""
    columns = ["prediction", *(f"{end}{mark}" for mark in ("", "_50", "_80") for end in ("low", "high"))]
    columns += ["relative_error", "log_error", "log_score", "crps", "pit"]
    empty = numbered.clear()
    own = {"law", "fold", *columns}
    return pl.DataFrame(
        schema={"law": pl.String, "fold": pl.String, "row": pl.Int64, **dict.fromkeys(columns, pl.Float64)}
    ).hstack(empty.drop("row", *(own & set(empty.columns))))
