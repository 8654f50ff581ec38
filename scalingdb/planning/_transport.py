"""What a mixture of data sources is worth: distance to the target at small size, then a rescaling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from scalingdb.errors import DataError, FitError
from scalingdb.planning._curve import FloatArray

__all__ = ["mixture_distance", "transport_forecast"]

MAX_POINTS = 150
"""Samples of a source that enter the transport problem: its size is the product of both sides."""


def mixture_distance(sources: Mapping[str, FloatArray], shares: Mapping[str, float], target: FloatArray) -> float:
    """Optimal-transport distance between a mixture of sources and a target sample.

    Parameters
    ----------
    sources : mapping of name to array (n,) or (n, d)
        A pilot sample of each source, as features.
    shares : mapping of name to float
        Share of each source in the mixture; they sum to 1.
    target : array (m,) or (m, d)
        Sample of what the model is for.

    Returns
    -------
    float
        Earth mover's distance (Wasserstein-1, Euclidean), in the unit of the features. Of more than 150 samples a
        side, every k-th is used.

    Raises
    ------
    DataError
        If shares do not sum to 1, are negative or name unknown sources, or dimensions differ.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> pilot = {"near": [0.0, 1.0], "far": [4.0, 5.0]}
    >>> sdb.planning.mixture_distance(pilot, {"near": 0.5, "far": 0.5}, [0.0, 1.0])
    2.0
    """
    from scipy.stats import wasserstein_distance, wasserstein_distance_nd

    if unknown := [name for name in shares if name not in sources]:
        raise DataError(f"no sample of source {unknown[0]!r}", f"the sources are {', '.join(sources)}.")
    weights = np.array(list(shares.values()), dtype=float)
    if (weights < 0).any() or abs(weights.sum() - 1) > 1e-6:
        raise DataError(f"the shares {[*shares.values()]} are not fractions that sum to 1")
    points = [_sample(name, sources[name]) for name in shares]
    aim = _sample("target", target)
    if len({part.shape[1] for part in (*points, aim)}) > 1:
        raise DataError("the samples of sources and target differ in their number of features")
    stacked = np.concatenate(points)
    each = np.concatenate([np.full(len(part), share / len(part)) for part, share in zip(points, weights, strict=True)])
    used = each > 0
    if aim.shape[1] == 1:
        return float(wasserstein_distance(stacked[used, 0], aim[:, 0], u_weights=each[used]))
    return float(wasserstein_distance_nd(stacked[used], aim, u_weights=each[used]))


def transport_forecast(
    pilots: pl.DataFrame,
    at: pl.DataFrame,
    sources: Mapping[str, FloatArray],
    target: FloatArray,
    *,
    size: str = "n_examples",
    output: str = "score",
) -> pl.DataFrame:
    """Performance of any mixture at any size from small runs, in two stages.

    First, at each of two small sizes, performance is a line in the mixture's transport distance to the target and in
    its shares. Second, without further parameters, a straight line in the logarithm of the size through the two
    predictions leads to the size asked for.

    Parameters
    ----------
    pilots : DataFrame
        One row per small run: a column of shares per source, `size` (two different values) and `output`.
    at : DataFrame
        What to predict: shares and `size`.
    sources, target
        As for :func:`mixture_distance`.
    size, output : str
        Columns.

    Returns
    -------
    DataFrame
        `at` with ``distance`` and ``prediction``.

    Raises
    ------
    DataError
        If a column is missing, or the pilot runs do not have exactly two sizes.
    FitError
        If a size has fewer runs than the first stage has coefficients (one more than there are sources).

    Notes
    -----
    The second stage is the equation in the code of one of the authors (``project_performance``). The first stage there
    also has products of the distance and the shares, which ask for more runs; the paper's text could not be read. It
    extrapolates without a floor and may leave the range of a score, so keep the size asked for within a decade or so of
    the pilots.

    References
    ----------
    Kang et al., arXiv:2307.02460, abstract (two stages; the second without free parameters); ``projektor/projector.py``
    of github.com/anitksahu/projektor_multimodal at 893bbb4b.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> import scalingdb as sdb
    >>> pilot, goal = {"near": np.array([0.0, 1.0]), "far": np.array([4.0, 5.0])}, np.array([0.0, 1.0])
    >>> share = np.tile([0.0, 0.3, 0.6, 1.0], 2)
    >>> n = np.repeat([1e3, 4e3], 4)
    >>> score = 0.5 - 0.05 * 4 * (1 - share) + 0.02 * np.log(n / 1e3)
    >>> runs = pl.DataFrame({"near": share, "far": 1 - share, "n_examples": n, "score": score})
    >>> wanted = pl.DataFrame({"near": [0.5], "far": [0.5], "n_examples": [1.6e4]})
    >>> sdb.planning.transport_forecast(runs, wanted, pilot, goal)["prediction"].round(4).item()
    0.4555
    """
    names = list(sources)
    for frame, needed, what in ((pilots, [*names, size, output], "pilots"), (at, [*names, size], "at")):
        if missing := [name for name in needed if name not in frame.columns]:
            raise DataError(f"{what} has no column {missing[0]!r}", "a column of shares per source, and the size.")
    sizes = pilots[size].unique().sort().to_list()
    if len(sizes) != 2 or not sizes[0] > 0:
        raise DataError(f"the pilot runs have {len(sizes)} different sizes", "keep two sizes, both positive.")
    wanted, distances = _features(at, names, sources, target)
    small, large = (_stage(pilots.filter(pl.col(size) == one), names, sources, target, output) for one in sizes)
    where = np.log(at[size].cast(pl.Float64).to_numpy() / sizes[0]) / np.log(sizes[1] / sizes[0])
    first, second = wanted @ small, wanted @ large
    return at.with_columns(
        distance=pl.Series(distances, dtype=pl.Float64),
        prediction=pl.Series(first + where * (second - first), dtype=pl.Float64),
    )


def _sample(name: str, values: FloatArray) -> FloatArray:
    points = np.asarray(values, dtype=float)
    points = points[:, None] if points.ndim == 1 else points
    if points.ndim != 2 or not len(points) or not np.isfinite(points).all():
        raise DataError(f"the sample of {name!r} is not a finite array of samples and features")
    return points[:: -(-len(points) // MAX_POINTS)]


def _features(
    frame: pl.DataFrame, names: list[str], sources: Mapping[str, FloatArray], target: FloatArray
) -> tuple[FloatArray, list[float]]:
    """Shares (which sum to 1, so that they hold the intercept) and the distance."""
    rows = frame.select(pl.col(names).cast(pl.Float64)).to_dicts()
    distances = [mixture_distance(sources, row, target) for row in rows]
    return np.column_stack([frame.select(names).to_numpy().astype(float), distances]), distances


def _stage(
    runs: pl.DataFrame, names: list[str], sources: Mapping[str, FloatArray], target: FloatArray, output: str
) -> FloatArray:
    design, _ = _features(runs, names, sources, target)
    if runs.height < design.shape[1]:
        raise FitError(f"{runs.height} pilot runs of one size", f"the first stage has {design.shape[1]} coefficients.")
    return np.asarray(np.linalg.lstsq(design, runs[output].cast(pl.Float64).to_numpy(), rcond=None)[0])
