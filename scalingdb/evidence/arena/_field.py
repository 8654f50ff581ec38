"""Who competes: the laws that a data set has the inputs for, and three plain baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import FitError
from scalingdb.evidence.arena._dataset import DataSet
from scalingdb.law_library import Law, all_laws

__all__ = ["BASELINES", "TOO_SLOW", "baseline", "entrants", "inputs_of"]

COLUMNS: dict[str, str] = {
    "n_params": "n_params",
    "n_params_non_embedding": "n_params",
    "n_params_active": "n_params",
    "n_tokens": "n_tokens",
    "n_tokens_unique": "n_tokens_unique",
    "n_params_vocabulary": "n_params_vocabulary",
    "n_streams": "n_streams",
    "n_experts": "n_experts",
    "train_flops": "scale",
    "capability": "capability",
}
"""Column of a data set for an input of a law. Every count of N is the one that the source calls N."""

ONE_VARIABLE = {"n_tokens", "n_examples", "x", "train_flops"}
"""Inputs of laws in one variable that any learning curve or frontier can stand for."""

BASELINES: dict[str, str] = {
    "best_so_far": "the best value among the fitted rows, carried forward",
    "log_log_line": "a straight line of log loss (logit of a score) in the logarithms of all inputs, by least squares",
}
"""What a law should beat. The third plain choice, a power without floor, is the law ``power`` itself."""

TOO_SLOW: dict[str, str] = {
    "m4": "no closed form: one data set takes about 40 s of processor time, the other laws a few seconds",
}
"""Laws that would meet data sets, but not within the time that the whole arena has."""

_LINE_INPUTS = ("n_params", "n_tokens", "n_tokens_unique", "n_params_vocabulary", "n_streams", "n_experts", "x")


def inputs_of(law: Law, one: DataSet, columns: Sequence[str]) -> dict[str, str] | None:
    """Columns for the inputs of a law, or None where it does not apply to the data set.

    A law in N alone or D alone is not a law of a surface on which both vary: there it is left out.
    """
    outputs = {"loss": {"loss", "task_loss", "answer_nll"}, "score": {"score", "task_accuracy", "pass_rate"}}
    if law.output not in outputs[one.output]:
        return None
    if law.output in {"task_loss", "answer_nll"} and one.track != "score":
        return None
    if one.track == "curve":
        return {law.inputs[0]: "x"} if len(law.inputs) == 1 and law.inputs[0] in ONE_VARIABLE else None
    if law.name == "sft_joint":  # the one joint law that counts its data in examples
        found: dict[str, str | None] = {"n_params": "n_params", "n_examples": "n_tokens"}
    elif law.name == "log_linear":
        found = {"n_examples": "scale"}
    else:
        found = {name: COLUMNS.get(name) for name in law.inputs}
    if any(column is None or column not in columns for column in found.values()):
        return None
    both = {"n_params", "n_tokens"} <= set(columns)
    used = set(found.values())
    silent = both and one.output == "loss" and law.output == "loss" and not {"n_params", "n_tokens"} <= used
    if silent and not used & {"n_experts", "n_streams"}:  # a law of those may be silent on tokens, as it is written
        return None
    if law.name in {"kaplan_lc", "shifted_power_floor"}:  # along the scale of a set that is no frontier
        return None
    return {name: str(column) for name, column in found.items()}


def entrants(one: DataSet, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Laws and baselines that meet in a data set, with the columns for their inputs."""
    own = {name for name, law in all_laws().items() if law.is_own}
    found = {}
    for name, law in all_laws().items():
        columns_of = None if name in own or name in TOO_SLOW else inputs_of(law, one, columns)
        if columns_of is not None:
            found[name] = columns_of
    line = {name: name for name in _LINE_INPUTS if name in columns}
    return {**found, "best_so_far": {}, "log_log_line": line or {"scale": "scale"}}


def baseline(
    name: str, train: pl.DataFrame, test: pl.DataFrame, inputs: Mapping[str, str], output: str
) -> tuple[pl.DataFrame, float]:
    """Prediction of a baseline with its 95 % interval, and its mean absolute relative error on the fitted rows.

    Raises
    ------
    FitError
        If the line cannot be drawn: an output that is not positive, or too few rows.
    """
    y = train[output].cast(pl.Float64).to_numpy()
    if name == "best_so_far":
        best = float(y.min() if output == "loss" else y.max())
        blank = pl.lit(None, dtype=pl.Float64)
        return test.with_columns(prediction=pl.lit(best), low=blank, high=blank), float(np.abs(best / y - 1).mean())
    from statsmodels.regression.linear_model import OLS

    forward, back = _link(output)
    if (y <= 0).any() or (output == "score" and (y >= 1).any()):
        raise FitError(f"the {output} is not positive in every row, so it has no logarithm", "use a law that takes it.")

    def design(rows: pl.DataFrame) -> Any:
        logs = [np.log(rows[column].cast(pl.Float64).to_numpy()) for column in inputs.values()]
        varying = [i for i, column in enumerate(inputs.values()) if train[column].n_unique() > 1]
        return np.column_stack([np.ones(rows.height), *(logs[i] for i in varying)])

    fitted_on = design(train)
    if train.height <= fitted_on.shape[1]:
        raise FitError(f"{train.height} row(s) cannot fix a line with {fitted_on.shape[1]} coefficients", "use more.")
    found = OLS(forward(y), fitted_on).fit()  # type: ignore[no-untyped-call]
    ends = back(found.get_prediction(design(test)).conf_int(obs=True, alpha=0.05))
    columns = dict(zip(("low", "high"), ends.T, strict=True))
    predicted = test.with_columns(
        prediction=pl.Series(back(found.predict(design(test)))), **{key: pl.Series(v) for key, v in columns.items()}
    )
    return predicted, float(np.abs(back(found.fittedvalues) / y - 1).mean())


def _link(output: str) -> tuple[Any, Any]:
    from scipy.special import expit, logit

    return (logit, expit) if output == "score" else (np.log, np.exp)
