"""Optimal sizes straight from runs: the three approaches of Hoffmann et al.

Approach 1 takes the lower envelope of training curves, approach 2 a parabola through the runs of each
budget, approach 3 a surface through all of them (that is :func:`scalingdb.fit`). All end in two power
laws: ``N = G * C**a`` and ``D = H * C**b``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, check_seed
from scalingdb.fits import as_frame, fit, refuse_bad_values
from scalingdb.planning._allocation import WORDS, Allocation
from scalingdb.planning._isoflop import (
    SIZES,
    bias_report,
    coordinate,
    kept_runs,
    need,
    resampled_lines,
    size_column,
    slices_of,
    straight,
    vertex,
)
from scalingdb.planning._surface import FloatArray

__all__ = ["approach_1", "approach_2", "approach_3", "approaches"]

N_BUDGETS = 1500
"""Budgets at which an envelope is read off, as in section 3.1 of Hoffmann et al."""


# ---- approach 1 -----------------------------------------------------------------------------------


def approach_1(
    curves: pl.DataFrame | pl.LazyFrame,
    *,
    size: str = "n",
    exponent: float | None = None,
    level: float = DEFAULT_LEVEL,
    bootstrap: int = 200,
    rng: int = 0,
) -> Allocation:
    """Optimal sizes from the lower envelope of training curves.

    Each run's loss is interpolated between its checkpoints against ln C, ``C = 6*N*D``; at each of
    1,500 budgets the run with the least loss is the best one. Budgets where the best run has the
    smallest or the largest size at hand are left out: the optimum may lie beyond.

    Parameters
    ----------
    curves : DataFrame
        One row per checkpoint: ``run_id, n_tokens, loss`` and the column `size`, as ``db.curves()`` gives them.
    size : str
        Column that is N; ``n_params`` where the frame has no such column.
    exponent : float, optional
        Of N, if it is taken as known: 0.5 lets N and D grow alike. That of D is the rest of one.
    level : float
    bootstrap : int
        Resamples of whole runs, for the intervals.
    rng : int
        Seed.

    Raises
    ------
    UnknownNameError, DataError
        If a column is missing, or fewer than three sizes compete anywhere.

    Notes
    -----
    An envelope is biased where the learning rate decays: a checkpoint in mid-course is worse than a
    run that ends there. Runs of constant rate, or short ones of their own schedule, are free of that.

    References
    ----------
    Hoffmann et al., arXiv:2203.15556, section 3.1.
    """
    check_level(level)
    table = as_frame(curves)
    size = size_column(table, size)
    wanted = ["run_id", size, "n_tokens", "loss"]
    need(table, wanted)
    table = table.select(wanted).drop_nulls()
    refuse_bad_values(table, [size, "n_tokens", "loss"], [size, "n_tokens", "loss"])
    runs = [
        (
            float(group[size][0]),
            np.log(6 * group[size].to_numpy() * group["n_tokens"].to_numpy()),
            group["loss"].to_numpy(),
        )
        for _, group in table.sort("n_tokens").group_by("run_id", maintain_order=True)
        if group["n_tokens"].n_unique() > 1
    ]
    if len({n for n, _, _ in runs}) < 3:
        raise DataError(
            f"an envelope needs curves of at least three sizes, and the frame holds {len({n for n, _, _ in runs})}",
            "take db.curves(...) of a source with checkpoints.",
        )
    grid = np.linspace(min(c[0] for _, c, _ in runs), max(c[-1] for _, c, _ in runs), N_BUDGETS)
    losses = np.stack([np.interp(grid, c, y, left=np.nan, right=np.nan) for _, c, y in runs])
    sizes = np.array([n for n, _, _ in runs])
    log_n, keep = _envelope(losses, sizes)
    if keep.sum() < 3 or np.unique(log_n[keep]).size < 3:
        raise DataError(
            "nowhere do three sizes compete: the envelope has no optimum between its ends",
            "take curves whose compute overlaps.",
        )
    lines = _lines_of(grid[keep], log_n[keep], grid[keep] - np.log(6) - log_n[keep], exponent)
    generator = np.random.default_rng(check_seed(rng))
    drawn: dict[str, list[tuple[float, float]]] = {name: [] for name in SIZES}
    for _ in range(bootstrap):
        pick = generator.integers(0, sizes.size, sizes.size)
        resampled, ok = _envelope(losses[pick], sizes[pick])
        if np.unique(resampled[ok]).size < 3:
            continue
        log_d = grid[ok] - np.log(6) - resampled[ok]
        for name, line in _lines_of(grid[ok], resampled[ok], log_d, exponent).items():
            drawn[name].append(line)
    optima = pl.DataFrame(
        {
            "train_flops": np.exp(grid),
            "n_params": np.exp(log_n),
            "n_tokens": np.exp(grid - np.log(6) - log_n),
            "loss": np.nanmin(np.where(np.isnan(losses), np.inf, losses), axis=0),
            "used": keep,
        }
    )
    edge = 1 - keep.mean()
    points = table.select(
        train_flops=6 * pl.col(size) * pl.col("n_tokens"), n_params=pl.col(size), n_tokens="n_tokens", loss="loss"
    )
    return Allocation(
        approach=1,
        level=level,
        interval=f"bootstrap {bootstrap} over {sizes.size} runs",
        notes=(f"{100 * edge:.0f} % of the budgets are left out, where the best size is the first or last at hand",),
        _lines=lines,
        _draws={name: np.array(found).reshape(-1, 2) for name, found in drawn.items()},
        _optima=optima,
        _points=points,
    )


def _envelope(losses: FloatArray, sizes: FloatArray) -> tuple[FloatArray, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Least loss's ln N at every budget (B,), and whether smaller and larger sizes were at hand."""
    here = np.isfinite(losses)
    best = np.where(here, losses, np.inf).argmin(axis=0)
    n = sizes[best]
    smaller = (here & (sizes[:, None] < n)).any(axis=0)
    larger = (here & (sizes[:, None] > n)).any(axis=0)
    return np.log(n), smaller & larger & here.any(axis=0)


