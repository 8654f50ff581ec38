"""Farseer's grid: its law and Chinchilla's form on the same runs, in sample and beyond."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from scalingdb.errors import FitWarning
from scalingdb.evidence.replication._core import Figure, replication, untestable
from scalingdb.fits import Fit, fit
from scalingdb.law_library import get_law

if TYPE_CHECKING:
    from scalingdb.warehouse import Warehouse

_DIGIT = "half a unit of the last digit stated"
_COUNT = "a count is exact"
_PAGE = "arXiv 2506.10972, figures and text as the authors' project page gives them"
_RELEASE = "recomputed from farseer_runs_merged.csv"
_EARLIER = "earlier recomputation from the released files"

_POINTS = {  # parameters, tokens (to three digits): error in percent as printed, and recomputed to three digits
    (2.70e9, 4.31e11): (0.33, 0.329),
    (3.82e9, 4.53e11): (0.65, 0.646),
    (5.35e9, 4.31e11): (0.72, 0.718),
    (6.37e9, 3.04e11): (0.53, 0.532),
    (5.35e9, 2.15e11): (0.26, 0.257),
    (2.51e10, 1.26e11): (0.47, 0.473),
}
_SEVENTH = (2.27e9, 4.31e11)
"""A validation run that is not in the paper's figure."""

_COUNTS = {1.9: 250, 2.3: 264, 2.7: 279, 3.2: 292, 3.8: 305, 4.5: 318, 5.4: 329}
"""Fit points with N up to so many billions (of two digits) and above 0.2 billion."""

_TOKENS_PER_PARAM = {20: 25, 21: 26, 22: 41, 23: 84, 24: 224, 25: 733}


def _name(n: float, d: float) -> str:
    """A run by its parameters and tokens, to three digits."""
    return f"{n / 1e9:.3g}b_{d / 1e9:.3g}b"


def _runs(db: Warehouse) -> pl.DataFrame:
    """Every run, the second copies included: the paper counts them."""
    return db.points("farseer", flagged=True)


def _fitted(runs: pl.DataFrame) -> pl.DataFrame:
    """The rows that the paper fits."""
    return runs.filter((pl.col("split") == "fit") & (pl.col("n_params_non_embedding") > 2e8))


def _published(frame: pl.DataFrame) -> pl.DataFrame:
    """Relative error, in percent and without sign, of the authors' law."""
    law = get_law("farseer")
    n, d = (frame[name].to_numpy() for name in ("n_params_non_embedding", "n_tokens"))
    predicted = np.asarray(law.function(n, d, **law.coefficients("published")))
    return frame.with_columns(error=100 * (pl.Series(predicted) / pl.col("loss") - 1).abs())


def _errors(found: Fit, frame: pl.DataFrame) -> pl.Series:
    """Relative error of a fit, in percent and without sign."""
    predicted = found.predict(frame)["prediction"]
    return 100 * (predicted / frame["loss"] - 1).abs()


def _mean(values: pl.Series) -> float:
    return float(np.mean(values.to_numpy()))


