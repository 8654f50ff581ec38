"""The state of an exploration: what is chosen, which rows are out, and the answers that follow."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from scalingdb.errors import DataError, DomainWarning, FitWarning, ScalingDBError, check_word
from scalingdb.estimation.objectives import ObjectiveName
from scalingdb.explorer._data import EVERY, Rows, choose, families, laws_of, read_rows, sources_of
from scalingdb.fits import Fit, as_frame, fit, nearby
from scalingdb.law_library import Law, get_law
from scalingdb.notices import silence
from scalingdb.schema import N_DEFINITIONS
from scalingdb.warehouse import Warehouse

__all__ = ["COMPUTE", "OBJECTIVES", "Answer", "Exploration"]

OBJECTIVES: tuple[ObjectiveName, ...] = ("huber_log", "mse_log", "mae_log", "huber", "mse", "mae")
"""Objectives offered: sums over residuals. Likelihoods of scores need the number of items as well."""

COMPUTE = "compute"
"""Axis of ``6 N D``, for laws over parameters and tokens."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the rows that are in say.

    Attributes
    ----------
    params : dict
    best : dict or None
        ``n_params, n_tokens, tokens_per_param, loss`` at the budget; with ``*_low`` and ``*_high`` where known.
    fit : Fit or None
        None as long as only the optimum nearby is known.
    stage : str
        ``near``: refitted from the last optimum; ``fit``: searched again in full; ``done``: with the intervals of
        the optimum as well.
    """

    params: dict[str, float]
    best: dict[str, float] | None
    fit: Fit | None
    stage: str


def _budget(train_flops: float | str) -> float:
    """A budget in FLOP, also from what was typed."""
    try:
        budget = float(train_flops)
    except ValueError:
        budget = math.nan
    if not (math.isfinite(budget) and budget > 0):
        raise DataError(f"train_flops is {train_flops!r}", "a budget is a positive number of FLOP, such as 1e24.")
    return budget


@dataclass(eq=False)
class Exploration:
    """Choices and answers, without any display.

    Attributes
    ----------
    own : DataFrame or None
        A frame of the user's; None where rows come from the warehouse.
    out : frozenset of int
        Rows that are left out.
    whole : Answer or None
        Of all rows, under the law and objective chosen; None where they cannot be fitted.
    answer : Answer or None
        Of the rows that are in.
    fault : ScalingDBError or None
        Why there is no answer.
    earlier : tuple
        Why the last choice changed the answer, and the answer before it.
    """

    own: pl.DataFrame | None
    db: Warehouse | None
    source: str
    family: str
    law: Law
    objective: ObjectiveName
    train_flops: float
    axis: str = ""
    out: frozenset[int] = frozenset()
    undo: list[frozenset[int]] = field(default_factory=list)
    rows: Rows = field(init=False)
    whole: Answer | None = None
    answer: Answer | None = None
    fault: ScalingDBError | None = None
    earlier: tuple[str, Answer] | None = None

    # ---- choices ----------------------------------------------------------------------------

    @staticmethod
    def begin(
        data: object, law: str | Law | None, objective: ObjectiveName, train_flops: float | None, db: Warehouse | None
    ) -> Exploration:
        """An exploration of a source or a frame; see :func:`scalingdb.explore`."""
        check_word(objective, OBJECTIVES, "objective")
        if isinstance(data, str):
            assert db is not None
            own, source = None, data
            with silence():
                frame = db.points(source)
        else:
            own, source = as_frame(data), ""
            frame, db = own, None
        if law is None:
            known = laws_of(frame, objective, losses_only=own is None)
            if not known:
                raise DataError(
                    "no law of the library fits these rows",
                    "sdb.laws() lists the inputs of each; a law of your own goes in law=....",
                )
            law = "chinchilla" if "chinchilla" in known else known[0]
        budget = math.nan if train_flops is None else _budget(train_flops)
        state = Exploration(own, db, source, EVERY, get_law(law), objective, budget)
        state._load(frame)
        if train_flops is None:
            state.train_flops = state._round_budget()
        return state

    def _load(self, frame: pl.DataFrame) -> None:
        """Take the rows of the choice; nothing changes where the law cannot take them."""
        part = frame if self.family == EVERY else frame.filter(family=self.family)
        self.rows = read_rows(part, self.law, self.objective)
        self.frame, self.families = frame, families(frame)
        self.laws = laws_of(part, self.objective, losses_only=self.own is None)
        if self.law.name not in self.laws:
            self.laws = [self.law.name, *self.laws]
        self.axis = self.axis if self.axis in self.axes else self.axes[0]
        self.out, self.undo, self.whole, self.answer = frozenset(), [], None, None

    @property
    def sources(self) -> list[str]:
        if self.db is None:
            return []
        if not hasattr(self, "_sources"):
            with silence():
                found = sources_of(self.db)
            self._sources = found if self.source in found else [self.source, *found]
        return self._sources

    @property
    def is_surface(self) -> bool:
        """Whether the law has a best split of a budget between parameters and tokens."""
        other = set(self.law.inputs) - {"n_tokens"}
        return self.law.output == "loss" and len(self.law.inputs) == 2 and len(other & set(N_DEFINITIONS)) == 1

    @property
    def size_input(self) -> str:
        """Which of a surface's inputs counts parameters."""
        return next(name for name in self.law.inputs if name != "n_tokens")

    @property
    def axes(self) -> list[str]:
        """What can be drawn along the horizontal axis."""
        return [COMPUTE, *self.law.inputs] if self.is_surface else list(self.law.inputs)

    def choose_source(self, source: str) -> None:
        """Take another source, and the law that is chosen if it fits, else the first that does."""
        assert self.db is not None
        choose("source", source, self.sources)
        with silence():
            frame = self.db.points(source)
        known = laws_of(frame, self.objective, losses_only=True)
        law = self.law if self.law.name in known else get_law("chinchilla" if "chinchilla" in known else known[0])
        self.source, self.family, self.law = source, EVERY, law
        self._load(frame)
        self.train_flops, self.earlier = self._round_budget(), None

    def choose_family(self, family: str) -> None:
        """Take one family of the source, or all."""
        before = self.family
        self.family = choose("family", family, [EVERY, *self.families])
        try:
            self._load(self.frame)
        except ScalingDBError:
            self.family = before
            raise
        self.earlier = None

    def choose_law(self, name: str) -> None:
        """Take another law; rows that are out stay out, as far as the law takes the same rows."""
        law = get_law(choose("law", name, self.laws))
        self._again(f"With {law.name} instead of {self.law.name}", law=law)

    def choose_objective(self, name: str) -> None:
        """Take another objective."""
        objective: ObjectiveName = check_word(name, OBJECTIVES, "objective")
        self._again(f"With {objective} instead of {self.objective}", objective=objective)

    def _again(self, why: str, law: Law | None = None, objective: ObjectiveName | None = None) -> None:
        kept, undo, before = {self.rows.labels[i] for i in self.out}, self.undo, self.answer
        old_law, old_objective, old_labels = self.law, self.objective, self.rows.labels
        self.law, self.objective = law or self.law, objective or self.objective
        try:
            self._load(self.frame)
        except ScalingDBError:
            self.law, self.objective = old_law, old_objective
            raise
        self.out = frozenset(i for i, label in enumerate(self.rows.labels) if label in kept)
        self.undo = undo if self.rows.labels == old_labels else []
        self.earlier = (why, before) if before is not None else None

    def choose_axis(self, axis: str) -> None:
        """Draw along another axis; the fit stays."""
        self.axis = choose("axis", axis, self.axes)

    def choose_budget(self, train_flops: float | str) -> None:
        """Ask for the best split of another budget."""
        self.train_flops = _budget(train_flops)
        for name in ("whole", "answer"):
            old = getattr(self, name)
            if old is not None:
                setattr(self, name, replace(old, best=self._best(old), stage="fit" if old.fit else "near"))
        self.earlier = None

    def leave_out(self, rows: list[int], out: bool | None) -> None:
        """Leave rows out, put them back, or (None) turn each."""
        wanted = {int(row) for row in rows if 0 <= int(row) < len(self.rows.labels)}
        changed = self.out ^ wanted if out is None else self.out | wanted if out else self.out - wanted
        self._set_out(frozenset(changed))

    def step_back(self) -> None:
        """Undo the last change of the rows."""
        if self.undo:
            self.out = self.undo.pop()
            self.earlier = None

    def put_all_back(self) -> None:
        """Every row counts again."""
        self._set_out(frozenset())

    def _set_out(self, out: frozenset[int]) -> None:
        if out != self.out:
            self.undo.append(self.out)
            self.out, self.earlier = out, None

    # ---- answers ----------------------------------------------------------------------------

    @property
    def keep(self) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which rows (n,) count."""
        mask = np.ones(len(self.rows.labels), dtype=bool)
        mask[list(self.out)] = False
        return mask

    @property
    def kept(self) -> pl.DataFrame:
        return self.rows.frame.filter(pl.Series(self.keep)) if self.out else self.rows.frame

    def answer_nearby(self) -> bool:
        """Refit from the last optimum, without a search; whether that gave an answer."""
        whole = self.whole
        if whole is None or whole.fit is None:
            return False
        if not self.out:
            self.answer, self.fault = whole, None
            return True
        if int(self.keep.sum()) < len(whole.params):
            return False
        start = self.answer.params if self.answer is not None else whole.params
        theta = nearby(whole.fit, self.keep, np.array(list(start.values())))
        if theta is None:
            return False
        params = dict(zip(whole.params, map(float, theta), strict=True))
        answer = Answer(params, None, None, "near")
        self.answer, self.fault = replace(answer, best=self._best(answer)), None
        return True

    def answer_in_full(self) -> None:
        """Search again: first for all rows, if that was not done, then for those that are in."""
        self.fault = None
        try:
            if self.whole is None:
                self.whole = self._fitted(self.rows.frame)
            self.answer = self._fitted(self.kept) if self.out else self.whole
        except ScalingDBError as error:
            self.answer, self.fault = None, error

    def answer_best(self) -> None:
        """Intervals of the best split of the budget."""
        for name in ("whole", "answer"):
            old = getattr(self, name)
            if old is None or old.fit is None or old.stage == "done":
                continue
            best = old.best
            if best is not None:
                try:
                    best = old.fit.optimum(self.train_flops).row(0, named=True)
                except ScalingDBError:
                    best = None
            done = replace(old, best=best, stage="done")
            if self.whole is self.answer:
                self.whole = self.answer = done
            else:
                setattr(self, name, done)

    def _fitted(self, frame: pl.DataFrame) -> Answer:
        with silence(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # the verdict is on screen
            made = fit(frame, self.law, objective=self.objective)
        answer = Answer(dict(made.params), None, made, "fit")
        return replace(answer, best=self._best(answer))

    def _best(self, answer: Answer) -> dict[str, float] | None:
        if not self.is_surface:
            return None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DomainWarning)
                return self.law.optimum(self.train_flops, None, **answer.params).row(0, named=True)
        except ScalingDBError:
            return None

    def _round_budget(self) -> float:
        """The power of ten that lies at least a decade above the largest run; 1e24 where there is no compute."""
        if not self.is_surface:
            return 1e24
        n, d = (self.rows.frame[self.rows.columns[name]].cast(pl.Float64).to_numpy() for name in self.law.inputs)
        return float(10.0 ** math.ceil(math.log10(6 * float(np.max(n * d))) + 1))
