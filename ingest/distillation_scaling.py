"""Distillation: 354 student losses by size, tokens and teacher loss, read off a figure (arXiv 2502.08606)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Source, conform
from scalingdb.errors import DataError, RawFileError

FILE = "all_data.parquet"
N_RUNS, N_SIZES, N_TOKEN_COUNTS, N_REPEATED = 354, 7, 17, 8

SUPERVISED = {"E": 1.220, "A": 3355.0, "alpha": 0.408, "B": 18186.0, "beta": 0.431, "gamma": 0.452}

SOURCE = Source(
    source_id="distillation_scaling",
    title="Distillation Scaling Laws",
    authors="Dan Busbridge, Amitis Shidani, Floris Weers, Jason Ramapuram, Etai Littwin, Russ Webb",
    year=2025,
    arxiv_id="2502.08606",
    repository="PlanarG/active-sl",
    upstream_commit="cf7992d0e78b5411863ecc25fedb07b050e38036",
    licence="none stated for the original data; the repository used here: MIT",
    redistribution="354 points digitised from a published figure: facts, shipped as our own table with citation",
    headline_metric="loss",
    headline_eval_set="unstated",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "Students distilled from teachers whose cross-entropy is teacher_loss; teacher size and teacher tokens are "
        "not given, so that the loss of the teacher stands for both. n_tokens are the distillation tokens. Read off a "
        "vector figure by another project, values rounded to four decimals, sizes and tokens to three digits; from "
        "the history of its repository. Eight rows repeat the student size, tokens and teacher loss of another row "
        "with another loss: distinct runs (or readings), all kept, numbered in run_id. Whether n_params counts "
        "embeddings is not stated. The student law has a capacity gap (a better teacher can make a worse student) and "
        "is not a law of this package; the coefficients of its supervised part, (E + (A / N^alpha + B / D^beta)^gamma) "
        "with the exponent gamma outside the sum, are rows of the table claims, quoted and not checked in the paper. "
        "They cannot be tested on these rows, all of which are distilled."
    ),
    bibtex=(
        "@inproceedings{busbridge2025distillation, title={Distillation Scaling Laws}, author={Busbridge, Dan and "
        "Shidani, Amitis and Weers, Floris and Ramapuram, Jason and Littwin, Etai and Webb, Russ}, "
        "booktitle={International Conference on Machine Learning}, year={2025}, note={arXiv:2502.08606}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per row; the quoted supervised law as claims."""
    rows = _read(raw)
    runs = rows.select(
        "run_id",
        study=pl.lit("distillation_scaling"),
        family=pl.lit("distilled"),
        architecture=pl.lit("decoder"),
        n_params="NS",
        n_tokens="DS",
        teacher_loss="LT",
    )
    evals = rows.select(
        "run_id",
        "raw_row",
        n_tokens="DS",
        metric=pl.lit("loss"),
        eval_set=pl.lit("unstated"),
        split=pl.lit("all"),
        value="LS",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("digitised"),
        raw_file=pl.lit(FILE),
        raw_field=pl.lit("LS"),
    )
    claims = pl.DataFrame({"quantity": list(SUPERVISED), "value": list(SUPERVISED.values())}).select(
        "quantity",
        "value",
        claim_id=pl.concat_str(pl.lit("2502.08606/supervised/"), "quantity"),
        claim=pl.concat_str(
            pl.lit("Supervised loss of a student is E + (A / N^alpha + B / D^beta)^gamma with "),
            "quantity",
            pl.lit(" = "),
            pl.col("value").cast(pl.String),
        ),
        unit=pl.lit("unitless"),
        varies=pl.lit("student size and tokens"),
        where_stated=pl.lit("arXiv 2502.08606, coefficients of the supervised law (as quoted by a later work)"),
    )
    return {
        "runs": conform("runs", runs, "distillation_scaling"),
        "evals": conform("evals", evals, "distillation_scaling"),
        "claims": conform("claims", claims, "distillation_scaling"),
    }


def _read(raw: RawFolder) -> pl.DataFrame:
    try:
        rows = pl.read_parquet(raw.path(FILE))
    except pl.exceptions.PolarsError as error:
        raise RawFileError(f"source 'distillation_scaling', raw file {FILE!r}: not readable: {error}") from error
    cell = ["NS", "DS", "LT"]
    found = (
        rows.height,
        rows["NS"].n_unique(),
        rows["DS"].n_unique(),
        rows.select(cell).is_duplicated().sum(),
        rows.is_duplicated().sum(),
    )
    if found != (N_RUNS, N_SIZES, N_TOKEN_COUNTS, N_REPEATED, 0):
        raise DataError(f"distillation_scaling, {FILE!r}: rows, sizes, token counts, repeats, copies are {found}")
    raw.count(FILE, rows.height)
    rows = rows.with_row_index("raw_row", offset=1).with_columns(pl.col("raw_row").cast(pl.Int64))
    name = pl.format(
        "distillation_scaling/{}M-{}M-teacher{}",
        (pl.col("NS") / 1e6).round().cast(pl.Int64),
        (pl.col("DS") / 1e6).round().cast(pl.Int64),
        "LT",
    )
    number = pl.col("raw_row").rank("ordinal").over(cell).cast(pl.Int64).cast(pl.String)
    return rows.with_columns(
        run_id=pl.when(pl.len().over(cell) > 1).then(pl.concat_str(name, pl.lit("-"), number)).otherwise(name)
    )
