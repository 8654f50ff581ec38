"""Many groups as one problem: some parameters shared by all, the others each group's own.

The joint model is the model of one group, evaluated for all groups in one call and put together row by row, so that
its derivatives are as exact as those of the group. Groups are centred alike: the coordinate of a shared parameter must
mean the same in all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from scalingdb.estimation.model import Coordinate, Derivatives, Evaluation, FloatArray, Model, PreparedInputs

__all__ = ["joint_model", "places", "shares_its_coordinate"]

IntArray = np.ndarray[Any, np.dtype[np.int64]]


def places(n_groups: int, n_params: int, shared: Sequence[int]) -> IntArray:
    """Position (G, k) of every group's parameters in the joint problem: shared ones first, then group by group."""
    own = [j for j in range(n_params) if j not in shared]
    table = np.empty((n_groups, n_params), dtype=np.int64)
    for place, j in enumerate(shared):
        table[:, j] = place
    for place, j in enumerate(own):
        table[:, j] = len(shared) + np.arange(n_groups) * len(own) + place
    return table


def shares_its_coordinate(base: Model, shared: int, others: Sequence[int], inputs: PreparedInputs) -> bool:
    """Whether a parameter depends on its own coordinate alone, not on those that differ between groups."""
    point = np.array([[0.5 if p.high == np.inf else min(0.5, 0.5 * (p.low + p.high)) for p in base.params]])
    moved = np.repeat(point, len(others) + 1, axis=0)
    for row, j in enumerate(others):
        moved[row + 1, j] *= 1.3
    values = base.to_natural(moved, inputs)[:, shared]
    return bool(np.allclose(values, values[0], rtol=1e-12, atol=0))


