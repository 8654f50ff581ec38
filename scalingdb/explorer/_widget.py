"""The explorer as a widget: messages from the page, answers to it, and its last state in the notebook's file."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from scalingdb._arguments import told
from scalingdb.errors import ScalingDBError, unknown_name
from scalingdb.explorer._data import EVERY
from scalingdb.explorer._draw import code_block, details, draw, saved, side
from scalingdb.explorer._state import OBJECTIVES, Exploration
from scalingdb.explorer._words import change, code, heading
from scalingdb.fits import Fit

__all__ = ["Explorer"]

HERE = Path(__file__).parent
PAUSE, LONGEST_PAUSE, QUICK = 0.005, 0.6, 0.5
"""Seconds between the answer from nearby and the full search: next to none where the last search was quick; else half
of what it took, so that another brush may arrive before everything waits for it."""

SAVE_AFTER = 0.6
"""Seconds of rest after which the state is written to the notebook's file."""


class Page(anywidget.AnyWidget):
    """What the page shows, as the browser and Python share it."""

    _esm = HERE / "explorer.js"
    _css = HERE / "explorer.css"

    menu = traitlets.Dict().tag(sync=True)
    view = traitlets.Dict().tag(sync=True)
    width = traitlets.Int(720).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)


@told
class Explorer:
    """A fit that answers to the hand. Made by :func:`explore`; a cell that ends in one shows it."""

    def __init__(self, state: Exploration) -> None:
        self._widget = Page(name=uuid.uuid4().hex[:12])
        self._state = state
        self._asked = 0
        self._pending: list[asyncio.TimerHandle] = []
        self._save_later: asyncio.TimerHandle | None = None
        self._file: Any = None
        self._took = 0.0
        self._search()
        state.answer_best()
        if state.fault is not None:
            raise state.fault
        self._show_menu()
        self._show()
        self._widget.on_msg(self._receive)
        self._widget.observe(lambda _: self._show(), "width")

    # ---- what a program may ask ---------------------------------------------------------------

    @property
    def widget(self) -> Page:
        """The widget itself, to be put beside others."""
        return self._widget

    @property
    def fit(self) -> Fit | None:
        """The fit of the rows that are in; None where they cannot be fitted."""
        self._finish()
        return self._state.answer.fit if self._state.answer is not None else None

    @property
    def code(self) -> str:
        """A script that gives this fit again."""
        return code(self._state)

    @property
    def change(self) -> str:
        """What leaving rows out, or the last choice, did to the answer."""
        self._finish()
        return change(self._state)

    def leave_out(self, *rows: str | int) -> None:
        """Leave runs out, by their name (``run_id``) or by the number of their row.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        """
        self._turn(rows, out=True)

    def put_back(self, *rows: str | int) -> None:
        """Count runs again that were left out; without a name, all.

        Raises
        ------
        UnknownNameError
            If there is no such run.
        """
        self._turn(rows or tuple(sorted(self._state.out)), out=False)

    def _turn(self, rows: tuple[str | int, ...], *, out: bool) -> None:
        labels = self._state.rows.labels
        numbers = []
        for row in rows:
            if isinstance(row, int) and -len(labels) <= row < len(labels):
                numbers.append(row % len(labels))
            elif row in labels:
                numbers.append(labels.index(str(row)))
            else:
                raise unknown_name(self._state.rows.noun, str(row), labels)
        self._receive(None, {"do": "rows", "rows": numbers, "out": out})

    def __repr__(self) -> str:
        return f"<Explorer: {heading(self._state)}>"

    # ---- messages of the page -----------------------------------------------------------------

    def _receive(self, _: object, message: dict[str, Any], buffers: object = None) -> None:
        """Answer a message: at once from nearby where rows change, then in full."""
        if message.get("do") == "sources":
            self._show_menu(with_sources=True)
            return
        self._asked = int(message.get("id", self._asked + 1))
        self._drop_pending()
        state = self._state
        try:
            changes_choice = self._apply(message)
        except ScalingDBError as error:
            self._show(note=f"{error.fact}{f' {error.hint}' if error.hint else ''}")
            return
        if message.get("do") == "set" and message.get("name") in {"axis", "budget"}:
            self._show_menu()
            self._show()
            self._later(0.0, self._answer_best)
            return
        if not changes_choice and state.answer_nearby():
            self._show()
        if changes_choice:
            self._search()
            self._show_menu()
            self._show()
            self._later(0.0, self._answer_best)
        else:
            self._later(self._pause, self._answer_in_full)

    def _apply(self, message: dict[str, Any]) -> bool:
        """Change the state; whether a choice changed, and not only rows."""
        state, do = self._state, message.get("do")
        if do == "rows":
            state.leave_out(list(message["rows"]), message.get("out"))
        elif do == "undo":
            state.step_back()
        elif do == "all":
            state.put_all_back()
        elif do == "set":
            name, value = message["name"], message["value"]
            choices: dict[str, Callable[[Any], None]] = {
                "source": state.choose_source,
                "family": state.choose_family,
                "law": state.choose_law,
                "objective": state.choose_objective,
                "axis": state.choose_axis,
                "budget": state.choose_budget,
            }
            choices[name](value)
            return True
        return False

    # ---- answers ------------------------------------------------------------------------------

    @property
    def _pause(self) -> float:
        return PAUSE if self._took < QUICK else min(self._took / 2, LONGEST_PAUSE)

    def _search(self) -> None:
        begun = time.perf_counter()
        self._state.answer_in_full()
        self._took = time.perf_counter() - begun

    def _answer_in_full(self) -> None:
        self._search()
        self._show()
        self._later(0.0, self._answer_best)

    def _answer_best(self) -> None:
        self._state.answer_best()
        self._show()
        self._save_soon()

    def _finish(self) -> None:
        """Answer in full now what waits for a pause."""
        self._drop_pending()
        state = self._state
        if state.fault is None and (state.answer is None or state.answer.fit is None):
            state.answer_in_full()
        if state.answer is not None and state.answer.stage != "done":
            state.answer_best()
            self._show()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something after a pause, unless another message arrives first; now, where nothing runs in between."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            what()
            return
        self._pending.append(loop.call_later(seconds, what))

    def _drop_pending(self) -> None:
        for handle in self._pending:
            handle.cancel()
        self._pending.clear()

    # ---- what is shown ------------------------------------------------------------------------

    def _show_menu(self, *, with_sources: bool = False) -> None:
        state = self._state
        known = state.sources if with_sources or hasattr(state, "_sources") else [state.source] if state.db else []
        self._widget.menu = {
            "sources": known,
            "complete": state.db is None or with_sources or hasattr(state, "_sources"),
            "families": [EVERY, *state.families] if state.families else [],
            "laws": state.laws,
            "objectives": list(OBJECTIVES),
            "axes": state.axes,
            "chosen": {
                "source": state.source,
                "family": state.family,
                "law": state.law.name,
                "objective": state.objective,
                "axis": state.axis,
                "budget": f"{state.train_flops:.6g}".replace("e+", "e"),
            },
            "surface": state.is_surface,
            "labels": state.rows.labels,
            "details": details(state),
            "noun": state.rows.noun,
        }

    def _show(self, note: str = "") -> None:
        state = self._state
        drawing = draw(state, max(300, min(int(self._widget.width), 1100)))
        self._widget.view = {
            "id": self._asked,
            "stage": state.answer.stage if state.answer is not None else "fault",
            "head": heading(state),
            "svg": drawing.svg,
            "x": drawing.x,
            "y": drawing.y,
            "residual": drawing.residual,
            "out": sorted(state.out),
            "undo": len(state.undo),
            "side": side(state),
            "below": code_block(state),
            "change": change(state),
            "code": code(state),
            "note": note,
        }

    # ---- in the notebook's file -----------------------------------------------------------------

    def _as_saved(self) -> str:
        return saved(self._state, (HERE / "explorer.css").read_text(encoding="utf-8"), self._widget.name)

    def _ipython_display_(self, **_: Any) -> None:
        """Show the widget and, beside it for exports only, its state as HTML, kept up to date."""
        from IPython.display import display

        self._finish()
        page = {"text/html": self._as_saved(), "text/plain": repr(self)}
        if os.environ.get("SCALINGDB_RENDERER"):  # the site is made: nothing there would answer
            display(page, raw=True)
            return
        bundle: Any = self._widget._repr_mimebundle_()
        live = bundle[0] if isinstance(bundle, tuple) else bundle
        display({**live, "text/plain": "The last state of the explorer:"}, raw=True)
        self._file = display(page, raw=True, display_id=True)

    def _save_soon(self) -> None:
        if self._file is None:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._save()
            return
        if self._save_later is not None:
            self._save_later.cancel()
        self._save_later = loop.call_later(SAVE_AFTER, self._save)

    def _save(self) -> None:
        self._file.update({"text/html": self._as_saved(), "text/plain": repr(self)}, raw=True)
