"""Which data recipe wins at scale, judged from small models: how often the small size decides as the large one does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from scalingdb.display import DEFAULT_LEVEL
from scalingdb.downstream._checks import FloatArray, as_frame, finite, need_columns
from scalingdb.errors import DataError, FitError, check_level, check_seed
from scalingdb.judging.resampling import percentile_interval
from scalingdb.schema import METRICS

__all__ = ["decision_accuracy"]

MIN_RECIPES = 3

ORDER = [
    "method",
    "small",
    "n_sizes",
    "target",
    "n_recipes",
    "n_pairs",
    "accuracy",
    "low",
    "high",
    "spearman",
    "regret",
]
GAINS = ["gain", "gain_low", "gain_high"]
"""Columns of the result: of every row, and of those of a line."""


def decision_accuracy(
    frame: pl.DataFrame,
    *,
    recipe: str = "corpus",
    scale: str = "n_params",
    score: str = "score",
    by: str | Sequence[str] = (),
    target: float | None = None,
    higher_is_better: bool | None = None,
    n_resamples: int = 1000,
    level: float = DEFAULT_LEVEL,
    rng: int = 0,
) -> pl.DataFrame:
    """Share of pairs of recipes that small models put into the order of the large ones.

    Two ways of judging: by the scores at one small size, which is a strong baseline, and by a straight line through
    all smaller sizes of each recipe, extrapolated to the target (in the logarithm of the size; of losses, in the
    logarithm of the loss too).

    Parameters
    ----------
    frame : DataFrame
        One row per recipe, size and group; several are averaged. A column ``metric`` says whether more is better.
    recipe, scale, score : str
        Columns.
    by : str or sequence of str
        Recipes are compared within such groups only: at one multiple of tokens per parameter, on one task.
    target : float, optional
        Size at which the recipes are to be ranked; the largest by default.
    higher_is_better : bool, optional
        Needed without a column ``metric``.
    n_resamples : int
        Recipes are drawn with replacement, whole, to make the intervals.
    level : float
    rng : int

    Returns
    -------
    DataFrame
        One row per way of judging: ``method`` (``one size`` or ``line``), ``small`` (the size; of a line, the largest
        that it passes through), ``n_sizes, target, n_recipes, n_pairs, accuracy, low, high``, ``spearman`` (mean over
        groups), ``regret`` (score at the target that the winner at small size is short of the best, mean over groups,
        at least 0), and for a line ``gain`` over the largest single size on the same recipes, with ``gain_low,
        gain_high``. Pairs that tie at the target are left out; ties at small size count one half.

    Raises
    ------
    DataError
        If a column is missing, the direction is unknown, or the target is not a size in the frame.
    FitError
        If no smaller size shares three recipes with the target.

    References
    ----------
    Magnusson et al., arXiv:2504.11393, for the measure and for the baseline of one small size.

    Examples
    --------
    >>> import polars as pl
    >>> import scalingdb as sdb
    >>> rows = pl.DataFrame(
    ...     {
    ...         "corpus": ["a", "b", "c", "d"] * 2,
    ...         "n_params": [1e8] * 4 + [1e9] * 4,
    ...         "score": [0.30, 0.32, 0.31, 0.36, 0.50, 0.53, 0.55, 0.60],
    ...     }
    ... )
    >>> made = sdb.downstream.decision_accuracy(rows, higher_is_better=True)
    >>> made.select("small", "n_pairs", "accuracy", "regret").row(0)
    (100000000.0, 6, 0.8333333333333334, 0.0)
    """
    check_level(level)
    table, keys, sign, is_loss = _rows(frame, recipe, scale, score, by, higher_is_better)
    sizes = table["_scale"].unique().sort().to_list()
    goal = sizes[-1] if target is None else float(target)
    if goal not in sizes:
        raise DataError(
            f"{scale}={goal:g} is not a size in the frame", f"the sizes are {', '.join(f'{s:g}' for s in sizes)}."
        )
    smaller = [size for size in sizes if size < goal]
    draws = np.random.default_rng(check_seed(rng))
    names = table["_recipe"].unique().sort().to_list()
    counts = draws.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_resamples).astype(float)
    panel = _Panel(table, keys, names, sign, is_loss)
    out = []
    for size in smaller:
        found = panel.judge([size], goal)
        if found is not None:
            out.append({"method": "one size", "small": size, "n_sizes": 1, **found.row(counts, level)})
    for k in range(2, len(smaller) + 1):
        line = panel.judge(smaller[:k], goal)
        if line is None:
            continue
        alone = panel.judge([smaller[k - 1]], goal, same_as=smaller[:k])
        assert alone is not None
        gains = line.resampled(counts) - alone.resampled(counts)
        low, high = percentile_interval(gains, level)
        out.append(
            {
                "method": "line",
                "small": smaller[k - 1],
                "n_sizes": k,
                **line.row(counts, level),
                "gain": line.accuracy - alone.accuracy,
                "gain_low": float(low),
                "gain_high": float(high),
            }
        )
    if not out:
        raise FitError(
            f"no size below {goal:g} shares {MIN_RECIPES} recipes with it",
            "give recipes that were trained at both sizes, or another target.",
        )
    made = pl.DataFrame(
        [{"gain": None, "gain_low": None, "gain_high": None, **row} for row in out], infer_schema_length=None
    )
    order = [*ORDER, *GAINS]
    return made.with_columns(pl.col(GAINS).cast(pl.Float64), target=pl.lit(goal)).select(order)


@dataclass(frozen=True)
class _Judged:
    """Agreement of all pairs of recipes: weights of right decisions and of decisions, (recipes, recipes)."""

    right: FloatArray
    made: FloatArray
    n_recipes: int
    spearman: float
    regret: float

    @property
    def accuracy(self) -> float:
        return float(self.right.sum() / self.made.sum())

    def resampled(self, counts: FloatArray) -> FloatArray:
        right, made = (((counts @ part) * counts).sum(axis=1) for part in (self.right, self.made))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(right / made)  # nan where a draw holds one recipe only

    def row(self, counts: FloatArray, level: float) -> dict[str, float | int]:
        low, high = percentile_interval(self.resampled(counts), level)
        return {
            "n_recipes": self.n_recipes,
            "n_pairs": int(self.made.sum() / 2),
            "accuracy": self.accuracy,
            "low": float(low),
            "high": float(high),
            "spearman": self.spearman,
            "regret": self.regret,
        }


class _Panel:
    """Scores by group, recipe and size; more is better."""

    def __init__(self, table: pl.DataFrame, keys: list[str], names: list[str], sign: float, is_loss: bool) -> None:
        self.place = {name: i for i, name in enumerate(names)}
        self.is_loss, self.sign = is_loss, sign
        self.groups: list[dict[tuple[int, float], float]] = []
        parts = table.partition_by(keys, maintain_order=True) if keys else [table]
        for part in parts:
            rows = part.select("_recipe", "_scale", "_score").iter_rows()
            self.groups.append({(self.place[name], size): value for name, size, value in rows})

    def judge(self, small: list[float], goal: float, same_as: list[float] | None = None) -> _Judged | None:
        from scipy.stats import rankdata  # takes a second to import

        n = len(self.place)
        right, made = np.zeros((n, n)), np.zeros((n, n))
        used: set[int] = set()
        correlations, regrets = [], []
        for group in self.groups:
            needed = [*(same_as or small), goal]
            rows = [i for i in range(n) if all((i, size) in group for size in needed)]
            if len(rows) < 2:
                continue
            truth = self.sign * np.array([group[i, goal] for i in rows])
            guess = self.sign * self._guess(np.array([[group[i, size] for size in small] for i in rows]), small, goal)
            order, seen = np.sign(truth[:, None] - truth), np.sign(guess[:, None] - guess)
            decided = (order != 0).astype(float)
            place = np.ix_(rows, rows)
            right[place] += np.where(seen == 0, 0.5, seen == order) * decided
            made[place] += decided
            used |= set(rows)
            if len(rows) >= MIN_RECIPES and np.ptp(truth) > 0 and np.ptp(guess) > 0:
                correlations.append(float(np.corrcoef(rankdata(truth), rankdata(guess))[0, 1]))
            regrets.append(float(truth.max() - truth[np.argmax(guess)]))
        if len(used) < MIN_RECIPES or not made.any():
            return None
        mean = float(np.mean(correlations)) if correlations else float("nan")
        return _Judged(right, made, len(used), mean, float(np.mean(regrets)))

    def _guess(self, values: FloatArray, small: list[float], goal: float) -> FloatArray:
        """The scores at one size; of several, a least-squares line extrapolated to the target."""
        if len(small) == 1:
            return values[:, 0]
        y = np.log(values) if self.is_loss else values
        slope, intercept = np.polyfit(np.log(small), y.T, 1)
        return np.asarray(intercept + slope * np.log(goal))


def _rows(
    frame: pl.DataFrame, recipe: str, scale: str, score: str, by: str | Sequence[str], higher_is_better: bool | None
) -> tuple[pl.DataFrame, list[str], float, bool]:
    """Mean score of each recipe, size and group; grouping columns; which way is better; whether it is a loss."""
    table = as_frame(frame)
    keys = [by] if isinstance(by, str) else list(by)
    need_columns(table, [recipe, scale, score, *keys], "ranking recipes", "name the columns of your frame.")
    finite(table, [scale, score], "ranking recipes")
    metrics = table["metric"].unique().to_list() if "metric" in table.columns else []
    known = {METRICS[name].higher_is_better for name in metrics if name in METRICS}
    better = higher_is_better
    if better is None:
        if len(known) != 1 or any(name not in METRICS for name in metrics):
            raise DataError("whether more is better is not known", "give higher_is_better=True or False.")
        (better,) = known
    if (table[scale] <= 0).any():
        raise DataError(f"{scale!r} holds sizes that are not positive")
    is_loss = not better and bool((table[score] > 0).all())
    means = (
        table.select(
            *keys,
            _recipe=pl.col(recipe).cast(pl.String),
            _scale=pl.col(scale).cast(pl.Float64),
            _score=pl.col(score).cast(pl.Float64),
        )
        .drop_nulls()
        .group_by(*keys, "_recipe", "_scale")
        .agg(pl.col("_score").mean())
        .sort(*keys, "_recipe", "_scale")
    )
    return means, keys, 1.0 if better else -1.0, is_loss
