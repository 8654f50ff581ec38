"""`fit_by`: one law, many groups, solved together."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Literal, get_args

import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, ScalingDBError, check_word, unknown_name
from scalingdb.fits._conclude import conclude_all
from scalingdb.fits._elsewhere import answers_of
from scalingdb.fits._facts import frozen, thawed
from scalingdb.fits._problem import Options, Problem, check_options, state_problem
from scalingdb.fits._result import Fit
from scalingdb.fits._rows import Data, as_frame
from scalingdb.fits._solve import fit, fit_with, no_start, own_starts
from scalingdb.law_library import Law, get_law

__all__ = ["Fits", "fit_by"]

BATCH_ELEMENTS = 1 << 17
"""Groups times starts times rows that are solved together: enough to spread the cost of a call."""

BATCHES = 8
"""Parts that smaller work is cut into all the same, so that several workers have something to do."""

OnError = Literal["raise", "record"]

GROUP_STARTS = 4
"""Starts of every group. Where fewer than two of them meet at the best objective, sixteen are tried."""


@told
@dataclass(frozen=True, eq=False)
class Fits:
    """One law fitted to every group of a frame. The verbs of :class:`Fit`, with the keys in front.

    Attributes
    ----------
    by : tuple of str
    fits : mapping of key tuple to Fit
    errors : mapping of key tuple to ScalingDBError
        Groups that could not be fitted, with the error of each (only with ``on_error="record"``).
    """

    by: tuple[str, ...]
    fits: Mapping[tuple[Any, ...], Fit]
    errors: Mapping[tuple[Any, ...], ScalingDBError]

    def __len__(self) -> int:
        return len(self.fits)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fits)

    def __getitem__(self, key: Any) -> Fit:
        wanted = key if isinstance(key, tuple) else (key,)
        if wanted not in self.fits:
            failure = self.errors.get(wanted)
            raise unknown_name("group", str(wanted), map(str, self.fits), str(failure) if failure else None)
        return self.fits[wanted]

    @property
    def keys(self) -> list[tuple[Any, ...]]:
        """The groups that were fitted."""
        return list(self.fits)

    def items(self) -> Iterator[tuple[tuple[Any, ...], Fit]]:
        """Groups and their fits."""
        yield from self.fits.items()

    def predict(self, frame: pl.DataFrame, level: float | None = None, **options: Any) -> pl.DataFrame:
        """Add each group's ``prediction`` to a frame with the columns of `by`; see :meth:`Fit.predict`.

        Raises
        ------
        DataError
            If a column is missing.
        UnknownNameError
            If a row belongs to none of the groups.
        """
        for name in self.by:
            if name not in frame.columns:
                raise DataError(f"the frame has no column {name!r}, by which the groups are known", "add it.")
        parts = frame.with_row_index("_row").partition_by(self.by, as_dict=True)
        made = [self[key].predict(part, level, **options) for key, part in parts.items()]
        return pl.concat(made, how="vertical_relaxed").sort("_row").drop("_row")

    def _stack(self, part: Callable[[Fit], pl.DataFrame]) -> pl.DataFrame:
        frames = []
        for key, item in self.fits.items():
            frame = part(item)
            labels = [pl.lit(value).alias(name) for name, value in zip(self.by, key, strict=True)]
            frames.append(frame.select(*labels, pl.exclude(self.by)))
        return pl.concat(frames, how="vertical_relaxed") if frames else pl.DataFrame()

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per group and parameter."""
        return self._stack(lambda item: item.tidy(level))

    def glance(self) -> pl.DataFrame:
        """One row per group."""
        return self._stack(Fit.glance)

    def augment(self) -> pl.DataFrame:
        """One row per observation."""
        return self._stack(Fit.augment)

    def __getstate__(self) -> dict[str, Any]:
        return thawed(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: frozen(value) for name, value in state.items()})

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<Fits by {', '.join(self.by)}: {len(self.fits)} groups{failed}>"

    def _repr_html_(self) -> str:
        return str(self.glance()._repr_html_())


