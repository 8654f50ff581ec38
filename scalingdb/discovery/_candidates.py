"""Laws in the running: how each is fitted, to all rows and to every inner hold-out, and what it misses by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from scalingdb.discovery._cuts import Cut, axes_of
from scalingdb.discovery._grammar import Form, law_of, write
from scalingdb.discovery._inputs import Table
from scalingdb.discovery._solve import Function, Layout, Rows, Spec, internal, minimise, natural, predict, structured
from scalingdb.fits._law_error import MAX_MISS, growth
from scalingdb.law_library import Law, all_laws

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = [
    "Beyond",
    "Candidate",
    "Judged",
    "Mode",
    "beyond",
    "found",
    "is_sound",
    "judge",
    "known",
    "price",
    "score_of",
    "screen",
    "with_rows",
]

Mode = Literal["one", "shared", "own"]
"""What groups share: all parameters, all but the linear ones (scales and floors), or none."""

CELLS = 128
KEPT = 4


@dataclass(frozen=True)
class Candidate:
    """A law that may be fitted.

    Attributes
    ----------
    law : Law, or None
        Of the library; a form becomes a law when it is asked for.
    form : Form, or None
    function : callable
    specs : tuple of Spec
    mode : Mode
    places : tuple of int
        Inputs that a law of the library takes, in its order.
    text : str
        Formula of a law of the library with the columns' names; its own name where it would have to be traced first.
    """

    law: Law | None
    form: Form | None
    function: Function = field(repr=False)
    specs: tuple[Spec, ...]
    mode: Mode = "one"
    places: tuple[int, ...] = ()
    text: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.law.name if self.law else self.form.key if self.form else None, self.mode)

    def layout(self, n_groups: int) -> Layout:
        shared = [self.mode == "one" or (self.mode == "shared" and not spec.linear) for spec in self.specs]
        return Layout.of(n_groups, self.specs, shared)

    def as_law(self, table: Table) -> Law:
        """The law with the table's columns."""
        if self.law is not None:
            return self.law
        assert self.form is not None
        import hashlib

        digest = hashlib.sha256(write(self.form, table).source.encode()).hexdigest()[:6]
        return law_of(self.form, table, f"found_{digest}")


@dataclass(frozen=True, eq=False)
class Judged:
    """A law with its fits.

    Attributes
    ----------
    candidate : Candidate
    u : array (K,)
        Fitted to all rows.
    by_cut : array (C, K)
    error : array (C, n)
        Prediction against observation at the rows of each inner hold-out; ``nan`` elsewhere.
    residual : array (n,)
        The same of the fit to all rows.
    score : float
        Error over growth with distance, averaged over hold-outs, times the price of the parameters and the risk.
    n_params : int
    risk : float
        Factor for forms that no theory has: see :data:`BEND`.
    """

    candidate: Candidate
    u: FloatArray
    by_cut: FloatArray
    error: FloatArray
    residual: FloatArray
    score: float
    n_params: int
    risk: float = 1.0

    @property
    def is_library(self) -> bool:
        return self.candidate.law is not None


def with_rows(table: Table, delta: float) -> Rows:
    logs = tuple(one.log(values) for one, values in zip(table.inputs, table.x, strict=True))
    return Rows(table.x, logs, table.y, table.group, table.is_log, table.unit, delta)


@dataclass(frozen=True)
class Beyond:
    """Rows that continue the table beyond its largest: what a law may not do there.

    Attributes
    ----------
    rays : tuple of (Rows, bool)
        The largest rows, then the same at 2, 4, 8 and 16 times the sizes (rows of one step after those of the one
        before); and whether the output is known to fall along them.
    n : int
        Rows of a step.
    is_share : bool
        Whether all outputs lie between 0 and 1.
    sizes : tuple of int
        Inputs that grow.
    """

    rays: tuple[tuple[Rows, bool], ...]
    n: int
    is_share: bool
    sizes: tuple[int, ...] = ()


BEND = 1.2
"""What a parabola in the logarithm of a size costs, as a factor of the error: it bends on where the rows end."""

FACTORS = (1.0, 2.0, 4.0, 8.0, 16.0)
SLACK = 2e-3
"""Part of the output by which a law may turn beyond the rows: rounding and a flat end."""


