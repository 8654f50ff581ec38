"""Scaling with vocabulary: the fitted law of loss, and three ways to the best vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from scalingdb.evidence.refits import all_refits, refit
from scalingdb.evidence.replication._core import Figure, replication
from scalingdb.law_library import get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_STORED = {  # our parameter: name in the claims, stored value, digits recomputed earlier
    "A1": ("A1", 1.8314, 1.829, 5e-4),
    "A2": ("A2", 0.1958, 0.1907, 5e-5),
    "B": ("B", 2.1241, 2.122, 5e-4),
    "E": ("E", 5.5328, 5.535, 5e-4),
    "a2": ("alpha2", 0.6707, 0.664, 5e-4),
    "beta": ("beta", 0.4466, 0.445, 5e-4),
}
_RELEASE = "release, outputs of approach3_isoloss.py"
_EARLIER = "earlier recomputation from exp_data.csv"
_DIGIT = "half a unit of the last digit stated"
_SLIP = (
    "D on the authors' scale (their script divides the vocabulary by 1,000 before it converts characters "
    "to tokens), the "
    "1,054 rows above 2.18e17 FLOP, Huber loss on the loss itself. Ours is the optimum; the objective "
    "hardly changes along "
    "A2 and alpha2."
)


def _law(db: Warehouse) -> Any:
    """The refit of the authors' law on the authors' D."""
    one = next(one for one in all_refits() if one.law == "vocab_loss" and one.variant == "published")
    return refit(db, one)[0]


@replication(
    *(
        Figure(
            key=f"stored.{name}",
            statement=f"Law of parameters, vocabulary and characters: {claim}",
            place=_RELEASE,
            stated=value,
            tolerance=(0.03 if name in {"A2", "a2"} else 0.005) * value,
            why=(
                "3 %: A2 and alpha2 trade off, and their own 95 % intervals are wider than their values"
                if name in {"A2", "a2"}
                else "0.5 %: the stored search stops where the objective is a hundred-thousandth above its minimum"
            ),
            origin="release",
            claim_id=f"2407.13623/{claim}",
            choice=_SLIP,
        )
        for name, (claim, value, _, _) in _STORED.items()
    ),
    *(
        Figure(
            key=f"optimum.{name}",
            statement=f"The same law at the optimum: {claim}",
            place=_EARLIER,
            stated=value,
            tolerance=tolerance,
            why=_DIGIT,
            origin="own",
        )
        for name, (claim, _, value, tolerance) in _STORED.items()
    ),
    Figure(
        key="objective_stored",
        statement="Objective (sum of Huber losses, delta 1e-3) of the stored parameters",
        place=_RELEASE,
        stated=0.0623,
        tolerance=5e-5,
        why=_DIGIT,
        origin="release",
        claim_id="2407.13623/objective",
    ),
    Figure(
        key="objective",
        statement="Objective at the optimum",
        place=_EARLIER,
        stated=0.06229,
        tolerance=5e-6,
        why=_DIGIT,
        origin="own",
    ),
    Figure(
        key="r2",
        statement="R2 of the law on the 1,054 rows",
        place=_EARLIER,
        stated=0.9715,
        tolerance=5e-5,
        why=_DIGIT,
        origin="own",
    ),
    Figure(
        key="rows",
        statement="Rows with at least 2.18e17 FLOP, which are fitted",
        place=_EARLIER,
        stated=1054,
        unit="count",
        tolerance=0,
        why="a count is exact",
        origin="own",
    ),
)
def law(db: Warehouse) -> dict[str, float]:
    """Six parameters, the first exponent tied to the last."""
    found = _law(db)
    rows = found.augment()
    y, predicted = rows["loss"].to_numpy(), rows["prediction"].to_numpy()
    ours = {f"stored.{name}": found.params[name] for name in _STORED}
    return (
        ours
        | {f"optimum.{name}": found.params[name] for name in _STORED}
        | {
            "objective_stored": found.objective_at("published"),
            "objective": found.objective,
            "r2": float(1 - np.sum((y - predicted) ** 2) / np.sum((y - y.mean()) ** 2)),
            "rows": rows.height,
        }
    )


_TOKENS = (0.00639222, -0.15811069, 1.20470122)
"""Tokens a character: the authors' quadratic in ln V."""
_BODIES = {33e6: 512, 85e6: 768, 151e6: 768, 302e6: 1024, 631e6: 1536, 1130e6: 2048, 2870e6: 3200}
"""Parameters outside the vocabulary and width of the models at which the derivative is taken, as the "
"authors list them."""
_WIDTHS = {5e7: 512, 2e8: 768, 5e8: 1024, 1e9: 1536, 2e9: 2048}
"""Width that the authors give a model of up to so many parameters outside the vocabulary."""
_LLAMA2 = (70e9, 8192, 32_000)
"""Llama 2 70B: parameters outside the vocabulary as the authors count them, width, vocabulary."""
_SMALLEST_BUDGET = 2.7e17
"""FLOP at which the authors anchor the derivative on the smallest model."""