@replication(
    *(
        Figure(
            key=f"error_{_name(n, d)}",
            statement=f"Relative error of Farseer's law for the run of {n:.3g} parameters and {d:.3g} tokens",
            place=f"{_PAGE}: Figure 3",
            stated=printed,
            unit="percent",
            tolerance=5e-3,
            why=_DIGIT,
        )
        for (n, d), (printed, _) in _POINTS.items()
    ),
    *(
        Figure(
            key=f"digits_{_name(n, d)}",
            statement=f"The same error to three digits, run of {n:.3g} parameters and {d:.3g} tokens",
            place=f"{_EARLIER}; {_RELEASE}",
            stated=digits,
            unit="percent",
            tolerance=5e-4,
            why=_DIGIT,
            origin="own",
        )
        for (n, d), (_, digits) in _POINTS.items()
    ),
    Figure(
        key="error_seventh",
        statement="Relative error of Farseer's law for the seventh validation run, 2.27B parameters and 431B tokens",
        place=f"{_EARLIER}; {_RELEASE}",
        stated=0.380,
        unit="percent",
        tolerance=5e-4,
        why=_DIGIT,
        origin="own",
    ),
    Figure(
        key="mean_of_six",
        statement="Mean relative error of Farseer's law over the six extrapolated runs of the figure",
        place=f"{_EARLIER}; {_RELEASE}",
        stated=0.493,
        unit="percent",
        tolerance=5e-4,
        why=_DIGIT,
        origin="own",
    ),
    Figure(
        key="mean_of_seven",
        statement="Mean relative error of Farseer's law over all seven validation runs",
        place=f"{_EARLIER}; {_RELEASE}",
        stated=0.476,
        unit="percent",
        tolerance=5e-4,
        why=_DIGIT,
        origin="own",
    ),
    Figure(
        key="mean_printed",
        statement="Mean extrapolation error of Farseer's law",
        place=_PAGE,
        stated=0.50,
        unit="percent",
        tolerance=5e-3,
        why=_DIGIT,
        unless=(
            "The six errors of the paper's own figure average 0.493 %, all seven validation runs 0.476 %: "
            "both round to "
            "less than 0.50."
        ),
    ),
    Figure(
        key="chinchilla_mean",
        statement="Mean extrapolation error of Chinchilla's form, fitted to the same runs with N > 2e8",
        place=_PAGE,
        stated=2.68,
        unit="percent",
        tolerance=5e-3,
        why=_DIGIT,
        choice=(
            "All seven validation runs (the six of the figure give 2.85 %), Huber loss of log residuals, delta 1e-3."
        ),
    ),
    Figure(
        key="reduction",
        statement="Chinchilla's mean extrapolation error over Farseer's, minus 1",
        place="arXiv 2506.10972, abstract",
        stated=433,
        unit="percent",
        tolerance=0.5,
        why=_DIGIT,
        claim_id="2506.10972/1",
        unless=(
            "433 % follows from 2.68 and 0.503. The released runs give 463 % over all seven validation "
            "runs and 478 % over "
            "the six of the figure: the gain is larger than stated, because the printed mean of 0.50 is too high."
        ),
    ),
    Figure(
        key="gain_in_range",
        statement="Mean relative error in sample of Chinchilla's form over that of Farseer's law, minus 1",
        place=_PAGE,
        stated=232,
        unit="percent",
        tolerance=5.0,
        why=(
            "both means are of about two digits (0.58 and 0.176 %): a unit of the third digit of the second moves the "
            "ratio by 2 points, and the authors' Chinchilla fit is not released"
        ),
    ),
    Figure(
        key="farseer_in_range",
        statement="Mean relative error of Farseer's law on the 341 runs that it was fitted to",
        place=f"{_EARLIER}; {_RELEASE}",
        stated=0.176,
        unit="percent",
        tolerance=5e-4,
        why=_DIGIT,
        origin="own",
    ),
    Figure(
        key="own_fit_in_range",
        statement="Farseer's form fits clearly better than Chinchilla's: ratio of the mean errors on the 341 runs",
        place="arXiv 2506.10972, abstract",
        low=2.0,
        unit="ratio",
        why="clearly better: at most half the error, with both forms at the optimum of our engine",
        claim_id="2506.10972/2",
    ),
)
def errors(db: Warehouse) -> dict[str, float]:
    """Errors of the authors' coefficients, and of Chinchilla's form fitted to the same rows."""
    runs = _runs(db)
    beyond = _published(runs.filter(split="validation"))
    within = _fitted(runs)
    of_run = {
        _name(n, d): error for n, d, error in beyond.select("n_params_non_embedding", "n_tokens", "error").iter_rows()
    }
    six = [of_run[_name(n, d)] for n, d in _POINTS]
    chinchilla = fit(within, "chinchilla")
    theirs = _mean(_errors(chinchilla, beyond))
    in_range = _mean(_errors(chinchilla, within))
    ours = _mean(_published(within)["error"])
    own = _mean(_errors(fit(within, "farseer", objective="mse_log"), within))
    found = {f"error_{_name(n, d)}": of_run[_name(n, d)] for n, d in _POINTS}
    found |= {f"digits_{_name(n, d)}": of_run[_name(n, d)] for n, d in _POINTS}
    return found | {
        "error_seventh": of_run[_name(*_SEVENTH)],
        "mean_of_six": float(np.mean(six)),
        "mean_of_seven": _mean(beyond["error"]),
        "mean_printed": float(np.mean(six)),
        "chinchilla_mean": theirs,
        "reduction": 100 * (theirs / _mean(beyond["error"]) - 1),
        "gain_in_range": 100 * (in_range / ours - 1),
        "farseer_in_range": ours,
        "own_fit_in_range": in_range / own,
    }


