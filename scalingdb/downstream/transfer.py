"""Losses predicted from losses: across evaluation sets, and across training corpora.

Losses of one model on two texts, or of two models of equal size and tokens trained on two corpora, lie
on a shifted power law ``y = e_y + K (x - e_x)^kappa`` (Brandfonbrener et al., arXiv:2411.12925).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb._arguments import told
from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import (
    FloatArray,
    as_frame,
    canonical,
    finite,
    need_columns,
    result_table,
)
from scalingdb.downstream._refits import Curve, Refits, prediction_interval
from scalingdb.errors import DataError, FitError, check_level

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

__all__ = ["LossToLoss", "loss_to_loss", "paired_losses", "recompute_released_fits"]


@told
@dataclass(frozen=True, eq=False)
class LossToLoss:
    """A shifted power law between two losses. Made by :func:`loss_to_loss`.

    Attributes
    ----------
    params : mapping of str to float
        ``K, kappa, e_x, e_y``.
    scatter : float
        Standard deviation of the log residuals.
    n_rows : int
    """

    x: str
    y: str
    params: dict[str, float]
    scatter: float
    n_rows: int
    _refits: Refits = field(repr=False)
    _rows: pl.DataFrame = field(repr=False)
    _floors: tuple[float, float] | None = field(repr=False, default=None)

    def tidy(self) -> pl.DataFrame:
        """One row per parameter: ``param, estimate``."""
        return pl.DataFrame({"param": list(self.params), "estimate": list(self.params.values())})

    def glance(self) -> pl.DataFrame:
        """One row: ``x, y, n_rows, df, scatter`` (of log residuals)."""
        return pl.DataFrame(
            {"x": [self.x], "y": [self.y], "n_rows": [self.n_rows], "df": [self._refits.df], "scatter": [self.scatter]}
        )

    def predict(self, frame: pl.DataFrame, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
        """Add ``prediction, low, high`` of loss y from loss x.

        Raises
        ------
        DataError
            If a loss lies at or below the floor ``e_x``: the law is not defined there.
        """
        check_level(level)
        table = as_frame(frame)
        need_columns(table, [self.x], "the law", "it takes the loss it was fitted on.")
        finite(table, [self.x], "the law", positive=True)
        x = table[self.x].cast(pl.Float64).to_numpy().astype(float)
        if (x <= self.params["e_x"]).any():
            raise DataError(
                f"{int((x <= self.params['e_x']).sum())} loss(es) are at or below the floor {self.params['e_x']:.4g}",
                "such a model is beyond what the law describes.",
            )
        curve = _log_curve(x, self._floors)
        generator = np.random.default_rng(0)
        draws = self._refits.draws(generator)
        low, high = prediction_interval(curve(draws.params), draws.scatter, level, generator, (-np.inf, np.inf))
        return table.with_columns(
            prediction=pl.Series(np.exp(curve(_pack(self.params, self._floors)[None, :])[0]), dtype=pl.Float64),
            low=pl.Series(np.exp(low), dtype=pl.Float64),
            high=pl.Series(np.exp(high), dtype=pl.Float64),
        )

    def augment(self) -> pl.DataFrame:
        """The fitted rows with :meth:`predict` on them and ``residual`` (observed minus predicted)."""
        return self.predict(self._rows).with_columns(residual=pl.col(self.y) - pl.col("prediction"))

    def _repr_html_(self) -> str:
        return result_table(self.tidy())


def _pack(params: dict[str, float], floors: tuple[float, float] | None) -> FloatArray:
    names = ("K", "kappa") if floors is not None else ("K", "kappa", "e_x", "e_y")
    return np.array([params[name] for name in names])


def _curve(p: FloatArray, x: FloatArray, floors: tuple[float, float] | None) -> FloatArray:
    e_x, e_y = floors if floors is not None else (p[2], p[3])
    return np.asarray(e_y + p[0] * np.maximum(x - e_x, 1e-12) ** p[1])


def _log_curve(x: FloatArray, floors: tuple[float, float] | None) -> Curve:
    """Log of loss y at fixed x, as a function of many sets of parameters (B, k)."""

    def curve(p: FloatArray) -> FloatArray:
        e_x, e_y = floors if floors is not None else (p[:, [2]], p[:, [3]])
        return np.log(np.maximum(e_y + p[:, [0]] * np.maximum(x - e_x, 1e-12) ** p[:, [1]], 1e-12))

    return curve


def loss_to_loss(frame: pl.DataFrame, x: str, y: str, *, floors: tuple[float, float] | None = None) -> LossToLoss:
    """Fit ``y = e_y + K (x - e_x)^kappa`` to pairs of losses, by least squares of log residuals.

    Parameters
    ----------
    frame : DataFrame
        One row per pair, as :func:`paired_losses` makes them, or two losses of each model.
    x, y : str
        Columns.
    floors : (e_x, e_y), optional
        Irreducible losses, as the paper takes them from loss laws of each side; fitted too if not given.

    Raises
    ------
    DataError
        For losses that are missing or not positive, or at or below a given floor.
    FitError
        With too few pairs, or a constant loss.
    """
    from scipy.optimize import least_squares

    table = as_frame(frame)
    need_columns(table, [x, y], "a law between losses", "name the two columns.")
    finite(table, [x, y], "a law between losses", positive=True)
    table = canonical(table, [x, y])
    a = table[x].cast(pl.Float64).to_numpy().astype(float)
    b = table[y].cast(pl.Float64).to_numpy().astype(float)
    k = 2 if floors is not None else 4
    if a.size <= k or np.ptp(a) == 0 or np.ptp(b) == 0:
        raise FitError(
            f"{a.size} pair(s), with {np.unique(a).size} distinct losses, cannot fix {k} parameters",
            "give more models, or the floors.",
        )
    if floors is not None and (a.min() <= floors[0] or b.min() <= floors[1]):
        raise DataError(
            f"the floors {floors[0]:.4g} and {floors[1]:.4g} are not below every loss ({a.min():.4g}, {b.min():.4g})",
            "a floor is what no model reaches.",
        )
    low = [1e-9, 1e-3] + ([] if floors is not None else [0.0, 0.0])
    high = [np.inf, 20.0] + ([] if floors is not None else [a.min() * (1 - 1e-6), b.min() * (1 - 1e-6)])
    best = None
    for share in ((0.0, 0.0),) if floors is not None else ((0.0, 0.0), (0.5, 0.5), (0.8, 0.8), (0.5, 0.8), (0.9, 0.6)):
        ex, ey = floors if floors is not None else (share[0] * a.min(), share[1] * b.min())
        slope, intercept = np.polyfit(np.log(a - ex), np.log(b - ey), 1)
        start = [float(np.exp(intercept)), float(np.clip(slope, 0.01, 15)), *([] if floors is not None else [ex, ey])]
        solution = least_squares(  # type: ignore[operator]
            lambda p: np.log(np.maximum(_curve(p, a, floors), 1e-12)) - np.log(b),
            np.clip(start, low, np.array(high) * (1 - 1e-9)),
            bounds=(low, high),
            x_scale="jac",
            xtol=1e-13,
            ftol=1e-13,
            max_nfev=2000,
        )
        if np.isfinite(solution.cost) and (best is None or solution.cost < best.cost):
            best = solution
    if best is None:
        raise FitError("no start leads to a finite law", "check the losses.")
    scatter = float(np.sqrt(2 * best.cost / (a.size - k)))
    values = [float(v) for v in best.x] + ([] if floors is None else [float(f) for f in floors])
    return LossToLoss(
        x,
        y,
        dict(zip(("K", "kappa", "e_x", "e_y"), values, strict=True)),
        scatter,
        int(a.size),
        Refits(_log_curve(a, floors), best.x, np.array(low), np.array(high), -best.fun, scatter, a.size - k),
        table,
        floors,
    )


def paired_losses(
    frame: pl.DataFrame, first: str, second: str, *, corpus: str = "family", tolerance: float = 0.02
) -> pl.DataFrame:
    """Runs on two corpora that have equal size and equal compute, side by side.

    Parameters
    ----------
    frame : DataFrame
        One row per run: ``n_params, train_flops, loss`` and `corpus`.
    first, second : str
        Values of `corpus`.
    tolerance : float
        Largest relative difference of compute that still counts as equal.

    Returns
    -------
    DataFrame
        ``n_params, train_flops, loss_first, loss_second`` and ``split`` where the frame has it.
    """
    table = as_frame(frame)
    need_columns(table, [corpus, "n_params", "train_flops", "loss"], "the pairing of runs", "see db.points().")
    columns = ["n_params", "train_flops", "loss", *(["split"] if "split" in table.columns else [])]
    a = table.filter(pl.col(corpus) == first).select(columns)
    b = table.filter(pl.col(corpus) == second).select(columns)
    a, b = canonical(a, columns), canonical(b, columns)
    if a.is_empty() or b.is_empty():
        known = ", ".join(map(repr, table[corpus].unique().sort().to_list()))
        raise DataError(f"no runs on {first if a.is_empty() else second!r}", f"corpora: {known}.")
    both = (
        a.join(b, on="n_params", suffix="_second")
        .filter((pl.col("train_flops_second") / pl.col("train_flops") - 1).abs() <= tolerance)
        .unique(["n_params", "train_flops"], maintain_order=True)
        .rename({"loss": "loss_first"})
        .drop("train_flops_second", "split_second", strict=False)
    )
    if both.is_empty():
        raise DataError(f"no run on {first!r} has a partner on {second!r} of equal size and compute")
    return both


OWN_SET = {
    "fineweb": "fineweb_100b_val",
    "fineweb-edu": "fineweb_edu_100b_val",
    "proof-pile-2": "proof_pile_2_val",
    "slimpajama": "slimpajama_val",
    "smollm": "smollm_val",
    "starcoder": "starcoder_val",
}
"""Validation set of each corpus, which the released fits call val_loss."""


def recompute_released_fits(db: Warehouse) -> pl.DataFrame:
    """The 276 released fits of the paper, evaluated again on its runs.

    Needs source ``loss_to_loss``, which does not ship: build it with ``scalingdb build loss_to_loss``.

    Returns
    -------
    DataFrame
        One row per corpus, loss and form: ``released`` and ``recomputed`` prediction at 1e21 FLOP,
        ``difference`` (relative), ``objective_released`` and ``objective_recomputed`` (mean Huber loss of
        log residuals, delta 1e-3), ``objective_difference`` (relative), ``r_squared_difference``,
        ``observed`` and ``error`` (recomputed over observed, minus 1), ``n_runs``.

    Raises
    ------
    DataError
        If the runs are not in the warehouse.
    """
    claims = db.sql(
        """
        select split_part(claim_id, '/', 2) as corpus, split_part(claim_id, '/', 3) as loss,
               split_part(claim_id, '/', 4) as form, quantity, value
        from claims where source_id = 'loss_to_loss'
        """
    )
    values = db.sql(
        """
        select r.family as corpus, e.eval_set, e.split, e.value, r.n_params, r.n_tokens
        from evals e join runs r on r.run_id = e.run_id
        where e.source_id = 'loss_to_loss' and e.metric in ('loss', 'answer_loss')
        """
    )
    if claims.is_empty() or values.is_empty():
        raise DataError(
            "the runs of loss_to_loss are not in this warehouse", "build them: scalingdb build loss_to_loss."
        )
    groups = dict(values.group_by("corpus", "eval_set"))
    out = []
    for fit in claims.pivot("quantity", index=["corpus", "loss", "form"], values="value").iter_rows(named=True):
        name = OWN_SET[fit["corpus"]] if fit["loss"] == "val_loss" else fit["loss"]
        rows = groups[(fit["corpus"], name)]
        seen, target = rows.filter(split="fit"), rows.filter(split="validation")
        y = seen["value"].to_numpy()
        fitted = _released_form(fit, seen["n_params"].to_numpy(), seen["n_tokens"].to_numpy())
        residual = np.abs(np.log(fitted) - np.log(y))
        huber = np.where(residual < 1e-3, 0.5 * residual**2, 1e-3 * (residual - 0.5e-3))
        predicted = float(_released_form(fit, target["n_params"].to_numpy(), target["n_tokens"].to_numpy())[0])
        r_squared = 1 - np.sum((fitted - y) ** 2) / np.sum((y - y.mean()) ** 2)
        out.append(
            {
                "corpus": fit["corpus"],
                "loss": fit["loss"],
                "form": fit["form"],
                "n_runs": seen.height,
                "released": fit["predicted_loss"],
                "recomputed": predicted,
                "difference": predicted / fit["predicted_loss"] - 1,
                "objective_released": fit["objective"],
                "objective_recomputed": float(huber.mean()),
                "objective_difference": float(huber.mean()) / fit["objective"] - 1,
                "r_squared_difference": float(r_squared) - fit["r_squared"],
                "observed": target["value"][0],
                "error": predicted / target["value"][0] - 1,
            }
        )
    return pl.DataFrame(out).sort("corpus", "loss", "form")


def _released_form(fit: dict[str, float | str], n: FloatArray, d: FloatArray) -> FloatArray:
    E, A, B, alpha, beta = (float(fit[name]) for name in ("E", "A", "B", "alpha", "beta"))  # noqa: N806
    if fit["form"] == "chinchilla":
        return np.asarray(E + A / n**alpha + B / d**beta)
    return np.asarray(E + ((A / n) ** (alpha / beta) + B / d) ** beta)
