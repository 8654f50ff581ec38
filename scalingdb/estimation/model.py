"""A formula as fast vectorised code: value, gradient and second derivatives of many problems at once.

Parameters are fitted in *internal* coordinates ``u``, chosen so that the optimum is easy to reach:

* a positive parameter in which the formula is linear is measured by the size of its term at the
  centre of the data (the geometric mean of each input), not at one token or one parameter. For
  ``A * N**-alpha`` this removes nearly all of the correlation of A and alpha. It stays linear: on
  a logarithmic scale the valley towards a vanishing term is long and curved (starts near it took
  80 iterations and more instead of 20), and a floor of exactly zero could not be reached;
* other positive parameters are fitted as logarithms; so are scales that a fit holds above a positive
  bound, because the size of a term at the centre depends on its exponent, and a bound would bend;
* three parameters that occur only as ``a * x**q + b`` are fitted as value and slope of that
  expression at the centre, and ``q`` (a Box-Cox curve). In the printed form ``a`` and ``b`` run to
  infinity as ``q`` nears zero, and no optimiser can cross; in this one zero is a point like others;
* the rest are fitted as they are.

Parameters that a fit holds fixed are constants of the compiled code, not coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = [
    "Coordinate",
    "Derivatives",
    "Evaluation",
    "FloatArray",
    "Model",
    "ParamSpec",
    "PreparedInputs",
    "columns",
    "numeric_model",
    "stack",
]

FloatArray = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class ParamSpec:
    """One parameter: its bounds in natural units, and the range in which starts are sought.

    `is_scale` marks a scale whose bounds a fit has narrowed.
    """

    name: str
    low: float
    high: float
    start: tuple[float, float]
    is_scale: bool = False

    @property
    def is_log(self) -> bool:
        """Whether the parameter is judged by its logarithm: a scale, unless its bounds are zero and a number."""
        return self.is_open or (self.is_scale and self.low > 0.0)

    @property
    def is_open(self) -> bool:
        """Whether the parameter may take any positive value."""
        return self.low == 0.0 and self.high == float("inf")


@dataclass(frozen=True)
class PreparedInputs:
    """Inputs on the centred logarithmic scale, and the values of fixed parameters.

    Attributes
    ----------
    logs : tuple of array (n,) or (P, n)
        ``ln x - centre``; ``x - centre`` for an input that may be zero or negative.
    constants : tuple of array (1,) or (P, 1)
        The centre ``mean(ln x)`` of every input, one per problem where the problems have inputs of
        their own; then the fixed parameters.
    """

    logs: tuple[FloatArray, ...]
    constants: tuple[FloatArray, ...]

    @property
    def is_shared(self) -> bool:
        """Whether all problems see the same inputs."""
        return self.logs[0].ndim == 1

    def take(self, problems: Any) -> PreparedInputs:
        """Inputs of some problems, and their own constants."""
        return PreparedInputs(
            self.logs if self.is_shared else tuple(a[problems] for a in self.logs),
            tuple(c[problems] if c.ndim == 2 else c for c in self.constants),
        )

    def repeat(self, count: int) -> PreparedInputs:
        """Every problem `count` times in a row, for as many starts (one array for all if :attr:`is_shared`)."""
        if self.is_shared:
            return self
        return PreparedInputs(
            tuple(np.repeat(a, count, axis=0) for a in self.logs),
            tuple(np.repeat(c, count, axis=0) if c.ndim == 2 else c for c in self.constants),
        )


@dataclass(frozen=True)
class Evaluation:
    """Prediction (P, n), gradient (P, k, n) and the non-zero second derivatives [(a, b, (P, n))]."""

    value: FloatArray
    gradient: FloatArray | None
    curvature: list[tuple[int, int, FloatArray]] | None


Derivatives = tuple[FloatArray, list[tuple[int, FloatArray]], list[tuple[int, int, FloatArray]]]
Coordinate = Callable[[FloatArray, PreparedInputs, FloatArray], Derivatives]


class Model:
    """A formula that can be evaluated for many parameter vectors at once.

    Attributes
    ----------
    params : tuple of ParamSpec
        The free parameters, k of them, in the order of the law.
    linear : tuple of int
        Positions of the parameters that :meth:`basis` solves for.
    is_log : array (k,) of bool
        Scales: positive parameters, whose errors are judged on the logarithm.
    low, high : array (k,)
        Bounds in internal coordinates.
    reach : array (k,)
        Longest step of each coordinate that a solver should take at once.
    is_exact : bool
        Whether derivatives are exact (traced) or numerical.
    evaluate : callable ``(u (P, k), inputs, order) -> Evaluation``
    to_natural, to_internal : callables ``((P, k), inputs) -> (P, k)``
    basis : callable ``(u, inputs) -> (offset (P, n), terms (P, len(linear), n))`` or None
        For the linear solve: the prediction is ``offset + sum(u[linear] * terms)``.
    natural_curves : callable ``(u, inputs, i) -> (value (P,), gradient (P, k), Hessian (P, k, k))``
        Natural parameter `i` as a function of the internal ones; its logarithm for a scale.
    coordinate : callable ``i -> ((u, inputs, value (P, 1)) -> (u_i (P,), first, second))``
        Where coordinate `i` lies if its natural parameter is to have a value, as a function of the other
        coordinates, with the derivatives that are not zero: ``[(j, (P, 1))]`` and ``[(a, b, (P, 1))]``, a >= b.
    loose : tuple of int
        Those of :attr:`linear` that may have any sign.
    signed : tuple of bool
        Inputs that are centred as they are, not as logarithms.
    is_joint : bool
        Whether coordinates stand for several parameters at once (``a * x**q + b``).
    """

    def __init__(
        self,
        params: Sequence[ParamSpec],
        linear: Sequence[int],
        boxed: Collection[int],
        evaluate: Callable[[FloatArray, PreparedInputs, int], Evaluation],
        to_natural: Callable[[FloatArray, PreparedInputs], FloatArray],
        to_internal: Callable[[FloatArray, PreparedInputs], FloatArray],
        basis: Callable[[FloatArray, PreparedInputs], tuple[FloatArray, FloatArray]] | None,
        is_exact: bool,
        natural_curves: Callable[[FloatArray, PreparedInputs, int], tuple[FloatArray, FloatArray, FloatArray]],
        coordinate: Callable[[int], Coordinate],
        signed: Sequence[bool] = (),
        is_joint: bool = False,
    ) -> None:
        self.params = tuple(params)
        self.linear = tuple(linear)
        self.evaluate = evaluate
        self.to_natural = to_natural
        self.to_internal = to_internal
        self.basis = basis
        self.is_exact = is_exact
        self.natural_curves = natural_curves
        self.coordinate = coordinate
        self.signed = tuple(signed)
        self.is_joint = is_joint
        self.is_log = np.array([p.is_log for p in params], dtype=bool)
        self.loose = tuple(i for i in self.linear if not self.is_log[i])
        # only a coordinate that is the parameter (or its multiple) can carry the parameter's own bounds
        own = [tuple(np.log((p.low, p.high))) if p.is_log and p.low > 0 else (p.low, p.high) for p in self.params]
        self.low = np.array([low if i in boxed else -np.inf for i, (low, _) in enumerate(own)])
        self.high = np.array([high if i in boxed else np.inf for i, (_, high) in enumerate(own)])
        # a few e-folds, or units of an exponent, leave the region where an expansion means anything;
        # a linear coordinate has the unit of the data, a scale as it is that of the inputs: no such limit
        scales = {i for i, p in enumerate(self.params) if p.is_scale and not p.is_log}
        self.reach = np.array([np.inf if i in self.linear or i in scales else 4.0 for i in range(len(self.params))])

    @property
    def n_params(self) -> int:
        """Number of free parameters."""
        return len(self.params)

    def prepare(
        self, inputs: Sequence[FloatArray], fixed: Sequence[float | FloatArray] = (), weights: FloatArray | None = None
    ) -> PreparedInputs:
        """Centre the logarithms of the inputs.

        Parameters
        ----------
        inputs : arrays (n,) or (P, n), positive unless signed
        fixed : values of the fixed parameters, in the order of the law: numbers, or arrays (P, 1)
        weights : array (P, n), optional
            Zero marks padding that must not count.
        """
        logs, centres = [], []
        for i, values in enumerate(inputs):
            log = np.asarray(values, dtype=float)
            if not (self.signed and self.signed[i]):
                log = np.log(log)
            if log.ndim == 2 and weights is not None:
                used = (weights > 0).astype(float)
                centre = (log * used).sum(1, keepdims=True) / used.sum(1, keepdims=True)
            else:
                centre = log.mean(axis=-1, keepdims=True)
            logs.append(log - centre)
            centres.append(centre)
        constants = [value if isinstance(value, np.ndarray) else np.array([float(value)]) for value in fixed]
        return PreparedInputs(tuple(logs), (*centres, *constants))


def columns(points: FloatArray) -> list[FloatArray]:
    """Coordinates (P, k) as k columns (P, 1)."""
    return [points[:, i : i + 1] for i in range(points.shape[1])]


def stack(values: Sequence[Any], count: int) -> FloatArray:
    """Numbers and columns (P, 1) as one array (P, len(values))."""
    made = np.empty((count, len(values)))
    for i, value in enumerate(values):
        made[:, i : i + 1] = value
    return made


def numeric_model(
    function: Callable[..., Any],
    params: Sequence[ParamSpec],
    fixed: Sequence[str] = (),
    signed: Sequence[bool] = (),
) -> Model:
    """Wrap a formula that cannot be traced; derivatives by central differences, no curvature."""
    specs = [p for p in params if p.name not in fixed]
    k = len(specs)
    names = [p.name for p in specs]
    held = [p.name for p in params if p.name in fixed]
    is_log = np.array([p.is_log for p in specs], dtype=bool)

    def predict(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        n = inputs.logs[0].shape[-1]
        centres, constants = inputs.constants[: len(inputs.logs)], inputs.constants[len(inputs.logs) :]
        arrays = [log + centre for log, centre in zip(inputs.logs, centres, strict=True)]
        arrays = [a if signed and signed[i] else np.exp(a) for i, a in enumerate(arrays)]
        known = {
            name: np.broadcast_to(value.reshape(-1), points.shape[:1])
            for name, value in zip(held, constants, strict=True)
        }
        with np.errstate(all="ignore"):
            theta = to_natural(points, inputs)
            rows = [
                np.broadcast_to(
                    np.asarray(
                        function(
                            *(a if a.ndim == 1 else a[i] for a in arrays),
                            **dict(zip(names, row, strict=True)),
                            **{name: float(value[i]) for name, value in known.items()},
                        )
                    ),
                    (n,),
                )
                for i, row in enumerate(theta)
            ]
        return np.array(rows, dtype=float)

    def evaluate(points: FloatArray, inputs: PreparedInputs, order: int) -> Evaluation:
        value = predict(points, inputs)
        if order == 0:
            return Evaluation(value, None, None)
        gradient = np.empty((points.shape[0], k, value.shape[1]))
        for i in range(k):
            step = np.zeros_like(points)
            step[:, i] = 6e-6 * np.maximum(1.0, np.abs(points[:, i]))  # cube root of machine precision
            difference = predict(points + step, inputs) - predict(points - step, inputs)
            gradient[:, i, :] = difference / (2 * step[:, i : i + 1])
        return Evaluation(value, gradient, None)

    def to_natural(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.asarray(np.where(is_log, np.exp(np.where(is_log, points, 0.0)), points))

    def to_internal(theta: FloatArray, inputs: PreparedInputs) -> FloatArray:
        return np.asarray(np.where(is_log, np.log(np.where(is_log, np.maximum(theta, 1e-300), 1.0)), theta))

    def natural_curves(points: FloatArray, inputs: PreparedInputs, i: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        gradient = np.zeros(points.shape)
        gradient[:, i] = 1.0  # the coordinate is the parameter, or its logarithm
        return points[:, i], gradient, np.zeros((points.shape[0], k, k))

    def coordinate(i: int) -> Coordinate:
        def held(points: FloatArray, inputs: PreparedInputs, value: FloatArray) -> Derivatives:
            at = np.broadcast_to(value[:, 0] if value.ndim == 2 else value, points.shape[:1])
            with np.errstate(divide="ignore"):
                return np.log(at) if is_log[i] else at, [], []

        return held

    boxed = {i for i, p in enumerate(specs) if not p.is_open}
    return Model(
        specs,
        (),
        boxed,
        evaluate,
        to_natural,
        to_internal,
        None,
        is_exact=False,
        natural_curves=natural_curves,
        coordinate=coordinate,
        signed=signed,
    )
