"""Sparse autoencoders on GPT-4 activations: 45 reconstruction errors, read off a figure (arXiv 2406.04093)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import Source, conform
from scalingdb.errors import DataError, RawFileError

FILE = "all_data.parquet"
LATENTS = [2**exponent for exponent in range(11, 20)]
ACTIVE = [32, 64, 128, 256, 512]

SOURCE = Source(
    source_id="sae_scaling",
    title="Scaling and evaluating sparse autoencoders",
    authors=(
        "Leo Gao, Tom Dupre la Tour, Henk Tillman, Gabriel Goh, Rajan Troll, Alec Radford, Ilya Sutskever, Jan Leike, "
        "Jeffrey Wu"
    ),
    year=2024,
    arxiv_id="2406.04093",
    repository="PlanarG/active-sl",
    upstream_commit="cf7992d0e78b5411863ecc25fedb07b050e38036",
    licence="none stated for the original data; the repository used here: MIT",
    redistribution="45 points digitised from a published figure: facts, shipped as our own table with citation",
    headline_metric="mse_normalised",
    headline_eval_set="gpt4_activations",
    not_upstream=(FILE,),
    notes=(
        "Normalised mean squared error of autoencoders with n_latents latents of which n_latents_active may be "
        "active: a full grid of 9 x 5, read off the paper's figure of GPT-4 activations by another project, from the "
        "history of its repository. No parameter or token counts are given. The form that the paper fits is log error "
        "= alpha + beta_k log k + beta_n log n + gamma log k log n plus an irreducible exp(zeta + eta log k); it is "
        "no law of this package."
    ),
    bibtex=(
        "@inproceedings{gao2025scaling, title={Scaling and evaluating sparse autoencoders}, author={Gao, Leo and "
        "{Dupr\\'e la Tour}, Tom and Tillman, Henk and Goh, Gabriel and Troll, Rajan and Radford, Alec and Sutskever, "
        "Ilya and Leike, Jan and Wu, Jeffrey}, booktitle={International Conference on Learning Representations}, "
        "year={2025}, note={arXiv:2406.04093}}"
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run and one error per autoencoder."""
    try:
        rows = pl.read_parquet(raw.path(FILE)).with_row_index("raw_row", offset=1)
    except pl.exceptions.PolarsError as error:
        raise RawFileError(f"source 'sae_scaling', raw file {FILE!r}: not readable: {error}") from error
    if sorted(rows.select("n", "k").rows()) != [(n, k) for n in LATENTS for k in ACTIVE]:
        raise DataError(f"sae_scaling, {FILE!r}: not the grid of {len(LATENTS)} x {len(ACTIVE)} autoencoders")
    raw.count(FILE, rows.height)
    rows = rows.with_columns(run_id=pl.format("sae_scaling/n{}-k{}", "n", "k"))
    runs = rows.select(
        "run_id",
        study=pl.lit("sae_scaling"),
        family=pl.lit("topk_autoencoder"),
        architecture=pl.lit("other"),
        n_latents="n",
        n_latents_active="k",
        corpus=pl.lit("GPT-4 activations"),
    )
    evals = rows.select(
        "run_id",
        "raw_row",
        metric=pl.lit("mse_normalised"),
        eval_set=pl.lit("gpt4_activations"),
        split=pl.lit("all"),
        value="loss",
        unit=pl.lit("unitless"),
        value_origin=pl.lit("digitised"),
        raw_file=pl.lit(FILE),
        raw_field=pl.lit("loss"),
    )
    return {"runs": conform("runs", runs, "sae_scaling"), "evals": conform("evals", evals, "sae_scaling")}
