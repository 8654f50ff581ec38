"""Laws of the schedule, fitted again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from scalingdb import schedules
from scalingdb.errors import DataError
from scalingdb.evidence.refits._core import Refit
from scalingdb.law_library import Law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["REFITS", "full_schedules"]

SOURCE = "multi_power_law"

SHORT, DECAY_START, SWITCH = 24_000, 20_000, 8_000
"""Steps of the source's short schedules, of the start of their decay, and of the two-stage ones' switch."""


def full_schedules(db: Warehouse) -> pl.DataFrame:
    """The rate of every step of the 27 schedules of source ``multi_power_law``.

    The table ``schedules`` holds every 128th. Their shapes follow from the run's name, as the notes
    of the source say; so made, they agree with every logged rate.

    Returns
    -------
    DataFrame
        ``run_id, step, learning_rate_at_step``.

    Raises
    ------
    DataError
        If a run has a name of another form.
    """
    runs = db.sql(
        "select run_id, split_part(run_id, '-', 2) as name, learning_rate, n_warmup_steps, n_steps from runs "
        f"where source_id = '{SOURCE}' order by run_id"
    )
    floor = db.sql(f"select min(learning_rate_final) as floor from runs where source_id = '{SOURCE}'").item()
    made = []
    for run, name, peak, warmup, last in runs.iter_rows():
        kind, _, number = name.partition("_")
        common = {"run_id": run, "peak": peak, "n_warmup_steps": int(warmup)}
        if kind in {"cosine", "constant"}:
            made.append(schedules.make(kind, n_steps=int(number), floor=floor, **common))
        elif kind in {"wsd", "wsdld"}:
            shape = "wsd" if kind == "wsd" else "wsd_linear"
            made.append(schedules.make(shape, n_steps=SHORT, floor=floor, turn=DECAY_START, **common))
        elif kind == "wsdcon":
            second = int(number) * 1e-5
            made.append(schedules.make("two_stage", n_steps=int(last) + 1, floor=second, turn=SWITCH, **common))
        else:
            raise DataError(f"run {run!r} has a schedule of no known name", "the source has changed; see its notes.")
    return pl.concat(made)


def _bind(db: Warehouse, rows: pl.DataFrame) -> tuple[Law, pl.DataFrame]:
    every = full_schedules(db)
    return schedules.multi_power_for(every.filter(pl.col("run_id").is_in(rows["run_id"].unique().to_list())), rows)


_CURVES = """
    select run_id, step, loss from curves
    where source_id = 'multi_power_law' and split = 'fit' and family = '{size}M'
    order by run_id, step
"""

REFITS = [
    Refit(
        law="multi_power",
        variant=f"n{size}m",
        source_id=SOURCE,
        rows=_CURVES.format(size=size),
        bind=_bind,
        note=(
            "Three curves of one size, schedules rebuilt step by step. The stored set is not the optimum of the "
            "objective that the paper states; presumably AdamW, with which the authors refine it, stops short. At the "
            "optimum the three curves are fitted better and the six held-out ones slightly worse: so few schedules do "
            "not hold B, C, beta and gamma apart."
        ),
    )
    for size in (25, 100, 400)
]
