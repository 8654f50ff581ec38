"""The walk over forms: from the library and simple forms to their children, the better ones kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scalingdb.discovery._candidates import (
    Beyond,
    Candidate,
    Judged,
    Mode,
    beyond,
    found,
    judge,
    known,
    screen,
    with_rows,
)
from scalingdb.discovery._cuts import Cut
from scalingdb.discovery._grammar import children, seeds
from scalingdb.discovery._inputs import Table
from scalingdb.discovery._solve import Rows
from scalingdb.notices import notice, silence

if TYPE_CHECKING:
    from scalingdb.estimation.model import FloatArray

__all__ = ["Budget", "Searched", "search"]

BEAM = 4
"""Forms whose children are tried in one round."""
ROUNDS = 5
LIBRARY = 0.35
"""Share of the budget that laws of the library may take; those with the most inputs come first."""
GO_ON = 0.35
"""Share of the screened forms that are judged on all hold-outs."""
ALIKE = 1e-5
"""Two laws whose predictions differ by less are one."""
TALKS_FROM = 20.0
"""Seconds of a budget from which on a search says how far it is."""
SCREEN, JUDGE = 1, 3
"""What a step costs, in evaluations."""
PER_SECOND = 16.0
"""Evaluations that a second of the budget buys, with 200 rows; fewer with more rows."""
OVERTIME, PATIENCE = 2.0, 6.0
"""Times the budget in processor time, and on the wall clock, after which a search stops where it is."""


@dataclass
class Budget:
    """Evaluations that may be made, and the clock that stops a search on a slow machine."""

    seconds: float
    evaluations: int
    used: int = 0
    began: float = 0.0
    began_cpu: float = 0.0
    is_late: bool = False

    @staticmethod
    def of(seconds: float, n_rows: int, n_groups: int = 1) -> Budget:
        """Seconds as a number of evaluations, which does not depend on the load of the machine."""
        count = int(seconds * PER_SECOND / (0.4 + n_rows / 333.0) / (1.0 + (n_groups - 1) / 12.0))
        return Budget(seconds, max(count, 1), began=time.monotonic(), began_cpu=time.process_time())

    def spend(self, cost: int) -> bool:
        """Whether there is enough left for a step; it is taken then."""
        if time.process_time() - self.began_cpu > OVERTIME * self.seconds:
            self.is_late = True
        if time.monotonic() - self.began > PATIENCE * self.seconds:
            self.is_late = True
        if self.is_late or self.used + cost > self.evaluations:
            return False
        self.used += cost
        return True


@dataclass(frozen=True, eq=False)
class Searched:
    """All laws that were judged, the best score first, and what the search cost."""

    judged: tuple[Judged, ...]
    rows: Rows
    n_screened: int
    n_refused: int
    budget: Budget


def search(table: Table, cuts: Sequence[Cut], budget: Budget, seed: int, delta: float) -> Searched:
    """Judge laws of the library and forms of the grammar on the hold-outs.

    The same table, cuts, budget and seed give the same laws, unless the clock runs out.
    """
    rows = with_rows(table, delta)
    n_groups = len(table.groups)
    ahead = beyond(table, rows)
    modes: tuple[Mode, ...] = ("shared", "own", "one") if n_groups > 1 else ("one",)
    judged: list[Judged] = []
    seen: set[object] = set()
    counts = {"screened": 0, "refused": 0}

    def admit(candidate: Candidate, parent: Judged | None, ends: FloatArray | None = None) -> None:
        if not budget.spend(JUDGE):
            return
        layout = candidate.layout(n_groups)
        if ends is None:
            ends = np.empty((0, layout.n_params))
        made = _tried(candidate, rows, cuts, parent, ends, n_groups, seed, ahead)
        if made is None or not np.isfinite(made.score):
            counts["refused"] += 1
            return
        for k, other in enumerate(judged):
            if _is_same(made, other):
                counts["refused"] += 1
                if made.n_params < other.n_params and not other.is_library:
                    judged[k] = made
                return
        judged.append(made)

    least = min(int(cut.train.sum()) for cut in cuts)

    def can_be_fitted(candidate: Candidate) -> bool:
        return candidate.layout(n_groups).n_params + 1 < least

    for mode in modes[:2] if n_groups > 1 else modes:
        with silence():
            entrants = known(table, mode)
        for candidate in entrants:
            if budget.used > LIBRARY * budget.evaluations:
                break
            if candidate.key not in seen and can_be_fitted(candidate):
                seen.add(candidate.key)
                admit(candidate, None)
    middle = _middle(cuts)
    fresh: list[tuple[float, int, Candidate, FloatArray]] = []
    for mode in modes:
        for form in seeds(table):
            candidate = found(form, table, mode)
            if candidate.key in seen or not can_be_fitted(candidate) or not budget.spend(SCREEN):
                continue
            seen.add(candidate.key)
            counts["screened"] += 1
            error, ends = screen(candidate, rows, middle, None, n_groups, seed)
            if np.isfinite(error):
                fresh.append((error, len(fresh), candidate, ends))
    fresh.sort(key=lambda item: item[:2])
    for _, _, candidate, ends in fresh[: max(6, len(fresh) // 2)]:
        admit(candidate, None, ends)
    expanded: set[object] = set()
    for turn in range(ROUNDS):
        _say(turn, judged, budget)
        ranked = sorted((one for one in judged if not one.is_library), key=lambda one: one.score)
        beam = [one for one in ranked[: 3 * BEAM] if one.candidate.key not in expanded][:BEAM]
        if not beam or budget.is_late or budget.used >= budget.evaluations:
            break
        before = ranked[0].score
        trials: list[tuple[float, int, Candidate, Judged, FloatArray]] = []
        for parent in beam:
            expanded.add(parent.candidate.key)
            own = parent.candidate.form
            assert own is not None
            offspring = [found(child, table, parent.candidate.mode) for child in children(own, table)]
            offspring += [found(own, table, mode) for mode in modes if mode != parent.candidate.mode]
            for candidate in offspring:
                if candidate.key in seen or not candidate.specs or not can_be_fitted(candidate):
                    continue
                if not budget.spend(SCREEN):
                    break
                seen.add(candidate.key)
                counts["screened"] += 1
                error, ends = screen(candidate, rows, middle, parent, n_groups, seed)
                if np.isfinite(error):
                    trials.append((error, len(trials), candidate, parent, ends))
        trials.sort(key=lambda item: item[:2])
        for _, _, candidate, parent, ends in trials[: max(3, int(GO_ON * len(trials)))]:
            admit(candidate, parent, ends)
        ranked = sorted((one for one in judged if not one.is_library), key=lambda one: one.score)
        if ranked and ranked[0].score > 0.995 * before and all(one.candidate.key in expanded for one in ranked[:BEAM]):
            break
    if budget.is_late:
        notice(
            f"discover: the clock ran out after {budget.used} of {budget.evaluations} evaluations; "
            "on a faster machine the result may differ"
        )
    judged.sort(key=lambda one: (float(f"{one.score:.6g}"), one.n_params))
    return Searched(tuple(judged), rows, counts["screened"], counts["refused"], budget)


def _say(turn: int, judged: Sequence[Judged], budget: Budget) -> None:
    """How far a longer search is."""
    if budget.seconds < TALKS_FROM or not judged:
        return
    best = min(judged, key=lambda one: one.score)
    name = best.candidate.law.name if best.candidate.law else f"a form of {best.n_params} parameters"
    notice(
        f"discover: {budget.used} of {budget.evaluations} evaluations, {len(judged)} laws judged after round {turn}; "
        f"least error so far: {name}"
    )


def _middle(cuts: Sequence[Cut]) -> Cut:
    """The hold-out on which forms are screened: the middle one along the scale."""
    main = [cut for cut in cuts if cut.axis == cuts[0].axis]
    return main[len(main) // 2]


def _tried(
    candidate: Candidate,
    rows: Rows,
    cuts: Sequence[Cut],
    parent: Judged | None,
    ends: FloatArray,
    n_groups: int,
    seed: int,
    ahead: Beyond,
) -> Judged | None:
    """A judged law; None where the formula cannot take these rows."""
    try:
        with silence(), np.errstate(all="ignore"):
            return judge(candidate, rows, cuts, parent, ends, n_groups, seed, ahead)
    except (ArithmeticError, ValueError, TypeError, IndexError, np.linalg.LinAlgError):
        if candidate.law is None:
            raise
        return None


def _is_same(a: Judged, b: Judged) -> bool:
    """Whether two laws predict the same of every held-out row."""
    known_ = np.isfinite(a.error) & np.isfinite(b.error)
    scale = max(float(np.sqrt(np.mean(b.error[known_] ** 2))), 1e-9)
    return bool(np.abs(a.error[known_] - b.error[known_]).max() < max(ALIKE, 1e-3 * scale))
