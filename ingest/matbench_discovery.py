"""Matbench Discovery: interatomic potentials by parameters, training sets and error."""

from __future__ import annotations

import polars as pl

from ingest._long import measured, melt, slug
from ingest._raw import RawFolder
from ingest._source import SetAside, Source, arxiv_entry, conform

FILE, N_ROWS = "models.csv", 63
FIELDS = {
    "f1_full": ("task_score", "fraction", "wbm:f1"),
    "f1_unique_prototypes": ("task_score", "fraction", "wbm_unique:f1"),
    "mae_full_ev_per_atom": ("property_error", "unitless", "wbm:energy"),
    "mae_unique_prototypes_ev_per_atom": ("property_error", "unitless", "wbm_unique:energy"),
    "r2_full": ("benchmark_value", "unitless", "wbm:r2"),
    "r2_unique_prototypes": ("benchmark_value", "unitless", "wbm_unique:r2"),
    "daf_full": ("benchmark_value", "unitless", "wbm:discovery_acceleration"),
    "kappa_srme": ("property_error", "unitless", "phonondb:thermal_conductivity"),
}
TITLE = "Matbench Discovery -- A framework to evaluate machine learning crystal stability predictions"
AUTHORS = "Janosh Riebesell, Rhys E. A. Goodall, Philipp Benner and others"

SOURCE = Source(
    source_id="matbench_discovery",
    title=TITLE,
    authors=AUTHORS,
    year=2023,
    arxiv_id="2308.14920",
    repository="janosh/matbench-discovery",
    upstream_commit="2c7f9fc42d018711dc2f5df573d225ea6d2d17b2",
    licence="MIT",
    redistribution="MIT licence",
    headline_metric="task_score",
    headline_eval_set="wbm_unique:f1",
    n_definition="n_params",
    not_upstream=(FILE,),
    notes=(
        "63 models, one run each; corpus lists the training sets, release_date is the day of the submission. On the "
        "stability of crystals ('wbm', and 'wbm_unique' for unique prototypes): F1, error of the energy in eV per atom "
        "(property_error), R2, and the acceleration of discovery; on thermal conductivity the symmetric relative "
        "mean error. Models differ in training data more than in size: a law in n_params alone would mix the two. "
        "A size of zero or one upstream means that it is unknown, and is null here. The cost of training and authors' "
        "addresses were not taken over."
    ),
    bibtex=arxiv_entry(TITLE, AUTHORS, 2023, "2308.14920"),
    set_aside=(SetAside(FILE, 1, "a model without any result"),),
)


def build(raw: RawFolder) -> dict[str, pl.DataFrame]:
    """One model per record."""
    text = dict.fromkeys(("model_name", "model_key", "training_sets", "date_added"), pl.String)
    rows = raw.csv(FILE, {**text, "model_params": pl.Float64, **dict.fromkeys(FIELDS, pl.Float64)}, rows=N_ROWS)
    rows = rows.with_columns(run_id=pl.format("matbench_discovery/{}", slug(pl.col("model_key"))))
    fields = [
        {"raw_field": name, "metric": metric, "unit": unit, "eval_set": eval_set}
        for name, (metric, unit, eval_set) in FIELDS.items()
    ]
    evals = melt(rows, ["run_id", "raw_file", "raw_row"], fields)
    tested = rows.filter(pl.col("run_id").is_in(evals["run_id"].implode()))
    runs = tested.select(
        "run_id",
        "model_name",
        study=pl.lit("matbench_discovery"),
        family=slug(pl.col("training_sets").fill_null("unknown")),
        architecture=pl.lit("other"),
        n_params=pl.when(pl.col("model_params") > 1).then("model_params"),
        corpus="training_sets",
        release_date=pl.col("date_added").str.to_date(strict=False),
        task_domain=pl.lit("materials"),
    )
    return {
        "runs": conform("runs", runs, "matbench_discovery"),
        "evals": measured("matbench_discovery", evals),
    }
