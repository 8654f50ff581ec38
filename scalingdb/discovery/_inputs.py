"""What the columns of a table are to a search: sizes, knobs, shares; and which tables cannot be searched at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from scalingdb.errors import DataError, unknown_name

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Input", "Kind", "Table", "read_table"]

Kind = Literal["size", "knob", "count", "share", "open", "signed"]
"""What an input is.

``size`` grows with a study (parameters, tokens, compute); a ``knob`` is set and has a best value (learning rate,
batch); a ``count`` begins at one (experts, streams, epochs); ``share`` is a part of a mixture; ``open`` may be zero;
``signed`` may be negative, as the logarithm of something else.
"""

KNOBS = re.compile(r"(^|_)(lr|learning_rate|eta|batch|bsz|bs|dropout|weight_decay|momentum|warmup)(_|$)", re.IGNORECASE)
SHARES = re.compile(r"share|proportion|prop_|_prop|mixture|domain|fraction|ratio", re.IGNORECASE)
COUNTS = re.compile(r"expert|stream|parallel|member|epoch|head|repeat|sample", re.IGNORECASE)
OTHERS = re.compile(r"vocab|latent|width|depth|layer|d_model|head|context|active_|rank", re.IGNORECASE)
PARAMS = re.compile(r"(^|_)(n_)?(params?|parameters?|model_size|size)(_|$)|^n$", re.IGNORECASE)
TOKENS = re.compile(r"token|(^|_)tok(s)?(_|$)|data|^d$|characters|examples|(^|_)n_samples", re.IGNORECASE)
UNIQUE = re.compile(r"uniq|distinct", re.IGNORECASE)
COMPUTE = re.compile(r"flop|compute|^c$|gpu_hours|n_steps", re.IGNORECASE)
LOGARITHM = re.compile(r"^(log|ln)(10|2)?_|_log$", re.IGNORECASE)
SCORES = re.compile(r"accuracy|score|brier|reward|pass|win|_acc|acc_|exact_match|error_rate", re.IGNORECASE)
LOSSES = re.compile(r"loss|perplexity|bits|entropy|nll", re.IGNORECASE)

CLEAR = 4.0
"""Standard errors above 0 at which the curvature along an input is no chance."""

FEWEST_ROWS = 8
FEWEST_VALUES = 3
TIED = 0.5
"""Share of the outputs that may have one and the same value."""


@dataclass(frozen=True)
class Input:
    """One input of the laws that are searched.

    Attributes
    ----------
    name : str
        The column.
    kind : Kind
    reference : float
        What the input is measured in, so that a term's scale has the unit of the output: the geometric mean, to two
        digits; the mean of a ``signed`` input; the least positive value of an ``open`` one; the least value of a
        ``count``.
    falls : bool
        Whether the output is known to fall where the input grows: parameters, data and compute against a loss.
    role : str
        ``params``, ``tokens``, ``unique``, ``compute`` or nothing.
    n_values : int
    """

    name: str
    kind: Kind
    reference: float
    falls: bool
    role: str
    n_values: int

    def log(self, values: FloatArray) -> FloatArray:
        """The input on the scale on which laws take powers of it; shares as they are."""
        with np.errstate(all="ignore"):
            if self.kind == "share":
                return values
            if self.kind == "signed":
                return values - self.reference
            if self.kind == "open":
                return np.log1p(values / self.reference)
            return np.log(values / self.reference)


@dataclass(frozen=True)
class Table:
    """Rows that can be searched.

    Attributes
    ----------
    frame : DataFrame
        Complete rows.
    inputs : tuple of Input
    output : str
    by : tuple of str
    x : tuple of arrays (n,)
    y : array (n,)
    group : array (n,)
        Number of each row's group.
    groups : list of tuple
    is_log : bool
        Whether errors are those of logarithms.
    unit : float
        What a plain error is measured in: the median size of the output.
    rises : bool
        Whether the output grows with scale.
    """

    frame: pl.DataFrame
    inputs: tuple[Input, ...]
    output: str
    by: tuple[str, ...]
    x: tuple[FloatArray, ...]
    y: FloatArray
    group: np.ndarray[tuple[int], np.dtype[np.int64]]
    groups: list[tuple[object, ...]]
    is_log: bool
    unit: float
    rises: bool

    def of_kind(self, *kinds: Kind) -> tuple[int, ...]:
        """Positions of the inputs of these kinds."""
        return tuple(i for i, one in enumerate(self.inputs) if one.kind in kinds)

    def arrays(self, frame: pl.DataFrame) -> list[FloatArray]:
        """The inputs of other rows.

        Raises
        ------
        UnknownNameError, DataError
            If a column is missing, not numeric, or has values that the laws cannot take.
        """
        found = []
        for one in self.inputs:
            values = _numbers(frame, one.name)
            bad = ~np.isfinite(values)
            if one.kind in {"size", "knob", "count"}:
                bad |= values <= 0
            elif one.kind in {"open", "share"}:
                bad |= values < 0
            if bad.any():
                row = int(np.flatnonzero(bad)[0])
                raise DataError(
                    f"column {one.name!r} has {int(bad.sum())} values that a {one.kind} cannot have, the first in row "
                    f"{row}: {values[row]:g}",
                    "leave these rows out.",
                )
            found.append(values)
        return found

    def group_of(self, frame: pl.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Number of each row's group.

        Raises
        ------
        UnknownNameError
            For a missing column, or a group that was not among the rows of the search.
        """
        if not self.by:
            return np.zeros(frame.height, dtype=np.int64)
        return _group_numbers(frame, self.by, self.groups)


