"""Accuracy of o1-mini on AIME 2024 against the tokens it may think with (2024)."""

from __future__ import annotations

import json

import polars as pl

from ingest._long import require
from ingest._raw import RawFolder
from ingest._source import Source, conform

FILES = {"results_log_just_ask_nicely.json": ("ask", 8), "results_log_majority_vote.json": ("vote", 11)}
"""File: condition, number of points."""
N_ITEMS, N_COPIES = 30, 8

SOURCE = Source(
    source_id="o1_inference",
    title="O1 test-time compute scaling laws: a reconstruction with o1-mini on AIME 2024",
    authors="Hugh Zhang",
    year=2024,
    repository="hughbzhang/o1_inference_scaling_laws",
    upstream_commit="4cf12c6799b4a6e22a9c36ae219af9026a13a897",
    licence="none stated",
    redistribution="19 points as our own table of facts with citation",
    not_upstream=tuple(FILES),
    headline_metric="acc",
    notes=(
        "One model, o1-mini through its API (no published size, so n_definition is null), on the 30 problems of AIME "
        "2024. An eval set is 'aime_2024:<condition>:<token limit>': the limit is what the prompt asked for, metric "
        "tokens_used what was billed on average for a problem, several times the limit. One problem is 3.3 "
        "points, so that steps of this size mean nothing. Condition 'vote' is a majority vote over samples; below a "
        "limit of 4,096 its eight points equal those of condition 'ask' and are flagged exact_duplicate. Accuracy is "
        "0.70 at 88,448 tokens, the last point."
    ),
    bibtex=(
        "@misc{zhang2024o1, title={O1 test-time compute scaling laws}, author={Zhang, Hugh}, year={2024}, "
        "howpublished={GitHub repository hughbzhang/o1_inference_scaling_laws}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One model, accuracy and tokens at every limit and condition."""
    parts = []
    for name, (condition, n_points) in FILES.items():
        points = pl.DataFrame(json.loads(raw.text(name)))
        raw.count(name, points.height)
        require(f"o1_inference, {name!r}", points=(points.height, n_points))
        parts.append(
            points.with_row_index("raw_row", offset=1).with_columns(
                pl.col("raw_row").cast(pl.Int64), raw_file=pl.lit(name), condition=pl.lit(condition)
            )
        )
    points = pl.concat(parts)
    copies = ~pl.struct("token_limit", "accuracy", "avg_tokens_used").is_first_distinct()
    points = points.with_columns(is_copy=copies)
    require("o1_inference", copies=(points.filter("is_copy")["condition"].to_list(), ["vote"] * N_COPIES))
    metrics = {"accuracy": ("acc", "fraction"), "avg_tokens_used": ("tokens_used", "count")}
    evals = pl.concat(
        points.select(
            "raw_file",
            "raw_row",
            run_id=pl.lit("o1_inference/o1-mini"),
            metric=pl.lit(metric),
            eval_set=pl.concat_str([pl.lit("aime_2024"), "condition", "token_limit"], separator=":"),
            split=pl.lit("all"),
            n_shots=pl.lit(0),
            value=pl.col(column).cast(pl.Float64),
            unit=pl.lit(unit),
            n_items=pl.lit(float(N_ITEMS)),
            value_origin=pl.lit("reported"),
            flag=pl.when("is_copy").then(pl.lit("exact_duplicate")),
            flag_reason=pl.when("is_copy").then(
                pl.lit("limit, accuracy and tokens equal a point of the file without a vote; counted there")
            ),
            raw_field=pl.lit(column),
        )
        for column, (metric, unit) in metrics.items()
    )
    runs = pl.DataFrame(
        [
            {
                "run_id": "o1_inference/o1-mini",
                "study": "o1_inference",
                "model_name": "o1",
                "family": "o1",
                "is_instruct": True,
            }
        ]
    )
    return {"runs": conform("runs", runs, "o1_inference"), "evals": conform("evals", evals, "o1_inference")}
