"""Refits of Chinchilla's law under changed parameter counts, and 50 recounted architectures (arXiv 2509.23963).

There is no new training run here: a "run" is one refit (its coefficients are its evaluations) or one
architecture (its parameter counts are).
"""

from __future__ import annotations

import polars as pl

from ingest._raw import RawFolder
from ingest._source import PublishedFit, SetAside, Source, conform
from scalingdb.errors import DataError

MODELS = "chinchilla_model_parameters.csv"
FITS = "chinchilla_fits.csv"
PERTURBED = "chinchilla_robustness_fits.csv"
N_MODELS, N_FITS, N_PERTURBED = 50, 4, 221
N_NO_ERROR = 13
COEFFICIENTS = ("A", "B", "E", "alpha", "beta")
STATISTICS = [f"{name}_{kind}" for kind in ("fit", "se") for name in COEFFICIENTS]

FITTED = {
    "Model Size": "robustness_model_size",
    "Reported Parameters": "robustness_reported",
    "Best Fit Formula Parameters": "robustness_best_fit_formula",
    "Standard Formula Parameters": "robustness_standard_formula",
}
"""Column of the four fits: variant of the published law."""

RULES = {
    "Tied (Un)Embed, No Gating": "tied_embedding",
    "Untied (Un)Embed, No Gating": "untied_embedding",
    "Untied (Un)Embed, Gating": "untied_embedding_gated",
    "Untied (Un)Embed, Gating, Shared KV": "untied_embedding_gated_shared_kv",
    "Tied (Un)Embed, No Gating, Best Fit Attn Params Prefactor": "tied_embedding_best_fit_attention",
}
"""Recounts (millions): column and name of the counting rule."""


def _fit(column: str, a: float, b: float, e: float, alpha: float, beta: float) -> PublishedFit:
    return PublishedFit(
        law="chinchilla",
        variant=FITTED[column],
        params={"E": e, "A": a, "B": b, "alpha": alpha, "beta": beta},
        where_stated=f"{FITS} of the repository, column '{column}'",
        evidence="read",
        output_unit="nats_per_token",
        n_definition="n_params",
    )