def _numbers(frame: pl.DataFrame, name: str) -> FloatArray:
    if name not in frame.columns:
        raise unknown_name("column", name, frame.columns)
    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise DataError(f"column {name!r} holds {column.dtype}, not numbers", "groups are named with by=.")
    return np.asarray(column.cast(pl.Float64).fill_null(float("nan")).to_numpy(), dtype=float)


def _group_numbers(
    frame: pl.DataFrame, by: Sequence[str], groups: Sequence[tuple[object, ...]]
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    for name in by:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, "(given in by)")
    place = {key: i for i, key in enumerate(groups)}
    numbers = []
    for key in frame.select(by).iter_rows():
        if key not in place:
            raise unknown_name("group", str(key), map(str, groups), "(it was not among the rows of the search)")
        numbers.append(place[key])
    return np.array(numbers, dtype=np.int64)


def read_table(frame: pl.DataFrame, output: str, inputs: Sequence[str], by: Sequence[str]) -> Table:
    """Check a table and say what its columns are.

    Raises
    ------
    UnknownNameError
        For a missing column.
    DataError
        For too few rows or scales, an input that does not vary, an output that hardly does, or mixed units.
    """
    if not inputs:
        raise DataError("no input is named", 'for example inputs=["n_params", "n_tokens"].')
    if len(set(inputs)) < len(inputs) or output in inputs:
        raise DataError(f"a column is named twice among {output!r} and {list(inputs)}", "name each once.")
    raw, y = {name: _numbers(frame, name) for name in inputs}, _numbers(frame, output)
    for name in by:
        if name not in frame.columns:
            raise unknown_name("column", name, frame.columns, "(given in by)")
    complete = np.isfinite(y) & np.all([np.isfinite(values) for values in raw.values()], axis=0)
    for name in by:
        complete &= frame[name].is_not_null().to_numpy()
    for column in (f"{output}_unit", "loss_unit", "metric", "unit"):
        if column in frame.columns and column not in by and frame[column].drop_nulls().n_unique() > 1:
            some = ", ".join(map(str, frame[column].drop_nulls().unique().sort().head(4).to_list()))
            raise DataError(
                f"column {column!r} says that {output!r} has several units: {some}",
                f"keep one of them, or give by={column!r}.",
            )
    kept = frame.filter(pl.Series(complete))
    raw = {name: values[complete] for name, values in raw.items()}
    y = y[complete]
    need = max(FEWEST_ROWS, 2 * (len(inputs) + 2))
    if y.size < need:
        raise DataError(
            f"{y.size} complete rows are too few to fit laws of {len(inputs)} inputs and hold out the largest",
            f"at least {need} are needed; a fit of one law, sdb.fit, makes do with fewer.",
        )
    values, counts = np.unique(y, return_counts=True)
    if counts.max() > TIED * y.size or values.size < 5:
        often = values[counts.argmax()]
        raise DataError(
            f"{int(counts.max())} of {y.size} values of {output!r} are {often:g}: there is too little to explain",
            "leave out rows at a ceiling or floor, or give a finer measure.",
        )
    for name, numbers in raw.items():
        if np.unique(numbers).size < 2:
            raise DataError(
                f"input {name!r} does not vary: all {y.size} rows have {numbers[0]:g}",
                "leave it out, or add runs with other values.",
            )
    is_score = bool(SCORES.search(output)) or (y.min() >= 0 and y.max() <= 1 and not LOSSES.search(output))
    is_log = bool(y.min() > 0) and not is_score
    described = _described(raw, output)
    if is_log:
        described = _with_knobs_seen(described, raw, np.log(y))
    if not any(one.n_values >= FEWEST_VALUES for one in described):
        most = max(described, key=lambda one: one.n_values)
        raise DataError(
            f"no input has {FEWEST_VALUES} different values (the most: {most.n_values} of {most.name!r}): "
            "there is no larger scale to hold out",
            "add runs at other scales.",
        )
    keys = kept.select(by).unique(maintain_order=True).sort(list(by)) if by else pl.DataFrame()
    groups: list[tuple[object, ...]] = list(keys.iter_rows()) if by else [()]
    group = _group_numbers(kept, by, groups) if by else np.zeros(kept.height, dtype=np.int64)
    return Table(
        frame=kept,
        inputs=described,
        output=output,
        by=tuple(by),
        x=tuple(raw[one.name] for one in described),
        y=y,
        group=group,
        groups=groups,
        is_log=is_log,
        unit=1.0 if is_log else float(np.median(np.abs(y))) or float(np.abs(y).max()),
        rises=_rises(described, raw, y, group),
    )


