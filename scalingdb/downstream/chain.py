"""Metrics as a chain: from the log-probability of an answer to accuracy, and the scales scores are read on.

Each step of the chain keeps less of what the model knows. Per item, with log-probabilities of all
options, :func:`answer_chain` computes every step; between scales of a score that is already there,
:func:`transform` converts, carries standard errors along (delta method), and refuses to go back
where the way back does not exist.

References
----------
Schaeffer et al., arXiv:2406.04391 (the chain); arXiv:2304.15004 (choice of metric and emergence).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import polars as pl
from scipy.special import expit, ndtr, ndtri

from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    check_scores,
    finite,
    keys_of,
    label_rows,
    need_columns,
)
from scalingdb.errors import DataError, unknown_name

__all__ = ["CHAIN", "TRANSFORMS", "Transform", "answer_chain", "task_means", "transform", "with_std_error"]

CHAIN = (
    "answer_bits_per_byte",
    "answer_log_probability",
    "answer_probability",
    "brier",
    "acc_norm",
    "acc",
    "exact_match",
)
"""Metrics of the warehouse in the order of the chain, from the log-probability under the whole vocabulary on."""

Arrays = Mapping[str, FloatArray]
Map = Callable[[FloatArray, Arrays], FloatArray]


@dataclass(frozen=True)
class Transform:
    """One step between scales of a score.

    Attributes
    ----------
    name : str
    takes, gives : str
        What goes in and what comes out, in words and with the bounds.
    needs : tuple of str
        Further columns without which the step is undefined.
    is_invertible : bool
    why_not : str
        Why there is no way back, where there is none.
    """

    name: str
    takes: str
    gives: str
    needs: tuple[str, ...] = ()
    why_not: str = ""
    _forward: Map | None = None
    _slope: Map | None = None
    _inverse: Map | None = None
    _low: float = 0.0
    _high: float = 1.0
    _open: bool = False
    """The ends of the domain have no image."""

    @property
    def is_invertible(self) -> bool:
        """Whether there is a way back."""
        return self._inverse is not None


def _above(p: FloatArray, x: Arrays) -> FloatArray:
    return np.asarray((p - x["chance_level"]) / (1 - x["chance_level"]))


LOST_OPTIONS = "the probabilities of the other options are gone, and they set the normalisation"

TRANSFORMS: Mapping[str, Transform] = MappingProxyType(
    {
        t.name: t
        for t in (
            Transform(
                "error",
                "a fraction in [0, 1]",
                "1 - score",
                _forward=lambda p, _: 1 - p,
                _slope=lambda p, _: np.full_like(p, -1.0),
                _inverse=lambda e, _: 1 - e,
            ),
            Transform(
                "above_chance",
                "a fraction in [0, 1]",
                "0 at chance, 1 if perfect, negative below chance",
                needs=("chance_level",),
                _forward=_above,
                _slope=lambda _, x: 1 / (1 - x["chance_level"]),
                _inverse=lambda s, x: x["chance_level"] + (1 - x["chance_level"]) * s,
            ),
            Transform(
                "logit",
                "a fraction strictly between 0 and 1",
                "log-odds",
                _forward=lambda p, _: np.log(p) - np.log1p(-p),
                _slope=lambda p, _: 1 / (p * (1 - p)),
                _inverse=lambda z, _: expit(z),
                _open=True,
            ),
            Transform(
                "probit",
                "a fraction strictly between 0 and 1",
                "quantile of the normal distribution",
                _forward=lambda p, _: ndtri(p),
                _slope=lambda p, _: np.sqrt(2 * np.pi) * np.exp(ndtri(p) ** 2 / 2),
                _inverse=lambda z, _: ndtr(z),
                _open=True,
            ),
            Transform(
                "logit_above_chance",
                "a fraction strictly between the chance level and 1",
                "log-odds of (score - chance) / (1 - chance)",
                needs=("chance_level",),
                _forward=lambda p, x: np.log(p - x["chance_level"]) - np.log1p(-p),
                _slope=lambda p, x: 1 / (p - x["chance_level"]) + 1 / (1 - p),
                _inverse=lambda z, x: x["chance_level"] + (1 - x["chance_level"]) * expit(z),
                _open=True,
            ),
            Transform(
                "neg_log",
                "a fraction in (0, 1], such as pass@k",
                "-ln(score), nats",
                _forward=lambda p, _: -np.log(p),
                _slope=lambda p, _: -1 / p,
                _inverse=lambda y, _: np.exp(-y),
                _open=True,
            ),
            Transform(
                "bits_per_byte",
                "minus the log-probability of the answer, nats",
                "bits per UTF-8 byte of the answer",
                needs=("n_bytes",),
                _forward=lambda nats, x: nats / (np.log(2) * x["n_bytes"]),
                _slope=lambda _, x: 1 / (np.log(2) * x["n_bytes"]),
                _inverse=lambda bits, x: bits * np.log(2) * x["n_bytes"],
                _high=np.inf,
            ),
            Transform(
                "exact_match",
                "accuracy per token, a fraction in [0, 1]",
                "chance that all tokens of the answer are right, if tokens err independently",
                needs=("n_answer_tokens",),
                _forward=lambda p, x: p ** x["n_answer_tokens"],
                _slope=lambda p, x: x["n_answer_tokens"] * p ** (x["n_answer_tokens"] - 1),
                _inverse=lambda s, x: s ** (1 / x["n_answer_tokens"]),
            ),
            Transform(
                "horizon",
                "accuracy per step, strictly between 0 and 1",
                "steps that a task may have to succeed with probability target, if steps err independently",
                needs=("target",),
                _forward=lambda p, x: np.log(x["target"]) / np.log(p),
                _slope=lambda p, x: -np.log(x["target"]) / (p * np.log(p) ** 2),
                _inverse=lambda h, x: x["target"] ** (1 / h),
                _open=True,
            ),
            Transform(
                "answer_probability",
                "log-probabilities of all options of an item",
                "probability of the right answer among the options",
                needs=("log_prob of every option",),
                why_not=LOST_OPTIONS,
            ),
            Transform(
                "brier",
                "probabilities of all options of an item",
                "sum over options of (probability - right)^2, in [0, 2]",
                needs=("log_prob of every option",),
                why_not="many sets of probabilities have the same sum of squares",
            ),
            Transform(
                "acc",
                "log-probabilities of all options of an item",
                "1 if the right answer is the likeliest",
                needs=("log_prob of every option",),
                why_not="an argmax keeps one bit of each item: no probability can be read off an accuracy",
            ),
            Transform(
                "pass_at_k",
                "attempts and successes at one problem",
                "unbiased estimate of the chance that one of k attempts succeeds",
                needs=("n_samples", "n_correct", "k"),
                why_not="the mean over problems does not give the success rate of any of them",
            ),
        )
    }
)
"""Every step, by name."""


def transform(
    frame: pl.DataFrame,
    name: str,
    *,
    column: str = "score",
    std_error: str | None = "std_error",
    inverse: bool = False,
    into: str | None = None,
) -> pl.DataFrame:
    """Put a score on another scale, or bring it back; standard errors follow.

    Parameters
    ----------
    frame : DataFrame
        One row per score.
    name : str
        Key of :data:`TRANSFORMS`: ``logit``, ``probit``, ``above_chance``, ``logit_above_chance``,
        ``error``, ``neg_log``, ``bits_per_byte``, ``exact_match``, ``horizon``.
    column : str
        The score (with `inverse`, the value on the other scale).
    std_error : str, optional
        Its standard error; used if the frame has it.
    inverse : bool
        Go back.
    into : str, optional
        Name of the new column; that of the transform by default (``score`` on the way back).

    Returns
    -------
    DataFrame
        With the new column, and ``<new column>_std_error`` where standard errors are known.

    Raises
    ------
    UnknownNameError
        For an unknown transform.
    DataError
        If a column it needs is missing, a value is outside its domain (rows are named), or the way
        back does not exist.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> scores = pl.DataFrame({"score": [0.4, 0.7], "chance_level": [0.25, 0.25]})
    >>> sdb.downstream.transform(scores, "above_chance")["above_chance"].round(3).to_list()
    [0.2, 0.6]
    """
    if name not in TRANSFORMS:
        raise unknown_name("transform", name, TRANSFORMS)
    step = TRANSFORMS[name]
    table = as_frame(frame)
    if step._forward is None or step._slope is None:
        if inverse:
            raise DataError(f"{name!r} cannot be inverted: {step.why_not}", "go back to the data it was computed from.")
        maker = "pass_at_k(n_samples, n_correct, k)" if name == "pass_at_k" else "answer_chain(frame)"
        raise DataError(
            f"{name!r} cannot be computed from a score: it takes {step.takes}", f"use sdb.downstream.{maker}."
        )
    if inverse and step._inverse is None:
        raise DataError(f"{name!r} cannot be inverted: {step.why_not}")
    hint = {
        "chance_level": "add it: the score of guessing, 1 over the number of options; 0 for free answers.",
        "target": "add the probability that the whole task must succeed with, for example 0.5.",
    }
    need_columns(
        table,
        [column, *step.needs],
        f"transform {name!r}",
        " ".join(hint.get(n, f"add column {n!r}.") for n in step.needs) or f"name the score: column={column!r}.",
    )
    finite(table, [column, *step.needs], f"transform {name!r}")
    extra = {n: table[n].cast(pl.Float64).to_numpy().astype(float) for n in step.needs}
    if "chance_level" in extra:
        _within(table, "chance_level", 0.0, 1.0, right_open=True)
    if "target" in extra:
        _within(table, "target", 0.0, 1.0, left_open=True, right_open=True)
    for count in ("n_bytes", "n_answer_tokens"):
        if count in extra:
            finite(table, [count], f"transform {name!r}", positive=True)
    values = table[column].cast(pl.Float64).to_numpy().astype(float)
    new = into or ("score" if inverse else name)
    if inverse:
        assert step._inverse is not None
        with np.errstate(all="ignore"):
            result = step._inverse(values, extra)
            slope = 1 / step._slope(result, extra)
        _refuse_unmapped(table, result, column, f"{name!r} has no value on the way back")
    else:
        if step._high == 1.0:
            check_scores(table.with_columns(unit=pl.lit("fraction")), column, f"transform {name!r}")
        with np.errstate(all="ignore"):
            result, slope = step._forward(values, extra), step._slope(values, extra)
        _refuse_unmapped(table, result, column, f"{name!r} takes {step.takes}")
    out = table.with_columns(pl.Series(new, result, dtype=pl.Float64))
    if std_error is not None and std_error in table.columns:
        error = table[std_error].cast(pl.Float64).to_numpy().astype(float)
        out = out.with_columns(pl.Series(f"{new}_std_error", np.abs(slope) * error, dtype=pl.Float64).fill_nan(None))
    return out


def _refuse_unmapped(table: pl.DataFrame, result: FloatArray, column: str, fact: str) -> None:
    bad = pl.Series(~np.isfinite(result))
    if bad.any():
        raise DataError(
            f"{fact}; {int(bad.sum())} value(s) are not\n{label_rows(table, bad, column)}",
            "filter them, or fit the score itself: a link function needs no logarithm of the data.",
        )


def _within(
    table: pl.DataFrame, column: str, low: float, high: float, *, left_open: bool = False, right_open: bool = False
) -> None:
    closed: Literal["both", "left", "right", "none"] = (
        "none" if left_open and right_open else "right" if left_open else "left" if right_open else "both"
    )
    bad = ~table[column].cast(pl.Float64).is_between(low, high, closed=closed)
    if bad.any():
        raise DataError(
            f"{int(bad.sum())} value(s) of {column!r} are not between {low:g} and {high:g}\n"
            + label_rows(table, bad, column)
        )


def with_std_error(frame: pl.DataFrame, how: str = "either", *, score: str = "score") -> pl.DataFrame:
    """Give every score a standard error, and say where it comes from.

    Parameters
    ----------
    frame : DataFrame
        Scores; ``std_error`` as reported and ``n_items`` (items of the test) where known.
    how : {"either", "reported", "binomial"}
        What the source reports, the binomial ``sqrt(s (1 - s) / n_items)``, or the first of these
        that a row has. The binomial holds for means of 0/1 outcomes and independent items; at a
        score of exactly 0 or 1 the half-count rule ``(n s + 1/2) / (n + 1)`` keeps it from being zero.

    Returns
    -------
    DataFrame
        With ``std_error`` and ``std_error_from`` (``reported``, ``binomial``).

    Raises
    ------
    DataError
        If rows have neither, naming them.
    """
    if how not in {"either", "reported", "binomial"}:
        raise unknown_name("option", how, ("either", "reported", "binomial"), "(for how)")
    table = as_frame(frame)
    if how != "reported":
        check_scores(table, score, "a binomial standard error")
    reported = pl.col("std_error") if "std_error" in table.columns and how != "binomial" else pl.lit(None, pl.Float64)
    n = pl.col("n_items") if "n_items" in table.columns and how != "reported" else pl.lit(None, pl.Float64)
    share = pl.when(pl.col(score).is_in([0.0, 1.0])).then((n * pl.col(score) + 0.5) / (n + 1)).otherwise(pl.col(score))
    if "unit" in table.columns:
        n = pl.when(pl.col("unit") == "fraction").then(n)
    binomial = (share * (1 - share) / n).sqrt()
    out = table.with_columns(
        std_error=pl.coalesce(reported, binomial).fill_nan(None),
        std_error_from=pl.when(reported.is_not_null())
        .then(pl.lit("reported"))
        .when(binomial.is_not_null())
        .then(pl.lit("binomial")),
    )
    lacking = out["std_error"].is_null()
    if lacking.any():
        what = {"either": "std_error nor n_items", "reported": "std_error", "binomial": "n_items"}[how]
        raise DataError(
            f"{int(lacking.sum())} row(s) have no {what}\n{label_rows(table, lacking, score)}",
            "a binomial error needs the number of test items: add n_items, or filter these rows.",
        )
    return out


def answer_chain(frame: pl.DataFrame, by: str | Sequence[str] = "item_id") -> pl.DataFrame:
    """Every step of the chain for every item, from the log-probabilities of its options.

    Parameters
    ----------
    frame : DataFrame
        One row per option: ``log_prob`` (nats, of the whole option under the whole vocabulary),
        ``is_correct``, the columns of `by`; ``n_bytes`` of the option, if ``acc_norm`` and
        ``answer_bits_per_byte`` are wanted.
    by : str or sequence of str
        What makes an item, for example ``["run_id", "item_id"]``.

    Returns
    -------
    DataFrame
        One row per item: ``log_p_vocab`` (nats), ``p_vocab``, ``answer_log_probability`` (nats, among the
        options), ``answer_probability``, ``brier`` (0 best, 2 worst), ``acc`` (0 or 1),
        ``n_options``, ``chance_level``; with ``n_bytes`` also ``acc_norm`` and ``answer_bits_per_byte``.
        Options tied for the first place share the point.

    Raises
    ------
    DataError
        If an item has no right answer, more than one, or a single option; if a log-probability is
        positive or missing.
    """
    table = as_frame(frame)
    keys = keys_of(by, table)
    need_columns(table, ["log_prob", "is_correct"], "the chain", "one row per option of an item.")
    finite(table, ["log_prob"], "the chain")
    positive = table["log_prob"] > 0
    if positive.any():
        raise DataError(
            f"{int(positive.sum())} log-probability(ies) are above 0\n{label_rows(table, positive, 'log_prob')}",
            "log_prob is the natural logarithm of a probability.",
        )
    counts = table.group_by(keys, maintain_order=True).agg(
        n_options=pl.len(), n_correct=pl.col("is_correct").cast(pl.Int64).sum()
    )
    wrong = (counts["n_correct"] != 1) | (counts["n_options"] < 2)
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} item(s) do not have one right answer among two options or more\n"
            + label_rows(counts, wrong, *keys, "n_options", "n_correct"),
            "an item needs all its options, one of them with is_correct true.",
        )
    right = pl.col("is_correct").cast(pl.Boolean)
    peak = pl.col("log_prob").max()
    total = (pl.col("log_prob") - peak).exp().sum().log() + peak
    p = (pl.col("log_prob") - total).exp()
    columns = {
        "log_p_vocab": pl.col("log_prob").filter(right).first(),
        "answer_log_probability": pl.col("log_prob").filter(right).first() - total,
        "brier": (p - right.cast(pl.Float64)).pow(2).sum(),
        "acc": _argmax_share(pl.col("log_prob"), right),
        "n_options": pl.len().cast(pl.Int64),
    }
    if "n_bytes" in table.columns:
        finite(table, ["n_bytes"], "the chain", positive=True)
        columns["acc_norm"] = _argmax_share(pl.col("log_prob") / pl.col("n_bytes"), right)
        columns["answer_bits_per_byte"] = -(pl.col("log_prob") / pl.col("n_bytes")).filter(right).first() / np.log(2)
    return (
        table.group_by(keys, maintain_order=True)
        .agg(**columns)
        .with_columns(
            p_vocab=pl.col("log_p_vocab").exp(),
            answer_probability=pl.col("answer_log_probability").exp(),
            chance_level=1 / pl.col("n_options"),
        )
    )


def _argmax_share(value: pl.Expr, right: pl.Expr) -> pl.Expr:
    top = value == value.max()
    return (top & right).any().cast(pl.Float64) / top.sum()


def task_means(items: pl.DataFrame, by: str | Sequence[str]) -> pl.DataFrame:
    """Mean of every step over the items of a task, with its standard error.

    The mean is taken last: a mean probability is not the exponential of a mean log-probability.

    Parameters
    ----------
    items : DataFrame
        As :func:`answer_chain` returns it.
    by : str or sequence of str
        Columns that stay, for example ``["run_id", "task"]``.

    Returns
    -------
    DataFrame
        `by`, ``metric, score, std_error`` (spread over items over the root of their number), ``n_items``.
    """
    table = as_frame(items)
    keys = keys_of(by, table)
    steps = ("log_p_vocab", "p_vocab", *CHAIN)
    present = [name for name in steps if name in table.columns]
    need_columns(table, ["answer_probability"], "the mean over items", "use answer_chain(frame) first.")
    return (
        table.unpivot(present, index=keys, variable_name="metric", value_name="value")
        .group_by(*keys, "metric", maintain_order=True)
        .agg(
            score=pl.col("value").mean(),
            std_error=pl.col("value").std() / pl.len().sqrt(),
            n_items=pl.len().cast(pl.Int64),
        )
    )
