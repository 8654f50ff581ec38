"""The multi-power law: stored parameters on held-out schedules, their optimum, and a law of two areas."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb import schedules
from scalingdb.errors import FitWarning
from scalingdb.evidence.refits import Refit, all_refits, refit
from scalingdb.evidence.refits._core import RESULTS, SCHEMA, digest
from scalingdb.evidence.refits.schedules import full_schedules
from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.fits import fit

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_SIZES = (25, 100, 400)
_PLACE = "arXiv 2503.12811, table of errors; mean over the six held-out curves"
_MEASURES = {  # name in the claims: tolerance
    "r2": 2e-5,
    "mean_absolute_error": 4e-5,
    "root_mean_square_error": 4e-5,
    "mean_relative_error": 1.5e-5,
    "worst_relative_error": 2e-5,
}
_ERRORS = {
    25: (0.99880, 0.003760, 0.004652, 0.001102, 0.004095),
    100: (0.99830, 0.004348, 0.005919, 0.001425, 0.005829),
    400: (0.99776, 0.004836, 0.007305, 0.001680, 0.009948),
}
_ROUNDED = (
    "the stored parameters have four to five digits: half a unit of the last digit of L_0 alone moves the measures by "
    "this much"
)


def _curves(db: Warehouse, size: int) -> pl.DataFrame:
    return db.sql(
        "select run_id, step, loss, split from curves where source_id = 'multi_power_law' and family = $family "
        "order by run_id, step",
        family=f"{size}M",
    )


def _of(every: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The schedules of the runs of a frame."""
    return every.filter(pl.col("run_id").is_in(rows["run_id"].unique().implode()))


def _by_curve(rows: pl.DataFrame) -> pl.DataFrame:
    """The five measures of every curve, from columns ``loss`` and ``prediction``."""
    error = pl.col("prediction") - pl.col("loss")
    relative = (error / pl.col("loss")).abs()
    about_mean = (pl.col("loss") - pl.col("loss").mean()).pow(2).sum()
    return rows.group_by("run_id").agg(
        r2=1 - error.pow(2).sum() / about_mean,
        mean_absolute_error=error.abs().mean(),
        root_mean_square_error=error.pow(2).mean().sqrt(),
        mean_relative_error=relative.mean(),
        worst_relative_error=relative.max(),
    )


@replication(
    *(
        Figure(
            key=f"n{size}m.{name}",
            statement=f"Stored parameters of the {size}M model on the six schedules held out: {name.replace('_', ' ')}",
            place=_PLACE,
            stated=value,
            unit="dimensionless" if name == "r2" or "relative" in name else "nats_per_token",
            tolerance=tolerance,
            why=_ROUNDED,
            claim_id=f"2503.12811/{size}M/{name}",
        )
        for size, values in _ERRORS.items()
        for (name, tolerance), value in zip(_MEASURES.items(), values, strict=True)
    )
)
def held_out(db: Warehouse) -> dict[str, float]:
    """What the authors' parameters predict for schedules that they were not fitted to."""
    every = full_schedules(db)
    found: dict[str, float] = {}
    for size in _SIZES:
        rows = _curves(db, size).filter(split="validation")
        law, bound = schedules.multi_power_for(_of(every, rows), rows)
        predicted = law(bound["schedule_row"], variant=f"n{size}m")
        mean = _by_curve(bound.with_columns(prediction=pl.Series(np.asarray(predicted)))).mean()
        found |= {f"n{size}m.{name}": float(mean[name][0]) for name in _MEASURES}
    return found


_NOT_OPTIMAL = (
    "The stored set is not the optimum of the objective that the paper states (Huber of log residuals on "
    "the three fitted "
    "curves); presumably the AdamW steps with which the authors refine it stop short. So few schedules "
    "hardly hold B, C, "
    "beta and gamma apart: other values fit better and predict the held-out curves about as well."
)


def _refitted(db: Warehouse, one: Refit) -> pl.DataFrame:
    """The stored refit, if it is of these rows, this law and these coefficients: making it takes ten seconds."""
    same = pl.read_csv(RESULTS, schema=SCHEMA).filter(
        law=one.law, variant=one.variant, source_id=one.source_id, digest=digest(db, one)
    )
    return same if same.height else refit(db, one)[1]


