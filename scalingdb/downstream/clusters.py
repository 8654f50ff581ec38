"""Items grouped by how fast they become solvable: a law for each group, and from the predictable ones to the whole.

One curve for a whole benchmark mixes items that are solved early with items that no model of the data solves. Here
items of like difficulty make a cluster; those whose curve can be extrapolated are; a monotone map then leads
from their mean to the mean over all items (Xu et al., arXiv:2502.17262).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import polars as pl

from scalingdb.downstream._checks import FloatArray, as_frame, check_scores, compute_column, finite, need_columns
from scalingdb.errors import DataError, FitError, FitWarning, ScalingDBError
from scalingdb.fits import Fit, fit

__all__ = ["cluster_forecast", "cluster_laws", "difficulty_clusters", "monotone_map"]

LAW = "cod_accuracy"

MIN_MODELS = 5
"""Models without which a curve with three free parameters says nothing."""

MIN_EXPONENT, MAX_FLOOR, MIN_RISE = 0.1, 1.0, 0.05
"""What extrapolation asks of a curve: exponent of compute, irreducible loss of the answer in nats, rise over the data.

The first two are the authors' thresholds. Theirs for the scale, a > 1, depends on the unit of compute; the rise over
the models at hand takes its place.
"""

CLOSE = 0.005
"""Root mean square distance at which a map counts as close enough (the authors')."""

MAX_GROUPS = 8_000
"""Different difficulty vectors beyond which the distances of all pairs do not fit into memory."""


def difficulty_clusters(
    frame: pl.DataFrame,
    *,
    item: str = "item_id",
    score: str = "score",
    compute: str | None = None,
    diameter: float = 0.25,
    min_items: int = 10,
) -> pl.DataFrame:
    """Group items whose pass rates rise alike from model to model.

    An item's difficulty is the vector of its pass rates in order of training compute. Clusters are made by complete
    linkage, so that no two items of one lie further apart than `diameter`; those with fewer than `min_items` are
    given up as too noisy. Give the models that are fitted, and not those that are to be predicted.

    Parameters
    ----------
    frame : DataFrame
        One row per model and item: pass rate (0 to 1) and training compute; every model has every item.
    item, score, compute : str
        Columns; compute as in the other functions of this module.
    diameter : float
        Largest root mean square difference of two items' pass rates.
    min_items : int

    Returns
    -------
    DataFrame
        One row per item: `item`, ``cluster`` (1 is the easiest; null for items that none holds), ``mean`` over the
        models.

    Raises
    ------
    DataError
        If a model lacks an item or has it twice, or a score is no rate.

    References
    ----------
    Xu et al., arXiv:2502.17262, section 4.1: there mean shift with a bound on the radius and on the size.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> easy, hard = [0.2, 0.7, 0.9], [0.0, 0.1, 0.4]
    >>> rows = [
    ...     {"item_id": f"{name}{i}", "train_flops": flops, "score": rate}
    ...     for name, rates in (("easy", easy), ("hard", hard))
    ...     for i in range(10)
    ...     for flops, rate in zip([1e20, 1e21, 1e22], rates, strict=True)
    ... ]
    >>> sdb.downstream.difficulty_clusters(pl.DataFrame(rows)).group_by("cluster").len().sort("cluster").rows()
    [(1, 10), (2, 10)]
    """
    from scipy.cluster.hierarchy import fcluster, linkage

    if not diameter > 0:
        raise DataError(f"diameter={diameter!r} is not a positive number", "for example diameter=0.25.")
    if min_items < 1:
        raise DataError(f"min_items={min_items!r} is below one")
    names, _, rates = _matrix(frame, item, score, compute)
    vectors, which = np.unique(rates, axis=0, return_inverse=True)
    if len(vectors) > MAX_GROUPS:
        raise DataError(
            f"{len(vectors)} items differ in their pass rates, more than {MAX_GROUPS}",
            "round the rates, or take a sample of the items.",
        )
    labels = np.ones(1, dtype=int)
    if len(vectors) > 1:
        tree = linkage(vectors / np.sqrt(vectors.shape[1]), method="complete")
        labels = fcluster(tree, diameter, criterion="distance")
    found = pl.DataFrame({item: names, "label": labels[which.reshape(-1)], "mean": rates.mean(axis=1)})
    kept = (
        found.group_by("label")
        .agg(pl.len().alias("n"), pl.col("mean").mean())
        .filter(pl.col("n") >= min_items)
        .sort("mean", "label", descending=[True, False])
        .with_row_index("cluster", offset=1)
    )
    return (
        found.join(kept.select("label", pl.col("cluster").cast(pl.Int64)), on="label", how="left")
        .select(item, "cluster", "mean")
        .sort("cluster", item, nulls_last=True)
    )


def cluster_laws(
    frame: pl.DataFrame,
    clusters: pl.DataFrame,
    target: float,
    *,
    item: str = "item_id",
    score: str = "score",
    compute: str | None = None,
    chance: float = 0.0,
) -> pl.DataFrame:
    """Fit every cluster and say which can be extrapolated to a larger budget.

    Parameters
    ----------
    frame : DataFrame
        As for :func:`difficulty_clusters`.
    clusters : DataFrame
        Its result.
    target : float
        Training compute to predict, FLOP.
    chance : float
        Rate of guessing, which is held.

    Returns
    -------
    DataFrame
        One row per cluster: ``cluster, n_items, a, b, c, rise`` (of the curve over the models), ``prediction`` at the
        target, ``is_predictable``, and ``reason`` where it is not.

    Raises
    ------
    DataError
        If items of `clusters` are not in the frame, or `chance` is no rate.
    FitError
        If fewer than five budgets are left to fit.

    References
    ----------
    Xu et al., arXiv:2502.17262, eq. 4 and section 4.3.
    """
    if not 0 <= chance < 1:
        raise DataError(f"chance={chance!r} is not a fraction below 1", "1 over the number of options.")
    need_columns(clusters, [item, "cluster"], "a law per cluster", "give the result of difficulty_clusters.")
    names, budgets, rates = _matrix(frame, item, score, compute)
    if np.unique(budgets).size < MIN_MODELS:
        raise FitError(f"{np.unique(budgets).size} budgets in the frame", f"a curve per cluster needs {MIN_MODELS}.")
    if not target > 0:
        raise DataError(f"target={target!r} is not a positive amount of compute")
    place = {name: row for row, name in enumerate(names)}
    rows = []
    for (cluster,), members in clusters.drop_nulls("cluster").sort("cluster").group_by("cluster", maintain_order=True):
        lost = [name for name in members[item].to_list() if name not in place]
        if lost:
            raise DataError(f"item {lost[0]!r} of cluster {cluster} is not in the frame")
        means = rates[[place[name] for name in members[item].to_list()]].mean(axis=0)
        rows.append({"cluster": cluster, "n_items": members.height, **_law(budgets, means, target, chance)})
    if not rows:
        raise DataError("no cluster has enough items", "a larger diameter or smaller min_items makes larger clusters.")
    return pl.DataFrame(rows, schema_overrides={"reason": pl.String})


def cluster_forecast(
    frame: pl.DataFrame,
    target: float,
    *,
    item: str = "item_id",
    score: str = "score",
    compute: str | None = None,
    chance: float = 0.0,
    diameter: float = 0.25,
    min_items: int = 10,
    anchors: Sequence[tuple[float, float]] = (),
) -> pl.DataFrame:
    """Mean pass rate over all items at a larger budget, through the clusters that can be extrapolated.

    Parameters
    ----------
    frame, item, score, compute, diameter, min_items
        As for :func:`difficulty_clusters`.
    target, chance
        As for :func:`cluster_laws`.
    anchors : sequence of (float, float)
        Mean over the predictable items and over all, of models that are not fitted: they hold the map beyond the
        models of the frame, even if they are of other families.

    Returns
    -------
    DataFrame
        One row: ``prediction`` over all items, ``subset`` (prediction over the predictable ones), ``end_to_end`` (the
        same law fitted to all items at once, for comparison), ``n_items, n_predictable, n_clusters,
        n_clusters_predictable``.

    Raises
    ------
    FitError
        If no cluster can be extrapolated.

    References
    ----------
    Xu et al., arXiv:2502.17262, section 4.

    Examples
    --------
    >>> import numpy as np, polars as pl
    >>> import scalingdb as sdb
    >>> law, flops = sdb.get_law("cod_accuracy"), np.geomspace(1e19, 1e22, 7)
    >>> rows = pl.concat(
    ...     pl.DataFrame({"item_id": f"{a} {i}", "train_flops": flops, "score": law(flops, g=0, a=a, b=0.2, c=0.05)})
    ...     for a in (1e4, 3e4)
    ...     for i in range(10)
    ... )
    >>> made = sdb.downstream.cluster_forecast(rows, 1e24)
    >>> truth = np.mean([law(1e24, g=0, a=a, b=0.2, c=0.05) for a in (1e4, 3e4)])
    >>> bool(abs(made["subset"].item() - truth) < 1e-3), made["n_clusters_predictable"].item()
    (True, 2)
    """
    options = {"item": item, "score": score, "compute": compute}
    clusters = difficulty_clusters(frame, diameter=diameter, min_items=min_items, **options)  # type: ignore[arg-type]
    laws = cluster_laws(frame, clusters, target, chance=chance, **options)  # type: ignore[arg-type]
    good = laws.filter("is_predictable")
    if good.is_empty():
        reasons = ", ".join(laws["reason"].unique().sort().to_list())
        raise FitError(f"none of {laws.height} clusters can be extrapolated: {reasons}", "models closer to the target.")
    names, budgets, rates = _matrix(frame, item, score, compute)
    inside = set(clusters.filter(pl.col("cluster").is_in(good["cluster"].implode()))[item].to_list())
    mask = np.array([name in inside for name in names])
    subset = float(np.average(good["prediction"].to_numpy(), weights=good["n_items"].to_numpy()))
    pairs = [*zip(rates[mask].mean(axis=0), rates.mean(axis=0), strict=True), *anchors]
    whole = monotone_map([one for one, _ in pairs], [one for _, one in pairs], [subset])
    plain = _law(budgets, rates.mean(axis=0), target, chance)
    return pl.DataFrame(
        {
            "train_flops": [float(target)],
            "prediction": whole,
            "subset": [subset],
            "end_to_end": [plain["prediction"]],
            "n_items": [len(names)],
            "n_predictable": [int(mask.sum())],
            "n_clusters": [laws.height],
            "n_clusters_predictable": [good.height],
        },
        schema_overrides={"end_to_end": pl.Float64},
    )


def monotone_map(subset: Sequence[float], whole: Sequence[float], at: Sequence[float]) -> FloatArray:
    """A smooth rising map of [0, 1] onto itself through pairs of means, from part of the items to all.

    It passes through (0, 0) and (1, 1). Between them the pairs are first made to rise (isotonic regression); a
    monotone cubic then goes through as few of them as bring it within half a point of the rest, root mean square.

    Parameters
    ----------
    subset, whole : sequence of float (models,)
        Mean over the part and over all items.
    at : sequence of float (k,)
        Means over the part to map.

    Returns
    -------
    array (k,)

    Raises
    ------
    DataError
        If a mean is not between 0 and 1, or the lengths differ.

    References
    ----------
    Xu et al., arXiv:2502.17262, section 4.4: there a cubic smoothing spline with knots added to the same distance.

    Examples
    --------
    >>> import scalingdb as sdb
    >>> sdb.downstream.monotone_map([0.2, 0.5, 0.8], [0.1, 0.3, 0.6], [0.0, 0.5, 1.0]).round(3).tolist()
    [0.0, 0.3, 1.0]
    """
    from scipy.interpolate import PchipInterpolator
    from scipy.optimize import isotonic_regression  # type: ignore[attr-defined]

    x, y = np.asarray(subset, dtype=float), np.asarray(whole, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise DataError(f"{x.size} means of the part and {y.size} of the whole", "one pair per model.")
    for values in (x, y, np.asarray(at, dtype=float)):
        if not ((values >= 0) & (values <= 1)).all():
            raise DataError("a mean is not between 0 and 1", "give fractions, not percent.")
    order = np.lexsort((y, x))
    places, first = np.unique(x[order], return_index=True)
    heights = np.array([part.mean() for part in np.split(y[order], first[1:])]) if x.size else y
    counts = np.diff([*first, x.size]) if x.size else None
    inner = (places > 0) & (places < 1)
    rising = isotonic_regression(heights, weights=counts).x if places.size else heights
    places, rising = places[inner], rising[inner]
    for n_knots in range(places.size + 1):
        chosen = np.unique(np.linspace(0, max(places.size - 1, 0), n_knots).round().astype(int))
        curve = PchipInterpolator([0.0, *places[chosen], 1.0], [0.0, *rising[chosen], 1.0])
        if places.size == 0 or np.sqrt(np.mean((curve(places) - rising) ** 2)) < CLOSE:
            break
    return np.asarray(curve(np.asarray(at, dtype=float)))


def _matrix(
    frame: pl.DataFrame, item: str, score: str, compute: str | None
) -> tuple[list[object], FloatArray, FloatArray]:
    """Items, budgets of the models in rising order, and pass rates (items, models)."""
    table = as_frame(frame)
    need_columns(table, [item, score], "grouping by difficulty", "one row per model and item.")
    check_scores(table, score, "grouping by difficulty")
    made = table.with_columns(_x=compute_column(table, compute))
    finite(made, [score, "_x"], "grouping by difficulty")
    keys = [*(str(name) for name in ("run_id", "model_name") if name in made.columns), "_x"]
    wide = made.select(item, *keys, _y=pl.col(score).cast(pl.Float64)).sort("_x", *keys[:-1], item)
    if wide.select(item, *keys).is_duplicated().any():
        twice = wide.filter(wide.select(item, *keys).is_duplicated()).row(0, named=True)
        raise DataError(f"model {twice[keys[0]]!r} has item {twice[item]!r} twice", "one row per model and item.")
    names = wide[item].unique().sort().to_list()
    place = {name: row for row, name in enumerate(names)}
    budgets, columns = [], []
    for key, rows in wide.group_by(keys, maintain_order=True):
        if rows.height < len(names):
            lost = sorted(set(names) - set(rows[item].to_list()), key=str)[0]
            raise DataError(f"model {key[0]!r} lacks item {lost!r}", "keep the items that every model has.")
        column = np.empty(len(names))
        column[[place[name] for name in rows[item].to_list()]] = rows["_y"].to_numpy()
        budgets.append(float(rows["_x"][0]))
        columns.append(column)
    if not columns:
        raise DataError("the frame has no rows")
    return names, np.array(budgets), np.column_stack(columns)


def _law(budgets: FloatArray, means: FloatArray, target: float, chance: float) -> dict[str, object]:
    """The law of one cluster: coefficients, prediction, and whether it can be extrapolated."""
    row: dict[str, object] = dict.fromkeys(("a", "b", "c", "rise", "prediction"), None)
    rise = float(means[np.argmax(budgets)] - means[np.argmin(budgets)])
    if means.max() <= chance or rise <= 0:
        return {**row, "rise": rise, "is_predictable": False, "reason": "does not rise"}
    data = pl.DataFrame({"train_flops": budgets, "task_accuracy": means})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # a cluster far below its ceiling does not fix c
            found = fit(data, LAW, objective="mse", fixed={"g": chance})
    except ScalingDBError as error:
        return {**row, "rise": rise, "is_predictable": False, "reason": f"no fit: {error}"}
    assert isinstance(found, Fit)
    a, b, c = (found.params[name] for name in "abc")
    low, high, there = (float(found.law.function(x, **found.params)) for x in (budgets.min(), budgets.max(), target))
    reason = None
    if high - low < MIN_RISE:
        reason = f"rises by less than {MIN_RISE:g}"
    elif b <= MIN_EXPONENT:
        reason = f"exponent at most {MIN_EXPONENT:g}"
    elif c >= MAX_FLOOR:
        reason = f"irreducible loss of {MAX_FLOOR:g} or more"
    return {
        "a": a,
        "b": b,
        "c": c,
        "rise": high - low,
        "prediction": there,
        "is_predictable": reason is None,
        "reason": reason,
    }
