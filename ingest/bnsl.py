"""Broken neural scaling laws: 17 points of four-digit addition (arXiv 2210.14891)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform
from scalingdb.errors import DataError

FILE = "_derived/four_digit_addition.csv"
N_POINTS, N_FIT = 17, 14
SPLITS = {"fit": "fit", "extrapolate": "validation"}

SOURCE = Source(
    source_id="bnsl",
    title="Broken Neural Scaling Laws",
    authors="Ethan Caballero, Kshitij Gupta, Irina Rish, David Krueger",
    year=2022,
    arxiv_id="2210.14891",
    repository="ethancaballero/broken_neural_scaling_laws",
    upstream_commit="ffa608f7ca7910b6f6bcbd39915491353ad5d600",
    licence="none stated",
    redistribution="17 published numbers as our own table of facts with citation",
    headline_metric="loss",
    headline_eval_set="four_digit_addition",
    not_upstream=(FILE,),
    notes=(
        "Test cross-entropy of four-digit addition against the number of training examples (160 to 928), the numbers "
        "that stand in the authors' script; the first 14 were used to fit, the last three (split validation) to "
        "extrapolate. The unit is taken to be nats per token; the script does not state it. Model and training are "
        "not described, so runs carry no size. The benchmark tables of the paper are part of source hitchhiker. The "
        "repository stores no coefficients; a refit of one break by least squares on log(y + 1) puts it at 612.6 "
        "examples with an error (RMSLE) of 0.0006 on the fitted points and 0.011 on the last three, but some starts "
        "end elsewhere. That refit is held as law bnsl with one break: y = a + b x^-c0 (1 + (x / d1)^(1 / f1))^(-c1 "
        "f1), x the number of examples."
    ),
    bibtex=(
        "@inproceedings{caballero2023broken, title={Broken Neural Scaling Laws}, author={Caballero, Ethan and Gupta, "
        "Kshitij and Rish, Irina and Krueger, David}, booktitle={International Conference on Learning "
        "Representations}, year={2023}, note={arXiv:2210.14891}}"
    ),
    published_fits=(
        PublishedFit(
            law="bnsl",
            variant="four_digit_addition",
            params={
                "a": 0.4138845519006627,
                "b": 2.2772722176351254,
                "c0": 0.05507734493565053,
                "c1": 5.662904195945063,
                "d1": 612.5836221542484,
                "f1": 0.05919304032167727,
            },
            where_stated=(
                "no set is printed or stored; least-squares refit of the 14 fitted points of the authors' script on "
                "log(y + 1)"
            ),
            evidence="refit",
            output_unit="nats_per_token",
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per size of the training set."""
    points = raw.csv(
        FILE,
        {"train_examples": pl.Float64, "test_cross_entropy": pl.Float64, "split": pl.String},
        rows=N_POINTS,
    ).with_columns(
        run_id=pl.format("bnsl/four-digit-addition-{}", pl.col("train_examples").cast(pl.Int64)),
        role=pl.col("split").replace_strict(SPLITS),
    )
    ordered = points["train_examples"].diff().drop_nulls().min()
    if (points["role"] == "fit").sum() != N_FIT or not (isinstance(ordered, float) and ordered > 0):
        raise DataError(f"bnsl, {FILE!r}: not {N_FIT} fitted points in order of training examples")
    runs = points.select(
        "run_id",
        study=pl.lit("bnsl"),
        family=pl.lit("four_digit_addition"),
        corpus=pl.lit("four-digit addition"),
    )
    evals = points.select(
        "run_id",
        "raw_file",
        "raw_row",
        n_examples="train_examples",
        metric=pl.lit("loss"),
        eval_set=pl.lit("four_digit_addition"),
        split="role",
        value="test_cross_entropy",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("reported"),
        raw_field=pl.lit("test_cross_entropy"),
    )
    return {"runs": conform("runs", runs, "bnsl"), "evals": conform("evals", evals, "bnsl")}