@dataclass(frozen=True, eq=False)
class _Joint:
    """The functions of a joint model."""

    base: Model
    table: IntArray  # (G, k)
    padded: IntArray  # (G, m): rows of each group, the first one again where there are fewer
    is_row: np.ndarray[Any, np.dtype[np.bool_]]  # (G, m)

    @property
    def n_params(self) -> int:
        return int(self.table.max()) + 1

    @property
    def n_rows(self) -> int:
        return int(self.is_row.sum())

    def _split(self, u: FloatArray) -> FloatArray:
        """Parameters (P * G, k) of every group of every problem."""
        return np.asarray(u[:, self.table].reshape(-1, self.table.shape[1]))

    def _inputs(self, inputs: PreparedInputs, count: int) -> PreparedInputs:
        return replace(inputs, logs=tuple(np.tile(log[self.padded], (count, 1)) for log in inputs.logs))

    def _flat(self, values: Any, count: int) -> FloatArray:
        """Values (P * G, m) as (P, n), in the order of groups."""
        shape = (count * self.table.shape[0], self.padded.shape[1])
        return np.asarray(np.broadcast_to(values, shape).reshape(count, *self.padded.shape)[:, self.is_row])

    def evaluate(self, u: FloatArray, inputs: PreparedInputs, order: int) -> Evaluation:
        count, rows = u.shape[0], self.padded[self.is_row]
        group = np.nonzero(self.is_row)[0]
        part = self.base.evaluate(self._split(u), self._inputs(inputs, count), order)
        value = np.empty((count, self.n_rows))
        value[:, rows] = self._flat(part.value, count)
        if part.gradient is None:
            return Evaluation(value, None, None)
        gradient = np.zeros((count, self.n_params, self.n_rows))
        for j in range(self.table.shape[1]):
            gradient[:, self.table[group, j], rows] = self._flat(part.gradient[:, j], count)
        if part.curvature is None:
            return Evaluation(value, gradient, None)
        curvature = []
        for a, b, second in part.curvature:
            flat = self._flat(second, count)
            pairs = self.table[:, a] * self.n_params + self.table[:, b]
            for pair in np.unique(pairs):
                is_in = (pairs == pair)[group]
                entry = np.zeros((count, self.n_rows))
                entry[:, rows[is_in]] = flat[:, is_in]
                curvature.append((int(pair // self.n_params), int(pair % self.n_params), entry))
        return Evaluation(value, gradient, curvature)

    def _gathered(self, values: FloatArray, count: int) -> FloatArray:
        """Values (P * G, k) of groups as (P, K)."""
        out = np.empty((count, self.n_params))
        out[:, self.table] = values.reshape(count, *self.table.shape)
        return out

    def to_natural(self, u: FloatArray, inputs: PreparedInputs) -> FloatArray:
        return self._gathered(self.base.to_natural(self._split(u), inputs), u.shape[0])

    def to_internal(self, theta: FloatArray, inputs: PreparedInputs) -> FloatArray:
        return self._gathered(self.base.to_internal(self._split(theta), inputs), theta.shape[0])

    @property
    def linear(self) -> list[int]:
        return [int(i) for i in np.unique(self.table[:, list(self.base.linear)])]

    def basis(self, u: FloatArray, inputs: PreparedInputs) -> tuple[FloatArray, FloatArray]:
        assert self.base.basis is not None
        count, rows = u.shape[0], self.padded[self.is_row]
        group = np.nonzero(self.is_row)[0]
        base_offset, base_terms = self.base.basis(self._split(u), self._inputs(inputs, count))
        offset, terms = np.empty((count, self.n_rows)), np.zeros((count, len(self.linear), self.n_rows))
        offset[:, rows] = self._flat(base_offset, count)
        where = np.searchsorted(self.linear, self.table[:, list(self.base.linear)])
        for i in range(len(self.base.linear)):
            terms[:, where[group, i], rows] = self._flat(base_terms[:, i], count)
        return offset, terms

    def natural_curves(
        self, u: FloatArray, inputs: PreparedInputs, i: int
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        g, j = (int(place[0]) for place in np.nonzero(self.table == i))
        own, count = self.table[g], u.shape[0]
        value, slope, bend = self.base.natural_curves(u[:, own], inputs, j)
        gradient, hessian = np.zeros((count, self.n_params)), np.zeros((count, self.n_params, self.n_params))
        gradient[:, own] = slope
        hessian[:, own[:, None], own] = bend
        return value, gradient, hessian

    def coordinate(self, i: int) -> Coordinate:
        g, j = (int(place[0]) for place in np.nonzero(self.table == i))
        own, alone = self.table[g], self.base.coordinate(j)

        def held(u: FloatArray, inputs: PreparedInputs, value: FloatArray) -> Derivatives:
            at, first, second = alone(u[:, own], inputs, value)
            named = [(int(max(own[a], own[b])), int(min(own[a], own[b])), bend) for a, b, bend in second]
            return at, [(int(own[a]), slope) for a, slope in first], named

        return held


def joint_model(base: Model, groups: IntArray, shared: Sequence[int], labels: Sequence[str]) -> Model:
    """The model of all groups.

    Parameters
    ----------
    base : Model
        Of one group.
    groups : array (n,)
        Number of each row's group, from 0.
    shared : sequence of int
        Positions of the shared parameters in `base`.
    labels : sequence of str
        Names of the groups: ``A`` of group ``adam`` is called ``A[adam]``.
    """
    n_groups = len(labels)
    table = places(n_groups, base.n_params, shared)
    rows = [np.flatnonzero(groups == g) for g in range(n_groups)]
    most = max(row.size for row in rows)
    padded = np.stack([np.concatenate([row, np.full(most - row.size, row[0])]) for row in rows])
    is_row = np.arange(most) < np.array([[row.size] for row in rows])
    joint = _Joint(base, table, padded, is_row)
    source = np.empty(joint.n_params, dtype=np.int64)
    source[table] = np.arange(base.n_params)
    specs = [base.params[j] for j in source]
    for g, label in enumerate(labels):
        for j, i in enumerate(table[g]):
            if j not in shared:
                specs[i] = replace(specs[i], name=f"{specs[i].name}[{label}]")
    model = Model(
        specs,
        joint.linear if base.basis is not None else (),
        (),
        joint.evaluate,
        joint.to_natural,
        joint.to_internal,
        joint.basis if base.basis is not None else None,
        is_exact=base.is_exact,
        natural_curves=joint.natural_curves,
        coordinate=joint.coordinate,
        signed=base.signed,
    )
    model.low, model.high, model.reach = base.low[source], base.high[source], base.reach[source]
    return model
