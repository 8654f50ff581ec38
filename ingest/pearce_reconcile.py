"""Reconciling Kaplan and Chinchilla: the 50 Chinchilla sizes with and without embeddings (arXiv 2406.12907)."""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

FILE = "_derived/chinchilla_model_configs.csv"
N_MODELS = 50
VOCABULARY = 32_000

# slug, quantity, value, upper end, unit, text, what varies, where stated
CLAIMS = (
    (
        "embedding_bridge",
        "factor",
        47_491.0,
        None,
        "parameters^(2/3)",
        "Total and non-embedding parameters of Chinchilla's models are related by N_T = N_E + factor x N_E^(1/3)",
        "model size",
        "main analysis and script of the repository",
    ),
    (
        "local_exponent",
        "parameters_exponent",
        0.74,
        0.78,
        "unitless",
        "Chinchilla's law, expressed in non-embedding parameters and compute at Kaplan's scales, gives N_E "
        "proportional to C_E to this power",
        "compute",
        "main text",
    ),
    (
        "kaplan_exponent",
        "parameters_exponent",
        0.73,
        None,
        "unitless",
        "Kaplan et al. found optimal non-embedding parameters proportional to compute to this power",
        "compute",
        "abstract",
    ),
)

SOURCE = Source(
    source_id="pearce_reconcile",
    title="Reconciling Kaplan and Chinchilla Scaling Laws",
    authors="Tim Pearce, Jinyeop Song",
    year=2024,
    arxiv_id="2406.12907",
    repository="TeaPearce/Reconciling_Kaplan_Chinchilla_Scaling_Laws",
    upstream_commit="c708e5bf544f2694f0d61ac87d9f88924cf71c8e",
    licence="none stated",
    redistribution="50 published sizes as our own table of facts with citation",
    n_definition="n_params_non_embedding",
    not_upstream=(FILE,),
    notes=(
        "No measurements: the 50 Chinchilla models as the authors' script lists them, total parameters (rounded to "
        "millions) and width. n_params_non_embedding is total - 32,000 x d_model, derived. Useful as a bridge between "
        "the two counts: N_T = N_E + 47,491 N_E^(1/3); the factor that the 50 rows imply averages 57,148 and ranges "
        "from 46,484 to 65,761. Source chinchilla_robustness holds the same models with two other sizes (13,775 and "
        "14,940 million where this list has 13,735 and 14,494). The paper's claim, that Chinchilla's law in Kaplan's "
        "variables and range gives exponents near Kaplan's, follows from coefficients alone: with Epoch's, N_E grows "
        "as C_E^0.775 over C_E from 10^12.95 to 10^20.7 (20 sizes) and the loss falls as C_E^-0.069, while N_T grows "
        "as C_T^0.51; with Hoffmann's 0.741 and 0.458."
    ),
    bibtex=(
        "@article{pearce2024reconciling, title={Reconciling {Kaplan} and {Chinchilla} Scaling Laws}, author={Pearce, "
        "Tim and Song, Jinyeop}, journal={Transactions on Machine Learning Research}, year={2024}, "
        "note={arXiv:2406.12907}}"
    ),
    published_fits=(
        PublishedFit(
            law="kaplan_chinchilla_map",
            variant="vocabulary_32k",
            params={"g": 47_491.0},
            where_stated="arXiv 2406.12907, main analysis, and script of the repository: N_T = N_E + g N_E^(1/3)",
            evidence="read",
            output_unit="parameters",
            n_definition="n_params_non_embedding",
            is_default=True,
        ),
    ),
    set_aside=(SetAside(FILE, N_MODELS, "read into runs: one model per record, without measurements"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model, without evaluations; the published exponents as claims."""
    columns = ("total_params_millions", "d_model", "non_embedding_params_millions")
    models = raw.csv(FILE, dict.fromkeys(columns, pl.Float64), rows=N_MODELS)
    total, width, rest = (pl.col(name) for name in columns)
    odd = models.filter((total - VOCABULARY * width / 1e6 - rest).abs() > 1e-6)
    if odd.height or models["total_params_millions"].is_duplicated().any():
        raise DataError(f"pearce_reconcile, {FILE!r}: {odd.height} row(s) where the counts do not fit, or repeated")
    runs = models.select(
        "d_model",
        run_id=pl.format("pearce_reconcile/{}M", total.cast(pl.Int64)),
        study=pl.lit("pearce_reconcile"),
        family=pl.lit("chinchilla"),
        architecture=pl.lit("decoder"),
        n_params=total * 1e6,
        n_params_non_embedding=(rest * 1e6).round(),
        vocab_size=pl.lit(float(VOCABULARY)),
    )
    names = ("slug", "quantity", "value", "value_high", "unit", "claim", "varies", "place")
    claims = pl.DataFrame([dict(zip(names, claim, strict=True)) for claim in CLAIMS], infer_schema_length=None).select(
        "quantity",
        "value",
        pl.col("value_high").cast(pl.Float64),
        "unit",
        "claim",
        "varies",
        claim_id=pl.concat_str(pl.lit("2406.12907/"), "slug"),
        where_stated=pl.concat_str(pl.lit("arXiv 2406.12907, "), "place"),
        test_source=pl.lit("pearce_reconcile"),
    )
    return {
        "runs": conform("runs", runs, "pearce_reconcile"),
        "claims": conform("claims", claims, "pearce_reconcile"),
    }