def _lines_of(
    log_c: FloatArray, log_n: FloatArray, log_d: FloatArray, exponent: float | None
) -> dict[str, tuple[float, float]]:
    """Intercepts and slopes of both lines; with the exponent of N given, that of D is the rest of one."""
    rest = None if exponent is None else 1 - exponent
    return {"n_params": straight(log_c, log_n, exponent), "n_tokens": straight(log_c, log_d, rest)}


# ---- approach 2 ----


def approach_2(
    points: pl.DataFrame | pl.LazyFrame,
    *,
    budget: str = "train_flops",
    size: str = "n",
    exponent: float | None = None,
    level: float = DEFAULT_LEVEL,
    bootstrap: int = 1000,
    rng: int = 0,
) -> Allocation:
    """Optimal sizes from a parabola through the runs of each budget, and a line through the vertices.

    The parabolas in ln N and in ln D are fitted apart, because the nominal budget of a run is not
    always ``6*N*D``. Where the frame has no N it is ``C / (6*D)``.

    Parameters
    ----------
    points : DataFrame
        One row per run: the column `budget`, ``n_tokens``, ``loss``, and N.
    budget : str
        Column with the nominal budget in FLOP, equal for the runs of an IsoFLOP curve.
    size : str
        Column that is N.
    exponent : float, optional
        As for :func:`approach_1`.
    level : float
    bootstrap : int
        Resamples for the intervals: residuals within each budget, and the scatter of the vertices about
        their line where it is larger than these explain.
    rng : int
        Seed.

    Returns
    -------
    Allocation
        Its :meth:`~Allocation.bias` says what the parabola may have done to the answer. Left out and named
        are budgets with fewer than four runs, whose parabola opens downward, or whose vertex lies at or
        beyond the edge of their grid; and runs that no parabola through most of their budget explains,
        such as diverged ones (of budgets with at least six). Runs that break the U are named.

    Raises
    ------
    UnknownNameError, DataError
        If a column is missing, or fewer than two budgets can be used.

    Notes
    -----
    An IsoFLOP curve of Chinchilla's law is ``E + P*exp(-alpha*w) + Q*exp(beta*w)`` in ``w = ln N``, no
    parabola: with ``alpha != beta`` the vertex is off by a factor that depends on the width of the
    grid, and where the grid drifts with the budget the exponent is off too. At the optimum the third
    derivative over the second is ``beta - alpha``, which is how the asymmetry is estimated.

    References
    ----------
    Hoffmann et al., arXiv:2203.15556, section 3.2; Czech, arXiv:2603.22339, for the bias. Intervals are
    measured in ``benchmarks/isoflop_coverage.py``.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb.planning import approach_2
    >>> found = approach_2(sdb.connect().points("llama3_isoflop"), bootstrap=0)
    >>> row = found.tidy().row(1, named=True)
    >>> f"{row['factor']:.4f} * C^{row['exponent']:.4f}"
    '0.2994 * C^0.5368'
    """
    check_level(level)
    kept = slices_of(as_frame(points), budget, size)
    slices = kept.slices
    log_c = np.array([runs.log_c for runs in slices])
    vertices = {name: np.array([vertex(coordinate(runs, name), runs.loss)[0] for runs in slices]) for name in SIZES}
    draws, words = resampled_lines(slices, bootstrap, np.random.default_rng(check_seed(rng)), exponent)
    return Allocation(
        approach=2,
        level=level,
        interval=words,
        notes=tuple(kept.notes),
        _lines=_lines_of(log_c, vertices["n_params"], vertices["n_tokens"], exponent),
        _draws=draws,
        _optima=pl.DataFrame(
            {
                "train_flops": np.exp(log_c),
                "n_params": np.exp(vertices["n_params"]),
                "n_tokens": np.exp(vertices["n_tokens"]),
                "loss": [vertex(runs.log_n, runs.loss)[1] for runs in slices],
            }
        ),
        _points=kept_runs(kept),
        _bias=partial(bias_report, slices),
    )