def beyond(table: Table, rows: Rows) -> Beyond:
    """The largest third of the rows, continued: along all sizes together, and along data and compute alone."""
    along = axes_of(table, table.x).get("scale")
    sizes = [i for i, one in enumerate(table.inputs) if one.kind in {"size", "open", "signed"}]
    if along is None or not sizes:
        return Beyond((), 0, is_share=False)
    top = np.argsort(-along, kind="stable")[: int(np.clip(table.y.size // 3, 4, 60))]
    single = [[i] for i in sizes if table.inputs[i].role in {"tokens", "compute"} and len(sizes) > 1]
    # the unique ones among tokens cannot stay behind for ever: they grow with the others only
    rays = []
    for moved in [sizes, *single]:
        x = []
        for i, one in enumerate(table.inputs):
            start = table.x[i][top]
            if i not in moved:
                steps = [start for _ in FACTORS]
            elif one.kind == "signed":
                spread = float(table.x[i].std())
                steps = [start + spread * np.log2(factor) / 4 for factor in FACTORS]
            else:
                steps = [start * factor for factor in FACTORS]
            x.append(np.concatenate(steps))
        logs = tuple(one.log(values) for one, values in zip(table.inputs, x, strict=True))
        group = np.tile(table.group[top], len(FACTORS))
        made = Rows(tuple(x), logs, np.ones(group.size), group, rows.is_log, rows.unit, rows.delta)
        rays.append((made, all(table.inputs[i].falls for i in moved)))
    return Beyond(
        tuple(rays),
        top.size,
        is_share=bool(table.y.min() >= 0 and table.y.max() <= 1 and not table.is_log),
        sizes=tuple(sizes),
    )


def is_sound(candidate: Candidate, u: FloatArray, ahead: Beyond, n_groups: int) -> bool:
    """Whether a law goes on beyond the rows: no new turn, no rise where it must fall, no share above one."""
    layout = candidate.layout(n_groups)
    for rows, falls in ahead.rays:
        value = predict(candidate.function, candidate.specs, layout, u[None], rows)[0].reshape(len(FACTORS), ahead.n)
        if not np.isfinite(value).all() or (rows.is_log and (value <= 0).any()):
            return False
        if ahead.is_share and (np.mean((value < -0.02) | (value > 1.02)) > 0.05):
            return False
        unit = np.abs(value[0]) if rows.is_log else rows.unit
        steps = np.diff(value, axis=0) / unit
        up, down = steps.max(0) > SLACK, steps.min(0) < -SLACK
        if np.mean(up & down) > 0.1 or (falls and np.mean(up) > 0.1):
            return False
    return True


def found(form: Form, table: Table, mode: Mode = "one") -> Candidate:
    written = write(form, table)
    return Candidate(None, form, written.function, written.specs, mode)


# ---- laws of the library ------------------------------------------------------------------------

SCORES = ("accuracy", "task_accuracy", "score", "error", "pass_rate", "reward")
"""Outputs of laws that bounded scores are tried with, whatever they are called."""
GENERIC = ("n_tokens", "n_examples", "n_params", "train_flops", "x")
ROLE_OF = {
    "n_params": "params",
    "n_params_non_embedding": "params",
    "n_params_active": "params",
    "n_params_average": "params",
    "n_tokens": "tokens",
    "n_examples": "tokens",
    "n_tokens_unique": "unique",
    "train_flops": "compute",
}
WORDS = {
    "n_experts": r"expert",
    "n_streams": r"stream|parallel",
    "n_params_vocabulary": r"vocab",
    "n_epochs": r"epoch",
    "learning_rate": r"(^|_)lr(_|$)|learning_rate",
    "batch_size_tokens": r"bsz|batch",
    "n_members": r"member",
}


def known(table: Table, mode: Mode = "one") -> list[Candidate]:
    """Laws of the library whose inputs are among the table's: by name, by role, or the only one there is."""
    candidates = []
    for law in all_laws().values():
        if not _fits_output(law, table):
            continue
        for places in _places(law, table):
            candidates.append(_candidate(law, places, table, mode))
    return sorted(candidates, key=lambda one: -len(set(one.places)))


def _fits_output(law: Law, table: Table) -> bool:
    if law.output == table.output:
        return True
    if law.output == "loss":
        return not table.rises
    return law.output in SCORES and (table.rises or not table.is_log)


def _places(law: Law, table: Table) -> list[tuple[int, ...]]:
    names = [one.name for one in table.inputs]
    if all(name in names for name in law.inputs):
        return [tuple(names.index(name) for name in law.inputs)] if len(law.inputs) > 1 or len(names) < 3 else []
    if len(law.inputs) == 1 and law.inputs[0] in GENERIC:
        sizes = table.of_kind("size", "count", "open")
        return [sizes] if len(sizes) == 1 else []
    if law.inputs == ("capability",) and len(names) == 1:
        return [(0,)] if table.inputs[0].kind == "signed" else []
    places = []
    for name in law.inputs:
        choice = [
            i
            for i, one in enumerate(table.inputs)
            if one.name == name
            or (ROLE_OF.get(name) == one.role and one.role)
            or (name in WORDS and re.search(WORDS[name], one.name))
        ]
        choice = [i for i in choice if i not in places]
        if not choice:
            return []
        places.append(choice[0])
    return [tuple(places)]


def _candidate(law: Law, places: tuple[int, ...], table: Table, mode: Mode) -> Candidate:
    names = list(law.params)

    def function(x: Sequence[FloatArray], logs: Sequence[FloatArray], params: Sequence[FloatArray]) -> FloatArray:
        return np.asarray(law.function(*(x[i] for i in places), **dict(zip(names, params, strict=True))), dtype=float)

    linear = set(law.linear_params)
    specs = []
    for name, param in law.params.items():
        kind = "exponent" if param.kind == "exponent" else "positive" if param.low >= 0 else "real"
        low, high = param.start
        if kind != "real":
            low, high = max(low, 1e-12), max(high, 1e-11)
        specs.append(Spec(name, kind, (low, high), low, name in linear, param.meaning))
    columns = tuple(table.inputs[i].name for i in places)
    made = law if columns == law.inputs else _renamed(law, columns)
    renamed = dict(zip(law.inputs, columns, strict=True))
    text = law.name
    if "text" in law._kept:
        text = re.sub(r"\b[A-Za-z_]\w*\b", lambda seen: renamed.get(seen[0], seen[0]), law.formula_text)
    return Candidate(made, None, function, tuple(specs), mode, places, text)


def _renamed(law: Law, columns: Sequence[str]) -> Law:
    from dataclasses import replace

    taken = dict(zip(law.inputs, columns, strict=True))
    domain = {taken[name]: ends for name, ends in law.domain.items()}
    return replace(law, inputs=tuple(columns), domain=domain, best_split=None)


# ---- fits ---------------------------------------------------------------------------------------


def _starts(
    candidate: Candidate, rows: Rows, weights: FloatArray, n_groups: int, count: int, cells: int, seed: int
) -> FloatArray:
    """Starts (S, K) for one set of weights (n,)."""
    layout = candidate.layout(n_groups)
    if n_groups == 1 or candidate.mode == "one":
        return np.asarray(_of_group(candidate, rows, weights, count, cells, seed)[:, _inverse(layout)])
    each = []
    for number in range(n_groups):
        mine = weights * (rows.group == number)
        if (mine > 0).sum() < 2:
            each.append(np.empty((0, len(candidate.specs))))
            continue
        each.append(_of_group(candidate, rows, mine, count, max(cells // 4, 16), seed))
    usable = [part for part in each if len(part)]
    if not usable:
        return np.empty((0, layout.n_params))
    middle = np.median([part[0] for part in usable], axis=0)
    starts = np.zeros((count, layout.n_params))
    for s in range(count):
        theta = np.array([part[min(s, len(part) - 1)] if len(part) else middle for part in each])
        if candidate.mode == "shared":
            center = np.median(theta, axis=0) if s else middle
            for j, spec in enumerate(candidate.specs):
                if not spec.linear:
                    theta[:, j] = center[j]
            theta = _resolved(candidate, rows, weights, theta)
        starts[s, layout.table] = theta
    return starts


def _resolved(candidate: Candidate, rows: Rows, weights: FloatArray, theta: FloatArray) -> FloatArray:
    """The same non-linear parameters (G, k), each group's linear ones solved for."""
    solved = theta.copy()
    for number in range(len(theta)):
        mine = weights * (rows.group == number)
        if (mine > 0).sum() >= 2:
            given = natural(candidate.specs, theta[None, number : number + 1])[:, 0]
            found_ = structured(candidate.function, candidate.specs, rows, mine, 1, 0, 0, given)
            if len(found_):
                solved[number] = found_[0]
    return solved


def _inverse(layout: Layout) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.argsort(layout.table[0])


def _of_group(candidate: Candidate, rows: Rows, weights: FloatArray, count: int, cells: int, seed: int) -> FloatArray:
    given = None
    if candidate.law is not None and candidate.law.starts is not None:
        used = weights > 0
        try:
            with np.errstate(all="ignore"):
                inputs = [rows.x[i][used] for i in candidate.places]
                given = candidate.law.starts(inputs, rows.y[used], weights[used])
            given = np.asarray(given, dtype=float).reshape(-1, len(candidate.specs))
            given = given[np.isfinite(given).all(1)][:64]
        except (ArithmeticError, ValueError, IndexError, TypeError, np.linalg.LinAlgError):
            given = None
    return structured(candidate.function, candidate.specs, rows, weights, count, cells, seed, given)


def _handed(
    candidate: Candidate, parent: Judged | None, rows: Rows, weights: FloatArray, n_groups: int, seed: int
) -> FloatArray:
    """Starts from where the parent ended: what it lacks is neutral, or anything."""
    if parent is None:
        return np.empty((0, candidate.layout(n_groups).n_params))
    old = {spec.name: j for j, spec in enumerate(parent.candidate.specs)}
    theta = natural(parent.candidate.specs, parent.u[parent.candidate.layout(n_groups).table])
    generator = np.random.default_rng(seed)
    layout = candidate.layout(n_groups)
    made = []
    new = [spec for spec in candidate.specs if spec.name not in old]
    for turn in range(5 if new else 2):
        values = np.empty((n_groups, len(candidate.specs)))
        for j, spec in enumerate(candidate.specs):
            if spec.name in old:
                values[:, j] = theta[:, old[spec.name]]
            elif turn == 0:
                values[:, j] = spec.neutral
            else:
                low, high = spec.start
                part = generator.random()
                values[:, j] = low + part * (high - low) if spec.kind == "real" else low * (high / low) ** part
            if candidate.mode != "own" and layout.table[0, j] == layout.table[-1, j] and n_groups > 1:
                values[:, j] = np.median(values[:, j])
        u = internal(candidate.specs, values)
        if turn % 2:
            u = _resolved(candidate, rows, weights, u) if n_groups == 1 or candidate.mode != "one" else u
        flat = np.zeros(layout.n_params)
        flat[layout.table] = u
        made.append(flat)
    return np.array(made)


def _fit(
    candidate: Candidate, rows: Rows, weights: FloatArray, starts: FloatArray, n_groups: int, iterations: int
) -> tuple[FloatArray, FloatArray]:
    layout = candidate.layout(n_groups)
    return minimise(candidate.function, candidate.specs, layout, starts, rows, weights, iterations)


def screen(
    candidate: Candidate, rows: Rows, cut: Cut, parent: Judged | None, n_groups: int, seed: int
) -> tuple[float, FloatArray]:
    """Error on one hold-out after a short search, and where it ended; infinite where there is no fit."""
    weights = cut.train.astype(float)
    starts = np.concatenate(
        [
            _handed(candidate, parent, rows, weights, n_groups, seed),
            _starts(candidate, rows, weights, n_groups, 2 if parent else 3, 32 if parent else CELLS, seed),
        ]
    )
    if not len(starts):
        return float("inf"), starts
    u, total = _fit(candidate, rows, np.repeat(weights[None], len(starts), 0), starts, n_groups, 15)
    best = int(np.argmin(total))
    if not np.isfinite(total[best]):
        return float("inf"), starts[:0]
    residual = rows.residual(
        predict(candidate.function, candidate.specs, candidate.layout(n_groups), u[best : best + 1], rows)
    )[0]
    error = np.clip(np.nan_to_num(residual[cut.test], nan=MAX_MISS), -MAX_MISS, MAX_MISS)
    order = np.argsort(total, kind="stable")[:2]
    return float(np.sqrt(np.mean((error / growth(cut.log_distance[cut.test])) ** 2))), u[order]


def judge(
    candidate: Candidate,
    rows: Rows,
    cuts: Sequence[Cut],
    parent: Judged | None,
    ends: FloatArray,
    n_groups: int,
    seed: int,
    ahead: Beyond,
) -> Judged | None:
    """Fit all rows and every hold-out; None where a fit fails, or the law turns beyond the rows."""
    everything = np.ones(rows.y.size)
    starts = np.concatenate(
        [
            ends,
            _handed(candidate, parent, rows, everything, n_groups, seed),
            _starts(candidate, rows, everything, n_groups, KEPT, 64 if parent else CELLS, seed),
        ]
    )
    if not len(starts):
        return None
    u, total = _fit(candidate, rows, np.repeat(everything[None], len(starts), 0), starts, n_groups, 40)
    if not np.isfinite(total.min()):
        return None
    order = np.argsort(total, kind="stable")
    full = u[order[0]]
    if candidate.law is None and not is_sound(candidate, full, ahead, n_groups):
        return None
    near = u[order[:2]]
    begun, weights, owner = [], [], []
    for number, cut in enumerate(cuts):
        mine = cut.train.astype(float)
        own = _starts(candidate, rows, mine, n_groups, 2, 32, seed + number + 1)
        parts = [near, own, ends[:1]]
        if parent is not None:
            handed = _handed_cut(candidate, parent, number, n_groups)
            parts.append(handed[None])
        several = np.concatenate(parts)
        begun.append(several)
        weights.append(np.repeat(mine[None], len(several), 0))
        owner += [number] * len(several)
    at, totals = _fit(candidate, rows, np.concatenate(weights), np.concatenate(begun), n_groups, 30)
    which = np.array(owner)
    by_cut = np.empty((len(cuts), full.size))
    for number in range(len(cuts)):
        mine_ = np.flatnonzero(which == number)
        best = mine_[np.argmin(totals[mine_])]
        if not np.isfinite(totals[best]):
            return None
        by_cut[number] = at[best]
    layout = candidate.layout(n_groups)
    residual = rows.residual(predict(candidate.function, candidate.specs, layout, full[None], rows))[0]
    error = rows.residual(predict(candidate.function, candidate.specs, layout, by_cut, rows))
    error = np.clip(np.nan_to_num(error, nan=MAX_MISS, posinf=MAX_MISS, neginf=-MAX_MISS), -MAX_MISS, MAX_MISS)
    for number, cut in enumerate(cuts):
        error[number, ~cut.test] = np.nan
    n_params = layout.n_params
    risk = 1.0 if candidate.form is None else BEND ** candidate.form.bends(ahead.sizes)
    return Judged(candidate, full, by_cut, error, residual, score_of(error, cuts, n_params) * risk, n_params, risk)


def _handed_cut(candidate: Candidate, parent: Judged, number: int, n_groups: int) -> FloatArray:
    """The parent's end on one hold-out, what it lacks being neutral."""
    old = {spec.name: j for j, spec in enumerate(parent.candidate.specs)}
    theta = natural(parent.candidate.specs, parent.by_cut[number][parent.candidate.layout(n_groups).table])
    values = np.empty((n_groups, len(candidate.specs)))
    layout = candidate.layout(n_groups)
    for j, spec in enumerate(candidate.specs):
        values[:, j] = theta[:, old[spec.name]] if spec.name in old else spec.neutral
        if n_groups > 1 and layout.table[0, j] == layout.table[-1, j]:
            values[:, j] = np.median(values[:, j])
    flat = np.zeros(layout.n_params)
    flat[layout.table] = internal(candidate.specs, values)
    return flat


def cut_errors(error: FloatArray, cuts: Sequence[Cut]) -> FloatArray:
    """Root mean square (C,) of the errors over their growth with distance."""
    return np.array(
        [
            np.sqrt(np.mean((error[number, cut.test] / growth(cut.log_distance[cut.test])) ** 2))
            for number, cut in enumerate(cuts)
        ]
    )


def price(n_params: int, n_rows: int) -> float:
    """What parameters cost: Akaike's final prediction error, as a factor of the error."""
    left = max(n_rows - n_params, 1)
    return float(np.sqrt((n_rows + n_params) / left))


def score_of(error: FloatArray, cuts: Sequence[Cut], n_params: int) -> float:
    """Mean error over the hold-outs, times what the parameters cost."""
    weights = np.array([cut.weight for cut in cuts])
    fitted = np.array([float(cut.train.sum()) for cut in cuts])
    if n_params + 1 >= fitted.min():
        return float("inf")
    return float(weights @ cut_errors(error, cuts)) * price(n_params, int(weights @ fitted))
