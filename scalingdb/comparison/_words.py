"""The sentence of a comparison."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from scalingdb.comparison._pairs import Judged, pair_row
from scalingdb.display import percent
from scalingdb.judging.words import count_of, multiple, said_of_pair

__all__ = ["sentence"]

MAX_SAID = 4
"""Laws that the sentence names, where there are more than one beyond."""


def sentence(table: pl.DataFrame, judged: Judged, label: str, errors: Iterable[str]) -> str:
    """Which law is best on the held-out rows, by how much, and whether that is more than noise.

    Parameters
    ----------
    table : DataFrame
        As :meth:`Comparison.tidy` returns it: best law first.
    label : str
        The hold-out in words.
    errors : iterable of str
        Why laws could not be fitted.
    """
    known = table.filter(pl.col("error_held_out").is_finite())
    if known.is_empty():
        return f"On {label}, no law could be judged: " + "; ".join(dict.fromkeys(errors)) + "."
    best, error = known.row(0, named=True)["law"], percent(known["error_held_out"][0])
    parts = [f"On {label} ({_count(judged.rows[best])}), {best} is off by {error} on average"]
    n_named = MAX_SAID if known.height > MAX_SAID + 1 else known.height
    parts += [_against(judged, best, other) for other in known.head(n_named)["law"].to_list()[1:]]
    if known.height > n_named:
        least = percent(known["error_held_out"][n_named])
        parts.append(f"{known.height - n_named} other laws by {least} or more")
    lost = [name for name in table["law"].to_list() if name not in known["law"].to_list()]
    end = f" Not fitted: {', '.join(lost)}." if lost else ""
    return ", ".join(parts) + "." + end


def _against(judged: Judged, best: str, other: str) -> str:
    draws, unit = judged.draws([best, other])
    row = pair_row(draws, unit, best, other)
    certainty = said_of_pair(
        row["is_noise"],
        row["n_runs"],
        row["ratio_low"],
        row["ratio_high"],
        draws_refits=draws.draws_refits,
    )
    return f"{other} by {percent(row['error_b'])} ({multiple(row['ratio'])} as much{certainty})"


def _count(rows: pl.DataFrame) -> str:
    """Held-out rows of a law in words."""
    n_runs = rows["run_id"].n_unique() if "run_id" in rows.columns else rows.height
    runs = count_of(n_runs, "run")
    return runs if n_runs == rows.height else f"{rows.height} rows of {runs}"