# ---- approach 3, and all beside each other --------------------------------------------------------


def approach_3(
    points: pl.DataFrame | pl.LazyFrame,
    *,
    size: str = "n",
    level: float = DEFAULT_LEVEL,
    bootstrap: int = 1000,
    **options: Any,
) -> Allocation:
    """Optimal sizes from Chinchilla's surface fitted to all runs, in closed form.

    Parameters
    ----------
    points : DataFrame
        As for :func:`approach_2`; the budget is not used, unless N has to be made from it.
    size, level, bootstrap
        As for :func:`approach_2`.
    **options
        For :func:`scalingdb.fit`.

    References
    ----------
    Hoffmann et al., arXiv:2203.15556, section 3.3 and eq. 4.
    """
    check_level(level)
    table = as_frame(points)
    column = size_column(table, size, optional=True)
    if column is None:
        need(table, ["train_flops", "n_tokens"])
        table = table.with_columns(n_params=pl.col("train_flops") / 6 / pl.col("n_tokens"))
    elif column != "n_params":
        table = table.with_columns(n_params=pl.col(column))
    found = fit(table.drop("n_definition", strict=False), "chinchilla", bootstrap=bootstrap, **options)

    def lines(theta: FloatArray) -> dict[str, FloatArray]:
        _, a, b, alpha, beta = theta.T
        with np.errstate(all="ignore"):
            log_g = (np.log(alpha * a) - np.log(beta * b)) / (alpha + beta)
            power = beta / (alpha + beta)
        log_n = log_g - power * np.log(6)
        return {
            "n_params": np.stack([log_n, power], axis=1),
            "n_tokens": np.stack([-np.log(6) - log_n, 1 - power], axis=1),
        }

    own = lines(np.array([list(found.params.values())]))

    def ends_of_lines(theta: FloatArray) -> FloatArray:
        """Sizes (P, 4) at 1 and at e FLOP: their logarithms are a line's intercept, and that plus its slope."""
        parts = [np.stack([line[:, 0], line.sum(axis=1)], axis=1) for line in lines(theta).values()]
        return np.asarray(np.exp(np.concatenate(parts, axis=1)))

    # without a bootstrap to first order: draws from a covariance leave the valley of the parameters
    drawn = found.propagate(ends_of_lines)
    # what the rows leave open has infinite draws, and no line; the verdict in the notes says which
    drawn = np.log(np.where(np.isfinite(drawn) & (drawn > 0), drawn, np.nan))
    drawn[:, [1, 3]] -= drawn[:, [0, 2]]
    shown = found.data.select(
        train_flops=6 * pl.col("n_params") * pl.col("n_tokens"), n_params="n_params", n_tokens="n_tokens", loss="loss"
    )
    return Allocation(
        approach=3,
        level=level,
        interval=f"bootstrap {bootstrap}, {found.recipe.resampled}"
        if bootstrap
        else "robust covariance, to first order",
        notes=() if found.verdict.kind == "identified" else (f"verdict of the fit: {found.verdict}",),
        _lines={name: (float(line[0, 0]), float(line[0, 1])) for name, line in own.items()},
        _draws={"n_params": drawn[:, :2], "n_tokens": drawn[:, 2:]},
        _optima=pl.DataFrame(schema=dict.fromkeys(("train_flops", "n_params", "n_tokens", "loss"), pl.Float64)),
        _points=shown,
    )


