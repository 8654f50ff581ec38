"""Sparse autoencoders: reconstruction error against the number of latents and how many are active."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares
from scipy.special import fdtrc

from scalingdb.evidence.replication._core import Figure, replication

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse


@replication(
    Figure(
        key="error",
        statement=(
            "Error of reconstruction is exp(alpha + beta_k ln k + beta_n ln n + gamma ln k ln n) + exp(zeta + eta ln k)"
            ": largest relative error of the form, fitted to 45 autoencoders"
        ),
        place="section on the joint law of n and k",
        high=5.0,
        unit="percent",
        why="the losses span a factor of 2.6; a form that misses none by more than a twentieth describes them",
    ),
    Figure(
        key="floor",
        statement="The irreducible term is needed: p-value of the form without it",
        place="section on the joint law of n and k",
        high=0.01,
        why="an F test of its two parameters at one percent",
    ),
    Figure(
        key="interaction",
        statement="The product ln k ln n is needed: p-value of the form without it",
        place="section on the joint law of n and k",
        high=0.01,
        why="an F test of its one parameter at one percent",
    ),
    Figure(
        key="n_points",
        statement="Autoencoders in the figure, a full grid of nine n and five k",
        place="earlier count in the digitised table",
        stated=45,
        unit="count",
        tolerance=0,
        why="a count",
        origin="own",
    ),
)
def joint_law(db: Warehouse) -> dict[str, float]:
    """Least squares of log error, with the floor, without it, and without the interaction."""
    rows = db.sql("""
        select n_latents, n_latents_active, value from runs join evals using (run_id)
        where runs.source_id = 'sae_scaling' order by 1, 2
    """)
    n, k, error = (np.log(rows[name].to_numpy()) for name in ("n_latents", "n_latents_active", "value"))
    design = np.column_stack([np.ones(len(n)), k, n, k * n])

    def residual(params: np.ndarray, used: np.ndarray) -> np.ndarray:
        return np.asarray(np.logaddexp(design @ (params[:4] * used), params[4] + params[5] * k) - error)

    plain = np.linalg.lstsq(design, error, rcond=None)[0]
    # the floor begins at half of the error, which the plain form then has to explain the rest of
    start = np.concatenate([plain - [np.log(2), 0, 0, 0], [error.min() - np.log(2), 0.0]])
    full, additive = (
        least_squares(  # type: ignore[operator]
            residual, start * np.append(used, (1, 1)), args=(used,), x_scale="jac", max_nfev=20_000
        )
        for used in (np.ones(4), np.array([1.0, 1.0, 1.0, 0.0]))
    )
    without_floor = float(np.sum((design @ plain - error) ** 2))
    free = len(n) - 6

    def p_value(squares: float, n_more: int) -> float:
        return float(fdtrc(n_more, free, (squares / (2 * full.cost) - 1) * free / n_more))

    return {
        "error": 100 * float(np.abs(np.expm1(residual(full.x, np.ones(4)))).max()),
        "floor": p_value(without_floor, 2),
        "interaction": p_value(2 * additive.cost, 1),
        "n_points": rows.height,
    }
