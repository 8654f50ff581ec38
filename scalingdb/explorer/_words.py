"""What changed, in a sentence, and the code that gives the view again."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from scalingdb.display import interval, number, percent
from scalingdb.explorer._data import EVERY
from scalingdb.explorer._state import Answer, Exploration

__all__ = ["change", "code", "count", "heading"]

SAME = 0.005
"""Relative change below which a number stays where it was."""


def count(n: int, noun: str) -> str:
    """``3 runs``, ``1 run``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _moves(old: float, new: float, shown: tuple[str, str]) -> str:
    if shown[0] == shown[1] or abs(new - old) <= SAME * abs(old):
        return f"stays at {shown[1]}"
    return f"{'rises' if new > old else 'falls'} from {shown[0]} to {shown[1]}"


def change(state: Exploration) -> str:
    """How excluded rows, or the last choice, change the answer; nothing where there is no other to compare."""
    after = state.answer
    if after is None:
        return ""
    if state.earlier is not None:
        why, before = state.earlier
    elif state.out and state.whole is not None:
        n, noun = len(state.out), state.rows.noun
        why = f"Without {'this' if n == 1 else 'these'} {count(n, noun) if n > 1 else noun}"
        before = state.whole
    else:
        return ""
    parts = [*_numbers(state, before, after)]
    if before.fit is not None and after.fit is not None:
        old, new = str(before.fit.verdict), str(after.fit.verdict)
        parts.append(f"the verdict stays “{new}”" if old == new else f"the verdict changes from “{old}” to “{new}”")
    return f"{why}, {'; '.join(parts)}." if parts else ""


def _numbers(state: Exploration, before: Answer, after: Answer) -> list[str]:
    if before.best is not None and after.best is not None and before.best["train_flops"] == after.best["train_flops"]:
        old, new = before.best["tokens_per_param"], after.best["tokens_per_param"]
        text = f"D/N at {number(state.train_flops, 3)} FLOP {_moves(old, new, (number(old, 3), number(new, 3)))}"
        ends = before.best.get("tokens_per_param_low"), before.best.get("tokens_per_param_high")
        low, high = ends
        if low is not None and high is not None and "stays" not in text:
            where = "inside" if low <= new <= high else "outside"
            text += f" ({where} the interval before, {interval(low, high, 3)})"
        old, new = before.best["loss"], after.best["loss"]
        return [text, f"the loss there {_moves(old, new, (number(old, 4), number(new, 4)))}"]
    if set(before.params) == set(after.params):
        name = max(after.params, key=lambda one: _shift(before, after, one))
        old, new = before.params[name], after.params[name]
        return [f"{name} {_moves(old, new, (number(old, 4), number(new, 4)))}"]
    if before.fit is not None and after.fit is not None:
        old, new = (float(one.fit.glance()["mean_abs_rel_error"].item()) for one in (before, after) if one.fit)
        return [f"the mean error {_moves(old, new, (percent(old), percent(new)))}"]
    return []


def _shift(before: Answer, after: Answer, name: str) -> float:
    """Change of a parameter in standard errors, or as a share of it."""
    moved = abs(after.params[name] - before.params[name])
    if before.fit is not None:
        errors: Mapping[str, float | None] = dict(before.fit.tidy().select("param", "std_error").iter_rows())
        if errors[name]:
            return moved / float(errors[name] or 1.0)
        return 0.0
    return moved / max(abs(before.params[name]), 1e-300)


def heading(state: Exploration) -> str:
    """Law, rows and objective in a line."""
    where = state.source or "your frame"
    if state.family != EVERY:
        where += f", {state.family}"
    kept = len(state.rows.labels) - len(state.out)
    left = f" of {len(state.rows.labels)}" if state.out else ""
    short = f" ({state.rows.n_short} more lack a column of the law)" if state.rows.n_short else ""
    return f"{state.law.name} fitted to {kept}{left} {state.rows.noun}s of {where}{short}, objective {state.objective}"


COLUMN, NUMBER = "col('run_id')", "int_range(pl.len())"


def _listed(items: list[str]) -> str:
    """A list as code, broken where it is long."""
    text = ", ".join(items)
    if len(text) <= 70:
        return f"[{text}]"
    lines = textwrap.wrap(text, 80, break_long_words=False, break_on_hyphens=False)
    return "\n    ".join(["[", *lines]) + ",\n]"


def code(state: Exploration) -> str:
    """A script that gives the same fit; it takes a user's own frame as ``runs``."""
    rows = state.rows
    filters: list[str] = []
    lines = ["import polars as pl"] if state.out else []
    lines += ["import scalingdb as sdb", ""]
    if state.source:
        family = "" if state.family == EVERY else f", family={state.family!r}"
        lines.append(f"runs = sdb.connect().points({state.source!r}{family})")
    else:
        lines.append("# runs: the frame that you gave to sdb.explore")
    if rows.n_short:
        needed = [*rows.columns.values(), state.law.output]
        filters.append(f".drop_nulls({list(dict.fromkeys(needed))!r})")
    if state.out:
        chosen, left = sorted(state.out), sorted(set(range(len(rows.labels))) - state.out)
        keeps = len(left) < len(chosen)
        name, turn = ("kept", "") if keeps else ("gone", "~")
        which = [repr(rows.labels[i]) if rows.by_run else str(i) for i in (left if keeps else chosen)]
        lines.append(f"{name} = {_listed(which)}")
        filters.append(f".filter({turn}pl.{COLUMN if rows.by_run else NUMBER}.is_in({name}))")
    if filters:
        lines.append("runs = runs" + "".join(filters))
    objective = "" if state.objective == "huber_log" else f", objective={state.objective!r}"
    lines.append(f"fit = sdb.fit(runs, {state.law.name!r}{objective})")
    if state.is_surface:
        budget = f"{state.train_flops:.6g}".replace("e+", "e")
        lines.append(f"fit.optimum({budget})")
    return "\n".join(lines).replace("'", '"')