_FITS = {  # rows, delta: A, B, E, alpha, beta, mean error on the validation runs in percent
    ("above_2e8", 1e-3): (37.749, 117.752, 0.36835, 0.2961, 0.3027, 2.682),
    ("all", 1e-3): (28.747, 138.280, 0.36867, 0.2805, 0.3117, 2.988),
    ("above_2e8", 1e-2): (None, None, None, None, None, 2.58),
    ("all", 1e-2): (None, None, None, None, None, 2.90),
}
_PARAMS = ("A", "B", "E", "alpha", "beta", "error")
_TOLERANCES = {"A": 5e-4, "B": 5e-4, "E": 5e-6, "alpha": 5e-5, "beta": 5e-5}


@replication(
    *(
        Figure(
            key=f"{rows}_{delta:g}.{name}",
            statement=(
                f"Chinchilla's form, Huber loss of log residuals with delta {delta:g}, on "
                f"{'the 341 runs with N > 2e8' if rows == 'above_2e8' else 'all 404 runs'}: "
                f"{'mean error on the seven validation runs' if name == 'error' else name}"
            ),
            place=f"{_EARLIER}; {_RELEASE}",
            stated=value,
            unit="percent" if name == "error" else "dimensionless",
            tolerance=_TOLERANCES.get(name, 5e-4 if delta == 1e-3 else 5e-3),
            why=_DIGIT,
            origin="own",
        )
        for (rows, delta), values in _FITS.items()
        for name, value in zip(_PARAMS, values, strict=True)
        if value is not None
    ),
    Figure(
        key="in_sample",
        statement="Mean relative error of Chinchilla's form on the 341 runs that it was fitted to",
        place=f"{_EARLIER}; {_RELEASE}",
        stated=0.580,
        unit="percent",
        tolerance=5e-4,
        why=_DIGIT,
        origin="own",
    ),
)
def chinchilla(db: Warehouse) -> dict[str, float]:
    """Chinchilla's form on bits per character, on the paper's rows and on all."""
    runs = _runs(db)
    beyond = runs.filter(split="validation")
    selections = {"above_2e8": _fitted(runs), "all": runs.filter(split="fit")}
    found: dict[str, float] = {}
    for (rows, delta), values in _FITS.items():
        one = fit(selections[rows], "chinchilla", delta=delta)
        ours = {**one.params, "error": _mean(_errors(one, beyond))}
        for name, value in zip(_PARAMS, values, strict=True):
            if value is not None:
                found[f"{rows}_{delta:g}.{name}"] = ours[name]
        if (rows, delta) == ("above_2e8", 1e-3):
            found["in_sample"] = _mean(_errors(one, selections[rows]))
    return found


@replication(
    *(
        Figure(
            key=name,
            statement=f"Chinchilla's form on the training loss, N with embeddings, all 404 runs: {name}",
            place="others' refit of the same table, quoted in its description",
            stated=value,
            tolerance=tolerance,
            why=_DIGIT,
            origin="own",
        )
        for name, value, tolerance in (("alpha", 0.376, 5e-4), ("beta", 0.251, 5e-4), ("a", 0.40, 5e-3))
    ),
    *(
        Figure(
            key=f"{name}_digits",
            statement=f"The same {name} with one more digit",
            place=f"{_EARLIER}; {_RELEASE}",
            stated=value,
            tolerance=tolerance,
            why=_DIGIT,
            origin="own",
            unless=unless,
        )
        for name, value, tolerance, unless in (
            (
                "alpha",
                0.3762,
                5e-5,
                "Ours is 0.3763: the earlier fit ended one unit of the last digit before the optimum.",
            ),
            (
                "beta",
                0.2507,
                5e-5,
                "Ours is 0.2508: the earlier fit ended one unit of the last digit before the optimum.",
            ),
            ("a", 0.400, 5e-4, ""),
        )
    ),
)
def training_loss(db: Warehouse) -> dict[str, float]:
    """Another loss and another count of N: other exponents. a = beta / (alpha + beta), the share of N."""
    rows = db.sql("""
        select run_id, n_params, n_tokens, loss from points
        where source_id = 'farseer' and metric = 'train_loss' and split = 'fit'
    """)
    found = fit(rows, "chinchilla").params
    ours = {"alpha": found["alpha"], "beta": found["beta"], "a": found["beta"] / (found["alpha"] + found["beta"])}
    return ours | {f"{name}_digits": value for name, value in ours.items()}


