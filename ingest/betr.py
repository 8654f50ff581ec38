"""Data matched to target tasks: laws of ten tasks under four filters (arXiv 2507.12466). Coefficients only, no runs.

The coefficients stand in ``betr_coefficients.csv`` and the compute multipliers in ``betr_multipliers.csv`` beside
this module: tables 12, 13 and 5 of the paper, transcribed.
"""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl

from ingest._long import slug
from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, arxiv_entry, conform

COEFFICIENTS = Path(__file__).with_name("betr_coefficients.csv")
MULTIPLIERS = Path(__file__).with_name("betr_multipliers.csv")
TITLE = "Language Models Improve When Pretraining Data Matches Target Tasks"
AUTHORS = "David Mizrahi, Anders Boesen Lindbo Larsen, Jesse Allardice and others"
ACCURACY = (
    "arXiv 2507.12466, table 13: accuracy = c1 / (1 + exp(-k (L - L0))) + c2 with a negative k, converted to the "
    "library's a = -c1, b = c1 + c2 and a positive k"
)
LOSS = "arXiv 2507.12466, table 12: exp of the printed a, b and e"


def _sets() -> tuple[PublishedFit, ...]:
    """One set per filter, task and law."""
    rows = pl.read_csv(COEFFICIENTS, schema_overrides=dict.fromkeys(("value", "low", "high"), pl.Float64))
    sets = []
    for (law, recipe, task), part in rows.group_by("law", "recipe", "task", maintain_order=True):
        printed = {name: (value, low, high) for name, value, low, high in part[:, 3:].iter_rows()}
        params, intervals = (_loss if law == "chinchilla_a3" else _accuracy)(printed)
        variant = f"betr_{recipe.removeprefix('betr_')}_{task}"
        is_loss = law == "chinchilla_a3"
        unit = ("nats_per_token" if task == "val_loss" else "bits_per_byte") if is_loss else "fraction"
        sets.append(
            PublishedFit(
                law=LAWS[str(law)],
                variant=variant,
                params=params,
                where_stated=LOSS if is_loss else ACCURACY,
                evidence="converted",
                output_unit=unit,
                n_definition="n_params" if is_loss else None,
                intervals={name: (low, high) for name, (low, high) in intervals.items() if low < params[name] < high},
            )
        )
    return tuple(sets)


LAWS = {"chinchilla_a3": "chinchilla", "task_two_step": "task_accuracy"}
"""Names of the forms in the transcription: those of the library."""

Printed = dict[str, tuple[float, float, float]]
Values = tuple[dict[str, float], dict[str, tuple[float, float]]]


def _loss(printed: Printed) -> Values:
    """E, A and B are printed as logarithms."""
    logs = {"E": "e", "A": "a", "B": "b"}
    params = {name: math.exp(printed[key][0]) for name, key in logs.items()}
    intervals = {name: (math.exp(printed[key][1]), math.exp(printed[key][2])) for name, key in logs.items()}
    for name in ("alpha", "beta"):
        params[name] = printed[name][0]
        intervals[name] = printed[name][1:]
    return params, intervals


def _accuracy(printed: Printed) -> Values:
    """A falling logistic curve, written with a positive steepness."""
    params = {
        "a": -printed["c1"][0],
        "k": -printed["k"][0],
        "L0": printed["L0"][0],
        "b": printed["c1"][0] + printed["c2"][0],
    }
    intervals = {
        "a": (-printed["c1"][2], -printed["c1"][1]),
        "k": (-printed["k"][2], -printed["k"][1]),
        "L0": printed["L0"][1:],
    }
    return params, intervals


SOURCE = Source(
    source_id="betr",
    title=TITLE,
    authors=AUTHORS,
    year=2025,
    arxiv_id="2507.12466",
    licence="none stated",
    redistribution="printed coefficients: facts, shipped with citation",
    notes=(
        "No runs are held. Law chinchilla: the loss of the gold answer of ten tasks in bits per byte, and the "
        "validation loss in nats, with four filters of Nemotron-CC (none, and the 3, 10 or 30 % nearest to the target "
        "tasks); law task_accuracy: the accuracy from that loss. N counts all parameters, tokens are raw. Some sets "
        "sit on bounds: E is zero for SciQ without a filter, c1 is 1 in several, so that a + b exceeds 1 by a little; "
        "bootstrap intervals of WinoGrande are implausibly narrow, and an interval that does not contain its value is "
        "left out. E of TriviaQA is not identified. Multipliers of compute (table 5) are claims. The best share of "
        "data "
        "kept grows with compute, F = 4e-5 C^0.25 percent (Nemotron-CC), also a claim."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2025, "2507.12466"),
    published_fits=_sets(),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """The compute multipliers, and the laws of the best filter."""
    return {"claims": conform("claims", _claims(), "betr")}


def _claims() -> pl.DataFrame:
    multipliers = pl.read_csv(MULTIPLIERS).select(
        claim_id=pl.format("2507.12466/multiplier/{}/{}/{}", "pool", slug(pl.col("method")), slug(pl.col("task"))),
        claim=pl.format(
            "compute without a filter over compute with {} at equal accuracy, {}, pool {}", "method", "task", "pool"
        ),
        quantity=pl.lit("compute_multiplier"),
        value="multiplier",
        unit=pl.lit("ratio"),
        varies=pl.lit("training compute and data source"),
        where_stated=pl.lit("arXiv 2507.12466, table 5"),
    )
    filters = pl.DataFrame(
        [
            {
                "claim_id": f"2507.12466/optimal_filter/{name}/{what}",
                "claim": f"best share of the data kept, in percent, as a power of {axis}, {label}: {what}",
                "quantity": what,
                "value": value,
                "unit": "percent" if what == "factor" else "unitless",
                "varies": axis,
                "where_stated": place,
            }
            for name, label, axis, place, factor, exponent in (
                ("nemotron_cc", "Nemotron-CC", "training compute", "section 6.2, figure 10", 4e-5, 0.25),
                ("dclm_refinedweb", "DCLM-RefinedWeb", "training compute", "appendix D.4, figure 22", 6e-3, 0.14),
                ("fixed_6p6b", "6.6B parameters", "training tokens", "appendix D.5, figure 24", 0.26, 0.13),
            )
            for what, value in (("factor", factor), ("exponent", exponent))
        ]
    )
    return pl.concat([multipliers, filters], how="diagonal")
