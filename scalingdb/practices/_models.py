"""Which models to fit: how many, how large, and what to take from other families instead."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.errors import DataError, check_level, check_seed, unknown_name
from scalingdb.estimation.verdicts import Kind
from scalingdb.fits import Fit
from scalingdb.judging.fitting import fit_sides
from scalingdb.judging.resampling import drawn_units, percentile_interval
from scalingdb.law_library import Law
from scalingdb.practices._core import ARM, NO_LAW, RESAMPLES, Families, Practice, judged, read, unscaled

__all__ = ["borrow", "number_or_size", "small_models"]

USABLE: tuple[Kind, ...] = ("identified", "weak")
"""Verdicts of a donor's fit whose estimates may be borrowed."""


def small_models(
    curves: pl.DataFrame | pl.LazyFrame,
    law: str | Law = "chinchilla",
    *,
    by: str = "family",
    scale: str = "n_params",
    tokens: str = "n_tokens",
    output: str = "loss",
    run: str = "run_id",
    unit: str | None = None,
    counts: Sequence[int] = (2, 3, 4, 5, 6, 7),
    subsets: int = 8,
    drop: float = 0.1,
    tail: float = 0.3,
    checkpoints: int = 20,
    rng: int = 0,
    **options: Any,
) -> Practice:
    """Try how the error falls with the number and the size of the small models.

    Every family's small models are combined in subsets of each count: all of them, or as many drawn
    at random as `subsets` says. :func:`number_or_size` takes the result apart.

    Parameters
    ----------
    counts : sequence of int
        Numbers of models (distinct sizes) to fit.
    subsets : int
        Subsets of a family and count at most.
    drop : float
        Share of the beginning of each run that is left out.

    The other parameters are those of :func:`drop_first_tokens`.

    Returns
    -------
    Practice
        One arm per count; the smallest count is the baseline.

    Raises
    ------
    DataError, UnknownNameError
        If columns are missing or hold bad values, or no family has enough sizes.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> curves = practices.corpus(sdb.connect()).filter(pl.col("unit") == "opt")
    >>> practices.small_models(curves, counts=(3, 5), subsets=4).rows["n_models"].to_list()
    [3, 3, 3, 3, 5]
    """
    if not counts or min(counts) < 1 or subsets < 1:
        raise DataError(
            f"counts={tuple(counts)!r} and subsets={subsets!r} must be positive",
            "for example counts=(2, 4), subsets=8.",
        )
    families = read(
        curves,
        law,
        by=by,
        scale=scale,
        tokens=tokens,
        output=output,
        run=run,
        unit=unit,
        tail=tail,
        checkpoints=checkpoints,
    )
    generator = np.random.default_rng(check_seed(rng))
    small = families.small.filter(pl.col("share") > drop)
    parts = []
    for (_,), rows in small.group_by("family", maintain_order=True):
        sizes = rows["n"].unique().sort().to_list()
        for count in sorted(set(counts)):
            for index, chosen in enumerate(_subsets(sizes, count, subsets, generator)):
                part = rows.filter(pl.col("n").is_in(chosen))
                parts.append(part.with_columns(pl.lit(f"{count} models").alias(ARM), pl.lit(index).alias("subset")))
    if not parts:
        raise DataError(
            f"no family has {min(counts)} sizes below its largest", "ask for fewer: counts=(...), or add models."
        )
    found = judged(families, pl.concat(parts), keys=("family", ARM, "subset"), **options)
    labels = tuple(f"{count} models" for count in sorted(set(counts)) if f"{count} models" in set(found[ARM]))
    return Practice(found, labels, labels[0], "The number of small models", rng)


def _subsets(sizes: Sequence[float], count: int, limit: int, generator: np.random.Generator) -> list[tuple[float, ...]]:
    """All subsets of a count, or a random choice of different ones."""
    if count > len(sizes):
        return []
    if math.comb(len(sizes), count) <= limit:
        return list(itertools.combinations(sizes, count))
    drawn: set[tuple[float, ...]] = set()
    while len(drawn) < limit:
        drawn.add(tuple(sorted(generator.choice(np.asarray(sizes), count, replace=False).tolist())))
    return sorted(drawn)


def number_or_size(practice: Practice, level: float = DEFAULT_LEVEL) -> pl.DataFrame:
    """Tell whether another small model matters more, or a larger one.

    Least squares of the logarithm of the error on the number of models and on the distance to the
    target (the binary logarithm of target size over largest size fitted), within each family.

    Parameters
    ----------
    practice : Practice
        As :func:`small_models` returns it.

    Returns
    -------
    DataFrame
        ``change, factor, low, high``: by what the error is multiplied; intervals from a bootstrap of units.

    Raises
    ------
    DataError
        If fewer than three units have subsets of different count and distance.
    """
    check_level(level)
    rows = practice.rows.filter(pl.col("error").is_finite() & (pl.col("error") > 0)).with_columns(
        y=pl.col("error").log(), a=pl.col("n_models").cast(pl.Float64), b=pl.col("scale_up").log(2)
    )
    rows = rows.with_columns(pl.col(name) - pl.col(name).mean().over("family") for name in ("y", "a", "b"))
    by_unit = rows.sort("unit").group_by("unit", maintain_order=True)
    units = [part.select("a", "b", "y").to_numpy() for _, part in by_unit]
    units = [part for part in units if np.linalg.matrix_rank(part[:, :2]) == 2]
    if len(units) < 3:
        raise DataError(
            f"{len(units)} unit(s) vary both the number and the size of their models: at least 3 are needed",
            "add families, or read the rows of the practice directly.",
        )
    # a unit weighs as much as another, however many subsets it has
    moments = np.array([part[:, :2].T @ part[:, :2] / len(part) for part in units])
    sides = np.array([part[:, :2].T @ part[:, 2] / len(part) for part in units])
    draws = drawn_units(len(units), RESAMPLES, practice.rng)
    slopes = np.linalg.solve(moments[draws].sum(1), sides[draws].sum(1)[..., None])[..., 0]
    centre = np.linalg.solve(moments.sum(0), sides.sum(0))
    low, high = percentile_interval(slopes, level)
    return pl.DataFrame(
        {
            "change": ["one more small model", "largest small model half as large"],
            "factor": np.exp(centre),
            "low": np.exp(low),
            "high": np.exp(high),
            "n_units": [len(units)] * 2,
        }
    )