def _batches(sizes: Sequence[int], n_starts: int) -> list[list[int]]:
    """Positions of groups, of so many rows, that are solved together: groups of like size first."""
    order = sorted(range(len(sizes)), key=lambda i: (sizes[i], i))
    total = n_starts * sum(sizes)
    limit = min(max(total // BATCHES, BATCH_ELEMENTS // 16), BATCH_ELEMENTS)
    batches: list[list[int]] = []
    for i in order:
        if batches and (len(batches[-1]) + 1) * n_starts * sizes[i] <= limit:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def _fit_batch(frames: Sequence[pl.DataFrame], law: Law, options: Options) -> list[Fit | ScalingDBError]:
    """Fit some groups; the error of a group takes the place of its fit."""
    from scalingdb.estimation import search

    form, kind = check_options(law, options)
    results: list[Fit | ScalingDBError | None] = [None] * len(frames)
    if options.priors or kind.name == "beta_binomial" or len(frames) == 1:
        # these need a fit before the fit
        for i, frame in enumerate(frames):
            try:
                results[i] = fit_with(frame, law, options)
            except ScalingDBError as error:
                results[i] = error
        return [result for result in results if result is not None]
    stated: dict[int, tuple[Problem, Data]] = {}
    for i, frame in enumerate(frames):
        try:
            stated[i] = state_problem(frame, form, kind, options)
        except ScalingDBError as error:
            results[i] = error
    if stated:
        first = next(iter(stated.values()))[0]
        optima = search.search_many(
            form.model,
            kind,
            [problem.rows for problem, _ in stated.values()],
            list(form.held.values()),
            own=own_starts(first, options),
            n_starts=options.n_starts,
            seed=options.search_seed,
        )
        solved = {}
        for (i, (problem, data)), found in zip(stated.items(), optima, strict=True):
            if found is None:
                results[i] = no_start(problem)
            else:
                solved[i] = (problem, data, found)
        for i, fitted in zip(solved, conclude_all(list(solved.values()), options, stacklevel=5), strict=True):
            results[i] = fitted
    return [result for result in results if result is not None]


@told
def fit_by(
    frame: pl.DataFrame | pl.LazyFrame,
    law: str | Law,
    *,
    by: str | Sequence[str],
    executor: Executor | None = None,
    on_error: OnError = "raise",
    **options: Any,
) -> Fits:
    """Fit a law to every group of a frame.

    Parameters
    ----------
    by : str or sequence of str
        Columns whose values make the groups.
    executor : concurrent.futures.Executor, optional
        Where the groups are fitted; in this process by default. Any executor does: threads,
        processes, or Dask's ``client.get_executor()`` for many machines. Groups travel in batches
        that depend on the groups alone, so every executor gives the same numbers.
    on_error : {"raise", "record"}
        Stop at the first group that cannot be fitted, or keep its error in ``Fits.errors``.
    **options
        As for :func:`fit`, with ``n_starts=4`` where nothing is said: groups on which these disagree
        get sixteen. Weights must be a column name.

    Raises
    ------
    FitError, DataError
        With ``on_error="raise"``: what :func:`fit` raises for the first such group, naming the group.
    UnknownNameError
        If a column of `by` does not exist.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> points = sdb.connect().points("gadre_overtraining")
    >>> sorted(sdb.fit_by(points, "gadre_overtrain", by="family"))
    [('c4',), ('redpajama',), ('refinedweb',)]
    """
    check_word(on_error, get_args(OnError), "on_error")
    known = [name for name in inspect.signature(fit).parameters if name not in {"frame", "law", "by", "shared"}]
    for name in options:
        if name not in known:
            raise unknown_name("option", name, known, "(of fit)")
    wanted = Options(**{"n_starts": GROUP_STARTS, **options})
    if wanted.weights is not None and not isinstance(wanted.weights, str):
        raise DataError("the weights of many groups must be a column", 'give its name: weights="<column>".')
    table = as_frame(frame)
    keys = (by,) if isinstance(by, str) else tuple(by)
    for name in keys:
        if name not in table.columns:
            raise unknown_name("column", name, table.columns, "(given in by)")
    chosen = get_law(law)
    check_options(chosen, wanted)
    table = table.sort(keys, maintain_order=True)
    groups = table.group_by(keys, maintain_order=True).agg(pl.len().alias("")).rows()
    if not groups:
        raise DataError("the frame is empty: there are no groups to fit", "check the filters that led to it.")
    sizes = [int(size) for *_, size in groups]
    spans = list(zip(accumulate(sizes, initial=0), sizes, strict=False))
    batches = _batches(sizes, wanted.n_starts)
    parts = ([table.slice(*spans[i]) for i in batch] for batch in batches)
    answers: Iterable[list[Fit | ScalingDBError]]
    if executor is None:
        answers = (_fit_batch(part, chosen, wanted) for part in parts)
    else:
        answers = answers_of(executor, _fit_batch, [(part, chosen, wanted) for part in parts])
    results: list[Fit | ScalingDBError] = [ScalingDBError("not fitted")] * len(sizes)
    for batch, answer in zip(batches, answers, strict=True):
        for i, result in zip(batch, answer, strict=True):
            # a frame of its own would be most of a small fit
            whole = isinstance(result, Fit) and result.data.height == sizes[i]
            results[i] = replace(result, _table=table, _span=spans[i]) if whole else result
    fits, errors = {}, {}
    for (*names, _), result in zip(groups, results, strict=True):
        key = tuple(names)
        if isinstance(result, Fit):
            fits[key] = result
            continue
        label = ", ".join(f"{name}={value!r}" for name, value in zip(keys, key, strict=True))
        if on_error == "raise":
            hint = 'on_error="record" fits the other groups and keeps this error.'
            raise type(result)(f"group {label}: {result.fact}", " ".join(filter(None, (result.hint, hint))))
        errors[key] = result
    return Fits(keys, MappingProxyType(fits), MappingProxyType(errors))
