"""Two laws along a named axis: hours, FLOP, samples, dollars, whatever both take."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scalingdb.errors import DataError, DomainWarning, unknown_name
from scalingdb.fits import Fit
from scalingdb.law_library import Law, get_law
from scalingdb.law_library._ranges import range_of
from scalingdb.notices import argument
from scalingdb.planning._curve import Curve, FloatArray, curve_of, first_reached, input_named, is_better_higher
from scalingdb.planning._pair import Pair, paired
from scalingdb.planning._surface import make_cost, surface_of

__all__ = ["PathPair", "axis_of", "path_pair"]

REACH = 1e4
"""Times beyond the ranges of both laws, on either side, within which values along an axis are looked for."""

Path = Callable[[FloatArray, FloatArray], FloatArray]
"""``path(theta (P, K), x (B,)) -> (P, B)``: the output along the axis."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PathPair(Pair):
    """Two curves along one axis, whose draws go together.

    Attributes
    ----------
    axis : str
    output : str
    paths : (callable, callable)
    span : (float, float)
        Part of the axis over which either was fitted.
    sign : float
        1 where less of the output is better, -1 where more is.
    """

    axis: str
    output: str
    paths: tuple[Path, Path]
    span: tuple[float, float]
    sign: float

    def estimate(self, side: int, x: FloatArray) -> FloatArray:
        """Output (B,) of one side."""
        curve = (self.a, self.b)[side]
        return np.asarray(self.paths[side](curve.estimate, x)[0])

    def drawn(self, side: int, x: FloatArray) -> FloatArray:
        """Draws (P, B) of the output of one side."""
        return self.spread(side, lambda theta: self.paths[side](theta, x))

    def grid(self, points: Sequence[float] = ()) -> FloatArray:
        """The axis far beyond the ranges, denser around some points."""
        low, high = self.span[0] / REACH, self.span[1] * REACH
        near = [np.geomspace(x / 10, x * 10, 121) for x in points if np.isfinite(x) and x > 0]
        return np.unique(np.concatenate([np.geomspace(low, high, 961), *near]))

    def reached(self, values: FloatArray, grid: FloatArray, wanted: FloatArray) -> FloatArray:
        """Where curves (P, G) first become as good as `wanted` (P, B); infinite where they never do."""
        wanted = np.broadcast_to(wanted, (len(values), np.shape(wanted)[-1]))
        return np.exp(first_reached(np.log(grid), self.sign * values, self.sign * wanted))

    def warn_far(self, x: Sequence[float], what: str) -> None:
        """Warn where a result lies far outside the range of a law."""
        said = []
        values = np.array([v for v in x if np.isfinite(v)])
        for curve in (self.a, self.b):
            name = _own_name(curve, self.axis)
            if name is not None and values.size:
                said += [f"{curve.label}: {text}" for text in curve.beyond({name: values})[1]]
        if said:
            warnings.warn(f"{what} extrapolates: {'; '.join(said)}", DomainWarning, stacklevel=4)


def _own_name(curve: Curve, axis: str) -> str | None:
    """What a curve calls the axis."""
    return input_named(curve.fit if curve.fit is not None else curve.law, axis)


def axis_of(a: str | Law | Fit, b: str | Law | Fit, along: str | None) -> str | None:
    """The axis of a comparison; None for two surfaces over N and D along their best splits.

    It is the one that is named, else the only input of both laws.
    """
    if along is not None:
        return along
    names: list[set[str]] = []
    for law in (a, b):
        entry = law.law if isinstance(law, Fit) else get_law(law)
        if len(entry.inputs) != 1:
            return None
        columns = {law.recipe.columns[entry.inputs[0]]} if isinstance(law, Fit) else set()
        names.append(columns or set(entry.inputs))
    common = names[0] & names[1]
    if not common:
        raise DataError(
            f"one law runs along {', '.join(names[0])}, the other along {', '.join(names[1])}",
            "compare laws along one axis: fit them to columns of one name.",
        )
    return common.pop()


def path_pair(
    a: str | Law | Fit,
    b: str | Law | Fit,
    axis: str,
    given: Mapping[str, float],
    convention: str,
    omega: float,
    *,
    pool: bool,
) -> PathPair:
    """Both laws along an axis: as a function of it where they take it, along the best split where it is compute.

    Raises
    ------
    DataError
        If the outputs are not comparable, or an input has no value.
    UnknownNameError
        If a law does not take the axis.
    """
    curves: list[Curve] = []
    paths: list[Path] = []
    spans: list[tuple[float, float]] = []
    for law in (a, b):
        curve, path, span = _along(law, axis, given, convention, omega)
        curves.append(curve)
        paths.append(path)
        spans.append(span)
    outputs = [curve.fit.recipe.output if curve.fit is not None else curve.law.output for curve in curves]
    if outputs[0] != outputs[1] and not pool:
        raise DataError(
            f"{curves[0].label} yields {outputs[0]}, {curves[1].label} yields {outputs[1]}: not comparable",
            f"compare laws of one output; {argument(pool=True)} compares all the same.",
        )
    span = (min(s[0] for s in spans), max(s[1] for s in spans))
    higher = is_better_higher(outputs[0])
    if higher is None:
        ends = paths[0](curves[0].estimate, np.array(span))[0]
        higher = bool(ends[1] > ends[0])
    return PathPair(
        a=curves[0],
        b=curves[1],
        axis=axis,
        output=outputs[0],
        paths=(paths[0], paths[1]),
        span=span,
        sign=-1.0 if higher else 1.0,
        **paired(curves[0], curves[1], pool=pool),
    )


def _along(
    law: str | Law | Fit, axis: str, given: Mapping[str, float], convention: str, omega: float
) -> tuple[Curve, Path, tuple[float, float]]:
    """One law along an axis, and the part of the axis on which it was fitted."""
    entry = law.law if isinstance(law, Fit) else get_law(law)
    own = {name: value for name, value in given.items() if input_named(law, name)}
    name = input_named(law, axis)
    if name is not None:
        curve = curve_of(law, (name,), own)
        taken = name
        span = curve.ranges.get(taken) or range_of(entry, taken)
        if not (span[0] > 0 and np.isfinite(span[1])):
            span = range_of(entry, taken)
        return curve, lambda theta, x: curve.value(theta, **{taken: x}), span
    if axis != "train_flops" or "n_tokens" not in entry.inputs:
        raise unknown_name("axis", axis, entry.inputs, f"(of law {entry.name!r})")
    surface = surface_of(law, None, own)
    cost = make_cost(convention, surface.size, omega)
    ranges = [surface.ranges.get(key) or range_of(entry, key) for key in (surface.size, "n_tokens")]
    flops = (6 * ranges[0][0] * ranges[1][0], 6 * ranges[0][1] * ranges[1][1])
    return surface, lambda theta, x: surface.best(theta, x, cost)[2], flops
