"""What a fitted curve says: its regime, what is left above the floor, and when a form does not apply."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, unknown_name
from scalingdb.fits import Fit
from scalingdb.schema import METRICS

__all__ = ["flags", "reducible", "regime", "theoretical_rates"]

NO_FLOOR = frozenset({"power", "log_linear", "bleu_log", "optimal_params", "optimal_tokens", "kaplan_ln", "kaplan_lc"})
"""Laws that neither level off nor have a ceiling."""


def regime(
    fit: Fit, param: str = "alpha", *, dimension: float | None = None, level: float = DEFAULT_LEVEL
) -> pl.DataFrame:
    """Whether a curve is variance limited or resolution limited, by its exponent.

    Where the other resource is plentiful, the loss approaches its limit with exponent 1 (variance limited, in the
    number of examples or the width). Where this resource is the scarce one, the exponent is far smaller and set by the
    dimension of the data (resolution limited).

    Parameters
    ----------
    fit : Fit
        Of a law with a floor, such as ``power_offset``, along one resource.
    param : str
        Its exponent.
    dimension : float, optional
        Intrinsic dimension d of the data: adds the exponents that theory expects of the resolution-limited regime, at
        least 1/d by the bound, 4/d for smooth piecewise linear networks.
    level : float

    Returns
    -------
    DataFrame
        One row: ``exponent, low, high, regime`` (``variance limited`` where 1 lies inside the interval, ``resolution
        limited`` where all of it lies below 1, ``undecided`` where it lies above 1 or there is no interval), and
        ``bound, expected`` with a dimension.

    Raises
    ------
    UnknownNameError
        If the law has no such parameter.

    References
    ----------
    Bahri et al., arXiv:2102.06701, theorems 1 to 3 and section 3.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> import scalingdb as sdb
    >>> x = np.geomspace(1e3, 1e6, 12)
    >>> wiggle = 1 + 1e-3 * np.cos(np.arange(12))
    >>> curve = pl.DataFrame({"n_tokens": x, "loss": (0.5 + 40 / x) * wiggle})
    >>> sdb.trends.regime(sdb.fit(curve, "power_offset", objective="mse_log"))["regime"].item()
    'variance limited'
    """
    check_level(level)
    if param not in fit.params:
        raise unknown_name("parameter", param, fit.params, f"(of law {fit.law.name!r})")
    row = fit.tidy(level).filter(param=param).row(0, named=True)
    low, high = row["low"], row["high"]
    label = "undecided"
    if low is not None and low <= 1:
        label = "variance limited" if high >= 1 else "resolution limited"
    columns: dict[str, Any] = {"exponent": row["estimate"], "low": low, "high": high, "regime": label}
    if dimension is not None:
        if not dimension > 0:
            raise DataError(f"dimension={dimension!r} is not a positive number")
        columns |= {"bound": 1 / dimension, "expected": 4 / dimension}
    types = {"low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame({name: [value] for name, value in columns.items()}, schema_overrides=types)


def reducible(frame: pl.DataFrame, floor: float | Fit, *, column: str = "loss", param: str = "E") -> pl.DataFrame:
    """Add ``<column>_reducible``: what lies above the floor, which is the part that scale removes.

    Parameters
    ----------
    frame : DataFrame
    floor : float or Fit
        The irreducible part in the unit of the column, or a fit whose `param` is it.
    column, param : str

    Returns
    -------
    DataFrame
        Null where a row lies at or below the floor: there is nothing to take a logarithm of. With a fit also
        ``_low`` and ``_high``, from the interval of its floor.

    Raises
    ------
    DataError
        If the column is missing, or every row lies below the floor.

    References
    ----------
    Henighan et al., arXiv:2010.14701 (reducible loss).

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> sdb.trends.reducible(pl.DataFrame({"loss": [2.0, 1.9, 1.7]}), 1.75)["loss_reducible"].round(2).to_list()
    [0.25, 0.15, None]
    """
    if column not in frame.columns:
        raise DataError(f"the frame has no column {column!r}", "name the one that holds the loss: column=...")
    ends: dict[str, float | None] = {"": None}
    if isinstance(floor, Fit):
        if param not in floor.params:
            raise unknown_name("parameter", param, floor.params, f"(of law {floor.law.name!r})")
        row = floor.tidy().filter(param=param).row(0, named=True)
        ends = {"": row["estimate"], "_low": row["high"], "_high": row["low"]}
    else:
        ends[""] = float(floor)
    loss = pl.col(column).cast(pl.Float64)
    made = frame.with_columns(
        pl.when(loss > value).then(loss - value).otherwise(None).alias(f"{column}_reducible{end}")
        for end, value in ends.items()
        if value is not None
    )
    if not made[f"{column}_reducible"].count():
        raise DataError(f"every row of {column!r} lies at or below the floor {ends['']:.5g}", "check its unit.")
    return made


def flags(fit: Fit, *, metric: str | None = None) -> pl.DataFrame:
    """Remarks on a fit whose form does not suit what was measured.

    Parameters
    ----------
    fit : Fit
        Along one input.
    metric : str, optional
        Name of what was measured; by default the column that was fitted.

    Returns
    -------
    DataFrame
        One row per remark, ``flag, reason``; none where nothing is wrong. ``no asymptote``: a bounded metric (a score
        or share) is fitted by a law that grows without bound, so that the fit must fail somewhere beyond its rows;
        the reason says where. ``not monotone``: the observed values turn, by more than their scatter, while the law
        is monotone. Pretraining data that are not aligned with the task do that, and the fit should not be
        extrapolated.

    Raises
    ------
    DataError
        If the law takes more than one input.

    References
    ----------
    Tang et al., arXiv:2404.12803 (log-linear gains of a bounded score); Isik et al., arXiv:2402.04177
    (non-monotone BLEU where pretraining is not aligned).

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> runs = pl.DataFrame({"n_examples": [1e4, 1e5, 1e6, 1e7], "score": [0.2, 0.41, 0.6, 0.79]})
    >>> sdb.trends.flags(sdb.fit(runs, "log_linear", objective="mse"))["flag"].to_list()
    ['no asymptote']
    """
    if len(fit.law.inputs) != 1:
        raise DataError(f"law {fit.law.name!r} takes {len(fit.law.inputs)} inputs", "flags looks at curves of one.")
    column = fit.recipe.columns[fit.law.inputs[0]]
    rows = fit.augment().sort(column)
    x, y = (rows[name].cast(pl.Float64).to_numpy() for name in (column, fit.recipe.output))
    name = metric or fit.recipe.output
    kind = METRICS[name].kind if name in METRICS else None
    is_share = bool((y >= 0).all() and (y <= 1).all()) and (kind == "score" or kind is None) and "loss" not in name
    found: list[tuple[str, str]] = []
    if is_share and fit.law.name in NO_FLOOR:
        grid = np.geomspace(x.max(), x.max() * 1e12, 400) if x.min() > 0 else np.linspace(x.max(), x.max() * 10, 400)
        values = np.asarray(fit.law.function(grid, **fit.params))
        beyond = grid[(values > 1) | (values < 0)]
        where = f", which it leaves at {column} = {beyond[0]:.3g}" if beyond.size else ""
        found.append(("no asymptote", f"{name} lies between 0 and 1{where}; law {fit.law.name!r} has no asymptote"))
    turn = _turn(x, y)
    if turn is not None:
        found.append(("not monotone", f"{name} {turn}, and law {fit.law.name!r} is monotone"))
    return pl.DataFrame(found, schema={"flag": pl.String, "reason": pl.String}, orient="row")


def _turn(x: Any, y: Any) -> str | None:
    """Whether values turn by more than their scatter: the vertex of a parabola in ln x lies clearly inside."""
    from scipy.special import stdtr

    if x.size < 5 or (x <= 0).any():
        return None
    log_x = np.log(x) - np.log(x).mean()
    design = np.column_stack([np.ones(x.size), log_x, log_x**2])
    beta, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    if rank < 3 or beta[2] == 0:
        return None
    residual = y - design @ beta
    variance = residual @ residual / (x.size - 3) * np.linalg.inv(design.T @ design)
    slopes = [np.array([0.0, 1.0, 2 * end]) for end in (log_x.min(), log_x.max())]
    both = [(s @ beta) / np.sqrt(max(s @ variance @ s, 1e-300)) for s in slopes]
    if both[0] * both[1] >= 0 or max(1 - stdtr(x.size - 3, abs(t)) for t in both) > 0.025:
        return None
    vertex = float(np.exp(np.log(x).mean() - beta[1] / (2 * beta[2])))
    return f"{'rises then falls' if beta[2] < 0 else 'falls then rises'} (turn near {vertex:.3g})"


RATES: Sequence[tuple[str, str, str, float | None, str, str, str]] = (
    (
        "arXiv:2102.06701",
        "variance limited",
        "loss above its limit against examples, or against width",
        -1.0,
        "theorem 1",
        "read",
        "where the other resource is far larger",
    ),
    (
        "arXiv:2102.06701",
        "resolution limited, bound",
        "loss against examples or parameters",
        None,
        "theorems 2 and 3",
        "read",
        "exponent -1/d, with d the dimension of the data manifold",
    ),
    (
        "arXiv:2502.12118",
        "verifier-free over verifier-based gap",
        "performance gap against test-time tokens H",
        0.5,
        "figure 1",
        "read",
        "as data grow with H, for heterogeneous base models with anti-concentrated rewards",
    ),
    (
        "arXiv:2505.10465",
        "strong superposition",
        "loss against model width",
        -1.0,
        "abstract and figure 8 (measured -0.91 for language models)",
        "read",
        "features far more than dimensions",
    ),
    (
        "arXiv:2510.15262",
        "matrix parameters, learning rate",
        "learning rate against width",
        -1.0,
        "abstract",
        "read",
        "AdamW",
    ),
    (
        "arXiv:2510.15262",
        "matrix parameters, weight decay",
        "weight decay against width",
        0.5,
        "abstract",
        "read",
        "AdamW",
    ),
)


def theoretical_rates(
    name: str | None = None, *, through: tuple[float, float] | None = None, x: Sequence[float] = ()
) -> pl.DataFrame:
    """Rates that theory predicts, as a table or as a line to lay over data.

    Parameters
    ----------
    name : str, optional
        One of the rates, for a line with its slope.
    through : (float, float), optional
        A point that the line passes through.
    x : sequence of float
        Where to draw it.

    Returns
    -------
    DataFrame
        Without a name: ``paper, rate, what, exponent`` (null where it depends on the data), ``place, evidence,
        condition``. With one: ``x, y``.

    Raises
    ------
    UnknownNameError
        For an unknown rate.
    DataError
        If the rate has no number, or the point is not positive.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> gap = "verifier-free over verifier-based gap"
    >>> sdb.trends.theoretical_rates(gap, through=(1e3, 0.05), x=[1e3, 4e3])["y"].to_list()
    [0.05, 0.1]
    """
    names = ("paper", "rate", "what", "exponent", "place", "evidence", "condition")
    table = pl.DataFrame(list(RATES), schema=dict.fromkeys(names, pl.String) | {"exponent": pl.Float64}, orient="row")
    if name is None:
        return table
    known = {row["rate"]: row["exponent"] for row in table.iter_rows(named=True)}
    if name not in known:
        raise unknown_name("rate", name, known)
    if known[name] is None:
        raise DataError(f"the exponent of {name!r} depends on the data", "draw it with your own number.")
    if through is None or not (through[0] > 0 and through[1] > 0):
        raise DataError(
            f"through={through!r} is not a point with positive coordinates", "for example through=(1e3, 0.05)."
        )
    at = np.asarray(x, dtype=float)
    return pl.DataFrame({"x": at, "y": through[1] * (at / through[0]) ** known[name]})
