"""Printed code of a formula, and the model that runs it: nothing here needs the formula's symbols.

A law is traced and printed once; the text can be kept and run again by any process, without SymPy.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalingdb.estimation.model import (
    Coordinate,
    Derivatives,
    Evaluation,
    FloatArray,
    Model,
    ParamSpec,
    PreparedInputs,
    columns,
    stack,
)

__all__ = ["Code", "coded_model"]


@dataclass(frozen=True)
class Code:
    """Functions of a model as text, and what one must know to call them; k free parameters.

    Attributes
    ----------
    linear, boxed : tuple of int
        Parameters that a linear solve finds, and those whose coordinate carries their own bounds.
    curvature : tuple of pairs
        Positions ``(a, b)``, a >= b, of the second derivatives that are not zero.
    is_joint : bool
        Whether coordinates stand for several parameters at once.
    functions : mapping of str to str
        ``value``, ``gradient``, ``curvature``, ``natural``, ``internal``, ``basis`` (if `linear`), and for each
        parameter ``curve i`` and ``coordinate i``.
    along, bends : mapping of int
        For each coordinate, those that it depends on when its parameter is held, and its second derivatives.
    """

    linear: tuple[int, ...]
    boxed: tuple[int, ...]
    curvature: tuple[tuple[int, int], ...]
    is_joint: bool
    functions: Mapping[str, str]
    along: Mapping[int, tuple[int, ...]]
    bends: Mapping[int, tuple[tuple[int, int], ...]]

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dictionaries; :meth:`from_json` reads them again."""
        return {
            "linear": self.linear,
            "boxed": self.boxed,
            "curvature": self.curvature,
            "is_joint": self.is_joint,
            "functions": dict(self.functions),
            "along": list(self.along.values()),
            "bends": list(self.bends.values()),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Code:
        """Code from what :meth:`to_json` gave.

        Raises
        ------
        KeyError, TypeError, ValueError
            If something else is given.
        """
        return cls(
            tuple(int(i) for i in value["linear"]),
            tuple(int(i) for i in value["boxed"]),
            tuple((int(a), int(b)) for a, b in value["curvature"]),
            bool(value["is_joint"]),
            {str(name): str(text) for name, text in value["functions"].items()},
            {i: tuple(int(j) for j in along) for i, along in enumerate(value["along"])},
            {i: tuple((int(a), int(b)) for a, b in bends) for i, bends in enumerate(value["bends"])},
        )


def coded_model(code: Code, params: Sequence[ParamSpec], signed: Sequence[bool]) -> Model:
    """The model that runs `code` on the free parameters `params`; `signed` marks inputs that are not logarithms."""
    specs = list(params)
    k = len(specs)
    is_log = np.array([p.is_log for p in specs], dtype=bool)

    @functools.cache  # compiled when first called: a fit without priors never needs the curves
    def function(name: str) -> Callable[..., Any]:
        space: dict[str, Any] = {"numpy": np}
        exec(compile(code.functions[name], f"<printed {name}>", "exec"), space)
        return space["printed"]  # type: ignore[no-any-return]

    orders = ("value", "gradient", "curvature")

    def evaluate(points: FloatArray, inputs: PreparedInputs, order: int) -> Evaluation:
        full = points.shape[0], inputs.logs[0].shape[-1]
        with np.errstate(all="ignore"):
            parts = function(orders[order])(*columns(points), *inputs.logs, *inputs.constants)
        prediction = np.broadcast_to(parts[0], full)
        if order == 0:
            return Evaluation(prediction, None, None)
        first = np.empty((full[0], k, full[1]))
        for i in range(k):
            first[:, i, :] = parts[1 + i]
        if order == 1:
            return Evaluation(prediction, first, None)
        second = [(a, b, np.asarray(part)) for (a, b), part in zip(code.curvature, parts[1 + k :], strict=True)]
        return Evaluation(prediction, first, second)

    def natural_curves(points: FloatArray, inputs: PreparedInputs, i: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        count = points.shape[0]
        with np.errstate(all="ignore"):
            parts = stack(function(f"curve {i}")(*columns(points), *inputs.constants), count)
        return parts[:, 0], parts[:, 1 : 1 + k], parts[:, 1 + k :].reshape(count, k, k)

    @functools.cache
    def coordinate(i: int) -> Coordinate:
        along, bends = code.along[i], code.bends[i]

        def held(points: FloatArray, inputs: PreparedInputs, value: FloatArray) -> Derivatives:
            with np.errstate(all="ignore"):
                parts = stack(function(f"coordinate {i}")(*columns(points), *inputs.constants, value), points.shape[0])
            derivatives = columns(parts)
            return (
                parts[:, 0],
                list(zip(along, derivatives[1:], strict=False)),
                [(a, b, bend) for (a, b), bend in zip(bends, derivatives[1 + len(along) :], strict=True)],
            )

        return held

    def to_natural(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        with np.errstate(all="ignore"):
            return stack(function("natural")(*columns(points), *inputs.constants), points.shape[0])

    def to_internal(theta: FloatArray, inputs: PreparedInputs) -> FloatArray:
        safe = np.where(is_log, np.maximum(theta, 1e-300), theta)
        with np.errstate(all="ignore"):
            return stack(function("internal")(*columns(safe), *inputs.constants), theta.shape[0])

    def basis(points: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, FloatArray]:
        full = points.shape[0], inputs.logs[0].shape[-1]
        with np.errstate(all="ignore"):
            parts = function("basis")(*columns(points), *inputs.logs, *inputs.constants)
        stacked = np.empty((full[0], len(code.linear), full[1]))
        for i, part in enumerate(parts[1:]):
            stacked[:, i, :] = part
        return np.broadcast_to(parts[0], full), stacked

    return Model(
        specs,
        code.linear,
        code.boxed,
        evaluate,
        to_natural,
        to_internal,
        basis if code.linear else None,
        is_exact=True,
        natural_curves=natural_curves,
        coordinate=coordinate,
        signed=signed,
        is_joint=code.is_joint,
    )