def approaches(
    points: pl.DataFrame | pl.LazyFrame,
    *,
    curves: pl.DataFrame | pl.LazyFrame | None = None,
    budget: str = "train_flops",
    size: str = "n",
    exponent: float | None = None,
    at: float | None = None,
    level: float = DEFAULT_LEVEL,
    bootstrap: int = 1000,
    rng: int = 0,
) -> pl.DataFrame:
    """The approaches side by side: exponents and optimal tokens per parameter.

    Parameters
    ----------
    points : DataFrame
        For approaches 2 and 3.
    curves : DataFrame, optional
        For approach 1; left out where there are none.
    budget, size, level, bootstrap, rng
        As for :func:`approach_2`.
    exponent : float, optional
        As for :func:`approach_1`; for approach 3 it can be 0.5 only, by equal exponents of the surface.
    at : float, optional
        Budget in FLOP for the tokens per parameter; the largest of the points by default.

    Returns
    -------
    DataFrame
        One row per approach: ``approach``, ``a`` (exponent of N) and ``b`` (of D), ``train_flops`` and
        ``tokens_per_param`` there, each with ``_low`` and ``_high``, and ``notes``.

    Raises
    ------
    ScalingDBError
        Whatever the approaches refuse.
    """
    check_level(level)
    table = as_frame(points)
    need(table, [budget])
    where = float(at if at is not None else table[budget].cast(pl.Float64).max())  # type: ignore[arg-type]
    if exponent not in (None, 0.5):
        raise DataError(f"exponent={exponent!r}: approach 3 can hold it at 0.5 only", "call approach_2 by itself.")
    own: dict[str, Any] = {"size": size, "level": level, "bootstrap": bootstrap, "rng": rng}
    lines: dict[str, Any] = {**own, "exponent": exponent}
    tied: dict[str, Any] = {"tied": {"beta": "alpha"}} if exponent is not None else {}
    results = [approach_1(curves, **lines)] if curves is not None else []
    results += [approach_2(table, budget=budget, **lines), approach_3(table, **own, **tied)]
    rows = []
    for one in results:
        lines = {row["quantity"]: row for row in one.tidy().iter_rows(named=True)}
        ratio = one.at(where).row(0, named=True)
        rows.append(
            {
                "approach": WORDS[one.approach],
                **{
                    f"{letter}{end}": lines[name][f"exponent{end}"]
                    for letter, name in (("a", "n_params"), ("b", "n_tokens"))
                    for end in ("", "_low", "_high")
                },
                "train_flops": where,
                **{f"tokens_per_param{end}": ratio[f"tokens_per_param{end}"] for end in ("", "_low", "_high")},
                "notes": "; ".join(one.notes),
            }
        )
    return pl.DataFrame(rows, infer_schema_length=None)