@replication(
    *(
        Figure(
            key=f"up_to_{size:g}b",
            statement=f"Fit points with N up to {size:g}B and above 0.2B, copies counted",
            place=f"{_PAGE}: Figure 2a",
            stated=count,
            unit="count",
            tolerance=0,
            why=_COUNT,
        )
        for size, count in _COUNTS.items()
    ),
    *(
        Figure(
            key=key,
            statement=statement,
            place=f"{_EARLIER}; {_RELEASE}",
            stated=value,
            unit=unit,
            tolerance=tolerance,
            why=_COUNT if tolerance == 0 else _DIGIT,
            origin="own",
        )
        for key, statement, value, unit, tolerance in (
            ("rows", "Rows of the table", 411, "count", 0),
            ("distinct", "Distinct pairs of N and D", 407, "count", 0),
            ("fit_rows", "Rows that the law is fitted to, of all sizes", 404, "count", 0),
            ("fit_rows_above", "Rows with N > 2e8 that the paper fits", 341, "count", 0),
            ("sizes", "Sizes of the fitted grid", 25, "count", 0),
            ("rate_low", "Smallest learning rate over that of the Step Law", 0.987, "ratio", 5e-4),
            ("rate_high", "Largest learning rate over that of the Step Law", 1.026, "ratio", 5e-4),
            ("batch_low", "Smallest batch over that of the Step Law", 0.91, "ratio", 5e-3),
            ("batch_high", "Largest batch over that of the Step Law", 1.11, "ratio", 5e-3),
            ("flops", "Largest difference of train_flops from flops_per_token x D", 0.4, "percent", 0.05),
        )
    ),
)
def grid(db: Warehouse) -> dict[str, float]:
    """What the grid holds, and that rate and batch follow the Step Law."""
    runs = _runs(db)
    sizes = _fitted(runs)["n_params_non_embedding"].round_sig_figs(2)
    details = db.sql("select * from runs where source_id = 'farseer'")
    n, d = (details[name].to_numpy() for name in ("n_params_non_embedding", "n_tokens"))
    step, batch = get_law("step_law"), get_law("step_law_batch")
    rates = details["learning_rate"].to_numpy() / step.function(n, d, **step.coefficients("published"))
    batches = details["batch_size_tokens"].to_numpy() / batch.function(d, **batch.coefficients("published"))
    cost = details["train_flops"].to_numpy() / (details["flops_per_token"].to_numpy() * d)
    fitted = runs.filter(split="fit")
    return {f"up_to_{size:g}b": int((sizes <= size * 1e9 * (1 + 1e-9)).sum()) for size in _COUNTS} | {
        "rows": runs.height,
        "distinct": runs.n_unique(["n_params_non_embedding", "n_tokens"]),
        "fit_rows": fitted.height,
        "fit_rows_above": _fitted(runs).height,
        "sizes": fitted["n_params_non_embedding"].n_unique(),
        "rate_low": float(rates.min()),
        "rate_high": float(rates.max()),
        "batch_low": float(batches.min()),
        "batch_high": float(batches.max()),
        "flops": 100 * float(np.abs(cost - 1).max()),
    }


