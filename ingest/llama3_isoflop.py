"""The IsoFLOP points of the Llama 3 report, read off the vector graphic of its Figure 2 (arXiv 2407.21783)."""

from __future__ import annotations

import polars as pl

from ingest._model_ids import llama3_point
from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform
from scalingdb.errors import DataError

FILE = "isoflops_points.csv"
N_POINTS = 133
POINTS = {
    6e18: 16,
    1e19: 17,
    3e19: 16,
    6e19: 16,
    1e20: 18,
    3e20: 14,
    6e20: 12,
    1e21: 12,
    3e21: 6,
    1e22: 6,
}
"""Points of each compute budget."""

CLAIMS = (
    ("allocation_exponent", "tokens_exponent", 0.53, "unitless", "exponent a in D_opt(C) = A C^a", "section 3.2.1"),
    ("allocation_factor", "tokens_factor", 0.29, "tokens", "factor A in D_opt(C) = A C^a", "section 3.2.1"),
    (
        "optimal_parameters",
        "optimal_parameters",
        402e9,
        "parameters",
        "compute-optimal size at 3.8e25 FLOP",
        "section 3.2.1",
    ),
    ("optimal_tokens", "optimal_tokens", 16.55e12, "tokens", "compute-optimal tokens at 3.8e25 FLOP", "section 3.2.1"),
)

SOURCE = Source(
    source_id="llama3_isoflop",
    title="The Llama 3 Herd of Models",
    authors="Llama Team, AI at Meta",
    year=2024,
    arxiv_id="2407.21783",
    repository="eric-czech/llama3_isoflop_extraction",
    upstream_commit="1bc1755b76e6ee55a911549c8ec52b71cb480320",
    licence="none stated",
    redistribution="133 points digitised from a published figure: facts, shipped as our own table with citation",
    headline_metric="loss",
    notes=(
        "Points of Figure 2 at ten compute budgets, extracted from the vector graphic: training tokens and validation "
        "loss. The loss (0.69 to 0.93) is a normalised negative log-likelihood, not nats per token of an ordinary "
        "corpus; the report does not state the constant, so the unit is nats_rescaled and the value compares with no "
        "other source. Parameters are not given: n_params is null, C / (6 D) is an assumption. Each budget has its "
        "own learning-rate and batch settings, of which nothing is released. The same points stand in "
        "open_athena_isoflops, flagged there; this extraction is the first-hand one (it keeps the coordinates on the "
        "page). Recomputed from the minima of parabolas in log10 tokens: D_opt = 0.299 C^0.537, which puts 16.1T "
        "tokens and 393B parameters at 3.8e25 FLOP; the report states 0.29 and 0.53 (rounded), 16.55T and 402B. The "
        "published figures agree with a second reading of the report, which plots 0.299 and 0.537 in Figure 3. Law "
        "chinchilla_a2: optimal tokens grow as C^b; a, the exponent of parameters, is 1 - b, for C = 6 N D."
    ),
    bibtex=(
        "@article{llama2024herd, title={The {Llama} 3 Herd of Models}, author={{Llama Team, AI at Meta}}, "
        "journal={arXiv preprint arXiv:2407.21783}, year={2024}}"
    ),
    published_fits=(
        PublishedFit(
            law="chinchilla_a2",
            variant="llama3",
            params={"a": 0.463, "b": 0.537},
            where_stated=(
                "arXiv 2407.21783, Figure 3 (b; the text rounds it to 0.53), as a second reading of the report gives "
                "it; a = 1 - b; recomputed from the points of Figure 2"
            ),
            evidence="second_hand",
            output_unit="unitless",
        ),
        PublishedFit(
            law="llama3_tokens",
            variant="figure",
            params={"A": 0.299, "alpha": 0.537},
            where_stated=(
                "arXiv 2407.21783, Figure 3 (legend), as a second reading of the report gives it; recomputed from the "
                "points of Figure 2"
            ),
            evidence="second_hand",
            output_unit="tokens",
            is_default=True,
        ),
        PublishedFit(
            law="llama3_tokens",
            variant="text",
            params={"A": 0.29, "alpha": 0.53},
            where_stated=(
                "arXiv 2407.21783, section 3.2.1, as a second reading of the report gives it: two digits, which move "
                "the tokens at 3.8e25 FLOP by a third"
            ),
            evidence="second_hand",
            output_unit="tokens",
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per point; the published allocation rule as claims."""
    points = raw.csv(
        FILE, dict.fromkeys(("compute_budget", "training_tokens", "validation_loss"), pl.Float64), rows=N_POINTS
    )
    counts = dict(points.group_by("compute_budget").len().rows())
    if counts != POINTS or points.select("compute_budget", "training_tokens").is_duplicated().any():
        raise DataError(f"llama3_isoflop, {FILE!r}: points of the budgets are {counts}, expected {POINTS}")
    points = points.with_columns(run_id=pl.format("llama3_isoflop/{}", pl.col("raw_row").cast(pl.String).str.zfill(3)))
    runs = points.select(
        "run_id",
        study=pl.lit("llama3_isoflop"),
        family=pl.lit("llama_3"),
        architecture=pl.lit("decoder"),
        n_tokens="training_tokens",
        train_flops="compute_budget",
        corpus=pl.lit("Llama 3 pre-training mix"),
        model_id=llama3_point(pl.col("compute_budget"), pl.col("validation_loss")),
    )
    evals = points.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_tokens="training_tokens",
        metric=pl.lit("loss"),
        eval_set=pl.lit("unstated"),
        split=pl.lit("fit"),
        value="validation_loss",
        unit=pl.lit("nats_rescaled"),
        value_origin=pl.lit("digitised"),
        raw_field=pl.lit("validation_loss"),
    )
    claims = pl.DataFrame(
        [
            {
                "claim_id": f"2407.21783/{slug}",
                "claim": text,
                "quantity": quantity,
                "value": value,
                "unit": unit,
                "varies": "compute budget",
                "where_stated": f"arXiv 2407.21783, {place}",
                "test_source": "llama3_isoflop",
            }
            for slug, quantity, value, unit, text, place in CLAIMS
        ]
    )
    return {
        "runs": conform("runs", runs, "llama3_isoflop"),
        "evals": conform("evals", evals, "llama3_isoflop"),
        "claims": conform("claims", claims, "llama3_isoflop"),
    }
