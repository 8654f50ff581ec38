"""Epoch's 245 points, read off Figure 4 of the Chinchilla paper (arXiv 2404.10102).

One row of the raw file is one point of a vector figure, that is one training run. The figure gives
model size and training FLOP; the loss was recovered from a colour scale (99 distinct levels).
"""

from __future__ import annotations

import polars as pl

from ingest._model_ids import chinchilla_point
from ingest._raw import RawFolder
from ingest._source import PublishedFit, Source, conform

FILE = "data/svg_extracted_data.csv"
N_SET_ASIDE = 5
"""The replication drops the five highest losses: it keeps losses below the fifth largest."""

SOURCE = Source(
    source_id="epoch_chinchilla",
    title="Chinchilla Scaling: A replication attempt",
    authors="Tamay Besiroglu, Ege Erdil, Matthew Barnett, Josh You",
    year=2024,
    arxiv_id="2404.10102",
    repository="epoch-research/analyzing-chinchilla",
    upstream_commit="92258837425e1b5f2851d624287f0120583a3d0e",
    licence="none stated",
    redistribution="245 points digitised from a published figure: facts, shipped as our own table with citation",
    headline_metric="loss",
    n_definition="n_params",
    notes=(
        "Points of Figure 4 of Hoffmann et al. (arXiv 2203.15556). N carries extraction noise (142 distinct values "
        "where about 50 models exist) and the loss has 99 levels, those of the colour scale. Tokens are not in the "
        "file; the views derive them as train_flops / (6 n_params), as the authors do. Five points with the highest "
        "losses are flagged because the authors leave them out of their fit; with them the fitted B moves from about "
        "2,100 to about 12,800. The published coefficients (variant 'epoch') are the optimum of a likelihood with a "
        "fitted noise scale; the minimum of the summed Huber loss lies elsewhere (E 1.8172, alpha 0.3473, beta 0.3672)."
    ),
    bibtex=(
        "@article{besiroglu2024chinchilla, title={Chinchilla Scaling: A replication attempt}, "
        "author={Besiroglu, Tamay and Erdil, Ege and Barnett, Matthew and You, Josh}, "
        "journal={arXiv preprint arXiv:2404.10102}, year={2024}}"
    ),
    published_fits=(
        PublishedFit(
            law="chinchilla",
            variant="epoch",
            params={"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
            intervals={
                "E": (1.769, 1.871),
                "A": (285.0, 744.0),
                "B": (1042.0, 5810.0),
                "alpha": (0.317, 0.373),
                "beta": (0.331, 0.415),
            },
            where_stated="arXiv 2404.10102, fitted law and bootstrap intervals; notebook data_analysis.ipynb",
            evidence="read",
            output_unit="nats_per_token",
            n_definition="n_params",
            is_default=True,
        ),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one loss per point."""
    points = raw.csv(
        FILE, {"Model Size": pl.Float64, "Training FLOP": pl.Float64, "loss": pl.Float64}, rows=245
    ).with_columns(run_id=pl.format("epoch_chinchilla/{}", pl.col("raw_row").cast(pl.String).str.zfill(3)))
    threshold = points["loss"].top_k(N_SET_ASIDE).min()
    set_aside = pl.col("loss") >= threshold
    runs = points.select(
        "run_id",
        study=pl.lit("epoch_chinchilla"),
        family=pl.lit("chinchilla"),
        architecture=pl.lit("decoder"),
        n_params="Model Size",
        train_flops="Training FLOP",
        model_id=chinchilla_point(pl.col("Model Size"), pl.col("Training FLOP"), pl.col("loss")),
        corpus=pl.lit("MassiveText"),
    )
    evals = points.select(
        "run_id",
        metric=pl.lit("loss"),
        eval_set=pl.lit("unstated"),
        split=pl.lit("all"),
        value="loss",
        unit=pl.lit("nats_per_token"),
        value_origin=pl.lit("digitised"),
        flag=pl.when(set_aside).then(pl.lit("set_aside_by_authors")),
        flag_reason=pl.when(set_aside).then(
            pl.lit(
                "one of the five highest losses; the authors leave them out of every fit as outliers of the extraction"
            )
        ),
        raw_file="raw_file",
        raw_row="raw_row",
        raw_field=pl.lit("loss"),
    )
    return {"runs": conform("runs", runs, "epoch_chinchilla"), "evals": conform("evals", evals, "epoch_chinchilla")}