@replication(
    *(
        Figure(
            key=f"tokens_per_param_1e{power}",
            statement=f"Tokens per parameter of least loss at 1e{power} FLOP (C = 6 N D) by Farseer's law",
            place=f"{_EARLIER}: from the authors' coefficients",
            stated=value,
            unit="ratio",
            tolerance=0.5,
            why=_DIGIT,
            origin="own",
            unless=(
                "The minimum lies at 731.7, checked with forty digits; the earlier figure came from a "
                "coarser search. It "
                "extrapolates 500 times beyond the largest run in any case."
                if power == 25
                else ""
            ),
        )
        for power, value in _TOKENS_PER_PARAM.items()
    ),
    Figure(
        key="growth",
        statement=(
            "Optimal tokens per parameter grow with compute: smallest ratio of neighbouring decades, 1e20 to 1e25 FLOP"
        ),
        place=f"{_EARLIER}: from the authors' coefficients",
        low=1.0,
        unit="ratio",
        why="above 1 at every step",
        origin="own",
    ),
)
def optimum(_: Warehouse) -> dict[str, float]:
    """Where the authors' law puts the optimum."""
    ratios = get_law("farseer").optimum([10.0**power for power in _TOKENS_PER_PARAM])["tokens_per_param"].to_list()
    found = {f"tokens_per_param_1e{power}": ratio for power, ratio in zip(_TOKENS_PER_PARAM, ratios, strict=True)}
    return found | {"growth": min(b / a for a, b in itertools.pairwise(ratios))}


_STAGED = (
    "The authors fit in stages (differences along D, then powers of N), and the code of these stages is not released; "
    "all nine parameters at once by squared log errors extrapolate otherwise. That the error falls at "
    "least tenfold holds."
)


@replication(
    Figure(
        key="fit_to_1.9b",
        statement="Mean relative error on the 6.4B runs of Farseer's law fitted to runs up to 1.9B",
        place=f"{_PAGE}: Figure 2a",
        stated=0.6,
        unit="percent",
        tolerance=0.05,
        why=_DIGIT,
        unless=_STAGED,
    ),
    Figure(
        key="fit_to_5.4b",
        statement="Mean relative error on the 6.4B runs of Farseer's law fitted to runs up to 5.4B",
        place=f"{_PAGE}: Figure 2a",
        stated=0.058,
        unit="percent",
        tolerance=5e-4,
        why=_DIGIT,
        unless=_STAGED,
    ),
    Figure(
        key="fall",
        statement="Error on the 6.4B runs of the fit up to 1.9B over that of the fit up to 5.4B",
        place=f"{_PAGE}: Figure 2a",
        low=10.0,
        unit="ratio",
        why="the printed errors, 0.6 and 0.058 %, are a factor of ten apart",
    ),
)
def growing_fits(db: Warehouse) -> dict[str, float]:
    """The same law from more and larger runs, on the largest size of the grid."""
    within = _fitted(_runs(db))
    sizes = within["n_params_non_embedding"].round_sig_figs(2)
    largest = within.filter(sizes == 6.4e9)
    found = {}
    for size in (1.9, 5.4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FitWarning)  # so few sizes leave exponents of powers weakly known
            one = fit(within.filter(sizes <= size * 1e9 * (1 + 1e-9)), "farseer", objective="mse_log")
        found[f"fit_to_{size:g}b"] = _mean(_errors(one, largest))
    return found | {"fall": found["fit_to_1.9b"] / found["fit_to_5.4b"]}


other_law = untestable(
    "farseer.other_law",
    *(
        Figure(
            key=key,
            statement=statement,
            place="arXiv 2608.07222, as quoted with the table",
            stated=value,
            unit=unit,
            tolerance=tolerance,
            why=_DIGIT,
        )
        for key, statement, value, unit, tolerance in (
            ("chinchilla_n", "MAPE of Chinchilla's form extrapolated to larger N", 1.48, "percent", 5e-3),
            ("coupled_n", "MAPE of the paper's coupled law extrapolated to larger N", 0.47, "percent", 5e-3),
            ("chinchilla_d", "MAPE of Chinchilla's form extrapolated to larger D", 1.98, "percent", 5e-3),
            ("coupled_d", "MAPE of the paper's coupled law extrapolated to larger D", 0.88, "percent", 5e-3),
            ("chinchilla_r2", "R2 of Chinchilla's form, interpolated", 0.995, "fraction", 5e-4),
        )
    ),
    because=(
        "The paper's hold-outs by N and by D, its objective and which of the two losses it fits are not in the "
        "warehouse. They would be needed: its figures change with the cut."
    ),
)
