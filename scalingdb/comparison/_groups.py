"""Comparisons of every group of a frame, with all fits of a law solved together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import polars as pl

from scalingdb._arguments import told
from scalingdb.comparison._compare import (
    Side,
    check_before_fit,
    compared,
    judge,
    options_of,
    splits_of,
)
from scalingdb.comparison._result import Comparison
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, ScalingDBError, unknown_name
from scalingdb.fits import Fit, fit_by
from scalingdb.judging.holdouts import Holdout, Split
from scalingdb.law_library import Law

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["Comparisons", "compare_by"]

CASE = "_case"
"""Column that numbers the training sides of all groups while they are fitted."""

Key = tuple[Any, ...]


@told
@dataclass(frozen=True, eq=False)
class Comparisons:
    """The same laws compared in every group of a frame. The verbs of :class:`Comparison`, with the keys in front.

    Attributes
    ----------
    by : tuple of str
    comparisons : mapping of key tuple to Comparison
    errors : mapping of key tuple to str
        Groups that could not be split, with the reason (only with ``on_error="record"``).
    """

    by: tuple[str, ...]
    comparisons: Mapping[Key, Comparison]
    errors: Mapping[Key, str]

    @property
    def keys(self) -> list[Key]:
        """The groups that were compared."""
        return list(self.comparisons)

    def items(self) -> Iterator[tuple[Key, Comparison]]:
        """Groups and their comparisons."""
        yield from self.comparisons.items()

    def __len__(self) -> int:
        return len(self.comparisons)

    def __getitem__(self, key: Any) -> Comparison:
        wanted = key if isinstance(key, tuple) else (key,)
        if wanted not in self.comparisons:
            raise unknown_name("group", str(wanted), map(str, self.comparisons), self.errors.get(wanted))
        return self.comparisons[wanted]

    def _stack(self, part: Callable[[Comparison], pl.DataFrame]) -> pl.DataFrame:
        frames = []
        for key, one in self.comparisons.items():
            labels = [pl.lit(value).alias(name) for name, value in zip(self.by, key, strict=True)]
            frames.append(part(one).select(*labels, pl.exclude(self.by)))
        return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()

    def tidy(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per group and law."""
        return self._stack(lambda one: one.tidy(level))

    def pairwise(self, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """One row per group and pair of laws."""
        return self._stack(lambda one: one.pairwise(level))

    def glance(self) -> pl.DataFrame:
        """One row per group."""
        return self._stack(Comparison.glance)

    def augment(self) -> pl.DataFrame:
        """One row per group, law and held-out run."""
        return self._stack(Comparison.augment)

    def __repr__(self) -> str:
        failed = f", {len(self.errors)} failed" if self.errors else ""
        return f"<Comparisons by {', '.join(self.by)}: {len(self.comparisons)} groups{failed}>"

    def _repr_html_(self) -> str:
        return str(self.glance()._repr_html_())


def compare_by(
    table: pl.DataFrame,
    chosen: Mapping[str, Law],
    rule: Holdout,
    by: str | Sequence[str],
    on_error: str,
    options: Mapping[str, Any],
    executor: Executor | None = None,
) -> Comparisons:
    """Compare the laws in every group; see :func:`compare`."""
    keys = (by,) if isinstance(by, str) else tuple(by)
    for name in keys:
        if name not in table.columns:
            raise unknown_name("column", name, table.columns, "(given in by)")
    groups = dict(table.sort(keys, maintain_order=True).group_by(keys, maintain_order=True))
    if not groups:
        raise DataError("the frame is empty: there are no groups to compare", "check the filters that led to it.")
    splits: dict[Key, list[Split]] = {}
    errors: dict[Key, str] = {}
    for key, part in groups.items():
        try:
            splits[key] = splits_of(rule, part)
        except ScalingDBError as error:
            _say_or_keep(error, keys, key, on_error)
            errors[key] = error.fact
    cases = [(key, split) for key, group in splits.items() for split in group]
    sides: dict[Key, dict[tuple[str, str], Side]] = {key: {} for key in splits}
    failed: dict[Key, dict[tuple[str, str], str]] = {key: {} for key in splits}
    for law in chosen.values():
        wanted = options_of(law, options)
        for (key, split), fitted in zip(cases, _fitted(law, cases, rule, wanted, executor), strict=True):
            try:
                if not isinstance(fitted, Fit):
                    raise fitted
                sides[key][law.name, split.name] = judge(law, split, fitted, wanted)
            except ScalingDBError as error:
                _say_or_keep(error, keys, key, on_error)
                failed[key][law.name, split.name] = error.fact
    made = {
        key: compared(chosen, groups[key], rule, len(splits[key]), sides[key], failed[key], options) for key in splits
    }
    return Comparisons(keys, MappingProxyType(made), MappingProxyType(errors))


def _fitted(
    law: Law,
    cases: Sequence[tuple[Key, Split]],
    rule: Holdout,
    options: Mapping[str, Any],
    executor: Executor | None,
) -> list[Fit | ScalingDBError]:
    """One law fitted to the training sides of all groups, in one batch; the error of a side in place of its fit."""
    results: dict[int, Fit | ScalingDBError] = {}
    frames = []
    for i, (_, split) in enumerate(cases):
        try:
            check_before_fit(law, split.train, split.test.height, rule.label, options)
            frames.append(split.train.with_columns(pl.lit(i, pl.Int64).alias(CASE)))
        except ScalingDBError as error:
            results[i] = error
    if frames:
        together = fit_by(pl.concat(frames), law, by=CASE, on_error="record", executor=executor, **options)
        for (i,), one in together.items():
            results[i] = replace(one, _table=one.data.drop(CASE), _span=None)
        results |= {i: error for (i,), error in together.errors.items()}
    return [results[i] for i in range(len(cases))]


def _say_or_keep(error: ScalingDBError, keys: Sequence[str], key: Key, on_error: str) -> None:
    """Raise an error under the name of its group, unless errors are recorded."""
    if on_error == "raise":
        label = ", ".join(f"{name}={value!r}" for name, value in zip(keys, key, strict=True))
        hint = 'on_error="record" compares the other groups and keeps this error.'
        raise type(error)(f"group {label}: {error.fact}", " ".join(filter(None, (error.hint, hint)))) from error