def _described(raw: dict[str, FloatArray], output: str) -> tuple[Input, ...]:
    is_loss = bool(LOSSES.search(output))
    bounded = [name for name, values in raw.items() if values.min() >= 0 and values.max() <= 1]
    sums = np.sum([raw[name] for name in bounded], axis=0) if len(bounded) > 1 else np.array([0.0])
    mixture = set(bounded) if len(bounded) > 1 and np.ptp(sums) < 0.02 * max(float(sums.max()), 1e-9) else set()
    described = []
    for name, values in raw.items():
        least, most = float(values.min()), float(values.max())
        different = int(np.unique(values).size)
        role = ""
        if name in mixture or (name in bounded and SHARES.search(name)):
            kind: Kind = "share"
        elif least < 0 or LOGARITHM.search(name):
            kind = "signed"
        elif least == 0:
            kind = "open"
        elif KNOBS.search(name):
            kind = "knob"
        elif COUNTS.search(name) and least >= 1 and most <= 1e5:
            kind = "count"
        else:
            kind = "size"
            role = _role(name)
        reference = {
            "share": 1.0,
            "signed": float(np.mean(values)),
            "open": float(values[values > 0].min()) if most > 0 else 1.0,
            "count": least,
        }.get(kind)
        if reference is None:
            reference = float(f"{np.exp(np.log(values).mean()):.1e}")
        elif kind == "signed":
            reference = float(f"{reference:.3g}")
        described.append(Input(name, kind, reference, is_loss and role != "", role, different))
    return tuple(described)


def _with_knobs_seen(described: tuple[Input, ...], raw: dict[str, FloatArray], y: FloatArray) -> tuple[Input, ...]:
    """Inputs whose name says nothing as knobs, where the rows show a best value inside their range.

    Judged on the parabola in logarithms of all inputs: curvature clearly above 0, and the lowest point, at the middle
    of the other inputs, between the ends.
    """
    open_ = [
        i for i, one in enumerate(described) if one.kind == "size" and not one.role and one.n_values > FEWEST_VALUES
    ]
    columns = [one.log(raw[one.name]) for one in described]
    columns = [(values - values.mean()) / max(float(values.std()), 1e-12) for values in columns]
    pairs = [(i, j) for i in range(len(columns)) for j in range(i, len(columns))]
    design = np.column_stack([np.ones_like(y), *columns, *(columns[i] * columns[j] for i, j in pairs)])
    if not open_ or len(y) < 2 * design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        return described
    solution, *_ = np.linalg.lstsq(design, y, rcond=None)
    spread = float(((y - design @ solution) ** 2).sum()) / (len(y) - design.shape[1])
    errors = np.sqrt(spread * np.diag(np.linalg.inv(design.T @ design)))
    found = list(described)
    for i in open_:
        place = 1 + len(columns) + pairs.index((i, i))
        curvature = float(solution[place])
        if curvature > CLEAR * errors[place]:
            lowest = -float(solution[1 + i]) / (2 * curvature)
            if columns[i].min() < lowest < columns[i].max():
                found[i] = replace(found[i], kind="knob")
    return tuple(found)


def _role(name: str) -> str:
    if OTHERS.search(name):
        return ""
    if UNIQUE.search(name):
        return "unique"
    if TOKENS.search(name):
        return "tokens"
    if PARAMS.search(name):
        return "params"
    return "compute" if COMPUTE.search(name) else ""


def _rises(
    inputs: Sequence[Input],
    raw: dict[str, FloatArray],
    y: FloatArray,
    group: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> bool:
    """Whether the output grows with the sizes, by rank correlation within groups."""
    from scipy.stats import rankdata

    along = [one.log(raw[one.name]) for one in inputs if one.kind in {"size", "count", "open", "signed"}]
    if not along or any(one.falls for one in inputs):
        return False
    scale = np.sum([values / max(float(values.std()), 1e-12) for values in along], axis=0)
    total = 0.0
    for number in np.unique(group):
        rows = group == number
        if rows.sum() > 2:
            a, b = rankdata(scale[rows]), rankdata(y[rows])
            total += float(((a - a.mean()) * (b - b.mean())).sum())
    return total > 0