@replication(
    *(
        figure
        for size in _SIZES
        for figure in (
            Figure(
                key=f"n{size}m.inside",
                statement=(
                    f"Stored parameters of the {size}M model (of seven) that lie in the 95 % intervals of our fit"
                ),
                place="stored parameters of the repository",
                stated=7,
                unit="count",
                tolerance=0,
                why="a set that is the optimum lies inside the intervals with every parameter",
                origin="release",
                claim_id=f"2503.12811/{size}M/[ABCLabg]*",
                unless=_NOT_OPTIMAL,
            ),
            Figure(
                key=f"n{size}m.excess",
                statement=f"Objective of the stored set of the {size}M model over that of the optimum, minus 1",
                place="stored parameters of the repository",
                stated=0,
                unit="fraction",
                tolerance=0.01,
                why="rounding to four digits costs well under a percent of the objective",
                origin="release",
                unless=_NOT_OPTIMAL,
            ),
        )
    )
)
def optimum(db: Warehouse) -> dict[str, float]:
    """The stored sets against the optimum of the stated objective on the three fitted curves."""
    found: dict[str, float] = {}
    for one in all_refits():
        if one.source_id == "multi_power_law":
            table = _refitted(db, one)
            inside = table.filter(pl.col("published").is_between("low", "high")).height
            found |= {f"{one.variant}.inside": inside, f"{one.variant}.excess": float(table["excess"][0])}
    return found


_AREAS = "arXiv 2408.11029, abstract; tested on the 27 curves of source multi_power_law"
_BAR = (
    "half a percent, a fifth of what the shape of the schedule changes on these curves (2 to 4 % of the "
    "loss); the paper "
    "gives no number in its abstract"
)


@replication(
    Figure(
        key="r2",
        statement=(
            "Loss at every step follows from a forward area and an annealing area: smallest R2 of a held-out curve"
        ),
        place=_AREAS,
        low=0.99,
        unit="fraction",
        why="fitted to three curves of a size, the two areas leave less than a hundredth of the variance of any other",
        claim_id="2408.11029/1",
    ),
    Figure(
        key="without_annealing",
        statement="The same law without its annealing area: smallest R2 of a held-out curve",
        place=_AREAS,
        high=0.9,
        unit="fraction",
        why="were the forward area enough, this would stay near 1 too",
        claim_id="2408.11029/1",
    ),
    Figure(
        key="from_two",
        statement=(
            "Fitted to two curves of a size (cosine and constant): largest mean relative error of any other curve"
        ),
        place=_AREAS,
        high=0.5,
        unit="percent",
        why=_BAR,
        claim_id="2408.11029/2",
    ),
    Figure(
        key="from_one",
        statement="Fitted to the one cosine curve of a size: largest mean relative error of any other curve",
        place=_AREAS,
        high=0.5,
        unit="percent",
        why=_BAR,
        claim_id="2408.11029/2",
        unless=(
            "For 100M and 400M one curve is enough (0.23 and 0.49 %); for 25M a single cosine leaves the "
            "floor open, and the "
            "constant rate three times as long is missed by 1.0 %."
        ),
    ),
)
def two_areas(db: Warehouse) -> dict[str, float]:
    """The law of forward and annealing areas, from few curves to all others of the same size."""
    every = full_schedules(db)
    best: list[float] = []
    flat: list[float] = []
    errors: dict[str, list[float]] = {"one": [], "two": []}
    for size in _SIZES:
        rows = _curves(db, size)
        law, bound = schedules.lr_annealing_for(_of(every, rows), rows)

        def others(names: tuple[str, ...], bound: pl.DataFrame = bound, law: Any = law, **options: Any) -> pl.DataFrame:
            chosen = pl.any_horizontal(pl.col("run_id").str.contains(name) for name in names)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FitWarning)  # one curve does not identify every parameter
                one = fit(bound.filter(chosen), law, **options)
            return _by_curve(one.predict(bound.filter(~chosen)))

        three = ("cosine_24000", "constant_24000", "wsdcon_9")
        best += others(three)["r2"].to_list()
        flat += others(three, fixed={"C": 0.0})["r2"].to_list()
        errors["one"] += others(("cosine_24000",))["mean_relative_error"].to_list()
        errors["two"] += others(("cosine_24000", "constant_24000"))["mean_relative_error"].to_list()
    return {
        "r2": min(best),
        "without_annealing": min(flat),
        "from_two": 100 * max(errors["two"]),
        "from_one": 100 * max(errors["one"]),
    }
