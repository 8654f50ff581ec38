"""ProteinGym: rank correlations of 97 models with 217 mutational assays (Notin et al. 2023)."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, require, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, conform

FOLDER = "benchmarks/DMS_zero_shot/substitutions/Spearman"
ASSAYS = f"{FOLDER}/DMS_substitutions_Spearman_DMS_level.csv"
SUMMARY = f"{FOLDER}/Summary_performance_DMS_substitutions_Spearman.csv"
PROTEINS = f"{FOLDER}/DMS_substitutions_Spearman_Uniprot_level.csv"
KINDS = f"{FOLDER}/DMS_substitutions_Spearman_Uniprot_Selection_Type_level.csv"
REFERENCE = "reference_files/DMS_substitutions.csv"
N_ASSAYS, N_MODELS, N_PROTEINS, N_KINDS = 217, 97, 222, 6
DESCRIBED = ("Number of Mutants", "Selection Type", "UniProt ID", "MSA_Neff_L_category", "Taxon")

LADDERS: dict[str, dict[str, float]] = {
    "esm2": {
        "ESM2 (8M)": 8e6,
        "ESM2 (35M)": 35e6,
        "ESM2 (150M)": 150e6,
        "ESM2 (650M)": 650e6,
        "ESM2 (3B)": 3e9,
        "ESM2 (15B)": 15e9,
    },
    "rita": {"RITA S": 85e6, "RITA M": 300e6, "RITA L": 680e6, "RITA XL": 1.2e9},
    "progen2": {"Progen2 S": 151e6, "Progen2 M": 764e6, "Progen2 L": 2.7e9, "Progen2 XL": 6.4e9},
    "progen3": {
        "Progen3 112m": 112e6,
        "Progen3 219m": 219e6,
        "Progen3 339m": 339e6,
        "Progen3 762m": 762e6,
        "Progen3 1B": 1e9,
        "Progen3 3B": 3e9,
    },
    "carp": {"CARP (600K)": 6e5, "CARP (38M)": 38e6, "CARP (76M)": 76e6, "CARP (640M)": 640e6},
    "xtrimopglm-mlm": {"xTrimoPGLM-1B-MLM": 1e9, "xTrimoPGLM-3B-MLM": 3e9, "xTrimoPGLM-10B-MLM": 10e9},
    "xtrimopglm-clm": {
        "xTrimoPGLM-1B-CLM": 1e9,
        "xTrimoPGLM-3B-CLM": 3e9,
        "xTrimoPGLM-7B-CLM": 7e9,
        "xTrimoPGLM-100B-int4": 100e9,
    },
    "esm-c": {"ESM-C (300M)": 300e6, "ESM-C (600M)": 600e6},
    "saprot": {"SaProt (35M)": 35e6, "SaProt (650M)": 650e6},
}
"""Families with several sizes: column of the release and parameters (in the name, or of the models' papers)."""
BROKEN = ("xTrimoPGLM-3B-CLM", "xTrimoPGLM-7B-CLM")
AGGREGATE = "mean over proteins within five kinds of assay, as the release weights it; set aside here"

SOURCE = Source(
    source_id="proteingym",
    title="ProteinGym: Large-Scale Benchmarks for Protein Fitness Prediction and Design",
    authors="Pascal Notin, Aaron W. Kollasch, Daniel Ritter and others",
    year=2023,
    repository="OATML-Markslab/ProteinGym",
    upstream_commit="bb685245f8f4bb95a5b54b470396c23826cd6284",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="spearman",
    n_definition="n_params",
    notes=(
        "Zero-shot prediction of the fitness of protein variants: one Spearman correlation per model and assay (the "
        "eval set; n_items is the number of variants measured). It can be negative. Several assays measure one "
        "protein: the first two parts of an assay's name are its UniProt entry, and assays of one entry are not "
        "independent. Families esm2, rita, progen2, progen3, carp, xtrimopglm-mlm, xtrimopglm-clm, esm-c and saprot "
        "have several sizes; sizes stand in the names, those of RITA and ProGen2 in their papers; every other model is "
        "a family of its own. 'Progen2 Base' has the size of M and other training data, and is no part of the ladder. "
        "xTrimoPGLM's causal models of 3B and 7B score far below that of 1B (0.225 and 0.088 against 0.345) and look "
        "broken: flagged. Eval set 'average' is the release's own mean with its bootstrap standard error, and flagged "
        "aggregate. Means over the 217 assays rise with size in most families, and turn in ESM-2, at 650M."
    ),
    bibtex=(
        "@inproceedings{notin2023proteingym, title={ProteinGym: Large-Scale Benchmarks for Protein Fitness Prediction "
        "and Design}, author={Notin, Pascal and Kollasch, Aaron W. and Ritter, Daniel and others}, booktitle={Advances "
        "in Neural Information Processing Systems, Datasets and Benchmarks}, year={2023}}"
    ),
    set_aside=(
        SetAside(REFERENCE, N_ASSAYS, "describes the assays; the number of variants is n_items of their rows"),
        SetAside(PROTEINS, N_PROTEINS, "means over the assays of one protein, whose names the file lacks"),
        SetAside(KINDS, N_KINDS, "means over proteins by kind of assay and over kinds, without names"),
    ),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One run per model, one correlation per assay."""
    header = raw.text(ASSAYS).splitlines()[0]
    models = [
        name for name in pl.read_csv(header.encode(), infer_schema=False).columns if name not in {"DMS ID", *DESCRIBED}
    ]
    columns = {"DMS ID": pl.String, "Number of Mutants": pl.Float64} | dict.fromkeys(models, pl.Float64)
    assays = raw.csv(ASSAYS, columns, rows=N_ASSAYS)
    summary = raw.csv(
        SUMMARY,
        {
            "Model_name": pl.String,
            "Model type": pl.String,
            "Average_Spearman": pl.Float64,
            "Bootstrap_standard_error_Spearman": pl.Float64,
        },
        rows=N_MODELS,
    )
    reference = raw.csv(REFERENCE, {"DMS_id": pl.String, "DMS_total_number_mutants": pl.Float64}, rows=N_ASSAYS)
    for name, n_rows in ((PROTEINS, N_PROTEINS), (KINDS, N_KINDS)):
        raw.csv(name, {}, rows=n_rows)
    ladders = {name for sizes in LADDERS.values() for name in sizes}
    require(
        f"proteingym, {ASSAYS!r}",
        models=(len(models), N_MODELS),
        models_of_the_summary=(set(summary["Model_name"]) ^ set(models), set()),
        assays_without_a_description=(set(assays["DMS ID"]) ^ set(reference["DMS_id"]), set()),
        ladders_without_a_column=(ladders - set(models), set()),
    )
    broken = pl.col("model").is_in(BROKEN)
    cells = assays.unpivot(
        models, index=["DMS ID", "Number of Mutants", "raw_file", "raw_row"], variable_name="model"
    ).drop_nulls("value")
    scores = cells.select(
        "raw_file",
        "raw_row",
        "value",
        run_id=_run_id(),
        eval_set="DMS ID",
        n_items="Number of Mutants",
        raw_field="model",
        flag=pl.when(broken).then(pl.lit("looks_broken")),
        flag_reason=pl.when(broken).then(
            pl.lit(
                "scores far below the smaller model of its family on most assays; set aside here, not by the release"
            )
        ),
    )
    means = summary.select(
        "raw_file",
        "raw_row",
        run_id=_run_id(pl.col("Model_name")),
        eval_set=pl.lit("average"),
        value="Average_Spearman",
        std_error="Bootstrap_standard_error_Spearman",
        raw_field=pl.lit("Average_Spearman"),
        flag=pl.lit("aggregate"),
        flag_reason=pl.lit(AGGREGATE),
    )
    evals = pl.concat([scores, means], how="diagonal")
    return {
        "runs": conform("runs", _runs(models), "proteingym"),
        "evals": measured("proteingym", evals, metric="spearman", unit="correlation"),
    }


def _run_id(name: pl.Expr | None = None) -> pl.Expr:
    return pl.format("proteingym/{}", slug(pl.col("model") if name is None else name))


def _runs(models: list[str]) -> pl.DataFrame:
    sizes = {name: (family, size) for family, ladder in LADDERS.items() for name, size in ladder.items()}
    frame = pl.DataFrame(
        [
            {"model": name, "family": sizes.get(name, (None, None))[0], "n_params": sizes.get(name, (None, None))[1]}
            for name in models
        ],
        infer_schema_length=None,
    )
    return frame.select(
        "n_params",
        run_id=_run_id(),
        study=pl.lit("proteingym"),
        model_name="model",
        family=pl.col("family").fill_null(slug(pl.col("model"))),
        precision_weight_bits=pl.when(pl.col("model").str.ends_with("int4")).then(4.0),
    )
