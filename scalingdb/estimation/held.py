"""A compiled formula with one more parameter held at a value, without compiling it again.

The coordinate of a held parameter is a function of the others: a constant where it is the parameter or its
logarithm; for a scale, which is measured by the size of its term at the centre of the data, the value times a
power of the centre. Derivatives follow by the chain rule, so the result is exact.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from scalingdb.estimation.model import Coordinate, Derivatives, Evaluation, FloatArray, Model, PreparedInputs

__all__ = ["hold", "with_value"]


def with_value(inputs: PreparedInputs, value: FloatArray) -> PreparedInputs:
    """Inputs for a model made by :func:`hold`, with the value (P, 1) of the parameter that each problem holds."""
    return PreparedInputs(inputs.logs, (*inputs.constants, value))


@functools.lru_cache(maxsize=256)
def hold(model: Model, i: int) -> Model:
    """The model with its parameter number `i` held at the last of the constants of its inputs.

    The other parameters keep their coordinates; see :func:`with_value` for the inputs. Holding several, one after
    the other, takes their values in that order.
    """
    kept = [j for j in range(model.n_params) if j != i]
    position = {j: new for new, j in enumerate(kept)}
    coordinate = model.coordinate(i)

    def opened(inputs: PreparedInputs) -> tuple[PreparedInputs, FloatArray]:
        return PreparedInputs(inputs.logs, inputs.constants[:-1]), inputs.constants[-1]

    def whole(points: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, PreparedInputs, Any]:
        """All coordinates (P, k), the inputs of the whole model, and the derivatives of the held coordinate."""
        own, value = opened(inputs)
        full = np.insert(points, i, 0.0, axis=1)
        at, first, second = coordinate(full, own, value)
        full[:, i] = at
        return full, own, (first, second)

    def evaluate(points: FloatArray, inputs: PreparedInputs, order: int) -> Evaluation:
        full, own, (first, second) = whole(points, inputs)
        outer = model.evaluate(full, own, order)
        if outer.gradient is None:
            return outer
        along = outer.gradient[:, i]
        gradient = outer.gradient[:, kept]
        for j, slope in first:
            gradient[:, position[j]] += slope * along
        if outer.curvature is None:
            return Evaluation(outer.value, gradient, None)
        bends: dict[tuple[int, int], FloatArray] = {}

        def add(a: int, b: int, values: FloatArray) -> None:
            pair = (position[max(a, b)], position[min(a, b)])
            bends[pair] = bends[pair] + values if pair in bends else values

        for a, b, values in outer.curvature:
            if i not in (a, b):
                add(a, b, values)
            elif a == b:
                for number, (j, left) in enumerate(first):
                    for other, right in first[: number + 1]:
                        add(j, other, values * left * right)
            else:
                other = b if a == i else a
                for j, slope in first:
                    add(other, j, values * slope * (2.0 if other == j else 1.0))
        for a, b, bend in second:
            add(a, b, along * bend)
        return Evaluation(outer.value, gradient, [(a, b, values) for (a, b), values in bends.items()])

    def to_natural(points: FloatArray, inputs: PreparedInputs) -> FloatArray:
        full, own, _ = whole(points, inputs)
        return model.to_natural(full, own)[:, kept]

    def to_internal(theta: FloatArray, inputs: PreparedInputs) -> FloatArray:
        own, value = opened(inputs)
        full = np.insert(theta, i, 0.0, axis=1)
        full[:, i] = value.reshape(-1)
        return model.to_internal(full, own)[:, kept]

    def basis(points: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, FloatArray]:
        assert model.basis is not None
        full, own, _ = whole(points, inputs)
        offset, terms = model.basis(full, own)
        if i in model.linear:
            own_term = model.linear.index(i)
            offset = offset + full[:, i : i + 1] * terms[:, own_term]
            terms = np.delete(terms, own_term, axis=1)
        return offset, terms

    def natural_curves(
        points: FloatArray, inputs: PreparedInputs, new: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        full, own, (first, second) = whole(points, inputs)
        value, gradient, bend = model.natural_curves(full, own, kept[new])
        chain = np.zeros((points.shape[0], model.n_params, len(kept)))
        chain[:, kept, range(len(kept))] = 1.0
        for j, slope in first:
            chain[:, i, position[j]] = slope[:, 0]
        with np.errstate(all="ignore"):  # a trial point may lie where the formula is not finite
            bent = chain.transpose(0, 2, 1) @ bend @ chain
            for a, b, values in second:
                bent[:, position[a], position[b]] += gradient[:, i] * values[:, 0]
                if a != b:
                    bent[:, position[b], position[a]] += gradient[:, i] * values[:, 0]
            return value, (gradient[:, None, :] @ chain)[:, 0], bent

    @functools.cache
    def next_coordinate(new: int) -> Coordinate:
        following = model.coordinate(kept[new])

        def at_value(points: FloatArray, inputs: PreparedInputs, value: FloatArray) -> Derivatives:
            full, own, _ = whole(points, inputs)
            # a coordinate that others depend on is the parameter itself, and a constant once it is held
            at, first, second = following(full, own, value)
            return (
                at,
                [(position[j], slope) for j, slope in first if j != i],
                [(position[a], position[b], bend) for a, b, bend in second if i not in (a, b)],
            )

        return at_value

    linear = [position[j] for j in model.linear if j != i]
    return Model(
        [model.params[j] for j in kept],
        linear,
        {position[j] for j in kept if np.isfinite(model.low[j]) or np.isfinite(model.high[j])},
        evaluate,
        to_natural,
        to_internal,
        basis if linear else None,
        is_exact=model.is_exact,
        natural_curves=natural_curves,
        coordinate=next_coordinate,
        is_joint=model.is_joint,
        signed=model.signed,
    )