def borrow(
    curves: pl.DataFrame | pl.LazyFrame,
    law: str | Law = "chinchilla",
    *,
    by: str = "family",
    scale: str = "n_params",
    tokens: str = "n_tokens",
    output: str = "loss",
    run: str = "run_id",
    unit: str | None = None,
    term: Sequence[str] = ("A", "alpha"),
    exponents: Sequence[str] = ("alpha", "beta"),
    drop: float = 0.1,
    tail: float = 0.3,
    checkpoints: int = 30,
    rng: int = 0,
    **options: Any,
) -> Practice:
    """Try whether parameters of the law can be taken from other families.

    Every family with a usable fit (identified or weak) of all its models is a donor. A *sibling* is
    another family of the same unit; of other units the family with the most sizes donates.

    Parameters
    ----------
    unit : str, optional
        Column that groups sibling families. Without it every family stands alone and there are no siblings.
    term : sequence of str
        Parameters that one model cannot give: the scale and exponent of N.
    exponents : sequence of str
        Parameters fixed while all small models are fitted: the median over the donors of other units.

    The other parameters are those of :func:`small_models`.

    Returns
    -------
    Practice
        Arms: all small models with all parameters free (the baseline); with the exponents of other
        units; the largest small model alone with the term of a sibling, and of other units (one
        fit a donor); and the forecast without a law.

    Raises
    ------
    DataError, UnknownNameError
        If columns are missing or hold bad values, a name is no parameter, or no donor has a usable fit.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> from scalingdb import practices
    >>> curves = practices.corpus(sdb.connect()).filter(pl.col("unit").is_in(["gpt3", "routed"]))
    >>> practices.borrow(curves, unit="unit", checkpoints=12).arms[0]
    'own models, all parameters free'
    """
    families = read(
        curves,
        law,
        by=by,
        scale=scale,
        tokens=tokens,
        output=output,
        run=run,
        unit=unit,
        tail=tail,
        checkpoints=checkpoints,
    )
    for name in (*term, *exponents):
        if name not in families.law.params:
            raise unknown_name("parameter", name, families.law.params, f"(of law {families.law.name!r})")
    own = "own models, all parameters free"
    fixed = f"own models, {' and '.join(exponents)} of other units"
    sibling, other = "one model, N-term of a sibling", "one model, N-term of another unit"
    small = families.small.filter(pl.col("share") > drop)
    donors = _donors(families, drop, options)
    if donors.is_empty():
        raise DataError("no family has a usable fit to borrow from", "see sdb.fit_by(...).glance() for the verdicts.")
    rows = [judged(families, small.with_columns(pl.lit(own).alias(ARM)), **options), unscaled(families)]
    representative = donors.sort("n_sizes", "family", descending=[True, False]).unique("unit", keep="first")
    representative = representative.sort("unit")
    for (name,), part in small.group_by("unit", maintain_order=True):
        others = representative.filter(pl.col("unit") != name)
        if others.is_empty():
            continue
        held = {param: float(others[param].median()) for param in exponents}  # type: ignore[arg-type]
        rows.append(judged(families, part.with_columns(pl.lit(fixed).alias(ARM)), **{**options, "fixed": held}))
    largest = small.filter(pl.col("n") == pl.col("n").max().over("family"))
    nearest = donors.sort("n_sizes", "family", descending=[True, False])
    for donor in donors.iter_rows(named=True):
        held = {param: donor[param] for param in term}
        takers = []
        for (name,), part in largest.group_by("family", maintain_order=True):
            mine = part["unit"][0]
            siblings = nearest.filter((pl.col("unit") == mine) & (pl.col("family") != name))
            if mine == donor["unit"]:
                arm = sibling if siblings.height and siblings["family"][0] == donor["family"] else None
            else:
                arm = other if donor["family"] in representative["family"] else None
            if arm is not None:
                takers.append(part.with_columns(pl.lit(arm).alias(ARM)))
        if takers:
            found = judged(families, pl.concat(takers), **{**options, "fixed": held})
            rows.append(found.with_columns(donor=pl.lit(donor["family"])))
    return Practice(
        pl.concat(rows, how="diagonal_relaxed"), (own, fixed, sibling, other, NO_LAW), own, "Borrowing parameters", rng
    )


def _is_usable(item: Fit) -> bool:
    return item.verdict.kind in USABLE and item.verdict.converged


def _donors(families: Families, drop: float, options: dict[str, Any]) -> pl.DataFrame:
    """Fits of whole families, the largest model included: ``family, unit, n_sizes`` and the parameters."""
    rows = pl.concat([families.small, families.largest]).filter(pl.col("share") > drop)
    fits, _ = fit_sides(
        rows, families.law, ["family"], inputs=families.inputs, output="loss", **{"by_run": False, **options}
    )
    about = rows.group_by("family").agg(pl.col("unit").first(), n_sizes=pl.col("n").n_unique())
    records = [{"family": key[0], **item.params} for key, item in fits.items() if _is_usable(item)]
    if not records:
        return pl.DataFrame()
    return pl.DataFrame(records).join(about, on="family", maintain_order="left").sort("unit", "family")