def _tokens(vocabulary: Any) -> Any:
    return np.polyval(_TOKENS, np.log(vocabulary))


def _cheapest(n: float, width: float) -> float:
    """Vocabulary at which the compute for a given text is least: more entries make fewer tokens, of more FLOP."""
    from scipy.optimize import minimize_scalar

    def cost(log_v: float) -> float:
        return float((n + width * np.exp(log_v)) * _tokens(np.exp(log_v)))

    found = minimize_scalar(cost, bounds=(np.log(1e3), np.log(2e5)), method="bounded", options={"xatol": 1e-9})
    return float(np.exp(found.x))


def _exponent() -> float:
    """Growth of the best vocabulary's parameters with the others', on a line through the smallest model."""
    sizes = np.array(list(_BODIES))
    best = np.array([_cheapest(n, width) * width for n, width in _BODIES.items()])
    x, y = np.log(sizes[1:] / sizes[0]), np.log(best[1:] / best[0])
    return _least(lambda slope: slope * x - y, 0.0, 1.0)


def _least(residual: Callable[[float], np.ndarray[Any, Any]], low: float, high: float) -> float:
    """Where the sum of Huber losses (delta 1e-3) of residuals is least."""
    from scipy.optimize import minimize_scalar
    from scipy.special import huber

    found = minimize_scalar(lambda at: float(huber(1e-3, residual(at)).sum()), bounds=(low, high), method="bounded")
    return float(found.x)


def _checkpoints(db: Warehouse) -> pl.DataFrame:
    return db.sql("""
        select r.run_id, c.step, r.n_params_non_embedding as n, r.vocab_size as v, r.d_model as width,
            e.n_chars as chars, 6 * (n + v * width) * c.n_tokens as flops, c.loss
        from curves c join runs r using (run_id) join evals e on e.run_id = c.run_id and e.step = c.step
        where c.source_id = 'vocab_scaling' order by n, v, c.step
    """)


def _spread(values: pl.Series, count: int) -> np.ndarray[Any, Any]:
    """Equal steps in logarithms from the least to the largest value, both exactly."""
    known = values.to_numpy()
    return np.geomspace(known.min(), known.max(), count)


def _between(rows: pl.DataFrame) -> pl.DataFrame:
    """Losses between the measured ones, interpolated as the authors do: along sizes and text, then vocabularies."""
    from scipy.interpolate import griddata, interp1d

    grid = [_spread(rows[name], 50) for name in ("n", "chars")]
    parts = []
    for (v,), part in rows.group_by("v", maintain_order=True):
        loss = griddata(part.select("n", "chars").to_numpy(), part["loss"].to_numpy(), np.column_stack(grid), "cubic")
        parts.append(pl.DataFrame({"n": grid[0], "chars": grid[1], "v": v, "loss": loss}))
    entries = _spread(rows["v"], 20)
    last = rows.filter(pl.col("step") == pl.col("step").max())
    for (n,), part in last.group_by("n", maintain_order=True):
        loss = interp1d(part["v"], part["loss"], kind="quadratic")(entries)
        tokens = float((part["chars"] * _tokens(part["v"].to_numpy())).mean())
        parts.append(pl.DataFrame({"n": n, "chars": tokens / _tokens(entries), "v": entries, "loss": loss}))
    made = pl.concat(parts).filter(pl.col("loss").is_not_nan())
    width = np.array(list(_WIDTHS.values()), dtype=float)[np.searchsorted(list(_WIDTHS), made["n"].to_numpy())]
    return made.with_columns(width=pl.Series(width)).with_columns(
        flops=6
        * (pl.col("n") + pl.col("v") * pl.col("width"))
        * pl.col("chars")
        * pl.Series(_tokens(made["v"].to_numpy()))
    )


def _best_by_compute(rows: pl.DataFrame) -> pl.DataFrame:
    """Points that no cheaper one beats."""
    columns = ["n", "v", "width", "flops", "loss"]
    every = pl.concat([rows.select(columns), _between(rows).select(columns)]).sort("flops", maintain_order=True)
    before = pl.col("loss").cum_min().shift(1).fill_null(float("inf"))
    return every.filter(pl.col("loss") < before).with_columns(nv=pl.col("v") * pl.col("width"))


def _line(x: pl.Series, y: pl.Series) -> tuple[float, float]:
    slope, intercept = np.polyfit(np.log(x.to_numpy()), np.log(y.to_numpy()), 1)
    return float(slope), float(intercept)