SOURCE = Source(
    source_id="chinchilla_robustness",
    title="Evaluating the Robustness of Chinchilla Compute-Optimal Scaling",
    authors="Rylan Schaeffer, Noam Levi, Andreas Kirsch, Theo Guenais, Brando Miranda, Elyas Obbad, Sanmi Koyejo",
    year=2025,
    arxiv_id="2509.23963",
    repository="RylanSchaeffer/KoyejoLab-Robustness-Chinchilla-Compute-Optimal-Scaling",
    upstream_commit="ad412e61aa4c8e4247d4dbe6f9dab6380a2900bc",
    licence="none stated",
    redistribution="fitted coefficients and parameter counts as our own tables of facts with citation",
    headline_metric="law_coefficient",
    not_upstream=(FITS, MODELS, PERTURBED),
    notes=(
        "No new training run: the fits use Epoch's extraction (source epoch_chinchilla). Study 'refits': the law "
        "fitted with four definitions of model size and with 221 changed ones (unchanged, a systematic bias in the "
        "exponent, a factor, a constant, or log-normal noise in 17 repetitions, on the standard formula's count); "
        "metric law_coefficient, eval set is the coefficient, std_error as published. Thirteen standard errors of A "
        "are missing or infinite and are null (all with strong noise). Study 'architectures': shapes of 50 Chinchilla "
        "models, n_params as the Chinchilla paper reports it, metric parameter_count under five counting rules. "
        "d_model is not n_heads x key size in all of them. Source pearce_reconcile lists the same 50 models; two of "
        "its sizes differ (13,735 and 14,494 against 13,775 and 14,940 million here). The variant "
        "robustness_model_size equals the published replication. That the law survives errors in counts is claimed in "
        "the paper and can be recomputed from epoch_chinchilla; a bias in the exponent of N changes alpha in "
        "proportion, exactly."
    ),
    bibtex=(
        "@article{schaeffer2025robustness, title={Evaluating the Robustness of {Chinchilla} Compute-Optimal Scaling}, "
        "author={Schaeffer, Rylan and Levi, Noam and Kirsch, Andreas and Guenais, Theo and Miranda, Brando and Obbad, "
        "Elyas and Koyejo, Sanmi}, journal={arXiv preprint arXiv:2509.23963}, year={2025}}"
    ),
    published_fits=(
        _fit(
            "Model Size", 482.0057174387903, 2085.434199583036, 1.8168640396247278, 0.347813029043289, 0.365854117270769
        ),
        _fit(
            "Reported Parameters",
            452.0707773983148,
            2014.2003048449521,
            1.8097440029551988,
            0.3440545340414133,
            0.36412671546732883,
        ),
        _fit(
            "Best Fit Formula Parameters",
            437.1475756238682,
            1803.9820888373742,
            1.7974684490826933,
            0.3418617792305516,
            0.35868940370963365,
        ),
        _fit(
            "Standard Formula Parameters",
            493.3762850080632,
            1786.7273974085056,
            1.8065343815772248,
            0.35026393512966203,
            0.3581994126040722,
        ),
    ),
    set_aside=(
        SetAside(FITS, len(COEFFICIENTS), "standard errors, joined to the evals of their coefficients"),
        SetAside(PERTURBED, len(COEFFICIENTS), "standard errors, joined to the evals of their coefficients"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """Refits with their coefficients, then architectures with their counts."""
    fits = pl.concat([_fits(raw, FITS, N_FITS), _fits(raw, PERTURBED, N_PERTURBED)])
    missing = fits.filter(pl.col("std_error").is_null())
    if missing.height != N_NO_ERROR or set(missing["coefficient"]) != {"A"}:
        raise DataError(f"chinchilla_robustness: {missing.height} standard errors are missing, {N_NO_ERROR} expected")
    models = _models(raw)
    runs = pl.concat(
        [
            conform("runs", _fit_runs(fits), "chinchilla_robustness"),
            conform("runs", _model_runs(models), "chinchilla_robustness"),
        ]
    )
    evals = pl.concat(
        [
            conform("evals", _fit_evals(fits), "chinchilla_robustness"),
            conform("evals", _counts(models), "chinchilla_robustness"),
        ]
    )
    return {"runs": runs, "evals": evals}


def _fits(raw: RawFolder, name: str, n_columns: int) -> pl.DataFrame:
    """A wide table of fits in long form: a row per fit and coefficient, with its standard error."""
    # the first column, which names the statistic, has no name of its own
    columns = pl.read_csv(raw.path(name), n_rows=0).columns[1:]
    wide = raw.csv(name, {"": pl.String, **dict.fromkeys(columns, pl.Float64)}, rows=len(STATISTICS)).rename(
        {"": "statistic"}
    )
    if wide["statistic"].to_list() != STATISTICS or len(columns) != n_columns:
        raise DataError(
            f"chinchilla_robustness, {name!r}: {len(columns)} fits of statistics {wide['statistic'].to_list()}"
        )
    long = wide.unpivot(columns, index=["raw_row", "raw_file", "statistic"], variable_name="fit")
    parts = long.with_columns(
        coefficient=pl.col("statistic").str.replace("_(fit|se)$", ""), is_error=pl.col("statistic").str.ends_with("_se")
    )
    values, errors = (parts.filter(pl.col("is_error") == kind) for kind in (False, True))
    finite = pl.when(pl.col("value").is_finite()).then("value")
    joined = values.join(
        errors.select("fit", "coefficient", std_error=finite),
        on=["fit", "coefficient"],
        how="left",
        maintain_order="left",
    )
    slug = pl.col("fit").str.to_lowercase().str.replace_all(" ", "_").str.replace("^standard_formula_parameters_", "")
    kind = pl.lit("definition") if name == FITS else pl.lit("perturbed")
    return joined.select(
        "fit",
        "coefficient",
        "value",
        "std_error",
        "raw_row",
        "raw_file",
        family=kind,
        run_id=pl.concat_str(pl.lit("chinchilla_robustness/fit/"), kind, pl.lit("-"), slug),
    )


def _fit_runs(fits: pl.DataFrame) -> pl.DataFrame:
    return fits.unique("run_id", keep="first", maintain_order=True).select(
        "run_id", "family", study=pl.lit("refits"), model_name="fit"
    )


def _fit_evals(fits: pl.DataFrame) -> pl.DataFrame:
    return fits.select(
        "run_id",
        "value",
        "std_error",
        "raw_file",
        "raw_row",
        metric=pl.lit("law_coefficient"),
        eval_set="coefficient",
        split=pl.lit("all"),
        unit=pl.lit("unitless"),
        value_origin=pl.lit("reported"),
        raw_field="fit",
    )


def _models(raw: RawFolder) -> pl.DataFrame:
    shape = ("d_model", "ffw_size", "kv_size", "n_heads", "n_layers", "Vocab Size", "Embedding Parameters")
    models = raw.csv(MODELS, dict.fromkeys((*shape, "Reported Parameters (M)", *RULES), pl.Float64), rows=N_MODELS)
    if models.filter(pl.col("Embedding Parameters") != pl.col("d_model") * pl.col("Vocab Size")).height:
        raise DataError(f"chinchilla_robustness, {MODELS!r}: embeddings are not d_model x vocabulary")
    return models.with_columns(
        run_id=pl.format("chinchilla_robustness/model/{}M", pl.col("Reported Parameters (M)").cast(pl.Int64))
    )


def _model_runs(models: pl.DataFrame) -> pl.DataFrame:
    return models.select(
        "run_id",
        "d_model",
        "n_heads",
        "n_layers",
        study=pl.lit("architectures"),
        family=pl.lit("chinchilla"),
        architecture=pl.lit("decoder"),
        n_params=pl.col("Reported Parameters (M)") * 1e6,
        vocab_size="Vocab Size",
        d_ff="ffw_size",
    )


def _counts(models: pl.DataFrame) -> pl.DataFrame:
    return models.unpivot(list(RULES), index=["run_id", "raw_file", "raw_row"], variable_name="raw_field").select(
        "run_id",
        "raw_file",
        "raw_row",
        "raw_field",
        metric=pl.lit("parameter_count"),
        eval_set=pl.col("raw_field").replace_strict(RULES),
        split=pl.lit("all"),
        value=(pl.col("value") * 1e6).round(),
        unit=pl.lit("count"),
        value_origin=pl.lit("reported"),
    )