_AGREE = (
    "the largest of the three over the smallest; 20 % is below the step between the ten vocabularies that were tried"
)


@replication(
    Figure(
        key="exponent",
        statement="Exponent of the best vocabulary's parameters in the others, by the derivative of compute",
        place="release, output of approach2_derivative.py",
        stated=0.8354,
        tolerance=5e-5,
        why=_DIGIT,
        origin="release",
        claim_id="2407.13623/optimal_vocabulary_parameters_exponent",
    ),
    Figure(
        key="headline",
        statement="Vocabulary parameters grow as the 0.83rd power of the others",
        place="arXiv 2407.13623",
        stated=0.83,
        tolerance=0.01,
        why="the paper's two estimates, 0.833 and 0.835, are rounded to 0.83 and 0.84",
    ),
    Figure(
        key="iso_flop_exponent",
        statement="The same exponent from the lowest loss at every budget, N growing with the square root of compute",
        place="release, comment of approach2_derivative.py",
        stated=0.833,
        tolerance=2e-3,
        why=(
            "the stored 0.4165 is one of 400 ends of a search; a least-squares line needs no search, and "
            "differs by 0.0005"
        ),
        origin="release",
        choice="Least squares of logarithms on the frontier of measured and interpolated losses.",
    ),
    Figure(
        key="grows",
        statement=(
            "The compute-optimal vocabulary grows with budget: exponent of the vocabulary on the frontier of losses"
        ),
        place="arXiv 2407.13623, abstract",
        low=0.05,
        why="clearly above zero: 0.05 is a doubling of the vocabulary over six decades of compute",
        claim_id="2407.13623/1",
    ),
    Figure(
        key="llama2",
        statement="Best vocabulary for Llama 2 70B by the fitted law",
        place="arXiv 2407.13623, abstract: at least 216K",
        low=215_500,
        unit="entries",
        why="at least 216K, to the last digit stated",
        claim_id="2407.13623/2",
        choice="Approach 3 with the stored parameters, at the compute of the frontier for 70B.",
    ),
    Figure(
        key="ratio",
        statement="Best vocabulary for Llama 2 70B over the 32K used",
        place="arXiv 2407.13623, abstract",
        stated=7,
        unit="ratio",
        tolerance=0.5,
        why=_DIGIT,
        claim_id="2407.13623/3",
    ),
    Figure(
        key="agreement",
        statement="Three methods (lowest loss, derivative, fitted law) agree on the best vocabulary for Llama 2 70B",
        place="arXiv 2407.13623, abstract",
        high=1.2,
        unit="ratio",
        why=_AGREE,
        claim_id="2407.13623/4",
    ),
)
def best_vocabulary(db: Warehouse) -> dict[str, float]:
    """The best vocabulary from the frontier of losses, from the derivative of compute, and from the fitted law."""
    from scipy.interpolate import interp1d
    from scipy.optimize import minimize_scalar

    rows = _checkpoints(db)
    front = _best_by_compute(rows)
    n, width, used = _LLAMA2
    slope, intercept = _line(front["flops"], front["nv"])
    levels = np.log(front["n"].to_numpy()) - 0.5 * np.log(front["flops"].to_numpy())
    level = _least(lambda at: at - levels, float(levels.min()), float(levels.max()))
    budget = (n / np.exp(level)) ** 2
    by_frontier = np.exp(intercept) * budget**slope / width

    small = rows.filter(pl.col("n") == pl.col("n").min())
    at_budget = {
        v: float(interp1d(part["flops"], part["loss"], kind="quadratic", fill_value="extrapolate")(_SMALLEST_BUDGET))
        for (v,), part in small.group_by("v")
    }
    exponent = _exponent()
    anchor = min(at_budget, key=lambda v: at_budget[v]) * small["width"][0]
    by_derivative = anchor * (n / next(iter(_BODIES))) ** exponent / width

    vocab = get_law("vocab_loss")
    stored = vocab.coefficients("published")

    def loss(log_v: float) -> float:
        nv = np.exp(log_v) * width
        # the authors' D: characters times a fraction of a token that their V in thousands gives
        return float(vocab.function(n, nv, budget / (6 * (n + nv)), **stored))

    by_law = np.exp(
        minimize_scalar(loss, bounds=(np.log(4e3), np.log(4e6)), method="bounded", options={"xatol": 1e-9}).x
    )
    three = [by_frontier, by_derivative, by_law]
    return {
        "exponent": exponent,
        "headline": exponent,
        "iso_flop_exponent": slope / 0.5,
        "grows": _line(front["flops"], front["v"])[0],
        "llama2": float(by_law),
        "ratio": float(by_law) / used,
        "agreement": float(max(three) / min(three)),
    }
